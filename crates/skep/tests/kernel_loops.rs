//! Loops, end to end: as functions that the kernel calls, and written out where it cannot. The expectations are
//! what bpftrace 0.27 prints.

mod support;

use skep_testing::need;
use support::trace;

/// What must be there, run in both ways.
fn all_print(ways: &[&[&str]], cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for way in ways {
        for (script, expected) in cases {
            let run = trace(&[&["-q", "--no-warnings", "-e", script], *way].concat());
            if run.stdout.trim() != *expected || !run.status.success() || !run.stderr.is_empty() {
                let found = format!("{}\n{}{}", run.status, run.stdout, run.stderr);
                wrong.push_str(&format!("== {way:?} {script}\n-- expected\n{expected}\n-- found: {found}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const BOTH: &[&[&str]] = &[&[], &["--no-feature", "bpf_loop"]];

#[test]
fn ranges() {
    need!(Root, Bpf, RingBuf);
    all_print(
        BOTH,
        &[
            ("begin { for ($i : 0..5) { print($i); } }", "0\n1\n2\n3\n4"),
            ("begin { $start = 2; $end = 5; for ($i : $start..$end) { print($i); } }", "2\n3\n4"),
            ("begin { for ($i : (1+1)..(2*2)) { print($i); } }", "2\n3"),
            ("begin { @map[5] = 3; for ($i : 0..@map[5]) { print($i); } clear(@map); }", "0\n1\n2"),
            ("begin { for ($i : 1..0) { print(1); } for ($i : 5..5) { print(2); } print(3); }", "3"),
            ("begin { $a = 4; $b = 2; for ($i : $a..$b) { print(1); } print(2); }", "2"),
            ("begin { for ($i : (-3)..2) { print($i); } }", "-3\n-2\n-1\n0\n1"),
            ("begin { $a = (int64)-1; for ($i : $a..2) { print($i); } }", "-1\n0\n1"),
            ("begin { @a = 3; for ($i : 0..@a) { print($i); @a += 1; } }", "0\n1\n2\n\n\n@a: 6"),
            ("begin { for ($i : 0..3) { $i = 5; print($i); } }", "5\n5\n5"),
            ("begin { for ($i : 0..1000) { print(sizeof($i)); break; } }", "2"),
            (
                "begin { $a = (uint64)18446744073709551613; for ($i : $a..18446744073709551615) { print($i); } }",
                "18446744073709551613\n18446744073709551614",
            ),
        ],
    );
}

#[test]
fn ways_out_of_loops() {
    need!(Root, Bpf, RingBuf);
    all_print(
        BOTH,
        &[
            ("begin { for ($i : 1..4) { if ($i == 2) { break; } print($i); } print(5); }", "1\n5"),
            ("begin { for ($i : 1..4) { if ($i == 2) { continue; } print($i); } }", "1\n3"),
            (
                "begin { for ($i : 1..4) { for ($j : 1..$i) { print($j); if ($j == 2) { return; } } } print(9); }",
                "1\n1\n2",
            ),
            (
                "begin { for ($i : 0..9) { print($i); if ($i == 1) { exit(); } } print(9); } end { print(7); }",
                "0\n1\n7",
            ),
            (
                "begin { $i = 0; while ($i < 3) { $i++; if ($i == 2) { continue; } print($i); } print(9); }",
                "1\n3\n9",
            ),
            ("begin { while (1) { @n++; if (@n > 4) { break; } } }", "@n: 5"),
            ("begin { while (true) { @n++; if (@n > 4) { return; } } }", "@n: 5"),
            (
                "begin { $i = 0; while ($i < 3) { $j = 0; while ($j < 2) { @count = count(); $j++; } $i++; } }",
                "@count: 6",
            ),
            ("begin { for ($i : 0..3) { unroll (2) { if ($i == 1) { break; } print($i); } } }", "0\n0"),
            ("begin { $a = 1; unroll (10) { $a = $a + 1; } print($a); }", "11"),
        ],
    );
}

/// Bodies see and change what is around them, and start each round with fresh variables of their own.
#[test]
fn variables_in_loops() {
    need!(Root, Bpf, RingBuf);
    all_print(
        BOTH,
        &[
            ("begin { $sum = 0; for ($i : 1..5) { $sum += $i; } print($sum); }", "10"),
            (
                "begin { $s = \"none\"; $t = (1, \"a\"); for ($i : 0..3) { $s = comm; $t = ($i, $t.1); } print($s == comm); print($t); }",
                "true\n(2, a)",
            ),
            ("begin { for ($i : 0..3) { let $x : uint64; $x++; print($x); } }", "1\n1\n1"),
            (
                "begin { for ($i : 0..2) { let $s : string[4]; print($s == \"\"); $s = \"abc\"; } }",
                "true\ntrue",
            ),
            (
                "begin { $n = 0; for ($i : 0..3) { $k = $i; for ($j : 0..3) { $k += $j; $n += $k; } } print($n); }",
                "21",
            ),
            ("begin { $x = { $n = 0; for ($i : 0..4) { $n += $i; } $n }; print($x); }", "6"),
            ("begin { for ($i : 0..3) { $z = $i; } for ($i : 0..2) { $z = \"a\"; print($z); } }", "a\na"),
        ],
    );
}

#[test]
fn entries_of_maps() {
    need!(Root, Bpf, RingBuf, ForEachMapElem);
    all_print(
        BOTH,
        &[
            (
                "begin { @m[16] = 32; for ($kv : @m) { print($kv); print($kv.1); } clear(@m); }",
                "(16, 32)\n32",
            ),
            (
                "begin { @m[16, \"a\"] = \"x\"; for ($kv : @m) { print($kv); print($kv.0.1); } clear(@m); }",
                "((16, a), x)\na",
            ),
            (
                "begin { @m[1] = 1; @m[2] = 2; $n = 0; for ($kv : @m) { $n += $kv.0 * 10 + $kv.1; } print($n); clear(@m); }",
                "33",
            ),
            (
                "begin { @m[1] = 1; @m[2] = 2; for ($kv : @m) { if ($kv.0 == 1) { delete(@m, $kv.0); } } }",
                "@m[2]: 2",
            ),
            (
                "begin { @m[1] = 1; @m[2] = 2; for ($kv : @m) { @new[$kv.1] = $kv.0 + 1; } clear(@m); }",
                "@new[1]: 2\n@new[2]: 3",
            ),
            (
                "begin { @a[1] = 1; @a[2] = 2; @b[1] = 1; @b[2] = 2; for ($x : @a) { for ($y : @b) { @n++; if ($y.0 == $x.0) { break; } } } clear(@a); clear(@b); }",
                "@n: 3",
            ),
            ("begin { @m[1] = 1; for ($kv : @m) { return; } print(9); }", "@m[1]: 1"),
            (
                "begin { @m[\"abc\"] = (1, 2); for ($kv : @m) { $kv = (\"x\", (3, 4)); print($kv); } clear(@m); }",
                "(x, (3, 4))",
            ),
        ],
    );
}

#[test]
fn entries_of_aggregations() {
    need!(Root, Bpf, RingBuf, ForEachMapElem, LookupPerCpu);
    all_print(
        BOTH,
        &[
            (
                "begin { @m[16, 17] = count(); @m[16, 17] = count(); for ($kv : @m) { print($kv); } clear(@m); }",
                "((16, 17), 2)",
            ),
            ("begin { @m[1] = avg(3); @m[1] = avg(5); for ($kv : @m) { print($kv.1); } clear(@m); }", "4"),
        ],
    );
}

/// More rounds than the kernel takes at once are told of.
#[test]
fn too_many_rounds() {
    need!(Root, Bpf, RingBuf);
    let run =
        trace(&["-q", "--no-feature", "bpf_loop", "-e", "begin { while (@a < 100000) { @a++; } print(1); }"]);
    assert!(run.stderr.contains("This loop has ended early"), "{}", run.stderr);
    assert!(run.stdout.starts_with("1\n"), "{}", run.stdout);
}
