//! Two results of one scenario, or of two variants of it, compared seed by seed.
//!
//! The same seed draws the same arrivals, delays and faults on both sides (common random numbers), so the difference
//! within a seed says more than two means. Runs that are equal are said to be, and nothing is tested. Otherwise each
//! figure of each metric is taken per seed and paired: its effect, with a BCa interval over seeds, a signed-rank test,
//! Holm's correction over all figures that could be significant, and the smallest effect that so many seeds could have
//! shown. A figure is a regression if it is significant *and* moved the wrong way by more than its tolerance. Laws and
//! expectations are compared as runs judge them; whether a metric was measured at all, a wait ended and an expectation
//! was met is a yes or no of each seed.
//!
//! The effect that is shown is the one that is held to the tolerance: the estimate that belongs to the test, over the
//! seeds that moved, or the mean difference over all seeds if that is further out
//! ([`crate::analysis::statistics::shift`]). A median over all seeds would be zero wherever half of them are as they
//! were, however bad the others became.
//!
//! Figures that are the same to the last digit in every seed are one fact, and count once.
//!
//! A figure that falls on a wait that had not ended with its run counts as longer than any; it is kept in the ranks.
//! How many seeds have such waits is a question of its own.

pub mod decisions;
mod ended;
mod fared;
mod figures;
mod lost;
mod yes_no;

use crate::analysis::batch::Wish;
use crate::analysis::statistics::power::pairs_needed;
use crate::analysis::statistics::signed_rank::smallest_p;
use crate::analysis::summary::{Metric, Run, Summary};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::measure::catalogue::Worse;
use crate::measure::tolerance::is_worse;
pub use crate::measure::tolerance::{Limit, Tolerance, Tolerances};

use figures::{figure, rows};
use lost::presence;
use yes_no::Chance;

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What is compared with.
    pub base: Side,
    /// What is compared.
    pub head: Side,
    /// Seeds of both, in order.
    pub seeds: Vec<u64>,
    /// Seeds of the base alone; left out.
    pub only_base: Vec<u64>,
    /// Seeds of the head alone; left out.
    pub only_head: Vec<u64>,
    /// Whether every run of one is equal to that of the other: digests and figures. Then there are no rows.
    pub identical: bool,
    /// Figures, in order of metric and statistic; those that have data on both sides in some seed.
    pub rows: Vec<Row>,
    /// Laws and expectations that fared differently, what the head has lost, and metrics that were measured in other
    /// numbers of seeds.
    pub exact: Vec<Exact>,
    /// Metrics that one side has in every seed and the other in none, and whether that is the base; and statistics of
    /// metrics that both have. Not those that the tolerances ignore.
    pub unmatched: Vec<(String, bool)>,
    /// Metrics that the base has in every seed and the head in fewer than half of them, if that may be chance because
    /// the seeds are few.
    pub thinned: Vec<String>,
    /// Waits that ended in some seeds of the base and never in those of the head, if that may be chance because the
    /// seeds are few.
    pub unended: Vec<String>,
    /// Expectations that only one side has, and whether that is the base.
    pub unmatched_expectations: Vec<(String, bool)>,
    /// Tolerances that fit nothing that either side has measured, as they are written.
    pub idle: Vec<String>,
    /// How many figures were tested, and how many of them could have shown anything.
    pub power: Power,
    /// Chance of even one false alarm among them.
    pub level: f64,
}

/// What the tests of a comparison could have shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Power {
    /// Figures that were tested together: those that differ in some seed and have a bad direction.
    pub tested: usize,
    /// How many of them could have been significant after correction, had they been as clear as can be.
    pub able: usize,
}

/// What a comparison must not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Anything that became worse.
    Regression,
    /// Anything that became worse, better or other.
    Difference,
}

/// One of two results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Scenario.
    pub scenario: String,
    /// Its fingerprint.
    pub scenario_digest: String,
    /// Version of cossim.
    pub cossim: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// Changes made to it.
    pub set: Vec<String>,
}

/// One figure of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Key of the metric.
    pub metric: String,
    /// As `p99`.
    pub statistic: &'static str,
    /// Unit of every value here but shares and probabilities.
    pub unit: String,
    /// Which way it gets worse.
    pub worse: Worse,
    /// Seeds in which both sides have it.
    pub pairs: usize,
    /// Seeds in which only one side has it; left out.
    pub unpaired: usize,
    /// Median over these seeds on the base's side; infinite if it never ended in most.
    pub base: f64,
    /// The same of the head.
    pub head: f64,
    /// How far it moved, head minus base within a seed: over the seeds that moved, or the mean over all if that is
    /// further out. This is held to the tolerance.
    pub effect: f64,
    /// Seeds in which it moved, of the `pairs`.
    pub moved: usize,
    /// 95 % interval of the effect; `None` with one pair.
    pub interval: Option<(f64, f64)>,
    /// Tolerated move.
    pub tolerance: f64,
    /// Probability of such differences by chance, before and after correction; `None` if not tested: equal in every
    /// seed, or neither way is worse.
    pub p: Option<(f64, f64)>,
    /// Effect these pairs would have shown in four of five cases; `None` if so few can show none.
    pub detectable: Option<f64>,
    /// Variance of two unpaired results over that of the pairs: what the common random numbers gained.
    pub gain: Option<f64>,
    /// What it comes to.
    pub verdict: Verdict,
    /// The figure before it that it repeats, as `plan.wait{region=a} p50`: it comes to the same and is the same in
    /// every seed, or differs in the same way and is of the same metric. It is not counted again.
    pub same_as: Option<String>,
}

impl Row {
    /// Whether it ends neither in the base nor in the head in half of the seeds, and moved neither way: that is no
    /// difference of zero.
    pub fn is_never(&self) -> bool {
        self.base.is_infinite() && self.head.is_infinite() && self.effect.abs() <= 0.0
    }

    /// Whether it could not have been worse in more of its seeds, and yet they are too few for it to be significant.
    fn is_starved(&self, level: f64) -> bool {
        let clearest = smallest_p(self.pairs);
        let is_clear = self.p.is_some_and(|(p, _)| p <= clearest) && self.moved == self.pairs;
        // One way only: chance makes every seed worse in half of the cases in which it moves all of them one way.
        let is_rare = clearest / 2.0 <= level;
        self.verdict == Verdict::NoEvidence && is_clear && is_rare && self.is_beyond() && self.is_worse() == Some(true)
    }

    /// Whether it moved by more than its tolerance.
    fn is_beyond(&self) -> bool {
        self.effect.abs() > BEYOND * self.tolerance
    }

    /// Whether it moved for the worse; `None` if neither way is.
    fn is_worse(&self) -> Option<bool> {
        is_worse(self.effect, self.worse)
    }
}

/// How much further than its tolerance a figure must have moved: less is the rounding of a sum.
const BEYOND: f64 = 1.0 + 1e-9;

/// What a figure comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Significantly worse by more than the tolerance.
    Regression,
    /// Significantly better by more than the tolerance.
    Improvement,
    /// It moved by more than the tolerance and its interval is off zero, in every seed or in more than chance moves,
    /// but neither way is worse; not tested together with the others.
    Moved,
    /// Not significant.
    NoEvidence,
    /// Significant, and within the tolerance.
    Tolerated,
    /// Equal in every seed.
    Same,
}

impl Verdict {
    /// As in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Improvement => "improvement",
            Self::Moved => "moved",
            Self::NoEvidence => "no evidence",
            Self::Tolerated => "tolerated",
            Self::Same => "same",
        }
    }
}

/// A law or an expectation that fared differently, an expectation that the head has lost, or a metric that was measured
/// or a wait that ended in other numbers of seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    /// Its name or text.
    pub what: String,
    /// How it fared in the base.
    pub base: String,
    /// In the head.
    pub head: String,
    /// Regression or improvement; moved for runs that should have been equal, for laws that are no longer checked, for
    /// metrics that are measured more often, and for expectations that fared otherwise and neither better nor worse;
    /// tolerated for metrics that may vanish; no evidence where so many seeds may be chance.
    pub verdict: Verdict,
}

/// Why two results cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Nothing to pair.
    #[error("the two results have no seed in common: {base} against {head}")]
    NoCommonSeed {
        /// Seeds of the base.
        base: String,
        /// Seeds of the head.
        head: String,
    },
    /// Values that mean something else.
    #[error("`{metric}` is in `{base}` here and in `{head}` there")]
    Units {
        /// Key of the metric.
        metric: String,
        /// Its unit in the base, or in one of its runs.
        base: String,
        /// In the head, or in another run.
        head: String,
    },
    /// Nobody waits for it any more.
    #[error("interrupted: nothing was compared")]
    Interrupted,
    /// Results of two scenarios, where one was meant.
    #[error("the base is of scenario `{base}` and the head of `{head}`")]
    Scenarios {
        /// The base's.
        base: String,
        /// The head's.
        head: String,
    },
}

impl CompareError {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoCommonSeed { .. } => "run both with the same seeds, as with `--seeds 10`",
            Self::Units { .. } => {
                "run both with one cossim, or leave the metric out by `ignore: true` in a tolerance file"
            }
            Self::Interrupted => {
                "compare them again, with fewer seeds or with a tolerance file that ignores some metrics"
            }
            Self::Scenarios { .. } => "compare results of one scenario, or add `--across-scenarios` if that is meant",
        }
    }
}

/// Hears how many figures of how many are compared, and says whether to go on.
pub type Tick<'a> = dyn FnMut(usize, usize) -> Wish + 'a;

/// Compares the runs of the seeds that both have.
pub fn compare(base: &Summary, head: &Summary, tolerances: &Tolerances) -> Result<Comparison, CompareError> {
    compare_watched(base, head, tolerances, &mut |_, _| Wish::GoOn)
}

/// The same; `tick` hears before each figure how far it is. Many figures of thousands of seeds take a while.
pub fn compare_watched(
    base: &Summary,
    head: &Summary,
    tolerances: &Tolerances,
    tick: &mut Tick<'_>,
) -> Result<Comparison, CompareError> {
    let of = |summary: &Summary| summary.runs.iter().map(|run| run.seed).collect::<Vec<u64>>();
    let (base_seeds, head_seeds) = (of(base), of(head));
    let only = |own: &[u64], other: &[u64]| {
        let other: OrdSet<u64> = other.iter().copied().collect();
        own.iter().copied().filter(|seed| !other.contains(seed)).collect()
    };
    let of_head: OrdMap<u64, &Run> = head.runs.iter().rev().map(|run| (run.seed, run)).collect();
    let pairs: Vec<(&Run, &Run)> = base.runs.iter().filter_map(|run| Some((run, *of_head.get(&run.seed)?))).collect();
    if pairs.is_empty() {
        return Err(CompareError::NoCommonSeed { base: listed(&base_seeds), head: listed(&head_seeds) });
    }
    same_units(&pairs, tolerances)?;
    let identical = pairs.iter().all(|(base, head)| same(base, head));
    let (presence, expected) = (presence(&pairs), fared::expected(base, head, &pairs));
    let measured = presence.iter().filter(|(key, _)| !tolerances.ignores(key)).map(|(_, answers)| answers);
    let waits = ended::ended(&pairs, tolerances);
    let answered = measured.chain(waits.iter().map(|one| &one.answers)).chain(expected.iter().map(|one| &one.answers));
    let chance = Chance::of(answered, tolerances.level);
    let (lost, ended) = (lost::judge(&presence, &pairs, &chance, tolerances), ended::judge(&waits, &chance));
    let found = if identical { Some((Vec::new(), Power::default())) } else { rows(&pairs, tolerances, tick) };
    let (rows, power) = found.ok_or(CompareError::Interrupted)?;
    let exact = [
        fared::laws(&pairs),
        fared::expectations(&expected, &chance),
        unlike(base, head, &pairs).into_iter().collect(),
        lost.exact,
        ended::untold(ended.exact, &rows),
        fared::dropped(base, head, &pairs),
    ];
    Ok(Comparison {
        base: side(base),
        head: side(head),
        seeds: pairs.iter().map(|(base, _)| base.seed).collect(),
        only_base: only(&base_seeds, &head_seeds),
        only_head: only(&head_seeds, &base_seeds),
        identical,
        rows,
        exact: exact.concat(),
        unmatched: lost.unmatched,
        thinned: lost.thinned,
        unended: ended.unsure,
        unmatched_expectations: fared::unmatched(base, head),
        idle: idle(&[base, head], tolerances),
        power,
        level: tolerances.level,
    })
}

/// Refuses results of scenarios with different names.
pub fn same_scenario(base: &Summary, head: &Summary) -> Result<(), CompareError> {
    if base.scenario == head.scenario {
        return Ok(());
    }
    Err(CompareError::Scenarios { base: base.scenario.clone(), head: head.scenario.clone() })
}

impl Comparison {
    /// Whether anything became worse.
    pub fn regressed(&self) -> bool {
        self.verdicts().any(|verdict| verdict == Verdict::Regression)
    }

    /// Whether anything became worse, better or other, or is measured or expected on one side only.
    pub fn differs(&self) -> bool {
        let is_changed = |verdict: Verdict| verdict < Verdict::NoEvidence;
        !self.unmatched.is_empty() || !self.unmatched_expectations.is_empty() || self.verdicts().any(is_changed)
    }

    /// Whether every run is equal to its partner and the same is expected of them.
    pub fn is_same(&self) -> bool {
        self.identical && self.exact.is_empty() && self.unmatched_expectations.is_empty()
    }

    /// How many figures, laws, expectations and metrics that were measured more or less often come to this; figures
    /// that repeat another one count once.
    pub fn count(&self, wanted: Verdict) -> usize {
        self.count_figures(wanted) + self.exact.iter().filter(|exact| exact.verdict == wanted).count()
    }

    /// How many figures come to this; those that repeat another one count once.
    pub fn count_figures(&self, wanted: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == wanted && row.same_as.is_none()).count()
    }

    /// The most seeds in which any figure moved that this gate looks at: one that was tested, and became worse by more
    /// than is tolerated, or other for a gate that differences do not pass.
    pub fn seeds_moved(&self, gate: Gate) -> usize {
        let is_looked_at = |row: &&Row| {
            let is_of_gate = gate == Gate::Difference || row.is_worse() == Some(true);
            row.p.is_some() && row.is_beyond() && is_of_gate
        };
        self.rows.iter().filter(is_looked_at).map(|row| row.moved).max().unwrap_or(0)
    }

    /// Seeds it takes for a clear figure among these to be significant, if none moved in seeds enough and yet one moved
    /// that this gate looks at. Then nothing can be said for or against a regression, unless a law or an expectation
    /// tells. If it moved in a part of the seeds only, it is taken to move in the same part of more of them.
    pub fn seeds_needed(&self, gate: Gate) -> Option<usize> {
        let (moved, seeds) = (self.seeds_moved(gate), self.seeds.len());
        let needed = pairs_needed(self.level / self.power.tested.max(1) as f64);
        (self.power.able == 0 && moved > 0).then(|| (needed * seeds).div_ceil(moved))
    }

    /// Figures that became worse by more than is tolerated in every seed that has them, and whose seeds are too few for
    /// that to be significant, though it would be rare by chance if nothing else were compared.
    pub fn starved(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.same_as.is_none() && row.is_starved(self.level))
    }

    /// Whether fewer than half of the base's seeds are compared, because the head lacks the others: what was promised
    /// of the others nobody has looked at.
    pub fn lacks_seeds(&self) -> bool {
        2 * self.seeds.len() < self.seeds.len() + self.only_base.len()
    }

    /// Whether it cannot be told what this gate asks, as nothing makes it fail: there are differences and too few seeds
    /// to show any, or one that is as clear as can be; or most of the base's seeds are not compared, or most of a
    /// metric's; or too few seeds have waits that never end any more.
    pub fn undecided(&self, gate: Gate) -> bool {
        let is_short = self.seeds_needed(gate).is_some() || self.starved().next().is_some();
        let has_holes = self.lacks_seeds() || !self.thinned.is_empty() || !self.unended.is_empty();
        !self.fails(gate) && (is_short || has_holes)
    }

    /// Whether it does not pass this gate.
    pub fn fails(&self, gate: Gate) -> bool {
        self.regressed() || gate == Gate::Difference && self.differs()
    }

    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.rows.iter().map(|row| row.verdict).chain(self.exact.iter().map(|exact| exact.verdict))
    }
}

/// Seeds as a short list.
pub fn listed(seeds: &[u64]) -> String {
    let consecutive = seeds.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match seeds {
        [] => "none".to_owned(),
        [first, .., last] if consecutive && seeds.len() > 2 => format!("{first}–{last}"),
        several => several.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn side(summary: &Summary) -> Side {
    Side {
        scenario: summary.scenario.clone(),
        scenario_digest: summary.scenario_digest.clone(),
        cossim: summary.cossim.clone(),
        file: summary.file.clone(),
        set: summary.set.clone(),
    }
}

/// Whether two runs are the same run: every event, every figure, every law.
fn same(base: &Run, head: &Run) -> bool {
    base.digest == head.digest && base.metrics == head.metrics && base.invariants == head.invariants
}

/// Tolerances that fit no figure of these results.
fn idle(sides: &[&Summary], tolerances: &Tolerances) -> Vec<String> {
    let metrics = || sides.iter().flat_map(|side| &side.runs).flat_map(|run| &run.metrics);
    let has = |metric: &Metric, statistic: Option<&str>| statistic.is_none_or(|name| figure(metric, name).is_some());
    let fits = |entry: &&Tolerance| metrics().any(|(key, metric)| entry.is_about(key) && has(metric, entry.statistic));
    let mut idle: Vec<String> = Vec::new();
    for entry in tolerances.entries.iter().filter(|entry| !fits(entry)) {
        let written = entry.to_string();
        idle.extend((!idle.contains(&written)).then_some(written));
    }
    idle
}

/// Refuses results of which the same is not the same: a metric has one unit. One that is ignored may have any.
fn same_units(pairs: &[(&Run, &Run)], tolerances: &Tolerances) -> Result<(), CompareError> {
    let mut units: OrdMap<&str, &str> = OrdMap::new();
    for (key, metric) in pairs.iter().flat_map(|(base, head)| base.metrics.iter().chain(&head.metrics)) {
        let base = *units.entry(key).or_insert(&metric.unit);
        if base != metric.unit && !tolerances.ignores(key) {
            let (base, head) = (base.to_owned(), metric.unit.clone());
            return Err(CompareError::Units { metric: key.clone(), base, head });
        }
    }
    Ok(())
}

/// Runs of one scenario, version and seed that differ all the same; `None` if there are none.
fn unlike(base: &Summary, head: &Summary, pairs: &[(&Run, &Run)]) -> Option<Exact> {
    let differ = pairs.iter().filter(|(base, head)| !same(base, head)).count();
    let one = base.scenario_digest == head.scenario_digest && base.cossim == head.cossim;
    (one && differ > 0).then(|| Exact {
        what: "runs of the same scenario, version and seed".to_owned(),
        base: "equal".to_owned(),
        head: format!("{differ} of {} differ: another build of cossim made them, or files were edited", pairs.len()),
        verdict: Verdict::Moved,
    })
}

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod fared_tests;
