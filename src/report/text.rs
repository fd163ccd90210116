//! The table a run prints.

use std::fmt::Write as _;

use crate::analysis::ensemble::{Ensemble, Judgement};
use crate::base::time::Duration;
use crate::report::json::stages;

/// The whole text, ending in a newline.
pub fn render(ensemble: &Ensemble) -> String {
    let mut out = String::new();
    header(ensemble, &mut out);
    metrics(ensemble, &mut out);
    failovers(ensemble, &mut out);
    expectations(ensemble, &mut out);
    invariants(ensemble, &mut out);
    out
}

fn header(ensemble: &Ensemble, out: &mut String) {
    let seeds: Vec<String> = ensemble.runs.iter().map(|run| run.seed.to_string()).collect();
    let events: u64 = ensemble.runs.iter().map(|run| run.events).sum();
    let span = ensemble.spec.duration;
    line(out, &format!("{}  (cossim {})", ensemble.spec.name, env!("CARGO_PKG_VERSION")));
    line(out, &format!("seeds {}  |  {span} each  |  {events} events", seeds.join(" ")));
    if let [only] = ensemble.runs.as_slice() {
        line(out, &format!("digest {:016x}", only.digest));
    }
}

fn metrics(ensemble: &Ensemble, out: &mut String) {
    let mut rows = vec![["metric", "unit", "statistic", "value", "95 % interval", "samples"].map(str::to_owned)];
    for (key, across) in &ensemble.across {
        let shown = match across.figures.as_slice() {
            [] => continue,
            [("p50", _), ..] => ["p50", "p99"].as_slice(),
            [("final", _), ..] => ["mean", "max"].as_slice(),
            _ => ["mean", "value"].as_slice(),
        };
        if across.figures.iter().all(|(_, figure)| figure.value.abs() < f64::EPSILON)
            && !key.name.starts_with("placement")
        {
            continue;
        }
        let mut name = key.to_string();
        for (statistic, figure) in across.figures.iter().filter(|(statistic, _)| shown.contains(statistic)) {
            let interval =
                figure.interval.map_or(String::new(), |(low, high)| format!("{} … {}", number(low), number(high)));
            let samples = across.samples.map_or(String::new(), |n| n.to_string());
            let unit = across.unit.to_owned();
            rows.push([
                std::mem::take(&mut name),
                unit,
                (*statistic).to_owned(),
                number(figure.value),
                interval,
                samples,
            ]);
        }
    }
    section(out, "metrics");
    align(&rows, &[false, false, false, true, true, true], out);
}

fn failovers(ensemble: &Ensemble, out: &mut String) {
    for case in &ensemble.cases {
        let seeds: Vec<String> = case.members.iter().map(|&member| ensemble.runs[member].seed.to_string()).collect();
        section(out, &format!("failover: {}  (seeds {})", case.name, seeds.join(" ")));
        let faults = case.members.first().map_or(0, |&member| ensemble.runs[member].failovers.len());
        for fault in 0..faults {
            let of_run = |member: &usize| ensemble.runs[*member].failovers.get(fault);
            let all: Vec<_> = case.members.iter().filter_map(of_run).collect();
            let Some(first) = all.first() else { continue };
            let label = &ensemble.spec.timeline[first.entry].label;
            line(out, &format!("{label} at {}", first.at));
            let mut rows = vec![["stage", "median", "longest", "allocs"].map(str::to_owned)];
            for election in &first.elections {
                let group = election.group;
                let mut times: Vec<Duration> = all
                    .iter()
                    .flat_map(|failover| {
                        failover.elections.iter().filter(|e| e.group == group).map(|e| (e, failover.at))
                    })
                    .filter_map(|(election, at)| election.elected.map(|end| end.since(at)))
                    .collect();
                times.sort_unstable();
                let name =
                    format!("{} leader elected, {}", group.system.name(), ensemble.spec.regions[group.region].name);
                let show =
                    |span: Option<&Duration>| span.map_or("never".to_owned(), |span| millis(span.as_millis_f64()));
                rows.push([
                    name,
                    show(times.get(times.len().saturating_sub(1) / 2)),
                    show(times.last()),
                    String::new(),
                ]);
            }
            for (index, name) in STAGE_WORDS.iter().enumerate() {
                let per_run: Vec<_> =
                    all.iter().filter_map(|failover| stages(failover).into_iter().nth(index)).collect();
                let count: usize = per_run.iter().map(|stage| stage.count).sum();
                if count == 0 {
                    continue;
                }
                let mut medians: Vec<f64> = per_run.iter().filter_map(|stage| stage.p50_ms).collect();
                medians.sort_by(f64::total_cmp);
                let longest = per_run.iter().filter_map(|stage| stage.max_ms).fold(0.0, f64::max);
                let median = medians.get(medians.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
                rows.push([(*name).to_owned(), millis(median), millis(longest), count.to_string()]);
            }
            let unreplaced: usize = all.iter().map(|failover| failover.unreplaced()).sum();
            align(&rows, &[false, true, true, true], out);
            if unreplaced > 0 {
                line(out, &format!("  {unreplaced} allocations were never replaced"));
            }
        }
    }
}

/// What each stage is, in words.
const STAGE_WORDS: [&str; 6] = [
    "node marked down",
    "replacement placed",
    "task running",
    "checks passing",
    "in a proxy's table",
    "first good request",
];

fn expectations(ensemble: &Ensemble, out: &mut String) {
    if ensemble.verdicts.is_empty() {
        return;
    }
    section(out, "expectations");
    for verdict in &ensemble.verdicts {
        let count = |wanted| verdict.runs.iter().filter(|(_, judgement)| *judgement == wanted).count();
        let (failed, idle) = (count(Judgement::Fail), count(Judgement::NotExercised));
        let worst =
            verdict.runs.iter().find(|(_, judgement)| *judgement == verdict.overall).map_or("", |(text, _)| text);
        let mark = if verdict.met { "ok  " } else { "FAIL" };
        let note = match (failed, idle) {
            (0, 0) => format!("all {} runs, e.g. {worst}", verdict.runs.len()),
            (0, idle) => format!("not exercised in {idle} of {} runs", verdict.runs.len()),
            (failed, _) => format!("fails in {failed} of {} runs, e.g. {worst}", verdict.runs.len()),
        };
        line(out, &format!("  {mark}  {}  ({note})", verdict.text));
    }
}

fn invariants(ensemble: &Ensemble, out: &mut String) {
    let checks: u64 = ensemble.runs.iter().flat_map(|run| &run.invariants).map(|law| law.checks).sum();
    let laws = ensemble.runs.first().map_or(0, |run| run.invariants.len());
    section(out, "invariants");
    line(out, &format!("  {laws} laws, {checks} checks, {} violations", ensemble.violations()));
    for run in &ensemble.runs {
        for law in run.invariants.iter().filter(|law| law.violations > 0) {
            let first = law.first.as_deref().unwrap_or("");
            line(out, &format!("  VIOLATED  {} in seed {}: {first}", law.name, run.seed));
        }
    }
}

fn section(out: &mut String, title: &str) {
    out.push('\n');
    line(out, title);
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Writes rows in columns; the first row is the header.
fn align(rows: &[impl AsRef<[String]>], right: &[bool], out: &mut String) {
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
    let text = if magnitude >= 1_000.0 {
        format!("{figure:.0}")
    } else if magnitude >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.3}")
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Milliseconds, in the unit a reader prefers.
fn millis(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{:.1} s", ms / 1_000.0) } else { format!("{ms:.0} ms") }
}
