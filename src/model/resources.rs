//! What tasks ask for, what nodes offer and what allocations hold (Nomad `Resources`, `ComparableResources`).

use std::fmt;
use std::sync::Arc;

use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};

/// What one task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResources {
    /// Processor share. Default 100 MHz, at least 1.
    pub cpu: MegaHertz,
    /// Whole cores, instead of `cpu`. Default none.
    pub cores: u32,
    /// Memory. Default 300 MiB, at least 10.
    pub memory: Mebibytes,
    /// Memory the task may burst to (`memory_max`). Default none.
    pub memory_max: Option<Mebibytes>,
    /// Task-level networks, deprecated; only the first is used.
    pub networks: Vec<NetworkAsk>,
    /// Devices asked for.
    pub devices: Vec<DeviceAsk>,
}

impl Default for TaskResources {
    fn default() -> Self {
        Self {
            cpu: MegaHertz(100),
            cores: 0,
            memory: Mebibytes(300),
            memory_max: None,
            networks: Vec::new(),
            devices: Vec::new(),
        }
    }
}

/// A `network` block of a group or a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkAsk {
    /// `host` (default), `bridge`, `none` or `cni/…`; empty means `host`.
    pub mode: String,
    /// Bandwidth asked for; only the legacy task network checks it.
    pub bandwidth: MegabitsPerSecond,
    /// Ports asked for.
    pub ports: Vec<PortAsk>,
}

/// One labelled port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortAsk {
    /// The label services refer to.
    pub label: String,
    /// The fixed host port, or `None` for a dynamic one. Kept wide because out-of-range values are rejected late.
    pub fixed: Option<i64>,
    /// Port inside the task's network namespace (`to`); -1 maps to the chosen host port.
    pub to: i64,
    /// Host network alias; empty means `default`.
    pub host_network: String,
}

/// A `device` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAsk {
    /// `type`, `vendor/type` or `vendor/type/name`.
    pub name: String,
    /// Instances wanted. Default 1.
    pub count: u32,
    /// Constraints over device attributes.
    pub constraints: Vec<crate::model::constraint::Constraint>,
    /// Affinities over device attributes.
    pub affinities: Vec<crate::model::constraint::Affinity>,
}

/// Sums that can be compared: what an allocation uses, or what a node has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparable {
    /// Processor.
    pub cpu: MegaHertz,
    /// Memory (not `memory_max`).
    pub memory: Mebibytes,
    /// Disk of the group.
    pub disk: Mebibytes,
    /// Reserved core numbers, ascending, without repeats.
    pub cores: Vec<u16>,
}

impl Comparable {
    /// Adds `other`; core sets are united.
    pub fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.disk += other.disk;
        if !other.cores.is_empty() {
            self.cores.extend_from_slice(&other.cores);
            self.cores.sort_unstable();
            self.cores.dedup();
        }
    }
}

/// A port given to an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedPort {
    /// Label in the job.
    pub label: Arc<str>,
    /// Host port. Values outside 0..=65535 can occur in hand-made allocations and collide.
    pub value: i64,
    /// Address index on the node.
    pub address: u8,
}

/// Devices given to a task of an allocation, all of one group of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedDevice {
    /// Index in the group's tasks.
    pub task: u16,
    /// `vendor/type/name` of the group of devices.
    pub group: Arc<str>,
    /// Instance identifiers.
    pub instances: Vec<Arc<str>>,
}

/// A dimension that can run out, in the order Nomad tests them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Processor share.
    Cpu,
    /// Whole cores.
    Cores,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cores => "cores",
            Self::Memory => "memory",
            Self::Disk => "disk",
        })
    }
}
