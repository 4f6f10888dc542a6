//! Tests of passes as text: each file of `tests/passes` is one.
//!
//! A file is IR (`ir::parse`) with comments. A line `; run: fold unused` names the passes, in order, of which
//! `optimise` is all of them again and again, and `code` what the back end makes of it; what they make stands
//! behind the line `; becomes:`. `SKEP_BLESS=1 cargo test -p skep-compile --test filetests` writes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use skep_compile::backend;
use skep_compile::ir::{Module, verify};
use skep_compile::optimise;
use skep_compile::passes::PASSES;
use skep_isa::disasm;
use skep_ui::Span;

const RUN: &str = "; run:";
const BECOMES: &str = "; becomes:\n";

#[test]
fn passes_make_what_their_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ir"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let bless = std::env::var_os("SKEP_BLESS").is_some();
    let failures: Vec<String> = files.iter().filter_map(|file| check(file, bless).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn check(file: &Path, bless: bool) -> Result<(), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let (given, expected) = text.split_once(BECOMES).unwrap_or((&text, ""));
    let made = run(given).map_err(|error| format!("{name}: {error}"))?;
    if made == expected {
        return Ok(());
    }
    if bless {
        let given = given.trim_end();
        return std::fs::write(file, format!("{given}\n\n{BECOMES}{made}"))
            .map_err(|error| format!("{name}: {error}"));
    }
    Err(format!("{name}: what was made:\n{made}\nwhat was expected:\n{expected}"))
}

fn run(given: &str) -> Result<String, String> {
    let mut module: Module = given.parse().map_err(|error| format!("{error}"))?;
    sound(&module, "what is given")?;
    let steps = given.lines().find_map(|line| line.strip_prefix(RUN)).ok_or("it does not say what to run")?;
    let mut made = String::new();
    for step in steps.split_whitespace() {
        match step {
            "optimise" => optimise(&mut module),
            "code" => {
                for func in &module.funcs {
                    let mut maps = module.maps.clone();
                    let code = backend::assemble(func.clone(), &module.subs, Span::GENERATED, &mut maps)
                        .map_err(|error| error.to_string())?;
                    let _ = writeln!(made, "{}", disasm::dump(&code.insns, &disasm::NoNames));
                }
                return Ok(made);
            }
            name => {
                let pass = PASSES.iter().find(|pass| pass.name == name);
                let pass = pass.ok_or_else(|| format!("there is no pass `{name}`"))?;
                module.funcs.iter_mut().for_each(|func| {
                    (pass.run)(func);
                });
            }
        }
        sound(&module, step)?;
    }
    for func in &module.funcs {
        let _ = writeln!(made, "{func}");
    }
    Ok(made)
}

fn sound(module: &Module, stage: &str) -> Result<(), String> {
    let errors = verify::verify_module(module);
    if errors.is_empty() { Ok(()) } else { Err(format!("{stage} is no IR:\n{}", errors.join("\n"))) }
}
