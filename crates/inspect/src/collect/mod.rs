//! From the kernel to the model: find the objects, ask about each, leave out what vanishes meanwhile.

mod holders;
mod link;
mod map;
mod metadata;
mod prog;
mod select;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use skep_btf::Btf;

use skep_kernel::bpf::{self, ObjectKind};
use skep_kernel::{bpffs, btf_file};

use crate::cli::Session;
use crate::error::{Error, Result};
use crate::model::Holder;

use holders::Holders;

pub(crate) use link::collect as link;
pub(crate) use map::collect as map;
pub(crate) use prog::{collect as prog, full_name};
pub(crate) use select::{Selector, parse_id};

/// What is known about all objects before each is asked.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The pins of each object of the kind; absent unless asked for.
    pins: Option<HashMap<u32, Vec<PathBuf>>>,
    /// The processes that hold objects of the kind.
    holders: Holders,
}

impl Surroundings {
    /// Looks for pins, if wanted, and for the processes that hold objects.
    pub(crate) fn look(kind: ObjectKind, session: &Session<'_>) -> Self {
        let with_pins = session.options.bpffs && kind != ObjectKind::Btf;
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
        let holders = if any { Holders::look(kind, session.features) } else { Holders::default() };
        Self { pins, holders }
    }

    /// The pins of an object; `None` if nobody asked or no object of its kind has one.
    pub(crate) fn pins_of(&self, id: u32) -> Option<Vec<PathBuf>> {
        let pins = self.pins.as_ref().filter(|pins| !pins.is_empty())?;
        Some(pins.get(&id).cloned().unwrap_or_default())
    }

    pub(crate) fn holders_of(&self, id: u32) -> Vec<Holder> {
        self.holders.of(id)
    }

    /// The cookie of a link to a perf event, where the kernel tells who holds it.
    pub(crate) fn cookie_of(&self, link: u32) -> Option<u64> {
        self.holders.cookie_of(link)
    }
}

/// The types of a program, a map or a module; `None` if they are gone or cannot be read.
pub(crate) fn btf(id: u32) -> Option<Btf> {
    let fd = bpf::get_fd_by_id(ObjectKind::Btf, id, 0).ok()?;
    let info = bpf::btf_info(fd.as_fd()).ok()?;
    let is_module = info.kernel && info.name != "vmlinux";
    let parsed = match kernel_btf().filter(|_| is_module) {
        Some(base) => Btf::parse_split(info.data, base),
        None => Btf::parse(info.data),
    };
    parsed.inspect_err(|error| tracing::debug!("BTF {id}: {error}")).ok()
}

/// The types of the kernel itself, read once; `None` if it does not tell them.
pub(crate) fn kernel_btf() -> Option<Arc<Btf>> {
    static KERNEL: OnceLock<Option<Arc<Btf>>> = OnceLock::new();
    let read = || {
        // The mapping lasts as long as the process, since what refers to it does.
        let bytes: &'static btf_file::Bytes = Box::leak(Box::new(btf_file::vmlinux().ok()?));
        let parsed =
            Btf::of_kernel(&**bytes).inspect_err(|error| tracing::debug!("the kernel's BTF: {error}"));
        parsed.ok().map(Arc::new)
    };
    KERNEL.get_or_init(read).clone()
}

/// Whether the kernel tells its types.
pub(crate) fn has_kernel_btf() -> bool {
    btf_file::has_vmlinux()
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
            let what = match kind {
                ObjectKind::Prog => "program",
                kind => noun(kind),
            };
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
pub(crate) fn is(error: &skep_kernel::Error, name: &str) -> bool {
    error.errno().and_then(skep_kernel::Errno::name) == Some(name)
}
