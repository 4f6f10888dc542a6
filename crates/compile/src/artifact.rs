//! The result of compiling: programs, maps, layouts of events, an attach plan
//! and BTF. Plain data that knows no file descriptor, so that it can be
//! printed, compared, stored, and loaded on another kernel.

use serde::{Deserialize, Serialize};
use skep_btf::ext::{FuncInfo, LineInfo};
use skep_isa::{Imm64, Insn, Reg};
use skep_lang::hir::{Config, Format, PrintTo, ProbeKind, Runtime, Target, TargetId};
use skep_lang::portable::Portable;
use skep_lang::ty::{Ty, Types};
use skep_ui::Span;

use crate::ir::MapRef;

/// A compiled script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// The types which maps and events refer to.
    pub types: Types,
    /// Settings for the runtime (and the licence).
    pub config: Config,
    /// Every place to attach to. The index is the attach cookie.
    pub targets: Vec<Target>,
    /// What to load.
    pub programs: Vec<Program>,
    /// What to create. Indexed by [`MapRef`].
    pub maps: Vec<MapSpec>,
    /// What records of the ring buffers look like. Indexed by a record's first
    /// 32 bits.
    pub events: Vec<EventLayout>,
    /// BTF of the programs and the maps.
    pub btf: Vec<u8>,
    /// Texts that values refer to by their place here.
    pub texts: Vec<String>,
    /// What is taken for granted about the machine, if the script is to run on others, too.
    pub portable: Portable,
}

impl Artifact {
    /// Whether its programs are narrowed to one process.
    pub fn uses_filter_pid(&self) -> bool {
        let mut relocs = self.programs.iter().flat_map(|program| &program.relocs);
        relocs.any(|reloc| reloc.kind == RelocKind::Runtime(Runtime::FilterPid))
    }

    /// Leaves out the programs for the targets that `keep` does not want. The targets keep their numbers.
    pub fn keep(&mut self, keep: impl Fn(&Target) -> bool) {
        let Artifact { targets, programs, .. } = self;
        for program in programs.iter_mut() {
            program.targets.retain(|id| targets.get(id.0 as usize).is_some_and(&keep));
        }
        programs.retain(|program| !program.targets.is_empty());
    }
}

/// One program, to be loaded once and attached to each of its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// Its attach point and its number; of long names the kernel shows the beginning, and its types all.
    pub name: String,
    /// Its type, and with it the type of its context.
    pub kind: ProbeKind,
    /// With zeroes where [`Program::relocs`] point.
    pub insns: Vec<Insn>,
    /// What is filled in before loading.
    pub relocs: Vec<Reloc>,
    /// Function starts for the kernel.
    pub func_info: Vec<FuncInfo>,
    /// Script lines for the kernel.
    pub line_info: Vec<LineInfo>,
    /// The place in the script each instruction stands for; as long as `insns`.
    pub spans: Vec<Span>,
    /// Where it is attached; never empty.
    pub targets: Vec<TargetId>,
    /// The clause in the script.
    pub span: Span,
    /// Slot of this program in the map of lost events.
    pub lost_slot: u32,
}

/// A place in a program that depends on the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloc {
    /// Index of the instruction (the first of two for a 64-bit load).
    pub insn: u32,
    /// What goes there.
    pub kind: RelocKind,
}

/// See [`Reloc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelocKind {
    /// A 64-bit load of a map.
    Map(MapRef),
    /// A 64-bit load of the address of a byte of an array map's value.
    MapValue(MapRef, u32),
    /// A 64-bit load of a constant.
    Runtime(Runtime),
    /// A call of `bpf_get_attach_cookie` (helper 174) with the context in r1.
    /// Where the kernel has no cookies it becomes `r0 = TARGET`, and the program
    /// is loaded once for each target.
    Cookie,
}

impl Reloc {
    /// Puts a value in its place. For [`RelocKind::Cookie`] the call becomes `r0 = value`; a call that should
    /// stay needs no value.
    pub fn apply(self, insns: &mut [Insn], value: Imm64) {
        let at = self.insn as usize;
        let Some(first) = insns.get(at).copied() else { return };
        match (self.kind, Reg::new(first.dst)) {
            (RelocKind::Cookie, _) => {
                if let Imm64::Value(value) = value {
                    // The value is the index of a target, far below 2^31.
                    insns[at] = Insn::mov64_imm(Reg::R0, value as i32);
                }
            }
            (_, Some(dst)) => {
                if let Some(pair) = insns.get_mut(at..at + 2) {
                    pair.copy_from_slice(&Insn::ld_imm64(dst, value));
                }
            }
            (_, None) => {}
        }
    }
}

/// A map to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSpec {
    /// With `@` for the script's own.
    pub name: String,
    /// What it is for.
    pub role: MapRole,
    /// What the kernel keeps.
    pub storage: Storage,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value (of one CPU).
    pub value_size: u32,
    /// For a map of the script without keys, which always has its one entry: where in the value the 64 bits are
    /// that are 1 once something was assigned (on this CPU), after the value itself.
    pub mark: Option<u32>,
    /// Number of entries; bytes for a ring buffer (0: the runtime decides). 0 for scratch memory: one for each CPU.
    pub max_entries: u32,
    /// Types of key and value in [`Artifact::btf`], 0 where there are none.
    pub btf: (u32, u32),
    /// First bytes of the value of entry 0.
    pub init: Vec<u8>,
    /// Not to be written by programs; frozen after `init` was stored.
    pub read_only: bool,
}

/// What a map is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapRole {
    /// A map of the script.
    User {
        /// [`Ty::VOID`] without keys: then the kernel's key is 4 zero bytes.
        key: Ty,
        /// A plain type or an aggregation.
        value: Ty,
    },
    /// Records of printf and print.
    Events,
    /// Records of exit, print of maps, clear, zero, time: see [`EventLayout::control`].
    Control,
    /// One 64-bit count of lost records per program and CPU.
    Lost,
    /// The processes that a stack or an address was taken of, so that user space is told of each once.
    Processes,
    /// What the processes have mapped whose stacks are unwound ([`crate::unwind`]).
    UnwindRanges,
    /// Which rule is in force for which code: arrays in an array.
    UnwindRows,
    /// How to get from functions to their callers.
    UnwindRules,
    /// What does not fit the stack of a program.
    Scratch,
    /// Constants.
    Constants,
}

/// The kernel's map types that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Storage {
    Hash,
    PerCpuHash,
    LruHash,
    PerCpuLruHash,
    Array,
    PerCpuArray,
    RingBuf,
    LpmTrie,
    ArrayOfMaps,
}

/// What a record of a ring buffer looks like.
///
/// Every record starts with 8 bytes: its layout's index as 32 bits, then the
/// index of the program that sent it as 32 bits. A record in the control ring
/// goes on with 64 bits: the producer position of the events ring at that
/// moment, so that the reader can put the two in order. Then come the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLayout {
    /// What to do with it.
    pub action: Action,
    /// Whether it travels in the control ring.
    pub control: bool,
    /// The values, in order.
    pub fields: Vec<EventField>,
    /// Bytes of the fixed part, header included; packed texts follow it.
    pub fixed_size: u32,
    /// The statement in the script.
    pub span: Span,
}

/// A value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventField {
    /// From the start of the record.
    pub offset: u32,
    /// What is there.
    pub ty: Ty,
    /// For a text that is packed: at `offset` are 32 bits, the length of the
    /// text with its NUL, 0 for an empty text. The texts follow the fixed part
    /// one after the other without gaps, in the order of the fields.
    pub packed: bool,
}

/// What to do with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Format the fields.
    Printf {
        /// Where to.
        to: PrintTo,
        /// How.
        format: Format,
    },
    /// Print the one field.
    PrintValue,
    /// Print an entry of an aggregating map; the one field is its key (none
    /// for a map without keys).
    PrintEntry(MapRef),
    /// Print a map.
    PrintMap {
        /// Which.
        map: MapRef,
        /// How many entries at most; 0 for all.
        top: u32,
        /// What values are divided by; 0 or 1 for nothing.
        div: u32,
    },
    /// Remove all entries.
    Clear(MapRef),
    /// Set all values to zero.
    Zero(MapRef),
    /// Print the wall clock.
    Time {
        /// strftime format.
        format: String,
    },
    /// A process is about to send addresses of its own; the one field is its id. What it has mapped is to be looked
    /// at while it lives.
    ProcessSeen,
    /// End; the one field is the exit status.
    Exit,
    /// An operation failed in the kernel; the one field is its result, a negative errno.
    HelperError {
        /// Number of the helper.
        helper: u32,
    },
}
