//! Room on nodes: no plan takes more of a node than it has, or a core, a device or a port that another allocation
//! holds, and an allocation stays where it was placed.
//!
//! Left out: two running allocations of one name. Nomad gives names twice where nothing is wrong with it: to canaries
//! and what they stand beside, to what replaces an allocation on a node that is away, and, until 1.6.3, by the mistakes
//! that its reconciler repairs since; so that they were too many is seen by the count alone.
//!
//! One overlap is allowed, since Nomad has it too. While the log holds a plan, the leader verifies the next one on a
//! snapshot to which the first was applied in advance; when that snapshot is older than the one the second plan was
//! made from, it takes a fresh snapshot, which does not show the plan in the log's hands, and does not verify again
//! (Nomad 1.1.0 `nomad/plan_apply.go`). So a plan that was verified before the plan committed ahead of it was written
//! may disregard what that one plan brought, and nothing else. It happens when many other entries pass through the log
//! at the same time.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired};
use crate::model::evaluation::EvalId;
use crate::model::node::{NodeId, NodeSpec};
use crate::model::resources::Comparable;

/// What the nodes of a region have, and who holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    pub(super) capacity: Tally,
    pub(super) ports: Tally,
    pub(super) one_place: Tally,
    nodes: IdVec<NodeId, Ledger>,
    /// Allocations that hold resources, as they were placed or changed last.
    live: IdVec<AllocId, Option<Arc<Alloc>>>,
    /// The node of every allocation ever placed.
    places: IdVec<AllocId, Option<NodeId>>,
    /// The plan told last.
    newest: Written,
    /// The plan committed before it.
    before: Written,
    /// The newest plan that was written when the plan of an evaluation was verified last.
    verified: OrdMap<EvalId, u64>,
}

/// What a node has and what is held of it.
#[derive(Debug, Clone, Default)]
struct Ledger {
    total: Amounts,
    held: Amounts,
    /// By address, number and holder.
    ports: OrdSet<(u8, i64, AllocId)>,
    /// Cores that can be reserved are those below this number, but for some.
    cores_end: u16,
    cores_kept: Vec<u16>,
    /// By number and holder.
    cores: OrdSet<(u16, AllocId)>,
    /// Instances by group of devices.
    instances: OrdSet<(Arc<str>, Arc<str>)>,
    /// By group of devices, instance and holder.
    devices: OrdSet<(Arc<str>, Arc<str>, AllocId)>,
}

/// A plan in the log.
#[derive(Debug, Clone, Default)]
struct Written {
    index: u64,
    /// What it placed, or made larger, and by how much.
    brought: OrdMap<AllocId, Amounts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amounts {
    cpu: u64,
    memory: u64,
    disk: u64,
}

impl Room {
    /// A node registered or changed.
    pub(super) fn node(&mut self, id: NodeId, spec: &NodeSpec) {
        let node = self.nodes.get_or_default(id);
        node.total = Amounts {
            cpu: spec.capacity.cpu.get().saturating_sub(spec.reserved.cpu.get()),
            memory: spec.capacity.memory.get().saturating_sub(spec.reserved.memory.get()),
            disk: spec.capacity.disk.get().saturating_sub(spec.reserved.disk.get()),
        };
        node.cores_end = spec.capacity.cores;
        node.cores_kept.clone_from(&spec.reserved.cores);
        node.instances.clear();
        for device in &spec.devices {
            let group: Arc<str> = device.id().into();
            node.instances.extend(device.instances.iter().map(|it| (Arc::clone(&group), Arc::from(it.as_str()))));
        }
    }

    /// The leader verified a plan of this evaluation.
    pub(super) fn verified(&mut self, eval: EvalId) {
        self.verified.insert(eval, self.newest.index);
    }

    /// The evaluation submits no more plans.
    pub(super) fn settled(&mut self, eval: EvalId) {
        self.verified.remove(&eval);
    }

    /// The plan written at `index` placed an allocation.
    pub(super) fn placed(&mut self, at: Time, index: u64, alloc: &Arc<Alloc>) {
        self.turn_to(index);
        let first = self.places.get_or_default(alloc.id).replace(alloc.node).is_none();
        self.one_place.check(at, first, || format!("{} was placed twice", alloc.id));
        self.hold(at, alloc, None);
    }

    /// The plan written at `index` changed an allocation in place. Returns what it was. One that has ended holds
    /// nothing then, either: a failed one is told which evaluation will replace it.
    pub(super) fn updated(&mut self, at: Time, index: u64, alloc: &Arc<Alloc>) -> Option<Arc<Alloc>> {
        self.turn_to(index);
        let same = self.places.get(alloc.id) == Some(&Some(alloc.node));
        self.one_place.check(at, same, || format!("{} moved to {}", alloc.id, alloc.node));
        let before = self.release(alloc.id);
        if !has_ended(alloc) {
            self.hold(at, alloc, before.as_deref());
        }
        before
    }

    /// The plan written at `index` stops or pushes out an allocation. Returns what it was.
    pub(super) fn stopped(&mut self, index: u64, id: AllocId) -> Option<Arc<Alloc>> {
        self.turn_to(index);
        self.release(id)
    }

    /// An allocation holds nothing any more. Returns what it was.
    pub(super) fn release(&mut self, id: AllocId) -> Option<Arc<Alloc>> {
        let alloc = self.live.get_mut(id)?.take()?;
        let node = self.nodes.get_or_default(alloc.node);
        node.held = node.held.minus(Amounts::of(&alloc.resources));
        for port in &alloc.ports {
            node.ports.remove(&(port.address, port.value, id));
        }
        for core in &alloc.resources.cores {
            node.cores.remove(&(*core, id));
        }
        for device in &alloc.devices {
            for instance in &device.instances {
                node.devices.remove(&(Arc::clone(&device.group), Arc::clone(instance), id));
            }
        }
        Some(alloc)
    }

    /// An allocation that holds resources.
    pub(super) fn live(&self, id: AllocId) -> Option<&Arc<Alloc>> {
        self.live.get(id)?.as_ref()
    }

    fn turn_to(&mut self, index: u64) {
        if index > self.newest.index {
            let newest = Written { index, brought: OrdMap::new() };
            self.before = std::mem::replace(&mut self.newest, newest);
        }
    }

    /// Judges what an allocation takes beyond what it held before.
    fn hold(&mut self, at: Time, alloc: &Arc<Alloc>, before: Option<&Alloc>) {
        let amounts = Amounts::of(&alloc.resources);
        let more = amounts.minus(before.map_or(Amounts::default(), |before| Amounts::of(&before.resources)));
        let node = self.nodes.get_or_default(alloc.node);
        node.held = node.held.plus(amounts);
        node.ports.extend(alloc.ports.iter().map(|port| (port.address, port.value, alloc.id)));
        let (held, total) = (node.held, node.total);
        *self.live.get_or_default(alloc.id) = Some(Arc::clone(alloc));
        if before.is_none() || more != Amounts::default() {
            let fits = held.fits(total) || held.minus(self.overlap(alloc)).fits(total);
            self.capacity.check(at, fits, || format!("{} brings {} to {held:?} of {total:?}", alloc.id, alloc.node));
            self.newest.brought.insert(alloc.id, more);
        }
        for port in alloc.ports.iter().filter(|port| before.is_none_or(|before| !before.ports.contains(port))) {
            let (address, number) = (port.address, port.value);
            let ends = (address, number, FIRST)..=(address, number, LAST);
            let alone = self.is_alone(alloc, self.nodes[alloc.node].ports.range(ends).map(|(_, _, id)| *id));
            self.ports.check(at, alone, || format!("{} takes port {number} of {}", alloc.id, alloc.node));
        }
        self.hold_cores(at, alloc, before);
        self.hold_devices(at, alloc, before);
    }

    fn hold_cores(&mut self, at: Time, alloc: &Alloc, before: Option<&Alloc>) {
        for core in &alloc.resources.cores {
            let node = &mut self.nodes[alloc.node];
            node.cores.insert((*core, alloc.id));
            if before.is_some_and(|before| before.resources.cores.contains(core)) {
                continue;
            }
            let node = &self.nodes[alloc.node];
            let is_there = *core < node.cores_end && !node.cores_kept.contains(core);
            let holders = node.cores.range((*core, FIRST)..=(*core, LAST)).map(|(_, id)| *id);
            let free = is_there && self.is_alone(alloc, holders);
            self.capacity.check(at, free, || format!("{} takes core {core} of {}", alloc.id, alloc.node));
        }
    }

    fn hold_devices(&mut self, at: Time, alloc: &Alloc, before: Option<&Alloc>) {
        for device in &alloc.devices {
            for instance in &device.instances {
                let key = |holder| (Arc::clone(&device.group), Arc::clone(instance), holder);
                self.nodes[alloc.node].devices.insert(key(alloc.id));
                let had = |before: &Alloc| {
                    before.devices.iter().any(|had| had.group == device.group && had.instances.contains(instance))
                };
                if before.is_some_and(had) {
                    continue;
                }
                let node = &self.nodes[alloc.node];
                let is_there = node.instances.contains(&(Arc::clone(&device.group), Arc::clone(instance)));
                let holders = node.devices.range(key(FIRST)..=key(LAST)).map(|(_, _, id)| *id);
                let free = is_there && self.is_alone(alloc, holders);
                self.capacity
                    .check(at, free, || format!("{} takes {} {instance} of {}", alloc.id, device.group, alloc.node));
            }
        }
    }

    /// Whether nobody else is among the holders but those whom the allocation's plan may have overlooked.
    fn is_alone(&self, alloc: &Alloc, holders: impl Iterator<Item = AllocId>) -> bool {
        let overlooked = |id| self.is_overlapped(alloc.eval) && self.before.brought.contains_key(&id);
        holders.filter(|id| *id != alloc.id).all(overlooked)
    }

    /// Whether the plan of this evaluation was verified before the plan committed ahead of it was written.
    fn is_overlapped(&self, eval: EvalId) -> bool {
        self.verified.get(&eval).is_some_and(|newest| *newest < self.before.index)
    }

    /// What an allocation's plan may have overlooked on its node.
    fn overlap(&self, alloc: &Alloc) -> Amounts {
        if !self.is_overlapped(alloc.eval) {
            return Amounts::default();
        }
        let there = |id: &AllocId| self.live(*id).is_some_and(|live| live.node == alloc.node);
        let overlooked = self.before.brought.iter().filter(|(id, _)| there(id));
        overlooked.fold(Amounts::default(), |sum, (_, amounts)| sum.plus(*amounts))
    }
}

impl Amounts {
    fn of(resources: &Comparable) -> Self {
        Self { cpu: resources.cpu.get(), memory: resources.memory.get(), disk: resources.disk.get() }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, disk: self.disk + other.disk }
    }

    /// The difference, by resource; zero where the other is larger.
    fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            disk: self.disk.saturating_sub(other.disk),
        }
    }

    fn fits(self, total: Self) -> bool {
        self.cpu <= total.cpu && self.memory <= total.memory && self.disk <= total.disk
    }
}

/// Whether an allocation holds nothing any more: the servers want it gone, or its client is done with it.
pub(super) fn has_ended(alloc: &Alloc) -> bool {
    matches!(alloc.desired, Desired::Stop | Desired::Evict) || is_over(alloc.client)
}

/// Whether a client with this to say of an allocation has nothing more to do with it.
pub(super) fn is_over(status: ClientStatus) -> bool {
    matches!(status, ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost)
}

/// The ends of all holders.
const FIRST: AllocId = AllocId(0);
const LAST: AllocId = AllocId(u32::MAX);
