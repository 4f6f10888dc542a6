//! Very long clauses, in parts.
//!
//! The kernel's verifier goes down one way through a program to its end before it looks at another one, keeps a note of
//! each branch that it has not taken yet, and gives up at 8,192 of them. What it does for each instruction also takes the
//! longer, the longer the function is. A global function it looks at once and by itself. So runs of statements of a
//! clause that has too many branches become global functions, which are called one after the other. The variables that
//! they have in common live in memory that all of them reach, as those of a loop's body do ([`super::loops`]).
//!
//! Numbers and pointers in the context are taken from it once, at the beginning, into variables. What needs the context
//! otherwise stays where it is, as a global function has none; so does the body of a loop.

use std::borrow::Cow;

use indexmap::IndexMap;
use skep_lang::hir::{self, Block, Expr, ExprKind, Local, LocalId, Operation, Probe, Stmt, StmtKind};
use skep_lang::ty::{Ty, Types};
use skep_lang::walk;

/// A clause that weighs more is divided. Few statements have more branches than they weigh.
pub(super) const LONG: usize = 3_000;

/// The kernel takes programs of 256 functions; loops and functions of the script need some, too.
const MOST_PARTS: usize = 120;

/// What a call of a part weighs.
const CALL: usize = 3;

/// The program with the clauses divided that weigh more than `long`. A part weighs half of that at most, unless there
/// would be too many parts, or a single statement weighs more.
pub(super) fn divided(program: &hir::Program, long: usize) -> Cow<'_, hir::Program> {
    let weights: Vec<usize> = program.probes.iter().map(|probe| weight(&probe.body)).collect();
    if weights.iter().all(|weight| *weight <= long) {
        return Cow::Borrowed(program);
    }
    let mut program = program.clone();
    for (probe, weight) in program.probes.iter_mut().zip(weights) {
        if weight > long {
            read_context_first(probe, &program.types);
            divide(&mut probe.body, (long / 2).max(weight / MOST_PARTS));
        }
    }
    Cow::Owned(program)
}

/// Has the numbers and pointers of the context that a clause uses read into variables before anything else. The kernel
/// does not change them, and they can always be read.
fn read_context_first(probe: &mut Probe, types: &Types) {
    // An object whose type the verifier has to know must come right from the context.
    let mut objects = Vec::new();
    walk::in_block(&probe.body, &mut |expr| {
        if let ExprKind::Op { op: Operation::OfObject { .. } | Operation::Path, args } = &expr.kind {
            for arg in args {
                walk::in_expr(arg, &mut |expr| objects.extend(place_in_context(expr, types)));
            }
        }
    });
    let mut known: IndexMap<(u32, Ty), LocalId> = IndexMap::new();
    let mut reads = Vec::new();
    let Probe { body, locals, span, .. } = probe;
    walk::in_block_mut(body, &mut |expr| {
        let Some(place) = place_in_context(expr, types).filter(|place| !objects.contains(place)) else {
            return;
        };
        let local = *known.entry(place).or_insert_with(|| {
            let local = LocalId(u32::try_from(locals.len()).unwrap_or(u32::MAX));
            locals.push(Local { name: format!("$context_{}", place.0), ty: place.1, span: *span });
            reads.push(Stmt { kind: StmtKind::SetLocal { local, value: expr.clone() }, span: *span });
            local
        });
        expr.kind = ExprKind::Local(local);
    });
    body.stmts.splice(0..0, reads);
}

/// Offset and type of what an expression takes from the context, if a register holds it.
fn place_in_context(expr: &Expr, types: &Types) -> Option<(u32, Ty)> {
    match expr.kind {
        ExprKind::Context { offset } if !types.is_memory(expr.ty) => Some((offset, expr.ty)),
        _ => None,
    }
}

/// Puts runs of statements into parts that weigh no more than `limit`.
fn divide(block: &mut Block, limit: usize) {
    let mut divided = Vec::new();
    let mut run = Run::default();
    for mut stmt in std::mem::take(&mut block.stmts) {
        if own_weight(&stmt) > limit {
            match &mut stmt.kind {
                StmtKind::If { then, otherwise, .. } => {
                    divide(then, limit);
                    divide(otherwise, limit);
                }
                StmtKind::Block(inner) => divide(inner, limit),
                _ => {}
            }
        }
        let weight = own_weight(&stmt);
        if reads_context(&stmt) {
            run.end(&mut divided);
            divided.push(stmt);
            continue;
        }
        if run.weight + weight > limit {
            run.end(&mut divided);
        }
        run.weight += weight;
        run.stmts.push(stmt);
    }
    run.end(&mut divided);
    block.stmts = divided;
}

/// Statements that will be a part.
#[derive(Default)]
struct Run {
    stmts: Vec<Stmt>,
    weight: usize,
}

impl Run {
    /// Makes them a part, if that is worth a call.
    fn end(&mut self, divided: &mut Vec<Stmt>) {
        let Run { stmts, weight } = std::mem::take(self);
        let Some(span) = stmts.first().map(|stmt| stmt.span) else { return };
        if weight <= 4 * CALL {
            divided.extend(stmts);
        } else {
            divided.push(Stmt { kind: StmtKind::Part(Block { stmts }), span });
        }
    }
}

fn weight(block: &Block) -> usize {
    block.stmts.iter().map(own_weight).sum()
}

/// What a statement weighs with all that is in it.
fn own_weight(stmt: &Stmt) -> usize {
    let mut sum = match &stmt.kind {
        StmtKind::Part(_) => return CALL,
        StmtKind::SetMap { .. } => 4,
        StmtKind::Aggregate { .. } => 8,
        StmtKind::Printf { args, .. } => 4 + args.len(),
        StmtKind::PrintValue(_) | StmtKind::Exit { .. } => 4,
        _ => 2,
    };
    walk::in_stmt(stmt, &mut |expr| walk::in_expr(expr, &mut |expr| sum += weight_of(expr)));
    match &stmt.kind {
        StmtKind::If { then, otherwise, .. } => sum += weight(then) + weight(otherwise),
        StmtKind::Block(inner)
        | StmtKind::ForRange { body: inner, .. }
        | StmtKind::ForMap { body: inner, .. }
        | StmtKind::While { body: inner, .. } => sum += weight(inner),
        StmtKind::Unroll { body, count } => sum += weight(body) * *count as usize,
        _ => {}
    }
    sum
}

/// What an expression weighs without those that it is made of.
fn weight_of(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Local(_) | ExprKind::Tuple(_) | ExprKind::Cast(_) => {
            0
        }
        ExprKind::MapGet { .. }
        | ExprKind::MapAdd { .. }
        | ExprKind::Find { .. }
        | ExprKind::AggValue { .. }
        | ExprKind::Compare { .. }
        | ExprKind::Call { .. } => 4,
        ExprKind::Op { .. } | ExprKind::Stack => 8,
        _ => 1,
    }
}

/// Whether something in a statement needs the context of the program.
fn reads_context(stmt: &Stmt) -> bool {
    let mut found = false;
    walk::within_stmt(stmt, &mut |expr| {
        found |= matches!(
            &expr.kind,
            ExprKind::Ctx
                | ExprKind::Context { .. }
                | ExprKind::Registers { .. }
                | ExprKind::DataLoc { .. }
                | ExprKind::Stack
                | ExprKind::Unwound
                | ExprKind::Probe
                | ExprKind::Func
                | ExprKind::Op { op: Operation::Helper { .. }, .. }
        );
    });
    found
}

#[cfg(test)]
mod tests {
    use skep_lang::hir::Program;
    use skep_lang::sema::testing::Fixture;
    use skep_lang::{Options, compile_front};
    use skep_ui::SourceMap;

    use super::*;

    fn program(script: &str) -> Program {
        let mut sources = SourceMap::new();
        let file = sources.add("stdin", script);
        let front = compile_front(&mut sources, file, &Options::default(), &Fixture::default());
        front.program.unwrap()
    }

    /// The number of parts at the outer level of a clause, and of statements beside them.
    fn shape(program: &Program) -> (usize, usize) {
        let stmts = &program.probes[0].body.stmts;
        let parts = stmts.iter().filter(|stmt| matches!(stmt.kind, StmtKind::Part(_))).count();
        (parts, stmts.len() - parts)
    }

    #[test]
    fn a_clause_of_ordinary_length_stays_whole() {
        let program = program("begin { @a = 1; @b[pid] = count(); print(@a); }");
        assert!(matches!(divided(&program, LONG), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_one_is_divided_between_statements() {
        let script = format!("begin {{ {} }}", "@a[pid] = count(); ".repeat(1000));
        let program = program(&script);
        let divided = divided(&program, LONG);
        let (parts, rest) = shape(&divided);
        assert!((5..=MOST_PARTS).contains(&parts) && rest == 0, "{parts} parts, {rest} others");
    }

    #[test]
    fn texts_in_the_context_are_read_where_they_are_wanted() {
        let lines = "@a[1] = 1; ".repeat(5);
        let program =
            program(&format!("tracepoint:sched:sched_switch {{ {lines} @b = args.next_comm; {lines} }}"));
        let divided = divided(&program, 40);
        assert!(divided.probes[0].body.stmts.iter().any(|stmt| matches!(stmt.kind, StmtKind::SetMap { .. })));
        assert!(shape(&divided).0 >= 2);
    }

    #[test]
    fn numbers_in_the_context_are_read_once_at_the_beginning() {
        let lines = "if (args.next_pid > 5) { @a[args.prev_pid] = args.next_pid; } ".repeat(20);
        let program = program(&format!("tracepoint:sched:sched_switch {{ {lines} }}"));
        let divided = divided(&program, 40);
        let stmts = &divided.probes[0].body.stmts;
        let reads = stmts.iter().take_while(|stmt| matches!(stmt.kind, StmtKind::SetLocal { .. })).count();
        assert_eq!(reads, 2);
        assert!(stmts[reads..].iter().all(|stmt| matches!(stmt.kind, StmtKind::Part(_))));
    }
}
