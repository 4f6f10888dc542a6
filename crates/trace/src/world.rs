//! The running kernel, as the compiler sees it.

mod functions;
mod programs;

use std::cell::OnceCell;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;
use skep_btf::{Btf, Kind, Type};
use skep_kernel::features::{Feature, Features};
use skep_kernel::kallsyms;
use skep_kernel::tracefs::{self, TraceFs};
use skep_kernel::{btf_file, modules};
use skep_lang::world::user_space::UserSpace;
use skep_lang::world::{
    Field, FieldKind, Functions, Imported, KERNEL, SourceText, TracepointFormat, World, WorldError,
};
use skep_symbols::elf::DebugPath;

use crate::error::{Error, Result};
use crate::files::Files;
use crate::user_space::KernelUserSpace;

/// Answers from tracefs, which is opened when it is first needed; each answer is read once.
#[derive(Debug, Default)]
pub struct KernelWorld {
    tracefs: OnceCell<Rc<TraceFs>>,
    tracepoints: OnceCell<Arc<[(String, String)]>>,
    functions: OnceCell<Arc<Functions>>,
    raw_tracepoints: OnceCell<Arc<[(String, String)]>>,
    /// Read instead of the kernel's list of functions.
    traceable_functions: Option<PathBuf>,
    formats: RefCell<FxHashMap<(String, String), Arc<TracepointFormat>>>,
    modules: RefCell<FxHashMap<String, Arc<Btf>>>,
    features: Features,
    files: Files,
    user_space: KernelUserSpace,
}

impl KernelWorld {
    /// Nothing is read yet.
    pub fn new() -> KernelWorld {
        KernelWorld::default()
    }

    /// The kernel as if it had no more than these features.
    pub fn with_features(features: Features) -> KernelWorld {
        KernelWorld { features, ..KernelWorld::default() }
    }

    /// Takes the functions that can be traced from a file instead of the kernel.
    #[must_use]
    pub fn traceable_functions(self, path: Option<PathBuf>) -> KernelWorld {
        KernelWorld { traceable_functions: path, ..self }
    }

    /// Looks for headers and imported scripts in these directories, too.
    #[must_use]
    pub fn include_dirs(mut self, directories: Vec<PathBuf>) -> KernelWorld {
        self.files.include_dirs = directories;
        self
    }

    /// Takes the files of a process for those that a script means, and looks for debugging information at other
    /// places than usual.
    #[must_use]
    pub fn user_space(self, pid: Option<i32>, debug: DebugPath) -> KernelWorld {
        KernelWorld { user_space: KernelUserSpace::new(pid, debug), ..self }
    }

    /// tracefs, opened now unless it is open.
    ///
    /// # Errors
    ///
    /// tracefs is not mounted and may not be mounted by this user, or the kernel has none.
    pub fn tracefs(&self) -> Result<Rc<TraceFs>> {
        if let Some(open) = self.tracefs.get() {
            return Ok(Rc::clone(open));
        }
        let opened = TraceFs::open().map_err(Error::kernel("cannot look up tracepoints"))?;
        Ok(Rc::clone(self.tracefs.get_or_init(|| Rc::new(opened))))
    }

    /// tracefs if something needed it so far.
    pub fn opened_tracefs(&self) -> Option<Rc<TraceFs>> {
        self.tracefs.get().map(Rc::clone)
    }

    /// Whether a structure of the kernel has this member, also within one that has no name.
    pub fn has_field(&self, structure: &str, field: &str) -> bool {
        vmlinux().is_ok_and(|btf| {
            let id = btf.find(Kind::Struct, structure);
            id.is_some_and(|id| btf.find_member(id, field).is_ok_and(|found| found.is_some()))
        })
    }

    /// Whether a function of the kernel can be probed.
    pub fn probes_function(&self, name: &str) -> bool {
        (self.has_kprobes() || self.has_fentry()) && self.has_function(None, name).unwrap_or(false)
    }

    fn find_functions(&self) -> Result<Functions, WorldError> {
        if let Some(path) = &self.traceable_functions {
            return functions::of_file(path);
        }
        if !self.features.has(Feature::Kprobe) {
            let modules = self.typed_modules()?;
            let all = modules.iter().map(|(name, btf)| (name.as_str(), &**btf));
            return Ok(functions::of_types(all));
        }
        match self.tracefs().and_then(|tracefs| {
            functions::of_tracefs(&tracefs).map_err(Error::kernel("cannot list functions"))
        }) {
            Ok(functions) => Ok(functions),
            Err(error) => {
                tracing::debug!("{error}; the kernel's symbols tell instead");
                functions::of_symbols().map_err(told)
            }
        }
    }

    /// The kernel's types and those of each module, by name.
    fn typed_modules(&self) -> Result<Vec<(String, Arc<Btf>)>, WorldError> {
        let mut all = vec![(KERNEL.to_owned(), self.kernel_btf()?)];
        for module in btf_file::modules().map_err(told)? {
            // A module may vanish while it is read.
            if let Ok(btf) = self.module_btf(&module) {
                all.push((module, btf));
            }
        }
        Ok(all)
    }

    fn open(&self) -> Result<Rc<TraceFs>, WorldError> {
        self.tracefs().map_err(|error| WorldError(error.to_string()))
    }
}

/// `PROC_PID_INIT_INO` of the kernel: the inode of the namespace that all others are in.
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

fn told(error: skep_kernel::Error) -> WorldError {
    WorldError(error.to_string())
}

impl World for KernelWorld {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        if let Some(known) = self.tracepoints.get() {
            return Ok(Arc::clone(known));
        }
        let events: Arc<[_]> = self.open()?.events().map_err(told)?.into();
        Ok(Arc::clone(self.tracepoints.get_or_init(|| events)))
    }

    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError> {
        if let Some(known) = self.tracepoints.get() {
            let wanted = (category, event);
            return Ok(known.binary_search_by(|(c, e)| (c.as_str(), e.as_str()).cmp(&wanted)).is_ok());
        }
        match self.open()?.id(category, event) {
            Ok(_) => Ok(true),
            Err(skep_kernel::Error::Invalid(_)) => Ok(false),
            Err(error) if error.errno() == Some(skep_kernel::Errno::ENOENT) => Ok(false),
            Err(error) => Err(told(error)),
        }
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        let key = (category.to_owned(), event.to_owned());
        if let Some(known) = self.formats.borrow().get(&key) {
            return Ok(Arc::clone(known));
        }
        let format = self.open()?.format(category, event).map_err(told)?;
        let format = Arc::new(TracepointFormat { fields: format.fields.into_iter().map(field).collect() });
        self.formats.borrow_mut().insert(key, Arc::clone(&format));
        Ok(format)
    }

    fn functions(&self) -> Result<Arc<Functions>, WorldError> {
        if let Some(known) = self.functions.get() {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(self.find_functions()?);
        Ok(Arc::clone(self.functions.get_or_init(|| found)))
    }

    fn has_function(&self, module: Option<&str>, name: &str) -> Result<bool, WorldError> {
        // What has a type is a function, and that is found faster; and of several names for one function the kernel lists
        // only one.
        let btf = match module {
            _ if self.traceable_functions.is_some() => None,
            None | Some(KERNEL) => self.kernel_btf().ok(),
            Some(module) => self.module_btf(module).ok(),
        };
        match btf {
            Some(btf) if functions::has_types(&btf, name) => Ok(true),
            _ => Ok(self.functions()?.contains(module, name)),
        }
    }

    fn has_module(&self, name: &str) -> Result<bool, WorldError> {
        Ok(name == KERNEL || modules::loaded().map_err(told)?.iter().any(|loaded| loaded == name))
    }

    fn has_kprobes(&self) -> bool {
        self.features.has(Feature::Kprobe)
    }

    fn has_fentry(&self) -> bool {
        self.features.has(Feature::Fentry)
    }

    fn programs(&self) -> Result<Vec<(u32, String)>, WorldError> {
        programs::named().map_err(told)
    }

    fn raw_tracepoint(&self, event: &str) -> Result<Option<String>, WorldError> {
        let typedef = format!("{RAW_TRACEPOINT}{event}");
        if self.kernel_btf()?.find(Kind::Typedef, &typedef).is_some() {
            return Ok(Some(KERNEL.to_owned()));
        }
        let all = self.raw_tracepoints()?;
        Ok(all.iter().find(|(_, known)| known == event).map(|(module, _)| module.clone()))
    }

    fn raw_tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        if let Some(known) = self.raw_tracepoints.get() {
            return Ok(Arc::clone(known));
        }
        let mut all = Vec::new();
        for (module, btf) in self.typed_modules()? {
            for id in btf.own_ids() {
                if let Some(Type::Typedef { name, .. }) = btf.get(id)
                    && let Some(event) = name.strip_prefix(RAW_TRACEPOINT)
                {
                    all.push((module.clone(), event.to_owned()));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(Arc::clone(self.raw_tracepoints.get_or_init(|| all.into())))
    }

    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        vmlinux()
    }

    fn module_btf(&self, module: &str) -> Result<Arc<Btf>, WorldError> {
        if let Some(known) = self.modules.borrow().get(module) {
            return Ok(Arc::clone(known));
        }
        let bytes = btf_file::module(module).map_err(told)?.to_vec();
        let btf = Btf::parse_split(bytes, vmlinux()?).map_err(|error| {
            WorldError(format!("The types of the module {module} cannot be read: {error}"))
        })?;
        let btf = Arc::new(btf);
        self.modules.borrow_mut().insert(module.to_owned(), Arc::clone(&btf));
        Ok(btf)
    }

    fn import(&self, path: &str, from: &str) -> Imported {
        self.files.import(path, from)
    }

    fn header(&self, path: &str, system: bool, from: &str) -> Option<SourceText> {
        self.files.header(path, system, from)
    }

    fn kernel_version(&self) -> Option<(u32, u32, u32)> {
        Some(skep_kernel::limits::kernel_version())
    }

    fn kernel_address(&self, name: &str) -> Result<Option<u64>, WorldError> {
        let (mut found, mut hidden) = (None, true);
        kallsyms::for_each(|symbol| {
            hidden &= symbol.address == 0;
            if symbol.name == name {
                found.get_or_insert(symbol.address);
            }
        })
        .map_err(told)?;
        match found {
            Some(_) if hidden => Err(WorldError(
                "The kernel hides its addresses: see sysctl kernel.kptr_restrict, and run as root.".into(),
            )),
            found => Ok(found),
        }
    }

    fn user_space(&self) -> &dyn UserSpace {
        &self.user_space
    }

    fn reads_other_cpus(&self) -> bool {
        // A user who may not load anything can still check a script.
        self.features.has(Feature::LookupPerCpu) || !self.features.has(Feature::RingBuffer)
    }

    fn in_pid_namespace(&self) -> bool {
        skep_kernel::proc::pid_namespace().is_ok_and(|namespace| namespace.1 != INITIAL_PID_NAMESPACE)
    }

    fn cgroup_id(&self, path: &str) -> Result<u64, WorldError> {
        skep_kernel::cgroup::id_of(std::path::Path::new(path)).map_err(|error| match error.errno() {
            Some(errno) => WorldError(errno.meaning()),
            None => told(error),
        })
    }

    fn has_bpf_loop(&self) -> bool {
        self.features.has(Feature::BpfLoop)
    }

    fn has_task_pt_regs(&self) -> bool {
        self.features.has(Feature::TaskPtRegs)
    }

    fn has_for_each(&self) -> bool {
        self.features.has(Feature::ForEachMapElem)
    }

    fn max_key_size(&self) -> Option<u32> {
        let limited = !self.features.has(Feature::LongKeys) && self.features.has(Feature::RingBuffer);
        limited.then_some(512)
    }
}

/// How the types of what raw tracepoints are handed begin.
const RAW_TRACEPOINT: &str = "btf_trace_";

/// The kernel's types, read once in the life of the process: they take milliseconds and do not change.
pub(crate) fn vmlinux() -> Result<Arc<Btf>, WorldError> {
    static TYPES: OnceLock<Result<Arc<Btf>, WorldError>> = OnceLock::new();
    let read = || match named_types() {
        Some((_, Ok(btf))) => Ok(Arc::new(btf)),
        // That was told when the script was started.
        Some((_, Err(_))) | None => {
            Ok(Arc::new(Btf::of_kernel(kept(btf_file::vmlinux().map_err(told)?)).map_err(unreadable)?))
        }
    };
    TYPES.get_or_init(read).clone()
}

/// Keeps bytes to the end, as what is read from them is.
fn kept(bytes: btf_file::Bytes) -> &'static [u8] {
    Box::leak(Box::new(bytes))
}

fn unreadable(error: skep_btf::Error) -> WorldError {
    WorldError(format!("The types of the kernel cannot be read: {error}"))
}

/// The types in the file that `BPFTRACE_BTF` names instead of the kernel's own, for kernels that have none.
fn named_types() -> Option<(PathBuf, Result<Btf, WorldError>)> {
    let path = PathBuf::from(std::env::var_os("BPFTRACE_BTF")?);
    let bytes = btf_file::read(&path).map_err(told);
    let btf = bytes.and_then(|bytes| Btf::parse(kept(bytes)).map_err(unreadable));
    Some((path, btf))
}

/// The file of `BPFTRACE_BTF` if it holds no types.
pub(crate) fn unreadable_types() -> Option<PathBuf> {
    named_types().filter(|(_, btf)| btf.is_err()).map(|(path, _)| path)
}

/// The kernel's description of a field in the terms of the language.
fn field(field: tracefs::Field) -> Field {
    let tracefs::Field { name, ctype, offset, size, signed, kind } = field;
    // For listings the type is spelled as in C, an array's length behind it.
    let (ctype, kind) = match kind {
        tracefs::FieldKind::Integer => {
            let kind = match (ctype.as_str(), size) {
                ("bool" | "_Bool", 1) => FieldKind::Bool,
                (_, 1 | 2 | 4 | 8) => FieldKind::Int { signed },
                _ => FieldKind::Opaque,
            };
            (ctype, kind)
        }
        tracefs::FieldKind::Pointer { pointee } => (ctype, FieldKind::Ptr { text: is_char(&pointee) }),
        tracefs::FieldKind::CharArray { len } => (format!("{ctype}[{len}]"), FieldKind::Chars),
        tracefs::FieldKind::Array { element_size, len, .. } => {
            let kind = match element_size {
                1 | 2 | 4 | 8 => FieldKind::Array { elem_size: element_size, signed },
                _ => FieldKind::Opaque,
            };
            (format!("{ctype}[{len}]"), kind)
        }
        tracefs::FieldKind::DataLoc { element } => {
            let kind = located(false, &element, signed);
            (ctype, kind)
        }
        tracefs::FieldKind::RelLoc { element } => {
            let kind = located(true, &element, signed);
            (ctype, kind)
        }
        tracefs::FieldKind::Bytes => (ctype, FieldKind::Opaque),
    };
    Field { name, ctype, offset, size, kind }
}

fn located(relative: bool, element: &str, signed: bool) -> FieldKind {
    FieldKind::DataLoc { relative, text: is_char(element), elem_size: size_of_ctype(element), signed }
}

/// Whether a C type is a character, so that an address of one is a text.
fn is_char(ctype: &str) -> bool {
    ctype.split_whitespace().filter(|word| !matches!(*word, "const" | "volatile" | "__user")).eq(["char"])
}

/// Bytes of the types that occur as elements; what is not known counts as bytes.
fn size_of_ctype(ctype: &str) -> u32 {
    let words: Vec<_> =
        ctype.split_whitespace().filter(|word| !matches!(*word, "const" | "unsigned" | "signed")).collect();
    match words.as_slice() {
        ["short" | "u16" | "s16" | "__u16" | "__s16" | "__le16" | "__be16" | "uint16_t" | "int16_t"]
        | ["short", "int"] => 2,
        [
            "int" | "u32" | "s32" | "__u32" | "__s32" | "__le32" | "__be32" | "uint32_t" | "int32_t"
            | "pid_t",
        ]
        | [] => 4,
        [
            "long" | "u64" | "s64" | "__u64" | "__s64" | "__le64" | "__be64" | "uint64_t" | "int64_t"
            | "size_t",
        ]
        | ["long", "long" | "int"]
        | ["long", "long", "int"] => 8,
        words if words.last().is_some_and(|last| last.ends_with('*')) => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(ctype: &str, size: u32, signed: bool, kind: tracefs::FieldKind) -> (String, FieldKind) {
        let made =
            field(tracefs::Field { name: "x".into(), ctype: ctype.into(), offset: 8, size, signed, kind });
        (made.ctype, made.kind)
    }

    #[test]
    fn fields_are_translated() {
        let int = described("pid_t", 4, true, tracefs::FieldKind::Integer);
        assert_eq!(int, ("pid_t".into(), FieldKind::Int { signed: true }));
        let flag = described("bool", 1, false, tracefs::FieldKind::Integer);
        assert_eq!(flag.1, FieldKind::Bool);
        let pointer =
            described("const char *", 8, false, tracefs::FieldKind::Pointer { pointee: "const char".into() });
        assert_eq!(pointer, ("const char *".into(), FieldKind::Ptr { text: true }));
        let name = described("char", 16, false, tracefs::FieldKind::CharArray { len: 16 });
        assert_eq!(name, ("char[16]".into(), FieldKind::Chars));
        let located =
            described("__data_loc char[]", 4, true, tracefs::FieldKind::DataLoc { element: "char".into() });
        let expected = FieldKind::DataLoc { relative: false, text: true, elem_size: 1, signed: true };
        assert_eq!(located.1, expected);
        let array = tracefs::FieldKind::Array { element: "u64".into(), element_size: 8, len: 3 };
        assert_eq!(described("u64", 24, false, array).0, "u64[3]");
    }
}
