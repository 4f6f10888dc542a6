//! Values that are numbers to the kernel and text to the user: times, addresses, users, control groups.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use skep_lang::ty::{Clock, Shown};

use crate::host::Host;

/// The text of a value. `texts` are those that values refer to; without a host the names of this machine stay
/// numbers.
pub(crate) fn text(what: Shown, bytes: &[u8], texts: &[String], host: Option<&Host>) -> String {
    let word = |at: usize| {
        let part = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
        part.map_or(0, |part| u64::from_le_bytes(*part))
    };
    let kept = |index: u64| usize::try_from(index).ok().and_then(|index| texts.get(index));
    match what {
        Shown::Time => {
            let (time, rest) = (word(0), word(8));
            let clock = if rest >> 32 == Clock::Tai as u64 { Clock::Tai } else { Clock::Boot };
            let format = kept(rest & 0xffff_ffff).map_or("", String::as_str);
            match host {
                Some(host) => formatted_time(format, host.since_1970(clock, time)),
                None => time.to_string(),
            }
        }
        Shown::Address => address(word(0), bytes.get(8..).unwrap_or_default()),
        Shown::User => {
            let id = word(0) as u32;
            host.map_or_else(|| id.to_string(), |host| host.user(id).to_owned())
        }
        Shown::Mac => {
            let bytes: Vec<String> = bytes.iter().take(6).map(|byte| format!("{byte:02X}")).collect();
            bytes.join(":")
        }
        Shown::CgroupPath => {
            let pattern = kept(word(8)).map_or("", String::as_str);
            host.map_or_else(|| word(0).to_string(), |host| host.cgroup_paths(word(0), pattern))
        }
    }
}

/// Families other than the two are shown as nothing.
fn address(family: u64, bytes: &[u8]) -> String {
    const AF_INET: u64 = 2;
    const AF_INET6: u64 = 10;
    match (family, bytes.first_chunk::<4>(), bytes.first_chunk::<16>()) {
        (AF_INET, Some(bytes), _) => Ipv4Addr::from(*bytes).to_string(),
        (AF_INET6, _, Some(bytes)) => Ipv6Addr::from(*bytes).to_string(),
        _ => String::new(),
    }
}

/// A time in a format of strftime(3), in which `%f` stands for the microseconds.
fn formatted_time(format: &str, since_1970: i128) -> String {
    let nanos = since_1970.rem_euclid(1_000_000_000);
    let Ok(time) = Timestamp::from_nanosecond(since_1970) else { return String::new() };
    strftime(format, &time.to_zoned(TimeZone::system()), Some(&format!("{:06}", nanos / 1000)))
}

/// The local time in a format of strftime(3).
pub(crate) fn wall_clock(format: &str) -> String {
    strftime(format, &Zoned::now(), None)
}

/// The conversions of the C library that stand for one thing each.
const CONVERSIONS: &str = "aAbBCdDeFgGhHIjklmMnpPRsStTuUVwWyYzZ%";

/// Conversion by conversion: what is none stays as it is, as the C library does it.
fn strftime(format: &str, time: &Zoned, microseconds: Option<&str>) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // Flags, a width and modifiers stand before the letter.
        let letter = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| !matches!(c, '0'..='9' | '_' | '-' | '^' | '#' | 'E' | 'O'));
        let Some((at, letter)) = letter else { break };
        let conversion = &rest[..at + letter.len_utf8()];
        rest = &rest[conversion.len()..];
        let meant = match (letter, microseconds) {
            ('f', Some(microseconds)) => {
                out.push_str(microseconds);
                continue;
            }
            // As in the C locale.
            ('c', _) => "%a %b %e %H:%M:%S %Y",
            ('x', _) => "%m/%d/%y",
            ('X', _) => "%H:%M:%S",
            ('r', _) => "%I:%M:%S %p",
            _ if CONVERSIONS.contains(letter) => conversion,
            _ => {
                out.push_str(conversion);
                continue;
            }
        };
        out.push_str(&strtime::format(meant, time).unwrap_or_else(|_| conversion.to_owned()));
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(format: &str, nanos: i128) -> String {
        let time = Timestamp::from_nanosecond(nanos).unwrap().to_zoned(TimeZone::UTC);
        strftime(format, &time, Some("000123"))
    }

    #[test]
    fn a_format_is_taken_as_the_c_library_takes_it() {
        let time = 1_000_000_000_000_123_456;
        assert_eq!(at("%Y-%m-%d %H:%M:%S", time), "2001-09-09 01:46:40");
        assert_eq!(at("%s.%f", time), "1000000000.000123");
        assert_eq!(at("%q %z 100% %", time), "%q +0000 100% %");
        assert_eq!(at("%%f %T", time), "%f 01:46:40");
    }

    #[test]
    fn addresses_have_their_usual_form() {
        let mut bytes = [0; 24];
        bytes[0] = 2;
        bytes[8..12].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(text(Shown::Address, &bytes, &[], None), "127.0.0.1");
        bytes[0] = 10;
        bytes[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        assert_eq!(text(Shown::Address, &bytes, &[], None), "::1");
        bytes[0] = 3;
        assert_eq!(text(Shown::Address, &bytes, &[], None), "");
        assert_eq!(text(Shown::Mac, &[0, 0x1b, 0x63, 0x84, 0x45, 0xe6], &[], None), "00:1B:63:84:45:E6");
        assert_eq!(text(Shown::Time, &[], &[], None), "0");
    }
}
