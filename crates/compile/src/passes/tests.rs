//! The passes on small functions, built as lowering builds them.

use skep_ui::Span;

use super::*;
use crate::ir::{BinOp, Block, BlockId, CmpOp, Edge, Inst, Op, Term, ValueData, ValueTy};

fn func(values: usize, blocks: Vec<Block>) -> Func {
    Func {
        name: "test".into(),
        values: vec![ValueData { ty: ValueTy::Int }; values],
        blocks,
        objects: Vec::new(),
    }
}

fn block(params: &[u32], insts: Vec<(Option<u32>, Op)>, term: Term) -> Block {
    Block {
        params: params.iter().copied().map(Value).collect(),
        insts: insts
            .into_iter()
            .map(|(result, op)| Inst { result: result.map(Value), op, span: Span::GENERATED })
            .collect(),
        term,
        term_span: Span::GENERATED,
    }
}

fn edge(to: u32, args: &[u32]) -> Edge {
    Edge { to: BlockId(to), args: args.iter().copied().map(Value).collect() }
}

fn helper(id: u32, pure: bool) -> Op {
    Op::Call { helper: id, args: Vec::new(), returns: ValueTy::Int, pure }
}

fn optimised(func: Func) -> Func {
    let mut module = Module { funcs: vec![func], ..Module::default() };
    optimise(&mut module);
    module.funcs.remove(0)
}

#[test]
fn a_known_condition_leaves_one_way() {
    let func = optimised(func(
        4,
        vec![
            block(
                &[],
                vec![(Some(0), Op::Const(3)), (Some(1), Op::Const(4))],
                Term::Branch {
                    op: CmpOp::ULt,
                    lhs: Value(0),
                    rhs: Value(1),
                    then: edge(1, &[]),
                    otherwise: edge(2, &[]),
                },
            ),
            block(&[], vec![(Some(2), Op::Const(7))], Term::Return(Value(2))),
            block(&[], vec![(Some(3), Op::Const(8))], Term::Return(Value(3))),
        ],
    ));
    assert_eq!(func.blocks.len(), 1);
    assert_eq!(func.blocks[0].insts.len(), 1);
    assert_eq!(func.blocks[0].insts[0].op, Op::Const(7));
}

#[test]
fn a_pure_helper_is_called_once_and_an_impure_one_each_time() {
    let func = optimised(func(
        6,
        vec![block(
            &[],
            vec![
                (Some(0), helper(14, true)),
                (Some(1), helper(14, true)),
                (Some(2), helper(5, false)),
                (Some(3), helper(5, false)),
                (Some(4), Op::Bin(BinOp::Sub, Value(0), Value(1))),
                (Some(5), Op::Bin(BinOp::Add, Value(4), Value(3))),
            ],
            Term::Return(Value(5)),
        )],
    ));
    let calls = |id| {
        func.blocks[0]
            .insts
            .iter()
            .filter(|inst| matches!(inst.op, Op::Call { helper, .. } if helper == id))
            .count()
    };
    assert_eq!((calls(14), calls(5)), (1, 2));
}

#[test]
fn a_result_is_not_reused_where_it_was_not_computed_on_every_way() {
    let func = optimised(func(
        5,
        vec![
            block(
                &[],
                vec![(Some(0), helper(8, false)), (Some(1), Op::Const(0))],
                Term::Branch {
                    op: CmpOp::Eq,
                    lhs: Value(0),
                    rhs: Value(1),
                    then: edge(1, &[]),
                    otherwise: edge(2, &[]),
                },
            ),
            block(&[], vec![(Some(2), helper(14, true))], Term::Return(Value(2))),
            block(&[], vec![(Some(3), helper(14, true))], Term::Return(Value(3))),
        ],
    ));
    assert_eq!(func.blocks.len(), 3);
    assert!(func.blocks[1..].iter().all(|block| block.insts.len() == 1));
}

#[test]
fn a_parameter_with_one_value_disappears_and_the_blocks_join() {
    let func = optimised(func(
        4,
        vec![
            block(&[], vec![(Some(0), helper(8, false))], Term::Jump(edge(1, &[0]))),
            block(&[1], vec![(Some(2), Op::Bin(BinOp::Add, Value(1), Value(1)))], Term::Return(Value(2))),
        ],
    ));
    assert_eq!(func.blocks.len(), 1);
    assert_eq!(func.blocks[0].insts[1].op, Op::Bin(BinOp::Add, Value(0), Value(0)));
}

#[test]
fn unused_loads_and_pure_calls_go_but_stores_stay() {
    let mut before = func(
        4,
        vec![block(
            &[],
            vec![
                (Some(0), Op::ObjectAddr(crate::ir::ObjectId(0), 0)),
                (Some(1), Op::Const(5)),
                (
                    None,
                    Op::Store { width: crate::ir::Width::W64, addr: Value(0), offset: 0, value: Value(1) },
                ),
                (
                    Some(2),
                    Op::Load { width: crate::ir::Width::W64, signed: false, addr: Value(0), offset: 0 },
                ),
                (Some(3), helper(14, true)),
            ],
            Term::Return(Value(1)),
        )],
    );
    before.values[0].ty = ValueTy::Ptr;
    before.objects.push(crate::ir::Object { name: "x".into(), size: 8, align: 8, in_scratch: false });
    let after = optimised(before);
    assert_eq!(after.blocks[0].insts.len(), 3);
    assert_eq!(after.objects.len(), 1);
}

#[test]
fn arithmetic_of_constants_is_the_machine_s() {
    use super::fold::compute;
    assert_eq!(compute(BinOp::SDiv, i64::MIN, -1), i64::MIN);
    assert_eq!(compute(BinOp::SMod, i64::MIN, -1), 0);
    assert_eq!((compute(BinOp::UDiv, 5, 0), compute(BinOp::UMod, 5, 0)), (0, 5));
    assert_eq!(compute(BinOp::Shl, 1, 65), 2);
    assert_eq!(compute(BinOp::AShr, -8, 1), -4);
}
