//! The page of a small folder: it says what the summary says, escapes what scenarios say, and stays small.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{PageError, SIZE_MAX, page};
use crate::analysis::summary::sensitivity::{self, Ends, Influence, Sensitivity, Varied};
use crate::analysis::summary::{Assumed, Case, Election, Estimate, Expectation, Fault, Invariant, Outage, Overall};
use crate::analysis::summary::{
    Known, Mode, Pooled, Recovery, Refusals, Run, SCHEMA, Stage, Stopping, Summary, Unplaced,
};
use crate::report::json;

const HOSTILE: &str = "</script><script>alert('x')</script><img src=x onerror=\"alert(1)\">";

/// A summary in which `name` is whatever a scenario can name.
fn summary(name: &str, runs: u64) -> Summary {
    let pooled = |unit: &str, statistic: &str, value: f64, ci95| Pooled {
        unit: unit.to_owned(),
        runs: runs as usize,
        samples: Some(600_000),
        unended: None,
        modes: Vec::new(),
        explained_by_cases: None,
        figures: BTreeMap::from([(statistic.to_owned(), Estimate { value, ci95: Some(ci95) })]),
    };
    let labels = format!("{{service={name},traffic=users}}");
    let across = BTreeMap::from([
        (format!("request.success_ratio{labels}"), pooled("%", "value", 98.765, [98.1, 99.2])),
        (format!("request.latency{labels}"), pooled("ms", "p99", 149.25, [140.5, 160.5])),
    ]);
    let run = |seed: u64| Run {
        seed,
        digest: format!("{seed:016x}"),
        simulated_s: 600.0,
        events: 1_000,
        case: format!("{name} {seed}"),
        metrics: BTreeMap::new(),
        failovers: vec![fault(name, seed)],
        unplaced: vec![unplaced(name)],
        operators_refused: Vec::new(),
        expectations: vec![Expectation {
            text: name.to_owned(),
            observed: name.to_owned(),
            verdict: "fail".to_owned(),
        }],
        invariants: vec![Invariant {
            name: "raft.election_safety".to_owned(),
            checks: 1_000,
            violations: 1,
            first: Some(name.to_owned()),
        }],
    };
    let case = |seed: u64| Case { case: format!("{name} {seed}"), seeds: vec![seed], metrics: across.clone() };
    Summary {
        schema: SCHEMA,
        cossim: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: name.to_owned(),
        scenario_digest: "0123456789abcdef".to_owned(),
        file: name.to_owned(),
        set: vec![format!("name={name}")],
        asked_seeds: None,
        passed: false,
        runs: (1..=runs).map(run).collect(),
        cases: (1..=runs).map(case).collect(),
        across_runs: across,
        recoveries: (1..=runs).map(|seed| recovery(name, seed)).collect(),
        stopping: None,
        expectations: vec![Overall {
            text: name.to_owned(),
            verdict: "fail".to_owned(),
            passed: 0,
            failed: runs as usize,
            not_exercised: 0,
            nearest_seed: Some(1),
        }],
        assumed: vec![Assumed {
            path: "traffic[0].timeout".to_owned(),
            value: name.to_owned(),
            why: name.to_owned(),
            plausible: "2s..60s".to_owned(),
        }],
    }
}

fn recovery(name: &str, seed: u64) -> Recovery {
    let pooled = |value: f64| Pooled {
        unit: "ms".to_owned(),
        runs: 1,
        samples: Some(7),
        unended: None,
        modes: Vec::new(),
        explained_by_cases: None,
        figures: BTreeMap::from([("p50".to_owned(), Estimate { value, ci95: Some([value - 1e3, value + 1e3]) })]),
    };
    Recovery {
        fault: name.to_owned(),
        place: 0,
        case: format!("{name} {seed}"),
        seeds: vec![seed],
        stages: BTreeMap::from([("detect".to_owned(), pooled(16_000.0))]),
        last: BTreeMap::from([("detect".to_owned(), pooled(20_000.0))]),
    }
}

fn fault(name: &str, seed: u64) -> Fault {
    Fault {
        fault: name.to_owned(),
        at_s: 240.0,
        case: format!("{name} {seed}"),
        hit: Some(vec![name.to_owned()]),
        lost: 7,
        unreplaced: 1,
        elections: vec![Election {
            system: "nomad".to_owned(),
            region: name.to_owned(),
            elected_ms: Some(2_930.0),
            ready_ms: None,
        }],
        stages: vec![Stage {
            stage: "detect".to_owned(),
            ms: Some(20_000.0),
            p50_ms: Some(16_000.0),
            max_ms: Some(20_000.0),
            count: 7,
        }],
        outages: BTreeMap::from([(name.to_owned(), Outage { seconds: 66, gap_ms: 69.0 })]),
    }
}

fn unplaced(name: &str) -> Unplaced {
    Unplaced {
        region: name.to_owned(),
        job: name.to_owned(),
        group: "web".to_owned(),
        first_s: 250.0,
        last_s: 300.0,
        evaluations: 3,
        queued: 2,
        plans_rejected: None,
        plan_rejections: BTreeMap::new(),
        refusals: Refusals {
            constraint_filtered: BTreeMap::from([(name.to_owned(), 4)]),
            dimension_exhausted: BTreeMap::from([("memory".to_owned(), 5)]),
            ..Refusals::default()
        },
    }
}

/// A folder of `runs` runs with two machines and as many buckets.
fn folder(name: &str, runs: u64, buckets: usize) -> Vec<(String, Vec<u8>)> {
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let name_cell = cell(name);
    let mut series = "seed,series,unit,from_s,value\n".to_owned();
    let mut placements = "seed,region,name,machine,cpu_mhz,memory_mib,placed_s,ended_s\n".to_owned();
    for seed in 1..=runs {
        for bucket in 0..buckets {
            let from = 600.0 * bucket as f64 / buckets as f64;
            let label = cell(&format!("requests.good{{traffic={name}}}"));
            writeln!(series, "{seed},{label},1/s,{from},{}", bucket % 7).unwrap();
        }
        let alloc = cell(&format!("{name}.web[0]"));
        writeln!(placements, "{seed},eu,{alloc},m1,500,64,10,240\n{seed},eu,{alloc},m2,250,64,250,").unwrap();
    }
    let machines = "machine,region,zone,role,instance,datacenter,class,cpu_mhz,memory_mib,disk_mib\n\
                    s1,eu,a,nomad-server,m5.large,,,6200,7577,\n";
    let client = |machine: &str, zone: &str| format!("{machine},eu,{zone},client,{name_cell},dc,,1000,128,1000\n");
    let machines = format!("{machines}{}{}", client("m1", "a"), client("m2", &name_cell));
    let timeline = format!("kind,from_s,until_s,what\nwarm-up,0,120,not measured\nfault,240,300,{name_cell}\n");
    let files = [
        ("summary.json", json::text(&summary(name, runs))),
        ("series.csv", series),
        ("placements.csv", placements),
        ("machines.csv", machines),
        ("timeline.csv", timeline),
        ("scenario.ron", format!("// {name}")),
        ("zones.svg", "<svg width=\"2\" height=\"2\">\n<text x=\"1\">\na &lt;b on c\n</text>\n</svg>".to_owned()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

#[test]
fn the_page_says_what_the_folder_says() {
    let page = page(&folder("shop", 1, 60)).unwrap();
    for part in [
        "✗</span> Fail",
        "1 of 1 expectations not met; 1 law checked 1 000 times, 1 violations",
        "cossim run shop --set name=shop --seed 1",
        "0123456789abcdef",
        "98.765<small>98.1 … 99.2</small>",
        "149.2<small>140.5 … 160.5</small>",
        "nomad shop: 2.9 s",
        "66 s",
        "5 × memory exhausted",
        "4:00, before the first fault",
        "a &lt;b on c",
        "// shop",
    ] {
        assert!(page.contains(part), "`{part}` is missing in\n{}", &page[..page.len().min(60_000)]);
    }
    // Half of zone a is held until the fault, a quarter of the other zone from 4:10 on.
    let held =
        r#""title":"Processor held, of what the zone has","unit":"%","log":false,"top":100.0,"first":5.0,"step":5.0"#;
    let lines = page.split(held).nth(1).expect("the processor has a chart");
    let values = |from: &str| lines.split(from).nth(1).unwrap().split(']').next().unwrap().to_owned();
    let (first, second) =
        (values("\"values\":["), lines.split("\"values\":[").nth(2).unwrap().split(']').next().unwrap());
    let half: Vec<&str> = first.split(',').collect();
    assert_eq!((half[0], half[1], half[46], half[47], half.len()), ("0.0", "50.0", "50.0", "0.0", 120), "{first}");
    assert_eq!(second.split(',').skip(48).take(3).collect::<Vec<_>>(), ["0.0", "25.0", "25.0"], "{second}");
}

#[test]
fn modes_and_the_number_of_seeds_are_told() {
    let mut summary = summary("shop", 2);
    let mode = |low, share| Mode { low, middle: low + 1.0, high: low + 2.0, share };
    let pooled = summary.across_runs.values_mut().next().unwrap();
    (pooled.modes, pooled.explained_by_cases) = (vec![mode(10.0, 60.0), mode(90.0, 40.0)], Some(true));
    let known = Known { text: "plan.wait max < 1s".to_owned(), seeds: 2, mean: Some(31.5), half_width: None };
    summary.stopping = Some(Stopping { half_width: 5.0, max: 2, reached: false, known: vec![known] });
    let mut files = folder("shop", 2, 60);
    files[0].1 = json::text(&summary).into_bytes();
    let page = page(&files).unwrap();
    for part in [
        "60 % near 11 ms (10 … 12); 40 % near 91 ms (90 … 92)</td><td>yes",
        "2 seeds, as many as may be, were not enough for intervals of 5 % of every mean.",
        "<td class=\"n\">31.5</td><td class=\"n\">–</td>",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
}

#[test]
fn seeds_that_measured_nothing_are_not_called_enough() {
    let mut summary = summary("shop", 2);
    let idle = Known { text: "plan.wait max < 1s".to_owned(), seeds: 0, mean: None, half_width: None };
    summary.stopping = Some(Stopping { half_width: 5.0, max: 200, reached: false, known: vec![idle] });
    let mut files = folder("shop", 2, 60);
    files[0].1 = json::text(&summary).into_bytes();
    let page = page(&files).unwrap();
    assert!(page.contains("2 seeds, and no more: nothing was measured") && !page.contains("were enough"));
    // What spans from run to run is not taken for an interval, and intervals are named for what they are.
    for part in ["from the least to the most of any run", "by Student's t over seeds for levels and counts"] {
        let escaped = part.replace('\'', "&#39;");
        assert!(page.contains(part) || page.contains(&escaped), "`{part}` is missing");
    }
}

#[test]
fn what_never_ended_is_on_the_page() {
    let mut summary = summary("shop", 3);
    let waits = |samples, unended, figures: &[(&str, f64)]| Pooled {
        unit: "ms".to_owned(),
        runs: 3,
        samples: Some(samples),
        unended: Some(unended),
        modes: Vec::new(),
        explained_by_cases: None,
        figures: figures
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Estimate { value: *value, ci95: None }))
            .collect(),
    };
    summary.across_runs.insert("failover.detect".to_owned(), waits(31, 10, &[("p50", 16_250.0)]));
    summary.across_runs.insert("failover.leader".to_owned(), waits(0, 2, &[]));
    // One kind of run, in which a leader was elected once of three times.
    let recovery = Recovery { seeds: vec![1, 2, 3], ..summary.recoveries[0].clone() };
    summary.recoveries = vec![recovery];
    for run in &mut summary.runs[1..] {
        run.failovers[0].elections[0].elected_ms = None;
    }
    let mut files = folder("shop", 3, 60);
    files[0].1 = json::text(&summary).into_bytes();
    let some = page(&files).unwrap();
    let cell = |text: &str| format!("<td class=\"n\">{text}</td>");
    let never = cell("never").repeat(3);
    for part in [
        "nomad shop: 2.9 s, never in 2 of 3".to_owned(),
        format!("{}{}{}{never}", cell("31<small>10 of 41 never</small>"), cell(""), cell("16 250")),
        format!("{}{}{}{never}", cell("0<small>2 of 2 never</small>"), cell(""), cell("never")),
    ] {
        assert!(some.contains(&part), "`{part}` is missing");
    }
    assert!(!some.contains("without samples"));
    summary.runs[0].failovers[0].elections[0].elected_ms = None;
    files[0].1 = json::text(&summary).into_bytes();
    assert!(page(&files).unwrap().contains("nomad shop: never<"));
}

/// The file `sensitivity.json` of a folder in which `name` is whatever a scenario can name.
fn analysis(name: &str) -> String {
    let influence = |path: &str, share: Option<f64>| Influence {
        path: path.to_owned(),
        measure: name.to_owned(),
        unit: "ms".to_owned(),
        ends: share.is_none().then_some(Ends { turned: 2, moves: 3 }),
        effect: Some(250.0),
        of_largest: Some(100.0),
        share,
        share_ci95: share.map(|share| [share - 5.0, share + 5.0]),
    };
    let varied = |path: &str| Varied { path: path.to_owned(), values: "2s..60s".to_owned() };
    let found = Sensitivity {
        schema: sensitivity::SCHEMA,
        cossim: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: name.to_owned(),
        scenario_digest: "0123456789abcdef".to_owned(),
        file: name.to_owned(),
        set: Vec::new(),
        seeds: vec![1, 2],
        trajectories: 10,
        rows: Some(64),
        runs: 500,
        varied: vec![varied("traffic[0].timeout"), varied(name)],
        influences: vec![influence("traffic[0].timeout", Some(42.0)), influence(name, None)],
        sentences: vec![format!("it depends on {name}")],
    };
    found.text()
}

#[test]
fn what_was_found_of_assumed_values_stands_beside_them() {
    let mut files = folder("shop", 1, 60);
    let without = page(&files).unwrap();
    for part in
        ["Assumed values that all of this rests on", "traffic[0].timeout", "cossim sensitivity shop --set name=shop"]
    {
        assert!(without.contains(part), "`{part}` is missing");
    }
    files.push(("sensitivity.json".to_owned(), analysis("shop").into_bytes()));
    let with = page(&files).unwrap();
    for part in [
        "42 % [37 … 47] of the variance of `shop`, over 2s..60s",
        "10 trajectories, 64 rows, 2 seeds at each point, 500 runs",
        "<li>it depends on shop</li>",
        "250 ms; decides whether it ends at all (2 of 3 moves)",
        "<td class=\"n\">250 ms</td><td class=\"n\">42<small>37 … 47</small>",
    ] {
        assert!(with.contains(part), "`{part}` is missing");
    }
    let last = files.len() - 1;
    files[last].1 = analysis("shop").replace("0123456789abcdef", "00000000000000ff").into_bytes();
    let error = page(&files).unwrap_err().to_string();
    assert!(
        error.contains("`sensitivity.json` does not belong there: it is of a scenario with digest 00000000000000ff"),
        "{error}"
    );
    files[last].1 = analysis("shop").replace("\"runs\": 500", "\"runs\": true").into_bytes();
    let error = page(&files).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("`sensitivity.json` is damaged: `runs`: invalid type: boolean `true`"), "{text}");
    assert!(text.contains(" at line ") && text.matches("is damaged").count() == 1, "{text}");
    assert!(error.hint().contains("--sensitivity"), "{}", error.hint());
    files[last].1 = analysis(HOSTILE).into_bytes();
    assert!(!page(&files).unwrap().contains("<img"), "what was found is never markup");
}

#[test]
fn what_a_scenario_says_is_never_markup() {
    let hostile = page(&folder(HOSTILE, 2, 60)).unwrap();
    let harmless = page(&folder("shop", 2, 60)).unwrap();
    let count = |page: &str, what: &str| page.to_lowercase().matches(what).count();
    for what in ["<script", "</script", "<img"] {
        assert_eq!(count(&hostile, what), count(&harmless, what), "{what}");
    }
    assert!(!hostile.contains("onerror=\"alert"));
}

/// Many kinds of runs, long series and long names: the page stays small and says what it leaves out.
#[test]
fn a_large_folder_makes_a_small_page() {
    let name = "x&".repeat(100);
    let mut files = folder(&name, 150, 800);
    files.iter_mut().find(|(name, _)| name == "scenario.ron").unwrap().1 = "<é>\n".repeat(200_000).into_bytes();
    let page = page(&files).unwrap();
    assert!(page.len() < SIZE_MAX, "{} bytes", page.len());
    for note in
        ["stand for up to 2 buckets", "of other kinds are left out", "more rows are left out", "rest is in scenario"]
    {
        assert!(page.contains(note), "{note}");
    }
}

#[test]
fn what_cannot_be_told_is_refused_with_the_reason() {
    let with = |name: &str, change: &dyn Fn(&str) -> String| {
        let mut files = folder("shop", 1, 60);
        let file = files.iter_mut().find(|(known, _)| known == name).unwrap();
        file.1 = change(std::str::from_utf8(&file.1).unwrap()).into_bytes();
        page(&files).unwrap_err().to_string()
    };
    let here = env!("CARGO_PKG_VERSION");
    let older = |text: &str| text.replace(&format!("\"cossim\": \"{here}\""), "\"cossim\": \"0.0.9\"");
    assert_eq!(
        with("summary.json", &older),
        format!("`summary.json` was written by cossim 0.0.9, and this is cossim {here}")
    );
    for (file, from, to, reason) in [
        ("summary.json", "\"schema\": 1", "\"total\": 1", "was not written by cossim"),
        ("summary.json", "\"seed\": 1", "\"seed\": -1", "is damaged: `runs[0].seed`"),
        ("placements.csv", "\n1,", "\n9,", "it has rows of seed 9"),
        ("placements.csv", ",500,", ",half,", "`placements.csv` is damaged"),
        ("series.csv", "1/s,0,0", "1/s,0,NaN", "a value that is no number"),
        ("timeline.csv", "from_s", "since", "missing field `from_s`"),
        ("zones.svg", "<text x", "<image x", "it is no chart of cossim's"),
        ("zones.svg", "<text x", "<text onclick=\"\" x", "it is no chart of cossim's"),
    ] {
        let error = with(file, &|text| text.replacen(from, to, 1));
        assert!(error.contains(reason), "{file}: {error}");
    }
    for file in ["summary.json", "series.csv", "placements.csv", "machines.csv", "timeline.csv"] {
        let files: Vec<_> = folder("shop", 1, 60).into_iter().filter(|(name, _)| name != file).collect();
        assert!(matches!(page(&files), Err(PageError::Missing { file: missing }) if missing == file));
    }
}

#[test]
fn a_warm_up_is_told_where_there_is_one() {
    assert_eq!(super::overall::simulated(3_600.0, 90.0), "60 min each, warm-up 1:30");
    assert_eq!(super::overall::simulated(3_600.0, 0.0), "60 min each");
}
