//! The drainer of the leader (Nomad 1.1.0 `nomad/drainer`): moves work off draining nodes, few at a time.
//!
//! Whatever may let more work move (a plan, a report of clients, a changed job, a new drain) makes it look again after
//! the 1 s for which marks are gathered, unless marks are still on their way into the log. Strategies are part of the
//! replicated state, so that a new leader goes on where the old one stopped.

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, Transition};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{JobId, JobKind};
use crate::model::node::{DrainStrategy, NodeId};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::config::IDS_PER_ENTRY;
use crate::protocol::scheduler::server::{After, Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// Marks are gathered for this long.
const GATHER: Duration = Duration::from_secs(1);
/// Deadlines that lie this close together are handled at the latest of them.
const COALESCE: Duration = Duration::from_secs(5);

/// The drainer; it holds something on the leader only.
#[derive(Debug, Clone, Default)]
pub struct Drains {
    nodes: OrdMap<NodeId, DrainStrategy>,
    armed: bool,
    /// Entries with marks that are on their way into the log.
    marking: usize,
    /// Something changed meanwhile.
    again: bool,
}

impl<D: Decide> Server<D> {
    /// Leadership begins.
    pub(super) fn restore_drains(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let strategies = self.state.nodes().values().filter_map(|entry| Some((entry.node.id, entry.node.drain?)));
        self.drains.nodes = strategies.collect();
        self.arm_deadlines(now, fx);
        self.look_at_drains(fx);
    }

    /// A committed entry may let more work move.
    pub(super) fn drains_applied(&mut self, now: Time, command: &Command, fx: &mut impl Fx<Self>) {
        match command {
            Command::Plan(_)
            | Command::ClientUpdate { .. }
            | Command::RegisterJob { .. }
            | Command::DeregisterJob { .. }
            | Command::DeploymentStatus { job: Some(_), .. }
            | Command::AllocHealth { .. }
            | Command::Reap { .. } => self.look_at_drains(fx),
            Command::NodeDrain { id, .. } => {
                match self.state.node(*id).and_then(|entry| entry.node.drain) {
                    Some(strategy) => drop(self.drains.nodes.insert(*id, strategy)),
                    None => drop(self.drains.nodes.remove(id)),
                }
                self.arm_deadlines(now, fx);
                self.look_at_drains(fx);
            }
            Command::DeregisterNodes(ids) => {
                self.drains.nodes.retain(|node, _| !ids.contains(node));
                self.look_at_drains(fx);
            }
            Command::Noop
            | Command::SchedulerConfig(_)
            | Command::RegisterNode { .. }
            | Command::NodeStatus { .. }
            | Command::NodeEligibility { .. }
            | Command::UpsertEvals(_)
            | Command::Transitions { .. }
            | Command::DeploymentStatus { job: None, .. }
            | Command::PromoteDeployment { .. } => {}
        }
    }

    fn look_at_drains(&mut self, fx: &mut impl Fx<Self>) {
        if self.drains.nodes.is_empty() {
            return;
        }
        if self.drains.marking > 0 {
            self.drains.again = true;
        } else if !self.drains.armed {
            self.drains.armed = true;
            fx.arm(Timer::Drain, GATHER);
        }
    }

    /// The marks are in the log, or did not get there.
    pub(super) fn marked(&mut self, fx: &mut impl Fx<Self>) {
        // Those of an earlier leadership are not awaited any more.
        let Some(left) = self.drains.marking.checked_sub(1) else { return };
        self.drains.marking = left;
        if self.drains.marking == 0 && std::mem::take(&mut self.drains.again) {
            self.look_at_drains(fx);
        }
    }

    /// Marks what may move, and ends the drain of empty nodes.
    pub(super) fn drain(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.drains.armed = false;
        let clients = self.config.scheduler.behaviour.drain_awaits_clients;
        let mut groups = OrdSet::new();
        let mut done = Vec::new();
        for node in self.drains.nodes.keys() {
            let mut left = false;
            for alloc in self.state.allocs_of_node(*node).filter(|alloc| !is_system(alloc)) {
                // Until 1.5.4 the servers' wish was enough, and a drain could end before its tasks did (a quirk).
                left |= if clients { !alloc.is_client_terminal() } else { !alloc.is_terminal() };
                if !alloc.is_terminal() && alloc.job.kind == JobKind::Service && alloc.task_group().migrate.is_some() {
                    groups.insert((alloc.job_id, alloc.task_group().name.clone()));
                }
            }
            if !left {
                done.push(*node);
            }
        }
        let marks: Vec<AllocId> = groups.iter().flat_map(|(job, group)| self.may_move(*job, group)).collect();
        self.mark(now, &marks, fx);
        self.end_drains(now, &done, fx);
    }

    /// As many of a group's allocations on draining nodes as its healthy ones allow.
    fn may_move(&self, job: JobId, group: &Arc<str>) -> Vec<AllocId> {
        let live = || {
            let of_job = self.state.allocs_of_job(job);
            of_job.filter(|alloc| !alloc.is_terminal() && alloc.task_group().name == *group)
        };
        let Some(spec) = self.state.job(job).and_then(|job| job.group(group)) else { return Vec::new() };
        let Some(migrate) = &spec.migrate else { return Vec::new() };
        let healthy = live().filter(|alloc| alloc.health.is_some_and(|health| health.healthy.is_some())).count();
        let keep = (spec.count as usize).saturating_sub(migrate.max_parallel as usize);
        let drainable = live().filter(|alloc| self.drains.nodes.contains_key(&alloc.node) && !alloc.transition.migrate);
        drainable.take(healthy.saturating_sub(keep)).map(|alloc| alloc.id).collect()
    }

    /// The wishes, and an evaluation per job: one entry, unless there are too many.
    fn mark(&mut self, now: Time, marks: &[AllocId], fx: &mut impl Fx<Self>) {
        if marks.is_empty() {
            return;
        }
        let wish = Transition { migrate: true, ..Transition::default() };
        let mut evals: OrdMap<JobId, Evaluation> = OrdMap::new();
        for alloc in marks.iter().filter_map(|id| self.state.alloc(*id)) {
            let eval = || Evaluation {
                node: Some(alloc.node),
                ..Evaluation::new(self.state.job(alloc.job_id).unwrap_or(&alloc.job), Trigger::NodeDrain, now)
            };
            evals.entry(alloc.job_id).or_insert_with(eval);
        }
        let mut evals: Vec<Evaluation> = evals.into_values().collect();
        let entries = marks.len().div_ceil(IDS_PER_ENTRY);
        self.drains.marking += entries;
        for (at, marks) in marks.chunks(IDS_PER_ENTRY).enumerate() {
            let transitions = marks.iter().map(|id| (*id, wish)).collect();
            let evals = if at + 1 == entries { std::mem::take(&mut evals) } else { Vec::new() };
            self.propose(now, Command::Transitions { transitions, evals }, After::Marked, fx);
        }
    }

    /// The nodes are empty but for system jobs: those are marked, and the strategy goes. The nodes stay ineligible.
    fn end_drains(&mut self, now: Time, nodes: &[NodeId], fx: &mut impl Fx<Self>) {
        let mut marks = Vec::new();
        for node in nodes {
            let Some(strategy) = self.drains.nodes.remove(node) else { continue };
            let left =
                self.state.allocs_of_node(*node).filter(|alloc| !alloc.is_terminal() && !alloc.transition.migrate);
            marks.extend(left.filter(|a| !(is_system(a) && strategy.ignore_system_jobs)).map(|alloc| alloc.id));
        }
        self.mark(now, &marks, fx);
        for node in nodes {
            let command = Command::NodeDrain { id: *node, strategy: None, mark_eligible: false };
            self.propose(now, command, After::Nothing, fx);
        }
    }

    fn arm_deadlines(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let deadlines = || self.drains.nodes.values().filter_map(|strategy| strategy.deadline);
        let Some(first) = deadlines().min() else {
            fx.disarm(Timer::DrainDeadline);
            return;
        };
        let last = deadlines().filter(|deadline| deadline.since(first) <= COALESCE).max().unwrap_or(first);
        fx.arm(Timer::DrainDeadline, last.since(now));
    }

    /// Everything left on nodes whose time is over moves now.
    pub(super) fn drain_deadline(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let over = |strategy: &DrainStrategy| strategy.deadline.is_some_and(|deadline| deadline <= now);
        let nodes: Vec<NodeId> =
            self.drains.nodes.iter().filter(|(_, strategy)| over(strategy)).map(|(node, _)| *node).collect();
        self.end_drains(now, &nodes, fx);
        self.arm_deadlines(now, fx);
    }
}

fn is_system(alloc: &Alloc) -> bool {
    matches!(alloc.job.kind, JobKind::System | JobKind::SysBatch)
}
