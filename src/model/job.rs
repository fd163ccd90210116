//! Jobs, task groups and tasks after canonicalisation (Nomad `Job`, `TaskGroup`, `Task`).

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::units::Mebibytes;
use crate::model::constraint::{Affinity, Constraint, Spread};
use crate::model::cron::Cron;
use crate::model::resources::{NetworkAsk, TaskResources};
use crate::model::service::Service;

crate::id!(
    /// A job of one region, by order of its first registration in the scenario. Names are in [`Job::name`].
    JobId,
    "j"
);

impl JobId {
    /// Stands in log entries for a child of a job: it gets its number when the entry is applied.
    pub const NEW: Self = Self(u32::MAX);
    /// Children of periodic and parameterized jobs are numbered from here; scenarios have fewer jobs.
    pub const CHILDREN: u32 = 1 << 20;
}

/// What makes a job run. Left out: jobs that are periodic and parameterized at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Launch {
    /// Its registration.
    #[default]
    Registration,
    /// The time: every launch is a child.
    Periodic(Periodic),
    /// A request: every dispatch is a child.
    Parameterized(Parameterized),
    /// It is a child, and runs as such.
    Child {
        /// Of this job.
        parent: JobId,
        /// Size of the payload it was dispatched with, in bytes.
        payload_bytes: u32,
    },
}

/// `periodic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periodic {
    /// When.
    pub cron: Cron,
    /// Seconds by which the clock of its time zone is ahead of UTC. Default 0. Daylight saving is left out.
    pub utc_offset: i64,
    /// No launch while a child is not done. Default false.
    pub prohibit_overlap: bool,
    /// Default true.
    pub enabled: bool,
}

/// Whether a dispatch brings a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// If it wants to.
    #[default]
    Optional,
    /// It must.
    Required,
    /// It must not.
    Forbidden,
}

/// `parameterized`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameterized {
    /// Default optional.
    pub payload: Payload,
    /// Keys a dispatch must bring.
    pub meta_required: Vec<String>,
    /// Keys it may bring.
    pub meta_optional: Vec<String>,
}

/// How a job is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// Long-running, replaced when lost.
    Service,
    /// Runs to completion.
    Batch,
    /// One per eligible node.
    System,
    /// One per eligible node, to completion (Nomad 1.2).
    SysBatch,
}

/// One version of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which job.
    pub id: JobId,
    /// `job "name"`; unique within its region, whatever the namespace.
    pub name: Arc<str>,
    /// Default `default`.
    pub namespace: Arc<str>,
    /// How it is scheduled. Default service.
    pub kind: JobKind,
    /// 1..=100, default 50.
    pub priority: u8,
    /// Nomad datacenters it may run in; exact names.
    pub datacenters: Vec<Arc<str>>,
    /// The node pool it may use (Nomad 1.6). Default `default`; `all` for every pool.
    pub node_pool: Arc<str>,
    /// A plan is all or nothing. Default false.
    pub all_at_once: bool,
    /// Job-level constraints.
    pub constraints: Vec<Constraint>,
    /// Job-level affinities.
    pub affinities: Vec<Affinity>,
    /// Job-level spreads.
    pub spreads: Vec<Spread>,
    /// Task groups, in file order.
    pub groups: Vec<TaskGroup>,
    /// Job-level update block; groups have it merged in already, system jobs read it here.
    pub update: Option<Update>,
    /// Metadata.
    pub meta: OrdMap<String, String>,
    /// What makes it run. Default: its registration.
    pub launch: Launch,
    /// Stopped by an operator; the record stays.
    pub stop: bool,
    /// Specification version, from 0.
    pub version: u64,
    /// Raft index of the first registration.
    pub create_index: u64,
    /// Raft index of the last change of the specification.
    pub job_modify_index: u64,
    /// Raft index of the last change.
    pub modify_index: u64,
    /// Set when the version's deployment became successful.
    pub stable: bool,
}

impl Job {
    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&TaskGroup> {
        self.groups.iter().find(|group| &*group.name == name)
    }

    /// Names of the services of its groups and tasks, with repeats.
    pub fn service_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let groups = self.groups.iter().flat_map(|group| &group.services);
        let tasks = self.groups.iter().flat_map(|group| &group.tasks).flat_map(|task| &task.services);
        groups.chain(tasks).map(|service| &service.name)
    }

    /// It runs through children only, and is not evaluated itself.
    pub fn is_parent(&self) -> bool {
        matches!(self.launch, Launch::Periodic(_) | Launch::Parameterized(_))
    }

    /// How it is launched by time: periodic, enabled and not stopped.
    pub fn active_period(&self) -> Option<&Periodic> {
        match &self.launch {
            Launch::Periodic(periodic) if periodic.enabled && !self.stop => Some(periodic),
            Launch::Periodic(_) | Launch::Registration | Launch::Parameterized(_) | Launch::Child { .. } => None,
        }
    }

    /// The job it is a child of.
    pub fn parent(&self) -> Option<JobId> {
        if let Launch::Child { parent, .. } = self.launch { Some(parent) } else { None }
    }
}

/// Tasks that run together on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGroup {
    /// Unique in the job.
    pub name: Arc<str>,
    /// Instances wanted. Default 1. Bounded by the scenario's validation.
    pub count: u32,
    /// Tasks, in file order.
    pub tasks: Vec<Task>,
    /// Group-level constraints.
    pub constraints: Vec<Constraint>,
    /// Group-level affinities.
    pub affinities: Vec<Affinity>,
    /// Group-level spreads.
    pub spreads: Vec<Spread>,
    /// Group networks; only the first is used for scheduling.
    pub networks: Vec<NetworkAsk>,
    /// Shared scratch disk.
    pub disk: EphemeralDisk,
    /// Rolling update; `None` means no deployments. A service job without a block has the default one.
    pub update: Option<Update>,
    /// How many may move at once when nodes drain.
    pub migrate: Option<Migrate>,
    /// What happens when an allocation fails; `None` means never rescheduled.
    pub reschedule: Option<Reschedule>,
    /// What happens when a task fails on its node.
    pub restart: Restart,
    /// Host volumes asked for: source name, read-only.
    pub volumes: Vec<(String, bool)>,
    /// Group services.
    pub services: Vec<Service>,
    /// Metadata; its tasks see it over the job's.
    pub meta: OrdMap<String, String>,
    /// Wait between deregistration and kill. Default zero.
    pub shutdown_delay: Duration,
    /// Stop locally, and tell no one, when cut off from the servers for this long.
    pub stop_after_client_disconnect: Option<Duration>,
    /// Keep as unknown instead of lost for this long (Nomad 1.3).
    pub max_client_disconnect: Option<Duration>,
}

impl TaskGroup {
    /// A group with Nomad's defaults for a service job and no tasks.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            count: 1,
            tasks: Vec::new(),
            constraints: Vec::new(),
            affinities: Vec::new(),
            spreads: Vec::new(),
            networks: Vec::new(),
            disk: EphemeralDisk::default(),
            update: Some(Update::default()),
            migrate: Some(Migrate::default()),
            reschedule: Some(Reschedule::SERVICE),
            restart: Restart::SERVICE,
            volumes: Vec::new(),
            services: Vec::new(),
            meta: OrdMap::new(),
            shutdown_delay: Duration::ZERO,
            stop_after_client_disconnect: None,
            max_client_disconnect: None,
        }
    }
}

/// `ephemeral_disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralDisk {
    /// Default 300 MiB, at least 10.
    pub size: Mebibytes,
    /// Prefer the previous node. Default false.
    pub sticky: bool,
    /// Move data along. Default false.
    pub migrate: bool,
}

impl Default for EphemeralDisk {
    fn default() -> Self {
        Self { size: Mebibytes(300), sticky: false, migrate: false }
    }
}

/// What counts as healthy in an update or migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheck {
    /// Tasks run and all checks pass.
    Checks,
    /// Tasks run.
    TaskStates,
    /// An operator says so.
    Manual,
}

/// `update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Default 1; 0 means no update strategy.
    pub max_parallel: u32,
    /// Default `checks`.
    pub health_check: HealthCheck,
    /// Default 10 s.
    pub min_healthy_time: Duration,
    /// Default 5 min.
    pub healthy_deadline: Duration,
    /// Default 10 min; zero means none.
    pub progress_deadline: Duration,
    /// Default false.
    pub auto_revert: bool,
    /// Default false.
    pub auto_promote: bool,
    /// Default 0.
    pub canary: u32,
    /// Default 30 s.
    pub stagger: Duration,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            max_parallel: 1,
            health_check: HealthCheck::Checks,
            min_healthy_time: Duration::from_secs(10),
            healthy_deadline: Duration::from_mins(5),
            progress_deadline: Duration::from_mins(10),
            auto_revert: false,
            auto_promote: false,
            canary: 0,
            stagger: Duration::from_secs(30),
        }
    }
}

/// `migrate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrate {
    /// Default 1.
    pub max_parallel: u32,
    /// Default `checks`.
    pub health_check: HealthCheck,
    /// Default 10 s.
    pub min_healthy_time: Duration,
    /// Default 5 min.
    pub healthy_deadline: Duration,
}

impl Default for Migrate {
    fn default() -> Self {
        Self {
            max_parallel: 1,
            health_check: HealthCheck::Checks,
            min_healthy_time: Duration::from_secs(10),
            healthy_deadline: Duration::from_mins(5),
        }
    }
}

/// How reschedule delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayFunction {
    /// Always the same.
    Constant,
    /// Doubles.
    Exponential,
    /// Sum of the last two.
    Fibonacci,
}

/// `reschedule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reschedule {
    /// Attempts per interval, when not unlimited.
    pub attempts: u32,
    /// Window of the attempts.
    pub interval: Duration,
    /// First delay.
    pub delay: Duration,
    /// Growth.
    pub delay_function: DelayFunction,
    /// Upper bound of the delay; zero means none.
    pub max_delay: Duration,
    /// No limit on attempts.
    pub unlimited: bool,
}

impl Reschedule {
    /// Default of service jobs: 30 s, doubling, at most 1 h, for ever.
    pub const SERVICE: Self = Self {
        attempts: 0,
        interval: Duration::ZERO,
        delay: Duration::from_secs(30),
        delay_function: DelayFunction::Exponential,
        max_delay: Duration::from_hours(1),
        unlimited: true,
    };
    /// Default of batch jobs: once a day after 5 s.
    pub const BATCH: Self = Self {
        attempts: 1,
        interval: Duration::from_hours(24),
        delay: Duration::from_secs(5),
        delay_function: DelayFunction::Constant,
        max_delay: Duration::ZERO,
        unlimited: false,
    };
}

/// What happens once the restart attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartMode {
    /// The task fails.
    Fail,
    /// The task waits for the interval to end.
    Delay,
}

/// `restart`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Restarts per interval.
    pub attempts: u32,
    /// Window.
    pub interval: Duration,
    /// Wait before a restart; up to 25 % is added.
    pub delay: Duration,
    /// What then.
    pub mode: RestartMode,
}

impl Restart {
    /// Default of service and system jobs.
    pub const SERVICE: Self = Self {
        attempts: 2,
        interval: Duration::from_mins(30),
        delay: Duration::from_secs(15),
        mode: RestartMode::Fail,
    };
    /// Default of batch jobs.
    pub const BATCH: Self = Self {
        attempts: 3,
        interval: Duration::from_hours(24),
        delay: Duration::from_secs(15),
        mode: RestartMode::Fail,
    };
}

/// When a task with a lifecycle hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before the main tasks.
    Prestart,
    /// After they started.
    Poststart,
    /// After they stopped.
    Poststop,
}

/// `lifecycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// When.
    pub hook: Hook,
    /// Keeps running beside the main tasks.
    pub sidecar: bool,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Unique in the group.
    pub name: Arc<str>,
    /// `docker`, `exec`, …
    pub driver: Arc<str>,
    /// User.
    pub user: String,
    /// Driver configuration, environment, artifacts and templates in a canonical text form: compared, never
    /// interpreted.
    pub config: String,
    /// Task-level constraints.
    pub constraints: Vec<Constraint>,
    /// Task-level affinities.
    pub affinities: Vec<Affinity>,
    /// What it asks for.
    pub resources: TaskResources,
    /// Its services.
    pub services: Vec<Service>,
    /// Metadata.
    pub meta: OrdMap<String, String>,
    /// Restart policy if it differs from the group's.
    pub restart: Option<Restart>,
    /// Lifecycle hook; `None` for main tasks.
    pub lifecycle: Option<Lifecycle>,
    /// Its death ends the others.
    pub leader: bool,
    /// Default 5 s; the client caps it at 30 s.
    pub kill_timeout: Duration,
    /// Wait between deregistration and kill. Default zero.
    pub shutdown_delay: Duration,
}

impl Task {
    /// A task with Nomad's defaults.
    pub fn new(name: &str, driver: &str) -> Self {
        Self {
            name: name.into(),
            driver: driver.into(),
            user: String::new(),
            config: String::new(),
            constraints: Vec::new(),
            affinities: Vec::new(),
            resources: TaskResources::default(),
            services: Vec::new(),
            meta: OrdMap::new(),
            restart: None,
            lifecycle: None,
            leader: false,
            kill_timeout: Duration::from_secs(5),
            shutdown_delay: Duration::ZERO,
        }
    }
}
