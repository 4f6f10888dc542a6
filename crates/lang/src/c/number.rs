//! Constant expressions of C: in `#if`, as the length of an array, as the value of an enumerator.

use super::lexer::{Kind, Token};

/// What a name in a constant expression is worth.
pub trait Names {
    /// The value of an enumerator or constant.
    fn value(&self, name: &str) -> Option<i128>;

    /// The size of the type that stands at the start of these tokens, and how many of them it takes.
    fn type_size(&self, tokens: &[Token]) -> Option<(u64, usize)>;
}

/// Deeper nesting than any constant has.
const MAX_DEPTH: u32 = 100;

/// The value of all the tokens together; `None` if they are no constant expression.
pub fn evaluate(tokens: &[Token], names: &dyn Names) -> Option<i128> {
    let mut evaluator = Evaluator { tokens, at: 0, names, depth: 0 };
    let value = evaluator.ternary()?;
    (evaluator.at == tokens.len()).then_some(value)
}

/// An integer as C writes it, with its suffixes.
pub fn integer(text: &str) -> Option<i128> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['u', 'l']);
    let (digits, radix) = if let Some(hex) = digits.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        (binary, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits, 8)
    } else {
        (digits, 10)
    };
    u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(i128::from)
}

/// The value of `'c'`.
pub fn character(text: &str) -> Option<i128> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut chars = inner.chars();
    let value = match (chars.next()?, chars.as_str()) {
        ('\\', escape) => match escape {
            "n" => 10,
            "t" => 9,
            "r" => 13,
            "a" => 7,
            "b" => 8,
            "f" => 12,
            "v" => 11,
            "e" => 27,
            "\\" | "'" | "\"" | "?" => i128::from(u32::from(escape.chars().next()?)),
            _ => match escape.strip_prefix('x') {
                Some(hex) => i128::from(u8::from_str_radix(hex, 16).ok()?),
                None => i128::from(u8::from_str_radix(escape, 8).ok()?),
            },
        },
        (c, "") => i128::from(u32::from(c)),
        // `'ab'` is for nobody.
        _ => return None,
    };
    Some(value)
}

struct Evaluator<'a> {
    tokens: &'a [Token],
    at: usize,
    names: &'a dyn Names,
    depth: u32,
}

/// The binary operators, by how tightly they bind.
const OPERATORS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", "<=", ">", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Evaluator<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(punct));
        self.at += usize::from(found);
        found
    }

    fn ternary(&mut self) -> Option<i128> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let cond = self.binary(0)?;
        let value = if self.eat("?") {
            let then = self.ternary()?;
            if !self.eat(":") {
                return None;
            }
            let otherwise = self.ternary()?;
            if cond != 0 { then } else { otherwise }
        } else {
            cond
        };
        self.depth -= 1;
        Some(value)
    }

    fn binary(&mut self, level: usize) -> Option<i128> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.peek().and_then(|t| operators.iter().find(|op| t.is(op))) {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<i128> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let token = self.peek()?.clone();
        self.at += 1;
        let value = match token.kind {
            Kind::Number => integer(&token.text)?,
            Kind::Char => character(&token.text)?,
            Kind::Punct => match token.text.as_str() {
                "-" => wrap(-self.unary()?),
                "+" => self.unary()?,
                "~" => !self.unary()?,
                "!" => i128::from(self.unary()? == 0),
                "(" => self.parenthesised()?,
                _ => return None,
            },
            Kind::Ident if matches!(token.text.as_str(), "sizeof" | "__alignof__" | "_Alignof") => {
                if !self.eat("(") {
                    return None;
                }
                let (size, taken) = self.names.type_size(self.tokens.get(self.at..)?)?;
                self.at += taken;
                if !self.eat(")") {
                    return None;
                }
                i128::from(size)
            }
            Kind::Ident => self.names.value(&token.text)?,
            Kind::String | Kind::Newline => return None,
        };
        self.depth -= 1;
        Some(value)
    }

    /// After `(`: a cast, or an expression in parentheses.
    fn parenthesised(&mut self) -> Option<i128> {
        if let Some((size, taken)) = self.names.type_size(self.tokens.get(self.at..)?)
            && self.tokens.get(self.at + taken).is_some_and(|token| token.is(")"))
        {
            let unsigned = self.tokens.get(self.at..self.at + taken)?.iter().any(|token| {
                token.text.contains("unsigned") || token.text.trim_start_matches('_').starts_with('u')
            });
            self.at += taken + 1;
            return Some(narrow(self.unary()?, size, unsigned));
        }
        let value = self.ternary()?;
        self.eat(")").then_some(value)
    }
}

/// Keeps a value within what 64 bits can hold, signed or not.
fn wrap(value: i128) -> i128 {
    if value > i128::from(u64::MAX) || value < i128::from(i64::MIN) {
        i128::from(value as i64)
    } else {
        value
    }
}

fn narrow(value: i128, size: u64, unsigned: bool) -> i128 {
    match (size, unsigned) {
        (1, true) => i128::from(value as u8),
        (1, false) => i128::from(value as i8),
        (2, true) => i128::from(value as u16),
        (2, false) => i128::from(value as i16),
        (4, true) => i128::from(value as u32),
        (4, false) => i128::from(value as i32),
        (_, true) => i128::from(value as u64),
        (_, false) => i128::from(value as i64),
    }
}

fn apply(operator: &str, left: i128, right: i128) -> Option<i128> {
    let amount = || u32::try_from(right).ok().filter(|amount| *amount < 64);
    Some(wrap(match operator {
        "||" => i128::from(left != 0 || right != 0),
        "&&" => i128::from(left != 0 && right != 0),
        "|" => left | right,
        "^" => left ^ right,
        "&" => left & right,
        "==" => i128::from(left == right),
        "!=" => i128::from(left != right),
        "<" => i128::from(left < right),
        "<=" => i128::from(left <= right),
        ">" => i128::from(left > right),
        ">=" => i128::from(left >= right),
        "<<" => left.wrapping_shl(amount()?),
        ">>" => left >> amount()?,
        "+" => left + right,
        "-" => left - right,
        "*" => left.checked_mul(right)?,
        "/" => left.checked_div(right)?,
        "%" => left.checked_rem(right)?,
        _ => return None,
    }))
}
