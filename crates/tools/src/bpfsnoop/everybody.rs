//! Calls of the whole system, by a script. Nobody is stopped: the script copies the memory that calls refer to while
//! they are made. What it leaves out, as it is large or lies behind further pointers, is read from the
//! caller when the call has ended, if it still is there.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use skep_inspect::calls::{Begun, Caller, Detail, Process, Show};

use super::{Flags, detail};
use crate::flags::CommonFlags;
use crate::row::Row;
use crate::run::{self, Run, View, switch};

const SCRIPT: &str = include_str!("bpfsnoop.bt");

/// Bytes of each piece of memory that are copied: instructions and logs are long, and needed for details only.
const COPIED: u32 = 4096;
const COPIED_FOR_DETAILS: u32 = 65536;
/// Pages of 4 KiB that calls may wait in: their memory is long.
const BUFFER_PAGES: u32 = 2048;

/// Shows all calls until it is ended.
pub(super) fn trace(flags: &Flags, show: Show) -> ExitCode {
    let common = CommonFlags {
        duration: flags.system.duration,
        script: flags.system.script,
        buffer_pages: Some(flags.system.buffer_pages.unwrap_or(BUFFER_PAGES)),
        ..CommonFlags::default()
    };
    let copied = if flags.verbose { COPIED_FOR_DETAILS } else { COPIED };
    let run = Run {
        named: vec![
            ("self", std::process::id().to_string()),
            ("memory", switch(!flags.summary_only)),
            ("verbose", switch(flags.verbose)),
        ],
        config: vec![("max_strlen".into(), copied.to_string())],
        filter: flags.system.groups.filter(),
        ..Run::new("bpfsnoop", SCRIPT, &common)
    };
    run::run(run, Everybody { show, detail: detail(flags), calls: HashMap::new() })
}

/// Puts together what the script tells of each thread's call.
struct Everybody {
    show: Show,
    detail: Detail,
    calls: HashMap<i32, Call>,
}

/// A thread's call.
struct Call {
    /// What tells it from the thread's other calls: when it began.
    id: u64,
    /// What it was given, once that is told.
    begun: Option<Begun>,
    memory: Copied,
}

impl View for Everybody {
    fn row(&mut self, row: &Row<'_>, _: &mut dyn Write) -> io::Result<()> {
        let (Ok(tid), id) = (i32::try_from(row.uint("tid")), row.uint("call")) else { return Ok(()) };
        // Whatever an earlier call of the thread left open, its end was lost.
        if self.calls.get(&tid).is_none_or(|call| call.id != id) {
            self.calls.insert(
                tid,
                Call { id, begun: None, memory: Copied { caller: Process(tid), pieces: Vec::new() } },
            );
        }
        let Some(call) = self.calls.get_mut(&tid) else { return Ok(()) };
        if row.get("memory").is_some() {
            // What the kernel left there hides what was there before.
            call.memory.pieces.insert(0, (row.uint("address"), row.bytes("memory").to_vec()));
            return Ok(());
        }
        if row.get("comm").is_some() {
            self.show.called(tid, row.text("comm"));
            let args = ["cmd", "attr", "size"].map(|name| row.uint(name));
            call.begun = Some(Begun::new(tid, args, &call.memory));
            return Ok(());
        }
        let Some(Call { begun: Some(begun), memory, .. }) = self.calls.remove(&tid) else { return Ok(()) };
        let spent = Duration::from_nanos(row.uint("spent"));
        let call = begun.finished(row.int("result"), spent, &memory, self.detail);
        if row.get("gone").is_some() { self.show.unfinished(&call) } else { self.show.call(&call) }
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        self.show.summary()
    }
}

/// Memory of a caller: pieces of it from when it made its call, the latest first; the rest as it is now.
struct Copied {
    caller: Process,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Caller for Copied {
    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let copied = self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(from..).filter(|rest| !rest.is_empty())
        });
        match copied {
            Some(rest) => rest.iter().copied().take(len).collect(),
            None => self.caller.read(address, len),
        }
    }

    fn fd_path(&self, fd: i32) -> Option<String> {
        self.caller.fd_path(fd)
    }

    fn interface(&self, index: u32) -> Option<String> {
        self.caller.interface(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_latest_copy_of_what_is_asked_for() {
        let pieces = vec![(0x100, vec![9, 9]), (0x100, vec![1, 2, 3, 4]), (0x200, vec![5])];
        // A thread that cannot be: nothing is read from it.
        let memory = Copied { caller: Process(i32::MAX), pieces };
        assert_eq!(memory.read(0x100, 1), [9]);
        assert_eq!(memory.read(0x101, 8), [9]);
        assert_eq!(memory.read(0x102, 8), [3, 4]);
        assert_eq!(memory.read(0x200, 8), [5]);
        assert!(memory.read(0x201, 1).is_empty() && memory.read(0xff, 1).is_empty());
    }
}
