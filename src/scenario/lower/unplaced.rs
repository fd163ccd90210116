//! What Nomad takes, and then has nowhere to put: rules that no machine satisfies, drivers, volumes and devices that
//! none has, pools without machines, more instances than there are machines for them. The job is registered and its
//! work waits, so this is a warning with the reason, not a mistake.

use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;

use super::Lowering;
use super::work::Placed;
use super::work::matches_datacenter;
use crate::base::id::IdVec;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::TaskGroup;
use crate::model::node::NodeId;
use crate::model::node::NodeSpec;
use crate::model::node::POOL_ALL;
use crate::protocol::scheduler::devices::Request;
use crate::protocol::scheduler::devices::has_devices;
use crate::protocol::scheduler::operators::Operator;
use crate::protocol::scheduler::operators::Rule;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::placement_rules;
use crate::scenario::import::rules::Part;
use crate::world::spec::MachineId;
use crate::world::spec::MachineRole;
use crate::world::spec::MachineSpec;

/// Client machines a job may use.
struct Candidates<'a> {
    region: &'a str,
    all: Vec<&'a NodeSpec>,
    /// One of each kind and zone: they differ in nothing but what is unique.
    kinds: Vec<&'a NodeSpec>,
}

impl Lowering<'_> {
    /// Warns of groups that will wait.
    pub(super) fn unplaced(&mut self, machines: &IdVec<MachineId, MachineSpec>, jobs: &[Placed]) {
        let mut warnings = Vec::new();
        for placed in jobs {
            let (job, region) = (&placed.spec.job, placed.spec.region);
            let mut candidates =
                Candidates { region: &self.geography.regions[region].name, all: Vec::new(), kinds: Vec::new() };
            let mut kinds = OrdMap::new();
            let mut anybody = false;
            for machine in machines.as_slice() {
                let MachineRole::Client(node) = &machine.role else { continue };
                let here = self.geography.zones[machine.zone].region == region;
                if here && matches_datacenter(&job.datacenters, &node.datacenter) {
                    anybody = true;
                    if *job.node_pool != *node.pool && &*job.node_pool != POOL_ALL {
                        continue;
                    }
                    let kind = machine.name.rsplit_once('-').map_or(&*machine.name, |(kind, _)| kind);
                    candidates.all.push(node);
                    kinds.entry((machine.zone, kind)).or_insert(&**node);
                }
            }
            candidates.kinds = kinds.into_values().collect();
            // Nobody in its datacenters is an error of its own.
            if !anybody {
                continue;
            }
            for (index, group) in job.groups.iter().enumerate().filter(|(_, group)| group.count > 0) {
                for reason in reasons(job, group, &candidates) {
                    let message =
                        format!("task group `{}` of job `{}` will wait unplaced: {reason}", group.name, job.name);
                    let warning = Diagnostic::warning("W006", message).at(Some(placed.place(Part::Group(index))));
                    warnings.push(warning.hint("add machines that have what it asks for, or let it ask for less"));
                }
            }
        }
        warnings.into_iter().for_each(|warning| self.report(warning));
    }
}

/// Why not all of a group can be placed, as far as one machine or the number of machines tells.
fn reasons(job: &Job, group: &TaskGroup, candidates: &Candidates<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let region = candidates.region;
    if candidates.all.is_empty() {
        out.push(format!("no machine of `{region}` in its datacenters is in the node pool `{}`", job.node_pool));
        return out;
    }
    let devices = Request::all(group);
    if !devices.is_empty() && !candidates.kinds.iter().any(|node| has_devices(node, &devices)) {
        out.push(format!("no machine of `{region}` that it may use has the devices it asks for"));
    }
    let tasks = group.tasks.iter().flat_map(|task| &task.constraints);
    let mut fits: Vec<&NodeSpec> = candidates.all.clone();
    for constraint in job.constraints.iter().chain(&group.constraints).chain(tasks) {
        // Nodes have no identifiers yet.
        if [&constraint.left, &constraint.right].iter().any(|target| target.contains("node.unique.id")) {
            continue;
        }
        // What Nomad refuses is an error of its own.
        if !placement_rules::broken(std::slice::from_ref(constraint), &[], &[]).is_empty() {
            continue;
        }
        let rule = Rule::of(constraint);
        let among = if rule.escapes { &candidates.all } else { &candidates.kinds };
        if !among.iter().any(|node| rule.holds(NodeId(0), node)) {
            let text = format!("{} {} {}", constraint.left, constraint.operator, constraint.right);
            out.push(format!("no machine of `{region}` that it may use satisfies `{}`", text.trim()));
        }
    }
    let named = group.tasks.iter().map(|task| &*task.driver).filter(|driver| !driver.is_empty());
    let drivers: OrdSet<&str> = named.collect();
    for driver in drivers {
        if !candidates.kinds.iter().any(|node| node.drivers.iter().any(|known| known == driver)) {
            out.push(format!("no machine of `{region}` that it may use has the driver `{driver}`"));
        }
    }
    for (volume, _) in &group.volumes {
        if !candidates.kinds.iter().any(|node| node.host_volumes.contains_key(volume)) {
            out.push(format!("no machine of `{region}` that it may use has the host volume `{volume}`"));
        }
    }
    if !out.is_empty() || !matches!(job.kind, JobKind::Service | JobKind::Batch) {
        return out;
    }
    fits.retain(|node| group.tasks.iter().all(|task| node.drivers.iter().any(|known| **known == *task.driver)));
    let machines = fits.len();
    let alone = job.constraints.iter().chain(&group.constraints).any(|constraint| {
        Operator::parse(&constraint.operator) == Operator::DistinctHosts && constraint.right != "false"
    });
    let networks = group.networks.iter().chain(group.tasks.iter().flat_map(|task| &task.resources.networks));
    let fixed = networks.flat_map(|network| &network.ports).find_map(|port| port.fixed);
    let why = match fixed {
        Some(port) => Some(format!("port {port} is free once on each")),
        None if alone => Some("each has to be on its own".to_owned()),
        None => None,
    };
    if let Some(why) = why.filter(|_| group.count as usize > machines) {
        out.push(format!("it has {} instances for {machines} machines, and {why}", group.count));
    }
    out
}
