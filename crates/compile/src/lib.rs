//! Typed program to SSA to BPF bytecode: an [`artifact::Artifact`].
//!
//! The road, top to bottom: `lower` (HIR to IR), `ir` (what it is, its verifier,
//! text form and interpreter), `passes` (optimisation), `backend` (frame layout,
//! selection, register allocation, emission).

pub mod artifact;
pub mod backend;
pub mod elf;
mod error;
pub mod ir;
mod lower;
pub mod passes;
pub mod session;
pub mod unwind;

pub use error::Error;
pub use lower::{lower, lower_in_parts};
pub use passes::optimise;
