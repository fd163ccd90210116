//! The `plan:` block: whether what it says can be, and every case it asks for.

use super::LIST_MAX;
use super::Lowering;
use super::naming::label_of;
use crate::base::id::IdVec;
use crate::base::time::Duration;
use crate::measure::labels::LabelValues;
use crate::measure::objective;
use crate::measure::objective::Named;
use crate::measure::objective::Objective;
use crate::measure::objective::ObjectiveError;
use crate::model::topology::RegionId;
use crate::model::topology::ZoneId;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::library::instance;
use crate::scenario::quantity;
use crate::scenario::schema;
use crate::scenario::schema::Leaders;
use crate::scenario::schema::Under;
use crate::scenario::schema::Vary;
use crate::world::spec::MachineId;
use crate::world::spec::MachineSpec;

/// What is looked for, checked.
#[derive(Debug, Clone)]
pub struct PlanSpec {
    /// What may change, in file order.
    pub axes: Vec<Axis>,
    /// What befalls each fleet.
    pub cases: Vec<Case>,
    /// Chance that the answer is right, in 0..1.
    pub confidence: f64,
    /// Share of runs that hold everything, at least, in 0..1.
    pub holds_in: f64,
    /// Nines of good answers to look for besides.
    pub nines: u32,
    /// Expectations that could be about several entries of a case: the plan cannot be carried out, all else can.
    pub ambiguous: Vec<Diagnostic>,
}

/// One thing that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What it is called: `private-services machines`.
    pub name: String,
    /// What it may be, as text.
    pub options: Vec<String>,
    /// More of it never does harm, so that what fails with some fails with less.
    pub ordered: bool,
}

/// What befalls a fleet in one kind of run.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// `zone us-east-1/b lost, leader in a`.
    pub name: String,
    /// Entries besides the scenario's.
    pub entries: Vec<schema::At>,
    /// Region and zone in which the Nomad leader starts.
    pub leader: Option<(String, String)>,
}

/// Whether two entries change one and the same thing. What names no region means all that have it.
fn is_same_axis(a: &Vary, b: &Vary) -> bool {
    let meet = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    match (a, b) {
        (Vary::Count { clients: a, region: of, .. }, Vary::Count { clients: b, region: other, .. })
        | (Vary::Instance { clients: a, region: of, .. }, Vary::Instance { clients: b, region: other, .. })
        | (Vary::Zones { clients: a, region: of, .. }, Vary::Zones { clients: b, region: other, .. }) => {
            a == b && meet(of, other)
        }
        (Vary::JobCount { job: a, group: of, .. }, Vary::JobCount { job: b, group: other, .. }) => {
            a == b && meet(of, other)
        }
        _ => false,
    }
}

/// Whether two entries are the same cases, whatever they are called.
fn is_same_case(a: &Under, b: &Under) -> bool {
    match (a, b) {
        (Under::Timeline { entries: a, .. }, Under::Timeline { entries: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// Whether jobs are registered in these cases.
pub(super) fn registers_jobs(under: &Under) -> bool {
    let entries = match under {
        Under::Timeline { entries, .. } => &entries[..],
        Under::AsWritten | Under::EachZone { .. } => &[],
    };
    entries.iter().any(|schema::At(_, action)| match action {
        schema::Action::EvalPriority { of, .. } => matches!(**of, schema::Action::RegisterJob(_)),
        action => matches!(action, schema::Action::RegisterJob(_)),
    })
}

impl Lowering<'_> {
    /// Checks the plan; `None` if there is none.
    pub(super) fn plan(
        &mut self,
        machines: &IdVec<MachineId, MachineSpec>,
        jobs: &[super::work::Placed],
        labels: &LabelValues,
    ) -> Option<PlanSpec> {
        let plan = self.scenario.plan.as_ref()?;
        if plan.vary.is_empty() {
            self.error("E015", "plan.vary", "nothing may change")
                .hint("name what may, as `Count(clients: \"dc1\", from: 3, to: 30)`, `Instance(…)` or `JobCount(…)`");
        }
        let axes: Vec<Axis> = (0..plan.vary.len()).filter_map(|at| self.axis(at, &plan.vary[at], jobs)).collect();
        for (at, vary) in plan.vary.iter().enumerate() {
            if plan.vary[..at].iter().any(|other| is_same_axis(other, vary)) {
                self.error("E015", &format!("plan.vary[{at}]"), "this is varied twice")
                    .hint("put both ranges into one entry");
            }
        }
        let fleets = axes.iter().fold(1_usize, |all, axis| all.saturating_mul(axis.options.len()));
        if fleets > FLEETS_MAX {
            self.error(
                "E006",
                "plan.vary",
                format!("{fleets} fleets are more than cossim looks through ({FLEETS_MAX})"),
            )
            .hint("narrow the ranges, or take longer steps");
        }
        let cases = self.cases(plan, machines);
        let ambiguous = match &plan.expect[..] {
            [] => self.expected(false, &self.scenario.expect, &cases),
            texts => {
                // Jobs that a case registers bring values of their own, and are read only when it is built.
                let registers = plan.under.iter().any(registers_jobs);
                let labels = labels.clone().leaving_open(if registers { OF_JOBS } else { &[] });
                self.known_once(texts, &labels);
                self.expected(true, texts, &cases)
            }
        };
        if plan.expect.is_empty() && self.scenario.expect.is_empty() {
            self.error("E015", "plan", "nothing is expected, so that every fleet would do")
                .hint("add `expect: [\"placement.queued final == 0\"]`, to the plan or to the scenario");
        }
        if plan.minimise == schema::Minimise::Cost {
            self.prices(plan);
        }
        let mut share = |name: &str, text: Option<&schema::ShareText>, default: f64| {
            let path = format!("plan.{name}");
            let share = text.map_or(default, |text| self.quantity(&path, quantity::share(&text.0)).get());
            if share <= 0.0 || share > 0.999 {
                self.error("E006", &path, "must be more than 0 % and at most 99.9 %")
                    .hint("certainty takes infinitely many runs");
            }
            share
        };
        let confidence = share("confidence", plan.confidence.as_ref(), 0.95);
        let holds_in = share("holds_in", plan.holds_in.as_ref(), 0.9);
        let nines = self.count("plan.nines", plan.nines, 0..=6);
        if (nines > 0 || plan.headroom) && self.scenario.traffic.is_empty() {
            let path = if nines > 0 { "plan.nines" } else { "plan.headroom" };
            self.error("E015", path, "the scenario has no traffic, so that there are no answers to count")
                .hint("add `traffic:`, or leave this out");
        }
        Some(PlanSpec { axes, cases, confidence, holds_in, nines, ambiguous })
    }

    fn axis(&mut self, at: usize, vary: &Vary, jobs: &[super::work::Placed]) -> Option<Axis> {
        let path = format!("plan.vary[{at}]");
        let found = self.findings.len();
        let (name, options, ordered) = match vary {
            Vary::Count { clients, region, from, to, step } => {
                self.client_group(&path, clients, region.as_deref());
                (format!("{clients} machines"), self.range(&path, (*from, *to, *step)), true)
            }
            Vary::Instance { clients, region, among } => {
                self.client_group(&path, clients, region.as_deref());
                self.once(&path, among);
                for (number, name) in among.iter().enumerate() {
                    self.instance_type(&format!("{path}.among[{number}]"), name);
                }
                (format!("{clients} type"), among.clone(), false)
            }
            Vary::Zones { clients, region, among } => {
                self.client_group(&path, clients, region.as_deref());
                self.once(&path, among);
                let known = self.geography.zone_names();
                for (number, zones) in among.iter().enumerate() {
                    let path = format!("{path}.among[{number}]");
                    if zones.is_empty() {
                        self.error("E015", &path, "machines are in at least one zone")
                            .hint("name zones, as `[\"a\", \"b\"]`");
                    }
                    if let Some((_, twice)) = zones.iter().enumerate().find(|(at, zone)| zones[..*at].contains(*zone)) {
                        self.error("E015", &path, format!("zone `{twice}` is there twice")).hint("name each zone once");
                    }
                    for zone in zones {
                        let is = |full: &String| full.rsplit_once('/').is_some_and(|(_, name)| name == zone);
                        if !known.iter().any(is) {
                            self.unknown(&path, "zone", zone, known.iter().map(String::as_str));
                        }
                    }
                }
                (format!("{clients} zones"), among.iter().map(|zones| zones.join("+")).collect(), false)
            }
            Vary::JobCount { job, group, from, to, step } => {
                let known = jobs.iter().find(|known| *known.spec.job.name == **job).map(|known| known.spec.job.clone());
                let Some(known) = known else {
                    self.unknown(&format!("{path}.job"), "job", job, jobs.iter().map(|job| &*job.spec.job.name));
                    return None;
                };
                let group = self.group_of(&path, &known, group.as_deref())?;
                (format!("{job}.{group} instances"), self.range(&path, (*from, *to, *step)), false)
            }
        };
        if options.is_empty() && self.findings.len() == found {
            self.error("E015", &format!("{path}.among"), "there is nothing to choose from").hint("name at least two");
        }
        Some(Axis { name, options, ordered })
    }

    /// What may be chosen is there once.
    fn once<T: PartialEq>(&mut self, path: &str, among: &[T]) {
        for (at, _) in among.iter().enumerate().filter(|(at, option)| among[..*at].contains(*option)) {
            self.error("E015", &format!("{path}.among[{at}]"), "this is there already")
                .hint("leave one of the two out");
        }
    }

    fn range(&mut self, path: &str, (from, to, step): (u64, u64, u64)) -> Vec<String> {
        if step == 0 {
            self.error("E006", &format!("{path}.step"), "a step of 0 goes nowhere")
                .hint("write 1 or more, or leave it out");
        } else if from > to {
            self.error("E006", &format!("{path}.from"), format!("the range from {from} to {to} is empty"))
                .hint("let `from` be at most `to`");
        } else if (to - from) / step >= LIST_MAX as u64 {
            self.error("E006", &format!("{path}.to"), format!("a range has at most {LIST_MAX} values"))
                .hint("narrow it, or take a longer `step`");
        } else {
            return numbers(from, to, step).map(|count| count.to_string()).collect();
        }
        Vec::new()
    }

    /// The client group is written somewhere.
    fn client_group(&mut self, path: &str, clients: &str, region: Option<&str>) {
        if let Some(region) = region
            && self.region(&format!("{path}.region"), region).is_none()
        {
            return;
        }
        let regions = &self.scenario.regions;
        let here = regions.iter().filter(|of| region.is_none_or(|wanted| of.name == wanted));
        let names: Vec<&str> = here.flat_map(|of| of.clients.iter().flatten()).map(group_name).collect();
        if !names.contains(&clients) {
            let path = format!("{path}.clients");
            self.unknown(&path, "client group written in these regions called", clients, names.iter().copied());
        }
    }

    fn instance_type(&mut self, path: &str, name: &str) {
        let own = self.scenario.instances.iter().map(|kind| kind.name.as_str());
        let known: Vec<&str> = instance::TYPES.iter().map(|kind| &*kind.name).chain(own).collect();
        if !known.contains(&name) {
            self.unknown(path, "instance type", name, known.iter().copied());
        }
    }

    /// Everything a fleet may be made of has a price.
    fn prices(&mut self, plan: &schema::Plan) {
        for (name, text) in &plan.prices {
            let path = format!("plan.prices.{name}");
            self.instance_type(&path, name);
            self.quantity(&path, quantity::price(&text.0));
        }
        let mut used: Vec<(String, String)> = Vec::new();
        for (number, region) in self.scenario.regions.iter().enumerate() {
            let path = format!("regions[{number}]");
            for (of, servers) in [("nomad", &region.nomad), ("consul", &region.consul)] {
                used.extend(servers.iter().map(|kind| (format!("{path}.{of}.instance"), kind.instance.clone())));
            }
            for (group, clients) in region.clients.iter().flatten().enumerate() {
                used.push((format!("{path}.clients[{group}].instance"), clients.instance.clone()));
            }
        }
        for (number, vary) in plan.vary.iter().enumerate() {
            if let Vary::Instance { among, .. } = vary {
                let named = among.iter().enumerate();
                used.extend(named.map(|(at, name)| (format!("plan.vary[{number}].among[{at}]"), name.clone())));
            }
        }
        for (path, name) in used {
            let known = instance::find(&name).is_some() || self.scenario.instances.iter().any(|own| own.name == name);
            if known && price_of(self.scenario, &name).is_none() {
                self.error("E017", &path, format!("instance type `{name}` has no price"))
                    .hint("add `price: \"0.10 USD/h\"` to it in `instances`, or minimise `Nodes`");
            }
        }
    }

    fn cases(&mut self, plan: &schema::Plan, machines: &IdVec<MachineId, MachineSpec>) -> Vec<Case> {
        let mut out: Vec<Case> = Vec::new();
        if plan.under.is_empty() {
            self.error("E015", "plan.under", "there is no case to judge a fleet by")
                .hint("leave it out, or add `AsWritten`");
        }
        for (at, under) in plan.under.iter().enumerate() {
            let path = format!("plan.under[{at}]");
            if plan.under[..at].iter().any(|other| is_same_case(other, under)) {
                self.error("E015", &path, "this case is there already").hint("leave one of the two out");
                continue;
            }
            match under {
                Under::AsWritten => {
                    out.push(Case { name: "as written".to_owned(), entries: Vec::new(), leader: None });
                }
                Under::Timeline { name, entries } => {
                    if entries.is_empty() {
                        self.error("E015", &format!("{path}.entries"), "nothing happens in this timeline")
                            .hint("write its entries, or `AsWritten` for the timeline of the scenario alone");
                    }
                    out.push(Case { name: name.clone(), entries: entries.clone(), leader: None });
                }
                Under::EachZone { at, lasts, region, .. } => {
                    self.within_run(&format!("{path}.at"), at);
                    self.noticed_in_run(&format!("{path}.at"), at);
                    self.span_or(&format!("{path}.lasts"), lasts.as_ref(), Duration::MAX);
                    let only = match region {
                        Some(name) => match self.region(&format!("{path}.region"), name) {
                            Some(region) => Some(region),
                            None => continue,
                        },
                        None => None,
                    };
                    let regions = self.geography.regions.ids().filter(|of| only.is_none_or(|only| only == *of));
                    out.extend(regions.flat_map(|of| self.zone_cases(under, of, plan.leaders, machines)));
                }
            }
        }
        if out.len() > CASES_MAX {
            self.error(
                "E006",
                "plan.under",
                format!("{} cases are more than cossim judges by ({CASES_MAX})", out.len()),
            )
            .hint("name fewer, or one `region`");
        }
        out
    }

    /// What happens after the end does not happen.
    fn within_run(&mut self, path: &str, at: &schema::DurationText) {
        let (at, end) = (quantity::duration(&at.0), quantity::duration(&self.scenario.duration.0));
        let error = match (at, end) {
            (Err(error), _) => ("E003", error.to_string(), error.hint()),
            (Ok(at), Ok(end)) if at >= end && !end.is_zero() => {
                let message = format!("nothing happens at {at}: the run ends at {end}");
                ("E007", message, "make `duration` longer, or let it happen earlier".to_owned())
            }
            (Ok(_), _) => return,
        };
        self.error(error.0, path, error.1).hint(error.2);
    }

    /// Warns of an outage after which the run ends before anybody must have noticed: every fleet survives that.
    fn noticed_in_run(&mut self, path: &str, at: &schema::DurationText) {
        let options = &self.scenario.options;
        let span = |written: Option<&schema::DurationText>| {
            written.and_then(|text| quantity::duration(&text.0).ok()).unwrap_or(Duration::from_secs(10))
        };
        // A TTL lies between the shortest and twice that, unless there are very many nodes.
        let noticed = span(options.min_heartbeat_ttl.as_ref()) * 2 + span(options.heartbeat_grace.as_ref());
        let (at, end) = (quantity::duration(&at.0), quantity::duration(&self.scenario.duration.0));
        if let (Ok(at), Ok(end)) = (at, end)
            && at < end
            && end - at < noticed
        {
            let left = end - at;
            let message = format!("the run ends {left} after this, before lost nodes are noticed (up to {noticed})");
            self.warning("W008", path, message).hint("make `duration` longer, so that what follows is judged");
        }
    }

    /// A zone of a region lost, for each of them, and for each place the leader may have then.
    fn zone_cases(
        &self,
        under: &Under,
        region: RegionId,
        leaders: Leaders,
        machines: &IdVec<MachineId, MachineSpec>,
    ) -> Vec<Case> {
        let Under::EachZone { at, lasts, kind, .. } = under else { return Vec::new() };
        let zone_name = |zone: ZoneId| &*self.geography.zones[zone].name;
        let of = &self.geography.regions[region];
        let mut seats: Vec<&str> = of.nomad.iter().map(|server| zone_name(machines[*server].zone)).collect();
        seats.sort_unstable();
        seats.dedup();
        let mut out = Vec::new();
        for zone in &of.zones {
            let full = format!("{}/{}", of.name, zone_name(*zone));
            let lost = format!("zone {full} lost");
            let outage = schema::Action::ZoneOutage { zone: full, kind: *kind, lasts: lasts.clone() };
            let entries = vec![schema::At(at.clone(), outage)];
            match leaders {
                Leaders::AsItFalls => out.push(Case { name: lost, entries, leader: None }),
                Leaders::Each => out.extend(seats.iter().map(|seat| Case {
                    name: format!("{lost}, leader in {seat}"),
                    entries: entries.clone(),
                    leader: Some((of.name.to_string(), (*seat).to_owned())),
                })),
            }
        }
        out
    }

    /// Reports values of labels that no series can have, and what is expected twice.
    fn known_once(&mut self, texts: &[String], labels: &LabelValues) {
        for (at, text) in texts.iter().enumerate() {
            let path = format!("plan.expect[{at}]");
            if let Some((metric, written)) = objective::about(text) {
                self.strangers(&path, metric, &written, labels);
            }
            let meaning = objective::meaning(text);
            if meaning.is_some() && texts[..at].iter().any(|other| objective::meaning(other) == meaning) {
                self.error("E015", &path, format!("`{text}` is there already")).hint("leave one of the two out");
            }
        }
    }

    /// Reports expectations that cannot be understood, or that name an entry which no case has; those of the scenario
    /// itself are known to be understood in it, or have been reported. Returns those that name several entries of one
    /// case.
    fn expected(&mut self, of_plan: bool, texts: &[String], cases: &[Case]) -> Vec<Diagnostic> {
        let labels = |entries: &[schema::At]| -> Vec<String> {
            let all = self.scenario.timeline.iter().chain(entries);
            all.map(|schema::At(_, action)| label(action)).collect()
        };
        let parsed = |text: &String, labels: &[String]| {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            Objective::parse(text, &Named::in_order(&labels)).err()
        };
        let is_several = |error: &ObjectiveError| matches!(error, ObjectiveError::SeveralEntries { .. });
        let (mut nowhere_there, mut ambiguous) = (Vec::new(), Vec::new());
        for (at, text) in texts.iter().enumerate() {
            let errors: Vec<Option<ObjectiveError>> = cases
                .iter()
                .map(|case| {
                    let labels = labels(&case.entries);
                    // What an entry is called is known here for faults only.
                    let is_told = |error: &ObjectiveError| match error {
                        ObjectiveError::UnknownEntry { .. } => !labels.iter().any(String::is_empty),
                        _ => true,
                    };
                    parsed(text, &labels).filter(is_told)
                })
                .collect();
            let nowhere = errors.iter().flatten().next().filter(|_| of_plan && errors.iter().all(Option::is_some));
            let several = errors
                .iter()
                .zip(cases)
                .find_map(|(error, case)| Some((error.as_ref().filter(|error| is_several(error))?, case)));
            if let Some((error, case)) = several.filter(|_| of_plan || parsed(text, &labels(&[])).is_none()) {
                let path = if of_plan { format!("plan.expect[{at}]") } else { format!("expect[{at}]") };
                ambiguous.push(of_case(error, &case.name, of_plan, self.place(&path)));
            } else if let Some(error) = nowhere {
                nowhere_there.push((format!("plan.expect[{at}]"), error.to_string(), error.hint()));
            }
        }
        for (path, message, hint) in nowhere_there {
            let finding = self.error("E009", &path, message);
            if let Some(hint) = hint {
                finding.hint(hint);
            }
        }
        ambiguous
    }
}

/// What is wrong with an expectation in one case of a plan; `of_plan` if it is one of `plan.expect`, which else is
/// named as the place for what the fleets are to hold.
pub(in crate::scenario) fn of_case(error: &ObjectiveError, case: &str, of_plan: bool, place: Place) -> Diagnostic {
    let found = Diagnostic::error("E009", format!("{error}, in the case `{case}`")).at(Some(place));
    let other = "write into `plan.expect` what the fleets are to hold: it takes the place of `expect` there";
    let hints = error.hint().into_iter().chain((!of_plan).then(|| other.to_owned()));
    found.hint(hints.collect::<Vec<_>>().join("; or "))
}

/// What a fault that takes machines is called in windows; nothing for other entries.
fn label(action: &schema::Action) -> String {
    match action {
        schema::Action::ZoneOutage { .. }
        | schema::Action::RegionOutage { .. }
        | schema::Action::NodeCrash { .. }
        | schema::Action::ProcessKill { .. } => label_of(action),
        _ => String::new(),
    }
}

/// What a client group is called: its name, or else its datacenter.
pub(in crate::scenario) fn group_name(clients: &schema::Clients) -> &str {
    clients.name.as_deref().unwrap_or(&clients.datacenter)
}

/// A range as counts.
pub(in crate::scenario) fn numbers(from: u64, to: u64, step: u64) -> impl Iterator<Item = u64> {
    (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX).max(1))
}

/// Millionths of a dollar per hour of a machine type: of the plan, the scenario, or the built-in table.
pub(in crate::scenario) fn price_of(scenario: &schema::Scenario, name: &str) -> Option<u64> {
    let read = |text: &schema::PriceText| quantity::price(&text.0).ok();
    let planned = scenario.plan.as_ref().and_then(|plan| plan.prices.get(name)).and_then(read);
    let own = || scenario.instances.iter().find(|own| own.name == name)?.price.as_ref().and_then(read);
    planned.or_else(own).or_else(|| instance::find(name)?.price_per_million_hours)
}

/// Labels whose values follow from jobs alone.
const OF_JOBS: &[&str] = &["attribute", "priority"];
/// Fleets a plan looks through.
const FLEETS_MAX: usize = 100_000;
/// Cases a fleet is judged by.
const CASES_MAX: usize = 256;
