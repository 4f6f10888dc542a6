//! Runs a program in the kernel and tells what it left behind.

use std::os::fd::{AsFd, AsRawFd};

use skep_btf::ext;
use skep_compile::artifact::{MapSpec, Storage};
use skep_compile::backend::Code;
use skep_isa::{AtomicOp, Insn, Reg, Size};
use skep_kernel::bpf::{self, MapType, ProgSpec, ProgType, TestRun, UpdateFlag};

use super::differential::Types;
use super::run::{self, Outcome};

/// Loads the code as a raw tracepoint and runs it once. The maps compared are the first `shown`.
pub fn run_in_kernel(
    code: &Code,
    types: Option<&Types>,
    maps: &[MapSpec],
    shown: usize,
    ctx: &[u8],
) -> Result<Outcome, String> {
    let open: Vec<bpf::Map> = maps.iter().map(create).collect();
    let fds: Vec<i32> = open.iter().map(|map| map.as_fd().as_raw_fd()).collect();
    let insns = run::link(code, &fds);
    let btf = types.and_then(|types| bpf::btf_load(&types.btf).ok());
    let functions = types.map_or(Vec::new(), |types| ext::encode(&types.functions));
    let mut spec = ProgSpec::new(ProgType::RAW_TRACEPOINT, "made_up", &insns);
    if let Some(btf) = &btf {
        (spec.btf, spec.func_info) = (Some(btf.as_fd()), &functions);
    }
    let prog = bpf::prog_load(&spec).map_err(|error| format!("{error}\n{}", error.log))?;
    // The interpreter has one CPU, and the programs believe it.
    let mut run = TestRun { ctx_in: ctx, cpu: Some(0), ..TestRun::default() };
    let outcome = bpf::test_run(prog.as_fd(), &mut run).map_err(|error| error.to_string())?;
    let mut contents = Vec::new();
    for (map, spec) in open.iter().zip(maps).take(shown) {
        let keys = map.keys().map_err(|error| error.to_string())?;
        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = keys
            .into_iter()
            .filter_map(|key| map.lookup(&key).ok().flatten().map(|value| (key, of_one_cpu(value, spec))))
            .collect();
        entries.sort();
        contents.push(entries);
    }
    Ok(Outcome { result: outcome.retval, maps: contents })
}

/// Of a per-CPU map the value of the CPU that ran; the others are zeroes.
fn of_one_cpu(value: Vec<u8>, spec: &MapSpec) -> Vec<u8> {
    let len = spec.value_size as usize;
    let mut one = vec![0; len];
    for cpu in value.chunks(len.next_multiple_of(8)) {
        one.iter_mut().zip(cpu).for_each(|(to, from)| *to |= from);
    }
    one
}

fn create(map: &MapSpec) -> bpf::Map {
    let kind = match map.storage {
        Storage::Hash => MapType::HASH,
        Storage::PerCpuHash => MapType::PERCPU_HASH,
        Storage::LruHash => MapType::LRU_HASH,
        Storage::PerCpuLruHash => MapType::LRU_PERCPU_HASH,
        Storage::Array => MapType::ARRAY,
        Storage::PerCpuArray => MapType::PERCPU_ARRAY,
        Storage::LpmTrie => MapType::LPM_TRIE,
        Storage::ArrayOfMaps => MapType::ARRAY_OF_MAPS,
        Storage::RingBuf => {
            return bpf::map_create(&bpf::MapSpec::ring_buffer("ring", run::RING_BYTES))
                .expect("the ring can be created");
        }
    };
    let name = map.name.trim_start_matches('@');
    let spec = bpf::MapSpec::new(kind, name, map.key_size, map.value_size, run::entries(map));
    let created = bpf::map_create(&spec).expect("the map can be created");
    if !map.init.is_empty() {
        let key = vec![0; created.key_size()];
        created.update(&key, &map.init, UpdateFlag::Any).expect("the map can be filled");
    }
    created
}

/// Whether the kernel has atomic additions that return the old value (Linux 5.12).
pub fn has_fetching_atomics() -> bool {
    let insns = [
        Insn::mov64_imm(Reg::R1, 1),
        Insn::store_imm(Size::DW, Reg::R10, -8, 0),
        Insn::atomic(Size::DW, AtomicOp::Add { fetch: true }, Reg::R10, -8, Reg::R1),
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
    ];
    bpf::prog_load(&ProgSpec::new(ProgType::RAW_TRACEPOINT, "fetch", &insns)).is_ok()
}

/// Numbers that look random and are the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
