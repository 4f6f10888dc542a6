//! Programs and libraries: ELF files, also within archives, and what their tables say.
//!
//! Everything is read in place from the mapped file when it is asked for; nothing is kept.

mod archive;
mod debug_file;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, SymbolKind, SymbolSection, elf,
};
use skep_kernel::MappedFile;

pub use debug_file::DebugPath;

use crate::error::{Error, Result};

/// An ELF file of this machine's class: 64 bits.
#[derive(Clone, Debug)]
pub struct Elf {
    path: PathBuf,
    file: Arc<MappedFile>,
    /// Where in the file it is: all of it, unless it lies in an archive.
    range: Range<usize>,
    /// What is loaded of it.
    segments: Arc<[Segment]>,
}

/// A part of a file that is loaded.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// First address, as the program is linked.
    address: u64,
    /// Where it is in the file.
    offset: u64,
    /// Bytes in the file.
    size: u64,
    executable: bool,
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As the symbol table has it: mangled.
    pub name: String,
    /// Address as the program is linked.
    pub address: u64,
    /// Bytes; 0 when the table does not say.
    pub size: u64,
}

type Parsed<'a> = ElfFile64<'a, Endianness>;

impl Elf {
    /// Opens a program, a library, or `ARCHIVE!/MEMBER`, a member of a zip archive that is stored uncompressed.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no ELF file of 64 bits, or is not stored as it is in its archive.
    pub fn open(path: &Path) -> Result<Elf> {
        let (file, range) = match archive::split(path) {
            Some((container, member)) => {
                let file = MappedFile::open(container)?;
                let range = archive::member(&file, member).map_err(|what| Error::file(path, what))?;
                (file, range)
            }
            None => {
                let file = MappedFile::open(path)?;
                let range = 0..file.len();
                (file, range)
            }
        };
        let mut elf = Elf { path: path.to_path_buf(), file: Arc::new(file), range, segments: Arc::default() };
        elf.segments = elf.read_segments()?;
        Ok(elf)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the kernel knows it by: the archive of a member.
    pub fn container(&self) -> &Path {
        archive::split(&self.path).map_or(&self.path, |(container, _)| container)
    }

    /// What tells it from other files of its path: its build id, or else a checksum of all its bytes.
    pub fn identity(&self) -> String {
        let parsed = self.parse().ok();
        let build_id = parsed.as_ref().and_then(|parsed| parsed.build_id().ok().flatten());
        match build_id {
            Some(id) => id.iter().map(|byte| format!("{byte:02x}")).collect(),
            None => format!("crc32:{:08x}", rawzip::crc32(self.bytes())),
        }
    }

    /// Where in [`Elf::container`] the byte is that is executed at an address, if there is one.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.loaded(address).map(|(offset, _)| offset + self.range.start as u64)
    }

    /// The address that the byte at an offset of [`Elf::container`] is linked for, if it is loaded.
    pub fn address(&self, file_offset: u64) -> Option<u64> {
        let offset = file_offset.checked_sub(self.range.start as u64)?;
        self.segments.iter().find_map(|segment| {
            let within = offset.checked_sub(segment.offset).filter(|within| *within < segment.size)?;
            segment.address.checked_add(within)
        })
    }

    /// The separate debug file that belongs to it, if there is one.
    pub fn debug_file(&self, debug: &DebugPath) -> Option<Elf> {
        debug_file::find(self, debug)
    }

    /// What the addresses of code are more than its offsets in the file, for code in a part of the file.
    pub fn linked_at(&self, offsets: Range<u64>) -> Option<u64> {
        let mut executable = self.segments.iter().filter(|segment| segment.executable);
        let segment = executable.find(|segment| {
            segment.offset < offsets.end && offsets.start < segment.offset.saturating_add(segment.size)
        })?;
        Some(segment.address.wrapping_sub(segment.offset))
    }

    /// The code from an address on, at most `len` bytes, as far as the file holds it.
    pub fn code(&self, address: u64, len: u64) -> &[u8] {
        let Some((offset, left)) = self.loaded(address) else { return &[] };
        let end = offset.saturating_add(len.min(left));
        usize::try_from(offset)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(from, to)| self.bytes().get(from..to))
            .unwrap_or_default()
    }

    /// The functions of all symbol tables: its own, that of its dynamic linkage and, where its own was stripped,
    /// that of its separate debug file. Sorted by name and address, none twice.
    pub fn functions(&self, debug: &DebugPath) -> Result<Vec<Function>> {
        let mut all = self.own_functions(|_| true)?;
        if let Some(debug) = self.symbol_file(debug)? {
            all.extend(debug.own_functions(|_| true)?);
        }
        all.sort_by(|a, b| (&a.name, a.address, b.size).cmp(&(&b.name, b.address, a.size)));
        all.dedup_by(|a, b| a.name == b.name && a.address == b.address);
        Ok(all)
    }

    /// The functions of one name.
    pub fn functions_named(&self, name: &str, debug: &DebugPath) -> Result<Vec<Function>> {
        let mut found = self.own_functions(|symbol| symbol == name.as_bytes())?;
        if found.is_empty()
            && let Some(debug) = self.symbol_file(debug)?
        {
            found = debug.own_functions(|symbol| symbol == name.as_bytes())?;
        }
        found.sort_by_key(|function| function.address);
        found.dedup_by_key(|function| function.address);
        Ok(found)
    }

    /// The function that an address lies in.
    pub fn function_at(&self, address: u64, debug: &DebugPath) -> Result<Option<Function>> {
        let mut functions = self.functions(debug)?;
        functions.retain(|function| {
            function.address == address
                || (function.address..function.address + function.size).contains(&address)
        });
        functions.sort_by_key(|function| std::cmp::Reverse(function.size));
        Ok(functions.into_iter().next())
    }

    /// Address and size of a function or variable; `None` if there is none of this name.
    pub fn symbol(&self, name: &str, debug: &DebugPath) -> Result<Option<(u64, u64)>> {
        let find = |elf: &Elf| -> Result<Option<(u64, u64)>> {
            let parsed = elf.parse()?;
            let found = parsed.symbols().chain(parsed.dynamic_symbols()).find(|symbol| {
                let variable =
                    matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
                variable && symbol.is_definition() && symbol.name_bytes() == Ok(name.as_bytes())
            });
            Ok(found.map(|symbol| (symbol.address(), symbol.size())))
        };
        match (find(self)?, self.symbol_file(debug)?) {
            (None, Some(file)) => find(&file),
            (found, _) => Ok(found),
        }
    }

    /// Whether it always runs at the addresses it is linked for.
    pub fn is_fixed(&self) -> bool {
        self.parse().is_ok_and(|parsed| parsed.kind() == object::ObjectKind::Executable)
    }

    /// Where the symbol table is: here (then there is no other file), or in the separate debug file.
    fn symbol_file(&self, debug: &DebugPath) -> Result<Option<Elf>> {
        let has_own = self.parse()?.symbol_table().is_some();
        Ok(if has_own { None } else { debug_file::find(self, debug) })
    }

    /// Where the debugging information is: here, or in the separate debug file.
    pub(crate) fn with_debug_info(&self, debug: &DebugPath) -> Result<Option<Elf>> {
        let has_own =
            |elf: &Elf| elf.parse().is_ok_and(|parsed| parsed.section_by_name(".debug_info").is_some());
        if has_own(self) {
            return Ok(Some(self.clone()));
        }
        Ok(debug_file::find(self, debug).filter(has_own))
    }

    /// A section's contents, decompressed; empty if there is no such section.
    pub(crate) fn section(&self, name: &str) -> Result<Contents> {
        let parsed = self.parse()?;
        let Some(section) = parsed.section_by_name(name) else { return Ok(Contents::Owned(Arc::default())) };
        let failed = |error| Error::file(&self.path, format!("section {name}: {error}"));
        let data = match section.uncompressed_data().map_err(failed)? {
            std::borrow::Cow::Owned(data) => return Ok(Contents::Owned(data.into())),
            std::borrow::Cow::Borrowed(data) => data,
        };
        // Where the slice lies in the mapped file, so that it can be kept without borrowing.
        let start = data.as_ptr().addr() - self.file.as_ptr().addr();
        Ok(Contents::Mapped(Arc::clone(&self.file), start..start + data.len()))
    }

    /// A section's address and contents.
    pub(crate) fn section_with_address(&self, name: &str) -> Result<Option<(u64, &[u8])>> {
        let parsed = self.parse()?;
        let Some(section) = parsed.section_by_name(name) else { return Ok(None) };
        let data =
            section.data().map_err(|error| Error::file(&self.path, format!("section {name}: {error}")))?;
        Ok(Some((section.address(), data)))
    }

    pub(crate) fn parse(&self) -> Result<Parsed<'_>> {
        Parsed::parse(self.bytes()).map_err(|error| Error::file(&self.path, error))
    }

    fn bytes(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }

    fn own_functions(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<Function>> {
        let parsed = self.parse()?;
        let mut found = Vec::new();
        for table in [parsed.symbol_table(), parsed.dynamic_symbol_table()].into_iter().flatten() {
            for symbol in table.symbols() {
                if symbol.kind() != SymbolKind::Text
                    || matches!(symbol.section(), SymbolSection::Undefined | SymbolSection::Absolute)
                {
                    continue;
                }
                let Ok(name) = symbol.name_bytes() else { continue };
                if !name.is_empty() && wanted(name) {
                    found.push(Function {
                        name: String::from_utf8_lossy(name).into_owned(),
                        address: symbol.address(),
                        size: symbol.size(),
                    });
                }
            }
        }
        Ok(found)
    }

    fn read_segments(&self) -> Result<Arc<[Segment]>> {
        let parsed = self.parse()?;
        let endian = parsed.endian();
        let headers = parsed
            .elf_header()
            .program_headers(endian, self.bytes())
            .map_err(|error| Error::file(&self.path, error))?;
        let loaded = headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
        Ok(loaded
            .map(|header| Segment {
                address: header.p_vaddr(endian),
                offset: header.p_offset(endian),
                size: header.p_filesz(endian),
                executable: header.p_flags(endian).0 & elf::PF_X.0 != 0,
            })
            .collect())
    }

    /// Where in the ELF file an address is loaded from, and how many bytes there are from there on. Executable
    /// segments go first: others may overlap them at their edges.
    fn loaded(&self, address: u64) -> Option<(u64, u64)> {
        let at = |executable: bool| {
            self.segments.iter().find_map(|segment| {
                let into = address.checked_sub(segment.address)?;
                let fits = segment.executable == executable && into < segment.size;
                fits.then(|| (segment.offset.saturating_add(into), segment.size - into))
            })
        };
        at(true).or_else(|| at(false))
    }
}

/// The contents of a section, which do not borrow from the file they are of.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// Part of a mapped file.
    Mapped(Arc<MappedFile>, Range<usize>),
    /// Decompressed.
    Owned(Arc<[u8]>),
}

impl Default for Contents {
    fn default() -> Self {
        Contents::Owned(Arc::default())
    }
}

impl std::ops::Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contents::Mapped(file, range) => file.get(range.clone()).unwrap_or_default(),
            Contents::Owned(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test program is an ELF file with symbols.
    fn this_program() -> Elf {
        Elf::open(&std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn functions_are_found_by_name_and_by_address() {
        let elf = this_program();
        let debug = DebugPath::default();
        let main = elf.functions_named("main", &debug).unwrap().remove(0);
        assert!(main.size > 0);
        let at = elf.function_at(main.address + 1, &debug).unwrap().unwrap();
        assert_eq!(at.address, main.address);
        assert!(elf.functions(&debug).unwrap().contains(&main));
        assert!(elf.functions_named("no such function", &debug).unwrap().is_empty());
    }

    #[test]
    fn code_is_read_from_where_an_address_is_loaded() {
        let elf = this_program();
        let main = elf.functions_named("main", &DebugPath::default()).unwrap().remove(0);
        let offset = elf.file_offset(main.address).unwrap() as usize;
        let bytes = std::fs::read(elf.path()).unwrap();
        assert_eq!(elf.code(main.address, 16), &bytes[offset..offset + 16]);
        assert_eq!(elf.file_offset(u64::MAX), None);
        assert!(elf.code(u64::MAX, 16).is_empty());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
        assert!(Elf::open(file.path()).is_err());
        assert!(Elf::open(Path::new("/no such file")).is_err());
    }
}
