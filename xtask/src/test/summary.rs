//! What all stages came to: a table, the failures with what they printed, the skipped with their reasons.
//!
//! A test counts once for each place it ran in or was skipped in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::libtest::Outcome;
use super::runner::Finished;
use crate::table;

/// The results of one stage.
#[derive(Debug)]
pub struct Stage {
    name: String,
    results: Vec<(Test, Outcome)>,
    time: Duration,
}

/// A test's full name: its executable and itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    executable: String,
    name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(&self.executable);
        }
        write!(f, "{} {}", self.executable, self.name)
    }
}

impl Stage {
    /// A stage without results yet.
    pub fn new(name: &str) -> Stage {
        Stage { name: name.to_owned(), results: Vec::new(), time: Duration::ZERO }
    }

    /// A stage that is one check.
    pub fn single(name: &str, outcome: Outcome) -> Stage {
        let test = Test { executable: name.to_owned(), name: String::new() };
        Stage { results: vec![(test, outcome)], ..Stage::new(name) }
    }

    /// Adds an executable's results.
    pub fn add(&mut self, finished: Finished) {
        let executable = finished.executable;
        self.results.extend(
            finished
                .results
                .into_iter()
                .map(|(name, outcome)| (Test { executable: executable.clone(), name }, outcome)),
        );
    }

    /// With the time it took.
    pub fn taking(self, time: Duration) -> Stage {
        Stage { time, ..self }
    }
}

/// Everything that happened.
#[derive(Debug)]
pub struct Summary {
    stages: Vec<Stage>,
    /// Tests that were skipped wherever they could have run, with each place and reason.
    nowhere: Vec<(Test, Vec<String>)>,
}

impl Summary {
    /// Sums up. With `everywhere`, a test that ran nowhere is a failure.
    pub fn new(stages: Vec<Stage>, everywhere: bool) -> Summary {
        let mut seen: BTreeMap<&Test, (bool, Vec<String>)> = BTreeMap::new();
        for stage in &stages {
            for (test, outcome) in &stage.results {
                let (ran, reasons) = seen.entry(test).or_default();
                match outcome {
                    Outcome::Skipped(reason) => reasons.push(format!("{}: {reason}", stage.name)),
                    Outcome::Passed | Outcome::Failed(_) => *ran = true,
                }
            }
        }
        let nowhere = seen
            .into_iter()
            // A check that is not installed, or a test marked as ignored, says so by itself.
            .filter(|(test, (ran, _))| everywhere && !ran && test.executable.contains("::kernel_"))
            .filter(|(_, (_, reasons))| !reasons.iter().any(|reason| lacks_a_peer(reason)))
            .map(|(test, (_, reasons))| (test.clone(), reasons))
            .collect();
        Summary { stages, nowhere }
    }

    /// Whether nothing failed and every test ran somewhere.
    pub fn is_good(&self) -> bool {
        let [_, failed, _] = self.totals();
        failed == 0
    }

    /// Passed, failed, skipped.
    fn totals(&self) -> [usize; 3] {
        let mut totals = [0, self.nowhere.len(), 0];
        for stage in &self.stages {
            for (total, count) in totals.iter_mut().zip(counts(stage)) {
                *total += count;
            }
        }
        totals
    }
}

/// Whether a test could not run for want of a program that only tests look at; no machine must have those.
fn lacks_a_peer(reason: &str) -> bool {
    const PEERS: &[&str] = &["needs bpftool: ", "needs graphviz: "];
    PEERS.iter().any(|peer| reason.contains(peer))
}

fn counts(stage: &Stage) -> [usize; 3] {
    let count =
        |wanted: fn(&Outcome) -> bool| stage.results.iter().filter(|(_, outcome)| wanted(outcome)).count();
    [
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    ]
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            for (test, outcome) in &stage.results {
                if let Outcome::Failed(text) = outcome {
                    // A stage that is one check is named once.
                    match test.name.as_str() {
                        "" => writeln!(f, "\nFAILED {}", stage.name)?,
                        _ => writeln!(f, "\nFAILED {}: {test}", stage.name)?,
                    }
                    for line in text.trim().lines() {
                        writeln!(f, "    {line}")?;
                    }
                }
            }
        }
        write_skipped(f, &self.stages)?;
        if !self.nowhere.is_empty() {
            writeln!(f, "\nran nowhere (each counts as failed):")?;
            for (test, reasons) in &self.nowhere {
                writeln!(f, "    {test}")?;
                for reason in reasons {
                    writeln!(f, "        {reason}")?;
                }
            }
        }
        let rows: Vec<[String; 5]> = self
            .stages
            .iter()
            .map(|stage| {
                let [passed, failed, skipped] = counts(stage).map(|count| count.to_string());
                [stage.name.clone(), passed, failed, skipped, stage.time.as_secs().to_string()]
            })
            .collect();
        write!(f, "\n{}", table::render(["stage", "passed", "failed", "skipped", "seconds"], &rows))?;
        let [passed, failed, skipped] = self.totals();
        writeln!(f, "\n{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The skipped tests under their reasons.
fn write_skipped(f: &mut fmt::Formatter<'_>, stages: &[Stage]) -> fmt::Result {
    for stage in stages {
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (test, outcome) in &stage.results {
            if let Outcome::Skipped(reason) = outcome {
                reasons.entry(reason).or_default().push(test.to_string());
            }
        }
        for (reason, tests) in reasons {
            writeln!(f, "\nskipped, {}: {reason}", stage.name)?;
            for test in tests {
                writeln!(f, "    {test}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, outcome: Outcome) -> Stage {
        let mut stage = Stage::new(name);
        stage
            .add(Finished { executable: "p::kernel_x".to_owned(), results: vec![("t".to_owned(), outcome)] });
        stage
    }

    fn skipped() -> Outcome {
        Outcome::Skipped("needs kprobe: none".to_owned())
    }

    #[test]
    fn a_test_that_ran_in_one_place_is_good() {
        let summary = Summary::new(vec![stage("here", skipped()), stage("guest", Outcome::Passed)], true);
        assert!(summary.is_good());
        let text = summary.to_string();
        assert!(text.contains("skipped, here: needs kprobe: none\n    p::kernel_x t\n"), "{text}");
        assert!(text.ends_with("\n1 passed, 0 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn a_test_that_ran_nowhere_is_a_failure() {
        let stages = || vec![stage("here", skipped()), stage("guest", skipped())];
        let summary = Summary::new(stages(), true);
        assert!(!summary.is_good());
        let text = summary.to_string();
        assert!(text.contains("    p::kernel_x t\n        here: needs kprobe: none\n"), "{text}");
        assert!(text.ends_with("\n0 passed, 1 failed, 2 skipped\n"), "{text}");
        assert!(Summary::new(stages(), false).is_good());
        // A program to compare with is no machine's duty.
        let lacking = Outcome::Skipped("needs bpftool: SKEP_PEER_BPFTOOL names none".to_owned());
        let summary = Summary::new(vec![stage("here", lacking.clone()), stage("guest", lacking)], true);
        assert!(summary.is_good());
        assert!(summary.to_string().ends_with("\n0 passed, 0 failed, 2 skipped\n"));
    }

    #[test]
    fn failures_are_shown_with_their_output() {
        let text =
            Summary::new(vec![stage("here", Outcome::Failed("left\nright".to_owned()))], true).to_string();
        assert!(text.contains("FAILED here: p::kernel_x t\n    left\n    right\n"), "{text}");
    }
}
