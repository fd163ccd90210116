//! What no longer fits when machines go: the work of a scenario is placed, the machines are taken away, and what they
//! ran is placed again on the others. What fitted nowhere before that is told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::analysis::batch::Wish;
use crate::analysis::batch::batch;
use crate::analysis::compact::{jobs, nodes};
use crate::analysis::run::{RunError, Shared};
use crate::base::id::Id;
use crate::base::ordered::OrdSet;
use crate::model::node::NodeId;
use crate::model::topology::RegionId;
use crate::scenario::suggest;
use crate::world::packing::{Cell, Homeless};
use crate::world::spec::{MachineRole, WorldSpec};

/// Which machines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// These, by name.
    Nodes(Vec<String>),
    /// All of a node class.
    Class(String),
    /// All in a zone, as `us-east-1/b`.
    Zone(String),
}

/// No such machines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unknown {
    /// What there is none of.
    pub what: String,
    /// What there is.
    pub hint: String,
}

/// What came of it in one region.
#[derive(Debug, Clone)]
pub struct Removed {
    /// The region.
    pub region: RegionId,
    /// Client machines before.
    pub machines: usize,
    /// How many went.
    pub gone: usize,
    /// Allocations that were placed anew, on other machines.
    pub moved: usize,
    /// Work that had no place before.
    pub before: Vec<Homeless>,
    /// Work that has none now, with what it had none for before.
    pub after: Vec<Homeless>,
}

impl Removed {
    /// Allocations of a group that lost their place.
    pub fn lost(&self, group: &Homeless) -> u32 {
        let same = |other: &&Homeless| other.job == group.job && other.group == group.group;
        group.count.saturating_sub(self.before.iter().find(same).map_or(0, |before| before.count))
    }

    /// Whether everything that ran found another place.
    pub fn fits(&self) -> bool {
        self.after.iter().all(|group| self.lost(group) == 0)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// No such machines.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The work ended without a result.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Work is placed on all machines.
    Placing,
    /// What ran on the machines that go is placed again.
    PlacingAgain,
}

/// Takes machines away in every region that has some of them. `tick` hears ten times a second in which region it is
/// (from 0) and what is done there; a stage that was begun ends before anybody can stop it.
pub fn remove(
    spec: &WorldSpec,
    gone: &Gone,
    tick: &mut dyn FnMut(usize, Stage) -> Wish,
) -> Result<Vec<Removed>, RemoveError> {
    let machines = chosen(spec, gone)?;
    let at = AtomicUsize::new(0);
    let work = |(): &(), shared: &Shared| taken_away(spec, &machines, &at, shared);
    let mut results = batch(&[()], Some(1), work, &mut |_| {
        let at = at.load(Ordering::Relaxed);
        tick(at / 2, if at.is_multiple_of(2) { Stage::Placing } else { Stage::PlacingAgain })
    })?;
    Ok(results.pop().unwrap_or_default())
}

/// Counts in `at` the stages that are over: two for each region.
fn taken_away(
    spec: &WorldSpec,
    machines: &OrdSet<crate::world::spec::MachineId>,
    at: &AtomicUsize,
    shared: &Shared,
) -> Result<Vec<Removed>, RunError> {
    let mut out = Vec::new();
    for (region, of) in spec.regions.iter() {
        let lost: Vec<NodeId> =
            (0..of.clients.len()).filter(|at| machines.contains(&of.clients[*at])).map(NodeId::from_index).collect();
        if lost.is_empty() {
            at.fetch_add(2, Ordering::Relaxed);
            continue;
        }
        let mut cell = Cell::new(spec.options.scheduler.clone(), 1, nodes(spec, region));
        let mut go_on = || !shared.stop.load(Ordering::Relaxed);
        if !cell.place(&jobs(spec, region), &mut go_on) {
            return Err(RunError::Interrupted);
        }
        let (before, placed) = (cell.homeless(), cell.live());
        at.fetch_add(1, Ordering::Relaxed);
        if !cell.lose(&lost, &mut go_on) {
            return Err(RunError::Interrupted);
        }
        at.fetch_add(1, Ordering::Relaxed);
        let (after, moved) = (cell.homeless(), cell.live().difference(&placed).count());
        out.push(Removed { region, machines: of.clients.len(), gone: lost.len(), moved, before, after });
    }
    Ok(out)
}

fn chosen(spec: &WorldSpec, gone: &Gone) -> Result<OrdSet<crate::world::spec::MachineId>, Unknown> {
    let clients = || {
        spec.machines.iter().filter_map(|(id, machine)| match &machine.role {
            MachineRole::Client(node) => Some((id, machine, node)),
            MachineRole::NomadServer | MachineRole::ConsulServer => None,
        })
    };
    let unknown = |what: &str, name: &str, known: OrdSet<String>| Unknown {
        what: format!("there is no {what} `{name}`"),
        hint: suggest::hint(name, known.iter().map(String::as_str)),
    };
    match gone {
        Gone::Nodes(names) => {
            let mut found = OrdSet::new();
            for name in names {
                let named = clients().find(|(_, machine, _)| *machine.name == **name);
                let missing =
                    || unknown("client machine", name, clients().map(|(_, of, _)| of.name.to_string()).collect());
                found.insert(named.ok_or_else(missing)?.0);
            }
            Ok(found)
        }
        Gone::Class(class) => {
            let found: OrdSet<_> = clients().filter(|(_, _, node)| *node.class == **class).map(|(id, ..)| id).collect();
            if found.is_empty() {
                let classes = clients().map(|(_, _, node)| Arc::clone(&node.class)).filter(|class| !class.is_empty());
                return Err(unknown("node class", class, classes.map(|class| class.to_string()).collect()));
            }
            Ok(found)
        }
        Gone::Zone(zone) => {
            let full = |id| format!("{}/{}", spec.regions[spec.zones[id].region].name, spec.zones[id].name);
            if !spec.zones.ids().any(|id| full(id) == *zone) {
                return Err(unknown("zone", zone, spec.zones.ids().map(full).collect()));
            }
            Ok(clients().filter(|(_, machine, _)| full(machine.zone) == *zone).map(|(id, ..)| id).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(edits: &[&str], gone: &str) -> (usize, bool) {
        let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
        let loaded = crate::scenario::load(std::path::Path::new("scenarios/plan-zone-loss.ron"), &edits);
        let spec = loaded.lowered.unwrap_or_else(|| panic!("{:?}", loaded.findings)).world;
        let regions = remove(&spec, &Gone::Nodes(vec![gone.to_owned()]), &mut |_, _| Wish::GoOn).unwrap();
        assert_eq!(regions.len(), 1);
        (regions[0].moved, regions[0].fits())
    }

    /// Two machines, a system job on both, and one allocation on one of them.
    #[test]
    fn what_is_placed_again_has_moved_and_nothing_else() {
        let job = |name: &str, rest: &str| {
            let group = format!("Group(name: \"web\", cpu: \"500 MHz\", memory: \"1 GiB\", {rest})");
            let kind = if name == "watch" { "kind: System, " } else { "" };
            format!("Inline(Job(name: \"{name}\", {kind}datacenters: [\"apps\"], groups: [{group}]))")
        };
        let jobs = |shop: &str| format!("jobs=[{}, {}]", job("watch", ""), job("shop", shop));
        let machines = ["us-east-1/apps-1", "us-east-1/apps-2"];
        let of_both = |jobs: &str| machines.map(|gone| moved(&["regions[0].clients[0].count=2", jobs], gone));
        let mut one = of_both(&jobs("count: 1"));
        one.sort_unstable();
        assert_eq!(one, [(0, true), (1, true)]);
        // Two that may not share a machine: the second has nowhere to go.
        assert_eq!(of_both(&jobs("count: 2, constraints: [\"distinct_hosts\"]")), [(0, false), (0, false)]);
    }
}
