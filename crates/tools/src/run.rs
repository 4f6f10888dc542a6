//! What all tools do alike: read flags, compile the script, run it, print rows,
//! tell what was lost.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use skep_trace::sink::{Data, Event};
use skep_trace::{CompileOptions, Error, KernelWorld, Session, Sink};
use skep_ui::{Colors, SourceMap};

use crate::lines::{Line, View};
use crate::row::Row;

/// Flags that every tool has.
#[derive(clap::Args)]
pub struct CommonFlags {
    /// Print the script that the tool runs, and stop
    #[arg(long)]
    pub script: bool,
    /// Leave out the header
    #[arg(long)]
    pub no_header: bool,
}

/// A tool's script and how to run it.
pub struct Run<'a> {
    /// The tool, as messages call it.
    pub name: &'static str,
    /// Its script.
    pub script: &'static str,
    /// The script's positional parameters: constants when it is compiled, so that
    /// what is not asked for costs nothing.
    pub params: Vec<String>,
    /// Seconds after which it ends.
    pub duration: Option<u64>,
    /// The flags every tool has.
    pub flags: &'a CommonFlags,
}

/// Reads a tool's flags; help and mistakes are told and give the exit status.
pub fn parse<T: clap::Parser>(name: &str, args: &[OsString]) -> Result<T, ExitCode> {
    let words = std::iter::once(OsString::from(name)).chain(args.iter().cloned());
    T::try_parse_from(words).map_err(|error| {
        // Where the text goes and whether that worked changes nothing for us.
        let _ = error.print();
        if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    })
}

/// Runs a tool that prints a line for each record its script prints. `fill` gets
/// each of them and an empty line; a line left empty is not printed.
pub fn run<F>(run: Run<'_>, view: View, fill: F) -> ExitCode
where
    F: FnMut(&Row<'_>, &mut Line<'_>),
{
    if run.flags.script {
        return match io::stdout().write_all(run.script.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let mut sources = SourceMap::new();
    match trace(&run, view, fill, &mut sources) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let colors = if io::stderr().is_terminal() { Colors::Always } else { Colors::Never };
            eprint!("{}: {}", run.name, error.render(&sources, colors));
            ExitCode::FAILURE
        }
    }
}

fn trace<F>(run: &Run<'_>, view: View, fill: F, sources: &mut SourceMap) -> Result<(), Error>
where
    F: FnMut(&Row<'_>, &mut Line<'_>),
{
    let world = KernelWorld::new();
    let file = sources.add(run.name, run.script);
    let options = CompileOptions {
        params: run.params.clone(),
        config: vec![("print_maps_on_exit".into(), "false".into())],
        ..Default::default()
    };
    let compiled = skep_trace::compile(sources, file, &options, &world).map_err(Error::Script)?;
    let mut session = Session::load(
        compiled.artifact,
        skep_trace::Options {
            duration: run.duration.map(Duration::from_secs),
            signals: true,
            tracefs: world.opened_tracefs(),
            ..Default::default()
        },
    )?;
    session.attach()?;
    let mut rows = Rows { name: run.name, out: BufWriter::with_capacity(1 << 16, io::stdout()), view, fill };
    if !run.flags.no_header {
        rows.header().or_else(quietly)?;
    }
    session.run(&mut rows).map(drop)
}

fn quietly(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Prints rows as they come, and all of them at once when nothing more is there.
struct Rows<F> {
    name: &'static str,
    out: BufWriter<Stdout>,
    view: View,
    fill: F,
}

impl<F> Rows<F> {
    fn header(&mut self) -> io::Result<()> {
        self.view.header(&mut self.out)?;
        self.out.flush()
    }
}

impl<F: FnMut(&Row<'_>, &mut Line<'_>)> Sink for Rows<F> {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Value(value) => {
                let data = Data::from(value);
                let Some(row) = Row::new(&data) else { return Ok(()) };
                let mut line = self.view.line();
                (self.fill)(&row, &mut line);
                line.write(&mut self.out)
            }
            Event::Lost { total, .. } => {
                self.out.flush()?;
                eprintln!("{}: {total} events were lost", self.name);
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
