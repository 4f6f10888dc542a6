//! C expressions as BCC's `trace` takes them, put into the words of the script language, which has the same operators.
//!
//! What differs: `arg1` is the first argument, `$pid` and its like are functions, types may have several words,
//! parameters of a signature are variables, and texts are compared with `STRCMP`.

/// What names stand for in an expression.
pub struct Names<'a> {
    /// The parameters of the probe's signature.
    pub params: &'a [String],
    /// How the n-th argument is read, counted from 1.
    pub argument: &'a dyn Fn(u32) -> String,
}

/// A piece of C.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name, also with `$` in front, or a number.
    Word(String),
    /// A text or character, with its quotes.
    Quoted(String),
    /// Anything else, one character.
    Mark(char),
}

/// The expression in the script's words.
pub fn translate(text: &str, names: &Names<'_>) -> Result<String, String> {
    let tokens = tokens(text)?;
    let mut words = Vec::new();
    let mut rest = tokens.as_slice();
    while let [first, following @ ..] = rest {
        rest = following;
        match first {
            Token::Word(word) if word == "STRCMP" => {
                let (literal, expression, after) = comparison(rest)?;
                rest = after;
                let expression = translate_tokens(expression, names)?;
                words.push(format!("(str({expression}) == {literal})"));
            }
            Token::Word(word) if is_type_word(word) => {
                let more =
                    rest.iter().take_while(|token| matches!(token, Token::Word(word) if is_type_word(word)));
                let more: Vec<&str> = more.filter_map(Token::word).collect();
                rest = rest.get(more.len()..).unwrap_or_default();
                words.push(type_name(std::iter::once(word.as_str()).chain(more)));
            }
            Token::Word(word) => {
                let user = matches!(rest, [Token::Mark('@'), Token::Word(user), ..] if user == "user");
                if user {
                    rest = rest.get(2..).unwrap_or_default();
                }
                let member = words.last().is_some_and(|last: &String| last == "." || last == "->");
                let word = if member { word.clone() } else { name(word, names)? };
                words.push(if user { format!("uptr({word})") } else { word });
            }
            Token::Quoted(text) if text.starts_with('\'') => words.push(character(text)?),
            Token::Quoted(text) => words.push(text.clone()),
            // An arrow is one word, as what follows it is a member.
            Token::Mark('-') if rest.first() == Some(&Token::Mark('>')) => {
                rest = following.get(1..).unwrap_or_default();
                words.push("->".into());
            }
            Token::Mark(mark) => words.push(mark.to_string()),
        }
    }
    Ok(joined(&words))
}

/// The type of a parameter's declaration and its name: `const char __user *name` is `int8 *` of user space and `name`.
pub fn parameter(text: &str) -> Result<Parameter, String> {
    let all = tokens(text)?;
    let user = all.iter().any(|token| token.word() == Some("__user"));
    let skipped = ["const", "volatile", "__user", "__kernel", "restrict", "register"];
    let mut kept: Vec<Token> =
        all.into_iter().filter(|token| token.word().is_none_or(|word| !skipped.contains(&word))).collect();
    let Some(Token::Word(name)) = kept.pop() else {
        return Err(format!("'{}' names no parameter", text.trim()));
    };
    if kept.is_empty() {
        return Err(format!("the parameter '{name}' has no type"));
    }
    let no_names = Names { params: &[], argument: &|n| format!("arg{n}") };
    Ok(Parameter { name, ty: translate_tokens(&kept, &no_names)?, user })
}

/// A parameter of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type as scripts write it.
    pub ty: String,
    /// Whether it points to the process' own memory.
    pub user: bool,
}

/// Cuts a text at commas that stand in no parentheses or quotes.
pub fn at_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    for c in text.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            },
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// How long the parenthesised text at the beginning is, both parentheses included.
pub fn balanced(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0u32, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' => depth += 1,
                ')' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            },
        }
    }
    None
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) => text.clone(),
            Token::Mark(mark) => mark.to_string(),
        }
    }
}

fn translate_tokens(tokens: &[Token], names: &Names<'_>) -> Result<String, String> {
    let text: Vec<String> = tokens.iter().map(Token::text).collect();
    translate(&joined(&text), names)
}

/// Words next to each other need a space; marks must not get any, as `-` and `>` are two of one arrow.
fn joined(words: &[String]) -> String {
    let ends_in_word = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
    let mut text = String::new();
    for word in words {
        let begins = word.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if begins && ends_in_word(&text) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        if c.is_alphanumeric() || c == '_' || c == '$' {
            let mut word = String::from(c);
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            tokens.push(Token::Word(word));
        } else if c == '"' || c == '\'' {
            let mut quoted = String::from(c);
            let mut escaped = false;
            loop {
                let Some(next) = chars.next() else { return Err(format!("{c} has no end")) };
                quoted.push(next);
                match next {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    end if end == c => break,
                    _ => {}
                }
            }
            tokens.push(Token::Quoted(quoted));
        } else {
            tokens.push(Token::Mark(c));
        }
    }
    Ok(tokens)
}

/// What follows `STRCMP`: the text, the expression, and the rest.
fn comparison(tokens: &[Token]) -> Result<(&str, &[Token], &[Token]), String> {
    let wrong = || "STRCMP takes a text and an expression: STRCMP(\"text\", arg1)".to_owned();
    let [Token::Mark('('), Token::Quoted(literal), Token::Mark(','), rest @ ..] = tokens else {
        return Err(wrong());
    };
    let mut depth = 1;
    for (at, token) in rest.iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (expression, after) = rest.split_at(at);
            return Ok((literal, expression, after.get(1..).unwrap_or_default()));
        }
    }
    Err(wrong())
}

fn name(word: &str, names: &Names<'_>) -> Result<String, String> {
    let known = match word {
        "$uid" => "uid",
        "$gid" => "gid",
        // The kernel's word for a thread.
        "$pid" => "tid",
        "$tgid" => "pid",
        "$cpu" => "cpu",
        "$task" => "curtask",
        "NULL" => "0",
        _ => "",
    };
    if !known.is_empty() {
        return Ok(known.into());
    }
    if word.starts_with('$') {
        return Err(format!("there is no '{word}': $uid, $gid, $pid, $tgid, $cpu and $task are known"));
    }
    if let Some(param) = names.params.iter().find(|param| *param == word) {
        return Ok(format!("${param}"));
    }
    if let Some(number) = word.strip_prefix("arg").and_then(|digits| digits.parse::<u32>().ok()) {
        return match number {
            1..=6 => Ok((names.argument)(number)),
            _ => Err(format!("there is no {word}: arguments are arg1 to arg6")),
        };
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        // 10UL is 10, but 0xful is not 0xf with a digit missing.
        return Ok(word.trim_end_matches(['u', 'U', 'l', 'L']).to_owned());
    }
    Ok(word.to_owned())
}

/// `'a'` as a number.
fn character(quoted: &str) -> Result<String, String> {
    let inner = quoted.trim_matches('\'');
    let mut chars = inner.chars();
    let code = match (chars.next(), chars.next(), chars.next()) {
        (Some('\\'), Some(c), None) => match c {
            'n' => 10,
            't' => 9,
            'r' => 13,
            '0' => 0,
            c => u32::from(c),
        },
        (Some(c), None, None) => u32::from(c),
        _ => return Err(format!("{quoted} is no character")),
    };
    Ok(code.to_string())
}

fn is_type_word(word: &str) -> bool {
    matches!(word, "unsigned" | "signed" | "long" | "short" | "int" | "char" | "const" | "volatile")
}

/// Several words of C as one of the script's.
fn type_name<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    let has = |word: &str| words.contains(&word);
    let bits = match () {
        () if has("char") => 8,
        () if has("short") => 16,
        () if has("long") => 64,
        () => 32,
    };
    format!("{}int{bits}", if has("unsigned") { "u" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Result<String, String> {
        let argument = |n: u32| format!("arg{}", n - 1);
        translate(text, &Names { params: &["sk".into()], argument: &argument })
    }

    #[test]
    fn names_are_those_of_the_script() {
        for (c, script) in [
            ("arg1 > 10", "arg0>10"),
            ("arg2@user", "uptr(arg1)"),
            ("$pid == $tgid", "tid==pid"),
            ("$task->real_parent->pid", "curtask->real_parent->pid"),
            ("sk->sk_family == AF_INET", "$sk->sk_family==AF_INET"),
            ("x->sk", "x->sk"),
            ("x.arg1", "x.arg1"),
            ("x > sk", "x>$sk"),
            ("(unsigned long)arg1 & 0xffUL", "(uint64)arg0&0xff"),
            ("*(unsigned char *)arg1 == 'a'", "*(uint8*)arg0==97"),
            ("sizeof(struct sock)", "sizeof(struct sock)"),
            ("retval ? -retval : 0", "retval?-retval:0"),
            ("arg1 != NULL", "arg0!=0"),
            ("STRCMP(\"x,y\", arg2@user) || arg1", "(str(uptr(arg1)) == \"x,y\")||arg0"),
            ("((struct file *)arg1)->f_flags", "((struct file*)arg0)->f_flags"),
            ("args->filename", "args->filename"),
        ] {
            assert_eq!(translated(c).as_deref(), Ok(script), "{c}");
        }
        for wrong in ["$who", "arg7", "\"x", "STRCMP(arg1, arg2)", "'ab'"] {
            assert!(translated(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parameters_have_type_and_name() {
        let parsed = |text: &str| parameter(text).map(|p| (p.name, p.ty, p.user));
        assert_eq!(parsed("struct sock *sk"), Ok(("sk".into(), "struct sock*".into(), false)));
        assert_eq!(parsed("const char __user *name"), Ok(("name".into(), "int8*".into(), true)));
        assert_eq!(parsed("unsigned long x"), Ok(("x".into(), "uint64".into(), false)));
        assert_eq!(parsed("u64 x"), Ok(("x".into(), "u64".into(), false)));
        assert!(parsed("x").is_err() && parsed("").is_err());
    }

    #[test]
    fn commas_in_calls_cut_nothing() {
        assert_eq!(at_commas("a, f(b, c), \"d,e\""), ["a", " f(b, c)", " \"d,e\""]);
        assert_eq!(balanced("(a(b) \")\") c"), Some(10));
        assert_eq!(balanced("(a"), None);
    }
}
