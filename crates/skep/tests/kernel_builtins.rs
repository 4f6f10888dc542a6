//! Builtins, end to end. The expectations are what bpftrace 0.27 prints.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::trace;

/// Runs each script and compares all that it prints; tells of every script that differs.
fn all_print(cases: &[(&[&str], &str, &str)]) {
    let mut wrong = String::new();
    for (args, script, expected) in cases {
        let run = trace(&[&["-q", "--no-warnings", "-e", script], *args].concat());
        if run.stdout != *expected || !run.status.success() || !run.stderr.is_empty() {
            let found = format!("{}\n{}{}", run.status, run.stdout, run.stderr);
            wrong.push_str(&format!("== {script}\n-- expected\n{expected}\n-- found: {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn addresses_are_shown_as_text_wherever_they_stand() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            r#"BEGIN { $z = pton("1.2.3.4"); print($z); print(ntop($z)); print((ntop($z), 1)); printf("%s|%10s\n", ntop(1), ntop(1)); print(sizeof(ntop($z))); }"#,
            "[1,2,3,4]\n1.2.3.4\n(1.2.3.4, 1)\n1.0.0.0|   1.0.0.0\n24\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { @a = ntop(0x0100007f); @b[ntop(2, 0x0100007f)] = ntop(pton("::1")); }"#,
            "\n\n@a: 127.0.0.1\n@b[127.0.0.1]: ::1\n",
        ),
        (
            &["-f", "json"],
            r#"BEGIN { @ = (ntop(10, pton("fe80::1")), ntop(3, 1)); }"#,
            "{\"type\": \"map\", \"data\": {\"@\": [\"fe80::1\",\"\"]}}\n",
        ),
        (
            &[],
            "BEGIN { $x = 0x12345678; print(bswap($x)); $y = (uint64)1; print(bswap($y)); print(bswap(0x12)); }",
            "2018915346\n72057594037927936\n18\n\n\n",
        ),
    ]);
}

#[test]
fn times_are_shown_in_a_format() {
    need!(Root, Bpf, RingBuf);
    let year = trace(&["-q", "-e", r#"BEGIN { time("%Y"); }"#]).success().stdout;
    let year = year.trim_end();
    let script = r#"BEGIN { $x = strftime("%Y", nsecs); printf("%s|%6s", $x, strftime("%Y", nsecs(sw_tai))); @[$x] = $x; }"#;
    all_print(&[
        (&[], script, &format!("{year}|  {year}\n\n@[{year}]: {year}\n")),
        (&[], r#"BEGIN { time("%q 100% %\n"); }"#, "%q 100% %\n\n\n"),
    ]);
}

#[test]
fn names_of_numbers() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            "BEGIN { $x = 2; print(strerror($x)); $x = -2; print(strerror($x)); $x = 9999; print(strerror($x)); print(strerror(7)); }",
            "No such file or directory\nNo such file or directory\nUnknown error\nArgument list too long\n\n\n",
        ),
        (
            &[],
            "BEGIN { $x = 0; print(syscall_name($x)); $x = 469; print(syscall_name($x)); $x = -1; print(syscall_name($x)); }",
            "read\nfile_setattr\nUnknown syscall\n\n\n",
        ),
        (
            &[],
            "BEGIN { $x = 9; print(signal_name($x)); $x = 65; print(signal_name($x)); if (signal_name(9) == \"Killed\") { print(1); } }",
            "Killed\nN/A\n1\n\n\n",
        ),
        (
            &[],
            "BEGIN { @[username] = (username, 1); printf(\"%6s\\n\", username); }",
            "  root\n\n\n@[root]: (root, 1)\n",
        ),
    ]);
}

#[test]
fn texts_are_measured_compared_and_searched() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &["hello", "ll"],
            r#"BEGIN { $h = "abcabcabcdabcdefgh"; $n = "abcd"; print(strstr($h, $n)); $n = "gh"; print(strstr($h, $n)); $n = "ghi"; print(strstr($h, $n)); $n = ""; print(strstr($h, $n)); print(strstr(str($1), str($2))); }"#,
            "6\n16\n-2\n0\n2\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $h = "abcabcabcdabcdefgh"; print(strstr($h, "abcdefgh")); print(strstr($h, "bcdabcdefg")); print(strcontains($h, "abcdefghi")); print(strcontains("abc", "bc")); }"#,
            "10\n7\nfalse\ntrue\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $h = "abcabc"; print(strlen($h)); print(strcap($h)); print(str_concat($h, "cd")); print(strlen("")); }"#,
            "6\n7\nabcabccd\n0\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $h = "abcd"; $g = "abxd"; print((strncmp($h, $g, 2), strncmp($h, $g, 3), strncmp($h, "abcd", 100), strncmp("one", "one ", 4))); }"#,
            "(0, 1, 0, 1)\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $l = "0123456789abcdefXYZ"; print((memcmp($l, "0123456789abcdefXYA", 19), memcmp("z", "a", 1), memcmp("abc", "abcd", 4))); }"#,
            "(25, 25, -100)\n\n\n",
        ),
    ]);
}

#[test]
fn files_and_commands() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN { cat("/proc/%s/comm", "self"); cat("/does/not/exist"); system("echo %d", 3); system("exit 3"); }"#;
    let run = trace(&["-q", "--unsafe", "-e", script]).success();
    assert_eq!(run.stdout, "skep\n3\n\n\n\n");
    let problems = "ERROR: failed to open file '/does/not/exist' (No such file or directory)\nERROR: command exited with code 3\n";
    assert_eq!(run.stderr, problems);
    let run = trace(&["-q", "--unsafe", "-f", "json", "-e", script]).success();
    assert_eq!(
        run.stdout,
        "{\"type\": \"cat\", \"data\": \"skep\\n\"}\n{\"type\": \"syscall\", \"data\": \"3\\n\"}\n"
    );
    let refused = trace(&["-q", "-e", script]);
    assert!(refused.stderr.contains("system() is an unsafe function being used in safe mode"));
}

#[test]
fn scripts_insist() {
    need!(Root, Bpf, RingBuf);
    let failed = trace(&["-q", "-e", r#"BEGIN { assert(1 == 2, "no"); print(1); }"#]);
    assert_eq!((failed.code(), failed.stdout.as_str()), (1, "\n\n"));
    // The macro of the standard library that says so, and where it was used.
    let (macro_line, used) = ("ERROR: assert failed: no\n", "stdin:1:9-29: ERROR: expanded from\n");
    assert!(failed.stderr.starts_with("stdlib/base.bt:"), "{}", failed.stderr);
    assert!(failed.stderr.contains(macro_line) && failed.stderr.contains(used), "{}", failed.stderr);
    let refused = trace(&["-q", "-e", r#"BEGIN { static_assert(1 == 2, "never"); }"#]);
    assert!(refused.stderr.contains(": ERROR: never\n"), "{}", refused.stderr);
    assert!(refused.stderr.contains("stdin:1:9-39: ERROR: expanded from\n"), "{}", refused.stderr);
    all_print(&[
        (&[], r#"BEGIN { assert(1 == 1, "no"); print(1); }"#, "1\n\n\n"),
        (
            &[],
            r#"BEGIN { print(is_str("a")); print(is_integer(1)); print(is_literal(pid)); print(probetype); }"#,
            "true\ntrue\nfalse\nspecial\n\n\n",
        ),
        (
            &[],
            "config = { max_map_keys = 7 } BEGIN { print(config().max_map_keys); print(config.missing_probes); }",
            "7\nerror\n\n\n",
        ),
        (
            &[],
            "BEGIN { print((pid(curr_ns) == pid, tid(curr_ns) == tid, pid(init) == pid)); }",
            "(true, true, true)\n\n\n",
        ),
    ]);
}

#[test]
fn values_over_time_have_a_graph() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN { @ts = (uint64)3723004005006; @a = tseries(5, 10ms, 3); @ts += (uint64)10ms; @a = tseries(7, 10ms, 3); @ts += (uint64)20ms; @a = tseries(100, 10ms, 3); clear(@ts); }"#;
    let run = |args: &[&str]| {
        let mut command = support::skep(&[&["trace", "-q", "--no-warnings", "-e", script], args].concat());
        command.env("BPFTRACE_DUMMY_TS_MAP", "@ts").env("TZ", "UTC");
        support::run(command).success().stdout
    };
    let line = "_".repeat(51);
    let ends = format!("{}7{}100\n", " ".repeat(13), " ".repeat(49));
    let expected = format!(
        "\n\n@a:\n{ends}hh:mm:ss.ms  |{line}|\n01:02:03.010 *{blank}| 7\n01:02:03.020 |{blank}| -\n01:02:03.030 |{blank}* 100\n{indent}v{line}v\n{ends}\n",
        blank = " ".repeat(51),
        indent = " ".repeat(13)
    );
    assert_eq!(run(&[]), expected);
    assert_eq!(
        run(&["-f", "json"]),
        "{\"type\": \"tseries\", \"data\": {\"@a\": [{\"interval_start\":\"1970-01-01 01:02:03.010000000\",\"value\":7},{\"interval_start\":\"1970-01-01 01:02:03.030000000\",\"value\":100}]}}\n"
    );
}

#[test]
fn tests_and_benchmarks_of_a_script_are_run() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN { print("b"); } test:good { print("unseen"); return 0; } test:bad { @ = 1; print("x"); errorf("y"); return 1; } i:s:1 { print("never"); } END { print("e"); }"#;
    let run = trace(&["-q", "--test", "-e", script]);
    assert_eq!(run.code(), 1);
    let plain = run.stdout.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    let lines: Vec<&str> = plain.lines().map(|line| line.split(" (").next().unwrap()).collect();
    let expected = [
        "[==========] Running 2 tests.",
        "b",
        "[ RUN      ] good",
        "[       OK ] good",
        "[ RUN      ] bad",
        "x",
        "stdin:1:94-105: ERROR: y",
        "[  FAILED  ] bad",
        "[==========] 2 tests ran.",
        "[  PASSED  ] 1 test.",
        "[  FAILED  ] 1 test, listed below:",
        "[  FAILED  ] bad",
        "e",
        "",
        "",
    ];
    assert_eq!((lines.as_slice(), run.stderr.as_str()), (expected.as_slice(), ""));
    let run = trace(&["-q", "--test", "-f", "json", "-e", script]);
    let last = run.stdout.lines().nth(1).unwrap();
    assert!(last.starts_with(r#"{"type": "test_result", "data": {"bad": {"duration": "#), "{last}");
    assert!(last.ends_with(r#", "passed": false, "output": "x\nstdin:1:94-105: ERROR: y\n"}}}"#), "{last}");
    let run = trace(&["-q", "--bench", "-e", "bench:a { @ = count(); }"]).success();
    assert!(run.stdout.starts_with("Benchmark                                Time(ns)       Iterations\n"));
    let refused = trace(&["-q", "-e", "test:a { }"]);
    assert_eq!(refused.stderr, "ERROR: No probes attached; use --test to run test probes.\n");
}

#[test]
fn exit_ends_its_clause_and_what_is_printed() {
    need!(Root, Bpf, RingBuf);
    // How often the timer still fires before it is gone, nobody knows; what it prints then is dropped.
    let script = "i:us:1000 { print(1); exit(); @ = 1; }";
    all_print(&[(&[], script, "1\n\n\n")]);
}

#[test]
fn a_timer_can_make_many_keys_at_once() {
    need!(Root, Bpf, RingBuf);
    let adds: String = (0..40).map(|key| format!("@a[{key}] = count(); @b[{key}] = {key}; ")).collect();
    let run = trace(&["-q", "-e", &format!("i:ms:1 {{ {adds} exit(); }}")]).success();
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (82, ""));
}

#[test]
fn arrays_of_texts_are_joined() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script = r#"t:syscalls:sys_enter_execve /pid == cpid/ { join(args.argv); join(args.argv, "|"); }"#;
    let run = trace(&["-q", "-e", script, "-c", "/bin/true a '' b"]).success();
    assert_eq!(run.stdout, "/bin/true a  b\n/bin/true|a||b\n\n\n");
}

#[test]
fn what_is_known_of_the_probe_and_the_kernel() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (&[], r#"BEGIN { printf("%d ", usermode); } END { print(usermode); }"#, "1 1\n\n\n"),
        (
            &[],
            r#"BEGIN { print(kfunc_exist("vfs_read")); print(kfunc_exist("no_such_function")); }"#,
            "true\nfalse\n\n\n",
        ),
    ]);
    let run = trace(&["-q", "-e", r#"BEGIN { debugf("%d %d %d %d", 1, 2, 3, 4); }"#]);
    assert!(run.stderr.contains("cannot use more than 3 conversion specifiers"), "{}", run.stderr);
}

/// The name of any process, found without functions that only new kernels have.
#[test]
fn names_of_other_processes() {
    need!(Root, Bpf, Btf, RingBuf);
    let first = std::fs::read_to_string("/proc/1/comm").unwrap();
    let script =
        "BEGIN { printf(\"%s|%s|%s|%s|%s\\n\", comm(1), comm(pid), comm, comm(0x3fffff), comm(0)); }";
    let run = trace(&["-q", "-e", script]).quiet_output();
    assert_eq!(run, format!("{}|skep|skep||\n\n\n", first.trim_end()));
}
