//! A world whose routine is counted against the same world that carries all of it out.

use std::path::Path;
use std::sync::Arc;

use cossim::base::time::Time;
use cossim::model::topology::RegionId;
use cossim::protocol::catalog::registry::State;
use cossim::scenario;
use cossim::world::event::Notice;
use cossim::world::process::Process;
use cossim::world::routine::Routine;
use cossim::world::run::{Witness, World};
use cossim::world::spec::WorldSpec;

/// Everything that can befall checks and members.
const FAULTS: &str = r#"timeline=[
    At("60s", ProcessKill(target: "1 random web")),
    At("80s", ProcessKill(target: "1 random client in us-east-1/apps", process: ConsulAgent, lasts: "40s")),
    At("130s", ProcessPause(target: "2 random web", lasts: "25s")),
    At("170s", NodeCrash(target: "1 random client in us-east-1/apps", lasts: "60s")),
    At("250s", ProcessPause(target: "1 random client in us-east-1/edge", process: ConsulAgent, lasts: "30s")),
    At("300s", Partition(from: "us-east-1/b", lasts: "40s")),
    At("360s", LinkDegrade(from: "us-east-1/c", to: "us-east-1", delay: "20ms", lasts: "20s")),
    At("400s", ScaleJob(job: "web", count: 4)),
    At("420s", ProcessRestart(target: "1 random consul follower")),
]"#;

/// The starter scenario with these faults over a network whose delays are always the same, so that nothing but what is
/// counted tells the runs apart.
fn spec() -> Arc<WorldSpec> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let edits = ["duration=8m".to_owned(), "expect=[]".to_owned(), FAULTS.to_owned()];
    let loaded = scenario::load(&path, &edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    let mut world = loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world;
    let network = &mut world.network;
    for link in [&mut network.same_host, &mut network.same_zone, &mut network.same_region, &mut network.internet] {
        link.jitter_sigma = 0.0;
    }
    Arc::new(world)
}

#[derive(Default)]
struct Diary(Vec<(Time, String)>);

impl Witness for Diary {
    fn notice(&mut self, at: Time, notice: &Notice) {
        self.0.push((at, format!("{notice:?}")));
    }
}

fn live(spec: &Arc<WorldSpec>, seed: u64, routine: Routine) -> (World, Diary) {
    let mut world = World::with(spec, seed, routine);
    let mut diary = Diary::default();
    world.advance(Time::ZERO + spec.duration, &mut diary).expect("virtual time does not stand still");
    (world, diary)
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

/// Runs a world both ways and compares everything that its observers are told.
fn check(spec: &Arc<WorldSpec>, seed: u64) {
    let (counted, ours) = live(spec, seed, Routine::Counted);
    let (simulated, theirs) = live(spec, seed, Routine::Simulated);
    assert!(counted.events() < simulated.events());
    for (ours, theirs) in ours.0.iter().zip(&theirs.0) {
        assert_eq!(ours, theirs, "seed {seed}");
    }
    assert_eq!(ours.0.len(), theirs.0.len(), "seed {seed}");
    assert_eq!(catalog(&counted), catalog(&simulated), "seed {seed}");
}

#[test]
fn counted_routine_comes_out_as_it_would_have() {
    let spec = spec();
    (1..=3).for_each(|seed| check(&spec, seed));
}
