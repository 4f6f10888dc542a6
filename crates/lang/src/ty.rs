//! Types: what a value is, how many bytes it takes and where its parts lie.
//!
//! A [`Ty`] is a small index into [`Types`], the interner, so types compare and
//! copy as integers. The layout rules here are the only ones in the house: the
//! compiler writes by them and the decoder of events and map values reads by them.

mod ctypes;

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::{Deserialize, Serialize};

pub use ctypes::{Bits, CType, Enum, Field, Origin, Signature, Source, SourceId, Struct};

/// An interned type; cheap to copy, compare and hash. Only meaningful together
/// with the [`Types`] that made it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Ty(u32);

/// Where a pointer points to, which decides how it may be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Space {
    /// Kernel memory: read by `bpf_probe_read_kernel`.
    Kernel,
    /// The current task's user memory: read by `bpf_probe_read_user`.
    User,
    /// The program's context: direct loads at constant offsets.
    Context,
}

/// Values that are numbers or bytes to the kernel and a text to the user: user space alone knows the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Shown {
    /// `strftime()`: nanoseconds of a clock, then as 32 bits each the place of the format in
    /// [`crate::hir::Program::texts`] and the [`Clock`].
    Time,
    /// `ntop()`: the family, then the 16 bytes of an address; an IPv4 address takes the first 4 of them.
    Address,
    /// `username`: the user id.
    User,
    /// `macaddr()`: its 6 bytes.
    Mac,
    /// `cgroup_path()`: the id of a control group, then the place of the pattern in
    /// [`crate::hir::Program::texts`].
    CgroupPath,
}

/// The clock that a [`Shown::Time`] is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Clock {
    /// Since boot, with suspended time.
    Boot,
    /// International atomic time.
    Tai,
}

impl Shown {
    /// The parts of one that is made of several, side by side as in a tuple.
    pub fn parts(self) -> &'static [Ty] {
        match self {
            Shown::Time => &[Ty::U64, Ty::U32, Ty::U32],
            Shown::Address => &[Ty::U64, Ty::U64, Ty::U64],
            Shown::CgroupPath => &[Ty::U64, Ty::U64],
            Shown::User | Shown::Mac => &[],
        }
    }
}

/// What an aggregation keeps, per key and per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Agg {
    /// `count()`: one 64-bit counter.
    Count,
    /// `sum(n)`: one 64-bit sum.
    Sum {
        /// Whether the sum is of signed values.
        signed: bool,
    },
    /// `min(n)`: the value, then 1 once there is one.
    Min {
        /// Whether values compare as signed.
        signed: bool,
    },
    /// `max(n)`: the value, then 1 once there is one.
    Max {
        /// Whether values compare as signed.
        signed: bool,
    },
    /// `avg(n)`: the sum, then the count.
    Avg {
        /// Whether the sum is of signed values.
        signed: bool,
    },
    /// `stats(n)`: the sum, then the count.
    Stats {
        /// Whether the sum is of signed values.
        signed: bool,
    },
    /// `hist(n, bits)`: one 64-bit counter a bucket, see [`Agg::buckets`].
    Hist {
        /// Each power of two is split into 2^bits buckets (0 to 5).
        bits: u8,
    },
    /// `lhist(n, min, max, step)`: underflow, then (max-min)/step buckets
    /// rounded down, then overflow, which takes what is left of the last step
    /// too; one 64-bit counter each.
    Lhist {
        /// Lower end of the first bucket.
        min: i64,
        /// Upper end of the last bucket.
        max: i64,
        /// Width of one bucket, above 0.
        step: i64,
    },
    /// `tseries(n, interval, number)`: values over time.
    Tseries(Series),
}

/// What `tseries()` keeps: for each of the latest intervals three words, the number of the interval since 1970, the value, and what the value rests on (the time of the last sample, or the number of samples).
/// An interval is kept at its number modulo how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Series {
    /// Length of an interval in nanoseconds, above 0.
    pub interval_ns: u64,
    /// How many are kept, above 0.
    pub intervals: u32,
    /// What an interval's samples amount to.
    pub of: SeriesOf,
    /// Whether samples are signed.
    pub signed: bool,
}

/// See [`Series::of`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SeriesOf {
    Last,
    Avg,
    Min,
    Max,
    Sum,
}

impl Series {
    /// Whether values are sums of as many samples as they rest on.
    pub fn averages(self) -> bool {
        self.of == SeriesOf::Avg
    }
}

impl Agg {
    /// Number of 64-bit words the kernel keeps for one key on one CPU.
    pub fn words(self) -> u32 {
        match self {
            Agg::Count | Agg::Sum { .. } => 1,
            Agg::Min { .. } | Agg::Max { .. } | Agg::Avg { .. } | Agg::Stats { .. } => 2,
            Agg::Hist { .. } | Agg::Lhist { .. } => self.buckets(),
            Agg::Tseries(series) => series.intervals.saturating_mul(3),
        }
    }

    /// The type of the one number that the aggregation amounts to, if it is one number.
    pub fn number(self) -> Option<Ty> {
        match self {
            Agg::Count => Some(Ty::I64),
            Agg::Sum { signed } | Agg::Min { signed } | Agg::Max { signed } | Agg::Avg { signed } => {
                Some(if signed { Ty::I64 } else { Ty::U64 })
            }
            Agg::Stats { .. } | Agg::Hist { .. } | Agg::Lhist { .. } | Agg::Tseries(_) => None,
        }
    }

    /// Number of buckets of a histogram; 0 for the others.
    ///
    /// `hist`: samples count as signed, and bucket 0 holds negative values. With s = 2^bits, a value v in
    /// 0..s has bucket 1 + v. A larger value, with e = floor(log2 v), has bucket
    /// 1 + s + (e - bits) * s + (the `bits` bits below v's highest set bit).
    pub fn buckets(self) -> u32 {
        match self {
            Agg::Hist { bits } => {
                let split = 1u32 << bits;
                1 + split + (63 - u32::from(bits)) * split
            }
            Agg::Lhist { min, max, step } => {
                let range = (i128::from(max) - i128::from(min)).max(0);
                let step = i128::from(step.max(1));
                u32::try_from(range / step).unwrap_or(u32::MAX - 2).saturating_add(2)
            }
            _ => 0,
        }
    }
}

/// The shape of a type.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum TyKind {
    /// An error was already reported here; compatible with everything, so that
    /// one mistake gives one message.
    Error,
    /// No value: the result of `printf`, the key of a map without keys.
    Void,
    /// `true` or `false`, one byte.
    Bool,
    /// An integer of 8, 16, 32 or 64 bits.
    Int {
        /// Width in bits.
        bits: u8,
        /// Two's complement if set.
        signed: bool,
    },
    /// Text of at most this many bytes including the closing NUL. In memory:
    /// exactly that many bytes, zeroes after the text.
    Str(u32),
    /// Raw bytes: a 32-bit length, then this many bytes.
    Buf(u32),
    /// A pointer, 8 bytes.
    Ptr {
        /// What it points to.
        to: Ty,
        /// In which memory.
        space: Space,
    },
    /// A fixed number of elements one after the other.
    Array {
        /// Type of an element.
        elem: Ty,
        /// How many.
        len: u32,
    },
    /// Values side by side, each at its natural alignment, as in a C struct.
    Tuple(Box<[Ty]>),
    /// Named values side by side, laid out as a tuple.
    Record(Box<[(Box<str>, Ty)]>),
    /// A struct or union of C: see [`Types::struct_of`].
    Struct {
        /// Which.
        of: CType,
        /// The memory that pointers in it are addresses of.
        space: Space,
    },
    /// An enum of C, an integer whose values have names: see [`Types::enum_of`].
    Enum(CType),
    /// A type of C that the language has no values of.
    Opaque {
        /// As C spells it.
        name: Box<str>,
        /// In bytes; 0 if it has none.
        size: u32,
    },
    /// An attach point of this script: 8 bytes in memory, the index into the
    /// artifact's targets, which is also the attach cookie. Printed as the name
    /// of the probe; never spelled out by the kernel side.
    Probe,
    /// The function that a probe is in: 8 bytes in memory, the same index as
    /// [`TyKind::Probe`]. Printed as the function's name.
    Func,
    /// Something that user space makes a text of.
    Shown(Shown),
    /// The value of an aggregating map.
    Agg(Agg),
    /// `kstack`, `ustack`: the number of frames and the process (0 for the kernel's), 32 bits each, then that
    /// many frames, zeroes after the last. Equal stacks of one process are equal bytes.
    Stack(Stack),
    /// `ksym()`: an address of the kernel, printed as the name of what is there. With [`FUNC_MARK`] it is a
    /// [`TyKind::Func`], which no address can be mistaken for.
    KernelSymbol,
    /// `usym()`: an address and the process it is one of, 64 bits each.
    UserSymbol,
}

/// The bit that a [`TyKind::Func`] has where a [`TyKind::KernelSymbol`] is expected. All bits above the 47th of an
/// address are equal.
pub const FUNC_MARK: u64 = 1 << 62;

/// What a [`TyKind::Stack`] is a stack of, and how it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// The process' own frames instead of the kernel's.
    pub user: bool,
    /// How frames are shown, and with it what they are.
    pub mode: StackMode,
    /// So many frames at most, the innermost ones.
    pub frames: u32,
}

/// How the frames of a stack are shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum StackMode {
    /// `function+offset`
    #[default]
    Bpftrace,
    /// As `perf script`: address, `function+offset`, file.
    Perf,
    /// Addresses.
    Raw,
    /// Build ids of files, and offsets in them. A frame is a `struct bpf_stack_build_id`.
    BuildId,
}

impl StackMode {
    /// All, in the order in which messages list them.
    pub const ALL: [StackMode; 4] =
        [StackMode::Bpftrace, StackMode::Raw, StackMode::Perf, StackMode::BuildId];

    /// As scripts spell it.
    pub fn name(self) -> &'static str {
        match self {
            StackMode::Bpftrace => "bpftrace",
            StackMode::Perf => "perf",
            StackMode::Raw => "raw",
            StackMode::BuildId => "build_id",
        }
    }
}

impl Stack {
    /// Bytes in front of the frames.
    pub const HEADER: u32 = 8;

    /// The builtin that takes it.
    pub fn builtin(self) -> &'static str {
        if self.user { "ustack" } else { "kstack" }
    }

    /// Bytes of one frame.
    pub fn frame_size(self) -> u32 {
        if self.mode == StackMode::BuildId { 32 } else { 8 }
    }
}

/// The interner of types. The common ones are there from the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Types {
    kinds: IndexSet<TyKind, FxBuildHasher>,
    /// What is asked of them is asked before a script is stored.
    #[serde(skip)]
    sources: Vec<Source>,
    structs: FxHashMap<CType, Struct>,
    enums: FxHashMap<CType, Enum>,
}

macro_rules! common_types {
    ($($(#[$doc:meta])* $name:ident = $kind:expr;)*) => {
        #[expect(clippy::upper_case_acronyms, reason = "only counts the constants below")]
        enum Common { $($name),* }
        impl Ty { $($(#[$doc])* pub const $name: Ty = Ty(Common::$name as u32);)* }
        impl Default for Types {
            fn default() -> Self {
                let mut types = Types {
                    kinds: IndexSet::default(),
                    sources: Vec::new(),
                    structs: FxHashMap::default(),
                    enums: FxHashMap::default(),
                };
                $(let made = types.intern($kind); debug_assert_eq!(made, Ty::$name);)*
                types
            }
        }
    };
}

common_types! {
    /// See [`TyKind::Error`].
    ERROR = TyKind::Error;
    /// See [`TyKind::Void`].
    VOID = TyKind::Void;
    /// `bool`
    BOOL = TyKind::Bool;
    /// `int8`
    I8 = TyKind::Int { bits: 8, signed: true };
    /// `int16`
    I16 = TyKind::Int { bits: 16, signed: true };
    /// `int32`
    I32 = TyKind::Int { bits: 32, signed: true };
    /// `int64`
    I64 = TyKind::Int { bits: 64, signed: true };
    /// `uint8`
    U8 = TyKind::Int { bits: 8, signed: false };
    /// `uint16`
    U16 = TyKind::Int { bits: 16, signed: false };
    /// `uint32`
    U32 = TyKind::Int { bits: 32, signed: false };
    /// `uint64`
    U64 = TyKind::Int { bits: 64, signed: false };
    /// See [`TyKind::Probe`].
    PROBE = TyKind::Probe;
    /// See [`TyKind::Func`].
    FUNC = TyKind::Func;
    /// See [`TyKind::KernelSymbol`].
    KSYM = TyKind::KernelSymbol;
    /// See [`TyKind::UserSymbol`].
    USYM = TyKind::UserSymbol;
}

impl Types {
    /// The one index for this shape.
    pub fn intern(&mut self, kind: TyKind) -> Ty {
        // A script with 2^32 distinct types does not fit in memory.
        Ty(self.kinds.insert_full(kind).0 as u32)
    }

    /// The shape of a type.
    pub fn kind(&self, ty: Ty) -> &TyKind {
        self.kinds.get_index(ty.0 as usize).unwrap_or(&TyKind::Error)
    }

    /// `int8` to `uint64`.
    pub fn int(&mut self, bits: u8, signed: bool) -> Ty {
        self.intern(TyKind::Int { bits, signed })
    }

    /// A string of that many bytes including the NUL.
    pub fn str(&mut self, capacity: u32) -> Ty {
        self.intern(TyKind::Str(capacity))
    }

    /// A tuple; of no elements it is [`Ty::VOID`].
    pub fn tuple(&mut self, elems: impl Into<Box<[Ty]>>) -> Ty {
        let elems = elems.into();
        if elems.is_empty() { Ty::VOID } else { self.intern(TyKind::Tuple(elems)) }
    }

    /// A pointer.
    pub fn ptr(&mut self, to: Ty, space: Space) -> Ty {
        self.intern(TyKind::Ptr { to, space })
    }

    /// Bytes a value takes in an event, a map key or a map value.
    pub fn size(&self, ty: Ty) -> u32 {
        self.layout(ty).0
    }

    /// Alignment in bytes, at most 8.
    pub fn align(&self, ty: Ty) -> u32 {
        self.layout(ty).1
    }

    /// Byte offset of each element of a tuple or record, in order; empty for other types.
    pub fn offsets(&self, ty: Ty) -> Vec<u32> {
        let mut at = 0;
        self.elems(ty)
            .into_iter()
            .map(|elem| {
                let (size, align) = self.layout(elem);
                let offset = round_up(at, align);
                at = offset.saturating_add(size);
                offset
            })
            .collect()
    }

    /// The element types of a tuple or record, in order, and those of other types that are made of parts: the
    /// counts in front of a stack's frames, the address and the process of a user symbol. Empty for the rest.
    pub fn elems(&self, ty: Ty) -> Vec<Ty> {
        match self.kind(ty) {
            TyKind::Stack(_) => vec![Ty::U32, Ty::U32],
            TyKind::UserSymbol => vec![Ty::U64, Ty::U64],
            TyKind::Tuple(elems) => elems.to_vec(),
            TyKind::Record(fields) => fields.iter().map(|(_, ty)| *ty).collect(),
            TyKind::Shown(shown) => shown.parts().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Width and sign, for what computes as an integer (`bool` is an unsigned byte).
    pub fn as_int(&self, ty: Ty) -> Option<(u8, bool)> {
        match self.kind(ty) {
            TyKind::Int { bits, signed } => Some((*bits, *signed)),
            TyKind::Bool => Some((8, false)),
            TyKind::Enum(of) => self.enums.get(of).map(|of| (of.bits, of.signed)),
            _ => None,
        }
    }

    /// Whether values of the type live in memory rather than in one register.
    pub fn is_memory(&self, ty: Ty) -> bool {
        matches!(
            self.kind(ty),
            TyKind::Str(_)
                | TyKind::Buf(_)
                | TyKind::Array { .. }
                | TyKind::Tuple(_)
                | TyKind::Record(_)
                | TyKind::Struct { .. }
                | TyKind::Shown(Shown::Time | Shown::Address | Shown::Mac | Shown::CgroupPath)
                | TyKind::Stack(_)
                | TyKind::UserSymbol
        )
    }

    fn layout(&self, ty: Ty) -> (u32, u32) {
        match self.kind(ty) {
            TyKind::Error | TyKind::Void => (0, 1),
            TyKind::Bool => (1, 1),
            TyKind::Int { bits, .. } => (u32::from(*bits) / 8, u32::from(*bits) / 8),
            TyKind::Str(capacity) => (*capacity, 1),
            TyKind::Buf(capacity) => (capacity.saturating_add(4).next_multiple_of(4), 4),
            TyKind::Ptr { .. } | TyKind::Probe | TyKind::Func | TyKind::KernelSymbol => (8, 8),
            TyKind::UserSymbol => (16, 8),
            TyKind::Stack(stack) => (Stack::HEADER + stack.frames.saturating_mul(stack.frame_size()), 8),
            TyKind::Array { elem, len } => {
                let (size, align) = self.layout(*elem);
                (size.saturating_mul(*len), align)
            }
            TyKind::Shown(Shown::User) => (8, 8),
            TyKind::Shown(Shown::Mac) => (6, 1),
            TyKind::Tuple(_) | TyKind::Record(_) | TyKind::Shown(_) => {
                let mut end = 0u32;
                let mut align = 1;
                for elem in self.elems(ty) {
                    let (elem_size, elem_align) = self.layout(elem);
                    end = round_up(end, elem_align).saturating_add(elem_size);
                    align = align.max(elem_align);
                }
                (round_up(end, align), align)
            }
            TyKind::Struct { of, .. } => self.structs.get(of).map_or((0, 1), |of| (of.size, of.align)),
            TyKind::Enum(of) => {
                let bytes = self.enums.get(of).map_or(4, |of| u32::from(of.bits) / 8);
                (bytes, bytes)
            }
            TyKind::Opaque { size, .. } => (*size, 1),
            TyKind::Agg(agg) => (agg.words().saturating_mul(8), 8),
        }
    }

    /// The type as a user writes it or reads it in a message: `int64`,
    /// `string[16]`, `(uint32,string[16])`, `char *`, `count_t`.
    pub fn name(&self, ty: Ty) -> String {
        match self.kind(ty) {
            TyKind::Error => "unknown".into(),
            TyKind::Void => "void".into(),
            TyKind::Bool => "bool".into(),
            TyKind::Int { bits, signed } => format!("{}int{bits}", if *signed { "" } else { "u" }),
            TyKind::Str(capacity) => format!("string[{capacity}]"),
            TyKind::Buf(capacity) => format!("buffer[{capacity}]"),
            TyKind::Ptr { to, .. } => format!("{} *", self.name(*to)),
            TyKind::Array { .. } => {
                // Dimensions stand in their order: an array of 2 arrays of 3 is `[2][3]`.
                let (mut elem, mut dims) = (ty, String::new());
                while let TyKind::Array { elem: inner, len } = self.kind(elem) {
                    dims.push_str(&format!("[{len}]"));
                    elem = *inner;
                }
                format!("{}{dims}", self.name(elem))
            }
            TyKind::Struct { of, .. } => {
                self.structs.get(of).map_or("struct".into(), |of| of.name.to_string())
            }
            TyKind::Enum(of) => self.enums.get(of).map_or("enum".into(), |of| of.name.to_string()),
            TyKind::Opaque { name, .. } => name.to_string(),
            TyKind::Tuple(elems) => {
                let names: Vec<_> = elems.iter().map(|elem| self.name(*elem)).collect();
                format!("({})", names.join(","))
            }
            TyKind::Record(fields) => {
                let names: Vec<_> =
                    fields.iter().map(|(name, ty)| format!(".{name} = {}", self.name(*ty))).collect();
                format!("record {{ {} }}", names.join(", "))
            }
            TyKind::Probe => "string".into(),
            TyKind::Shown(shown) => match shown {
                Shown::Time => "timestamp".into(),
                Shown::Address => format!("inet[{}]", self.size(ty)),
                Shown::User => "username_t".into(),
                Shown::Mac => "mac_address".into(),
                Shown::CgroupPath => "cgroup_path_t".into(),
            },
            TyKind::Func | TyKind::KernelSymbol => "ksym_t".into(),
            TyKind::UserSymbol => "usym_t".into(),
            TyKind::Stack(stack) => format!("{}_{}_{}", stack.builtin(), stack.mode.name(), stack.frames),
            TyKind::Agg(agg) => {
                let sign = |signed: bool, name: &str| format!("{}{name}_t", if signed { "" } else { "u" });
                match agg {
                    Agg::Count => "count_t".into(),
                    Agg::Sum { signed } => sign(*signed, "sum"),
                    Agg::Min { signed } => sign(*signed, "min"),
                    Agg::Max { signed } => sign(*signed, "max"),
                    Agg::Avg { signed } => sign(*signed, "avg"),
                    Agg::Stats { signed } => sign(*signed, "stats"),
                    Agg::Hist { .. } => "hist_t".into(),
                    Agg::Lhist { .. } => "lhist_t".into(),
                    Agg::Tseries(_) => "tseries_t".into(),
                }
            }
        }
    }
}

fn round_up(at: u32, align: u32) -> u32 {
    at.saturating_add(align - 1) / align * align
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_types_are_where_their_constants_say() {
        let mut types = Types::default();
        assert_eq!(types.int(64, false), Ty::U64);
        assert_eq!(types.intern(TyKind::Probe), Ty::PROBE);
        assert_eq!(types.intern(TyKind::Func), Ty::FUNC);
    }

    #[test]
    fn a_tuple_is_laid_out_as_a_c_struct() {
        let mut types = Types::default();
        let name = types.str(3);
        let tuple = types.tuple([Ty::U8, Ty::U32, name, Ty::U64]);
        assert_eq!(types.offsets(tuple), [0, 4, 8, 16]);
        assert_eq!((types.size(tuple), types.align(tuple)), (24, 8));
        assert_eq!(types.name(tuple), "(uint8,uint32,string[3],uint64)");
    }

    #[test]
    fn histograms_have_a_bucket_for_every_value() {
        assert_eq!(Agg::Hist { bits: 0 }.buckets(), 1 + 1 + 63);
        assert_eq!(Agg::Lhist { min: 0, max: 10, step: 3 }.buckets(), 3 + 2);
        assert_eq!(Agg::Lhist { min: i64::MIN, max: i64::MAX, step: 1 }.buckets(), u32::MAX);
    }
}
