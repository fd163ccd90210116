//! Counts: a group of a service job has its count once everything is calm.
//!
//! What is wanted is what the last committed version of the job says. Nothing is promised while evaluations of the job
//! have not ended or one of them waits for capacity; while the replacement of an allocation that failed by itself waits
//! for its time; and while a deployment of the version holds placements up: it failed, was paused, or waits for its
//! canaries to be promoted (the reconciler then replaces what is lost and starts nothing else), or there never is one
//! that could promote them (canaries with `max_parallel` 0). Nor is anything promised after an allocation has
//! completed by itself, as those do whose client stops them when it is cut off
//! (`stop_after_client_disconnect`), until the job is evaluated for another reason: a report of completion brings no
//! evaluation.
//!
//! Left out: system and batch jobs, whose allocations end or follow the nodes; and that what is lost is replaced while
//! a deployment holds the rest up.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::invariant::Tally;
use crate::model::alloc::Alloc;
use crate::model::deployment::{Deployment, DeploymentStatus};
use crate::model::evaluation::Evaluation;
use crate::model::job::{Job, JobId, JobKind, TaskGroup};

/// The groups of a region's service jobs.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) count_restored: Tally,
    bound: Duration,
    jobs: OrdMap<JobId, Wanted>,
    running: OrdMap<Group, u32>,
    /// Groups with a failed allocation, and until when its replacement may wait.
    failing: OrdMap<Group, Time>,
    /// Groups with an allocation that completed by itself, by job, and the index of the newest such report. They stay
    /// short until an evaluation that was written later looks at the job.
    completed: OrdMap<JobId, OrdMap<Arc<str>, u64>>,
}

type Group = (JobId, Arc<str>);

#[derive(Debug, Clone)]
struct Wanted {
    job: Arc<Job>,
    /// The newest one.
    deployment: Option<Arc<Deployment>>,
    /// When job or deployment changed last.
    since: Time,
}

impl Counts {
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            count_restored: Tally::default(),
            bound,
            jobs: OrdMap::new(),
            running: OrdMap::new(),
            failing: OrdMap::new(),
            completed: OrdMap::new(),
        }
    }

    /// A job was registered, stopped, or purged.
    pub(super) fn job(&mut self, at: Time, id: JobId, job: Option<&Arc<Job>>) {
        let deployment = self.jobs.remove(&id).and_then(|wanted| wanted.deployment);
        if let Some(job) = job.filter(|job| job.kind == JobKind::Service && !job.stop) {
            self.jobs.insert(id, Wanted { job: Arc::clone(job), deployment, since: at });
        }
    }

    /// A deployment was created, promoted, or has another status.
    pub(super) fn deployment(&mut self, at: Time, deployment: &Arc<Deployment>) {
        let Some(wanted) = self.jobs.get_mut(&deployment.job) else { return };
        if wanted.deployment.as_ref().is_none_or(|known| known.id <= deployment.id) {
            wanted.deployment = Some(Arc::clone(deployment));
            wanted.since = at;
        }
    }

    /// An allocation counts from now on.
    pub(super) fn began(&mut self, alloc: &Alloc) {
        *self.running.entry(group(alloc)).or_default() += 1;
    }

    /// An allocation that counted does so no more.
    pub(super) fn ended(&mut self, alloc: &Alloc) {
        if let Some(count) = self.running.get_mut(&group(alloc)) {
            *count -= 1;
        }
    }

    /// An allocation failed by itself. Unless its policy is unlimited, it may never be replaced.
    pub(super) fn failed(&mut self, at: Time, alloc: &Alloc) {
        let policy = alloc.task_group().reschedule.as_ref().filter(|policy| policy.unlimited);
        let until = policy.map_or(Time::NEVER, |policy| at + policy.max_delay.max(policy.delay));
        self.failing.insert(group(alloc), until);
    }

    /// The entry at `index` says that an allocation completed, and nobody had stopped it.
    pub(super) fn completed(&mut self, index: u64, alloc: &Alloc) {
        if alloc.job.kind == JobKind::Service {
            let groups = self.completed.entry(alloc.job_id).or_default();
            groups.insert(Arc::clone(&alloc.task_group().name), index);
        }
    }

    /// A worker takes up an evaluation: it sees everything that was written before it.
    pub(super) fn evaluated(&mut self, eval: &Evaluation) {
        if let Some(groups) = self.completed.get_mut(&eval.job) {
            groups.retain(|_, reported| *reported >= eval.create_index);
            if groups.is_empty() {
                self.completed.remove(&eval.job);
            }
        }
    }

    /// Judges every group of which no evaluation is open; nothing counts from before `calm_since`.
    pub(super) fn judge(&mut self, at: Time, calm_since: Time, has_open: impl Fn(JobId) -> bool) {
        for (id, wanted) in self.jobs.iter().filter(|(id, _)| !has_open(**id)) {
            let completed = |name: &str| self.completed.get(id).is_some_and(|groups| groups.contains_key(name));
            let stuck = |spec: &TaskGroup| spec.update.as_ref().is_some_and(|it| it.max_parallel == 0 && it.canary > 0);
            let promised = |spec: &&TaskGroup| !wanted.is_held_up(&spec.name) && !completed(&spec.name) && !stuck(spec);
            for spec in wanted.job.groups.iter().filter(promised) {
                let group = (*id, Arc::clone(&spec.name));
                let retried = self.failing.get(&group).copied().unwrap_or(Time::ZERO);
                let since = wanted.since.max(calm_since).max(retried);
                let count = self.running.get(&group).copied().unwrap_or(0);
                if at.since(since) > self.bound {
                    self.count_restored.check(at, count >= spec.count, || {
                        format!("{} group {} has {count} of {} since {since}", wanted.job.name, spec.name, spec.count)
                    });
                }
            }
        }
    }
}

impl Wanted {
    /// Whether a deployment of this version keeps the group from growing.
    fn is_held_up(&self, group: &str) -> bool {
        let Some(deployment) = &self.deployment else { return false };
        if (deployment.job_create_index, deployment.job_version) != (self.job.create_index, self.job.version) {
            return false;
        }
        match deployment.status {
            DeploymentStatus::Failed | DeploymentStatus::Paused => true,
            DeploymentStatus::Running => {
                deployment.groups.get(group).is_some_and(|group| group.desired_canaries > 0 && !group.promoted)
            }
            DeploymentStatus::Successful | DeploymentStatus::Cancelled => false,
        }
    }
}

fn group(alloc: &Alloc) -> Group {
    (alloc.job_id, Arc::clone(&alloc.task_group().name))
}
