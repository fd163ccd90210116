//! A Consul server, without its Raft and its Serf: the catalog's replica, the leader's reconciliation of it with Serf,
//! and (in `server_read`) the RPC endpoint.
//!
//! The process that contains it puts Raft and Serf beside it and connects them:
//!
//! - [`ServerEvent::Propose`] goes to Raft. Every committed entry comes back through [`CatalogServer::applied`], with
//!   the request's number where the entry was proposed here; one that Raft turned down through
//!   [`CatalogServer::propose_failed`].
//! - [`ServerEvent::VerifyLeader`] asks Raft for a quorum's confirmation; [`CatalogServer::leader_verified`] answers.
//! - Raft's changes of leadership come through [`CatalogServer::leadership_gained`],
//!   [`CatalogServer::leadership_lost`] and [`CatalogServer::leader_known`], the leader's signs of life through
//!   [`CatalogServer::leader_contact`].
//! - Serf's members of the LAN pool come through [`CatalogServer::member_event`], the servers of other datacenters (WAN
//!   pool) through [`CatalogServer::remote_server`].
//!
//! A leader begins with a barrier, then compares every member with the catalog, then follows Serf's events, one log
//! entry at a time, since the original's leader loop waits for each (`leaderLoop`, `reconcileMember`). Events beyond
//! 256 that wait for it are dropped; the next full comparison, every 60 s, makes up for them. Left out: the user event
//! `consul:new-leader` at its head, on which every agent of the datacenter synchronises within 3 s as when a server
//! comes up. So what an agent could not push while nobody led reaches the catalog at its next comparison or change: up
//! to a minute or two later than in reality.
//!
//! Nothing of it is durable: after a restart Raft restores a snapshot and applies its log again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::machine::Input;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::machine::Slot;
use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::catalog::connection::Calls;
use crate::protocol::catalog::deadline::Alarm;
use crate::protocol::catalog::deadline::Deadlines;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::query::QueryKind;
use crate::protocol::catalog::query::Reply;
use crate::protocol::catalog::query::Waiters;
use crate::protocol::catalog::reconcile;
use crate::protocol::catalog::reconcile::MemberEvent;
use crate::protocol::catalog::reconcile::MemberRole;
use crate::protocol::catalog::reconcile::MemberStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::registry;
use crate::protocol::catalog::registry::Fact;
use crate::protocol::catalog::registry::State;
use crate::protocol::catalog::server_read::Caller;
use crate::protocol::catalog::server_read::Forwarded;
use crate::protocol::catalog::server_read::Held;
use crate::protocol::catalog::server_read::Read;
use crate::protocol::raft::autopilot::HEALTH_INTERVAL;

/// Settings of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Time between full comparisons of Serf's members with the catalog. Default 60 s (`ReconcileInterval`).
    pub reconcile_interval: Duration,
    /// How long a call is held while nobody leads. Default 7 s (`rpc_hold_timeout`).
    pub rpc_hold: Duration,
    /// Member events that may wait for the leader's attention. Default 256.
    pub reconcile_queue_max: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { reconcile_interval: Duration::from_secs(60), rpc_hold: Duration::from_secs(7), reconcile_queue_max: 256 }
    }
}

/// Alarms of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTimer {
    /// The leader compares all members with the catalog.
    Reconcile,
    /// A held call goes on.
    Hold,
    /// A blocked query's time is up.
    Wait,
    /// Connections are looked at.
    Connection,
    /// The leader's autopilot looks at the servers.
    Autopilot,
    /// Servers of the datacenter are joined into the WAN pool.
    Flood,
}

impl Slot for ServerTimer {
    fn slot(self) -> usize {
        self as usize
    }
}

/// What a server tells the process that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Propose this entry to Raft.
    Propose {
        /// Comes back with the outcome.
        request: u64,
        /// The entry.
        command: Arc<Command>,
    },
    /// Have a quorum confirm that this server leads.
    VerifyLeader {
        /// Comes back with the outcome.
        request: u64,
    },
    /// This leader's barrier is through: it answers consistent reads and reconciles.
    Established,
    /// An entry changed this replica.
    Applied {
        /// The entry's index.
        index: u64,
        /// What it changed; one event per change.
        fact: Fact,
    },
    /// A read was answered here.
    Answered {
        /// Who asked: an agent, or the server that passed the question on.
        to: ProcessId,
        /// The caller's number.
        call: u64,
        /// Stands for what was asked: equal for equal kinds of query.
        topic: u64,
        /// The answer's index.
        index: u64,
        /// Whether it had blocked.
        blocked: bool,
    },
    /// A call failed here.
    Failed {
        /// Who asked.
        to: ProcessId,
        /// Why it failed.
        error: RpcError,
    },
    /// The leader's autopilot is to look at the servers (every 2 s).
    AutopilotDue,
    /// Servers of the LAN pool that the WAN pool does not know are to be joined there (every 60 s).
    FloodDue,
    /// The queue of member events was full; this one waits for the next full comparison.
    MemberEventDropped {
        /// The member.
        node: ProcessId,
    },
}

/// A Consul server.
#[derive(Debug, Clone)]
pub struct CatalogServer {
    pub(super) me: ProcessId,
    pub(super) region: RegionId,
    pub(super) config: ServerConfig,
    pub(super) rng: Rng,
    pub(super) state: State,
    pub(super) leading: Option<Leading>,
    pub(super) leader: Option<ProcessId>,
    pub(super) last_contact: Option<Time>,
    members: OrdMap<ProcessId, (MemberRole, MemberStatus)>,
    proposals: OrdMap<u64, Purpose>,
    pub(super) next_request: u64,
    pub(super) calls: Calls<Forwarded>,
    pub(super) waiters: Waiters<Read>,
    pub(super) wait_alarm: Alarm,
    pub(super) held: Deadlines<Held>,
    pub(super) hold_alarm: Alarm,
    pub(super) verifying: OrdMap<u64, Vec<Read>>,
    pub(super) cache: OrdMap<QueryKind, Cached>,
    pub(super) remote: OrdMap<RegionId, VecDeque<ProcessId>>,
}

/// The latest answer to one kind of query: good while the index that the query would carry stays the same.
#[derive(Debug, Clone)]
pub(super) struct Cached {
    pub(super) index: u64,
    pub(super) answer: Answer,
    pub(super) reply: Arc<Reply>,
}

/// What only a leader has.
#[derive(Debug, Clone, Default)]
pub(super) struct Leading {
    /// The barrier is through.
    pub(super) ready: bool,
    /// The entry the leader loop waits for.
    in_flight: Option<u64>,
    /// Members still to be compared.
    sweep: VecDeque<MemberEvent>,
    /// Events that wait for their turn.
    events: VecDeque<MemberEvent>,
    /// The next full comparison is due.
    overdue: bool,
}

/// Whom the outcome of a proposal concerns.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Barrier,
    Sweep,
    Member,
    Caller(Caller),
}

impl CatalogServer {
    /// A server of `region` that is not running yet.
    pub fn new(me: ProcessId, region: RegionId, config: ServerConfig, rng: Rng) -> Self {
        Self {
            me,
            region,
            config,
            rng,
            state: State::default(),
            leading: None,
            leader: None,
            last_contact: None,
            members: OrdMap::new(),
            proposals: OrdMap::new(),
            next_request: 0,
            calls: Calls::default(),
            waiters: Waiters::default(),
            wait_alarm: Alarm::default(),
            held: Deadlines::default(),
            hold_alarm: Alarm::default(),
            verifying: OrdMap::new(),
            cache: OrdMap::new(),
            remote: OrdMap::new(),
        }
    }

    /// This replica. Cloning it makes a snapshot: handles, not copies.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether this server leads and its barrier is through.
    pub fn is_established(&self) -> bool {
        self.leading.as_ref().is_some_and(|leading| leading.ready)
    }

    /// Raft made this server the leader.
    pub fn leadership_gained(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.leading = Some(Leading::default());
        self.leader = Some(self.me);
        self.begin_reconciliation(fx);
        self.settle(now, fx);
    }

    /// This server leads no more. What it proposed counts as failed, though it may still be committed.
    pub fn leadership_lost(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.leading = None;
        if self.leader == Some(self.me) {
            self.leader = None;
        }
        fx.disarm(ServerTimer::Reconcile);
        fx.disarm(ServerTimer::Autopilot);
        for (_, purpose) in std::mem::take(&mut self.proposals) {
            if let Purpose::Caller(caller) = purpose {
                Self::fail(caller, RpcError::LeadershipLost, fx);
            }
        }
        for read in std::mem::take(&mut self.verifying).into_values().flatten() {
            Self::fail(read.caller, RpcError::LeadershipLost, fx);
        }
        self.settle(now, fx);
    }

    /// Raft knows who leads, or that nobody does.
    pub fn leader_known(&mut self, leader: Option<ProcessId>) {
        self.leader = leader;
    }

    /// Raft heard from the leader, by any of its messages. A server that never did answers no stale reads.
    pub fn leader_contact(&mut self, at: Time) {
        self.last_contact = Some(at);
    }

    /// Serf, in the LAN pool, has news of a member.
    pub fn member_event(&mut self, now: Time, event: MemberEvent, fx: &mut impl Fx<Self>) {
        if event.status == MemberStatus::Reaped {
            self.members.remove(&event.node);
        } else {
            self.members.insert(event.node, (event.role, event.status));
        }
        let Some(leading) = &mut self.leading else { return };
        if leading.events.len() < self.config.reconcile_queue_max {
            leading.events.push_back(event);
        } else {
            fx.emit(ServerEvent::MemberEventDropped { node: event.node });
        }
        self.pump(fx);
        self.settle(now, fx);
    }

    /// Serf, in the WAN pool, has news of a server of another datacenter: it is there, or it is not.
    pub fn remote_server(&mut self, region: RegionId, server: ProcessId, alive: bool) {
        let servers = self.remote.entry(region).or_default();
        servers.retain(|other| *other != server || alive);
        if alive && !servers.contains(&server) {
            servers.push_back(server);
        }
    }

    /// Raft committed and handed out an entry; `request` if it was proposed here. Indexes rise.
    pub fn applied(&mut self, now: Time, index: u64, command: &Command, request: Option<u64>, fx: &mut impl Fx<Self>) {
        let outcome = registry::apply(&mut self.state, index, command);
        let result = match outcome {
            Ok(changes) => {
                for fact in &changes.facts {
                    fx.emit(ServerEvent::Applied { index, fact: *fact });
                }
                self.wake(now, &changes.keys, fx);
                Ok(())
            }
            Err(registry::ApplyError::MissingService { .. }) => Err(RpcError::Rejected),
        };
        if let Some((request, purpose)) = request.and_then(|request| Some((request, self.proposals.remove(&request)?)))
        {
            match purpose {
                Purpose::Barrier => self.established(fx),
                Purpose::Sweep | Purpose::Member => {}
                Purpose::Caller(caller) => Self::written(caller, index, result, fx),
            }
            self.proceed(request, fx);
        }
        self.settle(now, fx);
    }

    /// Raft turned a proposal down.
    pub fn propose_failed(&mut self, now: Time, request: u64, error: RpcError, fx: &mut impl Fx<Self>) {
        match self.proposals.remove(&request) {
            None => return,
            // The round is given up; the next one comes with the interval.
            Some(Purpose::Barrier | Purpose::Sweep) => {
                if let Some(leading) = &mut self.leading {
                    leading.sweep.clear();
                }
            }
            Some(Purpose::Member) => {}
            Some(Purpose::Caller(caller)) => Self::fail(caller, error, fx),
        }
        self.proceed(request, fx);
        self.settle(now, fx);
    }

    /// Raft restored a snapshot: everyone who waits is answered with what there is now.
    pub fn restore(&mut self, now: Time, state: State, fx: &mut impl Fx<Self>) {
        self.state = state;
        self.cache.clear();
        for read in self.waiters.drain() {
            self.answer(now, &read, true, fx);
        }
    }

    /// Proposes an entry on behalf of a caller. Only a leader does.
    pub(super) fn propose_for(&mut self, caller: Caller, command: Arc<Command>, fx: &mut impl Fx<Self>) {
        self.propose(Purpose::Caller(caller), command, fx);
    }

    fn propose(&mut self, purpose: Purpose, command: Arc<Command>, fx: &mut impl Fx<Self>) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.proposals.insert(request, purpose);
        fx.emit(ServerEvent::Propose { request, command });
        request
    }

    /// The head of the leader loop: a barrier first.
    fn begin_reconciliation(&mut self, fx: &mut impl Fx<Self>) {
        let request = self.propose(Purpose::Barrier, Arc::new(Command::Barrier), fx);
        if let Some(leading) = &mut self.leading {
            leading.in_flight = Some(request);
            leading.overdue = false;
            fx.arm(ServerTimer::Reconcile, self.config.reconcile_interval);
        }
    }

    /// The barrier is through: compare all members, and all nodes that Serf does not know.
    fn established(&mut self, fx: &mut impl Fx<Self>) {
        let Some(leading) = &mut self.leading else { return };
        if !leading.ready {
            leading.ready = true;
            fx.emit(ServerEvent::Established);
            fx.arm(ServerTimer::Autopilot, HEALTH_INTERVAL);
        }
        let members = self.members.iter();
        leading.sweep.extend(members.map(|(node, (role, status))| MemberEvent {
            node: *node,
            role: *role,
            status: *status,
        }));
        let unknown = self
            .state
            .nodes()
            .filter(|node| node.check(CheckId::SerfHealth).is_some() && !self.members.contains_key(&node.node));
        leading.sweep.extend(unknown.map(|node| MemberEvent {
            node: node.node,
            role: MemberRole::Client,
            status: MemberStatus::Reaped,
        }));
    }

    /// The entry that the leader loop waited for has its outcome.
    fn proceed(&mut self, request: u64, fx: &mut impl Fx<Self>) {
        if let Some(leading) = self.leading.as_mut().filter(|leading| leading.in_flight == Some(request)) {
            leading.in_flight = None;
            self.pump(fx);
        }
    }

    /// Goes on with the leader loop until an entry has to be waited for or nothing is left.
    fn pump(&mut self, fx: &mut impl Fx<Self>) {
        loop {
            let Some(leading) = self.leading.as_mut().filter(|leading| leading.in_flight.is_none()) else { return };
            let (member, purpose) = if let Some(member) = leading.sweep.pop_front() {
                (member, Purpose::Sweep)
            } else if leading.overdue {
                return self.begin_reconciliation(fx);
            } else if let Some(member) = leading.events.pop_front() {
                (member, Purpose::Member)
            } else {
                return;
            };
            if let Some(command) = reconcile::decide(&self.state, self.me, member) {
                let request = self.propose(purpose, Arc::new(command), fx);
                if let Some(leading) = &mut self.leading {
                    leading.in_flight = Some(request);
                }
            }
        }
    }
}

impl Machine for CatalogServer {
    type Msg = CatalogMsg;
    type Timer = ServerTimer;
    type Event = ServerEvent;

    fn handle(&mut self, now: Time, input: Input<CatalogMsg, ServerTimer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => fx.arm(ServerTimer::Flood, FLOOD_INTERVAL),
            // Of writes and computations it has none.
            Input::Done(_) => {}
            Input::Message { from, msg } => self.hear(now, from, msg, fx),
            Input::Refused { to } => self.disconnected(now, to, fx),
            Input::Fired(ServerTimer::Reconcile) => {
                if let Some(leading) = &mut self.leading {
                    leading.overdue = true;
                }
                self.pump(fx);
            }
            Input::Fired(ServerTimer::Autopilot) => {
                fx.emit(ServerEvent::AutopilotDue);
                fx.arm(ServerTimer::Autopilot, HEALTH_INTERVAL);
            }
            Input::Fired(ServerTimer::Flood) => {
                fx.emit(ServerEvent::FloodDue);
                fx.arm(ServerTimer::Flood, FLOOD_INTERVAL);
            }
            Input::Fired(ServerTimer::Hold) => self.release(now, fx),
            Input::Fired(ServerTimer::Wait) => self.expire(now, fx),
            Input::Fired(ServerTimer::Connection) => self.check_connections(now, fx),
        }
        self.settle(now, fx);
    }

    fn reboot(&mut self, _now: Time, _kept: &Kept) {
        let rng = self.rng.clone();
        // Numbers go on, so that no late outcome is taken for that of a new request.
        let (next_request, calls) = (self.next_request, self.calls.restarted());
        *self = Self { next_request, calls, ..Self::new(self.me, self.region, self.config, rng) };
    }
}

/// `SerfFloodInterval`.
const FLOOD_INTERVAL: Duration = Duration::from_secs(60);
