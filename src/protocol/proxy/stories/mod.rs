//! The request path in a small world of its own: one story per row of the failure semantics (process gone, node silent,
//! established connection, table frozen, …).

mod world;

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Input, Kept, Machine};
use crate::base::ordered::OrdMap;
use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};
use crate::model::topology::ZoneId;
use crate::protocol::proxy::alb::{AlbConfig, Reach};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio::{FabioEvent, FabioNode, HttpRoute};
use crate::protocol::proxy::fabio_config::FabioConfig;
use crate::protocol::proxy::health::HealthState;
use crate::protocol::proxy::message::{HttpMsg, RequestNumber, RouteId};
use crate::protocol::proxy::pick::Strategy;
use crate::protocol::proxy::watcher::Answer;
use crate::protocol::workload::client::{ClientConfig, Outcome};
use crate::protocol::workload::service_time::ServiceTime;
use crate::protocol::workload::station::StationConfig;
use crate::protocol::workload::stations::Behaviour;

use world::{ALB, Effects, FABIOS, HOSTS, HostEffects, Instance, PORT, Reachable, World, instance};

fn only(outcome: Outcome, count: usize) -> OrdMap<Outcome, usize> {
    OrdMap::from([(outcome, count)])
}

fn share(counts: &OrdMap<Outcome, usize>, outcome: Outcome) -> f64 {
    let total: usize = counts.values().sum();
    counts.get(&outcome).copied().unwrap_or(0) as f64 / total as f64
}

#[test]
fn requests_reach_an_instance_and_come_back() {
    let mut world = World::usual(2).with_traffic();
    world.run(100);
    let (counts, longest) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
    // Three hops there and back, three handshakes, and 20 ms of work.
    assert_eq!(longest, Duration::from_millis(12 + 20));
    assert_eq!(world.issued, 1_000);
    assert_eq!(counts[&Outcome::Ok] + world.client.open(), 1_000);
}

#[test]
fn an_instance_that_died_on_a_live_host_is_a_502_at_once_until_the_catalog_says_so() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.outcomes();
    world.kill_instance(0);
    world.run(20);
    let (counts, longest) = world.outcomes();
    let failed = share(&counts, Outcome::Status(502));
    assert!((failed - 0.5).abs() < 0.15 && longest < Duration::from_millis(40), "F6: {counts:?} {longest}");
    world.change(|catalog| catalog.instances[0].checks = vec!["critical"]);
    world.run(1);
    world.outcomes();
    world.run(20);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 200));
}

#[test]
fn an_instance_deregistered_before_it_stops_fails_nothing() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| drop(catalog.instances.remove(0)));
    world.run(5);
    world.hosts[0].set_behaviour(PORT, Behaviour::Closing);
    world.kill_instance(0);
    world.run(20);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok], "F5: shutdown delay covers propagation");
}

#[test]
fn a_silent_host_costs_fabio_its_dial_timeout_and_an_open_connection_the_balancers_patience() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.outcomes();
    world.set_reachable(HOSTS[0], Reachable::Silent);
    world.run(29);
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Ok], "nobody has given up yet");
    world.run(2);
    let (counts, longest) = world.outcomes();
    assert!(counts.contains_key(&Outcome::Status(504)) && longest.as_millis() / 1_000 == 30, "{counts:?} {longest}");
    world.run(40);
    let (_, longest) = world.outcomes();
    assert_eq!(longest.as_millis() / 1_000, 60, "the kept connections had nobody but the balancer to give up");
}

#[test]
fn a_silent_fabio_fails_its_share_for_ten_seconds_each_until_two_checks_failed() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    world.outcomes();
    world.health.clear();
    let lost_at = world.now;
    world.set_reachable(FABIOS[0], Reachable::Silent);
    world.run(60);
    let (at, target, state) = world.health[0];
    assert_eq!((target.process, state), (FABIOS[0], HealthState::Unhealthy));
    let noticed = at.since(lost_at).as_secs_f64();
    assert!((18.0..=33.0).contains(&noticed), "{noticed}");
    let (counts, longest) = world.outcomes();
    let failed = counts[&Outcome::Status(504)] as f64;
    // Half of ten requests a second, but for those that found a kept connection and wait for a minute.
    assert!(failed > 0.45 * 10.0 * noticed - 5.0 && failed <= 0.5 * 10.0 * noticed + 1.0, "{failed} in {noticed} s");
    assert_eq!(longest.as_millis() / 1_000, 10);
}

#[test]
fn a_dead_fabio_process_is_a_502_at_once() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    world.outcomes();
    world.set_reachable(FABIOS[0], Reachable::Refuses);
    world.run(10);
    let (counts, longest) = world.outcomes();
    let failed = share(&counts, Outcome::Status(502));
    assert!((failed - 0.5).abs() < 0.1 && longest < Duration::from_millis(40), "{counts:?} {longest}");
    world.run(40);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100), "two failed checks later it gets nothing");
}

#[test]
fn one_bad_tag_freezes_every_table() {
    let mut world = World::usual(1).with_traffic();
    world.change(|catalog| catalog.instances.push(instance(1, "urlprefix-/x weight=x", &["passing"])));
    world.run(10);
    world.outcomes();
    let applied = world.applied;
    world.kill_instance(0);
    world.change(|catalog| catalog.instances[0].checks = vec!["critical"]);
    world.run(20);
    let (counts, _) = world.outcomes();
    assert!(share(&counts, Outcome::Status(502)) > 0.3, "F1: {counts:?}");
    assert_eq!(world.applied, applied);
    assert!(world.rejected.iter().all(|reason| reason.ends_with("weight value invalid")));
    assert_eq!(world.rejected.len(), 2);
}

#[test]
fn one_passing_check_of_two_is_enough_to_be_sent_requests() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.hosts[0].set_behaviour(PORT, Behaviour::Broken);
    world.change(|catalog| catalog.instances[0].checks = vec!["passing", "critical"]);
    world.outcomes();
    world.run(20);
    let (counts, _) = world.outcomes();
    assert!(share(&counts, Outcome::Status(500)) > 0.3, "F2: {counts:?}");
}

#[test]
fn without_a_catalog_leader_tables_freeze_and_new_proxies_never_open() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| catalog.has_leader = false);
    world.fabios.push(FabioNode::new(FabioConfig::default(), Arc::new([]), Draws::new(9, "fabio")));
    world.fabio(1, Input::Start);
    world.outcomes();
    world.run(30);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 300), "F3: the old table serves");
    assert!(!world.fabios[1].is_listening());
    world.change(|catalog| catalog.has_leader = true);
    world.run(3);
    assert!(world.fabios[1].is_listening());
}

#[test]
fn a_service_whose_catalog_read_fails_vanishes() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| catalog.reads_fail = true);
    world.run(1);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Status(404), 100), "F4");
    world.change(|catalog| catalog.reads_fail = false);
    world.run(1);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100));
}

#[test]
fn the_balancer_takes_a_fabio_without_table_for_healthy() {
    let mut world = World::usual(1);
    world.catalog.has_leader = false;
    let mut world = world.with_traffic();
    world.run(20);
    assert_eq!(world.alb.health(Endpoint { process: FABIOS[0], port: 9_999 }), Some(HealthState::Healthy), "F8");
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Status(502)]);
}

#[test]
fn a_restarted_fabio_comes_back_empty_and_fills() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.fabios[0].reboot(world.now, &Kept::default());
    assert!(!world.fabios[0].is_listening());
    world.fabio(0, Input::Start);
    world.run(1);
    assert!(world.fabios[0].is_listening());
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100));
}

#[test]
fn without_an_agent_a_new_fabio_gives_up_after_ten_seconds() {
    let mut world = World::usual(1);
    world.catalog.has_no_agent = true;
    world.fabios[0].reboot(world.now, &Kept::default());
    world.fabio(0, Input::Start);
    world.run(9);
    assert_eq!(world.exited, 0);
    assert!(world.fabios[0].listens(9_998), "the admin port answers while it tries");
    world.run(3);
    assert_eq!(world.exited, 1);
    assert!(world.fabios[0].has_exited() && !world.fabios[0].listens(9_998) && !world.fabios[0].listens(9_999));
}

#[test]
fn an_agent_that_died_is_asked_every_second_and_the_table_stays() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.outcomes();
    let applied = world.applied;
    world.set_agent(false);
    world.run(5);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 50));
    world.kill_instance(0);
    world.catalog.instances.remove(0);
    world.catalog.index += 1;
    world.set_agent(true);
    world.run(2);
    assert_eq!(world.applied, applied + 1, "a blocking query is open again");
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100));
}

#[test]
fn what_an_earlier_fabio_is_answered_late_is_no_answer_to_the_next() {
    let asked = |fx: &Effects<FabioNode>| match fx.events.as_slice() {
        [FabioEvent::Ask { ticket, .. }] => *ticket,
        other => panic!("it asks one thing: {other:?}"),
    };
    let node = || FabioNode::new(FabioConfig::default(), Arc::new([]), Draws::new(1, "fabio"));
    let (mut first, mut fx) = (node(), Effects::default());
    first.handle(Time::ZERO, Input::Start, &mut fx);
    let old = asked(&fx);
    let (mut second, mut fx) = (node().asking_after(first.last_ticket()), Effects::default());
    second.handle(Time::ZERO, Input::Start, &mut fx);
    assert!(asked(&fx) > old);
    let (agent, mut fx) = (Answer::Agent { datacenter: "dc1".into() }, Effects::default());
    second.answer(Time::ZERO, old, &agent, &mut fx);
    assert!(fx.events.is_empty());
    second.answer(Time::ZERO, old + 1, &agent, &mut fx);
    assert!(!fx.events.is_empty());
}

/// Whom a fabio sends a request to.
fn chosen(world: &mut World) -> ProcessId {
    let mut fx = Effects::default();
    let (id, number) = (1, RequestNumber::new(9, 0, 0));
    let msg = HttpMsg::Request { id, number, route: RouteId(0), port: 9_999 };
    world.fabios[0].handle(world.now, Input::Message { from: ALB, msg }, &mut fx);
    let sent = fx.events.iter().find_map(|event| match event {
        FabioEvent::Sent { target, .. } => Some(target.process),
        _ => None,
    });
    sent.expect("it has targets")
}

#[test]
fn a_new_table_counts_its_rounds_from_the_start() {
    let mut world = World::usual(1);
    let mut config = FabioConfig::default();
    config.proxy.strategy = Strategy::RoundRobin;
    let routes = Arc::new([HttpRoute { host: "shop.example.com".into(), path: "/".into() }]);
    world.fabios[0] = FabioNode::new(config, routes, Draws::new(1, "fabio"));
    world.fabio(0, Input::Start);
    world.run(1);
    // Commands are sorted downwards, so that the highest address comes first.
    assert_eq!([(); 3].map(|()| chosen(&mut world)), [HOSTS[1], HOSTS[0], HOSTS[1]]);
    world.change(|catalog| catalog.instances.push(instance(1, "urlprefix-/other", &["passing"])));
    world.run(1);
    assert_eq!(chosen(&mut world), HOSTS[1], "F13: the other's turn, had the count gone on");
}

#[test]
fn overrides_come_last_and_make_the_first_table() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.catalog.overrides = "route del shop";
    world.change(|catalog| {
        catalog.instances.push(Instance { service: "cart", ..instance(1, "urlprefix-/cart", &["passing"]) });
    });
    world.run(1);
    let applied = world.applied;
    world.fabios[0].reboot(world.now, &Kept::default());
    world.fabio(0, Input::Start);
    world.run(1);
    world.outcomes();
    assert_eq!(
        world.applied,
        applied + 2,
        "one of the overrides alone, while services are being read, and one of both"
    );
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Status(404), 100));
}

#[test]
fn a_fabio_told_to_end_says_farewell_once_and_is_not_registered_again() {
    let mut world = World::usual(1);
    world.run(1);
    let mut fx = Effects::default();
    world.fabios[0].shutdown(&mut fx);
    world.fabios[0].registration_lost(&mut fx);
    assert_eq!(fx.events, [FabioEvent::Deregister, FabioEvent::Exited]);
}

#[test]
fn one_stale_fabio_fails_its_share() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    // The change reaches the first only: the second's blocking query is lost.
    world.catalog.waiting.retain(|(process, ..)| *process == FABIOS[0]);
    world.kill_instance(0);
    world.change(|catalog| drop(catalog.instances.remove(0)));
    world.run(1);
    world.outcomes();
    world.run(20);
    let (counts, _) = world.outcomes();
    let failed = share(&counts, Outcome::Status(502));
    assert!((failed - 0.25).abs() < 0.1, "F7: half of what goes to one of two: {counts:?}");
}

#[test]
fn a_fabio_that_drains_finishes_what_it_has_and_accepts_no_more() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    let mut fx = Effects::default();
    world.fabios[0].shutdown(&mut fx);
    world.carry_fabio(0, fx);
    assert!(!world.fabios[0].is_listening());
    world.outcomes();
    world.run(1);
    assert_eq!(world.exited, 1);
    assert!(world.outcomes().0.contains_key(&Outcome::Status(502)));
}

#[test]
fn a_zone_of_its_own_without_targets_is_a_503() {
    let config = AlbConfig { reach: Reach::OwnZone, ..AlbConfig::new(ZoneId(1)) };
    let mut world = World::new(1, 10.0, ClientConfig::new(0, RouteId(0)), config).with_traffic();
    world.run(10);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Status(503)]);
}

#[test]
fn with_no_healthy_target_the_balancer_fails_open() {
    let mut config = AlbConfig::new(ZoneId(0));
    config.health.matcher = 204;
    let mut world = World::new(1, 10.0, ClientConfig::new(0, RouteId(0)), config).with_traffic();
    world.run(10);
    assert_eq!(world.alb.healthy_count(), 0);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
}

#[test]
fn a_deregistered_target_gets_nothing_new_and_finishes_what_it_has() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    let mut fx = Effects::default();
    world.alb.deregister(Endpoint { process: FABIOS[0], port: 9_999 }, &mut fx);
    world.carry_alb(fx);
    world.run(10);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
    assert_eq!(world.fabios[0].in_flight(), 0);
}

#[test]
fn a_client_that_gives_up_takes_its_request_off_the_proxies() {
    let client = ClientConfig { timeout: Duration::from_millis(500), ..ClientConfig::new(0, RouteId(0)) };
    let mut world = World::new(1, 10.0, client, AlbConfig::new(ZoneId(0))).with_traffic();
    world.run(10);
    for host in 0..2 {
        let mut fx = HostEffects::default();
        world.hosts[host].set_speed(world.now, PORT, 0.0, &mut fx);
        world.carry_host(host, fx);
    }
    world.outcomes();
    world.run(10);
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Timeout], "{counts:?}");
    assert!(world.alb.in_flight() <= 6 && world.fabios[0].in_flight() <= 6);
}

/// Bronson et al. (2021): retries keep an overload alive after its trigger is gone, unless their number is bounded.
#[test]
fn retries_make_an_overload_last() {
    use crate::base::units::Ratio;
    use crate::protocol::workload::client::RetryPolicy;
    let goodput_after_outage = |rate: f64, budget: Option<f64>| {
        let retry = RetryPolicy {
            attempts_max: 2,
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(1),
            budget: budget.and_then(Ratio::new),
        };
        let (timeout, retry) = (Duration::from_secs(1), Some(retry));
        let client = ClientConfig { timeout, retry, ..ClientConfig::new(0, RouteId(0)) };
        let mut world = World::new(1, rate, client, AlbConfig::new(ZoneId(0)));
        // One server that works on for clients that left: 300 requests a second.
        world.kill_instance(1);
        world.change(|catalog| catalog.instances.truncate(1));
        let work = Duration::from_nanos(1_000_000_000 / 300);
        let mut fx = HostEffects::default();
        world.hosts[0].insert(world.now, PORT, StationConfig::new(1, ServiceTime::Exponential(work)), &mut fx);
        let mut world = world.with_traffic();
        world.run(20);
        for speed in [0.0, 1.0] {
            let mut fx = HostEffects::default();
            world.hosts[0].set_speed(world.now, PORT, speed, &mut fx);
            world.carry_host(0, fx);
            world.run(if speed > 0.0 { 300 } else { 10 });
        }
        world.outcomes();
        world.run(30);
        share(&world.outcomes().0, Outcome::Ok)
    };
    assert!(goodput_after_outage(280.0, None) < 0.1, "vulnerable: it stays down");
    assert!(goodput_after_outage(140.0, None) > 0.99, "stable: it recovers");
    assert!(goodput_after_outage(260.0, Some(0.1)) > 0.99, "bounded: 260 and a tenth are less than 300");
}

/// 400 requests a second; forty minutes of it are a matter of a second.
#[test]
fn a_hundred_thousand_requests_end_well() {
    let mut world = World::new(2, 400.0, ClientConfig::new(0, RouteId(0)), AlbConfig::new(ZoneId(0))).with_traffic();
    world.run(250);
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
    assert_eq!(counts[&Outcome::Ok] + world.client.open(), 100_000);
}
