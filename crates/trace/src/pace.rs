//! How the reader waits for records: until the kernel wakes it, or by looking now and then.
//!
//! Waking the reader costs the program that made the record over a microsecond, which is much where records come by
//! the hundred thousand. Then the reader naps and looks by itself. Where they come rarely, it is cheaper and quicker
//! to be woken.

use std::time::{Duration, Instant};

/// How long the reader naps. The rings hold what comes meanwhile many times over.
pub(crate) const NAP: Duration = Duration::from_micros(500);

/// Over which time the records are counted.
const WINDOW: Duration = Duration::from_millis(10);

/// As many records in a [`WINDOW`] as there are naps: from here on, napping takes fewer wake-ups.
const MANY: u64 = (WINDOW.as_micros() / NAP.as_micros()) as u64;

/// Tells how to wait, by how many records came lately.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    records: u64,
    napping: bool,
}

impl Pace {
    /// Begins with being woken.
    pub fn new(now: Instant) -> Pace {
        Pace { since: now, records: 0, napping: false }
    }

    /// Takes note of records that were read just now; tells whether to nap rather than to be woken.
    pub fn saw(&mut self, records: u64, now: Instant) -> bool {
        self.records = self.records.saturating_add(records);
        let over = now.saturating_duration_since(self.since) >= WINDOW;
        if self.records >= MANY {
            self.napping = true;
        } else if over {
            self.napping = false;
        }
        if over {
            (self.since, self.records) = (now, 0);
        }
        self.napping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_napped_through_and_a_trickle_wakes() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut pace = Pace::new(start);
        // Single records, far apart.
        assert!(!pace.saw(1, at(3_000)));
        assert!(!pace.saw(1, at(6_000)));
        assert!(!pace.saw(1, at(1_000_000)));
        // A burst.
        assert!(pace.saw(MANY, at(1_000_100)));
        // It goes on.
        assert!(pace.saw(MANY, at(1_010_200)));
        // It is over, which shows when a window ends.
        assert!(pace.saw(0, at(1_015_000)));
        assert!(!pace.saw(0, at(1_020_500)));
        assert!(!pace.saw(0, at(1_020_600)));
    }

    #[test]
    fn records_of_a_window_add_up() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let naps = (0..MANY).map(|n| pace.saw(1, start + Duration::from_micros(n * 50))).filter(|nap| *nap);
        assert_eq!(naps.count(), 1);
    }
}
