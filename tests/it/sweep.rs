//! Sweeps and sensitivity from the outside: the real binary, its files, and that shards come to the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Ended, cossim};

const SCENARIO: &str = "scenarios/sweep-heartbeat.ron";

/// A folder for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cossim-sweep-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch folder can be made");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs cossim and expects it to end well.
fn fine(arguments: &[&str]) -> Ended {
    let ended = cossim(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}\n{}", ended.stderr);
    ended
}

/// Runs cossim and expects it to refuse, with this code and these words.
fn refused(arguments: &[&str], code: &str, words: &[&str]) {
    let ended = cossim(arguments);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}\n{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("error[{code}]: ")), "{arguments:?}\n{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{arguments:?}: `{word}` is not in\n{}", ended.stderr);
    }
}

fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let read = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    entries.map(|entry| read(entry.expect("an entry can be read"))).collect()
}

fn assert_same(left: &str, right: &str) {
    let (left, right) = (files(left), files(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
}

/// Two graces, two delays, two seeds: few runs.
const SMALL: [&str; 7] =
    [SCENARIO, "--vary", "options.heartbeat_grace=5s,20s", "--vary", "services[0].image_pull=0s,10s", "--seeds", "2"];

fn with<'a>(start: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    start.iter().chain(rest).copied().collect()
}

/// Plans the small sweep, and runs it in this process to compare with.
fn planned(scratch: &Scratch) -> (String, String) {
    let (plan, whole) = (scratch.path("plan"), scratch.path("whole"));
    fine(&with(&["sweep", "plan"], &with(&SMALL, &["--shards", "7", "--out", &plan])));
    fine(&with(&["sweep"], &with(&SMALL, &["--quiet", "--out", &whole])));
    (plan, whole)
}

#[test]
fn a_grid_comes_to_a_table_files_and_charts() {
    let scratch = Scratch::new("grid");
    let out = scratch.path("out");
    let ended = fine(&["sweep", SCENARIO, "--seeds", "2", "--out", &out]);
    assert!(ended.stdout.contains("16 runs: 8 points with seeds 1 2  |  design grid"), "{}", ended.stdout);
    // Nomad's server marks a machine down its time to live plus the grace after its last heartbeat.
    assert!(ended.stdout.contains(
        "the answer to `failover.replace max < 30s` flips between 10 s and 15 s of `options.heartbeat_grace`"
    ));
    assert!(ended.stdout.contains("assumed values that were varied here: `services[0].image_pull` = 0s"));
    assert!(ended.stderr.ends_with(&format!("result in {out}\n")), "{}", ended.stderr);
    let files = files(&out);
    for name in ["sweep.json", "points.csv", "runs.csv"] {
        assert!(files.contains_key(name), "{name}");
    }
    let charts: Vec<&String> = files.keys().filter(|name| name.strip_suffix(".svg").is_some()).collect();
    assert_eq!(charts.len(), 6, "lines and a heat map for each of three measures: {charts:?}");
    let summary: Value = serde_json::from_slice(&files["sweep.json"]).unwrap();
    assert_eq!(summary["points"].as_array().unwrap().len(), 8);
    assert_eq!(summary["points"][3]["values"], serde_json::json!(["10s", "10s"]));
    let point = |index: usize| summary["points"][index]["measures"][0]["mean"].as_f64().unwrap();
    // Same seeds at every point: five seconds more of grace are five seconds more, to the millisecond.
    assert!((point(2) - point(0) - 5_000.0).abs() < 200.0, "{} {}", point(0), point(2));
    let from_first = &summary["points"][2]["measures"][0]["from_first"];
    assert!((from_first["mean"].as_f64().unwrap() - point(2) + point(0)).abs() < 1e-3, "{from_first}");
    assert_eq!((&from_first["seeds"], from_first.get("ci95")), (&2.into(), None), "{from_first}");
    assert!(summary["points"][0]["measures"][0].get("from_first").is_none());
    assert!(ended.stdout.contains("from first: the same of the difference to the first point"), "{}", ended.stdout);
    let rows = String::from_utf8(files["points.csv"].clone()).unwrap();
    assert!(rows.starts_with("point,options.heartbeat_grace,services[0].image_pull,failover.replace max [ms] mean,"));
    assert_eq!((rows.lines().count(), String::from_utf8_lossy(&files["runs.csv"]).lines().count()), (9, 1 + 16 * 3));
    // A second sweep replaces the first, threads make no difference.
    let again = scratch.path("again");
    fine(&["sweep", SCENARIO, "--seeds", "2", "--threads", "1", "--quiet", "--out", &again]);
    fine(&["sweep", SCENARIO, "--seeds", "2", "--quiet", "--out", &again]);
    assert_same(&out, &again);
}

#[test]
fn designs_of_all_kinds_run() {
    let scratch = Scratch::new("designs");
    let out = scratch.path("out");
    let free =
        ["--vary", "options.heartbeat_grace=5s..20s", "--vary", "services[0].image_pull=0s..10s", "--seeds", "1"];
    for (design, points) in [("lhs", 3), ("morris", 9), ("sobol", 12)] {
        let space = with(&["sweep", SCENARIO, "--design", design, "--samples", "3"], &free);
        let ended = fine(&with(&space, &["--json", "--quiet", "--out", &out]));
        let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(summary["points"].as_array().unwrap().len(), points, "{design}");
        let count = |key: &str| summary["findings"][key].as_array().unwrap().len();
        // Three measures by two inputs; what does not vary has no shares.
        assert_eq!(count("effects"), if design == "morris" { 6 } else { 0 });
        assert_eq!(count("shares") > 0, design == "sobol");
        assert!(files(&out).keys().any(|name| name.starts_with("scatter-")), "{design}");
    }
    let list = ["sweep", SCENARIO, "--design", "list", "--vary", "duration=4m,5m", "--seeds", "1"];
    let grace = "options.heartbeat_grace=5s,10s";
    let ended = fine(&with(&list, &["--vary", grace, "--quiet", "--out", &out]));
    assert!(ended.stdout.contains("2 runs: 2 points"), "{}", ended.stdout);
}

#[test]
fn shards_of_any_number_come_to_the_bytes_of_one_process() {
    let scratch = Scratch::new("shards");
    let (plan, whole) = planned(&scratch);
    for count in [1, 2, 7, 64] {
        let (results, merged) = (scratch.path(&format!("results-{count}")), scratch.path(&format!("merged-{count}")));
        for index in (0..count).rev() {
            let shard = format!("{index}/{count}");
            fine(&["sweep", "run", &plan, "--shard", &shard, "--out", &results, "--quiet"]);
        }
        fine(&["sweep", "merge", &results, "--quiet", "--out", &merged]);
        assert_same(&whole, &merged);
    }
}

#[test]
fn a_shard_is_made_once_and_can_be_killed_at_any_time() {
    let scratch = Scratch::new("killed");
    let (plan, whole) = planned(&scratch);
    let results = scratch.path("results");
    for shard in ["0/2", "1/2"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cossim"))
            .args(["sweep", "run", &plan, "--shard", shard, "--out", &results, "--threads", "1", "--quiet"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Half-way: one of its four runs is there.
        while kept(&results) < 1 + usize::from(shard == "1/2") && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = kept(&results);
    assert!(before >= 2);
    if before < 8 {
        refused(
            &["sweep", "merge", &results, "--out", &scratch.path("early")],
            "E104",
            &["of 8 runs are missing", "/7"],
        );
        assert!(!Path::new(&scratch.path("early")).exists());
    }
    let ended = fine(&["sweep", "run", &plan, "--shard", "0/1", "--out", &results]);
    assert!(
        ended.stderr.contains(&format!("{} runs made, {before} were there before", 8 - before)),
        "{}",
        ended.stderr
    );
    let ended = fine(&["sweep", "run", &plan, "--shard", "1/2", "--out", &results]);
    assert!(ended.stderr.contains("0 runs made, 4 were there before"), "{}", ended.stderr);
    fine(&["sweep", "merge", &results, "--quiet", "--out", &scratch.path("merged")]);
    assert_same(&whole, &scratch.path("merged"));
}

/// Runs that are kept in a folder of results.
fn kept(results: &str) -> usize {
    let Ok(sweeps) = fs::read_dir(results) else { return 0 };
    let runs = sweeps.flatten().filter_map(|sweep| fs::read_dir(sweep.path()).ok()).flatten().flatten();
    let whole = |name: &str| name.strip_suffix(".json").is_some_and(|number| number.parse::<usize>().is_ok());
    runs.filter(|run| whole(&run.file_name().to_string_lossy())).count()
}

#[test]
fn what_ctrl_c_leaves_is_gone_on_with() {
    let scratch = Scratch::new("resume");
    let (_, whole) = planned(&scratch);
    let out = scratch.path("out");
    let arguments = with(&["sweep"], &with(&SMALL, &["--quiet", "--threads", "1", "--out", &out]));
    let mut child = Command::new(env!("CARGO_BIN_EXE_cossim"))
        .args(&arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let work = format!("{out}/.work");
    while kept(&work) < 1 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let code = child.wait().unwrap().code();
    if interrupted.is_ok_and(|status| status.success()) && code == Some(130) {
        assert!(!Path::new(&format!("{out}/sweep.json")).exists());
        refused(&arguments, "E102", &["begun and is not complete", "--resume"]);
        let other = with(&arguments, &["--set", "duration=2m", "--resume"]);
        refused(&other, "E102", &["holds another sweep", "--out"]);
    }
    fine(&with(&arguments, &["--resume"]));
    // What is complete is not made again, and not replaced by something else.
    let ended = fine(&with(&arguments, &["--resume"]));
    assert!(ended.stderr.contains("nothing is left to be run"), "{}", ended.stderr);
    let ended = fine(&with(&arguments, &["--resume", "--json"]));
    assert_eq!(ended.stdout, fs::read_to_string(format!("{out}/sweep.json")).unwrap());
    let other = with(&arguments, &["--set", "duration=2m", "--resume"]);
    refused(&other, "E102", &["holds the complete result of another sweep", "--out"]);
    assert!(!Path::new(&work).exists());
    assert_same(&whole, &out);
}

#[test]
fn runs_that_do_not_belong_together_are_not_merged() {
    let scratch = Scratch::new("mixed");
    let (plan, _) = planned(&scratch);
    let (other_plan, results, other) = (scratch.path("other-plan"), scratch.path("results"), scratch.path("other"));
    fine(&["sweep", "plan", SCENARIO, "--seeds", "1", "--vary", "options.heartbeat_grace=5s", "--out", &other_plan]);
    fine(&["sweep", "run", &plan, "--out", &results, "--quiet"]);
    fine(&["sweep", "run", &other_plan, "--out", &other, "--quiet"]);
    refused(&["sweep", "merge", &results, &other], "E102", &["holds runs of sweep", "one plan"]);
    fine(&["sweep", "run", &other_plan, "--out", &results, "--quiet"]);
    refused(&["sweep", "merge", &results], "E102", &["holds runs of 2 sweeps", "--sweep"]);
    let of = |folder: &str| -> PathBuf { fs::read_dir(folder).unwrap().next().unwrap().unwrap().path() };
    let foreign = of(&other);
    let digest = foreign.file_name().unwrap().to_str().unwrap();
    fine(&["sweep", "merge", &results, "--sweep", digest, "--quiet", "--out", &scratch.path("named")]);
    fs::remove_dir_all(Path::new(&results).join(digest)).unwrap();
    let mine = of(&results);
    // A file that looks like a run, and is none of the sweep's.
    fs::copy(mine.join("000000.json"), mine.join("000008.json")).unwrap();
    refused(&["sweep", "merge", &results], "E102", &["000008.json", "is no run of sweep", "runs 000000 to 000007"]);
    fs::rename(mine.join("000008.json"), mine.join("000000 (copy).json")).unwrap();
    refused(&["sweep", "merge", &results], "E102", &["000000 (copy).json", "move the file elsewhere"]);
    fs::remove_file(mine.join("000000 (copy).json")).unwrap();
    // A plan is not put among runs or results.
    let plan_into = |folder: &str, found: &str| {
        let again =
            ["sweep", "plan", SCENARIO, "--seeds", "1", "--vary", "options.heartbeat_grace=5s", "--out", folder];
        refused(&again, "E102", &["is no place for a plan: it holds results", found, "--out"]);
    };
    plan_into(&results, mine.file_name().unwrap().to_str().unwrap());
    plan_into(mine.to_str().unwrap(), "000000.json");
    plan_into(&scratch.path("named"), "sweep.json");
    // A run of another sweep under the name of one of this.
    fs::copy(foreign.join("000000.json"), mine.join("000003.json")).unwrap();
    refused(&["sweep", "merge", &results], "E102", &["000003.json", "is a run of sweep"]);
    // A file that lost its end.
    let text = fs::read_to_string(mine.join("000002.json")).unwrap();
    fs::write(mine.join("000003.json"), &text[..text.len() / 2]).unwrap();
    refused(&["sweep", "merge", &results], "E102", &["000003.json", "damaged", "run its shard again"]);
    fs::write(mine.join("000003.json"), text.replacen("\"events\":", "\"events\":1", 1)).unwrap();
    refused(&["sweep", "merge", &results], "E102", &["checksum"]);
    let ended = fine(&["sweep", "run", &plan, "--out", &results]);
    assert!(ended.stderr.contains("1 runs made, 7 were there before"), "{}", ended.stderr);
    // A plan that was edited, one of another version, none at all.
    let file = Path::new(&plan).join("plan.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"20s\"", "\"21s\"")).unwrap();
    refused(&["sweep", "run", &plan, "--out", &results], "E102", &["changed by hand"]);
    let version = format!("\"cossim\": \"{}\"", env!("CARGO_PKG_VERSION"));
    fs::write(&file, text.replace(&version, "\"cossim\": \"9.9.9\"")).unwrap();
    refused(&["sweep", "run", &plan, "--out", &results], "E102", &["was made by cossim 9.9.9"]);
    fs::write(&file, text.replace("\"shards\": 7", "\"shards\": 0")).unwrap();
    refused(&["sweep", "emit", &plan, "--engine", "slurm"], "E102", &["do not fit together"]);
    fs::write(&file, "{}").unwrap();
    refused(&["sweep", "run", &plan, "--out", &results], "E102", &["is no plan", "cossim sweep plan"]);
    refused(&["sweep", "run", "no/such/plan", "--out", &results], "E102", &["cannot read"]);
    refused(&["sweep", "merge", &scratch.path("other-plan/none")], "E102", &["cannot read"]);
    fs::create_dir(scratch.path("empty")).unwrap();
    refused(&["sweep", "merge", &scratch.path("empty")], "E102", &["holds no runs"]);
}

#[test]
fn what_cannot_be_varied_is_said_with_its_place_and_a_way_out() {
    let scratch = Scratch::new("bad");
    let out = scratch.path("out");
    let vary = |text: &'static str| ["sweep", SCENARIO, "--out", &out, "--vary", text].map(str::to_owned);
    for (text, code, words) in [
        ("options.heartbeat_grace", "E100", ["what varies is written `PATH=VALUES`", "--> --vary:1:1"]),
        ("options.heartbeat_grace=", "E100", ["a value is missing", "for example"]),
        ("options.heartbeat_grace=30s..5s/5s", "E100", ["is empty", "swap its ends"]),
        ("options.heartbeat_grace=5s..1m/5s", "E100", ["same unit", "--> --vary:1:25"]),
        ("options.heartbeat_grace=5s..30s", "E101", ["has no step", "--design lhs"]),
        ("regions[0].clients[0].count=1..1000000000/1", "E100", ["1000000000 values", "lhs"]),
        ("nomad.heartbeat_grace=10s", "E002", ["there is no field `nomad`", "did you mean `options.heartbeat_grace`?"]),
        ("options.heartbeat_grase=10s", "E002", ["heartbeat_grase", "did you mean `heartbeat_grace`?"]),
        ("regions[0].clients[7].count=1,2", "E016", ["has nothing at", "from `[0]` to `[0]`"]),
        ("options.heartbeat_grace=5s,fast", "E003", ["`fast` does not begin with a number", "at point 2 of 2"]),
        (
            "options.heartbeat_grace=5s,5000ms",
            "E100",
            ["`5s` and `5000ms` are the same value", "list every value once"],
        ),
        (
            "options.heartbeat_grace=5s..20s/5s,30s",
            "E100",
            ["a range and a list cannot be mixed", "give the range alone"],
        ),
        ("regions[0].clients[0].count=3..3.5/0.25", "E002", ["a whole number, 0 or more", "--> --vary:1:29"]),
        ("regions[0].clients[0].count=6,many", "E002", ["--> --vary:1:29", "at point 2 of 2"]),
        ("expect[0]=failover.detect max < 9s,placement.queued == 0", "E100", ["judged alike", "--> --vary:1:1"]),
        ("services[0].start=9s..9s", "E100", ["has no width", "let its ends differ"]),
    ] {
        let arguments = vary(text);
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code, &words);
    }
    let grid: Vec<String> =
        (0..9).map(|n| format!("x{n}=0..9/1")).flat_map(|text| ["--vary".to_owned(), text]).collect();
    let grid: Vec<&str> = grid.iter().map(String::as_str).collect();
    refused(&with(&["sweep", SCENARIO], &grid), "E101", &["1000000000 points", "--samples"]);
    refused(&["sweep", SCENARIO, "--samples", "5"], "E101", &["takes no `--samples`"]);
    refused(&["sweep", SCENARIO, "--design-seed", "5"], "E101", &["takes no `--design-seed`"]);
    refused(&["sweep", SCENARIO, "--metric", "failover.replac max"], "E103", &["no metric", "failover.replace"]);
    let elsewhere = "failover.replace{region=mars} max";
    refused(&["sweep", SCENARIO, "--metric", elsewhere], "E103", &["no series", "`region=mars`", "known are"]);
    let (one, two) = ("regions[0].clients[0].count=4,6", "regions[0].clients[ 0 ].count=5,7");
    refused(&["sweep", SCENARIO, "--vary", one, "--vary", two], "E101", &["is varied twice", "one `--vary`"]);
    let part = "services[0].start=1s,9s";
    let whole = "services[0]=Service(name: \"web\", start: \"1s\"),Service(name: \"web\", start: \"2s\")";
    refused(&["sweep", SCENARIO, "--vary", part, "--vary", whole], "E101", &["lies within `services[0]`"]);
    let set = "regions[0].clients[00].count=4";
    refused(&["sweep", SCENARIO, "--set", set, "--vary", two], "E100", &["is both set and varied"]);
    refused(&["sweep", "scenarios/leader-crash.ron"], "E101", &["nothing is varied", "list parameters"]);
    refused(&["sweep", "no/such/file.ron"], "E001", &["no such file"]);
    let taken = scratch.path("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(format!("{taken}/notes.txt"), "mine").unwrap();
    refused(&["sweep", SCENARIO, "--out", &taken], "E102", &["was not written by a sweep", "--out"]);
    for arguments in [
        &["sweep"] as &[&str],
        &["sweep", "run", "plan", "--shard", "7/7", "--out", "x"],
        &["sweep", "run", "plan", "--shard", "first", "--out", "x"],
        &["sweep", SCENARIO, "--design", "star"],
    ] {
        let ended = cossim(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert!(!Path::new(&out).exists(), "nothing is written of what is refused");
}

#[test]
fn sensitivity_screens_and_then_shares_out_the_variance() {
    let scratch = Scratch::new("sensitivity");
    let out = scratch.path("out");
    let ended = fine(&[
        "sensitivity",
        SCENARIO,
        "--seeds",
        "1",
        "--trajectories",
        "3",
        "--rows",
        "8",
        "--out",
        &out,
        "--quiet",
        "--metric",
        "failover.healthy max",
        "--vary",
        "options.heartbeat_grace=5s..30s",
        "--vary",
        "services[0].image_pull=0s..20s",
        "--vary",
        "scheduler.cost.plan=10us..100us",
    ]);
    for words in [
        "design morris, 3 samples, design seed 0",
        "`failover.healthy max` depends most on",
        "hardly on `scheduler.cost.plan`",
        "design sobol, 8 samples, design seed 0",
        "the sample is too small to share out the variance of `failover.replace max`: what `options.heartbeat_grace` makes",
        "which is an assumed value",
        "which is a default of the product",
    ] {
        assert!(ended.stdout.contains(words), "`{words}` is not in\n{}", ended.stdout);
    }
    let stages = ["screening", "indices"].map(|stage| files(&format!("{out}/{stage}")));
    assert!(stages[0].keys().any(|name| name.starts_with("effects-")));
    assert!(stages[1].keys().any(|name| name.starts_with("shares-")));
    let summary: Value = serde_json::from_slice(&stages[1]["sweep.json"]).unwrap();
    assert_eq!(summary["vary"].as_array().unwrap().len(), 2, "what does not matter is not looked at again");
    let assumed = summary["findings"]["assumed"].as_array().unwrap();
    let pull = assumed.iter().find(|assumed| assumed["path"] == "services[0].image_pull").unwrap();
    assert_eq!((&pull["varied"], &pull["most_on"]), (&Value::from(true), &Value::from("failover.healthy max")));
    shown_beside_a_run(&scratch, &out);
}

/// What was found stands beside the assumed values of a run of the same scenario, and of no other.
fn shown_beside_a_run(scratch: &Scratch, analysis: &str) {
    let (plain, with_it) = (scratch.path("plain"), scratch.path("with"));
    let ended = fine(&["run", SCENARIO, "--seeds", "1", "--quiet", "--out", &plain]);
    for words in [
        "assumed values all of this rests on; `cossim sensitivity scenarios/sweep-heartbeat.ron` finds how much",
        "services[0].image_pull = 0s",
    ] {
        assert!(ended.stdout.contains(words), "`{words}` is not in\n{}", ended.stdout);
    }
    let run = ["run", SCENARIO, "--seeds", "1", "--quiet", "--sensitivity", analysis, "--out"];
    let ended = fine(&with(&run, &[&with_it]));
    let found = "and the sensitivity found (3 trajectories, 8 rows, 1 seed at each point, 44 runs)";
    for words in [found, "of the variance of `failover.healthy max`, over 0s..20s", "hardly matters", "not varied"] {
        assert!(ended.stdout.contains(words), "`{words}` is not in\n{}", ended.stdout);
    }
    let told = files(&with_it);
    let summary: Value = serde_json::from_slice(&told["summary.json"]).expect("a summary is JSON");
    let assumed = summary["assumed"].as_array().expect("a list");
    let pull = assumed.iter().find(|assumed| assumed["path"] == "services[0].image_pull").expect("it is assumed");
    assert_eq!((&pull["value"], &pull["plausible"]), (&"0s".into(), &"0s..30s".into()));
    let page = |folder: &str| String::from_utf8(files(folder)["report.html"].clone()).expect("a page is text");
    assert!(
        page(&with_it).contains("over 0s..20s") && page(&with_it).contains("alone"),
        "what was found and the lessons"
    );
    assert!(page(&plain).contains("services[0].image_pull") && page(&plain).contains("was not given to this report"));
    // Added later, it is the same page; without it, the page stays as it is.
    fine(&["report", &plain, "--sensitivity", analysis]);
    assert!(page(&plain) == page(&with_it), "added later it differs");
    fine(&["report", &plain]);
    assert!(page(&plain) == page(&with_it), "it is kept in the folder");
    fine(&["run", SCENARIO, "--seeds", "1", "--quiet", "--out", &plain]);
    for (arguments, part) in [
        (vec!["run", SCENARIO, "--set", "seeds=9", "--sensitivity", analysis], "it is of a scenario with digest"),
        (vec!["run", SCENARIO, "--sensitivity", "no/such"], "cannot be read"),
        (vec!["report", &plain, "--sensitivity", &plain], "cannot be read"),
    ] {
        let ended = cossim(&arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("error[E098]") && ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn parameters_say_where_their_values_come_from() {
    let ended = fine(&["list", "parameters"]);
    for words in ["services[].image_pull", "assumed", "product default", "literature", "Nomad `heartbeat_grace`"] {
        assert!(ended.stdout.contains(words), "{words}");
    }
}

mod emitted {
    //! Descriptions for other engines, read by what reads them there, or by types that know every field used.

    use serde::Deserialize;

    use super::*;

    fn emitted(engine: &str) -> String {
        let scratch = Scratch::new(&format!("emit-{engine}"));
        let plan = scratch.path("plan");
        fine(&with(&["sweep", "plan"], &with(&SMALL, &["--shards", "5", "--out", &plan])));
        fine(&["sweep", "emit", &plan, "--engine", engine, "--plan-there", "/my plan", "--image", "here/cossim:1"])
            .stdout
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct IndexedJob {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Metadata {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Spec {
        completion_mode: String,
        completions: u32,
        parallelism: u32,
        backoff_limit_per_index: u32,
        max_failed_indexes: u32,
        template: Template,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Template {
        spec: PodSpec,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct PodSpec {
        restart_policy: String,
        containers: Vec<Container>,
        volumes: Vec<Volume>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Container {
        name: String,
        image: String,
        command: Vec<String>,
        args: Vec<String>,
        resources: Resources,
        volume_mounts: Vec<Mount>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Resources {
        requests: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Mount {
        name: String,
        mount_path: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Volume {
        name: String,
        persistent_volume_claim: Claim,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Claim {
        claim_name: String,
    }

    #[test]
    fn kubernetes_gets_an_indexed_job() {
        let job: IndexedJob = serde_saphyr::from_str(&emitted("kubernetes")).expect("YAML of an Indexed Job");
        assert_eq!((job.api_version.as_str(), job.kind.as_str()), ("batch/v1", "Job"));
        assert!(job.metadata.name.starts_with("sweep-sweep-heartbeat-") && job.metadata.name.len() <= 63);
        let spec = &job.spec;
        assert_eq!((spec.completion_mode.as_str(), spec.completions, spec.parallelism), ("Indexed", 5, 5));
        assert_eq!((spec.backoff_limit_per_index, spec.max_failed_indexes), (3, 0));
        let pod = &spec.template.spec;
        let container = &pod.containers[0];
        assert_eq!((pod.restart_policy.as_str(), container.name.as_str()), ("Never", "shard"));
        assert_eq!((container.image.as_str(), container.command.join(" ")), ("here/cossim:1", "/bin/sh -c".to_owned()));
        let command = "exec cossim sweep run '/my plan' --shard \"$JOB_COMPLETION_INDEX\"/5 --out /sweep/results";
        assert!(container.args[0].starts_with(command), "{:?}", container.args);
        assert_eq!(container.resources.requests.len(), 2);
        assert_eq!((&container.volume_mounts[0].name, &pod.volumes[0].name), (&"sweep".into(), &"sweep".into()));
        assert_eq!(container.volume_mounts[0].mount_path, "/sweep");
        assert_eq!(pod.volumes[0].persistent_volume_claim.claim_name, "sweep");
    }

    #[test]
    fn nomad_gets_a_batch_job() {
        let text = emitted("nomad");
        let (imported, findings) = cossim::scenario::import::nomad_job::import(&text, &BTreeMap::new());
        assert!(findings.is_empty(), "{findings:?}");
        let job = imported.expect("a job").job;
        assert_eq!((job.kind, job.groups[0].count), (cossim::model::job::JobKind::Batch, 5));
        let config = &job.groups[0].tasks[0].config;
        assert!(config.contains("--shard \\\"$NOMAD_ALLOC_INDEX\\\"/5"), "{config}");
        assert!(config.contains("here/cossim:1"), "{config}");
    }

    #[test]
    fn slurm_gets_a_job_array() {
        let text = emitted("slurm");
        let options: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#SBATCH --"))
            .map(|option| option.split_once('=').unwrap_or((option, "")))
            .collect();
        assert_eq!((options["array"], options["cpus-per-task"], options["requeue"]), ("0-4", "1", ""));
        assert!(text.starts_with("#!/bin/sh\n#SBATCH "), "options come before the first command");
        assert!(text.ends_with("--shard \"$SLURM_ARRAY_TASK_ID\"/5 --out results --threads 1 --quiet\n"), "{text}");
        assert_shell(&text);
    }

    #[test]
    fn hyperqueue_gets_a_task_array() {
        let text = emitted("hyperqueue");
        assert!(text.contains("hq submit --name sweep-") && text.contains(" --array 0-4 "), "{text}");
        assert!(text.contains("\"$HQ_TASK_ID\"/5"), "{text}");
        assert_shell(&text);
    }

    /// The shell finds nothing wrong in it.
    fn assert_shell(text: &str) {
        let scratch = Scratch::new("shell");
        fs::write(scratch.path("script"), text).expect("a scratch folder takes files");
        let checked = Command::new("sh").args(["-n", &scratch.path("script")]).status().expect("there is a shell");
        assert!(checked.success(), "{text}");
    }

    #[test]
    fn gnu_parallel_runs_the_shards_and_goes_on_after_a_failure() {
        if Command::new("parallel").arg("--version").output().is_err() {
            eprintln!("GNU parallel is not installed: its script is not run");
            return;
        }
        let scratch = Scratch::new("parallel");
        let (plan, whole) = planned(&scratch);
        let (results, binary) = (scratch.path("results"), env!("CARGO_BIN_EXE_cossim"));
        let there = ["--plan-there", &plan, "--results-there", &results, "--program", binary, "--shards", "4"];
        let text = fine(&with(&["sweep", "emit", &plan, "--engine", "parallel"], &there)).stdout;
        fs::write(scratch.path("script"), &text).unwrap();
        let start = || {
            let mut command = Command::new("sh");
            command.arg(scratch.path("script")).current_dir(&scratch.0).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("there is a shell")
        };
        // Two of its shards cannot write one of their runs, as on a full disk.
        fs::create_dir_all(&results).unwrap();
        let digest = serde_json::from_slice::<Value>(&fs::read(format!("{plan}/plan.json")).unwrap()).unwrap();
        let digest = digest["sweep"].as_str().unwrap().to_owned();
        for run in ["000004", "000005"] {
            fs::create_dir_all(format!("{results}/{digest}/{run}.json")).unwrap();
        }
        assert!(!start().wait().unwrap().success(), "two shards failed, so nothing is merged");
        for run in ["000004", "000005"] {
            fs::remove_dir(format!("{results}/{digest}/{run}.json")).unwrap();
        }
        assert!(start().wait().unwrap().success());
        assert_same(&whole, &scratch.path("reports/sweep-heartbeat-sweep"));
    }
}

/// The commands and scenarios of the document do what it says.
#[test]
fn the_document_tells_the_truth() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/sweep.md")).unwrap();
    let scratch = Scratch::new("document");
    let mut commands = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("    cossim ")) {
        let words = words(line.split(" #").next().unwrap());
        // Folders of the examples lie in the scratch folder.
        let placed: Vec<String> = words
            .iter()
            .map(|word| word.strip_prefix("tmp/").map_or_else(|| word.clone(), |name| scratch.path(name)))
            .collect();
        let mut arguments: Vec<&str> = placed.iter().map(String::as_str).collect();
        let out = scratch.path("out");
        let writes = matches!(arguments[0], "sweep" | "sensitivity") && Path::new(arguments[1]).extension().is_some();
        if writes && !arguments.contains(&"--out") {
            arguments.extend(["--out", &out]);
        }
        if writes {
            let _ = fs::remove_dir_all(&out);
        }
        let ended = cossim(&arguments);
        assert_eq!(ended.code, Some(0), "{line}\n{}", ended.stderr);
        commands += 1;
    }
    assert!(commands >= 8, "{commands} commands were found");
}

/// The words of a command line, with its single quotes taken away.
fn words(line: &str) -> Vec<String> {
    // What stands at odd places between quotes is quoted; a space there separates nothing.
    let pieces = line.trim().split('\'').enumerate();
    let text: String =
        pieces.map(|(at, piece)| if at % 2 == 1 { piece.replace(' ', "\0") } else { piece.into() }).collect();
    text.split_whitespace().map(|word| word.replace('\0', " ")).collect()
}
