//! Addresses to names and names to addresses.
//!
//! - symbols and addresses of the kernel, its modules and its BPF programs;
//! - symbols of programs and libraries: ELF tables, separate debug files, DWARF;
//! - the mappings of processes, to name the addresses of their stacks;
//! - USDT notes.
