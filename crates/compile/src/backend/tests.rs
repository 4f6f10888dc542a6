//! Small functions and the code made from them, to be read side by side; and the limits.

use std::fmt::Write;

use skep_isa::disasm;
use skep_isa::helpers::id;
use skep_lang::hir::{self, Runtime};
use skep_lang::ty::Ty;
use skep_ui::{FileId, SourceMap, Span};

use super::{assemble, compile, listing};
use crate::artifact::{MapRole, MapSpec, Storage};
use crate::error::Error;
use crate::ir::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, Home, Inst, MapRef, Module, Object, ObjectId, Op, Term, Value,
    ValueData, ValueTy, Width,
};

#[test]
fn constants_are_immediates_where_they_fit() {
    let mut b = Builder::new();
    let ctx = b.ctx();
    let a = b.load(ctx, 8);
    let (small, large) = (b.number(-5), b.number(0x1_2345_6789));
    let sum = b.int(Op::Bin(BinOp::Add, small, a));
    let product = b.int(Op::Bin(BinOp::Mul, sum, large));
    let low = b.number(0xffff_ffff);
    let low = b.int(Op::Bin(BinOp::And, product, low));
    let amount = b.number(67);
    let shifted = b.int(Op::Bin(BinOp::Shl, low, amount));
    b.ret(shifted);
    insta::assert_snapshot!(b.show());
}

#[test]
fn signed_division_is_made_of_unsigned() {
    let mut b = Builder::new();
    let ctx = b.ctx();
    let (a, c) = (b.load(ctx, 0), b.load(ctx, 8));
    let quotient = b.int(Op::Bin(BinOp::SDiv, a, c));
    let ten = b.number(-10);
    let rest = b.int(Op::Bin(BinOp::SMod, quotient, ten));
    b.ret(rest);
    insta::assert_snapshot!(b.show());
}

#[test]
fn a_branch_compares_what_the_comparison_compared() {
    let mut b = Builder::new();
    let ctx = b.ctx();
    let a = b.load(ctx, 0);
    let (limit, zero) = (b.number(100), b.number(0));
    let less = b.int(Op::Cmp(CmpOp::SGt, limit, a));
    let (yes, no) = (b.block(&[]), b.block(&[]));
    b.term(Term::Branch {
        op: CmpOp::Eq,
        lhs: less,
        rhs: zero,
        then: edge(yes, &[]),
        otherwise: edge(no, &[]),
    });
    b.at(yes).ret(zero);
    b.at(no).ret(a);
    insta::assert_snapshot!(b.show());
}

#[test]
fn a_count_in_a_map() {
    let mut b = Builder::new();
    let key = b.object(8, false);
    let (place, map) = (b.ptr(Op::ObjectAddr(key, 0)), b.ptr(Op::Map(MapRef(0))));
    let pid = b.call(id::GET_CURRENT_PID_TGID, &[], ValueTy::Int, true);
    b.effect(Op::Store { width: Width::W64, addr: place, offset: 0, value: pid });
    let entry = b.call(id::MAP_LOOKUP_ELEM, &[map, place], ValueTy::Ptr, false);
    let (null, one) = (b.ptr(Op::Const(0)), b.number(1));
    let (found, missing, end) = (b.block(&[]), b.block(&[]), b.block(&[]));
    let (then, otherwise) = (edge(found, &[]), edge(missing, &[]));
    b.term(Term::Branch { op: CmpOp::Ne, lhs: entry, rhs: null, then, otherwise });
    b.at(found).effect(Op::AtomicAdd { width: Width::W64, addr: entry, offset: 0, value: one });
    b.term(Term::Jump(edge(end, &[])));
    b.at(missing);
    let value = b.object(8, false);
    let fresh = b.ptr(Op::ObjectAddr(value, 0));
    b.effect(Op::Store { width: Width::W64, addr: fresh, offset: 0, value: one });
    let flags = b.number(1);
    b.call(id::MAP_UPDATE_ELEM, &[map, place, fresh, flags], ValueTy::Int, false);
    b.term(Term::Jump(edge(end, &[])));
    b.at(end);
    let zero = b.number(0);
    b.ret(zero);
    insta::assert_snapshot!(b.show());
}

#[test]
fn large_objects_live_in_the_scratch_map() {
    let mut b = Builder::new();
    let (small, large, varying) = (b.object(12, false), b.object(1000, false), b.object(16, true));
    for (object, len) in [(small, 12), (large, 1000), (varying, 16)] {
        let addr = b.ptr(Op::ObjectAddr(object, 0));
        b.effect(Op::Zero { addr, offset: 0, len, align: 1 });
    }
    let (dst, src) = (b.ptr(Op::ObjectAddr(large, 8)), b.ptr(Op::ObjectAddr(small, 0)));
    b.effect(Op::Copy { dst, dst_offset: 4, src, src_offset: 4, len: 7, align: 1 });
    let result = b.load(dst, 4);
    b.ret(result);
    insta::assert_snapshot!(b.show());
}

/// The lookup of the scratch value may leave the program, which nobody may do who holds a record.
#[test]
fn scratch_memory_is_there_before_a_record_is() {
    let mut b = Builder::new();
    let (large, map) = (b.object(1000, false), b.ptr(Op::Map(MapRef(0))));
    let (size, flags) = (b.number(16), b.number(0));
    let record = b.call(id::RINGBUF_RESERVE, &[map, size, flags], ValueTy::Ptr, false);
    let null = b.ptr(Op::Const(0));
    let (room, after) = (b.block(&[]), b.block(&[]));
    let (then, otherwise) = (edge(room, &[]), edge(after, &[]));
    b.term(Term::Branch { op: CmpOp::Ne, lhs: record, rhs: null, then, otherwise });
    b.at(room);
    let addr = b.ptr(Op::ObjectAddr(large, 0));
    b.effect(Op::Zero { addr, offset: 0, len: 1000, align: 8 });
    let flags = b.number(0);
    b.inst(
        None,
        Op::Call {
            helper: id::RINGBUF_SUBMIT,
            args: vec![record, flags],
            returns: ValueTy::Int,
            pure: false,
        },
    );
    b.term(Term::Jump(edge(after, &[])));
    b.at(after);
    let zero = b.number(0);
    b.ret(zero);
    let code = b.show();
    let calls: Vec<&str> = code.lines().filter(|line| line.contains(" call bpf_")).collect();
    assert!(
        calls.len() >= 3 && calls[0].contains("map_lookup_elem") && calls[1].contains("ringbuf_reserve"),
        "{code}"
    );
}

#[test]
fn narrow_values_are_extended() {
    let mut b = Builder::new();
    let ctx = b.ctx();
    let byte = b.int(Op::Load { width: Width::W8, signed: true, addr: ctx, offset: 3 });
    let word = b.int(Op::Extend { from: Width::W32, signed: false, value: byte });
    let swapped = b.int(Op::ByteSwap(Width::W16, word));
    let sum = b.int(Op::Bin(BinOp::Add, word, swapped));
    let is_large = b.int(Op::Cmp(CmpOp::UGe, sum, byte));
    let start = b.int(Op::Runtime(Runtime::StartTime));
    let result = b.int(Op::Bin(BinOp::Sub, is_large, start));
    b.ret(result);
    insta::assert_snapshot!(b.show());
}

#[test]
fn what_lives_across_many_calls_is_spilled_below_the_objects() {
    let mut b = Builder::new();
    let object = b.object(16, false);
    let addr = b.ptr(Op::ObjectAddr(object, 0));
    b.effect(Op::Zero { addr, offset: 0, len: 16, align: 8 });
    let times: Vec<Value> = (0..7).map(|_| b.call(id::KTIME_GET_NS, &[], ValueTy::Int, false)).collect();
    let mut sum = b.load(addr, 8);
    for time in times {
        sum = b.int(Op::Bin(BinOp::Xor, sum, time));
    }
    b.ret(sum);
    insta::assert_snapshot!(b.show());
}

#[test]
fn objects_make_room_for_spilled_values() {
    let mut b = Builder::new();
    // The objects alone just fit the stack.
    let objects: Vec<ObjectId> = (0..8).map(|_| b.object(64, false)).collect();
    for object in objects {
        let addr = b.ptr(Op::ObjectAddr(object, 0));
        b.effect(Op::Zero { addr, offset: 0, len: 64, align: 8 });
    }
    let times: Vec<Value> = (0..30).map(|_| b.call(id::KTIME_GET_NS, &[], ValueTy::Int, false)).collect();
    let mut sum = b.number(0);
    for time in times {
        sum = b.int(Op::Bin(BinOp::Xor, time, sum));
    }
    b.ret(sum);
    let mut maps = Vec::new();
    let code =
        assemble(b.func, &[], Span::GENERATED, &mut maps).expect("some objects move to the scratch map");
    assert_eq!(maps.len(), 1);
    let lowest = code.insns.iter().filter(|insn| insn.dst == 10 || insn.src == 10).map(|insn| insn.off).min();
    assert!(lowest.is_some_and(|lowest| lowest >= -512), "{lowest:?}");
}

#[test]
fn too_much_is_an_error_that_says_so() {
    let mut b = Builder::new();
    let object = b.object(100 << 20, false);
    let addr = b.ptr(Op::ObjectAddr(object, 0));
    b.effect(Op::Zero { addr, offset: 0, len: 40_000, align: 8 });
    let zero = b.number(0);
    b.ret(zero);
    let error =
        assemble(b.func, &[], Span::GENERATED, &mut Vec::new()).expect_err("there is no such scratch map");
    assert_eq!(error, Error::Scratch { span: Span::GENERATED, needed: 100 << 20, limit: 64 << 20 });

    let mut b = Builder::new();
    let times: Vec<Value> = (0..90).map(|_| b.call(id::KTIME_GET_NS, &[], ValueTy::Int, false)).collect();
    let mut sum = b.number(0);
    for time in times {
        sum = b.int(Op::Bin(BinOp::Xor, time, sum));
    }
    b.ret(sum);
    let error = assemble(b.func, &[], Span::GENERATED, &mut Vec::new()).expect_err("there is no such stack");
    assert!(matches!(error, Error::Stack { needed: 520.., .. }), "{error}");
}

/// What each CPU's own memory cannot hold is an entry for each CPU.
#[test]
fn very_large_objects_live_in_an_array() {
    let mut b = Builder::new();
    let object = b.object(40_000, false);
    let addr = b.ptr(Op::ObjectAddr(object, 0));
    b.effect(Op::Zero { addr, offset: 0, len: 40_000, align: 8 });
    let zero = b.number(0);
    b.ret(zero);
    let mut maps = Vec::new();
    let code = assemble(b.func, &[], Span::GENERATED, &mut maps).unwrap();
    assert_eq!((maps[0].storage, maps[0].value_size, maps[0].max_entries), (Storage::Array, 40_000, 0));
    let first = disasm::dump(&code.insns[..1], &disasm::NoNames);
    assert!(first.contains("get_smp_processor_id"), "{first}");
}

/// Objects of which one is done with before the other begins are in one place; one whose address went to memory
/// stays where it is.
#[test]
fn objects_share_memory_in_turns() {
    let size_of = |kept: bool| {
        let mut b = Builder::new();
        let home = b.object(8, false);
        for number in 0..3 {
            let object = b.object(1000, false);
            let addr = b.ptr(Op::ObjectAddr(object, 0));
            b.effect(Op::Zero { addr, offset: 0, len: 1000, align: 8 });
            if kept && number == 0 {
                let place = b.ptr(Op::ObjectAddr(home, 0));
                b.effect(Op::Store { width: Width::W64, addr: place, offset: 0, value: addr });
            }
        }
        let zero = b.number(0);
        b.ret(zero);
        let mut maps = Vec::new();
        assemble(b.func, &[], Span::GENERATED, &mut maps).unwrap();
        maps[0].value_size
    };
    assert_eq!((size_of(false), size_of(true)), (1000, 2000));
}

#[test]
fn a_branch_may_lead_past_any_number_of_instructions() {
    let mut b = Builder::new();
    let ctx = b.ctx();
    let (a, zero) = (b.load(ctx, 0), b.number(0));
    let (long, end) = (b.block(&[]), b.block(&[]));
    b.term(Term::Branch {
        op: CmpOp::Ne,
        lhs: a,
        rhs: zero,
        then: edge(long, &[]),
        otherwise: edge(end, &[]),
    });
    b.at(long);
    for _ in 0..33_000 {
        b.call(id::KTIME_GET_NS, &[], ValueTy::Int, false);
    }
    b.term(Term::Jump(edge(end, &[])));
    b.at(end).ret(zero);
    let code = assemble(b.func, &[], Span::GENERATED, &mut Vec::new()).unwrap();
    assert!(code.insns.len() > 33_000);
    // The landing: the usual way past it, and the way on.
    let jumps: Vec<i16> = code.insns.iter().filter(|insn| insn.code == 0x05).map(|insn| insn.off).collect();
    assert!(jumps.len() == 2 && jumps[0] == 1, "{jumps:?}");
}

#[test]
fn a_listing_shows_the_script_between_instructions() {
    let mut sources = SourceMap::new();
    let file = sources.add("count.bt", "BEGIN {\n  @a = 7;\n  exit();\n}\n");
    let mut b = Builder::new();
    b.span = Span::new(file, 10, 16);
    let place = b.ptr(Op::MapValue(MapRef(0), 8));
    let seven = b.number(7);
    b.effect(Op::Store { width: Width::W64, addr: place, offset: 0, value: seven });
    b.span = Span::new(file, 20, 26);
    let zero = b.number(0);
    b.ret(zero);
    let program = script(file);
    let module = Module { funcs: vec![b.func], maps: vec![array("@a", 16)], ..Module::default() };
    let artifact = compile(module, &program, &sources).expect("it fits");
    insta::assert_snapshot!(listing::listing(&artifact, &sources));
    let lines: Vec<(u32, u32)> =
        artifact.programs[0].line_info.iter().map(|line| (line.insn_off, line.line())).collect();
    assert_eq!(lines, [(0, 2), (3, 3)]);
}

fn script(file: FileId) -> hir::Program {
    let target = hir::Target { name: "BEGIN".into(), attach: hir::Attach::Begin, wildcard: false };
    let probe = hir::Probe {
        name: "begin".into(),
        kind: hir::ProbeKind::RawTestRun,
        targets: vec![hir::TargetId(0)],
        locals: Vec::new(),
        body: hir::Block::default(),
        functions: Vec::new(),
        span: Span::new(file, 0, 5),
        clause: 0,
    };
    hir::Program { targets: vec![target], probes: vec![probe], ..hir::Program::default() }
}

fn array(name: &str, value_size: u32) -> MapSpec {
    MapSpec {
        name: name.into(),
        role: MapRole::User { key: Ty::VOID, value: Ty::U64 },
        storage: Storage::Array,
        key_size: 4,
        value_size,
        mark: None,
        max_entries: 1,
        btf: (0, 0),
        init: Vec::new(),
        read_only: false,
    }
}

fn edge(to: BlockId, args: &[Value]) -> Edge {
    Edge { to, args: args.to_vec() }
}

/// Writes a function instruction by instruction.
struct Builder {
    func: Func,
    block: BlockId,
    span: Span,
}

impl Builder {
    fn new() -> Builder {
        let func = Func { name: "test".into(), ..Func::default() };
        let mut builder = Builder { func, block: BlockId(0), span: Span::GENERATED };
        builder.block(&[]);
        builder
    }

    /// The function and its code.
    fn show(self) -> String {
        let mut text = format!("{}\n\n", self.func);
        let mut maps = vec![array("@a", 8)];
        let code = assemble(self.func, &[], Span::GENERATED, &mut maps).expect("it fits");
        text.push_str(&disasm::dump(&code.insns, &disasm::NoNames));
        for reloc in &code.relocs {
            let _ = writeln!(text, "{:4}  {:?}", reloc.insn, reloc.kind);
        }
        for map in &maps[1..] {
            let _ = writeln!(text, "map {map}");
        }
        text
    }

    fn object(&mut self, size: u32, in_scratch: bool) -> ObjectId {
        let home = if in_scratch { Home::Scratch } else { Home::Any };
        let id = ObjectId(self.func.objects.len() as u32);
        self.func.objects.push(Object { name: format!("object{}", id.0), size, align: 8, home });
        id
    }

    fn block(&mut self, params: &[ValueTy]) -> BlockId {
        let params = params.iter().map(|ty| self.value(*ty)).collect();
        let (term, term_span) = (Term::Return(Value(0)), self.span);
        self.func.blocks.push(Block { params, insts: Vec::new(), term, term_span });
        BlockId(self.func.blocks.len() as u32 - 1)
    }

    fn at(&mut self, block: BlockId) -> &mut Builder {
        self.block = block;
        self
    }

    fn ctx(&mut self) -> Value {
        self.push(ValueTy::Ctx, Op::Ctx)
    }

    fn number(&mut self, value: i64) -> Value {
        self.int(Op::Const(value))
    }

    fn load(&mut self, addr: Value, offset: i32) -> Value {
        self.int(Op::Load { width: Width::W64, signed: false, addr, offset })
    }

    fn call(&mut self, helper: u32, args: &[Value], returns: ValueTy, pure: bool) -> Value {
        self.push(returns, Op::Call { helper, args: args.to_vec(), returns, pure })
    }

    fn int(&mut self, op: Op) -> Value {
        self.push(ValueTy::Int, op)
    }

    fn ptr(&mut self, op: Op) -> Value {
        self.push(ValueTy::Ptr, op)
    }

    fn push(&mut self, ty: ValueTy, op: Op) -> Value {
        let result = self.value(ty);
        self.inst(Some(result), op);
        result
    }

    fn effect(&mut self, op: Op) {
        self.inst(None, op);
    }

    fn inst(&mut self, result: Option<Value>, op: Op) {
        let span = self.span;
        self.func.blocks[self.block.0 as usize].insts.push(Inst { result, op, span });
    }

    fn ret(&mut self, value: Value) {
        self.term(Term::Return(value));
    }

    fn term(&mut self, term: Term) {
        let block = &mut self.func.blocks[self.block.0 as usize];
        (block.term, block.term_span) = (term, self.span);
    }

    fn value(&mut self, ty: ValueTy) -> Value {
        self.func.values.push(ValueData { ty });
        Value(self.func.values.len() as u32 - 1)
    }
}
