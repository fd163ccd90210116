//! Stories of the control plane: deployments, drains, operators, releases.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::model::job::{Job, JobId, JobKind, TaskGroup, Update};
use crate::model::node::NodeId;
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::message::{Operation, Reply, RpcError};
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::test_support::job;

type Region = story::Region<Decision>;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Three servers of a release, clients registered, the job running.
fn running(release: &str, clients: usize, room: u64, job: Job) -> Region {
    let mut region = Region::of(release, 3, clients, room);
    region.run_for(secs(20));
    region.operate(1, Operation::RegisterJob(Arc::new(job)));
    region.run_for(secs(40));
    region
}

/// A second version of the job.
fn changed(job: &Job) -> Job {
    let mut next = job.clone();
    next.groups[0].tasks[0].config = "image = v2".into();
    next
}

#[test]
fn a_group_without_canaries_holds_promotion_up_until_1_1_4() {
    let status = |release: &str| {
        let mut mixed = job(0, 50, 1);
        mixed.groups[0].update = Some(Update { canary: 1, auto_promote: true, ..Update::default() });
        let plain = TaskGroup { name: "plain".into(), update: Some(Update::default()), ..mixed.groups[0].clone() };
        mixed.groups.push(plain);
        let mut region = running(release, 2, 6, mixed.clone());
        region.operate(0, Operation::RegisterJob(Arc::new(changed(&mixed))));
        region.run_for(secs(120));
        let state = region.servers[0].state();
        state.latest_deployment(JobId(0)).expect("a deployment").groups["web"].promoted
    };
    assert_eq!((status("1.1.3"), status("1.1.4")), (false, true));
}

#[test]
fn a_drain_ends_once_tasks_ended_from_1_5_4_on() {
    let ended_early = |release: &str| {
        let mut slow = job(0, 50, 2);
        slow.groups[0].tasks[0].kill_timeout = secs(30);
        let mut region = running(release, 2, 6, slow);
        region.stop_time = secs(25);
        let from = region.now;
        region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(3_600)), ignore_system_jobs: false });
        region.run_for(secs(120));
        let ended = |event: &Event| {
            matches!(event, Event::Propose { command, .. }
            if matches!(**command, Command::NodeDrain { strategy: None, .. }))
        };
        let ended = region.first(from, ended).expect("the drain is over");
        ended.since(from) < secs(25)
    };
    assert_eq!((ended_early("1.5.3"), ended_early("1.5.4")), (true, false));
}

#[test]
fn a_drain_s_deadline_and_its_start_survive_a_change_of_leaders() {
    let mut batch = job(0, 50, 3);
    batch.kind = JobKind::Batch;
    let mut region = running("1.6", 2, 6, batch);
    let live = |region: &Region| {
        let leader = region.leader.expect("a leader");
        region.servers[leader].state().allocs_of_node(NodeId(0)).filter(|alloc| !alloc.is_terminal()).count()
    };
    let from = region.now;
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(600)), ignore_system_jobs: true });
    region.run_for(secs(5));
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(60)), ignore_system_jobs: true });
    region.run_for(secs(5));
    let strategy = region.servers[1].state().node(NodeId(0)).and_then(|entry| entry.node.drain).expect("it drains");
    assert!(strategy.started_at.since(from) < secs(1), "a second strategy keeps the start");
    assert!(strategy.ignore_system_jobs && strategy.deadline.is_some_and(|at| at.since(from) < secs(66)));
    region.elect(1);
    region.run_for(secs(40));
    assert!(live(&region) > 0, "batch work stays until the deadline");
    region.run_for(secs(40));
    assert_eq!(live(&region), 0);
}

#[test]
fn a_drain_goes_on_when_a_smaller_count_frees_an_allocation() {
    let mut narrow = job(0, 50, 2);
    narrow.groups[0].migrate = Some(crate::model::job::Migrate { max_parallel: 0, ..Default::default() });
    let mut region = running("1.6", 2, 6, narrow.clone());
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: None, ignore_system_jobs: false });
    region.run_for(secs(30));
    let marked = |state: &State| state.allocs().values().filter(|alloc| alloc.transition.migrate).count();
    assert_eq!(marked(region.servers[0].state()), 0, "nothing may move");
    narrow.groups[0].migrate = Some(crate::model::job::Migrate::default());
    region.operate(1, Operation::RegisterJob(Arc::new(narrow)));
    region.run_for(secs(3));
    assert_eq!(marked(region.servers[0].state()), 1);
}

#[test]
fn sysbatch_jobs_are_refused_before_1_2() {
    let answer = |release: &str| {
        let mut once = job(0, 50, 1);
        once.kind = JobKind::SysBatch;
        running(release, 1, 4, once).answers().last().cloned()
    };
    assert_eq!(answer("1.1.18"), Some(Reply::Failed(RpcError::UnsupportedKind)));
    assert!(matches!(answer("1.2.0"), Some(Reply::Operated { .. })));
}

#[test]
fn a_job_that_is_no_system_job_any_more_leaves_their_list() {
    let mut state = State::new();
    let mut spec = job(0, 50, 1);
    spec.kind = JobKind::System;
    state.apply(1, &Command::RegisterJob { job: Arc::new(spec.clone()), eval: None });
    assert_eq!(state.system_jobs(), [JobId(0)]);
    spec.kind = JobKind::Service;
    state.apply(2, &Command::RegisterJob { job: Arc::new(spec), eval: None });
    assert_eq!(state.system_jobs(), []);
}
