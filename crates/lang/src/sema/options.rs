//! What the caller of the compiler decides, as opposed to the script and the kernel.

use crate::syntax::ast::TimeUnit;

/// How a script is to be analysed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `$1`, `$2`, … in order; `$#` is how many.
    pub params: Vec<String>,
    /// `--name` and `--name=value` for `getopt()`, in order.
    pub named: Vec<(String, Option<String>)>,
    /// Headers to read before everything else.
    pub includes: Vec<String>,
    /// Settings that beat those of the script: a key, with or without `BPFTRACE_`, and its value.
    pub config: Vec<(String, String)>,
    /// Whether every probe but `begin` and `end` only runs for [`crate::hir::Runtime::FilterPid`].
    pub pid_filter: bool,
    /// Whether a command was given to run, so that `cpid` has a meaning.
    pub has_command: bool,
    /// Whether functions that can harm the traced system are allowed.
    pub unsafe_mode: bool,
    /// Whether it is to run on other machines, too: what differs from one to the other is asked when it is loaded.
    pub portable: bool,
    /// Whether the script tells of keys that are not there and of memory that cannot be read.
    pub runtime_warnings: bool,
}

/// The value of a positional parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param<'a> {
    /// Not given, or empty.
    Missing,
    /// Reads as an integer.
    Number {
        /// Its magnitude.
        value: u64,
        /// Whether a minus stood before it.
        negative: bool,
    },
    /// Anything else.
    Text(&'a str),
}

impl Options {
    /// The text of `$n`, empty when it was not given.
    pub(crate) fn param_text(&self, n: u32) -> &str {
        let index = (n as usize).checked_sub(1);
        index.and_then(|index| self.params.get(index)).map_or("", String::as_str)
    }

    /// The value of `$n` as 64 bits, 0 when it was not given; `None` if it is a text.
    pub(crate) fn param_number(&self, n: u32) -> Option<u64> {
        match self.param(n) {
            Param::Missing => Some(0),
            Param::Number { value, negative } => Some(if negative { value.wrapping_neg() } else { value }),
            Param::Text(_) => None,
        }
    }

    /// The value of `$n`.
    pub(crate) fn param(&self, n: u32) -> Param<'_> {
        let text = self.param_text(n);
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (digits, unit) = duration(digits);
        let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => plain_digits(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => plain_digits(digits, 8),
            None => plain_digits(digits, 10),
        };
        let value = value.and_then(|value| value.checked_mul(unit));
        match value {
            _ if text.is_empty() => Param::Missing,
            Some(value) if !negative || value <= 1 << 63 => Param::Number { value, negative },
            _ => Param::Text(text),
        }
    }
}

/// A number without the unit of time behind it, and that many nanoseconds; 1 without a unit.
fn duration(text: &str) -> (&str, u64) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text.split_at(end) {
        (digits, unit) if !digits.is_empty() => match TimeUnit::named(unit) {
            Some(unit) => (digits, unit.nanoseconds()),
            None => (text, 1),
        },
        _ => (text, 1),
    }
}

/// Without the sign that the standard library would take.
fn plain_digits(text: &str, radix: u32) -> Option<u64> {
    if text.starts_with('+') { None } else { u64::from_str_radix(text, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_number_when_it_reads_as_one() {
        let params =
            ["5", "-5", "0x1f", "010", "abc", "+5", "", "-", "99999999999999999999", "5ms", "-1s", "5x"];
        let options = Options { params: params.map(String::from).into(), ..Options::default() };
        let number = |value, negative| Param::Number { value, negative };
        assert_eq!(options.param(1), number(5, false));
        assert_eq!(options.param(2), number(5, true));
        assert_eq!(options.param(3), number(31, false));
        assert_eq!(options.param(4), number(8, false));
        assert_eq!(options.param(5), Param::Text("abc"));
        assert_eq!(options.param(6), Param::Text("+5"));
        assert_eq!(options.param(7), Param::Missing);
        assert_eq!(options.param(8), Param::Text("-"));
        assert_eq!(options.param(9), Param::Text("99999999999999999999"));
        assert_eq!(options.param(10), number(5_000_000, false));
        assert_eq!(options.param(11), number(1_000_000_000, true));
        assert_eq!(options.param(12), Param::Text("5x"));
        assert_eq!(options.param(13), Param::Missing);
        assert_eq!(options.param(0), Param::Missing);
    }
}
