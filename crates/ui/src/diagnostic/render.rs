//! The printed form of a diagnostic.

use super::{Colors, Diagnostic, Severity};
use crate::span::{SourceMap, Span};
use crate::text;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
pub(super) const RESET: &str = "\x1b[0m";

pub(super) fn diagnostic(d: &Diagnostic, sources: &SourceMap, colors: Colors) -> String {
    let mut out = Printer { out: String::new(), severity: d.severity, sources, colors };
    out.message(d.span, &d.message);
    for note in &d.notes {
        match note.span {
            Some(span) if note.hint => out.aside(span, &note.text),
            Some(span) => out.message(Some(span), &note.text),
            None => out.hint(&note.text),
        }
    }
    if let Some(help) = &d.help {
        out.hint(help);
    }
    let calls = d.span.into_iter().flat_map(|span| sources.expansions(span.file));
    for span in d.expanded_from.iter().copied().chain(calls) {
        out.message(Some(span), "expanded from");
    }
    out.out
}

/// What begins the colour of a severity.
pub(super) fn color(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    }
}

struct Printer<'a> {
    out: String,
    severity: Severity,
    sources: &'a SourceMap,
    colors: Colors,
}

impl Printer<'_> {
    fn message(&mut self, span: Option<Span>, message: &str) {
        let span = span.filter(|s| self.sources.has(s.file));
        let word = match self.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
        };
        let color = color(self.severity);
        let place = span.map(|s| format!("{}: ", self.place(s))).unwrap_or_default();
        let line = format!("{place}{word}: {}", text::escape_lines(message.trim_end_matches('\n')));
        match self.colors {
            Colors::Always => self.out.push_str(&format!("{color}{line}{RESET}\n")),
            Colors::Never => self.out.push_str(&format!("{line}\n")),
        }
        if let Some(span) = span {
            self.source(span);
        }
    }

    fn aside(&mut self, span: Span, text: &str) {
        if self.sources.has(span.file) {
            self.out.push_str(&format!("{}: ", self.place(span)));
            self.hint(text);
            self.source(span);
        }
    }

    fn hint(&mut self, text: &str) {
        self.out.push_str(&format!("HINT: {}\n", text::escape_lines(text.trim_end_matches('\n'))));
    }

    /// `file:LINE:COL-COL`, or `file:LINE-LINE` over several lines.
    fn place(&self, span: Span) -> String {
        let start = self.sources.line_col(span.file, span.start);
        let end = self.sources.line_col(span.file, span.end);
        let name = text::escape(self.sources.name(span.file));
        if start.line == end.line {
            format!("{name}:{}:{}-{}", start.line, start.col, end.col)
        } else {
            format!("{name}:{}-{}", start.line, end.line)
        }
    }

    fn source(&mut self, span: Span) {
        let start = self.sources.line_col(span.file, span.start);
        let end = self.sources.line_col(span.file, span.end);
        if start.line == end.line {
            let line = self.sources.line(span.file, start.line).unwrap_or("");
            self.underlined(line, start.col as usize - 1, end.col as usize - 1);
            return;
        }
        // The original leaves tabs alone here, as nothing has to stand below the text.
        for number in start.line..=end.line {
            let line = self.sources.line(span.file, number).unwrap_or("");
            self.out.push_str(&text::escape_but_tabs(line));
            self.out.push('\n');
        }
    }

    /// The line, and `~` under its bytes `from..to`. Tabs become four spaces, and characters that
    /// could steer a terminal are escaped; the underline follows what is really printed.
    fn underlined(&mut self, line: &str, from: usize, to: usize) {
        let mut shown = String::with_capacity(line.len());
        let mut marks = String::new();
        for (offset, c) in line.char_indices() {
            let before = shown.len();
            match c {
                '\t' => shown.push_str("    "),
                // A script with DOS line ends is shown without them.
                '\r' if offset + 1 == line.len() => continue,
                _ => text::push_escaped(&mut shown, c),
            }
            if offset < to {
                let width = shown.get(before..).map_or(0, |s| s.chars().count());
                let mark = if offset < from { ' ' } else { '~' };
                marks.extend(std::iter::repeat_n(mark, width));
            }
        }
        self.out.push_str(&shown);
        self.out.push('\n');
        self.out.push_str(&marks);
        self.out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::FileId;

    fn map(text: &str) -> (SourceMap, FileId) {
        let mut map = SourceMap::new();
        let file = map.add("stdin", text);
        (map, file)
    }

    #[test]
    fn one_line() {
        let (sources, file) = map("BEGIN { $y = $x }\n");
        let d = Diagnostic::error(Span::new(file, 13, 15), "Undefined or undeclared variable: $x")
            .help("Give it a value first.");
        assert_eq!(
            d.render(&sources, Colors::Never),
            "stdin:1:14-16: ERROR: Undefined or undeclared variable: $x\n\
             BEGIN { $y = $x }\n\
             \x20            ~~\n\
             HINT: Give it a value first.\n"
        );
    }

    #[test]
    fn tabs_are_four_columns_wide_but_count_as_one() {
        let (sources, file) = map("BEGIN {\n\t\t@a = 1; }");
        let d = Diagnostic::warning(Span::new(file, 10, 16), "w");
        assert_eq!(
            d.render(&sources, Colors::Never),
            "stdin:2:3-9: WARNING: w\n        @a = 1; }\n        ~~~~~~\n"
        );
    }

    #[test]
    fn several_lines_have_no_underline() {
        let (sources, file) = map("a\n\tb\n c\nd");
        let d = Diagnostic::error(Span::new(file, 3, 6), "e");
        assert_eq!(d.render(&sources, Colors::Never), "stdin:2-3: ERROR: e\n\tb\n c\n");
    }

    #[test]
    fn the_end_of_the_text_has_a_place() {
        let (sources, file) = map("BEGIN {");
        let d = Diagnostic::error(Span::empty(file, 7), "syntax: expected '}'");
        assert_eq!(
            d.render(&sources, Colors::Never),
            "stdin:1:8-8: ERROR: syntax: expected '}'\nBEGIN {\n       \n"
        );
    }

    #[test]
    fn notes_hints_and_expansions_follow_in_this_order() {
        let (sources, file) = map("ab cd ef");
        let d = Diagnostic::error(Span::new(file, 0, 2), "first")
            .note(Span::new(file, 3, 5), "second")
            .remark("no place")
            .help("help")
            .expanded_from(Span::new(file, 6, 8));
        assert_eq!(
            d.render(&sources, Colors::Never),
            "stdin:1:1-3: ERROR: first\nab cd ef\n~~\n\
             stdin:1:4-6: ERROR: second\nab cd ef\n   ~~\n\
             HINT: no place\nHINT: help\n\
             stdin:1:7-9: ERROR: expanded from\nab cd ef\n      ~~\n"
        );
    }

    #[test]
    fn colors_cover_the_message_line_only() {
        let (sources, file) = map("ab");
        let d = Diagnostic::warning(Span::new(file, 0, 2), "w");
        assert_eq!(d.render(&sources, Colors::Always), "\x1b[33mstdin:1:1-3: WARNING: w\x1b[0m\nab\n~~\n");
        let d = Diagnostic::error_without_place("e");
        assert_eq!(d.render(&sources, Colors::Always), "\x1b[31mERROR: e\x1b[0m\n");
    }

    #[test]
    fn wide_text_and_control_characters_keep_the_underline_in_place() {
        let (sources, file) = map("\"ä\x1b[2J\" bad\r\n");
        let d = Diagnostic::error(Span::new(file, 9, 12), "e\x07");
        assert_eq!(
            d.render(&sources, Colors::Never),
            "stdin:1:10-13: ERROR: e\\x07\n\"ä\\x1b[2J\" bad\n           ~~~\n"
        );
    }

    #[test]
    fn a_place_outside_of_the_map_is_not_shown() {
        let d = Diagnostic::error(Span::GENERATED, "e");
        assert_eq!(d.render(&SourceMap::new(), Colors::Never), "ERROR: e\n");
    }
}
