//! `printf` formats, taken apart.

use crate::hir::{Conversion, Format, Piece, Spec};

/// Wider output is a mistake, and would let a short script print gigabytes.
const MAX_WIDTH: u32 = 4096;

/// Takes a format apart. What does not read as a conversion stays text, as in the original; a
/// conversion that C has and this language lacks is an error.
pub fn parse(text: &str) -> Result<Format, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let mut scanner = Scanner { rest: from.get(1..).unwrap_or("") };
        match scanner.conversion()? {
            Some(Scanned::Percent) => {
                plain.push('%');
                rest = scanner.rest;
            }
            Some(Scanned::Conversion(conversion)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Conversion(conversion));
                rest = scanner.rest;
            }
            None => {
                plain.push('%');
                rest = from.get(1..).unwrap_or("");
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Format { pieces })
}

/// How a conversion is spelled, for messages.
pub fn letters(spec: Spec) -> &'static str {
    match spec {
        Spec::Signed => "d",
        Spec::Unsigned => "u",
        Spec::Octal => "o",
        Spec::Hex => "x",
        Spec::HexUpper => "X",
        Spec::Char => "c",
        Spec::Str => "s",
        Spec::Pointer => "p",
        Spec::Raw => "r",
        Spec::RawHex => "rx",
        Spec::RawHexPlain => "rh",
    }
}

enum Scanned {
    Percent,
    Conversion(Conversion),
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 { None } else { Some(number.parse().unwrap_or(u32::MAX)) }
    }

    /// What follows a `%`; `None` if it is no conversion.
    fn conversion(&mut self) -> Result<Option<Scanned>, String> {
        let mut conversion = Conversion::default();
        loop {
            let flag = match self.rest.chars().next() {
                Some('-') => &mut conversion.left,
                Some('+') => &mut conversion.plus,
                Some(' ') => &mut conversion.space,
                Some('0') => &mut conversion.zero,
                Some('#') => &mut conversion.alternate,
                _ => break,
            };
            *flag = true;
            self.rest = self.rest.get(1..).unwrap_or("");
        }
        conversion.width = self.number();
        if self.take(".") {
            conversion.precision = Some(self.number().unwrap_or(0));
        }
        for limit in [conversion.width, conversion.precision].into_iter().flatten() {
            if limit > MAX_WIDTH {
                return Err(format!("width or precision {limit} is too large, the maximum is {MAX_WIDTH}"));
            }
        }
        if self.take("%") {
            return Ok(Some(Scanned::Percent));
        }
        const LENGTHS: &[(&str, u8)] =
            &[("hh", 8), ("h", 16), ("ll", 64), ("l", 64), ("L", 64), ("z", 64), ("j", 64), ("t", 64)];
        conversion.bits = LENGTHS.iter().find(|(prefix, _)| self.take(prefix)).map(|(_, bits)| *bits);
        const SPECS: &[(&str, Spec)] = &[
            ("rx", Spec::RawHex),
            ("rh", Spec::RawHexPlain),
            ("r", Spec::Raw),
            ("d", Spec::Signed),
            ("i", Spec::Signed),
            ("u", Spec::Unsigned),
            ("o", Spec::Octal),
            ("x", Spec::Hex),
            ("X", Spec::HexUpper),
            ("c", Spec::Char),
            ("s", Spec::Str),
            ("p", Spec::Pointer),
        ];
        match SPECS.iter().find(|(letters, _)| self.take(letters)) {
            Some((_, spec)) => {
                conversion.spec = *spec;
                Ok(Some(Scanned::Conversion(conversion)))
            }
            None => match self.rest.chars().next() {
                Some(c @ ('a' | 'A' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | 'm')) => {
                    Err(format!("unsupported format specifier: {c}"))
                }
                _ => Ok(None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Conversion {
        match parse(text).map(|format| format.pieces) {
            Ok(pieces) => match pieces.as_slice() {
                [Piece::Conversion(conversion)] => conversion.clone(),
                other => panic!("{other:?}"),
            },
            Err(error) => panic!("{error}"),
        }
    }

    fn texts(text: &str) -> String {
        let format = parse(text).unwrap();
        format
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Conversion(_) => "<>",
            })
            .collect()
    }

    #[test]
    fn a_conversion_has_all_its_parts() {
        let all = only("%-+ #08.3lx");
        assert!(all.left && all.plus && all.space && all.alternate && all.zero);
        assert_eq!((all.width, all.precision, all.bits, all.spec), (Some(8), Some(3), Some(64), Spec::Hex));
        assert_eq!(only("%hhd").bits, Some(8));
        assert_eq!(only("%hd").bits, Some(16));
        assert_eq!(only("%rx").spec, Spec::RawHex);
        assert_eq!(only("%rh").spec, Spec::RawHexPlain);
        assert_eq!(only("%r").spec, Spec::Raw);
        assert_eq!(only("%10s").width, Some(10));
        assert_eq!(only("%.s").precision, Some(0));
    }

    #[test]
    fn what_is_no_conversion_is_text() {
        assert_eq!(texts("100%"), "100%");
        assert_eq!(texts("%%"), "%");
        assert_eq!(texts("%5%"), "%");
        assert_eq!(texts("%q %y %*d"), "%q %y %*d");
        assert_eq!(texts("a%db%sc"), "a<>b<>c");
        assert_eq!(texts("%ü"), "%ü");
        assert_eq!(texts(""), "");
    }

    #[test]
    fn what_c_has_and_we_lack_is_an_error() {
        for bad in ["%f", "%n", "%e", "%a", "%5.2g"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("%99999999999d").is_err());
    }
}
