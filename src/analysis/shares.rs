//! What runs allow to say of an expectation that may fail in a share of the seeds (`in 90% of seeds`).
//!
//! Exact binomial bounds (Clopper and Pearson 1934): it is shown once so many runs would hold it by chance hardly ever
//! if it held in less than its share of the seeds, and ruled out once so few would hold it hardly ever if it held in
//! its share. Between the two the runs are too few to tell.

use crate::analysis::judge::Judgement;
use crate::analysis::statistics::binomial::{at_least, at_most};
use crate::base::math;
use crate::measure::objective::Objective;
use crate::scenario::lower::Expectation;

/// What runs say of an expectation that must hold in a share of the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds in its share.
    Shown,
    /// It does not.
    RuledOut,
    /// The runs are too few to tell.
    Open,
    /// No run exercised it, and it holds if none does.
    Idle,
}

/// An expectation that has to hold in a share of the runs of a case, and what they say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InShare {
    /// The place of the case.
    pub case: usize,
    /// Its place among the expectations of the case.
    pub at: usize,
    /// As written.
    pub text: String,
    /// Runs that held it.
    pub held: usize,
    /// Of so many that count.
    pub counted: usize,
    /// What they say.
    pub standing: Standing,
}

/// How often confirming runs are looked at, twice as many each time, until it is known what holds in its share.
pub const LOOKS: u32 = 3;

/// What runs say, at the n-th attempt to confirm something with this confidence, of expectations: place of the case,
/// place in it, and how each of its runs fared. Any of them may be said wrongly at any look, all together no more often
/// than the attempt may err.
pub fn standings(
    expectations: Vec<(usize, usize, Expectation, Vec<Judgement>)>,
    confidence: f64,
    attempt: u32,
) -> Vec<InShare> {
    let chances = expectations.len() as f64 * f64::from(LOOKS) * math::exp(f64::from(attempt) * math::ln(2.0));
    let level = (1.0 - confidence) / chances;
    let said = |(case, at, expectation, runs): (usize, usize, Expectation, Vec<Judgement>)| {
        let (held, counted) = held(&expectation.objective, &runs);
        let standing = standing(&expectation.objective, &runs, level);
        InShare { case, at, text: expectation.text.to_string(), held, counted, standing }
    };
    expectations.into_iter().map(said).collect()
}

/// What these runs say of an objective, where either may be said wrongly with a chance of `level`.
fn standing(objective: &Objective, runs: &[Judgement], level: f64) -> Standing {
    let (held, counted) = held(objective, runs);
    match counted {
        0 => Standing::Idle,
        _ if at_least(held, counted, objective.quorum) <= level => Standing::Shown,
        _ if at_most(held, counted, objective.quorum) <= level => Standing::RuledOut,
        _ => Standing::Open,
    }
}

/// Runs that held an objective, and those that count: all, or all that exercised it if it says so.
fn held(objective: &Objective, runs: &[Judgement]) -> (usize, usize) {
    let count = |wanted: Judgement| runs.iter().filter(|judgement| **judgement == wanted).count();
    let idle = if objective.if_exercised { count(Judgement::NotExercised) } else { 0 };
    (count(Judgement::Pass), runs.len() - idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, (held, failed, idle): (usize, usize, usize)) -> Standing {
        let objective = Objective::parse(text, &[]).unwrap();
        let some = |judgement, count| std::iter::repeat_n(judgement, count);
        let runs =
            some(Judgement::Pass, held).chain(some(Judgement::Fail, failed)).chain(some(Judgement::NotExercised, idle));
        standing(&objective, &runs.collect::<Vec<_>>(), 0.05)
    }

    #[test]
    fn few_runs_neither_show_nor_rule_out() {
        let half = "placement.queued == 0 in 50% of seeds";
        // A half to the fifth is less than 5 %, to the fourth it is more.
        for (runs, expected) in [
            ((1, 0, 0), Standing::Open),
            ((0, 1, 0), Standing::Open),
            ((4, 0, 0), Standing::Open),
            ((5, 0, 0), Standing::Shown),
            ((0, 4, 0), Standing::Open),
            ((0, 5, 0), Standing::RuledOut),
            ((0, 0, 5), Standing::RuledOut),
            ((51, 49, 0), Standing::Open),
            ((59, 41, 0), Standing::Shown),
            ((41, 59, 0), Standing::RuledOut),
        ] {
            assert_eq!(of(half, runs), expected, "{runs:?}");
        }
        let exercised = "placement.queued == 0 in 50% of seeds if exercised";
        assert_eq!(of(exercised, (5, 0, 90)), Standing::Shown);
        assert_eq!(of(exercised, (0, 0, 5)), Standing::Idle);
        // No number of runs below 29 shows nine tenths.
        let nine = "placement.queued == 0 in 90% of seeds";
        assert_eq!((of(nine, (28, 0, 0)), of(nine, (29, 0, 0))), (Standing::Open, Standing::Shown));
    }
}
