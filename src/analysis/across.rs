//! Figures across the runs of an ensemble: percentiles pool the samples, intervals come from the seeds.
//!
//! The runs are the independent units. The percentiles of pooled samples and pooled shares have bootstrap intervals:
//! seeds are drawn with replacement and what each drew is pooled; samples within a run are correlated and are never
//! resampled on their own. Levels and totals are averaged over runs and have Student's interval, within the range of
//! their unit. Waits that had not ended with their run are part of the pool, longer than any that had.
//!
//! A metric can have several modes ([`modes`]). Where most runs have several of them by themselves, the samples are
//! what tells; where every run has its own, the modes are kinds of runs, and the runs are all there is to tell: each
//! mode beyond the first takes three of them. What is counted has none: a thing more or less is no kind of run.

use crate::analysis::statistics::bootstrap::{RESAMPLES, percentile, weights};
use crate::analysis::statistics::modes::{Mode, Scale, modes};
use crate::analysis::statistics::student::Range;
use crate::analysis::statistics::{mean, median, student};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::measure::catalogue::Unit;
use crate::measure::gauge::GaugeSummary;
use crate::measure::metric::{Key, Value};
use crate::measure::outcome::Outcome;

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// One figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Over all runs.
    pub value: f64,
    /// 95 % interval over seeds; `None` with fewer than two runs (three for means), and if an end falls on a wait that
    /// had not ended.
    pub interval: Option<(f64, f64)>,
}

/// One metric across runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Across {
    /// Unit of the figures.
    pub unit: &'static str,
    /// Runs behind the figures: those that had the metric with samples, and of totals those that counted nothing as
    /// well.
    pub runs: usize,
    /// Samples of all runs; `None` for levels.
    pub samples: Option<u64>,
    /// Waits of all runs that had not ended with their run; `None` if there are none.
    pub unended: Option<u64>,
    /// Figures by statistic; those that fall on a wait that had not ended are left out.
    pub figures: Vec<(&'static str, Figure)>,
    /// Modes of the pooled samples of times, in milliseconds, or of the figures of single runs; empty unless several.
    pub modes: Vec<Mode>,
    /// Whether the cases of the ensemble tell the modes apart: none of them has several.
    pub explained: bool,
}

impl Across {
    /// A statistic, if the metric has it.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|(statistic, _)| *statistic == name).map(|(_, figure)| figure)
    }
}

/// All metrics across these runs.
pub fn across(runs: &[&Outcome]) -> OrdMap<Key, Across> {
    let keys: OrdSet<&Key> = runs.iter().flat_map(|run| run.metrics.0.keys()).collect();
    keys.into_iter()
        .map(|key| {
            let values: Vec<&Value> = runs.iter().filter_map(|run| run.metrics.0.get(key)).collect();
            (key.clone(), one(key, &values))
        })
        .collect()
}

/// One metric across runs; its name tells resamples apart.
pub(super) fn one(key: &Key, values: &[&Value]) -> Across {
    let unit = values.first().map_or("", |value| value.unit());
    let range = Range::of(&key.name, unit);
    // A count of zero is an observation like any other.
    let has_data = |value: &&Value| {
        matches!(value, Value::Total { .. }) || value.samples() != Some(0) || value.unended().is_some()
    };
    let present: Vec<&Value> = values.iter().copied().filter(has_data).collect();
    let samples = values.iter().map(|value| value.samples()).collect::<Option<Vec<u64>>>().map(|all| all.iter().sum());
    let unended: u64 = values.iter().filter_map(|value| value.unended()).sum();
    let mut several = Vec::new();
    let figures = match present.first() {
        None => Vec::new(),
        Some(Value::Times(_)) => {
            let pool = Pool::new(&present);
            several = pool.modes();
            pool.figures(&weights(&key.to_string(), present.len(), RESAMPLES))
        }
        Some(Value::Level { .. }) => {
            let levels =
                |get: fn(&GaugeSummary) -> f64| present.iter().map(|value| level(value, get)).collect::<Vec<_>>();
            several = if is_counted(unit) { Vec::new() } else { single(&levels(|level| level.mean), unit) };
            let pick = |name: &'static str, get| average(&levels(get), range).map(|figure| (name, figure));
            let figures = [pick("final", |s| s.last), pick("mean", |s| s.mean), pick("max", |s| s.max)];
            figures.into_iter().flatten().collect()
        }
        Some(Value::Total { .. }) => {
            let count = |v: &&Value| if let Value::Total { count, .. } = v { *count as f64 } else { 0.0 };
            let counts: Vec<f64> = present.iter().map(count).collect();
            average(&counts, range).map(|figure| ("mean", figure)).into_iter().collect()
        }
        Some(Value::Share { .. }) => {
            let share = |v: &&Value| v.figures().first().map(|(_, share)| *share);
            several = single(&present.iter().filter_map(share).collect::<Vec<f64>>(), unit);
            vec![("value", share_of(&present, &weights(&key.to_string(), present.len(), RESAMPLES)))]
        }
    };
    if several.len() < 2 {
        several.clear();
    }
    let unended = Some(unended).filter(|unended| *unended > 0);
    Across { unit, runs: present.len(), samples, unended, figures, modes: several, explained: false }
}

fn level(value: &Value, get: impl Fn(&GaugeSummary) -> f64) -> f64 {
    if let Value::Level { summary, .. } = value { get(summary) } else { 0.0 }
}

/// The mean over runs and its interval.
fn average(figures: &[f64], range: Range) -> Option<Figure> {
    let interval = student::mean_interval_within(figures, range, CONFIDENCE);
    mean(figures).map(|value| Figure { value, interval })
}

/// Whether values of this unit are counts, or means of counts over time, and no measurements.
fn is_counted(unit: &str) -> bool {
    let measured = [Unit::Milliseconds, Unit::Percent, Unit::Ratio, Unit::Megahertz, Unit::Mebibytes];
    measured.iter().all(|measured| measured.name() != unit)
}

/// How many kinds so many runs can tell apart.
fn kinds_max(runs: usize) -> usize {
    1 + runs / RUNS_PER_KIND
}

/// Runs that each kind beyond the first takes.
const RUNS_PER_KIND: usize = 3;
/// Share of its own samples that a run has in a mode at least, to count as one that has it.
const OWN_SHARE_MIN: f64 = 0.1;

/// The modes of one figure per run. Shares near all are told apart by what they lack of it.
fn single(figures: &[f64], unit: &str) -> Vec<Mode> {
    let lacks = unit == Unit::Percent.name() && median(figures).is_some_and(|middle| middle > 50.0);
    let turned = |share: f64| if lacks { 100.0 - share } else { share };
    let mut sorted: Vec<f64> = figures.iter().map(|figure| turned(*figure)).collect();
    sorted.sort_by(f64::total_cmp);
    let samples: Vec<(f64, u64)> = sorted.into_iter().map(|figure| (figure, 1)).collect();
    let mut found = modes(&samples, Scale::Linear, kinds_max(figures.len()));
    if lacks {
        let turn = |mode: &Mode| {
            let (low, middle, high) = (turned(mode.high), turned(mode.middle), turned(mode.low));
            Mode { low, middle, high, ..*mode }
        };
        found = found.iter().rev().map(turn).collect();
    }
    found
}

fn share_of(values: &[&Value], resamples: &[Vec<u32>]) -> Figure {
    let pooled = |weights: &[u32]| {
        let (mut part, mut whole) = (0, 0);
        for (value, &weight) in values.iter().zip(weights) {
            if let Value::Share { part: p, whole: w } = value {
                part += p * u64::from(weight);
                whole += w * u64::from(weight);
            }
        }
        100.0 * part as f64 / whole as f64
    };
    let value = pooled(&vec![1; values.len()]);
    Figure { value, interval: percentile(resamples.iter().map(|weights| pooled(weights)).collect(), CONFIDENCE) }
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// The samples of several runs. Thousands of resamples ask for quantiles of it, so it keeps marks: how many samples of
/// each run there are up to every so many values.
struct Pool {
    /// Value in nanoseconds, run, count; ascending.
    pairs: Vec<(u64, usize, u64)>,
    /// Samples of each run before every [`MARK`]th pair, and after the last.
    marks: Vec<Vec<u64>>,
    /// Waits of each run that had not ended.
    unended: Vec<u64>,
}

/// Pairs between two marks.
const MARK: usize = 64;

impl Pool {
    fn new(values: &[&Value]) -> Self {
        let (mut pairs, mut unended) = (Vec::new(), vec![0; values.len()]);
        for (run, value) in values.iter().enumerate() {
            if let Value::Times(distribution) = value {
                pairs.extend(distribution.counts().into_iter().map(|(at, count)| (at, run, count)));
                unended[run] = distribution.unended();
            }
        }
        pairs.sort_unstable();
        let mut seen = vec![0; values.len()];
        let mut marks = vec![seen.clone()];
        for chunk in pairs.chunks(MARK) {
            chunk.iter().for_each(|&(_, run, count)| seen[run] += count);
            marks.push(seen.clone());
        }
        Self { pairs, marks, unended }
    }

    /// Ascending samples in milliseconds.
    fn samples(&self) -> Vec<(f64, u64)> {
        self.pairs.iter().map(|&(nanos, _, count)| (nanos as f64 / 1e6, count)).collect()
    }

    /// Modes of all samples; if they are kinds of runs, no more than so many runs can tell apart.
    fn modes(&self) -> Vec<Mode> {
        let samples = self.samples();
        let all = modes(&samples, Scale::Logarithmic, usize::MAX);
        let most = kinds_max(self.unended.len());
        if all.len() <= most || self.are_within_runs(&all) {
            return all;
        }
        modes(&samples, Scale::Logarithmic, most)
    }

    /// Whether at least half of the runs have several of these modes by themselves.
    fn are_within_runs(&self, modes: &[Mode]) -> bool {
        let runs = self.unended.len();
        let mut counts = vec![vec![0_u64; modes.len()]; runs];
        for &(nanos, run, count) in &self.pairs {
            let mode = modes.partition_point(|mode| mode.high < nanos as f64 / 1e6).min(modes.len() - 1);
            counts[run][mode] += count;
        }
        let has_several = |counts: &&Vec<u64>| {
            let least = OWN_SHARE_MIN * counts.iter().sum::<u64>() as f64;
            counts.iter().filter(|&&count| count > 0 && count as f64 >= least).count() > 1
        };
        2 * counts.iter().filter(has_several).count() >= runs
    }

    fn figures(&self, resamples: &[Vec<u32>]) -> Vec<(&'static str, Figure)> {
        let all = vec![1; self.unended.len()];
        QUANTILES
            .iter()
            .filter_map(|&(name, q)| {
                let value = Some(self.quantile(q, &all)).filter(|value| value.is_finite())?;
                let drawn = resamples.iter().map(|weights| self.quantile(q, weights)).collect();
                let interval = percentile(drawn, CONFIDENCE).filter(|(low, high)| low.is_finite() && high.is_finite());
                Some((name, Figure { value, interval }))
            })
            .collect()
    }

    /// A quantile in milliseconds, each run weighted; infinite if it falls on a wait that had not ended.
    fn quantile(&self, q: f64, weights: &[u32]) -> f64 {
        let weighted = |counts: &[u64]| -> u64 {
            counts.iter().zip(weights).map(|(count, weight)| count * u64::from(*weight)).sum()
        };
        let ended = weighted(&self.marks[self.marks.len() - 1]);
        let rank = (libm::ceil(q * (ended + weighted(&self.unended)) as f64) as u64).max(1);
        if rank > ended {
            return f64::INFINITY;
        }
        let chunk = self.marks.partition_point(|counts| weighted(counts) < rank) - 1;
        let mut seen = weighted(&self.marks[chunk]);
        let found = self.pairs[chunk * MARK..].iter().find(|&&(_, run, count)| {
            seen += count * u64::from(weights[run]);
            seen >= rank
        });
        found.map_or(f64::INFINITY, |&(nanos, ..)| nanos as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::distribution::Distribution;

    #[test]
    fn percentiles_pool_samples_and_intervals_cover_the_runs() {
        let run = |values: &[u64]| {
            let mut d = Distribution::new();
            values.iter().for_each(|v| d.record(v * 1_000_000));
            Value::Times(d)
        };
        let (a, b, c) = (run(&[1, 2, 3]), run(&[4, 5, 6]), run(&[7, 8, 9]));
        let across = one(&Key::new("x", &[]), &[&a, &b, &c]);
        let (name, figure) = across.figures[0];
        assert_eq!((name, across.samples, across.runs), ("p50", Some(9), 3));
        assert!((figure.value - 5.0).abs() < 1e-9);
        let (low, high) = figure.interval.expect("three runs");
        assert!(low < 5.0 && 5.0 < high, "{low} {high}");
    }

    #[test]
    fn marks_do_not_change_what_a_quantile_is() {
        let value = |from: u64| {
            let mut d = Distribution::new();
            (0..500_u64).for_each(|i| d.record((from + i * i * 7_919) % 100_000 * 1_000_000));
            Value::Times(d)
        };
        let runs = [value(3), value(50), value(999)];
        let pool = Pool::new(&runs.iter().collect::<Vec<_>>());
        for (weights, q) in [([1, 1, 1], 0.5), ([2, 0, 1], 0.9), ([0, 3, 0], 0.01), ([1, 0, 2], 1.0)] {
            let mut all: Vec<u64> = Vec::new();
            for &(nanos, run, count) in &pool.pairs {
                (0..count * u64::from(weights[run])).for_each(|_| all.push(nanos));
            }
            let rank = (libm::ceil(q * all.len() as f64) as usize).max(1);
            let expected = all[rank - 1] as f64 / 1e6;
            assert!((pool.quantile(q, &weights) - expected).abs() < 1e-9, "{weights:?} {q}");
        }
    }

    #[test]
    fn waits_that_never_ended_are_counted_and_longer_than_any() {
        let mut some = Distribution::new();
        [1, 2, 3].iter().for_each(|ms| some.record(ms * 1_000_000));
        let mut never = Distribution::new();
        never.record_unended();
        let across = one(&Key::new("x", &[]), &[&Value::Times(some), &Value::Times(never)]);
        assert_eq!((across.samples, across.unended, across.runs), (Some(3), Some(1), 2));
        let names: Vec<&str> = across.figures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["p50"], "the others fall on the one that never ended");
        assert!((across.figures[0].1.value - 2.0).abs() < 1e-9 && across.figures[0].1.interval.is_none());
    }

    #[test]
    fn means_of_totals_have_students_interval_over_all_runs_and_counts_have_no_modes() {
        let total = |count| Value::Total { unit: "allocs", count };
        let runs: Vec<Value> = [5, 6, 5, 6, 5, 6, 90, 91, 90, 91].map(total).into_iter().collect();
        let across = one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>());
        let figure = across.figures[0].1;
        // By hand: mean 39.5, deviation 43.897, t of nine degrees 2.262157; half-width 31.4019, exp(0.79498) = 2.21440.
        let (low, high) = figure.interval.expect("ten runs");
        assert!((figure.value - 39.5).abs() < 1e-9, "{figure:?}");
        assert!((low - 17.838).abs() < 0.01 && (high - 87.469).abs() < 0.01, "{figure:?}");
        assert!(across.modes.is_empty(), "{:?}", across.modes);
        // A run that counted nothing is part of the mean, and so of the runs behind it.
        let runs = [total(3), total(0), total(0)];
        let across = one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>());
        assert_eq!((across.runs, across.samples), (3, Some(3)));
        assert!((across.figures[0].1.value - 1.0).abs() < 1e-9);
        // So are runs of which none counted anything.
        let runs = [total(0), total(0), total(0)];
        let across = one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>());
        assert_eq!((across.runs, across.samples, across.figures.len()), (3, Some(0), 1));
        assert!(across.figures[0].1.value.abs() < 1e-9);
    }

    fn times(ms: &[u64]) -> Value {
        let mut times = Distribution::new();
        ms.iter().for_each(|ms| times.record(ms * 1_000_000));
        Value::Times(times)
    }

    fn modes_of(runs: &[Value]) -> usize {
        one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>()).modes.len()
    }

    /// Three runs are noticed after some 20 s or after some 300 s: two kinds. Five runs, each of its own time, are five
    /// runs and no three kinds.
    #[test]
    fn kinds_of_runs_take_runs_and_kinds_of_samples_take_samples() {
        let around = |ms: u64| times(&(0..20).map(|i| ms + i * ms / 100).collect::<Vec<u64>>());
        assert_eq!(modes_of(&[around(20_000), around(18_000), around(300_000)]), 2);
        let five = [around(1_000), around(1_100), around(30_000), around(33_000), around(900_000)];
        assert!(modes_of(&five) < 3);
        assert_eq!(modes_of(&[around(20_000), around(300_000)]), 0, "two runs are two runs");
        // A single run that has both kinds tells them apart by its samples.
        let both: Vec<u64> = (0..20).flat_map(|i| [20_000 + 100 * i, 300_000 + 900 * i]).collect();
        assert_eq!(modes_of(&[times(&both)]), 2);
    }

    #[test]
    fn levels_of_what_is_measured_have_modes_and_those_of_counts_have_none() {
        let level = |unit: &'static str| {
            let of = |seed: u32| {
                let mean = f64::from(seed) + if seed < 6 { 20.0 } else { 60.0 };
                Value::Level { unit, summary: GaugeSummary { last: mean, mean, min: mean, max: mean } }
            };
            (0..10).map(of).collect::<Vec<Value>>()
        };
        assert_eq!((modes_of(&level("%")), modes_of(&level("allocs"))), (2, 0));
    }

    /// A share near all is told apart by what it lacks, as one near nothing by what it has.
    #[test]
    fn shares_near_all_have_modes() {
        let share = |part| Value::Share { part, whole: 10_000 };
        let of = |some: u64, others: u64| {
            let runs: Vec<Value> = (0..12).map(|run| share(if run % 3 == 0 { others } else { some })).collect();
            let found = one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>()).modes;
            found.iter().map(|mode| (mode.low, mode.share)).collect::<Vec<(f64, f64)>>()
        };
        let near = |found: &[(f64, f64)], expected: [(f64, f64); 2]| {
            assert_eq!(found.len(), 2, "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9, "{found:?}");
            }
        };
        let third = 1.0 / 3.0;
        near(&of(9_999, 9_700), [(97.0, third), (99.99, 1.0 - third)]);
        near(&of(1, 300), [(0.01, 1.0 - third), (3.0, third)]);
        assert!(of(4_000, 4_100).is_empty());
    }

    #[test]
    fn a_metric_without_samples_has_no_figures() {
        let none = Value::Times(Distribution::new());
        let across = one(&Key::new("x", &[]), &[&none]);
        assert!(across.figures.is_empty() && across.samples == Some(0) && across.runs == 0);
    }
}
