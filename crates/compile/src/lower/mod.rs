//! The typed program becomes IR: one function for each of its probes.
//!
//! `expr` computes what fits a register, `access` reads behind pointers, `cond` decides ways, `memory` reads and
//! writes what does not fit a register, `map` and `aggregate` keep state, `event`
//! sends records to user space, `loops`, `parts` and `calls` make functions. All of them extend [`Lower`], which holds what
//! one function needs.

mod access;
mod aggregate;
mod calls;
mod cond;
mod event;
mod expr;
mod func;
mod function;
mod locals;
mod loops;
mod map;
mod memory;
mod operation;
mod parts;
mod shared;
mod stack;
mod unwind;
mod walk;

use rustc_hash::FxHashMap;
use skep_lang::hir::{self, ExprKind, PrintTo, ProbeKind, StmtKind};
use skep_lang::ty::{Ty, Types};

use self::calls::Calls;
use self::func::{FuncBuilder, Place};
use self::locals::Homes;
use self::shared::Shared;
use crate::error::Error;
use crate::ir::{BinOp, Module, ObjectId, Width};

/// Lowers a whole program. It fails only on what the language accepts and the
/// compiler cannot do yet.
pub fn lower(program: &hir::Program) -> Result<Module, Error> {
    lower_in_parts(program, parts::LONG)
}

/// As [`lower`], with another idea of how long a clause can be before it is divided into functions: what it may weigh,
/// which is about the number of its branches.
pub fn lower_in_parts(program: &hir::Program, long: usize) -> Result<Module, Error> {
    let program = parts::divided(program, long);
    let program = program.as_ref();
    let mut shared = Shared::new(program);
    let mut funcs = Vec::new();
    for (index, probe) in program.probes.iter().enumerate() {
        // The number tells programs for one attach point apart.
        let name = format!("{}_{}", probe.name, index + 1);
        let mut calls = Calls::default();
        for function in &probe.functions {
            calls = Lower::function(program, &mut shared, (probe, index as u32), function, calls)?;
        }
        let mut lower = Lower::new(program, &mut shared, (probe, index as u32), calls);
        lower.name = name.clone();
        lower.settle_locals(0);
        lower.stop_after_walk();
        lower.block(&probe.body)?;
        let Lower { func, .. } = lower;
        funcs.push(func.finish(name));
    }
    Ok(shared.finish(funcs))
}

/// Where a variable lives.
#[derive(Clone, Copy)]
enum Slot {
    /// In values, as the variable of the same number.
    Value,
    /// In memory of one function, which is numbered.
    Object(u32, ObjectId),
    /// In memory that functions share.
    Common(u32),
}

/// What kind of function is being made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A program, or a function of the script.
    Whole,
    /// The body of a loop.
    Body,
}

/// One function being lowered.
struct Lower<'a> {
    program: &'a hir::Program,
    types: &'a Types,
    shared: &'a mut Shared,
    /// The variables.
    locals: &'a [hir::Local],
    /// Where the program is attached.
    targets: &'a [hir::TargetId],
    /// What the kernel runs.
    probe: ProbeKind,
    /// Index of the program in the artifact.
    index: u32,
    /// The name of the program or function.
    name: String,
    /// The type of the result of a function of the script; `None` for a program.
    ret: Option<Ty>,
    /// The functions of the script that can be called.
    calls: Calls,
    func: FuncBuilder,
    /// Tells the function that is being made from others.
    function: u32,
    kind: Kind,
    slots: FxHashMap<hir::LocalId, Slot>,
    homes: Homes,
    /// Key and value of the entry that the innermost loop over a map is at.
    entry: Option<(Place, Place)>,
    /// Number of the memory in which bodies of loops note that the whole probe ends.
    left: Option<u32>,
    /// Whether the body being made may end the whole probe or function.
    leaves: bool,
    /// Number of the memory in which bodies of loops put what the whole gives back.
    result: Option<u32>,
}

impl<'a> Lower<'a> {
    fn new(
        program: &'a hir::Program,
        shared: &'a mut Shared,
        (probe, index): (&'a hir::Probe, u32),
        calls: Calls,
    ) -> Self {
        Lower {
            program,
            types: &program.types,
            shared,
            locals: &probe.locals,
            targets: &probe.targets,
            probe: probe.kind,
            index,
            name: String::new(),
            ret: None,
            calls,
            func: FuncBuilder::new(probe.span),
            function: 0,
            kind: Kind::Whole,
            slots: FxHashMap::default(),
            homes: Homes::of(&probe.body, &[]),
            entry: None,
            left: None,
            leaves: false,
            result: None,
        }
    }

    fn block(&mut self, block: &hir::Block) -> Result<(), Error> {
        for stmt in &block.stmts {
            let outer = self.func.set_span(stmt.span);
            self.stmt(stmt)?;
            self.func.set_span(outer);
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &hir::Stmt) -> Result<(), Error> {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.effects(expr),
            StmtKind::SetLocal { local, value } => self.set_local(*local, value),
            StmtKind::SetMap { map, key, value } => self.set_map(*map, key.as_ref(), value),
            StmtKind::Aggregate { map, key, sample } => self.aggregate(*map, key.as_ref(), sample.as_ref()),
            StmtKind::If { cond, then, otherwise } => {
                let then_block = self.func.new_block();
                let after = self.func.new_block();
                let else_block = if otherwise.stmts.is_empty() { after } else { self.func.new_block() };
                self.branch_on(cond, then_block, else_block)?;
                self.func.enter(then_block);
                self.block(then)?;
                self.func.jump(after, &[]);
                if else_block != after {
                    self.func.enter(else_block);
                    self.block(otherwise)?;
                    self.func.jump(after, &[]);
                }
                self.func.enter(after);
                Ok(())
            }
            StmtKind::Block(block) => self.block(block),
            StmtKind::Part(block) => self.called_part(block),
            StmtKind::ForRange { local, start, end, body } => self.for_range(*local, start, end, body),
            StmtKind::ForMap { map, local, entry, body } => self.for_map(*map, *local, entry, body),
            StmtKind::While { cond, body } => self.while_loop(cond, body),
            StmtKind::Unroll { count, body } => self.unroll(*count, body),
            StmtKind::Break => {
                self.break_loop();
                Ok(())
            }
            StmtKind::Continue => {
                self.continue_loop();
                Ok(())
            }
            StmtKind::Return(value) => self.give_back(value.as_ref()),
            StmtKind::Printf { to: PrintTo::Reader, format, args } => {
                self.print_to_reader(format, args, stmt.span)
            }
            StmtKind::Printf { to, format, args } => self.printf(*to, format, args, stmt.span),
            StmtKind::PrintMap { map, top, div } => self.print_map(*map, *top, *div, stmt.span),
            StmtKind::PrintValue(value) => self.print_value(value, stmt.span),
            StmtKind::Clear(map) => self.clear(*map, stmt.span),
            StmtKind::Zero(map) => self.zero_map(*map, stmt.span),
            StmtKind::Time { format } => self.time(format, stmt.span),
            StmtKind::Exit { code } => self.exit(code, stmt.span),
        }
    }

    /// Evaluates for the effects alone.
    fn effects(&mut self, expr: &hir::Expr) -> Result<(), Error> {
        if let ExprKind::MapAdd { map, key, by, .. } = &expr.kind {
            return self.map_add(*map, key.as_deref(), by);
        }
        if let ExprKind::Call { function, args } = &expr.kind {
            return self.call(*function, args).map(drop);
        }
        if self.types.is_memory(expr.ty) { self.memory(expr).map(drop) } else { self.scalar(expr).map(drop) }
    }

    fn map_decl(&self, map: hir::MapId) -> &'a hir::Map {
        &self.program.maps[map.0 as usize]
    }

    /// Width in memory and sign of what fits a register.
    fn access(&self, ty: Ty) -> (Width, bool) {
        let width = match self.types.size(ty) {
            1 => Width::W8,
            2 => Width::W16,
            4 => Width::W32,
            _ => Width::W64,
        };
        (width, self.types.as_int(ty).is_some_and(|(_, signed)| signed))
    }

    /// Brings a result that may have left the range of its type back into it.
    fn wrap(&mut self, ty: Ty, value: crate::ir::Value) -> crate::ir::Value {
        let (width, signed) = self.access(ty);
        self.func.extend(width, signed, value)
    }

    /// A comparison's or conversion's 0 or 1 from any value.
    fn truth(&mut self, value: crate::ir::Value) -> crate::ir::Value {
        let zero = self.func.int(0);
        self.func.cmp(crate::ir::CmpOp::Ne, value, zero)
    }

    fn add_imm(&mut self, value: crate::ir::Value, imm: i64) -> crate::ir::Value {
        if imm == 0 { value } else { self.func.bin_imm(BinOp::Add, value, imm) }
    }
}
