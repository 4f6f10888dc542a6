//! The scripts on the pages of docs/language: each compiles or gives the errors that its comments say, and prints what
//! stands behind it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::path::{Path, PathBuf};

use skep_testing::{Need, need};
use support::{run, skep};

/// A script on a page.
struct Example {
    page: String,
    /// Of the first line of the script, on its page.
    line: usize,
    script: String,
    /// What it prints.
    output: Option<String>,
}

fn pages() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/language");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for path in pages() {
        let page = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(kind) = line.strip_prefix("```") else { continue };
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let body = body.iter().map(|line| format!("{line}\n")).collect::<String>();
            match kind {
                "bt" => examples.push(Example {
                    page: page.clone(),
                    line: number + 2,
                    script: body,
                    output: None,
                }),
                "output" => {
                    examples.last_mut().expect("an output stands behind a script").output = Some(body)
                }
                _ => {}
            }
        }
    }
    examples
}

/// The errors that comments announce, by line.
fn announced(script: &str) -> Vec<(u64, String)> {
    let lines = (1..).zip(script.lines());
    lines.filter_map(|(number, line)| Some((number, line.split_once("// error: ")?.1.to_owned()))).collect()
}

/// Line and text of an error, as `skep check -f json` tells it.
fn error(line: &str) -> Option<(u64, String)> {
    let told: serde_json::Value = serde_json::from_str(line).unwrap();
    let message = told["message"].as_str()?.to_owned();
    (told["severity"] == "error").then(|| (told["line"].as_u64().unwrap_or(0), message))
}

#[test]
fn scripts_compile_or_give_the_errors_they_announce() {
    need!(Root, Btf);
    let lacking = Need::LookupPerCpu.lack().is_some();
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    let mut count = 0;
    for (index, example) in examples().iter().enumerate() {
        count += 1;
        let file = directory.path().join(format!("{index}.bt"));
        std::fs::write(&file, &example.script).unwrap();
        let checked = run(skep(&["check", "-f", "json", "--no-warnings", file.to_str().unwrap()]));
        let told: Vec<(u64, String)> = checked.stdout.lines().filter_map(error).collect();
        let expected = announced(&example.script);
        // What the page shows is that of a kernel that can; an older one says what it lacks.
        let lacks =
            |told: &(u64, String)| lacking && told.1.starts_with("This kernel cannot read an aggregation");
        let told: Vec<(u64, String)> = told.into_iter().filter(|told| !lacks(told)).collect();
        let met = told.len() == expected.len()
            && told
                .iter()
                .zip(&expected)
                .all(|(told, expected)| told.0 == expected.0 && told.1.starts_with(expected.1.as_str()));
        if !met {
            wrong.push_str(&format!("== {}:{}\n{}", example.page, example.line, example.script));
            for (line, message) in told {
                wrong.push_str(&format!("-- line {line}: {message}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 40, "{count} scripts");
}

#[test]
fn scripts_print_what_stands_behind_them() {
    need!(Root, Bpf, RingBuf, Btf, LookupPerCpu);
    let mut wrong = String::new();
    for example in examples() {
        let Some(expected) = &example.output else { continue };
        let found = run(skep(&["trace", "-q", "--no-warnings", "-e", &example.script]));
        // At the end comes an empty line or two, which pages do not show.
        let same = found.stdout.trim_end_matches('\n') == expected.trim_end_matches('\n');
        if !same || !found.status.success() {
            wrong.push_str(&format!(
                "== {}:{}\n{}-- found: {}\n{}{}\n",
                example.page, example.line, example.script, found.status, found.stdout, found.stderr
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
