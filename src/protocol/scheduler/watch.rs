//! Stale reads and blocking queries, answered from this server's own state.
//!
//! Watchers wait in lists by what they watch, and only those whose thing changed are touched when an entry is applied.
//! A query for a node's allocations is answered when a *server* changed one of them: Nomad also answers when the
//! client's
//! own report was applied, which makes the client ask once more and find nothing.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::model::alloc::AllocId;
use crate::model::node::NodeId;
use crate::protocol::scheduler::command::{Applied, Command};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::heartbeat::Deadlines;
use crate::protocol::scheduler::message::{AllocsRequest, ClientAllocs, Reply, Request, RpcError};
use crate::protocol::scheduler::server::{Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// Queries that wait.
#[derive(Debug, Clone, Default)]
pub struct Watchers {
    /// One query per node, and the index it waits to see passed: a client has only one, and a later one replaces one
    /// that was given up.
    nodes: IdVec<NodeId, Option<(Origin, u64)>>,
    deadlines: Deadlines<NodeId>,
    due: Option<Time>,
    allocs: OrdMap<AllocId, Vec<(Origin, u64)>>,
    /// Requests for a state this server has not reached.
    states: OrdMap<(u64, u64), (Origin, Arc<AllocsRequest>)>,
    next: u64,
}

impl Watchers {
    fn take(&mut self, node: NodeId) -> Option<Origin> {
        self.nodes.get_mut(node)?.take().map(|(origin, _)| origin)
    }
}

impl<D: Decide> Server<D> {
    /// Answers from this server's state, at once or when there is something new.
    pub(super) fn query(&mut self, now: Time, origin: Origin, request: Request, fx: &mut impl Fx<Self>) {
        match request {
            Request::ClientAllocs { node, min_index } => {
                let index = self.state.node(node).map_or(0, |entry| entry.allocs_index);
                if min_index == 0 || index > min_index {
                    self.answer_node(now, origin, node, fx);
                } else {
                    let patience = self.config.block + self.rng.stagger(self.config.block / 16);
                    *self.watchers.nodes.get_or_default(node) = Some((origin, min_index));
                    self.watchers.deadlines.set(node, now + patience);
                    self.arm_watch(now, fx);
                }
            }
            Request::Allocs(body) if self.state.index() < body.min_index => {
                self.watchers.next += 1;
                self.watchers.states.insert((body.min_index, self.watchers.next), (origin, body));
            }
            Request::Allocs(body) => self.answer_allocs(now, origin, &body, fx),
            Request::Alloc { alloc, min_index } => {
                let known = self.state.alloc(alloc);
                let index = known.map_or(0, |alloc| alloc.modify_index);
                if min_index == 0 || index > min_index || known.is_none() {
                    let reply = Reply::Alloc { index, alloc: known.cloned() };
                    self.reply(now, origin, reply, fx);
                } else {
                    self.watchers.allocs.entry(alloc).or_default().push((origin, min_index));
                }
            }
            Request::Heartbeat { .. }
            | Request::Register(_)
            | Request::UpdateAllocs(_)
            | Request::Operate { .. }
            | Request::Dequeue
            | Request::Ack { .. }
            | Request::Nack { .. }
            | Request::SubmitPlan(_)
            | Request::WriteEvals(_)
            | Request::Reap(_)
            | Request::Reblock(_) => self.reply(now, origin, Reply::Failed(RpcError::NotReady), fx),
        }
    }

    fn answer_node(&mut self, now: Time, origin: Origin, node: NodeId, fx: &mut impl Fx<Self>) {
        let entry = self.state.node(node);
        let index = entry.map_or(0, |entry| entry.allocs_index).max(1);
        let allocs = entry.map(|entry| entry.allocs.clone()).unwrap_or_default();
        self.reply(now, origin, Reply::ClientAllocs(Box::new(ClientAllocs { index, allocs })), fx);
    }

    fn answer_allocs(&mut self, now: Time, origin: Origin, body: &AllocsRequest, fx: &mut impl Fx<Self>) {
        let allocs = body.ids.iter().filter_map(|id| self.state.alloc(*id).cloned()).collect();
        self.reply(now, origin, Reply::Allocs(Arc::new(allocs)), fx);
    }

    /// An entry was applied: answers the queries it concerns.
    pub(super) fn notify(&mut self, now: Time, command: &Command, applied: &Applied, fx: &mut impl Fx<Self>) {
        for node in &applied.notified {
            if let Some(origin) = self.watchers.take(*node) {
                self.watchers.deadlines.clear(*node);
                self.answer_node(now, origin, *node, fx);
            }
        }
        self.answer_states(now, applied.index, fx);
        if self.watchers.allocs.is_empty() {
            return;
        }
        match command {
            Command::Plan(result) => {
                for stop in &result.stops {
                    self.wake_alloc(now, stop.alloc, fx);
                }
                for victim in &result.preemptions {
                    self.wake_alloc(now, victim.alloc, fx);
                }
            }
            Command::ClientUpdate { .. } => {
                for id in &applied.reported {
                    self.wake_alloc(now, *id, fx);
                }
            }
            Command::Reap { allocs, .. } => {
                for id in allocs {
                    self.wake_alloc(now, *id, fx);
                }
            }
            Command::Noop
            | Command::SchedulerConfig(_)
            | Command::RegisterNode { .. }
            | Command::DeregisterNodes(_)
            | Command::NodeStatus { .. }
            | Command::NodeEligibility { .. }
            | Command::NodeDrain { .. }
            | Command::RegisterJob { .. }
            | Command::DeregisterJob { .. }
            | Command::UpsertEvals(_)
            | Command::Transitions { .. }
            | Command::DeploymentStatus { .. }
            | Command::PromoteDeployment { .. }
            | Command::AllocHealth { .. } => {}
        }
    }

    /// Answers the requests for a state that is reached at `index`.
    fn answer_states(&mut self, now: Time, index: u64, fx: &mut impl Fx<Self>) {
        while let Some(entry) = self.watchers.states.first_entry().filter(|entry| entry.key().0 <= index) {
            let (origin, body) = entry.remove();
            self.answer_allocs(now, origin, &body, fx);
        }
    }

    /// The state was replaced as a whole: every query looks again, and waits on if nothing has passed its index.
    pub(super) fn restored(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for node in self.watchers.nodes.ids().collect::<Vec<_>>() {
            let index = self.state.node(node).map_or(0, |entry| entry.allocs_index);
            if self.watchers.nodes[node].is_some_and(|(_, min_index)| index > min_index)
                && let Some(origin) = self.watchers.take(node)
            {
                self.watchers.deadlines.clear(node);
                self.answer_node(now, origin, node, fx);
            }
        }
        self.answer_states(now, self.state.index(), fx);
        for id in self.watchers.allocs.keys().copied().collect::<Vec<_>>() {
            self.wake_alloc(now, id, fx);
        }
    }

    fn wake_alloc(&mut self, now: Time, id: AllocId, fx: &mut impl Fx<Self>) {
        for (origin, min_index) in self.watchers.allocs.remove(&id).unwrap_or_default() {
            self.query(now, origin, Request::Alloc { alloc: id, min_index }, fx);
        }
    }

    /// Blocking queries whose time is over are answered with what there is.
    pub(super) fn expire_watches(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.watchers.due = None;
        while let Some(node) = self.watchers.deadlines.expired(now) {
            if let Some(origin) = self.watchers.take(node) {
                self.answer_node(now, origin, node, fx);
            }
        }
        self.arm_watch(now, fx);
    }

    fn arm_watch(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let next = self.watchers.deadlines.next_alarm();
        if let Some(at) = next
            && self.watchers.due.is_none_or(|due| at < due)
        {
            self.watchers.due = next;
            fx.arm(Timer::Watch, at.since(now));
        }
    }
}
