//! Where work is placed: queue and waits, and the rows of `placements.csv`. How full the machines are is
//! [`super::room`]'s, how evenly groups stand [`super::balance`]'s, and what comes and goes [`super::turnover`]'s
//! matter.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::balance::{Balance, GroupNumber, Place};
use crate::measure::distribution::Distribution;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::measure::reasons::{Reasons, Refusal, Unplaced, Why};
use crate::measure::room::Room;
use crate::measure::series::{Levels, Series};
use crate::measure::turnover::Turnover;
use crate::model::alloc::{AllocId, ClientStatus, Desired};
use crate::model::evaluation::EvalId;
use crate::model::job::{JobId, JobKind};
use crate::model::node::NodeId;
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
    /// Priority of its job, 1..=100.
    pub priority: u8,
    /// Where.
    pub machine: MachineId,
    /// The one it replaces.
    pub previous: Option<AllocId>,
    /// What it holds.
    pub resources: Comparable,
    /// The evaluation that placed it.
    pub eval: EvalId,
    /// Mean of the scores its node had.
    pub score: f64,
    /// Allocations it pushed out.
    pub preempted: Vec<AllocId>,
    /// Why it stands where it does, if the run explains itself.
    pub why: Option<Box<Why>>,
    /// When the evaluation that placed it was created.
    pub asked_at: Time,
    /// When its job had last been registered, scaled or launched, for the first allocation of its name since then, of a
    /// service or batch job.
    pub registered_at: Option<Time>,
    /// When it was written.
    pub placed_at: Time,
    /// When its first task ran.
    pub running_at: Option<Time>,
    /// When it no longer held resources, and why.
    pub ended: Option<(Time, Desired, ClientStatus)>,
}

impl Placement {
    /// `<job>.<group>[<index>]`.
    pub fn name(&self) -> String {
        format!("{}.{}[{}]", self.job_name, self.group, self.index)
    }
}

/// Measures placement.
#[derive(Debug, Clone)]
pub struct PlacementRecorder {
    spec: Arc<WorldSpec>,
    regions: IdVec<RegionId, RegionState>,
    /// Per region, by allocation.
    placements: IdVec<RegionId, Rows>,
    zones: IdVec<ZoneId, Levels>,
    /// Zones of a region that have client machines.
    client_zones: IdVec<RegionId, Vec<ZoneId>>,
    zone_counts: IdVec<ZoneId, i64>,
}

/// Rows in ascending order of allocations. Numbers are dense and written in order, so most rows stand at theirs.
#[derive(Debug, Clone, Default)]
struct Rows(Vec<Placement>);

impl Rows {
    /// Where the allocation's row is, or would be.
    fn find(&self, alloc: AllocId) -> Result<usize, usize> {
        let own = alloc.0 as usize;
        match self.0.get(own) {
            Some(row) if row.instance.alloc == alloc => Ok(own),
            _ => self.0.binary_search_by_key(&alloc, |row| row.instance.alloc),
        }
    }

    fn get_mut(&mut self, alloc: AllocId) -> Option<&mut Placement> {
        let at = self.find(alloc).ok()?;
        self.0.get_mut(at)
    }

    fn insert(&mut self, row: Placement) {
        match self.0.last() {
            Some(last) if last.instance.alloc >= row.instance.alloc => match self.find(row.instance.alloc) {
                Ok(at) => self.0[at] = row,
                Err(at) => self.0.insert(at, row),
            },
            _ => self.0.push(row),
        }
    }
}

#[derive(Debug, Clone)]
struct RegionState {
    queued: Gauge,
    blocked: Gauge,
    wanted: OrdMap<(JobId, Arc<str>), u32>,
    latency: Distribution,
    start_latency: Distribution,
    skew: Gauge,
    groups: OrdMap<(JobId, Arc<str>), GroupNumber>,
    room: Room,
    balance: Balance,
    turnover: Turnover,
    reasons: Reasons,
}

impl PlacementRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let from = Time::ZERO + spec.warmup;
        let region = |region| RegionState {
            queued: Gauge::new(0.0, from),
            blocked: Gauge::new(0.0, from),
            wanted: OrdMap::new(),
            latency: Distribution::new(),
            start_latency: Distribution::new(),
            skew: Gauge::new(1.0, from),
            groups: OrdMap::new(),
            room: Room::new(spec, region),
            balance: Balance::new(places(spec, region), from),
            turnover: Turnover::new(spec, region),
            reasons: Reasons::default(),
        };
        Self {
            spec: Arc::clone(spec),
            regions: spec.regions.ids().map(region).collect(),
            placements: spec.regions.ids().map(|_| Rows::default()).collect(),
            zones: spec.zones.ids().map(|_| Levels::new(WIDTH, 0.0)).collect(),
            client_zones: spec.regions.ids().map(|region| client_zones(spec, region)).collect(),
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
            Notice::EvalCreated { region, eval, job, trigger, .. } => {
                self.regions[*region].turnover.evaluation(at, *eval, *job, *trigger);
            }
            Notice::Explained { region, eval, selections } => {
                self.regions[*region].reasons.explained(at, eval, selections);
            }
            Notice::PlanApplied { region, eval, rejected, .. } => {
                self.regions[*region].reasons.planned(*eval, rejected);
            }
            Notice::EvalFinished { region, eval, .. } => self.regions[*region].reasons.finished(*eval),
            Notice::Unplaced { region, job, eval } => self.regions[*region].reasons.unplaced(at, *region, job, eval),
            Notice::NodeStatus { region, machine, ready } => self.regions[*region].room.ready(at, *machine, *ready),
            _ => {}
        }
    }

    /// The allocations written so far, by region and number.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.placements.iter().flat_map(|(_, rows)| &rows.0)
    }

    /// An allocation, if it was written.
    pub fn placement(&self, instance: Instance) -> Option<&Placement> {
        let rows = self.placements.get(instance.region)?;
        rows.0.get(rows.find(instance.alloc).ok()?)
    }

    /// The rows themselves, in that order.
    pub fn take_placements(&mut self) -> Vec<Placement> {
        let mut rows = self.placements.iter_mut().map(|(_, rows)| std::mem::take(&mut rows.0));
        let mut all = rows.next().unwrap_or_default();
        rows.for_each(|mut more| all.append(&mut more));
        all
    }

    /// Why a group was last refused, if it was and the run explains itself.
    pub fn refusal(&self, region: RegionId, job: &str, group: &str) -> Option<Refusal<'_>> {
        self.regions.get(region)?.reasons.refusal(job, group)
    }

    /// How many allocations a group still wants.
    pub fn wanted(&self, region: RegionId, job: JobId, group: &Arc<str>) -> u32 {
        let wanted = self.regions.get(region).and_then(|state| state.wanted.get(&(job, Arc::clone(group))));
        wanted.copied().unwrap_or(0)
    }

    /// Groups that could not be placed as often as they were wanted, at some time, by region and job.
    pub fn unplaced(&self) -> impl Iterator<Item = Unplaced> {
        self.regions.iter().flat_map(|(_, state)| state.reasons.short(&state.wanted))
    }

    /// Writes the metrics and series.
    pub fn finish(self, now: Time, metrics: &mut Metrics, series: &mut Vec<Series>) {
        for (region, state) in self.regions.iter() {
            let name = &*self.spec.regions[region].name;
            state.room.clone().finish(now, name, metrics);
            state.balance.clone().finish(now, name, metrics);
            state.turnover.clone().finish(name, metrics);
            let labels = [("region", name)];
            let level = |unit, gauge: &Gauge| Value::Level { unit, summary: gauge.clone().finish(now) };
            metrics.put("placement.queued", &labels, level("allocs", &state.queued));
            metrics.put("placement.blocked", &labels, level("evals", &state.blocked));
            metrics.put("placement.latency", &labels, Value::Times(state.latency.clone()));
            metrics.put("placement.start_latency", &labels, Value::Times(state.start_latency.clone()));
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
        let Notice::AllocPlaced { instance, alloc, machine, asked_at } = notice else { return };
        let state = &mut self.regions[instance.region];
        if at.since(Time::ZERO) >= self.spec.warmup {
            state.latency.record(at.since(*asked_at).as_nanos());
        }
        if alloc.previous.is_some() {
            state.turnover.replaced(at);
        }
        let group = &alloc.task_group().name;
        let next = GroupNumber(state.groups.len() as u32);
        let number = *state.groups.entry((alloc.job_id, Arc::clone(group))).or_insert(next);
        let runs_once = matches!(alloc.job.kind, JobKind::Service | JobKind::Batch);
        let registered_at = if runs_once {
            state.turnover.placed(at, alloc.job_id, (number, alloc.name_index)).filter(|_| alloc.previous.is_none())
        } else {
            None
        };
        let placement = Placement {
            instance: *instance,
            job: alloc.job_id,
            job_name: Arc::clone(&alloc.job.name),
            group: Arc::clone(group),
            index: alloc.name_index,
            priority: alloc.job.priority,
            machine: *machine,
            previous: alloc.previous,
            resources: alloc.resources.clone(),
            eval: alloc.eval,
            score: alloc.score_nanos as f64 / 1e9,
            preempted: alloc.preempted.clone(),
            why: state.reasons.placed(alloc),
            asked_at: *asked_at,
            registered_at,
            placed_at: at,
            running_at: None,
            ended: None,
        };
        state.balance.add(at, number, alloc, *machine);
        state.room.hold(at, *machine, &placement.resources, 1);
        self.count(at, *machine, 1);
        self.placements[instance.region].insert(placement);
    }

    fn running(&mut self, at: Time, instance: Instance) {
        let Some(placement) = self.placements[instance.region].get_mut(instance.alloc) else { return };
        if placement.running_at.is_none() {
            placement.running_at = Some(at);
            let state = &mut self.regions[instance.region];
            if at.since(Time::ZERO) >= self.spec.warmup {
                state.start_latency.record(at.since(placement.placed_at).as_nanos());
            }
            if let Some(registered) = placement.registered_at {
                state.turnover.running(at, at.since(registered));
            }
        }
    }

    fn changed(&mut self, at: Time, instance: Instance, desired: Desired, client: ClientStatus) {
        let terminal = desired != Desired::Run
            || matches!(client, ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost);
        if !terminal {
            return;
        }
        let Some(placement) = self.placements[instance.region].get_mut(instance.alloc) else { return };
        if placement.ended.is_some() {
            return;
        }
        placement.ended = Some((at, desired, client));
        let state = &mut self.regions[instance.region];
        state.turnover.ended(at, placement.priority, (desired, client));
        let number = state.groups.get(&(placement.job, Arc::clone(&placement.group)));
        let number = *number.expect("a group has a number from its first allocation on");
        state.turnover.left(at, (number, placement.index));
        state.balance.remove(at, number, placement.machine);
        state.room.hold(at, placement.machine, &placement.resources, -1);
        let machine = placement.machine;
        self.count(at, machine, -1);
    }

    /// Counts an allocation in its zone in (`sign` 1) or out (-1).
    fn count(&mut self, at: Time, machine: MachineId, sign: i64) {
        let zone = self.spec.machines[machine].zone;
        self.zones[zone].add(at, sign as f64);
        self.zone_counts[zone] += sign;
        let region = self.spec.zones[zone].region;
        let zones = &self.client_zones[region];
        let counts = || zones.iter().map(|&zone| self.zone_counts[zone]);
        let (total, most) = (counts().sum::<i64>(), counts().max().unwrap_or(0));
        let skew = if total > 0 { most as f64 * zones.len() as f64 / total as f64 } else { 1.0 };
        self.regions[region].skew.set(at, skew);
    }
}

/// The zones of a region that have client machines, each once.
fn client_zones(spec: &WorldSpec, region: RegionId) -> Vec<ZoneId> {
    let clients = &spec.regions[region].clients;
    let mut zones: Vec<ZoneId> = clients.iter().map(|machine| spec.machines[*machine].zone).collect();
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// Width of the buckets of the charts.
pub const WIDTH: Duration = Duration::from_secs(10);

/// Zone and node of every client machine of a region; nodes are numbered in their order.
fn places(spec: &WorldSpec, region: RegionId) -> OrdMap<MachineId, Place> {
    let place = |(number, machine): (u32, &MachineId)| {
        let MachineRole::Client(node) = &spec.machines[*machine].role else { return None };
        let zone = Arc::clone(&spec.zones[spec.machines[*machine].zone].name);
        Some((*machine, Place { zone, node: Arc::clone(node), id: NodeId(number) }))
    };
    (0..).zip(&spec.regions[region].clients).filter_map(place).collect()
}
