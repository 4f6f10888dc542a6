//! Script text to artifact: all stages of the compiler, one after the other.

use std::time::Instant;

use skep_compile::artifact::Artifact;
use skep_compile::ir::Module;
use skep_lang::syntax::ast;
use skep_lang::world::World;
use skep_lang::{Options, hir};
use skep_ui::{Diagnostic, Diagnostics, FileId, SourceMap};

/// A compiled script and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Ready to be loaded.
    pub artifact: Artifact,
    /// Warnings only.
    pub warnings: Diagnostics,
}

/// What a stage of the compiler made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage<'a> {
    /// The tree of the text, macros expanded.
    Ast(&'a ast::Script),
    /// The typed program.
    Hir(&'a hir::Program),
    /// The program in SSA form.
    Ir(&'a Module),
    /// The same after optimising.
    OptimisedIr(&'a Module),
    /// Bytecode.
    Bpf(&'a Artifact),
}

/// Compiles a script of `sources` for the kernel that `world` describes. What the script draws in is
/// added to `sources`.
///
/// # Errors
///
/// Everything that is wrong with the script, warnings included.
pub fn compile(
    sources: &mut SourceMap,
    file: FileId,
    options: &Options,
    world: &dyn World,
) -> Result<Compiled, Diagnostics> {
    compile_observed(sources, file, options, world, |_, _| ())
}

/// [`compile`], showing each stage's result to `observe`.
pub(crate) fn compile_observed(
    sources: &mut SourceMap,
    file: FileId,
    options: &Options,
    world: &dyn World,
    mut observe: impl FnMut(Stage<'_>, &SourceMap),
) -> Result<Compiled, Diagnostics> {
    let begun = Instant::now();
    let prepared = skep_lang::prepare(sources, file, options, world);
    let took = begun.elapsed();
    tracing::debug!(?took, "prepared");
    observe(Stage::Ast(&prepared.script), sources);
    let begun = Instant::now();
    let analysed = skep_lang::analyse(prepared, world, options);
    let took = begun.elapsed();
    tracing::debug!(?took, "analysed");
    let mut diagnostics = Diagnostics::from(analysed.diagnostics);
    let program = match analysed.program {
        Some(program) if !diagnostics.has_errors() => program,
        _ => return Err(diagnostics),
    };
    observe(Stage::Hir(&program), sources);
    match generate(&program, sources, &mut observe) {
        Ok(artifact) => match over_limit(&artifact) {
            None => Ok(Compiled { artifact, warnings: diagnostics }),
            Some(error) => {
                diagnostics.push(error);
                Err(diagnostics)
            }
        },
        Err(error) => {
            diagnostics.push(Diagnostic::error(error.span(), error.to_string()));
            Err(diagnostics)
        }
    }
}

/// A clause that needs more programs than `max_bpf_progs` allows. One is always allowed.
fn over_limit(artifact: &Artifact) -> Option<Diagnostic> {
    let limit = (artifact.config.max_bpf_progs as usize).max(1);
    // Programs of one clause follow each other.
    let clauses = artifact.programs.chunk_by(|one, next| one.span == next.span);
    let (span, count) = clauses
        .filter_map(|clause| Some((clause.first()?.span, clause.len())))
        .find(|(_, count)| *count > limit)?;
    let problem = format!(
        "Your program is trying to generate more than {} BPF programs, which exceeds the current limit of {limit}",
        count - 1
    );
    let help = format!("Raise it with `config = {{ max_bpf_progs = {count} }}` or BPFTRACE_MAX_BPF_PROGS.");
    Some(Diagnostic::error(span, problem).help(help))
}

fn generate(
    program: &hir::Program,
    sources: &SourceMap,
    observe: &mut impl FnMut(Stage<'_>, &SourceMap),
) -> Result<Artifact, skep_compile::Error> {
    let begun = Instant::now();
    let mut module = skep_compile::lower(program)?;
    let took = begun.elapsed();
    tracing::debug!(?took, "lowered");
    observe(Stage::Ir(&module), sources);
    let begun = Instant::now();
    skep_compile::optimise(&mut module);
    let took = begun.elapsed();
    tracing::debug!(?took, "optimised");
    observe(Stage::OptimisedIr(&module), sources);
    let begun = Instant::now();
    let artifact = skep_compile::backend::compile(module, program, sources)?;
    let took = begun.elapsed();
    tracing::debug!(?took, "assembled");
    observe(Stage::Bpf(&artifact), sources);
    Ok(artifact)
}
