//! Scripts for other machines than this one: what is asked when they are loaded instead of being a constant, and
//! what is remembered that they take for granted. See [`crate::portable`].
//!
//! All of it is for naught unless [`Options::portable`](crate::Options::portable) is set.

use skep_btf::TypeId;
use skep_ui::Span;

use super::access::read;
use super::{Checker, node};
use crate::hir::{
    Attach, BinaryOp, Expr, ExprKind, Fentry, FentryPlace, KernelPlace, Kprobe, Map, Probe, Runtime, Target,
};
use crate::portable::{self, Callee, Condition, FieldUse, Place, Question, StructName};
use crate::ty::{Bits, CType, Origin, Space, Ty, TyKind};
use crate::walk;
use crate::world::{KERNEL, World};

impl Checker<'_> {
    /// A number that is only known when the script is loaded, if it is for other machines, too.
    pub fn asked(&mut self, question: Question, span: Span) -> Option<Expr> {
        self.options.portable.then(|| self.ask(question, span))
    }

    /// The answer to a question, a `uint64`.
    pub(super) fn ask(&mut self, question: Question, span: Span) -> Expr {
        let questions = &mut self.portable.questions;
        let known = questions.iter().position(|known| *known == question);
        let index = known.unwrap_or_else(|| {
            questions.push(question);
            questions.len() - 1
        });
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        node(ExprKind::Runtime(Runtime::Asked(index)), Ty::U64, span)
    }

    fn require(&mut self, condition: Condition) {
        if !self.portable.conditions.contains(&condition) {
            self.portable.conditions.push(condition);
        }
    }

    /// Remembers that the script knows the size of a type.
    pub fn size_matters(&mut self, ty: Ty) {
        if !self.options.portable {
            return;
        }
        if let TyKind::Array { elem, .. } = *self.types.kind(ty) {
            return self.size_matters(elem);
        }
        if let Some((of, _)) = self.kernel_struct(ty) {
            let size = self.types.size(ty).into();
            self.require(Condition::Size { of, size });
        }
    }

    /// Remembers that the script knows the value of a constant of the kernel's.
    pub fn enumerator_matters(&mut self, ty: Ty, name: &str, value: i128) {
        let TyKind::Enum(of) = *self.types.kind(ty) else { return };
        if self.options.portable && self.module_of(of).is_some() {
            self.require(Condition::Enumerator { name: name.to_owned(), value });
        }
    }

    /// Remembers that the script knows where a field is.
    pub fn place_matters(&mut self, of: Ty, name: &str) {
        if let Some(used) = self.field_use(of, name, None) {
            self.require(Condition::Field(used));
        }
    }

    /// A field of what a pointer points to, so many bytes further on, if its place has to be asked for.
    pub fn portable_field(
        &mut self,
        pointer: &Expr,
        offset: i64,
        of: Ty,
        name: &str,
        found: (Ty, Option<Bits>),
        span: Span,
    ) -> Option<Expr> {
        if !self.options.portable {
            return None;
        }
        let TyKind::Ptr { space, .. } = *self.types.kind(pointer.ty) else { return None };
        if space == Space::Context {
            self.place_matters(of, name);
            return None;
        }
        // A struct without a name is looked for from the one that it is in.
        let before = if offset == 0 { self.last_asked(pointer) } else { None };
        let (start, before) = match before {
            Some((start, before)) if self.kernel_struct(of).is_none() => (start, Some(before)),
            _ => (pointer, None),
        };
        let used = self.field_use(of, name, before)?;
        let (ty, bits) = found;
        let place = self.ask(Question::Offset(used.clone()), span);
        let moved = self.force(start.clone(), Ty::U64);
        let moved = binary(BinaryOp::Add, moved, place, Ty::U64);
        let Some(_) = bits else {
            let to = self.types.ptr(ty, space);
            let moved = self.force(moved, to);
            return Some(read(moved, offset, None, ty, span));
        };
        let word = self.types.int(used.place.word.saturating_mul(8), false);
        let to = self.types.ptr(word, space);
        let moved = self.force(moved, to);
        let word = read(moved, offset, None, word, span);
        let signed = self.types.as_int(ty).is_some_and(|(_, signed)| signed);
        let wide = if signed { Ty::I64 } else { Ty::U64 };
        let word = self.force(word, wide);
        let up = self.ask(Question::ShiftUp(used.clone()), span);
        let down = self.ask(Question::ShiftDown(used), span);
        let value = binary(BinaryOp::Shr, binary(BinaryOp::Shl, word, up, wide), down, wide);
        Some(self.force(value, ty))
    }

    /// A pointer that is another one moved to a field: that one and the field.
    fn last_asked<'e>(&self, pointer: &'e Expr) -> Option<(&'e Expr, FieldUse)> {
        let mut at = pointer;
        while let ExprKind::Cast(inner) = &at.kind {
            at = inner;
        }
        let ExprKind::Binary { op: BinaryOp::Add, lhs, rhs } = &at.kind else { return None };
        let ExprKind::Runtime(Runtime::Asked(index)) = rhs.kind else { return None };
        match self.portable.questions.get(index as usize)? {
            Question::Offset(used) => Some((lhs, used.clone())),
            _ => None,
        }
    }

    /// How a field is found again, beginning at `before` if its struct has no name.
    fn field_use(&mut self, of: Ty, name: &str, before: Option<FieldUse>) -> Option<FieldUse> {
        if !self.options.portable {
            return None;
        }
        let (of, mut path) = match (before, self.kernel_struct(of)) {
            (Some(before), None) => (before.of, before.path),
            (_, Some((of, _))) => (of, Vec::new()),
            (None, None) => {
                self.require_same_kernel(of, name);
                return None;
            }
        };
        path.push(name.to_owned());
        let origin = match of.module.as_str() {
            KERNEL => Origin::Kernel,
            module => Origin::Module(module.into()),
        };
        let source = self.types.source_of(&origin)?;
        let btf = self.types.source(source)?.btf.clone();
        let kind = if of.union { skep_btf::Kind::Union } else { skep_btf::Kind::Struct };
        let found = portable::member(&btf, btf.find(kind, &of.name)?, &path)?;
        let word = btf.size_of(found.ty).ok().and_then(|size| u8::try_from(size).ok()).unwrap_or(8);
        let (place, shape) = (Place::of(&found, word), portable::shape(&btf, found.ty));
        Some(FieldUse { of, path, place, shape })
    }

    fn require_same_kernel(&mut self, of: Ty, name: &str) {
        let TyKind::Struct { of: ctype, .. } = *self.types.kind(of) else { return };
        if self.module_of(ctype).is_none() {
            return;
        }
        let what = format!("{}.{name}", self.type_name(of));
        let version = self.world.kernel_version().unwrap_or_default();
        self.require(Condition::Kernel { what, version });
    }

    /// Where a type comes from, if it is the kernel's or a module's.
    fn module_of(&self, ctype: CType) -> Option<String> {
        match &self.types.source(ctype.source)?.origin {
            Origin::Kernel => Some(KERNEL.to_owned()),
            Origin::Module(module) => Some(module.to_string()),
            Origin::Script | Origin::Binary(_) => None,
        }
    }

    /// The name of a struct of the kernel's, if it has one, and its id.
    fn kernel_struct(&self, ty: Ty) -> Option<(StructName, TypeId)> {
        let TyKind::Struct { of, .. } = *self.types.kind(ty) else { return None };
        let module = self.module_of(of)?;
        let (union, name) = match self.types.struct_of(ty)?.name.split_once(' ')? {
            ("struct", name) => (false, name),
            ("union", name) => (true, name),
            _ => return None,
        };
        let named = !name.starts_with('{') && !name.starts_with('(');
        named.then(|| (StructName { module, union, name: name.to_owned() }, of.id))
    }

    /// Remembers what the finished program takes for granted: what its probes are handed, the programs they are in,
    /// and the structs that it takes whole.
    pub(super) fn remember_conditions(&mut self, probes: &mut [Probe], maps: &[Map]) {
        if !self.options.portable {
            return;
        }
        for unit in self.units {
            for target in &unit.targets {
                let Some(target) = self.targets.get(target.0 as usize) else { continue };
                let mut used: Vec<&str> = unit.shape.field_names().collect();
                if unit.shape.retval.is_some() {
                    used.push(portable::RESULT);
                }
                if let Some(condition) = given(target, &used, self.world) {
                    self.require(condition);
                }
            }
        }
        let mut whole: Vec<Ty> = maps.iter().flat_map(|map| [map.key, map.value]).collect();
        for probe in probes {
            for (_, body) in probe.bodies_mut() {
                walk::in_block_mut(body, &mut |expr| whole.push(expr.ty));
            }
        }
        whole.sort_unstable();
        whole.dedup();
        for ty in whole {
            self.layout_matters(ty, false);
        }
    }

    /// Remembers the layout of the structs in a type. `within`: it is a part of one that is remembered, and with it
    /// what has no name of its own.
    fn layout_matters(&mut self, ty: Ty, within: bool) {
        match self.types.kind(ty) {
            TyKind::Array { elem, .. } => self.layout_matters(*elem, within),
            TyKind::Tuple(_) | TyKind::Record(_) => {
                self.types.elems(ty).into_iter().for_each(|elem| self.layout_matters(elem, within));
            }
            TyKind::Struct { of, .. } => {
                let source = of.source;
                let Some((of, id)) = self.kernel_struct(ty) else {
                    return if within { self.layouts_in(ty) } else { self.require_same_kernel(ty, "*") };
                };
                let Some(btf) = self.types.source(source).map(|source| source.btf.clone()) else { return };
                let condition = Condition::Layout {
                    of,
                    size: self.types.size(ty).into(),
                    fields: portable::layout(&btf, id),
                };
                if self.portable.conditions.contains(&condition) {
                    return;
                }
                self.require(condition);
                self.layouts_in(ty);
            }
            _ => {}
        }
    }

    fn layouts_in(&mut self, of: Ty) {
        let fields = self.types.struct_of(of).and_then(|known| known.fields.clone());
        fields.iter().flat_map(|fields| fields.iter()).for_each(|field| self.layout_matters(field.ty, true));
    }
}

/// What a probe takes for granted about what it is handed, of which it uses these fields, and where it is.
fn given(target: &Target, used: &[&str], world: &dyn World) -> Option<Condition> {
    let callee = match &target.attach {
        Attach::Tracepoint { category, event } if !used.is_empty() => {
            let format = world.tracepoint_format(category, event).ok()?;
            let fields = format.fields.iter().filter(|field| used.contains(&field.name.as_str()));
            let fields = fields.map(|field| (field.name.clone(), field.offset, field.size)).collect();
            return Some(Condition::Record { category: category.clone(), event: event.clone(), fields });
        }
        Attach::Uprobe(crate::hir::Uprobe { path, .. }) | Attach::Usdt(crate::hir::Usdt { path, .. }) => {
            let identity = world.user_space().identity(path).ok()?;
            return Some(Condition::Program { path: path.clone(), identity });
        }
        Attach::RawTracepoint { module, event } => Callee::RawTracepoint(module.clone(), event.clone()),
        Attach::Kprobe(Kprobe { place: KernelPlace::Function { module, name, .. }, .. }) => {
            Callee::Function(module.clone().unwrap_or_else(|| KERNEL.to_owned()), name.clone())
        }
        Attach::Fentry(Fentry { place: FentryPlace::Kernel { module, name }, .. }) => {
            Callee::Function(module.clone(), name.clone())
        }
        _ => return None,
    };
    if used.is_empty() {
        return None;
    }
    let mut params = callee.parameters(world).ok()?;
    params.retain(|(name, ..)| used.contains(&name.as_str()));
    Some(Condition::Parameters { of: callee, params })
}

fn binary(op: BinaryOp, lhs: Expr, rhs: Expr, ty: Ty) -> Expr {
    let span = lhs.span;
    node(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, ty, span)
}
