//! A scenario with a plan, as a family of worlds: one for each fleet and each case.

use std::path::Path;
use std::sync::Arc;

use crate::measure::objective::{Objective, ObjectiveError};
use crate::scenario::Folder;
use crate::scenario::Loaded;
use crate::scenario::Parsed;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::Sources;
use crate::scenario::locate;
use crate::scenario::lower;
use crate::scenario::lower::Expectation;
use crate::scenario::lower::Lowered;
use crate::scenario::lower::plan::group_name;
use crate::scenario::lower::plan::numbers;
use crate::scenario::lower::plan::price_of;
use crate::scenario::schema;
use crate::scenario::schema::Vary;

/// What a fleet costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bill {
    /// Machines, servers included.
    pub nodes: u64,
    /// Millionths of a dollar per hour; zero for machines without a price.
    pub micros_per_hour: u64,
}

/// Builds worlds of a planned scenario.
#[derive(Debug)]
pub struct Fleets {
    parsed: Parsed,
    folder: Folder,
    sources: Sources,
}

impl Fleets {
    /// Loads a scenario, its plan included; without findings that are errors there are fleets.
    pub fn load(path: &Path, edits: &[String]) -> (Loaded, Option<Self>) {
        let (mut loaded, parsed) = crate::scenario::load_parsed(path, edits);
        let plan = loaded.lowered.as_mut().and_then(|lowered| lowered.plan.as_mut());
        let ambiguous = plan.map(|plan| std::mem::take(&mut plan.ambiguous)).unwrap_or_default();
        if !ambiguous.is_empty() {
            loaded.findings.extend(ambiguous);
            loaded.lowered = None;
        }
        let folder = Folder { folder: path.parent().unwrap_or(Path::new("")).to_owned() };
        let sources = loaded.sources.clone();
        (loaded, parsed.map(|parsed| Self { parsed, folder, sources }))
    }

    /// How the plan searches.
    pub fn search(&self) -> schema::Search {
        self.parsed.scenario.plan.as_ref().map_or_else(schema::Search::default, |plan| plan.search)
    }

    /// What the plan makes small.
    pub fn minimise(&self) -> schema::Minimise {
        self.parsed.scenario.plan.as_ref().map_or_else(schema::Minimise::default, |plan| plan.minimise)
    }

    /// Whether the plan asks by how much traffic may grow.
    pub fn headroom(&self) -> bool {
        self.parsed.scenario.plan.as_ref().is_some_and(|plan| plan.headroom)
    }

    /// What a choice of options costs, per axis in order.
    pub fn bill(&self, choice: &[usize]) -> Bill {
        let scenario = self.chosen(choice);
        let mut bill = Bill { nodes: 0, micros_per_hour: 0 };
        let mut add = |count: u64, instance: &str| {
            bill.nodes = bill.nodes.saturating_add(count);
            let price = price_of(&scenario, instance).unwrap_or(0);
            bill.micros_per_hour = bill.micros_per_hour.saturating_add(price.saturating_mul(count));
        };
        let default = schema::Servers::default();
        for region in &scenario.regions {
            for servers in [
                inherited(&scenario, region, |region| region.nomad.as_ref()),
                inherited(&scenario, region, |region| region.consul.as_ref()),
            ] {
                let servers = servers.unwrap_or(&default);
                add(servers.count, &servers.instance);
            }
            for clients in inherited(&scenario, region, |region| region.clients.as_ref()).into_iter().flatten() {
                add(clients.count, &clients.instance);
            }
        }
        bill
    }

    /// The world of a choice in a case. What cannot be is said as of any scenario.
    pub fn world(&self, choice: &[usize], case: &lower::plan::Case) -> Result<Lowered, Box<Loaded>> {
        let mut scenario = self.chosen(choice);
        scenario.timeline.extend(case.entries.iter().cloned());
        if let Some((region, zone)) = &case.leader {
            let default = schema::Servers::default();
            let of = scenario.regions.iter().find(|known| known.name == *region);
            let servers = of.and_then(|of| inherited(&scenario, of, |region| region.nomad.as_ref()));
            let servers = schema::Servers { first_leader: Some(zone.clone()), ..servers.unwrap_or(&default).clone() };
            if let Some(of) = scenario.regions.iter_mut().find(|known| known.name == *region) {
                of.nomad = Some(servers);
            }
        }
        let planned = scenario.plan.take().map(|plan| plan.expect).filter(|expect| !expect.is_empty());
        let (texts, path) = match planned {
            Some(texts) => (texts, "plan.expect"),
            None => (std::mem::take(&mut scenario.expect), "expect"),
        };
        scenario.expect.clear();
        let mut sources = self.sources.clone();
        let tree = locate::scan(&sources.get(self.parsed.source).text).expect("it was scanned when it was loaded");
        let text = lower::Text { source: self.parsed.source, tree: &tree };
        let (lowered, mut findings) = lower::lower(&scenario, text, &mut sources, &self.folder);
        let Some(mut lowered) = lowered else { return Err(Box::new(Loaded { lowered, findings, sources })) };
        self.set_job_counts(choice, &mut lowered);
        let labels: Vec<&str> = lowered.world.timeline.as_slice().iter().map(|entry| &*entry.label).collect();
        for (at, text) in texts.iter().enumerate() {
            let place = Place { source: self.parsed.source, span: tree.find(&format!("{path}[{at}]")) };
            match Objective::parse(text, &labels) {
                Ok(objective) => {
                    lowered.expectations.push(Expectation { text: text.as_str().into(), objective, place });
                }
                // One about an entry of another case has nothing to say here.
                Err(ObjectiveError::UnknownEntry { .. }) => {}
                Err(error) => {
                    findings.push(lower::plan::of_case(&error, &case.name, path == "plan.expect", place));
                    return Err(Box::new(Loaded { lowered: None, findings, sources }));
                }
            }
        }
        Ok(lowered)
    }

    /// The scenario with the machines of a choice.
    fn chosen(&self, choice: &[usize]) -> schema::Scenario {
        let mut scenario = self.parsed.scenario.clone();
        let axes = scenario.plan.as_ref().map(|plan| plan.vary.clone()).unwrap_or_default();
        for (vary, &option) in axes.iter().zip(choice) {
            let (clients, region) = match vary {
                Vary::Count { clients, region, .. }
                | Vary::Instance { clients, region, .. }
                | Vary::Zones { clients, region, .. } => (clients, region),
                Vary::JobCount { .. } => continue,
            };
            let here = |of: &&mut schema::Region| region.as_ref().is_none_or(|wanted| of.name == *wanted);
            let groups = scenario.regions.iter_mut().filter(here).flat_map(|of| of.clients.iter_mut().flatten());
            for group in groups.filter(|group| group_name(group) == clients) {
                match vary {
                    Vary::Count { from, to, step, .. } => {
                        group.count = numbers(*from, *to, *step).nth(option).unwrap_or(*to);
                    }
                    Vary::Instance { among, .. } => group.instance.clone_from(&among[option]),
                    Vary::Zones { among, .. } => group.zones = Some(among[option].clone()),
                    Vary::JobCount { .. } => {}
                }
            }
        }
        scenario
    }

    fn set_job_counts(&self, choice: &[usize], lowered: &mut Lowered) {
        let axes = self.parsed.scenario.plan.as_ref().map_or(&[] as &[Vary], |plan| &plan.vary);
        for (vary, &option) in axes.iter().zip(choice) {
            let Vary::JobCount { job, group, from, to, step } = vary else { continue };
            let count = numbers(*from, *to, *step).nth(option).unwrap_or(*to);
            for (_, spec) in lowered.world.jobs.iter_mut().filter(|(_, spec)| *spec.job.name == **job) {
                let of = Arc::make_mut(&mut spec.job);
                let is = |name: &str| group.as_ref().is_none_or(|wanted| **wanted == *name);
                for group in of.groups.iter_mut().filter(|known| is(&known.name)) {
                    group.count = u32::try_from(count).unwrap_or(u32::MAX);
                }
            }
        }
    }
}

/// What a region says, or the region it is like.
fn inherited<'a, T>(
    scenario: &'a schema::Scenario,
    region: &'a schema::Region,
    part: impl Fn(&'a schema::Region) -> Option<&'a T>,
) -> Option<&'a T> {
    let mut at = region;
    // A chain is no longer than there are regions; circles were refused.
    for _ in 0..=scenario.regions.len() {
        if let Some(found) = part(at) {
            return Some(found);
        }
        at = scenario.regions.iter().find(|other| at.like.as_ref() == Some(&other.name))?;
    }
    None
}
