//! How often a timer fires: `s:5`, `hz:99`, `1ms`, `5000000`.

use super::number;
use crate::hir::Rate;
use crate::sema::pattern;

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
    if pattern::has_wildcard(text) {
        return Err(format!("{text} is not an accepted unit of time"));
    }
    let period =
        number::read(text).map_err(|problem| format!("Invalid rate of {provider} probe: {problem}"))?;
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
    let number = match number::read(text) {
        Ok(0) => return Err(positive()),
        Ok(number) => number,
        Err(_) if number::is_negative(text) => return Err(positive()),
        Err(problem) => return Err(format!("Invalid rate of {provider} probe: {problem}")),
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
