//! The processes of a world: a closed set, each made of protocol machines.

use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::time::Time;
use crate::world::balancer::Balancer;
use crate::world::consul_agent::ConsulAgent;
use crate::world::consul_server::ConsulServer;
use crate::world::event::{Event, Pool};
use crate::world::member::{Call, PoolMember};
use crate::world::nomad_client::ClientProcess;
use crate::world::nomad_server::NomadServer;
use crate::world::operator::Operator;
use crate::world::runtime::Runtime;
use crate::world::users::Users;
use crate::world::wire::{Alarm, Wire};

/// A process.
#[derive(Debug, Clone)]
pub enum Process {
    /// A Nomad server.
    NomadServer(Box<NomadServer>),
    /// A Consul server.
    ConsulServer(Box<ConsulServer>),
    /// A Consul agent.
    ConsulAgent(Box<ConsulAgent>),
    /// A Nomad client.
    NomadClient(Box<ClientProcess>),
    /// A task runtime.
    Runtime(Box<Runtime>),
    /// A balancer node.
    Balancer(Box<Balancer>),
    /// A traffic source.
    Users(Box<Users>),
    /// The operators of a region.
    Operator(Box<Operator>),
}

impl Process {
    /// It as a member of a pool, if it is one.
    pub fn member(&self, pool: Pool) -> Option<&PoolMember> {
        match (self, pool) {
            (Self::NomadServer(process), Pool::NomadWan) => Some(process.member()),
            (Self::ConsulServer(process), Pool::ConsulLan(_) | Pool::ConsulWan) => Some(process.member(pool)),
            (Self::ConsulAgent(process), Pool::ConsulLan(_)) => Some(process.member()),
            _ => None,
        }
    }

    /// A pool becomes calm, or no longer is.
    pub fn tell_member(&mut self, now: Time, pool: Pool, call: Call, fx: &mut impl Fx<Self>) {
        match (self, pool) {
            (Self::NomadServer(process), Pool::NomadWan) => process.tell_member(now, call, fx),
            (Self::ConsulServer(process), Pool::ConsulLan(_) | Pool::ConsulWan) => {
                process.tell_member(now, pool, call, fx);
            }
            (Self::ConsulAgent(process), Pool::ConsulLan(_)) => process.tell_member(now, call, fx),
            _ => {}
        }
    }
}

impl Machine for Process {
    type Msg = Wire;
    type Timer = Alarm;
    type Event = Event;

    #[inline]
    fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Self>) {
        if matches!(input, Input::Start) {
            fx.emit(Event::Started);
        }
        match self {
            Self::NomadServer(process) => process.handle(now, input, fx),
            Self::ConsulServer(process) => process.handle(now, input, fx),
            Self::ConsulAgent(process) => process.handle(now, input, fx),
            Self::NomadClient(process) => process.handle(now, input, fx),
            Self::Runtime(process) => process.handle(now, input, fx),
            Self::Balancer(process) => process.handle(now, input, fx),
            Self::Users(process) => process.handle(now, input, fx),
            Self::Operator(process) => process.handle(now, input, fx),
        }
    }

    fn reboot(&mut self, now: Time, kept: &Kept) {
        match self {
            Self::NomadServer(process) => process.reboot(now, kept),
            Self::ConsulServer(process) => process.reboot(now, kept),
            Self::ConsulAgent(process) => process.reboot(now, kept),
            Self::NomadClient(process) => process.reboot(now, kept),
            Self::Runtime(process) => process.reboot(now, kept),
            Self::Balancer(process) => process.reboot(now, kept),
            Self::Users(process) => process.reboot(now, kept),
            Self::Operator(_) => unreachable!("operators are not on a machine that could fail"),
        }
    }
}
