//! What `summary.json` holds, as plain data: made of an ensemble ([`make`]), printed by the reports, read back here
//! ([`read`]) so that finished runs can be compared. Stable, versioned by `schema`. What `sensitivity.json` holds is
//! beside it ([`sensitivity`]).
//!
//! The one place of this layer that knows serialisation. What later versions add is optional here, so that files of the
//! same schema stay readable.

pub mod checksums;
pub mod make;
pub mod read;
pub mod sensitivity;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// The version of this format; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// Version of this format.
    pub schema: u32,
    /// Version of cossim.
    pub cossim: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Fingerprint of the scenario and the job files it names.
    pub scenario_digest: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// Changes made to it (`--set`), in order.
    pub set: Vec<String>,
    /// How the command line chose the seeds, as `--seeds 5`; absent if the scenario did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_seeds: Option<String>,
    /// Whether every expectation and every invariant held.
    pub passed: bool,
    /// One per seed, in seed order.
    pub runs: Vec<Run>,
    /// Metrics over all runs, by key.
    pub across_runs: BTreeMap<String, Pooled>,
    /// Why there are so many runs; absent unless the scenario left that open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Stopping>,
    /// What each fault did, by kind of run: stages of the replacement over all allocations that were lost.
    #[serde(default)]
    pub recoveries: Vec<Recovery>,
    /// Runs that differ in kind: which leaders their faults hit, or what the scenario's `group_by` says.
    pub cases: Vec<Case>,
    /// Expectations over all runs.
    pub expectations: Vec<Overall>,
    /// Assumed values that all of this rests on: nobody has measured or published them.
    #[serde(default)]
    pub assumed: Vec<Assumed>,
}

/// A parameter of the model whose value is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Assumed {
    /// Its path, as in `--set`.
    pub path: String,
    /// Its value with its unit, as written or as it would be.
    pub value: String,
    /// Why it was assumed; empty where the scenario writes it and says that it is.
    pub why: String,
    /// Values that cannot be ruled out, as in `--vary`; empty where nothing is known.
    pub plausible: String,
}

/// When seeds were enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stopping {
    /// Half of the 95 % interval of a mean that was asked for, in percent of the mean.
    pub half_width: f64,
    /// Seeds at most.
    pub max: u32,
    /// Whether every expectation that any seed exercises is known that well, and there is one.
    pub reached: bool,
    /// How well each expectation is known.
    pub known: Vec<Known>,
}

/// How well the mean of what one expectation observes is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Known {
    /// The expectation, as written.
    pub text: String,
    /// Seeds that exercise it.
    pub seeds: usize,
    /// Mean over them, in the unit of its metric; absent without any, or if some wait never ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Half of its 95 % interval, in percent of the mean; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width: Option<f64>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Digest over every event: equal digests, equal runs.
    pub digest: String,
    /// Virtual seconds.
    pub simulated_s: f64,
    /// Events handled.
    pub events: u64,
    /// What its faults hit; empty without faults.
    pub case: String,
    /// Metrics by key.
    pub metrics: BTreeMap<String, Metric>,
    /// One per fault.
    pub failovers: Vec<Fault>,
    /// Groups that could not be placed as often as they were wanted, at some time.
    pub unplaced: Vec<Unplaced>,
    /// Commands of operators that the servers refused for good, by when they first were.
    #[serde(default)]
    pub operators_refused: Vec<RefusedCommand>,
    /// Expectations in this run.
    pub expectations: Vec<Expectation>,
    /// Laws watched in this run.
    pub invariants: Vec<Invariant>,
}

/// One metric of one run; which fields are there depends on its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Metric {
    /// Unit of every figure.
    pub unit: String,
    /// Samples; absent for levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Waits that had not ended with the run, no samples but longer than any; absent if there are none. A figure that
    /// falls on one of them is absent too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unended: Option<u64>,
    /// Figures by statistic: min, mean, p50, p90, p99, p999, max; final, mean, min, max; total; value.
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
}

/// One metric over several runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pooled {
    /// Unit of every figure.
    pub unit: String,
    /// Runs behind the figures: those that had samples of it, and of totals those that counted nothing as well.
    pub runs: usize,
    /// Samples of all runs; absent for levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Waits of all runs that had not ended with their run; absent if there are none. A figure that falls on one of
    /// them is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unended: Option<u64>,
    /// Modes of the pooled samples of times, or of the figures of single runs; absent unless there are several. No one
    /// number sums such a metric up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Mode>,
    /// Whether `cases` tell these modes apart; absent without several modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained_by_cases: Option<bool>,
    /// Figures by statistic.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Estimate>,
}

/// Samples between two valleys of a distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Mode {
    /// Smallest sample.
    pub low: f64,
    /// Median sample.
    pub middle: f64,
    /// Largest sample.
    pub high: f64,
    /// Of all samples, in percent.
    pub share: f64,
}

/// A figure and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Over all runs.
    pub value: f64,
    /// 95 % interval over seeds; absent with one run, and if an end falls on a wait that had not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
}

/// Runs of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Case {
    /// What tells them apart.
    pub case: String,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Their metrics.
    pub metrics: BTreeMap<String, Pooled>,
}

/// A command of operators that the servers refused for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RefusedCommand {
    /// Region.
    pub region: String,
    /// The command, as the timeline calls it.
    pub command: String,
    /// What the servers said.
    pub reason: String,
    /// When it first was, in seconds.
    pub first_s: f64,
    /// How often.
    pub count: u64,
}

/// A group that could not be placed as often as it was wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unplaced {
    /// Region.
    pub region: String,
    /// The job.
    pub job: String,
    /// Its group.
    pub group: String,
    /// When an evaluation first ended so, in seconds.
    pub first_s: f64,
    /// When one last did.
    pub last_s: f64,
    /// How many did.
    pub evaluations: u32,
    /// Allocations still wanted at the end of the run.
    pub queued: u32,
    /// Plans that nodes rejected, of the last evaluation, if it gave up for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plans_rejected: Option<u32>,
    /// Why nodes did, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plan_rejections: BTreeMap<String, u32>,
    /// What kept nodes from taking it, the last time.
    #[serde(flatten)]
    pub refusals: Refusals,
}

/// What one fault did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fault {
    /// As in the timeline.
    pub fault: String,
    /// When it struck, in seconds.
    pub at_s: f64,
    /// Which leaders it hit.
    pub case: String,
    /// Machines it hit, by name; none if it hit nobody. Absent of a fault that names whole zones or regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit: Option<Vec<String>>,
    /// Allocations it took away.
    pub lost: usize,
    /// Those that nothing replaced.
    pub unreplaced: usize,
    /// Elections it forced.
    pub elections: Vec<Election>,
    /// Stages of the replacement, in order. `ms` is along the critical path (the allocation restored last, or one that
    /// never was), so they add up.
    pub stages: Vec<Stage>,
    /// What users suffered, by source.
    pub outages: BTreeMap<String, Outage>,
}

/// What a fault did in runs of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Recovery {
    /// As in the timeline.
    pub fault: String,
    /// Which of the `failovers` of a run it is, from 0.
    pub place: usize,
    /// The kind of run: what the scenario's `group_by` says, or else which leaders the faults of this instant hit.
    pub case: String,
    /// The runs.
    pub seeds: Vec<u64>,
    /// By stage, over all lost allocations that went through it, or were still to when the run ended (`unended`).
    pub stages: BTreeMap<String, Pooled>,
    /// By stage, over the allocations that were restored last, or that never were, one of each run.
    pub last: BTreeMap<String, Pooled>,
}

/// A group that lost its leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Election {
    /// `nomad` or `consul`.
    pub system: String,
    /// Region.
    pub region: String,
    /// Until another leader was elected; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elected_ms: Option<f64>,
    /// Until it was ready to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<f64>,
}

/// A stage of the replacement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stage {
    /// `detect`, `replace`, `start`, `healthy`, `route`, `request`.
    pub stage: String,
    /// Along the critical path; absent if it was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// Median over all lost allocations that reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
    /// Allocations that reached it.
    pub count: usize,
}

/// What users suffered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outage {
    /// Seconds in which fewer than 95 % of the requests that ended did so well.
    pub seconds: u64,
    /// Longest time between two good answers.
    pub gap_ms: f64,
}

/// An expectation in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Expectation {
    /// As written.
    pub text: String,
    /// What was seen, with its unit.
    pub observed: String,
    /// `pass`, `fail` or `not exercised`.
    pub verdict: String,
}

/// An expectation over all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Overall {
    /// As written.
    pub text: String,
    /// `pass`, `fail` or `not exercised`.
    pub verdict: String,
    /// Runs it held in.
    pub passed: usize,
    /// Runs it did not hold in.
    pub failed: usize,
    /// Runs without anything to judge.
    pub not_exercised: usize,
    /// The seed furthest from holding it, or nearest to failing it; absent if nothing was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_seed: Option<u64>,
}

/// A law watched in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Invariant {
    /// As `raft.election_safety`.
    pub name: String,
    /// Times it was checked.
    pub checks: u64,
    /// Times it did not hold.
    pub violations: u64,
    /// The first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// What kept nodes from taking a group (Nomad `AllocMetric`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refusals {
    /// Nodes looked at.
    pub evaluated: u32,
    /// Nodes a constraint ruled out.
    pub filtered: u32,
    /// Nodes that had no room.
    pub exhausted: u32,
    /// Filtered nodes by constraint.
    pub constraint_filtered: BTreeMap<String, u32>,
    /// Exhausted nodes by dimension.
    pub dimension_exhausted: BTreeMap<String, u32>,
    /// Filtered nodes by node class, where they have one.
    pub class_filtered: BTreeMap<String, u32>,
    /// Exhausted nodes by node class, where they have one.
    pub class_exhausted: BTreeMap<String, u32>,
    /// Ready nodes by datacenter of the job.
    pub nodes_available: BTreeMap<String, u32>,
    /// Further allocations of the group that were not tried after this one found no place.
    pub coalesced_failures: u32,
}

/// A figure without the noise of its last bits: milliseconds to the nanosecond, everything else to nine significant
/// digits. Neither JSON nor CSV has infinities, and no metric should have one either.
pub fn rounded(figure: f64, unit: &str) -> f64 {
    if !figure.is_finite() {
        return 0.0;
    }
    let text = if unit == "ms" { format!("{figure:.6}") } else { format!("{figure:.8e}") };
    // Adding zero turns a negative zero into a plain one.
    text.parse::<f64>().expect("a formatted number is a number") + 0.0
}
