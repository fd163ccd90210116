//! One node of an application load balancer: target health, selection, forwarding (AWS ELB user guides).
//!
//! Each node checks every target for itself and sends to all zones' targets (cross-zone) or to its own zone's only.
//! With no healthy target it sends to all (fail open). It never repeats a request.
//!
//! Left out: sticky sessions, slow start, weighted target groups, request rules; a listener has one target group. Left
//! out too are the thresholds of target group health, which are off unless set: with them a zone with too few healthy
//! targets leaves DNS, and a node sends to all targets before the last healthy one is gone. Losing part of a zone's
//! proxies would then cost requests earlier, or fewer.

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot};
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::model::topology::ZoneId;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::health::{HealthConfig, HealthState, TargetHealth};
use crate::protocol::proxy::inflight::{Callers, Deadlines, InFlight, KeepAlive, Opening, Phase};
use crate::protocol::proxy::message::{Exchange, HttpMsg, RequestNumber, RouteId};

/// `load_balancing.algorithm.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// In turn. The default.
    #[default]
    RoundRobin,
    /// Fewest requests under way from this node; in turn among equals.
    LeastOutstanding,
}

/// Which targets a node uses: `load_balancing.cross_zone.enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// All zones'. The default.
    #[default]
    CrossZone,
    /// Its own zone's.
    OwnZone,
}

/// How a node is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlbConfig {
    /// Zone of this node.
    pub zone: ZoneId,
    /// Selection.
    pub algorithm: Algorithm,
    /// Zones used.
    pub reach: Reach,
    /// Health checks.
    pub health: HealthConfig,
    /// Time to establish a connection with a target; then 504. 10 s.
    pub connect_timeout: Duration,
    /// `idle_timeout.timeout_seconds`: time without a byte; then 504. Default 60 s, 1..=4000.
    pub idle_timeout: Duration,
    /// `deregistration_delay.timeout_seconds`. Default 300 s, 0..=3600.
    pub deregistration_delay: Duration,
}

impl AlbConfig {
    /// AWS defaults, with fabio's health check of the reference deployment.
    pub fn new(zone: ZoneId) -> Self {
        Self {
            zone,
            algorithm: Algorithm::default(),
            reach: Reach::default(),
            health: HealthConfig::fabio(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            deregistration_delay: Duration::from_secs(300),
        }
    }
}

/// Alarms of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlbTimer {
    /// The oldest dial may have timed out.
    DialDue,
    /// The oldest request may have idled too long.
    IdleDue,
    /// Time to probe a target, by its slot.
    Probe(u32),
    /// A probe got no answer.
    ProbeDue(u32),
    /// The deregistration delay of a target is over.
    Deregistered(u32),
}

impl Slot for AlbTimer {
    fn slot(self) -> usize {
        const FIXED: usize = 2;
        const KINDS: usize = 3;
        match self {
            Self::DialDue => 0,
            Self::IdleDue => 1,
            Self::Probe(target) => FIXED + target as usize * KINDS,
            Self::ProbeDue(target) => FIXED + target as usize * KINDS + 1,
            Self::Deregistered(target) => FIXED + target as usize * KINDS + 2,
        }
    }
}

/// What a node tells its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlbEvent {
    /// A target's health changed in this node's eyes.
    Health {
        /// The target.
        target: Endpoint,
        /// Its state now.
        state: HealthState,
    },
    /// A target was chosen for a request.
    Sent {
        /// The request.
        number: RequestNumber,
        /// Where it goes.
        target: Endpoint,
    },
    /// A request was answered: by its target, or by this node with 460 (client gone), 502, 503 or 504.
    Answered {
        /// The request.
        number: RequestNumber,
        /// HTTP status.
        status: u16,
    },
    /// A target is fully deregistered.
    Deregistered {
        /// The target.
        target: Endpoint,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    InService,
    /// No new requests; leaves when those under way are done or the delay is over.
    Draining,
    /// The slot may be used again.
    Gone,
}

#[derive(Debug, Clone)]
struct Target {
    endpoint: Endpoint,
    zone: ZoneId,
    membership: Membership,
    health: TargetHealth,
    /// Number of the probe under way.
    probe: Option<u32>,
    next_probe: u32,
    outstanding: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Caller {
    from: ProcessId,
    id: u32,
    number: RequestNumber,
    route: RouteId,
    target: u32,
}

/// A balancer node.
#[derive(Debug, Clone)]
pub struct Alb {
    config: AlbConfig,
    rng: Rng,
    is_running: bool,
    targets: Vec<Target>,
    /// Slots requests may go to, ascending; recomputed when health or membership changes.
    eligible: Vec<u32>,
    turn: usize,
    in_flight: InFlight<Caller>,
    callers: Callers,
    dials: Deadlines,
    idles: Deadlines,
    failed: Vec<Caller>,
}

impl Alb {
    /// A node without targets. `rng` gives the phases of its health checks.
    pub fn new(config: AlbConfig, rng: Rng) -> Self {
        let in_flight = InFlight::new(KeepAlive { idle: config.idle_timeout, count_max: 10_000 });
        Self {
            config,
            rng,
            is_running: false,
            targets: Vec::new(),
            eligible: Vec::new(),
            turn: 0,
            in_flight,
            callers: Callers::default(),
            dials: Deadlines::default(),
            idles: Deadlines::default(),
            failed: Vec::new(),
        }
    }

    /// Adds a target; a draining one is taken back. Its first probe comes within one interval.
    pub fn register(&mut self, target: Endpoint, zone: ZoneId, fx: &mut impl Fx<Self>) {
        let known = self.targets.iter().position(|t| t.endpoint == target && t.membership != Membership::Gone);
        let free = || self.targets.iter().position(|t| t.membership == Membership::Gone && t.outstanding == 0);
        let slot = match known {
            Some(slot) if self.targets[slot].membership == Membership::InService => return,
            Some(slot) => slot,
            None => free().unwrap_or(self.targets.len()),
        };
        let next_probe = self.targets.get(slot).map_or(0, |t| t.next_probe);
        let outstanding = self.targets.get(slot).map_or(0, |t| t.outstanding);
        let health = TargetHealth::default();
        let membership = Membership::InService;
        let fresh = Target { endpoint: target, zone, membership, health, probe: None, next_probe, outstanding };
        if slot == self.targets.len() {
            self.targets.push(fresh);
        } else {
            self.targets[slot] = fresh;
        }
        let slot = u32::try_from(slot).expect("fewer than 2^32 targets");
        fx.disarm(AlbTimer::Deregistered(slot));
        if self.is_running {
            fx.arm(AlbTimer::Probe(slot), self.rng.stagger(self.config.health.interval));
        }
        self.select();
    }

    /// Removes a target after its deregistration delay, or as soon as nothing is under way to it.
    pub fn deregister(&mut self, target: Endpoint, fx: &mut impl Fx<Self>) {
        let found = self.targets.iter().position(|t| t.endpoint == target && t.membership == Membership::InService);
        let Some(slot) = found.and_then(|slot| u32::try_from(slot).ok()) else { return };
        self.targets[slot as usize].membership = Membership::Draining;
        fx.disarm(AlbTimer::Probe(slot));
        fx.disarm(AlbTimer::ProbeDue(slot));
        self.select();
        if !self.leave_if_idle(slot, fx) {
            fx.arm(AlbTimer::Deregistered(slot), self.config.deregistration_delay);
        }
    }

    /// Health of a registered target.
    pub fn health(&self, target: Endpoint) -> Option<HealthState> {
        let is_registered = |t: &&Target| t.endpoint == target && t.membership == Membership::InService;
        self.targets.iter().find(is_registered).map(|t| t.health.state())
    }

    /// Healthy targets within reach of this node.
    pub fn healthy_count(&self) -> usize {
        self.within_reach().filter(|(_, t)| t.health.state() == HealthState::Healthy).count()
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Who waits for this exchange with a target, under which name, if all that is left to do is to pass the response
    /// on.
    #[inline]
    pub fn passes_on(&self, exchange: Exchange) -> Option<(ProcessId, Exchange)> {
        let caller = self.in_flight.waiting(exchange)?;
        let counts = self.config.algorithm == Algorithm::LeastOutstanding;
        let leaves = self.targets[caller.target as usize].membership == Membership::Draining;
        let theirs = Exchange { id: caller.id, number: caller.number };
        (!counts && !leaves).then_some((caller.from, theirs))
    }

    /// The response of an exchange that [`Alb::passes_on`] is passed on at `at`, which may be ahead, by somebody else.
    pub fn passed_on(&mut self, at: Time, exchange: Exchange) {
        if let Some((_, caller)) = self.in_flight.finish(at, exchange) {
            self.targets[caller.target as usize].outstanding -= 1;
        }
    }

    fn within_reach(&self) -> impl Iterator<Item = (u32, &Target)> {
        let (reach, zone) = (self.config.reach, self.config.zone);
        (0..).zip(&self.targets).filter(move |(_, target)| {
            target.membership == Membership::InService && (reach == Reach::CrossZone || target.zone == zone)
        })
    }

    fn select(&mut self) {
        let is_healthy = |target: &Target| target.health.state() == HealthState::Healthy;
        let fails_open = !self.within_reach().any(|(_, target)| is_healthy(target));
        let eligible = self.within_reach().filter(|(_, target)| fails_open || is_healthy(target)).map(|(slot, _)| slot);
        self.eligible = eligible.collect();
    }

    fn choose(&mut self) -> Option<u32> {
        let count = self.eligible.len();
        if count == 0 {
            return None;
        }
        let first = self.turn % count;
        let at = match self.config.algorithm {
            Algorithm::RoundRobin => first,
            Algorithm::LeastOutstanding => (first..first + count)
                .map(|at| at % count)
                .min_by_key(|&at| self.targets[self.eligible[at] as usize].outstanding)?,
        };
        self.turn = at + 1;
        Some(self.eligible[at])
    }

    fn on_message(&mut self, now: Time, from: ProcessId, msg: HttpMsg, fx: &mut impl Fx<Self>) {
        match msg {
            HttpMsg::Connect { id, number, .. } => fx.send(from, HttpMsg::Accepted { id, number }),
            HttpMsg::Request { id, number, route, .. } => {
                self.serve(now, Caller { from, id, number, route, target: 0 }, fx);
            }
            HttpMsg::Accepted { id, number } => {
                if let Some((target, caller)) = self.in_flight.accepted(Exchange { id, number }) {
                    self.send_request(now, target, Exchange { id, number }, caller.route, fx);
                }
            }
            HttpMsg::Response { id, number, status } => {
                if let Some((_, caller)) = self.in_flight.finish(now, Exchange { id, number }) {
                    self.reply(caller, status, fx);
                }
            }
            HttpMsg::Reset { id, number } => {
                if let Some((_, caller)) = self.in_flight.reset(Exchange { id, number }) {
                    self.reply(caller, BAD_GATEWAY, fx);
                }
            }
            HttpMsg::Cancel { id, number, .. } => self.cancel(from, id, number, fx),
            HttpMsg::Probe { slot, sequence, .. } => {
                fx.send(from, HttpMsg::ProbeReply { slot, sequence, status: 200 });
            }
            HttpMsg::ProbeReply { slot, sequence, status } => {
                self.on_probe_result(slot, sequence, status == self.config.health.matcher, fx);
            }
            HttpMsg::ProbeRefused { slot, sequence } => self.on_probe_result(slot, sequence, false, fx),
        }
    }

    fn serve(&mut self, now: Time, mut caller: Caller, fx: &mut impl Fx<Self>) {
        let Some(slot) = self.choose() else {
            fx.send(caller.from, HttpMsg::Response { id: caller.id, number: caller.number, status: UNAVAILABLE });
            return fx.emit(AlbEvent::Answered { number: caller.number, status: UNAVAILABLE });
        };
        caller.target = slot;
        let state = &mut self.targets[slot as usize];
        state.outstanding += 1;
        let target = state.endpoint;
        fx.emit(AlbEvent::Sent { number: caller.number, target });
        let (id, opening) = self.in_flight.open(now, target, caller.number, caller);
        self.callers.set(caller.from, caller.id, id);
        let exchange = Exchange { id, number: caller.number };
        match opening {
            Opening::Reused => self.send_request(now, target, exchange, caller.route, fx),
            Opening::Dial => {
                fx.send(target.process, HttpMsg::Connect { id, number: caller.number, port: target.port });
                let in_flight = &self.in_flight;
                let is_live = |exchange| in_flight.phase(exchange) == Some(Phase::Dialing);
                if let Some(delay) = self.dials.push(now, self.config.connect_timeout, exchange, is_live) {
                    fx.arm(AlbTimer::DialDue, delay);
                }
            }
        }
    }

    fn send_request(
        &mut self,
        now: Time,
        target: Endpoint,
        exchange: Exchange,
        route: RouteId,
        fx: &mut impl Fx<Self>,
    ) {
        let Exchange { id, number } = exchange;
        fx.send(target.process, HttpMsg::Request { id, number, route, port: target.port });
        let in_flight = &self.in_flight;
        let is_live = |exchange| in_flight.phase(exchange) == Some(Phase::Waiting);
        if let Some(delay) = self.idles.push(now, self.config.idle_timeout, exchange, is_live) {
            fx.arm(AlbTimer::IdleDue, delay);
        }
    }

    fn reply(&mut self, caller: Caller, status: u16, fx: &mut impl Fx<Self>) {
        fx.send(caller.from, HttpMsg::Response { id: caller.id, number: caller.number, status });
        self.settle(caller, status, fx);
    }

    /// A request ended: counts, and a draining target that was waiting for it.
    fn settle(&mut self, caller: Caller, status: u16, fx: &mut impl Fx<Self>) {
        fx.emit(AlbEvent::Answered { number: caller.number, status });
        let target = &mut self.targets[caller.target as usize];
        target.outstanding -= 1;
        if target.membership == Membership::Draining {
            self.leave_if_idle(caller.target, fx);
        }
    }

    fn leave_if_idle(&mut self, slot: u32, fx: &mut impl Fx<Self>) -> bool {
        let target = &mut self.targets[slot as usize];
        let is_idle = target.outstanding == 0;
        if is_idle {
            target.membership = Membership::Gone;
            fx.disarm(AlbTimer::Deregistered(slot));
            fx.emit(AlbEvent::Deregistered { target: target.endpoint });
        }
        is_idle
    }

    fn cancel(&mut self, from: ProcessId, theirs: u32, number: RequestNumber, fx: &mut impl Fx<Self>) {
        let Some(id) = self.callers.get(from, theirs) else { return };
        if let Some((target, caller)) = self.in_flight.close(Exchange { id, number }) {
            fx.send(target.process, HttpMsg::Cancel { id, number, port: target.port });
            self.settle(caller, CLIENT_GONE, fx);
        }
    }

    fn on_dial_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(exchange) = {
            let in_flight = &self.in_flight;
            self.dials.due(now, |e| in_flight.phase(e) == Some(Phase::Dialing))
        } {
            if let Some((_, caller)) = self.in_flight.close(exchange) {
                self.reply(caller, GATEWAY_TIMEOUT, fx);
            }
        }
        if let Some(delay) = self.dials.rearm(now) {
            fx.arm(AlbTimer::DialDue, delay);
        }
    }

    fn on_idle_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(exchange) = {
            let in_flight = &self.in_flight;
            self.idles.due(now, |e| in_flight.phase(e) == Some(Phase::Waiting))
        } {
            if let Some((target, caller)) = self.in_flight.close(exchange) {
                let Exchange { id, number } = exchange;
                fx.send(target.process, HttpMsg::Cancel { id, number, port: target.port });
                self.reply(caller, GATEWAY_TIMEOUT, fx);
            }
        }
        if let Some(delay) = self.idles.rearm(now) {
            fx.arm(AlbTimer::IdleDue, delay);
        }
    }

    fn on_refused(&mut self, to: ProcessId, fx: &mut impl Fx<Self>) {
        let mut failed = std::mem::take(&mut self.failed);
        self.in_flight.refused(to, &mut failed);
        for caller in failed.drain(..) {
            self.reply(caller, BAD_GATEWAY, fx);
        }
        self.failed = failed;
        for slot in 0..self.targets.len() {
            let target = &self.targets[slot];
            if target.endpoint.process == to
                && let Some(sequence) = target.probe
            {
                self.on_probe_result(slot as u32, sequence, false, fx);
            }
        }
    }

    fn probe(&mut self, slot: u32, fx: &mut impl Fx<Self>) {
        let target = &mut self.targets[slot as usize];
        let sequence = target.next_probe;
        target.next_probe = sequence.wrapping_add(1);
        target.probe = Some(sequence);
        let port = self.config.health.port.unwrap_or(target.endpoint.port);
        fx.send(target.endpoint.process, HttpMsg::Probe { slot, sequence, port });
        fx.arm(AlbTimer::Probe(slot), self.config.health.interval);
        fx.arm(AlbTimer::ProbeDue(slot), self.config.health.timeout);
    }

    fn on_probe_result(&mut self, slot: u32, sequence: u32, is_success: bool, fx: &mut impl Fx<Self>) {
        let Some(target) = self.targets.get_mut(slot as usize) else { return };
        if target.probe != Some(sequence) || target.membership != Membership::InService {
            return;
        }
        target.probe = None;
        fx.disarm(AlbTimer::ProbeDue(slot));
        if target.health.observe(is_success, &self.config.health) {
            let (target, state) = (target.endpoint, target.health.state());
            fx.emit(AlbEvent::Health { target, state });
            self.select();
        }
    }

    fn on_probe_due(&mut self, slot: u32, fx: &mut impl Fx<Self>) {
        if let Some(sequence) = self.targets[slot as usize].probe {
            self.on_probe_result(slot, sequence, false, fx);
        }
    }

    fn start(&mut self, fx: &mut impl Fx<Self>) {
        self.is_running = true;
        for (slot, target) in (0..).zip(&self.targets) {
            if target.membership == Membership::InService {
                fx.arm(AlbTimer::Probe(slot), self.rng.stagger(self.config.health.interval));
            }
        }
        self.select();
    }

    fn on_deregistered(&mut self, slot: u32, fx: &mut impl Fx<Self>) {
        let target = &mut self.targets[slot as usize];
        if target.membership == Membership::Draining {
            target.membership = Membership::Gone;
            fx.emit(AlbEvent::Deregistered { target: target.endpoint });
        }
    }
}

impl Machine for Alb {
    type Msg = HttpMsg;
    type Timer = AlbTimer;
    type Event = AlbEvent;

    fn handle(&mut self, now: Time, input: Input<HttpMsg, AlbTimer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(fx),
            Input::Message { from, msg } => self.on_message(now, from, msg, fx),
            Input::Refused { to } => self.on_refused(to, fx),
            Input::Fired(AlbTimer::DialDue) => self.on_dial_due(now, fx),
            Input::Fired(AlbTimer::IdleDue) => self.on_idle_due(now, fx),
            Input::Fired(AlbTimer::Probe(slot)) => self.probe(slot, fx),
            Input::Fired(AlbTimer::ProbeDue(slot)) => self.on_probe_due(slot, fx),
            Input::Fired(AlbTimer::Deregistered(slot)) => self.on_deregistered(slot, fx),
            // It writes and computes nothing.
            Input::Done(_) => {}
        }
    }

    /// Registrations live in the control plane and survive; health, connections and requests do not.
    fn reboot(&mut self, _: Time, _: &Kept) {
        self.is_running = false;
        self.targets.retain(|target| target.membership == Membership::InService);
        for target in &mut self.targets {
            (target.health, target.probe, target.outstanding) = (TargetHealth::default(), None, 0);
        }
        self.turn = 0;
        self.in_flight.clear();
        self.callers.clear();
        self.dials.clear();
        self.idles.clear();
        self.select();
    }
}

const BAD_GATEWAY: u16 = 502;
const UNAVAILABLE: u16 = 503;
const GATEWAY_TIMEOUT: u16 = 504;
const CLIENT_GONE: u16 = 460;
