//! Separate debug files in directories that the user names (`--debuginfo`), or beside the program in `.debug`.

use std::path::Path;

use crate::elf::{DebugPath, Elf};

/// A program and its debug file.
pub struct SeparateFile {
    program: Elf,
    debug: Elf,
}

impl SeparateFile {
    /// The debug file of a program; `None` if there is none.
    pub fn of(program: &Path, path: &DebugPath) -> Option<SeparateFile> {
        let program = Elf::open(program).ok()?;
        let debug = program.debug_file(path)?;
        Some(SeparateFile { program, debug })
    }

    /// Where the debug file is.
    pub fn path(&self) -> &Path {
        self.debug.path()
    }

    /// The address that the program's bytes at an offset are linked for.
    pub fn address(&self, offset: u64) -> Option<u64> {
        self.program.address(offset)
    }
}
