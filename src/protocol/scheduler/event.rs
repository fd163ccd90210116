//! What a Nomad server tells its container: entries for the log, and what happened, for metrics and observers.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::deployment::Deployment;
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::job::{Job, JobId};
use crate::model::node::{Node, NodeId, NodeStatus};
use crate::protocol::scheduler::command::{Command, SchedulerSwitches};
use crate::protocol::scheduler::explain::Selection;
use crate::protocol::scheduler::message::Reply;
use crate::protocol::scheduler::plan::{Rejection, Stop};

/// Names a log entry between proposal and commit; unique on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal(pub u32);

/// Names an operator's command given by method call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorTag(pub u32);

/// Told to the container. Apart from the first two and explanations, only the leader speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Hand this to Raft; answer with `applied` or `propose_failed`.
    Propose {
        /// Under this name.
        proposal: Proposal,
        /// The entry.
        command: Arc<Command>,
    },
    /// The answer to a command given by [`super::server::Server::operate`].
    Operated {
        /// Which.
        tag: OperatorTag,
        /// The answer.
        reply: Reply,
    },
    /// Leadership is established: the server does Nomad's work. How long it took since Raft's election.
    LeaderEstablished {
        /// Since `leadership_gained`.
        after: Duration,
    },
    /// Establishing leadership failed: Raft is asked to let another server lead.
    StepDown,
    /// The leader's autopilot is to look at the servers (every 2 s).
    AutopilotDue,
    /// Leadership, established or not, is over.
    LeadershipRevoked,
    /// A node's heartbeat timer ran out.
    HeartbeatMissed {
        /// Which.
        node: NodeId,
    },
    /// An evaluation entered the broker.
    EvalEnqueued {
        /// Which.
        eval: Arc<Evaluation>,
    },
    /// A worker got an evaluation.
    EvalDequeued {
        /// Which.
        eval: Arc<Evaluation>,
        /// Time since it became ready.
        waited: Duration,
    },
    /// A worker finished an evaluation.
    EvalAcked {
        /// Which.
        eval: EvalId,
    },
    /// A worker gave an evaluation back, or did not answer in time.
    EvalNacked {
        /// Which.
        eval: EvalId,
        /// The nack timer ran out.
        timeout: bool,
    },
    /// Evaluations waiting for capacity: all, and those that escaped the classes.
    BlockedCount {
        /// All.
        total: usize,
        /// Of them escaped.
        escaped: usize,
    },
    /// A worker of this server made these selections for an evaluation; only if they are to be explained.
    Explained {
        /// Which.
        eval: Arc<Evaluation>,
        /// In order; often none.
        selections: Arc<[Selection]>,
    },
    /// A plan entered the queue.
    PlanSubmitted {
        /// Of this evaluation.
        eval: EvalId,
        /// Plans in the queue now.
        depth: usize,
    },
    /// A plan was verified.
    PlanEvaluated {
        /// Of this evaluation.
        eval: EvalId,
        /// Nodes it touched.
        nodes: usize,
        /// Nodes that rejected their part, ascending, and why.
        rejected: Vec<(NodeId, Rejection)>,
        /// Time since it entered the queue.
        waited: Duration,
    },
    /// A plan's result is committed.
    PlanApplied {
        /// Of this evaluation.
        eval: EvalId,
        /// At this Raft index.
        index: u64,
    },
    /// Part of a committed entry. Told while this server leads, established or not: after a change of leaders an entry
    /// may be told again by the new one, and whoever listens skips indexes it has seen from another server.
    Committed {
        /// The entry's Raft index.
        index: u64,
        /// What it changed.
        change: Change,
    },
}

/// What a committed entry changed. Stops and preemptions of a plan come before its placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node registered, changed status, or became ineligible by a plan.
    Node {
        /// As written.
        node: Arc<Node>,
        /// What it was before; `None` when it is new.
        before: Option<NodeStatus>,
    },
    /// An allocation was placed.
    Placed {
        /// As written.
        alloc: Arc<Alloc>,
        /// When the evaluation that placed it was created.
        requested: Time,
    },
    /// An allocation was changed in place by a plan.
    Updated {
        /// As written.
        alloc: Arc<Alloc>,
    },
    /// A plan stopped an allocation.
    Stopped {
        /// Which, where, why.
        stop: Stop,
    },
    /// A plan pushed an allocation out.
    Preempted {
        /// Which.
        alloc: AllocId,
        /// Where it is.
        node: NodeId,
    },
    /// A client's report of an allocation, or what an operator said of its health.
    Reported {
        /// Which.
        alloc: AllocId,
        /// What it says.
        status: ClientStatus,
        /// Health within its deployment, once decided.
        healthy: Option<bool>,
    },
    /// An evaluation was written to be worked on, or to wait for capacity.
    EvalWritten {
        /// As written.
        eval: Arc<Evaluation>,
    },
    /// An evaluation was written in a terminal status.
    EvalEnded {
        /// As written.
        eval: Arc<Evaluation>,
        /// Its job is purged, so that nothing is queued whatever it says.
        purged: bool,
    },
    /// A version of a job was registered, or the job was stopped or purged.
    Job {
        /// Which.
        id: JobId,
        /// As written; `None` after a purge.
        job: Option<Arc<Job>>,
    },
    /// A deployment was created, promoted, or has another status.
    Deployment {
        /// As written.
        deployment: Arc<Deployment>,
    },
    /// Operators switched something.
    Switched {
        /// What holds from now on.
        switches: SchedulerSwitches,
    },
}
