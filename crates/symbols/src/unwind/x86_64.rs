//! What call frame information of x86-64 speaks of: registers, and the expressions that its compilers and linkers write.
//!
//! Registers have the numbers of the System V ABI's "DWARF Register Number Mapping".

use gimli::{EndianSlice, LittleEndian, Operation};

/// The registers that a function has to leave as it finds them: rbx, rbp, r12 to r15. The stack pointer needs no saving.
pub const SAVED: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// The column of the return address.
pub const RETURN_ADDRESS: u16 = 16;

type Op<'d> = Operation<EndianSlice<'d, LittleEndian>>;

/// The register and offset at which memory holds the value of an expression: functions that align their stack keep
/// the address of their arguments there, and signals the interrupted stack pointer.
pub fn memory(operations: &[Op<'_>]) -> Option<(u16, i32)> {
    match operations {
        [
            Operation::RegisterOffset { register, offset, .. },
            Operation::Deref { size: 8, space: false, .. },
        ] => Some((register.0, i32::try_from(*offset).ok()?)),
        _ => None,
    }
}

/// The frame address in a procedure linkage table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plt {
    /// It is this register...
    pub register: u16,
    /// ...and so many bytes,
    pub offset: i32,
    /// and from this byte of an entry on
    pub pushed_from: u64,
    /// so many more.
    pub more: i32,
}

impl Plt {
    /// `register + offset + ((rip & 15) >= pushed_from) * more`
    pub fn read(operations: &[Op<'_>]) -> Option<Plt> {
        let [
            Operation::RegisterOffset { register, offset, .. },
            Operation::RegisterOffset { register: gimli::Register(RETURN_ADDRESS), offset: 0, .. },
            mask,
            Operation::And,
            from,
            Operation::Ge,
            shift,
            Operation::Shl,
            Operation::Plus,
        ] = operations
        else {
            return None;
        };
        let (mask, pushed_from, shift) = (constant(mask)?, constant(from)?, constant(shift)?);
        let more = 1i32.checked_shl(u32::try_from(shift).ok()?)?;
        let whole = mask == super::PLT_ENTRY - 1 && pushed_from < super::PLT_ENTRY;
        whole.then_some(Plt { register: register.0, offset: i32::try_from(*offset).ok()?, pushed_from, more })
    }
}

fn constant(operation: &Op<'_>) -> Option<u64> {
    match operation {
        Operation::UnsignedConstant { value } => Some(*value),
        Operation::SignedConstant { value } => u64::try_from(*value).ok(),
        _ => None,
    }
}
