//! The checker: one walk over the clauses that finds the type of everything and writes the typed
//! program on the way.
//!
//! Types of variables and maps depend on each other over the whole script, so the walk is repeated:
//! each pass joins what it learns into the tables, until a pass learns nothing. Complaints and code
//! of all passes but the last are thrown away.

mod access;
mod assign;
mod cast;
mod comptime;
mod convert;
mod expr;
mod functions;
mod literal;
mod loops;
mod maps;
mod operators;
mod portable;
mod reach;
mod scope;
mod stmt;
mod typeinfo;
mod types;

use rustc_hash::FxHashMap;
use skep_ui::{Diagnostic, Diagnostics, Span};

pub use maps::MapInfo;
pub use reach::word;

use super::expand::{Context, Unit};
use super::infer;
use super::named::Value;
use super::options::Options;
use crate::c::Definitions;
use crate::hir::{self, Abilities, Config, Expr, ExprKind, Probe, Program, Target, Unstable};
use crate::portable::Portable;
use crate::syntax::ast;
use crate::ty::{Ty, Types};
use crate::walk;
use crate::world::{World, WorldError};

/// What is known so far.
pub struct Checker<'a> {
    /// All types of the program.
    pub types: Types,
    /// The caller's wishes.
    pub options: &'a Options,
    /// The settings.
    pub config: Config,
    /// The complaints of this pass.
    pub diagnostics: Diagnostics,
    /// The maps, in order of appearance.
    pub maps: Vec<MapInfo>,
    /// The place of each in there, by its name.
    map_places: FxHashMap<String, usize>,
    /// The values of the script's own options.
    pub named: &'a FxHashMap<String, Value>,
    /// What the script's C text defines.
    pub c: &'a Definitions,
    /// The kernel.
    pub world: &'a dyn World,
    /// Why the kernel's types could not be looked at, if something needed them.
    pub untold: Option<WorldError>,
    /// How many loops stand around what is being checked.
    loops: u32,
    /// What is known of the kernel's abilities.
    abilities: Abilities,
    units: &'a [Unit<'a>],
    targets: &'a [Target],
    /// See [`Program::texts`].
    texts: indexmap::IndexSet<String>,
    /// See [`Program::portable`].
    portable: Portable,
    /// The variables of each unit: those of its clause, then those of each function that it reaches.
    locals: Vec<Vec<scope::Locals>>,
    /// The signatures of the functions that each unit reaches.
    signatures: Vec<Vec<functions::Signature>>,
    /// Index of the unit that is being checked.
    current: usize,
    /// The place in the unit of the function that is being checked; `None` for the clause.
    function: Option<usize>,
    /// Whether this pass learnt something.
    changed: bool,
}

/// More passes than any script needs that is not built to need them: each pass but the last widens
/// a type, and types have few widths.
const MAX_PASSES: usize = 100;

impl<'a> Checker<'a> {
    /// A checker that knows nothing yet.
    pub fn new(
        types: Types,
        context: &Context<'a>,
        units: &'a [Unit<'a>],
        targets: &'a [Target],
    ) -> Checker<'a> {
        Checker {
            types,
            options: context.options,
            config: context.config.clone(),
            loops: 0,
            abilities: Abilities::default(),
            named: context.named,
            c: context.c,
            world: context.world,
            untold: None,
            diagnostics: Diagnostics::new(),
            maps: Vec::new(),
            map_places: FxHashMap::default(),
            units,
            targets,
            texts: indexmap::IndexSet::new(),
            portable: Portable::default(),
            locals: units
                .iter()
                .map(|unit| (0..=unit.functions.defs.len()).map(|_| scope::Locals::default()).collect())
                .collect(),
            signatures: units
                .iter()
                .map(|unit| unit.functions.defs.iter().map(|_| functions::Signature::default()).collect())
                .collect(),
            current: 0,
            function: None,
            changed: false,
        }
    }

    /// Checks everything. The program means something only if there is no error among the
    /// diagnostics.
    pub fn run(mut self, declarations: &[&ast::MapDecl]) -> (Program, Diagnostics) {
        let mut probes = self.pass(declarations);
        for _ in 0..MAX_PASSES {
            // What nothing gave a type is an integer, and that may tell about others.
            if !self.changed && !self.default_unknown_maps() {
                break;
            }
            probes = self.pass(declarations);
        }
        if self.changed {
            self.diagnostics.push(Diagnostic::error_without_place(
                "The types of variables and maps depend on each other too deeply to be found out",
            ));
        }
        self.refuse_long_texts(&mut probes);
        self.finish(probes)
    }

    fn pass(&mut self, declarations: &[&ast::MapDecl]) -> Vec<Probe> {
        self.changed = false;
        self.diagnostics = Diagnostics::new();
        self.portable = Portable::default();
        for map in &mut self.maps {
            map.used = false;
            map.pending = false;
        }
        self.declare_maps(declarations);
        let units = self.units;
        let mut probes = Vec::with_capacity(units.len());
        for (index, unit) in units.iter().enumerate() {
            self.current = index;
            probes.push(self.unit(unit));
        }
        self.warn_unused_maps();
        probes
    }

    /// The unit that is being checked.
    pub fn unit_in_hand(&self) -> &'a Unit<'a> {
        let units = self.units;
        &units[self.current]
    }

    /// The names of the probes that the unit attaches to.
    pub fn target_name(&self) -> &str {
        let first = self.unit_in_hand().targets.first();
        first.and_then(|id| self.targets.get(id.0 as usize)).map_or("", |target| &target.name)
    }

    fn finish(mut self, mut probes: Vec<Probe>) -> (Program, Diagnostics) {
        let types = &mut self.types;
        for probe in &mut probes {
            for (locals, body) in probe.bodies_mut() {
                walk::in_block_mut(body, &mut |expr| {
                    expr.ty = infer::settle(types, expr.ty);
                    // Values of it may travel to user space.
                    types.complete(expr.ty);
                });
                for local in locals {
                    local.ty = infer::settle(types, local.ty);
                }
            }
            for function in &mut probe.functions {
                function.ret = infer::settle(types, function.ret);
            }
        }
        let maps = self.finish_maps();
        for map in &maps {
            self.types.complete(map.key);
            self.types.complete(map.value);
        }
        self.remember_conditions(&mut probes, &maps);
        let in_pid_namespace = self.options.portable || self.world.in_pid_namespace();
        let program = Program {
            types: self.types,
            maps,
            targets: self.targets.to_vec(),
            probes,
            config: self.config,
            in_pid_namespace,
            texts: self.texts.into_iter().collect(),
            abilities: self.abilities,
            portable: self.portable,
        };
        (program, self.diagnostics)
    }

    /// The name of a type, as messages spell it.
    pub fn type_name(&mut self, ty: Ty) -> String {
        infer::name(&mut self.types, ty)
    }

    /// The place of a text in [`Program::texts`].
    pub fn kept_text(&mut self, text: &str) -> u64 {
        self.texts.insert_full(text.to_owned()).0 as u64
    }

    /// The kernel, for builtins that look something up.
    pub fn world(&self) -> &'a dyn World {
        self.world
    }

    /// Whether a feature that may still change is allowed, with what there is to say about that.
    pub fn may_use(&mut self, feature: &str, setting: Unstable, span: Span) -> bool {
        // It may be followed by what it is.
        let key = format!("unstable_{}", feature.split(' ').next().unwrap_or(feature));
        match setting {
            Unstable::Enable => {}
            Unstable::Warn => {
                let warning = Diagnostic::warning_without_place(format!(
                    "Script is using an unstable feature: {feature}. To prevent this warning you must explicitly enable it in the config e.g. {key}=enable"
                ));
                // Once is enough.
                if !self.diagnostics.iter().any(|known| known.message == warning.message) {
                    self.diagnostics.push(warning);
                }
            }
            Unstable::Error => self.diagnostics.error(
                span,
                format!(
                    "{feature} feature is not enabled by default. To enable this unstable feature, set the config flag to enable. {key}=enable"
                ),
            ),
        }
        setting != Unstable::Error
    }

    /// The code that unwinds stacks depends on the kernel, which a portable script takes for a new one.
    pub fn ask_for_user_registers(&mut self) {
        if self.options.portable || self.world.has_task_pt_regs() {
            return;
        }
        let task = self.named_ctype(Some(ast::TypeTag::Struct), "task_struct");
        let stack = task.and_then(|task| {
            let task = self.defined(task);
            self.types.field(task, "stack").map(|field| field.offset)
        });
        // Without any types the helper is what is left to be refused.
        if let Some(offset) = stack {
            self.abilities.user_registers = hir::UserRegisters::OnKernelStack(offset);
        }
    }

    /// Reports an error and gives the expression that stands for it.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> Expr {
        self.diagnostics.error(span, message);
        self.broken(span)
    }

    /// Reports an error with advice, and gives the expression that stands for it.
    pub fn error_with_help(&mut self, span: Span, message: &str, help: &str) -> Expr {
        self.diagnostics.push(Diagnostic::error(span, message).help(help));
        self.broken(span)
    }

    /// The expression that stands for something complained about, or not known yet.
    pub fn broken(&self, span: Span) -> Expr {
        Expr { kind: ExprKind::Int(0), ty: Ty::ERROR, span }
    }

    /// Says that a part of the language is still missing.
    pub fn unsupported(&mut self, span: Span, what: &str) -> Expr {
        self.error(span, format!("{what} not supported yet"))
    }
}

/// An expression.
pub fn node(kind: ExprKind, ty: Ty, span: Span) -> Expr {
    Expr { kind, ty, span }
}

/// A statement.
pub fn stmt(kind: hir::StmtKind, span: Span) -> hir::Stmt {
    hir::Stmt { kind, span }
}
