//! Messages as C's printf makes them, of the values that a probe sent.

use skep_trace::sink::Data;

/// A message with its conversions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Conversion(Conversion),
}

/// `%-8.3lx`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    /// Of the value that is taken.
    bits: u32,
    /// The letter.
    kind: char,
}

impl Conversion {
    /// What the script has to send for it: `text` is an expression of it.
    pub fn value_of(&self, expression: &str) -> String {
        match self.kind {
            's' => format!("str({expression})"),
            'K' => format!("ksym((uint64)({expression}))"),
            'U' => format!("usym((uint64)({expression}))"),
            _ => format!("(uint64)({expression})"),
        }
    }
}

impl Message {
    /// Reads the format, without its quotes.
    ///
    /// # Errors
    ///
    /// A conversion that there is not.
    pub fn parse(format: &str) -> Result<Message, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => text.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c) => c,
                    None => '\\',
                }),
                '%' if chars.next_if_eq(&'%').is_some() => text.push('%'),
                '%' => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Conversion(conversion(&mut chars)?));
                }
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Message { pieces })
    }

    /// Its conversions in order.
    pub fn conversions(&self) -> impl Iterator<Item = &Conversion> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Conversion(conversion) => Some(conversion),
            Piece::Text(_) => None,
        })
    }

    /// With one value for each conversion.
    pub fn of(&self, values: &[&Data]) -> String {
        let mut values = values.iter();
        let mut shown = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => shown.push_str(text),
                Piece::Conversion(conversion) => {
                    shown.push_str(&conversion.shown(values.next().copied().unwrap_or(&Data::Void)));
                }
            }
        }
        shown
    }
}

fn conversion(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Conversion, String> {
    let mut conversion = Conversion { bits: 32, ..Conversion::default() };
    while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
        match flag {
            '-' => conversion.left = true,
            '0' => conversion.zero = true,
            '+' => conversion.plus = true,
            ' ' => conversion.space = true,
            _ => conversion.alternate = true,
        }
    }
    /// No message needs wider columns.
    const MOST: usize = 4096;
    let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut value = 0usize;
        while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
            value = (value * 10 + digit as usize).min(MOST);
        }
        value
    };
    conversion.width = number(chars);
    if chars.next_if_eq(&'.').is_some() {
        conversion.precision = Some(number(chars));
    }
    while let Some(length) = chars.next_if(|c| "hlzjt".contains(*c)) {
        conversion.bits = match (length, conversion.bits) {
            ('h', 16) => 8,
            ('h', _) => 16,
            _ => 64,
        };
    }
    conversion.kind = match chars.next() {
        Some('i') => 'd',
        Some(kind) if "duoxXcspKU".contains(kind) => kind,
        Some(kind) => return Err(format!("there is no conversion %{kind}: d u o x X c s p K U are known")),
        None => return Err("the format ends within a conversion".into()),
    };
    if conversion.kind == 'p' {
        conversion.bits = 64;
    }
    Ok(conversion)
}

impl Conversion {
    fn shown(&self, data: &Data) -> String {
        let bits = match data {
            Data::Uint(value) => *value,
            Data::Int(value) => value.cast_unsigned(),
            Data::Bool(value) => u64::from(*value),
            Data::Text(text) => {
                let text: String = match self.precision {
                    Some(most) => text.chars().take(most).collect(),
                    None => text.clone(),
                };
                return self.padded("", &text, false);
            }
            _ => return self.padded("", "", false),
        };
        let unsigned = if self.bits == 64 { bits } else { bits & ((1 << self.bits) - 1) };
        let (sign, digits) = match self.kind {
            'd' => {
                let unused = 64 - self.bits.min(64);
                let value = (bits << unused).cast_signed() >> unused;
                let sign = match value {
                    ..0 => "-",
                    _ if self.plus => "+",
                    _ if self.space => " ",
                    _ => "",
                };
                (sign, value.unsigned_abs().to_string())
            }
            'o' => (if self.alternate && unsigned != 0 { "0" } else { "" }, format!("{unsigned:o}")),
            'x' => (if self.alternate && unsigned != 0 { "0x" } else { "" }, format!("{unsigned:x}")),
            'X' => (if self.alternate && unsigned != 0 { "0X" } else { "" }, format!("{unsigned:X}")),
            'p' => ("0x", format!("{unsigned:x}")),
            'c' => return self.padded("", &char::from(bits as u8).to_string(), false),
            _ => ("", unsigned.to_string()),
        };
        match self.precision {
            Some(least) => {
                let zeroes = "0".repeat(least.saturating_sub(digits.len()));
                self.padded(sign, &format!("{zeroes}{digits}"), false)
            }
            None => self.padded(sign, &digits, self.zero && !self.left),
        }
    }

    fn padded(&self, sign: &str, text: &str, zeroes: bool) -> String {
        let fill = self.width.saturating_sub(sign.len() + text.chars().count());
        match (self.left, zeroes) {
            (true, _) => format!("{sign}{text}{}", " ".repeat(fill)),
            (_, true) => format!("{sign}{}{text}", "0".repeat(fill)),
            _ => format!("{}{sign}{text}", " ".repeat(fill)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &str, values: &[Data]) -> String {
        Message::parse(format).unwrap().of(&values.iter().collect::<Vec<_>>())
    }

    #[test]
    fn conversions_are_those_of_c() {
        let minus = Data::Uint(u64::MAX);
        assert_eq!(
            shown("%d %u %ld %lu", &[minus.clone(), minus.clone(), minus.clone(), minus.clone()]),
            "-1 4294967295 -1 18446744073709551615"
        );
        assert_eq!(
            shown("%hd %hhu %x %llx", &[minus.clone(), minus.clone(), minus.clone(), minus]),
            "-1 255 ffffffff ffffffffffffffff"
        );
        assert_eq!(
            shown("[%5d|%-5d|%05d|%+d|%.3d]", &[7u64, 7, 7, 7, 7].map(Data::Uint)),
            "[    7|7    |00007|+7|007]"
        );
        assert_eq!(shown("%#x %#o %p %X", &[255u64, 8, 4096, 255].map(Data::Uint)), "0xff 010 0x1000 FF");
        assert_eq!(shown("%c%c 100%%\\n", &[104u64, 105].map(Data::Uint)), "hi 100%\n");
        assert_eq!(
            shown("<%6s|%-6s|%.2s>", &["abc", "abc", "abc"].map(|text| Data::Text(text.into()))),
            "<   abc|abc   |ab>"
        );
        assert_eq!(shown("%d %s", &[]), " ");
    }

    #[test]
    fn what_is_no_conversion_is_told() {
        for wrong in ["%", "%y", "%5", "%-"] {
            assert!(Message::parse(wrong).is_err(), "{wrong}");
        }
    }
}
