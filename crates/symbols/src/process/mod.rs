//! What processes have mapped, also of those that are gone.
//!
//! A process is learnt about in two ways: from /proc when it is first asked about or when a program of ours saw it,
//! and from the kernel's records of what processes map ([`skep_kernel::map_watch`]), which tell of those that lived
//! too short to be looked at. Mappings are kept after they are gone, as stacks are named later than they are taken;
//! the newest one at an address counts.

mod perf_map;

use std::collections::VecDeque;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use skep_kernel::map_watch::Change;
use skep_kernel::maps::{self, Mapping};

use self::perf_map::PerfMap;

/// All processes that are known.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: FxHashMap<u32, Process>,
    /// Those that ended and nobody asked about, oldest first.
    ended: VecDeque<u32>,
}

/// How many processes that ended are remembered although nobody asked about them yet: their stacks may still be on
/// the way, or in a map.
const REMEMBERED: usize = 4096;

/// One process.
#[derive(Debug, Default)]
struct Process {
    /// Oldest first; one that was mapped later hides those below it.
    mappings: Vec<Rc<Mapping>>,
    /// Where `mappings` of the program that it runs now begin.
    since_exec: usize,
    /// Whether /proc was read since the last exec.
    read: bool,
    /// Whether somebody asked for an address of it.
    asked: bool,
    ended: bool,
    perf_map: Option<PerfMap>,
}

impl Process {
    fn find(&self, address: u64) -> Option<&Rc<Mapping>> {
        self.mappings.iter().rev().find(|mapping| mapping.range.contains(&address))
    }

    fn add(&mut self, mapping: Rc<Mapping>) {
        if !self.mappings.iter().skip(self.since_exec).any(|known| *known == mapping) {
            self.mappings.push(mapping);
        }
    }
}

impl Processes {
    /// Reads what a process has mapped now, unless that is known. True if this is news.
    pub fn look_at(&mut self, pid: u32) -> bool {
        let process = self.by_pid.entry(pid).or_default();
        process.asked = true;
        if process.read || process.ended { false } else { self.read(pid) }
    }

    /// Reads what a process has mapped now. False if it is gone.
    fn read(&mut self, pid: u32) -> bool {
        let process = self.by_pid.entry(pid).or_default();
        let Ok(mappings) = maps::of(pid) else { return false };
        process.read = true;
        // One that has begun to end has nothing mapped any more.
        for mapping in mappings.into_iter().filter(|mapping| mapping.executable) {
            process.add(Rc::new(mapping));
        }
        true
    }

    /// The files that a process has mapped to run code from.
    pub fn files(&self, pid: u32) -> impl Iterator<Item = &Rc<Mapping>> {
        let mappings = self.by_pid.get(&pid).map_or(&[][..], |process| &process.mappings);
        mappings.iter().filter(|mapping| mapping.is_of_file())
    }

    /// The mapping that an address of a process lies in.
    pub fn find(&mut self, pid: u32, address: u64) -> Option<Rc<Mapping>> {
        self.look_at(pid);
        if let Some(mapping) = self.by_pid.get(&pid)?.find(address) {
            return Some(Rc::clone(mapping));
        }
        // It may have been mapped since, and nobody told.
        if !self.by_pid.get(&pid)?.ended {
            self.read(pid);
        }
        self.by_pid.get(&pid)?.find(address).map(Rc::clone)
    }

    /// The function that a process compiled at run time to an address.
    pub fn compiled(&mut self, pid: u32, address: u64) -> Option<(&str, u64)> {
        let process = self.by_pid.entry(pid).or_default();
        process.perf_map.get_or_insert_with(|| PerfMap::of(pid)).find(address)
    }

    /// Learns of something that a process did.
    pub fn learn(&mut self, change: Change) {
        match change {
            Change::Mapped { pid, mapping } => {
                // Data is of no interest here.
                if mapping.executable {
                    self.by_pid.entry(pid).or_default().add(Rc::new(mapping));
                }
            }
            Change::Executed { pid } => {
                let process = self.by_pid.entry(pid).or_default();
                // Nothing was seen of the old program; what it had mapped would only grow.
                if !process.asked {
                    process.mappings.clear();
                }
                process.since_exec = process.mappings.len();
                process.read = false;
                process.ended = false;
                process.perf_map = None;
            }
            Change::Forked { parent, child } => {
                let mappings = self.by_pid.get(&parent).map(|process| process.mappings.clone());
                // Of a parent that is not known the child can still be read.
                let mappings = mappings.unwrap_or_default();
                self.by_pid.insert(child, Process { mappings, ..Process::default() });
            }
            Change::Exited { pid } => {
                if let Some(process) = self.by_pid.get_mut(&pid)
                    && !std::mem::replace(&mut process.ended, true)
                {
                    self.ended.push_back(pid);
                    self.forget();
                }
            }
            Change::Lost { count } => {
                tracing::warn!(
                    "{count} records of what processes map were lost: some addresses stay without names"
                );
                self.by_pid.values_mut().for_each(|process| process.read = false);
            }
        }
    }

    /// Lets go of the oldest processes that ended.
    fn forget(&mut self) {
        let mut kept = FxHashSet::default();
        while self.ended.len() > REMEMBERED
            && let Some(pid) = self.ended.pop_front()
        {
            // A pid can have been given to another process meanwhile.
            if self.by_pid.get(&pid).is_some_and(|process| process.ended && !process.asked)
                && kept.insert(pid)
            {
                self.by_pid.remove(&pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use skep_kernel::maps::FileId;

    use super::*;

    /// Above all pids that a kernel gives out.
    const GONE: u32 = 1 << 30;

    fn mapping(range: Range<u64>, path: &str) -> Mapping {
        let file = FileId { major: 1, minor: 1, inode: 5 };
        Mapping { range, offset: 0, executable: true, file, path: path.into(), deleted: false }
    }

    fn path(processes: &mut Processes, pid: u32, address: u64) -> String {
        let found = processes.find(pid, address);
        found.map_or("?".into(), |mapping| mapping.path.display().to_string())
    }

    #[test]
    fn a_process_that_is_gone_is_known_by_its_records() {
        let mut processes = Processes::default();
        processes.learn(Change::Mapped { pid: GONE, mapping: mapping(0x1000..0x2000, "/a") });
        processes.learn(Change::Forked { parent: GONE, child: GONE + 1 });
        processes.learn(Change::Executed { pid: GONE + 1 });
        processes.learn(Change::Mapped { pid: GONE + 1, mapping: mapping(0x1800..0x3000, "/b") });
        processes.learn(Change::Forked { parent: GONE + 1, child: GONE + 2 });
        processes.learn(Change::Exited { pid: GONE + 1 });
        assert_eq!(path(&mut processes, GONE, 0x1800), "/a");
        assert_eq!(path(&mut processes, GONE + 1, 0x1800), "/b");
        assert_eq!(path(&mut processes, GONE + 1, 0x1000), "?");
        assert_eq!(path(&mut processes, GONE + 2, 0x2fff), "/b");
        assert_eq!(path(&mut processes, GONE + 2, 0x3000), "?");
    }

    #[test]
    fn what_was_seen_before_exec_can_still_be_named() {
        let mut processes = Processes::default();
        processes.learn(Change::Mapped { pid: GONE, mapping: mapping(0x1000..0x2000, "/old") });
        assert_eq!(path(&mut processes, GONE, 0x1000), "/old");
        processes.learn(Change::Executed { pid: GONE });
        processes.learn(Change::Mapped { pid: GONE, mapping: mapping(0x1800..0x2800, "/new") });
        assert_eq!(path(&mut processes, GONE, 0x1000), "/old");
        assert_eq!(path(&mut processes, GONE, 0x1800), "/new");
    }

    #[test]
    fn processes_nobody_asks_about_are_forgotten() {
        let mut processes = Processes::default();
        for pid in GONE..GONE + REMEMBERED as u32 + 10 {
            processes.learn(Change::Mapped { pid, mapping: mapping(0x1000..0x2000, "/a") });
            if pid == GONE {
                processes.find(pid, 0x1000);
            }
            processes.learn(Change::Exited { pid });
        }
        assert_eq!(processes.by_pid.len(), REMEMBERED + 1);
        assert_eq!(path(&mut processes, GONE, 0x1000), "/a");
    }
}
