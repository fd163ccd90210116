use super::*;
use crate::analysis::compare::Power;
use crate::measure::catalogue::Worse;

/// A wait that became longer, one that never ended, and a name that no format may trip over.
fn account() -> Account {
    let side = |set: &[&str]| Side {
        scenario: "a|b".to_owned(),
        scenario_digest: "0123456789abcdef".to_owned(),
        cossim: "0.1.0".to_owned(),
        file: "s,1.ron".to_owned(),
        set: set.iter().map(|edit| (*edit).to_owned()).collect(),
    };
    let row = |metric: &str, head: f64, verdict| Row {
        metric: metric.to_owned(),
        statistic: "p99",
        unit: "ms".to_owned(),
        worse: Worse::More,
        pairs: 10,
        unpaired: 0,
        base: 20.0,
        head,
        effect: head - 20.0,
        moved: 7,
        interval: Some((1.5, head - 19.0)),
        tolerance: 0.2,
        p: Some((0.001_95, 0.003_9)),
        detectable: Some(0.75),
        gain: Some(3.0),
        verdict,
        same_as: None,
    };
    let changed = |seed, name: &str| Changed {
        seed,
        region: "eu".to_owned(),
        name: name.to_owned(),
        before: 0,
        base: Some(("m1".to_owned(), 5.25)),
        head: None,
        reason: "the head did not place it (again)".to_owned(),
        explained: false,
    };
    let comparison = Comparison {
        base: side(&[]),
        head: side(&["a=1"]),
        seeds: (1..=10).collect(),
        only_base: vec![11],
        only_head: Vec::new(),
        identical: false,
        rows: vec![
            row("plan.wait{region=<eu>}", 25.0, Verdict::Regression),
            row("failover.replace{region=eu}", f64::INFINITY, Verdict::Regression),
            row("eval.wait{region=eu}", 20.1, Verdict::NoEvidence),
        ],
        exact: vec![Exact {
            what: "plan.wait max < 1s".to_owned(),
            base: "fail".to_owned(),
            head: "pass".to_owned(),
            verdict: Verdict::Improvement,
        }],
        unmatched: Vec::new(),
        thinned: Vec::new(),
        unended: Vec::new(),
        idle: Vec::new(),
        unmatched_expectations: Vec::new(),
        power: Power { tested: 3, able: 3 },
        level: 0.05,
    };
    let decisions = Ok(vec![changed(1, "web[0]"), changed(1, "web[1]"), changed(4, "web[0]")]);
    Account { base: "main".to_owned(), head: "reports/s".to_owned(), comparison, decisions, gate: None }
}

fn check_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn the_text_says_what_moved_and_what_could_not_be_seen() {
    let text = text::render(&account());
    check_contains(
        &text,
        &[
            "REGRESSION  a|b: 2 regressions, 1 improvement, 1 without evidence\n",
            "seeds 1–10, paired; 3 figures tested together at 5 % (Holm)\n",
            "note  seeds 11 are only in the base and are left out",
            "+5 ms (+25%)",
            "to never",
            "  plan.wait max < 1s: fail → pass\n",
            "0.75 ms",
            "placement decisions: 3 differ, in 2 seeds",
            "    cossim run s,1.ron --set a=1 --seed 1 --explain --out explained/head\n    cossim compare explained/base",
            "seed 1: 2 differ, first web[0] in eu: m1 at 5.250 s → nowhere (the head did not place it (again))",
        ],
    );
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
}

/// A gate that cannot tell must not look like one that passes, in any format.
#[test]
fn too_few_seeds_are_undecided_in_every_format() {
    let mut account = account();
    account.comparison.rows.iter_mut().for_each(|row| (row.verdict, row.moved) = (Verdict::NoEvidence, 10));
    account.comparison.exact.clear();
    account.comparison.power = Power { tested: 41, able: 0 };
    let few = "10 seeds can show no difference among 41 figures at 5 %, however clear: at least 11 are needed, as with \
               `--seeds 11`";
    check_contains(&text::render(&account), &["UNDECIDED  a|b: ", &format!("note  {few}\n")]);
    check_contains(&markdown::render(&account), &["## cossim: a\\|b: undecided", few]);
    check_contains(
        &junit::render(&account),
        &["errors=\"1\"", &format!("<error type=\"undecided\" message=\"{few}\">")],
    );
    check_contains(&github::render(&account), &["::error file=s%2C1.ron,title=cossim%3A undecided::10 seeds can show"]);
    let json: serde_json::Value = serde_json::from_str(&json::render(&account)).unwrap();
    assert_eq!(
        (&json["verdict"], &json["seeds_needed"], &json["tested_able"]),
        (&"undecided".into(), &11.into(), &0.into())
    );
}

#[test]
fn markup_is_escaped_and_infinities_are_no_numbers() {
    let account = account();
    check_contains(
        &markdown::render(&account),
        &["## cossim: a\\|b: regression", "| `plan.wait{region=<eu>} p99` | 20 ms | 25 ms |"],
    );
    let junit = junit::render(&account);
    check_contains(
        &junit,
        &["tests=\"4\" failures=\"2\"", "name=\"plan.wait{region=&lt;eu&gt;} p99\"", "message=\"+5 ms (+25%)\""],
    );
    assert_eq!(junit.matches("<testcase").count(), junit.matches("</testcase>").count());
    check_contains(
        &github::render(&account),
        &[
            "::error file=s%2C1.ron,title=cossim%3A regression::plan.wait{region=<eu>} p99: +5 ms (+25%25), 95 %25 interval",
            "::notice file=s%2C1.ron,title=cossim%3A improvement::plan.wait max < 1s: fail → pass",
        ],
    );
    let json: serde_json::Value = serde_json::from_str(&json::render(&account)).unwrap();
    let never = &json["figures"][1];
    assert!(never["head"].is_null() && never["effect"].is_null() && never["ci95"][1].is_null(), "{never}");
    assert_eq!(never["verdict"], "regression");
    assert_eq!(json["decisions"][2]["seed"], 4);
    // Whatever the schema requires is there.
    let schema = serde_json::to_value(schemars::schema_for!(json::Document)).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut always = keys(&schema["properties"]);
    always.retain(|key| key != "seeds_needed");
    assert_eq!(always, keys(&json));
    let mut figure = keys(&schema["$defs"]["Figure"]["properties"]);
    figure.retain(|key| key != "same_as");
    assert_eq!(figure, keys(&json["figures"][0]));
}

/// What is significant and tolerated is a difference; what is not listed has not moved.
#[test]
fn the_headline_says_what_differs() {
    let mut account = account();
    account.comparison.exact.clear();
    let word = |account: &Account| {
        let json: serde_json::Value = serde_json::from_str(&json::render(account)).unwrap();
        assert_eq!(json["verdict"], account.word());
        account.word()
    };
    account.comparison.rows.iter_mut().for_each(|row| row.verdict = Verdict::NoEvidence);
    assert_eq!(word(&account), "no evidence of a difference");
    account.comparison.rows[0].verdict = Verdict::Tolerated;
    assert_eq!(word(&account), "different, within tolerance");
    check_contains(
        &text::render(&account),
        &["DIFFERENT, WITHIN TOLERANCE  a|b: 1 within tolerance, 2 without evidence\n", "7 of 10"],
    );
    // Something is measured that was not: nothing moved, and it is counted.
    account.comparison.unmatched = vec![("eval.age{region=eu}".to_owned(), false)];
    assert_eq!(word(&account), "different in what is measured");
    check_contains(
        &text::render(&account),
        &[
            ": 1 within tolerance, 2 without evidence, 1 in the head alone\n",
            "note  only the head has eval.age{region=eu}, in every seed",
        ],
    );
    account.comparison.rows[1].verdict = Verdict::Moved;
    assert_eq!(word(&account), "moved");
}

#[test]
fn a_fact_that_two_figures_tell_counts_once() {
    let mut account = account();
    account.comparison.rows[1] = Row {
        metric: "failover.replace{region=eu}".to_owned(),
        same_as: Some("plan.wait{region=<eu>} p99".to_owned()),
        ..account.comparison.rows[0].clone()
    };
    check_contains(
        &text::render(&account),
        &[
            "REGRESSION  a|b: 1 regression, 1",
            "failover.replace{region=eu} p99, the same as plan.wait{region=<eu>} p99",
        ],
    );
    let junit = junit::render(&account);
    check_contains(&junit, &["tests=\"4\" failures=\"1\"", "regression: failover.replace{region=eu} p99, the same as"]);
    assert_eq!(junit.matches("<failure").count(), 1);
    assert_eq!(github::render(&account).matches("::error ").count(), 1);
    let markdown = markdown::render(&account);
    check_contains(
        &markdown,
        &["| `failover.replace{region=eu} p99`, the same as `plan.wait{region=<eu>} p99` | 20 ms"],
    );
    let json: serde_json::Value = serde_json::from_str(&json::render(&account)).unwrap();
    assert_eq!(json["figures"][1]["same_as"], "plan.wait{region=<eu>} p99");
}

/// One seed of ten, and that one identical, is no clean bill.
#[test]
fn most_of_the_bases_seeds_left_out_are_undecided_in_every_format() {
    let mut account = account();
    let comparison = &mut account.comparison;
    (comparison.rows, comparison.exact, comparison.identical) = (Vec::new(), Vec::new(), true);
    (comparison.seeds, comparison.only_base) = (vec![1], (2..=10).collect());
    let few =
        "only 1 of the 10 seeds of the base can be compared, fewer than half; run the head with the seeds of the base";
    check_contains(&text::render(&account), &["UNDECIDED  a|b: 1 run equal", &format!("note  {few}\n")]);
    check_contains(&markdown::render(&account), &["undecided", few]);
    check_contains(
        &junit::render(&account),
        &["errors=\"1\"", &format!("<error type=\"undecided\" message=\"{few}\">")],
    );
    check_contains(&github::render(&account), &["title=cossim%3A undecided::only 1 of the 10 seeds"]);
    account.comparison.only_base.truncate(1);
    assert_eq!(account.word(), "identical", "half of them are compared");
}

/// `--set` takes any text, and a backtick in it must not end the code around it.
#[test]
fn no_text_is_markup_in_markdown() {
    let mut account = account();
    account.head = "s.ron --set a=`<b>x</b>``|".to_owned();
    account.comparison.head.set = vec!["a=```<i>".to_owned()];
    account.comparison.exact[0].what = "`<u>`".to_owned();
    account.comparison.head.scenario = "<s>_a_".to_owned();
    account.comparison.unmatched_expectations = vec![("x<`<q>`&1".to_owned(), false)];
    check_contains(
        &markdown::render(&account),
        &[
            "## cossim: \\<s\\>\\_a\\_: regression",
            "head ```s.ron --set a=`<b>x</b>``|``` (scenario",
            "- `` `<u>` ``: fail → pass",
            "> only the head expects `x<`\\<q\\>`&1`",
            "\n````\ncossim run",
        ],
    );
}

/// Which figures have seeds left out is said, and in how many of how many.
#[test]
fn figures_that_lack_seeds_are_named() {
    let mut account = account();
    account.comparison.rows[0].unpaired = 3;
    account.comparison.thinned = vec!["failover.replace{region=eu}".to_owned()];
    account.comparison.rows.iter_mut().for_each(|row| row.verdict = Verdict::NoEvidence);
    account.comparison.exact.clear();
    check_contains(
        &text::render(&account),
        &[
            "UNDECIDED  a|b",
            "one side only and are left out: plan.wait{region=<eu>} p99 (3 of 13)\n",
            "the base measured failover.replace{region=eu} in every seed and the head in fewer than half",
        ],
    );
    account.comparison.rows = vec![account.comparison.rows[0].clone(); 10];
    check_contains(&text::render(&account), &["p99 (3 of 13), and 2 more\n"]);
}

/// GitHub shows ten annotations of a level and drops the others: what it comes to is the first, and what is dropped is
/// counted.
#[test]
fn annotations_begin_with_the_verdict_and_count_what_is_left_out() {
    let mut account = account();
    let exact = |at: usize, verdict| Exact {
        what: format!("x{at} < 1"),
        base: "fail".to_owned(),
        head: "pass".to_owned(),
        verdict,
    };
    account.comparison.exact = (0..10).map(|at| exact(at, Verdict::Improvement)).collect();
    account.comparison.exact.extend((0..10).map(|at| exact(at, Verdict::Regression)));
    let text = github::render(&account);
    assert!(text.starts_with("::notice file=s%2C1.ron,title=cossim::regression: 12 regressions, 10 impr"), "{text}");
    let of = |level: &str| text.lines().filter(|line| line.starts_with(level)).collect::<Vec<&str>>();
    let (notices, errors) = (of("::notice "), of("::error "));
    assert_eq!((notices.len(), errors.len()), (10, 10));
    assert!(notices[9].contains("::2 more are not annotated") && errors[9].contains("::3 more are not"), "{text}");
    account.comparison.exact.truncate(8);
    assert!(!github::render(&account).contains("not annotated"));
}

/// Equal runs of which something else is expected are said to be equal, and not to be the same result.
#[test]
fn equal_runs_with_other_expectations_are_told_in_every_format() {
    let mut account = account();
    let comparison = &mut account.comparison;
    (comparison.rows, comparison.exact, comparison.identical) = (Vec::new(), Vec::new(), true);
    comparison.unmatched_expectations = vec![("x max == 1s".to_owned(), false)];
    assert!(account.comparison.differs());
    let (word, counts) =
        ("identical runs, other expectations", "10 runs equal, event for event, 1 expectation of the head alone");
    let note = "only the head expects `x max == 1s`";
    let json: serde_json::Value = serde_json::from_str(&json::render(&account)).unwrap();
    assert_eq!((&json["verdict"], &json["expectations_only_in_head"][0]), (&word.into(), &"x max == 1s".into()));
    let upper = word.to_uppercase();
    check_contains(&text::render(&account), &[&format!("{upper}  a|b: {counts}\n"), &format!("note  {note}\n")]);
    check_contains(&markdown::render(&account), &[&format!("a\\|b: {word}\n"), counts, note]);
    check_contains(&junit::render(&account), &[counts, note]);
    check_contains(&github::render(&account), &[&format!("::{word}: {counts}"), note]);
    // One that is dropped is a regression, of runs that are equal all the same.
    let dropped = Exact {
        what: "x max == 1s".to_owned(),
        base: "pass".to_owned(),
        head: "not expected".to_owned(),
        verdict: Verdict::Regression,
    };
    account.comparison.exact = vec![dropped];
    account.comparison.unmatched_expectations[0].1 = true;
    let counts = "regression: 10 runs equal, event for event, 1 regression";
    check_contains(
        &text::render(&account),
        &[&counts.replacen("regression:", "REGRESSION  a|b:", 1), "pass → not expected"],
    );
    check_contains(&junit::render(&account), &["failures=\"1\"", "10 runs equal", "message=\"pass → not expected\""]);
    check_contains(&github::render(&account), &[counts, "::error file=s%2C1.ron,title=cossim%3A regression::x max"]);
    check_contains(&markdown::render(&account), &["a\\|b: regression", "1 regression", "pass → not expected"]);
}

/// Metrics that are measured in fewer seeds by chance are told, with the seeds; so is what is neither better nor worse.
#[test]
fn what_has_no_figures_is_told_whatever_it_came_to() {
    let mut account = account();
    account.comparison.exact[0].verdict = Verdict::NoEvidence;
    let told = "plan.wait max < 1s: fail → pass";
    check_contains(&text::render(&account), &["no evidence of a change", told, "2 without evidence"]);
    let markdown =
        "In other numbers of seeds, without evidence of a change: 1</summary>\n\n- `plan.wait max < 1s`: fail → pass";
    check_contains(&markdown::render(&account), &[markdown]);
    check_contains(&junit::render(&account), &["no evidence: fail → pass"]);
    account.comparison.rows.clear();
    check_contains(&text::render(&account), &[told]);
    account.comparison.exact[0].verdict = Verdict::Moved;
    check_contains(&github::render(&account), &[&format!("::notice file=s%2C1.ron,title=cossim%3A moved::{told}")]);
    check_contains(&text::render(&account), &["MOVED", told]);
}

#[test]
fn one_seed_is_said_to_bear_no_evidence() {
    let mut account = account();
    account.comparison.exact.clear();
    (account.comparison.seeds, account.comparison.only_base) = (vec![1], Vec::new());
    account.comparison.rows.truncate(1);
    let row = &mut account.comparison.rows[0];
    (row.worse, row.verdict, row.p, row.interval, row.pairs) = (Worse::Neither, Verdict::Moved, None, None, 1);
    account.comparison.power = Power::default();
    assert!(account.comparison.differs() && !account.is_undecided());
    check_contains(&text::render(&account), &["MOVED  a|b: 1 moved", "note  one seed cannot bear evidence: "]);
    account.comparison.identical = true;
    assert!(!text::render(&account).contains("one seed cannot"));
}

/// As many seeds as moved, and of how many.
#[test]
fn seeds_that_moved_are_told() {
    let mut account = account();
    account.comparison.exact.clear();
    account.comparison.seeds = (1..=30).collect();
    account.comparison.power = Power { tested: 3, able: 0 };
    let few = |row: &mut Row| (row.verdict, row.pairs, row.moved) = (Verdict::NoEvidence, 5, 5);
    account.comparison.rows.iter_mut().for_each(few);
    // Seven of them are needed for three figures, which takes 42 seeds.
    check_contains(
        &text::render(&account),
        &[
            "UNDECIDED",
            "5 of 30 seeds moved, which can show no difference among 3 figures",
            "`--seeds 42`, if as large a part of them moves\n",
        ],
    );
    account.comparison.power.able = 1;
    let row = &mut account.comparison.rows[0];
    row.p = Some((0.062_5, 0.187_5));
    check_contains(
        &text::render(&account),
        &[
            "UNDECIDED",
            "worse in every seed that has data, and these are too few",
            "plan.wait{region=<eu>} p99 (all 5 of 30)",
        ],
    );
}

#[test]
fn what_never_ends_on_either_side_has_no_change() {
    let mut account = account();
    let row = &mut account.comparison.rows[1];
    (row.base, row.head, row.effect, row.moved) = (f64::INFINITY, f64::INFINITY, 0.0, 0);
    (row.verdict, row.interval) = (Verdict::Same, Some((0.0, 0.0)));
    check_contains(&junit::render(&account), &["same: failover.replace{region=eu} p99: never / never, no difference"]);
    let json: serde_json::Value = serde_json::from_str(&json::render(&account)).unwrap();
    let never = &json["figures"][1];
    assert!(never["effect"].is_null() && never.get("ci95").is_none(), "{never}");
    // Some seeds recovered and as many others did not any more.
    let row = &mut account.comparison.rows[1];
    (row.verdict, row.moved) = (Verdict::NoEvidence, 10);
    let texts = [text::render(&account), markdown::render(&account)];
    assert!(texts.iter().all(|text| text.contains("never / never") && !text.contains("0 ms (0%)")), "{texts:?}");
}

/// Headline, exit code, failures and annotations are of one mind, and nothing is said twice.
#[test]
fn a_gate_that_differences_do_not_pass_fails_in_every_format() {
    let mut account = account();
    account.comparison.seeds.truncate(3);
    let few = |row: &mut Row| (row.verdict, row.pairs, row.moved) = (Verdict::NoEvidence, 3, 3);
    account.comparison.rows.iter_mut().for_each(few);
    account.comparison.rows[2].verdict = Verdict::Moved;
    account.comparison.only_base.clear();
    account.comparison.unmatched = vec![("eval.age{region=eu}".to_owned(), false)];
    account.comparison.power = Power { tested: 2, able: 0 };
    let fares = |account: &Account| {
        let failed = account.gate.is_some_and(|gate| account.comparison.fails(gate));
        let junit = junit::render(account);
        let count = |what: &str| junit.matches(what).count();
        let (failures, errors) = (count("<failure type=\"difference\""), count("<error "));
        assert!(junit.contains(&format!("failures=\"{failures}\" errors=\"{errors}\"")), "{junit}");
        (account.word(), failed, account.is_undecided(), failures, errors)
    };
    assert_eq!(fares(&account), ("undecided", false, true, 0, 1));
    account.gate = Some(Gate::Regression);
    assert_eq!(fares(&account), ("undecided", false, true, 0, 1));
    let why = "3 seeds can show no difference among 2 figures";
    let of = |account: &Account, level: &str| {
        let text = github::render(account);
        assert_eq!(text.matches(why).count(), 1, "{text}");
        text.lines().filter(|line| line.starts_with(level)).map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!((of(&account, "::error").len(), of(&account, "::warning").len()), (1, 1));
    // What is expected holds now, a figure has moved, and a metric is new.
    account.gate = Some(Gate::Difference);
    assert_eq!(fares(&account), ("improvement", true, false, 3, 0));
    let errors = of(&account, "::error");
    assert_eq!((errors.len(), of(&account, "::notice").len(), of(&account, "::warning").len()), (3, 1, 1));
    assert!(errors[0].contains("title=cossim%3A difference::only the head has eval.age"), "{errors:?}");
    // Nothing of that: a figure that is better in three seeds is a difference if it can be told.
    account.comparison.exact.clear();
    account.comparison.unmatched.clear();
    account.comparison.rows.truncate(1);
    account.comparison.rows[0].effect = -5.0;
    assert_eq!(fares(&account), ("undecided", false, true, 0, 1));
    account.gate = Some(Gate::Regression);
    assert_eq!(fares(&account), ("no evidence of a difference", false, false, 0, 0), "whatever it is, it is not worse");
}

#[test]
fn waits_that_never_end_in_too_few_seeds_are_undecided_in_every_format() {
    let mut account = account();
    account.comparison.rows.iter_mut().for_each(|row| row.verdict = Verdict::NoEvidence);
    account.comparison.unended = vec!["failover.replace{region=eu} p50, p99".to_owned()];
    let why = "in some seeds failover.replace{region=eu} p50, p99 never ended in the head and did in the base, and these are \
               too few to tell";
    check_contains(&text::render(&account), &["UNDECIDED", &format!("note  {why}")]);
    check_contains(&junit::render(&account), &["errors=\"1\"", why]);
    check_contains(&github::render(&account), &[&format!("title=cossim%3A undecided::{why}")]);
    check_contains(&markdown::render(&account), &["undecided", why]);
}

#[test]
fn tolerances_that_do_nothing_are_told_in_every_format() {
    let mut account = account();
    account.comparison.idle = vec!["request.latency{service=shpo} p99".to_owned()];
    let note = "look whether they are spelt right: `request.latency{service=shpo} p99`";
    for style in [text::render, markdown::render, json::render, junit::render, github::render] {
        check_contains(&style(&account), &[note]);
    }
    assert_eq!(account.word(), "regression", "it is a note");
}
