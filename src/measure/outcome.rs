//! What one run came to: everything the outputs are made of.

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::measure::control::{RefusedCommand, Reign};
use crate::measure::failover::Failover;
use crate::measure::metric::Metrics;
use crate::measure::objective::Window;
use crate::measure::placement::Placement;
use crate::measure::reasons::Unplaced;
use crate::measure::series::Series;

/// The result of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Digest of every event.
    pub digest: u64,
    /// Virtual time it covered.
    pub simulated: Duration,
    /// Events handled.
    pub events: u64,
    /// Every metric.
    pub metrics: Metrics,
    /// The same metrics within parts of the run, as far as they were asked for.
    pub windows: OrdMap<Window, Metrics>,
    /// Every series.
    pub series: Vec<Series>,
    /// Every fault.
    pub failovers: Vec<Failover>,
    /// Every stretch of leadership.
    pub reigns: Vec<Reign>,
    /// Every allocation.
    pub placements: Vec<Placement>,
    /// Groups that could not be placed as often as they were wanted.
    pub unplaced: Vec<Unplaced>,
    /// Commands of operators that were refused for good, by when they first were.
    pub refusals: Vec<RefusedCommand>,
    /// Every law that was watched.
    pub invariants: Vec<InvariantResult>,
}

impl Outcome {
    /// A run in which nothing happened; tests fill in what they are about.
    #[cfg(test)]
    pub(crate) fn empty(seed: u64) -> Self {
        Self {
            seed,
            digest: 0,
            simulated: Duration::ZERO,
            events: 0,
            metrics: Metrics::default(),
            windows: OrdMap::new(),
            series: Vec::new(),
            failovers: Vec::new(),
            reigns: Vec::new(),
            placements: Vec::new(),
            unplaced: Vec::new(),
            refusals: Vec::new(),
            invariants: Vec::new(),
        }
    }

    /// What tells this run from others of the ensemble: the cases of its faults, in order; empty without faults.
    pub fn case(&self) -> String {
        let cases: Vec<&str> = self.failovers.iter().map(|failover| failover.case.as_str()).collect();
        cases.join(", then ")
    }
}

/// What the observer of one law saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvariantResult {
    /// As `raft.election_safety`.
    pub name: &'static str,
    /// Times it was checked.
    pub checks: u64,
    /// Times it did not hold.
    pub violations: u64,
    /// What happened the first time.
    pub first: Option<String>,
}
