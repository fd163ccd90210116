//! Stories of deployments: deadlines, health counted and reported, promotion.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::deployment::{Deployment, DeploymentId, DeploymentStatus};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{HealthCheck, Job, JobId, JobKind, TaskGroup, Update};
use crate::model::service::{Check, CheckKind, Service};
use crate::protocol::client::event::Exit;
use crate::protocol::scheduler::command::{AllocUpdate, Command, DeploymentUpdate, Refusal};
use crate::protocol::scheduler::control_tests::{DEPLOYMENT, Region, answer, changed, rolling, running, secs};
use crate::protocol::scheduler::deployment_watcher::Rollouts;
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::operation::{AllocOf, Operation};
use crate::protocol::scheduler::plan::{Plan, evaluate_plan};
use crate::protocol::scheduler::server::Server;
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

/// A report of one allocation's health.
fn report(alloc: AllocId, healthy: bool, time: Time) -> Command {
    let client = ClientStatus::Running;
    let update =
        AllocUpdate { id: alloc, client, finished_at: None, task_failed: false, health: Some((healthy, time)) };
    Command::ClientUpdate { updates: vec![update], evals: Vec::new(), time }
}

/// An entry is committed, and only the deployment watcher of the leader looks at it.
fn commit(region: &mut Region, command: &Command) {
    region.server(0, |server, now, fx| {
        let applied = server.state.apply(server.state.index() + 1, command);
        server.rollouts_applied(now, &applied, fx);
    });
}

/// The alarm of the leader's deployment watcher goes off.
fn expire(region: &mut Region) {
    region.server(0, Server::rollouts_expired);
}

/// The job's allocations, as the leader has them.
fn allocs(region: &Region) -> Vec<Arc<Alloc>> {
    region.servers[0].state().allocs_of_job(JobId(0)).cloned().collect()
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
fn an_ended_deployment_is_neither_failed_nor_revived_and_its_job_does_not_go_back() {
    for status in [DeploymentStatus::Failed, DeploymentStatus::Paused, DeploymentStatus::Running] {
        let mut region = story_tests::Region::new(2);
        let mut spec = story_tests::job(0, JobKind::Service, 1, 100);
        spec.groups[0].update = Some(manual(secs(600)));
        region.run(&spec);
        let id = region.state.latest_deployment(JobId(0)).unwrap().id;
        let old = region.state.job(JobId(0)).unwrap().clone();
        region.run(&changed(&spec));
        let before = region.state.deployment(id).unwrap().clone();
        assert_eq!(before.status, DeploymentStatus::Cancelled);
        let eval = Some(Box::new(Evaluation::new(&old, Trigger::DeploymentWatcher, region.now)));
        let update = DeploymentUpdate { id, status };
        let applied = region.apply(Command::DeploymentStatus { update, eval, job: Some(old) });
        assert_eq!((applied.refused, applied.evals.len()), (Some(Refusal::DeploymentEnded), 0));
        assert_eq!(region.state.deployment(id), Some(&before));
        assert_eq!(region.state.job(JobId(0)).unwrap().version, 1, "the version that ended it stays");
    }
}

#[test]
fn a_deployment_is_failed_once_whatever_happens_before_that_is_committed() {
    let run = |progress_deadline| {
        let mut spec = job(0, 50, 2);
        spec.groups[0].update = Some(manual(progress_deadline));
        running("1.6", 2, 6, spec)
    };
    let mut region = run(Duration::ZERO);
    for alloc in allocs(&region) {
        let report = report(alloc.id, false, region.now);
        commit(&mut region, &report);
    }
    assert_eq!(failures(&region, Time::ZERO).len(), 1, "two reports");
    let mut region = run(secs(600));
    region.now += secs(600);
    expire(&mut region);
    let late = report(allocs(&region)[0].id, true, Time::ZERO + secs(30));
    commit(&mut region, &late);
    expire(&mut region);
    assert_eq!(failures(&region, Time::ZERO).len(), 1, "a report that leaves the deadline in the past");
    let id = deployment(&region).id;
    let update = DeploymentUpdate { id, status: DeploymentStatus::Cancelled };
    commit(&mut region, &Command::DeploymentStatus { update, eval: None, job: None });
    assert!(region.servers[0].rollouts.is_idle(), "it ended, and nothing is kept of it");
}

#[test]
fn a_deadline_that_passed_before_it_was_known_can_still_be_put_off() {
    let mut spec = job(0, 50, 2);
    spec.groups[0].update = Some(manual(secs(600)));
    let mut region = running("1.6", 2, 6, spec);
    region.now += secs(700);
    region.server(0, |server, now, fx| {
        server.rollouts = Rollouts::default();
        server.restore_rollouts(now, fx);
    });
    let healthy = report(allocs(&region)[0].id, true, region.now);
    commit(&mut region, &healthy);
    expire(&mut region);
    assert_eq!(failures(&region, Time::ZERO), []);
    region.now += secs(600);
    expire(&mut region);
    assert_eq!(failures(&region, Time::ZERO).len(), 1);
}

#[test]
fn the_deadline_of_what_is_only_updated_in_place_is_watched() {
    let mut spec = job(0, 50, 1);
    spec.groups[0].update = Some(manual(secs(600)));
    let mut region = running("1.6", 2, 6, spec);
    answer(&mut region, healthy("web", 0));
    region.run_for(secs(5));
    let mut next = Deployment::clone(&deployment(&region));
    assert_eq!(next.status, DeploymentStatus::Successful);
    (next.id, next.status) = (DeploymentId::NEW, DeploymentStatus::Running);
    let group = next.groups.get_mut("web").expect("its only group");
    (group.placed, group.healthy, group.require_progress_by) = (0, 0, None);
    let mut plan = Plan::new(region.servers[0].state().evals().values().last().expect("some"), false, 0);
    let written = |region: &Region, plan: &Plan| {
        let result =
            evaluate_plan(region.servers[0].state(), plan, &region.servers[0].config.scheduler.behaviour, region.now);
        Command::Plan(Arc::new(result))
    };
    plan.deployment = Some(next);
    let created = written(&region, &plan);
    commit(&mut region, &created);
    let id = deployment(&region).id;
    (plan.deployment, plan.updates) =
        (None, vec![Arc::new(Alloc { deployment: Some(id), health: None, ..Alloc::clone(&allocs(&region)[0]) })]);
    let updated = written(&region, &plan);
    commit(&mut region, &updated);
    assert_eq!(deployment(&region).groups["web"].require_progress_by, Some(region.now + secs(600)));
    region.now += secs(600);
    expire(&mut region);
    assert_eq!(failures(&region, Time::ZERO).len(), 1);
}

#[test]
fn healthy_canaries_alone_are_promoted_and_their_clients_are_told() {
    let mut region = story_tests::Region::new(3);
    let mut spec = story_tests::job(0, JobKind::Service, 2, 100);
    spec.groups[0].update = Some(Update { canary: 2, ..manual(secs(600)) });
    region.run(&spec);
    region.run(&changed(&spec));
    let canaries: Vec<Alloc> =
        region.live(JobId(0)).iter().filter(|alloc| alloc.job.version == 1).map(|alloc| Alloc::clone(alloc)).collect();
    let id = canaries[0].deployment.unwrap();
    let mut plan = Plan::new(&region.evaluate(JobId(0), Trigger::DeploymentWatcher), false, 0);
    plan.placements = vec![Arc::new(Alloc { id: AllocId::NEW, ..canaries[0].clone() })];
    region.submit(&plan);
    let time = region.now;
    let healthy = canaries.iter().map(|alloc| alloc.id).collect();
    let set = Command::AllocHealth { id, healthy, unhealthy: Vec::new(), update: None, job: None, eval: None, time };
    region.apply(set);
    assert_eq!(region.state.deployment(id).unwrap().groups["web"].placed_canaries.len(), 3);
    let applied = region.apply(Command::PromoteDeployment { id, groups: Vec::new(), eval: None, time });
    let of_it = region.live(JobId(0)).into_iter().filter(|alloc| alloc.deployment == Some(id));
    let told: Vec<(bool, bool, bool)> = of_it
        .map(|alloc| {
            let health = alloc.health.unwrap();
            (health.canary, health.modify_index == applied.index, alloc.alloc_modify_index == applied.index)
        })
        .collect();
    assert_eq!(told, [(false, true, true), (false, true, true), (true, false, false)]);
    assert!(canaries.iter().all(|alloc| applied.notified.contains(&alloc.node)));
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
