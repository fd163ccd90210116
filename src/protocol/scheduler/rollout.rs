//! Deployments in the replicated state: status, placements, health, promotion (Nomad `StateStore`).

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, DeploymentHealth};
use crate::model::deployment::{Deployment, DeploymentId, DeploymentStatus};
use crate::model::job::JobId;
use crate::protocol::scheduler::apply::Writer;
use crate::protocol::scheduler::command::{DeploymentUpdate, Refusal};

impl Writer<'_> {
    pub(super) fn put_deployment(&mut self, mut deployment: Deployment) {
        deployment.modify_index = self.index;
        let id = deployment.id;
        match (self.state.active_deployments.binary_search(&id), deployment.is_active()) {
            (Err(at), true) => Arc::make_mut(&mut self.state.active_deployments).insert(at, id),
            (Ok(at), false) => drop(Arc::make_mut(&mut self.state.active_deployments).remove(at)),
            (Ok(_), true) | (Err(_), false) => {}
        }
        if self.state.deployments.get(id).is_none_or(|before| before.status != deployment.status) {
            self.applied.deployments.push(id);
        }
        self.applied.rollouts.push(id);
        self.state.deployments.insert(id, Arc::new(deployment));
        self.state.tables.deployments = self.index;
        self.applied.changed = true;
    }

    /// Asks nothing, since plans give a status to deployments that have ended, too (a quirk of the reconciler).
    pub(super) fn deployment_status(&mut self, update: DeploymentUpdate) {
        let Some(deployment) = self.state.deployments.get(update.id) else { return };
        let deployment = Deployment { status: update.status, ..Deployment::clone(deployment) };
        let (job, version) = (deployment.job, deployment.job_version);
        self.put_deployment(deployment);
        if update.status == DeploymentStatus::Successful {
            self.mark_stable(job, version);
        }
    }

    /// Keeps version and specification index (Nomad `updateJobStabilityImpl`).
    pub(super) fn mark_stable(&mut self, id: JobId, version: u64) {
        let index = self.index;
        let entry = self.job_entry(id);
        let Some(at) = entry.versions.iter().position(|job| job.version == version && !job.stable) else { return };
        let stable = Arc::make_mut(&mut entry.versions[at]);
        stable.stable = true;
        stable.modify_index = index;
        let stable = Arc::clone(&entry.versions[at]);
        if entry.job.as_ref().is_some_and(|job| job.version == version) {
            entry.job = Some(stable);
        }
        self.state.tables.jobs = index;
    }

    /// Counts placements and health (Nomad `updateDeploymentWithAlloc`): health once it is set, and when it is lost
    /// again; what recovers stays counted as unhealthy.
    pub(super) fn count_in_deployment(&mut self, before: Option<&Alloc>, after: &Alloc) {
        let Some(id) = after.deployment else { return };
        let before = before.filter(|before| before.deployment == after.deployment);
        let healthy = |alloc: &Alloc| alloc.health.and_then(|health| health.healthy);
        let (healthy, unhealthy) = match before.map(|before| (healthy(before), healthy(after))) {
            Some((None, Some(true))) => (1, 0),
            Some((None, Some(false))) => (0, 1),
            Some((Some(true), Some(false))) => (-1, 1),
            Some(_) => return,
            None => (0, 0),
        };
        let Some(deployment) = self.state.deployments.get(id) else { return };
        let mut deployment = Deployment::clone(deployment);
        let name = &after.task_group().name;
        let Some(group) = deployment.groups.get_mut(name) else { return };
        let deadline = |from: Time| (group.progress_deadline != Duration::ZERO).then(|| from + group.progress_deadline);
        let mut due = group.require_progress_by;
        if before.is_none() {
            due = due.or(deadline(after.modify_time));
        }
        if let Some(health) = after.health
            && healthy != 0
        {
            due = due.max(deadline(health.timestamp));
        }
        group.require_progress_by = due;
        if before.is_none() {
            group.placed += 1;
            if after.health.is_some_and(|health| health.canary) && !group.placed_canaries.contains(&after.id) {
                group.placed_canaries.push(after.id);
            }
        }
        group.healthy = group.healthy.saturating_add_signed(healthy);
        group.unhealthy += unhealthy;
        self.put_deployment(deployment);
    }

    /// The deployment, unless it has ended.
    pub(super) fn active_deployment(&self, id: DeploymentId) -> Result<&Arc<Deployment>, Refusal> {
        let deployment = self.state.deployments.get(id).ok_or(Refusal::NoDeployment)?;
        if deployment.is_active() { Ok(deployment) } else { Err(Refusal::DeploymentEnded) }
    }

    /// Refused unless enough canaries of every selected group are healthy. Those are canaries no more, and their
    /// clients are told; what is not healthy stays one. Groups without canaries are promoted with them, and get their
    /// time anew.
    pub(super) fn promote(&mut self, id: DeploymentId, groups: &[Arc<str>], time: Time) -> Result<(), Refusal> {
        let mut deployment = Deployment::clone(self.active_deployment(id)?);
        let mut promoted: Vec<AllocId> = Vec::new();
        let selected = |name: &Arc<str>| groups.is_empty() || groups.contains(name);
        for (_, group) in deployment.groups.iter_mut().filter(|(name, _)| selected(name)) {
            let healthy = |id: &&AllocId| {
                self.state.allocs.get(**id).is_some_and(|alloc| {
                    !alloc.is_terminal() && alloc.health.is_some_and(|health| health.healthy == Some(true))
                })
            };
            let before = promoted.len();
            promoted.extend(group.placed_canaries.iter().filter(healthy));
            let (healthy, wanted) = ((promoted.len() - before) as u32, group.desired_canaries);
            if healthy < wanted {
                return Err(Refusal::UnhealthyCanaries { healthy, wanted });
            }
            group.promoted = true;
            if group.require_progress_by.is_some() {
                group.require_progress_by = Some(time + group.progress_deadline);
            }
        }
        self.put_deployment(deployment);
        self.applied.deployments.push(id);
        let index = self.index;
        for id in promoted {
            self.change_alloc(id, |alloc| {
                if let Some(health) = &mut alloc.health {
                    (health.canary, health.modify_index) = (false, index);
                }
                alloc.alloc_modify_index = index;
            });
        }
        Ok(())
    }

    /// Refused unless the deployment goes on and all allocations are part of it.
    pub(super) fn may_set_health<'a>(
        &self,
        id: DeploymentId,
        mut allocs: impl Iterator<Item = &'a AllocId>,
    ) -> Result<(), Refusal> {
        self.active_deployment(id)?;
        let is_part = |alloc: &AllocId| self.state.allocs.get(*alloc).is_some_and(|it| it.deployment == Some(id));
        if allocs.all(is_part) { Ok(()) } else { Err(Refusal::ForeignAlloc) }
    }

    pub(super) fn set_health(&mut self, allocs: &[AllocId], healthy: bool, time: Time) {
        let index = self.index;
        for alloc in allocs {
            self.change_alloc(*alloc, |alloc| {
                let canary = alloc.health.is_some_and(|health| health.canary);
                alloc.health =
                    Some(DeploymentHealth { healthy: Some(healthy), timestamp: time, canary, modify_index: index });
            });
            self.applied.reported.push(*alloc);
        }
    }
}
