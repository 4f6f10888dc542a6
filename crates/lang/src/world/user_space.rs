//! What the compiler asks about programs and libraries.

use std::sync::Arc;

use skep_btf::{Btf, TypeId};

use super::WorldError;

/// Programs and libraries, as the compiler sees them. Files go by the paths that [`UserSpace::files`] gives.
pub trait UserSpace {
    /// Whether the script is about one process (`-p`), whose files are meant.
    fn has_process(&self) -> bool;

    /// The files that a target stands for: a path, the name of a command or library, a pattern; with a process,
    /// `*` or nothing for all that it has mapped. Files that do not exist are left out.
    fn files(&self, target: &str) -> Result<Vec<String>, WorldError>;

    /// All files that any process runs code of.
    fn running_files(&self) -> Result<Vec<String>, WorldError>;

    /// Whether a file holds code with a symbol table: a program or library.
    fn is_program(&self, path: &str) -> bool;

    /// Whether the kernel would run a file, or some other code of it could be mapped.
    fn is_executable(&self, path: &str) -> bool;

    /// All functions, sorted by name and address.
    fn functions(&self, path: &str) -> Result<Arc<[Function]>, WorldError>;

    /// The functions of one name; cheaper than listing them all.
    fn functions_named(&self, path: &str, name: &str) -> Result<Vec<Function>, WorldError>;

    /// The function that an address lies in.
    fn function_at(&self, path: &str, address: u64) -> Result<Option<Function>, WorldError>;

    /// Whether an instruction begins so many bytes from the start of a function.
    fn begins_instruction(&self, path: &str, function: &Function, offset: u64) -> Result<bool, WorldError>;

    /// A function or variable of a program; `None` if it has none of this name.
    fn symbol(&self, path: &str, name: &str) -> Result<Option<Symbol>, WorldError>;

    /// The file and the place in it that the kernel knows an address by, if there is code or data of the file
    /// at that address.
    fn place(&self, path: &str, address: u64) -> Result<Option<(String, u64)>, WorldError>;

    /// The address where the code of a line of source begins. The error is why there is none.
    fn line(&self, path: &str, file: &str, line: u64, column: Option<u64>) -> Result<u64, WorldError>;

    /// The places of all static probes, in the order of the file.
    fn static_probes(&self, path: &str) -> Result<Arc<[StaticProbe]>, WorldError>;

    /// The types of the functions at some addresses, and of all that they refer to; `None` without debugging
    /// information.
    fn types(&self, path: &str, addresses: &[u64]) -> Result<Option<Arc<ProgramTypes>>, WorldError>;

    /// What tells a file from others of its path: its build id, or a checksum.
    fn identity(&self, path: &str) -> Result<String, WorldError> {
        Err(WorldError(format!("{NOT_KNOWN} {path}")))
    }

    /// How C++ spells a function's name, with and without parameters; `None` for names of other languages.
    fn cpp_name(&self, name: &str) -> Option<CppName>;
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As the symbol table has it.
    pub name: String,
    /// As the program is linked.
    pub address: u64,
    /// Bytes; 0 when nothing tells.
    pub size: u64,
}

/// A function or variable of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symbol {
    /// As the program is linked.
    pub address: u64,
    /// Bytes; 0 when nothing tells.
    pub size: u64,
    /// Whether the program always runs at the addresses it is linked for.
    pub fixed: bool,
}

/// A name of C++.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CppName {
    /// `A::f(int)`
    pub full: String,
    /// `A::f`
    pub without_params: String,
}

/// The types of a program.
#[derive(Clone, Debug)]
pub struct ProgramTypes {
    /// All of them, functions included.
    pub btf: Arc<Btf>,
    /// Sorted by address.
    pub functions: Vec<FunctionTypes>,
}

impl ProgramTypes {
    /// What is known of the function that begins at an address.
    pub fn function(&self, address: u64) -> Option<&FunctionTypes> {
        let at = self.functions.binary_search_by_key(&address, |function| function.address).ok()?;
        self.functions.get(at)
    }
}

/// The types of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionTypes {
    /// Of its first instruction.
    pub address: u64,
    /// The function in the BTF.
    pub id: TypeId,
    /// Where its parameters are when it is entered.
    pub params: Vec<ParamPlace>,
}

/// Where a parameter is when a function is entered. Registers go by their names in `struct pt_regs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ParamPlace {
    /// In a register.
    Register(&'static str),
    /// In two registers, the lower half first.
    Pair(&'static str, &'static str),
    /// In memory, so many bytes above the stack pointer.
    Stack(u64),
    /// At the address that a register holds.
    Behind(&'static str),
    /// Nowhere a program can look; why.
    Unreadable(String),
}

/// One place of a static probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticProbe {
    /// Who defines it.
    pub provider: String,
    /// What it is called.
    pub name: String,
    /// The file that the kernel knows the place by.
    pub path: String,
    /// Where in that file the place is.
    pub offset: u64,
    /// Its address, as the program is linked.
    pub address: u64,
    /// Where in that file the counter of listeners is, if it has one.
    pub semaphore: Option<u64>,
    /// The arguments in order, each on its own or why it cannot be read.
    pub args: Vec<Result<StaticArgument, String>>,
}

/// An argument of a static probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StaticArgument {
    /// Bytes of the value: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is in two's complement.
    pub signed: bool,
    /// Where it is.
    pub operand: Operand,
}

/// Where an argument of a static probe is. Registers go by their names in `struct pt_regs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Known when the program was built.
    Constant(i64),
    /// In a register, from a bit on that is a whole byte's first.
    Register {
        /// Which.
        name: &'static str,
        /// 0 or 8.
        shift: u8,
    },
    /// The sum of a register and a constant.
    Address {
        /// Which register.
        base: &'static str,
        /// Bytes.
        offset: i64,
    },
    /// In memory, at the sum of these.
    Memory {
        /// A register.
        base: Option<&'static str>,
        /// A register and what it is multiplied by.
        index: Option<(&'static str, u8)>,
        /// Bytes.
        offset: i64,
    },
}

/// A world without programs, as that of a compiler that only checks.
#[derive(Clone, Copy, Debug)]
pub struct NoUserSpace;

const NOT_KNOWN: &str = "Programs and libraries cannot be looked into here.";

fn unknown<T>() -> Result<T, WorldError> {
    Err(WorldError(NOT_KNOWN.to_owned()))
}

impl UserSpace for NoUserSpace {
    fn has_process(&self) -> bool {
        false
    }

    fn files(&self, _: &str) -> Result<Vec<String>, WorldError> {
        Ok(Vec::new())
    }

    fn running_files(&self) -> Result<Vec<String>, WorldError> {
        Ok(Vec::new())
    }

    fn is_program(&self, _: &str) -> bool {
        false
    }

    fn is_executable(&self, _: &str) -> bool {
        false
    }

    fn functions(&self, _: &str) -> Result<Arc<[Function]>, WorldError> {
        unknown()
    }

    fn functions_named(&self, _: &str, _: &str) -> Result<Vec<Function>, WorldError> {
        unknown()
    }

    fn function_at(&self, _: &str, _: u64) -> Result<Option<Function>, WorldError> {
        unknown()
    }

    fn begins_instruction(&self, _: &str, _: &Function, _: u64) -> Result<bool, WorldError> {
        unknown()
    }

    fn symbol(&self, _: &str, _: &str) -> Result<Option<Symbol>, WorldError> {
        unknown()
    }

    fn place(&self, _: &str, _: u64) -> Result<Option<(String, u64)>, WorldError> {
        unknown()
    }

    fn line(&self, _: &str, _: &str, _: u64, _: Option<u64>) -> Result<u64, WorldError> {
        unknown()
    }

    fn static_probes(&self, _: &str) -> Result<Arc<[StaticProbe]>, WorldError> {
        unknown()
    }

    fn types(&self, _: &str, _: &[u64]) -> Result<Option<Arc<ProgramTypes>>, WorldError> {
        unknown()
    }

    fn cpp_name(&self, _: &str) -> Option<CppName> {
        None
    }
}
