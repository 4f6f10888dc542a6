//! The arguments of a static probe: `-4@%edi 8@-16(%rbp) 1@$7 4@counter(%rip) 8@(%rax,%rbx,8)`.
//!
//! Each is a size in bytes, negative when the value is signed, and an operand as the GNU assembler writes it.

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Bytes of the value: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is in two's complement.
    pub signed: bool,
    /// Where it is.
    pub operand: Operand,
}

/// Where an argument is. Registers go by the names of the 64-bit ones without the `r`: `ax`, `di`, `r10`, `ip`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Known when the program was built.
    Constant(i64),
    /// In a register.
    Register {
        /// Which.
        name: &'static str,
        /// The lowest bit of the value: 8 for `%ah` and its like, else 0.
        shift: u8,
    },
    /// The sum of a register and a constant: the address of something the program names.
    Address {
        /// Which register.
        base: &'static str,
        /// Bytes.
        offset: i64,
    },
    /// In memory, at the sum of these.
    Memory {
        /// A register.
        base: Option<&'static str>,
        /// A register, and what it is multiplied by: 1, 2, 4 or 8.
        index: Option<(&'static str, u8)>,
        /// Bytes.
        offset: i64,
    },
}

/// The arguments of a note, one by one.
pub(super) fn split(args: &str) -> impl Iterator<Item = &str> {
    args.split_ascii_whitespace()
}

impl Argument {
    /// Reads one argument. `resolve` tells how far from the probe's own address a symbol is.
    ///
    /// # Errors
    ///
    /// A sentence about what cannot be understood or read.
    pub fn parse(text: &str, resolve: &mut dyn FnMut(&str) -> Option<i64>) -> Result<Argument, String> {
        let (size, operand) = match text.split_once('@') {
            Some((size, operand)) => (Some(size), operand),
            // Older compilers tell no size: it is a word.
            None => (None, text),
        };
        let (size, signed) = match size {
            Some(size) if size.ends_with('f') => {
                return Err(format!("'{text}' is a floating-point number, which BPF programs cannot read"));
            }
            Some(size) => match size.parse::<i8>() {
                Ok(size @ (1 | 2 | 4 | 8)) => (size.unsigned_abs(), false),
                Ok(size @ (-1 | -2 | -4 | -8)) => (size.unsigned_abs(), true),
                _ => return Err(format!("'{text}' has a size that is none of 1, 2, 4 and 8 bytes")),
            },
            None => (8, false),
        };
        let operand = operand_of(operand, resolve).map_err(|problem| format!("'{text}': {problem}"))?;
        Ok(Argument { size, signed, operand })
    }
}

fn operand_of(text: &str, resolve: &mut dyn FnMut(&str) -> Option<i64>) -> Result<Operand, String> {
    if let Some(immediate) = text.strip_prefix('$') {
        return Ok(match displacement(immediate, resolve)? {
            (false, value) => Operand::Constant(value),
            (true, offset) => Operand::Address { base: "ip", offset },
        });
    }
    if let Some(name) = text.strip_prefix('%') {
        let (name, shift) = register(name)?;
        return Ok(Operand::Register { name, shift });
    }
    if text.is_empty() {
        return Err("the operand is missing".to_owned());
    }
    let (front, inside) = match text.split_once('(') {
        Some((front, rest)) => (front, rest.strip_suffix(')').ok_or("a parenthesis is not closed")?),
        None => (text, ""),
    };
    let (symbolic, offset) = if front.is_empty() { (false, 0) } else { displacement(front, resolve)? };
    let mut parts = inside.split(',').map(str::trim);
    let address_register = |text: Option<&str>| match text {
        None | Some("") => Ok(None),
        Some(text) => {
            let name = text.strip_prefix('%').ok_or_else(|| format!("{text} is no register"))?;
            register(name).map(|(name, _)| Some(name))
        }
    };
    let base = address_register(parts.next())?;
    let index = address_register(parts.next())?;
    let scale = match parts.next() {
        None => 1,
        Some(scale) => match scale.parse() {
            Ok(scale @ (1 | 2 | 4 | 8)) => scale,
            _ => return Err(format!("{scale} is no scale")),
        },
    };
    if parts.next().is_some() {
        return Err("there are too many parts in the parentheses".to_owned());
    }
    let base = match (symbolic, base) {
        (false, base) => base,
        // The place of a symbol is known from where the probe itself is.
        (true, None | Some("ip")) => Some("ip"),
        (true, Some(_)) => return Err("a symbol and a register cannot be added up".to_owned()),
    };
    Ok(Operand::Memory { base, index: index.map(|index| (index, scale)), offset })
}

/// A constant, or with `true` the distance of a symbol: `-8`, `0x10`, `counter`, `counter+4`.
fn displacement(text: &str, resolve: &mut dyn FnMut(&str) -> Option<i64>) -> Result<(bool, i64), String> {
    if let Some(value) = integer(text) {
        return Ok((false, value));
    }
    let end = text.get(1..).and_then(|rest| rest.find(['+', '-'])).map_or(text.len(), |at| at + 1);
    let (name, rest) = text.split_at(end);
    let offset = if rest.is_empty() { Some(0) } else { integer(rest.strip_prefix('+').unwrap_or(rest)) };
    // An offset may stand in front: `4+counter`.
    let (name, offset) = match (integer(name), offset) {
        (Some(front), None) => (rest.strip_prefix('+').unwrap_or(rest), Some(front)),
        (_, offset) => (name, offset),
    };
    let offset = offset.ok_or_else(|| format!("{text} is no displacement"))?;
    let at = resolve(name).ok_or_else(|| format!("the program has no symbol {name}"))?;
    Ok((true, at.wrapping_add(offset)))
}

/// Decimal or hexadecimal, of 64 bits with or without a sign.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    let value = magnitude.cast_signed();
    Some(if negative { value.checked_neg().unwrap_or_else(|| value.wrapping_neg()) } else { value })
}

/// The 64-bit register that a register is part of, and the bit where it starts there.
fn register(name: &str) -> Result<(&'static str, u8), String> {
    const LEGACY: [[&str; 5]; 8] = [
        ["ax", "rax", "eax", "al", "ah"],
        ["bx", "rbx", "ebx", "bl", "bh"],
        ["cx", "rcx", "ecx", "cl", "ch"],
        ["dx", "rdx", "edx", "dl", "dh"],
        ["si", "rsi", "esi", "sil", ""],
        ["di", "rdi", "edi", "dil", ""],
        ["bp", "rbp", "ebp", "bpl", ""],
        ["sp", "rsp", "esp", "spl", ""],
    ];
    const NUMBERED: [&str; 8] = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    let legacy = LEGACY.iter().find_map(|names| {
        let at = names.iter().position(|other| *other == name && !name.is_empty())?;
        Some((names[0], if at == 4 { 8 } else { 0 }))
    });
    let numbered = || {
        let whole = name.strip_suffix(['d', 'w', 'b']).unwrap_or(name);
        NUMBERED.iter().find(|other| **other == whole).map(|found| (*found, 0))
    };
    match name {
        "rip" | "eip" => Ok(("ip", 0)),
        _ if name.starts_with("xmm") || name.starts_with("ymm") || name.starts_with("st") => {
            Err(format!("BPF programs cannot read the floating-point register {name}"))
        }
        _ => legacy.or_else(numbered).ok_or_else(|| format!("there is no register {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Argument, String> {
        Argument::parse(text, &mut |name| (name == "counter").then_some(0x100))
    }

    fn operand(text: &str) -> Operand {
        parse(text).unwrap().operand
    }

    #[test]
    fn sizes_and_signs() {
        let of = |text| parse(text).map(|arg| (arg.size, arg.signed)).ok();
        assert_eq!(of("-4@%edi"), Some((4, true)));
        assert_eq!(of("8@%rdi"), Some((8, false)));
        assert_eq!(of("%rdi"), Some((8, false)));
        assert_eq!(of("3@%rdi"), None);
        assert_eq!(of("8f@%xmm0"), None);
        assert_eq!(of("8@%xmm0"), None);
    }

    #[test]
    fn registers_of_every_width() {
        let register = |name, shift| Operand::Register { name, shift };
        for (text, name, shift) in [
            ("8@%rax", "ax", 0),
            ("4@%eax", "ax", 0),
            ("2@%ax", "ax", 0),
            ("1@%al", "ax", 0),
            ("1@%ah", "ax", 8),
            ("1@%dil", "di", 0),
            ("4@%r10d", "r10", 0),
            ("2@%r9w", "r9", 0),
            ("1@%r15b", "r15", 0),
            ("8@%rsp", "sp", 0),
        ] {
            assert_eq!(operand(text), register(name, shift), "{text}");
        }
        assert!(parse("8@%rzz").is_err() && parse("8@%").is_err());
    }

    #[test]
    fn memory_in_all_its_forms() {
        let memory = |base, index, offset| Operand::Memory { base, index, offset };
        assert_eq!(operand("8@-16(%rbp)"), memory(Some("bp"), None, -16));
        assert_eq!(operand("8@(%rax)"), memory(Some("ax"), None, 0));
        assert_eq!(operand("8@0x10(%rax,%rbx,8)"), memory(Some("ax"), Some(("bx", 8)), 16));
        assert_eq!(operand("8@(%rax,%r12)"), memory(Some("ax"), Some(("r12", 1)), 0));
        assert_eq!(operand("8@4(,%rcx,4)"), memory(None, Some(("cx", 4)), 4));
        assert_eq!(operand("4@counter(%rip)"), memory(Some("ip"), None, 0x100));
        assert_eq!(operand("4@counter+8(%rip)"), memory(Some("ip"), None, 0x108));
        assert_eq!(operand("4@4+counter(%rip)"), memory(Some("ip"), None, 0x104));
        assert_eq!(operand("4@counter-8"), memory(Some("ip"), None, 0xf8));
        assert_eq!(operand("4@counter(,%rax,4)"), memory(Some("ip"), Some(("ax", 4)), 0x100));
        for bad in
            ["8@(%rax", "8@(%rax,%rbx,3)", "8@(%rax,%rbx,1,1)", "8@other(%rip)", "8@", "8@counter(%rax)"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn constants() {
        assert_eq!(operand("-4@$-5"), Operand::Constant(-5));
        assert_eq!(operand("8@$0xffffffffffffffff"), Operand::Constant(-1));
        assert_eq!(operand("8@$18446744073709551615"), Operand::Constant(-1));
        assert_eq!(operand("8@$counter"), Operand::Address { base: "ip", offset: 0x100 });
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[-0-9@$%(),a-z+ ]{0,24}") {
            let _ = parse(&text);
        }
    }
}
