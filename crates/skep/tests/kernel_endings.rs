//! However skep ends, nothing of it stays in the kernel, and for every end that leaves it a say, `END` runs and the
//! maps are printed where there is still someone to read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;
use skep_testing::need;
use support::objects::{Objects, mounts};
use support::{Running, ended_by, file, path, perl, skep};

/// A script with probes of every kind, a map that is written at once, and an `END` that tells of itself.
const SCRIPT: &str = "BEGIN { @a[1] = 2; @h = hist(3); print(\"begun\"); }
    tracepoint:syscalls:sys_enter_getp* /pid == cpid/ { @[probe] = count(); }
    interval:s:3600 { @i++; }
    profile:hz:1 /pid == cpid/ { @p++; }
    END { print(\"ended\"); }";

const MAPS: &str = "begun\nended\n\n\n@a[1]: 2\n@h:\n\
    [2, 4)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n";

/// Checks that it holds programs and maps, lets it end, and checks that they and all mounts are gone.
fn leaves_nothing<T>(running: Running, end: impl FnOnce(Running) -> T) -> T {
    let objects = Objects::of(running.pid());
    assert!(!objects.programs.is_empty() && !objects.maps.is_empty(), "{objects:?}");
    let result = end(running);
    objects.wait_until_gone();
    result
}

#[test]
fn a_signal_ends_the_script_in_order() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let before = mounts();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let run = leaves_nothing(Running::attached(&["-q", "--no-warnings", "-e", SCRIPT]), |running| {
            running.signal(signal);
            running.end()
        });
        assert_eq!(run.quiet_output(), MAPS, "{signal:?}");
    }
    assert_eq!(mounts(), before);
}

/// timeout(1) and sudo(8) send a signal to the process and again to its group.
#[test]
fn the_echo_of_a_signal_cuts_nothing_short() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let run = leaves_nothing(Running::attached(&["-q", "--no-warnings", "-e", SCRIPT]), |running| {
        running.signal(Signal::INT);
        running.signal(Signal::INT);
        running.end()
    });
    assert_eq!(run.quiet_output(), MAPS);
}

/// Commands of `system()` wait for each other. A signal does not wait for them, and `END` may have its own.
#[test]
fn a_signal_leaves_commands_that_wait_undone() {
    need!(Root, Bpf, RingBuf);
    let place = tempfile::tempdir().unwrap();
    let (begun, go) = (place.path().join("begun"), place.path().join("go"));
    let script = format!(
        "BEGIN {{ for ($i : 0..5) {{ system(\"echo one; touch {}; until [ -e {} ]; do sleep 0.01; done\"); }} }}
         interval:s:3600 {{ }}
         END {{ system(\"echo last\"); }}",
        begun.display(),
        go.display()
    );
    let running = Running::start(skep(&["trace", "-q", "--unsafe", "-e", &script]));
    support::until("the first command runs", || begun.exists());
    running.signal(Signal::INT);
    fs::write(go, "").unwrap();
    let run = running.end().success();
    assert_eq!(run.stdout, "one\n\nlast\n\n\n\n");
    assert_eq!(run.stderr, "ERROR: 4 commands of system() were not run: the script was ended first\n");
}

#[test]
fn a_signal_ends_the_command_too() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let program = perl("getppid; sleep 1 while 1");
    let script = format!("{SCRIPT} tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {{ print(cpid); }}");
    let running = Running::start(skep(&["trace", "-q", "-e", &script, "-c", &program]));
    running.wait_for("begun\n");
    let stdout = leaves_nothing(running, |running| {
        running.wait_for("\n");
        // The child is the only one whose parent it is.
        let children = format!("/proc/{0}/task/{0}/children", running.pid());
        support::until("the command runs", || {
            fs::read_to_string(&children).is_ok_and(|text| !text.trim().is_empty())
        });
        let child: u32 = fs::read_to_string(&children).unwrap().trim().parse().unwrap();
        running.signal(Signal::INT);
        let run = running.end().success();
        support::until("the command ended", || !std::path::Path::new(&format!("/proc/{child}")).exists());
        run.stdout
    });
    assert!(stdout.contains("ended\n"), "{stdout}");
}

#[test]
fn a_kill_leaves_nothing() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let before = mounts();
    let run = leaves_nothing(Running::attached(&["-e", SCRIPT]), |running| {
        running.signal(Signal::KILL);
        running.end()
    });
    assert!(ended_by(&run, Signal::KILL), "{run:?}");
    assert_eq!(mounts(), before);
}

/// `skep ... | head -1`: the script ends as soon as it has something to say and nobody listens. That `END` ran shows
/// in the exit status, which only `END` sets.
#[test]
fn a_closed_output_ends_the_script() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let before = mounts();
    for form in ["text", "json"] {
        let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { print(nsecs); @a = count(); }
                      END { exit(7); }";
        let command = perl("getppid while 1");
        let running =
            Running::start_unread(skep(&["trace", "-f", form, "-B", "line", "-e", script, "-c", &command]));
        support::until("it is attached", || Objects::of(running.pid()).programs.len() >= 2);
        let run = leaves_nothing(running, |mut running| {
            running.close_stdout();
            running.end()
        });
        assert_eq!(run.code(), 7, "{form}: {run:?}");
        assert!(!run.stderr.contains("panicked") && !run.stderr.contains("ERROR"), "{}", run.stderr);
    }
    assert_eq!(mounts(), before);
}

#[test]
fn a_full_disk_is_told() {
    need!(Root, Bpf, RingBuf);
    let run = support::trace(&["-o", "/dev/full", "-e", "BEGIN { print(1); } END { exit(0); }"]);
    assert_ne!(run.code(), 0, "{run:?}");
    assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
}

#[test]
fn a_normal_end_and_a_failed_start_leave_nothing() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let before = mounts();
    let out = file("");
    let running = Running::attached(&["-q", "-o", path(&out), "-e", "interval:s:3600 { } END { print(1); }"]);
    leaves_nothing(running, |running| {
        running.signal(Signal::TERM);
        running.end().success()
    });
    support::trace(&["-e", "tracepoint:syscalls:sys_enter_open* { @ = 1; } BEGIN { $x = ; }"]);
    support::trace(&["-l", "tracepoint:syscalls:*"]).success();
    assert_eq!(mounts(), before);
    // No mount of a type that tracing needs came, in whatever namespace this test runs.
    let kinds = |mounts: &[(String, String)]| -> BTreeSet<String> {
        mounts.iter().map(|(_, kind)| kind.clone()).collect()
    };
    assert_eq!(kinds(&mounts()), kinds(&before));
}
