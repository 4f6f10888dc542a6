//! Encoding and decoding held against each other and against fixed bytes.

use super::*;
use proptest::prelude::*;

/// Builds an instruction back from its meaning.
fn rebuild(insn: Insn, op: Op) -> Insn {
    match op {
        Op::Alu { width, op, dst, src } => Insn::alu(width, op, dst, src),
        Op::MovSx { width: Width::W64, from, dst, src } => Insn::movsx64(from, dst, src),
        Op::MovSx { width: Width::W32, from, dst, src } => Insn::movsx32(from, dst, src),
        Op::Neg { width: Width::W64, dst } => Insn::neg64(dst),
        Op::Neg { width: Width::W32, dst } => Insn::neg32(dst),
        Op::Endian { order, size, dst } => Insn::endian(order, size, dst),
        Op::AddrSpaceCast { dst, src, to, from } => {
            Insn::addr_space_cast(dst, src, u32::from(to) << 16 | u32::from(from))
        }
        Op::Load { size, signed: false, dst, base, off } => Insn::load(size, dst, base, off),
        Op::Load { size, signed: true, dst, base, off } => Insn::load_sx(size, dst, base, off),
        Op::LoadPacket { size, index: None, imm } => Insn::load_abs(size, imm),
        Op::LoadPacket { size, index: Some(index), imm } => Insn::load_ind(size, index, imm),
        Op::Store { size, base, off, src: Operand::Reg(src) } => Insn::store_reg(size, base, off, src),
        Op::Store { size, base, off, src: Operand::Imm(imm) } => Insn::store_imm(size, base, off, imm),
        Op::Atomic { size, op: AtomicOp::LoadAcquire, base, off, reg } => {
            Insn::atomic(size, AtomicOp::LoadAcquire, reg, off, base)
        }
        Op::Atomic { size, op, base, off, reg } => Insn::atomic(size, op, base, off, reg),
        // The two halves are checked on their own.
        Op::LoadImm64 { .. } => insn,
        Op::Jump { off } if insn.class() == opcode::JMP32 => Insn::gotol(off),
        Op::Jump { off } => Insn::ja(off as i16),
        Op::JumpIndirect { dst } => Insn::gotox(dst),
        Op::Branch { width, op, dst, src, off } => Insn::jmp(width, op, dst, src, off),
        Op::MayGoto { off } => Insn::may_goto(off),
        Op::CallHelper { id } => Insn::call_helper(id),
        Op::CallRel { imm } => Insn::call_rel(imm),
        Op::CallKfunc { btf_id, fd_idx } => Insn::call_kfunc(btf_id, fd_idx),
        Op::Exit => Insn::exit(),
    }
}

fn imm64() -> impl Strategy<Value = Imm64> {
    prop_oneof![
        any::<u64>().prop_map(Imm64::Value),
        any::<i32>().prop_map(Imm64::MapFd),
        any::<(i32, u32)>().prop_map(|(fd, off)| Imm64::MapValue { fd, off }),
        any::<(u32, i32)>().prop_map(|(id, btf_fd)| Imm64::BtfId { id, btf_fd }),
        any::<i32>().prop_map(Imm64::Func),
        any::<i32>().prop_map(Imm64::MapIdx),
        any::<(i32, u32)>().prop_map(|(idx, off)| Imm64::MapIdxValue { idx, off }),
    ]
}

proptest! {
    #[test]
    fn bytes_round_trip(bytes: [u8; 8]) {
        prop_assert_eq!(Insn::from_bytes(bytes).to_bytes(), bytes);
    }

    #[test]
    fn programs_round_trip(bytes: Vec<u8>) {
        match decode_all(&bytes) {
            Ok(insns) => prop_assert_eq!(encode_all(&insns), bytes),
            Err(error) => {
                prop_assert_ne!(bytes.len() % 8, 0);
                prop_assert_eq!(error, Error::Length(bytes.len()));
            }
        }
    }

    #[test]
    fn a_defined_instruction_is_built_back_from_its_meaning(
        code: u8,
        dst in 0..12_u8,
        src in 0..12_u8,
        off in prop_oneof![Just(0), Just(1), Just(8), Just(16), Just(32), any::<i16>()],
        imm in prop_oneof![Just(0), Just(16), Just(32), Just(64), 0..0x112, any::<i32>()],
    ) {
        let insn = Insn { code, dst, src, off, imm };
        match insn.kind() {
            Ok(op) => prop_assert_eq!(rebuild(insn, op), insn),
            Err(error) => prop_assert_eq!(error, Error::Undefined(insn)),
        }
    }

    #[test]
    fn wide_immediates_round_trip(dst in 0..=10_u8, imm in imm64()) {
        let dst = Reg::new(dst).unwrap();
        let [first, second] = Insn::ld_imm64(dst, imm);
        prop_assert_eq!(first.kind(), Ok(Op::LoadImm64 { dst }));
        prop_assert_eq!(Imm64::from_pair(first, Some(second)), Ok(imm));
        prop_assert_eq!(Imm64::from_pair(first, None), Err(Error::HalfLoad(first)));
        prop_assert_eq!(Imm64::from_pair(first, Some(Insn::exit())), Err(Error::HalfLoad(first)));
    }
}

/// Bytes worked out by hand from the tables of RFC 9669 and the UAPI header.
#[test]
fn fixed_encodings() {
    let hex = |insn: Insn| insn.to_bytes().map(|byte| format!("{byte:02x}")).join(" ");
    let cases = [
        (Insn::mov64_imm(Reg::R0, 0), "b7 00 00 00 00 00 00 00"),
        (Insn::alu64_reg(AluOp::Add, Reg::R1, Reg::R2), "0f 21 00 00 00 00 00 00"),
        (Insn::alu32_imm(AluOp::SDiv, Reg::R3, 7), "34 03 01 00 07 00 00 00"),
        (Insn::movsx64(Size::B, Reg::R4, Reg::R5), "bf 54 08 00 00 00 00 00"),
        (Insn::movsx32(Size::H, Reg::R4, Reg::R5), "bc 54 10 00 00 00 00 00"),
        (Insn::neg64(Reg::R6), "87 06 00 00 00 00 00 00"),
        (Insn::endian(Endian::Be, Size::H, Reg::R1), "dc 01 00 00 10 00 00 00"),
        (Insn::endian(Endian::Bswap, Size::DW, Reg::R1), "d7 01 00 00 40 00 00 00"),
        (Insn::load(Size::DW, Reg::R1, Reg::R10, -8), "79 a1 f8 ff 00 00 00 00"),
        (Insn::load_sx(Size::W, Reg::R1, Reg::R2, 4), "81 21 04 00 00 00 00 00"),
        (Insn::store_reg(Size::W, Reg::R10, -4, Reg::R1), "63 1a fc ff 00 00 00 00"),
        (Insn::store_imm(Size::B, Reg::R10, -1, -1), "72 0a ff ff ff ff ff ff"),
        (
            Insn::atomic(Size::DW, AtomicOp::Add { fetch: true }, Reg::R10, -8, Reg::R2),
            "db 2a f8 ff 01 00 00 00",
        ),
        (Insn::atomic(Size::W, AtomicOp::CmpXchg, Reg::R10, -8, Reg::R2), "c3 2a f8 ff f1 00 00 00"),
        (Insn::atomic(Size::H, AtomicOp::LoadAcquire, Reg::R0, 2, Reg::R1), "cb 10 02 00 00 01 00 00"),
        (Insn::atomic(Size::B, AtomicOp::StoreRelease, Reg::R1, 2, Reg::R0), "d3 01 02 00 10 01 00 00"),
        (Insn::jmp_imm(JmpOp::Ne, Reg::R0, 0, 2), "55 00 02 00 00 00 00 00"),
        (Insn::jmp32_reg(JmpOp::SLe, Reg::R1, Reg::R2, -3), "de 21 fd ff 00 00 00 00"),
        (Insn::ja(-1), "05 00 ff ff 00 00 00 00"),
        (Insn::gotol(100_000), "06 00 00 00 a0 86 01 00"),
        (Insn::may_goto(3), "e5 00 03 00 00 00 00 00"),
        (Insn::call_helper(14), "85 00 00 00 0e 00 00 00"),
        (Insn::call_rel(-2), "85 10 00 00 fe ff ff ff"),
        (Insn::call_kfunc(300, 1), "85 20 01 00 2c 01 00 00"),
        (Insn::exit(), "95 00 00 00 00 00 00 00"),
    ];
    for (insn, bytes) in cases {
        assert_eq!(hex(insn), bytes, "{insn:?}");
    }
    let [first, second] = Insn::ld_imm64(Reg::R1, Imm64::Value(0x1122_3344_5566_7788));
    assert_eq!(hex(first), "18 01 00 00 88 77 66 55");
    assert_eq!(hex(second), "00 00 00 00 44 33 22 11");
}

#[test]
fn undefined_encodings_are_refused() {
    let undefined = [
        Insn { code: 0x8d, ..Insn::default() },
        Insn { dst: 11, ..Insn::mov64_imm(Reg::R0, 0) },
        Insn { src: 1, ..Insn::mov64_imm(Reg::R0, 0) },
        Insn { off: 1, ..Insn::mov64_imm(Reg::R0, 0) },
        Insn { off: 32, ..Insn::mov32_reg(Reg::R0, Reg::R1) },
        Insn { off: 2, ..Insn::alu64_imm(AluOp::Div, Reg::R0, 3) },
        Insn { imm: 1, ..Insn::exit() },
        Insn { src: 7, ..Insn::ld_imm64(Reg::R0, Imm64::Value(0))[0] },
        Insn { src: 1, ..Insn::may_goto(1) },
        Insn::endian(Endian::Le, Size::B, Reg::R0),
        Insn::atomic(Size::H, AtomicOp::Xchg, Reg::R10, -2, Reg::R0),
        Insn::alu64_imm(AluOp::Div, Reg::R0, 0),
        Insn::alu32_imm(AluOp::Lsh, Reg::R0, 32),
        Insn::alu64_imm(AluOp::Rsh, Reg::R0, 64),
        Insn::default(),
    ];
    for insn in undefined {
        assert_eq!(insn.kind(), Err(Error::Undefined(insn)), "{insn:?}");
    }
}

#[test]
fn moves_of_full_size_are_plain() {
    assert_eq!(Insn::movsx64(Size::DW, Reg::R1, Reg::R2), Insn::mov64_reg(Reg::R1, Reg::R2));
    assert_eq!(Insn::movsx32(Size::W, Reg::R1, Reg::R2), Insn::mov32_reg(Reg::R1, Reg::R2));
    assert_eq!(Insn::load_sx(Size::DW, Reg::R1, Reg::R2, 8), Insn::load(Size::DW, Reg::R1, Reg::R2, 8));
}

#[test]
fn comparisons_negate_and_swap() {
    for op in JmpOp::ALL {
        assert_eq!(op.swap().swap(), op);
        assert_eq!(op.negate().and_then(JmpOp::negate), op.negate().map(|_| op));
    }
}

#[test]
fn walk_steps_over_second_slots() {
    let [first, second] = Insn::ld_imm64(Reg::R1, Imm64::Value(5));
    let program = [Insn::ja(0), first, second, Insn::exit(), first];
    let walked: Vec<_> = walk(&program).map(|(at, _, second)| (at, second.is_some())).collect();
    assert_eq!(walked, [(0, false), (1, true), (3, false), (4, false)]);
}
