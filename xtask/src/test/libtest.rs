//! Reads what a test executable (or `cargo test --doc`) prints, in libtest's plain form.
//!
//! What tests themselves print can stand between a test's name and its result, so a result may be missing
//! where it is expected; it then follows from the list of failures and the closing line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed; with what it printed.
    Failed(String),
    /// It was not run, or could not be; with the reason.
    Skipped(String),
}

/// A test's name and outcome.
pub type TestResult = (String, Outcome);

/// Stands for a test's name where a whole executable failed.
const EXECUTABLE: &str = "(the executable)";

/// Reads the results. `ending` says how the executable ended, if that was not as it ends after tests.
pub fn parse(output: &str, ending: Option<&str>) -> Vec<TestResult> {
    let mut results = Vec::new();
    let mut group = Group::default();
    for line in output.lines() {
        if line.starts_with("test result: ") {
            let expected = counted(line);
            let found = std::mem::take(&mut group).close(None);
            if found.len() != expected {
                let text = format!("{} results could be read, but it says: {line}", found.len());
                results.push((EXECUTABLE.to_owned(), Outcome::Failed(text)));
            }
            results.extend(found);
        } else {
            group.line(line);
        }
    }
    // Anything left has no closing line.
    let unfinished = ending.unwrap_or("the executable ended in the middle");
    results.extend(group.close(Some(unfinished)));
    if let Some(ending) = ending
        && !results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    {
        results.push((EXECUTABLE.to_owned(), Outcome::Failed(format!("{ending}\n{output}"))));
    }
    results
}

/// What stands before one closing line.
#[derive(Default)]
struct Group {
    tests: Vec<(String, Option<Outcome>)>,
    /// The name of the test whose output is being read, and outputs by name.
    reading: Option<String>,
    outputs: BTreeMap<String, String>,
    /// Whether the list of failed tests' names has begun.
    in_failures: bool,
    failures: Vec<String>,
}

impl Group {
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            // Printed twice: before the outputs, and before the names.
            self.in_failures = !self.outputs.is_empty() || self.in_failures;
            self.reading = None;
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----"))
        {
            self.reading = Some(plain(name).to_owned());
            self.outputs.entry(plain(name).to_owned()).or_default();
        } else if let Some(output) = self.reading.as_ref().and_then(|name| self.outputs.get_mut(name)) {
            output.push_str(line);
            output.push('\n');
        } else if let Some(name) = line.strip_prefix("    ").filter(|_| self.in_failures) {
            self.failures.push(plain(name).to_owned());
        } else if let Some((name, rest)) = named(line) {
            self.tests.push((plain(name).to_owned(), outcome(rest)));
        } else if let Some((_, last @ None)) = self.tests.last_mut() {
            // The test's own output came between its name and its result.
            *last = outcome(line);
        }
    }

    fn close(mut self, unfinished: Option<&str>) -> Vec<TestResult> {
        let mut results = Vec::new();
        for (name, outcome) in self.tests {
            let failed = self.failures.contains(&name);
            let outcome = match (outcome, unfinished) {
                (None | Some(Outcome::Failed(_)), _) if failed => Outcome::Failed(String::new()),
                (Some(outcome), _) => outcome,
                (None, Some(ending)) => Outcome::Failed(ending.to_owned()),
                (None, None) => Outcome::Passed,
            };
            let outcome = match outcome {
                Outcome::Failed(text) if text.is_empty() => {
                    Outcome::Failed(self.outputs.remove(&name).unwrap_or_default().trim().to_owned())
                }
                other => other,
            };
            results.push((name, outcome));
        }
        results
    }
}

/// How many tests a closing line counts: passed, failed and ignored ones.
fn counted(line: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    words
        .windows(2)
        .filter_map(|pair| match pair {
            [number, "passed" | "failed" | "ignored"] => number.parse::<usize>().ok(),
            _ => None,
        })
        .sum()
}

/// The name in a test's line and what follows it. What a test printed without a line end may stand before.
fn named(line: &str) -> Option<(&str, &str)> {
    let begin = if line.starts_with("test ") { 0 } else { line.rfind("test ")? };
    let (name, rest) = line.get(begin..)?.strip_prefix("test ")?.split_once(" ... ")?;
    (begin == 0 || outcome(rest).is_some()).then_some((name, rest))
}

/// The result at the start of what follows a test's name.
fn outcome(text: &str) -> Option<Outcome> {
    if let Some(reason) = text.strip_prefix("ignored") {
        let reason = reason.trim_start_matches([',', ' ']);
        let reason = if reason.is_empty() { "marked as ignored" } else { reason };
        return Some(Outcome::Skipped(reason.to_owned()));
    }
    match text.trim_end() {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed(String::new())),
        _ => None,
    }
}

/// A test's name without libtest's remark on how it is to end.
fn plain(name: &str) -> &str {
    name.split(" - should panic").next().unwrap_or(name).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 6 tests
test a ... child
ok
test m::b ... ignored, because
test m::c - should panic ... ok
test m::d ... FAILED
test e ... what a child left open ok
left open by another test f ... ok

failures:

---- m::d stdout ----
no
failures are hard


failures:
    m::d

test result: FAILED. 4 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.15s
";

    fn result(name: &str, outcome: Outcome) -> TestResult {
        (name.to_owned(), outcome)
    }

    #[test]
    fn results_are_read_through_other_output() {
        let expected = vec![
            result("a", Outcome::Passed),
            result("m::b", Outcome::Skipped("because".to_owned())),
            result("m::c", Outcome::Passed),
            result("m::d", Outcome::Failed("no\nfailures are hard".to_owned())),
            result("e", Outcome::Passed),
            result("f", Outcome::Passed),
        ];
        assert_eq!(parse(OUTPUT, None), expected);
    }

    #[test]
    fn a_test_that_kills_the_executable_has_failed() {
        let output = "\nrunning 2 tests\ntest a ... ok\ntest b ... ";
        let expected =
            vec![result("a", Outcome::Passed), result("b", Outcome::Failed("signal 11".to_owned()))];
        assert_eq!(parse(output, Some("signal 11")), expected);
    }

    #[test]
    fn an_executable_that_fails_without_a_failed_test_is_itself_one() {
        let results = parse("no such option\n", Some("exit status 1"));
        assert!(
            matches!(results.as_slice(), [(_, Outcome::Failed(text))] if text.contains("no such option"))
        );
    }

    #[test]
    fn a_result_that_cannot_be_read_is_not_passed_over() {
        let results = parse("test a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored\n", None);
        assert!(matches!(results.as_slice(), [(_, Outcome::Failed(_)), (_, Outcome::Passed)]), "{results:?}");
    }

    #[test]
    fn several_groups_are_read_one_after_another() {
        let output =
            "test a ... ok\ntest result: ok. 1 passed\n\ntest a ... ignored\ntest result: ok. 1 ignored\n";
        let outcomes: Vec<Outcome> = parse(output, None).into_iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Skipped("marked as ignored".to_owned())]);
    }
}
