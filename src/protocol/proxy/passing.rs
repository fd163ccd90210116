//! Which instances may get traffic, node by node: all that decides about an instance is among the checks of its node.

use std::sync::Arc;

use crate::protocol::proxy::memo::Bookmark;
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck, HealthFilter, passing};
use crate::protocol::proxy::watcher::WatchConfig;

/// The instances of one node that may get traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePassing {
    node: Arc<str>,
    /// Sorted.
    instances: Vec<Arc<str>>,
    /// Their services, sorted.
    services: Vec<Arc<str>>,
}

impl NodePassing {
    /// Judges by all checks of one node.
    pub fn of(checks: &[HealthCheck], config: &WatchConfig) -> Self {
        let node = checks.first().map_or_else(Arc::default, |check| Arc::clone(&check.node));
        assert!(checks.iter().all(|check| check.node == node), "the checks of {node} are of one node");
        let statuses: Vec<&str> = config.statuses.iter().map(String::as_str).collect();
        let filter = HealthFilter {
            statuses: &statuses,
            required: config.checks_required,
            prefix: &config.tag_prefix,
            release: config.release,
        };
        let found = passing(checks, filter);
        let sorted = |of: fn(&HealthCheck) -> &Arc<str>| {
            let mut texts: Vec<_> = found.iter().map(|check| Arc::clone(of(check))).collect();
            texts.sort_unstable();
            texts.dedup();
            texts
        };
        Self { node, instances: sorted(|check| &check.service_id), services: sorted(|check| &check.service) }
    }
}

/// Which instances may get traffic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passing {
    /// In the order of the checks, each node once.
    nodes: Vec<Arc<NodePassing>>,
    /// The services of the instances, in descending order.
    pub services: Vec<Arc<str>>,
}

impl Passing {
    /// Puts the nodes together, of which none comes twice.
    pub fn of(nodes: Vec<Arc<NodePassing>>) -> Self {
        let mut services: Vec<Arc<str>> = Vec::new();
        for service in nodes.iter().flat_map(|node| &node.services) {
            if let Err(place) = services.binary_search_by(|known| service.cmp(known)) {
                services.insert(place, Arc::clone(service));
            }
        }
        Self { nodes, services }
    }

    /// Tells of one entry after the other whether it may get traffic; quickly, if they come in the order of the checks.
    pub fn judge(&self) -> impl FnMut(&CatalogEntry) -> bool {
        let mut bookmark = Bookmark::default();
        move |entry| {
            // The names of nodes are mostly shared, and then a search by identity is enough.
            let shared = bookmark.find(&self.nodes, |known| Arc::ptr_eq(&known.node, &entry.node));
            let node = shared.or_else(|| bookmark.find(&self.nodes, |known| known.node == entry.node));
            node.is_some_and(|node| node.instances.binary_search(&entry.service_id).is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(node: &str, instance: &str, status: &str) -> HealthCheck {
        HealthCheck {
            node: node.into(),
            check_id: "c".into(),
            status: status.into(),
            service: instance[..1].into(),
            service_id: instance.into(),
            tags: ["urlprefix-/".into()].into(),
        }
    }

    #[test]
    fn nodes_are_put_together_and_entries_found_in_any_order() {
        let config = WatchConfig::default();
        let groups = [
            vec![check("n1", "a1", "passing"), check("n1", "b1", "critical")],
            vec![check("n2", "a1", "critical")],
            vec![check("n3", "c1", "passing"), check("n3", "a2", "passing")],
        ];
        let passing = Passing::of(groups.iter().map(|group| Arc::new(NodePassing::of(group, &config))).collect());
        assert_eq!(passing.services.iter().map(|name| &**name).collect::<Vec<_>>(), ["c", "a"]);
        let mut judge = passing.judge();
        for (node, instance, expected) in [
            ("n3", "a2", true),
            ("n3", "c1", true),
            ("n1", "a1", true),
            ("n1", "b1", false),
            ("n2", "a1", false),
            ("n4", "a1", false),
        ] {
            let entry = CatalogEntry {
                node: node.into(),
                service_id: instance.into(),
                service: "a".into(),
                service_address: "".into(),
                node_address: "h".into(),
                port: 1,
                tags: Arc::default(),
            };
            assert_eq!(judge(&entry), expected, "{node} {instance}");
        }
    }
}
