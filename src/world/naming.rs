//! Names that cross protocols: how Nomad's client calls the service instances it registers with Consul.

use crate::model::alloc::{Alloc, AllocId};
use crate::model::service::Service;
use crate::protocol::catalog::record::InstanceId;

/// The place of a proxy's own registration among the services of its allocation.
pub const PROXY: u8 = u8::MAX;

/// The instance that stands for service number `ordinal` of an allocation (Nomad `_nomad-task-<alloc>-…`).
pub fn instance_of(alloc: AllocId, ordinal: u8) -> InstanceId {
    InstanceId(u64::from(alloc.0) << 8 | u64::from(ordinal))
}

/// The allocation an instance stands for; `None` for Consul's own service and a proxy's registration of itself.
pub fn alloc_of(id: InstanceId) -> Option<AllocId> {
    let is_ours = id != InstanceId::CONSUL && id.0 as u8 != PROXY;
    if is_ours { u32::try_from(id.0 >> 8).ok().map(AllocId) } else { None }
}

/// Whether a job of this name is `job`, or a child that it launched or that was dispatched of it.
pub fn is_of(name: &str, job: &str) -> bool {
    name.strip_prefix(job).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The services of an allocation with their ordinals and the task each belongs to (`None` for the group's): the group's
/// first, then each task's in file order.
pub fn services(alloc: &Alloc) -> impl Iterator<Item = (u8, Option<u16>, &Service)> {
    let group = alloc.task_group();
    let own = group.services.iter().map(|service| (None, service));
    let tasks = group.tasks.iter().enumerate().flat_map(|(index, task)| {
        let index = u16::try_from(index).expect("fewer than 2^16 tasks in a group");
        task.services.iter().map(move |service| (Some(index), service))
    });
    own.chain(tasks)
        .take(usize::from(PROXY))
        .enumerate()
        .map(|(ordinal, (task, service))| (ordinal as u8, task, service))
}

/// The host port a label of an allocation stands for.
pub fn port(alloc: &Alloc, label: &str) -> Option<u16> {
    let assigned = alloc.ports.iter().find(|port| &*port.label == label)?;
    u16::try_from(assigned.value).ok()
}

/// What a task listens on: the service's name and the host port. The group's services are its first main task's.
pub fn listeners(alloc: &Alloc, task: u16) -> impl Iterator<Item = (&str, u16)> {
    let tasks = &alloc.task_group().tasks;
    let main = tasks.iter().position(|task| task.lifecycle.is_none()) == Some(usize::from(task));
    services(alloc).filter_map(move |(_, owner, service)| {
        let ours = owner == Some(task) || (owner.is_none() && main);
        let port = service.port.as_deref().and_then(|label| port(alloc, label));
        if ours { Some((&*service.name, port?)) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_belong_to_their_parent() {
        assert!(is_of("etl", "etl") && is_of("etl/periodic-1704067260", "etl"));
        assert!(!is_of("etl2", "etl") && !is_of("et", "etl"));
    }

    #[test]
    fn instances_name_their_allocation() {
        assert_eq!(alloc_of(instance_of(AllocId(7), 2)), Some(AllocId(7)));
        assert_eq!(alloc_of(instance_of(AllocId(7), PROXY)), None);
        assert_eq!(alloc_of(InstanceId::CONSUL), None);
    }
}
