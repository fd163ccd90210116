//! Whether a scheduler places worse than it did: every workload against its baseline, by [`crate::analysis::compare`].
//!
//! The level of the comparison is shared out over the workloads, so that a suite of any size raises a false alarm in at
//! most one of twenty comparisons.

use std::collections::BTreeMap;

use crate::analysis::compare::{CompareError, Comparison, Gate, Tolerances, compare, listed};
use crate::analysis::quality::{Figure, Scores};
use crate::analysis::summary::{Metric, Run, SCHEMA, Summary};

/// One workload against its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The workload.
    pub workload: String,
    /// The comparison of its figures.
    pub comparison: Comparison,
    /// Figures that had data in every seed of the baseline that is run, and have none any more.
    pub lost: Vec<String>,
    /// Figures that the baseline has nothing of: nobody looks after them.
    pub unguarded: Vec<String>,
    /// Laws that were broken, and how.
    pub broken: Vec<String>,
}

impl Judged {
    /// Whether it should fail a build.
    pub fn is_worse(&self) -> bool {
        self.comparison.regressed() || !self.lost.is_empty() || !self.broken.is_empty()
    }

    /// Whether it cannot be told, because the seeds are too few or the baseline has holes.
    pub fn is_undecided(&self) -> bool {
        !self.is_worse() && (self.comparison.undecided(Gate::Regression) || !self.unguarded.is_empty())
    }
}

/// Why a workload cannot be compared with its baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The scenario was changed after its baseline.
    #[error("the workload `{workload}` has changed since its baseline was written")]
    Changed {
        /// Which.
        workload: String,
    },
    /// The workload runs seeds that the baseline has nothing of.
    #[error("the baseline of `{workload}` has seeds {baseline}, and the workload runs {now}")]
    Fewer {
        /// Which.
        workload: String,
        /// Its baseline's.
        baseline: String,
        /// Its own.
        now: String,
    },
    /// No seed in common.
    #[error("workload `{workload}`: {cause}")]
    Seeds {
        /// Which.
        workload: String,
        /// The seeds.
        cause: CompareError,
    },
}

/// Judges workloads, each beside its baseline.
pub fn judge(baselines: &[Scores], now: &[Scores]) -> Result<Vec<Judged>, Mismatch> {
    let default = Tolerances::default();
    let tolerances = Tolerances { level: default.level / now.len().max(1) as f64, ..default };
    baselines.iter().zip(now).map(|(before, after)| judge_one(before, after, &tolerances)).collect()
}

fn judge_one(before: &Scores, after: &Scores, tolerances: &Tolerances) -> Result<Judged, Mismatch> {
    let workload = after.workload.clone();
    if before.workload != after.workload || before.digest != after.digest {
        return Err(Mismatch::Changed { workload });
    }
    if after.seeds.iter().any(|seed| !before.seeds.contains(seed)) {
        let (baseline, now) = (listed(&before.seeds), listed(&after.seeds));
        return Err(Mismatch::Fewer { workload, baseline, now });
    }
    match compare(&summary(before), &summary(after), tolerances) {
        Ok(comparison) => Ok(Judged {
            workload,
            comparison,
            lost: lost(before, after),
            unguarded: without(with_data(after).map(name), before),
            broken: after.broken.clone(),
        }),
        Err(cause) => Err(Mismatch::Seeds { workload, cause }),
    }
}

/// Figures that have data in all of the seeds that are run now, and have none any more. What has data in a part of them
/// may have it in others by chance: that is judged as the presence of its metric is.
fn lost(before: &Scores, after: &Scores) -> Vec<String> {
    let is_run = |(seed, _): &(&u64, &Option<f64>)| after.seeds.contains(seed);
    let is_always = |figure: &&Figure| {
        let mut values = before.seeds.iter().zip(&figure.values).filter(is_run);
        values.all(|(_, value)| value.is_some())
    };
    without(before.figures.iter().filter(is_always).map(name), after)
}

/// Those of these figures that have no data in the scores.
fn without(names: impl Iterator<Item = String>, scores: &Scores) -> Vec<String> {
    let kept: Vec<String> = with_data(scores).map(name).collect();
    names.filter(|name| !kept.contains(name)).collect()
}

fn with_data(scores: &Scores) -> impl Iterator<Item = &Figure> {
    scores.figures.iter().filter(|figure| figure.values.iter().any(Option::is_some))
}

fn name(figure: &Figure) -> String {
    format!("{} {}", figure.metric, figure.statistic)
}

/// Scores as the result of a scenario, with nothing in it but these figures.
fn summary(scores: &Scores) -> Summary {
    let run = |(place, seed): (usize, &u64)| {
        let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
        for figure in &scores.figures {
            let new = || Metric { unit: figure.unit.clone(), count: None, unended: None, figures: BTreeMap::new() };
            let metric = metrics.entry(figure.metric.clone()).or_insert_with(new);
            match figure.values[place] {
                None => {}
                Some(value) if value.is_infinite() => metric.unended = Some(1),
                Some(value) => drop(metric.figures.insert(figure.statistic.clone(), value)),
            }
        }
        Run {
            seed: *seed,
            digest: String::new(),
            simulated_s: 0.0,
            events: 0,
            case: String::new(),
            metrics,
            failovers: Vec::new(),
            unplaced: Vec::new(),
            operators_refused: Vec::new(),
            expectations: Vec::new(),
            invariants: Vec::new(),
        }
    };
    Summary {
        schema: SCHEMA,
        cossim: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: scores.workload.clone(),
        scenario_digest: scores.digest.clone(),
        file: String::new(),
        set: Vec::new(),
        asked_seeds: None,
        passed: true,
        runs: scores.seeds.iter().enumerate().map(run).collect(),
        across_runs: BTreeMap::new(),
        recoveries: Vec::new(),
        stopping: None,
        cases: Vec::new(),
        expectations: Vec::new(),
        assumed: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::compare::Verdict;

    fn scores(figures: &[(&str, &str, Vec<Option<f64>>)]) -> Scores {
        let figure = |(metric, statistic, values): &(&str, &str, Vec<Option<f64>>)| Figure {
            metric: (*metric).to_owned(),
            statistic: (*statistic).to_owned(),
            unit: "allocs".to_owned(),
            values: values.clone(),
        };
        let figures = figures.iter().map(figure).collect();
        Scores {
            workload: "w".to_owned(),
            digest: "d".to_owned(),
            seeds: (1..=16).collect(),
            figures,
            broken: Vec::new(),
        }
    }

    fn shifted(by: f64) -> Vec<Option<f64>> {
        (0..16).map(|seed| Some(100.0 + f64::from(seed % 5) + by)).collect()
    }

    fn judged(before: &Scores, after: &Scores) -> Vec<Judged> {
        judge(std::slice::from_ref(before), std::slice::from_ref(after)).expect("they belong together")
    }

    #[test]
    fn figures_get_worse_as_their_metric_does() {
        let of = |queued: f64, fit: f64, running: Option<f64>| {
            scores(&[
                ("placement.queued{region=r}", "mean", shifted(queued)),
                ("placement.largest_fit.cpu{region=r}", "mean", shifted(fit)),
                ("placement.time_to_running{region=r}", "p99", vec![running; 16]),
            ])
        };
        let before = of(0.0, 0.0, Some(7.0));
        let verdicts = |after: &Scores| {
            let judged = judged(&before, after);
            judged[0].comparison.rows.iter().map(|row| row.verdict).collect::<Vec<_>>()
        };
        let (worse, better, same) = (Verdict::Regression, Verdict::Improvement, Verdict::Same);
        assert_eq!(
            verdicts(&of(5.0, 5.0, Some(7.0))),
            [better, worse, same],
            "by metric: the fit, the queue, the wait"
        );
        assert_eq!(verdicts(&of(-5.0, -5.0, Some(f64::INFINITY))), [worse, better, worse]);
        assert!(judged(&before, &before)[0].comparison.identical);
        let lost = judged(&before, &of(0.0, 0.0, None)).remove(0);
        assert_eq!((lost.is_worse(), &*lost.lost[0]), (true, "placement.time_to_running{region=r} p99"));
        let broken = Scores { broken: vec!["scheduler.capacity in seed 2".to_owned()], ..before.clone() };
        let broken = judged(&before, &broken).remove(0);
        assert!(broken.comparison.identical && broken.is_worse(), "a law that is broken is no quality");
    }

    /// What one seed of sixteen has by chance, none may have; what fifteen have, none no longer has by chance.
    #[test]
    fn what_few_seeds_had_is_not_lost_for_certain() {
        let of = |seeds: usize| {
            let values = (0..16).map(|at| (at < seeds).then_some(7.0)).collect();
            let kept = ("placement.queued{region=r}", "mean", shifted(0.0));
            scores(&[kept, ("placement.time_to_running{region=r}", "p99", values)])
        };
        let fares = |before: usize| {
            let found = judged(&of(before), &of(0)).remove(0);
            let wait = found.comparison.exact.iter().find(|exact| exact.what.starts_with("placement.time_to_running"));
            (found.lost.len(), found.is_worse(), wait.map(|exact| exact.verdict))
        };
        let (silent, worse) = (Some(Verdict::NoEvidence), Some(Verdict::Regression));
        assert_eq!([fares(1), fares(15), fares(16)], [(0, false, silent), (0, true, worse), (1, true, worse)]);
    }

    /// Four seeds of sixteen that became worse, or whose work never runs any more, are too few to tell, and no pass.
    #[test]
    fn few_seeds_that_became_worse_are_undecided() {
        let of = |by: &dyn Fn(u64) -> f64| {
            let values = (1..=16).map(|seed| Some(100.0 + by(seed))).collect();
            scores(&[("placement.time_to_running{region=r}", "p99", values)])
        };
        let before = of(&|_| 0.0);
        let fares = |by: f64| {
            let found = judged(&before, &of(&|seed| if seed % 4 == 0 { by } else { 0.0 })).remove(0);
            (found.is_worse(), found.is_undecided())
        };
        assert_eq!([fares(50.0), fares(f64::INFINITY)], [(false, true); 2]);
        assert_eq!([fares(-50.0), fares(0.5)], [(false, false); 2], "better, or within the tolerance");
        // All others became better, and that is significant.
        let better = of(&|seed| if seed % 4 == 0 { f64::INFINITY } else { -50.0 });
        let found = judged(&before, &better).remove(0);
        assert!(found.is_undecided() && found.comparison.unended.len() == 1, "{found:?}");
    }

    #[test]
    fn only_the_same_work_is_compared() {
        let before = scores(&[("placement.queued{region=r}", "mean", shifted(0.0))]);
        let changed = Scores { digest: "e".to_owned(), ..before.clone() };
        let others = Scores { seeds: (17..=32).collect(), ..before.clone() };
        let judge = |after| judge(std::slice::from_ref(&before), &[after]).expect_err("they differ").to_string();
        assert_eq!(judge(changed), "the workload `w` has changed since its baseline was written");
        assert_eq!(judge(others), "the baseline of `w` has seeds 1–16, and the workload runs 17–32");
    }

    /// A baseline that lost lines or seeds guards nothing of what they were about.
    #[test]
    fn holes_in_a_baseline_are_no_pass() {
        let now = scores(&[
            ("placement.queued{region=r}", "mean", shifted(0.0)),
            ("placement.time_to_running{region=r}", "p50", shifted(0.0)),
        ]);
        let mut cut_off = now.clone();
        cut_off.figures.truncate(1);
        let found = judged(&cut_off, &now).remove(0);
        assert_eq!(found.unguarded, ["placement.time_to_running{region=r} p50"]);
        assert!(found.is_undecided() && !found.is_worse(), "{found:?}");
        assert!(!judged(&now, &now)[0].is_undecided());
        let mut one_seed = now.clone();
        one_seed.seeds.truncate(1);
        one_seed.figures.iter_mut().for_each(|figure| figure.values.truncate(1));
        let error = judge(std::slice::from_ref(&one_seed), std::slice::from_ref(&now)).expect_err("seeds are missing");
        assert_eq!(error.to_string(), "the baseline of `w` has seeds 1, and the workload runs 1–16");
        // The other way round, fewer are run, which an edit may ask for.
        assert!(judge(&[now], &[one_seed]).expect("one is common")[0].is_undecided());
    }
}
