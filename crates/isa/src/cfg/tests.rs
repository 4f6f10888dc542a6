//! Shapes of control flow, and programs that have none.

use super::*;
use crate::{Imm64, JmpOp, Reg};
use proptest::prelude::*;
use std::fmt::Write;

const R0: Reg = Reg::R0;
const R1: Reg = Reg::R1;

/// One line for each function and block.
fn shape(program: &[Insn]) -> String {
    let cfg = Cfg::build(program, Calls::ByImm).unwrap();
    let mut out = String::new();
    for function in &cfg.functions {
        writeln!(out, "function {:?}", function.range).unwrap();
        for (n, block) in function.blocks.iter().enumerate() {
            write!(out, "  {n}: {:?} {:?}", block.range, block.end).unwrap();
            for edge in &block.succs {
                let arrow = if edge.kind == EdgeKind::Jump { "=>" } else { "->" };
                write!(out, " {arrow} {}", edge.to).unwrap();
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn straight_line_is_one_block() {
    let program = [Insn::mov64_imm(R0, 0), Insn::call_helper(5), Insn::exit()];
    insta::assert_snapshot!(shape(&program), @r"
    function 0..3
      0: 0..3 Exit
    ");
}

#[test]
fn diamond_and_loop() {
    let program = [
        Insn::jmp_imm(JmpOp::Eq, R1, 0, 2),
        Insn::mov64_imm(R0, 1),
        Insn::ja(1),
        Insn::mov64_imm(R0, 2),
        Insn::jmp32_imm(JmpOp::Gt, R0, 9, -5),
        Insn::may_goto(-2),
        Insn::exit(),
    ];
    insta::assert_snapshot!(shape(&program), @r"
    function 0..7
      0: 0..1 Branch -> 1 => 2
      1: 1..3 Jump => 3
      2: 3..4 Fallthrough -> 3
      3: 4..5 Branch -> 4 => 0
      4: 5..6 Branch -> 5 => 3
      5: 6..7 Exit
    ");
    let cfg = Cfg::build(&program, Calls::ByImm).unwrap();
    assert_eq!(cfg.functions[0].preds(3).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn functions_start_at_calls_and_callbacks() {
    let [first, second] = Insn::ld_imm64(R1, Imm64::Func(5));
    let program = [
        Insn::call_rel(3),
        first,
        second,
        Insn::gotol(0),
        // The call goes here.
        Insn::exit(),
        Insn::mov64_imm(R0, 0),
        Insn::exit(),
        // The callback.
        Insn::gotox(R1),
    ];
    let error = Cfg::build(&program, Calls::ByImm);
    assert_eq!(error, Err(Error::JumpTarget { at: 3, to: 4 }), "a jump into another function");

    let mut program = program;
    program[3] = Insn::exit();
    insta::assert_snapshot!(shape(&program), @r"
    function 0..4
      0: 0..4 Exit
    function 4..7
      0: 4..5 Exit
      1: 5..7 Exit
    function 7..8
      0: 7..8 Indirect
    ");
    let cfg = Cfg::build(&program, Calls::ByImm).unwrap();
    assert_eq!(cfg.function_at(6).map(|f| f.range.clone()), Some(4..7));
    assert_eq!(cfg.function_at(8), None);
}

#[test]
fn a_program_read_back_calls_by_offset() {
    let call = Insn { off: 1, imm: 1, ..Insn::call_rel(0) };
    let program = [call, Insn::exit(), Insn::exit()];
    let cfg = Cfg::build(&program, Calls::ByOff).unwrap();
    assert_eq!(cfg.functions.iter().map(|f| f.range.clone()).collect::<Vec<_>>(), [0..2, 2..3]);
}

#[test]
fn broken_programs_are_refused() {
    let [first, second] = Insn::ld_imm64(R1, Imm64::Value(0));
    let build = |program: &[Insn]| Cfg::build(program, Calls::ByImm).unwrap_err();
    assert_eq!(build(&[Insn::ja(-2), Insn::exit()]), Error::JumpTarget { at: 0, to: -1 });
    assert_eq!(build(&[Insn::ja(1), Insn::exit()]), Error::JumpTarget { at: 0, to: 2 });
    assert_eq!(build(&[Insn::ja(1), first, second, Insn::exit()]), Error::JumpTarget { at: 0, to: 2 });
    assert_eq!(build(&[Insn::call_rel(7), Insn::exit()]), Error::FunctionTarget { at: 0, to: 8 });
    assert_eq!(build(&[Insn::mov64_imm(R0, 0)]), Error::FallsOff { at: 0 });
    assert_eq!(build(&[Insn::jmp_imm(JmpOp::Eq, R0, 0, -1)]), Error::FallsOff { at: 0 });
    assert_eq!(build(&[Insn::exit(), first]), Error::FallsOff { at: 1 });
    assert_eq!(Cfg::build(&[], Calls::ByImm), Ok(Cfg { functions: vec![] }));
}

/// Programs whose jumps are mostly short, so that many of them hold together.
fn program() -> impl Strategy<Value = Vec<Insn>> {
    let insn = prop_oneof![
        any::<[u8; 8]>().prop_map(Insn::from_bytes),
        (-6..6_i16).prop_map(Insn::ja),
        (-6..6_i16).prop_map(|off| Insn::jmp_imm(JmpOp::Eq, R0, 0, off)),
        (-6..6_i32).prop_map(Insn::call_rel),
        Just(Insn::exit()),
        Just(Insn::mov64_imm(R0, 0)),
    ];
    prop::collection::vec(insn, 0..20)
}

proptest! {
    #[test]
    fn blocks_cover_the_program_and_edges_hit_heads(program in program(), by_imm: bool) {
        let calls = if by_imm { Calls::ByImm } else { Calls::ByOff };
        let Ok(cfg) = Cfg::build(&program, calls) else { return Ok(()) };
        let mut at = 0;
        for function in &cfg.functions {
            prop_assert_eq!(function.range.start, at);
            for block in &function.blocks {
                prop_assert_eq!(block.range.start, at);
                prop_assert!(block.range.contains(&block.last));
                for edge in &block.succs {
                    prop_assert!(edge.to < function.blocks.len());
                }
                at = block.range.end;
            }
            prop_assert_eq!(function.range.end, at);
        }
        prop_assert_eq!(at, program.len());
    }
}
