//! Consul agents that die under what stands beside them: proxies, Nomad clients and what those have registered.

use std::path::Path;
use std::sync::Arc;

use cossim::base::time::{Duration, Time};
use cossim::model::topology::RegionId;
use cossim::protocol::catalog::health::{HealthFilter, instances};
use cossim::protocol::catalog::registry::State;
use cossim::scenario;
use cossim::world::event::{Event, Notice, RoutedInstance};
use cossim::world::process::Process;
use cossim::world::run::{Witness, World};
use cossim::world::spec::MachineId;

/// What the tables of the proxies hold, and when proxies ended.
#[derive(Default)]
struct Diary {
    routed: Vec<(MachineId, RoutedInstance)>,
    exits: Vec<Time>,
}

impl Witness for Diary {
    fn notice(&mut self, _: Time, notice: &Notice) {
        if let Notice::TableSwapped { proxy, gained, lost } = notice {
            self.routed.retain(|(at, target)| at != proxy || !lost.contains(target));
            self.routed.extend(gained.iter().map(|target| (*proxy, *target)));
        }
    }

    fn event(&mut self, at: Time, _: cossim::base::id::ProcessId, event: &Event) {
        if let Event::Proxy { event: cossim::protocol::proxy::fabio::FabioEvent::Exited, .. } = event {
            self.exits.push(at);
        }
    }
}

impl Diary {
    /// How many targets each proxy has.
    fn targets(&self) -> Vec<usize> {
        let mut proxies: Vec<MachineId> = self.routed.iter().map(|(proxy, _)| *proxy).collect();
        proxies.sort_unstable();
        proxies.dedup();
        proxies.iter().map(|proxy| self.routed.iter().filter(|(at, _)| at == proxy).count()).collect()
    }
}

/// The starter scenario with this timeline and little traffic, told up to an instant.
fn live(timeline: &str, edits: &[&str], seconds: u64) -> (World, Diary) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let mut all = vec![format!("timeline=[{timeline}]")];
    all.extend(
        ["duration=10m", "expect=[]", "traffic[0].rate=1/s"]
            .into_iter()
            .chain(edits.iter().copied())
            .map(str::to_owned),
    );
    let loaded = scenario::load(&path, &all);
    let shown = loaded.sources.render(&loaded.findings, false);
    let spec = Arc::new(loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world);
    let (mut world, mut diary) = (World::new(&spec, 1), Diary::default());
    world.advance(at(seconds), &mut diary).expect("virtual time does not stand still");
    (world, diary)
}

fn at(second: u64) -> Time {
    Time::ZERO + Duration::from_secs(second)
}

/// What the last of the first region's Consul servers has in its catalog.
fn catalog(world: &World) -> &State {
    let atlas = world.atlas();
    let server = *atlas.spec.regions[RegionId(0)].consul.last().expect("there are Consul servers");
    match world.engine().process(atlas.processes[server].main) {
        Process::ConsulServer(server) => server.state(),
        _ => unreachable!("a Consul server's main process is the server"),
    }
}

#[test]
fn what_an_agent_missed_is_told_it_when_it_is_back() {
    // The job is registered while no agent of its machines is there, and shrinks while none is.
    let (world, diary) = live(
        r#"At("20s", ProcessKill(target: "all clients in us-east-1/apps", process: ConsulAgent, lasts: "30s")),
           At("120s", ProcessKill(target: "all clients in us-east-1/apps", process: ConsulAgent, lasts: "30s")),
           At("125s", ScaleJob(job: "web", count: 4))"#,
        &[],
        110,
    );
    assert_eq!(instances(catalog(&world), "web", HealthFilter::Any).len(), 9);
    assert_eq!(diary.targets(), [9, 9, 9]);
    let (mut world, mut diary) = (world, diary);
    world.advance(at(185), &mut diary).expect("virtual time does not stand still");
    assert_eq!(instances(catalog(&world), "web", HealthFilter::Any).len(), 4);
    assert_eq!(diary.targets(), [4, 4, 4]);
}

#[test]
fn a_proxy_outlives_its_agent_and_hears_of_changes_again() {
    let (_, diary) = live(
        r#"At("90s", ProcessKill(target: "1 random client in us-east-1/edge", process: ConsulAgent, lasts: "10s")),
           At("120s", ScaleJob(job: "web", count: 4))"#,
        &[],
        140,
    );
    assert_eq!(diary.targets(), [4, 4, 4]);
    assert!(diary.exits.is_empty());
}

#[test]
fn a_proxy_that_starts_without_an_agent_gives_up_and_is_started_again() {
    let (world, diary) = live(
        r#"At("90s", ProcessKill(target: "all clients in us-east-1/edge", process: ConsulAgent, lasts: "50s")),
           At("95s", ProcessKill(target: "all clients in us-east-1/edge", process: Tasks("fabio")))"#,
        &[],
        120,
    );
    // Restarted after fifteen seconds at least, and given up ten seconds later.
    assert_eq!(diary.targets(), [0; 0]);
    let (mut world, mut diary) = (world, diary);
    world.advance(at(175), &mut diary).expect("virtual time does not stand still");
    assert_eq!(diary.exits.len(), 3);
    assert!(diary.exits.iter().all(|exit| at(120) <= *exit && *exit <= at(126)), "{:?}", diary.exits);
    assert_eq!(diary.targets(), [9, 9, 9], "the one after finds its agent");
}

#[test]
fn a_proxy_that_is_stopped_says_farewell() {
    let (world, diary) = live(r#"At("90s", StopJob(job: "fabio"))"#, &["ingress[0].shutdown_wait=2s"], 89);
    assert_eq!(instances(catalog(&world), "fabio", HealthFilter::Any).len(), 3);
    let (mut world, mut diary) = (world, diary);
    world.advance(at(95), &mut diary).expect("virtual time does not stand still");
    assert_eq!(instances(catalog(&world), "fabio", HealthFilter::Any).len(), 0);
    assert_eq!((diary.exits.len(), diary.targets().len()), (3, 0));
}
