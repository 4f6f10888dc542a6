//! `.gnu_debugdata`: the local functions of a stripped file, as an ELF file of their own, compressed with xz.
//!
//! Fedora and its relatives ship all programs with it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use lzma_rust2::XzReader;
use object::read::{Object, ObjectSection, ObjectSegment, ReadCache};
use skep_kernel::maps;

/// The symbols of one file, unpacked.
pub struct MiniDebugInfo {
    path: PathBuf,
    /// What keeps `path` valid.
    _held: File,
    /// The segments of the file that they are of: place in the file, length, address.
    segments: Vec<(u64, u64, u64)>,
}

/// More than any program's symbols take.
const MOST_BYTES: u64 = 256 << 20;

impl MiniDebugInfo {
    /// The symbols of a file; `None` if it has no such section, or does not need it because it is not stripped.
    pub fn of(path: &Path) -> Option<MiniDebugInfo> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let file = object::File::parse(&cache).ok()?;
        if file.section_by_name(".symtab").is_some() {
            return None;
        }
        let packed = file.section_by_name(".gnu_debugdata")?.data().ok()?;
        let mut image = Vec::new();
        let unpacked = XzReader::new(packed, true).take(MOST_BYTES).read_to_end(&mut image);
        if let Err(error) = unpacked {
            tracing::debug!("{}: .gnu_debugdata: {error}", path.display());
            return None;
        }
        let held = File::from(maps::memory_file("gnu_debugdata", &image).ok()?);
        let segments = file.segments().map(|segment| {
            let (offset, len) = segment.file_range();
            (offset, len, segment.address())
        });
        Some(MiniDebugInfo {
            path: maps::path_of_descriptor(&held),
            segments: segments.collect(),
            _held: held,
        })
    }

    /// Under which the symbols can be opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The address that the file's bytes at an offset are linked for.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let (start, _, address) = self
            .segments
            .iter()
            .find(|(start, len, _)| (*start..start.saturating_add(*len)).contains(&offset))?;
        Some(offset - start + address)
    }
}
