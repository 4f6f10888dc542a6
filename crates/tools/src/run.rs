//! What all tools do alike: compile the script, run it, show what it emits, tell
//! what was lost.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use skep_trace::sink::{Data, Event, MapEntry};
use skep_trace::{CompileOptions, Error, KernelWorld, Notice, Session, Sink};
use skep_ui::{Colors, SourceMap};

use crate::flags::CommonFlags;
use crate::row::Row;
use crate::who::Filter;

/// A tool's script and how to run it.
pub struct Run<'a> {
    /// The tool, as messages call it.
    pub name: &'static str,
    /// Its script.
    pub script: &'a str,
    /// The script's positional parameters, for its attach points.
    pub params: Vec<String>,
    /// Its named parameters (`getopt`): constants when it is compiled, so that what is not asked for costs nothing.
    pub named: Vec<(&'static str, String)>,
    /// Settings of the script.
    pub config: Vec<(String, String)>,
    /// Whom it looks at.
    pub filter: Filter,
    /// The flags every tool has.
    pub flags: &'a CommonFlags,
    /// What is known of the kernel; tools that have several ways ask it which one there is.
    pub world: KernelWorld,
}

impl<'a> Run<'a> {
    /// A script without parameters that looks at everybody.
    pub fn new(name: &'static str, script: &'a str, flags: &'a CommonFlags) -> Run<'a> {
        Run {
            name,
            script,
            params: Vec::new(),
            named: Vec::new(),
            config: Vec::new(),
            filter: Filter::default(),
            flags,
            world: KernelWorld::new(),
        }
    }
}

/// A flag as the value of a named parameter.
pub fn switch(on: bool) -> String {
    u32::from(on).to_string()
}

/// A number as the value of a parameter; 0 stands for none.
pub fn number(number: Option<u32>) -> String {
    number.unwrap_or(0).to_string()
}

/// What a tool makes of what its script emits.
pub trait View {
    /// Everything is attached.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }

    /// The script printed a record.
    fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let _ = (row, out);
        Ok(())
    }

    /// The script printed a map: its name without the `@`, and its entries, least value first.
    fn map(&mut self, name: &str, entries: Vec<MapEntry>, out: &mut dyn Write) -> io::Result<()> {
        let _ = (name, entries, out);
        Ok(())
    }

    /// Nothing more will come.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }
}

/// Runs a tool.
pub fn run(run: Run<'_>, view: impl View) -> ExitCode {
    let script = run.filter.put_before(run.script, &run.world);
    if run.flags.script {
        let script = with_values(&script, &run.params, &run.named);
        return match io::stdout().write_all(script.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let (name, mut sources) = (run.name, SourceMap::new());
    match trace(run, &script, view, &mut sources) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let colors = if io::stderr().is_terminal() { Colors::Always } else { Colors::Never };
            eprint!("{name}: {}", error.render(&sources, colors));
            ExitCode::FAILURE
        }
    }
}

fn trace(run: Run<'_>, script: &str, view: impl View, sources: &mut SourceMap) -> Result<(), Error> {
    let out = match &run.flags.output {
        Some(path) => Out::File(File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write to {}: {error}", path.display()))
        })?),
        None => Out::Stdout(io::stdout()),
    };
    let file = sources.add(run.name, script);
    let mut config = run.config;
    config.push(("print_maps_on_exit".into(), "false".into()));
    let pages = run.flags.buffer_pages.unwrap_or_else(buffer_pages);
    config.push(("perf_rb_pages".into(), pages.to_string()));
    let pinned = run.filter.pinned();
    let options = CompileOptions {
        params: run.params,
        named: run.named.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect(),
        has_command: run.filter.command.is_some(),
        config,
        ..Default::default()
    };
    let compiled = skep_trace::compile(sources, file, &options, &run.world).map_err(Error::Script)?;
    let mut session = Session::load(
        compiled.artifact,
        skep_trace::Options {
            command: run.filter.command,
            pinned,
            duration: run.flags.duration,
            signals: true,
            tracefs: run.world.opened_tracefs(),
            notices: run.flags.verbose.then(|| Box::new(|notice: &Notice<'_>| tell(notice)) as _),
            ..Default::default()
        },
    )?;
    session.attach()?;
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut shown = Shown { name: run.name, out, view, verbose: run.flags.verbose, failures: 0 };
    shown.begin().or_else(quietly)?;
    session.run(&mut shown)?;
    shown.end().or_else(quietly)?;
    Ok(())
}

/// Pages of 4 KiB that rows may wait in, if no number was asked for: for each CPU as many as BCC's tools have, within
/// limits. The ring is mapped twice, one after the other, and all of it counts as the tool's memory.
fn buffer_pages() -> u32 {
    const PER_CPU: usize = 64;
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cpus.saturating_mul(PER_CPU)).unwrap_or(u32::MAX).clamp(512, 2048)
}

/// The script with what it is given in its place, so that it can be run by itself.
fn with_values(script: &str, params: &[String], named: &[(&'static str, String)]) -> String {
    let mut whole = script.to_owned();
    for (index, value) in params.iter().enumerate().rev() {
        whole = whole.replace(&format!("${}", index + 1), value);
    }
    for (name, value) in named {
        let call = format!("getopt(\"{name}\", ");
        let mut pieces = whole.split(&call);
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            filled.push_str(value);
            filled.push_str(piece.split_once(')').map_or("", |(_, rest)| rest));
        }
        whole = filled;
    }
    whole
}

/// Tells which probes were chosen.
fn tell(notice: &Notice<'_>) {
    match notice {
        Notice::Attaching(probe) => eprintln!("probe: {probe}"),
        Notice::Served(probe, by) => eprintln!("probe: {probe} is served by {by}"),
        Notice::Missing(probe, why) => eprintln!("probe: {probe} is left out: {why}"),
        Notice::Attached => eprintln!("all probes are attached"),
        _ => {}
    }
}

/// The time as scripts have it in `nsecs`.
pub fn now() -> u64 {
    skep_trace::host::nsecs()
}

/// That nobody reads any more is an end like any other.
fn quietly(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Where the rows go.
enum Out {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stdout(out) => out.write(bytes),
            Out::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout(out) => out.flush(),
            Out::File(out) => out.flush(),
        }
    }
}

impl AsFd for Out {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Out::Stdout(out) => out.as_fd(),
            Out::File(out) => out.as_fd(),
        }
    }
}

/// Shows things as they come, and all of them at once when nothing more is there.
struct Shown<V> {
    name: &'static str,
    out: BufWriter<Out>,
    view: V,
    /// Whether all is told.
    verbose: bool,
    /// How often the script's side in the kernel could not do what it should.
    failures: u64,
}

impl<V: View> Shown<V> {
    fn begin(&mut self) -> io::Result<()> {
        self.view.begin(&mut self.out)?;
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.view.end(&mut self.out)?;
        self.out.flush()?;
        if self.failures > 0 {
            eprintln!("{}: {} entries found no room in the kernel's maps", self.name, self.failures);
        }
        Ok(())
    }
}

impl<V: View> Sink for Shown<V> {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Value(value) => {
                let data = Data::from(value);
                match Row::new(&data) {
                    Some(row) => self.view.row(&row, &mut self.out),
                    None => Ok(()),
                }
            }
            Event::Map(map) => {
                let name = map.name.strip_prefix('@').unwrap_or(map.name);
                self.view.map(name, map.to_entries(), &mut self.out)
            }
            Event::HelperError { .. } => {
                self.failures += 1;
                Ok(())
            }
            Event::Lost { total, probes } => {
                self.out.flush()?;
                eprintln!("{}: {total} events were lost; more --buffer-pages may help", self.name);
                if self.verbose {
                    for (probe, count) in probes {
                        eprintln!("lost: {count} of {probe}");
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn idle(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn output(&self) -> Option<BorrowedFd<'_>> {
        Some(self.out.get_ref().as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::with_values;

    #[test]
    fn a_printed_script_needs_no_parameters() {
        let script = "interval:s:$1 { if (getopt(\"a\", 0) == 1 && getopt(\"b\", -1) == $2) { } }";
        let printed = with_values(script, &["5".into(), "7".into()], &[("a", "3".into()), ("b", "4".into())]);
        assert_eq!(printed, "interval:s:5 { if (3 == 1 && 4 == 7) { } }");
    }
}
