//! A comparison for programs; stable, versioned by `schema`.

use serde::Serialize;

use super::Account;
use crate::analysis::compare::{Exact, Row, Side};
use crate::analysis::summary::rounded;

/// The version of this format; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 2;

/// The whole of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    /// Version of this format.
    pub schema: u32,
    /// `regression`, `undecided` (too few seeds to tell; with `--fail-on difference`, and nothing that it fails for),
    /// `identical`, `identical runs, other expectations`, `improvement`, `moved`, `different in what is measured`,
    /// `different, within tolerance` or `no evidence of a difference`; the first of these that holds.
    pub verdict: String,
    /// What is compared with.
    pub base: Result,
    /// What is compared.
    pub head: Result,
    /// Seeds of both, which are paired.
    pub seeds: Vec<u64>,
    /// Seeds of the base alone; left out.
    pub seeds_only_in_base: Vec<u64>,
    /// Seeds of the head alone; left out.
    pub seeds_only_in_head: Vec<u64>,
    /// Figures that were tested together.
    pub tested: usize,
    /// How many of them could have been significant after correction, had they been as clear as can be.
    pub tested_able: usize,
    /// Seeds it takes for any to be, if what moved does so in as large a part of them; absent if there are enough, and
    /// if nothing that was tested became worse (or other, with `--fail-on difference`) by more than is tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds_needed: Option<usize>,
    /// Chance of even one false alarm among them, in percent.
    pub level: f64,
    /// What a reader should know before trusting it.
    pub caveats: Vec<String>,
    /// Figures of metrics; none if the runs are identical. Those that repeat another one are among them.
    pub figures: Vec<Figure>,
    /// Laws and expectations that fared differently, expectations that the head has lost, and metrics that it measured
    /// and waits that ended in fewer or more seeds.
    pub exact: Vec<Fared>,
    /// Metrics that the base has in every seed and the head in none, but for those that the tolerances ignore.
    pub metrics_only_in_base: Vec<String>,
    /// Metrics that the head has in every seed and the base in none, but for those that the tolerances ignore.
    pub metrics_only_in_head: Vec<String>,
    /// Expectations that only the base has.
    pub expectations_only_in_base: Vec<String>,
    /// Expectations that only the head has.
    pub expectations_only_in_head: Vec<String>,
    /// Placement decisions that changed, by seed and then by time; absent if they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Vec<Decision>>,
}

/// One of the two results.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Result {
    /// As it was named on the command line.
    pub named: String,
    /// Scenario.
    pub scenario: String,
    /// Fingerprint of the scenario and the files it names.
    pub scenario_digest: String,
    /// Version of cossim.
    pub cossim: String,
    /// The scenario file.
    pub file: String,
    /// Changes made to it.
    pub set: Vec<String>,
}

/// One figure. Values are in `unit`; those that never ended are null.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Figure {
    /// Key of the metric.
    pub metric: String,
    /// As `p99`.
    pub statistic: String,
    /// Unit.
    pub unit: String,
    /// Which way is worse: `more`, `less` or `neither`.
    pub worse: String,
    /// `regression`, `improvement`, `moved`, `tolerated`, `no evidence` or `same`.
    pub verdict: String,
    /// Seeds in which both sides have it.
    pub pairs: usize,
    /// Seeds in which only one side has it; left out.
    pub unpaired: usize,
    /// Median over seeds of the base.
    pub base: Option<f64>,
    /// Median over seeds of the head.
    pub head: Option<f64>,
    /// How far it moved, head minus base within a seed, and what is held to the tolerance: the Hodges-Lehmann estimate
    /// over the seeds that moved, or the mean over all seeds if that is further out on the same side. Null, too, if it
    /// ended on neither side and moved neither way: that is no difference of 0.
    pub effect: Option<f64>,
    /// Seeds in which it moved, of the pairs.
    pub moved: usize,
    /// Its 95 % interval (BCa bootstrap over seeds); absent with one pair, and if it ended on neither side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[Option<f64>; 2]>,
    /// Tolerated move.
    pub tolerance: f64,
    /// Probability of such differences by chance (Wilcoxon); absent if not tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The same, corrected for the number of figures (Holm).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_holm: Option<f64>,
    /// Effect these pairs would have shown in four of five cases; absent if so few can show none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest_detectable: Option<f64>,
    /// Variance of two unpaired results over that of the pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance_reduction: Option<f64>,
    /// The figure of this list that it repeats in every seed, as `plan.wait{region=a} p50`; it counts once. Absent if
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
}

/// A law, an expectation, or whether a metric was measured or a wait ended.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fared {
    /// Its name or text.
    pub what: String,
    /// How it fared in the base.
    pub base: String,
    /// In the head.
    pub head: String,
    /// `regression` or `improvement`; `moved` for runs that should have been equal, for laws that are not checked any
    /// more, for metrics that are measured in more seeds, and for expectations that fared otherwise, neither better
    /// nor worse; `tolerated` for metrics that may vanish; `no evidence` where so many seeds may be chance.
    pub verdict: String,
}

/// A placement that came out otherwise.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Decision {
    /// The seed.
    pub seed: u64,
    /// Region.
    pub region: String,
    /// As `shop.web[3]`.
    pub name: String,
    /// How often the name had been placed before in the run.
    pub before: usize,
    /// Where and when the base placed it; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Place>,
    /// Where and when the head did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Place>,
    /// Why, as far as the results tell.
    pub reason: String,
}

/// Where and when.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The machine.
    pub machine: String,
    /// When, in seconds.
    pub at_s: f64,
}

/// The text, ending in a newline.
pub fn render(account: &Account) -> String {
    let mut text = serde_json::to_string_pretty(&document(account)).expect("a tree of strings and finite numbers");
    text.push('\n');
    text
}

fn document(account: &Account) -> Document {
    let comparison = &account.comparison;
    let unmatched =
        |base: bool| comparison.unmatched.iter().filter(|(_, of)| *of == base).map(|(key, _)| key.clone()).collect();
    let unmatched_expectations = |base: bool| {
        let of = comparison.unmatched_expectations.iter().filter(|(_, of)| *of == base);
        of.map(|(text, _)| text.clone()).collect()
    };
    let place = |place: &Option<(String, f64)>| {
        place.as_ref().map(|(machine, at)| Place { machine: machine.clone(), at_s: *at })
    };
    let decisions = account.decisions.as_ref().ok().map(|changed| {
        let decision = |changed: &crate::analysis::compare::decisions::Changed| Decision {
            seed: changed.seed,
            region: changed.region.clone(),
            name: changed.name.clone(),
            before: changed.before,
            base: place(&changed.base),
            head: place(&changed.head),
            reason: changed.reason.clone(),
        };
        changed.iter().map(decision).collect()
    });
    Document {
        schema: SCHEMA,
        verdict: account.word().to_owned(),
        base: side(&account.base, &comparison.base),
        head: side(&account.head, &comparison.head),
        seeds: comparison.seeds.clone(),
        seeds_only_in_base: comparison.only_base.clone(),
        seeds_only_in_head: comparison.only_head.clone(),
        tested: comparison.power.tested,
        tested_able: comparison.power.able,
        seeds_needed: comparison.seeds_needed(account.asked()),
        level: 100.0 * comparison.level,
        caveats: account.caveats(),
        figures: comparison.rows.iter().map(figure).collect(),
        exact: comparison.exact.iter().map(fared).collect(),
        metrics_only_in_base: unmatched(true),
        metrics_only_in_head: unmatched(false),
        expectations_only_in_base: unmatched_expectations(true),
        expectations_only_in_head: unmatched_expectations(false),
        decisions,
    }
}

fn side(named: &str, side: &Side) -> Result {
    Result {
        named: named.to_owned(),
        scenario: side.scenario.clone(),
        scenario_digest: side.scenario_digest.clone(),
        cossim: side.cossim.clone(),
        file: side.file.clone(),
        set: side.set.clone(),
    }
}

fn figure(row: &Row) -> Figure {
    let plain = |value: f64| rounded(value, &row.unit);
    let ended = |value: f64| value.is_finite().then(|| plain(value));
    Figure {
        metric: row.metric.clone(),
        statistic: row.statistic.to_owned(),
        unit: row.unit.clone(),
        worse: row.worse.name().to_owned(),
        verdict: row.verdict.name().to_owned(),
        pairs: row.pairs,
        unpaired: row.unpaired,
        base: ended(row.base),
        head: ended(row.head),
        effect: ended(row.effect).filter(|_| !row.is_never()),
        moved: row.moved,
        ci95: row.interval.filter(|_| !row.is_never()).map(|(low, high)| [ended(low), ended(high)]),
        tolerance: plain(row.tolerance),
        p: row.p.map(|(p, _)| rounded(p, "")),
        p_holm: row.p.map(|(_, p)| rounded(p, "")),
        smallest_detectable: row.detectable.map(plain),
        variance_reduction: row.gain.map(|gain| rounded(gain, "")),
        same_as: row.same_as.clone(),
    }
}

fn fared(exact: &Exact) -> Fared {
    Fared {
        what: exact.what.clone(),
        base: exact.base.clone(),
        head: exact.head.clone(),
        verdict: exact.verdict.name().to_owned(),
    }
}
