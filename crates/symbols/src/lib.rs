//! Addresses to names and names to addresses.
//!
//! - symbols and addresses of the kernel, its modules and its BPF programs ([`Symbols`]);
//! - symbols of programs and libraries: ELF tables, separate debug files, DWARF ([`elf`], [`dwarf`]);
//! - which files are meant by a name, a wildcard or a process ([`find`]);
//! - the mappings of processes, to name the addresses of their stacks, also when they are gone ([`Symbols`]);
//! - USDT notes ([`usdt`]);
//! - how to get from functions to their callers ([`unwind`]).

pub mod demangle;
pub mod dwarf;
pub mod elf;
mod error;
mod files;
pub mod find;
mod frame;
mod instructions;
mod kernel;
mod process;
mod symbolize;
pub mod unwind;
pub mod usdt;

pub use error::{Error, Result};
pub use frame::{Frame, Source};
pub use instructions::begins_instruction;
pub use symbolize::{Options, Symbols};
