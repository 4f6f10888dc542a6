//! One place to ask for the names of addresses, whoever they are of.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use skep_kernel::map_watch::Change;

use crate::Frame;
use crate::elf::DebugPath;
use crate::files::Files;
use crate::kernel::KernelSymbols;
use crate::process::Processes;

/// What is wanted beside the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// File, line and inlined functions, where DWARF tells.
    pub debug_info: bool,
    /// Names of C++ and Rust as their sources spell them.
    pub demangle: bool,
    /// Where separate debug files are looked for.
    pub debug_path: DebugPath,
}

impl Default for Options {
    fn default() -> Self {
        Options { debug_info: true, demangle: true, debug_path: DebugPath::default() }
    }
}

/// Names for addresses of the kernel and of processes. Everything is read when it is first needed, and remembered.
pub struct Symbols {
    options: Options,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    kernel: KernelSymbols,
    processes: Processes,
    files: Option<Files>,
    /// Addresses that were asked for before, of each process (0: the kernel).
    known: FxHashMap<u32, Known>,
    known_addresses: usize,
}

/// By address, and whether it is a return address.
type Known = FxHashMap<(u64, bool), Rc<[Frame]>>;

/// How many addresses are remembered.
const MOST_KNOWN: usize = 1 << 16;

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Symbols::new(Options::default())
    }
}

impl Symbols {
    /// Nothing is read yet.
    pub fn new(options: Options) -> Symbols {
        Symbols { options, state: RefCell::default() }
    }

    /// What is at an address of the kernel.
    pub fn kernel(&self, address: u64) -> Rc<[Frame]> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if let Some(known) = state.known(0, (address, false)) {
            return known;
        }
        let frames: Rc<[Frame]> = Rc::new([state.kernel.frame(address)]);
        state.remember(0, (address, false), frames)
    }

    /// What is at an address of a process: the innermost function first, all but the last one inlined into the
    /// next. There is one at least, but it may be without a name.
    ///
    /// A `return_address`, as all of a stack's are but the first, is that of the instruction after a call, which may
    /// be another line's or function's; so the call itself is looked up.
    pub fn user(&self, pid: u32, address: u64, return_address: bool) -> Rc<[Frame]> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let key = (address, return_address);
        if let Some(known) = state.known(pid, key) {
            return known;
        }
        let looked_up = if return_address { address.saturating_sub(1) } else { address };
        let mut frames = match state.processes.find(pid, looked_up) {
            Some(mapping) => {
                let files = state.files.get_or_insert_with(|| Files::new(&self.options));
                files.frames(pid, &mapping, address, looked_up)
            }
            None => Vec::new(),
        };
        if frames.is_empty() {
            let compiled = state.processes.compiled(pid, looked_up);
            let (name, offset) = compiled.map_or((None, 0), |(name, offset)| (Some(name.into()), offset));
            let offset = offset + (address - looked_up);
            frames.push(Frame { name, offset, ..Frame::default() });
        }
        // What has no name now may have one later, when more is mapped or compiled.
        if frames.iter().all(|frame| frame.name.is_none()) {
            return frames.into();
        }
        state.remember(pid, key, frames.into())
    }

    /// Takes what is needed to name addresses of a process, which may end soon.
    pub fn process_seen(&self, pid: u32) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.processes.look_at(pid) {
            let files = state.files.get_or_insert_with(|| Files::new(&self.options));
            for mapping in state.processes.files(pid) {
                files.hold(pid, mapping);
            }
        }
    }

    /// Learns of something that a process did.
    pub fn learn(&self, change: Change) {
        let mut state = self.state.borrow_mut();
        // A new program or a new process has other things at the same addresses.
        if let Change::Executed { pid } | Change::Forked { child: pid, .. } = change {
            let stale = state.known.remove(&pid).map_or(0, |known| known.len());
            state.known_addresses -= stale;
        }
        state.processes.learn(change);
    }
}

impl State {
    fn known(&self, pid: u32, key: (u64, bool)) -> Option<Rc<[Frame]>> {
        self.known.get(&pid)?.get(&key).map(Rc::clone)
    }

    fn remember(&mut self, pid: u32, key: (u64, bool), frames: Rc<[Frame]>) -> Rc<[Frame]> {
        if self.known_addresses >= MOST_KNOWN {
            self.known.clear();
            self.known_addresses = 0;
        }
        self.known.entry(pid).or_default().insert(key, Rc::clone(&frames));
        self.known_addresses += 1;
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn somewhere() -> u64 {
        // An address inside this function.
        somewhere as fn() -> u64 as usize as u64 + 1
    }

    #[test]
    fn this_process() {
        let symbols = Symbols::default();
        let frames = symbols.user(std::process::id(), somewhere(), false);
        let last = frames.last().unwrap();
        assert!(last.name.as_deref().unwrap().ends_with("somewhere"), "{frames:?}");
        assert_eq!(last.offset, 1);
        assert_eq!(last.module.as_deref(), std::env::current_exe().ok().as_deref());
        let source = last.source.as_ref().unwrap();
        assert!(source.path.ends_with("symbolize.rs") && source.line > 0, "{frames:?}");
        // The byte before a function is not the function's, but a call can end there.
        let after = symbols.user(std::process::id(), somewhere(), true);
        assert_eq!(after.last().unwrap().offset, 1);
    }

    #[test]
    fn nobody_knows_what_is_nowhere() {
        let symbols = Symbols::default();
        assert_eq!(*symbols.user(std::process::id(), 1, false), [Frame::default()]);
        assert_eq!(*symbols.user(1 << 30, 0x1000, false), [Frame::default()]);
        assert_eq!(*symbols.kernel(1), [Frame::default()]);
    }

    #[test]
    fn the_vdso_has_names() {
        let own = skep_kernel::maps::of(std::process::id()).unwrap();
        let Some(vdso) = own.iter().find(|mapping| mapping.path.as_os_str() == "[vdso]") else { return };
        let named = (vdso.range.start..vdso.range.end).step_by(16).any(|address| {
            let frames = Symbols::default().user(std::process::id(), address, false);
            frames
                .iter()
                .any(|frame| frame.name.as_deref().is_some_and(|name| name.contains("clock_gettime")))
        });
        assert!(named);
    }
}
