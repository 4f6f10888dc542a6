//! The names of addresses for one run: what processes map is followed while the script takes stacks of them, so that
//! their addresses can be named when they are gone, and their stacks unwound while they are there.

use std::os::fd::BorrowedFd;

use skep_compile::artifact::{Action, Artifact, MapRole};
use skep_kernel::map_watch::MapWatch;
use skep_lang::ty::{Ty, TyKind, Types};
use skep_symbols::elf::DebugPath;
use skep_symbols::{Options, Symbols};

use crate::unwind::Unwind;

/// Who knows the names.
pub(crate) struct Names {
    symbols: Symbols,
    /// Only there if the script takes addresses of processes.
    watch: Option<MapWatch>,
    /// Only there if the script has stacks unwound.
    unwind: Option<Unwind>,
    /// For each layout of a record whether it shows such addresses.
    layouts: Vec<bool>,
}

impl Names {
    /// For a script; `scope` is the process that it is about, if it is about one, with all its threads to come.
    pub fn new(artifact: &Artifact, scope: Option<i32>, debug_path: DebugPath, unwinds: bool) -> Names {
        let config = &artifact.config;
        let options = Options { debug_info: config.show_debug_info, demangle: config.demangle, debug_path };
        let takes_addresses = artifact.maps.iter().any(|map| map.role == MapRole::Processes);
        let watch = takes_addresses.then(|| MapWatch::new(scope, unwinds));
        let watch = watch.and_then(|watch| {
            // Then those that can still be looked at when they are seen have names.
            watch.inspect_err(|error| tracing::warn!("processes cannot be followed: {error}")).ok()
        });
        let layouts = artifact.events.iter().map(|layout| {
            let shows = layout.fields.iter().any(|field| has_addresses(&artifact.types, field.ty));
            shows || matches!(layout.action, Action::ProcessSeen | Action::PrintMap { .. })
        });
        Names { symbols: Symbols::new(options), watch, unwind: None, layouts: layouts.collect() }
    }

    /// Keeps these tables up to date, which were made after the following began.
    pub fn unwind(&mut self, unwind: Option<Unwind>) {
        self.unwind = unwind;
    }

    /// Looks at processes that the script is about while they are there: nobody tells of what they mapped before.
    pub fn expect(&self, pids: &[i32]) {
        if self.watch.is_some() {
            pids.iter().for_each(|pid| self.symbols.process_seen(pid.unsigned_abs()));
        }
    }

    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// What becomes readable when there is much to catch up with.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.watch.iter().flat_map(MapWatch::descriptors)
    }

    /// Learns what processes did meanwhile.
    pub fn catch_up(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.read(|change| {
                if let Some(unwind) = &mut self.unwind {
                    unwind.learn(&change);
                }
                self.symbols.learn(change);
            });
        }
    }

    /// Whether there are stacks to unwind.
    pub fn unwinds(&self) -> bool {
        self.unwind.is_some()
    }

    /// Takes what a process has mapped by now, before anything else happens to it.
    pub fn look_at(&mut self, pid: i32) {
        self.catch_up();
        if let Some(unwind) = &mut self.unwind
            && let Err(error) = unwind.look_at(pid.unsigned_abs())
        {
            tracing::debug!("{error}");
        }
    }

    /// Makes sure that the addresses in a record can be named.
    pub fn prepare(&mut self, layout: usize) {
        if self.layouts.get(layout).is_some_and(|shows| *shows) {
            self.catch_up();
        }
    }
}

fn has_addresses(types: &Types, ty: Ty) -> bool {
    match types.kind(ty) {
        TyKind::Stack(stack) => stack.user,
        TyKind::UserSymbol => true,
        TyKind::Array { elem, .. } => has_addresses(types, *elem),
        TyKind::Tuple(_) | TyKind::Record(_) => {
            types.elems(ty).into_iter().any(|elem| has_addresses(types, elem))
        }
        _ => false,
    }
}
