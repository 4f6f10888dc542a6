//! Script text to artifact: all stages of the compiler, one after the other.

use skep_compile::artifact::Artifact;
use skep_compile::ir::Module;
use skep_lang::syntax::{self, ast};
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
    /// The tree of the text.
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

/// Compiles a script of `sources` for the kernel that `world` describes.
///
/// # Errors
///
/// Everything that is wrong with the script, warnings included.
pub fn compile(
    sources: &SourceMap,
    file: FileId,
    options: &Options,
    world: &dyn World,
) -> Result<Compiled, Diagnostics> {
    compile_observed(sources, file, options, world, |_| ())
}

/// [`compile`], showing each stage's result to `observe`.
pub(crate) fn compile_observed(
    sources: &SourceMap,
    file: FileId,
    options: &Options,
    world: &dyn World,
    mut observe: impl FnMut(Stage<'_>),
) -> Result<Compiled, Diagnostics> {
    let parsed = syntax::parse(file, sources.text(file));
    observe(Stage::Ast(&parsed.script));
    let mut diagnostics = Diagnostics::from(parsed.diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let analysed = skep_lang::analyse(&parsed.script, world, options);
    diagnostics.extend(analysed.diagnostics);
    let program = match analysed.program {
        Some(program) if !diagnostics.has_errors() => program,
        _ => return Err(diagnostics),
    };
    observe(Stage::Hir(&program));
    match generate(&program, sources, &mut observe) {
        Ok(artifact) => Ok(Compiled { artifact, warnings: diagnostics }),
        Err(error) => {
            diagnostics.push(Diagnostic::error(error.span(), error.to_string()));
            Err(diagnostics)
        }
    }
}

fn generate(
    program: &hir::Program,
    sources: &SourceMap,
    observe: &mut impl FnMut(Stage<'_>),
) -> Result<Artifact, skep_compile::Error> {
    let mut module = skep_compile::lower(program)?;
    observe(Stage::Ir(&module));
    skep_compile::optimise(&mut module);
    observe(Stage::OptimisedIr(&module));
    let artifact = skep_compile::backend::compile(module, program, sources)?;
    observe(Stage::Bpf(&artifact));
    Ok(artifact)
}
