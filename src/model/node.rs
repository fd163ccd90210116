//! Nomad client nodes (Nomad `Node`).

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
use crate::model::topology::ZoneId;

crate::id!(
    /// A Nomad client node; numbered within its region in the order of the scenario.
    NodeId,
    "n"
);

/// The pool of nodes that name none, and of jobs that name none.
pub const POOL_DEFAULT: &str = "default";
/// The pool every node is in, for jobs.
pub const POOL_ALL: &str = "all";

/// What a node is: everything its client fingerprints and registers. Status is apart, in [`Node`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// `node.unique.name`.
    pub name: Arc<str>,
    /// Nomad datacenter.
    pub datacenter: Arc<str>,
    /// `node_class`; empty when unset.
    pub class: Arc<str>,
    /// Node pool (Nomad 1.6). Default `default`.
    pub pool: Arc<str>,
    /// Where it stands.
    pub zone: ZoneId,
    /// Attributes by key, without the `attr.` of targets.
    pub attributes: OrdMap<String, String>,
    /// Metadata by key, without the `meta.` of targets.
    pub meta: OrdMap<String, String>,
    /// Drivers that are detected and healthy, sorted.
    pub drivers: Vec<String>,
    /// Total capacity.
    pub capacity: NodeCapacity,
    /// Set aside for the operating system and agents.
    pub reserved: NodeReserved,
    /// Networks the node offers.
    pub networks: Vec<NodeNetwork>,
    /// Device groups.
    pub devices: Vec<NodeDevice>,
    /// Host volumes: name and whether read-only.
    pub host_volumes: OrdMap<String, bool>,
}

/// Total capacity of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeCapacity {
    /// Cores times clock.
    pub cpu: MegaHertz,
    /// Cores; reservable ones are `0..cores`.
    pub cores: u16,
    /// Memory.
    pub memory: Mebibytes,
    /// Disk.
    pub disk: Mebibytes,
}

/// Resources a node keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeReserved {
    /// Processor.
    pub cpu: MegaHertz,
    /// Memory.
    pub memory: Mebibytes,
    /// Disk.
    pub disk: Mebibytes,
    /// Cores.
    pub cores: Vec<u16>,
    /// Port list text, as `22,8000-8100`; a malformed text counts as empty.
    pub ports: String,
}

/// One network of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNetwork {
    /// `host` unless said.
    pub mode: String,
    /// Interface name.
    pub device: String,
    /// Address.
    pub ip: String,
    /// Host network alias; `default` for the main one.
    pub alias: String,
    /// Bandwidth.
    pub bandwidth: MegabitsPerSecond,
}

/// A group of equal devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDevice {
    /// Vendor.
    pub vendor: String,
    /// Type.
    pub kind: String,
    /// Name (model).
    pub name: String,
    /// Healthy instance identifiers, sorted.
    pub instances: Vec<String>,
    /// Attributes, as text with units.
    pub attributes: OrdMap<String, String>,
}

impl NodeDevice {
    /// `vendor/type/name`.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.vendor, self.kind, self.name)
    }

    /// Whether this is its [`NodeDevice::id`].
    pub fn is_named(&self, id: &str) -> bool {
        let rest = id.strip_prefix(&*self.vendor).and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix(&*self.kind)).and_then(|rest| rest.strip_prefix('/'));
        rest == Some(&self.name)
    }
}

/// `initializing`, `ready`, `disconnected` or `down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeStatus {
    /// Registered, not yet heard from.
    Initializing,
    /// Heartbeats arrive.
    Ready,
    /// Heartbeats stopped.
    Down,
    /// Heartbeats stopped, and some of its allocations may return (Nomad 1.3).
    Disconnected,
}

/// Whether the scheduler may place on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eligibility {
    /// It may.
    Eligible,
    /// An operator (or a drain) said no.
    Ineligible,
}

/// How a node is drained (Nomad `DrainStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainStrategy {
    /// When everything left is moved; `None` for never.
    pub deadline: Option<Time>,
    /// Leave system jobs running.
    pub ignore_system_jobs: bool,
    /// When the drain began; later strategies of the same drain keep it.
    pub started_at: Time,
}

/// A node as the servers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// What it registered.
    pub spec: Arc<NodeSpec>,
    /// Computed class: a stable hash of what makes nodes interchangeable.
    pub computed_class: u64,
    /// Heartbeat state.
    pub status: NodeStatus,
    /// Operator's word.
    pub eligibility: Eligibility,
    /// How it is drained; `None` while it is not.
    pub drain: Option<DrainStrategy>,
    /// Raft index of creation.
    pub create_index: u64,
    /// Raft index of the last change.
    pub modify_index: u64,
}

impl Node {
    /// May receive allocations: ready, eligible, not draining.
    pub fn is_ready(&self) -> bool {
        self.status == NodeStatus::Ready && self.eligibility == Eligibility::Eligible && self.drain.is_none()
    }
}
