//! Raft's servers follow Serf's members: a dead server is removed and taken back when it returns, however it returns.
//! And what servers and agents of a world that has been up for a while do in peace.

use std::path::Path;
use std::sync::Arc;

use cossim::base::id::{Id, ProcessId};
use cossim::base::ordered::OrdMap;
use cossim::base::time::{Duration, Time};
use cossim::model::topology::RegionId;
use cossim::protocol::catalog::server::ServerEvent;
use cossim::protocol::gossip::intent::Status;
use cossim::protocol::raft::Configuration;
use cossim::scenario;
use cossim::world::event::{Event, Notice, Pool};
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

/// A server that comes back while it is cut off reaches nobody, and meanwhile has been forced to leave, so that nobody
/// tries to reach it either.
#[test]
fn a_server_that_restarts_behind_a_partition_finds_its_way_back() {
    for consul in [false, true] {
        let server = if consul { "consul-3" } else { "nomad-3" };
        let mut world = world(&format!(
            r#"At("60s", NodeCrash(target: "us-east-1/{server}", lasts: "150s")),
            At("200s", Partition(from: "us-east-1/{server}", lasts: "100s"))"#
        ));
        assert_eq!(voters(&mut world, consul, 299), (2, 2), "{server} has been forced to leave");
        // 30 s between two tries, 30 s for one that is under way when the partition ends, and a while to be stable.
        assert_eq!(voters(&mut world, consul, 420), (3, 3), "{server}");
        let atlas = world.atlas();
        for &machine in &atlas.spec.regions[RegionId(0)].consul {
            let Process::ConsulServer(server) = world.engine().process(atlas.processes[machine].main) else {
                unreachable!("a Consul server's main process is the server")
            };
            let wan = server.member(Pool::ConsulWan).serf();
            assert!(
                wan.members().all(|(_, _, status)| status == Status::Alive),
                "{:?}",
                wan.members().collect::<Vec<_>>()
            );
            assert_eq!(wan.member_count(), 3);
        }
    }
}

/// Who was answered what by which Consul server.
#[derive(Default)]
struct Answers(Vec<(Time, ProcessId, ProcessId, u64)>);

impl Witness for Answers {
    fn notice(&mut self, _at: Time, _notice: &Notice) {}

    fn event(&mut self, at: Time, process: ProcessId, event: &Event) {
        if let Event::Catalog { event: ServerEvent::Answered { to, topic, .. }, .. } = event {
            self.0.push((at, process, *to, *topic));
        }
    }
}

/// Followers hear from the leader all the time, though Raft has nothing to say of it.
#[test]
fn an_idle_follower_is_up_to_date_and_its_answers_are_taken() {
    let mut world = world("");
    let mut answers = Answers::default();
    world.advance(Time::ZERO + Duration::from_mins(4), &mut Deaf).expect("virtual time does not stand still");
    world.advance(Time::ZERO + Duration::from_mins(7), &mut answers).expect("virtual time does not stand still");
    let leads = |process| match world.engine().process(process) {
        Process::ConsulServer(server) => server.leads_term().is_some(),
        _ => unreachable!("only Consul servers answer"),
    };
    let by_followers = answers.0.iter().filter(|(_, by, ..)| !leads(*by)).count();
    assert!(by_followers > 10, "of {} answers", answers.0.len());
    // The second question goes to the leader by way of the server that answered the first.
    for (place, (at, by, to, topic)) in answers.0.iter().enumerate() {
        let again = answers.0[place + 1..].iter().find(|(later, other, whom, what)| {
            later.since(*at) < Duration::from_secs(1) && other != by && (whom == by || whom == to) && what == topic
        });
        assert_eq!(again, None, "{} asked {by} in vain at {at}", world.engine().name(*to));
    }
}

#[test]
fn agents_have_spread_over_the_servers_from_the_start() {
    let mut world = world("");
    world.advance(Time::ZERO + Duration::from_secs(5), &mut Deaf).expect("virtual time does not stand still");
    let mut asked: OrdMap<ProcessId, u32> = OrdMap::new();
    for process in (0..world.engine().process_count()).map(ProcessId::from_index) {
        if let Process::ConsulAgent(agent) = world.engine().process(process) {
            *asked.entry(agent.server().expect("it knows servers")).or_default() += 1;
        }
    }
    assert_eq!(asked.len(), 3, "{asked:?}");
}
