//! Stories of a small region: servers, workers, clients, leader changes.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{AllocId, ClientStatus};
use crate::model::deployment::DeploymentStatus;
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind, Update};
use crate::model::node::{Eligibility, NodeId, NodeStatus};
use crate::protocol::client::event::{Event as ClientEvent, Exit};
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::{Change, Event, OperatorTag};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{AllocsRequest, Reply, Request, RpcError};
use crate::protocol::scheduler::operation::{AllocOf, Operation};
use crate::protocol::scheduler::plan::Rejection;
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::story::{self, Filler};
use crate::protocol::scheduler::test_support::job;
use crate::protocol::scheduler::worker::{Answer, Decide, Step, Work};

type Region = story::Region<Filler>;
/// With Nomad's scheduler.
type Nomad = story::Region<Decision>;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Three servers, clients registered, a job of `count` running.
fn running(clients: usize, room: u64, count: u32) -> Region {
    let mut region = Region::new(3, clients, room);
    region.run_for(secs(20));
    region.operate(1, Operation::RegisterJob(Arc::new(job(0, 50, count))));
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), count as usize);
    region
}

#[test]
fn a_registered_job_runs_and_the_chain_of_events_is_told_once() {
    let region = running(2, 4, 5);
    assert!(matches!(region.answers()[..], [Reply::Operated { eval: Some(_), .. }]));
    let placed = region
        .told
        .iter()
        .filter(|(_, event)| matches!(event, Event::Committed { change: Change::Placed { .. }, .. }))
        .count();
    let acked = region.told.iter().filter(|(_, event)| matches!(event, Event::EvalAcked { .. })).count();
    assert_eq!((placed, acked), (5, 1));
}

#[test]
fn nodes_become_ready_within_the_heartbeat_stagger() {
    let mut region = Region::new(3, 5, 1);
    region.run_for(secs(11));
    let state = region.servers[0].state();
    assert!(state.nodes().values().all(|entry| entry.node.status == NodeStatus::Ready));
    assert_eq!(state.nodes().values().count(), 5);
}

#[test]
fn a_crashed_node_is_missed_after_ttl_and_grace_and_its_work_moves() {
    let mut region = running(2, 4, 4);
    let crash = region.now;
    region.kill(3);
    region.run_for(secs(60));
    let missed = region.first(crash, |event| matches!(event, Event::HeartbeatMissed { .. })).expect("it is noticed");
    let after = missed.since(crash);
    assert!(secs(10) < after && after <= secs(30), "{after}");
    assert_eq!(region.count(ClientStatus::Running), 4);
}

#[test]
fn a_new_leader_gives_a_dead_node_five_minutes() {
    let mut region = running(2, 4, 4);
    let crash = region.now;
    region.kill(0);
    region.kill(3);
    region.run_for(secs(3));
    region.elect(1);
    region.run_for(secs(360));
    let missed = region.first(crash, |event| matches!(event, Event::HeartbeatMissed { .. })).expect("it is noticed");
    let after = missed.since(crash);
    assert!(secs(303) <= after && after < secs(304), "{after}");
    assert_eq!(region.count(ClientStatus::Running), 4, "the other node never missed a beat");
}

#[test]
fn a_request_waits_five_seconds_for_a_leader() {
    let mut region = running(1, 4, 1);
    region.servers[1].leader_known(None);
    let asked = region.now;
    region.operate(1, Operation::EvaluateJob(JobId(0)));
    region.run_for(secs(10));
    let told = region.first(asked, |event| matches!(event, Event::Operated { .. })).expect("an answer");
    assert_eq!(region.answers().last(), Some(&Reply::Failed(RpcError::NoLeader)));
    assert!(secs(5) <= told.since(asked) && told.since(asked) < Duration::from_millis(5_400));
    region.operate(1, Operation::EvaluateJob(JobId(0)));
    region.run_for(secs(2));
    region.elect(2);
    region.run_for(secs(2));
    assert!(matches!(region.answers().last(), Some(Reply::Operated { .. })), "held until there is one");
}

#[test]
fn unknown_things_are_errors() {
    let mut region = running(1, 4, 1);
    for (operation, error) in [
        (Operation::EvaluateJob(JobId(9)), RpcError::UnknownJob),
        (Operation::StopAlloc(AllocOf::Number(AllocId(9))), RpcError::UnknownAlloc),
        (Operation::ScaleJob { job: JobId(0), group: "x".into(), count: 1 }, RpcError::UnknownGroup),
    ] {
        region.operate(2, operation);
        region.run_for(secs(1));
        assert_eq!(region.answers().last(), Some(&Reply::Failed(error)));
    }
}

#[test]
fn work_that_does_not_fit_runs_when_capacity_appears() {
    let mut region = Region::new(3, 2, 2);
    region.kill(4);
    region.run_for(secs(20));
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 3))));
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 2);
    assert!(region.told.iter().any(|(_, event)| matches!(event, Event::BlockedCount { total: 1, .. })));
    region.dead.clear();
    region.restart_client(1);
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 3, "the new node unblocked it");
    assert!(region.told.iter().any(|(_, event)| matches!(event, Event::BlockedCount { total: 0, .. })));
}

#[test]
fn scaling_down_stops_and_stopping_frees_room_for_others() {
    let mut region = running(1, 4, 4);
    region.operate(2, Operation::RegisterJob(Arc::new(job(1, 50, 2))));
    region.run_for(secs(10));
    assert_eq!(region.count(ClientStatus::Running), 4, "no room");
    region.operate(0, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 2 });
    region.run_for(secs(10));
    let state = region.servers[0].state();
    let of = |id: u32| state.allocs_of_job(JobId(id)).filter(|a| !a.is_terminal()).count();
    assert_eq!((of(0), of(1)), (2, 2));
}

#[test]
fn a_worker_that_dies_with_an_evaluation_costs_a_nack_timeout() {
    let mut region = Region::new(3, 1, 8);
    region.run_for(secs(20));
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 1))));
    // Followers hold every waiting dequeue but the leader's one; whoever gets the evaluation dies at once.
    region.run_for(Duration::from_millis(4));
    region.kill(1);
    region.kill(2);
    let killed = region.now;
    region.run_for(secs(90));
    assert_eq!(region.count(ClientStatus::Running), 1);
    let nacked = region.first(killed, |event| matches!(event, Event::EvalNacked { timeout: true, .. }));
    if let Some(nacked) = nacked {
        assert!(nacked.since(killed) <= secs(60));
    }
}

#[test]
fn a_stopped_alloc_is_replaced_once_it_has_ended() {
    let mut region = running(2, 4, 1);
    region.stop_time = secs(4);
    let first = region.servers[0].state().allocs().values().next().expect("one").id;
    let asked = region.now;
    region.operate(0, Operation::StopAlloc(AllocOf::Name { job: JobId(0), group: "web".into(), index: 0 }));
    region.run_for(secs(20));
    let state = region.servers[0].state();
    let replacement = state.allocs().values().find(|alloc| alloc.previous == Some(first)).expect("a replacement");
    assert_eq!(state.alloc(first).expect("kept").client, ClientStatus::Complete);
    assert_eq!(replacement.client, ClientStatus::Running);
    let started = region
        .client_told
        .iter()
        .find(|(_, _, event)| matches!(event, ClientEvent::StartTask { alloc, .. } if alloc.previous == Some(first)))
        .expect("it started");
    assert!(started.0.since(asked) > secs(4), "it waited for its predecessor to end");
}

#[test]
fn a_failing_task_restarts_twice_then_its_alloc_fails_and_an_evaluation_follows() {
    let mut region = running(1, 4, 1);
    let alloc = region.servers[0].state().allocs().values().next().expect("one").id;
    for _ in 0..3 {
        region.exit(0, alloc, Exit::Failure);
        region.run_for(secs(25));
    }
    let restarts =
        region.client_told.iter().filter(|(_, _, event)| matches!(event, ClientEvent::TaskRestarting { .. })).count();
    assert_eq!(restarts, 2);
    assert_eq!(region.servers[0].state().alloc(alloc).expect("kept").client, ClientStatus::Failed);
    assert!(region.told.iter().any(|(_, event)| matches!(
        event,
        Event::EvalEnqueued { eval } if eval.trigger == crate::model::evaluation::Trigger::AllocFailure
    )));
    assert_eq!(region.count(ClientStatus::Running), 1, "replaced");
}

#[test]
fn tasks_survive_a_restart_of_the_client_process() {
    let mut region = running(1, 4, 2);
    let from = region.now;
    region.restart_client(0);
    region.run_for(secs(30));
    let reattached = region
        .client_told
        .iter()
        .filter(|(at, _, event)| *at >= from && matches!(event, ClientEvent::ReattachTask { .. }));
    assert_eq!(reattached.count(), 2);
    assert!(
        !region
            .client_told
            .iter()
            .any(|(at, _, event)| { *at >= from && matches!(event, ClientEvent::StartTask { .. }) })
    );
    assert_eq!(region.count(ClientStatus::Running), 2);
}

#[test]
fn a_node_cut_off_and_declared_lost_stops_its_work_when_it_returns() {
    let mut region = running(2, 4, 2);
    region.kill(3);
    let until = region.now + secs(60);
    region.run_for(secs(60));
    assert_eq!(region.count(ClientStatus::Running), 2);
    region.dead.clear();
    region.restart_client(0);
    region.run_for(secs(60));
    let stopped = region
        .client_told
        .iter()
        .any(|(at, client, event)| *at >= until && *client == 0 && matches!(event, ClientEvent::StopTask { .. }));
    assert!(stopped, "it learned what the servers want");
    assert_eq!(region.count(ClientStatus::Running), 2);
    let state = region.servers[0].state();
    assert!(state.nodes().values().all(|entry| entry.node.status == NodeStatus::Ready));
}

#[test]
fn a_snapshot_answers_the_queries_whose_index_it_has_passed() {
    let mut region = Region::new(3, 2, 4);
    region.run_for(secs(20));
    let before = region.servers[2].state().clone();
    region.operate(1, Operation::RegisterJob(Arc::new(job(0, 50, 4))));
    region.run_for(secs(20));
    let after = region.servers[2].state().clone();
    let (node, index) = (NodeId(0), before.index());
    // The server is set back; two queries wait for what it has not seen, one for what nobody has.
    let ask = |region: &mut Region, tag, request| {
        region.server(2, |server, now, fx| server.query(now, Origin::Operator(OperatorTag(tag)), request, fx));
    };
    region.server(2, |server, now, fx| server.install(now, before, fx));
    region.told.clear();
    let body = |min_index| Request::Allocs(Arc::new(AllocsRequest { ids: Vec::new(), min_index }));
    ask(&mut region, 1, Request::ClientAllocs { node, min_index: index });
    ask(&mut region, 2, body(after.index()));
    ask(&mut region, 3, body(after.index() + 1));
    assert!(region.told.is_empty(), "{:?}", region.told);
    region.server(2, |server, now, fx| server.install(now, after, fx));
    let answered = |(_, event): &(Time, Event)| match event {
        Event::Operated { tag, reply: Reply::ClientAllocs(_) | Reply::Allocs(_) } => Some(tag.0),
        _ => None,
    };
    assert_eq!(region.told.iter().filter_map(answered).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn plans_overlap_and_conflicts_are_rejected_by_node() {
    let mut region = Region::new(3, 1, 3);
    region.run_for(secs(20));
    for id in 0..3 {
        region.operate(0, Operation::RegisterJob(Arc::new(job(id, 50, 2))));
    }
    region.run_for(secs(30));
    assert_eq!(region.count(ClientStatus::Running), 3, "never more than fit");
    let rejected = region.told.iter().any(|(_, event)| {
        matches!(event, Event::PlanEvaluated { rejected, .. }
        if matches!(rejected[..], [(NodeId(0), Rejection::Misfit(_))]))
    });
    assert!(rejected, "workers decided on the same snapshot");
}

#[test]
fn losing_leadership_drops_the_queues_and_the_next_leader_restores_them() {
    let mut region = Region::new(3, 1, 2);
    region.run_for(secs(20));
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 5))));
    region.run_for(secs(10));
    region.elect(1);
    region.run_for(secs(10));
    assert!(!region.servers[0].broker().is_enabled() && region.servers[1].is_ready());
    let blocked = region.told.iter().rev().find_map(|(_, event)| match event {
        Event::BlockedCount { total, .. } => Some(*total),
        _ => None,
    });
    assert_eq!(blocked, Some(1));
    region.operate(0, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 2 });
    region.run_for(secs(10));
    assert_eq!(region.servers[1].state().job(JobId(0)).map(|job| job.groups[0].count), Some(2));
}

#[test]
fn a_dead_server_is_noticed_by_keepalives_and_clients_move_on() {
    let mut region = running(6, 2, 6);
    region.kill(2);
    region.run_for(secs(300));
    assert!(region.first(Time::ZERO, |event| matches!(event, Event::HeartbeatMissed { .. })).is_none_or(|_| {
        // A client whose heartbeats went to the dead server may be silent for up to 40 s; it then returns.
        region.servers[0].state().nodes().values().all(|entry| entry.node.status == NodeStatus::Ready)
    }));
    assert_eq!(region.count(ClientStatus::Running), 6);
}

#[test]
fn an_idle_region_costs_heartbeats_and_dequeues_only() {
    let mut region = running(10, 2, 10);
    let before = region.messages;
    region.run_for(secs(100));
    let per_second = (region.messages - before) / 100;
    // Two followers with four workers each ask twice a second; ten clients beat every 10 to 20 s.
    assert!(per_second <= 8 * 2 * 2 + 8, "{per_second}");
}

#[test]
fn a_killed_leader_process_refuses_and_everyone_turns_to_the_next() {
    let mut region = running(4, 2, 4);
    region.kill(0);
    region.refusing.insert(0);
    region.run_for(secs(3));
    region.elect(2);
    let elected = region.now;
    region.run_for(secs(20));
    region.operate(1, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 6 });
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 6);
    assert!(region.first(elected, |event| matches!(event, Event::HeartbeatMissed { .. })).is_none());
}

fn nomad(clients: usize, room: u64, job: Job) -> Nomad {
    let mut region = Nomad::new(3, clients, room);
    region.run_for(secs(20));
    let count = job.groups[0].count;
    region.operate(1, Operation::RegisterJob(Arc::new(job)));
    region.run_for(secs(30));
    assert_eq!(region.count(ClientStatus::Running), count as usize);
    region
}

#[test]
fn nomads_scheduler_replaces_what_a_crashed_node_ran() {
    let mut region = nomad(3, 4, job(0, 50, 6));
    region.kill(4);
    region.run_for(secs(60));
    assert_eq!(region.count(ClientStatus::Running), 6);
    assert!(region.servers[0].state().allocs_of_node(NodeId(1)).all(|alloc| alloc.is_terminal()));
}

#[test]
fn nomads_scheduler_reschedules_a_failed_alloc_after_its_delay() {
    let mut region = nomad(2, 4, job(0, 50, 1));
    let alloc = region.servers[0].state().allocs().values().next().expect("one").clone();
    let node = alloc.node.0 as usize;
    for _ in 0..3 {
        region.exit(node, alloc.id, Exit::Failure);
        region.run_for(secs(18));
    }
    assert_eq!(region.count(ClientStatus::Running), 0, "the first delay is 30 s");
    region.run_for(secs(40));
    assert_eq!(region.count(ClientStatus::Running), 1);
}

#[test]
fn nomads_scheduler_waits_for_room_and_is_unblocked() {
    let mut region = nomad(1, 4, job(0, 50, 4));
    region.operate(2, Operation::RegisterJob(Arc::new(job(1, 50, 2))));
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 4);
    region.operate(2, Operation::DeregisterJob { job: JobId(0), purge: false });
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 2);
}

#[test]
fn a_rolling_update_proceeds_one_by_one_as_health_is_reported() {
    let mut rolling = job(0, 50, 3);
    rolling.groups[0].update = Some(Update::default());
    let mut region = nomad(2, 6, rolling.clone());
    region.run_for(secs(30));
    let mut next = rolling;
    next.groups[0].tasks[0].config = "image = v2".into();
    let from = region.now;
    region.operate(0, Operation::RegisterJob(Arc::new(next)));
    region.run_for(secs(120));
    let state = region.servers[0].state();
    assert_eq!(region.count(ClientStatus::Running), 3);
    let live = || state.allocs().values().filter(|alloc| !alloc.is_terminal());
    assert!(live().all(|alloc| alloc.job.version == 1), "all replaced");
    let deployment = state.latest_deployment(JobId(0)).expect("a deployment");
    assert_eq!(deployment.status, DeploymentStatus::Successful);
    let placed: Vec<_> = region
        .told
        .iter()
        .filter(|(at, event)| *at >= from && matches!(event, Event::Committed { change: Change::Placed { .. }, .. }))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(placed.len(), 3);
    assert!(placed.windows(2).all(|pair| pair[1].since(pair[0]) > secs(11)), "10 s healthy and the batches between");
}

#[test]
fn a_bad_version_fails_its_deployment_and_is_reverted() {
    let mut good = job(0, 50, 2);
    good.groups[0].update = Some(Update { auto_revert: true, ..Update::default() });
    let mut region = nomad(2, 6, good.clone());
    region.run_for(secs(60));
    let mut bad = good;
    bad.groups[0].tasks[0].config = "image = broken".into();
    region.bad_image = Some("image = broken".into());
    region.operate(0, Operation::RegisterJob(Arc::new(bad)));
    region.run_for(secs(900));
    let state = region.servers[0].state();
    let current = state.job(JobId(0)).expect("registered");
    assert_eq!((current.version, &*current.groups[0].tasks[0].config), (2, ""), "reverted to the first version");
    assert_eq!(region.count(ClientStatus::Running), 2);
}

#[test]
fn the_laws_hold_through_crashes_and_changes_of_leaders() {
    let mut region = nomad(5, 6, job(0, 50, 12));
    region.operate(0, Operation::RegisterJob(Arc::new(job(1, 70, 6))));
    region.run_for(secs(20));
    region.kill(5);
    region.run_for(secs(10));
    region.elect(1);
    region.run_for(secs(310));
    region.operate(2, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 8 });
    region.kill(0);
    region.elect(2);
    region.run_for(secs(400));
    assert_eq!(region.count(ClientStatus::Running), 14);
}

#[test]
fn a_drained_node_hands_its_work_over_one_by_one() {
    let mut region = nomad(2, 6, job(0, 50, 4));
    let from = region.now;
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(3_600)), ignore_system_jobs: false });
    region.run_for(secs(120));
    let state = region.servers[0].state();
    assert!(state.allocs_of_node(NodeId(0)).all(|alloc| alloc.is_terminal()));
    assert_eq!(region.count(ClientStatus::Running), 4);
    let node = &state.node(NodeId(0)).expect("registered").node;
    assert!(node.drain.is_none() && node.eligibility == Eligibility::Ineligible, "done, and stays ineligible");
    let moved: Vec<_> = region
        .told
        .iter()
        .filter(|(at, event)| *at >= from && matches!(event, Event::Committed { change: Change::Placed { .. }, .. }))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(moved.len(), 2);
    assert!(moved[1].since(moved[0]) > secs(10), "the next moves once the one before is healthy");
}

#[test]
fn at_the_deadline_everything_left_moves_at_once() {
    let mut batch = job(0, 50, 3);
    batch.kind = JobKind::Batch;
    let mut region = nomad(2, 6, batch);
    let on_it = region.servers[0].state().allocs_of_node(NodeId(0)).count();
    assert!(on_it > 0);
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(30)), ignore_system_jobs: false });
    region.run_for(secs(29));
    let running = |region: &Nomad| {
        region.servers[0].state().allocs_of_node(NodeId(0)).filter(|alloc| !alloc.is_terminal()).count()
    };
    assert_eq!(running(&region), on_it, "batch work is left alone until then");
    region.run_for(secs(30));
    assert_eq!((running(&region), region.count(ClientStatus::Running)), (0, 3));
}

/// Two servers, of which the one that follows has the only worker, and a client.
fn one_worker() -> Region {
    let mut region = Region::configured(2, 1, 8, |config| config.workers = u16::from(config.id == ProcessId(1)));
    region.run_for(secs(20));
    region
}

fn is_about_five_seconds(span: Duration) -> bool {
    secs(5) <= span && span < Duration::from_millis(5_010)
}

#[test]
fn a_job_s_next_evaluation_sees_what_the_one_before_planned() {
    let mut region = one_worker();
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 1))));
    region.run_for(Duration::from_millis(3));
    region.operate(0, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 2 });
    region.run_for(secs(10));
    assert_eq!(region.servers[0].state().evals().len(), 2);
    assert_eq!(region.servers[0].state().allocs().len(), 2, "the second one is added to the first");
}

#[test]
fn a_worker_whose_state_lags_for_five_seconds_gives_its_evaluation_back() {
    let mut region = one_worker();
    region.stalled.insert(1);
    let asked = region.now;
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 2))));
    region.run_for(secs(6));
    let taken = region.first(asked, |event| matches!(event, Event::EvalDequeued { .. })).expect("it is taken");
    let nacked = region.first(asked, |event| matches!(event, Event::EvalNacked { timeout: false, .. }));
    assert!(is_about_five_seconds(nacked.expect("it is given back").since(taken)));
    region.catch_up(1);
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 2);
}

#[test]
fn a_plan_is_given_up_when_the_leader_s_state_lags_for_five_seconds() {
    let mut region = one_worker();
    region.stalled.insert(1);
    let asked = region.now;
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 2))));
    region.run_for(secs(1));
    // One more entry, which the worker's server applies and the leader does not.
    region.stalled.insert(0);
    region.operate(0, Operation::EvaluateJob(JobId(0)));
    region.run_for(Duration::from_millis(100));
    region.catch_up(1);
    region.run_for(secs(8));
    let submitted = region.first(asked, |event| matches!(event, Event::PlanSubmitted { .. })).expect("it is planned");
    let nacked = region.first(asked, |event| matches!(event, Event::EvalNacked { timeout: false, .. }));
    assert!(is_about_five_seconds(nacked.expect("it is given back").since(submitted)));
    region.catch_up(0);
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 2);
}

/// Decides nothing: gives every evaluation back.
#[derive(Debug, Clone)]
struct Hopeless;

impl Decide for Hopeless {
    fn begin(_eval: &Arc<Evaluation>, _state: State, _config: &SchedulerConfig, _seed: u64) -> Self {
        Self
    }

    fn step(&mut self, _now: Time, _answer: Answer) -> (Step, Work) {
        (Step::Failed, Work::default())
    }
}

#[test]
fn an_evaluation_given_back_three_times_fails_and_another_follows_minutes_later() {
    let mut region = story::Region::<Hopeless>::new(3, 0, 1);
    region.run_for(secs(1));
    let asked = region.now;
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 1))));
    region.run_for(secs(22));
    let acked = region.first(asked, |event| matches!(event, Event::EvalAcked { .. })).expect("the leader acknowledges");
    let after = acked.since(asked);
    // The worker looks at its state, which lags a little, 20 ms and 340 ms after it was given the evaluation.
    assert!(secs(21) <= after && after < Duration::from_millis(21_500), "1 s and 20 s: {after}");
    let nacks = region.told.iter().filter(|(_, event)| matches!(event, Event::EvalNacked { .. })).count();
    assert_eq!(nacks, 3);
    let evals: Vec<Evaluation> =
        region.servers[0].state().evals().values().map(|eval| Evaluation::clone(eval)).collect();
    let [failed, next] = &evals[..] else { panic!("one follows the other") };
    assert_eq!((failed.status, next.status), (EvalStatus::Failed, EvalStatus::Pending));
    assert_eq!((next.trigger, next.previous), (Trigger::FailedFollowUp, Some(failed.id)));
    assert!(secs(60) <= next.wait && next.wait < secs(360), "{}", next.wait);
    let stats = region.servers[0].broker().stats();
    assert_eq!((stats.unacked, stats.ready, stats.pending, stats.waiting), (0, 0, 0, 1));
    region.run_for(next.wait);
    let again = region.first(acked, |event| matches!(event, Event::EvalDequeued { .. })).expect("it is tried again");
    assert_eq!(again.since(acked), next.wait);
}

/// Gives up as after too many attempts; carries out what waited for another time.
#[derive(Debug, Clone)]
struct Unlucky {
    eval: Arc<Evaluation>,
    is_written: bool,
}

impl Decide for Unlucky {
    fn begin(eval: &Arc<Evaluation>, _state: State, _config: &SchedulerConfig, _seed: u64) -> Self {
        Self { eval: Arc::clone(eval), is_written: false }
    }

    fn step(&mut self, _now: Time, _answer: Answer) -> (Step, Work) {
        if std::mem::replace(&mut self.is_written, true) {
            return (Step::Done, Work::default());
        }
        let eval = Evaluation::clone(&self.eval);
        let evals = if eval.trigger == Trigger::MaxPlanAttempts {
            vec![Evaluation { status: EvalStatus::Complete, ..eval }]
        } else {
            let (id, trigger, status) = (EvalId::NEW, Trigger::MaxPlanAttempts, EvalStatus::Blocked);
            vec![
                Evaluation { status: EvalStatus::Failed, ..eval.clone() },
                Evaluation { id, trigger, status, snapshot_index: u64::MAX, ..eval },
            ]
        };
        (Step::Write(evals), Work::default())
    }
}

#[test]
fn what_waits_for_plans_without_conflicts_is_tried_again_once_a_minute() {
    let mut region = story::Region::<Unlucky>::new(3, 0, 1);
    region.run_for(secs(90));
    region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 1))));
    region.run_for(secs(5));
    let waits = |region: &story::Region<Unlucky>| {
        let count = |event: &Event| if let Event::BlockedCount { total, .. } = event { Some(*total) } else { None };
        region.told.iter().rev().find_map(|(_, event)| count(event))
    };
    assert_eq!(waits(&region), Some(1));
    let again =
        |event: &Event| matches!(event, Event::EvalDequeued { eval, .. } if eval.trigger == Trigger::MaxPlanAttempts);
    let begun = region.first(Time::ZERO, |event| matches!(event, Event::LeaderEstablished { .. })).expect("it leads");
    region.run_for(secs(30));
    assert_eq!(region.first(Time::ZERO, again).expect("it is released").since(begun), secs(120));
    assert_eq!(waits(&region), Some(0));
}
