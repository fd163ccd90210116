//! `summary.json`: stable, versioned by `schema`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::analysis::across::Across;
use crate::analysis::ensemble::{Ensemble, Judgement};
use crate::base::time::{Duration, Time};
use crate::measure::failover::{Failover, STAGES};
use crate::measure::metric::{Key, Value};
use crate::measure::outcome::Outcome;
use crate::report::reason::Refusals;
use crate::world::spec::WorldSpec;

/// The version of this format; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Serialize, JsonSchema)]
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
    /// Whether every expectation and every invariant held.
    pub passed: bool,
    /// One per seed, in seed order.
    pub runs: Vec<Run>,
    /// Metrics over all runs, by key.
    pub across_runs: BTreeMap<String, Pooled>,
    /// Runs that differ in kind: which leaders their faults hit.
    pub cases: Vec<Case>,
    /// Expectations over all runs.
    pub expectations: Vec<Overall>,
}

/// One run.
#[derive(Debug, Serialize, JsonSchema)]
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
    pub operators_refused: Vec<RefusedCommand>,
    /// Expectations in this run.
    pub expectations: Vec<Expectation>,
    /// Laws watched in this run.
    pub invariants: Vec<Invariant>,
}

/// One metric of one run; which fields are there depends on its kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Metric {
    /// Unit of every figure.
    pub unit: String,
    /// Samples; absent for levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Figures by statistic: min, mean, p50, p90, p99, p999, max; final, mean, min, max; total; value.
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
}

/// One metric over several runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pooled {
    /// Unit of every figure.
    pub unit: String,
    /// Runs that had it.
    pub runs: usize,
    /// Samples of all runs; absent for levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Figures by statistic.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Estimate>,
}

/// A figure and how sure it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Estimate {
    /// Over all runs.
    pub value: f64,
    /// 95 % interval by resampling seeds; absent with one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
}

/// Runs of one kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Case {
    /// What tells them apart.
    pub case: String,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Their metrics.
    pub metrics: BTreeMap<String, Pooled>,
}

/// A command of operators that the servers refused for good.
#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Debug, Serialize, JsonSchema)]
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
    /// What kept nodes from taking it, the last time.
    #[serde(flatten)]
    pub refusals: Refusals,
}

/// What one fault did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fault {
    /// As in the timeline.
    pub fault: String,
    /// When it struck, in seconds.
    pub at_s: f64,
    /// Which leaders it hit.
    pub case: String,
    /// Allocations it took away.
    pub lost: usize,
    /// Those that nothing replaced.
    pub unreplaced: usize,
    /// Elections it forced.
    pub elections: Vec<Election>,
    /// Stages of the replacement, in order. `ms` is along the critical path (the allocation restored last), so they add
    /// up.
    pub stages: Vec<Stage>,
    /// What users suffered, by source.
    pub outages: BTreeMap<String, Outage>,
}

/// A group that lost its leader.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Election {
    /// `nomad` or `consul`.
    pub system: String,
    /// Region.
    pub region: String,
    /// Until another leader was elected; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elected_ms: Option<f64>,
    /// Until it was ready to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<f64>,
}

/// A stage of the replacement.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stage {
    /// `detect`, `replace`, `start`, `healthy`, `route`, `request`.
    pub stage: String,
    /// Along the critical path; absent if it was not reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// Median over all lost allocations that reached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
    /// Allocations that reached it.
    pub count: usize,
}

/// What users suffered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outage {
    /// Seconds in which fewer than 95 % of the requests that ended did so well.
    pub seconds: u64,
    /// Longest time between two good answers.
    pub gap_ms: f64,
}

/// An expectation in one run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Expectation {
    /// As written.
    pub text: String,
    /// What was seen, with its unit.
    pub observed: String,
    /// `pass`, `fail` or `not exercised`.
    pub verdict: String,
}

/// An expectation over all runs.
#[derive(Debug, Serialize, JsonSchema)]
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
}

/// A law watched in one run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invariant {
    /// As `raft.election_safety`.
    pub name: String,
    /// Times it was checked.
    pub checks: u64,
    /// Times it did not hold.
    pub violations: u64,
    /// The first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl Summary {
    /// The summary of an ensemble.
    pub fn new(ensemble: &Ensemble) -> Self {
        let pooled =
            |across: &BTreeMap<Key, Across>| across.iter().map(|(key, a)| (key.to_string(), pooled(a))).collect();
        Self {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: ensemble.spec.name.to_string(),
            scenario_digest: ensemble.scenario_digest.clone(),
            file: ensemble.file.clone(),
            set: ensemble.edits.clone(),
            passed: ensemble.passed(),
            runs: ensemble.runs.iter().enumerate().map(|(index, run)| self::run(ensemble, index, run)).collect(),
            across_runs: pooled(&ensemble.across),
            cases: ensemble
                .cases
                .iter()
                .map(|case| Case {
                    case: case.name.clone(),
                    seeds: case.members.iter().map(|&member| ensemble.runs[member].seed).collect(),
                    metrics: pooled(&case.across),
                })
                .collect(),
            expectations: ensemble
                .verdicts
                .iter()
                .map(|verdict| {
                    let count = |wanted| verdict.runs.iter().filter(|(_, judgement)| *judgement == wanted).count();
                    Overall {
                        text: verdict.text.clone(),
                        verdict: verdict.overall.name().to_owned(),
                        passed: count(Judgement::Pass),
                        failed: count(Judgement::Fail),
                        not_exercised: count(Judgement::NotExercised),
                    }
                })
                .collect(),
        }
    }

    /// The file's text, ending in a newline.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a tree of strings and finite numbers");
        text.push('\n');
        text
    }
}

fn run(ensemble: &Ensemble, index: usize, run: &Outcome) -> Run {
    Run {
        seed: run.seed,
        digest: format!("{:016x}", run.digest),
        simulated_s: run.simulated.as_secs_f64(),
        events: run.events,
        case: run.case(),
        metrics: run.metrics.0.iter().map(|(key, value)| (key.to_string(), metric(value))).collect(),
        failovers: run.failovers.iter().map(|failover| fault(&ensemble.spec, failover)).collect(),
        operators_refused: run.refusals.iter().map(|refused| self::refused(&ensemble.spec, refused)).collect(),
        unplaced: run.unplaced.iter().map(|unplaced| self::unplaced(&ensemble.spec, unplaced)).collect(),
        expectations: ensemble
            .verdicts
            .iter()
            .map(|verdict| {
                let (observed, judgement) = &verdict.runs[index];
                Expectation {
                    text: verdict.text.clone(),
                    observed: observed.clone(),
                    verdict: judgement.name().to_owned(),
                }
            })
            .collect(),
        invariants: run
            .invariants
            .iter()
            .map(|law| Invariant {
                name: law.name.to_owned(),
                checks: law.checks,
                violations: law.violations,
                first: law.first.clone(),
            })
            .collect(),
    }
}

fn refused(spec: &WorldSpec, refused: &crate::measure::control::RefusedCommand) -> RefusedCommand {
    RefusedCommand {
        region: spec.regions[refused.region].name.to_string(),
        command: refused.command.to_string(),
        reason: refused.reason.to_string(),
        first_s: refused.first.as_secs_f64(),
        count: refused.count,
    }
}

fn unplaced(spec: &WorldSpec, unplaced: &crate::measure::reasons::Unplaced) -> Unplaced {
    Unplaced {
        region: spec.regions[unplaced.region].name.to_string(),
        job: unplaced.job.to_string(),
        group: unplaced.group.to_string(),
        first_s: unplaced.first.as_secs_f64(),
        last_s: unplaced.last.as_secs_f64(),
        evaluations: unplaced.times,
        queued: unplaced.queued,
        refusals: Refusals::new(&unplaced.record),
    }
}

fn metric(value: &Value) -> Metric {
    Metric {
        unit: value.unit().to_owned(),
        count: if matches!(value, Value::Total { .. }) { None } else { value.samples() },
        figures: value
            .figures()
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), rounded(figure, value.unit())))
            .collect(),
    }
}

fn pooled(across: &Across) -> Pooled {
    let estimate = |figure: &crate::analysis::across::Figure| Estimate {
        value: rounded(figure.value, across.unit),
        ci95: figure.interval.map(|(low, high)| [rounded(low, across.unit), rounded(high, across.unit)]),
    };
    Pooled {
        unit: across.unit.to_owned(),
        runs: across.runs,
        samples: across.samples,
        figures: across.figures.iter().map(|(name, figure)| ((*name).to_owned(), estimate(figure))).collect(),
    }
}

fn fault(spec: &WorldSpec, failover: &Failover) -> Fault {
    let since = |end: Time| millis(end.since(failover.at));
    Fault {
        fault: spec.timeline[failover.entry].label.to_string(),
        at_s: failover.at.as_secs_f64(),
        case: failover.case.clone(),
        lost: failover.chains.len(),
        unreplaced: failover.unreplaced(),
        elections: failover
            .elections
            .iter()
            .map(|election| Election {
                system: election.group.system.name().to_owned(),
                region: spec.regions[election.group.region].name.to_string(),
                elected_ms: election.elected.map(since),
                ready_ms: election.ready.map(since),
            })
            .collect(),
        stages: stages(failover),
        outages: failover
            .outages
            .iter()
            .map(|(traffic, outage)| {
                let outage = Outage { seconds: outage.seconds, gap_ms: millis(outage.gap) };
                (spec.traffic[traffic].name.to_string(), outage)
            })
            .collect(),
    }
}

/// The stages of a fault: along the critical path, and over all chains.
pub fn stages(failover: &Failover) -> Vec<Stage> {
    if failover.chains.is_empty() {
        return Vec::new();
    }
    let critical = failover.critical().map(|chain| chain.spans(failover.at));
    let all: Vec<_> = failover.chains.iter().map(|chain| chain.spans(failover.at)).collect();
    STAGES
        .iter()
        .enumerate()
        .map(|(index, &stage)| {
            let mut spans: Vec<Duration> = all.iter().filter_map(|spans| spans[index]).collect();
            spans.sort_unstable();
            Stage {
                stage: stage.to_owned(),
                ms: critical.and_then(|spans| spans[index]).map(millis),
                p50_ms: spans.get(spans.len().saturating_sub(1) / 2).copied().map(millis),
                max_ms: spans.last().copied().map(millis),
                count: spans.len(),
            }
        })
        .collect()
}

/// Milliseconds to the nanosecond.
fn millis(span: Duration) -> f64 {
    span.as_millis_f64()
}

/// A figure without the noise of its last bits: milliseconds to the nanosecond, everything else to nine significant
/// digits. Neither JSON nor CSV has infinities, and no metric should have one either.
pub(crate) fn rounded(figure: f64, unit: &str) -> f64 {
    if !figure.is_finite() {
        return 0.0;
    }
    let text = if unit == "ms" { format!("{figure:.6}") } else { format!("{figure:.8e}") };
    // Adding zero turns a negative zero into a plain one.
    text.parse::<f64>().expect("a formatted number is a number") + 0.0
}
