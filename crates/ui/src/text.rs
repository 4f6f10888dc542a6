//! Text that someone else wrote, made safe to print on a terminal.
//!
//! File names, process names and script lines may hold bytes that move the cursor, change colours
//! or retitle the window. Everything that is not plain text is shown as a backslash escape.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes all control characters, tabs and line ends included.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_unless(text, |_| false)
}

/// Escapes all control characters but tabs.
pub fn escape_but_tabs(text: &str) -> Cow<'_, str> {
    escape_unless(text, |c| c == '\t')
}

/// Escapes all control characters but tabs and line ends.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_unless(text, |c| matches!(c, '\t' | '\n'))
}

/// Escapes bytes that need not be UTF-8: what is not text appears as `\xNN`.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut out, c));
        for byte in chunk.invalid() {
            push_hex(&mut out, u32::from(*byte));
        }
    }
    out
}

/// Appends one character, escaped if it could steer a terminal.
pub fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if steers(c) && (c as u32) < 0x100 => push_hex(out, c as u32),
        c if steers(c) => {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}

fn push_hex(out: &mut String, value: u32) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "\\x{value:02x}");
}

fn escape_unless(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| steers(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if keep(c) { out.push(c) } else { push_escaped(&mut out, c) }
    }
    Cow::Owned(out)
}

/// Control characters of both blocks, and the marks that reverse the direction of text.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(escape("grün 字 ok"), Cow::Borrowed("grün 字 ok")));
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(escape("a\x1b[31m\x7f\u{9b}\t\n\r\0"), "a\\x1b[31m\\x7f\\x9b\\t\\n\\r\\x00");
        assert_eq!(escape_lines("a\n\tb\x07"), "a\n\tb\\x07");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        assert_eq!(escape_bytes(b"ok\xff\xc3\xa4\x1b"), "ok\\xffä\\x1b");
    }
}
