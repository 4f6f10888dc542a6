//! Every form as the kernel prints it. The texts were compared with the verifier's log and with
//! `bpftool prog dump xlated` of the same instructions on Linux 6.18.

use super::*;
use crate::{AluOp, Endian, Imm64, JmpOp, Operand, Reg, Width};
use proptest::prelude::*;

const R1: Reg = Reg::R1;
const R2: Reg = Reg::R2;
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

#[test]
fn arithmetic() {
    let mut program = Vec::new();
    for width in WIDTHS {
        for op in AluOp::ALL {
            program.push(Insn::alu(width, op, R1, Operand::Imm(-5)));
            program.push(Insn::alu(width, op, R1, Operand::Reg(R2)));
        }
    }
    program.extend([Insn::neg32(R1), Insn::neg64(R1)]);
    program.extend([Size::B, Size::H].map(|from| Insn::movsx32(from, R1, R2)));
    program.extend([Size::B, Size::H, Size::W].map(|from| Insn::movsx64(from, R1, R2)));
    for order in [Endian::Le, Endian::Be, Endian::Bswap] {
        program.extend([Size::H, Size::W, Size::DW].map(|size| Insn::endian(order, size, R1)));
    }
    program.push(Insn::addr_space_cast(R1, R2, 0x1_0000));
    program.push(Insn { off: opcode::ADDR_PERCPU, ..Insn::mov64_reg(R1, R2) });
    insta::assert_snapshot!(dump(&program, &NoNames));
}

#[test]
fn memory() {
    let mut program = Vec::new();
    for size in SIZES {
        program.push(Insn::load(size, R1, R2, 16));
        program.push(Insn::load_sx(size, R1, R2, -16));
        program.push(Insn::store_reg(size, Reg::R10, -8, R1));
        program.push(Insn::store_imm(size, Reg::R10, -8, -1));
        program.push(Insn::load_abs(size, 12));
        program.push(Insn::load_ind(size, R2, 12));
        for op in AtomicOp::ALL.into_iter().filter(|op| op.allows(size)) {
            program.push(Insn::atomic(size, op, R1, 8, R2));
        }
    }
    program.push(Insn { code: opcode::ST | opcode::NOSPEC, ..Insn::default() });
    insta::assert_snapshot!(dump(&program, &NoNames));
}

#[test]
fn wide_immediates() {
    let imms = [
        Imm64::Value(0),
        Imm64::Value(0x1122_3344_5566_7788),
        Imm64::MapFd(5),
        Imm64::MapValue { fd: 5, off: 24 },
        Imm64::BtfId { id: 9, btf_fd: 0 },
        Imm64::Func(-3),
        Imm64::MapIdx(2),
        Imm64::MapIdxValue { idx: 2, off: 8 },
    ];
    let program: Vec<_> = imms.into_iter().flat_map(|imm| Insn::ld_imm64(R1, imm)).collect();
    insta::assert_snapshot!(dump(&program, &NoNames), @r"
       0: (18) r1 = 0x0
       2: (18) r1 = 0x1122334455667788
       4: (18) r1 = map[id:5]
       6: (18) r1 = map[id:5][0]+24
       8: (18) r1 = 0x9
      10: (18) r1 = subprog[-3]
      12: (18) r1 = 0x2
      14: (18) r1 = map[idx:2]+8
    ");
}

#[test]
fn jumps() {
    let mut program = Vec::new();
    for width in WIDTHS {
        for op in JmpOp::ALL {
            program.push(Insn::jmp(width, op, R1, Operand::Imm(-1), 2));
            program.push(Insn::jmp(width, op, R1, Operand::Reg(R2), -2));
        }
    }
    program.extend([
        Insn::ja(7),
        Insn::gotol(-70_000),
        Insn::gotox(R1),
        Insn::may_goto(3),
        Insn::call_helper(1),
        Insn::call_helper(0),
        Insn::call_helper(211),
        Insn::call_helper(269_488),
        Insn::call_rel(5),
        Insn::call_kfunc(300, 0),
        Insn::exit(),
    ]);
    insta::assert_snapshot!(dump(&program, &NoNames));
}

#[test]
fn undefined() {
    let insn = |code, off, imm| Insn { code, dst: 1, src: 2, off, imm };
    let program = [
        insn(0x00, 0, 0),
        insn(0x41, 0, 0),
        insn(0x42, 0, 0),
        insn(0xa3, 0, 0),
        insn(0xc3, 0, 7),
        insn(0xe7, 0, 3),
        insn(0xe5, 1, 0),
        insn(0xf6, 1, 3),
        insn(0x96, 1, 3),
        insn(0x99, 0, 0),
    ];
    insta::assert_snapshot!(dump(&program, &NoNames), @r"
       0: BUG_ld_00
       1: BUG_ldx_41
       2: BUG_st_42
       3: BUG_a3
       4: BUG_c3
       5: (e7) r1 (null) 3
       6: (e5) if r1 (null) 0x0 goto pc+1
       7: (f6) if w1 (null) 0x3 goto pc+1
       8: (96) if w1 exit 0x3 goto pc+1
       9: (99) r1 = *((null) *)(r2 +0)
    ");
}

#[test]
fn names_are_asked_for() {
    struct Known;

    impl Names for Known {
        fn call(&self, insn: &Insn) -> Option<String> {
            match insn.src {
                opcode::PSEUDO_CALL => Some(format!("{:+}#bpf_prog_1234_sub", insn.off)),
                _ => Some("bpf_ktime_get_ns".to_owned()),
            }
        }

        fn imm64(&self, first: &Insn, _second: &Insn) -> Option<String> {
            (first.src == opcode::PSEUDO_MAP_FD).then(|| "map[name:counts]".to_owned())
        }
    }

    let [first, second] = Insn::ld_imm64(R1, Imm64::MapFd(5));
    let [third, fourth] = Insn::ld_imm64(R1, Imm64::Value(5));
    let sub = Insn { off: 33, ..Insn::call_rel(1) };
    let program = [first, second, third, fourth, sub, Insn::call_helper(269_488), Insn::call_helper(5)];
    insta::assert_snapshot!(dump(&program, &Known), @r"
       0: (18) r1 = map[name:counts]
       2: (18) r1 = 0x5
       4: (85) call pc+33#bpf_prog_1234_sub
       5: (85) call bpf_ktime_get_ns#269488
       6: (85) call bpf_ktime_get_ns#5
    ");
}

#[test]
fn an_instruction_displays_itself() {
    assert_eq!(Insn::mov64_imm(R1, 7).to_string(), "(b7) r1 = 7");
    assert_eq!(format!("{:>14}", Insn::exit()), "     (95) exit");
}

proptest! {
    #[test]
    fn any_bytes_have_a_text(bytes in prop::collection::vec(any::<[u8; 8]>(), 0..20)) {
        let program: Vec<_> = bytes.into_iter().map(Insn::from_bytes).collect();
        for (at, text) in listing(&program, &NoNames) {
            prop_assert!(at < program.len());
            prop_assert!(!text.is_empty() && !text.contains('\n'));
        }
    }
}
