//! `sweep.json`: everything a sweep comes to but its single runs, versioned by `schema`.

use serde::Serialize;

use crate::analysis::sensitivity::sobol::{Index, Share};
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::table::Swept;

/// The version of this format; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SweepSummary {
    /// Version of this format.
    pub schema: u32,
    /// Version of cossim.
    pub cossim: String,
    /// Fingerprint of the sweep: scenario, files, values, seeds, version.
    pub sweep: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// Changes made to it (`--set`), in order.
    pub set: Vec<String>,
    /// What varies (`--vary`), in order.
    pub vary: Vec<String>,
    /// How points are chosen: `grid`, `list`, `lhs`, `morris` or `sobol`.
    pub design: String,
    /// Points, trajectories or rows of a design that samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Seed of the design.
    pub design_seed: u64,
    /// Seeds run at each point.
    pub seeds: Vec<u64>,
    /// What was measured.
    pub measures: Vec<Measure>,
    /// What was expected.
    pub expectations: Vec<String>,
    /// Violations of invariants over all runs.
    pub violations: u64,
    /// What each point came to, in the order of the design.
    pub points: Vec<Point>,
    /// What it teaches.
    pub findings: Taught,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Measure {
    /// As `failover.replace max`.
    pub measure: String,
    /// Unit of its figures.
    pub unit: String,
}

/// A point.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Point {
    /// From 0.
    pub point: usize,
    /// Value of each dimension, as written.
    pub values: Vec<String>,
    /// By measure.
    pub measures: Vec<Figure>,
    /// By expectation.
    pub expectations: Vec<Holds>,
}

/// A measure at a point.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Figure {
    /// Mean over the seeds that have a value; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// 95 % interval of the mean (Student's t over seeds, within the range of the unit); absent with fewer than three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
    /// Seeds with a value.
    pub seeds: usize,
    /// Seeds in which the wait had not ended with the run.
    pub never: usize,
    /// The difference to the first point; absent there, and without a seed that has a value at both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_first: Option<FromFirst>,
}

/// How far a measure is from the first point, within seeds.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FromFirst {
    /// Mean over the seeds that have a value at both points of the value here minus that there.
    pub mean: f64,
    /// 95 % interval of the mean (Student's t over seeds); absent with fewer than three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
    /// Seeds with a value at both.
    pub seeds: usize,
}

/// An expectation at a point.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Holds {
    /// `pass`, `fail`, or `not exercised` if too few seeds have anything to judge.
    pub verdict: String,
    /// Whether it counts as met; one that is not exercised does only if it says `if exercised`.
    pub met: bool,
    /// Seeds in which it held.
    pub passed: usize,
    /// Seeds in which it did not.
    pub failed: usize,
    /// Seeds without anything to judge.
    pub not_exercised: usize,
}

/// What a sweep teaches.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Taught {
    /// In sentences.
    pub sentences: Vec<String>,
    /// Expectations that stop to hold at a value.
    pub flips: Vec<FlipsAt>,
    /// Values that decide whether a measure ends at all, of a Morris design.
    pub ends: Vec<EndsBy>,
    /// Elementary effects, of a Morris design.
    pub effects: Vec<EffectOf>,
    /// Shares of variance, of a Sobol design.
    pub shares: Vec<ShareOf>,
    /// Shares of the variance of whether a measure ends at all, of a Sobol design.
    pub ends_shares: Vec<ShareOf>,
    /// Assumed values the results rest on.
    pub assumed: Vec<Assumed>,
}

/// An expectation that stops to hold at a value.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FlipsAt {
    /// The expectation.
    pub expectation: String,
    /// Of which path the value is.
    pub path: String,
    /// Unit of the values.
    pub unit: String,
    /// Largest value below the cut.
    pub below: f64,
    /// Smallest value above it.
    pub above: f64,
    /// Whether it holds below and fails above; the other way round if false.
    pub holds_below: bool,
    /// Points that agree.
    pub agree: usize,
    /// Points that exercise the expectation; the others say nothing of it.
    pub points: usize,
}

/// How often moves of one input changed whether a measure ends at all: in every seed on one side, not in every seed on
/// the other.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndsBy {
    /// The measure.
    pub measure: String,
    /// The input.
    pub path: String,
    /// Moves that changed it.
    pub turned: usize,
    /// All moves.
    pub moves: usize,
}

/// The effects of one input on one measure, per whole range of the input.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EffectOf {
    /// The measure.
    pub measure: String,
    /// The input.
    pub path: String,
    /// Mean.
    pub mu: f64,
    /// Mean of absolute effects.
    pub mu_star: f64,
    /// 95 % interval of that; absent with fewer than three effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mu_star_ci95: Option<[f64; 2]>,
    /// Standard deviation.
    pub sigma: f64,
    /// Effects behind it.
    pub count: usize,
}

/// The share of one input in the variance of one measure.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShareOf {
    /// The measure.
    pub measure: String,
    /// The input.
    pub path: String,
    /// First-order index: alone.
    pub first: f64,
    /// 95 % interval; absent with fewer than three rows, or if resamples agree on what cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ci95: Option<[f64; 2]>,
    /// Total index: alone and together with others.
    pub total: f64,
    /// 95 % interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ci95: Option<[f64; 2]>,
}

/// An assumed value.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Assumed {
    /// The parameter.
    pub path: String,
    /// Its value in the scenario before anything is varied.
    pub value: String,
    /// Why it was assumed.
    pub why: String,
    /// Whether it was varied here.
    pub varied: bool,
    /// The measure it influences most; absent unless a Sobol design varies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_on: Option<String>,
    /// Its total share in the variance of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl SweepSummary {
    /// The summary of a sweep.
    pub fn new(swept: &Swept, findings: &Findings) -> Self {
        let (plan, readings) = (&swept.sweep.plan, &swept.sweep.readings);
        Self {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            sweep: swept.digest.clone(),
            scenario: swept.sweep.name.clone(),
            file: plan.file.clone(),
            set: plan.edits.clone(),
            vary: plan.vary.clone(),
            design: plan.design.name().to_owned(),
            samples: plan.design.samples(),
            design_seed: plan.design_seed,
            seeds: plan.seeds.clone(),
            measures: readings
                .measures
                .iter()
                .map(|measure| Measure { measure: measure.measured(), unit: measure.unit().to_owned() })
                .collect(),
            expectations: readings.expectations.iter().map(|(text, ..)| text.clone()).collect(),
            violations: swept.violations(),
            points: (0..swept.points()).map(|index| point(swept, index)).collect(),
            findings: taught(swept, findings),
        }
    }

    /// The file's text, ending in a newline.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a tree of strings and finite numbers");
        text.push('\n');
        text
    }
}

fn point(swept: &Swept, point: usize) -> Point {
    let readings = &swept.sweep.readings;
    let holds = |expectation: usize| {
        let held = swept.held(point, expectation);
        let verdict = held.overall.name().to_owned();
        Holds { verdict, met: held.met, passed: held.passed, failed: held.failed, not_exercised: held.idle }
    };
    Point {
        point,
        values: swept.sweep.layout.values[point].clone(),
        measures: (0..readings.measures.len()).map(|measure| figure(swept, point, measure)).collect(),
        expectations: (0..readings.expectations.len()).map(holds).collect(),
    }
}

fn figure(swept: &Swept, point: usize, measure: usize) -> Figure {
    let pair = |interval: Option<(f64, f64)>| interval.map(|(low, high)| [nine(low), nine(high)]);
    let estimate = swept.estimate(point, measure);
    let from_first = swept.difference(point, measure).map(|found| FromFirst {
        mean: nine(found.mean),
        ci95: pair(found.interval),
        seeds: found.seeds,
    });
    Figure {
        mean: estimate.mean.map(nine),
        ci95: pair(estimate.interval),
        seeds: estimate.seeds,
        never: estimate.never,
        from_first,
    }
}

fn taught(swept: &Swept, findings: &Findings) -> Taught {
    let path = |dimension: usize| swept.sweep.dimensions[dimension].path.clone();
    let measure = |measure: usize| swept.sweep.readings.measures[measure].measured();
    let pair = |interval: Option<(f64, f64)>| interval.map(|(low, high)| [nine(low), nine(high)]);
    let flips = findings.flips.iter().map(|flip| FlipsAt {
        expectation: swept.sweep.readings.expectations[flip.expectation].0.clone(),
        path: path(flip.dimension),
        unit: flip.unit.clone(),
        below: nine(flip.cut.below),
        above: nine(flip.cut.above),
        holds_below: flip.cut.holds_below,
        agree: flip.cut.agree,
        points: flip.cut.points,
    });
    let effects = findings.screenings.iter().flat_map(|screening| {
        screening.effects.iter().enumerate().filter_map(move |(dimension, effect)| {
            effect.map(|effect| EffectOf {
                measure: measure(screening.measure),
                path: path(dimension),
                mu: nine(effect.mean),
                mu_star: nine(effect.mean_absolute),
                mu_star_ci95: pair(effect.interval),
                sigma: nine(effect.deviation),
                count: effect.count,
            })
        })
    });
    let share = |share: Share| (nine(share.value), pair(share.interval));
    let of = |of: usize, indices: &Option<Vec<Index>>| -> Vec<ShareOf> {
        let one = |(dimension, index): (usize, &Index)| {
            let ((first, first_ci95), (total, total_ci95)) = (share(index.first), share(index.total));
            ShareOf { measure: measure(of), path: path(dimension), first, first_ci95, total, total_ci95 }
        };
        indices.iter().flatten().enumerate().map(one).collect()
    };
    let ends = findings.screenings.iter().flat_map(|screening| {
        let turned = screening.ends.iter().enumerate().filter(|(_, turns)| turns.turned > 0);
        turned.map(move |(dimension, turns)| EndsBy {
            measure: measure(screening.measure),
            path: path(dimension),
            turned: turns.turned,
            moves: turns.moves,
        })
    });
    let assumed = findings.assumed.iter().map(|assumption| Assumed {
        path: assumption.parameter.path.clone(),
        value: assumption.parameter.value.clone(),
        why: assumption.parameter.source.to_owned(),
        varied: assumption.dimension.is_some(),
        most_on: assumption.largest_share.map(|(of, _)| measure(of)),
        share: assumption.largest_share.map(|(_, share)| nine(share)),
    });
    Taught {
        sentences: findings.sentences.clone(),
        flips: flips.collect(),
        ends: ends.collect(),
        effects: effects.collect(),
        shares: findings.shares.iter().flat_map(|shares| of(shares.measure, &shares.indices)).collect(),
        ends_shares: findings.shares.iter().flat_map(|shares| of(shares.measure, &shares.ends)).collect(),
        assumed: assumed.collect(),
    }
}

/// Nine significant digits: what is left out is the noise of last bits.
pub(super) fn nine(figure: f64) -> f64 {
    if !figure.is_finite() {
        return 0.0;
    }
    // Adding zero turns a negative zero into a plain one.
    format!("{figure:.8e}").parse::<f64>().expect("a formatted number is a number") + 0.0
}
