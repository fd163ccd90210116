//! Stories of agents: checks, synchronisation, choice of servers, what processes on the host see.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Input;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::machine::Token;
use crate::base::time::Duration;
use crate::model::service::Check;
use crate::model::service::CheckKind;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::agent::AgentEvent;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::query::Mode;
use crate::protocol::catalog::query::Query;
use crate::protocol::catalog::query::QueryKind;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::story::Story;
use crate::protocol::catalog::story::TASK;
use crate::protocol::catalog::story::service;

const AGENT: ProcessId = ProcessId(10);
const WEB: CheckId = CheckId::Service { instance: InstanceId(1), ordinal: 0 };

fn http(interval: u64) -> Check {
    Check::new("alive", CheckKind::Http, Duration::from_secs(interval))
}

fn ttl(seconds: u64) -> Check {
    Check::new("beat", CheckKind::Ttl, Duration::from_secs(seconds))
}

fn passing(port: u16, story: &mut Story) {
    story.health.insert(port, (CheckStatus::Passing, 0));
}

/// What the leader's replica has of the check of service 1.
fn in_catalog(story: &Story) -> Option<CheckStatus> {
    let leader = &story.servers[&story.leader?];
    leader.state().node(AGENT)?.check(WEB).map(|check| check.record.status)
}

#[test]
fn a_service_is_registered_at_once_and_passes_within_one_interval() {
    for seed in 0..20 {
        let mut story = Story::begin(seed);
        story.run_for(3_000);
        passing(81, &mut story);
        let start = story.now;
        story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(2)])));
        story.run_for(8);
        assert_eq!(in_catalog(&story), Some(CheckStatus::Critical));
        story.run_for(3_000);
        assert_eq!(in_catalog(&story), Some(CheckStatus::Passing));
        let [(when, CheckStatus::Passing)] = story.changes()[..] else { panic!("{:?}", story.changes()) };
        assert!(when.since(start) < Duration::from_millis(2_003));
    }
}

#[test]
fn a_check_runs_one_interval_after_each_result() {
    let mut story = Story::begin(1);
    passing(81, &mut story);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(5)])));
    story.run_for(60_000);
    let gaps: Vec<u64> = story.probes.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert!(gaps.len() >= 10 && gaps.iter().all(|gap| *gap == 5_002), "{gaps:?}");
    // A hung process: each run ends with its timeout, 10 s here.
    story.health.clear();
    let before = story.probes.len();
    story.run_for(60_000);
    let gaps: Vec<u64> = story.probes[before..].windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert!(gaps.len() == 3 && gaps.iter().all(|gap| *gap == 15_000), "{gaps:?}");
    assert_eq!(in_catalog(&story), Some(CheckStatus::Critical));
}

#[test]
fn a_dead_process_fails_its_checks_at_the_next_run() {
    let mut story = Story::begin(2);
    passing(81, &mut story);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(10)])));
    story.run_for(20_000);
    story.refusing.insert(TASK);
    let start = story.now;
    story.run_for(11_000);
    let (when, status) = *story.changes().last().unwrap();
    assert_eq!(status, CheckStatus::Critical);
    assert!(when.since(start) <= Duration::from_millis(10_004));
    assert_eq!(in_catalog(&story), Some(CheckStatus::Critical));
    story.refusing.clear();
    story.run_for(11_000);
    assert_eq!(in_catalog(&story), Some(CheckStatus::Passing));
}

#[test]
fn a_steady_check_says_nothing_to_the_servers() {
    let mut story = Story::begin(3);
    passing(81, &mut story);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(1)])));
    story.run_for(10_000);
    let before = story.commits.len();
    story.run_for(40_000);
    assert_eq!(story.commits.len(), before);
    assert!(story.probes.len() > 40);
}

#[test]
fn a_ttl_check_fails_when_nobody_reports_in_time() {
    let mut story = Story::begin(4);
    story.run_for(3_000);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![ttl(5)])));
    for _ in 0..4 {
        story.run_for(4_000);
        story.local(AGENT, CatalogMsg::Ttl { check: WEB, status: CheckStatus::Passing, output: 0 });
    }
    let last = story.now;
    story.run_for(6_000);
    let changes = story.changes();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[1], (last + Duration::from_secs(5), CheckStatus::Critical));
    assert_eq!(in_catalog(&story), Some(CheckStatus::Critical));
    story.local(AGENT, CatalogMsg::Ttl { check: WEB, status: CheckStatus::Warning, output: 0 });
    assert_eq!(story.agents[&AGENT].status(WEB), Some(CheckStatus::Warning));
}

#[test]
fn a_service_critical_for_too_long_is_deregistered() {
    for seed in 0..10 {
        let mut story = Story::begin(seed);
        let mut check = http(1);
        check.deregister_after = Some(Duration::from_secs(10));
        passing(81, &mut story);
        story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![check])));
        story.run_for(5_000 + seed * 3_000);
        story.health.insert(81, (CheckStatus::Critical, 1));
        story.run_for(100_000);
        let critical = story.changes().last().unwrap().0;
        let reaped = story.agent_events.iter().find(|(_, event)| matches!(event, AgentEvent::ServiceReaped { .. }));
        let after = reaped.unwrap().0.since(critical);
        assert!(Duration::from_mins(1) < after && after <= Duration::from_secs(90), "at least a minute: {after}");
        assert_eq!(in_catalog(&story), None);
    }
}

#[test]
fn a_new_output_alone_is_written_after_minutes() {
    let mut story = Story::begin(5);
    passing(81, &mut story);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(1)])));
    story.run_for(5_000);
    let before = story.commits.len();
    story.health.insert(81, (CheckStatus::Passing, 7));
    let start = story.now;
    story.run_for(460_000);
    let own: Vec<_> = story.commits[before..].iter().filter(|(_, text)| text.starts_with("Register p10 s1")).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    let after = own[0].0.since(start);
    assert!(Duration::from_secs(150) <= after && after < Duration::from_secs(452), "{after}");
}

#[test]
fn full_synchronisations_come_after_one_to_two_minutes_and_repair_the_catalog() {
    let mut story = Story::begin(6);
    story.run_for(3_000);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![])));
    story.run_for(1_000);
    story.tell_server(0, 1, Command::DeregisterNode(AGENT));
    story.run_for(100);
    assert!(story.servers[&ProcessId(0)].state().node(AGENT).is_none());
    story.run_for(900_000);
    assert!(story.servers[&ProcessId(0)].state().service("web").is_some());
    let full: Vec<_> = story
        .agent_events
        .iter()
        .filter_map(|(when, event)| (*event == AgentEvent::Synced { full: true }).then_some(*when))
        .collect();
    let gaps: Vec<Duration> = full.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.len() >= 7);
    assert!(gaps[1..].iter().all(|gap| Duration::from_secs(59) < *gap && *gap < Duration::from_secs(121)), "{gaps:?}");
}

#[test]
fn without_servers_synchronisation_is_retried_and_a_new_server_speeds_it_up() {
    let mut story = Story::bare(7);
    story.elect(Some(ProcessId(0)));
    let draws = crate::base::rng::Draws::new(7, "agent");
    let config = crate::protocol::catalog::agent::AgentConfig::default();
    story.agents.insert(AGENT, crate::protocol::catalog::agent::CatalogAgent::new(AGENT, config, draws));
    story.at_agent(AGENT, |agent, now, fx| agent.handle(now, Input::Start, fx));
    story.run_for(100_000);
    let failed: Vec<_> = story.agent_events.iter().map(|(when, event)| (*when, event.clone())).collect();
    assert!(
        failed.iter().all(|(_, event)| *event == AgentEvent::SyncFailed { full: true, error: RpcError::NoServers })
    );
    let gaps: Vec<Duration> = failed.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect();
    assert!(gaps.len() >= 3);
    assert!(gaps.iter().all(|gap| Duration::from_secs(15) <= *gap && *gap < Duration::from_secs(30)), "{gaps:?}");
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![])));
    story.at_agent(AGENT, |agent, now, fx| agent.server_up(now, ProcessId(1), fx));
    story.run_for(3_100);
    assert!(story.servers[&ProcessId(0)].state().service("web").is_some());
}

#[test]
fn a_push_that_failed_waits_for_the_next_change() {
    let mut story = Story::begin(8);
    passing(81, &mut story);
    passing(82, &mut story);
    story.run_for(3_000);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(1)])));
    story.local(AGENT, CatalogMsg::Register(service(2, "api", vec![ttl(1_000)])));
    story.run_for(5_000);
    story.elect(None);
    story.health.insert(81, (CheckStatus::Critical, 1));
    story.run_for(20_000);
    // The server holds the call for 7 s; by then the agent's own 7 s are over too.
    let failed: Vec<_> = story
        .agent_events
        .iter()
        .filter(|(_, event)| *event == AgentEvent::SyncFailed { full: false, error: RpcError::NoLeader })
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].0.since(story.changes().last().unwrap().0) < Duration::from_millis(7_500));
    story.elect(Some(ProcessId(1)));
    story.run_for(1_000);
    assert_eq!(in_catalog(&story), Some(CheckStatus::Passing), "nobody tries again by himself");
    let beat = CheckId::Service { instance: InstanceId(2), ordinal: 0 };
    story.local(AGENT, CatalogMsg::Ttl { check: beat, status: CheckStatus::Passing, output: 0 });
    story.run_for(100);
    assert_eq!(in_catalog(&story), Some(CheckStatus::Critical), "another change takes it along");
}

#[test]
fn a_dead_server_is_left_for_the_next_one() {
    let mut story = Story::begin(9);
    story.elect(Some(ProcessId(1)));
    story.run_for(3_000);
    story.refusing.insert(ProcessId(0));
    let start = story.now;
    for ask in 1..=3 {
        let query = Query::new(QueryKind::Checks).mode(Mode::Consistent);
        story.local(AGENT, CatalogMsg::Ask { ask, query: Arc::new(query) });
        story.run_for(1_000);
    }
    let answers: Vec<_> = (1..=3).flat_map(|ask| story.answers(ask)).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(_, result)| result.is_ok()), "a read is repeated: {answers:?}");
    assert!(answers[0].0.since(start) < Duration::from_millis(450));
    story.silent.insert(ProcessId(1));
    story.elect(Some(ProcessId(2)));
    story.at_agent(AGENT, |agent, _, _| {
        agent.server_down(ProcessId(0));
        agent.server_down(ProcessId(1));
    });
    story.local(AGENT, CatalogMsg::Ask { ask: 4, query: Arc::new(Query::new(QueryKind::Checks)) });
    story.run_for(100);
    assert_eq!(story.answers(4).len(), 1);
}

#[test]
fn too_stale_an_answer_is_asked_again_of_the_leader() {
    let mut story = Story::begin(10);
    story.run_for(10_000);
    story.elect(Some(ProcessId(1)));
    story.run_for(3_000);
    let stale = |ask, max| {
        let query = Query::new(QueryKind::Checks).mode(Mode::Stale(Duration::from_secs(max)));
        CatalogMsg::Ask { ask, query: Arc::new(query) }
    };
    story.local(AGENT, stale(1, 60));
    story.local(AGENT, stale(2, 1));
    story.run_for(10);
    let contact = |ask: u64| {
        let told = story.told.iter().find(|(_, number, _)| *number == ask);
        told.and_then(|(when, _, reply)| {
            Some((when.since(story.now - Duration::from_millis(10)), reply.as_ref().ok()?.last_contact))
        })
    };
    let (first, second) = (contact(1).unwrap(), contact(2).unwrap());
    assert!(first.0 == Duration::from_millis(3) && first.1 > Duration::from_secs(2), "{first:?}");
    assert!(second.0 == Duration::from_millis(7) && second.1.is_zero(), "{second:?}");
}

#[test]
fn the_agent_answers_for_itself_and_knows_what_it_does_not_have() {
    let mut story = Story::begin(11);
    story.local(AGENT, CatalogMsg::Register(service(3, "web", vec![http(1)])));
    story.local(AGENT, CatalogMsg::Ask { ask: 1, query: Arc::new(Query::new(QueryKind::Local)) });
    story.local(AGENT, CatalogMsg::Deregister(InstanceId(3)));
    story.local(AGENT, CatalogMsg::Ask { ask: 2, query: Arc::new(Query::new(QueryKind::Local)) });
    story.local(AGENT, CatalogMsg::Ttl { check: WEB, status: CheckStatus::Passing, output: 0 });
    story.run_for(5_000);
    let local = |ask: u64| {
        let (_, _, reply) = story.told.iter().find(|(_, number, _)| *number == ask).unwrap();
        let Answer::Local(ids) = &reply.as_ref().unwrap().answer else { panic!() };
        ids.to_vec()
    };
    assert_eq!((local(1), local(2)), (vec![InstanceId(3)], vec![]));
    assert!(story.servers[&ProcessId(0)].state().service("web").is_none());
}

#[test]
fn maintenance_is_a_critical_check_of_the_service_or_the_node() {
    let mut story = Story::begin(12);
    story.run_for(3_000);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![])));
    story.local(AGENT, CatalogMsg::Maintenance { instance: Some(InstanceId(1)), on: true });
    story.local(AGENT, CatalogMsg::Maintenance { instance: None, on: true });
    story.run_for(100);
    let checks = |story: &Story| {
        let node = story.servers[&ProcessId(0)].state().node(AGENT).unwrap();
        node.all_checks().map(|check| check.record.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(checks(&story), ["serfHealth", "_node_maintenance", "_service_maintenance:s1"]);
    story.local(AGENT, CatalogMsg::Maintenance { instance: Some(InstanceId(1)), on: false });
    story.local(AGENT, CatalogMsg::Maintenance { instance: None, on: false });
    story.run_for(100);
    assert_eq!(checks(&story), ["serfHealth"]);
}

#[test]
fn a_restarted_agent_keeps_its_services_and_checks_them_anew() {
    let mut story = Story::begin(13);
    passing(81, &mut story);
    story.local(AGENT, CatalogMsg::Register(service(1, "web", vec![http(2)])));
    story.run_for(10_000);
    assert_eq!(in_catalog(&story), Some(CheckStatus::Passing));
    story.local(AGENT, CatalogMsg::Register(service(2, "api", vec![])));
    story.at_agent(AGENT, |agent, now, fx| {
        // The start of the agent counts one, each registration one more.
        agent.reboot(now, &Kept { lost: vec![Token(3)] });
        for server in 0..3 {
            agent.server_up(now, ProcessId(server), fx);
        }
        agent.handle(now, Input::Start, fx);
    });
    assert_eq!(story.agents[&AGENT].local().services().collect::<Vec<_>>(), [InstanceId(1)]);
    assert_eq!(story.agents[&AGENT].status(WEB), Some(CheckStatus::Critical));
    story.run_for(10_000);
    assert_eq!(in_catalog(&story), Some(CheckStatus::Passing));
    // Its registration was on the way when the agent died, and came too late for the first comparison to see it.
    story.run_for(120_000);
    assert!(story.servers[&ProcessId(0)].state().service("api").is_none(), "lost with the unfinished write");
}
