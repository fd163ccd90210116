//! Fitting a group on a node and scoring it (Nomad `BinPackIterator` and the scorers after it).
//!
//! Scorers that have nothing to say add nothing to the mean. What a group asks for, where it wants to be and how it
//! wants to spread are read once; scores are kept until the node's use changes.
//!
//! Ports of all tasks come before their devices, and those before their cores, where the original goes task by task;
//! of a node that lacks several, another one could be named.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::units::MegaHertz;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::job::{JobKind, TaskGroup};
use crate::model::node::NodeId;
use crate::model::resources::{AssignedDevice, AssignedPort, Comparable, Dimension};
use crate::protocol::scheduler::assign::{Bandwidth, PortError, PortsAsk, assign_group, assign_task};
use crate::protocol::scheduler::board::Mean;
use crate::protocol::scheduler::devices::{self, DeviceError, Request};
use crate::protocol::scheduler::draft::OwnGroup;
use crate::protocol::scheduler::fit::{Ask, FIT_MAX, ask, flatten, score_fit};
use crate::protocol::scheduler::node_map::NodeMap;
use crate::protocol::scheduler::operators::Rule;
use crate::protocol::scheduler::plan::exhausted;
use crate::protocol::scheduler::preempt::{NetworkWanted, Wanted, net_priority, preempt_network};
use crate::protocol::scheduler::preempt::{preempt_resources, preemption_score};
use crate::protocol::scheduler::release::Algorithm;
use crate::protocol::scheduler::spread::{GroupSpread, Values};
use crate::protocol::scheduler::stack::{Rejected, SelectOptions, Stack};
use crate::protocol::scheduler::state::{Amounts, NodeEntry};

/// A node that can take the group, and how good it would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Which.
    pub node: NodeId,
    /// Mean of the scores.
    pub score: f64,
    /// The single scores.
    pub scores: NodeScore,
    /// What the allocation would hold.
    pub resources: Comparable,
    /// Ports it would hold.
    pub ports: Vec<AssignedPort>,
    /// Devices it would hold.
    pub devices: Vec<AssignedDevice>,
    /// Allocations that have to go.
    pub preempted: Vec<AllocId>,
}

/// The scores of one node. `None` where the scorer had nothing to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeScore {
    /// Which.
    pub node: NodeId,
    /// Fill of the node in 0..=1, by the configured algorithm.
    pub fit: f64,
    /// Matched device affinities in -1..=1.
    pub devices: Option<f64>,
    /// Own allocations already there, relative to the count; negative.
    pub job_anti_affinity: Option<f64>,
    /// An ancestor failed there: -1.
    pub reschedule_penalty: Option<f64>,
    /// Matched affinity weights in -1..=1.
    pub affinity: Option<f64>,
    /// Spread targets; may leave -1..=1.
    pub spread: Option<f64>,
    /// How unimportant the victims are.
    pub preemption: Option<f64>,
}

impl NodeScore {
    /// Their mean, added up in Nomad's order.
    pub fn mean(&self) -> f64 {
        let (mut sum, mut count) = self.without_spread();
        for score in [self.spread, self.preemption].into_iter().flatten() {
            sum += score;
            count += 1.0;
        }
        sum / count
    }

    /// Sum and number of the scores that depend on the node alone.
    pub(super) fn without_spread(&self) -> (f64, f64) {
        let (mut sum, mut count) = (self.fit, 1.0);
        for score in
            [self.devices, self.job_anti_affinity, self.reschedule_penalty, self.affinity].into_iter().flatten()
        {
            sum += score;
            count += 1.0;
        }
        (sum, count)
    }
}

/// Why a feasible node cannot take the group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exhausted {
    /// A dimension.
    Dimension(Dimension),
    /// Ports; `task` is the place of the task for its own network, `None` for the group's.
    Ports {
        /// Whose network.
        task: Option<u16>,
        /// What is wrong.
        error: PortError,
    },
    /// Devices.
    Devices(DeviceError),
}

impl Exhausted {
    /// The text Nomad counts it under.
    pub fn describe(self, group: &TaskGroup) -> String {
        match self {
            Self::Dimension(dimension) => dimension.to_string(),
            Self::Ports { task, error } => {
                let ask = match task {
                    Some(at) => &group.tasks[at as usize].resources.networks[0],
                    None => &group.networks[0],
                };
                format!("network: {}", error.describe(ask))
            }
            Self::Devices(error) => format!("devices: {}", error.describe()),
        }
    }
}

/// What a selection found out about a node.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Known {
    #[default]
    Nothing,
    /// It is full or not meant for the group.
    Rejected(Rejected),
    /// Sum and number of all scores but that of the spread.
    Scored(f64, f64),
}

/// A group's asks and preferences, read once.
#[derive(Debug)]
pub(super) struct GroupScores<'a> {
    group: &'a TaskGroup,
    pub(super) own: OwnGroup,
    ask: Ask,
    network: Option<PortsAsk<'a>>,
    task_networks: Vec<(u16, PortsAsk<'a>)>,
    devices: Vec<Request<'a>>,
    affinities: Vec<(Rule<'a>, f64)>,
    affinity_weight: f64,
    affinity_escapes: bool,
    affinity_by_class: Vec<Option<f64>>,
    spread: GroupSpread,
    /// Which ports they are is drawn for the chosen node alone.
    draws_last: bool,
    /// What is known of each node, until its use changes. Kept only for groups whose answer depends on the node and the
    /// job's own allocations there: no fixed ports, no cores, no property counts.
    kept: NodeMap<Known>,
    keeps: bool,
    fits: Fits,
}

impl<'a> GroupScores<'a> {
    pub(super) fn new(stack: &mut Stack<'a>, group: &'a TaskGroup, keeps: bool) -> Self {
        let job = stack.job;
        let own = stack.draft.group(&group.name);
        let task_affinities = group.tasks.iter().flat_map(|task| &task.affinities);
        let affinities: Vec<(Rule<'a>, f64)> = job
            .affinities
            .iter()
            .chain(&group.affinities)
            .chain(task_affinities)
            .map(|a| (Rule::parse(&a.left, &a.operator, &a.right), f64::from(a.weight)))
            .collect();
        let task_networks: Vec<_> = group
            .tasks
            .iter()
            .enumerate()
            .filter_map(|(at, task)| Some((at as u16, PortsAsk::new(task.resources.networks.first()?))))
            .collect();
        let network = group.networks.first().map(PortsAsk::new);
        let ask = ask(group);
        let devices = Request::all(group);
        let draws_last = task_networks.is_empty() && network.as_ref().is_none_or(PortsAsk::is_sure);
        let keeps = draws_last && devices.is_empty() && !ask.wants_cores && keeps;
        Self {
            group,
            own,
            ask,
            network,
            task_networks,
            devices,
            affinity_weight: affinities.iter().map(|(_, weight)| weight.abs()).sum(),
            affinity_escapes: affinities.iter().any(|(rule, _)| rule.escapes),
            affinities,
            affinity_by_class: Vec::new(),
            spread: GroupSpread::new(stack, group),
            draws_last,
            kept: NodeMap::default(),
            keeps,
            fits: Fits::default(),
        }
    }

    /// Whether a spread or an affinity makes the stack look at more nodes.
    pub(super) fn looks_wider(&self) -> bool {
        !self.affinities.is_empty() || !self.spread.is_empty()
    }

    /// What the group asks for, without whole cores.
    pub(super) fn needs(&self) -> Amounts {
        self.ask.amounts
    }

    /// A selection begins.
    pub(super) fn begin(&mut self, stack: &Stack<'_>) {
        self.spread.begin(stack);
    }

    /// The node's use changed.
    pub(super) fn forget(&mut self, node: NodeId) {
        if self.keeps {
            *self.kept.at(node) = Known::Nothing;
        }
    }

    /// What is known of a node.
    pub(super) fn known(&self, node: NodeId) -> Known {
        self.kept.get(node)
    }

    /// Remembers what was found out in a pass without preemption and penalties.
    pub(super) fn keep(&mut self, node: NodeId, known: Known) {
        if self.keeps {
            *self.kept.at(node) = known;
        }
    }

    /// Whether what is found out is kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// A selection will look at so many nodes.
    pub(super) fn expect(&mut self, nodes: usize) {
        if self.keeps {
            self.kept.expect_all(nodes);
        }
    }

    /// The node's values of what is spread over.
    pub(super) fn spread_values(&self, stack: &mut Stack<'a>, node: NodeId) -> Values {
        self.spread.values(stack, node)
    }

    /// How scores become one on nodes with these values.
    pub(super) fn mean_of(&mut self, stack: &Stack<'a>, values: &Values) -> Mean {
        Mean(self.spread.score_of(stack, values))
    }

    /// The mean with the spread score, which depends on the whole plan.
    pub(super) fn mean(&mut self, stack: &mut Stack<'a>, node: NodeId, sum: f64, count: f64) -> f64 {
        Mean(self.spread.score(stack, node)).of(sum, count)
    }

    /// Matched weights over all weights; `None` when they sum to nothing.
    fn affinity(&mut self, entry: &NodeEntry, class: usize) -> Option<f64> {
        if self.affinities.is_empty() {
            return None;
        }
        if let Some(Some(score)) = self.affinity_by_class.get(class) {
            return (*score != 0.0).then_some(*score);
        }
        let matched = self.affinities.iter().filter(|(rule, _)| rule.holds(entry.id, &entry.node.spec));
        let sum: f64 = matched.map(|(_, weight)| weight).sum();
        let score = sum / self.affinity_weight;
        if !self.affinity_escapes {
            if self.affinity_by_class.len() <= class {
                self.affinity_by_class.resize(class + 1, None);
            }
            self.affinity_by_class[class] = Some(score);
        }
        (sum != 0.0).then_some(score)
    }
}

/// Fit scores worked out lately: most nodes of a cluster are like some other.
#[derive(Debug, Default)]
struct Fits {
    /// Available and used processor and memory, and the score, at their hash.
    lately: Vec<([i64; 4], f64)>,
}

impl Fits {
    /// The fit score, in 0..=1.
    fn score(&mut self, available: Amounts, used: Amounts, algorithm: Algorithm) -> f64 {
        const COUNT: usize = 64;
        let key = [available.cpu, available.memory, used.cpu, used.memory];
        let mixed = key.into_iter().fold(0_u64, |sum, part| (sum ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let at = (mixed >> 32) as usize % COUNT;
        if self.lately.is_empty() {
            self.lately = vec![([i64::MIN; 4], 0.0); COUNT];
        }
        if self.lately[at].0 != key {
            self.lately[at] = (key, score_fit(available, used, algorithm) / FIT_MAX);
        }
        self.lately[at].1
    }
}

/// Ports that cannot be assigned: of which task's network, `None` for the group's, and why.
type PortsFailed = (Option<u16>, PortError);

/// What a group would take of a node.
struct Fitted {
    used: Amounts,
    resources: Comparable,
    ports: Vec<AssignedPort>,
    devices: Vec<AssignedDevice>,
    device_score: Option<f64>,
    preempted: Vec<AllocId>,
    preempted_priorities: Vec<u8>,
}

impl<'a> Stack<'a> {
    /// Fits the group on the node and scores it. `Err(None)` is a failure that leaves no trace.
    pub(super) fn rank(
        &mut self,
        scores: &mut GroupScores<'a>,
        class: usize,
        entry: &NodeEntry,
        options: SelectOptions<'_>,
    ) -> Result<Ranked, Option<Exhausted>> {
        let fitted = self.fit_group(scores, entry, options.preempt)?;
        let node = entry.id;
        let mut score = self.own_scores(scores, class, entry, fitted.used);
        score.devices = fitted.device_score;
        if !self.is_system() {
            score.reschedule_penalty = options.penalty_nodes.contains(&node).then_some(-1.0);
            score.spread = scores.spread.score(self, node);
            if !fitted.preempted.is_empty() {
                score.preemption = Some(preemption_score(net_priority(&fitted.preempted_priorities)));
            }
        }
        Ok(Ranked {
            node,
            score: score.mean(),
            scores: score,
            resources: fitted.resources,
            ports: fitted.ports,
            devices: fitted.devices,
            preempted: fitted.preempted,
        })
    }

    /// Sum and number of all scores but that of the spread, for a group whose answers are kept, without penalties and
    /// pushing out: what [`Stack::rank`] finds, without the details.
    pub(super) fn rank_briefly(
        &mut self,
        scores: &mut GroupScores<'a>,
        class: usize,
        entry: &NodeEntry,
    ) -> Result<(f64, f64), Exhausted> {
        self.has_ports(scores, entry).map_err(|(task, error)| Exhausted::Ports { task, error })?;
        let used = self.draft.used(entry).plus(scores.ask.amounts);
        match exhausted(entry.available, used, || true) {
            Some(dimension) => Err(Exhausted::Dimension(dimension)),
            None => Ok(self.own_scores(scores, class, entry, used).without_spread()),
        }
    }

    /// The scores that depend on the node and the job's own allocations there alone.
    fn own_scores(&self, scores: &mut GroupScores<'a>, class: usize, entry: &NodeEntry, used: Amounts) -> NodeScore {
        let node = entry.id;
        let mut score = NodeScore {
            node,
            fit: scores.fits.score(entry.available, used, self.config.algorithm),
            devices: None,
            job_anti_affinity: None,
            reschedule_penalty: None,
            affinity: None,
            spread: None,
            preemption: None,
        };
        if !self.is_system() {
            let collisions = self.draft.own_in_group(scores.own, node);
            if collisions > 0 {
                score.job_anti_affinity = Some(-f64::from(collisions + 1) / f64::from(scores.group.count));
            }
            score.affinity = scores.affinity(entry, class);
        }
        score
    }

    fn is_system(&self) -> bool {
        matches!(self.job.kind, JobKind::System | JobKind::SysBatch)
    }

    fn fit_group(
        &mut self,
        scores: &GroupScores<'a>,
        entry: &NodeEntry,
        preempt: bool,
    ) -> Result<Fitted, Option<Exhausted>> {
        let mut fitted = Fitted {
            used: self.draft.used(entry),
            resources: Comparable::default(),
            ports: Vec::new(),
            devices: Vec::new(),
            device_score: None,
            preempted: Vec::new(),
            preempted_priorities: Vec::new(),
        };
        if scores.network.is_some() || !scores.task_networks.is_empty() {
            self.fit_ports(scores, entry, preempt, &mut fitted)?;
        }
        if !scores.devices.is_empty() {
            self.fit_devices(scores, entry, preempt, &mut fitted)?;
        }
        let ask = if scores.ask.wants_cores {
            fitted.resources =
                self.fit_cores(scores, entry, &fitted.preempted).ok_or(Some(Exhausted::Dimension(Dimension::Cores)))?;
            Amounts::of(&fitted.resources)
        } else {
            fitted.resources = comparable(scores.ask.amounts);
            scores.ask.amounts
        };
        let before = fitted.used;
        fitted.used = before.plus(ask);
        if let Some(dimension) = exhausted(entry.available, fitted.used, || true) {
            let failed = Err(Some(Exhausted::Dimension(dimension)));
            if !preempt {
                return failed;
            }
            let others = self.draft.others(entry);
            let candidates: Vec<_> = others.into_iter().filter(|alloc| !fitted.preempted.contains(&alloc.id)).collect();
            let wanted = Wanted { available: entry.available, ask, priority: self.job.priority };
            let Some(victims) = preempt_resources(&candidates, wanted, |_| 0) else { return failed };
            // The use still includes these victims (a quirk), so such nodes look full.
            for at in victims {
                fitted.preempted.push(candidates[at].id);
                fitted.preempted_priorities.push(candidates[at].job.priority);
            }
        }
        Ok(fitted)
    }

    fn fit_ports(
        &mut self,
        scores: &GroupScores<'a>,
        entry: &NodeEntry,
        preempt: bool,
        fitted: &mut Fitted,
    ) -> Result<(), Option<Exhausted>> {
        let assigned = if scores.draws_last {
            self.has_ports(scores, entry).map(|()| Vec::new())
        } else {
            self.assign(scores, entry, &[])
        };
        let mut failed = match assigned {
            Ok(ports) => {
                fitted.ports = ports;
                return Ok(());
            }
            Err(failed) if preempt => failed,
            Err((task, error)) => return Err(Some(Exhausted::Ports { task, error })),
        };
        // Each ask that fails pushes out for itself and is tried once more.
        let mut freed: SmallVec<[&Arc<Alloc>; 4]> = SmallVec::new();
        loop {
            let mut others = self.draft.others(entry);
            others.retain(|alloc| !fitted.preempted.contains(&alloc.id));
            for at in self.preempt_ports(scores, entry, failed.0, &others, &freed).ok_or(None)? {
                let victim = others[at];
                fitted.used = fitted.used.minus(Amounts::of(&victim.resources));
                fitted.preempted.push(victim.id);
                fitted.preempted_priorities.push(victim.job.priority);
                freed.push(victim);
            }
            match self.assign(scores, entry, &freed) {
                Ok(ports) => {
                    fitted.ports = ports;
                    return Ok(());
                }
                Err(again) if again.0 == failed.0 => return Err(None),
                Err(next) => failed = next,
            }
        }
    }

    /// Whom to push out of `others` for the network of a task, or of the group, as if `freed` were gone.
    fn preempt_ports(
        &self,
        scores: &GroupScores<'a>,
        entry: &NodeEntry,
        task: Option<u16>,
        others: &[&Arc<Alloc>],
        freed: &[&Arc<Alloc>],
    ) -> Option<Vec<usize>> {
        let networks = &scores.task_networks;
        let place = task.map_or(0, |task| networks.iter().take_while(|(at, _)| *at != task).count());
        let ask = if task.is_some() { &networks[place].1 } else { scores.network.as_ref()? }.ask;
        let fixed: SmallVec<[i64; 4]> = ask.ports.iter().filter_map(|port| port.fixed).collect();
        let bandwidth = ask.bandwidth.get();
        let total = entry.node.spec.networks.iter().map(|network| network.bandwidth.get()).sum::<u64>();
        let mut used = 0;
        if bandwidth > 0 {
            let before: u64 = networks[..place].iter().map(|(_, ask)| ask.ask.bandwidth.get()).sum();
            used = before + self.bandwidth(entry, freed).total();
        }
        let free = total.saturating_sub(used);
        preempt_network(others, NetworkWanted { fixed: &fixed, bandwidth, total, free, priority: self.job.priority })
    }

    fn fit_devices(
        &self,
        scores: &GroupScores<'a>,
        entry: &NodeEntry,
        preempt: bool,
        fitted: &mut Fitted,
    ) -> Result<(), Option<Exhausted>> {
        let held = self.draft.devices(entry, &fitted.preempted);
        let mut others = if preempt { self.draft.others(entry) } else { Vec::new() };
        others.retain(|alloc| !fitted.preempted.contains(&alloc.id));
        let candidates = preempt.then_some((&others[..], self.job.priority));
        let found = devices::fit(held, &scores.devices, candidates)
            .map_err(|error| (!preempt).then_some(Exhausted::Devices(error)))?;
        for victim in others.iter().filter(|alloc| found.victims.contains(&alloc.id)) {
            fitted.used = fitted.used.minus(Amounts::of(&victim.resources));
            fitted.preempted_priorities.push(victim.job.priority);
        }
        fitted.preempted.extend(found.victims);
        (fitted.devices, fitted.device_score) = (found.devices, found.score);
        Ok(())
    }

    /// Whether the node has the ports that [`Stack::give_ports`] draws.
    fn has_ports(&self, scores: &GroupScores<'a>, entry: &NodeEntry) -> Result<(), PortsFailed> {
        let Some(ask) = &scores.network else { return Ok(()) };
        let ports = self.draft.ports(entry);
        if ask.is_default() && ports.held() + ask.ask.ports.len() <= usize::from(entry.dynamic_ports) {
            return Ok(());
        }
        // The draws do not matter, so they are none of this selection's.
        let exclusive = self.config.behaviour.dynamic_ports_exclusive;
        match assign_group(&entry.node, ports, ask, exclusive, &mut self.rng.branch("probe")) {
            Ok(_) => Ok(()),
            Err(error) => Err((None, error)),
        }
    }

    /// Draws the ports of the chosen node, where they were left open. Of all candidates the original draws them, but
    /// the others' go nowhere.
    pub(super) fn give_ports(&mut self, scores: &GroupScores<'a>, chosen: &mut Ranked) {
        if scores.draws_last
            && chosen.ports.is_empty()
            && let Some(entry) = self.state.node(chosen.node)
        {
            chosen.ports = self.assign(scores, entry, &[]).expect("the node has such ports, or was not chosen");
        }
    }

    /// Assigns the ports of the group, then of its tasks, as if `freed` were gone.
    fn assign(
        &mut self,
        scores: &GroupScores<'a>,
        entry: &NodeEntry,
        freed: &[&Arc<Alloc>],
    ) -> Result<Vec<AssignedPort>, PortsFailed> {
        let spec = &entry.node.spec;
        let exclusive = self.config.behaviour.dynamic_ports_exclusive;
        let mut assigned = Vec::new();
        if freed.is_empty() && scores.task_networks.is_empty() {
            if let Some(ask) = &scores.network {
                assigned = assign_group(&entry.node, self.draft.ports(entry), ask, exclusive, &mut self.rng)
                    .map_err(|error| (None, error))?;
            }
            return Ok(assigned);
        }
        let mut ports = self.draft.ports(entry).clone();
        for port in freed.iter().flat_map(|alloc| &alloc.ports) {
            ports.remove(port.address, port.value);
        }
        if let Some(ask) = &scores.network {
            assigned =
                assign_group(&entry.node, &ports, ask, exclusive, &mut self.rng).map_err(|error| (None, error))?;
            for port in &assigned {
                ports.add(port.address, port.value);
            }
        }
        let wants_bandwidth = scores.task_networks.iter().any(|(_, ask)| ask.ask.bandwidth.get() > 0);
        let mut busy = if wants_bandwidth { self.bandwidth(entry, freed) } else { Bandwidth::default() };
        for (task, ask) in &scores.task_networks {
            let more =
                assign_task(spec, &ports, ask, &mut busy, &mut self.rng).map_err(|error| (Some(*task), error))?;
            for port in &more {
                ports.add(port.address, port.value);
            }
            assigned.extend(more);
        }
        Ok(assigned)
    }

    /// What task networks take of the node, as if `freed` were gone.
    fn bandwidth(&self, entry: &NodeEntry, freed: &[&Arc<Alloc>]) -> Bandwidth {
        let proposed = self.draft.proposed(entry);
        Bandwidth::of(proposed.iter().filter(|alloc| !freed.iter().any(|gone| gone.id == alloc.id)).map(AsRef::as_ref))
    }

    /// Whole cores go to tasks in order, lowest numbers first; each brings its share of the node's clock.
    fn fit_cores(&self, scores: &GroupScores<'a>, entry: &NodeEntry, gone: &[AllocId]) -> Option<Comparable> {
        let held = self.draft.cores(entry);
        let freed = |core: &u16| {
            let mut victims = gone.iter().filter_map(|id| self.state.alloc(*id));
            victims.any(|alloc| alloc.resources.cores.contains(core))
        };
        let is_free = |core: &&u16| held.binary_search(*core).is_err() || freed(core);
        let mut free = entry.reservable_cores.iter().filter(is_free);
        let capacity = &entry.node.spec.capacity;
        let per_core = capacity.cpu.get() / u64::from(capacity.cores.max(1));
        let mut by_task: Vec<Vec<u16>> = Vec::with_capacity(scores.group.tasks.len());
        for task in &scores.group.tasks {
            let wanted = task.resources.cores as usize;
            let cores: Vec<u16> = free.by_ref().take(wanted).copied().collect();
            if cores.len() < wanted {
                return None;
            }
            by_task.push(cores);
        }
        Some(flatten(scores.group, |at, task| Comparable {
            cpu: match by_task[at].len() {
                0 => task.resources.cpu,
                count => MegaHertz(count as u64 * per_core),
            },
            memory: task.resources.memory,
            cores: by_task[at].clone(),
            ..Comparable::default()
        }))
    }
}

fn comparable(amounts: Amounts) -> Comparable {
    use crate::base::units::Mebibytes;
    Comparable {
        cpu: MegaHertz(amounts.cpu as u64),
        memory: Mebibytes(amounts.memory as u64),
        disk: Mebibytes(amounts.disk as u64),
        cores: Vec::new(),
    }
}
