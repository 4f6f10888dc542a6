//! What the command line asks for, checked and with its defaults.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skep_kernel::features::Features;
use skep_symbols::elf::DebugPath;
use skep_ui::{FileId, SourceMap};

use super::options::{Opt, Parsed};
use super::{compiler_bench, format, info, list, message, run};
use crate::session::Mode;
use crate::sink::Buffering;
use crate::world::unreadable_types;

/// A checked command line.
pub(super) struct Request {
    pub action: Action,
    /// `$1`, `$2`, ...
    pub params: Vec<String>,
    /// `--name=value`, for `getopt()`.
    pub named: Vec<(String, Option<String>)>,
    /// `--include`
    pub includes: Vec<String>,
    /// `-I`
    pub include_dirs: Vec<PathBuf>,
    pub verbose: bool,
    pub quiet: bool,
    pub warnings: bool,
    pub unsafe_mode: bool,
    pub runtime_warnings: bool,
    pub mode: Mode,
    /// The script is compiled and no more.
    pub compile_only: bool,
    pub dry_run: bool,
    /// `--aot`: where the script goes, with skep itself, instead of being run.
    pub aot: Option<PathBuf>,
    /// `--emit-elf`: where the programs go as a BPF object instead of being run.
    pub emit_elf: Option<PathBuf>,
    pub json: bool,
    pub output: Option<OsString>,
    pub buffering: Buffering,
    pub pid: Option<i32>,
    /// `--dwarf-pid`
    pub unwind: Vec<i32>,
    pub command: Option<Vec<OsString>>,
    pub stages: Stages,
    pub probe_filter: Option<regex::Regex>,
    pub traceable_functions: Option<PathBuf>,
    pub debug_path: DebugPath,
    pub features: Features,
}

/// What is to be done.
pub(super) enum Action {
    Run(Script),
    /// Probes that match a pattern.
    List(String),
    /// Probes of a script.
    ListScript(Script),
    /// A script is printed in its usual form.
    Format(Script),
    /// The compiler is measured on a script.
    MeasureCompiler(Script),
    Info,
}

/// A script's text.
pub(super) struct Script {
    pub sources: SourceMap,
    pub file: FileId,
}

/// Stages of the compiler that are to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stages {
    pub ast: bool,
    pub hir: bool,
    pub ir: bool,
    pub optimised: bool,
    pub bpf: bool,
    pub verifier: bool,
    pub log: bool,
}

impl Stages {
    const NAMES: &str = "'all', 'ast', 'hir' (or 'types'), 'ir' (or 'codegen'), 'codegen-opt', 'bpf' (or 'dis'), \
                         'verifier', 'log' (or 'libbpf')";

    fn read(text: &str) -> Result<Stages, String> {
        let mut stages = Stages::default();
        for name in text.split(',') {
            match name {
                "ast" | "parse" => stages.ast = true,
                "hir" | "types" => stages.hir = true,
                "ir" | "codegen" => stages.ir = true,
                "codegen-opt" => stages.optimised = true,
                "bpf" | "dis" => stages.bpf = true,
                "verifier" => stages.verifier = true,
                "log" | "libbpf" => stages.log = true,
                "all" => {
                    return Ok(Stages {
                        ast: true,
                        hir: true,
                        ir: true,
                        optimised: true,
                        bpf: true,
                        verifier: true,
                        log: true,
                    });
                }
                _ => {
                    return Err(format!(
                        "USAGE: invalid option for -d: {name}\nHINT: The stages are {}",
                        Stages::NAMES
                    ));
                }
            }
        }
        Ok(stages)
    }

    /// Whether the script is not to be run: stages of the compiler are shown, none of the kernel.
    pub fn stop_before_loading(self) -> bool {
        let compiler = self.ast || self.hir || self.ir || self.optimised || self.bpf;
        compiler && !self.verifier && !self.log
    }

    pub fn merge(self, other: Stages) -> Stages {
        Stages {
            ast: self.ast || other.ast,
            hir: self.hir || other.hir,
            ir: self.ir || other.ir,
            optimised: self.optimised || other.optimised,
            bpf: self.bpf || other.bpf,
            verifier: self.verifier || other.verifier,
            log: self.log || other.log,
        }
    }
}

/// The largest process id that any kernel gives.
const MOST_PID: i64 = 0x40_0000;

impl Request {
    /// Checks what was read from the command line. The error is a sentence for the user.
    pub fn new(parsed: Parsed) -> Result<Request, String> {
        let mut request = Request {
            action: Action::Info,
            params: Vec::new(),
            named: Vec::new(),
            includes: Vec::new(),
            include_dirs: Vec::new(),
            verbose: false,
            quiet: false,
            warnings: true,
            unsafe_mode: false,
            runtime_warnings: false,
            mode: Mode::Trace,
            compile_only: false,
            dry_run: false,
            aot: None,
            emit_elf: None,
            json: false,
            output: None,
            buffering: Buffering::Line,
            pid: None,
            unwind: Vec::new(),
            command: None,
            stages: Stages::default(),
            probe_filter: None,
            traceable_functions: None,
            debug_path: DebugPath::default(),
            features: Features::new(),
        };
        let (mut listing, mut info, mut program) = (false, false, None);
        let mut mode: Option<Way> = None;
        let mut debug_paths = Vec::new();
        for (opt, value) in parsed.options {
            let value = value.unwrap_or_default();
            let text = || text_of(&value);
            match opt {
                Opt::Eval => program = Some(text()?),
                Opt::List => listing = true,
                Opt::Info => info = true,
                Opt::Verbose => request.verbose = true,
                Opt::Quiet => request.quiet = true,
                Opt::NoWarnings => request.warnings = false,
                Opt::Unsafe => request.unsafe_mode = true,
                Opt::DryRun => request.dry_run = true,
                Opt::Aot => request.aot = Some(value.into()),
                Opt::EmitElf => request.emit_elf = Some(value.into()),
                Opt::Output => request.output = Some(value),
                Opt::Format => {
                    request.json = match text()?.as_str() {
                        "text" => false,
                        "json" => true,
                        other => {
                            return Err(format!(
                                "Invalid output format \"{other}\"\nValid formats: 'text', 'json'"
                            ));
                        }
                    }
                }
                Opt::Buffering => {
                    request.buffering = match text()?.as_str() {
                        "line" => Buffering::Line,
                        "full" => Buffering::Full,
                        "none" => Buffering::None,
                        _ => return Err("USAGE: -B must be either 'line', 'full', or 'none'.".into()),
                    }
                }
                Opt::RuntimeWarnings if request.runtime_warnings => {
                    return Err("USAGE: -kk has been deprecated. Use a single -k for runtime warnings for errors in map lookups and probe reads.".into());
                }
                Opt::RuntimeWarnings => request.runtime_warnings = true,
                Opt::Test | Opt::Bench | Opt::Fmt if mode.is_some() => {
                    return Err(format!("USAGE: {} conflicts with existing --mode", opt.spelled()));
                }
                Opt::Test => mode = Some(Way::Run(Mode::Test)),
                Opt::Bench => mode = Some(Way::Run(Mode::Bench)),
                Opt::Fmt => mode = Some(Way::Format),
                Opt::Mode => mode = Some(Way::read(&text()?)?),
                Opt::Pid => request.pid = Some(pid(&text()?)?),
                Opt::DwarfPid => request.unwind.push(pid(&text()?)?),
                Opt::Command => request.command = Some(words(&text()?)?),
                Opt::Debug => request.stages = request.stages.merge(Stages::read(&text()?)?),
                Opt::ProbeFilter => {
                    let regex = regex::Regex::new(&text()?);
                    let problem = |error| invalid_filter(&value.to_string_lossy(), &error);
                    request.probe_filter = Some(regex.map_err(problem)?);
                }
                Opt::TraceableFunctions => request.traceable_functions = Some(PathBuf::from(text()?)),
                Opt::IncludeDir => request.include_dirs.push(value.into()),
                Opt::IncludeFile => request.includes.push(text()?),
                Opt::DebugInfo => debug_paths.push(text()?),
                Opt::NoFeature => no_features(&text()?, &request.features)?,
                Opt::EmitLlvm => {
                    return Err("--emit-llvm: skep compiles without LLVM, so there is no LLVM IR to write.\n\
                                HINT: --emit-elf FILE writes the programs as a BPF object; -d ir, -d codegen-opt and \
                                -d bpf show what skep makes of a script"
                        .into());
                }
                // Others than these are understood and change nothing: our own form is verified anyway.
                Opt::Btf | Opt::VerifyLlvmIr | Opt::UsdtFileActivation | Opt::Help | Opt::Version => {}
            }
        }
        if !debug_paths.is_empty() {
            request.debug_path = DebugPath::parse(&debug_paths.join(":"));
        }
        if request.runtime_warnings && !request.warnings {
            return Err("USAGE: -k, --warnings conflicts with --no-warnings".into());
        }
        if request.pid.is_some() && request.command.is_some() {
            return Err("USAGE: Cannot use both -c and -p.".into());
        }
        let mut operands = parsed.operands.into_iter();
        let mut rest = parsed.rest.into_iter();
        // Without another, what stands behind the dashes begins with the script.
        let mut operand = || operands.next().or_else(|| rest.next());
        request.action = if info {
            Action::Info
        } else if let Some(program) = program {
            let script = Script::new("stdin", program);
            if listing { Action::ListScript(script) } else { Action::Run(script) }
        } else {
            match operand() {
                Some(path) if !listing => Action::Run(Script::read(&path)?),
                Some(path) if Path::new(&path).is_file() => Action::ListScript(Script::read(&path)?),
                Some(pattern) => Action::List(text_of(&pattern)?),
                None if listing => Action::List(String::new()),
                None => return Err("USAGE: filename or -e 'program' required.".into()),
            }
        };
        if matches!(request.action, Action::List(_))
            && let Some(extra) = operands.next()
        {
            let extra = extra.to_string_lossy();
            return Err(format!(
                "USAGE: -l takes one search pattern, and '{extra}' is a second one\n\
                 HINT: Separate several patterns by commas"
            ));
        }
        request.params = operands.map(|param| text_of(&param)).collect::<Result<_, _>>()?;
        for param in rest {
            let param = text_of(&param)?;
            match param.strip_prefix("--") {
                Some(named) => request.named.push(match named.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (named.to_owned(), None),
                }),
                None => request.params.push(param),
            }
        }
        match mode {
            None => {}
            Some(Way::Run(mode)) => request.mode = mode,
            Some(Way::CompileOnly) => request.compile_only = true,
            Some(Way::MeasureCompiler) => {
                request.action = match request.action {
                    Action::Run(script) => Action::MeasureCompiler(script),
                    other => other,
                };
            }
            Some(Way::Format) => {
                request.action = match request.action {
                    Action::Run(script) | Action::ListScript(script) => Action::Format(script),
                    other => other,
                };
            }
        }
        Ok(request)
    }

    /// Does it.
    pub fn perform(mut self) -> Result<ExitCode, String> {
        if self.stages.log {
            log_to_stderr();
        }
        if !matches!(self.action, Action::Info | Action::Format(_)) {
            self.check()?;
            if self.warnings
                && let Some(path) = unreadable_types()
            {
                message(&format!("WARNING: BTF: failed to parse BTF from {}\n", path.display()));
            }
            if let Some(wrong) = run::wrong_environment() {
                return Ok(wrong);
            }
        }
        match std::mem::replace(&mut self.action, Action::Info) {
            Action::Info => Ok(super::print(&info::report())),
            Action::List(pattern) => list::pattern(&pattern, &self),
            Action::ListScript(mut script) => list::script(&mut script, &self),
            Action::Format(script) => format::format(&script, &self),
            Action::MeasureCompiler(script) => Ok(compiler_bench::measure(&script, &self)),
            Action::Run(script) => run::run(script, self),
        }
    }
}

impl Request {
    /// Whether what it names can be read.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = &self.traceable_functions else { return Ok(()) };
        std::fs::File::open(path).map(|_| ()).map_err(|error| {
            let reason = skep_kernel::Errno::from(error).meaning();
            format!(
                "Failed to open kernel function info: Could not read functions from {}. ({reason})",
                path.display()
            )
        })
    }
}

impl Script {
    fn new(name: &str, text: String) -> Script {
        let mut sources = SourceMap::new();
        let file = sources.add(name, text);
        Script { sources, file }
    }

    /// Reads a script file; `-` is standard input.
    pub fn read(path: &OsStr) -> Result<Script, String> {
        let mut bytes = Vec::new();
        let (name, read) = if path == "-" {
            ("stdin".to_owned(), std::io::stdin().lock().read_to_end(&mut bytes))
        } else {
            let file = std::fs::File::open(path);
            (path.to_string_lossy().into_owned(), file.and_then(|mut file| file.read_to_end(&mut bytes)))
        };
        if let Err(error) = read {
            let reason = skep_kernel::Errno::from(error).meaning();
            return Err(format!("failed to open file '{name}': {reason}"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            format!("'{name}' is not UTF-8 text: see line {line}")
        })?;
        Ok(Script::new(&name, text))
    }
}

fn text_of(value: &OsStr) -> Result<String, String> {
    value
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("'{}' is not UTF-8 text", value.to_string_lossy()))
}

/// What `--mode` makes of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Run(Mode),
    CompileOnly,
    MeasureCompiler,
    Format,
}

impl Way {
    fn read(name: &str) -> Result<Way, String> {
        match name {
            "test" => Ok(Way::Run(Mode::Test)),
            "bench" => Ok(Way::Run(Mode::Bench)),
            "codegen" => Ok(Way::CompileOnly),
            "compiler-bench" => Ok(Way::MeasureCompiler),
            "format" => Ok(Way::Format),
            _ => {
                Err("USAGE: --mode can only be 'codegen', 'compiler-bench', 'bench', 'test' or 'format'."
                    .into())
            }
        }
    }
}

/// What is wrong with a regular expression, on one line; where, on those after it.
fn invalid_filter(filter: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    let why = why.strip_prefix("error: ").unwrap_or(why);
    format!("Invalid --probe-filter regex '{filter}': {why}")
}

/// A process id, in decimal or with `0x` in hexadecimal.
fn pid(text: &str) -> Result<i32, String> {
    let digits = text.trim_start();
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => digits.parse::<i64>(),
    };
    let number = number.map_err(|_| {
        let problem =
            if digits.starts_with(|c: char| c.is_ascii_digit()) { "trailing bytes" } else { "integer" };
        format!("Failed to parse pid: invalid {problem}: {text}")
    })?;
    if !(0..=MOST_PID).contains(&number) {
        return Err(format!("Pid out of range: {number}"));
    }
    i32::try_from(number).map_err(|_| format!("Pid out of range: {number}"))
}

/// The words of a command, quoted as for a shell.
fn words(text: &str) -> Result<Vec<OsString>, String> {
    shlex::split(text)
        .map(|words| words.into_iter().map(OsString::from).collect())
        .ok_or_else(|| format!("-c: a quote is not closed, or the text ends with a backslash: {text}"))
}

/// Every feature that is probed can be named, those that the original names among them.
fn no_features(text: &str, features: &Features) -> Result<(), String> {
    for name in text.split(',') {
        if !features.disable(name) {
            let known: Vec<_> = skep_kernel::features::Feature::all().map(|feature| feature.name()).collect();
            return Err(format!(
                "USAGE: --no-feature can only have values '{}'; {name:?} is none of them.",
                known.join(",")
            ));
        }
    }
    Ok(())
}

/// What the libraries log goes to standard error (`-d log`).
fn log_to_stderr() {
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(false)
        .finish();
    // It fails when somebody else already listens, who then hears it.
    let _ = tracing::subscriber::set_global_default(log);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options;

    fn request(args: &[&str]) -> Result<Request, String> {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        Request::new(options::parse(&args).unwrap())
    }

    fn problem(args: &[&str]) -> String {
        request(args).err().unwrap()
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_says_it() {
        assert_eq!(problem(&[]), "USAGE: filename or -e 'program' required.");
        assert_eq!(problem(&["-e", "x", "-c", "ls", "-p", "1"]), "USAGE: Cannot use both -c and -p.");
        assert_eq!(problem(&["-e", "x", "-p", "abc"]), "Failed to parse pid: invalid integer: abc");
        assert_eq!(problem(&["-e", "x", "-p", "99999999"]), "Pid out of range: 99999999");
        assert_eq!(
            problem(&["-e", "x", "-f", "xml"]),
            "Invalid output format \"xml\"\nValid formats: 'text', 'json'"
        );
        assert_eq!(problem(&["-e", "x", "-B", "foo"]), "USAGE: -B must be either 'line', 'full', or 'none'.");
        assert!(problem(&["-e", "x", "-d", "ast,foo"]).starts_with("USAGE: invalid option for -d: foo"));
        assert_eq!(
            problem(&["/does/not/exist"]),
            "failed to open file '/does/not/exist': No such file or directory"
        );
        assert!(problem(&["--emit-llvm", "x"]).starts_with("--emit-llvm: skep compiles without LLVM"));
        assert_eq!(problem(&["--dwarf-pid", "x", "-e", "x"]), "Failed to parse pid: invalid integer: x");
        assert_eq!(
            problem(&["-e", "x", "--probe-filter", "("]),
            "Invalid --probe-filter regex '(': unclosed group"
        );
        assert_eq!(
            problem(&["-e", "x", "--mode", "x"]),
            "USAGE: --mode can only be 'codegen', 'compiler-bench', 'bench', 'test' or 'format'."
        );
        assert_eq!(
            problem(&["-e", "x", "--test", "--bench"]),
            "USAGE: --bench conflicts with existing --mode"
        );
        assert_eq!(
            problem(&["-e", "x", "--mode", "test", "--fmt"]),
            "USAGE: --fmt conflicts with existing --mode"
        );
        assert!(
            request(&["-e", "x", "--fmt", "--mode", "test"]).is_ok_and(|request| request.mode == Mode::Test)
        );
        let unknown = problem(&["-e", "x", "--no-feature", "ringbuf,bogus"]);
        assert!(unknown.contains("\"bogus\"") && unknown.contains("attach_cookie,"), "{unknown}");
        assert!(request(&["-e", "x", "--no-feature", "kprobe_multi,kprobe_session,uprobe_multi"]).is_ok());
    }

    #[test]
    fn a_command_is_quoted_as_for_a_shell() {
        let command = request(&["-e", "x", "-c", r#"/bin/echo "a  b" c\ d 'e"f'"#]).unwrap().command.unwrap();
        assert_eq!(command, ["/bin/echo", "a  b", "c d", "e\"f"]);
        assert!(problem(&["-e", "x", "-c", "echo 'a"]).starts_with("-c: a quote is not closed"));
        // It is refused when it is looked for: it is no reason to trace everything.
        assert!(request(&["-e", "x", "-c", ""]).unwrap().command.unwrap().is_empty());
    }

    #[test]
    fn a_process_is_given_by_its_number() {
        let pid = |text| request(&["-e", "x", "-p", text]).map(|request| request.pid.unwrap());
        assert_eq!((pid("12"), pid("0x1f"), pid(" 3")), (Ok(12), Ok(31), Ok(3)));
        assert_eq!(pid("0xg"), Err("Failed to parse pid: invalid trailing bytes: 0xg".into()));
        assert_eq!(pid("-1"), Err("Pid out of range: -1".into()));
        assert_eq!(pid(""), Err("Failed to parse pid: invalid integer: ".into()));
    }

    #[test]
    fn the_script_may_stand_behind_the_dashes() {
        let request = request(&["-l", "--", "self:*", "x"]).unwrap();
        assert!(matches!(request.action, Action::List(pattern) if pattern == "self:*"));
        assert_eq!(request.params, ["x"]);
    }

    #[test]
    fn parameters_stand_before_and_behind_the_dashes() {
        let request = request(&["-e", "x", "1", "two", "--", "-3", "--a=b=c", "--d", "4"]).unwrap();
        assert_eq!(request.params, ["1", "two", "-3", "4"]);
        assert_eq!(request.named, [("a".into(), Some("b=c".into())), ("d".into(), None)]);
    }

    #[test]
    fn a_pattern_is_listed_and_a_script_is_run() {
        assert!(matches!(request(&["-l", "t:*"]).unwrap().action, Action::List(pattern) if pattern == "t:*"));
        assert!(matches!(request(&["-l"]).unwrap().action, Action::List(pattern) if pattern.is_empty()));
        assert!(matches!(request(&["-l", "-e", "x"]).unwrap().action, Action::ListScript(_)));
        assert!(matches!(request(&["-e", "x"]).unwrap().action, Action::Run(_)));
    }

    #[test]
    fn stages_of_the_compiler_stop_the_run() {
        assert!(Stages::read("ast,bpf").unwrap().stop_before_loading());
        assert!(!Stages::read("verifier").unwrap().stop_before_loading());
        assert!(!Stages::read("all").unwrap().stop_before_loading());
        assert!(!Stages::default().stop_before_loading());
    }
}
