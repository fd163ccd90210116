use super::compare_tests::{summary, ten};
use super::*;
use crate::analysis::judge::{Judgement, over_seeds};
use crate::analysis::summary::Expectation;
use crate::measure::objective::asked_of_seeds;

#[test]
fn laws_and_expectations_are_compared_exactly() {
    let base = ten(1, |_| 5.0, |_| 99.0);
    let mut head = ten(2, |_| 5.0, |_| 99.0);
    head.runs[3].invariants[0].violations = 2;
    head.expectations[0].verdict = "fail".to_owned();
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    let told: Vec<(&str, &str, Verdict)> =
        comparison.exact.iter().map(|exact| (&*exact.what, &*exact.head, exact.verdict)).collect();
    let law = ("raft.log_matching", "2 violations in 1 of 10 seeds, more in seeds 4", Verdict::Regression);
    assert_eq!(told, [law, ("plan.wait max < 1s", "fail", Verdict::Regression)]);
    assert!(comparison.regressed());
    // An expectation that is no longer there is a regression, though it had held.
    head.expectations.clear();
    head.runs[3].invariants[0].violations = 0;
    let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
    assert!(comparison.regressed() && comparison.exact[0].head == "not expected", "{:?}", comparison.exact);
    assert_eq!(comparison.unmatched_expectations, [("plan.wait max < 1s".to_owned(), true)]);
}

/// A seed that got worse is not made up for by another that got better.
#[test]
fn laws_are_compared_seed_by_seed() {
    let of = |violations: [u64; 4]| {
        let mut of = ten(1, |_| 5.0, |_| 99.0);
        of.runs.truncate(4);
        of.runs.iter_mut().zip(violations).for_each(|(run, violations)| run.invariants[0].violations = violations);
        of
    };
    let told = |base: &Summary, head: &Summary| {
        let told = |exact: &Exact| exact.what == "raft.log_matching";
        let comparison = compare(base, head, &Tolerances::default()).unwrap();
        let found = comparison.exact.iter().find(|exact| told(exact));
        found.map(|exact| (exact.base.clone(), exact.head.clone(), exact.verdict))
    };
    let worse = told(&of([3, 0, 0, 0]), &of([0, 1, 0, 0])).expect("another seed violates it");
    let (before, after) = ("3 violations in 1 of 4 seeds", "1 violation in 1 of 4 seeds, more in seeds 2");
    assert_eq!(worse, (before.to_owned(), after.to_owned(), Verdict::Regression));
    assert_eq!(told(&of([3, 0, 0, 0]), &of([3, 0, 0, 0])), None);
    assert_eq!(told(&of([3, 1, 0, 0]), &of([1, 1, 0, 0])).map(|told| told.2), Some(Verdict::Improvement));
    // Nobody checks it any more, be it listed or not.
    let mut gone = of([0; 4]);
    gone.runs.iter_mut().for_each(|run| run.invariants.clear());
    let mut idle = of([0; 4]);
    idle.runs.iter_mut().for_each(|run| run.invariants[0].checks = 0);
    for (base, head) in [(of([0; 4]), &gone), (of([3, 0, 0, 0]), &gone), (of([0; 4]), &idle)] {
        let (_, after, verdict) = told(&base, head).expect("it is not checked");
        assert_eq!((&*after, verdict), ("not checked", Verdict::Moved));
        assert!(compare(&base, head, &Tolerances::default()).unwrap().differs());
    }
    // What had something to check in one seed alone need not have in another run.
    let mut once = idle.clone();
    once.runs[0].invariants[0].checks = 1;
    assert_eq!(told(&once, &idle), None);
    once.runs[0].invariants[0].violations = 1;
    let (before, after, verdict) = told(&once, &idle).expect("it was violated");
    assert_eq!((&*before, &*after, verdict), ("1 violation in 1 of 4 seeds", "not checked", Verdict::Moved));
    assert_eq!(told(&gone, &of([0; 4])), None);
}

#[test]
fn what_vanished_from_the_head_is_a_regression_and_tolerated_only_if_it_is_named() {
    let (base, mut head) = (ten(1, |_| 5.0, |_| 99.0), ten(2, |_| 5.0, |_| 99.0));
    let metric = base.runs[0].metrics.keys().next().expect("there are metrics").clone();
    head.runs.iter_mut().for_each(|run| drop(run.metrics.remove(&metric)));
    let found = |tolerances: &Tolerances| compare(&base, &head, tolerances).unwrap();
    let comparison = found(&Tolerances::default());
    assert!(comparison.regressed() && comparison.differs(), "{comparison:?}");
    let lost = comparison.exact.iter().find(|exact| exact.what == metric).expect("it is named");
    assert_eq!((&*lost.base, &*lost.head), ("measured in 10 of 10 seeds", "measured in 0 of 10 seeds"));
    assert_eq!(lost.verdict, Verdict::Regression);
    // The other way round, something is measured that was not.
    assert!(!compare(&head, &base, &Tolerances::default()).unwrap().regressed());
    let name = metric.split('{').next().expect("a name").to_owned();
    let with = |statistic, limit| {
        let entry = Tolerance { metric: name.clone(), labels: Vec::new(), statistic, limit };
        Tolerances { entries: vec![entry], ..Tolerances::default() }
    };
    // A limit says how far it may move, not that it may be gone.
    let limit = Limit::Up { relative: 0.05, absolute: 0.0 };
    for tolerances in [with(None, limit), with(Some("p99"), limit), with(Some("p99"), Limit::Ignored)] {
        assert!(found(&tolerances).regressed(), "{tolerances:?}");
    }
    let ignored = with(None, Limit::Ignored);
    let comparison = found(&ignored);
    assert!(!comparison.regressed() && !comparison.differs() && comparison.unmatched.is_empty(), "{comparison:?}");
    let gained = compare(&head, &base, &ignored).unwrap();
    assert!(!gained.differs() && gained.exact.is_empty(), "{gained:?}");
    assert!(comparison.exact.iter().any(|exact| exact.what == metric && exact.verdict == Verdict::Tolerated));
}

/// Four runs that fared so with an expectation, and as their results say over all of them.
fn judged(text: &str, runs: &[&str]) -> Summary {
    let mut summary = ten(1, |_| 5.0, |_| 99.0);
    summary.runs.truncate(runs.len());
    for (run, verdict) in summary.runs.iter_mut().zip(runs) {
        let (text, verdict) = (text.to_owned(), (*verdict).to_owned());
        run.expectations = vec![Expectation { text, observed: String::new(), verdict }];
    }
    let named: Vec<Judgement> = runs.iter().filter_map(|verdict| Judgement::named(verdict)).collect();
    let (overall, _) = over_seeds(asked_of_seeds(text).expect("an expectation"), &named);
    (summary.expectations[0].text, summary.expectations[0].verdict) = (text.to_owned(), overall.name().to_owned());
    summary
}

fn of_exact(base: &Summary, head: &Summary) -> Vec<(String, String, Verdict)> {
    let comparison = compare(base, head, &Tolerances::default()).unwrap();
    comparison.exact.into_iter().map(|exact| (exact.base, exact.head, exact.verdict)).collect()
}

/// A seed that only one side has says nothing, neither of the head nor of the base.
#[test]
fn expectations_are_judged_over_the_seeds_that_both_sides_have() {
    let text = "plan.wait max < 1s";
    let three = judged(text, &["pass", "pass", "pass"]);
    let four = judged(text, &["pass", "pass", "pass", "fail"]);
    assert_eq!(of_exact(&three, &four), [], "the seed that fails is left out");
    let worse = judged(text, &["pass", "fail", "pass"]);
    let [all, two] =
        [("pass", 3), ("fail", 2)].map(|(verdict, seeds)| format!("{verdict}, held in {seeds} of 3 seeds"));
    let told = [(all.clone(), two, Verdict::Regression)];
    assert_eq!(of_exact(&four, &worse), told, "the base fails in a seed that is left out");
    // One that is dropped is told with these seeds, too.
    let mut head = three.clone();
    head.expectations.clear();
    assert_eq!(of_exact(&four, &head), [(all, "not expected".to_owned(), Verdict::Regression)]);
    // As many seeds as it asks for.
    let most = "plan.wait max < 1s in 50% of seeds";
    let held = |verdict: &str, seeds| format!("{verdict}, held in {seeds} seeds");
    let fewer = of_exact(&judged(most, &["pass"; 4]), &judged(most, &["pass", "fail", "pass", "fail"]));
    assert_eq!(fewer, [(held("pass", "4 of 4"), held("pass", "2 of 4"), Verdict::NoEvidence)]);
    let head = judged(most, &["pass", "fail", "fail"]);
    let told = [(held("pass", "2 of 3"), held("fail", "1 of 3"), Verdict::Regression)];
    assert_eq!(of_exact(&judged(most, &["pass", "pass", "fail", "fail"]), &head), told);
}

#[test]
fn what_was_not_exercised_and_fails_is_told() {
    let of = |text: &str, base: &str, head: &str| {
        let told = of_exact(&judged(text, &[base; 3]), &judged(text, &[head; 3]));
        told.first().map(|(_, _, verdict)| *verdict)
    };
    let (plain, lenient) = ("failover.replace max < 10s", "failover.replace max < 10s if exercised");
    let (none, regression, moved) = ("not exercised", Some(Verdict::Regression), Some(Verdict::Moved));
    assert_eq!([of(lenient, none, "fail"), of(lenient, none, none)], [regression, None], "it was met");
    assert_eq!([of(plain, none, "fail"), of(plain, "fail", none)], [moved; 2], "it was not met");
    assert_eq!(of(lenient, "fail", none), moved, "nobody knows whether it would hold");
    assert_eq!(of(plain, "pass", none), regression);
    assert_eq!([of(lenient, "pass", none), of(lenient, none, "pass")], [moved; 2], "met is met");
    assert_eq!([of(plain, none, "pass"), of(plain, "fail", "pass")], [Some(Verdict::Improvement); 2]);
}

/// An expectation that is not met, or met by fewer than it could be, is told by the seeds that meet it.
#[test]
fn expectations_that_fare_alike_are_told_by_their_seeds() {
    let of = |text: &str, base: usize, head: usize| {
        let of = |held: usize| [vec!["pass"; held], vec!["fail"; 10 - held]].concat();
        of_exact(&judged(text, &of(base)), &judged(text, &of(head))).into_iter().map(|(_, _, verdict)| verdict).next()
    };
    let all = "plan.wait max < 1s";
    assert_eq!([of(all, 9, 2), of(all, 2, 9)], [Some(Verdict::Regression), Some(Verdict::Improvement)]);
    assert_eq!(
        [of(all, 9, 6), of(all, 6, 9), of(all, 6, 6)],
        [Some(Verdict::NoEvidence), Some(Verdict::NoEvidence), None]
    );
    assert_eq!(
        [of(all, 10, 9), of(all, 9, 10)],
        [Some(Verdict::Regression), Some(Verdict::Improvement)],
        "as runs judge"
    );
    assert_eq!(of("plan.wait max < 1s in 40% of seeds", 10, 4), Some(Verdict::Regression));
    // As many seeds meet it, and fewer exercise it.
    let text = "plan.wait max < 1s if exercised";
    let told = of_exact(&judged(text, &["pass"; 3]), &judged(text, &["pass", "pass", "not exercised"]));
    let head = "pass, held in 2 of 3 seeds, not exercised in 1".to_owned();
    assert_eq!(told, [("pass, held in 3 of 3 seeds".to_owned(), head, Verdict::NoEvidence)]);
}

/// Thirty seeds in which a wait is measured where `has` says so, and another one always.
fn sometimes(digest: u64, seeds: u64, has: impl Fn(u64) -> bool) -> Summary {
    let run = |seed: u64| {
        let own = r#""failover.replace{region=a}": {"unit": "ms", "count": 1, "p50": 20}, "#;
        let other = r#""plan.wait{region=a}": {"unit": "ms", "count": 5, "p50": 5}"#;
        (seed, digest, format!("{}{other}", if has(seed) { own } else { "" }))
    };
    summary(&(1..=seeds).map(run).collect::<Vec<_>>())
}

#[test]
fn a_metric_that_the_head_hardly_ever_has_is_lost() {
    let (always, once) = (sometimes(1, 30, |_| true), sometimes(2, 30, |seed| seed == 1));
    let comparison = compare(&always, &once, &Tolerances::default()).unwrap();
    let lost = ("measured in 30 of 30 seeds".to_owned(), "measured in 1 of 30 seeds".to_owned(), Verdict::Regression);
    assert_eq!(of_exact(&always, &once), [lost]);
    assert!(comparison.regressed() && comparison.unmatched.is_empty(), "{comparison:?}");
    let more = of_exact(&once, &always);
    assert_eq!(more[0].2, Verdict::Moved, "something is measured more often than it was");
    let limit = Limit::Ignored;
    let entry = Tolerance { metric: "failover.replace".into(), labels: Vec::new(), statistic: None, limit };
    let ignored = compare(&always, &once, &Tolerances { entries: vec![entry], ..Tolerances::default() }).unwrap();
    assert!(!ignored.regressed() && ignored.exact.is_empty(), "{ignored:?}");
    // By chance, now in these seeds and now in those, and be it in few of them: nothing is lost.
    for (base, head) in [(3, 1), (1, 3), (0, 5), (7, 2)] {
        let (one, two) = (sometimes(1, 30, |seed| seed % 10 == base), sometimes(2, 30, |seed| seed % 10 == head));
        let comparison = compare(&one, &two, &Tolerances::default()).unwrap();
        assert!(!comparison.regressed() && !comparison.undecided(Gate::Regression), "{comparison:?}");
    }
    // Four of thirty that lack it may be chance, ten are not.
    let most = |lack: u64| compare(&always, &sometimes(2, 30, |seed| seed > lack), &Tolerances::default()).unwrap();
    assert!(!most(4).regressed() && !most(4).undecided(Gate::Regression) && most(10).regressed());
    // Three seeds are too few to tell.
    let few = compare(&sometimes(1, 3, |_| true), &sometimes(2, 3, |seed| seed == 1), &Tolerances::default()).unwrap();
    assert_eq!(few.thinned, ["failover.replace{region=a}"]);
    assert!(few.undecided(Gate::Regression) && !few.regressed(), "{few:?}");
}

/// Whether a metric is there is a yes or no of each seed; for certain it is lost only from every seed.
#[test]
fn the_seeds_that_have_a_metric_tell_whether_it_is_lost() {
    let fares = |seeds: u64, base: &dyn Fn(u64) -> bool, head: &dyn Fn(u64) -> bool| {
        let comparison =
            compare(&sometimes(1, seeds, base), &sometimes(2, seeds, head), &Tolerances::default()).unwrap();
        let exact = comparison.exact.first().map(|exact| (exact.base.clone(), exact.head.clone(), exact.verdict));
        (exact, comparison.regressed(), comparison.differs())
    };
    let of = |base: usize, head: usize, seeds: u64, verdict| {
        let of = |count| format!("measured in {count} of {seeds} seeds");
        Some((of(base), of(head), verdict))
    };
    let none = |_: u64| false;
    assert_eq!(fares(10, &|seed| seed == 1, &none), (of(1, 0, 10, Verdict::NoEvidence), false, false));
    assert_eq!(fares(10, &none, &|seed| seed == 1), (of(0, 1, 10, Verdict::NoEvidence), false, false));
    assert_eq!(fares(5, &|seed| seed > 1, &|seed| seed == 5), (of(4, 1, 5, Verdict::NoEvidence), false, false));
    assert_eq!(fares(10, &|seed| seed > 1, &|seed| seed == 10), (of(9, 1, 10, Verdict::Regression), true, true));
    assert_eq!(fares(10, &|seed| seed > 1, &none), (of(9, 0, 10, Verdict::Regression), true, true));
    assert_eq!(fares(1, &|_| true, &none), (of(1, 0, 1, Verdict::Regression), true, true));
    assert_eq!(fares(10, &none, &|_| true), (None, false, true));
}

/// An expectation that is written in another way is the same, and so are the results.
#[test]
fn expectations_are_matched_by_what_they_mean() {
    let base = judged("plan.wait max < 45s", &["pass", "pass", "fail"]);
    for text in ["plan.wait max <45s", "plan.wait max < 45 s", "plan.wait  < 45000ms"] {
        let head = judged(text, &["pass", "pass", "fail"]);
        let comparison = compare(&base, &head, &Tolerances::default()).unwrap();
        assert!(comparison.is_same() && !comparison.differs(), "{text}: {comparison:?}");
        let worse = of_exact(&judged("plan.wait max < 45s", &["pass"; 3]), &head);
        assert_eq!(worse[0].2, Verdict::Regression, "{text}");
    }
    let other =
        compare(&base, &judged("plan.wait max < 46s", &["pass", "pass", "fail"]), &Tolerances::default()).unwrap();
    assert!(other.regressed() && other.unmatched_expectations.len() == 2, "{other:?}");
    // What is not understood is taken by its text.
    let mut unknown = base.clone();
    unknown.expectations[0].text = "of another cossim".to_owned();
    assert!(compare(&unknown, &unknown, &Tolerances::default()).unwrap().is_same());
}

/// A statistic that the head lacks everywhere is lost, though its metric is not.
#[test]
fn statistics_are_lost_as_metrics_are() {
    let (base, mut head) = (ten(1, |_| 5.0, |_| 99.0), ten(2, |_| 5.0, |_| 99.0));
    let key = "plan.wait{region=a}";
    for run in &mut head.runs {
        run.metrics.get_mut(key).unwrap().figures.remove("p99");
    }
    let of = |base: &Summary, head: &Summary| {
        let found = compare(base, head, &Tolerances::default()).unwrap();
        (
            found.exact.iter().map(|exact| exact.what.clone()).collect::<Vec<_>>(),
            found.unmatched.clone(),
            found.regressed(),
        )
    };
    let name = format!("{key} p99");
    assert_eq!(of(&base, &head), (vec![name.clone()], vec![(name.clone(), true)], true));
    assert_eq!(of(&head, &base), (Vec::new(), vec![(name, false)], false));
    let limit = Limit::Ignored;
    let entry = Tolerance { metric: "plan.wait".into(), labels: Vec::new(), statistic: Some("p99"), limit };
    let ignored = compare(&base, &head, &Tolerances { entries: vec![entry], ..Tolerances::default() }).unwrap();
    assert!(!ignored.regressed() && ignored.unmatched.is_empty(), "{ignored:?}");
}

#[test]
fn a_metric_has_one_unit() {
    let (base, mut head) = (ten(1, |_| 5.0, |_| 99.0), ten(2, |_| 5.0, |_| 99.0));
    let key = "plan.wait{region=a}";
    "s".clone_into(&mut head.runs[4].metrics.get_mut(key).unwrap().unit);
    let error = compare(&base, &head, &Tolerances::default()).unwrap_err();
    assert_eq!(error.to_string(), "`plan.wait{region=a}` is in `ms` here and in `s` there");
    assert!(error.hint().contains("ignore: true"), "{}", error.hint());
    let entry = Tolerance { metric: "plan.wait".into(), labels: Vec::new(), statistic: None, limit: Limit::Ignored };
    assert!(compare(&base, &head, &Tolerances { entries: vec![entry], ..Tolerances::default() }).is_ok());
}

/// A tolerance of what nobody measures is told, whatever came of the comparison.
#[test]
fn tolerances_that_fit_nothing_are_named() {
    let base = ten(1, |_| 5.0, |_| 99.0);
    let entry = |metric: &str, label: Option<(&str, &str)>, statistic| Tolerance {
        metric: metric.to_owned(),
        labels: label.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect(),
        statistic,
        limit: Limit::Up { relative: 0.1, absolute: 0.0 },
    };
    let entries = vec![
        entry("plan.wait", Some(("region", "a")), Some("p99")),
        entry("plan.wait", Some(("region", "aa")), Some("p99")),
        entry("plan.wait", None, Some("p999")),
        entry("request.total", None, None),
        entry("failover.detect", None, None),
        entry("failover.detect", None, None),
    ];
    let found = compare(&base, &base, &Tolerances { entries, ..Tolerances::default() }).unwrap();
    assert_eq!(found.idle, ["plan.wait{region=aa} p99", "plan.wait p999", "failover.detect"]);
    assert!(found.is_same());
}
