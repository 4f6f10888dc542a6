//! What shows without running anything: `skep check`, listings, and the stages of the compiler.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::process::CommandExt;

use serde_json::{Value, json};
use skep_testing::need;
use support::{file, path, run, skep, trace};

const GOOD: &str = "tracepoint:syscalls:sys_enter_openat { @[str(args.filename, 200)] = count(); }\n";
const WARNED: &str = "BEGIN { @a = 1; delete(@a); }\n";
const WRONG: &str = "BEGIN {\n  @x = nsecz;\n  printf(\"%d\\n\", \"text\");\n}\n";

#[test]
fn scripts_are_checked() {
    need!(Root, Tracefs);
    let (good, warned, wrong) = (file(GOOD), file(WARNED), file(WRONG));
    assert_eq!(run(skep(&["check", path(&good)])).quiet_output(), "");

    let with_warning = run(skep(&["check", path(&good), path(&warned)])).success();
    let place = format!("{}:1:17-27: WARNING: Return value discarded.\n", path(&warned));
    assert!(with_warning.stderr.starts_with(&place), "{}", with_warning.stderr);
    assert_eq!(run(skep(&["check", "--no-warnings", path(&warned)])).quiet_output(), "");

    let with_errors = run(skep(&["check", path(&wrong), path(&good)]));
    assert_eq!((with_errors.code(), with_errors.stdout.as_str()), (1, ""));
    let name = path(&wrong);
    for said in [format!("{name}:2:8-13: ERROR: "), format!("{name}:3:3-25: ERROR: ")] {
        assert!(with_errors.stderr.contains(&said), "{said} is not in\n{}", with_errors.stderr);
    }
    assert!(with_errors.stderr.contains("  @x = nsecz;\n       ~~~~~\n"), "{}", with_errors.stderr);
    assert!(with_errors.stderr.contains("nsecs"), "{}", with_errors.stderr);

    assert_eq!(run(skep(&["check", "/nonexistent.bt"])).code(), 1);
    assert_eq!(run(skep(&["check"])).code(), 1);
}

#[test]
fn findings_are_told_as_json() {
    need!(Root, Tracefs);
    let (warned, wrong) = (file(WARNED), file(WRONG));
    let found = run(skep(&["check", "-f", "json", path(&warned), path(&wrong)]));
    assert_eq!((found.code(), found.stderr.as_str()), (1, ""));
    let found: Vec<Value> = found.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<Value> = found
        .iter()
        .map(|one| {
            json!([
                one["severity"],
                one["file"],
                one["line"],
                one["column"],
                one["end_line"],
                one["end_column"]
            ])
        })
        .collect();
    let expected = [
        json!(["warning", path(&warned), 1, 17, 1, 27]),
        json!(["error", path(&wrong), 2, 8, 2, 13]),
        json!(["error", path(&wrong), 3, 3, 3, 25]),
    ];
    assert_eq!(places, expected);
    assert!(found.iter().all(|one| one["message"].as_str().is_some_and(|text| !text.is_empty())));
}

/// One who is not root can check what needs nothing of the kernel, and is told plainly about the rest.
#[test]
fn checking_needs_no_privileges() {
    need!(Root);
    let directory = tempfile::tempdir().unwrap();
    let readable = |text: &str, name: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    // The built binary lies where only root may look.
    let binary = readable("", "skep");
    std::fs::copy(support::binary(), &binary).unwrap();
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(directory.path(), mode(0o755)).unwrap();
    std::fs::set_permissions(&binary, mode(0o755)).unwrap();
    let nobody = |script: &str| {
        let script = readable(script, "script.bt");
        let mut command = support::call(&binary, &[std::ffi::OsStr::new("check"), script.as_os_str()]);
        command.uid(65534).gid(65534).current_dir("/");
        run(command)
    };
    assert_eq!(nobody("BEGIN { @a[comm] = hist(nsecs); }").quiet_output(), "");
    let wrong = nobody(WRONG);
    assert_eq!(wrong.code(), 1);
    assert!(wrong.stderr.contains("script.bt:2:8-13: ERROR: "), "{}", wrong.stderr);
    let kernel = nobody(GOOD);
    if !kernel.status.success() {
        // Where it is mounted, the file is named that may not be read.
        let named = kernel.stderr.contains("tracefs") || kernel.stderr.contains("/sys/kernel/tracing/");
        assert!(named, "{}", kernel.stderr);
        assert!(
            kernel.stderr.contains("ermission") || kernel.stderr.contains("ermitted"),
            "{}",
            kernel.stderr
        );
    }
    assert!(!kernel.stderr.contains("panicked"), "{}", kernel.stderr);
}

#[test]
fn probes_are_listed() {
    need!(Root, Tracefs);
    let list = |args: &[&str]| trace(&[&["-l"], args].concat()).quiet_output();
    assert_eq!(list(&["tracepoint:syscalls:sys_enter_getppid"]), "tracepoint:syscalls:sys_enter_getppid\n");
    let both = list(&["t:syscalls:sys_*_getppid"]);
    assert_eq!(both, "tracepoint:syscalls:sys_enter_getppid\ntracepoint:syscalls:sys_exit_getppid\n");
    assert_eq!(list(&["tracepoint:syscalls:no_such_call"]), "");
    let all = list(&["tracepoint:*:*"]);
    assert!(all.lines().count() > 500 && all.lines().all(|line| line.starts_with("tracepoint:")));
    assert!(all.contains("\ntracepoint:sched:sched_switch\n"));

    let fields = list(&["-v", "tracepoint:syscalls:sys_enter_openat"]);
    let expected = "tracepoint:syscalls:sys_enter_openat\n    int __syscall_nr\n    int dfd\n    \
                    const char * filename\n    int flags\n    umode_t mode\n";
    // Newer kernels have one field more.
    assert!(fields.starts_with(expected), "{fields}");

    let script = file("BEGIN { } tracepoint:syscalls:sys_enter_getppid, interval:s:1 { } END { }");
    let of_script = "tracepoint:syscalls:sys_enter_getppid\ninterval:s:\n";
    assert_eq!(list(&[path(&script)]), of_script);
    assert_eq!(list(&["-e", "tracepoint:syscalls:sys_enter_getppid, interval:s:1 { }"]), of_script);
}

#[test]
fn stages_are_shown_and_nothing_runs() {
    need!(Root, Tracefs);
    let script = "BEGIN { print(\"it runs\"); } tracepoint:syscalls:sys_enter_getppid /pid == 5/ { @[comm] = count(); }";
    for (stage, title) in
        [("ast", "== AST\n"), ("hir", "== typed program\n"), ("ir", "== IR\n"), ("bpf", "== BPF\n")]
    {
        let shown = trace(&["-d", stage, "-e", script]).quiet_output();
        assert!(shown.starts_with(title), "{shown}");
        assert_eq!(shown.lines().filter(|line| line.starts_with("== ")).count(), 1, "{shown}");
        assert!(!shown.contains("\nit runs\n"), "{shown}");
    }
    let all = trace(&["-d", "ast,hir,ir,codegen-opt,bpf", "-e", script]).quiet_output();
    assert_eq!(all.lines().filter(|line| line.starts_with("== ")).count(), 5, "{all}");
    assert_eq!(trace(&["-d", "nonsense", "-e", script]).code(), 1);
}

#[test]
fn the_verifiers_words_are_shown() {
    need!(Root, Bpf, RingBuf);
    let shown = trace(&["-q", "-d", "verifier", "-e", "BEGIN { @ = 5; }"]).success();
    let said = shown.stdout + &shown.stderr;
    assert!(said.contains("processed ") && said.contains(" insns"), "{said}");
}
