//! bpftrace's text form.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use skep_lang::hir::{Format, PrintTo};
use skep_ui::{Colors, Diagnostic, Severity, SourceMap, Span};

use super::captured::Captured;
use super::output::{Output, push_foreign};
use super::value::{into_text, push_key, push_reduced, push_value};
use super::{Event, Sink, Source, Trial, plural, printf};
use crate::aggregate::Reduced;
use crate::decode::Fields;
use crate::maps::{EntryValue, MapView};

/// Writes text: results to one place, messages to another.
pub struct TextSink {
    out: Output,
    messages: Box<dyn Write + Send>,
    sources: SourceMap,
    quiet: bool,
    warnings: bool,
    escape_messages: bool,
    colors: Colors,
    /// What is said during the tests is shown with those that failed.
    captured: Option<Box<Captured>>,
}

impl TextSink {
    /// Results go to `out`, messages to `messages` (standard error). `sources` tells the places in messages.
    pub fn new(out: Output, messages: Box<dyn Write + Send>, sources: SourceMap) -> TextSink {
        let escape_messages = out.escapes();
        TextSink {
            out,
            messages,
            sources,
            quiet: false,
            warnings: true,
            escape_messages,
            colors: Colors::Never,
            captured: None,
        }
    }

    /// Leaves out how many probes were attached (`-q`).
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> TextSink {
        self.quiet = quiet;
        self
    }

    /// Whether text of other processes is escaped in messages; if not told, as it is in the results.
    #[must_use]
    pub fn escape_messages(mut self, escape: bool) -> TextSink {
        self.escape_messages = escape;
        self
    }

    /// Whether messages are coloured.
    #[must_use]
    pub fn colors(mut self, colors: Colors) -> TextSink {
        self.colors = colors;
        self
    }

    /// Whether warnings are shown (`--no-warnings`).
    #[must_use]
    pub fn warnings(mut self, warnings: bool) -> TextSink {
        self.warnings = warnings;
        self
    }

    /// A message goes out at once, after what was printed before it.
    fn message(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.idle()?;
        // Messages that nobody can read must not end the script.
        let _ = self.messages.write_all(text).and_then(|()| self.messages.flush());
        Ok(())
    }

    fn trial(&mut self, trial: &Trial<'_>) {
        match trial {
            Trial::Run { .. } => self.captured = Some(Box::new(Captured::new(self.sources.clone()))),
            Trial::Result { passed, .. } => {
                let said = self.captured.take().map(|mut captured| captured.take()).unwrap_or_default();
                if !passed {
                    self.out.buffer().extend_from_slice(said.as_bytes());
                }
            }
            Trial::Begin { .. } | Trial::End { .. } | Trial::Benchmarks(_) => {}
        }
        self.out.buffer().extend_from_slice(trial.text().as_bytes());
    }

    /// `errorf` and `warnf`.
    fn complaint(&mut self, to: PrintTo, format: &Format, args: Fields<'_>, span: Span) -> io::Result<()> {
        let is_error = to == PrintTo::Error;
        let mut text = place(&self.sources, span).into_bytes();
        text.extend_from_slice(if is_error { b"ERROR: " } else { b"WARNING: " });
        printf::format(&mut text, format, args, self.escape_messages);
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        let severity = if is_error { Severity::Error } else { Severity::Warning };
        let mut text = self.colors.paint(severity, &text);
        text.push(b'\n');
        // In a macro: where that was used, which goes on with where that was.
        if let Some(call) = self.sources.expansions(span.file).next() {
            let from = match is_error {
                true => Diagnostic::error(call, "expanded from"),
                false => Diagnostic::warning(call, "expanded from"),
            };
            text.extend_from_slice(from.render(&self.sources, self.colors).as_bytes());
        }
        self.message(&text)
    }

    fn map(&mut self, map: &MapView<'_>) {
        let escape = self.out.escapes();
        let out = self.out.buffer();
        for entry in &map.entries {
            out.extend_from_slice(map.name.as_bytes());
            if map.is_keyed() {
                out.push(b'[');
                push_key(out, map.key(entry), escape);
                out.push(b']');
            }
            out.push(b':');
            match &entry.value {
                EntryValue::Reduced(reduced @ (Reduced::Histogram(_) | Reduced::Series(_))) => {
                    out.push(b'\n');
                    push_reduced(out, reduced);
                }
                EntryValue::Reduced(reduced) => {
                    out.push(b' ');
                    push_reduced(out, reduced);
                }
                EntryValue::Plain(bytes) => {
                    out.push(b' ');
                    push_value(out, map.plain(bytes), escape);
                }
            }
            out.push(b'\n');
        }
    }
}

impl Sink for TextSink {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        if let (Some(captured), false) = (&mut self.captured, matches!(event, Event::Trial(_))) {
            return captured.event(event);
        }
        match event {
            Event::Attached { probes } => {
                if !self.quiet {
                    self.message(format!("Attached {probes} probe{}\n", plural(probes)).as_bytes())?;
                }
            }
            Event::Printf { to: PrintTo::Output, format, args, .. } => {
                let escape = self.out.escapes();
                printf::format(self.out.buffer(), format, args, escape);
            }
            Event::Printf { to: PrintTo::Fault, format, args, span } => {
                if self.warnings {
                    let mut text = Vec::new();
                    printf::format(&mut text, format, args, self.escape_messages);
                    let warning = Diagnostic::warning(span, into_text(text));
                    self.message(warning.render(&self.sources, self.colors).as_bytes())?;
                }
            }
            Event::Printf { to, format, args, span } => {
                if to == PrintTo::Error || self.warnings {
                    self.complaint(to, format, args, span)?;
                }
            }
            Event::Value(value) => {
                let escape = self.out.escapes();
                push_value(self.out.buffer(), value, escape);
                self.out.buffer().push(b'\n');
            }
            Event::Entry(reduced) => {
                push_reduced(self.out.buffer(), reduced);
                if !matches!(reduced, Reduced::Histogram(_) | Reduced::Series(_)) {
                    self.out.buffer().push(b'\n');
                }
            }
            Event::Map(map) => self.map(map),
            Event::Time(text) => self.out.buffer().extend_from_slice(text.as_bytes()),
            Event::Brought { by, bytes } => {
                let escape = self.out.escapes();
                push_foreign(self.out.buffer(), bytes, escape);
                if matches!(by, Source::System | Source::Join) {
                    self.out.buffer().push(b'\n');
                }
            }
            Event::Trial(trial) => self.trial(&trial),
            Event::Problem(text) => self.message(format!("ERROR: {text}\n").as_bytes())?,
            Event::HelperError { helper, code, span } => {
                if self.warnings {
                    let text = helper_error(&self.sources, self.colors, helper, code, span);
                    self.message(text.as_bytes())?;
                }
            }
            Event::Lost { total, probes } => {
                let mut text = format!("Lost {total} events\n");
                for (name, count) in probes {
                    text.push_str(&format!("  {name}: {count}\n"));
                }
                self.message(text.as_bytes())?;
            }
            Event::Finished => self.out.buffer().extend_from_slice(b"\n\n"),
        }
        self.out.event_done()
    }

    fn idle(&mut self) -> io::Result<()> {
        self.out.idle()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn output(&self) -> Option<BorrowedFd<'_>> {
        self.out.descriptor()
    }
}

/// `stdin:1:9-30: `, as far as the place is known.
fn place(sources: &SourceMap, span: Span) -> String {
    if !sources.has(span.file) {
        return String::new();
    }
    let (start, end) = (sources.line_col(span.file, span.start), sources.line_col(span.file, span.end));
    let name = sources.name(span.file);
    if start.line == end.line {
        format!("{name}:{}:{}-{}: ", start.line, start.col, end.col)
    } else {
        format!("{name}:{}-{}: ", start.line, end.line)
    }
}

fn helper_error(sources: &SourceMap, colors: Colors, helper: &str, code: i64, span: Span) -> String {
    let message = helper_message(helper, code);
    let diagnostic = Diagnostic::warning(span, message);
    let rendered = diagnostic.render(sources, colors);
    let detail = format!("Additional Info - helper: {helper}, retcode: {code}\n");
    // The detail stands between the first line and the source.
    match rendered.split_once('\n') {
        Some((first, source)) => format!("{first}\n{detail}{source}"),
        None => format!("{rendered}\n{detail}"),
    }
}

/// What a failed helper means for the script.
fn helper_message(helper: &str, code: i64) -> String {
    const ENOENT: i64 = -2;
    const E2BIG: i64 = -7;
    match (helper, code) {
        ("map_update_elem", E2BIG) => {
            "Map full; can't update element. Try increasing max_map_keys config or \
             manually setting the max entries in a map declaration e.g. `let @a = hash(5000)`"
                .to_owned()
        }
        ("map_delete_elem", ENOENT) => "Can't delete map element because it does not exist.".to_owned(),
        ("map_lookup_elem", _) => "Can't lookup map element because it does not exist.".to_owned(),
        (_, code) => strerror(code),
    }
}

/// The C library's words for a negative errno.
pub(super) fn strerror(code: i64) -> String {
    let errno = code.checked_neg().and_then(|errno| i32::try_from(errno).ok()).unwrap_or(0);
    skep_kernel::Errno(errno).meaning()
}
