//! Catalog answers as proxies read them, translated once for all proxies that got the same answer.
//!
//! Every translation is a function of the answer and the atlas alone, so that it does not matter who asked first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::protocol::catalog::health::{CheckList, ServiceRow};
use crate::protocol::catalog::record::{CheckId, InstanceId};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck};
use crate::protocol::proxy::workshop::{Memo, Same, Workshop};
use crate::world::atlas::Atlas;
use crate::world::event::{Instance, RoutedInstance};
use crate::world::naming::alloc_of;

/// The instances of a service: as the proxy reads them, and who stands behind their endpoints.
#[derive(Debug)]
pub struct Listing {
    /// As the proxy reads them.
    pub entries: Arc<[CatalogEntry]>,
    /// Allocations by endpoint; a proxy's own registration of itself is left out.
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
    checks: Memo<Same<CheckList>, Arc<[HealthCheck]>>,
    listings: Memo<Same<[ServiceRow]>, Arc<Listing>>,
    /// Texts by which proxies know instances.
    names: BTreeMap<InstanceId, Arc<str>>,
}

impl Desk {
    /// All checks.
    pub fn checks(&self, atlas: &Atlas, list: &Arc<CheckList>) -> Arc<[HealthCheck]> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &mut kept.names;
        kept.checks.get(Same(Arc::clone(list)), |list| health_checks(atlas, &list.0, names))
    }

    /// The instances of a service.
    pub fn listing(&self, atlas: &Atlas, rows: &Arc<[ServiceRow]>) -> Arc<Listing> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &mut kept.names;
        kept.listings.get(Same(Arc::clone(rows)), |rows| Arc::new(listing(atlas, &rows.0, names)))
    }
}

fn health_checks(atlas: &Atlas, list: &CheckList, names: &mut BTreeMap<InstanceId, Arc<str>>) -> Arc<[HealthCheck]> {
    let words = &atlas.words;
    let mut checks = Vec::new();
    // The checks of an instance come together.
    let mut recent: Option<(InstanceId, Arc<str>)> = None;
    for row in list.rows() {
        let Some(machine) = atlas.machine(row.node) else { continue };
        let (service, service_id, tags) = match row.service {
            Some((id, spec)) => {
                let name = match &recent {
                    Some((same, name)) if *same == id => Arc::clone(name),
                    _ => name(names, id),
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

fn listing(atlas: &Atlas, rows: &[ServiceRow], names: &mut BTreeMap<InstanceId, Arc<str>>) -> Listing {
    let (mut entries, mut instances) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let Some(machine) = atlas.machine(row.node) else { continue };
        let endpoint = Endpoint { process: row.spec.address, port: u32::from(row.spec.port) };
        if let Some(alloc) = alloc_of(row.instance) {
            let instance = Instance { region: atlas.region(machine), alloc };
            instances.push((endpoint, RoutedInstance { machine, instance }));
        }
        let address = atlas.address(row.spec.address);
        entries.push(CatalogEntry {
            node: Arc::clone(&atlas.spec.machines[machine].name),
            service_id: name(names, row.instance),
            service: Arc::clone(&row.spec.name),
            service_address: Arc::clone(&address),
            node_address: address,
            port: endpoint.port,
            tags: Arc::clone(&row.spec.tags),
        });
    }
    Listing { entries: entries.into(), instances }
}

fn name(names: &mut BTreeMap<InstanceId, Arc<str>>, id: InstanceId) -> Arc<str> {
    Arc::clone(names.entry(id).or_insert_with(|| id.to_string().into()))
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}
