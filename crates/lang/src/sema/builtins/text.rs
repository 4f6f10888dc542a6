//! Texts and bytes out of memory: `str()` and `buf()`.

use super::context::is_record;
use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind};
use crate::sema::check::{Checker, node};
use crate::sema::options::Param;
use crate::sema::record::TextPointer;
use crate::syntax::ast;
use crate::ty::{Space, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "kptr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| pointer_to(checker, call, Space::Kernel)),
        doc: "The argument as an address of kernel memory",
    },
    Builtin {
        name: "uptr",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(|checker, call| pointer_to(checker, call, Space::User)),
        doc: "The argument as an address of user memory",
    },
    Builtin {
        name: "str",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(str_),
        doc: "The text at a pointer, at most the second argument's number of bytes",
    },
    Builtin {
        name: "buf",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(buf),
        doc: "As many bytes at a pointer, or of a text or array, as the second argument says",
    },
];

/// How long a result may be.
enum Length {
    /// As long as the settings allow.
    Default,
    /// So many bytes.
    Constant(u32),
    /// Known when the probe runs; a `uint64`.
    Dynamic(Expr),
}

fn str_(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [first, rest @ ..] = call.args else { return checker.broken(call.span) };
    let length = match rest.first() {
        None => Some(Length::Default),
        Some(length) => length_of(checker, call, length),
    };
    let Some(length) = length else { return checker.broken(call.span) };
    if is_record(first) {
        return record_text(checker, call, length);
    }
    if let Some(text) = param_text(checker, first) {
        if checker.options.portable && text.is_empty() {
            return checker.error_with_help(
                call.span,
                "A parameter that is a text is decided when the script is compiled",
                "Give it behind --aot FILE; numbers may be given when the script is run.",
            );
        }
        let text = checker.text(text, call.span);
        return shortened(checker, text, &length, call);
    }
    let value = checker.value(first);
    match checker.types.kind(value.ty) {
        TyKind::Error => value,
        TyKind::Str(_) => shortened(checker, value, &length, call),
        TyKind::Int { .. } if written_space(first).is_some() && checker.constant(&value).is_none() => {
            let pointer = pointer_in(checker, first, value);
            read(checker, pointer, length, call)
        }
        TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Ptr { .. } => read(checker, value, length, call),
        _ => {
            let name = checker.type_name(value.ty);
            checker.error(
                call.span,
                format!(
                    "str() expects a string, integer or a pointer type as first argument ({name} provided)"
                ),
            )
        }
    }
}

/// `str($1)`, also of a number, and `str($1 + n)`, which leaves out the first n characters.
fn param_text(checker: &Checker<'_>, expr: &ast::Expr) -> Option<String> {
    match &expr.peel_parens().kind {
        ast::ExprKind::Param(n) => Some(checker.options.param_text(*n).into()),
        ast::ExprKind::Binary { op: ast::BinaryOp::Add, lhs, rhs, .. } => {
            match (&lhs.peel_parens().kind, &rhs.peel_parens().kind) {
                (ast::ExprKind::Param(n), ast::ExprKind::Int(skip)) => match checker.options.param(*n) {
                    Param::Text(text) => {
                        let skip = usize::try_from(skip.value).unwrap_or(usize::MAX);
                        Some(text.chars().skip(skip).collect())
                    }
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// A text, cut to a length; a character that would be cut through is left out.
fn cut(text: &[u8], limit: usize) -> &[u8] {
    let cut = text.get(..limit).unwrap_or(text);
    match std::str::from_utf8(cut) {
        // What stands there is no text from here on, unless it becomes one with the bytes behind the cut.
        Err(error) if error.error_len().is_none() && cut.len() < text.len() => {
            cut.get(..error.valid_up_to()).unwrap_or(cut)
        }
        _ => cut,
    }
}

/// A text that is there already, cut to a length.
fn shortened(checker: &mut Checker<'_>, text: Expr, length: &Length, call: &Call<'_>) -> Expr {
    let limit = match length {
        Length::Default => return Expr { span: call.span, ..text },
        Length::Constant(limit) => *limit,
        Length::Dynamic(length) => {
            let ty = crate::sema::infer::settle(&mut checker.types, text.ty);
            let pointer = Box::new(checker.address(text, call.span));
            let length = Some(Box::new(length.clone()));
            return node(ExprKind::ReadStr { pointer, length }, ty, call.span);
        }
    };
    if let ExprKind::Str(text) = text.kind {
        return checker.text(cut(&text, limit as usize), call.span);
    }
    // Here the length counts the closing NUL, unlike in the length of a literal.
    if checker.types.size(text.ty) <= limit {
        return Expr { span: call.span, ..text };
    }
    let (kept, ty) = (checker.types.str(limit.max(1)), checker.types.str(limit.saturating_add(1)));
    let cut = node(ExprKind::Cast(Box::new(text)), kept, call.span);
    node(ExprKind::Cast(Box::new(cut)), ty, call.span)
}

/// The text at a pointer.
pub(super) fn at(checker: &mut Checker<'_>, pointer: Expr, call: &Call<'_>) -> Expr {
    read(checker, pointer, Length::Default, call)
}

/// A text in memory.
fn read(checker: &mut Checker<'_>, address: Expr, length: Length, call: &Call<'_>) -> Expr {
    // `str(0)` is the text of a number, which is what `str($1)` is with a number for `$1`.
    if let Some(value) = checker.constant(&address) {
        let text = checker.text(value.to_string(), call.span);
        return shortened(checker, text, &length, call);
    }
    let pointer = Box::new(as_pointer(checker, address));
    let longest = checker.config.text_capacity();
    // The length counts the closing NUL.
    let (capacity, length) = match length {
        Length::Constant(limit) => {
            (limit + 1, Some(Box::new(node(ExprKind::Int(u64::from(limit)), Ty::U64, call.span))))
        }
        Length::Default => (longest, None),
        Length::Dynamic(length) => (longest, Some(Box::new(length))),
    };
    let ty = checker.types.str(capacity);
    node(ExprKind::ReadStr { pointer, length }, ty, call.span)
}

/// `str(args)`: the only text that the record points to.
fn record_text(checker: &mut Checker<'_>, call: &Call<'_>, length: Length) -> Expr {
    let Some(text) = checker.unit_in_hand().shape.text.as_ref() else { return checker.broken(call.span) };
    match text {
        TextPointer::One(access) => {
            let pointer = checker.reached(*access, call.span);
            read(checker, pointer, length, call)
        }
        TextPointer::None | TextPointer::Several(_) => checker.text("", call.span),
    }
}

/// `kptr()` and `uptr()`. A number stays one: what reads memory there looks for the call that it came from, see
/// [`written_space`].
fn pointer_to(checker: &mut Checker<'_>, call: &Call<'_>, space: Space) -> Expr {
    let [address] = call.args else { return checker.broken(call.span) };
    let address = checker.value(address);
    match *checker.types.kind(address.ty) {
        TyKind::Error | TyKind::Int { .. } => Expr { span: call.span, ..address },
        TyKind::Ptr { .. } => {
            let ty = checker.types.in_space(address.ty, space);
            Expr { span: call.span, ..checker.force(address, ty) }
        }
        ref kind => {
            let kind = if matches!(kind, TyKind::Str(_)) {
                "string".to_owned()
            } else {
                checker.type_name(address.ty)
            };
            let problem =
                format!("{}() only supports integer or pointer arguments ({kind} provided)", call.name);
            checker.error(call.span, problem)
        }
    }
}

/// The memory that an address is of by `kptr()` or `uptr()` around it.
fn written_space(address: &ast::Expr) -> Option<Space> {
    match &address.peel_parens().kind {
        ast::ExprKind::Call { callee, .. } if callee.name == "kptr" => Some(Space::Kernel),
        ast::ExprKind::Call { callee, .. } if callee.name == "uptr" => Some(Space::User),
        ast::ExprKind::Binary { lhs, rhs, .. } => written_space(lhs).or_else(|| written_space(rhs)),
        _ => None,
    }
}

/// A number as a pointer to the memory that is meant where it stands.
fn pointer_in(checker: &mut Checker<'_>, written: &ast::Expr, address: Expr) -> Expr {
    match written_space(written) {
        Some(space) if !matches!(checker.types.kind(address.ty), TyKind::Ptr { .. }) => {
            let ty = checker.types.ptr(Ty::I8, space);
            let address = checker.widen_int(address);
            checker.force(address, ty)
        }
        _ => as_pointer(checker, address),
    }
}

pub(super) fn as_pointer(checker: &mut Checker<'_>, address: Expr) -> Expr {
    if matches!(checker.types.kind(address.ty), TyKind::Ptr { .. }) {
        return address;
    }
    let space = checker.default_space();
    let ty = checker.types.ptr(Ty::I8, space);
    let address = checker.widen_int(address);
    checker.force(address, ty)
}

/// The length argument; `None` after a complaint.
fn length_of(checker: &mut Checker<'_>, call: &Call<'_>, length: &ast::Expr) -> Option<Length> {
    let value = checker.value(length);
    if value.ty == Ty::ERROR {
        return None;
    }
    if let Some(constant) = checker.constant(&value) {
        if constant < 0 {
            checker
                .diagnostics
                .error(call.span, format!("{}() cannot use a negative length ({constant})", call.name));
            return None;
        }
        let max = checker.config.max_strlen;
        let limit = u32::try_from(constant).unwrap_or(u32::MAX);
        // The longest text needs room for its NUL too.
        if limit > max || limit == max && call.name == "str" {
            checker.diagnostics.warning(
                call.span,
                format!(
                    "length param ({constant}) is too long and will be shortened to {max} bytes (see BPFTRACE_MAX_STRLEN)"
                ),
            );
        }
        return Some(match limit {
            _ if limit <= max => Length::Constant(limit),
            _ if call.name == "str" => Length::Default,
            _ => Length::Constant(max),
        });
    }
    match checker.types.kind(value.ty) {
        TyKind::Int { .. } | TyKind::Enum(_) => Some(Length::Dynamic(checker.force(value, Ty::U64))),
        kind => {
            let kind = if matches!(kind, TyKind::Str(_)) {
                "string".to_owned()
            } else {
                checker.type_name(value.ty)
            };
            checker
                .diagnostics
                .error(call.span, format!("{}() only supports int arguments ({kind} provided)", call.name));
            None
        }
    }
}

fn buf(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [first, rest @ ..] = call.args else { return checker.broken(call.span) };
    let value = checker.value(first);
    let length = match rest.first() {
        None => Some(Length::Default),
        Some(length) => length_of(checker, call, length),
    };
    let Some(length) = length else { return checker.broken(call.span) };
    match checker.types.kind(value.ty) {
        TyKind::Error => return value,
        TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Ptr { .. } => {}
        TyKind::Str(_) | TyKind::Array { .. } => return bytes_of(checker, call, first, value, length),
        _ => {
            let name = checker.type_name(value.ty);
            return checker.error(
                call.span,
                format!("buf() expects an integer or a pointer type as first argument ({name} provided)"),
            );
        }
    }
    let max = checker.config.max_strlen;
    let (capacity, length) = match length {
        Length::Default => {
            return checker.error(call.span, "buf() expects a length argument for non-array type int");
        }
        Length::Constant(limit) => {
            (limit, Some(Box::new(node(ExprKind::Int(u64::from(limit)), Ty::U64, call.span))))
        }
        Length::Dynamic(length) => (max, Some(Box::new(length))),
    };
    let pointer = Box::new(pointer_in(checker, first, value));
    let ty = checker.types.intern(TyKind::Buf(capacity));
    node(ExprKind::ReadBuf { pointer, length }, ty, call.span)
}

/// `buf()` of a text or array that is there already.
fn bytes_of(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    written: &ast::Expr,
    mut value: Expr,
    length: Length,
) -> Expr {
    let size = checker.types.size(value.ty);
    let constant = |bytes: u32| node(ExprKind::Int(u64::from(bytes)), Ty::U64, call.span);
    let (capacity, length) = match length {
        Length::Default if matches!(checker.types.kind(value.ty), TyKind::Array { .. }) => {
            (size, constant(size))
        }
        Length::Default => {
            return checker.error(call.span, "buf() expects a length argument for non-array type string");
        }
        Length::Constant(limit) => (limit, constant(limit)),
        Length::Dynamic(length) => (size, length),
    };
    // A literal is all there, with what follows a NUL in it.
    if let ast::ExprKind::String(literal) = &written.peel_parens().kind {
        let text = literal.bytes.clone();
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
        value = node(ExprKind::Str(text), checker.types.str(size), value.span);
    }
    let ty = checker.types.intern(TyKind::Buf(capacity));
    node(ExprKind::Bytes { value: Box::new(value), length: Box::new(length) }, ty, call.span)
}
