//! Allocations: one instance of a task group on one node (Nomad `Allocation`).

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::deployment::DeploymentId;
use crate::model::evaluation::EvalId;
use crate::model::job::{Job, JobId};
use crate::model::node::NodeId;
use crate::model::resources::{AssignedDevice, AssignedPort, Comparable};

crate::id!(
    /// An allocation of one region. Dense: given when the entry that creates it is applied, in log order, so every
    /// replica agrees.
    AllocId,
    "a"
);

impl AllocId {
    /// Stands in plans and log entries for an allocation that gets its number when the entry is applied.
    pub const NEW: Self = Self(u32::MAX);
}

/// What the servers want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    /// It should run.
    Run,
    /// It should stop.
    Stop,
    /// It was preempted.
    Evict,
}

/// What the client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientStatus {
    /// Not started.
    Pending,
    /// At least one task runs.
    Running,
    /// All tasks ended well.
    Complete,
    /// A task failed beyond its restart policy.
    Failed,
    /// The servers gave it up with its node.
    Lost,
    /// Its node is disconnected within `max_client_disconnect` (Nomad 1.3).
    Unknown,
}

/// Wishes other parts of the server attach to an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transition {
    /// The drainer or an operator wants it moved.
    pub migrate: bool,
    /// The deployment watcher allows a replacement.
    pub reschedule: bool,
    /// An operator wants a failed one replaced now.
    pub force_reschedule: bool,
}

/// Health within a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentHealth {
    /// `None` while undecided.
    pub healthy: Option<bool>,
    /// When it was decided.
    pub timestamp: Time,
    /// Placed as a canary.
    pub canary: bool,
    /// Raft index of the decision.
    pub modify_index: u64,
}

/// One past rescheduling of an allocation's ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RescheduleEvent {
    /// When.
    pub time: Time,
    /// Which allocation was replaced.
    pub previous: AllocId,
    /// On which node it had been.
    pub node: NodeId,
    /// After which delay.
    pub delay: Duration,
}

/// An allocation as the servers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alloc {
    /// Which.
    pub id: AllocId,
    /// The job it belongs to.
    pub job_id: JobId,
    /// The version of the job it was placed with.
    pub job: Arc<Job>,
    /// Index of the group in `job.groups`.
    pub group: u32,
    /// The number in its name `<job>.<group>[<index>]`.
    pub name_index: u32,
    /// Where.
    pub node: NodeId,
    /// The evaluation that placed or last updated it.
    pub eval: EvalId,
    /// The deployment it counts for.
    pub deployment: Option<DeploymentId>,
    /// What the servers want.
    pub desired: Desired,
    /// What the client says.
    pub client: ClientStatus,
    /// Attached wishes.
    pub transition: Transition,
    /// Health within its deployment.
    pub health: Option<DeploymentHealth>,
    /// What it holds.
    pub resources: Comparable,
    /// Ports it holds.
    pub ports: Vec<AssignedPort>,
    /// Devices it holds.
    pub devices: Vec<AssignedDevice>,
    /// The allocation it replaces.
    pub previous: Option<AllocId>,
    /// The allocation that replaces it.
    pub next: Option<AllocId>,
    /// A delayed evaluation that will replace it.
    pub followup_eval: Option<EvalId>,
    /// Allocations it pushed out.
    pub preempted: Vec<AllocId>,
    /// Who pushed it out.
    pub preempted_by: Option<AllocId>,
    /// Past reschedulings, oldest first.
    pub reschedules: Vec<RescheduleEvent>,
    /// When the last task finished, as the client reported it.
    pub finished_at: Option<Time>,
    /// Some task failed, as the client reported it.
    pub task_failed: bool,
    /// When it was first recorded lost (for `stop_after_client_disconnect`).
    pub lost_at: Option<Time>,
    /// When it was recorded unknown; taken away once the servers have made up their minds about its return.
    pub disconnected_at: Option<Time>,
    /// Final score of its node when it was placed, in billionths.
    pub score_nanos: i64,
    /// When it was placed.
    pub create_time: Time,
    /// When it last changed.
    pub modify_time: Time,
    /// Raft index of creation.
    pub create_index: u64,
    /// Raft index of the last change.
    pub modify_index: u64,
    /// Raft index of the last change by a server; what clients watch.
    pub alloc_modify_index: u64,
}

impl Alloc {
    /// Desired stop or evict, or client complete, failed or lost: holds no resources in the scheduler's eyes.
    pub fn is_terminal(&self) -> bool {
        self.is_server_terminal() || self.is_client_terminal()
    }

    /// The servers want it gone.
    pub fn is_server_terminal(&self) -> bool {
        self.desired != Desired::Run
    }

    /// The client is done with it.
    pub fn is_client_terminal(&self) -> bool {
        matches!(self.client, ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost)
    }

    /// All its tasks ended, and none failed.
    pub fn ran_successfully(&self) -> bool {
        self.finished_at.is_some() && !self.task_failed
    }

    /// The group it is an instance of.
    pub fn task_group(&self) -> &crate::model::job::TaskGroup {
        &self.job.groups[self.group as usize]
    }

    /// `<job>.<group>[<index>]`.
    pub fn name(&self) -> String {
        format!("{}.{}[{}]", self.job.name, self.task_group().name, self.name_index)
    }
}
