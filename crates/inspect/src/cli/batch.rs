//! `batch file FILE`: many command lines, one after the other.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::os::unix::ffi::OsStringExt;

use skep_kernel::Errno;

use super::{Form, Session, Words, error_value, is_prefix};
use crate::error::{Error, FAILED, Result};
use crate::json::Writer;

/// The longest line, with its continuations.
const LONGEST: usize = 65535;
/// The most words of a line.
const MOST_WORDS: usize = 4095;

/// Runs the lines of a file, or of standard input for `-`. The first that fails ends the run.
pub(crate) fn run(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if words.len() < 2 {
        return Err(Error::Message("too few parameters for batch".to_owned()));
    }
    if words.len() > 2 {
        return Err(Error::Message("too many parameters for batch".to_owned()));
    }
    let (Some(keyword), Some(file)) = (words.next(), words.next()) else { return Err(Error::Usage) };
    if !is_prefix(keyword, "file") {
        return Err(Error::Message(format!("expected 'file', got: {}", keyword.to_string_lossy())));
    }
    let mut lines: Box<dyn BufRead> = if file == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file).map_err(|error| {
            let reason = Errno::from(error).meaning();
            Error::Message(format!("Can't open file ({}): {reason}", file.to_string_lossy()))
        })?;
        Box::new(io::BufReader::new(opened))
    };
    if session.is_json() { run_json(session, lines.as_mut()) } else { run_plain(session, lines.as_mut()) }
}

fn run_plain(session: &mut Session<'_>, lines: &mut dyn BufRead) -> Result<u8> {
    let mut count = 0;
    while let Some(words) = next_command(lines, count)? {
        let status = session.execute(&words)?;
        if status != 0 {
            return Ok(status);
        }
        count += 1;
    }
    writeln!(session.out, "processed {count} commands")?;
    Ok(0)
}

fn run_json(session: &mut Session<'_>, lines: &mut dyn BufRead) -> Result<u8> {
    let pretty = session.options.form == Form::Pretty;
    let depth = session.depth;
    session.values += 1;
    let mut array = Writer::new(session.out, pretty, depth);
    array.begin_array()?;
    let mut status = 0;
    let mut count = 0;
    while status == 0 {
        let words = match next_command(lines, count) {
            Ok(None) => break,
            Ok(Some(words)) => words,
            Err(error) => {
                array.value(&error_value(&error))?;
                status = FAILED;
                break;
            }
        };
        let mut output = Vec::new();
        let mut inner = Session {
            program: session.program.clone(),
            options: session.options.clone(),
            features: session.features,
            out: &mut output,
            err: &mut *session.err,
            colours: session.colours,
            // Within the array and the object.
            depth: depth + 2,
            values: 0,
        };
        status = inner.execute(&words)?;
        array.begin_object()?;
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        array.field("command", &words)?;
        array.name("output")?;
        // A command that has nothing to say still has a value.
        let text = String::from_utf8_lossy(&output);
        array.raw(if text.is_empty() { "null" } else { &text })?;
        array.end_object()?;
        count += 1;
    }
    array.end_array()?;
    Ok(status)
}

/// The words of the next line that has any; `None` at the end.
fn next_command(lines: &mut dyn BufRead, number: usize) -> Result<Option<Vec<OsString>>> {
    loop {
        let Some(mut line) = next_line(lines)? else { return Ok(None) };
        while line.ends_with(b"\\\n") {
            line.truncate(line.len() - 2);
            let Some(more) = next_line(lines)? else {
                return Err(message(format!("missing continuation line on command {number}")));
            };
            line.extend(more);
            if line.len() > LONGEST {
                return Err(message(format!("command {number} is too long")));
            }
        }
        let words = split(&line, number)?;
        if !words.is_empty() {
            return Ok(Some(words));
        }
    }
}

/// A line with its end, without its comment.
fn next_line(lines: &mut dyn BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines
        .read_until(b'\n', &mut line)
        .map_err(|error| message(format!("reading batch file failed: {}", Errno::from(error).meaning())))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() > LONGEST {
        return Err(message("reading batch file failed: Argument list too long".to_owned()));
    }
    if let Some(comment) = line.iter().position(|&byte| byte == b'#') {
        line.truncate(comment);
    }
    Ok(Some(line))
}

/// Splits a line at blanks. Words in quotes of either kind are taken as they are; there are no escapes.
fn split(line: &[u8], number: usize) -> Result<Vec<OsString>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while let Some(&first) = rest.first() {
        let quoted = matches!(first, b'\'' | b'"');
        let body = if quoted { rest.get(1..).unwrap_or_default() } else { rest };
        let is_end = |byte: &u8| if quoted { *byte == first } else { byte.is_ascii_whitespace() };
        let end = match body.iter().position(is_end) {
            Some(end) => end,
            None if quoted => {
                return Err(message(format!("unterminated quoted string in command {number}")));
            }
            None => body.len(),
        };
        let (word, after) = body.split_at(end);
        words.push(OsString::from_vec(word.to_vec()));
        if words.len() > MOST_WORDS {
            return Err(message(format!("too many arguments to command {number}")));
        }
        let after = if quoted { after.get(1..).unwrap_or_default() } else { after };
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

fn message(text: String) -> Error {
    Error::Message(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commands(text: &str) -> Result<Vec<Vec<OsString>>> {
        let mut lines = text.as_bytes();
        let mut all = Vec::new();
        while let Some(words) = next_command(&mut lines, all.len())? {
            all.push(words);
        }
        Ok(all)
    }

    fn error(text: &str) -> String {
        commands(text).unwrap_err().to_string()
    }

    #[test]
    fn lines_become_words() {
        let text = "prog show # all\n\n# nothing\n  map\tshow name 'a b' \"c'd\"\nlink \\\nshow\nversion";
        let expected: [&[&str]; 4] =
            [&["prog", "show"], &["map", "show", "name", "a b", "c'd"], &["link", "show"], &["version"]];
        let found = commands(text).unwrap();
        assert_eq!(found.len(), 4);
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected);
        }
        // A comment begins even within quotes.
        assert_eq!(error("prog\nmap 'a # b'\n"), "unterminated quoted string in command 1");
    }

    #[test]
    fn what_is_wrong_with_lines() {
        assert_eq!(error("prog \\\n"), "missing continuation line on command 0");
        assert_eq!(error(&"a ".repeat(5000)), "too many arguments to command 0");
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(error(&long), "reading batch file failed: Argument list too long");
        let parts = format!("{}\\\n{}\n", "a".repeat(60000), "b".repeat(60000));
        assert_eq!(error(&parts), "command 0 is too long");
    }

    proptest! {
        #[test]
        fn any_lines_are_survived(text in "[a-z'\"\\\\# \n]*") {
            let _ = commands(&text);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut lines = bytes.as_slice();
            while let Ok(Some(words)) = next_command(&mut lines, 0) {
                prop_assert!(words.iter().all(|word| word.len() <= bytes.len()));
            }
        }
    }
}
