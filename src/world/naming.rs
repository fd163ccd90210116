//! Names that cross protocols: how Nomad's client calls the service instances it registers with Consul.

use crate::model::alloc::AllocId;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_name_their_allocation() {
        assert_eq!(alloc_of(instance_of(AllocId(7), 2)), Some(AllocId(7)));
        assert_eq!(alloc_of(instance_of(AllocId(7), PROXY)), None);
        assert_eq!(alloc_of(InstanceId::CONSUL), None);
    }
}
