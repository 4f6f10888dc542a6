//! Histograms as lines of text: `[4, 8)                 1 |@@@@@@@@@ ... |`.

use std::io::Write;

use skep_lang::ty::Agg;

use crate::aggregate::Bucket;

/// Characters of the longest bar.
const BAR: u64 = 52;

/// Appends one line for each bucket.
pub(super) fn push_histogram(out: &mut Vec<u8>, agg: Option<Agg>, buckets: &[Bucket]) {
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    for bucket in buckets {
        let label = label(agg, bucket);
        let filled = (u128::from(bucket.count) * u128::from(BAR))
            .checked_div(most.into())
            .and_then(|filled| usize::try_from(filled).ok())
            .unwrap_or(0);
        let bar = "@".repeat(filled);
        // Writing to a `Vec` cannot fail.
        let _ = writeln!(out, "{label:<16}{:>8} |{bar:<52}|", bucket.count);
    }
}

fn label(agg: Option<Agg>, bucket: &Bucket) -> String {
    let show = |number| shown(agg, number);
    match (bucket.start, bucket.end) {
        (Some(start), Some(end)) if end - start == 1 => format!("[{}]", show(start)),
        (Some(start), Some(end)) => format!("[{}, {})", show(start), show(end)),
        (None, Some(end)) => format!("(..., {})", show(end)),
        (Some(start), None) => format!("[{}, ...)", show(start)),
        (None, None) => "(..., ...)".to_owned(),
    }
}

/// The units of 1,024, least first.
const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// A bound with the largest unit that divides it. The original's three kinds of histograms differ in when they use
/// one: powers of two from 1,024 of a unit, powers of two that are split further only above that (`[768K, 1024K)`),
/// and linear buckets if their step is a multiple of 1,024.
fn shown(agg: Option<Agg>, number: i128) -> String {
    let least = match agg {
        Some(Agg::Hist { bits: 0 }) => 1024,
        Some(Agg::Hist { .. }) => 1025,
        Some(Agg::Lhist { step, .. }) if step % 1024 == 0 => 1024,
        _ => i128::MAX,
    };
    let (mut number, mut units) = (number, UNITS.iter());
    let mut unit = units.next();
    while number >= least && number % 1024 == 0 {
        let Some(next) = units.next() else { break };
        (number, unit) = (number / 1024, Some(next));
    }
    format!("{number}{}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(agg: Agg, start: Option<i128>, end: Option<i128>) -> String {
        label(Some(agg), &Bucket { start, end, count: 0 })
    }

    #[test]
    fn labels_have_the_units_of_the_original() {
        let hist = Agg::Hist { bits: 0 };
        assert_eq!(labelled(hist, None, Some(0)), "(..., 0)");
        assert_eq!(labelled(hist, Some(1), Some(2)), "[1]");
        assert_eq!(labelled(hist, Some(512), Some(1024)), "[512, 1K)");
        assert_eq!(labelled(hist, Some(512 << 10), Some(1 << 20)), "[512K, 1M)");
        assert_eq!(labelled(hist, Some(1 << 62), Some(1 << 63)), "[4E, 8E)");
        let split = Agg::Hist { bits: 1 };
        assert_eq!(labelled(split, Some(768 << 10), Some(1 << 20)), "[768K, 1024K)");
        assert_eq!(labelled(split, Some(2048), Some(3072)), "[2K, 3K)");
        assert_eq!(labelled(split, Some(1008), Some(1024)), "[1008, 1024)");
        assert_eq!(labelled(split, Some(3584), Some(4096)), "[3584, 4K)");
        assert_eq!(labelled(split, Some(3584 << 10), Some(4 << 20)), "[3584K, 4M)");
        let linear = |step| Agg::Lhist { min: 0, max: 1 << 30, step };
        assert_eq!(labelled(linear(1000), Some(5000), Some(6000)), "[5000, 6000)");
        assert_eq!(labelled(linear(512), Some(1536), Some(2048)), "[1536, 2048)");
        assert_eq!(labelled(linear(1024), Some(0), Some(1024)), "[0, 1K)");
        assert_eq!(labelled(linear(512 << 10), Some(512 << 10), Some(1 << 20)), "[512K, 1M)");
        assert_eq!(labelled(linear(1), Some(10), None), "[10, ...)");
    }
}
