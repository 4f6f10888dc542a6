//! Calls of bpf(2), decoded and shown as strace shows them. Whoever sees a call hands over what it was given
//! ([`Begun`]), and when it is over what it left behind.
//!
//! - [`follow`]: sees the calls of a command or of processes.
//! - [`attr`]: what each command takes; [`info`], [`insns`], [`flags`]: parts of it.
//! - [`node`]: what was decoded, and its two forms.
//! - [`show`]: lines, JSON, the summary.

mod attr;
mod flags;
mod follow;
mod info;
mod insns;
mod node;
mod show;

use std::time::Duration;

use skep_kernel::bpf::Cmd;

pub use attr::{Caller, Detail};
pub use follow::{Followed, Process, follow};
pub use show::{Finished, Show, Style};

use attr::{Call, MAX_SIZE, u32_at, u64_at};

/// A call that has begun.
pub struct Begun {
    tid: i32,
    cmd: Cmd,
    address: u64,
    size: u32,
    before: Vec<u8>,
    /// What BPF_OBJ_GET_INFO_BY_FD is to fill.
    info: Vec<u8>,
}

impl Begun {
    /// A call by a thread with these arguments, whose memory is as the call finds it.
    pub fn new(tid: i32, [cmd, address, size]: [u64; 3], caller: &dyn Caller) -> Begun {
        let (cmd, size) = (Cmd(cmd as u32), size as u32);
        let before = caller.read(address, size.min(MAX_SIZE) as usize);
        let info = if cmd == Cmd::OBJ_GET_INFO_BY_FD {
            let len = u32_at(&before, 4).min(MAX_SIZE);
            caller.read(u64_at(&before, 8), len as usize)
        } else {
            Vec::new()
        };
        Begun { tid, cmd, address, size, before, info }
    }

    /// The call is over with this result, and memory is as it left it. `spent`: in the call.
    pub fn finished(self, result: i64, spent: Duration, caller: &dyn Caller, detail: Detail) -> Finished {
        let after = caller.read(self.address, self.before.len());
        let call = Call {
            cmd: self.cmd,
            address: self.address,
            size: self.size,
            before: &self.before,
            after: if after.len() == self.before.len() { &after } else { &self.before },
            info: &self.info,
            success: result >= 0,
            caller,
            detail,
        };
        let insns = if detail.verbose && self.cmd == Cmd::PROG_LOAD {
            let (count, address) = (u32_at(&self.before, 4), u64_at(&self.before, 8));
            insns::disassembled(caller, address, count as usize)
        } else {
            Vec::new()
        };
        let made = i32::try_from(result)
            .ok()
            .filter(|fd| *fd >= 0 && detail.paths && makes_descriptor(self.cmd))
            .and_then(|fd| caller.fd_path(fd));
        Finished {
            tid: self.tid,
            cmd: self.cmd,
            attributes: call.decode(),
            size: self.size,
            result,
            made,
            spent,
            insns,
        }
    }
}

/// Whether the result is a descriptor.
fn makes_descriptor(cmd: Cmd) -> bool {
    matches!(
        cmd,
        Cmd::MAP_CREATE
            | Cmd::PROG_LOAD
            | Cmd::OBJ_GET
            | Cmd::PROG_GET_FD_BY_ID
            | Cmd::MAP_GET_FD_BY_ID
            | Cmd::RAW_TRACEPOINT_OPEN
            | Cmd::BTF_LOAD
            | Cmd::BTF_GET_FD_BY_ID
            | Cmd::LINK_CREATE
            | Cmd::LINK_GET_FD_BY_ID
            | Cmd::ENABLE_STATS
            | Cmd::ITER_CREATE
            | Cmd::TOKEN_CREATE
    )
}
