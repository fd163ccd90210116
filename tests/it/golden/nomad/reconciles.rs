//! The reconciler.

use std::collections::BTreeMap;
use std::sync::Arc;

use cossim::base::time::{Duration, Time};
use cossim::model::alloc::{Alloc, AllocId, ClientStatus, DeploymentHealth, RescheduleEvent};
use cossim::model::deployment::{Deployment, DeploymentGroup, DeploymentId, DeploymentStatus};
use cossim::model::evaluation::EvalId;
use cossim::model::job::{Job, JobId, TaskGroup};
use cossim::model::node::NodeId;
use cossim::protocol::scheduler::plan::StopReason;
use cossim::protocol::scheduler::reconcile::{Answer, Question, Taint, Verdict, reconcile};
use cossim::protocol::scheduler::release::{Behaviour, Release};
use serde_json::{Value, json};

use super::build::number;
use super::{Mismatches, build, count, flag, int, items, load, text};

const CURRENT: EvalId = EvalId(1);
const OTHER: EvalId = EvalId(2);
const DEPLOYMENT: DeploymentId = DeploymentId(1);

fn now() -> Time {
    Time::ZERO + Duration::from_hours(1_000)
}

fn at(ms: &Value) -> Time {
    Time::from_nanos((now().as_nanos() as i64 + int(ms) * 1_000_000) as u64)
}

#[test]
fn reconciler() {
    for (file, recording) in load("reconciler.json.gz") {
        let mut mismatches = Mismatches::new(&file);
        for case in items(&recording["cases"]) {
            mismatches.cases += 1;
            let place = format!("case {}", case["id"]);
            run(&mut mismatches, case, &place);
        }
        mismatches.finish();
    }
}

fn run(mismatches: &mut Mismatches, case: &Value, place: &str) {
    let job = Arc::new(build::job(JobId(0), &case["job"]));
    let allocs: Vec<Arc<Alloc>> = items(&case["allocs"]).map(|a| Arc::new(alloc(a, &job))).collect();
    let references: Vec<&Arc<Alloc>> = allocs.iter().collect();
    let deployment = deployment(&case["deployment"]);
    let kinds: BTreeMap<AllocId, &str> =
        items(&case["allocs"]).map(|a| (AllocId(number(&a["id"])), text(&a["update_kind"]))).collect();
    let nodes: BTreeMap<NodeId, Taint> = items(&case["nodes"]).map(|n| (NodeId(number(&n["id"])), taint(n))).collect();
    let question = Question {
        job: (text(&case["job_mode"]) != "purged").then_some(&job),
        batch: flag(&case["batch"]),
        deployment: deployment.as_ref(),
        job_id: JobId(0),
        eval: CURRENT,
        now: now(),
        behaviour: Behaviour::of(Release::V1_1_0),
    };
    let mut update = |alloc: &Arc<Alloc>, _: &TaskGroup| match kinds[&alloc.id] {
        "inplace" => Verdict::InPlace(Box::new(Alloc::clone(alloc))),
        "destructive" => Verdict::Destructive,
        _ => Verdict::Ignore,
    };
    let ours = reconcile(question, &references, &|node| nodes[&node], &mut update);
    let recorded = &case["result"];
    let rendered = render(&ours, &allocs);
    for name in ["desired", "deployment_updates", "new_deployment", "followup_evals_wait_ms"] {
        mismatches.same(&format!("{place} {name}"), &rendered[name], &recorded[name]);
    }
    if flag(&case["deterministic_detail"]) {
        for name in ["place", "stop", "inplace", "destructive"] {
            mismatches.same(&format!("{place} {name}"), &sorted(&rendered[name]), &sorted(&recorded[name]));
        }
        let name = "followup_by_alloc_ms";
        mismatches.same(&format!("{place} {name}"), &rendered[name], &recorded[name]);
    } else {
        for name in ["place", "stop", "inplace", "destructive"] {
            let ours = rendered[name].as_array().unwrap().len() as u64;
            mismatches.same(&format!("{place} {name}"), &ours, &count(&recorded[format!("n_{name}")]));
        }
    }
}

fn taint(node: &Value) -> Taint {
    if flag(&node["missing"]) || text(&node["status"]) == "down" {
        Taint::Gone
    } else if flag(&node["drain"]) {
        Taint::Draining
    } else {
        Taint::None
    }
}

fn alloc(a: &Value, current: &Arc<Job>) -> Alloc {
    let mut job = Job::clone(current);
    job.version = count(&a["job_version"]);
    job.job_modify_index = 100 + 10 * job.version;
    let group = job.groups.iter().position(|group| *group.name == *text(&a["group"])).unwrap_or_else(|| {
        job.groups.push(TaskGroup::new(text(&a["group"])));
        job.groups.len() - 1
    });
    let mut alloc = build::blank(&Arc::new(job), group, NodeId(number(&a["node"])));
    build::statuses(&mut alloc, a);
    alloc.id = AllocId(number(&a["id"]));
    alloc.name_index = build::name_index(text(&a["name"]));
    alloc.deployment = (!text(&a["deployment"]).is_empty()).then_some(DEPLOYMENT);
    let healthy = a["healthy"].as_bool();
    let canary = flag(&a["canary"]);
    alloc.health =
        (healthy.is_some() || canary).then(|| DeploymentHealth { healthy, timestamp: now(), canary, modify_index: 1 });
    alloc.transition.migrate = flag(&a["transition_migrate"]);
    alloc.transition.reschedule = flag(&a["transition_reschedule"]);
    alloc.transition.force_reschedule = flag(&a["transition_force_reschedule"]);
    alloc.task_failed = flag(&a["task_failed"]);
    alloc.finished_at = (!a["task_finished_ms"].is_null()).then(|| at(&a["task_finished_ms"]));
    alloc.next = (!text(&a["next_alloc"]).is_empty()).then_some(AllocId(9_999));
    alloc.followup_eval = match (flag(&a["followup_eval_is_current"]), flag(&a["followup_eval_is_other"])) {
        (true, _) => Some(CURRENT),
        (false, true) => Some(OTHER),
        (false, false) => None,
    };
    alloc.reschedules = items(&a["reschedule_events"])
        .map(|event| RescheduleEvent {
            time: at(&event["at_ms"]),
            previous: AllocId(0),
            node: NodeId(0),
            delay: build::millis(&event["delay_ms"]),
        })
        .collect();
    alloc
}

fn deployment(d: &Value) -> Option<Deployment> {
    let group = |g: &Value| DeploymentGroup {
        promoted: flag(&g["promoted"]),
        placed_canaries: items(&g["placed_canaries"]).map(|id| AllocId(number(id))).collect(),
        desired_canaries: count(&g["desired_canaries"]) as u32,
        desired_total: count(&g["desired_total"]) as u32,
        placed: count(&g["placed_allocs"]) as u32,
        healthy: count(&g["healthy_allocs"]) as u32,
        unhealthy: count(&g["unhealthy_allocs"]) as u32,
        ..DeploymentGroup::default()
    };
    d.is_object().then(|| Deployment {
        id: DEPLOYMENT,
        job: JobId(0),
        job_version: count(&d["job_version"]),
        job_create_index: 100,
        status: match text(&d["status"]) {
            "running" => DeploymentStatus::Running,
            "paused" => DeploymentStatus::Paused,
            "failed" => DeploymentStatus::Failed,
            "successful" => DeploymentStatus::Successful,
            _ => DeploymentStatus::Cancelled,
        },
        groups: d["task_groups"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, g)| (name.as_str().into(), group(g)))
            .collect(),
        create_index: 100,
        modify_index: 100,
    })
}

/// Our answer as the recording writes it.
fn render(answer: &Answer<'_>, allocs: &[Arc<Alloc>]) -> Value {
    let name = |group: &str, index: u32| format!("job.{group}[{index}]");
    let id = |id: AllocId| format!("a{}", id.0);
    let waits = |time: Time| (time.as_nanos() as i64 - now().as_nanos() as i64) / 1_000_000;
    let by_placeholder: BTreeMap<EvalId, Time> =
        answer.followups.values().flatten().map(|followup| (followup.placeholder, followup.wait_until)).collect();
    let desired: serde_json::Map<String, Value> = answer
        .desires
        .iter()
        .map(|(group, d)| {
            let row = json!({ "ignore": d.ignore, "place": d.place, "migrate": d.migrate, "stop": d.stop,
                "in_place_update": d.in_place_update, "destructive_update": d.destructive_update, "canary": d.canary });
            (group.to_string(), row)
        })
        .collect();
    let place: Vec<Value> = answer
        .place
        .iter()
        .map(|p| {
            json!({ "group": *p.group.name, "name": name(&p.group.name, p.name_index), "canary": p.canary,
                "previous": p.previous.map_or(String::new(), |previous| id(previous.id)), "reschedule": p.reschedule,
                "lost": p.lost, "downgrade_non_canary": p.downgrade_non_canary, "min_job_version": p.min_job_version })
        })
        .collect();
    let stop: Vec<Value> = answer
        .stop
        .iter()
        .map(|stop| {
            let reason = match stop.reason {
                StopReason::NotNeeded => "not_needed",
                StopReason::Lost => "lost",
                StopReason::Rescheduled => "rescheduled",
                StopReason::Migrating => "migrating",
                StopReason::Updating | StopReason::NodeTainted => "unexpected",
            };
            let client = if stop.client == Some(ClientStatus::Lost) { "lost" } else { "" };
            json!({ "alloc": id(stop.alloc), "client_status": client, "reason": reason })
        })
        .collect();
    let destructive: Vec<Value> = answer
        .destructive
        .iter()
        .map(|d| json!({ "name": name(&d.group.name, d.alloc.name_index), "stop": id(d.alloc.id) }))
        .collect();
    let updates: Vec<Value> = answer
        .deployment_updates
        .iter()
        .map(|update| json!({ "deployment": "d1", "status": format!("{:?}", update.status).to_lowercase() }))
        .collect();
    let followups: serde_json::Map<String, Value> = answer
        .followups
        .iter()
        .map(|(group, list)| (group.to_string(), list.iter().map(|one| json!(waits(one.wait_until))).collect()))
        .collect();
    let by_alloc: serde_json::Map<String, Value> = answer
        .delayed
        .iter()
        .map(|(alloc, placeholder)| (id(*alloc), json!(waits(by_placeholder[placeholder]))))
        .collect();
    debug_assert!(answer.delayed.len() <= allocs.len());
    json!({
        "desired": desired, "place": place, "stop": stop, "destructive": destructive,
        "inplace": answer.in_place.iter().map(|alloc| id(alloc.id)).collect::<Vec<_>>(),
        "deployment_updates": updates, "new_deployment": new_deployment(answer.deployment.as_ref()),
        "followup_evals_wait_ms": followups, "followup_by_alloc_ms": by_alloc,
    })
}

fn new_deployment(deployment: Option<&Deployment>) -> Value {
    let Some(deployment) = deployment else { return Value::Null };
    let needs = deployment.groups.values().any(|group| group.desired_canaries > 0 && !group.promoted);
    let groups: serde_json::Map<String, Value> = deployment
        .groups
        .iter()
        .map(|(name, g)| {
            let row = json!({ "auto_promote": g.auto_promote, "auto_revert": g.auto_revert,
                "desired_canaries": g.desired_canaries, "desired_total": g.desired_total });
            (name.to_string(), row)
        })
        .collect();
    json!({ "requires_promotion": needs, "status": "running", "task_groups": groups })
}

fn sorted(list: &Value) -> Vec<String> {
    let keyed = |item: &Value| match item.as_object() {
        Some(object) => format!("{:?}", object.iter().collect::<BTreeMap<_, _>>()),
        None => item.to_string(),
    };
    let mut texts: Vec<String> = items(list).map(keyed).collect();
    texts.sort();
    texts
}
