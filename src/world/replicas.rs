//! Log entries of Nomad's servers, applied once for all replicas of a region.
//!
//! Applying is a pure function of the log up to an entry, and the hash of a log says which log it is. So the first
//! server that applies an entry keeps what came of it for the others, and these share its state instead of building
//! their own. A server whose log differs, or that is far behind, finds nothing and applies for itself; that it
//! comes to the same is what the observers of Raft's laws see from the hashes. No result depends on it, and with
//! [`Routine::Simulated`](crate::world::routine::Routine) every server applies every entry.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::id::IdVec;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::command::{Applied, Command};
use crate::protocol::scheduler::state::State;
use crate::world::spec::{RegionSpec, WorldSpec};

/// What the replicas of each region have in common.
#[derive(Default)]
pub struct Replicas {
    regions: IdVec<RegionId, Region>,
}

struct Region {
    /// Servers besides the first one to apply an entry.
    others: usize,
    /// Oldest first.
    steps: Mutex<VecDeque<Step>>,
}

/// An entry that was applied.
struct Step {
    /// Of the log up to and including it.
    hash: u64,
    command: Arc<Command>,
    after: State,
    applied: Arc<Applied>,
    /// Servers that are still to apply it.
    left: usize,
}

/// Entries that are kept for servers that are behind. Each holds on to parts of the state that have changed since.
const STEPS_MAX: usize = 64;

impl Replicas {
    /// Nothing applied yet.
    pub fn new(spec: &WorldSpec) -> Self {
        let region = |(_, region): (RegionId, &RegionSpec)| Region {
            others: region.nomad.len().saturating_sub(1),
            steps: Mutex::default(),
        };
        Self { regions: spec.regions.iter().map(region).collect() }
    }

    /// What this entry led to on another server; `hash` is that of the log up to and including it.
    pub fn find(&self, region: RegionId, hash: u64, command: &Arc<Command>) -> Option<(State, Arc<Applied>)> {
        let mut steps = self.regions.get(region)?.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |step: &Step| step.hash == hash && Arc::ptr_eq(&step.command, command);
        let at = steps.iter().position(is_it)?;
        steps[at].left -= 1;
        if steps[at].left > 0 {
            return Some((steps[at].after.clone(), Arc::clone(&steps[at].applied)));
        }
        steps.remove(at).map(|step| (step.after, step.applied))
    }

    /// Keeps what an entry led to for the other servers.
    pub fn keep(&self, region: RegionId, hash: u64, command: &Arc<Command>, after: &State, applied: Applied) {
        let Some(Region { others, steps }) = self.regions.get(region).filter(|region| region.others > 0) else {
            return;
        };
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() == STEPS_MAX {
            steps.pop_front();
        }
        let (command, applied) = (Arc::clone(command), Arc::new(applied));
        steps.push_back(Step { hash, command, after: after.clone(), applied, left: *others });
    }
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replicas")
    }
}
