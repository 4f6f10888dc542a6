//! Operators: the types they take and give, and constants folded.

use std::collections::BTreeMap;

use skep_ui::{Diagnostic, Span};

use super::{Checker, node};
use crate::hir::{self, CompareOp, Expr, ExprKind};
use crate::sema::infer;
use crate::sema::uses::{self, Name};
use crate::syntax::ast::{self, BinaryOp, UnaryOp};
use crate::ty::{Ty, TyKind};

/// With the names of so many probes a text is compared.
const MOST_NAMES: usize = 64;

impl Checker<'_> {
    /// `a + b` and all others.
    pub fn binary(&mut self, op: BinaryOp, lhs: &ast::Expr, rhs: &ast::Expr, span: Span) -> Expr {
        if matches!(op, BinaryOp::Eq | BinaryOp::Ne)
            && let Some(decided) = self.name_compared(op, lhs, rhs, span)
        {
            return decided;
        }
        let lhs = self.operand(lhs);
        let rhs = self.operand(rhs);
        self.binary_of(op, lhs, rhs, span)
    }

    /// A binary operator on checked operands.
    pub fn binary_of(&mut self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        if lhs.ty == Ty::ERROR || rhs.ty == Ty::ERROR {
            return self.broken(span);
        }
        match op {
            BinaryOp::And | BinaryOp::Or => self.logic(op, lhs, rhs, span),
            _ if is_comparison(op) => self.compare(op, lhs, rhs, span),
            _ => self.arithmetic(op, lhs, rhs, span),
        }
    }

    /// `probe == "text"`: decided for each unit.
    fn name_compared(&mut self, op: BinaryOp, lhs: &ast::Expr, rhs: &ast::Expr, span: Span) -> Option<Expr> {
        let (name, other) = match (Name::of(lhs), Name::of(rhs)) {
            (Some(name), None) => (name, rhs),
            (None, Some(name)) => (name, lhs),
            _ => return None,
        };
        let text = uses::constant_text(other, self.options)?;
        if name == Name::Func && !self.unit_in_hand().provider.offers.function {
            return None;
        }
        let equal = self.unit_in_hand().shape.is_named(name, &text);
        Some(self.boolean(equal == (op == BinaryOp::Eq), span))
    }

    fn logic(&mut self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        let (left, right) = (self.is_condition(lhs.ty), self.is_condition(rhs.ty));
        if !left || !right {
            return self.mismatch(op, &lhs, &rhs, span);
        }
        let or = op == BinaryOp::Or;
        let lhs = self.condition(lhs, span);
        let rhs = self.condition(rhs, span);
        if let (ExprKind::Int(a), ExprKind::Int(b)) = (&lhs.kind, &rhs.kind) {
            let value = if or { *a != 0 || *b != 0 } else { *a != 0 && *b != 0 };
            return self.boolean(value, span);
        }
        node(ExprKind::Logic { or, lhs: Box::new(lhs), rhs: Box::new(rhs) }, Ty::BOOL, span)
    }

    fn is_condition(&self, ty: Ty) -> bool {
        matches!(
            self.types.kind(ty),
            TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Ptr { .. }
        )
    }

    fn compare(&mut self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        let Some(compare) = compare_op(op) else { return self.broken(span) };
        if let (Some(a), Some(b)) = (self.constant(&lhs), self.constant(&rhs)) {
            return self.boolean(holds(compare, a.cmp(&b)), span);
        }
        if let (ExprKind::Str(a), ExprKind::Str(b)) = (&lhs.kind, &rhs.kind) {
            return self.boolean(holds(compare, a.cmp(b)), span);
        }
        let ordered = !matches!(compare, CompareOp::Eq | CompareOp::Ne);
        let as_numbers = |kind: &TyKind| {
            matches!(kind, TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Ptr { .. })
        };
        let (left, right) = (self.types.kind(lhs.ty), self.types.kind(rhs.ty));
        let (lhs, rhs) = match (left, right) {
            (TyKind::Int { .. } | TyKind::Enum(_), TyKind::Int { .. } | TyKind::Enum(_)) => {
                self.in_common(lhs, rhs)
            }
            (TyKind::Bool, TyKind::Bool) => (lhs, rhs),
            (TyKind::Ptr { to: a, .. }, TyKind::Ptr { to: b, .. }) => {
                let (a, b) = (*a, *b);
                self.warn_distinct_pointers(a, b, &lhs, &rhs, span);
                (self.force(lhs, Ty::U64), self.force(rhs, Ty::U64))
            }
            (a, b) if as_numbers(a) && as_numbers(b) => (self.force(lhs, Ty::U64), self.force(rhs, Ty::U64)),
            (TyKind::Array { elem: a, len: m }, TyKind::Array { elem: b, len: n }) => {
                let numbers = [a, b].iter().all(|elem| self.types.as_int(**elem).is_some());
                if ordered {
                    let message = format!("The {} operator cannot be used on arrays.", op.symbol());
                    return self.error(span, message);
                }
                if m != n {
                    return self.error(span, "Only arrays of same size support comparison operators.");
                }
                if !numbers || self.types.size(*a) != self.types.size(*b) {
                    return self
                        .error(span, "Only arrays of same sized integer support comparison operators.");
                }
                (lhs, rhs)
            }
            (TyKind::Struct { .. }, TyKind::Struct { .. })
                if !ordered && self.types.is_same_struct(lhs.ty, rhs.ty) =>
            {
                (lhs, rhs)
            }
            (TyKind::Str(_), TyKind::Str(_)) if !ordered => (lhs, rhs),
            (TyKind::Tuple(_), TyKind::Tuple(_)) | (TyKind::Record(_), TyKind::Record(_)) => {
                let (left, right) = (lhs.ty, rhs.ty);
                let Some(joined) = infer::join(&mut self.types, left, right) else {
                    return self.mismatch(op, &lhs, &rhs, span);
                };
                if ordered {
                    return self.not_for(op, &lhs, &rhs, span);
                }
                match (self.convert(lhs.clone(), joined), self.convert(rhs.clone(), joined)) {
                    (Some(left), Some(right)) => (left, right),
                    _ => return self.mismatch(op, &lhs, &rhs, span),
                }
            }
            (TyKind::Probe, TyKind::Probe) | (TyKind::Func, TyKind::Func) if !ordered => (lhs, rhs),
            (TyKind::Stack(a), TyKind::Stack(b)) if a == b && !ordered => (lhs, rhs),
            (TyKind::KernelSymbol, TyKind::KernelSymbol) | (TyKind::UserSymbol, TyKind::UserSymbol)
                if !ordered =>
            {
                (lhs, rhs)
            }
            (a @ (TyKind::Stack(_) | TyKind::KernelSymbol | TyKind::UserSymbol), b) if a == b => {
                return self.not_for(op, &lhs, &rhs, span);
            }
            (TyKind::Probe, TyKind::Str(_)) if !ordered || both_known(&lhs, &rhs) => {
                return self.is_probe_named(compare, lhs, rhs, span);
            }
            (TyKind::Str(_), TyKind::Probe) if !ordered || both_known(&rhs, &lhs) => {
                return self.is_probe_named(mirrored(compare), rhs, lhs, span);
            }
            (TyKind::Str(_) | TyKind::Probe, TyKind::Str(_) | TyKind::Probe) => {
                return self.not_for(op, &lhs, &rhs, span);
            }
            (TyKind::Buf(_), TyKind::Buf(_)) if !ordered => (lhs, rhs),
            _ => return self.mismatch(op, &lhs, &rhs, span),
        };
        node(ExprKind::Compare { op: compare, lhs: Box::new(lhs), rhs: Box::new(rhs) }, Ty::BOOL, span)
    }

    /// Whether a probe has a name, or one that comes before or after a literal. To the kernel a probe is a number, so
    /// the text is compared with the names there are.
    fn is_probe_named(&mut self, op: CompareOp, probe: Expr, text: Expr, span: Span) -> Expr {
        let own = matches!(probe.kind, ExprKind::Probe);
        let candidates: Vec<hir::TargetId> = match own {
            true => self.unit_in_hand().targets.clone(),
            false => {
                (0..self.targets.len()).filter_map(|at| u32::try_from(at).ok()).map(hir::TargetId).collect()
            }
        };
        let names = candidates
            .into_iter()
            .filter_map(|id| Some((id.identity(self.targets).0, &self.targets.get(id.0 as usize)?.name)));
        let names: BTreeMap<u32, &String> = match &text.kind {
            ExprKind::Str(wanted) => {
                names.filter(|(_, name)| is_in_order(op, name.as_bytes(), wanted)).collect()
            }
            _ => names.collect(),
        };
        if names.len() > MOST_NAMES {
            let problem = format!("A text cannot be compared with the names of {} probes", names.len());
            return self.error_with_help(
                span,
                &problem,
                "Compare probe with a literal, as in probe == \"begin\"",
            );
        }
        let literal = matches!(text.kind, ExprKind::Str(_));
        let alone = own && self.unit_in_hand().targets.len() == 1;
        let (keep_probe, probe) = self.kept(probe);
        let (keep_text, text) = self.kept(text);
        let equal = |lhs: &Expr, rhs: Expr| {
            let (lhs, rhs) = (Box::new(lhs.clone()), Box::new(rhs));
            node(ExprKind::Compare { op: CompareOp::Eq, lhs, rhs }, Ty::BOOL, span)
        };
        let both = |or: bool, lhs: Expr, rhs: Expr| {
            node(ExprKind::Logic { or, lhs: Box::new(lhs), rhs: Box::new(rhs) }, Ty::BOOL, span)
        };
        let mut any: Option<Expr> = None;
        for (id, name) in names {
            let is_text = match literal {
                true => self.boolean(true, span),
                false => equal(&text, self.text(name.as_bytes().to_vec(), span)),
            };
            let is_probe = equal(&probe, node(ExprKind::Int(id.into()), Ty::PROBE, span));
            let this = match (alone, literal) {
                (true, _) => is_text,
                (false, true) => is_probe,
                (false, false) => both(false, is_probe, is_text),
            };
            any = Some(match any {
                Some(any) => both(true, any, this),
                None => this,
            });
        }
        let any = any.unwrap_or_else(|| self.boolean(false, span));
        let value = match op {
            CompareOp::Ne => node(ExprKind::Not(Box::new(any)), Ty::BOOL, span),
            _ => any,
        };
        let body = hir::Block { stmts: vec![keep_probe, keep_text] };
        node(ExprKind::Block { body, value: Box::new(value) }, Ty::BOOL, span)
    }

    /// Warns about a comparison of pointers to different things.
    fn warn_distinct_pointers(&mut self, a: Ty, b: Ty, lhs: &Expr, rhs: &Expr, span: Span) {
        let (whole_a, whole_b) = (infer::settle(&mut self.types, a), infer::settle(&mut self.types, b));
        let numbers = self.types.as_int(whole_a).is_some() && self.types.as_int(whole_b).is_some();
        let same = match numbers {
            true => self.types.as_int(whole_a) == self.types.as_int(whole_b),
            false => infer::join(&mut self.types, lhs.ty, rhs.ty).is_some(),
        };
        if same || a == Ty::VOID || b == Ty::VOID {
            return;
        }
        let (a, b) = (self.type_name(a), self.type_name(b));
        self.diagnostics.push(
            Diagnostic::warning(span, format!("comparison of distinct pointer types: {a}, {b}"))
                .note(lhs.span, format!("left ({a})"))
                .note(rhs.span, format!("right ({b})")),
        );
    }

    /// Two integers in the smallest type that holds both.
    fn in_common(&mut self, lhs: Expr, rhs: Expr) -> (Expr, Expr) {
        let joined = infer::join(&mut self.types, lhs.ty, rhs.ty).unwrap_or(Ty::I64);
        (self.convert_or_force(lhs, joined), self.convert_or_force(rhs, joined))
    }

    /// A literal above the largest `int64` keeps its bits: nothing signed is near it.
    fn convert_or_force(&mut self, expr: Expr, to: Ty) -> Expr {
        let to = infer::settle(&mut self.types, to);
        match self.convert(expr.clone(), to) {
            Some(converted) => converted,
            None => self.force(expr, to),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        let Some(hir_op) = binary_op(op) else { return self.broken(span) };
        if let (Some(a), Some(b)) = (self.constant(&lhs), self.constant(&rhs)) {
            let folded = fold(op, a, b).and_then(|value| self.folded(value, span));
            return match folded {
                Some(folded) => folded,
                None => self.error(span, "unable to fold literals due to overflow or underflow"),
            };
        }
        if let (ExprKind::Str(a), ExprKind::Str(b), BinaryOp::Add) = (&lhs.kind, &rhs.kind, op) {
            let joined = [a.as_slice(), b].concat();
            return self.text(joined, span);
        }
        if let (BinaryOp::Add, Some((text, skipped))) = (op, self.literal_moved(&lhs, &rhs)) {
            if skipped >= text.len() {
                self.diagnostics.warning(span, "literal string will always be empty");
            }
            return self.text(text.get(skipped..).unwrap_or_default().to_vec(), span);
        }
        match (self.types.kind(lhs.ty), self.types.kind(rhs.ty)) {
            (
                TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool,
                TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool,
            ) => {}
            (TyKind::Ptr { .. }, TyKind::Int { .. } | TyKind::Enum(_))
                if matches!(op, BinaryOp::Add | BinaryOp::Sub) =>
            {
                return self.moved_pointer(hir_op, lhs, rhs, span);
            }
            (TyKind::Int { .. } | TyKind::Enum(_), TyKind::Ptr { .. }) if op == BinaryOp::Add => {
                return self.moved_pointer(hir_op, rhs, lhs, span);
            }
            (TyKind::Ptr { .. }, TyKind::Int { .. } | TyKind::Enum(_))
            | (TyKind::Int { .. } | TyKind::Enum(_), TyKind::Ptr { .. }) => {
                return self.not_for(op, &lhs, &rhs, span);
            }
            (TyKind::Str(_), TyKind::Str(_)) => return self.not_for(op, &lhs, &rhs, span),
            (a, b) if a == b => return self.not_for(op, &lhs, &rhs, span),
            _ => return self.mismatch(op, &lhs, &rhs, span),
        }
        // Of two booleans the result is one again: whether the number is not zero.
        let booleans = lhs.ty == Ty::BOOL && rhs.ty == Ty::BOOL;
        let result = self.arithmetic_type(op, lhs.ty, rhs.ty);
        let lhs = self.convert_number(lhs, result);
        let rhs = self.convert_number(rhs, result);
        let computed =
            node(ExprKind::Binary { op: hir_op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, result, span);
        if booleans { self.force(computed, Ty::BOOL) } else { computed }
    }

    /// `"text" + 2`, or the other way round: a text without its beginning, as C has it.
    fn literal_moved(&self, lhs: &Expr, rhs: &Expr) -> Option<(Vec<u8>, usize)> {
        let (text, by) = match (&lhs.kind, &rhs.kind) {
            (ExprKind::Str(text), _) => (text, rhs),
            (_, ExprKind::Str(text)) => (text, lhs),
            _ => return None,
        };
        let by = usize::try_from(self.constant(by)?).ok()?;
        Some((text.clone(), by))
    }

    /// A pointer, so many elements further on or back.
    pub fn moved_pointer(&mut self, op: hir::BinaryOp, pointer: Expr, by: Expr, span: Span) -> Expr {
        let ty = pointer.ty;
        if let TyKind::Ptr { to, .. } = *self.types.kind(ty) {
            self.size_matters(to);
        }
        let step = self.step_of(ty);
        let (place, start) = (by.span, self.force(pointer, Ty::U64));
        let by = self.widen_int(by);
        let by = match by.kind {
            ExprKind::Int(count) => node(ExprKind::Int(count.wrapping_mul(step)), Ty::U64, place),
            _ => {
                let lhs = Box::new(self.force(by, Ty::U64));
                let rhs = Box::new(node(ExprKind::Int(step), Ty::U64, place));
                node(ExprKind::Binary { op: hir::BinaryOp::Mul, lhs, rhs }, Ty::U64, place)
            }
        };
        let moved = ExprKind::Binary { op, lhs: Box::new(start), rhs: Box::new(by) };
        self.force(node(moved, Ty::U64, span), ty)
    }

    /// How many bytes lie between one element and the next; 1 for anything but a pointer.
    pub fn step_of(&self, ty: Ty) -> u64 {
        match self.types.kind(ty) {
            TyKind::Ptr { to, .. } => u64::from(self.types.size(*to).max(1)),
            _ => 1,
        }
    }

    /// Arithmetic is done in 64 bits: unsigned if no side has a sign and it is no subtraction.
    fn arithmetic_type(&mut self, op: BinaryOp, lhs: Ty, rhs: Ty) -> Ty {
        let bool_as_int = |ty| if ty == Ty::BOOL { Ty::U8 } else { ty };
        let joined = infer::join(&mut self.types, bool_as_int(lhs), bool_as_int(rhs)).unwrap_or(Ty::I64);
        let settled = infer::settle(&mut self.types, joined);
        match self.types.as_int(settled) {
            Some((_, false)) if op != BinaryOp::Sub => Ty::U64,
            _ => Ty::I64,
        }
    }

    fn convert_number(&mut self, expr: Expr, to: Ty) -> Expr {
        if expr.ty == Ty::BOOL { self.force(expr, to) } else { self.convert_or_force(expr, to) }
    }

    /// `-e`, `!e`, `~e`
    pub fn unary_operator(&mut self, op: UnaryOp, operand: Expr, span: Span) -> Expr {
        let ty = operand.ty;
        match (op, self.types.kind(ty)) {
            (_, TyKind::Error) => return self.broken(span),
            (UnaryOp::Not, TyKind::Int { .. } | TyKind::Enum(_) | TyKind::Bool | TyKind::Ptr { .. }) => {
                let operand = self.condition(operand, span);
                return match operand.kind {
                    ExprKind::Int(value) => self.boolean(value == 0, span),
                    _ => node(ExprKind::Not(Box::new(operand)), Ty::BOOL, span),
                };
            }
            (_, TyKind::Int { .. } | TyKind::Enum(_)) => {}
            _ => {
                let name = self.type_name(ty);
                return self.error(
                    span,
                    format!("The {} operator can not be used on expressions of type '{name}'", op.symbol()),
                );
            }
        }
        let is_enum = matches!(self.types.kind(ty), TyKind::Enum(_));
        if let (Some(value), false) = (self.constant(&operand), is_enum) {
            let folded = match op {
                UnaryOp::Neg => self.folded(-value, span),
                _ => self.folded(i128::from(!(value as u64)), span),
            };
            return match folded {
                Some(folded) => folded,
                None if op == UnaryOp::Neg => self.error(span, "negative value will underflow"),
                None => self.error(span, "unable to fold literals due to overflow or underflow"),
            };
        }
        let settled = infer::settle(&mut self.types, ty);
        let (bits, signed) = match self.types.as_int(settled) {
            Some((bits, signed)) if !is_enum => (bits, signed),
            // A value of an enum counts as 64 bits, as the names of its values do.
            Some((_, signed)) => (64, signed),
            None => (64, false),
        };
        let result = if signed { Ty::I64 } else { Ty::U64 };
        // Without a sign it stays within its width: `~(uint8)200` is 55.
        let within = if signed { result } else { self.types.int(bits, false) };
        let operand = Box::new(self.force(operand, within));
        let kind = if op == UnaryOp::Neg { ExprKind::Neg(operand) } else { ExprKind::BitNot(operand) };
        self.force(node(kind, within, span), result)
    }

    /// The operands have nothing in common.
    fn mismatch(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, span: Span) -> Expr {
        let (left, right) = (self.type_name(lhs.ty), self.type_name(rhs.ty));
        self.diagnostics.push(
            Diagnostic::error(
                span,
                format!("Type mismatch for '{}': comparing {left} with {right}", op.symbol()),
            )
            .note(lhs.span, format!("left ({left})"))
            .note(rhs.span, format!("right ({right})")),
        );
        self.broken(span)
    }

    /// The operands fit each other, but not the operator.
    fn not_for(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, span: Span) -> Expr {
        let (left, right) = (self.type_name(lhs.ty), self.type_name(rhs.ty));
        self.error(
            span,
            format!("The {} operator can not be used on expressions of types {left}, {right}", op.symbol()),
        )
    }
}

/// Whether the probe is the one at hand and the text a literal, so that they have an order, too.
fn both_known(probe: &Expr, text: &Expr) -> bool {
    matches!((&probe.kind, &text.kind), (ExprKind::Probe, ExprKind::Str(_)))
}

/// The comparison with its sides exchanged.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        CompareOp::Eq | CompareOp::Ne => op,
    }
}

/// Whether texts are in this order. That they are not the same is what the caller makes of `Eq`.
fn is_in_order(op: CompareOp, left: &[u8], right: &[u8]) -> bool {
    match op {
        CompareOp::Eq | CompareOp::Ne => left == right,
        CompareOp::Lt => left < right,
        CompareOp::Le => left <= right,
        CompareOp::Gt => left > right,
        CompareOp::Ge => left >= right,
    }
}

fn is_comparison(op: BinaryOp) -> bool {
    compare_op(op).is_some()
}

fn compare_op(op: BinaryOp) -> Option<CompareOp> {
    Some(match op {
        BinaryOp::Eq => CompareOp::Eq,
        BinaryOp::Ne => CompareOp::Ne,
        BinaryOp::Lt => CompareOp::Lt,
        BinaryOp::Le => CompareOp::Le,
        BinaryOp::Gt => CompareOp::Gt,
        BinaryOp::Ge => CompareOp::Ge,
        _ => return None,
    })
}

fn binary_op(op: BinaryOp) -> Option<hir::BinaryOp> {
    Some(match op {
        BinaryOp::Add => hir::BinaryOp::Add,
        BinaryOp::Sub => hir::BinaryOp::Sub,
        BinaryOp::Mul => hir::BinaryOp::Mul,
        BinaryOp::Div => hir::BinaryOp::Div,
        BinaryOp::Rem => hir::BinaryOp::Mod,
        BinaryOp::BitAnd => hir::BinaryOp::And,
        BinaryOp::BitOr => hir::BinaryOp::Or,
        BinaryOp::BitXor => hir::BinaryOp::Xor,
        BinaryOp::Shl => hir::BinaryOp::Shl,
        BinaryOp::Shr => hir::BinaryOp::Shr,
        _ => return None,
    })
}

fn holds(op: CompareOp, order: std::cmp::Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

/// The exact result; `None` if there is none.
fn fold(op: BinaryOp, a: i128, b: i128) -> Option<i128> {
    let shift = u32::try_from(b).ok().filter(|by| *by < 64);
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Rem => a.checked_rem(b),
        BinaryOp::BitAnd => Some(a & b),
        BinaryOp::BitOr => Some(a | b),
        BinaryOp::BitXor => Some(a ^ b),
        BinaryOp::Shl => a.checked_shl(shift?),
        BinaryOp::Shr => a.checked_shr(shift?),
        _ => None,
    }
}
