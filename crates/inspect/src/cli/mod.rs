//! From a command line to its command: options, keywords, errors, exit statuses.

mod options;

use std::ffi::OsString;
use std::io::{self, Write};

use crate::commands::{self, Body, Command, Object};
use crate::error::{Error, FAILED, Result};
use crate::json;

pub(crate) use options::{Form, Options};
use options::{Stop, parse};

/// What a command works with.
pub(crate) struct Session<'a> {
    /// The name under which the program is called.
    pub(crate) program: String,
    pub(crate) options: Options,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
}

/// Runs a command line.
pub(crate) fn run(args: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let program = args.first().map_or_else(|| "bpftool".into(), base_name);
    let (options, parsed) = parse(args.get(1..).unwrap_or_default());
    let mut session = Session { program, options, out, err };
    let result = match parsed {
        Ok(words) => session.run(&words),
        Err(stop) => session.stop(stop),
    };
    let result = result.and_then(|status| session.finish().map(|()| status));
    // Nobody is left to be told that nobody reads.
    result.unwrap_or(FAILED)
}

impl Session<'_> {
    /// Whether output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.options.form != Form::Plain
    }

    /// Writes a JSON value.
    pub(crate) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        json::write(self.out, value, self.options.form == Form::Pretty)
    }

    fn run(&mut self, words: &[OsString]) -> io::Result<u8> {
        if self.options.version {
            let result = commands::version(self);
            return self.outcome(&commands::TOP, result);
        }
        let (object, result) = self.dispatch(words);
        self.outcome(object, result)
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
                let (command, rest) = match rest.split_first() {
                    Some((word, rest)) => (find(object.commands, word), rest),
                    // Without a word it is the first command of the table.
                    None => (object.commands.first(), rest),
                };
                let Some(command) = command else { return (object, Err(Error::Usage)) };
                (object, self.command(object, command, rest))
            }
            _ => (&commands::TOP, self.command(&commands::TOP, entry, rest)),
        }
    }

    fn command(
        &mut self,
        object: &'static Object,
        command: &'static Command,
        words: &[OsString],
    ) -> Result<u8> {
        match &command.body {
            Body::Run(run) => run(self, words),
            Body::Help => self.help(object),
            Body::Object(object) => self.help(object),
            Body::Later => {
                let what = [object.name, command.name].join(" ");
                Err(Error::Message(format!(
                    "'{}' is not part of this version; it has {}",
                    what.trim_start(),
                    commands::present()
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
            return self.out.write_all(b"null");
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
            Error::NoMatch => {}
            Error::Usage => self.usage(object)?,
            Error::Message(_) | Error::Status(..) => self.say(&error.to_string())?,
        }
        Ok(status)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        if self.is_json() {
            return self.json(&serde_json::json!({ "error": text }));
        }
        writeln!(self.err, "Error: {text}")
    }

    fn stop(&mut self, stop: Stop) -> io::Result<u8> {
        match stop {
            Stop::Help => {
                self.usage(&commands::TOP)?;
                Ok(0)
            }
            Stop::Unknown(word) => {
                self.say(&format!("unrecognized option '{word}'"))?;
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

/// The first entry that has the word as a prefix; words may be cut short.
fn find(commands: &'static [Command], word: &OsString) -> Option<&'static Command> {
    let word = word.to_str()?;
    commands.iter().find(|command| command.name.starts_with(word))
}

fn base_name(path: &OsString) -> String {
    let path = std::path::Path::new(path);
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
