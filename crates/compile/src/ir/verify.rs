//! Checks that a function keeps the rules of the IR. Every stage relies on them, so debug builds run this
//! between stages; a complaint is a mistake of the compiler, never of a script.

use super::cfg::Cfg;
use super::{BinOp, BlockId, CmpOp, Edge, Func, Inst, Module, Op, Term, Value, ValueTy, Width};

/// What is wrong with a module, one sentence each; empty when all is well.
pub fn verify_module(module: &Module) -> Vec<String> {
    let all = || module.funcs.iter().chain(&module.subs);
    let mut errors: Vec<String> = all().flat_map(|func| verify(func, module.maps.len())).collect();
    for func in all() {
        for inst in func.blocks.iter().flat_map(|block| &block.insts) {
            let (callee, args) = match &inst.op {
                Op::FuncAddr(callee) => (callee, None),
                Op::CallFunc { func: callee, args } => (callee, Some(args.len())),
                _ => continue,
            };
            let known = module.subs.get(callee.0 as usize);
            if known.is_none_or(|known| args.is_some_and(|args| args != known.params.len())) {
                errors.push(format!("{}: `{}`: there is no such function", func.name, inst.op));
            }
        }
    }
    errors
}

/// What is wrong with a function of a module with that many maps; empty when all is well.
pub fn verify(func: &Func, maps: usize) -> Vec<String> {
    let mut nulls = vec![false; func.values.len()];
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::Const(0)) = (inst.result, &inst.op)
            && let Some(null) = nulls.get_mut(result.0 as usize)
        {
            *null = true;
        }
    }
    let mut checker = Checker { func, maps, nulls, errors: Vec::new() };
    checker.names();
    let places = checker.definitions();
    if checker.edges() && checker.errors.is_empty() {
        // Only a function whose indices are in range has a graph to look at.
        checker.uses(&Cfg::of(func), &places);
        checker.types();
    }
    let name = &func.name;
    checker.errors.into_iter().map(|error| format!("{name}: {error}")).collect()
}

/// Panics with the complaints and the text of the function, in debug builds only.
pub fn debug_verify(func: &Func, maps: usize, stage: &str) {
    if cfg!(debug_assertions) {
        let errors = verify(func, maps);
        assert!(errors.is_empty(), "the IR is broken after {stage}:\n{}\n{func}", errors.join("\n"));
    }
}

struct Checker<'a> {
    func: &'a Func,
    maps: usize,
    /// Which values are the constant 0.
    nulls: Vec<bool>,
    errors: Vec<String>,
}

/// Where a value is defined: before all instructions of a block (`None`), or by one of them.
type Place = (BlockId, Option<usize>);

impl Checker<'_> {
    fn error(&mut self, text: String) {
        self.errors.push(text);
    }

    fn names(&mut self) {
        let name = &self.func.name;
        if name.is_empty()
            || name.len() > 127
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            self.error("the name of a function must be 1 to 127 bytes of [A-Za-z0-9_]".into());
        }
        if self.func.params.len() > 5 {
            self.error("a function has at most five parameters".into());
        }
        for (at, object) in self.func.objects.iter().enumerate() {
            if object.size == 0 {
                self.error(format!("object o{at} has no bytes"));
            }
            if !is_alignment(object.align) {
                self.error(format!("object o{at} has the alignment {}", object.align));
            }
        }
    }

    /// Every value is defined exactly once.
    fn definitions(&mut self) -> Vec<Option<Place>> {
        let mut places = vec![None; self.func.values.len()];
        let mut define =
            |errors: &mut Vec<String>, value: Value, place: Place| match places.get_mut(value.0 as usize) {
                None => errors.push(format!("{value} is defined but not in the table of values")),
                Some(Some(_)) => errors.push(format!("{value} is defined twice")),
                Some(slot) => *slot = Some(place),
            };
        for &param in &self.func.params {
            define(&mut self.errors, param, (BlockId(0), None));
        }
        for (id, block) in self.func.blocks.iter().enumerate() {
            let id = BlockId(id as u32);
            for &param in &block.params {
                define(&mut self.errors, param, (id, None));
            }
            for (at, inst) in block.insts.iter().enumerate() {
                if let Some(result) = inst.result {
                    define(&mut self.errors, result, (id, Some(at)));
                }
            }
        }
        places
    }

    /// Edges lead to blocks with as many parameters of the same types. Whether all targets exist.
    fn edges(&mut self) -> bool {
        let func = self.func;
        let Some(entry) = func.blocks.first() else {
            self.error("there is no block".into());
            return false;
        };
        if !entry.params.is_empty() {
            self.error("the entry has parameters".into());
        }
        let mut in_range = true;
        for (id, block) in func.blocks.iter().enumerate() {
            for Edge { to, args } in block.term.edges() {
                let Some(target) = func.block(*to) else {
                    self.error(format!("block{id} leads to {to}, which does not exist"));
                    in_range = false;
                    continue;
                };
                if to.0 == 0 {
                    self.error(format!("block{id} leads back to the entry"));
                }
                if args.len() != target.params.len() {
                    self.error(format!(
                        "block{id} gives {} arguments to {to}, which has {} parameters",
                        args.len(),
                        target.params.len()
                    ));
                }
                for (arg, param) in args.iter().zip(&target.params) {
                    if self.ty(*arg) != self.ty(*param) && !self.is_null(*arg) {
                        self.error(format!(
                            "block{id} gives {arg} for {param} of {to}, which has another type"
                        ));
                    }
                }
            }
        }
        in_range
    }

    /// Every block is reachable and every use dominated by its definition.
    fn uses(&mut self, cfg: &Cfg, places: &[Option<Place>]) {
        for (id, block) in self.func.blocks.iter().enumerate() {
            let id = BlockId(id as u32);
            if !cfg.is_reachable(id) {
                self.error(format!("{id} cannot be reached"));
                continue;
            }
            for (at, inst) in block.insts.iter().enumerate() {
                inst.op.for_each_use(|value| self.one_use(cfg, places, value, id, at));
            }
            block.term.for_each_use(|value| self.one_use(cfg, places, value, id, block.insts.len()));
        }
    }

    fn one_use(&mut self, cfg: &Cfg, places: &[Option<Place>], value: Value, block: BlockId, at: usize) {
        let Some(place) = places.get(value.0 as usize) else {
            self.error(format!("{block} uses {value}, which is not in the table of values"));
            return;
        };
        let Some((home, inst)) = *place else {
            self.error(format!("{block} uses {value}, which is never defined"));
            return;
        };
        let dominated = if home == block {
            inst.is_none_or(|inst| inst < at)
        } else {
            cfg.is_reachable(home) && cfg.dominates(home, block)
        };
        if !dominated {
            self.error(format!(
                "{block} uses {value} where it need not be defined yet (it is defined in {home})"
            ));
        }
    }

    fn types(&mut self) {
        for block in &self.func.blocks {
            for inst in &block.insts {
                self.inst(inst);
            }
            match block.term {
                Term::Jump(_) => {}
                Term::Branch { op, lhs, rhs, .. } => self.compare(op, lhs, rhs, &block.term.to_string()),
                Term::Return(value) => self.want(value, &[ValueTy::Int], &block.term.to_string()),
            }
        }
    }

    fn inst(&mut self, inst: &Inst) {
        use ValueTy::{Ctx, Int, Ptr};
        let text = inst.op.to_string();
        match &inst.op {
            Op::Const(0) => self.result(inst, &[Int, Ptr]),
            Op::Const(_) | Op::Runtime(_) => self.result(inst, &[Int]),
            Op::Ctx => self.result(inst, &[Ctx]),
            Op::ObjectAddr(object, offset) => {
                match self.func.objects.get(object.0 as usize) {
                    None => self.error(format!("`{text}`: there is no such object")),
                    Some(known) if *offset > known.size => {
                        self.error(format!("`{text}`: the object has only {} bytes", known.size));
                    }
                    Some(_) => {}
                }
                self.result(inst, &[Ptr]);
            }
            Op::Map(map) | Op::MapValue(map, _) => {
                if map.0 as usize >= self.maps {
                    self.error(format!("`{text}`: there is no such map"));
                }
                self.result(inst, &[Ptr]);
            }
            Op::Cookie(ctx) => {
                self.want(*ctx, &[Ctx], &text);
                self.result(inst, &[Int]);
            }
            Op::Bin(op, a, b) => self.arithmetic(inst, *op, *a, *b, &text),
            Op::Cmp(op, a, b) => {
                self.compare(*op, *a, *b, &text);
                self.result(inst, &[Int]);
            }
            Op::Extend { value, .. } => {
                self.want(*value, &[Int], &text);
                self.result(inst, &[Int]);
            }
            Op::ByteSwap(width, value) => {
                if *width == Width::W8 {
                    self.error(format!("`{text}`: a byte has no order"));
                }
                self.want(*value, &[Int], &text);
                self.result(inst, &[Int]);
            }
            Op::Load { addr, .. } => {
                self.want(*addr, &[Ptr, Ctx], &text);
                self.result(inst, &[Int, Ptr, Ctx]);
            }
            Op::Store { addr, value, .. } => {
                self.want(*addr, &[Ptr], &text);
                self.want(*value, &[Int, Ptr, Ctx], &text);
                self.no_result(inst);
            }
            Op::AtomicAdd { width, addr, value, .. } => {
                if !matches!(width, Width::W32 | Width::W64) {
                    self.error(format!("`{text}`: atomic operations are 32 or 64 bits wide"));
                }
                self.want(*addr, &[Ptr], &text);
                // Added to zero, an address becomes a number.
                self.want(*value, &[Int, Ptr, Ctx], &text);
                if inst.result.is_some() {
                    self.result(inst, &[Int]);
                }
            }
            Op::Zero { addr, len, align, .. } => {
                self.want(*addr, &[Ptr], &text);
                self.run(*len, *align, &text);
                self.no_result(inst);
            }
            Op::Copy { dst, src, len, align, .. } => {
                self.want(*dst, &[Ptr], &text);
                self.want(*src, &[Ptr, Ctx], &text);
                self.run(*len, *align, &text);
                self.no_result(inst);
            }
            Op::FuncAddr(_) => self.result(inst, &[Ptr]),
            Op::CallFunc { args, .. } => {
                if args.len() > 5 {
                    self.error(format!("`{text}`: a function takes at most five arguments"));
                }
                if inst.result.is_some() {
                    self.result(inst, &[Int]);
                }
            }
            Op::Call { args, returns, .. } => {
                if args.len() > 5 {
                    self.error(format!("`{text}`: a helper takes at most five arguments"));
                }
                if inst.result.is_some() {
                    self.result(inst, &[*returns]);
                }
            }
        }
    }

    fn arithmetic(&mut self, inst: &Inst, op: BinOp, a: Value, b: Value, text: &str) {
        use ValueTy::{Ctx, Int, Ptr};
        let result = match (op, self.ty(a), self.ty(b)) {
            (_, Some(Int), Some(Int)) => Int,
            (BinOp::Add | BinOp::Sub, Some(base @ (Ptr | Ctx)), Some(Int)) => base,
            (BinOp::Add, Some(Int), Some(base @ (Ptr | Ctx))) => base,
            (BinOp::Sub, Some(Ptr), Some(Ptr)) => Int,
            _ => return self.error(format!("`{text}`: addresses cannot be computed with like this")),
        };
        self.result(inst, &[result]);
    }

    fn compare(&mut self, op: CmpOp, a: Value, b: Value, text: &str) {
        let same = self.ty(a) == self.ty(b);
        let with_null = matches!(op, CmpOp::Eq | CmpOp::Ne) && (self.is_null(a) || self.is_null(b));
        if !same && !with_null {
            self.error(format!("`{text}`: an address is compared with a number other than null"));
        }
    }

    fn run(&mut self, len: u32, align: u32, text: &str) {
        if len == 0 || !is_alignment(align) {
            self.error(format!("`{text}`: the length must be above 0 and the alignment 1, 2, 4 or 8"));
        }
    }

    fn want(&mut self, value: Value, types: &[ValueTy], text: &str) {
        if !self.ty(value).is_some_and(|ty| types.contains(&ty)) {
            self.error(format!("`{text}`: {value} has the wrong type"));
        }
    }

    fn result(&mut self, inst: &Inst, types: &[ValueTy]) {
        match inst.result {
            None => self.error(format!("`{}` must have a result", inst.op)),
            Some(result) => self.want(result, types, &inst.op.to_string()),
        }
    }

    fn no_result(&mut self, inst: &Inst) {
        if inst.result.is_some() {
            self.error(format!("`{}` has no result", inst.op));
        }
    }

    fn ty(&self, value: Value) -> Option<ValueTy> {
        self.func.values.get(value.0 as usize).map(|data| data.ty)
    }

    fn is_null(&self, value: Value) -> bool {
        self.nulls.get(value.0 as usize).copied().unwrap_or(false)
    }
}

fn is_alignment(align: u32) -> bool {
    matches!(align, 1 | 2 | 4 | 8)
}
