//! The words that choose objects: `id N`, `tag T`, `name X`, `pinned FILE`.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use skep_kernel::bpf::{self, ObjectKind};
use skep_kernel::{Error as KernelError, bpffs, mounts};

use super::prog::full_name;
use super::{is, noun, open_all};
use crate::cli::Words;
use crate::error::{Error, Result};

/// Which objects of a kind are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The one with this id.
    Id(u32),
    /// Programs with this hash of their instructions.
    Tag([u8; 8]),
    /// Those with this name.
    Name(String),
    /// The one that is pinned here.
    Pinned(PathBuf),
}

impl Selector {
    /// Takes a selector's two words.
    pub(crate) fn take(kind: ObjectKind, words: &mut Words<'_>) -> Result<Self> {
        let keyword = words.next().ok_or(Error::Usage)?;
        let value = words.next().ok_or(Error::Usage)?;
        Self::parse(kind, keyword, value)
    }

    /// Reads a selector's two words.
    pub(crate) fn parse(kind: ObjectKind, keyword: &OsStr, value: &OsString) -> Result<Self> {
        let word = keyword.to_string_lossy();
        let text = value.to_string_lossy();
        let has_tags = kind == ObjectKind::Prog;
        // Keywords may be cut short; the first that fits is meant.
        let means = |full: &str| full.starts_with(&*word);
        if means("id") {
            return parse_id(&text).map(Self::Id).ok_or_else(|| message(format!("can't parse {text} as ID")));
        }
        if has_tags && means("tag") {
            return parse_tag(&text).map(Self::Tag).ok_or_else(|| message("can't parse tag".to_owned()));
        }
        let has_names = kind != ObjectKind::Link;
        if has_names && means("name") {
            let most = if has_tags { FULL_NAME } else { bpf::NAME_LEN - 1 };
            if text.len() > most {
                return Err(message("can't parse name".to_owned()));
            }
            return Ok(Self::Name(text.into_owned()));
        }
        if means("pinned") {
            return Ok(Self::Pinned(value.into()));
        }
        let words = match kind {
            ObjectKind::Prog => "'id', 'tag', 'name' or 'pinned'",
            ObjectKind::Link => "'id' or 'pinned'",
            ObjectKind::Map | ObjectKind::Btf => "'id', 'name' or 'pinned'",
        };
        Err(message(format!("expected {words}, got: '{word}'?")))
    }

    /// Opens the objects that are meant, at least one.
    pub(crate) fn open(&self, kind: ObjectKind) -> Result<Vec<OwnedFd>> {
        let found = match self {
            Self::Id(id) => vec![open_id(kind, *id)?],
            Self::Pinned(path) => vec![open_pin(kind, path)?],
            Self::Tag(_) | Self::Name(_) => {
                let mut found = Vec::new();
                for fd in open_all(kind) {
                    let fd = fd?;
                    if self.matches(kind, &fd)? {
                        found.push(fd);
                    }
                }
                found
            }
        };
        if found.is_empty() { Err(Error::NoMatch) } else { Ok(found) }
    }

    fn matches(&self, kind: ObjectKind, fd: &OwnedFd) -> Result<bool> {
        if kind == ObjectKind::Map {
            let info = bpf::map_info(fd.as_fd()).map_err(|e| Error::kernel("can't get map info", &e))?;
            return Ok(*self == Self::Name(info.name));
        }
        let info = bpf::prog_info(fd.as_fd()).map_err(|e| Error::kernel("can't get prog info", &e))?;
        Ok(match self {
            Self::Tag(tag) => *tag == info.tag,
            Self::Name(name) => *name == full_name(&info),
            Self::Id(_) | Self::Pinned(_) => false,
        })
    }
}

/// The longest name of a function that is looked for.
const FULL_NAME: usize = 127;

fn message(text: String) -> Error {
    Error::Message(text)
}

fn open_id(kind: ObjectKind, id: u32) -> Result<OwnedFd> {
    let flags = if kind == ObjectKind::Map { bpf::map_flags::RDONLY } else { 0 };
    bpf::get_fd_by_id(kind, id, flags).map_err(|error| {
        let what = match kind {
            ObjectKind::Map => format!("get map by id ({id})"),
            ObjectKind::Prog => format!("get by id ({id})"),
            ObjectKind::Link => format!("failed to get link with ID {id}"),
            ObjectKind::Btf => format!("can't get BTF object by id ({id})"),
        };
        let error = if is(&error, "ENOENT") { error.with_hint(none_of(kind)) } else { error };
        // Of a link the original returns the errno.
        let kernel = if kind == ObjectKind::Link { Error::kernel_status } else { Error::kernel };
        kernel(&what, &error)
    })
}

fn none_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Prog => "no program has this id; 'prog show' lists those there are",
        ObjectKind::Map => "no map has this id; 'map show' lists those there are",
        ObjectKind::Link => "no link has this id; 'link show' lists those there are",
        ObjectKind::Btf => "no BTF object has this id; 'btf show' lists those there are",
    }
}

fn open_pin(kind: ObjectKind, path: &Path) -> Result<OwnedFd> {
    let got = if kind == ObjectKind::Map { bpf::obj_get_readonly(path) } else { bpf::obj_get(path) };
    // A program or link knows no reading only, and says so before its kind can be seen.
    let got = got.or_else(|error| if is(&error, "EINVAL") { bpf::obj_get(path) } else { Err(error) });
    let fd = got.map_err(|error| not_a_pin(path, &error))?;
    match bpffs::kind_of(&fd) {
        Ok(Some(found)) if found == kind => Ok(fd),
        Ok(Some(found)) => Err(message(format!("incorrect object type: {}", noun(found)))),
        Ok(None) => Err(message("incorrect object type: unknown".to_owned())),
        Err(error) => Err(message(error.to_string())),
    }
}

fn not_a_pin(path: &Path, error: &KernelError) -> Error {
    if !is(error, "EACCES") {
        return Error::kernel(&format!("bpf obj get ({})", path.display()), error);
    }
    // The kernel refuses paths outside of a bpffs like those without permission; the directory tells them apart, and is
    // what the original names, if there is one.
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    let shown = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(path).display();
    if is_below_bpffs(directory) {
        return Error::kernel(&format!("bpf obj get ({shown})"), error);
    }
    message(format!("bpf obj get ({shown}): directory not in bpf file system (bpffs)"))
}

fn is_below_bpffs(directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    let mounts = mounts::mounts().unwrap_or_default();
    // The longest mount point above the directory is the file system it is in.
    let around = mounts.iter().filter(|mount| directory.starts_with(&mount.target));
    around.max_by_key(|mount| mount.target.as_os_str().len()).is_some_and(|mount| mount.fs_type == "bpf")
}

/// A number as strtoul(3) reads it with base 0, cut to 32 bits: decimal, `0x...` or `0...`, nothing behind it.
pub(crate) fn parse_id(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    // Too large a number is the largest.
    let number = u64::from_str_radix(digits, base).unwrap_or(u64::MAX);
    Some(if negative && number != u64::MAX { number.wrapping_neg() } else { number } as u32)
}

/// 16 hexadecimal digits; more are not looked at.
fn parse_tag(text: &str) -> Option<[u8; 8]> {
    let digits = text.get(..16)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(kind: ObjectKind, keyword: &str, value: &str) -> Result<Selector> {
        Selector::parse(kind, OsStr::new(keyword), &OsString::from(value))
    }

    #[test]
    fn ids_in_three_bases() {
        assert_eq!(parse_id("17"), Some(17));
        assert_eq!(parse_id("0x11"), Some(17));
        assert_eq!(parse_id("021"), Some(17));
        assert_eq!(parse_id("0"), Some(0));
        assert_eq!(parse_id("4294967296"), Some(0));
        assert_eq!(parse_id("99999999999999999999"), Some(u32::MAX));
        for wrong in ["", "x", "0x", "09", "1 ", "--1"] {
            assert_eq!(parse_id(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn selectors_and_their_errors() {
        let prog = |keyword, value| parse(ObjectKind::Prog, keyword, value);
        assert_eq!(prog("t", "00000000000000ff").unwrap(), Selector::Tag([0, 0, 0, 0, 0, 0, 0, 0xff]));
        assert_eq!(prog("pin", "/a").unwrap(), Selector::Pinned("/a".into()));
        assert_eq!(prog("tag", "zz").unwrap_err().to_string(), "can't parse tag");
        assert_eq!(prog("name", &"a".repeat(128)).unwrap_err().to_string(), "can't parse name");
        let link = |keyword, value| parse(ObjectKind::Link, keyword, value);
        assert_eq!(link("name", "x").unwrap_err().to_string(), "expected 'id' or 'pinned', got: 'name'?");
        let map = |keyword, value| parse(ObjectKind::Map, keyword, value);
        assert_eq!(
            map("tag", "1").unwrap_err().to_string(),
            "expected 'id', 'name' or 'pinned', got: 'tag'?"
        );
        assert_eq!(map("name", "1234567890123456").unwrap_err().to_string(), "can't parse name");
        assert_eq!(map("id", "x").unwrap_err().to_string(), "can't parse x as ID");
    }

    proptest! {
        #[test]
        fn any_words_are_survived(keyword in "\\PC*", value in "\\PC*") {
            let _ = parse(ObjectKind::Prog, &keyword, &value);
            let _ = parse(ObjectKind::Map, &keyword, &value);
            let _ = parse_id(&value);
            let _ = parse_tag(&value);
        }
    }
}
