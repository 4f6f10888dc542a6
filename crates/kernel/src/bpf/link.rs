//! Links: programs attached to places, for as long as the descriptor is open.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attr::{self, Plain};
use super::types::{AttachType, Cmd};
use super::{address, gate, len32, owned, raw, refused};
use crate::{Error, Result};

/// Attaches a raw tracepoint program to `name`; without a name a tracing program to what it was loaded for.
///
/// `cookie` needs Linux 6.10 unless it is zero.
pub fn raw_tracepoint_open(name: Option<&str>, prog: BorrowedFd<'_>, cookie: u64) -> Result<OwnedFd> {
    let name = name
        .map(CString::new)
        .transpose()
        .map_err(|_| Error::Invalid("a tracepoint name with a zero byte".to_owned()))?;
    let mut attr = attr::RawTracepointOpen {
        name: name.as_deref().map_or(0, |n: &CStr| n.as_ptr() as u64),
        prog_fd: raw(prog),
        cookie,
        ..Plain::zeroed()
    };
    // SAFETY: the name is a C string that lives until the call returns; the command returns a new descriptor.
    unsafe { gate(Cmd::RAW_TRACEPOINT_OPEN, &mut attr).map(|ret| owned(ret)) }
        .map_err(|e| refused(Cmd::RAW_TRACEPOINT_OPEN, e))
}

/// Attaches a program to an open perf event, with a cookie that the program can read (Linux 5.15).
///
/// The event must be enabled separately, and is kept by the link.
pub fn link_create_perf_event(prog: BorrowedFd<'_>, event: BorrowedFd<'_>, cookie: u64) -> Result<OwnedFd> {
    let mut attr = attr::LinkCreatePerf {
        prog_fd: raw(prog),
        target_fd: raw(event),
        attach_type: AttachType::PERF_EVENT.0,
        bpf_cookie: cookie,
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    unsafe { create(&mut attr) }
}

/// Attaches a tracing program (fentry, fexit, tp_btf, LSM) to what it was loaded for, with a cookie.
pub fn link_create_tracing(prog: BorrowedFd<'_>, attach_type: AttachType, cookie: u64) -> Result<OwnedFd> {
    let mut attr =
        attr::LinkCreateTracing { prog_fd: raw(prog), attach_type: attach_type.0, cookie, ..Plain::zeroed() };
    // SAFETY: the structure holds numbers only.
    unsafe { create(&mut attr) }
}

/// The places of a kprobe.multi link.
#[derive(Clone, Debug, Default)]
pub struct KprobeMulti<'a> {
    /// Function names; or none, and `addresses` instead.
    pub symbols: &'a [&'a str],
    /// Function addresses.
    pub addresses: &'a [u64],
    /// One cookie per place, or none at all.
    pub cookies: &'a [u64],
    /// Whether it fires when the function returns.
    pub on_return: bool,
    /// Whether the program was loaded for [`AttachType::TRACE_KPROBE_SESSION`].
    pub session: bool,
}

/// Attaches a program to many kernel functions at once (Linux 5.18).
pub fn link_create_kprobe_multi(prog: BorrowedFd<'_>, places: &KprobeMulti<'_>) -> Result<OwnedFd> {
    let count = places.symbols.len().max(places.addresses.len());
    check_cookies(count, places.cookies)?;
    let names = places
        .symbols
        .iter()
        .map(|name| CString::new(*name))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Error::Invalid("a function name with a zero byte".to_owned()))?;
    let pointers: Vec<u64> = names.iter().map(|name| name.as_ptr() as u64).collect();
    let kind = if places.session { AttachType::TRACE_KPROBE_SESSION } else { AttachType::TRACE_KPROBE_MULTI };
    let mut attr = attr::LinkCreateKprobeMulti {
        prog_fd: raw(prog),
        attach_type: kind.0,
        multi_flags: u32::from(places.on_return),
        cnt: len32(count)?,
        syms: address(&pointers),
        addrs: if pointers.is_empty() { address(places.addresses) } else { 0 },
        cookies: address(places.cookies),
        ..Plain::zeroed()
    };
    // SAFETY: every array has `cnt` elements, every name is a C string, and all live until the call returns.
    unsafe { create(&mut attr) }
}

/// The places of a uprobe.multi link: offsets into one file.
#[derive(Clone, Debug)]
pub struct UprobeMulti<'a> {
    /// The executable or library.
    pub path: &'a Path,
    /// Offsets into the file.
    pub offsets: &'a [u64],
    /// Offsets of the USDT semaphores, or none at all.
    pub ref_ctr_offsets: &'a [u64],
    /// One cookie per offset, or none at all.
    pub cookies: &'a [u64],
    /// Only this process; 0 for all.
    pub pid: u32,
    /// Whether it fires when the function returns.
    pub on_return: bool,
    /// Whether the program was loaded for [`AttachType::TRACE_UPROBE_SESSION`].
    pub session: bool,
}

/// Attaches a program to many places of a file at once (Linux 6.6).
pub fn link_create_uprobe_multi(prog: BorrowedFd<'_>, places: &UprobeMulti<'_>) -> Result<OwnedFd> {
    let count = places.offsets.len();
    check_cookies(count, places.cookies)?;
    check_cookies(count, places.ref_ctr_offsets)?;
    let path = CString::new(places.path.as_os_str().as_bytes())
        .map_err(|_| Error::Invalid(format!("the path {} holds a zero byte", places.path.display())))?;
    let kind = if places.session { AttachType::TRACE_UPROBE_SESSION } else { AttachType::TRACE_UPROBE_MULTI };
    let mut attr = attr::LinkCreateUprobeMulti {
        prog_fd: raw(prog),
        attach_type: kind.0,
        path: path.as_ptr() as u64,
        offsets: address(places.offsets),
        ref_ctr_offsets: address(places.ref_ctr_offsets),
        cookies: address(places.cookies),
        cnt: len32(count)?,
        multi_flags: u32::from(places.on_return),
        pid: places.pid,
        ..Plain::zeroed()
    };
    // SAFETY: every array has `cnt` elements or is absent, the path is a C string, and all live until the return.
    unsafe { create(&mut attr) }
}

/// What a link is attached to, for the kinds that name it by a number.
#[derive(Clone, Copy, Debug)]
pub enum LinkTarget<'a> {
    /// A cgroup, a network namespace or a socket map.
    Fd(BorrowedFd<'a>),
    /// A network device.
    Ifindex(u32),
    /// What the program was loaded for.
    None,
}

/// Attaches a program by a link that needs no more than a target: cgroup, netns, xdp, tcx, netkit, sockmap,
/// and struct_ops, where the map stands in the program's place.
pub fn link_create(
    prog: BorrowedFd<'_>,
    target: LinkTarget<'_>,
    attach_type: AttachType,
    flags: u32,
) -> Result<OwnedFd> {
    let target_fd = match target {
        LinkTarget::Fd(fd) => raw(fd),
        LinkTarget::Ifindex(ifindex) => ifindex,
        LinkTarget::None => 0,
    };
    let mut attr = attr::LinkCreate {
        prog_fd: raw(prog),
        target_fd,
        attach_type: attach_type.0,
        flags,
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    unsafe { create(&mut attr) }
}

/// Where in the packet filter a netfilter program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Netfilter {
    /// Protocol family, `NFPROTO_*`: 2 is IPv4, 10 IPv6.
    pub family: u32,
    /// `NF_INET_*`: 0 prerouting to 4 postrouting.
    pub hook: u32,
    /// Lower runs earlier.
    pub priority: i32,
    /// `BPF_F_NETFILTER_*`.
    pub flags: u32,
}

/// Attaches a netfilter program in this thread's network namespace (Linux 6.4).
pub fn link_create_netfilter(prog: BorrowedFd<'_>, place: Netfilter) -> Result<OwnedFd> {
    let pair = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let mut attr = attr::LinkCreate {
        prog_fd: raw(prog),
        attach_type: AttachType::NETFILTER.0,
        rest: [pair(place.family, place.hook), pair(place.priority as u32, place.flags), 0, 0, 0, 0],
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    unsafe { create(&mut attr) }
}

/// Attaches an iterator program to what it was loaded for, without parameters (Linux 5.8).
pub fn link_create_iter(prog: BorrowedFd<'_>) -> Result<OwnedFd> {
    link_create(prog, LinkTarget::None, AttachType::TRACE_ITER, 0)
}

/// What an iterator walks over, where its kind leaves that open.
#[derive(Clone, Copy, Debug)]
pub enum IterTarget<'a> {
    /// Everything that there is.
    All,
    /// The elements of a map.
    Map(BorrowedFd<'a>),
    /// One thread (Linux 6.1).
    Thread(u32),
    /// The threads of one process (Linux 6.1).
    Process(u32),
    /// Control groups from one on (Linux 6.1).
    Cgroup {
        /// Where to begin.
        group: BorrowedFd<'a>,
        /// `BPF_CGROUP_ITER_*`: 1 the group alone, 2 descendants behind it, 3 before it, 4 ancestors.
        order: u32,
    },
}

/// Attaches an iterator program to what it was loaded for, and to one part of it.
pub fn link_create_iter_over(prog: BorrowedFd<'_>, target: IterTarget<'_>) -> Result<OwnedFd> {
    // `union bpf_iter_link_info`: a map; or a group and an order, the order first; or a thread and a process.
    let info: [u32; 4] = match target {
        IterTarget::All => return link_create_iter(prog),
        IterTarget::Map(map) => [raw(map), 0, 0, 0],
        IterTarget::Thread(tid) => [tid, 0, 0, 0],
        IterTarget::Process(pid) => [0, pid, 0, 0],
        IterTarget::Cgroup { group, order } => [order, raw(group), 0, 0],
    };
    let mut attr = attr::LinkCreate {
        prog_fd: raw(prog),
        attach_type: AttachType::TRACE_ITER.0,
        rest: [address(&info), size_of_val(&info) as u64, 0, 0, 0, 0],
        ..Plain::zeroed()
    };
    // SAFETY: the array lives until the call returns and is as long as the length beside it says.
    unsafe { create(&mut attr) }
}

/// Opens an iterator: reading the descriptor runs the program once over everything.
pub fn iter_create(link: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut attr = attr::IterCreate { link_fd: raw(link), ..Plain::zeroed() };
    // SAFETY: the structure holds numbers only, and the command returns a new descriptor.
    unsafe { gate(Cmd::ITER_CREATE, &mut attr).map(|ret| owned(ret)) }
        .map_err(|e| refused(Cmd::ITER_CREATE, e))
}

/// Detaches a link by force although its descriptor stays open.
pub fn link_detach(link: BorrowedFd<'_>) -> Result<()> {
    let mut attr = attr::One { value: raw(link) };
    // SAFETY: the structure holds a number only.
    unsafe { gate(Cmd::LINK_DETACH, &mut attr) }.map_err(|e| refused(Cmd::LINK_DETACH, e))?;
    Ok(())
}

fn check_cookies(count: usize, cookies: &[u64]) -> Result<()> {
    if cookies.is_empty() || cookies.len() == count {
        return Ok(());
    }
    Err(Error::Invalid(format!("{} cookies or counters for {count} places", cookies.len())))
}

/// # Safety
///
/// `attr` is a structure of `LINK_CREATE` whose addresses are valid.
unsafe fn create<A: Plain>(attr: &mut A) -> Result<OwnedFd> {
    // SAFETY: the caller vouches for the addresses; the command returns a new descriptor.
    unsafe { gate(Cmd::LINK_CREATE, attr).map(|ret| owned(ret)) }.map_err(|e| refused(Cmd::LINK_CREATE, e))
}

/// Whether perf events can be attached by a link, found out without attaching anything.
///
/// A kernel that knows the link looks at the event's descriptor, of which there is none; others refuse earlier.
pub fn has_perf_event_link(prog: BorrowedFd<'_>) -> bool {
    let mut attr = attr::LinkCreatePerf {
        prog_fd: raw(prog),
        target_fd: u32::MAX,
        attach_type: AttachType::PERF_EVENT.0,
        ..Plain::zeroed()
    };
    // SAFETY: the structure holds numbers only.
    let result = unsafe { create(&mut attr) };
    matches!(result, Err(error) if error.errno().is_some_and(|e| e.0 == libc::EBADF))
}

/// Whether links to many functions (kprobe.multi, uprobe.multi, and the sessions of both) exist, found out without attaching anything.
///
/// A kernel that knows the link reads the list of places, which is at an address where nothing can be; others
/// refuse earlier, with another errno.
pub fn has_multi_link(prog: BorrowedFd<'_>, kind: AttachType) -> bool {
    const NOWHERE: u64 = 1;
    let result = match kind {
        AttachType::TRACE_KPROBE_MULTI | AttachType::TRACE_KPROBE_SESSION => {
            let mut attr = attr::LinkCreateKprobeMulti {
                prog_fd: raw(prog),
                attach_type: kind.0,
                cnt: 1,
                addrs: NOWHERE,
                ..Plain::zeroed()
            };
            // SAFETY: the kernel only reads the address, and finds that it cannot.
            unsafe { create(&mut attr) }
        }
        AttachType::TRACE_UPROBE_MULTI | AttachType::TRACE_UPROBE_SESSION => {
            let mut attr = attr::LinkCreateUprobeMulti {
                prog_fd: raw(prog),
                attach_type: kind.0,
                path: NOWHERE,
                offsets: NOWHERE,
                cnt: 1,
                ..Plain::zeroed()
            };
            // SAFETY: as above.
            unsafe { create(&mut attr) }
        }
        _ => return false,
    };
    matches!(result, Err(error) if error.errno().is_some_and(|e| e.0 == libc::EFAULT))
}
