//! Nodes, jobs and allocations as the recordings write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use cossim::base::ordered::OrdMap;
use cossim::base::time::{Duration, Time};
use cossim::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
use cossim::model::alloc::{Alloc, AllocId, ClientStatus, Desired, Transition};
use cossim::model::constraint::{Affinity, Constraint, Spread, SpreadTarget};
use cossim::model::evaluation::EvalId;
use cossim::model::job::{
    DelayFunction, Hook, Job, JobId, JobKind, Launch, Lifecycle, Migrate, Reschedule, Task, TaskGroup, Update,
};
use cossim::model::node::{
    DrainStrategy, Eligibility, NodeCapacity, NodeId, NodeNetwork, NodeReserved, NodeSpec, NodeStatus,
};
use cossim::model::resources::{AssignedPort, Comparable, NetworkAsk, PortAsk};
use cossim::model::topology::ZoneId;
use cossim::protocol::scheduler::command::Command;
use cossim::protocol::scheduler::plan::PlanResult;
use cossim::protocol::scheduler::release::{Algorithm, Behaviour, Release, SchedulerConfig};
use cossim::protocol::scheduler::state::State;
use serde_json::Value;

use super::{count, flag, int, items, text};

/// The recordings' release.
pub(super) fn config(case: &Value) -> SchedulerConfig {
    SchedulerConfig {
        algorithm: if text(&case["algorithm"]) == "spread" { Algorithm::Spread } else { Algorithm::Binpack },
        behaviour: Behaviour::of(Release::V1_1_0),
        ..SchedulerConfig::default()
    }
}

/// `n17` or `a17` without its letter.
pub(super) fn number(id: &Value) -> u32 {
    text(id)[1..].parse().unwrap()
}

fn map(value: &Value) -> OrdMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value).into())).collect()
}

pub(super) fn node(node: &Value) -> NodeSpec {
    let drivers = node["drivers"].as_object().into_iter().flatten();
    let amount = |kind: &str, what: &str| count(&node[kind][what]);
    NodeSpec {
        name: text(&node["id"]).into(),
        datacenter: text(&node["datacenter"]).into(),
        class: text(&node["node_class"]).into(),
        pool: "default".into(),
        zone: ZoneId(0),
        attributes: map(&node["attributes"]),
        meta: map(&node["meta"]),
        drivers: drivers.filter(|(_, healthy)| flag(healthy)).map(|(name, _)| name.clone()).collect(),
        capacity: NodeCapacity {
            cpu: MegaHertz(amount("total", "cpu_mhz")),
            cores: 0,
            memory: Mebibytes(amount("total", "mem_mb")),
            disk: Mebibytes(amount("total", "disk_mb")),
        },
        reserved: NodeReserved {
            cpu: MegaHertz(amount("reserved", "cpu_mhz")),
            memory: Mebibytes(amount("reserved", "mem_mb")),
            disk: Mebibytes(amount("reserved", "disk_mb")),
            cores: Vec::new(),
            ports: text(&node["reserved_ports"]).into(),
        },
        networks: vec![NodeNetwork {
            mode: "host".into(),
            device: "eth0".into(),
            ip: text(&node["ip"]).into(),
            alias: "default".into(),
            bandwidth: MegabitsPerSecond(1_000),
        }],
        devices: Vec::new(),
        host_volumes: OrdMap::new(),
    }
}

pub(super) fn network(fixed: &Value, dynamic: &Value) -> Vec<NetworkAsk> {
    let fixed = items(fixed).map(|port| PortAsk {
        label: text(&port["label"]).into(),
        fixed: Some(int(&port["value"])),
        ..PortAsk::default()
    });
    let dynamic = items(dynamic).map(|label| PortAsk { label: text(label).into(), ..PortAsk::default() });
    let ports: Vec<PortAsk> = fixed.chain(dynamic).collect();
    if ports.is_empty() { Vec::new() } else { vec![NetworkAsk { ports, ..NetworkAsk::default() }] }
}

fn constraints(list: &Value) -> Vec<Constraint> {
    let one = |c: &Value| Constraint {
        left: text(&c["ltarget"]).into(),
        operator: text(&c["operand"]).into(),
        right: text(&c["rtarget"]).into(),
    };
    items(list).map(one).collect()
}

fn affinities(list: &Value) -> Vec<Affinity> {
    let one = |a: &Value| Affinity {
        left: text(&a["ltarget"]).into(),
        operator: text(&a["operand"]).into(),
        right: text(&a["rtarget"]).into(),
        weight: int(&a["weight"]) as i8,
    };
    items(list).map(one).collect()
}

fn spreads(list: &Value) -> Vec<Spread> {
    let target = |t: &Value| SpreadTarget { value: text(&t["value"]).into(), percent: int(&t["percent"]) as u8 };
    let one = |s: &Value| Spread {
        attribute: text(&s["attribute"]).into(),
        weight: int(&s["weight"]) as i8,
        targets: items(&s["targets"]).map(target).collect(),
    };
    items(list).map(one).collect()
}

pub(super) fn millis(value: &Value) -> Duration {
    Duration::from_millis(count(value))
}

pub(super) fn reschedule(policy: &Value) -> Option<Reschedule> {
    policy.is_object().then(|| Reschedule {
        attempts: count(&policy["attempts"]) as u32,
        interval: millis(&policy["interval_ms"]),
        delay: millis(&policy["delay_ms"]),
        delay_function: match text(&policy["delay_function"]) {
            "exponential" => DelayFunction::Exponential,
            "fibonacci" => DelayFunction::Fibonacci,
            _ => DelayFunction::Constant,
        },
        max_delay: millis(&policy["max_delay_ms"]),
        unlimited: flag(&policy["unlimited"]),
    })
}

pub(super) fn tasks(list: &Value) -> Vec<Task> {
    let one = |t: &Value| {
        let mut task = Task::new(text(&t["name"]), text(&t["driver"]));
        task.resources.cpu = MegaHertz(count(&t["cpu_mhz"]));
        task.resources.memory = Mebibytes(count(&t["mem_mb"]));
        task.constraints = constraints(&t["constraints"]);
        task.affinities = affinities(&t["affinities"]);
        let hook = match text(&t["lifecycle_hook"]) {
            "prestart" => Some(Hook::Prestart),
            "poststart" => Some(Hook::Poststart),
            "poststop" => Some(Hook::Poststop),
            _ => None,
        };
        task.lifecycle = hook.map(|hook| Lifecycle { hook, sidecar: flag(&t["lifecycle_sidecar"]) });
        task
    };
    items(list).map(one).collect()
}

fn group(g: &Value) -> TaskGroup {
    let mut group = TaskGroup::new(text(&g["name"]));
    group.count = count(&g["count"]) as u32;
    group.tasks = tasks(&g["tasks"]);
    group.constraints = constraints(&g["constraints"]);
    group.affinities = affinities(&g["affinities"]);
    group.spreads = spreads(&g["spreads"]);
    group.networks = network(&g["static_ports"], &g["dynamic_ports"]);
    group.disk.size = Mebibytes(count(&g["ephemeral_disk_mb"]));
    let max_parallel = count(&g["migrate_max_parallel"]) as u32;
    group.migrate = Some(Migrate { max_parallel, ..Migrate::default() });
    group.reschedule = reschedule(&g["reschedule"]);
    let update = &g["update"];
    group.update = update.is_object().then(|| Update {
        max_parallel: count(&update["max_parallel"]) as u32,
        canary: count(&update["canary"]) as u32,
        auto_revert: flag(&update["auto_revert"]),
        auto_promote: flag(&update["auto_promote"]),
        ..Update::default()
    });
    group
}

pub(super) fn job(id: JobId, j: &Value) -> Job {
    let version = j["version"].as_u64().unwrap_or(0);
    Job {
        id,
        name: text(&j["id"]).into(),
        namespace: "default".into(),
        kind: match text(&j["type"]) {
            "batch" => JobKind::Batch,
            "system" => JobKind::System,
            _ => JobKind::Service,
        },
        priority: count(&j["priority"]) as u8,
        datacenters: items(&j["datacenters"]).map(|dc| text(dc).into()).collect(),
        node_pool: "default".into(),
        all_at_once: false,
        constraints: constraints(&j["constraints"]),
        affinities: affinities(&j["affinities"]),
        spreads: spreads(&j["spreads"]),
        groups: items(&j["groups"]).map(group).collect(),
        update: None,
        meta: OrdMap::new(),
        launch: Launch::default(),
        stop: flag(&j["stop"]),
        version,
        create_index: 100,
        job_modify_index: 100 + 10 * version,
        modify_index: 100 + 10 * version,
        stable: false,
    }
}

pub(super) fn comparable(r: &Value) -> Comparable {
    Comparable {
        cpu: MegaHertz(count(&r["cpu_mhz"])),
        memory: Mebibytes(count(&r["mem_mb"])),
        disk: Mebibytes(count(&r["disk_mb"])),
        cores: Vec::new(),
    }
}

/// The number in `job.group[7]`.
pub(super) fn name_index(name: &str) -> u32 {
    name.rsplit_once('[').unwrap().1.trim_end_matches(']').parse().unwrap()
}

pub(super) fn blank(job: &Arc<Job>, group: usize, node: NodeId) -> Alloc {
    Alloc {
        id: AllocId::NEW,
        job_id: job.id,
        job: Arc::clone(job),
        group: group as u32,
        name_index: 0,
        node,
        eval: EvalId(0),
        deployment: None,
        desired: Desired::Run,
        client: ClientStatus::Pending,
        transition: Transition::default(),
        health: None,
        resources: Comparable::default(),
        ports: Vec::new(),
        devices: Vec::new(),
        previous: None,
        next: None,
        followup_eval: None,
        preempted: Vec::new(),
        preempted_by: None,
        reschedules: Vec::new(),
        finished_at: None,
        task_failed: false,
        lost_at: None,
        disconnected_at: None,
        score_nanos: 0,
        create_time: Time::ZERO,
        modify_time: Time::ZERO,
        create_index: 0,
        modify_index: 0,
        alloc_modify_index: 0,
    }
}

pub(super) fn statuses(alloc: &mut Alloc, a: &Value) {
    alloc.desired = match text(&a["desired_status"]) {
        "stop" => Desired::Stop,
        "evict" => Desired::Evict,
        _ => Desired::Run,
    };
    alloc.client = match text(&a["client_status"]) {
        "running" => ClientStatus::Running,
        "complete" => ClientStatus::Complete,
        "failed" => ClientStatus::Failed,
        "lost" => ClientStatus::Lost,
        _ => ClientStatus::Pending,
    };
}

/// An allocation of a job in which its ports, if any, are fixed ones.
pub(super) fn alloc(a: &Value, job: &Arc<Job>) -> Alloc {
    let group = job.groups.iter().position(|group| *group.name == *text(&a["group"])).unwrap();
    let mut job = Arc::clone(job);
    if items(&a["ports"]).next().is_some() {
        Arc::make_mut(&mut job).groups[group].networks = network(&a["ports"], &Value::Null);
    }
    let mut alloc = blank(&job, group, NodeId(number(&a["node"])));
    statuses(&mut alloc, a);
    alloc.name_index = name_index(text(&a["name"]));
    alloc.resources = comparable(&a["resources"]);
    alloc.ports = items(&a["ports"])
        .map(|port| AssignedPort { label: text(&port["label"]).into(), value: int(&port["value"]), address: 0 })
        .collect();
    alloc
}

/// A cluster of a recording: the state, and the names of its allocations.
pub(super) struct World {
    pub(super) state: State,
    pub(super) allocs: BTreeMap<String, AllocId>,
}

impl World {
    pub(super) fn alloc_name(&self, id: AllocId) -> &str {
        self.allocs.iter().find(|(_, known)| **known == id).unwrap().0
    }
}

/// Builds the cluster of a case; the job under test has the number zero.
pub(super) fn world(case: &Value) -> World {
    let mut state = State::new();
    let mut index = 0;
    let mut apply = |state: &mut State, command: Command| {
        index += 1;
        state.apply(index, &command)
    };
    for n in items(&case["nodes"]) {
        let id = NodeId(number(&n["id"]));
        let status = match text(&n["status"]) {
            "ready" => NodeStatus::Ready,
            "down" => NodeStatus::Down,
            _ => NodeStatus::Initializing,
        };
        apply(&mut state, Command::RegisterNode { id, spec: Arc::new(node(n)), status });
        if !flag(&n["eligible"]) {
            apply(&mut state, Command::NodeEligibility { id, eligibility: Eligibility::Ineligible });
        }
        if flag(&n["drain"]) {
            let strategy = DrainStrategy { deadline: None, ignore_system_jobs: false, started_at: Time::ZERO };
            apply(&mut state, Command::NodeDrain { id, strategy: Some(strategy), mark_eligible: false });
        }
    }
    let mut jobs = BTreeMap::new();
    for (at, j) in std::iter::once(&case["job"]).chain(items(&case["background_jobs"])).enumerate() {
        let id = JobId(at as u32);
        apply(&mut state, Command::RegisterJob { job: Arc::new(job(id, j)), eval: None, time: Time::ZERO });
        jobs.insert(text(&j["id"]).to_string(), Arc::clone(state.job(id).unwrap()));
    }
    let mut allocs = BTreeMap::new();
    for a in items(&case["allocs"]) {
        let mut result = empty_result(&jobs["job"]);
        result.placements.push(Arc::new(alloc(a, &jobs[text(&a["job"])])));
        let applied = apply(&mut state, Command::Plan(Arc::new(result)));
        allocs.insert(text(&a["id"]).to_string(), applied.allocs[0]);
    }
    World { state, allocs }
}

fn empty_result(job: &Job) -> PlanResult {
    PlanResult {
        eval: EvalId::NEW,
        job: job.id,
        stops: Vec::new(),
        placements: Vec::new(),
        updates: Vec::new(),
        preemptions: Vec::new(),
        preemption_evals: Vec::new(),
        deployment: None,
        deployment_updates: Vec::new(),
        rejected: Vec::new(),
        ineligible: Vec::new(),
        refresh_index: 0,
        alloc_index: 0,
        time: Time::ZERO,
    }
}
