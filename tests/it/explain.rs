//! `cossim explain`: a run of a small crowded world, and the stories it has to tell.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::{Ended, cossim};

const SCENARIO: &str = "tests/explain/crowded.ron";

/// A finished run in a folder of its own, removed at the end, and what it printed.
struct Report(PathBuf, String);

impl Report {
    fn new(name: &str, more: &[&str]) -> Self {
        Self::of(SCENARIO, name, more)
    }

    fn of(scenario: &str, name: &str, more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("cossim-explain-{name}-{}", std::process::id()));
        let mut report = Self(folder, String::new());
        let ended = cossim(&[&["run", scenario, "--quiet", "--seed", "2", "--out", report.path()], more].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        report.1 = ended.stdout;
        report
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a temporary folder has a plain name")
    }

    fn explain(&self, more: &[&str]) -> Ended {
        cossim(&[&["explain", "alloc", "--report", self.path()], more].concat())
    }

    fn summary(&self) -> Value {
        let text = std::fs::read_to_string(self.0.join("summary.json")).expect("a report has a summary");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// A column of `placements.csv`.
    fn column(&self, name: &str) -> Vec<String> {
        let mut reader = csv::Reader::from_path(self.0.join("placements.csv")).expect("a report has placements");
        let at = reader.headers().expect("with headings").iter().position(|heading| heading == name);
        let at = at.unwrap_or_else(|| panic!("no column `{name}`"));
        reader.records().map(|row| row.expect("every row can be read")[at].to_owned()).collect()
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn a_placement_and_a_refusal_are_explained() {
    let report = Report::new("told", &["--set", "duration=130s"]);

    // The last allocation of a name: which nodes there were, what ruled them out, what the candidates scored.
    let ended = report.explain(&["shop.web[0]"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let parts = ["shop.web[0] is a", "seed 2 of crowded, region us-east-1", "what asked for it", "evaluation e"];
    contains(&ended.stdout, &parts);
    contains(&ended.stdout, &["${node.class} = big", "candidates: ", "binpack", "job-anti-affinity", "why this one"]);
    assert!(ended.stdout.lines().any(|line| line.trim_start().starts_with("* ")), "{}", ended.stdout);

    // The same as JSON, by number: it names the same machine as `placements.csv`.
    let ended = report.explain(&["a0", "--json"]);
    let account: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(account["alloc"]["machine"], report.column("machine")[0]);
    assert_eq!(account["name"], report.column("name")[0]);
    let best = &account["passes"][0]["best"];
    let mean = |candidate: &Value| {
        let scores: Vec<f64> = candidate["scores"].as_object().unwrap().values().map(|s| s.as_f64().unwrap()).collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    for candidate in best.as_array().expect("the best candidates") {
        assert!((mean(candidate) - candidate["score"].as_f64().unwrap()).abs() < 1e-9, "{candidate}");
    }
    assert!((best[0]["score"].as_f64().unwrap() - report.column("score")[0].parse::<f64>().unwrap()).abs() < 1e-8);

    // What was lost with its machine was replaced, and the story says by which chain.
    let previous = report.column("previous");
    let replaced = previous.iter().position(|previous| !previous.is_empty()).expect("something was replaced");
    let ended = report.explain(&[&report.column("alloc")[replaced]]);
    contains(&ended.stdout, &["node-update", "what it replaces", &previous[replaced], "stop, lost"]);

    // A group that found no place, by group and by a name that was never given out.
    for name in ["crowd.work", "crowd.work[7]"] {
        let ended = report.explain(&[name]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        contains(&ended.stdout, &["could not be placed", "exhausted", "memory", "by class", "why not", "priority 40"]);
        contains(&ended.stdout, &["classes became ineligible earlier", "1 more of the group were not tried"]);
    }
    contains(&report.1, &["without a place when the run ended", "crowd.work", "memory exhausted"]);
    let summary = report.summary();
    let unplaced = &summary["runs"][0]["unplaced"][0];
    assert_eq!((&unplaced["job"], &unplaced["group"]), (&"crowd".into(), &"work".into()));
    assert!(unplaced["dimension_exhausted"]["memory"].as_u64() > Some(0), "{unplaced}");
    assert!(unplaced["queued"].as_u64() > Some(0), "{unplaced}");
}

#[test]
fn explaining_changes_nothing() {
    let (plain, told) = (Report::new("plain", &[]), Report::new("told-in-full", &["--explain"]));
    assert_eq!(plain.summary(), told.summary());
    for column in ["machine", "placed_s", "score"] {
        assert_eq!(plain.column(column), told.column(column));
    }
    assert!(plain.column("best").iter().all(String::is_empty));
    assert!(told.column("best").iter().all(|best| best.contains("binpack")), "{:?}", told.column("best"));
    assert!(told.column("filtered").iter().any(|filtered| filtered.contains("${node.class} = big")));
}

#[test]
fn what_cannot_be_explained_is_said_clearly() {
    let report = Report::new("refused", &[]);
    let refused = |arguments: &[&str], parts: &[&str]| {
        let ended = report.explain(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        contains(&ended.stderr, parts);
    };
    refused(&["shop.wbe[0]"], &["error[E095]", "no allocation or group `shop.wbe[0]`", "did you mean `shop.web[0]`?"]);
    refused(&["a99999"], &["error[E095]", "`a99999`"]);
    refused(&["shop.web[3]"], &["error[E095]", "`shop.web[3]` was never given out", "0 to 2"]);
    refused(&["crowd.work[8]"], &["error[E095]", "8 instances at most", "0 to 7"]);
    for name in ["crowd.work[x]", "shop.web[", "shop.web[1", "shop.web[]"] {
        refused(&[name], &["error[E095]", &format!("`{name}` is the name of no allocation"), "[0]`"]);
    }
    refused(&["shop.web"], &["error[E095]", "never refused", "`shop.web[0]`"]);
    refused(&["shop.web[0]", "--seed", "1"], &["error[E095]", "no run of seed 1", "`2`"]);
    refused(&["shop.web[0]", "--region", "us-east-2"], &["error[E095]", "us-east-2", "us-east-1"]);
    refused(&["shop.web[0]", "--scenario", "scenarios/node-crash.ron"], &["error[E094]", "node-crash.ron"]);
    refused(&["shop.web[0]", "--scenario", "no/such.ron"], &["no/such.ron", "--scenario"]);

    let ended = cossim(&["explain", "alloc", "shop.web[0]", "--report", "docs"]);
    assert_eq!(ended.code, Some(2));
    contains(&ended.stderr, &["error[E092]", "`docs` is no report"]);

    let path = report.0.join("placements.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("us-east-1/big-", "us-east-1/small-")).unwrap();
    refused(&["shop.web[0]"], &["error[E096]", "placements.csv` is not what its run wrote", "run the scenario again"]);
    std::fs::write(&path, text).unwrap();

    let path = report.0.join("summary.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let of = |version: &str| format!("\"cossim\": \"{version}\"");
    std::fs::write(&path, text.replace(&of(env!("CARGO_PKG_VERSION")), &of("0.0.9"))).unwrap();
    refused(&["shop.web[0]"], &["error[E093]", "0.0.9", env!("CARGO_PKG_VERSION")]);
}

/// Children of a parameterized job are found by their own names and by their parent's.
#[test]
fn children_are_found_under_their_parent() {
    let report = Report::of("tests/explain/children.ron", "children", &[]);
    let names = report.column("name");
    let name = names.iter().find(|name| name.starts_with("clerk/dispatch-")).expect("it was dispatched");
    for name in [name.as_str(), "clerk.desk[0]"] {
        let ended = report.explain(&[name]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        contains(&ended.stdout, &["clerk/dispatch-", ".desk[0] is a"]);
    }
    for name in ["giant.desk", "giant.desk[2]"] {
        let ended = report.explain(&[name]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        contains(&ended.stdout, &["could not be placed", "2 cpu"]);
    }

    // Without a place a child has the name it has everywhere else, and is known by it.
    let summary = report.summary();
    let child = summary["runs"][0]["unplaced"][0]["job"].as_str().expect("the giant has no place").to_owned();
    assert!(child.starts_with("giant/dispatch-"), "{child}");
    let name = format!("{child}.desk");
    contains(&report.1, &["without a place when the run ended", &name]);
    let ended = report.explain(&[&name]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    contains(&ended.stdout, &[&format!("{name}["), "could not be placed"]);
    let ended = report.explain(&[&format!("{child}.dsek")]);
    contains(&ended.stderr, &["error[E095]", &format!("did you mean `{name}`?")]);
}

/// A group for which nodes are chosen, by plans that are always rejected, has no place either.
#[test]
fn rejected_plans_are_a_reason() {
    let report = Report::of("tests/explain/rejected.ron", "rejected", &[]);
    contains(&report.1, &["without a place when the run ended", "hi.g", "plans rejected (", "× cpu exhausted)"]);
    let summary = report.summary();
    let unplaced = &summary["runs"][0]["unplaced"][0];
    assert_eq!((&unplaced["job"], &unplaced["queued"]), (&"hi".into(), &3.into()));
    let plans = unplaced["plans_rejected"].as_u64().expect("plans were rejected");
    assert_eq!(unplaced["plan_rejections"]["cpu exhausted"], plans);

    let ended = report.explain(&["hi.g"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let rejected = format!("rejected by r1/apps-1 {plans} times: cpu exhausted");
    let parts = ["could not be placed", "the plans to use it were rejected", &rejected, "max-plan-attempts"];
    contains(&ended.stdout, &parts);
    contains(&ended.stdout, &["is blocked in its stead since", "at its end 3 of it wait for a place"]);
    let account: Value = serde_json::from_str(&report.explain(&["hi.g", "--json"]).stdout).expect("JSON");
    assert_eq!(account["given_up"]["plans_rejected"], plans);
}

/// The first of equals wins only where no candidate was set aside, and each machine refuses a system job by itself.
#[test]
fn what_was_set_aside_did_not_compete() {
    let report = Report::of("tests/explain/set-aside.ron", "set-aside", &[]);
    let stories: Vec<String> = (0..9).map(|index| report.explain(&[&format!("j.g[{index}]")]).stdout).collect();
    contains(&stories[6], &["as good as", "and met first"]);
    contains(&stories[8], &["was met earlier, but set aside", "score 0 or less"]);
    let refused = report.explain(&["s.g"]).stdout;
    contains(
        &refused,
        &["(only r/apps-", "was asked)", "the search has no limit", "the last that refused, had no room"],
    );
}
