//! A sweep before it runs: the scenario with every file it names, what is varied, and what is read off each run. It
//! holds all that a run needs, so it can be carried to another machine.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::analysis::judge::{judgement, observed, windows};
use crate::analysis::sweep::design::{self, Design, DesignError, Layout};
use crate::analysis::sweep::work::Row;
use crate::base::ordered::OrdMap;
use crate::measure::labels::LabelValues;
use crate::measure::objective::{Named, Objective, Window};
use crate::measure::outcome::Outcome;
use crate::scenario;
use crate::scenario::Loaded;
use crate::scenario::diagnostic::{Diagnostic, Sources};
use crate::scenario::locate;
use crate::scenario::lower::{Files, Lowered};
use crate::scenario::parameters::Parameter;
use crate::scenario::suggest;
use crate::scenario::vary::Dimension;

/// A file a scenario names: its name in messages and its text.
pub type NamedText = (String, String);

/// A sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The scenario file, as it was named.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The files it names, by their path in it.
    pub files: OrdMap<String, NamedText>,
    /// Arguments of `--set`, in order; the same at every point.
    pub edits: Vec<String>,
    /// Arguments of `--vary`, in order.
    pub vary: Vec<String>,
    /// How points are chosen.
    pub design: Design,
    /// Seed of the design.
    pub design_seed: u64,
    /// Seeds that are run at each point.
    pub seeds: Vec<u64>,
    /// Measures besides those of the expectations, as written.
    pub measures: Vec<String>,
}

/// A plan that was looked through: every point is a scenario without mistakes, and all are measured alike.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The plan.
    pub plan: Plan,
    /// What is varied.
    pub dimensions: Vec<Dimension>,
    /// The points.
    pub layout: Layout,
    /// What is read off each run, in order.
    pub readings: Readings,
    /// Name of the scenario.
    pub name: String,
    /// Parameters of the scenario before anything is varied.
    pub parameters: Vec<Parameter>,
    /// Fingerprint of the scenario at each point, in 16 hex digits.
    pub digests: Vec<String>,
    /// Virtual seconds of a run at each point.
    pub lengths_s: Vec<f64>,
}

/// What is read off a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Readings {
    /// One number each, no two of one name.
    pub measures: Vec<Objective>,
    /// Expectations, and which of the measures each is about.
    pub expectations: Vec<(String, Objective, usize)>,
}

/// Why a plan is none.
#[derive(Debug)]
pub enum PlanError {
    /// A `--vary` is not understood.
    Vary(Box<Loaded>),
    /// There are no points.
    Design(DesignError),
    /// The scenario, or a point of it, has mistakes.
    Scenario {
        /// The point, from 0, and how many points there are; `None` for the scenario before anything is varied.
        point: Option<(usize, usize)>,
        /// What was found.
        loaded: Box<Loaded>,
    },
    /// A measure is not understood.
    Measure {
        /// As written.
        text: String,
        /// Why.
        reason: String,
        /// A way out.
        hint: Option<String>,
    },
    /// Points do not measure the same.
    Unlike {
        /// The point, from 0.
        point: usize,
    },
}

impl Plan {
    /// Fills `files` from the folder of the scenario, where they are read now, and checks every point.
    pub fn gather(mut self, threads: Option<usize>) -> Result<Checked, PlanError> {
        let folder = Path::new(&self.file).parent().unwrap_or(Path::new("")).to_owned();
        let recorder = Recorder { folder: scenario::Folder { folder }, seen: Mutex::default() };
        let checked = self.check_with(&recorder, threads)?;
        self.files = recorder.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Checked { plan: self, ..checked })
    }

    /// Checks every point, with the files the plan holds.
    pub fn check(&self, threads: Option<usize>) -> Result<Checked, PlanError> {
        self.check_with(&Carried(&self.files), threads)
    }

    fn check_with<F: Files + Sync>(&self, files: &F, threads: Option<usize>) -> Result<Checked, PlanError> {
        let dimensions = self.dimensions()?;
        let layout = self.design.points(&dimensions, self.seeds.len(), self.design_seed).map_err(PlanError::Design)?;
        // Two paths can lead to one value by different steps, as `timeline[0].zone` and `timeline[0][1].zone`.
        if let Some(tree) = locate::scan(&self.text) {
            let is_within = |path: &str, outer: &str| {
                let (own, other) = (tree.find(path), tree.find(outer));
                tree.has(path) && tree.has(outer) && other.start <= own.start && own.end <= other.end
            };
            design::apart(&dimensions, is_within).map_err(PlanError::Design)?;
        }
        let base = self.load(&[], files);
        let failed =
            |point: Option<(usize, usize)>, loaded: Loaded| PlanError::Scenario { point, loaded: Box::new(loaded) };
        let Some(lowered) = &base.lowered else { return Err(failed(None, base)) };
        let (name, parameters) = (lowered.world.name.to_string(), lowered.parameters.clone());
        let count = layout.values.len();
        let look = |point: usize| -> Result<(Readings, String, f64, Option<PlanError>), PlanError> {
            let loaded = self.load(&edits(&dimensions, &layout.values[point]), files);
            let Some(lowered) = &loaded.lowered else { return Err(failed(Some((point, count)), loaded)) };
            let (readings, lack) = self.readings(lowered)?;
            Ok((readings, loaded.digest(), lowered.world.duration.as_secs_f64(), lack))
        };
        let (readings, ..) = look(0)?;
        let all = in_pool(threads, || (0..count).into_par_iter().map(look).collect::<Result<Vec<_>, PlanError>>())?;
        if let Some(point) = all.iter().position(|(other, ..)| !other.is_like(&readings)) {
            return Err(PlanError::Unlike { point });
        }
        let does_no_point_have_it = all.iter().all(|(.., lack)| lack.is_some());
        let (mut digests, mut lengths_s) = (Vec::new(), Vec::new());
        for (_, digest, length_s, lack) in all {
            match lack {
                Some(lack) if does_no_point_have_it => return Err(lack),
                _ => (digests.push(digest), lengths_s.push(length_s)),
            };
        }
        let plan = self.clone();
        Ok(Checked { plan, dimensions, layout, readings, name, parameters, digests, lengths_s })
    }

    fn dimensions(&self) -> Result<Vec<Dimension>, PlanError> {
        let mut sources = Sources::default();
        let mut dimensions = Vec::new();
        for text in &self.vary {
            match Dimension::parse(text) {
                Ok(dimension) => dimensions.push(dimension),
                Err((error, span)) => {
                    let source = sources.add("--vary", text);
                    let findings = vec![error.finding(source, span)];
                    return Err(PlanError::Vary(Box::new(Loaded { lowered: None, findings, sources })));
                }
            }
        }
        Ok(dimensions)
    }

    fn load(&self, edits: &[String], files: &dyn Files) -> Loaded {
        let mut loaded = scenario::load_varied(&self.file, &self.text, &self.edits, edits, files);
        if loaded.lowered.is_none() {
            point_at_setting(&mut loaded.findings, edits);
            ask_for_whole_numbers(&mut loaded);
        }
        loaded
    }

    /// What is read of this point; also the first measure of which it has no series, and why.
    fn readings(&self, lowered: &Lowered) -> Result<(Readings, Option<PlanError>), PlanError> {
        let entries = Named::all(&lowered.world.timeline);
        let mut readings = Readings { measures: Vec::new(), expectations: Vec::new() };
        for expectation in &lowered.expectations {
            let measure = readings.add(expectation.objective.clone());
            readings.expectations.push((expectation.text.to_string(), expectation.objective.clone(), measure));
        }
        let (known, mut lack) = (LabelValues::of(&lowered.world), None);
        let none_said = self.measures.is_empty() && readings.measures.is_empty();
        let defaults = || DEFAULT_MEASURES.iter().map(|text| (*text).to_owned()).collect();
        for text in if none_said { defaults() } else { self.measures.clone() } {
            let objective = Objective::measure(&text, &entries).map_err(|error| {
                let (reason, hint) = (error.to_string(), error.hint());
                PlanError::Measure { text: text.clone(), reason, hint }
            })?;
            if let Some(reason) = known.lack(objective.metric) {
                let hint = Some("give a region Consul servers".to_owned());
                lack.get_or_insert(PlanError::Measure { text, reason, hint });
            } else if let Some(stranger) = known.strangers(objective.metric, &objective.labels).first() {
                let reason = format!("no series of `{}` has `{stranger}`", objective.metric.name);
                let hint = Some(suggest::hint(&stranger.value, stranger.known.iter().map(String::as_str)));
                return Err(PlanError::Measure { text, reason, hint });
            }
            readings.add(objective);
        }
        Ok((readings, lack))
    }
}

/// What is read where neither expectations nor the command line say.
const DEFAULT_MEASURES: [&str; 4] =
    ["placement.queued max", "failover.replace max", "request.success_ratio value", "request.latency p99"];

/// An unknown field on a varied path gets the path of the setting that was perhaps meant: people know settings by the
/// product's name for them.
fn point_at_setting(findings: &mut [Diagnostic], edits: &[String]) {
    for finding in findings.iter_mut().filter(|finding| finding.message.starts_with("there is no field `")) {
        let Some(field) = finding.message.split('`').nth(1) else { continue };
        // A slip of the pen has its hint already.
        if finding.hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean")) {
            continue;
        }
        let paths = edits.iter().filter_map(|edit| edit.split_once('=')).map(|(path, _)| path);
        let on_it = |path: &&str| path.split(['.', '[', ']']).any(|word| word == field);
        if let Some(known) = paths.filter(on_it).find_map(scenario::parameters::ending_alike) {
            finding.hint = Some(format!("did you mean `{known}`? `cossim list parameters` shows all"));
        }
    }
}

/// A varied value with decimals where a whole number belongs gets a way out: it was perhaps drawn from a range.
fn ask_for_whole_numbers(loaded: &mut Loaded) {
    for finding in loaded.findings.iter_mut().filter(|finding| finding.message.starts_with("a whole number")) {
        let varied = finding.place.as_ref().is_some_and(|place| loaded.sources.position(place).starts_with("--vary:"));
        if varied {
            finding.hint = Some("list whole numbers, or let a range begin and end with them, as `1..4`".to_owned());
        }
    }
}

/// The edits of a point.
pub fn edits(dimensions: &[Dimension], values: &[String]) -> Vec<String> {
    dimensions.iter().zip(values).map(|(dimension, value)| format!("{}={value}", dimension.path)).collect()
}

impl Readings {
    /// The measure of an objective; it is added if none has its name.
    fn add(&mut self, objective: Objective) -> usize {
        let name = objective.measured();
        self.measures.iter().position(|known| known.measured() == name).unwrap_or_else(|| {
            self.measures.push(objective);
            self.measures.len() - 1
        })
    }

    /// Whether they are read off the same things; bounds may differ.
    fn is_like(&self, other: &Self) -> bool {
        let names = |readings: &Self| -> Vec<String> { readings.measures.iter().map(Objective::measured).collect() };
        names(self) == names(other) && self.expectations.len() == other.expectations.len()
    }

    /// What a run came to.
    fn read(&self, run: &Outcome) -> Row {
        let judged = |(_, objective, _): &(String, Objective, usize)| judgement(objective, observed(objective, run));
        Row {
            values: self.measures.iter().map(|measure| observed(measure, run)).collect(),
            judgements: self.expectations.iter().map(judged).collect(),
            violations: run.invariants.iter().map(|law| law.violations).sum(),
            digest: run.digest,
            events: run.events,
        }
    }
}

/// A point, ready to run.
#[derive(Debug)]
pub struct Point {
    lowered: Lowered,
    readings: Readings,
}

impl Checked {
    /// How many runs it has.
    pub fn runs(&self) -> usize {
        self.layout.values.len() * self.plan.seeds.len()
    }

    /// The point and the seed of a run.
    pub fn place(&self, run: usize) -> (usize, u64) {
        (run / self.plan.seeds.len(), self.plan.seeds[run % self.plan.seeds.len()])
    }

    /// A point as a world; it was checked, and loads again as it did then.
    pub fn point(&self, point: usize) -> Point {
        let edits = edits(&self.dimensions, &self.layout.values[point]);
        let loaded = self.plan.load(&edits, &Carried(&self.plan.files));
        assert_eq!(loaded.digest(), self.digests[point], "a point loads as it did when it was checked");
        let lowered = loaded.lowered.expect("a point that was checked has no mistakes");
        let (readings, _) =
            self.plan.readings(&lowered).unwrap_or_else(|error| panic!("it was read before: {error:?}"));
        Point { lowered, readings }
    }

    /// The value of a parameter of the scenario that is varied, if the table of parameters knows it.
    pub fn parameter(&self, path: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.path == path)
    }
}

impl Point {
    /// The world of the point.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// Parts of the run that are measured on their own.
    pub fn windows(&self) -> Vec<Window> {
        let mut all: Vec<Window> = self.readings.measures.iter().map(|measure| measure.window).collect();
        all.extend(windows(&self.lowered.expectations));
        all.retain(|window| *window != Window::Whole);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What a run came to.
    pub fn read(&self, run: &Outcome) -> Row {
        self.readings.read(run)
    }
}

/// The files a plan carries.
struct Carried<'a>(&'a OrdMap<String, NamedText>);

impl Files for Carried<'_> {
    fn read(&self, path: &str) -> Result<NamedText, String> {
        self.0.get(path).cloned().ok_or_else(|| "the plan does not hold it".to_owned())
    }
}

/// Remembers which files were read.
struct Recorder {
    folder: scenario::Folder,
    seen: Mutex<OrdMap<String, NamedText>>,
}

impl Files for Recorder {
    fn read(&self, path: &str) -> Result<NamedText, String> {
        if let Some(known) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(known.clone());
        }
        let read = self.folder.read(path)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), read.clone());
        Ok(read)
    }
}

/// Runs on so many threads, or on as many as there are cores; on this one if there are none to be had.
fn in_pool<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::sweep::testing::plan;

    #[test]
    fn decimals_where_a_whole_number_belongs_have_a_way_out() {
        let vary = ["regions[0].clients[0].count=1..4.4"];
        let error = plan(Design::Latin { points: 3 }, &vary, 1).check(Some(1)).expect_err("machines are whole");
        let PlanError::Scenario { loaded, .. } = error else { panic!("it is a point") };
        let hint = loaded.findings[0].hint.as_deref().expect("there is a way out");
        assert!(hint.contains("`1..4`"), "{:?}", loaded.findings);
    }

    #[test]
    fn what_no_point_measures_is_refused() {
        let mut without = plan(Design::Grid, &["regions[0].clients[0].count=3,4"], 1);
        without.text = r#"Scenario(name: "x", duration: "1m", regions: [Region(name: "r", zones: ["a"],
            consul: Servers(count: 0), clients: [Clients(datacenter: "d", count: 3, instance: "m5.large")])])"#
            .to_owned();
        without.measures = vec!["consul.propagation max".to_owned()];
        let error = without.check(Some(1)).expect_err("there is no Consul");
        let PlanError::Measure { reason, .. } = error else { panic!("it is the measure: {error:?}") };
        assert_eq!(reason, "no region has Consul, which `consul.propagation` is about");
        without.vary = vec!["regions[0].consul.count=0,3".to_owned()];
        assert!(without.check(Some(1)).is_ok(), "one of the two has it");
    }

    #[test]
    fn a_point_without_machines_is_shown_in_what_is_varied() {
        let vary = ["regions[0].clients[0].count=4,0"];
        let error = plan(Design::Grid, &vary, 1).check(Some(1)).expect_err("there are no machines");
        let PlanError::Scenario { point, loaded } = error else { panic!("it is a point") };
        let finding = loaded.findings.iter().find(|finding| finding.code == "E013").expect("it is said");
        let place = finding.place.as_ref().expect("it stands somewhere");
        assert_eq!((point, loaded.sources.position(place).as_str()), (Some((1, 2)), "--vary:1:29"));
    }

    /// The steps differ and the value is one: what the second writes, the first would be told to have been.
    #[test]
    fn one_value_by_two_paths_is_varied_twice() {
        let target =
            |path: &str| format!("{path}=1 random machines of web in us-east-1,2 random machines of web in us-east-1");
        let twice = [target("timeline[0].target"), target("timeline[0][1].target")];
        let vary: Vec<&str> = twice.iter().map(String::as_str).collect();
        let error = plan(Design::Grid, &vary, 1).check(Some(1)).expect_err("one overwrites the other");
        assert!(matches!(&error, PlanError::Design(DesignError::Twice(path)) if path == "timeline[0][1].target"));
    }
}
