//! The quality of placements as tables for a terminal or a log.

use crate::analysis::compare::{Exact, Gate, Verdict, listed};
use crate::analysis::quality::Scores;
use crate::analysis::quality::judge::Judged;
use crate::analysis::statistics::median;
use crate::report::text::{align, line, number, plural};

/// What workloads came to: every figure, its median over the seeds, and its range.
pub fn scores(all: &[Scores]) -> String {
    let mut rows = vec![["workload", "figure", "unit", "median", "least", "most"].map(str::to_owned)];
    for scores in all {
        for figure in &scores.figures {
            let values: Vec<f64> = figure.values.iter().copied().flatten().collect();
            let Some(middle) = median(&values) else { continue };
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let [middle, least, most] = [middle, least, most].map(shown);
            let name = format!("{} {}", figure.metric, figure.statistic);
            rows.push([scores.workload.clone(), name, figure.unit.clone(), middle, least, most]);
        }
    }
    let mut text = String::new();
    align(&rows, &[false, false, false, true, true, true], &mut text);
    text
}

/// What changed, and the sum of it. `all` lists what did not, too.
pub fn verdicts(found: &[Judged], all: bool) -> String {
    let mut rows = vec![
        ["verdict", "workload", "figure", "unit", "before", "after", "effect", "95 % interval", "seeds that moved"]
            .map(str::to_owned),
    ];
    for judged in found {
        for name in &judged.lost {
            let [verdict, none] = ["lost", "-"].map(str::to_owned);
            let workload = judged.workload.clone();
            let mut row: [String; 9] = std::array::from_fn(|_| none.clone());
            [row[0], row[1], row[2]] = [verdict, workload, name.clone()];
            rows.push(row);
        }
        for row in judged.comparison.rows.iter().filter(|row| all || row.verdict != Verdict::Same) {
            rows.push([
                row.verdict.name().to_owned(),
                judged.workload.clone(),
                format!("{} {}", row.metric, row.statistic),
                row.unit.clone(),
                shown(row.base),
                shown(row.head),
                if row.is_never() { "none".to_owned() } else { signed(row.effect) },
                row.interval
                    .filter(|_| !row.is_never())
                    .map_or_else(|| "-".to_owned(), |(low, high)| format!("{} to {}", signed(low), signed(high))),
                format!("{} of {}", row.moved, row.pairs),
            ]);
        }
    }
    let mut text = String::new();
    for judged in found {
        for law in &judged.broken {
            line(&mut text, &format!("VIOLATED  {}: {law}", judged.workload));
        }
    }
    if rows.len() > 1 {
        align(&rows, &[false, false, false, false, true, true, true, true, true], &mut text);
        text.push('\n');
    }
    let count = |verdict| found.iter().map(|judged| judged.comparison.count_figures(verdict)).sum::<usize>();
    let lost = found.iter().map(|judged| judged.lost.len() + lost_otherwise(judged).count()).sum::<usize>();
    let (worse, better, none) =
        (count(Verdict::Regression) + lost, count(Verdict::Improvement), count(Verdict::NoEvidence));
    let same = found.iter().filter(|judged| judged.comparison.identical).count();
    let workloads = plural(found.len(), "workload");
    line(
        &mut text,
        &format!("{workloads}, {same} identical: {worse} figures worse, {better} better, {none} without evidence"),
    );
    found.iter().for_each(|judged| holes(judged, &mut text));
    let broken = found.iter().map(|judged| judged.broken.len()).sum::<usize>();
    if broken > 0 {
        line(&mut text, &format!("{} broken: what they keep is no matter of quality", plural(broken, "law")));
    }
    let gate = Gate::Regression;
    for judged in found.iter().filter(|judged| judged.comparison.undecided(gate)) {
        let (workload, needed) = (&judged.workload, judged.comparison.seeds_needed(gate));
        let why = match needed {
            Some(needed) => {
                let (moved, seeds) = (judged.comparison.seeds_moved(gate), judged.comparison.seeds.len());
                format!(
                    "figures became worse in {moved} of {seeds} seeds at most, too few to show any difference: at least \
                     {needed} are needed"
                )
            }
            None if judged.comparison.lacks_seeds() => {
                "fewer than half of the baseline's seeds can be compared".to_owned()
            }
            None if judged.comparison.starved().next().is_some() => {
                let all = judged.comparison.starved().map(|row| format!("{} {}", row.metric, row.statistic));
                format!("worse in every seed that has data, and too few have: {}", all.collect::<Vec<_>>().join(", "))
            }
            None if judged.comparison.thinned.is_empty() => {
                let all = judged.comparison.unended.join(", ");
                format!("in some seeds {all} never ended and did before, and too few seeds did so to tell why")
            }
            None => format!("too few seeds to tell why most have no {} any more", judged.comparison.thinned.join(", ")),
        };
        line(&mut text, &format!("{workload}: {why}"));
    }
    line(
        &mut text,
        "before and after are medians over seeds; effect is how far the seeds that moved did, or the mean over all if \
         that is more",
    );
    text
}

/// What became worse without a figure of its own, and is not of a figure that is listed as lost.
fn lost_otherwise(judged: &Judged) -> impl Iterator<Item = &Exact> {
    let is_told = |what: &str| judged.lost.iter().any(|name| name.starts_with(what));
    let worse = judged.comparison.exact.iter().filter(|exact| exact.verdict == Verdict::Regression);
    worse.filter(move |exact| !is_told(&exact.what))
}

/// What could not be compared of a workload, because one side lacks it.
fn holes(judged: &Judged, text: &mut String) {
    let workload = &judged.workload;
    let silent = judged.comparison.exact.iter().filter(|exact| exact.verdict == Verdict::NoEvidence);
    for exact in lost_otherwise(judged).chain(silent) {
        let silent = if exact.verdict == Verdict::NoEvidence { ": no evidence" } else { "" };
        line(text, &format!("{workload}: {} was {} and is {}{silent}", exact.what, exact.base, exact.head));
    }
    if !judged.unguarded.is_empty() {
        let figures = judged.unguarded.join(", ");
        line(text, &format!("{workload}: the baseline has nothing of {figures}: write it anew with `--save`"));
    }
    let left_out = &judged.comparison.only_base;
    if !left_out.is_empty() {
        line(text, &format!("{workload}: seeds {} are only in the baseline and are left out", listed(left_out)));
    }
}

fn shown(value: f64) -> String {
    if value.is_finite() { number(value) } else { "never".to_owned() }
}

fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    if value.is_finite() { format!("{sign}{}", number(value)) } else { format!("{sign}never") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::quality::Figure;
    use crate::analysis::quality::judge::judge;

    /// What a gate no longer looks after is said.
    #[test]
    fn holes_of_a_baseline_are_told() {
        let figure = |statistic: &str, seeds: usize| Figure {
            metric: "placement.time_to_running{region=r}".to_owned(),
            statistic: statistic.to_owned(),
            unit: "ms".to_owned(),
            values: vec![Some(5.0); seeds],
        };
        let of = |seeds: usize, statistics: &[&str]| Scores {
            workload: "w".to_owned(),
            digest: "d".to_owned(),
            seeds: (1..=seeds as u64).collect(),
            figures: statistics.iter().map(|statistic| figure(statistic, seeds)).collect(),
            broken: Vec::new(),
        };
        let told =
            |before: Scores, now: Scores| verdicts(&judge(&[before], &[now]).expect("they belong together"), false);
        let text = told(of(4, &["p50"]), of(4, &["p50", "p99"]));
        assert!(
            text.contains("w: the baseline has nothing of placement.time_to_running{region=r} p99: write"),
            "{text}"
        );
        let text = told(of(4, &["p50"]), of(3, &["p50"]));
        assert!(text.contains("w: seeds 4 are only in the baseline and are left out"), "{text}");
        let text = told(of(4, &["p50"]), of(4, &["p50"]));
        assert!(!text.contains("w: "), "{text}");
        // A metric that is gone is one thing for each of its figures, and no third one.
        let text = told(of(4, &["p50", "p99"]), of(4, &[]));
        assert!(text.contains(": 2 figures worse, 0 better"), "{text}");
    }

    /// Two percentiles of one wait are one fact, and one figure that is worse; what ends on neither side is none.
    #[test]
    fn figures_that_tell_the_same_are_counted_once() {
        let of = |by: f64| {
            let figure = |metric: &str, statistic: &str, value: f64| Figure {
                metric: metric.to_owned(),
                statistic: statistic.to_owned(),
                unit: "ms".to_owned(),
                values: vec![Some(value); 12],
            };
            let wait = "placement.time_to_running{region=r}";
            let never = figure("failover.replace{region=r}", "p50", f64::INFINITY);
            Scores {
                workload: "w".to_owned(),
                digest: "d".to_owned(),
                seeds: (1..=12).collect(),
                figures: vec![never, figure(wait, "p50", 5.0 + by), figure(wait, "p99", 5.0 + by)],
                broken: Vec::new(),
            }
        };
        let text = verdicts(&judge(&[of(0.0)], &[of(3.0)]).expect("they belong together"), true);
        assert!(text.contains(": 1 figures worse, 0 better"), "{text}");
        let never = text.lines().find(|line| line.contains("failover.replace{region=r} p50")).expect("it is listed");
        let words: Vec<&str> = never.split_whitespace().skip(5).collect();
        assert_eq!(words, ["never", "never", "none", "-", "0", "of", "12"], "{never}");
    }
}
