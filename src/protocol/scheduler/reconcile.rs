//! What has to happen to a job's allocations so that they match its specification (Nomad `allocReconciler`).
//!
//! Pure: job, newest deployment, all allocations and tainted nodes in; places, stops, updates, follow-up evaluations
//! and deployment changes out. Groups are walked in job order, then removed ones by name; allocations by number.
//! Left out: multiregion deployments.

use std::sync::Arc;

use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired};
use crate::model::deployment::{Deployment, DeploymentGroup, DeploymentId, DeploymentStatus};
use crate::model::evaluation::{EvalId, Trigger};
use crate::model::job::{Job, JobId, TaskGroup};
use crate::model::node::NodeId;
use crate::protocol::scheduler::command::DeploymentUpdate;
use crate::protocol::scheduler::names::Names;
use crate::protocol::scheduler::plan::{Stop, StopReason};
use crate::protocol::scheduler::reconnect::Standings;
use crate::protocol::scheduler::release::Behaviour;
use crate::protocol::scheduler::reschedule::next_time;
use crate::protocol::scheduler::surplus::{
    Kept, Set, Stopping, choose_stops, compute_placements, fresh, subtract, successor,
};

/// Failures due within this time are replaced at once.
const RESCHEDULE_WINDOW: Duration = Duration::from_secs(1);

/// What is wrong with a node that holds allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taint {
    /// Nothing.
    None,
    /// It is being drained.
    Draining,
    /// It is silent, and may return (Nomad 1.3).
    Disconnected,
    /// It is down, or nobody knows it.
    Gone,
}

/// What a changed specification means for an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Ignore,
    /// It can stay where it is; here is how it looks then.
    InPlace(Box<Alloc>),
    /// It has to be replaced.
    Destructive,
}

/// What the reconciler is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The job's current version; `None` after a purge.
    pub job: Option<&'a Arc<Job>>,
    /// Batch rules instead of service rules.
    pub batch: bool,
    /// The newest deployment.
    pub deployment: Option<&'a Deployment>,
    /// Job number, for the deployment to create.
    pub job_id: JobId,
    /// The evaluation being processed.
    pub eval: EvalId,
    /// When.
    pub now: Time,
    /// Switches of the release.
    pub behaviour: Behaviour,
}

/// An allocation to create.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as Nomad's `allocPlaceResult` has them")]
pub struct Place<'a> {
    /// The group, as the current version has it.
    pub group: &'a TaskGroup,
    /// Its number.
    pub name_index: u32,
    /// It tries the new version out.
    pub canary: bool,
    /// The allocation it replaces.
    pub previous: Option<&'a Arc<Alloc>>,
    /// It replaces a failed one: history is carried over.
    pub reschedule: bool,
    /// It replaces a lost one.
    pub lost: bool,
    /// Canaries are not promoted yet, so it must get an older version.
    pub downgrade_non_canary: bool,
    /// That version, at least.
    pub min_job_version: u64,
}

/// An allocation to replace because its specification changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Replace<'a> {
    /// The group, as the current version has it.
    pub group: &'a TaskGroup,
    /// What to stop.
    pub alloc: &'a Arc<Alloc>,
    /// The number of what takes its place: its own, unless others have that, too.
    pub name_index: u32,
}

/// A delayed evaluation to create. Allocations and stops name it by [`Followup::placeholder`] until it has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followup {
    /// Stands for its number.
    pub placeholder: EvalId,
    /// Not before.
    pub wait_until: Time,
    /// What it is for.
    pub trigger: Trigger,
}

/// Counters of a group, as Nomad annotates plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of Nomad's `DesiredUpdates`")]
pub struct Desires {
    pub ignore: u32,
    pub place: u32,
    pub migrate: u32,
    pub stop: u32,
    pub in_place_update: u32,
    pub destructive_update: u32,
    pub canary: u32,
}

/// What has to happen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer<'a> {
    /// A deployment to create.
    pub deployment: Option<Deployment>,
    /// Changes of deployments.
    pub deployment_updates: Vec<DeploymentUpdate>,
    /// Allocations to create.
    pub place: Vec<Place<'a>>,
    /// Allocations to replace.
    pub destructive: Vec<Replace<'a>>,
    /// Allocations to change where they are.
    pub in_place: Vec<Box<Alloc>>,
    /// Allocations to stop.
    pub stop: Vec<Stop>,
    /// Allocations that learn which evaluation will replace them.
    pub delayed: OrdMap<AllocId, EvalId>,
    /// Evaluations to create, by group.
    pub followups: OrdMap<Arc<str>, Vec<Followup>>,
    /// Evaluations to create for clients that are away, by group.
    pub timeouts: OrdMap<Arc<str>, Vec<Followup>>,
    /// Allocations that are unknown from now on.
    pub unknown: Vec<Arc<Alloc>>,
    /// Allocations that returned and stay.
    pub returned: Vec<Arc<Alloc>>,
    /// Counters by group.
    pub desires: OrdMap<Arc<str>, Desires>,
}

/// Reconciles. `taint` knows the nodes; `update` decides on allocations of other versions.
pub fn reconcile<'a>(
    question: Question<'a>,
    allocs: &[&'a Arc<Alloc>],
    taint: &dyn Fn(NodeId) -> Taint,
    update: &mut dyn FnMut(&'a Arc<Alloc>, &'a TaskGroup) -> Verdict,
) -> Answer<'a> {
    let mut reconciler = Reconciler {
        question,
        taint,
        update,
        deployment: question.deployment.cloned(),
        old: None,
        paused: false,
        failed: false,
        next_placeholder: 0,
        kept_behind: OrdSet::new(),
        answer: Answer::default(),
    };
    reconciler.run(allocs);
    reconciler.answer
}

pub(super) struct Reconciler<'a, 'r> {
    pub(super) question: Question<'a>,
    pub(super) taint: &'r dyn Fn(NodeId) -> Taint,
    update: &'r mut dyn FnMut(&'a Arc<Alloc>, &'a TaskGroup) -> Verdict,
    deployment: Option<Deployment>,
    old: Option<Deployment>,
    paused: bool,
    failed: bool,
    pub(super) next_placeholder: u32,
    /// Unknown allocations of the group that are replaced now, and not stopped.
    pub(super) kept_behind: OrdSet<AllocId>,
    pub(super) answer: Answer<'a>,
}

/// One group while it is worked on.
struct GroupWork<'a> {
    group: &'a TaskGroup,
    state: DeploymentGroup,
    /// The deployment has the group already; changes of `state` are not written.
    existing: bool,
    desires: Desires,
}

impl<'a> Reconciler<'a, '_> {
    fn run(&mut self, allocs: &[&'a Arc<Alloc>]) {
        let mut groups: OrdMap<Arc<str>, Set<'a>> = OrdMap::new();
        for alloc in allocs {
            groups.entry(Arc::clone(&alloc.task_group().name)).or_default().push(alloc);
        }
        self.cancel_deployments();
        let Some(job) = self.question.job.filter(|job| !job.stop) else {
            self.stop_all(groups);
            return;
        };
        if let Some(deployment) = &self.deployment {
            self.paused = deployment.status == DeploymentStatus::Paused;
            self.failed = deployment.status == DeploymentStatus::Failed;
        }
        let mut complete = true;
        for group in &job.groups {
            let all = groups.remove(&group.name).unwrap_or_default();
            complete &= self.reconcile_group(job, group, all);
        }
        for (name, all) in groups {
            self.stop_group(name, &all);
        }
        if let Some(deployment) = &self.deployment
            && complete
        {
            let id = deployment.id;
            self.answer.deployment_updates.push(DeploymentUpdate { id, status: DeploymentStatus::Successful });
        }
    }

    fn cancel_deployments(&mut self) {
        let Some(deployment) = &self.deployment else { return };
        let update = DeploymentUpdate { id: deployment.id, status: DeploymentStatus::Cancelled };
        let superseded = match self.question.job.filter(|job| !job.stop) {
            None => true,
            Some(job) => deployment.job_create_index != job.create_index || deployment.job_version != job.version,
        };
        if superseded && deployment.is_active() {
            self.answer.deployment_updates.push(update);
        }
        if superseded || deployment.status == DeploymentStatus::Successful {
            self.old = self.deployment.take();
        }
    }

    /// The job is stopped or gone.
    fn stop_all(&mut self, groups: OrdMap<Arc<str>, Set<'a>>) {
        for group in self.question.job.iter().flat_map(|job| &job.groups) {
            self.answer.desires.insert(Arc::clone(&group.name), Desires::default());
        }
        for (name, all) in groups {
            let live: Set<'a> = all.into_iter().filter(|alloc| !alloc.is_terminal()).collect();
            self.stop_group(name, &live);
        }
    }

    fn stop_group(&mut self, name: Arc<str>, all: &Set<'a>) {
        let Standings { mut untainted, migrate, lost, disconnecting, away, returned } = self.standings(all);
        untainted.extend(disconnecting.into_iter().chain(away).chain(returned));
        let desires = Desires { stop: all.len() as u32, ..Desires::default() };
        self.stop(&untainted, None, StopReason::NotNeeded);
        self.stop(&migrate, None, StopReason::NotNeeded);
        self.stop(&lost, Some(ClientStatus::Lost), StopReason::Lost);
        self.answer.desires.insert(name, desires);
    }

    pub(super) fn stop(&mut self, allocs: &[&'a Arc<Alloc>], client: Option<ClientStatus>, reason: StopReason) {
        let stops =
            allocs.iter().map(|alloc| Stop { alloc: alloc.id, node: alloc.node, client, followup: None, reason });
        self.answer.stop.extend(stops);
    }

    /// Whether the group needs nothing more for the deployment to be done.
    fn reconcile_group(&mut self, job: &'a Arc<Job>, group: &'a TaskGroup, all: Set<'a>) -> bool {
        let mut work = self.group_work(group);
        let all = self.drop_old_batch(job, &mut work, all);
        let (canaries, all) = self.handle_canaries(&mut work, all);
        let mut standings = self.standings(&all);
        work.desires.stop += self.welcome_back(job, &all, &mut standings) as u32;
        let absent = self.lose_sight(group, &standings);
        let Standings { untainted, migrate, lost, .. } = standings;
        let (mut untainted, now, later) = self.by_reschedule(untainted);
        let lost_later = self.lost_later(&lost);
        let delays_placement = !lost_later.is_empty();
        let lost_followups = self.create_followups(group, lost_later);
        let delayed = self.create_followups(group, later.clone());
        self.answer.delayed.extend(delayed);
        let replaced: Set<'a> = now.iter().chain(&absent.replaced).copied().collect();
        let kept = untainted.iter().chain(&migrate).chain(&replaced).chain(&lost).chain(&absent.waiting);
        let used = kept.map(|alloc| alloc.name_index);
        let mut names = Names::new(group.count, used);
        let mut canary_state = work.state.desired_canaries != 0 && !work.state.promoted;
        let mut sets = Stopping { untainted, migrate, lost: &lost, canaries: &canaries, canary_state };
        self.compute_stop(&mut work, &mut names, &mut sets, &lost_followups);
        untainted = sets.untainted;
        let migrate = sets.migrate;
        let (destructive, in_place) = self.classify(&mut work, &untainted);
        if !work.existing {
            work.state.desired_total += destructive.len() as u32 + in_place;
        }
        if canary_state {
            untainted = subtract(&untainted, &canaries);
        }
        // Asked of every update block, also of one that is no strategy (a quirk).
        let wanted_canaries = group.update.as_ref().map_or(0, |update| update.canary);
        let need_canary = !destructive.is_empty() && (canaries.len() as u32) < wanted_canaries && !work.state.promoted;
        if need_canary {
            work.state.desired_canaries = wanted_canaries;
            if !self.paused && !self.failed {
                let missing = (wanted_canaries as usize) - canaries.len();
                self.place_canaries(&mut work, &mut names, missing, &canaries, &destructive);
            }
        }
        canary_state = work.state.desired_canaries != 0 && !work.state.promoted;
        let mut limit = self.compute_limit(group, &untainted, &destructive, &migrate, canary_state);
        let mut place = Vec::new();
        if !delays_placement {
            let absent = absent.waiting.len();
            let kept = Kept { untainted: &untainted, migrate: &migrate, now: &replaced, lost: &lost, absent };
            place = compute_placements(group, &mut names, kept, canary_state);
            if !work.existing {
                work.state.desired_total += place.len() as u32;
            }
        }
        let needs_placing = !place.is_empty();
        let ready = !self.paused && !self.failed && !canary_state;
        if ready {
            limit -= limit.min(place.len() as u32);
            work.desires.place += place.len() as u32;
            self.answer.place.extend(place);
            self.stop(&now, None, StopReason::Rescheduled);
            work.desires.stop += now.len() as u32;
        } else {
            self.place_what_cannot_wait(&mut work, place, &lost);
        }
        let mut doubles: OrdMap<u32, usize> = OrdMap::new();
        untainted.iter().chain(&migrate).for_each(|alloc| *doubles.entry(alloc.name_index).or_default() += 1);
        self.replace(&mut work, &destructive, if ready { limit } else { 0 }, (&mut names, doubles));
        self.move_away(&mut work, &migrate, canary_state);
        self.create_deployment(job, &work, &all, !destructive.is_empty());
        self.answer.desires.insert(Arc::clone(&group.name), work.desires);
        let settled =
            !absent.fresh && [&destructive, &migrate, &replaced].iter().all(|set| set.is_empty()) && later.is_empty();
        settled && in_place == 0 && !needs_placing && !need_canary && self.is_group_healthy(group)
    }

    /// A group the deployment has is done when enough allocations are healthy and canaries are promoted.
    fn is_group_healthy(&self, group: &TaskGroup) -> bool {
        let Some(state) = self.deployment.as_ref().and_then(|deployment| deployment.groups.get(&group.name)) else {
            return true;
        };
        state.healthy >= state.desired_total.max(state.desired_canaries)
            && (state.desired_canaries == 0 || state.promoted)
    }

    fn group_work(&self, group: &'a TaskGroup) -> GroupWork<'a> {
        let known = self.deployment.as_ref().and_then(|deployment| deployment.groups.get(&group.name));
        let state = known.cloned().unwrap_or_else(|| match &group.update {
            Some(update) if has_strategy(group) => DeploymentGroup {
                auto_revert: update.auto_revert,
                auto_promote: update.auto_promote,
                progress_deadline: update.progress_deadline,
                ..DeploymentGroup::default()
            },
            Some(_) | None => DeploymentGroup::default(),
        });
        GroupWork { group, state, existing: known.is_some(), desires: Desires::default() }
    }

    /// Terminal allocations of older versions of a batch job are history.
    fn drop_old_batch(&self, job: &Job, work: &mut GroupWork<'a>, all: Set<'a>) -> Set<'a> {
        if !self.question.batch {
            return all;
        }
        let is_old = |alloc: &Alloc| {
            alloc.is_terminal() && (alloc.job.version < job.version || alloc.job.create_index < job.create_index)
        };
        let before = all.len();
        let kept: Set<'a> = all.into_iter().filter(|alloc| !is_old(alloc)).collect();
        work.desires.ignore += (before - kept.len()) as u32;
        kept
    }

    /// Stops obsolete canaries and takes gone ones out. Returns the canaries that count, and all that remain.
    fn handle_canaries(&mut self, work: &mut GroupWork<'a>, all: Set<'a>) -> (Set<'a>, Set<'a>) {
        let unpromoted = |deployment: &Deployment| -> Vec<AllocId> {
            let groups = deployment.groups.values().filter(|group| !group.promoted);
            groups.flat_map(|group| &group.placed_canaries).copied().collect()
        };
        let mut obsolete = self.old.as_ref().map(unpromoted).unwrap_or_default();
        obsolete.extend(self.deployment.iter().filter(|d| d.status == DeploymentStatus::Failed).flat_map(unpromoted));
        let (obsolete, mut all): (Set<'a>, Set<'a>) = all.into_iter().partition(|alloc| obsolete.contains(&alloc.id));
        self.stop(&obsolete, None, StopReason::NotNeeded);
        work.desires.stop += obsolete.len() as u32;
        let Some(deployment) = &self.deployment else { return (Vec::new(), all) };
        let placed: OrdSet<AllocId> =
            deployment.groups.values().flat_map(|group| &group.placed_canaries).copied().collect();
        let canaries: Set<'a> = all.iter().filter(|alloc| placed.contains(&alloc.id)).copied().collect();
        let Standings { untainted: mut kept, migrate, lost, disconnecting, away, returned } = self.standings(&canaries);
        kept.extend(disconnecting.into_iter().chain(away).chain(returned));
        self.stop(&migrate, None, StopReason::Migrating);
        self.stop(&lost, Some(ClientStatus::Lost), StopReason::Lost);
        all = subtract(&subtract(&all, &migrate), &lost);
        kept.sort_by_key(|alloc| alloc.id);
        (kept, all)
    }

    /// Untainted, to replace now, to replace later with the time.
    fn by_reschedule(&self, all: Set<'a>) -> (Set<'a>, Set<'a>, Vec<(&'a Arc<Alloc>, Time)>) {
        let (mut untainted, mut now, mut later) = (Vec::with_capacity(all.len()), Vec::new(), Vec::new());
        for alloc in all {
            if alloc.next.is_some() && alloc.is_terminal() {
                continue;
            }
            match self.filter(alloc) {
                Filter::Untainted => untainted.push(alloc),
                Filter::Ignored => {}
                Filter::Considered => match self.due(alloc) {
                    Due::Now => now.push(alloc),
                    Due::Never => untainted.push(alloc),
                    Due::Later(time) => {
                        untainted.push(alloc);
                        later.push((alloc, time));
                    }
                },
            }
        }
        (untainted, now, later)
    }

    fn filter(&self, alloc: &Alloc) -> Filter {
        if self.question.batch {
            return match (alloc.desired, alloc.client) {
                (Desired::Evict, _) if self.question.behaviour.evicted_batch_rescheduled => Filter::Ignored,
                (Desired::Stop | Desired::Evict, _) if alloc.ran_successfully() => Filter::Untainted,
                (Desired::Stop | Desired::Evict, _) => Filter::Ignored,
                (Desired::Run, ClientStatus::Failed) => Filter::Considered,
                (Desired::Run, _) => Filter::Untainted,
            };
        }
        match (alloc.desired, alloc.client) {
            (Desired::Stop | Desired::Evict, _) | (_, ClientStatus::Complete | ClientStatus::Lost) => Filter::Ignored,
            (Desired::Run, _) => Filter::Considered,
        }
    }

    fn due(&self, alloc: &Alloc) -> Due {
        self.due_at(alloc, next_time(alloc))
    }

    /// When it is due, if its policy says `next`.
    pub(super) fn due_at(&self, alloc: &Alloc, next: Option<(Time, bool)>) -> Due {
        let in_deployment = |d: &Deployment| d.is_active() && alloc.deployment == Some(d.id);
        if self.deployment.as_ref().is_some_and(in_deployment) && !alloc.transition.reschedule {
            return Due::Never;
        }
        let next = next.filter(|(_, allowed)| *allowed).map(|(time, _)| time);
        let is_due = |time: Time| {
            alloc.followup_eval == Some(self.question.eval) || time <= self.question.now + RESCHEDULE_WINDOW
        };
        match next {
            Some(time) if is_due(time) => Due::Now,
            _ if alloc.transition.force_reschedule => Due::Now,
            Some(time) if alloc.followup_eval.is_none() => Due::Later(time),
            Some(_) | None => Due::Never,
        }
    }

    fn compute_stop(
        &mut self,
        work: &mut GroupWork<'a>,
        names: &mut Names,
        sets: &mut Stopping<'a, '_>,
        followups: &OrdMap<AllocId, EvalId>,
    ) {
        for alloc in sets.lost {
            let followup = followups.get(&alloc.id).copied();
            let (client, reason) = (Some(ClientStatus::Lost), StopReason::Lost);
            self.answer.stop.push(Stop { alloc: alloc.id, node: alloc.node, client, followup, reason });
        }
        let counted = if sets.canary_state { subtract(&sets.untainted, sets.canaries) } else { sets.untainted.clone() };
        let surplus = (counted.len() + sets.migrate.len()).saturating_sub(work.group.count as usize);
        let stopped = choose_stops(names, sets, counted, surplus);
        self.stop(&stopped, None, StopReason::NotNeeded);
        work.desires.stop += (stopped.len() + sets.lost.len()) as u32;
        sets.untainted = subtract(&sets.untainted, &stopped);
    }

    /// Splits what stays by what its specification's change asks for.
    fn classify(&mut self, work: &mut GroupWork<'a>, untainted: &Set<'a>) -> (Set<'a>, u32) {
        let (mut destructive, mut in_place) = (Vec::new(), 0);
        for alloc in untainted {
            match (self.update)(alloc, work.group) {
                Verdict::Ignore => work.desires.ignore += 1,
                Verdict::Destructive => destructive.push(*alloc),
                Verdict::InPlace(updated) => {
                    in_place += 1;
                    self.answer.in_place.push(updated);
                }
            }
        }
        work.desires.in_place_update += in_place;
        destructive.sort_by_key(|alloc| (alloc.name_index, alloc.id));
        (destructive, in_place)
    }

    fn place_canaries(
        &mut self,
        work: &mut GroupWork<'a>,
        names: &mut Names,
        missing: usize,
        canaries: &Set<'a>,
        destructive: &Set<'a>,
    ) {
        work.desires.canary += missing as u32;
        let numbers = |set: &Set<'a>| set.iter().map(|alloc| alloc.name_index).collect::<OrdSet<u32>>();
        for name_index in names.next_canaries(missing, &numbers(canaries), &numbers(destructive)) {
            self.answer.place.push(Place { canary: true, ..fresh(work.group, name_index) });
        }
    }

    /// How many may be replaced now.
    fn compute_limit(
        &self,
        group: &TaskGroup,
        untainted: &Set<'a>,
        destructive: &Set<'a>,
        migrate: &Set<'a>,
        canary_state: bool,
    ) -> u32 {
        let Some(update) = group.update.as_ref().filter(|_| has_strategy(group)) else { return group.count };
        if destructive.is_empty() && migrate.is_empty() {
            return group.count;
        }
        if self.paused || self.failed || canary_state {
            return 0;
        }
        let mut limit = update.max_parallel;
        if let Some(deployment) = &self.deployment {
            for alloc in untainted.iter().filter(|alloc| alloc.deployment == Some(deployment.id)) {
                match alloc.health.and_then(|health| health.healthy) {
                    Some(false) => return 0,
                    None => limit = limit.saturating_sub(1),
                    Some(true) => {}
                }
            }
        }
        limit
    }

    /// The deployment holds new placements back, but lost and failed allocations are replaced all the same.
    fn place_what_cannot_wait(&mut self, work: &mut GroupWork<'a>, place: Vec<Place<'a>>, lost: &Set<'a>) {
        // The list begins with reschedules, so these may come twice (a quirk).
        let first = lost.len().min(place.len());
        work.desires.place += first as u32;
        self.answer.place.extend(place[..first].iter().cloned());
        for entry in place.into_iter().filter(|entry| entry.reschedule) {
            let Some(previous) = entry.previous else { continue };
            let of_failed = self.failed
                && self.deployment.as_ref().is_some_and(|deployment| previous.deployment == Some(deployment.id));
            if of_failed {
                continue;
            }
            self.answer.place.push(entry);
            work.desires.place += 1;
            if !self.kept_behind.contains(&previous.id) {
                self.stop(&[previous], None, StopReason::Rescheduled);
                work.desires.stop += 1;
            }
        }
    }

    /// Replaces as many as allowed. From 1.6.3 on one of several with the same number gets a free one instead.
    fn replace(
        &mut self,
        work: &mut GroupWork<'a>,
        destructive: &Set<'a>,
        limit: u32,
        (names, mut doubles): (&mut Names, OrdMap<u32, usize>),
    ) {
        let now = destructive.len().min(limit as usize);
        work.desires.destructive_update += now as u32;
        work.desires.ignore += (destructive.len() - now) as u32;
        let group = work.group;
        for alloc in &destructive[..now] {
            let doubled = doubles.get_mut(&alloc.name_index).filter(|count| **count > 1);
            let repaired = doubled.filter(|_| self.question.behaviour.duplicate_names_repaired);
            let free = repaired.and_then(|count| {
                let free = names.next_free()?;
                *count -= 1;
                Some(free)
            });
            let name_index = free.unwrap_or(alloc.name_index);
            self.answer.destructive.push(Replace { group, alloc, name_index });
        }
    }

    fn move_away(&mut self, work: &mut GroupWork<'a>, migrate: &Set<'a>, canary_state: bool) {
        work.desires.migrate += migrate.len() as u32;
        let mut migrate = migrate.clone();
        migrate.sort_by_key(|alloc| (alloc.name_index, alloc.id));
        self.stop(&migrate, None, StopReason::Migrating);
        for alloc in migrate {
            self.answer.place.push(successor(work.group, alloc, canary_state));
        }
    }

    fn create_deployment(&mut self, job: &Job, work: &GroupWork<'a>, all: &Set<'a>, replaces: bool) {
        if work.existing || !has_strategy(work.group) || work.state.desired_total == 0 {
            return;
        }
        let is_current =
            |alloc: &&Arc<Alloc>| alloc.job.version == job.version && alloc.job.create_index == job.create_index;
        let updates = replaces || !self.answer.in_place.is_empty();
        if all.iter().any(is_current) && !updates {
            return;
        }
        if self.deployment.is_none() {
            let deployment = Deployment {
                id: DeploymentId::NEW,
                job: self.question.job_id,
                job_version: job.version,
                job_create_index: job.create_index,
                status: DeploymentStatus::Running,
                groups: OrdMap::new(),
                create_index: 0,
                modify_index: 0,
            };
            self.deployment = Some(deployment.clone());
            self.answer.deployment = Some(deployment);
        }
        let name = Arc::clone(&work.group.name);
        if let Some(deployment) = &mut self.answer.deployment {
            deployment.groups.insert(Arc::clone(&name), work.state.clone());
        }
        if let Some(deployment) = &mut self.deployment {
            deployment.groups.insert(name, work.state.clone());
        }
    }
}

enum Filter {
    Untainted,
    Ignored,
    Considered,
}

pub(super) enum Due {
    Now,
    Later(Time),
    Never,
}

fn has_strategy(group: &TaskGroup) -> bool {
    group.update.as_ref().is_some_and(|update| update.max_parallel > 0)
}

/// Numbers from here up stand for follow-up evaluations that are not created yet.
pub const PLACEHOLDERS: u32 = 0xFFF0_0000;
