//! Machine code, disassembled as objdump does it, with names for what it calls.
//!
//! Addresses within the listing count from the start of each function; targets of jumps are the kernel's own
//! addresses, as the original shows them. What the original lacks stands behind them: the name of the helper,
//! kernel function or subprogram that is called, and of the map whose address is loaded.

use std::collections::HashMap;
use std::io::{self, Write};

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, Mnemonic, OpKind, Register};
use skep_isa::disasm::NoNames;
use skep_isa::{Insn, insn::opcode};
use skep_kernel::kallsyms::{self, Wanted};

use super::listing::{Details, hex, json_source, plain_source};
use super::{Code, Source};
use crate::json::Writer;

/// A function's machine code.
struct Function<'a> {
    /// As [`Code::signature_of`].
    signature: Option<String>,
    /// The name under which the kernel lists it.
    symbol: String,
    /// Where it is in the kernel.
    address: u64,
    bytes: &'a [u8],
    /// Maps and functions whose addresses are loaded, by place in the code.
    loads: HashMap<usize, String>,
}

/// An instruction of it.
struct Line<'a> {
    /// Bytes from the start of the function.
    pc: usize,
    bytes: &'a [u8],
    source: Option<Source<'a>>,
    text: String,
    /// What is called or loaded.
    target: Option<String>,
}

/// The listing for people.
pub(crate) fn plain(out: &mut dyn Write, code: &Code, details: Details) -> io::Result<()> {
    for_functions(code, &mut |function, lines| {
        if let Some(signature) = &function.signature {
            writeln!(out, "{signature}:")?;
        }
        writeln!(out, "{}:", function.symbol)?;
        for line in lines {
            if let Some(source) = &line.source {
                plain_source(out, source, details)?;
            }
            write!(out, "{:4x}:\t{}", line.pc, line.text)?;
            if let Some(target) = &line.target {
                write!(out, " <{target}>")?;
            }
            if details.opcodes {
                write!(out, "\n\t")?;
                hex(out, line.bytes)?;
                write!(out, " ")?;
            }
            writeln!(out)?;
        }
        writeln!(out)
    })
}

/// The listing for programs: an array with an object per function.
pub(crate) fn json(json: &mut Writer<'_>, code: &Code, details: Details) -> io::Result<()> {
    json.begin_array()?;
    for_functions(code, &mut |function, lines| {
        json.begin_object()?;
        if let Some(signature) = &function.signature {
            json.field("proto", signature)?;
        }
        json.field("name", &function.symbol)?;
        json.name("insns")?;
        json.begin_array()?;
        for line in lines {
            json.begin_object()?;
            if let Some(source) = &line.source {
                json_source(json, source, details)?;
            }
            json.field("pc", &format!("{:#x}", line.pc))?;
            let (operation, operands) = line.text.split_once(' ').unwrap_or((&line.text, ""));
            json.field("operation", operation)?;
            json.field("operands", &split_operands(operands))?;
            if let Some(target) = &line.target {
                json.field("target", target)?;
            }
            if details.opcodes {
                json.name("opcodes")?;
                json.hex_bytes(line.bytes)?;
            }
            json.end_object()?;
        }
        json.end_array()?;
        json.end_object()
    })?;
    json.end_array()
}

/// Operands at the commas between them; an instruction without any has one that is null, as in the original.
fn split_operands(text: &str) -> Vec<Option<String>> {
    let text = text.trim();
    if text.is_empty() {
        return vec![None];
    }
    let mut operands = vec![String::new()];
    let mut within = 0;
    for c in text.chars() {
        match c {
            '(' => within += 1,
            ')' => within -= 1,
            ',' if within == 0 => {
                operands.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = operands.last_mut() {
            last.push(c);
        }
    }
    operands.into_iter().map(Some).collect()
}

/// Shows each function with its lines.
fn for_functions(
    code: &Code,
    show: &mut dyn FnMut(&Function<'_>, &[Line<'_>]) -> io::Result<()>,
) -> io::Result<()> {
    let functions = functions(code);
    let decoded: Vec<Vec<Instruction>> = functions.iter().map(decode).collect();
    let names = target_names(code, decoded.iter().flatten());
    let mut formatter = formatter();
    for (number, (function, instructions)) in functions.iter().zip(&decoded).enumerate() {
        let mut sources = NativeLines::new(code, number, function.address);
        let lines: Vec<Line<'_>> = instructions
            .iter()
            .map(|instruction| {
                let pc = instruction.ip().wrapping_sub(function.address) as usize;
                let mut text = String::new();
                formatter.format(instruction, &mut text);
                let called = call_target(instruction).and_then(|address| names.get(&address).cloned());
                Line {
                    pc,
                    bytes: function.bytes.get(pc..pc + instruction.len()).unwrap_or_default(),
                    source: sources.next_at(instruction.ip()),
                    text: tidied(&text),
                    target: called.or_else(|| function.loads.get(&pc).cloned()),
                }
            })
            .collect();
        show(function, &lines)?;
    }
    Ok(())
}

/// The functions of a program; all code as one function if the kernel did not say where each begins.
fn functions(code: &Code) -> Vec<Function<'_>> {
    let extra = &code.info.extra;
    let mut rest = extra.jited.as_slice();
    let lens = extra.jited_func_lens.iter().map(|&len| len as usize);
    let mut functions = Vec::new();
    for (number, len) in lens.enumerate() {
        let (bytes, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        let address = extra.jited_ksyms.get(number).copied().unwrap_or(0);
        let symbol = code.symbol(number).unwrap_or_else(|| format!("{address:#018x}"));
        let mut function =
            Function { signature: code.signature_of(number), symbol, address, bytes, loads: HashMap::new() };
        function.loads = loads(code, number, &function);
        functions.push(function);
    }
    if functions.is_empty() {
        functions.push(Function {
            signature: None,
            symbol: "unknown".to_owned(),
            address: 0,
            bytes: rest,
            loads: HashMap::new(),
        });
    }
    functions
}

fn decode(function: &Function<'_>) -> Vec<Instruction> {
    let decoder = Decoder::with_ip(64, function.bytes, function.address, DecoderOptions::NONE);
    decoder.into_iter().collect()
}

fn formatter() -> GasFormatter {
    /// Where operands begin, as objdump aligns them.
    const OPERANDS: u32 = 7;
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_small_hex_numbers_in_decimal(false);
    options.set_branch_leading_zeros(false);
    options.set_leading_zeros(false);
    options.set_space_after_operand_separator(false);
    options.set_always_show_scale(true);
    options.set_first_operand_char_index(OPERANDS);
    formatter
}

/// The text without what the formatter leaves: blanks at the end, and a comma where there is no index register.
fn tidied(text: &str) -> String {
    text.trim_end().replace(",)", ")")
}

fn call_target(instruction: &Instruction) -> Option<u64> {
    let near = matches!(instruction.op0_kind(), OpKind::NearBranch64);
    let call = matches!(instruction.mnemonic(), Mnemonic::Call | Mnemonic::Jmp);
    (near && call).then(|| instruction.near_branch64())
}

/// The names of all functions that are called or jumped to outside of the caller.
fn target_names<'a>(
    code: &Code,
    instructions: impl Iterator<Item = &'a Instruction>,
) -> HashMap<u64, String> {
    let within = |address: u64| {
        let starts = code.info.extra.jited_ksyms.iter().zip(&code.info.extra.jited_func_lens);
        starts.into_iter().any(|(&start, &len)| address > start && address < start + u64::from(len))
    };
    let mut names = HashMap::new();
    let mut wanted = Wanted::default();
    for address in instructions.filter_map(call_target).filter(|&address| !within(address)) {
        match code.symbol_at(address) {
            Some(name) => {
                names.insert(address, name);
            }
            None => wanted.addresses.push(address),
        }
    }
    wanted.addresses.sort_unstable();
    wanted.addresses.dedup();
    if !wanted.addresses.is_empty() {
        names.extend(kallsyms::find(&wanted).unwrap_or_default().names);
    }
    names
}

/// Names of the maps and functions whose addresses a function loads.
///
/// The kernel does not tell where a map is, but each 64-bit load becomes one `movabs` into the register that
/// stands for the same BPF register. If both lists agree in number and registers, they are the same loads.
fn loads(code: &Code, number: usize, function: &Function<'_>) -> HashMap<usize, String> {
    let Some(range) = slots(code, number) else { return HashMap::new() };
    let insns = code.insns.get(range).unwrap_or_default();
    let meant: Vec<(u8, Option<String>)> = skep_isa::insn::walk(insns)
        .filter(|(_, insn, second)| insn.is_ld_imm64() && becomes_movabs(insn, second.as_ref()))
        .map(|(_, insn, second)| {
            let named = insn.src != 0;
            let text = skep_isa::disasm::text(&insn, second.as_ref(), &NoNames);
            (insn.dst, text.split_once(" = ").filter(|_| named).map(|(_, value)| value.to_owned()))
        })
        .collect();
    let found: Vec<(usize, u8)> = decode(function)
        .iter()
        .filter(|instruction| instruction.op1_kind() == OpKind::Immediate64)
        .filter_map(|instruction| {
            let pc = instruction.ip().wrapping_sub(function.address) as usize;
            Some((pc, bpf_register(instruction.op0_register())?))
        })
        .collect();
    let same =
        meant.len() == found.len() && meant.iter().zip(&found).all(|((meant, _), (_, found))| meant == found);
    if !same {
        return HashMap::new();
    }
    found.into_iter().zip(meant).filter_map(|((pc, _), (_, name))| Some((pc, name?))).collect()
}

/// Addresses do not fit in 32 bits; of other values only those that do not are loaded in this way.
fn becomes_movabs(insn: &Insn, second: Option<&Insn>) -> bool {
    let high = second.map_or(0, |second| second.imm);
    insn.src != 0 || !(high == 0 || (high == -1 && insn.imm < 0))
}

/// The instructions of a function by its number.
fn slots(code: &Code, number: usize) -> Option<std::ops::Range<usize>> {
    let mut starts: Vec<usize> = vec![0];
    for (at, insn) in code.insns.iter().enumerate() {
        let target = match *insn {
            Insn { code, src: opcode::PSEUDO_CALL, off, .. } if code == opcode::JMP | opcode::CALL => {
                Some(i64::from(off))
            }
            Insn { code: opcode::LD_IMM64, src: opcode::PSEUDO_FUNC, imm, .. } => Some(i64::from(imm)),
            _ => None,
        };
        let target = target.and_then(|distance| usize::try_from(at as i64 + 1 + distance).ok());
        starts.extend(target);
    }
    starts.extend(code.functions.iter().map(|function| function.insn_off as usize));
    starts.sort_unstable();
    starts.dedup();
    let start = *starts.get(number)?;
    Some(start..starts.get(number + 1).copied().unwrap_or(code.insns.len()))
}

/// The BPF register that a register of the machine stands for, by the kernel's JIT compiler.
fn bpf_register(register: Register) -> Option<u8> {
    Some(match register {
        Register::RAX => 0,
        Register::RDI => 1,
        Register::RSI => 2,
        Register::RDX => 3,
        Register::RCX => 4,
        Register::R8 => 5,
        Register::RBX => 6,
        Register::R13 => 7,
        Register::R14 => 8,
        Register::R15 => 9,
        _ => return None,
    })
}

/// Finds the source line of each instruction of a function.
struct NativeLines<'a> {
    code: &'a Code,
    /// The function's lines by the address of their machine code.
    rest: Vec<(u64, skep_btf::ext::LineInfo)>,
}

impl<'a> NativeLines<'a> {
    fn new(code: &'a Code, number: usize, address: u64) -> Self {
        let extra = &code.info.extra;
        let len = extra.jited_func_lens.get(number).copied().unwrap_or(0);
        let within = address..address + u64::from(len);
        let lines = extra.jited_line_info.iter().copied().zip(code.lines().iter().copied());
        let mut rest: Vec<_> = lines.filter(|(place, _)| within.contains(place)).collect();
        rest.reverse();
        Self { code, rest }
    }

    fn next_at(&mut self, address: u64) -> Option<Source<'a>> {
        let (place, _) = self.rest.last()?;
        if address < *place {
            return None;
        }
        let (_, line) = self.rest.pop()?;
        self.code.source(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut formatter = formatter();
        let mut all = String::new();
        for instruction in Decoder::with_ip(64, bytes, 0xffff_ffff_c000_1000, DecoderOptions::NONE).iter() {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            all.push_str(&tidied(&text));
            all.push('\n');
        }
        all
    }

    #[test]
    fn the_look_of_objdump() {
        let prologue = [
            0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0x66, 0x90, 0x55, 0x48, 0x89, 0xe5, 0x48,
            0x81, 0xec, 0x10, 0x00, 0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x48, 0x8b, 0x77, 0x08, 0x89,
            0x7d, 0xfc, 0x48, 0xbf, 0x00, 0x10, 0x20, 0x30, 0x81, 0x88, 0xff, 0xff, 0xe8, 0x00, 0x10, 0x00,
            0x00, 0x75, 0x02, 0xc9, 0xc3,
        ];
        insta::assert_snapshot!(text(&prologue));
    }

    #[test]
    fn operands_are_split_at_the_outer_commas() {
        assert_eq!(
            split_operands("0x0(%rax,%rax,1),%rdi"),
            [Some("0x0(%rax,%rax,1)".to_owned()), Some("%rdi".to_owned())]
        );
        assert_eq!(split_operands(""), [None]);
    }
}
