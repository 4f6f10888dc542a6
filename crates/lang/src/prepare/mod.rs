//! The script as written to the script as meant: imported files brought in, C text read, macros
//! expanded. What comes out is one tree of probes, functions and declarations.
//!
//! Code that came out of a macro or a C constant stands in a text of its own in the [`SourceMap`]
//! (see [`SourceMap::add_expansion`]), so that every message about it leads to the call.

mod expand;
mod hygiene;
mod imports;
mod macros;

use skep_ui::{Diagnostic, Diagnostics, FileId, SourceMap};

use crate::c;
use crate::sema::Options;
use crate::syntax::ast::{ItemKind, NodeIds, Script};
use crate::world::World;

/// A script that is ready to get its meaning.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its tree, without imports, macros and C. There always is one, whatever is wrong.
    pub script: Script,
    /// What its C text defines.
    pub c: c::Definitions,
    /// What is wrong so far. After an error nothing more can be said with certainty.
    pub diagnostics: Vec<Diagnostic>,
}

impl Prepared {
    /// A tree that needs nothing of all this.
    pub fn plain(script: Script) -> Prepared {
        Prepared { script, c: c::Definitions::default(), diagnostics: Vec::new() }
    }
}

/// Parses one file of `sources` and all that it draws in, which is added to `sources`.
pub fn prepare(sources: &mut SourceMap, file: FileId, options: &Options, world: &dyn World) -> Prepared {
    let mut ids = NodeIds::new();
    let mut diagnostics = Diagnostics::new();
    let (mut script, texts) = imports::load(sources, file, world, &mut ids, &mut diagnostics);
    if diagnostics.has_errors() {
        return Prepared { diagnostics: ordered(&diagnostics), ..Prepared::plain(script) };
    }
    let mut c = c::read(&texts, options, world, &mut diagnostics);
    let registry = macros::Registry::new(&mut script, sources, &mut diagnostics);
    expand::Expander::new(sources, &mut ids, registry, &mut c, &mut diagnostics).script(&mut script);
    script
        .items
        .retain(|item| !matches!(item.kind, ItemKind::C(_) | ItemKind::Import(_) | ItemKind::Macro(_)));
    Prepared { script, c, diagnostics: ordered(&diagnostics) }
}

fn ordered(diagnostics: &Diagnostics) -> Vec<Diagnostic> {
    diagnostics.sorted().into_iter().cloned().collect()
}
