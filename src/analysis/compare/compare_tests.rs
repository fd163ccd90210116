use std::fmt::Write as _;

use super::*;
use crate::analysis::summary::Overall;
use crate::analysis::summary::read::{Writer, parse};

/// A summary with these runs: seed, digest, and metrics as JSON. Another first digest is another scenario.
pub(super) fn summary(runs: &[(u64, u64, String)]) -> Summary {
    let scenario = runs[0].1;
    let runs: Vec<String> = runs
        .iter()
        .map(|(seed, digest, metrics)| {
            format!(
                r#"{{"seed": {seed}, "digest": "{digest:016x}", "simulated_s": 1, "events": 7, "case": "",
                "failovers": [], "unplaced": [], "expectations": [], "metrics": {{{metrics}}}, "invariants":
                [{{"name": "raft.log_matching", "checks": 9, "violations": 0}}]}}"#
            )
        })
        .collect();
    let text = format!(
        r#"{{"schema": 1, "cossim": "0.1.0", "scenario": "s", "scenario_digest": "{scenario:016x}", "file": "s.ron",
        "set": [], "passed": true, "across_runs": {{}}, "cases": [], "runs": [{}], "expectations": []}}"#,
        runs.join(",")
    );
    let mut summary = parse(&text, Writer::Any).unwrap();
    summary.expectations = vec![Overall {
        text: "plan.wait max < 1s".to_owned(),
        verdict: "pass".to_owned(),
        passed: 1,
        failed: 0,
        not_exercised: 0,
        nearest_seed: None,
    }];
    summary
}

/// Ten runs with a median wait and a share of good requests each.
pub(super) fn ten(digest: u64, wait: impl Fn(u64) -> f64, good: impl Fn(u64) -> f64) -> Summary {
    let run = |seed: u64| {
        let (wait, good) = (wait(seed), good(seed));
        let metrics = format!(
            r#""plan.wait{{region=a}}": {{"unit": "ms", "count": 5, "p50": {wait}, "p99": 9}},
            "request.success_ratio{{service=w,traffic=u}}": {{"unit": "%", "count": 50, "value": {good}}},
            "request.total{{service=w,traffic=u}}": {{"unit": "requests", "total": {}}}"#,
            1_000.0 + 100.0 * wait
        );
        (seed, digest, metrics)
    };
    summary(&(1..=10).map(run).collect::<Vec<_>>())
}

pub(super) fn wobble(seed: u64) -> f64 {
    [0.3, -0.2, 0.1, 0.5, -0.4, 0.2, -0.1, 0.4, -0.3, 0.0][seed as usize % 10]
}

fn verdict(comparison: &Comparison, metric: &str, statistic: &str) -> Verdict {
    let row = comparison.rows.iter().find(|row| row.metric.starts_with(metric) && row.statistic == statistic);
    row.unwrap_or_else(|| panic!("{metric} in {:?}", comparison.rows)).verdict
}

#[test]
fn equal_runs_are_identical_and_nothing_is_tested() {
    let base = ten(7, |seed| 5.0 + wobble(seed), |_| 99.0);
    let comparison = compare(&base, &base, &Tolerances::default()).unwrap();
    assert!(comparison.identical && comparison.rows.is_empty() && comparison.exact.is_empty());
    assert!(!comparison.regressed() && !comparison.differs());
    // The same digest with other figures is a change of what is measured, and no identity.
    let other = ten(7, |seed| 6.0 + wobble(seed), |_| 99.0);
    assert!(!compare(&base, &other, &Tolerances::default()).unwrap().identical);
}

#[test]
fn a_shift_in_every_seed_is_a_regression_one_way_and_an_improvement_the_other() {
    let base = ten(1, |seed| 5.0 + wobble(seed), |seed| 99.0 + 0.1 * wobble(seed));
    let head = ten(2, |seed| 6.0 + 1.1 * wobble(seed), |seed| 97.0 + 0.2 * wobble(seed));
    let forth = compare(&base, &head, &Tolerances::default()).unwrap();
    let back = compare(&head, &base, &Tolerances::default()).unwrap();
    for (comparison, expected) in [(&forth, Verdict::Regression), (&back, Verdict::Improvement)] {
        assert_eq!(verdict(comparison, "plan.wait", "p50"), expected, "more of a wait is worse");
        assert_eq!(verdict(comparison, "request.success_ratio", "value"), expected, "less of good answers is");
        assert_eq!(verdict(comparison, "plan.wait", "p99"), Verdict::Same);
        assert_eq!(verdict(comparison, "request.total", "total"), Verdict::Moved, "neither way of traffic is");
        assert_eq!(comparison.power, Power { tested: 2, able: 2 });
    }
    assert!(forth.regressed() && !back.regressed() && back.differs());
    let row = &forth.rows[0];
    // By hand: differences 1 + 0.1 wobble, all positive: p = 2/1024, twice that by Holm; their median is 1.005.
    assert!((row.effect - 1.005).abs() < 1e-9, "{row:?}");
    let (p, corrected) = row.p.unwrap();
    assert!((p - 2.0 / 1_024.0).abs() < 1e-12 && (corrected - 4.0 / 1_024.0).abs() < 1e-12, "{row:?}");
    let (low, high) = row.interval.unwrap();
    assert!(0.96 <= low && low < row.effect && row.effect < high && high <= 1.05, "{row:?}");
    assert!(row.detectable.unwrap() < 0.1 && row.gain.unwrap() > 10.0, "{row:?}");
}

#[test]
fn what_may_be_chance_or_is_within_the_tolerance_is_no_evidence() {
    let base = ten(1, |seed| 5.0 + wobble(seed), |_| 99.0);
    let chance = ten(2, |seed| 5.0 + wobble((seed * 7 + 3) % 10), |_| 99.0);
    let comparison = compare(&base, &chance, &Tolerances::default()).unwrap();
    assert_eq!(verdict(&comparison, "plan.wait", "p50"), Verdict::NoEvidence);
    assert!(comparison.rows[0].detectable.unwrap() > 0.1, "silence is no proof: {:?}", comparison.rows[0]);
    // Significant, but within 1 %, or within what a tolerance says, or not compared at all.
    let small = ten(2, |seed| 5.04 + wobble(seed), |_| 99.0);
    let comparison = compare(&base, &small, &Tolerances::default()).unwrap();
    assert_eq!(verdict(&comparison, "plan.wait", "p50"), Verdict::Tolerated);
    assert!(!comparison.regressed() && !comparison.differs());
    let large = ten(2, |seed| 6.0 + wobble(seed), |_| 99.0);
    let of = |limit| Tolerance { metric: "plan.wait".into(), labels: Vec::new(), statistic: Some("p50"), limit };
    let up = Tolerances { entries: vec![of(Limit::Up { relative: 0.0, absolute: 2.0 })], ..Tolerances::default() };
    assert_eq!(verdict(&compare(&base, &large, &up).unwrap(), "plan.wait", "p50"), Verdict::Tolerated);
    let none = Tolerances { entries: vec![of(Limit::Ignored)], ..Tolerances::default() };
    assert!(compare(&base, &large, &none).unwrap().rows.iter().all(|row| row.statistic != "p50"));
}

#[test]
fn waits_without_end_are_longer_than_any() {
    let with = |never: bool| {
        let (own, ended) =
            if never { (r#""unended": 1, "count": 0"#, "") } else { (r#""count": 1"#, r#", "p50": 20"#) };
        move |seed: u64| {
            (seed, u64::from(never), format!(r#""failover.replace{{region=a}}": {{"unit": "ms", {own}{ended}}}"#))
        }
    };
    let (base, head) =
        (summary(&(1..=8).map(with(false)).collect::<Vec<_>>()), summary(&(1..=8).map(with(true)).collect::<Vec<_>>()));
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    let row = &comparison.rows[0];
    assert_eq!((row.verdict, row.pairs, row.base), (Verdict::Regression, 8, 20.0));
    assert!(row.head.is_infinite() && row.effect.is_infinite(), "{row:?}");
    assert_eq!(compare(&head, &base, &Tolerances::default()).unwrap().rows[0].verdict, Verdict::Improvement);
}

#[test]
fn too_few_seeds_say_how_many_it_takes() {
    let of = |digest, shift: f64| {
        let run = |seed: u64| {
            (
                seed,
                digest,
                format!(r#""plan.wait{{region=a}}": {{"unit": "ms", "count": 5, "p50": {}}}"#, shift + seed as f64),
            )
        };
        summary(&[run(1), run(2), run(3)])
    };
    let comparison = compare(&of(1, 1.0), &of(2, 50.0), &Tolerances::default()).unwrap();
    assert_eq!((comparison.rows[0].verdict, comparison.seeds_needed(Gate::Regression)), (Verdict::NoEvidence, Some(6)));
    assert_eq!(comparison.rows[0].detectable, None);
    assert!(comparison.undecided(Gate::Regression) && !comparison.regressed());
    let same = compare(&of(1, 1.0), &of(1, 1.0), &Tolerances::default()).unwrap();
    assert!(!same.undecided(Gate::Regression), "what is identical needs no seeds");
    // What is exact is told by any number of seeds.
    let mut head = of(2, 50.0);
    head.expectations[0].verdict = "fail".to_owned();
    let comparison = compare(&of(1, 1.0), &head, &Tolerances::default()).unwrap();
    assert!(comparison.regressed() && !comparison.undecided(Gate::Regression));
}

/// Forty more figures that differ in two seeds of ten alone: they cannot show anything, and cost the one that can
/// nothing.
#[test]
fn figures_that_hardly_differ_cost_the_others_no_power() {
    let of = |digest, shift: f64| {
        let run = |seed: u64| {
            let mut metrics = format!(
                r#""plan.wait{{region=a}}": {{"unit": "ms", "count": 5, "p50": {}}}"#,
                5.0 + shift + wobble(seed)
            );
            for other in 0..40 {
                let value = if seed < 3 { 7.0 + shift } else { 7.0 };
                let unit = r#""unit": "ms", "count": 5"#;
                write!(metrics, r#", "eval.wait{{region=r{other}}}": {{{unit}, "p50": {value}}}"#).unwrap();
            }
            (seed, digest, metrics)
        };
        summary(&(1..=10).map(run).collect::<Vec<_>>())
    };
    let comparison = compare(&of(1, 0.0), &of(2, 1.0), &Tolerances::default()).unwrap();
    assert_eq!(comparison.power, Power { tested: 41, able: 1 });
    assert_eq!(verdict(&comparison, "plan.wait", "p50"), Verdict::Regression);
    assert_eq!(verdict(&comparison, "eval.wait", "p50"), Verdict::NoEvidence);
    let sparse = comparison.rows.iter().find(|row| row.metric.starts_with("eval.wait")).unwrap();
    assert_eq!((sparse.detectable, comparison.seeds_needed(Gate::Regression)), (None, None));
}

/// The same scenario, version and seed: whatever differs is a difference, however small.
#[test]
fn runs_that_should_be_equal_and_are_not_have_moved() {
    let base = ten(1, |seed| 5.0 + wobble(seed), |_| 99.0);
    let mut head = base.clone();
    head.runs[3].digest = "00000000000000ff".to_owned();
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    assert!(comparison.differs() && !comparison.regressed() && !comparison.identical);
    assert!(comparison.exact[0].head.starts_with("1 of 10 differ"), "{:?}", comparison.exact);
    head.cossim = "0.0.9".to_owned();
    assert!(compare(&base, &head, &Tolerances::default()).unwrap().exact.is_empty(), "another version may differ");
}

/// One good answer of a hundred less is nothing to pass over where all were good.
#[test]
fn a_share_near_all_is_held_to_what_it_lacks() {
    let of = |digest, lacks: f64| ten(digest, |_| 5.0, move |seed| 100.0 - lacks * (1.0 + wobble(seed).abs()));
    let comparison = compare(&of(1, 0.01), &of(2, 0.9), &Tolerances::default()).unwrap();
    assert_eq!(verdict(&comparison, "request.success_ratio", "value"), Verdict::Regression);
}

#[test]
fn results_with_holes_are_paired_as_far_as_they_go() {
    let mut base = ten(1, |_| 5.0, |_| 99.0);
    let mut head = ten(2, |_| 6.0, |_| 99.0);
    base.runs.remove(0);
    head.runs.truncate(8);
    head.runs[2].metrics.remove("plan.wait{region=a}");
    head.runs.iter_mut().for_each(|run| drop(run.metrics.remove("request.total{service=w,traffic=u}")));
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    assert_eq!(comparison.seeds, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((comparison.only_base, comparison.only_head), (vec![9, 10], vec![1]));
    assert_eq!((comparison.rows[0].pairs, comparison.rows[0].unpaired), (6, 1));
    assert_eq!(comparison.unmatched, [("request.total{service=w,traffic=u}".to_owned(), true)]);
    head.runs.retain(|run| run.seed == 1);
    let error = compare(&base, &head, &Tolerances::default()).unwrap_err();
    assert_eq!(error.to_string(), "the two results have no seed in common: 2–10 against 1");
    assert!(same_scenario(&base, &head).is_ok());
    head.scenario = "other".to_owned();
    assert!(same_scenario(&base, &head).unwrap_err().hint().contains("--across-scenarios"));
}

/// Thirty runs: a wait of some 20 s that is `by(seed)` longer, elections won, and a second wait that is the first.
fn thirty(digest: u64, by: impl Fn(u64) -> f64) -> Summary {
    let run = |seed: u64| {
        let by = by(seed);
        let wait = 20_000.0 + 100.0 * wobble(seed) + by;
        let metrics = format!(
            r#""plan.wait{{region=a}}": {{"unit": "ms", "count": 1, "p50": {wait}, "p99": {wait}}},
            "plan.wait{{region=b}}": {{"unit": "ms", "count": 1, "p50": {wait}, "p99": {wait}}},
            "raft.elections{{group=a}}": {{"unit": "elections", "total": {}}}"#,
            u8::from(by > 1_000.0)
        );
        (seed, digest, metrics)
    };
    summary(&(1..=30).map(run).collect::<Vec<_>>())
}

/// Twelve of thirty seeds become minutes slower and the others stay as they are, to the bit or to a hair: the median of
/// the differences is nothing, and the change is none to let pass.
#[test]
fn seeds_that_are_as_they_were_do_not_hide_the_others() {
    let base = thirty(1, |_| 0.0);
    for hair in [0.0, 3.0] {
        let head =
            thirty(2, |seed| if seed % 5 < 2 { 270_000.0 } else { hair * if seed % 2 == 0 { 1.0 } else { -1.0 } });
        let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
        assert!(comparison.regressed() && comparison.differs());
        let row = &comparison.rows[0];
        let moved = if hair > 0.0 { 30 } else { 12 };
        assert_eq!((row.verdict, row.moved, row.pairs), (Verdict::Regression, moved, 30), "{row:?}");
        assert!(row.effect > 100_000.0 && row.p.unwrap().1 < 0.05, "{row:?}");
        let elections = comparison.rows.iter().find(|row| row.metric.starts_with("raft.elections")).unwrap();
        // The medians are both zero; what is shown is what twelve seeds came to.
        assert!(elections.base.abs() < 1e-12 && elections.head.abs() < 1e-12, "{elections:?}");
        assert_eq!((elections.effect.to_bits(), elections.moved), (1.0_f64.to_bits(), 12), "{elections:?}");
        assert_eq!(elections.verdict, Verdict::Regression);
        let back = compare(&head, &base, &Tolerances::default()).unwrap();
        assert_eq!((back.rows[0].verdict, back.regressed()), (Verdict::Improvement, false));
    }
    // Twelve seeds that moved by less than is tolerated are tolerated.
    let head = thirty(2, |seed| if seed % 5 < 2 { 100.0 } else { 0.0 });
    let row = &compare(&base, &head, &Tolerances::default()).unwrap().rows[0];
    assert_eq!((row.verdict, row.moved), (Verdict::Tolerated, 12), "{row:?}");
    assert!((row.effect - 100.0).abs() < 1e-6, "{row:?}");
}

/// Five seeds of thirty have data of a wait, and it is ten times as long in all of them: five are too few to tell, and
/// that the others are as they were says nothing of it.
#[test]
fn seeds_without_data_do_not_count() {
    let of = |digest, wait: f64, other: f64| {
        let run = |seed: u64| {
            let failover = format!(r#""failover.detect{{region=a}}": {{"unit": "ms", "count": 1, "p50": {wait}}}, "#);
            let metrics = format!(
                r#"{}"plan.wait{{region=a}}": {{"unit": "ms", "count": 1, "p50": {}}}"#,
                if seed <= 5 { &*failover } else { "" },
                other + seed as f64
            );
            (seed, digest, metrics)
        };
        summary(&(1..=30).map(run).collect::<Vec<_>>())
    };
    let base = of(1, 10.0, 0.0);
    let comparison = compare(&base, &of(2, 100.0, 0.0), &Tolerances::default()).unwrap();
    assert_eq!((comparison.power, comparison.seeds_moved(Gate::Regression)), (Power { tested: 1, able: 0 }, 5));
    assert_eq!(comparison.seeds_needed(Gate::Regression), Some(36), "six of them have data if five of thirty have");
    assert!(comparison.undecided(Gate::Regression) && !comparison.regressed());
    // Another figure is clear, and is better: the one that is worse wherever it is known is as little known as before.
    let starved = |wait: f64| {
        let comparison = compare(&base, &of(2, wait, -0.5), &Tolerances::default()).unwrap();
        assert_eq!((comparison.power.able, comparison.seeds_needed(Gate::Regression)), (1, None));
        let starved: Vec<String> = comparison.starved().map(|row| row.metric.clone()).collect();
        (starved, comparison.undecided(Gate::Regression))
    };
    assert_eq!(starved(100.0), (vec!["failover.detect{region=a}".to_owned()], true));
    assert_eq!(
        [starved(1.0), starved(10.05), starved(10.0)],
        [const { (Vec::new(), false) }; 3],
        "better, or tolerated"
    );
}

/// Four of twelve seeds became worse, and four are too few: that a figure has data in all of them proves nothing, and
/// how many seeds are asked for grows with those that did not move.
#[test]
fn seeds_that_did_not_move_do_not_count() {
    let of = |digest, by: &dyn Fn(u64) -> f64| {
        let run = |seed: u64| {
            let wait = format!(r#""plan.wait{{region=a}}": {{"unit": "ms", "count": 1, "p50": {}}}"#, 7.0 + by(seed));
            (seed, digest, wait)
        };
        summary(&(1..=12).map(run).collect::<Vec<_>>())
    };
    let base = of(1, &|_| 0.0);
    let fares = |by: &dyn Fn(u64) -> f64| {
        let comparison = compare(&base, &of(2, by), &Tolerances::default()).unwrap();
        let gates = [Gate::Regression, Gate::Difference];
        (comparison.power.able, gates.map(|gate| (comparison.seeds_needed(gate), comparison.undecided(gate))))
    };
    // Six that moved would do, which is half as many again as four.
    let (told, silent) = ((Some(18), true), (None, false));
    assert_eq!(fares(&|seed| if seed % 3 == 0 { 5.0 } else { 0.0 }), (0, [told, told]));
    assert_eq!(fares(&|seed| if seed % 3 == 0 { -5.0 } else { 0.0 }), (0, [silent, told]), "better is not worse");
    assert_eq!(fares(&|seed| if seed % 3 == 0 { 0.01 } else { 0.0 }), (0, [silent, silent]), "it is tolerated");
    assert_eq!(fares(&|seed| if seed % 2 == 0 { 5.0 } else { 0.0 }), (1, [silent, silent]), "six moved");
}

/// One seed bears no evidence, and yet what is other in it is no silence.
#[test]
fn what_is_other_in_the_only_seed_has_moved() {
    let of = |digest, total: u64, seeds: u64| {
        let metrics = format!(r#""request.total{{service=w}}": {{"unit": "requests", "total": {total}}}"#);
        summary(&(1..=seeds).map(|seed| (seed, digest, metrics.clone())).collect::<Vec<_>>())
    };
    for seeds in [1, 2] {
        let comparison = compare(&of(1, 500, seeds), &of(2, 900, seeds), &Tolerances::default()).unwrap();
        assert_eq!((comparison.rows[0].verdict, comparison.differs()), (Verdict::Moved, true));
        let comparison = compare(&of(1, 500, seeds), &of(2, 501, seeds), &Tolerances::default()).unwrap();
        assert!(!comparison.differs(), "it is within the tolerance");
    }
}

/// What ends on neither side does not differ, and not by nothing either.
#[test]
fn what_never_ends_on_either_side_is_no_difference_of_zero() {
    let of = |digest, ends: &dyn Fn(u64) -> bool| {
        let run = |seed: u64| {
            let never = if ends(seed) { r#""count": 1, "p50": 9"# } else { r#""count": 0, "unended": 1"# };
            let never = format!(r#""failover.detect{{region=a}}": {{"unit": "ms", {never}}}"#);
            let other = r#""plan.wait{region=a}": {"unit": "ms", "count": 1, "p50": 7}"#;
            (seed, digest, format!("{never}, {other}"))
        };
        summary(&(1..=4).map(run).collect::<Vec<_>>())
    };
    let told = |base: &Summary, head: &Summary| -> Vec<(bool, Verdict)> {
        let comparison = compare(base, head, &Tolerances::default()).unwrap();
        comparison.rows.iter().map(|row| (row.is_never(), row.verdict)).collect()
    };
    let never = |_: u64| false;
    let all = [(true, Verdict::Same), (true, Verdict::Same), (false, Verdict::Same)];
    assert_eq!(told(&of(1, &never), &of(2, &never)), all);
    // Two seeds that ended do not any more, and the two others do now.
    let swapped = told(&of(1, &|seed| seed < 3), &of(2, &|seed| seed > 2));
    assert_eq!(swapped, [(true, Verdict::NoEvidence), (false, Verdict::Same)]);
    assert!(!told(&of(1, &|seed| seed < 2), &of(2, &never))[0].0, "one seed does not end any more");
}

/// A figure that neither way of which is worse has not moved because one run of thirty has, or five.
#[test]
fn few_seeds_are_no_move() {
    let of = |digest, seeds: u64| {
        let run = |seed: u64| {
            let total = if seed <= seeds { 900 } else { 500 };
            (seed, digest, format!(r#""request.total{{service=w}}": {{"unit": "requests", "total": {total}}}"#))
        };
        summary(&(1..=30).map(run).collect::<Vec<_>>())
    };
    let verdict = |seeds| compare(&of(1, 0), &of(2, seeds), &Tolerances::default()).unwrap().rows[0].verdict;
    assert_eq!([1, 5, 12].map(verdict), [Verdict::NoEvidence, Verdict::NoEvidence, Verdict::Moved]);
}

/// Both percentiles of both regions are one sample a run, and the same: four regressions that are one.
#[test]
fn figures_that_are_the_same_in_every_seed_count_once() {
    let (base, head) = (thirty(1, |_| 0.0), thirty(2, |seed| 900.0 + seed as f64));
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    let worse: Vec<(&str, Option<&str>)> = comparison
        .rows
        .iter()
        .filter(|row| row.verdict == Verdict::Regression)
        .map(|row| (row.statistic, row.same_as.as_deref()))
        .collect();
    let first = Some("plan.wait{region=a} p50");
    assert_eq!(worse, [("p50", None), ("p99", first), ("p50", first), ("p99", first)]);
    assert_eq!(comparison.count(Verdict::Regression), 1);
    // What is the same in both results is no repetition.
    assert_eq!((comparison.count(Verdict::Same), comparison.count_figures(Verdict::Same)), (1, 1));
    // A figure that comes to something else by its own tolerance is its own.
    let of = |statistic, limit| Tolerance {
        metric: "plan.wait".into(),
        labels: vec![("region".into(), "a".into())],
        statistic: Some(statistic),
        limit,
    };
    let entries = vec![of("p50", Limit::Up { relative: 0.0, absolute: 5_000.0 })];
    let comparison = compare(&base, &head, &Tolerances { entries, ..Tolerances::default() }).unwrap();
    let own = comparison.rows.iter().filter(|row| row.same_as.is_none() && row.verdict != Verdict::Same);
    let own: Vec<(&str, Verdict)> = own.map(|row| (row.statistic, row.verdict)).collect();
    assert_eq!(own, [("p50", Verdict::Tolerated), ("p99", Verdict::Regression)]);
}

#[test]
fn few_of_the_bases_seeds_decide_nothing() {
    let base = ten(1, |seed| 5.0 + wobble(seed), |_| 99.0);
    let common = |seeds: usize| {
        let mut head = base.clone();
        head.runs.truncate(seeds);
        compare(&base, &head, &Tolerances::default()).unwrap()
    };
    assert!(common(1).undecided(Gate::Regression) && common(4).undecided(Gate::Regression) && common(4).lacks_seeds());
    assert!(!common(5).undecided(Gate::Regression) && !common(10).undecided(Gate::Regression));
    // Seeds that only the head has are no gap.
    let mut few = base.clone();
    few.runs.truncate(2);
    assert!(!compare(&few, &base, &Tolerances::default()).unwrap().undecided(Gate::Regression));
    // What is worse even so is a regression.
    let mut head = base.clone();
    head.runs.truncate(1);
    head.expectations[0].verdict = "fail".to_owned();
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    assert!(comparison.regressed() && !comparison.undecided(Gate::Regression));
}

/// The stream of random numbers has the figure's name, and yet equal data have equal intervals.
#[test]
fn figures_that_differ_in_the_same_way_have_the_same_interval() {
    let (base, head) = (thirty(1, |_| 0.0), thirty(2, |seed| 900.0 + 10.0 * (seed % 7) as f64));
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    let intervals: Vec<(f64, f64)> = comparison
        .rows
        .iter()
        .filter(|row| row.metric.starts_with("plan.wait"))
        .filter_map(|row| row.interval)
        .collect();
    assert_eq!(intervals.len(), 4);
    let bits = |(low, high): &(f64, f64)| (low.to_bits(), high.to_bits());
    assert!(intervals[0].0 < intervals[0].1 && intervals.iter().all(|one| bits(one) == bits(&intervals[0])));
}

/// A move of exactly what is tolerated is tolerated, whatever the subtraction rounds to.
#[test]
fn the_bound_of_a_tolerance_is_within_it() {
    let limit = Limit::Up { relative: 0.0, absolute: 0.1 };
    let entry = Tolerance { metric: "plan.wait".into(), labels: Vec::new(), statistic: None, limit };
    let tolerances = Tolerances { entries: vec![entry], ..Tolerances::default() };
    for (from, to, expected) in [
        (4.1, 4.2, Verdict::Tolerated),
        (10.1, 10.2, Verdict::Tolerated),
        (1.1, 1.2, Verdict::Tolerated),
        (2.2, 2.3, Verdict::Tolerated),
        (4.1, 4.200_001, Verdict::Regression),
    ] {
        let (base, head) = (ten(1, |_| from, |_| 99.0), ten(2, |_| to, |_| 99.0));
        let comparison = compare(&base, &head, &tolerances).unwrap();
        assert_eq!(verdict(&comparison, "plan.wait", "p50"), expected, "{from} to {to}");
    }
    // Equal moves from different places are ties, and twins of each other.
    let (low, high) = (ten(1, |seed| 1.1 + seed as f64, |_| 99.0), ten(2, |seed| 1.2 + seed as f64, |_| 99.0));
    let row = &compare(&low, &high, &Tolerances::default()).unwrap().rows[0];
    let tenth = 0.1_f64.to_bits();
    assert_eq!((row.effect.to_bits(), row.interval.map(|(low, _)| low.to_bits())), (tenth, Some(tenth)), "{row:?}");
}

#[test]
fn a_comparison_that_nobody_waits_for_ends() {
    let (base, head) = (ten(1, |_| 5.0, |_| 99.0), ten(2, |_| 6.0, |_| 99.0));
    let mut heard = Vec::new();
    let stopped = compare_watched(&base, &head, &Tolerances::default(), &mut |done, all| {
        heard.push((done, all));
        if done < 2 { Wish::GoOn } else { Wish::Stop }
    });
    assert_eq!((stopped, heard), (Err(CompareError::Interrupted), vec![(0, 4), (1, 4), (2, 4)]));
}
