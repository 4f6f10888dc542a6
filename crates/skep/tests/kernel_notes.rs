//! The four lines this product was started for, through a link named `bpftrace`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use rustix::process::Signal;
use skep_testing::need;
use support::{Links, Run, Running, call, perl, run};

/// What the wildcard of the notes stands for, beside probes that this kernel may have or not.
const ALWAYS: [&str; 3] = ["open", "open_by_handle_at", "openat"];

fn bpftrace(links: &Links, args: &[&str]) -> Run {
    run(call(&links.path("bpftrace"), args))
}

/// The calls of `open*` that the kernel can report.
fn calls(links: &Links) -> Vec<String> {
    let listed = bpftrace(links, &["-l", "tracepoint:syscalls:sys_enter_open*"]).quiet_output();
    let call = |line: &str| line.strip_prefix("tracepoint:syscalls:sys_enter_").unwrap().to_owned();
    listed.lines().map(call).collect()
}

/// A child that opens one file in three ways, and one that is not there. Perl's own opens have other names.
fn workload() -> String {
    perl(
        "my $f = qq(/etc/hostname\\0); for (1..3) { syscall(2, $f, 0); syscall(257, -100, $f, 0) } \
         my $g = qq(/nonexistent/skep\\0); syscall(257, -100, $g, 0)",
    )
}

#[test]
fn the_list() {
    need!(Root, Tracefs);
    let calls = calls(&Links::new());
    for wanted in ALWAYS {
        assert!(calls.iter().any(|call| call == wanted), "{calls:?}");
    }
    assert!(calls.is_sorted(), "{calls:?}");
}

#[test]
fn counts_by_probe() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script = "tracepoint:syscalls:sys_enter_open* /pid == cpid && str(args.filename) == \"/etc/hostname\"/ \
                  { @[probe]=count(); }";
    let run = bpftrace(&Links::new(), &["-q", "-e", script, "-c", &workload()]).success();
    let expected =
        "\n\n@[tracepoint:syscalls:sys_enter_open]: 3\n@[tracepoint:syscalls:sys_enter_openat]: 3\n";
    assert_eq!(run.stdout, expected);
}

#[test]
fn a_probe_without_the_field_is_left_out_with_one_warning() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let links = Links::new();
    let script =
        r#"tracepoint:syscalls:sys_enter_open* /pid == cpid/ {printf("%s %s\n",comm,str(args.filename));}"#;
    let run = bpftrace(&links, &["-e", script, "-c", &workload()]).success();
    let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.contains("WARNING")).collect();
    let expected = "stdin:1:78-91: WARNING: tracepoint:syscalls:sys_enter_open_by_handle_at has no field named \
                    'filename' and will not be attached.";
    assert_eq!(warnings, [expected]);
    let attached = format!("Attached {} probes\n", calls(&links).len() - 1);
    assert!(run.stderr.ends_with(&attached), "{}", run.stderr);
    assert_eq!(run.stdout.matches("perl /etc/hostname\n").count(), 6, "{}", run.stdout);
    assert_eq!(run.stdout.matches("perl /nonexistent/skep\n").count(), 1, "{}", run.stdout);
}

#[test]
fn the_only_text_of_a_record() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let links = Links::new();
    let script = r#"tracepoint:syscalls:sys_enter_open* /pid == cpid/ {printf("%s %s\n",comm,str(args));}"#;
    let run = bpftrace(&links, &["-e", script, "-c", &workload()]).success();
    assert_eq!(run.stderr.matches("WARNING").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("open_by_handle_at"), "{}", run.stderr);
    // It is attached all the same, and gives an empty text.
    let attached = format!("Attached {} probes\n", calls(&links).len());
    assert!(run.stderr.ends_with(&attached), "{}", run.stderr);
    assert_eq!(run.stdout.matches("perl /etc/hostname\n").count(), 6, "{}", run.stdout);
}

/// As written, system-wide, ended by ctrl-C.
#[test]
fn system_wide_as_written() {
    need!(Root, Guest, Bpf, RingBuf, Tracefs);
    let links = Links::new();
    let worker = |times: usize| {
        let program =
            format!("for (1..{times}) {{ my $f = qq(/etc/hostname\\0); syscall(257, -100, $f, 0) }}");
        assert!(std::process::Command::new("perl").args(["-e", &program]).status().unwrap().success());
    };
    let start = |script: &str| {
        let mut command = call(&links.path("bpftrace"), &["-e", script]);
        command.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
        let running = Running::start(command);
        running.wait_for("__BPFTRACE_NOTIFY_PROBES_ATTACHED");
        running
    };
    let count = start("tracepoint:syscalls:sys_enter_open* {@[probe]=count();}");
    let name = start(r#"tracepoint:syscalls:sys_enter_open* {printf("%s %s\n",comm,str(args.filename));}"#);
    let text = start(r#"tracepoint:syscalls:sys_enter_open* {printf("%s %s\n",comm,str(args));}"#);
    worker(20);
    let end = |running: Running| {
        running.signal(Signal::INT);
        running.end().success().stdout
    };
    let counted = end(count);
    let counts: BTreeMap<&str, u64> = counted
        .lines()
        .filter_map(|line| line.strip_prefix("@[tracepoint:syscalls:sys_enter_")?.split_once("]: "))
        .map(|(call, count)| (call, count.parse().unwrap()))
        .collect();
    assert!(counts.get("openat").is_some_and(|count| *count >= 20), "{counted}");
    for printed in [end(name), end(text)] {
        assert_eq!(printed.matches("perl /etc/hostname\n").count(), 20, "{printed}");
    }
}
