//! Text to tokens.
//!
//! The lexer is a pure function of text and position, driven by the parser one token at a time:
//! attach points and C definitions follow other rules than the rest of the language, and only the
//! parser knows where they begin. It never fails; what is no token becomes [`TokenKind::Unknown`].

/// A token or comment: its kind and the bytes `start..end` it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset past the last byte.
    pub end: u32,
}

/// The kinds of [`Token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `pid`, `if`, `_`; keywords are names that the parser gives a meaning where they stand.
    Ident,
    /// A digit and all letters, digits and underscores after it; the parser checks the spelling.
    Int,
    /// `"…"` on one line.
    Str {
        /// Whether the closing quote is there.
        terminated: bool,
    },
    /// `$x`
    Var,
    /// `$1`
    Param,
    /// `$#`
    ParamCount,
    /// `@x` or `@`
    Map,
    /// `// …`
    LineComment,
    /// `/* … */`
    BlockComment {
        /// Whether the closing mark is there.
        terminated: bool,
    },
    /// `#` and what follows on the line is C.
    Hash,
    /// `(`
    LParen,
    /// `)`
    RParen,
    /// `{`
    LBrace,
    /// `}`
    RBrace,
    /// `[`
    LBracket,
    /// `]`
    RBracket,
    /// `,`
    Comma,
    /// `;`
    Semi,
    /// `:`
    Colon,
    /// `?`
    Question,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// `->`
    Arrow,
    /// `=`
    Eq,
    /// `==`
    EqEq,
    /// `!`
    Bang,
    /// `!=`
    BangEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `<<=`
    ShlEq,
    /// `>>=`
    ShrEq,
    /// `+`
    Plus,
    /// `++`
    PlusPlus,
    /// `+=`
    PlusEq,
    /// `-`
    Minus,
    /// `--`
    MinusMinus,
    /// `-=`
    MinusEq,
    /// `*`
    Star,
    /// `*=`
    StarEq,
    /// `/`
    Slash,
    /// `/=`
    SlashEq,
    /// `%`
    Percent,
    /// `%=`
    PercentEq,
    /// `&`
    Amp,
    /// `&&`
    AmpAmp,
    /// `&=`
    AmpEq,
    /// `|`
    Pipe,
    /// `||`
    PipePipe,
    /// `|=`
    PipeEq,
    /// `^`
    Caret,
    /// `^=`
    CaretEq,
    /// `~`
    Tilde,
    /// One character that begins no token, or a `$` without a name.
    Unknown,
    /// The end of the text; covers nothing.
    Eof,
}

impl TokenKind {
    /// Whether it is a comment, which the parser skips.
    pub fn is_comment(self) -> bool {
        matches!(self, TokenKind::LineComment | TokenKind::BlockComment { .. })
    }
}

/// Operators and punctuation, longer ones first so that the first match is the right one.
const PUNCTUATION: [(&str, TokenKind); 46] = [
    ("<<=", TokenKind::ShlEq),
    (">>=", TokenKind::ShrEq),
    ("..", TokenKind::DotDot),
    ("->", TokenKind::Arrow),
    ("==", TokenKind::EqEq),
    ("!=", TokenKind::BangEq),
    ("<=", TokenKind::LtEq),
    (">=", TokenKind::GtEq),
    ("<<", TokenKind::Shl),
    (">>", TokenKind::Shr),
    ("++", TokenKind::PlusPlus),
    ("+=", TokenKind::PlusEq),
    ("--", TokenKind::MinusMinus),
    ("-=", TokenKind::MinusEq),
    ("*=", TokenKind::StarEq),
    ("/=", TokenKind::SlashEq),
    ("%=", TokenKind::PercentEq),
    ("&&", TokenKind::AmpAmp),
    ("&=", TokenKind::AmpEq),
    ("||", TokenKind::PipePipe),
    ("|=", TokenKind::PipeEq),
    ("^=", TokenKind::CaretEq),
    ("(", TokenKind::LParen),
    (")", TokenKind::RParen),
    ("{", TokenKind::LBrace),
    ("}", TokenKind::RBrace),
    ("[", TokenKind::LBracket),
    ("]", TokenKind::RBracket),
    (",", TokenKind::Comma),
    (";", TokenKind::Semi),
    (":", TokenKind::Colon),
    ("?", TokenKind::Question),
    (".", TokenKind::Dot),
    ("=", TokenKind::Eq),
    ("!", TokenKind::Bang),
    ("<", TokenKind::Lt),
    (">", TokenKind::Gt),
    ("+", TokenKind::Plus),
    ("-", TokenKind::Minus),
    ("*", TokenKind::Star),
    ("/", TokenKind::Slash),
    ("%", TokenKind::Percent),
    ("&", TokenKind::Amp),
    ("|", TokenKind::Pipe),
    ("^", TokenKind::Caret),
    ("~", TokenKind::Tilde),
];

/// The token or comment at or after `from`, white space skipped.
///
/// `from` must lie on a character boundary; at or past the end of the text it gives
/// [`TokenKind::Eof`]. Texts are at most 4 GiB long.
pub fn next_token(text: &str, from: u32) -> Token {
    let rest = text.get(from as usize..).unwrap_or("");
    let blank = rest.bytes().take_while(|b| is_space(*b)).count();
    let rest = rest.get(blank..).unwrap_or("");
    let start = from as usize + blank;
    let (kind, length) = scan(rest);
    // The parser cuts texts off below 4 GiB, so both fit.
    Token { kind, start: start as u32, end: (start + length) as u32 }
}

/// What stands at the beginning of `rest`, and how long it is.
fn scan(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    match at(0) {
        _ if bytes.is_empty() => (TokenKind::Eof, 0),
        b if is_ident_start(b) => (TokenKind::Ident, ident_length(bytes)),
        b'0'..=b'9' => (TokenKind::Int, ident_length(bytes)),
        b'"' => string(bytes),
        b'#' => (TokenKind::Hash, 1),
        b'@' if is_ident_start(at(1)) => (TokenKind::Map, 1 + tail_length(bytes)),
        b'@' => (TokenKind::Map, 1),
        b'$' if is_ident_start(at(1)) => (TokenKind::Var, 1 + tail_length(bytes)),
        b'$' if at(1).is_ascii_digit() => {
            let digits = bytes.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
            (TokenKind::Param, 1 + digits)
        }
        b'$' if at(1) == b'#' => (TokenKind::ParamCount, 2),
        b'/' if at(1) == b'/' => (TokenKind::LineComment, rest.find('\n').unwrap_or(bytes.len())),
        b'/' if at(1) == b'*' => match rest.get(2..).and_then(|body| body.find("*/")) {
            Some(end) => (TokenKind::BlockComment { terminated: true }, end + 4),
            None => (TokenKind::BlockComment { terminated: false }, bytes.len()),
        },
        _ => match PUNCTUATION.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
            Some((symbol, kind)) => (*kind, symbol.len()),
            None => (TokenKind::Unknown, rest.chars().next().map_or(0, char::len_utf8)),
        },
    }
}

/// A string ends at its quote, or unterminated before the end of the line.
fn string(bytes: &[u8]) -> (TokenKind, usize) {
    let mut index = 1;
    while let Some(&byte) = bytes.get(index) {
        match byte {
            b'"' => return (TokenKind::Str { terminated: true }, index + 1),
            b'\n' => break,
            // An escape covers the next byte, but neither the end of the line nor half a character.
            b'\\' if bytes.get(index + 1).is_some_and(|next| next.is_ascii() && *next != b'\n') => index += 2,
            _ => index += 1,
        }
    }
    (TokenKind::Str { terminated: false }, index)
}

/// Whether a name may begin with it.
pub fn is_ident_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a name may go on with it.
pub fn is_ident_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// White space between tokens.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

fn ident_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| is_ident_part(**b)).count()
}

fn tail_length(bytes: &[u8]) -> usize {
    bytes.iter().skip(1).take_while(|b| is_ident_part(**b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            let token = next_token(text, at);
            if token.kind == TokenKind::Eof {
                return out;
            }
            out.push((token.kind, &text[token.start as usize..token.end as usize]));
            at = token.end;
        }
    }

    #[test]
    fn the_longest_operator_wins() {
        let symbols: Vec<&str> =
            kinds("a<<=b>>=c<<d->e++ +f..g||h&&i!=j").into_iter().map(|(_, s)| s).collect();
        assert_eq!(symbols.join(" "), "a <<= b >>= c << d -> e ++ + f .. g || h && i != j");
    }

    #[test]
    fn every_operator_is_its_own_token() {
        for (symbol, kind) in PUNCTUATION {
            assert_eq!(kinds(symbol), vec![(kind, symbol)]);
        }
    }

    #[test]
    fn sigils() {
        use TokenKind::*;
        assert_eq!(
            kinds("$x $1 $# $ @a @ @1"),
            vec![
                (Var, "$x"),
                (Param, "$1"),
                (ParamCount, "$#"),
                (Unknown, "$"),
                (Map, "@a"),
                (Map, "@"),
                (Map, "@"),
                (Int, "1")
            ]
        );
    }

    #[test]
    fn numbers_take_their_letters_along_but_not_a_range() {
        use TokenKind::*;
        assert_eq!(
            kinds("0x1F 1e6 1_000 5ms 1..9"),
            vec![
                (Int, "0x1F"),
                (Int, "1e6"),
                (Int, "1_000"),
                (Int, "5ms"),
                (Int, "1"),
                (DotDot, ".."),
                (Int, "9")
            ]
        );
    }

    #[test]
    fn strings_end_at_the_quote_or_the_line() {
        let terminated = TokenKind::Str { terminated: true };
        let open = TokenKind::Str { terminated: false };
        assert_eq!(kinds(r#""a\"b\\" x"#), vec![(terminated, r#""a\"b\\""#), (TokenKind::Ident, "x")]);
        assert_eq!(kinds("\"ab\nc"), vec![(open, "\"ab"), (TokenKind::Ident, "c")]);
        assert_eq!(kinds("\"ab\\"), vec![(open, "\"ab\\")]);
        assert_eq!(kinds("\"ab\\ä\""), vec![(terminated, "\"ab\\ä\"")]);
    }

    #[test]
    fn comments() {
        use TokenKind::*;
        assert_eq!(
            kinds("a // b /* \n/* c\n */ d /* e"),
            vec![
                (Ident, "a"),
                (LineComment, "// b /* "),
                (BlockComment { terminated: true }, "/* c\n */"),
                (Ident, "d"),
                (BlockComment { terminated: false }, "/* e")
            ]
        );
        assert_eq!(kinds("/*/"), vec![(BlockComment { terminated: false }, "/*/")]);
    }

    #[test]
    fn characters_of_no_token_stay_whole() {
        assert_eq!(kinds("ä`"), vec![(TokenKind::Unknown, "ä"), (TokenKind::Unknown, "`")]);
    }
}
