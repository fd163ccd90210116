//! The table a run prints: the verdict first, then what the faults did, what users saw, and the other metrics.

use std::fmt::Write as _;

use crate::analysis::across::{Across, Figure};
use crate::analysis::ensemble::Ensemble;
use crate::analysis::judge::{Judgement, NEVER, Verdict};
use crate::analysis::recovery::{Recovery, Wait, over_runs, recoveries, waits_over_runs};
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::failover::{Election, Failover, Outage, STAGES};
use crate::measure::metric::Key;
use crate::measure::objective::{Named, Objective};
use crate::model::topology::RegionId;
use crate::report::frame::seeds;
use crate::report::hit::hit;
use crate::report::sensitivity::{analysed, found, gathered};
use crate::report::style::STAGE_WORDS;
use crate::report::unplaced::unplaced;
use crate::scenario::parameters::Parameter;
use crate::world::event::Group;

/// Cases beside each other in one table.
const CASES_ABREAST: usize = 2;
/// Widest line of a case's name above its column.
const CASE_WIDTH: usize = 26;

/// Width of a line of items.
const WRAPPED_WIDTH: usize = 108;

/// Metrics of several modes that are listed.
const MODES_MAX: usize = 6;

/// Metrics that are left to the files: many rows, for those who look for them.
const DETAILS: [&str; 7] = [
    "eval.age",
    "placement.class_utilization",
    "placement.fragmentation",
    "placement.largest_fit.cpu",
    "placement.largest_fit.disk",
    "placement.largest_fit.memory",
    "placement.stranded",
];

/// The whole text, ending in a newline.
pub fn render(ensemble: &Ensemble) -> String {
    let mut out = String::new();
    header(ensemble, &mut out);
    stopping(ensemble, &mut out);
    expectations(ensemble, &mut out);
    invariants(ensemble, &mut out);
    refusals(ensemble, &mut out);
    unplaced(ensemble, &mut out);
    failovers(ensemble, &mut out);
    requests(ensemble, &mut out);
    metrics(ensemble, &mut out);
    several_modes(ensemble, &mut out);
    unended(ensemble, &mut out);
    assumed(ensemble, &mut out);
    reproduce(ensemble, &mut out);
    out
}

/// That all expectations are met, but for those that nothing exercised.
pub(super) fn met_in_words(all: usize, idle: usize) -> String {
    match (all, idle) {
        (1, 0) => "the one expectation met".to_owned(),
        (all, 0) => format!("all {all} expectations met"),
        (all, idle) if all == idle => format!("{} not exercised", plural(all, "expectation")),
        (all, idle) => format!("{} met, {idle} not exercised", plural(all - idle, "expectation")),
    }
}

fn header(ensemble: &Ensemble, out: &mut String) {
    let failed = ensemble.verdicts.iter().filter(|verdict| !verdict.met).count();
    let verdict = if ensemble.passed() { "PASS" } else { "FAIL" };
    let expected = match (ensemble.verdicts.len(), failed) {
        (0, _) => "no expectations".to_owned(),
        (all, 0) => {
            let idle = ensemble.verdicts.iter().filter(|verdict| verdict.overall == Judgement::NotExercised).count();
            met_in_words(all, idle)
        }
        (all, failed) => format!("{failed} of {all} expectations not met"),
    };
    let violations = grouped(ensemble.violations());
    let checks: u64 = ensemble.runs.iter().flat_map(|run| &run.invariants).map(|law| law.checks).sum();
    let laws = plural(ensemble.runs.first().map_or(0, |run| run.invariants.len()), "law");
    let kept = format!("{laws} checked {} times, {violations} violations", grouped(checks));
    line(out, &format!("{verdict}  {}: {expected}; {kept}", ensemble.spec.name));
    let events: u64 = ensemble.runs.iter().map(|run| run.events).sum();
    let all = seeds(ensemble.runs.iter().map(|run| run.seed));
    line(out, &format!("seeds {all}  |  {} each  |  {} events", ensemble.spec.duration, grouped(events)));
    let digest = match ensemble.runs.as_slice() {
        [only] => format!("  |  run digest {:016x}", only.digest),
        _ => String::new(),
    };
    line(
        out,
        &format!("cossim {}  |  scenario digest {}{digest}", env!("CARGO_PKG_VERSION"), ensemble.scenario_digest),
    );
    if ensemble.cases.len() > 1 {
        for (case, letter) in ensemble.cases.iter().zip('A'..) {
            let all = seeds(case.members.iter().map(|&member| ensemble.runs[member].seed));
            line(out, &format!("  case {letter}  {}  (seeds {all})", case.name));
        }
    } else if ensemble.by_scenario {
        let only = ensemble.cases.first().map_or("nothing that it names happened", |case| &case.name);
        line(out, &format!("  `group_by` tells no cases apart: {only}"));
    }
}

/// Why there are so many seeds.
fn stopping(ensemble: &Ensemble, out: &mut String) {
    let Some(stopping) = &ensemble.stopping else { return };
    let count = ensemble.runs.len();
    let wanted = format!("half-width of {} %", number(100.0 * stopping.half_width));
    if stopping.measured_nothing() {
        let nothing = "nothing was measured, as no seed exercises anything that is expected";
        return line(out, &format!("{count} seeds, and no more: {nothing}"));
    }
    if stopping.reached {
        let idle = stopping.known.iter().filter(|known| known.seeds == 0).count();
        let but = if idle > 0 { format!("; {idle} that no seed exercises not counted") } else { String::new() };
        let means = "every mean of what is expected has a";
        return line(out, &format!("{count} seeds are enough: {means} {wanted} or less{but}"));
    }
    line(out, &format!("{count} seeds, as many as may be, are not enough for a {wanted}:"));
    let enough = stopping.half_width / (1.0 + stopping.half_width);
    for known in stopping.known.iter().filter(|known| known.seeds > 0) {
        match known.half_width {
            Some(half_width) if half_width <= enough => {}
            Some(half_width) => line(out, &format!("  {} %  {}", number(100.0 * half_width), known.text)),
            None => line(out, &format!("  unknown  {}", known.text)),
        }
    }
}

/// Metrics of several modes, which no one number sums up.
fn several_modes(ensemble: &Ensemble, out: &mut String) {
    let of = |explained: bool| {
        let has = move |(_, across): &(&Key, &Across)| across.modes.len() > 1 && across.explained == explained;
        ensemble.across.iter().filter(has).collect::<Vec<(&Key, &Across)>>()
    };
    for (explained, title) in [
        (false, "several modes, which the cases do not explain (`group_by` can tell runs apart)"),
        (true, "several modes, told apart by the cases"),
    ] {
        let found = of(explained);
        if !found.is_empty() {
            section(out, title);
        }
        for (key, across) in found.iter().take(MODES_MAX) {
            let modes = across.modes.iter().map(|mode| {
                let range = format!("{} … {}", number(mode.low), number(mode.high));
                format!("{:.0} % near {} {} ({range})", 100.0 * mode.share, number(mode.middle), across.unit)
            });
            line(out, &format!("  {key}: {}", modes.collect::<Vec<String>>().join(", ")));
        }
        if found.len() > MODES_MAX {
            line(out, &format!("  and {} more; summary.json has them all", found.len() - MODES_MAX));
        }
    }
}

/// Waits that had not ended with their run: longer than any that had, and in no sample.
fn unended(ensemble: &Ensemble, out: &mut String) {
    let some = ensemble.across.iter().filter_map(|(key, across)| Some((key, across, across.unended?)));
    for (position, (key, across, unended)) in some.enumerate() {
        if position == 0 {
            section(out, "not ended with the run, and longer than any sample");
        }
        let all = across.samples.unwrap_or(0) + unended;
        line(out, &format!("  {key}: {} of {}", grouped(unended), grouped(all)));
    }
}

fn expectations(ensemble: &Ensemble, out: &mut String) {
    if ensemble.verdicts.is_empty() {
        return;
    }
    section(out, "expectations");
    for verdict in &ensemble.verdicts {
        let count = |wanted| verdict.runs.iter().filter(|(_, judgement)| *judgement == wanted).count();
        let (failed, idle, all) = (count(Judgement::Fail), count(Judgement::NotExercised), verdict.runs.len());
        let worst = if all - idle > 1 { "at worst " } else { "" };
        let seen = |place: usize| format!("{worst}{} in seed {}", verdict.runs[place].0, ensemble.runs[place].seed);
        let seen = verdict.nearest.map_or(String::new(), seen);
        let note = match (failed, idle) {
            (0, 0) => seen,
            (0, idle) if idle == all => "not exercised".to_owned(),
            (0, idle) => format!("{seen}; not exercised in {idle} of {all} runs"),
            (failed, _) => format!("{seen}; fails in {failed} of {all} runs"),
        };
        let mark = match (verdict.met, verdict.overall) {
            (false, _) => "FAIL",
            (true, Judgement::NotExercised) => "--  ",
            (true, _) => "ok  ",
        };
        let long = verdict.text.chars().count() + note.chars().count() > 104;
        let between = if long { "\n        " } else { "  " };
        line(out, &format!("  {mark}  {}{between}{note}", verdict.text));
        unjudged(ensemble, verdict, out);
    }
}

/// That runs ended too soon to tell whether what they never saw was within the bound.
fn unjudged(ensemble: &Ensemble, verdict: &Verdict, out: &mut String) {
    let spec = &ensemble.spec;
    let never = verdict.runs.iter().filter(|(seen, judged)| seen == NEVER && *judged == Judgement::Fail).count();
    let found = Objective::parse(&verdict.text, &Named::all(&spec.timeline))
        .ok()
        .and_then(|o| o.outlasts(&spec.timeline, spec.duration));
    if let Some((entry, left)) = found.filter(|_| never > 0) {
        let label = &spec.timeline[entry].label;
        line(out, "        the bound could not be judged in full, as it is longer than the rest of the run:");
        line(out, &format!("        {} watched only {left} after `{label}`", plural(never, "run")));
    }
}

/// The laws that were broken; the headline counts the others.
fn invariants(ensemble: &Ensemble, out: &mut String) {
    if ensemble.violations() > 0 {
        section(out, "invariants");
    }
    for run in &ensemble.runs {
        for law in run.invariants.iter().filter(|law| law.violations > 0) {
            let first = law.first.as_deref().unwrap_or("no details");
            line(out, &format!("  VIOLATED  {} in seed {}: {first}", law.name, run.seed));
        }
    }
}

/// What operators asked for in vain, with the reason.
fn refusals(ensemble: &Ensemble, out: &mut String) {
    let mut all: OrdMap<(RegionId, &str, String), (Time, Vec<u64>)> = OrdMap::new();
    for run in &ensemble.runs {
        for refused in &run.refusals {
            let key = (refused.region, &*refused.command, refused.reason.to_string());
            let (first, seeds) = all.entry(key).or_insert((refused.first, Vec::new()));
            *first = (*first).min(refused.first);
            seeds.push(run.seed);
        }
    }
    if all.is_empty() {
        return;
    }
    section(out, "refused to operators");
    let mut rows = vec![["command", "region", "reason", "first at", "seeds"].map(str::to_owned)];
    for ((region, command, reason), (first, of)) in all {
        let region = ensemble.spec.regions[region].name.to_string();
        rows.push([command.to_owned(), region, reason, first.to_string(), seeds(of.into_iter())]);
    }
    align(&rows, &[false; 5], out);
}

fn failovers(ensemble: &Ensemble, out: &mut String) {
    let all = recoveries(ensemble);
    for of_fault in all.chunk_by(|a, b| a.fault == b.fault) {
        let entry = &ensemble.spec.timeline[of_fault[0].entry];
        section(out, &format!("failover: {} at {}", entry.label, of_fault[0].at));
        hit(ensemble, of_fault[0].fault, out);
        for some in of_fault.chunks(CASES_ABREAST) {
            failover_table(ensemble, some, out);
        }
    }
}

/// One column per case, one row per election, stage and source of requests.
fn failover_table(ensemble: &Ensemble, cases: &[Recovery], out: &mut String) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |name: String, cell: &dyn Fn(&Recovery) -> String| {
        let cells: Vec<String> = cases.iter().map(cell).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push([name].into_iter().chain(cells).collect());
        }
    };
    let of = |case: &Recovery| case.failovers(ensemble);
    let mut groups: Vec<Group> = Vec::new();
    for (_, failover) in cases.iter().flat_map(of) {
        groups.extend(failover.elections.iter().map(|election| election.group));
    }
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let name = format!("{} leader elected, {}", group.system.name(), ensemble.spec.regions[group.region].name);
        let of_group = |failover: &Failover| -> Vec<Election> {
            failover.elections.iter().filter(|election| election.group == group).cloned().collect()
        };
        add(name.clone(), &|case| {
            let elected = |f: &Failover| {
                let wait = |e: &Election| e.elected.map_or(Wait::Unended, |elected| Wait::Ended(elected.since(f.at)));
                of_group(f).iter().map(wait).collect()
            };
            times(&waits_over_runs(&format!("{name}/{}", case.case), &of(case), elected))
        });
    }
    for (index, name) in STAGE_WORDS.iter().enumerate().take(STAGES.len()) {
        add((*name).to_owned(), &|case| times(&case.stages[index]));
    }
    add("allocations never replaced, of all lost".to_owned(), &|case| {
        let (never, lost) = of(case).iter().fold((0, 0), |(a, b), (_, f)| (a + f.unreplaced(), b + f.chains.len()));
        if never > 0 { format!("{never} of {lost}") } else { String::new() }
    });
    for (id, traffic) in ensemble.spec.traffic.iter() {
        for (what, pick) in [
            ("seconds below 95 % good", (|outage| Duration::from_secs(outage.seconds)) as fn(&Outage) -> Duration),
            ("longest without a good answer", |outage| outage.gap),
        ] {
            let name = format!("{}: {what}", traffic.name);
            add(name.clone(), &|case| {
                times(&over_runs(&format!("{name}/{}", case.case), &of(case), |f| vec![pick(&f.outages[id])]))
            });
        }
    }
    let head = |case: &Recovery| {
        let name = if case.case.is_empty() { "no case" } else { &*case.case };
        broken_up(&format!("{name}, {}", plural(case.members.len(), "run")), CASE_WIDTH)
    };
    let heads: Vec<Vec<String>> = cases.iter().map(head).collect();
    let title = "each step: median [95 %] / longest (samples)";
    for at in (0..heads.iter().map(Vec::len).max().unwrap_or(0)).rev() {
        let title = if at == 0 { title } else { "" };
        let of_line = heads.iter().map(|head| head.get(at).cloned().unwrap_or_default());
        rows.insert(0, [title.to_owned()].into_iter().chain(of_line).collect());
    }
    align(&rows, &vec![false; cases.len() + 1], out);
}

/// Median with its interval and longest of pooled times, and how many there are; with waits that never ended, how many
/// of those, too. Empty if there are none.
fn times(across: &Across) -> String {
    let samples = across.samples.unwrap_or(0);
    let shown = |name: &str| across.figure(name).map_or("never".to_owned(), |figure| span(figure.value));
    let (median, longest) = (shown("p50"), shown("max"));
    let sure = across.figure("p50").and_then(|median| median.interval);
    let sure = sure.map(|(low, high)| (span(low), span(high))).filter(|(low, high)| low != high);
    let sure = sure.map_or(String::new(), |(low, high)| format!(" [{low} … {high}]"));
    match (samples, across.unended) {
        (0, None) => String::new(),
        (1, None) => longest,
        (0, Some(unended)) => format!("never ({} never)", grouped(unended)),
        (_, None) => format!("{median}{sure} / {longest} ({})", grouped(samples)),
        (_, Some(unended)) => {
            format!("{median}{sure} / {longest} ({}, {} never)", grouped(samples), grouped(unended))
        }
    }
}

fn requests(ensemble: &Ensemble, out: &mut String) {
    let of = |name: &str| ensemble.across.iter().filter(move |(key, _)| key.name == name).collect::<Vec<_>>();
    let shares = of("request.success_ratio");
    if shares.is_empty() {
        return;
    }
    section(out, "requests");
    for (key, share) in shares {
        let same = |other: &Key| other.labels.get("traffic") == key.labels.get("traffic");
        let traffic = key.labels.get("traffic").map_or("", String::as_str);
        let service = key.labels.get("service").map_or("", String::as_str);
        let Some(value) = share.figure("value") else { continue };
        let samples = grouped(share.samples.unwrap_or(0));
        line(out, &format!("  {traffic} (service {service}): {} % good of {samples}", interval(value, precise)));
        if let Some((_, latency)) = of("request.latency").into_iter().find(|(other, _)| same(other)) {
            let text = |name: &str| latency.figure(name).map_or(String::new(), |f| interval(f, number));
            let plain = |name: &str| latency.figure(name).map_or(String::new(), |f| number(f.value));
            let (p50, p90, p99, longest) = (text("p50"), plain("p90"), text("p99"), plain("max"));
            line(out, &format!("    latency in ms: p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}"));
        }
        let mut errors: Vec<(u64, &str)> = of("request.errors")
            .into_iter()
            .filter(|(other, _)| same(other))
            .map(|(other, across)| {
                let kind = other.labels.get("kind").or(other.labels.get("outcome")).map_or("", String::as_str);
                (across.samples.unwrap_or(0), kind)
            })
            .filter(|&(count, _)| count > 0)
            .collect();
        errors.sort_by(|a, b| b.cmp(a));
        if !errors.is_empty() {
            let errors: Vec<String> =
                errors.into_iter().map(|(count, kind)| format!("{} x {kind}", grouped(count))).collect();
            line(out, &format!("    failed: {}", errors.join(", ")));
        }
    }
}

/// The other metrics, a line each: samples of time first, then levels and counts. Those that stayed at zero are left
/// out.
fn metrics(ensemble: &Ensemble, out: &mut String) {
    let mut times = vec![["", "p50", "95 %", "p99", "95 %", "max", "samples"].map(str::to_owned)];
    let mut levels = vec![["", "unit", "mean", "95 %", "final", "max", "runs"].map(str::to_owned)];
    for (key, across) in &ensemble.across {
        let shown = key.name.starts_with("failover.") || key.name.starts_with("request.");
        let detail = DETAILS.contains(&key.name.as_str());
        let nothing = |figure: &Figure| figure.value.abs() < f64::EPSILON;
        let zero = across.unended.is_none() && across.figures.iter().all(|(_, figure)| nothing(figure));
        // Terms that never changed say nothing; elections are counted anyway.
        let dull = key.name == "raft.term" || zero;
        if shown || detail || dull {
            continue;
        }
        let never = if across.unended.is_some() { "never" } else { "" };
        let cell = |name: &str| across.figure(name).map_or(never.to_owned(), |figure| number(figure.value));
        let sure = |name: &str| across.figure(name).and_then(|f| f.interval).map_or(String::new(), bounds);
        let samples = across.samples.map_or(String::new(), grouped);
        let name = key.to_string();
        if across.samples.is_some() && across.unit == "ms" {
            times.push([name, cell("p50"), sure("p50"), cell("p99"), sure("p99"), cell("max"), samples]);
        } else {
            let unit = across.unit.to_owned();
            let mean = if across.figure("mean").is_some() { "mean" } else { "value" };
            let runs = across.runs.to_string();
            levels.push([name, unit, cell(mean), sure(mean), cell("final"), cell("max"), runs]);
        }
    }
    if times.len() > 1 {
        section(out, "times in ms");
        align(&times, &[false, true, false, true, false, true, true], out);
    }
    if levels.len() > 1 {
        section(out, "levels, counts and shares");
        align(&levels, &[false, false, true, false, true, true, true], out);
    }
}

/// Values that nobody measured or published, and how much depends on them if that was found.
fn assumed(ensemble: &Ensemble, out: &mut String) {
    if ensemble.assumed.is_empty() {
        return;
    }
    let Some(sensitivity) = &ensemble.sensitivity else {
        let how = format!("`cossim sensitivity {}` finds how much depends on them", ensemble.arguments);
        section(out, &format!("assumed values all of this rests on; {how}"));
        let values = ensemble.assumed.iter().map(|parameter| (&*parameter.path, &*parameter.value));
        return wrapped(&gathered(values), out);
    };
    section(
        out,
        &format!("assumed values all of this rests on, and the sensitivity found ({})", analysed(sensitivity)),
    );
    let row = |parameter: &Parameter| {
        [format!("{} = {}", parameter.path, parameter.value), found(sensitivity, &parameter.path)]
    };
    align(&ensemble.assumed.iter().map(row).collect::<Vec<_>>(), &[false; 2], out);
}

/// Writes items one after the other, as many to a line as fit.
fn wrapped(items: &[String], out: &mut String) {
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        let item = if at + 1 < items.len() { format!("{item},") } else { item.clone() };
        if !text.is_empty() && text.chars().count() + item.chars().count() > WRAPPED_WIDTH {
            line(out, &format!(" {text}"));
            text.clear();
        }
        text.push(' ');
        text.push_str(&item);
    }
    line(out, &format!(" {text}"));
}

/// The command that shows again what is worth a look: the run of a broken law, or that furthest from an expectation
/// that is not met; or else all that was run.
fn reproduce(ensemble: &Ensemble, out: &mut String) {
    if ensemble.runs.is_empty() {
        return;
    }
    let broken = ensemble.runs.iter().find(|run| run.invariants.iter().any(|law| law.violations > 0));
    let unmet = || {
        let verdict = ensemble.verdicts.iter().find(|verdict| !verdict.met)?;
        let passes = |place: usize| verdict.runs.get(place).is_some_and(|(_, judged)| *judged == Judgement::Pass);
        let place = verdict.nearest.filter(|place| !passes(*place));
        ensemble.runs.get(place.or_else(|| (0..ensemble.runs.len()).find(|place| !passes(*place)))?)
    };
    out.push('\n');
    let (word, seeds) = match broken.or_else(unmet) {
        Some(run) => ("reproduce", format!(" --seed {}", run.seed)),
        None => ("again", ensemble.asked_seeds.as_ref().map_or(String::new(), |asked| format!(" {asked}"))),
    };
    line(out, &format!("{word}: cossim run {}{seeds}", ensemble.arguments));
}

/// A figure and, if there is one, its 95 % interval.
fn interval(figure: &Figure, show: fn(f64) -> String) -> String {
    let sure = figure.interval.map_or(String::new(), |(low, high)| format!(" [{} … {}]", show(low), show(high)));
    format!("{}{sure}", show(figure.value))
}

fn bounds((low, high): (f64, f64)) -> String {
    let (low, high) = (number(low), number(high));
    if low == high { String::new() } else { format!("{low} … {high}") }
}

/// A text in lines of so many characters at most, broken at spaces; a longer word stays whole.
pub(crate) fn broken_up(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The first so many characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

pub(super) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn section(out: &mut String, title: &str) {
    out.push('\n');
    line(out, title);
}

pub(super) fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Writes rows in columns; the first row is the header.
pub(super) fn align(rows: &[impl AsRef<[String]>], right: &[bool], out: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row.as_ref()[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..right.len()).map(width).collect();
    for row in rows {
        let mut text = String::from(" ");
        for ((cell, &width), &right) in row.as_ref().iter().zip(&widths).zip(right) {
            let pad = width - cell.chars().count();
            let (before, after) = if right { (pad, 0) } else { (0, pad) };
            write!(text, " {:before$}{cell}{:after$} ", "", "").expect("a string takes every character");
        }
        line(out, &text);
    }
}

/// Three significant decimals for small figures, none for large ones.
pub fn number(figure: f64) -> String {
    let magnitude = figure.abs();
    if magnitude >= 10_000.0 {
        let sign = if figure < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(libm::rint(magnitude) as u64));
    }
    let text = if magnitude >= 1_000.0 {
        format!("{figure:.0}")
    } else if magnitude >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.3}")
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Percent of success: the nines matter.
fn precise(percent: f64) -> String {
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An integer in groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds, in the unit a reader prefers.
pub fn span(ms: f64) -> String {
    match ms {
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        ..99_950.0 => format!("{:.1} s", ms / 1e3),
        _ => format!("{} s", grouped(libm::rint(ms / 1e3) as u64)),
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-=:,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_spans_have_units() {
        for (figure, text) in [
            (0.0, "0"),
            (-0.000_1, "0"),
            (-2.5, "-2.5"),
            (0.123_456, "0.123"),
            (42.04, "42"),
            (1_234.5, "1234"),
            (1e6, "1 000 000"),
        ] {
            assert_eq!(number(figure), text);
        }
        for (ms, text) in [(0.25, "0.2 ms"), (34.4, "34 ms"), (2_930.0, "2.9 s"), (1_726_000.0, "1 726 s")] {
            assert_eq!(span(ms), text);
        }
    }
}
