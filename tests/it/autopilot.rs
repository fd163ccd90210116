//! Raft's servers follow Serf's members: a dead Nomad server is removed and taken back when it returns.

use std::path::Path;
use std::sync::Arc;

use cossim::base::time::{Duration, Time};
use cossim::model::topology::RegionId;
use cossim::protocol::raft::Configuration;
use cossim::scenario;
use cossim::world::event::Notice;
use cossim::world::process::Process;
use cossim::world::run::{Witness, World};

struct Deaf;

impl Witness for Deaf {
    fn notice(&mut self, _at: Time, _notice: &Notice) {}
}

fn world(timeline: &str) -> World {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let edits = ["duration=8m".to_owned(), "expect=[]".to_owned(), format!("timeline=[{timeline}]")];
    let loaded = scenario::load(&path, &edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    let spec = loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world;
    World::new(&Arc::new(spec), 1)
}

/// What the Nomad or Consul leader of the first region takes for the servers, at a second of the run.
fn configuration(world: &mut World, consul: bool, second: u64) -> Configuration {
    world.advance(Time::ZERO + Duration::from_secs(second), &mut Deaf).expect("virtual time does not stand still");
    let atlas = world.atlas();
    let region = &atlas.spec.regions[RegionId(0)];
    let machines = if consul { &region.consul } else { &region.nomad };
    let servers = machines.iter().filter_map(|machine| match world.engine().process(atlas.processes[*machine].main) {
        Process::NomadServer(server) => server.leads_term().map(|term| (term, server.configuration().clone())),
        Process::ConsulServer(server) => server.leads_term().map(|term| (term, server.configuration().clone())),
        _ => unreachable!("a server's main process is the server"),
    });
    servers.max_by_key(|(term, _)| *term).expect("somebody leads").1
}

fn voters(world: &mut World, consul: bool, second: u64) -> (usize, usize) {
    let configuration = configuration(world, consul, second);
    (configuration.len(), configuration.voter_count())
}

#[test]
fn a_dead_server_is_removed_and_votes_again_once_it_is_back_and_stable() {
    let mut world = world(r#"At("60s", NodeCrash(target: "1 random nomad follower", lasts: "180s"))"#);
    assert_eq!(voters(&mut world, false, 59), (3, 3));
    assert_eq!(voters(&mut world, false, 235), (2, 2), "the failed server has been forced to leave");
    assert_eq!(voters(&mut world, false, 470), (3, 3), "and is back");
}

#[test]
fn a_dead_consul_server_is_removed_sooner() {
    let mut world = world(r#"At("60s", NodeCrash(target: "1 random consul follower", lasts: "60s"))"#);
    assert_eq!(voters(&mut world, true, 59), (3, 3));
    assert_eq!(voters(&mut world, true, 100), (2, 2), "the LAN pool notices within seconds");
    assert_eq!(voters(&mut world, true, 200), (3, 3));
}
