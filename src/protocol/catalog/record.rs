//! What is written into the catalog: names, service and check records, and the commands of the replicated log.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::model::service::CheckStatus;

/// A service instance's id, unique on its node; whoever registers the instance chooses it (Consul `ServiceID`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u64);

impl InstanceId {
    /// The instance of the service `consul` that the leader registers for each server.
    pub const CONSUL: Self = Self(u64::MAX);
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CONSUL { f.write_str("consul") } else { write!(f, "s{}", self.0) }
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A check's id, unique on its node (Consul `CheckID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckId {
    /// `serfHealth`, kept by the leader of the servers.
    SerfHealth,
    /// `_node_maintenance`.
    NodeMaintenance,
    /// `_service_maintenance:<id>`.
    ServiceMaintenance(InstanceId),
    /// A check declared with a service.
    Service {
        /// The service instance it belongs to.
        instance: InstanceId,
        /// Its place among the checks of that instance.
        ordinal: u16,
    },
}

impl CheckId {
    /// The instance a check belongs to; `None` for a check of the node.
    pub const fn instance(self) -> Option<InstanceId> {
        match self {
            Self::SerfHealth | Self::NodeMaintenance => None,
            Self::ServiceMaintenance(instance) | Self::Service { instance, .. } => Some(instance),
        }
    }

    /// A number that differs between the checks of a node.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::SerfHealth => 1,
            Self::NodeMaintenance => 2,
            Self::ServiceMaintenance(instance) => mix(3, instance.0),
            Self::Service { instance, ordinal } => mix(4 + ordinal as u64, instance.0),
        }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SerfHealth => f.write_str("serfHealth"),
            Self::NodeMaintenance => f.write_str("_node_maintenance"),
            Self::ServiceMaintenance(instance) => write!(f, "_service_maintenance:{instance}"),
            Self::Service { instance, ordinal } => write!(f, "{instance}/{ordinal}"),
        }
    }
}

/// What a service instance says of itself. Shared by the registrant, the log and all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Name in the catalog.
    pub name: Arc<str>,
    /// The process that serves it.
    pub address: ProcessId,
    /// Its port at that process.
    pub port: u16,
    /// Tags, among them `urlprefix-…`.
    pub tags: Arc<[Arc<str>]>,
}

/// A check's state as it is written into the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRecord {
    /// Which check.
    pub id: CheckId,
    /// Its state.
    pub status: CheckStatus,
    /// Stands for the text a check puts out: equal texts, equal numbers.
    pub output: u32,
}

/// An entry of the servers' replicated log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Nothing; applied once everything before it has been (Raft `Barrier`).
    Barrier,
    /// `Catalog.Register`.
    Register(Registration),
    /// `Catalog.Deregister` of a node with everything on it.
    DeregisterNode(ProcessId),
    /// `Catalog.Deregister` of a service instance with its checks.
    DeregisterService(ProcessId, InstanceId),
    /// `Catalog.Deregister` of one check.
    DeregisterCheck(ProcessId, CheckId),
}

/// A node, and optionally a service on it and checks, to be created or updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The node: the Consul agent that runs there, which is also its address.
    pub node: ProcessId,
    /// A service instance.
    pub service: Option<(InstanceId, Arc<ServiceSpec>)>,
    /// Checks of the node or of its instances.
    pub checks: SmallVec<[CheckRecord; 2]>,
}

impl Command {
    /// A plausible size in the log and on the wire, in bytes.
    pub fn bytes(&self) -> u32 {
        match self {
            Self::Barrier => 8,
            Self::Register(registration) => {
                let tags = registration.service.iter().flat_map(|(_, spec)| spec.tags.iter().map(|tag| tag.len()));
                200 + 250 * registration.checks.len() as u32
                    + 150 * u32::from(registration.service.is_some())
                    + tags.sum::<usize>() as u32
            }
            Self::DeregisterNode(_) | Self::DeregisterService(..) | Self::DeregisterCheck(..) => 160,
        }
    }

    /// Mixes the content into a digest.
    pub fn fingerprint(&self) -> u64 {
        match self {
            Self::Barrier => 1,
            Self::Register(registration) => {
                let service = registration
                    .service
                    .as_ref()
                    .map_or(0, |(id, spec)| mix(mix(id.0, u64::from(spec.port)), u64::from(spec.address.0)));
                let head = mix(mix(2, u64::from(registration.node.0)), service);
                registration.checks.iter().fold(head, |sum, check| {
                    mix(mix(sum, check.id.number()), check.status as u64 | u64::from(check.output) << 8)
                })
            }
            Self::DeregisterNode(node) => mix(3, u64::from(node.0)),
            Self::DeregisterService(node, id) => mix(mix(4, u64::from(node.0)), id.0),
            Self::DeregisterCheck(node, id) => mix(mix(5, u64::from(node.0)), id.number()),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier => f.write_str("Barrier"),
            Self::Register(registration) => {
                write!(f, "Register {}", registration.node)?;
                if let Some((id, spec)) = &registration.service {
                    write!(f, " {}={id}", spec.name)?;
                }
                for check in &registration.checks {
                    write!(f, " {}={:?}", check.id, check.status)?;
                }
                Ok(())
            }
            Self::DeregisterNode(node) => write!(f, "Deregister {node}"),
            Self::DeregisterService(node, id) => write!(f, "Deregister {node} {id}"),
            Self::DeregisterCheck(node, id) => write!(f, "Deregister {node} {id}"),
        }
    }
}

/// One round of a multiplicative mix; order matters.
pub(super) const fn mix(sum: u64, value: u64) -> u64 {
    let x = (sum.rotate_left(23) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^ (x >> 29)
}
