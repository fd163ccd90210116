//! Releases and settings of the products.

use serde::Deserialize;

use super::DurationText;
use super::RateText;

/// Product releases to follow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Nomad: `1.1.0` to `1.6.15`; without a third number, the last of the series. One that changed nothing modelled
    /// here behaves as the last one before it that did. Default `1.6`.
    #[serde(default = "default_nomad_release")]
    pub nomad: String,
    /// fabio: `1.5.10`, which the reference system has, `1.6.3` or `1.7.3`. Default `1.7.3`.
    #[serde(default = "default_fabio_release")]
    pub fabio: String,
}

impl Default for Versions {
    fn default() -> Self {
        Self { nomad: default_nomad_release(), fabio: default_fabio_release() }
    }
}

fn default_nomad_release() -> String {
    "1.6".to_owned()
}

fn default_fabio_release() -> String {
    "1.7.3".to_owned()
}

/// How the Nomad servers schedule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// Workers per server (Nomad `num_schedulers`). Default: as many as it has cores.
    #[serde(default)]
    pub workers: Option<u64>,
    /// Nomad `scheduler_algorithm`. Default `BinPack`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Whose work may push out work of lower priority (Nomad `preemption_config`).
    #[serde(default)]
    pub preemption: Preemption,
    /// Nodes that are scored when a spread or an affinity applies. Default: as the release does it, `All` until 1.1.9
    /// and 1.2.3, `AtMost(100)` after.
    #[serde(default)]
    pub spread_candidates: Option<Candidates>,
    /// Nodes of a plan the leader verifies side by side, 1 to 64. Default: half its cores, at least 1.
    #[serde(default)]
    pub plan_checkers: Option<u64>,
    /// Time a worker has for an evaluation (Nomad `eval_nack_timeout`). Default `60s`.
    #[serde(default)]
    pub nack_timeout: Option<DurationText>,
    /// Deliveries after which an evaluation fails (Nomad `eval_delivery_limit`). Default 3.
    #[serde(default)]
    pub delivery_limit: Option<u64>,
    /// Nodes that keep rejecting plans become ineligible (Nomad `plan_rejection_tracker`, from 1.3.2 on). Default: they
    /// do not.
    #[serde(default)]
    pub plan_rejections: Option<PlanRejections>,
    /// When what has ended is forgotten.
    #[serde(default)]
    pub garbage: Garbage,
    /// What deciding costs.
    #[serde(default)]
    pub cost: Cost,
}

/// How nodes are scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// Fill nodes up.
    #[default]
    BinPack,
    /// Keep nodes evenly loaded.
    Spread,
}

/// Which types of jobs may preempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Preemption {
    /// Default false.
    #[serde(default)]
    pub service: bool,
    /// Default false.
    #[serde(default)]
    pub batch: bool,
    /// Default true.
    #[serde(default)]
    pub system: Option<bool>,
    /// Default false.
    #[serde(default)]
    pub sysbatch: bool,
}

/// How many nodes are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Candidates {
    /// Every one that can be used.
    All,
    /// The first so many, 1 to 1 000 000.
    AtMost(u64),
}

/// When a node that keeps rejecting plans is taken for broken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRejections {
    /// Rejections (Nomad `node_threshold`). Default 100.
    #[serde(default)]
    pub threshold: Option<u64>,
    /// Within this time (Nomad `node_window`). Default `5m`.
    #[serde(default)]
    pub window: Option<DurationText>,
}

/// Garbage collection; names and defaults are Nomad's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Garbage {
    /// Time between two looks. Default `5m`.
    #[serde(default)]
    pub interval: Option<DurationText>,
    /// Age of evaluations (`eval_gc_threshold`). Default `1h`.
    #[serde(default)]
    pub eval: Option<DurationText>,
    /// Age of evaluations of batch jobs, from 1.5.0 on (`batch_eval_gc_threshold`). Default `24h`.
    #[serde(default)]
    pub batch_eval: Option<DurationText>,
    /// Age of dead jobs (`job_gc_threshold`). Default `4h`.
    #[serde(default)]
    pub job: Option<DurationText>,
    /// Age of nodes that are down (`node_gc_threshold`). Default `24h`.
    #[serde(default)]
    pub node: Option<DurationText>,
    /// Age of ended deployments (`deployment_gc_threshold`). Default `1h`.
    #[serde(default)]
    pub deployment: Option<DurationText>,
}

/// Simulated time deciding takes; planning defaults of this project, not measured.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Per step of an evaluation between two calls to the leader, for the worker. Default `500us`.
    #[serde(default)]
    pub evaluation: Option<DurationText>,
    /// Per node looked at, for the worker. Default `2us`.
    #[serde(default)]
    pub node_pulled: Option<DurationText>,
    /// Per node scored, for the worker. Default `20us`.
    #[serde(default)]
    pub node_scored: Option<DurationText>,
    /// Per plan, for the leader that verifies it. Default `50us`.
    #[serde(default)]
    pub plan: Option<DurationText>,
    /// Per node of a plan, for the leader. Default `20us`.
    #[serde(default)]
    pub plan_node: Option<DurationText>,
}

/// Settings of the servers; names and defaults are the products'.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Nomad `raft_multiplier`, 1 to 10. Default 1.
    #[serde(default)]
    pub nomad_raft_multiplier: Option<u64>,
    /// Consul `raft_multiplier`, 1 to 10. Default 5.
    #[serde(default)]
    pub consul_raft_multiplier: Option<u64>,
    /// Pre-vote in Raft. Default false.
    #[serde(default)]
    pub pre_vote: bool,
    /// Nomad `min_heartbeat_ttl`. Default `10s`.
    #[serde(default)]
    pub min_heartbeat_ttl: Option<DurationText>,
    /// Nomad `max_heartbeats_per_second`. Default `50/s`.
    #[serde(default)]
    pub max_heartbeats: Option<RateText>,
    /// Nomad `heartbeat_grace`. Default `10s`.
    #[serde(default)]
    pub heartbeat_grace: Option<DurationText>,
    /// Nomad `failover_heartbeat_ttl`. Default `5m`.
    #[serde(default)]
    pub failover_heartbeat_ttl: Option<DurationText>,
}
