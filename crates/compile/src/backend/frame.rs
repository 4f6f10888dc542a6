//! Where the objects of a program live: on the stack, or in the program's scratch map.
//!
//! A BPF program has 512 bytes of stack, which spilled registers need too. Small objects go there first; the
//! rest goes to the value of a per-CPU array of exactly the size needed.

use crate::ir::{Func, ObjectId, Op};

/// Bytes of stack a program has.
pub const STACK_SIZE: u32 = 512;

/// The largest value of a per-CPU map, a limit of the kernel's per-CPU allocator.
pub const SCRATCH_LIMIT: u32 = 32 * 1024;

/// Every object starts at a multiple of this. `legalize` counts on it.
const ALIGN: u32 = 8;

/// The place of every object.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    slots: Vec<Slot>,
    /// Bytes of stack taken, spilled registers not counted; a multiple of 8.
    pub stack_size: u32,
    /// Bytes of scratch map taken.
    pub scratch_size: u32,
    /// Where on the stack the key for the lookup of the scratch value is.
    pub scratch_key: i16,
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

impl Frame {
    /// Places all objects of a function that are used, at most `budget` bytes of them on the stack.
    pub fn layout(func: &Func, budget: u32) -> Frame {
        let mut used = vec![false; func.objects.len()];
        for inst in func.blocks.iter().flat_map(|block| &block.insts) {
            if let Op::ObjectAddr(object, _) = inst.op {
                used[object.0 as usize] = true;
            }
        }
        let mut by_size: Vec<usize> = (0..func.objects.len()).filter(|&at| used[at]).collect();
        by_size.sort_by_key(|&at| func.objects[at].size);

        let mut to_stack = by_size.iter().map(|&at| &func.objects[at]);
        let all_fit = to_stack
            .try_fold(0u32, |sum, object| {
                sum.checked_add(room(object.size)).filter(|sum| !object.in_scratch && *sum <= budget)
            })
            .is_some();
        let mut frame = Frame { slots: vec![Slot::Unused; func.objects.len()], ..Frame::default() };
        if !all_fit {
            frame.scratch_key = frame.take_stack(4);
        }
        for at in by_size {
            let object = &func.objects[at];
            let end = room(object.size).saturating_add(frame.stack_size);
            frame.slots[at] = if end <= budget && !object.in_scratch {
                Slot::Stack(frame.take_stack(object.size))
            } else {
                let start = frame.scratch_size;
                frame.scratch_size = start.saturating_add(room(object.size));
                Slot::Scratch(start)
            };
        }
        frame
    }

    /// The place of an object.
    pub fn slot(&self, object: ObjectId) -> Slot {
        self.slots.get(object.0 as usize).copied().unwrap_or(Slot::Unused)
    }

    /// Whether a smaller budget would free stack.
    pub fn has_objects_on_stack(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Stack(_)))
    }

    /// The distance of a spill slot from the frame pointer: below all objects.
    pub fn spill(&self, index: usize) -> i16 {
        -((self.stack_size + 8 * (index as u32 + 1)) as i16)
    }

    fn take_stack(&mut self, size: u32) -> i16 {
        self.stack_size += room(size);
        // Below the budget, which is at most 512.
        -(self.stack_size as i16)
    }
}

fn room(size: u32) -> u32 {
    size.checked_next_multiple_of(ALIGN).unwrap_or(u32::MAX)
}
