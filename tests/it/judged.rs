//! One small world, told to the laws and measured: the laws hold, a fabricated event breaks each of them, the metrics
//! are
//! those of the catalogue, and windows count what falls into them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use cossim::analysis::judge;
use cossim::analysis::run::{Progress, Shared, run};
use cossim::base::id::{Id, ProcessId};
use cossim::base::time::{Duration, Time};
use cossim::measure::catalogue::{METRICS, find};
use cossim::measure::laws::Laws;
use cossim::measure::metric::Value;
use cossim::measure::outcome::{InvariantResult, Outcome};
use cossim::model::topology::RegionId;
use cossim::protocol::catalog::server::ServerEvent;
use cossim::protocol::gossip::members::{Member, State};
use cossim::protocol::gossip::{serf, swim};
use cossim::protocol::proxy::endpoint::Endpoint;
use cossim::protocol::proxy::fabio::FabioEvent;
use cossim::protocol::proxy::message::RequestNumber;
use cossim::protocol::raft;
use cossim::protocol::raft::{Index, Term};
use cossim::scenario;
use cossim::scenario::lower::Lowered;
use cossim::world::atlas::Atlas;
use cossim::world::event::{Event, Notice, Pool};
use cossim::world::spec::{EntryId, MachineId};

/// The starter scenario, without its fault if `calm`, with these expectations.
fn small(calm: bool, expect: &str) -> Lowered {
    let mut edits = vec!["duration=3m30s".to_owned(), format!("expect=[{expect}]")];
    if calm {
        edits.push("timeline=[]".to_owned());
    }
    edited(&edits)
}

/// The starter scenario with these changes.
fn edited(edits: &[String]) -> Lowered {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let loaded = scenario::load(&path, edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    loaded.lowered.unwrap_or_else(|| panic!("{shown}"))
}

fn outcome(lowered: &Lowered) -> Outcome {
    let windows = judge::windows(&lowered.expectations);
    run(&Arc::new(lowered.world.clone()), &windows, 1, &Shared::default(), &Progress::default()).expect("it ends")
}

/// Names of the laws that were broken.
fn broken(results: &[InvariantResult]) -> Vec<&'static str> {
    results.iter().filter(|law| law.violations > 0).map(|law| law.name).collect()
}

#[test]
fn every_metric_is_in_the_catalogue_and_measured_even_without_samples() {
    let outcome = outcome(&small(true, ""));
    let mut written = BTreeSet::new();
    for (key, value) in &outcome.metrics.0 {
        let metric = find(&key.name).unwrap_or_else(|| panic!("`{key}` is not in the catalogue"));
        assert_eq!(metric.unit.name(), value.unit(), "{key}");
        let kind = match value {
            Value::Times(_) => "times",
            Value::Level { .. } => "level",
            Value::Total { .. } => "total",
            Value::Share { .. } => "share",
        };
        assert_eq!(metric.kind.name(), kind, "{key}");
        assert_eq!(key.labels.keys().map(String::as_str).collect::<Vec<_>>(), metric.labels, "{key}");
        written.insert(key.name.as_str());
    }
    let listed: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(written, listed);
    for name in PROMISED {
        assert!(listed.contains(name), "{name}");
    }
    assert_eq!(broken(&outcome.invariants), [""; 0], "{:?}", outcome.invariants);
    assert!(outcome.invariants.iter().filter(|law| law.checks > 0).count() >= 15, "{:?}", outcome.invariants);
}

/// What users of the tool were told they get.
const PROMISED: [&str; 27] = [
    "placement.queued",
    "placement.blocked",
    "placement.latency",
    "placement.start_latency",
    "placement.utilization.cpu",
    "placement.utilization.memory",
    "placement.skew.zone",
    "eval.wait",
    "plan.wait",
    "plan.rejected",
    "request.latency",
    "request.success_ratio",
    "request.errors",
    "request.retries",
    "failover.leader",
    "failover.detect",
    "failover.replace",
    "failover.healthy",
    "failover.route",
    "failover.service_outage",
    "failover.request_gap",
    "raft.elections",
    "raft.term",
    "gossip.detect_first",
    "gossip.detect_all",
    "gossip.false_positives",
    "consul.propagation",
];

/// The starter scenario with these faults: what they did, and the metrics of the failover with samples and open waits.
fn failures(timeline: &str, edits: &[&str]) -> (Outcome, Vec<(String, u64, u64)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let mut all = vec!["expect=[]".to_owned(), format!("timeline=[{timeline}]")];
    all.extend(edits.iter().map(|edit| (*edit).to_owned()));
    let loaded = scenario::load(&path, &all);
    let shown = loaded.sources.render(&loaded.findings, false);
    let outcome = outcome(&loaded.lowered.unwrap_or_else(|| panic!("{shown}")));
    let figures = ["failover.detect", "failover.replace", "failover.healthy", "failover.route"].map(|name| {
        let value = outcome.metrics.0.iter().find(|(key, _)| key.name == name).map(|(_, value)| value);
        let Some(Value::Times(times)) = value else { panic!("{name} is measured") };
        (name.to_owned(), times.count(), times.unended())
    });
    (outcome, figures.into())
}

/// A node that spoke to a lost server is given up though nothing hit it. A later fault elsewhere is not to blame.
#[test]
fn what_is_lost_without_being_hit_belongs_to_the_last_fault_of_its_region() {
    let path = std::env::temp_dir().join(format!("cossim-blame-{}.ron", std::process::id()));
    let text = r#"Scenario(
        name: "two", duration: "3m", warmup: "30s", network: Preset("lan"),
        regions: [
            Region(name: "r", zones: ["a", "b", "c"], clients: [Clients(datacenter: "apps", count: 6, instance: "m5.large")]),
            Region(name: "q", like: "r"),
        ],
        jobs: [Inline(Job(name: "a", datacenters: ["apps"], groups: [
            Group(name: "g", count: 6, cpu: "500 MHz", memory: "256 MiB"),
        ]))],
        timeline: [At("60s", ZoneOutage(zone: "r/a", lasts: "60s")), At("65s", NodeCrash(target: "q/apps-1"))],
    )"#;
    std::fs::write(&path, text).unwrap();
    let lost = |edits: &[&str]| {
        let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
        let loaded = scenario::load(&path, &edits);
        let shown = loaded.sources.render(&loaded.findings, false);
        let outcome = outcome(&loaded.lowered.unwrap_or_else(|| panic!("{shown}")));
        outcome.failovers.iter().map(|failover| failover.chains.len()).collect::<Vec<_>>()
    };
    let alone = lost(&["timeline=[At(\"60s\", ZoneOutage(zone: \"r/a\", lasts: \"60s\"))]"]);
    let both = lost(&[]);
    std::fs::remove_file(&path).unwrap();
    assert!(alone[0] > 2, "more than what stood in the zone itself: {alone:?}");
    assert_eq!(both, [alone[0], 0]);
}

#[test]
fn what_had_not_come_back_when_the_run_ended_is_an_open_wait_at_every_stage() {
    let crash = r#"At("2m", NodeCrash(target: "us-east-1/apps-1"))"#;
    let (outcome, figures) = failures(crash, &["duration=3m", "options.heartbeat_grace=80s"]);
    let lost = outcome.failovers[0].chains.len() as u64;
    assert!(lost > 0);
    assert!(figures.iter().all(|(_, samples, unended)| (*samples, *unended) == (0, lost)), "{figures:?}");
    // A machine that is back before anybody noticed had nothing replaced, and nobody waits.
    let blink = r#"At("2m", NodeCrash(target: "us-east-1/apps-1", lasts: "2s"))"#;
    let (outcome, figures) = failures(blink, &["duration=4m"]);
    assert!(outcome.failovers[0].chains.is_empty(), "{:?}", outcome.failovers);
    assert!(figures.iter().all(|(_, samples, unended)| (*samples, *unended) == (0, 0)), "{figures:?}");
    // Nor for work that nobody wants any more.
    let stop = format!(r#"{crash}, At("2m2s", StopJob(job: "web"))"#);
    let (_, figures) = failures(&stop, &["duration=4m"]);
    assert!(figures.iter().all(|(_, _, unended)| *unended == 0), "{figures:?}");
}

#[test]
fn faults_that_coincide_lose_work_once_and_end_with_the_last() {
    let zone = r#"At("2m", ZoneOutage(zone: "us-east-1/a", lasts: "1m"))"#;
    let crash = |at: &str| format!(r#"At("{at}", NodeCrash(target: "us-east-1/apps-1", lasts: "5s"))"#);
    let (alone, expected) = failures(zone, &["duration=5m"]);
    assert!(expected.iter().all(|(_, samples, unended)| *samples > 0 && *unended == 0), "{expected:?}");
    for at in ["2m", "2m5s"] {
        let (both, figures) = failures(&format!("{zone}, {}", crash(at)), &["duration=5m"]);
        assert_eq!(figures, expected, "{at}: a machine without power is not booted by the end of a crash");
        let chains = |outcome: &Outcome| outcome.failovers.iter().map(|failover| failover.chains.len()).sum::<usize>();
        assert_eq!(chains(&both), chains(&alone), "{at}");
    }
    // Two leaders fall at one instant: each election is told to its fault.
    let leader = r#"At("2m", NodeCrash(target: "leader of us-east-1"))"#;
    let (outcome, _) = failures(&format!("{leader}, {}", crash("2m")), &["duration=5m"]);
    let elections: Vec<_> = outcome.failovers.iter().flat_map(|failover| &failover.elections).collect();
    assert!(!elections.is_empty() && elections.iter().all(|election| election.elected.is_some()), "{elections:?}");
}

#[test]
fn windows_count_what_falls_into_them() {
    let lowered = small(
        false,
        r#""failover.detect count >= 1", "failover.detect count during node-crash >= 1",
           "request.total after node-crash < 7000", "raft.elections during node-crash == 0",
           "placement.utilization.cpu max during node-crash > 1%""#,
    );
    let outcome = outcome(&lowered);
    assert_eq!(outcome.windows.len(), 2);
    let verdicts = judge::judge(&lowered.expectations, &[outcome]);
    for verdict in &verdicts {
        assert!(verdict.met, "{verdict:?}");
    }
}

/// Laws of the small world at its beginning.
fn laws() -> (Arc<Atlas>, Laws) {
    let atlas = Arc::new(Atlas::new(&Arc::new(small(false, "").world), 1));
    let laws = Laws::new(&atlas);
    (atlas, laws)
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// Tells the laws this and names those it breaks, apart from liveness: nobody else speaks.
fn breaks(tell: impl FnOnce(&Atlas, &mut Laws)) -> Vec<&'static str> {
    let (atlas, mut laws) = laws();
    tell(&atlas, &mut laws);
    let mut names = broken(&laws.finish(at(4), 0));
    names.retain(|name| *name != "raft.liveness");
    names
}

#[test]
fn a_fabricated_event_breaks_its_law() {
    let main = |atlas: &Atlas, machine: u32| atlas.processes[MachineId(machine)].main;
    let leads = |term| Event::NomadRaft(raft::Event::StateChanged { state: raft::State::Leader, term: Term(term) });
    assert_eq!(
        breaks(|atlas, laws| (0..2).for_each(|machine| laws.event(at(1), main(atlas, machine), &leads(3)))),
        ["raft.election_safety"]
    );
    let commit = Event::CatalogRaft(raft::Event::Committed { index: Index(7) });
    let consul = |atlas: &Atlas| main(atlas, atlas.spec.regions[RegionId(0)].consul[0].0);
    assert_eq!(breaks(|atlas, laws| laws.event(at(1), consul(atlas), &commit)), ["raft.commit_safety"]);
    let answered = |index| Event::Catalog {
        region: RegionId(0),
        event: ServerEvent::Answered { to: ProcessId(0), call: 0, topic: 1, index, blocked: false },
    };
    assert_eq!(
        breaks(|atlas, laws| [9, 8].into_iter().for_each(|index| laws.event(at(1), consul(atlas), &answered(index)))),
        ["catalog.index_monotonic"]
    );
    let sent = |atlas: &Atlas| {
        let target = Endpoint { process: main(atlas, 8), port: 80 };
        let event = FabioEvent::Sent { number: RequestNumber::new(0, 0, 0), target };
        Event::Proxy { machine: MachineId(8), event }
    };
    assert_eq!(breaks(|atlas, laws| laws.event(at(1), main(atlas, 8), &sent(atlas))), ["proxy.sent_within_table"]);
    let issued = Event::Issued { number: RequestNumber::new(0, 0, 0) };
    assert_eq!(breaks(|atlas, laws| laws.event(at(1), main(atlas, 0), &issued)), ["request.ends_once"]);
}

#[test]
fn a_server_that_is_cut_off_keeps_its_term_with_pre_vote_until_the_cut_ends() {
    let term = Event::NomadRaft(raft::Event::TermChanged { term: Term(1) });
    for (pre_vote, rejoins, broken_by) in
        [(true, false, &["raft.pre_vote_safety"][..]), (true, true, &[]), (false, false, &[])]
    {
        let cut = r#"timeline=[At("1s", Partition(from: "leader of us-east-1", lasts: "1m"))]"#.to_owned();
        let lowered = edited(&[cut, format!("options.pre_vote={pre_vote}")]);
        let atlas = Arc::new(Atlas::new(&Arc::new(lowered.world), 1));
        let mut laws = Laws::new(&atlas);
        let server = atlas.spec.regions[RegionId(0)].nomad[0];
        laws.notice(at(1), &Notice::EntryBegins { entry: EntryId(0), machines: [server].into() });
        if rejoins {
            laws.notice(at(4), &Notice::EntryEnds { entry: EntryId(0) });
        }
        laws.event(at(4), atlas.processes[server].main, &term);
        let names = broken(&laws.finish(at(4), 0));
        assert_eq!(names, broken_by, "pre-vote {pre_vote}, rejoins {rejoins}");
    }
}

/// What the first Nomad server says of the second.
fn holds(state: State, incarnation: u32) -> Event {
    let event = swim::Event::Changed {
        member: Member(1),
        address: ProcessId(0),
        before: State::Alive,
        after: state,
        incarnation,
        by: Member(0),
    };
    Event::Gossip { pool: Pool::NomadWan, event: serf::Event::Swim(event) }
}

#[test]
fn gossip_is_judged_once_faults_no_longer_excuse_it() {
    let first = |atlas: &Atlas| atlas.processes[MachineId(0)].main;
    let back = breaks(|atlas, laws| {
        laws.event(at(1), first(atlas), &holds(State::Alive, 5));
        laws.event(at(1), first(atlas), &holds(State::Suspect, 4));
    });
    assert_eq!(back, ["gossip.incarnation_never_goes_back"]);
    let dead = "gossip.not_dead_for_ever";
    for (gone, expected) in [(false, true), (true, false)] {
        let (atlas, mut laws) = laws();
        laws.event(at(1), first(&atlas), &holds(State::Dead, 1));
        if gone {
            laws.notice(at(1), &Notice::Power { machine: MachineId(1), up: false });
        }
        assert_eq!(broken(&laws.finish(at(600), 0)).contains(&dead), expected, "gone: {gone}");
    }
}

#[test]
fn a_dead_machine_is_a_blow_and_no_lasting_excuse() {
    let (atlas, mut laws) = laws();
    let entry = EntryId::from_index(0);
    laws.notice(at(120), &Notice::EntryBegins { entry, machines: Arc::from([MachineId(9)]) });
    laws.notice(at(120), &Notice::Power { machine: MachineId(9), up: false });
    laws.event(at(121), atlas.processes[MachineId(0)].main, &holds(State::Dead, 1));
    let results = laws.finish(at(1_000), 0);
    assert!(broken(&results).contains(&"gossip.not_dead_for_ever"), "{results:?}");
    assert!(broken(&results).contains(&"raft.liveness"), "nobody ever led: {results:?}");
}

/// A client that is only paused loses its work when its node is given up; that counts from the pause on.
#[test]
fn what_a_silent_node_held_is_lost_when_the_node_is_given_up() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/node-crash.ron");
    let pause = r#"timeline=[At("4m", ProcessPause(target: "1 random machines of frontend in us-east-1", process: Agent, lasts: "3m"))]"#;
    let edits = [pause.to_owned(), "duration=8m".to_owned(), "expect=[]".to_owned()];
    let outcome = outcome(&scenario::load(&path, &edits).lowered.expect("it loads"));
    let [failover] = outcome.failovers.as_slice() else { panic!("one fault, one failover") };
    assert!(!failover.chains.is_empty());
    for chain in &failover.chains {
        let [detected, replaced, ..] = chain.spans(failover.at);
        let detected = detected.expect("the node was given up").as_secs_f64();
        // TTL of at least 10 s, 10 s grace, less what had passed of it.
        assert!((10.0..45.0).contains(&detected), "{detected}");
        assert!(replaced.is_some(), "two thirds of the nodes are free to take its work");
    }
}

/// A service on three machines, changed as the edits say.
fn alone(edits: &[&str]) -> Lowered {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judged/alone.ron");
    let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
    let loaded = scenario::load(&path, &edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    loaded.lowered.unwrap_or_else(|| panic!("{shown}"))
}

#[test]
fn nothing_is_promised_that_nomad_does_not_promise() {
    let register = |count: u32| {
        format!(
            "At(\"1m\", RegisterJob(Inline(Job(name: \"web\", datacenters: [\"apps\"], groups: [\
             Group(name: \"web\", count: {count}, cpu: \"900 MHz\", memory: \"64 MiB\")]))))"
        )
    };
    let revert = format!("timeline=[{}, At(\"3m\", RevertJob(job: \"web\", version: 0))]", register(6));
    let paused = "timeline=[At(\"1m\", PauseBroker(paused: true)), \
                  At(\"2m\", ScaleJob(job: \"web\", group: \"web\", count: 4))]";
    for (what, edits) in [
        (
            "a first rollout that can never fit, failed by hand",
            &["jobs[0].groups[0].count=30", "timeline=[At(\"2m\", FailDeployment(job: \"web\"))]"][..],
        ),
        (
            "workers that are given too little time, once",
            &["scheduler.nack_timeout=50ms", "scheduler.delivery_limit=1", "scheduler.cost.evaluation=100ms"],
        ),
        ("evaluations that take hours", &["scheduler.cost.evaluation=3h", "duration=20m"]),
        ("a revert to a smaller count", &[&revert]),
        ("a count that is changed while the broker is paused", &[paused]),
    ] {
        let results = outcome(&alone(edits)).invariants;
        assert!(broken(&results).is_empty(), "{what}: {results:?}");
    }
}

#[test]
fn leaders_and_members_are_back_at_once_after_partitions_that_overlap() {
    let cut = |at: &str, zone: &str| format!("At(\"{at}\", Partition(from: \"us-east-1/{zone}\", lasts: \"2m\"))");
    let timeline = format!("timeline=[{}, {}, {}]", cut("1m", "a"), cut("2m", "b"), cut("3m", "c"));
    let results = outcome(&alone(&[&timeline])).invariants;
    assert!(broken(&results).is_empty(), "{results:?}");
}
