//! Which records nobody needs any more (Nomad 1.1.0 `nomad/core_sched.go`, `timetable.go`).
//!
//! Pure: a snapshot and the indexes up to which things count as old in, log entries out. Left out: volumes, plugins and
//! tokens, which the state does not have.

use std::collections::VecDeque;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired};
use crate::model::evaluation::{CoreJob, EvalId, Evaluation};
use crate::model::job::{Job, JobId, JobKind, Launch};
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::config::{GarbageConfig, IDS_PER_ENTRY};
use crate::protocol::scheduler::state::{JobStatus, State};

/// Which index was applied when, roughly. Every server keeps its own.
#[derive(Debug, Clone, Default)]
pub struct TimeTable {
    /// Oldest first.
    entries: VecDeque<(u64, Time)>,
}

impl TimeTable {
    /// An entry was applied.
    pub fn witness(&mut self, index: u64, now: Time) {
        if self.entries.back().is_some_and(|(_, last)| now.since(*last) < GRANULARITY) {
            return;
        }
        self.entries.push_back((index, now));
        while self.entries.front().is_some_and(|(_, first)| now.since(*first) > REACH) {
            self.entries.pop_front();
        }
    }

    /// The newest index known to have been applied by then; zero if none is.
    pub fn nearest_index(&self, then: Time) -> u64 {
        let known = self.entries.partition_point(|(_, at)| *at <= then);
        known.checked_sub(1).map_or(0, |at| self.entries[at].0)
    }
}

/// Least time between two entries of the time table (Nomad `timeTableGranularity`).
const GRANULARITY: Duration = Duration::from_mins(5);
/// How far the time table reaches back (Nomad `timeTableLimit`).
const REACH: Duration = Duration::from_hours(72);

/// Indexes up to which changes are old, by what is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    eval: u64,
    batch_eval: u64,
    job: u64,
    node: u64,
    deployment: u64,
}

impl Cutoffs {
    /// Everything is old.
    pub const FORCED: Self =
        Self { eval: u64::MAX, batch_eval: u64::MAX, job: u64::MAX, node: u64::MAX, deployment: u64::MAX };

    /// By age. Evaluations of batch jobs have their own only if `batch_kept`.
    pub fn aged(table: &TimeTable, now: Time, config: &GarbageConfig, batch_kept: bool) -> Self {
        let index = |age: Duration| if now < Time::ZERO + age { 0 } else { table.nearest_index(now - age) };
        Self {
            eval: index(config.eval),
            batch_eval: index(if batch_kept { config.batch_eval } else { config.eval }),
            job: index(config.job),
            node: index(config.node),
            deployment: index(config.deployment),
        }
    }
}

/// The entries that forget what a core job finds.
pub fn collect(state: &State, core: CoreJob, now: Time, cutoffs: Cutoffs, by_version: bool) -> Vec<Command> {
    let collector = Collector { state, now, cutoffs, by_version, by_eval: OrdMap::new() };
    match core {
        CoreJob::EvalGc => collector.indexed().evals(),
        CoreJob::JobGc => collector.indexed().jobs(),
        CoreJob::DeploymentGc => collector.deployments(),
        CoreJob::NodeGc => collector.nodes(),
        CoreJob::ForceGc => {
            // Nodes come last, so that their allocations are gone.
            let collector = collector.indexed();
            let mut commands = collector.jobs();
            commands.extend(collector.evals());
            commands.extend(collector.deployments());
            commands.extend(collector.nodes());
            commands
        }
    }
}

struct Collector<'a> {
    state: &'a State,
    now: Time,
    cutoffs: Cutoffs,
    by_version: bool,
    by_eval: OrdMap<EvalId, Vec<&'a Alloc>>,
}

impl Collector<'_> {
    fn indexed(mut self) -> Self {
        let Cutoffs { eval, batch_eval, job, .. } = self.cutoffs;
        if eval.max(batch_eval).max(job) == 0 {
            // Nothing is as old as that.
            return self;
        }
        for alloc in self.state.allocs().values() {
            self.by_eval.entry(alloc.eval).or_default().push(alloc);
        }
        self
    }

    fn evals(&self) -> Vec<Command> {
        let (mut evals, mut allocs) = (Vec::new(), Vec::new());
        for eval in self.state.evals().values() {
            let batch = eval.kind == JobKind::Batch;
            let cutoff = if batch { self.cutoffs.batch_eval } else { self.cutoffs.eval };
            let (whole, old) = self.eval(eval, cutoff, false);
            evals.extend(whole.then_some(eval.id));
            allocs.extend(old);
        }
        reap_evals(&evals, &allocs)
    }

    /// Dead jobs, with everything they left behind.
    fn jobs(&self) -> Vec<Command> {
        let (mut evals, mut allocs, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        let registered = self.state.jobs().values().filter_map(|entry| entry.job.as_ref());
        for job in registered.filter(|job| job.create_index <= self.cutoffs.job && self.is_over(job)) {
            let (mut of_evals, mut of_allocs) = (Vec::new(), Vec::new());
            let old = self.state.evals_of_job(job.id).all(|eval| {
                let (whole, old) = self.eval(eval, self.cutoffs.job, true);
                of_evals.push(eval.id);
                of_allocs.extend(old);
                whole
            });
            if old {
                evals.append(&mut of_evals);
                allocs.append(&mut of_allocs);
                jobs.push(job.id);
            }
        }
        let mut commands = reap_evals(&evals, &allocs);
        commands.extend(jobs.chunks(IDS_PER_ENTRY).map(|jobs| reap(&[], &[], &[], jobs)));
        commands
    }

    /// Batch and sysbatch jobs end by themselves, others once they are stopped (Nomad `jobIsGCable`).
    fn is_over(&self, job: &Job) -> bool {
        if job.is_parent() && !matches!(&job.launch, Launch::Periodic(periodic) if !periodic.enabled) {
            return job.stop;
        }
        let ends = matches!(job.kind, JobKind::Batch | JobKind::SysBatch);
        self.state.job_status(job.id) == Some(JobStatus::Dead) && (job.stop || ends)
    }

    fn deployments(&self) -> Vec<Command> {
        let is_used = |job: JobId, id| {
            self.state.allocs_of_job(job).any(|alloc| alloc.deployment == Some(id) && !alloc.is_terminal())
        };
        let entries = self.state.jobs().values().flat_map(|entry| &entry.deployments);
        let ended = entries.filter_map(|id| self.state.deployment(*id)).filter(|deployment| {
            !deployment.is_active()
                && deployment.modify_index <= self.cutoffs.deployment
                && !is_used(deployment.job, deployment.id)
        });
        let ids: Vec<_> = ended.map(|deployment| deployment.id).collect();
        ids.chunks(IDS_PER_ENTRY).map(|ids| reap(&[], &[], ids, &[])).collect()
    }

    fn nodes(&self) -> Vec<Command> {
        let down = self.state.nodes().values().filter(|entry| {
            entry.node.status == NodeStatus::Down
                && entry.node.modify_index <= self.cutoffs.node
                && entry.live.is_empty()
        });
        let ids: Vec<NodeId> = down.map(|entry| entry.node.id).collect();
        ids.chunks(IDS_PER_ENTRY).map(|ids| Command::DeregisterNodes(ids.to_vec())).collect()
    }

    /// Whether an evaluation can be forgotten, and which of its allocations.
    fn eval(&self, eval: &Evaluation, cutoff: u64, dead_batch: bool) -> (bool, Vec<AllocId>) {
        if !eval.is_terminal() || eval.modify_index > cutoff {
            return (false, Vec::new());
        }
        let allocs = self.by_eval.get(&eval.id).map_or(&[][..], Vec::as_slice);
        let job = self.state.job(eval.job);
        let dead = self.state.job_status(eval.job) == Some(JobStatus::Dead);
        if let Some(job) = job.filter(|job| eval.kind == JobKind::Batch && !(dead && (job.stop || dead_batch))) {
            // The scheduler would run what it does not see ended, so only what is older than the job goes.
            let old: Vec<AllocId> =
                allocs.iter().filter(|alloc| self.is_history(alloc, job, cutoff)).map(|alloc| alloc.id).collect();
            return (old.len() == allocs.len(), old);
        }
        let old: Vec<AllocId> = allocs
            .iter()
            .filter(|alloc| self.is_eligible(alloc, job.map(AsRef::as_ref), dead, cutoff))
            .map(|alloc| alloc.id)
            .collect();
        (old.len() == allocs.len(), old)
    }

    /// An ended allocation of an older incarnation of a batch job; from 1.5.0 on of an older version.
    fn is_history(&self, alloc: &Alloc, job: &Job, cutoff: u64) -> bool {
        let older = if self.by_version {
            alloc.create_index < job.job_modify_index && alloc.modify_index < cutoff
        } else {
            alloc.job.create_index < job.create_index
        };
        older && alloc.is_terminal()
    }

    /// Nomad `allocGCEligible`.
    fn is_eligible(&self, alloc: &Alloc, job: Option<&Job>, dead: bool, cutoff: u64) -> bool {
        if !alloc.is_terminal() || alloc.modify_index > cutoff || alloc.client == ClientStatus::Running {
            return false;
        }
        let Some(job) = job.filter(|job| !job.stop && !dead) else { return true };
        if alloc.desired == Desired::Stop || alloc.client != ClientStatus::Failed || alloc.next.is_some() {
            return true;
        }
        // A failed allocation carries the history its replacement needs.
        let policy = job.group(&alloc.task_group().name).and_then(|group| group.reschedule.as_ref());
        let Some(policy) = policy.filter(|policy| policy.unlimited || policy.attempts > 0) else { return true };
        let last = alloc.reschedules.last();
        !policy.unlimited && last.is_some_and(|event| self.now.since(event.time) > policy.interval)
    }
}

/// As many entries as it takes: allocations first, then evaluations.
fn reap_evals(evals: &[EvalId], allocs: &[AllocId]) -> Vec<Command> {
    let (mut evals, mut allocs) = (evals, allocs);
    let mut commands = Vec::new();
    while !evals.is_empty() || !allocs.is_empty() {
        let (now, later) = allocs.split_at(allocs.len().min(IDS_PER_ENTRY));
        let room = IDS_PER_ENTRY - now.len();
        let (first, rest) = evals.split_at(evals.len().min(room));
        commands.push(reap(first, now, &[], &[]));
        (evals, allocs) = (rest, later);
    }
    commands
}

fn reap(
    evals: &[EvalId],
    allocs: &[AllocId],
    deployments: &[crate::model::deployment::DeploymentId],
    jobs: &[JobId],
) -> Command {
    Command::Reap {
        evals: evals.to_vec(),
        allocs: allocs.to_vec(),
        deployments: deployments.to_vec(),
        jobs: jobs.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_table_knows_an_index_every_five_minutes_for_three_days() {
        let at = |minutes: u64| Time::ZERO + Duration::from_mins(minutes);
        let mut table = TimeTable::default();
        for minute in 0..(4 * 24 * 60) {
            table.witness(minute + 1, at(minute));
        }
        assert_eq!(table.nearest_index(at(4 * 24 * 60)), 4 * 24 * 60 - 4);
        assert_eq!(table.nearest_index(at(3 * 24 * 60 + 3)), 3 * 24 * 60 + 1, "the entry before");
        assert_eq!(table.nearest_index(at(60)), 0, "forgotten");
        assert_eq!(table.entries.len(), 72 * 12 + 1);
    }

    #[test]
    fn entries_hold_7281_identifiers_allocations_first() {
        let evals: Vec<EvalId> = (0..10).map(EvalId).collect();
        let allocs: Vec<AllocId> = (0..7_282).map(AllocId).collect();
        let sizes: Vec<(usize, usize)> = reap_evals(&evals, &allocs)
            .iter()
            .map(|command| match command {
                Command::Reap { evals, allocs, .. } => (evals.len(), allocs.len()),
                other => panic!("{}", other.kind()),
            })
            .collect();
        assert_eq!(sizes, [(0, 7_281), (10, 1)]);
    }
}
