//! Two programs made one, for the links of the kernel that run a program both when a function is called and when it
//! returns (kprobe.session since Linux 6.10, uprobe.session since 6.13).
//!
//! The kernel tells the two moments apart by a function that programs call (`bpf_session_is_return`), and gives both
//! the same attach cookie. So the joined program first asks which moment it is, and a cookie holds the numbers of two
//! targets, each half of the program taking its own.

use skep_btf::ext::{FuncInfo, LineInfo};
use skep_isa::{AluOp, Insn, JmpOp, Op, Reg};
use skep_lang::hir::TargetId;

use crate::artifact::{Program, Reloc, RelocKind};

/// How the halves of a joined program learn which target they run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// It is always the same: that of the call and that of the return.
    Fixed(TargetId, TargetId),
    /// By the attach cookie; see [`cookie`].
    Paired,
}

/// The cookie of a place that a joined program is attached to.
pub fn cookie(entry: TargetId, exit: TargetId) -> u64 {
    u64::from(exit.0) << 32 | u64::from(entry.0)
}

/// The program that does what `entry` does when a function is called and what `exit` does when it returns. It has the
/// name and the targets of `entry`. `is_return` is the number of the type of `bpf_session_is_return`.
///
/// `None` if the programs are too long to be joined, or use cookies where they cannot be told apart.
pub fn join(entry: &Program, exit: &Program, is_return: u32, cookies: Cookies) -> Option<Program> {
    let halves = [Half::of(entry), Half::of(exit)];
    let [first, second] = &halves;
    let to_second = i16::try_from(first.len() + first.detours(cookies)).ok()?;
    let mut joined = Joined { program: Program { insns: vec![], spans: vec![], ..entry.clone() } };
    joined.program.relocs.clear();
    joined.program.func_info.clear();
    joined.program.line_info.clear();
    let program = &mut joined.program;
    program.insns.extend([
        Insn::mov64_reg(Reg::R6, Reg::R1),
        Insn::call_kfunc(is_return, 0),
        // The function returns a bool, of which only the lowest byte counts.
        Insn::alu64_imm(AluOp::And, Reg::R0, 0xff),
        Insn::mov64_reg(Reg::R1, Reg::R6),
        Insn::jmp_imm(JmpOp::Ne, Reg::R0, 0, to_second),
    ]);
    program.spans.resize(program.insns.len(), entry.span);
    let fixed = match cookies {
        Cookies::Fixed(entry, exit) => [Some(entry), Some(exit)],
        Cookies::Paired => [None, None],
    };
    // Where each half's own part begins, and where the functions that it calls begin.
    let mains = [first, second].map(|half| half.detours(cookies)).into_iter();
    let start = program.insns.len();
    let mut at = start;
    let mut main_starts = [0; 2];
    for ((half, detours), begin) in halves.iter().zip(mains).zip(&mut main_starts) {
        *begin = at;
        at += half.len() + detours;
    }
    let sub_starts = [at, at + first.subs()];
    joined.program.func_info.extend(entry.func_info.first());
    let upper = [false, true];
    for (((half, fixed), upper), (main, subs)) in
        halves.iter().zip(fixed).zip(upper).zip(main_starts.into_iter().zip(sub_starts))
    {
        joined.main(half, main, subs)?;
        joined.detours(half, main, fixed, upper)?;
    }
    for (half, subs) in halves.iter().zip(sub_starts) {
        joined.subs(half, subs);
    }
    // The kernel wants a line at the very start.
    if let Some(line) = joined.program.line_info.first_mut() {
        line.insn_off = 0;
    }
    Some(joined.program)
}

/// One of the programs.
struct Half<'a> {
    program: &'a Program,
    /// Where the functions begin that it calls.
    end: usize,
}

impl<'a> Half<'a> {
    fn of(program: &'a Program) -> Half<'a> {
        let end = program.func_info.get(1).map_or(program.insns.len(), |func| func.insn_off as usize);
        Half { program, end }
    }

    /// Instructions of its own part.
    fn len(&self) -> usize {
        self.end
    }

    /// Instructions of the functions that it calls.
    fn subs(&self) -> usize {
        self.program.insns.len().saturating_sub(self.end)
    }

    /// The calls for the cookie.
    fn cookie_calls(&self) -> impl Iterator<Item = Reloc> {
        self.program.relocs.iter().copied().filter(|reloc| reloc.kind == RelocKind::Cookie)
    }

    /// Instructions of what those calls become.
    fn detours(&self, cookies: Cookies) -> usize {
        if cookies == Cookies::Paired { self.cookie_calls().count() * DETOUR } else { 0 }
    }
}

/// Instructions that take the place of one: the call, the choice of a half, and the way back.
const DETOUR: usize = 3;

/// The joined program as it grows.
struct Joined {
    program: Program,
}

impl Joined {
    /// Adds a half's own part; what it calls will begin at `subs`.
    fn main(&mut self, half: &Half<'_>, start: usize, subs: usize) -> Option<()> {
        let moved = subs as i64 - half.end as i64 - start as i64;
        let mut second_half = false;
        for (insn, span) in half.program.insns.iter().zip(&half.program.spans).take(half.end) {
            let mut insn = *insn;
            if !std::mem::replace(&mut second_half, insn.is_ld_imm64()) && calls_function(&insn) {
                insn.imm = i32::try_from(i64::from(insn.imm) + moved).ok()?;
            }
            self.program.insns.push(insn);
            self.program.spans.push(*span);
        }
        self.records(half, 0..half.end, start as i64);
        Some(())
    }

    /// Sends the calls for the cookie behind the part that began at `start`, where there is room for more than one
    /// instruction; or puts the one target there is in their place.
    fn detours(&mut self, half: &Half<'_>, start: usize, fixed: Option<TargetId>, upper: bool) -> Option<()> {
        for reloc in half.cookie_calls() {
            let at = start + reloc.insn as usize;
            if reloc.insn as usize >= half.end {
                return None;
            }
            if let Some(target) = fixed {
                *self.program.insns.get_mut(at)? = Insn::mov64_imm(Reg::R0, i32::try_from(target.0).ok()?);
                continue;
            }
            let detour = self.program.insns.len();
            let call = *self.program.insns.get(at)?;
            let away = i16::try_from(detour - at - 1).ok()?;
            let back = -i16::try_from(detour + DETOUR - at - 1).ok()?;
            *self.program.insns.get_mut(at)? = Insn::ja(away);
            let choose = if upper {
                Insn::alu64_imm(AluOp::Rsh, Reg::R0, 32)
            } else {
                Insn::mov32_reg(Reg::R0, Reg::R0)
            };
            self.program.insns.extend([call, choose, Insn::ja(back)]);
            let span = *self.program.spans.get(at)?;
            self.program.spans.extend([span; DETOUR]);
        }
        Some(())
    }

    /// Adds the functions that a half calls.
    fn subs(&mut self, half: &Half<'_>, start: usize) {
        self.program.insns.extend(half.program.insns.iter().skip(half.end));
        self.program.spans.extend(half.program.spans.iter().skip(half.end));
        let end = half.program.insns.len();
        self.records(half, half.end..end, start as i64 - half.end as i64);
    }

    /// Moves what is said about a range of instructions.
    fn records(&mut self, half: &Half<'_>, range: std::ops::Range<usize>, by: i64) {
        let Program { relocs, func_info, line_info, .. } = half.program;
        let place = |at: u32| {
            let inside = range.contains(&(at as usize));
            inside.then(|| u32::try_from(i64::from(at) + by).ok()).flatten()
        };
        let others = relocs.iter().filter(|reloc| reloc.kind != RelocKind::Cookie);
        let moved = others.filter_map(|reloc| Some(Reloc { insn: place(reloc.insn)?, ..*reloc }));
        self.program.relocs.extend(moved);
        let lines = line_info.iter();
        let moved = lines.filter_map(|line| Some(LineInfo { insn_off: place(line.insn_off)?, ..*line }));
        self.program.line_info.extend(moved);
        if range.start > 0 {
            let funcs = func_info.iter();
            let moved = funcs.filter_map(|func| Some(FuncInfo { insn_off: place(func.insn_off)?, ..*func }));
            self.program.func_info.extend(moved);
        }
    }
}

/// Whether an instruction refers to a function by its distance.
fn calls_function(insn: &Insn) -> bool {
    match insn.kind() {
        Ok(Op::CallRel { .. }) => true,
        Ok(Op::LoadImm64 { .. }) => insn.src == skep_isa::insn::opcode::PSEUDO_FUNC,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use skep_btf::TypeId;
    use skep_isa::disasm::{self, NoNames};
    use skep_isa::{Imm64, Size};
    use skep_lang::hir::ProbeKind;
    use skep_ui::{FileId, Span};

    use super::*;

    /// A program that asks for its target, hands a function to the kernel, and calls another.
    fn program(number: i32, cookies: bool) -> Program {
        let mut insns = vec![Insn::call_helper(174)];
        insns.extend(Insn::ld_imm64(Reg::R2, Imm64::Func(5)));
        insns.extend([
            Insn::mov64_imm(Reg::R1, number),
            Insn::call_rel(4),
            Insn::mov64_imm(Reg::R0, 0),
            Insn::exit(),
            Insn::mov64_imm(Reg::R0, 10 + number),
            Insn::exit(),
            Insn::store_imm(Size::DW, Reg::R10, -8, 20 + number),
            Insn::exit(),
        ]);
        let line = |at| LineInfo { insn_off: at, file_name_off: 0, line_off: 0, line_col: number as u32 };
        let cookie = Reloc { insn: 0, kind: RelocKind::Cookie };
        Program {
            name: "p".into(),
            kind: ProbeKind::Kprobe,
            spans: vec![Span::new(FileId(0), 0, 1); insns.len()],
            insns,
            relocs: if cookies { vec![cookie] } else { vec![] },
            func_info: [0, 7, 9].map(|at| FuncInfo { insn_off: at, type_id: TypeId(at + 1) }).into(),
            line_info: [0, 4, 7, 9].map(line).into(),
            targets: vec![TargetId(0)],
            span: Span::new(FileId(0), 0, 1),
            lost_slot: 0,
        }
    }

    fn shown(program: &Program) -> String {
        let at = |places: Vec<u32>| format!("{places:?}");
        format!(
            "{}functions {} lines {}\n",
            disasm::dump(&program.insns, &NoNames),
            at(program.func_info.iter().map(|func| func.insn_off).collect()),
            at(program.line_info.iter().map(|line| line.insn_off).collect()),
        )
    }

    #[test]
    fn both_halves_find_their_functions_and_targets() {
        let joined = join(&program(1, true), &program(2, true), 77, Cookies::Paired).expect("they are short");
        insta::assert_snapshot!(shown(&joined));
        assert_eq!(cookie(TargetId(3), TargetId(5)), 5 << 32 | 3);
    }

    #[test]
    fn one_place_needs_no_cookie() {
        let cookies = Cookies::Fixed(TargetId(3), TargetId(5));
        let joined = join(&program(1, true), &program(2, true), 77, cookies).expect("they are short");
        insta::assert_snapshot!(shown(&joined));
    }

    #[test]
    fn programs_that_are_too_long_stay_apart() {
        let mut long = program(1, false);
        let insns = vec![Insn::mov64_imm(Reg::R0, 0); 40_000];
        long.spans = vec![long.span; insns.len()];
        long.insns = insns;
        long.func_info.truncate(1);
        let cookies = Cookies::Fixed(TargetId(3), TargetId(5));
        assert!(join(&long, &program(2, true), 77, cookies).is_none());
    }
}
