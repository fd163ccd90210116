//! Where a request is answered: here, by the leader, in another region, or once there is a leader
//! (Nomad 1.1.0 `nomad/rpc.go` `forward`).

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::protocol::scheduler::event::{Event, OperatorTag};
use crate::protocol::scheduler::message::{Call, Message, Reply, Request, RpcError};
use crate::protocol::scheduler::server::{Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A process, under its number.
    Remote {
        /// Who.
        from: ProcessId,
        /// Its number for the exchange.
        call: Call,
    },
    /// A worker of this server.
    Worker(u16),
    /// The container.
    Operator(OperatorTag),
}

/// A request that was passed on and not answered.
#[derive(Debug, Clone, Copy)]
struct Passed {
    to: ProcessId,
    origin: Origin,
}

/// A request that waits for a leader.
#[derive(Debug, Clone)]
struct Held {
    origin: Origin,
    request: Request,
    since: Time,
}

/// Requests on their way elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Forwarding {
    next_call: u32,
    next_held: u64,
    passed: OrdMap<Call, Passed>,
    held: OrdMap<(Time, u64), Held>,
    /// Peers that were pinged and have not been heard since.
    pinged: Vec<ProcessId>,
    probing: bool,
    armed: bool,
}

impl Forwarding {
    /// The process died.
    pub fn crash(&mut self) {
        self.passed.clear();
        self.held.clear();
        self.pinged.clear();
        self.probing = false;
        self.armed = false;
    }
}

impl<D: Decide> Server<D> {
    /// Finds the place that answers.
    pub(super) fn route(&mut self, now: Time, origin: Origin, request: Request, fx: &mut impl Fx<Self>) {
        self.route_since(now, Held { origin, request, since: now }, fx);
    }

    fn route_since(&mut self, now: Time, held: Held, fx: &mut impl Fx<Self>) {
        let Held { origin, request, .. } = &held;
        if let Request::Operate { region, .. } = request
            && *region != self.config.region
        {
            let servers = self.peers.get(region).map_or(&[][..], Vec::as_slice);
            match self.rng.pick(servers).copied() {
                Some(to) => self.pass(now, *origin, to, held.request, fx),
                None => self.reply(now, *origin, Reply::Failed(RpcError::NoPath), fx),
            }
            return;
        }
        if request.is_stale() {
            self.query(now, held.origin, held.request, fx);
            return;
        }
        match self.leader {
            Some(leader) if leader != self.config.id => self.pass(now, held.origin, leader, held.request, fx),
            Some(_) if self.is_ready() => self.lead(now, held.origin, held.request, fx),
            Some(_) => self.hold(now, held, RpcError::NotReady, fx),
            None => self.hold(now, held, RpcError::NoLeader, fx),
        }
    }

    fn pass(&mut self, now: Time, origin: Origin, to: ProcessId, request: Request, fx: &mut impl Fx<Self>) {
        self.forwarding.next_call = self.forwarding.next_call.wrapping_add(1);
        let call = Call(self.forwarding.next_call);
        self.forwarding.passed.insert(call, Passed { to, origin });
        fx.send(to, Message::Request { call, request });
        self.arm_keepalive(now, fx);
    }

    fn hold(&mut self, now: Time, held: Held, error: RpcError, fx: &mut impl Fx<Self>) {
        if now.since(held.since) >= self.config.rpc_hold {
            self.reply(now, held.origin, Reply::Failed(error), fx);
            return;
        }
        let at = now + self.rng.stagger(self.config.rpc_hold / 16);
        self.forwarding.next_held += 1;
        self.forwarding.held.insert((at, self.forwarding.next_held), held);
        self.arm_hold(now, fx);
    }

    fn arm_hold(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(((at, _), _)) = self.forwarding.held.first_key_value() {
            fx.arm(Timer::Hold, at.since(now));
        }
    }

    /// Looks again for a place for the requests whose pause is over.
    pub(super) fn retry_held(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(entry) = self.forwarding.held.first_entry().filter(|entry| entry.key().0 <= now) {
            let held = entry.remove();
            self.route_since(now, held, fx);
        }
        self.arm_hold(now, fx);
    }

    /// The answer to a request that was passed on.
    pub(super) fn passed_back(&mut self, now: Time, call: Call, reply: Reply, fx: &mut impl Fx<Self>) {
        if let Some(passed) = self.forwarding.passed.remove(&call) {
            self.reply(now, passed.origin, reply, fx);
        }
    }

    /// Answers whoever asked.
    pub(super) fn reply(&mut self, now: Time, origin: Origin, reply: Reply, fx: &mut impl Fx<Self>) {
        match origin {
            Origin::Remote { from, call } => fx.send(from, Message::Reply { call, reply }),
            Origin::Worker(worker) => self.worker_answer(now, worker, reply, fx),
            Origin::Operator(tag) => fx.emit(Event::Operated { tag, reply }),
        }
    }

    /// A connection broke: what was passed on to `peer` has failed.
    pub(super) fn peer_lost(&mut self, now: Time, peer: ProcessId, fx: &mut impl Fx<Self>) {
        self.forwarding.pinged.retain(|pinged| *pinged != peer);
        let calls: Vec<Call> =
            self.forwarding.passed.iter().filter(|(_, passed)| passed.to == peer).map(|(call, _)| *call).collect();
        for call in calls {
            self.passed_back(now, call, Reply::Failed(RpcError::Lost), fx);
        }
    }

    /// A peer was heard.
    pub(super) fn peer_heard(&mut self, peer: ProcessId) {
        if !self.forwarding.pinged.is_empty() {
            self.forwarding.pinged.retain(|pinged| *pinged != peer);
        }
    }

    fn arm_keepalive(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if !self.forwarding.armed {
            self.forwarding.armed = true;
            let period = self.config.keepalive.as_nanos();
            let since = (now.as_nanos() + period - self.keepalive_phase.as_nanos() % period) % period;
            fx.arm(Timer::Keepalive, crate::base::time::Duration::from_nanos(period - since));
        }
    }

    /// Every 30 s peers with an open request are pinged; those silent for 10 s more are given up.
    pub(super) fn keepalive(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.forwarding.armed = false;
        if self.forwarding.probing {
            self.forwarding.probing = false;
            for peer in std::mem::take(&mut self.forwarding.pinged) {
                self.peer_lost(now, peer, fx);
            }
            if !self.forwarding.passed.is_empty() {
                self.arm_keepalive(now, fx);
            }
            return;
        }
        let mut peers: Vec<ProcessId> = self.forwarding.passed.values().map(|passed| passed.to).collect();
        peers.sort_unstable();
        peers.dedup();
        for peer in &peers {
            fx.send(*peer, Message::Ping);
        }
        self.forwarding.probing = !peers.is_empty();
        if self.forwarding.probing {
            self.forwarding.armed = true;
            fx.arm(Timer::Keepalive, self.config.keepalive_timeout);
        }
        self.forwarding.pinged = peers;
    }
}
