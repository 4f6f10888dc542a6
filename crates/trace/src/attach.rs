//! Programs put where they belong, and taken away again.
//!
//! Whatever is attached is held by descriptors and nothing else: when the process dies, however it dies, the
//! kernel takes everything away.

use std::os::fd::AsFd;
use std::rc::Rc;

use skep_compile::artifact::Artifact;
use skep_kernel::bpf::{TestRun, test_run};
use skep_kernel::perf::{self, Attachment, Event, Sampling, Scope, Software};
use skep_kernel::tracefs::TraceFs;
use skep_lang::hir::{Attach, MissingProbes, Rate, Target, TargetId};

use crate::error::{Error, Result};
use crate::load::{Loaded, LoadedProgram};
use crate::session::Notice;

/// Everything that is attached.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    links: Vec<Attachment>,
}

/// Attaches every program to its targets except `BEGIN` and `END`, which are run instead. `tell` hears of each
/// target before it is attached, and of each that could not be and may be missing.
pub(crate) fn attach(
    artifact: &Artifact,
    loaded: &Loaded,
    tracefs: impl Fn() -> Result<Rc<TraceFs>>,
    tell: &mut dyn FnMut(&Notice<'_>),
) -> Result<Attached> {
    let mut attached = Attached::default();
    for (program, id, target) in placed(artifact, loaded) {
        if matches!(target.attach, Attach::Begin | Attach::End) {
            continue;
        }
        tell(&Notice::Attaching(&target.name));
        let cookie = program.wants_cookie.then_some(u64::from(id.0));
        let events = match &target.attach {
            Attach::Tracepoint { category, event } => {
                let tracefs = tracefs()?;
                // Where the event is counted does not matter: a tracepoint runs its programs on any CPU.
                tracefs
                    .id(category, event)
                    .and_then(|id| Ok(vec![perf::open(Event::Tracepoint(id), Scope::cpu(first_cpu()?))?]))
            }
            Attach::Interval(rate) => {
                first_cpu().and_then(|cpu| Ok(vec![perf::open(timer(*rate), Scope::cpu(cpu))?]))
            }
            Attach::Profile(rate) => perf::open_on_all_cpus(timer(*rate)),
            Attach::Begin | Attach::End => Ok(Vec::new()),
        };
        let done = events.and_then(|events| {
            for event in events {
                attached.links.push(perf::attach(event, program.fd.as_fd(), cookie)?);
            }
            Ok(())
        });
        if let Err(source) = done {
            match artifact.config.missing_probes {
                MissingProbes::Error => return Err(Error::Attach { probe: target.name.clone(), source }),
                MissingProbes::Warn => tell(&Notice::Missing(&target.name, &source)),
                MissingProbes::Ignore => {}
            }
        }
    }
    Ok(attached)
}

/// Runs the programs of `BEGIN` or `END` in the order of the script.
pub(crate) fn run(artifact: &Artifact, loaded: &Loaded, which: &Attach) -> Result<()> {
    for (program, _, target) in placed(artifact, loaded) {
        if target.attach == *which {
            test_run(program.fd.as_fd(), &mut TestRun::default())
                .map_err(Error::kernel(format!("cannot run the probe {}", target.name)))?;
        }
    }
    Ok(())
}

/// Each program with each of its targets.
fn placed<'a>(
    artifact: &'a Artifact,
    loaded: &'a Loaded,
) -> impl Iterator<Item = (&'a LoadedProgram, TargetId, &'a Target)> {
    loaded.programs.iter().flat_map(move |program| {
        program
            .targets
            .iter()
            .filter_map(move |&id| Some((program, id, artifact.targets.get(id.0 as usize)?)))
    })
}

fn first_cpu() -> skep_kernel::Result<u32> {
    Ok(perf::online_cpus()?.first().copied().unwrap_or(0))
}

fn timer(rate: Rate) -> Event {
    let sampling = match rate {
        Rate::PeriodNs(period) => Sampling::Period(period),
        Rate::Hertz(frequency) => Sampling::Frequency(frequency),
    };
    Event::Software(Software::CpuClock, sampling)
}

impl Attached {
    /// Takes everything away. Closing one tracepoint waits for all CPUs, some 70 ms, so they are closed side by
    /// side.
    pub fn detach(self) {
        const SIDE_BY_SIDE: usize = 32;
        let mut links = self.links;
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
