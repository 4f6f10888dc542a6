//! Scripts that carry skep with them: an executable that runs one script, without compiling it, also on other
//! machines.
//!
//! Such a file is skep's own executable, behind it the compiled script, and at the end a trailer by which the
//! executable finds the script when it is started:
//!
//! ```text
//! skep | Bundle in postcard's format | magic, 8 bytes | version, u32 | CRC-32 of the bundle, u32 | its length, u64
//! ```
//!
//! All numbers are little-endian. What is behind an executable does not matter to the kernel.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use skep_compile::artifact::Artifact;
use skep_kernel::proc;
use skep_ui::SourceMap;

use crate::error::{Error, Result};

/// A compiled script and what is needed to run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// The programs, maps and layouts.
    pub artifact: Artifact,
    /// The script's text, for messages.
    pub sources: SourceMap,
}

const MAGIC: [u8; 8] = *b"skep-aot";
/// Of the trailer and of what is in front of it. The bundle's own shape cannot differ: its reader stands before it.
const VERSION: u32 = 1;

/// The end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trailer {
    version: u32,
    checksum: u32,
    length: u64,
}

impl Trailer {
    const SIZE: usize = 24;

    fn encode(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[16..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// `None` if these are the last bytes of any other file.
    fn decode(bytes: &[u8; Self::SIZE]) -> Option<Trailer> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (checksum, length) = rest.split_first_chunk()?;
        (*magic == MAGIC).then_some(Trailer {
            version: u32::from_le_bytes(*version),
            checksum: u32::from_le_bytes(*checksum),
            length: u64::from_le_bytes(*length.first_chunk()?),
        })
    }
}

/// Writes an executable that runs a script.
///
/// # Errors
///
/// This process's own executable cannot be read, or the file not be written.
pub fn write(path: &Path, bundle: &Bundle) -> Result<()> {
    let bytes = postcard::to_stdvec(bundle)
        .map_err(|error| Error::Usage(format!("the compiled script cannot be stored: {error}")))?;
    let trailer = Trailer { version: VERSION, checksum: crc32fast::hash(&bytes), length: bytes.len() as u64 };
    let mut own = proc::own_executable().map_err(Error::kernel("cannot read skep's own executable"))?;
    let failed = |error: io::Error| Error::Usage(format!("failed to write '{}': {error}", path.display()));
    // It may be such a file already: then its script stays behind.
    let (end, before) = trailer_of(&own).map_err(failed)?;
    let program = before.map_or(end, |before| end.saturating_sub(before.length + Trailer::SIZE as u64));
    own.seek(SeekFrom::Start(0)).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    io::copy(&mut own.take(program), &mut file).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.write_all(&trailer.encode())).map_err(failed)?;
    file.as_file().set_permissions(Permissions::from_mode(0o755)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The script that this process's own executable carries, if it carries one.
///
/// # Errors
///
/// It is damaged, or of another version.
pub fn carried() -> Result<Option<Bundle>> {
    // An executable that cannot be read carries nothing that could be told.
    let Ok(own) = proc::own_executable() else { return Ok(None) };
    read(&own)
}

fn read(file: &File) -> Result<Option<Bundle>> {
    let damaged = |what: &str| {
        Error::Usage(format!("the script in this executable is damaged ({what}): make it anew with --aot"))
    };
    let Ok((end, Some(trailer))) = trailer_of(file) else { return Ok(None) };
    if trailer.version != VERSION {
        return Err(damaged("it is of another version"));
    }
    let start = end.checked_sub(Trailer::SIZE as u64).and_then(|end| end.checked_sub(trailer.length));
    let start = start.ok_or_else(|| damaged("it is cut short"))?;
    // It is no longer than the file, so there is memory for it.
    let mut bytes = vec![0; usize::try_from(trailer.length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, start).map_err(|error| damaged(&error.to_string()))?;
    if crc32fast::hash(&bytes) != trailer.checksum {
        return Err(damaged("its checksum is wrong"));
    }
    postcard::from_bytes(&bytes).map(Some).map_err(|error| damaged(&error.to_string()))
}

/// The length of a file, and its trailer if it has one.
fn trailer_of(file: &File) -> io::Result<(u64, Option<Trailer>)> {
    let end = file.metadata()?.len();
    let Some(at) = end.checked_sub(Trailer::SIZE as u64) else { return Ok((end, None)) };
    let mut bytes = [0; Trailer::SIZE];
    file.read_exact_at(&mut bytes, at)?;
    Ok((end, Trailer::decode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_lang::sema::testing::Fixture;

    fn bundle(text: &str) -> Bundle {
        let mut sources = SourceMap::new();
        let file = sources.add("stdin", text);
        let options = crate::CompileOptions { portable: true, ..crate::CompileOptions::default() };
        let compiled = crate::compile(&mut sources, file, &options, &Fixture::default());
        Bundle { artifact: compiled.unwrap().artifact, sources }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script");
        let written = bundle("BEGIN { @a[$1, \"x\"] = hist(nsecs); printf(\"%-5s|%d\\n\", comm, pid); }");
        write(&path, &written).unwrap();
        let read = read(&File::open(&path).unwrap()).unwrap().unwrap();
        assert_eq!(format!("{:?}", read.artifact.programs), format!("{:?}", written.artifact.programs));
        assert_eq!(read.artifact.maps, written.artifact.maps);
        assert_eq!(read.artifact.events, written.artifact.events);
        assert_eq!(read.artifact.portable, written.artifact.portable);
        let types = |bundle: &Bundle| {
            let map = &bundle.artifact.maps[0];
            let skep_compile::artifact::MapRole::User { key, value } = map.role else { panic!() };
            (bundle.artifact.types.name(key), bundle.artifact.types.name(value))
        };
        assert_eq!(types(&read), types(&written));
    }

    #[test]
    fn other_files_carry_nothing_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script");
        std::fs::write(&path, "short").unwrap();
        assert!(read(&File::open(&path).unwrap()).unwrap().is_none());
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(read(&File::open(&path).unwrap()).unwrap().is_none());
        write(&path, &bundle("BEGIN { exit(); }")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let problem = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&File::open(&path).unwrap()).unwrap_err().to_string()
        };
        let mut flipped = whole.clone();
        let at = whole.len() - Trailer::SIZE - 3;
        flipped[at] ^= 1;
        assert!(problem(&flipped).contains("checksum"));
        let end = &whole[whole.len() - Trailer::SIZE..];
        assert!(problem(end).contains("cut short"));
    }
}
