//! What can go wrong, said with the name of the call, the errno by name and meaning, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the kernel interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A system call was refused.
    #[error("{call}: {errno}{}", hint_suffix(.hint))]
    Call {
        /// The call, with the object it was about where that is known, e.g. `bpf(BPF_MAP_CREATE)`.
        call: String,
        /// Why the kernel refused.
        errno: Errno,
        /// What the user can do about it, where that is known.
        hint: Option<&'static str>,
    },
    /// A file could not be read or opened.
    #[error("{}: {errno}{}", .path.display(), hint_suffix(.hint))]
    File {
        /// The file.
        path: PathBuf,
        /// Why the kernel refused.
        errno: Errno,
        /// What the user can do about it, where that is known.
        hint: Option<&'static str>,
    },
    /// A kernel text had another form than its documentation says.
    #[error("cannot understand {what}: {text:?}")]
    Format {
        /// Which text.
        what: &'static str,
        /// The line or word that does not fit.
        text: String,
    },
    /// An argument that this crate can refuse without asking the kernel.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// A refused call without a hint.
    pub fn call(call: impl Into<String>, errno: impl Into<Errno>) -> Self {
        Self::Call { call: call.into(), errno: errno.into(), hint: None }
    }

    /// A file that could not be used.
    pub fn file(path: &Path, errno: impl Into<Errno>) -> Self {
        let errno = errno.into();
        let hint = match errno.0 {
            libc::EACCES | libc::EPERM => Some("run as root"),
            _ => None,
        };
        Self::File { path: path.to_path_buf(), errno, hint }
    }

    /// The same error with a hint, unless it has one already.
    #[must_use]
    pub fn with_hint(mut self, text: &'static str) -> Self {
        if let Self::Call { hint, .. } | Self::File { hint, .. } = &mut self {
            hint.get_or_insert(text);
        }
        self
    }

    /// The errno behind this error, where a call or a file failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. } | Self::File { errno, .. } => Some(*errno),
            Self::Format { .. } | Self::Invalid(_) => None,
        }
    }
}

fn hint_suffix(hint: &Option<&'static str>) -> String {
    hint.map(|h| format!("\n  hint: {h}")).unwrap_or_default()
}

/// An errno value; prints as `EPERM (Operation not permitted)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// There is no such thing.
    pub const ENOENT: Self = Self(libc::ENOENT);
    /// There is such a thing already.
    pub const EEXIST: Self = Self(libc::EEXIST);
    /// Memory is short, or a limit on it is reached.
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    /// The kernel does not know a command, a flag or a type, or the verifier refuses a program.
    pub const EINVAL: Self = Self(libc::EINVAL);
    /// A place in code is inside of an instruction.
    pub const EILSEQ: Self = Self(libc::EILSEQ);
    /// A buffer is too small for one unit of what was asked for.
    pub const ENOSPC: Self = Self(libc::ENOSPC);
    /// The object does not support the operation.
    pub const EOPNOTSUPP: Self = Self(libc::EOPNOTSUPP);
    /// The same, from paths of the kernel that should not let this value out.
    pub const ENOTSUPP: Self = Self(ENOTSUPP);

    /// The errno of the last failed libc call of this thread.
    pub fn last() -> Self {
        std::io::Error::last_os_error().into()
    }

    /// The name of the value, e.g. `ENOENT`; `None` for a value that has no name here.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(value, _)| *value == self.0).map(|(_, name)| *name)
    }

    /// The value of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(value, _)| Self(*value))
    }

    /// The C library's sentence for the value, e.g. `No such file or directory`.
    pub fn meaning(self) -> String {
        // `ENOTSUPP` leaks out of the kernel although it is meant to stay inside, so libc has no text for it.
        if self.0 == ENOTSUPP {
            return "Unknown error 524".to_owned();
        }
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        match text.rfind(" (os error") {
            Some(end) => text[..end].to_owned(),
            None => text,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.meaning()),
            None => write!(f, "errno {} ({})", self.0, self.meaning()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().map_or_else(|| self.0.to_string(), str::to_owned))
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(match error.kind() {
            std::io::ErrorKind::InvalidInput => libc::EINVAL,
            _ => libc::EIO,
        }))
    }
}

/// The kernel-internal "operation not supported", which some bpf(2) paths return.
pub(crate) const ENOTSUPP: i32 = 524;

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name)),)* (ENOTSUPP, "ENOTSUPP")] };
}

/// All values of Linux.
const NAMES: &[(i32, &str)] = names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM
    ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG
    EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG
    EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC
    ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE
    ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN
    ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT
    ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL
    EHWPOISON
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_prints_name_and_meaning() {
        assert_eq!(Errno(libc::EPERM).to_string(), "EPERM (Operation not permitted)");
        assert_eq!(Errno(ENOTSUPP).to_string(), "ENOTSUPP (Unknown error 524)");
        assert_eq!(Errno(4000).name(), None);
    }

    #[test]
    fn hint_stands_on_a_line_of_its_own() {
        let error = Error::call("bpf(BPF_PROG_LOAD)", Errno(libc::EPERM)).with_hint("run as root");
        assert_eq!(
            error.to_string(),
            "bpf(BPF_PROG_LOAD): EPERM (Operation not permitted)\n  hint: run as root"
        );
    }
}
