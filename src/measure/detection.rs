//! How gossip and the catalog learn: detection of dead members, false alarms, propagation of health to the proxies.

use std::sync::Arc;

use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::Time;
use crate::measure::distribution::Distribution;
use crate::measure::metric::{Metrics, Value};
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::world::event::{Instance, Notice, Pool};
use crate::world::spec::{Action, EntryId, MachineId, MachineRole, OutageKind, ProcessKind, WorldSpec};

/// Measures detection and propagation.
#[derive(Debug, Clone)]
pub struct DetectionRecorder {
    spec: Arc<WorldSpec>,
    /// Since when a member of a pool has been gone for the others (dead, paused or cut off), by machine.
    gone: OrdMap<MachineId, Time>,
    /// Per entry of the timeline, whom it hit.
    hit: OrdMap<EntryId, Arc<[MachineId]>>,
    pools: OrdMap<Pool, PoolState>,
    /// Waiting for proxies: the last change of an instance in the catalog, and which proxies have not followed.
    changes: OrdMap<Instance, Change>,
    proxies: OrdMap<RegionId, OrdSet<MachineId>>,
    propagation: OrdMap<RegionId, Distribution>,
}

#[derive(Debug, Clone, Default)]
struct PoolState {
    first: Distribution,
    all: Distribution,
    false_positives: u64,
    /// Who is still to learn of a member's death, once somebody has.
    unaware: OrdMap<MachineId, OrdSet<MachineId>>,
}

#[derive(Debug, Clone)]
struct Change {
    at: Time,
    /// Whether the instance should be in the tables now.
    serving: bool,
    waiting: OrdSet<MachineId>,
}

impl DetectionRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let (mut pools, mut propagation) = (OrdMap::new(), OrdMap::new());
        pools.insert(Pool::NomadWan, PoolState::default());
        for (region, _) in spec.regions.iter().filter(|(_, region)| region.has_consul()) {
            pools.insert(Pool::ConsulWan, PoolState::default());
            pools.insert(Pool::ConsulLan(region), PoolState::default());
            propagation.insert(region, Distribution::new());
        }
        Self {
            spec: Arc::clone(spec),
            gone: OrdMap::new(),
            hit: OrdMap::new(),
            pools,
            changes: OrdMap::new(),
            proxies: OrdMap::new(),
            propagation,
        }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        match notice {
            Notice::EntryBegins { entry, machines } if self.takes_away(*entry) => {
                self.hit.insert(*entry, Arc::clone(machines));
                for &machine in machines.iter() {
                    self.gone.entry(machine).or_insert(at);
                }
            }
            Notice::EntryEnds { entry } => {
                for &machine in self.hit.remove(entry).iter().flat_map(|machines| machines.iter()) {
                    self.back(machine);
                }
            }
            Notice::Power { machine, up: false } => {
                self.gone.entry(*machine).or_insert(at);
            }
            Notice::Power { machine, up: true } => self.back(*machine),
            Notice::MarkedDead { pool, by, about } => self.marked_dead(at, *pool, *by, *about),
            Notice::CatalogChanged { instance, status, .. } => {
                self.catalog_changed(at, *instance, *status == Some(CheckStatus::Passing));
            }
            Notice::TableSwapped { proxy, gained, lost } => {
                self.proxies.entry(self.region(*proxy)).or_default().insert(*proxy);
                for target in gained.iter() {
                    self.followed(at, *proxy, target.instance, true);
                }
                for target in lost.iter() {
                    self.followed(at, *proxy, target.instance, false);
                }
            }
            _ => {}
        }
    }

    /// Writes the metrics.
    pub fn finish(self, metrics: &mut Metrics) {
        for (pool, state) in self.pools {
            let name = pool_label(pool, &self.spec);
            let labels = [("pool", &*name)];
            metrics.put("gossip.detect_first", &labels, Value::Times(state.first));
            metrics.put("gossip.detect_all", &labels, Value::Times(state.all));
            let count = state.false_positives;
            metrics.put("gossip.false_positives", &labels, Value::Total { unit: "declarations", count });
        }
        for (region, propagation) in self.propagation {
            let labels = [("region", &*self.spec.regions[region].name)];
            metrics.put("consul.propagation", &labels, Value::Times(propagation));
        }
    }

    /// Whether an entry makes its machines disappear for the others.
    fn takes_away(&self, entry: EntryId) -> bool {
        match &self.spec.timeline[entry].action {
            Action::NodeCrash(_) | Action::Partition { .. } => true,
            Action::ZoneOutage(_, kind) | Action::RegionOutage(_, kind) => {
                matches!(kind, OutageKind::Power | OutageKind::Network)
            }
            Action::ProcessKill(target) | Action::ProcessPause(target) | Action::ProcessRestart(target) => {
                !matches!(target.process, ProcessKind::Tasks(_))
            }
            Action::LinkDegrade { .. }
            | Action::SlowDisk(..)
            | Action::SlowCpu(..)
            | Action::RegisterJob { .. }
            | Action::ScaleJob { .. }
            | Action::StopJob { .. }
            | Action::Order { .. }
            | Action::Nodes { .. } => false,
        }
    }

    fn back(&mut self, machine: MachineId) {
        self.gone.remove(&machine);
        for state in self.pools.values_mut() {
            state.unaware.remove(&machine);
        }
    }

    fn marked_dead(&mut self, at: Time, pool: Pool, by: MachineId, about: MachineId) {
        let members = self.members(pool);
        let gone = &self.gone;
        let counted = at.since(Time::ZERO) >= self.spec.warmup;
        let Some(state) = self.pools.get_mut(&pool) else { return };
        let Some(&since) = gone.get(&about) else {
            // A member that is itself cut off judges everybody else; that says nothing about the judged.
            state.false_positives += u64::from(counted && !gone.contains_key(&by));
            return;
        };
        if gone.contains_key(&by) {
            return;
        }
        let took = at.since(since).as_nanos();
        let counted = since.since(Time::ZERO) >= self.spec.warmup;
        if !state.unaware.contains_key(&about) {
            if counted {
                state.first.record(took);
            }
            let unaware = members.into_iter().filter(|m| *m != about && !gone.contains_key(m)).collect();
            state.unaware.insert(about, unaware);
        }
        if let Some(unaware) = state.unaware.get_mut(&about)
            && unaware.remove(&by)
            && unaware.is_empty()
            && counted
        {
            state.all.record(took);
        }
    }

    fn members(&self, pool: Pool) -> Vec<MachineId> {
        match pool {
            Pool::ConsulLan(region) => {
                let region = &self.spec.regions[region];
                region.nomad.iter().chain(&region.consul).chain(&region.clients).copied().collect()
            }
            Pool::ConsulWan => self.spec.regions.iter().flat_map(|(_, region)| region.consul.iter().copied()).collect(),
            Pool::NomadWan => self.spec.regions.iter().flat_map(|(_, region)| region.nomad.iter().copied()).collect(),
        }
    }

    fn region(&self, machine: MachineId) -> RegionId {
        self.spec.zones[self.spec.machines[machine].zone].region
    }

    fn catalog_changed(&mut self, at: Time, instance: Instance, serving: bool) {
        if self.changes.get(&instance).is_some_and(|change| change.serving == serving) {
            return;
        }
        let waiting: OrdSet<MachineId> = self
            .proxies
            .get(&instance.region)
            .into_iter()
            .flatten()
            .copied()
            .filter(|proxy| !self.gone.contains_key(proxy))
            .collect();
        debug_assert!(waiting.iter().all(|m| matches!(self.spec.machines[*m].role, MachineRole::Client(_))));
        self.changes.insert(instance, Change { at, serving, waiting });
    }

    fn followed(&mut self, at: Time, proxy: MachineId, instance: Instance, serving: bool) {
        let Some(change) = self.changes.get_mut(&instance) else { return };
        let counted = at.since(Time::ZERO) >= self.spec.warmup;
        if change.serving == serving && change.waiting.remove(&proxy) && counted {
            let took = at.since(change.at).as_nanos();
            self.propagation.entry(instance.region).or_default().record(took);
        }
    }
}

/// A pool as in metric labels.
pub(super) fn pool_label(pool: Pool, world: &WorldSpec) -> String {
    match pool {
        Pool::ConsulLan(region) => format!("consul-lan/{}", world.regions[region].name),
        Pool::ConsulWan => "consul-wan".to_owned(),
        Pool::NomadWan => "nomad".to_owned(),
    }
}
