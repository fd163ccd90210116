//! Stories of the Serf machine: one member of a pool of six, the others played by hand.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Input, Kept, Machine};
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::config::SerfConfig;
use crate::protocol::gossip::intent::Status;
use crate::protocol::gossip::lamport::LTime;
use crate::protocol::gossip::members::{Member, Meta, Pool};
use crate::protocol::gossip::message::{Knowledge, Msg, Rumour, SerfKnowledge, Stream, UserEvent};
use crate::protocol::gossip::serf::{Event, Phase, Serf, SerfError, Timer};
use crate::protocol::gossip::testing::{Bench, directory, established};

fn pool_of_six(config: SerfConfig) -> Bench<Serf> {
    Bench::new(Serf::new(Arc::new(config), &established(6), ProcessId(0), (1, "story/serf")).unwrap())
}

fn lan() -> Bench<Serf> {
    pool_of_six(SerfConfig::lan())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn leaves(member: u32, ltime: u64) -> Rumour {
    Rumour::LeaveIntent { member: Member(member), ltime: LTime(ltime), prune: false }
}

fn joins(member: u32, ltime: u64) -> Rumour {
    Rumour::JoinIntent { member: Member(member), ltime: LTime(ltime) }
}

fn dead(member: u32, from: u32) -> Rumour {
    Rumour::Dead { member: Member(member), incarnation: 1, from: Member(from) }
}

fn alive(member: u32, incarnation: u32) -> Rumour {
    Rumour::Alive { member: Member(member), address: ProcessId(member), incarnation, meta: Meta::default() }
}

fn user(ltime: u64, name: &str) -> Rumour {
    Rumour::User(Arc::new(UserEvent { ltime: LTime(ltime), name: name.into(), payload: Box::new([]) }))
}

fn status(bench: &Bench<Serf>, member: u32) -> Option<Status> {
    bench.machine.status(Member(member))
}

/// The events but for those of the layer below.
fn events(bench: &mut Bench<Serf>) -> Vec<Event> {
    bench.take_events().into_iter().filter(|event| !matches!(event, Event::Swim(_))).collect()
}

fn user_names(bench: &mut Bench<Serf>) -> Vec<String> {
    let name = |event| if let Event::User(user) = event { Some(user.name.to_string()) } else { None };
    events(bench).into_iter().filter_map(name).collect()
}

fn merge(bench: &mut Bench<Serf>, serf: SerfKnowledge, join: bool) {
    let push = Knowledge { exchange: 9, join, members: Box::new([]), serf: Some(Arc::new(serf)) };
    bench.message(1, Msg::Push(Box::new(push)));
}

#[test]
fn who_said_so_left_and_who_did_not_failed() {
    let p = ProcessId;
    for (rumours, after, event) in [
        (vec![leaves(3, 5), dead(3, 3)], Status::Left, Event::MemberLeave { member: p(3) }),
        (vec![leaves(3, 5), dead(3, 2)], Status::Left, Event::MemberLeave { member: p(3) }),
        (vec![dead(3, 3)], Status::Failed, Event::MemberFailed { member: p(3) }),
        (vec![leaves(3, 5), joins(3, 6), dead(3, 2)], Status::Failed, Event::MemberFailed { member: p(3) }),
        (vec![leaves(3, 1), dead(3, 2)], Status::Failed, Event::MemberFailed { member: p(3) }),
    ] {
        let mut bench = lan();
        for rumour in rumours {
            bench.rumour(rumour);
        }
        assert_eq!(status(&bench, 3), Some(after));
        assert_eq!(events(&mut bench), [event]);
    }
}

#[test]
fn a_leave_intent_after_the_failure_makes_it_a_leave() {
    let mut bench = lan();
    bench.rumour(dead(3, 2));
    bench.rumour(leaves(3, 5));
    assert_eq!(status(&bench, 3), Some(Status::Left));
    let (failed, left) = (Event::MemberFailed { member: ProcessId(3) }, Event::MemberLeave { member: ProcessId(3) });
    assert_eq!(events(&mut bench), [failed, left]);
    bench.rumour(alive(3, 2));
    assert_eq!(status(&bench, 3), Some(Status::Alive));
    assert_eq!(events(&mut bench), [Event::MemberJoin { member: ProcessId(3) }]);
}

#[test]
fn intents_of_strangers_wait_for_them_and_the_newest_wins() {
    for (rumours, after) in [
        (vec![leaves(3, 5)], Status::Leaving),
        (vec![leaves(3, 5), joins(3, 6)], Status::Alive),
        (vec![joins(3, 6), leaves(3, 5)], Status::Alive),
        (vec![joins(3, 5), leaves(3, 6)], Status::Leaving),
    ] {
        let pool = Pool::empty(directory(6));
        let serf = Serf::new(Arc::new(SerfConfig::lan()), &pool, ProcessId(0), (1, "story/serf")).unwrap();
        let mut bench = Bench::new(serf);
        for rumour in rumours {
            bench.rumour(rumour);
        }
        assert_eq!(status(&bench, 3), None);
        bench.rumour(alive(3, 1));
        assert_eq!(status(&bench, 3), Some(after));
    }
}

#[test]
fn nobody_else_can_make_us_leave() {
    let mut bench = lan();
    bench.rumour(leaves(0, 7));
    assert_eq!(status(&bench, 0), Some(Status::Alive));
    bench.pass(seconds(1));
    let answer = joins(0, 8);
    assert!(bench.sent.iter().any(|(_, m)| m.rumours().contains(&answer)), "a join intent beats the leave intent");
}

#[test]
fn a_graceful_leave_sends_the_intent_then_the_goodbye_then_lingers() {
    let mut bench = lan();
    bench.with(|serf, now, fx| serf.leave(now, fx)).unwrap();
    assert_eq!(bench.with(|serf, now, fx| serf.leave(now, fx)), Err(SerfError::Leaving));
    let mut order = Vec::new();
    while bench.machine.phase() != Phase::Lingering {
        let (at, _) = bench.next_alarm().unwrap();
        bench.pass(at.since(bench.now));
        for (to, msg) in std::mem::take(&mut bench.sent) {
            order.extend(msg.rumours().iter().map(ToString::to_string));
            if let Msg::Ping { seq, .. } = msg {
                bench.message(to.0, Msg::Ack { seq, coordinate: None, rumours: None });
            }
        }
    }
    let goodbye = "left(m0 inc=1)";
    assert!(order.iter().any(|r| r == "leaves(m0 L2)"), "{order:?}");
    let last_intent = order.iter().rposition(|r| r.starts_with("leaves")).unwrap();
    assert!(order.iter().position(|r| r == goodbye).unwrap() > last_intent, "{order:?}");
    assert_eq!(order.iter().filter(|r| *r == goodbye).count(), 4, "its whole budget");
    bench.pass(seconds(1));
    assert_eq!(bench.machine.phase(), Phase::Left);
    assert!(events(&mut bench).contains(&Event::LeaveDone { graceful: true }));
}

#[test]
fn an_exchange_tells_who_left_even_if_the_intent_got_lost() {
    let mut bench = lan();
    let statuses = Box::new([(Member(3), LTime(4)), (Member(4), LTime(6))]);
    let theirs = SerfKnowledge { clock: LTime(9), statuses, left: Box::new([Member(3)]), ..SerfKnowledge::default() };
    merge(&mut bench, theirs, false);
    assert_eq!((status(&bench, 3), status(&bench, 4)), (Some(Status::Leaving), Some(Status::Alive)));
    assert_eq!(bench.machine.clock.time(), LTime(9), "witnessed one before");
    bench.rumour(dead(3, 2));
    assert_eq!(status(&bench, 3), Some(Status::Left));
}

#[test]
fn user_events_are_heard_once_and_old_ones_not_at_all() {
    let mut bench = lan();
    for rumour in [user(3, "a"), user(3, "a"), user(3, "b"), user(600, "c"), user(87, "old"), user(89, "late")] {
        bench.rumour(rumour);
    }
    assert_eq!(user_names(&mut bench), ["a", "b", "c", "late"]);
    bench.with(|serf, now, fx| serf.user_event(now, "mine", &[1, 2], fx)).unwrap();
    assert_eq!(user_names(&mut bench), ["mine"]);
    let too_large = bench.with(|serf, now, fx| serf.user_event(now, "x", &[0; 512], fx));
    assert_eq!(too_large, Err(SerfError::TooLarge { bytes: 513, limit: 512 }));
}

#[test]
fn an_exchange_replays_events_unless_a_join_ignores_the_past() {
    for (ignore_old, heard) in [(false, vec!["a"]), (true, vec![])] {
        let mut bench = lan();
        bench.with(|serf, now, fx| serf.join(now, &[ProcessId(1)], ignore_old, fx)).unwrap();
        let events = Box::new([Arc::new(UserEvent { ltime: LTime(3), name: "a".into(), payload: Box::new([]) })]);
        merge(&mut bench, SerfKnowledge { event_clock: LTime(4), events, ..SerfKnowledge::default() }, true);
        assert_eq!(user_names(&mut bench), heard);
    }
}

#[test]
fn failed_members_are_tried_again_and_forgotten_in_the_end() {
    let mut bench = lan();
    (1..6).for_each(|member| bench.rumour(dead(member, 9)));
    bench.sent.clear();
    bench.pass(seconds(31));
    let dials = bench.sent.iter().filter(|(_, m)| matches!(m, Msg::Dial(Stream::Exchange(_)))).count();
    assert_eq!(dials, 1, "alone among failed members, each interval tries one");
    bench.pass(Duration::from_hours(24));
    let reaped = events(&mut bench).iter().filter(|event| matches!(event, Event::MemberReap { .. })).count();
    assert_eq!((reaped, status(&bench, 3)), (5, None));
    bench.sent.clear();
    bench.pass(seconds(300));
    assert!(bench.sent.is_empty(), "nobody left to try");
}

#[test]
fn a_forced_leave_turns_failed_into_left_and_pruning_forgets() {
    let mut bench = lan();
    bench.rumour(dead(3, 2));
    bench.rumour(dead(4, 2));
    bench.with(|serf, now, fx| serf.force_leave(now, Member(3), false, fx)).unwrap();
    bench.with(|serf, now, fx| serf.force_leave(now, Member(4), true, fx)).unwrap();
    assert_eq!((status(&bench, 3), status(&bench, 4)), (Some(Status::Left), None));
    let unknown = bench.with(|serf, now, fx| serf.force_leave(now, Member(4), false, fx));
    assert_eq!(unknown, Err(SerfError::UnknownMember(Member(4))));
}

#[test]
fn queries_are_answered_once_per_member_and_end_at_their_timeout() {
    let mut bench = lan();
    let id = bench.with(|serf, now, fx| serf.query(now, "uptime", &[], fx)).unwrap();
    for member in [3, 4, 3] {
        bench.message(member, Msg::Answer { id, member: Member(member), payload: Arc::from([]) });
    }
    assert_eq!(bench.machine.query_timeout(), Duration::from_millis(3_200));
    bench.pass(Duration::from_millis(3_199));
    assert!(!events(&mut bench).contains(&Event::QueryDone { id, answers: 2 }));
    bench.pass(Duration::from_millis(1));
    assert!(events(&mut bench).contains(&Event::QueryDone { id, answers: 2 }));
}

#[test]
fn after_a_restart_the_snapshot_names_members_to_rejoin_through() {
    let mut bench = pool_of_six(SerfConfig::nomad());
    bench.rumour(joins(3, 40));
    let now = bench.now;
    bench.machine.reboot(now, &Kept::default());
    bench.sent.clear();
    bench.input(Input::Start);
    assert_eq!(bench.machine.swim().count(), 1);
    let (first, _) = bench.sent[0].clone();
    assert!(matches!(bench.sent[0].1, Msg::Dial(Stream::Exchange(_))));
    bench.sent.clear();
    bench.input(Input::Refused { to: first });
    assert_ne!(bench.sent[0].0, first, "the next one is tried");
    assert_eq!(bench.machine.clock.time(), LTime(41), "the clock survived");
}

#[test]
fn coordinates_travel_on_acks_and_are_learnt_from() {
    let mut bench = lan();
    let before = *bench.machine.coordinate().unwrap();
    bench.message(2, Msg::Ping { seq: 1, target: Member(0), rumours: None });
    let (_, Msg::Ack { coordinate: Some(there), .. }) = bench.sent.pop().unwrap() else { panic!("an ack") };
    let (to, msg) = loop {
        if let Some(ping) = bench.until_sent().into_iter().find(|(_, m)| matches!(m, Msg::Ping { .. })) {
            break ping;
        }
    };
    let Msg::Ping { seq, .. } = msg else { panic!("a ping") };
    bench.now += Duration::from_millis(30);
    bench.message(to.0, Msg::Ack { seq, coordinate: Some(there), rumours: None });
    assert_ne!(*bench.machine.coordinate().unwrap(), before);
}

/// The agent of a restarted server, whose configuration names the first three members.
fn restarted() -> Bench<Serf> {
    let serf = Serf::new(Arc::new(SerfConfig::nomad()), &established(6), ProcessId(0), (1, "story/serf")).unwrap();
    let configured: Arc<[ProcessId]> = (0..3).map(ProcessId).collect();
    let mut bench = Bench::new(serf.configured_with(&configured));
    restart(&mut bench);
    bench
}

fn restart(bench: &mut Bench<Serf>) {
    let now = bench.now;
    bench.machine.reboot(now, &Kept::default());
    bench.sent.clear();
    bench.input(Input::Start);
}

/// Who has been dialled since the last look, lowest first.
fn dialled(bench: &mut Bench<Serf>) -> Vec<u32> {
    let sent = std::mem::take(&mut bench.sent);
    let exchanges = sent.into_iter().filter(|(_, msg)| matches!(msg, Msg::Dial(Stream::Exchange(_))));
    let mut dialled: Vec<u32> = exchanges.map(|(to, _)| to.0).collect();
    dialled.sort_unstable();
    dialled
}

/// Refuses everybody until nobody is tried any more, and says who was.
fn refuse_all(bench: &mut Bench<Serf>) -> Vec<u32> {
    let mut tried = Vec::new();
    loop {
        let now = dialled(bench);
        if now.is_empty() {
            tried.sort_unstable();
            return tried;
        }
        for &peer in &now {
            bench.input(Input::Refused { to: ProcessId(peer) });
        }
        tried.extend(now);
    }
}

#[test]
fn a_snapshot_outlives_restarts_that_reach_nobody_and_drops_who_fails_or_leaves() {
    let mut bench = pool_of_six(SerfConfig::nomad());
    bench.rumour(dead(3, 2));
    bench.rumour(leaves(4, 5));
    restart(&mut bench);
    restart(&mut bench);
    assert_eq!(refuse_all(&mut bench), [1, 2, 4, 5], "a leaver that is still there counts");
    bench.rumour(alive(1, 1));
    bench.rumour(dead(1, 2));
    bench.rumour(alive(3, 2));
    restart(&mut bench);
    assert_eq!(refuse_all(&mut bench), [2, 3, 4, 5]);
}

#[test]
fn who_reaches_nobody_tries_its_configured_servers_every_30_seconds() {
    let mut bench = restarted();
    let tried = refuse_all(&mut bench);
    assert_eq!(tried.iter().filter(|&&peer| peer <= 2).count(), 4, "both ways: {tried:?}");
    assert!(tried.contains(&5) && !tried.contains(&0), "{tried:?}");
    bench.pass(seconds(29));
    assert!(dialled(&mut bench).is_empty());
    bench.pass(seconds(1));
    assert_eq!(dialled(&mut bench), [1, 2]);
    // Nobody answers at all: a dial of the WAN profile takes 30 s, and so does the pause.
    bench.pass(seconds(59));
    assert!(dialled(&mut bench).is_empty());
    bench.pass(seconds(1));
    let dials = std::mem::take(&mut bench.sent);
    let (_, Msg::Dial(stream)) = dials[0].clone() else { panic!("a dial") };
    bench.message(1, Msg::Accept(stream));
    let Some(Msg::Push(push)) = bench.sent.iter().find_map(|(_, m)| matches!(m, Msg::Push(_)).then(|| m.clone()))
    else {
        panic!("a push")
    };
    let theirs = Knowledge { exchange: push.exchange, join: true, members: Box::new([]), serf: None };
    bench.message(1, Msg::Pull(Box::new(theirs)));
    bench.input(Input::Refused { to: ProcessId(2) });
    assert!(events(&mut bench).contains(&Event::JoinDone { reached: 1 }));
    bench.sent.clear();
    bench.pass(Duration::from_mins(10));
    assert!(dialled(&mut bench).is_empty(), "one is enough");
}

#[test]
fn agents_of_an_established_pool_reconnect_out_of_step() {
    let wait = |n: u32| {
        let name = format!("{n}/serf");
        let serf = Serf::new(Arc::new(SerfConfig::lan()), &established(6), ProcessId(0), (1, &name)).unwrap();
        let mut bench = Bench::new(serf);
        bench.rumour(dead(3, 2));
        let (reap, reconnect) = (bench.alarm(Timer::Reap).unwrap(), bench.alarm(Timer::Reconnect).unwrap());
        assert!(reconnect == reap || reconnect == reap + seconds(15), "one ticker started them all");
        reconnect.since(Time::ZERO)
    };
    let waits: Vec<Duration> = (0..60).map(wait).collect();
    for third in 0..3 {
        let of_third = |wait: &&Duration| seconds(10 * third) < **wait && **wait <= seconds(10 * (third + 1));
        assert!(waits.iter().filter(of_third).count() > 10, "{waits:?}");
    }
}

#[test]
fn an_early_join_intent_is_forgotten_in_time() {
    let pool = Pool::empty(directory(6));
    let serf = Serf::new(Arc::new(SerfConfig::lan()), &pool, ProcessId(0), (1, "story/serf")).unwrap();
    let mut bench = Bench::new(serf);
    assert_eq!(bench.alarm(Timer::Reap), None);
    bench.rumour(joins(3, 5));
    assert_eq!(bench.alarm(Timer::Reap), Some(Time::ZERO + seconds(15)));
}

#[test]
fn answers_and_user_events_have_a_limit_no_setting_lifts() {
    let mut bench = pool_of_six(SerfConfig { user_event_bytes_max: 20_000, ..SerfConfig::lan() });
    let event = bench.with(|serf, now, fx| serf.user_event(now, "x", &[0; 9 * 1_024], fx));
    assert_eq!(event, Err(SerfError::TooLarge { bytes: 9 * 1_024 + 1, limit: 9 * 1_024 }));
    let id = bench.with(|serf, now, fx| serf.query(now, "uptime", &[], fx)).unwrap();
    let asked = events(&mut bench).into_iter().find_map(|event| match event {
        Event::Query(query) if query.id == id => Some(query),
        _ => None,
    });
    let query = asked.expect("we are asked too");
    let answer = |bench: &mut Bench<Serf>, bytes: usize| {
        bench.with(|serf, _, fx| serf.answer(&query, vec![0; bytes].into(), fx))
    };
    assert_eq!(answer(&mut bench, 1_025), Err(SerfError::TooLarge { bytes: 1_025, limit: 1_024 }));
    assert_eq!(answer(&mut bench, 1_024), Ok(()));
}
