//! Evaluations: requests to the scheduler to look at a job (Nomad `Evaluation`).

use std::fmt;
use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::deployment::DeploymentId;
use crate::model::job::{JobId, JobKind};
use crate::model::node::NodeId;

crate::id!(
    /// An evaluation of one region. Dense: given when the entry that creates it is applied.
    EvalId,
    "e"
);

impl EvalId {
    /// Stands in log entries for an evaluation that gets its number when the entry is applied.
    pub const NEW: Self = Self(u32::MAX);

    /// Number `count` of the core evaluations, which live in the leader's memory only and are never written.
    pub const fn core(count: u32) -> Self {
        Self(CORE_FIRST | (count % CORE_COUNT))
    }

    /// Whether it is that of a core evaluation.
    pub const fn is_core(self) -> bool {
        CORE_FIRST <= self.0 && self.0 < CORE_FIRST + CORE_COUNT
    }
}

const CORE_FIRST: u32 = 0xFFE0_0000;
const CORE_COUNT: u32 = 0x0010_0000;

/// What the servers look after themselves (Nomad's jobs of type `_core`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of Nomad's core jobs")]
pub enum CoreJob {
    EvalGc,
    NodeGc,
    JobGc,
    DeploymentGc,
    ForceGc,
}

/// Priority of core evaluations: before everything else (Nomad `CoreJobPriority`).
const CORE_PRIORITY: u8 = 200;

/// Triggers and their texts, so that a new one cannot be left out of a list of all.
macro_rules! triggers {
    ($($trigger:ident = $text:literal),+ $(,)?) => {
        /// Why an evaluation exists.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names are Nomad's trigger texts")]
        pub enum Trigger {
            $($trigger),+
        }

        impl Trigger {
            /// Every trigger.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$trigger),+];
        }

        impl fmt::Display for Trigger {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$trigger => $text),+
                })
            }
        }
    };
}

triggers! {
    JobRegister = "job-register",
    JobDeregister = "job-deregister",
    PeriodicJob = "periodic-job",
    NodeDrain = "node-drain",
    NodeUpdate = "node-update",
    AllocStop = "alloc-stop",
    RollingUpdate = "rolling-update",
    DeploymentWatcher = "deployment-watcher",
    FailedFollowUp = "failed-follow-up",
    MaxPlanAttempts = "max-plan-attempts",
    AllocFailure = "alloc-failure",
    QueuedAllocs = "queued-allocs",
    Preemption = "preemption",
    JobScaling = "job-scaling",
    Scheduled = "scheduled",
    MaxDisconnectTimeout = "max-disconnect-timeout",
    Reconnect = "reconnect",
}

/// Where an evaluation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvalStatus {
    /// Waiting for a worker, or being worked on.
    Pending,
    /// Waiting for capacity.
    Blocked,
    /// Done.
    Complete,
    /// Given up.
    Failed,
    /// Superseded.
    Canceled,
}

/// Why a group could not be placed: the record of the last selection pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedGroup {
    /// Nodes the source handed out.
    pub nodes_evaluated: u32,
    /// Nodes rejected by a constraint.
    pub nodes_filtered: u32,
    /// Nodes that were feasible but full.
    pub nodes_exhausted: u32,
    /// Count by constraint text.
    pub constraint_filtered: OrdMap<String, u32>,
    /// Count by exhausted dimension.
    pub dimension_exhausted: OrdMap<String, u32>,
    /// Filtered nodes by node class, where they have one.
    pub class_filtered: OrdMap<Arc<str>, u32>,
    /// Exhausted nodes by node class, where they have one.
    pub class_exhausted: OrdMap<Arc<str>, u32>,
    /// Ready nodes by datacenter of the job.
    pub nodes_available: OrdMap<Arc<str>, u32>,
    /// Further failures of the same group in the same pass.
    pub coalesced_failures: u32,
}

/// A request to look at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Which; meaningless until applied (see [`EvalId`]).
    pub id: EvalId,
    /// 1..=100; 200 for core evaluations.
    pub priority: u8,
    /// Which scheduler, unless it is a core evaluation.
    pub kind: JobKind,
    /// The servers' own work it is about, instead of a job (type `_core`).
    pub core: Option<CoreJob>,
    /// Why.
    pub trigger: Trigger,
    /// The job.
    pub job: JobId,
    /// The node that changed, for node updates and per-node system evaluations.
    pub node: Option<NodeId>,
    /// The deployment that progressed.
    pub deployment: Option<DeploymentId>,
    /// Where it stands.
    pub status: EvalStatus,
    /// Relative wait before it becomes ready; zero for none.
    pub wait: Duration,
    /// Absolute time before which it is not ready.
    pub wait_until: Option<Time>,
    /// The evaluation that created it.
    pub previous: Option<EvalId>,
    /// The evaluation created to follow it.
    pub next: Option<EvalId>,
    /// The blocked evaluation created for what could not be placed.
    pub blocked: Option<EvalId>,
    /// Groups not placed, and why; by group name.
    pub failed_groups: OrdMap<Arc<str>, Arc<FailedGroup>>,
    /// Computed classes found eligible or not, for unblocking.
    pub class_eligibility: OrdMap<u64, bool>,
    /// A constraint escaped the classes: any new capacity may help.
    pub escaped: bool,
    /// Placements still wanted, by group name.
    pub queued: OrdMap<Arc<str>, u32>,
    /// Index of the state it was first processed with.
    pub snapshot_index: u64,
    /// Raft index of creation.
    pub create_index: u64,
    /// Raft index of the last change.
    pub modify_index: u64,
    /// When it was created.
    pub create_time: Time,
}

impl Evaluation {
    /// A pending evaluation of a job, not yet written.
    pub fn new(job: &crate::model::job::Job, trigger: Trigger, now: Time) -> Self {
        Self {
            id: EvalId::NEW,
            priority: job.priority,
            kind: job.kind,
            core: None,
            trigger,
            job: job.id,
            node: None,
            deployment: None,
            status: EvalStatus::Pending,
            wait: Duration::ZERO,
            wait_until: None,
            previous: None,
            next: None,
            blocked: None,
            failed_groups: OrdMap::new(),
            class_eligibility: OrdMap::new(),
            escaped: false,
            queued: OrdMap::new(),
            snapshot_index: 0,
            create_index: 0,
            modify_index: 0,
            create_time: now,
        }
    }

    /// A core evaluation, for the broker only; whoever takes it waits for state `index`.
    pub fn core(id: EvalId, core: CoreJob, index: u64, now: Time) -> Self {
        Self {
            id,
            priority: CORE_PRIORITY,
            kind: JobKind::Service,
            core: Some(core),
            trigger: Trigger::Scheduled,
            job: JobId(u32::MAX - core as u32),
            node: None,
            deployment: None,
            status: EvalStatus::Pending,
            wait: Duration::ZERO,
            wait_until: None,
            previous: None,
            next: None,
            blocked: None,
            failed_groups: OrdMap::new(),
            class_eligibility: OrdMap::new(),
            escaped: false,
            queued: OrdMap::new(),
            snapshot_index: 0,
            create_index: index,
            modify_index: index,
            create_time: now,
        }
    }

    /// Complete, failed or canceled.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status, EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled)
    }
}
