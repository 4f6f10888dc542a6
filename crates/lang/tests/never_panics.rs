//! Whatever the text, there is an answer: a program, or an error.

use proptest::prelude::*;
use skep_lang::sema::testing::Fixture;
use skep_lang::{Options, compile_front, dump, list};
use skep_ui::{Colors, SourceMap};

fn check(script: &str) {
    let options = Options { params: vec!["5".into(), "abc".into()], pid_filter: true, ..Options::default() };
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", script);
    let analysis = compile_front(&mut sources, file, &options, &Fixture::default());
    analysis.render(&sources, Colors::Never);
    match &analysis.program {
        Some(program) => {
            dump(program);
            well_formed(program);
        }
        None => {
            assert!(analysis.diagnostics.iter().any(|d| d.is_error()), "no program and no error: {script}")
        }
    }
}

/// What the compiler relies on: no unknown types, no literal types, nothing out of range.
fn well_formed(program: &skep_lang::hir::Program) {
    let text = dump(program);
    for wrong in ["unknown", "int7", "int15", "int31", "int63", "@?", "$?"] {
        assert!(!text.contains(wrong), "{wrong} in\n{text}");
    }
    for probe in &program.probes {
        assert!(!probe.targets.is_empty());
        for target in &probe.targets {
            assert!((target.0 as usize) < program.targets.len());
        }
    }
}

/// Pieces that scripts are made of, valid and not.
const PIECES: &[&str] = &[
    "begin",
    "end",
    "interval:s:1",
    "profile:hz:99",
    "t:syscalls:sys_enter_open*",
    "t:sched:sched_switch",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "/",
    ",",
    ";",
    "=",
    "==",
    "+",
    "-",
    "*",
    "%",
    "<<",
    "&&",
    "||",
    "!",
    "~",
    "?",
    ":",
    "++",
    "--",
    "+=",
    "-=",
    "/=",
    ".",
    "->",
    "@",
    "@a",
    "@b[",
    "$x",
    "$y",
    "$1",
    "$2",
    "$#",
    "1",
    "0",
    "-1",
    "300",
    "18446744073709551615",
    "9223372036854775808",
    "\"a\"",
    "\"%d\"",
    "\"%s\"",
    "true",
    "pid",
    "comm",
    "nsecs",
    "probe",
    "args",
    "args.filename",
    "args.flags",
    "args.prev_comm",
    "str(",
    "buf(",
    "count()",
    "sum(",
    "hist(",
    "lhist(",
    "avg(",
    "print(",
    "printf(",
    "delete(",
    "has_key(",
    "clear(",
    "zero(",
    "exit(",
    "if",
    "else",
    "let",
    "return",
    "_ =",
    "(uint8)",
    "(int64)",
    "(string[4])",
    "sizeof(",
    ".0",
    ".1",
    "1e6",
    "5s",
    "while",
    "for",
    "unroll",
    "config = { max_strlen = 8 }",
    "let @a = hash(5);",
    "macro",
    "struct",
    "cat(",
    "kstack",
    "typeof(",
    "comptime",
];

const SCRIPTS: &[&str] = &[
    "tracepoint:syscalls:sys_enter_open* /comm == \"cat\"/ { printf(\"%s %d\\n\", str(args.filename), pid); @[probe, comm] = count(); }",
    "begin { @a[1] = 2; $x = (1, \"b\"); if ($x.0 == @a[1]) { @b = hist(nsecs, 2); } else { exit($1); } print(@a, 3); }",
    "interval:s:1 { $i = 0; $i++; @s[$i, comm] += $i * 3 - pid; delete(@s, (1, \"x\")); clear(@s); time(\"%H\"); }",
    "t:sched:sched_switch { @m = max(args.prev_pid); @l = lhist(args.next_prio, 0, 100, 10); let $y : uint8 = 5; $y <<= 2; }",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in ".{0,200}") {
        check(&text);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)) {
        check(&pieces.join(" "));
        check(&format!("begin {{ {} }}", pieces.join(" ")));
    }

    #[test]
    fn any_statements(pieces in proptest::collection::vec(
        (proptest::sample::select(TARGETS), proptest::sample::select(OPERATORS), proptest::collection::vec(
            (proptest::sample::select(VALUES), proptest::sample::select(BETWEEN)), 1..4)), 1..8)) {
        let mut body = String::new();
        for (target, operator, values) in pieces {
            body.push_str(target);
            body.push_str(operator);
            let mut between = "";
            for (value, next) in values {
                body.push_str(between);
                body.push_str(value);
                between = next;
            }
            body.push(';');
        }
        check(&format!("begin {{ $x = 1; {body} }}"));
        check(&format!("t:syscalls:sys_enter_open {{ $x = nsecs; {body} }}"));
    }

    #[test]
    fn mutated_scripts(
        script in proptest::sample::select(SCRIPTS),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0usize..8, proptest::sample::select(PIECES)), 1..4),
    ) {
        let mut text = script.to_owned();
        for (at, remove, insert) in edits {
            let from = at.index(text.len() + 1);
            let to = (from + remove).min(text.len());
            text.replace_range(from..to, insert);
        }
        check(&text);
    }

    /// Macros, C text and what is known at compile time, in any order and number.
    #[test]
    fn any_heads(
        c in proptest::collection::vec(proptest::sample::select(C_TEXTS), 0..6),
        macros in proptest::collection::vec(proptest::sample::select(MACROS), 0..6),
        uses in proptest::collection::vec(proptest::sample::select(USES), 0..8),
    ) {
        check(&format!("{}\n{} begin {{ $x = 1; @a[1] = 1; {} }}", c.join("\n"), macros.join(" "), uses.join(" ")));
    }

    #[test]
    fn any_search(search in "[a-z*:,\"$]{0,20}") {
        prop_assert!(list(&search, &Fixture::default(), true).is_ok());
    }
}

const C_TEXTS: &[&str] = &[
    "#define A 1",
    "#define A B + 1",
    "#define B A",
    "#define B(x, y) ((x) + y)",
    "#define A(x) #x",
    "#define C(x) A ## x",
    "#undef A",
    "#if A",
    "#else",
    "#endif",
    "#include <linux/no.h>",
    "struct s { int a; char b[3]; };",
    "struct s { struct s *next; union { int x : 3; }; };",
    "struct t { struct s s; struct t t; };",
    "enum e { ONE = 1, TWO };",
    "union u { struct s s; long l; } __attribute__((packed));",
];
const MACROS: &[&str] = &[
    "macro m(x) { x + 1 }",
    "macro m($x) { $x += 1; $x }",
    "macro m(@x) { @x[1] }",
    "macro m() { m(1) }",
    "macro n(t) { sizeof(t) + sizeof(t*) }",
    "macro n(x, y) { if comptime (is_str(x)) { m(y) } else { n(x) } }",
    "macro o(f) { offsetof(struct s, f) }",
    "macro p(x) { for $i : 0..3 { $y = $i + x; } let $z : typeof(x) = x; $z }",
];
const USES: &[&str] = &[
    "print(m($x));",
    "print(m(@a));",
    "m(m(1));",
    "print(n(typeof(struct s)));",
    "n(1, \"a\");",
    "print(o(a));",
    "print(A);",
    "print(B(1, $x));",
    "print(C(1));",
    "print(TWO);",
    "print(AF_INET);",
    "print(p(m(2)));",
    "m;",
    "if comptime (A == 1) { print(1); } else { n(); }",
    "print(getopt(\"a\", A));",
    "print(comptime m(1));",
    "$s = (struct s *)0; print($s.a);",
    "print(sizeof(struct t));",
    "static_assert(A, \"no\");",
    "assert($x, \"no\");",
];
const TARGETS: &[&str] = &["$x", "$y", "@a", "@b[1]", "@b[comm]", "@c[1, pid]", "@d", "@e[@d]"];
const OPERATORS: &[&str] = &[" = ", " = ", " = ", " += ", " -= ", " *= ", " /= ", " <<= ", " |= "];
const BETWEEN: &[&str] =
    &[" + ", " - ", " * ", " / ", " % ", " == ", " < ", " && ", " | ", " >> ", " ? 1 : ", " != "];
const VALUES: &[&str] = &[
    "1",
    "300",
    "-5",
    "18446744073709551615",
    "pid",
    "nsecs",
    "comm",
    "\"abc\"",
    "true",
    "$x",
    "@a",
    "@b[1]",
    "@c[1, 2]",
    "(1, 2)",
    "(pid, comm)",
    "(uint8)7",
    "(int64)pid",
    "count()",
    "sum(pid)",
    "hist(3)",
    "probe",
    "$x++",
    "--@a",
    "@d++",
    "sizeof(1)",
    "!pid",
    "~1",
    "-nsecs",
    "str(nsecs)",
    "buf(nsecs, 4)",
    "args.flags",
    "args.filename",
    "(1, (2, \"a\"))",
    "$x.0",
    "has_key(@b, 1)",
    "delete(@b, 2)",
    "pid ? 1 : nsecs",
    "elapsed",
    "$1",
    "$2",
];

#[test]
fn deep_nesting_is_refused_or_handled() {
    for depth in [50, 99, 300, 5000] {
        check(&format!("begin {{ $x = {}1{} }}", "(".repeat(depth), ")".repeat(depth)));
        check(&format!("begin {{ {} {} }}", "if (1) {".repeat(depth), "}".repeat(depth)));
        check(&format!("begin {{ $x = 1{} }}", "+pid".repeat(depth)));
        check(&format!("begin {{ $x = {}pid }}", "-".repeat(depth)));
    }
}

#[test]
fn many_maps_and_long_chains_of_them_get_types() {
    let read: String = (0..300).map(|n| format!("$v{n} = @m{n}; ")).collect();
    check(&format!("begin {{ {read} }}"));
    let chain: String = (0..90).map(|n| format!("@m{n} = @m{}; ", n + 1)).collect();
    check(&format!("begin {{ {chain} @m90 = comm }}"));
    let too_long: String = (0..500).map(|n| format!("@m{n} = @m{}; ", n + 1)).collect();
    check(&format!("begin {{ {too_long} @m500 = comm }}"));
    check("let @declared = hash(5); begin { }");
    check("begin { @a = (@b, 1); @b = (@a, 1); @c = (@c, @c) }");
}
