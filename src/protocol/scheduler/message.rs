//! What Nomad servers, clients and operators say to each other: requests and replies over streams.
//!
//! Every exchange is one request and one reply under a number the asker chose. Small bodies travel inline, everything
//! large behind one pointer, so that a message stays at 40 bytes; a heartbeat and its answer allocate nothing.

use std::fmt;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Channel, Message as Travels};
use crate::base::roll::Roll;
use crate::base::time::Duration;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::node::{NodeId, NodeSpec, NodeStatus};
use crate::model::topology::RegionId;
use crate::protocol::scheduler::broker::{BrokerError, EvalToken};
use crate::protocol::scheduler::command::{AllocUpdate, Command, Refusal};
use crate::protocol::scheduler::dispatch::DispatchError;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::plan::{Plan, PlanResult};

/// Names one exchange of one asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(pub u32);

/// What travels between Nomad processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks.
    Request {
        /// Under this number.
        call: Call,
        /// This.
        request: Request,
    },
    /// The answer.
    Reply {
        /// To the question of this number.
        call: Call,
        /// The answer itself.
        reply: Reply,
    },
    /// Keepalive of a connection between servers (yamux, every 30 s).
    Ping,
    /// The answer to a keepalive.
    Pong,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Node.UpdateStatus with status `ready`: the client's heartbeat.
    Heartbeat {
        /// Of this node.
        node: NodeId,
    },
    /// Node.Register.
    Register(Arc<Registration>),
    /// Node.GetClientAllocs: which allocations a node has; blocks until something is newer than `min_index`. Stale.
    ClientAllocs {
        /// Of this node.
        node: NodeId,
        /// The index the client has seen; zero answers at once.
        min_index: u64,
    },
    /// Alloc.GetAllocs: allocations in full, from a state of at least this index. Stale.
    Allocs(Arc<AllocsRequest>),
    /// Alloc.GetAlloc: one allocation; blocks until it is newer than `min_index`. Stale.
    Alloc {
        /// Which.
        alloc: AllocId,
        /// The index the client has seen; zero answers at once.
        min_index: u64,
    },
    /// Node.UpdateAlloc: what a client has to report.
    UpdateAllocs(Arc<Vec<AllocUpdate>>),
    /// What an operator wants in a region.
    Operate {
        /// Where.
        region: RegionId,
        /// What.
        operation: Arc<Operation>,
    },
    /// Eval.Dequeue: a worker wants an evaluation; blocks 500 ms.
    Dequeue,
    /// Eval.Ack.
    Ack {
        /// Which.
        eval: EvalId,
        /// Proof of delivery.
        token: EvalToken,
    },
    /// Eval.Nack.
    Nack {
        /// Which.
        eval: EvalId,
        /// Proof of delivery.
        token: EvalToken,
    },
    /// Plan.Submit.
    SubmitPlan(Arc<PlanRequest>),
    /// Eval.Update or Eval.Create: evaluations to be written on behalf of a held one.
    WriteEvals(Arc<EvalsRequest>),
    /// Eval.Reap, Deployment.Reap, Job.BatchDeregister or Node.BatchDeregister: the entry that collects garbage.
    Reap(Arc<Command>),
    /// Eval.Reblock: the held evaluation waits for capacity again.
    Reblock(Arc<EvalsRequest>),
}

/// Node.Register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Which node.
    pub node: NodeId,
    /// What it is.
    pub spec: Arc<NodeSpec>,
    /// `initializing` the first time, `ready` when it registers again.
    pub status: NodeStatus,
}

/// Alloc.GetAllocs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocsRequest {
    /// Which allocations.
    pub ids: Vec<AllocId>,
    /// The answering server must have applied this index.
    pub min_index: u64,
}

/// Plan.Submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// The plan.
    pub plan: Plan,
    /// The evaluation it is for.
    pub eval: EvalId,
    /// Proof of delivery of that evaluation.
    pub token: EvalToken,
}

/// Eval.Update, Eval.Create, Eval.Reblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalsRequest {
    /// The evaluation the worker holds.
    pub eval: EvalId,
    /// Proof of delivery.
    pub token: EvalToken,
    /// What to write.
    pub evals: Vec<Evaluation>,
}

/// What a node should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAllocs {
    /// Index of the answering server's state for this node.
    pub index: u64,
    /// Allocations and the index of their last change by a server, ascending.
    pub allocs: Roll<(AllocId, u64)>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a heartbeat or a registration.
    Beat {
        /// When to beat again.
        ttl: Duration,
        /// The servers of the region.
        servers: Arc<Vec<ProcessId>>,
    },
    /// To [`Request::ClientAllocs`].
    ClientAllocs(Box<ClientAllocs>),
    /// To [`Request::Allocs`]: those that exist.
    Allocs(Arc<Vec<Arc<Alloc>>>),
    /// To [`Request::Alloc`].
    Alloc {
        /// Index of its last change.
        index: u64,
        /// The allocation, if it exists.
        alloc: Option<Arc<Alloc>>,
    },
    /// It is written (or acknowledged) and took effect at this index; zero when nothing was written.
    Done {
        /// Raft index.
        index: u64,
    },
    /// To [`Request::Operate`].
    Operated {
        /// Raft index.
        index: u64,
        /// The evaluation that was created.
        eval: Option<EvalId>,
    },
    /// To [`Request::Dequeue`]: an evaluation.
    Dequeued(Arc<Dequeued>),
    /// To [`Request::Dequeue`]: nothing to do.
    Nothing,
    /// To [`Request::SubmitPlan`].
    Planned(Arc<Planned>),
    /// To [`Request::WriteEvals`].
    Written {
        /// Raft index.
        index: u64,
        /// The evaluations as written.
        evals: Arc<Vec<Arc<Evaluation>>>,
    },
    /// It did not work.
    Failed(RpcError),
}

/// Eval.Dequeue's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dequeued {
    /// The evaluation.
    pub eval: Arc<Evaluation>,
    /// Proof of delivery.
    pub token: EvalToken,
    /// The worker's state must have reached this index.
    pub wait_index: u64,
}

/// Plan.Submit's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What was committed.
    pub result: Arc<PlanResult>,
    /// The worker must refresh its state to this index before it goes on.
    pub refresh_index: Option<u64>,
    /// The index at which the result was written; zero for nothing.
    pub index: u64,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// No server leads, as far as the asked one knows.
    #[error("no cluster leader")]
    NoLeader,
    /// The leader has not finished establishing its leadership.
    #[error("not ready to serve consistent reads")]
    NotReady,
    /// No server of that region is known.
    #[error("no path to region")]
    NoPath,
    /// The connection broke or stayed silent.
    #[error("connection lost")]
    Lost,
    /// The node never registered.
    #[error("node not found")]
    UnknownNode,
    /// The node is down or disconnected, and has to be heard first.
    #[error("node is not allowed to update allocs")]
    SilentNode,
    /// The node drains, and is not made eligible before that is over.
    #[error("can not set node's scheduling eligibility to eligible while it is draining")]
    NodeDraining,
    /// The job never registered.
    #[error("job not found")]
    UnknownJob,
    /// The job never had this version, does not keep it, or has it now.
    #[error("job version not found, or current")]
    UnknownVersion,
    /// The group is not in the job.
    #[error("task group not found")]
    UnknownGroup,
    /// The allocation does not exist.
    #[error("alloc not found")]
    UnknownAlloc,
    /// The release has no scheduler for jobs of this type.
    #[error("job type is not supported")]
    UnsupportedKind,
    /// There is no such deployment.
    #[error("deployment not found")]
    UnknownDeployment,
    /// The job is not periodic.
    #[error("can't force launch non-periodic job")]
    NotPeriodic,
    /// The job is periodic, and disabled or stopped.
    #[error("can't force run non-tracked job")]
    NotTracked,
    /// Only children of the job are evaluated.
    #[error("can't evaluate periodic or parameterized job")]
    NotEvaluated,
    /// A parameterized job cannot be dispatched like this.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// The deployment is failed, successful or cancelled.
    #[error("deployment is terminal")]
    DeploymentTerminal,
    /// An evaluation's priority is outside 1..=100.
    #[error("eval priority must be between `1` and `100`")]
    PriorityOutOfRange,
    /// The entry was committed and changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The scheduler configuration rejects registrations.
    #[error("job registration, dispatch, and scale are disabled by the scheduler configuration")]
    RegistrationsRejected,
    /// The release does not know the switch.
    #[error("scheduler configuration has no such switch")]
    UnknownSwitch,
    /// A deployment of the job is active.
    #[error("job scaling blocked due to active deployment")]
    DeploymentActive,
    /// The evaluation broker is off.
    #[error("eval broker disabled")]
    BrokerDisabled,
    /// The plan queue is off.
    #[error("plan queue is disabled")]
    PlanQueueDisabled,
    /// The plan was waiting when leadership was lost.
    #[error("plan queue flushed")]
    Flushed,
    /// The applier's state did not reach the plan's index in time.
    #[error("timed out waiting for state")]
    StateTimeout,
    /// The log did not take the entry, or leadership was lost while it was on its way.
    #[error("leadership lost while committing log")]
    NotCommitted,
    /// The worker does not hold the evaluation.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Request {
    /// May be answered from any server's state.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::ClientAllocs { .. } | Self::Allocs(_) | Self::Alloc { .. } => true,
            Self::Heartbeat { .. }
            | Self::Register(_)
            | Self::UpdateAllocs(_)
            | Self::Operate { .. }
            | Self::Dequeue
            | Self::Ack { .. }
            | Self::Nack { .. }
            | Self::SubmitPlan(_)
            | Self::WriteEvals(_)
            | Self::Reap(_)
            | Self::Reblock(_) => false,
        }
    }

    fn bytes(&self) -> u32 {
        match self {
            Self::Heartbeat { .. } | Self::ClientAllocs { .. } | Self::Alloc { .. } => 220,
            Self::Register(_) => 6_000,
            Self::Allocs(request) => 160 + 40 * length(request.ids.len()),
            Self::UpdateAllocs(updates) => 160 + 900 * length(updates.len()),
            Self::Operate { .. } => 3_000,
            Self::Dequeue | Self::Ack { .. } | Self::Nack { .. } => 200,
            Self::SubmitPlan(_) => 4_000,
            Self::Reap(command) => command.bytes(),
            Self::WriteEvals(request) | Self::Reblock(request) => 200 + 600 * length(request.evals.len()),
        }
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Heartbeat { node } => mix(1, u64::from(node.0)),
            Self::Register(body) => mix(2, u64::from(body.node.0) ^ (body.status as u64) << 32),
            Self::ClientAllocs { node, min_index } => mix(mix(3, u64::from(node.0)), *min_index),
            Self::Allocs(body) => body.ids.iter().fold(mix(4, body.min_index), |hash, id| mix(hash, u64::from(id.0))),
            Self::Alloc { alloc, min_index } => mix(mix(5, u64::from(alloc.0)), *min_index),
            Self::UpdateAllocs(updates) => {
                updates.iter().fold(6, |hash, update| mix(hash, u64::from(update.id.0) ^ (update.client as u64) << 32))
            }
            Self::Operate { region, operation } => mix(mix(7, u64::from(region.0)), operation.fingerprint()),
            Self::Dequeue => 8,
            Self::Ack { eval, token } => mix(mix(9, u64::from(eval.0)), token.0),
            Self::Nack { eval, token } => mix(mix(10, u64::from(eval.0)), token.0),
            Self::SubmitPlan(body) => mix(mix(11, u64::from(body.eval.0)), body.token.0),
            Self::WriteEvals(body) => mix(mix(12, u64::from(body.eval.0)), body.evals.len() as u64),
            Self::Reap(command) => mix(14, command.fingerprint()),
            Self::Reblock(body) => mix(mix(13, u64::from(body.eval.0)), body.token.0),
        }
    }
}

impl Reply {
    fn bytes(&self) -> u32 {
        match self {
            Self::Beat { servers, .. } => 200 + 60 * length(servers.len()),
            Self::ClientAllocs(list) => 120 + 48 * length(list.allocs.len()),
            Self::Allocs(allocs) => 120 + 5_000 * length(allocs.len()),
            Self::Alloc { alloc, .. } => 120 + 5_000 * u32::from(alloc.is_some()),
            Self::Done { .. } | Self::Operated { .. } | Self::Nothing | Self::Failed(_) => 120,
            Self::Dequeued(_) => 900,
            Self::Planned(_) => 4_000,
            Self::Written { evals, .. } => 120 + 40 * length(evals.len()),
        }
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Beat { ttl, servers } => mix(mix(21, ttl.as_nanos()), servers.len() as u64),
            Self::ClientAllocs(list) => mix(mix(22, list.index), list.allocs.len() as u64),
            Self::Allocs(allocs) => {
                allocs.iter().fold(23, |hash, alloc| mix(hash, u64::from(alloc.id.0) ^ alloc.modify_index << 32))
            }
            Self::Alloc { index, alloc } => {
                mix(mix(24, *index), alloc.as_ref().map_or(u64::MAX, |alloc| u64::from(alloc.id.0)))
            }
            Self::Done { index } => mix(25, *index),
            Self::Operated { index, eval } => mix(mix(26, *index), eval.map_or(u64::MAX, |eval| u64::from(eval.0))),
            Self::Dequeued(body) => mix(mix(27, u64::from(body.eval.id.0)), body.token.0 ^ body.wait_index),
            Self::Nothing => 28,
            Self::Planned(body) => mix(mix(29, body.index), body.refresh_index.unwrap_or(0)),
            Self::Written { index, evals } => mix(mix(30, *index), evals.len() as u64),
            Self::Failed(error) => mix(31, error.number()),
        }
    }
}

impl RpcError {
    fn number(self) -> u64 {
        match self {
            Self::NoLeader => 0,
            Self::NotReady => 1,
            Self::NoPath => 2,
            Self::Lost => 3,
            Self::UnknownNode => 4,
            Self::UnknownJob => 5,
            Self::UnknownGroup => 6,
            Self::UnknownAlloc => 7,
            Self::DeploymentActive => 8,
            Self::BrokerDisabled => 9,
            Self::PlanQueueDisabled => 10,
            Self::Flushed => 11,
            Self::StateTimeout => 12,
            Self::NotCommitted => 13,
            Self::UnsupportedKind => 16,
            Self::UnknownDeployment => 17,
            Self::DeploymentTerminal => 18,
            Self::PriorityOutOfRange => 19,
            Self::NotPeriodic => 20,
            Self::NotTracked => 21,
            Self::NotEvaluated => 22,
            Self::SilentNode => 23,
            Self::RegistrationsRejected => 24,
            Self::UnknownSwitch => 25,
            Self::UnknownVersion => 26,
            Self::NodeDraining => 27,
            Self::Dispatch(error) => 128 + error.number(),
            Self::Refused(refusal) => 64 + refusal.number(),
            Self::Broker(BrokerError::NotOutstanding) => 14,
            Self::Broker(BrokerError::TokenMismatch) => 15,
        }
    }
}

impl Travels for Message {
    fn channel(&self) -> Channel {
        Channel::Stream
    }

    fn bytes(&self) -> u32 {
        match self {
            Self::Request { request, .. } => request.bytes(),
            Self::Reply { reply, .. } => reply.bytes(),
            Self::Ping | Self::Pong => 12,
        }
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Request { call, request } => mix(request.fingerprint(), u64::from(call.0)),
            Self::Reply { call, reply } => mix(reply.fingerprint(), u64::from(call.0)),
            Self::Ping => 40,
            Self::Pong => 41,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { call, request } => write!(f, "{request} #{}", call.0),
            Self::Reply { call, reply } => write!(f, "{reply} #{}", call.0),
            Self::Ping => f.write_str("Ping"),
            Self::Pong => f.write_str("Pong"),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heartbeat { node } => write!(f, "Heartbeat {node}"),
            Self::Register(body) => write!(f, "Register {} {:?}", body.node, body.status),
            Self::ClientAllocs { node, min_index } => write!(f, "ClientAllocs {node} after={min_index}"),
            Self::Allocs(body) => write!(f, "Allocs {:?} at={}", body.ids, body.min_index),
            Self::Alloc { alloc, min_index } => write!(f, "Alloc {alloc} after={min_index}"),
            Self::UpdateAllocs(updates) => write!(f, "UpdateAllocs n={}", updates.len()),
            Self::Operate { region, operation } => write!(f, "Operate {region} {operation}"),
            Self::Dequeue => f.write_str("Dequeue"),
            Self::Ack { eval, .. } => write!(f, "Ack {eval}"),
            Self::Nack { eval, .. } => write!(f, "Nack {eval}"),
            Self::SubmitPlan(body) => write!(f, "SubmitPlan {}", body.eval),
            Self::WriteEvals(body) => write!(f, "WriteEvals {} n={}", body.eval, body.evals.len()),
            Self::Reap(command) => write!(f, "Reap {}", command.kind()),
            Self::Reblock(body) => write!(f, "Reblock {}", body.eval),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beat { ttl, .. } => write!(f, "Beat ttl={ttl}"),
            Self::ClientAllocs(list) => write!(f, "ClientAllocs index={} n={}", list.index, list.allocs.len()),
            Self::Allocs(allocs) => write!(f, "Allocs n={}", allocs.len()),
            Self::Alloc { index, alloc } => write!(f, "Alloc index={index} found={}", alloc.is_some()),
            Self::Done { index } => write!(f, "Done index={index}"),
            Self::Operated { index, .. } => write!(f, "Operated index={index}"),
            Self::Dequeued(body) => write!(f, "Dequeued {} wait={}", body.eval.id, body.wait_index),
            Self::Nothing => f.write_str("Nothing"),
            Self::Planned(body) => write!(f, "Planned index={} refresh={:?}", body.index, body.refresh_index),
            Self::Written { index, evals } => write!(f, "Written index={index} n={}", evals.len()),
            Self::Failed(error) => write!(f, "Failed: {error}"),
        }
    }
}

fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX / 8_192)
}

/// One round of multiply and rotate: cheap, and enough for a digest that hashes again.
pub(super) fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(23) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_small() {
        assert!(size_of::<Message>() <= 40, "{}", size_of::<Message>());
        assert!(size_of::<Request>() <= 24, "{}", size_of::<Request>());
        assert!(size_of::<Reply>() <= 24, "{}", size_of::<Reply>());
    }
}
