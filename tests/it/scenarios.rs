//! The shipped scenarios: each runs, meets its expectations, keeps every law, and comes to the pinned digests.
//!
//! The digests stand in `tests/scenarios.digests`; `COSSIM_REWRITE=1` writes them anew. A change of them is a change of
//! results and belongs into the changelog.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cossim::analysis::batch::Wish;
use cossim::analysis::ensemble::{Ensemble, Plan, run_all};
use cossim::analysis::judge;
use cossim::report::folder;
use cossim::scenario;
use cossim::scenario::parameters::Parameter;

const SCENARIOS: [&str; 17] = [
    "az-outage",
    "leader-crash",
    "node-crash",
    "region-partition",
    "reference-cos",
    "cos-reference-minimal",
    "rolling-upgrade",
    "canary",
    "blue-green",
    "bad-version",
    "drain",
    "reschedule",
    "preemption",
    "disconnect",
    "leader-and-client",
    "scoring",
    "plan-conflicts",
];
/// Enough to meet each kind of run of `az-outage`.
const SEEDS: u64 = 3;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ensemble(name: &str, seeds: Vec<u64>, threads: usize) -> Ensemble {
    let loaded = scenario::load(&root().join(format!("scenarios/{name}.ron")), &[]);
    let digest = loaded.digest();
    let text = loaded.sources.texts().next().map(str::to_owned);
    let lowered = loaded.lowered.unwrap_or_else(|| panic!("{}", loaded.sources.render(&loaded.findings, false)));
    let spec = Arc::new(lowered.world);
    let windows = judge::windows(&lowered.expectations);
    let plan = Plan { spec: Arc::clone(&spec), windows, seeds, threads: Some(threads), explains: false };
    let outcomes = run_all(&plan, |_| Wish::GoOn).expect("virtual time does not stand still");
    let verdicts = judge::judge(&lowered.expectations, &outcomes);
    let assumed = lowered.parameters.into_iter().filter(Parameter::is_assumed).collect();
    Ensemble { text, assumed, ..Ensemble::new(&spec, digest, outcomes, verdicts) }
}

/// `scenario seed digest`, a line each.
fn pinned() -> BTreeMap<(String, u64), String> {
    let text = fs::read_to_string(root().join("tests/scenarios.digests")).unwrap_or_default();
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(((words.next()?, words.next()?.parse().ok()?), words.next()?))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_scenario_meets_its_expectations_and_keeps_its_digests() {
    let (mut found, mut mistakes) = (String::new(), Vec::new());
    let pinned = pinned();
    for name in SCENARIOS {
        let ensemble = ensemble(name, (1..=SEEDS).collect(), 2);
        for verdict in ensemble.verdicts.iter().filter(|verdict| !verdict.met) {
            mistakes.push(format!("{name}: `{}`: {:?}", verdict.text, verdict.runs));
        }
        for run in &ensemble.runs {
            for law in run.invariants.iter().filter(|law| law.violations > 0) {
                mistakes.push(format!("{name} seed {}: {}: {:?}", run.seed, law.name, law.first));
            }
            let digest = format!("{:016x}", run.digest);
            if pinned.get(&(name.to_owned(), run.seed)) != Some(&digest) {
                mistakes.push(format!("{name} seed {}: digest {digest} is not the pinned one", run.seed));
            }
            writeln!(found, "{name} {} {digest}", run.seed).expect("a string takes every character");
        }
    }
    if std::env::var_os("COSSIM_REWRITE").is_some() {
        fs::write(root().join("tests/scenarios.digests"), found).expect("the pinned digests can be written");
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

/// No files: an example names none.
struct Nothing;

impl scenario::lower::Files for Nothing {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Err(format!("{path} is not read in an example"))
    }
}

/// The commands and the scenario of the README do what it says.
#[test]
fn the_readme_tells_the_truth() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let block = readme.split("```ron\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows a scenario");
    let loaded = scenario::load_text("README.md", block, &[], &Nothing);
    assert!(loaded.lowered.is_some(), "{}", loaded.sources.render(&loaded.findings, false));
    for command in ["cargo run --release -- run scenarios/az-outage.ron", "cargo test"] {
        assert!(readme.contains(&format!("    {command}\n")), "{command}");
    }
}

#[test]
fn threads_make_no_difference_to_any_byte() {
    let one = folder::files(&ensemble("node-crash", (1..=4).collect(), 1));
    let two = folder::files(&ensemble("node-crash", (1..=4).collect(), 2));
    assert_eq!(one.len(), two.len());
    for ((name, left), (_, right)) in one.iter().zip(&two) {
        assert!(left == right, "{name} differs");
    }
}

#[test]
fn the_sample_report_is_what_its_scenario_comes_to() {
    let ensemble = ensemble("az-outage", (1..=SEEDS).collect(), 2);
    let folder = root().join("reports/sample/az-outage");
    if std::env::var_os("COSSIM_REWRITE").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the sample's folder can be made");
        for (name, bytes) in folder::files(&ensemble) {
            fs::write(folder.join(name), bytes).expect("the sample can be written");
        }
    }
    let mut names: Vec<String> = names_in(&folder);
    for (name, bytes) in folder::files(&ensemble) {
        let committed = fs::read(folder.join(&name)).unwrap_or_else(|_| panic!("the sample lacks {name}"));
        assert!(committed == bytes, "{name} of the sample is not what the scenario comes to");
        names.retain(|other| *other != name);
    }
    assert!(names.is_empty(), "the sample has files too many: {names:?}");
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the sample report is committed");
    entries.map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()).collect()
}

/// The release binary, where the gate has built one, comes to the same digests as this optimised test build with its
/// assertions.
#[test]
fn the_release_binary_comes_to_the_same_digests() {
    let Some(binary) = std::env::var_os("COSSIM_RELEASE_BIN") else { return };
    let scratch = std::env::temp_dir().join(format!("cossim-release-{}", std::process::id()));
    for name in ["node-crash", "leader-crash"] {
        let output = Command::new(&binary)
            .args(["run", &format!("scenarios/{name}.ron"), "--seed", "2", "--quiet", "--json", "--out"])
            .arg(&scratch)
            .current_dir(root())
            .output()
            .expect("the release binary starts");
        let _ = fs::remove_dir_all(&scratch);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a summary on stdout");
        let digest = summary["runs"][0]["digest"].as_str().map(str::to_owned);
        assert_eq!(digest.as_ref(), pinned().get(&(name.to_owned(), 2)), "{name}");
    }
}
