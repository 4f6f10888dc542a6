//! Perf events: tracepoints, timers, counters and watched memory.

use std::os::fd::OwnedFd;

use skep_kernel::perf::{self, Event, Sampling, Scope, Software};
use skep_kernel::tracefs::TraceFs;
use skep_kernel::{Result, proc};
use skep_lang::hir::{Counter, Rate, Watchpoint};

/// Where the event is counted does not matter: a tracepoint runs its programs on any CPU.
pub(super) fn tracepoint(tracefs: &TraceFs, category: &str, event: &str) -> Result<OwnedFd> {
    let id = tracefs.id(category, event)?;
    perf::open(Event::Tracepoint(id), Scope::cpu(first_cpu()?))
}

/// A timer on one CPU.
pub(super) fn interval(rate: Rate) -> Result<OwnedFd> {
    perf::open(timer(rate), Scope::cpu(first_cpu()?))
}

/// A timer on each CPU.
pub(super) fn profile(rate: Rate) -> Result<Vec<OwnedFd>> {
    perf::open_on_all_cpus(timer(rate))
}

/// A counter on each CPU.
pub(super) fn counter(counter: Counter) -> Result<Vec<OwnedFd>> {
    let sampling = Sampling::Period(counter.period);
    perf::open_on_all_cpus(if counter.hardware {
        Event::Hardware(counter.number, sampling)
    } else {
        Event::SoftwareNumber(counter.number, sampling)
    })
}

/// Memory of a process, or of the kernel on every CPU.
pub(super) fn watchpoint(watch: Watchpoint, process: Option<i32>) -> Result<Vec<OwnedFd>> {
    let event = Event::Breakpoint {
        address: watch.address,
        length: watch.length,
        read: watch.read,
        write: watch.write,
        execute: watch.execute,
    };
    let Some(process) = process else { return perf::open_on_all_cpus(event) };
    // Threads that are there now; those they make later inherit it.
    proc::threads(process)?.into_iter().map(|thread| perf::open(event, Scope::pid(thread))).collect()
}

fn first_cpu() -> Result<u32> {
    Ok(perf::online_cpus()?.first().copied().unwrap_or(0))
}

fn timer(rate: Rate) -> Event {
    let sampling = match rate {
        Rate::PeriodNs(period) => Sampling::Period(period),
        Rate::Hertz(frequency) => Sampling::Frequency(frequency),
    };
    Event::Software(Software::CpuClock, sampling)
}
