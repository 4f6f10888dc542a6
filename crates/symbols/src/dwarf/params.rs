//! Where a function finds its parameters when its first instruction runs.
//!
//! The calling convention of x86-64 (System V ABI, section 3.2.3) says so for all functions that others can call.
//! A compiler may change it for functions that it knows all callers of, and then writes down where they are.

use gimli::{AttributeValue, Operation, UnitRef};

use super::{Entry, Slice};

/// Where a parameter is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a register, by its name in `struct pt_regs`: `di`.
    Register(&'static str),
    /// In two registers, the lower half first.
    Pair(&'static str, &'static str),
    /// In memory, so many bytes above the stack pointer.
    Stack(u64),
    /// At an address that a register holds.
    Behind(&'static str),
    /// Where BPF programs cannot read: in a floating-point register, or nowhere any more.
    Unreadable(&'static str),
}

/// How a value of some type is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Not at all: `void`, an empty struct.
    None,
    /// In general registers, one or two of them.
    Integer {
        /// How many.
        registers: u8,
    },
    /// At least in part in floating-point registers.
    Float {
        /// How many general registers it takes beside.
        integer: u8,
        /// How many floating-point registers it takes.
        float: u8,
    },
    /// On the stack.
    Memory {
        /// Bytes.
        size: u64,
        /// Alignment in bytes: 8 or 16.
        align: u64,
    },
    /// As the address of a copy: what C++ cannot copy byte by byte.
    Reference,
}

const REGISTERS: [&str; 6] = ["di", "si", "dx", "cx", "r8", "r9"];
const FLOAT_REGISTERS: u8 = 8;
/// The return address lies below the arguments.
const FIRST_ON_STACK: u64 = 8;

/// Where the calling convention puts parameters of these classes in a function with a result of that one.
pub fn by_convention(result: Class, params: &[Class]) -> Vec<Place> {
    // Where a large result goes is the hidden first argument.
    let mut registers: &[&'static str] = match result {
        Class::Memory { .. } | Class::Reference => &REGISTERS[1..],
        _ => &REGISTERS,
    };
    let mut floats = FLOAT_REGISTERS;
    let mut stack = FIRST_ON_STACK;
    let mut on_stack = |size: u64, align: u64| {
        // The stack is aligned to 16 bytes above the return address.
        stack = (stack - FIRST_ON_STACK).next_multiple_of(align) + FIRST_ON_STACK;
        let at = stack;
        stack = stack.saturating_add(size.next_multiple_of(8));
        Place::Stack(at)
    };
    let mut places = Vec::with_capacity(params.len());
    for class in params {
        places.push(match *class {
            Class::None => Place::Unreadable("it takes no room"),
            Class::Integer { registers: wanted } => match (wanted, registers) {
                (2, [low, high, rest @ ..]) => {
                    registers = rest;
                    Place::Pair(low, high)
                }
                (1, [register, rest @ ..]) => {
                    registers = rest;
                    Place::Register(register)
                }
                _ => on_stack(u64::from(wanted) * 8, 8),
            },
            Class::Reference => match registers {
                [register, rest @ ..] => {
                    registers = rest;
                    Place::Behind(register)
                }
                [] => {
                    on_stack(8, 8);
                    Place::Unreadable("its address is on the stack")
                }
            },
            Class::Float { integer, float } => {
                if floats >= float && registers.len() >= usize::from(integer) {
                    floats -= float;
                    registers = &registers[usize::from(integer)..];
                    Place::Unreadable("it is in a floating-point register")
                } else {
                    on_stack(u64::from(integer + float) * 8, 8)
                }
            }
            Class::Memory { size, align } => on_stack(size, align),
        });
    }
    places
}

/// Where the compiler wrote down that a parameter is when the function is entered; `None` where it says nothing
/// that holds there, as in code that is not optimised.
pub(super) fn at_entry<'d>(unit: UnitRef<'_, Slice<'d>>, entry: &Entry<'d>, address: u64) -> Option<Place> {
    let value = entry.attr_value(gimli::DW_AT_location)?;
    let mut locations = unit.attr_locations(value).ok()??;
    while let Ok(Some(location)) = locations.next() {
        if (location.range.begin..location.range.end).contains(&address) {
            let mut operations = location.data.operations(unit.encoding());
            return match (operations.next(), operations.next()) {
                (Ok(Some(Operation::Register { register })), Ok(None)) => {
                    general(register.0).map(Place::Register)
                }
                _ => None,
            };
        }
    }
    None
}

/// Whether what is passed is the address of the parameter's value: what C++ cannot copy byte by byte. Compilers say
/// so by looking behind the place that they give.
pub(super) fn is_reference<'d>(unit: UnitRef<'_, Slice<'d>>, entry: &Entry<'d>) -> bool {
    let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location) else {
        return false;
    };
    let mut operations = expression.operations(unit.encoding());
    matches!(
        (operations.next(), operations.next(), operations.next()),
        (Ok(Some(Operation::FrameOffset { .. })), Ok(Some(Operation::Deref { .. })), Ok(None))
    )
}

/// The general register of a number of DWARF's.
fn general(number: u16) -> Option<&'static str> {
    const NAMES: [&str; 16] = [
        "ax", "dx", "cx", "bx", "si", "di", "bp", "sp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    ];
    NAMES.get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Class = Class::Integer { registers: 1 };
    const TWO: Class = Class::Integer { registers: 2 };
    const FLOAT: Class = Class::Float { integer: 0, float: 1 };

    #[test]
    fn registers_then_stack() {
        let places = by_convention(Class::None, &[ONE; 8]);
        assert_eq!(places[0], Place::Register("di"));
        assert_eq!(places[5], Place::Register("r9"));
        assert_eq!(places[6..], [Place::Stack(8), Place::Stack(16)]);
    }

    #[test]
    fn what_takes_other_room() {
        let large = Class::Memory { size: 24, align: 8 };
        assert_eq!(by_convention(large, &[ONE]), [Place::Register("si")]);
        assert_eq!(by_convention(ONE, &[FLOAT, ONE])[1], Place::Register("di"));
        assert_eq!(by_convention(ONE, &[large, ONE, ONE])[..2], [Place::Stack(8), Place::Register("di")]);
        // A pair that does not fit leaves the last register to those who come after it.
        let places = by_convention(ONE, &[ONE, ONE, ONE, ONE, ONE, TWO, ONE]);
        assert_eq!(places[5..], [Place::Stack(8), Place::Register("r9")]);
        assert_eq!(by_convention(ONE, &[TWO]), [Place::Pair("di", "si")]);
        let wide = Class::Memory { size: 16, align: 16 };
        let places = by_convention(ONE, &[ONE, ONE, ONE, ONE, ONE, ONE, ONE, wide]);
        assert_eq!(places[6..], [Place::Stack(8), Place::Stack(24)]);
    }
}
