//! The kernel's addresses: its own symbols, those of modules, and BPF programs.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use skep_kernel::kallsyms::{self, Symbol};

use crate::Frame;

/// Functions by address: 12 bytes for each beside its name. Nothing is read before the first question.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    /// Ascending.
    starts: Vec<u64>,
    /// Where in `names` the name of each begins.
    name_at: Vec<u32>,
    /// A name, a tab, a module (empty for the kernel itself), a line end; and so on.
    names: String,
    /// All addresses from here on, and those below the kernel, are of modules and programs, which come and go.
    modules_from: u64,
    core_from: u64,
    read_at: Option<Instant>,
}

/// A function of the kernel itself ends within so many bytes, one of a module or a program too.
const LONGEST: u64 = 16 << 20;
const LONGEST_IN_MODULE: u64 = 1 << 20;

/// How long a look at modules and programs counts as recent.
const RECENT: Duration = Duration::from_millis(250);

impl KernelSymbols {
    /// What is at an address.
    pub fn frame(&mut self, address: u64) -> Frame {
        // Modules and programs may have come since.
        let stale = |read_at: Instant| self.is_changing(address) && read_at.elapsed() > RECENT;
        if self.read_at.is_none_or(stale) {
            self.read();
        }
        self.look_up(address)
    }

    fn is_changing(&self, address: u64) -> bool {
        address >= self.modules_from || address < self.core_from
    }

    fn read(&mut self) {
        let mut read = Builder::default();
        // Without the right to see addresses all of them are 0, and nothing is found.
        if let Err(error) = kallsyms::for_each(|symbol| read.add(&symbol)) {
            tracing::warn!("addresses of the kernel stay without names: {error}");
        }
        *self = KernelSymbols { read_at: Some(Instant::now()), ..read.finish() };
    }

    fn look_up(&self, address: u64) -> Frame {
        let unknown = Frame::default();
        let Some(mut index) = self.starts.partition_point(|start| *start <= address).checked_sub(1) else {
            return unknown;
        };
        let start = self.starts.get(index).copied().unwrap_or(0);
        // Of several names for one address the first counts.
        while index > 0 && self.starts.get(index - 1) == Some(&start) {
            index -= 1;
        }
        let Some((name, module)) = self.name(index) else { return unknown };
        let offset = address - start;
        if offset > if module.is_empty() { LONGEST } else { LONGEST_IN_MODULE } {
            return unknown;
        }
        Frame {
            name: Some(name.into()),
            offset,
            module: (!module.is_empty()).then(|| Rc::from(Path::new(module))),
            ..Frame::default()
        }
    }

    fn name(&self, index: usize) -> Option<(&str, &str)> {
        let at = *self.name_at.get(index)? as usize;
        self.names.get(at..)?.split('\n').next()?.split_once('\t')
    }
}

#[derive(Default)]
struct Builder {
    /// Address, whether the name is local to a file, place in `names`.
    entries: Vec<(u64, bool, u32)>,
    names: String,
    core: Option<(u64, u64)>,
}

impl Builder {
    fn add(&mut self, symbol: &Symbol<'_>) {
        if symbol.address == 0 || !symbol.is_function() {
            return;
        }
        // The names of all kernels there are fit 4 GiB.
        let Ok(at) = u32::try_from(self.names.len()) else { return };
        self.entries.push((symbol.address, symbol.kind.is_ascii_lowercase(), at));
        self.names.push_str(symbol.name);
        self.names.push('\t');
        self.names.push_str(symbol.module.unwrap_or(""));
        self.names.push('\n');
        if symbol.module.is_none() {
            let (low, high) = self.core.unwrap_or((symbol.address, symbol.address));
            self.core = Some((low.min(symbol.address), high.max(symbol.address)));
        }
    }

    fn finish(mut self) -> KernelSymbols {
        // Of the names of one address those for all files come first, and then the kernel's order counts.
        self.entries.sort_unstable();
        let (core_from, core_to) = self.core.unwrap_or((0, 0));
        KernelSymbols {
            starts: self.entries.iter().map(|(address, ..)| *address).collect(),
            name_at: self.entries.iter().map(|(.., at)| *at).collect(),
            names: self.names,
            modules_from: core_to.saturating_add(1),
            core_from,
            read_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(text: &str) -> KernelSymbols {
        let mut builder = Builder::default();
        kallsyms::symbols(text).for_each(|symbol| builder.add(&symbol));
        builder.finish()
    }

    fn shown(symbols: &KernelSymbols, address: u64) -> String {
        let frame = symbols.look_up(address);
        let module = frame.module.map_or(String::new(), |module| format!(" [{}]", module.display()));
        frame.name.map_or("?".into(), |name| format!("{name}+{}{module}", frame.offset))
    }

    #[test]
    fn functions_of_the_kernel_of_modules_and_of_programs() {
        let text = "0000000000000000 A nothing\nffffffff81000000 t local\nffffffff81000000 T _stext\nffffffff81000000 T _text\n\
            ffffffff81000100 t inner\nffffffff81000200 D data\nffffffffc0002000 t bpf_prog_ab_x\t[bpf]\n\
            ffffffffc0001000 t start\t[ext4]\n";
        let symbols = symbols(text);
        assert_eq!(shown(&symbols, 0xffff_ffff_8100_0004), "_stext+4");
        assert_eq!(shown(&symbols, 0xffff_ffff_8100_0210), "inner+272");
        assert_eq!(shown(&symbols, 0xffff_ffff_c000_1fff), "start+4095 [ext4]");
        assert_eq!(shown(&symbols, 0xffff_ffff_c000_2000), "bpf_prog_ab_x+0 [bpf]");
        assert_eq!(shown(&symbols, 0xffff_ffff_c900_0000), "?");
        assert_eq!(shown(&symbols, 0x1000), "?");
        assert!(!symbols.is_changing(0xffff_ffff_8100_0080));
        assert!(symbols.is_changing(0xffff_ffff_c000_2000));
    }

    #[test]
    fn without_addresses_nothing_is_found() {
        assert_eq!(shown(&symbols("0000000000000000 T _stext\n"), 0xffff_ffff_8100_0004), "?");
    }
}
