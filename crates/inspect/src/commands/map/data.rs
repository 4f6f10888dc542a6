//! Keys as they are written on the command line: bytes in decimal, octal or hexadecimal.

use crate::cli::Words;
use crate::error::{Error, Result};

/// Reads `key DATA`, the only element that reading a map takes. Without it, the map must have no keys; whether one
/// of no bytes may be given all the same differs between commands.
pub(super) fn key(words: &mut Words<'_>, size: usize, refuse_needless: bool) -> Result<Option<Vec<u8>>> {
    let mut key = None;
    while let Some(word) = words.peek() {
        if words.take("key") {
            if size == 0 && refuse_needless {
                return Err(message("unnecessary key"));
            }
            if key.is_some() {
                return Err(message("duplicate key"));
            }
            key = Some(bytes(words, "key", size)?);
        } else if words.take("value") {
            return Err(message("unnecessary value"));
        } else if ["any", "noexist", "exist"].into_iter().any(|flag| words.take(flag)) {
            return Err(message("flags are not used when a map is read"));
        } else {
            return Err(message(&format!("expected key or value, got: {}", word.to_string_lossy())));
        }
    }
    match key {
        None if size > 0 => Err(message("did not find key")),
        key => Ok(key),
    }
}

/// Reads `[hex] BYTES`, as many as `size` says.
fn bytes(words: &mut Words<'_>, name: &str, size: usize) -> Result<Vec<u8>> {
    let base = if words.peek().is_some_and(|word| word == "hex") {
        words.next();
        Some(16)
    } else {
        None
    };
    let mut bytes = Vec::new();
    while bytes.len() < size {
        let Some(word) = words.peek() else { break };
        let text = word.to_string_lossy();
        match number(&text, base) {
            Some(byte) => bytes.push(byte),
            None => {
                return Err(message(&format!("error parsing byte: {text}")));
            }
        }
        words.next();
    }
    if bytes.len() == size {
        return Ok(bytes);
    }
    Err(message(&format!("{name} expected {size} bytes got {}", bytes.len())))
}

/// A byte as strtoul(3) reads it; base 0 knows octal and hexadecimal by how they begin.
fn number(text: &str, base: Option<u32>) -> Option<u8> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = match (hexadecimal, base) {
        (Some(digits), _) => (digits, 16),
        (None, Some(base)) => (text, base),
        (None, None) if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        (None, None) => (text, 10),
    };
    u8::from_str_radix(digits, base).ok().filter(|_| !digits.starts_with('+'))
}

fn message(text: &str) -> Error {
    Error::Message(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str, size: usize) -> Result<Option<Vec<u8>>> {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        let before = OsString::from("lookup");
        key(&mut Words::new(&before, &words), size, true)
    }

    #[test]
    fn bytes_in_every_base() {
        assert_eq!(parse("key 1 0x1f 017 255", 4).unwrap().unwrap(), [1, 0x1f, 0o17, 255]);
        assert_eq!(parse("key hex 1f 0xff", 2).unwrap().unwrap(), [0x1f, 0xff]);
        assert_eq!(parse("", 0).unwrap(), None);
        let error = |text, size| parse(text, size).unwrap_err().to_string();
        assert_eq!(error("key 256", 1), "error parsing byte: 256");
        assert_eq!(error("key 1", 2), "key expected 2 bytes got 1");
        assert_eq!(error("", 4), "did not find key");
        assert_eq!(error("key 1 value 2", 1), "unnecessary value");
        assert_eq!(error("key 1 key 2", 1), "duplicate key");
        assert_eq!(error("key 1", 0), "unnecessary key");
    }

    proptest! {
        #[test]
        fn any_words_are_survived(text in "[keyhxval0-9a-f ]*", size in 0usize..6) {
            let _ = parse(&text, size);
        }
    }
}
