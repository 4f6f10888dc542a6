//! The flags that every tool has, and reading them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, FromArgMatches};

/// Flags that every tool has. A tool gives them the short forms of its model with [`clap::Command::mut_arg`].
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Every tool")]
pub struct CommonFlags {
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object per row, with typed values
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print rows as comma-separated values
    #[arg(long)]
    pub csv: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave out the header
    #[arg(long)]
    pub no_header: bool,
    /// Print the script that the tool runs, and stop
    #[arg(long, alias = "ebpf")]
    pub script: bool,
    /// Tell on standard error which probes were chosen
    #[arg(short, long)]
    pub verbose: bool,
    /// Pages of 4 KiB that rows may wait in before they are read
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=1 << 19))]
    pub buffer_pages: Option<u32>,
}

/// Runs a tool with what `args` say as its `command` reads them; help and mistakes are told and are all there is.
pub fn run<T: FromArgMatches>(command: Command, args: &[OsString], tool: fn(T) -> ExitCode) -> ExitCode {
    let words = std::iter::once(OsString::from(command.get_name())).chain(args.iter().cloned());
    match command.try_get_matches_from(words).and_then(|matches| T::from_arg_matches(&matches)) {
        Ok(flags) => tool(flags),
        Err(error) => {
            // Where the text goes and whether that worked changes nothing for us.
            let _ = error.print();
            if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// How long a tool goes on, as headers of tools say it that show nothing before the end.
pub fn until(flags: &CommonFlags) -> String {
    match flags.duration {
        Some(duration) => format!("for {} secs.", duration.as_secs_f64()),
        None => "Hit Ctrl-C to end.".into(),
    }
}

/// A positive number of seconds, fractions allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        _ => Err("it must be more than 0 seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "x", "inf", "NaN", "1e40", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
