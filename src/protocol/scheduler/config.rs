//! Settings of a Nomad server.

use crate::base::id::ProcessId;
use crate::base::time::Duration;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::broker::BrokerConfig;
use crate::protocol::scheduler::heartbeat::HeartbeatConfig;
use crate::protocol::scheduler::release::SchedulerConfig;

/// How long computations take at nominal speed. Not part of Nomad: measured on the original, or chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostModel {
    /// Every step of an evaluation between two calls to the leader. Default 200 us.
    pub step: Duration,
    /// Every node pulled from the source. Default 2 us.
    pub node_pulled: Duration,
    /// Every node scored. Default 20 us.
    pub node_scored: Duration,
    /// Every plan the leader verifies. Default 50 us.
    pub plan: Duration,
    /// Every node of a plan the leader verifies. Default 20 us.
    pub plan_node: Duration,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            step: Duration::from_micros(200),
            node_pulled: Duration::from_micros(2),
            node_scored: Duration::from_micros(20),
            plan: Duration::from_micros(50),
            plan_node: Duration::from_micros(20),
        }
    }
}

/// Most identifiers in one log entry (Nomad `MaxUUIDsPerWriteRequest`).
pub const IDS_PER_ENTRY: usize = 7_281;

/// When a node that keeps rejecting plans is taken for broken (Nomad `plan_rejection_tracker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectionConfig {
    /// Rejections (`node_threshold`). Default 100.
    pub threshold: u32,
    /// Within this time (`node_window`). Default 5 min.
    pub window: Duration,
}

impl Default for RejectionConfig {
    fn default() -> Self {
        Self { threshold: 100, window: Duration::from_mins(5) }
    }
}

/// What is collected as garbage, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GarbageConfig {
    /// Time between two looks (`eval_gc_interval` and its like). Default 5 min.
    pub interval: Duration,
    /// Age of evaluations and their allocations (`eval_gc_threshold`). Default 1 h.
    pub eval: Duration,
    /// Age of evaluations of batch jobs from 1.5.0 on (`batch_eval_gc_threshold`). Default 24 h.
    pub batch_eval: Duration,
    /// Age of dead jobs (`job_gc_threshold`). Default 4 h.
    pub job: Duration,
    /// Age of nodes that are down (`node_gc_threshold`). Default 24 h.
    pub node: Duration,
    /// Age of ended deployments (`deployment_gc_threshold`). Default 1 h.
    pub deployment: Duration,
}

impl Default for GarbageConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(5),
            eval: Duration::from_hours(1),
            batch_eval: Duration::from_hours(24),
            job: Duration::from_hours(4),
            node: Duration::from_hours(24),
            deployment: Duration::from_hours(1),
        }
    }
}

/// Settings of one server. Defaults are Nomad 1.1.0's.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Who it is.
    pub id: ProcessId,
    /// Its region.
    pub region: RegionId,
    /// Scheduler configuration and release.
    pub scheduler: SchedulerConfig,
    /// The broker's settings. The switches of the release are taken from `scheduler`.
    pub broker: BrokerConfig,
    /// Heartbeat settings.
    pub heartbeat: HeartbeatConfig,
    /// Garbage collection.
    pub garbage: GarbageConfig,
    /// Scheduling workers (`num_schedulers`). Default: the cores of the host.
    pub workers: u16,
    /// How long a dequeue waits for an evaluation. Default 500 ms.
    pub dequeue_timeout: Duration,
    /// How long a request waits for a leader. Default 5 s (`rpc_hold_timeout`).
    pub rpc_hold: Duration,
    /// Longest wait of a blocking query; up to a sixteenth is added. Default 300 s.
    pub block: Duration,
    /// Client updates are gathered for this long. Default 50 ms (`batchUpdateInterval`).
    pub update_batch: Duration,
    /// How long a worker or the applier waits for its state to catch up. Default 5 s (`raftSyncLimit`).
    pub state_wait: Duration,
    /// Time between keepalives of a connection. Default 30 s (yamux).
    pub keepalive: Duration,
    /// Patience for the answer to a keepalive. Default 10 s (yamux).
    pub keepalive_timeout: Duration,
    /// How long the barrier of a new leader may take. Default 2 min.
    pub barrier_timeout: Duration,
    /// Time between two attempts to establish leadership. Default 60 s (`reconcile_interval`). After one that failed,
    /// and was not the barrier's fault, 5 s from 1.3.0 on.
    pub reconcile: Duration,
    /// Nodes that keep rejecting plans become ineligible (from 1.3.2 on). Default: they do not.
    pub plan_rejections: Option<RejectionConfig>,
    /// Cores that verify plans side by side: max(1, cores / 2). Default 1.
    pub plan_checkers: u32,
    /// What computations cost.
    pub costs: CostModel,
    /// Unix time, in seconds, when the simulation's clock is zero. Default: Monday, 1 January 2024.
    pub clock_start: i64,
    /// Seed of the run; evaluations draw from it by their number and attempt.
    pub seed: u64,
}

impl ServerConfig {
    /// Defaults for this server.
    pub fn new(id: ProcessId, region: RegionId, workers: u16, seed: u64) -> Self {
        Self {
            id,
            region,
            scheduler: SchedulerConfig::default(),
            broker: BrokerConfig::default(),
            heartbeat: HeartbeatConfig::default(),
            garbage: GarbageConfig::default(),
            workers,
            dequeue_timeout: Duration::from_millis(500),
            rpc_hold: Duration::from_secs(5),
            block: Duration::from_secs(300),
            update_batch: Duration::from_millis(50),
            state_wait: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            barrier_timeout: Duration::from_mins(2),
            reconcile: Duration::from_secs(60),
            plan_rejections: None,
            plan_checkers: u32::from(workers / 2).max(1),
            costs: CostModel::default(),
            clock_start: 1_704_067_200,
            seed,
        }
    }
}

/// What to do after a look at a state that may not have caught up (Nomad `SnapshotMinIndex`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It has.
    CaughtUp,
    /// Look again after this.
    Again(Duration),
    /// The time is over; whether the state has caught up by now is not asked.
    TooLate,
}

impl Look {
    /// After look number `polls`, counting from 0, `waited` after the first one.
    pub fn at(has_caught_up: bool, polls: u32, waited: Duration, limit: Duration) -> Self {
        let left = limit.saturating_sub(waited);
        if left.is_zero() {
            Self::TooLate
        } else if has_caught_up {
            Self::CaughtUp
        } else {
            Self::Again(state_poll(polls).min(left))
        }
    }
}

/// Wait after look number `polls`, counting from 0: 20 ms, 320 ms, then 1 s.
fn state_poll(polls: u32) -> Duration {
    match polls {
        0 => Duration::from_millis(20),
        1 => Duration::from_millis(320),
        _ => Duration::from_secs(1),
    }
}

/// `base * 4^failures`, at most `limit` (Nomad worker `backoffErr`).
pub fn backoff(base: Duration, failures: u32, limit: Duration) -> Duration {
    (base * (1 << (2 * failures.min(16)))).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoffs_are_nomads() {
        let millis = |base, limit| (0..6).map(move |n| backoff(Duration::from_millis(base), n, limit).as_millis());
        let limit = Duration::from_secs(10);
        assert!(millis(20, limit).eq([20, 80, 320, 1_280, 5_120, 10_000]));
        assert!(millis(500, limit).eq([500, 2_000, 8_000, 10_000, 10_000, 10_000]));
    }

    #[test]
    fn a_state_is_looked_at_seven_times_within_five_seconds_and_not_at_their_end() {
        let limit = Duration::from_secs(5);
        let (mut looks, mut waited) = (Vec::new(), Duration::ZERO);
        while let Look::Again(wait) = Look::at(false, looks.len() as u32, waited, limit) {
            looks.push(waited.as_millis());
            waited += wait;
        }
        assert_eq!((looks, waited), (vec![0, 20, 340, 1_340, 2_340, 3_340, 4_340], limit));
        let last = waited.saturating_sub(Duration::from_nanos(1));
        assert_eq!([last, waited].map(|at| Look::at(true, 7, at, limit)), [Look::CaughtUp, Look::TooLate]);
    }
}
