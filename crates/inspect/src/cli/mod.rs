//! From a command line to its command: options, keywords, errors, exit statuses.

mod batch;
mod options;
mod words;

use std::ffi::OsString;
use std::io::{self, Write};

use skep_kernel::features::Features;

use crate::commands::{self, Body, Command, Object};
use crate::error::{Error, FAILED, Result};
use crate::json::Writer;

pub(crate) use batch::run as batch;
pub(crate) use options::{Form, Options};
use options::{Stop, parse};
pub(crate) use words::{Words, is_prefix};

/// What a command works with.
pub(crate) struct Session<'a> {
    /// The name under which the program is called.
    pub(crate) program: String,
    pub(crate) options: Options,
    /// What the kernel can do, and may be asked to.
    pub(crate) features: &'a Features,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    /// Whether lists for people have colours.
    pub(crate) colours: bool,
    /// How deep in other JSON the command's own stands.
    depth: usize,
    /// How many JSON values have been written.
    values: usize,
}

/// Runs a command line.
pub(crate) fn run(args: &[OsString], out: &mut dyn Write, err: &mut dyn Write, colours: bool) -> u8 {
    let program = args.first().map_or_else(|| "bpftool".into(), base_name);
    let (options, parsed) = parse(args.get(1..).unwrap_or_default());
    let mut out = io::BufWriter::with_capacity(1 << 16, out);
    let _log = options.debug.then(log_to_stderr);
    let features = Features::new();
    for feature in &options.without {
        features.disable(feature.name());
    }
    let mut session =
        Session { program, options, features: &features, out: &mut out, err, colours, depth: 0, values: 0 };
    let result = match parsed {
        Ok(words) => session.run(&words),
        Err(stop) => session.stop(stop),
    };
    let result = result.and_then(|status| session.finish().map(|()| status));
    // Nobody is left to be told that nobody reads.
    result.unwrap_or(FAILED)
}

/// What the layers below tell of their work goes to standard error until the guard is gone (`-d`).
fn log_to_stderr() -> tracing::subscriber::DefaultGuard {
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(io::stderr)
        .finish();
    tracing::subscriber::set_default(log)
}

impl Session<'_> {
    /// Whether output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.options.form != Form::Plain
    }

    /// The writer of the command's one JSON value.
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        self.values += 1;
        Writer::new(self.out, self.options.form == Form::Pretty, self.depth)
    }

    /// Writes the command's one JSON value.
    pub(crate) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        self.writer().value(value)
    }

    /// Says something beside the output. In JSON there is no place for it.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        if self.is_json() { Ok(()) } else { writeln!(self.err, "{text}") }
    }

    /// Runs a command and says what went wrong.
    pub(crate) fn execute(&mut self, words: &[OsString]) -> io::Result<u8> {
        let (object, result) = self.dispatch(words);
        self.outcome(object, result)
    }

    fn run(&mut self, words: &[OsString]) -> io::Result<u8> {
        if self.options.version {
            let result = commands::version(self);
            return self.outcome(&commands::TOP, result);
        }
        self.execute(words)
    }

    fn dispatch(&mut self, words: &[OsString]) -> (&'static Object, Result<u8>) {
        let Some((word, rest)) = words.split_first() else {
            return (&commands::TOP, self.help(&commands::TOP));
        };
        let Some(entry) = find(commands::TOP.commands, word) else {
            return (&commands::TOP, Err(Error::Usage));
        };
        match &entry.body {
            Body::Object(object) => {
                let (command, word, rest) = match rest.split_first() {
                    Some((word, rest)) => (find(object.commands, word), word, rest),
                    // Without a word it is the first command of the table.
                    None => (object.commands.first(), word, rest),
                };
                let Some(command) = command else { return (object, Err(Error::Usage)) };
                (object, self.command(object, command, word, rest))
            }
            _ => (&commands::TOP, self.command(&commands::TOP, entry, word, rest)),
        }
    }

    fn command(
        &mut self,
        object: &'static Object,
        command: &'static Command,
        word: &OsString,
        words: &[OsString],
    ) -> Result<u8> {
        match &command.body {
            Body::Run(run) => run(self, &mut Words::new(word, words)),
            Body::Help => self.help(object),
            Body::Object(object) => self.help(object),
            Body::Later => {
                let what = [object.name, command.name].join(" ");
                Err(Error::Message(format!(
                    "'{}' changes or makes objects, which is not part of this version yet; it shows all that there is",
                    what.trim_start()
                )))
            }
        }
    }

    fn help(&mut self, object: &Object) -> Result<u8> {
        self.usage(object)?;
        Ok(0)
    }

    /// Says how an object's commands are written: to people on the error stream, to programs as nothing.
    fn usage(&mut self, object: &Object) -> io::Result<()> {
        if self.is_json() {
            return self.json(&());
        }
        self.err.write_all(commands::usage(object, &self.program).as_bytes())
    }

    /// Says what went wrong and turns it into an exit status.
    fn outcome(&mut self, object: &Object, result: Result<u8>) -> io::Result<u8> {
        let error = match result {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        let status = error.status();
        match error {
            Error::Output(error) => return Err(error),
            Error::NoMatch => {
                if self.is_json() {
                    self.json(&())?;
                }
            }
            Error::Usage => self.usage(object)?,
            Error::Misused(_) => {
                self.say(&error)?;
                if !self.is_json() {
                    self.usage(object)?;
                }
            }
            Error::Message(_) | Error::Status(..) | Error::Refused(_) => self.say(&error)?,
        }
        Ok(status)
    }

    fn say(&mut self, error: &Error) -> io::Result<()> {
        let (errno, hint) = match error {
            Error::Refused(refusal) => (refusal.errno, refusal.hint.as_deref()),
            _ => (None, None),
        };
        // A second value would make the output invalid; it takes a command that fails in the middle of one.
        if self.is_json() && self.values == 0 {
            return self.json(&error_value(error));
        }
        self.out.flush()?;
        writeln!(self.err, "Error: {error}")?;
        match (errno, hint) {
            (Some(errno), Some(hint)) => writeln!(self.err, "  hint: {errno}: {hint}"),
            (Some(errno), None) => writeln!(self.err, "  hint: the errno is {errno}"),
            (None, Some(hint)) => writeln!(self.err, "  hint: {hint}"),
            (None, None) => Ok(()),
        }
    }

    fn stop(&mut self, stop: Stop) -> io::Result<u8> {
        match stop {
            Stop::Help => {
                self.usage(&commands::TOP)?;
                Ok(0)
            }
            Stop::Unknown(word) => {
                self.say(&Error::Message(format!("unrecognized option '{word}'")))?;
                if !self.is_json() {
                    self.usage(&commands::TOP)?;
                }
                Ok(FAILED)
            }
            Stop::Refused(error) => self.outcome(&commands::TOP, Err(error)),
        }
    }

    /// JSON output ends with a newline, even if there was nothing to say.
    fn finish(&mut self) -> io::Result<()> {
        if self.is_json() {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()?;
        self.err.flush()
    }
}

/// An error as JSON. The errno's name and the hint stand beside the words of the original.
pub(crate) fn error_value(error: &Error) -> serde_json::Value {
    let mut value = serde_json::json!({ "error": error.to_string() });
    if let (Error::Refused(refusal), Some(object)) = (error, value.as_object_mut()) {
        object.extend(refusal.errno.map(|errno| ("errno".to_owned(), errno.into())));
        object.extend(refusal.hint.as_ref().map(|hint| ("hint".to_owned(), hint.as_str().into())));
    }
    value
}

/// The first entry that has the word as a prefix; words may be cut short.
fn find(commands: &'static [Command], word: &OsString) -> Option<&'static Command> {
    let word = word.to_str()?;
    commands.iter().find(|command| command.name.starts_with(word))
}

fn base_name(path: &OsString) -> String {
    let path = std::path::Path::new(path);
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
