//! `printf` formats, taken apart.

use crate::hir::{Conversion, Format, Piece, Spec};

/// Wider output is a mistake, and would let a short script print gigabytes.
const MAX_WIDTH: u32 = 4096;

/// Takes a format apart. What does not read as a conversion stays text, as in the original; a
/// conversion that C has and this language lacks is an error.
pub fn parse(text: &[u8]) -> Result<Format, String> {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut scanner = Scanner { rest };
        match scanner.conversion()? {
            Some(Scanned::Percent) => {
                plain.push(b'%');
                rest = scanner.rest;
            }
            Some(Scanned::Conversion(conversion)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Conversion(conversion));
                rest = scanner.rest;
            }
            None => plain.push(b'%'),
        }
    }
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
        Spec::GfpFlags => "gr",
    }
}

enum Scanned {
    Percent,
    Conversion(Conversion),
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn number(&mut self) -> Option<u32> {
        let mut number: Option<u32> = None;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let digit = u32::from(digit - b'0');
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            self.rest = rest;
        }
        number
    }

    /// What follows a `%`; `None` if it is no conversion.
    fn conversion(&mut self) -> Result<Option<Scanned>, String> {
        let mut conversion = Conversion::default();
        while let Some((flag, rest)) = self.rest.split_first() {
            let flag = match flag {
                b'-' => &mut conversion.left,
                b'+' => &mut conversion.plus,
                b' ' => &mut conversion.space,
                b'0' => &mut conversion.zero,
                b'#' => &mut conversion.alternate,
                _ => break,
            };
            *flag = true;
            self.rest = rest;
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
            ("gr", Spec::GfpFlags),
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
            None => match self.rest.first() {
                Some(letter @ (b'a' | b'A' | b'e' | b'E' | b'f' | b'F' | b'g' | b'G' | b'n' | b'm')) => {
                    Err(format!("unsupported format specifier: {}", char::from(*letter)))
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
        match parse(text.as_bytes()).map(|format| format.pieces) {
            Ok(pieces) => match pieces.as_slice() {
                [Piece::Conversion(conversion)] => conversion.clone(),
                other => panic!("{other:?}"),
            },
            Err(error) => panic!("{error}"),
        }
    }

    fn texts(text: &str) -> String {
        let format = parse(text.as_bytes()).unwrap();
        format
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => std::str::from_utf8(text).unwrap(),
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
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"%99999999999d").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let format = parse(b"\xff%d\xfe%").unwrap();
        assert_eq!(
            format.pieces,
            [
                Piece::Text(vec![0xff]),
                Piece::Conversion(Conversion { spec: Spec::Signed, ..Default::default() }),
                Piece::Text(vec![0xfe, b'%']),
            ]
        );
    }
}
