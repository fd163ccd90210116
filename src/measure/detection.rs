//! How gossip and the catalog learn: detection of dead members, false alarms, propagation of health to the proxies.
//!
//! A member of a pool is a process. It is gone for the others while it is dead, or paused, or its machine is cut off,
//! by however many faults at once. A pause ends with the process it stopped. Left out: whom a cut machine can still
//! reach, so that a fault that cuts it off from some members only makes it gone for all of them.

use std::sync::Arc;

use crate::base::id::{IdVec, ProcessId};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::Time;
use crate::measure::distribution::Distribution;
use crate::measure::metric::{Metrics, Value};
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::world::atlas::Processes;
use crate::world::event::{Instance, Notice, Pool};
use crate::world::spec::{Action, EntryId, MachineId, MachineRole, ProcessKind, WorldSpec};

/// Measures detection and propagation.
#[derive(Debug, Clone)]
pub struct DetectionRecorder {
    spec: Arc<WorldSpec>,
    processes: IdVec<MachineId, Processes>,
    /// Processes that are gone for the others.
    gone: OrdMap<ProcessId, Absence>,
    /// Per entry of the timeline that lasts, whom it keeps silent, and how.
    silenced: OrdMap<EntryId, (Silence, Vec<ProcessId>)>,
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
    unaware: OrdMap<ProcessId, OrdSet<ProcessId>>,
}

/// Why a process is gone; it is back when nothing is left of this.
#[derive(Debug, Clone)]
struct Absence {
    since: Time,
    dead: bool,
    /// Faults that pause it.
    paused: u32,
    /// Faults that cut its machine off.
    cut: u32,
}

/// How an entry keeps processes silent that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Paused,
    Cut,
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
            processes: Processes::of_machines(spec),
            gone: OrdMap::new(),
            silenced: OrdMap::new(),
            pools,
            changes: OrdMap::new(),
            proxies: OrdMap::new(),
            propagation,
        }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        match notice {
            Notice::EntryBegins { entry, machines } => self.begins(at, *entry, machines),
            Notice::EntryEnds { entry } => {
                let (silence, processes) = self.silenced.remove(entry).unwrap_or((Silence::Cut, Vec::new()));
                for process in processes {
                    self.change(at, process, |absence| match silence {
                        Silence::Paused => absence.paused -= 1,
                        Silence::Cut => absence.cut -= 1,
                    });
                }
            }
            Notice::Power { machine, up: false } => {
                for process in self.of_machine(*machine) {
                    self.lives(at, process, false);
                }
            }
            Notice::Process { process, up, .. } => self.lives(at, *process, *up),
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

    /// An entry that pauses processes or cuts machines off begins; who dies is told one by one.
    fn begins(&mut self, at: Time, entry: EntryId, machines: &[MachineId]) {
        let (silence, processes): (Silence, Vec<ProcessId>) = match &self.spec.timeline[entry].action {
            Action::ProcessPause(target) => {
                let process = |machine: &MachineId| match target.process {
                    ProcessKind::Main => Some(self.processes[*machine].main),
                    ProcessKind::CatalogAgent => self.processes[*machine].agent,
                    ProcessKind::Tasks(_) => None,
                };
                (Silence::Paused, machines.iter().filter_map(process).collect())
            }
            action if action.cuts_links() => {
                (Silence::Cut, machines.iter().flat_map(|machine| self.of_machine(*machine)).collect())
            }
            _ => return,
        };
        for &process in &processes {
            self.change(at, process, |absence| match silence {
                Silence::Paused => absence.paused += 1,
                Silence::Cut => absence.cut += 1,
            });
        }
        self.silenced.insert(entry, (silence, processes));
    }

    /// A process died or was started.
    fn lives(&mut self, at: Time, process: ProcessId, up: bool) {
        for (silence, processes) in self.silenced.values_mut() {
            if *silence == Silence::Paused {
                processes.retain(|paused| *paused != process);
            }
        }
        self.change(at, process, |absence| (absence.dead, absence.paused) = (!up, 0));
    }

    /// Changes why a process is gone; if nothing is left of it, it is back.
    fn change(&mut self, at: Time, process: ProcessId, change: impl FnOnce(&mut Absence)) {
        let absence = self.gone.entry(process).or_insert(Absence { since: at, dead: false, paused: 0, cut: 0 });
        change(absence);
        if !absence.dead && absence.paused == 0 && absence.cut == 0 {
            self.gone.remove(&process);
            for state in self.pools.values_mut() {
                state.unaware.remove(&process);
            }
        }
    }

    /// The processes of a machine that can be members of pools.
    fn of_machine(&self, machine: MachineId) -> impl Iterator<Item = ProcessId> + use<> {
        let Processes { main, agent, .. } = self.processes[machine];
        [Some(main), agent.filter(|agent| *agent != main)].into_iter().flatten()
    }

    fn marked_dead(&mut self, at: Time, pool: Pool, by: MachineId, about: MachineId) {
        let (Some(by), Some(about)) = (self.member(pool, by), self.member(pool, about)) else { return };
        let is_first = self.pools.get(&pool).is_some_and(|state| !state.unaware.contains_key(&about));
        let members = if is_first { self.members(pool) } else { Vec::new() };
        let gone = &self.gone;
        let counted = at.since(Time::ZERO) >= self.spec.warmup;
        let Some(state) = self.pools.get_mut(&pool) else { return };
        let Some(&Absence { since, .. }) = gone.get(&about) else {
            // A member that is itself cut off judges everybody else; that says nothing about the judged.
            state.false_positives += u64::from(counted && !gone.contains_key(&by));
            return;
        };
        if gone.contains_key(&by) {
            return;
        }
        let took = at.since(since).as_nanos();
        let counted = since.since(Time::ZERO) >= self.spec.warmup;
        if is_first {
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

    /// The process with which a machine is in a pool.
    fn member(&self, pool: Pool, machine: MachineId) -> Option<ProcessId> {
        match pool {
            Pool::ConsulLan(_) => self.processes[machine].agent,
            Pool::ConsulWan | Pool::NomadWan => Some(self.processes[machine].main),
        }
    }

    fn members(&self, pool: Pool) -> Vec<ProcessId> {
        let machines: Vec<MachineId> = match pool {
            Pool::ConsulLan(region) => {
                let region = &self.spec.regions[region];
                region.nomad.iter().chain(&region.consul).chain(&region.clients).copied().collect()
            }
            Pool::ConsulWan => self.spec.regions.iter().flat_map(|(_, region)| region.consul.iter().copied()).collect(),
            Pool::NomadWan => self.spec.regions.iter().flat_map(|(_, region)| region.nomad.iter().copied()).collect(),
        };
        machines.into_iter().filter_map(|machine| self.member(pool, machine)).collect()
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
            .filter(|proxy| self.processes[*proxy].agent.is_none_or(|agent| !self.gone.contains_key(&agent)))
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
