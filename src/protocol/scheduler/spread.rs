//! Spreading a group over the values of an attribute (Nomad `SpreadIterator`).
//!
//! Weights are relative to the sum over all groups looked at so far, and a group is added once more whenever the stack
//! was set to another version of the job in between (quirks; the latter since GH-12039, of 1.2.6). Left out: before
//! that release a group kept the spreads of the version it was first looked at with. Only replacements of an older
//! version beside canaries could come out differently.

use smallvec::SmallVec;

use crate::base::ordered::OrdMap;
use crate::model::job::TaskGroup;
use crate::model::node::NodeId;
use crate::protocol::scheduler::properties::ValueId;
use crate::protocol::scheduler::stack::Stack;

/// The value that stands for all without a target of their own.
const IMPLICIT: &str = "*";

/// A node's values of the attributes that are spread over.
pub(super) type Values = SmallVec<[Option<ValueId>; 2]>;

/// The spreads of a group and its job.
#[derive(Debug, Default)]
pub(super) struct GroupSpread {
    /// One per spread block, those of the job first.
    spreads: Vec<OneSpread>,
}

#[derive(Debug)]
struct OneSpread {
    /// The property set that counts the group's allocations, by number.
    set: usize,
    weight: f64,
    /// Wanted allocations by value; empty to spread evenly.
    desired: OrdMap<String, f64>,
    /// Wanted allocations by value number, as far as asked about; negative for values that are not wanted at all.
    by_value: Vec<Option<f64>>,
    /// Smallest and largest use when the selection began.
    extremes: Option<(i64, i64)>,
    /// Uses of all values without a target when the selection began, for the pooled implicit target.
    pooled: i64,
}

impl GroupSpread {
    /// Reads the spreads and adds their weights to the stack's sum.
    pub(super) fn new<'a>(stack: &mut Stack<'a>, group: &'a TaskGroup) -> Self {
        let job = stack.job;
        // Job spreads come last here: on the same attribute they replace what the group says.
        let mut wanted: OrdMap<&str, (f64, OrdMap<String, f64>)> = OrdMap::new();
        for spread in group.spreads.iter().chain(&job.spreads) {
            let count = f64::from(group.count);
            let mut desired = OrdMap::new();
            let mut sum = 0.0;
            for target in &spread.targets {
                let share = f64::from(target.percent) / 100.0 * count;
                sum += share;
                desired.insert(target.value.clone(), share);
            }
            if 0.0 < sum && sum < count {
                desired.insert(IMPLICIT.into(), count - sum);
            }
            stack.spread_weight += f64::from(spread.weight);
            wanted.insert(&spread.attribute, (f64::from(spread.weight), desired));
        }
        let mut spreads = Vec::new();
        for spread in job.spreads.iter().chain(&group.spreads) {
            let set = stack.add_property(&spread.attribute, Some(&group.name));
            let (weight, desired) = wanted[spread.attribute.as_str()].clone();
            spreads.push(OneSpread { set, weight, desired, by_value: Vec::new(), extremes: None, pooled: 0 });
        }
        Self { spreads }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spreads.is_empty()
    }

    /// Looks at the counts once for a whole selection.
    pub(super) fn begin(&mut self, stack: &Stack<'_>) {
        for spread in &mut self.spreads {
            let set = &stack.properties[spread.set].set;
            if spread.desired.is_empty() {
                spread.extremes = set.extremes();
            } else if stack.config.behaviour.spread_implicit_pooled {
                spread.pooled =
                    set.uses().filter(|(name, _)| !spread.desired.contains_key(*name)).map(|(_, n)| n).sum();
            }
        }
    }

    /// The node's values, in the order of the spreads.
    pub(super) fn values(&self, stack: &mut Stack<'_>, node: NodeId) -> Values {
        let state = stack.state;
        self.spreads.iter().map(|spread| stack.properties[spread.set].set.value(state, node)).collect()
    }

    /// The sum over all spreads for a node; `None` when it is zero.
    pub(super) fn score(&mut self, stack: &mut Stack<'_>, node: NodeId) -> Option<f64> {
        if self.spreads.is_empty() {
            return None;
        }
        let values = self.values(stack, node);
        self.score_of(stack, &values)
    }

    /// The sum over all spreads for a node with these values; `None` when it is zero.
    pub(super) fn score_of(&mut self, stack: &Stack<'_>, values: &Values) -> Option<f64> {
        let mut total = 0.0;
        for (spread, value) in self.spreads.iter_mut().zip(values) {
            total += spread.score(stack, *value);
        }
        (total != 0.0).then_some(total)
    }
}

impl OneSpread {
    fn score(&mut self, stack: &Stack<'_>, value: Option<ValueId>) -> f64 {
        let set = &stack.properties[self.set].set;
        let Some(value) = value else { return -1.0 };
        let used = set.used(value);
        if self.desired.is_empty() {
            return self.extremes.map_or(0.0, |(low, high)| even_boost(used, low, high));
        }
        let name = set.name(value);
        let is_explicit = self.desired.contains_key(name);
        let Some(desired) = self.desired(value, name) else { return -1.0 };
        let fixed = stack.config.behaviour.spread_implicit_pooled;
        if fixed && desired <= 0.0 {
            return -1.0;
        }
        let used = if fixed && !is_explicit { self.pooled } else { used };
        (desired - (used + 1) as f64) / desired * (self.weight / stack.spread_weight)
    }

    fn desired(&mut self, value: ValueId, name: &str) -> Option<f64> {
        let at = value.0 as usize;
        if self.by_value.len() <= at {
            self.by_value.resize(at + 1, None);
        }
        let desired = &self.desired;
        let wanted = || desired.get(name).or_else(|| desired.get(IMPLICIT)).copied().unwrap_or(-1.0);
        Some(*self.by_value[at].get_or_insert_with(wanted)).filter(|wanted| *wanted >= 0.0)
    }
}

/// How much a value with this use gains from being chosen, given the smallest and largest use of any.
fn even_boost(used: i64, low: i64, high: i64) -> f64 {
    if used != low {
        return if low == 0 { -1.0 } else { (low - used) as f64 / low as f64 };
    }
    if low == high {
        -1.0
    } else if low == 0 {
        1.0
    } else {
        (high - low) as f64 / low as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_spread_vectors() {
        for (used, low, high, boost) in
            [(0, 1, 1, 1.0), (1, 1, 1, -1.0), (3, 1, 3, -2.0), (1, 1, 3, 2.0), (0, 1, 3, 1.0), (0, 0, 2, 1.0)]
        {
            assert!((even_boost(used, low, high) - boost).abs() < 1e-12, "{used} {low} {high}");
        }
    }
}
