//! The ring buffer's consumer against the kernel's producer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use skep_isa::{AluOp, Imm64, Insn, JmpOp, Reg, Size};
use skep_kernel::bpf::{self, Map, MapSpec, ProgType, TestRun};
use skep_kernel::ringbuf::{Consumed, End, RingBuffer};
use support::{load, may_use_bpf};

const RECORD: usize = 40;

/// A raw tracepoint program that writes its first argument into a record, and submits even arguments and discards
/// odd ones. It returns 1 if there was no room.
fn producer(map: &Map) -> OwnedFd {
    let [low, high] = Insn::ld_imm64(Reg::R1, Imm64::MapFd(map.as_fd().as_raw_fd()));
    let insns = [
        Insn::load(Size::DW, Reg::R6, Reg::R1, 0),
        low,
        high,
        Insn::mov64_imm(Reg::R2, RECORD as i32),
        Insn::mov64_imm(Reg::R3, 0),
        Insn::call_helper(131), // bpf_ringbuf_reserve
        Insn::jmp_imm(JmpOp::Ne, Reg::R0, 0, 2),
        Insn::mov64_imm(Reg::R0, 1),
        Insn::exit(),
        Insn::store_reg(Size::DW, Reg::R0, 0, Reg::R6),
        Insn::store_reg(Size::DW, Reg::R0, RECORD as i16 - 8, Reg::R6),
        Insn::mov64_reg(Reg::R1, Reg::R0),
        Insn::mov64_imm(Reg::R2, 0),
        Insn::alu64_imm(AluOp::And, Reg::R6, 1),
        Insn::jmp_imm(JmpOp::Ne, Reg::R6, 0, 2),
        Insn::call_helper(132), // bpf_ringbuf_submit
        Insn::ja(1),
        Insn::call_helper(133), // bpf_ringbuf_discard
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
    ];
    load(ProgType::RAW_TRACEPOINT, "producer", &insns)
}

fn produce(prog: &OwnedFd, number: u64) -> bool {
    let mut run = TestRun { ctx_in: &number.to_ne_bytes(), ..TestRun::default() };
    bpf::test_run(prog.as_fd(), &mut run).unwrap().retval == 0
}

fn number_of(record: &[u8]) -> u64 {
    assert_eq!(record.len(), RECORD);
    assert_eq!(record[..8], record[RECORD - 8..], "both ends of the record hold the number");
    u64::from_ne_bytes(record[..8].try_into().unwrap())
}

#[test]
fn records_come_whole_and_in_order_around_the_end() {
    if !may_use_bpf("records_come_whole_and_in_order_around_the_end") {
        return;
    }
    let map = bpf::map_create(&MapSpec::ring_buffer("ring", 4096)).unwrap();
    let mut ring = RingBuffer::new(&map).unwrap();
    let prog = producer(&map);
    let mut seen = Vec::new();
    // 48 bytes a record do not divide 4,096, so that records lie across the end.
    for number in 0..2000 {
        assert!(produce(&prog, number));
        if number % 70 == 69 {
            let result = ring.consume(|record, _| {
                seen.push(number_of(record));
                ControlFlow::Continue(())
            });
            assert_eq!(result.unwrap().end, End::Reached);
        }
    }
    ring.consume(|record, _| {
        seen.push(number_of(record));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen, (0..2000).step_by(2).collect::<Vec<u64>>());
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
    assert!(ring.consumer_pos() > 20 * ring.size());
}

#[test]
fn reading_stops_where_it_is_told_to() {
    if !may_use_bpf("reading_stops_where_it_is_told_to") {
        return;
    }
    let map = bpf::map_create(&MapSpec::ring_buffer("ring", 4096)).unwrap();
    let mut ring = RingBuffer::new(&map).unwrap();
    let prog = producer(&map);
    assert!(!ring.wait(Some(Duration::ZERO)).unwrap());
    for number in [0, 2, 4] {
        produce(&prog, number);
    }
    let until = ring.producer_pos();
    produce(&prog, 6);
    assert!(ring.wait(Some(Duration::ZERO)).unwrap());

    // After the first record, because the callback says so.
    let mut positions = Vec::new();
    let stopped = ring.consume(|_, position| {
        positions.push(position);
        ControlFlow::Break(())
    });
    assert_eq!(stopped.unwrap(), Consumed { records: 1, end: End::Stopped });
    // Up to where the producer was before the last record.
    let reached = ring.consume_until(until, |_, position| {
        positions.push(position);
        ControlFlow::Continue(())
    });
    assert_eq!(reached.unwrap(), Consumed { records: 2, end: End::Reached });
    assert_eq!(positions, [0, 48, 96]);
    assert_eq!(ring.consumer_pos(), until);
    assert!(ring.wait(Some(Duration::ZERO)).unwrap(), "one record is left");
}

#[test]
fn a_quiet_reader_sees_all_and_frees_room_in_time() {
    if !may_use_bpf("a_quiet_reader_sees_all_and_frees_room_in_time") {
        return;
    }
    let map = bpf::map_create(&MapSpec::ring_buffer("ring", 4096)).unwrap();
    let mut ring = RingBuffer::new(&map).unwrap();
    let prog = producer(&map);
    ring.set_quiet(true);
    let mut seen = 0;
    for number in 0..500 {
        assert!(produce(&prog, number * 2), "there is room although the reader tells late");
        seen += ring.consume(|_, _| ControlFlow::Continue(())).unwrap().records;
    }
    assert_eq!(seen, 500);
    assert!(ring.wait(Some(Duration::ZERO)).unwrap(), "the kernel does not know yet that all is read");
    ring.set_quiet(false);
    assert!(!ring.wait(Some(Duration::ZERO)).unwrap());
}

#[test]
fn a_full_ring_refuses_and_takes_again_after_reading() {
    if !may_use_bpf("a_full_ring_refuses_and_takes_again_after_reading") {
        return;
    }
    let map = bpf::map_create(&MapSpec::ring_buffer("ring", 4096)).unwrap();
    let mut ring = RingBuffer::new(&map).unwrap();
    let prog = producer(&map);
    let fitted = (0..200).take_while(|i| produce(&prog, i * 2)).count() as u64;
    assert!((80..=85).contains(&fitted), "{fitted} records of 48 bytes in 4,096");
    let read = ring.consume(|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(read.records, fitted);
    assert!(produce(&prog, 0));
}

#[test]
fn other_maps_are_no_ring_buffers() {
    if !may_use_bpf("other_maps_are_no_ring_buffers") {
        return;
    }
    assert!(RingBuffer::new(&support::counter()).is_err());
}
