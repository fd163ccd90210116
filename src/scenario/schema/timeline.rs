//! The timeline: what happens, when and to whom.

use schemars::JsonSchema;
use serde::Deserialize;

use super::BandwidthText;
use super::DurationText;
use super::JobSource;
use super::ShareText;
use super::TargetText;

/// `At("10m", …)`: something that happens at an instant.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct At(pub DurationText, pub Action);

/// What happens. `lasts` left out means for ever.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum Action {
    /// Processes die; they start again when it is over.
    ProcessKill {
        /// Whom.
        target: TargetText,
        /// Which process. Default `Agent`, or the tasks if the target names a job.
        #[serde(default)]
        process: Option<Process>,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// Processes stop answering and go on when it is over (`SIGSTOP`).
    ProcessPause {
        /// Whom.
        target: TargetText,
        /// Which process.
        #[serde(default)]
        process: Option<Process>,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// Processes die and start again at once.
    #[serde(alias = "RestartAgent")]
    ProcessRestart {
        /// Whom.
        target: TargetText,
        /// Which process.
        #[serde(default)]
        process: Option<Process>,
    },
    /// Machines lose power; they boot when it is over.
    NodeCrash {
        /// Whom.
        target: TargetText,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// A zone is lost.
    ZoneOutage {
        /// `us-east-1/b`
        zone: String,
        /// Default `Power`.
        #[serde(default)]
        kind: OutageKind,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// A region is lost.
    RegionOutage {
        /// `us-east-1`
        region: String,
        /// Default `Power`.
        #[serde(default)]
        kind: OutageKind,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// No packet passes between two sides: regions, zones, targets, or `rest`.
    Partition {
        /// One side.
        from: TargetText,
        /// The other. Default `rest`.
        #[serde(default = "default_rest")]
        to: TargetText,
        /// Only packets from `from` to `to` are lost. Default false.
        #[serde(default)]
        one_way: bool,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// Packets between two sides suffer.
    LinkDegrade {
        /// One side.
        from: TargetText,
        /// The other. Default `rest`.
        #[serde(default = "default_rest")]
        to: TargetText,
        /// Only packets from `from` to `to` suffer. Default false.
        #[serde(default)]
        one_way: bool,
        /// Added one-way delay.
        #[serde(default)]
        delay: Option<DurationText>,
        /// Added random delay, uniform up to this.
        #[serde(default)]
        jitter: Option<DurationText>,
        /// Packets lost.
        #[serde(default)]
        loss: Option<ShareText>,
        /// Datagrams sent twice.
        #[serde(default)]
        duplicate: Option<ShareText>,
        /// Datagrams held back by up to `jitter` more.
        #[serde(default)]
        reorder: Option<ShareText>,
        /// Bandwidth left.
        #[serde(default)]
        bandwidth: Option<BandwidthText>,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// Synced writes take so many times as long.
    SlowDisk {
        /// Whom.
        target: TargetText,
        /// At least 1; left out, writes do not finish at all.
        #[serde(default)]
        factor: Option<f64>,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// Computation takes so many times as long.
    SlowCpu {
        /// Whom.
        target: TargetText,
        /// At least 1.
        factor: f64,
        /// For how long.
        #[serde(default)]
        lasts: Option<DurationText>,
    },
    /// An operator registers a job, or a new version of one.
    RegisterJob(JobSource),
    /// An operator changes a count.
    #[serde(alias = "Scale")]
    ScaleJob {
        /// The job.
        job: String,
        /// The group. Default: the only one.
        #[serde(default)]
        group: Option<String>,
        /// The new count.
        count: u64,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator stops a job.
    StopJob {
        /// The job.
        job: String,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
}

fn default_rest() -> TargetText {
    "rest".into()
}

/// A process of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Process {
    /// The one the machine is named for: Nomad server, Consul server, Nomad client.
    Agent,
    /// Its Consul agent.
    ConsulAgent,
    /// Its tasks of this job.
    Tasks(String),
}

/// How an outage happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum OutageKind {
    /// Machines are off.
    #[default]
    Power,
    /// Machines run, but nothing passes in or out.
    Network,
}
