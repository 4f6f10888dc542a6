//! Makes up scripts: well-typed programs for BEGIN, from a list of choices. The same choices give the same script,
//! and fewer choices a smaller one, so failures shrink. Nothing in them depends on the run.

use std::fmt::Write;

const TYPES: [&str; 8] = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];
const TEXTS: [&str; 5] = ["\"abc\"", "\"abd\"", "\"xyz\"", "\"\"", "\"a longer text than the others\""];
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
/// Variables that are numbers: their number, and so their type, by the choices.
const LOCALS: usize = 5;

/// A script of one clause.
pub fn script(choices: &[u16]) -> String {
    let mut maker = Maker { choices: choices.iter(), text: String::new(), types: [0; LOCALS], indent: 1 };
    maker.text.push_str("BEGIN {\n");
    maker.prologue();
    while maker.choices.len() > 0 {
        maker.statement(2);
    }
    // Everything that was computed counts.
    for at in 0..LOCALS {
        maker.line(format!("@v{at} = $i{at};"));
    }
    maker.line("@texts[$s, 1] = $s;".into());
    maker.line("@last = $t;".into());
    maker.text.push_str("}\n");
    maker.text
}

struct Maker<'a> {
    choices: std::slice::Iter<'a, u16>,
    text: String,
    types: [usize; LOCALS],
    indent: usize,
}

impl Maker<'_> {
    fn prologue(&mut self) {
        for at in 0..LOCALS {
            self.types[at] = self.choose(TYPES.len());
            let value = self.number();
            self.line(format!("$i{at} = ({})({value});", TYPES[self.types[at]]));
        }
        self.line("@m0 = (int64)1;".into());
        self.line("@m1 = (int64)-1;".into());
        self.line("@k[0] = (int32)5;".into());
        self.line("@n[1]++;".into());
        self.line("$s = \"a longer text than the others\";".into());
        self.line("$t = ((int8)1, (uint32)2, \"abc\", (int64)4);".into());
    }

    fn statement(&mut self, depth: u32) {
        let line = match self.choose(20) {
            0..=3 => {
                let (at, value) = (self.choose(LOCALS), self.int(3));
                format!("$i{at} = ({})({value});", TYPES[self.types[at]])
            }
            4 => format!("$i{}{};", self.choose(LOCALS), ["++", "--"][self.choose(2)]),
            5 => format!("@m{} = (int64)({});", self.choose(2), self.int(3)),
            6 => format!("@m{}{};", self.choose(2), ["++", "--"][self.choose(2)]),
            7 => format!("@m{} += (int64)({});", self.choose(2), self.int(2)),
            8 => format!("@k[{}] = (int32)({});", self.key(), self.int(2)),
            9 => format!("@n[{}]++;", self.key()),
            10 => format!(
                "@p[(int16)({}), (uint64){}] = (uint8)({});",
                self.int(1),
                self.choose(3),
                self.int(2)
            ),
            11 => {
                let at = self.choose(LOCALS);
                format!("$i{at} = ({})(@n[{}]++);", TYPES[self.types[at]], self.key())
            }
            12 => format!("$s = {};", self.string()),
            13 => format!(
                "$t = ((int8)({}), (uint32)({}), {}, (int64)({}));",
                self.int(2),
                self.int(2),
                TEXTS[self.choose(3)],
                self.int(1)
            ),
            14 => format!("@texts[{}, {}] = {};", self.string(), self.choose(3), self.string()),
            15 => format!("delete(@{}, {});", ["k", "n"][self.choose(2)], self.key()),
            16 => self.aggregation(),
            17 => format!("@seen[$t] = (int64)({});", self.int(1)),
            _ if depth == 0 => format!("@m0 = (int64)({});", self.int(1)),
            _ => return self.branch(depth - 1),
        };
        self.line(line);
    }

    fn branch(&mut self, depth: u32) {
        let cond = self.cond(2);
        self.line(format!("if ({cond}) {{"));
        self.side(depth);
        if self.choose(2) == 0 {
            self.line("} else {".into());
            self.side(depth);
        }
        self.line("}".into());
    }

    fn side(&mut self, depth: u32) {
        self.indent += 1;
        for _ in 0..=self.choose(3) {
            self.statement(depth);
        }
        self.indent -= 1;
    }

    fn aggregation(&mut self) -> String {
        let sample = format!("(int64)({})", self.int(1));
        let key = self.key();
        match self.choose(8) {
            0 => "@count = count();".into(),
            1 => format!("@sum[{key}] = sum({sample});"),
            2 => format!("@min = min({sample});"),
            3 => format!("@max[{key}] = max({sample});"),
            4 => format!("@avg = avg({sample});"),
            5 => format!("@stats[{key}] = stats({sample});"),
            6 => format!("@hist[{key}] = hist({sample});"),
            _ => format!("@lhist = lhist({sample}, 20, 100, 10);"),
        }
    }

    /// A number of any type.
    fn int(&mut self, depth: u32) -> String {
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

    fn leaf(&mut self) -> String {
        match self.choose(10) {
            0..=2 => self.number(),
            3..=6 => format!("$i{}", self.choose(LOCALS)),
            7 => format!("@m{}", self.choose(2)),
            8 => format!("@{}[{}]", ["k", "n"][self.choose(2)], self.key()),
            _ => format!("$t.{}", [0, 1, 3][self.choose(3)]),
        }
    }

    fn cond(&mut self, depth: u32) -> String {
        match self.choose(9) {
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
            _ => format!("($i{} != 0)", self.choose(LOCALS)),
        }
    }

    /// Few different ones, so that entries meet again.
    fn key(&mut self) -> String {
        match self.choose(4) {
            0 => format!("(int64)$i{}", self.choose(LOCALS)),
            _ => format!("(int64){}", self.choose(4)),
        }
    }

    fn string(&mut self) -> String {
        match self.choose(4) {
            0 => "$s".into(),
            1 => "$t.2".into(),
            _ => TEXTS[self.choose(TEXTS.len())].into(),
        }
    }

    fn number(&mut self) -> String {
        let number = NUMBERS[self.choose(NUMBERS.len())];
        if self.choose(4) == 0 { format!("(-{number})") } else { number.into() }
    }

    fn line(&mut self, line: String) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:1$}{line}", "", 2 * self.indent);
    }

    /// A number below `count`; 0 once the choices are used up.
    fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % count
    }
}
