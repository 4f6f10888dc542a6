//! DWARF: what a compiler wrote down about a program for debuggers.
//!
//! [`DebugInfo`] answers two questions: at which addresses a line of source is ([`lines`](self)), and which types
//! there are, those of functions and where they find their parameters among them. Units that were split off into
//! files of their own (`.dwo`, `.dwp`) and parts shared between files (`.gnu_debugaltlink`) are followed.

mod convert;
mod lines;
mod params;
mod types;

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gimli::{DwarfPackageSections, DwarfSections, EndianSlice, LittleEndian, Section, SectionId, UnitRef};
use object::Object;

pub use lines::Line;
pub use params::Place;
pub use types::{FunctionTypes, Types};

use crate::elf::{Contents, DebugPath, Elf};
use crate::error::{Error, Result};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;

/// The debugging information of a program.
#[derive(Debug)]
pub struct DebugInfo {
    /// The program's own path, for messages and for what lies beside it.
    path: PathBuf,
    sections: DwarfSections<Contents>,
    /// What several files share.
    shared: Option<DwarfSections<Contents>>,
    /// All split units in one file.
    package: Option<DwarfPackageSections<Contents>>,
}

impl DebugInfo {
    /// Finds the debugging information of a program, its own or that in a separate file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// It is there and damaged.
    pub fn open(elf: &Elf, debug: &DebugPath) -> Result<Option<DebugInfo>> {
        let Some(file) = elf.with_debug_info(debug)? else { return Ok(None) };
        let mut package = elf.path().as_os_str().to_owned();
        package.push(".dwp");
        let package = match Elf::open(Path::new(&package)) {
            Ok(package) => DwarfPackageSections::load(|id| split_section(&package, id)).ok(),
            Err(_) => None,
        };
        Ok(Some(DebugInfo {
            path: elf.path().to_path_buf(),
            sections: DwarfSections::load(|id| file.section(id.name()))?,
            shared: shared(&file)?,
            package,
        }))
    }

    /// Bytes of the tree of entries, a measure of how long it takes to read them all.
    pub fn size(&self) -> usize {
        self.dwarf().debug_info.reader().slice().len()
    }

    fn dwarf(&self) -> Dwarf<'_> {
        self.sections.borrow_with_sup(self.shared.as_ref(), |section| EndianSlice::new(section, LittleEndian))
    }

    fn broken(&self, error: gimli::Error) -> Error {
        Error::file(&self.path, format!("DWARF: {error}"))
    }

    /// Shows the units of the file itself until the visitor has seen enough.
    fn visit<B>(
        &self,
        mut visitor: impl FnMut(UnitRef<'_, Slice<'_>>) -> gimli::Result<ControlFlow<B>>,
    ) -> Result<Option<B>> {
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next().map_err(|error| self.broken(error))? {
            // A unit that is damaged, or of a version to come, keeps nobody from reading the others.
            match dwarf.unit(header).and_then(|unit| visitor(unit.unit_ref(&dwarf))) {
                Ok(ControlFlow::Break(found)) => return Ok(Some(found)),
                Ok(ControlFlow::Continue(())) => {}
                Err(error) => tracing::debug!("{}: a unit of DWARF: {error}", self.path.display()),
            }
        }
        Ok(None)
    }

    /// As [`DebugInfo::visit`], with what was split off in place of what stayed, as far as it is found.
    fn visit_whole<B>(
        &self,
        mut visitor: impl FnMut(UnitRef<'_, Slice<'_>>) -> gimli::Result<ControlFlow<B>>,
    ) -> Result<Option<B>> {
        self.visit(|unit| self.split(unit, &mut visitor).unwrap_or_else(|| visitor(unit)))
    }

    /// Shows what was split off from a unit; `None` if nothing was, or it is not found.
    fn split<B>(
        &self,
        skeleton: UnitRef<'_, Slice<'_>>,
        visitor: &mut impl FnMut(UnitRef<'_, Slice<'_>>) -> gimli::Result<ControlFlow<B>>,
    ) -> Option<gimli::Result<ControlFlow<B>>> {
        let id = skeleton.dwo_id?;
        let name = skeleton.dwo_name().ok()??;
        let name = skeleton.attr_string(name).ok()?;
        let mut show = |dwarf: &Dwarf<'_>| {
            let header = dwarf.units().next().ok()??;
            let mut unit = dwarf.unit(header).ok()?;
            unit.copy_relocated_attributes(skeleton.unit);
            Some(visitor(unit.unit_ref(dwarf)))
        };
        if let Some(package) = &self.package {
            let empty = EndianSlice::new(&[], LittleEndian);
            let package = package.borrow(|section| EndianSlice::new(section, LittleEndian), empty).ok()?;
            return show(&package.find_cu(id, skeleton.dwarf).ok()??);
        }
        let name = Path::new(std::ffi::OsStr::from_bytes(name.slice()));
        let directory =
            skeleton.comp_dir.map(|directory| Path::new(std::ffi::OsStr::from_bytes(directory.slice())));
        let built = directory.unwrap_or(Path::new("")).join(name);
        let beside = self.path.parent().unwrap_or(Path::new("")).join(name.file_name()?);
        let file = Elf::open(&built).or_else(|_| Elf::open(&beside)).ok()?;
        let sections: DwarfSections<Contents> = DwarfSections::load(|id| split_section(&file, id)).ok()?;
        let mut dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
        dwarf.make_dwo(skeleton.dwarf);
        show(&dwarf)
    }
}

/// A section of a file of split units; some sections are never split off. What cannot be read is as if it were not
/// there.
fn split_section(file: &Elf, id: SectionId) -> gimli::Result<Contents> {
    Ok(id.dwo_name().and_then(|name| file.section(name).ok()).unwrap_or_default())
}

/// The file that holds what several debug files share, if this one refers to one.
fn shared(file: &Elf) -> Result<Option<DwarfSections<Contents>>> {
    let parsed = file.parse()?;
    let Some((name, _)) = parsed.gnu_debugaltlink().ok().flatten() else { return Ok(None) };
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let path = file.path().parent().unwrap_or(Path::new("")).join(name);
    let Ok(shared) = Elf::open(&path) else { return Ok(None) };
    DwarfSections::load(|id| shared.section(id.name())).map(Some)
}
