//! Whether a changed specification needs new tasks (Nomad `tasksUpdated`).
//!
//! Environment, artifacts, templates and Vault policies are part of a task's configuration text. Left out, because the
//! model has none: Consul Connect and namespaces, DNS of networks.

use crate::base::ordered::OrdMap;
use crate::model::job::{Job, Task, TaskGroup};
use crate::model::resources::NetworkAsk;

/// Whether allocations of a group of `old` must be replaced to become allocations of `new`.
///
/// Counts, constraints, priority, services, checks and all policy blocks can change under running tasks.
pub fn needs_new_tasks(old: &Job, new: &Job, group: &str) -> bool {
    let (Some(a), Some(b)) = (old.group(group), new.group(group)) else { return true };
    a.tasks.len() != b.tasks.len()
        || a.disk != b.disk
        || networks_differ(&a.networks, &b.networks)
        || !affinities(old, a).eq(affinities(new, b))
        || !old.spreads.iter().chain(&a.spreads).eq(new.spreads.iter().chain(&b.spreads))
        || a.tasks.iter().any(|task| match b.tasks.iter().find(|other| other.name == task.name) {
            Some(other) => task_differs((old, a, task), (new, b, other)),
            None => true,
        })
}

fn affinities<'j>(job: &'j Job, group: &'j TaskGroup) -> impl Iterator<Item = &'j crate::model::constraint::Affinity> {
    job.affinities.iter().chain(&group.affinities).chain(group.tasks.iter().flat_map(|task| &task.affinities))
}

fn task_differs(
    (old, old_group, a): (&Job, &TaskGroup, &Task),
    (new, new_group, b): (&Job, &TaskGroup, &Task),
) -> bool {
    let (x, y) = (&a.resources, &b.resources);
    a.driver != b.driver
        || a.user != b.user
        || a.config != b.config
        || networks_differ(&x.networks, &y.networks)
        || (x.cpu, x.cores, x.memory, x.memory_max) != (y.cpu, y.cores, y.memory, y.memory_max)
        || x.devices != y.devices
        || merged_meta(old, old_group, a) != merged_meta(new, new_group, b)
}

/// Mode, bandwidth and ports by label; the order of ports is no difference.
fn networks_differ(a: &[NetworkAsk], b: &[NetworkAsk]) -> bool {
    let ports = |network: &NetworkAsk| {
        let mut ports = network.ports.clone();
        ports.sort_by(|a, b| a.label.cmp(&b.label));
        ports
    };
    let differ = |(a, b): (&NetworkAsk, &NetworkAsk)| {
        a.mode != b.mode || a.bandwidth != b.bandwidth || a.ports != b.ports && ports(a) != ports(b)
    };
    a.len() != b.len() || a.iter().zip(b).any(differ)
}

/// Task metadata over the group's over the job's.
fn merged_meta<'j>(job: &'j Job, group: &'j TaskGroup, task: &'j Task) -> OrdMap<&'j str, &'j str> {
    let layers = job.meta.iter().chain(&group.meta).chain(&task.meta);
    layers.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
    use crate::model::constraint::{Affinity, Constraint, Spread};
    use crate::model::resources::{DeviceAsk, PortAsk};
    use crate::protocol::scheduler::test_support::job;

    fn check(what: &str, expected: bool, change: impl FnOnce(&mut Job)) {
        let mut old = job(0, 50, 3);
        let port = |label: &str, fixed| PortAsk { label: label.into(), fixed, ..PortAsk::default() };
        old.groups[0].networks =
            vec![NetworkAsk { ports: vec![port("http", None), port("admin", Some(9_000))], ..NetworkAsk::default() }];
        let mut new = old.clone();
        change(&mut new);
        assert_ne!(old, new, "{what}: nothing changed");
        assert_eq!(needs_new_tasks(&old, &new, "web"), expected, "{what}");
    }

    fn task(job: &mut Job) -> &mut Task {
        &mut job.groups[0].tasks[0]
    }

    #[test]
    fn changes_of_what_a_task_is_made_of_need_new_tasks() {
        check("one more task", true, |job| job.groups[0].tasks.push(Task::new("log", "mock")));
        check("another name", true, |job| task(job).name = "other".into());
        check("disk", true, |job| job.groups[0].disk.size = Mebibytes(1));
        check("driver", true, |job| task(job).driver = "exec".into());
        check("user", true, |job| task(job).user = "root".into());
        check("config", true, |job| task(job).config = "image".into());
        check("cpu", true, |job| task(job).resources.cpu = MegaHertz(7));
        check("cores", true, |job| task(job).resources.cores = 1);
        check("memory", true, |job| task(job).resources.memory = Mebibytes(7));
        check("memory_max", true, |job| task(job).resources.memory_max = Some(Mebibytes(700)));
        let gpu = || DeviceAsk { name: "gpu".into(), count: 1, constraints: Vec::new(), affinities: Vec::new() };
        check("device", true, |job| task(job).resources.devices.push(gpu()));
        check("job meta", true, |job| _ = job.meta.insert("k".into(), "v".into()));
        check("group meta", true, |job| _ = job.groups[0].meta.insert("k".into(), "v".into()));
        check("task meta", true, |job| _ = task(job).meta.insert("k".into(), "v".into()));
    }

    #[test]
    fn changes_of_networks_affinities_and_spreads_need_new_tasks() {
        let network = |job: &mut Job| std::mem::take(&mut job.groups[0].networks[0]);
        let with = |job: &mut Job, network| job.groups[0].networks[0] = network;
        check("mode", true, |job| {
            let old = network(job);
            with(job, NetworkAsk { mode: "bridge".into(), ..old });
        });
        check("bandwidth", true, |job| {
            let old = network(job);
            with(job, NetworkAsk { bandwidth: MegabitsPerSecond(1), ..old });
        });
        check("fixed port", true, |job| job.groups[0].networks[0].ports[1].fixed = Some(9_001));
        check("to", true, |job| job.groups[0].networks[0].ports[0].to = 80);
        check("label", true, |job| job.groups[0].networks[0].ports[0].label = "web".into());
        check("host network", true, |job| job.groups[0].networks[0].ports[0].host_network = "public".into());
        check("order of ports", false, |job| job.groups[0].networks[0].ports.reverse());
        check("no network", true, |job| job.groups[0].networks.clear());
        let affinity = || Affinity { left: "a".into(), operator: "=".into(), right: "b".into(), weight: 1 };
        check("job affinity", true, |job| job.affinities.push(affinity()));
        check("task affinity", true, |job| task(job).affinities.push(affinity()));
        let spread = || Spread { attribute: "${node.datacenter}".into(), weight: 1, targets: Vec::new() };
        check("group spread", true, |job| job.groups[0].spreads.push(spread()));
    }

    #[test]
    fn policies_counts_and_constraints_change_under_running_tasks() {
        check("count", false, |job| job.groups[0].count = 9);
        check("priority", false, |job| job.priority = 60);
        check("datacenters", false, |job| job.datacenters.push("dc2".into()));
        let constraint = || Constraint { left: "a".into(), operator: "=".into(), right: "b".into() };
        check("constraint", false, |job| job.groups[0].constraints.push(constraint()));
        check("kill timeout", false, |job| task(job).kill_timeout = Duration::from_secs(9));
        check("shutdown delay", false, |job| job.groups[0].shutdown_delay = Duration::from_secs(9));
        check("restart", false, |job| job.groups[0].restart.attempts = 9);
        check("reschedule", false, |job| job.groups[0].reschedule = None);
        check("migrate", false, |job| job.groups[0].migrate = None);
    }

    #[test]
    fn metadata_moved_between_levels_is_no_change() {
        let mut old = job(0, 50, 1);
        old.meta.insert("k".into(), "v".into());
        let mut new = job(0, 50, 1);
        new.groups[0].meta.insert("k".into(), "v".into());
        assert!(!needs_new_tasks(&old, &new, "web"));
    }
}
