//! Functions of scripts, end to end. The original leaves them unfinished, so there is nothing to compare with.

mod support;

use skep_testing::need;
use support::{perl, trace};

/// What must be printed, with loops as functions that the kernel calls and with loops that it follows.
fn all_print(functions: &str, cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for way in [&[][..], &["--no-feature", "bpf_loop"]] {
        for (body, expected) in cases {
            let script = format!("{functions} begin {{ {body} }}");
            let run = trace(&[&["-q", "--no-warnings", "-e", &script], way].concat());
            if run.stdout.trim() != *expected || !run.status.success() || !run.stderr.is_empty() {
                let found = format!("{}\n{}{}", run.status, run.stdout, run.stderr);
                wrong.push_str(&format!("== {way:?} {body}\n-- expected\n{expected}\n-- found: {found}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn values_of_all_kinds() {
    need!(Root, Bpf, RingBuf);
    all_print(
        r#"
        fn add($a : int64, $b : int64) : int64 { return $a + $b; }
        fn narrow($a : int8) : int8 { $a += 100; return (int8)$a; }
        fn is_even($n : uint64) : bool { return $n % 2 == 0; }
        fn pick($which : bool, $a : string, $b : string) : string { if ($which) { return $a; } return $b; }
        fn swap($t : typeof(((int64)1, "1234567"))) : typeof(("1234567", (int64)1)) { return ($t.1, $t.0); }
        fn many($a : int8, $b : uint16, $c : int32, $d : uint64, $e : int64, $f : uint8, $s : string) : int64 {
          if ($s != "digits") { return -1; }
          return ((((($a * 10 + $b) * 10 + $c) * 10 + (int64)$d) * 10 + $e) * 10) + $f;
        }
        fn behind($p : uint64 *) : uint64 { return *$p; }
        "#,
        &[
            ("print(add(add(1, 2), add(3, add(4, 5))));", "15"),
            ("print(narrow(100));", "-56"),
            ("print((is_even(4), is_even(5), pick(is_even(2), \"a\", \"bcd\")));", "(true, false, a)"),
            (
                "print(pick(false, pick(true, \"x\", \"y\"), pick(false, \"longer\", \"longest\")));",
                "longest",
            ),
            ("print(pick(true, \"a\", \"b\") == pick(false, \"b\", \"a\"));", "true"),
            ("print(swap((7, \"seven\")));", "(seven, 7)"),
            ("print(many(1, 2, 3, 4, 5, 6, \"digits\"));", "123456"),
            ("$x = (uint64)42; print(behind(&$x));", "42"),
        ],
    );
}

#[test]
fn maps_output_and_loops() {
    need!(Root, Bpf, RingBuf);
    all_print(
        r#"
        fn note($n : uint64) : void { @seen[$n] = count(); @all = stats($n); if ($n > 5) { return; } printf("%d\n", $n); }
        fn first_above($limit : int64) : int64 {
          for ($i : 0..100) { for ($j : 0..3) { if ($i * $i > $limit) { return $i; } } }
          return -1;
        }
        fn name_above($limit : int64) : string {
          $i = 0;
          while ($i < 50) { $i++; if ($i > $limit) { return "found"; } }
          return "nothing";
        }
        fn up_to($n : int64) : int64 { $s = 0; for ($i : 0..$n) { $s += $i; } return $s; }
        "#,
        &[
            (
                "note(5); note(7); note(5);",
                "5\n5\n\n\n@all: { .count = 3, .average = 5, .total = 17 }\n@seen[7]: 1\n@seen[5]: 2",
            ),
            ("print(first_above(50)); print(first_above(100000));", "8\n-1"),
            ("print(name_above(20)); print(name_above(200));", "found\nnothing"),
            ("for ($i : 0..4) { print(up_to($i)); }", "0\n0\n1\n3"),
        ],
    );
}

#[test]
fn exit_ends_the_probe_that_called() {
    need!(Root, Bpf, RingBuf);
    all_print(
        r#"
        fn stop($n : int64) : int64 { if ($n == 2) { exit(); } return $n; }
        fn stop_within($n : int64) : void { for ($i : 0..5) { print(stop($i + $n)); } print(100); }
        "#,
        &[
            ("print(stop(1)); print(stop(2)); print(9);", "1"),
            ("stop_within(1); print(9);", "1"),
            ("for ($i : 0..5) { print(stop($i)); } print(9);", "0\n1"),
            ("stop_within(10);", "10\n11\n12\n13\n14\n100"),
        ],
    );
}

/// Each caller's context is its own; with and without attach cookies.
#[test]
fn the_context_of_the_caller() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let script = r#"
        fn where_from() : uint64 { return (uint64)args.how * 10; }
        fn number($factor : uint64) : uint64 { return where_from() * $factor + (uint64)(probe == "begin"); }
        tracepoint:syscalls:sys_enter_shutdown / pid == cpid / { printf("%d %s\n", number(2), probe); exit(); }
    "#;
    let command = perl("syscall(48, -1, 1);");
    for way in [&[][..], &["--no-feature", "attach_cookie"]] {
        let run = trace(&[&["-q", "--no-warnings", "-e", script, "-c", &command], way].concat());
        assert_eq!(run.stdout.trim(), "20 tracepoint:syscalls:sys_enter_shutdown", "{way:?} {}", run.stderr);
    }
}

/// The kernel's stack is shared by all functions that are active: too many are refused with a sentence.
#[test]
fn eight_deep_and_no_deeper() {
    need!(Root, Bpf, RingBuf);
    let chain = |depth: usize| {
        let mut script = String::from("fn f1($n : int64) : int64 { return $n; } ");
        for at in 2..=depth {
            script += &format!("fn f{at}($n : int64) : int64 {{ return f{}($n + 1) * 2; }} ", at - 1);
        }
        script + &format!("begin {{ print(f{depth}(1)); }}")
    };
    let run = trace(&["-q", "-e", &chain(7)]);
    assert_eq!(run.stdout.trim(), "448", "{}", run.stderr);
    let run = trace(&["-q", "-e", &chain(8)]);
    assert!(!run.status.success());
    assert!(run.stderr.contains("nested too deeply"), "{}", run.stderr);
}
