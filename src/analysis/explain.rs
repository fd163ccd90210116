//! One decision of a run, told again: the run is repeated up to it with schedulers that say why they choose.

use std::sync::Arc;

use crate::analysis::run::{RunError, Shared, Silent, UnderWay, advance};
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::placement::PlacementRecorder;
use crate::model::evaluation::{EvalId, Trigger};
use crate::model::topology::RegionId;
use crate::world::event::{Instance, Notice};
use crate::world::run::{Witness, World};
use crate::world::spec::WorldSpec;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An allocation, at its placement.
    Placed(Instance),
    /// The last refusal of a group in the whole run, of the job or of any child of it.
    Refused {
        /// Region.
        region: RegionId,
        /// The job's name.
        job: Arc<str>,
        /// The group.
        group: Arc<str>,
    },
}

/// A run up to the decision.
#[derive(Debug, Clone)]
pub struct Story {
    /// The world.
    pub spec: Arc<WorldSpec>,
    /// The seed.
    pub seed: u64,
    /// What it is about.
    pub subject: Subject,
    /// Everything that was placed or refused until then.
    pub placements: PlacementRecorder,
    /// Evaluations a broker had.
    pub evals: OrdMap<(RegionId, EvalId), Birth>,
    /// Digest of the run, if it was repeated as a whole.
    pub digest: Option<u64>,
}

/// Where an evaluation came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// When a broker first had it.
    pub at: Time,
    /// Why it exists.
    pub trigger: Trigger,
    /// The evaluation that created it, once a worker has looked at it.
    pub previous: Option<EvalId>,
}

/// How much virtual time passes between two looks whether the decision was reached.
const SLICE: Duration = Duration::from_secs(1);

/// Repeats a run until the decision; `None` if it never comes. Asks now and then whether to stop.
pub fn explain(
    spec: &Arc<WorldSpec>,
    seed: u64,
    subject: Subject,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Story>, RunError> {
    let _under_way = UnderWay::new(seed);
    let mut world = World::explaining(spec, seed);
    let wanted = if let Subject::Placed(instance) = &subject { Some(*instance) } else { None };
    let placements = PlacementRecorder::new(spec);
    let mut watch = Watch { placements, evals: OrdMap::new(), wanted, found: false };
    let (end, shared) = (Time::ZERO + spec.duration, Shared::default());
    while world.now() < end && !watch.found {
        if interrupted() {
            return Err(RunError::Interrupted);
        }
        let until = (world.now() + SLICE).min(end);
        advance(&mut world, until, seed, &mut watch, &shared, &mut |_| {})?;
    }
    let told = match &subject {
        Subject::Placed(_) => watch.found,
        Subject::Refused { region, job, group } => watch.placements.refusal(*region, job, group).is_some(),
    };
    let digest = (!watch.found).then(|| world.digest());
    let Watch { placements, evals, .. } = watch;
    Ok(told.then(|| Story { spec: Arc::clone(spec), seed, subject, placements, evals, digest }))
}

/// The digest of a run as a whole.
pub fn digest(spec: &Arc<WorldSpec>, seed: u64, interrupted: &dyn Fn() -> bool) -> Result<u64, RunError> {
    let _under_way = UnderWay::new(seed);
    let mut world = World::new(spec, seed);
    let (end, shared) = (Time::ZERO + spec.duration, Shared::default());
    while world.now() < end {
        if interrupted() {
            return Err(RunError::Interrupted);
        }
        let until = (world.now() + SLICE).min(end);
        advance(&mut world, until, seed, &mut Silent, &shared, &mut |_| {})?;
    }
    Ok(world.digest())
}

/// Listens until the decision was made.
struct Watch {
    placements: PlacementRecorder,
    evals: OrdMap<(RegionId, EvalId), Birth>,
    wanted: Option<Instance>,
    found: bool,
}

impl Witness for Watch {
    fn notice(&mut self, at: Time, notice: &Notice) {
        if self.found {
            return;
        }
        self.placements.observe(at, notice);
        match notice {
            Notice::EvalCreated { region, eval, trigger, .. } => {
                self.evals.entry((*region, *eval)).or_insert(Birth { at, trigger: *trigger, previous: None });
            }
            Notice::Explained { region, eval, .. } => {
                if let Some(birth) = self.evals.get_mut(&(*region, eval.id)) {
                    birth.previous = eval.previous;
                }
            }
            Notice::AllocPlaced { instance, .. } => self.found = self.wanted == Some(*instance),
            _ => {}
        }
    }
}
