//! From what is written to what is meant: names become numbers, texts become quantities, defaults are filled in, and
//! everything that cannot be is reported with its place.
//!
//! Lowering goes on after a mistake, with a stand-in for what was wrong, so that all mistakes of a file are said at
//! once; a [`WorldSpec`] comes out only if there are none. Places are named by path (`regions[0].clients[1].count`) and
//! looked up in the scanned text only when there is something to report.

mod routes;
mod naming;
mod events;
mod inline;
mod operators;
mod overrides;
pub mod plan;
mod policies;
mod places;
mod settings;
mod tasks;
mod target;
mod unplaced;
mod wiring;
mod work;

use std::sync::Arc;

use crate::base::id::Id;
use crate::base::id::IdVec;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::base::units::BitsPerSecond;
use crate::base::units::Mebibytes;
use crate::base::units::MegaHertz;
use crate::base::units::MegabitsPerSecond;
use crate::base::units::Ratio;
use crate::measure::bound::Foregone;
use crate::measure::catalogue::Metric;
use crate::measure::labels::LabelValues;
use crate::measure::objective::Named;
use crate::measure::objective::Objective;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::model::topology::ZoneId;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::Severity;
use crate::scenario::diagnostic::SourceId;
use crate::scenario::diagnostic::Sources;
use crate::scenario::locate::Node;
use crate::scenario::parameters;
use crate::scenario::parameters::Parameter;
use crate::scenario::quantity;
use crate::scenario::quantity::QuantityError;
use crate::scenario::schema;
use crate::scenario::suggest;
use crate::scenario::vary::Dimension;
use crate::world::spec::Action;
use crate::world::spec::Entry;
use crate::world::spec::EntryId;
use crate::world::spec::RegionSpec;
use crate::world::spec::WorldSpec;
use crate::world::spec::ZoneSpec;

/// What a scenario means.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The world to build.
    pub world: WorldSpec,
    /// The scenario's `about`.
    pub about: Arc<str>,
    /// How many seeds are run, unless the command line says otherwise; 1..=10 000. The first ones, with a `precision`.
    pub seeds: u32,
    /// When seeds are enough, if more are run until then.
    pub precision: Option<Precision>,
    /// What is expected, in file order.
    pub expectations: Vec<Expectation>,
    /// What `cossim plan` looks for, if the scenario says so.
    pub plan: Option<plan::PlanSpec>,
    /// What a sweep varies unless its command line says: as in `--vary`.
    pub vary: Vec<String>,
    /// Values the results rest on, and where each comes from.
    pub parameters: Vec<Parameter>,
    /// What tells cases apart, unless it is which leaders were hit.
    pub group_by: Option<GroupBy>,
}

/// When seeds are enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision {
    /// Half of the 95 % interval of a mean, of the mean; in 0..1.
    pub half_width: Ratio,
    /// Seeds at most; at least as many as the first ones.
    pub max: u32,
}

/// What tells cases apart.
#[derive(Debug, Clone)]
pub struct GroupBy {
    /// Which leaders were hit.
    pub leaders: bool,
    /// Whether these hold in the run.
    pub facts: Vec<Expectation>,
}

/// One line of `expect`.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// As written.
    pub text: Arc<str>,
    /// As understood.
    pub objective: Objective,
    /// Where it stands.
    pub place: Place,
}

/// Reads the files a scenario names; paths are as written, relative to the scenario.
pub trait Files {
    /// The name for messages and the text, or why there is none.
    fn read(&self, path: &str) -> Result<(String, String), String>;
}

/// Lowers a scenario that parsed. Findings hold warnings if it worked, and at least one error if not.
pub fn lower(
    scenario: &schema::Scenario,
    text: Text<'_>,
    sources: &mut Sources,
    files: &dyn Files,
) -> (Option<Lowered>, Vec<Diagnostic>) {
    let mut lowering =
        Lowering { scenario, text, sources, files, findings: Vec::new(), geography: Geography::default() };
    let lowered = lowering.all();
    // A region that is like another one repeats its mistakes.
    let mut findings: Vec<Diagnostic> = Vec::new();
    lowering.findings.sort_by_key(|finding| finding.severity);
    for finding in lowering.findings {
        if findings.len() == FINDINGS_MAX {
            break;
        }
        let twin = |other: &Diagnostic| {
            other.place == finding.place && other.code == finding.code && other.message == finding.message
        };
        if !findings.iter().any(twin) {
            findings.push(finding);
        }
    }
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    (lowered.filter(|_| !failed), findings)
}

/// The scanned text of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Which source it is.
    pub source: SourceId,
    /// Its tree of spans.
    pub tree: &'a Node,
}

/// Regions, zones and datacenters, found by name.
#[derive(Debug, Default)]
struct Geography {
    regions: IdVec<RegionId, RegionSpec>,
    zones: IdVec<ZoneId, ZoneSpec>,
    /// Nomad datacenters that have machines, by region.
    datacenters: Vec<(RegionId, Arc<str>)>,
}

impl Geography {
    fn region(&self, name: &str) -> Option<RegionId> {
        self.regions.iter().find(|(_, region)| &*region.name == name).map(|(id, _)| id)
    }

    fn zone_in(&self, region: RegionId, name: &str) -> Option<ZoneId> {
        self.regions.get(region)?.zones.iter().copied().find(|zone| &*self.zones[*zone].name == name)
    }

    fn region_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.regions.as_slice().iter().map(|region| &*region.name)
    }

    /// `us-east-1/b`, for messages.
    fn zone_names(&self) -> Vec<String> {
        let full = |zone: &ZoneSpec| format!("{}/{}", self.regions[zone.region].name, zone.name);
        self.zones.as_slice().iter().map(full).collect()
    }
}

/// What objectives speak of.
#[derive(Clone, Copy)]
struct Watched<'a> {
    timeline: &'a IdVec<EntryId, Entry>,
    labels: &'a LabelValues,
}

struct Lowering<'a> {
    scenario: &'a schema::Scenario,
    text: Text<'a>,
    sources: &'a mut Sources,
    files: &'a dyn Files,
    findings: Vec<Diagnostic>,
    geography: Geography,
}

impl Lowering<'_> {
    fn all(&mut self) -> Option<Lowered> {
        let scenario = self.scenario;
        self.name();
        self.lists()?;
        let found = self.findings.len();
        let duration = self.duration("duration", &scenario.duration);
        let warmup = self.duration_or("warmup", scenario.warmup.as_ref(), Duration::ZERO);
        // A duration that is none has been said, and stands for zero.
        if self.findings.len() == found {
            self.length(duration, warmup);
        }
        let machines = self.places()?;
        let network = self.network();
        let roofs = work::roofs(&machines, &self.geography.zones);
        let jobs = self.jobs(&roofs);
        self.fit(&roofs, &jobs);
        self.unplaced(&machines, &jobs);
        let services = self.services(&jobs);
        let ingress = self.ingresses(&jobs);
        let mut traffic = self.traffic(&ingress, warmup, duration);
        for (_, stream) in traffic.iter_mut() {
            let region = ingress.get(stream.ingress.index()).map(|(_, spec)| spec.region);
            let here = jobs.iter().map(|job| &job.spec).filter(|job| Some(job.region) == region);
            if let Some(service) = routes::service_of(here.map(|job| &*job.job), &stream.host, &stream.path) {
                stream.service = service.into();
            }
        }
        let timeline = self.timeline(&machines, &roofs, &jobs, duration);
        let (seeds, precision) = self.seeds();
        let registered = timeline.as_slice().iter().filter_map(|entry| match &entry.action {
            Action::RegisterJob { region, job } => Some((*region, job.clone())),
            _ => None,
        });
        let every_job: Vec<(RegionId, Arc<Job>)> =
            jobs.iter().map(|job| (job.spec.region, job.spec.job.clone())).chain(registered).collect();
        self.overrides(&ingress, &every_job);
        let behaviours = self.behaviours(&every_job);
        let options = self.options();
        let world = WorldSpec {
            name: scenario.name.as_str().into(),
            duration,
            warmup,
            regions: self.geography.regions.clone(),
            zones: self.geography.zones.clone(),
            machines,
            network,
            jobs: jobs.iter().map(|job| job.spec.clone()).collect(),
            services,
            behaviours,
            ingress: ingress.into_iter().map(|(_, spec)| spec).collect(),
            traffic,
            timeline,
            options,
        };
        // Services, classes and the like follow from jobs and machines: a mistake there would be told once more here.
        let follow = if self.failed() { FOLLOWING } else { &[] };
        let labels = LabelValues::of(&world).leaving_open(follow);
        let watched = Watched { timeline: &world.timeline, labels: &labels };
        let expectations = self.objectives("expect", &scenario.expect, watched);
        let group_by = self.group_by(watched);
        let plan = self.plan(&world.machines, &jobs, &labels);
        self.varied();
        Some(Lowered {
            world,
            about: scenario.about.as_str().into(),
            seeds,
            precision,
            expectations,
            plan,
            group_by,
            vary: scenario.vary.clone(),
            parameters: parameters::of(self.text.tree, self.text_of_scenario(), &scenario.sources),
        })
    }

    /// What varies can be read, and `sources` speak of values of the scenario. Whether varied paths lead to something
    /// is seen when a sweep tries them: fields may be left out.
    fn varied(&mut self) {
        for (index, text) in self.scenario.vary.iter().enumerate() {
            let path = format!("vary[{index}]");
            if let Err((error, _)) = Dimension::parse(text) {
                self.error("E100", &path, error.to_string()).hint(error.hint());
            }
        }
        for path in self.scenario.sources.keys() {
            if !parameters::exists(self.text.tree, path) {
                let finding = self.error("E004", "sources", format!("the scenario has nothing at `{path}`"));
                finding.hint(match parameters::ending_alike(path) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "write the path of a value, as for `--set`".to_owned(),
                });
            }
        }
    }

    fn text_of_scenario(&self) -> &str {
        &self.sources.get(self.text.source).text
    }

    /// The name ends up in a path.
    fn name(&mut self) {
        let name = &self.scenario.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || name.starts_with('-') {
            self.error("E015", "name", format!("`{name}` cannot name a scenario"))
                .hint("use 1 to 64 letters, digits, `-` and `_`; it names the report folder");
        }
    }

    /// The seeds that are run first, and when more are enough.
    fn seeds(&mut self) -> (u32, Option<Precision>) {
        let auto = match &self.scenario.seeds {
            schema::Seeds::Count(count) => {
                if *count == 0 || *count > SEEDS_MAX {
                    self.error("E015", "seeds", format!("`seeds` must be within 1..={SEEDS_MAX}"))
                        .hint("20 is a good number to begin with");
                }
                return (*count as u32, None);
            }
            schema::Seeds::Auto(auto) => auto,
        };
        let half_width = match &auto.half_width {
            None => HALF_WIDTH,
            Some(text) => self.quantity("seeds.half_width", quantity::share(&text.0)).get(),
        };
        if half_width <= 0.0 || half_width >= 1.0 {
            self.error("E015", "seeds.half_width", "`half_width` must be above 0% and below 100%")
                .hint("leave it out for 5%");
        }
        let max = self.count("seeds.max", auto.max.unwrap_or(u64::from(AUTO_MAX)), u64::from(FIRST_SEEDS)..=SEEDS_MAX);
        if self.scenario.expect.is_empty() {
            self.error(
                "E015",
                "seeds",
                "`Auto` stops when what is expected is known well enough, and nothing is expected",
            )
            .hint("add an `expect`, or write how many seeds to run");
        }
        let half_width = Ratio::new(half_width).unwrap_or(Ratio::ZERO);
        (FIRST_SEEDS, Some(Precision { half_width, max }))
    }

    fn group_by(&mut self, watched: Watched<'_>) -> Option<GroupBy> {
        let by = self.scenario.group_by.as_ref()?;
        let leaders = by.iter().any(|fact| fact == LEADERS);
        if let Some((at, _)) = by.iter().enumerate().filter(|(_, fact)| *fact == LEADERS).nth(1) {
            self.error("E015", &format!("group_by[{at}]"), format!("`{LEADERS}` is there already"))
                .hint("leave one of the two out");
        }
        let facts = self.objectives("group_by", by, watched);
        let conditional = |fact: &&Expectation| fact.objective.if_exercised || fact.objective.quorum < 1.0;
        if let Some(fact) = facts.iter().find(conditional) {
            let message = "a fact of one run has neither `in N% of seeds` nor `if exercised`";
            self.report(Diagnostic::error("E015", message).at(Some(fact.place.clone())).hint("leave that out"));
        }
        Some(GroupBy { leaders, facts })
    }

    /// Longer lists than anyone writes by hand are refused before anything looks at them; `None` if there is one.
    fn lists(&mut self) -> Option<()> {
        let scenario = self.scenario;
        let zones = scenario.regions.iter().filter_map(|region| region.zones.as_ref()).map(Vec::len).max();
        let clients = scenario.regions.iter().filter_map(|region| region.clients.as_ref()).map(Vec::len).max();
        let lists = [
            ("regions", "regions", scenario.regions.len(), REGIONS_MAX),
            ("regions", "zones in one region", zones.unwrap_or(0), REGIONS_MAX),
            ("regions", "kinds of clients in one region", clients.unwrap_or(0), LIST_MAX),
            ("instances", "instance types", scenario.instances.len(), LIST_MAX),
            ("jobs", "jobs", scenario.jobs.len(), LIST_MAX),
            ("services", "services", scenario.services.len(), LIST_MAX),
            ("tasks", "behaviours", scenario.tasks.len(), LIST_MAX),
            ("ingress", "ingresses", scenario.ingress.len(), LIST_MAX),
            ("traffic", "streams", scenario.traffic.len(), LIST_MAX),
            ("timeline", "entries", scenario.timeline.len(), LIST_MAX),
            ("expect", "expectations", scenario.expect.len(), LIST_MAX),
            ("group_by", "facts", scenario.group_by.as_ref().map_or(0, Vec::len), LIST_MAX),
        ];
        let too_long = lists.into_iter().find(|(_, _, length, most)| length > most);
        let Some((path, what, length, most)) = too_long else { return Some(()) };
        self.error("E006", path, format!("{length} {what} are more than cossim takes ({most})"))
            .hint("leave some of them out");
        None
    }

    fn length(&mut self, duration: Duration, warmup: Duration) {
        if duration.is_zero() {
            self.error("E007", "duration", "a run must take some time: `duration` is zero")
                .hint("write how long, as `10m`");
        } else if duration > DURATION_MAX {
            self.error("E007", "duration", "a run takes at most 30 days").hint("write `30d` or less");
        } else if warmup >= duration {
            self.error("E007", "warmup", format!("the warm-up of {warmup} leaves nothing of the run of {duration}"))
                .hint("make `warmup` shorter than `duration`");
        }
    }

    /// The objectives of a list.
    fn objectives(&mut self, list: &str, texts: &[String], watched: Watched<'_>) -> Vec<Expectation> {
        let Watched { timeline, labels: known } = watched;
        let mut out: Vec<Expectation> = Vec::new();
        for (index, text) in texts.iter().enumerate().filter(|(_, text)| list != "group_by" || *text != LEADERS) {
            let path = format!("{list}[{index}]");
            match Objective::parse(text, &Named::all(timeline)) {
                Ok(objective) => {
                    if list == "expect" {
                        self.watched_too_briefly(&path, &objective, timeline);
                        self.told_beforehand(&path, &objective);
                    }
                    self.strangers(&path, objective.metric, &objective.labels, known);
                    if out.iter().any(|other| other.objective == objective) {
                        self.error("E015", &path, format!("`{text}` is there already"))
                            .hint("leave one of the two out");
                    }
                    let place = self.place(&path);
                    out.push(Expectation { text: text.as_str().into(), objective, place });
                }
                // That there is no such entry follows from a mistake in it, which was said.
                Err(error) if error.missing_entry().is_some_and(|at| at < self.scenario.timeline.len()) => {}
                Err(error) if error.missing_label().is_some_and(|label| self.is_refused(label, timeline)) => {}
                Err(error) => {
                    let finding = self.error("E009", &path, error.to_string());
                    if let Some(hint) = error.hint() {
                        finding.hint(hint);
                    }
                }
            }
        }
        out
    }

    /// Reports values of labels that no series can have.
    fn strangers(&mut self, path: &str, metric: &Metric, labels: &[(String, String)], known: &LabelValues) {
        if let Some(lack) = known.lack(metric) {
            self.error("E004", path, lack).hint("give a region Consul servers, or leave this out");
            return;
        }
        for stranger in known.strangers(metric, labels) {
            let hint = suggest::hint(&stranger.value, stranger.known.iter().map(String::as_str));
            self.error("E004", path, format!("no series of `{}` has `{stranger}`", metric.name)).hint(hint);
        }
    }

    /// Whether an entry that is named by its label is written, and missing because something is wrong with it.
    fn is_refused(&self, label: &str, timeline: &IdVec<EntryId, Entry>) -> bool {
        let mut written = self.scenario.timeline.iter().enumerate();
        written.any(|(index, schema::At(_, action))| {
            let beginning = naming::label_of(action);
            let is_it = beginning.starts_with(label) || label.starts_with(&beginning);
            is_it && !timeline.as_slice().iter().any(|entry| entry.written == index)
        })
    }

    /// Warns of an expectation that every value meets, unless it may be there to ask for one.
    fn told_beforehand(&mut self, path: &str, objective: &Objective) {
        if objective.foregone() == Some(Foregone::Always) && !objective.asks_for_a_value() {
            let message = format!("every value of `{}` meets this bound", objective.metric.name);
            self.warning("W011", path, message).hint(format!("{}: write another bound", objective.values()));
        }
    }

    /// Warns of a bound on what follows a fault that is longer than the rest of the run.
    fn watched_too_briefly(&mut self, path: &str, objective: &Objective, timeline: &IdVec<EntryId, Entry>) {
        let Ok(end) = quantity::duration(&self.scenario.duration.0) else { return };
        if let Some((entry, left)) = objective.outlasts(timeline, end) {
            let message = format!("the run ends {left} after `{}`, sooner than this bound", timeline[entry].label);
            self.warning("W007", path, message).hint("make `duration` longer, so that the bound can be judged in full");
        }
    }

    /// Whether an error was reported.
    fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Where the value at `path` stands.
    fn place(&self, path: &str) -> Place {
        Place { source: self.text.source, span: self.text.tree.find(path) }
    }

    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// Reports an error at `path`; a hint can be added to what is returned.
    fn error(&mut self, code: &'static str, path: &str, message: impl Into<String>) -> Finding<'_> {
        self.finding(Diagnostic::error(code, message), path)
    }

    /// Reports a warning at `path`.
    fn warning(&mut self, code: &'static str, path: &str, message: impl Into<String>) -> Finding<'_> {
        self.finding(Diagnostic::warning(code, message), path)
    }

    fn finding(&mut self, finding: Diagnostic, path: &str) -> Finding<'_> {
        let finding = finding.at(Some(self.place(path)));
        self.report(finding);
        Finding(self.findings.last_mut().expect("one was reported just now"))
    }

    fn unknown<'n>(&mut self, path: &str, what: &str, name: &str, known: impl IntoIterator<Item = &'n str> + Clone) {
        // Looking for a near name among many takes time; beyond what is shown nobody would see it.
        let wanted = self.findings.len() < FINDINGS_MAX;
        let hint = if wanted { suggest::hint(name, known) } else { String::new() };
        self.error("E004", path, format!("there is no {what} `{name}`")).hint(hint);
    }

    fn quantity<T: Default>(&mut self, path: &str, value: Result<T, QuantityError>) -> T {
        value.unwrap_or_else(|error| {
            self.error("E003", path, error.to_string()).hint(error.hint());
            T::default()
        })
    }

    fn duration(&mut self, path: &str, text: &schema::DurationText) -> Duration {
        self.quantity(path, quantity::duration(&text.0))
    }

    fn duration_or(&mut self, path: &str, text: Option<&schema::DurationText>, default: Duration) -> Duration {
        text.map_or(default, |text| self.duration(path, text))
    }

    /// A duration that must not be zero.
    fn span_or(&mut self, path: &str, text: Option<&schema::DurationText>, default: Duration) -> Duration {
        let hint = "write a time such as `1s`, or leave it out";
        let read = |it: &mut Self| it.duration_or(path, text, default);
        self.fitting(path, read, |span| !span.is_zero(), "must be longer than zero", hint)
    }

    /// How often something is done again; not so often that a run never ends.
    fn tick_or(&mut self, path: &str, text: Option<&schema::DurationText>, default: Duration) -> Duration {
        let (message, hint) =
            (format!("must be at least {TICK_MIN}"), format!("leave it out for {default}, which is the real system's"));
        let read = |it: &mut Self| it.span_or(path, text, default);
        self.fitting(path, read, |span| *span >= TICK_MIN, &message, &hint)
    }

    /// A value that fits; what is wrong with it otherwise is said unless something was while it was read.
    fn fitting<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(&mut Self) -> T,
        fits: impl FnOnce(&T) -> bool,
        message: &str,
        hint: &str,
    ) -> T {
        let found = self.findings.len();
        let value = read(self);
        if !fits(&value) && self.findings.len() == found {
            self.error("E015", path, message).hint(hint);
        }
        value
    }

    fn instant_or_zero(&mut self, path: &str, text: Option<&schema::DurationText>) -> Time {
        Time::ZERO + self.duration_or(path, text, Duration::ZERO)
    }

    fn size(&mut self, path: &str, text: &schema::SizeText) -> Mebibytes {
        self.quantity(path, quantity::size(&text.0))
    }

    fn frequency(&mut self, path: &str, text: &schema::FrequencyText) -> MegaHertz {
        self.quantity(path, quantity::frequency(&text.0))
    }

    /// The bandwidth of a machine, which Nomad counts in whole megabits per second: rounded to the nearest, not zero.
    fn bandwidth(&mut self, path: &str, text: &schema::BandwidthText) -> MegabitsPerSecond {
        let read = |it: &mut Self| {
            let bits = it.quantity(path, quantity::bandwidth(&text.0)).get();
            MegabitsPerSecond(bits.saturating_add(500_000) / 1_000_000)
        };
        let hint = "Nomad counts whole megabits; `LinkDegrade` on the timeline makes a link narrower than that";
        self.fitting(path, read, |width| width.get() > 0, "must be at least 1 Mbit/s", hint)
    }

    /// What is left of a link; at least a kilobit per second, so that a message takes seconds and not years.
    fn width(&mut self, path: &str, text: &schema::BandwidthText) -> BitsPerSecond {
        let read = |it: &mut Self| it.quantity(path, quantity::bandwidth(&text.0));
        let hint = "a link that nothing passes is a `Partition`, or one with `loss: \"100%\"`";
        self.fitting(path, read, |width| width.get() >= 1_000, "must be at least 1 kbit/s", hint)
    }

    fn rate(&mut self, path: &str, text: &schema::RateText) -> f64 {
        self.quantity(path, quantity::rate(&text.0))
    }

    fn share_or_zero(&mut self, path: &str, text: Option<&schema::ShareText>) -> Ratio {
        text.map_or(Ratio::ZERO, |text| self.quantity(path, quantity::share(&text.0)))
    }

    /// A count within bounds, as the narrower type.
    fn count(&mut self, path: &str, value: u64, bounds: std::ops::RangeInclusive<u64>) -> u32 {
        if bounds.contains(&value) {
            return u32::try_from(value).expect("bounds of counts fit in 32 bits");
        }
        let (low, high) = (bounds.start(), bounds.end());
        self.error("E006", path, format!("{value} is not within {low}..={high}"))
            .hint(format!("write a whole number from {low} to {high}"));
        u32::try_from(*low).expect("bounds of counts fit in 32 bits")
    }

    /// A number within bounds; NaN is not.
    fn number(&mut self, path: &str, value: f64, bounds: std::ops::RangeInclusive<f64>) -> f64 {
        if bounds.contains(&value) {
            return value;
        }
        let (low, high) = (bounds.start(), bounds.end());
        self.error("E015", path, format!("{} is not within {low}..={high}", short(value)))
            .hint(format!("write a number from {low} to {high}"));
        *low
    }

    /// The named region, or an error.
    fn region(&mut self, path: &str, name: &str) -> Option<RegionId> {
        let region = self.geography.region(name);
        if region.is_none() {
            let names: Vec<String> = self.geography.region_names().map(str::to_owned).collect();
            self.unknown(path, "region", name, names.iter().map(String::as_str));
        }
        region
    }

    /// The named regions; the first of the world if none are named.
    fn regions(&mut self, path: &str, names: Option<&Vec<String>>) -> Vec<RegionId> {
        let Some(names) = names else { return self.geography.regions.ids().take(1).collect() };
        let mut out: Vec<RegionId> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match self.region(&path, name) {
                Some(region) if out.contains(&region) => {
                    self.error("E005", &path, format!("region `{name}` is named twice"))
                        .hint("leave one of the two out");
                }
                Some(region) => out.push(region),
                None => {}
            }
        }
        if names.is_empty() {
            self.error("E015", path, "no region is named").hint("name at least one, or leave `regions` out");
        }
        out
    }
}

/// A number without more digits than anyone reads.
fn short(value: f64) -> String {
    let is_long = value.is_finite() && (value.abs() >= 1e15 || value.abs() < 1e-6) && value.abs() > 0.0;
    if is_long { format!("{value:e}") } else { value.to_string() }
}

/// A finding that was just reported.
struct Finding<'a>(&'a mut Diagnostic);

impl Finding<'_> {
    fn hint(self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

/// Labels whose values follow from jobs, machines and routes.
const FOLLOWING: &[&str] = &["attribute", "class", "pool", "priority", "service", "system"];
/// Machines of all regions.
const MACHINES_MAX: u64 = 100_000;
/// Jobs of all regions at the start.
const JOBS_MAX: usize = 100_000;
/// Allocations of all jobs.
const ALLOCATIONS_MAX: u64 = 10_000_000;
/// What tells cases apart unless a scenario says otherwise.
const LEADERS: &str = "leaders";
/// Seeds that are run before any interval is trusted (Law & Kelton; coverage suffers below ten).
const FIRST_SEEDS: u32 = 10;
/// Half-width that is enough, of the mean (Law & Kelton's γ).
const HALF_WIDTH: f64 = 0.05;
/// Seeds at most, where the scenario leaves that open.
const AUTO_MAX: u32 = 200;
/// Seeds of one run.
const SEEDS_MAX: u64 = 10_000;
/// What is done again and again waits at least this long: hours of it are a million times at most.
const TICK_MIN: Duration = Duration::from_millis(10);
/// Regions, and zones of one: their distances are a table.
const REGIONS_MAX: usize = 256;
/// Entries of any other list.
const LIST_MAX: usize = 10_000;
/// Simulated length.
const DURATION_MAX: Duration = Duration::from_hours(24 * 30);
/// After so many findings the rest is noise.
const FINDINGS_MAX: usize = 200;
