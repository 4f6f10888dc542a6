//! Every event is printed or counted as lost: printed + lost = made, exactly, and in the order of the script.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::{Run, Running, in_guest, perl, skep, trace};

/// How many events the closing message counts as lost.
fn lost(run: &Run) -> u64 {
    let count = |line: &str| line.strip_prefix("Lost ")?.strip_suffix(" events")?.parse().ok();
    run.stderr.lines().find_map(count).unwrap_or(0)
}

/// A flood of calls: many here, fewer where the machine is emulated.
fn flood() -> u64 {
    if in_guest() { 50_000 } else { 1_000_000 }
}

fn calls(times: u64) -> String {
    perl(&format!("getppid for 1..{times}"))
}

const PRINT: &str =
    "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { printf(\"%d\\n\", nsecs); @made = count(); }";

/// The lines printed before the maps, and what the map counted.
fn printed(run: &Run) -> (u64, u64) {
    let (lines, maps) =
        run.stdout.split_once("\n\n\n").unwrap_or_else(|| panic!("no end of the lines: {}", run.stderr));
    let made = maps.strip_prefix("@made: ").and_then(|count| count.trim_end().parse().ok());
    let lines = if lines.is_empty() { 0 } else { 1 + lines.matches('\n').count() as u64 };
    (lines, made.unwrap_or_else(|| panic!("{maps}")))
}

#[test]
fn a_flood_is_printed_or_counted_as_lost() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let made = flood();
    for round in 0..3 {
        let run = trace(&["-q", "-e", PRINT, "-c", &calls(made)]).success();
        let (lines, counted) = printed(&run);
        assert_eq!(counted, made, "round {round}");
        assert_eq!(lines + lost(&run), made, "round {round}: {}", run.stderr);
    }
}

/// With nobody reading, the pipe, the reader and then the ring fill up: what comes after that is lost for certain.
#[test]
fn what_finds_no_room_is_counted() {
    need!(Root, Bpf, RingBuf, Tracefs);
    // A record takes 1 KiB, so that the largest ring is full soon.
    let made = if in_guest() { 40_000 } else { 200_000 };
    let text = "x".repeat(990);
    let script = format!(
        "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {{ printf(\"%s %d\\n\", \"{text}\", nsecs); @made = count(); }}
         tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ {{ exit(3); }}"
    );
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join("done");
    let program =
        format!("getppid for 1..{made}; open F, q(>{}); close F; sleep 1 while 1", marker.display());
    let mut running =
        Running::start_unread(skep(&["trace", "-q", "-B", "none", "-e", &script, "-c", &perl(&program)]));
    support::until("all calls are made", || marker.exists());
    running.read();
    // All that was kept is read; then the end is asked for.
    running.signal(rustix::process::Signal::INT);
    let run = running.end().success();
    let (lines, counted) = printed(&run);
    assert_eq!(counted, made);
    assert!(lost(&run) > 0, "{}", run.stderr);
    assert_eq!(lines + lost(&run), made, "{}", run.stderr);
    // The message names the probe.
    let each = format!("  tracepoint:syscalls:sys_enter_getppid: {}\n", lost(&run));
    assert!(run.stderr.contains(&each), "{}", run.stderr);
}

#[test]
fn json_counts_what_was_lost() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let made = flood() / 4;
    let run = trace(&["-f", "json", "-q", "-e", PRINT, "-c", &calls(made)]).success();
    let mut lines = 0;
    let mut lost = 0;
    for line in run.stdout.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        match value["type"].as_str() {
            Some("printf") => lines += 1,
            Some("lost_events") => lost = value["data"]["events"].as_u64().unwrap(),
            _ => assert_eq!(value["data"]["@made"], made),
        }
    }
    assert_eq!(lines + lost, made);
}

/// Maps are printed by what reads, on a message of their own. It keeps its place among the other messages.
#[test]
fn printing_a_map_keeps_its_place() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let rounds = if in_guest() { 300 } else { 3000 };
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {
        @n = @n + 1;
        printf(\"before %d\\n\", @n); print(@n); printf(\"after %d\\n\", @n); print((\"value\", @n));
    }";
    let run = trace(&["-q", "-e", script, "-c", &calls(rounds)]).success();
    assert_eq!(lost(&run), 0, "{}", run.stderr);
    let mut lines = run.stdout.lines();
    let mut last = 0;
    for n in 1..=rounds {
        assert_eq!(lines.next(), Some(&*format!("before {n}")));
        // The map is printed as it is when it is read: not before, and never going back.
        let map = lines.next().and_then(|line| line.strip_prefix("@n: ")).map(str::parse::<u64>);
        let Some(Ok(value)) = map else { panic!("no map after {n}: {map:?}") };
        assert!(value >= n && value >= last && value <= rounds, "{value} after {n} and {last}");
        last = value;
        assert_eq!(lines.next(), Some(&*format!("after {n}")));
        assert_eq!(lines.next(), Some(&*format!("(value, {n})")));
    }
    assert_eq!(lines.collect::<Vec<_>>(), ["", "", &*format!("@n: {rounds}")]);
}

/// What the command caused just before its end is printed, every time.
#[test]
fn nothing_is_left_when_the_command_ends() {
    need!(Root, Bpf, RingBuf, Tracefs);
    for round in 0..if in_guest() { 3 } else { 20 } {
        let run = trace(&["-q", "-e", PRINT, "-c", &calls(100)]).success();
        assert_eq!((printed(&run), lost(&run)), ((100, 100), 0), "round {round}");
    }
}

/// A printing flood must not push out the order to end.
#[test]
fn exit_is_heard_in_a_flood() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let made = flood() / 10;
    let script = format!(
        "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {{ printf(\"%d\\n\", nsecs); }}
         tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ {{ exit(7); }}
         interval:s:{} {{ printf(\"late\\n\"); exit(8); }}",
        if in_guest() { 300 } else { 50 }
    );
    let command = perl(&format!("getppid for 1..{made}; getpgrp; getppid while 1"));
    let run = trace(&["-q", "-e", &script, "-c", &command]);
    assert_eq!(run.code(), 7, "{}", run.stderr);
}
