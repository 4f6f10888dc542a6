//! The options of the command line: one table, read in the manner of getopt_long(3).
//!
//! Options and other arguments may come in any order up to `--`, long options may be cut short as long as they
//! stay unambiguous, short options may be joined, and an argument may follow directly.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    Eval,
    List,
    Verbose,
    Quiet,
    Help,
    Version,
    Info,
    Pid,
    Command,
    DwarfPid,
    UsdtFileActivation,
    Output,
    Format,
    Buffering,
    RuntimeWarnings,
    NoWarnings,
    IncludeDir,
    IncludeFile,
    DebugInfo,
    TraceableFunctions,
    Unsafe,
    NoFeature,
    Mode,
    Test,
    Bench,
    ProbeFilter,
    Fmt,
    Aot,
    EmitElf,
    EmitLlvm,
    VerifyLlvmIr,
    DryRun,
    Debug,
    Btf,
}

/// One row of the table.
pub(super) struct Row {
    pub opt: Opt,
    pub short: Option<char>,
    pub long: Option<&'static str>,
    /// What its argument is called.
    pub argument: Option<&'static str>,
    pub group: Group,
    pub help: &'static str,
}

/// Where the help shows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Script,
    Process,
    Output,
    Types,
    Safety,
    Developer,
    /// Accepted for old habits' sake.
    Hidden,
}

impl Group {
    pub const SHOWN: [(Group, &'static str); 6] = [
        (Group::Script, "Scripts and probes"),
        (Group::Process, "Processes"),
        (Group::Output, "Output"),
        (Group::Types, "Types and symbols"),
        (Group::Safety, "What may be done"),
        (Group::Developer, "Looking inside"),
    ];
}

const fn flag(opt: Opt, short: Option<char>, long: &'static str, group: Group, help: &'static str) -> Row {
    Row { opt, short, long: Some(long), argument: None, group, help }
}

const fn with(
    opt: Opt,
    short: Option<char>,
    long: Option<&'static str>,
    argument: &'static str,
    group: Group,
    help: &'static str,
) -> Row {
    Row { opt, short, long, argument: Some(argument), group, help }
}

pub(super) const TABLE: &[Row] = &[
    with(Opt::Eval, Some('e'), None, "PROGRAM", Group::Script, "run this program"),
    flag(
        Opt::List,
        Some('l'),
        "list",
        Group::Script,
        "list the probes that match a pattern, or those of a script",
    ),
    flag(
        Opt::Verbose,
        Some('v'),
        "verbose",
        Group::Script,
        "say what is being done; with -l, show the fields of each probe",
    ),
    with(
        Opt::ProbeFilter,
        None,
        Some("probe-filter"),
        "REGEX",
        Group::Script,
        "attach only probes with a matching name",
    ),
    with(
        Opt::Pid,
        Some('p'),
        Some("pid"),
        "PID",
        Group::Process,
        "trace one process only, and end when it ends",
    ),
    with(
        Opt::Command,
        Some('c'),
        Some("cmd"),
        "COMMAND",
        Group::Process,
        "run a command once everything is attached, and end when it ends",
    ),
    with(
        Opt::DwarfPid,
        None,
        Some("dwarf-pid"),
        "PID",
        Group::Process,
        "let dw_ustack unwind the stacks of this process, too; may be repeated",
    ),
    flag(
        Opt::UsdtFileActivation,
        None,
        "usdt-file-activation",
        Group::Process,
        "accepted: the kernel activates USDT semaphores by file",
    ),
    with(Opt::Output, Some('o'), Some("output"), "FILE", Group::Output, "write results to a file"),
    with(Opt::Format, Some('f'), None, "FORMAT", Group::Output, "form of the results: text or json"),
    with(Opt::Buffering, Some('B'), None, "MODE", Group::Output, "hold results back: line, full or none"),
    flag(Opt::Quiet, Some('q'), "quiet", Group::Output, "do not say how many probes were attached"),
    flag(Opt::NoWarnings, None, "no-warnings", Group::Output, "leave out warnings"),
    flag(
        Opt::RuntimeWarnings,
        Some('k'),
        "warnings",
        Group::Output,
        "warn when memory cannot be read or a map lacks a key",
    ),
    with(Opt::IncludeDir, Some('I'), None, "DIR", Group::Types, "also look for included files here"),
    with(Opt::IncludeFile, None, Some("include"), "FILE", Group::Types, "include a C header"),
    with(
        Opt::DebugInfo,
        None,
        Some("debuginfo"),
        "DIR[:DIR]",
        Group::Types,
        "where separate debug information lies",
    ),
    with(
        Opt::TraceableFunctions,
        None,
        Some("traceable-functions"),
        "FILE",
        Group::Types,
        "the kernel functions that can be traced, one in each line, instead of the kernel's own list",
    ),
    flag(Opt::Unsafe, None, "unsafe", Group::Safety, "allow what can change the system"),
    with(
        Opt::NoFeature,
        None,
        Some("no-feature"),
        "FEATURE[,FEATURE]",
        Group::Safety,
        "do without features of the kernel",
    ),
    flag(Opt::DryRun, None, "dry-run", Group::Developer, "attach everything and end"),
    with(
        Opt::Debug,
        Some('d'),
        Some("debug"),
        "STAGE[,STAGE]",
        Group::Developer,
        "show a stage: ast, hir, ir, bpf, verifier, log, all",
    ),
    flag(Opt::Info, None, "info", Group::Developer, "show what the kernel can do"),
    with(Opt::Mode, None, Some("mode"), "MODE", Group::Developer, "test, bench, format, ..."),
    flag(Opt::Test, None, "test", Group::Developer, "run the script's tests"),
    flag(Opt::Bench, None, "bench", Group::Developer, "run the script's benchmarks"),
    flag(
        Opt::Fmt,
        None,
        "fmt",
        Group::Developer,
        "print the script in its usual form (-o FILE: replace FILE)",
    ),
    with(
        Opt::Aot,
        None,
        Some("aot"),
        "FILE",
        Group::Script,
        "do not run the script but write a program that does, on other machines, too",
    ),
    with(
        Opt::EmitElf,
        None,
        Some("emit-elf"),
        "FILE",
        Group::Developer,
        "do not run the script but write its programs to a BPF object",
    ),
    with(Opt::EmitLlvm, None, Some("emit-llvm"), "FILE", Group::Hidden, ""),
    flag(Opt::VerifyLlvmIr, None, "verify-llvm-ir", Group::Hidden, ""),
    flag(Opt::Btf, Some('b'), "btf", Group::Hidden, ""),
    flag(Opt::Version, Some('V'), "version", Group::Developer, "show the version"),
    flag(Opt::Help, Some('h'), "help", Group::Developer, "show this help"),
];

impl Opt {
    /// As a user spells it.
    pub fn spelled(self) -> String {
        TABLE.iter().find(|row| row.opt == self).map(Row::spelled).unwrap_or_default()
    }
}

impl Row {
    /// As a user spells it: `--pid`, or `-e` where there is no long form.
    pub fn spelled(&self) -> String {
        match (self.long, self.short) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => String::new(),
        }
    }
}

/// The command line, taken apart.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Options in order, with their arguments.
    pub options: Vec<(Opt, Option<OsString>)>,
    /// What is no option, up to `--`.
    pub operands: Vec<OsString>,
    /// What stands behind `--`.
    pub rest: Vec<OsString>,
}

/// Reads the arguments behind the program's name. The error is a sentence without the program's name.
pub(super) fn parse(args: &[OsString]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_bytes() {
            b"--" => {
                parsed.rest = args.cloned().collect();
                break;
            }
            [b'-', b'-', long @ ..] => parsed.options.push(long_option(long, &mut args)?),
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                short_options(cluster, &mut args, &mut parsed.options)?
            }
            _ => parsed.operands.push(arg.clone()),
        }
    }
    Ok(parsed)
}

fn long_option<'a>(
    text: &[u8],
    args: &mut impl Iterator<Item = &'a OsString>,
) -> Result<(Opt, Option<OsString>), String> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        Some(at) => (&text[..at], Some(OsString::from_vec(text[at + 1..].to_vec()))),
        None => (text, None),
    };
    let name = String::from_utf8_lossy(name);
    let row = match TABLE.iter().find(|row| row.long == Some(&*name)) {
        Some(row) => row,
        None => {
            let possible: Vec<&Row> =
                TABLE.iter().filter(|row| row.long.is_some_and(|long| long.starts_with(&*name))).collect();
            match *possible {
                [row] => row,
                [] => return Err(format!("unrecognized option '--{}'", String::from_utf8_lossy(text))),
                _ => {
                    let mut all: Vec<_> =
                        possible.iter().map(|row| format!(" '{}'", row.spelled())).collect();
                    all.sort();
                    return Err(format!("option '--{name}' is ambiguous; possibilities:{}", all.concat()));
                }
            }
        }
    };
    let value = match (row.argument, value) {
        (None, Some(_)) => return Err(format!("option '{}' doesn't allow an argument", row.spelled())),
        (None, None) => None,
        (Some(_), Some(value)) => Some(value),
        (Some(_), None) => {
            let next =
                args.next().ok_or_else(|| format!("option '{}' requires an argument", row.spelled()))?;
            Some(next.clone())
        }
    };
    Ok((row.opt, value))
}

fn short_options<'a>(
    mut cluster: &[u8],
    args: &mut impl Iterator<Item = &'a OsString>,
    options: &mut Vec<(Opt, Option<OsString>)>,
) -> Result<(), String> {
    while let [letter, rest @ ..] = cluster {
        let letter = char::from(*letter);
        let row = TABLE
            .iter()
            .find(|row| row.short == Some(letter))
            .ok_or_else(|| format!("invalid option -- '{}'", letter.escape_default()))?;
        if row.argument.is_none() {
            options.push((row.opt, None));
            cluster = rest;
            continue;
        }
        let value = if rest.is_empty() {
            args.next().cloned().ok_or_else(|| format!("option requires an argument -- '{letter}'"))?
        } else {
            OsStr::from_bytes(rest).to_owned()
        };
        options.push((row.opt, Some(value)));
        break;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Parsed, String> {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        parse(&args)
    }

    #[test]
    fn options_may_stand_anywhere() {
        let parsed = read(&["file.bt", "-qe", "x", "-fjson", "1", "--", "-v"]).unwrap();
        assert_eq!(parsed.operands, ["file.bt", "1"]);
        assert_eq!(parsed.rest, ["-v"]);
        assert_eq!(
            parsed.options,
            [(Opt::Quiet, None), (Opt::Eval, Some("x".into())), (Opt::Format, Some("json".into()))]
        );
    }

    #[test]
    fn long_options_may_be_cut_short() {
        assert_eq!(read(&["--verb"]).unwrap().options, [(Opt::Verbose, None)]);
        assert_eq!(read(&["--pi=3"]).unwrap().options, [(Opt::Pid, Some("3".into()))]);
        assert_eq!(read(&["--cmd", "ls"]).unwrap().options, [(Opt::Command, Some("ls".into()))]);
        let ambiguous = read(&["--de"]).unwrap_err();
        assert_eq!(ambiguous, "option '--de' is ambiguous; possibilities: '--debug' '--debuginfo'");
    }

    #[test]
    fn what_is_wrong_is_said_as_getopt_says_it() {
        assert_eq!(read(&["--bogus=1"]).unwrap_err(), "unrecognized option '--bogus=1'");
        assert_eq!(read(&["-d"]).unwrap_err(), "option requires an argument -- 'd'");
        assert_eq!(read(&["-qZ"]).unwrap_err(), "invalid option -- 'Z'");
        assert_eq!(read(&["--quiet=1"]).unwrap_err(), "option '--quiet' doesn't allow an argument");
        assert_eq!(read(&["--output"]).unwrap_err(), "option '--output' requires an argument");
    }

    #[test]
    fn a_single_dash_is_an_operand() {
        assert_eq!(read(&["-"]).unwrap().operands, ["-"]);
    }
}
