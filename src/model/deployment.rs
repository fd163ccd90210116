//! Deployments: the roll-out of one job version (Nomad `Deployment`).

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::alloc::AllocId;
use crate::model::job::JobId;

crate::id!(
    /// A deployment of one region.
    DeploymentId,
    "d"
);

impl DeploymentId {
    /// Stands in plans and log entries for a deployment that gets its number when the entry is applied.
    pub const NEW: Self = Self(u32::MAX);
}

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeploymentStatus {
    /// Going on.
    Running,
    /// Halted by an operator.
    Paused,
    /// Not healthy in time.
    Failed,
    /// Done.
    Successful,
    /// Superseded or its job stopped.
    Cancelled,
}

/// Progress of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentGroup {
    /// Go back to the last stable version on failure.
    pub auto_revert: bool,
    /// Promote by itself once all canaries are healthy.
    pub auto_promote: bool,
    /// Time allowed without progress; zero means none.
    pub progress_deadline: Duration,
    /// When progress must be made by.
    pub require_progress_by: Option<Time>,
    /// Canaries were promoted.
    pub promoted: bool,
    /// Canaries placed.
    pub placed_canaries: Vec<AllocId>,
    /// Canaries wanted.
    pub desired_canaries: u32,
    /// Allocations wanted.
    pub desired_total: u32,
    /// Allocations placed.
    pub placed: u32,
    /// Allocations found healthy.
    pub healthy: u32,
    /// Allocations found unhealthy.
    pub unhealthy: u32,
}

/// The roll-out of one job version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Which.
    pub id: DeploymentId,
    /// Of which job.
    pub job: JobId,
    /// Which version.
    pub job_version: u64,
    /// Creation index of the job, telling incarnations apart.
    pub job_create_index: u64,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Progress by group name.
    pub groups: OrdMap<Arc<str>, DeploymentGroup>,
    /// Raft index of creation.
    pub create_index: u64,
    /// Raft index of the last change.
    pub modify_index: u64,
}

impl Deployment {
    /// Not failed, successful or cancelled.
    pub fn is_active(&self) -> bool {
        matches!(self.status, DeploymentStatus::Running | DeploymentStatus::Paused)
    }
}
