//! What faults of the timeline come to: whom they hit, what stays down while several of them hold it, what users and
//! other members see of it.

use std::sync::Arc;

use cossim::analysis::ensemble::Ensemble;
use cossim::analysis::judge;
use cossim::analysis::run::{Progress, Shared, run};
use cossim::base::time::Time;
use cossim::measure::metric::Value;
use cossim::measure::objective::Window;
use cossim::measure::outcome::Outcome;
use cossim::report::text;
use cossim::scenario;
use cossim::scenario::lower::Lowered;
use cossim::world::event::Notice;
use cossim::world::run::{Witness, World};
use cossim::world::spec::{EntryId, MachineId, WorldSpec};

struct NoFiles;

impl scenario::lower::Files for NoFiles {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Err(format!("{path} is not read here"))
    }
}

fn lowered(text: &str, edits: &[&str]) -> Lowered {
    let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
    let loaded = scenario::load_text("x.ron", text, &edits, &NoFiles);
    let shown = loaded.sources.render(&loaded.findings, false);
    loaded.lowered.unwrap_or_else(|| panic!("{shown}"))
}

fn outcome(lowered: &Lowered) -> Outcome {
    let windows = judge::windows(&lowered.expectations);
    run(&Arc::new(lowered.world.clone()), &windows, 1, &Shared::default(), &Progress::default()).expect("it ends")
}

/// Runs it and checks what it expects.
fn holds(lowered: &Lowered) -> Outcome {
    let outcome = outcome(lowered);
    for verdict in judge::judge(&lowered.expectations, std::slice::from_ref(&outcome)) {
        assert!(verdict.met, "{verdict:?}");
    }
    outcome
}

/// Three servers of each kind, six clients, and a job on one of them.
fn plain(timeline: &str, rest: &str) -> Lowered {
    let text = format!(
        r#"Scenario(
            name: "x", duration: "5m", network: Preset("lan"),
            regions: [Region(name: "r", zones: ["a"], nomad: Servers(first_leader: "nomad-3"),
                clients: [Clients(datacenter: "d", count: 6, instance: "m5.large")])],
            jobs: [Inline(Job(name: "side", datacenters: ["d"], groups: [
                Group(name: "side", cpu: "500 MHz", memory: "128 MiB"),
            ]))],
            timeline: [{timeline}],
            {rest}
        )"#
    );
    lowered(&text, &[])
}

/// Users of a web service, with another job beside it on the same machine.
fn shop(timeline: &str, expect: &str) -> Lowered {
    lowered_shop(timeline, expect, &[])
}

fn lowered_shop(timeline: &str, expect: &str, edits: &[&str]) -> Lowered {
    let text = format!(
        r#"Scenario(
            name: "x", duration: "5m", warmup: "1m", network: Preset("lan"),
            regions: [Region(name: "r", zones: ["a"], clients: [
                Clients(datacenter: "edge", count: 1, instance: "m5.large"),
                Clients(datacenter: "d", count: 1, instance: "m5.large"),
            ])],
            jobs: [
                Inline(Job(name: "fabio", kind: System, datacenters: ["edge"], groups: [
                    Group(name: "fabio", driver: "exec", cpu: "500 MHz", memory: "128 MiB", ports: {{"lb": 9999}}),
                ])),
                Inline(Job(name: "web", datacenters: ["d"], groups: [
                    Group(name: "web", cpu: "500 MHz", memory: "128 MiB", ports: {{"http": 0}}, services: [
                        GroupService(name: "web", port: "http", tags: ["urlprefix-/"],
                            check: Http(path: "/h", interval: "5s", timeout: "2s")),
                    ]),
                ])),
                Inline(Job(name: "side", datacenters: ["d"], groups: [
                    Group(name: "side", cpu: "500 MHz", memory: "128 MiB"),
                ])),
            ],
            services: [Service(name: "web", service_time: Exponential("5ms"))],
            ingress: [Ingress(job: "fabio", port: "lb", balancer: Alb(interval: "10s"))],
            traffic: [Traffic(name: "users", to: "x.example.com/", rate: "20/s", timeout: "2s")],
            timeline: [{timeline}],
            expect: [{expect}],
        )"#
    );
    lowered(&text, edits)
}

#[test]
fn a_server_that_was_restarted_is_missed_when_it_dies() {
    let faults = r#"At("1m", ProcessRestart(target: "r/nomad-1")), At("2m", NodeCrash(target: "r/nomad-1"))"#;
    let bounds = ["nomad", "consul-lan/r"].map(|pool| format!(r#""gossip.detect_first{{pool={pool}}} max < 60s""#));
    holds(&plain(faults, &format!("expect: [{}]", bounds.join(", "))));
}

#[test]
fn a_machine_that_two_faults_hold_down_is_gone_until_both_have_ended() {
    let faults = r#"At("2m", NodeCrash(target: "r/d-1", lasts: "2m")),
                    At("121s", NodeCrash(target: "r/d-1", lasts: "1s"))"#;
    let expect = r#"expect: ["gossip.false_positives{pool=consul-lan/r} == 0",
        "gossip.detect_first{pool=consul-lan/r} count == 1", "gossip.detect_all{pool=consul-lan/r} count == 1"]"#;
    holds(&plain(faults, expect));
}

#[test]
fn what_one_fault_holds_dead_is_not_back_when_its_machine_boots() {
    let kill = r#"At("2m", ProcessKill(target: "r/d-1", process: ConsulAgent, lasts: "2m"))"#;
    let crash = r#", At("121s", NodeCrash(target: "r/d-1", lasts: "2s"))"#;
    let first = |timeline: &str| {
        let outcome = outcome(&plain(timeline, ""));
        let pool = [("pool".to_owned(), "consul-lan/r".to_owned())].into_iter().collect();
        let found = outcome.metrics.matching("gossip.detect_first", &pool);
        found.map(|(_, value)| format!("{value:?}")).collect::<Vec<_>>()
    };
    let killed = first(kill);
    assert_eq!(killed.len(), 1);
    assert_eq!(first(&format!("{kill}{crash}")), killed);
}

/// Its processes take up to a second to start; whoever finds it dead in that time is right.
#[test]
fn a_machine_that_boots_is_back_when_its_processes_run() {
    for seconds in 4..12 {
        let crash = format!(r#"At("2m", NodeCrash(target: "r/d-1", lasts: "{seconds}s"))"#);
        holds(&plain(&crash, r#"expect: ["gossip.false_positives{pool=consul-lan/r} == 0"]"#));
    }
}

#[test]
fn a_server_whose_consul_agent_is_dead_is_still_a_member_of_nomads_pool() {
    let faults = r#"At("1m", ProcessKill(target: "nomad servers of r", process: ConsulAgent)),
                    At("2m", ProcessKill(target: "r/nomad-1"))"#;
    let expect = r#"expect: ["gossip.detect_first{pool=nomad} count == 1",
        "gossip.detect_first{pool=consul-lan/r} count == 3"]"#;
    holds(&plain(faults, expect));
}

#[test]
fn a_paused_job_leaves_what_runs_beside_it_alone() {
    for target in [r#"target: "side in r""#, r#"target: "clients in r", process: Tasks("side")"#] {
        let pause = format!(r#"At("2m", ProcessPause({target}, lasts: "1m"))"#);
        let outcome = holds(&shop(&pause, r#""request.success_ratio >= 99%""#));
        assert_eq!(&*outcome.failovers[0].hit, [MachineId(7)], "only one machine runs it");
    }
}

/// Neither a paused service nor a paused proxy answers anybody; afterwards both go on.
#[test]
fn a_paused_job_does_nothing_until_it_is_resumed() {
    for job in ["web", "fabio"] {
        let pause = format!(r#"At("2m", ProcessPause(target: "{job} in r", lasts: "1m"))"#);
        let expect = r#""request.success_ratio during process-pause < 5%", "failover.request_gap max > 58s",
            "placement.churn total == 0""#;
        let outcome = holds(&shop(&pause, expect));
        let good = [110, 150, 270].map(|second| good_at(&outcome, second));
        assert!(good[0] > 15.0 && good[1] < 1.0 && good[2] > 15.0, "{job}: {good:?}");
    }
}

/// A stopped process cannot tell those who wait that it is too late; they get their answers when it goes on.
#[test]
fn a_paused_service_rejects_nobody() {
    let load = ["services[0].queue_timeout=1s", "traffic[0].rate=200/s", "traffic[0].timeout=10s"];
    let pause = r#"At("2m", ProcessPause(target: "web in r", lasts: "5s"))"#;
    let lowered = lowered_shop(pause, r#""request.errors{kind=503} total during process-pause == 0""#, &load);
    assert!(good_at(&holds(&lowered), 122) < 1.0);
}

/// A paused proxy does not hear that it is to stop; it is killed when its time to do so is over.
#[test]
fn a_paused_proxy_does_not_stop_by_itself() {
    let stopped = |timeline: &str| {
        let spec = Arc::new(shop(timeline, "").world);
        let mut ends = Ends::default();
        World::new(&spec, 1).advance(Time::ZERO + spec.duration, &mut ends).expect("virtual time does not stand still");
        assert_eq!(ends.0.len(), 1, "only the proxy ends");
        ends.0[0].since(Time::ZERO).as_secs_f64() - 125.0
    };
    let pause = r#"At("2m", ProcessPause(target: "fabio in r", lasts: "2m"))"#;
    let stop = r#"At("125s", StopJob(region: "r", job: "fabio"))"#;
    let (prompt, killed) = (stopped(stop), stopped(&format!("{pause}, {stop}")));
    assert!(prompt < 2.0 && (5.0..7.0).contains(&killed), "{prompt} s and {killed} s");
}

#[test]
fn a_pause_does_not_outlive_what_it_stopped() {
    let faults = r#"At("1m", ProcessPause(target: "web in r", lasts: "200s")),
                    At("80s", ProcessKill(target: "web in r", process: Tasks("web"))),
                    At("2m", ProcessPause(target: "web in r", lasts: "10s"))"#;
    let outcome = holds(&shop(faults, ""));
    assert!(good_at(&outcome, 126) < 1.0 && good_at(&outcome, 150) > 15.0);
}

#[test]
fn a_slow_processor_is_as_slow_after_the_machine_was_off() {
    let faults = r#"At("70s", SlowCpu(target: "r/d-1", factor: 1000, lasts: "2m")),
                    At("80s", NodeCrash(target: "r/d-1", lasts: "5s"))"#;
    let outcome = holds(&shop(faults, ""));
    assert!(good_at(&outcome, 170) < 1.0 && good_at(&outcome, 250) > 15.0);
}

/// Of two balancers one was cut off while another, unrelated fault began. It is there again when the other one goes.
#[test]
fn a_balancer_is_away_only_as_long_as_what_cuts_it_off() {
    let text = r#"Scenario(
        name: "x", duration: "6m", warmup: "1m", network: Preset("lan"),
        regions: [Region(name: "r", zones: ["a", "b"], clients: [
            Clients(datacenter: "edge", count: 2, instance: "m5.large"),
            Clients(datacenter: "d", count: 4, instance: "m5.large"),
        ])],
        jobs: [
            Inline(Job(name: "fabio", kind: System, datacenters: ["edge"], groups: [
                Group(name: "fabio", driver: "exec", cpu: "500 MHz", memory: "128 MiB", ports: {"lb": 9999}),
            ])),
            Inline(Job(name: "web", datacenters: ["d"], groups: [
                Group(name: "web", count: 4, cpu: "500 MHz", memory: "128 MiB", ports: {"http": 0}, services: [
                    GroupService(name: "web", port: "http", tags: ["urlprefix-/"],
                        check: Http(path: "/h", interval: "5s", timeout: "2s")),
                ]),
            ])),
        ],
        services: [Service(name: "web", service_time: Exponential("5ms"))],
        ingress: [Ingress(job: "fabio", port: "lb", balancer: Alb(interval: "10s"))],
        traffic: [Traffic(name: "users", to: "x.example.com/", rate: "20/s", timeout: "2s")],
        timeline: [
            At("60s", ZoneOutage(zone: "r/a", kind: Network, lasts: "10s")),
            At("65s", Partition(from: "r/d-1", to: "r/d-2")),
            At("120s", ZoneOutage(zone: "r/b", kind: Network, lasts: "4m")),
        ],
    )"#;
    let outcome = holds(&lowered(text, &[]));
    // The names of the balancers no longer list the one that went second.
    assert!(good_at(&outcome, 280) > 15.0, "{}", good_at(&outcome, 280));
}

/// Good requests per second around this second.
fn good_at(outcome: &Outcome, second: usize) -> f64 {
    let series =
        outcome.series.iter().find(|series| series.name.starts_with("requests.good")).expect("users are served");
    series.values[second / 5].unwrap_or(0.0)
}

/// When tasks end.
#[derive(Default)]
struct Ends(Vec<Time>);

impl Witness for Ends {
    fn notice(&mut self, now: Time, notice: &Notice) {
        if let Notice::TaskRunning { running: false, .. } = notice {
            self.0.push(now);
        }
    }
}

/// The machines each entry hits.
#[derive(Default)]
struct Hits(Vec<Vec<MachineId>>);

impl Witness for Hits {
    fn notice(&mut self, _: Time, notice: &Notice) {
        if let Notice::EntryBegins { machines, .. } = notice {
            self.0.push(machines.to_vec());
        }
    }
}

fn hits(spec: WorldSpec, seed: u64) -> Vec<Vec<MachineId>> {
    let spec = Arc::new(spec);
    let mut hits = Hits::default();
    World::new(&spec, seed).advance(Time::ZERO + spec.duration, &mut hits).expect("virtual time does not stand still");
    hits.0
}

#[test]
fn an_earlier_entry_does_not_change_who_is_picked_at_random() {
    let crash = r#"At("10s", NodeCrash(target: "1 random client in r", lasts: "1m"))"#;
    let world = |before: &str| plain(&format!("{before}{crash}, {crash}"), "").world;
    let short = |mut spec: WorldSpec, seed| {
        spec.duration = cossim::base::time::Duration::from_secs(11);
        let mut hits = hits(spec, seed);
        hits.split_off(hits.len() - 2)
    };
    let picked: Vec<_> = (1..=8).map(|seed| short(world(""), seed)).collect();
    for before in [r#"At("5s", CollectGarbage()), "#, r#"At("5s", SlowCpu(target: "one client in r", factor: 2)), "#] {
        assert_eq!((1..=8).map(|seed| short(world(before), seed)).collect::<Vec<_>>(), picked, "{before}");
    }
    assert!(picked.iter().any(|of_run| of_run[0] != of_run[1]), "equal entries pick for themselves: {picked:?}");
}

#[test]
fn the_end_of_one_fault_revives_nobody_whom_another_holds_dead() {
    let kills = r#"At("1m", ProcessKill(target: "r/nomad-1", lasts: "3m")),
                   At("1m", ProcessKill(target: "r/nomad-3", lasts: "3m"))"#;
    for also in [r#"NodeCrash(target: "r/nomad-1", lasts: "10s")"#, r#"ProcessRestart(target: "r/nomad-1")"#] {
        let faults = format!(r#"{kills}, At("2m", {also})"#);
        let expect = r#"expect: ["raft.elections{system=nomad} total during #1 == 0",
            "raft.elections{system=nomad} total after #1 == 1"]"#;
        holds(&plain(&faults, expect));
    }
}

#[test]
fn a_zone_that_is_cut_off_is_the_same_however_it_is_written() {
    let digest = |fault: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
        let text = std::fs::read_to_string(path).unwrap();
        let timeline = format!(r#"timeline=[At("90s", {fault})]"#);
        outcome(&lowered(&text, &["duration=3m30s", "expect=[]", &timeline])).digest
    };
    let outage = digest(r#"ZoneOutage(zone: "us-east-1/a", kind: Network, lasts: "80s")"#);
    assert_eq!(digest(r#"Partition(from: "us-east-1/a", lasts: "80s")"#), outage);
    assert_eq!(digest(r#"Partition(from: "rest", to: "us-east-1/a", lasts: "80s")"#), outage);
}

#[test]
fn an_entry_in_two_regions_is_one_of_those_that_expectations_count() {
    let text = r#"Scenario(
        name: "x", duration: "5m", network: Preset("lan"),
        regions: [Region(name: "r", zones: ["a"], clients: [Clients(datacenter: "d", count: 1, instance: "m5.large")]),
            Region(name: "q", like: "r")],
        timeline: [At("1m", CollectGarbage()), At("2m", NodeCrash(target: "r/d-1"))],
        expect: ["placement.queued during #2 == 0", "placement.queued after collect == 0"],
    )"#;
    let lowered = lowered(text, &[]);
    assert_eq!(lowered.world.timeline.len(), 3);
    let windows: Vec<Window> = lowered.expectations.iter().map(|expected| expected.objective.window).collect();
    assert_eq!(windows, [Window::During(EntryId(2)), Window::After(EntryId(0))]);
}

#[test]
fn allocations_spread_over_the_zones_with_machines_are_even() {
    let text = r#"Scenario(
        name: "x", duration: "90s", network: Preset("lan"),
        regions: [Region(name: "r", zones: ["a", "b", "c"],
            clients: [Clients(datacenter: "d", count: 2, instance: "m5.large", zones: ["a", "b"])])],
        jobs: [Inline(Job(name: "side", datacenters: ["d"], groups: [
            Group(name: "side", count: 2, cpu: "500 MHz", memory: "128 MiB", constraints: ["distinct_hosts"]),
        ]))],
        expect: ["placement.skew.zone final == 1", "placement.skew.zone min >= 1"],
    )"#;
    holds(&lowered(text, &[]));
}

#[test]
fn whom_a_fault_hit_is_told_and_that_it_hit_nobody() {
    let faults = r#"At("0s", ProcessKill(target: "leader of r", lasts: "1s")),
        At("90s", NodeCrash(target: "clients in r", lasts: "1m")), At("100s", ProcessKill(target: "side in r")),
        At("110s", ProcessPause(target: "r/d-1", process: Tasks("side"))),
        At("120s", Partition(from: "r", to: "side in r")),
        At("121s", ProcessKill(target: "side in r", process: Tasks("other"))),
        At("122s", Partition(from: "followers of r", to: "1 random side in r")),
        At("123s", Partition(from: "r/d-1", to: "r/nomad-1", lasts: "1s")),
        At("200s", RegisterJob(Inline(Job(name: "other", datacenters: ["d"], groups: [
            Group(name: "other", cpu: "500 MHz", memory: "128 MiB"),
        ]))))"#;
    let lowered = plain(faults, "");
    let spec = Arc::new(WorldSpec { duration: cossim::base::time::Duration::from_secs(160), ..lowered.world });
    let outcome = run(&spec, &[], 1, &Shared::default(), &Progress::default()).expect("it ends");
    assert_eq!(
        outcome.failovers.iter().map(|failover| failover.hit.len()).collect::<Vec<_>>(),
        [0, 6, 0, 0, 0, 0, 0, 2]
    );
    assert_eq!(outcome.failovers[0].at, Time::ZERO, "as it is written");
    let Some(Value::Times(leader)) =
        outcome.metrics.0.iter().find(|(key, _)| key.name == "failover.leader").map(|(_, value)| value)
    else {
        panic!("it is measured");
    };
    assert_eq!(leader.count(), 0);
    let shown = text::render(&Ensemble::new(&spec, String::new(), vec![outcome], Vec::new()));
    for part in [
        "  hit nobody: no server led Nomad in r then\n",
        "  hit: r/d-1, r/d-2, r/d-3 and 3 more\n",
        "  hit nobody: no machine in r ran `side` then\n",
        "  hit nobody: none of the machines it is aimed at ran `side` then\n",
        "  hit nobody: no machine in r ran both `side` and `other` then\n",
        "  hit: r/d-1, r/nomad-1\n",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(!shown.contains("has no followers"), "there are three servers: {shown}");
}

#[test]
fn a_server_that_starts_anew_tells_no_placement_twice() {
    // The job is placed at about 60.004 s; one server applies its log again when it is back.
    let text = r#"Scenario(
        name: "x", duration: "3m", warmup: "30s", network: Preset("lan"),
        regions: [Region(name: "r", zones: ["a"], nomad: Servers(count: 1), consul: Servers(count: 1),
            clients: [Clients(datacenter: "d", count: 5, instance: "m5.large")])],
        timeline: [
            At("60s", RegisterJob(Inline(Job(name: "w", datacenters: ["d"], groups: [Group(name: "g", count: 3)])))),
            At("60005ms", ProcessRestart(target: "r/nomad-1")),
        ],
        expect: ["placement.latency count == 3"],
    )"#;
    let lowered = lowered(text, &[]);
    let of_seed = |seed| {
        let windows = judge::windows(&lowered.expectations);
        let world = Arc::new(lowered.world.clone());
        run(&world, &windows, seed, &Shared::default(), &Progress::default()).expect("it ends")
    };
    let outcomes: Vec<_> = (1..=8).map(of_seed).collect();
    for verdict in judge::judge(&lowered.expectations, &outcomes) {
        assert!(verdict.met, "{verdict:?}");
    }
    for outcome in &outcomes {
        assert!(outcome.invariants.iter().all(|law| law.violations == 0), "{:?}", outcome.invariants);
    }
}

#[test]
fn a_narrow_link_is_as_wide_as_before_when_the_fault_is_over() {
    let text = r#"Scenario(
        name: "x", duration: "3m", network: Preset("lan"),
        regions: [Region(name: "r", zones: ["a", "b", "c"],
            clients: [Clients(datacenter: "d", count: 3, instance: "m5.large")])],
        timeline: [At("60s", LinkDegrade(from: "r/a", bandwidth: "1 kbit/s", lasts: "30s"))],
        expect: ["failover.leader max < 60s if exercised"],
    )"#;
    let outcome = holds(&lowered(text, &[]));
    assert!(outcome.invariants.iter().all(|law| law.violations == 0), "{:?}", outcome.invariants);
}
