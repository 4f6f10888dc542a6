//! The BPF instruction set as data: encode, decode, disassemble, helper table, test interpreter.
