//! IR to BPF bytecode. The phases, each in its own file:
//!
//! 1. `edges`: conditional branches get targets of their own
//! 2. `legalize`: only operations remain that BPF has
//! 3. `frame`: objects get their places on the stack or in the scratch map
//! 4. `select`: BPF instructions on virtual registers (`machine`), unlikely blocks last (`layout`)
//! 5. `regs`: registers and spill slots, by regalloc2
//! 6. `emit`: the final instructions, without needless copies (`tidy`)
//!
//! 3 to 5 are done again with less stack for objects when spilled registers need more of it than is left.
//! `btf` then describes programs, lines and maps to the kernel.

mod btf;
mod edges;
mod emit;
mod frame;
mod layout;
mod legalize;
pub mod listing;
mod machine;
mod regs;
mod select;
mod tidy;

use skep_lang::hir;
use skep_ui::{SourceMap, Span};

use self::btf::TypeInfo;
pub use self::emit::Code;
use self::emit::TooFar;
use self::frame::{Frame, SCRATCH_LIMIT, STACK_SIZE};
use crate::artifact::{Artifact, MapRole, MapSpec, Program, Storage};
use crate::error::Error;
use crate::ir::verify::debug_verify;
use crate::ir::{Func, MapRef, Module};

/// Makes the artifact of a script. The functions of `module` stand for the probes of `program`, in order.
/// Programs that need more memory than the stack get a map each, put behind the others.
///
/// # Errors
/// See [`Error`]: a program exceeds what the kernel can run.
pub fn compile(module: Module, program: &hir::Program, sources: &SourceMap) -> Result<Artifact, Error> {
    let Module { funcs, mut maps, events } = module;
    let mut info = TypeInfo::new(&program.types, sources);
    let mut programs = Vec::with_capacity(funcs.len());
    for (index, (func, probe)) in funcs.into_iter().zip(&program.probes).enumerate() {
        let name = func.name.clone();
        let code = assemble(func, probe.span, &mut maps)?;
        programs.push(Program {
            kind: probe.kind,
            func_info: info.program(&name),
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
    })
}

/// Makes the code of one program. When it needs a scratch map, that is put behind `maps`. `span` is the probe,
/// for errors.
///
/// # Errors
/// See [`Error`].
pub fn assemble(mut func: Func, span: Span, maps: &mut Vec<MapSpec>) -> Result<Code, Error> {
    debug_verify(&func, maps.len(), "lowering");
    edges::split(&mut func);
    debug_verify(&func, maps.len(), "splitting edges");
    legalize::legalize(&mut func);
    debug_verify(&func, maps.len(), "legalizing");

    let mut budget = STACK_SIZE;
    loop {
        let frame = Frame::layout(&func, budget);
        if frame.scratch_size > SCRATCH_LIMIT {
            return Err(Error::Scratch { span, needed: frame.scratch_size, limit: SCRATCH_LIMIT });
        }
        let scratch = (frame.scratch_size > 0).then_some(MapRef(maps.len() as u32));
        let machine = select::select(&func, &frame, scratch);
        let allocation = regs::allocate(&machine).map_err(|what| Error::Internal { span, what })?;
        let spilled = 8 * allocation.num_spillslots as u32;
        if frame.stack_size + spilled > STACK_SIZE {
            let Some(less) = frame.stack_size.checked_sub(8).filter(|_| frame.has_objects_on_stack()) else {
                return Err(Error::Stack { span, needed: frame.stack_size + spilled });
            };
            budget = less.min(STACK_SIZE.saturating_sub(spilled));
            continue;
        }
        let code = emit::emit(&machine, &allocation, &frame)
            .map_err(|TooFar| Error::TooLong { span, insns: machine.insts.len() })?;
        maps.extend(scratch.map(|map| scratch_map(map, frame.scratch_size)));
        tracing::debug!(
            program = func.name,
            insns = code.insns.len(),
            stack = frame.stack_size + spilled,
            scratch = frame.scratch_size,
            "compiled"
        );
        return Ok(code);
    }
}

fn scratch_map(map: MapRef, value_size: u32) -> MapSpec {
    MapSpec {
        name: format!("scratch{}", map.0),
        role: MapRole::Scratch,
        storage: Storage::PerCpuArray,
        key_size: 4,
        value_size,
        mark: None,
        max_entries: 1,
        btf: (0, 0),
        init: Vec::new(),
        read_only: false,
    }
}

#[cfg(test)]
mod tests;
