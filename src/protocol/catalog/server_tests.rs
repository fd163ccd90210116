//! Stories of servers: who answers, how long reads block, what a leader writes.

use crate::base::id::ProcessId;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::time::Duration;
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::query::Mode;
use crate::protocol::catalog::query::Query;
use crate::protocol::catalog::query::QueryKind;
use crate::protocol::catalog::reconcile::MemberRole;
use crate::protocol::catalog::reconcile::MemberStatus;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::server::ServerEvent;
use crate::protocol::catalog::story::Story;
use crate::protocol::catalog::story::at;
use crate::protocol::catalog::story::register;
use crate::protocol::catalog::story::serf;

const NODE: ProcessId = ProcessId(50);
const STALE: Mode = Mode::Stale(Duration::from_secs(3_600));

fn checks() -> Query {
    Query::new(QueryKind::Checks)
}

/// Servers with one leader and one registered instance, which took the index returned.
fn with_service() -> (Story, u64) {
    let mut story = Story::bare(1);
    story.elect(Some(ProcessId(0)));
    story.tell_server(0, 1, register(NODE, 1, "web", CheckStatus::Passing));
    story.run_for(100);
    let index = story.answers(1)[0].1.unwrap();
    (story, index)
}

#[test]
fn a_blocking_query_returns_on_a_change_and_not_before() {
    let (mut story, index) = with_service();
    story.ask_server(0, 2, checks().after(index));
    story.tell_server(0, 3, Command::Barrier);
    story.tell_server(0, 4, register(NODE, 1, "web", CheckStatus::Passing));
    story.run_for(1_000);
    assert!(story.answers(2).is_empty(), "neither an empty entry nor an equal write wakes it");
    story.tell_server(1, 5, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(100);
    let [(when, Ok(newer))] = story.answers(2)[..] else { panic!("{:?}", story.answers(2)) };
    // To the leader 1 ms, commit 5 ms, answer 1 ms.
    assert_eq!((when, newer), (at(1_107), index + 3));
}

#[test]
fn an_old_index_is_answered_at_once_and_a_greater_one_waits_its_time_out() {
    let (mut story, index) = with_service();
    story.ask_server(0, 2, checks().after(index - 1));
    story.run_for(10);
    assert_eq!(story.answers(2).len(), 1);
    for call in 10..60 {
        let wait = Duration::from_secs(16);
        story.ask_server(0, call, Query { wait, ..checks().after(index) });
    }
    let start = story.now;
    story.run_for(20_000);
    for call in 10..60 {
        let [(when, Ok(same))] = story.answers(call)[..] else { panic!("{:?}", story.answers(call)) };
        let waited = when.since(start);
        assert_eq!(same, index);
        assert!(Duration::from_secs(16) <= waited && waited <= Duration::from_millis(17_001), "{waited}");
    }
}

#[test]
fn waiters_share_one_answer() {
    let (mut story, index) = with_service();
    for call in 10..13 {
        story.ask_server(0, call, checks().mode(Mode::Consistent).after(index));
    }
    story.run_for(10);
    let verified = story.server_events.iter().filter(|(_, _, event)| matches!(event, ServerEvent::VerifyLeader { .. }));
    assert_eq!(verified.count(), 3);
    story.tell_server(0, 2, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(100);
    let verified = story.server_events.iter().filter(|(_, _, event)| matches!(event, ServerEvent::VerifyLeader { .. }));
    assert_eq!(verified.count(), 4, "those that wake together are confirmed together");
    let told: Vec<_> = story.told.iter().filter(|(_, call, _)| *call >= 10).collect();
    assert_eq!(told.len(), 3);
    assert!(
        told.iter()
            .all(|(_, _, result)| { std::sync::Arc::ptr_eq(result.as_ref().unwrap(), told[0].2.as_ref().unwrap()) })
    );
}

#[test]
fn a_watcher_of_a_missing_service_wakes_on_the_extinction_of_another() {
    let (mut story, index) = with_service();
    let kind = QueryKind::Service("gone".into());
    story.ask_server(0, 2, Query::new(kind).after(index));
    story.tell_server(0, 3, register(NODE, 2, "api", CheckStatus::Passing));
    story.run_for(100);
    assert!(story.answers(2).is_empty());
    story.tell_server(0, 4, Command::DeregisterService(NODE, InstanceId(1)));
    story.run_for(100);
    assert_eq!(story.answers(2).len(), 1);
}

#[test]
fn only_the_leader_answers_unless_stale_is_good_enough() {
    let (mut story, index) = with_service();
    story.run_for(1_000);
    story.ask_server(2, 2, checks());
    story.ask_server(2, 3, checks().mode(STALE));
    story.ask_server(2, 4, checks().mode(Mode::Consistent));
    let start = story.now;
    story.run_for(100);
    let after = |call| story.answers(call).iter().map(|(when, _)| when.since(start).as_millis()).collect::<Vec<_>>();
    assert_eq!((after(2), after(3), after(4)), (vec![3], vec![1], vec![5]));
    let contact = |call| {
        let reply =
            story.told.iter().find(|(_, number, _)| *number == call).and_then(|(_, _, reply)| reply.clone().ok());
        reply.map(|reply| (reply.index, reply.last_contact, reply.known_leader)).unwrap()
    };
    assert_eq!(contact(2), (index, Duration::ZERO, true));
    assert_eq!(contact(3), (index, start.since(at(55)), true), "since the last entry came");
}

#[test]
fn a_stale_watcher_on_a_follower_sees_a_change_when_the_follower_does() {
    let (mut story, index) = with_service();
    story.ask_server(2, 2, checks().mode(STALE).after(index));
    let start = story.now;
    story.tell_server(0, 3, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(100);
    assert_eq!(story.answers(2)[0].0.since(start), Duration::from_millis(56));
    let (leader, follower) = (&story.servers[&ProcessId(0)], &story.servers[&ProcessId(2)]);
    assert_eq!(leader.state(), follower.state());
}

#[test]
fn without_a_leader_calls_are_held_for_seven_seconds() {
    let mut story = Story::bare(2);
    for call in 0..20 {
        story.ask_server(1, call, checks());
    }
    story.tell_server(1, 20, Command::Barrier);
    story.ask_server(1, 21, checks().mode(STALE));
    story.run_for(8_000);
    for call in 0..=21 {
        let [(when, Err(RpcError::NoLeader))] = story.answers(call)[..] else { panic!("{:?}", story.answers(call)) };
        assert!(at(7_000) <= when && when < at(7_439), "{when}");
    }
    story.ask_server(1, 30, checks());
    story.run_for(3_000);
    story.elect(Some(ProcessId(2)));
    story.run_for(1_000);
    let [(when, Ok(1))] = story.answers(30)[..] else { panic!("{:?}", story.answers(30)) };
    assert!(when < at(11_000 + 441));
}

#[test]
fn a_new_leader_answers_consistent_reads_only_after_its_barrier() {
    let mut story = Story::bare(3);
    story.stalled = true;
    story.elect(Some(ProcessId(0)));
    story.ask_server(0, 1, checks());
    story.ask_server(0, 2, checks().mode(Mode::Consistent));
    story.run_for(9_000);
    assert_eq!(story.answers(1), [(at(1), Ok(1))]);
    let [(when, Err(RpcError::NotReady))] = story.answers(2)[..] else { panic!("{:?}", story.answers(2)) };
    assert!(at(7_000) <= when && when < at(7_442), "{when}");
}

#[test]
fn what_was_under_way_fails_when_leadership_is_lost() {
    let (mut story, index) = with_service();
    story.stalled = true;
    story.ask_server(0, 2, checks().mode(Mode::Consistent).after(index));
    story.run_for(10);
    story.tell_server(0, 3, register(NODE, 1, "web", CheckStatus::Critical));
    story.ask_server(0, 4, checks().mode(Mode::Consistent));
    story.elect(Some(ProcessId(1)));
    story.run_for(10);
    for call in [3, 4] {
        assert!(matches!(story.answers(call)[..], [(_, Err(RpcError::LeadershipLost))]), "{:?}", story.answers(call));
    }
    story.stalled = false;
    story.tell_server(1, 5, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(100);
    assert!(
        matches!(story.answers(2)[..], [(_, Err(RpcError::LeadershipLost))]),
        "a consistent read that wakes at a former leader fails: {:?}",
        story.answers(2)
    );
}

#[test]
fn a_forwarded_read_survives_the_leaders_death_and_a_write_does_not() {
    let (mut story, index) = with_service();
    story.ask_server(1, 2, checks().after(index));
    story.run_for(10);
    story.refusing.insert(ProcessId(0));
    story.tell_server(1, 3, register(NODE, 1, "web", CheckStatus::Critical));
    story.elect(None);
    story.run_for(100);
    assert!(matches!(story.answers(3)[..], [(_, Err(RpcError::Eof))]), "{:?}", story.answers(3));
    story.elect(Some(ProcessId(2)));
    story.run_for(1_000);
    assert!(story.answers(2).is_empty());
    story.tell_server(1, 4, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(100);
    assert_eq!(story.answers(2).len(), 1);
    assert!(story.answers(2)[0].1.is_ok());
}

#[test]
fn a_silent_leader_is_given_up_by_the_keep_alive() {
    let (mut story, index) = with_service();
    story.ask_server(1, 2, checks().after(index));
    story.run_for(10);
    story.silent.insert(ProcessId(0));
    let start = story.now;
    story.elect(Some(ProcessId(2)));
    story.tell_server(2, 3, register(NODE, 1, "web", CheckStatus::Critical));
    story.run_for(45_000);
    let [(when, Ok(_))] = story.answers(2)[..] else { panic!("{:?}", story.answers(2)) };
    let waited = when.since(start);
    assert!(Duration::from_secs(39) < waited && waited < Duration::from_millis(40_441), "{waited}");
}

#[test]
fn another_datacenter_is_asked_once_through_the_first_of_its_servers() {
    let (mut story, _) = with_service();
    let there = |call: u64, story: &mut Story| {
        story.ask_server(1, call, Query { region: Some(RegionId(7)), ..checks() });
        story.run_for(20_000);
        story.answers(call).iter().map(|(_, result)| *result).collect::<Vec<_>>()
    };
    assert_eq!(there(2, &mut story), [Err(RpcError::NoPath)]);
    for server in [60, 61] {
        story.at_server(ProcessId(1), |server_1, _, _| server_1.remote_server(RegionId(7), ProcessId(server), true));
    }
    story.refusing.insert(ProcessId(60));
    story.silent.insert(ProcessId(61));
    let start = story.now;
    assert_eq!(there(3, &mut story), [Err(RpcError::Dial)]);
    assert_eq!(story.answers(3)[0].0.since(start), Duration::from_millis(3));
    let start = story.now;
    assert_eq!(there(4, &mut story), [Err(RpcError::Dial)], "the second one now, which is silent");
    assert_eq!(story.answers(4)[0].0.since(start), Duration::from_millis(10_001));
}

#[test]
fn a_leader_reconciles_members_one_entry_at_a_time_and_reaps_what_serf_forgot() {
    let mut story = Story::bare(4);
    for node in [10, 11] {
        story.member(ProcessId(node), MemberRole::Client, MemberStatus::Alive);
    }
    story.member(ProcessId(0), MemberRole::Server, MemberStatus::Alive);
    assert!(story.commits.is_empty(), "only a leader reconciles");
    story.elect(Some(ProcessId(0)));
    story.tell_server(0, 1, serf(NODE, CheckStatus::Passing));
    story.run_for(1_000);
    let commits = |story: &Story, from: usize| {
        story.commits[from..]
            .iter()
            .map(|(when, text)| format!("{} {text}", when.as_nanos() / 1_000_000))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        commits(&story, 0),
        [
            "0 Barrier",
            "0 Register p50 serfHealth=Passing",
            "5 Register p0 consul=consul serfHealth=Passing",
            "10 Register p10 serfHealth=Passing",
            "15 Register p11 serfHealth=Passing",
        ]
    );
    let before = story.commits.len();
    story.member(ProcessId(10), MemberRole::Client, MemberStatus::Failed);
    story.member(ProcessId(10), MemberRole::Client, MemberStatus::Failed);
    story.member(ProcessId(11), MemberRole::Client, MemberStatus::Left);
    story.run_for(1_000);
    assert_eq!(commits(&story, before), ["1000 Register p10 serfHealth=Critical", "1005 Deregister p11"]);
    let before = story.commits.len();
    story.run_for(60_000);
    assert_eq!(commits(&story, before), ["60000 Barrier", "60005 Deregister p50"], "unknown to Serf: reaped");
}

#[test]
fn a_new_leader_catches_up_with_what_serf_saw_while_nobody_led() {
    let mut story = Story::begin(5);
    story.refusing.insert(ProcessId(0));
    story.elect(None);
    story.member(ProcessId(10), MemberRole::Client, MemberStatus::Failed);
    story.run_for(5_000);
    let before = story.commits.len();
    story.elect(Some(ProcessId(1)));
    story.run_for(100);
    let texts: Vec<&str> = story.commits[before..].iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["Barrier", "Register p10 serfHealth=Critical"]);
}

#[test]
fn member_events_beyond_the_queue_are_dropped_until_the_next_comparison() {
    let mut story = Story::bare(6);
    story.elect(Some(ProcessId(0)));
    story.run_for(100);
    for node in 0..300 {
        story.member(ProcessId(1_000 + node), MemberRole::Client, MemberStatus::Alive);
    }
    let dropped =
        story.server_events.iter().filter(|(_, _, event)| matches!(event, ServerEvent::MemberEventDropped { .. }));
    assert_eq!(dropped.count(), 300 - 257, "one is being written, 256 wait");
    story.run_for(30_000);
    assert_eq!(story.servers[&ProcessId(0)].state().node_count(), 257);
    story.run_for(32_000);
    assert_eq!(story.servers[&ProcessId(0)].state().node_count(), 300);
}

#[test]
fn a_restored_snapshot_answers_everyone_who_waits() {
    let (mut story, index) = with_service();
    story.ask_server(2, 2, checks().mode(STALE).after(index));
    let snapshot = story.servers[&ProcessId(2)].state().clone();
    story.at_server(ProcessId(2), |server, now, fx| {
        server.restore(now, snapshot, fx);
    });
    story.run_for(10);
    assert_eq!(story.answers(2).len(), 1);
    story.at_server(ProcessId(2), |server, now, _| server.reboot(now, &Kept::default()));
    assert_eq!(story.servers[&ProcessId(2)].state().index(), 0);
}

#[test]
fn a_refused_write_tells_its_caller() {
    let (mut story, _) = with_service();
    let mut orphan = register(NODE, 9, "web", CheckStatus::Passing);
    if let Command::Register(registration) = &mut orphan {
        registration.service = None;
    }
    story.tell_server(0, 2, orphan);
    story.run_for(10);
    assert!(matches!(story.answers(2)[..], [(_, Err(RpcError::Rejected))]));
    story.ask_server(0, 3, Query::new(QueryKind::Node(NODE)));
    story.run_for(10);
    let (_, _, Ok(reply)) = story.told.last().unwrap() else { panic!() };
    let Answer::Node(Some(node)) = &reply.answer else { panic!() };
    assert_eq!(node.instances.len(), 1);
}
