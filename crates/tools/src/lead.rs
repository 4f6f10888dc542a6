//! What stands in front of each row of an event: when it happened, and in which container.

use std::cell::Cell;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use skep_trace::host::{Clock, Host};

use crate::row::Row;

/// Flags of tools that print a line for each event.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Rows")]
pub struct RowFlags {
    /// Put the time in front: `first` (seconds since the first row), `unix` (since 1970), `iso`, or as strftime writes it
    #[arg(long, value_name = "FORM", value_parser = TimeForm::parse)]
    pub time_format: Option<TimeForm>,
    /// Put the container and the process id in it in front
    #[arg(long)]
    pub container: bool,
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Seconds since the first row.
    First,
    /// Seconds since 1970.
    Unix,
    /// 2026-01-31T12:00:00.000000+01:00
    Iso,
    /// As strftime(3) does.
    Format(String),
}

impl TimeForm {
    fn parse(text: &str) -> Result<TimeForm, String> {
        match text {
            "first" => Ok(TimeForm::First),
            "unix" => Ok(TimeForm::Unix),
            "iso" => Ok(TimeForm::Iso),
            format if format.contains('%') => match jiff::fmt::strtime::format(format, &Zoned::now()) {
                Ok(_) => Ok(TimeForm::Format(format.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            _ => Err("first, unix, iso or a format like %H:%M:%S is needed".into()),
        }
    }
}

/// Times of events, as scripts have them in `nsecs`.
#[derive(Debug, Default)]
pub struct Times {
    host: Host,
    first: Cell<Option<u64>>,
}

/// A time as it is shown: a number for programs, if it is one, and a text.
pub enum Shown {
    /// Seconds and how many digits of them are shown.
    Seconds(f64, usize),
    /// A text.
    Text(String),
}

impl Times {
    /// The time of day of an event.
    pub fn zoned(&self, nsecs: u64) -> Zoned {
        let since_1970 = self.host.since_1970(Clock::Boot, nsecs);
        let time = Timestamp::from_nanosecond(since_1970).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(TimeZone::system())
    }

    /// `12:34:56`
    pub fn of_day(&self, nsecs: u64) -> String {
        self.zoned(nsecs).strftime("%H:%M:%S").to_string()
    }

    /// Seconds since the first event that was asked about.
    pub fn since_first(&self, nsecs: u64) -> f64 {
        let first = self.first.get().unwrap_or(nsecs);
        self.first.set(Some(first));
        nsecs.saturating_sub(first) as f64 / 1e9
    }

    /// In the form that was asked for.
    pub fn shown(&self, form: &TimeForm, nsecs: u64) -> Shown {
        match form {
            TimeForm::First => Shown::Seconds(self.since_first(nsecs), 6),
            TimeForm::Unix => Shown::Seconds(self.host.since_1970(Clock::Boot, nsecs) as f64 / 1e9, 6),
            TimeForm::Iso => Shown::Text(self.zoned(nsecs).strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string()),
            TimeForm::Format(format) => Shown::Text(self.zoned(nsecs).strftime(format).to_string()),
        }
    }

    /// The container that a thread is in, as far as its control group tells: the beginning of its id, or its name.
    pub fn container(&self, who: &Row<'_>) -> String {
        let paths = self.host.cgroup_paths(who.uint("cgroup"), "unified");
        container_of(paths.split_once(':').map_or("", |(_, path)| path)).unwrap_or_default()
    }
}

/// The container that a control group's path names. Docker, containerd, CRI-O and Podman put 64 hexadecimal digits
/// into it, LXC and systemd a name.
fn container_of(path: &str) -> Option<String> {
    path.split('/').rev().find_map(|part| {
        let id = part.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64);
        let short = id.and_then(|id| id.get(..12));
        short
            .or_else(|| part.strip_prefix("lxc.payload."))
            .or_else(|| part.strip_prefix("machine-").and_then(|name| name.strip_suffix(".scope")))
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_found_in_paths() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/pod1.slice/cri-containerd-{id}.scope/init"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container_of(&path).as_deref(), Some("0123456789ab"), "{path}");
        }
        assert_eq!(container_of("/lxc.payload.web/x").as_deref(), Some("web"));
        assert_eq!(container_of("/machine.slice/machine-a.scope").as_deref(), Some("a"));
        assert_eq!(container_of("/user.slice/user-0.slice"), None);
        assert_eq!(container_of(""), None);
    }

    #[test]
    fn forms_of_times_are_read() {
        assert_eq!(TimeForm::parse("unix"), Ok(TimeForm::Unix));
        assert_eq!(TimeForm::parse("%H:%M"), Ok(TimeForm::Format("%H:%M".into())));
        assert!(TimeForm::parse("later").is_err());
        assert!(TimeForm::parse("%!").is_err());
    }

    #[test]
    fn the_first_row_is_at_zero() {
        let times = Times::default();
        assert!(times.since_first(5_000_000_000) == 0.0 && times.since_first(6_500_000_000) == 1.5);
    }
}
