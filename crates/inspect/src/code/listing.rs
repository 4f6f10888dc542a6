//! Instructions one below the other, with the functions and source lines they belong to.

use std::io::{self, Write};

use skep_isa::Insn;
use skep_isa::disasm::{self, Names};

use super::source::Lines;
use super::{Code, Source};
use crate::json::Writer;

/// What is shown beside the instructions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Details {
    /// The bytes of each instruction.
    pub(crate) opcodes: bool,
    /// File, line and column of each source line.
    pub(crate) linum: bool,
}

/// An instruction and what stands above it.
pub(crate) struct Line<'a> {
    /// Its number.
    pub(crate) at: usize,
    pub(crate) insn: Insn,
    /// The second half of a 64-bit load.
    pub(crate) second: Option<Insn>,
    /// The function that begins here.
    pub(crate) signature: Option<String>,
    /// The source line that begins here.
    pub(crate) source: Option<Source<'a>>,
    pub(crate) text: String,
}

/// The lines of a program.
pub(crate) fn lines<'a>(code: &'a Code, names: &'a dyn Names) -> impl Iterator<Item = Line<'a>> {
    let mut sources = Lines::new(code.lines());
    skep_isa::insn::walk(&code.insns).map(move |(at, insn, second)| Line {
        at,
        insn,
        second,
        signature: code.signature_at(at),
        source: sources.next_at(at).and_then(|line| code.source(line)),
        text: disasm::text(&insn, second.as_ref(), names),
    })
}

/// The listing for people.
pub(crate) fn plain(out: &mut dyn Write, code: &Code, names: &dyn Names, details: Details) -> io::Result<()> {
    for line in lines(code, names) {
        if let Some(signature) = &line.signature {
            writeln!(out, "{signature}:")?;
        }
        if let Some(source) = line.source {
            plain_source(out, &source, details)?;
        }
        writeln!(out, "{:4}: {}", line.at, line.text)?;
        if details.opcodes {
            write!(out, "       ")?;
            hex(out, &line.insn.to_bytes())?;
            if let Some(second) = line.second {
                write!(out, " ")?;
                hex(out, &second.to_bytes())?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// A source line above its instructions.
pub(super) fn plain_source(out: &mut dyn Write, source: &Source<'_>, details: Details) -> io::Result<()> {
    write!(out, "; {}", source.text)?;
    if details.linum {
        let Source { file, line, column, .. } = source;
        write!(out, " [file:{file} line_num:{line} line_col:{column}]")?;
    }
    writeln!(out)
}

/// The listing for programs: an array with an object per instruction.
pub(crate) fn json(
    json: &mut Writer<'_>,
    code: &Code,
    names: &dyn Names,
    details: Details,
) -> io::Result<()> {
    json.begin_array()?;
    for line in lines(code, names) {
        json.begin_object()?;
        if let Some(signature) = &line.signature {
            json.field("proto", signature)?;
        }
        if let Some(source) = &line.source {
            json_source(json, source, details)?;
        }
        json.field("disasm", &line.text)?;
        if details.opcodes {
            json.name("opcodes")?;
            json_opcodes(json, &line)?;
        }
        json.end_object()?;
    }
    json.end_array()
}

/// The keys of a source line.
pub(super) fn json_source(json: &mut Writer<'_>, source: &Source<'_>, details: Details) -> io::Result<()> {
    json.field("src", source.text)?;
    if details.linum {
        json.field("file", source.file)?;
        for (name, value) in [("line_num", source.line), ("line_col", source.column)] {
            if value != 0 {
                json.field(name, &value)?;
            }
        }
    }
    Ok(())
}

fn json_opcodes(json: &mut Writer<'_>, line: &Line<'_>) -> io::Result<()> {
    let bytes = line.insn.to_bytes();
    let second = line.second.map(Insn::to_bytes);
    let imm: Vec<u8> = bytes.iter().skip(4).copied().chain(second.into_iter().flatten()).collect();
    json.begin_object()?;
    json.field("code", &format!("{:#04x}", line.insn.code))?;
    json.field("src_reg", &format!("{:#x}", line.insn.src))?;
    json.field("dst_reg", &format!("{:#x}", line.insn.dst))?;
    json.name("off")?;
    json.hex_bytes(bytes.get(2..4).unwrap_or_default())?;
    json.name("imm")?;
    json.hex_bytes(&imm)?;
    json.end_object()
}

/// Bytes with a blank between them.
pub(super) fn hex(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for (index, byte) in bytes.iter().enumerate() {
        write!(out, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
    }
    Ok(())
}
