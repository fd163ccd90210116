//! Roll-outs: what a deployment takes away at once, while what comes instead is not healthy yet, is at most
//! `max_parallel` instances of a group (Nomad `computeLimit`). So the update alone never leaves a group with fewer
//! healthy instances than its count less that bound.
//!
//! What is counted are allocations stopped to be updated: from the stop until the one in their place is found healthy.
//! That one may also have ended before (it failed, its node was lost or drained, somebody pushed it out, the count went
//! down): that is not the update's doing, and Nomad goes on with the next one as well. A plan may stop an allocation
//! and, since a node refused its part, start none; the next one that the deployment starts takes its place.
//!
//! Left out: system jobs and those without deployments, which Nomad updates all at once or by the clock; and what a
//! deployment left unhealthy when another one took its place, which Nomad disregards as well.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::deployment::{Deployment, DeploymentId, DeploymentStatus};
use crate::model::job::{JobId, JobKind};

/// The roll-outs of a region.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollouts {
    pub(super) update_bound: Tally,
    /// The deployment that goes on, by job.
    current: OrdMap<JobId, DeploymentId>,
    groups: OrdMap<Group, Rollout>,
    /// Allocations in the place of stopped ones, not yet healthy.
    waiting: OrdMap<AllocId, Group>,
    /// How many were stopped and have nothing in their place, in all groups.
    bare: u32,
    /// The newest entry.
    index: u64,
    /// What it stopped and has started nothing for so far.
    stopped: Vec<Arc<Alloc>>,
}

type Group = (JobId, Arc<str>);

#[derive(Debug, Clone)]
struct Rollout {
    deployment: DeploymentId,
    /// `max_parallel`, once something of the deployment was seen.
    bound: Option<u32>,
    /// Stopped, nothing in its place.
    bare: u32,
    /// Stopped, and what is in its place is not healthy yet.
    waiting: u32,
}

impl Rollouts {
    /// A deployment was created or has another status.
    pub(super) fn deployment(&mut self, deployment: &Deployment) {
        match deployment.status {
            DeploymentStatus::Running | DeploymentStatus::Paused => {
                self.current.insert(deployment.job, deployment.id);
            }
            DeploymentStatus::Failed | DeploymentStatus::Successful | DeploymentStatus::Cancelled => {
                if self.current.get(&deployment.job) == Some(&deployment.id) {
                    self.current.remove(&deployment.job);
                }
            }
        }
    }

    /// The plan written at `index` stopped an allocation because of an update.
    pub(super) fn stopped(&mut self, at: Time, index: u64, alloc: &Arc<Alloc>) {
        self.turn_to(at, index);
        if alloc.job.kind == JobKind::Service {
            self.stopped.push(Arc::clone(alloc));
        }
    }

    /// The plan written at `index` placed an allocation.
    pub(super) fn placed(&mut self, at: Time, index: u64, alloc: &Alloc) {
        self.turn_to(at, index);
        let replaced = alloc.previous.and_then(|previous| self.stopped.iter().position(|it| it.id == previous));
        if replaced.is_none() && self.bare == 0 {
            return;
        }
        let Some(deployment) = alloc.deployment.filter(|_| alloc.health.is_none_or(|health| !health.canary)) else {
            return;
        };
        let group = group(alloc);
        let fills = self.groups.get(&group).is_some_and(|known| known.deployment == deployment && known.bare > 0);
        if replaced.is_none() && !fills {
            return;
        }
        let bound = alloc.task_group().update.as_ref().map(|update| update.max_parallel);
        let rollout = self.rollout(&group, deployment);
        rollout.bound = bound;
        rollout.waiting += 1;
        rollout.bare -= u32::from(replaced.is_none());
        self.waiting.insert(alloc.id, group.clone());
        match replaced {
            Some(place) => {
                self.stopped.swap_remove(place);
                self.judge(at, &group);
            }
            None => self.bare -= 1,
        }
    }

    /// An allocation was found healthy, or has ended, or nobody knows of it any more.
    pub(super) fn settled(&mut self, alloc: AllocId) {
        if let Some(group) = self.waiting.remove(&alloc)
            && let Some(rollout) = self.groups.get_mut(&group)
        {
            rollout.waiting -= 1;
        }
    }

    /// The entry before is complete: what it stopped and did not replace is missing.
    fn turn_to(&mut self, at: Time, index: u64) {
        if index == self.index {
            return;
        }
        self.index = index;
        for alloc in std::mem::take(&mut self.stopped) {
            let Some(deployment) = self.current.get(&alloc.job_id).copied() else { continue };
            let group = group(&alloc);
            self.rollout(&group, deployment).bare += 1;
            self.bare += 1;
            self.judge(at, &group);
        }
    }

    fn judge(&mut self, at: Time, group: &Group) {
        let Some(&Rollout { deployment, bound: Some(bound), bare, waiting }) = self.groups.get(group) else { return };
        self.update_bound.check(at, bare + waiting <= bound, || {
            format!("{deployment} has {bare} + {waiting} of {} group {} away, {bound} are allowed", group.0, group.1)
        });
    }

    /// What is known of a group's deployment; that of an earlier one is forgotten.
    fn rollout(&mut self, group: &Group, deployment: DeploymentId) -> &mut Rollout {
        let new = || Rollout { deployment, bound: None, bare: 0, waiting: 0 };
        if let Some(old) = self.groups.get(group).filter(|known| known.deployment != deployment) {
            self.bare -= old.bare;
            self.waiting.retain(|_, of| of != group);
            self.groups.remove(group);
        }
        self.groups.entry(group.clone()).or_insert_with(new)
    }
}

fn group(alloc: &Alloc) -> Group {
    (alloc.job_id, Arc::clone(&alloc.task_group().name))
}
