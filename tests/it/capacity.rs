//! `cossim plan`, `compact` and `remove` on small cells whose answers can be worked out by hand.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use cossim::scenario;
use serde_json::Value;

use crate::cli::{Ended, cossim};

const ZONE_LOSS: &str = "scenarios/plan-zone-loss.ron";

fn asked(verb: &str, scenario: &str, more: &[&str]) -> Ended {
    cossim(&[&[verb, scenario, "--quiet"], more].concat())
}

fn json(verb: &str, scenario: &str, more: &[&str]) -> (Option<i32>, Value) {
    let ended = asked(verb, scenario, &[more, &["--json"]].concat());
    assert_eq!(ended.stderr, "");
    (ended.code, serde_json::from_str(&ended.stdout).expect("JSON"))
}

/// Twelve instances, four to a machine: three machines have to be left after the loss of the fullest zone. Of four, two
/// are in zone `a`; of five there are three left.
#[test]
fn the_cheapest_fleet_that_survives_any_zone_is_found() {
    let (code, planned) = json("plan", ZONE_LOSS, &[]);
    assert_eq!(code, Some(0), "{planned}");
    let best = &planned["best"];
    assert_eq!(best["options"]["apps machines"], "5", "{planned}");
    assert_eq!(best["options"]["apps type"], "m5.large");
    // Five at 0.096, and six t3.medium servers at 0.0416.
    assert!((best["usd_per_hour"].as_f64().unwrap() - (5.0 * 0.096 + 6.0 * 0.0416)).abs() < 1e-9);
    assert_eq!(best["nodes"], 11);
    let broke = &planned["binding"]["broke"];
    assert_eq!(broke["expectation"], "placement.queued final == 0", "{planned}");
    assert!(broke["case"].as_str().unwrap().starts_with("zone us-east-1/"), "{planned}");
    assert_eq!(planned["cases"].as_array().unwrap().len(), 4);
    // 10 % over four cases and the first attempt: 1.25 % is more than a half to the seventh.
    assert_eq!((&planned["confirming_runs"], &planned["search_runs"]), (&7.into(), &2.into()));
    assert!(planned["fleets_run"].as_u64() < planned["fleets"].as_u64(), "{planned}");
    // Without any order to bisect along, halving comes to the same fleet, as sure.
    let (code, halved) = json("plan", ZONE_LOSS, &["--set", "plan.search=EachFleet"]);
    assert_eq!((code, &halved["best"]["options"]), (Some(0), &best["options"]), "{halved}");
    assert_eq!((&halved["confirming_runs"], &halved["monotone"]), (&7.into(), &true.into()));
    let text = asked("plan", ZONE_LOSS, &["--threads", "1"]).stdout;
    for part in
        ["PLAN  plan-zone-loss: apps machines 5, apps type m5.large", "90 % sure", "binding constraint", "0.73 USD/h"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

/// There are no users, so no run says anything about their latency.
#[test]
fn what_the_runs_behind_an_answer_did_not_exercise_is_said() {
    let idle = "request.latency p99 < 1s if exercised";
    let expect = format!("plan.expect=[\"placement.queued final == 0\", \"{idle}\"]");
    let edits = ["--set", &expect, "--set", "plan.vary[1].among=[\"m5.large\"]"];
    let (code, planned) = json("plan", ZONE_LOSS, &edits);
    assert_eq!(code, Some(0), "{planned}");
    let told = planned["not_exercised"].as_array().expect("a list");
    assert_eq!(told.len(), 4, "one for each case: {planned}");
    assert_eq!((&told[0]["expectation"], &told[0]["idle"], &told[0]["runs"]), (&idle.into(), &9.into(), &9.into()));
    let text = asked("plan", ZONE_LOSS, &edits).stdout;
    assert!(text.contains(&format!("  --  `{idle}` in 9 of 9 runs (")), "{text}");
    assert!(text.contains("not exercised in runs behind the answer"), "{text}");
    let (_, planned) = json("plan", ZONE_LOSS, &[]);
    assert_eq!(planned["not_exercised"], Value::Array(Vec::new()), "{planned}");
}

#[test]
fn where_nothing_holds_the_constraint_is_named() {
    let narrow = ["--set", "plan.vary[0].to=4", "--set", "plan.vary[1].among=[\"m5.large\"]"];
    let ended = asked("plan", ZONE_LOSS, &narrow);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    assert!(ended.stdout.starts_with("NO PLAN  plan-zone-loss"), "{}", ended.stdout);
    assert!(ended.stdout.contains("apps machines 4") && ended.stdout.contains("placement.queued"), "{}", ended.stdout);
    let ended = asked("plan", "scenarios/node-crash.ron", &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("error[E097]") && ended.stderr.contains("docs/capacity.md"), "{}", ended.stderr);
}

#[test]
fn nines_have_their_cost_and_traffic_its_headroom() {
    if std::env::var_os("COSSIM_SLOW").is_none() {
        return;
    }
    let (code, planned) = json("plan", "scenarios/plan-nines.ron", &[]);
    assert_eq!(code, Some(0), "{planned}");
    let cost = |fleet: &Value| fleet["usd_per_hour"].as_f64();
    let nines = planned["nines"].as_array().unwrap();
    assert_eq!(nines.len(), 2);
    for pair in nines.windows(2) {
        assert!(cost(&pair[1]).is_none() || cost(&pair[0]) <= cost(&pair[1]), "{planned}");
    }
    for pair in planned["frontier"].as_array().unwrap().windows(2) {
        assert!(
            cost(&pair[0]) < cost(&pair[1]) && pair[0]["error_minutes"].as_f64() > pair[1]["error_minutes"].as_f64()
        );
    }
    let headroom = &planned["headroom"];
    assert!(headroom["holds"].as_f64() >= Some(1.0) && headroom["holds"].as_f64() < headroom["breaks"].as_f64());
}

#[test]
fn a_cell_is_compacted() {
    let (code, cells) = json("compact", ZONE_LOSS, &[]);
    assert_eq!(code, Some(0), "{cells}");
    let cell = &cells[0];
    assert_eq!((&cell["machines"], &cell["allocations"], &cell["copies"]), (&9.into(), &12.into(), &1.into()));
    let needed = &cell["needed"];
    assert_eq!((&needed["min"], &needed["p90"], &needed["max"]), (&3.into(), &3.into(), &3.into()), "{cells}");
    assert_eq!(needed["trials"].as_array().unwrap().len(), 11);
    let surviving = cell["needed_with_any_zone_lost"]["p90"].as_u64().expect("nine survive");
    assert!((5..=9).contains(&surviving), "{cells}");
    // One machine holds four, so the cell is cloned, twice; all in one zone, they survive no loss of it.
    let (_, cells) = json("compact", ZONE_LOSS, &["--set", "regions[0].clients[0].count=1", "--trials", "3"]);
    assert_eq!((&cells[0]["copies"], &cells[0]["needed"]["p90"]), (&4.into(), &3.into()), "{cells}");
    assert!(cells[0]["needed_with_any_zone_lost"].is_null(), "{cells}");
    // Six are more than half of nine machines: what they demand becomes a wish, unless it is to stay hard.
    let apart = [
        "--set",
        "jobs[0].groups[0].count=6",
        "--set",
        "jobs[0].groups[0].constraints=[\"distinct_hosts\"]",
        "--trials",
        "3",
    ];
    let (_, cells) = json("compact", ZONE_LOSS, &apart);
    assert_eq!(
        (&cells[0]["constraints_softened"][0], &cells[0]["needed"]["p90"]),
        (&"shop".into(), &2.into()),
        "{cells}"
    );
    let (_, cells) = json("compact", ZONE_LOSS, &[&apart[..], &["--hard"]].concat());
    assert_eq!(
        (&cells[0]["needed"]["p90"], cells[0]["constraints_softened"][0].as_str()),
        (&6.into(), None),
        "{cells}"
    );
    let text = asked("compact", ZONE_LOSS, &apart).stdout;
    assert!(text.contains("constraints taken as preferences, as Borg does"), "{text}");
    let text = asked("compact", ZONE_LOSS, &["--trials", "2"]).stdout;
    assert!(text.contains("needed (p90)") && text.contains("any one zone lost"), "{text}");
}

#[test]
fn what_no_longer_fits_is_told_by_job_and_dimension() {
    let four = ["--set", "regions[0].clients[0].count=4"];
    let ended = asked("remove", ZONE_LOSS, &[&four as &[&str], &["zone", "us-east-1/a"]].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    assert!(ended.stdout.starts_with("DOES NOT FIT  us-east-1: 2 of 4 machines removed"), "{}", ended.stdout);
    assert!(ended.stdout.contains("shop.web: ") && ended.stdout.contains("cpu"), "{}", ended.stdout);
    let (code, regions) = json("remove", ZONE_LOSS, &["nodes", "us-east-1/apps-1", "us-east-1/apps-2"]);
    assert_eq!((code, &regions[0]["fits"], &regions[0]["removed"]), (Some(0), &true.into(), &2.into()), "{regions}");
    let (code, regions) = json("remove", ZONE_LOSS, &["class", "apps"]);
    assert_eq!((code, &regions[0]["unplaced"][0]["lost"]), (Some(1), &12.into()), "{regions}");
    for (what, name, hint) in [
        ("zone", "us-east-1/d", "us-east-1/"),
        ("class", "aps", "did you mean `apps`?"),
        ("nodes", "us-east-1/apps-99", ""),
    ] {
        let ended = asked("remove", ZONE_LOSS, &[what, name]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
        assert!(ended.stderr.contains("error[E097]: there is no") && ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

struct Nothing;

impl scenario::lower::Files for Nothing {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Err(format!("{path} is not read in an example"))
    }
}

/// The example of docs/capacity.md is a plan.
#[test]
fn the_documented_plan_is_one() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/capacity.md")).unwrap();
    let block = page.split("```ron\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows a plan");
    let text = format!(
        r#"Scenario(
            name: "x", duration: "30m",
            regions: [Region(name: "us-east-1", zones: ["a", "b", "c"], clients: [
                Clients(datacenter: "apps", count: 9, instance: "m5.large"),
            ])],
            jobs: [Inline(Job(name: "shop", datacenters: ["apps"], groups: [Group(
                name: "web", count: 8, ports: {{"http": 0}},
                services: [GroupService(name: "shop", port: "http", tags: ["urlprefix-/"])],
            )]))],
            ingress: [Ingress(job: "shop", port: "http")],
            traffic: [Traffic(name: "users", to: "h/", rate: "1/s")],
            {block}
        )"#
    );
    let loaded = scenario::load_text("x.ron", &text, &[], &Nothing);
    let plan = loaded.lowered.as_ref().and_then(|lowered| lowered.plan.as_ref());
    let plan = plan.unwrap_or_else(|| panic!("{}", loaded.sources.render(&loaded.findings, false)));
    // As written, nine of a zone and a leader, and the two machines.
    assert_eq!((plan.axes.len(), plan.cases.len()), (4, 11));
}

/// Whoever interrupts a long packing gets no answer, and no part of one.
#[test]
fn an_interrupted_compaction_writes_nothing() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cossim"))
        .args(["compact", "scenarios/az-outage.ron", "--trials", "1000", "--threads", "1", "--json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // It says how far it is once it has taken long.
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("stderr can be read");
    assert!(line.contains("of 2000 trials"), "1000 in each of two regions: {line}");
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("`kill` is everywhere");
    assert!(told.success());
    let ended = child.wait_with_output().expect("it ends");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("stderr can be read");
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(130), 0), "{rest}");
    assert!(rest.ends_with("interrupted: there is no answer yet\n"), "{rest}");
}
