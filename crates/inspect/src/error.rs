//! What can go wrong in a command, how it is told, and the exit status it leads to.

use std::io;

use skep_kernel::{Errno, config};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A sentence for the user.
    #[error("{0}")]
    Message(String),
    /// A sentence for the user with an exit status of its own.
    #[error("{0}")]
    Status(String, u8),
    /// The kernel refused something.
    #[error("{}", .0.text)]
    Refused(Box<Refusal>),
    /// The words are no command: the usage of the object says what would be.
    #[error("wrong usage")]
    Usage,
    /// The same, and what is wrong with them.
    #[error("{0}")]
    Misused(String),
    /// Nothing has the given name or tag: an exit status and no words.
    #[error("nothing matches")]
    NoMatch,
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// What the kernel refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The first line, in the words of the original: what failed, and the C library's words for the reason.
    pub(crate) text: String,
    /// The name of the errno.
    pub(crate) errno: Option<&'static str>,
    /// What can be done about it.
    pub(crate) hint: Option<String>,
    status: u8,
}

impl Error {
    /// The error's sentence, with the usage behind it.
    pub(crate) fn misused(self) -> Self {
        Self::Misused(self.to_string())
    }

    /// The exit status, 255 unless the error has its own.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Status(_, status) => *status,
            Self::Refused(refusal) => refusal.status,
            _ => FAILED,
        }
    }

    /// A sentence that ends with what the kernel said, in the words of the C library.
    pub(crate) fn kernel(what: &str, error: &skep_kernel::Error) -> Self {
        Self::refusal(format!("{what}: {}", reason(error)), error, FAILED)
    }

    /// The same, with the errno as the exit status.
    pub(crate) fn kernel_status(what: &str, error: &skep_kernel::Error) -> Self {
        Self::refusal(format!("{what}: {}", reason(error)), error, status_of(error))
    }

    /// A sentence of its own about something that the kernel refused.
    pub(crate) fn refusal(text: String, error: &skep_kernel::Error, status: u8) -> Self {
        let errno = error.errno();
        Self::Refused(Box::new(Refusal {
            text,
            errno: errno.and_then(Errno::name),
            hint: hint(error),
            status,
        }))
    }
}

/// The C library's words for what the kernel said.
pub(crate) fn reason(error: &skep_kernel::Error) -> String {
    error.errno().map_or_else(|| error.to_string(), Errno::meaning)
}

/// The exit status that an errno makes: its negative value in eight bits.
pub(crate) fn status_of(error: &skep_kernel::Error) -> u8 {
    error.errno().map_or(FAILED, |errno| errno.0.wrapping_neg() as u8)
}

fn hint(error: &skep_kernel::Error) -> Option<String> {
    const EPERM: &str = "EPERM";
    if error.errno().and_then(Errno::name) == Some(EPERM)
        && let Some(mode) = config::lockdown()
    {
        return Some(format!("kernel lockdown is on ({mode}); see /sys/kernel/security/lockdown"));
    }
    match error {
        skep_kernel::Error::Call { hint, .. } | skep_kernel::Error::File { hint, .. } => {
            hint.map(str::to_owned)
        }
        _ => None,
    }
}

/// The exit status of everything that fails without a status of its own.
pub(crate) const FAILED: u8 = 255;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
