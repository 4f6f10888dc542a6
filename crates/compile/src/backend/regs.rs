//! Assigns registers and spill slots, by regalloc2.

use std::sync::LazyLock;

use regalloc2::checker::Checker;
use regalloc2::{
    Block, Function, Inst, InstRange, MachineEnv, Operand, Output, PRegSet, RegAllocError, RegClass,
    RegallocOptions, VReg,
};
use skep_isa::Reg;

use super::machine::{MFunc, MOp, preg};

/// r0 to r5 first: what does not live across a call needs no other. r10 is the frame pointer.
static ENV: LazyLock<MachineEnv> = LazyLock::new(|| {
    let set = |regs: &[Reg]| {
        let mut set = PRegSet::empty();
        regs.iter().for_each(|reg| set.add(preg(*reg)));
        [set, PRegSet::empty(), PRegSet::empty()]
    };
    MachineEnv {
        preferred_regs_by_class: set(&[Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5]),
        non_preferred_regs_by_class: set(&[Reg::R6, Reg::R7, Reg::R8, Reg::R9]),
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
});

/// Where every operand lives, and the moves between instructions. In debug builds the result is proved right.
///
/// # Errors
/// A text that tells what the allocator found wrong with the program: a mistake of selection.
pub fn allocate(func: &MFunc) -> Result<Output, String> {
    let options = RegallocOptions { validate_ssa: cfg!(debug_assertions), ..RegallocOptions::default() };
    let output = regalloc2::run(func, &ENV, &options).map_err(|error| describe(&error))?;
    if cfg!(debug_assertions) {
        let mut checker = Checker::new(func, &ENV);
        checker.prepare(&output);
        checker.run().map_err(|errors| format!("the allocation of registers is wrong: {errors:?}"))?;
    }
    Ok(output)
}

fn describe(error: &RegAllocError) -> String {
    format!("registers could not be allocated: {error}")
}

impl Function for MFunc {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        self.blocks[block.index()].range
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].succs
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].preds
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: Inst) -> bool {
        matches!(self.insts[inst.index()].op, MOp::Return)
    }

    fn is_branch(&self, inst: Inst) -> bool {
        self.insts[inst.index()].is_branch()
    }

    fn branch_blockparams(&self, block: Block, _: Inst, _: usize) -> &[VReg] {
        &self.blocks[block.index()].args
    }

    fn inst_operands(&self, inst: Inst) -> &[Operand] {
        &self.insts[inst.index()].operands
    }

    fn inst_clobbers(&self, inst: Inst) -> PRegSet {
        self.insts[inst.index()].clobbers
    }

    fn num_vregs(&self) -> usize {
        self.vregs
    }

    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}
