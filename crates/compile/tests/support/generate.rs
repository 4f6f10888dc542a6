//! Makes up programs: well-formed IR that the kernel's verifier must accept, from a list of choices. The same
//! choices give the same program, and fewer choices a smaller one, so failures shrink.

use skep_compile::artifact::{MapRole, MapSpec, Storage};
use skep_compile::ir::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, Home, Inst, MapRef, Object, ObjectId, Op, Term, Value,
    ValueData, ValueTy, Width,
};
use skep_isa::helpers::id;
use skep_lang::ty::Ty;
use skep_ui::Span;

/// Bytes of the context: the twelve arguments a raw tracepoint may have.
pub const CTX_SIZE: u32 = 96;

const STATE: MapRef = MapRef(0);
const STATE_SIZE: u32 = 64;
const STATE_ENTRIES: i64 = 4;
const TABLE: MapRef = MapRef(1);
const TABLE_SIZE: u32 = 24;
const BLOB: MapRef = MapRef(2);
const BLOB_SIZE: u32 = 700;

/// The maps of every made-up program.
pub fn maps() -> Vec<MapSpec> {
    vec![
        map("@state", Storage::Array, 4, STATE_SIZE, STATE_ENTRIES as u32),
        map("@table", Storage::Hash, 8, TABLE_SIZE, 1024),
        map("@blob", Storage::Array, 4, BLOB_SIZE, 1),
    ]
}

fn map(name: &str, storage: Storage, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
    MapSpec {
        name: name.into(),
        role: MapRole::User { key: Ty::VOID, value: Ty::VOID },
        storage,
        key_size,
        value_size,
        max_entries,
        mark: None,
        btf: (0, 0),
        init: Vec::new(),
        read_only: false,
    }
}

/// Makes up a function that uses [`maps`] and a context of [`CTX_SIZE`] bytes.
pub fn func(choices: &[u16]) -> Func {
    let mut maker = Maker {
        choices: choices.iter(),
        func: Func { name: "made_up".into(), ..Func::default() },
        block: BlockId(0),
        ints: Vec::new(),
        ctx: Value(0),
        key: ObjectId(0),
        row: ObjectId(0),
    };
    maker.new_block(Vec::new());
    maker.prologue();
    maker.statements(3);
    maker.epilogue();
    maker.func
}

struct Maker<'a> {
    choices: std::slice::Iter<'a, u16>,
    func: Func,
    /// The block being written.
    block: BlockId,
    /// Numbers that are defined here.
    ints: Vec<Value>,
    ctx: Value,
    /// Room for a key, 8 bytes.
    key: ObjectId,
    /// Room for a value of the table.
    row: ObjectId,
}

impl Maker<'_> {
    fn prologue(&mut self) {
        self.ctx = self.push(ValueTy::Ctx, Op::Ctx);
        self.key = self.object(8);
        self.row = self.object(TABLE_SIZE);
        for _ in 0..self.choose(5) {
            let sizes = [1, 4, 8, 12, 16, 40, 64, 100, 200, 304, 600, 1100];
            let size = sizes[self.choose(sizes.len())];
            self.object(size);
        }
        let fresh: Vec<ObjectId> = (0..self.func.objects.len() as u32).map(ObjectId).collect();
        for object in fresh {
            let addr = self.push(ValueTy::Ptr, Op::ObjectAddr(object, 0));
            let len = self.func.objects[object.0 as usize].size;
            self.effect(Op::Zero { addr, offset: 0, len, align: 8 });
        }
        self.constant();
        self.load_ctx();
    }

    /// Everything that was computed counts: it goes to the blob and into the result.
    fn epilogue(&mut self) {
        let mut sum = self.number(17);
        let by = self.number(31);
        for value in self.ints.clone() {
            sum = self.push_int(Op::Bin(BinOp::Mul, sum, by));
            sum = self.push_int(Op::Bin(BinOp::Add, sum, value));
        }
        let addr = self.push(ValueTy::Ptr, Op::MapValue(BLOB, 0));
        self.effect(Op::Store { width: Width::W64, addr, offset: 8, value: sum });
        self.finish(Term::Return(sum));
    }

    fn statements(&mut self, depth: u32) {
        // Numbers made here are forgotten at the end of a side of an `if`, so they can't be used too far.
        while self.choices.len() > 0 {
            match self.choose(24) {
                0..=4 => self.arithmetic(),
                5 => self.compare(),
                6 => self.extend(),
                7 => self.byte_swap(),
                8 => self.constant(),
                9 => self.load_ctx(),
                10 => self.load(),
                11 | 12 => self.store(),
                13 => self.copy(),
                14 => self.zero(),
                15 => self.copy_ctx(),
                16 => self.state(),
                17 => self.table_update(),
                18 => self.table_lookup(),
                19 => self.table_delete(),
                20 => self.blob(),
                21 => self.blob_at_index(),
                22 if depth < 3 => return,
                _ if depth > 0 => self.either(depth - 1),
                _ => self.arithmetic(),
            }
        }
    }

    fn arithmetic(&mut self) {
        const OPS: [BinOp; 13] = [
            BinOp::Add,
            BinOp::Sub,
            BinOp::Mul,
            BinOp::UDiv,
            BinOp::SDiv,
            BinOp::UMod,
            BinOp::SMod,
            BinOp::And,
            BinOp::Or,
            BinOp::Xor,
            BinOp::Shl,
            BinOp::LShr,
            BinOp::AShr,
        ];
        let op = OPS[self.choose(OPS.len())];
        let (a, b) = (self.int(), self.int());
        let value = self.push_int(Op::Bin(op, a, b));
        self.ints.push(value);
    }

    fn comparison(&mut self) -> (CmpOp, Value, Value) {
        const OPS: [CmpOp; 10] = [
            CmpOp::Eq,
            CmpOp::Ne,
            CmpOp::ULt,
            CmpOp::ULe,
            CmpOp::UGt,
            CmpOp::UGe,
            CmpOp::SLt,
            CmpOp::SLe,
            CmpOp::SGt,
            CmpOp::SGe,
        ];
        (OPS[self.choose(OPS.len())], self.int(), self.int())
    }

    fn compare(&mut self) {
        let (op, a, b) = self.comparison();
        let value = self.push_int(Op::Cmp(op, a, b));
        self.ints.push(value);
    }

    fn extend(&mut self) {
        let (from, signed, value) = (self.width(8), self.choose(2) == 1, self.int());
        let value = self.push_int(Op::Extend { from, signed, value });
        self.ints.push(value);
    }

    fn byte_swap(&mut self) {
        let width = [Width::W16, Width::W32, Width::W64][self.choose(3)];
        let value = self.int();
        let value = self.push_int(Op::ByteSwap(width, value));
        self.ints.push(value);
    }

    fn constant(&mut self) {
        const KNOWN: [i64; 16] = [
            0,
            1,
            -1,
            2,
            7,
            63,
            64,
            255,
            0xffff_ffff,
            0x8000_0000,
            0x7fff_ffff,
            -0x8000_0000,
            i64::MIN,
            i64::MAX,
            0x1234_5678_9abc_def0,
            -12345,
        ];
        let at = self.choose(KNOWN.len() + 4);
        let value = KNOWN.get(at).copied().unwrap_or_else(|| self.choose(0x1_0000) as i64 - 0x8000);
        let value = self.number(value);
        self.ints.push(value);
    }

    fn load_ctx(&mut self) {
        let width = self.width(8);
        let offset = self.offset(CTX_SIZE, width);
        let signed = self.choose(2) == 1;
        let value = self.push_int(Op::Load { width, signed, addr: self.ctx, offset });
        self.ints.push(value);
    }

    fn load(&mut self) {
        let (addr, size) = self.some_object();
        let width = self.width(size);
        let offset = self.offset(size, width);
        let signed = self.choose(2) == 1;
        let value = self.push_int(Op::Load { width, signed, addr, offset });
        self.ints.push(value);
    }

    fn store(&mut self) {
        let (addr, size) = self.some_object();
        let width = self.width(size);
        let offset = self.offset(size, width);
        let value = self.int();
        self.effect(Op::Store { width, addr, offset, value });
    }

    fn copy(&mut self) {
        let (dst, dst_size) = self.some_object();
        let (src, src_size) = self.some_object();
        if self.func_object(dst) == self.func_object(src) {
            return;
        }
        let align = self.width(dst_size.min(src_size)).bytes();
        let (dst_offset, src_offset) = (self.run_start(dst_size, align), self.run_start(src_size, align));
        let room = (dst_size - dst_offset).min(src_size - src_offset);
        let len = 1 + self.choose(room as usize) as u32;
        self.effect(Op::Copy {
            dst,
            dst_offset: dst_offset as i32,
            src,
            src_offset: src_offset as i32,
            len,
            align,
        });
    }

    fn zero(&mut self) {
        let (addr, size) = self.some_object();
        let align = self.width(size).bytes();
        let start = self.run_start(size, align);
        let len = 1 + self.choose((size - start) as usize) as u32;
        self.effect(Op::Zero { addr, offset: start as i32, len, align });
    }

    fn copy_ctx(&mut self) {
        let (dst, size) = self.some_object();
        let size = size.min(CTX_SIZE);
        let src_offset = self.run_start(CTX_SIZE - size + 1, 8) as i32;
        let len = 1 + self.choose(size as usize) as u32;
        let src = self.ctx;
        self.effect(Op::Copy { dst, dst_offset: 0, src, src_offset, len, align: 8 });
    }

    /// Looks an entry of the array up, which may lie outside, and works on it.
    fn state(&mut self) {
        let key = self.push(ValueTy::Ptr, Op::ObjectAddr(self.key, 0));
        let index = self.int();
        // One in four programs looks at any index, the others at one that is nearly always there.
        let index = if self.choose(4) == 0 {
            index
        } else {
            let mask = self.number(STATE_ENTRIES);
            self.push_int(Op::Bin(BinOp::UMod, index, mask))
        };
        self.effect(Op::Store { width: Width::W32, addr: key, offset: 0, value: index });
        let map = self.push(ValueTy::Ptr, Op::Map(STATE));
        let entry = self.lookup(map, key);
        self.if_found(entry, |maker| maker.work_on(entry, STATE_SIZE));
    }

    fn table_update(&mut self) {
        let key = self.table_key();
        let row = self.push(ValueTy::Ptr, Op::ObjectAddr(self.row, 0));
        let value = self.int();
        self.effect(Op::Store { width: Width::W64, addr: row, offset: 8, value });
        let map = self.push(ValueTy::Ptr, Op::Map(TABLE));
        let flags = [0, 0, 1, 2][self.choose(4)];
        let flags = self.number(flags);
        let args = vec![map, key, row, flags];
        let call = Op::Call { helper: id::MAP_UPDATE_ELEM, args, returns: ValueTy::Int, pure: false };
        let status = self.push_int(call);
        self.ints.push(status);
    }

    fn table_lookup(&mut self) {
        let key = self.table_key();
        let map = self.push(ValueTy::Ptr, Op::Map(TABLE));
        let entry = self.lookup(map, key);
        self.if_found(entry, |maker| maker.work_on(entry, TABLE_SIZE));
    }

    fn table_delete(&mut self) {
        let key = self.table_key();
        let map = self.push(ValueTy::Ptr, Op::Map(TABLE));
        let call = Op::Call {
            helper: id::MAP_DELETE_ELEM,
            args: vec![map, key],
            returns: ValueTy::Int,
            pure: false,
        };
        let status = self.push_int(call);
        self.ints.push(status);
    }

    /// A key out of a few, so that entries are found again.
    fn table_key(&mut self) -> Value {
        let (value, few) = (self.int(), self.number(3));
        let value = self.push_int(Op::Bin(BinOp::And, value, few));
        let key = self.push(ValueTy::Ptr, Op::ObjectAddr(self.key, 0));
        self.effect(Op::Store { width: Width::W64, addr: key, offset: 0, value });
        key
    }

    fn lookup(&mut self, map: Value, key: Value) -> Value {
        let args = vec![map, key];
        self.push(
            ValueTy::Ptr,
            Op::Call { helper: id::MAP_LOOKUP_ELEM, args, returns: ValueTy::Ptr, pure: false },
        )
    }

    /// A few accesses to a value of a map.
    fn work_on(&mut self, entry: Value, size: u32) -> Value {
        let width = self.width(size);
        let offset = self.offset(size, width);
        let old = self.push_int(Op::Load {
            width,
            signed: !self.choices.len().is_multiple_of(2),
            addr: entry,
            offset,
        });
        let value = self.int();
        match self.choose(4) {
            0 => {
                let sum = self.push_int(Op::Bin(BinOp::Add, old, value));
                self.effect(Op::Store { width, addr: entry, offset, value: sum });
            }
            1 => {
                let width = [Width::W32, Width::W64][self.choose(2)];
                let offset = self.offset(size, width);
                self.effect(Op::AtomicAdd { width, addr: entry, offset, value });
            }
            2 => {
                let width = [Width::W32, Width::W64][self.choose(2)];
                let offset = self.offset(size, width);
                return self.push_int(Op::AtomicAdd { width, addr: entry, offset, value });
            }
            _ => {
                let row = self.push(ValueTy::Ptr, Op::ObjectAddr(self.row, 0));
                let (dst, src) = if self.choose(2) == 0 { (row, entry) } else { (entry, row) };
                self.effect(Op::Copy { dst, dst_offset: 0, src, src_offset: 0, len: TABLE_SIZE, align: 8 });
            }
        }
        old
    }

    fn if_found(&mut self, entry: Value, found: impl FnOnce(&mut Self) -> Value) {
        let null = self.push(ValueTy::Ptr, Op::Const(0));
        let missing = self.number(-2);
        let from = self.block;
        let result = self.value(ValueTy::Int);
        let join = self.new_block(vec![result]);
        let then = self.new_block(Vec::new());
        self.block = then;
        let value = found(self);
        self.finish(Term::Jump(edge(join, vec![value])));
        self.block = from;
        // The order of the sides varies with the number of choices left.
        let (found, not_found) = (edge(then, vec![]), edge(join, vec![missing]));
        self.finish(if self.choices.len().is_multiple_of(2) {
            Term::Branch { op: CmpOp::Ne, lhs: entry, rhs: null, then: found, otherwise: not_found }
        } else {
            Term::Branch { op: CmpOp::Eq, lhs: entry, rhs: null, then: not_found, otherwise: found }
        });
        self.block = join;
        self.ints.push(result);
    }

    fn blob(&mut self) {
        let width = self.width(8);
        let start = self.choose(BLOB_SIZE as usize - 16) as u32 & !7;
        let addr = self.push(ValueTy::Ptr, Op::MapValue(BLOB, start));
        if self.choose(2) == 0 {
            let value = self.int();
            self.effect(Op::Store { width, addr, offset: 8, value });
        } else {
            let value = self.push_int(Op::Load { width, signed: false, addr, offset: 8 });
            self.ints.push(value);
        }
    }

    /// An index that is checked, then used.
    fn blob_at_index(&mut self) {
        let index = self.int();
        let limit = self.number(i64::from(BLOB_SIZE) - 8);
        let missing = self.number(-1);
        let from = self.block;
        let result = self.value(ValueTy::Int);
        let join = self.new_block(vec![result]);
        let then = self.new_block(Vec::new());
        self.block = then;
        let base = self.push(ValueTy::Ptr, Op::MapValue(BLOB, 0));
        let addr = self.push(ValueTy::Ptr, Op::Bin(BinOp::Add, base, index));
        let value = self.push_int(Op::Load { width: Width::W8, signed: false, addr, offset: 3 });
        self.effect(Op::Store { width: Width::W8, addr, offset: 0, value: index });
        self.finish(Term::Jump(edge(join, vec![value])));
        self.block = from;
        let (inside, outside) = (edge(then, vec![]), edge(join, vec![missing]));
        self.finish(Term::Branch {
            op: CmpOp::ULe,
            lhs: index,
            rhs: limit,
            then: inside,
            otherwise: outside,
        });
        self.block = join;
        self.ints.push(result);
    }

    /// `if` with two sides that each give two numbers.
    fn either(&mut self, depth: u32) {
        let (op, lhs, rhs) = self.comparison();
        // Sometimes by way of a comparison's value.
        let (op, lhs, rhs) = if self.choose(3) == 0 {
            let value = self.push_int(Op::Cmp(op, lhs, rhs));
            (CmpOp::Ne, value, self.number(0))
        } else {
            (op, lhs, rhs)
        };
        let from = self.block;
        let params = vec![self.value(ValueTy::Int), self.value(ValueTy::Int)];
        let join = self.new_block(params.clone());
        let sides: Vec<BlockId> = (0..2)
            .map(|_| {
                let start = self.new_block(Vec::new());
                self.block = start;
                let known = self.ints.len();
                self.statements(depth);
                let args = vec![self.int(), self.int()];
                self.finish(Term::Jump(edge(join, args)));
                self.ints.truncate(known);
                start
            })
            .collect();
        self.block = from;
        let (then, otherwise) = (edge(sides[0], vec![]), edge(sides[1], vec![]));
        self.finish(Term::Branch { op, lhs, rhs, then, otherwise });
        self.block = join;
        self.ints.extend(params);
    }

    fn object(&mut self, size: u32) -> ObjectId {
        let id = ObjectId(self.func.objects.len() as u32);
        let home = if size > 8 && self.choose(8) == 7 { Home::Scratch } else { Home::Any };
        self.func.objects.push(Object { name: format!("object{}", id.0), size, align: 8, home });
        id
    }

    /// The address of an object, sometimes of a place within, and the bytes from there.
    fn some_object(&mut self) -> (Value, u32) {
        let id = ObjectId(self.choose(self.func.objects.len()) as u32);
        let size = self.func.objects[id.0 as usize].size;
        let start = if size > 16 && self.choose(2) == 0 { 8 } else { 0 };
        (self.push(ValueTy::Ptr, Op::ObjectAddr(id, start)), size - start)
    }

    fn func_object(&self, addr: Value) -> Option<ObjectId> {
        let insts = self.func.blocks.iter().flat_map(|block| &block.insts);
        insts.filter(|inst| inst.result == Some(addr)).find_map(|inst| match inst.op {
            Op::ObjectAddr(id, _) => Some(id),
            _ => None,
        })
    }

    /// A width of at most so many bytes.
    fn width(&mut self, room: u32) -> Width {
        let widths = [Width::W8, Width::W16, Width::W32, Width::W64];
        let fitting: Vec<Width> = widths.into_iter().filter(|width| width.bytes() <= room).collect();
        fitting[self.choose(fitting.len())]
    }

    fn offset(&mut self, size: u32, width: Width) -> i32 {
        (self.choose((size - width.bytes() + 1) as usize) as u32 & !(width.bytes() - 1)) as i32
    }

    fn run_start(&mut self, size: u32, align: u32) -> u32 {
        self.choose(size as usize) as u32 / align * align
    }

    /// A number that is defined here.
    fn int(&mut self) -> Value {
        let back = self.choose(self.ints.len());
        self.ints[self.ints.len() - 1 - back]
    }

    fn number(&mut self, value: i64) -> Value {
        self.push_int(Op::Const(value))
    }

    fn push_int(&mut self, op: Op) -> Value {
        self.push(ValueTy::Int, op)
    }

    fn push(&mut self, ty: ValueTy, op: Op) -> Value {
        let result = self.value(ty);
        self.current().insts.push(Inst { result: Some(result), op, span: Span::GENERATED });
        result
    }

    fn effect(&mut self, op: Op) {
        self.current().insts.push(Inst { result: None, op, span: Span::GENERATED });
    }

    fn finish(&mut self, term: Term) {
        self.current().term = term;
    }

    fn value(&mut self, ty: ValueTy) -> Value {
        self.func.values.push(ValueData { ty });
        Value(self.func.values.len() as u32 - 1)
    }

    fn new_block(&mut self, params: Vec<Value>) -> BlockId {
        let term = Term::Return(Value(0));
        self.func.blocks.push(Block { params, insts: Vec::new(), term, term_span: Span::GENERATED });
        BlockId(self.func.blocks.len() as u32 - 1)
    }

    fn current(&mut self) -> &mut Block {
        &mut self.func.blocks[self.block.0 as usize]
    }

    /// A number below `count`; 0 once the choices are used up.
    fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % count
    }
}

fn edge(to: BlockId, args: Vec<Value>) -> Edge {
    Edge { to, args }
}
