//! What a script does at the call and at the return of the same functions is one program and one link where the kernel
//! has such links, and means the same where it has not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use rustix::process::Signal;
use skep_testing::need;
use skep_testing::programs::{self, Program};
use support::objects::Objects;
use support::{Running, perl, trace};

/// Without the second, each function is attached to on its own.
const WITHOUT: [&str; 3] =
    ["", "kprobe_session,uprobe_session", "kprobe_session,uprobe_session,kprobe_multi,uprobe_multi"];

fn without(features: &'static str) -> Vec<&'static str> {
    if features.is_empty() { vec![] } else { vec!["--no-feature", features] }
}

/// How many programs and links a script takes.
fn held(script: &str, more: &[&str]) -> (usize, usize) {
    let running = Running::attached(&[&["-q", "-e", script], more].concat());
    let held = Objects::of(running.pid());
    running.signal(Signal::INT);
    running.end().success();
    (held.programs.len(), held.links.len())
}

fn program() -> Program {
    let source = "__attribute__((noinline)) int part_one(int n) { return n + 1; }
        __attribute__((noinline)) int part_two(int n) { return part_one(n) * 2; }
        int main(void) { int sum = 0; for (int i = 0; i < 4; i++) sum += part_two(i); return sum != 20; }";
    programs::c("sessions", source, &["-O1"])
}

/// Values that the call leaves for the return, each probe's own name and function, loops on both sides.
#[test]
fn functions_of_programs() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uretprobe:{}:part_* { @sum += (int32)retval - (int32)@in[func]; @out[probe] = count();
            for $i : 0..2 { @rounds[probe, $i] = count(); } }
        uprobe:{}:part_* { @in[func] = arg0; @called[probe] = count(); for $i : 0..3 { @steps++ } }";
    let path = program.to_string();
    let script = script.replace("{}", &path);
    for features in WITHOUT {
        let run = trace(&[&["-q", "-e", &script, "-c", &path], &without(features)[..]].concat());
        let output = run.quiet_output().replace(&path, "{}");
        let expected = "@called[uprobe:{}:part_one]: 4\n@called[uprobe:{}:part_two]: 4\n@in[part_one]: 3\n@in[part_two]: 3\n\
            @out[uretprobe:{}:part_one]: 4\n@out[uretprobe:{}:part_two]: 4\n\
            @rounds[uretprobe:{}:part_one, 0]: 4\n@rounds[uretprobe:{}:part_one, 1]: 4\n\
            @rounds[uretprobe:{}:part_two, 0]: 4\n@rounds[uretprobe:{}:part_two, 1]: 4\n@steps: 24\n@sum: 18\n";
        assert_eq!(output.trim_start(), expected, "without {features:?}");
    }
}

#[test]
fn functions_of_programs_share_a_program() {
    need!(Root, Bpf, RingBuf, UprobeSession, Gcc);
    let program = program();
    let script = "uprobe:{}:part_* { @in[probe]++ } uretprobe:{}:part_* { @out[probe]++ }";
    let script = script.replace("{}", &program.to_string());
    assert_eq!(held(&script, &[]), (1, 1));
    assert_eq!(held(&script, &["--no-feature", "uprobe_session"]), (2, 2));
    // Not the same functions.
    let script = "uprobe:{}:part_one { @in++ } uretprobe:{}:part_* { @out++ }";
    assert_eq!(held(&script.replace("{}", &program.to_string()), &[]).0, 2);
}

#[test]
fn functions_of_the_kernel() {
    need!(Root, Bpf, RingBuf, Btf, Kprobe, Tracefs);
    let workload = perl("open F, q(</dev/zero); sysread F, $b, 7 for 1..3; umask 7 for 1..5");
    let script = "kprobe:vfs_read* /pid == cpid && arg2 == 7/ { @in[probe, func] = count(); }
        kretprobe:vfs_read* /pid == cpid && retval == 7/ { @out[probe, func] = count(); }
        kprobe:__x64_sys_umask /pid == cpid/ { @masks++ } kretprobe:__x64_sys_umask /pid == cpid/ { @before[retval == 7]++ }";
    let expected = "@before[false]: 1\n@before[true]: 4\n@in[kprobe:vfs_read, vfs_read]: 3\n@masks: 5\n@out[kretprobe:vfs_read, vfs_read]: 3\n";
    for features in WITHOUT {
        let run = trace(&[&["-q", "-e", script, "-c", &workload], &without(features)[..]].concat());
        assert_eq!(run.quiet_output().trim_start(), expected, "without {features:?}");
    }
}

#[test]
fn functions_of_the_kernel_share_a_program() {
    need!(Root, Guest, Bpf, RingBuf, Btf, Tracefs, KprobeSession);
    let script = "kprobe:vfs_read* { @in[probe]++ } kretprobe:vfs_read* { @out[probe]++ }";
    assert_eq!(held(script, &[]), (1, 1));
    assert_eq!(held(script, &["--no-feature", "kprobe_session"]), (2, 2));
    // The call and the return count once, as one link.
    let attached = |script: &str| trace(&["-e", script, "-c", "/bin/true"]).success().stderr;
    let (both, calls) = (attached(script), attached("kprobe:vfs_read* { @in[probe]++ }"));
    assert!(both.starts_with("Attached ") && both.lines().next() == calls.lines().next(), "{both}{calls}");
    // A single function has no room for many calls in such a link.
    let script = "kprobe:vfs_read { @in++ } kretprobe:vfs_read { @out++ }";
    assert_eq!(held(script, &[]), (2, 2));
    let both = attached(script);
    assert!(both.starts_with("Attached 2 probes\n"), "{both}");
}

/// Programs are named by their attach points.
#[test]
fn names_of_programs() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script =
        "tracepoint:syscalls:sys_enter_getp* /pid == 1/ { @++ } interval:s:100 { } i:s:100 { } end { }";
    let running = Running::attached(&["-q", "-e", script]);
    let held = Objects::of(running.pid());
    let shown = support::objects::show(&["prog", "show"]);
    let mut names: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .filter(|program| held.programs.contains(&program["id"].as_u64().unwrap()))
        .map(|program| program["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    running.signal(Signal::INT);
    running.end().success();
    assert_eq!(
        names,
        ["end_4", "interval_s_100_2", "interval_s_100_3", "tracepoint_syscalls_sys_enter_getp__1"]
    );
}
