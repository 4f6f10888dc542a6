//! Text to tree. Nothing here fails: whatever the text, there is a tree and a list of what is
//! wrong with it.

pub mod ast;
