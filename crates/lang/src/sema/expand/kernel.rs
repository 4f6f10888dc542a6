//! What functions of the kernel and raw tracepoints are handed, and what functions return: by their types.

use skep_btf::{Btf, Kind, Type, TypeId};
use skep_ui::{Diagnostic, Span, suggest};

use super::{Candidate, Filled, LeftOut, Shape, Shaper};
use crate::hir::{Attach, Fentry, FentryPlace, KernelPlace, Kprobe, ProbeKind};
use crate::sema::ctypes;
use crate::sema::providers::{Arguments, ReturnValue};
use crate::sema::record::{Access, AccessKind, TextPointer};
use crate::sema::registers::{self, Argument};
use crate::ty::{Signature, SourceId, Space, Ty, TyKind};
use crate::world::{KERNEL, WorldError};

/// A function's arguments and result as the context holds them.
struct Context {
    /// Names and places.
    args: Vec<(Box<str>, Access)>,
    /// Where the result is.
    result: Access,
}

impl Shaper<'_, '_> {
    /// The named arguments of what the candidate attaches to.
    pub(super) fn fill_arguments(&mut self, candidate: &Candidate, shape: &mut Shape) -> Filled {
        let context = match self.context_of(candidate, shape) {
            Ok(context) => context,
            Err(problem) => return self.untyped("args", problem, candidate, shape),
        };
        let mut filled = Filled::Yes;
        for (name, span) in &self.uses.fields {
            let found = context.args.iter().find(|(known, _)| **known == **name);
            let access = match found {
                Some((_, access)) => *access,
                None => {
                    let complaint = no_parameter(*span, name, &context);
                    if candidate.target.wildcard {
                        let left = LeftOut { name: candidate.target.name.clone(), complaint };
                        self.left_out.entry(name.clone()).or_default().push(left);
                        return Filled::LeftOut;
                    }
                    self.diagnostics.push(complaint);
                    shape.fields.push((name.clone(), None));
                    filled = Filled::Failed;
                    continue;
                }
            };
            shape.fields.push((name.clone(), Some(access)));
        }
        if self.uses.whole.is_some() {
            let reached = context.args.iter().map(|(name, access)| (name, *access));
            self.whole(reached, shape);
        }
        if self.uses.text_pointer.is_some() {
            shape.text = Some(self.only_text(&context));
            if let (Some(span), Some(TextPointer::Several(names))) = (self.uses.text_pointer, &shape.text) {
                let problem = format!("str(args) is ambiguous: {} has several texts", candidate.target.name);
                self.diagnostics
                    .push(Diagnostic::error(span, problem).help(format!("Choose one: {}", names.join(", "))));
                filled = Filled::Failed;
            }
        }
        filled
    }

    /// Takes all arguments for `args` as a whole, but those that the language has no type for or that no place is known
    /// of.
    pub(super) fn whole<'n>(&self, args: impl Iterator<Item = (&'n Box<str>, Access)>, shape: &mut Shape) {
        for (name, access) in args {
            if name.is_empty() || !self.has_values(access.ty) {
                continue;
            }
            shape.whole.push(name.to_string());
            if shape.field(name).is_none() {
                shape.fields.push((name.to_string(), Some(access)));
            }
        }
    }

    fn has_values(&self, ty: Ty) -> bool {
        !matches!(self.types.kind(ty), TyKind::Opaque { .. } | TyKind::Error | TyKind::Void)
    }

    /// What a program at a function's entry or exit needs to know of it beside named arguments: where the result is, and
    /// that there are as many arguments as are asked for by number.
    pub(super) fn fill_function(&mut self, candidate: &Candidate, shape: &mut Shape) -> Filled {
        if candidate.provider.offers.return_value == ReturnValue::Register && self.uses.follows_retval {
            self.fill_pointer(candidate, shape);
        }
        if !matches!(candidate.target.attach, Attach::Fentry(_)) || candidate.unverified {
            return Filled::Yes;
        }
        let offers = candidate.provider.offers;
        let retval = self.uses.retval.filter(|_| offers.return_value != ReturnValue::Nowhere);
        let numbered = self.uses.last_numbered().filter(|_| offers.arguments == Arguments::Words);
        if retval.is_none() && numbered.is_none() {
            return Filled::Yes;
        }
        let context = match self.context_of(candidate, shape) {
            Ok(context) => context,
            Err(problem) => return self.untyped("retval", problem, candidate, shape),
        };
        if let Some((number, span)) = numbered
            && number as usize >= context.args.len()
        {
            let complaint = Diagnostic::error(
                span,
                format!(
                    "{} has {} arguments; there is no arg{number}",
                    candidate.target.name,
                    context.args.len()
                ),
            );
            if candidate.target.wildcard {
                let left = LeftOut { name: candidate.target.name.clone(), complaint };
                self.left_out.entry(format!("arg{number}")).or_default().push(left);
                return Filled::LeftOut;
            }
            self.diagnostics.push(complaint);
            return Filled::Failed;
        }
        if let Some(span) = retval {
            if context.result.ty == Ty::VOID {
                let name = &candidate.target.name;
                self.diagnostics.error(span, format!("{name} returns nothing"));
                return Filled::Failed;
            }
            // What stands in for a kretprobe gives what that would give: all 64 bits.
            let as_word = offers.return_value == ReturnValue::LastWord;
            shape.retval =
                Some(if as_word { Access { ty: Ty::U64, ..context.result } } else { context.result });
        }
        Filled::Yes
    }

    /// The pointer that a function returns in its register, for a clause that follows it. What is no pointer, or not
    /// known to be one, is the number that it always is.
    fn fill_pointer(&mut self, candidate: &Candidate, shape: &mut Shape) {
        let result = match &candidate.target.attach {
            Attach::Kprobe(_) => self.context_of(candidate, shape).ok().map(|context| context.result),
            _ => self.result_of_program(candidate, shape),
        };
        shape.retval = result.filter(|access| matches!(self.types.kind(access.ty), TyKind::Ptr { .. }));
    }

    /// A candidate whose types are not known.
    fn untyped(&mut self, what: &str, problem: String, candidate: &Candidate, shape: &mut Shape) -> Filled {
        let span = self.uses.args.or(self.uses.retval).unwrap_or(candidate.span);
        let complaint = Diagnostic::error(span, "Cannot read function parameters").help(problem);
        if candidate.target.wildcard {
            let left = LeftOut { name: candidate.target.name.clone(), complaint };
            self.left_out.entry(what.to_owned()).or_default().push(left);
            return Filled::LeftOut;
        }
        self.diagnostics.push(complaint);
        shape.fields = self.uses.fields.iter().map(|(name, _)| (name.clone(), None)).collect();
        Filled::Failed
    }

    fn context_of(&mut self, candidate: &Candidate, shape: &mut Shape) -> Result<Context, String> {
        let (source, signature) = self.signature(candidate)?;
        if self.types.source(source).is_some_and(|source| source.btf.base().is_some()) {
            shape.sources = vec![source];
        }
        if candidate.provider.kind == ProbeKind::Kprobe {
            return Ok(self.as_called(signature));
        }
        let mut slot = 0;
        let mut args = Vec::with_capacity(signature.params.len());
        for (name, ty) in signature.params {
            args.push((name, Access { kind: AccessKind::Direct, offset: slot * 8, ty }));
            slot += self.types.size(ty).div_ceil(8).max(1);
        }
        let result = Access { kind: AccessKind::Direct, offset: slot * 8, ty: signature.result };
        Ok(Context { args, result })
    }

    /// The arguments where the calling convention puts them.
    fn as_called(&self, signature: Signature) -> Context {
        let mut places = registers::Arguments::default();
        let mut args = Vec::with_capacity(signature.params.len());
        for (name, ty) in signature.params {
            let access = match places.next(self.types.size(ty)) {
                Argument::Register(offset) if self.types.is_memory(ty) => {
                    Access { kind: AccessKind::Registers { second: None }, offset, ty }
                }
                Argument::Register(offset) => Access { kind: AccessKind::Direct, offset, ty },
                Argument::Pair(offset, second) => {
                    Access { kind: AccessKind::Registers { second: Some(second) }, offset, ty }
                }
                Argument::Stack(offset) => Access { kind: AccessKind::Stack(Space::Kernel), offset, ty },
            };
            args.push((name, access));
        }
        let offset = registers::RETURN_VALUE;
        Context { args, result: Access { kind: AccessKind::Direct, offset, ty: signature.result } }
    }

    fn signature(&mut self, candidate: &Candidate) -> Result<(SourceId, Signature), String> {
        let (module, name) = match &candidate.target.attach {
            Attach::RawTracepoint { module, event } => return self.raw_tracepoint(module, event),
            Attach::Kprobe(Kprobe { place: KernelPlace::Function { module, name, offset: 0 }, .. }) => {
                (module.as_deref(), name)
            }
            Attach::Fentry(Fentry { place: FentryPlace::Kernel { module, name }, .. }) => {
                (Some(module.as_str()), name)
            }
            Attach::Fentry(Fentry { place: FentryPlace::Program { .. }, .. }) => {
                return Err("The arguments of BPF programs are not known.".into());
            }
            _ => return Err("What is known at a function's start is not known inside it.".into()),
        };
        let world = self.context.world;
        if let Some(found) = self.signature_in(module.unwrap_or(KERNEL), name)? {
            return Ok(found);
        }
        // A kprobe need not say in which module its function is.
        let all = if module.is_none() { world.functions().ok() } else { None };
        for (module, _) in all.iter().flat_map(|all| all.iter()).filter(|(m, f)| *f == name && *m != KERNEL) {
            if let Ok(Some(found)) = self.signature_in(module, name) {
                return Ok(found);
            }
        }
        Err(format!("The kernel's types do not describe {name}."))
    }

    /// A function as the types of a module describe it.
    fn signature_in(&mut self, module: &str, name: &str) -> Result<Option<(SourceId, Signature)>, String> {
        let told = |error: WorldError| error.to_string();
        let source = ctypes::module(self.types, self.context.world, module).map_err(told)?;
        let id = self.types.source(source).and_then(|source| source.btf.find_own(Kind::Func, name));
        Ok(id.and_then(|id| Some((source, self.types.signature(source, id, Space::Kernel)?))))
    }

    /// The kernel describes what a tracepoint's programs are handed as a function, behind what is its own.
    fn raw_tracepoint(&mut self, module: &str, event: &str) -> Result<(SourceId, Signature), String> {
        let told = |error: WorldError| error.to_string();
        let source = ctypes::module(self.types, self.context.world, module).map_err(told)?;
        let proto = self.types.source(source).and_then(|source| raw_tracepoint(&source.btf, event));
        let mut signature = proto
            .and_then(|proto| self.types.signature(source, proto, Space::Kernel))
            .ok_or_else(|| format!("The kernel's types do not describe the tracepoint {event}."))?;
        if !signature.params.is_empty() {
            signature.params.remove(0);
        }
        Ok((source, signature))
    }

    /// The only argument that points to a text.
    fn only_text(&self, context: &Context) -> TextPointer {
        // The kernel's characters have no sign.
        let is_text = |ty: Ty| matches!(self.types.kind(ty), TyKind::Ptr { to, .. } if *to == Ty::U8);
        let texts: Vec<_> = context.args.iter().filter(|(_, access)| is_text(access.ty)).collect();
        match texts.as_slice() {
            [] => TextPointer::None,
            [(_, access)] => TextPointer::One(*access),
            several => TextPointer::Several(several.iter().map(|(name, _)| name.to_string()).collect()),
        }
    }
}

/// The function, or else its prototype, that is called as a raw tracepoint's programs are: its first parameter is the
/// tracepoint's own.
pub(crate) fn raw_tracepoint(btf: &Btf, event: &str) -> Option<TypeId> {
    // These have names for their parameters; which of them there are depends on the kernel.
    const FUNCTIONS: [&str; 3] = ["__traceiter_", "__probestub_", "__bpf_trace_"];
    let function = |prefix: &&str| btf.find(Kind::Func, &format!("{prefix}{event}"));
    FUNCTIONS.iter().find_map(function).or_else(|| {
        let typedef = btf.find(Kind::Typedef, &format!("btf_trace_{event}"))?;
        let Type::Typedef { target, .. } = btf.get(typedef)? else { return None };
        match btf.get(target)? {
            Type::Ptr { target } => Some(target),
            _ => None,
        }
    })
}

fn no_parameter(span: Span, name: &str, context: &Context) -> Diagnostic {
    let diagnostic = Diagnostic::error(span, format!("Can't find function parameter {name}"));
    let names: Vec<&str> = context.args.iter().map(|(name, _)| &**name).collect();
    match suggest(name, names.iter().copied()) {
        _ if names.is_empty() => diagnostic.help("It has none."),
        Some(near) => diagnostic.help(format!("Did you mean '{near}'? Parameters: {}", names.join(", "))),
        None => diagnostic.help(format!("Parameters: {}", names.join(", "))),
    }
}
