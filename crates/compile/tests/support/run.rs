//! Runs a program as IR and as bytecode, both simulated, and tells what it left behind.

use skep_compile::artifact::{MapRole, MapSpec, RelocKind, Storage};
use skep_compile::backend::Code;
use skep_compile::ir::{Func, interp};
use skep_isa::interp::{Interp, MapDef, MapKind, Memory, TestEnv};
use skep_isa::{Imm64, Insn};
use skep_lang::hir::Runtime;

/// What a run gave: the result, and the sorted contents of the script's maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The low half, which is all that the kernel shows.
    pub result: u32,
    /// Of each map, keys and values.
    pub maps: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Bytes of every ring buffer.
pub const RING_BYTES: u32 = 1 << 16;

/// The made-up constants of the run.
pub fn runtime(what: Runtime) -> u64 {
    match what {
        Runtime::StartTime => 0x1122_3344_5566_7788,
        Runtime::CommandPid => 4321,
        Runtime::FilterPid => 0,
        Runtime::CpuCount => 1,
        Runtime::TaiOffset => 37_000_000_000,
        Runtime::RealOffset => 1_700_000_000_000_000_000,
        Runtime::NamespaceDevice => 4,
        Runtime::NamespaceInode => 4_026_531_836,
        Runtime::Asked(number) | Runtime::KernelVariable(number) => 7 * u64::from(number),
    }
}

/// Runs the IR. The maps compared are the first `shown`.
pub fn run_ir(
    func: &Func,
    subs: &[Func],
    maps: &[MapSpec],
    shown: usize,
    ctx: &[u8],
) -> Result<Outcome, String> {
    let mut memory = Memory::default();
    let (mut env, fds) = world(maps, &mut memory)?;
    let links = interp::Links { subs, maps: &fds, runtime: &runtime };
    let result = interp::run(func, &links, ctx, &mut env, &mut memory).map_err(|trap| trap.to_string())?;
    outcome(result, env, memory, &fds[..shown])
}

/// Runs the bytecode.
pub fn run_code(code: &Code, maps: &[MapSpec], shown: usize, ctx: &[u8]) -> Result<Outcome, String> {
    let mut memory = Memory::default();
    let (mut env, fds) = world(maps, &mut memory)?;
    let insns = link(code, &fds);
    let result = Interp::new(&insns).run(ctx, &mut env, &mut memory).map_err(|trap| trap.to_string())?;
    outcome(result, env, memory, &fds[..shown])
}

/// The instructions with the maps' descriptors in place.
pub fn link(code: &Code, fds: &[i32]) -> Vec<Insn> {
    let mut insns = code.insns.clone();
    for reloc in &code.relocs {
        let value = match reloc.kind {
            RelocKind::Map(map) => Imm64::MapFd(fds[map.0 as usize]),
            RelocKind::MapValue(map, off) => Imm64::MapValue { fd: fds[map.0 as usize], off },
            RelocKind::Runtime(what) => Imm64::Value(runtime(what)),
            RelocKind::Cookie => continue,
        };
        reloc.apply(&mut insns, value);
    }
    insns
}

fn world(maps: &[MapSpec], memory: &mut Memory) -> Result<(TestEnv, Vec<i32>), String> {
    let mut env = TestEnv::default();
    let fds: Vec<i32> = maps.iter().map(|map| env.add_map(definition(map))).collect();
    for (map, fd) in maps.iter().zip(&fds).filter(|(map, _)| !map.init.is_empty()) {
        let (key, filled) = (vec![0; map.key_size as usize], env.map(*fd));
        let updated = filled.ok_or("no such map")?.update(&key, &map.init, 0, memory);
        updated.map_err(|fault| fault.to_string())?;
    }
    Ok((env, fds))
}

fn definition(map: &MapSpec) -> MapDef {
    let kind = match map.storage {
        Storage::Array => MapKind::Array,
        Storage::PerCpuArray => MapKind::PercpuArray,
        Storage::Hash | Storage::LruHash => MapKind::Hash,
        Storage::PerCpuHash | Storage::PerCpuLruHash => MapKind::PercpuHash,
        Storage::RingBuf => return MapDef::ring(RING_BYTES),
        Storage::LpmTrie | Storage::ArrayOfMaps => panic!("the interpreter has no maps of this kind"),
    };
    MapDef::new(kind, map.key_size as usize, map.value_size as usize, entries(map))
}

/// How many entries a map has room for. Large scratch memory has one for each CPU, of which there is one.
pub fn entries(map: &MapSpec) -> u32 {
    if map.role == MapRole::Scratch { map.max_entries.max(1) } else { map.max_entries }
}

fn outcome(result: u64, mut env: TestEnv, mut memory: Memory, shown: &[i32]) -> Result<Outcome, String> {
    let mut maps = Vec::new();
    for fd in shown {
        let map = env.map(*fd).ok_or("no such map")?;
        let mut entries = map.entries(&mut memory).map_err(|fault| fault.to_string())?;
        entries.sort();
        maps.push(entries);
    }
    Ok(Outcome { result: result as u32, maps })
}
