//! Places in programs and libraries as perf events.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Attr, FLAG_DISABLED, Scope, open_attr};
use crate::{Error, Result};

/// A place in a file.
#[derive(Clone, Copy, Debug)]
pub struct UprobeAt<'a> {
    /// The program or library.
    pub path: &'a Path,
    /// Where in the file the instruction is.
    pub offset: u64,
    /// Where in the file the 16-bit counter of listeners is, which the kernel raises meanwhile; 0 for none.
    pub semaphore: u64,
    /// When the function that begins there returns rather than when it is called.
    pub on_return: bool,
}

const TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";
/// Where in `config` the counter's place begins (format/ref_ctr_offset; Linux 4.20).
const SEMAPHORE_SHIFT: u32 = 32;

/// Opens an event for a place in a file, not yet enabled. It fires for all processes, or for all threads of the
/// scope's process.
///
/// # Errors
///
/// The kernel has no uprobes; the file is not there, is no regular file, or ends before the place; the counter's
/// place does not fit 32 bits.
pub fn open_uprobe(at: &UprobeAt<'_>, pid: Option<i32>) -> Result<OwnedFd> {
    let type_path = Path::new(TYPE);
    let text = std::fs::read_to_string(type_path).map_err(|e| {
        Error::file(type_path, e).with_hint("this kernel is built without uprobes (CONFIG_UPROBE_EVENTS)")
    })?;
    let kind =
        text.trim().parse().map_err(|_| Error::Format { what: "the type of an event source", text })?;
    let path = CString::new(at.path.as_os_str().as_bytes())
        .map_err(|_| Error::Invalid(format!("the path {} holds a zero byte", at.path.display())))?;
    let semaphore = u32::try_from(at.semaphore).map_err(|_| {
        Error::Invalid(format!("the counter at {:#x} of {} is too far back", at.semaphore, at.path.display()))
    })?;
    let attr = Attr {
        kind,
        size: size_of::<Attr>() as u32,
        config: u64::from(at.on_return) | u64::from(semaphore) << SEMAPHORE_SHIFT,
        sample_period_or_freq: 1,
        flags: FLAG_DISABLED,
        wakeup: 1,
        config1: path.as_ptr() as u64,
        config2: at.offset,
        ..Attr::default()
    };
    let scope = pid.map_or(Scope::cpu(0), Scope::pid);
    // SAFETY: the path is a C string that lives until the call returns.
    unsafe { open_attr(&attr, scope) }.map_err(|error| match error {
        Error::Call { call, errno, .. } => {
            let error = Error::call(format!("{call} of {}", at.path.display()), errno);
            match errno.0 {
                libc::ENOENT => error.with_hint("the file does not exist"),
                libc::EINVAL => error.with_hint("the file is no regular file, or it ends before the place"),
                libc::ESRCH => error.with_hint("the process has ended"),
                _ => error,
            }
        }
        other => other,
    })
}
