//! The preprocessor: directives obeyed, macros expanded.
//!
//! What comes out is the tokens of the declarations. Nothing here is an error that would stop a
//! script: a header is read for what can be understood of it, so a directive that makes no sense is
//! passed over. Only what the script itself wrote is complained about.

use rustc_hash::{FxHashMap, FxHashSet};

use super::lexer::{Kind, Token, spell, tokens};
use super::number::{self, Names};

/// A macro.
#[derive(Clone, Debug)]
pub struct Macro {
    /// The names in parentheses; `None` for one without.
    pub params: Option<Vec<String>>,
    /// Whether the last parameter takes all further arguments.
    pub variadic: bool,
    /// What it stands for.
    pub body: Vec<Token>,
}

/// The macros there are.
#[derive(Clone, Debug, Default)]
pub struct Macros {
    table: FxHashMap<String, Macro>,
}

/// How files are found: the text of the one that an `#include` names, and what messages call it.
pub type Open<'a> = dyn FnMut(&Include, &str) -> Option<(String, String)> + 'a;

/// What an `#include` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The path.
    pub path: String,
    /// Written with `<>` rather than quotes.
    pub system: bool,
}

/// Headers nest less deeply than this.
const MAX_NESTED: usize = 100;

/// All headers of the kernel are fewer than this.
const MAX_INCLUDES: usize = 20_000;

/// More tokens than the headers of any script have.
const MAX_TOKENS: usize = 4_000_000;

/// Reads texts one after the other.
pub struct Preprocessor<'a> {
    /// What was defined so far.
    pub macros: Macros,
    open: &'a mut Open<'a>,
    /// The names of the files that are being read, outermost first.
    files: Vec<String>,
    /// Files that asked to be read only once.
    once: FxHashSet<String>,
    /// Headers that were not found.
    pub missing: Vec<Include>,
    /// What `#error` says in the script itself.
    pub errors: Vec<String>,
    out: Vec<Token>,
    /// How many tokens there were.
    spent: usize,
    /// How many files there were.
    included: usize,
}

/// The `#if`s that the end of a text stands in, outermost first.
#[derive(Default)]
pub struct Branches(Vec<Branch>);

/// An `#if` that a line stands in.
#[derive(Clone, Copy)]
struct Branch {
    /// Whether what stands around it is read.
    outer: bool,
    /// Whether this part of it is read.
    now: bool,
    /// Whether one of its parts was.
    taken: bool,
}

impl<'a> Preprocessor<'a> {
    /// Starts with macros that are always there.
    pub fn new(macros: Macros, open: &'a mut Open<'a>) -> Preprocessor<'a> {
        Preprocessor {
            macros,
            open,
            files: Vec::new(),
            once: FxHashSet::default(),
            missing: Vec::new(),
            errors: Vec::new(),
            out: Vec::new(),
            spent: 0,
            included: 0,
        }
    }

    /// Reads a text.
    pub fn read(&mut self, name: &str, text: &str) {
        self.read_piece(name, text, &mut Branches::default());
    }

    /// Reads a piece of a text, behind others that left these `#if`s open.
    pub fn read_piece(&mut self, name: &str, text: &str, branches: &mut Branches) {
        if self.files.len() >= MAX_NESTED || self.included > MAX_INCLUDES {
            return;
        }
        self.files.push(name.to_owned());
        self.included += 1;
        let tokens = tokens(text);
        let branches = &mut branches.0;
        // A call of a macro may go on over lines, so what stands between directives is one piece.
        let mut pending: Vec<Token> = Vec::new();
        for line in tokens.split(|token| token.kind == Kind::Newline) {
            let active = branches.iter().all(|branch| branch.now);
            match line {
                [hash, rest @ ..] if hash.is("#") => {
                    let piece = std::mem::take(&mut pending);
                    self.emit(&piece);
                    self.directive(rest, branches, active);
                }
                _ if active => pending.extend_from_slice(line),
                _ => {}
            }
        }
        self.emit(&pending);
        self.files.pop();
    }

    /// The tokens of the declarations that were read since the last time.
    pub fn take_tokens(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.out)
    }

    fn emit(&mut self, piece: &[Token]) {
        if piece.is_empty() || self.spent > MAX_TOKENS {
            return;
        }
        let expanded = self.macros.expand_all(piece);
        self.spent += expanded.len();
        self.out.extend(expanded);
    }

    fn directive(&mut self, line: &[Token], branches: &mut Vec<Branch>, active: bool) {
        let Some((word, rest)) = line.split_first() else { return };
        match word.text.as_str() {
            "if" | "ifdef" | "ifndef" => {
                let now = active && self.condition(&word.text, rest);
                branches.push(Branch { outer: active, now, taken: now });
            }
            "elif" | "elifdef" | "elifndef" => {
                let kind = word.text.replacen("el", "", 1);
                let Some(branch) = branches.last().copied() else { return };
                let now = branch.outer && !branch.taken && self.condition(&kind, rest);
                if let Some(branch) = branches.last_mut() {
                    branch.now = now;
                    branch.taken |= now;
                }
            }
            "else" => {
                if let Some(branch) = branches.last_mut() {
                    branch.now = branch.outer && !branch.taken;
                    branch.taken = true;
                }
            }
            "endif" => {
                branches.pop();
            }
            _ if !active => {}
            "define" => self.macros.define(rest),
            "undef" => {
                if let Some(name) = rest.first() {
                    self.macros.table.remove(&name.text);
                }
            }
            "include" | "include_next" | "import" => self.include(rest),
            // A header that is not made for this is read for what can be understood of it.
            "error" if self.files.len() == 1 => {
                let words: Vec<&str> = rest.iter().map(|token| token.text.as_str()).collect();
                self.errors.push(words.join(" "));
            }
            "pragma" if rest.first().is_some_and(|token| token.is_word("once")) => {
                if let Some(file) = self.files.last() {
                    self.once.insert(file.clone());
                }
            }
            "pragma" if rest.first().is_some_and(|token| token.is_word("pack")) => {
                // The reader of declarations understands it.
                self.out.push(Token::ident("__skep_pragma_pack"));
                self.out.extend_from_slice(rest.get(1..).unwrap_or_default());
                self.out.push(Token {
                    kind: Kind::Punct,
                    text: ";".into(),
                    spaced: false,
                    hidden: Vec::new(),
                });
            }
            _ => {}
        }
    }

    fn condition(&self, kind: &str, rest: &[Token]) -> bool {
        let defined = |name: Option<&Token>| name.is_some_and(|name| self.macros.has(&name.text));
        match kind {
            "ifdef" => defined(rest.first()),
            "ifndef" => !defined(rest.first()),
            _ => {
                let mut resolved = Vec::new();
                let mut at = 0;
                while let Some(token) = rest.get(at) {
                    at += 1;
                    if !token.is_word("defined") {
                        resolved.push(token.clone());
                        continue;
                    }
                    let parens = rest.get(at).is_some_and(|token| token.is("("));
                    let name = rest.get(at + usize::from(parens));
                    resolved.push(Token::number(i64::from(defined(name))));
                    at += if parens { 3 } else { 1 };
                }
                let expanded = self.macros.expand_all(&resolved);
                number::evaluate(&expanded, &Zero).is_some_and(|value| value != 0)
            }
        }
    }

    fn include(&mut self, rest: &[Token]) {
        let expanded;
        let rest = match rest.first() {
            Some(token) if token.kind == Kind::Ident => {
                expanded = self.macros.expand_all(rest);
                &expanded
            }
            _ => rest,
        };
        let include = match rest {
            [token, ..] if token.kind == Kind::String => {
                Include { path: token.text.trim_matches('"').to_owned(), system: false }
            }
            [open, path @ ..] if open.is("<") => {
                let path = path.iter().take_while(|token| !token.is(">"));
                Include { path: path.map(|token| token.text.as_str()).collect(), system: true }
            }
            _ => return,
        };
        let from = self.files.last().cloned().unwrap_or_default();
        match (self.open)(&include, &from) {
            Some((name, _)) if self.once.contains(&name) => {}
            // One that draws itself in has a guard, or would never end.
            Some((name, _)) if self.files.iter().filter(|file| **file == name).count() > 3 => {}
            Some((name, text)) => self.read(&name, &text),
            None => self.missing.push(include),
        }
    }
}

/// In `#if`, names that are no macros are zero, and there are no types.
struct Zero;

impl Names for Zero {
    fn value(&self, _: &str) -> Option<i128> {
        Some(0)
    }

    fn type_size(&self, _: &[Token]) -> Option<(u64, usize)> {
        None
    }
}

/// More steps than any expansion that ends in something useful.
const MAX_STEPS: usize = 100_000;

impl Macros {
    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The macro of a name.
    pub fn get(&self, name: &str) -> Option<&Macro> {
        self.table.get(name)
    }

    /// Defines a macro by a text, such as `1`.
    pub fn define_text(&mut self, name: &str, body: &str) {
        let mut body = tokens(body);
        body.retain(|token| token.kind != Kind::Newline);
        self.table.insert(name.to_owned(), Macro { params: None, variadic: false, body });
    }

    /// Defines a macro by what follows `#define`.
    fn define(&mut self, rest: &[Token]) {
        let Some((name, rest)) = rest.split_first() else { return };
        if name.kind != Kind::Ident {
            return;
        }
        let mut made = Macro { params: None, variadic: false, body: rest.to_vec() };
        // Only directly behind the name does a parenthesis begin parameters.
        if let [open, inner @ ..] = rest
            && open.is("(")
            && !open.spaced
        {
            let close = inner.iter().position(|token| token.is(")")).unwrap_or(inner.len());
            let mut params = Vec::new();
            for token in inner.get(..close).unwrap_or_default() {
                if token.kind == Kind::Ident {
                    params.push(token.text.clone());
                } else if token.is("...") {
                    made.variadic = true;
                    params.push("__VA_ARGS__".into());
                }
            }
            made.params = Some(params);
            made.body = inner.get(close + 1..).unwrap_or_default().to_vec();
        }
        self.table.insert(name.text.clone(), made);
    }

    /// All macros in some tokens expanded, and those that come out of them.
    pub fn expand_all(&self, piece: &[Token]) -> Vec<Token> {
        let mut input: Vec<Token> = piece.iter().rev().cloned().collect();
        let mut out = Vec::with_capacity(piece.len());
        let mut steps = 0;
        while let Some(token) = input.pop() {
            let made = match token.kind {
                Kind::Ident if !token.hidden.contains(&token.text) => self.table.get(&token.text),
                _ => None,
            };
            let Some(made) = made.filter(|_| steps < MAX_STEPS) else {
                out.push(token);
                continue;
            };
            let args = match &made.params {
                None => Vec::new(),
                Some(params) => {
                    let Some(args) = take_args(&mut input, params.len(), made.variadic) else {
                        // A name without parentheses is no call.
                        out.push(token);
                        continue;
                    };
                    args
                }
            };
            let mut body = self.substituted(made, &args);
            steps += 1 + body.len();
            if let Some(first) = body.first_mut() {
                first.spaced = token.spaced;
            }
            for part in body.iter_mut() {
                part.hidden.extend(token.hidden.iter().cloned());
                part.hidden.push(token.text.clone());
            }
            input.extend(body.into_iter().rev());
        }
        out
    }

    fn substituted(&self, made: &Macro, args: &[Vec<Token>]) -> Vec<Token> {
        let params = made.params.as_deref().unwrap_or_default();
        let arg = |token: &Token| {
            (token.kind == Kind::Ident)
                .then(|| params.iter().position(|param| *param == token.text))
                .flatten()
                .map(|index| args.get(index).map_or(&[][..], Vec::as_slice))
        };
        let mut out: Vec<Token> = Vec::new();
        let mut at = 0;
        while let Some(token) = made.body.get(at) {
            at += 1;
            let next = made.body.get(at);
            if token.is("#")
                && made.params.is_some()
                && let Some(given) = next.and_then(arg)
            {
                at += 1;
                out.push(stringified(given, token.spaced));
            } else if token.is("##") {
                let right = match next.and_then(arg) {
                    Some(given) => given.to_vec(),
                    None => next.cloned().into_iter().collect(),
                };
                at += 1;
                paste(&mut out, right);
            } else if let Some(given) = arg(token) {
                // What is pasted is not expanded first.
                let mut part = if next.is_some_and(|next| next.is("##")) {
                    given.to_vec()
                } else {
                    self.expand_all(given)
                };
                if let Some(first) = part.first_mut() {
                    first.spaced = token.spaced;
                }
                out.extend(part);
            } else {
                out.push(token.clone());
            }
        }
        out
    }
}

/// The arguments of a call, if a parenthesis follows. `input` is last token first.
fn take_args(input: &mut Vec<Token>, count: usize, variadic: bool) -> Option<Vec<Vec<Token>>> {
    if !input.last()?.is("(") {
        return None;
    }
    let mut depth = 0;
    let length = input.iter().rev().position(|token| {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        depth == 0
    })?;
    let taken = input.split_off(input.len() - length - 1);
    let mut inner: Vec<Token> = taken.into_iter().rev().collect();
    inner.pop();
    inner.remove(0);
    let mut args: Vec<Vec<Token>> = vec![Vec::new()];
    let mut depth = 0;
    for token in inner {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        let last = variadic && args.len() == count;
        if depth == 0 && token.is(",") && !last {
            args.push(Vec::new());
        } else if let Some(arg) = args.last_mut() {
            arg.push(token);
        }
    }
    Some(args)
}

fn stringified(tokens: &[Token], spaced: bool) -> Token {
    let text = spell(tokens).replace('\\', "\\\\").replace('"', "\\\"");
    Token { kind: Kind::String, text: format!("\"{text}\""), spaced, hidden: Vec::new() }
}

/// `a ## b`
fn paste(out: &mut Vec<Token>, mut right: Vec<Token>) {
    if right.is_empty() {
        return;
    }
    let Some(left) = out.pop() else {
        out.extend(right);
        return;
    };
    let first = right.remove(0);
    let mut joined = tokens(&format!("{}{}", left.text, first.text));
    joined.retain(|token| token.kind != Kind::Newline);
    if let Some(first) = joined.first_mut() {
        first.spaced = left.spaced;
    }
    out.extend(joined);
    out.extend(right);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> String {
        let mut open = |include: &Include, _: &str| match include.path.as_str() {
            "a.h" => Some((
                "a.h".to_owned(),
                "#ifndef A\n#define A 1\n#include \"a.h\"\nint a;\n#endif".to_owned(),
            )),
            "forever.h" => Some(("forever.h".to_owned(), "#include \"forever.h\"\nx".to_owned())),
            "once.h" => Some(("once.h".to_owned(), "#pragma once\nint o;".to_owned())),
            _ => None,
        };
        let mut pre = Preprocessor::new(Macros::default(), &mut open);
        pre.read("stdin", text);
        let out = pre.take_tokens();
        let missing: Vec<_> = pre.missing.iter().map(|include| format!("<{}>", include.path)).collect();
        format!("{}{}", spell(&out), missing.join(""))
    }

    #[test]
    fn macros_expand_as_the_standard_says() {
        assert_eq!(run("#define A 1 + B\n#define B A 2\nA"), "1 + A 2");
        assert_eq!(run("#define F(x) (x)*2\nF(F(1)) F"), "((1)*2)*2 F");
        assert_eq!(run("#define S(x) #x\n#define C(a,b) a##b\nS(a \"b\") C(x, 1)"), "\"a \\\"b\\\"\" x1");
        assert_eq!(run("#define V(f, ...) f(__VA_ARGS__)\nV(g, 1, (2, 3))"), "g(1, (2, 3))");
        assert_eq!(run("#define F() 7\nF() + F"), "7 + F");
        assert_eq!(run("#define AB 9\n#define P(x) A##x\nP(B)"), "9");
    }

    #[test]
    fn conditions_choose() {
        assert_eq!(run("#if 1 + 1 == 2\na\n#else\nb\n#endif"), "a");
        assert_eq!(run("#define X 3\n#if defined(X) && X > 3\na\n#elif defined Y\nb\n#else\nc\n#endif"), "c");
        assert_eq!(run("#ifdef X\n#ifndef Y\na\n#endif\n#else\nb\n#endif"), "b");
        assert_eq!(run("#if FOO\na\n#elif 1\nb\n#elif 1\nc\n#endif"), "b");
        assert_eq!(run("#endif\n#else\n#elif 1\nx"), "x");
    }

    #[test]
    fn files_are_drawn_in_and_end() {
        assert_eq!(run("#include \"a.h\"\n#include \"a.h\"\nA"), "int a;1");
        assert_eq!(run("#include \"once.h\"\n#include \"once.h\""), "int o;");
        assert_eq!(run("#include <nope.h>"), "<nope.h>");
        assert!(run("#include \"forever.h\"").starts_with('x'));
    }

    #[test]
    fn expansion_that_grows_forever_ends() {
        let mut text = String::from("#define A0 x\n");
        for i in 1..40 {
            text.push_str(&format!("#define A{i} A{} A{}\n", i - 1, i - 1));
        }
        text.push_str("A39");
        assert!(run(&text).len() < 10_000_000);
    }
}
