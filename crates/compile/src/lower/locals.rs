//! Where variables live: in values, in memory of their function, or in memory that functions share.
//!
//! The body of a loop may become a function of its own, which the kernel calls for each round. A variable that
//! is only mentioned within one body lives there, and starts from zero in each round; one that several
//! functions mention lives in memory that all of them reach.

use rustc_hash::{FxHashMap, FxHashSet};
use skep_lang::hir::{self, Block, Expr, ExprKind, LocalId, Stmt, StmtKind};
use skep_lang::walk;

use super::func::{Place, Var};
use super::{Lower, Slot};
use crate::error::Error;
use crate::ir::{Home, Value, ValueTy};

/// A body that variables can be at home in: 0 is the whole, the others are bodies of loops.
pub(super) type BodyId = usize;

/// What is known of the variables of a probe or function.
pub(super) struct Homes {
    /// The bodies of loops by their address, which stays while the program is lowered.
    bodies: FxHashMap<*const Block, BodyId>,
    /// Of each body, the innermost around it and whether it is a function of its own.
    around: Vec<(BodyId, bool)>,
    /// Of each variable that is mentioned, its home.
    homes: FxHashMap<LocalId, Mentions>,
    /// Variables that may be read before anything was written to them.
    read_first: FxHashSet<LocalId>,
    /// Variables that something takes the address of: they live in memory, and can be read at any time.
    addressed: FxHashSet<LocalId>,
    /// Variables that are written before the function begins.
    params: FxHashSet<LocalId>,
}

struct Mentions {
    home: BodyId,
    /// The function of the first mention.
    function: BodyId,
    /// Whether others mention it, too.
    shared: bool,
}

impl Homes {
    /// Looks at all statements of a probe or function. `params` are written before it begins.
    pub fn of(body: &Block, params: &[LocalId]) -> Homes {
        let mut walk = Walk {
            homes: Homes {
                bodies: FxHashMap::default(),
                around: vec![(0, true)],
                homes: FxHashMap::default(),
                read_first: FxHashSet::default(),
                addressed: super::access::addressed(body),
                params: params.iter().copied().collect(),
            },
            body: 0,
            path: Vec::new(),
            next_block: 0,
            assigned: FxHashMap::default(),
        };
        for param in params {
            walk.assigns(*param);
        }
        walk.block(body);
        walk.homes
    }

    /// The number of a loop's body.
    pub fn body(&self, block: &Block) -> BodyId {
        self.bodies.get(&std::ptr::from_ref(block)).copied().unwrap_or(0)
    }

    fn function(&self, mut body: BodyId) -> BodyId {
        while !self.around[body].1 {
            body = self.around[body].0;
        }
        body
    }

    fn common_home(&self, mut a: BodyId, mut b: BodyId) -> BodyId {
        // Bodies are numbered after those around them.
        while a != b {
            if a > b {
                a = self.around[a].0;
            } else {
                b = self.around[b].0;
            }
        }
        a
    }
}

struct Walk {
    homes: Homes,
    body: BodyId,
    /// The blocks around the statement at hand.
    path: Vec<u32>,
    next_block: u32,
    /// Which blocks stand around each variable's first assignment.
    assigned: FxHashMap<LocalId, Vec<u32>>,
}

impl Walk {
    fn block(&mut self, block: &Block) {
        self.next_block += 1;
        self.path.push(self.next_block);
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
        self.path.pop();
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::ForRange { local, start, end, body } => {
                self.expr(start);
                self.expr(end);
                self.loop_body(body, true, |walk| walk.assigns(*local));
            }
            StmtKind::ForMap { local, entry, body, .. } => self.loop_body(body, true, |walk| {
                walk.expr(entry);
                walk.assigns(*local);
            }),
            StmtKind::While { cond, body } => self.loop_body(body, true, |walk| walk.expr(cond)),
            StmtKind::Part(body) => self.loop_body(body, true, |_| {}),
            StmtKind::Unroll { body, .. } => self.loop_body(body, false, |_| {}),
            StmtKind::If { cond, then, otherwise } => {
                self.expr(cond);
                self.block(then);
                self.block(otherwise);
            }
            StmtKind::Block(inner) => self.block(inner),
            StmtKind::SetLocal { local, value } => {
                self.expr(value);
                self.assigns(*local);
            }
            // These have no blocks.
            _ => walk::in_stmt(stmt, &mut |expr| self.expr(expr)),
        }
    }

    /// The body of a loop; `before` is what belongs to it and is done first in each round.
    fn loop_body(&mut self, block: &Block, called: bool, before: impl FnOnce(&mut Walk)) {
        let number = self.homes.around.len();
        self.homes.around.push((self.body, called));
        self.homes.bodies.insert(block, number);
        let outer = std::mem::replace(&mut self.body, number);
        self.next_block += 1;
        self.path.push(self.next_block);
        before(self);
        self.block(block);
        self.path.pop();
        self.body = outer;
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Local(local) => self.mentions(*local),
            ExprKind::Block { body, .. } => self.block(body),
            _ => {}
        }
        walk::children(expr, &mut |child| self.expr(child));
        if let ExprKind::LocalAdd { local, .. } | ExprKind::Find { local, .. } = &expr.kind {
            self.mentions(*local);
        }
    }

    fn assigns(&mut self, local: LocalId) {
        self.settle(local);
        match self.assigned.get(&local) {
            None => {
                self.assigned.insert(local, self.path.clone());
            }
            Some(_) => self.mentions(local),
        }
    }

    fn mentions(&mut self, local: LocalId) {
        self.settle(local);
        let safe = self.assigned.get(&local).is_some_and(|path| self.path.starts_with(path));
        if !safe {
            self.homes.read_first.insert(local);
        }
    }

    /// Finds a home for a variable that is mentioned here.
    fn settle(&mut self, local: LocalId) {
        let (body, function) = (self.body, self.homes.function(self.body));
        match self.homes.homes.get(&local) {
            None => {
                self.homes.homes.insert(local, Mentions { home: body, function, shared: false });
            }
            Some(known) => {
                let home = self.homes.common_home(known.home, body);
                let shared = known.shared || known.function != function;
                let known = Mentions { home, function: known.function, shared };
                self.homes.homes.insert(local, known);
            }
        }
    }
}

impl<'a> Lower<'a> {
    /// Gives each variable that is at home in a body its place, and zeroes those that might be read before they
    /// are written. Called where the body begins.
    pub(super) fn settle_locals(&mut self, body: BodyId) {
        let locals = self.locals;
        for (index, local) in locals.iter().enumerate() {
            let id = LocalId(index as u32);
            let Some(known) = self.homes.homes.get(&id) else { continue };
            if known.home != body {
                continue;
            }
            let (shared, addressed) = (known.shared, self.homes.addressed.contains(&id));
            let read_first = addressed || self.homes.read_first.contains(&id);
            let read_first = read_first && !self.homes.params.contains(&id);
            let size = self.types.size(local.ty);
            let slot = match self.slots.get(&id) {
                // A body that is written out several times.
                Some(slot) if self.is_here(*slot) => *slot,
                _ if shared => Slot::Common(self.shared.common()),
                _ if addressed || self.types.is_memory(local.ty) => {
                    Slot::Object(self.function, self.func.object(&local.name, size, 8))
                }
                _ => {
                    self.func.declare(Var(index as u32), ValueTy::Int);
                    Slot::Value
                }
            };
            self.slots.insert(id, slot);
            if read_first {
                match self.local_place(id) {
                    Some(place) => self.func.zero(place, size),
                    None => {
                        let zero = self.func.int(0);
                        self.func.assign(Var(index as u32), zero);
                    }
                }
            }
        }
    }

    fn is_here(&self, slot: Slot) -> bool {
        match slot {
            Slot::Object(function, _) => function == self.function,
            Slot::Common(_) => true,
            Slot::Value => false,
        }
    }

    /// Where a variable is in memory; `None` for one in values.
    pub(super) fn local_place(&mut self, id: LocalId) -> Option<Place> {
        match self.slots.get(&id)? {
            Slot::Value => None,
            Slot::Object(_, object) => Some(self.func.object_place(*object)),
            Slot::Common(number) => {
                let local = self.local(id);
                let size = self.types.size(local.ty);
                let object = self.func.object_in(Home::Common(*number), &local.name, size);
                Some(self.func.object_place(object))
            }
        }
    }

    /// The value of a variable that fits a register.
    pub(super) fn read_local(&mut self, id: LocalId) -> Value {
        match self.local_place(id) {
            Some(place) => self.load(self.local(id).ty, place),
            None => self.func.read(Var(id.0)),
        }
    }

    /// Gives a variable that fits a register a value.
    pub(super) fn write_local(&mut self, id: LocalId, value: Value) {
        match self.local_place(id) {
            Some(place) => {
                let (width, _) = self.access(self.local(id).ty);
                self.func.store(width, place, value);
            }
            None => self.func.assign(Var(id.0), value),
        }
    }

    pub(super) fn set_local(&mut self, local: LocalId, value: &Expr) -> Result<(), Error> {
        let ty = self.local(local).ty;
        if !self.types.is_memory(ty) {
            let value = self.scalar(value)?;
            self.write_local(local, value);
            return Ok(());
        }
        // The new value may be made of the old one: `$t = ($t.1, $t.0)`.
        if super::memory::mentions(value, local) {
            let size = self.types.size(ty);
            let copy = self.func.object("copy", size, 8);
            let copy = self.func.object_place(copy);
            self.write(value, copy, ty)?;
            let place = self.memory_of(local, value)?;
            self.func.copy(place, copy, size);
        } else {
            let place = self.memory_of(local, value)?;
            self.write(value, place, ty)?;
        }
        Ok(())
    }

    /// The place of a variable whose type lives in memory.
    pub(super) fn memory_of(&mut self, local: LocalId, at: &Expr) -> Result<Place, Error> {
        self.local_place(local).ok_or_else(|| self.not_memory(at))
    }

    pub(super) fn local(&self, local: LocalId) -> &'a hir::Local {
        &self.locals[local.0 as usize]
    }
}
