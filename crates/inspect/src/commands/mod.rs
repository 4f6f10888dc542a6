//! The tables of objects and commands, in the order in which a word cut short is looked up.
//!
//! A command is one row: its name, how its arguments are written, and what it does. Adding one means filling in its
//! row; the usage text and the sentence about what this version has follow from the tables.

mod map;
mod prog;
mod show;

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::cli::Session;
use crate::error::Result;

/// A word after which other words follow: the program itself, or a kind of object.
pub(crate) struct Object {
    /// Empty for the program itself.
    pub(crate) name: &'static str,
    pub(crate) commands: &'static [Command],
    /// The lines that explain the capital words, and the options.
    terms: &'static [&'static str],
}

/// A row of an object's table.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Names and arguments in the usage; empty if another row shows it, or none.
    usage: &'static str,
    pub(crate) body: Body,
}

/// What a command does.
pub(crate) enum Body {
    /// Runs, and returns the exit status.
    Run(fn(&mut Session<'_>, &[OsString]) -> Result<u8>),
    /// Shows the usage of its table.
    Help,
    /// Is an object with commands of its own.
    Object(&'static Object),
    /// Is a word of the original that this version does not have yet; it keeps its place in the order.
    Later,
}

const fn later(name: &'static str) -> Command {
    Command { name, usage: "", body: Body::Later }
}

const fn object(object: &'static Object) -> Command {
    Command { name: object.name, usage: "", body: Body::Object(object) }
}

/// The program itself.
pub(crate) static TOP: Object = Object {
    name: "",
    commands: &[
        Command { name: "help", usage: "[OPTIONS] OBJECT { COMMAND | help }", body: Body::Help },
        later("batch"),
        object(&prog::OBJECT),
        object(&map::OBJECT),
        later("link"),
        later("cgroup"),
        later("perf"),
        later("net"),
        later("feature"),
        later("btf"),
        later("gen"),
        later("struct_ops"),
        later("iter"),
        later("token"),
        Command { name: "version", usage: "version", body: Body::Run(|session, _| version(session)) },
    ],
    terms: &[
        "OBJECT := { prog | map }",
        "OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |",
        "             {-V|--version} }",
    ],
};

/// How the commands of an object are written.
pub(crate) fn usage(object: &Object, program: &str) -> String {
    let mut text = String::new();
    let shown = object.commands.iter().filter(|command| !command.usage.is_empty());
    for (index, command) in shown.enumerate() {
        let margin = if index == 0 { "Usage: " } else { "       " };
        let words = [program, object.name, command.usage].into_iter().filter(|word| !word.is_empty());
        let _ = writeln!(text, "{margin}{}", words.collect::<Vec<_>>().join(" "));
    }
    text.push('\n');
    for term in object.terms {
        let _ = writeln!(text, "       {term}");
    }
    text
}

/// The commands that this version has, as a list in a sentence.
pub(crate) fn present() -> String {
    let of_object = |entry: &'static Command| match &entry.body {
        Body::Object(object) => object
            .commands
            .iter()
            .filter(|command| matches!(command.body, Body::Run(_)) && !command.usage.is_empty())
            .map(|command| format!("'{} {}'", object.name, command.name))
            .collect(),
        Body::Run(_) => vec![format!("'{}'", entry.name)],
        Body::Help | Body::Later => Vec::new(),
    };
    let all: Vec<String> = TOP.commands.iter().flat_map(of_object).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The release of bpftool whose words and output this face has.
const COMPATIBLE_WITH: &str = "7.8.0";

/// What the original may be built with; this face has none of it.
const BUILD_FEATURES: &[&str] = &["libbfd", "llvm", "crypto", "skeletons", "bootstrap"];

/// The version: first of the bpftool that it stands for, then its own.
pub(crate) fn version(session: &mut Session<'_>) -> Result<u8> {
    let own = env!("CARGO_PKG_VERSION");
    if session.is_json() {
        let features: serde_json::Map<_, _> =
            BUILD_FEATURES.iter().map(|name| ((*name).to_owned(), false.into())).collect();
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
    use super::*;

    fn run(line: &str) -> (u8, String, String) {
        let args: Vec<OsString> =
            std::iter::once("bpftool").chain(line.split(' ')).map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = crate::main(&args, &mut out, &mut err);
        (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn usage_names_what_there_is() {
        insta::assert_snapshot!(usage(&TOP, "bpftool"));
        insta::assert_snapshot!(usage(&prog::OBJECT, "bpftool"));
        insta::assert_snapshot!(usage(&map::OBJECT, "bpftool"));
    }

    #[test]
    fn what_comes_later_says_so() {
        let (status, out, err) = run("link show");
        assert_eq!((status, out.as_str()), (255, ""));
        assert_eq!(
            err,
            "Error: 'link' is not part of this version; it has 'prog show', 'map show' and 'version'\n"
        );
        // A word cut short means the same command as in the original, even if that is not there.
        let (status, out, _) = run("-j prog d");
        assert_eq!(status, 255);
        assert!(out.starts_with(r#"{"error":"'prog dump' is not part of this version"#), "{out}");
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
    }
}
