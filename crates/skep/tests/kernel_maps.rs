//! Maps of all kinds and what can be asked of them, end to end. The expectations are what bpftrace 0.27 prints.

mod support;

use skep_testing::need;
use support::trace;

fn all_print(cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (script, expected) in cases {
        let run = trace(&["-q", "--no-warnings", "-e", script]);
        if run.stdout.trim() != *expected || !run.status.success() || !run.stderr.is_empty() {
            let found = format!("{}\n{}{}", run.status, run.stdout, run.stderr);
            wrong.push_str(&format!("== {script}\n-- expected\n{expected}\n-- found: {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn maps_that_forget() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        ("let @a = lruhash(1); begin { @a[1] = 1; @a[2] = 2; }", "@a[2]: 2"),
        ("let @a = percpulruhash(1); begin { @a[1] = count(); @a[2] = count(); }", "@a[2]: 1"),
        ("let @a = lruhash(2); begin { @a = 1; print(@a); }", "@a: 1\n\n\n@a: 1"),
    ]);
}

#[test]
fn maps_that_are_full() {
    need!(Root, Bpf, RingBuf);
    for script in [
        "let @a = hash(1); begin { @a[1] = 1; @a[2] = 2; }",
        "let @a = percpuhash(1); begin { @a[1] = count(); @a[2] = count(); }",
    ] {
        let run = trace(&["-q", "-e", script]).success();
        assert!(run.stderr.contains("WARNING: Map full; can't update element."), "{}", run.stderr);
        assert_eq!(run.stdout.trim(), "@a[1]: 1");
    }
}

#[test]
fn keys_are_found() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            "begin { @a[1] = 5; $v = 0; print(find(@a, 1, $v)); print($v); print(find(@a, 2, $v)); print($v); clear(@a); }",
            "true\n5\nfalse\n5",
        ),
        (
            "begin { $s = \"\"; @s[1, \"a\"] = \"abc\"; if (find(@s, (1, \"a\"), $s)) { print($s); } clear(@s); }",
            "abc",
        ),
        (
            "begin { @t[1] = (1, \"x\"); let $t = (300, \"long\"); if (find(@t, 1, $t)) { print($t); } clear(@t); }",
            "(1, x)",
        ),
    ]);
}

#[test]
fn keys_are_counted() {
    need!(Root, Bpf, RingBuf, ForEachMapElem);
    all_print(&[
        (
            "begin { @a[1] = 1; @a[2] = 1; @b[1] = count(); print((len(@a), len(@b))); clear(@a); clear(@b); }",
            "(2, 1)",
        ),
        (
            "begin { @a[1] = 1; delete(@a, 1); print(-len(@a)); @a[7] = 1; print(len(@a) + 1); clear(@a); }",
            "0\n2",
        ),
    ]);
}
