//! Calls as lines in strace's format, as JSON, or counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use jiff::Zoned;
use serde_json::json;
use skep_kernel::Errno;
use skep_kernel::bpf::Cmd;
use skep_kernel::ptrace::Status;
use skep_ui::text;

use super::node::Node;

/// A call that is over.
pub struct Finished {
    /// The thread that made it.
    pub tid: i32,
    /// What was asked for.
    pub cmd: Cmd,
    /// The attributes.
    pub attributes: Node,
    /// Their size, as the caller gave it.
    pub size: u32,
    /// The result or a negative errno.
    pub result: i64,
    /// What the descriptor that it returned is.
    pub made: Option<String>,
    /// Time spent.
    pub spent: Duration,
    /// The instructions of a program being loaded, if they are asked for.
    pub insns: Vec<String>,
}

/// What lines look like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// They go to a file, where each tells its thread; else they do where there are several.
    pub file: bool,
    /// What is no call is left out: beginnings, ends, signals.
    pub quiet: bool,
    /// The time in front: 1 of day, 2 with microseconds, 3 since 1970.
    pub time: u8,
    /// The time spent behind.
    pub spent: bool,
    /// A JSON object for each call.
    pub json: bool,
    /// Nothing but how many calls there were and how long they took, at the end.
    pub summary: bool,
}

/// How calls are shown.
pub struct Show {
    out: Box<dyn Write + Send>,
    style: Style,
    counted: BTreeMap<u32, Count>,
    threads: HashSet<i32>,
    /// What threads are called, where that is told.
    names: HashMap<i32, String>,
}

#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
    spent: Duration,
}

impl Show {
    /// To there, in this style.
    pub fn new(out: Box<dyn Write + Send>, style: Style) -> Show {
        let quiet = style.quiet || style.json || style.summary;
        Show {
            out,
            style: Style { quiet, ..style },
            counted: BTreeMap::new(),
            threads: HashSet::new(),
            names: HashMap::new(),
        }
    }

    /// A call.
    ///
    /// # Errors
    ///
    /// Those of writing; so with the others.
    pub fn call(&mut self, call: &Finished) -> io::Result<()> {
        if self.style.summary {
            let count = self.counted.entry(call.cmd.0).or_default();
            count.calls += 1;
            count.errors += u64::from(call.result < 0);
            count.spent += call.spent;
            return Ok(());
        }
        if self.style.json {
            return self.object(call);
        }
        let result = match (call.result, &call.made) {
            (result @ ..0, _) => {
                let errno = Errno(i32::try_from(-result).unwrap_or(0));
                format!("-1 {errno}")
            }
            (result, Some(path)) => format!("{result}<{path}>"),
            (result, None) => result.to_string(),
        };
        let spent =
            if self.style.spent { format!(" <{:.6}>", call.spent.as_secs_f64()) } else { String::new() };
        let prefix = self.prefix(call.tid);
        let text = format!("{prefix}bpf({}, {}, {})", command(call.cmd), call.attributes, call.size);
        let mut lines = format!("{text:<39} = {result}{spent}\n");
        for insn in &call.insns {
            lines.push_str("    ");
            lines.push_str(insn);
            lines.push('\n');
        }
        self.out.write_all(lines.as_bytes())
    }

    /// A call whose thread ended within it.
    pub fn unfinished(&mut self, call: &Finished) -> io::Result<()> {
        if self.style.summary || self.style.json {
            return Ok(());
        }
        let prefix = self.prefix(call.tid);
        let text = format!("{prefix}bpf({}, {}, {})", command(call.cmd), call.attributes, call.size);
        writeln!(self.out, "{text:<39} = ?")
    }

    fn object(&mut self, call: &Finished) -> io::Result<()> {
        let mut object = json!({
            "tid": call.tid,
            "command": command(call.cmd),
            "attributes": call.attributes.to_json(),
            "size": call.size,
            "result": call.result,
            "spent_ns": u64::try_from(call.spent.as_nanos()).unwrap_or(u64::MAX),
        });
        if call.result < 0
            && let Some(name) = Errno(i32::try_from(-call.result).unwrap_or(0)).name()
        {
            object["errno"] = json!(name);
        }
        if let Some(name) = self.names.get(&call.tid) {
            object["comm"] = json!(name);
        }
        if let Some(path) = &call.made {
            object["made"] = json!(path);
        }
        if !call.insns.is_empty() {
            object["disassembly"] = json!(call.insns);
        }
        if self.style.time > 0 {
            object["time"] = json!(Zoned::now().timestamp().to_string());
        }
        writeln!(self.out, "{object}")
    }

    /// A thread is called so.
    pub fn called(&mut self, tid: i32, name: &str) {
        self.names.insert(tid, name.to_owned());
    }

    /// A thread is followed from the beginning.
    pub fn follows(&mut self, tid: i32) {
        self.threads.insert(tid);
    }

    /// A thread has appeared.
    pub fn begun(&mut self, tid: i32) -> io::Result<()> {
        self.threads.insert(tid);
        if self.style.quiet { Ok(()) } else { writeln!(self.out, "bpfsnoop: Process {tid} attached") }
    }

    /// A thread is gone.
    pub fn ended(&mut self, tid: i32, status: Status) -> io::Result<()> {
        let prefix = self.prefix(tid);
        self.threads.remove(&tid);
        if self.style.quiet {
            return Ok(());
        }
        match status {
            Status::Exited(code) => writeln!(self.out, "{prefix}+++ exited with {code} +++"),
            Status::Killed { signal, core } => {
                let core = if core { " (core dumped)" } else { "" };
                writeln!(self.out, "{prefix}+++ killed by {}{core} +++", signal_name(signal))
            }
        }
    }

    /// A signal is being delivered.
    pub fn signal(&mut self, tid: i32, signal: i32) -> io::Result<()> {
        if self.style.quiet {
            return Ok(());
        }
        let prefix = self.prefix(tid);
        writeln!(self.out, "{prefix}--- {} ---", signal_name(signal))
    }

    /// What was counted, if that was asked for.
    pub fn summary(&mut self) -> io::Result<()> {
        if !self.style.summary {
            return self.out.flush();
        }
        let counted = std::mem::take(&mut self.counted);
        let total: Duration = counted.values().map(|count| count.spent).sum();
        let mut rows: Vec<(u32, &Count)> = counted.iter().map(|(cmd, count)| (*cmd, count)).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(count.spent));
        let rule = "------ ----------- ----------- --------- --------- ----------------\n";
        let mut text = String::from("% time     seconds  usecs/call     calls    errors command\n");
        text.push_str(rule);
        let line = |count: &Count, name: &str| {
            let seconds = count.spent.as_secs_f64();
            let share = if total.is_zero() { 0.0 } else { seconds * 100.0 / total.as_secs_f64() };
            let each = count.spent.as_micros() / u128::from(count.calls.max(1));
            let errors = if count.errors == 0 { String::new() } else { count.errors.to_string() };
            format!("{share:6.2} {seconds:11.6} {each:11} {:9} {errors:>9} {name}\n", count.calls)
        };
        let mut all = Count::default();
        for (cmd, count) in rows {
            text.push_str(&line(count, &command(Cmd(cmd))));
            all.calls += count.calls;
            all.errors += count.errors;
            all.spent += count.spent;
        }
        text.push_str(rule);
        text.push_str(&line(&all, "total"));
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What stands before a line: who, and when.
    fn prefix(&mut self, tid: i32) -> String {
        self.threads.insert(tid);
        let name = self.names.get(&tid).map_or_else(String::new, |name| format!("<{}>", text::escape(name)));
        let mut prefix = match (self.style.file, self.threads.len()) {
            (true, _) => format!("{tid:<5}{name} "),
            (false, 1) if name.is_empty() => String::new(),
            (false, _) => format!("[pid {tid:>5}{name}] "),
        };
        let now = Zoned::now();
        match self.style.time {
            0 => {}
            1 => prefix.push_str(&now.strftime("%H:%M:%S ").to_string()),
            2 => prefix.push_str(&now.strftime("%H:%M:%S.%6f ").to_string()),
            _ => {
                let time = now.timestamp();
                let text = format!("{}.{:06} ", time.as_second(), time.subsec_microsecond());
                prefix.push_str(&text);
            }
        }
        prefix
    }
}

/// A command's name in the kernel's headers.
fn command(cmd: Cmd) -> String {
    match cmd.name().and_then(|name| name.strip_prefix("bpf(")?.strip_suffix(')')) {
        Some(name) => name.to_owned(),
        None => format!("{:#x} /* BPF_??? */", cmd.0),
    }
}

fn signal_name(signal: i32) -> String {
    skep_kernel::signals::name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}
