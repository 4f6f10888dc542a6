//! The guest's network, by the old ioctls: process 1 cannot rely on the host having any network tool.

use std::ffi::{c_short, c_ulong};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use crate::error::{Context, Result, message};

/// The address QEMU's user network expects, and its gateway.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

// From the kernel's include/uapi/linux/sockios.h; the libc crate lacks them for this system.
const SIOCADDRT: c_ulong = 0x890b;
const SIOCSIFFLAGS: c_ulong = 0x8914;
const SIOCSIFADDR: c_ulong = 0x8916;
const SIOCSIFNETMASK: c_ulong = 0x891c;

/// `struct rtentry` of the kernel's include/uapi/linux/route.h.
#[repr(C)]
struct Route {
    pad1: c_ulong,
    destination: libc::sockaddr,
    gateway: libc::sockaddr,
    mask: libc::sockaddr,
    flags: u16,
    pad2: c_short,
    pad3: c_ulong,
    pad4: usize,
    metric: c_short,
    device: usize,
    mtu: c_ulong,
    window: c_ulong,
    rtt: u16,
}

/// Starts the loopback device.
pub fn up_loopback() -> Result<()> {
    set_address("lo", SIOCSIFADDR, Ipv4Addr::LOCALHOST)?;
    set_up("lo")
}

/// Starts the one Ethernet device, with QEMU's user network behind it.
pub fn up_device() -> Result<()> {
    let list = || "list the network devices".to_owned();
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").context(list)? {
        names.push(entry.context(list)?.file_name().to_string_lossy().into_owned());
    }
    let name = names
        .into_iter()
        .find(|name| name.starts_with('e'))
        .ok_or_else(|| message("the guest has no network device"))?;
    set_address(&name, SIOCSIFADDR, ADDRESS)?;
    set_address(&name, SIOCSIFNETMASK, NETMASK)?;
    set_up(&name)?;
    let route = Route {
        pad1: 0,
        destination: socket_address(Ipv4Addr::UNSPECIFIED),
        gateway: socket_address(GATEWAY),
        mask: socket_address(Ipv4Addr::UNSPECIFIED),
        flags: libc::RTF_UP | libc::RTF_GATEWAY,
        pad2: 0,
        pad3: 0,
        pad4: 0,
        metric: 0,
        device: 0,
        mtu: 0,
        window: 0,
        rtt: 0,
    };
    control(SIOCADDRT, &route).context(|| "set the default route".to_owned())
}

fn set_address(device: &str, request: c_ulong, address: Ipv4Addr) -> Result<()> {
    let settings = libc::__c_anonymous_ifr_ifru { ifru_addr: socket_address(address) };
    control(request, &device_request(device, settings)).context(|| format!("set an address of {device}"))
}

fn set_up(device: &str) -> Result<()> {
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as c_short;
    let settings = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    control(SIOCSIFFLAGS, &device_request(device, settings)).context(|| format!("start {device}"))
}

fn device_request(device: &str, settings: libc::__c_anonymous_ifr_ifru) -> libc::ifreq {
    let mut request = libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: settings };
    // The last byte stays 0.
    for (place, byte) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(device.bytes()) {
        *place = byte as libc::c_char;
    }
    request
}

/// An IPv4 address as the kernel's generic socket address: port, then address, both in network order.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (place, byte) in data.iter_mut().skip(2).zip(address.octets()) {
        *place = byte as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

fn control<T>(request: c_ulong, argument: &T) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: each request above takes a pointer to the structure it is called with here, reads it, and
    // keeps nothing of it.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), request, std::ptr::from_ref(argument)) };
    if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
