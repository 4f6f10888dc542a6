//! What aggregations amount to: the words that each CPU kept, reduced to one value.

use std::cmp::Ordering;
use std::fmt;

use skep_lang::ty::Agg;
use skep_ui::hist::{Histogram, Scale};

use crate::series::Points;

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

    pub(crate) fn wide(self) -> i128 {
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
    /// Of `hist` and `lhist`.
    Histogram(Histogram),
    /// Of `tseries`.
    Series(Points),
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
        Agg::Tseries(series) => Reduced::Series(Points::of(series, cpus)),
        Agg::Hist { bits } => histogram(Scale::Log2 { bits: bits.into() }, cpus),
        Agg::Lhist { min, max, step } => histogram(Scale::Linear { min, max, step }, cpus),
    }
}

impl Reduced {
    /// The value that entries of a map are sorted by.
    pub fn rank(&self) -> i128 {
        match self {
            Reduced::Number(number) | Reduced::Average(number) => number.wide(),
            Reduced::Stats { average, .. } => average.wide(),
            Reduced::Histogram(histogram) => i128::try_from(histogram.total()).unwrap_or(i128::MAX),
            // These are in the order of their keys.
            Reduced::Series(_) => 0,
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
            Reduced::Series(points) => Reduced::Series(points),
            Reduced::Histogram(mut histogram) => {
                histogram.divide(by.into());
                Reduced::Histogram(histogram)
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

fn histogram<'a>(scale: Scale, cpus: impl Iterator<Item = &'a [u8]>) -> Reduced {
    let mut counts: Vec<u64> = Vec::new();
    for cpu in cpus {
        counts.resize(counts.len().max(cpu.len() / 8), 0);
        for (count, word) in counts.iter_mut().zip(words(cpu)) {
            *count = count.wrapping_add(word);
        }
    }
    Reduced::Histogram(Histogram::new(scale, &counts))
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
    fn histograms_add_up_over_the_cpus() {
        let agg = Agg::Lhist { min: 0, max: 10, step: 3 };
        let Reduced::Histogram(histogram) = reduced(agg, &[&[1, 0, 2, 0, 4], &[0, 0, 1]]) else { panic!() };
        assert_eq!(histogram, Histogram::new(Scale::Linear { min: 0, max: 10, step: 3 }, &[1, 0, 3, 0, 4]));
    }

    #[test]
    fn the_kernel_keeps_as_many_buckets_as_are_shown() {
        for bits in 0..=5u8 {
            let scale = Scale::Log2 { bits: bits.into() };
            assert_eq!(Agg::Hist { bits }.buckets() as usize, scale.len());
            assert_eq!(scale.index_of(i64::MAX) + 1, scale.len());
        }
        for (min, max, step) in [(0, 10, 3), (0, 10, 5), (7, 8, 1), (0, 1 << 40, 1 << 35), (1, 10_000, 500)] {
            let scale = Scale::Linear { min, max, step };
            assert_eq!(Agg::Lhist { min, max, step }.buckets() as usize, scale.len(), "{scale:?}");
        }
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
