//! A compiled script put into the kernel: maps created, places filled in, programs loaded.
//!
//! Features of the kernel are asked for only where the answer matters, because each answer costs a system call
//! and most scripts start in a few milliseconds.

mod typed;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use skep_compile::artifact::{Artifact, MapRole, MapSpec, Program, RelocKind, Storage};
use skep_compile::session::{self, Cookies};
use skep_isa::{Imm64, Insn, Reg};
use skep_kernel::bpf::{self, AttachType, Map, MapBtf, MapType, ProgSpec, ProgType, UpdateFlag, map_flags};
use skep_kernel::features::{Feature, Features};
use skep_kernel::{Errno, limits, perf};
use skep_lang::hir::{ProbeKind, Runtime, TargetId};

use crate::error::{Error, Result};
use crate::plan::{self, Group, Way};
use crate::{refusal, unwind};

/// What the constants of a run are.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuntimeValues {
    /// `bpf_ktime_get_ns` at the start.
    pub start_time: u64,
    /// Process id of the command, or 0.
    pub command_pid: u64,
    /// The process that the script is narrowed to, or 0.
    pub filter_pid: u64,
    /// One more than the greatest number a CPU can have.
    pub cpu_count: u64,
    /// What CLOCK_TAI is ahead of CLOCK_BOOTTIME, in nanoseconds.
    pub tai_offset: u64,
    /// What CLOCK_REALTIME is ahead of CLOCK_BOOTTIME, in nanoseconds.
    pub real_offset: u64,
    /// Device and inode of the process id namespace that the script is run in.
    pub namespace: (u64, u64),
    /// The answers to the questions of a portable script.
    pub answers: Vec<u64>,
}

/// A script in the kernel, not attached yet.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// As long as [`Artifact::maps`].
    pub maps: Vec<Map>,
    /// One for each program, or for each of its targets where they cannot share one.
    pub programs: Vec<LoadedProgram>,
    /// Targets that the kernel takes no program for, and why.
    pub refused: Vec<(TargetId, skep_kernel::Error)>,
}

/// A program in the kernel.
#[derive(Debug)]
pub(crate) struct LoadedProgram {
    /// Index into [`Artifact::programs`].
    pub index: usize,
    /// What it is run as.
    pub kind: ProbeKind,
    /// What keeps it.
    pub fd: OwnedFd,
    /// Where it goes.
    pub targets: Vec<TargetId>,
    /// Of a session: what stands for the return of each target; else nothing.
    pub returns: Vec<TargetId>,
    /// How it gets there.
    pub way: Way,
    /// Whether it asks for the attach cookie.
    pub wants_cookie: bool,
    /// What the verifier wrote, if it was asked to.
    pub log: String,
}

/// Loads everything. Maps of `pinned` (a name and a path each) are taken instead of made. `log_level` is what the
/// verifier writes even if it accepts.
pub(crate) fn load(
    artifact: &Artifact,
    pinned: &[(String, PathBuf)],
    values: &RuntimeValues,
    features: &Features,
    log_level: u32,
) -> Result<Loaded> {
    if let Err(error) = limits::raise_memlock() {
        tracing::debug!("{error}");
    }
    // Each program, map and attach point is a descriptor.
    let wanted = artifact.targets.len() * 2 + artifact.programs.len() + artifact.maps.len() + 64;
    if wanted > 1000 {
        limits::raise_nofile(wanted as u64);
    }
    let btf = load_btf(artifact);
    let maps = create_maps(artifact, pinned, features, btf.as_ref())?;
    let loaded = Loaded { maps, programs: Vec::new(), refused: Vec::new() };
    let loader = |(index, program)| {
        let (maps, btf) = (&loaded.maps, btf.as_ref());
        Loader { artifact, program, index, maps, values, btf, log_level }
    };
    let mut sessions = Vec::new();
    let mut served: Vec<usize> = Vec::new();
    for session in plan::sessions(&artifact.programs, &artifact.targets, features) {
        let entry = artifact.programs.get(session.entry).map(|program| (session.entry, program));
        if let Some(program) = entry.and_then(|entry| loader(entry).load_session(&session)) {
            sessions.push(program);
            served.extend([session.entry, session.exit]);
        }
    }
    let mut programs = Vec::with_capacity(artifact.programs.len());
    let mut refused = Vec::new();
    for (index, program) in artifact.programs.iter().enumerate() {
        let mut session = sessions.extract_if(.., |session| session.index == index);
        programs.extend(session.next());
        if served.contains(&index) {
            continue;
        }
        for outcome in loader((index, program)).load(features)? {
            match outcome {
                Outcome::Loaded(program) => programs.push(program),
                Outcome::Refused(target, error) => refused.push((target, error)),
            }
        }
    }
    Ok(Loaded { programs, refused, ..loaded })
}

/// Type information is for those who look at the programs from outside; without it they run all the same.
fn load_btf(artifact: &Artifact) -> Option<OwnedFd> {
    if artifact.btf.is_empty() {
        return None;
    }
    bpf::btf_load(&artifact.btf)
        .inspect_err(|error| tracing::debug!("type information left out: {error}\n{}", error.log))
        .ok()
}

fn create_maps(
    artifact: &Artifact,
    pinned: &[(String, PathBuf)],
    features: &Features,
    btf: Option<&OwnedFd>,
) -> Result<Vec<Map>> {
    let traced = artifact.programs.iter().any(|program| program.kind != ProbeKind::RawTestRun);
    let prints = artifact.events.iter().any(|layout| !layout.control);
    let events_bytes = match (prints, traced) {
        (true, true) => EVENTS_BYTES,
        (true, false) => EVENTS_BYTES_UNTRACED,
        // It is there for its position only.
        (false, _) => LEAST_RING_BYTES,
    };
    artifact
        .maps
        .iter()
        .map(|spec| {
            if let Some((_, path)) = pinned.iter().find(|(name, _)| *name == spec.name) {
                return open_pinned(spec, path)
                    .map_err(Error::kernel(format!("cannot use the map {}", path.display())));
            }
            let map = match spec.storage {
                Storage::RingBuf => create_ring(spec, events_bytes, artifact.config.perf_rb_pages),
                _ => create_map(spec, grows(spec, features), btf),
            }
            .map_err(Error::kernel(format!("cannot create the map {}", spec.name)))?;
            store_init(spec, &map).map_err(Error::kernel(format!("cannot fill the map {}", spec.name)))?;
            Ok(map)
        })
        .collect()
}

/// A map that lives elsewhere. What the programs do with it the verifier allows as far as its keys and values are as
/// long as theirs.
fn open_pinned(spec: &MapSpec, path: &Path) -> skep_kernel::Result<Map> {
    let map = Map::from_fd(bpf::obj_get(path)?)?;
    let (keys, values) = (map.key_size(), map.value_len());
    if map.kind() != MapType::HASH || keys != spec.key_size as usize || values < spec.value_size as usize {
        let text = format!(
            "it is no hash map with keys of {} and values of {} bytes",
            spec.key_size, spec.value_size
        );
        return Err(skep_kernel::Error::Invalid(text));
    }
    Ok(map)
}

/// Whether a hash map takes memory as it grows rather than at once. While interrupts are off, as in timers, the kernel
/// then has a handful of entries ready and refuses more, so this is only for maps that would take too much.
/// Kernels that cannot do so safely wherever a program may run say so by refusing it for timers.
fn grows(spec: &MapSpec, features: &Features) -> bool {
    let copies = match spec.storage {
        Storage::Hash => 1,
        Storage::PerCpuHash => perf::possible_cpu_count().unwrap_or(1) as u64,
        _ => return false,
    };
    let value = u64::from(spec.value_size).next_multiple_of(8) * copies;
    let entry = value + u64::from(spec.key_size).next_multiple_of(8) + ENTRY_OVERHEAD;
    entry.saturating_mul(spec.max_entries.into()) > MOST_AT_ONCE
        && features.has(Feature::NoPreallocInPerfEvent)
}

/// What the kernel keeps beside key and value of an entry.
const ENTRY_OVERHEAD: u64 = 48;

/// Bytes that one map may take before it holds anything.
const MOST_AT_ONCE: u64 = 256 << 20;

fn create_map(spec: &MapSpec, grows: bool, btf: Option<&OwnedFd>) -> skep_kernel::Result<Map> {
    let kind = match spec.storage {
        Storage::Hash => MapType::HASH,
        Storage::PerCpuHash => MapType::PERCPU_HASH,
        Storage::LruHash => MapType::LRU_HASH,
        Storage::PerCpuLruHash => MapType::LRU_PERCPU_HASH,
        Storage::Array => MapType::ARRAY,
        Storage::PerCpuArray => MapType::PERCPU_ARRAY,
        Storage::RingBuf => MapType::RINGBUF,
        Storage::LpmTrie => MapType::LPM_TRIE,
        Storage::ArrayOfMaps => MapType::ARRAY_OF_MAPS,
    };
    let name = kernel_name(&spec.name);
    let entries = match (spec.max_entries, spec.role) {
        (0, MapRole::Scratch) => perf::possible_cpu_count()? as u32,
        (entries, _) => entries.max(1),
    };
    let mut wanted = bpf::MapSpec::new(kind, &name, spec.key_size, spec.value_size.max(1), entries);
    // A trie is never made in advance.
    if grows || spec.storage == Storage::LpmTrie {
        wanted = wanted.flags(map_flags::NO_PREALLOC);
    }
    let inner = match spec.storage {
        Storage::ArrayOfMaps => Some(unwind::bank(1)?),
        _ => None,
    };
    wanted.inner_map = inner.as_ref().map(AsFd::as_fd);
    if spec.read_only {
        wanted = wanted.flags(map_flags::RDONLY_PROG);
    }
    if let (Some(btf), (key_type_id, value_type_id @ 1..)) = (btf, spec.btf) {
        let typed =
            bpf::MapSpec { btf: Some(MapBtf { fd: btf.as_fd(), key_type_id, value_type_id }), ..wanted };
        match bpf::map_create(&typed) {
            Ok(map) => return Ok(map),
            Err(error) => tracing::debug!("the map {} goes without its types: {error}", spec.name),
        }
    }
    bpf::map_create(&wanted)
}

/// Bytes of the ring of printed records: a quarter of a second of a million records a second, which is how long
/// a reader may be kept from reading.
const EVENTS_BYTES: u32 = 8 << 20;
/// The same when only `BEGIN` and `END` run: they can print no more than they are long.
const EVENTS_BYTES_UNTRACED: u32 = 1 << 20;
/// Bytes of the ring of what controls the session.
const CONTROL_BYTES: u32 = 256 << 10;
/// The least that is worth a try.
const LEAST_RING_BYTES: u32 = 64 << 10;

/// `pages` is what the script asks for, in 4 KiB; 0 for what is best.
fn create_ring(spec: &MapSpec, events_bytes: u32, pages: u32) -> skep_kernel::Result<Map> {
    let mut bytes = match (spec.max_entries, spec.role) {
        (0, MapRole::Control) => CONTROL_BYTES,
        (0, _) if pages > 0 => ring_bytes(pages),
        (0, _) => events_bytes,
        (bytes, _) => power_of_two(bytes),
    };
    loop {
        match bpf::map_create(&bpf::MapSpec::ring_buffer(&kernel_name(&spec.name), bytes)) {
            Err(error) if error.errno() == Some(Errno::ENOMEM) && bytes > LEAST_RING_BYTES => bytes /= 2,
            Err(error) => {
                return Err(
                    error.with_hint("records travel through a ring buffer, which Linux has since 5.8")
                );
            }
            created => return created,
        }
    }
}

/// The kernel takes powers of two only.
fn power_of_two(bytes: u32) -> u32 {
    bytes.checked_next_power_of_two().unwrap_or(1 << 31).max(LEAST_RING_BYTES)
}

fn ring_bytes(pages: u32) -> u32 {
    power_of_two(pages.saturating_mul(4096))
}

fn store_init(spec: &MapSpec, map: &Map) -> skep_kernel::Result<()> {
    if !spec.init.is_empty() {
        let mut value = vec![0; map.value_len()];
        for (to, from) in value.iter_mut().zip(&spec.init) {
            *to = *from;
        }
        map.update(&vec![0; map.key_size()], &value, UpdateFlag::Any)?;
    }
    // A frozen map's bytes are constants to the verifier.
    if spec.read_only { map.freeze() } else { Ok(()) }
}

/// The script's `@x` is `AT_x` to the kernel, which takes no `@`.
fn kernel_name(name: &str) -> String {
    match name.strip_prefix('@') {
        Some(name) => format!("AT_{name}"),
        None => name.to_owned(),
    }
}

/// What came of loading a program for some targets.
enum Outcome {
    Loaded(LoadedProgram),
    /// The kernel takes none for this target.
    Refused(TargetId, skep_kernel::Error),
}

/// One program on its way into the kernel.
#[derive(Clone, Copy)]
struct Loader<'a> {
    artifact: &'a Artifact,
    program: &'a Program,
    index: usize,
    maps: &'a [Map],
    values: &'a RuntimeValues,
    btf: Option<&'a OwnedFd>,
    log_level: u32,
}

impl Loader<'_> {
    fn load(&self, features: &Features) -> Result<Vec<Outcome>> {
        let groups = plan::groups(self.program, &self.artifact.targets, features);
        groups.into_iter().map(|group| self.load_for(group)).collect()
    }

    /// Loads this program and that for the return as one; `None` if that is not possible.
    fn load_session(&self, session: &plan::Session) -> Option<LoadedProgram> {
        let exit = self.artifact.programs.get(session.exit)?;
        let is_return = typed::function_number("bpf_session_is_return")?;
        let uses_cookie = [self.program, exit].into_iter().any(plan::uses_cookie);
        let cookies = match session.targets.as_slice() {
            [(entry, exit)] => Cookies::Fixed(*entry, *exit),
            _ => Cookies::Paired,
        };
        let program = session::join(self.program, exit, is_return, cookies)?;
        let (targets, returns) = session.targets.iter().copied().unzip();
        let wants_cookie = uses_cookie && cookies == Cookies::Paired;
        let group = Group { targets, way: session.way, wants_cookie };
        match (Loader { program: &program, ..*self }).load_for(group) {
            Ok(Outcome::Loaded(loaded)) => Some(LoadedProgram { returns, ..loaded }),
            Ok(Outcome::Refused(..)) => None,
            Err(error) => {
                tracing::debug!("{}: loading call and return apart after {error}", program.name);
                None
            }
        }
    }

    fn load_for(&self, group: Group) -> Result<Outcome> {
        let Group { targets, way, wants_cookie } = group;
        let fixed = if wants_cookie { None } else { targets.first().copied() };
        let insns = self.patched(fixed)?;
        let kind = match self.program.kind {
            ProbeKind::RawTestRun | ProbeKind::RawTracepoint => ProgType::RAW_TRACEPOINT,
            ProbeKind::Tracepoint => ProgType::TRACEPOINT,
            ProbeKind::PerfEvent => ProgType::PERF_EVENT,
            ProbeKind::Kprobe => ProgType::KPROBE,
            ProbeKind::TypedTracepoint | ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter => {
                ProgType::TRACING
            }
        };
        let first = targets.first().and_then(|id| Some((*id, self.artifact.targets.get(id.0 as usize)?)));
        let function = match first {
            Some((id, target)) if plan::is_typed(self.program.kind) => match typed::find(target) {
                Ok(function) => Some(function),
                Err(error) => return Ok(Outcome::Refused(id, error)),
            },
            _ => None,
        };
        let expected_attach_type = match (way, &function) {
            (Way::Single, Some(function)) => function.attach_type,
            (Way::Single, None) => AttachType(0),
            (Way::KprobeMulti, _) => AttachType::TRACE_KPROBE_MULTI,
            (Way::UprobeMulti, _) => AttachType::TRACE_UPROBE_MULTI,
            (Way::KprobeSession, _) => AttachType::TRACE_KPROBE_SESSION,
            (Way::UprobeSession, _) => AttachType::TRACE_UPROBE_SESSION,
        };
        let (func_info, line_info) =
            (skep_btf::ext::encode(&self.program.func_info), skep_btf::ext::encode(&self.program.line_info));
        let bare = ProgSpec {
            license: &self.artifact.config.license,
            kern_version: limits::kernel_version_code(),
            log_level: self.log_level,
            expected_attach_type,
            attach_btf_id: function.as_ref().map_or(0, |function| function.btf_id),
            attach_to: function.as_ref().and_then(|function| function.within.as_ref()).map(AsFd::as_fd),
            ..ProgSpec::new(kind, &self.program.name, &insns)
        };
        let typed = ProgSpec {
            btf: self.btf.map(|btf| btf.as_fd()),
            func_info: &func_info,
            line_info: &line_info,
            ..bare
        };
        let result = match load_one(&typed) {
            // The verifier did not come to a verdict about the code: perhaps the kernel dislikes its types.
            Err(error) if self.btf.is_some() && error.errno == Errno::EINVAL && !judged_code(&error.log) => {
                tracing::debug!("{}: loading without type information after {error}", self.program.name);
                load_one(&bare).map_err(|_| error)
            }
            result => result,
        };
        match result {
            Ok((fd, log)) => {
                let index = self.index;
                let returns = Vec::new();
                Ok(Outcome::Loaded(LoadedProgram {
                    index,
                    kind: self.program.kind,
                    fd,
                    targets,
                    returns,
                    way,
                    wants_cookie,
                    log,
                }))
            }
            // Not a word about the code: it is the function that may not be traced, or tracing that may not be done.
            Err(error) if function.is_some() && !judged_code(&error.log) => {
                let id = targets.first().copied().unwrap_or(TargetId(0));
                Ok(Outcome::Refused(id, typed::refused(self.program.kind, error)))
            }
            Err(error) => {
                let name = targets
                    .first()
                    .and_then(|target| self.artifact.targets.get(target.0 as usize))
                    .map_or(self.program.name.as_str(), |target| &target.name);
                Err(refusal::explain(self.program, &insns, name, error))
            }
        }
    }

    /// The instructions with everything filled in. A program for one target has its number in place of the cookie.
    fn patched(&self, fixed: Option<TargetId>) -> Result<Vec<Insn>> {
        let broken = || Error::Usage("the compiled script is damaged: compile it again".into());
        let mut insns = self.program.insns.clone();
        for reloc in &self.program.relocs {
            let at = reloc.insn as usize;
            let fd = |map: skep_compile::ir::MapRef| {
                self.maps.get(map.0 as usize).map(|map| map.as_fd().as_raw_fd()).ok_or_else(broken)
            };
            let value = match reloc.kind {
                RelocKind::Map(map) => Imm64::MapFd(fd(map)?),
                RelocKind::MapValue(map, off) => Imm64::MapValue { fd: fd(map)?, off },
                RelocKind::Runtime(Runtime::KernelVariable(id)) => Imm64::BtfId { id, btf_fd: 0 },
                RelocKind::Runtime(runtime) => Imm64::Value(match runtime {
                    Runtime::StartTime => self.values.start_time,
                    Runtime::CommandPid => self.values.command_pid,
                    Runtime::FilterPid => self.values.filter_pid,
                    Runtime::CpuCount => self.values.cpu_count,
                    Runtime::TaiOffset => self.values.tai_offset,
                    Runtime::RealOffset => self.values.real_offset,
                    Runtime::NamespaceDevice => self.values.namespace.0,
                    Runtime::NamespaceInode => self.values.namespace.1,
                    // It has an arm of its own.
                    Runtime::KernelVariable(_) => 0,
                    Runtime::Asked(question) => {
                        *self.values.answers.get(question as usize).ok_or_else(broken)?
                    }
                }),
                RelocKind::Cookie => {
                    if let Some(target) = fixed {
                        let insn = insns.get_mut(at).ok_or_else(broken)?;
                        let identity = target.identity(&self.artifact.targets);
                        *insn = Insn::mov64_imm(Reg::R0, identity.0.cast_signed());
                    }
                    continue;
                }
            };
            let (src, low, high) = value.encode();
            let [first, second] = insns.get_mut(at..at + 2).ok_or_else(broken)? else { return Err(broken()) };
            *first = Insn { src, imm: low, ..*first };
            *second = Insn { imm: high, ..*second };
        }
        Ok(insns)
    }
}

fn load_one(spec: &ProgSpec<'_>) -> Result<(OwnedFd, String), bpf::LoadError> {
    if spec.log_level == 0 {
        bpf::prog_load(spec).map(|fd| (fd, String::new()))
    } else {
        bpf::prog_load_logged(spec).map(|loaded| (loaded.fd, loaded.log))
    }
}

/// Whether the log speaks of instructions.
fn judged_code(log: &str) -> bool {
    refusal::last_instruction(log).is_some()
}
