//! Maps, programs and ids on the running kernel.

mod support;

use std::os::fd::{AsFd, OwnedFd};

use skep_isa::{AluOp, Insn, Reg, Size};
use skep_kernel::bpf::{
    self, BatchPage, Map, MapSpec, MapType, ObjectKind, ProgSpec, ProgType, TestRun, UpdateFlag, map_flags,
};
use skep_kernel::{Errno, perf, proc};
use support::{count, counter, counting_insns, load, may_use_bpf};

#[test]
fn maps_of_several_types_keep_what_is_written() {
    if !may_use_bpf("maps_of_several_types_keep_what_is_written") {
        return;
    }
    for kind in
        [MapType::HASH, MapType::ARRAY, MapType::LRU_HASH, MapType::PERCPU_HASH, MapType::PERCPU_ARRAY]
    {
        let map = bpf::map_create(&MapSpec::new(kind, "round_trip", 4, 12, 8)).unwrap();
        let value: Vec<u8> = (0..map.value_len()).map(|i| if i % 16 < 12 { i as u8 } else { 0 }).collect();
        map.update(&2u32.to_ne_bytes(), &value, UpdateFlag::Any).unwrap();
        assert_eq!(map.lookup(&2u32.to_ne_bytes()).unwrap().as_deref(), Some(&value[..]), "{kind}");
        assert!(map.keys().unwrap().contains(&2u32.to_ne_bytes().to_vec()), "{kind}");
        let per_cpu = if kind.is_per_cpu() { 16 * perf::possible_cpu_count().unwrap() } else { 12 };
        assert_eq!(map.value_len(), per_cpu, "{kind}");
    }
}

#[test]
fn a_hash_map_deletes_refuses_and_ends() {
    if !may_use_bpf("a_hash_map_deletes_refuses_and_ends") {
        return;
    }
    let map = bpf::map_create(&MapSpec::new(MapType::HASH, "hash", 4, 4, 2)).unwrap();
    assert_eq!(map.lookup(&[1; 4]).unwrap(), None);
    assert!(!map.delete(&[1; 4]).unwrap());
    map.update(&[1; 4], &[7; 4], UpdateFlag::NoExist).unwrap();
    let exists = map.update(&[1; 4], &[8; 4], UpdateFlag::NoExist).unwrap_err();
    assert_eq!(exists.errno(), Some(Errno(libc::EEXIST)));
    map.update(&[2; 4], &[9; 4], UpdateFlag::Any).unwrap();
    let full = map.update(&[3; 4], &[9; 4], UpdateFlag::Any).unwrap_err();
    assert_eq!(full.errno(), Some(Errno(libc::E2BIG)));
    assert!(map.delete(&[1; 4]).unwrap());
    assert_eq!(map.keys().unwrap(), [vec![2; 4]]);
    // A buffer of the wrong size never reaches the kernel.
    assert!(map.lookup(&[1; 3]).is_err());
    assert!(map.update(&[1; 4], &[1; 5], UpdateFlag::Any).is_err());
}

#[test]
fn a_batched_walk_sees_every_entry_once() {
    if !may_use_bpf("a_batched_walk_sees_every_entry_once") {
        return;
    }
    let map = bpf::map_create(&MapSpec::new(MapType::HASH, "batch", 4, 8, 1000)).unwrap();
    for i in 0..1000u32 {
        map.update(&i.to_ne_bytes(), &u64::from(i).to_ne_bytes(), UpdateFlag::Any).unwrap();
    }
    let mut page = BatchPage::new(&map, 300).unwrap();
    let mut seen = Vec::new();
    loop {
        let (count, more) = map.lookup_batch(&mut page).unwrap();
        for (key, value) in page.entries(count) {
            let key = u32::from_ne_bytes(key.try_into().unwrap());
            assert_eq!(u64::from_ne_bytes(value.try_into().unwrap()), u64::from(key));
            seen.push(key);
        }
        if !more {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1000).collect::<Vec<_>>());
}

#[test]
fn an_array_that_is_mapped_takes_many_values_at_once() {
    if !may_use_bpf("an_array_that_is_mapped_takes_many_values_at_once") {
        return;
    }
    let spec = MapSpec::new(MapType::ARRAY, "rows", 4, 8, 2000);
    let map = bpf::map_create(&spec.flags(map_flags::MMAPABLE)).unwrap();
    let values: Vec<u8> = (0..1500u64).flat_map(u64::to_le_bytes).collect();
    map.write_values(500, &values).unwrap();
    let value = |index: u32| map.lookup(&index.to_le_bytes()).unwrap().unwrap();
    assert_eq!(
        (value(499), value(501), value(1999)),
        (vec![0; 8], vec![1, 0, 0, 0, 0, 0, 0, 0], 1499u64.to_le_bytes().to_vec())
    );
    map.write_values(2000, &[]).unwrap();
    assert!(map.write_values(501, &values).is_err());
    let plain = bpf::map_create(&spec).unwrap();
    assert!(plain.write_values(0, &values).is_err());
}

#[test]
fn a_frozen_map_refuses_with_a_hint() {
    if !may_use_bpf("a_frozen_map_refuses_with_a_hint") {
        return;
    }
    let map = counter();
    map.freeze().unwrap();
    let error = map.update(&[0; 4], &[0; 8], UpdateFlag::Any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bpf(BPF_MAP_UPDATE_ELEM): EPERM (Operation not permitted)\n  hint: the map is frozen, or was opened \
         with fewer rights"
    );
}

#[test]
fn a_refused_program_comes_with_the_verifiers_log() {
    if !may_use_bpf("a_refused_program_comes_with_the_verifiers_log") {
        return;
    }
    // R3 was never written.
    let insns = [Insn::mov64_reg(Reg::R0, Reg::R3), Insn::exit()];
    let error = bpf::prog_load(&ProgSpec::new(ProgType::SOCKET_FILTER, "bad", &insns)).unwrap_err();
    assert_eq!(error.errno, Errno(libc::EACCES));
    assert_eq!(error.verdict(), Some("R3 !read_ok"), "{}", error.log);
    let shown = error.to_string();
    assert!(shown.ends_with("verifier: R3 !read_ok"), "{shown}");
}

#[test]
fn a_log_longer_than_the_first_buffer_is_read_whole() {
    if !may_use_bpf("a_log_longer_than_the_first_buffer_is_read_whole") {
        return;
    }
    let mut insns = vec![Insn::mov64_imm(Reg::R0, 0)];
    insns.extend((0..3000).map(|i| Insn::alu64_imm(AluOp::Add, Reg::R0, i)));
    insns.push(Insn::exit());
    let spec = ProgSpec { log_level: 2, ..ProgSpec::new(ProgType::SOCKET_FILTER, "long", &insns) };
    let loaded = bpf::prog_load_logged(&spec).unwrap();
    assert!(loaded.log.len() > 1 << 16, "{} bytes", loaded.log.len());
    assert!(loaded.log.contains("processed 3002 insns"), "{}", &loaded.log[loaded.log.len() - 200..]);
}

#[test]
fn a_socket_filter_runs_on_given_bytes() {
    if !may_use_bpf("a_socket_filter_runs_on_given_bytes") {
        return;
    }
    // The length of the packet.
    let insns = [Insn::load(Size::W, Reg::R0, Reg::R1, 0), Insn::exit()];
    let prog = load(ProgType::SOCKET_FILTER, "len", &insns);
    let mut out = [0u8; 64];
    let mut run = TestRun { data_in: &[0xab; 60], data_out: &mut out, repeat: 3, ..TestRun::default() };
    let outcome = bpf::test_run(prog.as_fd(), &mut run).unwrap();
    // The kernel takes the Ethernet header off before a socket filter sees the packet.
    assert_eq!(outcome.retval, 46);
    assert_eq!(outcome.data_size, 60);
}

#[test]
fn a_raw_tracepoint_program_runs_with_given_arguments() {
    if !may_use_bpf("a_raw_tracepoint_program_runs_with_given_arguments") {
        return;
    }
    let insns = [
        Insn::load(Size::DW, Reg::R0, Reg::R1, 0),
        Insn::load(Size::DW, Reg::R2, Reg::R1, 8),
        Insn::alu64_reg(AluOp::Add, Reg::R0, Reg::R2),
        Insn::exit(),
    ];
    let prog = load(ProgType::RAW_TRACEPOINT, "add", &insns);
    let args = [40u64, 2].map(u64::to_ne_bytes).concat();
    let mut run = TestRun { ctx_in: &args, ..TestRun::default() };
    assert_eq!(bpf::test_run(prog.as_fd(), &mut run).unwrap().retval, 42);
}

#[test]
fn infos_tell_what_was_loaded() {
    if !may_use_bpf("infos_tell_what_was_loaded") {
        return;
    }
    let map = counter();
    let map_info = bpf::map_info(map.as_fd()).unwrap();
    assert_eq!((map_info.kind, map_info.name.as_str()), (MapType::ARRAY, "counter"));
    let insns = counting_insns(&map);
    let prog = load(ProgType::SOCKET_FILTER, "counts", &insns);
    let info = bpf::prog_info(prog.as_fd()).unwrap();
    assert_eq!((info.kind, info.name.as_str()), (ProgType::SOCKET_FILTER, "counts"));
    assert_eq!(info.map_ids, [map_info.id]);
    assert!(info.gpl_compatible && info.load_time > 0 && info.xlated_len > 0);
    let all = bpf::prog_info_with(prog.as_fd()).unwrap();
    assert_eq!(all.extra.xlated.len(), all.xlated_len as usize);
    assert_eq!(all.extra.jited.len(), all.jited_len as usize);
    let fdinfo = proc::FdInfo::of(prog.as_fd()).unwrap();
    assert_eq!(fdinfo.number("prog_id"), Some(u64::from(info.id)));
}

#[test]
fn ids_lead_to_the_objects_and_their_holders() {
    if !may_use_bpf("ids_lead_to_the_objects_and_their_holders") {
        return;
    }
    let map = counter();
    let id = bpf::map_info(map.as_fd()).unwrap().id;
    let ids: Vec<u32> = bpf::ids(ObjectKind::Map).collect::<Result<_, _>>().unwrap();
    assert!(ids.contains(&id));
    assert!(ids.is_sorted());
    let again = bpf::get_fd_by_id(ObjectKind::Map, id, map_flags::RDONLY).unwrap();
    let again = Map::from_fd(again).unwrap();
    assert_eq!(count(&again), 0);
    assert!(again.update(&[0; 4], &[0; 8], UpdateFlag::Any).is_err(), "opened for reading only");
    let holders = proc::Holders::scan(ObjectKind::Map).unwrap();
    let me = std::process::id() as i32;
    assert!(holders.of(id).iter().any(|holder| holder.pid == me));
}

#[test]
fn an_object_that_is_gone_is_enoent() {
    if !may_use_bpf("an_object_that_is_gone_is_enoent") {
        return;
    }
    let error = bpf::get_fd_by_id(ObjectKind::Prog, u32::MAX, 0).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::ENOENT)));
    assert_eq!(bpf::next_id(ObjectKind::Prog, i32::MAX as u32 - 1).unwrap(), None);
}

#[test]
fn a_raw_tracepoint_link_counts_and_tells_its_name() {
    if !may_use_bpf("a_raw_tracepoint_link_counts_and_tells_its_name") {
        return;
    }
    // Returns at once for everyone: nothing of other processes is recorded.
    let prog = load(ProgType::RAW_TRACEPOINT, "nothing", &[Insn::mov64_imm(Reg::R0, 0), Insn::exit()]);
    let link: OwnedFd = bpf::raw_tracepoint_open(Some("sched_process_exec"), prog.as_fd(), 0).unwrap();
    let info = bpf::link_info(link.as_fd()).unwrap();
    assert_eq!(info.prog_id, bpf::prog_info(prog.as_fd()).unwrap().id);
    assert_eq!(
        info.details,
        bpf::LinkDetails::RawTracepoint { name: "sched_process_exec".to_owned(), cookie: 0 }
    );
    let error = bpf::raw_tracepoint_open(Some("no_such_tracepoint"), prog.as_fd(), 0).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::ENOENT)));
}
