//! How many seeds are enough: more are run until the mean of what each expectation observes is known well enough.
//!
//! The relative precision rule of Law & Kelton (Simulation Modeling and Analysis, section 9.4.1): stop when the
//! half-width of the 95 % interval is at most γ/(1+γ) of the mean, for a true relative error of γ. Ten seeds come
//! first; then a quarter more, and two at least, at a time. What is decided depends on the outcomes in seed order
//! alone, so that the number of threads changes nothing. Seeds that do not exercise an expectation say nothing about
//! it. One that no seed exercises is not waited for, and if there is no other, nothing was measured.

use crate::analysis::across::CONFIDENCE;
use crate::analysis::judge::observed;
use crate::analysis::statistics::student;
use crate::measure::outcome::Outcome;
use crate::scenario::lower::{Expectation, Precision};

/// How well expectations are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Stopping {
    /// Half-width that was asked for, of the mean.
    pub half_width: f64,
    /// Seeds at most.
    pub max: u32,
    /// Whether every expectation that any seed exercises is known that well, and there is one.
    pub reached: bool,
    /// For each expectation, how well.
    pub known: Vec<Known>,
}

/// How well the mean of what one expectation observes is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The expectation.
    pub text: String,
    /// Seeds that exercise it.
    pub seeds: usize,
    /// Mean, in the unit of its metric; `None` if no seed exercises it, or some wait never ended.
    pub mean: Option<f64>,
    /// Half of its 95 % interval, of the mean; `None` if it is not known: fewer than two seeds, a mean of zero that is
    /// not always zero, or a wait that never ended.
    pub half_width: Option<f64>,
}

impl Stopping {
    /// Whether no seed exercised any expectation, so that nothing was measured.
    pub fn measured_nothing(&self) -> bool {
        self.known.iter().all(|known| known.seeds == 0)
    }
}

/// How well expectations are known by these outcomes.
pub fn stopping(precision: Precision, expectations: &[Expectation], outcomes: &[Outcome]) -> Stopping {
    let known: Vec<Known> = expectations.iter().map(|expectation| known(expectation, outcomes)).collect();
    let enough = precision.half_width.get() / (1.0 + precision.half_width.get());
    let is_known = |known: &Known| known.seeds == 0 || known.half_width.is_some_and(|half_width| half_width <= enough);
    let is_settled = known.iter().all(is_known);
    let mut stopping = Stopping { half_width: precision.half_width.get(), max: precision.max, reached: false, known };
    stopping.reached = is_settled && !stopping.measured_nothing();
    stopping
}

/// How many seeds to have run next; `None` if these outcomes are enough or as many as may be.
pub fn next_count(precision: Precision, expectations: &[Expectation], outcomes: &[Outcome]) -> Option<u32> {
    let count = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
    let so_far = stopping(precision, expectations, outcomes);
    // What ten seeds do not exercise, more will hardly.
    if count >= precision.max || so_far.reached || so_far.measured_nothing() {
        return None;
    }
    Some((count + (count / 4).max(2)).min(precision.max))
}

fn known(expectation: &Expectation, outcomes: &[Outcome]) -> Known {
    let values: Vec<f64> = outcomes.iter().filter_map(|run| observed(&expectation.objective, run)).collect();
    let text = expectation.text.to_string();
    let mean = super::statistics::mean(&values).filter(|mean| mean.is_finite());
    let half_width = student::mean_interval(&values, CONFIDENCE).and_then(|(mean, half)| match (mean, half) {
        _ if !mean.is_finite() => None,
        (_, half) if half <= 0.0 => Some(0.0),
        (mean, half) => Some(half / mean.abs()).filter(|half_width| half_width.is_finite()),
    });
    Known { text, seeds: values.len(), mean, half_width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Ratio;
    use crate::measure::metric::{Metrics, Value};
    use crate::measure::objective::Objective;
    use crate::scenario::diagnostic::{Place, SourceId};

    fn expectation(text: &str) -> Expectation {
        let place = Place { source: SourceId(0), span: 0..0 };
        Expectation { text: text.into(), objective: Objective::parse(text, &[]).unwrap(), place }
    }

    fn runs(counts: &[u64]) -> Vec<Outcome> {
        let run = |(seed, count): (u64, &u64)| {
            let mut metrics = Metrics::default();
            metrics.put("plan.rejected", &[("region", "a")], Value::Total { unit: "nodes", count: *count });
            Outcome { metrics, ..Outcome::empty(seed) }
        };
        (1..).zip(counts).map(run).collect()
    }

    fn precision(half_width: f64, max: u32) -> Precision {
        Precision { half_width: Ratio::new(half_width).unwrap(), max }
    }

    #[test]
    fn seeds_are_added_until_the_interval_is_narrow_enough() {
        let expectations = [expectation("plan.rejected < 900")];
        // By hand: mean 100, deviation 10.541, half-width 2.262 × 10.541 / √10 = 7.54 %.
        let wide = runs(&[90, 110, 90, 110, 90, 110, 90, 110, 90, 110]);
        assert_eq!(next_count(precision(0.05, 200), &expectations, &wide), Some(12));
        assert_eq!(next_count(precision(0.05, 11), &expectations, &wide), Some(11));
        assert_eq!(next_count(precision(0.05, 10), &expectations, &wide), None);
        let stopping = stopping(precision(0.05, 10), &expectations, &wide);
        assert!(!stopping.reached && (stopping.known[0].half_width.unwrap() - 0.0754).abs() < 1e-4, "{stopping:?}");
        // 7.54 % is at most γ/(1+γ) from γ = 8.16 % on.
        assert_eq!(next_count(precision(0.081, 200), &expectations, &wide), Some(12));
        assert_eq!(next_count(precision(0.082, 200), &expectations, &wide), None);
    }

    #[test]
    fn what_is_always_the_same_is_known_and_what_is_never_exercised_is_not_waited_for() {
        let expectations = [expectation("plan.rejected < 9"), expectation("plan.wait max < 1s if exercised")];
        let zero = stopping(precision(0.05, 200), &expectations, &runs(&[0; 10]));
        assert!(zero.reached && zero.known[1].seeds == 0, "{zero:?}");
        let idle = stopping(precision(0.05, 200), &expectations[1..], &runs(&[0; 10]));
        assert!(idle.measured_nothing() && !idle.reached && !zero.measured_nothing(), "{idle:?}");
        assert_eq!(next_count(precision(0.05, 200), &expectations[1..], &runs(&[0; 10])), None);
        let about_zero = runs(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(next_count(precision(0.05, 200), &expectations, &about_zero), Some(12));
    }
}
