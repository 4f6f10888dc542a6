//! The inspector as a process of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use rustix::process::Signal;
use skep_testing::need;
use support::{Running, skep, trace};

#[test]
fn what_programs_print_is_shown_as_it_comes() {
    // Who reads that stream takes it away from everybody else.
    need!(Root, Guest, Bpf, Btf, RingBuf, Tracefs);
    for (json, shown, end) in [(false, "bpf_trace_printk: from 42", ""), (true, "from 43", "\"\n]\n")] {
        let options: &[&str] = if json { &["-j"] } else { &[] };
        let log = Running::start(skep(&[&["bpftool"], options, &["prog", "tracelog"]].concat()));
        let script = format!("begin {{ debugf(\"from %d\", {}); exit(); }}", if json { 43 } else { 42 });
        trace(&["-q", "-e", &script]).success();
        log.wait_for(shown);
        log.signal(Signal::INT);
        let run = log.end();
        assert_eq!((run.code(), run.stderr.as_str()), (0, ""));
        assert!(run.stdout.ends_with(end), "{}", run.stdout);
        if json {
            let lines: Vec<String> = serde_json::from_str(&run.stdout).unwrap();
            assert!(lines.iter().any(|line| line.contains("from 43")), "{lines:?}");
        }
    }
}
