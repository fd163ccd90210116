//! The drainer of the leader (Nomad 1.1.0 `nomad/drainer`): moves work off draining nodes, few at a time.
//!
//! Whatever may let more work move (a plan, a report of clients, a changed job, a new drain) makes it look again after
//! the 1 s for which marks are gathered, unless marks are still on their way into the log. Nomad looks at the beginning
//! of that second and writes at its end, and what changes meanwhile waits for the look that follows the write; here it
//! counts already. The marks of a deadline are gathered like others, and a drain ends as soon as its node is empty.
//! Strategies are part of the replicated state, so that a new leader goes on where the old one stopped.
//!
//! Left out: `drain_on_shutdown` of clients (1.5.4, GH-16827; off by default), see [`crate::protocol::client`].

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, Transition};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{JobId, JobKind};
use crate::model::node::{DrainStrategy, NodeId};
use crate::protocol::scheduler::command::{AllocUpdate, Command};
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
    /// Nodes whose deadline has passed: what is left on them is marked with the next marks.
    overdue: Vec<(NodeId, DrainStrategy)>,
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
        let nodes: Vec<NodeId> = self.drains.nodes.keys().copied().collect();
        self.end_if_empty(now, nodes, fx);
        self.arm_deadlines(now, fx);
        self.look_at_drains(fx);
    }

    /// A committed entry may let more work move.
    pub(super) fn drains_applied(&mut self, now: Time, command: &Command, fx: &mut impl Fx<Self>) {
        match command {
            Command::Plan(result) => {
                self.end_if_empty(now, result.stops.iter().map(|stop| stop.node), fx);
                self.look_at_drains(fx);
            }
            Command::ClientUpdate { updates, .. } => {
                if !self.drains.nodes.is_empty() {
                    let node = |update: &AllocUpdate| Some(self.state.alloc(update.id)?.node);
                    let nodes: Vec<NodeId> = updates.iter().filter_map(node).collect();
                    self.end_if_empty(now, nodes, fx);
                }
                self.look_at_drains(fx);
            }
            Command::RegisterJob { .. }
            | Command::DeregisterJob { .. }
            | Command::DeploymentStatus { job: Some(_), .. }
            | Command::AllocHealth { .. }
            | Command::Reap { .. } => self.look_at_drains(fx),
            Command::NodeDrain { id, .. } => {
                if let Some(strategy) = self.state.node(*id).and_then(|entry| entry.node.drain) {
                    self.drains.nodes.insert(*id, strategy);
                    self.end_if_empty(now, [*id], fx);
                } else {
                    self.forget_drains(|node| node == id);
                }
                self.arm_deadlines(now, fx);
                self.look_at_drains(fx);
            }
            Command::DeregisterNodes(ids) => {
                self.forget_drains(|node| ids.contains(node));
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

    fn forget_drains(&mut self, is_gone: impl Fn(&NodeId) -> bool) {
        self.drains.nodes.retain(|node, _| !is_gone(node));
        self.drains.overdue.retain(|(node, _)| !is_gone(node));
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

    /// Marks what may move and what is left on overdue nodes, and ends their drains and those of empty nodes.
    pub(super) fn drain(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.drains.armed = false;
        let mut ended = std::mem::take(&mut self.drains.overdue);
        if self.drains.marking > 0 {
            self.drains.again = true;
            self.end_drains(now, Vec::new(), &ended, fx);
            return;
        }
        let mut groups = OrdSet::new();
        for node in self.drains.nodes.keys() {
            for alloc in self.state.allocs_of_node(*node).filter(|alloc| !alloc.is_terminal()) {
                if alloc.job.kind == JobKind::Service && alloc.task_group().migrate.is_some() {
                    groups.insert((alloc.job_id, alloc.task_group().name.clone()));
                }
            }
        }
        let marks: Vec<AllocId> = groups.iter().flat_map(|(job, group)| self.may_move(*job, group)).collect();
        ended.extend(self.take_empty(self.drains.nodes.keys().copied().collect::<Vec<_>>()));
        self.end_drains(now, marks, &ended, fx);
    }

    /// Ends the drains of those of these nodes that drain and have nothing left to give away.
    fn end_if_empty(&mut self, now: Time, nodes: impl IntoIterator<Item = NodeId>, fx: &mut impl Fx<Self>) {
        if !self.drains.nodes.is_empty() {
            let ended = self.take_empty(nodes);
            self.end_drains(now, Vec::new(), &ended, fx);
        }
    }

    fn take_empty(&mut self, nodes: impl IntoIterator<Item = NodeId>) -> Vec<(NodeId, DrainStrategy)> {
        let mut taken = Vec::new();
        for node in nodes {
            if let Some(strategy) = self.drains.nodes.get(&node).copied()
                && self.is_empty_but_for_system_jobs(node)
            {
                self.drains.nodes.remove(&node);
                taken.push((node, strategy));
            }
        }
        taken
    }

    /// Until 1.5.4 the servers' wish was enough, and a drain could end before its tasks did (a quirk).
    fn is_empty_but_for_system_jobs(&self, node: NodeId) -> bool {
        let clients = self.config.scheduler.behaviour.drain_awaits_clients;
        let is_over = |alloc: &Alloc| if clients { alloc.is_client_terminal() } else { alloc.is_terminal() };
        self.state.allocs_of_node(node).all(|alloc| is_system(alloc) || is_over(alloc))
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
        let most = (healthy + migrate.max_parallel as usize).saturating_sub(spec.count as usize);
        let drainable = live().filter(|alloc| self.drains.nodes.contains_key(&alloc.node) && !alloc.transition.migrate);
        drainable.take(most).map(|alloc| alloc.id).collect()
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

    /// What is left on these nodes is marked, with the other `marks`, and their strategies go. They stay ineligible.
    fn end_drains(
        &mut self,
        now: Time,
        mut marks: Vec<AllocId>,
        ended: &[(NodeId, DrainStrategy)],
        fx: &mut impl Fx<Self>,
    ) {
        for (node, strategy) in ended {
            let left =
                self.state.allocs_of_node(*node).filter(|alloc| !alloc.is_terminal() && !alloc.transition.migrate);
            marks.extend(left.filter(|a| !(is_system(a) && strategy.ignore_system_jobs)).map(|alloc| alloc.id));
        }
        self.mark(now, &marks, fx);
        for (node, _) in ended {
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

    /// Everything left on nodes whose time is over moves with the next marks.
    pub(super) fn drain_deadline(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let over = |strategy: &DrainStrategy| strategy.deadline.is_some_and(|deadline| deadline <= now);
        let overdue = self.drains.nodes.iter().filter(|(_, strategy)| over(strategy));
        self.drains.overdue.extend(overdue.map(|(node, strategy)| (*node, *strategy)));
        self.drains.nodes.retain(|_, strategy| !over(strategy));
        if !self.drains.overdue.is_empty() && !self.drains.armed {
            self.drains.armed = true;
            fx.arm(Timer::Drain, GATHER);
        }
        self.arm_deadlines(now, fx);
    }
}

fn is_system(alloc: &Alloc) -> bool {
    matches!(alloc.job.kind, JobKind::System | JobKind::SysBatch)
}
