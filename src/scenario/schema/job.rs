//! Jobs, by file or written in the scenario.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use super::FrequencyText;
use super::SizeText;

/// A job to register.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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
    Inline(Job),
}

/// A job written in the scenario. What is left out has Nomad's default.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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
    /// `"${attr.kernel.name} = linux"`, `"distinct_hosts"`.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Spreads.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Affinities.
    #[serde(default)]
    pub affinities: Vec<Affinity>,
    /// Task groups.
    pub groups: Vec<Group>,
    /// When it is registered. Default at the start.
    #[serde(default)]
    pub at: Option<DurationText>,
}

/// How a job is scheduled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// A task group with one task.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Unique in the job.
    pub name: String,
    /// Instances. Default 1.
    #[serde(default)]
    pub count: Option<u64>,
    /// Task driver. Default `docker`.
    #[serde(default = "default_driver")]
    pub driver: String,
    /// Processor. Default `100 MHz`.
    #[serde(default)]
    pub cpu: Option<FrequencyText>,
    /// Memory. Default `300 MiB`.
    #[serde(default)]
    pub memory: Option<SizeText>,
    /// Shared scratch disk. Default `300 MiB`.
    #[serde(default)]
    pub disk: Option<SizeText>,
    /// Ports by label; `0` for a dynamic one, otherwise the host port.
    #[serde(default)]
    pub ports: BTreeMap<String, u64>,
    /// Constraints, as on the job.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Spreads.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Services it registers.
    #[serde(default)]
    pub services: Vec<GroupService>,
    /// Rolling update.
    #[serde(default)]
    pub update: Option<Update>,
}

fn default_driver() -> String {
    "docker".to_owned()
}

/// `spread`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// `"${attr.cpu.arch} = amd64"`.
    pub rule: String,
    /// -100 to 100, not 0. Default 50.
    #[serde(default)]
    pub weight: Option<i64>,
}

/// A service of a group, with at most one check.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Default 1.
    #[serde(default)]
    pub max_parallel: Option<u64>,
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
