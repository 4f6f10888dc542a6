//! Makes up scripts: well-typed programs for BEGIN, from a list of choices. The same choices give the same script,
//! and fewer choices a smaller one, so failures shrink. Nothing in them depends on the run.

mod constructs;
mod values;

use std::fmt::Write;

use self::constructs::{C_TEXT, CONDITIONS, DECLARATIONS, MAPS, NUMBERS, Row, STATEMENTS, VARIABLES};
use self::values::TEXTS;

const TYPES: [&str; 8] = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];
/// Variables that are numbers: their number, and so their type, by the choices.
const LOCALS: usize = 5;

/// Functions of a script at most.
const FUNCTIONS: usize = 3;

/// A script of one clause and of the functions that it calls, for a kernel that can do so much.
pub fn script(choices: &[u16], kernel: Kernel) -> String {
    let mut maker = Maker::new(choices, kernel);
    maker.head();
    if !choices.is_empty() {
        for _ in 0..maker.choose(FUNCTIONS + 1) {
            maker.function();
        }
    }
    maker.clause(|maker| {
        while maker.choices.len() > 0 {
            maker.statement(2);
        }
    });
    maker.text
}

/// A script of one of the [`CONSTRUCTS`], and its name. `None` if it is not for this kernel.
pub fn alone(construct: usize, choices: &[u16], kernel: Kernel) -> Option<(&'static str, String)> {
    let mut rows = TABLES.iter().flat_map(|(rows, wrap)| rows.iter().map(move |row| (row, wrap)));
    let (row, wrap) = rows.nth(construct).filter(|(row, _)| !row.calls || kernel == Kernel::Calls)?;
    let mut maker = Maker::new(choices, kernel);
    maker.head();
    maker.clause(|maker| {
        let made = (row.make)(maker);
        maker.line(wrap.replace("{}", &made));
    });
    Some((row.name, maker.text))
}

/// All constructs, and how each becomes a statement.
const TABLES: [(&[Row], &str); 4] = [
    (NUMBERS, "@m0 = (int64)({});"),
    (CONDITIONS, "if ({}) { @m0 = 7; } $b = {};"),
    (constructs::TEXTS, "$s = {};"),
    (STATEMENTS, "{}"),
];

/// Marks in a script under way, where something is put in once it is known what is used: what is declared, ...
const DECLARED: char = '\u{1}';
/// ... what maps hold first, ...
const HELD: char = '\u{2}';
/// ... and the first values of variables.
const FIRST: char = '\u{3}';

/// How many constructs there are.
pub const CONSTRUCTS: usize = NUMBERS.len() + CONDITIONS.len() + constructs::TEXTS.len() + STATEMENTS.len();

/// What the scripts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// One that calls functions of programs, for the rounds of loops and for the entries of maps.
    Calls,
    /// One that follows loops round by round.
    Follows,
}

struct Maker<'a> {
    choices: std::slice::Iter<'a, u16>,
    text: String,
    types: [usize; LOCALS],
    indent: usize,
    kernel: Kernel,
    /// How many variables were named so far, beside those that are always there.
    names: usize,
    /// The variables of the loops around the place at hand: numbers.
    counters: Vec<String>,
    /// How many loops stand around the place at hand.
    loops: usize,
    /// The functions that can be called.
    functions: Vec<Function>,
    /// What the function at hand gives: a text or a number of a type; `None` in the clause.
    gives: Option<&'static str>,
}

/// A function: it takes the first of the variables that are numbers, and perhaps a text.
struct Function {
    /// The types of the numbers.
    params: Vec<usize>,
    takes_text: bool,
    /// Whether it gives a text rather than a number.
    gives_text: bool,
}

impl<'a> Maker<'a> {
    fn new(choices: &'a [u16], kernel: Kernel) -> Self {
        Maker {
            choices: choices.iter(),
            text: String::new(),
            types: [0; LOCALS],
            indent: 1,
            kernel,
            names: 0,
            counters: Vec::new(),
            loops: 0,
            functions: Vec::new(),
            gives: None,
        }
    }

    /// What stands before everything else.
    fn head(&mut self) {
        self.text.push_str(C_TEXT);
        let config = ["", "", "config = { max_strlen = 64 }\n", "config = { max_strlen = 4000 }\n"];
        let config = config[self.choose(config.len())];
        self.text.push_str(config);
        self.text.push(DECLARED);
    }

    /// The clause, with these statements.
    fn clause(&mut self, statements: impl FnOnce(&mut Self)) {
        let predicate = ["", "", "/@m0 == 0/ ", "/!has_key(@k, 3)/ "][self.choose(4)];
        let _ = writeln!(self.text, "BEGIN {predicate}{{");
        self.maps();
        let body = self.text.len();
        self.prologue(0);
        statements(self);
        // Everything that was computed counts.
        for at in 0..LOCALS {
            self.line(format!("@v{at} = $i{at};"));
        }
        self.line("@texts[$s, 1] = $s;".into());
        let last = [("last", "t"), ("bytes", "a"), ("record", "r"), ("nested", "q"), ("word", "w")];
        for (map, variable) in last {
            self.line(format!("@{map} = ${variable};"));
        }
        self.line("@truth = (int64)$b;".into());
        for last in self.variables(body) {
            self.line(last.into());
        }
        self.text.push_str("}\n");
        self.declare();
    }

    /// Gives the variables that are used from `body` on their first values, and says how they are kept.
    fn variables(&mut self, body: usize) -> Vec<&'static str> {
        let used: Vec<_> = VARIABLES.iter().filter(|(name, ..)| self.text[body..].contains(name)).collect();
        let first: String = used.iter().map(|(_, first, _)| format!("  {first}\n")).collect();
        self.text = self.text.replace(FIRST, &first);
        used.into_iter().map(|(.., last)| *last).collect()
    }

    /// Puts in what the script uses: macros, functions, and what maps hold first. The others would cost time.
    fn declare(&mut self) {
        let mut declared = String::new();
        for (name, text) in DECLARATIONS.iter().rev() {
            if self.text.contains(name) || declared.contains(name) {
                declared.insert_str(0, &format!("{text}\n"));
            }
        }
        self.text = self.text.replace(DECLARED, &declared);
        let held = MAPS.iter().filter(|(name, _)| self.text.contains(name));
        let held: String = held.map(|(_, first)| format!("  {first}\n")).collect();
        self.text = self.text.replace(HELD, &held);
    }

    /// A function of a few statements, which may call those before it.
    fn function(&mut self) {
        let params: Vec<usize> = (0..self.choose(LOCALS + 1)).map(|_| self.choose(TYPES.len())).collect();
        let (takes_text, gives_text) = (self.choose(2) == 0, self.choose(3) == 0);
        let mut list: Vec<String> =
            params.iter().enumerate().map(|(at, ty)| format!("$i{at} : {}", TYPES[*ty])).collect();
        if takes_text {
            list.push("$given : string".into());
        }
        let ret = self.choose(TYPES.len());
        let ret = if gives_text { "string" } else { TYPES[ret] };
        self.text.push_str(&format!("fn f{}({}) : {ret} {{\n", self.functions.len(), list.join(", ")));
        self.types[..params.len()].copy_from_slice(&params);
        self.gives = Some(ret);
        let body = self.text.len();
        self.prologue(params.len());
        if takes_text {
            self.line("if ($given == \"abc\") { $i0++; }".into());
        }
        for _ in 0..self.choose(5) {
            self.statement(1);
        }
        for last in [false, true] {
            let value = match gives_text {
                true if takes_text && self.choose(2) == 0 => "$given".into(),
                true => self.string(),
                false => format!("({ret})({})", self.int(2)),
            };
            if last {
                self.line(format!("return {value};"));
            } else {
                let cond = self.cond(1);
                self.line(format!("if ({cond}) {{ return {value}; }}"));
            }
        }
        self.text.push_str("}\n");
        self.variables(body);
        self.gives = None;
        self.functions.push(Function { params, takes_text, gives_text });
    }

    /// A call of a function that gives a text, or of one that gives a number; `None` if there is none.
    fn call(&mut self, text: bool) -> Option<String> {
        let fitting: Vec<usize> =
            (0..self.functions.len()).filter(|at| self.functions[*at].gives_text == text).collect();
        let at = *fitting.get(self.choose(fitting.len().max(1)))?;
        let Function { params, takes_text, .. } = &self.functions[at];
        let (params, takes_text) = (params.clone(), *takes_text);
        let mut args: Vec<String> =
            params.into_iter().map(|ty| format!("({})({})", TYPES[ty], self.int(1))).collect();
        if takes_text {
            args.push(self.string());
        }
        Some(format!("f{at}({})", args.join(", ")))
    }

    fn prologue(&mut self, given: usize) {
        for at in given..LOCALS {
            self.types[at] = self.choose(TYPES.len());
            let value = self.number();
            self.line(format!("$i{at} = ({})({value});", TYPES[self.types[at]]));
        }
        self.line("$s = \"a longer text than the others\";".into());
        self.line("$t = ((int8)1, (uint32)2, \"abc\", (int64)4);".into());
        self.line("$w = (int64)81985529216486895;".into());
        self.line("$a = (uint8[8])($w);".into());
        self.line("$b = $w > 3;".into());
        self.line("$r = (n = (int64)1, s = \"abc\");".into());
        self.line("$q = ((int16)1, ((uint8)2, \"abc\"), (int64)3);".into());
        self.text.push(FIRST);
    }

    fn maps(&mut self) {
        self.line("@m0 = (int64)1;".into());
        self.line("@m1 = (int64)-1;".into());
        self.line("@k[0] = (int32)5;".into());
        self.line("@n[1]++;".into());
        self.text.push(HELD);
    }

    /// One of these constructs.
    fn construct(&mut self, rows: &[Row]) -> String {
        let fitting: Vec<&Row> =
            rows.iter().filter(|row| !row.calls || self.kernel == Kernel::Calls).collect();
        (fitting[self.choose(fitting.len())].make)(self)
    }

    /// The end of the function or the clause at hand.
    fn ending(&mut self) -> String {
        match self.gives {
            None => "return;".into(),
            Some("string") => format!("return {};", TEXTS[self.choose(3)]),
            Some(ty) => format!("return ({ty})({});", self.leaf()),
        }
    }

    fn statement(&mut self, depth: u32) {
        let line = match self.choose(50) {
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
            18 if self.loops > 0 => {
                let (cond, word) = (self.cond(1), ["break", "continue"][self.choose(2)]);
                format!("if ({cond}) {{ {word}; }}")
            }
            19 => {
                let (at, name, value) = (self.choose(LOCALS), self.name("b"), self.int(2));
                let ty = TYPES[self.types[at]];
                format!(
                    "$i{at} = {{ {name} = ({ty})({value}); {name}++; {name} = ({ty}){name}; ({ty}){name} }};"
                )
            }
            20 => format!("$w = (int64)({});", self.int(2)),
            21 => format!("$a = {};", self.bytes()),
            22 => format!("$b = {};", self.cond(2)),
            23 => format!("$r = {};", self.record()),
            24 => format!("$q = {};", self.nested()),
            25 => {
                let (map, key) = [("array", "$a"), ("records", "$r"), ("pairs", "$q")][self.choose(3)];
                format!("@{map}[{key}] = (int64)({});", self.int(1))
            }
            26 | 27 => self.output(),
            28 => {
                let (at, cond, a, b) = (self.choose(LOCALS), self.cond(1), self.int(1), self.int(1));
                let ty = TYPES[self.types[at]];
                format!("$i{at} = if ({cond}) {{ ({ty})({a}) }} else {{ ({ty})({b}) }};")
            }
            35..=49 => self.construct(STATEMENTS),
            29 => format!("@sorts[$r, $b, {}] = $q;", self.key()),
            _ if depth == 0 => format!("@m0 = (int64)({});", self.int(1)),
            30..=32 => return self.looped(depth - 1),
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

    /// A loop of a few rounds.
    fn looped(&mut self, depth: u32) {
        match self.choose(5) {
            0 => {
                let (name, rounds) = (self.name("w"), self.choose(4));
                self.line(format!("{name} = (int64){rounds};"));
                self.line(format!("while ({name} > 0) {{"));
                self.indent += 1;
                self.line(format!("{name}--;"));
                self.indent -= 1;
                self.body(name, depth);
            }
            1 => {
                let rounds = 1 + self.choose(3);
                self.line(format!("unroll ({rounds}) {{"));
                // A way out would be one of the loop around it.
                let loops = std::mem::take(&mut self.loops);
                self.side(depth);
                self.loops = loops;
                self.line("}".into());
            }
            2 => {
                let (name, first, rounds) = (self.name("l"), self.choose(3), self.choose(5));
                self.line(format!("for ({name} : {first}..{}) {{", first + rounds));
                self.body(name, depth);
            }
            3 if self.kernel == Kernel::Calls => {
                let (name, map) = (self.name("kv"), ["k", "n"][self.choose(2)]);
                self.line(format!("for ({name} : @{map}) {{"));
                self.indent += 1;
                // The order of entries is the kernel's business: nothing may depend on it.
                self.line(format!("if ((int64){name}.1 > (int64){name}.0) {{ @m1 += {name}.0; }}"));
                self.line(format!("@sum[{name}.0] = sum((int64){name}.1);"));
                self.indent -= 1;
                self.line("}".into());
            }
            _ => {
                let (name, start, end) = (self.name("l"), self.int(1), self.int(1));
                self.line(format!("for ({name} : ((int64)({start}) & 3)..((int64)({end}) & 7)) {{"));
                self.body(name, depth);
            }
        }
    }

    /// The body of a loop with a variable, and its end.
    fn body(&mut self, name: String, depth: u32) {
        self.counters.push(name);
        self.loops += 1;
        self.side(depth);
        self.loops -= 1;
        self.counters.pop();
        self.line("}".into());
    }

    /// A name that no other variable has.
    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("${stem}{}", self.names)
    }

    fn side(&mut self, depth: u32) {
        self.indent += 1;
        for _ in 0..=self.choose(3) {
            self.statement(depth);
        }
        self.indent -= 1;
    }

    /// What is sent to user space: nobody looks at it here, and yet the kernel has to accept the program.
    fn output(&mut self) -> String {
        match self.choose(6) {
            0 => format!("print({});", self.int(2)),
            1 => format!("print({});", ["$t", "$a", "$r", "$q", "$b", "$s"][self.choose(6)]),
            2 => format!("print(({}, {}, $q));", self.int(1), self.string()),
            3 => format!("printf(\"%d %s %x\\n\", {}, {}, {});", self.int(2), self.string(), self.int(1)),
            4 => format!("print({});", self.cond(1)),
            _ => format!("print(@k[{}]);", self.key()),
        }
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

    fn line(&mut self, line: String) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:1$}{line}", "", 2 * self.indent);
    }

    /// A number below `count`; 0 once the choices are used up.
    fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % count
    }
}
