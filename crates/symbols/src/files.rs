//! The functions in ELF files: their own symbols, those of separate debug files, and DWARF.
//!
//! blazesym does the reading. Here it is decided which file that is: a process may have mapped one that was deleted
//! or replaced since, or that lies in another mount namespace, and may be gone itself when its stack is named. So
//! files of processes that a stack was taken of are held open, once for each file.

mod mini_debug_info;
mod separate;

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use blazesym::symbolize::source::{Elf, Source as Origin};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};
use rustc_hash::FxHashMap;
use skep_kernel::maps::{self, FileId, Mapping};

use self::mini_debug_info::MiniDebugInfo;
use self::separate::SeparateFile;
use crate::elf::DebugPath;
use crate::{Frame, Options, Source};

/// The files that processes have mapped.
pub struct Files {
    symbolizer: Symbolizer,
    debug_info: bool,
    debug_path: DebugPath,
    known: FxHashMap<(FileId, Rc<Path>), Rc<MappedFile>>,
    /// The code that the kernel maps into every process.
    vdso: OnceCell<Option<Rc<MappedFile>>>,
}

/// A file that can be read at any time from now on.
struct MappedFile {
    /// As the process sees it.
    shown: Rc<Path>,
    /// Under which we can open it.
    path: PathBuf,
    /// What keeps `path` valid.
    _held: Option<File>,
    mini: OnceCell<Option<MiniDebugInfo>>,
    /// A debug file that blazesym does not look for.
    separate: OnceCell<Option<SeparateFile>>,
}

impl Files {
    /// No file is open yet.
    pub fn new(options: &Options) -> Files {
        let symbolizer = Symbolizer::builder()
            .enable_code_info(options.debug_info)
            .enable_inlined_fns(options.debug_info)
            .enable_demangling(options.demangle)
            .build();
        Files {
            symbolizer,
            debug_info: options.debug_info,
            debug_path: options.debug_path.clone(),
            known: FxHashMap::default(),
            vdso: OnceCell::new(),
        }
    }

    /// Makes sure that the file of a mapping can be read later, even if the process ends.
    pub fn hold(&mut self, pid: u32, mapping: &Mapping) {
        let key = (mapping.file, Rc::from(mapping.path.as_path()));
        self.known.entry(key).or_insert_with_key(|(_, path)| Rc::new(MappedFile::open(pid, mapping, path)));
    }

    /// What is at an address of a process that lies in a mapping: the innermost function first, all but the last
    /// one inlined. `looked_up` is the address that is asked for, `address` the one that offsets are of.
    pub fn frames(&mut self, pid: u32, mapping: &Mapping, address: u64, looked_up: u64) -> Vec<Frame> {
        let file = if mapping.is_of_file() {
            self.hold(pid, mapping);
            self.known.get(&(mapping.file, Rc::from(mapping.path.as_path()))).map(Rc::clone)
        } else if mapping.path == Path::new("[vdso]") {
            self.vdso.get_or_init(MappedFile::vdso).clone()
        } else {
            None
        };
        let Some(file) = file else { return Vec::new() };
        let offset = looked_up.wrapping_sub(mapping.range.start).wrapping_add(mapping.offset);
        let mut frames = self.symbols(&file, offset);
        for frame in &mut frames {
            frame.module = Some(Rc::clone(&file.shown));
        }
        if let Some(last) = frames.last_mut() {
            last.offset = last.offset.wrapping_add(address.wrapping_sub(looked_up));
        }
        frames
    }

    fn symbols(&self, file: &MappedFile, offset: u64) -> Vec<Frame> {
        let own = self.ask(&file.path, false, Input::FileOffset(offset));
        let with_debug_file = || self.ask(&file.path, true, Input::FileOffset(offset));
        let found = match own {
            Some(own) if self.debug_info => match with_debug_file() {
                // Debug files know functions by names of their own, as `__GI_getppid`; what others call is in the
                // file.
                Some(found) if found.addr == own.addr => Some(Sym { name: own.name, ..found }),
                Some(found) => Some(found),
                None => Some(own),
            },
            Some(own) => Some(own),
            None => with_debug_file(),
        };
        let mini = file.mini.get_or_init(|| MiniDebugInfo::of(&file.path));
        let found = match mini.as_ref().and_then(|mini| Some((mini, mini.address(offset)?))) {
            None => found,
            Some((mini, address)) => {
                let local = self.ask(mini.path(), false, Input::VirtOffset(address));
                // The two have different functions; that which begins last before the address is the right one.
                match (found, local) {
                    (Some(found), Some(local)) if local.addr <= found.addr => Some(found),
                    (found, local) => local.or(found),
                }
            }
        };
        let found = found.or_else(|| {
            let separate =
                file.separate.get_or_init(|| SeparateFile::of(&file.path, &self.debug_path)).as_ref()?;
            self.ask(separate.path(), true, Input::VirtOffset(separate.address(offset)?))
        });
        found.map(|sym| frames_of(&sym)).unwrap_or_default()
    }

    fn ask(&self, path: &Path, debug_syms: bool, input: Input<u64>) -> Option<Sym<'_>> {
        let mut elf = Elf::new(path);
        elf.debug_syms = debug_syms;
        match self.symbolizer.symbolize_single(&Origin::Elf(elf), input) {
            Ok(Symbolized::Sym(sym)) => Some(sym),
            Ok(Symbolized::Unknown(reason)) => {
                tracing::debug!("{} {input:?}: {reason}", path.display());
                None
            }
            // A debug file that does not fit or is broken: the file's own symbols are better than none.
            Err(error) if debug_syms => {
                tracing::debug!("{}: {error}", path.display());
                self.ask(path, false, input)
            }
            Err(error) => {
                tracing::debug!("{}: {error}", path.display());
                None
            }
        }
    }
}

impl MappedFile {
    fn open(pid: u32, mapping: &Mapping, shown: &Rc<Path>) -> MappedFile {
        let held = maps::open(pid, mapping).inspect_err(|error| tracing::debug!("{error}")).ok();
        // By its own path a file is found together with the debug file that may lie beside it.
        let path = match &held {
            Some(file) if !maps::is_same_file(&mapping.path, file) => maps::path_of_descriptor(file),
            _ => mapping.path.clone(),
        };
        MappedFile {
            shown: Rc::clone(shown),
            path,
            _held: held,
            mini: OnceCell::new(),
            separate: OnceCell::new(),
        }
    }

    fn vdso() -> Option<Rc<MappedFile>> {
        let image = maps::vdso().inspect_err(|error| tracing::debug!("{error}")).ok()??;
        let file = File::from(maps::memory_file("vdso", &image).ok()?);
        Some(Rc::new(MappedFile {
            shown: Rc::from(Path::new("[vdso]")),
            path: maps::path_of_descriptor(&file),
            _held: Some(file),
            mini: OnceCell::new(),
            separate: OnceCell::new(),
        }))
    }
}

/// The innermost function first.
fn frames_of(sym: &Sym<'_>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = sym
        .inlined
        .iter()
        .rev()
        .map(|inlined| Frame {
            name: Some(inlined.name.as_ref().into()),
            source: inlined.code_info.as_ref().and_then(source),
            inlined: true,
            ..Frame::default()
        })
        .collect();
    frames.push(Frame {
        name: Some(sym.name.as_ref().into()),
        offset: sym.offset as u64,
        source: sym.code_info.as_deref().and_then(source),
        ..Frame::default()
    });
    frames
}

fn source(info: &CodeInfo<'_>) -> Option<Source> {
    Some(Source { path: info.to_path().to_string_lossy().into(), line: info.line? })
}
