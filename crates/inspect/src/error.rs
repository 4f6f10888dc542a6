//! What can go wrong in a command, and the exit status it leads to.

use std::io;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A sentence for the user.
    #[error("{0}")]
    Message(String),
    /// A sentence for the user with an exit status of its own.
    #[error("{0}")]
    Status(String, u8),
    /// The words are no command: the usage of the object says what would be.
    #[error("wrong usage")]
    Usage,
    /// Nothing has the given name or tag: an exit status and no words.
    #[error("nothing matches")]
    NoMatch,
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The exit status, 255 unless the error has its own.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Status(_, status) => *status,
            _ => FAILED,
        }
    }

    /// A sentence that ends with what the kernel said, in the words of the C library.
    pub(crate) fn kernel(what: &str, error: &skep_kernel::Error) -> Self {
        let reason = error.errno().map_or_else(|| error.to_string(), skep_kernel::Errno::meaning);
        Self::Message(format!("{what}: {reason}"))
    }
}

/// The exit status of everything that fails without a status of its own.
pub(crate) const FAILED: u8 = 255;

pub(crate) type Result<T> = std::result::Result<T, Error>;
