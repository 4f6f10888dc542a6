//! What the host and process 1 of the guest tell each other, as files in the control directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result, message};

/// The word on the kernel's command line before the control directory's path on the host.
pub const CONTROL: &str = "skep.control=";
/// The tag of the share that is the host's root directory.
pub const SHARE: &str = "hostroot";
/// The names of the ports that the command's output leaves through.
pub const PORTS: [&str; 2] = ["out", "err"];
/// Written by the host before the guest starts: [`Orders`].
pub const ORDERS: &str = "orders.json";
/// Written by the guest after the command has ended: [`Report`].
pub const REPORT: &str = "report.json";

/// What the guest is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The guest's name.
    pub hostname: String,
    /// The host's directory with this kernel's modules.
    pub modules: PathBuf,
    /// Host directories in which the guest's writes are kept.
    pub writable: Vec<PathBuf>,
    /// Modules to load before the command.
    pub load: Vec<String>,
    /// Whether the network device is to be set up.
    pub network: bool,
    /// Variables for the command, beside a small fixed set.
    pub environment: Vec<(String, String)>,
    /// Where the command starts.
    pub directory: PathBuf,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// The command's exit status, as a shell gives it.
    pub status: u8,
    /// Bytes that went into each port; the host waits until it has them all.
    pub written: [u64; 2],
    /// Seconds from the guest's start to the command's.
    pub started: f64,
}

/// Reads one of the files.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| message(format!("{}: {error}", path.display())))
}

/// Writes one of the files; it appears whole or not at all.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|error| message(format!("{}: {error}", path.display())))?;
    let new = path.with_extension("new");
    std::fs::write(&new, text).context(|| format!("write {}", new.display()))?;
    std::fs::rename(&new, path).context(|| format!("rename {}", new.display()))
}
