//! C text to tokens, as its preprocessor sees them.

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// As written.
    pub text: String,
    /// Whether a blank stands before it.
    pub spaced: bool,
    /// Names of macros that it must not be expanded as: it came out of them.
    pub hidden: Vec<String>,
}

/// The kinds of [`Token`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `name`
    Ident,
    /// `42`, `0x1fUL`, `1.5`
    Number,
    /// `"text"`
    String,
    /// `'c'`
    Char,
    /// Anything else.
    Punct,
    /// The end of a line.
    Newline,
}

impl Token {
    /// Whether it is this punctuation.
    pub fn is(&self, text: &str) -> bool {
        self.kind == Kind::Punct && self.text == text
    }

    /// Whether it is this name.
    pub fn is_word(&self, text: &str) -> bool {
        self.kind == Kind::Ident && self.text == text
    }

    /// A name.
    pub fn ident(text: &str) -> Token {
        Token { kind: Kind::Ident, text: text.into(), spaced: true, hidden: Vec::new() }
    }

    /// A number.
    pub fn number(value: i64) -> Token {
        Token { kind: Kind::Number, text: value.to_string(), spaced: true, hidden: Vec::new() }
    }
}

/// The tokens of a text. Comments become blanks, continued lines one line. Every line ends with a
/// [`Kind::Newline`].
pub fn tokens(text: &str) -> Vec<Token> {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    let mut lexer = Lexer { rest: &joined, spaced: false, tokens: Vec::new() };
    while lexer.step() {}
    if lexer.tokens.last().is_some_and(|token| token.kind != Kind::Newline) {
        lexer.push(Kind::Newline, "\n");
    }
    lexer.tokens
}

/// Tokens as text that lexes to them again.
pub fn spell(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 && (token.spaced || glues(&text, &token.text)) {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

/// Whether two tokens would be read as something else when nothing stands between them.
fn glues(before: &str, after: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match (before.chars().next_back(), after.chars().next()) {
        (Some(a), Some(b)) => word(a) && word(b) || a == b && "+-&|<>=#".contains(a),
        _ => false,
    }
}

struct Lexer<'a> {
    rest: &'a str,
    spaced: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn push(&mut self, kind: Kind, text: &str) {
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, text: text.into(), spaced, hidden: Vec::new() });
    }

    fn step(&mut self) -> bool {
        let rest = self.rest;
        let Some(first) = rest.chars().next() else { return false };
        let length = match first {
            '\n' => {
                self.push(Kind::Newline, "\n");
                1
            }
            _ if first.is_whitespace() => {
                self.spaced = true;
                first.len_utf8()
            }
            '/' if rest.starts_with("//") => {
                self.spaced = true;
                rest.find('\n').unwrap_or(rest.len())
            }
            '/' if rest.starts_with("/*") => {
                self.spaced = true;
                rest.find("*/").map_or(rest.len(), |at| at + 2).max(2)
            }
            '"' | '\'' => {
                let length = quoted(rest, first);
                let kind = if first == '"' { Kind::String } else { Kind::Char };
                self.push(kind, rest.get(..length).unwrap_or(rest));
                length
            }
            _ if first.is_ascii_digit()
                || first == '.' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) =>
            {
                let length = number(rest);
                self.push(Kind::Number, rest.get(..length).unwrap_or(rest));
                length
            }
            _ if first.is_ascii_alphabetic() || first == '_' || first == '$' => {
                let length = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(rest.len());
                self.push(Kind::Ident, rest.get(..length).unwrap_or(rest));
                length
            }
            _ => {
                const LONG: [&str; 22] = [
                    "...", "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
                    "*=", "/=", "%=", "+=", "-=", "&=", "^=", "|=",
                ];
                let text = LONG.into_iter().chain(["##"]).find(|long| rest.starts_with(long));
                let length = text.map_or(first.len_utf8(), str::len);
                self.push(Kind::Punct, rest.get(..length).unwrap_or(rest));
                length
            }
        };
        self.rest = rest.get(length..).unwrap_or("");
        true
    }
}

/// Bytes from a quote through the one that closes it, or to the end of the line.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\n' => return at,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn number(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent = matches!(before, 'e' | 'E' | 'p' | 'P') && matches!(c, '+' | '-');
        // In hexadecimal numbers `e` is a digit.
        let exponent = exponent && !(text.starts_with("0x") || text.starts_with("0X"));
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent) {
            return at;
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_of_all_kinds() {
        assert_eq!(
            texts("a->b /* c\n */ +=0x1eUL+1 \"s\\\"\" 'x'..."),
            ["a", "->", "b", "+=", "0x1eUL", "+", "1", "\"s\\\"\"", "'x'", "...", "\n"]
        );
        assert_eq!(texts("1e+3 a##b \\\n c // d\n"), ["1e+3", "a", "##", "b", "c", "\n"]);
        assert!(texts("").is_empty());
        assert_eq!(texts("/*"), Vec::<String>::new());
    }

    #[test]
    fn what_is_spelled_reads_the_same() {
        for text in ["a+ +b", "- -1", "sizeof(int)", "x<<2", "a b 1"] {
            let first = tokens(text);
            let again = tokens(&spell(&first[..first.len() - 1]));
            assert_eq!(
                first.iter().map(|t| &t.text).collect::<Vec<_>>(),
                again.iter().map(|t| &t.text).collect::<Vec<_>>()
            );
        }
    }
}
