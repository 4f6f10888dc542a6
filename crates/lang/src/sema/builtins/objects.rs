//! What is asked about objects of the kernel: the path of a file, the cookie of a socket, the bytes of a packet, a
//! variable that each CPU has its own of.

use skep_btf::Kind;
use skep_isa::helpers::id;

use super::output::literal_text;
use super::{Action, Arity, Builtin, Call};
use crate::hir::{
    BinaryOp, Block, CompareOp, Expr, ExprKind, Format, Helper, Operation, Piece, PrintTo, Runtime, StmtKind,
};
use crate::sema::check::{Checker, node, stmt};
use crate::ty::{Space, Ty, TyKind};

pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "path",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(path),
        doc: "The path that a struct path of the kernel's stands for: path(args.file->f_path[, size])",
    },
    Builtin {
        name: "socket_cookie",
        aliases: &[],
        args: Arity::ONE,
        action: Action::Value(socket_cookie),
        doc: "A number that tells a socket from all others since the system was started",
    },
    Builtin {
        name: "percpu_kaddr",
        aliases: &[],
        args: Arity::range(1, 2),
        action: Action::Value(percpu_kaddr),
        doc: "Address of a variable of the kernel's that each CPU has its own of: percpu_kaddr(name[, cpu])",
    },
    Builtin {
        name: "skboutput",
        aliases: &[],
        args: Arity::range(4, 4),
        action: Action::Value(skboutput),
        doc: "Writes a packet to a file in the format of pcap: skboutput(file, skb, length, offset)",
    },
];

fn path(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let provider = checker.unit_in_hand().provider.name;
    if !["fentry", "fexit", "iter"].contains(&provider) {
        let problem = "The path function can only be used with 'fentry', 'fexit', 'iter' probes";
        return checker.error(call.span, problem);
    }
    let [object, size @ ..] = call.args else { return checker.broken(call.span) };
    let object = checker.value(object);
    let capacity = match size.first() {
        None => checker.config.text_capacity(),
        Some(size) => {
            let size = checker.value(size);
            let constant = checker.constant(&size).and_then(|size| u32::try_from(size).ok());
            match constant.filter(|size| *size > 0) {
                Some(size) => size.min(checker.config.text_capacity()),
                None if size.ty == Ty::ERROR => return size,
                None => {
                    return checker
                        .error(call.span, "path() expects a positive literal as the second argument");
                }
            }
        }
    };
    let pointer = match *checker.types.kind(object.ty) {
        TyKind::Error => return object,
        TyKind::Struct { .. } if is_struct(checker, object.ty, "struct path") => {
            checker.address(object, call.span)
        }
        TyKind::Ptr { to, .. } if is_struct(checker, to, "struct path") => object,
        _ => {
            let given = checker.type_name(object.ty);
            let problem =
                format!("path() only supports a struct path or a pointer to one ({given} provided)");
            return checker.error(call.span, problem);
        }
    };
    let ty = checker.types.str(capacity);
    node(ExprKind::Op { op: Operation::Path, args: vec![pointer] }, ty, call.span)
}

fn is_struct(checker: &Checker<'_>, ty: Ty, name: &str) -> bool {
    checker.types.struct_of(ty).is_some_and(|known| *known.name == *name)
}

fn socket_cookie(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let provider = checker.unit_in_hand().provider.name;
    if !["fentry", "fexit", "rawtracepoint"].contains(&provider) {
        return checker.error(call.span, format!("socket_cookie can not be used with \"{provider}\" probes"));
    }
    let Some(socket) = call.args.first().map(|arg| checker.value(arg)) else {
        return checker.broken(call.span);
    };
    match *checker.types.kind(socket.ty) {
        TyKind::Error => socket,
        TyKind::Ptr { to, .. } if checker.types.struct_of(to).is_some() => {
            let op = Operation::OfObject { id: id::GET_SOCKET_COOKIE };
            node(ExprKind::Op { op, args: vec![socket] }, Ty::U64, call.span)
        }
        _ => {
            let given = checker.type_name(socket.ty);
            checker.error(
                call.span,
                format!("socket_cookie() only supports a pointer to a struct sock ({given} provided)"),
            )
        }
    }
}

fn percpu_kaddr(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let [name, cpu @ ..] = call.args else { return checker.broken(call.span) };
    let Some(name) = literal_text(checker, call, name) else { return checker.broken(call.span) };
    let name = String::from_utf8_lossy(&name).into_owned();
    if checker.options.portable {
        return checker.error(call.span, "percpu_kaddr() cannot be compiled for other kernels");
    }
    let cpu = match cpu.first() {
        Some(cpu) => {
            let cpu = checker.value(cpu);
            if !matches!(checker.types.kind(cpu.ty), TyKind::Int { .. } | TyKind::Error) {
                let given = checker.type_name(cpu.ty);
                let problem = format!("percpu_kaddr() only supports int arguments ({given} provided)");
                return checker.error(call.span, problem);
            }
            Some(checker.force(cpu, Ty::U64))
        }
        None => None,
    };
    let btf = match checker.world().kernel_btf() {
        Ok(btf) => btf,
        Err(error) => return checker.error(call.span, error.to_string()),
    };
    let Some(id) = btf.find(Kind::Var, &name) else {
        return checker.error(call.span, format!("Could not resolve variable \"{name}\" from BTF"));
    };
    let variable = node(ExprKind::Runtime(Runtime::KernelVariable(id.0)), Ty::U64, call.span);
    let args = std::iter::once(variable).chain(cpu).collect();
    node(ExprKind::Op { op: Operation::PerCpuAddress, args }, Ty::U64, call.span)
}

/// How much of a packet is kept unless the length is written out.
const MOST_OF_PACKET: u32 = 2048;
/// The most that the format has room for.
const LONGEST_PACKET: u32 = 65_535;

/// The bytes that lie in one piece in front of a packet, its headers at least; what is in other pages is left out.
fn skboutput(checker: &mut Checker<'_>, call: &Call<'_>) -> Expr {
    let provider = checker.unit_in_hand().provider.name;
    if !["fentry", "fexit", "kprobe", "kretprobe", "tracepoint", "rawtracepoint"].contains(&provider) {
        return checker.error(call.span, format!("skboutput can not be used with \"{provider}\" probes"));
    }
    let [file, packet, length, offset] = call.args else { return checker.broken(call.span) };
    let Some(file) = literal_text(checker, call, file) else { return checker.broken(call.span) };
    let packet = checker.value(packet);
    let (length, offset) = (checker.value(length), checker.value(offset));
    for (what, number) in [("length", &length), ("offset", &offset)] {
        if !matches!(checker.types.kind(number.ty), TyKind::Int { .. } | TyKind::Error) {
            let given = checker.type_name(number.ty);
            return checker
                .error(call.span, format!("skboutput() expects an int as {what} ({given} provided)"));
        }
    }
    match *checker.types.kind(packet.ty) {
        TyKind::Error => return packet,
        TyKind::Ptr { to, .. } if is_struct(checker, to, "struct sk_buff") => {}
        _ => {
            let given = checker.type_name(packet.ty);
            let problem = format!("skboutput() expects a pointer to a struct sk_buff ({given} provided)");
            return checker.error(call.span, problem);
        }
    }
    let span = call.span;
    let most = checker.constant(&length).and_then(|length| u32::try_from(length).ok());
    let capacity = most.unwrap_or(MOST_OF_PACKET).clamp(1, LONGEST_PACKET);
    let [length, offset] = [length, offset].map(|number| checker.force(number, Ty::U64));
    let field = |checker: &mut Checker<'_>, name| {
        let value = checker.field_of(packet.clone(), name, span);
        checker.force(value, Ty::U64)
    };
    let (data, all, elsewhere) = (field(checker, "data"), field(checker, "len"), field(checker, "data_len"));
    let before = less(offset.clone(), all.clone());
    let whole = binary(BinaryOp::Sub, all.clone(), before);
    let here = binary(BinaryOp::Sub, all, elsewhere);
    let wanted = less(length, here);
    // Of an offset beyond what there is, nothing is left.
    let end = less(offset.clone(), wanted.clone());
    let rest = binary(BinaryOp::Sub, wanted, end);
    let start = binary(BinaryOp::Add, data, offset);
    let pointer = checker.types.ptr(Ty::U8, Space::Kernel);
    let pointer = Box::new(checker.force(start, pointer));
    let ty = checker.types.intern(TyKind::Buf(capacity));
    let bytes = node(ExprKind::ReadBuf { pointer, length: Some(Box::new(rest)) }, ty, span);
    let now = node(ExprKind::Helper(Helper { id: id::KTIME_GET_BOOT_NS, once: false }), Ty::U64, span);
    let time = binary(BinaryOp::Add, now, node(ExprKind::Runtime(Runtime::RealOffset), Ty::U64, span));
    let format = Format { pieces: vec![Piece::Text(file)] };
    let sent = StmtKind::Printf { to: PrintTo::Packet, format, args: vec![bytes, whole, time] };
    let body = Block { stmts: vec![stmt(sent, span)] };
    let value = Box::new(node(ExprKind::Int(0), Ty::I64, span));
    node(ExprKind::Block { body, value }, Ty::I64, span)
}

/// The smaller of two numbers.
fn less(a: Expr, b: Expr) -> Expr {
    let span = a.span;
    let (lhs, rhs) = (Box::new(a.clone()), Box::new(b.clone()));
    let cond = node(ExprKind::Compare { op: CompareOp::Lt, lhs, rhs }, Ty::BOOL, span);
    let (cond, then, otherwise) = (Box::new(cond), Box::new(a), Box::new(b));
    node(ExprKind::Cond { cond, then, otherwise }, Ty::U64, span)
}

fn binary(op: BinaryOp, lhs: Expr, rhs: Expr) -> Expr {
    let span = lhs.span;
    node(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, Ty::U64, span)
}
