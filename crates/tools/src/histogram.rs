//! The view of tools that show distributions: powers of two with bars, one histogram per key, again and
//! again or once at the end.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Zoned;
use serde_json::{Map, Value, json};
use skep_trace::aggregate::{Number, Reduced};
use skep_trace::sink::{Data, MapEntry};
use skep_ui::hist::Histogram;
use skep_ui::text::escape;

use crate::flags::CommonFlags;
use crate::row::Row;
use crate::run::View;
use crate::table::Form;

/// Characters of the longest bar.
const BAR: u64 = 40;

/// How often values fell between powers of two: slot 0 counts 0 and 1, slot n counts 2^n to 2^(n+1) - 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(Vec<u64>);

impl Slots {
    /// Of what `hist(n)` gathered; negative values are left out, there are none in what tools measure.
    pub fn of(histogram: &Histogram) -> Slots {
        let mut slots = Vec::new();
        for bucket in histogram.buckets() {
            let greatest = match bucket.max {
                Some(max) => match u64::try_from(max) {
                    Ok(max) => max,
                    Err(_) => continue,
                },
                None => u64::MAX,
            };
            let slot = greatest.max(1).ilog2() as usize;
            if slots.len() <= slot {
                slots.resize(slot + 1, 0);
            }
            slots[slot] += bucket.count;
        }
        while slots.last() == Some(&0) {
            slots.pop();
        }
        Slots(slots)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Least and greatest value of a slot.
    fn bounds(slot: usize) -> (u64, u64) {
        let low = if slot == 0 { 0 } else { 1u64 << slot };
        let high = if slot >= 63 { u64::MAX } else { (2u64 << slot) - 1 };
        (low, high)
    }

    /// As BCC prints it. Wide numbers get wide columns and half the bar.
    fn write(&self, unit: &str, out: &mut dyn Write) -> io::Result<()> {
        let greatest = self.0.iter().copied().max().unwrap_or(0).max(1);
        let wide = self.0.len() > 32;
        let (edge, bar) = if wide { (20, BAR / 2) } else { (10, BAR) };
        if wide {
            writeln!(out, "{:15}{unit:<29} : count     distribution", "")?;
        } else {
            writeln!(out, "{:5}{unit:<19} : count     distribution", "")?;
        }
        for (slot, &count) in self.0.iter().enumerate() {
            let (low, high) = Slots::bounds(slot);
            let stars = u128::from(bar) * u128::from(count) / u128::from(greatest);
            let stars = "*".repeat(usize::try_from(stars).unwrap_or(0));
            let bar = bar as usize;
            writeln!(out, "{low:>edge$} -> {high:<edge$} : {count:<8} |{stars:<bar$}|")?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let slot = |(slot, count): (usize, &u64)| {
            let (low, high) = Slots::bounds(slot);
            json!({ "interval-start": low, "interval-end": high, "count": count })
        };
        self.0.iter().enumerate().map(slot).collect()
    }
}

/// What a tool's histograms are of.
pub struct Histograms<'a> {
    /// `usecs`
    pub unit: &'static str,
    /// What each histogram is of, as headings name it: `disk`; `None` when there is just one.
    pub section: Option<&'static str>,
    /// A key as a heading shows it.
    pub heading: Box<dyn Fn(&Data) -> String + 'a>,
    /// Printed when everything is attached.
    pub opening: &'a str,
    /// Whether the time of day stands above each round.
    pub timestamp: bool,
    /// Whether average and total are shown below each histogram: the script keeps them in `@total`.
    pub totals: bool,
    /// The common flags.
    pub flags: &'a CommonFlags,
    /// What came since the last round.
    pub round: Round,
}

/// What a script printed since the last round: `@hist`, and `@total` if it keeps that.
#[derive(Default)]
pub struct Round {
    hist: Vec<MapEntry>,
    total: Vec<MapEntry>,
}

impl View for Histograms<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if Form::of(self.flags) == Form::Text && !self.flags.no_header {
            writeln!(out, "{}", self.opening)
        } else {
            Ok(())
        }
    }

    fn map(&mut self, name: &str, entries: Vec<MapEntry>, _: &mut dyn Write) -> io::Result<()> {
        match name {
            "hist" => self.round.hist = entries,
            "total" => self.round.total = entries,
            _ => {}
        }
        Ok(())
    }

    /// A script prints a record at the end of each round.
    fn row(&mut self, _: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let round = std::mem::take(&mut self.round);
        let mut shown: BTreeMap<String, Slots> = BTreeMap::new();
        for entry in &round.hist {
            if let Data::Aggregate(Reduced::Histogram(histogram)) = &entry.value {
                shown.insert((self.heading)(&entry.key), Slots::of(histogram));
            }
        }
        let totals: BTreeMap<String, &Data> =
            round.total.iter().map(|entry| ((self.heading)(&entry.key), &entry.value)).collect();
        let now = Zoned::now();
        match Form::of(self.flags) {
            Form::Text => {
                writeln!(out)?;
                if self.timestamp {
                    writeln!(out, "{:<8}", now.strftime("%H:%M:%S").to_string())?;
                }
            }
            Form::Csv | Form::Json => {}
        }
        for (key, slots) in shown.iter().filter(|(_, slots)| !slots.is_empty()) {
            let totals = totals.get(key).and_then(|data| totals_of(data));
            self.write(key, slots, totals, &now, out)?;
        }
        Ok(())
    }
}

impl Histograms<'_> {
    fn write(
        &self,
        key: &str,
        slots: &Slots,
        totals: Option<(i128, i128)>,
        now: &Zoned,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match Form::of(self.flags) {
            Form::Json => {
                let mut object = Map::new();
                object.insert("ts".into(), json!(now.strftime("%Y-%m-%d %H:%M:%S").to_string()));
                object.insert("val_type".into(), json!(self.unit));
                object.insert("data".into(), slots.to_json());
                if let Some(section) = self.section {
                    object.insert(section.into(), json!(key));
                }
                if let Some((count, total)) = totals {
                    object.insert("count".into(), json!(count as i64));
                    object.insert("total".into(), json!(total as i64));
                }
                writeln!(out, "{}", Value::Object(object))
            }
            Form::Csv => {
                for (slot, count) in slots.0.iter().enumerate() {
                    let (low, high) = Slots::bounds(slot);
                    writeln!(out, "{},{},{low},{high},{count}", now.strftime("%H:%M:%S"), key)?;
                }
                Ok(())
            }
            Form::Text => {
                if let Some(section) = self.section {
                    writeln!(out, "\n{section} = {}", escape(key))?;
                }
                slots.write(self.unit, out)?;
                if let Some((count, total)) = totals.filter(|_| self.totals) {
                    let (unit, average) = (self.unit, total / count.max(1));
                    writeln!(out, "\navg = {average} {unit}, total: {total} {unit}, count: {count}")?;
                }
                Ok(())
            }
        }
    }
}

/// Count and total of what `stats(n)` gathered.
fn totals_of(data: &Data) -> Option<(i128, i128)> {
    match data {
        Data::Aggregate(Reduced::Stats { count, total, .. }) => {
            let total = match total {
                Number::Signed(total) => i128::from(*total),
                Number::Unsigned(total) => i128::from(*total),
            };
            Some((i128::from(*count), total))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use skep_ui::hist::Scale;

    use super::*;

    fn slots(values: &[i64]) -> Slots {
        let scale = Scale::Log2 { bits: 0 };
        let mut counts = vec![0; scale.len()];
        for &value in values {
            counts[scale.index_of(value)] += 1;
        }
        Slots::of(&Histogram::new(scale, &counts))
    }

    #[test]
    fn zero_and_one_share_a_slot() {
        assert_eq!(slots(&[]), Slots(vec![]));
        assert_eq!(slots(&[0, 1, 1]), Slots(vec![3]));
        assert_eq!(slots(&[2, 3, 4, 7, 8]), Slots(vec![0, 2, 2, 1]));
        assert_eq!(slots(&[i64::MAX]).0.len(), 63);
    }

    #[test]
    fn bars_are_as_bcc_draws_them() {
        let mut values = vec![64; 7];
        values.extend([512; 16]);
        let mut out = Vec::new();
        slots(&values).write("usecs", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "     usecs               : count     distribution");
        assert_eq!(
            lines[1],
            "         0 -> 1          : 0        |                                        |"
        );
        assert_eq!(
            lines[7],
            "        64 -> 127        : 7        |*****************                       |"
        );
        assert_eq!(
            lines[10],
            "       512 -> 1023       : 16       |****************************************|"
        );
        assert_eq!(lines.len(), 11);
    }

    #[test]
    fn wide_numbers_get_wide_columns() {
        let mut out = Vec::new();
        slots(&[1 << 40]).write("usecs", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("               usecs                         : count     distribution\n"));
        assert!(
            text.ends_with(
                "       1099511627776 -> 2199023255551        : 1        |********************|\n"
            )
        );
    }
}
