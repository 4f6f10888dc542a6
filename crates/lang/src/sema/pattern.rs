//! Patterns with `*`, as attach points and listings use them.

/// Whether `text` is what `pattern` describes; `*` stands for any text, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or(""),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether `*` stands in it.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains('*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("sys_enter_open", "sys_enter_open"));
        assert!(!matches("sys_enter_open", "sys_enter_openat"));
        assert!(matches("sys_enter_open*", "sys_enter_open"));
        assert!(matches("*open*", "sys_enter_openat"));
        assert!(matches("a*b*c", "aXbYc"));
        assert!(!matches("a*b*c", "aXcYb"));
        assert!(matches("*", "") && matches("**", "x"));
        assert!(!matches("ab*ba", "aba"), "the ends do not overlap");
        assert!(!matches("", "x") && matches("", ""));
    }
}
