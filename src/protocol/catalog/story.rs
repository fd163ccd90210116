//! What the tests of this module share.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::model::service::Check;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::message::CheckDefinition;
use crate::protocol::catalog::message::ServiceDefinition;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::Registration;
use crate::protocol::catalog::record::ServiceSpec;

/// The process on the agents' hosts that is probed.
pub(super) const TASK: ProcessId = ProcessId(900);

pub(super) fn check_record(instance: u64, status: CheckStatus) -> CheckRecord {
    CheckRecord { id: CheckId::Service { instance: InstanceId(instance), ordinal: 0 }, status, output: 0 }
}

/// A node with one instance and one check.
pub(super) fn register(node: ProcessId, instance: u64, name: &str, status: CheckStatus) -> Command {
    let spec = ServiceSpec { name: name.into(), address: node, port: 80, tags: Vec::new() };
    Command::Register(Registration {
        node,
        service: Some((InstanceId(instance), Arc::new(spec))),
        checks: SmallVec::from_iter([check_record(instance, status)]),
    })
}

/// `serfHealth` of a node.
pub(super) fn serf(node: ProcessId, status: CheckStatus) -> Command {
    let check = CheckRecord { id: CheckId::SerfHealth, status, output: status as u32 };
    Command::Register(Registration { node, service: None, checks: SmallVec::from_iter([check]) })
}

pub(super) fn service(id: u64, name: &str, checks: Vec<Check>) -> Arc<ServiceDefinition> {
    let spec = ServiceSpec { name: name.into(), address: TASK, port: 80 + id as u16, tags: Vec::new() };
    let checks = checks.into_iter().map(|check| CheckDefinition { check, target: TASK, port: 80 + id as u16 });
    Arc::new(ServiceDefinition { id: InstanceId(id), spec: Arc::new(spec), checks: checks.collect() })
}
