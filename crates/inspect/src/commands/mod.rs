//! The tables of objects and commands, in the order in which a word cut short is looked up.
//!
//! A command is one row: its name and what it does. Adding one means filling in its row and its line of usage.
//! Rows of commands that change something keep their place in the order until they exist ([`Body::Later`]).

mod btf;
mod cgroup;
mod feature;
mod r#gen;
mod iter;
mod link;
mod map;
mod net;
mod perf;
mod prog;
mod show;
mod struct_ops;
mod token;

use std::fmt::Write as _;

use crate::cli::{Session, Words, batch};
use crate::error::Result;

/// A word after which other words follow: the program itself, or a kind of object.
pub(crate) struct Object {
    /// Empty for the program itself.
    pub(crate) name: &'static str,
    pub(crate) commands: &'static [Command],
    /// How the commands are written, in the order of the original; what begins with a blank continues a line.
    usage: &'static [&'static str],
    /// The lines that explain the capital words, and the options.
    terms: &'static [&'static str],
}

/// A row of an object's table.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) body: Body,
}

/// What a command does.
pub(crate) enum Body {
    /// Runs, and returns the exit status.
    Run(Run),
    /// Shows the usage of its table.
    Help,
    /// Is an object with commands of its own.
    Object(&'static Object),
    /// Changes or makes objects, which this version does not do yet; it keeps its place in the order.
    Later,
}

type Run = fn(&mut Session<'_>, &mut Words<'_>) -> Result<u8>;

const fn run(name: &'static str, run: Run) -> Command {
    Command { name, body: Body::Run(run) }
}

const HELP: Command = Command { name: "help", body: Body::Help };

const fn later(name: &'static str) -> Command {
    Command { name, body: Body::Later }
}

const fn object(object: &'static Object) -> Command {
    Command { name: object.name, body: Body::Object(object) }
}

/// The program itself.
pub(crate) static TOP: Object = Object {
    name: "",
    commands: &[
        HELP,
        run("batch", batch),
        object(&prog::OBJECT),
        object(&map::OBJECT),
        object(&link::OBJECT),
        object(&cgroup::OBJECT),
        object(&perf::OBJECT),
        object(&net::OBJECT),
        object(&feature::OBJECT),
        object(&btf::OBJECT),
        object(&r#gen::OBJECT),
        object(&struct_ops::OBJECT),
        object(&iter::OBJECT),
        object(&token::OBJECT),
        run("version", |session, _| version(session)),
    ],
    usage: &["[OPTIONS] OBJECT { COMMAND | help }", "batch file FILE", "version"],
    terms: &[
        "",
        "OBJECT := { prog | map | link | cgroup | perf | net | feature | btf | gen | struct_ops | iter | token }",
        OPTIONS_BEGIN,
        "             {-V|--version} }",
    ],
};

/// The line with which every object's options begin.
const OPTIONS_BEGIN: &str = "OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |";
/// The options of objects that have no others.
const OPTIONS: &str = "OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }";
/// How programs are selected.
const PROG: &str = "PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }";
/// How maps are selected.
const MAP: &str = "MAP := { id MAP_ID | pinned FILE | name MAP_NAME }";

/// How the commands of an object are written.
pub(crate) fn usage(object: &Object, program: &str) -> String {
    let mut text = String::new();
    for (index, line) in object.usage.iter().enumerate() {
        if line.starts_with(' ') {
            let _ = writeln!(text, "{line}");
            continue;
        }
        let margin = if index == 0 { "Usage: " } else { "       " };
        let words = [program, object.name, line].into_iter().filter(|word| !word.is_empty());
        let _ = writeln!(text, "{margin}{}", words.collect::<Vec<_>>().join(" "));
    }
    for term in object.terms {
        let margin = if term.is_empty() { "" } else { "       " };
        let _ = writeln!(text, "{margin}{term}");
    }
    text
}

/// The release of bpftool whose words and output this face has.
const COMPATIBLE_WITH: &str = "7.8.0";

/// What the original may be built with, and whether this face has it.
const BUILD_FEATURES: &[(&str, bool)] =
    &[("libbfd", false), ("llvm", false), ("crypto", false), ("skeletons", false), ("bootstrap", false)];

/// The version: first of the bpftool that it stands for, then its own.
pub(crate) fn version(session: &mut Session<'_>) -> Result<u8> {
    let own = env!("CARGO_PKG_VERSION");
    if session.is_json() {
        let features: serde_json::Map<_, _> =
            BUILD_FEATURES.iter().map(|(name, has)| ((*name).to_owned(), (*has).into())).collect();
        session.json(&serde_json::json!({
            "version": COMPATIBLE_WITH,
            "skep_version": own,
            "features": features,
        }))?;
    } else {
        writeln!(session.out, "{} v{COMPATIBLE_WITH}\nusing skep v{own}\nfeatures:", session.program)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn run(line: &str) -> (u8, String, String) {
        let args: Vec<OsString> =
            std::iter::once("bpftool").chain(line.split(' ')).map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = crate::main(&args, &mut out, &mut err);
        (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn objects() -> impl Iterator<Item = &'static Object> {
        TOP.commands.iter().filter_map(|command| match command.body {
            Body::Object(object) => Some(object),
            _ => None,
        })
    }

    #[test]
    fn usage_names_what_there_is() {
        let all: Vec<String> =
            std::iter::once(&TOP).chain(objects()).map(|object| usage(object, "bpftool")).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn every_command_is_in_the_usage() {
        for object in objects() {
            let text = object.usage.join("\n");
            for command in object.commands {
                assert!(text.contains(command.name), "{} {}", object.name, command.name);
            }
        }
    }

    #[test]
    fn what_comes_later_says_so() {
        let (status, out, err) = run("map freeze name x");
        assert_eq!((status, out.as_str()), (255, ""));
        assert!(err.starts_with("Error: 'map freeze' changes or makes objects"), "{err}");
        // A word cut short means the same command as in the original, even if that is not there.
        let (status, out, _) = run("-j map p x y");
        assert_eq!(status, 255);
        assert!(out.starts_with(r#"{"error":"'map pin' changes or makes objects"#), "{out}");
    }

    #[test]
    fn help_goes_to_the_error_stream_and_wrong_words_fail() {
        assert_eq!(run("prog help"), (0, String::new(), usage(&prog::OBJECT, "bpftool")));
        assert_eq!(run("map bogus"), (255, String::new(), usage(&map::OBJECT, "bpftool")));
        assert_eq!(run("-j map bogus"), (255, "null\n".to_owned(), String::new()));
        assert_eq!(run("bogus"), (255, String::new(), usage(&TOP, "bpftool")));
    }

    #[test]
    fn the_version_wins_over_the_words() {
        let own = env!("CARGO_PKG_VERSION");
        let text = format!("bpftool v7.8.0\nusing skep v{own}\nfeatures:\n");
        assert_eq!(run("v"), (0, text.clone(), String::new()));
        assert_eq!(run("prog bogus -V"), (0, text, String::new()));
    }

    #[test]
    fn too_many_or_too_few_words() {
        assert_eq!(run("prog show id"), (255, String::new(), "Error: what is 'id'?\n".to_owned()));
        assert_eq!(run("map show id 1 2"), (255, String::new(), "Error: what is 'id'?\n".to_owned()));
        let error = "{\n    \"error\": \"expected 'id', 'tag', 'name' or 'pinned', got: 'foo'?\"\n}\n";
        assert_eq!(run("-p prog show foo 1"), (255, error.to_owned(), String::new()));
        let need = "Error: 'show' needs at least 1 arguments, 0 found\n";
        assert_eq!(run("cgroup show"), (255, String::new(), need.to_owned()));
    }
}
