//! One program for many probes, told apart by cookies where the kernel has them and by copies where it has not; and
//! tracefs, mounted or not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use skep_testing::need;
use support::objects::{Objects, mounts};
use support::{Running, perl, trace};

const SCRIPT: &str =
    "tracepoint:syscalls:sys_enter_getp* /pid == cpid/ { @[probe] = count(); printf(\"%s\\n\", probe); }";

const EXPECTED: &str = "tracepoint:syscalls:sys_enter_getppid\ntracepoint:syscalls:sys_enter_getppid\n\
    tracepoint:syscalls:sys_enter_getpgid\ntracepoint:syscalls:sys_enter_getpriority\n\
    tracepoint:syscalls:sys_enter_getpgid\ntracepoint:syscalls:sys_enter_getppid\n\n\n\
    @[tracepoint:syscalls:sys_enter_getpriority]: 1\n@[tracepoint:syscalls:sys_enter_getpgid]: 2\n\
    @[tracepoint:syscalls:sys_enter_getppid]: 3\n";

fn command() -> String {
    perl("getppid; getppid; getpgrp(0); getpriority(0, 0); getpgrp(0); getppid")
}

/// Each of several probes knows its own name, whatever the kernel can do.
#[test]
fn each_probe_knows_its_name() {
    need!(Root, Bpf, RingBuf, Tracefs);
    for without in
        ["", "attach_cookie", "perf_event_link", "attach_cookie,perf_event_link", "prog_btf", "map_batch"]
    {
        let mut args = vec!["-q", "-e", SCRIPT];
        let command = command();
        args.extend(["-c", &command]);
        if !without.is_empty() {
            args.extend(["--no-feature", without]);
        }
        assert_eq!(trace(&args).quiet_output(), EXPECTED, "without {without:?}");
    }
}

/// A clause on many probes is one program where the kernel has cookies, and one for each probe where it has none.
#[test]
fn programs_are_shared() {
    need!(Root, Bpf, RingBuf, Tracefs, Cookies);
    let programs = |args: &[&str]| {
        let script = "tracepoint:syscalls:sys_enter_getp* /pid == cpid/ { @[probe] = count(); }";
        let running = Running::attached(&[&["-q", "-e", script], args].concat());
        let programs = Objects::of(running.pid()).programs.len();
        running.signal(rustix::process::Signal::INT);
        running.end().success();
        programs
    };
    assert_eq!(programs(&[]), 1);
    assert!(programs(&["--no-feature", "attach_cookie"]) > 4);
}

/// Several clauses on one probe run in the script's order, and one clause on several probes once for each.
#[test]
fn clauses_keep_their_order() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { printf(\"a\"); @n++; }
        tracepoint:syscalls:sys_enter_getppid, tracepoint:syscalls:sys_exit_getppid /pid == cpid/ { printf(\"b\"); @n++; }
        tracepoint:syscalls:sys_enter_getp* /pid == cpid/ { printf(\"c\"); @n++; }";
    let run = trace(&["-q", "-e", script, "-c", &perl("getppid for 1..2")]).quiet_output();
    assert_eq!(run, "abcbabcb\n\n@n: 8\n");
}

#[test]
fn a_probe_can_be_filtered_by_name() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let run = trace(&["-q", "-e", SCRIPT, "-c", &command(), "--probe-filter", "getpriority"]).quiet_output();
    let name = "tracepoint:syscalls:sys_enter_getpriority";
    assert_eq!(run, format!("{name}\n\n\n@[{name}]: 1\n"));
}

/// Runs a test where tracefs is at its usual place, or nowhere, for this thread and its children only.
fn with_tracefs(mounted: bool, test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the thread gets mounts of its own; nothing else of it is unshared but the working directory.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            for (place, kind) in thread_mounts() {
                if kind == "tracefs" || kind == "debugfs" {
                    let _ = rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH);
                }
            }
            if mounted {
                mount("tracefs", "/sys/kernel/tracing", "tracefs", MountFlags::empty(), None).unwrap();
            }
            let before = thread_mounts();
            test();
            assert_eq!(thread_mounts(), before);
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The mounts of the calling thread; `/proc/self` speaks of the process.
fn thread_mounts() -> Vec<(String, String)> {
    support::objects::mounts_of("/proc/thread-self/mountinfo")
}

#[test]
fn tracefs_may_be_mounted_or_not() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let before = mounts();
    for mounted in [false, true] {
        with_tracefs(mounted, || {
            assert_eq!(trace(&["-q", "-e", SCRIPT, "-c", &command()]).quiet_output(), EXPECTED);
            let listed = trace(&["-l", "tracepoint:syscalls:sys_enter_getppid"]).quiet_output();
            assert_eq!(listed, "tracepoint:syscalls:sys_enter_getppid\n");
        });
    }
    assert_eq!(mounts(), before);
}
