//! What can go wrong in a chore, each with what was being done.

use std::io;

/// The error of every chore.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call or a file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, as in "read /proc/cmdline".
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended unsuccessfully.
    #[error("`{command}` failed ({status}){output}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote, behind a line end; empty if it was shown already.
        output: String,
    },
    /// Anything else, in a sentence.
    #[error("{0}")]
    Message(String),
}

/// A chore's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was being done when a system call failed.
pub trait Context<T> {
    /// Attaches `what` to the error.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io { what: what(), source: error.into() })
    }
}

/// An [`Error::Message`].
pub fn message(text: impl Into<String>) -> Error {
    Error::Message(text.into())
}
