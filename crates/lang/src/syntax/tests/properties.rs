//! What holds for every text: a tree comes back, its spans nest, and errors are reported.

use proptest::prelude::*;
use skep_ui::{Colors, Diagnostics, Span};

use super::parse_text;
use crate::syntax::ast::*;
use crate::syntax::lexer::{TokenKind, next_token};
use crate::syntax::print::{self, Spans};
use crate::syntax::visit::*;

/// Scripts to mutate, which together hold every construct.
const VALID: &[&str] = &[
    "#!/usr/bin/env bpftrace\n#include <a.h>\n#define X (1 + 2)\nstruct foo { int x; };\nconfig = { a = 1; b = \"c\" }\n",
    "import \"x.bt\"; let @a = hash(10); macro m($x, @y, z) { $x = z; @y[1] } fn f($a : int8) : void { return; }",
    "tracepoint:syscalls:sys_enter_open* / pid == 1 && comm != \"x\" / { @[probe, tid] = count(); }",
    "uprobe:/lib/x-1.so:\"a b\"+0x10,k:f,END { printf(\"%d %s\\n\", arg0, str(args->path)); // comment\n }",
    "BEGIN { for ($i : 0..10) { if ($i == 2) { break; } else if $i { continue } else { $x[1].y->z; } } }",
    "BEGIN { let $x : struct a * = (struct a *)curtask; while (1) { unroll(3) { @x[1,2]++; --$y } } exit(); }",
    "BEGIN { $t = (1, (a = 2, b = $1), ()); _ = sizeof(uint8[4]) + offsetof(struct x, a.b) ?: comptime 1e6; }",
];

/// What sequences of tokens are made of.
const WORDS: &[&str] = &[
    "(", ")", "{", "}", "[", "]", ";", ",", ":", "..", "=", "==", "/", "?", ".", "->", "+", "-", "*", "&",
    "++", "+=", "$x", "@x", "1", "\"s\"", "pid", "if", "else", "for", "while", "let", "struct", "typeof",
    "sizeof", "offsetof", "comptime", "return", "import", "\nBEGIN", "kprobe:f", "macro", "fn", "config",
    "\n", "#", "uint8", "/*", "*/", "//", "\"", "_",
];

/// Checks one text; gives what it printed, so that nothing is left unused.
fn check(text: &str) -> Result<(), TestCaseError> {
    let (sources, parse) = parse_text(text);
    let mut checker = Checker { text, outer: parse.script.span, problem: None, errors: 0 };
    walk_script(&mut checker, &parse.script);
    prop_assert_eq!(checker.problem, None);
    for diagnostic in &parse.diagnostics {
        for span in
            diagnostic.span.iter().chain(diagnostic.notes.iter().filter_map(|note| note.span.as_ref()))
        {
            prop_assert!(text.get(span.range()).is_some(), "{:?} in {:?}", span, diagnostic);
        }
    }
    let failed = parse.diagnostics.iter().any(|d| d.is_error());
    prop_assert!(failed || checker.errors == 0, "error nodes without an error");
    print::script(&parse.script, Spans::Show);
    Diagnostics::from(parse.diagnostics).render(&sources, Colors::Always);
    Ok(())
}

/// Each span must lie in its parent's, and begin and end between characters.
struct Checker<'t> {
    text: &'t str,
    outer: Span,
    problem: Option<String>,
    errors: usize,
}

impl Checker<'_> {
    fn enter(&mut self, span: Span, what: &str, children: impl FnOnce(&mut Self)) {
        if !self.outer.contains(span) || self.text.get(span.range()).is_none() {
            self.problem.get_or_insert(format!("{what} {span:?} in {:?}", self.outer));
        }
        let outer = std::mem::replace(&mut self.outer, span);
        children(self);
        self.outer = outer;
    }
}

impl Visitor for Checker<'_> {
    fn visit_item(&mut self, item: &Item) {
        self.errors += usize::from(matches!(item.kind, ItemKind::Error));
        self.enter(item.span, "item", |v| walk_item(v, item));
    }

    fn visit_attach_point(&mut self, ap: &AttachPoint) {
        self.enter(ap.span, "attach point", |v| {
            for part in std::iter::once(&ap.provider).chain(&ap.parts) {
                v.enter(part.span, "part", |v| {
                    part.pieces.iter().for_each(|piece| v.enter(piece.span, "piece", |_| {}));
                });
            }
        });
    }

    fn visit_block(&mut self, block: &Block) {
        self.enter(block.span, "block", |v| walk_block(v, block));
    }

    fn visit_stmt(&mut self, stmt: &Stmt) {
        self.errors += usize::from(matches!(stmt.kind, StmtKind::Error));
        self.enter(stmt.span, "statement", |v| walk_stmt(v, stmt));
    }

    fn visit_expr(&mut self, expr: &Expr) {
        self.errors += usize::from(matches!(expr.kind, ExprKind::Error));
        self.enter(expr.span, "expression", |v| walk_expr(v, expr));
    }

    fn visit_type(&mut self, ty: &TypeExpr) {
        self.errors += usize::from(matches!(ty.kind, TypeExprKind::Error));
        self.enter(ty.span, "type", |v| walk_type(v, ty));
    }
}

/// A text cut up into tokens, to be dropped, doubled and swapped.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let token = next_token(text, at);
        if token.kind == TokenKind::Eof {
            return out;
        }
        out.push(text[at as usize..token.end as usize].to_owned());
        at = token.end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_sequence_of_tokens(words in proptest::collection::vec(prop::sample::select(WORDS), 0..60)) {
        check(&words.join(" "))?;
        check(&format!("BEGIN {{ {} }}", words.join(" ")))?;
    }

    #[test]
    fn mutated_scripts(
        which in 0..VALID.len(),
        edits in proptest::collection::vec((0..3u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..5),
    ) {
        let mut words = tokens(VALID[which]);
        for (edit, a, b) in edits {
            if words.is_empty() {
                break;
            }
            let (a, b) = (a.index(words.len()), b.index(words.len()));
            match edit {
                0 => drop(words.remove(a)),
                1 => words.insert(a, words[b].clone()),
                _ => words.swap(a, b),
            }
        }
        check(&words.concat())?;
    }

    #[test]
    fn truncated_scripts(which in 0..VALID.len(), end in any::<prop::sample::Index>()) {
        let text = VALID[which];
        check(&text[..end.index(text.len())])?;
    }
}

#[test]
fn the_scripts_to_mutate_are_valid() {
    for text in VALID {
        assert_eq!(super::messages(text), "", "in: {text}");
        check(text).expect(text);
    }
}

/// Texts that nest or chain thousands of times must neither exhaust the stack nor take
/// longer than their length explains.
#[test]
fn depth_and_length_are_bounded() {
    let n = 2_000;
    for unit in [
        "(",
        "[",
        "{",
        "-",
        "!",
        "1+",
        "1?",
        "1?:",
        "f(",
        "@a[",
        "(uint8)",
        "if 1 {",
        "if 1 {} else ",
        "$x.",
        "$x[0]",
        "$x.y",
        "a->",
        "comptime ",
        "sizeof(",
        "typeof(",
        "uint8*",
        "(a=",
        "(1,",
        "struct a ",
        "}",
        ";",
        "\"",
        "$",
        "#\n",
        "/",
        "1;",
        "{}",
        "let $x : a",
        "for $x : ",
        "while ",
        "a:b,",
        "a:",
        "/*",
        "//",
        "\n",
        "_=",
        "@",
        "\nBEGIN{",
        "import ",
        "macro m(",
        "\nmacro ",
        "config={",
        "\nk:",
        "(a[",
        "(a*",
        "0x",
        "ä",
    ] {
        let chain = unit.repeat(n);
        for text in [
            chain.clone(),
            format!("BEGIN {{ {chain}"),
            format!("BEGIN {{ $x = {chain} }}"),
            format!("k:f / {chain} / {{ }}"),
        ] {
            check(&text).unwrap_or_else(|error| panic!("{unit}: {error}"));
        }
    }
}
