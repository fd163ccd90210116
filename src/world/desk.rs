//! Catalog answers as proxies read them, translated once for all proxies that got the same answer.
//!
//! Every translation is a function of the answer and the atlas alone, so that it does not matter who asked first. What
//! an answer shares with the last one on the same subject, its translation shares with that one's.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::id::ProcessId;
use crate::model::topology::RegionId;
use crate::protocol::catalog::health::{CheckList, ServiceRow, rows};
use crate::protocol::catalog::record::{CheckId, InstanceId, ServiceSpec};
use crate::protocol::catalog::registry::NodeEntry;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::memo::{Memo, Same, Shelf};
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck, NodeChecks};
use crate::protocol::proxy::workshop::Workshop;
use crate::world::atlas::Atlas;
use crate::world::event::{Instance, RoutedInstance};
use crate::world::naming::alloc_of;

/// The instances of a service: as the proxy reads them, and who stands behind their endpoints.
#[derive(Debug, PartialEq)]
pub struct Listing {
    /// As the proxy reads them.
    pub entries: Arc<[Arc<CatalogEntry>]>,
    /// Allocations by endpoint, in ascending order; a proxy's own registration of itself is left out.
    pub instances: Vec<(Endpoint, RoutedInstance)>,
}

/// Translations, and what the proxies make of them.
#[derive(Default)]
pub struct Desk {
    /// What proxies with the same view work out.
    pub workshop: Workshop,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    nodes: Shelf<Option<RegionId>, Same<NodeEntry>, NodeChecks>,
    checks: Memo<Same<CheckList>, Arc<[NodeChecks]>>,
    /// By region and service.
    entries: Shelf<(Option<RegionId>, Arc<str>), RowKey, Option<Entry>>,
    listings: Memo<Same<[ServiceRow]>, Arc<Listing>>,
}

/// All of a row that its translation depends on.
type RowKey = (ProcessId, InstanceId, Same<ServiceSpec>);

#[derive(Clone)]
struct Entry {
    catalog: Arc<CatalogEntry>,
    resident: Option<(Endpoint, RoutedInstance)>,
}

impl Desk {
    /// All checks, by node.
    pub fn checks(&self, atlas: &Atlas, list: &Arc<CheckList>) -> Arc<[NodeChecks]> {
        let Kept { nodes, checks, .. } = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        checks.get(Same(Arc::clone(list)), |list| {
            let region = list.0.nodes.first().and_then(|node| region(atlas, node.node));
            let nodes = nodes.map(region, list.0.nodes.iter().cloned().map(Same), |node| node_checks(atlas, &node.0));
            nodes.iter().map(|(_, checks)| Arc::clone(checks)).collect()
        })
    }

    /// The instances of a service.
    pub fn listing(&self, atlas: &Atlas, rows: &Arc<[ServiceRow]>) -> Arc<Listing> {
        let Kept { entries, listings, .. } = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        listings.get_settled(Same(Arc::clone(rows)), |rows| {
            let Some(first) = rows.0.first() else {
                return Arc::new(Listing { entries: Arc::default(), instances: Vec::new() });
            };
            let subject = (region(atlas, first.node), Arc::clone(&first.spec.name));
            let keys = rows.0.iter().map(|row| (row.node, row.instance, Same(Arc::clone(&row.spec))));
            let entries = entries.map(subject, keys, |key| entry(atlas, key));
            Arc::new(listing(entries.iter().filter_map(|(_, entry)| entry.as_ref())))
        })
    }
}

fn region(atlas: &Atlas, node: ProcessId) -> Option<RegionId> {
    atlas.machine(node).map(|machine| atlas.region(machine))
}

fn node_checks(atlas: &Atlas, node: &NodeEntry) -> NodeChecks {
    let Some(machine) = atlas.machine(node.node) else { return NodeChecks::default() };
    let words = &atlas.words;
    let mut checks = Vec::new();
    // The checks of an instance come together.
    let mut recent: Option<(InstanceId, Arc<str>)> = None;
    for row in rows(node) {
        let (service, service_id, tags) = match row.service {
            Some((id, spec)) => {
                let name = match &recent {
                    Some((same, name)) if *same == id => Arc::clone(name),
                    _ => id.to_string().into(),
                };
                recent = Some((id, Arc::clone(&name)));
                (Arc::clone(&spec.name), name, Arc::clone(&spec.tags))
            }
            None => (Arc::clone(&words.nothing), Arc::clone(&words.nothing), Arc::clone(&words.no_tags)),
        };
        let check_id = match row.id {
            CheckId::SerfHealth => Arc::clone(&words.serf_health),
            CheckId::NodeMaintenance => Arc::clone(&words.node_maintenance),
            CheckId::ServiceMaintenance(_) => row.id.to_string().into(),
            CheckId::Service { .. } => Arc::clone(&words.service_check),
        };
        let node = Arc::clone(&atlas.spec.machines[machine].name);
        let status = Arc::clone(words.status(row.status));
        checks.push(HealthCheck { node, check_id, status, service, service_id, tags });
    }
    checks.into()
}

fn entry(atlas: &Atlas, (node, id, Same(spec)): &RowKey) -> Option<Entry> {
    let machine = atlas.machine(*node)?;
    let endpoint = Endpoint { process: spec.address, port: u32::from(spec.port) };
    let resident = alloc_of(*id).map(|alloc| {
        let instance = Instance { region: atlas.region(machine), alloc };
        (endpoint, RoutedInstance { machine, instance })
    });
    let address = atlas.address(spec.address);
    let catalog = Arc::new(CatalogEntry {
        node: Arc::clone(&atlas.spec.machines[machine].name),
        service_id: id.to_string().into(),
        service: Arc::clone(&spec.name),
        service_address: Arc::clone(&address),
        node_address: address,
        port: endpoint.port,
        tags: Arc::clone(&spec.tags),
    });
    Some(Entry { catalog, resident })
}

fn listing<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> Listing {
    let mut instances: Vec<_> = entries.clone().filter_map(|entry| entry.resident).collect();
    // The last of those that share an endpoint is the one that counts.
    instances.reverse();
    instances.sort_by_key(|(endpoint, _)| *endpoint);
    instances.dedup_by_key(|(endpoint, _)| *endpoint);
    Listing { entries: entries.map(|entry| Arc::clone(&entry.catalog)).collect(), instances }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}
