//! What operators ask of a region's servers, as the command line and the API let them.

use std::fmt;
use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::model::alloc::AllocId;
use crate::model::deployment::DeploymentId;
use crate::model::job::{Job, JobId};
use crate::model::node::{Eligibility, NodeId};
use crate::protocol::scheduler::message::mix;

/// What an operator can do to a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `nomad job run`.
    RegisterJob(Arc<Job>),
    /// `nomad job stop`.
    DeregisterJob {
        /// Which.
        job: JobId,
        /// `-purge`.
        purge: bool,
    },
    /// `nomad job scale`. Refused while a deployment of the job is active.
    ScaleJob {
        /// Which.
        job: JobId,
        /// Which group.
        group: Arc<str>,
        /// How many instances.
        count: u32,
    },
    /// `nomad job revert`: an older version is registered as a new one.
    RevertJob {
        /// Which.
        job: JobId,
        /// To which version; `None` is the one before the current.
        version: Option<u64>,
    },
    /// `nomad job eval`.
    EvaluateJob(JobId),
    /// `nomad job eval -force-reschedule`: failed allocations that were not replaced are replaced at once.
    RescheduleFailed(JobId),
    /// The API's node evaluation: every job concerned by the node is looked at.
    EvaluateNode(NodeId),
    /// `-eval-priority`: registers or deregisters with another priority of the evaluation (1.1.10 and 1.2.4, GH-11532).
    EvalPriority {
        /// In 1..=100.
        priority: u8,
        /// What it goes with.
        of: Arc<Operation>,
    },
    /// `nomad alloc stop`.
    StopAlloc(AllocOf),
    /// `nomad node drain`.
    Drain {
        /// Which node.
        node: NodeId,
        /// Time given; zero drains at once, `None` waits for ever. The command line's default is 1 h.
        deadline: Option<Duration>,
        /// Leave system jobs running.
        ignore_system_jobs: bool,
    },
    /// `nomad node drain -disable`.
    CancelDrain {
        /// Which node.
        node: NodeId,
        /// Without `-keep-ineligible`.
        mark_eligible: bool,
    },
    /// `nomad deployment promote`.
    Promote {
        /// Which.
        deployment: DeploymentOf,
        /// Only these groups; none means all.
        groups: Vec<Arc<str>>,
    },
    /// `nomad deployment pause`.
    Pause(DeploymentOf),
    /// `nomad deployment resume`.
    Resume(DeploymentOf),
    /// `nomad deployment fail`.
    Fail(DeploymentOf),
    /// The API's health of allocations of a deployment.
    SetHealth {
        /// Which.
        deployment: DeploymentOf,
        /// Found healthy.
        healthy: Vec<AllocOf>,
        /// Found unhealthy.
        unhealthy: Vec<AllocOf>,
    },
    /// `nomad job periodic force`.
    ForceLaunch(JobId),
    /// `nomad job dispatch`.
    Dispatch {
        /// Which parameterized job.
        job: JobId,
        /// Metadata of the child, over that of the job.
        meta: OrdMap<String, String>,
        /// Size of the payload; zero for none.
        payload_bytes: u32,
    },
    /// The broker hands nothing out from now on, or goes on (`pause_eval_broker`, from 1.3.2 on).
    PauseBroker(bool),
    /// Jobs are not registered, dispatched or scaled from now on, or are again (`reject_job_registration`, from 1.1.10
    /// and 1.2.4 on).
    RejectRegistrations(bool),
    /// `nomad system gc`: everything that can go is forgotten, whatever its age.
    CollectGarbage,
    /// `nomad node eligibility`. A draining node is not made eligible.
    Eligibility {
        /// Which node.
        node: NodeId,
        /// Whether it may receive allocations.
        eligibility: Eligibility,
    },
}

/// Which deployment an operator means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentOf {
    /// The one of this number.
    Number(DeploymentId),
    /// The newest one of a job.
    Job(JobId),
}

/// Which allocation an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllocOf {
    /// The one of this number.
    Number(AllocId),
    /// The newest one of this name that is to run: what the operator would look up before the command.
    Name {
        /// Of which job.
        job: JobId,
        /// Of which group.
        group: Arc<str>,
        /// The number in its name.
        index: u32,
    },
}

impl AllocOf {
    fn number(&self) -> u64 {
        match self {
            Self::Number(id) => u64::from(id.0),
            Self::Name { job, index, .. } => mix(u64::from(job.0), 1 << 32 | u64::from(*index)),
        }
    }
}

impl fmt::Display for AllocOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Name { job, group, index } => write!(f, "{job}.{group}[{index}]"),
        }
    }
}

impl DeploymentOf {
    fn number(self) -> u64 {
        match self {
            Self::Number(id) => u64::from(id.0),
            Self::Job(id) => 1 << 32 | u64::from(id.0),
        }
    }
}

impl fmt::Display for DeploymentOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Job(id) => write!(f, "the newest deployment of {id}"),
        }
    }
}

impl Operation {
    /// Mixes what is asked into a digest.
    pub fn fingerprint(&self) -> u64 {
        match self {
            Self::RegisterJob(job) => mix(1, u64::from(job.id.0) ^ (job.groups.len() as u64) << 32),
            Self::DeregisterJob { job, purge } => mix(2, u64::from(job.0) ^ u64::from(*purge) << 32),
            Self::ScaleJob { job, count, .. } => mix(3, u64::from(job.0) ^ u64::from(*count) << 32),
            Self::RevertJob { job, version } => mix(mix(22, u64::from(job.0)), version.unwrap_or(u64::MAX)),
            Self::EvaluateJob(job) => mix(4, u64::from(job.0)),
            Self::CollectGarbage => 17,
            Self::PauseBroker(paused) => mix(20, u64::from(*paused)),
            Self::RejectRegistrations(rejected) => mix(21, u64::from(*rejected)),
            Self::ForceLaunch(job) => mix(18, u64::from(job.0)),
            Self::Dispatch { job, meta, payload_bytes } => {
                mix(mix(19, u64::from(job.0) ^ u64::from(*payload_bytes) << 32), meta.len() as u64)
            }
            Self::RescheduleFailed(job) => mix(8, u64::from(job.0)),
            Self::EvaluateNode(node) => mix(9, u64::from(node.0)),
            Self::EvalPriority { priority, of } => mix(mix(10, u64::from(*priority)), of.fingerprint()),
            Self::CancelDrain { node, mark_eligible } => mix(11, u64::from(node.0) ^ u64::from(*mark_eligible) << 32),
            Self::Promote { deployment, groups } => mix(mix(12, deployment.number()), groups.len() as u64),
            Self::Pause(deployment) => mix(13, deployment.number()),
            Self::Resume(deployment) => mix(14, deployment.number()),
            Self::Fail(deployment) => mix(15, deployment.number()),
            Self::SetHealth { deployment, healthy, unhealthy } => {
                let hash = healthy.iter().fold(mix(16, deployment.number()), |hash, alloc| mix(hash, alloc.number()));
                unhealthy.iter().fold(mix(hash, 0), |hash, alloc| mix(hash, alloc.number()))
            }
            Self::StopAlloc(alloc) => mix(5, alloc.number()),
            Self::Drain { node, deadline, ignore_system_jobs } => {
                let deadline = deadline.map_or(u64::MAX, Duration::as_nanos);
                mix(mix(7, u64::from(node.0) ^ u64::from(*ignore_system_jobs) << 32), deadline)
            }
            Self::Eligibility { node, eligibility } => mix(6, u64::from(node.0) ^ (*eligibility as u64) << 32),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegisterJob(job) => write!(f, "register {}", job.id),
            Self::DeregisterJob { job, purge } => write!(f, "deregister {job} purge={purge}"),
            Self::ScaleJob { job, group, count } => write!(f, "scale {job} {group} to {count}"),
            Self::RevertJob { job, version: Some(version) } => write!(f, "revert {job} to version {version}"),
            Self::RevertJob { job, version: None } => write!(f, "revert {job}"),
            Self::EvaluateJob(job) => write!(f, "evaluate {job}"),
            Self::ForceLaunch(job) => write!(f, "launch {job}"),
            Self::Dispatch { job, .. } => write!(f, "dispatch {job}"),
            Self::PauseBroker(paused) => write!(f, "pause broker {paused}"),
            Self::RejectRegistrations(rejected) => write!(f, "reject registrations {rejected}"),
            Self::CollectGarbage => f.write_str("collect garbage"),
            Self::RescheduleFailed(job) => write!(f, "reschedule {job}"),
            Self::EvaluateNode(node) => write!(f, "evaluate {node}"),
            Self::EvalPriority { priority, of } => write!(f, "{of} at {priority}"),
            Self::CancelDrain { node, .. } => write!(f, "end drain of {node}"),
            Self::Promote { deployment, .. } => write!(f, "promote {deployment}"),
            Self::Pause(deployment) => write!(f, "pause {deployment}"),
            Self::Resume(deployment) => write!(f, "resume {deployment}"),
            Self::Fail(deployment) => write!(f, "fail {deployment}"),
            Self::SetHealth { deployment, .. } => write!(f, "set health of {deployment}"),
            Self::StopAlloc(alloc) => write!(f, "stop {alloc}"),
            Self::Drain { node, .. } => write!(f, "drain {node}"),
            Self::Eligibility { node, eligibility } => write!(f, "{node} {eligibility:?}"),
        }
    }
}
