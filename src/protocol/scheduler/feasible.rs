//! Which nodes may run a group at all (Nomad `FeasibilityWrapper` and its checkers).
//!
//! Answers are remembered by computed class for the whole attempt, except where a constraint escapes the classes.
//!
//! Left out: volumes of the cluster (CSI). Every node has a bridge network, as clients with the bridge plugin find one;
//! on others a real group with `mode = "bridge"` is not placed, and its evaluation blocks with `missing network`.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::model::constraint::Constraint;
use crate::model::job::{Job, TaskGroup};
use crate::model::node::{Node, NodeNetwork};
use crate::model::resources::PortAsk;
use crate::protocol::scheduler::classes::escapes;
use crate::protocol::scheduler::devices::{Request, has_devices};
use crate::protocol::scheduler::operators::{Operator, Rule, Target};
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
    /// By the rules of another version of the job; those of this one are still to be looked at.
    EligibleBefore,
    Ineligible,
}

/// What was learnt about classes, for the job or for one group.
#[derive(Debug, Default)]
struct Answers {
    /// Some constraint escapes the classes: nothing is remembered.
    escaped: bool,
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

/// What was learnt about classes in one attempt, for the job and for each group by name (Nomad `EvalEligibility`).
#[derive(Debug, Default)]
pub(super) struct Eligibility {
    /// Computed classes met so far, numbered.
    numbers: OrdMap<u64, u32>,
    job: Answers,
    groups: Vec<(Arc<str>, Answers)>,
}

impl Eligibility {
    /// Answers are for this version of the job from now on. Whether constraints escape is looked up for all its groups,
    /// asked about or not. What was learnt stays, that about groups unseen (a quirk); only the job's own rules are held
    /// against classes again that were eligible.
    pub(super) fn set_job(&mut self, job: &Job) {
        self.job.escaped = job.constraints.iter().any(constraint_escapes);
        for answer in self.job.by_class.iter_mut().filter(|answer| **answer == Answer::Eligible) {
            *answer = Answer::EligibleBefore;
        }
        for group in &job.groups {
            let at = self.group(&group.name);
            self.groups[at].1.escaped = constraints(group).any(constraint_escapes);
        }
    }

    /// The place of a group's answers.
    pub(super) fn group(&mut self, name: &Arc<str>) -> usize {
        let known = self.groups.iter().position(|(known, _)| Arc::ptr_eq(known, name) || known == name);
        known.unwrap_or_else(|| {
            self.groups.push((Arc::clone(name), Answers::default()));
            self.groups.len() - 1
        })
    }

    /// The number of a node's class.
    pub(super) fn class(&mut self, entry: &NodeEntry) -> usize {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(entry.class).or_insert(next) as usize
    }

    /// Whether a constraint of the job or of any of its groups escapes the classes.
    pub(super) fn has_escaped(&self) -> bool {
        self.job.escaped || self.groups.iter().any(|(_, answers)| answers.escaped)
    }

    /// Eligibility by class for a blocked evaluation: groups are merged in favour of eligible, then the job decides
    /// where it says no and fills gaps where it says yes (Nomad `EvalEligibility.GetClasses`).
    pub(super) fn by_class(&self) -> OrdMap<u64, bool> {
        let mut merged = OrdMap::new();
        for (class, number) in &self.numbers {
            let number = *number as usize;
            let mut eligible = None;
            for (_, answers) in &self.groups {
                match answers.get(number) {
                    Answer::Eligible | Answer::EligibleBefore => eligible = Some(true),
                    Answer::Ineligible => eligible = Some(eligible.unwrap_or(false)),
                    Answer::Unknown => {}
                }
            }
            match self.job.get(number) {
                Answer::Eligible | Answer::EligibleBefore => eligible = eligible.or(Some(true)),
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

/// A group's drivers, constraints, volumes, devices and networks, read once.
#[derive(Debug, Clone)]
pub(super) struct GroupChecks<'a> {
    group: &'a TaskGroup,
    /// The place of its answers.
    answers: usize,
    /// Constraints of the group, then of its tasks.
    rules: Vec<Rule<'a>>,
    drivers: Vec<&'a str>,
    devices: Vec<Request<'a>>,
}

impl<'a> GroupChecks<'a> {
    pub(super) fn new(group: &'a TaskGroup, classes: &mut Eligibility) -> Self {
        let rules: Vec<Rule<'a>> = constraints(group).map(Rule::of).collect();
        let mut drivers: Vec<&str> = group.tasks.iter().map(|task| &*task.driver).collect();
        drivers.sort_unstable();
        drivers.dedup();
        Self { group, answers: classes.group(&group.name), rules, drivers, devices: Request::all(group) }
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
        if mode == "none" {
            return Ok(());
        }
        let offers = |network: &NodeNetwork| mode == if network.mode.is_empty() { "host" } else { &network.mode };
        if mode != "bridge" && !node.spec.networks.iter().any(offers) {
            return Err(Filtered::Network);
        }
        match ask.ports.iter().position(|port| !port.host_network.is_empty() && !has_host_network(node, port)) {
            Some(at) => Err(Filtered::HostNetwork(at as u16)),
            None => Ok(()),
        }
    }
}

/// Whether the node has the host network a port names, in so many words or by a template.
fn has_host_network(node: &Node, port: &PortAsk) -> bool {
    let mut id_text = String::new();
    let alias = Target::parse(&port.host_network).resolve(node.id, &node.spec, &mut id_text);
    alias.found && node.spec.networks.iter().any(|network| alias.text == Some(&network.alias))
}

fn constraint_escapes(constraint: &Constraint) -> bool {
    escapes(&constraint.left) || escapes(&constraint.right)
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

/// Whether a job with these rules and one of its groups may run on a node, asking each class once. The number of the
/// node's class.
pub(super) fn check(
    classes: &mut Eligibility,
    job: &[Rule<'_>],
    group: &GroupChecks<'_>,
    entry: &NodeEntry,
) -> Result<usize, Filtered> {
    let class = classes.class(entry);
    match classes.job.get(class) {
        Answer::Ineligible => return Err(Filtered::Class),
        Answer::Eligible => {}
        Answer::Unknown | Answer::EligibleBefore => {
            let failed = job.iter().position(|rule| !rule.holds(entry.id, &entry.node.spec));
            classes.job.learn(class, failed.is_none());
            if let Some(at) = failed {
                return Err(Filtered::JobRule(at as u16));
            }
        }
    }
    let answers = &mut classes.groups[group.answers].1;
    match answers.get(class) {
        Answer::Ineligible => Err(Filtered::Class),
        Answer::Eligible | Answer::EligibleBefore => Ok(class),
        Answer::Unknown => {
            let checked = group.check(&entry.node);
            answers.learn(class, checked.is_ok());
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
