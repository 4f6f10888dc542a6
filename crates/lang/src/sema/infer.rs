//! The lattice of types: how two types that meet in one place become one.
//!
//! While types are being inferred, a literal that is not negative has a type of its own, an
//! unsigned integer of 7, 15, 31 or 63 bits: it fits both the signed and the unsigned type of the
//! next size, and must not decide between them. [`settle`] turns these into the signed type at the
//! end, so none of them reaches the typed program. [`Ty::ERROR`] is the bottom of the lattice: not
//! known (yet), or already complained about.

use crate::ty::{Ty, TyKind, Types};

/// The type of a literal value while types are inferred.
pub fn literal(types: &mut Types, value: u64) -> Ty {
    match value {
        0..=0x7f => types.int(7, false),
        0x80..=0x7fff => types.int(15, false),
        0x8000..=0x7fff_ffff => types.int(31, false),
        0x8000_0000..=0x7fff_ffff_ffff_ffff => types.int(63, false),
        _ => Ty::U64,
    }
}

/// The type of a negative literal: the smallest that holds it.
pub fn negative_literal(value: i64) -> Ty {
    if i8::try_from(value).is_ok() {
        Ty::I8
    } else if i16::try_from(value).is_ok() {
        Ty::I16
    } else if i32::try_from(value).is_ok() {
        Ty::I32
    } else {
        Ty::I64
    }
}

/// Whether the type is that of literals which are not negative.
pub fn is_flexible(types: &Types, ty: Ty) -> bool {
    matches!(types.kind(ty), TyKind::Int { bits: 7 | 15 | 31 | 63, .. })
}

/// The type with all literal types replaced by the signed types they become.
pub fn settle(types: &mut Types, ty: Ty) -> Ty {
    match types.kind(ty) {
        TyKind::Int { bits: bits @ (7 | 15 | 31 | 63), .. } => {
            let bits = *bits + 1;
            types.int(bits, true)
        }
        TyKind::Tuple(elems) => {
            let elems = elems.clone();
            let settled: Vec<Ty> = elems.iter().map(|elem| settle(types, *elem)).collect();
            types.tuple(settled)
        }
        TyKind::Record(fields) => {
            let fields = fields.clone();
            let settled = fields.into_iter().map(|(name, ty)| (name, settle(types, ty))).collect();
            types.intern(TyKind::Record(settled))
        }
        _ => ty,
    }
}

/// The name of a type as messages spell it.
pub fn name(types: &mut Types, ty: Ty) -> String {
    let settled = settle(types, ty);
    types.name(settled)
}

/// The smallest type that holds the values of both, or `None` when they have nothing in common.
///
/// A 64-bit unsigned integer and a signed one meet in `int64`, which does not hold all values:
/// the conversion warns about it.
pub fn join(types: &mut Types, a: Ty, b: Ty) -> Option<Ty> {
    if a == b || b == Ty::ERROR {
        return Some(a);
    }
    if a == Ty::ERROR {
        return Some(b);
    }
    match (types.kind(a), types.kind(b)) {
        (TyKind::Int { bits: b1, signed: s1 }, TyKind::Int { bits: b2, signed: s2 }) => {
            let (bits, signed) = join_ints((*b1, *s1), (*b2, *s2));
            Some(types.int(bits, signed))
        }
        // A number loses its names when it meets another one.
        (TyKind::Enum(_), TyKind::Int { .. } | TyKind::Enum(_)) | (TyKind::Int { .. }, TyKind::Enum(_)) => {
            let (bits, signed) = join_ints(types.as_int(a)?, types.as_int(b)?);
            Some(types.int(bits, signed))
        }
        (TyKind::Ptr { to: x, space }, TyKind::Ptr { to: y, .. }) => {
            let (x, y, space) = (*x, *y, *space);
            // What a pointer points to may still grow, as variables do.
            let to = join(types, x, y)?;
            Some(types.ptr(to, space))
        }
        // Both name a function; see `ty::FUNC_MARK`.
        (TyKind::Func, TyKind::KernelSymbol) | (TyKind::KernelSymbol, TyKind::Func) => Some(Ty::KSYM),
        (TyKind::Struct { .. }, TyKind::Struct { .. }) => types.is_same_struct(a, b).then_some(a),
        (TyKind::Str(a), TyKind::Str(b)) => {
            let capacity = *a.max(b);
            Some(types.str(capacity))
        }
        (TyKind::Buf(a), TyKind::Buf(b)) => {
            let capacity = *a.max(b);
            Some(types.intern(TyKind::Buf(capacity)))
        }
        (TyKind::Tuple(x), TyKind::Tuple(y)) if x.len() == y.len() => {
            let pairs: Vec<(Ty, Ty)> = x.iter().copied().zip(y.iter().copied()).collect();
            let mut joined = Vec::with_capacity(pairs.len());
            for (x, y) in pairs {
                joined.push(join(types, x, y)?);
            }
            Some(types.tuple(joined))
        }
        (TyKind::Record(x), TyKind::Record(y)) if x.len() == y.len() => {
            let (x, y) = (x.clone(), y.clone());
            let mut joined = Vec::with_capacity(x.len());
            // The order of the first one counts.
            for (name, ty) in x {
                let (_, other) = y.iter().find(|(other, _)| *other == name)?;
                joined.push((name, join(types, ty, *other)?));
            }
            Some(types.intern(TyKind::Record(joined.into())))
        }
        _ => None,
    }
}

fn join_ints((b1, s1): (u8, bool), (b2, s2): (u8, bool)) -> (u8, bool) {
    match (s1, s2) {
        (true, true) => (b1.max(b2), true),
        (false, false) => {
            let both_literal = b1 % 2 == 1 && b2 % 2 == 1;
            if both_literal { (b1.max(b2), false) } else { (even(b1).max(even(b2)), false) }
        }
        (true, false) => (b1.max(signed_bits_for(b2)), true),
        (false, true) => (b2.max(signed_bits_for(b1)), true),
    }
}

/// Width of the signed type that holds an unsigned one, as far as there is one.
fn signed_bits_for(unsigned: u8) -> u8 {
    if unsigned % 2 == 1 { unsigned + 1 } else { (unsigned * 2).min(64) }
}

fn even(bits: u8) -> u8 {
    bits + bits % 2
}

/// Whether every value of the integer type `from` is one of `to`.
pub fn holds(types: &Types, to: Ty, from: Ty) -> bool {
    match (types.as_int(to), types.as_int(from)) {
        (Some((to, true)), Some((from, true))) | (Some((to, false)), Some((from, false))) => to >= from,
        (Some((to, true)), Some((from, false))) => to > from,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(a: fn(&mut Types) -> Ty, b: fn(&mut Types) -> Ty) -> String {
        let mut types = Types::default();
        let (a, b) = (a(&mut types), b(&mut types));
        let ab = join(&mut types, a, b);
        assert_eq!(ab, join(&mut types, b, a), "the order does not matter");
        ab.map_or("-".into(), |ty| name(&mut types, ty))
    }

    #[test]
    fn literals_fit_either_sign() {
        assert_eq!(joined(|t| literal(t, 5), |_| Ty::U64), "uint64");
        assert_eq!(joined(|t| literal(t, 5), |_| Ty::I8), "int8");
        assert_eq!(joined(|t| literal(t, 1000), |_| Ty::U8), "uint16");
        assert_eq!(joined(|t| literal(t, 1000), |_| Ty::I8), "int16");
        assert_eq!(joined(|t| literal(t, 1000), |t| literal(t, 1)), "int16");
    }

    #[test]
    fn mixed_signs_meet_in_the_next_signed_type() {
        assert_eq!(joined(|_| Ty::U8, |_| Ty::I8), "int16");
        assert_eq!(joined(|_| Ty::U32, |_| Ty::I8), "int64");
        assert_eq!(joined(|_| Ty::U64, |_| Ty::I8), "int64");
        assert_eq!(joined(|_| Ty::U16, |_| Ty::U32), "uint32");
    }

    #[test]
    fn texts_and_tuples_grow_and_the_rest_stays_apart() {
        assert_eq!(joined(|t| t.str(4), |t| t.str(16)), "string[16]");
        let a = |t: &mut Types| {
            let elems = [Ty::U64, literal(t, 1), t.str(2)];
            t.tuple(elems)
        };
        let b = |t: &mut Types| {
            let elems = [literal(t, 1), Ty::I8, t.str(9)];
            t.tuple(elems)
        };
        assert_eq!(joined(a, b), "(uint64,int8,string[9])");
        assert_eq!(joined(a, |t| t.tuple([Ty::U8])), "-");
        assert_eq!(joined(|_| Ty::BOOL, |_| Ty::U8), "-");
        assert_eq!(joined(|t| t.str(4), |_| Ty::U8), "-");
        assert_eq!(joined(|t| t.str(4), |_| Ty::ERROR), "string[4]");
    }
}
