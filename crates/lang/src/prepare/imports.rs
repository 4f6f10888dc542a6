//! `import "x";`: the files that a script draws in, and the files that those draw in.

use rustc_hash::FxHashSet;
use skep_ui::{Diagnostic, Diagnostics, FileId, SourceMap, Span, suggest};

use crate::c::CText;
use crate::stdlib;
use crate::syntax;
use crate::syntax::ast::{Item, ItemKind, NodeIds, Script};
use crate::world::{Imported, SourceText, World};

/// Parses a script and all its imports into one tree: what was imported first, as it was written
/// first. Gives the pieces of C as well, in order.
pub fn load(
    sources: &mut SourceMap,
    file: FileId,
    world: &dyn World,
    ids: &mut NodeIds,
    diagnostics: &mut Diagnostics,
) -> (Script, Vec<CText>) {
    let mut loader = Loader {
        sources,
        world,
        ids,
        diagnostics,
        seen: FxHashSet::default(),
        items: Vec::new(),
        c: Vec::new(),
    };
    let mut script = loader.parse(file);
    let own = std::mem::take(&mut script.items);
    loader.items(own, file, true);
    script.items = loader.items;
    (script, loader.c)
}

struct Loader<'a> {
    sources: &'a mut SourceMap,
    world: &'a dyn World,
    ids: &'a mut NodeIds,
    diagnostics: &'a mut Diagnostics,
    /// The names of what was imported: each file is read once.
    seen: FxHashSet<String>,
    items: Vec<Item>,
    c: Vec<CText>,
}

impl Loader<'_> {
    fn parse(&mut self, file: FileId) -> Script {
        let text = self.sources.text(file).to_owned();
        let parsed = syntax::parse_script(file, &text, self.ids);
        self.diagnostics.extend(parsed.diagnostics);
        parsed.script
    }

    fn items(&mut self, items: Vec<Item>, file: FileId, root: bool) {
        for item in items {
            match &item.kind {
                ItemKind::Import(import) => {
                    let place = Span::new(item.span.file, item.span.start, import.path.span.end);
                    self.import(&import.path.to_text(), place, file);
                }
                ItemKind::Config(_) if !root => {
                    self.diagnostics.error(item.span, "invalid `config` within import");
                }
                ItemKind::C(definition) => self.c.push(CText {
                    name: self.sources.name(file).to_owned(),
                    text: definition.text.node.clone(),
                    place: definition.text.span,
                }),
                _ => {}
            }
            self.items.push(item);
        }
    }

    fn import(&mut self, path: &str, span: Span, from: FileId) {
        if path == "stdlib" || stdlib::has_file(path) {
            // It is always there.
            return;
        }
        match self.world.import(path, self.sources.name(from)) {
            Imported::Files(files) => files.into_iter().for_each(|file| self.file(file, span)),
            Imported::Refused(reason) => self.diagnostics.error(span, reason),
            Imported::Missing { looked_at } => {
                let mut error = Diagnostic::error(span, "Unable to find suitable path for import");
                if !looked_at.is_empty() {
                    error = error.remark(format!("checked: {}", looked_at.join(",")));
                }
                if let Some(near) = suggest(path, stdlib::files().chain(["stdlib"])) {
                    error = error.help(format!("similar to builtins: {near}"));
                }
                self.diagnostics.push(error);
            }
        }
    }

    fn file(&mut self, file: SourceText, span: Span) {
        if !self.seen.insert(file.name.clone()) {
            return;
        }
        if file.name.ends_with(".bt") {
            let id = self.sources.add(file.name, file.text);
            let script = self.parse(id);
            self.items(script.items, id, false);
        } else if file.name.ends_with(".h") {
            self.c.push(CText { name: file.name, text: file.text, place: span });
        } else if file.name.ends_with(".bpf.c") || file.name.ends_with(".bpf.o") {
            self.diagnostics.push(
                Diagnostic::error(span, format!("{} cannot be imported: it has functions in C", file.name))
                    .help("There is no C compiler in here, which is why a script starts at once. Write the function in the script: `fn name($a : int64) : int64 { … }` or `macro name(a) { … }`"),
            );
        } else {
            self.diagnostics.error(span, format!("unknown import type: \"{}\"", file.name));
        }
    }
}
