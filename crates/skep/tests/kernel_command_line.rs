//! The options of `skep trace`: where the script comes from, where results go, the command and the process that are
//! traced, and exit statuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use skep_testing::need;
use support::{Links, Running, file, path, perl, run, skep, trace};

#[test]
fn a_script_comes_from_a_file_or_standard_input() {
    need!(Root, Bpf, RingBuf);
    let links = Links::new();
    let interpreter = links.path("bpftrace");
    let text = format!("#!{}\nBEGIN {{ printf(\"%d %s\\n\", $1, str($2)); }}\n", interpreter.display());
    let script = file(&text);
    assert_eq!(trace(&["-q", path(&script), "5", "x"]).quiet_output(), "5 x\n\n\n");

    let mut command = skep(&["trace", "-q", "-", "6", "y"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "6 y\n\n\n");
    assert!(output.status.success());

    // By its first line, as a program of its own. It is copied, since a file that is open for writing does not run.
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("script.bt");
    std::fs::copy(script.path(), &program).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let run = run(support::call(&program, &["7", "z"])).success();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("7 z\n\n\n", "Attached 1 probe\n"));
}

#[test]
fn results_go_where_they_are_wanted() {
    need!(Root, Bpf, RingBuf);
    let script = "BEGIN { print(1); @ = 2; errorf(\"oh\"); }";
    let out = file("");
    let run = trace(&["-o", path(&out), "-e", script]).success();
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "Attached 1 probe\nstdin:1:26-38: ERROR: oh\n");
    assert_eq!(std::fs::read_to_string(out.path()).unwrap(), "1\n\n\n@: 2\n");
    assert_eq!(trace(&["-f", "json", "-o", path(&out), "-e", "BEGIN { print(1); }"]).success().stdout, "");
    let json = std::fs::read_to_string(out.path()).unwrap();
    assert_eq!(
        json,
        "{\"type\": \"attached_probes\", \"count\": 1, \"data\": {\"probes\": 1}}\n{\"type\": \"value\", \"data\": 1}\n"
    );
    for mode in ["line", "full", "none"] {
        let run = trace(&["-q", "-B", mode, "-e", "BEGIN { printf(\"a\\nb\"); }"]);
        assert_eq!(run.quiet_output(), "a\nb\n\n", "{mode}");
    }
    let run = trace(&["-o", "/nonexistent/file", "-e", "BEGIN { }"]);
    assert_eq!((run.code(), run.stdout.as_str()), (1, ""));
    assert_eq!(
        run.stderr,
        "ERROR: Failed to open output file: \"/nonexistent/file\": No such file or directory\n"
    );
}

#[test]
fn how_many_are_attached_is_told_before_the_word_that_others_wait_for() {
    need!(Root, Bpf, RingBuf);
    let mut command =
        support::call(std::path::Path::new("sh"), &["-c", "exec \"$0\" trace -e 'BEGIN { }' 2>&1"]);
    command.arg(support::binary()).env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Attached 1 probe\n__BPFTRACE_NOTIFY_PROBES_ATTACHED\n\n\n"
    );
}

#[test]
fn what_is_held_back_comes_when_nothing_else_does() {
    need!(Root, Bpf, RingBuf);
    // The script would run for ever; what it printed must be read before its end.
    for mode in ["line", "none"] {
        let running =
            Running::attached(&["-B", mode, "-e", "BEGIN { print(\"begun\"); } interval:s:3600 { }"]);
        running.wait_for("begun\n");
        running.signal(Signal::INT);
        running.end().success();
    }
}

#[test]
fn exit_statuses() {
    need!(Root, Bpf, RingBuf);
    for (script, code) in [
        ("BEGIN { exit(); }", 0),
        ("BEGIN { exit(3); }", 3),
        ("BEGIN { exit(-1); }", 255),
        ("BEGIN { exit(256); }", 0),
        ("interval:us:500 { exit(2); }", 2),
        ("BEGIN { exit(4); } END { exit(5); }", 5),
    ] {
        let run = trace(&["-q", "-e", script]);
        assert_eq!(run.code(), code, "{script}: {run:?}");
    }
    // Mistakes in the script and on the command line.
    for args in [
        &["-e", "BEGIN { $x = 5 + ; }"][..],
        &["-e", "tracepoint:syscalls:sys_enter_no_such_call { }"],
        &["-e", "tracepoint:nosuchthing:* { }"],
        &["/nonexistent.bt"],
        &["-p", "99999999", "-e", "BEGIN { }"],
        &["-p", "4000000", "-e", "BEGIN { }"],
        &["-c", "/nonexistent/program", "-e", "BEGIN { print(1); }"],
        &["-c", "echo 'unclosed", "-e", "BEGIN { print(1); }"],
        &["--no-such-option"],
        &[],
    ] {
        let run = trace(args);
        assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains("ERROR: ") || run.stderr.contains("skep trace: "), "{args:?}: {run:?}");
    }
}

#[test]
fn a_command_runs_while_the_script_does() {
    need!(Root, Bpf, RingBuf);
    let ends =
        |command: &str| trace(&["-e", "BEGIN { print(\"begin\"); } END { print(\"end\"); }", "-c", command]);
    // What BEGIN prints comes before what the command prints, and END after it.
    let run = ends("echo hello world").success();
    assert_eq!(run.stdout, "begin\nhello world\nend\n\n\n");
    // Words are quoted as for a shell, without a shell: nothing is expanded.
    let run = ends(r#"printf '[%s]\n' "a  b" c\ d 'e"f' $HOME '*'"#).success();
    assert_eq!(run.stdout, "begin\n[a  b]\n[c d]\n[e\"f]\n[$HOME]\n[*]\nend\n\n\n");
    // The command's own end is its own matter, and told if asked.
    for (program, told) in [
        ("exit 7", "Child exited with code: 7\n"),
        ("kill 9, $$", "Child terminated by signal: 9\n"),
        ("1", "Child exited with code: 0\n"),
    ] {
        let run = trace(&["-v", "-e", "END { print(\"end\"); }", "-c", &perl(program)]).success();
        assert_eq!(run.stdout, "end\n\n\n", "{program}");
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
    // One that cannot be run is told before anything is attached.
    for (command, reason) in [
        ("/nonexistent/program", "No such file or directory"),
        ("/etc/passwd x", "Permission denied"),
        ("/tmp", "Permission denied"),
        ("", "No such file or directory"),
        ("  ", "No such file or directory"),
    ] {
        let run = trace(&["-e", "BEGIN { print(1); }", "-c", command]);
        let program = command.split_whitespace().next().unwrap_or_default();
        let problem = format!(
            "ERROR: Failed to fork child: Path '{program}' does not exist or is not executable ({reason})\n"
        );
        assert_eq!((run.code(), run.stdout.as_str(), run.stderr), (1, "", problem));
    }
}

#[test]
fn that_there_is_nothing_to_attach_is_said_where_the_original_says_it() {
    need!(Root, Bpf, RingBuf);
    for args in [
        &["-e", "// nothing"][..],
        &["--probe-filter", "nothing", "-e", "interval:s:1 { }"],
        &["-e", "config = { missing_probes = ignore } tracepoint:syscalls:nonsense { }"],
    ] {
        let run = trace(args);
        assert_eq!((run.code(), run.stdout.as_str()), (1, "No probes to attach\n"), "{run:?}");
        assert!(run.stderr.starts_with("HINT: "), "{run:?}");
    }
}

#[test]
fn what_stands_in_the_way_is_said_as_the_original_says_it() {
    need!(Root, Bpf, RingBuf);
    let begin = "BEGIN { print(1); }";
    for (args, problem) in [
        (
            &["-p", "4000001", "-e", begin][..],
            "Failed to attach to pid: Unable to open pidfd (No such process)",
        ),
        (&["-p", "0", "-e", begin], "Failed to attach to pid: Unable to open pidfd (Invalid argument)"),
        (
            &["--traceable-functions", "/nonexistent", "-e", begin],
            "Failed to open kernel function info: Could not read functions from /nonexistent. \
             (No such file or directory)",
        ),
        (
            &["-e", "config = { max_probes = 1 } BEGIN { } END { }"],
            "Can't attach to 2 probes because it exceeds the current limit of 1 probes.\nHINT: Raise it with \
             `config = { max_probes = 2 }` or BPFTRACE_MAX_PROBES; very many probes can slow the whole system down.",
        ),
    ] {
        let run = trace(args);
        let problem = format!("ERROR: {problem}\n");
        assert_eq!((run.code(), run.stdout.as_str(), run.stderr), (1, "", problem), "{args:?}");
    }
}

#[test]
fn begin_end_and_signals_are_not_filtered() {
    need!(Root, Bpf, RingBuf);
    let script = "BEGIN { print(1); } END { print(2); } interval:us:500 { print(3); exit(); }";
    let filtered = |filter| trace(&["--probe-filter", filter, "-e", script]).success();
    let run = filtered("nothing");
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("1\n2\n\n\n", "Attached 2 probes\n"));
    let run = filtered("^interval:");
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("1\n3\n2\n\n\n", "Attached 3 probes\n"));
    // Probes that have no part in it do not keep the script from ending.
    let run = trace(&["-e", "test:a { } bench:b { } BEGIN { print(1); }"]).success();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("1\n\n\n", "Attached 1 probe\n"));
}

#[test]
fn settings_of_the_environment_are_checked() {
    need!(Root, Bpf, RingBuf);
    let with = |key: &str, value: &str, script: &str| {
        let mut command = skep(&["trace", "-q", "-e", script]);
        command.env(key, value);
        run(command)
    };
    let wrong = |key, value, problem: &str| {
        let run = with(key, value, "BEGIN { print(1); }");
        let problem = format!("ERROR: {problem}\nHINT: It comes from {key} in the environment.\n");
        assert_eq!((run.code(), run.stdout.as_str(), run.stderr), (2, "", problem));
    };
    wrong("BPFTRACE_MAX_STRLEN", "x", "max_strlen: expecting a number, got x");
    wrong("BPFTRACE_MAX_STRLEN", "true", "max_strlen: expecting a number, got true");
    wrong("BPFTRACE_LOG_SIZE", "", "log_size: expecting a number, got ");
    wrong(
        "BPFTRACE_CPP_DEMANGLE",
        "2",
        "cpp_demangle: Invalid bool value: valid values are true, false, 1 or 0.",
    );
    wrong(
        "BPFTRACE_STACK_MODE",
        "foo",
        "stack_mode: Invalid value for stack_mode: valid values are bpftrace, raw, perf, and build_id.",
    );
    for (value, printed) in [("TRUE", "\n\n@: 1\n"), ("0", "\n\n"), ("1", "\n\n@: 1\n"), ("False", "\n\n")] {
        let run = with("BPFTRACE_PRINT_MAPS_ON_EXIT", value, "BEGIN { @ = 1; }").success();
        assert_eq!(run.stdout, printed, "{value}");
    }
    let run = with("BPFTRACE_COLOR", "green", "BEGIN { }").success();
    assert!(
        run.stderr.starts_with("WARNING: Invalid env value! The valid values of `BPFTRACE_COLOR` are [auto|")
    );
}

#[test]
fn a_service_manager_is_told() {
    need!(Root, Bpf, RingBuf);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let listener = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut command = skep(&["trace", "-q", "-e", "BEGIN { }"]);
    command.env("NOTIFY_SOCKET", &path);
    assert_eq!(run(command).quiet_output(), "\n\n");
    let mut heard = [0; 64];
    for expected in ["READY=1\nSTATUS=Processing events...", "STOPPING=1"] {
        let length = listener.recv(&mut heard).unwrap();
        assert_eq!(std::str::from_utf8(&heard[..length]).unwrap(), expected);
    }
}

#[test]
fn the_compiler_is_measured() {
    need!(Root, Bpf, RingBuf);
    let run = trace(&["--mode", "compiler-bench", "-e", "BEGIN { @ = count(); }"]).success();
    let stages: Vec<&str> = run.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(stages, ["STAGE", "prepare", "analyse", "lower", "optimise", "assemble", "total"]);
    assert_eq!(trace(&["--mode", "compiler-bench", "-e", "BEGIN { $x = ; }"]).code(), 1);
}

#[test]
fn messages_of_scripts_are_coloured() {
    need!(Root, Bpf, RingBuf);
    let script = "BEGIN { warnf(\"w\"); errorf(\"e\\n\"); }";
    let mut command = skep(&["trace", "-q", "-e", script]);
    command.env("BPFTRACE_COLOR", "always");
    let run = run(command).success();
    let expected = "\x1b[33mstdin:1:9-19: WARNING: w\x1b[0m\n\x1b[31mstdin:1:21-34: ERROR: e\x1b[0m\n";
    assert_eq!(run.stderr, expected);
}

#[test]
fn programs_of_a_clause_are_limited() {
    need!(Root, Bpf, RingBuf, Tracefs);
    // The field lies elsewhere in each of them, so that each needs a program of its own.
    let script = "config = { max_bpf_progs = 1 } \
                  tracepoint:syscalls:sys_enter_openat, tracepoint:syscalls:sys_enter_open { print(args.flags); }";
    let run = trace(&["-e", script]);
    assert_eq!(run.code(), 1);
    let problem = "ERROR: Your program is trying to generate more than 1 BPF programs, which exceeds the current \
                   limit of 1\n";
    assert!(run.stderr.contains(problem), "{}", run.stderr);
}

#[test]
fn the_command_is_ended_when_the_script_exits() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let marker = tempfile::tempdir().unwrap();
    let file = marker.path().join("ended");
    // It tells its own end by SIGTERM, or goes on for ever.
    let program =
        format!("$SIG{{TERM}} = sub {{ open F, q(>{}); exit }}; getppid; sleep 1 while 1", file.display());
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { exit(9); }";
    let run = trace(&["-q", "-e", script, "-c", &perl(&program)]);
    assert_eq!(run.code(), 9, "{run:?}");
    support::until("the command got SIGTERM", || file.exists());
}

#[test]
fn a_process_is_traced_until_it_ends() {
    need!(Root, Bpf, RingBuf, Tracefs);
    // Each line that it reads is a round of three calls; at the end of its input it ends.
    let mut child = Command::new("perl")
        .args(["-e", "$| = 1; print qq(ready\\n); while (<STDIN>) { getppid for 1..3; print qq(done\\n) }"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(answers.next().unwrap().unwrap(), "ready");
    let pid = child.id().to_string();
    // Another process that makes the same call is none of the script's business.
    let script = "tracepoint:syscalls:sys_enter_getppid { @[comm] = count(); } END { print(\"end\"); }";
    let running = Running::attached(&["-q", "-p", &pid, "-e", script]);
    let mut input = child.stdin.take().unwrap();
    for _ in 0..2 {
        input.write_all(b"go\n").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "done");
    }
    assert!(Command::new("perl").args(["-e", "getppid for 1..5"]).status().unwrap().success());
    drop(input);
    let run = running.end();
    assert!(child.wait().unwrap().success());
    assert_eq!(run.quiet_output(), "end\n\n\n@[perl]: 6\n");
}

#[test]
fn words_about_itself() {
    need!(Root);
    let links = Links::new();
    let own = env!("CARGO_PKG_VERSION");
    for (name, shown) in [
        ("bpftrace", format!("bpftrace v0.27.1 (skep v{own})\n")),
        ("skep", format!("skep v{own} (bpftrace v0.27.1)\n")),
    ] {
        let program = if name == "skep" { support::binary().to_owned() } else { links.path(name) };
        let args: &[&str] = if name == "skep" { &["trace", "--version"] } else { &["-V"] };
        let version = run(support::call(&program, args)).quiet_output();
        assert_eq!(version, shown);
    }
    let help = trace(&["--help"]).quiet_output();
    for word in ["-e PROGRAM", "-l, --list", "-c, --cmd COMMAND", "--no-feature", "tracepoint:syscalls"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    let info = trace(&["--info"]).quiet_output();
    assert!(info.contains("Kernel features\n") && info.contains("ringbuf: "), "{info}");
}

#[test]
fn what_begin_prints_comes_before_the_command_s_output_however_it_is_buffered() {
    need!(Root, Bpf, RingBuf);
    for mode in ["line", "full", "none"] {
        let run = trace(&["-q", "-B", mode, "-e", "BEGIN { print(1); } interval:s:100 { }", "-c", "echo 2"]);
        assert_eq!(run.quiet_output(), "1\n2\n\n\n", "{mode}");
    }
}
