//! What every parse must hold to, and snapshots of trees and messages.

mod errors;
mod properties;
mod trees;

use skep_ui::{Colors, Diagnostics, SourceMap};

use super::ast::Script;
use super::{Parse, parse};

/// Parses under the name that `-e` gives a script.
fn parse_text(text: &str) -> (SourceMap, Parse<Script>) {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", text);
    let parse = parse(file, text);
    (sources, parse)
}

/// The printed diagnostics.
fn messages(text: &str) -> String {
    let (sources, parse) = parse_text(text);
    Diagnostics::from(parse.diagnostics).render(&sources, Colors::Never)
}
