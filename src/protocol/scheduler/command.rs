//! What the servers write to their log, and what applying an entry tells the leader (Nomad `FSM`).

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::alloc::{AllocId, ClientStatus, Transition};
use crate::model::deployment::{DeploymentId, DeploymentStatus};
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::job::{Job, JobId};
use crate::model::node::{DrainStrategy, Eligibility, NodeId, NodeSpec, NodeStatus};
use crate::protocol::scheduler::plan::PlanResult;

/// A log entry of the servers. Times are the leader's when it proposed the entry.
///
/// Evaluations whose number is [`EvalId::NEW`] are created, others overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Leader barrier; changes nothing.
    Noop,
    /// The region's scheduler configuration changes.
    SchedulerConfig(SchedulerSwitches),
    /// A client registers, for the first time or again. Eligibility and drain are kept.
    RegisterNode {
        /// Which.
        id: NodeId,
        /// What it is.
        spec: Arc<NodeSpec>,
        /// The status it registers with.
        status: NodeStatus,
    },
    /// Nodes are forgotten (garbage collection).
    DeregisterNodes(Vec<NodeId>),
    /// A node's status changes.
    NodeStatus {
        /// Which.
        id: NodeId,
        /// To what.
        status: NodeStatus,
    },
    /// A node may or may not receive allocations.
    NodeEligibility {
        /// Which.
        id: NodeId,
        /// To what.
        eligibility: Eligibility,
    },
    /// A drain starts (the node becomes ineligible) or ends (it stays so unless `mark_eligible`).
    NodeDrain {
        /// Which.
        id: NodeId,
        /// How it is drained from now on; `None` ends the drain.
        strategy: Option<DrainStrategy>,
        /// Make it eligible when the drain is taken away.
        mark_eligible: bool,
    },
    /// A job is registered, or registered again.
    RegisterJob {
        /// Its specification; version and indexes are set when applied.
        job: Arc<Job>,
        /// The evaluation that goes with it.
        eval: Option<Box<Evaluation>>,
        /// When.
        time: Time,
    },
    /// A job is stopped.
    DeregisterJob {
        /// Which.
        id: JobId,
        /// Forget the job at once.
        purge: bool,
        /// The evaluation that goes with it.
        eval: Option<Box<Evaluation>>,
    },
    /// Evaluations are created or changed.
    UpsertEvals(Vec<Evaluation>),
    /// A verified plan.
    Plan(Arc<PlanResult>),
    /// Clients report.
    ClientUpdate {
        /// What they say.
        updates: Vec<AllocUpdate>,
        /// Evaluations for failed allocations.
        evals: Vec<Evaluation>,
        /// When.
        time: Time,
    },
    /// Wishes attached to allocations by the drainer, the deployment watcher or an operator.
    Transitions {
        /// Which allocations, and what is wished; wishes add up.
        transitions: Vec<(AllocId, Transition)>,
        /// Evaluations that act on them.
        evals: Vec<Evaluation>,
    },
    /// A deployment's status changes.
    DeploymentStatus {
        /// What.
        update: DeploymentUpdate,
        /// The evaluation that acts on it.
        eval: Option<Box<Evaluation>>,
        /// A version of the job to register again (auto-revert).
        job: Option<Arc<Job>>,
    },
    /// Canaries are promoted.
    PromoteDeployment {
        /// Which.
        id: DeploymentId,
        /// Only these groups; none means all.
        groups: Vec<Arc<str>>,
        /// The evaluation that acts on it.
        eval: Option<Box<Evaluation>>,
        /// When.
        time: Time,
    },
    /// Health of allocations set by an operator.
    AllocHealth {
        /// The deployment.
        id: DeploymentId,
        /// Found healthy.
        healthy: Vec<AllocId>,
        /// Found unhealthy.
        unhealthy: Vec<AllocId>,
        /// A status change that goes with it.
        update: Option<DeploymentUpdate>,
        /// A version of the job to register again (auto-revert).
        job: Option<Arc<Job>>,
        /// The evaluation that acts on it.
        eval: Option<Box<Evaluation>>,
        /// When.
        time: Time,
    },
    /// Garbage collection.
    Reap {
        /// Evaluations to forget.
        evals: Vec<EvalId>,
        /// Allocations to forget.
        allocs: Vec<AllocId>,
        /// Deployments to forget.
        deployments: Vec<DeploymentId>,
        /// Jobs to forget.
        jobs: Vec<JobId>,
    },
}

/// The part of the scheduler configuration that operators switch while servers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerSwitches {
    /// The evaluation broker hands nothing out (`pause_eval_broker`). Default false.
    pub pause_broker: bool,
    /// Jobs are not registered, dispatched or scaled (`reject_job_registration`). Default false.
    pub reject_registrations: bool,
}

/// What a client reports of one allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocUpdate {
    /// Which.
    pub id: AllocId,
    /// Aggregated over its tasks.
    pub client: ClientStatus,
    /// When the last task finished; `None` while one may still run.
    pub finished_at: Option<Time>,
    /// Some task failed.
    pub task_failed: bool,
    /// Health within its deployment, with the time it was decided.
    pub health: Option<(bool, Time)>,
}

/// A new status of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentUpdate {
    /// Which.
    pub id: DeploymentId,
    /// To what.
    pub status: DeploymentStatus,
}

/// What applying an entry changed, as far as the leader's machines care.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The entry's index.
    pub index: u64,
    /// Evaluations as written, in the order of the entry: pending ones go to the broker, blocked ones to the tracker.
    pub evals: Vec<Arc<Evaluation>>,
    /// Blocked evaluations cancelled because their job's evaluation succeeded.
    pub canceled: Vec<Arc<Evaluation>>,
    /// Jobs with a fully successful evaluation: their blocked evaluations are no longer tracked.
    pub untracked: Vec<JobId>,
    /// Capacity that appeared, in order.
    pub unblocked: Vec<Unblock>,
    /// Allocations created, in the order of the plan.
    pub allocs: Vec<AllocId>,
    /// Nodes whose clients have allocation changes to fetch, ascending.
    pub notified: Vec<NodeId>,
    /// Allocations whose client status or health changed, in the order of the entry.
    pub reported: Vec<AllocId>,
    /// The deployment created.
    pub deployment: Option<DeploymentId>,
    /// Deployments that were created, promoted, or have another status.
    pub deployments: Vec<DeploymentId>,
    /// Deployments changed in any way, ascending.
    pub rollouts: Vec<DeploymentId>,
    /// Jobs with a new version, or purged.
    pub jobs: Vec<JobId>,
    /// The child of a job it registered.
    pub child: Option<JobId>,
    /// Why the entry changed nothing.
    pub refused: Option<Refusal>,
    /// Whether the entry changed anything beyond the indexes.
    pub changed: bool,
}

/// Why a committed entry changed nothing: what it is about was not as its proposer thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such deployment.
    #[error("deployment does not exist")]
    NoDeployment,
    /// The deployment is failed, successful or cancelled.
    #[error("deployment has terminal status")]
    DeploymentEnded,
    /// Fewer canaries of a group are healthy than it wants.
    #[error("task group has `{healthy}` of `{wanted}` healthy canaries")]
    UnhealthyCanaries {
        /// Healthy and not terminal.
        healthy: u32,
        /// As many as it wants.
        wanted: u32,
    },
    /// An allocation does not belong to the deployment.
    #[error("alloc is not part of the deployment")]
    ForeignAlloc,
    /// The node drains: it is not made eligible.
    #[error("can not set node's scheduling eligibility to eligible while it is draining")]
    NodeDraining,
}

impl Refusal {
    /// Tells refusals apart in digests.
    pub fn number(self) -> u64 {
        match self {
            Self::NoDeployment => 0,
            Self::DeploymentEnded => 1,
            Self::ForeignAlloc => 2,
            Self::NodeDraining => 4,
            Self::UnhealthyCanaries { healthy, wanted } => 3 | u64::from(healthy) << 8 | u64::from(wanted) << 32,
        }
    }
}

/// Capacity that appeared (Nomad `BlockedEvals.Unblock`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unblock {
    /// The class of the node.
    pub class: u64,
    /// The node, where system evaluations tied to it are unblocked too.
    pub node: Option<NodeId>,
}

impl Command {
    /// A plausible size of the encoded entry, in bytes.
    pub fn bytes(&self) -> u32 {
        let bytes = match self {
            Self::Noop => 16,
            Self::SchedulerConfig(_) => 192,
            Self::RegisterNode { .. } => 4_096,
            Self::NodeStatus { .. } | Self::NodeEligibility { .. } | Self::NodeDrain { .. } => 160,
            Self::DeregisterNodes(ids) => 64 + 36 * ids.len(),
            Self::RegisterJob { job, .. } => 1_024 + 2_048 * job.groups.len(),
            Self::DeregisterJob { .. } => 640,
            Self::UpsertEvals(evals) => 64 + EVAL_BYTES * evals.len(),
            Self::Plan(result) => result.bytes() as usize,
            Self::ClientUpdate { updates, evals, .. } => 64 + 1_024 * updates.len() + EVAL_BYTES * evals.len(),
            Self::Transitions { transitions, evals } => 64 + 64 * transitions.len() + EVAL_BYTES * evals.len(),
            Self::DeploymentStatus { .. } | Self::PromoteDeployment { .. } => 768,
            Self::AllocHealth { healthy, unhealthy, .. } => 512 + 36 * (healthy.len() + unhealthy.len()),
            Self::Reap { evals, allocs, deployments, jobs } => {
                64 + 36 * (evals.len() + allocs.len() + deployments.len() + jobs.len())
            }
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Mixes kind, size and the names of what changes, for digests.
    pub fn fingerprint(&self) -> u64 {
        let kind = self.kind().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        let about = match self {
            Self::Noop => 0,
            Self::SchedulerConfig(switches) => {
                u64::from(switches.pause_broker) | u64::from(switches.reject_registrations) << 1
            }
            Self::RegisterNode { id, .. } | Self::NodeEligibility { id, .. } | Self::NodeDrain { id, .. } => {
                u64::from(id.0)
            }
            Self::NodeStatus { id, status } => u64::from(id.0) << 2 | *status as u64,
            Self::DeregisterNodes(ids) => ids.iter().fold(1, |sum, id| fold(sum, id.0)),
            Self::RegisterJob { job, .. } => {
                job.groups.iter().fold(u64::from(job.id.0), |sum, group| fold(sum, group.count))
            }
            Self::DeregisterJob { id, .. } => u64::from(id.0),
            Self::UpsertEvals(evals) => {
                evals.iter().fold(2, |sum, eval| fold(fold(sum, eval.id.0), eval.status as u32))
            }
            Self::Plan(result) => result.fingerprint(),
            Self::ClientUpdate { updates, .. } => {
                updates.iter().fold(3, |sum, update| fold(fold(sum, update.id.0), update.client as u32))
            }
            Self::Transitions { transitions, .. } => transitions.iter().fold(4, |sum, (id, _)| fold(sum, id.0)),
            Self::DeploymentStatus { update, .. } => fold(u64::from(update.id.0), update.status as u32),
            Self::PromoteDeployment { id, .. } | Self::AllocHealth { id, .. } => u64::from(id.0),
            Self::Reap { evals, allocs, .. } => {
                let sum = evals.iter().fold(5, |sum, id| fold(sum, id.0));
                allocs.iter().fold(sum, |sum, id| fold(sum, id.0))
            }
        };
        kind.rotate_left(17) ^ about
    }

    /// The name Nomad's FSM timers give this kind of entry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::SchedulerConfig(_) => "apply_scheduler_config",
            Self::RegisterNode { .. } => "register_node",
            Self::DeregisterNodes(_) => "deregister_node",
            Self::NodeStatus { .. } => "node_status_update",
            Self::NodeEligibility { .. } => "node_eligibility_update",
            Self::NodeDrain { .. } => "node_drain_update",
            Self::RegisterJob { .. } => "register_job",
            Self::DeregisterJob { .. } => "deregister_job",
            Self::UpsertEvals(_) => "update_eval",
            Self::Plan(_) => "apply_plan_results",
            Self::ClientUpdate { .. } => "alloc_client_update",
            Self::Transitions { .. } => "alloc_update_desired_transition",
            Self::DeploymentStatus { .. } => "apply_deployment_status_update",
            Self::PromoteDeployment { .. } => "apply_deployment_promotion",
            Self::AllocHealth { .. } => "apply_deployment_alloc_health",
            Self::Reap { .. } => "delete_eval",
        }
    }
}

/// One step of a multiplicative mix; order matters.
pub(super) fn fold(sum: u64, value: u32) -> u64 {
    (sum.rotate_left(23) ^ u64::from(value)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Size of an encoded evaluation, in bytes.
const EVAL_BYTES: usize = 512;
