//! `cossim compare`, baselines, and how many seeds are run: the real binary on a small crowded world.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{Ended, cossim};

const SCENARIO: &str = "tests/explain/crowded.ron";

/// A folder for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cossim-compare-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a temporary folder has a plain name").to_owned()
    }

    /// Runs the scenario into a folder, without complaint.
    fn run(&self, folder: &str, more: &[&str]) {
        let ended = cossim(&[&["run", SCENARIO, "--quiet", "--out", &self.path(folder)], more].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }

    /// Changes the text of a file.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).expect("a report has this file");
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).expect("it can be written");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

fn check_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    contains(&ended.stderr, parts);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
}

#[test]
fn a_baseline_is_kept_and_equal_runs_are_identical() {
    let scratch = Scratch::new("identical");
    let baselines = scratch.path("kept");
    scratch.run("report", &["--seeds", "3", "--save-baseline", "main", "--baselines", &baselines]);
    let mut kept: Vec<_> =
        std::fs::read_dir(scratch.path("kept/main")).unwrap().map(|e| e.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["checksums.txt", "placements.csv", "summary.json"]);
    let report = scratch.path("report");
    let ended = cossim(&["compare", "main", &report, "--baselines", &baselines, "--fail-on", "difference"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    contains(
        &ended.stdout,
        &["IDENTICAL  crowded: 3 runs equal, event for event", "seeds 1–3, paired; nothing to test"],
    );
    // Fewer seeds are compared as far as they go, and a missing table is said to be missing.
    scratch.run("fewer", &["--seeds", "2"]);
    std::fs::remove_file(scratch.path("fewer/placements.csv")).unwrap();
    let ended = cossim(&["compare", "main", &scratch.path("fewer"), "--baselines", &baselines]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    contains(
        &ended.stdout,
        &["seeds 3 are only in the base", "placement decisions are not compared", "placements.csv"],
    );
    // A baseline is replaced as a whole, and nothing but a baseline is.
    let again = ["--seeds", "2", "--save-baseline", "main", "--baselines", &baselines, "--out", &scratch.path("again")];
    let ended = cossim(&[&["run", SCENARIO, "--quiet"], &again[..]].concat());
    assert_eq!(ended.code, Some(0));
    let told =
        format!("baseline in {} replaced: it was crowded, seeds 1 2 3, scenario digest ", scratch.path("kept/main"));
    assert!(ended.stderr.starts_with(&told) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    // A whole report stands where a baseline would: it has more to lose.
    std::fs::rename(scratch.path("fewer"), scratch.path("kept/fewer")).unwrap();
    let more = ["--save-baseline", "fewer", "--baselines", &baselines, "--out", &report];
    let refused = cossim(&[&["run", SCENARIO], &more[..]].concat());
    check_refused(&refused, &["E090", "kept/fewer` exists and is no baseline of cossim's", "another name"]);
    std::fs::write(scratch.path("kept/main/notes.txt"), "mine").unwrap();
    let more = ["--save-baseline", "main", "--baselines", &baselines, "--out", &report];
    check_refused(&cossim(&[&["run", SCENARIO], &more[..]].concat()), &["E090", "is no baseline of cossim's"]);
    // A report is written as a whole folder: the baseline in its place would be gone.
    for out in [scratch.path("kept/main"), scratch.path("kept"), scratch.path("kept/main/x")] {
        let more = ["--save-baseline", "main", "--baselines", &baselines, "--out", &out];
        let refused = cossim(&[&["run", SCENARIO], &more[..]].concat());
        check_refused(&refused, &["E090", "would be one folder, or one within the other", "`--out` or `--baselines`"]);
    }
    // Nor does a later report take the place of a baseline without a word.
    std::fs::remove_file(scratch.path("kept/main/notes.txt")).unwrap();
    let refused = cossim(&["run", SCENARIO, "--out", &scratch.path("kept/main")]);
    check_refused(&refused, &["E090", "kept/main` is a baseline, which a report would replace", "`--out`"]);
    let ended = cossim(&["run", SCENARIO, "--save-baseline", "../main"]);
    assert_eq!(ended.code, Some(2));
    contains(&ended.stderr, &["it names a folder"]);
}

#[test]
fn a_variant_that_is_worse_is_a_regression_in_every_format() {
    let scratch = Scratch::new("regression");
    let file = |format: &str| format!("{format}={}", scratch.path(format));
    let formats = ["json", "markdown", "junit", "github"].map(file);
    let variant = ["compare", SCENARIO, "--seeds", "12", "--head-set", "regions[0].clients[1].count=1", "--quiet"];
    let outputs: Vec<&str> = formats.iter().flat_map(|format| ["--format", format.as_str()]).collect();
    let ended = cossim(&[&variant[..], &["--fail-on", "regression"], &outputs].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""), "{}", ended.stdout);
    let head = format!("head  {SCENARIO} --set regions[0].clients[1].count=1");
    contains(
        &ended.stdout,
        &["REGRESSION  crowded: ", &head, "regressions", "placement.queued{region=us-east-1} mean"],
    );
    contains(&ended.stdout, &["placement decisions: ", "seed 1: "]);
    let read = |name: &str| std::fs::read_to_string(scratch.path(name)).unwrap();
    let json: Value = serde_json::from_str(&read("json")).unwrap();
    assert_eq!((&json["schema"], &json["verdict"]), (&2.into(), &"regression".into()));
    let figures = json["figures"].as_array().unwrap();
    let queued = figures.iter().find(|figure| figure["metric"] == "placement.queued{region=us-east-1}").unwrap();
    assert_eq!(
        (&queued["verdict"], &queued["pairs"], &queued["unit"]),
        (&"regression".into(), &12.into(), &"allocs".into())
    );
    assert!(queued["p_holm"].as_f64() < Some(0.05) && queued["ci95"][0].as_f64() > Some(0.0), "{queued}");
    assert!(!json["decisions"].as_array().unwrap().is_empty());
    contains(
        &read("markdown"),
        &["## cossim: crowded: regression", "### Regressions", "| `placement.queued{region=us-east-1} mean` |"],
    );
    contains(&read("junit"), &["<?xml version=\"1.0\"", "<failure type=\"regression\"", "</testsuites>"]);
    contains(
        &read("github"),
        &[&format!("::error file={SCENARIO},title=cossim%3A regression::placement.queued{{region=us-east-1}} mean")],
    );
    // Only asked to, it fails; the other way round it is an improvement; what is tolerated is none.
    let ended = cossim(&[&variant[..], &["--json"]].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), &*read("json")));
    let tolerances = scratch.path("tolerances.ron");
    std::fs::write(&tolerances, "Tolerances(noise: \"0%\", metrics: [Metric(of: \"placement.queued\", ignore: true)])")
        .unwrap();
    let ended = cossim(&[&variant[..], &["--tolerances", &tolerances]].concat());
    assert!(!ended.stdout.contains("placement.queued"), "{}", ended.stdout);
}

/// The text and the exit code say the same of equal runs of which something else is expected.
#[test]
fn equal_runs_with_other_expectations_differ() {
    let few = ["compare", SCENARIO, "--seeds", "2", "--quiet", "--fail-on", "difference"];
    let (one, two) = ("expect=[\"eval.wait max < 1h\"]", "expect=[\"eval.wait max < 1h\", \"eval.wait p50 < 1h\"]");
    let added = cossim(&[&few[..], &["--base-set", one, "--head-set", two]].concat());
    assert_eq!((added.code, added.stderr.as_str()), (Some(1), ""), "{}", added.stdout);
    contains(
        &added.stdout,
        &[
            "IDENTICAL RUNS, OTHER EXPECTATIONS  crowded: 2 runs equal, event for event, 1 expectation of the head alone",
            "note  only the head expects `eval.wait p50 < 1h`",
        ],
    );
    let dropped = cossim(&[&few[..], &["--base-set", two, "--head-set", one]].concat());
    assert_eq!(dropped.code, Some(1));
    contains(
        &dropped.stdout,
        &[
            "REGRESSION  crowded: 2 runs equal, event for event, 1 regression",
            "  eval.wait p50 < 1h: pass, held in 2 of 2 seeds → not expected",
        ],
    );
}

/// A gate that cannot tell does not look like one that passes; unless it is asked to, nothing fails.
#[test]
fn too_few_seeds_are_undecided() {
    let variant = ["compare", SCENARIO, "--seeds", "3", "--head-set", "regions[0].clients[1].count=1", "--quiet"];
    // What neither way is worse has moved all the same, and the headline says what the exit code does.
    for (gate, headline, code) in [("regression", "UNDECIDED", 4), ("difference", "MOVED", 1)] {
        let ended = cossim(&[&variant[..], &["--fail-on", gate]].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), ""), "{}", ended.stdout);
        let headline = format!("{headline}  crowded: ");
        contains(&ended.stdout, &[&headline, "note  3 seeds can show no difference among "]);
    }
    let ended = cossim(&variant);
    assert_eq!(ended.code, Some(0));
    let set = "--set 'regions[0].clients[1].count=1' --seed 1 --explain --out explained/head";
    contains(
        &ended.stdout,
        &[&format!("    cossim run {SCENARIO} {set}\n"), "    cossim compare explained/base explained/head"],
    );
}

#[test]
fn what_cannot_be_compared_is_said_clearly() {
    let scratch = Scratch::new("refused");
    let (good, baselines) = (scratch.path("good"), scratch.path("kept"));
    scratch.run("good", &["--seed", "1", "--save-baseline", "main", "--baselines", &baselines]);
    let compare = |words: &[&str]| cossim(&[&["compare", "--baselines", &baselines], words].concat());
    check_refused(
        &compare(&["mian", &good]),
        &["E110", "no report folder, baseline or scenario `mian`", "did you mean `main`?"],
    );
    check_refused(&compare(&[SCENARIO]), &["would be compared with itself", "--head-set"]);
    check_refused(&compare(&[&good, "main", "--head-set", "seeds=2"]), &["`--head-set` has nothing to change"]);
    check_refused(
        &compare(&[&good, "main", "--json", "--format", "junit"]),
        &["mixed on stdout", "--format junit=FILE"],
    );
    check_refused(&compare(&[&good, "main", "--seeds", "3"]), &["`--seeds` has nothing to change"]);
    let twice = scratch.path("twice");
    let (json, junit) = (format!("json={twice}"), format!("junit={twice}"));
    check_refused(
        &compare(&[&good, "main", "--format", &json, "--format", &junit]),
        &["two formats would be written to"],
    );
    check_refused(&compare(&[&good, "main", "--format", "junit=/no/such/folder/x"]), &["E091", "/no/such/folder/x"]);
    let (text, json) = (format!("text={twice}"), format!("json={}", scratch.path("kept/../twice")));
    check_refused(
        &compare(&[&good, "main", "--format", &text, "--format", &json]),
        &["E110", "two formats would be written to", "kept/../twice", "a file of its own"],
    );
    assert!(!Path::new(&twice).exists());
    for own in ["good/summary.json", "kept/main/placements.csv"].map(|own| scratch.path(own)) {
        let before = std::fs::read(&own).unwrap();
        let ended = compare(&[&good, "main", "--format", &format!("json={own}")]);
        check_refused(&ended, &["E110", "belongs to what is compared, and would be overwritten", "comparison.json"]);
        assert_eq!(std::fs::read(&own).unwrap(), before);
    }
    for (name, from, to, parts) in [
        ("version", "\"cossim\": \"", "\"cossim\": \"9", ["E111", "was written by cossim 9", "--across-versions"]),
        (
            "schema",
            "\"schema\": 1",
            "\"schema\": 9",
            ["E111", "has format 9, and this cossim reads format 1", "run the scenario again"],
        ),
        ("foreign", "\"cossim\"", "\"other\"", ["E111", "was not written by cossim", "`cossim run`"]),
        ("damaged", "\"digest\"", "\"digits\"", ["E111", "is damaged: `runs[0]", "missing field `digest`"]),
        ("edited", "\"seed\": 1", "\"seed\": 7", ["E111", "is not what its run wrote", "run the scenario again"]),
    ] {
        scratch.run(name, &["--seed", "1"]);
        scratch.edit(&format!("{name}/summary.json"), from, to);
        check_refused(&compare(&[&scratch.path(name), "main"]), &parts);
    }
    for (name, options, parts) in [
        ("seed", ["--seed", "7"].as_slice(), ["E112", "no seed in common: 7 against 1", "--seeds"]),
        (
            "scenario",
            &["--seed", "1", "--set", "name=\"other\""],
            ["E112", "of scenario `other`", "--across-scenarios"],
        ),
    ] {
        scratch.run(name, options);
        check_refused(&compare(&[&scratch.path(name), "main"]), &parts);
    }
    // Another version may have written no checksums.
    std::fs::remove_file(scratch.path("version/checksums.txt")).unwrap();
    let (version, scenario) = (scratch.path("version"), scratch.path("scenario"));
    for words in [[&version, "main", "--across-versions"], [&scenario, "main", "--across-scenarios"]] {
        let ended = compare(&words.map(|word| word));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        contains(&ended.stdout, &["note  the sides are of different "]);
    }
    std::fs::create_dir(scratch.path("empty")).unwrap();
    check_refused(&compare(&[&scratch.path("empty"), "main"]), &["E111", "empty/summary.json", "cannot be read"]);
    let tolerances = scratch.path("tolerances.ron");
    std::fs::write(&tolerances, "Tolerances(metrics: [Metric(of: \"plan.wiat\")])").unwrap();
    let ended = compare(&[&good, "main", "--tolerances", &tolerances]);
    assert_eq!(ended.code, Some(2));
    contains(&ended.stderr, &["E009", "no metric `plan.wiat`", "tolerances.ron:1:", "plan.wait"]);
}

#[test]
fn how_many_seeds_are_enough_does_not_depend_on_threads() {
    let scratch = Scratch::new("auto");
    let summary = |folder: &str| -> Value {
        let text = std::fs::read_to_string(Path::new(&scratch.path(folder)).join("summary.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let auto = ["--set", "seeds=Auto(half_width: \"3%\", max: 14)", "--set", "expect=[\"eval.wait max < 1h\"]"];
    for threads in ["1", "2"] {
        scratch.run(threads, &[&auto[..], &["--threads", threads]].concat());
    }
    let (one, two) = (summary("1"), summary("2"));
    assert_eq!(one, two);
    let count = one["runs"].as_array().unwrap().len();
    assert!((10..=14).contains(&count), "{count}");
    let stopping = &one["stopping"];
    assert_eq!((&stopping["half_width"], &stopping["max"]), (&3.0.into(), &14.into()));
    assert!(stopping["reached"] == true || count == 14, "{stopping}");
    assert_eq!(stopping["known"][0]["seeds"], count);
    // Seeds from the command line are neither more nor fewer.
    scratch.run("three", &[&auto[..], &["--seeds", "3"]].concat());
    assert_eq!(summary("three")["runs"].as_array().unwrap().len(), 3);
    assert!(summary("three").get("stopping").is_none());
}

#[test]
fn cases_are_grouped_by_what_the_scenario_says() {
    let scratch = Scratch::new("group");
    let by = "group_by=[\"leaders\", \"placement.queued final > 1000\"]";
    scratch.run("report", &["--seeds", "3", "--set", by]);
    let text = std::fs::read_to_string(scratch.path("report/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    for case in summary["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        assert!(name.ends_with("; not placement.queued final > 1000"), "{name}");
    }
}
