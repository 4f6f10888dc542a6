//! The typed program becomes IR: one function for each of its probes.
//!
//! `expr` computes what fits a register, `access` reads behind pointers, `cond` decides ways, `memory` reads and
//! writes what does not fit a register, `map` and `aggregate` keep state, `event`
//! sends records to user space. All of them extend [`Lower`], which holds what
//! one function needs.

mod access;
mod aggregate;
mod cond;
mod event;
mod expr;
mod func;
mod map;
mod memory;
mod operation;
mod shared;

use rustc_hash::FxHashMap;
use skep_lang::hir::{self, ExprKind, ProbeKind, StmtKind};
use skep_lang::ty::{Ty, Types};

use self::func::{FuncBuilder, Var};
use self::shared::Shared;
use crate::error::Error;
use crate::ir::{BinOp, Module, ObjectId, ValueTy, Width};

/// Lowers a whole program. It fails only on what the language accepts and the
/// compiler cannot do yet.
pub fn lower(program: &hir::Program) -> Result<Module, Error> {
    let mut shared = Shared::new(program);
    let mut funcs = Vec::new();
    for (index, probe) in program.probes.iter().enumerate() {
        let mut lower = Lower::new(program, &mut shared, probe, index as u32);
        lower.prepare_locals();
        lower.block(&probe.body)?;
        let Lower { func, .. } = lower;
        funcs.push(func.finish(func_name(probe, index)));
    }
    Ok(shared.finish(funcs))
}

/// A name that tells the probe apart in the kernel's lists.
fn func_name(probe: &hir::Probe, index: usize) -> String {
    let kind = match probe.kind {
        ProbeKind::RawTestRun => "special",
        ProbeKind::Tracepoint => "tracepoint",
        ProbeKind::PerfEvent => "timer",
        ProbeKind::RawTracepoint => "rawtracepoint",
        ProbeKind::Kprobe => "kprobe",
    };
    format!("{kind}_{index}")
}

/// Where a variable lives.
#[derive(Clone, Copy)]
enum Slot {
    /// In values.
    Value(Var),
    /// In memory.
    Object(ObjectId),
}

/// One function being lowered.
struct Lower<'a> {
    program: &'a hir::Program,
    types: &'a Types,
    shared: &'a mut Shared,
    probe: &'a hir::Probe,
    /// Index of the program in the artifact.
    index: u32,
    func: FuncBuilder,
    locals: FxHashMap<hir::LocalId, Slot>,
}

impl<'a> Lower<'a> {
    fn new(program: &'a hir::Program, shared: &'a mut Shared, probe: &'a hir::Probe, index: u32) -> Self {
        Lower {
            program,
            types: &program.types,
            shared,
            probe,
            index,
            func: FuncBuilder::new(probe.span),
            locals: FxHashMap::default(),
        }
    }

    /// Gives each variable its place, and zeroes those in memory that might be
    /// read before they are written.
    fn prepare_locals(&mut self) {
        let uninitialised = memory::read_before_written(&self.probe.body);
        let addressed = access::addressed(&self.probe.body);
        for (index, local) in self.probe.locals.iter().enumerate() {
            let id = hir::LocalId(index as u32);
            let slot = if self.types.is_memory(local.ty) || addressed.contains(&id) {
                let size = self.types.size(local.ty);
                let object = self.func.object(&local.name, size, 8);
                // Through its address it can be read at any time.
                if uninitialised.contains(&id) || addressed.contains(&id) {
                    let place = self.func.object_place(object);
                    self.func.zero(place, size);
                }
                Slot::Object(object)
            } else {
                let var = Var(index as u32);
                self.func.declare(var, ValueTy::Int);
                Slot::Value(var)
            };
            self.locals.insert(id, slot);
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
            StmtKind::Return => {
                let zero = self.func.int(0);
                self.func.ret(zero);
                Ok(())
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
        if self.types.is_memory(expr.ty) { self.memory(expr).map(drop) } else { self.scalar(expr).map(drop) }
    }

    fn set_local(&mut self, local: hir::LocalId, value: &hir::Expr) -> Result<(), Error> {
        match self.slot(local) {
            Slot::Value(var) => {
                let value = self.scalar(value)?;
                self.func.assign(var, value);
            }
            Slot::Object(object) => {
                let ty = self.local(local).ty;
                // The new value may be made of the old one: `$t = ($t.1, $t.0)`.
                if memory::mentions(value, local) {
                    let size = self.types.size(ty);
                    let copy = self.func.object("copy", size, 8);
                    let copy = self.func.object_place(copy);
                    self.write(value, copy, ty)?;
                    let place = self.func.object_place(object);
                    self.func.copy(place, copy, size);
                } else {
                    let place = self.func.object_place(object);
                    self.write(value, place, ty)?;
                }
            }
        }
        Ok(())
    }

    fn local(&self, local: hir::LocalId) -> &'a hir::Local {
        &self.probe.locals[local.0 as usize]
    }

    fn slot(&self, local: hir::LocalId) -> Slot {
        self.locals[&local]
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
