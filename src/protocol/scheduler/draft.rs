//! A plan while it is being made: what each node would hold, and where the job's own allocations would be
//! (Nomad `EvalContext.ProposedAllocs`).
//!
//! Proposed allocations of a node are the non-terminal ones of the snapshot, minus stops and preemptions of the plan,
//! overlaid by number with its placements and updates. Only touched nodes are copied.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::ordered::OrdMap;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::job::{Job, JobId};
use crate::model::node::NodeId;
use crate::model::resources::AssignedDevice;
use crate::protocol::scheduler::devices::DeviceUse;
use crate::protocol::scheduler::node_map::NodeMap;
use crate::protocol::scheduler::plan::Plan;
use crate::protocol::scheduler::ports::PortUse;
use crate::protocol::scheduler::state::{Amounts, NodeEntry, State};

/// A group of the job by name, whatever the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnGroup(pub(super) usize);

/// A plan being made.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    state: &'a State,
    job: JobId,
    /// The plan so far.
    pub(super) plan: Plan,
    /// Names of the job's groups, those of old versions included.
    names: Vec<Arc<str>>,
    /// Proposed allocations of the job by group, then by node number.
    own: Vec<NodeMap<u32>>,
    /// Place in `nodes` plus one; zero for untouched nodes.
    marks: NodeMap<u32>,
    nodes: Vec<Overlay>,
    /// Devices that placements and updates would hold.
    devices: OrdMap<NodeId, Vec<AssignedDevice>>,
}

/// What a touched node would hold.
#[derive(Debug, Clone)]
struct Overlay {
    used: Amounts,
    cores: Vec<u16>,
    ports: Option<PortUse>,
    removed: SmallVec<[AllocId; 4]>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State, job: JobId, plan: Plan) -> Self {
        let mut draft = Self {
            state,
            job,
            plan,
            names: Vec::new(),
            own: Vec::new(),
            marks: NodeMap::default(),
            nodes: Vec::new(),
            devices: OrdMap::new(),
        };
        for alloc in state.allocs_of_job(job).filter(|alloc| !alloc.is_terminal()) {
            let group = draft.group(&alloc.task_group().name);
            draft.count(group, alloc.node, 1);
        }
        draft
    }

    /// The group of this name.
    pub(super) fn group(&mut self, name: &Arc<str>) -> OwnGroup {
        let known = self.names.iter().position(|known| Arc::ptr_eq(known, name) || known == name);
        OwnGroup(known.unwrap_or_else(|| {
            self.names.push(Arc::clone(name));
            self.own.push(NodeMap::default());
            self.names.len() - 1
        }))
    }

    fn count(&mut self, group: OwnGroup, node: NodeId, change: i32) {
        let count = self.own[group.0].at(node);
        *count = count.saturating_add_signed(change);
    }

    /// Proposed allocations of the job's group on the node.
    pub(super) fn own_in_group(&self, group: OwnGroup, node: NodeId) -> u32 {
        self.own[group.0].get(node)
    }

    /// Proposed allocations of the job on the node.
    pub(super) fn own_of_job(&self, node: NodeId) -> u32 {
        self.own.iter().map(|counts| counts.get(node)).sum()
    }

    fn overlay(&self, node: NodeId) -> Option<&Overlay> {
        match self.marks.get(node) {
            0 => None,
            mark => Some(&self.nodes[mark as usize - 1]),
        }
    }

    fn touch(&mut self, entry: &NodeEntry) -> &mut Overlay {
        let mark = self.marks.at(entry.id);
        if *mark == 0 {
            let (used, cores) = (entry.used, entry.cores.clone());
            self.nodes.push(Overlay { used, cores, ports: None, removed: SmallVec::new() });
            *mark = self.nodes.len() as u32;
        }
        &mut self.nodes[*mark as usize - 1]
    }

    /// What the proposed allocations use.
    pub(super) fn used(&self, entry: &NodeEntry) -> Amounts {
        self.overlay(entry.id).map_or(entry.used, |overlay| overlay.used)
    }

    /// The cores the proposed allocations hold.
    pub(super) fn cores<'d>(&'d self, entry: &'d NodeEntry) -> &'d [u16] {
        self.overlay(entry.id).map_or(&entry.cores, |overlay| &overlay.cores)
    }

    /// The ports the proposed allocations hold.
    pub(super) fn ports<'d>(&'d self, entry: &'d NodeEntry) -> &'d PortUse {
        self.overlay(entry.id).and_then(|overlay| overlay.ports.as_ref()).unwrap_or(&entry.ports)
    }

    /// The devices the proposed allocations hold, as if `gone` were not among them. Gathered anew each time.
    pub(super) fn devices<'d>(&self, entry: &'d NodeEntry, gone: &[AllocId]) -> DeviceUse<'d> {
        let node = entry.id;
        let removed = self.overlay(node).map_or(&[][..], |overlay| &overlay.removed);
        let mut held = DeviceUse::new(&entry.node.spec);
        let live = entry.live.iter().filter(|id| !removed.contains(id) && !gone.contains(id));
        live.filter_map(|id| self.state.alloc(*id)).for_each(|alloc| held.add(&alloc.devices));
        self.devices.get(&node).into_iter().for_each(|devices| held.add(devices));
        held
    }

    /// All proposed allocations of the node: those that stay by number, then those of the plan.
    pub(super) fn proposed(&self, entry: &NodeEntry) -> Vec<&Arc<Alloc>> {
        let node = entry.id;
        let removed = self.overlay(node).map_or(&[][..], |overlay| &overlay.removed);
        let live = entry.live.iter().filter(|id| !removed.contains(id)).filter_map(|id| self.state.alloc(*id));
        let planned = self.plan.placements.iter().chain(&self.plan.updates);
        live.chain(planned.filter(|alloc| alloc.node == node && !alloc.is_terminal())).collect()
    }

    /// Proposed allocations of the job: those that stay by number, then those of the plan.
    pub(super) fn own_allocs(&self) -> impl Iterator<Item = &Arc<Alloc>> {
        let stays = |alloc: &&Arc<Alloc>| {
            let removed = self.overlay(alloc.node).map_or(&[][..], |overlay| &overlay.removed);
            !alloc.is_terminal() && !removed.contains(&alloc.id)
        };
        let planned = self.plan.placements.iter().chain(&self.plan.updates).filter(|alloc| !alloc.is_terminal());
        self.state.allocs_of_job(self.job).filter(stays).chain(planned)
    }

    /// Proposed allocations of other jobs on the node, by number.
    pub(super) fn others(&self, entry: &NodeEntry) -> Vec<&'a Arc<Alloc>> {
        let removed = self.overlay(entry.id).map_or(&[][..], |overlay| &overlay.removed);
        let live = entry.live.iter().filter(|id| !removed.contains(id));
        live.filter_map(|id| self.state.alloc(*id)).filter(|alloc| alloc.job_id != self.job).collect()
    }

    /// Counts an allocation of the snapshot out. False if it was not counted in.
    pub(super) fn remove(&mut self, alloc: &Alloc) -> bool {
        let state = self.state;
        let Some(entry) = state.node(alloc.node) else {
            // Nothing is known of the node, but the job's own count was made from the allocations.
            if alloc.job_id == self.job && !alloc.is_terminal() {
                let group = self.group(&alloc.task_group().name);
                self.count(group, alloc.node, -1);
            }
            return false;
        };
        if !entry.counts(alloc.id) {
            return false;
        }
        let overlay = self.touch(entry);
        if overlay.removed.contains(&alloc.id) {
            return false;
        }
        overlay.removed.push(alloc.id);
        overlay.subtract(entry, alloc);
        if alloc.job_id == self.job {
            let group = self.group(&alloc.task_group().name);
            self.count(group, alloc.node, -1);
        }
        true
    }

    /// Takes a removal back.
    pub(super) fn restore(&mut self, alloc: &Alloc) {
        let state = self.state;
        let Some(entry) = state.node(alloc.node) else { return };
        let overlay = self.touch(entry);
        overlay.removed.retain(|id| *id != alloc.id);
        overlay.add(entry, alloc);
        if alloc.job_id == self.job {
            let group = self.group(&alloc.task_group().name);
            self.count(group, alloc.node, 1);
        }
    }

    /// Counts a placement or an updated allocation of the job in.
    pub(super) fn add(&mut self, alloc: &Alloc) {
        if alloc.is_terminal() {
            return;
        }
        let state = self.state;
        if let Some(entry) = state.node(alloc.node) {
            self.touch(entry).add(entry, alloc);
        }
        if !alloc.devices.is_empty() {
            self.devices.entry(alloc.node).or_default().extend_from_slice(&alloc.devices);
        }
        let group = self.group(&alloc.task_group().name);
        self.count(group, alloc.node, 1);
    }
}

impl Overlay {
    fn subtract(&mut self, entry: &NodeEntry, alloc: &Alloc) {
        self.used = self.used.minus(Amounts::of(&alloc.resources));
        for core in &alloc.resources.cores {
            if let Some(at) = self.cores.iter().position(|held| held == core) {
                self.cores.remove(at);
            }
        }
        for port in &alloc.ports {
            self.ports.get_or_insert_with(|| entry.ports.clone()).remove(port.address, port.value);
        }
    }

    fn add(&mut self, entry: &NodeEntry, alloc: &Alloc) {
        self.used = self.used.plus(Amounts::of(&alloc.resources));
        for core in &alloc.resources.cores {
            let at = self.cores.partition_point(|held| held <= core);
            self.cores.insert(at, *core);
        }
        for port in &alloc.ports {
            self.ports.get_or_insert_with(|| entry.ports.clone()).add(port.address, port.value);
        }
    }
}

/// Whether two jobs are the same incarnation: not purged and registered again in between.
pub(super) fn same_incarnation(alloc: &Alloc, job: &Job) -> bool {
    alloc.job.create_index == job.create_index
}
