//! What the tests on the running kernel share: needs that may not be met, and small programs.

#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use skep_isa::{Imm64, Insn, Reg, Size};
use skep_kernel::bpf::{self, Map, MapSpec, MapType, ProgSpec, ProgType};

/// Whether this test may use bpf(2); if not, says that the test is skipped.
pub fn may_use_bpf(test: &str) -> bool {
    if let Err(error) = skep_kernel::limits::raise_memlock() {
        eprintln!("SKIP: {test}: {error}");
        return false;
    }
    match bpf::map_create(&MapSpec::new(MapType::ARRAY, "probe", 4, 8, 1)) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIP: {test}: needs root and bpf(2): {error}");
            false
        }
    }
}

/// An array with one 8-byte counter, as the programs below expect it.
pub fn counter() -> Map {
    bpf::map_create(&MapSpec::new(MapType::ARRAY, "counter", 4, 8, 1)).unwrap()
}

/// The counter's value.
pub fn count(map: &Map) -> u64 {
    let value = map.lookup(&[0; 4]).unwrap().unwrap();
    u64::from_ne_bytes(value.try_into().unwrap())
}

/// A program that adds one to the counter and returns zero.
pub fn counting_insns(map: &Map) -> Vec<Insn> {
    let [low, high] = Insn::ld_imm64(Reg::R1, Imm64::MapFd(map.as_fd().as_raw_fd()));
    vec![
        Insn::store_imm(Size::W, Reg::R10, -4, 0),
        Insn::mov64_reg(Reg::R2, Reg::R10),
        Insn::alu64_imm(skep_isa::AluOp::Add, Reg::R2, -4),
        low,
        high,
        Insn::call_helper(1), // bpf_map_lookup_elem
        Insn::jmp_imm(skep_isa::JmpOp::Eq, Reg::R0, 0, 2),
        Insn::mov64_imm(Reg::R1, 1),
        Insn::atomic(Size::DW, skep_isa::AtomicOp::Add { fetch: false }, Reg::R0, 0, Reg::R1),
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
    ]
}

/// The same, but only while this process runs; whoever else comes by is neither counted nor recorded.
pub fn counting_insns_of_this_process(map: &Map) -> Vec<Insn> {
    let counting = counting_insns(map);
    let mut insns = vec![
        Insn::call_helper(14), // bpf_get_current_pid_tgid
        Insn::alu64_imm(skep_isa::AluOp::Rsh, Reg::R0, 32),
        Insn::jmp_imm(skep_isa::JmpOp::Ne, Reg::R0, std::process::id() as i32, counting.len() as i16 - 2),
    ];
    insns.extend(counting);
    insns
}

/// Loads a program that must be accepted.
pub fn load(kind: ProgType, name: &str, insns: &[Insn]) -> OwnedFd {
    bpf::prog_load(&ProgSpec::new(kind, name, insns)).unwrap_or_else(|error| panic!("{error}\n{}", error.log))
}
