//! Stories of deployments: deadlines, health counted and reported, promotion.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::AllocId;
use crate::model::deployment::{Deployment, DeploymentStatus};
use crate::model::evaluation::Trigger;
use crate::model::job::{HealthCheck, Job, JobId, JobKind, TaskGroup, Update};
use crate::model::service::{Check, CheckKind, Service};
use crate::protocol::client::event::Exit;
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::control_tests::{DEPLOYMENT, Region, answer, changed, rolling, running, secs};
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::operation::{AllocOf, Operation};
use crate::protocol::scheduler::story_tests;
use crate::protocol::scheduler::test_support::job;

fn deployment(region: &Region) -> Arc<Deployment> {
    let state = region.servers[region.leader.expect("a leader")].state();
    Arc::clone(state.latest_deployment(JobId(0)).expect("a deployment"))
}

/// A job with a second group.
fn with_second(mut job: Job, name: &str, count: u32, update: Update) -> Job {
    let second = TaskGroup { name: name.into(), count, update: Some(update), ..job.groups[0].clone() };
    job.groups.push(second);
    job
}

/// Nobody judges its health.
fn manual(progress_deadline: Duration) -> Update {
    Update { health_check: HealthCheck::Manual, progress_deadline, ..Update::default() }
}

fn healthy(group: &str, index: u32) -> Operation {
    let healthy = vec![AllocOf::Name { job: JobId(0), group: group.into(), index }];
    Operation::SetHealth { deployment: DEPLOYMENT, healthy, unhealthy: Vec::new() }
}

/// Times at which a deployment was failed, and whether the job went back.
fn failures(region: &Region, from: Time) -> Vec<(Time, bool)> {
    let failure = |(at, event): &(Time, Event)| {
        let Event::Propose { command, .. } = event else { return None };
        let Command::DeploymentStatus { update, job, .. } = &**command else { return None };
        (*at >= from && update.status == DeploymentStatus::Failed).then_some((*at, job.is_some()))
    };
    region.told.iter().filter_map(failure).collect()
}

#[test]
fn a_finished_group_whose_allocation_failed_is_not_done_any_more() {
    let status = |fails: bool| {
        let mut spec = job(0, 50, 1);
        spec.groups[0].restart.attempts = 0;
        spec.groups[0].update =
            Some(Update { progress_deadline: secs(60), healthy_deadline: secs(50), ..Update::default() });
        let mut region = running("1.6", 2, 6, with_second(spec, "slow", 2, manual(secs(600))));
        assert_eq!(deployment(&region).groups["web"].healthy, 1);
        let state = region.servers[0].state();
        let web = state.allocs().values().find(|alloc| &*alloc.task_group().name == "web").expect("placed").clone();
        if fails {
            region.exit(web.node.0 as usize, web.id, Exit::Failure);
        }
        region.run_for(secs(60));
        assert_eq!(deployment(&region).status, DeploymentStatus::Running, "nobody looks before the deployment changes");
        answer(&mut region, healthy("slow", 0));
        assert_eq!(deployment(&region).groups["web"].healthy, 1, "the counter keeps what it counted");
        deployment(&region).status
    };
    assert_eq!((status(false), status(true)), (DeploymentStatus::Running, DeploymentStatus::Failed));
}

#[test]
fn a_deadline_passes_a_deployment_by_that_waits_for_its_promotion() {
    let update = Update { canary: 1, progress_deadline: secs(60), healthy_deadline: secs(50), ..Update::default() };
    let (mut region, _) = rolling(update);
    region.run_for(secs(300));
    assert_eq!(deployment(&region).status, DeploymentStatus::Running);
    answer(&mut region, Operation::Promote { deployment: DEPLOYMENT, groups: Vec::new() });
    region.run_for(secs(120));
    assert_eq!(deployment(&region).status, DeploymentStatus::Successful);
}

#[test]
fn the_earliest_deadline_of_the_groups_counts() {
    let mut spec = job(0, 50, 1);
    spec.groups[0].update = Some(manual(secs(600)));
    let mut region = running("1.6", 2, 6, with_second(spec, "hasty", 1, manual(secs(60))));
    region.run_for(secs(60));
    let failures = failures(&region, Time::ZERO);
    assert_eq!(failures.len(), 1);
    let after = failures[0].0.since(Time::ZERO + secs(20));
    assert!(secs(60) <= after && after < secs(61), "{after}: it was placed at 20 s");
}

#[test]
fn what_recovers_stays_counted_as_unhealthy() {
    let mut region = story_tests::Region::new(2);
    let mut spec = story_tests::job(0, JobKind::Service, 1, 100);
    spec.groups[0].update = Some(manual(secs(600)));
    region.run(&spec);
    let of_it: Vec<AllocId> = region.live(JobId(0)).iter().map(|alloc| alloc.id).collect();
    let id = region.state.latest_deployment(JobId(0)).unwrap().id;
    let mut counted = Vec::new();
    for healthy in [true, false, true] {
        let (healthy, unhealthy) = if healthy { (of_it.clone(), Vec::new()) } else { (Vec::new(), of_it.clone()) };
        let time = region.now;
        region.apply(Command::AllocHealth { id, healthy, unhealthy, update: None, job: None, eval: None, time });
        let group = &region.state.deployment(id).unwrap().groups["web"];
        counted.push((group.healthy, group.unhealthy));
    }
    assert_eq!(counted, [(1, 0), (0, 1), (0, 1)]);
}

#[test]
fn groups_without_canaries_are_promoted_with_the_others() {
    let mut spec = job(0, 50, 2);
    spec.groups[0].update = Some(Update { canary: 1, ..Update::default() });
    let spec = with_second(spec, "plain", 1, Update::default());
    let mut region = running("1.6", 2, 6, spec.clone());
    region.operate(0, Operation::RegisterJob(Arc::new(changed(&spec))));
    region.run_for(secs(120));
    let before = deployment(&region).groups["plain"].clone();
    assert!(!before.promoted);
    answer(&mut region, Operation::Promote { deployment: DEPLOYMENT, groups: Vec::new() });
    let after = deployment(&region).groups["plain"].clone();
    assert!(after.promoted && after.require_progress_by > before.require_progress_by);
}

#[test]
fn health_that_comes_with_an_evaluation_asks_for_no_other() {
    let mut spec = job(0, 50, 2);
    spec.groups[0].update = Some(manual(secs(600)));
    let mut region = running("1.6", 2, 6, spec);
    answer(&mut region, healthy("web", 0));
    region.run_for(secs(5));
    assert_eq!((deployment(&region).status, deployment(&region).groups["web"].healthy), (DeploymentStatus::Running, 1));
    let evals = region.servers[0].state().evals();
    assert_eq!(evals.values().filter(|eval| eval.trigger == Trigger::DeploymentWatcher).count(), 1);
}

#[test]
fn allocations_found_unhealthy_together_fail_their_deployment_once() {
    let update = |auto_revert| Update { health_check: HealthCheck::TaskStates, auto_revert, ..Update::default() };
    let mut spec = job(0, 50, 1);
    spec.groups[0].update = Some(update(false));
    let spec = with_second(spec, "wary", 1, update(true));
    let mut region = running("1.6", 1, 6, spec.clone());
    assert_eq!(deployment(&region).status, DeploymentStatus::Successful);
    let mut next = spec;
    for group in &mut next.groups {
        group.tasks[0].config = "image = v2".into();
        let checks = vec![Check::new("http", CheckKind::Http, secs(1))];
        group.services = vec![Service { name: "web".into(), port: None, tags: Vec::new(), checks }];
        if let Some(update) = &mut group.update {
            (update.health_check, update.healthy_deadline) = (HealthCheck::Checks, secs(30));
            update.progress_deadline = Duration::ZERO;
        }
    }
    let from = region.now;
    region.operate(0, Operation::RegisterJob(Arc::new(next)));
    region.run_for(secs(60));
    let failures = failures(&region, from);
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1, "one of the two groups wants its job back");
}
