//! Script text to a typed, resolved program.

pub mod syntax;
