//! What the faults of an ensemble did, by kind of run: each stage of the replacement over all allocations that runs of
//! the kind lost, with intervals over runs. Every output takes these figures, so that a stage has one number.

use crate::analysis::across::{Across, of_times};
use crate::analysis::ensemble::Ensemble;
use crate::base::time::{Duration, Time};
use crate::measure::failover::{Failover, STAGES};
use crate::world::spec::EntryId;

/// A fault in runs of one kind.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Which entry of the timeline.
    pub entry: EntryId,
    /// When it struck; in every run at the same time.
    pub at: Time,
    /// The kind: what the scenario's `group_by` says of the run, or else which leaders the fault hit.
    pub case: String,
    /// Which of the faults of a run, from 0.
    pub fault: usize,
    /// Positions of the runs in the ensemble.
    pub members: Vec<usize>,
    /// Each stage over all lost allocations that went through it.
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
        let mut cases: Vec<&str> = all().map(|(at, failover)| kind(ensemble, at, failover)).collect();
        cases.sort_unstable();
        cases.dedup();
        for case in cases {
            let of_case = all().filter(|(at, failover)| kind(ensemble, *at, failover) == case);
            out.extend(recovery(fault, case, &of_case.collect::<Vec<_>>()));
        }
    }
    out
}

/// The kind of a run with this fault.
fn kind<'a>(ensemble: &'a Ensemble, run: usize, failover: &'a Failover) -> &'a str {
    if !ensemble.by_scenario {
        return &failover.case;
    }
    let case = ensemble.cases.iter().find(|case| case.members.contains(&run));
    case.map_or("", |case| &case.name)
}

fn recovery(fault: usize, case: &str, of: &[(usize, &Failover)]) -> Option<Recovery> {
    let first = of.first()?.1;
    let name = |what: &str, index: usize| format!("recovery/{fault}/{case}/{what}/{}", STAGES[index]);
    let stages = std::array::from_fn(|index| {
        let spans = |f: &Failover| f.chains.iter().filter_map(|chain| chain.spans(f.at)[index]).collect();
        over_runs(&name("all", index), of, spans)
    });
    let last = std::array::from_fn(|index| {
        let span = |f: &Failover| f.critical().and_then(|chain| chain.spans(f.at)[index]).into_iter().collect();
        over_runs(&name("last", index), of, span)
    });
    let members = of.iter().map(|(at, _)| *at).collect();
    Some(Recovery { entry: first.entry, at: first.at, case: case.to_owned(), fault, members, stages, last })
}

/// The times that each of these faults took, pooled.
pub fn over_runs(name: &str, of: &[(usize, &Failover)], times: impl Fn(&Failover) -> Vec<Duration>) -> Across {
    of_times(name, &of.iter().map(|(_, failover)| times(failover)).collect::<Vec<_>>())
}

impl Recovery {
    /// The fault in each of the runs.
    pub fn failovers<'a>(&self, ensemble: &'a Ensemble) -> Vec<(usize, &'a Failover)> {
        self.members.iter().map(|&at| (at, &ensemble.runs[at].failovers[self.fault])).collect()
    }
}
