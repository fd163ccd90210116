//! The short ways of the stack give the answers of the plain walk: on random clusters, jobs and sequences.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
use crate::model::alloc::{Alloc, AllocId};
use crate::model::constraint::{Affinity, Constraint, Spread, SpreadTarget};
use crate::model::evaluation::{EvalId, Evaluation, FailedGroup, Trigger};
use crate::model::job::{Job, JobId, JobKind, TaskGroup};
use crate::model::node::{NodeCapacity, NodeId, NodeNetwork, NodeReserved, NodeSpec, NodeStatus};
use crate::model::resources::{NetworkAsk, PortAsk};
use crate::model::topology::ZoneId;
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::generic::{Task, new_alloc};
use crate::protocol::scheduler::plan::{Plan, Preemption, Stop, StopReason, evaluate_plan};
use crate::protocol::scheduler::rank::Ranked;
use crate::protocol::scheduler::release::{Algorithm, Behaviour, Release, SchedulerConfig};
use crate::protocol::scheduler::stack::{SelectOptions, Stack, Work};
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::test_support;

/// Everything a selection can be seen by.
type Seen = (Option<Ranked>, FailedGroup, Work);

#[test]
fn the_board_answers_like_the_walk() {
    let (mut from_board, mut out_of_ports) = (0, 0);
    for seed in 0..400 {
        let case = Case::new(seed);
        let (short, boards) = case.play(false);
        let (plain, none) = case.play(true);
        from_board += boards;
        assert_eq!(none, 0, "the plain walk uses no board");
        assert_eq!(short.len(), plain.len());
        for (step, (short, plain)) in short.iter().zip(&plain).enumerate() {
            assert_eq!(short, plain, "seed {seed}, step {step}");
            out_of_ports += u32::from(short.1.dimension_exhausted.keys().any(|why| why.contains("dynamic port")));
        }
    }
    assert!(from_board > 3_000, "the board was asked {from_board} times");
    assert!(out_of_ports > 20, "ports ran out {out_of_ports} times");
}

/// Plans made before and after one that is on its way, with stops, changes and victims of old and new allocations.
#[test]
fn what_is_foreseen_verifies_the_next_plan_like_what_is_applied() {
    let (mut accepted, mut rejected) = (0, 0);
    for seed in 0..300 {
        let case = Case::new(seed);
        let mut rng = Rng::stream(seed, "plans");
        let verify = |state: &State, plan: &Plan| evaluate_plan(state, plan, &case.config.behaviour, Time::ZERO);
        let mut result = verify(&case.state, &case.plan(&mut rng));
        if rng.chance(0.2) {
            result.ineligible.push(NodeId(rng.below(case.state.nodes().len() as u64) as u32));
        }
        let (mut applied, mut foreseen) = (case.state.clone(), case.state.clone());
        foreseen.foresee(300, &result);
        applied.apply(300, &Command::Plan(Arc::new(result)));
        let later = Case { seed, state: applied, config: case.config.clone(), job: Arc::clone(&case.job) };
        for plan in [case.plan(&mut rng), later.plan(&mut rng), later.plan(&mut rng)] {
            let (by_applied, by_foreseen) = (verify(&later.state, &plan), verify(&foreseen, &plan));
            assert_eq!(format!("{by_applied:?}"), format!("{by_foreseen:?}"), "seed {seed}");
            accepted += by_applied.placements.len() + by_applied.preemptions.len();
            rejected += by_applied.rejected.len();
        }
    }
    assert!(accepted > 2_000 && rejected > 150, "accepted {accepted}, rejected {rejected}");
}

struct Case {
    seed: u64,
    state: State,
    config: SchedulerConfig,
    job: Arc<Job>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, "case");
        let release = if rng.chance(0.7) { Release::V1_1_0 } else { Release::V1_6 };
        let algorithm = if rng.chance(0.5) { Algorithm::Binpack } else { Algorithm::Spread };
        let config = SchedulerConfig { algorithm, behaviour: Behaviour::of(release), ..SchedulerConfig::default() };
        let mut state = State::new();
        let count = 1 + rng.below(30) as u32;
        for id in 0..count {
            let spec = Arc::new(node(id, &mut rng));
            state.apply(u64::from(id) + 1, &Command::RegisterNode { id: NodeId(id), spec, status: NodeStatus::Ready });
        }
        for (number, job) in [job(0, &mut rng), job(1, &mut rng)].into_iter().enumerate() {
            let job = Arc::new(job);
            state.apply(100 + number as u64, &Command::RegisterJob { job, eval: None, time: Time::ZERO });
        }
        let mut case = Self { seed, job: Arc::clone(state.job(JobId(0)).unwrap()), state, config };
        // Some of either job are there already.
        for (index, id) in [(200, 1), (201, 0)] {
            let job = Arc::clone(case.state.job(JobId(id)).unwrap());
            let mut stack = case.stack(&job, index);
            for number in 0..rng.below(20) as u32 {
                case.place(&mut stack, &job, (number as usize) % job.groups.len(), number);
            }
            let plan = stack.into_plan();
            let result = evaluate_plan(&case.state, &plan, &case.config.behaviour, Time::ZERO);
            case.state.apply(index, &Command::Plan(Arc::new(result)));
        }
        case
    }

    /// Some placements, and for some allocations a stop, a change or somebody who pushes them out.
    fn plan(&self, rng: &mut Rng) -> Plan {
        let mut stack = self.stack(&self.job, rng.bits());
        for number in 0..rng.below(12) as u32 {
            self.place(&mut stack, &self.job, number as usize % self.job.groups.len(), number);
        }
        let mut plan = stack.into_plan();
        plan.all_at_once = rng.chance(0.1);
        for alloc in [0, 1].into_iter().flat_map(|job| self.state.allocs_of_job(JobId(job))) {
            let (id, node) = (alloc.id, alloc.node);
            match rng.below(8) {
                0 => {
                    let reason = StopReason::NotNeeded;
                    plan.stops.push(Stop { alloc: id, node, client: None, followup: None, reason });
                }
                1 => plan.updates.push(Arc::clone(alloc)),
                2 if !plan.placements.is_empty() => {
                    let by = rng.below(plan.placements.len() as u64) as u32;
                    plan.preemptions.push(Preemption { alloc: id, node, by });
                }
                _ => {}
            }
        }
        plan
    }

    fn stack<'a>(&'a self, job: &'a Arc<Job>, stream: u64) -> Stack<'a> {
        let eval = Evaluation::new(job, Trigger::JobRegister, Time::ZERO);
        let plan = Plan::new(&eval, false, self.state.index());
        let mut stack = Stack::new(&self.state, &self.config, job, plan, Rng::stream(stream, "stack"));
        stack.set_nodes(self.state.nodes().ids().collect());
        stack
    }

    fn place<'a>(&self, stack: &mut Stack<'a>, job: &'a Arc<Job>, group: usize, number: u32) -> Option<Ranked> {
        let chosen = stack.select(group, SelectOptions::default())?;
        let eval = Evaluation { id: EvalId(0), ..Evaluation::new(job, Trigger::JobRegister, Time::ZERO) };
        let task = Task { state: &self.state, eval: &eval, config: &self.config, now: Time::ZERO };
        stack.stage_placement(Arc::new(new_alloc(job, group, number, chosen.clone(), task)));
        Some(chosen)
    }

    /// The same steps each time: what each selection came to, and how many were answered by a board.
    fn play(&self, plain: bool) -> (Vec<Seen>, u32) {
        let mut rng = Rng::stream(self.seed, "steps");
        let mut stack = self.stack(&self.job, self.seed);
        stack.walks_only = plain;
        let live: Vec<&Arc<Alloc>> = self.state.allocs_of_job(self.job.id).collect();
        let mut stopped: Vec<AllocId> = Vec::new();
        let mut seen = Vec::new();
        for number in 0..40 {
            match rng.below(8) {
                0 if !live.is_empty() => {
                    let alloc = live[rng.below(live.len() as u64) as usize];
                    if !stopped.contains(&alloc.id) {
                        stopped.push(alloc.id);
                        let reason = StopReason::NotNeeded;
                        stack.stage_stop(Stop {
                            alloc: alloc.id,
                            node: alloc.node,
                            client: None,
                            followup: None,
                            reason,
                        });
                    }
                }
                1 => stopped.pop().into_iter().for_each(|alloc| stack.unstage_stop(alloc)),
                2 => {
                    let penalty_nodes = [NodeId(rng.below(30) as u32)];
                    let preferred =
                        rng.chance(0.5).then_some(NodeId(rng.below(self.state.nodes().len() as u64) as u32));
                    let options = SelectOptions { penalty_nodes: &penalty_nodes, preferred, preempt: false };
                    let chosen = stack.select(0, options);
                    seen.push((chosen, FailedGroup::default(), stack.work()));
                }
                _ => {
                    let group = rng.below(self.job.groups.len() as u64) as usize;
                    let chosen = self.place(&mut stack, &self.job, group, number);
                    let failure = if chosen.is_none() { stack.failure(group) } else { FailedGroup::default() };
                    seen.push((chosen, failure, stack.work()));
                }
            }
        }
        (seen, stack.from_board)
    }
}

fn node(id: u32, rng: &mut Rng) -> NodeSpec {
    let pick = |rng: &mut Rng, prefix: &str, of: u64| format!("{prefix}{}", rng.below(of));
    let mut meta = OrdMap::new();
    if rng.chance(0.8) {
        meta.insert("rack".to_owned(), pick(rng, "r", 5));
    }
    NodeSpec {
        name: format!("n{id}").as_str().into(),
        datacenter: "dc1".into(),
        pool: "default".into(),
        class: pick(rng, "c", 3).as_str().into(),
        zone: ZoneId(0),
        attributes: OrdMap::from([("os".to_owned(), pick(rng, "os", 4))]),
        meta,
        drivers: vec!["mock".into()],
        capacity: NodeCapacity {
            cpu: MegaHertz(500 * (1 + rng.below(3))),
            cores: 0,
            memory: Mebibytes(1_000 * (1 + rng.below(2))),
            disk: Mebibytes(10_000),
        },
        // Some have ten dynamic ports, some all of them, some no network.
        reserved: NodeReserved {
            ports: if rng.chance(0.5) { "20000-31990".into() } else { String::new() },
            ..NodeReserved::default()
        },
        networks: if rng.chance(0.9) { vec![network()] } else { Vec::new() },
        devices: Vec::new(),
        host_volumes: OrdMap::new(),
    }
}

fn network() -> NodeNetwork {
    NodeNetwork {
        mode: "host".into(),
        device: "eth0".into(),
        ip: "10.0.0.1".into(),
        alias: "default".into(),
        bandwidth: MegabitsPerSecond(1_000),
    }
}

fn job(id: u32, rng: &mut Rng) -> Job {
    let mut job = test_support::job(id, 50, 1);
    job.kind = if rng.chance(0.7) { JobKind::Service } else { JobKind::Batch };
    job.groups = (0..=rng.below(2)).map(|at| group(&format!("g{at}"), rng)).collect();
    if rng.chance(0.6) {
        let targets = (0..rng.below(3))
            .map(|at| SpreadTarget { value: format!("r{at}"), percent: 10 * (1 + rng.below(4) as u8) })
            .collect();
        job.spreads.push(Spread { attribute: "${meta.rack}".into(), weight: 10 + rng.below(90) as i8, targets });
    }
    if rng.chance(0.3) {
        let (left, operator, right) = ("${attr.os}".into(), "!=".into(), "os1".into());
        job.constraints.push(Constraint { left, operator, right });
    }
    if rng.chance(0.15) {
        let (left, operator, right) = (String::new(), "distinct_hosts".into(), "true".into());
        job.constraints.push(Constraint { left, operator, right });
    }
    job
}

fn group(name: &str, rng: &mut Rng) -> TaskGroup {
    let mut group = TaskGroup {
        name: name.into(),
        count: 1 + rng.below(30) as u32,
        ..test_support::job(0, 50, 1).groups[0].clone()
    };
    group.tasks[0].resources.cpu = MegaHertz(50 * (1 + rng.below(4)));
    group.tasks[0].resources.memory = Mebibytes(100);
    if rng.chance(0.5) {
        let weight = [-80, -20, 30, 70][rng.below(4) as usize];
        let (left, operator) = ("${node.class}".into(), "=".into());
        group.affinities.push(Affinity { left, operator, right: "c1".into(), weight });
    }
    if rng.chance(0.3) {
        group.spreads.push(Spread { attribute: "${attr.os}".into(), weight: 50, targets: Vec::new() });
    }
    if rng.chance(0.4) {
        let ports = (0..rng.below(4)).map(|at| PortAsk { label: format!("p{at}"), ..PortAsk::default() }).collect();
        group.networks.push(NetworkAsk { ports, ..NetworkAsk::default() });
    }
    group
}
