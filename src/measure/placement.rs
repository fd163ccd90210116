//! Where work is placed: queue, waits, utilisation, evenness.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::time::{Duration, Time};
use crate::measure::distribution::Distribution;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::measure::series::{Levels, Series};
use crate::model::alloc::{AllocId, ClientStatus, Desired};
use crate::model::job::JobId;
use crate::model::resources::Comparable;
use crate::model::topology::{RegionId, ZoneId};
use crate::world::event::{Instance, Notice};
use crate::world::spec::{MachineId, MachineRole, WorldSpec};

/// One row of `placements.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The allocation.
    pub instance: Instance,
    /// Its job.
    pub job: JobId,
    /// The job's name.
    pub job_name: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// The number in its name.
    pub index: u32,
    /// Where.
    pub machine: MachineId,
    /// The one it replaces.
    pub previous: Option<AllocId>,
    /// What it holds.
    pub resources: Comparable,
    /// When the evaluation that placed it was created.
    pub asked_at: Time,
    /// When it was written.
    pub placed_at: Time,
    /// When its first task ran.
    pub running_at: Option<Time>,
    /// When it no longer held resources, and why.
    pub ended: Option<(Time, Desired, ClientStatus)>,
}

/// Measures placement.
#[derive(Debug, Clone)]
pub struct PlacementRecorder {
    spec: Arc<WorldSpec>,
    regions: IdVec<RegionId, RegionState>,
    /// By allocation, per region; allocation numbers are dense.
    placements: IdVec<RegionId, BTreeMap<AllocId, Placement>>,
    zones: IdVec<ZoneId, Levels>,
    zone_counts: IdVec<ZoneId, i64>,
}

#[derive(Debug, Clone)]
struct RegionState {
    queued: Gauge,
    blocked: Gauge,
    wanted: BTreeMap<(JobId, Arc<str>), u32>,
    latency: Distribution,
    start_latency: Distribution,
    cpu: Gauge,
    memory: Gauge,
    cpu_total: f64,
    memory_total: f64,
    skew: Gauge,
}

impl PlacementRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let from = Time::ZERO + spec.warmup;
        let regions = spec
            .regions
            .iter()
            .map(|(_, region)| {
                let (cpu_total, memory_total) = capacity(spec, &region.clients);
                RegionState {
                    queued: Gauge::new(0.0, from),
                    blocked: Gauge::new(0.0, from),
                    wanted: BTreeMap::new(),
                    latency: Distribution::new(),
                    start_latency: Distribution::new(),
                    cpu: Gauge::new(0.0, from),
                    memory: Gauge::new(0.0, from),
                    cpu_total,
                    memory_total,
                    skew: Gauge::new(0.0, from),
                }
            })
            .collect();
        Self {
            spec: Arc::clone(spec),
            regions,
            placements: spec.regions.ids().map(|_| BTreeMap::new()).collect(),
            zones: spec.zones.ids().map(|_| Levels::new(WIDTH, 0.0)).collect(),
            zone_counts: spec.zones.ids().map(|_| 0).collect(),
        }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        match notice {
            Notice::Queued { region, job, group, count } => self.queued(at, *region, (*job, Arc::clone(group)), *count),
            Notice::BlockedEvals { region, count } => self.regions[*region].blocked.set(at, f64::from(*count)),
            Notice::AllocPlaced { .. } => self.placed(at, notice),
            Notice::AllocChanged { instance, desired, client } => self.changed(at, *instance, *desired, *client),
            Notice::TaskRunning { instance, running: true, .. } => self.running(at, *instance),
            _ => {}
        }
    }

    /// The allocations written so far, by region and number.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.placements.iter().flat_map(|(_, region)| region.values())
    }

    /// Writes the metrics and series.
    pub fn finish(self, now: Time, metrics: &mut Metrics, series: &mut Vec<Series>) {
        for (region, state) in self.regions.iter() {
            let name = &*self.spec.regions[region].name;
            let labels = [("region", name)];
            let level = |unit, gauge: &Gauge| Value::Level { unit, summary: gauge.clone().finish(now) };
            metrics.put("placement.queued", &labels, level("allocs", &state.queued));
            metrics.put("placement.blocked", &labels, level("evals", &state.blocked));
            metrics.put("placement.latency", &labels, Value::Times(state.latency.clone()));
            metrics.put("placement.start_latency", &labels, Value::Times(state.start_latency.clone()));
            metrics.put("placement.utilization.cpu", &labels, level("%", &state.cpu));
            metrics.put("placement.utilization.memory", &labels, level("%", &state.memory));
            metrics.put("placement.skew.zone", &labels, level("ratio", &state.skew));
        }
        let buckets = (now.as_nanos() / WIDTH.as_nanos()) as usize;
        for (zone, levels) in self.zones.iter() {
            let zone_spec = &self.spec.zones[zone];
            let name = format!("allocations{{zone={}/{}}}", self.spec.regions[zone_spec.region].name, zone_spec.name);
            series.push(levels.clone().finish(&name, "allocs", buckets));
        }
    }

    fn queued(&mut self, at: Time, region: RegionId, key: (JobId, Arc<str>), count: u32) {
        let state = &mut self.regions[region];
        let before = state.wanted.insert(key, count).unwrap_or(0);
        state.queued.add(at, f64::from(count) - f64::from(before));
    }

    fn placed(&mut self, at: Time, notice: &Notice) {
        let Notice::AllocPlaced {
            instance, job, job_name, group, index, machine, previous, resources, asked_at, ..
        } = notice
        else {
            return;
        };
        if at.since(Time::ZERO) >= self.spec.warmup {
            self.regions[instance.region].latency.record(at.since(*asked_at).as_nanos());
        }
        let placement = Placement {
            instance: *instance,
            job: *job,
            job_name: Arc::clone(job_name),
            group: Arc::clone(group),
            index: *index,
            machine: *machine,
            previous: *previous,
            resources: resources.clone(),
            asked_at: *asked_at,
            placed_at: at,
            running_at: None,
            ended: None,
        };
        self.hold(at, &placement, 1.0);
        self.placements[instance.region].insert(instance.alloc, placement);
    }

    fn running(&mut self, at: Time, instance: Instance) {
        let Some(placement) = self.placements[instance.region].get_mut(&instance.alloc) else { return };
        if placement.running_at.is_none() {
            placement.running_at = Some(at);
            if at.since(Time::ZERO) >= self.spec.warmup {
                let waited = at.since(placement.placed_at).as_nanos();
                self.regions[instance.region].start_latency.record(waited);
            }
        }
    }

    fn changed(&mut self, at: Time, instance: Instance, desired: Desired, client: ClientStatus) {
        let terminal = desired != Desired::Run
            || matches!(client, ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost);
        let Some(placement) = self.placements[instance.region].get_mut(&instance.alloc) else { return };
        if terminal && placement.ended.is_none() {
            placement.ended = Some((at, desired, client));
            let placement = placement.clone();
            self.hold(at, &placement, -1.0);
        }
    }

    /// Adds (`sign` 1) or frees (-1) what an allocation holds.
    fn hold(&mut self, at: Time, placement: &Placement, sign: f64) {
        let region = placement.instance.region;
        let state = &mut self.regions[region];
        state.cpu.add(at, sign * percent(placement.resources.cpu.get() as f64, state.cpu_total));
        state.memory.add(at, sign * percent(placement.resources.memory.get() as f64, state.memory_total));
        let zone = self.spec.machines[placement.machine].zone;
        self.zones[zone].add(at, sign);
        self.zone_counts[zone] += sign as i64;
        let counts: Vec<i64> = self.spec.regions[region].zones.iter().map(|&z| self.zone_counts[z]).collect();
        let (total, most) = (counts.iter().sum::<i64>(), counts.iter().copied().max().unwrap_or(0));
        let skew = if total > 0 { most as f64 * counts.len() as f64 / total as f64 } else { 1.0 };
        self.regions[region].skew.set(at, skew);
    }
}

/// Width of the buckets of the charts.
pub const WIDTH: Duration = Duration::from_secs(10);

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// Schedulable processor (MHz) and memory (MiB) of these machines.
fn capacity(spec: &WorldSpec, machines: &[MachineId]) -> (f64, f64) {
    let mut total = (0.0, 0.0);
    for &machine in machines {
        if let MachineRole::Client(node) = &spec.machines[machine].role {
            total.0 += node.capacity.cpu.saturating_sub(node.reserved.cpu).get() as f64;
            total.1 += node.capacity.memory.saturating_sub(node.reserved.memory).get() as f64;
        }
    }
    total
}
