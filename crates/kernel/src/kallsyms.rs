//! /proc/kallsyms: the kernel's own symbols and those of modules and BPF programs.

use std::path::Path;

use crate::{Error, Result};

/// One symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its address; 0 for readers without the right to see it.
    pub address: u64,
    /// The letter that nm(1) gives it: `t` and `T` are functions.
    pub kind: u8,
    /// Its name.
    pub name: &'a str,
    /// The module it belongs to; `bpf` for JITed programs; `None` for the kernel itself.
    pub module: Option<&'a str>,
}

impl Symbol<'_> {
    /// Whether it is code.
    pub fn is_function(&self) -> bool {
        matches!(self.kind, b't' | b'T' | b'w' | b'W')
    }
}

/// The whole text, some 5 MiB.
pub fn read() -> Result<String> {
    let path = Path::new("/proc/kallsyms");
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// The symbols of the text, in its order; lines of another form are left out.
pub fn symbols(text: &str) -> impl Iterator<Item = Symbol<'_>> {
    text.lines().filter_map(parse_line)
}

/// Whether addresses are visible to this reader; if not they all read as zero.
pub fn has_addresses(text: &str) -> bool {
    symbols(text).any(|symbol| symbol.address != 0)
}

fn parse_line(line: &str) -> Option<Symbol<'_>> {
    let (address, rest) = line.split_once(' ')?;
    let (kind, rest) = rest.split_once(' ')?;
    let (name, module) = match rest.split_once('\t') {
        Some((name, module)) => (name, module.strip_prefix('[')?.strip_suffix(']')),
        None => (rest, None),
    };
    let &[kind] = kind.as_bytes() else { return None };
    Some(Symbol { address: u64::from_str_radix(address, 16).ok()?, kind, name, module })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_kernel_modules_and_programs() {
        let text = "ffffffff81000000 T _stext\nffffffffc0001000 t helper_fn\t[ext4]\n\
                    ffffffffc0002000 t bpf_prog_6deef7357e7b4530\t[bpf]\nnonsense\n";
        let all: Vec<_> = symbols(text).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(
            all[0],
            Symbol { address: 0xffff_ffff_8100_0000, kind: b'T', name: "_stext", module: None }
        );
        assert_eq!(all[1].module, Some("ext4"));
        assert_eq!(all[2].module, Some("bpf"));
        assert!(all.iter().all(Symbol::is_function));
    }

    #[test]
    fn hidden_addresses_are_noticed() {
        assert!(!has_addresses("0000000000000000 T _stext\n"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            symbols(&text).count();
        }
    }
}
