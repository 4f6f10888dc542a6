//! Programs and libraries, as the compiler sees them.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use skep_btf::Btf;
use skep_lang::world::WorldError;
use skep_lang::world::user_space::{
    CppName, Function, FunctionTypes, Operand, ParamPlace, ProgramTypes, StaticArgument, StaticProbe, Symbol,
    UserSpace,
};
use skep_symbols::dwarf::{DebugInfo, Line, Place};
use skep_symbols::elf::{DebugPath, Elf};
use skep_symbols::find::{self, Finder};
use skep_symbols::{demangle, usdt};

/// Bytes of debugging information up to which all types of a program are read at once.
const SMALL: usize = 256 << 20;

/// Answers from the files themselves; each is opened once.
#[derive(Debug, Default)]
pub struct KernelUserSpace {
    pid: Option<i32>,
    debug: DebugPath,
    finder: OnceCell<Result<Finder, WorldError>>,
    programs: RefCell<FxHashMap<String, Result<Rc<Program>, WorldError>>>,
}

/// What is known of a file.
#[derive(Debug)]
struct Program {
    elf: Elf,
    functions: OnceCell<Arc<[Function]>>,
    probes: OnceCell<Arc<[StaticProbe]>>,
    debug: OnceCell<Option<DebugInfo>>,
    types: OnceCell<Option<Arc<ProgramTypes>>>,
}

impl KernelUserSpace {
    /// As a process sees its files, or as this one does; with the places where debugging information is looked for.
    pub fn new(pid: Option<i32>, debug: DebugPath) -> KernelUserSpace {
        KernelUserSpace { pid, debug, ..KernelUserSpace::default() }
    }

    fn finder(&self) -> Result<&Finder, WorldError> {
        let open = || match self.pid {
            Some(pid) => Finder::of_process(pid).map_err(told),
            None => Ok(Finder::new()),
        };
        self.finder.get_or_init(open).as_ref().map_err(WorldError::clone)
    }

    fn program(&self, path: &str) -> Result<Rc<Program>, WorldError> {
        if let Some(known) = self.programs.borrow().get(path) {
            return known.clone();
        }
        let opened = Elf::open(Path::new(path)).map_err(told).map(|elf| {
            Rc::new(Program {
                elf,
                functions: OnceCell::new(),
                probes: OnceCell::new(),
                debug: OnceCell::new(),
                types: OnceCell::new(),
            })
        });
        self.programs.borrow_mut().insert(path.to_owned(), opened.clone());
        opened
    }

    fn debug_info<'p>(&self, program: &'p Program) -> Result<Option<&'p DebugInfo>, WorldError> {
        if let Some(known) = program.debug.get() {
            return Ok(known.as_ref());
        }
        let opened = DebugInfo::open(&program.elf, &self.debug).map_err(told)?;
        Ok(program.debug.get_or_init(|| opened).as_ref())
    }
}

impl UserSpace for KernelUserSpace {
    fn has_process(&self) -> bool {
        self.pid.is_some()
    }

    fn files(&self, target: &str) -> Result<Vec<String>, WorldError> {
        Ok(texts(self.finder()?.find(target)))
    }

    fn running_files(&self) -> Result<Vec<String>, WorldError> {
        find::mapped_by_all().map(texts).map_err(told)
    }

    fn is_program(&self, path: &str) -> bool {
        self.program(path).is_ok()
    }

    fn is_executable(&self, path: &str) -> bool {
        find::is_executable(Path::new(path)).unwrap_or(false)
    }

    fn functions(&self, path: &str) -> Result<Arc<[Function]>, WorldError> {
        let program = self.program(path)?;
        if let Some(known) = program.functions.get() {
            return Ok(Arc::clone(known));
        }
        let found = program.elf.functions(&self.debug).map_err(told)?;
        Ok(Arc::clone(program.functions.get_or_init(|| found.into_iter().map(function).collect())))
    }

    fn functions_named(&self, path: &str, name: &str) -> Result<Vec<Function>, WorldError> {
        let found = self.program(path)?.elf.functions_named(name, &self.debug).map_err(told)?;
        Ok(found.into_iter().map(function).collect())
    }

    fn function_at(&self, path: &str, address: u64) -> Result<Option<Function>, WorldError> {
        let found = self.program(path)?.elf.function_at(address, &self.debug).map_err(told)?;
        Ok(found.map(function))
    }

    fn begins_instruction(&self, path: &str, function: &Function, offset: u64) -> Result<bool, WorldError> {
        let program = self.program(path)?;
        Ok(skep_symbols::begins_instruction(program.elf.code(function.address, function.size), offset))
    }

    fn symbol(&self, path: &str, name: &str) -> Result<Option<Symbol>, WorldError> {
        let elf = &self.program(path)?.elf;
        let found = elf.symbol(name, &self.debug).map_err(told)?;
        Ok(found.map(|(address, size)| Symbol { address, size, fixed: elf.is_fixed() }))
    }

    fn place(&self, path: &str, address: u64) -> Result<Option<(String, u64)>, WorldError> {
        let program = self.program(path)?;
        let file = program.elf.container().to_string_lossy().into_owned();
        Ok(program.elf.file_offset(address).map(|offset| (file, offset)))
    }

    fn line(&self, path: &str, file: &str, line: u64, column: Option<u64>) -> Result<u64, WorldError> {
        let program = self.program(path)?;
        let Some(debug) = self.debug_info(&program)? else {
            return Err(WorldError(format!(
                "No DWARF debug info found for '{path}', cannot attach by source code location."
            )));
        };
        match debug.line(file, line, column).map_err(told)? {
            Line::At(address) => Ok(address),
            Line::NoSuchFile => Err(WorldError(format!("DWARF error: No compilation unit matches {file}"))),
            Line::NoCode => {
                let column = column.map_or(String::new(), |column| format!(":{column}"));
                Err(WorldError(format!("DWARF error: Unable to map '{file}:{line}{column}' to address")))
            }
        }
    }

    fn static_probes(&self, path: &str) -> Result<Arc<[StaticProbe]>, WorldError> {
        let program = self.program(path)?;
        if let Some(known) = program.probes.get() {
            return Ok(Arc::clone(known));
        }
        let notes = usdt::notes(&program.elf).map_err(told)?;
        let path = program.elf.container().to_string_lossy().into_owned();
        let probes = notes.into_iter().filter_map(|note| {
            let elf = &program.elf;
            Some(StaticProbe {
                path: path.clone(),
                offset: elf.file_offset(note.address)?,
                address: note.address,
                semaphore: note.semaphore.and_then(|address| elf.file_offset(address)),
                args: note.args.into_iter().map(|arg| arg.map(argument)).collect(),
                provider: note.provider,
                name: note.name,
            })
        });
        let probes: Arc<[StaticProbe]> = probes.collect();
        Ok(Arc::clone(program.probes.get_or_init(|| probes)))
    }

    fn types(&self, path: &str, addresses: &[u64]) -> Result<Option<Arc<ProgramTypes>>, WorldError> {
        let program = self.program(path)?;
        if let Some(known) = program.types.get() {
            return Ok(known.clone());
        }
        let Some(debug) = self.debug_info(&program)? else { return Ok(None) };
        let all = debug.size() <= SMALL;
        let types = debug.types((!all).then_some(addresses)).map_err(told)?;
        let btf = Btf::parse(types.btf)
            .map_err(|error| WorldError(format!("The types of {path} cannot be read: {error}")))?;
        let functions = types.functions.into_iter().map(function_types).collect();
        let types = Some(Arc::new(ProgramTypes { btf: Arc::new(btf), functions }));
        Ok(if all { program.types.get_or_init(|| types).clone() } else { types })
    }

    fn identity(&self, path: &str) -> Result<String, WorldError> {
        Ok(self.program(path)?.elf.identity())
    }

    fn cpp_name(&self, name: &str) -> Option<CppName> {
        let full = demangle::cpp(name)?;
        let without_params = demangle::cpp_without_params(name)?;
        Some(CppName { full, without_params })
    }
}

fn told(error: skep_symbols::Error) -> WorldError {
    WorldError(error.to_string())
}

/// Paths as attach points spell them; those that are no texts cannot be spelled.
fn texts(paths: Vec<PathBuf>) -> Vec<String> {
    paths.into_iter().filter_map(|path| path.into_os_string().into_string().ok()).collect()
}

fn function(function: skep_symbols::elf::Function) -> Function {
    Function { name: function.name, address: function.address, size: function.size }
}

fn function_types(function: skep_symbols::dwarf::FunctionTypes) -> FunctionTypes {
    let place = |place| match place {
        Place::Register(name) => ParamPlace::Register(name),
        Place::Pair(low, high) => ParamPlace::Pair(low, high),
        Place::Stack(offset) => ParamPlace::Stack(offset),
        Place::Behind(name) => ParamPlace::Behind(name),
        Place::Unreadable(why) => ParamPlace::Unreadable(why.to_owned()),
    };
    FunctionTypes {
        address: function.address,
        id: function.id,
        params: function.places.into_iter().map(place).collect(),
    }
}

fn argument(argument: usdt::Argument) -> StaticArgument {
    let operand = match argument.operand {
        usdt::Operand::Constant(value) => Operand::Constant(value),
        usdt::Operand::Register { name, shift } => Operand::Register { name, shift },
        usdt::Operand::Address { base, offset } => Operand::Address { base, offset },
        usdt::Operand::Memory { base, index, offset } => Operand::Memory { base, index, offset },
    };
    StaticArgument { size: argument.size, signed: argument.signed, operand }
}
