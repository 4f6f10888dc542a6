//! Where members lie: sizes, alignments and offsets as the System V ABI of 64-bit machines has them.

use super::types::{CMember, CType, Composite, Id, Types};

/// Size and alignment in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Size.
    pub size: u64,
    /// Alignment, a power of two.
    pub align: u64,
}

/// Bit offsets of the members of a struct or union, and its size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// One for each member.
    pub offsets: Vec<u64>,
    /// Size and alignment of all of it.
    pub layout: Layout,
}

/// Structs nest less deeply than this.
const MAX_DEPTH: u32 = 64;

/// No type is larger than this, in bytes.
const MAX_SIZE: u64 = 1 << 28;

/// Size and alignment of a type. The error is what has none.
pub fn layout(types: &Types, id: Id) -> Result<Layout, String> {
    layout_within(types, id, 0)
}

fn layout_within(types: &Types, id: Id, depth: u32) -> Result<Layout, String> {
    if depth > MAX_DEPTH {
        return Err("a type that contains itself has no size".into());
    }
    let square = |size: u32| Layout { size: size.into(), align: size.max(1).into() };
    Ok(match types.get(id) {
        CType::Void | CType::Function { .. } => Layout { size: 1, align: 1 },
        CType::Base(base) => square(base.size),
        CType::Ptr(_) => square(8),
        CType::Array(of, len) => {
            let of = layout_within(types, *of, depth + 1)?;
            let size = of.size.checked_mul(u64::from(*len)).filter(|size| *size <= MAX_SIZE);
            Layout { size: size.ok_or("an array is too large")?, align: of.align }
        }
        CType::Composite(composite) => place_within(types, composite, depth)?.layout,
        CType::Enum(of) if of.values.is_none() && !of.name.is_empty() => square(4),
        CType::Enum(of) => square(of.shape().0),
        CType::Typedef(_, to) => layout_within(types, *to, depth + 1)?,
    })
}

/// Where the members of a struct or union lie. The error says what is missing.
pub fn place(types: &Types, composite: &Composite) -> Result<Placed, String> {
    place_within(types, composite, 0)
}

fn place_within(types: &Types, composite: &Composite, depth: u32) -> Result<Placed, String> {
    if let Some(placed) = &composite.placed {
        return Ok(placed.clone());
    }
    let Some(members) = &composite.members else {
        let keyword = if composite.is_union { "union" } else { "struct" };
        return Err(format!("{keyword} {} is declared, but not defined", composite.name));
    };
    // In bits from here on.
    let mut end: u64 = 0;
    let mut size: u64 = 0;
    let mut align: u64 = 1;
    let mut offsets = Vec::with_capacity(members.len());
    for member in members {
        if composite.is_union {
            end = 0;
        }
        let own = layout_within(types, member.ty, depth + 1)?;
        let member_align = alignment(composite, member, own.align);
        let offset = match member.bits {
            Some(0) => {
                // It only moves on to the next unit.
                end = end.next_multiple_of(own.align * 8);
                offsets.push(end);
                continue;
            }
            Some(bits) => {
                let unit = own.size * 8;
                let bits = u64::from(bits).min(unit);
                let packed = composite.packed || member.packed;
                // It may not cross the boundary of a unit of its type.
                let crosses = !packed && end / unit != (end + bits - 1) / unit;
                let offset = match (crosses, member.aligned) {
                    (true, _) => end.next_multiple_of(member_align * 8),
                    (false, Some(aligned)) => end.next_multiple_of(u64::from(aligned.max(1)) * 8),
                    (false, None) => end,
                };
                end = offset + bits;
                if !member.name.is_empty() || packed {
                    align = align.max(member_align);
                }
                offset
            }
            None => {
                let offset = end.next_multiple_of(member_align * 8);
                end = offset + own.size * 8;
                align = align.max(member_align);
                offset
            }
        };
        offsets.push(offset);
        size = size.max(end);
        if size > MAX_SIZE * 8 {
            return Err("it is too large".into());
        }
    }
    size = size.max(end);
    align = align.max(composite.aligned.unwrap_or(1).into());
    let layout = Layout { size: size.div_ceil(8).next_multiple_of(align), align };
    Ok(Placed { offsets, layout })
}

fn alignment(composite: &Composite, member: &CMember, natural: u64) -> u64 {
    let packed = composite.packed || member.packed;
    let mut align = if packed { 1 } else { natural };
    if let Some(pack) = composite.pack {
        align = align.min(pack.into());
    }
    align.max(member.aligned.unwrap_or(1).into())
}
