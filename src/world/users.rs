//! The users behind one traffic source: the client machine and the name it resolves.

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::time::Time;
use crate::protocol::proxy::dns::DnsSet;
use crate::protocol::proxy::message::Exchange;
use crate::protocol::workload::client::{Client, ClientEvent, Outcome as Ending};
use crate::world::event::{Event, Outcome};
use crate::world::process::Process;
use crate::world::spec::TrafficId;
use crate::world::via::{Via, hear_out};
use crate::world::wire::{Alarm, Wire};

/// One traffic source.
#[derive(Debug, Clone)]
pub struct Users {
    traffic: TrafficId,
    client: Client,
    dns: DnsSet,
    answer: Vec<ProcessId>,
    events: Vec<ClientEvent>,
}

impl Users {
    /// Users who have not started; `dns` is the name of their balancer.
    pub fn new(traffic: TrafficId, client: Client, dns: DnsSet) -> Self {
        Self { traffic, client, dns, answer: Vec::new(), events: Vec::new() }
    }

    /// The cloud notices that a balancer works, or does not.
    pub fn set_in_service(&mut self, now: Time, balancer: ProcessId, works: bool) {
        self.dns.set_in_service(now, balancer, works);
    }

    /// Requests that have not ended.
    pub fn open(&self) -> usize {
        self.client.open()
    }

    /// As [`Client::answered`]: what is to be told then.
    #[inline]
    pub fn answered(&mut self, at: Time, exchange: Exchange, status: u16) -> Option<Event> {
        let (outcome, sent) = self.client.answered(at, exchange, status)?;
        Some(Event::Ended { traffic: self.traffic, number: exchange.number, sent, outcome: seen(outcome) })
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        let input = match input {
            Input::Start => {
                // The name is resolved before the first request.
                self.resolve(now);
                Input::Start
            }
            Input::Message { from, msg: Wire::Http(msg) } => Input::Message { from, msg },
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a user"),
            Input::Refused { to } => Input::Refused { to },
            Input::Fired(Alarm::User(timer)) => Input::Fired(timer),
            Input::Fired(alarm) => unreachable!("users do not set {alarm:?}"),
            Input::Done(token) => unreachable!("users write nothing, so nothing is done: {token:?}"),
        };
        self.client.handle(now, input, &mut via(fx, &mut self.events));
        hear_out(self, |p| &mut p.events, |p, event| p.on_event(now, event, fx));
    }

    #[inline]
    fn on_event(&mut self, now: Time, event: ClientEvent, fx: &mut impl Fx<Process>) {
        match event {
            ClientEvent::Resolve => self.resolve(now),
            ClientEvent::Ended { number, outcome, issued } => {
                let (traffic, outcome) = (self.traffic, seen(outcome));
                fx.emit(Event::Ended { traffic, number, sent: issued, outcome });
            }
            ClientEvent::Issued { number } => fx.emit(Event::Issued { number }),
            ClientEvent::Retried { .. } => {}
        }
    }

    /// Users do not die; the contract wants an answer all the same.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        self.client.reboot(now, kept);
    }

    fn resolve(&mut self, now: Time) {
        self.dns.resolve(now, &mut self.answer);
        self.client.resolved(now, &self.answer, self.dns.ttl());
    }
}

/// An ending, as reports name it.
fn seen(ending: Ending) -> Outcome {
    match ending {
        Ending::Ok => Outcome::Ok,
        Ending::Status(404) => Outcome::NoRoute,
        Ending::Status(502) => Outcome::BadGateway,
        Ending::Status(503) => Outcome::Unavailable,
        Ending::Status(504) => Outcome::GatewayTimeout,
        Ending::Status(_) => Outcome::OtherStatus,
        Ending::Timeout => Outcome::Timeout,
        Ending::Refused | Ending::Unresolved | Ending::Abandoned => Outcome::Refused,
    }
}

fn via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<ClientEvent>) -> impl Fx<Client> {
    Via { fx, events, wire: Wire::Http, alarm: Alarm::User, lane: 0 }
}
