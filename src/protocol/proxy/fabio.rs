//! One fabio process: admin listener, registry watch, routing table, proxied requests (fabio 1.7.3 `main`, `proxy`).
//!
//! The admin listener answers from the start and says 200 whatever the table holds; the proxy listener opens with the
//! first table. A text that does not parse leaves the table as it is. Requests under way keep the target they were
//! given. There is no retry, no ejection and no health feedback: what the table says is done.
//!
//! It speaks to the local Consul agent through events ([`FabioEvent::Ask`]) and [`FabioNode::answer`]; whoever contains
//! it carries them, and says when the agent is gone ([`FabioNode::agent_lost`]): fabio then asks again every second
//! (every half second while it starts, for 10 s, and gives up), and its table stays.
//!
//! Left out: Go's transport re-sends a request once, to the same target, when a kept connection proves dead; a target
//! that is gone refuses the second time too, so that only a target restarted in between differs.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot, Token};
use crate::base::rng::Draws;
use crate::base::time::Time;
use crate::protocol::proxy::configuration::{Configuration, Piece};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio_config::{FabioConfig, Registration};
use crate::protocol::proxy::forward::{UpstreamFailure, admit, normalise};
use crate::protocol::proxy::inflight::{Callers, Deadlines, InFlight, Opening, Phase};
use crate::protocol::proxy::message::{Exchange, HttpMsg, RequestNumber, RouteId};
use crate::protocol::proxy::pick::pick;
use crate::protocol::proxy::table::{Request, RoutePlace, Table};
use crate::protocol::proxy::watcher::{Answer, Query, Step, Watcher};
use crate::protocol::proxy::workshop::Workshop;

/// A (host, path) that clients ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// `Host` header.
    pub host: String,
    /// Decoded path.
    pub path: String,
}

/// Alarms of a fabio process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FabioTimer {
    /// Ask the agent again.
    AgentRetry,
    /// Ask for health again.
    HealthRetry,
    /// Ask for overrides again.
    OverridesRetry,
    /// Refresh the own registration.
    Heartbeat,
    /// The oldest dial may have timed out.
    DialDue,
    /// The oldest request may have timed out.
    HeaderDue,
    /// The grace after deregistration is over.
    Grace,
    /// Draining took too long.
    Drain,
}

impl Slot for FabioTimer {
    fn slot(self) -> usize {
        self as usize
    }
}

/// What a fabio process tells its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FabioEvent {
    /// Ask the local agent; answer with [`FabioNode::answer`] and the same ticket.
    Ask {
        /// Names the question.
        ticket: u32,
        /// The question.
        query: Query,
    },
    /// Register with the local agent.
    Register(Registration),
    /// Refresh the TTL check; if the agent does not know the service, call [`FabioNode::registration_lost`].
    Heartbeat,
    /// Deregister from the local agent.
    Deregister,
    /// The proxy listener opened.
    Opened,
    /// A table is in force; look at it with [`FabioNode::table`].
    Applied {
        /// Counts tables since the start.
        generation: u32,
        /// Routes in it.
        routes: u32,
    },
    /// A configuration was refused; the old table stays.
    Rejected {
        /// fabio's message.
        reason: Arc<str>,
    },
    /// A target was chosen for a request.
    Sent {
        /// The request.
        number: RequestNumber,
        /// Where it goes.
        target: Endpoint,
    },
    /// A request was answered, by fabio itself or by its target.
    Answered {
        /// The request.
        number: RequestNumber,
        /// HTTP status; 499 when the client left.
        status: u16,
        /// Its target, if it got as far.
        target: Option<Endpoint>,
    },
    /// The process ends.
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Caller {
    from: ProcessId,
    id: u32,
    number: RequestNumber,
    route: RouteId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listening {
    /// No table yet.
    NotYet,
    Yes,
    /// Shutting down.
    NoMore,
    /// The process has said that it ends.
    Ended,
}

/// A fabio process.
#[derive(Debug, Clone)]
pub struct FabioNode {
    config: FabioConfig,
    routes: Arc<[HttpRoute]>,
    draws: Draws,
    started: Time,
    workshop: Workshop,
    watcher: Option<Watcher>,
    /// Tickets of the questions whose answers are awaited.
    agent_ticket: Option<u32>,
    watch_ticket: Option<(u32, Query)>,
    overrides_ticket: Option<u32>,
    overrides_index: u64,
    next_ticket: u32,
    services: Option<Arc<Configuration>>,
    overrides: Arc<Piece>,
    applied: Option<Arc<Configuration>>,
    building: Option<(Token, Arc<Table>, Arc<Configuration>)>,
    next_token: u64,
    table: Arc<Table>,
    generation: u32,
    listening: Listening,
    /// It was told to end.
    leaving: bool,
    /// Candidates per client route, found at its first request of a generation.
    candidates: Vec<Option<Vec<RoutePlace>>>,
    /// Round-robin counters per route of the table.
    counters: Vec<u64>,
    in_flight: InFlight<Caller>,
    callers: Callers,
    dials: Deadlines,
    headers: Deadlines,
    failed: Vec<Caller>,
}

impl FabioNode {
    /// A process that has not started. `routes` is indexed by [`RouteId`]; `draws` is this node's own.
    pub fn new(config: FabioConfig, routes: Arc<[HttpRoute]>, draws: Draws) -> Self {
        let clean = |route: &HttpRoute| HttpRoute { host: route.host.clone(), path: normalise(&route.path) };
        let wanted = config.proxy.release.normalises_path();
        let routes = if wanted { routes.iter().map(clean).collect() } else { routes };
        Self {
            in_flight: InFlight::new(config.keep_alive),
            config,
            routes,
            draws,
            started: Time::ZERO,
            workshop: Workshop::default(),
            watcher: None,
            agent_ticket: None,
            watch_ticket: None,
            overrides_ticket: None,
            overrides_index: 0,
            next_ticket: 0,
            services: None,
            overrides: Arc::default(),
            applied: None,
            building: None,
            next_token: 0,
            table: Arc::default(),
            generation: 0,
            listening: Listening::NotYet,
            leaving: false,
            candidates: Vec::new(),
            counters: Vec::new(),
            callers: Callers::default(),
            dials: Deadlines::default(),
            headers: Deadlines::default(),
            failed: Vec::new(),
        }
    }

    /// The same process, sharing what it works out with the other users of this workshop.
    pub fn with_workshop(mut self, workshop: Workshop) -> Self {
        self.workshop = workshop;
        self
    }

    /// The same process, whose questions and computations are numbered on from `ticket`: late answers to whoever ran
    /// here before are none to it, nor are tables that one had begun to build.
    pub fn asking_after(mut self, ticket: u32) -> Self {
        self.next_ticket = ticket;
        // Whoever computes has asked before, so the tokens of each lie apart.
        self.next_token = u64::from(ticket) << 24;
        self
    }

    /// The last ticket it gave.
    pub fn last_ticket(&self) -> u32 {
        self.next_ticket
    }

    /// The table in force.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Whether the proxy listener accepts connections.
    pub fn is_listening(&self) -> bool {
        self.listening == Listening::Yes
    }

    /// Whether a port accepts connections: the admin listener's does from the start, the proxy's from the first table
    /// on, and neither once the process has ended.
    pub fn listens(&self, port: u32) -> bool {
        if port == self.config.admin_port {
            !self.has_exited()
        } else {
            port == self.config.proxy_port && self.is_listening()
        }
    }

    /// Whether the process has said that it ends.
    #[inline]
    pub fn has_exited(&self) -> bool {
        self.listening == Listening::Ended
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Who waits for this exchange with a target, under which name, if all that is left to do is to pass the response
    /// on.
    #[inline]
    pub fn passes_on(&self, exchange: Exchange) -> Option<(ProcessId, Exchange)> {
        let Caller { from, id, number, .. } = self.in_flight.waiting(exchange)?;
        self.is_listening().then_some((from, Exchange { id, number }))
    }

    /// The response of an exchange that it [`FabioNode::passes_on`] is passed on at `at`, which may be ahead, by
    /// somebody else.
    #[inline]
    pub fn passed_on(&mut self, at: Time, exchange: Exchange) {
        self.in_flight.finish(at, exchange);
    }

    /// The local agent answered the question with this ticket. Answers to forgotten questions are ignored.
    pub fn answer(&mut self, now: Time, ticket: u32, answer: &Answer, fx: &mut impl Fx<Self>) {
        if self.agent_ticket == Some(ticket) {
            self.agent_ticket = None;
            self.on_agent(now, answer, fx);
        } else if self.overrides_ticket == Some(ticket) {
            self.overrides_ticket = None;
            self.on_overrides(answer, fx);
        } else if let Some((_, query)) = self.watch_ticket.take_if(|(asked, _)| *asked == ticket) {
            self.on_watch(&query, answer, fx);
        }
    }

    /// The local agent is gone: nobody answers the open questions.
    pub fn agent_lost(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let watch = self.watch_ticket.as_ref().map(|(ticket, _)| *ticket);
        for ticket in [self.agent_ticket, watch, self.overrides_ticket].into_iter().flatten() {
            self.answer(now, ticket, &Answer::Failed, fx);
        }
    }

    /// The agent does not know this service any more.
    pub fn registration_lost(&mut self, fx: &mut impl Fx<Self>) {
        if self.is_registered() {
            fx.emit(FabioEvent::Register(self.config.registration()));
        }
    }

    /// The process got a signal to end: deregister, wait the grace period, stop accepting, drain.
    pub fn shutdown(&mut self, fx: &mut impl Fx<Self>) {
        fx.disarm(FabioTimer::Heartbeat);
        if self.is_registered() {
            fx.emit(FabioEvent::Deregister);
        }
        self.leaving = true;
        if self.config.deregister_grace.is_zero() {
            self.drain(fx);
        } else {
            fx.arm(FabioTimer::Grace, self.config.deregister_grace);
        }
    }

    /// The process is killed: the system resets every connection it had.
    pub fn die(&mut self, fx: &mut impl Fx<Self>) {
        self.listening = Listening::NoMore;
        self.in_flight.drain(&mut self.failed);
        for Caller { from, id, number, .. } in std::mem::take(&mut self.failed) {
            fx.send(from, HttpMsg::Reset { id, number });
        }
        for timer in [
            FabioTimer::AgentRetry,
            FabioTimer::HealthRetry,
            FabioTimer::OverridesRetry,
            FabioTimer::Heartbeat,
            FabioTimer::DialDue,
            FabioTimer::HeaderDue,
            FabioTimer::Grace,
            FabioTimer::Drain,
        ] {
            fx.disarm(timer);
        }
    }

    /// Whether it keeps a registration with the agent.
    fn is_registered(&self) -> bool {
        self.config.registers && self.watcher.is_some() && !self.leaving
    }

    fn ask(&mut self, query: Query, fx: &mut impl Fx<Self>) -> u32 {
        self.next_ticket = self.next_ticket.wrapping_add(1);
        let ticket = self.next_ticket;
        fx.emit(FabioEvent::Ask { ticket, query });
        ticket
    }

    fn ask_agent(&mut self, fx: &mut impl Fx<Self>) {
        self.agent_ticket = Some(self.ask(Query::Agent, fx));
    }

    fn ask_watch(&mut self, query: Query, fx: &mut impl Fx<Self>) {
        self.watch_ticket = Some((self.ask(query.clone(), fx), query));
    }

    fn ask_health(&mut self, fx: &mut impl Fx<Self>) {
        if let Some(query) = self.watcher.as_ref().map(Watcher::health) {
            self.ask_watch(query, fx);
        }
    }

    fn ask_overrides(&mut self, fx: &mut impl Fx<Self>) {
        self.overrides_ticket = Some(self.ask(Query::Manual { index: self.overrides_index }, fx));
    }

    fn on_agent(&mut self, now: Time, answer: &Answer, fx: &mut impl Fx<Self>) {
        let Answer::Agent { datacenter } = answer else {
            if now.since(self.started) >= self.config.startup_timeout {
                self.exit(fx);
            } else {
                fx.arm(FabioTimer::AgentRetry, self.config.startup_retry);
            }
            return;
        };
        self.watcher = Some(Watcher::new(self.config.watch.clone(), datacenter.clone(), self.workshop.clone()));
        if self.is_registered() {
            fx.emit(FabioEvent::Register(self.config.registration()));
            fx.arm(FabioTimer::Heartbeat, self.config.heartbeat);
        }
        self.ask_health(fx);
        if self.config.watches_overrides {
            self.ask_overrides(fx);
        }
    }

    fn on_watch(&mut self, asked: &Query, answer: &Answer, fx: &mut impl Fx<Self>) {
        let Some(watcher) = &mut self.watcher else { return };
        let step = match (asked, answer) {
            (Query::Catalog { .. }, Answer::Catalog { entries }) => watcher.on_catalog(entries),
            (Query::Catalog { .. }, _) => watcher.on_catalog_failed(),
            (_, Answer::Health { index, checks }) => watcher.on_health(*index, checks),
            (_, _) => watcher.on_health_failed(),
        };
        match step {
            Step::Ask(query) => self.ask_watch(query, fx),
            Step::Wait(delay) => fx.arm(FabioTimer::HealthRetry, delay),
            Step::Configured { configuration, next } => {
                self.services = Some(configuration);
                self.rebuild(fx);
                self.ask_watch(next, fx);
            }
        }
    }

    fn on_overrides(&mut self, answer: &Answer, fx: &mut impl Fx<Self>) {
        let Answer::Manual { index, text } = answer else {
            fx.arm(FabioTimer::OverridesRetry, self.config.watch.retry);
            return;
        };
        self.overrides_index = *index;
        self.overrides = Arc::new(Piece::read(text.to_string()));
        self.rebuild(fx);
        self.ask_overrides(fx);
    }

    /// Builds a table from what both sources say, unless that is what is in force already. A newer text overtakes one
    /// that is still being built.
    fn rebuild(&mut self, fx: &mut impl Fx<Self>) {
        let configuration = match &self.services {
            // Nothing but empty lines tells the two apart, and those mean nothing.
            Some(services) if self.overrides.text().is_empty() => Arc::clone(services),
            Some(services) => Arc::new(services.followed_by(&self.overrides)),
            None => Arc::new(Configuration::default().followed_by(&self.overrides)),
        };
        if self.applied.as_ref() == Some(&configuration) {
            self.building = None;
            return;
        }
        match self.workshop.table(&configuration, self.config.proxy.release) {
            Err(error) => fx.emit(FabioEvent::Rejected { reason: error.to_string().into() }),
            Ok(table) => {
                let token = Token(self.next_token);
                self.next_token += 1;
                let lines = configuration.line_count.max(1) as u64;
                fx.compute(token, self.config.build_cost_per_command * lines);
                self.building = Some((token, table, configuration));
            }
        }
    }

    fn apply(&mut self, token: Token, fx: &mut impl Fx<Self>) {
        let Some((_, table, configuration)) = self.building.take_if(|(building, _, _)| *building == token) else {
            return;
        };
        let routes = table.route_count();
        self.table = table;
        self.applied = Some(configuration);
        self.generation += 1;
        self.candidates.clear();
        self.candidates.resize(self.routes.len(), None);
        self.counters.clear();
        self.counters.resize(routes, 0);
        let routes = u32::try_from(routes).expect("fewer than 2^32 routes");
        fx.emit(FabioEvent::Applied { generation: self.generation, routes });
        if self.listening == Listening::NotYet {
            self.listening = Listening::Yes;
            fx.emit(FabioEvent::Opened);
        }
    }

    fn drain(&mut self, fx: &mut impl Fx<Self>) {
        self.listening = Listening::NoMore;
        if self.config.shutdown_wait.is_zero() || self.in_flight.is_empty() {
            self.exit(fx);
        } else {
            fx.arm(FabioTimer::Drain, self.config.shutdown_wait);
        }
    }

    fn exit(&mut self, fx: &mut impl Fx<Self>) {
        if self.listening != Listening::Ended {
            self.listening = Listening::Ended;
            fx.disarm(FabioTimer::Drain);
            fx.emit(FabioEvent::Exited);
        }
    }

    fn on_message(&mut self, now: Time, from: ProcessId, msg: HttpMsg, fx: &mut impl Fx<Self>) {
        match msg {
            HttpMsg::Connect { id, number, port } => {
                let is_open = self.listens(port);
                fx.send(from, if is_open { HttpMsg::Accepted { id, number } } else { HttpMsg::Reset { id, number } });
            }
            HttpMsg::Request { id, number, route, .. } if self.is_listening() => {
                self.serve(now, Caller { from, id, number, route }, fx);
            }
            HttpMsg::Request { id, number, .. } => fx.send(from, HttpMsg::Reset { id, number }),
            HttpMsg::Accepted { id, number } => {
                if let Some((target, caller)) = self.in_flight.accepted(Exchange { id, number }) {
                    self.send_request(now, target, Exchange { id, number }, caller.route, fx);
                }
            }
            HttpMsg::Response { id, number, status } => {
                if let Some((target, caller)) = self.in_flight.finish(now, Exchange { id, number }) {
                    reply(caller, status, Some(target), fx);
                    self.on_answered(fx);
                }
            }
            HttpMsg::Reset { id, number } => {
                if let Some((target, caller)) = self.in_flight.reset(Exchange { id, number }) {
                    reply(caller, UpstreamFailure::Network.status(), Some(target), fx);
                    self.on_answered(fx);
                }
            }
            HttpMsg::Cancel { id, number, .. } => self.cancel(from, id, number, fx),
            HttpMsg::Probe { slot, sequence, port } => {
                let is_admin = port == self.config.admin_port;
                let status = if is_admin { 200 } else { self.config.proxy.status_without_route() };
                fx.send(
                    from,
                    if self.listens(port) {
                        HttpMsg::ProbeReply { slot, sequence, status }
                    } else {
                        HttpMsg::ProbeRefused { slot, sequence }
                    },
                );
            }
            // fabio probes nobody.
            HttpMsg::ProbeReply { .. } | HttpMsg::ProbeRefused { .. } => {}
        }
    }

    fn serve(&mut self, now: Time, caller: Caller, fx: &mut impl Fx<Self>) {
        let target = match self.route(caller) {
            Ok(target) => target,
            Err(status) => return reply(caller, status, None, fx),
        };
        fx.emit(FabioEvent::Sent { number: caller.number, target });
        let (id, opening) = self.in_flight.open(now, target, caller.number, caller);
        self.callers.set(caller.from, caller.id, id);
        let exchange = Exchange { id, number: caller.number };
        match opening {
            Opening::Reused => self.send_request(now, target, exchange, caller.route, fx),
            Opening::Dial => {
                fx.send(target.process, HttpMsg::Connect { id, number: caller.number, port: target.port });
                let in_flight = &self.in_flight;
                let is_live = |exchange| in_flight.phase(exchange) == Some(Phase::Dialing);
                if let Some(delay) = self.dials.push(now, self.config.dial_timeout, exchange, is_live) {
                    fx.arm(FabioTimer::DialDue, delay);
                }
            }
        }
    }

    /// The target for a request, or the status fabio answers with.
    fn route(&mut self, caller: Caller) -> Result<Endpoint, u16> {
        let no_route = self.config.proxy.status_without_route();
        let route = self.routes.get(caller.route.0 as usize).ok_or(no_route)?;
        let request = Request { host: &route.host, path: &route.path, ..Request::default() };
        let (table, proxy) = (&self.table, &self.config.proxy);
        let candidates = self.candidates[caller.route.0 as usize]
            .get_or_insert_with(|| table.candidates(request, proxy.matcher, proxy.hosts));
        let (draws, counters) = (self.draws, &mut self.counters);
        let chosen = table.choose(candidates, request, |place, route| {
            let number = table.route_number(place);
            let draw = |below| draws.below(caller.number.0, number as u64, below);
            pick(proxy.strategy, &route.shares, &mut counters[number], draw)
        });
        let (_, target) = chosen.ok_or(no_route)?;
        admit(target, caller.from)
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
        let Some(timeout) = self.config.response_header_timeout else { return };
        let in_flight = &self.in_flight;
        let is_live = |exchange| in_flight.phase(exchange) == Some(Phase::Waiting);
        if let Some(delay) = self.headers.push(now, timeout, exchange, is_live) {
            fx.arm(FabioTimer::HeaderDue, delay);
        }
    }

    fn cancel(&mut self, from: ProcessId, theirs: u32, number: RequestNumber, fx: &mut impl Fx<Self>) {
        let Some(id) = self.callers.get(from, theirs) else { return };
        if let Some((target, caller)) = self.in_flight.close(Exchange { id, number }) {
            fx.send(target.process, HttpMsg::Cancel { id, number: caller.number, port: target.port });
            let (number, status) = (caller.number, UpstreamFailure::ClientGone.status());
            fx.emit(FabioEvent::Answered { number, status, target: Some(target) });
            self.on_answered(fx);
        }
    }

    fn on_dial_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let in_flight = &mut self.in_flight;
        while let Some(exchange) = self.dials.due(now, |e| in_flight.phase(e) == Some(Phase::Dialing)) {
            if let Some((target, caller)) = in_flight.close(exchange) {
                reply(caller, UpstreamFailure::Timeout.status(), Some(target), fx);
            }
        }
        if let Some(delay) = self.dials.rearm(now) {
            fx.arm(FabioTimer::DialDue, delay);
        }
        self.on_answered(fx);
    }

    fn on_header_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let in_flight = &mut self.in_flight;
        while let Some(exchange) = self.headers.due(now, |e| in_flight.phase(e) == Some(Phase::Waiting)) {
            if let Some((target, caller)) = in_flight.close(exchange) {
                let Exchange { id, number } = exchange;
                fx.send(target.process, HttpMsg::Cancel { id, number, port: target.port });
                reply(caller, UpstreamFailure::Timeout.status(), Some(target), fx);
            }
        }
        if let Some(delay) = self.headers.rearm(now) {
            fx.arm(FabioTimer::HeaderDue, delay);
        }
        self.on_answered(fx);
    }

    fn on_refused(&mut self, to: ProcessId, fx: &mut impl Fx<Self>) {
        let mut failed = std::mem::take(&mut self.failed);
        self.in_flight.refused(to, &mut failed);
        for caller in failed.drain(..) {
            reply(caller, UpstreamFailure::Network.status(), None, fx);
        }
        self.failed = failed;
        self.on_answered(fx);
    }

    /// A draining process ends with its last request.
    fn on_answered(&mut self, fx: &mut impl Fx<Self>) {
        if self.listening == Listening::NoMore && self.in_flight.is_empty() {
            self.exit(fx);
        }
    }
}

impl Machine for FabioNode {
    type Msg = HttpMsg;
    type Timer = FabioTimer;
    type Event = FabioEvent;

    fn handle(&mut self, now: Time, input: Input<HttpMsg, FabioTimer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => {
                self.started = now;
                self.ask_agent(fx);
            }
            Input::Message { from, msg } => self.on_message(now, from, msg, fx),
            Input::Refused { to } => self.on_refused(to, fx),
            Input::Fired(FabioTimer::AgentRetry) => self.ask_agent(fx),
            Input::Fired(FabioTimer::HealthRetry) => self.ask_health(fx),
            Input::Fired(FabioTimer::OverridesRetry) => self.ask_overrides(fx),
            Input::Fired(FabioTimer::Heartbeat) => {
                fx.emit(FabioEvent::Heartbeat);
                fx.arm(FabioTimer::Heartbeat, self.config.heartbeat);
            }
            Input::Fired(FabioTimer::DialDue) => self.on_dial_due(now, fx),
            Input::Fired(FabioTimer::HeaderDue) => self.on_header_due(now, fx),
            Input::Fired(FabioTimer::Grace) => self.drain(fx),
            Input::Fired(FabioTimer::Drain) => self.exit(fx),
            Input::Done(token) => self.apply(token, fx),
        }
    }

    /// Nothing survives: fabio keeps its table in memory only.
    fn reboot(&mut self, _: Time, _: &Kept) {
        let (ticket, workshop) = (self.next_ticket, self.workshop.clone());
        *self = Self::new(self.config.clone(), self.routes.clone(), self.draws)
            .with_workshop(workshop)
            .asking_after(ticket);
    }
}

fn reply(caller: Caller, status: u16, target: Option<Endpoint>, fx: &mut impl Fx<FabioNode>) {
    fx.send(caller.from, HttpMsg::Response { id: caller.id, number: caller.number, status });
    fx.emit(FabioEvent::Answered { number: caller.number, status, target });
}
