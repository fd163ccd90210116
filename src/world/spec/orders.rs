//! What operators ask for.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::model::node::Eligibility;

/// A group by its job's name and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what their names say")]
pub struct GroupOf {
    pub job: Arc<str>,
    pub group: Arc<str>,
}

/// What operators ask of a region's servers. Jobs are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// An older version is registered again; `None` is the one before the current.
    RevertJob {
        /// Which job.
        job: Arc<str>,
        /// To which version.
        version: Option<u64>,
    },
    /// The job is evaluated.
    EvaluateJob {
        /// Which.
        job: Arc<str>,
        /// Failed allocations that were not replaced are replaced at once.
        force_reschedule: bool,
    },
    /// Canaries of the job's newest deployment are promoted.
    PromoteDeployment {
        /// Of which job.
        job: Arc<str>,
        /// Only these groups; none means all.
        groups: Vec<Arc<str>>,
    },
    /// The newest deployment of the job is paused.
    PauseDeployment(Arc<str>),
    /// It goes on.
    ResumeDeployment(Arc<str>),
    /// It fails.
    FailDeployment(Arc<str>),
    /// A periodic job is launched out of turn.
    ForceLaunch(Arc<str>),
    /// A parameterized job is dispatched.
    Dispatch {
        /// Which.
        job: Arc<str>,
        /// Metadata of the children.
        meta: OrdMap<String, String>,
        /// Size of the payload; zero for none.
        payload_bytes: u32,
        /// How often, one after the other.
        count: u32,
    },
    /// An allocation is stopped, to be replaced.
    StopAlloc(GroupOf, u32),
    /// Allocations of the job's newest deployment are found healthy, and others unhealthy, by their numbers.
    SetHealth(GroupOf, [Vec<u32>; 2]),
    /// Everything that can go is forgotten.
    CollectGarbage,
    /// The broker hands nothing out, or goes on.
    PauseBroker(bool),
    /// Registrations are rejected, or taken again.
    RejectRegistrations(bool),
}

impl Order {
    /// The job it is about.
    pub fn job(&self) -> Option<&Arc<str>> {
        match self {
            Self::RevertJob { job, .. }
            | Self::EvaluateJob { job, .. }
            | Self::PromoteDeployment { job, .. }
            | Self::PauseDeployment(job)
            | Self::ResumeDeployment(job)
            | Self::FailDeployment(job)
            | Self::ForceLaunch(job)
            | Self::StopAlloc(GroupOf { job, .. }, _)
            | Self::SetHealth(GroupOf { job, .. }, _)
            | Self::Dispatch { job, .. } => Some(job),
            Self::CollectGarbage | Self::PauseBroker(_) | Self::RejectRegistrations(_) => None,
        }
    }
}

/// What operators do to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeDeed {
    /// Its work moves elsewhere.
    Drain {
        /// Time given; zero takes everything at once, `None` waits for ever.
        deadline: Option<Duration>,
        /// System jobs stay.
        ignore_system_jobs: bool,
    },
    /// A drain is taken back.
    CancelDrain {
        /// It may receive allocations again.
        mark_eligible: bool,
    },
    /// Whether it may receive allocations.
    Eligibility(Eligibility),
    /// Every job concerned by it is evaluated.
    Evaluate,
}
