//! What stands before and around the probes of a script, end to end: macros, imports, C text, the script's own
//! options, the formatter, listings of types. The expectations are what bpftrace 0.27 prints, except for what the
//! C text of scripts can do here without headers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::{prints, run, skep, trace};

#[test]
fn macros_and_imports() {
    need!(Root, Bpf, RingBuf);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lib.bt"), "macro add_forty(x) { x + 40 }\n").unwrap();
    std::fs::write(dir.path().join("lib.h"), "#define SEVEN 7\nstruct pair { int a; char b; };\n").unwrap();
    let script = dir.path().join("main.bt");
    std::fs::write(
        &script,
        "#!/usr/bin/env -S skep trace\n\
         import \"lib.bt\";\nimport \"lib.h\";\n\
         macro bump($x) { $x += 1; $x }\nmacro set(@m, key) { @m[key] = 1; }\n\
         begin {\n  $a = 1;\n  print((bump($a), add_forty(2), $a, SEVEN, sizeof(struct pair)));\n  set(@seen, $a);\n}\n",
    )
    .unwrap();
    let found = trace(&["-q", script.to_str().unwrap()]);
    assert_eq!(found.quiet_output(), "(2, 42, 2, 7, 8)\n\n\n@seen[2]: 1\n");
    let found = trace(&["-e", "begin { assert(1 == 2, \"no\"); }"]);
    assert!(found.stderr.contains("stdlib/base.bt:6:5-37: ERROR: assert failed: no\n"), "{}", found.stderr);
    assert_eq!(found.status.code(), Some(1));
}

#[test]
fn c_text_needs_no_headers() {
    need!(Root, Bpf, RingBuf, Btf);
    assert_eq!(
        prints(
            "#include <linux/sched.h>\n#include <net/no_such_header.h>\n#define TWICE(x) ((x) * 2)\n\
             #define LIMIT (1 << 4)\n#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 0, 0)\n#define NEW 1\n#endif\n\
             struct mine { char tag; struct list_head links; u32 bits : 3; };\nenum colour { RED, GREEN = 5, BLUE };\n\
             begin { $n = 4; print((TWICE($n + 1), LIMIT, NEW, AF_INET6, S_ISDIR(S_IFDIR), TCP_ESTABLISHED == 1)); \
             print((sizeof(struct mine), BLUE, offsetof(struct mine, links))); }"
        ),
        "(10, 16, 1, 10, true, true)\n(32, BLUE, 8)\n\n\n"
    );
}

#[test]
fn options_of_a_script() {
    need!(Root, Bpf, RingBuf);
    let script = "begin { print(($1, getopt(\"aa\", 10), getopt(\"bb\", -1), $2, getopt(\"cc\", \"hello\", \"of c\"), \
                  getopt(\"dd\"))); }";
    let found = trace(&["-q", "-e", script, "pos1", "--", "--aa=20", "--bb=5", "--cc=bye", "pos2", "--dd"]);
    assert_eq!(found.quiet_output(), "(pos1, 20, 5, pos2, bye, true)\n\n\n");
    let found = trace(&["-e", script, "--", "--help"]);
    assert!(
        found.stderr.contains("HINT: expected program options:\n--aa\n--bb\n--cc: of c\n--dd\n"),
        "{}",
        found.stderr
    );
    assert_eq!(found.status.code(), Some(1));
    let found = trace(&["-e", script, "1", "2", "--", "--aa=x"]);
    assert!(found.stderr.contains("ERROR: program command line option --aa invalid integer (value: x)"));
}

#[test]
fn scripts_are_formatted() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("a.bt");
    std::fs::write(&script, "begin{print(1)// one\n}").unwrap();
    let path = script.to_str().unwrap();
    let formatted = "begin\n{\n  print(1); // one\n}\n";
    assert_eq!(run(skep(&["trace", "--fmt", path])).quiet_output(), formatted);
    assert_eq!(run(skep(&["trace", "--mode", "format", path])).quiet_output(), formatted);
    assert_eq!(run(skep(&["trace", "--fmt", path, "-o", path])).quiet_output(), "");
    assert_eq!(std::fs::read_to_string(&script).unwrap(), formatted);
    let wrong = run(skep(&["trace", "--fmt", "-e", "begin {"]));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.starts_with("stdin:1:8-8: ERROR: syntax"), "{}", wrong.stderr);
}

#[test]
fn types_are_listed() {
    need!(Btf);
    assert_eq!(
        run(skep(&["trace", "-lv", "struct list_head,enum pid_type"])).quiet_output(),
        "vmlinux: struct list_head {\n\tstruct list_head *next;\n\tstruct list_head *prev;\n};\n\n\
         vmlinux: enum pid_type {\n\tPIDTYPE_PID = 0,\n\tPIDTYPE_TGID = 1,\n\tPIDTYPE_PGID = 2,\n\tPIDTYPE_SID = 3,\n\
         \tPIDTYPE_MAX = 4,\n};\n\n"
    );
    let names = run(skep(&["trace", "-l", "struct *list_head"])).quiet_output();
    assert!(names.lines().any(|name| name == "struct hlist_head") && names.contains("struct list_head\n"));
    let mixed = run(skep(&["trace", "-l", "software:page-faults,struct list_head"])).quiet_output();
    assert!(mixed.starts_with("software:page-faults:") && mixed.ends_with("\nstruct list_head\n"), "{mixed}");
    assert_eq!(run(skep(&["trace", "-l", "struct no_such_type"])).quiet_output(), "");
}
