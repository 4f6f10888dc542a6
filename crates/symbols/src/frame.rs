//! What is at an address.

use std::path::Path;
use std::rc::Rc;

/// A function that an address lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function; `None` if nobody knows.
    pub name: Option<Box<str>>,
    /// Bytes from the function's start.
    pub offset: u64,
    /// The file, or the kernel's module (`bpf` for programs), that holds it.
    pub module: Option<Rc<Path>>,
    /// Where in its source.
    pub source: Option<Source>,
    /// Whether its code was put into the function of the next frame, whose address this is.
    pub inlined: bool,
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As the compiler was given it, made absolute where its directory is known.
    pub path: Box<str>,
    /// Counted from 1.
    pub line: u32,
}
