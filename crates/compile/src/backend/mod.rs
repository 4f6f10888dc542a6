//! IR to BPF bytecode. The phases, each in its own file:
//!
//! 1. `edges`: conditional branches get targets of their own
//! 2. `legalize`: only operations remain that BPF has
//! 3. `frame`: objects get their places on the stack or in the scratch map, in turns where they can (`lifetimes`)
//! 4. `select`: BPF instructions on virtual registers (`machine`), unlikely blocks last (`layout`)
//! 5. `regs`: registers and spill slots, by regalloc2
//! 6. `emit`: the final instructions, without needless copies (`tidy`) and with jumps as far as needed (`reach`)
//!
//! This is done for each function of a program (`program`), those that are called first, and 3 to 5 again with
//! less stack for objects when spilled registers need more of it than is left. `btf` then describes programs, lines and maps to the kernel.

mod btf;
mod edges;
mod emit;
mod frame;
mod layout;
mod legalize;
mod lifetimes;
pub mod listing;
mod machine;
mod program;
mod reach;
mod regs;
mod select;
mod tidy;

use skep_lang::hir;
use skep_ui::{SourceMap, Span};

use self::btf::TypeInfo;
pub use self::emit::Code;
pub(crate) use self::frame::STACK_SIZE;
use self::frame::{SCRATCH_LIMIT, SCRATCH_PER_CPU};
pub use self::program::assemble;
use crate::artifact::{Artifact, MapRole, MapSpec, Program, Storage};
use crate::error::Error;
use crate::ir::{MapRef, Module};

/// Makes the artifact of a script. The functions of `module` stand for the probes of `program`, in order.
/// Programs that need more memory than the stack get a map each, put behind the others.
///
/// # Errors
/// See [`Error`]: a program exceeds what the kernel can run.
pub fn compile(module: Module, program: &hir::Program, sources: &SourceMap) -> Result<Artifact, Error> {
    let Module { funcs, subs, mut maps, events } = module;
    let mut info = TypeInfo::new(&program.types, sources);
    let mut programs = Vec::with_capacity(funcs.len());
    for (index, (func, probe)) in funcs.into_iter().zip(&program.probes).enumerate() {
        let name = func.name.clone();
        let code = assemble(func, &subs, probe.span, &mut maps)?;
        programs.push(Program {
            kind: probe.kind,
            func_info: info.functions(&code),
            line_info: info.lines(&code, probe.span),
            name,
            insns: code.insns,
            relocs: code.relocs,
            spans: code.spans,
            targets: probe.targets.clone(),
            span: probe.span,
            lost_slot: index as u32,
        });
    }
    for map in &mut maps {
        map.btf = info.map(map);
    }
    Ok(Artifact {
        types: program.types.clone(),
        config: program.config.clone(),
        targets: program.targets.clone(),
        programs,
        maps,
        events,
        btf: info.finish(),
        texts: program.texts.clone(),
        portable: program.portable.clone(),
    })
}

/// What a program's objects have that are not on the stack.
fn scratch_map(map: MapRef, value_size: u32, span: Span) -> Result<MapSpec, Error> {
    if value_size > SCRATCH_LIMIT {
        return Err(Error::Scratch { span, needed: value_size, limit: SCRATCH_LIMIT });
    }
    Ok(MapSpec {
        name: format!("scratch{}", map.0),
        role: MapRole::Scratch,
        // Too much for the kernel's memory that each CPU has of its own: an entry for each CPU.
        storage: if value_size > SCRATCH_PER_CPU { Storage::Array } else { Storage::PerCpuArray },
        key_size: 4,
        value_size,
        mark: None,
        max_entries: if value_size > SCRATCH_PER_CPU { 0 } else { 1 },
        btf: (0, 0),
        init: Vec::new(),
        read_only: false,
    })
}

#[cfg(test)]
mod tests;
