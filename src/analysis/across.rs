//! Figures across the runs of an ensemble: percentiles pool the samples, intervals come from the seeds.
//!
//! The runs are the independent units. The percentiles of pooled samples and pooled shares have bootstrap intervals:
//! seeds are drawn with replacement and what each drew is pooled; samples within a run are correlated and are never
//! resampled on their own. Levels and totals are averaged over runs and have Student's interval, within the range of
//! their unit. Waits that had not ended with their run are part of the pool, longer than any that had.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::statistics::bootstrap::{RESAMPLES, percentile, weights};
use crate::analysis::statistics::modes::{Mode, Scale, modes};
use crate::analysis::statistics::student::Range;
use crate::analysis::statistics::{mean, student};
use crate::base::time::Duration;
use crate::measure::distribution::Distribution;
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
    /// Runs that had the metric with samples.
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
pub fn across(runs: &[&Outcome]) -> BTreeMap<Key, Across> {
    let keys: BTreeSet<&Key> = runs.iter().flat_map(|run| run.metrics.0.keys()).collect();
    keys.into_iter()
        .map(|key| {
            let values: Vec<&Value> = runs.iter().filter_map(|run| run.metrics.0.get(key)).collect();
            (key.clone(), one(key, &values))
        })
        .collect()
}

/// Times of several runs, in milliseconds; the name tells resamples apart.
pub fn of_times(name: &str, runs: &[Vec<Duration>]) -> Across {
    let of_run = |times: &Vec<Duration>| {
        let mut distribution = Distribution::new();
        times.iter().for_each(|time| distribution.record(time.as_nanos()));
        Value::Times(distribution)
    };
    let values: Vec<Value> = runs.iter().map(of_run).collect();
    one(&Key::new(name, &[]), &values.iter().collect::<Vec<_>>())
}

pub(super) fn one(key: &Key, values: &[&Value]) -> Across {
    let unit = values.first().map_or("", |value| value.unit());
    let range = Range::of(&key.name, unit);
    let has_data = |value: &&Value| value.samples() != Some(0) || value.unended().is_some();
    let present: Vec<&Value> = values.iter().copied().filter(has_data).collect();
    let samples = values.iter().map(|value| value.samples()).collect::<Option<Vec<u64>>>().map(|all| all.iter().sum());
    let unended: u64 = values.iter().filter_map(|value| value.unended()).sum();
    let mut several = Vec::new();
    let figures = match present.first() {
        None => Vec::new(),
        Some(Value::Times(_)) => {
            let pool = Pool::new(&present);
            several = modes(&pool.samples(), Scale::Logarithmic);
            pool.figures(&weights(&key.to_string(), present.len(), RESAMPLES))
        }
        Some(Value::Level { .. }) => {
            let levels =
                |get: fn(&GaugeSummary) -> f64| present.iter().map(|value| level(value, get)).collect::<Vec<_>>();
            several = single(&levels(|level| level.mean));
            let pick = |name: &'static str, get| average(&levels(get), range).map(|figure| (name, figure));
            let figures = [pick("final", |s| s.last), pick("mean", |s| s.mean), pick("max", |s| s.max)];
            figures.into_iter().flatten().collect()
        }
        Some(Value::Total { .. }) => {
            // A count of zero is an observation like any other.
            let count = |v: &&Value| if let Value::Total { count, .. } = v { *count as f64 } else { 0.0 };
            let counts: Vec<f64> = values.iter().map(count).collect();
            several = single(&counts);
            average(&counts, range).map(|figure| ("mean", figure)).into_iter().collect()
        }
        Some(Value::Share { .. }) => {
            let share = |v: &&Value| v.figures().first().map(|(_, share)| *share);
            several = single(&present.iter().filter_map(share).collect::<Vec<f64>>());
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

/// The modes of one figure per run.
fn single(figures: &[f64]) -> Vec<Mode> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    modes(&sorted.into_iter().map(|figure| (figure, 1)).collect::<Vec<_>>(), Scale::Linear)
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
    fn means_have_students_interval_and_two_kinds_of_runs_are_two_modes() {
        let total = |count| Value::Total { unit: "allocs", count };
        let runs: Vec<Value> = [5, 6, 5, 6, 5, 6, 90, 91, 90, 91].map(total).into_iter().collect();
        let across = one(&Key::new("x", &[]), &runs.iter().collect::<Vec<_>>());
        let figure = across.figures[0].1;
        // By hand: mean 39.5, deviation 43.897, t of nine degrees 2.262157; half-width 31.4019, exp(0.79498) = 2.21440.
        let (low, high) = figure.interval.expect("ten runs");
        assert!((figure.value - 39.5).abs() < 1e-9, "{figure:?}");
        assert!((low - 17.838).abs() < 0.01 && (high - 87.469).abs() < 0.01, "{figure:?}");
        assert_eq!(across.modes.len(), 2, "{:?}", across.modes);
        assert!((across.modes[0].share - 0.6).abs() < 1e-9);
    }

    #[test]
    fn a_metric_without_samples_has_no_figures() {
        let none = Value::Times(Distribution::new());
        let across = one(&Key::new("x", &[]), &[&none]);
        assert!(across.figures.is_empty() && across.samples == Some(0) && across.runs == 0);
    }
}
