//! The modules of the kernel that are loaded.

use std::path::Path;

use crate::{Error, Result};

/// Their names, in the kernel's order. A kernel without modules has none.
pub fn loaded() -> Result<Vec<String>> {
    let path = Path::new("/proc/modules");
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(names(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::file(path, error)),
    }
}

fn names(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_begins_each_line() {
        let text = "ext4 983040 1 - Live 0xffffffffc0400000\nmbcache 16384 1 ext4, Live 0x0 (E)\n";
        assert_eq!(super::names(text), ["ext4", "mbcache"]);
    }
}
