//! Counting a job's allocations by the value of a node property (Nomad `propertySet`), for `distinct_property` and
//! `spread`.
//!
//! Values are numbered as they appear; each node's value is looked up once. Counts follow the plan as it is drafted, so
//! that a question about a node costs no walk over allocations.

use crate::base::ordered::OrdMap;
use crate::model::node::NodeId;
use crate::protocol::scheduler::node_map::NodeMap;
use crate::protocol::scheduler::operators::Target;
use crate::protocol::scheduler::state::State;

/// The number of a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// Which count an allocation goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// In the snapshot, not terminal.
    Existing,
    /// Placed or updated by the plan.
    Proposed,
    /// Stopped by the plan.
    Cleared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    existing: i64,
    proposed: i64,
    cleared: i64,
}

/// A property and how often each of its values is used.
#[derive(Debug, Clone)]
pub struct PropertySet<'a> {
    target: Target<'a>,
    numbers: OrdMap<String, u32>,
    names: Vec<String>,
    counts: Vec<Counts>,
    /// Value of each node: its number plus two, one for a node without the property, zero for not yet looked up.
    by_node: NodeMap<u32>,
}

impl<'a> PropertySet<'a> {
    /// Counts nothing yet.
    pub fn new(attribute: &'a str) -> Self {
        Self {
            target: Target::parse(attribute),
            numbers: OrdMap::new(),
            names: Vec::new(),
            counts: Vec::new(),
            by_node: NodeMap::default(),
        }
    }

    /// The node's value; `None` if it lacks the property or is not known.
    pub fn value(&mut self, state: &State, node: NodeId) -> Option<ValueId> {
        match self.by_node.get(node) {
            0 => {
                let value = self.look_up(state, node);
                *self.by_node.at(node) = value.map_or(1, |value| value.0 + 2);
                value
            }
            1 => None,
            number => Some(ValueId(number - 2)),
        }
    }

    fn look_up(&mut self, state: &State, node: NodeId) -> Option<ValueId> {
        let entry = state.node(node)?;
        let mut id_text = String::new();
        let resolved = self.target.resolve(node, &entry.node.spec, &mut id_text);
        let text = resolved.text.filter(|_| resolved.found)?;
        Some(self.number(text))
    }

    /// The number of a value, new if need be.
    pub fn number(&mut self, text: &str) -> ValueId {
        if let Some(number) = self.numbers.get(text) {
            return ValueId(*number);
        }
        let number = self.names.len() as u32;
        self.numbers.insert(text.into(), number);
        self.names.push(text.into());
        self.counts.push(Counts::default());
        ValueId(number)
    }

    /// The text of a value.
    pub fn name(&self, value: ValueId) -> &str {
        &self.names[value.0 as usize]
    }

    /// Counts an allocation on a node in (`change` 1) or out (-1).
    pub fn count(&mut self, state: &State, node: NodeId, tally: Tally, change: i64) {
        let Some(value) = self.value(state, node) else { return };
        let counts = &mut self.counts[value.0 as usize];
        match tally {
            Tally::Existing => counts.existing += change,
            Tally::Proposed => counts.proposed += change,
            Tally::Cleared => counts.cleared += change,
        }
    }

    /// Uses of a value: existing plus proposed minus cleared, at least zero.
    pub fn used(&self, value: ValueId) -> i64 {
        self.counts[value.0 as usize].used()
    }

    /// Every value with its uses.
    pub fn uses(&self) -> impl Iterator<Item = (&str, i64)> {
        self.names.iter().zip(&self.counts).map(|(name, counts)| (name.as_str(), counts.used()))
    }

    /// Smallest and largest use over the values some allocation has; `None` if no allocation has any.
    pub fn extremes(&self) -> Option<(i64, i64)> {
        let used = || self.counts.iter().filter(|counts| counts.is_seen()).map(|counts| counts.used());
        used().min().zip(used().max())
    }
}

impl Counts {
    /// A value that is proposed loses one of its clearings unless it has only one (a quirk).
    fn used(self) -> i64 {
        let cleared = if self.proposed > 0 && self.cleared > 1 { self.cleared - 1 } else { self.cleared };
        (self.existing + self.proposed - cleared).max(0)
    }

    fn is_seen(self) -> bool {
        self.existing > 0 || self.proposed > 0
    }
}
