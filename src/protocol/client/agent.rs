//! The client agent: registration, heartbeats, the pull and push loops, and the runners of its allocations.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot};
use crate::base::ordered::OrdSet;
use crate::base::rng::Rng;
use crate::base::roll::Roll;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId};
use crate::model::node::{NodeSpec, NodeStatus};
use crate::protocol::client::alarms::Alarms;
use crate::protocol::client::config::ClientConfig;
use crate::protocol::client::event::{Event, Exit};
use crate::protocol::client::rpc::{Calls, Outgoing, Purpose};
use crate::protocol::client::runner::Runner;
use crate::protocol::scheduler::command::AllocUpdate;
use crate::protocol::scheduler::message::{Call, Message, Registration, Reply, Request, RpcError};

/// The client's alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Register or beat.
    Beat,
    /// Ask for allocations again.
    Pull,
    /// Send status updates.
    Push,
    /// Try a failed call again.
    Retry,
    /// A keepalive is due, or its answer.
    Keepalive,
    /// The earliest wake-up of a runner.
    Runner,
    /// Look whether the servers have been out of reach for too long.
    HeartbeatStop,
    /// Shuffle the server list.
    Rebalance,
    /// The host is not what it was.
    Fingerprint,
}

impl Timer {
    /// How many there are: the place of what shares a table with them.
    pub const COUNT: usize = Self::Fingerprint as usize + 1;
}

impl Slot for Timer {
    fn slot(self) -> usize {
        let slot = self as usize;
        assert!(slot < Self::COUNT, "a timer behind the last one");
        slot
    }
}

/// Where registration and heartbeats stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not registered, or to be registered again.
    Unregistered,
    /// Registered.
    Registered,
}

/// What the alarm for status updates is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushAlarm {
    /// Nothing.
    Off,
    /// The next time for details; what changes a status does not wait for it.
    Routine,
    /// The next time for anything, or the end of the wait after a failure.
    Set,
}

/// One client.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent condition of one loop")]
pub struct NomadClient {
    pub(super) config: ClientConfig,
    pub(super) rng: Rng,
    pub(super) calls: Calls,
    pub(super) phase: Phase,
    /// Registered before: it registers as ready from then on.
    pub(super) was_ready: bool,
    pub(super) last_ok: Option<Time>,
    pub(super) ttl: Duration,
    /// Waiting to register or beat again after a failure: the next answer to anything wakes it.
    pub(super) beat_failed: bool,
    pub(super) pull_failed: bool,
    /// Heartbeats fail since the last one that did not.
    pub(super) disconnected: bool,
    /// Index of the last allocation list.
    pub(super) pull_index: u64,
    pub(super) pull_started: bool,
    /// The list being worked on.
    pub(super) wanted: Vec<AllocId>,
    pub(super) list_index: u64,
    /// Index of the last change by a server, of every allocation of the node the servers still list; ascending.
    pub(super) known: Vec<(AllocId, u64)>,
    /// A list whose older part `known` begins with.
    pub(super) agreed: Option<Roll<(AllocId, u64)>>,
    pub(super) runners: SortedMap<AllocId, Box<Runner>>,
    /// Runners whose group has, or once had, `stop_after_client_disconnect`.
    pub(super) stoppable: OrdSet<AllocId>,
    pub(super) dirty: SortedSet<AllocId>,
    pub(super) pushing: Vec<AllocUpdate>,
    pub(super) push_alarm: PushAlarm,
    pub(super) push_phase: Duration,
    /// A new order of the server list, until its head answers.
    pub(super) rebalancing: Option<Vec<ProcessId>>,
    /// Servers that were pinged and have not answered.
    pub(super) pinged: Vec<ProcessId>,
    pub(super) keepalive_armed: bool,
    /// Pings are out; the alarm is for their answers.
    pub(super) probing: bool,
    pub(super) keepalive_phase: Duration,
    pub(super) alarms: Alarms,
    pub(super) runner_due: Option<Time>,
    pub(super) images: OrdSet<u64>,
    /// The servers were reached since the process started.
    pub(super) reached: bool,
    pub(super) started: Time,
    pub(super) events: Vec<Event>,
}

impl Machine for NomadClient {
    type Msg = Message;
    type Timer = Timer;
    type Event = Event;

    fn handle(&mut self, now: Time, input: Input<Message, Timer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(now, fx),
            Input::Message { from, msg } => self.message(now, from, msg, fx),
            Input::Refused { to } => self.server_lost(now, to, fx),
            Input::Fired(Timer::Beat) => self.beat(now, fx),
            Input::Fired(Timer::Pull) => self.pull(now, fx),
            Input::Fired(Timer::Push) => self.push(now, fx),
            Input::Fired(Timer::Retry) => self.retry(now, fx),
            Input::Fired(Timer::Keepalive) => self.keepalive(now, fx),
            Input::Fired(Timer::Runner) => self.wake_runners(now, fx),
            Input::Fired(Timer::HeartbeatStop) => self.heartbeat_stop(now, fx),
            Input::Fired(Timer::Rebalance) => self.rebalance(fx),
            Input::Fired(Timer::Fingerprint) => self.register_again(now, fx),
            Input::Done(_) => {}
        }
        self.settle(now, fx);
    }

    /// Allocations, their task states and the image cache are on disk; everything else is forgotten. Whether tasks
    /// survived is asked of the container, so that a killed agent and a crashed host look as they should.
    fn reboot(&mut self, _now: Time, _kept: &Kept) {
        self.calls.crash();
        self.phase = Phase::Unregistered;
        self.was_ready = false;
        self.last_ok = None;
        self.beat_failed = false;
        self.pull_failed = false;
        self.disconnected = false;
        self.pull_index = 0;
        self.pull_started = false;
        self.wanted.clear();
        self.pushing.clear();
        self.push_alarm = PushAlarm::Off;
        self.rebalancing = None;
        self.pinged.clear();
        self.keepalive_armed = false;
        self.probing = false;
        self.alarms.clear();
        self.runner_due = None;
        self.reached = false;
        self.events.clear();
        self.dirty = self.runners.keys().collect();
        self.runners.iter_mut().for_each(|(_, runner)| runner.crash());
    }
}

impl NomadClient {
    /// A client that never ran. `rng` serves staggers and the order of servers.
    pub fn new(config: ClientConfig, mut rng: Rng) -> Self {
        let mut servers = config.servers.clone();
        rng.shuffle(&mut servers);
        let push_phase = rng.stagger(config.push_interval * config.push_routine);
        let keepalive_phase = rng.stagger(config.keepalive);
        Self {
            calls: Calls::new(servers),
            config,
            rng,
            phase: Phase::Unregistered,
            was_ready: false,
            last_ok: None,
            ttl: Duration::ZERO,
            beat_failed: false,
            pull_failed: false,
            disconnected: false,
            pull_index: 0,
            pull_started: false,
            wanted: Vec::new(),
            list_index: 0,
            known: Vec::new(),
            agreed: None,
            runners: SortedMap::default(),
            stoppable: OrdSet::new(),
            dirty: SortedSet::default(),
            pushing: Vec::new(),
            push_alarm: PushAlarm::Off,
            push_phase,
            rebalancing: None,
            pinged: Vec::new(),
            keepalive_armed: false,
            probing: false,
            keepalive_phase,
            alarms: Alarms::default(),
            runner_due: None,
            images: OrdSet::new(),
            reached: false,
            started: Time::ZERO,
            events: Vec::new(),
        }
    }

    /// Allocations the client has, dead ones included until the servers know.
    pub fn allocs(&self) -> impl Iterator<Item = &Arc<Alloc>> {
        self.runners.values().map(|runner| runner.alloc())
    }

    /// The container started a task it was told to.
    pub fn task_started(&mut self, now: Time, alloc: AllocId, task: u16, fx: &mut impl Fx<Self>) {
        self.with_runner(now, alloc, |runner, desk| runner.task_started(usize::from(task), desk));
        self.settle(now, fx);
    }

    /// A task ended.
    pub fn task_exited(&mut self, now: Time, alloc: AllocId, task: u16, exit: Exit, fx: &mut impl Fx<Self>) {
        self.with_runner(now, alloc, |runner, desk| runner.task_exited(usize::from(task), exit, desk));
        self.settle(now, fx);
    }

    /// The answer to [`Event::ReattachTask`].
    pub fn task_reattached(&mut self, now: Time, alloc: AllocId, task: u16, alive: bool, fx: &mut impl Fx<Self>) {
        self.with_runner(now, alloc, |runner, desk| runner.task_reattached(usize::from(task), alive, desk));
        if self.reached {
            self.with_runner(now, alloc, Runner::servers_reached);
        }
        self.settle(now, fx);
    }

    /// All checks of an allocation's services pass on the local Consul agent, or not.
    pub fn checks_passing(&mut self, now: Time, alloc: AllocId, passing: bool, fx: &mut impl Fx<Self>) {
        self.with_runner(now, alloc, |runner, desk| runner.checks_passing(passing, desk));
        self.settle(now, fx);
    }

    /// The host is not what it was: devices, attributes, volumes. The servers hear of it at the next look.
    pub fn fingerprinted(&mut self, now: Time, spec: Arc<NodeSpec>, fx: &mut impl Fx<Self>) {
        if *spec != *self.config.spec {
            self.config.spec = spec;
            fx.arm(Timer::Fingerprint, until_multiple(now, FINGERPRINT_INTERVAL, Duration::ZERO));
        }
    }

    fn register_again(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.phase == Phase::Registered {
            self.phase = Phase::Unregistered;
            self.beat(now, fx);
        }
    }

    fn start(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.started = now;
        let ids: Vec<AllocId> = self.runners.keys().collect();
        for id in ids {
            self.with_runner(now, id, Runner::restore);
            self.ask_predecessor(now, id, fx);
        }
        fx.arm(Timer::Rebalance, self.rng.timeout(self.config.rebalance));
        self.beat(now, fx);
        self.arm_heartbeat_stop(fx);
    }

    // Calls.

    pub(super) fn call(&mut self, now: Time, purpose: Purpose, request: Request, fx: &mut impl Fx<Self>) {
        let Some(to) = self.calls.servers.first().copied() else {
            self.call_failed(now, purpose, RpcError::NoLeader, fx);
            return;
        };
        let id = self.calls.fresh();
        self.send(now, id, Outgoing { to, purpose, request, first: now, sent: now }, fx);
    }

    fn send(&mut self, now: Time, id: Call, call: Outgoing, fx: &mut impl Fx<Self>) {
        if !self.keepalive_armed {
            self.keepalive_armed = true;
            fx.arm(Timer::Keepalive, until_multiple(now, self.config.keepalive, self.keepalive_phase));
        }
        fx.send(call.to, Message::Request { call: id, request: call.request.clone() });
        self.calls.out.insert(id, call);
    }

    fn message(&mut self, now: Time, from: ProcessId, msg: Message, fx: &mut impl Fx<Self>) {
        self.pinged.retain(|server| *server != from);
        match msg {
            Message::Reply { call, reply } => {
                let Some(out) = self.calls.out.remove(&call) else { return };
                self.relax_keepalive(fx);
                match reply {
                    Reply::Failed(error) => self.try_elsewhere(now, call, out, error, fx),
                    reply => self.answered(now, out.purpose, reply, fx),
                }
            }
            Message::Ping => fx.send(from, Message::Pong),
            Message::Pong => {
                if let Some(order) = self.rebalancing.take_if(|order| order.first() == Some(&from)) {
                    self.calls.servers = order;
                }
            }
            Message::Request { .. } => {}
        }
    }

    fn relax_keepalive(&mut self, fx: &mut impl Fx<Self>) {
        if self.keepalive_armed && self.calls.out.is_empty() {
            self.keepalive_armed = false;
            self.probing = false;
            self.pinged.clear();
            fx.disarm(Timer::Keepalive);
        }
    }

    fn try_elsewhere(&mut self, now: Time, id: Call, call: Outgoing, error: RpcError, fx: &mut impl Fx<Self>) {
        let transport =
            matches!(error, RpcError::NoLeader | RpcError::NotReady | RpcError::Lost | RpcError::NotCommitted);
        if transport {
            self.calls.rotate(call.to);
        }
        if call.is_worth_retrying(now, error, self.config.rpc_hold, self.config.block) {
            let at = now + self.rng.stagger(self.config.rpc_hold / 16);
            self.calls.held.insert((at, id), call);
            self.arm_retry(now, fx);
        } else {
            self.call_failed(now, call.purpose, error, fx);
        }
    }

    fn arm_retry(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(((at, _), _)) = self.calls.held.first_key_value() {
            fx.arm(Timer::Retry, at.since(now));
        }
    }

    fn retry(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(entry) = self.calls.held.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, id), mut call) = entry.remove_entry();
            call.to = self.calls.servers.first().copied().unwrap_or(call.to);
            call.sent = now;
            self.send(now, id, call, fx);
        }
        self.arm_retry(now, fx);
    }

    /// A server refused, or its connection is dead.
    fn server_lost(&mut self, now: Time, server: ProcessId, fx: &mut impl Fx<Self>) {
        self.pinged.retain(|pinged| *pinged != server);
        self.calls.rotate(server);
        for call in self.calls.take_to(server) {
            let id = self.calls.fresh();
            self.try_elsewhere(now, id, call, RpcError::Lost, fx);
        }
        self.relax_keepalive(fx);
    }

    /// Keepalive tick or its deadline: connections with a call under way are probed.
    fn keepalive(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for server in std::mem::take(&mut self.pinged) {
            self.server_lost(now, server, fx);
        }
        self.keepalive_armed = !self.calls.out.is_empty();
        if !self.keepalive_armed {
            return;
        }
        // A blocking query waits for minutes; only this tells that its server is gone without a word.
        self.probing = !self.probing;
        if !self.probing {
            fx.arm(Timer::Keepalive, until_multiple(now, self.config.keepalive, self.keepalive_phase));
            return;
        }
        self.pinged = self.calls.out.values().map(|call| call.to).collect();
        self.pinged.sort_unstable();
        self.pinged.dedup();
        for server in &self.pinged {
            fx.send(*server, Message::Ping);
        }
        fx.arm(Timer::Keepalive, self.config.keepalive_timeout);
    }

    fn answered(&mut self, now: Time, purpose: Purpose, reply: Reply, fx: &mut impl Fx<Self>) {
        let (beat_failed, pull_failed) = (self.beat_failed, self.pull_failed);
        self.beat_failed = false;
        self.pull_failed = false;
        match (purpose, reply) {
            (Purpose::Register, Reply::Beat { ttl, servers }) => self.registered(now, ttl, &servers, fx),
            (Purpose::Beat, Reply::Beat { ttl, servers }) => self.beaten(now, ttl, &servers, fx),
            (Purpose::Pull, Reply::ClientAllocs(list)) => self.listed(now, list.index, list.allocs, fx),
            (Purpose::Fetch, Reply::Allocs(allocs)) => self.fetched(now, &allocs, fx),
            (Purpose::Push, Reply::Done { .. }) => self.pushed(),
            (Purpose::Predecessor(alloc), Reply::Alloc { index, alloc: found }) => {
                self.predecessor(now, alloc, index, found.as_deref(), fx);
            }
            (purpose, _) => self.call_failed(now, purpose, RpcError::Lost, fx),
        }
        if beat_failed && !matches!(purpose, Purpose::Register | Purpose::Beat) {
            fx.arm(Timer::Beat, Duration::ZERO);
        }
        if pull_failed && !matches!(purpose, Purpose::Pull | Purpose::Fetch) {
            fx.arm(Timer::Pull, Duration::ZERO);
        }
    }

    fn call_failed(&mut self, now: Time, purpose: Purpose, error: RpcError, fx: &mut impl Fx<Self>) {
        match purpose {
            Purpose::Register => {
                self.beat_failed = true;
                fx.arm(Timer::Beat, self.rng.timeout(self.config.register_retry));
            }
            Purpose::Beat => self.beat_lost(now, error, fx),
            Purpose::Pull | Purpose::Fetch => {
                self.pull_failed = true;
                fx.arm(Timer::Pull, self.rng.timeout(self.config.pull_retry));
            }
            Purpose::Push => {
                for update in std::mem::take(&mut self.pushing) {
                    self.dirty.insert(update.id);
                }
                self.push_alarm = PushAlarm::Set;
                fx.arm(Timer::Push, self.rng.timeout(self.config.push_retry));
            }
            Purpose::Predecessor(alloc) => {
                let at = now + self.rng.timeout(self.config.pull_retry);
                self.with_runner(now, alloc, |runner, desk| runner.ask_again(at, desk));
            }
        }
    }

    // Registration and heartbeats.

    fn beat(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let node = self.config.node;
        match self.phase {
            Phase::Unregistered => {
                let status = if self.was_ready { NodeStatus::Ready } else { NodeStatus::Initializing };
                let spec = self.config.spec.clone();
                self.call(now, Purpose::Register, Request::Register(Registration { node, spec, status }.into()), fx);
            }
            Phase::Registered => self.call(now, Purpose::Beat, Request::Heartbeat { node }, fx),
        }
    }

    fn registered(&mut self, now: Time, ttl: Duration, servers: &Arc<Vec<ProcessId>>, fx: &mut impl Fx<Self>) {
        self.phase = Phase::Registered;
        self.was_ready = true;
        self.push_alarm = PushAlarm::Off;
        self.heard_alive(now, ttl, servers);
        self.events.push(Event::Registered);
        fx.arm(Timer::Beat, self.rng.stagger(self.config.heartbeat_stagger));
        if !self.pull_started {
            self.pull_started = true;
            self.pull(now, fx);
        }
    }

    fn beaten(&mut self, now: Time, ttl: Duration, servers: &Arc<Vec<ProcessId>>, fx: &mut impl Fx<Self>) {
        self.heard_alive(now, ttl, servers);
        fx.arm(Timer::Beat, ttl);
    }

    fn heard_alive(&mut self, now: Time, ttl: Duration, servers: &Arc<Vec<ProcessId>>) {
        self.last_ok = Some(now);
        self.ttl = ttl;
        if self.disconnected {
            self.disconnected = false;
            self.events.push(Event::HeartbeatRestored);
        }
        if self.calls.given.as_ref().is_some_and(|given| Arc::ptr_eq(given, servers)) {
            return;
        }
        let mut known = self.calls.servers.clone();
        known.sort_unstable();
        let mut given = Vec::clone(servers);
        given.sort_unstable();
        if known != given && !given.is_empty() {
            self.rng.shuffle(&mut given);
            self.calls.servers = given;
            self.rebalancing = None;
        }
        self.calls.given = Some(servers.clone());
    }

    fn beat_lost(&mut self, now: Time, error: RpcError, fx: &mut impl Fx<Self>) {
        if error == RpcError::UnknownNode {
            self.phase = Phase::Unregistered;
            self.beat(now, fx);
            return;
        }
        self.beat_failed = true;
        if !self.disconnected {
            self.disconnected = true;
            self.events.push(Event::HeartbeatFailed);
        }
        let wait = self.beat_retry(now, error);
        fx.arm(Timer::Beat, wait);
    }

    /// Nomad `getHeartbeatRetryIntv`.
    fn beat_retry(&mut self, now: Time, error: RpcError) -> Duration {
        const SECOND: Duration = Duration::from_secs(1);
        let Some(last_ok) = self.last_ok.filter(|_| error != RpcError::NoLeader) else {
            return self.rng.timeout(self.config.register_retry);
        };
        let due = last_ok + self.ttl;
        let (left, late) = (due.since(now), now.since(due));
        if !late.is_zero() && late <= Duration::from_secs(30) {
            return self.rng.timeout(SECOND);
        }
        let stagger = self.rng.stagger(left.max(late));
        if stagger < SECOND {
            self.rng.timeout(SECOND)
        } else if stagger > Duration::from_secs(30) {
            self.rng.span(Duration::from_secs(25), Duration::from_secs(30))
        } else {
            stagger
        }
    }

    /// Shuffles the server list; the new order holds once its head answers a ping.
    fn rebalance(&mut self, fx: &mut impl Fx<Self>) {
        let mut order = self.calls.servers.clone();
        self.rng.shuffle(&mut order);
        if let Some(head) = order.first() {
            fx.send(*head, Message::Ping);
        }
        self.rebalancing = Some(order);
        fx.arm(Timer::Rebalance, self.rng.timeout(self.config.rebalance));
    }

    /// After every input: arms what became due and hands the events over.
    fn settle(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.arm_push(now, fx);
        let due = self.alarms.next();
        if due != self.runner_due {
            self.runner_due = due;
            match due {
                Some(at) => fx.arm(Timer::Runner, at.since(now)),
                None => fx.disarm(Timer::Runner),
            }
        }
        for event in self.events.drain(..) {
            fx.emit(event);
        }
    }
}

/// Time between two looks at the host (Nomad `nodeUpdateRetryIntv`).
const FINGERPRINT_INTERVAL: Duration = Duration::from_secs(5);

/// From `now` to the next instant `phase + n * period` after it.
pub(super) fn until_multiple(now: Time, period: Duration, phase: Duration) -> Duration {
    let (now, period, phase) = (now.as_nanos(), period.as_nanos(), phase.as_nanos());
    let since = (now + period - phase % period) % period;
    Duration::from_nanos(period - since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::machine::Token;
    use crate::base::rng::Draws;
    use crate::model::alloc::ClientStatus;
    use crate::model::evaluation::EvalId;
    use crate::model::node::NodeId;
    use crate::protocol::client::config::{Delay, Delays};
    use crate::protocol::scheduler::release::{Behaviour, Release};
    use crate::protocol::scheduler::story::{node_spec, place};
    use crate::protocol::scheduler::test_support::job;

    fn client() -> NomadClient {
        let none = Delay::constant(Duration::ZERO);
        let delays = Delays { setup: none, pull: none, start: none, draws: Draws::new(1, "starts") };
        let servers = vec![ProcessId(0), ProcessId(1), ProcessId(2)];
        NomadClient::new(ClientConfig::new(NodeId(0), node_spec(1_000), servers, delays), Rng::stream(1, "client"))
    }

    #[test]
    fn heartbeats_are_retried_as_nomad_does() {
        // Last answer, time to live, now, error, shortest and longest wait, in seconds.
        let lost = RpcError::Lost;
        for (last_ok, ttl, now, error, low, high) in [
            (None, 0, 10, lost, 15.0, 30.0),
            (Some(0), 15, 5, RpcError::NoLeader, 15.0, 30.0),
            (Some(0), 15, 20, lost, 1.0, 2.0),
            (Some(0), 15, 45, lost, 1.0, 2.0),
            (Some(0), 15, 5, lost, 1.0, 10.0),
            (Some(0), 15, 65, lost, 1.0, 30.0),
            (Some(0), 15, 3_000, lost, 1.0, 30.0),
        ] {
            let mut client = client();
            let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
            client.last_ok = last_ok.map(at);
            client.ttl = Duration::from_secs(ttl);
            for _ in 0..50 {
                let wait = client.beat_retry(at(now), error).as_secs_f64();
                assert!(low <= wait && wait <= high, "{last_ok:?} {ttl} {now}: {wait}");
            }
        }
    }

    /// Waits the alarm for pushes was set to, in milliseconds.
    #[derive(Default)]
    struct Pushes(Vec<u64>);

    impl Fx<NomadClient> for Pushes {
        fn send(&mut self, _: ProcessId, _: Message) {}
        fn arm(&mut self, timer: Timer, delay: Duration) {
            if timer == Timer::Push {
                self.0.push(delay.as_nanos() / 1_000_000);
            }
        }
        fn disarm(&mut self, _: Timer) {}
        fn write(&mut self, _: Token, _: u32) {}
        fn compute(&mut self, _: Token, _: Duration) {}
        fn emit(&mut self, _: Event) {}
    }

    #[test]
    fn what_changes_no_status_is_pushed_once_a_second_from_1_6_on() {
        for (release, expected) in [("1.5.6", &[100, 80][..]), ("1.6.0", &[900, 50, 880])] {
            let mut client = client();
            client.config.push_routine = Behaviour::of(release.parse::<Release>().unwrap()).client_update_ticks;
            (client.phase, client.push_phase) = (Phase::Registered, Duration::ZERO);
            let at = |millis| Time::ZERO + Duration::from_millis(millis);
            let mut alloc = place(&Arc::new(job(0, 50, 1)), NodeId(0), EvalId(0), None, at(0));
            alloc.id = AllocId(1);
            let mut fx = Pushes::default();
            client.add(at(100), &Arc::new(alloc), &mut fx);
            client.settle(at(100), &mut fx);
            // It runs: that changes its status.
            client.with_runner(at(150), AllocId(1), |runner, _| runner.status = ClientStatus::Running);
            client.settle(at(150), &mut fx);
            client.push(at(200), &mut fx);
            client.pushed();
            // It is healthy: that does not.
            client.with_runner(at(1_120), AllocId(1), |runner, _| runner.decided = Some((true, at(1_120))));
            client.settle(at(1_120), &mut fx);
            client.settle(at(1_130), &mut fx);
            assert_eq!(fx.0, expected, "{release}");
        }
    }

    /// Waits until the next look at silence, and what was stopped for it.
    #[derive(Default)]
    struct Silence {
        waits: Vec<Duration>,
        stopped: Vec<AllocId>,
    }

    impl Fx<NomadClient> for Silence {
        fn send(&mut self, _: ProcessId, _: Message) {}
        fn arm(&mut self, timer: Timer, delay: Duration) {
            if timer == Timer::HeartbeatStop {
                self.waits.push(delay);
            }
        }
        fn disarm(&mut self, _: Timer) {}
        fn write(&mut self, _: Token, _: u32) {}
        fn compute(&mut self, _: Token, _: Duration) {}
        fn emit(&mut self, event: Event) {
            if let Event::StoppedWhileDisconnected { alloc } = event {
                self.stopped.push(alloc);
            }
        }
    }

    #[test]
    fn work_is_stopped_once_its_client_has_been_cut_off_for_longer_than_it_allows() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let with_limits = |limits: &[u64], fx: &mut Silence| {
            let mut client = client();
            client.phase = Phase::Registered;
            let alloc = |(id, limit): (u32, &u64)| {
                let mut job = job(0, 50, 1);
                job.groups[0].stop_after_client_disconnect = Some(Duration::from_secs(*limit));
                Arc::new(Alloc { id: AllocId(id), ..place(&Arc::new(job), NodeId(0), EvalId(0), None, at(0)) })
            };
            let allocs: Vec<Arc<Alloc>> = (1..).zip(limits).map(alloc).collect();
            client.last_ok = Some(at(100));
            client.wanted = allocs.iter().map(|alloc| alloc.id).collect();
            client.fetched(at(100), &allocs, fx);
            client
        };
        let mut fx = Silence::default();
        let mut client = with_limits(&[12, 30], &mut fx);
        for now in [at(112), at(112) + Duration::from_nanos(1), at(130), at(131), at(200)] {
            client.handle(now, Input::Fired(Timer::HeartbeatStop), &mut fx);
            if now <= at(112) {
                assert!(fx.stopped.is_empty(), "as long as it allows, and no longer");
            } else if now <= at(130) {
                assert_eq!(fx.stopped, [AllocId(1)]);
            }
        }
        assert_eq!(fx.stopped, [AllocId(1), AllocId(2)]);
        let five = Duration::from_secs(5);
        assert_eq!(fx.waits, [five; 4], "it looks every 5 s as long as anything can be stopped");
        let mut fx = Silence::default();
        let mut client = with_limits(&[2], &mut fx);
        assert_eq!(fx.waits, [Duration::from_secs(2)], "or as often as the shortest limit asks for");
        // The client restarts, and reaches nobody: its start counts as the last word of the servers.
        client.reboot(at(101), &Kept::default());
        client.handle(at(150), Input::Start, &mut fx);
        client.handle(at(152), Input::Fired(Timer::HeartbeatStop), &mut fx);
        assert!(fx.stopped.is_empty());
        client.handle(at(154), Input::Fired(Timer::HeartbeatStop), &mut fx);
        assert_eq!(fx.stopped, [AllocId(1)]);
    }

    #[test]
    fn pushes_happen_at_multiples_of_their_interval() {
        let at = Time::from_nanos;
        let wait = |now| until_multiple(at(now), Duration::from_nanos(200), Duration::from_nanos(30)).as_nanos();
        assert_eq!([wait(0), wait(29), wait(30), wait(31), wait(229)], [30, 1, 200, 199, 1]);
    }
}
