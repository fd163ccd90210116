//! What the leader does: gaining and losing leadership, and the requests only it answers
//! (Nomad 1.1.0 `nomad/leader.go`, `node_endpoint.go`, `eval_endpoint.go`, `plan_endpoint.go`, `job_endpoint.go`).

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::time::{Duration, Time};
use crate::model::alloc::ClientStatus;
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use crate::model::job::JobKind;
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::raft::autopilot::HEALTH_INTERVAL;
use crate::protocol::scheduler::blocked::{PRUNE_INTERVAL, PRUNE_THRESHOLD};
use crate::protocol::scheduler::broker::{EvalToken, Expired};
use crate::protocol::scheduler::command::{AllocUpdate, Applied, Command};
use crate::protocol::scheduler::deployment_watcher::Rollouts;
use crate::protocol::scheduler::drain::Drains;
use crate::protocol::scheduler::event::{Event, Proposal};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{Dequeued, EvalsRequest, Registration, Reply, Request, RpcError};
use crate::protocol::scheduler::periodic::Launches;
use crate::protocol::scheduler::reschedule::is_eligible;
use crate::protocol::scheduler::server::{After, Role, Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// What every worker schedules.
const KINDS: [JobKind; 4] = [JobKind::Service, JobKind::Batch, JobKind::System, JobKind::SysBatch];
/// Time between two looks for duplicates of blocked evaluations.
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two releases of evaluations whose plans kept being rejected (Nomad `failedEvalUnblockInterval`).
const UNBLOCK_FAILED_INTERVAL: Duration = Duration::from_secs(60);
/// Wait for the next attempt of a leader that could not establish itself, if nobody took leadership over.
const TRANSFER_RETRY: Duration = Duration::from_secs(5);
/// Shortest wait of the evaluation that follows a failed one, and what is added at most (Nomad
/// `failedEvaluationFollowup`).
const FOLLOWUP_WAIT: Duration = Duration::from_secs(60);
const FOLLOWUP_STAGGER: Duration = Duration::from_mins(5);

impl<D: Decide> Server<D> {
    // Leadership.

    /// Raft elected this server. A leadership held before is given up first.
    pub fn leadership_gained(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.role != Role::Follower {
            self.leadership_lost(now, fx);
        }
        self.leader = Some(self.config.id);
        self.role = Role::Establishing { since: now, barrier: None };
        self.send_barrier(now, fx);
    }

    fn send_barrier(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Role::Establishing { since, .. } = self.role else { return };
        let barrier = self.propose(now, Command::Noop, After::Barrier, fx);
        self.role = Role::Establishing { since, barrier: Some(barrier) };
        fx.arm(Timer::Establish, self.config.barrier_timeout);
    }

    /// The barrier took too long: the next attempt follows at the reconcile interval.
    pub(super) fn establish_again(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Role::Establishing { since, barrier } = self.role else { return };
        match barrier {
            Some(barrier) => {
                self.proposals.remove(&barrier);
                self.role = Role::Establishing { since, barrier: None };
                fx.arm(Timer::Establish, self.config.reconcile);
            }
            None => self.send_barrier(now, fx),
        }
    }

    /// In Nomad's order: workers, plan queue, broker, blocked tracker, evaluations, ready, loops, heartbeat timers.
    fn establish(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Role::Establishing { since, .. } = self.role else { return };
        if self.wedged {
            // Until 1.3.0 Raft keeps a leader that does none of Nomad's work.
            let mut wait = self.config.reconcile;
            if self.config.scheduler.behaviour.failed_leaders_step_down {
                fx.emit(Event::StepDown);
                wait = TRANSFER_RETRY;
            }
            self.role = Role::Establishing { since, barrier: None };
            fx.arm(Timer::Establish, wait);
            return;
        }
        fx.disarm(Timer::Establish);
        fx.arm(Timer::Autopilot, HEALTH_INTERVAL);
        self.pause_workers();
        self.applier.enable();
        if !self.state.switches().pause_broker {
            self.broker.enable();
            self.blocked.enable();
        }
        self.restore_rollouts(now, fx);
        self.restore_drains(now, fx);
        self.restore_evals(now, fx);
        self.role = Role::Ready;
        fx.emit(Event::LeaderEstablished { after: now.since(since) });
        fx.arm(Timer::UnblockFailed, UNBLOCK_FAILED_INTERVAL);
        fx.arm(Timer::Prune, PRUNE_INTERVAL);
        fx.arm(Timer::Garbage, self.config.garbage.interval);
        let up = self.state.nodes().values().filter(|entry| entry.node.status != NodeStatus::Down);
        up.for_each(|entry| self.heartbeats.restore(now, entry.node.id));
        self.arm_heartbeat(now, fx);
        self.restore_launches(now, fx);
        self.settle_leader(now, fx);
    }

    /// The container compares the servers of Raft with those of Serf.
    pub(super) fn look_at_servers(fx: &mut impl Fx<Self>) {
        fx.emit(Event::AutopilotDue);
        fx.arm(Timer::Autopilot, HEALTH_INTERVAL);
    }

    /// The broker is paused, and the blocked tracker with it, or goes on with what the state holds (Nomad
    /// `handleEvalBrokerStateChange`).
    pub(super) fn switch_broker(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let enable = !self.state.switches().pause_broker;
        if enable == self.broker.is_enabled() {
            return;
        }
        if enable {
            self.broker.enable();
            self.blocked.enable();
            self.restore_evals(now, fx);
            self.settle_leader(now, fx);
            return;
        }
        self.broker.disable();
        self.blocked.disable();
        self.broker_due = None;
        fx.disarm(Timer::Broker);
        (self.reaping, self.reap_armed) = (false, false);
        for (origin, _) in std::mem::take(&mut self.dequeues) {
            self.reply(now, origin, Reply::Failed(RpcError::BrokerDisabled), fx);
        }
    }

    fn restore_evals(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let mut ids: Vec<EvalId> = Vec::new();
        for entry in self.state.jobs().values() {
            ids.extend(entry.pending.iter().chain(&entry.blocked));
        }
        ids.sort_unstable();
        for id in ids {
            let eval = self.state.eval(id).expect("a job lists only evaluations that exist").clone();
            match eval.status {
                EvalStatus::Pending => self.enqueue(now, eval, None, fx),
                EvalStatus::Blocked => {
                    if let Some((eval, token)) = self.blocked.block(eval, None) {
                        self.enqueue(now, eval, token, fx);
                    }
                }
                EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled => {}
            }
        }
    }

    /// Raft took leadership away: everything only a leader has is dropped, and who waits is told.
    pub fn leadership_lost(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.role == Role::Follower {
            return;
        }
        self.role = Role::Follower;
        self.leader = self.leader.filter(|leader| *leader != self.config.id);
        fx.emit(Event::LeadershipRevoked);
        for timer in [
            Timer::Establish,
            Timer::UnblockFailed,
            Timer::Prune,
            Timer::Garbage,
            Timer::Launch,
            Timer::Autopilot,
            Timer::Reap,
            Timer::Broker,
            Timer::Heartbeat,
            Timer::Updates,
            Timer::Dequeue,
            Timer::Applier,
            Timer::Rollout,
            Timer::Drain,
            Timer::DrainDeadline,
        ] {
            fx.disarm(timer);
        }
        self.broker.disable();
        self.blocked.disable();
        self.blocked_told = (0, 0);
        self.rollouts = Rollouts::default();
        self.drains = Drains::default();
        self.launches = Launches::default();
        self.heartbeats.stop();
        self.broker_due = None;
        self.heartbeat_due = None;
        self.reaping = false;
        self.reap_armed = false;
        self.updates.clear();
        let flushed = self.applier.disable();
        let dequeues = std::mem::take(&mut self.dequeues);
        let updaters = std::mem::take(&mut self.updaters);
        for (proposal, after) in std::mem::take(&mut self.proposals) {
            self.not_committed(now, proposal, after, fx);
        }
        for origin in flushed {
            self.reply(now, origin, Reply::Failed(RpcError::Flushed), fx);
        }
        for (origin, _) in dequeues {
            self.reply(now, origin, Reply::Failed(RpcError::BrokerDisabled), fx);
        }
        for origin in updaters {
            self.reply(now, origin, Reply::Failed(RpcError::NotCommitted), fx);
        }
        self.unpause_workers(now, fx);
    }

    /// Answers a request on the leader.
    pub(super) fn lead(&mut self, now: Time, origin: Origin, request: Request, fx: &mut impl Fx<Self>) {
        match request {
            Request::Heartbeat { node } => self.update_status(now, Some(origin), node, NodeStatus::Ready, fx),
            Request::Register(body) => self.register(now, origin, &body, fx),
            Request::UpdateAllocs(updates) => self.gather_updates(now, origin, &updates, fx),
            Request::Operate { operation, .. } => self.operate_here(now, origin, &operation, fx),
            Request::Dequeue if !self.broker.is_enabled() => {
                self.reply(now, origin, Reply::Failed(RpcError::BrokerDisabled), fx);
            }
            Request::Dequeue => {
                let until = now + self.config.dequeue_timeout;
                if self.dequeues.is_empty() {
                    fx.arm(Timer::Dequeue, self.config.dequeue_timeout);
                }
                self.dequeues.push_back((origin, until));
                self.settle_leader(now, fx);
            }
            Request::Ack { eval, token } => self.ack(now, origin, eval, token, fx),
            Request::Nack { eval, token } => self.nack(now, origin, eval, token, fx),
            Request::SubmitPlan(body) => self.submit_plan(now, origin, body, fx),
            Request::WriteEvals(body) => self.write_evals(now, origin, &body, fx),
            Request::Reblock(body) => self.reblock(now, origin, &body, fx),
            Request::Reap(command) => {
                self.propose(now, Command::clone(&command), After::Written(origin), fx);
            }
            stale @ (Request::ClientAllocs { .. } | Request::Allocs(_) | Request::Alloc { .. }) => {
                self.query(now, origin, stale, fx);
            }
        }
    }

    /// An entry this server proposed is applied.
    pub(super) fn follow_up(
        &mut self,
        now: Time,
        (proposal, after): (Proposal, After),
        applied: &Applied,
        fx: &mut impl Fx<Self>,
    ) {
        let index = applied.index;
        let eval = applied.evals.first().map(|eval| eval.id);
        let outcome = || applied.refused.map_or(Reply::Operated { index, eval }, |why| Reply::Failed(why.into()));
        match after {
            After::Barrier => self.establish(now, fx),
            After::Operated(origin) => self.reply(now, origin, outcome(), fx),
            After::Dispatched(origin) => self.dispatched(now, origin, applied, fx),
            After::NodeWritten { node, origin, before, to } => {
                self.node_written(now, (node, origin), before, to, fx);
            }
            After::NodeEvals { node, origin, to } => self.node_settled(now, origin, node, to, fx),
            After::Eligibility { node, origin, regained } => {
                let evals = if regained && applied.refused.is_none() { self.node_evals(now, node) } else { Vec::new() };
                if evals.is_empty() {
                    self.reply(now, origin, outcome(), fx);
                } else {
                    self.propose(now, Command::UpsertEvals(evals), After::Operated(origin), fx);
                }
            }
            After::Updates(origins) => {
                for origin in origins {
                    self.reply(now, origin, Reply::Done { index }, fx);
                }
            }
            After::Plan => self.plan_committed(now, proposal, Some(applied), fx),
            After::Written(origin) => {
                let evals = Arc::new(applied.evals.clone());
                self.reply(now, origin, Reply::Written { index, evals }, fx);
            }
            After::Reblocked { origin, token } => {
                if let Some(eval) = applied.evals.first() {
                    self.block_again(now, eval.clone(), token, fx);
                }
                self.reply(now, origin, Reply::Done { index }, fx);
            }
            After::Reaped { eval, token } => {
                self.reaping = false;
                if self.broker.ack(now, eval, token).is_ok() {
                    fx.emit(Event::EvalAcked { eval });
                }
                self.settle_leader(now, fx);
            }
            After::Marked => self.marked(fx),
            After::Nothing => {}
        }
    }

    /// An entry this server proposed is not known to be committed.
    pub(super) fn not_committed(&mut self, now: Time, proposal: Proposal, after: After, fx: &mut impl Fx<Self>) {
        let failed = || Reply::Failed(RpcError::NotCommitted);
        match after {
            After::Barrier => {
                if let Role::Establishing { since, .. } = self.role {
                    self.role = Role::Establishing { since, barrier: None };
                    fx.arm(Timer::Establish, self.config.reconcile);
                }
            }
            After::Operated(origin)
            | After::Dispatched(origin)
            | After::Eligibility { origin, .. }
            | After::Written(origin)
            | After::Reblocked { origin, .. } => self.reply(now, origin, failed(), fx),
            After::NodeWritten { origin, .. } | After::NodeEvals { origin, .. } => {
                if let Some(origin) = origin {
                    self.reply(now, origin, failed(), fx);
                }
            }
            After::Updates(origins) => {
                for origin in origins {
                    self.reply(now, origin, failed(), fx);
                }
            }
            After::Plan => self.plan_committed(now, proposal, None, fx),
            After::Reaped { .. } => self.reaping = false,
            After::Marked => self.marked(fx),
            After::Nothing => {}
        }
    }

    // Nodes.

    fn register(&mut self, now: Time, origin: Origin, body: &Registration, fx: &mut impl Fx<Self>) {
        let known = self.state.node(body.node).map(|entry| entry.node.status);
        let changed = self.config.scheduler.behaviour.changed_nodes_evaluated && self.is_changed(body);
        // What has changed is evaluated as if it had just become ready.
        let before = known.filter(|_| !changed).unwrap_or(NodeStatus::Initializing);
        // From 1.5.0 on only heartbeats change the status of a node that is known.
        let kept = known.filter(|_| self.config.scheduler.behaviour.ready_after_reports);
        let status = kept.unwrap_or(body.status);
        let command = Command::RegisterNode { id: body.node, spec: body.spec.clone(), status };
        let after = After::NodeWritten { node: body.node, origin: Some(origin), before, to: status };
        self.propose(now, command, after, fx);
    }

    /// Status if it changed, evaluations if needed, then the heartbeat timer: up to two log entries, in this order.
    fn update_status(
        &mut self,
        now: Time,
        origin: Option<Origin>,
        node: NodeId,
        to: NodeStatus,
        fx: &mut impl Fx<Self>,
    ) {
        let to = if to == NodeStatus::Ready && self.has_to_report(node) { NodeStatus::Initializing } else { to };
        let Some(before) = self.state.node(node).map(|entry| entry.node.status) else {
            if let Some(origin) = origin {
                self.reply(now, origin, Reply::Failed(RpcError::UnknownNode), fx);
            }
            return;
        };
        if before == to {
            self.node_written(now, (node, origin), before, to, fx);
        } else {
            let after = After::NodeWritten { node, origin, before, to };
            self.propose(now, Command::NodeStatus { id: node, status: to }, after, fx);
        }
    }

    fn node_written(
        &mut self,
        now: Time,
        (node, origin): (NodeId, Option<Origin>),
        before: NodeStatus,
        to: NodeStatus,
        fx: &mut impl Fx<Self>,
    ) {
        let silent = matches!(to, NodeStatus::Down | NodeStatus::Disconnected);
        let evaluate = silent || to == NodeStatus::Ready && before != NodeStatus::Ready;
        let evals = if evaluate { self.node_evals(now, node) } else { Vec::new() };
        if evals.is_empty() {
            self.node_settled(now, origin, node, to, fx);
        } else {
            self.propose(now, Command::UpsertEvals(evals), After::NodeEvals { node, origin, to }, fx);
        }
    }

    fn node_settled(
        &mut self,
        now: Time,
        origin: Option<Origin>,
        node: NodeId,
        to: NodeStatus,
        fx: &mut impl Fx<Self>,
    ) {
        let reply = if to == NodeStatus::Down {
            self.heartbeats.forget(node);
            // Who registers a node that is down is to beat at once; a missed heartbeat has nobody to tell.
            Reply::Beat { ttl: Duration::ZERO, servers: self.servers.clone() }
        } else {
            let ttl = self.heartbeats.beat(now, node);
            self.arm_heartbeat(now, fx);
            Reply::Beat { ttl, servers: self.servers.clone() }
        };
        if let Some(origin) = origin {
            self.reply(now, origin, reply, fx);
        }
    }

    pub(super) fn arm_heartbeat(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let next = self.heartbeats.next_alarm();
        if let Some(at) = next
            && self.heartbeat_due.is_none_or(|due| at < due)
        {
            self.heartbeat_due = next;
            fx.arm(Timer::Heartbeat, at.since(now));
        }
    }

    pub(super) fn heartbeats_expired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.heartbeat_due = None;
        while let Some(node) = self.heartbeats.expired(now) {
            fx.emit(Event::HeartbeatMissed { node });
            let to = self.silent_status(now, node);
            self.update_status(now, None, node, to, fx);
        }
        self.arm_heartbeat(now, fx);
    }

    // Client updates.

    fn gather_updates(&mut self, now: Time, origin: Origin, updates: &[AllocUpdate], fx: &mut impl Fx<Self>) {
        if !self.may_report(updates) {
            return self.reply(now, origin, Reply::Failed(RpcError::SilentNode), fx);
        }
        if self.updaters.is_empty() {
            fx.arm(Timer::Updates, self.config.update_batch);
        }
        self.updates.extend_from_slice(updates);
        self.updaters.push(origin);
    }

    pub(super) fn write_updates(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let updates = std::mem::take(&mut self.updates);
        let origins = std::mem::take(&mut self.updaters);
        let mut evals: Vec<Evaluation> = Vec::new();
        let may_return = self.state.had_unknown_allocs();
        for update in updates.iter().filter(|update| may_return || update.client == ClientStatus::Failed) {
            let Some(alloc) = self.state.alloc(update.id) else { continue };
            let returned = alloc.client == ClientStatus::Unknown;
            if !returned && update.client != ClientStatus::Failed {
                continue;
            }
            let Some(job) = self.state.job(alloc.job_id) else { continue };
            let known = evals.iter().any(|eval| eval.job == job.id);
            let failed_at = update.finished_at.unwrap_or(now);
            let policy = alloc.task_group().reschedule.as_ref();
            let eligible = policy.is_some_and(|policy| is_eligible(policy, &alloc.reschedules, failed_at));
            if !known && returned {
                evals.push(Evaluation::new(job, Trigger::Reconnect, now));
            } else if !known && alloc.followup_eval.is_none() && eligible {
                evals.push(Evaluation::new(job, Trigger::AllocFailure, now));
            }
        }
        self.propose(now, Command::ClientUpdate { updates, evals, time: now }, After::Updates(origins), fx);
    }

    // Evaluations.

    pub(super) fn enqueue(
        &mut self,
        now: Time,
        eval: Arc<Evaluation>,
        token: Option<EvalToken>,
        fx: &mut impl Fx<Self>,
    ) {
        if self.broker.enqueue(now, eval.clone(), token) && eval.core.is_none() {
            fx.emit(Event::EvalEnqueued { eval });
        }
    }

    /// After anything that may have changed the leader's queues: hands out what is ready, reaps, arms.
    pub(super) fn settle_leader(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if !self.broker.is_enabled() {
            return;
        }
        while !self.dequeues.is_empty()
            && let Some(delivery) = self.broker.dequeue(now, &KINDS)
        {
            let (origin, _) = self.dequeues.pop_front().expect("it is not empty");
            let eval = delivery.eval;
            let waited = self.broker.ready_since(eval.id).map_or(Duration::ZERO, |since| now.since(since));
            let newest = self.state.job_entry(eval.job).map_or(0, |entry| entry.evals_index);
            let wait_index = newest.max(eval.modify_index);
            if eval.core.is_none() {
                fx.emit(Event::EvalDequeued { eval: eval.clone(), waited });
            }
            self.reply(now, origin, Reply::Dequeued(Dequeued { eval, token: delivery.token, wait_index }.into()), fx);
        }
        self.reap_failed(now, fx);
        if !self.reap_armed && self.blocked.has_duplicates() {
            self.reap_armed = true;
            fx.arm(Timer::Reap, REAP_INTERVAL);
        }
        let (total, escaped) = self.blocked.len();
        if self.blocked_told != (total, escaped) {
            self.blocked_told = (total, escaped);
            fx.emit(Event::BlockedCount { total, escaped });
        }
        self.arm_broker(now, fx);
    }

    pub(super) fn arm_broker(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let next = self.broker.next_alarm();
        if next != self.broker_due {
            self.broker_due = next;
            match next {
                Some(at) => fx.arm(Timer::Broker, at.since(now)),
                None => fx.disarm(Timer::Broker),
            }
        }
    }

    pub(super) fn broker_expired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.broker_due = None;
        while let Some(expired) = self.broker.expire(now) {
            match expired {
                Expired::Nacked(eval) if !eval.is_core() => fx.emit(Event::EvalNacked { eval, timeout: true }),
                Expired::Nacked(_) | Expired::Waited(_) => {}
            }
        }
        self.settle_leader(now, fx);
    }

    pub(super) fn dequeues_expired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let over = self.dequeues.iter().take_while(|(_, until)| *until <= now).count();
        let over: Vec<(Origin, Time)> = self.dequeues.drain(..over).collect();
        if let Some((_, until)) = self.dequeues.front() {
            fx.arm(Timer::Dequeue, until.since(now));
        }
        for (origin, _) in over {
            self.reply(now, origin, Reply::Nothing, fx);
        }
    }

    fn ack(&mut self, now: Time, origin: Origin, eval: EvalId, token: EvalToken, fx: &mut impl Fx<Self>) {
        let reply = match self.broker.ack(now, eval, token) {
            Ok(()) => {
                if !eval.is_core() {
                    fx.emit(Event::EvalAcked { eval });
                }
                Reply::Done { index: 0 }
            }
            Err(error) => Reply::Failed(error.into()),
        };
        self.cancel(now, fx);
        self.reply(now, origin, reply, fx);
        self.settle_leader(now, fx);
    }

    fn nack(&mut self, now: Time, origin: Origin, eval: EvalId, token: EvalToken, fx: &mut impl Fx<Self>) {
        let reply = match self.broker.nack(now, eval, token) {
            Ok(()) => {
                if !eval.is_core() {
                    fx.emit(Event::EvalNacked { eval, timeout: false });
                }
                Reply::Done { index: 0 }
            }
            Err(error) => Reply::Failed(error.into()),
        };
        self.reply(now, origin, reply, fx);
        self.settle_leader(now, fx);
    }

    fn write_evals(&mut self, now: Time, origin: Origin, body: &EvalsRequest, fx: &mut impl Fx<Self>) {
        match self.broker.reset_nack(now, body.eval, body.token) {
            Ok(()) => {
                self.arm_broker(now, fx);
                self.propose(now, Command::UpsertEvals(body.evals.clone()), After::Written(origin), fx);
            }
            Err(error) => self.reply(now, origin, Reply::Failed(error.into()), fx),
        }
    }

    /// Writes the evaluation only if what is still queued changed, then tracks it in memory.
    fn reblock(&mut self, now: Time, origin: Origin, body: &EvalsRequest, fx: &mut impl Fx<Self>) {
        if let Err(error) = self.broker.reset_nack(now, body.eval, body.token) {
            self.reply(now, origin, Reply::Failed(error.into()), fx);
            return;
        }
        self.arm_broker(now, fx);
        let Some(eval) = body.evals.first() else {
            self.reply(now, origin, Reply::Done { index: 0 }, fx);
            return;
        };
        if self.state.job_entry(eval.job).is_none_or(|entry| entry.has_queued(&eval.queued)) {
            self.block_again(now, Arc::new(eval.clone()), body.token, fx);
            self.reply(now, origin, Reply::Done { index: 0 }, fx);
        } else {
            let after = After::Reblocked { origin, token: body.token };
            self.propose(now, Command::UpsertEvals(body.evals.clone()), after, fx);
        }
    }

    fn block_again(&mut self, now: Time, eval: Arc<Evaluation>, token: EvalToken, fx: &mut impl Fx<Self>) {
        if let Some((eval, token)) = self.blocked.block(eval, Some(token)) {
            self.enqueue(now, eval, token, fx);
        }
        self.settle_leader(now, fx);
    }

    /// Evaluations at the delivery limit are written as failed, with one to follow later. Failed core evaluations are
    /// only forgotten (see [`super::core_jobs`]).
    fn reap_failed(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.reaping {
            return;
        }
        let delivery = loop {
            match self.broker.dequeue_failed(now) {
                None => return,
                Some(delivery) if delivery.eval.core.is_none() => break delivery,
                Some(core) => drop(self.broker.ack(now, core.eval.id, core.token)),
            }
        };
        self.reaping = true;
        let mut failed = Evaluation::clone(&delivery.eval);
        failed.status = EvalStatus::Failed;
        let mut next = failed.clone();
        next.id = EvalId::NEW;
        next.status = EvalStatus::Pending;
        next.trigger = Trigger::FailedFollowUp;
        next.previous = Some(failed.id);
        next.wait = FOLLOWUP_WAIT + self.rng.stagger(FOLLOWUP_STAGGER);
        next.wait_until = None;
        next.create_time = now;
        next.failed_groups.clear();
        next.queued.clear();
        next.class_eligibility.clear();
        let after = After::Reaped { eval: failed.id, token: delivery.token };
        self.propose(now, Command::UpsertEvals(vec![failed, next]), after, fx);
    }

    pub(super) fn reap_duplicates(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.reap_armed = false;
        let duplicates = self.blocked.take_duplicates();
        self.write_canceled(now, &duplicates, fx);
    }

    /// Evaluations the broker skipped in favour of newer ones (Nomad 1.4.3).
    fn cancel(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let stale = self.broker.take_cancelable();
        self.write_canceled(now, &stale, fx);
    }

    fn write_canceled(&mut self, now: Time, evals: &[Arc<Evaluation>], fx: &mut impl Fx<Self>) {
        let canceled: Vec<Evaluation> =
            evals.iter().map(|eval| Evaluation { status: EvalStatus::Canceled, ..Evaluation::clone(eval) }).collect();
        if !canceled.is_empty() {
            self.propose(now, Command::UpsertEvals(canceled), After::Nothing, fx);
        }
    }

    pub(super) fn unblock_failed(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let mut released = Vec::new();
        self.blocked.unblock_failed(&mut released);
        for (eval, token) in released {
            self.enqueue(now, eval, token, fx);
        }
        self.settle_leader(now, fx);
        fx.arm(Timer::UnblockFailed, UNBLOCK_FAILED_INTERVAL);
    }

    pub(super) fn prune(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(then) = (Time::ZERO + PRUNE_THRESHOLD <= now).then(|| now - PRUNE_THRESHOLD) {
            self.blocked.prune(self.times.nearest_index(then));
        }
        fx.arm(Timer::Prune, PRUNE_INTERVAL);
    }
}
