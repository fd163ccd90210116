//! Stories of garbage collection: what is forgotten, when, and what stays.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::model::alloc::ClientStatus;
use crate::model::job::{Job, JobId, JobKind, Update};
use crate::model::node::{Eligibility, NodeId};
use crate::protocol::client::event::Exit;
use crate::protocol::scheduler::config::GarbageConfig;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::test_support::job;

type Region = story::Region<Decision>;

fn mins(n: u64) -> Duration {
    Duration::from_mins(n)
}

/// Three servers of a release, clients registered, the job running.
fn running(release: &str, clients: usize, job: Job) -> Region {
    let mut region = Region::of(release, 3, clients, 6);
    settle(&mut region, Operation::RegisterJob(Arc::new(job)));
    region
}

fn settle(region: &mut Region, operation: Operation) {
    region.run_for(Duration::from_secs(20));
    region.operate(1, operation);
    region.run_for(Duration::from_secs(40));
}

/// Minutes in which something is written now and then: without entries the time table does not move on.
fn busy(region: &mut Region, minutes: u64) {
    let node = NodeId(region.clients.len() as u32 - 1);
    for _ in 0..minutes {
        region.run_for(mins(1));
        region.operate(1, Operation::Eligibility { node, eligibility: Eligibility::Eligible });
    }
}

fn state(region: &Region) -> &State {
    region.servers[region.leader.expect("a leader")].state()
}

fn batch() -> Job {
    let mut batch = job(0, 50, 1);
    batch.kind = JobKind::Batch;
    batch.groups[0].reschedule = None;
    batch
}

#[test]
fn ended_evaluations_go_after_an_hour_with_their_ended_allocations() {
    let mut region = running("1.6", 1, job(0, 50, 2));
    settle(&mut region, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 1 });
    assert_eq!(state(&region).allocs().len(), 2);
    busy(&mut region, 55);
    assert_eq!((state(&region).evals().len(), state(&region).allocs().len()), (2, 2));
    busy(&mut region, 16);
    assert_eq!(state(&region).allocs().len(), 1, "what runs stays");
    assert_eq!(state(&region).evals().len(), 1, "and so does the evaluation that placed it");
    assert!(region.servers.iter().all(|server| server.state().allocs().len() == 1));
    let told = |event: &Event| matches!(event, Event::EvalEnqueued { eval } if eval.core.is_some());
    assert!(region.first(crate::base::time::Time::ZERO, told).is_none(), "nobody is told of the servers' own work");
}

#[test]
fn a_new_leader_goes_on_collecting() {
    let mut region = running("1.6", 1, job(0, 50, 2));
    settle(&mut region, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 1 });
    busy(&mut region, 30);
    region.elect(1);
    busy(&mut region, 45);
    assert_eq!(state(&region).allocs().len(), 1);
}

#[test]
fn a_stopped_job_goes_after_four_hours_and_leaves_nothing() {
    let mut rolling = job(0, 50, 1);
    rolling.groups[0].update = Some(Update::default());
    let mut region = running("1.6", 1, rolling);
    settle(&mut region, Operation::DeregisterJob { job: JobId(0), purge: false });
    busy(&mut region, 3 * 60 + 50);
    assert!(state(&region).job(JobId(0)).is_some());
    assert!(state(&region).deployment(crate::model::deployment::DeploymentId(0)).is_none(), "an hour is enough");
    busy(&mut region, 20);
    assert!(state(&region).job_entry(JobId(0)).is_none());
}

#[test]
fn a_node_that_is_down_long_enough_is_forgotten() {
    let garbage = GarbageConfig { node: mins(30), ..GarbageConfig::default() };
    let mut region = Region::configured(3, 2, 4, |config| config.garbage = garbage);
    settle(&mut region, Operation::RegisterJob(Arc::new(job(0, 50, 2))));
    region.kill(3);
    busy(&mut region, 27);
    assert!(state(&region).node(NodeId(0)).is_some());
    busy(&mut region, 15);
    assert!(state(&region).node(NodeId(0)).is_none());
    assert_eq!(region.count(ClientStatus::Running), 2);
    region.dead.clear();
    region.restart_client(0);
    busy(&mut region, 1);
    assert!(state(&region).node(NodeId(0)).is_some(), "it registers again");
}

#[test]
fn evaluations_of_stopped_batch_jobs_are_kept_longer_from_1_5_on() {
    let left = |release: &str| {
        let mut region = running(release, 1, batch());
        settle(&mut region, Operation::DeregisterJob { job: JobId(0), purge: false });
        busy(&mut region, 120);
        state(&region).evals_of_job(JobId(0)).filter(|eval| eval.kind == JobKind::Batch).count()
    };
    assert_eq!((left("1.4.0"), left("1.5.0")), (0, 1));
}

#[test]
fn a_finished_batch_job_keeps_its_allocations_until_it_goes_itself() {
    let mut region = running("1.6", 1, batch());
    let alloc = state(&region).allocs().values().next().expect("one").id;
    region.exit(0, alloc, Exit::Success);
    busy(&mut region, 3 * 60 + 50);
    assert_eq!(state(&region).alloc(alloc).map(|alloc| alloc.client), Some(ClientStatus::Complete));
    busy(&mut region, 30);
    assert!(state(&region).job_entry(JobId(0)).is_none() && state(&region).alloc(alloc).is_none());
}

#[test]
fn a_finished_sysbatch_job_goes_like_a_batch_job() {
    let mut region = running("1.6", 1, Job { kind: JobKind::SysBatch, ..batch() });
    let alloc = state(&region).allocs().values().next().expect("one").id;
    region.exit(0, alloc, Exit::Success);
    busy(&mut region, 3 * 60 + 50);
    assert!(state(&region).job(JobId(0)).is_some());
    busy(&mut region, 30);
    assert!(state(&region).job_entry(JobId(0)).is_none());
}

#[test]
fn on_demand_everything_goes_but_what_a_replacement_has_to_know() {
    let left = |reschedules: bool| {
        let mut service = job(0, 50, 1);
        if !reschedules {
            service.groups[0].reschedule = None;
        }
        let mut region = running("1.6", 1, service);
        settle(&mut region, Operation::RegisterJob(Arc::new(job(1, 50, 1))));
        settle(&mut region, Operation::DeregisterJob { job: JobId(1), purge: false });
        let alloc = state(&region).allocs_of_job(JobId(0)).next().expect("one").id;
        for _ in 0..3 {
            region.exit(0, alloc, Exit::Failure);
            region.run_for(Duration::from_secs(18));
        }
        region.operate(1, Operation::CollectGarbage);
        region.run_for(Duration::from_secs(2));
        assert!(state(&region).job_entry(JobId(1)).is_none(), "the stopped job is gone");
        state(&region).allocs_of_job(JobId(0)).count()
    };
    assert_eq!((left(true), left(false)), (1, 0));
}
