//! Hands every notice to every recorder, and collects what they found.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::control::ControlRecorder;
use crate::measure::detection::DetectionRecorder;
use crate::measure::failover::FailoverRecorder;
use crate::measure::metric::Metrics;
use crate::measure::outcome::{InvariantResult, Outcome};
use crate::measure::placement::PlacementRecorder;
use crate::measure::requests::RequestRecorder;
use crate::world::event::Notice;
use crate::world::spec::WorldSpec;

/// Everything that is measured in one run.
#[derive(Debug, Clone)]
pub struct Recorder {
    placement: PlacementRecorder,
    requests: RequestRecorder,
    control: ControlRecorder,
    detection: DetectionRecorder,
    failover: FailoverRecorder,
}

/// What the engine knows of a finished run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The seed.
    pub seed: u64,
    /// Digest of every event.
    pub digest: u64,
    /// Events handled.
    pub events: u64,
    /// When it ended.
    pub end: Time,
    /// What the observers of laws saw.
    pub invariants: Vec<InvariantResult>,
}

impl Recorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        Self {
            placement: PlacementRecorder::new(spec),
            requests: RequestRecorder::new(spec),
            control: ControlRecorder::new(spec),
            detection: DetectionRecorder::new(spec),
            failover: FailoverRecorder::new(spec),
        }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        match *notice {
            Notice::RequestServed { number, instance } => {
                return self.failover.request_served(number, instance.instance);
            }
            Notice::RequestEnded { traffic, number, sent, outcome } => {
                self.requests.ended(at, traffic, number, sent, outcome);
                return self.failover.request_ended(at, traffic, number, outcome);
            }
            _ => {}
        }
        // A fault is judged by who led when it struck, so the breakdown comes before the change of leadership it
        // causes.
        self.failover.observe(at, notice, &self.placement, &self.control);
        self.placement.observe(at, notice);
        self.control.observe(at, notice);
        self.detection.observe(at, notice);
    }

    /// Ends the run.
    pub fn finish(mut self, facts: Facts) -> Outcome {
        let (mut metrics, mut series) = (Metrics::default(), Vec::new());
        let unplaced = self.placement.unplaced().collect();
        let failovers = self.failover.finish(facts.end, &self.placement, &self.requests, &mut metrics);
        let placements = self.placement.take_placements();
        self.placement.finish(facts.end, &mut metrics, &mut series);
        self.requests.finish(facts.end, &mut metrics, &mut series);
        let (reigns, refusals) = self.control.finish(facts.end, &mut metrics);
        self.detection.finish(&mut metrics);
        Outcome {
            seed: facts.seed,
            digest: facts.digest,
            simulated: Duration::from_nanos(facts.end.as_nanos()),
            events: facts.events,
            metrics,
            windows: OrdMap::new(),
            series,
            failovers,
            reigns,
            placements,
            unplaced,
            refusals,
            invariants: facts.invariants,
        }
    }
}
