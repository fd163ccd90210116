//! The Consul agent of a host: takes registrations from the processes beside it, runs their checks, keeps the catalog
//! in line (anti-entropy), and passes questions on to a server.
//!
//! - A changed status is pushed at once; a changed output after minutes; everything is compared with the catalog about
//!   once a minute. Pushes go one at a time. A push that fails waits for the next change or comparison. While a failed
//!   comparison waits to be tried again nothing is pushed (Consul `ae.StateSyncer`).
//! - A call goes to the first server of the list; any error sends that server to the end. Calls that cannot have done
//!   harm are made again, after random pauses, until 7 s have gone since the first (`rpc_hold_timeout`).
//! - The process that contains the agent tells it, from Serf's LAN pool, which servers are there
//!   ([`CatalogAgent::server_up`], [`CatalogAgent::server_down`]) and how many members there are
//!   ([`CatalogAgent::lan_size`]).
//! - Durable: the definitions of services. A service whose write had not been reported done may be lost in a crash. The
//!   original also keeps the state of TTL checks for as long as they live; here they begin critical again, so a restart
//!   takes such a service out of the answers until its next report.
//!
//! A check whose result stays the same costs one alarm and two messages on the host, and allocates nothing.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::machine::Input;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::machine::Slot;
use crate::base::machine::Token;
use crate::base::rng::Draws;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::anti_entropy::SyncConfig;
use crate::protocol::catalog::check::Alarmed;
use crate::protocol::catalog::check::Effect;
use crate::protocol::catalog::check::LocalCheck;
use crate::protocol::catalog::connection::Calls;
use crate::protocol::catalog::deadline::Alarm;
use crate::protocol::catalog::deadline::Deadlines;
use crate::protocol::catalog::local::Local;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::message::Request;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::message::ServiceDefinition;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::router::ServerList;

/// Settings of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentConfig {
    /// When it synchronises.
    pub sync: SyncConfig,
    /// How long a call is repeated. Default 7 s (`rpc_hold_timeout`).
    pub rpc_hold: Duration,
    /// How old the catalog may be that the agent compares itself with. Default 2 s.
    pub sync_stale_max: Duration,
    /// Time between two looks for services that were critical for too long. Default 30 s (`check_reap_interval`).
    pub reap_interval: Duration,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            sync: SyncConfig::default(),
            rpc_hold: Duration::from_secs(7),
            sync_stale_max: Duration::from_secs(2),
            reap_interval: Duration::from_secs(30),
        }
    }
}

/// Alarms of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentTimer {
    /// A full synchronisation is due.
    Sync,
    /// A call is made again.
    Hold,
    /// Connections are looked at.
    Connection,
    /// The server list is shuffled, or the server pinged for that has not answered.
    Rebalance,
    /// Services that were critical for too long are removed.
    Reap,
    /// A changed output is written.
    Output,
    /// The check at this place runs, gets no answer in time, or (TTL) no report.
    Check(u32),
}

impl Slot for AgentTimer {
    fn slot(self) -> usize {
        match self {
            Self::Sync => 0,
            Self::Hold => 1,
            Self::Connection => 2,
            Self::Rebalance => 3,
            Self::Reap => 4,
            Self::Output => 5,
            Self::Check(place) => 6 + place as usize,
        }
    }
}

/// What an agent tells the process that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// A check has a new status; the catalog learns of it next.
    CheckChanged {
        /// Which check.
        check: CheckId,
        /// The service's name; `None` for maintenance.
        service: Option<Arc<str>>,
        /// Its status before.
        from: CheckStatus,
        /// Its status now.
        to: CheckStatus,
    },
    /// A service was critical for longer than its `deregister_critical_service_after`, and is gone.
    ServiceReaped {
        /// The service.
        instance: InstanceId,
    },
    /// The catalog has been told everything there was to tell.
    Synced {
        /// After a comparison, or after a change.
        full: bool,
    },
    /// It could not be told.
    SyncFailed {
        /// During a comparison, or after a change.
        full: bool,
        /// Why.
        error: RpcError,
    },
}

/// The Consul agent of a host.
#[derive(Debug, Clone)]
pub struct CatalogAgent {
    pub(super) me: ProcessId,
    pub(super) config: AgentConfig,
    pub(super) draws: Draws,
    /// Numbers the draws of synchronisation, of pauses and rebalancing, and of checks.
    pub(super) rounds: Rounds,
    pub(super) lan_members: u32,
    pub(super) servers: ServerList,
    /// The server that a rebalancing pings.
    pub(super) pinged: Option<ProcessId>,
    /// How many it has pinged in vain.
    pub(super) pinged_in_vain: usize,
    pub(super) local: Local,
    pub(super) phase: Phase,
    /// Something changed here that the catalog has not been told.
    pub(super) changed: bool,
    /// A server came up while a synchronisation was under way.
    pub(super) server_came: bool,
    pub(super) full_due: Time,
    pub(super) calls: Calls<Outgoing>,
    pub(super) held: Deadlines<Outgoing>,
    pub(super) hold_alarm: Alarm,
    pub(super) output_alarm: Alarm,
    pub(super) started: Time,
    pub(super) reaping: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Rounds {
    pub(super) sync: u64,
    pub(super) pause: u64,
    pub(super) registration: u64,
}

/// Where synchronisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Pushes changes as they come, until the next full synchronisation.
    Partial,
    /// Waits for a full synchronisation and takes no notice of changes.
    Waiting,
    /// Has asked what the catalog has.
    Fetching,
    /// Tells the catalog, one thing at a time.
    Pushing { full: bool },
}

/// A call and what it is for.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) purpose: Purpose,
    pub(super) request: Arc<Request>,
    pub(super) since: Time,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Fetch,
    Push,
    Ask { from: ProcessId, ask: u64 },
}

impl CatalogAgent {
    /// An agent that is not running yet.
    pub fn new(me: ProcessId, config: AgentConfig, draws: Draws) -> Self {
        Self {
            me,
            config,
            draws,
            rounds: Rounds::default(),
            lan_members: 1,
            servers: ServerList::default(),
            pinged: None,
            pinged_in_vain: 0,
            local: Local::default(),
            phase: Phase::Waiting,
            changed: false,
            server_came: false,
            full_due: Time::ZERO,
            calls: Calls::default(),
            held: Deadlines::default(),
            hold_alarm: Alarm::default(),
            output_alarm: Alarm::default(),
            started: Time::ZERO,
            reaping: false,
        }
    }

    /// What is registered here.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// The state of a check that is registered here.
    pub fn status(&self, check: CheckId) -> Option<CheckStatus> {
        self.local.check(self.local.place_of(check)?).map(|check| check.record.status)
    }

    /// How long the check at this place waits before it runs again, if this answer was its last and another like it
    /// would change nothing but counts. Whoever knows that the next answers are like it may disarm the alarm, and
    /// report the runs left out with [`CatalogAgent::answered_as_before`].
    pub fn routine(&self, place: u32, status: CheckStatus, output: u32) -> Option<Duration> {
        self.local.check(place).filter(|check| check.is_settled_on(status, output))?.interval()
    }

    /// The check at this place, whose next runs were [routine](CatalogAgent::routine), had the same answer `times` more
    /// times and runs again after `delay`.
    pub fn answered_as_before(&mut self, place: u32, times: u32, delay: Duration, fx: &mut impl Fx<Self>) {
        let Some(check) = self.local.check_mut(place) else { return };
        check.answered_as_before(times);
        fx.arm(AgentTimer::Check(place), delay);
    }

    /// Serf: a server of this datacenter joined, or is back.
    pub fn server_up(&mut self, now: Time, server: ProcessId, fx: &mut impl Fx<Self>) {
        if !self.servers.add(server) {
            return;
        }
        if self.servers.len() == 2 && self.pinged.is_none() {
            self.arm_rebalance(fx);
        }
        match self.phase {
            Phase::Partial | Phase::Waiting => self.wait_for_server(fx),
            Phase::Fetching | Phase::Pushing { .. } => self.server_came = true,
        }
        self.settle(now, fx);
    }

    /// Serf: a server of this datacenter failed or left.
    pub fn server_down(&mut self, server: ProcessId) {
        self.servers.remove(server);
    }

    /// The agent has been up for a while: its list of servers is in a random order (the router's rebalancing).
    pub fn shuffle_servers(&mut self) {
        self.rounds.pause += 1;
        self.servers.shuffle(self.draws, self.rounds.pause);
    }

    /// The server that it asks.
    pub fn server(&self) -> Option<ProcessId> {
        self.servers.first()
    }

    /// Serf: how many members the LAN pool has.
    pub fn lan_size(&mut self, members: u32) {
        self.lan_members = members;
    }

    /// Registers a service; what [`CatalogMsg::Register`] does.
    pub fn register(&mut self, now: Time, definition: &Arc<ServiceDefinition>, fx: &mut impl Fx<Self>) {
        let token = Token(self.rounds.registration + 1);
        let Some(replaced) = self.local.add(definition, token) else { return };
        self.rounds.registration += 1;
        fx.write(token, 600);
        for place in replaced.old {
            fx.disarm(AgentTimer::Check(place));
        }
        for place in replaced.new {
            self.begin_check(place, fx);
        }
        self.begin_reaping(now, fx);
        self.changed(now, fx);
    }

    /// Deregisters a service; what [`CatalogMsg::Deregister`] does. False if it is not here.
    pub fn deregister(&mut self, now: Time, instance: InstanceId, fx: &mut impl Fx<Self>) -> bool {
        let Some(places) = self.local.remove(instance) else { return false };
        for place in places {
            fx.disarm(AgentTimer::Check(place));
        }
        self.changed(now, fx);
        true
    }

    fn start(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.started = now;
        // Another life of the agent spreads its checks anew.
        self.rounds.registration += 1;
        let places: Vec<u32> = self.local.checks().map(|(place, _)| place).collect();
        for place in places {
            self.begin_check(place, fx);
        }
        self.begin_reaping(now, fx);
        self.synchronise(now, fx);
    }

    fn hear(&mut self, now: Time, from: ProcessId, msg: CatalogMsg, fx: &mut impl Fx<Self>) {
        match msg {
            CatalogMsg::Return { call, result } => {
                self.calls.heard(from);
                if let Some(outgoing) = self.calls.close(from, call) {
                    self.returned(now, from, outgoing, result, fx);
                }
            }
            CatalogMsg::Ping => fx.send(from, CatalogMsg::Pong),
            CatalogMsg::Pong => {
                self.calls.heard(from);
                if self.pinged == Some(from) {
                    self.pinged = None;
                    self.arm_rebalance(fx);
                }
            }
            CatalogMsg::Register(definition) => self.register(now, &definition, fx),
            CatalogMsg::Deregister(instance) => {
                if !self.deregister(now, instance, fx) {
                    fx.send(from, CatalogMsg::Unknown(CheckId::Service { instance, ordinal: 0 }));
                }
            }
            CatalogMsg::Ttl { check, status, output } => {
                let place = self.local.place_of(check);
                match place.filter(|place| self.local.check(*place).is_some_and(LocalCheck::is_ttl)) {
                    Some(place) => {
                        self.rearm_check(place, fx);
                        self.result(now, place, status, output, fx);
                    }
                    None => fx.send(from, CatalogMsg::Unknown(check)),
                }
            }
            CatalogMsg::Maintenance { instance, on } => {
                if self.local.maintain(instance, on) {
                    self.changed(now, fx);
                } else if let Some(instance) = instance {
                    fx.send(from, CatalogMsg::Unknown(CheckId::ServiceMaintenance(instance)));
                }
            }
            CatalogMsg::Ask { ask, query } => self.ask(now, from, ask, &query, fx),
            CatalogMsg::ProbeReply { check, round, status, output } => {
                if self.local.check_mut(check).is_some_and(|check| check.answered(round)) {
                    self.rearm_check(check, fx);
                    self.result(now, check, status, output, fx);
                }
            }
            // Only a server is called, and only services are probed and told.
            CatalogMsg::Call { .. } | CatalogMsg::Unknown(_) | CatalogMsg::Told { .. } | CatalogMsg::Probe { .. } => {}
        }
    }

    fn begin_check(&mut self, place: u32, fx: &mut impl Fx<Self>) {
        let registration = self.rounds.registration;
        let delay = self.local.check(place).and_then(|check| check.first_alarm(self.draws, registration));
        if let Some(delay) = delay {
            fx.arm(AgentTimer::Check(place), delay);
        }
    }

    fn rearm_check(&mut self, place: u32, fx: &mut impl Fx<Self>) {
        if let Some(interval) = self.local.check(place).and_then(LocalCheck::interval) {
            fx.arm(AgentTimer::Check(place), interval);
        }
    }

    fn check_alarm(&mut self, now: Time, place: u32, fx: &mut impl Fx<Self>) {
        let Some(check) = self.local.check_mut(place) else { return };
        match check.alarmed() {
            Alarmed::Ask { target, port, kind, round, timeout } => {
                fx.send(target, CatalogMsg::Probe { check: place, round, port, kind });
                fx.arm(AgentTimer::Check(place), timeout);
            }
            Alarmed::Failed => {
                if !check.is_ttl() {
                    self.rearm_check(place, fx);
                }
                self.result(now, place, CheckStatus::Critical, NO_ANSWER, fx);
            }
        }
    }

    /// A process on this host does not listen: the checks that asked it have failed.
    fn probes_refused(&mut self, now: Time, target: ProcessId, fx: &mut impl Fx<Self>) {
        let refused: Vec<u32> =
            self.local.checks().filter(|(_, check)| check.asked() == Some(target)).map(|(place, _)| place).collect();
        for place in refused {
            if let Some(check) = self.local.check_mut(place) {
                check.refused();
            }
            self.rearm_check(place, fx);
            self.result(now, place, CheckStatus::Critical, REFUSED, fx);
        }
    }

    fn result(&mut self, now: Time, place: u32, status: CheckStatus, output: u32, fx: &mut impl Fx<Self>) {
        let Some(check) = self.local.check_mut(place) else { return };
        match check.result(now, status, output) {
            Effect::None => {}
            Effect::Output => {
                if check.in_sync && check.defer_until.is_none() {
                    self.rounds.sync += 1;
                    let delay = self.config.sync.defer_output(self.draws, self.rounds.sync);
                    check.defer_until = Some(now + delay);
                    if let Some(delay) = self.output_alarm.rearm(now, Some(now + delay)) {
                        fx.arm(AgentTimer::Output, delay);
                    }
                }
            }
            Effect::Status { from } => {
                check.in_sync = false;
                let (id, service) = (check.record.id, check.service_name().cloned());
                fx.emit(AgentEvent::CheckChanged { check: id, service, from, to: status });
                self.changed(now, fx);
            }
        }
    }

    /// Outputs that waited long enough are pushed.
    fn write_outputs(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.output_alarm.fired();
        let waiting: Vec<(u32, Time)> =
            self.local.checks().filter_map(|(place, check)| Some((place, check.defer_until?))).collect();
        let mut next = None;
        for (place, due) in waiting {
            if due <= now {
                if let Some(check) = self.local.check_mut(place) {
                    (check.in_sync, check.defer_until) = (false, None);
                }
                self.changed(now, fx);
            } else {
                next = Some(next.map_or(due, |next: Time| next.min(due)));
            }
        }
        if let Some(delay) = self.output_alarm.rearm(now, next) {
            fx.arm(AgentTimer::Output, delay);
        }
    }

    /// The reaper looks every 30 s from the agent's start on; its alarm is set only while there is something to reap.
    fn begin_reaping(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let wanted = self.local.checks().any(|(_, check)| check.deregister_after().is_some());
        if wanted && !self.reaping {
            let interval = self.config.reap_interval.as_nanos().max(1);
            let past = now.since(self.started).as_nanos() % interval;
            fx.arm(AgentTimer::Reap, Duration::from_nanos(interval - past));
            self.reaping = true;
        }
    }

    fn reap(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.reaping = false;
        let overdue = self.local.checks().filter_map(|(_, check)| {
            let critical_for = now.since(check.critical_since?);
            let id = check.record.id.instance()?;
            (critical_for > check.deregister_after()?).then_some(id)
        });
        let mut overdue: Vec<InstanceId> = overdue.collect();
        overdue.sort_unstable();
        overdue.dedup();
        for instance in overdue {
            self.deregister(now, instance, fx);
            fx.emit(AgentEvent::ServiceReaped { instance });
        }
        self.begin_reaping(now, fx);
    }

    /// Sets the timers to what is due next.
    fn settle(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(delay) = self.hold_alarm.rearm(now, self.held.next()) {
            fx.arm(AgentTimer::Hold, delay);
        }
        if let Some(delay) = self.calls.rearm(now) {
            fx.arm(AgentTimer::Connection, delay);
        }
    }
}

impl Machine for CatalogAgent {
    type Msg = CatalogMsg;
    type Timer = AgentTimer;
    type Event = AgentEvent;

    fn handle(&mut self, now: Time, input: Input<CatalogMsg, AgentTimer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(now, fx),
            Input::Message { from, msg } => self.hear(now, from, msg, fx),
            Input::Refused { to } => {
                self.probes_refused(now, to, fx);
                self.disconnected(now, to, fx);
                if self.pinged == Some(to) {
                    self.rebalance(fx);
                }
            }
            Input::Fired(AgentTimer::Sync) => self.sync_alarm(now, fx),
            Input::Fired(AgentTimer::Hold) => self.release(now, fx),
            Input::Fired(AgentTimer::Connection) => self.check_connections(now, fx),
            Input::Fired(AgentTimer::Rebalance) => self.rebalance(fx),
            Input::Fired(AgentTimer::Reap) => self.reap(now, fx),
            Input::Fired(AgentTimer::Output) => self.write_outputs(now, fx),
            Input::Fired(AgentTimer::Check(place)) => self.check_alarm(now, place, fx),
            Input::Done(token) => self.local.written(token),
        }
        self.settle(now, fx);
    }

    fn reboot(&mut self, _now: Time, kept: &Kept) {
        let mut local = std::mem::take(&mut self.local);
        local.reload(&kept.lost);
        let rounds = std::mem::take(&mut self.rounds);
        let calls = self.calls.restarted();
        *self = Self { rounds, local, calls, ..Self::new(self.me, self.config, self.draws) };
    }
}

/// Outputs of checks that got no answer.
const NO_ANSWER: u32 = u32::MAX;
const REFUSED: u32 = u32::MAX - 1;
