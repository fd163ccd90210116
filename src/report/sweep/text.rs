//! The table a sweep prints: what was run, what each point came to, and what that teaches.

use std::fmt::Write as _;

use crate::analysis::judge::Judgement;
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::table::{Difference, Estimate, Swept};
use crate::measure::objective::Objective;
use crate::report::frame::seeds;

/// More points are left to the files.
const POINTS_MAX: usize = 48;

/// The whole text, ending in a newline.
pub fn render(swept: &Swept, findings: &Findings) -> String {
    let mut out = String::new();
    header(swept, &mut out);
    points(swept, &mut out);
    taught(findings, &mut out);
    out
}

/// The same without the points.
pub fn brief(swept: &Swept, findings: &Findings) -> String {
    let mut out = String::new();
    header(swept, &mut out);
    taught(findings, &mut out);
    out
}

fn taught(findings: &Findings, out: &mut String) {
    if !findings.sentences.is_empty() {
        out.push_str("\nfindings\n");
        for sentence in &findings.sentences {
            let _ = writeln!(out, "  - {sentence}");
        }
    }
}

fn header(swept: &Swept, out: &mut String) {
    let plan = &swept.sweep.plan;
    let all = swept.sweep.readings.expectations.len();
    let fared: Vec<Fared> = (0..swept.points()).map(|point| Fared::of(swept, point)).collect();
    let met = fared.iter().filter(|fared| fared.met == all).count();
    let idle = fared.iter().filter(|fared| fared.idle > 0).count();
    let idle = if idle > 0 { format!(" (not all exercised at {idle})") } else { String::new() };
    let expected = match all {
        0 => "no expectations".to_owned(),
        _ => format!("all expectations met at {met} of {} points{idle}", swept.points()),
    };
    let _ = writeln!(out, "sweep  {}: {expected}; {} violations", swept.sweep.name, swept.violations());
    let runs = format!("{} runs: {} points with seeds", swept.rows.len(), swept.points());
    let _ = writeln!(out, "{runs} {}  |  design {}", seeds(plan.seeds.iter().copied()), design(swept));
    let _ = writeln!(out, "cossim {}  |  sweep digest {}", env!("CARGO_PKG_VERSION"), swept.digest);
}

/// `lhs, 40 samples, seed 1`
pub(super) fn design(swept: &Swept) -> String {
    let plan = &swept.sweep.plan;
    match plan.design.samples() {
        None => plan.design.name().to_owned(),
        Some(samples) => format!("{}, {samples} samples, design seed {}", plan.design.name(), plan.design_seed),
    }
}

/// How the expectations fared at a point.
struct Fared {
    /// Exercised and met.
    met: usize,
    /// Not exercised, whether or not that counts as met.
    idle: usize,
}

impl Fared {
    fn of(swept: &Swept, point: usize) -> Self {
        let all = 0..swept.sweep.readings.expectations.len();
        let all: Vec<_> = all.map(|expectation| swept.held(point, expectation)).collect();
        let count = |wanted| all.iter().filter(|held| held.overall == wanted).count();
        Self { met: count(Judgement::Pass), idle: count(Judgement::NotExercised) }
    }
}

fn points(swept: &Swept, out: &mut String) {
    let readings = &swept.sweep.readings;
    let more =
        if compares(swept) { "; from first: the same of the difference to the first point, within seeds" } else { "" };
    let _ = writeln!(out, "\npoints (mean over seeds, 95 % interval{more})");
    let mut rows = vec![Vec::new()];
    rows[0].extend(swept.sweep.dimensions.iter().map(|dimension| dimension.path.clone()));
    for measure in &readings.measures {
        rows[0].push(measure.measured());
        if compares(swept) {
            rows[0].push("from first".to_owned());
        }
    }
    if !readings.expectations.is_empty() {
        rows[0].push("met".to_owned());
    }
    for point in 0..swept.points().min(POINTS_MAX) {
        let mut row = swept.sweep.layout.values[point].clone();
        for (index, measure) in readings.measures.iter().enumerate() {
            row.push(shown(measure, &swept.estimate(point, index)));
            if compares(swept) {
                row.push(swept.difference(point, index).map_or(String::new(), |found| from_first(measure, &found)));
            }
        }
        if !readings.expectations.is_empty() {
            let Fared { met, idle } = Fared::of(swept, point);
            let idle = if idle > 0 { format!(", {idle} not exercised") } else { String::new() };
            row.push(format!("{met} of {}{idle}", readings.expectations.len()));
        }
        rows.push(row);
    }
    for line in aligned(&rows) {
        let _ = writeln!(out, "  {line}");
    }
    if swept.points() > POINTS_MAX {
        let _ = writeln!(out, "  … and {} more in points.csv", swept.points() - POINTS_MAX);
    }
}

/// Whether the points are compared with the first: in a design that samples, that is as good as any.
fn compares(swept: &Swept) -> bool {
    swept.points() > 1 && matches!(swept.sweep.plan.design, Design::Grid | Design::List)
}

/// `+5s [4.8s, 5.2s]`
fn from_first(measure: &Objective, found: &Difference) -> String {
    let signed = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, measure.show(value));
    let interval = found.interval.map(|(low, high)| format!(" [{}, {}]", signed(low), signed(high)));
    format!("{}{}", signed(found.mean), interval.unwrap_or_default())
}

/// `31.2s [28.1s, 34s], 1 never`
fn shown(measure: &Objective, estimate: &Estimate) -> String {
    let mut text = estimate.mean.map_or("no data".to_owned(), |mean| measure.show(mean));
    if let Some((low, high)) = estimate.interval {
        let _ = write!(text, " [{}, {}]", measure.show(low), measure.show(high));
    }
    match estimate.never {
        0 => text,
        never if estimate.mean.is_none() => format!("never in {never} seeds"),
        never => format!("{text}, {never} never"),
    }
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded = cells.map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::sweep::testing::swept;
    use crate::report::sweep::csv;

    /// In the table, in its first line and in `points.csv` alike, nothing that happened is neither held nor failed.
    #[test]
    fn what_no_run_exercises_is_not_told_as_met() {
        let vary = ["options.heartbeat_grace=5s,6s,7s"];
        let figure = |at: &[f64], _| (at[0] > 5.5).then_some(if at[0] > 6.5 { 1e6 } else { 0.0 });
        let swept = swept(Design::Grid, &vary, 2, figure);
        let text = render(&swept, &Findings::of(&swept));
        let all = swept.sweep.readings.expectations.len();
        assert!(text.contains("met at 1 of 3 points (not all exercised at 1); 0 violations"), "{text}");
        assert!(text.contains(&format!("0 of {all}, {all} not exercised\n")), "{text}");
        assert!(text.contains(&format!("{all} of {all}\n")) && text.contains(&format!("0 of {all}\n")), "{text}");
        let table = String::from_utf8(csv::points(&swept)).expect("text");
        let ends: Vec<&str> = table.lines().skip(1).filter_map(|line| line.get(line.len() - 9..)).collect();
        assert!(ends[0].ends_with(",,0,2") && ends[1].ends_with(",true,2,0") && ends[2].ends_with("false,0,0"));
    }
}
