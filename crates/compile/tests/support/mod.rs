//! What the tests that run programs share: made-up programs, and the ways to run them.

pub mod generate;
pub mod run;
