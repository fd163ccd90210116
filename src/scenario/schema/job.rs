//! Jobs, by file or written in the scenario.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::DurationText;
use super::FrequencyText;
use super::SizeText;

/// A job to register.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum JobSource {
    /// A Nomad job file, by path from the scenario file. Registered in the region it names, or else in the first one.
    File(String),
    /// A Nomad job file with some of it said here.
    FileWith {
        /// Path from the scenario file.
        path: String,
        /// Regions it is registered in.
        #[serde(default)]
        regions: Option<Vec<String>>,
        /// Values of its `variable` blocks.
        #[serde(default)]
        vars: BTreeMap<String, String>,
        /// Counts of its groups, instead of the file's.
        #[serde(default)]
        counts: BTreeMap<String, u64>,
        /// When it is registered. Default at the start.
        #[serde(default)]
        at: Option<DurationText>,
    },
    /// A job written here.
    Inline(Box<Job>),
}

/// A job written in the scenario. What is left out has Nomad's default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Unique in its regions.
    pub name: String,
    /// Default `Service`.
    #[serde(default)]
    pub kind: JobKind,
    /// Nomad datacenters it may run in.
    pub datacenters: Vec<String>,
    /// Regions it is registered in. Default the first one.
    #[serde(default)]
    pub regions: Option<Vec<String>>,
    /// 1 to 100. Default 50.
    #[serde(default)]
    pub priority: Option<u64>,
    /// `"${attr.kernel.name} = linux"`, `"distinct_hosts"`; `"distinct_hosts = false"` is off from Nomad 1.5.4 on.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Spreads.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Affinities.
    #[serde(default)]
    pub affinities: Vec<Affinity>,
    /// Only nodes of this pool, `all` for every one; from Nomad 1.6 on. Default `default`.
    #[serde(default)]
    pub node_pool: Option<String>,
    /// A plan is placed as a whole or not at all. Default false.
    #[serde(default)]
    pub all_at_once: bool,
    /// Metadata.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Rolling update of every group, as far as its own does not differ; of system jobs, this is the one.
    #[serde(default)]
    pub update: Option<Update>,
    /// It is launched by time; batch jobs only.
    #[serde(default)]
    pub periodic: Option<Periodic>,
    /// It is launched by dispatch; batch jobs only.
    #[serde(default)]
    pub parameterized: Option<Parameterized>,
    /// Task groups.
    pub groups: Vec<Group>,
    /// So many equal jobs, called `name-1`, `name-2`, …, up to 10 000. Default: one, called as `name` says.
    #[serde(default)]
    pub copies: Option<u64>,
    /// When it is registered. Default at the start.
    #[serde(default)]
    pub at: Option<DurationText>,
}

/// How a job is scheduled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum JobKind {
    /// Long-running.
    #[default]
    Service,
    /// To completion.
    Batch,
    /// One per node.
    System,
    /// One per node, to completion.
    SysBatch,
}

/// `periodic`. The run begins on Monday, 1 January 2024, at midnight UTC.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Periodic {
    /// Minute, hour, day of month, month, day of week, as `*/15 * * * *`; or `@hourly` and its like.
    pub cron: String,
    /// `UTC`, or a zone without daylight saving as `Etc/GMT-2`. Default `UTC`.
    #[serde(default)]
    pub time_zone: String,
    /// No launch while the one before runs. Default false.
    #[serde(default)]
    pub prohibit_overlap: bool,
    /// Default true.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
}

const fn default_enabled() -> bool {
    true
}

/// `parameterized`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Parameterized {
    /// Default `Optional`.
    #[serde(default)]
    pub payload: Payload,
    /// Metadata a dispatch must bring.
    #[serde(default)]
    pub meta_required: Vec<String>,
    /// Metadata it may bring.
    #[serde(default)]
    pub meta_optional: Vec<String>,
}

/// Whether a dispatch brings a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Payload {
    /// It may.
    #[default]
    Optional,
    /// It must.
    Required,
    /// It must not.
    Forbidden,
}

/// A task group: with one task of its name, or with the `tasks` it lists.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Unique in the job.
    pub name: String,
    /// Instances. Default 1.
    #[serde(default)]
    pub count: Option<u64>,
    /// Task driver, also of listed tasks that name none. Default `docker`.
    #[serde(default = "default_driver")]
    pub driver: String,
    /// Image, or program: the version of the software. Default: none said.
    #[serde(default)]
    pub image: Option<String>,
    /// Processor. Default `100 MHz`.
    #[serde(default)]
    pub cpu: Option<FrequencyText>,
    /// Memory. Default `300 MiB`.
    #[serde(default)]
    pub memory: Option<SizeText>,
    /// Its tasks, instead of one with what is said here.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Shared scratch disk. Default `300 MiB`.
    #[serde(default)]
    pub disk: Option<SizeText>,
    /// Replacements prefer the node of their predecessor. Default false.
    #[serde(default)]
    pub sticky_disk: bool,
    /// Host volumes; a leading `ro:` asks for reading only.
    #[serde(default)]
    pub host_volumes: Vec<String>,
    /// Ports by label; `0` for a dynamic one, otherwise the host port.
    #[serde(default)]
    pub ports: BTreeMap<String, u64>,
    /// Constraints, as on the job.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Spreads.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Affinities.
    #[serde(default)]
    pub affinities: Vec<Affinity>,
    /// Services it registers.
    #[serde(default)]
    pub services: Vec<GroupService>,
    /// Rolling update. What is left out is as the job says.
    #[serde(default)]
    pub update: Option<Update>,
    /// How many move at once when nodes drain; service jobs only.
    #[serde(default)]
    pub migrate: Option<Migrate>,
    /// What happens when an allocation fails.
    #[serde(default)]
    pub reschedule: Option<Reschedule>,
    /// What happens when a task fails on its node.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// Wait between deregistration and kill. Default 0.
    #[serde(default)]
    pub shutdown_delay: Option<DurationText>,
    /// Stop when cut off from the servers for this long. Default: go on.
    #[serde(default)]
    pub stop_after_client_disconnect: Option<DurationText>,
    /// Unknown instead of lost for this long when the node is cut off (Nomad 1.3). Default: lost at once.
    #[serde(default)]
    pub max_client_disconnect: Option<DurationText>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Unique in the group.
    pub name: String,
    /// Task driver. Default: the group's.
    #[serde(default)]
    pub driver: Option<String>,
    /// Image, or program: the version of the software.
    #[serde(default)]
    pub image: Option<String>,
    /// Processor. Default `100 MHz`.
    #[serde(default)]
    pub cpu: Option<FrequencyText>,
    /// Memory. Default `300 MiB`.
    #[serde(default)]
    pub memory: Option<SizeText>,
    /// Whole cores instead of a share of the processor. Default: none.
    #[serde(default)]
    pub cores: Option<u64>,
    /// Devices.
    #[serde(default)]
    pub devices: Vec<DeviceAsk>,
    /// Memory it may burst to. Default: none.
    #[serde(default)]
    pub memory_max: Option<SizeText>,
    /// Constraints, as on the job.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Affinities.
    #[serde(default)]
    pub affinities: Vec<Affinity>,
    /// Services it registers.
    #[serde(default)]
    pub services: Vec<GroupService>,
    /// Metadata.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// What happens when it fails on its node. Default: the group's.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// When it runs. Default: it is a main task.
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
    /// Its end ends the others. Default false.
    #[serde(default)]
    pub leader: bool,
    /// Default `5s`.
    #[serde(default)]
    pub kill_timeout: Option<DurationText>,
    /// Wait between deregistration and kill. Default 0.
    #[serde(default)]
    pub shutdown_delay: Option<DurationText>,
}

/// `device`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceAsk {
    /// `type`, `vendor/type` or `vendor/type/model`.
    pub name: String,
    /// Instances. Default 1.
    #[serde(default)]
    pub count: Option<u64>,
    /// Constraints over `${device.model}`, `${device.attr.memory}` and the like.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Affinities over the same.
    #[serde(default)]
    pub affinities: Vec<Affinity>,
}

/// `lifecycle`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// When.
    pub hook: Hook,
    /// It runs beside the main tasks. Default false.
    #[serde(default)]
    pub sidecar: bool,
}

/// When a task with a lifecycle runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Hook {
    /// Before the main tasks.
    Prestart,
    /// Once they started.
    Poststart,
    /// Once they stopped.
    Poststop,
}

/// `restart`. What is left out has the default of the job's type; of a task, it is as its group says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Restarts per interval. Default 2, batch 3.
    #[serde(default)]
    pub attempts: Option<u64>,
    /// Default `30m`, batch `24h`.
    #[serde(default)]
    pub interval: Option<DurationText>,
    /// Default `15s`.
    #[serde(default)]
    pub delay: Option<DurationText>,
    /// What then. Default `Fail`.
    #[serde(default)]
    pub mode: RestartMode,
}

/// What happens once the restarts are used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum RestartMode {
    /// The allocation fails.
    #[default]
    Fail,
    /// The task waits for the interval to end.
    Delay,
}

/// `reschedule`. What is left out has the default of the job's type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reschedule {
    /// Attempts per interval. Default: none, batch 1. In a service job they take `unlimited: false`.
    #[serde(default)]
    pub attempts: Option<u64>,
    /// Default: none, batch `24h`.
    #[serde(default)]
    pub interval: Option<DurationText>,
    /// First delay, at least `5s`. Default `30s`, batch `5s`.
    #[serde(default)]
    pub delay: Option<DurationText>,
    /// How it grows. Default `Exponential`, batch `Constant`.
    #[serde(default)]
    pub delay_function: Option<DelayFunction>,
    /// Longest delay. Default `1h`, batch none.
    #[serde(default)]
    pub max_delay: Option<DurationText>,
    /// Whether it goes on for ever, which Nomad refuses beside `attempts`. Default: true, batch false.
    #[serde(default)]
    pub unlimited: Option<bool>,
}

/// How reschedule delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum DelayFunction {
    /// Always the same.
    Constant,
    /// Doubles.
    Exponential,
    /// Sum of the last two.
    Fibonacci,
}

/// `migrate`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// Default 1.
    #[serde(default)]
    pub max_parallel: Option<u64>,
    /// Default `Checks`.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// Default `10s`.
    #[serde(default)]
    pub min_healthy_time: Option<DurationText>,
    /// Default `5m`.
    #[serde(default)]
    pub healthy_deadline: Option<DurationText>,
}

/// What counts as healthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum HealthCheck {
    /// Tasks run and all checks pass.
    #[default]
    Checks,
    /// Tasks run.
    TaskStates,
    /// Nobody looks: an operator says so.
    Manual,
}

fn default_driver() -> String {
    "docker".to_owned()
}

/// `spread`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// As `${meta.zone}`.
    pub attribute: String,
    /// 1 to 100. Default 50.
    #[serde(default)]
    pub weight: Option<u64>,
    /// Percent by value; evenly if empty.
    #[serde(default)]
    pub targets: BTreeMap<String, u64>,
}

/// `affinity`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// `"${attr.cpu.arch} = amd64"`.
    pub rule: String,
    /// -100 to 100, not 0. Default 50.
    #[serde(default)]
    pub weight: Option<i64>,
}

/// A service of a group, with at most one check.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupService {
    /// Name in the catalog.
    pub name: String,
    /// Port label.
    #[serde(default)]
    pub port: Option<String>,
    /// Tags, as `urlprefix-/api`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Its health check.
    #[serde(default)]
    pub check: Option<Check>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum Check {
    /// GET a path and expect 2xx.
    Http {
        /// Path.
        path: String,
        /// Time between checks. Default `10s`.
        #[serde(default)]
        interval: Option<DurationText>,
        /// Default `2s`.
        #[serde(default)]
        timeout: Option<DurationText>,
    },
    /// Connect.
    Tcp {
        /// Time between checks. Default `10s`.
        #[serde(default)]
        interval: Option<DurationText>,
        /// Default `2s`.
        #[serde(default)]
        timeout: Option<DurationText>,
    },
}

/// `update`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Default 1; 0 means no deployments.
    #[serde(default)]
    pub max_parallel: Option<u64>,
    /// Default `Checks`.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// Wait between two steps of a system job's update. Default `30s`.
    #[serde(default)]
    pub stagger: Option<DurationText>,
    /// Default 0.
    #[serde(default)]
    pub canary: Option<u64>,
    /// Default `10s`.
    #[serde(default)]
    pub min_healthy_time: Option<DurationText>,
    /// Default `5m`.
    #[serde(default)]
    pub healthy_deadline: Option<DurationText>,
    /// Default `10m`.
    #[serde(default)]
    pub progress_deadline: Option<DurationText>,
    /// Default false.
    #[serde(default)]
    pub auto_revert: bool,
    /// Default false.
    #[serde(default)]
    pub auto_promote: bool,
}
