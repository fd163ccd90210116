//! A balancer node: one per zone and ingress, outside the machines of the scenario, lost with its zone.

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::time::Time;
use crate::model::topology::ZoneId;
use crate::protocol::proxy::alb::{Alb, AlbEvent};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::message::Exchange;
use crate::world::event::Event;
use crate::world::process::Process;
use crate::world::via::Via;
use crate::world::wire::{Alarm, Wire};

/// A balancer node.
#[derive(Debug, Clone)]
pub struct Balancer {
    alb: Alb,
    targets: Vec<(Endpoint, ZoneId)>,
    events: Vec<AlbEvent>,
}

impl Balancer {
    /// A node with these targets.
    pub fn new(alb: Alb, targets: Vec<(Endpoint, ZoneId)>) -> Self {
        Self { alb, targets, events: Vec::new() }
    }

    /// As [`Alb::passes_on`].
    #[inline]
    pub fn passes_on(&self, exchange: Exchange) -> Option<(ProcessId, Exchange)> {
        self.alb.passes_on(exchange)
    }

    /// As [`Alb::passed_on`].
    #[inline]
    pub fn passed_on(&mut self, at: Time, exchange: Exchange) {
        self.alb.passed_on(at, exchange);
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        let input = match input {
            Input::Start => {
                for &(target, zone) in &self.targets {
                    self.alb.register(target, zone, &mut via(fx, &mut self.events));
                }
                Input::Start
            }
            Input::Message { from, msg: Wire::Http(msg) } => Input::Message { from, msg },
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a balancer"),
            Input::Refused { to } => Input::Refused { to },
            Input::Fired(Alarm::Balancer(timer)) => Input::Fired(timer),
            Input::Fired(alarm) => unreachable!("a balancer does not set {alarm:?}"),
            Input::Done(token) => unreachable!("a balancer writes nothing, so nothing is done: {token:?}"),
        };
        self.alb.handle(now, input, &mut via(fx, &mut self.events));
        if self.events.is_empty() {
            return;
        }
        for event in self.events.drain(..) {
            if let AlbEvent::Health { .. } | AlbEvent::Deregistered { .. } = event {
                fx.emit(Event::Balancer(event));
            }
        }
    }

    /// The node was lost and comes back.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        self.alb.reboot(now, kept);
    }
}

fn via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<AlbEvent>) -> impl Fx<Alb> {
    Via { fx, events, wire: Wire::Http, alarm: Alarm::Balancer, lane: 0 }
}
