//! Which version replacements get while canaries of a newer one are not promoted.

use std::sync::Arc;

use crate::model::alloc::Alloc;
use crate::model::constraint::Constraint;
use crate::model::deployment::DeploymentId;
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind, Update};
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::story_tests::{Region, job, node};

const JOB: JobId = JobId(0);

/// A job of which one allocation fills a node, and each update begins with a canary.
fn canaried(count: u32) -> Job {
    let mut spec = job(0, JobKind::Service, count, 3_000);
    spec.groups[0].update = Some(Update { canary: 1, max_parallel: 10, ..Update::default() });
    spec
}

/// Registers the job with other tasks and processes the evaluation.
fn change(region: &mut Region, spec: &mut Job, config: &str) {
    for group in &mut spec.groups {
        group.tasks[0].config = config.into();
    }
    region.run(spec);
}

fn newest_deployment(region: &Region) -> DeploymentId {
    region.state.latest_deployment(JOB).unwrap().id
}

fn versions(region: &Region) -> Vec<u64> {
    let mut versions: Vec<u64> = region.live(JOB).iter().map(|alloc| alloc.job.version).collect();
    versions.sort_unstable();
    versions
}

/// The nodes of the first live allocations of these versions die together. The evaluation of that.
fn lose(region: &mut Region, versions: &[u64]) -> Evaluation {
    let of = |version: &u64| region.live(JOB).into_iter().find(|alloc| alloc.job.version == *version).unwrap().node;
    let nodes: Vec<NodeId> = versions.iter().map(of).collect();
    for id in nodes {
        region.apply(Command::NodeStatus { id, status: NodeStatus::Down });
    }
    let eval = region.evaluate(JOB, Trigger::NodeUpdate);
    region.process(eval).0
}

fn newest(region: &Region) -> &Arc<Alloc> {
    region.live(JOB).into_iter().max_by_key(|alloc| alloc.id).unwrap()
}

#[test]
fn it_is_that_of_the_newest_deployment_without_canaries_or_with_promoted_ones() {
    let mut region = Region::new(9);
    let mut spec = canaried(2);
    region.run(&spec);
    let first = newest_deployment(&region);
    change(&mut region, &mut spec, "v1");
    assert_eq!(versions(&region), [0, 0, 1]);
    lose(&mut region, &[0]);
    assert_eq!(versions(&region), [0, 0, 1]);
    assert_eq!((newest(&region).job.version, newest(&region).deployment), (0, Some(first)));

    let second = newest_deployment(&region);
    let canary = region.live(JOB).into_iter().find(|alloc| alloc.job.version == 1).unwrap().id;
    let (healthy, unhealthy) = (vec![canary], Vec::new());
    let time = region.now;
    region.apply(Command::AllocHealth { id: second, healthy, unhealthy, update: None, eval: None, job: None, time });
    region.apply(Command::PromoteDeployment { id: second, groups: Vec::new(), eval: None, time: region.now });
    let eval = region.evaluate(JOB, Trigger::DeploymentWatcher);
    region.process(eval);
    assert_eq!(versions(&region), [1, 1]);
    change(&mut region, &mut spec, "v2");
    assert_eq!(versions(&region), [1, 1, 2]);
    lose(&mut region, &[1]);
    assert_eq!((newest(&region).job.version, newest(&region).deployment), (1, Some(second)));
}

#[test]
fn without_such_a_deployment_it_is_the_replaced_ones_if_it_had_no_update_block() {
    let mut region = Region::new(6);
    let mut spec = canaried(2);
    let update = spec.groups[0].update.take();
    region.run(&spec);
    assert!(region.state.latest_deployment(JOB).is_none());
    spec.groups[0].update = update;
    change(&mut region, &mut spec, "v1");
    assert_eq!(versions(&region), [0, 0, 1]);
    lose(&mut region, &[0]);
    assert_eq!(versions(&region), [0, 0, 1]);
    assert_eq!(newest(&region).deployment, None);
}

#[test]
fn a_version_older_than_the_replaced_ones_is_not_used() {
    let mut region = Region::new(6);
    let mut spec = canaried(1);
    region.run(&spec);
    let update = spec.groups[0].update.take();
    change(&mut region, &mut spec, "v1");
    assert_eq!(versions(&region), [1]);
    spec.groups[0].update = update;
    change(&mut region, &mut spec, "v2");
    assert_eq!(versions(&region), [1, 2]);
    lose(&mut region, &[1]);
    assert_eq!(versions(&region), [2, 2], "the newest instead");
    assert_eq!(newest(&region).deployment, Some(newest_deployment(&region)));
}

#[test]
fn deployments_of_an_earlier_incarnation_do_not_count() {
    let mut region = Region::new(6);
    let mut spec = canaried(1);
    spec.groups[0].update = Some(Update { max_parallel: 10, ..Update::default() });
    region.run(&spec);
    change(&mut region, &mut spec, "v1");
    let eval = Some(Box::new(Evaluation::new(&spec, Trigger::JobDeregister, region.now)));
    let applied = region.apply(Command::DeregisterJob { id: JOB, purge: true, eval });
    region.process(Evaluation::clone(&applied.evals[0]));
    let old = newest_deployment(&region);
    spec.groups[0].update = None;
    region.run(&spec);
    assert_eq!(versions(&region), [0]);
    spec.groups[0].update = canaried(1).groups[0].update.clone();
    change(&mut region, &mut spec, "v2");
    assert_eq!(versions(&region), [0, 1]);
    assert!(region.state.deployment(old).is_some());
    lose(&mut region, &[0]);
    assert_eq!(versions(&region), [0, 1]);
    assert_eq!(newest(&region).deployment, None);
}

#[test]
fn the_older_deployment_stays_for_later_groups_even_if_the_replacement_has_failed_already() {
    let mut region = Region::new(9);
    let mut spec = canaried(2);
    let mut side = spec.groups[0].clone();
    side.name = "side".into();
    spec.groups.push(side);
    region.run(&spec);
    let first = newest_deployment(&region);
    let (left, operator, right) = ("${node.class}".into(), "=".into(), "gone".into());
    spec.groups[0].constraints.push(Constraint { left, operator, right });
    change(&mut region, &mut spec, "v1");
    assert_eq!(versions(&region), [0, 0, 0, 0, 1], "one canary has no node");
    let lost = region.live(JOB)[0];
    assert_eq!((&*lost.task_group().name, lost.job.version), ("web", 0));
    let eval = lose(&mut region, &[0, 1]);
    assert_eq!(eval.failed_groups["web"].coalesced_failures, 1);
    let canary = newest(&region);
    assert_eq!((&*canary.task_group().name, canary.job.version), ("side", 1));
    assert_eq!(canary.deployment, Some(first));
}

#[test]
fn what_a_canary_taught_about_classes_holds_for_the_older_version() {
    let mut region = Region::new(0);
    for number in 0..6 {
        let mut spec = node(number);
        spec.class = if number < 4 { "old" } else { "new" }.into();
        spec.attributes.clear();
        region.apply(Command::RegisterNode { id: NodeId(number), spec: Arc::new(spec), status: NodeStatus::Ready });
    }
    let mut spec = canaried(2);
    let (left, operator, right) = ("${node.class}".into(), "=".into(), "old".into());
    spec.constraints.push(Constraint { left, operator, right });
    region.run(&spec);
    spec.constraints[0].right = "new".into();
    change(&mut region, &mut spec, "v1");
    assert_eq!(versions(&region), [0, 0, 1]);
    let eval = lose(&mut region, &[0, 1]);
    assert_eq!(versions(&region), [0, 1], "a canary on the last new node");
    let failed = &eval.failed_groups["web"];
    assert_eq!(failed.constraint_filtered["computed class ineligible"], 3, "the canary passed them by");
    assert_eq!(failed.constraint_filtered["${node.class} = old"], 1);
}
