//! The text form, the verifier's complaints, and the interpreter on functions written by hand.

use skep_isa::interp::{Fault, Memory, TestEnv};
use skep_lang::hir::Runtime;
use skep_ui::Span;

use super::interp::{Links, run};
use super::verify::verify;
use super::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, Home, Inst, MapRef, Module, Object, ObjectId, Op, Term, Value,
    ValueData, ValueTy, Width,
};

fn inst(result: u32, op: Op) -> Inst {
    Inst { result: Some(Value(result)), op, span: Span::GENERATED }
}

fn effect(op: Op) -> Inst {
    Inst { result: None, op, span: Span::GENERATED }
}

fn block(params: &[u32], insts: Vec<Inst>, term: Term) -> Block {
    let params = params.iter().copied().map(Value).collect();
    Block { params, insts, term, term_span: Span::GENERATED }
}

fn edge(to: u32, args: &[u32]) -> Edge {
    Edge { to: BlockId(to), args: args.iter().copied().map(Value).collect() }
}

fn func(types: &[ValueTy], blocks: Vec<Block>) -> Func {
    Func {
        name: "test".into(),
        is_global: false,
        params: Vec::new(),
        values: types.iter().map(|ty| ValueData { ty: *ty }).collect(),
        blocks,
        objects: vec![Object { name: "key".into(), size: 16, align: 8, home: Home::Any }],
    }
}

/// The sum of 1 to 10 by a loop, kept in an object.
fn sum_to_ten() -> Func {
    use ValueTy::{Int, Ptr};
    let first = vec![
        inst(0, Op::Const(0)),
        inst(1, Op::Const(1)),
        inst(2, Op::Const(10)),
        inst(3, Op::ObjectAddr(ObjectId(0), 8)),
        effect(Op::Zero { addr: Value(3), offset: -8, len: 16, align: 8 }),
    ];
    let body = vec![
        inst(5, Op::Load { width: Width::W16, signed: false, addr: Value(3), offset: 0 }),
        inst(6, Op::Bin(BinOp::Add, Value(5), Value(4))),
        effect(Op::Store { width: Width::W16, addr: Value(3), offset: 0, value: Value(6) }),
        inst(7, Op::Bin(BinOp::Add, Value(4), Value(1))),
    ];
    let again = Term::Branch {
        op: CmpOp::ULe,
        lhs: Value(7),
        rhs: Value(2),
        then: edge(1, &[7]),
        otherwise: edge(2, &[6]),
    };
    func(
        &[Int, Int, Int, Ptr, Int, Int, Int, Int, Int],
        vec![
            block(&[], first, Term::Jump(edge(1, &[1]))),
            block(&[4], body, again),
            block(&[8], vec![], Term::Return(Value(8))),
        ],
    )
}

#[test]
fn the_text_form_shows_everything() {
    insta::assert_snapshot!(sum_to_ten());
}

#[test]
fn a_loop_is_run() {
    let func = sum_to_ten();
    assert_eq!(verify(&func, 0), Vec::<String>::new());
    let links = Links { subs: &[], maps: &[], runtime: &|_| 0 };
    assert_eq!(run(&func, &links, &[], &mut TestEnv::default(), &mut Memory::default()), Ok(55));
}

#[test]
fn bytes_never_written_are_a_fault_with_its_place() {
    let load = Op::Load { width: Width::W32, signed: false, addr: Value(0), offset: 4 };
    let insts = vec![inst(0, Op::ObjectAddr(ObjectId(0), 0)), inst(1, load)];
    let func = func(&[ValueTy::Ptr, ValueTy::Int], vec![block(&[], insts, Term::Return(Value(1)))]);
    let links = Links { subs: &[], maps: &[], runtime: &|_| 0 };
    let trap =
        run(&func, &links, &[], &mut TestEnv::default(), &mut Memory::default()).expect_err("uninitialised");
    assert!(matches!(trap.fault, Fault::UninitMemory { .. }), "{trap}");
    assert_eq!(trap.what, "load.u32 [v0 + 4]");
}

#[test]
fn every_value_is_defined_once_and_before_its_uses() {
    use ValueTy::Int;
    let twice = vec![inst(0, Op::Const(1)), inst(0, Op::Const(2)), inst(5, Op::Const(3))];
    let func = func(&[Int, Int], vec![block(&[], twice, Term::Return(Value(0)))]);
    insta::assert_snapshot!(verify(&func, 0).join("\n"), @r"
    test: v0 is defined twice
    test: v5 is defined but not in the table of values
    ");
}

#[test]
fn uses_are_dominated() {
    use ValueTy::Int;
    let sum = vec![inst(3, Op::Bin(BinOp::Add, Value(1), Value(2)))];
    let branch =
        |op| Term::Branch { op, lhs: Value(0), rhs: Value(0), then: edge(1, &[]), otherwise: edge(2, &[]) };
    let func = func(
        &[Int, Int, Int, Int],
        vec![
            block(&[], vec![inst(0, Op::Const(1))], branch(CmpOp::Eq)),
            block(&[], vec![inst(1, Op::Const(1))], Term::Jump(edge(2, &[]))),
            block(&[], sum, Term::Return(Value(3))),
            block(&[], vec![inst(2, Op::Const(1))], Term::Return(Value(2))),
        ],
    );
    insta::assert_snapshot!(verify(&func, 0).join("\n"), @r"
    test: block2 uses v1 where it need not be defined yet (it is defined in block1)
    test: block2 uses v2 where it need not be defined yet (it is defined in block3)
    test: block3 cannot be reached
    ");
}

#[test]
fn edges_fit_their_blocks() {
    use ValueTy::{Int, Ptr};
    let insts = vec![inst(0, Op::Const(1)), inst(1, Op::ObjectAddr(ObjectId(0), 0))];
    let func = func(
        &[Int, Ptr, Int],
        vec![
            block(&[], insts, Term::Jump(edge(1, &[1, 0]))),
            block(
                &[2],
                vec![],
                Term::Branch {
                    op: CmpOp::Eq,
                    lhs: Value(2),
                    rhs: Value(2),
                    then: edge(0, &[]),
                    otherwise: edge(7, &[]),
                },
            ),
        ],
    );
    insta::assert_snapshot!(verify(&func, 0).join("\n"), @r"
    test: block0 gives 2 arguments to block1, which has 1 parameters
    test: block0 gives v1 for v2 of block1, which has another type
    test: block1 leads back to the entry
    test: block1 leads to block7, which does not exist
    ");
}

#[test]
fn addresses_and_numbers_do_not_mix() {
    use ValueTy::{Ctx, Int, Ptr};
    let insts = vec![
        inst(0, Op::Ctx),
        inst(1, Op::ObjectAddr(ObjectId(0), 17)),
        inst(2, Op::Const(3)),
        inst(3, Op::Bin(BinOp::Mul, Value(1), Value(2))),
        effect(Op::Store { width: Width::W8, addr: Value(0), offset: 0, value: Value(2) }),
        inst(4, Op::Cmp(CmpOp::Eq, Value(1), Value(2))),
        inst(5, Op::Map(MapRef(3))),
        inst(6, Op::Runtime(Runtime::FilterPid)),
        inst(7, Op::ByteSwap(Width::W8, Value(6))),
        effect(Op::Copy { dst: Value(1), dst_offset: 0, src: Value(2), src_offset: 0, len: 0, align: 3 }),
    ];
    let types = [Ctx, Ptr, Int, Int, Int, Int, Int, Int];
    let func = func(&types, vec![block(&[], insts, Term::Return(Value(1)))]);
    insta::assert_snapshot!(verify(&func, 1).join("\n"));
}

#[test]
fn arithmetic_is_the_machine_s() {
    let (lowest, minus_one) = (i64::MIN as u64, -1i64 as u64);
    assert_eq!(BinOp::SDiv.apply(lowest, minus_one), lowest);
    assert_eq!(BinOp::SMod.apply(lowest, minus_one), 0);
    assert_eq!((BinOp::UDiv.apply(5, 0), BinOp::UMod.apply(5, 0)), (0, 5));
    assert_eq!((BinOp::SDiv.apply(5, 0), BinOp::SMod.apply(5, 0)), (0, 5));
    assert_eq!(BinOp::Shl.apply(1, 65), 2);
    assert_eq!(BinOp::AShr.apply(-8i64 as u64, 1), -4i64 as u64);
}

#[test]
fn what_is_no_ir_is_refused_with_its_line() {
    let refused = |text: &str| text.parse::<Module>().expect_err("it is refused").to_string();
    let messages = [
        "funk a {",
        "func a {\nblock0:\n  v0: int = const 1",
        "func a {\n}\nblock0:",
        "func a {\nblock1:",
        "func a {\nblock0:\n  v0: int = const 9223372036854775808",
        "func a {\nblock0:\n  v0: float = const 1",
        "func a {\nblock0:\n  v0: int = frob v1, v2",
        "func a {\nblock0:\n  v0: int = load.32 [v1 + 0]",
        "func a {\nblock0:\n  v0: int = load.u32 [v1 - 4294967295]",
        "func a {\nblock0:\n  v0: int = const 1\n  v0: int = const 1",
        "func a {\nblock0:\n  v99999999: int = const 1",
        "func a {\nblock0:\n  jump block1 block2",
        "func a {\nblock0:\n}",
        "map m0 \"@a user",
        "map m0 \"@a\" user heap key 4 value 8 entries 1",
        "; a comment\n\nmap m1 \"@a\" user hash key 4 value 8 entries 1",
    ];
    insta::assert_snapshot!(messages.map(refused).join("\n"));
}
