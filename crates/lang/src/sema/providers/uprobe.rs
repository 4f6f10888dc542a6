//! `uprobe:TARGET:[cpp:]FUNCTION[+OFFSET]`, `uprobe:TARGET:ADDRESS`, `uprobe:TARGET@FILE:LINE[:COLUMN]` and the
//! same for `uretprobe`, without offsets and lines: any place in the code of a program or library.

use skep_ui::{Diagnostic, suggest};

use super::kprobe::split_offset;
use super::{Arguments, Match, Offers, Parts, Place, Provider, ReturnValue, number, or_all};
use crate::hir::{Attach, ProbeKind, Uprobe};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::ty::Space;
use crate::world::user_space::{Function, UserSpace};
use crate::world::{World, WorldError};

pub(super) static UPROBE: Provider = Provider {
    name: "uprobe",
    aliases: &["u"],
    class: "uprobe",
    kind: ProbeKind::Kprobe,
    has_args: true,
    offers: Offers {
        arguments: Arguments::RegistersAndStack(Space::User),
        function: true,
        ..Offers::REGISTERS
    },
    // Without a target it is any file of the process.
    parts: Parts(1, 4, "2 or 3"),
    filtered: true,
    expand,
    list: |world, detailed, parts| list("uprobe", world, detailed, parts),
    in_overviews: true,
    nearest: |world, parts| nearest("uprobe", world, parts),
};

pub(super) static URETPROBE: Provider = Provider {
    name: "uretprobe",
    aliases: &["ur"],
    class: "uretprobe",
    has_args: false,
    offers: Offers { return_value: ReturnValue::Register, function: true, ..Offers::REGISTERS },
    list: |world, _, parts| list("uretprobe", world, false, parts),
    nearest: |world, parts| nearest("uretprobe", world, parts),
    in_overviews: false,
    ..UPROBE
};

/// The advice of [`refuse_unsafe`].
const USE_UNSAFE: &str = "Use --unsafe to force attachment. WARNING: This option could lead to data corruption in \
                          the target process.";

/// What is to be probed in each file.
enum Spot<'a> {
    /// Functions of a name or pattern, so many bytes from their start.
    Functions {
        /// As C++ spells them.
        cpp: bool,
        name: &'a str,
        offset: Option<u64>,
    },
    Address(u64),
    Line {
        file: &'a str,
        line: u64,
        column: Option<u64>,
    },
}

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let parts: Vec<&str> = place.parts.iter().map(String::as_str).collect();
    let (target, spot) = read(place, &parts).map_err(|problem| Diagnostic::error(place.span, problem))?;
    let files = match target_files(place, target)? {
        Ok(files) => files,
        Err(error) => {
            let attach = Attach::Uprobe(Uprobe::default());
            let name = format!("{}:{}", place.provider.name, place.parts.join(":"));
            return Ok(vec![Match { name, attach, wildcard: false, unverified: Some(error) }]);
        }
    };
    let many = pattern::has_wildcard(target) || target.is_empty();
    let mut matches = Vec::new();
    for file in &files {
        let search = Search { place, space: place.world.user_space(), file, many };
        match search.find(&spot) {
            Ok(found) => matches.extend(found),
            // Among many files there may be some that are no programs.
            Err(_) if many => {}
            Err(problem) => return Err(problem.at(place)),
        }
    }
    Ok(matches)
}

/// Target and spot of an attach point. The error is a sentence.
fn read<'a>(place: &Place<'_>, parts: &[&'a str]) -> Result<(&'a str, Spot<'a>), String> {
    let provider = place.provider.name;
    let on_return = provider == URETPROBE.name;
    let space = place.world.user_space();
    let exists = |target: &str| space.files(target).is_ok_and(|files| !files.is_empty());
    if let [first, rest @ ..] = parts
        && let Some((target, file)) = first.rsplit_once('@')
        && !exists(first)
    {
        let (line, column) = match *rest {
            [line] if !line.is_empty() && !file.is_empty() => (line, None),
            [line, column] if !line.is_empty() && !file.is_empty() => (line, Some(column)),
            _ => {
                return Err(format!(
                    "Invalid {provider} arguments, expected format: {provider}:TARGET@FILE:LINE[:COL]"
                ));
            }
        };
        if on_return {
            return Err("Source code location not allowed".into());
        }
        if pattern::has_wildcard(target) {
            return Err("Cannot use wildcards with source code location".into());
        }
        let read = |what: &str, text: &str| {
            number::read(text).map_err(|problem| format!("Invalid {what} number: {problem}"))
        };
        let line = read("line", line)?;
        let column = column.map(|column| read("column", column)).transpose()?;
        return Ok((target, Spot::Line { file, line, column }));
    }
    let (target, cpp, spot) = match parts {
        [spot] if space.has_process() => ("", false, *spot),
        [target, spot] => (*target, false, *spot),
        [target, "cpp", spot] => (*target, true, *spot),
        [_, language, _] => return Err(format!("unsupported language type: {language}")),
        _ => {
            return Err(format!(
                "{provider} probe type requires {} arguments, found {}",
                place.provider.parts.2,
                parts.len()
            ));
        }
    };
    if target.is_empty() && !space.has_process() {
        return Err(format!("{provider} should have a target"));
    }
    if spot.is_empty() {
        return Err(match on_return {
            true => format!("{provider} should be attached to a function"),
            false => format!(
                "{provider} should be attached to a function, address, or source file and line (using DWARF)"
            ),
        });
    }
    if let Ok(address) = number::read(spot) {
        if pattern::has_wildcard(target) {
            return Err("Cannot use wildcards with absolute address".into());
        }
        return Ok((target, Spot::Address(address)));
    }
    if spot.starts_with("0x") && pattern::has_wildcard(spot) {
        return Err("Cannot use wildcards with absolute address".into());
    }
    // An operator of C++ may have a plus in its name.
    let (name, offset) = match split_offset(spot) {
        Ok((name, offset)) => (name, offset),
        Err(_) if spot.contains("operator+") => (spot, None),
        Err(problem) => return Err(problem),
    };
    if on_return && offset.is_some() {
        return Err("Offset not allowed".into());
    }
    Ok((target, Spot::Functions { cpp, name, offset }))
}

/// The files that a target stands for; within, why nobody can tell.
pub(super) fn target_files(
    place: &Place<'_>,
    target: &str,
) -> Result<Result<Vec<String>, WorldError>, Diagnostic> {
    let provider = place.provider.name;
    let space = place.world.user_space();
    let mut files = match space.files(target) {
        Ok(files) => files,
        Err(error) => return Ok(Err(error)),
    };
    if pattern::has_wildcard(target) || target.is_empty() {
        return Ok(Ok(files));
    }
    files.retain(|file| space.is_program(file) || space.is_executable(file) || place.options.unsafe_mode);
    let Some(first) = files.first() else {
        let problem = format!("{provider} target file '{target}' does not exist or is not executable");
        return Err(Diagnostic::error(place.span, problem));
    };
    if files.len() > 1 {
        let count = files.len();
        let problem = format!("attaching to {provider} target file '{first}' but matched {count} binaries");
        place.note(Diagnostic::warning(place.span, problem));
        files.truncate(1);
    }
    Ok(Ok(files))
}

/// Why a spot cannot be probed.
enum Problem {
    World(WorldError),
    /// What is wrong, and what to do about it.
    Said(String, Option<&'static str>),
}

impl From<WorldError> for Problem {
    fn from(error: WorldError) -> Problem {
        Problem::World(error)
    }
}

impl Problem {
    fn at(self, place: &Place<'_>) -> Diagnostic {
        match self {
            Problem::World(error) => Diagnostic::error(place.span, error.0),
            Problem::Said(problem, help) => {
                let diagnostic = Diagnostic::error(place.span, problem);
                match help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                }
            }
        }
    }
}

fn said<T>(problem: String) -> Result<T, Problem> {
    Err(Problem::Said(problem, None))
}

/// The complaint about something that `--unsafe` allows.
fn refuse_unsafe<T>(problem: String) -> Result<T, Problem> {
    Err(Problem::Said(problem, Some(USE_UNSAFE)))
}

/// The search in one file.
struct Search<'a> {
    place: &'a Place<'a>,
    space: &'a dyn UserSpace,
    file: &'a str,
    /// Whether the file is one of many.
    many: bool,
}

impl Search<'_> {
    fn find(&self, spot: &Spot<'_>) -> Result<Vec<Match>, Problem> {
        match *spot {
            Spot::Functions { cpp, name, offset } => self.functions(cpp, name, offset),
            Spot::Address(address) => Ok(vec![self.address(address)?]),
            Spot::Line { file, line, column } => {
                let address = self.space.line(self.file, file, line, column)?;
                let function = self.space.function_at(self.file, address)?;
                Ok(vec![self.found(address, function.as_ref(), &address.to_string(), false)?])
            }
        }
    }

    fn functions(&self, cpp: bool, name: &str, offset: Option<u64>) -> Result<Vec<Match>, Problem> {
        let wildcard = pattern::has_wildcard(name);
        let functions = if wildcard || cpp {
            self.space
                .functions(self.file)?
                .iter()
                .filter(|function| self.fits(function, cpp, name))
                .cloned()
                .collect()
        } else {
            self.space.functions_named(self.file, name)?
        };
        let mut matches = Vec::with_capacity(functions.len());
        for function in &functions {
            match self.in_function(function, cpp, offset, wildcard) {
                Ok(found) => matches.push(found),
                // What a pattern finds may lie outside of what is loaded.
                Err(_) if wildcard && offset.is_none() => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(matches)
    }

    fn fits(&self, function: &Function, cpp: bool, name: &str) -> bool {
        if pattern::matches(name, &function.name) {
            return true;
        }
        cpp && self.space.cpp_name(&function.name).is_some_and(|cpp| {
            pattern::matches(name, &cpp.full) || pattern::matches(name, &cpp.without_params)
        })
    }

    fn in_function(
        &self,
        function: &Function,
        cpp: bool,
        offset: Option<u64>,
        wildcard: bool,
    ) -> Result<Match, Problem> {
        let (name, at) = (&function.name, offset.unwrap_or(0));
        // The first byte of a function that a pattern found is safe whatever its size.
        if !(self.place.options.unsafe_mode || wildcard && at == 0) {
            if function.size == 0 {
                return refuse_unsafe(format!(
                    "Could not determine boundary for {name} (symbol has size 0)."
                ));
            }
            if at >= function.size {
                return said(format!(
                    "Offset outside the function bounds ('{name}' size is {})",
                    function.size
                ));
            }
            self.check_boundary(function, at)?;
        }
        let language = if cpp { "cpp:" } else { "" };
        let plus = if at > 0 { format!("+{at}") } else { String::new() };
        let address = function.address.wrapping_add(at);
        self.found(address, Some(function), &format!("{language}{name}{plus}"), wildcard || self.many)
    }

    fn address(&self, address: u64) -> Result<Match, Problem> {
        let Place { provider, options, .. } = self.place;
        let (provider, on_return) = (provider.name, provider.name == URETPROBE.name);
        let spelled = address.to_string();
        if options.unsafe_mode && !self.space.is_program(self.file) {
            // Of a file without a structure that tells where it is loaded, the place is meant.
            let file = self.file.to_owned();
            let attach =
                Uprobe { file: file.clone(), path: file, offset: address, on_return, ..Uprobe::default() };
            let name = format!("{provider}:{}:{spelled}", self.file);
            return Ok(Match { name, attach: Attach::Uprobe(attach), wildcard: self.many, unverified: None });
        }
        let function = self.space.function_at(self.file, address)?;
        match &function {
            None if !options.unsafe_mode => {
                return refuse_unsafe(format!(
                    "Could not determine instruction boundary for {provider}:{}:{spelled} (binary appears stripped).",
                    self.file
                ));
            }
            Some(function) if on_return && address != function.address => {
                return said(format!(
                    "uretprobes cannot be attached at function offset. (address resolved to: {}+{})",
                    function.name,
                    address - function.address
                ));
            }
            Some(function) if !options.unsafe_mode => {
                self.check_boundary(function, address - function.address)?;
            }
            _ => {}
        }
        self.found(address, function.as_ref(), &spelled, self.many)
    }

    fn check_boundary(&self, function: &Function, offset: u64) -> Result<(), Problem> {
        if offset == 0 || self.space.begins_instruction(self.file, function, offset)? {
            return Ok(());
        }
        refuse_unsafe(format!(
            "Could not add {} into middle of instruction: {}:{}+{offset}",
            self.place.provider.name, self.file, function.name
        ))
    }

    fn found(
        &self,
        address: u64,
        function: Option<&Function>,
        spelled: &str,
        wildcard: bool,
    ) -> Result<Match, Problem> {
        let Some((path, offset)) = self.space.place(self.file, address)? else {
            return said(format!("Could not resolve address: {}:{address:#x}", self.file));
        };
        let provider = self.place.provider.name;
        let attach = Uprobe {
            path,
            offset,
            address,
            file: self.file.to_owned(),
            function: function.map(|function| function.name.clone()),
            entry: function.map(|function| function.address).filter(|entry| *entry == address),
            on_return: provider == URETPROBE.name,
        };
        Ok(Match {
            name: format!("{provider}:{}:{spelled}", self.file),
            attach: Attach::Uprobe(attach),
            wildcard,
            unverified: None,
        })
    }
}

/// What the author may have meant by a function that does not exist.
fn nearest(provider: &str, world: &dyn World, parts: &[String]) -> Option<String> {
    let space = world.user_space();
    let [target, .., wanted] = parts else { return None };
    let (wanted, _) = split_offset(wanted.trim_matches('*')).ok()?;
    let files = space.files(target).ok()?;
    let file = files.first()?;
    let functions = space.functions(file).ok()?;
    let near = suggest(wanted, functions.iter().map(|function| function.name.as_str()))?;
    Some(format!("{provider}:{file}:{near}"))
}

fn list(
    provider: &str,
    world: &dyn World,
    detailed: bool,
    parts: &[&str],
) -> Result<Vec<Listed>, WorldError> {
    let space = world.user_space();
    let (target, cpp, name) = match *parts {
        // Without a process, all functions of all programs would be too many.
        [name] if space.has_process() => ("", false, name),
        [target, name] => (target, false, name),
        [target, "cpp", name] => (target, true, name),
        _ => return Ok(Vec::new()),
    };
    if target.is_empty() && !space.has_process() || target == "*" && !space.has_process() {
        return Ok(Vec::new());
    }
    let name = or_all(name);
    let mut listed = Vec::new();
    for file in space.files(target)? {
        let Ok(functions) = space.functions(&file) else { continue };
        let fits = |function: &&Function| {
            pattern::matches(name, &function.name)
                || cpp
                    && space.cpp_name(&function.name).is_some_and(|cpp| {
                        pattern::matches(name, &cpp.full) || pattern::matches(name, &cpp.without_params)
                    })
        };
        let functions: Vec<&Function> = functions.iter().filter(fits).collect();
        let addresses: Vec<u64> = functions.iter().map(|function| function.address).collect();
        let types = if detailed { space.types(&file, &addresses).ok().flatten() } else { None };
        for function in functions {
            let language = if cpp { "cpp:" } else { "" };
            let mut entry = Listed::name(format!("{provider}:{file}:{language}{}", function.name));
            if let Some(types) = &types {
                entry.fields = crate::sema::params::listed(types, function.address);
            }
            listed.push(entry);
        }
    }
    listed.sort();
    listed.dedup_by(|a, b| a.name == b.name);
    Ok(listed)
}
