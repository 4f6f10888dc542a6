//! Pointers to structs: the current task, the context, and what a field is in.

use skep_isa::helpers::id;

use super::{Action, Arity, Builtin, Call};
use crate::hir::{Expr, ExprKind, Helper, ProbeKind};
use crate::sema::check::{Checker, node};
use crate::syntax::ast::{self, TypeTag};
use crate::ty::{Space, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "curtask",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(curtask),
        doc: "Pointer to the kernel's struct task_struct of the current thread",
    },
    Builtin {
        name: "ctx",
        aliases: &[],
        args: Arity::NONE,
        action: Action::Value(ctx),
        doc: "Pointer to the context that the kernel gives the probe's program",
    },
    Builtin {
        name: "container_of",
        aliases: &[],
        args: Arity::range(3, 3),
        action: Action::Value(container_of),
        doc: "Pointer to the struct (the second argument, typeof(T)) in which a pointer points to a field",
    },
];

fn curtask(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    // What the script itself declares under that name counts; without any, the address is all there is.
    let task = checker.named_ctype(Some(TypeTag::Struct), "task_struct").unwrap_or(Ty::VOID);
    let task = checker.types.in_space(task, Space::Kernel);
    let ty = checker.types.ptr(task, Space::Kernel);
    node(ExprKind::Helper(Helper { id: id::GET_CURRENT_TASK, once: true }), ty, call.span)
}

fn ctx(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let provider = checker.unit_in_hand().provider;
    let of = match provider.kind {
        ProbeKind::PerfEvent => "bpf_perf_event_data",
        ProbeKind::Kprobe => "pt_regs",
        ProbeKind::RawTracepoint => "bpf_raw_tracepoint_args",
        ProbeKind::Tracepoint => {
            return checker.error(call.span, "Use args instead of ctx in tracepoint");
        }
        _ => {
            let message = format!("The ctx builtin can not be used with '{}' probes", provider.name);
            return checker.error(call.span, message);
        }
    };
    let of = checker.named_ctype(Some(TypeTag::Struct), of).unwrap_or(Ty::VOID);
    let of = checker.types.in_space(of, Space::Kernel);
    let ty = checker.types.ptr(of, Space::Context);
    node(ExprKind::Ctx, ty, call.span)
}

fn container_of(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [pointer, of, field] = call.args else { return checker.broken(call.span) };
    let pointer = checker.value(pointer);
    let ast::ExprKind::Typeof(of) = &of.peel_parens().kind else {
        return checker.error_with_help(
            of.span,
            "container_of() expects a type as its second argument",
            "Write it as typeof(struct NAME)",
        );
    };
    let Some(of) = checker.type_of(of) else { return checker.broken(call.span) };
    let Some(path) = path_of(field) else {
        return checker.error(field.span, "container_of() expects the name of a field as its third argument");
    };
    let TyKind::Ptr { space, .. } = *checker.types.kind(pointer.ty) else {
        let name = checker.type_name(pointer.ty);
        return match pointer.ty {
            Ty::ERROR => pointer,
            _ => checker.error(call.span, format!("container_of() expects a pointer ({name} provided)")),
        };
    };
    let Some(offset) = checker.offset_in(of, &path, call.span) else { return checker.broken(call.span) };
    let of = checker.types.in_space(of, space);
    let ty = checker.types.ptr(of, space);
    let bytes = checker.types.ptr(Ty::U8, space);
    let start = checker.force(pointer, bytes);
    let back = node(ExprKind::Int(u64::from(offset)), Ty::U64, call.span);
    let moved = checker.moved_pointer(crate::hir::BinaryOp::Sub, start, back, call.span);
    checker.force(moved, ty)
}

/// `a.b` as names.
fn path_of(expr: &ast::Expr) -> Option<Vec<ast::Ident>> {
    match &expr.peel_parens().kind {
        ast::ExprKind::Ident(name) => Some(vec![ast::Ident { name: name.clone(), span: expr.span }]),
        ast::ExprKind::Field { base, field, arrow: false } => {
            let mut path = path_of(base)?;
            path.push(field.clone());
            Some(path)
        }
        _ => None,
    }
}
