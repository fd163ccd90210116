//! Figures across the runs of an ensemble: percentiles pool the samples, intervals come from resampling seeds.
//!
//! The runs are the independent units, so the bootstrap draws seeds with replacement and pools what each drew; samples
//! within a run are correlated and are never resampled on their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::rng::Rng;
use crate::measure::metric::{Key, Value};
use crate::measure::outcome::Outcome;

/// Resamples behind an interval.
const RESAMPLES: usize = 400;

/// One figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Over all runs.
    pub value: f64,
    /// Percentile bootstrap over seeds, 2.5 % and 97.5 %; `None` with fewer than two runs.
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
    /// Figures by statistic.
    pub figures: Vec<(&'static str, Figure)>,
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

fn one(key: &Key, values: &[&Value]) -> Across {
    let unit = values.first().map_or("", |value| value.unit());
    let present: Vec<&Value> = values.iter().copied().filter(|value| value.samples() != Some(0)).collect();
    let samples = values.iter().map(|value| value.samples()).collect::<Option<Vec<u64>>>().map(|all| all.iter().sum());
    let resamples = resample(key, present.len());
    let figures = match present.first() {
        None => Vec::new(),
        Some(Value::Times(_)) => times(&present, &resamples),
        Some(Value::Level { .. }) => {
            let pick = |name: &'static str, get: fn(&Value) -> f64| (name, mean_of(&present, get, &resamples));
            vec![
                pick("final", |v| level(v, |s| s.last)),
                pick("mean", |v| level(v, |s| s.mean)),
                pick("max", |v| level(v, |s| s.max)),
            ]
        }
        Some(Value::Total { .. }) => {
            // A count of zero is an observation like any other.
            let resamples = resample(key, values.len());
            let count = |v: &Value| if let Value::Total { count, .. } = v { *count as f64 } else { 0.0 };
            vec![("mean", mean_of(values, count, &resamples))]
        }
        Some(Value::Share { .. }) => vec![("value", share_of(&present, &resamples))],
    };
    Across { unit, runs: present.len(), samples, figures }
}

fn level(value: &Value, get: impl Fn(&crate::measure::gauge::GaugeSummary) -> f64) -> f64 {
    if let Value::Level { summary, .. } = value { get(summary) } else { 0.0 }
}

/// For each resample, how often each run was drawn. None for fewer than two runs.
fn resample(key: &Key, runs: usize) -> Vec<Vec<u32>> {
    if runs < 2 {
        return Vec::new();
    }
    let mut rng = Rng::stream(0, &format!("bootstrap/{key}"));
    (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0; runs];
            for _ in 0..runs {
                weights[rng.below(runs as u64) as usize] += 1;
            }
            weights
        })
        .collect()
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

fn times(values: &[&Value], resamples: &[Vec<u32>]) -> Vec<(&'static str, Figure)> {
    let mut pairs: Vec<(u64, usize, u64)> = Vec::new();
    for (run, value) in values.iter().enumerate() {
        if let Value::Times(distribution) = value {
            pairs.extend(distribution.counts().into_iter().map(|(at, count)| (at, run, count)));
        }
    }
    pairs.sort_unstable();
    let point = quantiles(&pairs, &vec![1; values.len()]);
    let drawn: Vec<[f64; QUANTILES.len()]> = resamples.iter().map(|weights| quantiles(&pairs, weights)).collect();
    QUANTILES
        .iter()
        .enumerate()
        .map(|(index, &(name, _))| {
            let interval = interval(drawn.iter().map(|figures| figures[index]).collect());
            (name, Figure { value: point[index], interval })
        })
        .collect()
}

/// Quantiles in milliseconds of the pooled samples, each run weighted.
fn quantiles(pairs: &[(u64, usize, u64)], weights: &[u32]) -> [f64; QUANTILES.len()] {
    let total: u64 = pairs.iter().map(|&(_, run, count)| count * u64::from(weights[run])).sum();
    let mut figures = [0.0; QUANTILES.len()];
    let (mut seen, mut next) = (0, 0);
    for &(value, run, count) in pairs {
        seen += count * u64::from(weights[run]);
        while next < QUANTILES.len() && seen > 0 && seen >= (libm::ceil(QUANTILES[next].1 * total as f64) as u64).max(1)
        {
            figures[next] = value as f64 / 1e6;
            next += 1;
        }
    }
    figures
}

fn mean_of(values: &[&Value], get: impl Fn(&Value) -> f64, resamples: &[Vec<u32>]) -> Figure {
    let figures: Vec<f64> = values.iter().map(|value| get(value)).collect();
    let weighted = |weights: &[u32]| {
        let sum: f64 = figures.iter().zip(weights).map(|(figure, &weight)| figure * f64::from(weight)).sum();
        sum / f64::from(weights.iter().sum::<u32>())
    };
    let value = weighted(&vec![1; figures.len()]);
    Figure { value, interval: interval(resamples.iter().map(|weights| weighted(weights)).collect()) }
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
    Figure { value, interval: interval(resamples.iter().map(|weights| pooled(weights)).collect()) }
}

/// The 2.5 % and 97.5 % points of the resampled figures.
fn interval(mut drawn: Vec<f64>) -> Option<(f64, f64)> {
    drawn.sort_by(f64::total_cmp);
    let last = drawn.len().checked_sub(1)?;
    let at = |q: f64| drawn[libm::rint(q * last as f64) as usize];
    Some((at(0.025), at(0.975)))
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
    fn a_metric_without_samples_has_no_figures() {
        let none = Value::Times(Distribution::new());
        let across = one(&Key::new("x", &[]), &[&none]);
        assert!(across.figures.is_empty() && across.samples == Some(0) && across.runs == 0);
    }
}
