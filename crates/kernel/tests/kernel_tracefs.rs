//! tracefs, mounted or not, and tracepoints as perf events.

mod support;

use std::os::fd::AsFd;

use skep_kernel::bpf::ProgType;
use skep_kernel::features::{Feature, Features};
use skep_kernel::perf::{self, Event, Sampling, Scope, Software};
use skep_kernel::tracefs::{FieldKind, TraceFs};
use skep_kernel::{mounts, perf::Attachment};
use support::{count, counter, counting_insns_of_this_process, load, may_use_bpf};

/// An open tracefs, or the word that the test is skipped.
fn tracefs(test: &str) -> Option<TraceFs> {
    TraceFs::open().inspect_err(|error| eprintln!("SKIP: {test}: needs tracefs: {error}")).ok()
}

#[test]
fn a_private_mount_shows_all_and_leaves_nothing() {
    let test = "a_private_mount_shows_all_and_leaves_nothing";
    let before = mounts::mounts().unwrap();
    let tracefs = match TraceFs::open_private() {
        Ok(tracefs) => tracefs,
        Err(error) => return eprintln!("SKIP: {test}: needs the right to mount: {error}"),
    };
    assert!(tracefs.is_private());
    let events = tracefs.events().unwrap();
    assert!(events.is_sorted());
    assert!(events.contains(&("sched".to_owned(), "sched_switch".to_owned())));
    assert_eq!(mounts::mounts().unwrap(), before, "nothing is mounted while it is open");
    drop(tracefs);
    assert_eq!(mounts::mounts().unwrap(), before, "nor afterwards");
}

#[test]
fn every_format_of_this_kernel_is_understood() {
    let Some(tracefs) = tracefs("every_format_of_this_kernel_is_understood") else { return };
    for (category, name) in tracefs.events().unwrap() {
        let format = tracefs.format(&category, &name).unwrap();
        assert_eq!(format.name, name);
        assert_eq!(format.id, tracefs.id(&category, &name).unwrap());
        assert!(!format.common.is_empty(), "{category}:{name}");
        for field in &format.fields {
            if let FieldKind::Array { element_size, len, .. } = field.kind {
                assert_eq!(element_size * len, field.size, "{category}:{name}.{}", field.name);
            }
        }
    }
}

#[test]
fn names_that_are_no_tracepoints() {
    let Some(tracefs) = tracefs("names_that_are_no_tracepoints") else { return };
    let error = tracefs.id("sched", "no_such").unwrap_err().to_string();
    assert!(error.contains("ENOENT") && error.contains("no such tracepoint"), "{error}");
    assert!(tracefs.id("..", "x").is_err());
    assert!(tracefs.id("a/b", "x").is_err());
}

#[test]
fn a_tracepoint_counts_exactly_until_it_is_detached() {
    let test = "a_tracepoint_counts_exactly_until_it_is_detached";
    if !may_use_bpf(test) {
        return;
    }
    let Some(tracefs) = tracefs(test) else { return };
    let id = match tracefs.id("syscalls", "sys_enter_getppid") {
        Ok(id) => id,
        Err(error) => return eprintln!("SKIP: {test}: needs syscall tracepoints: {error}"),
    };
    let cookies = if Features::new().has(Feature::AttachCookie) { vec![None, Some(7)] } else { vec![None] };
    for cookie in cookies {
        let map = counter();
        let prog = load(ProgType::TRACEPOINT, "count", &counting_insns_of_this_process(&map));
        let event = perf::open(Event::Tracepoint(id), Scope::cpu(0)).unwrap();
        let attached: Attachment = perf::attach(event, prog.as_fd(), cookie).unwrap();
        call_getppid(10);
        assert_eq!(count(&map), 10, "with cookie {cookie:?}");
        drop(attached);
        call_getppid(10);
        assert_eq!(count(&map), 10, "a program that is detached does not run");
    }
}

#[test]
fn a_software_clock_opens_on_all_cpus() {
    let test = "a_software_clock_opens_on_all_cpus";
    if !may_use_bpf(test) {
        return;
    }
    let clock = Event::Software(Software::CpuClock, Sampling::Frequency(99));
    let events = perf::open_on_all_cpus(clock).unwrap();
    assert_eq!(events.len(), perf::online_cpus().unwrap().len());
}

fn call_getppid(times: usize) {
    for _ in 0..times {
        // SAFETY: getppid has no preconditions.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}
