//! The tree gets its meaning: names resolved, attach points matched, everything typed.
//!
//! [`analyse`] reads top-down: settings, then expansion of clauses to units (one per program that
//! will be built), then the checker over all units until the types of variables and maps stand.
//! Builtins and kinds of probes are tables in [`builtins`] and [`providers`].

pub mod builtins;
mod check;
mod config;
pub mod ctypes;
mod expand;
mod format;
mod functions;
mod infer;
mod keys;
mod list;
mod list_types;
mod named;
mod options;
mod params;
mod pattern;
pub mod providers;
mod record;
mod registers;
pub mod testing;
mod uses;

use std::sync::Arc;

use skep_ui::{Diagnostic, Diagnostics, FileId, Severity, SourceMap};

pub use config::check_settings;
pub(crate) use expand::kernel::raw_tracepoint;
pub use list::{Listed, list, searches};
pub use list_types::list_types;
pub use named::{ProgramOption, Value};
pub use options::Options;

use crate::hir::Program;
use crate::prepare::{Prepared, prepare};
use crate::syntax::ast;
use crate::ty::Types;
use crate::world::World;
use check::Checker;

/// What came of a script.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The typed program; `None` if there is an error.
    pub program: Option<Program>,
    /// Errors and warnings, in the order of printing.
    pub diagnostics: Vec<Diagnostic>,
}

impl Analysis {
    /// The printed form of all diagnostics.
    pub fn render(&self, sources: &SourceMap, colors: skep_ui::Colors) -> String {
        self.diagnostics.iter().map(|diagnostic| diagnostic.render(sources, colors)).collect()
    }
}

/// Prepares and analyses one file of `sources`, which is given what the file draws in. A text that
/// does not parse is not analysed: what would be said about its remains is noise.
pub fn compile_front(
    sources: &mut SourceMap,
    file: FileId,
    options: &Options,
    world: &dyn World,
) -> Analysis {
    analyse(prepare(sources, file, options, world), world, options)
}

/// Gives a prepared script its meaning.
pub fn analyse(prepared: Prepared, world: &dyn World, options: &Options) -> Analysis {
    let Prepared { script, c, diagnostics } = &prepared;
    let mut diagnostics = Diagnostics::from(diagnostics.clone());
    if diagnostics.has_errors() {
        return Analysis { program: None, diagnostics: in_order(diagnostics) };
    }
    let mut config = config::settings(script.config(), &options.config, &mut diagnostics);
    config.runtime_warnings = options.runtime_warnings;
    let declarations: Vec<&ast::MapDecl> = script
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ast::ItemKind::MapDecl(declaration) => Some(declaration),
            _ => None,
        })
        .collect();
    let mut types = Types::default();
    if let Some(declared) = c.types() {
        ctypes::add_script(&mut types, Arc::clone(declared));
    }
    let named = named::values(script, options, &mut diagnostics);
    let functions = functions::Functions::of(script, &mut diagnostics);
    let context =
        expand::Context { world, options, config: &config, c, named: &named, functions: &functions };
    for complaint in providers::repeated_trials(script) {
        diagnostics.push(complaint);
    }
    let (targets, units) = expand::expand(script, &context, &mut types, &mut diagnostics);
    if u32::try_from(targets.len()).unwrap_or(u32::MAX) > config.max_probes {
        diagnostics.push(
            Diagnostic::error_without_place(format!(
                "Can't attach to {} probes because it exceeds the current limit of {} probes.",
                targets.len(),
                config.max_probes
            ))
            .help(format!(
                "Raise it with `config = {{ max_probes = {} }}` or BPFTRACE_MAX_PROBES; very many probes can slow \
                 the whole system down.",
                targets.len()
            )),
        );
    }
    let checker = Checker::new(types, &context, &units, &targets);
    let (mut program, found) = checker.run(&declarations);
    diagnostics.extend(found);
    if program.maps.iter().any(|map| program.types.size(map.key) > keys::ALWAYS_FIT)
        && let Some(most) = world.max_key_size()
    {
        keys::fit(&mut program, most, &mut diagnostics);
    }
    let failed = diagnostics.has_errors();
    Analysis { program: (!failed).then_some(program), diagnostics: in_order(diagnostics) }
}

/// The options that a script defines for itself with `getopt()`.
pub fn program_options(prepared: &Prepared) -> Vec<ProgramOption> {
    named::defined(&prepared.script, &mut Diagnostics::new())
}

/// Errors before warnings, each by place, and each only once: a clause is checked for every shape
/// of its context.
fn in_order(diagnostics: Diagnostics) -> Vec<Diagnostic> {
    let mut ordered: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics.sorted() {
        let same =
            |other: &&Diagnostic| other.span == diagnostic.span && other.severity == diagnostic.severity;
        let mut before = ordered.iter().rev().take_while(same);
        let repeated = before.any(|other| {
            // Different shapes may give different types to the same mistake.
            other.message == diagnostic.message || other.severity == Severity::Error && diagnostic.is_error()
        });
        if !repeated {
            ordered.push(diagnostic.clone());
        }
    }
    ordered
}
