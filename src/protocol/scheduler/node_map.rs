//! Notes about nodes: what an evaluation learns of a few of them, or of all.
//!
//! Few notes lie in a small hash table, so that an evaluation that looks at ten nodes of ten thousand pays for ten;
//! many lie in a plain vector. Nothing ever walks over the notes, so the table's order is no part of any result.

use crate::base::id::Id;
use crate::model::node::NodeId;

/// A value by node; nodes without one have the default.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeMap<T> {
    /// Node number plus one (zero for an empty slot) and the value, at its hash or after it; empty once `dense` is in
    /// use. A power of two of slots, at most half of them taken.
    slots: Vec<(u32, T)>,
    taken: usize,
    /// Largest node number noted in `slots`.
    last: u32,
    /// By node number.
    dense: Vec<T>,
}

impl<T: Copy + Default> NodeMap<T> {
    /// The value of a node.
    pub(super) fn get(&self, node: NodeId) -> T {
        if self.slots.is_empty() {
            return self.dense.get(node.index()).copied().unwrap_or_default();
        }
        let slot = &self.slots[self.place(node.0)];
        if slot.0 == 0 { T::default() } else { slot.1 }
    }

    /// The value of a node, for writing.
    pub(super) fn at(&mut self, node: NodeId) -> &mut T {
        if self.slots.is_empty() && self.dense.is_empty() {
            self.slots = vec![(0, T::default()); SLOTS_FIRST];
        }
        if 2 * self.taken >= self.slots.len() && !self.slots.is_empty() {
            self.grow();
        }
        if self.slots.is_empty() {
            let at = node.index();
            if self.dense.len() <= at {
                self.dense.resize((at + 1).max(2 * self.dense.len()), T::default());
            }
            return &mut self.dense[at];
        }
        let place = self.place(node.0);
        let slot = &mut self.slots[place];
        if slot.0 == 0 {
            slot.0 = node.0 + 1;
            self.taken += 1;
            self.last = self.last.max(node.0);
        }
        &mut slot.1
    }

    /// Makes room for notes about most of `count` nodes at once.
    pub(super) fn expect_all(&mut self, count: usize) {
        if self.taken == 0 && self.dense.is_empty() {
            self.slots = Vec::new();
            self.dense = vec![T::default(); count];
        }
    }

    fn place(&self, node: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = node.wrapping_mul(0x9E37_79B9) as usize >> 7 & mask;
        while self.slots[at].0 != 0 && self.slots[at].0 != node + 1 {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let wider = 4 * self.slots.len();
        let old = std::mem::take(&mut self.slots);
        if wider > self.last as usize {
            self.dense = vec![T::default(); self.last as usize + 1];
            for (node, value) in old.into_iter().filter(|slot| slot.0 != 0) {
                self.dense[node as usize - 1] = value;
            }
            return;
        }
        self.slots = vec![(0, T::default()); wider];
        for slot in old.into_iter().filter(|slot| slot.0 != 0) {
            let place = self.place(slot.0 - 1);
            self.slots[place] = slot;
        }
    }
}

/// Slots of a table that holds anything.
const SLOTS_FIRST: usize = 64;

#[cfg(test)]
mod tests {
    use crate::base::ordered::OrdMap;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn few_or_many_notes_are_those_of_a_sorted_map() {
        let mut rng = Rng::stream(3, "notes");
        for nodes in [1_u32, 20, 3_000, 1_000_000] {
            let (mut notes, mut map) = (NodeMap::<u32>::default(), OrdMap::new());
            for step in 0..2_000_u32 {
                let node = NodeId(rng.below(u64::from(nodes)) as u32);
                *notes.at(node) += step;
                *map.entry(node).or_insert(0) += step;
                let asked = NodeId(rng.below(u64::from(nodes)) as u32);
                assert_eq!(notes.get(asked), map.get(&asked).copied().unwrap_or(0));
            }
            for (node, value) in map {
                assert_eq!(notes.get(node), value);
            }
        }
    }
}
