//! /tmp/perf-PID.map: what compilers at run time write about the functions they make.
//!
//! One line a function: start and size in hex, then the name, which may have spaces.

use std::path::{Path, PathBuf};

use skep_kernel::maps;

/// The functions of one process.
#[derive(Debug, Default)]
pub struct PerfMap {
    path: PathBuf,
    len: u64,
    /// By ascending start; of functions at one start the last one written counts.
    functions: Vec<(u64, u64, Box<str>)>,
}

impl PerfMap {
    /// The file of a process, which need not be there (yet).
    pub fn of(pid: u32) -> PerfMap {
        let inner = maps::innermost_pid(pid).unwrap_or(pid);
        let path = format!("/tmp/perf-{inner}.map");
        let mut map = PerfMap { path: maps::in_root(pid, Path::new(&path)), ..PerfMap::default() };
        map.read_news();
        // Once the process is gone, only a file of our own mount namespace can still be found.
        if map.functions.is_empty() {
            map.path = path.into();
            map.read_news();
        }
        map
    }

    /// The function at an address: its name and the bytes from its start.
    pub fn find(&mut self, address: u64) -> Option<(&str, u64)> {
        if self.position(address).is_none() {
            self.read_news();
        }
        let (start, _, name) = self.functions.get(self.position(address)?)?;
        Some((name, address - start))
    }

    fn position(&self, address: u64) -> Option<usize> {
        let after = self.functions.partition_point(|(start, _, _)| *start <= address);
        let index = after.checked_sub(1)?;
        let (start, size, _) = self.functions.get(index)?;
        (address - start < *size).then_some(index)
    }

    /// Reads the file again if it grew.
    fn read_news(&mut self) {
        let len = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if len == self.len {
            return;
        }
        if let Ok(text) = std::fs::read(&self.path) {
            self.len = len;
            self.functions = parse(&text);
        }
    }
}

fn parse(text: &[u8]) -> Vec<(u64, u64, Box<str>)> {
    let text = String::from_utf8_lossy(text);
    let mut functions: Vec<_> = text.lines().filter_map(parse_line).collect();
    // The newest of one start comes first, and stays.
    functions.reverse();
    functions.sort_by_key(|(start, _, _)| *start);
    functions.dedup_by_key(|(start, _, _)| *start);
    functions
}

fn parse_line(line: &str) -> Option<(u64, u64, Box<str>)> {
    let mut fields = line.splitn(3, ' ');
    let mut hex = || {
        let field = fields.next()?;
        u64::from_str_radix(field.strip_prefix("0x").unwrap_or(field), 16).ok()
    };
    let (start, size) = (hex()?, hex()?);
    Some((start, size, fields.next()?.trim().into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_function_at_an_address_counts() {
        let mut map = PerfMap {
            functions: parse(b"1000 20 old\n2000 10 Foo::bar(int, int)\nnonsense\n0x1000 8 new\n"),
            ..PerfMap::default()
        };
        assert_eq!(map.find(0x1004), Some(("new", 4)));
        assert_eq!(map.find(0x1008), None);
        assert_eq!(map.find(0x200f), Some(("Foo::bar(int, int)", 15)));
        assert_eq!(map.find(0x2010), None);
        assert_eq!(map.find(0), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
        }
    }
}
