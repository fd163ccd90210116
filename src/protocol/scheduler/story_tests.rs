//! Stories of one region without a network: commands, evaluations, plans.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired, Transition};
use crate::model::constraint::{Affinity, Constraint, Spread};
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind, Launch, Task, TaskGroup, Update};
use crate::model::node::{
    DrainStrategy, Eligibility, NodeCapacity, NodeId, NodeNetwork, NodeReserved, NodeSpec, NodeStatus,
};
use crate::model::resources::{NetworkAsk, PortAsk};
use crate::model::topology::ZoneId;
use crate::protocol::scheduler::command::{AllocUpdate, Applied, Command};
use crate::protocol::scheduler::plan::{Plan, Rejection, Stop, StopReason, evaluate_plan};
use crate::protocol::scheduler::process::{Process, Reply, Step};
use crate::protocol::scheduler::release::{Algorithm, Behaviour, Release, SchedulerConfig};
use crate::protocol::scheduler::state::{JobStatus, State};
use crate::protocol::scheduler::story::place;

/// A leader without a network: state, clock and the newest index.
pub(super) struct Region {
    pub(super) state: State,
    pub(super) config: SchedulerConfig,
    pub(super) now: Time,
}

impl Region {
    pub(super) fn new(nodes: u32) -> Self {
        let mut region = Self { state: State::new(), config: SchedulerConfig::default(), now: Time::ZERO };
        for number in 0..nodes {
            region.join(number);
        }
        region
    }

    pub(super) fn join(&mut self, number: u32) {
        let spec = Arc::new(node(number));
        self.apply(Command::RegisterNode { id: NodeId(number), spec, status: NodeStatus::Ready });
    }

    #[expect(clippy::needless_pass_by_value, reason = "commands are made where they are used")]
    pub(super) fn apply(&mut self, command: Command) -> Applied {
        self.now += Duration::from_millis(10);
        self.state.apply(self.state.index() + 1, &command)
    }

    pub(super) fn register(&mut self, job: &Job) -> Evaluation {
        let eval = Some(Box::new(Evaluation::new(job, Trigger::JobRegister, self.now)));
        let applied = self.apply(Command::RegisterJob { job: Arc::new(job.clone()), eval, time: self.now });
        Evaluation::clone(&applied.evals[0])
    }

    pub(super) fn evaluate(&mut self, job: JobId, trigger: Trigger) -> Evaluation {
        let job = Arc::clone(self.state.job(job).unwrap());
        let applied = self.apply(Command::UpsertEvals(vec![Evaluation::new(&job, trigger, self.now)]));
        Evaluation::clone(&applied.evals[0])
    }

    /// Does what a worker and the leader do for one evaluation. Returns it as written last, and what was created.
    pub(super) fn process(&mut self, eval: Evaluation) -> (Evaluation, Vec<Evaluation>) {
        let mut process = Process::new(eval, self.state.clone(), self.config.clone(), 7);
        let (mut created, mut reply) = (Vec::new(), Reply::Start);
        loop {
            match process.step(self.now, reply) {
                Step::CreateEvaluations(evals) => {
                    let applied = self.apply(Command::UpsertEvals(evals));
                    created.extend(applied.evals.iter().map(|eval| Evaluation::clone(eval)));
                    reply = Reply::Created(applied.evals.iter().map(|eval| eval.id).collect());
                }
                Step::Submit(plan) => reply = self.submit(&plan),
                Step::UpdateEvaluation(eval) | Step::Reblock(eval) => {
                    let applied = self.apply(Command::UpsertEvals(vec![*eval]));
                    assert_eq!(process.step(self.now, Reply::Written), Step::Done);
                    return (Evaluation::clone(&applied.evals[0]), created);
                }
                Step::Done => panic!("an evaluation ends with a status"),
            }
        }
    }

    pub(super) fn submit(&mut self, plan: &Plan) -> Reply {
        let result = evaluate_plan(&self.state, plan, &self.config.behaviour, self.now);
        let refresh = result.refresh_index > 0;
        self.apply(Command::Plan(Arc::new(result.clone())));
        Reply::Planned { result: Arc::new(result), snapshot: refresh.then(|| self.state.clone()) }
    }

    pub(super) fn run(&mut self, job: &Job) -> (Evaluation, Vec<Evaluation>) {
        let eval = self.register(job);
        self.process(eval)
    }

    pub(super) fn live(&self, job: JobId) -> Vec<&Arc<Alloc>> {
        self.state.allocs_of_job(job).filter(|alloc| !alloc.is_terminal()).collect()
    }

    pub(super) fn report(&mut self, id: AllocId, client: ClientStatus) -> Applied {
        let finished_at = (client != ClientStatus::Running).then_some(self.now);
        let task_failed = client == ClientStatus::Failed;
        let update = AllocUpdate { id, client, finished_at, task_failed, health: None };
        self.apply(Command::ClientUpdate { updates: vec![update], evals: Vec::new(), time: self.now })
    }
}

pub(super) fn node(number: u32) -> NodeSpec {
    NodeSpec {
        name: format!("node-{number}").into(),
        datacenter: "dc1".into(),
        class: "".into(),
        pool: "default".into(),
        zone: ZoneId(number % 3),
        attributes: OrdMap::from([("zone".to_string(), ["a", "b", "c"][number as usize % 3].to_string())]),
        meta: OrdMap::new(),
        drivers: vec!["exec".into()],
        capacity: NodeCapacity { cpu: MegaHertz(4_000), cores: 4, memory: Mebibytes(8_192), disk: Mebibytes(50_000) },
        reserved: NodeReserved::default(),
        networks: vec![NodeNetwork {
            mode: "host".into(),
            device: "eth0".into(),
            ip: format!("10.0.{}.{}", number / 256, number % 256),
            alias: "default".into(),
            bandwidth: MegabitsPerSecond(1_000),
        }],
        devices: Vec::new(),
        host_volumes: OrdMap::new(),
    }
}

pub(super) fn job(id: u32, kind: JobKind, count: u32, cpu: u64) -> Job {
    let mut group = TaskGroup::new("web");
    group.count = count;
    group.update = None;
    let mut task = Task::new("server", "exec");
    task.resources.cpu = MegaHertz(cpu);
    task.resources.memory = Mebibytes(256);
    group.tasks.push(task);
    Job {
        id: JobId(id),
        name: format!("job-{id}").into(),
        namespace: "default".into(),
        kind,
        priority: 50,
        datacenters: vec!["dc1".into()],
        node_pool: "default".into(),
        all_at_once: false,
        constraints: Vec::new(),
        affinities: Vec::new(),
        spreads: Vec::new(),
        groups: vec![group],
        update: None,
        meta: OrdMap::new(),
        launch: Launch::default(),
        stop: false,
        version: 0,
        create_index: 0,
        job_modify_index: 0,
        modify_index: 0,
        stable: false,
    }
}

#[test]
fn a_job_is_placed_changed_in_place_replaced_scaled_and_stopped() {
    let mut region = Region::new(6);
    let mut spec = job(0, JobKind::Service, 4, 500);
    let (eval, created) = region.run(&spec);
    assert_eq!((eval.status, created.len(), region.live(JobId(0)).len()), (EvalStatus::Complete, 0, 4));
    assert_eq!(region.state.job_status(JobId(0)), Some(JobStatus::Running));
    let before: Vec<AllocId> = region.live(JobId(0)).iter().map(|alloc| alloc.id).collect();
    spec.priority = 60;
    region.run(&spec);
    let in_place: Vec<AllocId> = region.live(JobId(0)).iter().map(|alloc| alloc.id).collect();
    assert_eq!(before, in_place);
    assert!(region.live(JobId(0)).iter().all(|alloc| alloc.job.version == 1));
    spec.groups[0].tasks[0].config = "image = v2".into();
    region.run(&spec);
    let replaced = region.live(JobId(0));
    assert_eq!(replaced.len(), 4);
    assert!(replaced.iter().all(|alloc| alloc.job.version == 2 && before.contains(&alloc.previous.unwrap())));
    spec.groups[0].count = 2;
    region.run(&spec);
    let names: Vec<u32> = region.live(JobId(0)).iter().map(|alloc| alloc.name_index).collect();
    assert_eq!(names, [0, 1]);
    let eval = Evaluation::new(&spec, Trigger::JobDeregister, region.now);
    let applied = region.apply(Command::DeregisterJob { id: JobId(0), purge: true, eval: Some(Box::new(eval)) });
    region.process(Evaluation::clone(&applied.evals[0]));
    assert!(region.live(JobId(0)).is_empty());
    assert!(region.state.nodes().values().all(|entry| entry.used.cpu == 0 && entry.live.is_empty()));
}

#[test]
fn what_does_not_fit_waits_blocked_and_is_placed_when_a_node_joins() {
    let mut region = Region::new(1);
    let (eval, created) = region.run(&job(0, JobKind::Service, 3, 3_000));
    assert_eq!(eval.queued.values().sum::<u32>(), 2);
    let failed = eval.failed_groups.values().next().unwrap();
    assert_eq!((failed.coalesced_failures, failed.nodes_exhausted, failed.dimension_exhausted["cpu"]), (1, 1, 1));
    let blocked = created.into_iter().next().unwrap();
    assert_eq!((blocked.status, blocked.class_eligibility.len(), blocked.escaped), (EvalStatus::Blocked, 1, false));
    assert_eq!(eval.blocked, Some(blocked.id));
    region.join(1);
    let (reblocked, created) = region.process(blocked);
    assert_eq!((reblocked.status, created.len(), region.live(JobId(0)).len()), (EvalStatus::Blocked, 0, 2));
    region.join(2);
    let (done, _) = region.process(reblocked);
    assert_eq!((done.status, region.live(JobId(0)).len()), (EvalStatus::Complete, 3));
}

#[test]
fn a_dead_node_loses_its_allocations_and_a_drained_one_gives_them_away() {
    let mut region = Region::new(3);
    region.run(&job(0, JobKind::Service, 3, 500));
    let lost = region.live(JobId(0))[0].node;
    let held = region.state.node(lost).unwrap().live.clone();
    region.apply(Command::NodeStatus { id: lost, status: NodeStatus::Down });
    let eval = region.evaluate(JobId(0), Trigger::NodeUpdate);
    region.process(eval);
    assert_eq!(region.live(JobId(0)).len(), 3);
    for &id in held.iter() {
        let alloc = region.state.alloc(id).unwrap();
        assert_eq!((alloc.desired, alloc.client), (Desired::Stop, ClientStatus::Lost));
        assert_eq!(region.state.alloc(alloc.next.unwrap()).unwrap().previous, Some(id));
    }
    let moving = region.live(JobId(0))[0].id;
    let drained = region.state.alloc(moving).unwrap().node;
    let strategy = DrainStrategy { deadline: None, ignore_system_jobs: false, started_at: region.now };
    region.apply(Command::NodeDrain { id: drained, strategy: Some(strategy), mark_eligible: false });
    let migrate = Transition { migrate: true, ..Transition::default() };
    let on_node: Vec<_> = region.state.node(drained).unwrap().live.iter().map(|id| (*id, migrate)).collect();
    region.apply(Command::Transitions { transitions: on_node, evals: Vec::new() });
    let eval = region.evaluate(JobId(0), Trigger::NodeDrain);
    region.process(eval);
    let live = region.live(JobId(0));
    assert!(live.len() == 3 && live.iter().all(|alloc| alloc.node != drained && alloc.node != lost));
}

#[test]
fn a_failed_allocation_is_replaced_later_by_its_followup() {
    let mut region = Region::new(2);
    region.run(&job(0, JobKind::Service, 1, 500));
    let failed = region.live(JobId(0))[0].id;
    region.report(failed, ClientStatus::Failed);
    let eval = region.evaluate(JobId(0), Trigger::AllocFailure);
    let (_, created) = region.process(eval);
    let followup = created.into_iter().next().unwrap();
    let alloc = region.state.alloc(failed).unwrap();
    assert_eq!(alloc.followup_eval, Some(followup.id));
    assert_eq!(followup.wait_until, Some(alloc.finished_at.unwrap() + Duration::from_secs(30)));
    region.now += Duration::from_secs(30);
    region.process(followup);
    let live = region.live(JobId(0));
    assert_eq!((live.len(), live[0].previous, live[0].reschedules.len()), (1, Some(failed), 1));
    assert_ne!(live[0].node, region.state.alloc(failed).unwrap().node);
}

#[test]
fn a_followup_has_the_job_s_priority_until_1_1_10_and_1_2_4() {
    let priority = |release: &str| {
        let mut region = Region::new(2);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        region.run(&Job { priority: 70, ..job(0, JobKind::Service, 1, 500) });
        region.report(AllocId(0), ClientStatus::Failed);
        let eval = region.evaluate(JobId(0), Trigger::JobScaling);
        let (_, created) = region.process(Evaluation { priority: 50, ..eval });
        assert!(created[0].wait_until.is_some());
        created[0].priority
    };
    assert_eq!([priority("1.1.9"), priority("1.1.10"), priority("1.2.3"), priority("1.2.4")], [70, 50, 70, 50]);
}

#[test]
fn how_often_a_plan_is_tried_without_progress_depends_on_the_type() {
    let plans = |kind: JobKind| {
        let mut region = Region::new(2);
        let eval = region.register(&job(0, kind, 1, 500));
        let mut process = Process::new(eval, region.state.clone(), region.config.clone(), 7);
        let (mut plans, mut reply) = (0, Reply::Start);
        while let Step::Submit(plan) = process.step(region.now, reply) {
            plans += 1;
            let mut result = evaluate_plan(&region.state, &plan, &region.config.behaviour, region.now);
            (result.placements, result.refresh_index) = (Vec::new(), region.state.index());
            reply = Reply::Planned { result: Arc::new(result), snapshot: Some(region.state.clone()) };
        }
        plans
    };
    let kinds = [JobKind::Service, JobKind::Batch, JobKind::System, JobKind::SysBatch];
    assert_eq!(kinds.map(plans), [5, 2, 5, 2]);
}

#[test]
fn canaries_are_placed_without_a_strategy_and_nothing_promotes_them() {
    let mut region = Region::new(3);
    let mut spec = job(0, JobKind::Service, 2, 500);
    spec.groups[0].update = Some(Update { max_parallel: 0, canary: 1, ..Update::default() });
    region.run(&spec);
    spec.groups[0].tasks[0].config = "image = v2".into();
    region.run(&spec);
    let versions: Vec<u64> = region.live(JobId(0)).iter().map(|alloc| alloc.job.version).collect();
    assert_eq!(versions, [0, 0, 1]);
    assert!(region.state.latest_deployment(JobId(0)).is_none());
}

#[test]
fn a_lost_client_has_the_time_of_the_version_it_runs_to_stop_its_tasks() {
    let mut region = Region::new(2);
    let mut spec = job(0, JobKind::Service, 1, 500);
    spec.groups[0].stop_after_client_disconnect = Some(Duration::from_secs(10));
    spec.groups[0].tasks[0].kill_timeout = Duration::from_secs(20);
    region.run(&spec);
    let node = region.live(JobId(0))[0].node;
    spec.groups[0].tasks[0].kill_timeout = Duration::from_secs(90);
    region.register(&spec);
    region.apply(Command::NodeStatus { id: node, status: NodeStatus::Down });
    let eval = region.evaluate(JobId(0), Trigger::NodeUpdate);
    let lost = region.now;
    let (_, created) = region.process(eval);
    assert_eq!(created[0].wait_until, Some(lost + Duration::from_secs(30)));
}

#[test]
fn a_failed_allocation_keeps_its_history_from_1_6_12_on_when_nothing_is_free() {
    let kept = |release: &str| {
        let mut region = Region::new(1);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        region.run(&job(0, JobKind::Service, 1, 3_000));
        let failed = region.live(JobId(0))[0].id;
        region.report(failed, ClientStatus::Failed);
        region.run(&Job { priority: 60, ..job(1, JobKind::Service, 1, 3_000) });
        region.now += Duration::from_secs(40);
        let eval = region.evaluate(JobId(0), Trigger::AllocFailure);
        let (eval, _) = region.process(eval);
        assert_eq!(eval.queued.values().sum::<u32>(), 1);
        region.join(1);
        let blocked = Evaluation::clone(region.state.eval(eval.blocked.unwrap()).unwrap());
        region.process(blocked);
        region.live(JobId(0))[0].reschedules.len()
    };
    assert_eq!((kept("1.6.3"), kept("1.6")), (0, 1));
}

#[test]
fn a_plan_made_from_an_old_state_is_rejected_where_it_no_longer_fits() {
    let mut region = Region::new(1);
    let first = region.register(&job(0, JobKind::Service, 1, 3_000));
    let second = region.register(&job(1, JobKind::Service, 1, 3_000));
    let old = region.state.clone();
    region.process(first);
    let mut late = Process::new(second, old, region.config.clone(), 7);
    let Step::Submit(plan) = late.step(region.now, Reply::Start) else { panic!("a plan was due") };
    let result = evaluate_plan(&region.state, &plan, &region.config.behaviour, region.now);
    assert!(matches!(result.rejected[..], [(NodeId(0), Rejection::Misfit(_))]));
    assert!(result.refresh_index > 0 && !result.is_full_commit(&plan) && !result.made_progress());
    let reply = Reply::Planned { result: Arc::new(result), snapshot: Some(region.state.clone()) };
    let Step::CreateEvaluations(blocked) = late.step(region.now, reply) else { panic!("nothing fits now") };
    assert_eq!(blocked[0].status, EvalStatus::Blocked);
    let Step::UpdateEvaluation(eval) = late.step(region.now, Reply::Created(vec![EvalId(9)])) else {
        panic!("no plan")
    };
    assert_eq!((eval.status, eval.blocked), (EvalStatus::Complete, Some(EvalId(9))));
}

#[test]
fn a_system_job_runs_once_on_every_node_it_is_meant_for() {
    let mut region = Region::new(6);
    let mut spec = job(0, JobKind::System, 1, 100);
    spec.constraints.push(Constraint { left: "${attr.zone}".into(), operator: "!=".into(), right: "b".into() });
    let (eval, created) = region.run(&spec);
    assert_eq!((eval.queued.values().sum::<u32>(), created.len(), region.live(JobId(0)).len()), (0, 0, 4));
    region.join(6);
    let eval = region.evaluate(JobId(0), Trigger::NodeUpdate);
    region.process(eval);
    assert_eq!(region.live(JobId(0)).len(), 5);
    spec.update = Some(Update { max_parallel: 2, ..Update::default() });
    spec.groups[0].tasks[0].config = "v2".into();
    let (_, created) = region.run(&spec);
    assert_eq!((created[0].trigger, created[0].wait), (Trigger::RollingUpdate, Duration::from_secs(30)));
    assert_eq!(region.live(JobId(0)).iter().filter(|alloc| alloc.job.version == 1).count(), 2);
}

#[test]
fn spread_and_distinct_hosts_shape_the_placement() {
    let mut region = Region::new(9);
    let mut spec = job(0, JobKind::Service, 6, 100);
    spec.spreads.push(Spread { attribute: "${attr.zone}".into(), weight: 50, targets: Vec::new() });
    region.run(&spec);
    let mut by_zone = [0; 3];
    region.live(JobId(0)).iter().for_each(|alloc| by_zone[alloc.node.0 as usize % 3] += 1);
    assert_eq!(by_zone, [2, 2, 2]);
    let mut spec = job(1, JobKind::Service, 10, 100);
    spec.constraints.push(Constraint { left: String::new(), operator: "distinct_hosts".into(), right: String::new() });
    let (eval, _) = region.run(&spec);
    assert_eq!((region.live(JobId(1)).len(), eval.queued.values().sum::<u32>()), (9, 1));
}

#[test]
fn an_affinity_looks_at_as_many_nodes_as_the_group_has_instances_and_at_least_a_hundred() {
    let scored = |release: &str, count: u32| {
        let mut region = Region::new(130);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        let mut spec = job(0, JobKind::Service, count, 10);
        let (left, operator, right) = ("${node.datacenter}".into(), "=".into(), "dc1".into());
        spec.affinities.push(Affinity { left, operator, right, weight: 100 });
        let eval = region.register(&spec);
        let mut process = Process::new(eval, region.state.clone(), region.config.clone(), 7);
        let Step::Submit(plan) = process.step(region.now, Reply::Start) else { panic!("a plan was due") };
        assert_eq!(plan.placements.len(), count as usize);
        process.take_work().nodes_scored / u64::from(count)
    };
    assert_eq!([scored("1.1.0", 5), scored("1.6", 5), scored("1.6", 120)], [130, 100, 120]);
}

#[test]
fn dynamic_ports_of_one_ask_can_collide_until_1_5_1() {
    let collisions = |release: &str| {
        let mut region = Region::new(1);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        let mut spec = job(0, JobKind::Batch, 1, 100);
        let port = |at| PortAsk { label: format!("p{at}"), ..PortAsk::default() };
        spec.groups[0].networks = vec![NetworkAsk { ports: (0..200).map(port).collect(), ..NetworkAsk::default() }];
        let eval = region.register(&spec);
        let mut process = Process::new(eval, region.state.clone(), region.config.clone(), 7);
        let Step::Submit(plan) = process.step(region.now, Reply::Start) else { panic!("a plan was due") };
        evaluate_plan(&region.state, &plan, &region.config.behaviour, region.now).rejected.len()
    };
    assert_eq!((collisions("1.5.0"), collisions("1.5.1")), (1, 0));
}

#[test]
fn the_spread_algorithm_fills_evenly_and_binpack_fills_up() {
    let used = |algorithm| {
        let mut region = Region::new(4);
        region.config.algorithm = algorithm;
        for id in 0..8 {
            region.run(&job(id, JobKind::Batch, 1, 500));
        }
        region.state.nodes().values().filter(|entry| entry.used.cpu > 0).count()
    };
    assert_eq!(used(Algorithm::Spread), 4);
    assert!(used(Algorithm::Binpack) < 4);
}

#[test]
fn replicas_agree_and_snapshots_stay_as_they_were() {
    let (mut a, mut b) = (Region::new(5), Region::new(5));
    a.run(&job(0, JobKind::Service, 5, 200));
    let snapshot = a.state.clone();
    b.run(&job(0, JobKind::Service, 5, 200));
    assert_eq!(a.state, b.state);
    let first = a.live(JobId(0))[0].id;
    let applied = a.report(first, ClientStatus::Complete);
    assert_eq!((applied.unblocked.len(), applied.reported), (1, vec![first]));
    assert_eq!(snapshot, b.state);
    assert_ne!(snapshot, a.state);
}

#[test]
fn a_plan_places_on_known_ready_and_eligible_nodes_only_and_stops_anywhere() {
    let mut region = Region::new(3);
    let spec = job(0, JobKind::Service, 0, 100);
    let eval = region.register(&spec);
    let job = Arc::clone(region.state.job(JobId(0)).unwrap());
    let on = |nodes: &[u32]| -> Vec<Arc<Alloc>> {
        nodes.iter().map(|node| Arc::new(place(&job, NodeId(*node), eval.id, None, Time::ZERO))).collect()
    };
    let mut plan = Plan::new(&eval, false, region.state.index());
    plan.placements = on(&[1, 2]);
    region.submit(&plan);
    let entry = region.state.job_entry(JobId(0)).unwrap();
    assert_eq!(entry.evals_index, region.state.index(), "the job's next evaluation waits for the plan");
    region.apply(Command::NodeStatus { id: NodeId(1), status: NodeStatus::Down });
    region.apply(Command::NodeEligibility { id: NodeId(2), eligibility: Eligibility::Ineligible });
    let verify = |plan: &Plan| evaluate_plan(&region.state, plan, &region.config.behaviour, region.now);
    let held: Vec<Arc<Alloc>> = region.live(JobId(0)).into_iter().cloned().collect();
    let stops = held.iter().map(|alloc| Stop {
        alloc: alloc.id,
        node: alloc.node,
        client: None,
        followup: None,
        reason: StopReason::NotNeeded,
    });
    let mut plan = Plan::new(&eval, false, region.state.index());
    plan.stops = stops.collect();
    plan.placements = on(&[0, 9]);
    let result = verify(&plan);
    assert_eq!(result.rejected, [(NodeId(9), Rejection::Missing)]);
    assert_eq!((result.stops.len(), result.placements.len()), (2, 1), "stops alone pass on any node");
    plan.placements = on(&[0, 1, 2]);
    let result = verify(&plan);
    assert_eq!(result.rejected, [(NodeId(1), Rejection::NotReady), (NodeId(2), Rejection::NotEligible)]);
    assert_eq!((result.stops.len(), result.placements.len()), (0, 1), "and go with what is rejected there");
}

#[test]
fn updates_in_place_pass_on_ineligible_nodes_from_1_3_on() {
    let rejected = |release: &str, places: bool| {
        let mut region = Region::new(1);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        let (eval, _) = region.run(&job(0, JobKind::Service, 1, 100));
        region.apply(Command::NodeEligibility { id: NodeId(0), eligibility: Eligibility::Ineligible });
        let mut plan = Plan::new(&eval, false, region.state.index());
        let held = Arc::clone(region.live(JobId(0))[0]);
        if places {
            plan.placements.push(Arc::new(place(&held.job, NodeId(0), eval.id, None, region.now)));
        }
        plan.updates.push(held);
        evaluate_plan(&region.state, &plan, &region.config.behaviour, region.now).rejected
    };
    let no = [(NodeId(0), Rejection::NotEligible)];
    assert_eq!((&rejected("1.2.16", false)[..], &rejected("1.3.0", false)[..]), (&no[..], &[][..]));
    assert_eq!((&rejected("1.2.16", true)[..], &rejected("1.3.0", true)[..]), (&no[..], &no[..]));
}

#[test]
fn one_rejected_node_empties_a_plan_that_is_all_or_nothing() {
    let mut region = Region::new(2);
    let mut spec = job(0, JobKind::Service, 2, 100);
    spec.all_at_once = true;
    spec.groups[0].update = Some(Update::default());
    let eval = region.register(&spec);
    let mut process = Process::new(eval, region.state.clone(), region.config.clone(), 7);
    let Step::Submit(mut plan) = process.step(region.now, Reply::Start) else { panic!("a plan was due") };
    assert!(plan.all_at_once && plan.deployment.is_some());
    let verify = |plan: &Plan| evaluate_plan(&region.state, plan, &region.config.behaviour, region.now);
    assert!(verify(&plan).is_full_commit(&plan));
    Arc::make_mut(&mut plan.placements[1]).node = NodeId(9);
    let result = verify(&plan);
    assert!(result.is_noop() && result.placements.is_empty() && result.deployment.is_none());
    assert_eq!(result.rejected, [(NodeId(9), Rejection::Missing)]);
    assert!(result.refresh_index > 0);
    plan.all_at_once = false;
    assert_eq!(verify(&plan).placements.len(), 1);
    Arc::make_mut(&mut plan.placements[0]).node = NodeId(9);
    let result = verify(&plan);
    assert!(result.placements.is_empty() && result.deployment.is_some(), "otherwise it is deployed without any node");
}

#[test]
fn attempts_without_progress_are_numbered_and_then_the_job_waits_for_another_time() {
    for (kind, limit) in [(JobKind::Service, 5), (JobKind::Batch, 2)] {
        for progress_at in [0, limit - 1] {
            let mut region = Region::new(1);
            let first = region.register(&job(0, JobKind::Service, 1, 3_000));
            let late = region.register(&job(1, kind, 1, 3_000));
            let old = region.state.clone();
            region.process(first);
            let id = late.id;
            let mut process = Process::new(late, old.clone(), region.config.clone(), 7);
            let (mut step, mut submitted) = (process.step(region.now, Reply::Start), 0);
            // Its state never catches up, so that every plan is the same; one of them is let through.
            while let Step::Submit(plan) = step {
                submitted += 1;
                let seen = if submitted == progress_at { &old } else { &region.state };
                let result = Arc::new(evaluate_plan(seen, &plan, &region.config.behaviour, region.now));
                assert_eq!(result.made_progress(), submitted == progress_at);
                step = process.step(region.now, Reply::Planned { result, snapshot: Some(old.clone()) });
            }
            assert_eq!(submitted, progress_at + limit, "{kind:?}");
            let Step::CreateEvaluations(blocked) = step else { panic!("it is to be tried again") };
            assert_eq!((blocked.len(), blocked[0].status), (1, EvalStatus::Blocked));
            assert_eq!((blocked[0].trigger, blocked[0].previous), (Trigger::MaxPlanAttempts, Some(id)));
            let Step::UpdateEvaluation(eval) = process.step(region.now, Reply::Created(vec![EvalId(9)])) else {
                panic!("it is over")
            };
            assert_eq!((eval.status, eval.blocked), (EvalStatus::Failed, Some(EvalId(9))));
        }
    }
}

#[test]
fn plans_of_later_attempts_name_the_first_state() {
    let mut region = Region::new(1);
    let first = region.register(&job(0, JobKind::Service, 1, 3_000));
    let late = region.register(&job(1, JobKind::Service, 1, 3_000));
    let old = region.state.clone();
    region.process(first);
    region.join(1);
    let mut process = Process::new(late, old.clone(), region.config.clone(), 7);
    let Step::Submit(plan) = process.step(region.now, Reply::Start) else { panic!("a plan was due") };
    let reply = region.submit(&plan);
    let Step::Submit(again) = process.step(region.now, reply) else { panic!("the new node has room") };
    assert_eq!(again.placements[0].node, NodeId(1));
    assert_eq!((plan.snapshot_index, again.snapshot_index), (old.index(), old.index()));
}
