//! What programs compute, and what they are stopped for.

use super::*;
use crate::helpers::id;
use crate::{AluOp, AtomicOp, Endian, Imm64, Insn, JmpOp, Size, Width};
use proptest::prelude::*;

mod faults;
mod helper_calls;

const R0: Reg = Reg::R0;
const R1: Reg = Reg::R1;
const R2: Reg = Reg::R2;
const R3: Reg = Reg::R3;
const R4: Reg = Reg::R4;
const R6: Reg = Reg::R6;
const R10: Reg = Reg::R10;

/// A program written piece by piece: single instructions and pairs.
#[derive(Default)]
struct Program(Vec<Insn>);

impl Program {
    fn new() -> Self {
        Self::default()
    }

    fn then(mut self, insns: impl IntoIterator<Item = Insn>) -> Self {
        self.0.extend(insns);
        self
    }

    fn set(self, reg: Reg, value: u64) -> Self {
        self.then(Insn::ld_imm64(reg, Imm64::Value(value)))
    }

    fn run(&self) -> Result<u64, Trap> {
        self.run_in(&[], &mut TestEnv::default(), &mut Memory::default())
    }

    fn run_in(&self, ctx: &[u8], env: &mut TestEnv, memory: &mut Memory) -> Result<u64, Trap> {
        Interp::new(&self.0).run(ctx, env, memory)
    }

    fn fault(&self) -> Fault {
        self.run().unwrap_err().fault
    }
}

/// Runs `insn` with r0 and r2 set, and returns r0.
fn with_r0_r2(insn: Insn, r0: u64, r2: u64) -> u64 {
    Program::new().set(R0, r0).set(R2, r2).then([insn, Insn::exit()]).run().unwrap()
}

#[test]
fn arithmetic_edges() {
    const MIN64: u64 = i64::MIN as u64;
    const MIN32: u64 = i32::MIN as u32 as u64;
    const ONES: u64 = u64::MAX;
    const HIGH: u64 = 0xdead_beef_0000_0000;

    let cases = [
        (Width::W64, AluOp::Add, ONES, 2, 1),
        (Width::W32, AluOp::Add, ONES, 2, 1),
        (Width::W32, AluOp::Sub, HIGH, 1, 0xffff_ffff),
        (Width::W64, AluOp::Mul, MIN64, 2, 0),
        (Width::W64, AluOp::Div, ONES, 0, 0),
        (Width::W32, AluOp::Div, ONES, HIGH, 0),
        (Width::W64, AluOp::Div, ONES, 2, ONES >> 1),
        (Width::W64, AluOp::SDiv, MIN64, ONES, MIN64),
        (Width::W32, AluOp::SDiv, MIN32, ONES, MIN32),
        (Width::W64, AluOp::SDiv, -7_i64 as u64, 2, -3_i64 as u64),
        (Width::W32, AluOp::SDiv, -7_i32 as u32 as u64, 2, -3_i32 as u32 as u64),
        (Width::W64, AluOp::SDiv, 7, 0, 0),
        (Width::W64, AluOp::Mod, HIGH, 0, HIGH),
        (Width::W32, AluOp::Mod, HIGH + 7, HIGH, 7),
        (Width::W64, AluOp::SMod, MIN64, ONES, 0),
        (Width::W32, AluOp::SMod, MIN32, ONES, 0),
        (Width::W64, AluOp::SMod, -7_i64 as u64, 2, ONES),
        (Width::W32, AluOp::SMod, HIGH + 7, 0, 7),
        (Width::W64, AluOp::Lsh, 1, 65, 2),
        (Width::W32, AluOp::Lsh, ONES, 33, 0xffff_fffe),
        (Width::W32, AluOp::Lsh, ONES, 32, 0xffff_ffff),
        (Width::W64, AluOp::Rsh, MIN64, 63 + 64, 1),
        (Width::W64, AluOp::Arsh, MIN64, 63, ONES),
        (Width::W32, AluOp::Arsh, MIN32, 31, 0xffff_ffff),
        (Width::W32, AluOp::Mov, 0, HIGH + 5, 5),
        (Width::W32, AluOp::Xor, ONES, 0, 0xffff_ffff),
        (Width::W32, AluOp::Or, HIGH, 1, 1),
        (Width::W64, AluOp::And, HIGH, ONES, HIGH),
    ];
    for (width, op, a, b, expected) in cases {
        let insn = Insn::alu(width, op, R0, crate::Operand::Reg(R2));
        assert_eq!(with_r0_r2(insn, a, b), expected, "{width:?} {op:?} {a:#x} {b:#x}");
    }
}

#[test]
fn immediates_are_sign_extended() {
    assert_eq!(with_r0_r2(Insn::mov64_imm(R0, -1), 0, 0), u64::MAX);
    assert_eq!(with_r0_r2(Insn::mov32_imm(R0, -1), 0, 0), 0xffff_ffff);
    assert_eq!(with_r0_r2(Insn::alu64_imm(AluOp::And, R0, -2), u64::MAX, 0), u64::MAX - 1);
    assert_eq!(with_r0_r2(Insn::alu64_imm(AluOp::Div, R0, -1), u64::MAX, 0), 1);
}

#[test]
fn negation_and_sign_extension() {
    assert_eq!(with_r0_r2(Insn::neg64(R0), 1, 0), u64::MAX);
    assert_eq!(with_r0_r2(Insn::neg32(R0), 1, 0), 0xffff_ffff);
    assert_eq!(with_r0_r2(Insn::neg32(R0), u64::MAX, 0), 1);
    let value = 0x1122_3344_8566_8788;
    assert_eq!(with_r0_r2(Insn::movsx64(Size::B, R0, R2), 0, value), 0xffff_ffff_ffff_ff88);
    assert_eq!(with_r0_r2(Insn::movsx64(Size::H, R0, R2), 0, value), 0xffff_ffff_ffff_8788);
    assert_eq!(with_r0_r2(Insn::movsx64(Size::W, R0, R2), 0, value), 0xffff_ffff_8566_8788);
    assert_eq!(with_r0_r2(Insn::movsx32(Size::B, R0, R2), 0, value), 0xffff_ff88);
    assert_eq!(with_r0_r2(Insn::movsx32(Size::H, R0, R2), 0, value), 0xffff_8788);
    assert_eq!(with_r0_r2(Insn::movsx64(Size::B, R0, R2), 0, 0x7f), 0x7f);
}

#[test]
fn byte_order() {
    let value = 0x1122_3344_5566_7788;
    let run = |order, size| with_r0_r2(Insn::endian(order, size, R0), value, 0);
    assert_eq!(run(Endian::Le, Size::H), 0x7788);
    assert_eq!(run(Endian::Le, Size::W), 0x5566_7788);
    assert_eq!(run(Endian::Le, Size::DW), value);
    for order in [Endian::Be, Endian::Bswap] {
        assert_eq!(run(order, Size::H), 0x8877);
        assert_eq!(run(order, Size::W), 0x8877_6655);
        assert_eq!(run(order, Size::DW), 0x8877_6655_4433_2211);
    }
}

#[test]
fn loads_and_stores() {
    let load = |insn| {
        Program::new()
            .set(R1, 0x8182_8384_8586_8788)
            .then([Insn::store_reg(Size::DW, R10, -8, R1), insn, Insn::exit()])
            .run()
            .unwrap()
    };
    assert_eq!(load(Insn::load(Size::B, R0, R10, -8)), 0x88);
    assert_eq!(load(Insn::load(Size::H, R0, R10, -7)), 0x8687);
    assert_eq!(load(Insn::load(Size::W, R0, R10, -4)), 0x8182_8384);
    assert_eq!(load(Insn::load_sx(Size::B, R0, R10, -8)), 0xffff_ffff_ffff_ff88);
    assert_eq!(load(Insn::load_sx(Size::H, R0, R10, -8)), 0xffff_ffff_ffff_8788);
    assert_eq!(load(Insn::load_sx(Size::W, R0, R10, -8)), 0xffff_ffff_8586_8788);

    let stored = Program::new().then([
        Insn::store_imm(Size::DW, R10, -8, -2),
        Insn::store_imm(Size::B, R10, -8, 0x155),
        Insn::load(Size::DW, R0, R10, -8),
        Insn::exit(),
    ]);
    assert_eq!(stored.run(), Ok(0xffff_ffff_ffff_ff55));
}

#[test]
fn atomics() {
    const OLD: u64 = 0xf0f0_f0f0_0000_00ff;
    const ARG: u64 = 0x0ff0_0000_0000_0f0f;
    // Runs an atomic on a stack slot that holds OLD, with ARG in r2; returns the slot, r2 and r0.
    let run = |size, op, r0: u64| {
        let insn = match op {
            AtomicOp::LoadAcquire => Insn::atomic(size, op, R2, -8, R10),
            _ => Insn::atomic(size, op, R10, -8, R2),
        };
        let read = |result| {
            let base = Program::new().set(R1, OLD).set(R2, ARG).set(R0, r0);
            let base = base.then([Insn::store_reg(Size::DW, R10, -8, R1), insn]);
            base.then([result, Insn::exit()]).run().unwrap()
        };
        let slot = read(Insn::load(Size::DW, R0, R10, -8));
        (slot, read(Insn::mov64_reg(R0, R2)), read(Insn::ja(0)))
    };
    let (add, and) = (AtomicOp::Add { fetch: false }, AtomicOp::And { fetch: true });
    assert_eq!(run(Size::DW, add, 1), (OLD.wrapping_add(ARG), ARG, 1));
    assert_eq!(run(Size::W, add, 1), (0xf0f0_f0f0_0000_100e, ARG, 1));
    assert_eq!(run(Size::DW, and, 1), (OLD & ARG, OLD, 1));
    assert_eq!(run(Size::W, AtomicOp::Or { fetch: true }, 1), (0xf0f0_f0f0_0000_0fff, 0xff, 1));
    assert_eq!(run(Size::DW, AtomicOp::Xor { fetch: true }, 1), (OLD ^ ARG, OLD, 1));
    assert_eq!(run(Size::DW, AtomicOp::Xchg, 1), (ARG, OLD, 1));
    assert_eq!(run(Size::W, AtomicOp::Xchg, 1), (0xf0f0_f0f0_0000_0f0f, 0xff, 1));
    assert_eq!(run(Size::DW, AtomicOp::CmpXchg, OLD), (ARG, ARG, OLD));
    assert_eq!(run(Size::DW, AtomicOp::CmpXchg, 5), (OLD, ARG, OLD));
    assert_eq!(run(Size::W, AtomicOp::CmpXchg, 0xaa_0000_00ff), (0xf0f0_f0f0_0000_0f0f, ARG, 0xff));
    assert_eq!(run(Size::H, AtomicOp::LoadAcquire, 1), (OLD, 0xff, 1));
    assert_eq!(run(Size::B, AtomicOp::StoreRelease, 1), (0xf0f0_f0f0_0000_000f, ARG, 1));
}

#[test]
fn comparisons() {
    const MINUS: u64 = -1_i64 as u64;
    let cases = [
        (Width::W64, JmpOp::Gt, MINUS, 1, true),
        (Width::W64, JmpOp::SGt, MINUS, 1, false),
        (Width::W64, JmpOp::SLt, MINUS, 0, true),
        (Width::W32, JmpOp::SLt, 0xffff_ffff, 0, true),
        (Width::W64, JmpOp::SLt, 0xffff_ffff, 0, false),
        (Width::W32, JmpOp::Eq, 0x1_0000_0005, 5, true),
        (Width::W64, JmpOp::Eq, 0x1_0000_0005, 5, false),
        (Width::W32, JmpOp::Gt, 0x8000_0000, 1, true),
        (Width::W64, JmpOp::Set, 6, 9, false),
        (Width::W64, JmpOp::Set, 6, 2, true),
        (Width::W64, JmpOp::SGe, 3, 3, true),
        (Width::W64, JmpOp::Le, 3, 3, true),
        (Width::W64, JmpOp::Lt, 3, 3, false),
        (Width::W64, JmpOp::SLe, MINUS, MINUS, true),
        (Width::W64, JmpOp::Ne, 3, 4, true),
        (Width::W64, JmpOp::Ge, 3, 4, false),
    ];
    for (width, op, a, b, expected) in cases {
        assert_eq!(compare(width, op, a, b), expected, "{width:?} {op:?} {a:#x} {b:#x}");
        let taken = Program::new().set(R1, a).set(R2, b).then([
            Insn::mov64_imm(R0, 1),
            Insn::jmp(width, op, R1, crate::Operand::Reg(R2), 1),
            Insn::mov64_imm(R0, 0),
            Insn::exit(),
        ]);
        assert_eq!(taken.run(), Ok(expected.into()));
    }
    // Immediates are sign-extended before an unsigned comparison.
    let insn = Insn::jmp_imm(JmpOp::Gt, R1, -2, 1);
    let program = Program::new().set(R1, u64::MAX).then([
        Insn::mov64_imm(R0, 1),
        insn,
        Insn::mov64_imm(R0, 0),
        Insn::exit(),
    ]);
    assert_eq!(program.run(), Ok(1));
}

#[test]
fn loops_and_long_jumps() {
    // The sum of 1 to 10.
    let program = Program::new().then([
        Insn::mov64_imm(R0, 0),
        Insn::mov64_imm(R1, 10),
        Insn::alu64_reg(AluOp::Add, R0, R1),
        Insn::alu64_imm(AluOp::Sub, R1, 1),
        Insn::jmp_imm(JmpOp::Ne, R1, 0, -3),
        Insn::gotol(1),
        Insn::mov64_imm(R0, 0),
        Insn::exit(),
    ]);
    assert_eq!(program.run(), Ok(55));
}

#[test]
fn may_goto_ends_a_loop() {
    let program = [
        Insn::mov64_imm(R0, 0),
        Insn::alu64_imm(AluOp::Add, R0, 1),
        Insn::may_goto(1),
        Insn::ja(-3),
        Insn::exit(),
    ];
    let run = |steps| {
        let interp = Interp::new(&program).step_limit(steps).may_goto_budget(500);
        interp.run(&[], &mut TestEnv::default(), &mut Memory::default())
    };
    assert_eq!(run(2_000), Ok(501));
    assert_eq!(run(1_000).unwrap_err().fault, Fault::StepLimit(1_000));
}

#[test]
fn subprograms_have_frames_of_their_own() {
    // Keeps a value in r6 and one on the stack over a call that uses both for itself.
    let program = Program::new().then([
        Insn::mov64_imm(R6, 100),
        Insn::store_imm(Size::DW, R10, -8, 20),
        Insn::mov64_imm(R1, 3),
        Insn::mov64_reg(R2, R10),
        Insn::call_rel(4),
        Insn::alu64_reg(AluOp::Add, R0, R6),
        Insn::load(Size::DW, R1, R10, -8),
        Insn::alu64_reg(AluOp::Add, R0, R1),
        Insn::exit(),
        // Adds one to the caller's slot, returns the argument doubled.
        Insn::mov64_imm(R6, 7),
        Insn::store_imm(Size::DW, R10, -8, 7),
        Insn::mov64_imm(R3, 1),
        Insn::atomic(Size::DW, AtomicOp::Add { fetch: false }, R2, -8, R3),
        Insn::mov64_reg(R0, R1),
        Insn::alu64_imm(AluOp::Lsh, R0, 1),
        Insn::exit(),
    ]);
    assert_eq!(program.run(), Ok(6 + 100 + 21));
}

#[test]
fn the_context_is_readable() {
    let program = Program::new().then([Insn::load(Size::W, R0, R1, 4), Insn::exit()]);
    let ctx = [1, 0, 0, 0, 2, 0, 0, 0];
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    assert_eq!(program.run_in(&ctx, &mut env, &mut memory), Ok(2));
}

#[test]
fn addresses_may_be_spilled_and_moved() {
    let program = Program::new().then([
        Insn::store_imm(Size::DW, R10, -16, 42),
        Insn::mov64_reg(R1, R10),
        Insn::alu64_imm(AluOp::Add, R1, -16),
        Insn::store_reg(Size::DW, R10, -8, R1),
        Insn::load(Size::DW, R2, R10, -8),
        Insn::load(Size::DW, R0, R2, 0),
        Insn::exit(),
    ]);
    assert_eq!(program.run(), Ok(42));
}

/// Programs that look like programs more often than random bytes do.
fn program() -> impl Strategy<Value = Vec<Insn>> {
    let insn = prop_oneof![
        any::<[u8; 8]>().prop_map(Insn::from_bytes),
        (any::<u8>(), 0..11_u8, 0..11_u8, -16..16_i16, -64..64_i32)
            .prop_map(|(code, dst, src, off, imm)| Insn { code, dst, src, off, imm }),
        (0..10_u8, -64..64_i32).prop_map(|(reg, imm)| Insn::mov64_imm(Reg::new(reg).unwrap(), imm)),
        (0..10_u8).prop_map(|reg| Insn::mov64_reg(Reg::new(reg).unwrap(), R10)),
        (1..212_u32).prop_map(Insn::call_helper),
        (0..4_i32).prop_map(|fd| Insn::ld_imm64(R1, Imm64::MapFd(fd))[0]),
        Just(Insn::default()),
        Just(Insn::exit()),
    ];
    prop::collection::vec(insn, 0..30)
}

proptest! {
    #[test]
    fn any_program_ends(program in program(), ctx: Vec<u8>) {
        let mut env = TestEnv::default();
        env.add_map(MapDef::new(MapKind::Hash, 8, 8, 4));
        env.add_map(MapDef::new(MapKind::Array, 4, 8, 4));
        env.add_map(MapDef::ring(4096));
        let interp = Interp::new(&program).step_limit(5_000);
        // Any result will do: what counts is that there is one.
        let _ = interp.run(&ctx, &mut env, &mut Memory::default());
    }

    #[test]
    fn programs_repeat_exactly(program in program()) {
        let run = || {
            let (mut env, mut memory) = (TestEnv::default(), Memory::default());
            Interp::new(&program).step_limit(1_000).run(&[0; 64], &mut env, &mut memory)
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn narrow_arithmetic_ignores_high_halves(a: u64, b: u64, op in 0..AluOp::ALL.len()) {
        let op = AluOp::ALL[op];
        let wide = alu(Width::W32, op, a, b);
        prop_assert_eq!(wide, alu(Width::W32, op, a & 0xffff_ffff, b & 0xffff_ffff));
        prop_assert!(wide <= 0xffff_ffff);
    }

    #[test]
    fn division_and_remainder_agree(a: u64, b: u64) {
        let (quotient, remainder) = (alu(Width::W64, AluOp::Div, a, b), alu(Width::W64, AluOp::Mod, a, b));
        prop_assert_eq!(quotient.wrapping_mul(b).wrapping_add(remainder), a);
        let (quotient, remainder) = (alu(Width::W64, AluOp::SDiv, a, b), alu(Width::W64, AluOp::SMod, a, b));
        prop_assert_eq!(quotient.wrapping_mul(b).wrapping_add(remainder), a);
    }

    #[test]
    fn a_comparison_and_its_negation_disagree(a: u64, b: u64, op in 0..JmpOp::ALL.len(), wide: bool) {
        let (op, width) = (JmpOp::ALL[op], if wide { Width::W64 } else { Width::W32 });
        if let Some(negated) = op.negate() {
            prop_assert_ne!(compare(width, op, a, b), compare(width, negated, a, b));
        }
        prop_assert_eq!(compare(width, op, a, b), compare(width, op.swap(), b, a));
    }
}
