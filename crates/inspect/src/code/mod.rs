//! A program's code with all that is known about it: functions, source lines, names of what it calls.
//!
//! [`Code`] is asked from the kernel once and then shown in many forms: as a listing (`listing`), as machine code
//! (`native`), as a control flow graph (`dot`, `picture`).

pub(crate) mod dot;
pub(crate) mod listing;
mod names;
pub(crate) mod native;
pub(crate) mod picture;
mod source;

use std::os::fd::BorrowedFd;

use skep_btf::Btf;
use skep_btf::ext::{self, FuncInfo, LineInfo};
use skep_isa::Insn;
use skep_kernel::bpf::{self, ProgInfo};

use crate::collect;
use crate::error::{Error, Result};

pub(crate) use names::CallNames;
pub(crate) use source::Source;

/// A program as the kernel runs it.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) info: ProgInfo,
    /// The instructions after the verifier's rewriting.
    pub(crate) insns: Vec<Insn>,
    /// The program's types; `None` if it was loaded without.
    btf: Option<Btf>,
    functions: Vec<FuncInfo>,
    lines: Vec<LineInfo>,
}

impl Code {
    /// Asks the kernel for a program's code.
    pub(crate) fn read(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut info = bpf::prog_info_with(fd).map_err(|e| Error::kernel("can't get prog info", &e))?;
        let btf = match info.btf_id {
            0 => None,
            id => Some(collect::btf(id).ok_or_else(|| Error::Message("failed to get btf".to_owned()))?),
        };
        let insns = skep_isa::decode_all(&std::mem::take(&mut info.extra.xlated))
            .map_err(|error| Error::Message(format!("the kernel gave no whole instructions: {error}")))?;
        let functions = records(&info.extra.func_info, info.extra.func_info_rec_size);
        let lines = records(&info.extra.line_info, info.extra.line_info_rec_size);
        Ok(Self { info, insns, btf, functions, lines })
    }

    /// The signature of the function that starts at an instruction.
    pub(crate) fn signature_at(&self, at: usize) -> Option<String> {
        let function = self.functions.iter().find(|function| function.insn_off as usize == at)?;
        self.signature(function)
    }

    /// The signature of a function by its number.
    pub(crate) fn signature_of(&self, number: usize) -> Option<String> {
        self.signature(self.functions.get(number)?)
    }

    /// The name of a function by its number.
    pub(crate) fn function_name(&self, number: usize) -> Option<&str> {
        let function = self.functions.get(number)?;
        Some(self.btf.as_ref()?.get(function.type_id)?.name()).filter(|name| !name.is_empty())
    }

    fn signature(&self, function: &FuncInfo) -> Option<String> {
        self.btf.as_ref()?.signature(function.type_id)
    }

    /// The name under which the kernel lists a function's machine code.
    pub(crate) fn symbol(&self, number: usize) -> Option<String> {
        let tag = self.info.extra.prog_tags.get(number * 8..)?.first_chunk::<8>()?;
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = match self.function_name(number) {
            Some(name) => name,
            None if number == 0 => &self.info.name,
            // So the kernel calls functions of which it knows no more.
            None => "F",
        };
        Some(if name.is_empty() { format!("bpf_prog_{tag}") } else { format!("bpf_prog_{tag}_{name}") })
    }

    /// The name under which the kernel lists the function at an address.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<String> {
        let number = self.info.extra.jited_ksyms.iter().position(|&start| start == address)?;
        self.symbol(number)
    }

    /// The lines of the source, in the order of instructions.
    pub(crate) fn lines(&self) -> &[LineInfo] {
        if self.btf.is_some() { &self.lines } else { &[] }
    }

    /// What the source has at a line of the table.
    pub(crate) fn source(&self, line: &LineInfo) -> Option<Source<'_>> {
        Source::of(self.btf.as_ref()?, line)
    }
}

/// Records that the kernel gave; should they not be whole, there are none.
fn records<R: ext::Record>(bytes: &[u8], size: u32) -> Vec<R> {
    if bytes.is_empty() {
        return Vec::new();
    }
    ext::decode(bytes, size as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skep_isa::disasm::NoNames;
    use skep_kernel::bpf::{ProgInfoExtra, ProgType};

    use super::listing::Details;
    use super::*;
    use crate::json::Writer;

    /// A program that no kernel ever let in.
    fn code(bytes: &[u8], jited: Vec<u8>, lengths: Vec<u32>) -> Code {
        let extra = ProgInfoExtra {
            jited,
            jited_ksyms: lengths.iter().map(|&len| u64::from(len) << 4).collect(),
            jited_func_lens: lengths,
            ..ProgInfoExtra::default()
        };
        let info = ProgInfo {
            kind: ProgType::XDP,
            id: 1,
            name: "a\"\u{1b}".to_owned(),
            tag: [0; 8],
            jited_len: extra.jited.len() as u32,
            xlated_len: bytes.len() as u32,
            load_time: 0,
            created_by_uid: 0,
            map_ids: Vec::new(),
            ifindex: 0,
            netns_dev: 0,
            netns_ino: 0,
            gpl_compatible: false,
            btf_id: 0,
            func_info_count: 0,
            line_info_count: 0,
            jited_func_count: 0,
            run_time_ns: 0,
            run_count: 0,
            recursion_misses: 0,
            verified_insns: 0,
            attach_btf_obj_id: 0,
            attach_btf_id: 0,
            orphaned: false,
            extra,
        };
        let whole = bytes.len() - bytes.len() % 8;
        let insns = skep_isa::decode_all(&bytes[..whole]).unwrap_or_default();
        Code { info, insns, btf: None, functions: Vec::new(), lines: Vec::new() }
    }

    proptest! {
        #[test]
        fn any_instructions_are_shown_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let code = code(&bytes, Vec::new(), Vec::new());
            let details = Details { opcodes: true, linum: true };
            let mut out = Vec::new();
            listing::plain(&mut out, &code, &NoNames, details).unwrap();
            dot::write(&mut out, &code, &NoNames, details).unwrap();
            for form in [picture::Form::Svg, picture::Form::Ascii] {
                // Jumps to nowhere are refused.
                let _ = picture::write(&mut out, &code, &NoNames, details, form);
            }
            let mut json = Vec::new();
            listing::json(&mut Writer::new(&mut json, false, 0), &code, &NoNames, details).unwrap();
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        }

        /// Jumps and calls among few instructions, so that most lead somewhere.
        #[test]
        fn any_flow_is_drawn_or_refused(jumps in prop::collection::vec((0u8..8, -6i16..6), 1..24)) {
            let insn = |&(kind, off): &(u8, i16)| {
                let code = [0xb7, 0x05, 0x15, 0x85, 0x95, 0x06, 0x18, 0x1d][usize::from(kind)];
                Insn { code, dst: 1, src: u8::from(code == 0x85), off, imm: i32::from(off) }
            };
            let insns: Vec<Insn> = jumps.iter().map(insn).collect();
            let code = code(&skep_isa::encode_all(&insns), Vec::new(), Vec::new());
            let mut out = Vec::new();
            dot::write(&mut out, &code, &NoNames, Details::default()).unwrap();
            for form in [picture::Form::Svg, picture::Form::Ascii] {
                let _ = picture::write(&mut out, &code, &NoNames, Details::default(), form);
            }
        }

        #[test]
        fn any_machine_code_is_shown(
            jited in prop::collection::vec(any::<u8>(), 0..300),
            lengths in prop::collection::vec(prop_oneof![0u32..200, any::<u32>()], 0..4),
        ) {
            let code = code(&[], jited, lengths);
            let details = Details { opcodes: true, linum: true };
            native::plain(&mut Vec::new(), &code, details).unwrap();
            let mut json = Vec::new();
            native::json(&mut Writer::new(&mut json, false, 0), &code, details).unwrap();
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        }
    }
}
