//! The expressions of made-up scripts.

use super::constructs::{self, CONDITIONS};
use super::{LOCALS, Maker, TYPES};

/// Texts, the first three of one length.
pub(super) const TEXTS: [&str; 5] =
    ["\"abc\"", "\"abd\"", "\"xyz\"", "\"\"", "\"a longer text than the others\""];
const ARITHMETIC: [&str; 10] = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "31",
    "63",
    "100",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "9223372036854775807",
];

impl Maker<'_> {
    /// A number of any type.
    pub(super) fn int(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.leaf();
        }
        match self.choose(12) {
            0..=2 => self.leaf(),
            3..=6 => {
                let op = ARITHMETIC[self.choose(ARITHMETIC.len())];
                format!("({} {op} {})", self.int(depth - 1), self.int(depth - 1))
            }
            7 => format!("({}{})", ["-", "~"][self.choose(2)], self.atom(depth)),
            8 | 9 => format!("(({}){})", TYPES[self.choose(TYPES.len())], self.atom(depth)),
            10 => {
                let (ty, cond) = (TYPES[self.choose(TYPES.len())], self.cond(depth - 1));
                format!("({cond} ? ({ty}){} : ({ty}){})", self.atom(depth), self.atom(depth))
            }
            _ => format!("((int64)({}))", self.cond(depth - 1)),
        }
    }

    fn atom(&mut self, depth: u32) -> String {
        format!("({})", self.int(depth - 1))
    }

    pub(super) fn leaf(&mut self) -> String {
        match self.choose(40) {
            0..=2 => self.number(),
            3 if !self.counters.is_empty() => {
                let at = self.choose(self.counters.len());
                self.counters[at].clone()
            }
            3..=6 => format!("$i{}", self.choose(LOCALS)),
            7 => format!("@m{}", self.choose(2)),
            8 => format!("@{}[{}]", ["k", "n"][self.choose(2)], self.key()),
            9 => format!("$t.{}", [0, 1, 3][self.choose(3)]),
            10 => {
                let member = ["x", "bytes[0]", "bytes[1]", "low", "high"][self.choose(5)];
                format!("((struct made_up *)&$w)->{member}")
            }
            11 => match self.choose(3) {
                0 => format!("$a[($i{} & 7)]", self.choose(LOCALS)),
                _ => format!("$a[{}]", self.choose(8)),
            },
            12 => ["$r.n", "$q.0", "$q.1.0", "$q.2"][self.choose(4)].into(),
            13 => format!("(*(&$i{}))", self.choose(LOCALS)),
            14 => format!("(int64)strlen({})", self.string()),
            15 => format!("(int64)strncmp({}, {}, {})", self.string(), self.string(), 1 + self.choose(4)),
            16 => format!("twice($i{})", self.choose(LOCALS)),
            17 => format!(
                "bswap(({})$i{})",
                ["uint16", "uint32", "uint64"][self.choose(3)],
                self.choose(LOCALS)
            ),
            18 => format!("(int64)strstr({}, \"bc\")", self.string()),
            19 => format!("(int64)memcmp($s, {}, 3)", self.string()),
            20 => format!("(1 ? $i{} : \"not this\")", self.choose(LOCALS)),
            21 => format!("($i{} {} 0)", self.choose(LOCALS), ["/", "%"][self.choose(2)]),
            22 => format!("(int64)((int8 *)$i{})", self.choose(LOCALS)),
            23..=36 => self.construct(constructs::NUMBERS),
            _ => self.call(false).unwrap_or_else(|| "1".into()),
        }
    }

    /// A number that the language does not know before the script runs.
    pub(super) fn unknown(&mut self) -> String {
        let at = self.choose(LOCALS);
        format!("$i{at} + {}", self.leaf())
    }

    pub(super) fn cond(&mut self, depth: u32) -> String {
        match self.choose(20) {
            0..=3 => {
                let op = COMPARISONS[self.choose(COMPARISONS.len())];
                format!("({} {op} {})", self.int(depth), self.int(depth))
            }
            4 => format!("({} {} {})", self.string(), ["==", "!="][self.choose(2)], self.string()),
            5 => format!("has_key(@k, {})", self.key()),
            6 if depth > 0 => {
                format!(
                    "({} {} {})",
                    self.cond(depth - 1),
                    ["&&", "||"][self.choose(2)],
                    self.cond(depth - 1)
                )
            }
            7 if depth > 0 => format!("(!{})", self.cond(depth - 1)),
            8 if depth > 0 => format!(
                "({} {} {})",
                self.cond(depth - 1),
                ["&", "|", "^", "+", "-"][self.choose(5)],
                self.cond(depth - 1)
            ),
            9 => format!("strcontains({}, {})", self.string(), TEXTS[self.choose(3)]),
            10 => format!("($a {} {})", ["==", "!="][self.choose(2)], self.bytes()),
            11 => format!("($q {} {})", ["==", "!="][self.choose(2)], self.nested()),
            12 => format!("($r {} {})", ["==", "!="][self.choose(2)], self.record()),
            13 => "$b".into(),
            14..=18 => self.construct(CONDITIONS),
            _ => format!("($i{} != 0)", self.choose(LOCALS)),
        }
    }

    /// Few different ones, so that entries meet again.
    pub(super) fn key(&mut self) -> String {
        match self.choose(4) {
            0 => format!("(int64)$i{}", self.choose(LOCALS)),
            _ => format!("(int64){}", self.choose(4)),
        }
    }

    pub(super) fn string(&mut self) -> String {
        match self.choose(11) {
            8..=10 => self.construct(constructs::TEXTS),
            7 => format!("str($s, $i{} & 7)", self.choose(LOCALS)),
            6 => self.call(true).unwrap_or_else(|| "$s".into()),
            0 => "$s".into(),
            1 => "$t.2".into(),
            2 => "$r.s".into(),
            3 => "$q.1.1".into(),
            _ => TEXTS[self.choose(TEXTS.len())].into(),
        }
    }

    pub(super) fn number(&mut self) -> String {
        let number = NUMBERS[self.choose(NUMBERS.len())];
        if self.choose(4) == 0 { format!("(-{number})") } else { number.into() }
    }

    /// Eight bytes as an array.
    pub(super) fn bytes(&mut self) -> String {
        format!("(uint8[8])((int64)({}))", self.int(1))
    }

    /// A record.
    pub(super) fn record(&mut self) -> String {
        format!("(n = (int64)({}), s = {})", self.int(1), TEXTS[self.choose(3)])
    }

    /// A tuple in a tuple.
    pub(super) fn nested(&mut self) -> String {
        format!(
            "((int16)({}), ((uint8)({}), {}), (int64)({}))",
            self.int(1),
            self.int(1),
            TEXTS[self.choose(3)],
            self.int(1)
        )
    }
}
