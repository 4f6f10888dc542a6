//! Tests and benchmarks of a script: its `test` and `bench` probes, run one after the other.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use skep_compile::artifact::Artifact;
use skep_kernel::bpf::{self, TestRun, test_run};
use skep_lang::hir::{Attach, Target};

use super::{Outcome, Session};
use crate::error::{Error, Result};
use crate::sink::{Event, Sink, Trial};

/// What is to be done with a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Its probes are attached.
    #[default]
    Trace,
    /// Its tests are run.
    Test,
    /// Its benchmarks are run.
    Bench,
}

impl Mode {
    /// Whether a probe has a part in it.
    pub fn includes(self, target: &Target) -> bool {
        match (&target.attach, self) {
            (Attach::Begin | Attach::End, _) | (Attach::Test { .. }, Mode::Test) => true,
            (Attach::Bench { .. }, mode) => mode == Mode::Bench,
            (Attach::Test { .. }, _) => false,
            (_, mode) => mode == Mode::Trace,
        }
    }

    /// Leaves out the probes of a script that have no part in it.
    ///
    /// # Errors
    ///
    /// A sentence when none is left.
    pub fn narrow(self, artifact: &mut Artifact) -> Result<(), String> {
        artifact.keep(|target| self.includes(target));
        let has = |wanted: fn(&Attach) -> bool| artifact.targets.iter().any(|target| wanted(&target.attach));
        match artifact.programs.is_empty() {
            false => Ok(()),
            true if has(|attach| matches!(attach, Attach::Test { .. })) => {
                Err("No probes attached; use --test to run test probes.".into())
            }
            true if has(|attach| matches!(attach, Attach::Bench { .. })) => {
                Err("No probes attached; use --bench to run benchmark probes.".into())
            }
            true => Err("No probes to attach".into()),
        }
    }
}

/// How long a benchmark is run at least.
const LONG_ENOUGH: Duration = Duration::from_millis(100);

/// How often a benchmark is run between looks at the time.
const ROUND: u64 = 1000;

impl Session {
    /// Runs `BEGIN`, then the tests one after the other, then `END`. The exit code is 1 if one of them failed: if it
    /// returned something else than 0, or called `exit()` with something else.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn run_tests(mut self, sink: &mut dyn Sink) -> Result<Outcome> {
        self.attach()?;
        self.tell_attached();
        let tests = self.trials(|attach| match attach {
            Attach::Test { name } => Some(name),
            _ => None,
        });
        let mut failed = Vec::new();
        if !tests.is_empty() {
            self.state.send(sink, Event::Trial(Trial::Begin { count: tests.len() }))?;
            for (program, name) in &tests {
                self.drain(sink)?;
                self.state.send(sink, Event::Trial(Trial::Run { name }))?;
                let begun = Instant::now();
                let returned = self.run_once(*program, name)?;
                let duration = begun.elapsed();
                self.drain(sink)?;
                let passed = returned == 0 && self.state.exit_code.take().unwrap_or(0) == 0;
                self.state.mute = false;
                if !passed {
                    failed.push(name.clone());
                }
                self.state.send(sink, Event::Trial(Trial::Result { name, duration, passed }))?;
            }
            let passed = tests.len() - failed.len();
            self.state.send(sink, Event::Trial(Trial::End { passed, failed: &failed }))?;
        }
        // They are left from running, not results.
        self.state.artifact.config.print_maps_on_exit = false;
        let outcome = self.finish(sink, super::Ended::Complete)?;
        Ok(Outcome { exit_code: if failed.is_empty() { outcome.exit_code } else { 1 }, ..outcome })
    }

    /// Runs `BEGIN`, then the benchmarks, each as often as is needed to tell how long it takes, then `END`.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn run_benchmarks(mut self, sink: &mut dyn Sink) -> Result<Outcome> {
        self.attach()?;
        self.tell_attached();
        let benchmarks = self.trials(|attach| match attach {
            Attach::Bench { name } => Some(name),
            _ => None,
        });
        self.drain(sink)?;
        // The kernel measures each run while somebody holds this.
        let _measured = bpf::enable_run_time_stats().map_err(Error::kernel("cannot measure benchmarks"))?;
        let mut results = Vec::new();
        for (program, name) in benchmarks {
            let before = self.measured(program)?;
            let begun = Instant::now();
            while begun.elapsed() < LONG_ENOUGH && self.state.exit_code.is_none() {
                for _ in 0..ROUND {
                    self.run_once(program, &name)?;
                }
                self.drain(sink)?;
            }
            let after = self.measured(program)?;
            let runs = after.1.saturating_sub(before.1);
            results.push((name, after.0.saturating_sub(before.0) / runs.max(1), runs));
        }
        if !results.is_empty() {
            self.state.send(sink, Event::Trial(Trial::Benchmarks(&results)))?;
        }
        // They are left from running, not results.
        self.state.artifact.config.print_maps_on_exit = false;
        self.finish(sink, super::Ended::Complete)
    }

    /// The loaded programs of the probes that `name` gives a name, in the order of the script.
    fn trials(&self, name: fn(&Attach) -> Option<&String>) -> Vec<(usize, String)> {
        let programs = self.state.loaded.programs.iter().enumerate();
        let named = programs.flat_map(|(index, program)| {
            let targets =
                program.targets.iter().filter_map(|id| self.state.artifact.targets.get(id.0 as usize));
            targets.filter_map(move |target| Some((index, name(&target.attach)?.clone())))
        });
        named.collect()
    }

    fn run_once(&self, program: usize, name: &str) -> Result<u32> {
        let Some(program) = self.state.loaded.programs.get(program) else { return Ok(0) };
        let outcome = test_run(program.fd.as_fd(), &mut TestRun::default())
            .map_err(Error::kernel(format!("cannot run {name}")))?;
        Ok(outcome.retval)
    }

    /// Nanoseconds and runs so far.
    fn measured(&self, program: usize) -> Result<(u64, u64)> {
        let Some(program) = self.state.loaded.programs.get(program) else { return Ok((0, 0)) };
        let info = bpf::prog_info(program.fd.as_fd()).map_err(Error::kernel("cannot measure a benchmark"))?;
        Ok((info.run_time_ns, info.run_count))
    }
}
