//! Whether waits still end: a yes or no of each seed, whatever the waits that do end come to.
//!
//! The signed-rank test knows a wait that never ended as longer than any other, and no more than that: a few of them
//! are lost beside many that moved a little the other way. What a user notices is that they never end. So the seeds
//! whose figure is finite are counted, and those that changed tell ([`super::yes_no`]).

use super::figures::figure;
use super::yes_no::{Answers, Chance, Turn};
use super::{Exact, Limit, Row, Tolerances, Verdict};
use crate::analysis::statistics::sign;
use crate::analysis::summary::Run;
use crate::base::ordered::OrdSet;
use crate::measure::catalogue;

/// In which seeds some figures of one metric ended; all of them in the same.
#[derive(Debug)]
pub(super) struct Ended<'r> {
    metric: &'r str,
    statistics: Vec<&'static str>,
    /// Seeds in which both sides have them.
    pairs: usize,
    /// By pair; no on both sides where one of them has no data.
    pub(super) answers: Answers,
}

/// What became of the waits.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Those that end in other numbers of seeds.
    pub(super) exact: Vec<Exact>,
    /// Those that ended in some seeds and never do now, if these are too few to tell that from chance.
    pub(super) unsure: Vec<String>,
}

/// The waits that ended on one side and never on the other in some seed; not those that the tolerances ignore.
pub(super) fn ended<'r>(pairs: &[(&'r Run, &'r Run)], tolerances: &Tolerances) -> Vec<Ended<'r>> {
    let runs = pairs.iter().flat_map(|(base, head)| [base, head]);
    let unended = runs.flat_map(|run| run.metrics.iter().filter(|(_, metric)| metric.unended.is_some()));
    let keys: OrdSet<&String> = unended.map(|(key, _)| key).collect();
    let mut all: Vec<Ended<'_>> = Vec::new();
    for key in keys {
        let Some(known) = catalogue::of_key(key) else { continue };
        let statistics = tolerances.statistics(key, known.kind);
        for statistic in statistics.into_iter().filter(|name| tolerances.limit(key, name) != Limit::Ignored) {
            let of = |run: &Run| run.metrics.get(key).and_then(|metric| figure(metric, statistic));
            let both: Vec<Option<(f64, f64)>> = pairs.iter().map(|(base, head)| of(base).zip(of(head))).collect();
            let ended = |pair: &Option<(f64, f64)>| pair.map(|(base, head)| (base.is_finite(), head.is_finite()));
            let answers = Answers(both.iter().map(|pair| ended(pair).unwrap_or_default()).collect());
            match all.iter_mut().find(|one| one.metric == key && one.answers == answers) {
                Some(one) => one.statistics.push(statistic),
                None if answers.changed() == (0, 0) => {}
                None => {
                    let (pairs, statistics) = (both.iter().flatten().count(), vec![statistic]);
                    all.push(Ended { metric: key, statistics, pairs, answers });
                }
            }
        }
    }
    all
}

/// What became of these waits.
pub(super) fn judge(ended: &[Ended<'_>], chance: &Chance<'_>) -> Judged {
    let mut judged = Judged::default();
    for one in ended {
        let (base, head) = (one.answers.base(), one.answers.head());
        let what = format!("{} {}", one.metric, one.statistics.join(", "));
        let verdict = match chance.turn(&one.answers) {
            Turn::Fewer => Verdict::Regression,
            Turn::More => Verdict::Improvement,
            Turn::Chance if base == head => continue,
            Turn::Chance => Verdict::NoEvidence,
        };
        if verdict == Verdict::NoEvidence && is_unsure(&one.answers, chance.level) {
            judged.unsure.push(what.clone());
        }
        let of = |count: usize| format!("ended in {count} of {} seeds", one.pairs);
        judged.exact.push(Exact { what, base: of(base), head: of(head), verdict });
    }
    judged
}

/// Whether more waits never end, and so few changed that no number of them would be evidence, or all of them that way.
fn is_unsure(answers: &Answers, level: f64) -> bool {
    let (fewer, more) = answers.changed();
    let changed = fewer + more;
    fewer > more && (more == 0 || sign::at_least(changed, changed) > level)
}

/// Those that no figure tells: one that is worse because it never ends any more, or better because it does, tells the
/// same.
pub(super) fn untold(exact: Vec<Exact>, rows: &[Row]) -> Vec<Exact> {
    let tells = |row: &Row, exact: &Exact| {
        let is_of = exact.what.strip_prefix(&row.metric).and_then(|rest| rest.strip_prefix(' '));
        let is_of = is_of.is_some_and(|statistics| statistics.split(", ").any(|own| own == row.statistic));
        is_of && row.verdict == exact.verdict && row.verdict < Verdict::NoEvidence && row.effect.is_infinite()
    };
    exact.into_iter().filter(|exact| !rows.iter().any(|row| tells(row, exact))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare_tests::summary;
    use super::super::{Comparison, Gate, Tolerance, compare};
    use super::*;
    use crate::analysis::summary::Summary;

    /// Runs of these seeds; the wait of each, in ms.
    fn waits(digest: u64, seeds: u64, wait: impl Fn(u64) -> f64) -> Summary {
        let run = |seed: u64| {
            let wait = wait(seed);
            let ended = format!(r#""count": 1, "p50": {wait}, "p99": {wait}"#);
            let own = if wait.is_finite() { &*ended } else { r#""count": 0, "unended": 1"# };
            (seed, digest, format!(r#""failover.replace{{region=a}}": {{"unit": "ms", {own}}}"#))
        };
        summary(&(1..=seeds).map(run).collect::<Vec<_>>())
    }

    /// As many seeds never recover, and the others five seconds sooner than they did.
    fn never(of: u64, seeds: u64) -> Comparison {
        let base = waits(1, seeds, |seed| 20_000.0 + seed as f64);
        let head = waits(2, seeds, |seed| if seed <= of { f64::INFINITY } else { 15_000.0 + seed as f64 });
        compare(&base, &head, &Tolerances::default()).unwrap()
    }

    #[test]
    fn seeds_that_never_recover_are_not_made_up_for_by_others_that_do_sooner() {
        let worse = never(9, 30);
        let told = &worse.exact[0];
        assert_eq!(told.what, "failover.replace{region=a} p50, p99");
        assert_eq!((&*told.base, &*told.head), ("ended in 30 of 30 seeds", "ended in 21 of 30 seeds"));
        assert!(told.verdict == Verdict::Regression && worse.regressed(), "{worse:?}");
        assert_eq!(worse.exact.len(), 1, "two percentiles that end in the same seeds are one fact");
        let few = never(4, 12);
        assert_eq!((few.exact[0].verdict, few.regressed()), (Verdict::NoEvidence, false));
        assert_eq!(few.unended, ["failover.replace{region=a} p50, p99"]);
        assert!(few.undecided(Gate::Regression) && few.rows.iter().all(|row| row.verdict == Verdict::NoEvidence));
        // One of many, and all others significantly better: it is neither an improvement nor a pass.
        let one = never(1, 30);
        assert!(one.rows[0].p.is_some_and(|(_, p)| p < 0.05) && one.undecided(Gate::Regression), "{one:?}");
        assert!(one.rows.iter().all(|row| row.verdict == Verdict::NoEvidence), "{one:?}");
        let none = never(0, 30);
        assert!(none.exact.is_empty() && none.rows[0].verdict == Verdict::Improvement, "{none:?}");
    }

    /// Four of twelve never recover, and nothing became of the others: the figure says no more than that it moved.
    #[test]
    fn what_no_figure_shows_is_told_with_its_seeds() {
        let (base, head) = (waits(1, 12, |_| 9.0), waits(2, 12, |seed| if seed < 5 { f64::INFINITY } else { 9.0 }));
        let found = compare(&base, &head, &Tolerances::default()).unwrap();
        assert!(found.rows[0].effect.is_infinite() && found.undecided(Gate::Regression), "{found:?}");
        assert_eq!(
            (&*found.exact[0].base, &*found.exact[0].head),
            ("ended in 12 of 12 seeds", "ended in 8 of 12 seeds")
        );
    }

    #[test]
    fn waits_that_end_again_and_those_that_end_now_here_now_there() {
        let of = |digest, never: std::ops::Range<u64>| {
            waits(digest, 30, |seed| if never.contains(&seed) { f64::INFINITY } else { 9_000.0 })
        };
        let compared = |base, head, entries| {
            compare(&of(1, base), &of(2, head), &Tolerances { entries, ..Tolerances::default() }).unwrap()
        };
        let better = compared(1..8, 1..1, Vec::new());
        assert!(better.unended.is_empty() && !better.undecided(Gate::Regression), "{better:?}");
        // The figure says itself that it ends now.
        assert!(better.rows[0].effect.is_infinite() && better.exact.is_empty(), "{better:?}");
        let fares = |base, head| {
            let found = compared(base, head, Vec::new());
            (found.exact.first().map(|exact| exact.verdict), found.unended.len())
        };
        assert_eq!(fares(1..4, 4..7), (None, 0), "as many end as end no longer");
        assert_eq!(fares(1..3, 3..8), (Some(Verdict::NoEvidence), 0), "five of seven may well be chance");
        assert_eq!(fares(1..2, 2..5), (Some(Verdict::NoEvidence), 1), "of four nobody can tell");
        let limit = Limit::Ignored;
        let ignored = Tolerance { metric: "failover.replace".into(), labels: Vec::new(), statistic: None, limit };
        let found = compared(1..1, 1..20, vec![ignored]);
        assert!(found.exact.is_empty() && !found.regressed() && !found.undecided(Gate::Regression), "{found:?}");
    }

    /// All recover no more: one figure says so, and it is counted once.
    #[test]
    fn what_a_figure_tells_is_not_told_again() {
        let (base, head) = (waits(1, 8, |_| 20.0), waits(2, 8, |_| f64::INFINITY));
        let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
        assert!(comparison.exact.is_empty() && comparison.count(Verdict::Regression) == 1, "{comparison:?}");
    }
}
