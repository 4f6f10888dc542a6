//! Jumps that are too long for their 16 bits.
//!
//! Where a function has any, landings stand between its instructions, near enough to one another: a jump that leads
//! the usual way past the landing, and behind it one jump for each target that something far away wants to reach.
//! Long ways go from landing to landing. Every kernel takes that; its own long jump (`gotol`) came with Linux 6.6.

use rustc_hash::FxHashMap;
use skep_isa::Insn;
use skep_isa::insn::opcode;

use super::emit::{Code, TooFar};

/// Instructions between landings.
const SPACING: usize = 12_000;

/// How far a jump goes without a landing. What is left of its 32,767 instructions is room for landings on its way.
const REACH: usize = 24_000;

/// A jump whose distance is not filled in yet, by the indices of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The jump.
    pub at: usize,
    /// Where to.
    pub to: usize,
}

/// Fills in the distances of all jumps, with landings where they are needed.
///
/// # Errors
/// [`TooFar`] when so many targets are far away that landings themselves take too much room.
pub fn resolve(code: &mut Code, jumps: &[Jump]) -> Result<(), TooFar> {
    if jumps.iter().all(|jump| distance(jump.at, jump.to).is_some()) {
        for jump in jumps {
            fill(&mut code.insns, jump.at, jump.to)?;
        }
        return Ok(());
    }
    let mut landings = landings(&code.insns, jumps);
    for jump in jumps {
        route(&mut landings, *jump);
    }
    let map = Moved::by(&landings);
    let onward: Vec<Jump> = landings
        .iter()
        .enumerate()
        .flat_map(|(number, landing)| {
            let (map, landings) = (&map, &landings);
            landing.targets.iter().enumerate().map(move |(slot, to)| Jump {
                at: map.slot(number, slot),
                to: map.next(landings, landing.at, *to),
            })
        })
        .collect();
    let direct: Vec<Jump> = jumps
        .iter()
        .map(|jump| Jump { at: map.index(jump.at), to: map.next(&landings, jump.at, jump.to) })
        .collect();
    insert(code, &landings, &map);
    for jump in direct.into_iter().chain(onward) {
        fill(&mut code.insns, jump.at, jump.to)?;
    }
    Ok(())
}

/// Jumps on towards what is far away, in front of an instruction.
struct Landing {
    at: usize,
    /// Whether the usual way comes by: not behind a jump that is always taken, where the kernel would complain about the
    /// jump past the landing as one that nothing reaches.
    passed: bool,
    targets: Vec<usize>,
    slots: FxHashMap<usize, usize>,
}

/// The places for landings. Nothing that belongs together is torn apart: the halves of a 64-bit constant, or a jump
/// that skips the instruction behind it.
fn landings(insns: &[Insn], jumps: &[Jump]) -> Vec<Landing> {
    let known: FxHashMap<usize, ()> = jumps.iter().map(|jump| (jump.at, ())).collect();
    let skips = |at: usize| {
        let insn = insns[at];
        matches!(insn.class(), opcode::JMP | opcode::JMP32) && insn.off != 0 && !known.contains_key(&at)
    };
    (1..insns.len() / SPACING + 1)
        .map(|number| {
            let mut at = number * SPACING;
            while at < insns.len() && (insns[at - 1].is_ld_imm64() || skips(at - 1)) {
                at += 1;
            }
            let passed = insns.get(at - 1).is_some_and(|before| !leaves(before));
            Landing { at, passed, targets: Vec::new(), slots: FxHashMap::default() }
        })
        .filter(|landing| landing.at < insns.len())
        .collect()
}

/// Whether the instruction behind this one is never the next.
fn leaves(insn: &Insn) -> bool {
    insn.code == opcode::JMP | opcode::JA || insn.code == opcode::JMP | opcode::EXIT
}

/// The landing that a way leads over next; `None` if it needs none.
fn over(landings: &[Landing], from: usize, to: usize) -> Option<usize> {
    if from.abs_diff(to) <= REACH {
        return None;
    }
    if to > from {
        landings.iter().rposition(|landing| landing.at > from && landing.at <= from + REACH)
    } else {
        landings.iter().position(|landing| landing.at < from && landing.at + REACH >= from)
    }
}

/// Notes a jump's target in all landings on its way.
fn route(landings: &mut [Landing], jump: Jump) {
    let mut from = jump.at;
    while let Some(number) = over(landings, from, jump.to) {
        let landing = &mut landings[number];
        let next = landing.targets.len();
        if *landing.slots.entry(jump.to).or_insert(next) != next {
            // Somebody came this way before.
            return;
        }
        landing.targets.push(jump.to);
        from = landing.at;
    }
}

/// Where instructions are once the landings are in place.
struct Moved {
    /// Of each landing: in front of which instruction it is, how many are in it and those before it, and whether its
    /// first one leads past it.
    landings: Vec<(usize, usize, bool)>,
}

impl Moved {
    fn by(landings: &[Landing]) -> Moved {
        let mut sum = 0;
        let sums = landings.iter().map(|landing| {
            sum += landing.size();
            (landing.at, sum, landing.passed)
        });
        Moved { landings: sums.collect() }
    }

    fn index(&self, old: usize) -> usize {
        let before = self.landings.partition_point(|(at, ..)| *at <= old);
        old + before.checked_sub(1).map_or(0, |last| self.landings[last].1)
    }

    /// Where the jump for a target of a landing is.
    fn slot(&self, number: usize, slot: usize) -> usize {
        let before = number.checked_sub(1).map_or(0, |last| self.landings[last].1);
        self.landings[number].0 + before + usize::from(self.landings[number].2) + slot
    }

    /// Where a jump to a target leads first.
    fn next(&self, landings: &[Landing], from: usize, to: usize) -> usize {
        match over(landings, from, to) {
            Some(number) => self.slot(number, landings[number].slots.get(&to).copied().unwrap_or(0)),
            None => self.index(to),
        }
    }
}

impl Landing {
    /// How many instructions it has.
    fn size(&self) -> usize {
        if self.targets.is_empty() { 0 } else { self.targets.len() + usize::from(self.passed) }
    }
}

fn insert(code: &mut Code, landings: &[Landing], map: &Moved) {
    let (insns, spans) = (std::mem::take(&mut code.insns), std::mem::take(&mut code.spans));
    let mut coming = landings.iter().peekable();
    for (at, (insn, span)) in insns.into_iter().zip(spans).enumerate() {
        if let Some(landing) = coming.next_if(|landing| landing.at == at) {
            let past = i16::try_from(landing.targets.len()).unwrap_or(i16::MAX);
            let jumps = (0..landing.size())
                .map(|number| Insn::ja(if number == 0 && landing.passed { past } else { 0 }));
            code.insns.extend(jumps);
            code.spans.extend(std::iter::repeat_n(span, landing.size()));
        }
        code.insns.push(insn);
        code.spans.push(span);
    }
    for reloc in &mut code.relocs {
        reloc.insn = map.index(reloc.insn as usize) as u32;
    }
    for link in &mut code.links {
        link.insn = map.index(link.insn);
    }
}

fn fill(insns: &mut [Insn], at: usize, to: usize) -> Result<(), TooFar> {
    insns[at].off = distance(at, to).ok_or(TooFar)?;
    Ok(())
}

fn distance(at: usize, to: usize) -> Option<i16> {
    i16::try_from(to as i64 - at as i64 - 1).ok()
}

#[cfg(test)]
mod tests {
    use skep_isa::{Imm64, Reg};
    use skep_ui::Span;

    use super::*;

    /// Instructions that tell where they were before: all that are not jumps.
    fn code(len: usize, jumps: &[Jump]) -> Code {
        let mut insns: Vec<Insn> = (0..len).map(|at| Insn::mov64_imm(Reg::R0, at as i32)).collect();
        for jump in jumps {
            insns[jump.at] = Insn::ja(0);
        }
        let spans = vec![Span::GENERATED; len];
        Code { insns, spans, ..Code::default() }
    }

    /// What comes after a jump, landings aside.
    fn arrives(code: &Code, mut at: usize) -> i32 {
        for _ in 0..1000 {
            let insn = code.insns[at];
            if insn.class() != opcode::JMP {
                return insn.imm;
            }
            at = (at as i64 + 1 + i64::from(insn.off)) as usize;
        }
        panic!("it goes in a circle");
    }

    #[test]
    fn long_ways_lead_where_short_ones_would() {
        let len = 150_000;
        let mut seed = 7u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        // Every 50th instruction jumps, to places that are no jumps.
        let jumps: Vec<Jump> = (0..len / 50)
            .map(|at| Jump { at: at * 50, to: random(len / 500) * 500 + 1 + random(49) })
            .collect();
        let mut code = code(len, &jumps);
        resolve(&mut code, &jumps).unwrap();
        // The instruction in front of each jump tells where the jump is now.
        let mut place = FxHashMap::default();
        for (at, insn) in code.insns.iter().enumerate() {
            if insn.class() != opcode::JMP {
                place.insert(insn.imm as usize, at);
            }
        }
        for jump in jumps.iter().skip(1) {
            let at = place[&(jump.at - 1)] + 1;
            assert_eq!(arrives(&code, at), jump.to as i32, "from {}", jump.at);
        }
        // The usual way passes all landings.
        assert_eq!(
            arrives(&code, place[&11_999] + 1),
            jumps.iter().find(|jump| jump.at == 12_000).unwrap().to as i32
        );
    }

    #[test]
    fn what_belongs_together_stays_together() {
        let jumps = [Jump { at: 0, to: 40_000 }];
        let mut code = code(40_001, &jumps);
        let pair = Insn::ld_imm64(Reg::R1, Imm64::Value(1));
        code.insns[23_999..24_001].copy_from_slice(&pair);
        code.insns[11_999] = Insn::ja(1);
        resolve(&mut code, &jumps).unwrap();
        let first = code.insns.iter().position(|insn| insn.is_ld_imm64()).unwrap();
        assert_eq!(code.insns[first..first + 2], pair);
        assert_eq!(code.insns[12_000].imm, 12_000);
        assert_eq!(arrives(&code, 0), 40_000);
    }

    #[test]
    fn behind_a_jump_nothing_leads_past_a_landing() {
        let jumps =
            [Jump { at: 0, to: 40_000 }, Jump { at: 11_999, to: 12_001 }, Jump { at: 23_999, to: 24_001 }];
        let mut code = code(40_001, &jumps);
        resolve(&mut code, &jumps).unwrap();
        assert_eq!(arrives(&code, 0), 40_000);
        for jump in &jumps[1..] {
            let at = code.insns.iter().position(|insn| insn.imm == jump.at as i32 - 1).unwrap() + 1;
            assert_eq!(arrives(&code, at), jump.to as i32);
        }
        // Every instruction is where some other one leads.
        let mut reached = vec![false; code.insns.len()];
        reached[0] = true;
        for (at, insn) in code.insns.iter().enumerate() {
            let jumps = insn.class() == opcode::JMP;
            let next = if jumps { (at as i64 + 1 + i64::from(insn.off)) as usize } else { at + 1 };
            if let Some(next) = reached.get_mut(next) {
                *next = true;
            }
        }
        // What stands behind the three jumps never was.
        assert_eq!(reached.iter().filter(|reached| !**reached).count(), 3);
    }

    #[test]
    fn short_ways_need_nothing() {
        let jumps = [Jump { at: 0, to: 32_768 }, Jump { at: 32_768, to: 1 }];
        let mut code = code(32_769, &jumps);
        resolve(&mut code, &jumps).unwrap();
        assert_eq!(
            (code.insns.len(), code.insns[0].off, code.insns[32_768].off),
            (32_769, i16::MAX, i16::MIN)
        );
    }
}
