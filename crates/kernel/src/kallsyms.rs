//! /proc/kallsyms: the kernel's own symbols and those of modules and BPF programs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
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

/// Calls `each` for every symbol, in the kernel's order, without the whole text in memory; lines of another form are
/// left out.
pub fn for_each(mut each: impl FnMut(Symbol<'_>)) -> Result<()> {
    let path = Path::new("/proc/kallsyms");
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).map_err(|e| Error::file(path, e))? == 0 {
            return Ok(());
        }
        if let Some(symbol) = parse_line(line.trim_end_matches('\n')) {
            each(symbol);
        }
    }
}

/// The symbols of the text, in its order; lines of another form are left out.
pub fn symbols(text: &str) -> impl Iterator<Item = Symbol<'_>> {
    text.lines().filter_map(parse_line)
}

/// Whether addresses are visible to this reader; if not they all read as zero.
pub fn has_addresses(text: &str) -> bool {
    symbols(text).any(|symbol| symbol.address != 0)
}

/// Addresses whose names are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Addresses themselves.
    pub addresses: Vec<u64>,
    /// Distances from the symbol [`Wanted::base`].
    pub distances: Vec<i64>,
    /// A symbol from which distances are counted, e.g. `__bpf_call_base`.
    pub base: &'static str,
}

/// Names found for what was [`Wanted`].
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Names by address.
    pub names: HashMap<u64, String>,
    /// The modules of those that belong to one.
    pub modules: HashMap<u64, String>,
    /// The address of the base symbol, 0 if it was not asked for or is not there.
    pub base: u64,
}

/// Looks addresses up by reading the list as far as needed, without keeping it.
///
/// The list is in the order of addresses but for modules and programs, which come last. Reading all of it takes
/// the kernel tens of milliseconds, so the reading ends when everything is found.
pub fn find(wanted: &Wanted) -> Result<Found> {
    let path = Path::new("/proc/kallsyms");
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    find_in(&mut reader, wanted).map_err(|e| Error::file(path, e))
}

fn find_in(reader: &mut impl BufRead, wanted: &Wanted) -> std::io::Result<Found> {
    let mut found = Found::default();
    let mut open: Vec<u64> = wanted.addresses.clone();
    let mut distances = wanted.distances.as_slice();
    // What comes before the base is kept until it is known which of it is wanted.
    let mut before: Vec<(u64, String)> = Vec::new();
    let mut line = Vec::new();
    open.sort_unstable();
    while !(open.is_empty() && distances.is_empty()) {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(symbol) = std::str::from_utf8(&line).ok().and_then(|text| parse_line(text.trim_end()))
        else {
            continue;
        };
        if symbol.address == 0 {
            if symbol.is_function() {
                // Addresses are hidden from this reader.
                break;
            }
            // Before Linux 6.15 the variables of each CPU are counted from 0, and come first.
            continue;
        }
        if !distances.is_empty() {
            if symbol.name == wanted.base {
                found.base = symbol.address;
                open.extend(distances.iter().map(|distance| found.base.wrapping_add_signed(*distance)));
                open.sort_unstable();
                open.dedup();
                distances = &[];
                for (address, name) in before.drain(..) {
                    take(&mut open, &mut found, address, &name);
                }
            } else if symbol.is_function() && !symbol.name.starts_with("__pfx_") {
                before.push((symbol.address, symbol.name.to_owned()));
            }
        }
        if let Some(module) = symbol.module.filter(|_| open.binary_search(&symbol.address).is_ok()) {
            found.modules.insert(symbol.address, module.to_owned());
        }
        take(&mut open, &mut found, symbol.address, symbol.name);
    }
    Ok(found)
}

/// Notes the name of an address that is still open.
fn take(open: &mut Vec<u64>, found: &mut Found, address: u64, name: &str) {
    if let Ok(at) = open.binary_search(&address) {
        open.remove(at);
        found.names.insert(address, name.to_owned());
    }
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
    fn wanted_addresses_are_found_by_themselves_and_from_a_base() {
        let text = "0000000000000010 T first\n0000000000000020 T base\n0000000000000030 t third\n\
                    0000000000000040 t other\n";
        let wanted = Wanted { addresses: vec![0x40, 0x99], distances: vec![-0x10, 0x10, 0x11], base: "base" };
        let found = find_in(&mut text.as_bytes(), &wanted).unwrap();
        assert_eq!(found.base, 0x20);
        assert_eq!(found.names[&0x10], "first");
        assert_eq!(found.names[&0x30], "third");
        assert_eq!(found.names[&0x40], "other");
        assert_eq!(found.names.len(), 3);
    }

    #[test]
    fn hidden_addresses_are_noticed() {
        assert!(!has_addresses("0000000000000000 T _stext\n"));
        let wanted = Wanted { addresses: vec![0x20], ..Wanted::default() };
        let hidden = "0000000000000000 T _stext\n0000000000000020 T after\n";
        assert!(find_in(&mut hidden.as_bytes(), &wanted).unwrap().names.is_empty());
    }

    #[test]
    fn variables_of_each_cpu_are_counted_from_zero() {
        let wanted = Wanted { addresses: vec![0x20], ..Wanted::default() };
        let text =
            "0000000000000000 A __per_cpu_start\n0000000000000000 D cpu_data\n0000000000000020 T after\n";
        assert_eq!(find_in(&mut text.as_bytes(), &wanted).unwrap().names[&0x20], "after");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            symbols(&text).count();
        }
    }
}
