//! The best of all nodes without asking each of them, for selections that look at the whole cluster.
//!
//! Between two selections of one evaluation only the touched nodes and the uses of spread values change. So nodes are
//! kept by what their score is made of: the values of the spread attributes, the number of the other scores, and their
//! sum. The mean grows with the sum, so the best of each kind is known, and of equals the first visited wins, as in the
//! walk ([`super::stack`]) whose answer this must be, to the bit. What cannot be ordered so (undefined scores, a
//! handful of candidates) is left to the walk.
//!
//! Ranks are places in the order of the visit, from the place reached, which a look at all nodes comes back to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::ordered::OrdMap;
use crate::model::node::NodeId;
use crate::protocol::scheduler::node_map::NodeMap;
use crate::protocol::scheduler::spread::Values;

/// What a node adds to the board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// Not meant for the group.
    Filtered,
    /// Full.
    Full,
    /// Sum and number of all scores but that of the spread.
    Scored(f64, f64),
}

/// Nodes by what their score is made of.
#[derive(Debug)]
pub(super) struct Board {
    /// The source and the place in it the ranks count from.
    turn: (u32, usize),
    /// Rank plus one; zero for nodes that are not in the source.
    rank_of: NodeMap<u32>,
    /// Group by rank.
    group_of: Vec<u32>,
    kinds: Vec<Kind>,
    kind_of: OrdMap<(Values, u64), u32>,
    groups: Vec<Group>,
    /// Groups that were asked for lately: most nodes are like some other.
    lately: Vec<(Values, f64, f64, u32)>,
    /// Nodes that changed since.
    touched: Vec<NodeId>,
    /// Nodes that were scored or full.
    fitted: u32,
    candidates: u32,
    /// Some score is undefined.
    is_undefined: bool,
}

/// Nodes that differ in the sum of their scores only.
#[derive(Debug)]
struct Kind {
    values: Values,
    count: f64,
    /// Groups by their sum, in an order of integers.
    by_sum: OrdMap<u64, u32>,
}

/// Nodes with one score.
#[derive(Debug)]
struct Group {
    kind: u32,
    sum: f64,
    /// Its nodes, and some that left.
    ranks: BinaryHeap<Reverse<u32>>,
    live: u32,
}

/// Groups that are remembered.
const LATELY_MAX: usize = 16;

/// Stands for no group: filtered out, or full.
const FILTERED: u32 = u32::MAX;
const FULL: u32 = u32::MAX - 1;

impl Board {
    pub(super) fn new(turn: (u32, usize), count: usize) -> Self {
        let mut rank_of = NodeMap::default();
        rank_of.expect_all(count);
        Self {
            turn,
            rank_of,
            group_of: Vec::with_capacity(count),
            kinds: Vec::new(),
            kind_of: OrdMap::new(),
            groups: Vec::new(),
            lately: Vec::new(),
            touched: Vec::new(),
            fitted: 0,
            candidates: 0,
            is_undefined: false,
        }
    }

    /// Whether it counts from here.
    pub(super) fn is_of(&self, turn: (u32, usize)) -> bool {
        self.turn == turn
    }

    /// What the node holds changed.
    pub(super) fn touch(&mut self, node: NodeId) {
        self.touched.push(node);
    }

    /// Nodes to look at again.
    pub(super) fn take_touched(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.touched)
    }

    /// Scored or full nodes.
    pub(super) fn fitted(&self) -> u32 {
        self.fitted
    }

    /// No node can take the group.
    pub(super) fn is_without_candidates(&self) -> bool {
        self.candidates == 0
    }

    /// Adds the next node in the order of the visit.
    pub(super) fn push(&mut self, node: NodeId, standing: Standing, values: Values) {
        self.group_of.push(FILTERED);
        let rank = self.group_of.len() as u32 - 1;
        *self.rank_of.at(node) = rank + 1;
        self.put(rank, standing, values);
    }

    /// Corrects what a node adds.
    pub(super) fn correct(&mut self, node: NodeId, standing: Standing, values: Values) {
        let Some(rank) = self.rank_of.get(node).checked_sub(1) else { return };
        let old = std::mem::replace(&mut self.group_of[rank as usize], FILTERED);
        self.fitted -= u32::from(old != FILTERED);
        if old < FULL {
            self.candidates -= 1;
            let group = &mut self.groups[old as usize];
            group.live -= 1;
            if group.live == 0 {
                group.ranks = BinaryHeap::new();
                self.lately.clear();
                self.kinds[group.kind as usize].by_sum.remove(&sortable(group.sum));
            }
        }
        self.put(rank, standing, values);
    }

    fn put(&mut self, rank: u32, standing: Standing, values: Values) {
        let group = match standing {
            Standing::Filtered => return,
            Standing::Full => FULL,
            Standing::Scored(sum, count) => {
                self.is_undefined |= sum.is_nan();
                self.candidates += 1;
                let at = self.group(values, sum, count);
                let group = &mut self.groups[at as usize];
                group.live += 1;
                group.ranks.push(Reverse(rank));
                at
            }
        };
        self.group_of[rank as usize] = group;
        self.fitted += 1;
    }

    fn group(&mut self, values: Values, sum: f64, count: f64) -> u32 {
        let same = |(of, its_sum, its_count, _): &&(Values, f64, f64, u32)| {
            its_sum.to_bits() == sum.to_bits() && its_count.to_bits() == count.to_bits() && *of == values
        };
        if let Some((.., group)) = self.lately.iter().find(same) {
            return *group;
        }
        let group = self.find_group(values.clone(), sum, count);
        if self.lately.len() == LATELY_MAX {
            self.lately.clear();
        }
        self.lately.push((values, sum, count, group));
        group
    }

    fn find_group(&mut self, values: Values, sum: f64, count: f64) -> u32 {
        let kinds = &mut self.kinds;
        let kind = *self.kind_of.entry((values, count.to_bits())).or_insert_with_key(|(values, _)| {
            kinds.push(Kind { values: values.clone(), count, by_sum: OrdMap::new() });
            kinds.len() as u32 - 1
        });
        let groups = &mut self.groups;
        *self.kinds[kind as usize].by_sum.entry(sortable(sum)).or_insert_with(|| {
            groups.push(Group { kind, sum, ranks: BinaryHeap::new(), live: 0 });
            groups.len() as u32 - 1
        })
    }

    /// The rank of the best node: the highest `mean` of spread values, sum and number, and the first of equals in the
    /// order of the walk. `None` if only the walk can tell.
    pub(super) fn best(&mut self, mut mean: impl FnMut(&Values) -> Mean) -> Option<u32> {
        if self.is_undefined || self.candidates <= SKIPPED {
            return None;
        }
        let mut tops: Vec<(usize, Mean, f64)> = Vec::with_capacity(self.kinds.len());
        let mut best = f64::NEG_INFINITY;
        for (at, kind) in self.kinds.iter().enumerate() {
            let Some((_, top)) = kind.by_sum.last_key_value() else { continue };
            let mean = mean(&kind.values);
            let score = mean.of(self.groups[*top as usize].sum, kind.count);
            if score.is_nan() {
                return None;
            }
            best = best.max(score);
            tops.push((at, mean, score));
        }
        // The walk sets the first candidates aside if they are poor, and comes back to them last.
        let late = if best <= 0.0 { self.first_candidates() } else { [FULL; SKIPPED as usize] };
        let mut first = (true, u32::MAX);
        for (at, mean, score) in tops {
            if score < best {
                continue;
            }
            let (kind, groups) = (&self.kinds[at], &mut self.groups);
            for group in kind.by_sum.values().rev() {
                if mean.of(groups[*group as usize].sum, kind.count) < best {
                    break;
                }
                first = first.min(groups[*group as usize].first(*group, &self.group_of, &late));
            }
        }
        Some(first.1)
    }

    /// The first candidates in the order of the visit.
    fn first_candidates(&self) -> [u32; SKIPPED as usize] {
        let mut first = [FULL; SKIPPED as usize];
        let candidates = self.group_of.iter().enumerate().filter(|(_, group)| **group < FULL);
        for (slot, (rank, _)) in first.iter_mut().zip(candidates) {
            *slot = rank as u32;
        }
        first
    }
}

/// As many poor candidates are set aside by the walk.
const SKIPPED: u32 = crate::protocol::orchestrator::search::SKIP_MAX as u32;

impl Group {
    /// Its first node, those not `late` before others: whether it is late, and its rank.
    fn first(&mut self, own: u32, group_of: &[u32], late: &[u32]) -> (bool, u32) {
        let mut passed: Vec<u32> = Vec::new();
        let mut found = None;
        while let Some(Reverse(rank)) = self.ranks.peek().copied() {
            if group_of[rank as usize] == own {
                if !late.contains(&rank) {
                    found = Some((false, rank));
                    break;
                }
                if !passed.contains(&rank) {
                    passed.push(rank);
                }
            }
            self.ranks.pop();
        }
        let first = found.or(passed.first().map(|rank| (true, *rank)));
        self.ranks.extend(passed.into_iter().map(Reverse));
        first.expect("a group that is listed has nodes")
    }
}

/// How a score follows from sum and number of the others, given that of the spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean(pub(super) Option<f64>);

impl Mean {
    /// The mean.
    pub(super) fn of(self, sum: f64, count: f64) -> f64 {
        match self.0 {
            Some(spread) => (sum + spread) / (count + 1.0),
            None => sum / count,
        }
    }
}

/// An integer that sorts like the number; the zeros are equal.
fn sortable(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_sort_like_their_numbers() {
        let numbers = [f64::NEG_INFINITY, -2.0, -1e-300, 0.0, 1e-300, 0.5, 2.0, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| sortable(pair[0]) < sortable(pair[1])));
        assert_eq!(sortable(-0.0), sortable(0.0));
    }
}
