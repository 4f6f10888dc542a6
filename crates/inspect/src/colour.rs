//! Colours of lists on a terminal: what an object is called stands out, who holds it steps back.
//!
//! The text is the same with and without; colours are put into it last, so that nothing else has to know of them.

use std::borrow::Cow;
use std::io::IsTerminal;

const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const END: &str = "\x1b[0m";

/// Whether this process's standard output wants colours: it is a terminal that has them, and `NO_COLOR` is not set
/// (<https://no-color.org>).
pub(crate) fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !set("NO_COLOR") && !dumb && std::io::stdout().is_terminal()
}

/// The lines of an object, `ID: TYPE  name NAME  ...` and what stands below, with colours.
pub(crate) fn paint(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if index == 0 {
            head(&mut out, line);
        } else if line.starts_with("\tpids ") {
            out.extend([FAINT, line, END]);
        } else {
            out.push_str(line);
        }
        out.push_str(end);
    }
    out
}

fn head(out: &mut String, line: &str) {
    let Some((id, rest)) = line.split_once(": ") else { return out.push_str(line) };
    out.extend([BOLD, id, END, ": "]);
    // Fields have two blanks between them; the type comes first, if the object has one.
    for (index, field) in rest.split("  ").enumerate() {
        let painted = match field.strip_prefix("name ") {
            Some(name) => Cow::Owned(format!("name {GREEN}{name}{END}")),
            None if index == 0 && !field.contains(' ') => Cow::Owned(format!("{CYAN}{field}{END}")),
            None => Cow::Borrowed(field),
        };
        out.push_str(if index == 0 { "" } else { "  " });
        out.push_str(&painted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_are_added() {
        let text = "7: xdp  name pass\\x1b  tag 5ccd  gpl\n\txlated 88B\n\tpids init(1)\n";
        let painted = paint(text);
        assert_eq!(
            painted,
            "\x1b[1m7\x1b[0m: \x1b[36mxdp\x1b[0m  name \x1b[32mpass\\x1b\x1b[0m  tag 5ccd  gpl\n\txlated 88B\n\
             \x1b[2m\tpids init(1)\x1b[0m\n"
        );
        let mut bare = painted;
        for colour in [BOLD, FAINT, GREEN, CYAN, END] {
            bare = bare.replace(colour, "");
        }
        assert_eq!(bare, text);
        assert_eq!(
            paint("1: name [vmlinux]  size 5B\n"),
            "\x1b[1m1\x1b[0m: name \x1b[32m[vmlinux]\x1b[0m  size 5B\n"
        );
        assert_eq!(paint(""), "");
    }
}
