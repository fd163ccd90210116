//! One attempt at an evaluation of a system job: one allocation per eligible node (Nomad `SystemScheduler`).
//!
//! A sysbatch job (1.2) is treated the same, except that what ended on a node, well or not, is not run there again
//! before the job changes: there is no rescheduling. What was lost with its node is.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::job::{Job, JobKind};
use crate::model::node::NodeId;
use crate::protocol::scheduler::explain::{self, Selection};
use crate::protocol::scheduler::generic::{Outcome, Task};
use crate::protocol::scheduler::generic::{
    may_preempt, new_alloc, ready_nodes, taint, unconfirmed_stops, update_verdict,
};
use crate::protocol::scheduler::plan::{Plan, Stop, StopReason};
use crate::protocol::scheduler::reconcile::{Taint, Verdict};
use crate::protocol::scheduler::reconnect::{Standing, standing};
use crate::protocol::scheduler::stack::{SelectOptions, Stack};

/// A wanted allocation: which group on which node, in whose place.
struct Missing<'a> {
    group: usize,
    name_index: u32,
    node: NodeId,
    previous: Option<&'a Arc<Alloc>>,
}

/// What differs between wanted and present.
#[derive(Default)]
struct Difference<'a> {
    stop: Vec<Stop>,
    update: Vec<&'a Arc<Alloc>>,
    /// Allocations recorded unknown, or known again.
    sight: Vec<Arc<Alloc>>,
    place: Vec<Missing<'a>>,
}

/// One attempt, from the job's allocations to a plan.
pub(super) fn attempt(task: Task<'_>, rng: Rng) -> Outcome {
    let state = task.state;
    let job = state.job(task.eval.job);
    let allocs: Vec<&Arc<Alloc>> = state.allocs_of_job(task.eval.job).collect();
    let plan = Plan::new(task.eval, job.is_some_and(|job| job.all_at_once), state.index());
    let Some(stack_job) = job.or_else(|| allocs.first().map(|alloc| &alloc.job)) else { return Outcome::new(plan) };
    let mut stack = Stack::new(state, task.config, stack_job, plan, rng);
    if task.config.explains {
        stack.watch();
    }
    for stop in unconfirmed_stops(state, &allocs) {
        stack.stage_stop(stop);
    }
    let running = job.filter(|job| !job.stop);
    let (mut ready, by_datacenter) = running.map(|job| ready_nodes(task, job)).unwrap_or_default();
    ready.sort();
    let mut difference = compare(task, running, &allocs, &ready);
    for stop in &difference.stop {
        stack.stage_stop(*stop);
    }
    for alloc in &difference.sight {
        stack.stage_update(Arc::clone(alloc));
    }
    let mut rolls_on = None;
    if let Some(job) = running {
        rolls_on = update(task, &mut stack, job, &mut difference);
    }
    let mut outcome = Outcome::new(Plan::new(task.eval, false, state.index()));
    if let Some(job) = running {
        place(task, &mut stack, job, &difference.place, &mut outcome);
    }
    let records = outcome.selections.iter_mut().map(|selection| &mut selection.record);
    for record in outcome.failed.values_mut().chain(records) {
        record.nodes_available.clone_from(&by_datacenter);
    }
    (outcome.class_eligibility, outcome.escaped) = stack.eligibility();
    outcome.work = stack.work();
    outcome.work.allocs_reconciled += allocs.len() as u64;
    outcome.rolls_on = rolls_on;
    outcome.plan = stack.into_plan();
    outcome
}

/// Node by node, in order (Nomad `diffSystemAllocs`).
fn compare<'a>(
    task: Task<'a>,
    job: Option<&'a Arc<Job>>,
    allocs: &[&'a Arc<Alloc>],
    ready: &[NodeId],
) -> Difference<'a> {
    let mut by_node: OrdMap<NodeId, Vec<&'a Arc<Alloc>>> = ready.iter().map(|node| (*node, Vec::new())).collect();
    for alloc in allocs {
        by_node.entry(alloc.node).or_default().push(alloc);
    }
    let mut difference = Difference::default();
    // Until 1.2 the terminal allocations were kept by name alone, so that of all nodes one finds its own (a quirk).
    let known = (!task.config.behaviour.sysbatch)
        .then(|| required(job).map(|(_, index, group)| newest_terminal(allocs, group, index)).collect::<Vec<_>>());
    for (node, allocs) in by_node {
        let tainted = taint(task.state, node);
        let is_ready = ready.binary_search(&node).is_ok();
        for alloc in allocs.iter().filter(|alloc| !alloc.is_terminal()) {
            compare_live(task, job, alloc, (tainted, is_ready), &mut difference);
        }
        if tainted != Taint::None || !is_ready {
            continue;
        }
        for (at, (group, name_index, name)) in required(job).enumerate() {
            let same = |alloc: &&&Arc<Alloc>| is_called(alloc, name, name_index);
            if allocs.iter().filter(same).any(|alloc| !alloc.is_terminal()) {
                continue;
            }
            let previous = allocs.iter().rfind(same).copied();
            let is_over = |alloc: &Arc<Alloc>| {
                job.is_some_and(|job| job.kind == JobKind::SysBatch && job.version == alloc.job.version)
                    && matches!(alloc.client, ClientStatus::Complete | ClientStatus::Failed)
            };
            if !previous.is_some_and(is_over) {
                let is_known = |alloc: &&Arc<Alloc>| known.as_ref().is_none_or(|known| known[at] == Some(alloc.id));
                let previous = previous.filter(is_known);
                difference.place.push(Missing { group, name_index, node, previous });
            }
        }
    }
    difference
}

fn is_called(alloc: &Alloc, group: &str, name_index: u32) -> bool {
    *alloc.task_group().name == *group && alloc.name_index == name_index
}

/// On whatever node; the first of those that one plan made (Nomad `FilterTerminalAllocs`).
fn newest_terminal(allocs: &[&Arc<Alloc>], group: &str, name_index: u32) -> Option<AllocId> {
    let over = allocs.iter().filter(|alloc| alloc.is_terminal() && is_called(alloc, group, name_index));
    over.max_by_key(|alloc| (alloc.create_index, Reverse(alloc.id))).map(|alloc| alloc.id)
}

fn compare_live<'a>(
    task: Task<'a>,
    job: Option<&'a Arc<Job>>,
    alloc: &'a Arc<Alloc>,
    (tainted, is_ready): (Taint, bool),
    difference: &mut Difference<'a>,
) {
    let mut stop = |client, reason| {
        difference.stop.push(Stop { alloc: alloc.id, node: alloc.node, client, followup: None, reason });
    };
    let sight = standing(alloc, tainted, task.now, &task.config.behaviour);
    let name = &alloc.task_group().name;
    let is_required = required(job).any(|(_, name_index, group)| group == name && name_index == alloc.name_index);
    if !is_required {
        stop(None, StopReason::NotNeeded);
    } else if alloc.transition.migrate {
        stop(None, StopReason::NodeTainted);
    } else if sight == Standing::Lost {
        stop(Some(ClientStatus::Lost), StopReason::Lost);
    } else if sight == Standing::Disconnecting {
        let (client, disconnected_at) = (ClientStatus::Unknown, Some(task.now));
        difference.sight.push(Arc::new(Alloc { client, disconnected_at, ..Alloc::clone(alloc) }));
    } else if sight == Standing::Away {
        // It may return.
    } else if sight == Standing::Returned {
        difference.sight.push(Arc::new(Alloc { disconnected_at: None, ..Alloc::clone(alloc) }));
    } else if tainted == Taint::Draining || !is_ready {
        // It may finish there.
    } else if job.is_some_and(|job| job.job_modify_index != alloc.job.job_modify_index) {
        difference.update.push(alloc);
    }
    debug_assert!(task.eval.job == alloc.job_id, "only the job's own allocations are compared");
}

/// Group, number and group name of every allocation a node should have.
fn required(job: Option<&Arc<Job>>) -> impl Iterator<Item = (usize, u32, &Arc<str>)> {
    let groups = job.into_iter().flat_map(|job| job.groups.iter().enumerate());
    groups.flat_map(|(at, group)| (0..group.count).map(move |number| (at, number, &group.name)))
}

/// Updates in place what can be; stops and places the rest, as many as the update block allows. Returns the wait
/// until the next batch, if there is one.
fn update<'a>(
    task: Task<'a>,
    stack: &mut Stack<'a>,
    job: &'a Arc<Job>,
    difference: &mut Difference<'a>,
) -> Option<Duration> {
    let mut destructive = Vec::new();
    for alloc in std::mem::take(&mut difference.update) {
        match update_verdict(stack, job, alloc, task) {
            Verdict::InPlace(updated) => stack.stage_update(Arc::from(updated)),
            Verdict::Destructive => destructive.push(alloc),
            Verdict::Ignore => {}
        }
    }
    let rolling = job.update.as_ref().filter(|update| update.stagger > Duration::ZERO && update.max_parallel > 0);
    let limit = rolling.map_or(destructive.len(), |update| update.max_parallel as usize);
    let reached = destructive.len() > limit;
    for alloc in destructive.into_iter().take(limit) {
        let (node, reason) = (alloc.node, StopReason::Updating);
        stack.stage_stop(Stop { alloc: alloc.id, node, client: None, followup: None, reason });
        let name = &alloc.task_group().name;
        if let Some(group) = job.groups.iter().position(|group| group.name == *name) {
            difference.place.push(Missing { group, name_index: alloc.name_index, node, previous: Some(alloc) });
        }
    }
    rolling.filter(|_| reached).map(|update| update.stagger)
}

fn place<'a>(task: Task<'a>, stack: &mut Stack<'a>, job: &'a Arc<Job>, missing: &[Missing<'a>], outcome: &mut Outcome) {
    if missing.is_empty() {
        outcome.queued = job.groups.iter().map(|group| (Arc::clone(&group.name), 0)).collect();
        return;
    }
    for missing in missing {
        *outcome.queued.entry(Arc::clone(&job.groups[missing.group].name)).or_default() += 1;
    }
    let preempt = may_preempt(task.config, job.kind);
    for missing in missing {
        let name = &job.groups[missing.group].name;
        let chosen = stack.select_node(missing.group, missing.node, preempt);
        if task.config.explains {
            let (group, name_index, previous) = (missing.group, missing.name_index, missing.previous);
            let wanted = explain::Wanted { group, name_index, previous };
            let options = SelectOptions { preempt, preferred: Some(missing.node), ..SelectOptions::default() };
            outcome.selections.push(Selection::last(stack, wanted, options, chosen.as_ref()));
        }
        if let Some(chosen) = chosen {
            let mut alloc = new_alloc(job, missing.group, missing.name_index, chosen, task);
            alloc.previous = missing.previous.map(|previous| previous.id);
            stack.stage_placement(Arc::new(alloc));
        } else if stack.was_filtered() {
            // The node is not meant for the job: nothing is missing there.
            if let Some(queued) = outcome.queued.get_mut(name) {
                *queued -= 1;
            }
        } else if let Some(failed) = outcome.failed.get_mut(name) {
            // Further full nodes are only counted and get no blocked evaluation (a quirk).
            failed.coalesced_failures += 1;
        } else {
            outcome.failed.insert(Arc::clone(name), stack.failure(missing.group));
            outcome.full_nodes.push(missing.node);
        }
    }
}
