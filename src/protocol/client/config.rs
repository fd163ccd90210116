//! Settings of a client and the delays of the host it runs on.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::math;
use crate::base::rng::Draws;
use crate::base::time::Duration;
use crate::model::alloc::AllocId;
use crate::model::node::{NodeId, NodeSpec};

/// Settings of one client. Defaults are Nomad 1.1.0's.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Which node it is.
    pub node: NodeId,
    /// What it registers.
    pub spec: Arc<NodeSpec>,
    /// The servers it starts with, in the order of its configuration.
    pub servers: Vec<ProcessId>,
    /// The first heartbeat follows registration after up to this. Default 10 s (`initialHeartbeatStagger`).
    pub heartbeat_stagger: Duration,
    /// Wait before registering again, plus up to as much. Default 15 s (`registerRetryIntv`).
    pub register_retry: Duration,
    /// Wait before asking for allocations again, plus up to as much. Default 30 s (`getAllocRetryIntv`).
    pub pull_retry: Duration,
    /// Wait before asking again for allocations missing from an answer, plus up to as much. Default 2 s.
    pub missing_retry: Duration,
    /// Status updates are sent at multiples of this. Default 200 ms (`allocSyncIntv`).
    pub push_interval: Duration,
    /// Of these multiples, only every so many-eths are for updates that change no allocation's status. Default 1, as
    /// before Nomad 1.6.0.
    pub push_routine: u64,
    /// Wait before sending updates again, plus up to as much. Default 5 s (`allocSyncRetryIntv`).
    pub push_retry: Duration,
    /// How long a failed call is tried again with other servers. Default 5 s (`rpc_hold_timeout`).
    pub rpc_hold: Duration,
    /// Longest wait of a blocking query. Default 300 s.
    pub block: Duration,
    /// Time between keepalives of a connection. Default 30 s (yamux).
    pub keepalive: Duration,
    /// Patience for the answer to a keepalive. Default 10 s (yamux).
    pub keepalive_timeout: Duration,
    /// Whether a poststart task may end well while the health of its allocation is watched. Default true, as from Nomad
    /// 1.1.13 and 1.2.7 on.
    pub poststart_may_end: bool,
    /// Shortest time between two shuffles of the server list, plus up to as much. Default 5 min
    /// (`clientRPCMinReuseDuration`). That Nomad waits longer in a cluster of more than 19 200 nodes per server is left
    /// out.
    pub rebalance: Duration,
    /// Upper bound of a task's `kill_timeout`. Default 30 s (`max_kill_timeout`).
    pub kill_timeout_max: Duration,
    /// How long things take on this host.
    pub delays: Delays,
}

impl ClientConfig {
    /// Defaults for this node.
    pub fn new(node: NodeId, spec: Arc<NodeSpec>, servers: Vec<ProcessId>, delays: Delays) -> Self {
        Self {
            node,
            spec,
            servers,
            heartbeat_stagger: Duration::from_secs(10),
            register_retry: Duration::from_secs(15),
            pull_retry: Duration::from_secs(30),
            missing_retry: Duration::from_secs(2),
            push_interval: Duration::from_millis(200),
            push_routine: 1,
            push_retry: Duration::from_secs(5),
            rpc_hold: Duration::from_secs(5),
            block: Duration::from_secs(300),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            poststart_may_end: true,
            rebalance: Duration::from_mins(5),
            kill_timeout_max: Duration::from_secs(30),
            delays,
        }
    }
}

/// A lognormal duration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay {
    /// Half of the draws are shorter.
    pub median: Duration,
    /// Standard deviation of the logarithm; zero makes it constant.
    pub sigma: f64,
}

impl Delay {
    /// Always this long.
    pub const fn constant(median: Duration) -> Self {
        Self { median, sigma: 0.0 }
    }

    fn draw(self, draws: Draws, item: u64, lane: u64) -> Duration {
        if self.sigma > 0.0 {
            self.median.mul_f64(math::exp(self.sigma * draws.normal(item, lane)))
        } else {
            self.median
        }
    }
}

/// How long the steps of starting an allocation take. Not part of Nomad: driver, registry and disk decide them.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    /// Hooks before the first task: directories, networks, mounts.
    pub setup: Delay,
    /// Fetching a task's image the first time a node needs it.
    pub pull: Delay,
    /// From telling the driver to the task running.
    pub start: Delay,
    /// Draws by allocation; lanes by step and task.
    pub draws: Draws,
}

impl Delays {
    /// The setup of an allocation.
    pub fn setup(&self, alloc: AllocId) -> Duration {
        self.setup.draw(self.draws, u64::from(alloc.0), 0)
    }

    /// The image of a task, if the node does not have it.
    pub fn pull(&self, alloc: AllocId, task: usize) -> Duration {
        self.pull.draw(self.draws, u64::from(alloc.0), lane(task, 0, 1))
    }

    /// Start number `run` of a task, from 0.
    pub fn start(&self, alloc: AllocId, task: usize, run: u32) -> Duration {
        self.start.draw(self.draws, u64::from(alloc.0), lane(task, run, 2))
    }

    /// A uniform number in `[0, 1)` for the jitter of restart number `run`.
    pub fn restart_jitter(&self, alloc: AllocId, task: usize, run: u32) -> f64 {
        self.draws.uniform(u64::from(alloc.0), lane(task, run, 3))
    }
}

fn lane(task: usize, run: u32, step: u64) -> u64 {
    (u64::from(run) << 20) | ((task as u64) << 2) | step
}
