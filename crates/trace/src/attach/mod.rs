//! Programs put where they belong, and taken away again.
//!
//! Whatever is attached is held by descriptors and nothing else: when the process dies, however it dies, the
//! kernel takes everything away.

mod advice;
mod events;
mod kprobe;
mod uprobe;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use skep_compile::artifact::Artifact;
use skep_compile::session;
use skep_kernel::bpf::{self, TestRun, test_run};
use skep_kernel::bpffs;
use skep_kernel::features::Features;
use skep_kernel::perf::{self, Attachment};
use skep_kernel::tracefs::TraceFs;
use skep_lang::hir::{Attach, MissingProbes, ProbeKind, Target};

use crate::error::{Error, Result};
use crate::load::{Loaded, LoadedProgram};
use crate::lost::{self, Lost};
use crate::plan::Way;
use crate::session::Notice;

/// Everything that is attached.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    links: Vec<Link>,
    /// Watchpoints by their addresses.
    watchpoints: Vec<(u64, Link)>,
    /// Walks that have to be read for their programs to run.
    pub walks: Vec<OwnedFd>,
    /// The files that other walks are pinned to.
    pins: Vec<PathBuf>,
    /// How many probes could not be attached and may be missing.
    pub missing: usize,
}

/// What keeps a program attached.
#[derive(Debug)]
enum Link {
    /// A perf event, and where the kernel has one a link.
    Perf(#[expect(dead_code, reason = "it is kept, not looked at")] Attachment),
    /// A link.
    Bpf(#[expect(dead_code, reason = "it is kept, not looked at")] OwnedFd),
    /// Functions of the kernel by one link. The name is the one for messages.
    Functions(OwnedFd, String),
    /// A place in the kernel's code, of this name.
    Place(Attachment, String),
}

impl Link {
    /// What the kernel can be asked how many runs it left out, and what they were runs of.
    fn counts(&self) -> Option<(BorrowedFd<'_>, &str)> {
        match self {
            Link::Functions(link, name) => Some((link.as_fd(), name)),
            Link::Place(Attachment { link: Some(link), .. }, name) => Some((link.as_fd(), name)),
            Link::Place(..) | Link::Perf(_) | Link::Bpf(_) => None,
        }
    }
}

/// What attaching needs beside the programs.
pub(crate) struct Surroundings<'a> {
    /// Opens tracefs, or gives the one that is open.
    pub tracefs: &'a dyn Fn() -> skep_kernel::Result<Rc<TraceFs>>,
    /// What the kernel can do, or is taken to be able to.
    pub features: &'a Features,
    /// The process that the script is about, if it is about one: that of `-p` or `-c`.
    pub process: Option<i32>,
}

/// Attaches every program to its targets except those that are run instead (see [`run`]). `tell` hears of each
/// target before it is attached, and of each that could not be and may be missing.
pub(crate) fn attach(
    artifact: &Artifact,
    loaded: &Loaded,
    surroundings: &Surroundings<'_>,
    tell: &mut dyn FnMut(&Notice<'_>),
) -> Result<Attached> {
    let mut attached = Attached::default();
    let mut failures = Failures {
        surroundings,
        policy: artifact.config.missing_probes,
        missing: 0,
        first_of_wildcard: None,
    };
    for (id, source) in &loaded.refused {
        if let Some(target) = artifact.targets.get(id.0 as usize) {
            tell(&Notice::Attaching(&target.name));
            failures.add(target, source.clone(), tell)?;
        }
    }
    for program in in_order(artifact, loaded) {
        let targets: Vec<(u64, &Target)> =
            targets_of(artifact, program).filter(|(_, target)| !is_run(&target.attach)).collect();
        for (_, target) in &targets {
            tell(&Notice::Attaching(&target.name));
            if let Attach::Fentry(fentry) = &target.attach
                && target.name.starts_with('k')
            {
                tell(&Notice::Served(&target.name, if fentry.on_return { "fexit" } else { "fentry" }));
            }
        }
        match program.way {
            Way::Single => {
                for (cookie, target) in targets {
                    if let Err(source) = attached.one(program, cookie, target, surroundings) {
                        failures.add(target, source, tell)?;
                    }
                }
            }
            Way::UprobeMulti | Way::UprobeSession => {
                let process = surroundings.process;
                uprobe::many(program, &targets, process, &mut attached.links, &mut |target, source| {
                    failures.add(target, source, tell)
                })?;
            }
            Way::KprobeMulti | Way::KprobeSession => {
                let name = artifact.programs.get(program.index);
                let name = name.map_or_else(String::new, |of| lost::in_short(of, &artifact.targets));
                kprobe::many(program, &name, &targets, &mut attached.links, &mut |target, source| {
                    failures.add(target, source, tell)
                })?;
            }
        }
    }
    for path in &attached.pins {
        tell(&Notice::Pinned(path));
    }
    attached.missing = failures.missing;
    failures.judge(attached.is_empty())?;
    Ok(attached)
}

/// Whether the tracer runs it itself.
fn is_run(attach: &Attach) -> bool {
    matches!(
        attach,
        Attach::Begin | Attach::End | Attach::Signal | Attach::Test { .. } | Attach::Bench { .. }
    )
}

/// Runs the programs of `BEGIN`, `END` or a signal in the order of the script.
pub(crate) fn run(artifact: &Artifact, loaded: &Loaded, which: &Attach) -> Result<()> {
    for program in &loaded.programs {
        for (_, target) in targets_of(artifact, program) {
            if target.attach == *which {
                test_run(program.fd.as_fd(), &mut TestRun::default())
                    .map_err(Error::kernel(format!("cannot run the probe {}", target.name)))?;
            }
        }
    }
    Ok(())
}

/// The programs in the order in which they are attached. At a function, the kernel runs first what was attached last:
/// there the order of the script is turned round. For kretprobes it does so twice, at the call and at the return.
fn in_order<'a>(artifact: &'a Artifact, loaded: &'a Loaded) -> impl Iterator<Item = &'a LoadedProgram> {
    let is_at_function = |program: &&LoadedProgram| {
        targets_of(artifact, program).any(|(_, target)| match &target.attach {
            Attach::Kprobe(kprobe) => !kprobe.on_return,
            Attach::Fentry(_) | Attach::Uprobe(_) | Attach::Usdt(_) => true,
            _ => false,
        })
    };
    let (functions, other): (Vec<_>, Vec<_>) = loaded.programs.iter().partition(is_at_function);
    other.into_iter().chain(functions.into_iter().rev())
}

/// The targets of a program, each with its attach cookie.
fn targets_of<'a>(
    artifact: &'a Artifact,
    program: &'a LoadedProgram,
) -> impl Iterator<Item = (u64, &'a Target)> {
    let returns = program.returns.iter().map(Some).chain(std::iter::repeat(None));
    program.targets.iter().zip(returns).filter_map(|(&id, exit)| {
        let cookie = match exit {
            Some(&exit) => session::cookie(id, exit),
            None => u64::from(id.identity(&artifact.targets).0),
        };
        Some((cookie, artifact.targets.get(id.0 as usize)?))
    })
}

impl Attached {
    /// Attaches a program to one target.
    fn one(
        &mut self,
        program: &LoadedProgram,
        cookie: u64,
        target: &Target,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), skep_kernel::Error> {
        let fd = program.fd.as_fd();
        let cookie = program.wants_cookie.then_some(cookie);
        let events = match &target.attach {
            Attach::Tracepoint { category, event } => {
                let tracefs = (surroundings.tracefs)()?;
                vec![events::tracepoint(&tracefs, category, event)?]
            }
            Attach::RawTracepoint { event, .. } => {
                // What a typed one is for was said when it was loaded.
                let name = (program.kind == ProbeKind::RawTracepoint).then_some(&**event);
                self.links.push(Link::Bpf(bpf::raw_tracepoint_open(name, fd, cookie.unwrap_or(0))?));
                return Ok(());
            }
            // What for was said when it was loaded.
            Attach::Fentry(_) => {
                self.links.push(Link::Bpf(bpf::raw_tracepoint_open(None, fd, 0)?));
                return Ok(());
            }
            Attach::Iter(iter) => {
                let link = bpf::link_create_iter(fd)?;
                match &iter.pin {
                    Some(pin) => self.pins.push(bpffs::pin(&link, pin)?),
                    None => self.walks.push(bpf::iter_create(link.as_fd())?),
                }
                self.links.push(Link::Bpf(link));
                return Ok(());
            }
            Attach::Kprobe(kprobe) => {
                let event = kprobe::open(kprobe, surroundings.features)?;
                let attachment = match cookie {
                    Some(cookie) => perf::attach(event, fd, Some(cookie))?,
                    None => perf::attach_by_link(event, fd)?,
                };
                self.links.push(Link::Place(attachment, target.name.clone()));
                return Ok(());
            }
            Attach::Uprobe(_) | Attach::Usdt(_) => {
                let at = uprobe::place(&target.attach);
                at.map(|at| perf::open_uprobe(&at, surroundings.process)).transpose()?.into_iter().collect()
            }
            Attach::Interval(rate) => vec![events::interval(*rate)?],
            Attach::Profile(rate) => events::profile(*rate)?,
            Attach::Counter(counter) => events::counter(*counter)?,
            Attach::Watchpoint(watch) => {
                for event in events::watchpoint(*watch, surroundings.process)? {
                    self.watchpoints.push((watch.address, Link::Perf(perf::attach(event, fd, cookie)?)));
                }
                return Ok(());
            }
            Attach::Begin | Attach::End | Attach::Signal | Attach::Test { .. } | Attach::Bench { .. } => {
                Vec::new()
            }
        };
        for event in events {
            self.links.push(Link::Perf(perf::attach(event, fd, cookie)?));
        }
        Ok(())
    }
}

/// What is done about targets that cannot be attached.
struct Failures<'a> {
    surroundings: &'a Surroundings<'a>,
    policy: MissingProbes,
    /// How many there were, as probes are counted.
    missing: usize,
    /// The first that a wildcard had found: fatal if nothing else is attached.
    first_of_wildcard: Option<Error>,
}

impl Failures<'_> {
    fn add(
        &mut self,
        target: &Target,
        source: skep_kernel::Error,
        tell: &mut dyn FnMut(&Notice<'_>),
    ) -> Result<()> {
        self.missing += usize::from(target.counts());
        match self.policy {
            MissingProbes::Error if target.wildcard => {
                tell(&Notice::Missing(&target.name, &source));
                if self.first_of_wildcard.is_none() {
                    self.first_of_wildcard = Some(self.error(target, source));
                }
            }
            MissingProbes::Error => return Err(self.error(target, source)),
            MissingProbes::Warn => tell(&Notice::Missing(&target.name, &source)),
            MissingProbes::Ignore => {}
        }
        Ok(())
    }

    fn error(&self, target: &Target, source: skep_kernel::Error) -> Error {
        let tracefs = (self.surroundings.tracefs)().ok();
        let advice = tracefs.and_then(|tracefs| advice::instead_of(target, &tracefs));
        Error::Attach { probe: target.name.clone(), source, advice }
    }

    fn judge(self, nothing_attached: bool) -> Result<()> {
        match self.first_of_wildcard {
            Some(error) if nothing_attached => Err(error),
            _ => Ok(()),
        }
    }
}

impl Attached {
    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.watchpoints.is_empty()
    }

    /// Ends the watchpoints at an address.
    pub fn unwatch(&mut self, address: u64) {
        self.watchpoints.retain(|(watched, _)| *watched != address);
    }

    /// Counts the runs that the kernel left out.
    pub fn count_missed(&self, lost: &mut Lost) {
        for (link, name) in self.links.iter().filter_map(Link::counts) {
            lost.add(name, bpf::link_missed(link).unwrap_or(0));
        }
    }

    /// Takes everything away. Closing one tracepoint waits for all CPUs, some 70 ms, so they are closed side by
    /// side.
    pub fn detach(self) {
        const SIDE_BY_SIDE: usize = 32;
        let mut links = self.links;
        links.extend(self.watchpoints.into_iter().map(|(_, link)| link));
        if links.len() < 2 {
            return;
        }
        let share = links.len().div_ceil(SIDE_BY_SIDE);
        std::thread::scope(|scope| {
            while !links.is_empty() {
                let rest = links.split_off(links.len().saturating_sub(share));
                // Without a thread the links are closed here.
                let _ =
                    std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, move || drop(rest));
            }
        });
    }
}
