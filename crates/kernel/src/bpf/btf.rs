//! BTF objects inside the kernel: loaded, listed, read back.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::{self, Plain};
use super::prog::LoadError;
use super::types::Cmd;
use super::{address, address_mut, field_text, gate, info::fill, len32, owned, raw};
use crate::{Errno, Result};

/// Loads type data for maps and programs to refer to.
///
/// # Errors
///
/// `EINVAL` with the kernel's log if the data does not verify.
pub fn btf_load(data: &[u8]) -> Result<OwnedFd, LoadError> {
    let mut log = Vec::new();
    let first = load_once(data, &mut log);
    let errno = match first {
        Ok(fd) => return Ok(fd),
        Err(errno) => errno,
    };
    log.resize(LOG, 0);
    match load_once(data, &mut log) {
        Ok(fd) => Ok(fd),
        // A log that overflows is better than none, and the first errno is the cause.
        Err(_) => Err(LoadError { errno, log: field_text(&log) }),
    }
}

const LOG: usize = 1 << 20;

fn load_once(data: &[u8], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let too_long = |_| Errno(libc::E2BIG);
    let mut attr = attr::BtfLoad {
        btf: address(data),
        btf_size: len32(data.len()).map_err(too_long)?,
        btf_log_buf: address_mut(log),
        btf_log_size: len32(log.len()).map_err(too_long)?,
        btf_log_level: u32::from(!log.is_empty()),
        ..Plain::zeroed()
    };
    // SAFETY: both buffers are as long as the sizes beside them say; BTF_LOAD returns a new descriptor.
    unsafe { gate(Cmd::BTF_LOAD, &mut attr).map(|ret| owned(ret)) }
}

/// What the kernel says about a BTF object, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfInfo {
    /// Its id.
    pub id: u32,
    /// `vmlinux` or a module's name; empty for objects loaded by programs, and before Linux 5.11.
    pub name: String,
    /// Whether it belongs to the kernel or a module; always false before Linux 5.11.
    pub kernel: bool,
    /// The type data; for modules it continues that of vmlinux.
    pub data: Vec<u8>,
}

/// Reads a BTF object back.
pub fn btf_info(fd: BorrowedFd<'_>) -> Result<BtfInfo> {
    let mut name = vec![0u8; 128];
    let mut info = query(fd, &mut name, &mut [])?;
    let mut data = vec![0u8; info.btf_size as usize];
    if !data.is_empty() {
        info = query(fd, &mut name, &mut data)?;
    }
    data.truncate(info.btf_size as usize);
    Ok(BtfInfo { id: info.id, name: field_text(&name), kernel: info.kernel_btf != 0, data })
}

/// The id and the name of a BTF object, without its bytes.
pub fn btf_name(fd: BorrowedFd<'_>) -> Result<(u32, String)> {
    let mut name = vec![0u8; 128];
    let info = query(fd, &mut name, &mut [])?;
    Ok((info.id, field_text(&name)))
}

/// What a listing shows of a BTF object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfHead {
    /// Its id.
    pub id: u32,
    /// Bytes of its type data.
    pub size: u32,
    /// As [`BtfInfo::name`].
    pub name: String,
    /// As [`BtfInfo::kernel`].
    pub kernel: bool,
}

/// A BTF object without its bytes.
pub fn btf_head(fd: BorrowedFd<'_>) -> Result<BtfHead> {
    let mut name = vec![0u8; 128];
    let info = query(fd, &mut name, &mut [])?;
    Ok(BtfHead { id: info.id, size: info.btf_size, name: field_text(&name), kernel: info.kernel_btf != 0 })
}

fn query(fd: BorrowedFd<'_>, name: &mut [u8], data: &mut [u8]) -> Result<attr::RawBtfInfo> {
    let mut info = attr::RawBtfInfo {
        btf: address_mut(data),
        btf_size: len32(data.len())?,
        name: address_mut(name),
        name_len: len32(name.len())?,
        ..Plain::zeroed()
    };
    // SAFETY: both buffers are as long as the lengths beside them say.
    match unsafe { fill(raw(fd), &mut info) } {
        // A field that the kernel does not know must be zero, and the name's address is not.
        Err(error) if error.errno() == Some(Errno(libc::E2BIG)) => query_nameless(fd, data),
        result => result.map(|()| info),
    }
}

/// Asks a kernel before Linux 5.11.
fn query_nameless(fd: BorrowedFd<'_>, data: &mut [u8]) -> Result<attr::RawBtfInfo> {
    let mut info =
        attr::RawBtfInfoNameless { btf: address_mut(data), btf_size: len32(data.len())?, ..Plain::zeroed() };
    // SAFETY: the buffer is as long as the length beside it says.
    unsafe { fill(raw(fd), &mut info) }?;
    Ok(attr::RawBtfInfo { btf_size: info.btf_size, id: info.id, ..Plain::zeroed() })
}
