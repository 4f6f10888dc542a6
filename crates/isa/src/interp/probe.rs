//! Helpers that read memory the program has no right to touch: they fail with an errno instead of a fault.

use super::{Fault, Memory, RegionKind};

const EFAULT: i64 = -14;

/// Which addresses a probe read reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    /// Anything but user memory.
    Kernel,
    /// User memory only.
    User,
    /// Both, as the oldest helpers do.
    Any,
}

impl Space {
    fn reaches(self, addr: u64, memory: &Memory) -> bool {
        let user = memory.object(addr).is_some_and(|(kind, ..)| kind == RegionKind::User);
        match self {
            Self::Kernel => !user,
            Self::User => user,
            Self::Any => true,
        }
    }
}

/// `bpf_probe_read_*(to, size, from)`: on failure the buffer is zeroed and -EFAULT returned.
pub(super) fn read(space: Space, to: u64, size: u64, from: u64, memory: &mut Memory) -> Result<u64, Fault> {
    let size = size_arg(size)?;
    let bytes = if size == 0 {
        Some(Vec::new())
    } else if space.reaches(from, memory) {
        tolerant(memory.read(from, size))?.map(<[u8]>::to_vec)
    } else {
        None
    };
    deliver(bytes, 0, to, size, memory)
}

/// `bpf_probe_read_*_str(to, size, from)`: copies up to and including the NUL, cuts long strings and ends
/// them with one. Returns the length with the NUL. Bytes of the buffer beyond the NUL keep what they held.
pub(super) fn read_str(
    space: Space,
    to: u64,
    size: u64,
    from: u64,
    memory: &mut Memory,
) -> Result<u64, Fault> {
    let size = size_arg(size)?;
    if size == 0 {
        return Ok(0);
    }
    let mut string = Some(Vec::new());
    while let Some(bytes) = &mut string {
        let at = from.wrapping_add(bytes.len() as u64);
        let byte = if space.reaches(at, memory) { tolerant(memory.read(at, 1))? } else { None };
        match byte.and_then(<[u8]>::first).copied() {
            None => string = None,
            // The last byte is read as well, although a NUL takes its place.
            Some(byte) => {
                let last = byte == 0 || bytes.len() == size - 1;
                bytes.push(if last { 0 } else { byte });
                if last {
                    break;
                }
            }
        }
    }
    let len = string.as_ref().map_or(0, Vec::len) as u64;
    deliver(string, len, to, size, memory)
}

/// `bpf_probe_write_user(to, from, size)`.
pub(super) fn write_user(to: u64, from: u64, size: u64, memory: &mut Memory) -> Result<u64, Fault> {
    let bytes = memory.read_arg(from, size_arg(size)?)?.to_vec();
    let done = Space::User.reaches(to, memory) && memory.write(to, &bytes).is_ok();
    Ok(if done { 0 } else { EFAULT as u64 })
}

/// A size argument as a length. The verifier demands a bound; this one is its own for a single variable.
pub(super) fn size_arg(size: u64) -> Result<usize, Fault> {
    let bounded = usize::try_from(size).ok().filter(|size| *size < 1 << 29);
    bounded.ok_or(Fault::BadArgument("a size of half a gigabyte or more"))
}

/// Writes what was read to the buffer of `size` bytes, which must be the program's in whole.
fn deliver(
    bytes: Option<Vec<u8>>,
    result: u64,
    to: u64,
    size: usize,
    memory: &mut Memory,
) -> Result<u64, Fault> {
    if size == 0 {
        return Ok(0);
    }
    memory.check_write(to, size)?;
    match bytes {
        Some(bytes) => {
            memory.write_arg(to, &bytes)?;
            Ok(result)
        }
        None => {
            memory.write_arg(to, &vec![0; size])?;
            Ok(EFAULT as u64)
        }
    }
}

/// A read that may fail as reads of bad addresses do. Bytes that hold nothing are still a fault: what the
/// program would get is chance.
fn tolerant(read: Result<&[u8], Fault>) -> Result<Option<&[u8]>, Fault> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(fault @ Fault::UninitMemory { .. }) => Err(fault),
        Err(_) => Ok(None),
    }
}
