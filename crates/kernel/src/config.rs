//! How the running kernel was built, and its settings: /proc/config.gz, /boot/config-RELEASE, /proc/sys.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The options of the running kernel's build, by name with their values as written: `y`, `m`, `250`, `"text"`.
///
/// # Errors
///
/// `ENOENT` where the kernel neither carries its configuration (CONFIG_IKCONFIG_PROC) nor left it in /boot.
pub fn options() -> Result<HashMap<String, String>> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let in_boot = PathBuf::from(format!("/boot/config-{release}"));
    if let Ok(text) = std::fs::read_to_string(&in_boot) {
        return Ok(parse(&text));
    }
    let compressed = Path::new("/proc/config.gz");
    let file = std::fs::File::open(compressed).map_err(|e| Error::file(compressed, e))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(|e| Error::file(compressed, e))?;
    Ok(parse(&text))
}

/// Parses the text of a configuration; comments and options that are not set are left out.
pub fn parse(text: &str) -> HashMap<String, String> {
    let options = text.lines().filter(|line| line.starts_with("CONFIG_"));
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.filter_map(pair).collect()
}

/// A setting below /proc/sys that is a number, e.g. `net/core/bpf_jit_enable`; `None` where it cannot be read.
pub fn setting(name: &str) -> Option<i64> {
    std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// Whether /proc is mounted.
pub fn has_proc() -> bool {
    Path::new("/proc/self").exists()
}

/// Whether kernel lockdown is on, and how: `integrity` or `confidentiality`.
pub fn lockdown() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = text.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    (mode != "none").then(|| mode.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_set() {
        let options =
            parse("# comment\nCONFIG_BPF=y\n# CONFIG_X is not set\nCONFIG_HZ=250\nCONFIG_N=\"a=b\"\n");
        assert_eq!(options.len(), 3);
        assert_eq!(options["CONFIG_N"], "\"a=b\"");
    }
}
