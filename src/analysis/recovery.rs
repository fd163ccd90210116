//! What the faults of an ensemble did, by kind of run: each stage of the replacement over all allocations that runs of
//! the kind lost, with intervals over runs. Every output takes these figures, so that a stage has one number.
//!
//! A stage that was still waited for when the run ended counts, begun or not, as one that takes longer than any that
//! ended, as in the metrics `failover.*`: a percentile that falls on it is *never*.

use crate::analysis::across::{Across, one};
use crate::analysis::ensemble::Ensemble;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::distribution::Distribution;
use crate::measure::failover::{Chain, Failover, STAGES};
use crate::measure::metric::{Key, Value};
use crate::world::spec::EntryId;

/// A fault in runs of one kind.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Which entry of the timeline.
    pub entry: EntryId,
    /// When it struck; in every run at the same time.
    pub at: Time,
    /// The kind: what the scenario's `group_by` says of the run, or else which leaders the faults of this instant hit.
    pub case: String,
    /// Which of the faults of a run, from 0.
    pub fault: usize,
    /// Positions of the runs in the ensemble.
    pub members: Vec<usize>,
    /// Each stage over all lost allocations that went through it, or were to.
    pub stages: [Across; STAGES.len()],
    /// Each stage of the allocation that was restored last, one of each run.
    pub last: [Across; STAGES.len()],
}

/// The faults in order, and within each the kinds of runs.
pub fn recoveries(ensemble: &Ensemble) -> Vec<Recovery> {
    let faults = ensemble.runs.iter().map(|run| run.failovers.len()).max().unwrap_or(0);
    let mut out = Vec::new();
    for fault in 0..faults {
        let all =
            || ensemble.runs.iter().enumerate().filter_map(move |(at, run)| Some((at, run.failovers.get(fault)?)));
        let mut by_case: OrdMap<String, Vec<(usize, &Failover)>> = OrdMap::new();
        for (at, failover) in all() {
            by_case.entry(kind(ensemble, at, failover)).or_default().push((at, failover));
        }
        out.extend(by_case.iter().filter_map(|(case, of_case)| recovery(fault, case, of_case)));
    }
    out
}

/// The kind of a run with this fault. Faults at one instant work together: what any of them hit tells runs apart.
fn kind(ensemble: &Ensemble, run: usize, failover: &Failover) -> String {
    if ensemble.by_scenario {
        let case = ensemble.cases.iter().find(|case| case.members.contains(&run));
        return case.map_or(String::new(), |case| case.name.clone());
    }
    let together = ensemble.runs[run].failovers.iter().filter(|other| other.at == failover.at);
    together.map(|other| other.case.as_str()).collect::<Vec<_>>().join(", then ")
}

fn recovery(fault: usize, case: &str, of: &[(usize, &Failover)]) -> Option<Recovery> {
    let first = of.first()?.1;
    let name = |what: &str, index: usize| format!("recovery/{fault}/{case}/{what}/{}", STAGES[index]);
    let stages = std::array::from_fn(|index| {
        waits_over_runs(&name("all", index), of, |f| f.chains.iter().filter_map(|c| wait(c, f.at, index)).collect())
    });
    let last = std::array::from_fn(|index| {
        let last = |f: &Failover| f.critical().and_then(|c| wait(c, f.at, index)).into_iter().collect();
        waits_over_runs(&name("last", index), of, last)
    });
    let members = of.iter().map(|(at, _)| *at).collect();
    Some(Recovery { entry: first.entry, at: first.at, case: case.to_owned(), fault, members, stages, last })
}

/// How long a stage took; `None` if there was none.
fn wait(chain: &Chain, fault: Time, stage: usize) -> Option<Wait> {
    match chain.spans(fault)[stage] {
        Some(span) => Some(Wait::Ended(span)),
        None => chain.awaited[stage].then_some(Wait::Unended),
    }
}

/// A wait, as far as its run tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It took so long.
    Ended(Duration),
    /// It had not ended with the run.
    Unended,
}

/// The waits that each of these faults caused, pooled.
pub fn waits_over_runs(name: &str, of: &[(usize, &Failover)], waits: impl Fn(&Failover) -> Vec<Wait>) -> Across {
    let of_run = |(_, failover): &(usize, &Failover)| {
        let mut distribution = Distribution::new();
        for wait in waits(failover) {
            match wait {
                Wait::Ended(span) => distribution.record(span.as_nanos()),
                Wait::Unended => distribution.record_unended(),
            }
        }
        Value::Times(distribution)
    };
    let values: Vec<Value> = of.iter().map(of_run).collect();
    one(&Key::new(name, &[]), &values.iter().collect::<Vec<_>>())
}

/// The times that each of these faults took, pooled.
pub fn over_runs(name: &str, of: &[(usize, &Failover)], times: impl Fn(&Failover) -> Vec<Duration>) -> Across {
    waits_over_runs(name, of, |failover| times(failover).into_iter().map(Wait::Ended).collect())
}

impl Recovery {
    /// The fault in each of the runs.
    pub fn failovers<'a>(&self, ensemble: &'a Ensemble) -> Vec<(usize, &'a Failover)> {
        self.members.iter().map(|&at| (at, &ensemble.runs[at].failovers[self.fault])).collect()
    }
}
