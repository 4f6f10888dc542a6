//! The view of tools that gather numbers by stack: blocks of lines, a line for each stack, or a flame graph.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use skep_trace::sink::{Data, MapEntry};
use skep_trace::stack::StackFrame;

use crate::flags::{self, CommonFlags};
use crate::run::View;
use crate::table::{Form, Table};

/// The flags of tools that show stacks.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Stacks")]
pub struct StackFlags {
    /// End after this many seconds
    #[arg(value_name = "SECONDS", value_parser = flags::seconds, conflicts_with = "duration", help_heading = "Arguments")]
    pub seconds: Option<Duration>,
    /// Show the processes' own stacks only
    #[arg(short = 'U', long, conflicts_with = "kernel_stacks_only")]
    pub user_stacks_only: bool,
    /// Show the kernel's stacks only
    #[arg(short = 'K', long)]
    pub kernel_stacks_only: bool,
    /// Insert a line between the kernel's frames and the process'
    #[arg(short, long)]
    pub delimited: bool,
    /// Print a line for each stack: frames from the outermost one, then the number
    #[arg(short, long)]
    pub folded: bool,
    /// Draw a flame graph, an SVG that opens in any browser, to this file
    #[arg(long, value_name = "FILE")]
    pub flame: Option<PathBuf>,
    /// How many frames of each stack are taken
    #[arg(long, value_name = "FRAMES", default_value_t = 127, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub perf_max_stack_depth: u32,
    /// How many different stacks there is room for
    #[arg(long, value_name = "STACKS", default_value_t = 16384,
          value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub stack_storage_size: u32,
    /// The same; the greater one counts
    #[arg(long, value_name = "STACKS", hide = true, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub hash_storage_size: Option<u32>,
}

impl StackFlags {
    /// How many frames the script takes of a process and of the kernel, as its parameters.
    pub fn params(&self) -> [String; 2] {
        [self.kernel_stacks_only, self.user_stacks_only].map(|left_out| {
            let frames = if left_out { 0 } else { self.perf_max_stack_depth };
            frames.to_string()
        })
    }

    /// What it asks of the script's settings.
    pub fn config(&self) -> Vec<(String, String)> {
        let room = self.stack_storage_size.max(self.hash_storage_size.unwrap_or(0));
        vec![("max_map_keys".into(), room.to_string())]
    }

    /// Whose stacks are shown, as headers say it.
    pub fn whose(&self) -> &'static str {
        match (self.user_stacks_only, self.kernel_stacks_only) {
            (true, _) => "user",
            (_, true) => "kernel",
            _ => "user + kernel",
        }
    }
}

/// Shows a map whose keys are (process id, name, stack of the process, stack of the kernel).
pub struct Stacks<'a> {
    /// What was asked for.
    pub flags: &'a StackFlags,
    /// The flags of all tools.
    pub common: &'a CommonFlags,
    /// What is said when everything is attached, a line without its end; not said before rows for programs.
    pub header: String,
    /// Whether the kernel's functions are marked with `_[k]`.
    pub annotations: bool,
    /// Whether functions come with the place in them.
    pub offsets: bool,
    /// Whether functions come with their address.
    pub addresses: bool,
    /// What the number is, as JSON and CSV call it.
    pub number: &'static str,
    /// What a flame graph is called, and what its numbers are.
    pub flame: (&'static str, &'static str),
}

/// One stack and its number.
struct Sample<'a> {
    pid: u64,
    comm: &'a str,
    user: &'a [StackFrame],
    kernel: &'a [StackFrame],
    number: u64,
}

impl<'a> Sample<'a> {
    fn of(entry: &'a MapEntry) -> Option<Sample<'a>> {
        let Data::List(key) = &entry.key else { return None };
        let [Data::Uint(pid), Data::Text(comm), Data::Stack(user), Data::Stack(kernel)] = key.as_slice()
        else {
            return None;
        };
        let number = match entry.value {
            Data::Uint(number) => number,
            Data::Int(number) => u64::try_from(number).unwrap_or(0),
            _ => return None,
        };
        Some(Sample { pid: *pid, comm, user, kernel, number })
    }
}

impl Stacks<'_> {
    fn function(&self, frame: &StackFrame, kernel: bool) -> String {
        let address = if self.addresses { format!("{:016x} ", frame.address) } else { String::new() };
        let Some(name) = &frame.frame.name else { return format!("{address}[unknown]") };
        let mut shown = format!("{address}{name}");
        if self.offsets && !frame.frame.inlined {
            shown.push_str(&format!("+{:#x}", frame.frame.offset));
        }
        if kernel && self.annotations {
            shown.push_str("_[k]");
        }
        // Text of other processes must neither steer a terminal nor end a line.
        shown.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }

    fn functions<'s>(
        &'s self,
        frames: &'s [StackFrame],
        kernel: bool,
    ) -> impl DoubleEndedIterator<Item = String> + 's {
        frames.iter().map(move |frame| self.function(frame, kernel))
    }

    /// `comm;main;f;-;sys_read;g`
    fn folded(&self, sample: &Sample<'_>) -> String {
        let name = sample.comm.replace(|c: char| c.is_control() || c == ';', "?");
        let mut parts = vec![name];
        parts.extend(self.functions(sample.user, false).rev());
        if self.flags.delimited && !sample.user.is_empty() && !sample.kernel.is_empty() {
            parts.push("-".into());
        }
        parts.extend(self.functions(sample.kernel, true).rev());
        // A semicolon in a name, as some C++ names have, would make two frames of one.
        parts.iter().map(|part| part.replace(';', ":")).collect::<Vec<_>>().join(";")
    }

    fn block(&self, sample: &Sample<'_>, out: &mut dyn Write) -> io::Result<()> {
        for function in self.functions(sample.kernel, true) {
            writeln!(out, "    {function}")?;
        }
        if self.flags.delimited && !sample.user.is_empty() && !sample.kernel.is_empty() {
            writeln!(out, "    --")?;
        }
        for function in self.functions(sample.user, false) {
            writeln!(out, "    {function}")?;
        }
        let name = sample.comm.replace(char::is_control, "?");
        writeln!(out, "    {:<16} {name} ({})\n        {}\n", "-", sample.pid, sample.number)
    }

    fn draw(&self, lines: &[String], path: &PathBuf) -> io::Result<()> {
        let mut options = inferno::flamegraph::Options::default();
        (options.title, options.count_name) = (self.flame.0.into(), self.flame.1.into());
        let file = BufWriter::new(File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write to {}: {error}", path.display()))
        })?);
        let lines = lines.iter().map(String::as_str);
        inferno::flamegraph::from_lines(&mut options, lines, file).map_err(io::Error::other)
    }
}

impl View for Stacks<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let rows = Form::of(self.common) != Form::Text || self.flags.folded || self.common.no_header;
        if rows { Ok(()) } else { writeln!(out, "{}", self.header) }
    }

    fn map(&mut self, _: &str, entries: Vec<MapEntry>, out: &mut dyn Write) -> io::Result<()> {
        let samples: Vec<Sample<'_>> = entries.iter().filter_map(Sample::of).collect();
        if let Some(path) = &self.flags.flame {
            if samples.is_empty() {
                return Ok(());
            }
            let lines: Vec<String> =
                samples.iter().map(|sample| format!("{} {}", self.folded(sample), sample.number)).collect();
            return self.draw(&lines, path);
        }
        if Form::of(self.common) == Form::Text {
            for sample in &samples {
                if self.flags.folded {
                    writeln!(out, "{} {}", self.folded(sample), sample.number)?;
                } else {
                    self.block(sample, out)?;
                }
            }
            return Ok(());
        }
        let mut table = Table::new(self.common);
        table.column("pid", "PID", -6);
        table.column("comm", "COMM", -16);
        table.column("stack", "STACK", 0);
        table.column(self.number, "NUMBER", 0);
        table.write_header(out)?;
        for sample in &samples {
            let mut cells = table.row();
            cells.uint(sample.pid);
            cells.text(sample.comm);
            cells.text(&self.folded(sample));
            cells.uint(sample.number);
            cells.write(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use skep_trace::stack::Frame;

    use super::*;

    fn frame(name: &str, offset: u64) -> StackFrame {
        let name = (!name.is_empty()).then(|| name.into());
        StackFrame { address: 0, frame: Frame { name, offset, ..Frame::default() } }
    }

    fn entry() -> MapEntry {
        let user = vec![frame("f", 3), frame("", 0), frame("main", 9)];
        let kernel = vec![frame("vfs_read", 16)];
        let key = [Data::Uint(7), Data::Text("a;b".into()), Data::Stack(user), Data::Stack(kernel)];
        MapEntry { key: Data::List(key.into()), value: Data::Uint(5) }
    }

    fn shown(flags: StackFlags, common: CommonFlags, annotated: bool) -> String {
        let mut view = Stacks {
            flags: &flags,
            common: &common,
            header: "Sampling".into(),
            annotations: annotated,
            offsets: annotated,
            addresses: false,
            number: "count",
            flame: ("title", "samples"),
        };
        let mut out = Vec::new();
        view.begin(&mut out).unwrap();
        view.map("counts", vec![entry()], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn blocks() {
        let text = shown(StackFlags { delimited: true, ..Default::default() }, CommonFlags::default(), false);
        let expected = "Sampling\n    vfs_read\n    --\n    f\n    [unknown]\n    main\n    \
                        -                a;b (7)\n        5\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn folded_lines() {
        let flags = StackFlags { folded: true, delimited: true, ..Default::default() };
        assert_eq!(
            shown(flags, CommonFlags::default(), true),
            "a?b;main+0x9;[unknown];f+0x3;-;vfs_read+0x10_[k] 5\n"
        );
    }

    #[test]
    fn objects() {
        let common = CommonFlags { json: true, ..Default::default() };
        let text = shown(StackFlags::default(), common, false);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["stack"], "a?b;main;[unknown];f;vfs_read");
        assert_eq!((&object["pid"], &object["count"]), (&7.into(), &5.into()));
    }

    #[test]
    fn a_flame_graph_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.svg");
        let flags = StackFlags { flame: Some(path.clone()), ..Default::default() };
        assert_eq!(shown(flags, CommonFlags::default(), false), "Sampling\n");
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.contains("<svg") && svg.contains("vfs_read") && svg.contains("5 samples"), "{svg}");
    }
}
