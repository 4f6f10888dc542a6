//! How often a timer fires: `s:5`, `hz:99`, `1ms`, `5000000`.

use crate::hir::Rate;
use crate::syntax::ast::TimeUnit;

/// A rate and how the `probe` builtin spells it, or what is wrong with it.
pub fn read(provider: &str, parts: &[String]) -> Result<(Rate, String), String> {
    match parts {
        [period] => bare(provider, period),
        [unit, number] => with_unit(provider, unit, number),
        _ => Err(format!("{provider} probe type requires 1 or 2 arguments, found {}", parts.len())),
    }
}

/// Nanoseconds, or a number with its unit behind it.
fn bare(provider: &str, text: &str) -> Result<(Rate, String), String> {
    let invalid = || format!("Invalid rate of {provider} probe: invalid integer: {text}");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    // The `e` of `1e6` has digits behind it, so it is not taken for a unit.
    let unit = match text.get(digits.len()..).unwrap_or("") {
        "" | "ns" => TimeUnit::Nanoseconds,
        "us" => TimeUnit::Microseconds,
        "ms" => TimeUnit::Milliseconds,
        "s" => TimeUnit::Seconds,
        "m" => TimeUnit::Minutes,
        "h" => TimeUnit::Hours,
        "d" => TimeUnit::Days,
        _ => return Err(invalid()),
    };
    let number = integer(digits).ok_or_else(invalid)?;
    let period = number.checked_mul(unit.nanoseconds()).ok_or_else(|| too_long(provider))?;
    if period < 1000 {
        return Err(format!(
            "Invalid rate of {provider} probe. Minimum is 1000 or 1us. Found: {period} nanoseconds"
        ));
    }
    Ok((Rate::PeriodNs(period), format!("us:{}", period / 1000)))
}

fn with_unit(provider: &str, unit: &str, text: &str) -> Result<(Rate, String), String> {
    let nanoseconds = match unit {
        "s" => Some(1_000_000_000),
        "ms" => Some(1_000_000),
        "us" => Some(1_000),
        "hz" => None,
        _ => return Err(format!("{unit} is not an accepted unit of time")),
    };
    let positive = || format!("{provider} frequency should be a positive integer");
    let number = match integer(text) {
        Some(0) => return Err(positive()),
        Some(number) => number,
        None if text.strip_prefix('-').is_some_and(|rest| integer(rest).is_some()) => return Err(positive()),
        None => return Err(format!("Invalid rate of {provider} probe: invalid integer: {text}")),
    };
    let rate = match nanoseconds {
        Some(each) => Rate::PeriodNs(number.checked_mul(each).ok_or_else(|| too_long(provider))?),
        None => Rate::Hertz(number),
    };
    Ok((rate, format!("{unit}:{number}")))
}

fn too_long(provider: &str) -> String {
    format!("Invalid rate of {provider} probe: the period does not fit 64 bits of nanoseconds")
}

/// `5`, `1_000`, `0x10`, `1e6`
pub fn integer(text: &str) -> Option<u64> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if !plain.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(hex) = plain.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    match plain.split_once('e') {
        Some((mantissa, exponent)) => {
            let power = 10u64.checked_pow(exponent.parse().ok()?)?;
            mantissa.parse::<u64>().ok()?.checked_mul(power)
        }
        None => plain.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(Rate, String), String> {
        let parts: Vec<String> = text.split(':').map(String::from).collect();
        read("interval", &parts)
    }

    #[test]
    fn all_spellings() {
        let period = |ns, shown: &str| Ok((Rate::PeriodNs(ns), shown.to_owned()));
        assert_eq!(of("s:1"), period(1_000_000_000, "s:1"));
        assert_eq!(of("ms:100"), period(100_000_000, "ms:100"));
        assert_eq!(of("us:1"), period(1_000, "us:1"));
        assert_eq!(of("hz:99"), Ok((Rate::Hertz(99), "hz:99".into())));
        assert_eq!(of("5000000"), period(5_000_000, "us:5000"));
        assert_eq!(of("1e6"), period(1_000_000, "us:1000"));
        assert_eq!(of("1ms"), period(1_000_000, "us:1000"));
        assert_eq!(of("2s"), period(2_000_000_000, "us:2000000"));
    }

    #[test]
    fn all_mistakes() {
        for bad in [
            "10",
            "s:0",
            "hz:0",
            "s:-1",
            "s:abc",
            "s",
            "ns:5",
            "foo:1",
            "",
            ":",
            "s:",
            "0x",
            "1e99",
            "s:99999999999999",
            "99999999999d",
            "+5000",
            "s:+1",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
