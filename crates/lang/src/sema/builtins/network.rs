//! Addresses and the order of bytes.

use std::net::IpAddr;

use super::output::literal_text;
use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, Operation};
use crate::sema::check::{Checker, node};
use crate::sema::infer;
use crate::ty::{Shown, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "ntop",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(ntop),
        doc: "An IPv4 or IPv6 address as text: ntop([family,] address)",
    },
    Builtin {
        name: "pton",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(pton),
        doc: "The bytes of an address given as text",
    },
    Builtin {
        name: "macaddr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(macaddr),
        doc: "The hardware address at a pointer as text",
    },
    Builtin {
        name: "bswap",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(bswap),
        doc: "An integer with its bytes in reverse order",
    },
];

/// AF_INET and AF_INET6.
const FAMILIES: [u64; 2] = [2, 10];

fn ntop(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let (family, address) = match call.args {
        [address] => (None, address),
        [family, address] => (Some(checker.value(family)), address),
        _ => return checker.broken(call.span),
    };
    let address = checker.value(address);
    if let Some(family) = &family {
        match checker.types.kind(family.ty) {
            TyKind::Error => return checker.broken(call.span),
            TyKind::Int { .. } => {}
            _ => {
                let name = checker.type_name(family.ty);
                return checker.error(
                    call.span,
                    format!("ntop() expects an integer as its address family ({name} provided)"),
                );
            }
        }
    }
    let kind = checker.types.kind(address.ty).clone();
    let settled = infer::settle(&mut checker.types, address.ty);
    let size = checker.types.size(settled);
    let address = match kind {
        TyKind::Error => return address,
        TyKind::Int { .. } => checker.force(address, Ty::U32),
        TyKind::Array { .. } | TyKind::Str(_) | TyKind::Buf(_) if size == 4 || size == 16 => address,
        TyKind::Array { .. } | TyKind::Str(_) | TyKind::Buf(_) => {
            return checker.error(call.span, "ntop() argument must be 4 or 16 bytes in size");
        }
        _ => {
            let name = checker.type_name(address.ty);
            return checker
                .error(call.span, format!("ntop() expects an integer or array argument, got {name}"));
        }
    };
    let family = match family {
        Some(family) => checker.force(family, Ty::U64),
        None => node(ExprKind::Int(FAMILIES[usize::from(size == 16)]), Ty::U64, call.span),
    };
    let ty = checker.types.intern(TyKind::Shown(Shown::Address));
    node(ExprKind::Op { op: Operation::Address, args: vec![family, address] }, ty, call.span)
}

fn pton(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [text] = call.args else { return checker.broken(call.span) };
    let Some(text) = literal_text(checker, call, text) else { return checker.broken(call.span) };
    let text = String::from_utf8_lossy(&text).into_owned();
    let bytes = match text.parse() {
        Ok(IpAddr::V4(address)) => address.octets().to_vec(),
        Ok(IpAddr::V6(address)) => address.octets().to_vec(),
        Err(_) => {
            return checker.error(
                call.span,
                format!("pton() expects an string argument of an IPv4/IPv6 address, got {text}"),
            );
        }
    };
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let ty = checker.types.intern(TyKind::Array { elem: Ty::U8, len });
    node(ExprKind::Str(bytes), ty, call.span)
}

fn macaddr(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [place] = call.args else { return checker.broken(call.span) };
    let place = checker.value(place);
    let ty = checker.types.intern(TyKind::Shown(Shown::Mac));
    match checker.types.kind(place.ty) {
        TyKind::Error => place,
        TyKind::Int { .. } | TyKind::Ptr { .. } => {
            let pointer = super::text::as_pointer(checker, place);
            node(ExprKind::Read { pointer: Box::new(pointer), offset: 0, bits: None }, ty, call.span)
        }
        TyKind::Str(_) if matches!(place.kind, ExprKind::Str(_)) => {
            checker.error(call.span, "macaddr() does not support literal string arguments")
        }
        TyKind::Str(_) | TyKind::Array { .. } if checker.types.size(place.ty) >= checker.types.size(ty) => {
            node(ExprKind::Cast(Box::new(place)), ty, call.span)
        }
        TyKind::Str(_) | TyKind::Array { .. } => {
            checker.error(call.span, "macaddr() argument must be 6 bytes in size")
        }
        _ => {
            let name = checker.type_name(place.ty);
            checker.error(
                call.span,
                format!("macaddr() only supports array or pointer arguments ({name} provided)"),
            )
        }
    }
}

fn bswap(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [value] = call.args else { return checker.broken(call.span) };
    let value = checker.value(value);
    let ty = infer::settle(&mut checker.types, value.ty);
    let Some((bits, _)) = checker.types.as_int(ty).filter(|_| ty != Ty::BOOL) else {
        if value.ty == Ty::ERROR {
            return value;
        }
        let kind = match checker.types.kind(value.ty) {
            TyKind::Str(_) | TyKind::Probe => "string".to_owned(),
            _ => checker.type_name(value.ty),
        };
        return checker
            .error(call.span, format!("bswap() only supports integer arguments ({kind} provided)"));
    };
    // A negative number would be many set bits in a wider type.
    let ty = checker.types.int(bits, false);
    let value = checker.force(value, ty);
    match value.kind {
        _ if bits == 8 => Expr { span: call.span, ..value },
        ExprKind::Int(number) => {
            let swapped = number.swap_bytes() >> (64 - u32::from(bits));
            node(ExprKind::Int(swapped), ty, call.span)
        }
        _ => node(ExprKind::Op { op: Operation::ByteSwap, args: vec![value] }, ty, call.span),
    }
}
