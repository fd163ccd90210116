//! The RPC endpoint of a server: who answers a call, how long it is held, and how reads block (Consul
//! `agent/consul/rpc.go`: `forward`, `blockingQuery`, `consistentRead`).
//!
//! A stale read is answered where it arrives, if that server ever heard from a leader. Everything else goes to the
//! leader; while nobody leads, it is held and tried again after random pauses for up to 7 s. A call for another
//! datacenter goes to the first of its servers, once. The leader answers a consistent read after a quorum confirmed it
//! and its first barrier is through; a blocked one asks the quorum again each time it wakes.
//!
//! Left out: the time a server needs to compute an answer, and limits on connections. A leader that many proxies ask at
//! once answers as fast as an idle one.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::catalog::connection::Broken;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::message::Request;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::query::JITTER_FRACTION;
use crate::protocol::catalog::query::Mode;
use crate::protocol::catalog::query::Query;
use crate::protocol::catalog::query::QueryKind;
use crate::protocol::catalog::query::Reply;
use crate::protocol::catalog::registry::Key;
use crate::protocol::catalog::server::Cached;
use crate::protocol::catalog::server::CatalogServer;
use crate::protocol::catalog::server::ServerEvent;
use crate::protocol::catalog::server::ServerTimer;

/// Whom an outcome goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) to: ProcessId,
    pub(super) call: u64,
}

/// A call that this server has not decided yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    caller: Caller,
    request: Arc<Request>,
    /// Since when it is held for want of a leader.
    held_since: Option<Time>,
}

/// A call passed on to another server.
#[derive(Debug, Clone)]
pub(super) struct Forwarded {
    pending: Pending,
    to: ProcessId,
    /// The other datacenter, if it went there.
    region: Option<RegionId>,
}

/// A read that is answered here.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) caller: Caller,
    request: Arc<Request>,
    /// When it stops blocking; `None` if it does not block.
    deadline: Option<Time>,
    blocked: bool,
}

/// What goes on after a pause.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// A call without a leader to answer it.
    Call(Pending),
    /// Consistent reads at a leader whose barrier is not through.
    Unready { reads: Vec<Read>, period: Duration, until: Time },
}

impl Read {
    fn query(&self) -> &Query {
        match &*self.request {
            Request::Read(query) => query,
            Request::Write(_) => unreachable!("a read is made from a read request"),
        }
    }
}

impl CatalogServer {
    pub(super) fn hear(&mut self, now: Time, from: ProcessId, msg: CatalogMsg, fx: &mut impl Fx<Self>) {
        match msg {
            CatalogMsg::Call { call, request } => {
                self.dispatch(now, Pending { caller: Caller { to: from, call }, request, held_since: None }, fx);
            }
            CatalogMsg::Return { call, result } => {
                self.calls.heard(from);
                if let Some(forwarded) = self.calls.close(from, call) {
                    self.returned(now, forwarded, result, fx);
                }
            }
            CatalogMsg::Ping => fx.send(from, CatalogMsg::Pong),
            CatalogMsg::Pong => self.calls.heard(from),
            // The local interface is the agents'; a server's own host has an agent beside it for that.
            CatalogMsg::Register(_)
            | CatalogMsg::Deregister(_)
            | CatalogMsg::Ttl { .. }
            | CatalogMsg::Maintenance { .. }
            | CatalogMsg::Unknown(_)
            | CatalogMsg::Ask { .. }
            | CatalogMsg::Told { .. }
            | CatalogMsg::Probe { .. }
            | CatalogMsg::ProbeReply { .. } => {}
        }
    }

    /// A quorum confirmed, or did not, that this server leads.
    pub fn leader_verified(&mut self, now: Time, request: u64, confirmed: bool, fx: &mut impl Fx<Self>) {
        let Some(reads) = self.verifying.remove(&request) else { return };
        if !confirmed {
            for read in reads {
                Self::fail(read.caller, RpcError::LeadershipLost, fx);
            }
        } else if self.is_established() {
            self.answer_all(now, &reads, fx);
        } else {
            let period = self.rng.stagger(self.config.rpc_hold / JITTER_FRACTION).max(Duration::from_millis(1));
            let until = now + self.config.rpc_hold;
            self.held.add(now + period, Held::Unready { reads, period, until });
        }
        self.settle(now, fx);
    }

    /// Decides who answers a call.
    fn dispatch(&mut self, now: Time, pending: Pending, fx: &mut impl Fx<Self>) {
        let request = Arc::clone(&pending.request);
        match &*request {
            Request::Read(query) => {
                if let Some(region) = query.region.filter(|region| *region != self.region) {
                    return self.forward_to_region(now, region, pending, fx);
                }
                let stale = matches!(query.mode, Mode::Stale(_));
                if self.leading.is_some() || (stale && self.last_contact.is_some()) {
                    return self.read(now, pending, fx);
                }
            }
            Request::Write(command) => {
                if self.leading.is_some() {
                    return self.propose_for(pending.caller, Arc::clone(command), fx);
                }
            }
        }
        match self.leader.filter(|leader| *leader != self.me) {
            Some(leader) => self.forward(now, leader, None, pending, fx),
            None => self.hold(now, pending, fx),
        }
    }

    fn forward_to_region(&mut self, now: Time, region: RegionId, pending: Pending, fx: &mut impl Fx<Self>) {
        match self.remote.get(&region).and_then(|servers| servers.front()).copied() {
            Some(server) => self.forward(now, server, Some(region), pending, fx),
            None => Self::fail(pending.caller, RpcError::NoPath, fx),
        }
    }

    fn forward(
        &mut self,
        now: Time,
        to: ProcessId,
        region: Option<RegionId>,
        pending: Pending,
        fx: &mut impl Fx<Self>,
    ) {
        let request = Arc::clone(&pending.request);
        let (call, dial) = self.calls.open(now, to, Forwarded { pending, to, region });
        if dial {
            fx.send(to, CatalogMsg::Ping);
        }
        fx.send(to, CatalogMsg::Call { call, request });
    }

    /// Tries again after a pause of up to a sixteenth of the hold time, unless that is used up.
    fn hold(&mut self, now: Time, mut pending: Pending, fx: &mut impl Fx<Self>) {
        let since = *pending.held_since.get_or_insert(now);
        if now.since(since) < self.config.rpc_hold {
            let pause = self.rng.stagger(self.config.rpc_hold / JITTER_FRACTION);
            self.held.add(now + pause, Held::Call(pending));
        } else {
            Self::fail(pending.caller, RpcError::NoLeader, fx);
        }
    }

    /// A call that was passed on has its outcome.
    fn returned(
        &mut self,
        now: Time,
        forwarded: Forwarded,
        result: Result<Arc<Reply>, RpcError>,
        fx: &mut impl Fx<Self>,
    ) {
        let Forwarded { pending, to, region } = forwarded;
        match (result, region) {
            (Err(error), None) if pending.request.can_retry(error) => self.hold(now, pending, fx),
            (Err(error), region) => {
                if let Some(servers) = region.and_then(|region| self.remote.get_mut(&region))
                    && servers.front() == Some(&to)
                {
                    servers.rotate_left(1);
                }
                Self::fail(pending.caller, error, fx);
            }
            (Ok(reply), _) => {
                fx.send(pending.caller.to, CatalogMsg::Return { call: pending.caller.call, result: Ok(reply) });
            }
        }
    }

    pub(super) fn disconnected(&mut self, now: Time, peer: ProcessId, fx: &mut impl Fx<Self>) {
        let (broken, failed) = self.calls.fail(peer);
        let error = match broken {
            Broken::Dial => RpcError::Dial,
            Broken::Eof => RpcError::Eof,
        };
        for forwarded in failed {
            self.returned(now, forwarded, Err(error), fx);
        }
    }

    pub(super) fn check_connections(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let mut ping = Vec::new();
        while let Some(silent) = self.calls.check(now, &mut ping) {
            self.disconnected(now, silent, fx);
        }
        for peer in ping {
            fx.send(peer, CatalogMsg::Ping);
        }
    }

    /// The pauses that are over.
    pub(super) fn release(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.hold_alarm.fired();
        while let Some(held) = self.held.pop(now) {
            match held {
                Held::Call(pending) => self.dispatch(now, pending, fx),
                Held::Unready { reads, .. } if self.is_established() => self.answer_all(now, &reads, fx),
                Held::Unready { reads, period, until } if now < until => {
                    self.held.add(now + period, Held::Unready { reads, period, until });
                }
                Held::Unready { reads, .. } => {
                    for read in reads {
                        Self::fail(read.caller, RpcError::NotReady, fx);
                    }
                }
            }
        }
    }

    /// Begins a read here.
    fn read(&mut self, now: Time, pending: Pending, fx: &mut impl Fx<Self>) {
        let Pending { caller, request, held_since: _ } = pending;
        let mut read = Read { caller, request, deadline: None, blocked: false };
        if read.query().index > 0 {
            let Request::Read(query) = &*read.request else { unreachable!("a read is made from a read request") };
            read.deadline = Some(now + query.patience(&mut self.rng));
        }
        if read.query().mode == Mode::Consistent {
            self.verify(vec![read], fx);
        } else {
            self.answer(now, &read, false, fx);
        }
    }

    /// Has a quorum confirm this leader on behalf of some reads.
    fn verify(&mut self, reads: Vec<Read>, fx: &mut impl Fx<Self>) {
        if self.leading.is_none() {
            for read in reads {
                Self::fail(read.caller, RpcError::LeadershipLost, fx);
            }
            return;
        }
        let request = self.next_request;
        self.next_request += 1;
        self.verifying.insert(request, reads);
        fx.emit(ServerEvent::VerifyLeader { request });
    }

    /// Runs everyone again who waits for one of `keys`; consistent reads share one confirmation.
    pub(super) fn wake(&mut self, now: Time, keys: &[Key], fx: &mut impl Fx<Self>) {
        if keys.is_empty() || self.waiters.is_empty() {
            return;
        }
        let (consistent, others): (Vec<Read>, Vec<Read>) =
            self.waiters.wake(keys).into_iter().partition(|read| read.query().mode == Mode::Consistent);
        self.answer_all(now, &others, fx);
        if !consistent.is_empty() {
            self.verify(consistent, fx);
        }
    }

    /// The blocked queries whose time is up are answered with what there is.
    pub(super) fn expire(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.wait_alarm.fired();
        while let Some(read) = self.waiters.expired(now) {
            self.answer(now, &read, true, fx);
        }
    }

    fn answer_all(&mut self, now: Time, reads: &[Read], fx: &mut impl Fx<Self>) {
        for read in reads {
            self.answer(now, read, false, fx);
        }
    }

    /// Answers a read, or blocks it if nothing is newer than what the caller has. `in_any_case`: the time is up.
    pub(super) fn answer(&mut self, now: Time, read: &Read, in_any_case: bool, fx: &mut impl Fx<Self>) {
        let query = read.query();
        let index = query.kind.index(&self.state);
        let nothing_new = query.index > 0 && index <= query.index;
        if let Some(deadline) = read.deadline.filter(|deadline| nothing_new && !in_any_case && now < *deadline) {
            self.waiters.add(&self.state, &query.kind, deadline, Read { blocked: true, ..read.clone() });
            return;
        }
        let reply = self.reply(now, query, index);
        let Caller { to, call } = read.caller;
        fx.send(to, CatalogMsg::Return { call, result: Ok(reply) });
        let topic = query.kind.fingerprint();
        fx.emit(ServerEvent::Answered { to, call, topic, index, blocked: read.blocked });
    }

    /// The answer at `index`, shared with whoever asked the same before.
    fn reply(&mut self, now: Time, query: &Query, index: u64) -> Arc<Reply> {
        let last_contact = match (self.leading.is_some(), self.last_contact) {
            (false, Some(at)) => now.since(at),
            (true, _) | (false, None) => Duration::ZERO,
        };
        let known_leader = self.leader.is_some();
        if let Some(cached) = self.cache.get_mut(&query.kind).filter(|cached| cached.index == index) {
            let reply = &cached.reply;
            if reply.last_contact != last_contact || reply.known_leader != known_leader {
                let answer = cached.answer.clone();
                cached.reply = Arc::new(Reply { index, last_contact, known_leader, answer });
            }
            return Arc::clone(&cached.reply);
        }
        let answer = query.kind.run(&self.state);
        let reply = Arc::new(Reply { index, last_contact, known_leader, answer: answer.clone() });
        if !matches!(query.kind, QueryKind::Node(_)) {
            if self.cache.len() >= CACHE_MAX {
                self.cache.clear();
            }
            self.cache.insert(query.kind.clone(), Cached { index, answer, reply: Arc::clone(&reply) });
        }
        reply
    }

    /// A write has been applied at the leader.
    pub(super) fn written(caller: Caller, index: u64, result: Result<(), RpcError>, fx: &mut impl Fx<Self>) {
        match result {
            Ok(()) => {
                let reply = Reply { index, last_contact: Duration::ZERO, known_leader: true, answer: Answer::Written };
                fx.send(caller.to, CatalogMsg::Return { call: caller.call, result: Ok(Arc::new(reply)) });
            }
            Err(error) => Self::fail(caller, error, fx),
        }
    }

    pub(super) fn fail(caller: Caller, error: RpcError, fx: &mut impl Fx<Self>) {
        fx.send(caller.to, CatalogMsg::Return { call: caller.call, result: Err(error) });
        fx.emit(ServerEvent::Failed { to: caller.to, error });
    }

    /// Sets the timers to what is due next.
    pub(super) fn settle(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(delay) = self.hold_alarm.rearm(now, self.held.next()) {
            fx.arm(ServerTimer::Hold, delay);
        }
        if let Some(delay) = self.wait_alarm.rearm(now, self.waiters.next_deadline()) {
            fx.arm(ServerTimer::Wait, delay);
        }
        if let Some(delay) = self.calls.rearm(now) {
            fx.arm(ServerTimer::Connection, delay);
        }
    }
}

/// Kinds of query whose latest answer is kept.
const CACHE_MAX: usize = 16_384;
