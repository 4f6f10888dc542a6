//! Histograms: which value falls into which bucket, and the bars.
//!
//! The printed form is bpftrace's: a label, the count, and a bar of up to 52 `@`, from the first to
//! the last bucket that holds anything.
//!
//! ```text
//! [4, 8)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
//! [8, 16)                4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
//! ```

use std::fmt;

use serde::Serialize;

/// Width of the longest bar, in characters.
const BAR_WIDTH: usize = 52;

/// 1024 to the power of the index.
const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// How values are sorted into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    /// `hist(n, bits)`: each power of two is cut into `1 << bits` buckets of equal width.
    ///
    /// Bucket 0 takes the negative values, the next ones single values up to `2 << bits`.
    Log2 {
        /// 0 to 5.
        bits: u32,
    },
    /// `lhist(n, min, max, step)`: buckets of equal width.
    ///
    /// Bucket 0 takes what is below `min`. The last takes what is above the last whole step that
    /// fits below `max`.
    Linear {
        /// Lower end of the first bucket.
        min: i64,
        /// Values from here on never have a bucket of their own.
        max: i64,
        /// Width of a bucket, at least 1.
        step: i64,
    },
}

/// How often each bucket of a scale was hit.
///
/// Its [`fmt::Display`] form has a line for each of [`Histogram::buckets`], each with its line end;
/// serialised, it is the list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    scale: Scale,
    /// The first bucket that was hit.
    first: usize,
    /// From there to the last one.
    counts: Vec<u64>,
}

/// A bucket and how often it was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Least value; `None` if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Greatest value, inclusive; `None` if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Number of values.
    pub count: u64,
}

impl Scale {
    /// How many buckets there are.
    pub fn len(self) -> usize {
        match self {
            Scale::Log2 { bits } => 1 + ((64 - bits as usize) << bits),
            // Below, the steps, above.
            Scale::Linear { .. } => usize::try_from(self.steps()).map_or(usize::MAX, |n| n.saturating_add(2)),
        }
    }

    /// Never: there always is the bucket of what does not fit the others.
    pub fn is_empty(self) -> bool {
        false
    }

    /// The bucket that a value falls into.
    pub fn index_of(self, value: i64) -> usize {
        match self {
            Scale::Log2 { bits } => match u64::try_from(value) {
                Err(_) => 0,
                Ok(v) if v < 1 << bits => 1 + v as usize,
                Ok(v) => {
                    let shift = v.ilog2() - bits;
                    let within = (v >> shift) as usize - (1 << bits);
                    1 + ((shift as usize + 1) << bits) + within
                }
            },
            Scale::Linear { min, step, .. } => {
                let distance = i128::from(value) - i128::from(min);
                if distance < 0 {
                    return 0;
                }
                let index = (distance / i128::from(step.max(1))).min(self.steps());
                usize::try_from(index).map_or(usize::MAX, |n| n.saturating_add(1))
            }
        }
    }

    /// The values of a bucket: the least and the one just past the greatest, where there is one.
    fn bounds(self, index: usize) -> (Option<i128>, Option<i128>) {
        match self {
            Scale::Log2 { bits } => {
                if index == 0 {
                    return (None, Some(0));
                }
                let n = index - 1;
                let (group, within) = (n >> bits, n & ((1 << bits) - 1));
                if group == 0 {
                    return (Some(within as i128), Some(within as i128 + 1));
                }
                let shift = group as u32 - 1;
                let start = ((1i128 << bits) + within as i128).checked_shl(shift).unwrap_or(i128::MAX);
                (Some(start), Some(start.saturating_add(1i128.checked_shl(shift).unwrap_or(0))))
            }
            Scale::Linear { min, step, .. } => {
                let edge = |n: i128| i128::from(min) + n * i128::from(step.max(1));
                let n = index as i128;
                let low = (n > 0).then(|| edge(n - 1));
                let high = (n <= self.steps()).then(|| edge(n));
                (low, high)
            }
        }
    }

    /// Whole steps between `min` and `max`.
    fn steps(self) -> i128 {
        match self {
            Scale::Log2 { .. } => 0,
            Scale::Linear { min, max, step } => {
                ((i128::from(max) - i128::from(min)) / i128::from(step.max(1))).max(0)
            }
        }
    }

    /// `[4, 8)`, `[3]`, `(..., 0)`, `[10, ...)`
    fn label(self, index: usize) -> String {
        match self.bounds(index) {
            (Some(low), Some(high)) if high - low == 1 => format!("[{}]", self.number(low)),
            (Some(low), Some(high)) => format!("[{}, {})", self.number(low), self.number(high)),
            (None, Some(high)) => format!("(..., {})", self.number(high)),
            (Some(low), None) => format!("[{}, ...)", self.number(low)),
            (None, None) => "(..., ...)".to_owned(),
        }
    }

    /// A bucket's edge, with a unit of 1024 to some power where the original writes one.
    fn number(self, value: i128) -> String {
        match self {
            // With more buckets to a power of two, edges fall on fractions of the next unit; they
            // are written in the smaller unit, so that all of one power look alike.
            Scale::Log2 { bits } => {
                let mut value = value;
                let mut unit = 0;
                while value >= 1024 << bits && unit + 1 < UNITS.len() {
                    value /= 1024;
                    unit += 1;
                }
                format!("{value}{}", UNITS.get(unit).unwrap_or(&""))
            }
            // Units only where the steps are made of them, and none above M.
            Scale::Linear { step, .. } if step % 1024 == 0 && value != 0 => {
                if value % (1 << 20) == 0 {
                    format!("{}M", value >> 20)
                } else if value % 1024 == 0 {
                    format!("{}K", value >> 10)
                } else {
                    value.to_string()
                }
            }
            Scale::Linear { .. } => value.to_string(),
        }
    }
}

impl Histogram {
    /// `counts` has one number per bucket of the scale; missing ones at the end are taken as 0.
    pub fn new(scale: Scale, counts: &[u64]) -> Histogram {
        let counts = counts.get(..scale.len()).unwrap_or(counts);
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let end = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
        Histogram { scale, first, counts: counts.get(first..end).unwrap_or_default().to_vec() }
    }

    /// The buckets from the first to the last one that was hit; none if none was.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.indexed().map(|(index, count)| {
            let narrow = |edge: i128| i64::try_from(edge).unwrap_or(i64::MAX);
            let (low, high) = self.scale.bounds(index);
            Bucket { min: low.map(narrow), max: high.map(|high| narrow(high - 1)), count }
        })
    }

    /// How many values there are.
    pub fn total(&self) -> u128 {
        self.counts.iter().map(|count| u128::from(*count)).sum()
    }

    /// Divides each count, leaving the buckets as they are; a division by 0 does nothing.
    pub fn divide(&mut self, by: u64) {
        for count in &mut self.counts {
            *count = count.checked_div(by).unwrap_or(*count);
        }
    }

    fn indexed(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().enumerate().map(|(index, count)| (self.first + index, *count))
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1);
        for (index, count) in self.indexed() {
            // Single precision, as the original computes it: the bar's length must not differ by one.
            let length = (count as f32 / most as f32 * BAR_WIDTH as f32) as usize;
            let bar = "@".repeat(length.min(BAR_WIDTH));
            writeln!(f, "{:<16}{count:>8} |{bar:<BAR_WIDTH$}|", self.scale.label(index))?;
        }
        Ok(())
    }
}

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.buckets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines for some values, as a script that recorded them would print.
    fn printed(scale: Scale, values: &[i64]) -> String {
        let mut counts = vec![0; scale.len()];
        for value in values {
            counts[scale.index_of(*value)] += 1;
        }
        Histogram::new(scale, &counts).to_string()
    }

    fn buckets(scale: Scale, counts: &[u64]) -> Vec<Bucket> {
        Histogram::new(scale, counts).buckets().collect()
    }

    const LOG2: Scale = Scale::Log2 { bits: 0 };

    fn linear(min: i64, max: i64, step: i64) -> Scale {
        Scale::Linear { min, max, step }
    }

    #[test]
    fn powers_of_two() {
        insta::assert_snapshot!(printed(
            LOG2,
            &[-5, 0, 1, 2, 2, 5, 1023, 1024, 1 << 19, 1 << 20, 1 << 30, i64::MAX]
        ));
    }

    #[test]
    fn parts_of_powers_of_two() {
        let values = [-1, 0, 3, 4, 5, 8, 9, 15, 1500, 5000];
        insta::assert_snapshot!(printed(Scale::Log2 { bits: 2 }, &values));
    }

    #[test]
    fn edges_of_units_in_fine_scales() {
        let line = |bits, value: i64| {
            let scale = Scale::Log2 { bits };
            scale.label(scale.index_of(value))
        };
        assert_eq!(line(0, 1024), "[1K, 2K)");
        assert_eq!(line(0, 1 << 62), "[4E, 8E)");
        assert_eq!(line(1, 1024), "[1024, 1536)");
        assert_eq!(line(1, 2000), "[1536, 2K)");
        assert_eq!(line(2, 2048), "[2048, 2560)");
        assert_eq!(line(2, 2560), "[2560, 3072)");
        assert_eq!(line(2, 3600), "[3584, 4K)");
        assert_eq!(line(2, 1_000_000), "[896K, 1024K)");
        assert_eq!(line(2, 1_300_000), "[1024K, 1280K)");
        assert_eq!(line(2, 1 << 45), "[32T, 40T)");
        assert_eq!(line(2, i64::MAX), "[7E, 8E)");
        assert_eq!(line(5, 33), "[33]");
        assert_eq!(line(5, 70), "[70, 72)");
        assert_eq!(line(5, 1100), "[1088, 1120)");
        assert_eq!(line(5, 2048), "[2048, 2112)");
        assert_eq!(line(5, 32300), "[32256, 32K)");
        assert_eq!(line(5, 100_000), "[96K, 98K)");
    }

    #[test]
    fn equal_steps() {
        insta::assert_snapshot!(printed(linear(0, 10, 1), &[3, -1, 10, 5]));
    }

    #[test]
    fn labels_of_equal_steps() {
        let label = |scale: Scale, value| scale.label(scale.index_of(value));
        assert_eq!(label(linear(0, 10_000, 1000), 1500), "[1000, 2000)");
        assert_eq!(label(linear(1, 10_000, 500), 99_999), "[9501, ...)");
        assert_eq!(label(linear(0, 10_240, 1024), -3), "(..., 0)");
        assert_eq!(label(linear(0, 10_240, 1024), 3), "[0, 1K)");
        assert_eq!(label(linear(0, 10_240, 1024), 99_999), "[10K, ...)");
        assert_eq!(label(linear(0, 4 << 20, 1 << 20), 1 << 20), "[1M, 2M)");
        // What is left of the last, incomplete step counts as above.
        assert_eq!(label(linear(0, 10, 3), 9), "[9, ...)");
        assert_eq!(label(linear(0, 1, 1), 5), "[1, ...)");
        assert_eq!(label(linear(-10, 10, 2), -5), "[-6, -4)");
        // Units are a matter of the step.
        assert_eq!(label(linear(2047, 2100, 1), 2048), "[2048]");
        assert_eq!(label(linear(0, 4096, 512), 1536), "[1536, 2048)");
        assert_eq!(label(linear(1_040_384, 1_052_672, 1024), 1 << 20), "[1M, 1025K)");
        assert_eq!(label(linear(512, 5000, 1024), 1600), "[1536, 2560)");
        assert_eq!(label(linear(0, i64::from(i32::MAX), 1 << 28), 1 << 30), "[1024M, 1280M)");
    }

    #[test]
    fn nothing_recorded_prints_nothing() {
        assert_eq!(printed(LOG2, &[]), "");
        assert_eq!(buckets(LOG2, &[0, 0, 0]), vec![]);
    }

    #[test]
    fn division_keeps_the_buckets() {
        let mut hist = Histogram::new(LOG2, &[0, 1, 0, 7]);
        assert_eq!(hist.total(), 8);
        hist.divide(2);
        insta::assert_snapshot!(hist, @r"
        [0]                    0 |                                                    |
        [1]                    0 |                                                    |
        [2, 4)                 3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
        ");
        hist.divide(0);
        assert_eq!(hist.total(), 3);
        hist.divide(4);
        assert_eq!((hist.total(), hist.buckets().count()), (0, 3));
    }

    #[test]
    fn as_json() {
        let hist = Histogram::new(linear(0, 10, 5), &[1, 2, 0, 3]);
        assert_eq!(
            crate::json::to_string(&hist).unwrap(),
            r#"[{"max": -1, "count": 1},{"min": 0, "max": 4, "count": 2},{"min": 5, "max": 9, "count": 0},{"min": 10, "count": 3}]"#
        );
    }

    #[test]
    fn buckets_say_their_bounds() {
        let open = |min, max, count| Bucket { min, max, count };
        let scale = linear(0, 10, 5);
        assert_eq!(
            buckets(scale, &[1, 0, 1, 1]),
            vec![
                open(None, Some(-1), 1),
                open(Some(0), Some(4), 0),
                open(Some(5), Some(9), 1),
                open(Some(10), None, 1)
            ]
        );
        let mut counts = vec![0; LOG2.len()];
        counts[LOG2.index_of(i64::MAX)] = 7;
        assert_eq!(buckets(LOG2, &counts), vec![open(Some(1 << 62), Some(i64::MAX), 7)]);
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket(value: i64, bits in 0..=5u32, min: i64, span in 0..1_000_000i64, step in 1..1000i64) {
            for scale in [Scale::Log2 { bits }, linear(min, min.saturating_add(span), step)] {
                let index = scale.index_of(value);
                prop_assert!(index < scale.len());
                let (low, high) = scale.bounds(index);
                prop_assert!(low.is_none_or(|low| low <= i128::from(value)));
                prop_assert!(high.is_none_or(|high| i128::from(value) < high));
            }
        }

        #[test]
        fn buckets_follow_each_other(index in 0..500usize, bits in 0..=5u32) {
            for scale in [Scale::Log2 { bits }, linear(-7, 10_000, 20)] {
                if index + 1 < scale.len() {
                    prop_assert_eq!(scale.bounds(index).1, scale.bounds(index + 1).0);
                }
            }
        }
    }
}
