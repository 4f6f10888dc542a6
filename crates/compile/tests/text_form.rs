//! The text form of the IR: what is written reads back as the same, and no text makes the reader panic.

mod support;

use proptest::prelude::*;
use skep_compile::ir::{Module, verify};
use support::scripts;

/// Pieces that get a reader further than random letters do.
const PIECES: &[&str] = &[
    "func",
    " ",
    "\n",
    "{",
    "}",
    "block0",
    "block1",
    ":",
    "v0",
    "v1",
    "v4294967295",
    "int",
    "ptr",
    "ctx",
    "=",
    "const",
    "-",
    "1",
    "-9223372036854775808",
    "object",
    "o0",
    "\"",
    "\\u{",
    "size",
    "align",
    "8",
    "[",
    "]",
    "+",
    "load.u32",
    "store.64",
    "zext.9",
    "br",
    "eq",
    ",",
    "jump",
    "return",
    "call",
    "(",
    ")",
    "map",
    "m0",
    "user",
    "hash",
    "key",
    "value",
    "entries",
    "init",
    "0g",
    "é",
    ";",
    "copy",
    "zero",
    "mark",
    "runtime",
    "asked 1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = text.parse::<Module>();
    }

    #[test]
    fn any_pieces_are_read_or_refused(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|at| PIECES[at]).collect();
        let _ = format!("func a {{\nblock0:\n{text}").parse::<Module>();
        if let Ok(module) = text.parse::<Module>() {
            // The verifier may complain, but copes with anything.
            let _ = verify::verify_module(&module);
        }
    }

    #[test]
    fn made_up_functions_read_back(choices in proptest::collection::vec(any::<u16>(), 0..300)) {
        let func = support::generate::func(&choices);
        let mut module = Module { funcs: vec![func], maps: support::generate::maps(), ..Module::default() };
        same_again(&module);
        skep_compile::optimise(&mut module);
        same_again(&module);
    }
}

#[test]
fn scripts_read_back() {
    for (name, text) in scripts::all() {
        let (program, _) = scripts::front(&name, &text);
        let mut module = skep_compile::lower(&program).unwrap_or_else(|error| panic!("{name}: {error}"));
        module.events.clear();
        same_again(&module);
        skep_compile::optimise(&mut module);
        same_again(&module);
    }
}

fn same_again(module: &Module) {
    let text = module.to_string();
    let read: Module = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(read.to_string(), text);
    assert_eq!(verify::verify_module(&read), Vec::<String>::new());
}
