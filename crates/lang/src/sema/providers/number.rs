//! Numbers in attach points: as in the rest of a script, but what is wrong with one is told in few words.

use crate::syntax::literal::{self, NumberError};

/// The value of a number: `5`, `1_000`, `0x10`, `1e6`, `2ms` in nanoseconds.
///
/// # Errors
///
/// What is wrong with it, as it follows `Invalid offset: ` and the like.
pub fn read(text: &str) -> Result<u64, String> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    literal::number(&plain).map(|number| number.value).map_err(|error| match error {
        NumberError::NoDigits => {
            let digits = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")).unwrap_or(text);
            format!("invalid integer: {digits}")
        }
        NumberError::Overflow(limit) => format!("overflow error, maximum value is {limit}: {text}"),
        NumberError::Coefficient => format!("coefficient part of scientific literal must be 1-9: {text}"),
        NumberError::Exponent => format!("invalid exponent: {text}"),
        NumberError::NotOctal | NumberError::TrailingUnderscore | NumberError::Suffix(_) => {
            format!("invalid trailing bytes: {text}")
        }
    })
}

/// Whether it is a number below zero, which has no meaning anywhere here.
pub fn is_negative(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|digits| read(digits).is_ok())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn numbers_are_those_of_the_language() {
        let all = ["5", "1_000", "0x10", "017", "1e6", "2ms", "0X1F", "3u"];
        let values = [5, 1_000, 16, 15, 1_000_000, 2_000_000, 31, 3];
        assert_eq!(all.map(read), values.map(Ok));
    }

    #[test]
    fn mistakes_are_told_as_the_original_tells_them() {
        for (text, problem) in [
            ("", "invalid integer: "),
            ("x", "invalid integer: x"),
            ("0x", "invalid integer: "),
            ("+5", "invalid integer: +5"),
            ("99hz", "invalid trailing bytes: 99hz"),
            ("08", "invalid trailing bytes: 08"),
            ("10e6", "coefficient part of scientific literal must be 1-9: 10e6"),
            (
                "99999999999999999999",
                "overflow error, maximum value is 18446744073709551615: 99999999999999999999",
            ),
            ("99999999999d", "overflow error, maximum value is 18446744073709551615: 99999999999d"),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()));
        }
    }
}
