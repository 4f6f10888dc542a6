//! Where the compiler would put members, and what makes it put them where BTF says they are.

use super::{CDump, MAX_DEPTH};
use crate::error::Error;
use crate::format::TypeId;
use crate::layout::POINTER_SIZE;
use crate::types::{Composite, Type};

/// A hole before a member or at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    /// Bits where the member before ends.
    pub from: u32,
    /// Bits where the next begins.
    pub to: u32,
    /// Bytes to which the compiler aligns the next by itself.
    pub next_align: u32,
    /// Bitfields stand on both sides.
    pub in_bitfield: bool,
}

/// The types that padding is made of, with their bits.
const PADS: [(&str, u32); 4] = [("long", 64), ("int", 32), ("short", 16), ("char", 8)];

impl CDump<'_> {
    /// Bits that a value of the type takes; 0 for what has no values.
    pub(super) fn size_in_bits(&mut self, id: TypeId) -> Result<u32, Error> {
        if let Some(bits) = self.state(id)?.bits {
            return Ok(bits);
        }
        let bytes = self.btf.size_of(id).unwrap_or(0);
        let bits = u32::try_from(bytes.saturating_mul(8)).unwrap_or(u32::MAX);
        self.state(id)?.bits = Some(bits);
        Ok(bits)
    }

    /// Bytes to which a value of the type is aligned, 1 for packed structs; `None` for what has no values.
    pub(super) fn alignment(&mut self, id: TypeId, depth: usize) -> Result<Option<u32>, Error> {
        if let Some(known) = self.state(id)?.alignment {
            return Ok(known);
        }
        let alignment = self.find_alignment(id, depth)?;
        self.state(id)?.alignment = Some(alignment);
        Ok(alignment)
    }

    fn find_alignment(&mut self, id: TypeId, depth: usize) -> Result<Option<u32>, Error> {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            return Ok(match self.get(at)? {
                Type::Ptr { .. } => Some(POINTER_SIZE),
                Type::Int(of) => Some(of.size.min(POINTER_SIZE)),
                Type::Float { size, .. } => Some(size.min(POINTER_SIZE)),
                Type::Enum(of) => Some(of.size.min(POINTER_SIZE)),
                Type::Typedef { target, .. }
                | Type::Volatile { target }
                | Type::Const { target }
                | Type::Restrict { target }
                | Type::TypeTag { target, .. } => {
                    at = target;
                    continue;
                }
                Type::Array(array) => {
                    at = array.element;
                    continue;
                }
                Type::Struct(of) | Type::Union(of) => self.composite_alignment(at, of, depth)?,
                _ => None,
            });
        }
        Err(Error::TooDeep(id))
    }

    fn composite_alignment(
        &mut self,
        id: TypeId,
        of: Composite<'_>,
        depth: usize,
    ) -> Result<Option<u32>, Error> {
        if let Some(known) = self.state(id)?.alignment {
            return Ok(known);
        }
        self.step(id, depth)?;
        let mut most = 1;
        for member in of.members() {
            let Some(align) = self.alignment(member.ty, depth + 1)? else { return Ok(None) };
            most = most.max(align);
            if member.bitfield_size == 0 && !is_multiple(member.bit_offset, align) {
                most = 1;
                break;
            }
        }
        let align = if of.size.is_multiple_of(most.max(1)) { most } else { 1 };
        self.state(id)?.alignment = Some(Some(align));
        Ok(Some(align))
    }

    /// Whether a struct lies closer together than the compiler would put it.
    pub(super) fn is_packed(&mut self, of: Composite<'_>, depth: usize) -> Result<bool, Error> {
        let mut most = 1;
        for member in of.members() {
            let align = self.alignment(member.ty, depth + 1)?.unwrap_or(1).max(1);
            if member.bitfield_size == 0 && !is_multiple(member.bit_offset, align) {
                return Ok(true);
            }
            most = most.max(align);
        }
        Ok(!of.size.is_multiple_of(most))
    }

    /// Fills a hole that the compiler would not leave by itself.
    ///
    /// An unnamed bitfield of no bits moves what follows to the alignment of its type; where that is not enough,
    /// unnamed bitfields with bits fill the rest.
    pub(super) fn pad(&mut self, hole: Hole, level: usize) -> Result<(), Error> {
        let Hole { mut from, to, next_align, in_bitfield } = hole;
        if from >= to {
            return Ok(());
        }
        // The largest type whose boundary lies in the hole.
        let fitting = PADS.iter().find(|(_, bits)| from.next_multiple_of(*bits) <= to);
        let (mut name, mut bits) = *fitting.unwrap_or(&PADS[3]);
        let boundary = from.next_multiple_of(bits);
        if boundary > from && boundary <= to {
            let compiler_stops_earlier =
                boundary == to && from.next_multiple_of(8 * next_align.max(1)) != boundary;
            let rest_fits_before = boundary != to && to - boundary <= boundary - from;
            if in_bitfield || compiler_stops_earlier || rest_fits_before {
                let filled = if in_bitfield { boundary - from } else { 0 };
                self.padding(name, filled, level);
            }
            from = boundary;
        }
        while from < to {
            self.step(TypeId::VOID, 0)?;
            let missing = (to - from).min(bits);
            if missing != bits {
                let smallest = PADS.iter().rev().find(|(_, bits)| *bits >= missing);
                (name, bits) = *smallest.unwrap_or(&PADS[0]);
            }
            self.padding(name, missing, level);
            from += missing;
        }
        Ok(())
    }

    fn padding(&mut self, name: &str, bits: u32, level: usize) {
        self.line(level);
        self.out.push_str(name);
        self.out.push_str(": ");
        self.digits(bits);
        self.out.push(';');
    }
}

fn is_multiple(bit_offset: u32, align: u32) -> bool {
    align == 0 || bit_offset.is_multiple_of(align.saturating_mul(8))
}
