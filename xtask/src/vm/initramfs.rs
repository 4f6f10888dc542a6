//! The guest's first file system: this executable as `/init`, and the modules that reach the host's files.
//! Everything that changes from run to run is in the control directory instead.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kernels::Cached;
use crate::debian;
use crate::error::{Context, Result, message};
use crate::process;

/// What must be there before the host's files and the output ports are.
const MODULES: &[&str] = &["virtio_pci", "virtio_console", "virtiofs", "overlay"];

/// Where the modules lie in the archive, named in the order of loading.
pub const MODULE_DIRECTORY: &str = "boot";

/// Directories that process 1 mounts on.
pub const MOUNT_POINTS: &[&str] = &["dev", "proc", "host", "rw", "new"];

/// Writes the archive for a kernel.
pub fn build(kernel: &Cached, archive: &Path) -> Result<()> {
    let mut entries = Vec::new();
    for directory in MOUNT_POINTS.iter().chain(&[MODULE_DIRECTORY]) {
        entries.push((entry(directory, 0o040_755), Cursor::new(Vec::new())));
    }
    // Not by its path: cargo may have replaced the file since we were started.
    let own = fs::read("/proc/self/exe").context(|| "read this executable".to_owned())?;
    entries.push((entry("init", 0o100_755), Cursor::new(own)));
    for (order, module) in modules(kernel)?.iter().enumerate() {
        entries.push((
            entry(&format!("{MODULE_DIRECTORY}/{order:02}.ko"), 0o100_644),
            Cursor::new(decompressed(module)?),
        ));
    }
    let output = File::create(archive).context(|| format!("create {}", archive.display()))?;
    cpio::write_cpio(entries.into_iter(), output).map(drop).context(|| format!("write {}", archive.display()))
}

fn entry(name: &str, mode: u32) -> cpio::NewcBuilder {
    cpio::NewcBuilder::new(name).mode(mode)
}

/// The files of the modules, each behind those it needs.
fn modules(kernel: &Cached) -> Result<Vec<PathBuf>> {
    let modprobe = debian::path_of("modprobe")?;
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for module in MODULES {
        // One line per file, "insmod PATH" or "builtin NAME".
        let list = process::capture(Command::new(&modprobe).arg("-d").arg(kernel.module_root()).args([
            "-S",
            &kernel.release,
            "--show-depends",
            module,
        ]))?;
        for path in list.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let path = PathBuf::from(path.trim());
            if seen.insert(path.clone()) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn decompressed(module: &Path) -> Result<Vec<u8>> {
    let program = match module.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return fs::read(module).context(|| format!("read {}", module.display())),
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return Err(message(format!("{} is compressed in an unknown way", module.display()))),
    };
    let output = Command::new(program)
        .args(["-d", "-c", "-q"])
        .arg(module)
        .output()
        .context(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(message(format!("{program} could not unpack {}", module.display())))
}
