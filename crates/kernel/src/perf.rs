//! perf_event_open(2): tracepoints, counters, kernel functions and watched memory as places to attach programs to.

mod uprobe;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use crate::{Errno, Error, Result, bpf};

pub use uprobe::{UprobeAt, open_uprobe};

/// What to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tracepoint by its id (the file `id` in tracefs).
    ///
    /// A program attached to such an event runs for every process on every CPU, whatever the event's own scope, and
    /// even while the event is disabled: the kernel keeps the programs with the tracepoint. So one event, on any
    /// CPU, is enough, and filtering is the program's job.
    Tracepoint(u64),
    /// A software event.
    Software(Software, Sampling),
    /// A software event by its number (`enum perf_sw_ids`).
    SoftwareNumber(u64, Sampling),
    /// A hardware event (`PERF_TYPE_HARDWARE` and its number).
    Hardware(u64, Sampling),
    /// A few bytes of memory that the processor watches. Of a process, threads that it starts later are watched, too.
    Breakpoint {
        /// The first byte.
        address: u64,
        /// How many bytes: 1, 2, 4 or 8.
        length: u8,
        /// Fires when they are read.
        read: bool,
        /// Fires when they are written.
        write: bool,
        /// Fires when they are executed.
        execute: bool,
    },
    /// Any other: the type from /sys/bus/event_source/devices/*/type and `config`.
    Raw {
        /// `type` of the attributes.
        kind: u32,
        /// `config` of the attributes.
        config: u64,
        /// How often.
        sampling: Sampling,
    },
}

/// Software events (`enum perf_sw_ids`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the kernel's own names, described in perf_event_open(2)")]
pub enum Software {
    CpuClock = 0,
    TaskClock = 1,
    PageFaults = 2,
    ContextSwitches = 3,
    CpuMigrations = 4,
    PageFaultsMin = 5,
    PageFaultsMaj = 6,
    AlignmentFaults = 7,
    EmulationFaults = 8,
    Dummy = 9,
    BpfOutput = 10,
    CgroupSwitches = 11,
}

/// How often an event fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each time its count grows by this much; for clocks in nanoseconds.
    Period(u64),
    /// This often a second.
    Frequency(u64),
}

/// Whose events: a process and a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Only this process; `None` is all.
    pub pid: Option<i32>,
    /// Only this CPU; `None` is all, which needs a process.
    pub cpu: Option<u32>,
}

impl Scope {
    /// Everything on one CPU.
    pub fn cpu(cpu: u32) -> Self {
        Self { pid: None, cpu: Some(cpu) }
    }

    /// One process wherever it runs.
    pub fn pid(pid: i32) -> Self {
        Self { pid: Some(pid), cpu: None }
    }
}

/// `struct perf_event_attr` up to the fields of Linux 4.8 (`PERF_ATTR_SIZE_VER5`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period_or_freq: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

const _: () = assert!(size_of::<Attr>() == 112);

const FLAG_DISABLED: u64 = 1 << 0;
const FLAG_INHERIT: u64 = 1 << 1;
const FLAG_FREQ: u64 = 1 << 10;
const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const TYPE_TRACEPOINT: u32 = 2;
const TYPE_BREAKPOINT: u32 = 5;
const SAMPLE_RAW: u64 = 1 << 10;
/// The descriptor closes when another program is executed.
const FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// Opens an event, not yet enabled.
///
/// # Errors
///
/// `EACCES` and `EPERM` without CAP_PERFMON or under a strict `kernel.perf_event_paranoid`; `ESRCH` if the process
/// is gone; `ENOENT` or `EOPNOTSUPP` if the machine has no such event; `ENODEV` if the CPU is offline.
pub fn open(event: Event, scope: Scope) -> Result<OwnedFd> {
    let (kind, config, sampling) = match event {
        Event::Tracepoint(id) => (TYPE_TRACEPOINT, id, Sampling::Period(1)),
        Event::Software(software, sampling) => (TYPE_SOFTWARE, software as u64, sampling),
        Event::SoftwareNumber(number, sampling) => (TYPE_SOFTWARE, number, sampling),
        Event::Hardware(number, sampling) => (TYPE_HARDWARE, number, sampling),
        Event::Breakpoint { .. } => (TYPE_BREAKPOINT, 0, Sampling::Period(1)),
        Event::Raw { kind, config, sampling } => (kind, config, sampling),
    };
    let mut attr = Attr {
        kind,
        size: size_of::<Attr>() as u32,
        config,
        flags: FLAG_DISABLED,
        sample_type: if kind == TYPE_TRACEPOINT { SAMPLE_RAW } else { 0 },
        wakeup: 1,
        ..Attr::default()
    };
    if let Event::Breakpoint { address, length, read, write, execute } = event {
        (attr.bp_type, attr.config1) =
            (u32::from(read) | u32::from(write) << 1 | u32::from(execute) << 2, address);
        // Where code is watched the length has no meaning, and must be that of a word.
        attr.config2 = if execute { size_of::<usize>() as u64 } else { u64::from(length) };
        if scope.pid.is_some() {
            attr.flags |= FLAG_INHERIT;
        }
    }
    match sampling {
        Sampling::Period(period) => attr.sample_period_or_freq = period,
        Sampling::Frequency(frequency) => {
            attr.sample_period_or_freq = frequency;
            attr.flags |= FLAG_FREQ;
        }
    }
    // SAFETY: no field of the structure is an address.
    unsafe { open_attr(&attr, scope) }
        .inspect(|_| tracing::trace!(target: "skep::perf", ?event, ?scope, "opened"))
}

/// A place in the kernel's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KprobeAt<'a> {
    /// In a function, which `module:` may stand before.
    Function {
        /// Its name.
        name: &'a str,
        /// Bytes from its start.
        offset: u64,
    },
    /// Anywhere.
    Address(u64),
}

/// Opens the event of a place in the kernel's code being reached, or of a function returning. As with tracepoints the
/// programs of the event run for every process on every CPU.
///
/// # Errors
///
/// `ENOENT` if there is no such function; `EADDRNOTAVAIL` if there are several of that name (Linux 6.6);
/// `EINVAL` and `EILSEQ` if the place is not the start of an instruction or may not be probed; `ENOENT` with the name of
/// the file that is missing if the kernel has no kprobes.
pub fn open_kprobe(at: KprobeAt<'_>, on_return: bool) -> Result<OwnedFd> {
    let path = Path::new(KPROBE_TYPE);
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::file(path, e).with_hint("this kernel is built without kprobes (CONFIG_KPROBES)")
    })?;
    let kind =
        text.trim().parse().map_err(|_| Error::Format { what: "the type of an event source", text })?;
    let name;
    let (config1, config2) = match at {
        KprobeAt::Address(address) => (0, address),
        KprobeAt::Function { name: function, offset } => {
            name = std::ffi::CString::new(function)
                .map_err(|_| Error::Invalid("a function name with a zero byte".to_owned()))?;
            (name.as_ptr() as u64, offset)
        }
    };
    let attr = Attr {
        kind,
        size: size_of::<Attr>() as u32,
        config: u64::from(on_return),
        sample_period_or_freq: 1,
        flags: FLAG_DISABLED,
        wakeup: 1,
        config1,
        config2,
        ..Attr::default()
    };
    // SAFETY: the name is a C string that lives until the call returns.
    unsafe { open_attr(&attr, Scope::cpu(0)) }.map_err(|error| match error {
        Error::Call { call, errno, .. } => {
            let error = Error::call(format!("{call} of a kprobe"), errno);
            match errno.0 {
                libc::ENOENT => error.with_hint("the kernel has no such function, or may not have it probed"),
                libc::EADDRNOTAVAIL => {
                    error.with_hint("several functions have this name; probe one by its address")
                }
                libc::EINVAL | libc::EILSEQ => {
                    error.with_hint("the place may be inside an instruction, or code that may not be probed")
                }
                _ => error,
            }
        }
        other => other,
    })
}

const KPROBE_TYPE: &str = "/sys/bus/event_source/devices/kprobe/type";

/// Whether the kernel lets perf events be put on its functions.
pub fn has_kprobes() -> bool {
    Path::new(KPROBE_TYPE).exists()
}

/// Records about processes instead of events: see [`crate::map_watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SideBand {
    /// Of this process and its children to come, or of all.
    pub pid: Option<i32>,
    /// While they run on this CPU.
    pub cpu: u32,
    /// The descriptor becomes readable when there are so many bytes of records.
    pub wakeup_bytes: u32,
}

/// Opens a dummy event that records executable mappings, names, forks and exits, each with its time last.
pub(crate) fn open_side_band(band: SideBand) -> Result<OwnedFd> {
    const FLAG_INHERIT: u64 = 1 << 1;
    const FLAG_MMAP: u64 = 1 << 8;
    const FLAG_COMM: u64 = 1 << 9;
    const FLAG_TASK: u64 = 1 << 13;
    const FLAG_WATERMARK: u64 = 1 << 14;
    const FLAG_SAMPLE_ID_ALL: u64 = 1 << 18;
    const FLAG_MMAP2: u64 = 1 << 23;
    const FLAG_COMM_EXEC: u64 = 1 << 24;
    const SAMPLE_TIME: u64 = 1 << 2;
    let records = FLAG_MMAP | FLAG_MMAP2 | FLAG_COMM | FLAG_COMM_EXEC | FLAG_TASK | FLAG_SAMPLE_ID_ALL;
    let inherit = if band.pid.is_some() { FLAG_INHERIT } else { 0 };
    let attr = Attr {
        kind: TYPE_SOFTWARE,
        size: size_of::<Attr>() as u32,
        config: Software::Dummy as u64,
        flags: records | FLAG_WATERMARK | inherit,
        sample_type: SAMPLE_TIME,
        wakeup: band.wakeup_bytes,
        ..Attr::default()
    };
    // SAFETY: no field of the structure is an address.
    unsafe { open_attr(&attr, Scope { pid: band.pid, cpu: Some(band.cpu) }) }
}

/// # Safety
///
/// Fields of `attr` that are addresses are valid.
unsafe fn open_attr(attr: &Attr, scope: Scope) -> Result<OwnedFd> {
    let pid = scope.pid.unwrap_or(-1);
    let cpu = scope.cpu.map_or(-1, |cpu| cpu as i32);
    // SAFETY: the structure is as long as its own size field says and the kernel only reads it; the caller vouches for
    // its addresses.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attr),
            pid,
            cpu,
            -1, // no group
            FLAG_FD_CLOEXEC,
        )
    };
    if ret < 0 {
        return Err(refused(attr, Errno::last()));
    }
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(ret as i32) })
}

fn refused(attr: &Attr, errno: Errno) -> Error {
    let error = Error::call("perf_event_open", errno);
    match errno.0 {
        libc::EPERM | libc::EACCES => error.with_hint(
            "run as root or with CAP_PERFMON; sysctl kernel.perf_event_paranoid decides what others may do",
        ),
        libc::ENOENT | libc::EOPNOTSUPP => error.with_hint(
            "this machine has no such event; a virtual one may not pass on its processor's counters",
        ),
        libc::ENODEV => error.with_hint("the CPU is offline"),
        libc::EINVAL if attr.kind == TYPE_BREAKPOINT => {
            error.with_hint("the address must be a multiple of the length, and in memory that may be watched")
        }
        libc::EINVAL if attr.flags & FLAG_FREQ != 0 => {
            error.with_hint("the frequency may be above /proc/sys/kernel/perf_event_max_sample_rate")
        }
        libc::ENOSPC => error.with_hint("the processor watches a few places only, and all are taken"),
        libc::EMFILE => error.with_hint("too many open files; raise the limit with `ulimit -n`"),
        _ => error,
    }
}

/// Opens an event once for each online CPU; CPUs that go offline meanwhile are left out.
pub fn open_on_all_cpus(event: Event) -> Result<Vec<OwnedFd>> {
    let mut events = Vec::new();
    for cpu in online_cpus()? {
        match open(event, Scope::cpu(cpu)) {
            Ok(fd) => events.push(fd),
            Err(error) if error.errno() == Some(Errno(libc::ENODEV)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(events)
}

/// Attaches a program to an event in the way of kernels before 5.15: no cookie, and it lasts as long as the event.
pub fn set_bpf(event: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> Result<()> {
    const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408u32 as libc::Ioctl;
    ioctl("ioctl(PERF_EVENT_IOC_SET_BPF)", event, PERF_EVENT_IOC_SET_BPF, prog.as_raw_fd())
}

/// Lets an event fire.
pub fn enable(event: BorrowedFd<'_>) -> Result<()> {
    const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
    ioctl("ioctl(PERF_EVENT_IOC_ENABLE)", event, PERF_EVENT_IOC_ENABLE, 0)
}

/// Stops an event from firing.
pub fn disable(event: BorrowedFd<'_>) -> Result<()> {
    const PERF_EVENT_IOC_DISABLE: libc::Ioctl = 0x2401;
    ioctl("ioctl(PERF_EVENT_IOC_DISABLE)", event, PERF_EVENT_IOC_DISABLE, 0)
}

/// A program on an event: what keeps both alive.
#[derive(Debug)]
pub struct Attachment {
    // Fields drop in this order: the link goes before its event.
    /// The link, where the kernel has one for perf events.
    pub link: Option<OwnedFd>,
    /// The event.
    pub event: OwnedFd,
}

/// Attaches `prog` to `event` and enables it: by a link with `cookie`, or by ioctl if there is no cookie.
pub fn attach(event: OwnedFd, prog: BorrowedFd<'_>, cookie: Option<u64>) -> Result<Attachment> {
    let crowded = |error: Error| match error.errno() {
        Some(Errno(libc::E2BIG)) => error.with_hint("the kernel runs 64 programs at one place at most"),
        _ => error,
    };
    let link = match cookie {
        Some(cookie) => Some(bpf::link_create_perf_event(prog, event.as_fd(), cookie).map_err(crowded)?),
        None => {
            set_bpf(event.as_fd(), prog).map_err(crowded)?;
            None
        }
    };
    enable(event.as_fd())?;
    Ok(Attachment { link, event })
}

/// The same by a link wherever the kernel has one, as that can be asked for more: [`bpf::link_missed`].
pub fn attach_by_link(event: OwnedFd, prog: BorrowedFd<'_>) -> Result<Attachment> {
    match bpf::link_create_perf_event(prog, event.as_fd(), 0) {
        Ok(link) => {
            enable(event.as_fd())?;
            Ok(Attachment { link: Some(link), event })
        }
        // Whatever else is wrong, it is told by the older way, too.
        Err(_) => attach(event, prog, None),
    }
}

fn ioctl(name: &str, fd: BorrowedFd<'_>, request: libc::Ioctl, arg: i32) -> Result<()> {
    // SAFETY: these requests take a number, not a pointer.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), request, arg as libc::c_long) };
    if ret < 0 {
        let errno = Errno::last();
        let error = Error::call(name, errno);
        return Err(match errno.0 {
            libc::EPERM | libc::EACCES => error.with_hint("the program reads beyond what the event offers"),
            libc::EEXIST => error.with_hint("the event already has a program"),
            _ => error,
        });
    }
    Ok(())
}

/// The CPUs that run now.
pub fn online_cpus() -> Result<Vec<u32>> {
    read_cpus("/sys/devices/system/cpu/online")
}

/// The CPUs that may ever run under this boot; per-CPU maps hold a value for each.
pub fn possible_cpus() -> Result<Vec<u32>> {
    read_cpus("/sys/devices/system/cpu/possible")
}

/// How many CPUs are possible: the number of values in a per-CPU map.
///
/// The kernel counts up to the highest number, and it does not change while it runs.
pub fn possible_cpu_count() -> Result<usize> {
    static COUNT: OnceLock<usize> = OnceLock::new();
    if let Some(count) = COUNT.get() {
        return Ok(*count);
    }
    let count = possible_cpus()?.len();
    Ok(*COUNT.get_or_init(|| count))
}

fn read_cpus(path: &str) -> Result<Vec<u32>> {
    let path = Path::new(path);
    let text = File::open(path)
        .and_then(std::io::read_to_string)
        .map_err(|e| Error::file(path, e).with_hint("is /sys mounted?"))?;
    parse_cpu_list(text.trim())
}

/// Parses a list such as `0-3,8,10-11`.
///
/// # Errors
///
/// [`Error::Format`] for anything else, including ranges that run backwards or beyond any machine.
pub fn parse_cpu_list(text: &str) -> Result<Vec<u32>> {
    const MOST: u32 = 1 << 16;
    let wrong = || Error::Format { what: "a list of CPUs", text: text.to_owned() };
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().map_err(|_| wrong())?;
        let last: u32 = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last >= MOST {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-1,4,6-7").unwrap(), [0, 1, 4, 6, 7]);
        assert_eq!(parse_cpu_list("").unwrap(), [] as [u32; 0]);
        assert!(parse_cpu_list("3-1").is_err());
        assert!(parse_cpu_list("0-4294967295").is_err());
        assert!(parse_cpu_list("x").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9,\\- x]*") {
            let _ = parse_cpu_list(&text);
        }
    }
}
