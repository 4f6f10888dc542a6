//! The values behind the spelling of integers and strings.

use skep_ui::{Diagnostic, FileId, Span};

use super::ast::{IntLit, IntSuffix, TimeUnit};

/// The value of an integer token; see [`number`].
///
/// # Errors
/// The diagnostic to report. The span is that of the token.
pub fn integer(text: &str, span: Span) -> Result<IntLit, Diagnostic> {
    let wrong = |message: String| Diagnostic::error(span, format!("syntax: {message}"));
    number(text).map_err(|error| match error {
        NumberError::NoDigits => {
            wrong("invalid integer: ".to_owned()).help(format!("'{text}' has no digits."))
        }
        NumberError::TrailingUnderscore => wrong("trailing underscore in integer literal".to_owned()),
        NumberError::NotOctal => wrong(format!("invalid trailing bytes: {text}"))
            .help("A leading 0 makes a number octal. Leave it out for a decimal number."),
        NumberError::Overflow(limit) => wrong(format!("overflow error, maximum value is {limit}: {text}")),
        NumberError::Coefficient => {
            wrong(format!("coefficient part of scientific literal must be 1-9: {text}"))
        }
        NumberError::Exponent => wrong(format!("invalid trailing bytes: {text}"))
            .help("After 'e' stands how many zeroes there are."),
        NumberError::Suffix(rest) => wrong(format!("invalid integer suffix '{rest}'"))
            .help("Suffixes are u, l, ul, ll, ull, and the durations ns, us, ms, s, m, h, d."),
    })
}

/// What is wrong with the spelling of an integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// There are none.
    NoDigits,
    /// Digits end with an underscore.
    TrailingUnderscore,
    /// There is a digit above 7 in an octal number.
    NotOctal,
    /// It is larger than this limit.
    Overflow(u64),
    /// What stands before the exponent is not one digit.
    Coefficient,
    /// The exponent has no digits.
    Exponent,
    /// What stands behind it means nothing.
    Suffix(String),
}

/// The value of an integer.
///
/// Accepted are decimal, octal with a leading `0`, hexadecimal after `0x`, a decimal exponent after
/// one digit (`1e6`), underscores between digits, and a suffix. The limits of the types that
/// suffixes name are checked.
///
/// # Errors
/// What is wrong with it.
pub fn number(text: &str) -> Result<IntLit, NumberError> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, text.get(2..).unwrap_or("")),
        [b'0', b'0'..=b'9' | b'_', ..] => (8, text.get(1..).unwrap_or("")),
        _ => (10, text),
    };
    let is_digit = |c: char| c == '_' || c.is_digit(if radix == 16 { 16 } else { 10 });
    let length = digits.find(|c| !is_digit(c)).unwrap_or(digits.len());
    let (digits, mut rest) = digits.split_at(length);
    if digits.ends_with('_') {
        return Err(NumberError::TrailingUnderscore);
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() {
        return Err(NumberError::NoDigits);
    }
    if radix == 8 && plain.contains(['8', '9']) {
        return Err(NumberError::NotOctal);
    }
    let overflow = NumberError::Overflow;
    let mut value = u64::from_str_radix(&plain, radix).map_err(|_| overflow(u64::MAX))?;

    if radix == 10
        && let Some(exponent) = rest.strip_prefix(['e', 'E'])
    {
        let length = exponent.find(|c: char| c != '_' && !c.is_ascii_digit()).unwrap_or(exponent.len());
        let (digits, after) = exponent.split_at(length);
        rest = after;
        if digits.ends_with('_') {
            return Err(NumberError::TrailingUnderscore);
        }
        if !(1..=9).contains(&value) || plain.len() > 1 {
            return Err(NumberError::Coefficient);
        }
        let power: String = digits.chars().filter(|c| *c != '_').collect();
        if power.is_empty() {
            return Err(NumberError::Exponent);
        }
        value = power
            .parse::<u32>()
            .ok()
            .and_then(|power| 10u64.checked_pow(power))
            .and_then(|factor| value.checked_mul(factor))
            .ok_or_else(|| overflow(u64::MAX))?;
    }

    let suffix = suffix(rest).map_err(|()| NumberError::Suffix(rest.to_owned()))?;
    let (limit, factor) = match suffix {
        Some(IntSuffix::U) => (u64::from(u32::MAX), 1),
        Some(IntSuffix::L | IntSuffix::Ll) => (i64::MAX as u64, 1),
        Some(IntSuffix::Ul | IntSuffix::Ull) | None => (u64::MAX, 1),
        Some(IntSuffix::Time(unit)) => (u64::MAX, unit.nanoseconds()),
    };
    let value = value.checked_mul(factor).filter(|v| *v <= limit).ok_or_else(|| overflow(limit))?;
    Ok(IntLit { value, suffix, text: text.to_owned() })
}

fn suffix(text: &str) -> Result<Option<IntSuffix>, ()> {
    if let Some(unit) = TimeUnit::named(text) {
        return Ok(Some(IntSuffix::Time(unit)));
    }
    Ok(Some(match text {
        "" => return Ok(None),
        _ => match text.to_ascii_lowercase().as_str() {
            "u" => IntSuffix::U,
            "l" => IntSuffix::L,
            "ul" => IntSuffix::Ul,
            "ll" => IntSuffix::Ll,
            "ull" => IntSuffix::Ull,
            _ => return Err(()),
        },
    }))
}

/// The bytes that a string's body spells. `start` is the body's offset in the file.
///
/// Escapes are `\n \t \r \" \\`, up to three octal digits, and `\x` with up to two hexadecimal
/// digits. A wrong escape is reported and left out of the value.
pub fn unescape(body: &str, file: FileId, start: u32, diagnostics: &mut Vec<Diagnostic>) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let (value, length) = escape_value(escape);
        match value {
            Ok(byte) => out.push(byte),
            Err(problem) => {
                let from = start + (body.len() - escape.len()) as u32;
                let span = Span::new(file, from, from + length as u32);
                diagnostics.push(
                    Diagnostic::error(span, format!("syntax: {problem}"))
                        .help(r#"Escapes are \n, \t, \r, \", \\, \NNN (octal) and \xNN (hexadecimal)."#),
                );
            }
        }
        rest = escape.get(length..).unwrap_or("");
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The byte that an escape spells or what is wrong with it, and its length with the backslash.
fn escape_value(escape: &str) -> (Result<u8, String>, usize) {
    let run = |from: usize, radix: u32, most: usize| {
        let digits = escape.get(from..).unwrap_or("");
        let length = digits.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        digits.get(..length).unwrap_or("")
    };
    let Some(c) = escape.chars().nth(1) else {
        return (Err("unterminated string".to_owned()), escape.len());
    };
    match c {
        'n' => (Ok(b'\n'), 2),
        't' => (Ok(b'\t'), 2),
        'r' => (Ok(b'\r'), 2),
        '"' => (Ok(b'"'), 2),
        '\\' => (Ok(b'\\'), 2),
        '0'..='7' => {
            let digits = run(1, 8, 3);
            let value = u8::from_str_radix(digits, 8)
                .map_err(|_| format!("octal escape sequence out of range '\\{digits}'"));
            (value, 1 + digits.len())
        }
        'x' | 'X' => {
            let digits = run(2, 16, 2);
            let value = u8::from_str_radix(digits, 16).map_err(|_| "invalid hex escape sequence".to_owned());
            (value, 2 + digits.len())
        }
        _ => (Err(format!("invalid escape character '\\{c}'")), 1 + c.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span::new(FileId(0), 0, 1)
    }

    fn value(text: &str) -> Result<u64, String> {
        integer(text, span()).map(|lit| lit.value).map_err(|d| d.message)
    }

    #[test]
    fn spellings_of_integers() {
        for (text, expected) in [
            ("0", 0),
            ("42", 42),
            ("017", 15),
            ("0x1f", 31),
            ("0XFFFF_ffff", 0xffff_ffff),
            ("1_000_000", 1_000_000),
            ("1e6", 1_000_000),
            ("9E18", 9_000_000_000_000_000_000),
            ("1e0", 1),
            ("1e1_0", 10_000_000_000),
            ("18446744073709551615", u64::MAX),
            ("4294967295u", u64::from(u32::MAX)),
            ("1ULL", 1),
            ("9223372036854775807l", i64::MAX as u64),
            ("0x10ull", 16),
            ("5ns", 5),
            ("5us", 5_000),
            ("5ms", 5_000_000),
            ("5s", 5_000_000_000),
            ("5m", 300_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_integers() {
        for (text, part) in [
            ("18446744073709551616", "maximum value is 18446744073709551615"),
            ("4294967296u", "maximum value is 4294967295"),
            ("9223372036854775808ll", "maximum value is 9223372036854775807"),
            ("213504d", "maximum value is 18446744073709551615"),
            ("1e20", "maximum value"),
            ("1e99999999999", "maximum value"),
            ("10e3", "must be 1-9"),
            ("0e3", "must be 1-9"),
            ("1e", "invalid trailing bytes"),
            ("1_", "trailing underscore"),
            ("0x1_", "trailing underscore"),
            ("0x", "invalid integer: "),
            ("089", "invalid trailing bytes"),
            ("5q", "invalid integer suffix 'q'"),
            ("0b11", "invalid integer suffix 'b11'"),
        ] {
            let message = value(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn escapes() {
        let mut problems = Vec::new();
        let bytes = unescape(r#"a\n\t\r\"\\\0\101\x41\x4g\xffä"#, FileId(0), 0, &mut problems);
        assert_eq!(bytes, b"a\n\t\r\"\\\0AA\x04g\xff\xc3\xa4");
        assert_eq!(problems, vec![]);
    }

    #[test]
    fn wrong_escapes_are_reported_where_they_stand() {
        let mut problems = Vec::new();
        let bytes = unescape(r"a\qb\777c\xg\ä", FileId(0), 10, &mut problems);
        assert_eq!(bytes, b"abcg");
        let found: Vec<_> =
            problems.iter().map(|d| (d.span.map(|s| (s.start, s.end)), d.message.as_str())).collect();
        assert_eq!(
            found,
            vec![
                (Some((11, 13)), r"syntax: invalid escape character '\q'"),
                (Some((14, 18)), r"syntax: octal escape sequence out of range '\777'"),
                (Some((19, 21)), "syntax: invalid hex escape sequence"),
                (Some((22, 25)), r"syntax: invalid escape character '\ä'"),
            ]
        );
    }
}
