//! A source of requests: many users behind one open-loop arrival process.
//!
//! Every request issued ends exactly once, with a cause. A request may take several attempts; each has its own
//! deadline,
//! its own number and its own draws. The balancer's name is resolved when the answer at hand is too old; until a new
//! one
//! comes, the old one serves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot};
use crate::base::math;
use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};
use crate::base::units::Ratio;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::inflight::{Deadlines, InFlight, KeepAlive, Opening};
use crate::protocol::proxy::message::{Exchange, HttpMsg, RequestNumber, RouteId};
use crate::protocol::workload::arrival::Arrivals;

/// When and how often a client tries again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, at least one.
    pub attempts_max: u8,
    /// Upper end of the first wait; doubles with every retry. The wait is uniform from zero (full jitter).
    pub backoff: Duration,
    /// Largest upper end.
    pub backoff_max: Duration,
    /// Retries allowed as a share of requests; `None`: any number.
    pub budget: Option<Ratio>,
}

/// What a source asks for, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClientConfig {
    /// Number of the source in the run, below 4096.
    pub source: u16,
    /// What it asks for.
    pub route: RouteId,
    /// Port of the balancer. Default 80.
    pub port: u32,
    /// Time an attempt may take.
    pub timeout: Duration,
    /// Retries; `None`: one attempt.
    pub retry: Option<RetryPolicy>,
    /// Kept connections, of all users together.
    pub keep_alive: KeepAlive,
}

impl ClientConfig {
    /// One attempt of at most 2 s; connections are kept for 60 s.
    pub fn new(source: u16, route: RouteId) -> Self {
        Self {
            source,
            route,
            port: 80,
            timeout: Duration::from_secs(2),
            retry: None,
            keep_alive: KeepAlive { idle: Duration::from_secs(60), count_max: 10_000 },
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// 1xx to 3xx.
    Ok,
    /// 4xx or 5xx.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// The balancer refused or reset the connection.
    Refused,
    /// The name had no address.
    Unresolved,
    /// The client itself died.
    Abandoned,
}

/// What a client tells its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// A request begins.
    Issued {
        /// Its number, of the first attempt.
        number: RequestNumber,
    },
    /// An attempt failed and another will follow.
    Retried {
        /// The failed attempt.
        number: RequestNumber,
        /// Why.
        outcome: Outcome,
    },
    /// A request is over.
    Ended {
        /// Its number, of the last attempt.
        number: RequestNumber,
        /// How.
        outcome: Outcome,
        /// When it was issued.
        issued: Time,
    },
    /// The name needs resolving: call [`Client::resolved`].
    Resolve,
}

/// Alarms of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTimer {
    /// The next request.
    Arrival,
    /// The oldest attempt may have timed out.
    TimeoutDue,
    /// The earliest retry.
    RetryDue,
}

impl Slot for ClientTimer {
    fn slot(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    number: RequestNumber,
    issued: Time,
}

/// A source of requests.
#[derive(Debug, Clone)]
pub struct Client {
    config: ClientConfig,
    arrivals: Arrivals,
    draws: Draws,
    addresses: Vec<ProcessId>,
    addresses_until: Time,
    is_resolving: bool,
    in_flight: InFlight<Attempt>,
    timeouts: Deadlines,
    retries: BinaryHeap<Reverse<(Time, Attempt)>>,
    /// What the budget allows; see [`RETRY`].
    budget: u64,
    failed: Vec<Attempt>,
}

/// Lanes of a request's draws used here; stations use those from 16 on, arrivals lane 0 of the sequence.
const LANE_ADDRESS: u64 = 8;
const LANE_BACKOFF: u64 = 9;

/// Retries a budget may save up.
const BUDGET_SAVED_MAX: u64 = 100;
/// What a retry takes from the budget.
const RETRY: u64 = 1_000_000;

impl Client {
    /// A source that has not started. `draws` are its own.
    pub fn new(config: ClientConfig, arrivals: Arrivals, draws: Draws) -> Self {
        Self {
            config,
            arrivals,
            draws,
            addresses: Vec::new(),
            addresses_until: Time::ZERO,
            is_resolving: false,
            in_flight: InFlight::new(config.keep_alive),
            timeouts: Deadlines::default(),
            retries: BinaryHeap::new(),
            budget: 0,
            failed: Vec::new(),
        }
    }

    /// The name was resolved; the answer may be used for `ttl`.
    pub fn resolved(&mut self, now: Time, addresses: &[ProcessId], ttl: Duration) {
        self.addresses.clear();
        self.addresses.extend_from_slice(addresses);
        self.addresses_until = now + ttl;
        self.is_resolving = false;
    }

    /// Multiplies the configured rate from now on: a surge, or its end.
    pub fn set_factor(&mut self, now: Time, factor: f64, fx: &mut impl Fx<Self>) {
        self.arrivals.set_factor(now, factor);
        self.await_arrival(now, fx);
    }

    /// Requests that have not ended.
    pub fn open(&self) -> usize {
        self.in_flight.len() + self.retries.len()
    }

    /// The response to this exchange will have come at `at`: how the request has ended then, and when it was issued.
    /// `None`, and nothing is done, if it takes more than ending it: a retry, or a timeout before.
    pub fn answered(&mut self, at: Time, exchange: Exchange, status: u16) -> Option<(Outcome, Time)> {
        let Attempt { number, issued } = self.in_flight.waiting(exchange)?;
        if status >= 500 || number.attempt() > 0 || issued + self.config.timeout <= at {
            return None;
        }
        self.in_flight.finish(at, exchange);
        Some((if status < 400 { Outcome::Ok } else { Outcome::Status(status) }, issued))
    }

    fn await_arrival(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        match self.arrivals.wait(now) {
            Some(wait) => fx.arm(ClientTimer::Arrival, wait),
            None => fx.disarm(ClientTimer::Arrival),
        }
    }

    fn start(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for attempt in std::mem::take(&mut self.failed) {
            end(attempt, Outcome::Abandoned, fx);
        }
        self.resolve(fx);
        self.arrivals.restart(now);
        self.await_arrival(now, fx);
    }

    fn resolve(&mut self, fx: &mut impl Fx<Self>) {
        if !self.is_resolving {
            self.is_resolving = true;
            fx.emit(ClientEvent::Resolve);
        }
    }

    fn on_arrival(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let sequence = self.arrivals.take(now);
        self.await_arrival(now, fx);
        if let Some(budget) = self.config.retry.and_then(|retry| retry.budget) {
            let earned = (budget.get() * RETRY as f64).round() as u64;
            self.budget = (self.budget + earned).min(BUDGET_SAVED_MAX * RETRY);
        }
        let number = RequestNumber::new(self.config.source, sequence, 0);
        fx.emit(ClientEvent::Issued { number });
        self.attempt(now, Attempt { number, issued: now }, fx);
    }

    fn attempt(&mut self, now: Time, attempt: Attempt, fx: &mut impl Fx<Self>) {
        if now >= self.addresses_until {
            self.resolve(fx);
        }
        let number = attempt.number;
        let count = self.addresses.len() as u64;
        if count == 0 {
            return self.fail(now, attempt, Outcome::Unresolved, fx);
        }
        let process = self.addresses[self.draws.below(number.0, LANE_ADDRESS, count) as usize];
        let (port, route) = (self.config.port, self.config.route);
        let (id, opening) = self.in_flight.open(now, Endpoint { process, port }, number, attempt);
        fx.send(
            process,
            match opening {
                Opening::Reused => HttpMsg::Request { id, number, route, port },
                Opening::Dial => HttpMsg::Connect { id, number, port },
            },
        );
        let in_flight = &self.in_flight;
        let is_live = |exchange| in_flight.phase(exchange).is_some();
        if let Some(delay) = self.timeouts.push(now, self.config.timeout, Exchange { id, number }, is_live) {
            fx.arm(ClientTimer::TimeoutDue, delay);
        }
    }

    fn on_message(&mut self, now: Time, from: ProcessId, msg: HttpMsg, fx: &mut impl Fx<Self>) {
        match msg {
            HttpMsg::Accepted { id, number } => {
                if self.in_flight.accepted(Exchange { id, number }).is_some() {
                    let (route, port) = (self.config.route, self.config.port);
                    fx.send(from, HttpMsg::Request { id, number, route, port });
                }
            }
            HttpMsg::Response { id, number, status } => {
                let Some((_, attempt)) = self.in_flight.finish(now, Exchange { id, number }) else { return };
                match status {
                    0..400 => end(attempt, Outcome::Ok, fx),
                    400..500 => end(attempt, Outcome::Status(status), fx),
                    500.. => self.fail(now, attempt, Outcome::Status(status), fx),
                }
            }
            HttpMsg::Reset { id, number } => {
                if let Some((_, attempt)) = self.in_flight.reset(Exchange { id, number }) {
                    self.fail(now, attempt, Outcome::Refused, fx);
                }
            }
            // Nobody asks a client.
            HttpMsg::Connect { .. }
            | HttpMsg::Request { .. }
            | HttpMsg::Cancel { .. }
            | HttpMsg::Probe { .. }
            | HttpMsg::ProbeReply { .. }
            | HttpMsg::ProbeRefused { .. } => {}
        }
    }

    fn on_refused(&mut self, now: Time, to: ProcessId, fx: &mut impl Fx<Self>) {
        let mut failed = std::mem::take(&mut self.failed);
        self.in_flight.refused(to, &mut failed);
        for attempt in failed.drain(..) {
            self.fail(now, attempt, Outcome::Refused, fx);
        }
        self.failed = failed;
    }

    fn on_timeout_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(exchange) = {
            let in_flight = &self.in_flight;
            self.timeouts.due(now, |exchange| in_flight.phase(exchange).is_some())
        } {
            if let Some((to, attempt)) = self.in_flight.close(exchange) {
                let Exchange { id, number } = exchange;
                fx.send(to.process, HttpMsg::Cancel { id, number, port: to.port });
                self.fail(now, attempt, Outcome::Timeout, fx);
            }
        }
        if let Some(delay) = self.timeouts.rearm(now) {
            fx.arm(ClientTimer::TimeoutDue, delay);
        }
    }

    /// An attempt failed in a way that may be tried again.
    fn fail(&mut self, now: Time, attempt: Attempt, outcome: Outcome, fx: &mut impl Fx<Self>) {
        let Some(retry) = self.config.retry else { return end(attempt, outcome, fx) };
        let tried = attempt.number.attempt();
        let has_budget = retry.budget.is_none() || self.budget >= RETRY;
        if tried + 1 >= retry.attempts_max || !has_budget {
            return end(attempt, outcome, fx);
        }
        if retry.budget.is_some() {
            self.budget -= RETRY;
        }
        fx.emit(ClientEvent::Retried { number: attempt.number, outcome });
        let limit = retry.backoff.mul_f64(math::pow(2.0, f64::from(tried))).min(retry.backoff_max);
        let wait = limit.mul_f64(self.draws.uniform(attempt.number.0, LANE_BACKOFF));
        let next = RequestNumber::new(attempt.number.source(), attempt.number.sequence(), tried + 1);
        let at = now + wait;
        let is_first = self.retries.peek().is_none_or(|Reverse((first, _))| at < *first);
        self.retries.push(Reverse((at, Attempt { number: next, issued: attempt.issued })));
        if is_first {
            fx.arm(ClientTimer::RetryDue, wait);
        }
    }

    fn on_retry_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while self.retries.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, attempt))) = self.retries.pop() {
                self.attempt(now, attempt, fx);
            }
        }
        if let Some(Reverse((at, _))) = self.retries.peek() {
            fx.arm(ClientTimer::RetryDue, at.since(now));
        }
    }
}

impl Machine for Client {
    type Msg = HttpMsg;
    type Timer = ClientTimer;
    type Event = ClientEvent;

    fn handle(&mut self, now: Time, input: Input<HttpMsg, ClientTimer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(now, fx),
            Input::Message { from, msg } => self.on_message(now, from, msg, fx),
            Input::Refused { to } => self.on_refused(now, to, fx),
            Input::Fired(ClientTimer::Arrival) => self.on_arrival(now, fx),
            Input::Fired(ClientTimer::TimeoutDue) => self.on_timeout_due(now, fx),
            Input::Fired(ClientTimer::RetryDue) => self.on_retry_due(now, fx),
            // It writes and computes nothing.
            Input::Done(_) => {}
        }
    }

    /// Open requests die with the source; they end, abandoned, when it starts again.
    fn reboot(&mut self, _: Time, _: &Kept) {
        self.failed.clear();
        self.in_flight.drain(&mut self.failed);
        self.failed.extend(self.retries.drain().map(|Reverse((_, attempt))| attempt));
        self.failed.sort_unstable();
        self.in_flight.clear();
        self.timeouts.clear();
        self.addresses.clear();
        (self.addresses_until, self.is_resolving) = (Time::ZERO, false);
    }
}

fn end(attempt: Attempt, outcome: Outcome, fx: &mut impl Fx<Client>) {
    fx.emit(ClientEvent::Ended { number: attempt.number, outcome, issued: attempt.issued });
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
