//! Text to tree. Nothing here fails: whatever the text, there is a tree and a list of what is
//! wrong with it.

pub mod ast;
pub mod lexer;
pub(crate) mod literal;
mod parser;
pub mod print;
pub mod visit;
pub mod visit_mut;

#[cfg(test)]
pub(crate) use parser::is_builtin_value;
pub use parser::{MAX_HEIGHT, MAX_NESTING, Parse, parse, parse_attach_point, parse_expression, parse_script};

#[cfg(test)]
mod tests;
