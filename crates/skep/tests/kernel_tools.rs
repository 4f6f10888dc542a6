//! The ready-made tools, and the inspector looking at a script that runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use skep_testing::need;
use support::objects::{Objects, show};
use support::{Links, Run, Running, run, sample, skep};

/// A perl that waits for a line, opens files in known ways, and ends with its input.
const WORKER: &str = r#"
    $| = 1; print qq(ready\n); <STDIN>;
    sub try { my $p = shift; my $fd = syscall(257, -100, my $c = qq($p\0), shift // 0); syscall(3, $fd) if $fd >= 0; }
    try(q(/etc/hostname)); try(q(/nonexistent/first)); try(q(/etc), 0x10000); try(q(/etc/passwd/x));
    my $o = qq(/dev/null\0); syscall(3, syscall(2, $o, 0));
    my $n = qq(/nonexistent/dir/new\0); syscall(85, $n, 0600);
    try(q(/nonexistent/last));
    print qq(done\n); <STDIN>;
"#;

/// Runs opensnoop on a worker of its own, from before its first call until all of them are shown.
fn opensnoop(flags: impl FnOnce(&str) -> Vec<String>) -> (u32, Run) {
    let mut worker = Command::new("perl")
        .args(["-e", WORKER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = std::io::BufRead::lines(std::io::BufReader::new(worker.stdout.take().unwrap()));
    let mut input = worker.stdin.take().unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "ready");
    let flags = flags(&worker.id().to_string());
    let args: Vec<&str> = std::iter::once("opensnoop").chain(flags.iter().map(String::as_str)).collect();
    let running = Running::start(skep(&args));
    // The header comes when everything is attached.
    running.wait_for("PATH\n");
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "done");
    running.wait_for("/nonexistent/last\n");
    running.signal(Signal::INT);
    let run = running.end().success();
    drop(input);
    assert!(worker.wait().unwrap().success());
    (worker.id(), run)
}

fn words(flags: &[&str]) -> Vec<String> {
    flags.iter().map(ToString::to_string).collect()
}

#[test]
fn opensnoop_shows_each_open() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let (pid, run) = opensnoop(|pid| words(&["-p", pid]));
    let row =
        |fd: i32, error: i32, path: &str| format!("{pid:<6} {:<16} {fd:>4} {error:>3} {path}\n", "perl");
    let expected = [
        format!("{:<6} {:<16} {:>4} {:>3} PATH\n", "PID", "COMM", "FD", "ERR"),
        row(3, 0, "/etc/hostname"),
        row(-1, libc_errno::ENOENT, "/nonexistent/first"),
        row(3, 0, "/etc"),
        row(-1, libc_errno::ENOTDIR, "/etc/passwd/x"),
        row(3, 0, "/dev/null"),
        row(-1, libc_errno::ENOENT, "/nonexistent/dir/new"),
        row(-1, libc_errno::ENOENT, "/nonexistent/last"),
    ];
    assert_eq!(run.stdout, expected.concat());
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!("rows_of_opensnoop", sample::columns(&run.stdout, &["PID"]));
}

/// The two numbers that the rows need.
mod libc_errno {
    pub const ENOENT: i32 = 2;
    pub const ENOTDIR: i32 = 20;
}

#[test]
fn opensnoop_has_the_flags_of_bcc() {
    need!(Root, Bpf, RingBuf, Tracefs);
    // -x: failed ones only; -T: time first; -U: user.
    let (_, failed) = opensnoop(|pid| words(&["-x", "-T", "-U", "-p", pid]));
    let mut lines = failed.stdout.lines();
    let header =
        format!("{:<14} {:<6} {:<6} {:<16} {:>4} {:>3} PATH", "TIME(s)", "UID", "PID", "COMM", "FD", "ERR");
    assert_eq!(lines.next(), Some(header.as_str()));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let paths: Vec<&str> = rows.iter().map(|row| row[6]).collect();
    assert_eq!(paths, ["/nonexistent/first", "/etc/passwd/x", "/nonexistent/dir/new", "/nonexistent/last"]);
    assert_eq!(rows[0][0], "0.000000000");
    let times: Vec<f64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(rows.iter().all(|row| row[1] == "0" && row[3] == "perl" && row[4] == "-1"), "{rows:?}");

    // -t: a thread, whose number heads the column; -n: a part of its name; -u: a user.
    let (pid, thread) = opensnoop(|tid| words(&["-t", tid, "-n", "er", "-u", "0"]));
    assert!(thread.stdout.starts_with("TID "), "{}", thread.stdout);
    assert_eq!(thread.stdout.lines().count(), 8, "{}", thread.stdout);
    assert!(thread.stdout.lines().skip(1).all(|line| line.starts_with(&pid.to_string())));
}

#[test]
fn opensnoop_leaves_out_others() {
    need!(Root, Bpf, RingBuf, Tracefs);
    // Nobody has this name, this user or this process id; it ends by itself.
    for flags in
        [&["-n", "no such thread"][..], &["-u", "4000000000"], &["-p", "4194303"], &["-t", "4194303"]]
    {
        let args = [&["opensnoop", "-d", "1"], flags].concat();
        let run = run(skep(&args)).success();
        assert_eq!(run.stdout.lines().count(), 1, "{flags:?}: {}", run.stdout);
    }
}

#[test]
fn opensnoop_tells_about_itself() {
    need!(Root);
    let links = Links::new();
    let help = run(support::call(&links.path("opensnoop"), &["--help"])).quiet_output();
    assert_eq!(help, run(skep(&["opensnoop", "--help"])).quiet_output());
    insta::assert_snapshot!(help);
    let script = run(skep(&["opensnoop", "--script"])).quiet_output();
    assert!(script.starts_with("#!/usr/bin/env bpftrace\n"), "{script}");
    let checked = support::file(&script);
    assert_eq!(run(skep(&["check", support::path(&checked)])).code(), 0);
    assert_eq!(run(skep(&["opensnoop", "-p", "many"])).code(), 1);
    assert_eq!(run(skep(&["opensnoop", "--no-such-flag"])).code(), 1);
}

/// Programs and maps of a running script have their names, types and BTF.
#[test]
fn the_inspector_sees_a_running_script() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let script = "BEGIN { @scalar = 5; @keyed[1, \"a\"] = (uint32)7; }
        tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { @calls[comm] = count(); printf(\"%d\\n\", pid); }
        interval:s:3600 { @never = hist(nsecs); }";
    let running = Running::attached(&["-q", "-e", script]);
    let held = Objects::of(running.pid());
    let of = |kind: &str, ids: &std::collections::BTreeSet<u64>| -> Vec<Value> {
        let all = show(&[kind, "show"]);
        let all = all.as_array().unwrap().iter();
        all.filter(|object| ids.contains(&object["id"].as_u64().unwrap())).cloned().collect()
    };
    let programs = of("prog", &held.programs);
    let types: Vec<&str> = programs.iter().map(|program| program["type"].as_str().unwrap()).collect();
    assert_eq!(programs.len(), held.programs.len());
    assert!(types.contains(&"tracepoint") && types.contains(&"perf_event"), "{types:?}");
    for program in &programs {
        assert!(program["name"].as_str().is_some_and(|name| !name.is_empty()), "{program}");
        assert!(program["btf_id"].as_u64().is_some_and(|id| id > 0), "{program}");
        assert!(program["gpl_compatible"].as_bool().unwrap(), "{program}");
        let maps = program["map_ids"].as_array().unwrap();
        assert!(maps.iter().all(|id| held.maps.contains(&id.as_u64().unwrap())), "{program}");
        let pids = program["pids"].as_array().unwrap();
        assert!(pids.iter().any(|holder| holder["pid"] == running.pid()), "{program}");
    }
    let maps = of("map", &held.maps);
    let find = |name: &str| {
        maps.iter().find(|map| map["name"] == name).unwrap_or_else(|| panic!("{name}: {maps:#?}"))
    };
    for (name, kind) in [("AT_keyed", "hash"), ("AT_calls", "percpu_hash"), ("AT_scalar", "array")] {
        assert_eq!(find(name)["type"], kind, "{name}");
    }
    assert!(maps.iter().any(|map| map["type"] == "ringbuf"), "{maps:#?}");

    // The same by a link named bpftool, for people.
    let links = Links::new();
    let id = held.programs.first().unwrap().to_string();
    let plain = run(support::call(&links.path("bpftool"), &["prog", "show", "id", &id])).quiet_output();
    assert_eq!(plain, run(skep(&["prog", "show", "id", &id])).quiet_output());
    assert!(plain.starts_with(&format!("{id}: ")) && plain.contains("\tpids skep("), "{plain}");
    running.signal(Signal::INT);
    running.end().success();
    held.wait_until_gone();
    let gone = run(skep(&["prog", "show", "id", &id]));
    assert_ne!(gone.code(), 0, "{gone:?}");
}
