//! What a client tells its container: what to do with tasks and services, and what happened.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::model::alloc::{Alloc, AllocId, ClientStatus};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Success,
    /// Another exit code, a signal, out of memory.
    Failure,
    /// The driver could not start it and never will.
    StartError,
}

/// Told to the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Start this task; answer with `task_started`, later `task_exited`.
    StartTask {
        /// Of this allocation.
        alloc: Arc<Alloc>,
        /// Index in the group's tasks.
        task: u16,
    },
    /// Ask the task to end (SIGTERM); answer with `task_exited` once it did.
    StopTask {
        /// Of this allocation.
        alloc: AllocId,
        /// Index in the group's tasks.
        task: u16,
    },
    /// End the task at once (SIGKILL): its kill timeout is over. Answer with `task_exited`.
    KillTask {
        /// Of this allocation.
        alloc: AllocId,
        /// Index in the group's tasks.
        task: u16,
    },
    /// The client restarted: does this task still run? Answer with `task_reattached`.
    ReattachTask {
        /// Of this allocation.
        alloc: Arc<Alloc>,
        /// Index in the group's tasks.
        task: u16,
    },
    /// Register services and their checks with the local Consul agent.
    RegisterServices {
        /// Of this allocation.
        alloc: Arc<Alloc>,
        /// Those of a task, or of the group.
        task: Option<u16>,
    },
    /// Deregister them.
    DeregisterServices {
        /// Of this allocation.
        alloc: AllocId,
        /// Those of a task, or of the group.
        task: Option<u16>,
    },
    /// A task failed and will be started again.
    TaskRestarting {
        /// Of this allocation.
        alloc: AllocId,
        /// Index in the group's tasks.
        task: u16,
        /// After this.
        delay: Duration,
    },
    /// The client learned of an allocation it is to run.
    AllocReceived {
        /// Which.
        alloc: AllocId,
    },
    /// An allocation's status changed on the client.
    AllocStatus {
        /// Which.
        alloc: AllocId,
        /// To what.
        status: ClientStatus,
    },
    /// Its health was decided.
    AllocHealth {
        /// Which.
        alloc: AllocId,
        /// How it is.
        healthy: bool,
    },
    /// The node is registered with the servers.
    Registered,
    /// A heartbeat failed after earlier ones had not.
    HeartbeatFailed,
    /// Heartbeats are answered again.
    HeartbeatRestored,
    /// An allocation is stopped because the servers were out of reach for too long (`stop_after_client_disconnect`).
    StoppedWhileDisconnected {
        /// Which.
        alloc: AllocId,
    },
}
