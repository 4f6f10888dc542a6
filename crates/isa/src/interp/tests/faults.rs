//! Programs that are stopped.

use super::*;
use crate::Error;

#[test]
fn reading_what_was_never_written() {
    assert_eq!(Program::new().then([Insn::exit()]).fault(), Fault::UninitRegister(R0));
    assert_eq!(
        Program::new().then([Insn::mov64_reg(R0, R6), Insn::exit()]).fault(),
        Fault::UninitRegister(R6)
    );
    let half = Program::new().then([
        Insn::store_imm(Size::W, R10, -8, 1),
        Insn::load(Size::DW, R0, R10, -8),
        Insn::exit(),
    ]);
    assert_eq!(half.fault(), Fault::UninitMemory { kind: RegionKind::Stack, offset: 508 });
}

#[test]
fn calls_destroy_argument_registers() {
    let program = Program::new().then([
        Insn::mov64_imm(R1, 1),
        Insn::call_helper(id::KTIME_GET_NS),
        Insn::mov64_reg(R0, R1),
        Insn::exit(),
    ]);
    assert_eq!(program.run(), Err(Trap { pc: 2, fault: Fault::UninitRegister(R1) }));
}

#[test]
fn a_new_frame_is_empty_even_where_an_old_one_was() {
    let program = Program::new().then([
        Insn::call_rel(3),
        Insn::call_rel(5),
        Insn::mov64_imm(R0, 0),
        Insn::exit(),
        // Writes its stack.
        Insn::store_imm(Size::DW, R10, -8, 1),
        Insn::mov64_imm(R0, 0),
        Insn::exit(),
        // Reads the same place.
        Insn::load(Size::DW, R0, R10, -8),
        Insn::exit(),
    ]);
    let trap = program.run().unwrap_err();
    assert_eq!(trap.pc, 7);
    assert_eq!(trap.fault, Fault::UninitMemory { kind: RegionKind::Stack, offset: 504 });
}

#[test]
fn a_dead_frame_cannot_be_used() {
    let program = Program::new().then([
        Insn::call_rel(2),
        Insn::load(Size::DW, R0, R0, -8),
        Insn::exit(),
        Insn::store_imm(Size::DW, R10, -8, 1),
        Insn::mov64_reg(R0, R10),
        Insn::exit(),
    ]);
    let trap = program.run().unwrap_err();
    assert!(matches!(trap, Trap { pc: 1, fault: Fault::NoObject { len: 8, .. } }), "{trap}");
}

#[test]
fn accesses_outside_objects() {
    let load = |off| Program::new().then([Insn::load(Size::DW, R0, R10, off), Insn::exit()]).fault();
    let outside = |offset| Fault::OutOfBounds { kind: RegionKind::Stack, offset, len: 8, size: 512 };
    assert_eq!(load(0), outside(512));
    assert_eq!(load(-4), outside(508));
    assert_eq!(load(-516), outside(-4));
    let null = Program::new().then([Insn::mov64_imm(R1, 0), Insn::load(Size::DW, R0, R1, 16), Insn::exit()]);
    assert_eq!(null.fault(), Fault::NoObject { addr: 16, len: 8 });

    let tolerant = Interp::new(&null.0).null_loads(true);
    assert_eq!(tolerant.run(&[], &mut TestEnv::default(), &mut Memory::default()), Ok(0));
}

#[test]
fn forbidden_accesses() {
    let context = Program::new().then([Insn::store_imm(Size::B, R1, 0, 0), Insn::exit()]);
    let mut env = TestEnv::default();
    let trap = context.run_in(&[0; 8], &mut env, &mut Memory::default()).unwrap_err();
    assert_eq!(trap.fault, Fault::Forbidden { access: "write", kind: RegionKind::Context });

    let mut memory = Memory::default();
    let user = memory.alloc(RegionKind::User, vec![1; 8]);
    let direct = Program::new().set(R1, user).then([Insn::load(Size::B, R0, R1, 0), Insn::exit()]);
    let trap = direct.run_in(&[], &mut env, &mut memory).unwrap_err();
    assert_eq!(trap.fault, Fault::Forbidden { access: "read", kind: RegionKind::User });

    let pointer = Program::new().then([Insn::mov64_imm(R10, 0), Insn::exit()]);
    assert_eq!(pointer.fault(), Fault::FramePointer);
}

#[test]
fn control_that_leaves() {
    assert_eq!(Program::new().fault(), Fault::OutsideProgram);
    assert_eq!(Program::new().then([Insn::ja(-2)]).fault(), Fault::OutsideProgram);
    assert_eq!(Program::new().then([Insn::gotol(i32::MAX)]).fault(), Fault::OutsideProgram);
    assert_eq!(Program::new().then([Insn::call_rel(-3)]).fault(), Fault::OutsideProgram);
    assert_eq!(Program::new().then([Insn::ja(-1)]).fault(), Fault::StepLimit(1_000_000));
    assert_eq!(Program::new().then([Insn::call_rel(-1)]).fault(), Fault::CallDepth);
    let undefined = Insn { code: 0xff, ..Insn::default() };
    assert_eq!(Program::new().then([undefined]).fault(), Fault::Decode(Error::Undefined(undefined)));
    let half = Insn::ld_imm64(R0, Imm64::Value(1))[0];
    assert_eq!(Program::new().then([half]).fault(), Fault::Decode(Error::HalfLoad(half)));
}

#[test]
fn what_is_not_simulated_says_so() {
    assert_eq!(Program::new().then([Insn::call_helper(9)]).fault(), Fault::UnknownHelper(9));
    assert_eq!(Program::new().then([Insn::call_kfunc(8, 0)]).fault(), Fault::UnknownKfunc(8));
    let map = Program::new().then(Insn::ld_imm64(R1, Imm64::MapFd(3)));
    assert!(matches!(map.fault(), Fault::BadMap(_)));
}
