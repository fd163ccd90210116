//! The way of a response from an instance to its user, travelled in one step while nothing can befall it.
//!
//! On their way back responses are only passed on: by the proxy and the balancer node that wait for them, each of which
//! puts the connection it used back among the idle ones. So a response is not carried from hop to hop: its delays are
//! added up, the hops and the user are told when they will have had it, and observers when that time has come. That is
//! done only if no rule of the network is in force, every hop runs, waits for this response and has nothing else to do
//! when it comes, and no entry of the timeline strikes or ends before the user has it. Otherwise, and in a world that
//! [carries everything out](Routine::Simulated), it travels like every other message.
//!
//! Left out: a hop that ends by itself within the millisecond or so until the response would have passed it. A proxy
//! stopped by Nomad at that instant still delivers what its instances had answered, so that at most as many requests
//! succeed instead of failing as are answered within one network delay. A user who gives up within it hangs up on
//! nobody.

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Message};
use crate::base::time::{Duration, Time};
use crate::protocol::proxy::message::{Exchange, HttpMsg};
use crate::sim::trace::Cause;
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::run::{Step, Witness, World, ear};
use crate::world::wire::Wire;

/// A response that has just left its instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The instance's task runtime.
    pub(super) from: ProcessId,
    /// The proxy's.
    pub(super) to: ProcessId,
    /// The proxy's name for the exchange.
    pub(super) exchange: Exchange,
    pub(super) status: u16,
    pub(super) cause: Cause,
}

/// What is to be done for a response to have reached its user.
struct Way {
    proxy: (ProcessId, Exchange),
    balancer: (ProcessId, Exchange),
    user: (ProcessId, Exchange),
}

impl World {
    /// Sends responses on their way.
    pub(super) fn send_back(&mut self, strikes: Time, witness: &mut dyn Witness) {
        let mut answers = std::mem::take(&mut self.answers);
        for answer in answers.drain(..) {
            let way = self.way_back(&answer);
            if !way.is_some_and(|way| self.pass_on(&answer, &way, strikes)) {
                let Answer { from, to, exchange: Exchange { id, number }, status, cause } = answer;
                let ear = &mut ear!(self, witness);
                let msg = Wire::Http(HttpMsg::Response { id, number, status });
                self.engine.with_cause(from, cause, ear, |_, _, fx| fx.send(to, msg));
            }
        }
        if self.answers.is_empty() {
            self.answers = answers;
        }
    }

    /// Who a response goes through, if all of them do nothing but pass it on.
    fn way_back(&self, answer: &Answer) -> Option<Way> {
        if self.atlas.routine == Routine::Simulated {
            return None;
        }
        let engine = &self.engine;
        let proxy = (answer.to, answer.exchange);
        let balancer = match engine.process(proxy.0) {
            Process::Runtime(runtime) => runtime.proxy_at_work()?.passes_on(proxy.1)?,
            _ => return None,
        };
        let user = match engine.process(balancer.0) {
            Process::Balancer(node) => node.passes_on(balancer.1)?,
            _ => return None,
        };
        let clear = |process| engine.is_reached(process);
        (clear(proxy.0) && clear(balancer.0) && clear(user.0)).then_some(Way { proxy, balancer, user })
    }

    /// Tells the hops and the user what will have happened, unless something strikes before it has.
    fn pass_on(&mut self, answer: &Answer, way: &Way, strikes: Time) -> bool {
        let Exchange { id, number } = way.user.1;
        let response = HttpMsg::Response { id, number, status: answer.status };
        let bytes = response.bytes();
        let mut leg = |from, to| self.engine.transit(from, to, bytes, number.0);
        let to_proxy = leg(answer.from, way.proxy.0);
        let to_balancer = to_proxy + leg(way.proxy.0, way.balancer.0);
        let to_user: Duration = to_balancer + leg(way.balancer.0, way.user.0);
        let now = self.engine.now();
        if now + to_user >= strikes {
            return false;
        }
        if let Process::Runtime(runtime) = self.engine.process_mut(way.proxy.0) {
            runtime.passed_on(now + to_proxy, way.proxy.1);
        }
        if let Process::Balancer(node) = self.engine.process_mut(way.balancer.0) {
            node.passed_on(now + to_balancer, way.balancer.1);
        }
        let at = now + to_user;
        match self.engine.process_mut(way.user.0) {
            Process::Users(users) => match users.answered(at, way.user.1, answer.status) {
                Some(event) => {
                    self.engine.attest(at, way.balancer.0, way.user.0, &Wire::Http(response));
                    self.ahead.push(at, number, (way.user.0, event));
                }
                None => self.engine.carry(way.balancer.0, way.user.0, to_user, answer.cause, Wire::Http(response)),
            },
            _ => unreachable!("balancers serve users"),
        }
        true
    }

    /// When an entry of the timeline strikes or ends next.
    pub(super) fn next_strike(&self) -> Time {
        let strikes = |(_, step): &&(Time, Step)| matches!(step, Step::Begin(_) | Step::End(_));
        self.agenda.iter().find(strikes).map_or(Time::NEVER, |(at, _)| *at)
    }
}
