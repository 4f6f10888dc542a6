//! Where the results of a script go.
//!
//! The session decodes records and hands them on as typed [`Event`]s; a [`Sink`] gives them a form. There
//! is no other way out: text, JSON and what Rust callers get all come through here.

mod captured;
mod collect;
mod gfp;
mod json;
mod output;
mod printf;
mod stack;
mod text;
mod trial;
mod value;

use std::io;
use std::os::fd::BorrowedFd;

use skep_lang::hir::{Format, PrintTo};
use skep_ui::Span;

use crate::aggregate::Reduced;
use crate::decode::{Fields, Value};
use crate::maps::MapView;

pub use collect::{Collect, Data, MapEntry, Record};
pub use json::JsonSink;
pub use output::{Buffering, Output};
pub use printf::format as format_printf;
pub use text::TextSink;
pub use trial::Trial;

/// Something a script said, or something that happened to it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Everything is attached.
    Attached {
        /// Number of attach points, `BEGIN` and `END` included.
        probes: usize,
    },
    /// `printf`, `errorf`, `warnf`.
    Printf {
        /// Where to.
        to: PrintTo,
        /// How.
        format: &'a Format,
        /// One value for each conversion.
        args: Fields<'a>,
        /// The statement.
        span: Span,
    },
    /// `print(e)`
    Value(Value<'a>),
    /// `print(@m[k])` of an aggregation.
    Entry(&'a Reduced),
    /// `print(@m)`, and each map at the end.
    Map(&'a MapView<'a>),
    /// `time()`, formatted.
    Time(&'a str),
    /// What came from outside the script.
    Brought {
        /// How.
        by: Source,
        /// As it was.
        bytes: &'a [u8],
    },
    /// Something that the script asked for cannot be done.
    Problem(&'a str),
    /// A kernel helper failed.
    HelperError {
        /// As the kernel calls it, without `bpf_`.
        helper: &'a str,
        /// A negative errno.
        code: i64,
        /// The statement.
        span: Span,
    },
    /// Records or runs that were lost.
    Lost {
        /// All together.
        total: u64,
        /// Of each probe that lost any.
        probes: &'a [(String, u64)],
    },
    /// Something about the script's tests and benchmarks.
    Trial(Trial<'a>),
    /// All probes are done; what follows are the maps.
    Finished,
}

/// What brought text from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `cat()`: the beginning of a file.
    Cat,
    /// `system()`: what a command wrote.
    System,
    /// `join()`: several texts.
    Join,
}

/// Gives events a form.
pub trait Sink {
    /// Takes one event.
    ///
    /// # Errors
    ///
    /// Those of writing. [`io::ErrorKind::BrokenPipe`] means that nobody reads any more, and ends the script.
    fn event(&mut self, event: Event<'_>) -> io::Result<()>;

    /// Nothing more has happened for now: what is held back may be shown.
    ///
    /// # Errors
    ///
    /// As [`Sink::event`].
    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Shows everything that is held back.
    ///
    /// # Errors
    ///
    /// As [`Sink::event`].
    fn flush(&mut self) -> io::Result<()> {
        self.idle()
    }

    /// Where the results go. If it is something whose reader can go away, as a pipe, that ends the script, even
    /// while there is nothing to write.
    fn output(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// `s` unless there is exactly one.
pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests;
