//! How an agent synchronises with the catalog and calls servers: the second half of
//! [`CatalogAgent`](crate::protocol::catalog::agent::CatalogAgent).

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::protocol::catalog::agent::AgentEvent;
use crate::protocol::catalog::agent::AgentTimer;
use crate::protocol::catalog::agent::CatalogAgent;
use crate::protocol::catalog::agent::Outgoing;
use crate::protocol::catalog::agent::Phase;
use crate::protocol::catalog::agent::Purpose;
use crate::protocol::catalog::connection::ANSWER_TIMEOUT;
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

impl CatalogAgent {
    /// Something changed here. It is pushed at once, unless a synchronisation is under way or waited for.
    pub(super) fn changed(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.changed = true;
        if self.phase == Phase::Partial {
            self.push_changes(now, fx);
        }
    }

    fn push_changes(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.changed = false;
        self.phase = Phase::Pushing { full: false };
        self.push_next(now, false, fx);
    }

    /// Begins a full synchronisation.
    pub(super) fn synchronise(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.phase = Phase::Fetching;
        self.rounds.sync += 1;
        let delay = self.config.sync.next_full(self.draws, self.rounds.sync, self.lan_members);
        self.full_due = now + delay;
        fx.arm(AgentTimer::Sync, delay);
        let query = Query::new(QueryKind::Node(self.me)).mode(Mode::Stale(self.config.sync_stale_max));
        self.call(now, Purpose::Fetch, Request::Read(query), fx);
    }

    fn fetched(&mut self, now: Time, result: &Result<Arc<Reply>, RpcError>, fx: &mut impl Fx<Self>) {
        match result.as_deref().map_err(|error| *error) {
            Ok(Reply { answer: Answer::Node(node), .. }) => {
                self.local.compare(node.as_deref());
                self.phase = Phase::Pushing { full: true };
                self.push_next(now, true, fx);
            }
            // A server answers what it was asked; anything else would be a broken promise of ours.
            Ok(reply) => unreachable!("asked for a node, was told {:?}", reply.answer),
            Err(error) => self.sync_failed(now, true, error, fx),
        }
    }

    fn push_next(&mut self, now: Time, full: bool, fx: &mut impl Fx<Self>) {
        if let Some(command) = self.local.next_push(self.me) {
            return self.call(now, Purpose::Push, Request::Write(Arc::new(command)), fx);
        }
        fx.emit(AgentEvent::Synced { full });
        self.rest(now, Phase::Partial, fx);
    }

    fn pushed(&mut self, now: Time, request: &Request, error: Option<RpcError>, fx: &mut impl Fx<Self>) {
        let full = self.phase == Phase::Pushing { full: true };
        match error {
            None => self.push_next(now, full, fx),
            Some(error) => {
                if let Request::Write(command) = request {
                    self.local.push_failed(command);
                }
                self.sync_failed(now, full, error, fx);
            }
        }
    }

    /// A failed comparison is tried again soon; a failed push waits for the next change or comparison.
    fn sync_failed(&mut self, now: Time, full: bool, error: RpcError, fx: &mut impl Fx<Self>) {
        fx.emit(AgentEvent::SyncFailed { full, error });
        if full {
            self.rounds.sync += 1;
            let delay = self.config.sync.next_retry(self.draws, self.rounds.sync, self.lan_members);
            fx.arm(AgentTimer::Sync, delay);
        }
        self.rest(now, if full { Phase::Waiting } else { Phase::Partial }, fx);
    }

    /// A synchronisation is over.
    fn rest(&mut self, now: Time, phase: Phase, fx: &mut impl Fx<Self>) {
        self.phase = phase;
        if std::mem::take(&mut self.server_came) {
            self.wait_for_server(fx);
        } else if phase == Phase::Partial && self.full_due <= now {
            self.synchronise(now, fx);
        } else if phase == Phase::Partial && self.changed {
            self.push_changes(now, fx);
        }
    }

    /// A server came up: synchronise within seconds, not all agents at once.
    pub(super) fn wait_for_server(&mut self, fx: &mut impl Fx<Self>) {
        self.rounds.sync += 1;
        let delay = self.config.sync.after_server_up(self.draws, self.rounds.sync, self.lan_members);
        self.phase = Phase::Waiting;
        fx.arm(AgentTimer::Sync, delay);
    }

    pub(super) fn sync_alarm(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        match self.phase {
            Phase::Partial | Phase::Waiting => self.synchronise(now, fx),
            // The one under way is followed by another, since `full_due` has passed.
            Phase::Fetching | Phase::Pushing { .. } => {}
        }
    }

    /// A process of this host asks.
    pub(super) fn ask(&mut self, now: Time, from: ProcessId, ask: u64, query: &Arc<Query>, fx: &mut impl Fx<Self>) {
        if query.kind == QueryKind::Local {
            let answer = Answer::Local(self.local.services().collect());
            let reply = Reply { index: 1, last_contact: Duration::ZERO, known_leader: true, answer };
            return fx.send(from, CatalogMsg::Told { ask, result: Ok(Arc::new(reply)) });
        }
        self.call(now, Purpose::Ask { from, ask }, Request::Read((**query).clone()), fx);
    }

    fn call(&mut self, now: Time, purpose: Purpose, request: Request, fx: &mut impl Fx<Self>) {
        self.attempt(now, Outgoing { purpose, request: Arc::new(request), since: now }, fx);
    }

    fn attempt(&mut self, now: Time, outgoing: Outgoing, fx: &mut impl Fx<Self>) {
        let Some(server) = self.servers.first() else {
            return self.finish(now, &outgoing, Err(RpcError::NoServers), fx);
        };
        let request = Arc::clone(&outgoing.request);
        let (call, dial) = self.calls.open(now, server, outgoing);
        if dial {
            fx.send(server, CatalogMsg::Ping);
        }
        fx.send(server, CatalogMsg::Call { call, request });
    }

    pub(super) fn returned(
        &mut self,
        now: Time,
        server: ProcessId,
        outgoing: Outgoing,
        result: Result<Arc<Reply>, RpcError>,
        fx: &mut impl Fx<Self>,
    ) {
        match result {
            Err(error) => {
                self.servers.failed(server);
                if outgoing.request.can_retry(error) && now.since(outgoing.since) < self.config.rpc_hold {
                    self.rounds.pause += 1;
                    let limit = self.config.rpc_hold / JITTER_FRACTION;
                    let pause = limit.mul_f64(self.draws.uniform(self.rounds.pause, PAUSE_LANE));
                    self.held.add(now + pause, outgoing);
                } else {
                    self.finish(now, &outgoing, Err(error), fx);
                }
            }
            Ok(reply) => match &*outgoing.request {
                // The server was cut off from the leader for longer than the asker minds.
                Request::Read(query) if matches!(query.mode, Mode::Stale(max) if max < reply.last_contact) => {
                    let request = Arc::new(Request::Read(query.clone().mode(Mode::Default)));
                    self.attempt(now, Outgoing { request, ..outgoing }, fx);
                }
                Request::Read(_) | Request::Write(_) => self.finish(now, &outgoing, Ok(reply), fx),
            },
        }
    }

    /// The outcome of a call, for good.
    fn finish(&mut self, now: Time, outgoing: &Outgoing, result: Result<Arc<Reply>, RpcError>, fx: &mut impl Fx<Self>) {
        match outgoing.purpose {
            Purpose::Fetch => self.fetched(now, &result, fx),
            Purpose::Push => self.pushed(now, &outgoing.request, result.err(), fx),
            Purpose::Ask { from, ask } => fx.send(from, CatalogMsg::Told { ask, result }),
        }
    }

    pub(super) fn disconnected(&mut self, now: Time, peer: ProcessId, fx: &mut impl Fx<Self>) {
        let (broken, failed) = self.calls.fail(peer);
        let error = match broken {
            Broken::Dial => RpcError::Dial,
            Broken::Eof => RpcError::Eof,
        };
        for outgoing in failed {
            self.returned(now, peer, outgoing, Err(error), fx);
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

    pub(super) fn release(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.hold_alarm.fired();
        while let Some(outgoing) = self.held.pop(now) {
            self.attempt(now, outgoing, fx);
        }
    }

    pub(super) fn arm_rebalance(&mut self, fx: &mut impl Fx<Self>) {
        self.rounds.pause += 1;
        let delay = self.servers.rebalance_interval(self.draws, self.rounds.pause, self.lan_members);
        fx.arm(AgentTimer::Rebalance, delay);
    }

    /// Shuffles the servers and pings the first, or goes on to the next if the one pinged did not answer.
    pub(super) fn rebalance(&mut self, fx: &mut impl Fx<Self>) {
        if let Some(silent) = self.pinged.take() {
            self.servers.failed(silent);
            self.pinged_in_vain += 1;
        } else {
            self.rounds.pause += 1;
            self.servers.shuffle(self.draws, self.rounds.pause);
            self.pinged_in_vain = 0;
        }
        match self.servers.first().filter(|_| self.pinged_in_vain < self.servers.len()) {
            Some(server) => {
                self.pinged = Some(server);
                fx.send(server, CatalogMsg::Ping);
                fx.arm(AgentTimer::Rebalance, ANSWER_TIMEOUT);
            }
            None => self.arm_rebalance(fx),
        }
    }
}

const PAUSE_LANE: u64 = 4;
