//! What aggregations amount to: the words that each CPU kept, reduced to one value.

use std::cmp::Ordering;
use std::fmt;

use skep_lang::ty::Agg;

/// An integer with its sign, as maps hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Two's complement.
    Signed(i64),
    /// Without a sign.
    Unsigned(u64),
}

impl Number {
    fn of(bits: u64, signed: bool) -> Number {
        if signed { Number::Signed(bits.cast_signed()) } else { Number::Unsigned(bits) }
    }

    /// Divided towards zero; by 0 or 1 it stays as it is.
    #[must_use]
    pub fn divided(self, by: u32) -> Number {
        match (self, by) {
            (number, 0) => number,
            (Number::Signed(value), by) => Number::Signed(value / i64::from(by)),
            (Number::Unsigned(value), by) => Number::Unsigned(value / u64::from(by)),
        }
    }

    fn wide(self) -> i128 {
        match self {
            Number::Signed(value) => value.into(),
            Number::Unsigned(value) => value.into(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.wide().cmp(&other.wide()))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Signed(value) => value.fmt(f),
            Number::Unsigned(value) => value.fmt(f),
        }
    }
}

/// One aggregation over all CPUs.
#[derive(Clone, Debug, PartialEq)]
pub enum Reduced {
    /// Of `count`, `sum`, `min` and `max`.
    Number(Number),
    /// Of `avg`.
    Average(Number),
    /// Of `stats`.
    Stats {
        /// Number of samples.
        count: u64,
        /// Total divided by count; 0 without samples.
        average: Number,
        /// Sum of the samples.
        total: Number,
    },
    /// Of `hist` and `lhist`, from the first to the last bucket that is not empty.
    Histogram(Vec<Bucket>),
}

/// One bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Least value that falls in it; `None` for everything below `end`.
    pub start: Option<i128>,
    /// Least value above it; `None` for everything from `start`.
    pub end: Option<i128>,
    /// How many fell in it.
    pub count: u64,
}

/// Reduces what the CPUs kept. Each item of `cpus` is one CPU's value; missing bytes count as zero.
pub fn reduce<'a>(agg: Agg, cpus: impl Iterator<Item = &'a [u8]>) -> Reduced {
    match agg {
        Agg::Count => Reduced::Number(Number::Unsigned(sums::<1>(cpus)[0])),
        Agg::Sum { signed } => Reduced::Number(Number::of(sums::<1>(cpus)[0], signed)),
        Agg::Min { signed } => Reduced::Number(extreme(cpus, signed, Ordering::Less)),
        Agg::Max { signed } => Reduced::Number(extreme(cpus, signed, Ordering::Greater)),
        Agg::Avg { signed } => Reduced::Average(average(sums(cpus), signed)),
        Agg::Stats { signed } => {
            let [total, count] = sums(cpus);
            Reduced::Stats {
                count,
                average: average([total, count], signed),
                total: Number::of(total, signed),
            }
        }
        Agg::Hist { .. } | Agg::Lhist { .. } => Reduced::Histogram(buckets(agg, cpus)),
    }
}

impl Reduced {
    /// The value that entries of a map are sorted by.
    pub fn rank(&self) -> i128 {
        match self {
            Reduced::Number(number) | Reduced::Average(number) => number.wide(),
            Reduced::Stats { average, .. } => average.wide(),
            Reduced::Histogram(buckets) => buckets.iter().map(|bucket| i128::from(bucket.count)).sum(),
        }
    }

    /// As `print(@m, top, div)` shows it. Counts and totals of `stats` are left alone.
    #[must_use]
    pub fn divided(self, by: u32) -> Reduced {
        match self {
            Reduced::Number(number) => Reduced::Number(number.divided(by)),
            Reduced::Average(number) => Reduced::Average(number.divided(by)),
            Reduced::Stats { count, average, total } => {
                Reduced::Stats { count, average: average.divided(by), total }
            }
            Reduced::Histogram(mut buckets) => {
                for bucket in &mut buckets {
                    bucket.count /= u64::from(by.max(1));
                }
                Reduced::Histogram(buckets)
            }
        }
    }
}

fn words(cpu: &[u8]) -> impl Iterator<Item = u64> {
    cpu.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The first words of all CPUs added up.
fn sums<'a, const N: usize>(cpus: impl Iterator<Item = &'a [u8]>) -> [u64; N] {
    let mut sums = [0u64; N];
    for cpu in cpus {
        for (sum, word) in sums.iter_mut().zip(words(cpu)) {
            *sum = sum.wrapping_add(word);
        }
    }
    sums
}

/// The least or greatest value among the CPUs that have one; 0 when none has.
fn extreme<'a>(cpus: impl Iterator<Item = &'a [u8]>, signed: bool, wanted: Ordering) -> Number {
    let mut best: Option<Number> = None;
    for cpu in cpus {
        let mut words = words(cpu);
        let (value, present) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        let value = Number::of(value, signed);
        if present != 0 && best.is_none_or(|best| value.partial_cmp(&best) == Some(wanted)) {
            best = Some(value);
        }
    }
    best.unwrap_or(Number::of(0, signed))
}

fn average([total, count]: [u64; 2], signed: bool) -> Number {
    match (Number::of(total, signed), count) {
        (_, 0) => Number::of(0, signed),
        // A count above 2^63 cannot come about.
        (Number::Signed(total), count) => Number::Signed(total / count.cast_signed().max(1)),
        (Number::Unsigned(total), count) => Number::Unsigned(total / count),
    }
}

fn buckets<'a>(agg: Agg, cpus: impl Iterator<Item = &'a [u8]>) -> Vec<Bucket> {
    let mut counts: Vec<u64> = Vec::new();
    for cpu in cpus {
        counts.resize(counts.len().max(cpu.len() / 8), 0);
        for (count, word) in counts.iter_mut().zip(words(cpu)) {
            *count = count.wrapping_add(word);
        }
    }
    counts.truncate(agg.buckets() as usize);
    let first = counts.iter().position(|&count| count != 0);
    let last = counts.iter().rposition(|&count| count != 0);
    let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
    let bounds = |index: usize| match agg {
        Agg::Lhist { min, max, step } => lhist_bounds(min.into(), max.into(), step.max(1).into(), index),
        Agg::Hist { bits } => hist_bounds(bits.into(), index),
        _ => (None, None),
    };
    counts
        .iter()
        .enumerate()
        .take(last + 1)
        .skip(first)
        .map(|(index, &count)| {
            let (start, end) = bounds(index);
            Bucket { start, end, count }
        })
        .collect()
}

/// The inverse of the bucket rule of [`Agg::buckets`] for `hist`.
fn hist_bounds(bits: u32, index: usize) -> (Option<i128>, Option<i128>) {
    let index = index as i128;
    let split = 1i128 << bits;
    if index == 0 {
        (None, Some(0))
    } else if index <= split {
        (Some(index - 1), Some(index))
    } else {
        let above = index - 1 - split;
        // There are at most 64 groups, so the shifts stay within 65 bits.
        let shift = (above / split) as u32;
        let start = (split + above % split) << shift;
        (Some(start), Some(start + (1 << shift)))
    }
}

/// The inverse of the bucket rule of [`Agg::buckets`] for `lhist`.
fn lhist_bounds(min: i128, max: i128, step: i128, index: usize) -> (Option<i128>, Option<i128>) {
    let whole = (max - min + step - 1) / step;
    match index as i128 {
        0 => (None, Some(min)),
        index if index > whole => (Some(max.max(min)), None),
        index => {
            let start = min + (index - 1) * step;
            (Some(start), Some((start + step).min(max)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[i64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn reduced(agg: Agg, cpus: &[&[i64]]) -> Reduced {
        let cpus: Vec<_> = cpus.iter().map(|words| bytes(words)).collect();
        reduce(agg, cpus.iter().map(Vec::as_slice))
    }

    #[test]
    fn sums_add_up_over_the_cpus() {
        assert_eq!(reduced(Agg::Count, &[&[2], &[3]]), Reduced::Number(Number::Unsigned(5)));
        assert_eq!(reduced(Agg::Sum { signed: true }, &[&[2], &[-3]]), Reduced::Number(Number::Signed(-1)));
    }

    #[test]
    fn a_cpu_without_a_sample_has_no_say_in_the_extremes() {
        let max = Agg::Max { signed: true };
        assert_eq!(reduced(max, &[&[0, 0], &[-5, 1], &[-8, 1]]), Reduced::Number(Number::Signed(-5)));
        assert_eq!(reduced(max, &[&[0, 0]]), Reduced::Number(Number::Signed(0)));
        let min = Agg::Min { signed: false };
        assert_eq!(reduced(min, &[&[0, 0], &[9, 1], &[-1, 1]]), Reduced::Number(Number::Unsigned(9)));
    }

    #[test]
    fn averages_are_of_all_samples_and_cut_towards_zero() {
        let avg = Agg::Avg { signed: true };
        assert_eq!(reduced(avg, &[&[-7, 1], &[0, 1]]), Reduced::Average(Number::Signed(-3)));
        assert_eq!(reduced(avg, &[]), Reduced::Average(Number::Signed(0)));
        let stats = reduced(Agg::Stats { signed: false }, &[&[5, 1], &[4, 1]]);
        let Reduced::Stats { count: 2, average, total } = stats else { panic!("{stats:?}") };
        assert_eq!((average, total), (Number::Unsigned(4), Number::Unsigned(9)));
    }

    #[test]
    fn histograms_know_the_bounds_of_their_buckets() {
        // The rule of `Agg::buckets`, written the other way round.
        fn bucket_of(bits: u32, value: u64) -> usize {
            let split = 1u64 << bits;
            if value < split {
                return 1 + value as usize;
            }
            let e = value.ilog2();
            let below = (value >> (e - bits)) & (split - 1);
            (1 + split + u64::from(e - bits) * split + below) as usize
        }
        for bits in 0..=5 {
            for value in (0..300).chain([1 << 20, (1 << 40) + 12345, u64::MAX / 2, u64::MAX]) {
                let (start, end) = hist_bounds(bits, bucket_of(bits, value));
                let value = i128::from(value);
                assert!(start.unwrap() <= value && value < end.unwrap(), "{bits} {value} {start:?} {end:?}");
            }
        }
        assert_eq!(hist_bounds(0, 0), (None, Some(0)));
    }

    #[test]
    fn a_linear_histogram_ends_in_open_buckets() {
        let agg = Agg::Lhist { min: 0, max: 10, step: 3 };
        let Reduced::Histogram(buckets) = reduced(agg, &[&[1, 0, 2, 0, 0, 4]]) else { panic!() };
        assert_eq!(buckets.len(), 6);
        assert_eq!(buckets[0], Bucket { start: None, end: Some(0), count: 1 });
        assert_eq!(buckets[2], Bucket { start: Some(3), end: Some(6), count: 2 });
        assert_eq!(buckets[4], Bucket { start: Some(9), end: Some(10), count: 0 });
        assert_eq!(buckets[5], Bucket { start: Some(10), end: None, count: 4 });
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_reduce_to_something(
            cpus in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..600), 0..4),
            min in proptest::num::i64::ANY, max in proptest::num::i64::ANY, step in proptest::num::i64::ANY,
            bits in 0u8..6, signed in proptest::bool::ANY,
        ) {
            for agg in [
                Agg::Count, Agg::Sum { signed }, Agg::Min { signed }, Agg::Max { signed }, Agg::Avg { signed },
                Agg::Stats { signed }, Agg::Hist { bits }, Agg::Lhist { min, max, step },
            ] {
                let reduced = reduce(agg, cpus.iter().map(Vec::as_slice));
                let _ = (reduced.rank(), reduced.divided(3).divided(0));
            }
        }
    }
}
