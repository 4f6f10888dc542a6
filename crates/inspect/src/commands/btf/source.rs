//! Where `btf dump` takes its types from.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use object::{Object as _, ObjectSection as _};
use skep_btf::{Btf, TypeId};
use skep_kernel::bpf::{self, ObjectKind};
use skep_kernel::{Errno, btf_file};

use crate::cli::{Session, Words};
use crate::collect::{self, Selector};
use crate::error::{Error, FAILED, Result};

/// Types, and those of them that were asked for.
pub(super) struct Source {
    pub(super) btf: Arc<Btf>,
    /// Empty: all.
    pub(super) roots: Vec<TypeId>,
}

/// What the first words name; types are read only when all words have been understood.
pub(super) enum Named {
    Id(u32),
    Files(Vec<OsString>),
}

/// The most files that can be put together.
const MOST_FILES: usize = 64;

/// The exit status of wrong arguments behind the source.
pub(super) const EINVAL: u8 = 234;

impl Named {
    /// Takes `id N`, `prog PROG`, `map MAP [WHAT]` or `file FILE ...`, with the types that a map asks for.
    pub(super) fn take(words: &mut Words<'_>) -> Result<(Self, Vec<TypeId>)> {
        words.need(2).map_err(Error::misused)?;
        let word = words.peek().ok_or(Error::Usage)?;
        if words.take("map") {
            words.need(2).map_err(Error::misused)?;
            let mut fds = Selector::take(ObjectKind::Map, words)?.open(ObjectKind::Map)?;
            let (Some(fd), true) = (fds.pop(), fds.is_empty()) else {
                return Err(Error::Message("several maps match this handle".to_owned()));
            };
            let info =
                bpf::map_info(fd.as_fd()).map_err(|error| Error::kernel("can't get map info", &error))?;
            let (key, value) = (TypeId(info.btf_key_type_id), TypeId(info.btf_value_type_id));
            let roots = if words.take("key") {
                vec![key]
            } else if words.take("value") {
                vec![value]
            } else if words.take("all") {
                Vec::new()
            } else {
                words.take("kv");
                vec![key, value]
            };
            return Ok((Self::Id(info.btf_id), roots));
        }
        if words.take("prog") {
            words.need(2).map_err(|_| Error::Usage)?;
            let mut fds = Selector::take(ObjectKind::Prog, words)?.open(ObjectKind::Prog)?;
            let (Some(fd), true) = (fds.pop(), fds.is_empty()) else {
                return Err(Error::Message("several programs match this handle".to_owned()));
            };
            let info =
                bpf::prog_info(fd.as_fd()).map_err(|error| Error::kernel("can't get prog info", &error))?;
            return Ok((Self::Id(info.btf_id), Vec::new()));
        }
        if words.take("id") {
            let text = words.next().ok_or(Error::Usage)?.to_string_lossy();
            let id = collect::parse_id(&text)
                .ok_or_else(|| Error::Message(format!("can't parse {text} as ID")))?;
            return Ok((Self::Id(id), Vec::new()));
        }
        if words.take("file") {
            let mut files = vec![words.next().ok_or(Error::Usage)?.clone()];
            while words.take("file") {
                let needed = |error: Error| Error::Status(error.to_string(), EINVAL);
                words.need(1).map_err(needed)?;
                files.push(words.next().ok_or(Error::Usage)?.clone());
                if files.len() > MOST_FILES {
                    return Err(Error::Status(format!("only {MOST_FILES} files are supported"), EINVAL));
                }
            }
            return Ok((Self::Files(files), Vec::new()));
        }
        let word = word.to_string_lossy();
        Err(Error::Message(format!("unrecognized BTF source specifier: '{word}'")))
    }

    /// Reads the types.
    pub(super) fn read(self, session: &mut Session<'_>) -> Result<Arc<Btf>> {
        let base = session.options.base_btf.as_deref().map(|path| read_file(path, None)).transpose()?;
        match self {
            Self::Id(id) => by_id(session, id, base),
            Self::Files(files) => from_files(session, &files, base),
        }
    }
}

fn by_id(session: &mut Session<'_>, id: u32, base: Option<Arc<Btf>>) -> Result<Arc<Btf>> {
    let refused = |error: skep_kernel::Error| Error::kernel_status(&format!("get btf by id ({id})"), &error);
    let fd = bpf::get_fd_by_id(ObjectKind::Btf, id, 0).map_err(refused)?;
    let head = bpf::btf_head(fd.as_fd()).map_err(refused)?;
    let is_module = head.kernel && head.name != "vmlinux";
    if head.kernel && !is_module && base.is_none() {
        return kernel();
    }
    let base = match base {
        None if is_module => {
            session.note(&format!(
                "Warning: valid base BTF was not specified with -B option, falling back to standard base BTF ({})",
                btf_file::vmlinux_path().display()
            ))?;
            Some(kernel()?)
        }
        base => base,
    };
    let info = bpf::btf_info(fd.as_fd()).map_err(refused)?;
    parse(info.data, base).map_err(|error| wrong(&format!("BTF {id}"), &error))
}

fn from_files(session: &mut Session<'_>, files: &[OsString], base: Option<Arc<Btf>>) -> Result<Arc<Btf>> {
    let is_kernel = |path: &Path| btf_file::is_below_sysfs(path);
    let base = match base {
        // What the kernel shows of modules continues its own types.
        None if files.iter().any(|file| is_kernel(Path::new(file))) => Some(kernel()?),
        base => base,
    };
    let mut parts = Vec::new();
    for file in files {
        let path = Path::new(file);
        if session.options.base_btf.is_none() && path == btf_file::vmlinux_path() {
            session.note(&format!("skipping {} (will be loaded as base)", path.display()))?;
            continue;
        }
        parts.push(read_file(path, base.clone())?);
    }
    match (parts.len(), base) {
        (0, Some(base)) => Ok(base),
        (1, _) => parts.pop().ok_or(Error::Usage),
        (_, base) => skep_btf::merge(&parts, base)
            .map(Arc::new)
            .map_err(|error| Error::Status(format!("cannot put the files together: {error}"), FAILED)),
    }
}

fn kernel() -> Result<Arc<Btf>> {
    collect::kernel_btf().ok_or_else(|| {
        let text = "the kernel does not tell its types (CONFIG_DEBUG_INFO_BTF, or /sys is not mounted)";
        Error::Message(text.to_owned())
    })
}

/// Types from a file: BTF as it is, or the section of an ELF object.
pub(super) fn read_file(path: &Path, base: Option<Arc<Btf>>) -> Result<Arc<Btf>> {
    let shown = path.display();
    let refused =
        |error: skep_kernel::Error| Error::kernel_status(&format!("failed to load BTF from {shown}"), &error);
    let bytes = std::fs::read(path).map_err(|error| refused(skep_kernel::Error::file(path, error)))?;
    let missing =
        || refused(skep_kernel::Error::file(path, Errno::ENOENT).with_hint("it has no section .BTF"));
    let (bytes, own_base) = if bytes.starts_with(b"\x7fELF") {
        let elf = object::File::parse(bytes.as_slice())
            .map_err(|error| Error::Message(format!("failed to load BTF from {shown}: {error}")))?;
        let section = |name| {
            let data = elf.section_by_name(name).and_then(|section| section.uncompressed_data().ok());
            data.map(|data| data.into_owned())
        };
        (section(".BTF").ok_or_else(missing)?, section(".BTF.base"))
    } else {
        (bytes, None)
    };
    let base = match own_base {
        // A module can carry the part of the kernel's types that it was built with.
        Some(bytes) if base.is_none() => {
            Some(parse(bytes, None).map_err(|error| wrong(&shown.to_string(), &error))?)
        }
        _ => base,
    };
    parse(bytes, base).map_err(|error| wrong(&shown.to_string(), &error))
}

fn parse(bytes: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Arc<Btf>, skep_btf::Error> {
    let parsed = match base {
        Some(base) => Btf::parse_split(bytes, base),
        None => Btf::parse(bytes),
    };
    parsed.map(Arc::new)
}

fn wrong(what: &str, error: &skep_btf::Error) -> Error {
    Error::Status(format!("failed to load BTF from {what}: {error}"), EINVAL)
}
