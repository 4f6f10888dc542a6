//! bpftrace's JSON form: one object per line.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use skep_lang::hir::PrintTo;
use skep_lang::ty::Agg;
use skep_ui::{LineCol, SourceMap, Span};

use super::captured::Captured;
use super::output::Output;
use super::text::strerror;
use super::value::{Json, into_text, json_key};
use super::{Event, Sink, Source, Trial, printf};
use crate::aggregate::Reduced;
use crate::maps::{Entry, EntryValue, MapView};

/// Writes JSON lines; messages travel among them.
pub struct JsonSink {
    out: Output,
    sources: SourceMap,
    quiet: bool,
    warnings: bool,
    /// What is said during the tests is part of their results.
    captured: Option<Captured>,
}

impl JsonSink {
    /// Everything goes to `out`. `sources` tells the places in messages.
    pub fn new(out: Output, sources: SourceMap) -> JsonSink {
        JsonSink { out, sources, quiet: false, warnings: true, captured: None }
    }

    /// Leaves out how many probes were attached (`-q`).
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> JsonSink {
        self.quiet = quiet;
        self
    }

    /// Whether warnings are written (`--no-warnings`).
    #[must_use]
    pub fn warnings(mut self, warnings: bool) -> JsonSink {
        self.warnings = warnings;
        self
    }

    /// Writes one line.
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let buffer = self.out.buffer();
        skep_ui::json::write(buffer, line)?;
        buffer.push(b'\n');
        Ok(())
    }

    /// `{"type": kind, "data": data}`
    fn data(&mut self, kind: &'static str, data: impl Serialize) -> io::Result<()> {
        self.line(&Line { kind, data })
    }

    /// A message with a place in the script.
    fn located(&mut self, kind: &'static str, fields: Message<'_>, span: Span) -> io::Result<()> {
        let at = self.sources.line_col(span.file, span.start);
        let filename = self.sources.name(span.file).to_owned();
        self.line(&Located { kind, fields, filename: &filename, at })
    }

    /// A message for whoever started the script.
    fn problem(&mut self, text: &str) {
        // Messages that nobody can read must not end the script.
        let _ = writeln!(io::stderr(), "ERROR: {text}");
    }

    fn trial(&mut self, trial: Trial<'_>) -> io::Result<()> {
        match trial {
            Trial::Begin { .. } => self.captured = Some(Captured::new(self.sources.clone())),
            Trial::Run { .. } => {}
            Trial::Result { name, duration, passed } => {
                let output = self.captured.as_mut().map(Captured::take).unwrap_or_default();
                let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                self.data("test_result", Pair(name, Tested { duration, passed, output: &output }))?;
            }
            Trial::End { .. } => self.captured = None,
            Trial::Benchmarks(results) => {
                for (name, average, iters) in results {
                    let result = Measured { average: *average, iters: *iters };
                    self.data("benchmark_result", Pair(name, result))?;
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, map: &MapView<'_>) -> io::Result<()> {
        let kind = match map.agg() {
            Some(Agg::Hist { .. } | Agg::Lhist { .. }) => "hist",
            Some(Agg::Avg { .. } | Agg::Stats { .. }) => "stats",
            Some(Agg::Tseries(_)) => "tseries",
            _ => "map",
        };
        // As the original does it, only these say that they are empty.
        if map.entries.is_empty() && kind != "stats" {
            return Ok(());
        }
        self.data(kind, MapData(map))
    }
}

impl Sink for JsonSink {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        if let (Some(captured), false) = (&mut self.captured, matches!(event, Event::Trial(_))) {
            return captured.event(event);
        }
        match event {
            Event::Trial(trial) => self.trial(trial)?,
            Event::Attached { probes } => {
                if !self.quiet {
                    self.line(&Counted { kind: "attached_probes", count: probes as u64, name: "probes" })?;
                }
            }
            Event::Printf { to, format, args, span } => {
                let mut text = Vec::new();
                printf::format(&mut text, format, args, false);
                let text = into_text(text);
                match to {
                    PrintTo::Output => self.data("printf", &text)?,
                    PrintTo::Error => self.located("errorf", Message::Text(&text), span)?,
                    PrintTo::Warning if self.warnings => self.located("warnf", Message::Text(&text), span)?,
                    PrintTo::Fault if self.warnings => {
                        self.located("runtime_error", Message::Text(&text), span)?;
                    }
                    // The last ones are carried out before they reach a sink.
                    PrintTo::Warning
                    | PrintTo::Fault
                    | PrintTo::Cat
                    | PrintTo::System
                    | PrintTo::Join
                    | PrintTo::Reader
                    | PrintTo::Packet
                    | PrintTo::Unwatch => {}
                }
            }
            Event::Value(value) => self.data("value", Json(value))?,
            Event::Entry(reduced) => self.data("value", Json(reduced))?,
            Event::Map(map) => self.map(map)?,
            Event::Time(text) => self.data("time", text)?,
            Event::Brought { by, bytes } => {
                let kind = match by {
                    Source::Cat => "cat",
                    Source::System => "syscall",
                    Source::Join => "join",
                };
                self.data(kind, String::from_utf8_lossy(bytes))?;
            }
            // As the original does it, this is no line of the results.
            Event::Problem(text) => self.problem(text),
            Event::HelperError { helper, code, span } => {
                if self.warnings {
                    let message = Message::Helper { text: &strerror(code), helper, code };
                    self.located("helper_error", message, span)?;
                }
            }
            Event::Lost { total, .. } => {
                self.line(&Counted { kind: "lost_events", count: total, name: "events" })?;
            }
            Event::Finished => {}
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

#[derive(Serialize)]
struct Tested<'a> {
    duration: u64,
    passed: bool,
    output: &'a str,
}

#[derive(Serialize)]
struct Measured {
    average: u64,
    iters: u64,
}

struct Line<D> {
    kind: &'static str,
    data: D,
}

impl<D: Serialize> Serialize for Line<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(Some(2))?;
        line.serialize_entry("type", self.kind)?;
        line.serialize_entry("data", &self.data)?;
        line.end()
    }
}

struct Counted {
    kind: &'static str,
    count: u64,
    name: &'static str,
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(Some(3))?;
        line.serialize_entry("type", self.kind)?;
        line.serialize_entry("count", &self.count)?;
        line.serialize_entry("data", &Pair(self.name, self.count))?;
        line.end()
    }
}

/// An object of one member.
struct Pair<K, V>(K, V);

impl<K: Serialize, V: Serialize> Serialize for Pair<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry(&self.0, &self.1)?;
        object.end()
    }
}

enum Message<'a> {
    Text(&'a str),
    Helper { text: &'a str, helper: &'a str, code: i64 },
}

struct Located<'a> {
    kind: &'static str,
    fields: Message<'a>,
    filename: &'a str,
    at: LineCol,
}

impl Serialize for Located<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("type", self.kind)?;
        match &self.fields {
            Message::Text(text) => line.serialize_entry("msg", text)?,
            Message::Helper { text, helper, code } => {
                line.serialize_entry("msg", text)?;
                line.serialize_entry("helper", helper)?;
                line.serialize_entry("retcode", code)?;
            }
        }
        line.serialize_entry("filename", self.filename)?;
        line.serialize_entry("line", &self.at.line)?;
        line.serialize_entry("col", &self.at.col)?;
        line.end()
    }
}

/// `{"@name": value}` or `{"@name": {"key": value, ...}}`
struct MapData<'a>(&'a MapView<'a>);

impl Serialize for MapData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = self.0;
        match map.entries.first() {
            Some(entry) if !map.is_keyed() => Pair(map.name, EntryData { map, entry }).serialize(serializer),
            _ => Pair(map.name, Entries(map)).serialize(serializer),
        }
    }
}

struct Entries<'a>(&'a MapView<'a>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = self.0;
        serializer
            .collect_map(map.entries.iter().map(|entry| (json_key(map.key(entry)), EntryData { map, entry })))
    }
}

struct EntryData<'a> {
    map: &'a MapView<'a>,
    entry: &'a Entry,
}

impl Serialize for EntryData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.entry.value {
            EntryValue::Plain(bytes) => Json(self.map.plain(bytes)).serialize(serializer),
            EntryValue::Reduced(reduced) => Json::<&Reduced>(reduced).serialize(serializer),
        }
    }
}
