//! tracefs: the kernel's tracepoints, their ids and the layout of their records.
//!
//! Many machines do not mount tracefs. Then a mount of our own is made that is attached nowhere: only its
//! descriptor refers to it, no other process sees it, and it vanishes with the descriptor.

mod format;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::{Errno, Error, Result, mounts};

pub use format::{Field, FieldKind, TracepointFormat};

/// An open tracefs.
#[derive(Debug)]
pub struct TraceFs {
    root: OwnedFd,
    /// Where it is mounted, or the words that stand for our own mount in messages.
    path: PathBuf,
    private: bool,
}

impl AsFd for TraceFs {
    /// The root directory.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

impl TraceFs {
    /// Opens tracefs where it is mounted, else a private mount of it.
    pub fn open() -> Result<Self> {
        match Self::open_mounted()? {
            Some(mounted) => Ok(mounted),
            None => Self::open_private(),
        }
    }

    /// Opens tracefs where it is mounted; `None` if it is not, or not for this user's eyes.
    pub fn open_mounted() -> Result<Option<Self>> {
        let below_debugfs = mounts::mounted("debugfs")?.into_iter().map(|path| path.join("tracing"));
        for path in mounts::mounted("tracefs")?.into_iter().chain(below_debugfs) {
            // Mounts in the list may be hidden below others; what counts is that the events are there.
            let Ok(root) = rustix::fs::open(&path, mounts::DIRECTORY, Mode::empty()) else { continue };
            if rustix::fs::accessat(
                &root,
                "events",
                rustix::fs::Access::READ_OK,
                rustix::fs::AtFlags::empty(),
            )
            .is_ok()
            {
                return Ok(Some(Self { root, path, private: false }));
            }
        }
        Ok(None)
    }

    /// Makes a mount of tracefs that is attached nowhere (Linux 5.2, CAP_SYS_ADMIN).
    pub fn open_private() -> Result<Self> {
        let refused = |call: &str, errno: rustix::io::Errno| {
            let error = Error::call(call, errno);
            match errno {
                rustix::io::Errno::PERM => error
                    .with_hint("tracefs is not mounted and only root may mount it: mount -t tracefs nodev /sys/kernel/tracing"),
                rustix::io::Errno::NODEV => error.with_hint("this kernel is built without tracefs (CONFIG_TRACING)"),
                _ => error,
            }
        };
        let root = mounts::unattached("tracefs").map_err(|(call, errno)| refused(&call, errno))?;
        Ok(Self { root, path: PathBuf::from("tracefs:"), private: true })
    }

    /// Whether this is a mount of our own that nobody else sees.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// All tracepoints as category and name, sorted.
    pub fn events(&self) -> Result<Vec<(String, String)>> {
        let text = self.read("available_events")?;
        let mut events: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().split_once(':'))
            .map(|(category, name)| (category.to_owned(), name.to_owned()))
            .collect();
        events.sort_unstable();
        events.dedup();
        Ok(events)
    }

    /// The categories of tracepoints, sorted.
    pub fn categories(&self) -> Result<Vec<String>> {
        let mut categories: Vec<_> = self.events()?.into_iter().map(|(category, _)| category).collect();
        categories.dedup();
        Ok(categories)
    }

    /// The number by which perf_event_open(2) knows a tracepoint.
    pub fn id(&self, category: &str, name: &str) -> Result<u64> {
        let text = self.event_file(category, name, "id")?;
        text.trim().parse().map_err(|_| Error::Format { what: "a tracepoint's id", text })
    }

    /// The layout of a tracepoint's records.
    pub fn format(&self, category: &str, name: &str) -> Result<TracepointFormat> {
        TracepointFormat::parse(&self.event_file(category, name, "format")?)
    }

    /// The whole text of a file below the root, e.g. `events/sched/sched_switch/format`.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        let shown = || self.path.join(path);
        let fd = openat(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::file(&shown(), e))?;
        // The files say they are empty until they are read, so the room is a guess that fits most formats.
        let mut bytes = Vec::with_capacity(4096);
        File::from(fd).read_to_end(&mut bytes).map_err(|e| Error::file(&shown(), e))?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    fn event_file(&self, category: &str, name: &str, file: &str) -> Result<String> {
        if [category, name].iter().any(|part| part.is_empty() || part.contains('/') || part.starts_with('.'))
        {
            return Err(Error::Invalid(format!("{category}:{name} is no tracepoint name")));
        }
        self.read(format!("events/{category}/{name}/{file}")).map_err(|error| {
            if error.errno() == Some(Errno(libc::ENOENT)) {
                error.with_hint("this kernel has no such tracepoint")
            } else {
                error
            }
        })
    }
}
