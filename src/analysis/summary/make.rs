//! A summary made of an ensemble.

use std::collections::BTreeMap;

use super::{
    Assumed, Case, Election, Estimate, Expectation, Fault, Invariant, Known, Metric, Mode, Outage, Overall, Pooled,
    Recovery, Refusals, RefusedCommand, Run, SCHEMA, Stage, Stopping, Summary, Unplaced, rounded,
};
use crate::analysis::across::Across;
use crate::analysis::ensemble::Ensemble;
use crate::analysis::hit;
use crate::analysis::judge::Judgement;
use crate::analysis::recovery::{self, recoveries};
use crate::analysis::sequential;
use crate::analysis::statistics::modes;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::failover::{Failover, STAGES};
use crate::measure::metric::{Key, Value};
use crate::measure::outcome::Outcome;
use crate::measure::reasons::{Misfit, Rejection, Rejections};
use crate::model::evaluation::FailedGroup;
use crate::scenario::parameters::Parameter;
use crate::world::spec::WorldSpec;

impl Summary {
    /// The summary of an ensemble.
    pub fn new(ensemble: &Ensemble) -> Self {
        let pooled =
            |across: &OrdMap<Key, Across>| across.iter().map(|(key, a)| (key.to_string(), pooled(a))).collect();
        Self {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: ensemble.spec.name.to_string(),
            scenario_digest: ensemble.scenario_digest.clone(),
            file: ensemble.file.clone(),
            set: ensemble.edits.clone(),
            asked_seeds: ensemble.asked_seeds.clone(),
            passed: ensemble.passed(),
            runs: ensemble.runs.iter().enumerate().map(|(index, run)| self::run(ensemble, index, run)).collect(),
            across_runs: pooled(&ensemble.across),
            stopping: ensemble.stopping.as_ref().map(stopping),
            recoveries: recoveries(ensemble).iter().map(|recovery| self::recovery(ensemble, recovery)).collect(),
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
                        nearest_seed: verdict.nearest.map(|place| ensemble.runs[place].seed),
                    }
                })
                .collect(),
            assumed: ensemble.assumed.iter().map(assumed).collect(),
        }
    }
}

fn recovery(ensemble: &Ensemble, of: &recovery::Recovery) -> Recovery {
    let by_stage = |all: &[Across; STAGES.len()]| {
        let named = STAGES.iter().zip(all).filter(|(_, a)| !a.figures.is_empty() || a.unended.is_some());
        named.map(|(stage, across)| ((*stage).to_owned(), pooled(across))).collect()
    };
    Recovery {
        fault: ensemble.spec.timeline[of.entry].label.to_string(),
        place: of.fault,
        case: of.case.clone(),
        seeds: of.members.iter().map(|&member| ensemble.runs[member].seed).collect(),
        stages: by_stage(&of.stages),
        last: by_stage(&of.last),
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

fn assumed(parameter: &Parameter) -> Assumed {
    Assumed {
        path: parameter.path.clone(),
        value: parameter.value.clone(),
        why: parameter.source.to_owned(),
        plausible: parameter.plausible.to_owned(),
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
        plans_rejected: Some(unplaced.rejections.plans).filter(|plans| *plans > 0),
        plan_rejections: rejections(&unplaced.rejections),
        refusals: Refusals::new(&unplaced.record),
    }
}

/// Why nodes rejected their parts of plans, and how often.
pub fn rejections(rejections: &Rejections) -> BTreeMap<String, u32> {
    let mut by_reason = BTreeMap::new();
    for ((_, why), count) in &rejections.nodes {
        *by_reason.entry(rejection(*why)).or_insert(0) += count;
    }
    by_reason
}

/// Why a node rejected its part of a plan, in words.
pub fn rejection(why: Rejection) -> String {
    match why {
        Rejection::Misfit(Misfit::Exhausted(dimension)) => format!("{dimension} exhausted"),
        why => why.to_string(),
    }
}

fn metric(value: &Value) -> Metric {
    Metric {
        unit: value.unit().to_owned(),
        count: if matches!(value, Value::Total { .. }) { None } else { value.samples() },
        unended: value.unended(),
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
        unended: across.unended,
        modes: across.modes.iter().map(|mode| self::mode(mode, across.unit)).collect(),
        explained_by_cases: (!across.modes.is_empty()).then_some(across.explained),
        figures: across.figures.iter().map(|(name, figure)| ((*name).to_owned(), estimate(figure))).collect(),
    }
}

fn stopping(stopping: &sequential::Stopping) -> Stopping {
    let percent = |share: f64| rounded(100.0 * share, "%");
    let known = |known: &sequential::Known| Known {
        text: known.text.clone(),
        seeds: known.seeds,
        mean: known.mean.map(|mean| rounded(mean, "")),
        half_width: known.half_width.map(percent),
    };
    Stopping {
        half_width: percent(stopping.half_width),
        max: stopping.max,
        reached: stopping.reached,
        known: stopping.known.iter().map(known).collect(),
    }
}

fn mode(mode: &modes::Mode, unit: &str) -> Mode {
    let [low, middle, high] = [mode.low, mode.middle, mode.high].map(|value| rounded(value, unit));
    Mode { low, middle, high, share: rounded(100.0 * mode.share, "%") }
}

fn fault(spec: &WorldSpec, failover: &Failover) -> Fault {
    let since = |end: Time| millis(end.since(failover.at));
    Fault {
        fault: spec.timeline[failover.entry].label.to_string(),
        at_s: failover.at.as_secs_f64(),
        case: failover.case.clone(),
        hit: hit::machines(spec, failover),
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

impl Refusals {
    /// What the scheduler recorded.
    pub fn new(record: &FailedGroup) -> Self {
        let texts = |counts: &OrdMap<std::sync::Arc<str>, u32>| {
            counts.iter().map(|(name, count)| (name.to_string(), *count)).collect()
        };
        Self {
            evaluated: record.nodes_evaluated,
            filtered: record.nodes_filtered,
            exhausted: record.nodes_exhausted,
            constraint_filtered: record.constraint_filtered.clone().into_iter().collect(),
            dimension_exhausted: record.dimension_exhausted.clone().into_iter().collect(),
            class_filtered: texts(&record.class_filtered),
            class_exhausted: texts(&record.class_exhausted),
            nodes_available: texts(&record.nodes_available),
            coalesced_failures: record.coalesced_failures,
        }
    }
}
