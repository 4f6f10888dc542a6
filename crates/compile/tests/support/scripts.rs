//! Scripts on the way to the compiler, against the fixture of a kernel.

use std::path::Path;

use skep_compile::artifact::Artifact;
use skep_compile::ir::Module;
use skep_compile::{backend, lower, optimise};
use skep_lang::hir::Program;
use skep_lang::sema::testing::Fixture;
use skep_lang::{Options, compile_front};
use skep_ui::{Colors, SourceMap};

/// The scripts of `tests/scripts`: name and text.
pub fn all() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bt"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, text)
        })
        .collect();
    scripts.sort();
    scripts
}

/// The typed program of a script without errors.
pub fn front(name: &str, text: &str) -> (Program, SourceMap) {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let analysis = compile_front(&mut sources, file, &options(text), &Fixture::default());
    let said = analysis.render(&sources, Colors::Never);
    (analysis.program.unwrap_or_else(|| panic!("{said}\n{text}")), sources)
}

/// The optimised IR of a script and what is made of it.
pub fn compile(name: &str, text: &str) -> (Module, Artifact, SourceMap) {
    let (program, sources) = front(name, text);
    let mut module = lower(&program).unwrap_or_else(|error| panic!("{name}: {error}"));
    optimise(&mut module);
    let artifact = backend::compile(module.clone(), &program, &sources);
    (module, artifact.unwrap_or_else(|error| panic!("{name}: {error}")), sources)
}

/// A script may say on its first line that it runs with `-p`.
fn options(text: &str) -> Options {
    Options { pid_filter: text.starts_with("// -p"), ..Options::default() }
}
