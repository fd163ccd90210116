//! What the shipped scenarios of upgrades, drains, failures and conflicts come to, allocation by allocation: expected
//! from Nomad's rules, watched from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cossim::base::time::{Duration, Time};
use cossim::model::alloc::{AllocId, ClientStatus, Desired};
use cossim::model::topology::RegionId;
use cossim::protocol::scheduler::state::State;
use cossim::scenario;
use cossim::world::event::Notice;
use cossim::world::process::Process;
use cossim::world::run::{Witness, World};
use cossim::world::spec::MachineId;

/// An allocation's life.
#[derive(Debug)]
struct Life {
    job: String,
    placed: Time,
    machine: MachineId,
    previous: Option<AllocId>,
    /// What the servers wanted and knew, whenever that changed.
    states: Vec<(Time, Desired, ClientStatus)>,
    /// When tasks started and exited.
    tasks: Vec<(Time, bool)>,
}

#[derive(Default)]
struct Diary {
    lives: BTreeMap<AllocId, Life>,
    down: Vec<(Time, MachineId)>,
    struck: Vec<(Time, Vec<MachineId>)>,
    rejected: u32,
    refused: u32,
    /// How many placements a group wanted, whenever that changed.
    queued: Vec<u32>,
}

impl Witness for Diary {
    fn notice(&mut self, at: Time, notice: &Notice) {
        match notice {
            Notice::AllocPlaced { instance, alloc, machine, .. } => {
                let life = Life {
                    job: alloc.job.name.to_string(),
                    placed: at,
                    machine: *machine,
                    previous: alloc.previous,
                    states: Vec::new(),
                    tasks: Vec::new(),
                };
                self.lives.insert(instance.alloc, life);
            }
            Notice::AllocChanged { instance, desired, client } => {
                if let Some(life) = self.lives.get_mut(&instance.alloc) {
                    life.states.push((at, *desired, *client));
                }
            }
            Notice::TaskRunning { instance, running, .. } => {
                if let Some(life) = self.lives.get_mut(&instance.alloc) {
                    life.tasks.push((at, *running));
                }
            }
            Notice::NodeStatus { machine, ready: false, .. } => self.down.push((at, *machine)),
            Notice::EntryBegins { machines, .. } => self.struck.push((at, machines.to_vec())),
            Notice::PlanApplied { rejected, .. } => self.rejected += rejected.len() as u32,
            Notice::Refused { .. } => self.refused += 1,
            Notice::Queued { count, .. } => self.queued.push(*count),
            _ => {}
        }
    }
}

impl Life {
    /// The states without their times.
    fn story(&self) -> Vec<(Desired, ClientStatus)> {
        self.states.iter().map(|(_, desired, client)| (*desired, *client)).collect()
    }

    fn ends(&self) -> (Desired, ClientStatus) {
        self.story().last().copied().expect("it was placed")
    }

    fn runs_at(&self, at: Time) -> bool {
        self.tasks.iter().rev().find(|(when, _)| *when <= at).is_some_and(|(_, running)| *running)
    }
}

impl Diary {
    fn of<'a>(&'a self, job: &'a str) -> impl Iterator<Item = (AllocId, &'a Life)> + Clone {
        self.lives.iter().filter(move |(_, life)| life.job == job).map(|(id, life)| (*id, life))
    }

    /// Instances of a job whose tasks run.
    fn running(&self, job: &str, at: Time) -> usize {
        self.of(job).filter(|(_, life)| life.runs_at(at)).count()
    }

    /// Sizes of the groups in which a job's allocations were placed from an instant on: a group ends with a second
    /// without placements.
    fn waves(&self, job: &str, from: Time) -> Vec<usize> {
        let mut waves: Vec<usize> = Vec::new();
        let mut last = Time::ZERO;
        for (_, life) in self.of(job).filter(|(_, life)| life.placed >= from) {
            match waves.last_mut() {
                Some(wave) if life.placed.since(last) < Duration::from_secs(1) => *wave += 1,
                _ => waves.push(1),
            }
            last = life.placed;
        }
        waves
    }
}

fn at(second: u64) -> Time {
    Time::ZERO + Duration::from_secs(second)
}

/// Whole seconds.
fn seconds(span: Duration) -> u64 {
    span.as_millis() / 1_000
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.ron"));
    std::fs::read_to_string(path).expect("it is shipped")
}

/// The scenarios here are complete in one file.
struct NoFiles;

impl scenario::lower::Files for NoFiles {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Err(format!("{path} is not read here"))
    }
}

/// A shipped scenario with edits, to its end.
fn live(name: &str, edits: &[&str], seed: u64) -> (World, Diary) {
    live_text(&text(name), edits, seed)
}

fn live_text(text: &str, edits: &[&str], seed: u64) -> (World, Diary) {
    let edits: Vec<String> = edits.iter().map(|edit| (*edit).to_owned()).collect();
    let loaded = scenario::load_text("scenario.ron", text, &edits, &NoFiles);
    let shown = loaded.sources.render(&loaded.findings, false);
    let spec = Arc::new(loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world);
    let mut world = World::new(&spec, seed);
    let mut diary = Diary::default();
    world.advance(Time::ZERO + spec.duration, &mut diary).expect("virtual time does not stand still");
    (world, diary)
}

/// What the last of the first region's Nomad servers knows.
fn servers(world: &World) -> &State {
    let atlas = world.atlas();
    let server = *atlas.spec.regions[RegionId(0)].nomad.last().expect("there are Nomad servers");
    match world.engine().process(atlas.processes[server].main) {
        Process::NomadServer(server) => server.state(),
        _ => unreachable!("a Nomad server's main process is the server"),
    }
}

/// Images of the live allocations of a job.
fn images(world: &World, diary: &Diary, job: &str) -> Vec<String> {
    let state = servers(world);
    let live = diary.of(job).filter_map(|(id, _)| state.alloc(id)).filter(|alloc| !alloc.is_terminal());
    live.map(|alloc| alloc.task_group().tasks[0].config.clone()).collect()
}

const UPDATE: u64 = 180;

#[test]
fn a_rolling_upgrade_goes_in_steps_and_never_below_its_bound() {
    for seed in 1..=2 {
        let (world, diary) = live("rolling-upgrade", &[], seed);
        let waves = diary.waves("shop", at(UPDATE));
        assert!(waves[0] == 3 && waves.iter().sum::<usize>() == 12, "{waves:?}: max_parallel is 3 of 12");
        for second in UPDATE - 60..480 {
            assert!(diary.running("shop", at(second)) >= 9, "seed {seed}, second {second}");
        }
        assert_eq!(images(&world, &diary, "shop"), vec!["config{image=\"shop:2\";}"; 12]);
        let placed: Vec<Time> = diary.of("shop").map(|(_, life)| life.placed).filter(|t| *t >= at(UPDATE)).collect();
        for (first, next) in placed.iter().zip(&placed[3..]) {
            let step = next.since(*first);
            // Five seconds of goodbye, three of start, ten of health, one of the watcher; a first check within five,
            // and whoever is late within as much.
            assert!((19..=36).contains(&seconds(step)), "seed {seed}: {step}");
        }
    }
}

#[test]
fn canaries_are_promoted_once_they_are_healthy() {
    let (world, diary) = live("canary", &[], 1);
    let waves = diary.waves("shop", at(UPDATE));
    assert!(waves[0] == 2 && waves[1..].iter().all(|wave| *wave <= 3), "{waves:?}");
    assert_eq!(waves.iter().sum::<usize>(), 12);
    let mut placed = diary.of("shop").filter(|(_, life)| life.placed >= at(UPDATE));
    let canary = placed.next().expect("there are canaries").1;
    assert_eq!(canary.previous, None, "a canary replaces nobody");
    let next = placed.nth(1).expect("the rest follows").1;
    assert!(next.placed.since(canary.placed) >= Duration::from_secs(13), "three seconds of start, ten of health");
    // Nothing of the old version stops before.
    assert_eq!(diary.running("shop", next.placed), 14);
    assert_eq!(images(&world, &diary, "shop"), vec!["config{image=\"shop:2\";}"; 12]);
}

#[test]
fn blue_and_green_stand_side_by_side_until_an_operator_promotes() {
    let (world, diary) = live("blue-green", &[], 1);
    assert_eq!(diary.waves("shop", at(UPDATE)), [12]);
    assert_eq!(diary.running("shop", at(299)), 24);
    assert_eq!(diary.running("shop", at(320)), 12);
    assert_eq!(images(&world, &diary, "shop"), vec!["config{image=\"shop:2\";}"; 12]);
    let (_, diary) = live("blue-green", &["timeline=[At(\"3m\", UpdateImage(job: \"shop\", image: \"shop:2\"))]"], 1);
    assert_eq!(diary.running("shop", at(470)), 24, "nobody promotes");
}

/// Never healthy, and crashing: both are found out, and both go back.
#[test]
fn a_bad_version_reverts_by_itself() {
    let crash = "tasks=[Behaviour(image: \"shop:2\", fails_after: Deterministic(\"1s\"))]";
    for edits in [&[][..], &[crash][..]] {
        let (world, diary) = live("bad-version", edits, 1);
        assert_eq!(images(&world, &diary, "shop"), vec!["config{image=\"shop:1\";}"; 12], "{edits:?}");
        let old: Vec<&Life> = diary.of("shop").map(|(_, life)| life).filter(|life| life.placed < at(UPDATE)).collect();
        let kept = old.iter().filter(|life| life.ends() == (Desired::Run, ClientStatus::Running)).count();
        assert_eq!((old.len(), kept), (12, 9), "only a first step was taken: {edits:?}");
        let job = servers(&world).job(diary_job(&world, "shop")).expect("it is registered").clone();
        assert_eq!(job.version, 2, "going back is a new version: {edits:?}");
    }
}

fn diary_job(world: &World, name: &str) -> cossim::model::job::JobId {
    world.atlas().job(RegionId(0), name).expect("the scenario names it")
}

#[test]
fn a_drain_moves_two_at_a_time_and_leaves_nothing() {
    for seed in 1..=2 {
        let (_, diary) = live("drain", &[], seed);
        let drained: BTreeSet<MachineId> = diary.struck[0].1.iter().copied().collect();
        assert_eq!(drained.len(), 3);
        let moved = diary.of("shop").filter(|(_, life)| life.placed >= at(UPDATE)).count();
        let waves = diary.waves("shop", at(UPDATE));
        assert!(moved >= 3 && waves.iter().all(|wave| *wave <= 2), "seed {seed}: {waves:?}");
        assert!(diary.of("shop").all(|(_, life)| life.placed < at(UPDATE) || !drained.contains(&life.machine)));
        let end = at(470);
        assert!(diary.lives.values().all(|life| !drained.contains(&life.machine) || !life.runs_at(end)));
        assert_eq!((diary.running("shop", end), diary.running("fabio", end)), (18, 3));
    }
}

#[test]
fn what_keeps_failing_is_replaced_later_and_later() {
    let (_, diary) = live("reschedule", &[], 1);
    let lives: Vec<&Life> = diary.of("flaky").map(|(_, life)| life).collect();
    assert!(lives.len() >= 4, "30 s, 60 s, 120 s: four within ten minutes");
    for (pair, delay) in lives.windows(2).zip([30, 60, 120]) {
        let failed = pair[0].tasks.last().expect("it ran").0;
        let waited = pair[1].placed.since(failed);
        assert!((delay..=delay + 2).contains(&seconds(waited)), "{waited} is not about {delay} s");
        assert_eq!(
            pair[0].story(),
            [
                (Desired::Run, ClientStatus::Running),
                (Desired::Run, ClientStatus::Failed),
                (Desired::Stop, ClientStatus::Failed),
            ]
        );
    }
}

#[test]
fn what_is_preempted_is_evicted_and_waits() {
    let (_, diary) = live("preemption", &[], 1);
    let evicted = diary.of("crunch").filter(|(_, life)| life.ends().0 == Desired::Evict).count();
    assert_eq!(evicted, 8);
    assert_eq!(diary.running("urgent", at(350)), 8);
    let (_, diary) = live("preemption", &["scheduler.preemption.service=false", "expect=[]"], 1);
    assert_eq!(diary.running("urgent", at(350)), 0, "preemption of services is off by default");
}

/// Shut down or cut off, with and without `max_client_disconnect`.
#[test]
fn disconnected_work_is_lost_or_comes_back() {
    let run = (Desired::Run, ClientStatus::Running);
    let shutdown = "timeline=[At(\"3m\", NodeCrash(target: \"1 random machines of shop\", lasts: \"2m\"))]";
    let split = "timeline=[At(\"3m\", Partition(from: \"1 random machines of shop\", lasts: \"2m\"))]";
    let patient = text("disconnect");
    let impatient = patient.replace("max_client_disconnect: \"10m\",", "");
    assert_ne!(patient, impatient);
    for fault in [shutdown, split] {
        let (_, diary) = live_text(&impatient, &[fault, "expect=[]"], 1);
        for (_, life, replacement) in hit(&diary) {
            assert_eq!(
                life.story(),
                [run, (Desired::Stop, ClientStatus::Lost), (Desired::Stop, ClientStatus::Complete),],
                "{fault}"
            );
            assert_eq!(replacement.story(), [run], "{fault}");
            assert!(replacement.placed.since(at(180)) <= Duration::from_secs(32), "TTL and grace");
        }
        let (_, diary) = live_text(&patient, &[fault, "expect=[]"], 1);
        for (_, life, replacement) in hit(&diary) {
            // It is replaced after the group's first reschedule delay, and is there again in the end; then the better
            // of the two goes on.
            let (lasts, stops) = if life.ends() == run { (life, replacement) } else { (replacement, life) };
            let ended = (Desired::Stop, ClientStatus::Complete);
            assert_eq!((lasts.ends(), stops.ends()), (run, ended), "{fault}");
            assert_eq!(life.story()[..2], [run, (Desired::Run, ClientStatus::Unknown)], "{fault}");
            // Tasks that went on are there at once, those of a machine that booted have to start.
            let back = life.story()[2].1;
            let starts = fault == shutdown && back == ClientStatus::Pending;
            assert!(back == ClientStatus::Running || starts, "{fault}: {back:?}");
            assert_eq!(replacement.story()[0], run, "{fault}");
            // Counted from the decision, a commit earlier.
            let waited = replacement.placed.since(life.states[1].0);
            assert!((29..=32).contains(&seconds(waited)), "{fault}: {waited}");
        }
    }
}

/// The shop's allocations on the machine that was struck, with what replaced them.
fn hit(diary: &Diary) -> Vec<(AllocId, &Life, &Life)> {
    let machine = diary.struck[0].1[0];
    let mut out = Vec::new();
    for (id, life) in diary.of("shop").filter(|(_, life)| life.machine == machine && life.placed < at(180)) {
        let replacement = diary.of("shop").find(|(_, other)| other.previous == Some(id));
        out.push((id, life, replacement.expect("it is replaced").1));
    }
    assert!(!out.is_empty());
    out
}

#[test]
fn a_lost_leader_delays_the_replacement_by_the_failover_time_to_live() {
    let (_, both) = live("leader-and-client", &[], 1);
    let client = both.struck[1].1[0];
    let down = |diary: &Diary| diary.down.iter().find(|(_, machine)| *machine == client).expect("it is found out").0;
    let late = down(&both).since(at(120));
    assert!((300..=310).contains(&seconds(late)), "{late}");
    let alone = "timeline=[At(\"2m\", NodeCrash(target: \"1 random machines of shop\"))]";
    let (_, diary) = live("leader-and-client", &[alone, "expect=[]"], 1);
    let soon = diary.down[0].0.since(at(120));
    assert!((10..=31).contains(&seconds(soon)), "{soon}");
}

#[test]
fn bin_packing_uses_fewer_machines_than_spreading() {
    // Machines in use, and work on the fullest, over a few seeds: batch work looks at two machines only.
    let machines = |algorithm: &str| {
        let mut sums = (0, 0);
        for seed in 1..=5 {
            let (_, diary) = live("scoring", &[&format!("scheduler.algorithm={algorithm}")], seed);
            assert_eq!(diary.lives.len(), 24);
            let mut loads: BTreeMap<MachineId, usize> = BTreeMap::new();
            diary.lives.values().for_each(|life| *loads.entry(life.machine).or_default() += 1);
            sums.0 += loads.len();
            sums.1 += loads.values().max().copied().unwrap_or(0);
        }
        sums
    };
    let (packed, spread) = (machines("BinPack"), machines("Spread"));
    assert!(packed.0 < spread.0 && packed.1 > spread.1, "{packed:?} and {spread:?}");
}

#[test]
fn more_workers_reject_more_and_place_everything() {
    let rejected = |workers: u32| {
        let run = |seed| {
            let edits = [format!("scheduler.workers={workers}"), "expect=[]".to_owned()];
            let edits: Vec<&str> = edits.iter().map(String::as_str).collect();
            let (_, diary) = live("plan-conflicts", &edits, seed);
            assert_eq!(diary.lives.len(), 200, "{workers} workers, seed {seed}");
            diary.rejected
        };
        (1..=3).map(run).sum::<u32>()
    };
    let (one, four, sixteen) = (rejected(1), rejected(4), rejected(16));
    assert!(one < sixteen && four < sixteen && one <= four, "{one}, {four} and {sixteen}");
}

#[test]
fn a_single_worker_never_conflicts_with_itself() {
    let edits = ["scheduler.workers=1", "regions[0].nomad=Servers(count: 1)", "expect=[]"];
    let (_, diary) = live("plan-conflicts", &edits, 1);
    assert_eq!((diary.lives.len(), diary.rejected), (200, 0));
}

/// A small world with these jobs, and how their tasks behave.
fn small(jobs: &str, tasks: &str) -> String {
    format!(
        r#"Scenario(
            name: "x", duration: "10m",
            regions: [Region(name: "us-east-1", zones: ["a", "b", "c"], clients: [
                Clients(datacenter: "apps", count: 3, instance: "m5.large"),
            ])],
            jobs: [{jobs}],
            tasks: [{tasks}],
        )"#
    )
}

/// How many of a job's allocations ended, or are, as said.
fn how_many(diary: &Diary, job: &str, client: ClientStatus) -> usize {
    let of = |life: &&Life| life.job == job || life.job.starts_with(&format!("{job}/"));
    diary.lives.values().filter(of).filter(|life| life.ends().1 == client).count()
}

#[test]
fn periodic_work_is_launched_by_the_clock_and_ends() {
    let text = small(
        r#"Inline(Job(name: "tick", kind: Batch, datacenters: ["apps"], periodic: Periodic(cron: "* * * * *"),
            groups: [Group(name: "tick")]))"#,
        r#"Behaviour(job: "tick", runs_for: Deterministic("20s"))"#,
    );
    let (_, diary) = live_text(&text, &[], 1);
    // One at each full minute from the first to the ninth.
    assert_eq!((diary.lives.len(), how_many(&diary, "tick", ClientStatus::Complete)), (9, 9));
    let long = text.replace("\"20s\"", "\"90s\"").replace("\"* * * * *\"", "\"* * * * *\", prohibit_overlap: true");
    let (_, diary) = live_text(&long, &[], 1);
    assert_eq!(diary.lives.len(), 5, "every other launch finds the one before at work");
}

#[test]
fn batch_work_that_fails_is_tried_once_more_and_work_on_every_node_ends() {
    let text = small(
        r#"Inline(Job(name: "crash", kind: Batch, datacenters: ["apps"],
            groups: [Group(name: "crash", restart: Restart(attempts: 0))])),
        Inline(Job(name: "sweep", kind: SysBatch, datacenters: ["apps"], groups: [Group(name: "sweep")])),
        Inline(Job(name: "steps", kind: Batch, datacenters: ["apps"], groups: [Group(name: "steps", tasks: [
            Task(name: "fetch", lifecycle: Lifecycle(hook: Prestart)),
            Task(name: "work"),
            Task(name: "tidy", lifecycle: Lifecycle(hook: Poststop)),
        ])]))"#,
        r#"Behaviour(job: "crash", fails_after: Deterministic("5s")),
        Behaviour(job: "sweep", runs_for: Exponential("10s")),
        Behaviour(task: "work", runs_for: Deterministic("1m"))"#,
    );
    let (_, diary) = live_text(&text, &[], 1);
    assert_eq!(how_many(&diary, "crash", ClientStatus::Failed), 2, "one attempt within a day");
    assert_eq!(how_many(&diary, "sweep", ClientStatus::Complete), 3);
    assert_eq!(how_many(&diary, "steps", ClientStatus::Complete), 1);
    let steps = diary.of("steps").next().expect("it was placed").1;
    assert_eq!(
        steps.tasks.iter().map(|(_, running)| *running).collect::<Vec<_>>(),
        [true, false, true, false, true, false]
    );
}

#[test]
fn devices_and_pools_are_places_that_run_out() {
    let text = small(
        r#"Inline(Job(name: "train", kind: Service, datacenters: ["apps"], groups: [Group(name: "train", count: 8, tasks: [
            Task(name: "train", devices: [DeviceAsk(name: "gpu", constraints: ["${device.attr.memory} >= 20 GiB"])]),
        ])])),
        Inline(Job(name: "apart", kind: Service, datacenters: ["apps"], node_pool: "other", groups: [Group(name: "apart")])),
        Inline(Job(name: "anywhere", kind: Service, datacenters: ["apps"], node_pool: "all",
            groups: [Group(name: "anywhere")]))"#,
        "",
    );
    let edits = [r#"regions[0].clients[0].devices=[
        Device(name: "nvidia/gpu/A100", count: 2, attributes: {"memory": "40 GiB"}),
        Device(name: "nvidia/gpu/T4", count: 4, attributes: {"memory": "16 GiB"}),
    ]"#];
    let (_, diary) = live_text(&text, &edits, 1);
    let running = |job: &str| diary.running(job, at(300));
    assert_eq!(["train", "apart", "anywhere"].map(running), [6, 0, 1], "two large ones on each of three machines");
    let pooled = ["regions[0].clients[0].pool=other"];
    let (_, diary) = live_text(&text, &pooled, 1);
    let running = |job: &str| diary.running(job, at(300));
    assert_eq!(["train", "apart", "anywhere"].map(running), [0, 1, 1]);
}

/// A drain whose marks are on their way while its leader is cut off, and commands that are refused.
#[test]
fn a_drain_outlives_its_leader_and_refusals_are_told() {
    let text = small(
        r#"Inline(Job(name: "web", kind: Service, datacenters: ["apps"], groups: [Group(name: "web", count: 4)]))"#,
        "",
    );
    let edits = [r#"timeline=[
        At("0s", NodeEligibility(target: "us-east-1/apps-1", eligible: false)),
        At("50s", RevertJob(job: "web", version: 99)),
        At("70s", DrainNodes(target: "us-east-1/apps-2", deadline: "1s")),
        At("71s", Partition(from: "nomad leader of us-east-1", lasts: "30s")),
    ]"#];
    for seed in 1..=3 {
        let (_, diary) = live_text(&text, &edits, seed);
        assert_eq!(diary.running("web", at(300)), 4, "seed {seed}");
        let refused = diary.refused;
        assert!((1..=2).contains(&refused), "seed {seed}: the version that never was, and perhaps a node unheard of");
    }
}

#[test]
fn a_purged_job_wants_nothing_any_more() {
    let text = small(
        r#"Inline(Job(name: "crunch", kind: Service, datacenters: ["apps"],
            groups: [Group(name: "crunch", count: 24, cpu: "1500 MHz", memory: "512 MiB")]))"#,
        "",
    );
    let edits = [r#"timeline=[At("3m", StopJob(job: "crunch", purge: true))]"#, "duration=4m"];
    let (_, diary) = live_text(&text, &edits, 1);
    assert!(matches!(diary.queued[..], [some, 0] if some > 0), "{:?}", diary.queued);
}

/// A job that waits for another machine is not told that a drain was taken back, but is told of one made eligible.
#[test]
fn drains_and_eligibility_differ_in_whom_they_wake() {
    let text = small("", "");
    let job = r#"RegisterJob(Inline(Job(name: "web", datacenters: ["apps"], constraints: ["distinct_hosts"],
        groups: [Group(name: "web", count: 3, image: "i:1")])))"#;
    let running = |first: &str, then: &str| {
        let timeline = format!(r#"timeline=[At("1m", {first}), At("2m", {job}), At("3m", {then})]"#);
        let (_, diary) = live_text(&text, &[&timeline, "duration=5m"], 1);
        (diary.running("web", at(290)), diary.refused)
    };
    let target = r#"target: "us-east-1/apps-1""#;
    let drained = format!(r#"DrainNodes({target}, deadline: "30s")"#);
    assert_eq!(running(&drained, &format!("CancelDrain({target})")), (2, 0));
    assert_eq!(running(&drained, &format!("NodeEligibility({target}, eligible: true)")), (3, 0));
    let barred = format!("NodeEligibility({target}, eligible: false)");
    assert_eq!(running(&barred, &format!("NodeEligibility({target}, eligible: true)")), (3, 0));
}
