//! `--aot`: a program that carries a compiled script.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::path::{Path, PathBuf};

use skep_testing::need;
use support::{Run, call, path, perl, run, trace};

/// Compiles a script to a program. The directory keeps it.
fn carrying(args: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("script");
    let made = trace(&[&["--aot", program.to_str().unwrap()], args].concat());
    assert_eq!(made.quiet_output(), "");
    (directory, program)
}

/// Runs a program that was written just now. Whoever forks while it is written, as other tests do, holds it open for
/// writing until the fork runs its own program.
fn started(program: &Path, args: &[&str]) -> Run {
    while std::process::Command::new(program).arg("--version").output().is_err_and(is_busy) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run(call(program, args))
}

fn is_busy(error: std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ExecutableFileBusy
}

#[test]
fn it_runs_the_script_with_parameters_and_options() {
    need!(Root, Bpf, RingBuf);
    let script =
        "BEGIN { printf(\"%d %s %d %d\\n\", $1, str($2), $3, $#); @[\"k\", $3] = hist($3); exit($4); }";
    let (_directory, program) = carrying(&["-e", script, "1", "text"]);
    let ran = started(&program, &["-q", "0", "0", "8", "3"]);
    assert_eq!(ran.code(), 3);
    assert!(ran.stdout.starts_with("1 text 8 4\n\n\n@[k, 8]:\n[8, 16)"), "{}", ran.stdout);
    let ran = started(&program, &["-f", "json", "0", "0", "--", "-8"]);
    assert!(ran.stdout.contains("{\"type\": \"printf\", \"data\": \"1 text -8 3\\n\"}"), "{}", ran.stdout);
    // It can be copied; who runs it need not have skep.
    let copy = program.with_file_name("copy");
    std::fs::copy(&program, &copy).unwrap();
    assert_eq!(started(&copy, &["-q"]).success().stdout.lines().next(), Some("1 text 0 0"));
}

#[test]
fn it_follows_the_structs_of_the_kernel_it_runs_on() {
    need!(Root, Bpf, RingBuf, Btf);
    let script = "BEGIN { $t = curtask; printf(\"%s %d %d %d\\n\", $t->comm, $t->pid == tid, \
                  $t->real_parent->tgid > 0, $t->group_leader->pid == pid); \
                  printf(\"%d\\n\", $t->no_cgroup_migration); }";
    let (_directory, program) = carrying(&["-e", script]);
    assert_eq!(started(&program, &["-q"]).quiet_output(), "script 1 1 1\n0\n\n\n");
}

#[test]
fn it_traces_a_command() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { @[comm] = count(); }";
    let (_directory, program) = carrying(&["-e", script]);
    let command = perl("syscall(110) for 1..3");
    assert_eq!(started(&program, &["-q", "-c", &command]).quiet_output(), "\n\n@[perl]: 3\n");
}

#[test]
fn what_was_decided_cannot_be_changed() {
    need!(Root, Bpf, RingBuf);
    let (_directory, program) = carrying(&["-e", "BEGIN { printf(\"%d\\n\", $1); }"]);
    let refused = |args: &[&str]| {
        let run = started(&program, args);
        assert_eq!((run.code(), run.stdout.as_str()), (1, ""));
        run.stderr
    };
    assert_eq!(refused(&["-e", "BEGIN { }"]), "ERROR: -e: this was decided when the script was compiled\n");
    assert!(refused(&["x"]).contains("\n  parameter $1 has to be a number"));
    assert!(refused(&["-p", "1"]).starts_with("ERROR: the script was compiled for all processes"));
    let text = trace(&["--aot", path(&support::file("")), "-e", "BEGIN { print(str($1)); }"]);
    assert_eq!(text.code(), 1);
    assert!(text.stderr.contains("decided when the script is compiled"), "{}", text.stderr);
}

#[test]
fn a_program_that_carries_a_script_is_told_when_it_is_damaged() {
    need!(Root, Bpf, RingBuf);
    let (_directory, program) = carrying(&["-e", "BEGIN { exit(); }"]);
    let mut bytes = std::fs::read(&program).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 0xff;
    let damaged = program.with_file_name("damaged");
    std::fs::write(&damaged, bytes).unwrap();
    std::fs::set_permissions(&damaged, std::fs::metadata(&program).unwrap().permissions()).unwrap();
    let run = started(&damaged, &["-q"]);
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("its checksum is wrong"), "{}", run.stderr);
}
