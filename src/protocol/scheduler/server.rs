//! A Nomad server, apart from Raft and Serf: state machine, leader duties, workers, requests.
//!
//! Covers Nomad 1.1.0 `nomad/server.go`, `fsm.go`, `leader.go`, `rpc.go`, `worker.go` and the endpoints the rest of the
//! system uses. Raft and Serf live beside it in the process: it asks for entries with [`Event::Propose`] and is told
//! what was applied, who leads, and which servers there are.
//!
//! Invariant: the broker, the blocked tracker, the plan queue and the heartbeat timers hold something only while this
//! server leads and has established itself.
//!
//! Autopilot is the container's work, because it is about Raft and Serf; here is its clock. Left out: ACLs.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot, Token};
use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::model::evaluation::{EvalId, EvalStatus};
use crate::model::node::{NodeId, NodeStatus};
use crate::model::topology::RegionId;
use crate::protocol::scheduler::applier::Applier;
use crate::protocol::scheduler::blocked::Blocked;
use crate::protocol::scheduler::broker::{Broker, EvalToken};
use crate::protocol::scheduler::command::{AllocUpdate, Applied, Command};
use crate::protocol::scheduler::config::ServerConfig;
use crate::protocol::scheduler::deployment_watcher::Rollouts;
use crate::protocol::scheduler::drain::Drains;
use crate::protocol::scheduler::event::{Change, Event, OperatorTag, Proposal};
use crate::protocol::scheduler::forward::{Forwarding, Origin};
use crate::protocol::scheduler::garbage::TimeTable;
use crate::protocol::scheduler::heartbeat::Heartbeats;
use crate::protocol::scheduler::message::{Message, Request};
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::periodic::Launches;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::watch::Watchers;
use crate::protocol::scheduler::worker::{Decide, Worker};

/// A server's alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A nack timer or a wait of the broker.
    Broker,
    /// The earliest heartbeat deadline.
    Heartbeat,
    /// The client updates gathered are to be written.
    Updates,
    /// The oldest waiting dequeue gets nothing.
    Dequeue,
    /// Requests that wait for a leader look again.
    Hold,
    /// Keepalives to servers are due, or their answers.
    Keepalive,
    /// The earliest blocking query ends.
    Watch,
    /// The barrier took too long, or leadership is to be established again.
    Establish,
    /// Duplicates are to be canceled.
    Reap,
    /// Evaluations whose plans kept being rejected are tried again.
    UnblockFailed,
    /// Old unblockings are forgotten.
    Prune,
    /// The applier looks at the state again.
    Applier,
    /// The deployment watcher has something to do.
    Rollout,
    /// Draining nodes are to be looked at.
    Drain,
    /// The earliest deadline of a drain.
    DrainDeadline,
    /// Garbage is to be looked for.
    Garbage,
    /// The earliest periodic job is to be launched.
    Launch,
    /// Autopilot looks at the servers.
    Autopilot,
    /// A worker's pause is over.
    Worker(u16),
}

impl Slot for Timer {
    fn slot(self) -> usize {
        match self {
            Self::Broker => 0,
            Self::Heartbeat => 1,
            Self::Updates => 2,
            Self::Dequeue => 3,
            Self::Hold => 4,
            Self::Keepalive => 5,
            Self::Watch => 6,
            Self::Establish => 7,
            Self::Reap => 8,
            Self::UnblockFailed => 9,
            Self::Prune => 10,
            Self::Applier => 11,
            Self::Rollout => 12,
            Self::Drain => 13,
            Self::DrainDeadline => 14,
            Self::Garbage => 15,
            Self::Launch => 16,
            Self::Autopilot => 17,
            Self::Worker(worker) => 18 + usize::from(worker),
        }
    }
}

/// Whether this server leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It does not.
    Follower,
    /// Raft elected it; the barrier is on its way, or is to be sent again.
    Establishing { since: Time, barrier: Option<Proposal> },
    /// It does Nomad's work.
    Ready,
}

/// What follows a log entry.
#[derive(Debug, Clone)]
pub(super) enum After {
    /// Leadership is established.
    Barrier,
    /// The evaluation of the child.
    Dispatched(Origin),
    /// Who asked is told the index and the evaluation.
    Operated(Origin),
    /// Node evaluations, timer, answer.
    NodeWritten { node: NodeId, origin: Option<Origin>, before: NodeStatus, to: NodeStatus },
    /// Timer, answer.
    NodeEvals { node: NodeId, origin: Option<Origin>, to: NodeStatus },
    /// Node evaluations if it was ineligible, then the answer.
    Eligibility { node: NodeId, origin: Origin, regained: bool },
    /// All who reported are told.
    Updates(Vec<Origin>),
    /// The applier goes on.
    Plan,
    /// A worker's evaluations are written.
    Written(Origin),
    /// The evaluation is tracked as blocked again.
    Reblocked { origin: Origin, token: EvalToken },
    /// The failed evaluation is acknowledged.
    Reaped { eval: EvalId, token: EvalToken },
    /// Draining nodes are looked at again.
    Marked,
    /// Nothing.
    Nothing,
}

/// A Nomad server.
#[derive(Debug, Clone)]
pub struct Server<D: Decide> {
    pub(super) config: ServerConfig,
    pub(super) rng: Rng,
    pub(super) state: State,
    pub(super) role: Role,
    pub(super) leader: Option<ProcessId>,
    pub(super) peers: OrdMap<RegionId, Vec<ProcessId>>,
    /// Servers of the own region, as clients are told.
    pub(super) servers: Arc<Vec<ProcessId>>,
    pub(super) forwarding: Forwarding,
    pub(super) keepalive_phase: Duration,
    pub(super) watchers: Watchers,
    pub(super) workers: Vec<Worker<D>>,
    pub(super) broker: Broker,
    pub(super) broker_due: Option<Time>,
    pub(super) blocked: Blocked,
    pub(super) blocked_told: (usize, usize),
    pub(super) applier: Applier,
    pub(super) rollouts: Rollouts,
    pub(super) drains: Drains,
    pub(super) launches: Launches,
    pub(super) heartbeats: Heartbeats,
    pub(super) heartbeat_due: Option<Time>,
    /// Dequeues that wait, oldest first, with their end.
    pub(super) dequeues: VecDeque<(Origin, Time)>,
    pub(super) updates: Vec<AllocUpdate>,
    pub(super) updaters: Vec<Origin>,
    /// A fault: establishing leadership fails.
    pub(super) wedged: bool,
    pub(super) reaping: bool,
    pub(super) reap_armed: bool,
    /// When indexes were applied here. Rebuilt with the log, so that after a restart things look younger.
    pub(super) times: TimeTable,
    /// Core evaluations so far.
    pub(super) core_evals: u32,
    pub(super) proposals: OrdMap<Proposal, After>,
    pub(super) next_proposal: u32,
}

impl<D: Decide> Machine for Server<D> {
    type Msg = Message;
    type Timer = Timer;
    type Event = Event;

    fn handle(&mut self, now: Time, input: Input<Message, Timer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start_workers(now, fx),
            Input::Message { from, msg } => self.message(now, from, msg, fx),
            Input::Refused { to } => self.peer_lost(now, to, fx),
            Input::Fired(Timer::Broker) => self.broker_expired(now, fx),
            Input::Fired(Timer::Heartbeat) => self.heartbeats_expired(now, fx),
            Input::Fired(Timer::Updates) => self.write_updates(now, fx),
            Input::Fired(Timer::Dequeue) => self.dequeues_expired(now, fx),
            Input::Fired(Timer::Hold) => self.retry_held(now, fx),
            Input::Fired(Timer::Keepalive) => self.keepalive(now, fx),
            Input::Fired(Timer::Watch) => self.expire_watches(now, fx),
            Input::Fired(Timer::Establish) => self.establish_again(now, fx),
            Input::Fired(Timer::Reap) => self.reap_duplicates(now, fx),
            Input::Fired(Timer::UnblockFailed) => self.unblock_failed(now, fx),
            Input::Fired(Timer::Prune) => self.prune(now, fx),
            Input::Fired(Timer::Applier) => self.applier_poll(now, fx),
            Input::Fired(Timer::Rollout) => self.rollouts_expired(now, fx),
            Input::Fired(Timer::Drain) => self.drain(now, fx),
            Input::Fired(Timer::DrainDeadline) => self.drain_deadline(now, fx),
            Input::Fired(Timer::Garbage) => self.start_core_jobs(now, fx),
            Input::Fired(Timer::Launch) => self.launches_due(now, fx),
            Input::Fired(Timer::Autopilot) => Self::look_at_servers(fx),
            Input::Fired(Timer::Worker(worker)) => self.worker_timer(now, worker, fx),
            Input::Done(token) => self.computed(now, token, fx),
        }
    }

    /// Everything is rebuilt from the log, which Raft keeps.
    fn reboot(&mut self, _now: Time, _kept: &Kept) {
        self.state = State::new();
        self.role = Role::Follower;
        self.leader = None;
        self.forwarding.crash();
        self.watchers = Watchers::default();
        self.workers.iter_mut().for_each(|worker| *worker = Worker::default());
        self.broker.disable();
        self.broker_due = None;
        self.blocked.disable();
        self.blocked_told = (0, 0);
        self.applier.crash();
        self.rollouts = Rollouts::default();
        self.drains = Drains::default();
        self.launches = Launches::default();
        self.heartbeats.stop();
        self.heartbeat_due = None;
        self.dequeues.clear();
        self.updates.clear();
        self.updaters.clear();
        self.reaping = false;
        self.reap_armed = false;
        self.times = TimeTable::default();
        self.proposals.clear();
    }
}

impl<D: Decide> Server<D> {
    /// A server that never ran. `rng` names its streams' parent: the broker, heartbeats and RPC jitter draw apart.
    pub fn new(config: ServerConfig, name: &str) -> Self {
        let stream = |purpose: &str| Rng::stream(config.seed, &format!("{name}/{purpose}"));
        let behaviour = &config.scheduler.behaviour;
        let mut broker = config.broker.clone();
        broker.peek_last_slot = behaviour.broker_peeks_last;
        broker.newest_only = behaviour.newest_pending_only;
        let mut rng = stream("rpc");
        Self {
            keepalive_phase: rng.stagger(config.keepalive),
            rng,
            state: State::new(),
            role: Role::Follower,
            leader: None,
            peers: OrdMap::new(),
            servers: Arc::new(vec![config.id]),
            forwarding: Forwarding::default(),
            watchers: Watchers::default(),
            workers: (0..config.workers).map(|_| Worker::default()).collect(),
            broker: Broker::new(broker, stream("broker")),
            broker_due: None,
            blocked: Blocked::default(),
            blocked_told: (0, 0),
            applier: Applier::default(),
            rollouts: Rollouts::default(),
            drains: Drains::default(),
            launches: Launches::default(),
            heartbeats: Heartbeats::new(config.heartbeat.clone(), stream("heartbeats")),
            heartbeat_due: None,
            dequeues: VecDeque::new(),
            updates: Vec::new(),
            updaters: Vec::new(),
            wedged: false,
            reaping: false,
            reap_armed: false,
            times: TimeTable::default(),
            core_evals: 0,
            proposals: OrdMap::new(),
            next_proposal: 0,
            config,
        }
    }

    /// The replicated state as this server has it; also what a Raft snapshot consists of.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A Raft snapshot replaces the state; queries that wait for what it has are answered.
    pub fn install(&mut self, now: Time, state: State, fx: &mut impl Fx<Self>) {
        self.state = state;
        self.restored(now, fx);
    }

    /// Whether this server leads and is established.
    pub fn is_ready(&self) -> bool {
        self.role == Role::Ready
    }

    /// A fault: from now on establishing leadership fails here, as without a reachable Vault; or works again.
    pub fn wedge(&mut self, wedged: bool) {
        self.wedged = wedged;
    }

    /// The broker, for gauges.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Raft says who leads, or that nobody does.
    pub fn leader_known(&mut self, leader: Option<ProcessId>) {
        self.leader = leader;
    }

    /// Serf says which servers are alive in each region, ascending.
    pub fn peers_changed(&mut self, peers: OrdMap<RegionId, Vec<ProcessId>>) {
        let own = peers.get(&self.config.region).cloned().unwrap_or_default();
        if own != *self.servers {
            self.servers = Arc::new(own);
        }
        self.peers = peers;
    }

    /// An operator's command, given to this server. The answer is an [`Event::Operated`] with this tag.
    pub fn operate(
        &mut self,
        now: Time,
        tag: OperatorTag,
        region: RegionId,
        operation: Arc<Operation>,
        fx: &mut impl Fx<Self>,
    ) {
        self.route(now, Origin::Operator(tag), Request::Operate { region, operation }, fx);
    }

    /// An entry is committed: applies it and does what follows. `proposal` names it if this server proposed it. Returns
    /// what changed, for [`Self::adopt`] on other servers.
    pub fn applied(
        &mut self,
        now: Time,
        index: u64,
        proposal: Option<Proposal>,
        command: &Arc<Command>,
        fx: &mut impl Fx<Self>,
    ) -> Applied {
        let prior = self.prior(command);
        let applied = self.state.apply(index, command);
        self.react(now, proposal, command, prior, &applied, fx);
        applied
    }

    /// As [`Self::applied`], with the new state and the changes computed elsewhere from the same state and entry.
    pub fn adopt(
        &mut self,
        now: Time,
        proposal: Option<Proposal>,
        command: &Arc<Command>,
        state: State,
        applied: &Applied,
        fx: &mut impl Fx<Self>,
    ) {
        let prior = self.prior(command);
        self.state = state;
        self.react(now, proposal, command, prior, applied, fx);
    }

    fn react(
        &mut self,
        now: Time,
        proposal: Option<Proposal>,
        command: &Command,
        prior: Prior,
        applied: &Applied,
        fx: &mut impl Fx<Self>,
    ) {
        self.times.witness(applied.index, now);
        if self.role != Role::Follower {
            self.tell(prior, command, applied, fx);
        }
        if self.is_ready() {
            self.lead_applied(now, applied, fx);
            self.rollouts_applied(now, applied, fx);
            self.drains_applied(now, command, fx);
            self.launches_applied(now, command, fx);
            if let Command::SchedulerConfig(_) = command {
                self.switch_broker(now, fx);
            }
        }
        self.notify(now, command, applied, fx);
        if let Some(after) = proposal.and_then(|proposal| Some((proposal, self.proposals.remove(&proposal)?))) {
            self.follow_up(now, after, applied, fx);
        }
    }

    /// An entry this server proposed will not be committed, or nobody knows.
    pub fn propose_failed(&mut self, now: Time, proposal: Proposal, fx: &mut impl Fx<Self>) {
        if let Some(after) = self.proposals.remove(&proposal) {
            self.not_committed(now, proposal, after, fx);
        }
    }

    pub(super) fn propose(&mut self, _now: Time, command: Command, after: After, fx: &mut impl Fx<Self>) -> Proposal {
        self.next_proposal += 1;
        let proposal = Proposal(self.next_proposal);
        self.proposals.insert(proposal, after);
        fx.emit(Event::Propose { proposal, command: Arc::new(command) });
        proposal
    }

    fn message(&mut self, now: Time, from: ProcessId, msg: Message, fx: &mut impl Fx<Self>) {
        self.peer_heard(from);
        match msg {
            Message::Request { call, request } => self.route(now, Origin::Remote { from, call }, request, fx),
            Message::Reply { call, reply } => self.passed_back(now, call, reply, fx),
            Message::Ping => fx.send(from, Message::Pong),
            Message::Pong => {}
        }
    }

    fn computed(&mut self, now: Time, token: Token, fx: &mut impl Fx<Self>) {
        match token.0 & 0xFF {
            TOKEN_APPLIER => self.applier_done(now, token, fx),
            TOKEN_WORKER => self.worker_done(now, (token.0 >> 8) as u16, fx),
            _ => {}
        }
    }

    /// What [`Self::tell`] has to know of the state before the entry.
    fn prior(&self, command: &Command) -> Prior {
        match command {
            Command::RegisterNode { id, .. } | Command::NodeStatus { id, .. } => {
                Prior { node: self.state.node(*id).map(|entry| entry.node.status), requested: None }
            }
            Command::Plan(result) => {
                Prior { node: None, requested: self.state.eval(result.eval).map(|eval| eval.create_time) }
            }
            Command::Noop
            | Command::SchedulerConfig(_)
            | Command::DeregisterNodes(_)
            | Command::NodeEligibility { .. }
            | Command::NodeDrain { .. }
            | Command::RegisterJob { .. }
            | Command::DeregisterJob { .. }
            | Command::UpsertEvals(_)
            | Command::ClientUpdate { .. }
            | Command::Transitions { .. }
            | Command::DeploymentStatus { .. }
            | Command::PromoteDeployment { .. }
            | Command::AllocHealth { .. }
            | Command::Reap { .. } => Prior::default(),
        }
    }

    /// Says what a committed entry changed, on the leader.
    fn tell(&self, prior: Prior, command: &Command, applied: &Applied, fx: &mut impl Fx<Self>) {
        let index = applied.index;
        let mut say = |change| fx.emit(Event::Committed { index, change });
        match command {
            Command::RegisterNode { id, .. } | Command::NodeStatus { id, .. } => {
                if let Some(entry) = self.state.node(*id) {
                    say(Change::Node { node: entry.node.clone(), before: prior.node });
                }
            }
            Command::Plan(result) => {
                let requested = prior.requested.unwrap_or(result.time);
                for stop in &result.stops {
                    say(Change::Stopped { stop: *stop });
                }
                for victim in &result.preemptions {
                    say(Change::Preempted { alloc: victim.alloc, node: victim.node });
                }
                for update in &result.updates {
                    if let Some(alloc) = self.state.alloc(update.id) {
                        say(Change::Updated { alloc: alloc.clone() });
                    }
                }
                for id in &applied.allocs {
                    if let Some(alloc) = self.state.alloc(*id) {
                        say(Change::Placed { alloc: alloc.clone(), requested });
                    }
                }
                for entry in result.ineligible.iter().filter_map(|node| self.state.node(*node)) {
                    say(Change::Node { node: entry.node.clone(), before: Some(entry.node.status) });
                }
            }
            Command::ClientUpdate { updates, .. } => {
                for update in updates {
                    let healthy = update.health.map(|(healthy, _)| healthy);
                    say(Change::Reported { alloc: update.id, status: update.client, healthy });
                }
            }
            Command::AllocHealth { .. } => {
                for alloc in applied.reported.iter().filter_map(|id| self.state.alloc(*id)) {
                    let healthy = alloc.health.and_then(|health| health.healthy);
                    say(Change::Reported { alloc: alloc.id, status: alloc.client, healthy });
                }
            }
            Command::SchedulerConfig(_) => say(Change::Switched { switches: self.state.switches() }),
            Command::Noop
            | Command::DeregisterNodes(_)
            | Command::NodeEligibility { .. }
            | Command::NodeDrain { .. }
            | Command::RegisterJob { .. }
            | Command::DeregisterJob { .. }
            | Command::UpsertEvals(_)
            | Command::Transitions { .. }
            | Command::DeploymentStatus { .. }
            | Command::PromoteDeployment { .. }
            | Command::Reap { .. } => {}
        }
        for id in &applied.jobs {
            say(Change::Job { id: *id, job: self.state.job(*id).cloned() });
        }
        for deployment in applied.deployments.iter().filter_map(|id| self.state.deployment(*id)) {
            say(Change::Deployment { deployment: deployment.clone() });
        }
        for eval in applied.evals.iter().chain(&applied.canceled).cloned() {
            let purged = self.state.job(eval.job).is_none();
            say(if eval.is_terminal() { Change::EvalEnded { eval, purged } } else { Change::EvalWritten { eval } });
        }
    }

    /// The leader's machines react to a committed entry (Nomad `FSM`).
    fn lead_applied(&mut self, now: Time, applied: &Applied, fx: &mut impl Fx<Self>) {
        let mut released = Vec::new();
        for eval in &applied.evals {
            match eval.status {
                EvalStatus::Pending => self.enqueue(now, eval.clone(), None, fx),
                EvalStatus::Blocked => released.extend(self.blocked.block(eval.clone(), None)),
                EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled => {}
            }
        }
        for job in &applied.untracked {
            self.blocked.untrack(*job);
        }
        for capacity in &applied.unblocked {
            self.blocked.unblock(capacity.class, applied.index, &mut released);
            if let Some(node) = capacity.node {
                self.blocked.unblock_node(node, &mut released);
            }
        }
        for (eval, token) in released {
            self.enqueue(now, eval, token, fx);
        }
        self.settle_leader(now, fx);
    }
}

/// What an entry is about, before it is applied.
#[derive(Debug, Clone, Copy, Default)]
struct Prior {
    node: Option<NodeStatus>,
    requested: Option<Time>,
}

/// Tokens of plan verifications; the epoch stands above the low byte.
pub(super) const TOKEN_APPLIER: u64 = 1;
/// Tokens of workers; the worker stands above the low byte.
pub(super) const TOKEN_WORKER: u64 = 2;
