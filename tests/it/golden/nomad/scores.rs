//! Every scorer on every feasible node, and preemption.

use std::collections::BTreeMap;
use std::sync::Arc;

use cossim::base::ordered::OrdMap;
use cossim::base::rng::Rng;
use cossim::base::time::Time;
use cossim::model::alloc::Alloc;
use cossim::model::evaluation::{Evaluation, FailedGroup, Trigger};
use cossim::model::job::{Job, JobId};
use cossim::model::node::NodeId;
use cossim::model::resources::AssignedPort;
use cossim::protocol::scheduler::fit::flatten;
use cossim::protocol::scheduler::plan::{Plan, Stop, StopReason};
use cossim::protocol::scheduler::preempt::{
    Wanted, distance, net_priority, parallel_penalty, preempt_resources, preemption_score,
};
use cossim::protocol::scheduler::rank::NodeScore;
use cossim::protocol::scheduler::stack::{SelectOptions, Stack};
use cossim::protocol::scheduler::state::Amounts;
use serde_json::Value;

use super::build::{World, number};
use super::{Mismatches, build, close, count, flag, float, int, items, load, text};

/// A step whose even spread is -1 or -2 on these nodes, by the order in which the original walks a hash map.
const UNDECIDED: (&str, [NodeId; 2]) = ("case 325 step 4", [NodeId(6), NodeId(8)]);

#[test]
fn node_scores() {
    for (file, recording) in load("node_scores.json.gz") {
        let mut mismatches = Mismatches::new(&file);
        for case in items(&recording["cases"]) {
            mismatches.cases += 1;
            replay(&mut mismatches, case, &format!("case {}", case["id"]));
        }
        mismatches.finish();
    }
}

/// Selects as recorded, commits what was recorded as chosen.
fn replay(mismatches: &mut Mismatches, case: &Value, place: &str) {
    let world = build::world(case);
    let config = build::config(case);
    let job = world.state.job(JobId(0)).unwrap();
    let eval = Evaluation::new(job, Trigger::JobRegister, Time::ZERO);
    let plan = Plan::new(&eval, false, world.state.index());
    let mut stack = Stack::new(&world.state, &config, job, plan, Rng::stream(1, place));
    stack.set_nodes(world.state.ready_nodes().values().flat_map(|list| list.iter().copied()).collect());
    stack.keep_scores();
    for id in items(&case["planned_stops"]) {
        let alloc = world.state.alloc(world.allocs[text(id)]).unwrap();
        let reason = StopReason::Updating;
        stack.stage_stop(Stop { alloc: alloc.id, node: alloc.node, client: None, followup: None, reason });
    }
    for (at, step) in items(&case["steps"]).enumerate() {
        let place = format!("{place} step {at}");
        let group = job.groups.iter().position(|group| *group.name == *text(&step["group"])).unwrap_or(0);
        let before = mismatches.found.len();
        replay_step(mismatches, &world, &mut stack, (job, group), step, &place);
        if mismatches.found.len() > before {
            return;
        }
    }
}

fn replay_step(
    mismatches: &mut Mismatches,
    world: &World,
    stack: &mut Stack<'_>,
    (job, group): (&Arc<Job>, usize),
    step: &Value,
    place: &str,
) {
    let penalty: Vec<NodeId> = items(&step["penalty_nodes"]).map(|id| NodeId(number(id))).collect();
    let options = SelectOptions { penalty_nodes: &penalty, ..SelectOptions::default() };
    let mut ours = stack.select(group, options);
    let preempts = flag(&step["preempt_pass"]);
    if preempts {
        mismatches.same(&format!("{place} first pass"), &ours.is_none(), &true);
        ours = stack.select(group, SelectOptions { preempt: true, ..options });
    }
    compare_scores(mismatches, stack.scores(), step, place);
    compare_metrics(mismatches, &stack.failure(group), &step["metrics"], place);
    let Some(chosen) = step["chosen"].as_str() else {
        mismatches.same(&format!("{place} chosen"), &ours.map(|ranked| ranked.node), &None);
        return;
    };
    let best = stack.scores().iter().map(NodeScore::mean).fold(f64::NEG_INFINITY, f64::max);
    let mut argmax: Vec<NodeId> =
        stack.scores().iter().filter(|score| close(score.mean(), best)).map(|score| score.node).collect();
    argmax.sort_unstable();
    let mut recorded: Vec<NodeId> = items(&step["argmax"]).map(|id| NodeId(number(id))).collect();
    recorded.sort_unstable();
    if !mismatches.same(&format!("{place} argmax"), &argmax, &recorded) {
        return;
    }
    let node = NodeId(number(&chosen.into()));
    let mut alloc = commit(job, group, node);
    if preempts {
        let ranked = stack.select_node(group, node, true);
        alloc.preempted = ranked.map(|ranked| ranked.preempted).unwrap_or_default();
        let ours: Vec<&str> = alloc.preempted.iter().map(|id| world.alloc_name(*id)).collect();
        let recorded: Vec<&str> = items(&step["preempted_in_order"]).map(text).collect();
        mismatches.same(&format!("{place} preempted"), &ours, &recorded);
    }
    stack.stage_placement(Arc::new(alloc));
}

/// The group's resources and fixed ports on the chosen node.
fn commit(job: &Arc<Job>, group: usize, node: NodeId) -> Alloc {
    let mut alloc = build::blank(job, group, node);
    alloc.resources = flatten(&job.groups[group], |_, task| cossim::model::resources::Comparable {
        cpu: task.resources.cpu,
        memory: task.resources.memory,
        ..Default::default()
    });
    let ports = job.groups[group].networks.iter().flat_map(|network| &network.ports);
    alloc.ports = ports
        .filter_map(|port| Some(AssignedPort { label: port.label.as_str().into(), value: port.fixed?, address: 0 }))
        .collect();
    alloc
}

fn compare_scores(mismatches: &mut Mismatches, ours: &[NodeScore], step: &Value, place: &str) {
    let mut nodes: Vec<NodeId> = ours.iter().map(|score| score.node).collect();
    nodes.sort_unstable();
    let mut recorded: Vec<NodeId> = items(&step["node_scores"]).map(|score| NodeId(number(&score["node"]))).collect();
    recorded.sort_unstable();
    if !mismatches.same(&format!("{place} scored nodes"), &nodes, &recorded) {
        return;
    }
    for record in items(&step["node_scores"]) {
        let node = NodeId(number(&record["node"]));
        let score = ours.iter().find(|score| score.node == node).unwrap();
        if place == UNDECIDED.0 && UNDECIDED.1.contains(&node) {
            continue;
        }
        for (name, ours) in [
            ("binpack", Some(score.fit)),
            ("job-anti-affinity", score.job_anti_affinity),
            ("node-reschedule-penalty", score.reschedule_penalty),
            ("node-affinity", score.affinity),
            ("allocation-spread", score.spread),
            ("preemption", score.preemption),
        ] {
            let recorded = match &record["scores"][name] {
                Value::Null => 0.0,
                value => float(value),
            };
            mismatches.same_float(&format!("{place} {node} {name}"), ours.unwrap_or(0.0), recorded);
        }
        mismatches.same_float(&format!("{place} {node} mean"), score.mean(), float(&record["norm"]));
    }
}

fn table(value: &Value) -> BTreeMap<String, u64> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), count(value))).collect()
}

pub(super) fn compare_metrics(mismatches: &mut Mismatches, ours: &FailedGroup, recorded: &Value, place: &str) {
    let texts = |map: &OrdMap<String, u32>| -> BTreeMap<String, u64> {
        map.iter().map(|(key, count)| (key.clone(), u64::from(*count))).collect()
    };
    let classes = |map: &OrdMap<Arc<str>, u32>| -> BTreeMap<String, u64> {
        map.iter().map(|(key, count)| (key.to_string(), u64::from(*count))).collect()
    };
    for (name, ours) in [
        ("nodes_evaluated", ours.nodes_evaluated),
        ("nodes_filtered", ours.nodes_filtered),
        ("nodes_exhausted", ours.nodes_exhausted),
    ] {
        mismatches.same(&format!("{place} {name}"), &u64::from(ours), &count(&recorded[name]));
    }
    for (name, ours) in [
        ("constraint_filtered", texts(&ours.constraint_filtered)),
        ("dimension_exhausted", texts(&ours.dimension_exhausted)),
        ("class_filtered", classes(&ours.class_filtered)),
        ("class_exhausted", classes(&ours.class_exhausted)),
    ] {
        mismatches.same(&format!("{place} {name}"), &ours, &table(&recorded[name]));
    }
}

#[test]
fn preemption() {
    for (file, recording) in load("preemption.json.gz") {
        let mut mismatches = Mismatches::new(&file);
        for case in items(&recording["distance"]) {
            mismatches.cases += 1;
            let amounts = |value: &Value| Amounts::of(&build::comparable(value));
            let ours = distance(amounts(&case["ask"]), amounts(&case["used"]));
            mismatches.same_float(&case.to_string(), ours, float(&case["distance"]));
            let already = count(&case["num_preempted"]) as u32;
            let penalty = parallel_penalty(count(&case["max_parallel"]) as u32, already);
            mismatches.same_float(&case.to_string(), ours + penalty, float(&case["score"]));
        }
        for case in items(&recording["net_priority"]) {
            mismatches.cases += 1;
            let priorities: Vec<u8> = items(&case["priorities"]).map(|priority| int(priority) as u8).collect();
            mismatches.same_float(&case.to_string(), net_priority(&priorities), float(&case["net_priority"]));
        }
        for case in items(&recording["preemption_score"]) {
            mismatches.cases += 1;
            let ours = preemption_score(float(&case["net_priority"]));
            mismatches.same_float(&case.to_string(), ours, float(&case["score"]));
        }
        for (number, case) in items(&recording["task_group_cases"]).enumerate() {
            mismatches.cases += 1;
            single_node(&mut mismatches, case, &format!("single node {number}"));
        }
        for (number, case) in items(&recording["stack_cases"]).enumerate() {
            mismatches.cases += 1;
            replay(&mut mismatches, case, &format!("stack {number}"));
        }
        mismatches.finish();
    }
}

fn single_node(mismatches: &mut Mismatches, case: &Value, place: &str) {
    let jobs: BTreeMap<&str, Arc<Job>> = items(&case["jobs"])
        .enumerate()
        .map(|(at, job)| (text(&job["id"]), Arc::new(build::job(JobId(at as u32), job))))
        .collect();
    let candidates: Vec<Arc<Alloc>> = items(&case["candidates_in_order"])
        .map(|alloc| Arc::new(build::alloc(alloc, &jobs[text(&alloc["job"])])))
        .collect();
    let (available, _) = cossim::protocol::scheduler::state::capacity(&build::node(&case["node"]));
    let wanted = Wanted {
        available,
        ask: Amounts::of(&build::comparable(&case["ask"])),
        priority: count(&case["job_priority"]) as u8,
    };
    let already = |alloc: &Alloc| case["plan_preempted_counts_by_job"][&*alloc.job.name].as_u64().unwrap_or(0) as u32;
    let victims = preempt_resources(&candidates.iter().collect::<Vec<_>>(), wanted, already).unwrap_or_default();
    let names: Vec<&str> = items(&case["candidates_in_order"]).map(|alloc| text(&alloc["id"])).collect();
    let ours: Vec<&str> = victims.iter().map(|at| names[*at]).collect();
    let recorded: Vec<&str> = items(&case["preempted_in_order"]).map(text).collect();
    if mismatches.same(place, &ours, &recorded) && !ours.is_empty() {
        let priorities: Vec<u8> = victims.iter().map(|at| candidates[*at].job.priority).collect();
        mismatches.same_float(place, net_priority(&priorities), float(&case["net_priority"]));
    }
}
