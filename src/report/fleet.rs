//! What `cossim plan` found, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::analysis::plan::{Answers, Break, Fleet, Headroom, Judged, Planned};
use crate::analysis::shares::Standing;
use crate::report::text::{align, line, number, plural, section};
use crate::scenario::lower::plan::PlanSpec;

/// Everything that is put out, for one scenario.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// Fingerprint of what was read.
    pub digest: &'a str,
    /// What was looked for.
    pub spec: &'a PlanSpec,
    /// What was found.
    pub planned: &'a Planned,
}

/// The JSON form.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Json {
    cossim: &'static str,
    scenario: String,
    scenario_digest: String,
    cases: Vec<String>,
    best: Option<JsonFleet>,
    /// Expectations that nothing exercised in some of the runs behind the answer, by case: those say nothing about
    /// them.
    not_exercised: Vec<JsonIdle>,
    /// Expectations that may fail in a share of the seeds (`in 90% of seeds`), by case: what is said of them is a
    /// statement of its own, no less sure than `confidence`, and `holds_in` does not matter to it.
    in_share_of_seeds: Vec<JsonShare>,
    /// The nearest cheaper fleet that was tried, or the largest if none holds, with what it failed by. Where no cheaper
    /// one was tried, the fleet that ruled out `ruled_out`; absent only if the answer is the cheapest fleet.
    binding: Option<JsonFleet>,
    /// The nearest cheaper fleet, where it was not tried: it has as many machines as `binding` or fewer, and differs in
    /// nothing else.
    ruled_out: Option<JsonFleet>,
    confidence: f64,
    holds_in: f64,
    /// Runs of each case that confirmed the answer. In none of them a law was broken, or an expectation failed that has
    /// to hold in every run.
    confirming_runs: u64,
    search_runs: u64,
    fleets: usize,
    fleets_run: usize,
    runs: u64,
    monotone: bool,
    nines: Vec<Option<JsonFleet>>,
    frontier: Vec<JsonFleet>,
    headroom: Option<JsonHeadroom>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonFleet {
    options: std::collections::BTreeMap<String, String>,
    nodes: u64,
    usd_per_hour: f64,
    /// Runs of each case behind the next figures: all that were made of this fleet. Absent with them, without traffic
    /// or if the fleet was given up during the search.
    runs: Option<u64>,
    /// Minutes of failed answers in a run of its worst case, on average.
    error_minutes: Option<f64>,
    /// 95 % interval, by resampling runs; absent with fewer than three.
    error_minutes_ci95: Option<[f64; 2]>,
    /// Share of good answers in its worst case, in 0..1.
    good_share: Option<f64>,
    /// 95 % interval, by resampling runs; absent with fewer than three.
    good_share_ci95: Option<[f64; 2]>,
    broke: Option<JsonBreak>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonBreak {
    case: String,
    expectation: String,
    observed: String,
    seed: Option<u64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonIdle {
    case: String,
    expectation: String,
    /// Runs of the case in which nothing exercised it.
    idle: usize,
    /// Runs of the case behind the answer.
    runs: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonShare {
    case: String,
    expectation: String,
    /// Runs of the case in which it failed.
    failed: usize,
    /// Runs of the case behind the answer, of the search and of the confirmation.
    runs: usize,
    /// `shown` by the confirming runs to hold in its share, `open` if they are too few to show it or to rule it out,
    /// `not exercised` if none of them says anything about it.
    standing: &'static str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonHeadroom {
    /// The largest factor of the traffic that was seen to hold.
    holds: f64,
    /// Runs of each case it held in.
    runs: u64,
    breaks: Option<f64>,
    by: Option<JsonBreak>,
}

impl Account<'_> {
    /// As JSON, ending in a newline.
    pub fn json(&self) -> String {
        let planned = self.planned;
        let fleet = |fleet: &Fleet| self.json_fleet(fleet);
        let json = Json {
            cossim: env!("CARGO_PKG_VERSION"),
            scenario: self.scenario.to_owned(),
            scenario_digest: self.digest.to_owned(),
            cases: self.spec.cases.iter().map(|case| case.name.clone()).collect(),
            best: planned.best.as_ref().map(fleet),
            not_exercised: idle(planned).map(json_idle).collect(),
            in_share_of_seeds: in_share(planned).map(json_share).collect(),
            binding: planned.binding.as_ref().map(fleet),
            ruled_out: planned.ruled_out.as_ref().map(fleet),
            confidence: self.spec.confidence,
            holds_in: self.spec.holds_in,
            confirming_runs: planned.confirmations,
            search_runs: planned.search_seeds,
            fleets: planned.fleets.0,
            fleets_run: planned.fleets.1,
            runs: planned.runs,
            monotone: planned.monotone,
            nines: planned.nines.iter().map(|of| of.as_ref().map(fleet)).collect(),
            frontier: planned.frontier.iter().map(fleet).collect(),
            headroom: planned.headroom.as_ref().map(|headroom| JsonHeadroom {
                holds: headroom.holds,
                runs: headroom.runs,
                breaks: headroom.breaks.as_ref().map(|(factor, _)| *factor),
                by: headroom.breaks.as_ref().map(|(_, by)| json_break(by)),
            }),
        };
        serde_json::to_string_pretty(&json).expect("plain JSON") + "\n"
    }

    fn json_fleet(&self, fleet: &Fleet) -> JsonFleet {
        let axes = self.spec.axes.iter().map(|axis| axis.name.clone());
        JsonFleet {
            options: axes.zip(fleet.options.iter().cloned()).collect(),
            nodes: fleet.bill.nodes,
            usd_per_hour: dollars(fleet),
            runs: fleet.answers.map(|answers| answers.runs),
            error_minutes: fleet.answers.map(|answers| answers.error_minutes),
            error_minutes_ci95: fleet.answers.and_then(|answers| answers.error_interval).map(<[f64; 2]>::from),
            good_share: fleet.answers.map(|answers| answers.good_share),
            good_share_ci95: fleet.answers.and_then(|answers| answers.good_interval).map(<[f64; 2]>::from),
            broke: fleet.broke.as_ref().map(json_break),
        }
    }

    /// As text, ending in a newline.
    pub fn text(&self) -> String {
        let (planned, spec) = (self.planned, self.spec);
        let mut out = String::new();
        match &planned.best {
            Some(best) => {
                let costs = format!("{} machines, {}", best.bill.nodes, price(best));
                line(&mut out, &format!("PLAN  {}: {}; {costs}", self.scenario, self.named(best)));
                line(&mut out, &self.sure());
            }
            None => {
                let reason = "none of the fleets holds everything that is expected";
                line(&mut out, &format!("NO PLAN  {}: {reason}", self.scenario));
            }
        }
        let (all, tried) = planned.fleets;
        let search = plural(planned.search_seeds as usize, "run");
        line(
            &mut out,
            &format!(
                "{tried} of {} run, found on {search} of each case, {} in all",
                plural(all, "fleet"),
                planned.runs
            ),
        );
        let version = env!("CARGO_PKG_VERSION");
        line(&mut out, &format!("cossim {version}  |  scenario digest {}", self.digest));
        if !planned.monotone {
            let note = "a fleet with fewer machines did where one with more did not";
            line(&mut out, &format!("note: {note}; write `search: EachFleet` to be exact"));
        }
        self.in_share(&mut out);
        self.idle(&mut out);
        self.binding(&mut out);
        self.nines(&mut out);
        self.frontier(&mut out);
        if let Some(headroom) = &planned.headroom {
            section(&mut out, "headroom");
            line(&mut out, &format!("  {}", grown(headroom)));
        }
        section(&mut out, "cases");
        spec.cases.iter().for_each(|case| line(&mut out, &format!("  {}", case.name)));
        out
    }

    /// How sure the answer is, of what.
    fn sure(&self) -> String {
        let (planned, spec) = (self.planned, self.spec);
        let (cases, runs) = (plural(spec.cases.len(), "case"), plural(planned.confirmations as usize, "run"));
        if !planned.judged.iter().any(|judged| judged.in_share.is_none()) {
            let how = if planned.is_open() {
                "not sure".to_owned()
            } else {
                format!("{} % sure", number(spec.confidence * 100.0))
            };
            let sure = format!("{how} that everything holds in its share");
            return format!("{sure} of runs of each of {cases}: {runs} each");
        }
        let what = if in_share(planned).next().is_some() { "everything else" } else { "everything" };
        format!(
            "{} % sure that {what} holds in at least {} % of runs of each of {cases}: {runs} each, none failed",
            number(spec.confidence * 100.0),
            number(spec.holds_in * 100.0),
        )
    }

    fn in_share(&self, out: &mut String) {
        let confidence = number(self.spec.confidence * 100.0);
        for (at, of) in in_share(self.planned).enumerate() {
            if at == 0 {
                section(out, "may fail in a share of the seeds");
            }
            let runs = self.planned.confirmations as usize;
            let said = match of.in_share {
                Some(Standing::Shown) => format!("its share is {confidence} % sure"),
                Some(Standing::Idle) => "nothing exercised it".to_owned(),
                _ => format!("{} are too few to show its share or to rule it out", plural(runs, "confirming run")),
            };
            let (failed, all) = (of.failed, plural(of.runs, "run"));
            line(out, &format!("  `{}` failed in {failed} of {all} ({}): {said}", of.expectation, of.case));
        }
    }

    fn idle(&self, out: &mut String) {
        for (at, Judged { case, expectation, idle, runs, .. }) in idle(self.planned).enumerate() {
            if at == 0 {
                section(out, "not exercised in runs behind the answer, which say nothing about it");
            }
            let never = if idle == runs { ": the plan does not test it there" } else { "" };
            line(out, &format!("  --  `{expectation}` in {idle} of {} ({case}){never}", plural(*runs, "run")));
        }
    }

    fn binding(&self, out: &mut String) {
        section(out, "binding constraint");
        let text = match &self.planned.binding {
            None => "none: the cheapest fleet of the plan holds everything".to_owned(),
            Some(fleet) => match &fleet.broke {
                Some(broke) => format!("{} ({}): {}", self.named(fleet), price(fleet), broken(broke)),
                None => self.named(fleet),
            },
        };
        line(out, &format!("  {text}"));
        if let Some(fleet) = &self.planned.ruled_out {
            let (named, price) = (self.named(fleet), price(fleet));
            line(out, &format!("  which rules out {named} ({price}) without a run: it has no more machines"));
        }
    }

    fn nines(&self, out: &mut String) {
        if self.planned.nines.is_empty() {
            return;
        }
        section(out, "what each nine of good answers costs, in the worst case");
        let head = ["good answers", "fleet", "machines", "USD/h", "more", "seen", "95 %", "runs of each case"];
        let mut rows = vec![head.map(str::to_owned)];
        let mut last: Option<f64> = None;
        for (nine, fleet) in (1_usize..).zip(&self.planned.nines) {
            let name = if nine == 1 { "90 %".to_owned() } else { format!("99{} %", decimals(nine)) };
            let Some(fleet) = fleet else {
                rows.push([name.as_str(), "no fleet of the plan", "", "", "", "", "", ""].map(str::to_owned));
                continue;
            };
            let cost = dollars(fleet);
            let more = last.map_or(String::new(), |last| format!("+{}", number(cost - last)));
            last = Some(cost);
            let percent = |share: f64| format!("{:.4} %", share * 100.0);
            let [seen, sure, runs] = figures(fleet, percent, |answers| (answers.good_share, answers.good_interval));
            let (named, nodes) = (self.named(fleet), fleet.bill.nodes.to_string());
            rows.push([name, named, nodes, number(cost), more, seen, sure, runs]);
        }
        align(&rows, &[true, false, true, true, true, true, false, true], out);
    }

    fn frontier(&self, out: &mut String) {
        if self.planned.frontier.is_empty() {
            return;
        }
        section(out, "frontier: cost against minutes of failed answers per run, of the fleets that were run in full");
        let head = ["fleet", "machines", "USD/h", "error minutes", "95 %", "runs of each case"];
        let mut rows = vec![head.map(str::to_owned)];
        for fleet in &self.planned.frontier {
            let minutes = |minutes: f64| format!("{minutes:.3}");
            let [seen, sure, runs] = figures(fleet, minutes, |answers| (answers.error_minutes, answers.error_interval));
            rows.push([self.named(fleet), fleet.bill.nodes.to_string(), number(dollars(fleet)), seen, sure, runs]);
        }
        align(&rows, &[false, true, true, true, false, true], out);
    }

    fn named(&self, fleet: &Fleet) -> String {
        let mut out = String::new();
        for (axis, option) in self.spec.axes.iter().zip(&fleet.options) {
            let between = if out.is_empty() { "" } else { ", " };
            write!(out, "{between}{} {option}", axis.name).expect("a string takes every character");
        }
        out
    }
}

/// A figure of a fleet's answers, its interval, and the runs of each case both rest on.
fn figures(
    fleet: &Fleet,
    show: impl Fn(f64) -> String,
    pick: impl Fn(&Answers) -> (f64, Option<(f64, f64)>),
) -> [String; 3] {
    let Some(answers) = &fleet.answers else { return [const { String::new() }; 3] };
    let (value, interval) = pick(answers);
    let sure = interval.map_or(String::new(), |(low, high)| format!("{} … {}", show(low), show(high)));
    [show(value), sure, answers.runs.to_string()]
}

/// The decimals of a nine: none for the second, `.9` for the third.
fn decimals(nine: usize) -> String {
    if nine < 3 { String::new() } else { format!(".{}", "9".repeat(nine - 2)) }
}

fn dollars(fleet: &Fleet) -> f64 {
    fleet.bill.micros_per_hour as f64 / 1e6
}

fn price(fleet: &Fleet) -> String {
    format!("{} USD/h", number(dollars(fleet)))
}

fn broken(broke: &Break) -> String {
    let place = broke.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
    format!("`{}` was {} ({}{place})", broke.expectation, broke.observed, broke.case)
}

fn grown(headroom: &Headroom) -> String {
    let runs = format!("in {} of each case", plural(headroom.runs as usize, "run"));
    match &headroom.breaks {
        Some((factor, by)) => {
            format!("traffic ×{:.2} holds {runs}; at ×{factor:.2} {}", headroom.holds, broken(by))
        }
        None => format!("traffic ×{:.0} holds {runs}, more was not tried", headroom.holds),
    }
}

/// What some runs behind the answer did not exercise.
fn idle(planned: &Planned) -> impl Iterator<Item = &Judged> {
    planned.judged.iter().filter(|judged| judged.idle > 0)
}

/// What may fail in a share of the seeds.
fn in_share(planned: &Planned) -> impl Iterator<Item = &Judged> {
    planned.judged.iter().filter(|judged| judged.in_share.is_some())
}

fn json_idle(of: &Judged) -> JsonIdle {
    JsonIdle { case: of.case.clone(), expectation: of.expectation.clone(), idle: of.idle, runs: of.runs }
}

fn json_share(of: &Judged) -> JsonShare {
    let standing = match of.in_share {
        Some(Standing::Shown) => "shown",
        Some(Standing::Idle) => "not exercised",
        _ => "open",
    };
    let (case, expectation) = (of.case.clone(), of.expectation.clone());
    JsonShare { case, expectation, failed: of.failed, runs: of.runs, standing }
}

fn json_break(broke: &Break) -> JsonBreak {
    JsonBreak {
        case: broke.case.clone(),
        expectation: broke.expectation.clone(),
        observed: broke.observed.clone(),
        seed: broke.seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fleet::Bill;
    use crate::scenario::lower::plan::{Axis, Case};

    fn fleet(machines: &str, broke: Option<Break>) -> Fleet {
        let bill = Bill { nodes: 9, micros_per_hour: 500_000 };
        Fleet { options: vec![machines.to_owned()], bill, answers: None, broke }
    }

    fn told(judged: Vec<Judged>, ruled_out: Option<Fleet>) -> (String, serde_json::Value) {
        let case = Case { name: "as written".to_owned(), entries: Vec::new(), leader: None };
        let axis = Axis { name: "apps machines".to_owned(), options: Vec::new(), ordered: true };
        let spec = PlanSpec {
            axes: vec![axis],
            cases: vec![case],
            confidence: 0.9,
            holds_in: 0.95,
            nines: 0,
            ambiguous: Vec::new(),
        };
        let broke = Break {
            case: "as written".to_owned(),
            expectation: "placement.queued final == 0".to_owned(),
            observed: "4 allocs".to_owned(),
            seed: Some(1),
        };
        let planned = Planned {
            best: Some(fleet("3", None)),
            judged,
            binding: ruled_out.as_ref().map(|_| fleet("4", Some(broke))),
            ruled_out,
            monotone: true,
            confirmations: 80,
            search_seeds: 20,
            fleets: (8, 4),
            runs: 100,
            nines: Vec::new(),
            frontier: Vec::new(),
            headroom: None,
        };
        let account = Account { scenario: "shop", digest: "ab", spec: &spec, planned: &planned };
        (account.text(), serde_json::from_str(&account.json()).unwrap())
    }

    fn judged(expectation: &str, in_share: Option<Standing>, failed: usize) -> Judged {
        let case = "as written".to_owned();
        Judged { case, expectation: expectation.to_owned(), in_share, failed, idle: 0, runs: 100 }
    }

    #[test]
    fn what_may_fail_in_a_share_of_the_seeds_is_a_statement_of_its_own() {
        let strict = || judged("placement.queued final == 0", None, 0);
        let shared = |standing| judged("placement.queued max == 0 in 10% of seeds", Some(standing), 75);
        let (text, json) = told(vec![strict()], None);
        assert!(text.contains("90 % sure that everything holds in at least 95 % of runs"), "{text}");
        assert!(!text.contains("in a share") && json["in_share_of_seeds"] == serde_json::json!([]), "{text}{json}");
        let named = "  `placement.queued max == 0 in 10% of seeds` failed in 75 of 100 runs (as written): ";
        let open = format!("{named}80 confirming runs are too few to show its share or to rule it out");
        let (text, json) = told(vec![strict(), shared(Standing::Shown)], None);
        let shown = format!("{named}its share is 90 % sure");
        assert!(text.contains("90 % sure that everything else holds") && text.contains(&shown), "{text}");
        let told_of = &json["in_share_of_seeds"][0];
        assert_eq!((&told_of["failed"], &told_of["standing"]), (&75.into(), &"shown".into()));
        let (text, json) = told(vec![strict(), shared(Standing::Open)], None);
        assert!(text.contains(&open) && json["in_share_of_seeds"][0]["standing"] == "open", "{text}");
        let (text, _) = told(vec![shared(Standing::Shown)], None);
        assert!(text.contains("90 % sure that everything holds in its share of runs of each of 1 case"), "{text}");
        let (text, _) = told(vec![shared(Standing::Open)], None);
        assert!(text.contains("not sure that everything holds in its share") && text.contains(&open), "{text}");
        assert!(!text.contains("% sure") && !text.contains("none failed"), "{text}");
    }

    #[test]
    fn a_fleet_that_was_ruled_out_is_named_with_the_one_that_did() {
        let (text, json) = told(vec![judged("placement.queued final == 0", None, 0)], Some(fleet("2", None)));
        let reason = "  apps machines 4 (0.5 USD/h): `placement.queued final == 0` was 4 allocs (as written, seed 1)\n  \
                      which rules out apps machines 2 (0.5 USD/h) without a run";
        assert!(text.contains(reason) && !text.contains("none: the cheapest fleet"), "{text}");
        assert_eq!(json["ruled_out"]["options"]["apps machines"], "2", "{json}");
        let (text, json) = told(vec![judged("placement.queued final == 0", None, 0)], None);
        assert!(text.contains("none: the cheapest fleet of the plan holds everything"), "{text}");
        assert!(json["binding"].is_null() && json["ruled_out"].is_null(), "{json}");
    }
}
