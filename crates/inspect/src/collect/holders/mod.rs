//! Who holds BPF objects: the processes that have a descriptor of one.
//!
//! The kernel is asked by a program that looks at every open file (`walk`). Where it lets no such program in, /proc
//! tells the same, but for cookies, and only of those processes that we may look into.

mod program;
mod walk;

use std::collections::HashMap;

use skep_kernel::bpf::ObjectKind;
use skep_kernel::features::{Feature, Features};
use skep_kernel::proc;

use crate::model::Holder;

/// Who has BPF objects of one kind open.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    processes: proc::Holders,
    /// The cookies of links to perf events.
    cookies: HashMap<u32, u64>,
}

impl Holders {
    /// Looks at all processes, as well as the kernel allows.
    pub(crate) fn look(kind: ObjectKind, features: &Features) -> Self {
        let by_program = || {
            // The program knows processes by the numbers of the first namespace only.
            if !proc::in_first_pid_namespace() || !features.has(Feature::Iter) {
                return None;
            }
            walk::holders(kind)
                .inspect_err(|reason| tracing::debug!("no walk over open files: {reason}"))
                .ok()
        };
        by_program().unwrap_or_else(|| Self {
            processes: proc::Holders::scan(kind).unwrap_or_default(),
            cookies: HashMap::new(),
        })
    }

    /// The processes that have an object open, by ascending pid.
    pub(crate) fn of(&self, id: u32) -> Vec<Holder> {
        let holders = self.processes.of(id).iter();
        holders.map(|holder| Holder { pid: holder.pid, comm: holder.comm.clone() }).collect()
    }

    /// The cookie of a link to a perf event, if somebody holds the link and the kernel told.
    pub(crate) fn cookie_of(&self, link: u32) -> Option<u64> {
        self.cookies.get(&link).copied()
    }
}
