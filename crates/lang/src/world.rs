//! What the compiler asks about the kernel it compiles for.
//!
//! The language crate never touches the kernel: everything it must know comes
//! through [`World`]. The runtime answers from the running kernel, tests answer
//! from fixtures.

mod functions;
pub mod user_space;

use std::sync::Arc;

pub use functions::{Functions, KERNEL};
use skep_btf::Btf;

use user_space::{NoUserSpace, UserSpace};

/// One field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name as a script spells it after `args.`.
    pub name: String,
    /// Type as the kernel spells it, for listings: `const char *`.
    pub ctype: String,
    /// Byte offset from the start of the context.
    pub offset: u32,
    /// Size in bytes in the record.
    pub size: u32,
    /// What the bytes mean.
    pub kind: FieldKind,
}

/// What the bytes of a [`Field`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An integer of the field's size.
    Int {
        /// Two's complement if set.
        signed: bool,
    },
    /// `bool`, one byte.
    Bool,
    /// A pointer.
    Ptr {
        /// Whether it points to characters, so that `str()` reads a text.
        text: bool,
    },
    /// Characters in the record itself: a text that may lack its NUL.
    Chars,
    /// Elements in the record itself.
    Array {
        /// Size of one element in bytes.
        elem_size: u32,
        /// Two's complement if set.
        signed: bool,
    },
    /// 32 bits that tell where the data is: offset in the low half, length in
    /// the high half.
    DataLoc {
        /// Whether the offset counts from the end of this field (`__rel_loc`)
        /// instead of the start of the record.
        relative: bool,
        /// Whether the data is a text.
        text: bool,
        /// Size of one element in bytes.
        elem_size: u32,
        /// Two's complement if set.
        signed: bool,
    },
    /// Something of the field's size that the language has no type for.
    Opaque,
}

/// The record of a tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// The fields a script may name: those all events share are left out.
    pub fields: Vec<Field>,
}

/// Why the world could not answer: already a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorldError(pub String);

impl From<WorldError> for String {
    fn from(error: WorldError) -> String {
        error.0
    }
}

/// A text that the runtime read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// What messages call it: its path, as it was found.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What an `import` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// A file, or the files of a directory in the order of their names; empty for a file of a kind that
    /// nobody reads.
    Files(Vec<SourceText>),
    /// It is there, but is not read: why.
    Refused(String),
    /// It is not there.
    Missing {
        /// Where it was looked for.
        looked_at: Vec<String>,
    },
}

/// The kernel, as the compiler sees it.
pub trait World {
    /// All tracepoints as (category, event), sorted.
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError>;

    /// Whether a tracepoint exists; cheaper than listing them all.
    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError>;

    /// The record of one tracepoint that exists.
    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, WorldError>;

    /// The kernel's own types. Asked only for scripts that need them: reading them takes milliseconds.
    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        Err(WorldError("The kernel's types are not known: it carries no BTF.".into()))
    }

    /// The types of a loaded module of the kernel, as BTF that continues the kernel's.
    fn module_btf(&self, module: &str) -> Result<Arc<Btf>, WorldError> {
        Err(WorldError(format!("The types of the module {module} are not known.")))
    }

    /// The functions that kprobes and fentry probes can be put on.
    fn functions(&self) -> Result<Arc<Functions>, WorldError> {
        Err(WorldError("The kernel's functions are not known.".into()))
    }

    /// Whether there is such a function, in that module or in any; cheaper than listing them all.
    fn has_function(&self, module: Option<&str>, name: &str) -> Result<bool, WorldError> {
        Ok(self.functions()?.contains(module, name))
    }

    /// Whether a module of the kernel is loaded.
    fn has_module(&self, name: &str) -> Result<bool, WorldError> {
        Ok(self.functions()?.iter().any(|(module, _)| module == name))
    }

    /// Whether the kernel has kprobes.
    fn has_kprobes(&self) -> bool {
        true
    }

    /// Whether the kernel takes programs at the entry and exit of functions.
    fn has_fentry(&self) -> bool {
        true
    }

    /// The BPF programs that are loaded and have a name, as (id, name), sorted.
    fn programs(&self) -> Result<Vec<(u32, String)>, WorldError> {
        Err(WorldError("The BPF programs in the kernel are not known.".into()))
    }

    /// The module of the raw tracepoint of this name; cheaper than listing them all.
    fn raw_tracepoint(&self, event: &str) -> Result<Option<String>, WorldError> {
        let all = self.raw_tracepoints()?;
        Ok(all.iter().find(|(_, known)| known == event).map(|(module, _)| module.clone()))
    }

    /// All raw tracepoints as (module, event), sorted; [`KERNEL`] is the module of the kernel's own.
    fn raw_tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Err(WorldError("The kernel's raw tracepoints are not known.".into()))
    }

    /// What `import "path"` in the file `from` brings in.
    fn import(&self, _path: &str, _from: &str) -> Imported {
        Imported::Missing { looked_at: Vec::new() }
    }

    /// The header that an `#include` in the file `from` names: `<path>` if `system`, else `"path"`.
    fn header(&self, _path: &str, _system: bool, _from: &str) -> Option<SourceText> {
        None
    }

    /// The kernel's version: 6, 18, 2.
    fn kernel_version(&self) -> Option<(u32, u32, u32)> {
        None
    }

    /// Programs and libraries.
    fn user_space(&self) -> &dyn UserSpace {
        &NoUserSpace
    }

    /// Whether programs can read what the other CPUs keep in a per-CPU map
    /// (`bpf_map_lookup_percpu_elem`, Linux 5.19).
    fn reads_other_cpus(&self) -> bool {
        true
    }

    /// Whether the script is run in a namespace of process ids of its own, whose ids `pid` and `tid` are then.
    fn in_pid_namespace(&self) -> bool {
        false
    }

    /// The id of the control group that a directory of a cgroup file system stands for.
    fn cgroup_id(&self, path: &str) -> Result<u64, WorldError> {
        Err(WorldError(format!("This kernel's control groups cannot be looked up: {path}")))
    }

    /// Whether programs can have a function of theirs called many times (`bpf_loop`, Linux 5.17).
    fn has_bpf_loop(&self) -> bool {
        true
    }

    /// Whether programs can ask for the registers of a process (`bpf_task_pt_regs`, Linux 5.15).
    fn has_task_pt_regs(&self) -> bool {
        true
    }

    /// Whether programs can go through a map (`bpf_for_each_map_elem`, Linux 5.13).
    fn has_for_each(&self) -> bool {
        true
    }

    /// The address of a symbol of the kernel or of one of its modules; `None` if there is none of that name.
    fn kernel_address(&self, _name: &str) -> Result<Option<u64>, WorldError> {
        Ok(None)
    }

    /// Bytes a key may have at most, if the kernel has such a limit (before Linux 5.11).
    fn max_key_size(&self) -> Option<u32> {
        None
    }
}
