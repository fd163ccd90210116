//! Regions and zones, the cloud's places. A Nomad datacenter is a name on a node, not a place.

crate::id!(
    /// A region: one Nomad region and one Consul datacenter, several zones.
    RegionId,
    "r"
);

crate::id!(
    /// An availability zone of one region; numbered across the whole world.
    ZoneId,
    "z"
);
