//! What the kernel says about a link: a part that all have, and one that depends on the type.

use std::os::fd::BorrowedFd;

use super::attr::{self, Plain};
use super::info::fill;
use super::types::{AttachType, LinkType};
use super::{address_mut, field_text, len32, raw};
use crate::Result;

/// What the kernel says about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its type.
    pub kind: LinkType,
    /// Its id.
    pub id: u32,
    /// The attached program.
    pub prog_id: u32,
    /// What depends on the type.
    pub details: LinkDetails,
}

/// The part of a link's info that depends on its type. Fields that the running kernel does not know are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkDetails {
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
        /// What the program sees as its cookie.
        cookie: u64,
    },
    /// fentry, fexit, tp_btf, LSM.
    Tracing {
        /// How it is attached.
        attach_type: AttachType,
        /// The program, for extensions, or the BTF object of the target.
        target_obj_id: u32,
        /// The target's type id.
        target_btf_id: u32,
        /// What the program sees as its cookie.
        cookie: u64,
    },
    /// A control group.
    Cgroup {
        /// The group's id.
        cgroup_id: u64,
        /// Where in the group.
        attach_type: AttachType,
    },
    /// An iterator.
    Iter {
        /// What it walks over, as `task`.
        target: String,
        /// The map, for iterators over one.
        map_id: u32,
        /// The group, for iterators over control groups. The same bytes hold thread and process for iterators
        /// over tasks: the thread in the low half.
        cgroup_id: u64,
        /// The order in which groups are visited, `BPF_CGROUP_ITER_*`.
        order: u32,
    },
    /// A network namespace.
    Netns {
        /// Its inode.
        ino: u32,
        /// Where in it.
        attach_type: AttachType,
    },
    /// The driver of a network device.
    Xdp {
        /// The device; 0 once it is gone.
        ifindex: u32,
    },
    /// A table of functions.
    StructOps {
        /// The map that holds them.
        map_id: u32,
    },
    /// The packet filter.
    Netfilter(super::Netfilter),
    /// tcx or netkit.
    Device {
        /// The device; 0 once it is gone.
        ifindex: u32,
        /// Which side of it.
        attach_type: AttachType,
    },
    /// A map of sockets.
    Sockmap {
        /// The map.
        map_id: u32,
        /// What of its sockets.
        attach_type: AttachType,
    },
    /// kprobe.multi.
    KprobeMulti {
        /// `BPF_F_KPROBE_MULTI_*`; 1 is on return.
        flags: u32,
        /// Runs that were left out.
        missed: u64,
        /// The functions.
        places: Vec<KprobePlace>,
    },
    /// uprobe.multi.
    UprobeMulti {
        /// The file.
        path: String,
        /// `BPF_F_UPROBE_MULTI_*`; 1 is on return.
        flags: u32,
        /// The process, or 0 for all.
        pid: u32,
        /// The places in the file.
        places: Vec<UprobePlace>,
    },
    /// A perf event.
    PerfEvent(PerfEventLink),
    /// A type newer than this table: the union of `struct bpf_link_info` as the kernel filled it.
    Other([u64; 8]),
}

/// A function of a kprobe.multi link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KprobePlace {
    /// Its address; 0 for readers without the right to see it.
    pub address: u64,
    /// What the program sees as its cookie there.
    pub cookie: u64,
}

/// A place of a uprobe.multi link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UprobePlace {
    /// Offset into the file.
    pub offset: u64,
    /// Offset of the USDT semaphore, or 0.
    pub ref_ctr_offset: u64,
    /// What the program sees as its cookie there.
    pub cookie: u64,
}

/// The event behind a perf event link (`enum bpf_perf_event_type`); told since Linux 6.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerfEventLink {
    /// A place in a file.
    Uprobe {
        /// It fires when the function returns.
        on_return: bool,
        /// The file.
        file: String,
        /// Offset into it.
        offset: u32,
        /// What the program sees as its cookie.
        cookie: u64,
        /// Offset of the USDT semaphore, or 0.
        ref_ctr_offset: u64,
    },
    /// A kernel function.
    Kprobe {
        /// It fires when the function returns.
        on_return: bool,
        /// The function.
        name: String,
        /// Offset into it.
        offset: u32,
        /// Its address; 0 for readers without the right to see it.
        address: u64,
        /// Runs that were left out.
        missed: u64,
        /// What the program sees as its cookie.
        cookie: u64,
    },
    /// A tracepoint.
    Tracepoint {
        /// Its name.
        name: String,
        /// What the program sees as its cookie.
        cookie: u64,
    },
    /// A counter.
    Event {
        /// `PERF_TYPE_*`, or the number of a device.
        kind: u32,
        /// Which of the type.
        config: u64,
        /// What the program sees as its cookie.
        cookie: u64,
    },
    /// A kind that this table does not know, 0 before Linux 6.6.
    Unknown(u32),
}

/// Reads a link's info, with names and places.
pub fn link_info(fd: BorrowedFd<'_>) -> Result<LinkInfo> {
    let mut info = attr::RawLinkInfo::zeroed();
    // SAFETY: a zeroed structure asks for no names.
    unsafe { fill(raw(fd), &mut info) }?;
    let kind = LinkType(info.kind);
    let words = info.rest;
    let details = match kind {
        LinkType::RAW_TRACEPOINT => {
            LinkDetails::RawTracepoint { name: read_name(fd, &info, 0, 1)?, cookie: words[2] }
        }
        LinkType::TRACING => LinkDetails::Tracing {
            attach_type: AttachType(low(words[0])),
            target_obj_id: high(words[0]),
            target_btf_id: low(words[1]),
            cookie: words[2],
        },
        LinkType::CGROUP => {
            LinkDetails::Cgroup { cgroup_id: words[0], attach_type: AttachType(low(words[1])) }
        }
        LinkType::ITER => LinkDetails::Iter {
            target: read_name(fd, &info, 0, 1)?,
            map_id: high(words[1]),
            cgroup_id: words[2],
            order: low(words[3]),
        },
        LinkType::NETNS => LinkDetails::Netns { ino: low(words[0]), attach_type: AttachType(high(words[0])) },
        LinkType::XDP => LinkDetails::Xdp { ifindex: low(words[0]) },
        LinkType::STRUCT_OPS => LinkDetails::StructOps { map_id: low(words[0]) },
        LinkType::NETFILTER => LinkDetails::Netfilter(super::Netfilter {
            family: low(words[0]),
            hook: high(words[0]),
            priority: low(words[1]) as i32,
            flags: high(words[1]),
        }),
        LinkType::TCX | LinkType::NETKIT => {
            LinkDetails::Device { ifindex: low(words[0]), attach_type: AttachType(high(words[0])) }
        }
        LinkType::SOCKMAP => {
            LinkDetails::Sockmap { map_id: low(words[0]), attach_type: AttachType(high(words[0])) }
        }
        LinkType::KPROBE_MULTI => kprobe_multi(fd, &info)?,
        LinkType::UPROBE_MULTI => uprobe_multi(fd, &info)?,
        LinkType::PERF_EVENT => LinkDetails::PerfEvent(perf_event(fd, &info)?),
        _ => LinkDetails::Other(words),
    };
    Ok(LinkInfo { kind, id: info.id, prog_id: info.prog_id, details })
}

/// Runs that the kernel left out of a link to functions of its own: it had no room to note that a call is to be looked
/// at when it returns, or was in a probe already. 0 for other links, and where the kernel does not tell (before
/// Linux 6.7).
pub fn link_missed(fd: BorrowedFd<'_>) -> Result<u64> {
    let mut info = attr::RawLinkInfo::zeroed();
    // SAFETY: a zeroed structure asks for no names.
    unsafe { fill(raw(fd), &mut info) }?;
    Ok(match LinkType(info.kind) {
        LinkType::KPROBE_MULTI => info.rest[2],
        LinkType::PERF_EVENT if matches!(low(info.rest[0]), KPROBE | KRETPROBE) => info.rest[4],
        _ => 0,
    })
}

// `enum bpf_perf_event_type`.
const UPROBE: u32 = 1;
const URETPROBE: u32 = 2;
const KPROBE: u32 = 3;
const KRETPROBE: u32 = 4;
const TRACEPOINT: u32 = 5;
const EVENT: u32 = 6;

fn kprobe_multi(fd: BorrowedFd<'_>, first: &attr::RawLinkInfo) -> Result<LinkDetails> {
    let count = low(first.rest[1]) as usize;
    let (mut addresses, mut cookies) = (vec![0u64; count], vec![0u64; count]);
    if count > 0 {
        let mut info = again(first);
        info.rest[0] = address_mut(&mut addresses);
        info.rest[1] = u64::from(len32(count)?);
        info.rest[3] = address_mut(&mut cookies);
        // SAFETY: both arrays have as many entries as the count says.
        unsafe { fill(raw(fd), &mut info) }?;
    }
    let places = addresses.into_iter().zip(cookies).map(|(address, cookie)| KprobePlace { address, cookie });
    Ok(LinkDetails::KprobeMulti {
        flags: high(first.rest[1]),
        missed: first.rest[2],
        places: places.collect(),
    })
}

fn uprobe_multi(fd: BorrowedFd<'_>, first: &attr::RawLinkInfo) -> Result<LinkDetails> {
    let count = high(first.rest[4]) as usize;
    let mut path = vec![0u8; PATH_LEN];
    let mut columns = [vec![0u64; count], vec![0u64; count], vec![0u64; count]];
    let mut info = again(first);
    info.rest[0] = address_mut(&mut path);
    for (word, column) in info.rest.iter_mut().skip(1).zip(&mut columns) {
        *word = address_mut(column);
    }
    info.rest[4] = u64::from(len32(count)?) << 32 | u64::from(len32(path.len())?);
    // SAFETY: all arrays have as many entries as the count says, and the path as many bytes as its length.
    unsafe { fill(raw(fd), &mut info) }?;
    let [offsets, counters, cookies] = columns;
    let places = offsets.into_iter().zip(counters).zip(cookies);
    Ok(LinkDetails::UprobeMulti {
        path: field_text(&path),
        flags: low(first.rest[5]),
        pid: high(first.rest[5]),
        places: places
            .map(|((offset, ref_ctr_offset), cookie)| UprobePlace { offset, ref_ctr_offset, cookie })
            .collect(),
    })
}

fn perf_event(fd: BorrowedFd<'_>, info: &attr::RawLinkInfo) -> Result<PerfEventLink> {
    let words = info.rest;
    // Word 0 is the kind; the union behind it begins with a name and its length except for plain events.
    let kind = low(words[0]);
    Ok(match kind {
        UPROBE | URETPROBE => PerfEventLink::Uprobe {
            on_return: kind == URETPROBE,
            file: read_name(fd, info, 1, 2)?,
            offset: high(words[2]),
            cookie: words[3],
            ref_ctr_offset: words[4],
        },
        KPROBE | KRETPROBE => PerfEventLink::Kprobe {
            on_return: kind == KRETPROBE,
            name: read_name(fd, info, 1, 2)?,
            offset: high(words[2]),
            address: words[3],
            missed: words[4],
            cookie: words[5],
        },
        TRACEPOINT => PerfEventLink::Tracepoint { name: read_name(fd, info, 1, 2)?, cookie: words[3] },
        EVENT => PerfEventLink::Event { kind: low(words[2]), config: words[1], cookie: words[3] },
        other => PerfEventLink::Unknown(other),
    })
}

/// The longest name that is asked for: that of a file.
const PATH_LEN: usize = libc::PATH_MAX as usize;

/// Asks again with room for a name: its address goes into word `at`, its length into the low half of another.
fn read_name(fd: BorrowedFd<'_>, first: &attr::RawLinkInfo, at: usize, length_at: usize) -> Result<String> {
    let mut name = vec![0u8; PATH_LEN];
    let mut info = again(first);
    info.rest[at] = address_mut(&mut name);
    info.rest[length_at] = u64::from(len32(name.len())?);
    // SAFETY: the buffer is as long as the length beside it says.
    unsafe { fill(raw(fd), &mut info) }?;
    Ok(field_text(&name))
}

/// An empty structure of the same link type, to ask once more.
fn again(first: &attr::RawLinkInfo) -> attr::RawLinkInfo {
    attr::RawLinkInfo { kind: first.kind, ..Plain::zeroed() }
}

fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}
