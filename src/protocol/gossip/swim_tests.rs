//! Stories of the membership machine: one member of a pool of twelve, the others played by hand.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Input;
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::config::Config;
use crate::protocol::gossip::members::{Member, Meta, Pool, State};
use crate::protocol::gossip::message::{Knowledge, Msg, Record, Rumour, Stream};
use crate::protocol::gossip::swim::{Event, Purpose, Swim, Timer};
use crate::protocol::gossip::testing::{Bench, directory, established};

const ME: Member = Member(0);

fn lan() -> Bench<Swim> {
    with(Config::lan())
}

fn with(config: Config) -> Bench<Swim> {
    Bench::new(Swim::new(Arc::new(config), &established(12), ProcessId(0), Rng::stream(1, "story")).unwrap())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn alive(member: u32, address: u32, incarnation: u32) -> Rumour {
    Rumour::Alive { member: Member(member), address: ProcessId(address), incarnation, meta: Meta::default() }
}

fn suspect(member: u32, incarnation: u32, from: u32) -> Rumour {
    Rumour::Suspect { member: Member(member), incarnation, from: Member(from) }
}

fn dead(member: u32, incarnation: u32, from: u32) -> Rumour {
    Rumour::Dead { member: Member(member), incarnation, from: Member(from) }
}

fn state(bench: &Bench<Swim>, member: u32) -> (State, u32) {
    let entry = bench.machine.entry(Member(member));
    (entry.state, entry.incarnation)
}

/// Waits for the next direct ping and says who is asked, under which number.
fn next_ping(bench: &mut Bench<Swim>) -> (ProcessId, u32) {
    loop {
        for (to, msg) in bench.until_sent() {
            if let Msg::Ping { seq, .. } = msg {
                return (to, seq);
            }
        }
    }
}

fn ack(bench: &mut Bench<Swim>, (from, seq): (ProcessId, u32)) {
    bench.message(from.0, Msg::Ack { seq, coordinate: None, rumours: None });
}

#[test]
fn a_lap_probes_everybody_once_and_no_two_laps_are_alike() {
    let mut bench = lan();
    let mut laps = Vec::new();
    for _ in 0..2 {
        let mut lap: Vec<ProcessId> = Vec::new();
        for _ in 0..11 {
            let ping = next_ping(&mut bench);
            lap.push(ping.0);
            ack(&mut bench, ping);
        }
        laps.push(lap.clone());
        lap.sort();
        assert_eq!(lap, (1..12).map(ProcessId).collect::<Vec<_>>());
    }
    assert_ne!(laps[0], laps[1]);
}

#[test]
fn a_member_may_be_told_of_answered_probes_instead_of_asking() {
    let calm = || {
        let mut bench = with(Config { push_pull_interval: Duration::from_hours(1), ..Config::lan() });
        bench.rumour(dead(5, 1, 2));
        while !bench.machine.is_calm() || bench.machine.is_probing() {
            let ping = next_ping(&mut bench);
            ack(&mut bench, ping);
        }
        bench
    };
    let (mut asks, mut told) = (calm(), calm());
    for _ in 0..60 {
        let ping = next_ping(&mut asks);
        ack(&mut asks, ping);
        let tick = asks.now;
        told.with(|swim, _, fx| swim.probe_answered(tick, fx));
        assert_eq!(asks.machine.members(), told.machine.members());
        assert_eq!(asks.machine.sequence, told.machine.sequence);
    }
    assert_eq!(asks.events, told.events);
    assert!(told.events.contains(&Event::Purged { member: Member(5) }));
    assert_eq!(next_ping(&mut asks).1, told.machine.sequence + 1);
}

#[test]
fn an_answered_probe_leaves_nothing_behind() {
    let mut bench = lan();
    let ping = next_ping(&mut bench);
    ack(&mut bench, ping);
    bench.pass(Duration::from_millis(999));
    assert_eq!((bench.sent.len(), bench.events.len()), (0, 0));
    assert!(bench.machine.is_quiet());
}

#[test]
fn a_silent_member_is_asked_through_helpers_and_tcp_and_suspected_after_the_whole_interval() {
    let mut bench = lan();
    let (target, seq) = next_ping(&mut bench);
    bench.pass(Duration::from_millis(499));
    assert!(bench.sent.is_empty());
    bench.pass(Duration::from_millis(1));
    let helpers = bench.sent.iter().filter(|(_, m)| matches!(m, Msg::PingRequest { seq: s, .. } if *s == seq)).count();
    assert_eq!(helpers, 3);
    assert_eq!(bench.sent.last(), Some(&(target, Msg::Dial(Stream::Ping(seq)))));
    assert!(bench.sent.iter().all(|(to, m)| *to != target || matches!(m, Msg::Dial(_))));
    bench.pass(Duration::from_millis(499));
    assert_eq!(state(&bench, target.0), (State::Alive, 1));
    bench.pass(Duration::from_millis(2));
    assert_eq!(state(&bench, target.0), (State::Suspect, 1));
    assert!(bench.events.contains(&Event::ProbeFailed { target }));
}

#[test]
fn the_score_goes_from_0_to_2_when_nacks_come_too_late_and_the_next_probe_succeeds_at_once() {
    let mut bench = lan();
    let (_, seq) = next_ping(&mut bench);
    bench.pass(Duration::from_millis(1_000));
    assert_eq!(bench.machine.awareness().score(), 0);
    bench.sent.clear();
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.machine.awareness().score(), 3);
    bench.message(5, Msg::Nack { seq, rumours: None });
    let start = bench.now;
    let ping = next_ping(&mut bench);
    assert_eq!(bench.now, start, "the tick waited");
    ack(&mut bench, ping);
    assert_eq!(bench.machine.awareness().score(), 2);
}

#[test]
fn nacks_in_time_and_a_score_above_0_cost_nothing_but_stretch_the_next_probe() {
    let mut bench = lan();
    bench.rumour(suspect(0, 1, 3));
    assert_eq!(bench.machine.awareness().score(), 1);
    let (target, seq) = next_ping(&mut bench);
    bench.pass(Duration::from_millis(1_001));
    for helper in [3, 4, 5] {
        bench.message(helper, Msg::Nack { seq, rumours: None });
    }
    bench.pass(Duration::from_millis(998));
    assert_eq!(state(&bench, target.0), (State::Alive, 1));
    bench.pass(Duration::from_millis(2));
    assert_eq!(state(&bench, target.0), (State::Suspect, 1));
    assert_eq!(bench.machine.awareness().score(), 1);
}

#[test]
fn a_late_ack_a_relayed_ack_and_a_tcp_ack_each_save_the_target() {
    let mut bench = lan();
    let ping = next_ping(&mut bench);
    bench.pass(Duration::from_millis(900));
    bench.message(7, Msg::Ack { seq: ping.1, coordinate: None, rumours: None });
    bench.pass(seconds(1));
    assert_eq!(state(&bench, ping.0.0), (State::Alive, 1));

    let mut bench = lan();
    let (target, seq) = next_ping(&mut bench);
    bench.pass(Duration::from_millis(500));
    bench.message(target.0, Msg::Accept(Stream::Ping(seq)));
    assert!(bench.sent.contains(&(target, Msg::StreamPing { seq, target: Member(target.0) })));
    bench.message(target.0, Msg::StreamAck { seq });
    bench.pass(Duration::from_millis(501));
    assert_eq!(state(&bench, target.0), (State::Alive, 1));
    assert!(bench.events.contains(&Event::ProbeRescued { target }));
    assert_eq!(bench.machine.awareness().score(), 0);
}

#[test]
fn a_helper_forwards_the_answer_or_says_that_there_was_none() {
    let mut bench = lan();
    let request = Msg::PingRequest { seq: 77, target: Member(4), address: ProcessId(4), rumours: None };
    bench.message(9, request.clone());
    let (to, Msg::Ping { seq, .. }) = bench.sent.remove(0) else { panic!("a ping") };
    assert_eq!(to, ProcessId(4));
    bench.message(4, Msg::Ack { seq, coordinate: None, rumours: None });
    assert_eq!(bench.sent.remove(0), (ProcessId(9), Msg::Ack { seq: 77, coordinate: None, rumours: None }));
    bench.message(9, request);
    bench.pass(Duration::from_millis(500));
    assert!(bench.sent.contains(&(ProcessId(9), Msg::Nack { seq: 77, rumours: None })));
}

#[test]
fn a_suspect_is_told_so_with_its_ping() {
    let mut bench = lan();
    bench.rumour(suspect(6, 1, 3));
    loop {
        for (to, msg) in bench.until_sent() {
            let Msg::Ping { seq, ref rumours, .. } = msg else { continue };
            if to == ProcessId(6) {
                assert_eq!(rumours.as_deref(), Some([suspect(6, 1, 0)].as_slice()));
                return;
            }
            ack(&mut bench, (to, seq));
        }
    }
}

#[test]
fn accusers_shorten_a_suspicion_and_its_end_is_death() {
    let mut bench = lan();
    bench.machine.probe_index = usize::MAX;
    bench.rumour(suspect(6, 1, 3));
    bench.rumour(suspect(6, 1, 3));
    bench.rumour(suspect(6, 1, 4));
    bench.rumour(suspect(6, 1, 5));
    let silent = bench.now;
    while state(&bench, 6).0 == State::Suspect {
        let (at, _) = bench.next_alarm().unwrap();
        bench.pass(at.since(bench.now));
        for (to, msg) in std::mem::take(&mut bench.sent) {
            if let Msg::Ping { seq, .. } = msg {
                ack(&mut bench, (to, seq));
            }
        }
    }
    assert_eq!(bench.now.since(silent), Duration::from_millis(4_316), "4 x log10(12) s");
    assert!(bench.events.contains(&Event::Expired { target: ProcessId(6), confirmations: 2 }));
    assert_eq!(state(&bench, 6), (State::Dead, 1));
}

#[test]
fn an_accused_member_refutes_and_is_believed() {
    let mut bench = lan();
    bench.rumour(suspect(0, 1, 3));
    assert_eq!(state(&bench, 0), (State::Alive, 2));
    assert!(bench.events.contains(&Event::Refuted { incarnation: 2 }));
    bench.rumour(dead(0, 7, 3));
    assert_eq!(state(&bench, 0), (State::Alive, 8));
    assert_eq!(bench.machine.awareness().score(), 2);
    bench.rumour(suspect(5, 1, 3));
    bench.rumour(alive(5, 5, 1));
    assert_eq!(state(&bench, 5), (State::Suspect, 1), "only a higher incarnation refutes");
    bench.rumour(alive(5, 5, 2));
    assert_eq!(state(&bench, 5), (State::Alive, 2));
    bench.pass(seconds(30));
    assert_ne!(state(&bench, 5).0, State::Dead, "the refuted suspicion is over");
}

#[test]
fn rumours_about_the_past_and_about_strangers_change_nothing() {
    let mut bench = lan();
    bench.rumour(alive(5, 5, 4));
    for old in [suspect(5, 3, 2), dead(5, 3, 2), alive(5, 5, 3)] {
        bench.rumour(old);
        assert_eq!(state(&bench, 5), (State::Alive, 4));
    }
    bench.rumour(dead(5, 4, 2));
    for late in [suspect(5, 9, 2), dead(5, 9, 5), alive(5, 5, 4)] {
        bench.rumour(late);
        assert_eq!(state(&bench, 5), (State::Dead, 4));
    }
    let pool = Pool::empty(directory(3));
    let mut alone =
        Bench::new(Swim::new(Arc::new(Config::lan()), &pool, ProcessId(0), Rng::stream(1, "alone")).unwrap());
    alone.rumour(dead(2, 1, 1));
    alone.rumour(suspect(2, 1, 1));
    assert_eq!((state(&alone, 2).0, alone.machine.count()), (State::Absent, 1));
    alone.rumour(alive(2, 2, 1));
    assert_eq!((state(&alone, 2).0, alone.machine.count()), (State::Alive, 2));
}

#[test]
fn a_table_brings_the_living_and_the_left_but_the_dead_only_as_suspects() {
    let mut bench = lan();
    let record = |member: u32, state| Record {
        member: Member(member),
        address: ProcessId(member),
        incarnation: 2,
        meta: Meta::default(),
        state,
    };
    let members = [record(3, State::Alive), record(4, State::Left), record(5, State::Dead), record(6, State::Suspect)];
    let push = Knowledge { exchange: 1, join: false, members: members.into(), serf: None };
    bench.message(1, Msg::Push(Box::new(push)));
    for (member, expected) in [(3, State::Alive), (4, State::Left), (5, State::Suspect), (6, State::Suspect)] {
        assert_eq!(state(&bench, member), (expected, 2));
    }
    let Some((ProcessId(1), Msg::Pull(mine))) = bench.sent.first() else { panic!("the own table comes back") };
    assert!(mine.members.iter().all(|r| r.incarnation == 1), "as it was before");
    let by_me = |e: &Event| matches!(e, Event::Changed { member: Member(5), after: State::Suspect, by: ME, .. });
    assert!(bench.events.iter().any(by_me), "the accuser is the importer");
}

#[test]
fn a_leaver_says_goodbye_and_is_left_for_everybody() {
    let mut bench = lan();
    assert!(bench.with(|swim, now, fx| swim.leave(now, fx)));
    assert_eq!(state(&bench, 0), (State::Left, 1));
    bench.rumour(alive(0, 0, 5));
    bench.rumour(suspect(0, 5, 3));
    assert_eq!(state(&bench, 0), (State::Left, 1), "no way back");
    bench.pass(seconds(2));
    assert!(bench.sent.iter().any(|(_, m)| m.rumours().contains(&dead(0, 1, 0))));
    bench.rumour(dead(7, 1, 7));
    assert_eq!(state(&bench, 7), (State::Left, 1));
}

#[test]
fn a_name_comes_back_elsewhere_once_its_owner_left_or_was_dead_for_long() {
    let move_1 = alive(1, 1_000, 1);
    let mut bench = with(Config { dead_node_reclaim: Some(seconds(30)), ..Config::lan() });
    bench.rumour(move_1.clone());
    assert_eq!(bench.machine.entry(Member(1)).address, ProcessId(1), "alive: a conflict");
    bench.rumour(dead(1, 1, 3));
    bench.now += seconds(30);
    bench.rumour(move_1.clone());
    assert_eq!(state(&bench, 1).0, State::Dead);
    bench.now += seconds(1);
    bench.rumour(move_1.clone());
    assert_eq!(state(&bench, 1), (State::Alive, 1));
    assert_eq!(bench.machine.entry(Member(1)).address, ProcessId(1_000));

    let mut bench = lan();
    bench.rumour(dead(1, 1, 3));
    bench.now += seconds(99);
    bench.rumour(move_1.clone());
    assert_eq!(state(&bench, 1).0, State::Dead, "reclaiming the dead is off by default");
    let mut bench = lan();
    bench.rumour(dead(1, 1, 1));
    bench.rumour(move_1);
    assert_eq!(state(&bench, 1).0, State::Alive);
}

#[test]
fn the_dead_are_gossiped_to_for_a_while_and_forgotten_at_the_end_of_a_lap() {
    let mut bench = lan();
    bench.rumour(dead(5, 1, 3));
    let start = bench.now;
    let mut forgotten = None;
    while forgotten.is_none() && bench.now.since(start) < seconds(60) {
        let ping = next_ping(&mut bench);
        assert_ne!(ping.0, ProcessId(5), "the dead are not probed");
        ack(&mut bench, ping);
        let purged = Event::Purged { member: Member(5) };
        forgotten = bench.events.contains(&purged).then_some(bench.now.since(start));
    }
    let age = forgotten.expect("forgotten within a lap of its time");
    assert!(seconds(30) < age && age <= seconds(42), "{age}");
    assert_eq!((bench.machine.count(), state(&bench, 5).0), (11, State::Absent));
}

#[test]
fn gossip_ticks_exist_only_while_there_is_something_to_say_and_each_rumour_has_its_budget() {
    let mut bench = with(Config { probe_interval: Duration::from_hours(9), ..Config::lan() });
    bench.rumour(dead(5, 1, 3));
    bench.pass(seconds(10));
    let told = bench.sent.iter().filter(|(_, m)| m.rumours().contains(&dead(5, 1, 3))).count();
    assert_eq!(told, 8, "4 x ceil(log10(13))");
    assert!(bench.sent.iter().all(|(to, _)| *to != ProcessId(0)));
    bench.sent.clear();
    bench.pass(seconds(10));
    assert!(!bench.sent.iter().any(|(_, m)| matches!(m, Msg::Gossip(_))));
}

#[test]
fn rumours_ride_on_pings_and_acks() {
    let mut bench = lan();
    bench.rumour(dead(5, 1, 3));
    bench.message(9, Msg::Ping { seq: 4, target: ME, rumours: None });
    let (ProcessId(9), Msg::Ack { seq: 4, rumours, .. }) = bench.sent.remove(0) else { panic!("an ack") };
    assert_eq!(rumours.as_deref(), Some([dead(5, 1, 3)].as_slice()));
    bench.message(9, Msg::Ping { seq: 5, target: Member(8), rumours: None });
    assert!(bench.sent.is_empty(), "meant for somebody else");
}

#[test]
fn a_join_is_an_exchange_of_tables_and_a_dead_contact_is_given_up() {
    let pool = Pool::empty(directory(12));
    let mut bench =
        Bench::new(Swim::new(Arc::new(Config::lan()), &pool, ProcessId(0), Rng::stream(1, "join")).unwrap());
    bench.with(|swim, now, fx| swim.exchange(now, ProcessId(3), Purpose::Join, fx));
    let Some((ProcessId(3), Msg::Dial(stream))) = bench.sent.pop() else { panic!("a dial") };
    bench.message(3, Msg::Accept(stream));
    let Some((ProcessId(3), Msg::Push(push))) = bench.sent.pop() else { panic!("a push") };
    assert_eq!((push.join, push.members.len()), (true, 1));
    let there = Bench::new(
        Swim::new(Arc::new(Config::lan()), &established(12), ProcessId(3), Rng::stream(1, "there")).unwrap(),
    );
    let members = there.machine.records();
    bench.message(3, Msg::Pull(Box::new(Knowledge { exchange: push.exchange, join: true, members, serf: None })));
    assert_eq!(bench.machine.count(), 12);
    let done = Event::Exchanged { peer: ProcessId(3), purpose: Purpose::Join, reached: true };
    assert!(bench.events.contains(&done));

    bench.take_events();
    bench.with(|swim, now, fx| swim.exchange(now, ProcessId(4), Purpose::Join, fx));
    bench.with(|swim, now, fx| swim.exchange(now, ProcessId(5), Purpose::Join, fx));
    bench.input(Input::Refused { to: ProcessId(5) });
    let failed = |peer| Event::Exchanged { peer: ProcessId(peer), purpose: Purpose::Join, reached: false };
    assert!(bench.events.contains(&failed(5)) && !bench.events.contains(&failed(4)));
    bench.pass(seconds(10));
    assert!(bench.events.contains(&failed(4)));
}

#[test]
fn a_restarted_member_learns_of_its_former_life_and_outdoes_it() {
    let mut bench = lan();
    bench.now = Time::ZERO + seconds(5);
    let now = bench.now;
    bench.with(|swim, _, _| crate::base::machine::Machine::reboot(swim, now, &crate::base::machine::Kept::default()));
    bench.input(Input::Start);
    assert_eq!((state(&bench, 0), bench.machine.count()), ((State::Alive, 1), 1));
    bench.rumour(dead(0, 4, 3));
    assert_eq!(state(&bench, 0), (State::Alive, 5));
}

#[test]
fn the_probe_ticker_keeps_its_phase_over_a_pause() {
    let mut bench = lan();
    let tick = bench.alarm(Timer::Probe).expect("it ticks");
    bench.now = tick + Duration::from_millis(2_300);
    bench.input(Input::Fired(Timer::Probe));
    assert_eq!(bench.alarm(Timer::Probe), Some(tick + seconds(3)));
}

/// A member of a pool of 200, of whom only one is still there; probes are far away.
fn among_the_gone() -> Bench<Swim> {
    let config = Config { probe_interval: Duration::from_hours(9), ..Config::lan() };
    let swim = Swim::new(Arc::new(config), &established(200), ProcessId(0), Rng::stream(1, "gone")).unwrap();
    let mut bench = Bench::new(swim);
    (2..200).for_each(|member| bench.rumour(dead(member, 1, member)));
    bench
}

#[test]
fn gossip_goes_on_when_the_draws_find_nobody() {
    let mut bench = among_the_gone();
    bench.pass(seconds(60));
    assert!(bench.machine.queue.is_empty(), "one time in twenty nobody is found");
}

#[test]
fn who_joins_a_large_pool_waits_for_its_first_exchange_as_long_as_everybody_there() {
    let config = Arc::new(Config { probe_interval: Duration::from_hours(9), ..Config::lan() });
    let agent = |pool: &Pool, address| {
        Bench::new(Swim::new(config.clone(), pool, ProcessId(address), Rng::stream(1, "large")).unwrap())
    };
    let mut bench = agent(&Pool::empty(directory(200)), 0);
    let members = agent(&established(200), 3).machine.records();
    let table = Knowledge { exchange: 7, join: true, members, serf: None };
    bench.message(3, Msg::Push(Box::new(table)));
    let dials = |bench: &Bench<Swim>| bench.sent.iter().filter(|(_, m)| matches!(m, Msg::Dial(_))).count();
    bench.pass(seconds(120));
    assert_eq!(dials(&bench), 0, "an interval of four times 30 s comes first");
    bench.pass(seconds(30));
    assert_eq!(dials(&bench), 1);
}
