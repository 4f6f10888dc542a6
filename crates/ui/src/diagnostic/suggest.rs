//! "Did you mean": the nearest known name to a misspelt one.

/// The candidate that `word` is most likely a misspelling of, if any is near enough.
///
/// Near enough is a third of the word's length in edits (a swap of neighbours counts as one), at
/// least one; a difference in case only always is. Among equals the first candidate wins.
pub fn suggest<'a, I>(word: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted = fold(word);
    if wanted.is_empty() || wanted.len() > MAX_LENGTH {
        return None;
    }
    let limit = (wanted.len() / 3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let folded = fold(candidate);
        if folded.len().abs_diff(wanted.len()) > limit || candidate == word {
            continue;
        }
        let distance = edits(&wanted, &folded);
        // A one-letter word is one edit away from every other one-letter word.
        let meaningful = distance < wanted.len().max(folded.len());
        if distance <= limit && meaningful && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Longer words are no misspellings of a name, and would cost quadratic time.
const MAX_LENGTH: usize = 100;

fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| c.to_ascii_lowercase()).collect()
}

/// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
fn edits(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, &cb) in b.iter().enumerate() {
            let substituted = last[j] + usize::from(ca != cb);
            let mut least = substituted.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && ca == b[j - 1] && a[i - 1] == cb {
                least = least.min(before_last[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["printf", "print", "pid", "comm", "count", "hist", "lhist"];
        let of = |word| suggest(word, names);
        assert_eq!(of("prinft"), Some("printf"));
        assert_eq!(of("prnt"), Some("print"));
        assert_eq!(of("COMM"), Some("comm"));
        assert_eq!(of("cuont"), Some("count"));
        assert_eq!(of("lhits"), Some("lhist"));
        assert_eq!(of("zzz"), None);
        assert_eq!(of("x"), None);
        assert_eq!(of(""), None);
        assert_eq!(of(&"p".repeat(100_000)), None);
    }

    #[test]
    fn a_swap_is_one_edit() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(edits(&chars("ab"), &chars("ba")), 1);
        assert_eq!(edits(&chars("abc"), &chars("abc")), 0);
        assert_eq!(edits(&chars(""), &chars("abc")), 3);
        assert_eq!(edits(&chars("kitten"), &chars("sitting")), 3);
    }
}
