//! How evenly groups stand over the values of an attribute, and how often they stand beside themselves.
//!
//! Looked at are the zones, for every group of a service or batch job, and the attributes of `spread` blocks, for the
//! groups they belong to. The evenness of a group of N allocations over the k values that the region's clients have is
//! Pielou's (1966): H / H', where H is the Shannon entropy of its counts and H' the largest that N allocations can
//! reach; 1 is as even as can be, 0 all on one value, and a group of one is even. A spread with targets is even when
//! its counts follow them: 1 - D / ln k, at least 0, where D is the Kullback-Leibler divergence from the targets;
//! values that are no target share what the targets leave, and none is expected to have less than 0.1 %. The level is
//! the mean over groups, weighted by their allocations. Allocations on nodes without the attribute are left out.
//!
//! Sums of c ln c are kept in whole parts of 2^20, so that they are exact after any number of changes.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::math;
use crate::base::ordered::OrdMap;
use crate::base::sorted::search_back;
use crate::base::time::Time;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::model::alloc::Alloc;
use crate::model::constraint::Spread;
use crate::model::job::JobKind;
use crate::model::node::{NodeId, NodeSpec};
use crate::protocol::scheduler::operators::Target;
use crate::world::spec::MachineId;

/// One whole, in the parts sums are kept in.
const ONE: f64 = 1_048_576.0;
/// No value is expected to have less than this share.
const SHARE_MIN: f64 = 0.001;

/// A group of a job, as the recorder numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupNumber(pub(super) u32);

/// The groups of one region.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    /// A machine's zone and node, for those with clients.
    places: OrdMap<MachineId, Place>,
    attributes: Vec<Attribute>,
    /// By group.
    spreads: OrdMap<GroupNumber, Vec<Counts>>,
    /// Groups with their allocations, ascending, by machine.
    beside: IdVec<MachineId, Vec<(GroupNumber, u32)>>,
    violations: Gauge,
    from: Time,
}

/// Where a client machine stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its zone's name.
    pub(super) zone: Arc<str>,
    /// Its node.
    pub(super) node: Arc<NodeSpec>,
    /// Its node's number.
    pub(super) id: NodeId,
}

#[derive(Debug, Clone)]
struct Attribute {
    /// As in metric labels.
    label: String,
    /// Value of each machine that has one.
    of_machine: IdVec<MachineId, Option<usize>>,
    values: Vec<String>,
    /// Sums over groups: parts of evenness times allocations, and allocations.
    even: i64,
    allocs: i64,
    gauge: Gauge,
}

/// How one group stands over one attribute.
#[derive(Debug, Clone)]
struct Counts {
    attribute: usize,
    /// By value; values without allocations are missing.
    by_value: OrdMap<usize, i64>,
    allocs: i64,
    /// Parts of the sum of c ln c.
    spread: i64,
    /// What the targets want.
    wanted: Option<Wanted>,
    /// Parts of what the group adds to the attribute's sum.
    even: i64,
}

/// Parts of -ln of the share of each value, and of the sum of these over allocations.
#[derive(Debug, Clone)]
struct Wanted {
    by_value: Vec<i64>,
    sum: i64,
}

impl Balance {
    /// Nothing placed yet on these machines.
    pub(super) fn new(places: OrdMap<MachineId, Place>, from: Time) -> Self {
        let mut balance = Self {
            places,
            attributes: Vec::new(),
            spreads: OrdMap::new(),
            beside: IdVec::new(),
            violations: Gauge::new(0.0, from),
            from,
        };
        balance.attribute(ZONE);
        balance
    }

    /// An allocation of the group was placed; the first one says what its group wants.
    pub(super) fn add(&mut self, at: Time, group: GroupNumber, alloc: &Alloc, machine: MachineId) {
        if !matches!(alloc.job.kind, JobKind::Service | JobKind::Batch) {
            return;
        }
        if !self.spreads.contains_key(&group) {
            let spreads = self.spreads_of(alloc);
            self.spreads.insert(group, spreads);
        }
        self.change(at, group, machine, 1);
    }

    /// An allocation of the group gave its place back. One that never counted does not count.
    pub(super) fn remove(&mut self, at: Time, group: GroupNumber, machine: MachineId) {
        if self.spreads.contains_key(&group) {
            self.change(at, group, machine, -1);
        }
    }

    fn spreads_of(&mut self, alloc: &Alloc) -> Vec<Counts> {
        let mut counts = vec![Counts::new(self.attribute(ZONE), None)];
        let group = alloc.task_group();
        let mut seen: Vec<&str> = Vec::new();
        // A group's spread over an attribute stands before its job's (Nomad `computeSpreadInfo`).
        for spread in group.spreads.iter().chain(&alloc.job.spreads) {
            if !seen.contains(&spread.attribute.as_str()) {
                seen.push(&spread.attribute);
                let attribute = self.attribute(&spread.attribute);
                let wanted = Wanted::new(spread, &self.attributes[attribute].values);
                counts.push(Counts::new(attribute, wanted));
            }
        }
        counts
    }

    /// The number of an attribute, new if need be.
    fn attribute(&mut self, text: &str) -> usize {
        let label = label(text).to_owned();
        if let Some(known) = self.attributes.iter().position(|attribute| attribute.label == label) {
            return known;
        }
        let (mut values, mut of_machine) = (Vec::new(), OrdMap::new());
        for (machine, place) in &self.places {
            let mut id_text = String::new();
            let resolved = Target::parse(text).resolve(place.id, &place.node, &mut id_text);
            let found = resolved.text.filter(|_| resolved.found);
            let value = if text == ZONE { Some(&*place.zone) } else { found };
            if let Some(value) = value {
                of_machine.insert(*machine, value.to_owned());
                values.push(value.to_owned());
            }
        }
        values.sort();
        values.dedup();
        let number = |value: String| values.binary_search(&value).expect("every value is in the list");
        let mut numbers = IdVec::new();
        for (machine, value) in of_machine {
            *numbers.get_or_default(machine) = Some(number(value));
        }
        let gauge = Gauge::new(1.0, self.from);
        self.attributes.push(Attribute { label, of_machine: numbers, values, even: 0, allocs: 0, gauge });
        self.attributes.len() - 1
    }

    fn change(&mut self, at: Time, group: GroupNumber, machine: MachineId, sign: i64) {
        for counts in self.spreads.get_mut(&group).expect("only known groups change") {
            let attribute = &mut self.attributes[counts.attribute];
            let Some(&Some(value)) = attribute.of_machine.get(machine) else { continue };
            attribute.even -= counts.even;
            counts.change(value, sign, attribute.values.len());
            attribute.even += counts.even;
            attribute.allocs += sign;
            let even = if attribute.allocs > 0 { attribute.even as f64 / ONE / attribute.allocs as f64 } else { 1.0 };
            attribute.gauge.set(at, even);
        }
        let beside = self.beside.get_or_default(machine);
        match (search_back(beside, |(known, _)| known.cmp(&group)), sign) {
            (Ok(place), 1) => {
                beside[place].1 += 1;
                self.violations.add(at, 1.0);
            }
            (Err(place), 1) => beside.insert(place, (group, 1)),
            (Ok(place), _) if beside[place].1 > 1 => {
                beside[place].1 -= 1;
                self.violations.add(at, -1.0);
            }
            (Ok(place), _) => {
                beside.remove(place);
            }
            (Err(_), _) => {}
        }
    }

    /// Writes the metrics.
    pub(super) fn finish(self, now: Time, region: &str, metrics: &mut Metrics) {
        let level = |unit, gauge: Gauge| Value::Level { unit, summary: gauge.finish(now) };
        for attribute in self.attributes {
            let labels = [("attribute", &*attribute.label), ("region", region)];
            metrics.put("placement.evenness", &labels, level("ratio", attribute.gauge));
        }
        let labels = [("region", region)];
        metrics.put("placement.anti_affinity_violations", &labels, level("allocs", self.violations));
    }
}

/// The attribute that is always looked at; it is the cloud's, and no target of Nomad's is spelt so.
pub(super) const ZONE: &str = "zone";

/// An attribute as in metric labels: `node.datacenter` for `${node.datacenter}`.
pub(super) fn label(attribute: &str) -> &str {
    attribute.trim_start_matches("${").trim_end_matches('}')
}

impl Counts {
    fn new(attribute: usize, wanted: Option<Wanted>) -> Self {
        Self { attribute, by_value: OrdMap::new(), allocs: 0, spread: 0, wanted, even: 0 }
    }

    fn change(&mut self, value: usize, sign: i64, values: usize) {
        let count = self.by_value.entry(value).or_default();
        self.spread -= times_ln(*count);
        *count += sign;
        self.spread += times_ln(*count);
        if *count == 0 {
            self.by_value.remove(&value);
        }
        self.allocs += sign;
        if let Some(wanted) = &mut self.wanted {
            wanted.sum += sign * wanted.by_value[value];
        }
        self.even = (self.evenness(values) * self.allocs as f64 * ONE) as i64;
    }

    /// In 0..=1, over this many values.
    fn evenness(&self, values: usize) -> f64 {
        if values < 2 || self.allocs < 2 && self.wanted.is_none() || self.allocs == 0 {
            return 1.0;
        }
        let (allocs, all) = (self.allocs as f64, times_ln(self.allocs));
        let evenness = match &self.wanted {
            Some(wanted) => {
                let divergence = (self.spread + wanted.sum - all) as f64 / ONE / allocs;
                1.0 - divergence / math::ln(values as f64)
            }
            None => {
                let (each, more) = (self.allocs / values as i64, self.allocs % values as i64);
                let best = more * times_ln(each + 1) + (values as i64 - more) * times_ln(each);
                (all - self.spread) as f64 / (all - best) as f64
            }
        };
        evenness.clamp(0.0, 1.0)
    }
}

impl Wanted {
    /// `None` for a spread without targets.
    fn new(spread: &Spread, values: &[String]) -> Option<Self> {
        if spread.targets.is_empty() {
            return None;
        }
        let target = |value: &String| spread.targets.iter().find(|target| target.value == *value);
        let named: f64 = spread.targets.iter().map(|target| f64::from(target.percent) / 100.0).sum();
        let others = values.iter().filter(|value| target(value).is_none()).count();
        let rest = (1.0 - named).max(0.0) / others.max(1) as f64;
        let share = |value: &String| target(value).map_or(rest, |target| f64::from(target.percent) / 100.0);
        let parts = |share: f64| (-math::ln(share.max(SHARE_MIN)) * ONE) as i64;
        Some(Self { by_value: values.iter().map(|value| parts(share(value))).collect(), sum: 0 })
    }
}

/// Parts of c ln c.
fn times_ln(count: i64) -> i64 {
    if count < 2 { 0 } else { (count as f64 * math::ln(count as f64) * ONE) as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::constraint::SpreadTarget;

    /// Evenness of these counts over as many values, plus the empty ones.
    fn check(targets: &[(&str, u8)], counts: [i64; 3], expected: f64) {
        let values = ["a", "b", "c"].map(str::to_owned);
        let targets = targets.iter().map(|&(value, percent)| SpreadTarget { value: value.into(), percent }).collect();
        let spread = Spread { attribute: "${node.datacenter}".into(), weight: 50, targets };
        let mut group = Counts::new(0, Wanted::new(&spread, &values));
        // More come than stay: the sums must be exact after both.
        for (value, count) in counts.into_iter().enumerate() {
            (0..count + 7).for_each(|_| group.change(value, 1, 3));
        }
        (0..21).for_each(|drop| group.change(drop % 3, -1, 3));
        let found = group.evenness(3);
        assert!((found - expected).abs() < 1e-4, "{counts:?}: {found} instead of {expected}");
    }

    #[test]
    fn evenness_is_entropy_over_the_largest_possible() {
        check(&[], [4, 4, 4], 1.0);
        check(&[], [9, 0, 0], 0.0);
        // Four over three values is as even as four can be at two, one and one.
        check(&[], [2, 1, 1], 1.0);
        check(&[], [1, 0, 0], 1.0);
        // H = ln 2, H' = ln 3.
        check(&[], [3, 3, 0], 0.630_93);
    }

    #[test]
    fn with_targets_evenness_is_closeness_to_them() {
        check(&[("a", 50), ("b", 25)], [4, 2, 2], 1.0);
        // D = ln 2, over ln 3.
        check(&[("a", 50), ("b", 25)], [8, 0, 0], 1.0 - 0.630_93);
        check(&[("a", 1)], [8, 0, 0], 0.0);
    }
}
