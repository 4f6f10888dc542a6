//! rtnetlink, as far as BPF goes: network devices with their XDP programs, and classifiers of traffic control.
//!
//! Messages and attributes are those of `include/uapi/linux/rtnetlink.h`, `if_link.h` and `pkt_cls.h`: a header
//! of 16 bytes, a fixed part that depends on the message, and attributes of a length and a type each, all padded
//! to four bytes.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{Errno, Error, Result};

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The XDP programs on it, if any.
    pub xdp: Option<Xdp>,
}

/// The XDP programs of a device: `mode` is one of `XDP_ATTACHED_*`, and tells which ids count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xdp {
    /// 1 in the driver, 2 generic, 3 in hardware, 4 several of them.
    pub mode: u8,
    /// The only program.
    pub prog_id: u32,
    /// Of several: the one in the driver, or 0.
    pub driver_id: u32,
    /// Of several: the generic one, or 0.
    pub generic_id: u32,
    /// Of several: the one in hardware, or 0.
    pub hardware_id: u32,
}

/// A queueing discipline or a class of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its kind, e.g. `clsact`.
    pub kind: String,
    /// Its handle.
    pub handle: u32,
}

/// A classifier that is a BPF program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its name, or empty.
    pub name: String,
    /// The program, or 0.
    pub prog_id: u32,
    /// The actions behind it that are BPF programs: name and program.
    pub actions: Vec<(String, u32)>,
}

/// Handles under which classifiers hang without a queueing discipline.
pub mod handle {
    /// The device's root.
    pub const ROOT: u32 = 0xffff_ffff;
    /// clsact, incoming.
    pub const INGRESS: u32 = 0xffff_fff2;
    /// clsact, outgoing.
    pub const EGRESS: u32 = 0xffff_fff3;
}

/// A connection to rtnetlink of this thread's network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a connection.
    pub fn open() -> Result<Self> {
        // SAFETY: socket takes numbers only.
        let fd = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        };
        if fd < 0 {
            return Err(Error::call("socket(AF_NETLINK)", Errno::last()));
        }
        // SAFETY: the descriptor has just been made and nobody else knows it.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, sequence: 0 })
    }

    /// All devices, in the order of the kernel's list.
    pub fn devices(&mut self) -> Result<Vec<Device>> {
        let messages = self.dump(libc::RTM_GETLINK, &[0; IFINFO])?;
        Ok(messages.iter().filter_map(|message| device(message)).collect())
    }

    /// The queueing disciplines of a device.
    pub fn disciplines(&mut self, ifindex: u32) -> Result<Vec<Queue>> {
        self.queues(libc::RTM_GETQDISC, ifindex)
    }

    /// The classes of a device's queueing disciplines.
    pub fn classes(&mut self, ifindex: u32) -> Result<Vec<Queue>> {
        self.queues(libc::RTM_GETTCLASS, ifindex)
    }

    /// The classifiers below a handle that are BPF programs.
    pub fn filters(&mut self, ifindex: u32, parent: u32) -> Result<Vec<Filter>> {
        let messages = self.dump(libc::RTM_GETTFILTER, &traffic_control(ifindex, parent))?;
        Ok(messages.iter().filter_map(|message| filter(message)).collect())
    }

    fn queues(&mut self, kind: u16, ifindex: u32) -> Result<Vec<Queue>> {
        let messages = self.dump(kind, &traffic_control(ifindex, 0))?;
        let own = messages.iter().filter(|message| word(message, 4) == Some(ifindex));
        Ok(own.filter_map(|message| queue(message)).collect())
    }

    /// Asks for a list, and returns what stands behind each message's header.
    fn dump(&mut self, kind: u16, body: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut request = Vec::with_capacity(HEADER + body.len());
        request.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(flags.to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend(0u32.to_ne_bytes());
        request.extend(body);
        // SAFETY: the buffer is as long as the length beside it.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(Error::call("send(netlink)", Errno::last()));
        }
        let mut found = Vec::new();
        let mut buffer = vec![0u8; BUFFER];
        loop {
            // SAFETY: the buffer is as long as the length beside it.
            let got =
                unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(got) = usize::try_from(got) else {
                return Err(Error::call("recv(netlink)", Errno::last()));
            };
            let answer = buffer.get(..got).unwrap_or_default();
            if self.take(answer, &mut found)? {
                return Ok(found);
            }
        }
    }

    /// Takes the messages of one datagram; true if it was the last.
    fn take(&self, answer: &[u8], found: &mut Vec<Vec<u8>>) -> Result<bool> {
        let mut rest = answer;
        while let (Some(len), Some(kind), Some(sequence)) = (word(rest, 0), half(rest, 4), word(rest, 8)) {
            let len = len as usize;
            let Some(body) = rest.get(HEADER..len) else {
                return Err(Error::Format { what: "a netlink message", text: format!("length {len}") });
            };
            if sequence == self.sequence {
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(true),
                    libc::NLMSG_ERROR => {
                        let errno = word(body, 0).map_or(0, |code| -(code as i32));
                        return match errno {
                            0 => Ok(true),
                            errno => Err(Error::call("netlink", Errno(errno))),
                        };
                    }
                    _ => found.push(body.to_vec()),
                }
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        // An answer without any message would be waited for in vain.
        Ok(answer.is_empty())
    }
}

const HEADER: usize = 16;
/// `struct ifinfomsg`.
const IFINFO: usize = 16;
/// `struct tcmsg`.
const TCMSG: usize = 20;
/// The kernel fills datagrams of at most 32 KiB for those who can take them.
const BUFFER: usize = 32768;

fn traffic_control(ifindex: u32, parent: u32) -> [u8; TCMSG] {
    let mut body = [0; TCMSG];
    for (at, value) in [(4, ifindex), (12, parent)] {
        for (place, byte) in body.iter_mut().skip(at).zip(value.to_ne_bytes()) {
            *place = byte;
        }
    }
    body
}

fn device(message: &[u8]) -> Option<Device> {
    let attributes = message.get(IFINFO..)?;
    let name = attribute(attributes, libc::IFLA_IFNAME).map(text)?;
    let xdp = attribute(attributes, libc::IFLA_XDP).and_then(xdp);
    Some(Device { ifindex: word(message, 4)?, name, xdp })
}

fn xdp(nested: &[u8]) -> Option<Xdp> {
    // IFLA_XDP_*
    const ATTACHED: u16 = 2;
    const PROG_ID: u16 = 4;
    const DRV_PROG_ID: u16 = 5;
    const SKB_PROG_ID: u16 = 6;
    const HW_PROG_ID: u16 = 7;
    let mode = *attribute(nested, ATTACHED)?.first()?;
    let id = |kind| attribute(nested, kind).and_then(|value| word(value, 0)).unwrap_or(0);
    (mode != 0).then(|| Xdp {
        mode,
        prog_id: id(PROG_ID),
        driver_id: id(DRV_PROG_ID),
        generic_id: id(SKB_PROG_ID),
        hardware_id: id(HW_PROG_ID),
    })
}

fn queue(message: &[u8]) -> Option<Queue> {
    let kind = attribute(message.get(TCMSG..)?, TCA_KIND).map(text)?;
    Some(Queue { kind, handle: word(message, 8)? })
}

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

fn filter(message: &[u8]) -> Option<Filter> {
    // TCA_BPF_*
    const ACT: u16 = 1;
    const NAME: u16 = 7;
    const ID: u16 = 11;
    let attributes = message.get(TCMSG..)?;
    if attribute(attributes, TCA_KIND).map(text)? != "bpf" {
        return None;
    }
    let options = attribute(attributes, TCA_OPTIONS)?;
    let actions = attribute(options, ACT).map(actions).unwrap_or_default();
    Some(Filter {
        name: attribute(options, NAME).map(text).unwrap_or_default(),
        prog_id: attribute(options, ID).and_then(|value| word(value, 0)).unwrap_or(0),
        actions,
    })
}

/// The BPF programs among the actions, which are numbered from 1.
fn actions(nested: &[u8]) -> Vec<(String, u32)> {
    // TCA_ACT_*, TCA_ACT_BPF_*
    const KIND: u16 = 1;
    const OPTIONS: u16 = 2;
    const NAME: u16 = 6;
    const ID: u16 = 10;
    let program = |(_, action): (u16, &[u8])| {
        if attribute(action, KIND).map(text)? != "bpf" {
            return None;
        }
        let options = attribute(action, OPTIONS)?;
        let name = attribute(options, NAME).map(text).unwrap_or_default();
        Some((name, attribute(options, ID).and_then(|value| word(value, 0)).unwrap_or(0)))
    };
    attributes(nested).filter_map(program).collect()
}

fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The attributes in `bytes` with their types; what is cut short ends the list.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    // NLA_F_NESTED and NLA_F_NET_BYTEORDER
    const FLAGS: u16 = 0xc000;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, kind) = (half(rest, 0)? as usize, half(rest, 2)? & !FLAGS);
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_machine_has_a_loopback_device() {
        let devices = Netlink::open().unwrap().devices().unwrap();
        assert!(devices.iter().any(|device| device.name == "lo"), "{devices:?}");
    }

    #[test]
    fn attributes_are_padded() {
        let bytes = [5, 0, 1, 0, b'x', 0, 0, 0, 8, 0, 2, 0x80, 1, 2, 3, 4];
        let all: Vec<_> = attributes(&bytes).collect();
        assert_eq!(all, [(1, &b"x"[..]), (2, &[1, 2, 3, 4][..])]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            device(&bytes);
            queue(&bytes);
            filter(&bytes);
            actions(&bytes);
            xdp(&bytes);
        }
    }
}
