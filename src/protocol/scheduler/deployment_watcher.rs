//! The deployment watcher of the leader (Nomad 1.1.0 `nomad/deploymentwatcher`): keeps rolling updates going, fails and
//! reverts them, promotes canaries.
//!
//! It looks only at allocations whose health was just reported; when leadership begins, at all of active deployments.
//! Evaluations and allowed replacements are gathered for 1 s per deployment, then for 250 ms across deployments, and
//! written together. The deadline of a deployment is looked at when the deployment changes; Nomad does so when any
//! deployment changes, and may so notice a little sooner that a finished group has lost an allocation. Once it is to
//! fail, a deployment is left alone by this leader, even if the log does not take the entry: Nomad's loop has ended.
//!
//! Left out: the limit of 100 state queries per second, which an incremental watcher does not need; multi-region
//! deployments; that from 1.1.10 and 1.2.4 on a deployment remembers the priority an operator gave its evaluation
//! (GH-11532), so that the evaluations made here have the job's.

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Transition};
use crate::model::deployment::{Deployment, DeploymentGroup, DeploymentId, DeploymentStatus};
use crate::model::evaluation::{EvalStatus, Evaluation, Trigger};
use crate::model::job::{Job, JobId};
use crate::protocol::scheduler::command::{Applied, Command, DeploymentUpdate};
use crate::protocol::scheduler::reschedule::is_eligible;
use crate::protocol::scheduler::server::{After, Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// Changes of one deployment are gathered for this long (Nomad `perJobEvalBatchPeriod`).
const GATHER: Duration = Duration::from_secs(1);
/// Changes of all deployments are gathered for this long after that (Nomad `CrossDeploymentUpdateBatchDuration`).
const BATCH: Duration = Duration::from_millis(250);

/// What the watcher waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Gathered(DeploymentId),
    Deadline(DeploymentId),
    Batch,
}

/// Whether the job goes back to its stable version when its deployment fails; it does if one of the groups that fail
/// asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Revert {
    No,
    Yes,
}

/// The watcher; it holds something on the leader only.
#[derive(Debug, Clone, Default)]
pub struct Rollouts {
    /// Replacements to allow, by deployment with something to write.
    gathering: OrdMap<DeploymentId, OrdSet<AllocId>>,
    batch: Option<OrdMap<DeploymentId, OrdSet<AllocId>>>,
    deadlines: OrdMap<DeploymentId, Time>,
    /// Being failed: nobody looks at them any more.
    failing: OrdSet<DeploymentId>,
    /// A deadline may have passed before it was known.
    alarms: OrdSet<(Time, Alarm)>,
    due: Option<Time>,
}

#[cfg(test)]
impl Rollouts {
    /// Whether it waits for nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.alarms.is_empty() && self.failing.is_empty()
    }
}

impl<D: Decide> Server<D> {
    /// Leadership begins: everything active is looked at.
    pub(super) fn restore_rollouts(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for id in self.state.active_deployments().to_vec() {
            let Some(deployment) = self.state.deployment(id).cloned() else { continue };
            let latest = self
                .state
                .evals_of_job(deployment.job)
                .filter(|eval| eval.status != EvalStatus::Canceled)
                .map(|eval| if eval.snapshot_index > 0 { eval.snapshot_index } else { eval.create_index })
                .max()
                .unwrap_or(0);
            let allocs: Vec<Arc<Alloc>> = self.state.allocs_of_job(deployment.job).cloned().collect();
            let of_it = allocs.iter().filter(|alloc| alloc.deployment == Some(id));
            let failed = of_it.map(|alloc| self.look(now, &deployment, alloc, latest)).max().flatten();
            self.conclude(now, &deployment, failed, fx);
            self.watch_deadline(id);
        }
        self.arm_rollouts(now, fx);
    }

    /// A committed entry may concern deployments.
    pub(super) fn rollouts_applied(&mut self, now: Time, applied: &Applied, fx: &mut impl Fx<Self>) {
        let mut looked: OrdMap<DeploymentId, (Arc<Deployment>, Option<Revert>)> = OrdMap::new();
        for id in &applied.reported {
            let Some(alloc) = self.state.alloc(*id).cloned() else { continue };
            let Some(deployment) = alloc.deployment.and_then(|id| self.state.deployment(id)).cloned() else { continue };
            if deployment.is_active() && !self.rollouts.failing.contains(&deployment.id) {
                // An evaluation that came with the report will see what it says.
                let comes_along = applied.evals.iter().any(|eval| eval.job == deployment.job);
                let latest = if comes_along { applied.index } else { applied.index - 1 };
                let fails = self.look(now, &deployment, &alloc, latest);
                let failed = &mut looked.entry(deployment.id).or_insert((deployment, None)).1;
                *failed = fails.max(*failed);
            }
        }
        for (deployment, failed) in looked.into_values() {
            self.conclude(now, &deployment, failed, fx);
        }
        for id in &applied.rollouts {
            self.watch_deadline(*id);
        }
        self.arm_rollouts(now, fx);
    }

    /// Looks at one allocation. `latest` is the index up to which evaluations have seen the job. Returns what becomes
    /// of the job if the deployment fails for it.
    fn look(&mut self, now: Time, deployment: &Deployment, alloc: &Alloc, latest: u64) -> Option<Revert> {
        let group = deployment.groups.get(&alloc.task_group().name)?;
        let health = alloc.health?;
        match health.healthy {
            Some(false) if group.progress_deadline.is_zero() || self.is_exhausted(now, alloc) => {
                return Some(if group.auto_revert { Revert::Yes } else { Revert::No });
            }
            Some(false) if !alloc.transition.reschedule => {
                self.gather(now, deployment.id).insert(alloc.id);
            }
            Some(true) if health.modify_index > latest => {
                self.gather(now, deployment.id);
            }
            Some(_) | None => {}
        }
        None
    }

    /// After a look at all allocations that were reported together: fails the deployment once, or promotes it if it is
    /// ready.
    fn conclude(&mut self, now: Time, deployment: &Deployment, failed: Option<Revert>, fx: &mut impl Fx<Self>) {
        match failed {
            Some(revert) => self.fail_deployment(now, deployment, revert == Revert::Yes, fx),
            None => self.promote_if_ready(now, deployment, fx),
        }
    }

    /// It failed, and its policy does not allow another replacement (from 1.6.0 on there is no point in waiting).
    fn is_exhausted(&self, now: Time, alloc: &Alloc) -> bool {
        let failed_at = alloc.finished_at.unwrap_or(now);
        let policy = alloc.task_group().reschedule.as_ref();
        self.config.scheduler.behaviour.deployments_fail_early
            && alloc.client == ClientStatus::Failed
            && !policy.is_some_and(|policy| is_eligible(policy, &alloc.reschedules, failed_at))
    }

    fn gather(&mut self, now: Time, id: DeploymentId) -> &mut OrdSet<AllocId> {
        if !self.rollouts.gathering.contains_key(&id) {
            self.rollouts.alarms.insert((now + GATHER, Alarm::Gathered(id)));
        }
        self.rollouts.gathering.entry(id).or_default()
    }

    /// Promotes by itself when all groups ask for it and all canaries are healthy. Until 1.1.4 a group without canaries
    /// has to ask for it, too (a quirk).
    fn promote_if_ready(&mut self, now: Time, deployment: &Deployment, fx: &mut impl Fx<Self>) {
        let waits = deployment.groups.values().any(|group| group.desired_canaries > 0 && !group.promoted);
        let healthy = |id: &AllocId| {
            self.state.alloc(*id).and_then(|alloc| alloc.health).is_some_and(|health| health.healthy == Some(true))
        };
        let skips = self.config.scheduler.behaviour.canaryless_groups_promote;
        let ready = deployment.status == DeploymentStatus::Running
            && deployment.groups.values().filter(|group| group.desired_canaries > 0 || !skips).all(|group| {
                group.auto_promote
                    && group.desired_canaries as usize == group.placed_canaries.len()
                    && group.placed_canaries.iter().all(healthy)
            });
        if !(waits && ready) {
            return;
        }
        let eval = self.rollout_eval(now, deployment.job, deployment.id).map(Box::new);
        let command = Command::PromoteDeployment { id: deployment.id, groups: Vec::new(), eval, time: now };
        self.propose(now, command, After::Nothing, fx);
    }

    fn fail_deployment(&mut self, now: Time, deployment: &Deployment, revert: bool, fx: &mut impl Fx<Self>) {
        let command = self.failing(now, deployment, revert);
        self.forget_rollout(deployment.id);
        self.rollouts.failing.insert(deployment.id);
        self.propose(now, command, After::Nothing, fx);
    }

    /// What fails a deployment, and goes back to the stable version if wanted.
    pub(super) fn failing(&self, now: Time, deployment: &Deployment, revert: bool) -> Command {
        let update = DeploymentUpdate { id: deployment.id, status: DeploymentStatus::Failed };
        let job = if revert { self.stable_version(deployment.job) } else { None };
        let eval = self.rollout_eval(now, deployment.job, deployment.id).map(Box::new);
        Command::DeploymentStatus { update, eval, job }
    }

    /// The newest stable version, if it differs from the current one.
    pub(super) fn stable_version(&self, job: JobId) -> Option<Arc<Job>> {
        let entry = self.state.job_entry(job)?;
        let current = entry.job.as_ref()?;
        let stable = entry.versions.iter().find(|job| job.stable && job.version != current.version)?;
        let mut same = Job::clone(stable);
        same.version = current.version;
        same.job_modify_index = current.job_modify_index;
        same.modify_index = current.modify_index;
        same.stable = current.stable;
        (same != **current).then(|| stable.clone())
    }

    pub(super) fn rollout_eval(&self, now: Time, job: JobId, id: DeploymentId) -> Option<Evaluation> {
        let job = self.state.job(job)?;
        Some(Evaluation { deployment: Some(id), ..Evaluation::new(job, Trigger::DeploymentWatcher, now) })
    }

    /// The earliest progress deadline of groups that are not done; an ended deployment is forgotten.
    fn watch_deadline(&mut self, id: DeploymentId) {
        let Some(deployment) = self.state.deployment(id).filter(|deployment| deployment.is_active()) else {
            self.forget_rollout(id);
            self.rollouts.failing.remove(&id);
            return;
        };
        if self.rollouts.failing.contains(&id) {
            return;
        }
        let open = deployment.groups.iter().filter(|(name, group)| !self.is_done(deployment, name, group));
        let deadline = open.filter_map(|(_, group)| group.require_progress_by).min();
        let known = self.rollouts.deadlines.get(&id).copied();
        if known == deadline {
            return;
        }
        if let Some(known) = known {
            self.rollouts.alarms.remove(&(known, Alarm::Deadline(id)));
            self.rollouts.deadlines.remove(&id);
        }
        if let Some(deadline) = deadline {
            self.rollouts.deadlines.insert(id, deadline);
            self.rollouts.alarms.insert((deadline, Alarm::Deadline(id)));
        }
    }

    /// Promoted if need be, and as many healthy allocations run as are wanted: one that failed or was lost since does
    /// not count any more, though the group's counter keeps it.
    fn is_done(&self, deployment: &Deployment, name: &Arc<str>, group: &DeploymentGroup) -> bool {
        let runs_healthy = |alloc: &&Arc<Alloc>| {
            alloc.deployment == Some(deployment.id)
                && !alloc.is_terminal()
                && alloc.health.is_some_and(|health| health.healthy == Some(true))
                && alloc.task_group().name == *name
        };
        let wanted = group.desired_total as usize;
        !in_canary_phase(group)
            && group.healthy >= group.desired_total
            && self.state.allocs_of_job(deployment.job).filter(runs_healthy).take(wanted).count() == wanted
    }

    fn forget_rollout(&mut self, id: DeploymentId) {
        if let Some(known) = self.rollouts.deadlines.remove(&id) {
            self.rollouts.alarms.remove(&(known, Alarm::Deadline(id)));
        }
        self.rollouts.gathering.remove(&id);
        self.rollouts.alarms.retain(|(_, alarm)| *alarm != Alarm::Gathered(id));
    }

    fn arm_rollouts(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let next = self.rollouts.alarms.first().map(|(at, _)| *at);
        if next != self.rollouts.due {
            self.rollouts.due = next;
            match next {
                Some(at) => fx.arm(Timer::Rollout, at.since(now)),
                None => fx.disarm(Timer::Rollout),
            }
        }
    }

    /// Something gathered is to be written, or a deadline has come.
    pub(super) fn rollouts_expired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.rollouts.due = None;
        while let Some((at, alarm)) = self.rollouts.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.rollouts.alarms.remove(&(at, alarm));
            match alarm {
                Alarm::Gathered(id) => {
                    let allowed = self.rollouts.gathering.remove(&id).unwrap_or_default();
                    if self.rollouts.batch.is_none() {
                        self.rollouts.alarms.insert((now + BATCH, Alarm::Batch));
                    }
                    self.rollouts.batch.get_or_insert_default().entry(id).or_default().extend(allowed);
                }
                Alarm::Batch => self.write_rollouts(now, fx),
                // It stays noted, so that it does not come again.
                Alarm::Deadline(id) => self.deadline_passed(now, id, fx),
            }
        }
        self.arm_rollouts(now, fx);
    }

    fn write_rollouts(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let wish = Transition { reschedule: true, ..Transition::default() };
        let (mut transitions, mut evals) = (Vec::new(), Vec::new());
        for (id, allowed) in self.rollouts.batch.take().unwrap_or_default() {
            transitions.extend(allowed.into_iter().map(|alloc| (alloc, wish)));
            let job = self.state.deployment(id).map(|deployment| deployment.job);
            evals.extend(job.and_then(|job| self.rollout_eval(now, job, id)));
        }
        if !evals.is_empty() {
            self.propose(now, Command::Transitions { transitions, evals }, After::Nothing, fx);
        }
    }

    /// Fails the deployment if a group made no progress; one that only waits for a promotion is left alone.
    fn deadline_passed(&mut self, now: Time, id: DeploymentId, fx: &mut impl Fx<Self>) {
        let Some(deployment) = self.state.deployment(id).filter(|deployment| deployment.is_active()).cloned() else {
            return;
        };
        let stuck = || {
            deployment.groups.values().filter(|group| {
                let goal = if in_canary_phase(group) { group.desired_canaries } else { group.desired_total };
                group.healthy < goal
            })
        };
        if stuck().count() > 0 {
            let revert = stuck().any(|group| group.auto_revert);
            self.fail_deployment(now, &deployment, revert, fx);
        }
    }
}

fn in_canary_phase(group: &DeploymentGroup) -> bool {
    group.desired_canaries > 0 && !group.promoted
}
