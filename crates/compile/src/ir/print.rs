//! The text form of the IR. It is stable, holds everything but spans and the script's types, and `parse` reads
//! it back.
//!
//! ```text
//! func probe0 {
//!   object o0 "key" size 8 align 8
//! block0:
//!   v0: ctx = ctx
//!   v1: ptr = object o0 + 0
//!   v2: int = load.u32 [v0 + 16]
//!   store.64 [v1 + 0], v2
//!   br ult v2, v3, block1(v2), block2
//! block1(v4: int):
//!   return v4
//! }
//! ```
//!
//! A line starts a block, is one instruction, or ends a block. Values carry their type where they are
//! defined. A function that the kernel checks by itself is `global`. A module's text is its maps, its events, its programs, then what they call: `sub func name(v0: int) {`.

use std::fmt::{self, Display, Formatter};

use skep_lang::hir::Runtime;

use super::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, FuncId, Home, Inst, MapRef, Module, Object, ObjectId, Op, Term,
    Value, ValueTy, Width,
};
use crate::artifact::{EventLayout, MapRole, MapSpec, Storage};

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, map) in self.maps.iter().enumerate() {
            writeln!(f, "map m{at} {map}")?;
        }
        for (at, event) in self.events.iter().enumerate() {
            writeln!(f, "event e{at} {event}")?;
        }
        for func in &self.funcs {
            writeln!(f, "{func}")?;
        }
        for func in &self.subs {
            writeln!(f, "sub {func}")?;
        }
        Ok(())
    }
}

impl Display for MapSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} {} key {} value {} entries {}",
            self.name,
            self.role.word(),
            self.storage.word(),
            self.key_size,
            self.value_size,
            self.max_entries
        )?;
        if let Some(mark) = self.mark {
            write!(f, " mark {mark}")?;
        }
        if self.read_only {
            write!(f, " read_only")?;
        }
        if !self.init.is_empty() {
            // Most of it is zeroes, and those at the end are left out.
            let shown = self.init.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let gap = if shown > 0 { " " } else { "" };
            write!(f, " init {}{gap}", self.init.len())?;
            for byte in self.init.iter().take(shown) {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl MapRole {
    /// Its name in the text form.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            MapRole::User { .. } => "user",
            MapRole::Events => "events",
            MapRole::Control => "control",
            MapRole::Lost => "lost",
            MapRole::Processes => "processes",
            MapRole::UnwindRanges => "unwind_ranges",
            MapRole::UnwindRows => "unwind_rows",
            MapRole::UnwindRules => "unwind_rules",
            MapRole::Scratch => "scratch",
            MapRole::Constants => "constants",
        }
    }
}

impl Storage {
    /// Its name in the text form, which is the kernel's in lower case.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Storage::Hash => "hash",
            Storage::PerCpuHash => "percpu_hash",
            Storage::LruHash => "lru_hash",
            Storage::PerCpuLruHash => "lru_percpu_hash",
            Storage::Array => "array",
            Storage::PerCpuArray => "percpu_array",
            Storage::RingBuf => "ringbuf",
            Storage::LpmTrie => "lpm_trie",
            Storage::ArrayOfMaps => "array_of_maps",
        }
    }
}

/// For reading only: what a record means is not IR.
impl Display for EventLayout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} size {}", if self.control { "control" } else { "data" }, self.fixed_size)?;
        for field in &self.fields {
            write!(f, "{} {}", if field.packed { " packed" } else { " at" }, field.offset)?;
        }
        write!(f, " {:?}", self.action)
    }
}

impl Display for Func {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}func {}", if self.is_global { "global " } else { "" }, self.name)?;
        self.fmt_params(f, &self.params)?;
        writeln!(f, " {{")?;
        for (at, object) in self.objects.iter().enumerate() {
            let Object { name, size, align, home } = object;
            write!(f, "  object o{at} {name:?} size {size} align {align}")?;
            match home {
                Home::Any => writeln!(f)?,
                Home::Stack => writeln!(f, " on_stack")?,
                Home::Scratch => writeln!(f, " in_scratch")?,
                Home::Common(number) => writeln!(f, " common {number}")?,
            }
        }
        for (at, block) in self.blocks.iter().enumerate() {
            self.fmt_block(f, BlockId(at as u32), block)?;
        }
        write!(f, "}}")
    }
}

impl Func {
    fn fmt_block(&self, f: &mut Formatter<'_>, id: BlockId, block: &Block) -> fmt::Result {
        write!(f, "{id}")?;
        self.fmt_params(f, &block.params)?;
        writeln!(f, ":")?;
        for Inst { result, op, .. } in &block.insts {
            match result {
                Some(result) => writeln!(f, "  {result}: {} = {op}", self.ty_word(*result))?,
                None => writeln!(f, "  {op}")?,
            }
        }
        writeln!(f, "  {}", block.term)
    }

    fn fmt_params(&self, f: &mut Formatter<'_>, params: &[Value]) -> fmt::Result {
        if params.is_empty() {
            return Ok(());
        }
        write!(f, "(")?;
        for (at, param) in params.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{param}: {}", self.ty_word(*param))?;
        }
        write!(f, ")")
    }

    fn ty_word(&self, value: Value) -> &'static str {
        self.values.get(value.0 as usize).map_or("?", |data| data.ty.word())
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Op::Const(value) => write!(f, "const {value}"),
            Op::Ctx => write!(f, "ctx"),
            Op::ObjectAddr(object, offset) => write!(f, "object {object} + {offset}"),
            Op::Map(map) => write!(f, "map {map}"),
            Op::MapValue(map, offset) => write!(f, "map_value {map} + {offset}"),
            Op::Runtime(Runtime::Asked(question)) => write!(f, "asked {question}"),
            Op::Runtime(Runtime::KernelVariable(id)) => write!(f, "variable {id}"),
            Op::Runtime(what) => write!(f, "runtime {}", runtime_word(*what)),
            Op::Cookie(ctx) => write!(f, "cookie {ctx}"),
            Op::Bin(op, a, b) => write!(f, "{} {a}, {b}", op.word()),
            Op::Cmp(op, a, b) => write!(f, "cmp {} {a}, {b}", op.word()),
            Op::Extend { from, signed, value } => {
                write!(f, "{}.{} {value}", if *signed { "sext" } else { "zext" }, from.bits())
            }
            Op::ByteSwap(width, value) => write!(f, "bswap.{} {value}", width.bits()),
            Op::Load { width, signed, addr, offset } => {
                write!(
                    f,
                    "load.{}{} {}",
                    if *signed { "s" } else { "u" },
                    width.bits(),
                    Place(*addr, *offset)
                )
            }
            Op::Store { width, addr, offset, value } => {
                write!(f, "store.{} {}, {value}", width.bits(), Place(*addr, *offset))
            }
            Op::AtomicAdd { width, addr, offset, value } => {
                write!(f, "atomic_add.{} {}, {value}", width.bits(), Place(*addr, *offset))
            }
            Op::Zero { addr, offset, len, align } => {
                write!(f, "zero {}, {len}, align {align}", Place(*addr, *offset))
            }
            Op::Copy { dst, dst_offset, src, src_offset, len, align } => {
                write!(
                    f,
                    "copy {}, {}, {len}, align {align}",
                    Place(*dst, *dst_offset),
                    Place(*src, *src_offset)
                )
            }
            Op::FuncAddr(func) => write!(f, "func_addr {func}"),
            Op::CallFunc { func, args } => {
                write!(f, "call_func {func}")?;
                fmt_args(f, args, true)
            }
            Op::Call { helper, args, pure, .. } => {
                let name = skep_isa::helpers::helper_by_id(*helper).map_or("unknown", |known| known.name);
                write!(f, "{} {helper} {name}", if *pure { "call_pure" } else { "call" })?;
                fmt_args(f, args, true)
            }
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Term::Jump(edge) => write!(f, "jump {edge}"),
            Term::Branch { op, lhs, rhs, then, otherwise } => {
                write!(f, "br {} {lhs}, {rhs}, {then}, {otherwise}", op.word())
            }
            Term::Return(value) => write!(f, "return {value}"),
        }
    }
}

impl Display for Edge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to)?;
        fmt_args(f, &self.args, false)
    }
}

fn fmt_args(f: &mut Formatter<'_>, args: &[Value], even_if_empty: bool) -> fmt::Result {
    if args.is_empty() && !even_if_empty {
        return Ok(());
    }
    write!(f, "(")?;
    for (at, arg) in args.iter().enumerate() {
        write!(f, "{}{arg}", if at > 0 { ", " } else { "" })?;
    }
    write!(f, ")")
}

/// `[v1 + 8]`, `[v1 - 8]`
struct Place(Value, i32);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.1 < 0 { '-' } else { '+' };
        write!(f, "[{} {sign} {}]", self.0, self.1.unsigned_abs())
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl Display for BlockId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "block{}", self.0)
    }
}

impl Display for ObjectId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "o{}", self.0)
    }
}

impl Display for FuncId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

impl Display for MapRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl ValueTy {
    /// Its name in the text form.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ValueTy::Int => "int",
            ValueTy::Ptr => "ptr",
            ValueTy::Ctx => "ctx",
        }
    }
}

impl Width {
    /// 8, 16, 32 or 64.
    pub fn bits(self) -> u32 {
        self.bytes() * 8
    }
}

impl BinOp {
    /// All of them, with their names in the text form.
    pub(crate) const WORDS: [(BinOp, &'static str); 13] = [
        (BinOp::Add, "add"),
        (BinOp::Sub, "sub"),
        (BinOp::Mul, "mul"),
        (BinOp::UDiv, "udiv"),
        (BinOp::SDiv, "sdiv"),
        (BinOp::UMod, "umod"),
        (BinOp::SMod, "smod"),
        (BinOp::And, "and"),
        (BinOp::Or, "or"),
        (BinOp::Xor, "xor"),
        (BinOp::Shl, "shl"),
        (BinOp::LShr, "lshr"),
        (BinOp::AShr, "ashr"),
    ];

    fn word(self) -> &'static str {
        word_of(&Self::WORDS, self)
    }
}

impl CmpOp {
    /// All of them, with their names in the text form.
    pub(crate) const WORDS: [(CmpOp, &'static str); 10] = [
        (CmpOp::Eq, "eq"),
        (CmpOp::Ne, "ne"),
        (CmpOp::ULt, "ult"),
        (CmpOp::ULe, "ule"),
        (CmpOp::UGt, "ugt"),
        (CmpOp::UGe, "uge"),
        (CmpOp::SLt, "slt"),
        (CmpOp::SLe, "sle"),
        (CmpOp::SGt, "sgt"),
        (CmpOp::SGe, "sge"),
    ];

    fn word(self) -> &'static str {
        word_of(&Self::WORDS, self)
    }
}

/// The constants of the runtime, with their names in the text form.
pub(crate) const RUNTIME_WORDS: [(Runtime, &str); 8] = [
    (Runtime::StartTime, "start_time"),
    (Runtime::CommandPid, "command_pid"),
    (Runtime::FilterPid, "filter_pid"),
    (Runtime::CpuCount, "cpu_count"),
    (Runtime::TaiOffset, "tai_offset"),
    (Runtime::RealOffset, "real_offset"),
    (Runtime::NamespaceDevice, "namespace_device"),
    (Runtime::NamespaceInode, "namespace_inode"),
];

fn runtime_word(what: Runtime) -> &'static str {
    word_of(&RUNTIME_WORDS, what)
}

fn word_of<T: PartialEq + Copy>(words: &[(T, &'static str)], of: T) -> &'static str {
    words.iter().find(|(one, _)| *one == of).map_or("?", |(_, word)| word)
}
