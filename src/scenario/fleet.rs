//! A scenario with a plan, as a family of worlds: one for each fleet and each case.

use std::path::Path;
use std::sync::Arc;

use crate::measure::objective::{Named, Objective, ObjectiveError};
use crate::scenario::Folder;
use crate::scenario::Loaded;
use crate::scenario::Parsed;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::Sources;
use crate::scenario::import::nomad_job;
use crate::scenario::locate;
use crate::scenario::lower;
use crate::scenario::lower::Expectation;
use crate::scenario::lower::Files;
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
        let Some(mut lowered) = lowered else {
            self.point_at_range(choice, text, &mut findings);
            return Err(Box::new(Loaded { lowered, findings, sources }));
        };
        self.set_job_counts(choice, &mut lowered);
        for (at, text) in texts.iter().enumerate() {
            let place = Place { source: self.parsed.source, span: tree.find(&format!("{path}[{at}]")) };
            match Objective::parse(text, &Named::all(&lowered.world.timeline)) {
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

    /// That there are no machines is a matter of the plan, where it chooses none, and not of what the scenario says.
    fn point_at_range(&self, choice: &[usize], text: lower::Text<'_>, findings: &mut [Diagnostic]) {
        let chooses_none = |(vary, option): (&Vary, &usize)| match vary {
            Vary::Count { from, to, step, .. } => numbers(*from, *to, *step).nth(*option) == Some(0),
            Vary::Instance { .. } | Vary::Zones { .. } | Vary::JobCount { .. } => false,
        };
        let Some(at) = self.axes().iter().zip(choice).position(chooses_none) else { return };
        for finding in findings.iter_mut().filter(|finding| finding.code == "E013") {
            let span = text.tree.find(&format!("plan.vary[{at}].from"));
            finding.place = Some(Place { source: text.source, span });
            finding.hint = Some("let `from` be 1 or more, so that every fleet has machines".to_owned());
        }
    }

    /// The path of an edit that no fleet keeps, because the plan chooses that value, and the entry of `plan.vary` that
    /// does, from 0.
    pub fn overridden<'e>(&self, edits: &'e [String]) -> Option<(&'e str, usize)> {
        let tree = locate::scan(&self.sources.get(self.parsed.source).text)?;
        let axes = self.axes().iter().enumerate();
        let chosen: Vec<(usize, String)> =
            axes.flat_map(|(at, vary)| self.paths(vary).into_iter().map(move |path| (at, path))).collect();
        let paths = edits.iter().map(|edit| edit.split_once('=').map_or(edit.as_str(), |(path, _)| path).trim());
        paths.filter(|path| tree.has(path)).find_map(|path| {
            let own = tree.find(path);
            let holds = |whole: std::ops::Range<usize>| whole.start <= own.start && own.end <= whole.end;
            let (at, _) = chosen.iter().find(|(_, chosen)| tree.has(chosen) && holds(tree.find(chosen)))?;
            Some((path, *at))
        })
    }

    /// Where in the scenario the values stand that an entry of `plan.vary` chooses.
    fn paths(&self, vary: &Vary) -> Vec<String> {
        let scenario = &self.parsed.scenario;
        let (clients, region, field) = match vary {
            Vary::Count { clients, region, .. } => (clients, region, "count"),
            Vary::Instance { clients, region, .. } => (clients, region, "instance"),
            Vary::Zones { clients, region, .. } => (clients, region, "zones"),
            Vary::JobCount { job, group, .. } => {
                let jobs = scenario.jobs.iter().enumerate();
                return jobs.flat_map(|(at, source)| self.counts(at, source, job, group.as_deref())).collect();
            }
        };
        let here = scenario
            .regions
            .iter()
            .enumerate()
            .filter(|(_, of)| region.as_ref().is_none_or(|wanted| of.name == *wanted));
        let groups = here.flat_map(|(at, of)| of.clients.iter().flatten().enumerate().map(move |group| (at, group)));
        let chosen = groups.filter(|(_, (_, group))| group_name(group) == clients);
        chosen.map(|(at, (number, _))| format!("regions[{at}].clients[{number}].{field}")).collect()
    }

    /// Where the counts of a job's groups stand in one source of jobs, if that is where the job comes from.
    fn counts(&self, at: usize, source: &schema::JobSource, job: &str, group: Option<&str>) -> Vec<String> {
        let is = |name: &str| group.is_none_or(|wanted| wanted == name);
        match source {
            schema::JobSource::Inline(written) if written.name == job => {
                let groups = written.groups.iter().enumerate().filter(|(_, group)| is(&group.name));
                groups.map(|(number, _)| format!("jobs[{at}].groups[{number}].count")).collect()
            }
            schema::JobSource::FileWith { path, vars, counts, .. } => {
                let text = self.folder.read(path).map(|(_, text)| text).unwrap_or_default();
                let imported = nomad_job::import(&text, vars).0;
                let counts = counts.keys().filter(|name| is(name));
                if imported.is_none_or(|imported| *imported.job.name != *job) {
                    return Vec::new();
                }
                counts.map(|name| format!("jobs[{at}].counts.{name}")).collect()
            }
            schema::JobSource::Inline(_) | schema::JobSource::File(_) => Vec::new(),
        }
    }

    fn axes(&self) -> &[Vary] {
        self.parsed.scenario.plan.as_ref().map_or(&[], |plan| &plan.vary)
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
        for (vary, &option) in self.axes().iter().zip(choice) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "scenarios/plan-zone-loss.ron";

    fn fleets(edits: &[&str]) -> (Fleets, lower::plan::PlanSpec) {
        let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
        let (loaded, fleets) = Fleets::load(Path::new(FILE), &edits);
        (fleets.expect("it parses"), loaded.lowered.expect("no mistakes").plan.expect("it has a plan"))
    }

    #[test]
    fn a_fleet_without_machines_is_shown_where_the_plan_chooses_none() {
        let (fleets, spec) = fleets(&["plan.vary[0].from=0"]);
        let refused = fleets.world(&[0, 0], &spec.cases[0]).expect_err("it has no machines");
        let finding = refused.findings.iter().find(|finding| finding.code == "E013").expect("it is said");
        let place = finding.place.as_ref().expect("it stands somewhere");
        assert_eq!(refused.sources.position(place), "--set:1:19");
        assert!(finding.hint.as_ref().is_some_and(|hint| hint.contains("`from`")), "{finding:?}");
        assert!(fleets.world(&[1, 0], &spec.cases[0]).is_ok());
    }

    #[test]
    fn a_label_may_have_the_values_of_jobs_that_a_case_registers() {
        let register = "RegisterJob(Inline(Job(name: \"late\", priority: 80, datacenters: [\"apps\"], \
                        groups: [Group(name: \"late\", image: \"late:1\")])))";
        let urgent = format!("EvalPriority(priority: 90, of: {register})");
        let crash = "NodeCrash(target: \"1 random clients\")";
        let expect = "plan.expect=[\"placement.preemptions{priority=80} == 0 if exercised\"]";
        for (action, refused) in [(register, 0), (&*urgent, 0), (crash, 1)] {
            let under = format!("plan.under=[Timeline(name: \"late\", entries: [At(\"80s\", {action})])]");
            let (loaded, _) = Fleets::load(Path::new(FILE), &[expect.to_owned(), under]);
            assert_eq!(loaded.errors(), refused, "{action}: {:?}", loaded.findings);
        }
        // Regions are the same in every case.
        let expect = "plan.expect=[\"placement.preemptions{region=mars} == 0 if exercised\"]".to_owned();
        let under = format!("plan.under=[Timeline(name: \"late\", entries: [At(\"80s\", {register})])]");
        assert_eq!(Fleets::load(Path::new(FILE), &[expect, under]).0.errors(), 1);
    }

    #[test]
    fn an_edit_of_what_the_plan_chooses_is_found_however_it_is_written() {
        let vary = "plan.vary=[Count(clients: \"apps\", from: 3, to: 6), JobCount(job: \"shop\", from: 3, to: 6)]";
        for (edit, at) in [
            ("regions[0].clients[0].count=7", Some(0)),
            ("regions[0].clients[00].count=7", Some(0)),
            ("jobs[0].groups[0].count=7", Some(1)),
            ("jobs[0][0].groups[0].count=7", Some(1)),
            ("jobs[0].groups[0].cpu=200 MHz", None),
            ("regions[0].clients[0].instance=m5.xlarge", None),
            ("seeds=3", None),
        ] {
            let (fleets, _) = fleets(&[vary, edit]);
            let edits = [vary.to_owned(), edit.to_owned()];
            let found = fleets.overridden(&edits);
            assert_eq!(found, at.map(|at| (edit.split_once('=').expect("it is an edit").0, at)), "{edit}");
        }
        let file = "jobs=[FileWith(path: \"jobs/api.nomad.hcl\", counts: {\"api\": 3})]";
        let edits = [
            file,
            "plan.vary=[JobCount(job: \"api\", from: 3, to: 6)]",
            "plan.under=[AsWritten]",
            "jobs[0].counts.api=4",
        ]
        .map(str::to_owned);
        let (_, fleets) = Fleets::load(Path::new(FILE), &edits);
        assert_eq!(fleets.expect("it parses").overridden(&edits), Some(("jobs[0].counts.api", 0)));
    }
}
