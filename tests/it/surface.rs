//! What can be written about jobs, operators and the scheduler, and what it comes to.

use std::sync::Arc;

use cossim::base::time::Duration;
use cossim::model::job::Job;
use cossim::protocol::scheduler::release::Algorithm;
use cossim::protocol::scheduler::release::SpreadLimit;
use cossim::scenario;
use cossim::scenario::Loaded;
use cossim::world::spec::Action;
use cossim::world::spec::NodeDeed;
use cossim::world::spec::Order;
use cossim::world::spec::WorldSpec;

const JOB_FILE: &str = r#"
job "shop" {
  datacenters = ["dc1"]
  priority    = 70
  meta { owner = "me" }

  group "web" {
    count = 3

    network {
      port "http" {}
    }
    constraint {
      attribute = "${attr.kernel.name}"
      value     = "linux"
    }
    affinity {
      attribute = "${meta.zone}"
      value     = "a"
      weight    = -20
    }
    spread {
      attribute = "${meta.zone}"
      target "a" { percent = 50 }
    }
    ephemeral_disk {
      size   = 500
      sticky = true
    }
    volume "data" {
      type      = "host"
      source    = "data"
      read_only = true
    }
    update {
      max_parallel = 2
      canary       = 1
      auto_promote = true
      auto_revert  = true
      health_check = "task_states"
    }
    migrate {
      max_parallel = 2
    }
    reschedule {
      attempts       = 3
      unlimited      = false
      interval       = "1h"
      delay          = "10s"
      delay_function = "fibonacci"
      max_delay      = "5m"
    }
    restart {
      attempts = 1
      interval = "10m"
      mode     = "delay"
    }
    shutdown_delay        = "5s"
    max_client_disconnect = "1h"

    service {
      name = "shop"
      port = "http"
      tags = ["urlprefix-/"]
    }

    task "fetch" {
      driver = "exec"
      lifecycle {
        hook = "prestart"
      }
    }
    task "server" {
      driver       = "docker"
      leader       = true
      kill_timeout = "10s"
      config {
        image = "shop:1"
      }
      resources {
        cpu        = 250
        memory     = 128
        memory_max = 256
      }
    }
  }
}
"#;

const INLINE: &str = r#"Inline(Job(
    name: "shop", datacenters: ["dc1"], priority: 70, meta: {"owner": "me"},
    groups: [Group(
        name: "web", count: 3, ports: {"http": 0},
        constraints: ["${attr.kernel.name} = linux"],
        affinities: [Affinity(rule: "${meta.zone} = a", weight: -20)],
        spreads: [Spread(attribute: "${meta.zone}", targets: {"a": 50})],
        disk: "500 MiB", sticky_disk: true, host_volumes: ["ro:data"],
        update: Update(max_parallel: 2, canary: 1, auto_promote: true, auto_revert: true, health_check: TaskStates),
        migrate: Migrate(max_parallel: 2),
        reschedule: Reschedule(attempts: 3, interval: "1h", delay: "10s", delay_function: Fibonacci, max_delay: "5m", unlimited: false),
        restart: Restart(attempts: 1, interval: "10m", mode: Delay),
        shutdown_delay: "5s", max_client_disconnect: "1h",
        services: [GroupService(name: "shop", port: "http", tags: ["urlprefix-/"])],
        tasks: [
            Task(name: "fetch", driver: "exec", lifecycle: Lifecycle(hook: Prestart)),
            Task(
                name: "server", leader: true, kill_timeout: "10s", image: "shop:1",
                cpu: "250 MHz", memory: "128 MiB", memory_max: "256 MiB",
            ),
        ],
    )],
))"#;

struct JobFile;

impl scenario::lower::Files for JobFile {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Ok((path.to_owned(), JOB_FILE.to_owned()))
    }
}

fn load(jobs: &str, rest: &str) -> Loaded {
    let text = format!(
        r#"Scenario(
            name: "x", duration: "10m",
            regions: [Region(name: "us-east-1", zones: ["a", "b"], clients: [
                Clients(datacenter: "dc1", count: 2, instance: "m5.large", host_volumes: ["data"]),
            ])],
            jobs: [{jobs}],
            {rest}
        )"#
    );
    scenario::load_text("x.ron", &text, &[], &JobFile)
}

fn world(jobs: &str, rest: &str) -> WorldSpec {
    let loaded = load(jobs, rest);
    let shown = loaded.sources.render(&loaded.findings, false);
    loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world
}

fn only_job(world: &WorldSpec) -> Arc<Job> {
    assert_eq!(world.jobs.len(), 1);
    world.jobs.as_slice()[0].job.clone()
}

#[test]
fn a_job_is_the_same_in_a_file_and_in_the_scenario() {
    let (file, inline) = (only_job(&world("File(\"j\")", "")), only_job(&world(INLINE, "")));
    assert_eq!(file, inline);
}

#[test]
fn the_scheduler_is_configured() {
    let world = world(
        INLINE,
        r#"versions: (nomad: "1.3.2"),
        scheduler: Scheduler(
            workers: 4, algorithm: Spread, preemption: Preemption(service: true, system: Some(false)),
            spread_candidates: AtMost(7), plan_checkers: 3, nack_timeout: "90s", delivery_limit: 5,
            plan_rejections: PlanRejections(threshold: 15), garbage: Garbage(eval: "10m"),
            cost: Cost(evaluation: "2ms", plan_node: "1ms"),
        ),"#,
    );
    let options = &world.options;
    let scheduler = &options.scheduler;
    assert_eq!((options.workers, options.plan_checkers, options.delivery_limit), (Some(4), Some(3), 5));
    assert_eq!(scheduler.algorithm, Algorithm::Spread);
    assert!(scheduler.preempt_service && !scheduler.preempt_batch && !scheduler.preempt_system);
    assert_eq!(scheduler.behaviour.spread_limit, SpreadLimit::AtMost(7));
    assert!(scheduler.behaviour.plan_rejections_tracked && !scheduler.behaviour.ready_after_reports, "it is 1.3.2");
    let rejections = options.plan_rejections.expect("they are counted");
    assert_eq!((rejections.threshold, rejections.window), (15, Duration::from_mins(5)));
    assert_eq!((options.garbage.eval, options.garbage.job), (Duration::from_mins(10), Duration::from_hours(4)));
    assert_eq!(options.nack_timeout, Duration::from_secs(90));
    assert_eq!(options.costs.step, Duration::from_millis(2));
    assert_eq!((options.costs.plan_node, options.costs.plan), (Duration::from_millis(1), Duration::from_micros(50)));
}

#[test]
fn operators_are_understood() {
    let world = world(
        INLINE,
        r#"timeline: [
            At("3m", UpdateImage(job: "shop", image: "shop:3", task: "server")),
            At("1m", UpdateImage(job: "shop", image: "shop:2")),
            At("4m", RevertJob(job: "shop", version: 0)),
            At("4m", PromoteDeployment(job: "shop", groups: ["web"])),
            At("5m", DrainNodes(target: "1 random client")),
            At("5m", DrainNodes(target: "clients", force: true, ignore_system_jobs: true)),
            At("5m", DrainNodes(target: "us-east-1/dc1-1", no_deadline: true)),
            At("6m", CancelDrain(target: "clients", keep_ineligible: true)),
            At("7m", StopJob(job: "shop", purge: true)),
            At("8m", CollectGarbage()),
        ],"#,
    );
    let entries = world.timeline.as_slice();
    let labels: Vec<&str> = entries.iter().map(|entry| &*entry.label).collect();
    assert_eq!(
        labels,
        [
            "update shop to shop:3",
            "update shop to shop:2",
            "revert shop to version 0",
            "promote shop",
            "drain 1 random client",
            "drain clients",
            "drain us-east-1/dc1-1",
            "cancel-drain clients",
            "stop shop",
            "collect garbage",
        ]
    );
    let image = |entry: usize| match &entries[entry].action {
        Action::RegisterJob { job, .. } => job.groups[0].tasks[1].config.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(image(0), "config{image=\"shop:3\";}");
    assert_eq!(image(1), "config{image=\"shop:2\";}");
    assert!(matches!(&entries[2].action, Action::Order { order: Order::RevertJob { version: Some(0), .. }, .. }));
    let deed = |entry: usize| match &entries[entry].action {
        Action::Nodes { deed, .. } => *deed,
        other => panic!("{other:?}"),
    };
    let hour = Some(Duration::from_hours(1));
    assert_eq!(deed(4), NodeDeed::Drain { deadline: hour, ignore_system_jobs: false });
    assert_eq!(deed(5), NodeDeed::Drain { deadline: Some(Duration::ZERO), ignore_system_jobs: true });
    assert_eq!(deed(6), NodeDeed::Drain { deadline: None, ignore_system_jobs: false });
    assert_eq!(deed(7), NodeDeed::CancelDrain { mark_eligible: false });
    assert!(matches!(&entries[8].action, Action::StopJob { purge: true, .. }));
}

/// Nomad takes these jobs, so they are no mistakes; but their work waits, and it is said why.
#[test]
fn what_will_wait_is_said_with_the_reason() {
    for (group, reason) in [
        ("constraints: [\"${attr.kernel.name} = plan9\"]", "satisfies `${attr.kernel.name} = plan9`"),
        ("driver: \"java\"", "has the driver `java`"),
        ("host_volumes: [\"disks\"]", "has the host volume `disks`"),
        ("count: 3, ports: {\"http\": 80}", "3 instances for 2 machines, and port 80 is free once on each"),
        ("count: 3, constraints: [\"distinct_hosts\"]", "3 instances for 2 machines, and each has to be on its own"),
        ("memory: \"48 GiB\"", "asks for more memory than any machine of `us-east-1` that it may use has"),
        ("cpu: \"90 GHz\"", "asks for more cpu than any machine"),
        ("disk: \"1 TiB\"", "asks for more disk than any machine"),
    ] {
        let job = format!("Inline(Job(name: \"j\", datacenters: [\"dc1\"], groups: [Group(name: \"g\", {group})]))");
        let loaded = load(&job, "");
        assert!(loaded.lowered.is_some(), "{group}");
        let found: Vec<_> = loaded.findings.iter().filter(|finding| finding.code == "W006").collect();
        assert!(found.len() == 1 && found[0].message.contains(reason), "{group}: {found:?}");
        assert!(found[0].place.is_some());
    }
    assert!(load(INLINE, "").findings.is_empty());
    let loaded = load("Inline(Job(name: \"j\", datacenters: [\"dc2\"], groups: [Group(name: \"g\")]))", "");
    let codes: Vec<&str> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert!(loaded.lowered.is_some() && codes == ["W006"], "{codes:?}");
}

/// Every entry of the timeline is in the documentation with its fields, in brackets if they may be left out.
#[test]
fn every_timeline_entry_is_documented() {
    let ended = crate::cli::cossim(&["list", "timeline", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut expected: Vec<(String, Vec<String>)> = Vec::new();
    for action in listed.as_array().unwrap() {
        let (required, name) = (names(&action["required"]), action["action"].as_str().unwrap().to_owned());
        let mut fields: Vec<String> = names(&action["fields"])
            .into_iter()
            .map(|field| if required.contains(&field) { field } else { format!("[{field}]") })
            .collect();
        fields.sort();
        expected.push((name, fields));
    }
    expected.sort();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scenario.md")).unwrap();
    let timeline = page.split("## Timeline").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let code = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut documented: Vec<(String, Vec<String>)> = Vec::new();
    for row in timeline.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        if let [name, fields, _] = cells[..]
            && let [name] = &code(name)[..]
        {
            let mut fields = code(fields);
            fields.sort();
            documented.push((name.clone(), fields));
        }
    }
    documented.sort();
    assert_eq!(documented, expected);
}

#[test]
fn allocations_are_stopped_and_judged_by_name_and_evaluations_get_priorities() {
    let world = world(
        INLINE,
        r#"timeline: [
            At("1m", StopAlloc(job: "shop", index: 2)),
            At("2m", SetHealth(job: "shop", group: "web", healthy: [0, 1], unhealthy: [2])),
            At("3m", EvalPriority(priority: 90, of: UpdateImage(job: "shop", image: "shop:2"))),
            At("4m", EvalPriority(priority: 10, of: StopJob(job: "shop"))),
            At("5m", EvalPriority(priority: 10, of: RegisterJob(Inline(Job(
                name: "more", datacenters: ["dc1"], groups: [Group(name: "g")],
            ))))),
        ],"#,
    );
    let entries = world.timeline.as_slice();
    let labels: Vec<&str> = entries.iter().map(|entry| &*entry.label).collect();
    let expected = [
        "stop shop.web[2]",
        "set health of shop",
        "update shop to shop:2 at priority 90",
        "stop shop at priority 10",
        "register more at priority 10",
    ];
    assert_eq!(labels, expected);
    let priorities: Vec<Option<u8>> = entries.iter().map(|entry| entry.eval_priority).collect();
    assert_eq!(priorities, [None, None, Some(90), Some(10), Some(10)]);
    for (entry, reason) in [
        ("StopAlloc(job: \"shop\", group: \"wbe\", index: 0)", "there is no group `wbe`"),
        ("SetHealth(job: \"shop\")", "says nothing of any allocation"),
        ("SetHealth(job: \"shop\", healthy: [1], unhealthy: [1])", "both healthy and unhealthy"),
        ("EvalPriority(priority: 0, of: StopJob(job: \"shop\"))", "0 is not within 1..=100"),
        ("EvalPriority(priority: 9, of: CollectGarbage())", "this has no evaluation of its own"),
        ("EvalPriority(priority: 9, of: StopJob(job: \"shp\"))", "there is no job `shp`"),
    ] {
        let loaded = load(INLINE, &format!("timeline: [At(\"1m\", {entry})],"));
        assert!(loaded.errors() == 1 && loaded.findings[0].message.contains(reason), "{entry}: {:?}", loaded.findings);
        assert!(loaded.findings[0].place.is_some());
    }
}

/// Stopped by name, its allocation is replaced; what is refused is told with the reason.
#[test]
fn what_operators_ask_for_happens_or_is_told_to_be_refused() {
    let loaded = load(
        "Inline(Job(name: \"shop\", datacenters: [\"dc1\"], groups: [Group(name: \"web\", count: 2)]))",
        r#"seeds: 1, timeline: [
            At("1m", StopAlloc(job: "shop", index: 1)),
            At("2m", PromoteDeployment(job: "shop")),
            At("3m", EvalPriority(priority: 90, of: StopJob(job: "shop"))),
            At("4m", StopAlloc(job: "shop", index: 1)),
        ],"#,
    );
    let mut world = loaded.lowered.expect("it is fine").world;
    world.duration = Duration::from_mins(5);
    let progress = cossim::analysis::run::Progress::default();
    let shared = cossim::analysis::run::Shared::default();
    let run = cossim::analysis::run::run(&Arc::new(world), &[], 1, &shared, &progress).unwrap();
    let names: Vec<String> = run.placements.iter().map(cossim::measure::placement::Placement::name).collect();
    assert_eq!(names, ["shop.web[0]", "shop.web[1]", "shop.web[1]"]);
    let refused: Vec<(&str, String, u64)> =
        run.refusals.iter().map(|refused| (&*refused.command, refused.reason.to_string(), refused.count)).collect();
    assert_eq!(
        refused,
        [
            ("promote shop", "deployment is terminal".to_owned(), 1),
            ("stop shop.web[1]", "alloc not found".to_owned(), 1),
        ]
    );
}

#[test]
fn jitter_of_a_link_is_a_time() {
    let links = "network: Links(same_zone: Link(delay: \"100us\", jitter: \"22us\")),";
    let sigma = world(INLINE, links).network.same_zone.jitter_sigma;
    assert!((sigma - 0.19885).abs() < 1e-4, "{sigma}");
    let loaded = load(INLINE, &links.replace("22us", "2s"));
    assert!(loaded.errors() == 1 && loaded.findings[0].message.contains("more than 19 times"), "{:?}", loaded.findings);
    assert!(load(INLINE, "versions: (nomad: \"1.6.99\"),").findings[0].hint.as_ref().unwrap().contains("1.6.15"));
}
