//! The tree of every construct.

use super::messages;
use super::parse_text;
use crate::syntax::ast::*;
use crate::syntax::print::{self, Spans};
use crate::syntax::{parse_attach_point, parse_expression};

/// Each text, and its tree below it. The texts must be free of errors.
fn trees(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let (_, parse) = parse_text(text);
        assert_eq!(messages(text), "", "in: {text}");
        out.push_str(&format!("{text}\n----\n{}\n", print::script(&parse.script, Spans::Hide)));
    }
    out
}

/// Like [`trees`], for expressions.
fn exprs(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let mut ids = NodeIds::new();
        let parse = parse_expression(skep_ui::FileId(0), text, &mut ids);
        assert_eq!(parse.diagnostics, vec![], "in: {text}");
        out.push_str(&format!("{text}\n----\n{}\n", print::expr(&parse.script, Spans::Hide)));
    }
    out
}

#[test]
fn attach_points() {
    insta::assert_snapshot!(trees(&[
        "BEGIN{}",
        "tracepoint:syscalls:sys_enter_open* { }",
        "t:a:b,\n  rt:c,kprobe:d+0x10 , { }",
        "uprobe:/usr/lib/x86-64/libc.so.6:malloc /pid==1/{ }",
        "uprobe:/bin/x:\"a::b(int, char)\" /1/ { }",
        "uprobe:\"/tmp/a b,{\":cpp:\"f\\\"g\" { }",
        "uprobe:/bin/x@main.c:10:3 { }",
        "uprobe:$1:f$2+4 { }",
        "named=begin { } other = END { }",
        "usdt::x { } profile:hz:99 { } *:x { }",
        "w:0x1000:8:rw{}",
    ]));
}

#[test]
fn predicates() {
    insta::assert_snapshot!(trees(&[
        "k:f / pid == 1 / { }",
        "k:f /pid/ 2 == 4/{ }",
        "k:f / 8 / 4 / 2 / // comment\n { }",
        "k:f / (1 / 2) == @x[tid] / { }",
    ]));
}

#[test]
fn literals() {
    insta::assert_snapshot!(exprs(&[
        "42",
        "0x1F",
        "017",
        "1_000",
        "1e6",
        "10ull",
        "5ms",
        "true",
        "false",
        r#""a\n\x41\0""#,
        "$1",
        "$#"
    ]));
}

#[test]
fn names() {
    insta::assert_snapshot!(exprs(&["pid", "$x", "@", "@x", "@x[1]", "@x[1, $y]", "@[(1, 2)]"]));
}

#[test]
fn operators_bind_as_in_c() {
    insta::assert_snapshot!(exprs(&[
        "1 || 2 && 3 | 4 ^ 5 & 6 == 7 < 8 << 9 + 10 * 11",
        "1 * 2 + 3 << 4 < 5 == 6 & 7 ^ 8 | 9 && 10 || 11",
        "1 - 2 - 3",
        "1 != 2 <= 3 > 4 >= 5",
        "1 / 2 % 3 >> 4",
        "(1 + 2) * 3",
        "- ! ~ * $x",
        "-1 - -1",
        "&$x + &@m",
        "++$x + --@x[1]",
        "$x++ + @x--",
    ]));
}

#[test]
fn conditionals() {
    insta::assert_snapshot!(exprs(&[
        "1 ? 2 : 3",
        "1 ? 2 : 3 ? 4 : 5",
        "1 ? 2 ? 3 : 4 : 5",
        "$x ?: 3",
        "if 1 { 2 } else { 3 }",
        "if (pid == 1) { 2 } else if $x { 3 } else if comptime (1) { 4 } else { 5 }",
        "if ($a) && ($b) { }",
        "{ $x = 1; $x + 1 }",
        "comptime 1 + 2",
    ]));
}

#[test]
fn postfixes() {
    insta::assert_snapshot!(exprs(&[
        "args.filename",
        "curtask->mm->arg_start",
        "$t.0.1",
        "$a[1][2].x->y",
        "$x . y",
        "str(args->x, 10)",
        "f()",
        "f(1,)",
        "f(typeof(struct x), typeof($y))",
    ]));
}

#[test]
fn casts_tuples_and_records() {
    insta::assert_snapshot!(exprs(&[
        "(uint8)1",
        "(struct task_struct *)curtask",
        "(uint8[4])$x",
        "(int8[])$x",
        "(int32 * [2] *)$x",
        "(typeof($y))1",
        "(typeof(struct x))1 + 2",
        "(size_t)1",
        "(pid) - 1",
        "(comm)",
        "(foo)",
        "(uint8)-1 + 2",
        "(uint64)(1)",
        "()",
        "(1,)",
        "(1, 2, (3, 4))",
        "(a = 1, b = \"x\")",
        "(a == 1)",
        "(typeof(x))",
    ]));
}

#[test]
fn type_operators() {
    insta::assert_snapshot!(exprs(&[
        "sizeof(uint8)",
        "sizeof(struct foo)",
        "sizeof(foo)",
        "sizeof(foo *)",
        "sizeof(foo[4])",
        "sizeof($x + 1)",
        "sizeof(comm)",
        "offsetof(struct foo, a.b.c)",
        "offsetof($x, y)",
        "typeinfo(typeof(enum e))",
        "typeinfo(string[16])",
    ]));
}

#[test]
fn statements() {
    insta::assert_snapshot!(trees(&[
        "BEGIN { $x = 1; @x = 2; @x[1, 2] = 3 }",
        "BEGIN { $a += 1; $a -= 1; $a *= 1; $a /= 1; $a %= 1; $a &= 1; $a |= 1; $a ^= 1; @a <<= 1; @a[1] >>= 1; }",
        "BEGIN { let $x; let $y = 1; let $z : uint8; let $w : struct foo * = 0; let $v : string[8] = \"\"; }",
        "BEGIN { _ = f(); _; }",
        "BEGIN { return; return 1; }",
        "BEGIN { $x++; ++@y; printf(\"hi\"); count(); }",
        "BEGIN { { $x = 1; } if (1) { } ++$y; if 1 { 2 } else { 3 } }",
        "BEGIN { import \"stdlib/x\"; }",
        "BEGIN { ; f();; }",
        "BEGIN { $x == 1; @a[1]; $s.f; }",
    ]));
}

#[test]
fn loops() {
    insta::assert_snapshot!(trees(&[
        "BEGIN { for ($kv : @map) { print($kv); } }",
        "BEGIN { for $i : 0..10 { break; } }",
        "BEGIN { for ($i : $a..(1 + 2)) { continue; } }",
        "BEGIN { while ($x < 5) { $x++ } while 1 { } }",
        "BEGIN { unroll(5) { } unroll $1 { } }",
    ]));
}

#[test]
fn items() {
    insta::assert_snapshot!(trees(&[
        "#!/usr/bin/env bpftrace\nBEGIN { }",
        "config = { max_strlen = 64; missing_probes = \"warn\"; print_maps_on_exit = false; stack_mode = perf }",
        "config = { }",
        "import \"a.bt\"; config = { a = 1; } import \"b\"; BEGIN { }",
        "let @a = hash(100); let @ = lruhash(1) BEGIN { }",
        "macro m() { 1 } macro n($a, @b, c) { $a = c; @b[c] }",
        "fn f() : void { } fn g($a : struct x *, $b : typeof(@m)) : int8[2] { return $a; }",
    ]));
}

#[test]
fn c_definitions() {
    insta::assert_snapshot!(trees(&[
        "#include <linux/fs.h> // why\n  #include \"mine.h\"\n#define A 1\n#define B(x, y) ((x) + \\\n  (y)) /* c */\n#define C (1)\n#ifdef X\n#endif\nBEGIN { }",
        "struct foo { int x; /* } */ char y[4]; }; union u { int a; }\nenum e { A, B = 2 }; enum { C };",
        "struct __attribute__((packed)) a { struct { int x; } b; } __attribute__((aligned(4), unused)); BEGIN { }",
    ]));
}

#[test]
fn spans_of_nodes() {
    let (_, parse) = parse_text("k:f / 1 / { $x = (1 + 2); f(@a[1]->b) }");
    insta::assert_snapshot!(print::script(&parse.script, Spans::Show));
}

#[test]
fn comments_are_kept_where_they_are_comments() {
    let text = "// a\nuprobe:/x//y:f /* b */ / 1 /* c */ / { f(\"// no\"); // d\n}";
    let (sources, parse) = parse_text(text);
    let comments: Vec<&str> = parse.script.comments.iter().map(|c| sources.snippet(c.span)).collect();
    assert_eq!(comments, ["// a", "/* b */", "/* c */", "// d"]);
}

#[test]
fn an_attach_point_alone() {
    let mut ids = NodeIds::new();
    let parse = parse_attach_point(skep_ui::FileId(0), " tracepoint:a*:\"b c\" ", &mut ids);
    assert_eq!(parse.diagnostics, vec![]);
    let ap = parse.script;
    assert_eq!(ap.text, "tracepoint:a*:\"b c\"");
    assert_eq!(ap.provider.text(), "tracepoint");
    assert_eq!(ap.parts.iter().map(ApPart::text).collect::<Vec<_>>(), ["a*", "b c"]);
    assert!(ap.parts[0].has_wildcard() && !ap.parts[1].has_wildcard());
    assert!(ap.parts[1].is_quoted() && !ap.has_params());
    assert_eq!(parse_attach_point(skep_ui::FileId(0), "a:b c", &mut ids).diagnostics.len(), 1);
}

#[test]
fn ids_are_unique_over_several_scripts() {
    let mut ids = NodeIds::new();
    let first = crate::syntax::parse_script(skep_ui::FileId(0), "BEGIN { f(1) }", &mut ids);
    let between = ids.count();
    let second = crate::syntax::parse_script(skep_ui::FileId(1), "END { f(1) }", &mut ids);
    assert!((first.script.id.0 as usize) < between);
    assert!((second.script.items[0].id.0 as usize) >= between);
}
