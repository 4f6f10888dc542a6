//! Where the objects of a function live: on the stack, or in the program's scratch map.
//!
//! A BPF program and the functions that are active with it have 512 bytes of stack, which spilled registers need
//! too. Small objects go there first; the rest goes to the value of a map that has one for each CPU, of exactly
//! the size needed.

use rustc_hash::FxHashMap;

use super::lifetimes::Lifetime;
use crate::ir::{Func, Home, ObjectId, Op};

/// Bytes of stack a program has.
pub const STACK_SIZE: u32 = 512;

/// The largest value of a per-CPU map, a limit of the kernel's per-CPU allocator. What is larger becomes an entry for
/// each CPU of an ordinary array.
pub const SCRATCH_PER_CPU: u32 = 32 * 1024;

/// More than any script needs that is not built to need it.
pub const SCRATCH_LIMIT: u32 = 64 << 20;

/// Every object starts at a multiple of this. `legalize` counts on it.
const ALIGN: u32 = 8;

/// The place of every object.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    slots: Vec<Slot>,
    /// Bytes of stack taken, spilled registers not counted; a multiple of 8.
    pub stack_size: u32,
    /// Bytes of the scratch value up to the end of what this function has there.
    pub scratch_end: u32,
    /// Where on the stack the key for the lookup of the scratch value is.
    pub scratch_key: i16,
}

/// What a program's functions share of the scratch value, at its start.
#[derive(Clone, Debug, Default)]
pub struct Commons {
    offsets: FxHashMap<u32, u32>,
    /// Bytes taken.
    pub size: u32,
}

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// At this distance from the frame pointer; negative.
    Stack(i16),
    /// So many bytes into the scratch value.
    Scratch(u32),
    /// Nowhere: it has no use.
    Unused,
}

impl Commons {
    /// Places all that the functions of a program share.
    pub fn layout<'a>(funcs: impl Iterator<Item = &'a Func>) -> Commons {
        let mut commons = Commons::default();
        for func in funcs {
            let used = used(func);
            for (object, _) in func.objects.iter().zip(used).filter(|(_, used)| *used) {
                let Home::Common(number) = object.home else { continue };
                let size = &mut commons.size;
                commons.offsets.entry(number).or_insert_with(|| {
                    let offset = *size;
                    *size = offset.saturating_add(room(object.size));
                    offset
                });
            }
        }
        commons
    }
}

impl Frame {
    /// Places all objects of a function that are used, at most `budget` bytes of them on the stack where there is a
    /// choice. What goes to the scratch value starts at `scratch_start`; objects that are never in use at the same
    /// time share places there.
    pub fn layout(
        func: &Func,
        lifetimes: &[Option<Lifetime>],
        budget: u32,
        commons: &Commons,
        scratch_start: u32,
    ) -> Frame {
        let used = used(func);
        let mut by_size: Vec<usize> = (0..func.objects.len()).filter(|&at| used[at]).collect();
        by_size.sort_by_key(|&at| (func.objects[at].home != Home::Stack, func.objects[at].size));

        let mut to_stack = by_size.iter().map(|&at| &func.objects[at]);
        let all_fit = to_stack
            .try_fold(0u32, |sum, object| match object.home {
                Home::Stack => Some(sum + room(object.size)),
                Home::Any => sum.checked_add(room(object.size)).filter(|sum| *sum <= budget),
                Home::Scratch | Home::Common(_) => None,
            })
            .is_some();
        let mut frame = Frame {
            slots: vec![Slot::Unused; func.objects.len()],
            scratch_end: scratch_start,
            ..Frame::default()
        };
        if !all_fit {
            frame.scratch_key = frame.take_stack(4);
        }
        let mut in_scratch = Vec::new();
        for at in by_size {
            let object = &func.objects[at];
            let end = room(object.size).saturating_add(frame.stack_size);
            frame.slots[at] = match object.home {
                Home::Stack => Slot::Stack(frame.take_stack(object.size)),
                Home::Any if end <= budget => Slot::Stack(frame.take_stack(object.size)),
                Home::Common(number) => Slot::Scratch(commons.offsets.get(&number).copied().unwrap_or(0)),
                Home::Any | Home::Scratch => {
                    in_scratch.push(at);
                    continue;
                }
            };
        }
        in_scratch.sort_by_key(|&at| (lifetimes[at].map(|lifetime| lifetime.start), at));
        // The places that are taken where an object's life begins, by their offset: until when, from where, to where.
        let mut taken: Vec<(u32, u32, u32)> = Vec::new();
        for at in in_scratch {
            let whole = Lifetime { start: 0, end: u32::MAX };
            let Lifetime { start, end } = lifetimes[at].unwrap_or(whole);
            taken.retain(|(until, ..)| *until >= start);
            let size = room(func.objects[at].size);
            let mut from = scratch_start;
            let mut index = 0;
            for (_, other, to) in &taken {
                if other - from >= size {
                    break;
                }
                (from, index) = (*to, index + 1);
            }
            let to = from.saturating_add(size);
            taken.insert(index, (end, from, to));
            frame.scratch_end = frame.scratch_end.max(to);
            frame.slots[at] = Slot::Scratch(from);
        }
        frame
    }

    /// The place of an object.
    pub fn slot(&self, object: ObjectId) -> Slot {
        self.slots.get(object.0 as usize).copied().unwrap_or(Slot::Unused)
    }

    /// Whether any object is in the scratch value.
    pub fn needs_scratch(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Scratch(_)))
    }

    /// Whether a smaller budget would free stack.
    pub fn has_objects_on_stack(&self, func: &Func) -> bool {
        let objects = self.slots.iter().zip(&func.objects);
        objects.into_iter().any(|(slot, object)| matches!(slot, Slot::Stack(_)) && object.home == Home::Any)
    }

    /// The distance of a spill slot from the frame pointer: below all objects.
    pub fn spill(&self, index: usize) -> i16 {
        -((self.stack_size + 8 * (index as u32 + 1)) as i16)
    }

    fn take_stack(&mut self, size: u32) -> i16 {
        self.stack_size += room(size);
        // Near the budget at most, which is at most 512.
        -(self.stack_size as i16)
    }
}

fn used(func: &Func) -> Vec<bool> {
    let mut used = vec![false; func.objects.len()];
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        if let Op::ObjectAddr(object, _) = inst.op {
            used[object.0 as usize] = true;
        }
    }
    used
}

fn room(size: u32) -> u32 {
    size.checked_next_multiple_of(ALIGN).unwrap_or(u32::MAX)
}
