//! The timeline: what happens, when and to whom.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::BandwidthText;
use super::DurationText;
use super::JobSource;
use super::ShareText;
use super::SizeText;
use super::TargetText;

/// `At("10m", …)`: something that happens at an instant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct At(pub DurationText, pub Action);

/// Other names that actions were given once, and what they are called; the former are read, and not shown.
pub const OLD_NAMES: [(&str, &str); 2] = [("RestartAgent", "ProcessRestart"), ("Scale", "ScaleJob")];

/// What happens. `lasts` left out means for ever.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Processes die and start again within a second.
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
        /// Bandwidth left, shared by all packets between the two sides; at least 1 kbit/s.
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
    /// An operator registers the newest version of a job with another image.
    UpdateImage {
        /// The job.
        job: String,
        /// The new image.
        image: String,
        /// The group. Default: every group.
        #[serde(default)]
        group: Option<String>,
        /// The task. Default: every task that has an image.
        #[serde(default)]
        task: Option<String>,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator goes back to an older version of a job, which is registered as a new one.
    RevertJob {
        /// The job.
        job: String,
        /// Its version, counted from 0. Default: the one before the current.
        #[serde(default)]
        version: Option<u64>,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator has a job evaluated.
    EvaluateJob {
        /// The job.
        job: String,
        /// Failed allocations that were not replaced are replaced at once. Default false.
        #[serde(default)]
        force_reschedule: bool,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator promotes the canaries of a job's newest deployment; refused while not all of them are healthy.
    PromoteDeployment {
        /// The job.
        job: String,
        /// The groups. Default: all.
        #[serde(default)]
        groups: Vec<String>,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator pauses a job's newest deployment.
    PauseDeployment {
        /// The job.
        job: String,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator lets it go on.
    ResumeDeployment {
        /// The job.
        job: String,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator fails it; the job is reverted if its update block says so.
    FailDeployment {
        /// The job.
        job: String,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator launches a periodic job out of turn.
    ForcePeriodic {
        /// The job.
        job: String,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator dispatches a parameterized job.
    DispatchJob {
        /// The job.
        job: String,
        /// Metadata of the dispatched jobs.
        #[serde(default)]
        meta: BTreeMap<String, String>,
        /// Size of the payload, up to `16 KiB`. Default: none.
        #[serde(default)]
        payload: Option<SizeText>,
        /// How often, one after the other. Default 1.
        #[serde(default)]
        count: Option<u64>,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator stops an allocation, which is replaced (`nomad alloc stop`): the newest of its name that is to run.
    StopAlloc {
        /// The job.
        job: String,
        /// The group. Default: the only one.
        #[serde(default)]
        group: Option<String>,
        /// The number in its name, from 0.
        index: u64,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator says which allocations of a job's newest deployment are healthy (the API's `allocation-health`).
    SetHealth {
        /// The job.
        job: String,
        /// The group. Default: the only one.
        #[serde(default)]
        group: Option<String>,
        /// Numbers in the names of the healthy ones; the newest of a name is meant.
        #[serde(default)]
        healthy: Vec<u64>,
        /// Of the unhealthy ones; one fails the deployment.
        #[serde(default)]
        unhealthy: Vec<u64>,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator registers or stops a job, and its evaluation has another priority (`-eval-priority`, from 1.1.10 and
    /// 1.2.4 on).
    EvalPriority {
        /// 1 to 100.
        priority: u64,
        /// `RegisterJob`, `UpdateImage` or `StopJob`.
        of: Box<Action>,
    },
    /// An operator drains nodes.
    DrainNodes {
        /// Which client machines.
        target: TargetText,
        /// Time given to move the work. Default `1h`, the command line's.
        #[serde(default)]
        deadline: Option<DurationText>,
        /// No deadline (`-no-deadline`). Default false.
        #[serde(default)]
        no_deadline: bool,
        /// Everything is taken at once (`-force`). Default false.
        #[serde(default)]
        force: bool,
        /// System jobs stay. Default false.
        #[serde(default)]
        ignore_system_jobs: bool,
    },
    /// An operator takes drains back.
    CancelDrain {
        /// Which client machines.
        target: TargetText,
        /// They stay ineligible. Default false.
        #[serde(default)]
        keep_ineligible: bool,
    },
    /// An operator says whether nodes may receive allocations.
    NodeEligibility {
        /// Which client machines.
        target: TargetText,
        /// Whether they may.
        eligible: bool,
    },
    /// An operator has every job evaluated that nodes concern.
    EvaluateNodes {
        /// Which client machines.
        target: TargetText,
    },
    /// An operator has everything forgotten that can be (`nomad system gc`).
    CollectGarbage {
        /// Where. Default: everywhere.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator stops the evaluation broker, or lets it go on (from 1.3.2 on).
    PauseBroker {
        /// Stop, or go on.
        paused: bool,
        /// Where. Default: everywhere.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator has registrations rejected, or taken again (from 1.1.10 and 1.2.4 on).
    RejectRegistrations {
        /// Rejected, or taken.
        rejected: bool,
        /// Where. Default: everywhere.
        #[serde(default)]
        region: Option<String>,
    },
    /// An operator stops a job.
    StopJob {
        /// The job.
        job: String,
        /// It is forgotten at once (`-purge`). Default false.
        #[serde(default)]
        purge: bool,
        /// Where. Default: wherever the job is registered.
        #[serde(default)]
        region: Option<String>,
    },
}

fn default_rest() -> TargetText {
    "rest".into()
}

/// A process of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Process {
    /// The one the machine is named for: Nomad server, Consul server, Nomad client.
    Agent,
    /// Its Consul agent.
    ConsulAgent,
    /// Its tasks of this job.
    Tasks(String),
}

/// How an outage happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OutageKind {
    /// Machines are off.
    #[default]
    Power,
    /// Machines run, but nothing passes in or out.
    Network,
}
