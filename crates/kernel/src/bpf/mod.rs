//! bpf(2), typed: maps, programs, links, BTF objects, pins, ids and infos.
//!
//! Descriptors are owned values; everything closes when dropped. Every call passes [`gate()`].

mod attr;
mod btf;
mod gate;
mod info;
mod link;
mod link_info;
mod map;
mod object;
mod prog;
mod query;
mod types;

pub use attr::{NAME_LEN, Plain};
pub use btf::{BtfHead, BtfInfo, btf_head, btf_info, btf_load, btf_name};
pub use gate::{Fake, FakeGuard, gate, install_fake};
pub use info::{MapInfo, ProgInfo, ProgInfoExtra, map_info, map_info_bytes, prog_info, prog_info_with};
pub use link::{
    IterTarget, KprobeMulti, LinkTarget, Netfilter, UprobeMulti, has_multi_link, has_perf_event_link,
    iter_create, link_create, link_create_iter, link_create_iter_over, link_create_kprobe_multi,
    link_create_netfilter, link_create_perf_event, link_create_tracing, link_create_uprobe_multi,
    link_detach, raw_tracepoint_open,
};
pub use link_info::{KprobePlace, LinkDetails, LinkInfo, PerfEventLink, UprobePlace, link_info, link_missed};
pub use map::{BatchPage, Map, MapBtf, MapSpec, UpdateFlag, map_create, map_flags};
pub use object::{
    IdIter, ObjectKind, enable_run_time_stats, get_fd_by_id, ids, next_id, obj_get, obj_get_readonly, obj_pin,
};
pub use prog::{
    LoadError, Loaded, ProgSpec, TestRun, TestRunOutcome, prog_flags, prog_load, prog_load_logged,
    prog_load_quietly, test_run,
};
pub use query::{
    Attached, QueryTarget, Stream, TaskFd, TaskFdKind, attach_flags, prog_attach, prog_detach, prog_query,
    stream_read, task_fd_query,
};
pub use types::{AttachType, Cmd, LinkType, MapType, ProgType};

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{Errno, Error};

/// The address of a buffer, as bpf(2) wants it.
fn address<T>(slice: &[T]) -> u64 {
    if slice.is_empty() { 0 } else { slice.as_ptr() as u64 }
}

/// The address of a buffer the kernel writes into.
fn address_mut<T>(slice: &mut [T]) -> u64 {
    if slice.is_empty() { 0 } else { slice.as_mut_ptr() as u64 }
}

/// A descriptor as the unsigned number the structures hold.
fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

/// A length as the structures hold it; no buffer of this crate comes near 4 GiB.
fn len32(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::Invalid(format!("a buffer of {len} bytes is too long for bpf(2)")))
}

/// Takes ownership of the descriptor that a call returned.
///
/// # Safety
///
/// `ret` is the result of a bpf(2) command that returns a new descriptor.
unsafe fn owned(ret: i64) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for the caller and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(ret as RawFd) }
}

/// An object name in its fixed field: at most 15 bytes, and only the bytes the kernel accepts.
fn name_field(name: &str) -> [u8; NAME_LEN] {
    let mut field = [0; NAME_LEN];
    for (slot, byte) in field.iter_mut().take(NAME_LEN - 1).zip(name.bytes()) {
        *slot = if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' { byte } else { b'_' };
    }
    field
}

/// The text of a fixed field that ends at its first zero.
fn field_text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// The error of a refused command, with a hint where errno and command together tell the cause.
fn refused(cmd: Cmd, errno: Errno) -> Error {
    Error::Call { call: cmd.to_string(), errno, hint: hint(cmd, errno) }
}

fn hint(cmd: Cmd, errno: Errno) -> Option<&'static str> {
    match (cmd, errno.0) {
        (_, libc::ENOSYS) => Some("this kernel is built without bpf(2) (CONFIG_BPF_SYSCALL)"),
        (Cmd::MAP_LOOKUP_ELEM | Cmd::MAP_UPDATE_ELEM | Cmd::MAP_DELETE_ELEM, libc::EPERM) => {
            Some("the map is frozen, or was opened with fewer rights")
        }
        (Cmd::PROG_LOAD, libc::EPERM) => Some(
            "run as root or with CAP_BPF and CAP_PERFMON; kernel lockdown (see /sys/kernel/security/lockdown) \
             and kernels that forbid this program type refuse it too, and before Linux 5.11 the limit on locked \
             memory (ulimit -l)",
        ),
        (Cmd::MAP_CREATE, libc::EPERM) => Some(
            "run as root or with CAP_BPF; before Linux 5.11 this also means that the limit on locked memory \
             (ulimit -l) is reached",
        ),
        (_, libc::EPERM) => Some("run as root or with CAP_BPF (and CAP_PERFMON for tracing)"),
        (Cmd::MAP_CREATE, libc::E2BIG) => {
            Some("max_entries or the value size is above what this map type allows")
        }
        (Cmd::PROG_LOAD, libc::E2BIG) => {
            Some("the program has more instructions than this kernel's verifier accepts")
        }
        (Cmd::MAP_CREATE, libc::ENOMEM) => Some("not enough memory for the map; make it smaller"),
        (Cmd::MAP_CREATE | Cmd::PROG_LOAD, libc::EINVAL) => {
            Some("this kernel may not know the map or program type, or a flag of it")
        }
        (Cmd::RAW_TRACEPOINT_OPEN, libc::ENOENT) => Some("this kernel has no raw tracepoint of that name"),
        (Cmd::LINK_CREATE, libc::EOPNOTSUPP) => Some("this kernel is built without what the link needs"),
        (Cmd::OBJ_PIN | Cmd::OBJ_GET, libc::EACCES) => Some("directory not in bpf file system (bpffs)"),
        (_, libc::EMFILE) => Some("too many open files; raise the limit with `ulimit -n`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use skep_isa::{Insn, Reg};

    use super::*;

    /// A kernel that answers every call with the next of these errors, and counts the calls.
    fn kernel_that_says(errnos: &'static [i32]) -> (FakeGuard, Rc<Cell<usize>>) {
        let calls = Rc::new(Cell::new(0));
        let seen = Rc::clone(&calls);
        let guard = install_fake(Box::new(move |_, _| {
            let errno = errnos[seen.get().min(errnos.len() - 1)];
            seen.set(seen.get() + 1);
            Err(Errno(errno))
        }));
        (guard, calls)
    }

    fn program() -> [Insn; 2] {
        [Insn::mov64_imm(Reg::R0, 0), Insn::exit()]
    }

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&name_field("sys_enter.open")[..14], b"sys_enter.open");
        assert_eq!(&name_field("a name: very long indeed"), b"a_name__very_lo\0");
        assert_eq!(field_text(&name_field("x")), "x");
    }

    #[test]
    fn a_refusal_names_call_errno_and_cure() {
        let (_fake, _) = kernel_that_says(&[libc::EPERM]);
        let error = map_create(&MapSpec::new(MapType::HASH, "m", 4, 4, 1)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("bpf(BPF_MAP_CREATE): EPERM (Operation not permitted)\n  hint: run as root"),
            "{text}"
        );
    }

    #[test]
    fn an_interrupted_verifier_is_asked_again_but_not_for_ever() {
        let insns = program();
        let spec = ProgSpec::new(ProgType::SOCKET_FILTER, "p", &insns);
        let (fake, calls) = kernel_that_says(&[libc::EAGAIN, libc::EAGAIN, libc::EPERM]);
        assert_eq!(prog_load(&spec).unwrap_err().errno, Errno(libc::EPERM));
        assert_eq!(calls.get(), 3, "without rights there is no log to ask for");
        drop(fake);
        let (_fake, calls) = kernel_that_says(&[libc::EAGAIN]);
        assert_eq!(prog_load(&spec).unwrap_err().errno, Errno(libc::EAGAIN));
        assert!(calls.get() < 20);
    }

    #[test]
    fn a_log_that_does_not_fit_gets_more_room() {
        let insns = program();
        let spec = ProgSpec { log_level: 2, ..ProgSpec::new(ProgType::SOCKET_FILTER, "p", &insns) };
        let (_fake, calls) = kernel_that_says(&[libc::ENOSPC, libc::ENOSPC, libc::EINVAL]);
        assert_eq!(prog_load(&spec).unwrap_err().errno, Errno(libc::EINVAL));
        assert_eq!(calls.get(), 3);
    }

    #[test]
    fn an_error_ends_the_walk_over_ids() {
        let (_fake, _) = kernel_that_says(&[libc::EPERM]);
        let all: Vec<_> = ids(ObjectKind::Prog).collect();
        assert_eq!(all.len(), 1);
        assert!(all[0].is_err());
    }

    #[test]
    fn the_fake_ends_with_its_guard() {
        let (fake, calls) = kernel_that_says(&[libc::ENOENT]);
        assert_eq!(next_id(ObjectKind::Map, 0), Ok(None));
        drop(fake);
        let _ = next_id(ObjectKind::Map, 0);
        assert_eq!(calls.get(), 1);
    }
}
