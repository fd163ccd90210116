//! The failover breakdown: what each fault cost, stage by stage, from the instant it struck to the first good request.
//!
//! A stage belongs to an allocation that stood on a machine the fault took away. Its chain is followed by reference,
//! not
//! by time: the node is marked down; the allocation that names it as its predecessor (or takes over its name) is
//! written (and again, if that one lands on a machine that is gone too but not yet known to be); that one's task runs;
//! its checks pass; a proxy takes it into its table; a request it answered ends well.
//! Elections are followed beside it, for the groups whose leader was hit.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::{Duration, Time};
use crate::measure::by_instance::ByInstance;
use crate::measure::control::ControlRecorder;
use crate::measure::distribution::Distribution;
use crate::measure::metric::{Metrics, Value};
use crate::measure::placement::{Placement, PlacementRecorder};
use crate::measure::requests::RequestRecorder;
use crate::model::job::{JobId, JobKind};
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::proxy::message::RequestNumber;
use crate::world::event::{Group, Instance, Notice, Outcome, System};
use crate::world::spec::{Action, EntryId, MachineId, OutageKind, TrafficId, WorldSpec};

/// The stages of one allocation's replacement, in order.
pub const STAGES: [&str; 6] = ["detect", "replace", "start", "healthy", "route", "request"];

/// A second counts as an outage when fewer than this share of its requests succeed.
pub const OUTAGE_BELOW: f64 = 0.95;

/// What one fault did.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// Which entry of the timeline.
    pub entry: EntryId,
    /// When it struck, as written.
    pub at: Time,
    /// Machines it hit, ascending; of a fault of links those it is aimed at, on either side. Empty if it hit nobody.
    pub hit: Arc<[MachineId]>,
    /// What tells this run from others: which leaders were hit.
    pub case: String,
    /// Elections it forced.
    pub elections: Vec<Election>,
    /// Replacements it forced.
    pub chains: Vec<Chain>,
    /// Per source: seconds of outage and the longest time without a good answer.
    pub outages: IdVec<TrafficId, Outage>,
}

/// A group that lost its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// Which.
    pub group: Group,
    /// When a leader was elected again: another, or the one that was hit if it came back in time.
    pub elected: Option<Time>,
    /// When it was ready to serve.
    pub ready: Option<Time>,
}

/// One allocation lost with its machine, and what took its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The lost one.
    pub lost: Instance,
    /// Where it was.
    pub machine: MachineId,
    /// Its job, group and number.
    pub place: (JobId, Arc<str>, u32),
    /// Its checks had passed by then.
    pub was_healthy: bool,
    /// Some proxy had sent to it by then.
    pub was_routed: bool,
    /// Some request had been sent to it by then.
    pub was_served: bool,
    /// What took its place.
    pub replacement: Option<Instance>,
    /// When each stage ended, by position in [`STAGES`].
    pub ends: [Option<Time>; STAGES.len()],
    /// Which stages had not ended when the run did, though they were still waited for; begun or not.
    pub awaited: [bool; STAGES.len()],
}

impl Chain {
    /// How long each finished stage took; a stage that ended before its forerunner took no time.
    pub fn spans(&self, fault: Time) -> [Option<Duration>; STAGES.len()] {
        let mut previous = fault;
        self.ends.map(|end| {
            let end = end?;
            let span = end.since(previous);
            previous = previous.max(end);
            Some(span)
        })
    }

    /// The first stage that was still waited for when the run ended.
    fn stuck_in(&self) -> Option<usize> {
        self.awaited.iter().position(|awaited| *awaited)
    }

    /// The last stage that ended, and when.
    fn last_end(&self) -> Option<Time> {
        self.ends.iter().flatten().max().copied()
    }
}

/// What the users of one source suffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outage {
    /// Seconds in which fewer than [`OUTAGE_BELOW`] of the requests that ended did so well.
    pub seconds: u64,
    /// Longest time between two good answers.
    pub gap: Duration,
}

impl Failover {
    /// The chain that was restored last: the critical path. What was not restored before the run ended comes last of
    /// all, and the least far of it. `None` if nothing was lost, or nothing restored or waited for.
    pub fn critical(&self) -> Option<&Chain> {
        let counts = |chain: &&Chain| chain.replacement.is_some() || chain.stuck_in().is_some();
        let how_late = |chain: &&Chain| (chain.stuck_in().map(std::cmp::Reverse), chain.last_end());
        self.chains.iter().filter(counts).max_by_key(how_late)
    }

    /// Lost allocations that nothing replaced before the run ended.
    pub fn unreplaced(&self) -> usize {
        self.chains.iter().filter(|chain| chain.replacement.is_none()).count()
    }
}

/// Follows faults.
#[derive(Debug, Clone)]
pub struct FailoverRecorder {
    spec: Arc<WorldSpec>,
    failovers: Vec<Failover>,
    by_replacement: ByInstance<Place>,
    waiting_by_lost: OrdMap<Instance, Place>,
    /// Chains whose wait another one has taken over, from a machine that was back unnoticed.
    over: OrdSet<Place>,
    last_good: IdVec<TrafficId, Time>,
    /// The machines each of them hit.
    hit: Vec<OrdSet<MachineId>>,
    /// What stood on nodes that were given up without being lost.
    given_up: OrdSet<Instance>,
    /// Groups whose leader was hit by a fault that lasts and still leads, with the number of the last such fault; a
    /// slow one may keep its office.
    in_office: OrdMap<Group, usize>,
    /// What has passed its checks at some time.
    healthy: OrdSet<Instance>,
    /// What has stood in some proxy's table at some time.
    routed: OrdSet<Instance>,
    /// What was sent some request.
    served: ByInstance<()>,
    /// Good answers of replacements that have had none yet, on their way to the users.
    first_served: OrdMap<RequestNumber, Place>,
}

/// Where a chain is: which failover, and which of its chains.
type Place = (usize, usize);

impl FailoverRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        Self {
            spec: Arc::clone(spec),
            failovers: Vec::new(),
            by_replacement: ByInstance::default(),
            waiting_by_lost: OrdMap::new(),
            over: OrdSet::new(),
            last_good: spec.traffic.iter().map(|(_, traffic)| traffic.start).collect(),
            hit: Vec::new(),
            given_up: OrdSet::new(),
            in_office: OrdMap::new(),
            healthy: OrdSet::new(),
            routed: OrdSet::new(),
            served: ByInstance::default(),
            first_served: OrdMap::new(),
        }
    }

    /// Takes in a notice that is not about a request; `placement` and `control` have seen it already.
    pub fn observe(&mut self, at: Time, notice: &Notice, placement: &PlacementRecorder, control: &ControlRecorder) {
        match notice {
            Notice::EntryBegins { entry, machines } if is_fault(&self.spec.timeline[*entry].action) => {
                self.begin(*entry, machines, placement, control);
            }
            Notice::LeaderLost { group, .. } => self.office_lost(*group),
            Notice::LeaderElected { group, .. } => {
                self.office_lost(*group);
                self.elections(*group, |election| election.elected = election.elected.or(Some(at)));
            }
            Notice::LeaderReady { group, .. } => self.elections(*group, |election| {
                election.ready = election.ready.or(election.elected.map(|_| at));
            }),
            Notice::NodeStatus { machine, ready: false, .. } => self.node_down(at, *machine, placement),
            Notice::AllocPlaced { .. } => self.placed(at, notice, placement),
            Notice::TaskRunning { instance, running: true, .. } => self.stage(at, *instance, START),
            Notice::InstanceHealth { instance, status: CheckStatus::Passing, .. } => {
                self.healthy.insert(*instance);
                self.stage(at, *instance, HEALTHY);
            }
            Notice::TableSwapped { gained, .. } => {
                for target in gained.iter() {
                    self.routed.insert(target.instance);
                    self.stage(at, target.instance, ROUTE);
                }
            }
            _ => {}
        }
    }

    /// Ends the run and writes the metrics.
    pub fn finish(
        mut self,
        now: Time,
        placement: &PlacementRecorder,
        requests: &RequestRecorder,
        metrics: &mut Metrics,
    ) -> Vec<Failover> {
        // A node that was given up and came back in time kept its work; one that came back unnoticed had none replaced.
        let standing = placement.placements().filter(|p| p.ended.is_none()).map(|p| p.instance);
        let kept: OrdSet<Instance> = standing.filter(|instance| self.given_up.contains(instance)).collect();
        let is_due = |place: Place, chain: &Chain| {
            let is_lost = chain.ends[DETECT].is_some() || self.is_away(chain.machine, now);
            chain.replacement.is_some()
                || (is_lost
                    && !self.over.contains(&place)
                    && !kept.contains(&chain.lost)
                    && !self.is_dismissed(chain, now, placement))
        };
        let due_of = |(number, failover): (usize, &Failover)| {
            failover.chains.iter().enumerate().map(|(index, chain)| is_due((number, index), chain)).collect()
        };
        let due: Vec<Vec<bool>> = self.failovers.iter().enumerate().map(due_of).collect();
        for (failover, due) in self.failovers.iter_mut().zip(due) {
            let mut due = due.into_iter();
            failover.chains.retain(|_| due.next().unwrap_or(true));
        }
        let awaited = |chain: &Chain| std::array::from_fn(|stage| self.is_awaited(chain, stage, now, placement));
        let awaited: Vec<_> = self.failovers.iter().flat_map(|failover| &failover.chains).map(awaited).collect();
        let chains = self.failovers.iter_mut().flat_map(|failover| &mut failover.chains);
        chains.zip(awaited).for_each(|(chain, awaited)| chain.awaited = awaited);
        // Faults at one instant share what users suffered until the next one.
        let next = |failover: &Failover| self.failovers.iter().map(|other| other.at).find(|at| *at > failover.at);
        let ends: Vec<Time> = self.failovers.iter().map(|failover| next(failover).unwrap_or(now)).collect();
        for traffic in self.spec.traffic.ids() {
            let from = self.last_good[traffic];
            self.gap(traffic, from, now);
        }
        for (failover, end) in self.failovers.iter_mut().zip(ends) {
            let seconds = failover.at.as_nanos() / SECOND..end.as_nanos() / SECOND;
            failover.elections.sort_by_key(|election| election.group);
            for (traffic, outage) in failover.outages.iter_mut() {
                outage.seconds = seconds
                    .clone()
                    .filter(|&second| {
                        let (good, bad) = requests.second(traffic, second as usize);
                        good + bad > 0 && (good as f64) < OUTAGE_BELOW * (good + bad) as f64
                    })
                    .count() as u64;
            }
        }
        self.write(metrics);
        self.failovers
    }

    fn begin(
        &mut self,
        entry: EntryId,
        machines: &Arc<[MachineId]>,
        placement: &PlacementRecorder,
        control: &ControlRecorder,
    ) {
        let at = self.spec.timeline[entry].at;
        let hit: OrdSet<MachineId> = machines.iter().copied().collect();
        let mut hit_leaders = Vec::new();
        let (spec, failovers) = (&self.spec, &self.failovers);
        self.in_office.retain(|_, number| {
            let Failover { entry, at: struck, .. } = failovers[*number];
            spec.timeline[entry].lasts.is_none_or(|lasts| struck + lasts > at)
        });
        for system in [System::Nomad, System::Consul] {
            for region in self.spec.regions.ids() {
                let group = Group { system, region };
                if control.leader(group).is_some_and(|leader| hit.contains(&leader)) {
                    self.in_office.insert(group, self.failovers.len());
                    if !hit_leaders.contains(&system.name()) {
                        hit_leaders.push(system.name());
                    }
                }
            }
        }
        let case = match hit_leaders.as_slice() {
            [] => "no leader hit".to_owned(),
            [one] => format!("{one} leader hit"),
            _ => "both leaders hit".to_owned(),
        };
        let takes_machines = loses_machines(&self.spec.timeline[entry].action);
        // What an earlier fault has taken and still keeps away is lost already.
        let is_lost_before = |placed: &Placement| {
            self.waiting_by_lost.contains_key(&placed.instance) && self.is_away(placed.machine, at)
        };
        let is_lost = |placed: &Placement| takes_machines && hit.contains(&placed.machine) && !is_lost_before(placed);
        let mut chains: Vec<Chain> = self.chains(placement, is_lost).collect();
        for (index, chain) in chains.iter_mut().enumerate() {
            self.take_over(chain);
            self.waiting_by_lost.insert(chain.lost, (self.failovers.len(), index));
        }
        let outages = self.spec.traffic.ids().map(|_| Outage::default()).collect();
        let (hit_machines, elections) = (Arc::clone(machines), Vec::new());
        self.failovers.push(Failover { entry, at, hit: hit_machines, case, elections, chains, outages });
        self.hit.push(hit);
    }

    /// What an earlier chain had come to, or waited for, begins anew with this one: the machine was back, unnoticed, or
    /// its replacement is lost, and what that was to bring back is missing still.
    fn take_over(&mut self, chain: &mut Chain) {
        if let Some(place) = self.waiting_by_lost.remove(&chain.lost) {
            self.over.insert(place);
        }
        if let Some(place) = self.by_replacement.remove(chain.lost) {
            let earlier = self.chain(place);
            chain.was_healthy |= earlier.was_healthy;
            chain.was_routed |= earlier.was_routed;
            chain.was_served |= earlier.was_served;
        }
    }

    /// Whether some fault keeps a machine away at an instant.
    fn is_away(&self, machine: MachineId, at: Time) -> bool {
        self.failovers.iter().zip(&self.hit).any(|(failover, hit)| {
            let entry = &self.spec.timeline[failover.entry];
            let stands = entry.lasts.is_none_or(|lasts| failover.at + lasts > at);
            stands && hit.contains(&machine) && loses_machines(&entry.action)
        })
    }

    /// Whether a job's work stands on every node: what a node held of it comes back with the node and is not replaced.
    fn is_bound(&self, region: RegionId, name: &str) -> bool {
        let first = self.spec.jobs.iter().map(|(_, job)| (job.region, &job.job));
        let later = self.spec.timeline.iter().filter_map(|(_, entry)| match &entry.action {
            Action::RegisterJob { region, job } => Some((*region, job)),
            _ => None,
        });
        first
            .chain(later)
            .find(|(of, job)| *of == region && &*job.name == name)
            .is_some_and(|(_, job)| matches!(job.kind, JobKind::System | JobKind::SysBatch))
    }

    /// An instance answers a request well.
    pub fn request_served(&mut self, number: RequestNumber, instance: Instance) {
        self.served.insert(instance, ());
        if let Some(place) = self.by_replacement.get(instance)
            && self.chain(place).ends[SERVED].is_none()
        {
            self.first_served.insert(number, place);
        }
    }

    /// A request is over.
    pub fn request_ended(&mut self, at: Time, traffic: TrafficId, number: RequestNumber, outcome: Outcome) {
        let served = if self.first_served.is_empty() { None } else { self.first_served.remove(&number) };
        if outcome != Outcome::Ok {
            return;
        }
        let before = std::mem::replace(&mut self.last_good[traffic], at);
        self.gap(traffic, before, at);
        if let Some(place) = served {
            end_stage(self.chain_mut(place), SERVED, at);
        }
    }

    /// There was no good answer between two instants: that goes to every fault whose time, until the next one strikes,
    /// it reaches into.
    fn gap(&mut self, traffic: TrafficId, from: Time, to: Time) {
        let (mut end, mut next) = (Time::NEVER, Time::NEVER);
        for failover in self.failovers.iter_mut().rev() {
            if failover.at < next {
                end = next;
            }
            next = failover.at;
            if end <= from {
                return;
            }
            let outage = &mut failover.outages[traffic];
            outage.gap = outage.gap.max(to.since(from));
        }
    }

    /// A leader that was hit no longer leads: what follows is an election the fault forced.
    fn office_lost(&mut self, group: Group) {
        if let Some(number) = self.in_office.remove(&group) {
            self.failovers[number].elections.push(Election { group, elected: None, ready: None });
        }
    }

    fn elections(&mut self, group: Group, change: impl Fn(&mut Election)) {
        let elections = self.failovers.iter_mut().flat_map(|failover| &mut failover.elections);
        elections.filter(|election| election.group == group).for_each(change);
    }

    /// What stands on some machines now and would be replaced elsewhere.
    fn chains(
        &self,
        placement: &PlacementRecorder,
        is_lost: impl Fn(&Placement) -> bool,
    ) -> impl Iterator<Item = Chain> {
        let standing = placement.placements().filter(move |p| p.ended.is_none() && is_lost(p));
        standing.filter(|p| !self.is_bound(p.instance.region, &p.job_name)).map(|p| Chain {
            lost: p.instance,
            machine: p.machine,
            place: (p.job, Arc::clone(&p.group), p.index),
            was_healthy: self.healthy.contains(&p.instance),
            was_routed: self.routed.contains(&p.instance),
            was_served: self.served.get(p.instance).is_some(),
            replacement: None,
            ends: [None; STAGES.len()],
            awaited: [false; STAGES.len()],
        })
    }

    /// The fault to blame for a machine that was given up: the last that hit it; or else the last that hit others of
    /// its region, such as the server it spoke to. One that hit nobody is not to blame.
    fn to_blame(&self, machine: MachineId) -> Option<usize> {
        let region = |machine: MachineId| self.spec.zones[self.spec.machines[machine].zone].region;
        let is_near = |hit: &OrdSet<MachineId>| hit.iter().any(|other| region(*other) == region(machine));
        let of_itself = self.hit.iter().rposition(|hit| hit.contains(&machine));
        of_itself.or_else(|| self.hit.iter().rposition(is_near))
    }

    fn node_down(&mut self, at: Time, machine: MachineId, placement: &PlacementRecorder) {
        // What a fault does not take at once (a pause, a lossy link) is lost when its node is given up. Without a fault
        // to blame it is no fault's; chains that have begun go on.
        let cause = self.to_blame(machine).unwrap_or(self.failovers.len());
        // A replacement that stood on a machine which its own fault, or a later one, has taken.
        let is_in_turn = |(number, _): &Place| *number >= cause || self.hit[*number].contains(&machine);
        let is_lost = |placed: &Placement| {
            let goes_on = self.by_replacement.get(placed.instance).is_some_and(|place| is_in_turn(&place));
            placed.machine == machine && !goes_on && !self.waiting_by_lost.contains_key(&placed.instance)
        };
        let is_of_a_fault = cause < self.failovers.len();
        let given_up: Vec<Chain> = self.chains(placement, |placed| is_of_a_fault && is_lost(placed)).collect();
        let stood_here = |(instance, place): &(Instance, Place)| {
            is_in_turn(place) && placement.placement(*instance).is_some_and(|placed| placed.machine == machine)
        };
        let in_turn: Vec<(Instance, Place)> = self.by_replacement.iter().filter(stood_here).collect();
        for mut chain in given_up {
            self.take_over(&mut chain);
            let chains = &mut self.failovers[cause].chains;
            self.waiting_by_lost.insert(chain.lost, (cause, chains.len()));
            self.given_up.insert(chain.lost);
            chains.push(chain);
        }
        for (instance, place) in in_turn {
            let chain = self.chain_mut(place);
            // Before it has served, it is to be replaced itself, be it under its name only.
            if chain.replacement == Some(instance) && chain.ends[SERVED].is_none() {
                chain.replacement = None;
                chain.ends[REPLACE..].fill(None);
                let lost = chain.lost;
                self.waiting_by_lost.insert(lost, place);
            }
        }
        for (number, failover) in self.failovers.iter_mut().enumerate() {
            for (index, chain) in failover.chains.iter_mut().enumerate() {
                if chain.machine == machine && self.waiting_by_lost.get(&chain.lost) == Some(&(number, index)) {
                    end_stage(chain, DETECT, at);
                }
            }
        }
    }

    fn placed(&mut self, at: Time, notice: &Notice, placement: &PlacementRecorder) {
        let Notice::AllocPlaced { instance, alloc, .. } = notice else { return };
        let previous = alloc.previous.map(|alloc| Instance { region: instance.region, alloc });
        if let Some(place) = previous.and_then(|previous| self.by_replacement.get(previous)) {
            // The replacement stood on a machine that was lost too, but not yet known to be: the chain goes on. One
            // that ended by itself was a replacement all the same; what comes after its start is still waited for.
            let stood = previous.and_then(|previous| placement.placement(previous)).map(|placed| placed.machine);
            let from = if stood.is_some_and(|machine| !self.is_away(machine, at)) { HEALTHY } else { REPLACE };
            let chain = self.chain_mut(place);
            if chain.replacement.is_none_or(|known| Some(known) == previous) && chain.ends[SERVED].is_none() {
                chain.replacement = Some(*instance);
                chain.ends[from..].fill(None);
                end_stage(chain, REPLACE, at);
                let lost = chain.lost;
                self.by_replacement.insert(*instance, place);
                self.waiting_by_lost.remove(&lost);
            }
            return;
        }
        let by_previous = previous.and_then(|previous| self.waiting_by_lost.get(&previous).copied());
        // A name given out again by a blocked evaluation carries no predecessor.
        let by_name = || {
            let name = (alloc.job_id, Arc::clone(&alloc.task_group().name), alloc.name_index);
            let is_it = |&place: &Place| {
                let chain = self.chain(place);
                chain.lost.region == instance.region && chain.place == name
            };
            self.waiting_by_lost.values().copied().filter(is_it).max()
        };
        let Some(place) = by_previous.or_else(by_name) else { return };
        let chain = self.chain_mut(place);
        chain.replacement = Some(*instance);
        end_stage(chain, REPLACE, at);
        let lost = chain.lost;
        self.by_replacement.insert(*instance, place);
        self.waiting_by_lost.remove(&lost);
    }

    fn stage(&mut self, at: Time, instance: Instance, stage: usize) {
        if let Some(place) = self.by_replacement.get(instance) {
            end_stage(self.chain_mut(place), stage, at);
        }
    }

    fn chain(&self, (failover, chain): Place) -> &Chain {
        &self.failovers[failover].chains[chain]
    }

    fn chain_mut(&mut self, (failover, chain): Place) -> &mut Chain {
        &mut self.failovers[failover].chains[chain]
    }

    /// Every metric there can be in this world.
    fn without_samples(&self) -> Times<'_> {
        let mut times = Times::new();
        for (_, region) in self.spec.regions.iter() {
            for system in System::of(region) {
                let labels = OrdMap::from([("region", &*region.name), ("system", system.name())]);
                times.insert(("failover.leader", labels), Distribution::new());
            }
            for name in ["failover.detect", "failover.replace", "failover.healthy", "failover.route"] {
                times.insert((name, OrdMap::from([("region", &*region.name)])), Distribution::new());
            }
        }
        for (_, traffic) in self.spec.traffic.iter() {
            let labels = OrdMap::from([("service", &*traffic.service), ("traffic", &*traffic.name)]);
            times.insert(("failover.service_outage", labels.clone()), Distribution::new());
            times.insert(("failover.request_gap", labels), Distribution::new());
        }
        times
    }

    /// Whether operators stopped the job, or wanted fewer of it, before what was lost could be replaced.
    fn is_dismissed(&self, chain: &Chain, end: Time, placement: &PlacementRecorder) -> bool {
        let Some(lost) = placement.placement(chain.lost) else { return false };
        let (of, name, (_, of_group, index)) = (chain.lost.region, &*lost.job_name, &chain.place);
        let later = self.spec.timeline.iter().filter(|(_, entry)| entry.at > lost.placed_at && entry.at < end);
        later.into_iter().any(|(_, entry)| match &entry.action {
            Action::StopJob { region, job, .. } => *region == of && **job == *name,
            Action::ScaleJob { region, job, group, count } => {
                *region == of && **job == *name && group == of_group && index >= count
            }
            _ => false,
        })
    }

    /// Whether a stage that had not ended when the run did, at `end`, was still waited for.
    ///
    /// Detection is, while the machine is away; what returns in time is not to be detected. Replacement is, of what was
    /// or is to be detected. Health, a place in a table and requests are what the lost one had had; they and a start
    /// are waited for as long as its replacement stands or is waited for itself.
    fn is_awaited(&self, chain: &Chain, stage: usize, end: Time, placement: &PlacementRecorder) -> bool {
        if chain.ends[stage].is_some() {
            return false;
        }
        let is_lost = chain.ends[DETECT].is_some() || self.is_away(chain.machine, end);
        let is_restored = |had: bool| {
            let stands = |placed: &Placement| placed.ended.is_none_or(|(ended, ..)| ended >= end);
            let standing = chain.replacement.map(|instance| placement.placement(instance).is_some_and(stands));
            had && standing.unwrap_or(is_lost)
        };
        match stage {
            DETECT => is_lost && chain.replacement.is_none(),
            HEALTHY => is_restored(chain.was_healthy),
            ROUTE => is_restored(chain.was_routed),
            START => is_restored(true),
            SERVED => is_restored(chain.was_served),
            _ => is_lost,
        }
    }

    /// Faults of the warm-up are left out.
    fn write(&self, metrics: &mut Metrics) {
        let mut times = self.without_samples();
        let region_name = |region: RegionId| &*self.spec.regions[region].name;
        let warm = Time::ZERO + self.spec.warmup;
        for failover in self.failovers.iter().filter(|failover| failover.at >= warm) {
            for election in &failover.elections {
                let labels = OrdMap::from([
                    ("region", region_name(election.group.region)),
                    ("system", election.group.system.name()),
                ]);
                let leader = times.entry(("failover.leader", labels)).or_default();
                match election.elected {
                    Some(elected) => leader.record(elected.since(failover.at).as_nanos()),
                    None => leader.record_unended(),
                }
            }
            for chain in &failover.chains {
                for (stage, name) in [
                    (DETECT, "failover.detect"),
                    (REPLACE, "failover.replace"),
                    (HEALTHY, "failover.healthy"),
                    (ROUTE, "failover.route"),
                ] {
                    let labels = OrdMap::from([("region", region_name(chain.lost.region))]);
                    let times = times.entry((name, labels)).or_default();
                    match chain.ends[stage] {
                        Some(ended) => times.record(ended.since(failover.at).as_nanos()),
                        None if chain.awaited[stage] => times.record_unended(),
                        None => {}
                    }
                }
            }
            for (traffic, outage) in failover.outages.iter() {
                let traffic = &self.spec.traffic[traffic];
                let labels = OrdMap::from([("service", &*traffic.service), ("traffic", &*traffic.name)]);
                times.entry(("failover.service_outage", labels.clone())).or_default().record(outage.seconds * SECOND);
                times.entry(("failover.request_gap", labels)).or_default().record(outage.gap.as_nanos());
            }
        }
        for ((name, labels), distribution) in times {
            let labels: Vec<(&str, &str)> = labels.into_iter().collect();
            metrics.put(name, &labels, Value::Times(distribution));
        }
    }
}

/// Positions in [`STAGES`]; a chain is over after the last.
const DETECT: usize = 0;
const REPLACE: usize = 1;
const START: usize = 2;
const HEALTHY: usize = 3;
const ROUTE: usize = 4;
const SERVED: usize = 5;
/// Samples by metric and labels.
type Times<'a> = OrdMap<(&'static str, OrdMap<&'static str, &'a str>), Distribution>;

const SECOND: u64 = 1_000_000_000;

fn end_stage(chain: &mut Chain, stage: usize, at: Time) {
    chain.ends[stage] = chain.ends[stage].or(Some(at));
}

/// Whether an entry is a fault, not an operator's action.
pub fn is_fault(action: &Action) -> bool {
    match action {
        Action::ProcessKill(_)
        | Action::ProcessPause(_)
        | Action::ProcessRestart(_)
        | Action::NodeCrash(_)
        | Action::ZoneOutage(..)
        | Action::RegionOutage(..)
        | Action::Partition { .. }
        | Action::LinkDegrade { .. }
        | Action::SlowDisk(..)
        | Action::SlowCpu(..) => true,
        Action::RegisterJob { .. }
        | Action::ScaleJob { .. }
        | Action::StopJob { .. }
        | Action::Order { .. }
        | Action::Nodes { .. } => false,
    }
}

/// Whether an entry takes whole machines away, with what runs on them. What is merely cut off is lost when its servers
/// give it up; that a zone is cut off from all others, they will.
fn loses_machines(action: &Action) -> bool {
    matches!(action, Action::NodeCrash(_) | Action::ZoneOutage(..) | Action::RegionOutage(_, OutageKind::Power))
}
