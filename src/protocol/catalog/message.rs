//! Everything that is said between Consul servers, agents, and the processes on an agent's host.
//!
//! RPC between agents and servers, and between servers, is [`CatalogMsg::Call`] and [`CatalogMsg::Return`]; the rest is
//! the agent's local HTTP interface and its probes of services. Each message is at most 40 bytes; what is larger is
//! shared.

use std::fmt;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Channel;
use crate::base::machine::Message;
use crate::model::service::Check;
use crate::model::service::CheckKind;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::query::Query;
use crate::protocol::catalog::query::Reply;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::ServiceSpec;
use crate::protocol::catalog::record::mix;

/// A message of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogMsg {
    /// To a server: do this, or have the leader or another datacenter do it.
    Call {
        /// The caller's number for it.
        call: u64,
        /// What to do.
        request: Arc<Request>,
    },
    /// From a server: the outcome of a call.
    Return {
        /// The caller's number.
        call: u64,
        /// The outcome.
        result: Result<Arc<Reply>, RpcError>,
    },
    /// Opens a connection, or asks over an open one whether the other end still answers (yamux keep-alive,
    /// `Status.Ping`).
    Ping,
    /// The answer.
    Pong,
    /// To the agent of the same host: register this service and its checks (`/v1/agent/service/register`).
    Register(Arc<ServiceDefinition>),
    /// To the agent: deregister (`/v1/agent/service/deregister/:id`).
    Deregister(InstanceId),
    /// To the agent: a TTL check reports (`/v1/agent/check/update/:id`).
    Ttl {
        /// Which check.
        check: CheckId,
        /// Its state.
        status: CheckStatus,
        /// Stands for its text.
        output: u32,
    },
    /// To the agent: switch the maintenance mode of an instance, or of the node.
    Maintenance {
        /// The instance; `None` for the node.
        instance: Option<InstanceId>,
        /// On or off.
        on: bool,
    },
    /// From the agent: it has no such instance or check, so the report or request was for nothing (HTTP 404).
    Unknown(CheckId),
    /// To the agent: ask a server and tell me.
    Ask {
        /// The asker's number for it.
        ask: u64,
        /// What to ask.
        query: Arc<Query>,
    },
    /// From the agent: the answer.
    Told {
        /// The asker's number.
        ask: u64,
        /// The answer.
        result: Result<Arc<Reply>, RpcError>,
    },
    /// From the agent to a process on its host: are you well on this port?
    Probe {
        /// The agent's place for the check; to be returned.
        check: u32,
        /// The run; to be returned.
        round: u32,
        /// The port asked.
        port: u16,
        /// How it asks.
        kind: CheckKind,
    },
    /// The answer to a probe. No answer, or a refused one, is a failure.
    ProbeReply {
        /// The agent's place for the check.
        check: u32,
        /// The run.
        round: u32,
        /// How it is: passing, or critical also when nothing listens on the port.
        status: CheckStatus,
        /// Stands for the text of the answer.
        output: u32,
    },
}

/// What a server is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Write through the log.
    Write(Arc<Command>),
    /// Read.
    Read(Query),
}

/// A service as a process hands it to the agent of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDefinition {
    /// Its id, unique on the host.
    pub id: InstanceId,
    /// What goes into the catalog.
    pub spec: Arc<ServiceSpec>,
    /// Its checks; their place here is their [`CheckId::Service`] ordinal.
    pub checks: Vec<CheckDefinition>,
}

/// A check as a process hands it to the agent of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckDefinition {
    /// What to do and how often.
    pub check: Check,
    /// The process to probe, on the same host; of no meaning for a TTL check.
    pub target: ProcessId,
    /// The port to probe.
    pub port: u16,
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// Nobody led for as long as the call was held.
    #[error("no cluster leader")]
    NoLeader,
    /// A leader that is not yet ready for consistent reads.
    #[error("not ready to serve consistent reads")]
    NotReady,
    /// The leader stepped down while the call was under way; a write may still come to be.
    #[error("leadership lost while committing log")]
    LeadershipLost,
    /// The agent knows no server.
    #[error("no known Consul servers")]
    NoServers,
    /// No server of that datacenter is known.
    #[error("no path to datacenter")]
    NoPath,
    /// The server could not be reached.
    #[error("failed to get connection")]
    Dial,
    /// The connection broke while the call was under way.
    #[error("EOF")]
    Eof,
    /// Raft took no entry in time (`raftApply` gives up after 30 s). Not produced here: Raft takes entries as they
    /// come.
    #[error("timed out enqueuing operation")]
    Enqueue,
    /// The state store turned the write down: a check without its service.
    #[error("missing service registration")]
    Rejected,
}

impl Request {
    /// Whether a failed call may be made again (Consul `canRetry`): without a leader nothing can have happened, and a
    /// read over a broken connection does no harm.
    pub fn can_retry(&self, error: RpcError) -> bool {
        match error {
            RpcError::NoLeader => true,
            RpcError::Eof => matches!(self, Self::Read(_)),
            RpcError::NotReady
            | RpcError::LeadershipLost
            | RpcError::NoServers
            | RpcError::NoPath
            | RpcError::Dial
            | RpcError::Enqueue
            | RpcError::Rejected => false,
        }
    }
}

impl Message for CatalogMsg {
    fn channel(&self) -> Channel {
        Channel::Stream
    }

    fn bytes(&self) -> u32 {
        match self {
            Self::Call { request, .. } => match &**request {
                Request::Write(command) => 60 + command.bytes(),
                Request::Read(_) => 180,
            },
            Self::Return { result, .. } | Self::Told { result, .. } => {
                120 + result.as_ref().map_or(40, |reply| reply.bytes())
            }
            Self::Ping | Self::Pong => 12,
            Self::Register(definition) => 300 + 200 * definition.checks.len() as u32,
            Self::Deregister(_) | Self::Ttl { .. } | Self::Maintenance { .. } | Self::Unknown(_) => 200,
            Self::Ask { .. } => 220,
            Self::Probe { .. } => 120,
            Self::ProbeReply { .. } => 160,
        }
    }

    fn fingerprint(&self) -> u64 {
        let outcome = |result: &Result<Arc<Reply>, RpcError>| match result {
            Ok(reply) => mix(reply.index, reply.last_contact.as_nanos()),
            Err(error) => error_number(*error),
        };
        match self {
            Self::Call { call, request } => {
                let content = match &**request {
                    Request::Write(command) => command.fingerprint(),
                    Request::Read(query) => query.fingerprint(),
                };
                mix(mix(1, *call), content)
            }
            Self::Return { call, result } => mix(mix(2, *call), outcome(result)),
            Self::Ping => 3,
            Self::Pong => 4,
            Self::Register(definition) => mix(
                mix(5, definition.id.0),
                u64::from(definition.spec.address.0) << 16 | u64::from(definition.spec.port),
            ),
            Self::Deregister(id) => mix(6, id.0),
            Self::Ttl { check, status, output } => {
                mix(mix(7, check.number()), *status as u64 | u64::from(*output) << 8)
            }
            Self::Maintenance { instance, on } => mix(8 + u64::from(*on), instance.map_or(0, |id| mix(1, id.0))),
            Self::Unknown(check) => mix(10, check.number()),
            Self::Ask { ask, query } => mix(mix(11, *ask), query.fingerprint()),
            Self::Told { ask, result } => mix(mix(12, *ask), outcome(result)),
            Self::Probe { check, round, port, kind } => {
                mix(mix(13 + *kind as u64, u64::from(*check) << 32 | u64::from(*round)), u64::from(*port))
            }
            Self::ProbeReply { check, round, status, output } => {
                mix(mix(20 + *status as u64, u64::from(*check) << 32 | u64::from(*round)), u64::from(*output))
            }
        }
    }
}

impl Reply {
    /// A plausible size as `MessagePack` or JSON, in bytes.
    pub fn bytes(&self) -> u32 {
        let content = match &self.answer {
            Answer::Written => 10,
            Answer::Checks(list) => {
                let rows: usize = list.nodes.iter().map(|node| 1 + 2 * node.instances.len()).sum();
                300 * rows
            }
            Answer::Service(rows) => 400 * rows.len(),
            Answer::Node(node) => node.as_ref().map_or(20, |node| 200 + 600 * node.instances.len()),
            Answer::Services(names) => 60 * names.len(),
            Answer::Local(ids) => 300 * ids.len(),
        };
        u32::try_from(content).unwrap_or(u32::MAX / 2)
    }
}

impl fmt::Display for CatalogMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = |f: &mut fmt::Formatter<'_>, result: &Result<Arc<Reply>, RpcError>| match result {
            Ok(reply) => write!(f, "index={}", reply.index),
            Err(error) => write!(f, "error: {error}"),
        };
        match self {
            Self::Call { request, .. } => match &**request {
                Request::Write(command) => write!(f, "Call {command}"),
                Request::Read(query) => write!(f, "Call {query}"),
            },
            Self::Return { result, .. } => {
                f.write_str("Return ")?;
                outcome(f, result)
            }
            Self::Ping => f.write_str("Ping"),
            Self::Pong => f.write_str("Pong"),
            Self::Register(definition) => write!(f, "RegisterService {}={}", definition.spec.name, definition.id),
            Self::Deregister(id) => write!(f, "DeregisterService {id}"),
            Self::Ttl { check, status, .. } => write!(f, "Ttl {check}={status:?}"),
            Self::Maintenance { instance: Some(id), on } => write!(f, "Maintenance {id} on={on}"),
            Self::Maintenance { instance: None, on } => write!(f, "Maintenance node on={on}"),
            Self::Unknown(check) => write!(f, "Unknown {check}"),
            Self::Ask { query, .. } => write!(f, "Ask {query}"),
            Self::Told { result, .. } => {
                f.write_str("Told ")?;
                outcome(f, result)
            }
            Self::Probe { check, round, port, .. } => write!(f, "Probe {check}#{round} port={port}"),
            Self::ProbeReply { check, round, status, .. } => write!(f, "ProbeReply {check}#{round} {status:?}"),
        }
    }
}

const fn error_number(error: RpcError) -> u64 {
    match error {
        RpcError::NoLeader => 1,
        RpcError::NotReady => 2,
        RpcError::LeadershipLost => 3,
        RpcError::NoServers => 4,
        RpcError::NoPath => 5,
        RpcError::Dial => 6,
        RpcError::Eof => 7,
        RpcError::Enqueue => 8,
        RpcError::Rejected => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_small() {
        assert!(size_of::<CatalogMsg>() <= 40, "{}", size_of::<CatalogMsg>());
    }

    #[test]
    fn only_harmless_calls_are_repeated() {
        let read = Request::Read(Query::new(crate::protocol::catalog::query::QueryKind::Checks));
        let write = Request::Write(Arc::new(Command::Barrier));
        for (error, of_read, of_write) in [
            (RpcError::NoLeader, true, true),
            (RpcError::Eof, true, false),
            (RpcError::Dial, false, false),
            (RpcError::LeadershipLost, false, false),
        ] {
            assert_eq!((read.can_retry(error), write.can_retry(error)), (of_read, of_write), "{error}");
        }
    }
}
