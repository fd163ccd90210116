//! Values that labels of metrics can have in a world. An expectation about another one would wait for it in vain, and
//! with `if exercised` hold for ever.
//!
//! What the products name (triggers, kinds of errors) counts as known whether the world has it or not; what the
//! scenario names (regions, streams, classes) is what this world has, with the jobs its timeline registers. Systems and
//! pools are those of the regions: one without Consul servers has none of Consul.

use std::fmt;
use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::model::evaluation::Trigger;
use crate::model::job::Job;
use crate::world::event::Outcome;
use crate::world::event::Pool;
use crate::world::event::System;
use crate::world::spec::Action;
use crate::world::spec::MachineRole;
use crate::world::spec::WorldSpec;

use super::balance;
use super::catalogue::Metric;
use super::detection;
use super::room;
use super::turnover;

/// Values of labels, by label, in label order.
#[derive(Debug, Clone)]
pub struct LabelValues {
    by_label: OrdMap<&'static str, Vec<String>>,
    /// Service and name of every stream of traffic.
    streams: Vec<Pair>,
    /// System and region of every control plane.
    systems: Vec<Pair>,
    /// Labels that may have any value.
    open: Vec<&'static str>,
}

/// A value of one label, and that of another one which it goes with.
type Pair = (Arc<str>, Arc<str>);

/// A label with a value that no series has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The label.
    pub label: String,
    /// Its value, as written.
    pub value: String,
    /// Values it can have.
    pub known: Vec<String>,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, self.value)
    }
}

impl LabelValues {
    /// Those of a world.
    pub fn of(world: &WorldSpec) -> Self {
        let jobs = jobs(world);
        let regions = world.regions.as_slice().iter().map(|region| region.name.to_string());
        let with_consul = world.regions.iter().filter(|(_, region)| region.has_consul()).map(|(id, _)| id);
        let pools = with_consul.flat_map(|id| [Pool::ConsulLan(id), Pool::ConsulWan]).chain([Pool::NomadWan]);
        let classes = world.machines.as_slice().iter().filter_map(|machine| match &machine.role {
            MachineRole::Client(node) => Some(room::class_label(node).to_string()),
            MachineRole::NomadServer | MachineRole::ConsulServer => None,
        });
        let spreads =
            jobs.iter().flat_map(|job| job.groups.iter().flat_map(|group| &group.spreads).chain(&job.spreads));
        let attributes = spreads.map(|spread| balance::label(&spread.attribute)).chain([balance::ZONE]);
        let errors = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Ok);
        let mut priorities: Vec<u8> = jobs.iter().map(|job| job.priority).collect();
        priorities.sort_unstable();
        let by_label = OrdMap::from([
            ("attribute", distinct(attributes.map(str::to_owned))),
            ("class", distinct(classes)),
            ("dimension", distinct(room::dimensions().map(str::to_owned))),
            ("end", distinct(turnover::ends().map(str::to_owned))),
            ("kind", distinct(errors.map(|outcome| outcome.name().to_owned()))),
            ("pool", distinct(pools.map(|pool| detection::pool_label(pool, world)))),
            ("priority", distinct(priorities.iter().map(u8::to_string))),
            ("region", distinct(regions)),
            ("trigger", distinct(Trigger::ALL.map(|trigger| trigger.to_string()))),
        ]);
        let streams = world.traffic.as_slice().iter().map(|stream| (stream.service.clone(), stream.name.clone()));
        let regions = world.regions.as_slice().iter();
        let systems = regions.flat_map(|region| System::of(region).map(|of| (of.name().into(), region.name.clone())));
        Self { by_label, streams: streams.collect(), systems: systems.collect(), open: Vec::new() }
    }

    /// The same, with nothing known of some labels either: they may have any value.
    #[must_use]
    pub fn leaving_open(mut self, labels: &[&'static str]) -> Self {
        self.open.extend_from_slice(labels);
        self
    }

    /// Why the world has no series of a metric, whatever the labels; `None` if it has some.
    pub fn lack(&self, metric: &Metric) -> Option<String> {
        let is_there = !is_of_consul(metric) || self.systems.iter().any(is_consul);
        (!is_there).then(|| format!("no region has Consul, which `{}` is about", metric.name))
    }

    /// Values of labels that no series of a metric with these labels has. Streams and control planes are looked up by
    /// both of their labels.
    pub fn strangers(&self, metric: &Metric, labels: &[(String, String)]) -> Vec<Stranger> {
        let mut out = Vec::new();
        for (label, value) in labels.iter().filter(|(label, _)| !self.open.contains(&label.as_str())) {
            let known = match label.as_str() {
                "region" if is_of_consul(metric) => {
                    let with_consul = self.systems.iter().filter(|pair| is_consul(pair));
                    distinct(with_consul.map(|(_, region)| region.to_string()))
                }
                label => self.known(label, labels),
            };
            if !known.contains(value) {
                out.push(Stranger { label: label.clone(), value: value.clone(), known });
            }
        }
        out
    }

    /// Values of a label beside the others.
    fn known(&self, label: &str, beside: &[(String, String)]) -> Vec<String> {
        match label {
            "traffic" => distinct(self.streams.iter().map(|(_, name)| name.to_string())),
            "service" => paired(&self.streams, "traffic", beside),
            "system" => paired(&self.systems, "region", beside),
            _ => self.by_label.get(label).cloned().unwrap_or_default(),
        }
    }
}

/// Whether a metric is about Consul alone.
fn is_of_consul(metric: &Metric) -> bool {
    metric.name.starts_with("consul.")
}

fn is_consul((system, _): &Pair) -> bool {
    **system == *System::Consul.name()
}

/// First values of pairs that go with what is said of the `other` label; all, if nothing is, or what nothing goes with.
fn paired(pairs: &[Pair], other: &str, beside: &[(String, String)]) -> Vec<String> {
    let goes_with = |pair: &Pair, wanted: &str| *pair.1 == *wanted;
    let is_known = |wanted: &str| pairs.iter().any(|pair| goes_with(pair, wanted));
    let wanted = beside.iter().find(|(label, value)| label == other && is_known(value)).map(|(_, value)| value);
    let fitting = pairs.iter().filter(|pair| wanted.is_none_or(|wanted| goes_with(pair, wanted)));
    distinct(fitting.map(|(value, _)| value.to_string()))
}

/// Every job, with those the timeline registers.
fn jobs(world: &WorldSpec) -> Vec<&Arc<Job>> {
    let registered = world.timeline.as_slice().iter().filter_map(|entry| match &entry.action {
        Action::RegisterJob { job, .. } => Some(job),
        _ => None,
    });
    world.jobs.as_slice().iter().map(|job| &job.job).chain(registered).collect()
}

/// Each once, at its first place.
fn distinct(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = OrdMap::new();
    values.into_iter().filter(|value| seen.insert(value.clone(), ()).is_none()).collect()
}
