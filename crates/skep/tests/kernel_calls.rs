//! `bpfsnoop`: bpf(2) calls of a command, of its children, and of a process that runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use skep_testing::need;
use support::{Running, run, skep};

/// Two commands that need no object: one that succeeds with or without programs, one that the kernel refuses.
const CALLS: &str = r#"
    my $none = pack("L*", 0x7ffffff0, (0) x 3);
    syscall(321, 11, $none, 16);
    my $wrong = pack("L*", 99, 4, 4, 1) . "\0" x 12 . "named\0";
    syscall(321, 0, $wrong, length $wrong);
"#;

/// What is shown of [`CALLS`], without what stands before it.
const SHOWN: [&str; 2] = [
    "bpf(BPF_PROG_GET_NEXT_ID, {start_id=2147483632, next_id=0}, 16) = -1 ENOENT (No such file or directory)",
    "bpf(BPF_MAP_CREATE, {map_type=0x63 /* BPF_MAP_TYPE_??? */, key_size=4, value_size=4, max_entries=1, \
     map_flags=0, inner_map_fd=0, map_name=\"named\"}, 34) = -1 EINVAL (Invalid argument)",
];

#[test]
fn calls_of_a_command_are_shown() {
    need!(Root, Bpf);
    let run = run(skep(&["bpfsnoop", "perl", "-e", CALLS])).success();
    assert_eq!(run.stderr.lines().collect::<Vec<_>>(), [SHOWN[0], SHOWN[1], "+++ exited with 0 +++"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn calls_of_children_are_shown_and_the_status_is_the_commands() {
    need!(Root, Bpf);
    let program = format!("if (!fork) {{ {CALLS} exit 0 }} wait; exit 7");
    let run = run(skep(&["bpfsnoop", "-q", "perl", "-e", &program]));
    assert_eq!(run.code(), 7);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("[pid ") && lines[0].ends_with(SHOWN[0]), "{lines:?}");
}

#[test]
fn calls_are_counted() {
    need!(Root, Bpf);
    let run = run(skep(&["bpfsnoop", "-c", "perl", "-e", CALLS])).success();
    let counts: Vec<Vec<&str>> = run
        .stderr
        .lines()
        .map(|line| line.split_whitespace().skip(3).collect())
        .filter(|words: &Vec<&str>| {
            words.last().is_some_and(|word| word.starts_with("BPF_") || *word == "total")
        })
        .collect();
    assert_eq!(counts.len(), 3, "{}", run.stderr);
    assert!(counts.contains(&vec!["1", "1", "BPF_MAP_CREATE"]), "{}", run.stderr);
    assert_eq!(counts[2], ["2", "2", "total"]);
}

#[test]
fn calls_are_objects() {
    need!(Root, Bpf);
    let run = run(skep(&["bpfsnoop", "--json", "-v", "perl", "-e", CALLS])).success();
    let calls: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1]["command"], "BPF_MAP_CREATE");
    assert_eq!(calls[1]["attributes"]["map_name"], "named");
    assert_eq!(calls[1]["attributes"]["max_entries"], 1);
    assert_eq!(calls[1]["errno"], "EINVAL");
}

#[test]
fn programs_are_disassembled() {
    need!(Root, Bpf);
    let program = r#"
        my $license = "GPL\0"; my $insns = pack("CCsl", 0xb7, 0, 0, 5) . pack("CCsl", 0x95, 0, 0, 0);
        my ($l, $i) = map { unpack("Q", pack("p", $_)) } ($license, $insns);
        my $attr = pack("LLQQLLQLL", 1, 2, $i, $l, 0, 0, 0, 0, 0) . "five\0" . "\0" x 11;
        syscall(321, 5, $attr, length $attr) >= 0 or die $!;
    "#;
    let run = run(skep(&["bpfsnoop", "-v", "-y", "perl", "-e", program])).success();
    let expected = "insn_cnt=2, insns=[{code=BPF_ALU64|BPF_K|BPF_MOV, dst_reg=BPF_REG_0, src_reg=BPF_REG_0, off=0, \
                    imm=0x5}, {code=BPF_JMP|BPF_K|BPF_EXIT, dst_reg=BPF_REG_0, src_reg=BPF_REG_0, off=0, imm=0}], \
                    license=\"GPL\"";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert!(run.stderr.contains("<anon_inode:bpf-prog>\n"), "{}", run.stderr);
    assert!(run.stderr.contains("   0: (b7) r0 = 5\n       1: (95) exit\n"), "{}", run.stderr);
}

#[test]
fn a_process_is_followed_and_left_alone_again() {
    need!(Root, Bpf);
    // It makes its calls again and again, until its input ends.
    let program = format!(
        "use IO::Select; my $end = IO::Select->new(*STDIN); until ($end->can_read(0.01)) {{ {CALLS} }}"
    );
    let mut worker =
        std::process::Command::new("perl").args(["-e", &program]).stdin(Stdio::piped()).spawn().unwrap();
    let running = Running::start(skep(&["bpfsnoop", "-p", &worker.id().to_string()]));
    running.wait_for_message(SHOWN[1]);
    running.signal(Signal::INT);
    running.end().success();
    assert!(worker.try_wait().unwrap().is_none(), "it runs on");
    drop(worker.stdin.take());
    assert!(worker.wait().unwrap().success());
}

#[test]
fn mistakes_are_told() {
    need!(Root);
    let both = run(skep(&["bpfsnoop", "--duration", "1", "true"]));
    assert_eq!(both.code(), 1);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let missing = run(skep(&["bpfsnoop", "/nonexistent/command"]));
    assert_eq!(missing.code(), 1);
    assert!(missing.stderr.contains("cannot run /nonexistent/command: ENOENT"), "{}", missing.stderr);
}

/// Nobody is stopped, so that calls can end before they are shown: what they referred to is shown all the same.
#[test]
fn calls_of_the_whole_system_are_shown() {
    need!(Root, Guest, Bpf, RingBuf, Tracefs);
    let path = "/sys/fs/bpf/nothing/of/this/name/is/there";
    let program = format!(
        "{CALLS} my $path = qq({path}\\0); my $get = pack('Q L L', unpack('Q', pack('P', $path)), 0, 0); \
         syscall(321, 7, $get, 16);"
    );
    let out = support::file("");
    let snoop = Running::start(skep(&["bpfsnoop", "-s", "64", "-o", support::path(&out)]));
    let text = || std::fs::read_to_string(out.path()).unwrap();
    support::until("its calls are shown", || {
        assert!(std::process::Command::new("perl").args(["-e", &program]).status().unwrap().success());
        text().contains("BPF_OBJ_GET, ")
    });
    snoop.signal(Signal::INT);
    snoop.end().success();
    let shown: Vec<String> = text()
        .lines()
        .filter_map(|line| line.split_once("<perl> "))
        .map(|(_, call)| call.to_owned())
        .collect();
    let get = format!("bpf(BPF_OBJ_GET, {{pathname=\"{path}\", bpf_fd=0, file_flags=0}}, 16) = -1 ENOENT");
    assert!(shown.contains(&SHOWN[0].to_owned()) && shown.contains(&SHOWN[1].to_owned()), "{shown:?}");
    assert!(shown.iter().any(|line| line.starts_with(&get)), "{shown:?}");
}
