//! `tseries()`: what each CPU gathered in each interval, put together, and its graph.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skep_lang::ty::Series;

use crate::aggregate::Number;

/// A series over all CPUs: the intervals from the first that has a value to the last of its map.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    series: Series,
    /// By the number of the interval; `None` for one without a sample.
    rows: BTreeMap<u64, Option<Number>>,
}

/// The words that a CPU keeps for an interval: its number, the value, and what the value rests on.
const WORDS: usize = 3;

impl Points {
    /// Puts together what the CPUs kept.
    pub(crate) fn of<'a>(series: Series, cpus: impl Iterator<Item = &'a [u8]>) -> Points {
        let mut kept: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for cpu in cpus {
            for [interval, value, weight] in words(cpu) {
                if [interval, value, weight] == [0; WORDS] {
                    continue;
                }
                let so_far = kept.entry(interval).or_insert((0, 0));
                *so_far = merged(series, *so_far, (value, weight));
            }
        }
        let number = |(value, weight): (u64, u64)| match (series.signed, weight) {
            (true, weight) => {
                let value = value.cast_signed();
                Number::Signed(if series.averages() {
                    value.checked_div(weight.cast_signed()).unwrap_or(0)
                } else {
                    value
                })
            }
            (false, weight) => Number::Unsigned(if series.averages() {
                value.checked_div(weight).unwrap_or(0)
            } else {
                value
            }),
        };
        let rows = kept.into_iter().map(|(interval, kept)| (interval, Some(number(kept)))).collect();
        Points { series, rows }
    }

    /// The number of the last interval with a value.
    pub(crate) fn last(&self) -> Option<u64> {
        self.rows.last_key_value().map(|(interval, _)| *interval)
    }

    /// Leaves what is not too old, seen from the last interval of the whole map, and fills what is missing.
    pub(crate) fn fit(&mut self, last: u64) {
        let oldest = last.saturating_add(1).saturating_sub(self.series.intervals.into());
        self.rows.retain(|interval, _| *interval >= oldest);
        let first = self.rows.first_key_value().map_or(last, |(interval, _)| *interval);
        for interval in first..=last {
            self.rows.entry(interval).or_insert(None);
        }
    }

    /// The start of each interval that has a value as date and time, with the value.
    pub fn values(&self) -> impl Iterator<Item = (String, Number)> {
        self.rows.iter().filter_map(move |(interval, value)| {
            let start = self.start(*interval);
            Some((shown(start, "%Y-%m-%d %H:%M:%S%.9f"), (*value)?))
        })
    }

    /// Nanoseconds since 1970 at which an interval begins.
    fn start(&self, interval: u64) -> i128 {
        i128::from(interval) * i128::from(self.series.interval_ns)
    }

    /// The lines of the graph, each with its end.
    pub(crate) fn graph(&self) -> String {
        if self.rows.is_empty() {
            return "<no data>".into();
        }
        // One point alone tells nothing about how far apart they are.
        let precision = if self.rows.len() < 2 { &PRECISIONS[3] } else { precision(self.series.interval_ns) };
        let (unit, time) = precision;
        let values = || self.rows.values().flatten().map(|number| number.wide());
        let range = values().min().zip(values().max()).map(|(low, high)| match (low, high) {
            (0, 0) => (0, 1),
            (low, high) if low == high => (low - 1, high + 1),
            ends => ends,
        });
        let (low, high) = match range {
            Some((low, high)) => (low.to_string(), high.to_string()),
            None => ("null".into(), "null".into()),
        };
        let width = "hh:mm:ss".len() + unit_digits(self.series.interval_ns, self.rows.len());
        let indent = " ".repeat(width + 1);
        let ends = format!("{indent}{low}{high:>rest$}\n", rest = (WIDTH + 2).saturating_sub(low.len()));
        let mut out = ends.clone();
        let title = format!("hh:mm:ss{unit}");
        // Padded by bytes, as the original does it.
        let gap = " ".repeat((width + 1).saturating_sub(title.len()));
        out.push_str(&format!("{title}{gap}|{}|\n", "_".repeat(WIDTH)));
        for (interval, value) in &self.rows {
            let label = shown(self.start(*interval), time);
            let mut line = vec![b' '; WIDTH + 2];
            line[0] = b'|';
            line[WIDTH + 1] = b'|';
            let column = |value: i128| {
                let (low, high) = range?;
                let column = (value - low) * (WIDTH as i128 + 1) / (high - low).max(1);
                usize::try_from(column).ok()
            };
            if range.is_some_and(|(low, high)| low < 0 && high > 0)
                && let Some(axis) = column(0).and_then(|column| line.get_mut(column))
            {
                *axis = b'.';
            }
            if let Some(point) =
                value.and_then(|value| column(value.wide())).and_then(|column| line.get_mut(column))
            {
                *point = b'*';
            }
            let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            out.push_str(&format!("{label} {} {value}\n", String::from_utf8_lossy(&line)));
        }
        out.push_str(&format!("{indent}v{}v\n{ends}", "_".repeat(WIDTH)));
        out
    }
}

/// Columns between the edges of the graph.
const WIDTH: usize = 51;

/// For intervals of whole seconds, milliseconds, microseconds and others: the unit in the title, and the format.
const PRECISIONS: [(&str, &str); 4] =
    [("", "%H:%M:%S"), (".ms", "%H:%M:%S%.3f"), (".μs", "%H:%M:%S%.6f"), (".ns", "%H:%M:%S%.9f")];

fn precision(interval_ns: u64) -> &'static (&'static str, &'static str) {
    let index = [1_000_000_000, 1_000_000, 1000].iter().position(|unit| interval_ns.is_multiple_of(*unit));
    &PRECISIONS[index.unwrap_or(3)]
}

/// Characters that the fraction of a second takes.
fn unit_digits(interval_ns: u64, rows: usize) -> usize {
    match precision(interval_ns).0 {
        _ if rows < 2 => 10,
        "" => 0,
        ".ms" => 4,
        ".μs" => 7,
        _ => 10,
    }
}

fn shown(since_1970: i128, format: &str) -> String {
    let Ok(time) = Timestamp::from_nanosecond(since_1970) else { return String::new() };
    jiff::fmt::strtime::format(format, &time.to_zoned(TimeZone::system())).unwrap_or_default()
}

fn words(cpu: &[u8]) -> impl Iterator<Item = [u64; WORDS]> {
    let bucket = |bucket: &[u8]| {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bucket.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    };
    cpu.chunks_exact(8 * WORDS).map(bucket)
}

/// What two CPUs have of one interval.
fn merged(series: Series, (a, a_weight): (u64, u64), (b, b_weight): (u64, u64)) -> (u64, u64) {
    use skep_lang::ty::SeriesOf;
    let less = |a: u64, b: u64| if series.signed { a.cast_signed() < b.cast_signed() } else { a < b };
    match series.of {
        // The weight is the time.
        SeriesOf::Last => {
            if b_weight > a_weight {
                (b, b_weight)
            } else {
                (a, a_weight)
            }
        }
        SeriesOf::Sum | SeriesOf::Avg => (a.wrapping_add(b), a_weight.wrapping_add(b_weight)),
        SeriesOf::Min if a_weight == 0 || b_weight != 0 && less(b, a) => (b, b_weight),
        SeriesOf::Max if a_weight == 0 || b_weight != 0 && less(a, b) => (b, b_weight),
        SeriesOf::Min | SeriesOf::Max => (a, a_weight),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_lang::ty::SeriesOf;

    fn series(of: SeriesOf, interval_ns: u64, intervals: u32) -> Series {
        Series { interval_ns, intervals, of, signed: true }
    }

    fn bytes(words: &[i64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn values(points: &Points) -> Vec<(u64, Option<i128>)> {
        points.rows.iter().map(|(interval, value)| (*interval, value.map(|value| value.wide()))).collect()
    }

    #[test]
    fn the_cpus_are_put_together_by_interval() {
        let cpus = [bytes(&[4, 10, 1, 5, 7, 2]), bytes(&[5, 3, 9, 0, 0, 0])];
        let of = |of| Points::of(series(of, 1, 2), cpus.iter().map(Vec::as_slice));
        assert_eq!(values(&of(SeriesOf::Last)), [(4, Some(10)), (5, Some(3))]);
        assert_eq!(values(&of(SeriesOf::Sum)), [(4, Some(10)), (5, Some(10))]);
        assert_eq!(values(&of(SeriesOf::Avg)), [(4, Some(10)), (5, Some(0))]);
        assert_eq!(values(&of(SeriesOf::Min)), [(4, Some(10)), (5, Some(3))]);
        assert_eq!(values(&of(SeriesOf::Max)), [(4, Some(10)), (5, Some(7))]);
    }

    #[test]
    fn what_is_missing_is_filled_and_what_is_old_left_out() {
        let cpu = bytes(&[2, 1, 1, 4, 1, 1, 6, 1, 1]);
        let mut points = Points::of(series(SeriesOf::Last, 1, 3), std::iter::once(cpu.as_slice()));
        points.fit(7);
        assert_eq!(values(&points), [(6, Some(1)), (7, None)]);
    }

    #[test]
    fn the_graph_has_an_axis_where_zero_is() {
        let cpu = bytes(&[1, -5, 1, 2, 5, 2]);
        let mut points =
            Points::of(series(SeriesOf::Last, 1_000_000_000, 4), std::iter::once(cpu.as_slice()));
        points.fit(3);
        let graph = points.graph();
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[0], format!("         -5{:>51}", 5));
        assert_eq!(lines[1], format!("hh:mm:ss |{}|", "_".repeat(51)));
        assert!(
            lines[2].ends_with(&format!(":01 *{}.{}| -5", " ".repeat(25), " ".repeat(25))),
            "{}",
            lines[2]
        );
        assert!(
            lines[3].ends_with(&format!(":02 |{}.{}* 5", " ".repeat(25), " ".repeat(25))),
            "{}",
            lines[3]
        );
        assert!(lines[4].ends_with(" -"));
        assert_eq!(lines.len(), 7);
    }

    proptest::proptest! {
        #[test]
        fn any_words_have_a_graph(
            words in proptest::collection::vec(proptest::num::i64::ANY, 0..30), intervals in 1u32..5, last in 0u64..9,
        ) {
            let cpu = bytes(&words);
            let mut points = Points::of(series(SeriesOf::Avg, 7, intervals), std::iter::once(cpu.as_slice()));
            points.fit(points.last().unwrap_or(last).max(last).min(last + 5));
            let _ = points.graph();
        }
    }
}
