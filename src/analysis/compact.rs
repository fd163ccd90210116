//! How few machines the work of a scenario fits on: Borg's cell compaction (Verma and others, "Large-scale cluster
//! management at Google with Borg", `EuroSys` 2015, §5.1).
//!
//! Each of eleven trials takes the machines away in a random order of its own until the work no longer fits, packing
//! it anew into the empty cell each time, so that an unlucky packing does not hang on; the figure is the 90th
//! percentile of the trials. Machines of one datacenter and node pool stand in for each other; those of different ones
//! do not, so they are taken away one set after the other: what the last machine of a scarce datacenter holds keeps no
//! idle machine of another. A cell that is too small to begin with is cloned. A small share of the allocations may
//! stay without a place, as there. The same is asked once more of cells that have to place everything again after the
//! loss of any one zone.
//!
//! Where the work fits on some machines of the order, it is taken to fit on more of them, so that the turning point
//! is found by bisection. Constraints of jobs with more allocations than half the cell has machines are taken as
//! preferences, as there: on few machines nothing else could be said of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::analysis::batch::Wish;
use crate::analysis::batch::batch;
use crate::analysis::run::{RunError, Shared};
use crate::base::id::Id;
use crate::base::rng::Rng;
use crate::model::constraint::{Affinity, Constraint, Spread};
use crate::model::job::{Job, JobKind};
use crate::model::node::{NodeId, NodeSpec};
use crate::model::topology::{RegionId, ZoneId};
use crate::world::packing::{Cell, Homeless};
use crate::world::spec::{MachineRole, WorldSpec};

/// Which trials are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trials {
    /// How many. Borg's is 11.
    pub count: u32,
    /// Share of the allocations that may stay without a place, in 0..1. Borg's is 0.002.
    pub homeless: f64,
    /// Whether constraints stay constraints for jobs of any size. Borg's do not.
    pub hard: bool,
}

/// The cell of one region, compacted.
#[derive(Debug, Clone)]
pub struct Compacted {
    /// The region.
    pub region: RegionId,
    /// Client machines it has.
    pub machines: usize,
    /// Allocations wanted, those of system jobs left out: they are as many as machines.
    pub wanted: u64,
    /// Jobs whose constraints were taken as preferences, by name.
    pub softened: Vec<Arc<str>>,
    /// Copies of the cell that were packed, 1 unless the work did not fit otherwise.
    pub copies: u32,
    /// Machines needed, by trial, ascending; empty if the work fits on no number of copies.
    pub needed: Vec<Trial>,
    /// Copies that were packed to survive the loss of any one zone; `None` with a single zone.
    pub copies_surviving: Option<u32>,
    /// Machines needed for that, by trial, ascending; empty if it never survives, or with a single zone.
    pub surviving: Vec<Trial>,
    /// What does not fit on the largest cell that was tried, if the work never fits.
    pub homeless: Vec<Homeless>,
    /// What does not fit after the loss of a zone, if the work fits but never survives that.
    pub bereft: Option<Bereft>,
}

/// Work that has no place after the loss of a zone.
#[derive(Debug, Clone)]
pub struct Bereft {
    /// The zone: the first of the region with such work.
    pub zone: ZoneId,
    /// What has no place.
    pub homeless: Vec<Homeless>,
}

/// What one trial came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trial {
    /// Machines.
    pub machines: usize,
    /// What they cost, in millionths of a dollar per hour; zero for machines without a price.
    pub micros_per_hour: u64,
}

/// The 90th percentile of trials in ascending order, by nearest rank.
pub fn p90(trials: &[Trial]) -> Option<Trial> {
    let rank = (trials.len() * 9).div_ceil(10);
    trials.get(rank.checked_sub(1)?).copied()
}

/// Most copies of a cell.
const COPIES_MAX: u32 = 16;

/// What is packed in a region.
#[derive(Clone)]
struct Work<'a> {
    spec: &'a WorldSpec,
    region: RegionId,
    jobs: Vec<Arc<Job>>,
    nodes: Vec<(NodeId, Arc<NodeSpec>)>,
    /// Allocations that may stay without a place.
    may_wait: u64,
    zones: &'a [ZoneId],
}

/// Why some machines are too few.
struct Misfit {
    /// The zone that was lost; `None` if the work does not fit even on all of them.
    zone: Option<ZoneId>,
    homeless: Vec<Homeless>,
}

/// Compacts the cell of every region that has work.
pub fn compact(
    spec: &WorldSpec,
    trials: Trials,
    threads: Option<usize>,
    tick: &mut dyn FnMut(usize, usize) -> Wish,
) -> Result<Vec<Compacted>, RunError> {
    let regions: Vec<RegionId> = spec.regions.ids().filter(|region| !jobs(spec, *region).is_empty()).collect();
    let all = regions.len() * trials.count as usize;
    let mut out = Vec::new();
    for (at, region) in regions.into_iter().enumerate() {
        let before = at * trials.count as usize;
        let mut tick = |done| tick(before + done, all);
        out.push(compacted(spec, region, trials, threads, &mut tick)?);
    }
    Ok(out)
}

/// Jobs registered at the start, in the order in which they are.
pub(super) fn jobs(spec: &WorldSpec, region: RegionId) -> Vec<Arc<Job>> {
    spec.jobs.iter().filter(|(_, job)| job.region == region).map(|(_, job)| Arc::clone(&job.job)).collect()
}

/// The client machines of a region.
pub(super) fn nodes(spec: &WorldSpec, region: RegionId) -> Vec<(NodeId, Arc<NodeSpec>)> {
    let clients = spec.regions[region].clients.iter().enumerate();
    let node = |(at, machine): (usize, &crate::world::spec::MachineId)| match &spec.machines[*machine].role {
        MachineRole::Client(node) => Some((NodeId::from_index(at), Arc::clone(node))),
        MachineRole::NomadServer | MachineRole::ConsulServer => None,
    };
    clients.filter_map(node).collect()
}

fn compacted(
    spec: &WorldSpec,
    region: RegionId,
    trials: Trials,
    threads: Option<usize>,
    tick: &mut dyn FnMut(usize) -> Wish,
) -> Result<Compacted, RunError> {
    let (mut jobs, nodes) = (jobs(spec, region), nodes(spec, region));
    let softened = if trials.hard { Vec::new() } else { soften(&mut jobs, nodes.len()) };
    let counts = jobs.iter().filter(|job| matches!(job.kind, JobKind::Service | JobKind::Batch) && !job.is_parent());
    let wanted = counts.flat_map(|job| &job.groups).map(|group| u64::from(group.count)).sum();
    let may_wait = libm::floor(wanted as f64 * trials.homeless) as u64;
    let mut as_is = Work { spec, region, jobs, nodes, may_wait, zones: &spec.regions[region].zones };
    let machines = as_is.nodes.len();
    // As many copies as it takes to fit; more of them only for what has to survive.
    let mut go_on = || tick(0) == Wish::GoOn;
    as_is.grow(machines, false, &mut go_on)?;
    let mut surviving = as_is.clone();
    let several = surviving.zones.len() > 1;
    let lost = if several { surviving.grow(machines, true, &mut go_on)? } else { None };
    let survivable = several && lost.is_none();
    let bereft = lost.and_then(|Misfit { zone, homeless }| Some(Bereft { zone: zone?, homeless }));
    let numbers: Vec<u64> = (0..u64::from(trials.count)).collect();
    let trial = |seed: &u64, shared: &Shared| {
        let needed = as_is.trial(machines, *seed, false, shared)?;
        let surviving = if survivable { surviving.trial(machines, *seed, true, shared)? } else { None };
        Ok((needed, surviving))
    };
    let results = batch(&numbers, threads, trial, tick)?;
    // One trial that never fits makes the percentile meaningless.
    let sorted = |all: Option<Vec<Trial>>| {
        let mut all = all.unwrap_or_default();
        all.sort_unstable();
        all
    };
    let needed = sorted(results.iter().map(|(needed, _)| *needed).collect());
    let mut go_on = || tick(numbers.len()) == Wish::GoOn;
    let homeless = if needed.is_empty() { as_is.packed(&as_is.nodes, 0, &mut go_on)?.homeless() } else { Vec::new() };
    let copies = |work: &Work<'_>| u32::try_from(work.nodes.len() / machines).unwrap_or(COPIES_MAX);
    Ok(Compacted {
        region,
        machines,
        wanted,
        softened,
        copies: copies(&as_is),
        needed,
        copies_surviving: several.then(|| copies(&surviving)),
        surviving: sorted(results.iter().map(|(_, surviving)| *surviving).collect()),
        homeless,
        bereft,
    })
}

/// Takes the constraints of jobs that are larger than half the cell as preferences; the names of those that have some.
fn soften(jobs: &mut [Arc<Job>], machines: usize) -> Vec<Arc<str>> {
    let mut softened = Vec::new();
    for job in jobs.iter_mut().filter(|job| matches!(job.kind, JobKind::Service | JobKind::Batch)) {
        let wanted: u64 = job.groups.iter().map(|group| u64::from(group.count)).sum();
        let tasks = job.groups.iter().flat_map(|group| &group.tasks).map(|task| &task.constraints);
        let groups = job.groups.iter().map(|group| &group.constraints);
        let has_some = tasks.chain(groups).chain([&job.constraints]).any(|constraints| !constraints.is_empty());
        if 2 * wanted > machines as u64 && has_some {
            softened.push(Arc::clone(&job.name));
            *job = Arc::new(preferring(job));
        }
    }
    softened
}

/// A job that prefers what it demanded.
fn preferring(job: &Job) -> Job {
    let mut job = job.clone();
    let (wishes, spreads) = preferences(std::mem::take(&mut job.constraints));
    job.affinities.extend(wishes);
    job.spreads.extend(spreads);
    for group in &mut job.groups {
        let (wishes, spreads) = preferences(std::mem::take(&mut group.constraints));
        group.affinities.extend(wishes);
        group.spreads.extend(spreads);
        for task in &mut group.tasks {
            let (wishes, spreads) = preferences(std::mem::take(&mut task.constraints));
            task.affinities.extend(wishes);
            group.spreads.extend(spreads);
        }
    }
    job
}

/// Constraints as affinities of full weight. That instances of a group prefer different hosts is so anyway; different
/// values of a property are preferred by spreading over them.
fn preferences(constraints: Vec<Constraint>) -> (Vec<Affinity>, Vec<Spread>) {
    let (mut affinities, mut spreads) = (Vec::new(), Vec::new());
    for Constraint { left, operator, right } in constraints {
        match operator.as_str() {
            "distinct_hosts" => {}
            "distinct_property" => spreads.push(Spread { attribute: left, weight: 100, targets: Vec::new() }),
            _ => affinities.push(Affinity { left, operator, right, weight: 100 }),
        }
    }
    (affinities, spreads)
}

impl Work<'_> {
    /// Clones the cell until the work fits; tells what does not fit on the largest.
    fn grow(
        &mut self,
        machines: usize,
        survives: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Misfit>, RunError> {
        while let Some(misfit) = self.misfit(&self.nodes, 0, survives, go_on)? {
            if !self.clone_cell(machines) {
                return Ok(Some(misfit));
            }
        }
        Ok(None)
    }

    /// Twice the machines, as far as there are not too many copies. False if there are the most already.
    fn clone_cell(&mut self, machines: usize) -> bool {
        let more = self.nodes.len().min(machines * COPIES_MAX as usize - self.nodes.len());
        for number in self.nodes.len()..self.nodes.len() + more {
            let original = &self.nodes[number % machines].1;
            let name = format!("{}~{}", original.name, number / machines + 1);
            let copy = NodeSpec { name: name.into(), ..NodeSpec::clone(original) };
            self.nodes.push((NodeId::from_index(number), Arc::new(copy)));
        }
        more > 0
    }

    /// One trial. A cell that is too small for the order it packs in is cloned as well.
    fn trial(&self, machines: usize, seed: u64, survives: bool, shared: &Shared) -> Result<Option<Trial>, RunError> {
        let mut work = self.clone();
        loop {
            let found = work.fewest(&work.order(seed), seed, survives, shared)?;
            if found.is_some() || !work.clone_cell(machines) {
                return Ok(found);
            }
        }
    }

    /// The machines in the order in which the last are taken away first.
    fn order(&self, seed: u64) -> Vec<(NodeId, Arc<NodeSpec>)> {
        let mut order = self.nodes.clone();
        let name = format!("compact/{}", self.spec.regions[self.region].name);
        Rng::stream(seed, &name).shuffle(&mut order);
        order
    }

    /// `go_on` is asked again and again whether it is to be; [`RunError::Interrupted`] if not.
    fn packed(
        &self,
        nodes: &[(NodeId, Arc<NodeSpec>)],
        seed: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Cell, RunError> {
        let mut sorted = nodes.to_vec();
        sorted.sort_by_key(|(id, _)| *id);
        let mut cell = Cell::new(self.spec.options.scheduler.clone(), seed, sorted);
        if cell.place(&self.jobs, go_on) { Ok(cell) } else { Err(RunError::Interrupted) }
    }

    fn fits(
        &self,
        nodes: &[(NodeId, Arc<NodeSpec>)],
        seed: u64,
        survives: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, RunError> {
        Ok(self.misfit(nodes, seed, survives, go_on)?.is_none())
    }

    /// What does not fit; `None` if the work fits.
    fn misfit(
        &self,
        nodes: &[(NodeId, Arc<NodeSpec>)],
        seed: u64,
        survives: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Misfit>, RunError> {
        let cell = self.packed(nodes, seed, go_on)?;
        if cell.homeless_count() > self.may_wait {
            return Ok(Some(Misfit { zone: None, homeless: cell.homeless() }));
        }
        for zone in self.zones.iter().filter(|_| survives) {
            let lost: Vec<NodeId> = nodes.iter().filter(|(_, node)| node.zone == *zone).map(|(id, _)| *id).collect();
            let mut rest = cell.clone();
            if !rest.lose(&lost, go_on) {
                return Err(RunError::Interrupted);
            }
            if rest.homeless_count() > self.may_wait {
                return Ok(Some(Misfit { zone: Some(*zone), homeless: rest.homeless() }));
            }
        }
        Ok(None)
    }

    /// The fewest machines that the work fits on, of each datacenter and pool the first ones of an order.
    fn fewest(
        &self,
        order: &[(NodeId, Arc<NodeSpec>)],
        seed: u64,
        survives: bool,
        shared: &Shared,
    ) -> Result<Option<Trial>, RunError> {
        let mut go_on = || !shared.stop.load(Ordering::Relaxed);
        if !self.fits(order, seed, survives, &mut go_on)? {
            return Ok(None);
        }
        let mut sets: Vec<Vec<(NodeId, Arc<NodeSpec>)>> = Vec::new();
        for node in order {
            let is_like = |set: &Vec<(NodeId, Arc<NodeSpec>)>| {
                (&set[0].1.datacenter, &set[0].1.pool) == (&node.1.datacenter, &node.1.pool)
            };
            match sets.iter_mut().find(|set| is_like(set)) {
                Some(set) => set.push(node.clone()),
                None => sets.push(vec![node.clone()]),
            }
        }
        for at in 0..sets.len() {
            let others: Vec<_> =
                (0..sets.len()).filter(|other| *other != at).flat_map(|set| sets[set].clone()).collect();
            // One more than the machines known to be too few, and than those known to be enough. No cell is empty.
            let (mut too_few, mut enough) = (usize::from(others.is_empty()), sets[at].len() + 1);
            while enough - too_few > 1 {
                let middle = usize::midpoint(too_few, enough);
                let kept = [&others, &sets[at][..middle - 1]].concat();
                if self.fits(&kept, seed, survives, &mut go_on)? { enough = middle } else { too_few = middle }
            }
            sets[at].truncate(enough - 1);
        }
        let kept: Vec<NodeId> = sets.iter().flatten().map(|(id, _)| *id).collect();
        let clients = &self.spec.regions[self.region].clients;
        let price = |id: &NodeId| self.spec.machines[clients[id.index() % clients.len()]].price_per_million_hours;
        let cost = kept.iter().map(|id| price(id).unwrap_or(0)).sum();
        Ok(Some(Trial { machines: kept.len(), micros_per_hour: cost }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ninetieth_percentile_of_eleven_is_the_tenth() {
        let trials: Vec<Trial> = (1..=11).map(|machines| Trial { machines, micros_per_hour: 0 }).collect();
        assert_eq!(p90(&trials).map(|trial| trial.machines), Some(10));
        assert_eq!(p90(&trials[..1]).map(|trial| trial.machines), Some(1));
        assert_eq!(p90(&[]), None);
    }

    /// One machine, and so one zone, however often it is cloned.
    #[test]
    fn what_does_not_survive_the_loss_of_a_zone_is_told_with_the_cell_that_was_tried() {
        let compacted = |edits: &[&str]| {
            let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
            let loaded = crate::scenario::load(std::path::Path::new("scenarios/plan-zone-loss.ron"), &edits);
            let spec = loaded.lowered.unwrap().world;
            let trials = Trials { count: 1, homeless: 0.0, hard: false };
            let cells = compact(&spec, trials, Some(1), &mut |_, _| Wish::GoOn).unwrap();
            let text = crate::report::cell::compacted_text(&spec, &cells);
            let json: serde_json::Value =
                serde_json::from_str(&crate::report::cell::compacted_json(&spec, &cells)).unwrap();
            (text, json)
        };
        let (text, json) = compacted(&["regions[0].clients[0].count=1", "jobs[0].groups[0].count=5"]);
        assert!(text.contains("us-east-1, any one zone lost") && text.contains("does not fit on 16"), "{text}");
        assert!(text.contains("us-east-1, zone a lost: shop.web: 5 without a place"), "{text}");
        assert_eq!((&json[0]["copies"], &json[0]["needed"]["p90"]), (&2.into(), &2.into()), "{json}");
        let (lost, copies) = (&json[0]["unplaced_with_zone_lost"], &json[0]["copies_with_any_zone_lost"]);
        assert_eq!((&lost["zone"], copies, &lost["groups"][0]["count"]), (&"a".into(), &16.into(), &5.into()));
        // Three machines hold twelve, and as they are they are not cloned for what has to survive.
        let (text, json) = compacted(&["regions[0].clients[0].count=3"]);
        assert_eq!((&json[0]["copies"], &json[0]["needed"]["p90"]), (&1.into(), &3.into()), "{json}");
        assert_eq!(json[0]["copies_with_any_zone_lost"], 2, "{json}");
        assert!(text.contains("any one zone lost: packed into 2 copies of its machines"), "{text}");
        // Here nothing is lost, and there nothing fits to begin with.
        let (_, json) = compacted(&["jobs[0].groups[0].count=5"]);
        assert!(json[0]["unplaced_with_zone_lost"].is_null(), "{json}");
        let (text, json) = compacted(&["regions[0].clients[0].count=1", "jobs[0].groups[0].count=80"]);
        assert!(json[0]["unplaced_with_zone_lost"].is_null() && json[0]["unplaced"][0]["count"] == 16, "{json}");
        assert_eq!(text.matches("does not fit on 16").count(), 2, "{text}");
    }
}
