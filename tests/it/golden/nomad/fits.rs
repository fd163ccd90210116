//! Constraint operators, fit scores, ports and what fits, reschedule delays.

use std::sync::Arc;

use cossim::base::rng::Rng;
use cossim::base::time::{Duration, Time};
use cossim::model::alloc::{AllocId, RescheduleEvent};
use cossim::model::job::TaskGroup;
use cossim::model::node::{Eligibility, Node, NodeId, NodeStatus};
use cossim::protocol::scheduler::assign::{PortsAsk, assign_group};
use cossim::protocol::scheduler::classes::escapes;
use cossim::protocol::scheduler::fit::{FIT_MAX, flatten, score_fit};
use cossim::protocol::scheduler::operators::{Memo, Operator, Resolved, Target};
use cossim::protocol::scheduler::rank::Exhausted;
use cossim::protocol::scheduler::release::Algorithm;
use cossim::protocol::scheduler::reschedule::{is_eligible, next_delay};
use cossim::protocol::scheduler::state::Amounts;
use serde_json::Value;

use super::{Mismatches, build, count, flag, float, int, items, load, text};

#[test]
fn constraints() {
    for (file, recording) in load("constraints.json") {
        let mut mismatches = Mismatches::new(&file);
        for case in items(&recording["cases"]) {
            mismatches.cases += 1;
            let side = |value: &str, found: &str| Resolved { text: case[value].as_str(), found: flag(&case[found]) };
            let (left, right) = (side("lvalue", "lfound"), side("rvalue", "rfound"));
            let ours = Operator::parse(text(&case["operand"])).holds(left, right, &Memo::default());
            mismatches.same(&case.to_string(), &ours, &flag(&case["result"]));
        }
        let node = build::node(&recording["resolve_target"]["node"]);
        for case in items(&recording["resolve_target"]["cases"]) {
            mismatches.cases += 1;
            let mut id_text = String::new();
            let ours = Target::parse(text(&case["target"])).resolve(NodeId(7), &node, &mut id_text);
            let recorded = match case["value"].as_str() {
                Some("<node id>") => Some("n7"),
                other => other,
            };
            mismatches.same(&case.to_string(), &(ours.text, ours.found), &(recorded, flag(&case["found"])));
        }
        for case in items(&recording["escapes"]) {
            mismatches.cases += 1;
            let ours = escapes(text(&case["ltarget"])) || escapes(text(&case["rtarget"]));
            mismatches.same(&case.to_string(), &ours, &flag(&case["escapes_computed_class"]));
        }
        mismatches.finish();
    }
}

#[test]
fn score_fits() {
    for (file, recording) in load("score_fit.json") {
        let mut mismatches = Mismatches::new(&file);
        for case in items(&recording["cases"]) {
            mismatches.cases += 1;
            let n = |name: &str| int(&case[name]);
            let available = Amounts {
                cpu: n("node_cpu_mhz") - n("reserved_cpu_mhz"),
                memory: n("node_mem_mb") - n("reserved_mem_mb"),
                disk: 0,
            };
            let used = Amounts { cpu: n("used_cpu_mhz"), memory: n("used_mem_mb"), disk: 0 };
            for (algorithm, name) in [(Algorithm::Binpack, "binpack"), (Algorithm::Spread, "spread")] {
                let ours = score_fit(available, used, algorithm);
                mismatches.same_float(&format!("{name} of {case}"), ours, float(&case[name]));
                let normalized = &case[format!("{name}_normalized")];
                mismatches.same_float(&format!("{name} of {case}"), ours / FIT_MAX, float(normalized));
            }
        }
        mismatches.finish();
    }
}

/// Delays after failures; times in the recording are relative.
#[test]
fn reschedule_delays() {
    let now = Time::ZERO + Duration::from_hours(10_000);
    let at = |ms: i64| Time::from_nanos((now.as_nanos() as i64 + ms * 1_000_000) as u64);
    for (file, recording) in load("reschedule_delay.json") {
        let mut mismatches = Mismatches::new(&file);
        for (number, case) in items(&recording["cases"]).enumerate() {
            mismatches.cases += 1;
            let policy = build::reschedule(&case["policy"]).unwrap();
            let event = |event: &Value| RescheduleEvent {
                time: at(int(&event["at_ms"])),
                previous: AllocId(0),
                node: NodeId(0),
                delay: build::millis(&event["delay_ms"]),
            };
            let events: Vec<RescheduleEvent> = items(&case["events"]).map(event).collect();
            let failed = at(int(&case["finished_ms"]));
            let delay = next_delay(&policy, &events, failed);
            let place = format!("case {number}");
            mismatches.same(&place, &delay.as_millis(), &count(&case["next_delay_ms"]));
            mismatches.same(&place, &(failed + delay), &at(int(&case["next_time_ms"])));
            let ours = eligible(&policy, &events, failed);
            mismatches.same(&format!("{place} eligible"), &ours, &flag(&case["eligible"]));
        }
        mismatches.finish();
    }
}

/// Through an allocation, as the reconciler asks.
fn eligible(policy: &cossim::model::job::Reschedule, events: &[RescheduleEvent], failed: Time) -> bool {
    let mut group = TaskGroup::new("g");
    group.reschedule = Some(policy.clone());
    let json = serde_json::json!({ "id": "job", "priority": 50, "datacenters": [], "groups": [] });
    let mut job = build::job(cossim::model::job::JobId(0), &json);
    job.groups.push(group);
    let mut alloc = build::blank(&Arc::new(job), 0, NodeId(0));
    alloc.client = cossim::model::alloc::ClientStatus::Failed;
    alloc.finished_at = Some(failed);
    alloc.reschedules = events.to_vec();
    let due = cossim::protocol::scheduler::reschedule::next_time(&alloc);
    let allowed = due.is_some_and(|(_, allowed)| allowed);
    // The endpoint's check is the weaker one.
    assert!(!allowed || is_eligible(policy, events, failed));
    allowed
}

#[test]
fn allocs_fit() {
    for (file, recording) in load("allocs_fit.json.gz") {
        let mut mismatches = Mismatches::new(&file);
        for (number, case) in items(&recording["cases"]).enumerate() {
            mismatches.cases += 1;
            fit_case(&mut mismatches, number, case);
        }
        for (number, case) in items(&recording["dynamic_exhaustion"]).enumerate() {
            mismatches.cases += 1;
            dynamic_case(&mut mismatches, number, case);
        }
        for (number, case) in items(&recording["lifecycle_flattening"]).enumerate() {
            mismatches.cases += 1;
            let mut group = TaskGroup::new("g");
            group.tasks = build::tasks(&case["tasks"]);
            let peak = flatten(&group, |_, task| cossim::model::resources::Comparable {
                cpu: task.resources.cpu,
                memory: task.resources.memory,
                ..Default::default()
            });
            let recorded = (count(&case["cpu_mhz"]), count(&case["mem_mb"]));
            mismatches.same(&format!("flattening {number}"), &(peak.cpu.get(), peak.memory.get()), &recorded);
        }
        mismatches.finish();
    }
}

/// The node alone with its allocations, through the replicated state and through plan verification.
fn fit_case(mismatches: &mut Mismatches, number: usize, case: &Value) {
    let job = serde_json::json!({ "id": "j", "type": "service", "priority": 50, "datacenters": ["dc1"], "groups": [{
        "name": "g", "count": 1, "tasks": [], "ephemeral_disk_mb": 0, "migrate_max_parallel": 1 }] });
    let mut own = job.clone();
    own["id"] = "job".into();
    let cluster =
        serde_json::json!({ "nodes": [case["node"]], "job": own, "background_jobs": [job], "allocs": case["allocs"] });
    let world = build::world(&cluster);
    let entry = world.state.node(NodeId(build::number(&case["node"]["id"]))).unwrap();
    let used = Amounts::of(&build::comparable(&case["used"]));
    mismatches.same(&format!("case {number} used"), &entry.used, &used);
    let holding =
        cossim::protocol::scheduler::plan::Holding { used: entry.used, cores: &entry.cores, ports: &entry.ports };
    let ours = cossim::protocol::scheduler::plan::fits(entry, holding).err().map_or(String::new(), |e| e.to_string());
    mismatches.same(&format!("case {number} dimension"), &ours.as_str(), &text(&case["dimension"]));
    let collides = entry.ports.has_collision();
    for (at, ask) in items(&case["port_asks"]).enumerate() {
        let place = format!("case {number} ask {at}");
        mismatches.same(&place, &collides, &flag(&ask["add_allocs_collision"]));
        let wanted = build::network(&ask["static_ports"], &ask["dynamic_ports"]).pop().unwrap_or_default();
        let mut rng = Rng::stream(1, &place);
        let assigned = assign_group(&entry.node, &entry.ports, &PortsAsk::new(&wanted), false, &mut rng);
        match assigned {
            Ok(ports) => {
                mismatches.same(&place, &true, &flag(&ask["ok"]));
                let fixed = items(&ask["static_assigned"]).map(|port| int(&port["value"])).collect::<Vec<_>>();
                let (ours, dynamic) = ports.split_at(fixed.len().min(ports.len()));
                mismatches.same(&place, &ours.iter().map(|port| port.value).collect(), &fixed);
                mismatches.same(&place, &(dynamic.len() as u64), &ask["dynamic_assigned_count"].as_u64().unwrap_or(99));
            }
            Err(error) => {
                mismatches.same(&place, &error.describe(&wanted).as_str(), &text(&ask["error"]));
                let mut group = TaskGroup::new("g");
                group.networks.push(wanted);
                let dimension = Exhausted::Ports { task: None, error }.describe(&group);
                mismatches.same(&place, &dimension.as_str(), &text(&ask["dimension"]));
            }
        }
    }
}

fn dynamic_case(mismatches: &mut Mismatches, number: usize, case: &Value) {
    let node = serde_json::json!({ "id": "n1", "ip": "10.0.0.1", "reserved_ports": case["reserved_ports"],
        "total": { "cpu_mhz": 1, "mem_mb": 1, "disk_mb": 1 }, "reserved": { "cpu_mhz": 0, "mem_mb": 0, "disk_mb": 0 } });
    let node = Node {
        id: NodeId(1),
        spec: Arc::new(build::node(&node)),
        computed_class: 0,
        status: NodeStatus::Ready,
        eligibility: Eligibility::Eligible,
        drain: None,
        create_index: 1,
        modify_index: 1,
    };
    let entry = cossim::protocol::scheduler::state::NodeEntry::new(Arc::new(node));
    let labels: Vec<Value> = (0..count(&case["dynamic_wanted"])).map(|at| format!("d{at}").into()).collect();
    let wanted = build::network(&Value::Null, &Value::Array(labels)).pop().unwrap_or_default();
    let mut rng = Rng::stream(number as u64, "dynamic");
    let assigned = assign_group(&entry.node, &entry.ports, &PortsAsk::new(&wanted), false, &mut rng);
    let place = format!("dynamic {number}");
    mismatches.same(&place, &assigned.is_ok(), &flag(&case["ok"]));
    let error = assigned.err().map_or(String::new(), |error| error.describe(&wanted));
    mismatches.same(&place, &error.as_str(), &text(&case["error"]));
}
