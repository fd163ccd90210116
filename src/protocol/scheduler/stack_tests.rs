//! What one selection leaves behind for the next: the place in the source, the limit, what is known of classes.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::model::constraint::{Affinity, Constraint};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind};
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::plan::Plan;
use crate::protocol::scheduler::release::{Behaviour, Release};
use crate::protocol::scheduler::stack::{SelectOptions, Stack};
use crate::protocol::scheduler::story_tests::{Region, job, node};

fn stack<'a>(region: &'a Region, job: &'a Arc<Job>) -> Stack<'a> {
    let eval = Evaluation::new(job, Trigger::JobRegister, Time::ZERO);
    let plan = Plan::new(&eval, false, region.state.index());
    Stack::new(&region.state, &region.config, job, plan, Rng::stream(1, "stack"))
}

fn constraint(left: &str, right: &str) -> Constraint {
    Constraint { left: left.into(), operator: "=".into(), right: right.into() }
}

/// A job with these groups, each of one task.
fn grouped(version: u64, names: &[&str]) -> Job {
    let mut spec = job(0, JobKind::Service, 1, 100);
    let group = spec.groups.remove(0);
    spec.groups.extend(names.iter().map(|name| {
        let mut group = group.clone();
        group.name = (*name).into();
        group
    }));
    Job { version, ..spec }
}

#[test]
fn once_an_affinity_widened_the_search_it_stays_wide_until_nodes_are_set() {
    for (release, wide) in [("1.1.0", u32::MAX), ("1.6", 100)] {
        let mut region = Region::new(8);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        let mut spec = grouped(0, &["plain", "choosy"]);
        let (left, operator, right) = ("${node.datacenter}".into(), "=".into(), "dc1".into());
        spec.groups[1].affinities.push(Affinity { left, operator, right, weight: 50 });
        let spec = Arc::new(spec);
        let mut stack = stack(&region, &spec);
        let nodes: Vec<NodeId> = region.state.nodes().ids().collect();
        stack.set_nodes(nodes.clone());
        let evaluated = [0, 1, 0].map(|group| {
            stack.select(group, SelectOptions::default()).unwrap();
            stack.evaluated
        });
        assert_eq!((evaluated, stack.reach()), ([3, 8, 8], (8, wide)), "{release}");
        stack.set_nodes(nodes);
        stack.select(0, SelectOptions::default()).unwrap();
        assert_eq!((stack.evaluated, stack.reach()), (3, (8, 3)), "{release}");
    }
}

#[test]
fn a_preferred_node_is_tried_alone_and_the_source_begins_anew_after_it() {
    let mut region = Region::new(8);
    let mut small = node(8);
    small.capacity.cpu = crate::base::units::MegaHertz(10);
    region.apply(Command::RegisterNode { id: NodeId(8), spec: Arc::new(small), status: NodeStatus::Ready });
    let spec = Arc::new(grouped(0, &["web"]));
    let mut stack = stack(&region, &spec);
    stack.watch();
    stack.set_nodes((0..8).map(NodeId).collect());
    let mut scored = |preferred: Option<NodeId>| -> Vec<NodeId> {
        stack.select(0, SelectOptions { preferred, ..SelectOptions::default() }).unwrap();
        stack.scores().iter().map(|score| score.node).collect()
    };
    let first = scored(None);
    let second = scored(None);
    assert!(first.len() == 3 && second.len() == 3 && second.iter().all(|node| !first.contains(node)));
    assert_eq!(scored(Some(second[1])), [second[1]]);
    assert_eq!(scored(None), first);
    assert_eq!(scored(Some(NodeId(8))), first, "it is too small, so all are tried, from the first on");
    assert_eq!(scored(None), second);
}

#[test]
fn a_sticky_disk_keeps_its_node() {
    let mut region = Region::new(20);
    let mut spec = job(0, JobKind::Service, 1, 100);
    spec.groups[0].disk.sticky = true;
    region.run(&spec);
    let before = region.live(JobId(0))[0].node;
    for config in ["v1", "v2", "v3"] {
        spec.groups[0].tasks[0].config = config.into();
        region.run(&spec);
        assert_eq!(region.live(JobId(0))[0].node, before);
    }
}

/// Nodes 0 of class x and 1 of class y, and the computed classes.
fn classes() -> (Region, [u64; 2]) {
    let mut region = Region::new(0);
    for (number, class) in ["x", "y"].into_iter().enumerate() {
        let id = NodeId(number as u32);
        let mut spec = node(0);
        spec.class = class.into();
        region.apply(Command::RegisterNode { id, spec: Arc::new(spec), status: NodeStatus::Ready });
    }
    let class = |number| region.state.node(NodeId(number)).unwrap().class;
    let classes = [class(0), class(1)];
    (region, classes)
}

#[test]
fn what_is_known_of_classes_outlasts_a_look_at_another_version() {
    let (region, [x, y]) = classes();
    let mut newer = grouped(1, &["first", "second"]);
    newer.groups[0].constraints.push(constraint("${node.class}", "y"));
    let (newer, older) = (Arc::new(newer), Arc::new(grouped(0, &["first", "second"])));
    let mut stack = stack(&region, &newer);
    assert!(stack.select_node(0, NodeId(0), false).is_none());
    stack.set_job(&older);
    assert!(stack.select_node(1, NodeId(1), false).is_some());
    assert!(stack.select_node(0, NodeId(0), false).is_none(), "groups are known by name (a quirk)");
    assert_eq!(stack.failure(0).constraint_filtered["computed class ineligible"], 1);
    stack.set_job(&newer);
    assert_eq!(stack.eligibility(), (OrdMap::from([(x, false), (y, true)]), false));
}

#[test]
fn each_version_holds_its_own_job_rules_against_classes_that_were_eligible() {
    let (region, [x, y]) = classes();
    let (mut newer, mut older) = (grouped(1, &["web"]), grouped(0, &["web"]));
    newer.constraints.push(constraint("${node.class}", "y"));
    older.constraints.push(constraint("${node.class}", "x"));
    let (newer, older) = (Arc::new(newer), Arc::new(older));
    let mut stack = stack(&region, &newer);
    assert!(stack.select_node(0, NodeId(1), false).is_some());
    stack.set_job(&older);
    assert!(stack.select_node(0, NodeId(1), false).is_none());
    assert_eq!(stack.failure(0).constraint_filtered["${node.class} = x"], 1);
    assert!(stack.select_node(0, NodeId(0), false).is_some());
    stack.set_job(&newer);
    assert!(stack.select_node(0, NodeId(1), false).is_none(), "the older version's refusal stays (a quirk)");
    assert!(stack.select_node(0, NodeId(0), false).is_none());
    assert_eq!(stack.eligibility(), (OrdMap::from([(x, false), (y, false)]), false));
}

#[test]
fn constraints_escape_the_classes_for_the_version_that_is_set() {
    let (region, [x, _]) = classes();
    let (mut newer, older) = (grouped(1, &["web", "side"]), Arc::new(grouped(0, &["web", "side"])));
    newer.groups[1].tasks[0].constraints.push(constraint("${attr.unique.hostname}", "a"));
    let newer = Arc::new(newer);
    let mut stack = stack(&region, &newer);
    assert_eq!(stack.eligibility(), (OrdMap::new(), true), "nothing was selected for");
    assert!(stack.select_node(1, NodeId(0), false).is_none());
    stack.set_job(&older);
    assert_eq!(stack.eligibility(), (OrdMap::from([(x, true)]), false), "the group taught nothing, the job did");
    stack.set_job(&newer);
    assert!(stack.eligibility().1);
}
