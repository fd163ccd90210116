//! Whom a fault hit, and why it hit nobody: what is aimed at a role or picked at random is known only when it strikes.

use crate::measure::failover::Failover;
use crate::model::topology::RegionId;
use crate::world::spec::{Action, Among, MachineId, ProcessKind, Side, Target, WorldSpec};

/// The machines a fault hit, by name; `None` of one that names whole places, which is all there is to say.
pub fn machines(spec: &WorldSpec, failover: &Failover) -> Option<Vec<String>> {
    let aims = !targets(&spec.timeline[failover.entry].action).is_empty();
    let mut names: Vec<String> = failover.hit.iter().map(|machine| spec.machines[*machine].name.to_string()).collect();
    names.sort_by(|a, b| natural(a).cmp(&natural(b)));
    aims.then_some(names)
}

/// Why a fault that hit nobody did not.
pub fn why_nobody(spec: &WorldSpec, failover: &Failover) -> String {
    let targets = targets(&spec.timeline[failover.entry].action);
    let mut reasons: Vec<String> = targets.into_iter().filter_map(|target| nobody(spec, target)).collect();
    reasons.dedup();
    reasons.join(", or ")
}

/// Why a target was nobody; `None` of those that are always somebody.
fn nobody(spec: &WorldSpec, target: &Target) -> Option<String> {
    let name = |region: &RegionId| &*spec.regions[*region].name;
    let followers = |product: &str, region: &RegionId, servers: &[MachineId]| {
        (servers.len() < 2).then(|| format!("the server of {product} in {} has no followers", name(region)))
    };
    match (&target.among, &target.process) {
        (Among::JobMachines { region, job }, ProcessKind::Tasks(other)) if job != other => {
            Some(format!("no machine in {} ran both `{job}` and `{other}` then", name(region)))
        }
        (Among::JobMachines { region, job }, _) => Some(format!("no machine in {} ran `{job}` then", name(region))),
        // Whoever had the role then, it is the tasks that are hit.
        (_, ProcessKind::Tasks(job)) => Some(format!("none of the machines it is aimed at ran `{job}` then")),
        (Among::NomadLeader(region), _) => Some(format!("no server led Nomad in {} then", name(region))),
        (Among::ConsulLeader(region), _) => Some(format!("no server led Consul in {} then", name(region))),
        (Among::NomadFollowers(region), _) => followers("Nomad", region, &spec.regions[*region].nomad),
        (Among::ConsulFollowers(region), _) => followers("Consul", region, &spec.regions[*region].consul),
        (
            Among::Machine(_) | Among::NomadServers(_) | Among::ConsulServers(_) | Among::Clients { .. },
            ProcessKind::Main | ProcessKind::CatalogAgent,
        ) => None,
    }
}

/// The machines that a fault is aimed at, as the scenario says it.
fn targets(action: &Action) -> Vec<&Target> {
    match action {
        Action::ProcessKill(target)
        | Action::ProcessPause(target)
        | Action::ProcessRestart(target)
        | Action::NodeCrash(target)
        | Action::SlowDisk(target, _)
        | Action::SlowCpu(target, _)
        | Action::Nodes { target, .. } => vec![target],
        Action::Partition { from, to, .. } | Action::LinkDegrade { from, to, .. } => {
            let mut targets = Vec::new();
            for side in [from, to] {
                if let Side::Machines(target) = side {
                    targets.push(target);
                }
            }
            targets
        }
        Action::ZoneOutage(..)
        | Action::RegionOutage(..)
        | Action::RegisterJob { .. }
        | Action::ScaleJob { .. }
        | Action::StopJob { .. }
        | Action::Order { .. } => Vec::new(),
    }
}

/// A name in the order people count: `d-2` before `d-10`.
fn natural(name: &str) -> (&str, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, name[stem.len()..].parse().unwrap_or(0))
}
