//! From the kernel to the model: find the objects, ask about each, leave out what vanishes meanwhile.

mod map;
mod metadata;
mod prog;
mod select;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use skep_kernel::bpf::{self, ObjectKind};
use skep_kernel::proc::Holders;
use skep_kernel::{bpffs, netdev};

use crate::error::{Error, Result};
use crate::model::{Device, Holder};

pub(crate) use map::collect as map;
pub(crate) use prog::collect as prog;
pub(crate) use select::Selector;

/// What is known about all objects before each is asked.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The pins of each object of the kind; absent unless asked for.
    pins: Option<HashMap<u32, Vec<PathBuf>>>,
    holders: Holders,
}

impl Surroundings {
    /// Looks for pins, if wanted, and for the processes that hold objects.
    pub(crate) fn look(kind: ObjectKind, with_pins: bool) -> Self {
        let pins = with_pins.then(|| {
            let mut by_id: HashMap<u32, Vec<PathBuf>> = HashMap::new();
            // Without the list of mounts there are no pins to be found; that is no reason to show nothing.
            for pin in bpffs::pins().unwrap_or_default().into_iter().filter(|pin| pin.kind == kind) {
                by_id.entry(pin.id).or_default().push(pin.path);
            }
            by_id
        });
        // Looking through all processes takes longer than all else, so not for nothing.
        let any = bpf::next_id(kind, 0).is_ok_and(|first| first.is_some());
        let holders = if any { Holders::scan().unwrap_or_default() } else { Holders::default() };
        Self { pins, holders }
    }

    /// The pins of an object; `None` if nobody asked or no object of its kind has one.
    fn pins_of(&self, id: u32) -> Option<Vec<PathBuf>> {
        let pins = self.pins.as_ref().filter(|pins| !pins.is_empty())?;
        Some(pins.get(&id).cloned().unwrap_or_default())
    }

    fn holders_of(&self, kind: ObjectKind, id: u32) -> Vec<Holder> {
        let holders = self.holders.of(kind, id).iter();
        holders.map(|holder| Holder { pid: holder.pid, comm: holder.comm.clone() }).collect()
    }
}

/// The words with which the original speaks of a kind.
fn noun(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Prog => "prog",
        ObjectKind::Map => "map",
        ObjectKind::Link => "link",
        ObjectKind::Btf => "BTF object",
    }
}

/// Opens every object of a kind, in the order of ids. The first error ends the walk and comes last.
pub(crate) fn open_all(kind: ObjectKind) -> impl Iterator<Item = Result<OwnedFd>> {
    bpf::ids(kind).filter_map(move |id| match id {
        Ok(id) => open_by_id(kind, id).transpose(),
        Err(error) => {
            let what = if kind == ObjectKind::Prog { "program" } else { noun(kind) };
            Some(Err(Error::kernel(&format!("can't get next {what}"), &error)))
        }
    })
}

/// Opens an object by its id; `None` if it has vanished since it was listed.
fn open_by_id(kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>> {
    let flags = if kind == ObjectKind::Map { bpf::map_flags::RDONLY } else { 0 };
    match bpf::get_fd_by_id(kind, id, flags) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if is(&error, "ENOENT") => Ok(None),
        Err(error) => Err(Error::kernel(&format!("can't get {} by id ({id})", noun(kind)), &error)),
    }
}

/// Whether the kernel refused with the errno of this name.
fn is(error: &skep_kernel::Error, name: &str) -> bool {
    error.errno().and_then(skep_kernel::Errno::name) == Some(name)
}

fn device(ifindex: u32, ns_dev: u64, ns_inode: u64) -> Option<Device> {
    (ifindex != 0).then(|| Device {
        ifindex,
        ns_dev,
        ns_inode,
        ifname: netdev::name(ifindex, ns_dev, ns_inode),
    })
}
