//! What can go wrong on the way from names to addresses and back.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel or the file system said no.
    #[error(transparent)]
    Kernel(#[from] skep_kernel::Error),
    /// A file is not what it should be.
    #[error("{}: {what}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// Something wrong with a file.
    pub fn file(path: &Path, what: impl ToString) -> Error {
        Error::File { path: path.to_path_buf(), what: what.to_string() }
    }
}
