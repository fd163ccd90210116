//! What the runs of a sweep say, point by point.
//!
//! The independent unit is the seed: a figure is the mean over seeds of what each run came to, its interval Student's t
//! over seeds (Law and Kelton, Simulation Modeling and Analysis, 4.5), within the range of its unit. Percentiles are
//! those of each run, never of pooled samples. A run whose wait had not ended counts as `never` and stays out of the
//! mean; that it is there is always said.

use crate::analysis::judge::Judgement;
use crate::analysis::judge::over_runs;
use crate::analysis::statistics::student::Range;
use crate::analysis::statistics::{mean, student};
use crate::analysis::sweep::plan::Checked;
use crate::analysis::sweep::work::Row;
use crate::scenario::vary;

/// A sweep with everything its runs came to.
#[derive(Debug, Clone)]
pub struct Swept {
    /// The sweep.
    pub sweep: Checked,
    /// Its fingerprint, in 16 hex digits.
    pub digest: String,
    /// What each run came to, by number.
    pub rows: Vec<Row>,
}

/// A measure at a point, or over several points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seeds with a value.
    pub seeds: usize,
    /// Seeds in which the wait had not ended with the run.
    pub never: usize,
    /// Mean over the seeds with a value; `None` without any.
    pub mean: Option<f64>,
    /// 95 % interval of the mean, Student's t within the range of the unit; `None` with fewer than three seeds.
    pub interval: Option<(f64, f64)>,
}

/// How far a measure at a point is from the first point, seed by seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Seeds with a value at both points.
    pub seeds: usize,
    /// Mean over these of the value here minus that at the first point.
    pub mean: f64,
    /// 95 % interval of the mean, Student's t over seeds; `None` with fewer than three seeds.
    pub interval: Option<(f64, f64)>,
}

/// An expectation at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Seeds in which it held.
    pub passed: usize,
    /// Seeds in which it did not.
    pub failed: usize,
    /// Seeds without anything to judge.
    pub idle: usize,
    /// Whether it holds for the point.
    pub overall: Judgement,
    /// Whether it counts as met; without anything to judge only if it says `if exercised`.
    pub met: bool,
}

impl Held {
    /// Whether the point says anything of it.
    pub fn is_exercised(&self) -> bool {
        self.overall != Judgement::NotExercised
    }
}

impl Swept {
    /// The runs of a point, in seed order.
    pub fn runs(&self, point: usize) -> &[Row] {
        let seeds = self.sweep.plan.seeds.len();
        &self.rows[point * seeds..][..seeds]
    }

    /// How many points there are.
    pub fn points(&self) -> usize {
        self.sweep.layout.values.len()
    }

    /// A measure at a point.
    pub fn estimate(&self, point: usize, measure: usize) -> Estimate {
        self.estimate_over(&[point], measure)
    }

    /// A measure over several points: each seed has its mean over those of them at which it has a value.
    pub fn estimate_over(&self, points: &[usize], measure: usize) -> Estimate {
        let mut never = 0;
        let mut means = Vec::new();
        for seed in 0..self.sweep.plan.seeds.len() {
            let values: Vec<f64> = points.iter().filter_map(|&point| self.runs(point)[seed].values[measure]).collect();
            never += usize::from(values.iter().any(|value| value.is_infinite()));
            let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            if !finite.is_empty() {
                means.push(finite.iter().sum::<f64>() / finite.len() as f64);
            }
        }
        let measure = &self.sweep.readings.measures[measure];
        estimate(&means, never, Range::of(measure.metric.name, measure.unit()))
    }

    /// How far a measure at a point is from the first point; `None` at that itself, and without a seed that has a value
    /// at both. Points have the same seeds, so what a seed adds to both alike cancels out, and the interval is narrower
    /// than those of the two means tell.
    pub fn difference(&self, point: usize, measure: usize) -> Option<Difference> {
        if point == 0 {
            return None;
        }
        let value = |run: &Row| run.values[measure].filter(|value| value.is_finite());
        let pairs = self.runs(0).iter().zip(self.runs(point));
        let of_seeds: Vec<f64> = pairs.filter_map(|(first, here)| Some(value(here)? - value(first)?)).collect();
        let interval = student::mean_interval_within(&of_seeds, Range::ANY, 0.95);
        Some(Difference { seeds: of_seeds.len(), mean: mean(&of_seeds)?, interval })
    }

    /// An expectation at a point.
    pub fn held(&self, point: usize, expectation: usize) -> Held {
        let all: Vec<Judgement> = self.runs(point).iter().map(|row| row.judgements[expectation]).collect();
        let count = |wanted| all.iter().filter(|judgement| **judgement == wanted).count();
        let (overall, met) = over_runs(&self.sweep.readings.expectations[expectation].1, &all);
        let (passed, failed) = (count(Judgement::Pass), count(Judgement::Fail));
        Held { passed, failed, idle: count(Judgement::NotExercised), overall, met }
    }

    /// Violations of invariants over all runs.
    pub fn violations(&self) -> u64 {
        self.rows.iter().map(|row| row.violations).sum()
    }

    /// The value of a dimension at a point, as written.
    pub fn value(&self, point: usize, dimension: usize) -> &str {
        &self.sweep.layout.values[point][dimension]
    }

    /// The numbers of a dimension at all points; `None` if one of its values is no number.
    pub fn numbers(&self, dimension: usize) -> Option<Vec<f64>> {
        (0..self.points()).map(|point| vary::number(self.value(point, dimension))).collect()
    }

    /// The different values of a dimension: numbers by size, others in the order of the points.
    pub fn levels(&self, dimension: usize) -> Vec<String> {
        let mut levels: Vec<String> = Vec::new();
        for point in 0..self.points() {
            let value = self.value(point, dimension);
            if levels.iter().all(|known| known != value) {
                levels.push(value.to_owned());
            }
        }
        if self.numbers(dimension).is_some() {
            let number = |value: &String| vary::number(value).unwrap_or(0.0);
            levels.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        levels
    }
}

/// Mean and interval of one value per seed.
fn estimate(values: &[f64], never: usize, range: Range) -> Estimate {
    let interval = student::mean_interval_within(values, range, 0.95);
    Estimate { seeds: values.len(), never, mean: mean(values), interval }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::sweep::design::Design;
    use crate::analysis::sweep::testing::swept;

    /// Seeds differ by hundreds and points by ten: only within a seed can that be told.
    #[test]
    fn differences_to_the_first_point_are_those_within_seeds() {
        let figure = |at: &[f64], seed: u64| {
            let own = if at[0] > 15.0 { [1.0, -1.0, 2.0, -2.0][seed as usize - 1] } else { 0.0 };
            (at[0] < 25.0 || seed > 1).then_some(100.0 * seed as f64 + at[0] + own)
        };
        let swept = swept(Design::Grid, &["options.heartbeat_grace=10s,20s,30s"], 4, figure);
        assert_eq!(swept.difference(0, 0), None);
        let found = swept.difference(1, 0).expect("four seeds have both");
        assert!((found.mean - 10.0).abs() < 1e-9 && found.seeds == 4, "{found:?}");
        // Deviation sqrt(10 / 3), t of three degrees 3.182446: half-width 2.905166.
        let (low, high) = found.interval.expect("four seeds");
        assert!((low - 7.094_834).abs() < 1e-5 && (high - 12.905_166).abs() < 1e-5, "{low} {high}");
        let (low, high) = swept.estimate(1, 0).interval.expect("four seeds");
        assert!(high - low > 100.0, "means hide it: {low} {high}");
        assert_eq!(swept.difference(2, 0).expect("three seeds have both").seeds, 3);
    }

    #[test]
    fn means_have_intervals_over_seeds() {
        let known = estimate(&[1.0, 2.0, 3.0, 4.0], 1, Range::of("x", "s"));
        assert_eq!((known.seeds, known.never, known.mean), (4, 1, Some(2.5)));
        // s = 1.290994, t(3) = 3.182446, half = 2.054260, exp(2.054260 / 2.5) = 2.274379
        let (low, high) = known.interval.unwrap();
        assert!((low - 1.099_201).abs() < 1e-4 && (high - 5.685_947).abs() < 1e-4, "{low} {high}");
        let (low, high) = estimate(&[90.0, 99.0, 100.0], 0, Range::of("x", "%")).interval.unwrap();
        assert!(0.0 < low && high < 100.0, "{low} {high}");
        assert_eq!(estimate(&[1.0, 2.0], 0, Range::of("x", "s")).interval, None);
        assert_eq!(estimate(&[], 3, Range::of("x", "s")).mean, None);
    }
}
