//! Every output of one small fabricated ensemble: it says what it should, and says it twice in the same bytes.

use std::path::Path;
use std::sync::Arc;

use crate::analysis::ensemble::Ensemble;
use crate::analysis::judge::Judgement::{Fail, NotExercised, Pass};
use crate::analysis::judge::{Judgement, Verdict};
use crate::analysis::sequential::{Known, Stopping};
use crate::analysis::summary::read::Writer;
use crate::analysis::summary::{SCHEMA, Summary};
use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::control::Reign;
use crate::measure::distribution::Distribution;
use crate::measure::failover::{Chain, Election, Failover, Outage, STAGES};
use crate::measure::gauge::GaugeSummary;
use crate::measure::metric::{Metrics, Value};
use crate::measure::outcome::{InvariantResult, Outcome};
use crate::measure::placement::Placement;
use crate::measure::series::Series;
use crate::model::alloc::{AllocId, ClientStatus, Desired};
use crate::model::evaluation::EvalId;
use crate::model::job::JobId;
use crate::model::resources::Comparable;
use crate::model::topology::RegionId;
use crate::report::{folder, text};
use crate::world::event::{Group, Instance, System};
use crate::world::spec::{EntryId, MachineId, WorldSpec};

fn at(seconds: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(seconds)
}

/// The world of `scenarios/node-crash.ron`: ten minutes, a machine lost at the fourth, 100 requests a second.
fn spec() -> Arc<WorldSpec> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/node-crash.ron");
    Arc::new(crate::scenario::load(&path, &[]).lowered.expect("the shipped scenario loads").world)
}

/// A run in which one allocation was lost; `slow` runs notice late and lose their Nomad leader.
fn outcome(spec: &WorldSpec, seed: u64, slow: bool) -> Outcome {
    let group = Group { system: System::Nomad, region: RegionId(0) };
    let instance = |alloc| Instance { region: RegionId(0), alloc: AllocId(alloc) };
    let servers = &spec.regions[RegionId(0)].nomad;
    let (struck, noticed) = (240.0, if slow { 543.0 } else { 260.0 });
    let ends = [0.0, 0.05, 0.7, 6.0, 6.1, 6.25].map(|after| Some(at(noticed + after)));
    let chain = Chain {
        lost: instance(0),
        machine: MachineId(9),
        place: (JobId(0), "web".into(), 0),
        was_healthy: true,
        was_routed: true,
        was_served: true,
        replacement: Some(instance(1)),
        ends,
        awaited: [false; STAGES.len()],
    };
    let elections = slow.then(|| Election { group, elected: Some(at(struck + 2.93)), ready: Some(at(struck + 3.1)) });
    let failover = Failover {
        entry: EntryId(0),
        at: at(struck),
        hit: [MachineId(9)].into(),
        case: if slow { "nomad leader hit" } else { "no leader hit" }.to_owned(),
        elections: elections.into_iter().collect(),
        chains: vec![chain],
        outages: IdVec::from(vec![Outage { seconds: 3, gap: Duration::from_millis(69) }]),
    };
    let reign = |server: usize, from: f64, until: Option<f64>| Reign {
        group,
        machine: servers[server],
        from: at(from),
        until: until.map(at),
    };
    let mut reigns = vec![reign(0, 2.5, slow.then_some(struck))];
    if slow {
        reigns.push(reign(1, struck + 2.93, None));
    }
    Outcome {
        seed,
        digest: 0xabc0 + seed,
        simulated: spec.duration,
        events: 1_234_567,
        metrics: metrics(seed),
        windows: OrdMap::new(),
        series: series(),
        failovers: vec![failover],
        reigns,
        placements: vec![placement(instance(0))],
        unplaced: Vec::new(),
        refusals: Vec::new(),
        invariants: vec![InvariantResult { name: "raft.election_safety", checks: 1_000, violations: 0, first: None }],
    }
}

fn metrics(seed: u64) -> Metrics {
    let mut metrics = Metrics::default();
    let labels = [("service", "frontend"), ("traffic", "users")];
    let mut latency = Distribution::new();
    (1..=100).for_each(|ms| latency.record((ms + seed) * 1_000_003));
    metrics.put("request.latency", &labels, Value::Times(latency.clone()));
    metrics.put("request.success_ratio", &labels, Value::Share { part: 59_000 + seed, whole: 60_000 });
    let error = [labels[0], labels[1], ("kind", "502")];
    metrics.put("request.errors", &error, Value::Total { unit: "requests", count: 1_000 - seed });
    metrics.put("plan.wait", &[("region", "us-east-1")], Value::Times(latency));
    metrics.put("eval.wait", &[("region", "us-east-1")], Value::Times(Distribution::new()));
    metrics
}

fn series() -> Vec<Series> {
    let width = Duration::from_secs(5);
    let series = |name: &str, unit, value: &dyn Fn(usize) -> Option<f64>| Series {
        name: name.to_owned(),
        unit,
        width,
        values: (0..120).map(value).collect(),
    };
    vec![
        series("requests.good{traffic=users}", "1/s", &|b| Some(if b == 48 { 97.0 } else { 100.0 })),
        series("requests.failed{traffic=users}", "1/s", &|b| Some(if b == 48 { 3.0 } else { 0.0 })),
        series("request.latency{traffic=users} p50", "ms", &|b| (b > 3).then_some(1.0 / 3.0 + 50.0)),
        series("request.latency{traffic=users} p99", "ms", &|b| {
            (b > 3).then_some(if b == 48 { 4_000.0 } else { 90.0 })
        }),
        series("allocations{zone=us-east-1/a}", "allocs", &|b| Some(if b < 48 { 9.0 } else { 8.0 })),
    ]
}

fn placement(instance: Instance) -> Placement {
    Placement {
        instance,
        job: JobId(0),
        job_name: "frontend".into(),
        group: "web".into(),
        index: 0,
        priority: 50,
        machine: MachineId(9),
        previous: None,
        resources: Comparable::default(),
        eval: EvalId(3),
        score: 0.25,
        preempted: Vec::new(),
        why: None,
        asked_at: at(20.0),
        registered_at: Some(at(20.0)),
        placed_at: at(20.1),
        running_at: Some(at(24.0)),
        ended: Some((at(260.0), Desired::Stop, ClientStatus::Lost)),
    }
}

/// Three runs: seeds 1 and 3 are slow.
fn ensemble() -> Ensemble {
    let spec = spec();
    let runs = vec![outcome(&spec, 1, true), outcome(&spec, 2, false), outcome(&spec, 3, true)];
    let verdict = |text: &str, runs: [(&str, Judgement); 3], overall, met| Verdict {
        text: text.to_owned(),
        runs: runs.into_iter().map(|(text, judgement)| (text.to_owned(), judgement)).collect(),
        overall,
        met,
        nearest: Some(0),
    };
    let detect = [("303 s", Fail), ("20 s", Pass), ("303 s", Fail)];
    let leader = [("2.93 s", Pass), ("", NotExercised), ("2.93 s", Pass)];
    let verdicts = vec![
        verdict("failover.detect max < 45s", detect, Fail, false),
        verdict("failover.leader max < 6s if exercised", leader, Pass, true),
    ];
    Ensemble::new(&spec, "0123456789abcdef".to_owned(), runs, verdicts)
}

fn file(name: &str) -> String {
    let files = folder::files(&ensemble());
    let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
    let found = files.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name} among {names:?}"));
    String::from_utf8(found.1.clone()).unwrap()
}

fn check_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn the_table_says_the_verdict_first_and_how_to_see_it_again_last() {
    let text = text::render(&ensemble());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "FAIL  node-crash: 1 of 2 expectations not met; 1 law checked 3 000 times, 0 violations");
    assert_eq!(lines.last(), Some(&"reproduce: cossim run node-crash.ron --seed 1"));
    assert!(lines.iter().all(|line| line.chars().count() <= 120) && lines.len() <= 60, "{text}");
    check_contains(
        &text,
        &[
            "case B  nomad leader hit  (seeds 1 3)",
            "FAIL  failover.detect max < 45s  at worst 303 s in seed 1; fails in 2 of 3 runs",
            "ok    failover.leader max < 6s if exercised  at worst 2.93 s in seed 1; not exercised in 1 of 3 runs",
            "nomad leader elected, us-east-1",
            "303 s / 303 s (2)",
            "users (service frontend): 98.337 [98.335 … 98.338] % good of 180 000",
            "failed: 2 994 x 502",
            "plan.wait{region=us-east-1}",
        ],
    );
    assert!(!text.contains("eval.wait"), "a metric without samples is not shown");
}

#[test]
fn charts_name_their_run_and_what_they_show() {
    let common = ["node-crash", "scenario digest 0123456789abcdef", env!("CARGO_PKG_VERSION")];
    for (name, parts) in [
        ("requests.svg", ["Requests", "failed requests per second", "node-crash"].as_slice()),
        ("latency.svg", &["Latency of good requests", "logarithmic scale", "users p99"]),
        ("zones.svg", &["Allocations by zone", "zone a", "us-east-1: allocations", "seed 1"]),
        ("leadership.svg", &["Leadership", "nomad us-east-1", "1 gap, 2.9 s", "run digest 000000000000abc1"]),
        ("leadership-seed-2.svg", &["no gap", "seed 2"]),
        (
            "waterfall.svg",
            &["From the fault", "seeds 1 2 3", "303 s", "node marked down", "650 ms", "nomad leader hit"],
        ),
    ] {
        let svg = file(name);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        check_contains(&svg, parts);
        check_contains(&svg, &common);
    }
}

#[test]
fn a_table_of_values_has_units_and_no_noise() {
    check_contains(
        &file("metrics.csv"),
        &[
            "seed,metric,unit,samples,statistic,value\n",
            "1,\"request.latency{service=frontend,traffic=users}\",ms,100,p50,51.000153\n",
            "1,eval.wait{region=us-east-1},ms,0,,\n",
            "1,\"request.success_ratio{service=frontend,traffic=users}\",%,60000,value,98.335\n",
        ],
    );
    check_contains(
        &file("series.csv"),
        &["seed,series,unit,from_s,value\n", "1,request.latency{traffic=users} p50,ms,20,50.333333\n"],
    );
    check_contains(
        &file("failovers.csv"),
        &[
            ",hit,,,,1,,us-east-1/private-services-1\n",
            ",elect nomad us-east-1,2930,",
            ",detect,303000,303000,303000,1,0,\n",
        ],
    );
    check_contains(
        &file("placements.csv"),
        &["cpu_mhz,memory_mib,asked_s", ",20,20.1,24,260,stop,lost,e3,0.25,,,,,,,,,\n"],
    );
}

#[test]
fn an_election_that_nobody_won_is_not_counted() {
    let spec = spec();
    let mut run = outcome(&spec, 1, true);
    let election = &mut run.failovers[0].elections[0];
    (election.elected, election.ready) = (None, None);
    let ensemble = Ensemble::new(&spec, String::new(), vec![run], Vec::new());
    let mut bytes = Vec::new();
    crate::report::table::failovers(&ensemble, &mut bytes).unwrap();
    check_contains(std::str::from_utf8(&bytes).unwrap(), &[",elect nomad us-east-1,,,,0,,\n"]);
}

#[test]
fn the_summary_keeps_to_its_schema() {
    let summary: serde_json::Value = serde_json::from_str(&file("summary.json")).unwrap();
    assert_eq!(summary["schema"], SCHEMA);
    assert_eq!(summary["runs"][0]["digest"], "000000000000abc1");
    let latency = &summary["runs"][0]["metrics"]["request.latency{service=frontend,traffic=users}"];
    assert_eq!((&latency["unit"], &latency["count"]), (&"ms".into(), &100.into()));
    assert_eq!(latency["p50"], 51.000_153);
    assert_eq!(
        summary["runs"][0]["metrics"]["eval.wait{region=us-east-1}"],
        serde_json::json!({"unit": "ms", "count": 0})
    );
    assert_eq!(summary["runs"][0]["failovers"][0]["stages"][0]["ms"], 303_000.0);
    assert_eq!(summary["runs"][0]["expectations"][0]["verdict"], "fail");
    let pooled = &summary["across_runs"]["plan.wait{region=us-east-1}"];
    assert_eq!((&pooled["runs"], &pooled["samples"]), (&3.into(), &300.into()));
    assert!(pooled["p99"]["ci95"][1].is_f64());
    // Whatever the schema requires at the top is there, and nothing is there that it does not know.
    let schema = serde_json::to_value(schemars::schema_for!(Summary)).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut always = keys(&schema["properties"]);
    always.retain(|key| key != "stopping" && key != "asked_seeds");
    assert_eq!(always, keys(&summary));
    assert_eq!(keys(&schema["$defs"]["Run"]["properties"]), keys(&summary["runs"][0]));
    assert_eq!(keys(&schema["$defs"]["Fault"]["properties"]), keys(&summary["runs"][0]["failovers"][0]));
}

#[test]
fn several_modes_and_waits_without_end_are_said() {
    let spec = spec();
    let run = |seed: u64| {
        let mut run = outcome(&spec, seed, false);
        let labels = [("region", "us-east-1")];
        let skew = if seed.is_multiple_of(3) { 90.0 + seed as f64 } else { 5.0 };
        let summary = GaugeSummary { last: skew, mean: skew, min: skew, max: skew };
        run.metrics.put("placement.skew.zone", &labels, Value::Level { unit: "ratio", summary });
        let mut waits = Distribution::new();
        waits.record(20_000_000_000 + seed);
        if seed == 2 {
            waits.record_unended();
        }
        run.metrics.put("plan.wait", &[("region", "eu")], Value::Times(waits));
        run
    };
    let mut ensemble = Ensemble::new(&spec, String::new(), (1..=12).map(run).collect(), Vec::new());
    let modes = "placement.skew.zone{region=us-east-1}: 67 % near 5 ratio (5 … 5), 33 % near 96 ratio (93 … 102)";
    let unended = "not ended with the run, and longer than any sample\n  plan.wait{region=eu}: 1 of 13";
    let unexplained = "several modes, which the cases do not explain";
    check_contains(&text::render(&ensemble), &[unexplained, modes, unended, "never"]);
    ensemble.group((1..=12_u64).map(|seed| if seed % 3 == 0 { "odd" } else { "even" }.to_owned()).collect());
    let told = text::render(&ensemble);
    check_contains(&told, &["several modes, told apart by the cases", "case A  even", modes]);
    assert!(!told.contains(unexplained) && !told.contains("`group_by` tells"));
    let summary = serde_json::to_value(Summary::new(&ensemble)).unwrap();
    let pooled = &summary["across_runs"]["placement.skew.zone{region=us-east-1}"];
    assert_eq!((&pooled["modes"][1]["middle"], &pooled["explained_by_cases"]), (&96.0.into(), &true.into()));
    let waits = &summary["runs"][1]["metrics"]["plan.wait{region=eu}"];
    assert_eq!((&waits["unended"], waits.get("max")), (&1.into(), None));
    // What was written can be read back, and is the same.
    let read =
        crate::analysis::summary::read::parse(&crate::report::json::text(&Summary::new(&ensemble)), Writer::This)
            .unwrap();
    assert_eq!(read, Summary::new(&ensemble));
    // Nothing that the scenario tells runs apart by happened in any of them.
    ensemble.group(vec!["no data for failover.detect max > 60s".to_owned(); 12]);
    let none = "  `group_by` tells no cases apart: no data for failover.detect max > 60s\n";
    check_contains(&text::render(&ensemble), &[none]);
    assert_eq!(Summary::new(&ensemble).cases[0].case, "no data for failover.detect max > 60s");
    ensemble.group(vec![String::new(); 12]);
    check_contains(&text::render(&ensemble), &["`group_by` tells no cases apart: nothing that it names happened\n"]);
}

/// Two runs lose one allocation that is noticed after 20 s, one loses five that are noticed after 60 s: of seven the
/// median is 60 s, and that of the medians of runs would be 20 s.
#[test]
fn a_stage_has_one_number_wherever_it_is_told_and_the_cases_of_the_scenario() {
    let spec = spec();
    let run = |seed: u64| {
        let mut run = outcome(&spec, seed, false);
        if seed == 3 {
            let chains = &mut run.failovers[0].chains;
            chains[0].ends = [60.0, 60.05, 60.7, 66.0, 66.1, 66.25].map(|after| Some(at(240.0 + after)));
            *chains = vec![chains[0].clone(); 5];
        }
        run
    };
    let mut ensemble = Ensemble::new(&spec, String::new(), (1..=3).map(run).collect(), Vec::new());
    let column = |text: &str, wanted: &str| assert!(text.contains(wanted), "`{wanted}` is missing in\n{text}");
    column(&text::render(&ensemble), "no leader hit, 3 runs");
    let median = "60.0 s [20.0 s … 60.0 s] / 60.0 s (7)";
    column(&text::render(&ensemble), median);
    let files: std::collections::BTreeMap<String, Vec<u8>> = folder::files(&ensemble).into_iter().collect();
    let shown = |name: &str| String::from_utf8(files[name].clone()).expect("a file of text");
    column(&shown("waterfall.svg"), ">\n60.0 s\n<");
    column(&shown("report.html"), "60.0 s<small>20.0 s … 60.0 s</small>");
    let summary: serde_json::Value = serde_json::from_str(&shown("summary.json")).unwrap();
    let detect = &summary["recoveries"][0]["stages"]["detect"];
    assert_eq!((&detect["p50"]["value"], &detect["samples"]), (&60_000.0.into(), &7.into()), "{detect}");
    // What the scenario says tells its runs apart, not which leaders were hit.
    ensemble.group(["one zone", "one zone", "all zones"].map(str::to_owned).to_vec());
    let text = text::render(&ensemble);
    check_contains(&text, &["all zones, 1 run", "one zone, 2 runs", "60.0 s / 60.0 s (5)", "20.0 s / 20.0 s (2)"]);
    assert!(!text.contains("no leader hit, "), "{text}");
}

/// Two runs restore the one allocation they lose after 20 s, one gives none of its five up before it ends.
#[test]
fn what_was_not_restored_before_the_end_takes_longer_than_all_that_was() {
    let spec = spec();
    let run = |seed: u64| {
        let mut run = outcome(&spec, seed, false);
        if seed == 3 {
            let chains = &mut run.failovers[0].chains;
            (chains[0].ends, chains[0].replacement, chains[0].awaited) = ([None; 6], None, [true; 6]);
            *chains = vec![chains[0].clone(); 5];
            run.failovers[0].elections = vec![Election {
                group: Group { system: System::Nomad, region: RegionId(0) },
                elected: None,
                ready: None,
            }];
        }
        run
    };
    let ensemble = Ensemble::new(&spec, String::new(), (1..=3).map(run).collect(), Vec::new());
    let text = text::render(&ensemble);
    let elected = text.lines().find(|line| line.contains("nomad leader elected")).unwrap_or_default();
    assert!(elected.ends_with("never (1 never)"), "{text}");
    check_contains(&text, &["never / never (2, 5 never)", "5 of 7"]);
    let files: std::collections::BTreeMap<String, Vec<u8>> = folder::files(&ensemble).into_iter().collect();
    let shown = |name: &str| String::from_utf8(files[name].clone()).expect("a file of text");
    check_contains(&shown("waterfall.svg"), &[">\nnever\n<", "never: at least half of these waits"]);
    check_contains(&shown("report.html"), &["never<small>5 of 7 never</small>", "20.0 s<small>1 of 3 never</small>"]);
    let summary: serde_json::Value = serde_json::from_str(&shown("summary.json")).unwrap();
    let recovery = &summary["recoveries"][0];
    for stage in STAGES {
        let (all, last) = (&recovery["stages"][stage], &recovery["last"][stage]);
        assert_eq!((&all["samples"], &all["unended"], all.get("p50")), (&2.into(), &5.into(), None), "{all}");
        assert_eq!((&last["samples"], &last["unended"]), (&2.into(), &1.into()), "{last}");
        // An end of the interval falls on the wait that did not end.
        assert!(last["p50"]["value"].is_f64() && last["p50"].get("ci95").is_none(), "{last}");
    }
    assert_eq!(recovery["last"]["detect"]["p50"]["value"], 20_000.0);
}

#[test]
fn faults_of_one_instant_have_one_kind_and_its_name_stays_whole() {
    let spec = spec();
    let run = |seed: u64| {
        let mut run = outcome(&spec, seed, seed == 2);
        // Another fault of the same instant hits what this one misses, and a later one hits nothing.
        let also = |case: &str, after: f64, run: &Outcome| Failover {
            case: case.to_owned(),
            at: at(240.0 + after),
            ..run.failovers[0].clone()
        };
        let (same, later) = (also("nomad leader hit", 0.0, &run), also("no leader hit", 60.0, &run));
        run.failovers.extend([same, later]);
        run
    };
    let ensemble = Ensemble::new(&spec, String::new(), (1..=2).map(run).collect(), Vec::new());
    let kinds: Vec<(usize, String)> =
        crate::analysis::recovery::recoveries(&ensemble).into_iter().map(|one| (one.fault, one.case)).collect();
    let kind = |fault, name: &str| (fault, name.to_owned());
    let (mixed, both) = ("no leader hit, then nomad leader hit", "nomad leader hit, then nomad leader hit");
    let expected = [kind(0, mixed), kind(0, both), kind(1, mixed), kind(1, both), kind(2, "no leader hit")];
    assert_eq!(kinds, expected);
    let text = text::render(&ensemble);
    let head = text.lines().position(|line| line.contains("each step: median")).expect("a table of stages");
    let lines: Vec<&str> = text.lines().collect();
    check_contains(lines[head], &["no leader hit, then nomad", "nomad leader hit, then"]);
    check_contains(lines[head + 1], &["leader hit, 1 run", "nomad leader hit, 1 run"]);
    let files: std::collections::BTreeMap<String, Vec<u8>> = folder::files(&ensemble).into_iter().collect();
    let waterfall = String::from_utf8(files["waterfall.svg"].clone()).expect("a file of text");
    check_contains(&waterfall, &["all lost allocations: medians", "last of each run, or never: medians"]);
    check_contains(&waterfall, &["no leader hit, then nomad", "nomad leader hit, then nomad"]);
    assert!(!waterfall.contains("then nomad lea…"), "{waterfall}");
}

#[test]
fn an_ensemble_is_run_again_as_it_was_and_what_nothing_exercised_has_its_own_mark() {
    let mut ensemble = ensemble();
    let idle = |verdict: &Verdict| Verdict { overall: NotExercised, met: true, nearest: None, ..verdict.clone() };
    ensemble.verdicts = vec![idle(&ensemble.verdicts[1])];
    ensemble.verdicts[0].runs.iter_mut().for_each(|(_, judgement)| *judgement = NotExercised);
    let last = |ensemble: &Ensemble| text::render(ensemble).lines().last().map(str::to_owned).unwrap_or_default();
    assert_eq!(last(&ensemble), "again: cossim run node-crash.ron");
    check_contains(&text::render(&ensemble), &["  --    failover.leader max < 6s if exercised  not exercised"]);
    ensemble.asked_seeds = Some("--seeds 3".to_owned());
    assert_eq!(last(&ensemble), "again: cossim run node-crash.ron --seeds 3");
    let page = |ensemble: &Ensemble| {
        let files: std::collections::BTreeMap<String, Vec<u8>> = folder::files(ensemble).into_iter().collect();
        String::from_utf8(files["report.html"].clone()).expect("a page is text")
    };
    check_contains(&page(&ensemble), &["<code>cossim run node-crash.ron --seeds 3</code>", "○</span> not exercised"]);
    // A violated expectation names the run that is furthest from holding it, not the first that fails.
    let mut failed = self::ensemble();
    failed.asked_seeds = Some("--seeds 3".to_owned());
    failed.verdicts[0].nearest = Some(2);
    assert_eq!(last(&failed), "reproduce: cossim run node-crash.ron --seed 3");
    check_contains(&page(&failed), &["<code>cossim run node-crash.ron --seed 3</code>"]);
}

#[test]
fn seeds_that_exercise_nothing_are_not_enough() {
    let mut ensemble = ensemble();
    let idle = Known { text: "plan.wait max < 1s".to_owned(), seeds: 0, mean: None, half_width: None };
    let known = Known { seeds: 3, mean: Some(2.0), half_width: Some(0.01), ..idle.clone() };
    let stopping = |known, reached| Some(Stopping { half_width: 0.05, max: 200, reached, known });
    ensemble.stopping = stopping(vec![idle.clone()], false);
    check_contains(&text::render(&ensemble), &["3 seeds, and no more: nothing was measured, as no seed exercises"]);
    ensemble.stopping = stopping(vec![known, idle], true);
    let some = "3 seeds are enough: every mean of what is expected has a half-width of 5 % or less; 1 that no seed";
    check_contains(&text::render(&ensemble), &[some]);
}

#[test]
fn holes_and_edits_in_any_file_are_noticed() {
    let files = folder::files(&ensemble());
    assert!(folder::checked(&files, None).is_ok());
    for (at, (name, bytes)) in files.iter().enumerate().filter(|(_, (name, _))| name != "report.html") {
        let refused = |files: &[(String, Vec<u8>)]| folder::checked(files, None).map_err(|error| error.to_string());
        let mut without = files.clone();
        without.remove(at);
        assert_eq!(refused(&without), Err(format!("`{name}` is missing")));
        if name == "checksums.txt" {
            continue;
        }
        let text = String::from_utf8(bytes.clone()).expect("all files are text");
        // A digit more, and the last line less.
        let end = text.trim_end().rfind('\n').expect("every file has several lines") + 1;
        for edited in [text.replacen(|c: char| c.is_ascii_digit(), "17", 1), text[..end].to_owned()] {
            let mut others = files.clone();
            others[at].1 = edited.into_bytes();
            let reason = "is not what its run wrote: its checksum is another than in `checksums.txt`";
            assert_eq!(refused(&others), Err(format!("`{name}` {reason}")));
            assert!(folder::checked(&others, Some(name)).is_ok(), "it is going to be replaced");
        }
    }
    let strange = ("zones-seed-9.svg".to_owned(), Vec::new());
    let error = folder::checked(&[files, vec![strange]].concat(), None).unwrap_err().to_string();
    assert_eq!(error, "`zones-seed-9.svg` is not what its run wrote: `checksums.txt` does not name it");
}

/// The machine is lost at the fourth of ten minutes.
#[test]
fn a_bound_beyond_the_end_of_the_run_is_said_not_to_be_judged_in_full() {
    let verdict = |text: &str, seen: &str| Verdict {
        text: text.to_owned(),
        runs: vec![(seen.to_owned(), Fail)],
        overall: Fail,
        met: false,
        nearest: Some(0),
    };
    let spec = spec();
    let (long, short) = (verdict("failover.detect max < 7m", "never"), verdict("failover.detect max < 5m", "never"));
    let seen = verdict("failover.detect p50 < 7m", "8m");
    let rendered = |verdict: &Verdict| {
        text::render(&Ensemble::new(&spec, String::new(), vec![outcome(&spec, 1, true)], vec![verdict.clone()]))
    };
    let note = format!("1 run watched only 360 s after `{}`\n", spec.timeline[EntryId(0)].label);
    check_contains(&rendered(&long), &[&note]);
    assert!(!rendered(&short).contains("watched only") && !rendered(&seen).contains("watched only"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/node-crash.ron");
    let warned = |edits: &[&str]| {
        let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
        crate::scenario::load(&path, &edits).findings.iter().filter(|finding| finding.code == "W007").count()
    };
    assert_eq!(warned(&["expect[0]=\"failover.detect max < 7m\""]), 1);
    assert_eq!(warned(&["expect[0]=\"failover.detect min > 7m\""]), 0, "what has lasted longer was seen to");
    assert_eq!(warned(&["expect[0]=\"failover.detect max < 7m\"", "duration=12m"]), 0);
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    assert!(folder::files(&ensemble()) == folder::files(&ensemble()));
}

#[test]
fn nothing_at_all_is_reported_too() {
    let empty = Ensemble::new(&spec(), String::new(), Vec::new(), Vec::new());
    assert_eq!(folder::files(&empty).len(), 8, "a summary, six tables and their checksums");
    assert!(text::render(&empty).starts_with("PASS  node-crash: no expectations"));
}
