//! Building one function in SSA form while walking the tree once.
//!
//! Variables are turned into values on the fly: a read looks for the definition
//! in its own block, then in the blocks before it, and where ways join with
//! different definitions the block gets a parameter. (Braun et al., "Simple and
//! Efficient Construction of Static Single Assignment Form", 2013.)

use rustc_hash::{FxHashMap, FxHashSet};
use skep_ui::Span;

use crate::ir::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, FuncId, Home, Inst, Object, ObjectId, Op, Term, Value,
    ValueData, ValueTy, Width,
};

/// A variable while its function is built. Its number is the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Var(pub u32);

/// A place in memory that can be accessed directly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// `Ptr` or `Ctx`.
    pub base: Value,
    /// Added to the base.
    pub offset: i32,
    /// Alignment of the base in bytes.
    pub base_align: u32,
}

impl Place {
    /// A place aligned to 8 bytes.
    pub fn aligned(base: Value) -> Place {
        Place { base, offset: 0, base_align: 8 }
    }

    /// So many bytes further on.
    pub fn at(self, offset: u32) -> Place {
        // Offsets come from layouts of types, which are far smaller than 2 GiB.
        Place { offset: self.offset.saturating_add(i32::try_from(offset).unwrap_or(i32::MAX)), ..self }
    }

    /// The alignment that is certain, in bytes.
    pub fn align(self) -> u32 {
        let offset = self.offset.unsigned_abs();
        if offset == 0 { self.base_align } else { self.base_align.min(1 << offset.trailing_zeros().min(3)) }
    }
}

struct BlockState {
    params: Vec<Value>,
    insts: Vec<Inst>,
    term: Option<(Term, Span)>,
    preds: Vec<BlockId>,
    /// All ways in are known.
    sealed: bool,
    /// Parameters made before all ways in were known.
    incomplete: Vec<(Var, Value)>,
}

/// A function under construction, and the place where code goes next.
pub(super) struct FuncBuilder {
    values: Vec<ValueData>,
    blocks: Vec<BlockState>,
    objects: Vec<Object>,
    defs: FxHashMap<(Var, BlockId), Value>,
    /// Parameters of blocks that the ways in do not hand over yet.
    joins: Vec<(Var, BlockId)>,
    /// The types of variables; one that was never assigned reads as zero.
    var_types: FxHashMap<Var, ValueTy>,
    current: BlockId,
    span: Span,
    ctx: Option<Value>,
    /// See [`FuncBuilder::record_object`].
    record: Option<ObjectId>,
    params: Vec<Value>,
    /// Where the context comes from.
    context: Context,
    /// The objects in memory that functions share, by its number.
    common: FxHashMap<u32, ObjectId>,
    /// Limits of loops that the kernel follows round by round, and what a round of each costs.
    limits: Vec<(Value, u32)>,
}

/// Where a function has the context from.
#[derive(Clone, Copy)]
enum Context {
    /// It is what the kernel starts the program with.
    Own,
    /// A further parameter, once something asks for it.
    Parameter,
    /// The body of a loop: it is in memory, of which this parameter is the address.
    Behind(Value),
}

impl FuncBuilder {
    /// A function of the script, which the program calls with such parameters, and with the context as the last one
    /// if it asks for that.
    pub fn new_function(span: Span, params: &[ValueTy]) -> (Self, Vec<Value>) {
        let mut builder = FuncBuilder::new(span);
        let values: Vec<Value> = params.iter().map(|ty| builder.new_value(*ty)).collect();
        builder.params = values.clone();
        builder.context = Context::Parameter;
        (builder, values)
    }

    /// The body of a loop, which helpers call with such parameters: the last one is what
    /// [`FuncBuilder::ctx`] finds the context by.
    pub fn new_body(span: Span, params: &[ValueTy]) -> (Self, Vec<Value>) {
        let mut builder = FuncBuilder::new(span);
        let values: Vec<Value> = params.iter().map(|ty| builder.new_value(*ty)).collect();
        builder.params = values.clone();
        builder.context = values.last().map_or(Context::Own, |data| Context::Behind(*data));
        (builder, values)
    }

    /// A program.
    pub fn new(span: Span) -> Self {
        let mut builder = FuncBuilder {
            values: Vec::new(),
            blocks: Vec::new(),
            objects: Vec::new(),
            defs: FxHashMap::default(),
            joins: Vec::new(),
            var_types: FxHashMap::default(),
            current: BlockId(0),
            span,
            ctx: None,
            record: None,
            params: Vec::new(),
            context: Context::Own,
            common: FxHashMap::default(),
            limits: Vec::new(),
        };
        let entry = builder.new_block();
        builder.seal(entry);
        builder
    }

    /// The place in the script that instructions from now on stand for.
    pub fn set_span(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    pub fn span(&self) -> Span {
        self.span
    }

    // Blocks.

    pub fn new_block(&mut self) -> BlockId {
        self.blocks.push(BlockState {
            params: Vec::new(),
            insts: Vec::new(),
            term: None,
            preds: Vec::new(),
            sealed: false,
            incomplete: Vec::new(),
        });
        BlockId(self.blocks.len() as u32 - 1)
    }

    /// A block with a parameter, for a value that arrives by several ways.
    pub fn new_join(&mut self, ty: ValueTy) -> (BlockId, Value) {
        let block = self.new_block();
        let value = self.new_value(ty);
        self.state(block).params.push(value);
        (block, value)
    }

    /// A block with parameters, for values that arrive by several ways.
    pub fn new_join_of<const N: usize>(&mut self, types: [ValueTy; N]) -> (BlockId, [Value; N]) {
        let block = self.new_block();
        let values = types.map(|ty| self.new_value(ty));
        self.state(block).params.extend(values);
        (block, values)
    }

    /// Code goes to this block now, into which a way from further down is still to come: a loop
    /// begins, and [`FuncBuilder::end_loop`] has to follow that way.
    pub fn begin_loop(&mut self, head: BlockId) {
        self.current = head;
    }

    /// All ways into the head of a loop are known.
    pub fn end_loop(&mut self, head: BlockId) {
        self.seal(head);
    }

    /// Code goes to this block now, all ways into which are known.
    pub fn enter(&mut self, block: BlockId) {
        self.seal(block);
        self.current = block;
    }

    pub fn jump(&mut self, to: BlockId, args: &[Value]) {
        self.terminate(Term::Jump(Edge { to, args: args.to_vec() }));
    }

    pub fn branch(&mut self, op: CmpOp, lhs: Value, rhs: Value, then: BlockId, otherwise: BlockId) {
        self.terminate(Term::Branch {
            op,
            lhs,
            rhs,
            then: Edge { to: then, args: Vec::new() },
            otherwise: Edge { to: otherwise, args: Vec::new() },
        });
    }

    /// Ends the program; code that follows in the script cannot be reached.
    pub fn ret(&mut self, value: Value) {
        self.terminate(Term::Return(value));
        let unreachable = self.new_block();
        self.enter(unreachable);
    }

    fn terminate(&mut self, term: Term) {
        let from = self.current;
        let mut to = Vec::new();
        match &term {
            Term::Jump(edge) => to.push(edge.to),
            Term::Branch { then, otherwise, .. } => {
                to.push(then.to);
                if otherwise.to != then.to {
                    to.push(otherwise.to);
                }
            }
            Term::Return(_) => {}
        }
        for block in to {
            debug_assert!(!self.state(block).sealed, "a way into a block that was taken as complete");
            self.state(block).preds.push(from);
        }
        let span = self.span;
        let state = self.state(from);
        debug_assert!(state.term.is_none(), "a block ends once");
        state.term = Some((term, span));
    }

    fn state(&mut self, block: BlockId) -> &mut BlockState {
        &mut self.blocks[block.0 as usize]
    }

    // Variables.

    pub fn declare(&mut self, var: Var, ty: ValueTy) {
        self.var_types.insert(var, ty);
    }

    pub fn assign(&mut self, var: Var, value: Value) {
        self.defs.insert((var, self.current), value);
    }

    pub fn read(&mut self, var: Var) -> Value {
        let value = self.definition(var, self.current);
        self.hand_over();
        value
    }

    /// What a variable is at the end of a block. Where ways join the block gets a parameter, and
    /// [`FuncBuilder::hand_over`] is left to do: a script may be long, and the stack is not.
    fn definition(&mut self, var: Var, block: BlockId) -> Value {
        let mut passed = Vec::new();
        let mut at = block;
        let value = loop {
            if let Some(&value) = self.defs.get(&(var, at)) {
                break value;
            }
            let state = self.state(at);
            if let ([pred], true) = (&state.preds[..], state.sealed) {
                let pred = *pred;
                passed.push(at);
                at = pred;
                continue;
            }
            let ty = self.var_types.get(&var).copied().unwrap_or(ValueTy::Int);
            let value = self.new_value(ty);
            let span = self.span;
            let state = self.state(at);
            if !state.sealed {
                state.params.push(value);
                state.incomplete.push((var, value));
            } else if state.preds.is_empty() {
                // The entry, or code that cannot be reached: never assigned is zero.
                state.insts.insert(0, Inst { result: Some(value), op: Op::Const(0), span });
            } else {
                state.params.push(value);
                self.joins.push((var, at));
            }
            // Known before the ways in are asked, so that loops end.
            self.defs.insert((var, at), value);
            break value;
        };
        for block in passed {
            self.defs.insert((var, block), value);
        }
        value
    }

    fn seal(&mut self, block: BlockId) {
        let state = self.state(block);
        if std::mem::replace(&mut state.sealed, true) {
            return;
        }
        for (var, _) in std::mem::take(&mut state.incomplete) {
            self.joins.push((var, block));
            self.hand_over();
        }
    }

    /// Hands variables to the new parameters of blocks on all ways in.
    fn hand_over(&mut self) {
        while let Some((var, block)) = self.joins.pop() {
            for pred in self.state(block).preds.clone() {
                let value = self.definition(var, pred);
                let Some((term, _)) = &mut self.state(pred).term else { continue };
                let edges = match term {
                    Term::Jump(edge) => vec![edge],
                    Term::Branch { then, otherwise, .. } => vec![then, otherwise],
                    Term::Return(_) => Vec::new(),
                };
                for edge in edges.into_iter().filter(|edge| edge.to == block) {
                    edge.args.push(value);
                }
            }
        }
    }

    // Instructions.

    fn new_value(&mut self, ty: ValueTy) -> Value {
        self.values.push(ValueData { ty });
        Value(self.values.len() as u32 - 1)
    }

    fn emit(&mut self, op: Op, ty: Option<ValueTy>) -> Option<Value> {
        let result = ty.map(|ty| self.new_value(ty));
        let span = self.span;
        let current = self.current;
        self.state(current).insts.push(Inst { result, op, span });
        result
    }

    fn define(&mut self, op: Op, ty: ValueTy) -> Value {
        let value = self.new_value(ty);
        let span = self.span;
        let current = self.current;
        self.state(current).insts.push(Inst { result: Some(value), op, span });
        value
    }

    pub fn int(&mut self, value: i64) -> Value {
        self.define(Op::Const(value), ValueTy::Int)
    }

    /// The null address, to compare with.
    pub fn null(&mut self) -> Value {
        self.int(0)
    }

    /// The most rounds of a loop that the kernel follows round by round. All such loops of a function share what
    /// the kernel can bear; `cost` is the number of branches in each round.
    pub fn round_limit(&mut self, cost: u32) -> Value {
        let limit = self.int(1);
        self.limits.push((limit, cost));
        limit
    }

    fn share_rounds(&mut self) {
        // The kernel gives up after 8,192 branches on one way.
        const BRANCHES: u32 = 7_000;
        let cost: u32 = self.limits.iter().map(|(_, cost)| cost).sum();
        let rounds = i64::from(BRANCHES / cost.max(1));
        let limits: FxHashSet<Value> = self.limits.iter().map(|(limit, _)| *limit).collect();
        for inst in self.blocks.iter_mut().flat_map(|block| &mut block.insts) {
            if inst.result.is_some_and(|result| limits.contains(&result)) {
                inst.op = Op::Const(rounds);
            }
        }
    }

    /// Calls a function of the module.
    pub fn call_func(&mut self, func: FuncId, args: &[Value]) -> Value {
        self.define(Op::CallFunc { func, args: args.to_vec() }, ValueTy::Int)
    }

    /// A function's address, for helpers.
    pub fn func_addr(&mut self, func: FuncId) -> Value {
        self.define(Op::FuncAddr(func), ValueTy::Ptr)
    }

    /// The program's context, had once at its start.
    pub fn ctx(&mut self) -> Value {
        if let Some(ctx) = self.ctx {
            return ctx;
        }
        let value = self.new_value(ValueTy::Ctx);
        let span = self.span;
        self.ctx = Some(value);
        let op = match self.context {
            Context::Own => Op::Ctx,
            Context::Behind(addr) => Op::Load { width: Width::W64, signed: false, addr, offset: 0 },
            Context::Parameter => {
                self.params.push(value);
                return value;
            }
        };
        self.state(BlockId(0)).insts.insert(0, Inst { result: Some(value), op, span });
        value
    }

    /// Whether a place is in the context.
    pub fn is_context(&self, place: Place) -> bool {
        self.values[place.base.0 as usize].ty == ValueTy::Ctx
    }

    /// Whether the context was asked for.
    pub fn uses_ctx(&self) -> bool {
        self.ctx.is_some()
    }

    /// Memory for this run.
    pub fn object(&mut self, name: &str, size: u32, align: u32) -> ObjectId {
        self.new_object(Object { name: name.into(), size: size.max(1), align, home: Home::Any })
    }

    /// Memory for this run that is accessed at offsets which vary.
    pub fn scratch_object(&mut self, name: &str, size: u32) -> ObjectId {
        self.object_in(Home::Scratch, name, size)
    }

    /// Memory in a certain place, aligned to 8 bytes.
    pub fn object_in(&mut self, home: Home, name: &str, size: u32) -> ObjectId {
        let object = Object { name: name.into(), size: size.max(1), align: 8, home };
        match home {
            Home::Common(number) => match self.common.get(&number) {
                Some(known) => *known,
                None => {
                    let made = self.new_object(object);
                    self.common.insert(number, made);
                    made
                }
            },
            _ => self.new_object(object),
        }
    }

    fn new_object(&mut self, object: Object) -> ObjectId {
        self.objects.push(object);
        ObjectId(self.objects.len() as u32 - 1)
    }

    /// The memory in which records are put together, which are sent before the next one begins.
    pub fn record_object(&mut self, size: u32) -> ObjectId {
        match self.record {
            Some(object) => {
                let known = &mut self.objects[object.0 as usize];
                known.size = known.size.max(size);
                object
            }
            None => {
                let object = self.scratch_object("record", size);
                self.record = Some(object);
                object
            }
        }
    }

    pub fn object_place(&mut self, object: ObjectId) -> Place {
        let base_align = self.objects[object.0 as usize].align;
        let base = self.define(Op::ObjectAddr(object, 0), ValueTy::Ptr);
        Place { base, offset: 0, base_align }
    }

    /// The place as one address, for helpers.
    pub fn addr(&mut self, place: Place) -> Value {
        if place.offset == 0 {
            return place.base;
        }
        let offset = self.int(i64::from(place.offset));
        let ty = self.values[place.base.0 as usize].ty;
        self.define(Op::Bin(BinOp::Add, place.base, offset), ty)
    }

    /// An address moved by a number of bytes that is not known before the run.
    pub fn add_bytes(&mut self, place: Place, bytes: Value) -> Place {
        let addr = self.addr(place);
        let ty = self.values[addr.0 as usize].ty;
        let base = self.define(Op::Bin(BinOp::Add, addr, bytes), ty);
        Place { base, offset: 0, base_align: 1 }
    }

    pub fn bin(&mut self, op: BinOp, lhs: Value, rhs: Value) -> Value {
        self.define(Op::Bin(op, lhs, rhs), ValueTy::Int)
    }

    pub fn bin_imm(&mut self, op: BinOp, lhs: Value, rhs: i64) -> Value {
        let rhs = self.int(rhs);
        self.bin(op, lhs, rhs)
    }

    pub fn cmp(&mut self, op: CmpOp, lhs: Value, rhs: Value) -> Value {
        self.define(Op::Cmp(op, lhs, rhs), ValueTy::Int)
    }

    pub fn extend(&mut self, from: Width, signed: bool, value: Value) -> Value {
        if from == Width::W64 { value } else { self.define(Op::Extend { from, signed, value }, ValueTy::Int) }
    }

    pub fn byte_swap(&mut self, width: Width, value: Value) -> Value {
        self.define(Op::ByteSwap(width, value), ValueTy::Int)
    }

    pub fn load(&mut self, width: Width, signed: bool, place: Place) -> Value {
        self.define(Op::Load { width, signed, addr: place.base, offset: place.offset }, ValueTy::Int)
    }

    /// Reads an address of something that the verifier knows of.
    pub fn load_address(&mut self, place: Place) -> Value {
        self.define(
            Op::Load { width: Width::W64, signed: false, addr: place.base, offset: place.offset },
            ValueTy::Ptr,
        )
    }

    pub fn store(&mut self, width: Width, place: Place, value: Value) {
        self.emit(Op::Store { width, addr: place.base, offset: place.offset, value }, None);
    }

    pub fn atomic_add(&mut self, width: Width, place: Place, value: Value) {
        self.emit(Op::AtomicAdd { width, addr: place.base, offset: place.offset, value }, None);
    }

    pub fn zero(&mut self, place: Place, len: u32) {
        if len > 0 {
            self.emit(Op::Zero { addr: place.base, offset: place.offset, len, align: place.align() }, None);
        }
    }

    pub fn copy(&mut self, dst: Place, src: Place, len: u32) {
        if len > 0 {
            let (dst_offset, src_offset) = (dst.offset, src.offset);
            let align = dst.align().min(src.align());
            self.emit(Op::Copy { dst: dst.base, dst_offset, src: src.base, src_offset, len, align }, None);
        }
    }

    pub fn map(&mut self, map: crate::ir::MapRef) -> Value {
        self.define(Op::Map(map), ValueTy::Ptr)
    }

    pub fn map_value(&mut self, map: crate::ir::MapRef, offset: u32) -> Place {
        Place::aligned(self.define(Op::MapValue(map, 0), ValueTy::Ptr)).at(offset)
    }

    pub fn runtime(&mut self, what: skep_lang::hir::Runtime) -> Value {
        self.define(Op::Runtime(what), ValueTy::Int)
    }

    pub fn cookie(&mut self) -> Value {
        let ctx = self.ctx();
        self.define(Op::Cookie(ctx), ValueTy::Int)
    }

    pub fn call(&mut self, helper: u32, args: &[Value], returns: ValueTy) -> Value {
        self.define(Op::Call { helper, args: args.to_vec(), returns, pure: false }, returns)
    }

    pub fn call_pure(&mut self, helper: u32, args: &[Value]) -> Value {
        let op = Op::Call { helper, args: args.to_vec(), returns: ValueTy::Int, pure: true };
        self.define(op, ValueTy::Int)
    }

    // The end.

    /// The finished function, without the blocks that cannot be reached. The
    /// code so far returns 0.
    pub fn finish(mut self, name: String) -> Func {
        let zero = self.int(0);
        self.terminate(Term::Return(zero));
        if !self.limits.is_empty() {
            self.share_rounds();
        }
        for block in 0..self.blocks.len() {
            self.seal(BlockId(block as u32));
        }

        let mut order = Vec::new();
        let mut place = vec![None; self.blocks.len()];
        let mut todo = vec![BlockId(0)];
        while let Some(block) = todo.pop() {
            if place[block.0 as usize].is_some() {
                continue;
            }
            place[block.0 as usize] = Some(BlockId(order.len() as u32));
            order.push(block);
            match &self.blocks[block.0 as usize].term {
                Some((Term::Jump(edge), _)) => todo.push(edge.to),
                // The branch taken comes second off the stack, so that the
                // straight way through follows at once.
                Some((Term::Branch { then, otherwise, .. }, _)) => todo.extend([otherwise.to, then.to]),
                Some((Term::Return(_), _)) | None => {}
            }
        }
        let blocks = order
            .iter()
            .map(|block| {
                let state = &mut self.blocks[block.0 as usize];
                let (mut term, term_span) =
                    state.term.take().unwrap_or((Term::Return(zero), Span::GENERATED));
                let renumber = |edge: &mut Edge| {
                    // Whatever a reachable block leads to was reached.
                    edge.to = place[edge.to.0 as usize].unwrap_or(edge.to);
                };
                match &mut term {
                    Term::Jump(edge) => renumber(edge),
                    Term::Branch { then, otherwise, .. } => {
                        renumber(then);
                        renumber(otherwise);
                    }
                    Term::Return(_) => {}
                }
                Block {
                    params: std::mem::take(&mut state.params),
                    insts: std::mem::take(&mut state.insts),
                    term,
                    term_span,
                }
            })
            .collect();
        Func {
            name,
            is_global: false,
            params: self.params,
            values: self.values,
            blocks,
            objects: self.objects,
        }
    }
}
