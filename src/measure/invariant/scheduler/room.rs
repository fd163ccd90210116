//! Room on nodes: no plan takes more of a node than it has, or a port that another allocation holds, and an allocation
//! stays where it was placed.
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
use crate::model::alloc::{Alloc, AllocId};
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
        self.nodes.get_or_default(id).total = Amounts {
            cpu: spec.capacity.cpu.get().saturating_sub(spec.reserved.cpu.get()),
            memory: spec.capacity.memory.get().saturating_sub(spec.reserved.memory.get()),
            disk: spec.capacity.disk.get().saturating_sub(spec.reserved.disk.get()),
        };
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
        if !alloc.is_terminal() {
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
            let ends = (address, number, AllocId(0))..=(address, number, AllocId(u32::MAX));
            let mut others =
                self.nodes[alloc.node].ports.range(ends).map(|(_, _, id)| *id).filter(|id| *id != alloc.id);
            let alone = others.all(|id| self.is_overlapped(alloc.eval) && self.before.brought.contains_key(&id));
            self.ports.check(at, alone, || format!("{} takes port {number} of {}", alloc.id, alloc.node));
        }
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
