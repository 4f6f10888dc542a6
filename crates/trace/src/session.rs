//! A compiled script running: started, read until it ends, taken down in order.
//!
//! The order is the original's: `BEGIN` runs first, then everything is attached, then the command of `-c` is let
//! go. At the end everything is detached, what was sent is read to the last record, `END` runs, and the maps are
//! printed.

mod trial;

pub use trial::Mode;

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use skep_compile::artifact::{Action, Artifact, MapRole};
use skep_compile::ir::MapRef;
use skep_isa::helpers::helper_by_id;
use skep_kernel::bpf::Map;
use skep_kernel::child::{Child, Exit};
use skep_kernel::clock::Clock;
use skep_kernel::features::Features;
use skep_kernel::perf;
use skep_kernel::poll::Poll;
use skep_kernel::signals::{self, Signal, SignalFd};
use skep_kernel::tracefs::TraceFs;
use skep_kernel::walk::Walk;
use skep_kernel::{Errno, proc, shell};
use skep_lang::hir::{Attach, Format, Piece, PrintTo, ProbeKind, Target};
use skep_symbols::elf::DebugPath;

use crate::attach::{self, Attached, Surroundings};
use crate::decode::{Fields, Schema, Value};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::load::{self, Loaded, RuntimeValues};
use crate::lost::Lost;
use crate::maps::UserMap;
use crate::pace::{NAP, Pace};
use crate::pcap::Captures;
use crate::plan::Way;
use crate::reader::Reader;
use crate::second_signal;
use crate::shown;
use crate::sink::{Event, Sink, Source, format_printf};
use crate::symbols::Names;
use crate::unwind::Unwind;

/// What a run needs beside the script.
#[derive(Default)]
pub struct Options {
    /// A command to run once everything is attached: a program and its arguments. The script ends with it.
    pub command: Option<Vec<OsString>>,
    /// The process that the script was narrowed to when it was compiled. The script ends with it.
    pub pid: Option<i32>,
    /// Processes whose stacks can be unwound (`dw_ustack`), besides the command and the process above.
    pub unwind: Vec<i32>,
    /// The script ends after this long.
    pub duration: Option<Duration>,
    /// Whether SIGINT, SIGTERM and SIGHUP end the script in order. They are taken from the calling thread and the
    /// threads it starts afterwards.
    pub signals: bool,
    /// What the verifier writes even if it accepts (see [`Session::verifier_logs`]): 0 nothing, 1 branches, 2 every
    /// instruction.
    pub verifier_log: u32,
    /// What the kernel can do; features that are disabled here are not used.
    pub features: Features,
    /// An open tracefs, if there is one already.
    pub tracefs: Option<Rc<TraceFs>>,
    /// Where separate debug files of programs are looked for.
    pub debug_path: DebugPath,
    /// The answers to the questions of a portable script ([`skep_lang::portable::Portable::answers`]).
    pub answers: Vec<u64>,
    /// Maps of the script that were made elsewhere and are only looked at: their names, with `@`, and where they are
    /// pinned.
    pub pinned: Vec<(String, PathBuf)>,
    /// Hears what goes on.
    pub notices: Option<Notices>,
}

/// Hears what goes on in a session.
pub type Notices = Box<dyn FnMut(&Notice<'_>)>;

/// What goes on in a session, for those who want to hear.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// `BEGIN` is about to run.
    RunningBegin,
    /// `END` is about to run.
    RunningEnd,
    /// A probe is about to be attached.
    Attaching(&'a str),
    /// A kprobe or kretprobe is served by a probe of another kind, as the kernel has none of its own.
    Served(&'a str, &'static str),
    /// A walk is pinned to this path: whoever reads the file sees what its program prints.
    Pinned(&'a Path),
    /// A probe cannot be attached and the script's `missing_probes` lets it go.
    Missing(&'a str, &'a skep_kernel::Error),
    /// Everything is attached, and the sink knows it.
    Attached,
    /// The command ended.
    CommandEnded(Exit),
}

/// Why a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It called `exit()`.
    Exit,
    /// There was nothing but `BEGIN` and `END`.
    Complete,
    /// A signal came.
    Signal(Signal),
    /// Its command or process ended.
    Process,
    /// Its time was over.
    Duration,
    /// Nobody reads its results any more.
    Closed,
}

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status given to `exit()`, else 0.
    pub exit_code: i32,
    /// Why.
    pub ended: Ended,
}

/// A script in the kernel.
pub struct Session {
    state: State,
    reader: Reader,
    attached: Option<Attached>,
    child: Option<Child>,
    process: Option<OwnedFd>,
    signals: Option<SignalFd>,
    options: Options,
}

/// What handling a record needs.
struct State {
    artifact: Artifact,
    host: Host,
    loaded: Loaded,
    exit_code: Option<i32>,
    /// After `exit()`: what other probes still print is dropped until `END`.
    mute: bool,
    /// A signal has come: commands of `system()` that wait for their turn are not run any more.
    interrupted: bool,
    /// How many of them were not run.
    commands_left: u64,
    /// Nobody reads the results any more.
    closed: bool,
    names: Names,
    captures: Captures,
    /// Addresses whose watchpoints are to end.
    unwatched: Vec<u64>,
    /// What was lost, as far as it was counted when everything was taken away.
    lost: Lost,
}

impl Session {
    /// Loads the script. Nothing is attached and nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] and [`Error::Verifier`] if the kernel refuses a map or a program; a command that does not
    /// exist; a process that is gone.
    pub fn load(artifact: Artifact, mut options: Options) -> Result<Session> {
        let unwinds = Unwind::is_needed(&artifact);
        if unwinds && options.pid.is_none() && options.command.is_none() && options.unwind.is_empty() {
            return Err(Error::NothingToUnwind);
        }
        let signals = if options.signals {
            let mut wanted = vec![Signal::Interrupt, Signal::Terminate, Signal::HangUp];
            if artifact.targets.iter().any(|target| target.attach == Attach::Signal) {
                wanted.push(Signal::User1);
            }
            Some(SignalFd::new(&wanted).map_err(Error::kernel("cannot watch for signals"))?)
        } else {
            None
        };
        let process = options.pid.map(|pid| signals::pidfd(pid).map_err(no_process)).transpose()?;
        let child = options
            .command
            .take()
            .map(|command| Child::spawn(&command).map_err(|error| no_command(&command, error)))
            .transpose()?;
        let values = RuntimeValues {
            start_time: Clock::Monotonic.now().unsigned_abs(),
            command_pid: child.as_ref().map_or(0, |child| u64::from(child.pid().unsigned_abs())),
            filter_pid: options.pid.map_or(0, |pid| u64::from(pid.unsigned_abs())),
            cpu_count: perf::possible_cpu_count().map_err(Error::kernel("cannot count the CPUs"))? as u64,
            tai_offset: Clock::Boot.offset_to(Clock::Tai).cast_unsigned(),
            real_offset: Clock::Boot.offset_to(Clock::Real).cast_unsigned(),
            namespace: proc::pid_namespace().map_err(Error::kernel("cannot tell the namespace"))?,
            answers: std::mem::take(&mut options.answers),
        };
        let loaded =
            load::load(&artifact, &options.pinned, &values, &options.features, options.verifier_log)?;
        let ring = |role| {
            let index = artifact.maps.iter().position(|spec| spec.role == role)?;
            loaded.maps.get(index)
        };
        let reader = Reader::new(ring(MapRole::Events), ring(MapRole::Control))?;
        let command = child.as_ref().map(Child::pid);
        let running: Vec<i32> = options.unwind.iter().copied().chain(options.pid).collect();
        // The threads that a process has already are not in the scope of one, and nor is any other process.
        let scope = match options.pid {
            pid if !unwinds => pid.or(command),
            _ if options.unwind.is_empty() => command,
            _ => None,
        };
        let mut names = Names::new(&artifact, scope, options.debug_path.clone(), unwinds);
        names.expect(&running);
        let pids = running.into_iter().chain(command);
        names.unwind(Unwind::new(&artifact, &loaded.maps, options.debug_path.clone(), pids)?);
        let host = Host::default();
        let state = State {
            artifact,
            host,
            loaded,
            exit_code: None,
            mute: false,
            interrupted: false,
            commands_left: 0,
            closed: false,
            names,
            captures: Captures::default(),
            unwatched: Vec::new(),
            lost: Lost::default(),
        };
        Ok(Session { state, reader, attached: None, child, process, signals, options })
    }

    /// What the verifier wrote about each program, with the program's name.
    pub fn verifier_logs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.state.loaded.programs.iter().map(|program| {
            let name = self.state.artifact.programs.get(program.index).map_or("", |program| &program.name);
            (name, program.log.as_str())
        })
    }

    /// Runs `BEGIN` and attaches everything. The command still waits.
    ///
    /// # Errors
    ///
    /// [`Error::Attach`] for a probe that cannot be attached, unless `missing_probes` lets it go.
    pub fn attach(&mut self) -> Result<()> {
        let State { artifact, loaded, .. } = &self.state;
        let mut notices = self.options.notices.take();
        let mut tell = |notice: &Notice<'_>| {
            if let Some(notices) = &mut notices {
                notices(notice);
            }
        };
        if artifact.targets.iter().any(|target| target.attach == Attach::Begin) {
            tell(&Notice::RunningBegin);
        }
        attach::run(artifact, loaded, &Attach::Begin)?;
        let tracefs = OnceCell::new();
        if let Some(open) = self.options.tracefs.take() {
            tracefs.get_or_init(|| open);
        }
        let open_tracefs = || match tracefs.get() {
            Some(open) => Ok(Rc::clone(open)),
            None => {
                let opened = TraceFs::open()?;
                Ok(Rc::clone(tracefs.get_or_init(|| Rc::new(opened))))
            }
        };
        let process = self.options.pid.or_else(|| self.child.as_ref().map(Child::pid));
        let surroundings = Surroundings { tracefs: &open_tracefs, features: &self.options.features, process };
        let attached = attach::attach(artifact, loaded, &surroundings, &mut tell)?;
        self.attached = Some(attached);
        self.options.notices = notices;
        Ok(())
    }

    /// Hands everything that happens to the sink until the script ends, then takes it down in order and prints its
    /// maps. Attaches first if that was not done yet.
    ///
    /// # Errors
    ///
    /// Those of the kernel and of the sink. A closed output is none: it ends the script.
    pub fn run(mut self, sink: &mut dyn Sink) -> Result<Outcome> {
        let deadline = self.options.duration.map(|duration| Instant::now() + duration);
        if self.attached.is_none() {
            self.attach()?;
        }
        let missing = self.attached.as_ref().map_or(0, |attached| attached.missing);
        let probes = self.state.probes().saturating_sub(missing);
        self.state.send(sink, Event::Attached { probes })?;
        self.tell_attached();
        if let Some(child) = &mut self.child {
            // What `BEGIN` printed comes before what the command prints.
            let state = &mut self.state;
            self.reader.drain(|record, control| state.handle(record, control, sink))?;
            state.tell(sink.flush())?;
            let pid = child.pid();
            if state.names.unwinds() {
                child.release_looking(|| state.names.look_at(pid))
            } else {
                child.release()
            }
            .map_err(Error::kernel("cannot start the command"))?;
        }
        let ended = self.read(sink, deadline)?;
        self.finish(sink, ended)
    }

    fn tell_attached(&mut self) {
        if let Some(notices) = &mut self.options.notices {
            notices(&Notice::Attached);
        }
    }

    fn read(&mut self, sink: &mut dyn Sink, deadline: Option<Instant>) -> Result<Ended> {
        let mut poll = self.watch(sink)?;
        // Also when none of the others could be attached.
        let nothing_attached = self.attached.as_ref().is_none_or(Attached::is_empty);
        let only_special = self.state.targets().all(|target| match target.attach {
            Attach::Begin | Attach::End | Attach::Iter(_) => true,
            Attach::Signal => false,
            _ => nothing_attached,
        });
        let mut walk = self.start_walk(&poll)?;
        let mut pace = Pace::new(Instant::now());
        let mut napping = false;
        loop {
            let begun = Instant::now();
            let records = self.drain(sink)?;
            if self.state.closed {
                return Ok(Ended::Closed);
            }
            // A walk goes through to its end, and tells what it finds.
            if self.state.exit_code.is_some() && walk.is_none() {
                return Ok(Ended::Exit);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(Ended::Duration);
            }
            if only_special && self.child.is_none() && walk.is_none() {
                return Ok(Ended::Complete);
            }
            let nap = pace.saw(records, now);
            let changed = nap != napping;
            if changed {
                napping = nap;
                self.reader.set_quiet(nap);
            }
            // What came while the kernel kept quiet nobody will tell: it is looked for once more.
            let keep_on = records > 0 || (changed && !nap);
            if nap {
                self.state.tell(sink.idle())?;
                // Whoever needs longer to read than to nap cannot afford it.
                if now - begun < NAP {
                    std::thread::sleep(deadline.map_or(NAP, |deadline| NAP.min(deadline - now)));
                }
            } else if !keep_on {
                self.state.tell(sink.idle())?;
            }
            let timeout = if nap || keep_on {
                Some(Duration::ZERO)
            } else {
                deadline.map(|deadline| deadline.saturating_duration_since(now))
            };
            let ready = poll.wait(timeout).map_err(Error::kernel("cannot wait for events"))?;
            let ready = ready.fold(Ready::default(), Ready::with);
            if ready.signal
                && let Some(signals) = &self.signals
                && let Some(signal) = signals.read().map_err(Error::kernel("cannot read a signal"))?
            {
                match signal {
                    Signal::User1 => attach::run(&self.state.artifact, &self.state.loaded, &Attach::Signal)?,
                    signal => return Ok(Ended::Signal(signal)),
                }
            }
            if ready.process {
                return Ok(Ended::Process);
            }
            self.state.closed |= ready.output;
            if ready.walk
                && let Some(walk) = walk.take()
            {
                poll.remove(&walk).map_err(Error::kernel("cannot wait for events"))?;
                walk.finish().map_err(Error::kernel("cannot walk over the kernel's objects"))?;
            }
        }
    }

    /// Begins to read the walks that are attached.
    fn start_walk(&mut self, poll: &Poll) -> Result<Option<Walk>> {
        let walks = self.attached.as_mut().map(|attached| std::mem::take(&mut attached.walks));
        let Some(walks) = walks.filter(|walks| !walks.is_empty()) else { return Ok(None) };
        let start = || {
            let walk = Walk::start(walks)?;
            poll.add_hang_up(&walk, Ready::WALK)?;
            Ok(walk)
        };
        start().map(Some).map_err(Error::kernel("cannot walk over the kernel's objects"))
    }

    /// Everything that may end a wait.
    fn watch(&self, sink: &dyn Sink) -> Result<Poll> {
        let watch = || {
            let poll = Poll::new()?;
            for ring in self.reader.rings() {
                poll.add(ring, Ready::RING)?;
            }
            for records in self.state.names.descriptors() {
                poll.add(records, Ready::RING)?;
            }
            if let Some(signals) = &self.signals {
                poll.add(signals, Ready::SIGNAL)?;
            }
            if let Some(child) = &self.child {
                poll.add(child, Ready::PROCESS)?;
            }
            if let Some(process) = &self.process {
                poll.add(process, Ready::PROCESS)?;
            }
            if let Some(output) = sink.output() {
                poll.add_hang_up(output, Ready::OUTPUT)?;
            }
            Ok(poll)
        };
        watch().map_err(Error::kernel("cannot wait for events"))
    }

    fn drain(&mut self, sink: &mut dyn Sink) -> Result<u64> {
        let state = &mut self.state;
        state.names.catch_up();
        let records = self.reader.drain(|record, control| state.handle(record, control, sink))?;
        for address in state.unwatched.drain(..) {
            if let Some(attached) = &mut self.attached {
                attached.unwatch(address);
            }
        }
        Ok(records)
    }

    fn finish(mut self, sink: &mut dyn Sink, ended: Ended) -> Result<Outcome> {
        let signals = self.signals.take();
        second_signal::unless_repeated(signals.as_ref(), || self.take_down(sink, ended))
    }

    fn take_down(&mut self, sink: &mut dyn Sink, ended: Ended) -> Result<Outcome> {
        self.end_command()?;
        if let Some(attached) = self.attached.take() {
            attached.count_missed(&mut self.state.lost);
            attached.detach();
        }
        self.state.interrupted |= matches!(ended, Ended::Signal(_));
        self.drain(sink)?;
        self.state.report_commands(sink)?;
        self.state.mute = false;
        self.state.interrupted = false;
        if let Some(notices) = &mut self.options.notices
            && self.state.targets().any(|target| target.attach == Attach::End)
        {
            notices(&Notice::RunningEnd);
        }
        attach::run(&self.state.artifact, &self.state.loaded, &Attach::End)?;
        self.drain(sink)?;
        self.state.report_lost(sink)?;
        self.state.send(sink, Event::Finished)?;
        if self.state.artifact.config.print_maps_on_exit && !self.state.closed {
            self.state.print_maps(sink)?;
        }
        self.state.captures.flush()?;
        self.state.tell(sink.flush())?;
        let ended = if self.state.closed { Ended::Closed } else { ended };
        Ok(Outcome { exit_code: self.state.exit_code.unwrap_or(0), ended })
    }

    /// Tells how the command ended, or asks it to end.
    fn end_command(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let kernel = || Error::kernel("cannot wait for the command");
        let exit = match child.try_wait().map_err(kernel())? {
            Some(exit) => Some(exit),
            None => {
                child.kill(Signal::Terminate).map_err(kernel())?;
                // One that does not care about SIGTERM is left to itself, as the original does.
                let deadline = Instant::now() + Duration::from_millis(100);
                loop {
                    match child.try_wait().map_err(kernel())? {
                        None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                        exit => break exit,
                    }
                }
            }
        };
        if let (Some(exit), Some(notices)) = (exit, &mut self.options.notices) {
            notices(&Notice::CommandEnded(exit));
        }
        Ok(())
    }
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    signal: bool,
    process: bool,
    /// Nobody reads the results any more.
    output: bool,
    /// All walks are over.
    walk: bool,
}

impl Ready {
    const RING: u64 = 0;
    const SIGNAL: u64 = 1;
    const PROCESS: u64 = 2;
    const OUTPUT: u64 = 3;
    const WALK: u64 = 4;

    fn with(self, token: u64) -> Ready {
        Ready {
            signal: self.signal || token == Self::SIGNAL,
            process: self.process || token == Self::PROCESS,
            output: self.output || token == Self::OUTPUT,
            walk: self.walk || token == Self::WALK,
        }
    }
}

impl State {
    /// Does what a record says. Records that make no sense are passed over: a reader must not fall over bytes.
    fn handle(&mut self, record: &[u8], control: bool, sink: &mut dyn Sink) -> Result<()> {
        let index = record.first_chunk().map_or(usize::MAX, |index| u32::from_le_bytes(*index) as usize);
        let Some(layout) = self.artifact.events.get(index).filter(|layout| layout.control == control) else {
            tracing::warn!("a record of {} bytes that no layout describes", record.len());
            return Ok(());
        };
        self.names.prepare(index);
        let schema = Schema::of(&self.artifact, &self.host).with_symbols(self.names.symbols());
        let mut fields = schema.fields(&layout.fields, layout.fixed_size, record);
        let span = layout.span;
        let mute = self.mute && !self.is_of_a_walk(record);
        match &layout.action {
            // What other probes had to say after `exit()` comes too late, messages excepted.
            Action::Printf {
                to: PrintTo::Output | PrintTo::Cat | PrintTo::System | PrintTo::Join, ..
            }
            | Action::PrintValue
            | Action::PrintEntry(_)
            | Action::PrintMap { .. }
            | Action::Time { .. }
            | Action::HelperError { .. }
                if mute => {}
            Action::Printf { to: PrintTo::Join, format } => {
                let text = joined(format, fields);
                send(&mut self.closed, sink, Event::Brought { by: Source::Join, bytes: &text })?;
            }
            // Each takes its time, and they may cause each other: a signal must not wait for all of them.
            Action::Printf { to: PrintTo::System, .. } if self.interrupted || signals::end_is_pending() => {
                self.interrupted = true;
                self.commands_left += 1;
            }
            Action::Printf { to: to @ (PrintTo::Cat | PrintTo::System), format } => {
                let mut text = Vec::new();
                format_printf(&mut text, format, fields, false);
                let limit = self.artifact.config.max_cat_bytes;
                bring(*to, &text, limit, |event| send(&mut self.closed, sink, event))?;
            }
            Action::Printf { to: PrintTo::Packet, format } => {
                let [bytes, length, time] = std::array::from_fn(|_| fields.next().unwrap_or(Value::Void));
                let mut path = Vec::new();
                format_printf(&mut path, format, fields, false);
                let Value::Bytes(bytes) = bytes else { return Ok(()) };
                let number = |value: Value<'_>| value.as_bits().unwrap_or(0);
                let path = String::from_utf8_lossy(&path);
                if let Err(error) = self.captures.write(&path, bytes, number(length), number(time)) {
                    let problem = format!("failed to write a packet to '{path}': {error}");
                    send(&mut self.closed, sink, Event::Problem(&problem))?;
                }
            }
            Action::Printf { to: PrintTo::Unwatch, .. } => {
                self.unwatched.extend(fields.next().and_then(|address| address.as_bits()));
            }
            Action::Printf { to, format } => {
                send(&mut self.closed, sink, Event::Printf { to: *to, format, args: fields, span })?;
            }
            Action::PrintValue => {
                let value = fields.next().unwrap_or(Value::Void);
                send(&mut self.closed, sink, Event::Value(value))?;
            }
            Action::PrintEntry(map) => {
                if let Some(user) = user_map(&self.artifact, &self.loaded.maps, *map) {
                    let key = layout.fields.first().and_then(|field| record.get(field.offset as usize..));
                    let reduced = user
                        .entry(schema, key.unwrap_or_default())
                        .map_err(Error::kernel("cannot read a map"))?;
                    send(&mut self.closed, sink, Event::Entry(&reduced))?;
                }
            }
            Action::PrintMap { map, top, div } => {
                if let Some(user) = user_map(&self.artifact, &self.loaded.maps, *map) {
                    let mut view = user.read(schema, true).map_err(Error::kernel("cannot read a map"))?;
                    view.arrange(*top, *div);
                    send(&mut self.closed, sink, Event::Map(&view))?;
                }
            }
            Action::Clear(map) => {
                if let Some(user) = user_map(&self.artifact, &self.loaded.maps, *map) {
                    user.clear().map_err(Error::kernel("cannot clear a map"))?;
                }
            }
            Action::Zero(map) => {
                if let Some(user) = user_map(&self.artifact, &self.loaded.maps, *map) {
                    user.zero().map_err(Error::kernel("cannot zero a map"))?;
                }
            }
            Action::Time { format } => {
                let text = shown::wall_clock(format);
                send(&mut self.closed, sink, Event::Time(&text))?;
            }
            Action::ProcessSeen => {
                let pid = fields.next().and_then(|pid| pid.as_bits()).and_then(|pid| u32::try_from(pid).ok());
                if let Some(pid) = pid {
                    self.names.symbols().process_seen(pid);
                }
            }
            Action::Exit => {
                let code = fields.next().and_then(|code| code.as_bits()).unwrap_or(0);
                // The first one counts, but `END` has the last word.
                if !self.mute {
                    self.exit_code = Some(code as i32);
                }
                self.mute = true;
            }
            Action::HelperError { helper } => {
                let code = fields.next().and_then(|code| code.as_bits()).unwrap_or(0).cast_signed();
                let name = helper_by_id(*helper).map_or("unknown", |helper| helper.name);
                send(&mut self.closed, sink, Event::HelperError { helper: name, code, span })?;
            }
        }
        Ok(())
    }

    /// Whether a program sent this that walks over objects.
    fn is_of_a_walk(&self, record: &[u8]) -> bool {
        let index =
            record.get(4..).and_then(|rest| rest.first_chunk()).map(|index| u32::from_le_bytes(*index));
        let program = index.and_then(|index| self.artifact.programs.get(index as usize));
        program.is_some_and(|program| program.kind == ProbeKind::Iter)
    }

    fn print_maps(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.names.catch_up();
        let schema = Schema::of(&self.artifact, &self.host).with_symbols(self.names.symbols());
        let mut users: Vec<(usize, UserMap<'_>)> = (0..self.artifact.maps.len())
            .filter_map(|index| {
                let map = MapRef(u32::try_from(index).ok()?);
                Some((index, user_map(&self.artifact, &self.loaded.maps, map)?))
            })
            .collect();
        users.sort_by_key(|(index, _)| self.artifact.maps.get(*index).map(|spec| &spec.name));
        for (_, user) in users {
            let mut view = user.read(schema, false).map_err(Error::kernel("cannot read a map"))?;
            view.arrange(0, 0);
            send(&mut self.closed, sink, Event::Map(&view))?;
        }
        Ok(())
    }

    /// Tells of commands that a signal left no time for.
    fn report_commands(&mut self, sink: &mut dyn Sink) -> Result<()> {
        match std::mem::take(&mut self.commands_left) {
            0 => Ok(()),
            left => {
                let problem = format!("{left} commands of system() were not run: the script was ended first");
                self.send(sink, Event::Problem(&problem))
            }
        }
    }

    /// Tells of records that found no room and of runs that the kernel left out.
    fn report_lost(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let mut lost = std::mem::take(&mut self.lost);
        lost.add_programs(&self.artifact, &self.loaded)?;
        match lost.total() {
            0 => Ok(()),
            total => self.send(sink, Event::Lost { total, probes: lost.probes() }),
        }
    }

    /// How many probes there are. The call and the return of a kernel function that are one link count once.
    fn probes(&self) -> usize {
        let sessions = self.loaded.programs.iter().filter(|program| program.way == Way::KprobeSession);
        let twice: usize = sessions.map(|program| program.returns.len()).sum();
        let counted = self.targets().filter(|target| target.counts()).count();
        counted.saturating_sub(twice)
    }

    /// What the programs are for; others may have been left out.
    fn targets(&self) -> impl Iterator<Item = &Target> {
        let ids = self.artifact.programs.iter().flat_map(|program| &program.targets);
        ids.filter_map(|id| self.artifact.targets.get(id.0 as usize))
    }

    fn send(&mut self, sink: &mut dyn Sink, event: Event<'_>) -> Result<()> {
        send(&mut self.closed, sink, event)
    }

    fn tell(&mut self, result: io::Result<()>) -> Result<()> {
        tell(&mut self.closed, result)
    }
}

/// Gives an event to the sink unless nobody reads any more.
fn send(closed: &mut bool, sink: &mut dyn Sink, event: Event<'_>) -> Result<()> {
    if *closed { Ok(()) } else { tell(closed, sink.event(event)) }
}

/// A closed output is remembered; every other failure is one.
fn tell(closed: &mut bool, result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            *closed = true;
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Why a process cannot be traced.
fn no_process(error: skep_kernel::Error) -> Error {
    let reason = error.errno().unwrap_or(Errno::EINVAL).meaning();
    Error::Usage(format!("Failed to attach to pid: Unable to open pidfd ({reason})"))
}

/// Why a command cannot be started.
fn no_command(command: &[OsString], error: skep_kernel::Error) -> Error {
    let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let errno = match &error {
        skep_kernel::Error::File { errno, .. } => *errno,
        // There is no word in it.
        _ if command.is_empty() => Errno::ENOENT,
        _ => return Error::Usage(format!("Failed to fork child: {error}")),
    };
    let reason = errno.meaning();
    Error::Usage(format!(
        "Failed to fork child: Path '{program}' does not exist or is not executable ({reason})"
    ))
}

fn user_map<'a>(artifact: &'a Artifact, maps: &'a [Map], map: MapRef) -> Option<UserMap<'a>> {
    let index = map.0 as usize;
    UserMap::new(artifact.maps.get(index)?, maps.get(index)?)
}

/// The texts of an array with what stands between them.
fn joined(separator: &Format, texts: Fields<'_>) -> Vec<u8> {
    let separator: Vec<u8> = separator
        .pieces
        .iter()
        .flat_map(|piece| match piece {
            Piece::Text(text) => text.as_slice(),
            Piece::Conversion(_) => &[],
        })
        .copied()
        .collect();
    // An array ends with a null pointer, which cannot be read.
    let texts: Vec<&[u8]> = texts.texts().map_while(|text| text).collect();
    texts.join(separator.as_slice())
}

/// Carries out `cat` and `system`, and hands on what they brought.
fn bring(to: PrintTo, text: &[u8], limit: u32, mut send: impl FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    if to == PrintTo::Cat {
        let path = Path::new(OsStr::from_bytes(text));
        return match shell::beginning(path, limit.into()) {
            Ok(bytes) => send(Event::Brought { by: Source::Cat, bytes: &bytes }),
            Err(errno) => {
                let problem =
                    format!("failed to open file '{}' ({})", path.to_string_lossy(), errno.meaning());
                send(Event::Problem(&problem))
            }
        };
    }
    match shell::run(text) {
        Ok(output) => {
            if !output.bytes.is_empty() || output.status == 0 {
                send(Event::Brought { by: Source::System, bytes: &output.bytes })?;
            }
            if output.status != 0 {
                send(Event::Problem(&format!("command exited with code {}", output.status)))?;
            }
            Ok(())
        }
        Err(error) => send(Event::Problem(&format!("cannot run a command: {error}"))),
    }
}
