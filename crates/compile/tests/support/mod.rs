//! What the tests that run programs share: made-up programs, and the ways to run them.

#![allow(dead_code, reason = "each test uses the part of this that it needs")]

pub mod differential;
pub mod generate;
pub mod kernel;
pub mod language;
pub mod run;
pub mod scripts;
