//! A world whose routine is counted against the same world that carries all of it out.

use std::path::Path;
use std::sync::Arc;

use cossim::base::time::{Duration, Time};
use cossim::base::units::MegabitsPerSecond;
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
    At("440s", ProcessPause(target: "1 random fabio", lasts: "20s")),
]"#;

/// The starter scenario with these faults.
fn world() -> WorldSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let edits = ["duration=8m".to_owned(), "expect=[]".to_owned(), FAULTS.to_owned()];
    let loaded = scenario::load(&path, &edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world
}

/// The same over a network without jitter and limits, so that nothing but what is counted tells two runs apart.
fn ideal_world() -> WorldSpec {
    let mut world = world();
    let network = &mut world.network;
    for link in [&mut network.same_host, &mut network.same_zone, &mut network.same_region, &mut network.internet] {
        link.jitter_sigma = 0.0;
    }
    for machine in world.machines.ids().collect::<Vec<_>>() {
        world.machines[machine].bandwidth = MegabitsPerSecond(1_000_000_000_000);
    }
    world
}

#[derive(Default)]
struct Diary(Vec<(Time, String)>);

impl Diary {
    /// In the order of time, and of the text at one instant: what is counted of one instant is told by number, what is
    /// carried out as it arrives.
    fn sorted(&self) -> Vec<(Time, String)> {
        let mut lines = self.0.clone();
        lines.sort();
        lines
    }
}

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

#[test]
fn counted_routine_comes_out_as_it_would_have() {
    let spec = Arc::new(ideal_world());
    for seed in 1..=3 {
        let (counted, ours) = live(&spec, seed, Routine::Counted);
        let (simulated, theirs) = live(&spec, seed, Routine::Simulated);
        assert!(counted.events() + LEFT_OUT_MIN < simulated.events(), "seed {seed}: little was left out");
        assert_eq!(ours.0.len(), theirs.0.len(), "seed {seed}");
        for (ours, theirs) in ours.sorted().iter().zip(&theirs.sorted()) {
            assert_eq!(ours, theirs, "seed {seed}");
        }
        assert_eq!(catalog(&counted), catalog(&simulated), "seed {seed}");
    }
}

/// Of some 22 000 events that would be routine without faults.
const LEFT_OUT_MIN: u64 = 15_000;

#[test]
fn checks_change_when_they_would_have_over_a_network_that_jitters() {
    let spec = Arc::new(world());
    let changes = |routine| {
        let (_, diary) = live(&spec, 1, routine);
        diary.0.into_iter().filter(|(_, notice)| notice.starts_with("InstanceHealth")).collect::<Vec<_>>()
    };
    let (counted, simulated) = (changes(Routine::Counted), changes(Routine::Simulated));
    assert!(counted.len() >= 15 && counted.len() == simulated.len());
    for ((at, ours), (when, theirs)) in counted.iter().zip(&simulated) {
        let apart = at.since(*when).max(when.since(*at));
        assert!(ours == theirs && apart < Duration::from_millis(1), "{ours} at {at}, not {theirs} at {when}");
    }
}
