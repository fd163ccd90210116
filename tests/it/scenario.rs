//! Scenario files, good and bad: every bad one is answered with the findings its first lines name, at a place, without
//! a panic.

use std::path::Path;
use std::path::PathBuf;

use cossim::base::time::Duration;
use cossim::base::units::Ratio;
use cossim::protocol::proxy::registry::ChecksRequired;
use cossim::protocol::proxy::release::Release;
use cossim::scenario;
use cossim::scenario::Loaded;
use cossim::world::spec::Action;
use cossim::world::spec::Among;
use cossim::world::spec::Count;
use cossim::world::spec::MachineRole;
use cossim::world::spec::ProcessKind;
use cossim::world::station::station_config;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn ron_files(folder: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(at(folder)).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "ron")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn shown(loaded: &Loaded) -> String {
    loaded.sources.render(&loaded.findings, false)
}

#[test]
fn every_shipped_scenario_means_something() {
    for file in ron_files("scenarios") {
        let loaded = scenario::load(&file, &[]);
        assert!(loaded.lowered.is_some() && loaded.findings.is_empty(), "{}:\n{}", file.display(), shown(&loaded));
        let name = loaded.lowered.unwrap().world.name;
        assert_eq!(
            Some(&*name),
            file.file_stem().and_then(std::ffi::OsStr::to_str),
            "a scenario is called as its file"
        );
    }
}

#[test]
fn every_bad_file_is_answered() {
    for file in ron_files("tests/bad-input") {
        let loaded = scenario::load(&file, &[]);
        let text = shown(&loaded);
        assert!(loaded.lowered.is_none() && loaded.errors() > 0, "{} is accepted", file.display());
        let written = std::fs::read_to_string(&file).unwrap();
        let expected: Vec<&str> = written.lines().map_while(|line| line.strip_prefix("// expect ")).collect();
        for line in &expected {
            let (code, part) = line.split_once(' ').unwrap_or((line, ""));
            let found =
                loaded.findings.iter().any(|finding| finding.code == code && finding.message.contains(part.trim()));
            assert!(found, "{}: `{line}` is not among\n{text}", file.display());
        }
        let errors = loaded.findings.iter().filter(|finding| finding.severity == scenario::diagnostic::Severity::Error);
        assert_eq!(errors.count(), expected.len().max(1), "{}:\n{text}", file.display());
        for finding in &loaded.findings {
            let place = finding.place.as_ref().expect("what is read has places");
            let origin = loaded.sources.origin(place);
            assert!(loaded.sources.get(origin.source).text.get(origin.span.clone()).is_some(), "{text}");
            assert!(finding.hint.is_some(), "{}: `{}` has no way out", file.display(), finding.message);
        }
    }
}

#[test]
fn az_outage_is_as_large_as_it_says() {
    let world = scenario::load(&at("scenarios/az-outage.ron"), &[]).lowered.unwrap().world;
    let allocations: u64 = world
        .jobs
        .iter()
        .map(|(_, job)| match &*job.job.name {
            "fabio" => world.machines.iter().filter(|(_, machine)| is_edge(machine, &world, job.region)).count() as u64,
            _ => job.job.groups.iter().map(|group| u64::from(group.count)).sum(),
        })
        .sum();
    assert_eq!(allocations, 2_000);
    let first = &world.regions[cossim::model::topology::RegionId(0)];
    assert_eq!((first.nomad.len(), first.consul.len(), first.clients.len(), first.zones.len()), (3, 3, 206, 3));
    let names: Vec<&str> =
        [first.nomad[0], first.consul[2], first.clients[6]].map(|id| &*world.machines[id].name).to_vec();
    assert_eq!(names, ["us-east-1/nomad-1", "us-east-1/consul-3", "us-east-1/private-services-1"]);
}

fn is_edge(
    machine: &cossim::world::spec::MachineSpec,
    world: &cossim::world::spec::WorldSpec,
    region: cossim::model::topology::RegionId,
) -> bool {
    let here = world.zones[machine.zone].region == region;
    here && matches!(&machine.role, MachineRole::Client(node) if &*node.datacenter == "public-services")
}

#[test]
fn a_client_looks_like_a_linux_machine_of_the_cloud() {
    let world = scenario::load(&at("scenarios/node-crash.ron"), &[]).lowered.unwrap().world;
    let region = &world.regions[cossim::model::topology::RegionId(0)];
    let machine = &world.machines[region.clients[4]];
    let MachineRole::Client(node) = &machine.role else { panic!("a client") };
    assert_eq!(&*machine.name, "us-east-1/private-services-2");
    for (key, value) in [
        ("kernel.name", "linux"),
        ("driver.docker", "1"),
        ("cpu.numcores", "2"),
        ("platform.aws.placement.availability-zone", "us-east-1b"),
        ("platform.aws.instance-type", "m5.large"),
        ("unique.hostname", "private-services-2"),
    ] {
        assert_eq!(node.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(node.meta["zone"], "b");
    assert_eq!(
        (node.capacity.cpu.get(), node.drivers.as_slice()),
        (6_200, ["docker".to_owned(), "exec".to_owned()].as_slice())
    );
}

/// Targets as text and what they mean in the leader-crash scenario.
#[test]
fn targets_are_read_as_people_write_them() {
    let file = at("scenarios/leader-crash.ron");
    let read = |target: &str| {
        let edit = format!("timeline[0].target={target}");
        let loaded = scenario::load(&file, &[edit]);
        let text = shown(&loaded);
        let world = loaded.lowered.unwrap_or_else(|| panic!("{target}: {text}")).world;
        let first = world.timeline.ids().next().unwrap();
        match &world.timeline[first].action {
            Action::ProcessKill(target) => target.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(read("leader").among, Among::NomadLeader(_)));
    assert!(matches!(read("leader of us-east-1").among, Among::NomadLeader(_)));
    assert!(matches!(read("consul leader of us-east-1").among, Among::ConsulLeader(_)));
    assert!(matches!(read("us-east-1/nomad-2").among, Among::Machine(_)));
    let followers = read("1 random nomad follower of us-east-1");
    assert!(matches!((followers.among, followers.count), (Among::NomadFollowers(_), Count::Random(1))));
    let clients = read("2 random clients in us-east-1/b");
    assert!(matches!(clients.among, Among::Clients { zone: Some(_), datacenter: None, .. }));
    assert_eq!((clients.count, clients.process), (Count::Random(2), ProcessKind::Main));
    let clients = read("private-services clients in us-east-1/b");
    assert!(matches!(clients.among, Among::Clients { zone: Some(_), datacenter: Some(_), .. }));
    for text in
        ["fabio in us-east-1", "instances of fabio", "a fabio in us-east-1", "all machines of fabio in us-east-1"]
    {
        let target = read(text);
        assert!(matches!(&target.among, Among::JobMachines { job, .. } if &**job == "fabio"), "{text}");
        assert_eq!(target.process, ProcessKind::Tasks("fabio".into()), "{text}");
    }
}

#[test]
fn settings_of_proxies_stations_and_users_come_through() {
    let edits = [
        r#"versions=(fabio: "1.5.10")"#,
        "ingress[0].checks_required=All",
        r#"ingress[0].statuses=["passing", "warning"]"#,
        "ingress[0].no_route_status=503",
        "ingress[0].overrides=route del web",
        "ingress[0].dial_timeout=5s",
        "ingress[0].response_header_timeout=20s",
        "ingress[0].deregister_grace=3s",
        "ingress[0].shutdown_wait=4s",
        r#"services[0].service_time=Hyperexponential(mean: "5ms", scv: 4.0)"#,
        "services[0].queue_timeout=1s",
        "services[0].cancel_propagates=true",
        r#"services[0].warmup=Warmup(factor: 3.0, decay: "10s")"#,
        "traffic[0].retries=2",
        "traffic[0].retry_budget=10%",
    ];
    let loaded = scenario::load(&at("src/cli/starter.ron"), &edits.map(str::to_owned));
    let text = shown(&loaded);
    let world = loaded.lowered.unwrap_or_else(|| panic!("{text}")).world;
    let second = Duration::from_secs(1);
    let (_, ingress) = world.ingress.iter().next().expect("there is one");
    assert_eq!((ingress.release, ingress.checks_required), (Release::V1_5_10, ChecksRequired::All));
    assert_eq!((ingress.statuses.join(","), ingress.no_route_status), ("passing,warning".to_owned(), 503));
    assert_eq!(&*ingress.overrides, "route del web");
    assert_eq!((ingress.dial_timeout, ingress.response_header_timeout), (second * 5, Some(second * 20)));
    assert_eq!((ingress.deregister_grace, ingress.shutdown_wait), (second * 3, second * 4));
    let station = station_config(Some(&world.services[0]));
    assert_eq!((station.queue_timeout, station.cancels), (Some(second), true));
    assert_eq!(station.warmup.map(|warmup| warmup.decay), Some(second * 10));
    assert_eq!((station.service_time.mean(), station.service_time.scv()), (Duration::from_millis(5), 4.0));
    let (_, traffic) = world.traffic.iter().next().expect("there is one");
    assert_eq!(traffic.retry_budget, Ratio::new(0.1));
}

/// What a target or a scaling asks for has to be there.
#[test]
fn more_machines_than_there_are_and_a_scaled_system_job_are_refused() {
    let file = at("scenarios/leader-crash.ron");
    for (edit, message, way_out) in [
        ("timeline[0].target=99 random clients in us-east-1/b", "99 are wanted, but there are 9", "write `9` or `all`"),
        ("timeline[0].target=4 nomad servers of us-east-1", "4 are wanted, but there are 3", "write `3` or `all`"),
        (
            "timeline=[At(\"1m\", ScaleJob(job: \"fabio\", count: 3))]",
            "job `fabio` is a system job: it runs on every node and cannot be scaled",
            "change the number of client nodes instead",
        ),
    ] {
        let loaded = scenario::load(&file, &[edit.to_owned()]);
        let text = shown(&loaded);
        assert!(loaded.lowered.is_none() && text.contains(message) && text.contains(way_out), "{edit}: {text}");
    }
}

#[test]
fn mistakes_come_with_a_way_out() {
    let file = at("scenarios/leader-crash.ron");
    let timeline = |action: &str| format!("timeline=[At(\"1m\", {action})]");
    for (edit, place, message, way_out) in [
        ("ingress[0].statuses=[]".to_owned(), "[]", "no instance would ever get a request", "as `[\"passing\"]`"),
        (
            timeline("Partition(from: \"us-east-1/a\", to: \"us-east-1/a\")"),
            "\"us-east-1/a\"",
            "both sides are the same",
            "name another side, or leave `to` out",
        ),
        (
            timeline("LinkDegrade(from: \"us-east-1/a\", bandwidth: \"0.4 kbit/s\")"),
            "\"0.4 kbit/s\"",
            "must be at least 1 kbit/s",
            "a link that nothing passes is a `Partition`",
        ),
        (
            "instances=[Instance(name: \"x\", cores: 1, clock: \"2 GHz\", memory: \"1 GiB\", bandwidth: \"0 Mbit/s\")]"
                .to_owned(),
            "\"0 Mbit/s\"",
            "must be at least 1 Mbit/s",
            "Nomad counts whole megabits",
        ),
        ("scheduler.garbage.interval=1ns".to_owned(), "1ns", "must be at least 10 ms", "leave it out for 300 s"),
        (
            "expect[0]=raft.elections total < 1 0".to_owned(),
            "raft.elections total < 1 0",
            "`0` is not understood after the bound",
            "what can follow is",
        ),
        (
            timeline("DispatchJob(job: \"frontend\", payload: \"17 KiB\")"),
            "\"17 KiB\"",
            "a payload has at most 16 KiB",
            "give it `16 KiB` or less",
        ),
        (
            timeline("SlowCpu(target: \"clients\", factor: 1e300)"),
            "1e300",
            "1e300 is not within 1..=1000000",
            "write a number from 1 to 1000000",
        ),
        (
            timeline("NodeCrash(target: \"clients\", lasts: \"0s\")"),
            "\"0s\"",
            "must be longer than zero",
            "write a time such as `1s`",
        ),
        (
            timeline("NodeCrash(target: \"clients\", lasts: \"9999d\")"),
            "\"9999d\"",
            "`9999d` is more than ten years",
            "write ten years or less",
        ),
        (
            timeline("DrainNodes(target: \"clients\", no_deadline: true, force: true)"),
            "At(\"1m\", DrainNodes(target: \"clients\", no_deadline: true, force: true))",
            "a drain has a `deadline`, or `no_deadline`, or is by `force`",
            "leave all but one of these out",
        ),
        (
            timeline("ForcePeriodic(job: \"frontend\")"),
            "\"frontend\"",
            "job `frontend` is not periodic",
            "give it `periodic`",
        ),
        (
            timeline("DispatchJob(job: \"frontend\")"),
            "\"frontend\"",
            "job `frontend` is not parameterized",
            "give it `parameterized`",
        ),
        (
            timeline("SetHealth(job: \"frontend\", healthy: [0, 1], unhealthy: [2, 1])"),
            "1",
            "allocation 1 is said to be both healthy and unhealthy",
            "leave it out of one of the two lists",
        ),
    ] {
        let loaded = scenario::load(&file, std::slice::from_ref(&edit));
        let found = loaded.findings.iter().find(|finding| finding.message == message);
        let found = found.unwrap_or_else(|| panic!("{edit}: {}", shown(&loaded)));
        let origin = loaded.sources.origin(found.place.as_ref().expect("it stands somewhere"));
        assert_eq!(&loaded.sources.get(origin.source).text[origin.span.clone()], place, "{edit}");
        assert!(found.hint.as_ref().is_some_and(|hint| hint.contains(way_out)), "{edit}: {}", shown(&loaded));
    }
}

#[test]
fn an_expectation_that_always_holds_is_warned_of() {
    let file = at("scenarios/leader-crash.ron");
    for (expected, way_out) in [
        ("placement.queued >= 0", "its values are 0 or more"),
        ("request.success_ratio{traffic=users} <= 100% if exercised", "its values are from 0% to 100%"),
    ] {
        let loaded = scenario::load(&file, &[format!("expect[0]={expected}")]);
        let [found] = &loaded.findings[..] else { panic!("{}", shown(&loaded)) };
        assert!(loaded.lowered.is_some() && found.code == "W011", "{}", shown(&loaded));
        assert!(found.hint.as_ref().is_some_and(|hint| hint.contains(way_out)), "{}", shown(&loaded));
    }
    // It fails if there was no fault.
    let loaded = scenario::load(&file, &["expect[0]=failover.replace >= 0s".to_owned()]);
    assert!(loaded.findings.is_empty(), "{}", shown(&loaded));
}

#[test]
fn overrides_that_fabio_refuses_are_warned_of() {
    let load = |text: &str| scenario::load(&at("src/cli/starter.ron"), &[format!("ingress[0].overrides={text}")]);
    let loaded = load("\"# by hand\\nroute wieght web / weight 0.1\"");
    assert!(loaded.lowered.is_some(), "{}", shown(&loaded));
    let [found] = &loaded.findings[..] else { panic!("{}", shown(&loaded)) };
    let message = "fabio takes no routes at all with line 2 of these: 'route' expected";
    assert_eq!((found.code, &*found.message), ("W009", message));
    let origin = loaded.sources.origin(found.place.as_ref().expect("it stands somewhere"));
    let text = &loaded.sources.get(origin.source).text[origin.span.clone()];
    assert_eq!(text, "route wieght web / weight 0.1", "{}", shown(&loaded));
    let loaded = load("route weight web / weight 0.1");
    assert!(loaded.findings.is_empty(), "{}", shown(&loaded));
    let loaded = load("\"route add other /x ://x\"");
    let [found] = &loaded.findings[..] else { panic!("{}", shown(&loaded)) };
    assert!(found.message.ends_with("missing protocol scheme"), "{}", shown(&loaded));
}

#[test]
fn weights_of_what_some_job_registers_are_fine() {
    let load = |edits: &[&str]| {
        let overrides = "ingress[0].overrides=\"route weight late / weight 0.1\"";
        let edits: Vec<String> =
            ["versions.fabio=\"1.5.10\"", overrides].iter().chain(edits).map(ToString::to_string).collect();
        scenario::load(&at("src/cli/starter.ron"), &edits)
    };
    let loaded = load(&[]);
    let [found] = &loaded.findings[..] else { panic!("{}", shown(&loaded)) };
    assert!(found.code == "W009" && found.message.ends_with("no target match"), "{}", shown(&loaded));
    let entry = |tag: &str| {
        let service = format!("GroupService(name: \"late\", port: \"http\", tags: [\"{tag}\"])");
        let group = format!("Group(name: \"late\", image: \"late:1\", ports: {{\"http\": 0}}, services: [{service}])");
        let job = format!("Job(name: \"late\", datacenters: [\"apps\"], groups: [{group}])");
        format!("At(\"90s\", RegisterJob(Inline({job})))")
    };
    let plan = |tag: &str| {
        format!(
            "plan=Plan(vary: [JobCount(job: \"web\", from: 2, to: 4)], under: [Timeline(name: \"late\", entries: [{}])])",
            entry(tag)
        )
    };
    for (edit, fine) in [
        (format!("timeline=[{}]", entry("urlprefix-/")), true),
        (format!("timeline=[{}]", entry("urlprefix-/x")), false),
        // Which routes a case brings is known when it is built.
        (plan("urlprefix-/"), true),
    ] {
        let loaded = load(&[&edit]);
        assert!(loaded.lowered.is_some(), "{}", shown(&loaded));
        assert_eq!(loaded.findings.iter().all(|found| found.code != "W009"), fine, "{edit}: {}", shown(&loaded));
    }
}

#[test]
fn killed_tasks_do_not_stay_down() {
    let load = |fault: &str| {
        let edit = format!("timeline=[At(\"3m\", {fault})]");
        scenario::load(&at("scenarios/leader-crash.ron"), &[edit])
    };
    for target in
        ["target: \"frontend in us-east-1\"", "target: \"clients in us-east-1\", process: Tasks(\"frontend\")"]
    {
        let loaded = load(&format!("ProcessKill({target}, lasts: \"7s\")"));
        let [found] = &loaded.findings[..] else { panic!("{}", shown(&loaded)) };
        let origin = loaded.sources.origin(found.place.as_ref().expect("it stands somewhere"));
        let written = &loaded.sources.get(origin.source).text[origin.span.clone()];
        assert_eq!((found.code, written), ("W010", "\"7s\""), "{}", shown(&loaded));
        for fine in [format!("ProcessKill({target})"), format!("ProcessPause({target}, lasts: \"7s\")")] {
            let loaded = load(&fine);
            assert!(loaded.findings.is_empty(), "{}", shown(&loaded));
        }
    }
}

#[test]
fn what_is_no_text_is_refused() {
    let folder = std::env::temp_dir().join(format!("cossim-it-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (folder.clone(), "it is a directory"),
        (folder.join("missing.ron"), "there is no such file"),
        (write("binary.ron", b"Scenario(\xff\xfe)"), "it is not UTF-8 text (byte 9)"),
        (write("huge.ron", &vec![b' '; 5 << 20]), "more than 4194304"),
        (write("deep.ron", "(".repeat(100_000).as_bytes()), "E002"),
        (write("deeper.ron", format!("Scenario(name: {}", "[".repeat(1_000_000)).as_bytes()), "E002"),
    ];
    for (path, part) in cases {
        let loaded = scenario::load(&path, &[]);
        let text = shown(&loaded);
        assert!(loaded.lowered.is_none() && text.contains(part), "{text}");
        assert!(text.len() < 2_000, "findings stay short");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

struct NoFiles;

impl scenario::lower::Files for NoFiles {
    fn read(&self, _: &str) -> Result<(String, String), String> {
        Err("no files here".to_owned())
    }
}

/// A cheap stand-in for fuzzing: every prefix of a good file, and every file with one character left out, is answered.
#[test]
fn damaged_files_are_answered() {
    let text = std::fs::read_to_string(at("scenarios/reference-cos.ron")).unwrap();
    let folder = at("scenarios");
    let path = folder.join("damaged.ron").display().to_string();
    for cut in (0..text.len()).step_by(7) {
        for damaged in [text[..cut].to_owned(), format!("{}{}", &text[..cut], &text[cut + 1..])] {
            let loaded = scenario::load_text(&path, &damaged, &[], &NoFiles);
            let shown = loaded.sources.render(&loaded.findings, false);
            assert!(loaded.lowered.is_some() || !shown.is_empty());
        }
    }
}
