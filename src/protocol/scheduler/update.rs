//! Whether a changed specification needs new tasks (Nomad `tasksUpdated`).
//!
//! Left out, because the model has none: Consul Connect, Vault, devices' details beyond their text.

use crate::model::job::{Job, Task, TaskGroup};
use crate::protocol::scheduler::release::Behaviour;

/// Whether allocations of a group of `old` must be replaced to become allocations of `new`.
///
/// Counts, constraints, priority, services, checks and all policy blocks can change under running tasks.
pub fn needs_new_tasks(old: &Job, new: &Job, group: &str, behaviour: &Behaviour) -> bool {
    let (Some(a), Some(b)) = (old.group(group), new.group(group)) else { return true };
    if behaviour.datacenters_destructive && old.datacenters != new.datacenters {
        return true;
    }
    a.tasks.len() != b.tasks.len()
        || a.disk != b.disk
        || a.networks != b.networks
        || !affinities(old, a).eq(affinities(new, b))
        || !old.spreads.iter().chain(&a.spreads).eq(new.spreads.iter().chain(&b.spreads))
        || a.tasks.iter().any(|task| match b.tasks.iter().find(|other| other.name == task.name) {
            Some(other) => task_differs((old, task), (new, other)),
            None => true,
        })
}

fn affinities<'j>(job: &'j Job, group: &'j TaskGroup) -> impl Iterator<Item = &'j crate::model::constraint::Affinity> {
    job.affinities.iter().chain(&group.affinities).chain(group.tasks.iter().flat_map(|task| &task.affinities))
}

fn task_differs((old, a): (&Job, &Task), (new, b): (&Job, &Task)) -> bool {
    a.driver != b.driver
        || a.user != b.user
        || a.config != b.config
        || a.resources != b.resources
        || merged_meta(old, a) != merged_meta(new, b)
}

/// Task metadata over the job's.
fn merged_meta<'j>(job: &'j Job, task: &'j Task) -> std::collections::BTreeMap<&'j str, &'j str> {
    job.meta.iter().chain(&task.meta).map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
