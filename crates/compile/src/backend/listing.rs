//! The text of `-d bpf`: each program's instructions with the script's lines between them.

use std::fmt::Write;

use skep_isa::disasm::{self, Names};
use skep_isa::{Insn, insn};
use skep_ui::{SourceMap, Span};

use crate::artifact::{Artifact, Program, Reloc, RelocKind};

/// All programs of an artifact. What is only known at run time is shown by name: `map[@start]`,
/// `map[scratch3][0]+8`, `runtime[StartTime]`.
pub fn listing(artifact: &Artifact, sources: &SourceMap) -> String {
    let programs: Vec<String> =
        artifact.programs.iter().map(|program| one(artifact, program, sources)).collect();
    programs.join("\n")
}

fn one(artifact: &Artifact, program: &Program, sources: &SourceMap) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}: {} instructions", program.name, program.insns.len());
    for target in &program.targets {
        if let Some(target) = artifact.targets.get(target.0 as usize) {
            let _ = writeln!(out, "; {}", target.name);
        }
    }
    let mut relocs = program.relocs.iter().peekable();
    let mut shown = None;
    for (at, insn, second) in insn::walk(&program.insns) {
        let line = program.spans.get(at).and_then(|span| line_of(*span, sources));
        if line.is_some() && line != shown {
            shown = line;
            if let Some((number, text)) = line {
                let _ = writeln!(out, "; {number}: {}", text.trim());
            }
        }
        let reloc = relocs.next_if(|reloc| reloc.insn as usize == at);
        let text = disasm::text(&insn, second.as_ref(), &Relocated { artifact, reloc });
        let _ = writeln!(out, "{at:4}: {text}");
    }
    out
}

fn line_of(span: Span, sources: &SourceMap) -> Option<(u32, &str)> {
    let line = sources.has(span.file).then(|| sources.line_col(span.file, span.start).line)?;
    Some((line, sources.line(span.file, line)?))
}

/// Names what a relocation will put in place.
struct Relocated<'a> {
    artifact: &'a Artifact,
    reloc: Option<&'a Reloc>,
}

impl Names for Relocated<'_> {
    fn imm64(&self, _: &Insn, _: &Insn) -> Option<String> {
        let name = |map: crate::ir::MapRef| {
            self.artifact.maps.get(map.0 as usize).map_or_else(|| map.to_string(), |map| map.name.clone())
        };
        Some(match self.reloc?.kind {
            RelocKind::Map(map) => format!("map[{}]", name(map)),
            RelocKind::MapValue(map, offset) => format!("map[{}][0]+{offset}", name(map)),
            RelocKind::Runtime(what) => format!("runtime[{what:?}]"),
            RelocKind::Cookie => return None,
        })
    }
}
