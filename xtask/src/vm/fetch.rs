//! A kernel from Debian's archive into the cache, ready to boot.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::kernels::{self, Cached, Kernel};
use crate::debian;
use crate::error::{Context, Result, message};
use crate::process;

/// The kernel, fetched if it is not there yet. Waits while another process fetches the same one.
pub fn fetch(kernel: Kernel) -> Result<Cached> {
    let cache = kernels::cache();
    fs::create_dir_all(&cache).context(|| format!("create {}", cache.display()))?;
    let lock = cache.join(format!(".lock-{}", kernel.series));
    let lock = File::create(&lock).context(|| format!("create {}", lock.display()))?;
    lock.lock().context(|| "lock the kernel cache".to_owned())?;
    if let Some(cached) = kernel.cached() {
        return Ok(cached);
    }
    eprintln!("xtask: fetching kernel {}", kernel.series);
    let unpacked =
        tempfile::tempdir_in(&cache).context(|| format!("make a directory in {}", cache.display()))?;
    let packages = unpack(kernel, unpacked.path())?;
    install(kernel, unpacked.path(), &packages)?;
    kernel.cached().ok_or_else(|| message(format!("kernel {} did not arrive", kernel.series)))
}

/// Unpacks the packages of the first suite that has the series.
fn unpack(kernel: Kernel, into: &Path) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for suite in kernel.suites {
        match debian::unpack_newest(
            suite,
            |name| kernel.is_package(name),
            |name| kernel.companions(name),
            into,
        ) {
            Ok(Some(packages)) => return Ok(packages),
            Ok(None) => failures.push(format!("{suite} has no such package")),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(message(format!("kernel {} could not be fetched: {}", kernel.series, failures.join("; "))))
}

/// Lays the unpacked packages out as [`Cached`] wants them.
fn install(kernel: Kernel, unpacked: &Path, packages: &[String]) -> Result<()> {
    let directory = kernel.directory();
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .filter_map(|place| fs::read_dir(unpacked.join(place)).ok()?.next()?.ok())
        .map(|entry| entry.path())
        .next()
        .ok_or_else(|| message(format!("{} hold no modules", packages.join(" "))))?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let compressed = existing([unpacked.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")])
        .ok_or_else(|| message(format!("{} hold no kernel image", packages.join(" "))))?;

    if directory.exists() {
        fs::remove_dir_all(&directory).context(|| format!("clear {}", directory.display()))?;
    }
    let home = directory.join("modules/lib/modules");
    fs::create_dir_all(&home).context(|| format!("create {}", home.display()))?;
    if !unpack_image(&compressed, &directory.join("vmlinux"))? {
        copy(&compressed, &directory.join("vmlinuz"))?;
    }
    if let Some(config) = existing([unpacked.join(format!("boot/config-{release}")), modules.join("config")])
    {
        copy(&config, &directory.join("config"))?;
    }
    // Both directories are in the cache, so this is one file system.
    let place = home.join(&release);
    fs::rename(&modules, &place).context(|| format!("move the modules to {}", place.display()))?;
    process::capture(
        Command::new(debian::path_of("depmod")?).arg("-b").arg(directory.join("modules")).arg(&release),
    )?;
    for (name, text) in [("release", release), ("packages", packages.join(" ")), ("ok", String::new())] {
        fs::write(directory.join(name), text + "\n").context(|| format!("write {name}"))?;
    }
    Ok(())
}

/// Unpacks the kernel proper from a bzImage. A guest that is handed the plain ELF image need not run the
/// decompressor, which is slow where every instruction is translated. Says whether that was possible.
///
/// The payload's place is in the setup header (the kernel's Documentation/arch/x86/boot.rst): the number of
/// setup sectors at 0x1f1, the payload's offset behind them at 0x248 and its length at 0x24c. Its last four
/// bytes are the unpacked size.
fn unpack_image(compressed: &Path, plain: &Path) -> Result<bool> {
    let image = fs::read(compressed).context(|| format!("read {}", compressed.display()))?;
    let Some((program, payload)) = payload(&image) else { return Ok(false) };
    let output = File::create(plain).context(|| format!("create {}", plain.display()))?;
    let mut child = Command::new(program)
        .args(["-d", "-c", "-q"])
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .context(|| format!("run {program}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A decompressor may stop before the padding behind the stream: then the pipe is closed early.
        let _ = input.write_all(payload);
    }
    child.wait().context(|| format!("wait for {program}"))?;
    let mut magic = [0; 4];
    let read = File::open(plain).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    if read.is_ok() && magic == *b"\x7fELF" {
        return Ok(true);
    }
    fs::remove_file(plain).context(|| format!("remove {}", plain.display()))?;
    Ok(false)
}

fn payload(image: &[u8]) -> Option<(&'static str, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + word(0x248)?;
    let payload = image.get(start..start.checked_add(word(0x24c)?)?.checked_sub(4)?)?;
    let program = match payload.get(..4)? {
        [0x02, 0x21, 0x4c, 0x18] => "lz4",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
        [0xfd, 0x37, 0x7a, 0x58] => "xz",
        [0x1f, 0x8b, ..] => "gzip",
        _ => return None,
    };
    Some((program, payload))
}

fn existing<const N: usize>(candidates: [PathBuf; N]) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.exists())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).context(|| format!("copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_by_the_setup_header() {
        let mut image = vec![0; 0x300];
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&8u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&10u32.to_le_bytes());
        image.resize(1024 + 8, 0);
        image.extend([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 9, 9, 9, 9]);
        assert_eq!(payload(&image), Some(("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 1, 2][..])));
        image[0x24c] = 0xff;
        assert_eq!(payload(&image), None);
        assert_eq!(payload(b"MZ"), None);
    }
}
