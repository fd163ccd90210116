//! Applying log entries to the state: a pure function of (state, index, entry), the same on every replica
//! (Nomad `FSM` and `StateStore`).
//!
//! Costs grow with what changes, not with the state. Entries that name things which are gone change nothing; the
//! proposer learns it from [`Applied`].

use std::sync::Arc;

use crate::base::ordered::OrdSet;
use crate::base::time::Time;
use crate::model::alloc::{Alloc, AllocId, ClientStatus, DeploymentHealth, Desired};
use crate::model::deployment::{Deployment, DeploymentId};
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation};
use crate::model::job::JobId;
use crate::model::node::{DrainStrategy, Eligibility, Node, NodeId, NodeSpec, NodeStatus, POOL_DEFAULT};
use crate::protocol::scheduler::classes::computed_class;
use crate::protocol::scheduler::command::{AllocUpdate, Applied, Command, Refusal, Unblock};
use crate::protocol::scheduler::plan::{PlanResult, Preemption, Stop};
use crate::protocol::scheduler::state::{JobEntry, NameHash, NodeEntry, State};

impl State {
    /// Applies one committed entry. `index` must be larger than any applied before.
    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        self.index = index;
        let mut writer = Writer { state: self, index, applied: Applied { index, ..Applied::default() } };
        writer.apply(command);
        let mut applied = writer.applied;
        applied.notified.sort_unstable();
        applied.notified.dedup();
        applied.rollouts.sort_unstable();
        applied.rollouts.dedup();
        applied
    }

    /// As if a plan that is on its way to the log had been applied at `index`, as far as the verification of the next
    /// plan can tell: what nodes hold and whether they take more, which allocations are terminal, and when nodes and
    /// allocations changed last. Only the last plan of a snapshot may be foreseen: its allocations do not know their
    /// numbers, so that no further entry can change them.
    pub fn foresee(&mut self, index: u64, result: &PlanResult) {
        self.index = index;
        let mut writer = Writer { state: self, index, applied: Applied::default() };
        for stop in &result.stops {
            writer.stop(stop, result.time);
        }
        for alloc in &result.placements {
            writer.expect(alloc);
        }
        for alloc in &result.updates {
            writer.update_in_place(alloc, result.time);
        }
        for victim in &result.preemptions {
            writer.preempt(victim, result.time);
        }
        for node in &result.ineligible {
            writer.node_eligibility(*node, Eligibility::Ineligible);
        }
    }
}

/// Writes one entry and notes what changed.
pub(super) struct Writer<'a> {
    pub(super) state: &'a mut State,
    pub(super) index: u64,
    pub(super) applied: Applied,
}

impl Writer<'_> {
    fn apply(&mut self, command: &Command) {
        match command {
            Command::Noop => {}
            Command::SchedulerConfig(switches) => self.state.switches = *switches,
            Command::RegisterNode { id, spec, status } => self.register_node(*id, spec, *status),
            Command::DeregisterNodes(ids) => self.deregister_nodes(ids),
            Command::NodeStatus { id, status } => self.node_status(*id, *status),
            Command::NodeEligibility { id, eligibility } => self.node_eligibility(*id, *eligibility),
            Command::NodeDrain { id, strategy, mark_eligible } => self.node_drain(*id, *strategy, *mark_eligible),
            Command::RegisterJob { job, eval, time } => {
                let id = self.register(job, *time);
                let eval = eval.as_deref().map(|eval| Evaluation { job: id, ..eval.clone() });
                self.upsert_evals(eval.as_ref());
            }
            Command::DeregisterJob { id, purge, eval } => {
                self.deregister_job(*id, *purge);
                self.upsert_evals(eval.as_deref());
            }
            Command::UpsertEvals(evals) => self.upsert_evals(evals),
            Command::Plan(result) => self.plan(result),
            Command::ClientUpdate { updates, evals, time } => {
                for update in updates {
                    self.client_update(update, *time);
                }
                self.upsert_evals(evals);
            }
            Command::Transitions { transitions, evals } => {
                for (id, wish) in transitions {
                    self.change_alloc(*id, |alloc| {
                        alloc.transition.migrate |= wish.migrate;
                        alloc.transition.reschedule |= wish.reschedule;
                        alloc.transition.force_reschedule |= wish.force_reschedule;
                    });
                }
                self.upsert_evals(evals);
            }
            Command::DeploymentStatus { update, eval, job } => {
                if let Err(refusal) = self.active_deployment(update.id) {
                    self.applied.refused = Some(refusal);
                    return;
                }
                self.deployment_status(*update);
                if let Some(job) = job {
                    self.register_job(job);
                }
                self.upsert_evals(eval.as_deref());
            }
            Command::PromoteDeployment { id, groups, eval, time } => match self.promote(*id, groups, *time) {
                Ok(()) => self.upsert_evals(eval.as_deref()),
                Err(refusal) => self.applied.refused = Some(refusal),
            },
            Command::AllocHealth { id, healthy, unhealthy, update, job, eval, time } => {
                if let Err(refusal) = self.may_set_health(*id, healthy.iter().chain(unhealthy)) {
                    self.applied.refused = Some(refusal);
                    return;
                }
                self.set_health(healthy, true, *time);
                self.set_health(unhealthy, false, *time);
                if let Some(update) = update {
                    self.deployment_status(*update);
                }
                if let Some(job) = job {
                    self.register_job(job);
                }
                self.upsert_evals(eval.as_deref());
            }
            Command::Reap { evals, allocs, deployments, jobs } => self.reap(evals, allocs, deployments, jobs),
        }
    }

    // Nodes.

    /// Keeps the lists of ready nodes right; `was` is the node before the change.
    fn list_ready(&mut self, id: NodeId, was: Option<(Arc<str>, bool)>) {
        let is = self.readiness(id);
        if was == is {
            return;
        }
        let lists = Arc::make_mut(&mut self.state.ready);
        if let Some((datacenter, true)) = was
            && let Some(list) = lists.get_mut(&datacenter)
            && let Ok(at) = list.binary_search(&id)
        {
            Arc::make_mut(list).remove(at);
            if list.is_empty() {
                lists.remove(&datacenter);
            }
        }
        if let Some((datacenter, true)) = is {
            let list = lists.entry(datacenter).or_default();
            if let Err(at) = list.binary_search(&id) {
                Arc::make_mut(list).insert(at, id);
            }
        }
    }

    fn readiness(&self, id: NodeId) -> Option<(Arc<str>, bool)> {
        let entry = self.state.nodes.get(id)?;
        Some((Arc::clone(&entry.node.spec.datacenter), entry.node.is_ready()))
    }

    /// A node has this status from now on.
    fn note_status(&mut self, status: NodeStatus) {
        self.state.had.silent_nodes |= matches!(status, NodeStatus::Down | NodeStatus::Disconnected);
    }

    fn touch_nodes(&mut self) {
        self.state.tables.nodes = self.index;
        self.applied.changed = true;
    }

    fn register_node(&mut self, id: NodeId, spec: &Arc<NodeSpec>, status: NodeStatus) {
        let class = computed_class(spec);
        let index = self.index;
        let was = self.readiness(id);
        self.note_status(status);
        self.state.has_pools |= &*spec.pool != POOL_DEFAULT;
        if let Some(entry) = self.state.nodes.get_mut(id) {
            let entry = Arc::make_mut(entry);
            let changed = entry.node.spec != *spec;
            let node = Arc::make_mut(&mut entry.node);
            node.spec = Arc::clone(spec);
            node.computed_class = class;
            node.status = status;
            node.modify_index = index;
            if changed {
                self.rebuild_node(id);
            }
        } else {
            let node = Node {
                id,
                spec: Arc::clone(spec),
                computed_class: class,
                status,
                eligibility: Eligibility::Eligible,
                drain: None,
                create_index: index,
                modify_index: index,
            };
            self.state.nodes.insert(id, Arc::new(NodeEntry::new(Arc::new(node))));
        }
        self.list_ready(id, was);
        self.touch_nodes();
        if status == NodeStatus::Ready {
            self.applied.unblocked.push(Unblock { class, node: None });
        }
    }

    /// Reads and counts everything again, after the node came back as another one.
    fn rebuild_node(&mut self, id: NodeId) {
        let Some(old) = self.state.nodes.get(id).map(Arc::clone) else { return };
        let mut fresh = NodeEntry::new(Arc::clone(&old.node));
        fresh.allocs = old.allocs.clone();
        fresh.allocs_index = old.allocs_index;
        (fresh.silent_index, fresh.reports_index) = (old.silent_index, old.reports_index);
        for alloc in old.live.iter().filter_map(|alloc| self.state.allocs.get(*alloc)) {
            fresh.occupy(alloc);
        }
        self.state.nodes.insert(id, Arc::new(fresh));
    }

    fn deregister_nodes(&mut self, ids: &[NodeId]) {
        for id in ids {
            let was = self.readiness(*id);
            if self.state.nodes.remove(*id).is_some() {
                self.state.had.strays = true;
                self.list_ready(*id, was);
                self.touch_nodes();
            }
        }
    }

    fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) -> Option<Unblock> {
        let index = self.index;
        let was = self.readiness(id);
        let entry = Arc::make_mut(self.state.nodes.get_mut(id)?);
        let node = Arc::make_mut(&mut entry.node);
        change(node);
        node.modify_index = index;
        let capacity = Unblock { class: node.computed_class, node: Some(id) };
        let status = node.status;
        self.note_status(status);
        self.list_ready(id, was);
        self.touch_nodes();
        Some(capacity)
    }

    fn node_status(&mut self, id: NodeId, status: NodeStatus) {
        let capacity = self.change_node(id, |node| node.status = status);
        if matches!(status, NodeStatus::Down | NodeStatus::Disconnected)
            && let Some(entry) = self.state.nodes.get_mut(id)
        {
            Arc::make_mut(entry).silent_index = self.index;
        }
        if status == NodeStatus::Ready {
            self.applied.unblocked.extend(capacity);
        }
    }

    /// A draining node is not made eligible (Nomad `UpdateNodeEligibility`).
    fn node_eligibility(&mut self, id: NodeId, eligibility: Eligibility) {
        let Some(before) = self.state.nodes.get(id).map(|entry| &entry.node) else { return };
        let was = before.eligibility;
        if before.drain.is_some() && eligibility == Eligibility::Eligible {
            self.applied.refused = Some(Refusal::NodeDraining);
            return;
        }
        let capacity = self.change_node(id, |node| node.eligibility = eligibility);
        if was == Eligibility::Ineligible && eligibility == Eligibility::Eligible {
            self.applied.unblocked.extend(capacity);
        }
    }

    /// A new strategy for a draining node keeps the time at which its drain began. Drains unblock nobody, not even when
    /// they are taken back and the node is eligible again.
    fn node_drain(&mut self, id: NodeId, strategy: Option<DrainStrategy>, mark_eligible: bool) {
        self.change_node(id, |node| {
            let started_at = node.drain.map(|before| before.started_at);
            node.drain = strategy.map(|new| DrainStrategy { started_at: started_at.unwrap_or(new.started_at), ..new });
            if strategy.is_some() {
                node.eligibility = Eligibility::Ineligible;
            } else if mark_eligible {
                node.eligibility = Eligibility::Eligible;
            }
        });
    }

    // Evaluations.

    fn upsert_evals<'e>(&mut self, evals: impl IntoIterator<Item = &'e Evaluation>) {
        for eval in evals {
            self.upsert_eval(eval);
        }
    }

    fn upsert_eval(&mut self, eval: &Evaluation) {
        let mut eval = eval.clone();
        if eval.id == EvalId::NEW {
            eval.id = EvalId(self.state.next_eval);
            self.state.next_eval += 1;
            eval.create_index = self.index;
        }
        eval.modify_index = self.index;
        let eval = Arc::new(eval);
        self.put_eval(&eval);
        if eval.status == EvalStatus::Complete && eval.failed_groups.is_empty() {
            self.applied.untracked.push(eval.job);
            for id in self.job_entry(eval.job).blocked.clone() {
                let mut canceled = Evaluation::clone(self.state.evals.get(id).expect("listed evaluations exist"));
                canceled.status = EvalStatus::Canceled;
                canceled.modify_index = self.index;
                let canceled = Arc::new(canceled);
                self.put_eval(&canceled);
                self.applied.canceled.push(canceled);
            }
        }
        self.applied.evals.push(eval);
    }

    fn put_eval(&mut self, eval: &Arc<Evaluation>) {
        let index = self.index;
        let entry = self.job_entry(eval.job);
        entry.evals.insert(eval.id, ());
        entry.evals_index = index;
        for (list, status) in [(&mut entry.pending, EvalStatus::Pending), (&mut entry.blocked, EvalStatus::Blocked)] {
            match (list.binary_search(&eval.id), eval.status == status) {
                (Err(at), true) => list.insert(at, eval.id),
                (Ok(at), false) => drop(list.remove(at)),
                (Ok(_), true) | (Err(_), false) => {}
            }
        }
        if entry.job.is_some() && !eval.queued.is_empty() && eval.queued != *entry.queued {
            let queued = Arc::make_mut(&mut entry.queued);
            queued.extend(eval.queued.iter().map(|(group, count)| (Arc::clone(group), *count)));
        }
        self.state.evals.insert(eval.id, Arc::clone(eval));
        self.state.tables.evals = index;
        self.applied.changed = true;
    }

    // Allocations.

    /// Records an allocation after a change and keeps the sums right. `before` is what it was.
    fn put_alloc(&mut self, before: Option<&Alloc>, after: Arc<Alloc>) {
        let (id, node, job) = (after.id, after.node, after.job_id);
        let live = (before.is_some_and(|alloc| !alloc.is_terminal()), !after.is_terminal());
        let unchanged = |before: &Alloc| {
            live.0 == live.1
                && before.resources == after.resources
                && before.ports == after.ports
                && before.alloc_modify_index == after.alloc_modify_index
        };
        // Most reports of clients mean nothing to the node, and what is not written needs no copy.
        let is_news = !before.is_some_and(unchanged)
            || self.state.had.strays && self.state.nodes.get(node).is_some_and(|entry| entry.counts(id) != live.1);
        if is_news && let Some(entry) = self.state.nodes.get_mut(node) {
            let entry = Arc::make_mut(entry);
            if let Some(before) = before
                && live.0
                && (!live.1 || before.resources != after.resources || before.ports != after.ports)
            {
                entry.vacate(before);
            }
            if live.1 {
                entry.occupy(&after);
            }
            if before.is_none_or(|before| before.alloc_modify_index != after.alloc_modify_index) {
                entry.allocs_index = self.index;
                if before.is_none() {
                    entry.list(&after);
                } else {
                    entry.relist(&after);
                }
                self.applied.notified.push(node);
            }
        } else if is_news {
            self.state.had.strays = true;
        }
        if before.is_none() || live.0 != live.1 {
            let entry = self.job_entry(job);
            if before.is_none() {
                entry.allocs.insert(id, ());
            }
            entry.live_count = entry.live_count + u32::from(live.1) - u32::from(live.0);
        }
        self.state.had.unknown_allocs |= after.client == ClientStatus::Unknown;
        self.count_in_deployment(before, &after);
        self.state.allocs.insert(id, after);
        self.state.tables.allocs = self.index;
        self.applied.changed = true;
    }

    /// Changes an allocation, if it exists. `change` sees it with its modify index already set.
    pub(super) fn change_alloc(&mut self, id: AllocId, change: impl FnOnce(&mut Alloc)) -> Option<NodeId> {
        let before = Arc::clone(self.state.allocs.get(id)?);
        debug_assert!(before.id == id, "what is only foreseen is not changed");
        let mut after = Alloc::clone(&before);
        after.modify_index = self.index;
        change(&mut after);
        let node = after.node;
        self.put_alloc(Some(&before), Arc::new(after));
        Some(node)
    }

    /// Client reports own the client status, the ends of tasks and the health (Nomad `UpdateAllocsFromClient`).
    fn client_update(&mut self, update: &AllocUpdate, time: Time) {
        let index = self.index;
        let node = self.change_alloc(update.id, |alloc| {
            alloc.client = update.client;
            alloc.finished_at = update.finished_at;
            alloc.task_failed = update.task_failed;
            alloc.modify_time = time;
            if let Some((healthy, timestamp)) = update.health {
                let before = alloc.health;
                let same = before.is_some_and(|health| health.healthy == Some(healthy));
                alloc.health = Some(DeploymentHealth {
                    healthy: Some(healthy),
                    timestamp,
                    canary: before.is_some_and(|health| health.canary),
                    modify_index: before.filter(|_| same).map_or(index, |health| health.modify_index),
                });
            }
        });
        let ended = matches!(update.client, ClientStatus::Complete | ClientStatus::Failed);
        let Some(node) = node else { return };
        if ended || self.state.had.silent_nodes || self.state.had.strays {
            let Some(entry) = self.state.nodes.get(node) else { return };
            if ended {
                let capacity = Unblock { class: entry.node.computed_class, node: Some(entry.node.id) };
                self.applied.unblocked.push(capacity);
            }
            if entry.reports_index < entry.silent_index
                && let Some(entry) = self.state.nodes.get_mut(node)
            {
                Arc::make_mut(entry).reports_index = index;
            }
        }
        self.applied.reported.push(update.id);
    }

    // Plans.

    fn plan(&mut self, result: &PlanResult) {
        if let Some(deployment) = &result.deployment {
            let id = DeploymentId(self.state.next_deployment);
            self.state.next_deployment += 1;
            let deployment = Deployment { id, create_index: self.index, ..deployment.clone() };
            self.job_entry(deployment.job).deployments.push(id);
            self.put_deployment(deployment);
            self.applied.deployment = Some(id);
        }
        for update in &result.deployment_updates {
            self.deployment_status(*update);
        }
        if let Some(eval) = self.state.evals.get(result.eval) {
            let mut eval = Evaluation::clone(eval);
            eval.modify_index = self.index;
            self.put_eval(&Arc::new(eval));
        }
        for stop in &result.stops {
            self.stop(stop, result.time);
        }
        for alloc in &result.placements {
            self.place(alloc, result.time);
        }
        for alloc in &result.updates {
            self.update_in_place(alloc, result.time);
        }
        for victim in &result.preemptions {
            self.preempt(victim, result.time);
        }
        self.upsert_evals(&result.preemption_evals);
        for node in &result.ineligible {
            self.node_eligibility(*node, Eligibility::Ineligible);
        }
    }

    fn stop(&mut self, stop: &Stop, time: Time) {
        let index = self.index;
        self.change_alloc(stop.alloc, |alloc| {
            alloc.desired = Desired::Stop;
            if let Some(client) = stop.client {
                alloc.client = client;
                if client == ClientStatus::Lost {
                    alloc.lost_at = alloc.lost_at.or(Some(time));
                }
            }
            alloc.followup_eval = stop.followup.or(alloc.followup_eval);
            alloc.modify_time = time;
            alloc.alloc_modify_index = index;
        });
    }

    fn place(&mut self, alloc: &Alloc, time: Time) {
        let id = AllocId(self.state.next_alloc);
        self.state.next_alloc += 1;
        let mut alloc = alloc.clone();
        alloc.id = id;
        alloc.deployment = self.resolve(alloc.deployment);
        alloc.create_time = time;
        alloc.modify_time = time;
        alloc.create_index = self.index;
        alloc.modify_index = self.index;
        alloc.alloc_modify_index = self.index;
        let previous = alloc.previous;
        self.put_alloc(None, Arc::new(alloc));
        self.applied.allocs.push(id);
        if let Some(previous) = previous {
            self.change_alloc(previous, |alloc| alloc.next = Some(id));
        }
    }

    /// An allocation will be placed. It stands under the number it will have, as the plan has it.
    fn expect(&mut self, alloc: &Arc<Alloc>) {
        let id = AllocId(self.state.next_alloc);
        self.state.next_alloc += 1;
        if !alloc.is_terminal()
            && let Some(entry) = self.state.nodes.get_mut(alloc.node)
        {
            Arc::make_mut(entry).occupy_as(id, alloc);
        }
        self.state.allocs.insert(id, Arc::clone(alloc));
        self.state.tables.allocs = self.index;
        if let Some(previous) = alloc.previous {
            self.change_alloc(previous, |alloc| alloc.next = Some(id));
        }
    }

    /// The client's part of the allocation is kept unless the plan says it is lost or unknown (Nomad `UpsertAllocs`).
    fn update_in_place(&mut self, update: &Alloc, time: Time) {
        let index = self.index;
        let deployment = self.resolve(update.deployment);
        self.change_alloc(update.id, |alloc| {
            let before = alloc.clone();
            *alloc = update.clone();
            alloc.deployment = deployment;
            if !matches!(update.client, ClientStatus::Lost | ClientStatus::Unknown) {
                alloc.client = before.client;
            }
            alloc.finished_at = before.finished_at;
            alloc.task_failed = before.task_failed;
            alloc.next = before.next;
            alloc.create_time = before.create_time;
            alloc.create_index = before.create_index;
            alloc.modify_time = time;
            alloc.modify_index = index;
            alloc.alloc_modify_index = index;
        });
    }

    fn preempt(&mut self, victim: &Preemption, time: Time) {
        let index = self.index;
        let by = self.applied.allocs.get(victim.by as usize).copied();
        self.change_alloc(victim.alloc, |alloc| {
            alloc.desired = Desired::Evict;
            alloc.preempted_by = by;
            alloc.modify_time = time;
            alloc.alloc_modify_index = index;
        });
    }

    fn resolve(&self, id: Option<DeploymentId>) -> Option<DeploymentId> {
        if id == Some(DeploymentId::NEW) { self.applied.deployment } else { id }
    }

    // Garbage collection.

    fn reap(&mut self, evals: &[EvalId], allocs: &[AllocId], deployments: &[DeploymentId], jobs: &[JobId]) {
        let mut touched = OrdSet::new();
        for id in evals {
            let Some(eval) = self.state.evals.remove(*id) else { continue };
            touched.insert(eval.job);
            let entry = self.job_entry(eval.job);
            entry.evals.remove(*id);
            entry.collected = true;
            entry.pending.retain(|held| held != id);
            entry.blocked.retain(|held| held != id);
            self.state.tables.evals = self.index;
        }
        for id in allocs {
            let Some(alloc) = self.state.allocs.remove(*id) else { continue };
            let live = !alloc.is_terminal();
            touched.insert(alloc.job_id);
            let entry = self.job_entry(alloc.job_id);
            entry.allocs.remove(*id);
            entry.live_count -= u32::from(live);
            if let Some(entry) = self.state.nodes.get_mut(alloc.node) {
                let entry = Arc::make_mut(entry);
                entry.vacate(&alloc);
                entry.unlist(*id);
                entry.allocs_index = self.index;
                self.applied.notified.push(alloc.node);
            }
            self.state.tables.allocs = self.index;
        }
        for id in deployments {
            let Some(deployment) = self.state.deployments.remove(*id) else { continue };
            touched.insert(deployment.job);
            self.job_entry(deployment.job).deployments.retain(|held| held != id);
            if let Ok(at) = self.state.active_deployments.binary_search(id) {
                Arc::make_mut(&mut self.state.active_deployments).remove(at);
            }
            self.state.tables.deployments = self.index;
        }
        for id in jobs {
            let parent = self.state.job(*id).and_then(|job| Some((job.parent()?, NameHash::of(&job.name))));
            if let Some((parent, name)) = parent.filter(|(parent, _)| self.state.jobs.contains(*parent)) {
                self.disown(parent, *id, name);
                touched.insert(parent);
            }
            self.deregister_job(*id, true);
            touched.insert(*id);
        }
        for id in touched {
            let is_empty = |entry: &Arc<JobEntry>| {
                entry.job.is_none() && entry.allocs.is_empty() && entry.evals.is_empty() && entry.deployments.is_empty()
            };
            if self.state.jobs.get(id).is_some_and(is_empty) {
                self.state.jobs.remove(id);
            }
        }
        self.applied.changed = true;
    }
}
