//! Maps that aggregate: each CPU keeps its own part, user space puts them together.
//!
//! What the words of an entry mean is told by [`Agg`].

use skep_isa::helpers::id;
use skep_lang::hir::{self, Expr, ExprKind, Runtime};
use skep_lang::ty::{Agg, Series, SeriesOf};

use super::Lower;
use super::func::Place;
use super::shared::last_bucket;
use crate::error::Error;
use crate::ir::{BinOp, BlockId, CmpOp, Value, ValueTy, Width};

impl Lower<'_> {
    pub(super) fn aggregate(
        &mut self,
        map: hir::MapId,
        key: Option<&Expr>,
        sample: Option<&Expr>,
    ) -> Result<(), Error> {
        let decl = self.map_decl(map);
        let Some(agg) = decl.agg(self.types) else {
            return Err(Error::Internal {
                what: format!("{} does not aggregate", decl.name),
                span: self.func.span(),
            });
        };
        // Histograms take all samples as signed.
        let may_be_negative =
            sample.is_some_and(|s| self.types.as_int(s.ty).is_none_or(|(bits, signed)| signed || bits == 64));
        // A sample of a series has its time with it.
        let (sample, time) = match sample.map(|sample| &sample.kind) {
            Some(ExprKind::Tuple(parts)) => (parts.first(), parts.get(1)),
            _ => (sample, None),
        };
        let time = time.map(|time| self.scalar(time)).transpose()?;
        let sample = match sample {
            Some(sample) => self.scalar(sample)?,
            None => self.func.int(1),
        };
        let key = self.key(map, key)?;
        let after = self.func.new_block();
        let entry = self.entry_or_new(map, key, after);
        self.mark(map, entry);
        match agg {
            Agg::Count | Agg::Sum { .. } => self.add_word(entry, sample),
            Agg::Avg { .. } | Agg::Stats { .. } => {
                self.add_word(entry, sample);
                let one = self.func.int(1);
                self.add_word(entry.at(8), one);
            }
            Agg::Min { signed } => {
                self.keep_extreme(entry, sample, if signed { CmpOp::SLt } else { CmpOp::ULt })
            }
            Agg::Max { signed } => {
                self.keep_extreme(entry, sample, if signed { CmpOp::SGt } else { CmpOp::UGt })
            }
            Agg::Hist { bits } => {
                let bucket = self.hist_bucket(sample, may_be_negative, bits);
                self.count_bucket(entry, bucket, agg, after);
            }
            Agg::Tseries(series) => {
                let time = time.unwrap_or(sample);
                self.add_to_series(entry, series, sample, time, after);
            }
            Agg::Lhist { min, step, .. } => {
                let bucket = self.lhist_bucket(sample, (min, step), last_bucket(agg));
                self.count_bucket(entry, bucket, agg, after);
            }
        }
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    /// What the samples of all CPUs amount to, for an aggregation that is one number: a loop over the
    /// CPUs, whose number is known when the program is loaded.
    pub(super) fn agg_value(&mut self, map: hir::MapId, key: Option<&Expr>) -> Result<Value, Error> {
        let decl = self.map_decl(map);
        let Some(agg) = decl.agg(self.types).filter(|agg| agg.number().is_some()) else {
            return Err(Error::Internal {
                what: format!("{} amounts to no number", decl.name),
                span: self.func.span(),
            });
        };
        let key = self.key(map, key)?;
        let map = self.map_ref(map);
        // The CPU, the value so far, and how many samples it is made of (if that matters).
        let (head, [cpu, value, samples]) = self.func.new_join_of([ValueTy::Int; 3]);
        let (next, [next_value, next_samples]) = self.func.new_join_of([ValueTy::Int; 2]);
        let [visit, found, done] = [(); 3].map(|()| self.func.new_block());
        let zero = self.func.int(0);
        self.func.jump(head, &[zero, zero, zero]);

        self.func.begin_loop(head);
        let cpus = self.func.runtime(Runtime::CpuCount);
        self.func.branch(CmpOp::ULt, cpu, cpus, visit, done);
        self.func.enter(visit);
        let map_value = self.func.map(map);
        let entry = self.func.call(id::MAP_LOOKUP_PERCPU_ELEM, &[map_value, key, cpu], ValueTy::Ptr);
        let missing = self.func.new_block();
        self.branch_on_null(entry, missing, found);
        self.func.enter(missing);
        self.func.jump(next, &[value, samples]);

        self.func.enter(found);
        let entry = Place::aligned(entry);
        let first = self.func.load(Width::W64, false, entry);
        match agg {
            Agg::Min { signed } | Agg::Max { signed } => {
                let better = match (agg, signed) {
                    (Agg::Min { .. }, true) => CmpOp::SLt,
                    (Agg::Min { .. }, false) => CmpOp::ULt,
                    (_, true) => CmpOp::SGt,
                    (_, false) => CmpOp::UGt,
                };
                let [some, compare, keep, take] = [(); 4].map(|()| self.func.new_block());
                let set = self.func.load(Width::W64, false, entry.at(8));
                let zero = self.func.int(0);
                self.func.branch(CmpOp::Eq, set, zero, keep, some);
                self.func.enter(some);
                self.func.branch(CmpOp::Eq, samples, zero, take, compare);
                self.func.enter(compare);
                self.func.branch(better, first, value, take, keep);
                self.func.enter(take);
                let one = self.func.int(1);
                self.func.jump(next, &[first, one]);
                self.func.enter(keep);
                self.func.jump(next, &[value, samples]);
            }
            Agg::Avg { .. } => {
                let value = self.func.bin(BinOp::Add, value, first);
                let count = self.func.load(Width::W64, false, entry.at(8));
                let samples = self.func.bin(BinOp::Add, samples, count);
                self.func.jump(next, &[value, samples]);
            }
            _ => {
                let value = self.func.bin(BinOp::Add, value, first);
                self.func.jump(next, &[value, samples]);
            }
        }
        self.func.enter(next);
        let next_cpu = self.func.bin_imm(BinOp::Add, cpu, 1);
        self.func.jump(head, &[next_cpu, next_value, next_samples]);
        self.func.end_loop(head);

        self.func.enter(done);
        Ok(match agg {
            // Without samples this divides by zero, which gives zero.
            Agg::Avg { signed: true } => self.func.bin(BinOp::SDiv, value, samples),
            Agg::Avg { signed: false } => self.func.bin(BinOp::UDiv, value, samples),
            _ => value,
        })
    }

    fn add_word(&mut self, place: Place, more: Value) {
        let before = self.func.load(Width::W64, false, place);
        let after = self.func.bin(BinOp::Add, before, more);
        self.func.store(Width::W64, place, after);
    }

    /// Adds a sample to the interval it falls into, which begins anew where an old one was kept.
    fn add_to_series(&mut self, entry: Place, series: Series, sample: Value, time: Value, after: BlockId) {
        let length = self.func.int(series.interval_ns.cast_signed());
        let interval = self.func.bin(BinOp::UDiv, time, length);
        let index = self.func.bin_imm(BinOp::UMod, interval, i64::from(series.intervals));
        let last = self.func.int(i64::from(series.intervals) - 1);
        self.require(CmpOp::ULe, index, last, after);
        let offset = self.func.bin_imm(BinOp::Mul, index, 24);
        let bucket = self.func.add_bytes(entry, offset);
        let bucket = Place { base_align: 8, ..bucket };
        let [fresh, old] = [(); 2].map(|()| self.func.new_block());
        let kept = self.func.load(Width::W64, false, bucket);
        self.func.branch(CmpOp::Eq, kept, interval, old, fresh);
        self.func.enter(fresh);
        self.func.store(Width::W64, bucket, interval);
        self.func.store(Width::W64, bucket.at(8), sample);
        let weight = if series.of == SeriesOf::Last { time } else { self.func.int(1) };
        self.func.store(Width::W64, bucket.at(16), weight);
        self.func.jump(after, &[]);
        self.func.enter(old);
        match series.of {
            SeriesOf::Last => {
                self.func.store(Width::W64, bucket.at(8), sample);
                self.func.store(Width::W64, bucket.at(16), time);
            }
            SeriesOf::Sum | SeriesOf::Avg => {
                self.add_word(bucket.at(8), sample);
                let one = self.func.int(1);
                self.add_word(bucket.at(16), one);
            }
            SeriesOf::Min => {
                self.keep_extreme(bucket.at(8), sample, if series.signed { CmpOp::SLt } else { CmpOp::ULt });
            }
            SeriesOf::Max => {
                self.keep_extreme(bucket.at(8), sample, if series.signed { CmpOp::SGt } else { CmpOp::UGt });
            }
        }
    }

    /// Stores the sample if there is none yet or it compares so with the one there.
    fn keep_extreme(&mut self, entry: Place, sample: Value, op: CmpOp) {
        let compare = self.func.new_block();
        let store = self.func.new_block();
        let after = self.func.new_block();
        let set = self.func.load(Width::W64, false, entry.at(8));
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, set, zero, store, compare);
        self.func.enter(compare);
        let best = self.func.load(Width::W64, false, entry);
        self.func.branch(op, sample, best, store, after);
        self.func.enter(store);
        self.func.store(Width::W64, entry, sample);
        let one = self.func.int(1);
        self.func.store(Width::W64, entry.at(8), one);
        self.func.jump(after, &[]);
        self.func.enter(after);
    }

    /// Adds 1 to a bucket. The check is for the kernel's verifier: a bucket out
    /// of range cannot be.
    fn count_bucket(&mut self, entry: Place, bucket: Value, agg: Agg, otherwise: BlockId) {
        let last = self.func.int(i64::from(last_bucket(agg)));
        self.require(CmpOp::ULe, bucket, last, otherwise);
        let offset = self.func.bin_imm(BinOp::Shl, bucket, 3);
        let place = self.func.add_bytes(entry, offset);
        let one = self.func.int(1);
        self.add_word(place, one);
    }

    /// The bucket of a value as [`Agg::buckets`] numbers them.
    fn hist_bucket(&mut self, sample: Value, may_be_negative: bool, bits: u8) -> Value {
        let (after, bucket) = self.func.new_join(ValueTy::Int);
        if may_be_negative {
            let negative = self.func.new_block();
            let counted = self.func.new_block();
            let zero = self.func.int(0);
            self.func.branch(CmpOp::SLt, sample, zero, negative, counted);
            self.func.enter(negative);
            let first = self.func.int(0);
            self.func.jump(after, &[first]);
            self.func.enter(counted);
        }
        if bits == 0 {
            // 0 is in bucket 1, a larger value in 2 + its highest bit.
            let highest = self.highest_bit(sample);
            let some = self.is_not_zero(sample);
            let bucket = self.func.bin(BinOp::Add, highest, some);
            let bucket = self.add_imm(bucket, 1);
            self.func.jump(after, &[bucket]);
        } else {
            let split = 1i64 << bits;
            let small = self.func.new_block();
            let large = self.func.new_block();
            let limit = self.func.int(split);
            self.func.branch(CmpOp::ULt, sample, limit, small, large);
            self.func.enter(small);
            let bucket = self.add_imm(sample, 1);
            self.func.jump(after, &[bucket]);
            self.func.enter(large);
            let highest = self.highest_bit(sample);
            let power = self.add_imm(highest, -i64::from(bits));
            let fraction = self.func.bin(BinOp::LShr, sample, power);
            let fraction = self.func.bin_imm(BinOp::And, fraction, split - 1);
            let first = self.func.bin_imm(BinOp::Shl, power, i64::from(bits));
            let bucket = self.func.bin(BinOp::Add, first, fraction);
            let bucket = self.add_imm(bucket, 1 + split);
            self.func.jump(after, &[bucket]);
        }
        self.func.enter(after);
        bucket
    }

    /// 1 for any value but 0, which gives 0; without a branch.
    fn is_not_zero(&mut self, value: Value) -> Value {
        let zero = self.func.int(0);
        let negative = self.func.bin(BinOp::Sub, zero, value);
        let either = self.func.bin(BinOp::Or, value, negative);
        self.func.bin_imm(BinOp::LShr, either, 63)
    }

    /// The number of the highest bit that is set, 0 for none; without a branch,
    /// so that neither the processor nor the verifier has to guess.
    fn highest_bit(&mut self, value: Value) -> Value {
        let mut rest = value;
        let mut result: Option<Value> = None;
        for power in (0..6).rev() {
            // 1 if anything is set at or above this bit: the negative of what
            // stands there has its sign bit set, unless it is zero.
            let above = self.func.bin_imm(BinOp::LShr, rest, 1 << power);
            let zero = self.func.int(0);
            let negative = self.func.bin(BinOp::Sub, zero, above);
            let some = self.func.bin_imm(BinOp::LShr, negative, 63);
            let shift = if power == 0 { some } else { self.func.bin_imm(BinOp::Shl, some, power) };
            rest = self.func.bin(BinOp::LShr, rest, shift);
            result = Some(match result {
                Some(sum) => self.func.bin(BinOp::Or, sum, shift),
                None => shift,
            });
        }
        result.unwrap_or(value)
    }

    fn lhist_bucket(&mut self, sample: Value, (min, step): (i64, i64), last: u32) -> Value {
        let (after, bucket) = self.func.new_join(ValueTy::Int);
        let under = self.func.new_block();
        let not_under = self.func.new_block();
        let over = self.func.new_block();
        let within = self.func.new_block();
        let lowest = self.func.int(min);
        self.func.branch(CmpOp::SLt, sample, lowest, under, not_under);
        self.func.enter(under);
        let first = self.func.int(0);
        self.func.jump(after, &[first]);
        self.func.enter(not_under);
        // Where the last whole step ends.
        let steps = i64::from(last.saturating_sub(1));
        let highest = self.func.int(min.saturating_add(step.saturating_mul(steps)));
        self.func.branch(CmpOp::SGe, sample, highest, over, within);
        self.func.enter(over);
        let last = self.func.int(i64::from(last));
        self.func.jump(after, &[last]);
        self.func.enter(within);
        let lowest = self.func.int(min);
        let above = self.func.bin(BinOp::Sub, sample, lowest);
        let step = self.func.int(step);
        let index = self.func.bin(BinOp::UDiv, above, step);
        let index = self.add_imm(index, 1);
        self.func.jump(after, &[index]);
        self.func.enter(after);
        bucket
    }
}
