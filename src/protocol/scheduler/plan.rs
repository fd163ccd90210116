//! Plans: what a scheduler wants done to nodes, and what the leader lets through (Nomad `Plan`, `PlanResult`,
//! `evaluatePlan`).
//!
//! New allocations and deployments carry no numbers in a plan; they get them when the result is applied.

use std::fmt;
use std::sync::Arc;

use crate::base::time::Time;
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::deployment::Deployment;
use crate::model::evaluation::{EvalId, Evaluation, Trigger};
use crate::model::job::JobId;
use crate::model::node::{Eligibility, NodeId, NodeStatus};
use crate::model::resources::{AssignedDevice, Dimension};
use crate::protocol::scheduler::command::{DeploymentUpdate, fold};
use crate::protocol::scheduler::devices::DeviceUse;
use crate::protocol::scheduler::ports::PortUse;
use crate::protocol::scheduler::release::Behaviour;
use crate::protocol::scheduler::state::{Amounts, NodeEntry, State};

/// Why an allocation is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// Scaled down, job stopped, or its canary is obsolete.
    NotNeeded,
    /// Its node is gone.
    Lost,
    /// Failed and replaced.
    Rescheduled,
    /// Moved away.
    Migrating,
    /// Replaced by another version.
    Updating,
    /// Its node is tainted (system jobs).
    NodeTainted,
}

/// One allocation to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Which.
    pub alloc: AllocId,
    /// Where it is.
    pub node: NodeId,
    /// Client status to record along; `None` leaves it.
    pub client: Option<ClientStatus>,
    /// The delayed evaluation that will replace it.
    pub followup: Option<EvalId>,
    /// Why.
    pub reason: StopReason,
}

/// One allocation pushed out by a placement of the same plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preemption {
    /// The victim.
    pub alloc: AllocId,
    /// Where it is.
    pub node: NodeId,
    /// Index in [`Plan::placements`] of the one that needs its place.
    pub by: u32,
}

/// What a scheduler wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The evaluation it comes from.
    pub eval: EvalId,
    /// The job it is for.
    pub job: JobId,
    /// Priority of the evaluation: order in the plan queue.
    pub priority: u8,
    /// All of it or nothing.
    pub all_at_once: bool,
    /// Allocations to stop.
    pub stops: Vec<Stop>,
    /// Allocations to create, numbered [`AllocId::NEW`].
    pub placements: Vec<Arc<Alloc>>,
    /// Existing allocations to change where they are.
    pub updates: Vec<Arc<Alloc>>,
    /// Allocations to push out.
    pub preemptions: Vec<Preemption>,
    /// A deployment to create.
    pub deployment: Option<Deployment>,
    /// Deployments whose status changes.
    pub deployment_updates: Vec<DeploymentUpdate>,
    /// Index of the state it was made from; as submitted, of the one its evaluation was begun with.
    pub snapshot_index: u64,
}

impl Plan {
    /// An empty plan for an evaluation.
    pub fn new(eval: &Evaluation, all_at_once: bool, snapshot_index: u64) -> Self {
        Self {
            eval: eval.id,
            job: eval.job,
            priority: eval.priority,
            all_at_once,
            stops: Vec::new(),
            placements: Vec::new(),
            updates: Vec::new(),
            preemptions: Vec::new(),
            deployment: None,
            deployment_updates: Vec::new(),
            snapshot_index,
        }
    }

    /// Nothing to stop, place, update or deploy.
    pub fn is_noop(&self) -> bool {
        self.stops.is_empty()
            && self.placements.is_empty()
            && self.updates.is_empty()
            && self.deployment.is_none()
            && self.deployment_updates.is_empty()
    }

    /// Nodes the leader has to check, ascending: the cost of verifying the plan.
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.stops.iter().map(|stop| stop.node).collect();
        nodes.extend(self.placements.iter().chain(&self.updates).map(|alloc| alloc.node));
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// The part of a plan that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanResult {
    /// The evaluation it comes from.
    pub eval: EvalId,
    /// The job it is for.
    pub job: JobId,
    /// Allocations stopped.
    pub stops: Vec<Stop>,
    /// Allocations created, numbered [`AllocId::NEW`] until applied.
    pub placements: Vec<Arc<Alloc>>,
    /// Allocations changed in place.
    pub updates: Vec<Arc<Alloc>>,
    /// Allocations pushed out; `by` indexes [`PlanResult::placements`].
    pub preemptions: Vec<Preemption>,
    /// One evaluation per preempted job.
    pub preemption_evals: Vec<Evaluation>,
    /// The deployment created.
    pub deployment: Option<Deployment>,
    /// Deployments whose status changed.
    pub deployment_updates: Vec<DeploymentUpdate>,
    /// Nodes whose part was rejected, ascending, and why.
    pub rejected: Vec<(NodeId, Rejection)>,
    /// Nodes that rejected so often that they take nothing more until an operator looks at them.
    pub ineligible: Vec<NodeId>,
    /// The scheduler must look at a state at least this new; zero after a full commit.
    pub refresh_index: u64,
    /// Raft index of the commit; zero until then.
    pub alloc_index: u64,
    /// When the leader verified it.
    pub time: Time,
}

impl PlanResult {
    /// Nothing to write.
    pub fn is_noop(&self) -> bool {
        !self.made_progress() && self.ineligible.is_empty()
    }

    /// Mixes what is written into a digest.
    pub fn fingerprint(&self) -> u64 {
        let sum = self.stops.iter().fold(u64::from(self.eval.0), |sum, stop| fold(sum, stop.alloc.0));
        let sum = self.placements.iter().fold(sum, |sum, alloc| fold(fold(sum, alloc.node.0), alloc.name_index));
        let sum = self.updates.iter().fold(sum, |sum, alloc| fold(sum, alloc.id.0));
        let sum = self.preemptions.iter().fold(sum, |sum, preemption| fold(sum, preemption.alloc.0));
        self.ineligible.iter().fold(sum, |sum, node| fold(sum, node.0))
    }

    /// All new and updated allocations of the plan were committed. Stops and preemptions are not counted.
    pub fn is_full_commit(&self, plan: &Plan) -> bool {
        self.placements.len() + self.updates.len() == plan.placements.len() + plan.updates.len()
    }

    /// Something of it helped, so another attempt is not counted (Nomad `progressMade`).
    pub fn made_progress(&self) -> bool {
        !(self.stops.is_empty()
            && self.placements.is_empty()
            && self.updates.is_empty()
            && self.deployment.is_none()
            && self.deployment_updates.is_empty())
    }

    /// A plausible size of the encoded log entry: plans carry the job once and allocations without it.
    pub fn bytes(&self) -> u32 {
        let bytes = 2_048
            + 160 * (self.stops.len() + self.preemptions.len())
            + 900 * (self.placements.len() + self.updates.len())
            + 512 * self.preemption_evals.len();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// Why a node's part of a plan was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// The node is not known.
    Missing,
    /// The node is not ready.
    NotReady,
    /// The node is not eligible.
    NotEligible,
    /// The allocations do not fit.
    Misfit(Misfit),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("node does not exist"),
            Self::NotReady => f.write_str("node is not ready for placements"),
            Self::NotEligible => f.write_str("node is not eligible"),
            Self::Misfit(misfit) => misfit.fmt(f),
        }
    }
}

/// Why allocations do not fit on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// A dimension is exhausted.
    Exhausted(Dimension),
    /// A port is held twice, or is none.
    Ports,
    /// A device instance is held twice.
    Devices,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted(dimension) => dimension.fmt(f),
            Self::Ports => f.write_str("reserved port collision"),
            Self::Devices => f.write_str("device oversubscribed"),
        }
    }
}

/// What the allocations of a node would hold together.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Processor, memory and disk.
    pub used: Amounts,
    /// Cores, ascending, with repeats.
    pub cores: &'a [u16],
    /// Ports.
    pub ports: &'a PortUse,
}

/// Whether a holding fits on a node (Nomad `AllocsFit` without a network index): overlapping cores, then cpu, cores,
/// memory and disk, then ports.
pub fn fits(entry: &NodeEntry, holding: Holding<'_>) -> Result<(), Misfit> {
    if holding.cores.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Misfit::Exhausted(Dimension::Cores));
    }
    if let Some(dimension) = exhausted(entry.available, holding.used, || {
        holding.cores.iter().all(|core| entry.reservable_cores.binary_search(core).is_ok())
    }) {
        return Err(Misfit::Exhausted(dimension));
    }
    if holding.ports.has_collision() { Err(Misfit::Ports) } else { Ok(()) }
}

/// The first dimension, in Nomad's order, in which `used` is more than `available`.
pub fn exhausted(available: Amounts, used: Amounts, cores_fit: impl FnOnce() -> bool) -> Option<Dimension> {
    if used.cpu > available.cpu {
        Some(Dimension::Cpu)
    } else if !cores_fit() {
        Some(Dimension::Cores)
    } else if used.memory > available.memory {
        Some(Dimension::Memory)
    } else if used.disk > available.disk {
        Some(Dimension::Disk)
    } else {
        None
    }
}

/// One line of a plan, for sorting by node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Stop(usize),
    Placement(usize),
    Update(usize),
    Preemption(usize),
}

/// Verifies a plan against the newest state, node by node in order (Nomad `evaluatePlan`, `evaluateNodePlan`).
///
/// A node that rejects loses all its stops, placements and preemptions, unless the plan is all or nothing.
pub fn evaluate_plan(state: &State, plan: &Plan, behaviour: &Behaviour, now: Time) -> PlanResult {
    let mut lines: Vec<(NodeId, Line)> = Vec::with_capacity(plan.stops.len() + plan.placements.len());
    lines.extend(plan.stops.iter().enumerate().map(|(at, stop)| (stop.node, Line::Stop(at))));
    lines.extend(plan.placements.iter().enumerate().map(|(at, alloc)| (alloc.node, Line::Placement(at))));
    lines.extend(plan.updates.iter().enumerate().map(|(at, alloc)| (alloc.node, Line::Update(at))));
    lines.extend(plan.preemptions.iter().enumerate().map(|(at, victim)| (victim.node, Line::Preemption(at))));
    lines.sort_unstable();
    let mut rejected = Vec::new();
    for lines in lines.chunk_by(|a, b| a.0 == b.0) {
        if let Err(reason) = check_node(state, plan, behaviour, lines) {
            rejected.push((lines[0].0, reason));
        }
    }
    let accepted = |node: NodeId| rejected.binary_search_by_key(&node, |r: &(NodeId, Rejection)| r.0).is_err();
    let nothing = plan.all_at_once && !rejected.is_empty();
    let mut result = PlanResult {
        eval: plan.eval,
        job: plan.job,
        stops: Vec::new(),
        placements: Vec::new(),
        updates: Vec::new(),
        preemptions: Vec::new(),
        preemption_evals: Vec::new(),
        deployment: None,
        deployment_updates: Vec::new(),
        rejected: Vec::new(),
        ineligible: Vec::new(),
        refresh_index: 0,
        alloc_index: 0,
        time: now,
    };
    if !nothing {
        result.stops = plan.stops.iter().filter(|stop| accepted(stop.node)).copied().collect();
        result.updates = plan.updates.iter().filter(|alloc| accepted(alloc.node)).map(Arc::clone).collect();
        let mut position = vec![None; plan.placements.len()];
        for (at, alloc) in plan.placements.iter().enumerate().filter(|(_, alloc)| accepted(alloc.node)) {
            position[at] = Some(result.placements.len() as u32);
            result.placements.push(Arc::clone(alloc));
        }
        for victim in plan.preemptions.iter().filter(|victim| accepted(victim.node)) {
            let live = state.alloc(victim.alloc).is_some_and(|alloc| !alloc.is_terminal());
            if live && let Some(by) = position[victim.by as usize] {
                result.preemptions.push(Preemption { by, ..*victim });
            }
        }
        result.preemption_evals = preemption_evals(state, &result.preemptions, now);
        result.deployment.clone_from(&plan.deployment);
        result.deployment_updates.clone_from(&plan.deployment_updates);
    }
    if !rejected.is_empty() {
        result.refresh_index = state.tables().nodes.max(state.tables().allocs);
    }
    result.rejected = rejected;
    result
}

fn check_node(state: &State, plan: &Plan, behaviour: &Behaviour, lines: &[(NodeId, Line)]) -> Result<(), Rejection> {
    let places = lines.iter().any(|(_, line)| matches!(line, Line::Placement(_)));
    let updates = lines.iter().any(|(_, line)| matches!(line, Line::Update(_)));
    if !places && !updates {
        return Ok(());
    }
    let entry = state.node(lines[0].0).ok_or(Rejection::Missing)?;
    if entry.node.status == NodeStatus::Disconnected && !places && plan_only_loses_sight(plan, lines) {
        return Ok(());
    }
    if entry.node.status != NodeStatus::Ready {
        return Err(Rejection::NotReady);
    }
    if entry.node.eligibility == Eligibility::Ineligible && (places || !behaviour.updates_on_ineligible) {
        return Err(Rejection::NotEligible);
    }
    let mut proposed = Proposed::new(entry);
    for (_, line) in lines {
        match line {
            Line::Stop(at) => proposed.remove(state, plan.stops[*at].alloc),
            Line::Update(at) => proposed.remove(state, plan.updates[*at].id),
            Line::Preemption(at) => proposed.remove(state, plan.preemptions[*at].alloc),
            Line::Placement(_) => {}
        }
    }
    for (_, line) in lines {
        match line {
            Line::Placement(at) => proposed.add(&plan.placements[*at]),
            Line::Update(at) => proposed.add(&plan.updates[*at]),
            Line::Stop(_) | Line::Preemption(_) => {}
        }
    }
    let ports = proposed.ports.as_ref().unwrap_or(&entry.ports);
    fits(entry, Holding { used: proposed.used, cores: &proposed.cores, ports }).map_err(Rejection::Misfit)?;
    if proposed.oversubscribes(state) { Err(Rejection::Misfit(Misfit::Devices)) } else { Ok(()) }
}

/// Nothing but allocations recorded unknown: all a disconnected node accepts.
fn plan_only_loses_sight(plan: &Plan, lines: &[(NodeId, Line)]) -> bool {
    lines.iter().all(|(_, line)| match line {
        Line::Update(at) => plan.updates[*at].client == ClientStatus::Unknown,
        Line::Stop(_) | Line::Preemption(_) => true,
        Line::Placement(_) => false,
    })
}

/// What a node would hold. Ports are copied only when some allocation has any.
struct Proposed<'a> {
    entry: &'a NodeEntry,
    used: Amounts,
    cores: Vec<u16>,
    ports: Option<PortUse>,
    removed: Vec<AllocId>,
    /// Devices of placements and updates.
    devices: Vec<AssignedDevice>,
}

impl<'a> Proposed<'a> {
    fn new(entry: &'a NodeEntry) -> Self {
        Self {
            entry,
            used: entry.used,
            cores: entry.cores.clone(),
            ports: None,
            removed: Vec::new(),
            devices: Vec::new(),
        }
    }

    fn remove(&mut self, state: &State, id: AllocId) {
        if self.removed.contains(&id) || !self.entry.counts(id) {
            return;
        }
        self.removed.push(id);
        let alloc = state.alloc(id).expect("a node lists only allocations that exist");
        self.used = self.used.minus(Amounts::of(&alloc.resources));
        for core in &alloc.resources.cores {
            if let Some(at) = self.cores.iter().position(|held| held == core) {
                self.cores.remove(at);
            }
        }
        for port in &alloc.ports {
            self.ports.get_or_insert_with(|| self.entry.ports.clone()).remove(port.address, port.value);
        }
    }

    fn add(&mut self, alloc: &Alloc) {
        if alloc.is_terminal() {
            return;
        }
        self.used = self.used.plus(Amounts::of(&alloc.resources));
        self.devices.extend_from_slice(&alloc.devices);
        for core in &alloc.resources.cores {
            let at = self.cores.partition_point(|held| held <= core);
            self.cores.insert(at, *core);
        }
        for port in &alloc.ports {
            self.ports.get_or_insert_with(|| self.entry.ports.clone()).add(port.address, port.value);
        }
    }
}

impl Proposed<'_> {
    /// Some device instance would have two holders, one of them new.
    fn oversubscribes(&self, state: &State) -> bool {
        if self.devices.is_empty() {
            return false;
        }
        let mut held = DeviceUse::new(&self.entry.node.spec);
        let stay = self.entry.live.iter().filter(|id| !self.removed.contains(id));
        stay.filter_map(|id| state.alloc(*id)).for_each(|alloc| held.add(&alloc.devices));
        held.add(&self.devices);
        held.is_oversubscribed()
    }
}

/// One evaluation per preempted job that is still registered, by job.
fn preemption_evals(state: &State, victims: &[Preemption], now: Time) -> Vec<Evaluation> {
    let mut jobs: Vec<JobId> =
        victims.iter().filter_map(|victim| state.alloc(victim.alloc)).map(|alloc| alloc.job_id).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs.into_iter().filter_map(|id| state.job(id)).map(|job| Evaluation::new(job, Trigger::Preemption, now)).collect()
}
