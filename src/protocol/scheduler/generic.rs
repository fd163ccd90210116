//! One attempt at an evaluation of a service or batch job (Nomad `GenericScheduler`).

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::model::alloc::{Alloc, AllocId, ClientStatus, DeploymentHealth, Desired, Transition};
use crate::model::deployment::{Deployment, DeploymentId};
use crate::model::evaluation::{EvalId, Evaluation, FailedGroup};
use crate::model::job::{Job, JobKind};
use crate::model::node::{NodeId, NodeSpec, NodeStatus, POOL_ALL, POOL_DEFAULT};
use crate::protocol::scheduler::explain::{self, Selection};
use crate::protocol::scheduler::operators::glob;
use crate::protocol::scheduler::plan::{Plan, Stop, StopReason};
use crate::protocol::scheduler::rank::Ranked;
use crate::protocol::scheduler::reconcile::{Answer, Followup, Place, Question, Replace, Taint, Verdict, reconcile};
use crate::protocol::scheduler::release::{Behaviour, SchedulerConfig};
use crate::protocol::scheduler::reschedule::tracker;
use crate::protocol::scheduler::stack::{SelectOptions, Stack, Work};
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::update::needs_new_tasks;

/// What an attempt is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) state: &'a State,
    pub(super) eval: &'a Evaluation,
    pub(super) config: &'a SchedulerConfig,
    pub(super) now: Time,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) plan: Plan,
    pub(super) failed: OrdMap<Arc<str>, FailedGroup>,
    pub(super) queued: OrdMap<Arc<str>, u32>,
    /// Evaluations the plan refers to by placeholder.
    pub(super) followups: Vec<Followup>,
    pub(super) class_eligibility: OrdMap<u64, bool>,
    pub(super) escaped: bool,
    /// The newest deployment, as far as it has a number.
    pub(super) deployment: Option<DeploymentId>,
    /// Nodes that were full, for system jobs: one blocked evaluation each.
    pub(super) full_nodes: Vec<NodeId>,
    /// A rolling update of a system job goes on after this wait.
    pub(super) rolls_on: Option<crate::base::time::Duration>,
    pub(super) work: Work,
    /// Every selection, if they are to be explained.
    pub(super) selections: Vec<Selection>,
}

impl Outcome {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            failed: OrdMap::new(),
            queued: OrdMap::new(),
            followups: Vec::new(),
            class_eligibility: OrdMap::new(),
            escaped: false,
            deployment: None,
            full_nodes: Vec::new(),
            rolls_on: None,
            work: Work::default(),
            selections: Vec::new(),
        }
    }
}

/// What is wrong with a node.
pub(super) fn taint(state: &State, node: NodeId) -> Taint {
    match state.node(node) {
        None => Taint::Gone,
        Some(entry) if entry.node.status == NodeStatus::Down => Taint::Gone,
        Some(entry) if entry.node.status == NodeStatus::Disconnected => Taint::Disconnected,
        Some(entry) if entry.node.drain.is_some() => Taint::Draining,
        Some(_) => Taint::None,
    }
}

/// Stops that a dead node's client will never confirm end as lost.
pub(super) fn unconfirmed_stops(state: &State, allocs: &[&Arc<Alloc>]) -> Vec<Stop> {
    let unconfirmed = |alloc: &&&Arc<Alloc>| {
        alloc.desired != Desired::Run
            && matches!(alloc.client, ClientStatus::Running | ClientStatus::Pending)
            && taint(state, alloc.node) == Taint::Gone
    };
    let lost = |alloc: &&Arc<Alloc>| Stop {
        alloc: alloc.id,
        node: alloc.node,
        client: Some(ClientStatus::Lost),
        followup: None,
        reason: StopReason::Lost,
    };
    allocs.iter().filter(unconfirmed).map(lost).collect()
}

/// Nodes a job may be placed on, by datacenter and number, and how many by datacenter.
pub(super) fn ready_nodes(task: Task<'_>, job: &Job) -> (Vec<NodeId>, OrdMap<Arc<str>, u32>) {
    let behaviour = &task.config.behaviour;
    let mut by_datacenter: OrdMap<Arc<str>, u32> =
        job.datacenters.iter().map(|datacenter| (Arc::clone(datacenter), 0)).collect();
    let mut nodes = Vec::new();
    // Without pools of its own every node is in the default one, and need not be looked at.
    let any = |pool: &str| !behaviour.node_pools || takes_from(job, pool);
    let looks = task.state.has_pools() || !any(POOL_DEFAULT);
    for (datacenter, list) in task.state.ready_nodes().iter().filter(|(name, _)| may_run_in(job, name, behaviour)) {
        let before = nodes.len();
        if looks {
            let pool_fits = |node: &NodeId| task.state.node(*node).is_some_and(|entry| any(&entry.node.spec.pool));
            nodes.extend(list.iter().copied().filter(pool_fits));
        } else {
            nodes.extend_from_slice(list);
        }
        by_datacenter.insert(Arc::clone(datacenter), (nodes.len() - before) as u32);
    }
    (nodes, by_datacenter)
}

/// Whether a placement may push others out.
pub(super) fn may_preempt(config: &SchedulerConfig, kind: JobKind) -> bool {
    match kind {
        JobKind::Service => config.preempt_service,
        JobKind::Batch => config.preempt_batch,
        JobKind::System => config.preempt_system,
        JobKind::SysBatch => config.preempt_sysbatch,
    }
}

/// A new allocation of a group on the chosen node.
pub(super) fn new_alloc(job: &Arc<Job>, group: usize, name_index: u32, chosen: Ranked, task: Task<'_>) -> Alloc {
    Alloc {
        id: AllocId::NEW,
        job_id: job.id,
        job: Arc::clone(job),
        group: group as u32,
        name_index,
        node: chosen.node,
        eval: task.eval.id,
        deployment: None,
        desired: Desired::Run,
        client: ClientStatus::Pending,
        transition: Transition::default(),
        health: None,
        resources: chosen.resources,
        ports: chosen.ports,
        devices: chosen.devices,
        previous: None,
        next: None,
        followup_eval: None,
        preempted: chosen.preempted,
        preempted_by: None,
        reschedules: Vec::new(),
        finished_at: None,
        task_failed: false,
        lost_at: None,
        disconnected_at: None,
        score_nanos: (chosen.score * 1e9) as i64,
        create_time: task.now,
        modify_time: task.now,
        create_index: 0,
        modify_index: 0,
        alloc_modify_index: 0,
    }
}

/// Whether an updated allocation may stay in its node's datacenter and pool.
fn may_stay(job: &Job, node: &NodeSpec, behaviour: &Behaviour) -> bool {
    let by_name = job.datacenters.contains(&node.datacenter);
    let system = matches!(job.kind, JobKind::System | JobKind::SysBatch);
    let globs = behaviour.datacenter_wildcards && (behaviour.system_wildcards_in_place || !system);
    let in_datacenter = by_name || globs && job.datacenters.iter().any(|wanted| glob(wanted, &node.datacenter));
    let in_pool = !behaviour.node_pools || takes_from(job, &node.pool);
    in_pool && (in_datacenter || !behaviour.datacenters_destructive)
}

/// Whether a job may use the nodes of a pool; those in the built-in pool `all` may use all.
pub(super) fn takes_from(job: &Job, pool: &str) -> bool {
    *job.node_pool == *pool || &*job.node_pool == POOL_ALL
}

/// Whether a job may run in a datacenter.
pub(super) fn may_run_in(job: &Job, datacenter: &Arc<str>, behaviour: &Behaviour) -> bool {
    let named = |wanted: &Arc<str>| wanted == datacenter || behaviour.datacenter_wildcards && glob(wanted, datacenter);
    job.datacenters.iter().any(named)
}

/// Whether an allocation of another version can stay where it is (Nomad `genericAllocUpdateFn`, `inplaceUpdate`).
pub(super) fn update_verdict<'a>(
    stack: &mut Stack<'a>,
    job: &'a Arc<Job>,
    alloc: &'a Arc<Alloc>,
    task: Task<'_>,
) -> Verdict {
    if alloc.job.job_modify_index == job.job_modify_index && alloc.job.create_index == job.create_index {
        return Verdict::Ignore;
    }
    let name = &alloc.task_group().name;
    if needs_new_tasks(&alloc.job, job, name) {
        return Verdict::Destructive;
    }
    if alloc.is_terminal() {
        return Verdict::Ignore;
    }
    let group = job.groups.iter().position(|group| group.name == *name);
    let (Some(group), Some(entry)) = (group, task.state.node(alloc.node)) else { return Verdict::Destructive };
    if !may_stay(job, &entry.node.spec, &task.config.behaviour) {
        return Verdict::Destructive;
    }
    let reason = StopReason::Updating;
    stack.stage_stop(Stop { alloc: alloc.id, node: alloc.node, client: None, followup: None, reason });
    let chosen = stack.select_node(group, alloc.node, false);
    stack.unstage_stop(alloc.id);
    let Some(chosen) = chosen else { return Verdict::Destructive };
    let mut updated = Alloc::clone(alloc);
    updated.job = Arc::clone(job);
    updated.group = group as u32;
    updated.eval = task.eval.id;
    updated.resources = chosen.resources;
    Verdict::InPlace(Box::new(updated))
}

/// One attempt, from the job's allocations to a plan.
pub(super) fn attempt(task: Task<'_>, rng: Rng) -> Outcome {
    let state = task.state;
    let job = state.job(task.eval.job);
    let allocs: Vec<&Arc<Alloc>> = state.allocs_of_job(task.eval.job).collect();
    let all_at_once = job.is_some_and(|job| job.all_at_once);
    let plan = Plan::new(task.eval, all_at_once, state.index());
    let Some(stack_job) = job.or_else(|| allocs.first().map(|alloc| &alloc.job)) else { return Outcome::new(plan) };
    let batch = stack_job.kind == JobKind::Batch;
    let deployment = if batch { None } else { state.latest_deployment(task.eval.job) };
    let mut stack = Stack::new(state, task.config, stack_job, plan, rng);
    if task.config.explains {
        stack.watch();
    }
    for stop in unconfirmed_stops(state, &allocs) {
        stack.stage_stop(stop);
    }
    let question = Question {
        job,
        batch,
        deployment: deployment.map(AsRef::as_ref),
        job_id: task.eval.job,
        eval: task.eval.id,
        now: task.now,
        behaviour: task.config.behaviour,
    };
    let answer = reconcile(question, &allocs, &|node| taint(state, node), &mut |alloc, _| match job {
        Some(job) => update_verdict(&mut stack, job, alloc, task),
        None => Verdict::Ignore,
    });
    let current = answer.deployment.as_ref().or(question.deployment);
    stage_changes(&mut stack, &answer, current.map(|deployment| deployment.id));
    let wanted: Vec<Wanted<'_>> = answer
        .destructive
        .iter()
        .map(|replace| Wanted { place: replacement(replace), stops: true })
        .chain(answer.place.into_iter().map(|place| Wanted { place, stops: false }))
        .collect();
    let mut placer = Placer {
        task,
        stack,
        deployment: current.filter(|deployment| deployment.is_active()).map(|deployment| deployment.id),
        has_deployment: current.is_some(),
        failed: OrdMap::new(),
        queued: OrdMap::new(),
        selections: Vec::new(),
    };
    if let Some(job) = job {
        placer.place_all(job, &wanted);
    }
    let (class_eligibility, escaped) = placer.stack.eligibility();
    let mut work = placer.stack.work();
    work.allocs_reconciled += allocs.len() as u64;
    let deployment = current.map(|deployment| deployment.id).filter(|id| *id != DeploymentId::NEW);
    let mut plan = placer.stack.into_plan();
    plan.deployment = answer.deployment;
    Outcome {
        failed: placer.failed,
        queued: placer.queued,
        followups: answer.followups.into_values().chain(answer.timeouts.into_values()).flatten().collect(),
        class_eligibility,
        escaped,
        deployment,
        work,
        selections: placer.selections,
        ..Outcome::new(plan)
    }
}

/// Stops, changes in place and deployment updates go into the plan before anything is placed.
fn stage_changes(stack: &mut Stack<'_>, answer: &Answer<'_>, deployment: Option<DeploymentId>) {
    for stop in &answer.stop {
        stack.stage_stop(*stop);
    }
    for updated in &answer.in_place {
        let mut updated = Alloc::clone(updated);
        if updated.deployment != deployment {
            updated.deployment = deployment;
            updated.health = None;
        }
        stack.stage_update(Arc::new(updated));
    }
    for updated in &answer.unknown {
        stack.stage_update(Arc::clone(updated));
    }
    for updated in &answer.returned {
        stack.stage_update(Arc::clone(updated));
    }
    for (id, followup) in &answer.delayed {
        if let Some(alloc) = stack.state.alloc(*id) {
            let mut delayed = Alloc::clone(alloc);
            delayed.followup_eval = Some(*followup);
            stack.stage_update(Arc::new(delayed));
        }
    }
    stack.plan_mut().deployment_updates.clone_from(&answer.deployment_updates);
}

/// A placement, and whether what it replaces is stopped by it.
struct Wanted<'a> {
    place: Place<'a>,
    stops: bool,
}

fn replacement<'a>(replace: &Replace<'a>) -> Place<'a> {
    Place {
        group: replace.group,
        name_index: replace.name_index,
        canary: false,
        previous: Some(replace.alloc),
        reschedule: false,
        lost: false,
        downgrade_non_canary: false,
        min_job_version: 0,
    }
}

struct Placer<'a> {
    task: Task<'a>,
    stack: Stack<'a>,
    /// The deployment of placements; that of an older version after a downgrade (a quirk: it stays for later ones).
    deployment: Option<DeploymentId>,
    has_deployment: bool,
    failed: OrdMap<Arc<str>, FailedGroup>,
    queued: OrdMap<Arc<str>, u32>,
    selections: Vec<Selection>,
}

impl<'a> Placer<'a> {
    fn place_all(&mut self, job: &'a Arc<Job>, wanted: &[Wanted<'a>]) {
        if wanted.is_empty() {
            self.queued = job.groups.iter().map(|group| (Arc::clone(&group.name), 0)).collect();
            return;
        }
        for wanted in wanted {
            *self.queued.entry(Arc::clone(&wanted.place.group.name)).or_default() += 1;
        }
        let (nodes, by_datacenter) = ready_nodes(self.task, job);
        self.stack.set_nodes(nodes);
        for wanted in wanted {
            let name = &wanted.place.group.name;
            let mut version = job;
            if wanted.place.downgrade_non_canary
                && let Some((deployment, older)) = self.older_version(job, &wanted.place)
            {
                self.deployment = deployment;
                version = older;
            }
            if let Some(failed) = self.failed.get_mut(name) {
                failed.coalesced_failures += 1;
            } else {
                self.stack.set_job(version);
                let placed = self.place(version, wanted);
                self.stack.set_job(job);
                let Err(mut failure) = placed else { continue };
                failure.nodes_available.clone_from(&by_datacenter);
                self.failed.insert(Arc::clone(name), *failure);
            }
            // Until 1.6.12 the failed allocation is stopped all the same, and its history is lost (a quirk).
            let keeps = wanted.place.reschedule && self.task.config.behaviour.reschedule_history_kept;
            if let Some(previous) = wanted.place.previous.filter(|_| keeps) {
                self.stack.unstage_stop(previous.id);
            }
        }
        for selection in &mut self.selections {
            selection.record.nodes_available.clone_from(&by_datacenter);
            if let Some(failed) = self.failed.get(&selection.group).filter(|_| selection.chosen.is_none()) {
                selection.record.coalesced_failures = failed.coalesced_failures;
            }
        }
    }

    /// Places an allocation of the version the stack is set to.
    fn place(&mut self, version: &'a Arc<Job>, wanted: &Wanted<'a>) -> Result<(), Box<FailedGroup>> {
        let place = &wanted.place;
        let group = version.groups.iter().position(|group| group.name == place.group.name);
        let group = group.expect("a version is used only if it has the group");
        let previous = place.previous;
        if wanted.stops
            && let Some(previous) = previous
        {
            let (alloc, node, reason) = (previous.id, previous.node, StopReason::Updating);
            self.stack.stage_stop(Stop { alloc, node, client: None, followup: None, reason });
        }
        let Some(chosen) = self.select(explain::Wanted { group, name_index: place.name_index, previous }) else {
            let failure = self.stack.failure(group);
            if let Some(previous) = previous.filter(|_| wanted.stops) {
                self.stack.unstage_stop(previous.id);
            }
            return Err(Box::new(failure));
        };
        let mut alloc = new_alloc(version, group, place.name_index, chosen, self.task);
        alloc.deployment = self.deployment;
        alloc.previous = previous.map(|previous| previous.id);
        if place.canary && self.has_deployment {
            alloc.health =
                Some(DeploymentHealth { healthy: None, timestamp: self.task.now, canary: true, modify_index: 0 });
        }
        if let Some(previous) = previous.filter(|_| place.reschedule) {
            alloc.reschedules = tracker(previous, self.task.now);
        }
        self.stack.stage_placement(Arc::new(alloc));
        Ok(())
    }

    fn select(&mut self, wanted: explain::Wanted<'_>) -> Option<Ranked> {
        let explain::Wanted { group, previous, .. } = wanted;
        let mut penalty: Vec<NodeId> = Vec::new();
        let mut options = SelectOptions::default();
        if let Some(previous) = previous {
            if previous.client == ClientStatus::Failed {
                penalty.push(previous.node);
            }
            penalty.extend(previous.reschedules.iter().map(|event| event.node));
            let sticky = self.stack.job.groups[group].disk.sticky;
            let ready = || self.task.state.node(previous.node).is_some_and(|entry| entry.node.is_ready());
            options.preferred = (sticky && ready()).then_some(previous.node);
        }
        options.penalty_nodes = &penalty;
        self.pass(wanted, options).or_else(|| {
            if !may_preempt(self.task.config, self.stack.job.kind) {
                return None;
            }
            self.pass(wanted, SelectOptions { preempt: true, ..options })
        })
    }

    fn pass(&mut self, wanted: explain::Wanted<'_>, options: SelectOptions<'_>) -> Option<Ranked> {
        let chosen = self.stack.select(wanted.group, options);
        if self.task.config.explains {
            self.selections.push(Selection::last(&self.stack, wanted, options, chosen.as_ref()));
        }
        chosen
    }

    /// The version to use while canaries of the newest one are not promoted: that of the newest deployment whose
    /// group is promoted or had no canaries, else the replaced allocation's if it had no update block. Deployments of
    /// earlier incarnations of the job do not count.
    fn older_version(&self, job: &Job, place: &Place<'_>) -> Option<(Option<DeploymentId>, &'a Arc<Job>)> {
        let state = self.task.state;
        let name = &place.group.name;
        let entry = state.job_entry(job.id)?;
        let mut deployments: Vec<&Arc<Deployment>> = entry
            .deployments
            .iter()
            .filter_map(|id| state.deployment(*id))
            .filter(|deployment| deployment.job_create_index == job.create_index)
            .collect();
        deployments.sort_by_key(|deployment| std::cmp::Reverse((deployment.job_version, deployment.id)));
        let usable = deployments.into_iter().find(|deployment| {
            deployment.groups.get(name).is_some_and(|group| group.promoted || group.desired_canaries == 0)
        });
        let (deployment, version) = match usable {
            Some(deployment) => (Some(deployment.id), deployment.job_version),
            None => (None, place.min_job_version),
        };
        let older = state.job_version(job.id, version)?;
        let group = older.group(name)?;
        let has_strategy = group.update.as_ref().is_some_and(|update| update.max_parallel > 0);
        if usable.is_none() && has_strategy || version < place.min_job_version {
            return None;
        }
        Some((deployment, older))
    }
}

/// Puts the real numbers in place of placeholders; what was never created gets one that never exists.
pub(super) fn resolve_followups(plan: &mut Plan, followups: &[Followup], created: &[EvalId]) {
    let real = |id: EvalId| {
        if id.0 < crate::protocol::scheduler::reconcile::PLACEHOLDERS {
            return id;
        }
        let at = followups.iter().position(|followup| followup.placeholder == id);
        at.and_then(|at| created.get(at)).copied().unwrap_or(EvalId::NEW)
    };
    for stop in &mut plan.stops {
        stop.followup = stop.followup.map(real);
    }
    for alloc in &mut plan.updates {
        if let Some(id) = alloc.followup_eval
            && real(id) != id
        {
            Arc::make_mut(alloc).followup_eval = Some(real(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datacenter_patterns() {
        for (pattern, text, expected) in [
            ("dc1", "dc1", true),
            ("dc*", "dc12", true),
            ("*", "x", true),
            ("d*2", "dc1", false),
            ("a*b*c", "abxc", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
