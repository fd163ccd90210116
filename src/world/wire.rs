//! Everything that travels between processes, and every alarm a process can set: closed sets, small values.

use std::fmt;
use std::sync::Arc;

use crate::base::machine::{Channel, Message, Slot};
use crate::base::time::Duration;
use crate::model::alloc::{Alloc, AllocId};
use crate::protocol::catalog::agent::AgentTimer;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::server::ServerTimer as CatalogTimer;
use crate::protocol::client::agent::Timer as ClientTimer;
use crate::protocol::client::event::Exit;
use crate::protocol::gossip;
use crate::protocol::proxy::alb::AlbTimer;
use crate::protocol::proxy::fabio::FabioTimer;
use crate::protocol::proxy::message::HttpMsg;
use crate::protocol::raft;
use crate::protocol::scheduler::message::Message as NomadMsg;
use crate::protocol::scheduler::server::Timer as NomadTimer;
use crate::protocol::workload::client::ClientTimer as UserTimer;
use crate::world::entry::{CatalogEntry, NomadEntry};

/// A message between processes.
#[derive(Debug, Clone)]
pub enum Wire {
    /// Between Nomad servers of a region.
    NomadRaft(raft::Msg<NomadEntry>),
    /// Between Consul servers of a region.
    CatalogRaft(raft::Msg<CatalogEntry>),
    /// In the pool of all Nomad servers.
    NomadSerf(gossip::message::Msg),
    /// In the pool of all Consul agents of a region.
    Lan(gossip::message::Msg),
    /// In the pool of all Consul servers.
    Wan(gossip::message::Msg),
    /// Nomad's calls and answers.
    Nomad(NomadMsg),
    /// Consul's calls and answers, checks and the agent's interface.
    Catalog(CatalogMsg),
    /// Requests, their answers and the balancer's health checks.
    Http(HttpMsg),
    /// Between the client of a machine and its task runtime.
    Task(TaskMsg),
}

/// What a client and the task runtime of its machine say to each other (the driver interface), and what both exchange
/// with the Consul agent beside them that is not Consul's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskMsg {
    /// Start a task.
    Start {
        /// Of this allocation.
        alloc: Arc<Alloc>,
        /// Its place in the group.
        task: u16,
    },
    /// End it, as SIGTERM does.
    Stop {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
    },
    /// End it at once, as SIGKILL does.
    Kill {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
    },
    /// Does it still run?
    Reattach {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
    },
    /// It runs.
    Started {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
    },
    /// It ended.
    Exited {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
        /// How.
        exit: Exit,
    },
    /// Whether it still runs.
    Reattached {
        /// Of this allocation.
        alloc: AllocId,
        /// Its place in the group.
        task: u16,
        /// It does.
        alive: bool,
    },
    /// To the Consul agent: something listens on a port, or no longer does, so checks may have another answer.
    PortsChanged,
    /// From the Consul agent: whether all checks of an allocation's services pass.
    Health {
        /// Of this allocation.
        alloc: AllocId,
        /// They do.
        passing: bool,
    },
}

impl Message for Wire {
    #[inline]
    fn channel(&self) -> Channel {
        match self {
            Self::NomadSerf(msg) | Self::Lan(msg) | Self::Wan(msg) => msg.channel(),
            Self::NomadRaft(_)
            | Self::CatalogRaft(_)
            | Self::Nomad(_)
            | Self::Catalog(_)
            | Self::Http(_)
            | Self::Task(_) => Channel::Stream,
        }
    }

    #[inline]
    fn bytes(&self) -> u32 {
        if let Self::Http(msg) = self { msg.bytes() } else { self.bytes_of_calls() }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::NomadRaft(msg) => msg.answer_within(HANG_UP),
            Self::CatalogRaft(msg) => msg.answer_within(HANG_UP),
            Self::Http(_) => HANG_UP,
            Self::NomadSerf(_) | Self::Lan(_) | Self::Wan(_) | Self::Nomad(_) | Self::Catalog(_) | Self::Task(_) => {
                Duration::MAX
            }
        }
    }

    fn dial_patience(&self) -> Duration {
        match self {
            Self::NomadSerf(_) | Self::Wan(_) => WAN_DIAL,
            Self::Lan(_)
            | Self::NomadRaft(_)
            | Self::CatalogRaft(_)
            | Self::Nomad(_)
            | Self::Catalog(_)
            | Self::Http(_)
            | Self::Task(_) => HANG_UP,
        }
    }

    #[inline]
    fn fingerprint(&self) -> u64 {
        let (kind, content) = if let Self::Http(msg) = self { (8, msg.fingerprint()) } else { self.print_of_calls() };
        content.rotate_left(8) ^ kind
    }
}

impl Wire {
    /// The size of what is not about requests, which are by far the most.
    #[inline(never)]
    fn bytes_of_calls(&self) -> u32 {
        match self {
            Self::NomadRaft(msg) => msg.bytes(),
            Self::CatalogRaft(msg) => msg.bytes(),
            Self::NomadSerf(msg) | Self::Lan(msg) | Self::Wan(msg) => Message::bytes(msg),
            Self::Nomad(msg) => Message::bytes(msg),
            Self::Catalog(msg) => Message::bytes(msg),
            Self::Http(msg) => msg.bytes(),
            Self::Task(_) => 256,
        }
    }

    /// Kind and fingerprint of the same.
    #[inline(never)]
    fn print_of_calls(&self) -> (u64, u64) {
        match self {
            Self::NomadRaft(msg) => (1, msg.fingerprint()),
            Self::CatalogRaft(msg) => (2, msg.fingerprint()),
            Self::NomadSerf(msg) => (3, msg.fingerprint()),
            Self::Lan(msg) => (4, msg.fingerprint()),
            Self::Wan(msg) => (5, msg.fingerprint()),
            Self::Nomad(msg) => (6, Message::fingerprint(msg)),
            Self::Catalog(msg) => (7, msg.fingerprint()),
            Self::Http(msg) => (8, msg.fingerprint()),
            Self::Task(msg) => (9, msg.fingerprint()),
        }
    }
}

impl TaskMsg {
    fn fingerprint(&self) -> u64 {
        let mix = |kind: u64, alloc: AllocId, task: u16| (u64::from(alloc.0) << 24) ^ (u64::from(task) << 8) ^ kind;
        match self {
            Self::Start { alloc, task } => mix(1, alloc.id, *task),
            Self::Stop { alloc, task } => mix(2, *alloc, *task),
            Self::Kill { alloc, task } => mix(3, *alloc, *task),
            Self::Reattach { alloc, task } => mix(4, *alloc, *task),
            Self::Started { alloc, task } => mix(5, *alloc, *task),
            Self::Exited { alloc, task, exit } => mix(6 + *exit as u64, *alloc, *task),
            Self::Reattached { alloc, task, alive } => mix(10 + u64::from(*alive), *alloc, *task),
            Self::Health { alloc, passing } => mix(12 + u64::from(*passing), *alloc, 0),
            Self::PortsChanged => 14,
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NomadRaft(msg) => write!(f, "nomad {msg}"),
            Self::CatalogRaft(msg) => write!(f, "consul {msg}"),
            Self::NomadSerf(msg) => write!(f, "nomad serf {msg}"),
            Self::Lan(msg) => write!(f, "lan {msg}"),
            Self::Wan(msg) => write!(f, "wan {msg}"),
            Self::Nomad(msg) => write!(f, "{msg}"),
            Self::Catalog(msg) => write!(f, "{msg}"),
            Self::Http(msg) => write!(f, "{msg}"),
            Self::Task(msg) => write!(f, "{msg}"),
        }
    }
}

impl fmt::Display for TaskMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { alloc, task } => write!(f, "StartTask {}/{task}", alloc.id),
            Self::Stop { alloc, task } => write!(f, "StopTask {alloc}/{task}"),
            Self::Kill { alloc, task } => write!(f, "KillTask {alloc}/{task}"),
            Self::Reattach { alloc, task } => write!(f, "ReattachTask {alloc}/{task}"),
            Self::Started { alloc, task } => write!(f, "TaskStarted {alloc}/{task}"),
            Self::Exited { alloc, task, exit } => write!(f, "TaskExited {alloc}/{task} {exit:?}"),
            Self::Reattached { alloc, task, alive } => write!(f, "TaskReattached {alloc}/{task} alive={alive}"),
            Self::Health { alloc, passing } => write!(f, "Health {alloc} passing={passing}"),
            Self::PortsChanged => f.write_str("PortsChanged"),
        }
    }
}

/// An alarm of a process. The parts of a process share its table of alarms, interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Of its Raft.
    Raft(raft::Timer),
    /// Of its Serf in the pool of its own kind: LAN for Consul, the pool of all servers for Nomad.
    Serf(gossip::serf::Timer),
    /// Of a Consul server's Serf in the WAN pool.
    Wan(gossip::serf::Timer),
    /// Of a Consul server's catalog.
    Catalog(CatalogTimer),
    /// Of a Consul agent.
    Agent(AgentTimer),
    /// Of a Nomad server.
    Nomad(NomadTimer),
    /// Of a Nomad client.
    Client(ClientTimer),
    /// Of a Nomad client's registrations with the Consul agent.
    Registrations,
    /// Of a task runtime.
    Runtime(RuntimeTimer),
    /// Of the proxy in a task runtime.
    Proxy(FabioTimer),
    /// Of a balancer.
    Balancer(AlbTimer),
    /// Of a traffic source.
    User(UserTimer),
    /// Of an operator: the next thing to do or to try again.
    Operator,
}

/// An alarm of a task runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeTimer {
    /// A step of some task's life is due.
    Life,
    /// A request at a station is done, or has waited for too long.
    Station(u32),
}

impl Slot for RuntimeTimer {
    fn slot(self) -> usize {
        match self {
            Self::Life => 0,
            Self::Station(station) => 1 + station as usize,
        }
    }
}

impl Slot for Alarm {
    #[inline]
    fn slot(self) -> usize {
        match self {
            Self::Raft(timer) => timer.slot() * 4,
            Self::Serf(timer) => timer.slot() * 4 + 1,
            Self::Wan(timer) => timer.slot() * 4 + 2,
            Self::Catalog(timer) => timer.slot() * 4 + 3,
            Self::Nomad(timer) => timer.slot() * 4 + 3,
            Self::Agent(timer) => timer.slot() * 4,
            Self::Client(timer) => timer.slot(),
            Self::Registrations => ClientTimer::COUNT,
            Self::Runtime(timer) => timer.slot() * 2,
            Self::Proxy(timer) => timer.slot() * 2 + 1,
            Self::Balancer(timer) => timer.slot(),
            Self::User(timer) => timer.slot(),
            Self::Operator => 0,
        }
    }
}

/// A Raft call that is not answered closes its connection after this (`HashiCorp` raft transport timeout), and so do a
/// balancer that cannot connect (ALB) and, as a rule earlier, the user behind it. Calls of Nomad and Consul share a
/// connection whose keep-alives they leave the rest to.
///
/// Left out: that a fabio waits longer for a connection (its dial timeout, 30 s by default), and a balancer for an
/// answer to what was sent on a connection that hangs. If the way is open again after more than this, what they sent
/// before is lost, and ends by their own timeouts, where it could still have been answered.
const HANG_UP: Duration = Duration::from_secs(10);
/// memberlist's `TCPTimeout` in its WAN profile, for both pools that span regions.
const WAN_DIAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::registry::State;
    use crate::protocol::gossip::config::SerfConfig;

    #[test]
    fn a_message_fits_in_forty_eight_bytes() {
        assert!(size_of::<Wire>() <= 48, "{}", size_of::<Wire>());
    }

    #[test]
    fn an_image_may_hang_for_as_long_as_its_sender_waits() {
        for (bytes, seconds) in [(1, 10), (256 << 10, 10), (1 << 20, 40)] {
            let snapshot = raft::Snapshot {
                index: raft::Index::default(),
                term: raft::Term::default(),
                hash: 0,
                configuration: Arc::default(),
                configuration_index: raft::Index::default(),
                state: State::default(),
                bytes,
            };
            let msg = raft::Msg::InstallSnapshot { seq: 0, term: raft::Term::default(), snapshot: Arc::new(snapshot) };
            assert_eq!(Wire::CatalogRaft(msg).patience(), Duration::from_secs(seconds), "{bytes} bytes");
        }
    }

    #[test]
    fn gossip_dials_for_as_long_as_its_profile_says() {
        let dial = || gossip::message::Msg::Dial(gossip::message::Stream::Exchange(1));
        for (msg, config) in [
            (Wire::Lan(dial()), SerfConfig::consul_lan()),
            (Wire::Wan(dial()), SerfConfig::consul_wan()),
            (Wire::NomadSerf(dial()), SerfConfig::nomad()),
        ] {
            assert_eq!(msg.dial_patience(), config.swim.tcp_timeout, "{msg}");
        }
    }
}
