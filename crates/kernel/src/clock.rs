//! The kernel's clocks, and how to turn one's time into another's.

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

/// A clock that BPF helpers stamp events with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Since boot, without suspended time (`bpf_ktime_get_ns`).
    Monotonic,
    /// Since boot, with suspended time (`bpf_ktime_get_boot_ns`); processes and programs are stamped with it.
    Boot,
    /// Since 1970.
    Real,
    /// International atomic time (`bpf_ktime_get_tai_ns`).
    Tai,
}

impl Clock {
    /// Nanoseconds of this clock now.
    pub fn now(self) -> i64 {
        let time = match self {
            Self::Monotonic => clock_gettime(ClockId::Monotonic),
            Self::Boot => clock_gettime(ClockId::Boottime),
            Self::Real => clock_gettime(ClockId::Realtime),
            // Present since Linux 3.10; without it the nearest clock is off by leap seconds only.
            Self::Tai => clock_gettime_dynamic(DynamicClockId::Tai)
                .unwrap_or_else(|_| clock_gettime(ClockId::Realtime)),
        };
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// What must be added to a time of this clock to have the time of `to`, in nanoseconds, as of now.
    ///
    /// Two clocks cannot be read at one instant; of several readings the one whose uncertainty was least counts.
    pub fn offset_to(self, to: Self) -> i64 {
        let mut best = (i64::MAX, 0);
        for _ in 0..5 {
            let before = self.now();
            let other = to.now();
            let after = self.now();
            let width = after - before;
            if width < best.0 {
                best = (width, other - (before + width / 2));
            }
        }
        best.1
    }

    /// A time of this clock as a time of `to`.
    pub fn convert(self, time: i64, to: Self) -> i64 {
        time.saturating_add(self.offset_to(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_not_behind_monotonic_time() {
        let monotonic = Clock::Monotonic.now();
        assert!(Clock::Boot.now() >= monotonic);
    }

    #[test]
    fn offsets_are_opposite() {
        let there = Clock::Boot.offset_to(Clock::Real);
        let back = Clock::Real.offset_to(Clock::Boot);
        // The clocks tick between readings and NTP may slew one of them; a second is far beyond either.
        assert!((there + back).abs() < 1_000_000_000);
    }
}
