//! What expressions are worth on the running kernel: aggregations read in place, blocks, records, buffers,
//! pointers. Needs root.

use skep_testing::need;
use skep_trace::sink::{Collect, Record};
use skep_trace::{KernelWorld, Options, Session, compile};
use skep_ui::{Colors, SourceMap};

/// What `printf` prints in a script that ends by itself; messages stand in brackets.
fn printed(script: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("test", script);
    let world = KernelWorld::new();
    let compiled = compile(&mut sources, file, &skep_lang::Options::default(), &world)
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(&sources, Colors::Never)));
    let session = Session::load(compiled.artifact, Options::default())
        .unwrap_or_else(|error| panic!("{}", error.render(&sources, Colors::Never)));
    let mut shown = String::new();
    let mut collect = Collect::new(|record| {
        match record {
            Record::Printf { message: false, text, .. } => shown.push_str(&text),
            Record::Printf { message: true, text, .. } => shown.push_str(&format!("[{text}]")),
            _ => {}
        }
        Ok(())
    });
    session.run(&mut collect).unwrap_or_else(|error| panic!("{error}"));
    shown
}

#[test]
fn an_aggregation_is_read_where_it_stands() {
    need!(Root, Bpf, RingBuf, LookupPerCpu);
    let script = r#"BEGIN {
        @count = count(); @count = count();
        @sum = sum(-5); @usum = sum((uint64)7);
        @min = min(3); @min = min(-2); @max = max(-9); @max = max(-4);
        @avg = avg(-5); @avg = avg(-8);
        @k["x", 1] = count(); @none[1] = min(1);
        printf("%d %d %d %d %d %d|", @count, @sum, @usum, @min, @max, @avg);
        printf("%d %d %d|", @k["x", 1], @k["y", 1], @none[2]);
        if (@count == 2 && @avg < -5) { printf("%d|", @count * 10 + @sum) }
        @count = count();
        printf("%d %s", (uint8)@avg, (1, @count));
    }"#;
    assert_eq!(printed(script), "2 -5 7 -2 -4 -6|1 0 0|15|250 (1, 3)");
}

#[test]
fn an_aggregation_is_read_over_all_cpus() {
    need!(Root, Bpf, RingBuf, LookupPerCpu);
    // What each CPU counts for itself against what all of them count together.
    let script = r#"
        profile:hz:200 { @all++; @each = count(); @cpu[1] = sum(1); if (@all > 40) { exit() } }
        END { printf("%d %d", @all - @each, @all - @cpu[1]) }
    "#;
    assert_eq!(printed(script), "0 0");
}

#[test]
fn blocks_and_choices_have_values() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN {
        $a = { let $b = 3; $b + 1 };
        $c = if ($a > 10) { printf("no "); "long text" } else if ($a == 4) { printf("yes "); "yy" } else { "z" };
        $t = { $a++; ($a, $c) };
        @m[{ $a }] = { printf("in "); "kept" };
        printf("%d %s %s %s %d", $a, $c, $t, @m[5], { @n = 2; @n } + 1);
        if ({ $a--; $a == 4 } && { printf("!"); 1 }) { printf("?") }
    }"#;
    assert_eq!(printed(script), "yes in 5 yy (5, yy) kept 3!?");
}

#[test]
fn records_are_stored_compared_and_taken_apart() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN {
        $a = (a = 1, b = "x");
        $a = (b = "longer", a = 1000);
        @[$a] = (id = 7, inner = $a);
        printf("%s %s %d ", $a, @[(a = 1000, b = "longer")].inner.b, @[(a = 1, b = "x")].id);
        printf("%d %d", (a = 1, b = "x") == (a = 1, b = "x"), (a = 1, b = $a.b) != (a = 1, b = "x"));
    }"#;
    assert_eq!(printed(script), "{ .a = 1000, .b = longer } longer 0 1 1");
}

#[test]
fn buffers_of_texts() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN {
        $x = "hello"; $n = 2;
        @[buf("a\0b", 3)] = 5;
        printf("%r %rx %rh %r|%d ", buf($x, 3), buf($x, 7), buf("ab", 2), buf($x, $n), @[buf("a\0b", 3)]);
        printf("%d%d%d", buf($x, 2) == buf("help", 2), buf("hi", 2) == buf("bye", 3), buf($x, $n) == buf("he", 2));
    }"#;
    assert_eq!(printed(script), "hel \\x68\\x65\\x6c\\x6c\\x6f\\x00\\x00 61 62 he|5 101");
}

#[test]
fn pointers_move_by_what_they_point_to() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN {
        $p = (int64*)0x10; $p += 4; $p++; $n = 2;
        @p = $p - 1; @p--; @k[1] = $p; @k[1] += $n; $v = (void*)16; $v++;
        printf("%p %p %p %p %p %d", $p, @p, @k[1], 1 + $v, $p - $n, $p > 3);
    }"#;
    assert_eq!(printed(script), "0x38 0x28 0x48 0x12 0x28 1");
}

#[test]
fn a_division_by_zero_gives_one_and_a_warning() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN { $z = 0; $m = -7; $two = 2; printf("%d %d %d|", 5 / $z, $m / $two, $m % $two); }"#;
    let warning =
        "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result.";
    assert_eq!(printed(script), format!("[{warning}]1 -3 -1|"));
}
