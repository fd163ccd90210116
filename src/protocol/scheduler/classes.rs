//! Computed node classes: nodes of one class are interchangeable for every constraint that does not escape it
//! (Nomad `ComputeClass`).

use xxhash_rust::xxh3::Xxh3;

use crate::model::node::NodeSpec;

/// A stable hash of what makes nodes interchangeable: datacenter, node class, attributes, metadata and device groups,
/// without what starts with `unique.`. Sizes enter only through attributes.
pub fn computed_class(spec: &NodeSpec) -> u64 {
    let mut hash = Xxh3::new();
    let mut text = |part: &str| {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    text(&spec.datacenter);
    text(&spec.class);
    for (label, map) in [("attributes", &spec.attributes), ("meta", &spec.meta)] {
        text(label);
        for (key, value) in map.iter().filter(|(key, _)| !key.starts_with("unique.")) {
            text(key);
            text(value);
        }
    }
    // A client fingerprints `driver.NAME` attributes, so drivers are part of the class.
    for driver in &spec.drivers {
        text("driver");
        text(driver);
    }
    for device in &spec.devices {
        text("device");
        text(&device.vendor);
        text(&device.kind);
        text(&device.name);
        for (key, value) in device.attributes.iter().filter(|(key, _)| !key.starts_with("unique.")) {
            text(key);
            text(value);
        }
    }
    hash.digest()
}

/// Whether a target names something that differs between nodes of one class, so that a constraint on it cannot be
/// answered once per class (Nomad `EscapedConstraints`).
pub fn escapes(target: &str) -> bool {
    ["${node.unique.", "${attr.unique.", "${meta.unique."].iter().any(|prefix| target.starts_with(prefix))
}
