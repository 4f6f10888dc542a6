//! The artifact's BTF: a function for each program, its script lines, and the types of the script's maps, so
//! that listings of the kernel's objects by any tool show names, lines and typed values.

use rustc_hash::FxHashMap;
use skep_btf::ext::{FuncInfo, LineInfo};
use skep_btf::{BtfBuilder, IntEncoding, Linkage, Member, Param, TypeId};
use skep_lang::ty::{Agg, Shown, Stack, Ty, TyKind, Types};
use skep_ui::{SourceMap, Span};

use super::emit::Code;
use crate::artifact::{MapRole, MapSpec};

/// Collects the types of one artifact.
pub struct TypeInfo<'a> {
    types: &'a Types,
    sources: &'a SourceMap,
    builder: BtfBuilder,
    made: FxHashMap<Ty, TypeId>,
}

impl<'a> TypeInfo<'a> {
    /// Without any types yet.
    pub fn new(types: &'a Types, sources: &'a SourceMap) -> TypeInfo<'a> {
        TypeInfo { types, sources, builder: BtfBuilder::new(), made: FxHashMap::default() }
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.builder.finish()
    }

    /// Declares a program, `int name(void *ctx)`, and the functions it calls, `static int name()`.
    pub fn functions(&mut self, code: &Code) -> Vec<FuncInfo> {
        let result = self.builder.int("int", 4, IntEncoding::SIGNED);
        let mut infos = Vec::with_capacity(code.funcs.len());
        for (at, func) in code.funcs.iter().enumerate() {
            let name = &func.name;
            let type_id = if at == 0 {
                let ctx = self.builder.ptr(TypeId::VOID);
                let proto = self.builder.func_proto(result, &[Param { name: "ctx", ty: ctx }]);
                self.builder.func(name, proto, Linkage::Global)
            } else {
                // Whatever the parameters are: of functions that are not global the kernel knows it better.
                let long = self.builder.int("unsigned long", 8, IntEncoding::empty());
                let params = vec![Param { name: "arg", ty: long }; func.params];
                let proto = self.builder.func_proto(result, &params);
                let linkage = if func.is_global { Linkage::Global } else { Linkage::Static };
                self.builder.func(name, proto, linkage)
            };
            infos.push(FuncInfo { insn_off: func.at, type_id });
        }
        infos
    }

    /// The script lines behind the instructions. The kernel wants one at the start of each function, so where
    /// that has no known place it is counted to `probe`; nothing if that has no place either.
    pub fn lines(&mut self, code: &Code, probe: Span) -> Vec<LineInfo> {
        let mut lines: Vec<LineInfo> = Vec::new();
        let mut second_half = false;
        let mut func_starts = code.funcs.iter().map(|func| func.at as usize).peekable();
        for (at, (insn, span)) in code.insns.iter().zip(&code.spans).enumerate() {
            let is_second_half = std::mem::replace(&mut second_half, insn.is_ld_imm64());
            let starts = func_starts.next_if_eq(&at).is_some();
            let span = if starts && !self.sources.has(span.file) { probe } else { *span };
            if is_second_half || !self.sources.has(span.file) {
                continue;
            }
            let place = self.sources.line_col(span.file, span.start);
            let line = LineInfo {
                insn_off: at as u32,
                file_name_off: self.builder.add_string(self.sources.name(span.file)),
                line_off: self.builder.add_string(self.sources.line(span.file, place.line).unwrap_or("")),
                line_col: LineInfo::pack(place.line, place.col),
            };
            let same = lines.last().is_some_and(|last| LineInfo { insn_off: line.insn_off, ..*last } == line);
            if starts && at == 0 || !lines.is_empty() && (starts || !same) {
                lines.push(line);
            }
        }
        lines
    }

    /// Types of a map's key and value; zeroes for maps that are not the script's.
    pub fn map(&mut self, spec: &MapSpec) -> (u32, u32) {
        let MapRole::User { key, value } = spec.role else { return (0, 0) };
        // A map without keys has 4 zero bytes for a key.
        let key = if key == Ty::VOID { Ty::U32 } else { key };
        // The kernel refuses types that do not have the map's sizes.
        let value_size = spec.mark.map_or(self.types.size(value), |mark| mark + 8);
        if self.types.size(key) != spec.key_size || value_size != spec.value_size {
            tracing::debug!(map = spec.name, "the map's sizes are not those of its types; it gets no BTF");
            return (0, 0);
        }
        let value = match spec.mark {
            None => self.ty(value),
            Some(mark) => {
                let (value, is_set) = (self.ty(value), self.ty(Ty::U64));
                let members = [member("value", value, 0), member("is_set", is_set, mark)];
                self.builder.struct_("", value_size, &members)
            }
        };
        (self.ty(key).0, value.0)
    }

    fn ty(&mut self, ty: Ty) -> TypeId {
        if let Some(made) = self.made.get(&ty) {
            return *made;
        }
        let made = self.make(ty);
        self.made.insert(ty, made);
        made
    }

    fn make(&mut self, ty: Ty) -> TypeId {
        match self.types.kind(ty).clone() {
            TyKind::Error | TyKind::Void => TypeId::VOID,
            TyKind::Bool => self.builder.int("bool", 1, IntEncoding::BOOL),
            TyKind::Int { bits, signed } => {
                let encoding = if signed { IntEncoding::SIGNED } else { IntEncoding::empty() };
                self.builder.int(&self.types.name(ty), u32::from(bits) / 8, encoding)
            }
            TyKind::Str(capacity) => {
                let char = self.builder.int("char", 1, IntEncoding::SIGNED);
                self.array(char, capacity)
            }
            TyKind::Buf(_) => {
                let size = self.types.size(ty);
                let (len, byte) = (self.ty(Ty::U32), self.ty(Ty::U8));
                let data = self.array(byte, size - 4);
                self.builder.struct_("buffer", size, &[member("len", len, 0), member("data", data, 4)])
            }
            // What it points to is the kernel's or a process's business.
            TyKind::Ptr { .. } => self.builder.ptr(TypeId::VOID),
            TyKind::Array { elem, len } => {
                let elem = self.ty(elem);
                self.array(elem, len)
            }
            TyKind::Shown(Shown::User) => self.ty(Ty::U64),
            TyKind::Shown(Shown::Mac) => {
                let byte = self.ty(Ty::U8);
                self.array(byte, 6)
            }
            TyKind::Shown(shown) => {
                let names: Vec<String> = (0..shown.parts().len()).map(|at| format!("_{at}")).collect();
                self.composite(ty, "", &names)
            }
            TyKind::Tuple(elems) => {
                let names: Vec<String> = (0..elems.len()).map(|at| format!("_{at}")).collect();
                self.composite(ty, "", &names)
            }
            TyKind::Record(fields) => {
                let names: Vec<String> = fields.iter().map(|(name, _)| name.to_string()).collect();
                self.composite(ty, "", &names)
            }
            TyKind::Struct { .. } => self.c_struct(ty),
            TyKind::Enum(_) => {
                let (bits, signed) = self.types.as_int(ty).unwrap_or((32, false));
                let encoding = if signed { IntEncoding::SIGNED } else { IntEncoding::empty() };
                self.builder.int(
                    &format!("{}int{bits}", if signed { "" } else { "u" }),
                    u32::from(bits) / 8,
                    encoding,
                )
            }
            TyKind::Opaque { .. } => TypeId::VOID,
            TyKind::Probe | TyKind::Func | TyKind::KernelSymbol => self.ty(Ty::U64),
            TyKind::UserSymbol => self.composite(ty, "usym", &["address".into(), "pid".into()]),
            TyKind::Stack(stack) => {
                let (count, frame) = (self.ty(Ty::U32), self.ty(Ty::U64));
                let frames = self.array(frame, stack.frames * stack.frame_size() / 8);
                let members = [
                    member("count", count, 0),
                    member("pid", count, 4),
                    member("frames", frames, Stack::HEADER),
                ];
                self.builder.struct_("stack", self.types.size(ty), &members)
            }
            TyKind::Agg(agg) => self.aggregation(ty, agg),
        }
    }

    fn aggregation(&mut self, ty: Ty, agg: Agg) -> TypeId {
        let count = self.ty(Ty::U64);
        let number = |signed: bool| if signed { Ty::I64 } else { Ty::U64 };
        let mut pair = |signed: bool, first: &str, second: &str| {
            let sample = self.ty(number(signed));
            let members = [member(first, sample, 0), member(second, count, 8)];
            self.builder.struct_(&self.types.name(ty), 16, &members)
        };
        match agg {
            Agg::Count => count,
            Agg::Sum { signed } => self.ty(number(signed)),
            Agg::Min { signed } => pair(signed, "min", "is_set"),
            Agg::Max { signed } => pair(signed, "max", "is_set"),
            Agg::Avg { signed } | Agg::Stats { signed } => pair(signed, "sum", "count"),
            Agg::Hist { .. } | Agg::Lhist { .. } => self.array(count, agg.buckets()),
            Agg::Tseries(_) => self.array(count, agg.words()),
        }
    }

    /// A struct of C. Members that overlap others, as in a union, are left out: the kernel wants the
    /// members of a struct one after the other.
    fn c_struct(&mut self, ty: Ty) -> TypeId {
        let Some(known) = self.types.struct_of(ty) else { return TypeId::VOID };
        let fields = known.fields.clone().unwrap_or_default();
        let mut end = 0u64;
        let mut members = Vec::new();
        for field in fields.iter() {
            let (shift, bits) = match field.bits {
                Some(bits) => (u64::from(bits.shift), u64::from(bits.width)),
                None => (0, u64::from(self.types.size(field.ty)) * 8),
            };
            let start = u64::from(field.offset) * 8 + shift;
            let fits = start >= end && start + bits <= u64::from(known.size) * 8;
            let (true, Ok(bit_offset)) = (fits && bits > 0, u32::try_from(start)) else { continue };
            let ty = self.ty(field.ty);
            if ty == TypeId::VOID {
                continue;
            }
            end = start + bits;
            let bitfield_size = field.bits.map_or(0, |bits| bits.width);
            members.push(Member { name: &field.name, ty, bit_offset, bitfield_size });
        }
        let name = known.name.split_once(' ').map_or("", |(_, name)| name);
        let name = if name.starts_with('{') { "" } else { name };
        self.builder.struct_(name, known.size, &members)
    }

    fn composite(&mut self, ty: Ty, name: &str, names: &[String]) -> TypeId {
        let elems: Vec<TypeId> = self.types.elems(ty).into_iter().map(|elem| self.ty(elem)).collect();
        let offsets = self.types.offsets(ty);
        let members: Vec<Member<'_>> = names
            .iter()
            .zip(elems)
            .zip(offsets)
            .map(|((name, elem), offset)| member(name, elem, offset))
            .collect();
        self.builder.struct_(name, self.types.size(ty), &members)
    }

    fn array(&mut self, elem: TypeId, len: u32) -> TypeId {
        let index = self.ty(Ty::U32);
        self.builder.array(elem, index, len)
    }
}

fn member(name: &str, ty: TypeId, offset: u32) -> Member<'_> {
    Member { name, ty, bit_offset: offset * 8, bitfield_size: 0 }
}
