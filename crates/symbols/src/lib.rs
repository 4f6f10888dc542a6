//! Addresses to names and names to addresses.
//!
//! - symbols and addresses of the kernel, its modules and its BPF programs;
//! - symbols of programs and libraries: ELF tables, separate debug files, DWARF ([`elf`], [`dwarf`]);
//! - which files are meant by a name, a wildcard or a process ([`find`]);
//! - the mappings of processes, to name the addresses of their stacks;
//! - USDT notes ([`usdt`]).

pub mod demangle;
pub mod dwarf;
pub mod elf;
mod error;
pub mod find;
mod instructions;
pub mod usdt;

pub use error::{Error, Result};
pub use instructions::begins_instruction;
