//! Which nodes may run a group at all (Nomad `FeasibilityWrapper` and its checkers).
//!
//! Answers are remembered by computed class for the whole attempt, except where a constraint escapes the classes.
//! Left out: volumes of the cluster (CSI).

use crate::base::ordered::OrdMap;
use crate::model::constraint::Constraint;
use crate::model::job::{Job, TaskGroup};
use crate::model::node::{Node, NodeNetwork};
use crate::protocol::scheduler::devices::{Request, has_devices};
use crate::protocol::scheduler::operators::{Operator, Rule};
use crate::protocol::scheduler::state::NodeEntry;

/// Why a node was filtered out. Indexes are into the lists of the job or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filtered {
    Class,
    JobRule(u16),
    GroupRule(u16),
    Drivers,
    Volumes,
    Devices,
    Network,
    HostNetwork(u16),
    DistinctHosts,
    /// A property set by number.
    MissingProperty(u32),
    /// A property set by number, its value, its use.
    DistinctProperty(u32, u32, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Answer {
    #[default]
    Unknown,
    Eligible,
    Ineligible,
}

/// What was learnt about classes, for the job or for one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    /// Some constraint escapes the classes: nothing is remembered.
    pub(super) escaped: bool,
    by_class: Vec<Answer>,
}

impl Answers {
    fn get(&self, class: usize) -> Answer {
        if self.escaped { Answer::Unknown } else { self.by_class.get(class).copied().unwrap_or_default() }
    }

    fn learn(&mut self, class: usize, eligible: bool) {
        if self.escaped {
            return;
        }
        if self.by_class.len() <= class {
            self.by_class.resize(class + 1, Answer::Unknown);
        }
        self.by_class[class] = if eligible { Answer::Eligible } else { Answer::Ineligible };
    }
}

/// Computed classes met so far, numbered.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    numbers: OrdMap<u64, u32>,
}

impl Classes {
    /// The number of a node's class.
    pub(super) fn of(&mut self, entry: &NodeEntry) -> usize {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(entry.class).or_insert(next) as usize
    }

    /// Eligibility by class for a blocked evaluation: groups are merged in favour of eligible, then the job decides
    /// where it says no and fills gaps where it says yes (Nomad `EvalEligibility.GetClasses`).
    pub(super) fn eligibility<'g>(
        &self,
        job: &Answers,
        groups: impl Iterator<Item = &'g Answers>,
    ) -> OrdMap<u64, bool> {
        let mut merged = OrdMap::new();
        let groups: Vec<&Answers> = groups.collect();
        for (class, number) in &self.numbers {
            let number = *number as usize;
            let mut eligible = None;
            for answers in &groups {
                match answers.get(number) {
                    Answer::Eligible => eligible = Some(true),
                    Answer::Ineligible => eligible = Some(eligible.unwrap_or(false)),
                    Answer::Unknown => {}
                }
            }
            match job.get(number) {
                Answer::Eligible => eligible = eligible.or(Some(true)),
                Answer::Ineligible => eligible = Some(false),
                Answer::Unknown => {}
            }
            if let Some(eligible) = eligible {
                merged.insert(*class, eligible);
            }
        }
        merged
    }
}

/// A job's constraints, read once.
#[derive(Debug, Clone)]
pub(super) struct JobChecks<'a> {
    rules: Vec<Rule<'a>>,
    pub(super) answers: Answers,
}

impl<'a> JobChecks<'a> {
    pub(super) fn new(job: &'a Job) -> Self {
        let rules: Vec<Rule<'a>> = job.constraints.iter().map(Rule::of).collect();
        let escaped = rules.iter().any(|rule| rule.escapes);
        Self { rules, answers: Answers { escaped, ..Answers::default() } }
    }
}

/// A group's drivers, constraints, volumes, devices and networks, read once.
#[derive(Debug, Clone)]
pub(super) struct GroupChecks<'a> {
    group: &'a TaskGroup,
    /// Constraints of the group, then of its tasks.
    rules: Vec<Rule<'a>>,
    drivers: Vec<&'a str>,
    devices: Vec<Request<'a>>,
    pub(super) answers: Answers,
}

impl<'a> GroupChecks<'a> {
    pub(super) fn new(group: &'a TaskGroup) -> Self {
        let rules: Vec<Rule<'a>> = constraints(group).map(Rule::of).collect();
        let mut drivers: Vec<&str> = group.tasks.iter().map(|task| &*task.driver).collect();
        drivers.sort_unstable();
        drivers.dedup();
        let escaped = rules.iter().any(|rule| rule.escapes);
        Self { group, rules, drivers, devices: Request::all(group), answers: Answers { escaped, ..Answers::default() } }
    }

    fn check(&self, node: &Node) -> Result<(), Filtered> {
        let spec = &node.spec;
        if !self.drivers.iter().all(|driver| has_driver(node, driver)) {
            return Err(Filtered::Drivers);
        }
        if let Some(at) = self.rules.iter().position(|rule| !rule.holds(node.id, spec)) {
            return Err(Filtered::GroupRule(at as u16));
        }
        let offered = |(source, read_only): &(String, bool)| {
            spec.host_volumes.get(source).is_some_and(|node_read_only| !node_read_only || *read_only)
        };
        if !self.group.volumes.iter().all(offered) {
            return Err(Filtered::Volumes);
        }
        if !has_devices(spec, &self.devices) {
            return Err(Filtered::Devices);
        }
        self.check_network(node)
    }

    fn check_network(&self, node: &Node) -> Result<(), Filtered> {
        let Some(ask) = self.group.networks.first() else { return Ok(()) };
        let mode = if ask.mode.is_empty() { "host" } else { &ask.mode };
        let offers = |network: &NodeNetwork| mode == if network.mode.is_empty() { "host" } else { &network.mode };
        // Every client since 0.12 has a bridge, and none is nowhere to be found.
        if !matches!(mode, "bridge" | "none") && !node.spec.networks.iter().any(offers) {
            return Err(Filtered::Network);
        }
        let known = |alias: &str| alias.is_empty() || node.spec.networks.iter().any(|network| network.alias == alias);
        match ask.ports.iter().position(|port| !known(&port.host_network)) {
            Some(at) => Err(Filtered::HostNetwork(at as u16)),
            None => Ok(()),
        }
    }
}

/// Constraints of a group, then of its tasks.
pub(super) fn constraints(group: &TaskGroup) -> impl Iterator<Item = &Constraint> {
    group.constraints.iter().chain(group.tasks.iter().flat_map(|task| &task.constraints))
}

fn has_driver(node: &Node, driver: &str) -> bool {
    if node.spec.drivers.iter().any(|known| known == driver) {
        return true;
    }
    // Clients before 0.9 only set an attribute.
    let legacy = node.spec.attributes.get(&format!("driver.{driver}"));
    legacy.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"))
}

/// Whether a job and one of its groups may run on a node, asking each class once. The number of the node's class.
pub(super) fn check(
    classes: &mut Classes,
    job: &mut JobChecks<'_>,
    group: &mut GroupChecks<'_>,
    entry: &NodeEntry,
) -> Result<usize, Filtered> {
    let class = classes.of(entry);
    match job.answers.get(class) {
        Answer::Ineligible => return Err(Filtered::Class),
        Answer::Eligible => {}
        Answer::Unknown => {
            let failed = job.rules.iter().position(|rule| !rule.holds(entry.id, &entry.node.spec));
            job.answers.learn(class, failed.is_none());
            if let Some(at) = failed {
                return Err(Filtered::JobRule(at as u16));
            }
        }
    }
    match group.answers.get(class) {
        Answer::Ineligible => Err(Filtered::Class),
        Answer::Eligible => Ok(class),
        Answer::Unknown => {
            let checked = group.check(&entry.node);
            group.answers.learn(class, checked.is_ok());
            checked.map(|()| class)
        }
    }
}

/// Whether a list of constraints has `distinct_hosts`. Its value is ignored unless `honour_value`.
pub(super) fn has_distinct_hosts(list: &[Constraint], honour_value: bool) -> bool {
    list.iter().any(|constraint| {
        Operator::parse(&constraint.operator) == Operator::DistinctHosts
            && !(honour_value && matches!(constraint.right.as_str(), "false" | "False" | "FALSE" | "f" | "F" | "0"))
    })
}

/// The rule texts of a filtered node, as Nomad counts them.
pub(super) fn constraint_text(constraint: &Constraint) -> String {
    format!("{} {} {}", constraint.left, constraint.operator, constraint.right)
}
