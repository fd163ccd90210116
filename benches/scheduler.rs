//! Placements per second of the Nomad scheduler, one thread, through the whole path: evaluation, plan, verified by the
//! applier, applied to the state, final status written. The scheduler lets go of its snapshot when it has planned.
//!
//! `cargo bench --bench scheduler` prints CPU time per placement (median of the repetitions), placements per second,
//! how many nodes a placement looks at (Nomad's rule: two for batch, for services as many as the number of nodes has
//! binary digits, with spreads or affinities all), how many times that is what the original did (where it was recorded,
//! see `tests/golden/nomad/throughput.md`), the target, and how cost grows with nodes against the smallest size of the
//! same kind: as the exponent, so that 0 is no growth and 1 is growth with the nodes. The recorded figures are brought
//! to this machine by the hold model of std's `BinaryHeap` at 10^5 pending, measured before each row, against the time
//! it took on the machine of the recordings. `-- --test` runs everything once, tiny; `-- spread` runs what contains
//! that text, as in `plain/10000/10x1000`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use cossim::base::math;
use cossim::base::ordered::OrdMap;
use cossim::base::time::Time;
use cossim::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};
use cossim::model::constraint::{Affinity, Constraint, Spread, SpreadTarget};
use cossim::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use cossim::model::job::{Job, JobId, JobKind, Launch, Task, TaskGroup};
use cossim::model::node::{NodeCapacity, NodeId, NodeNetwork, NodeReserved, NodeSpec, NodeStatus};
use cossim::model::resources::{NetworkAsk, PortAsk};
use cossim::model::topology::ZoneId;
use cossim::protocol::scheduler::command::Command;
use cossim::protocol::scheduler::plan::evaluate_plan;
use cossim::protocol::scheduler::process::{Process, Reply, Step};
use cossim::protocol::scheduler::release::{Behaviour, Release, SchedulerConfig};
use cossim::protocol::scheduler::state::State;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let tiny = args.iter().any(|arg| arg == "--test");
    let wanted = |name: &str| args.iter().all(|arg| arg == "--test" || name.contains(arg.as_str()));
    println!(
        "{:16} {:>6} {:>13} {:>9} {:>12} {:>8} {:>9} {:>9} {:>7} {:>9}",
        "mode", "nodes", "jobs x count", "us each", "placed/s", "looks at", "original", "ratio", "target", "growth"
    );
    let mut first: BTreeMap<(&str, u32), (u32, f64)> = BTreeMap::new();
    let mut missed = 0;
    for row in rows().into_iter().filter(|row| wanted(&row.name())) {
        let row = if tiny { row.tiny() } else { row };
        let (cost, hold) = row.measure(if tiny { 1 } else { 3 });
        let smallest = first.entry((row.mode.name(), row.jobs)).or_insert((row.nodes, cost.seconds));
        let growth = (smallest.0 != row.nodes).then(|| (f64::from(row.nodes / smallest.0), cost.seconds / smallest.1));
        missed += u32::from(!row.print(cost, hold, growth));
    }
    println!("{missed} rows miss their target");
}

/// Time of one hold of the recordings' machine, in nanoseconds.
const HOLD_THERE: f64 = 97.4;

/// What a job asks for besides processor, memory and disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Batch,
    Ports,
    Spread,
    Affinity,
    Both,
    DistinctHosts,
    NearlyFull,
    Preemption,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Batch => "batch",
            Self::Ports => "ports",
            Self::Spread => "spread",
            Self::Affinity => "affinity",
            Self::Both => "spread+affinity",
            Self::DistinctHosts => "distinct hosts",
            Self::NearlyFull => "nearly full",
            Self::Preemption => "preemption",
        }
    }

    fn spreads(self) -> bool {
        matches!(self, Self::Spread | Self::Both)
    }

    fn attracts(self) -> bool {
        matches!(self, Self::Affinity | Self::Both)
    }
}

#[derive(Clone, Copy)]
struct Row {
    mode: Mode,
    nodes: u32,
    jobs: u32,
    count: u32,
    /// Placements per CPU second of the original, and how many times that is wanted.
    recorded: Option<(f64, f64)>,
}

/// Of one placement.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time.
    seconds: f64,
    /// Nodes looked at.
    nodes: f64,
}

/// The recorded rows, and those that show how cost grows.
fn rows() -> Vec<Row> {
    use Mode::{Affinity, Batch, Both, DistinctHosts, NearlyFull, Plain, Ports, Preemption, Spread};
    let mut rows = Vec::new();
    let mut add = |mode, nodes, (jobs, count), recorded: Option<(f64, f64)>| {
        rows.push(Row { mode, nodes, jobs, count, recorded });
    };
    for (nodes, one, ten) in [
        (100, None, None),
        (1_000, Some(6_711.2), Some(5_921.1)),
        (5_000, Some(6_079.9), Some(6_274.5)),
        (10_000, Some(6_560.2), Some(5_766.6)),
    ] {
        add(Plain, nodes, (1, 10_000), one.map(|rate| (rate, 40.0)));
        add(Plain, nodes, (10, 1_000), ten.map(|rate| (rate, 40.0)));
        add(Plain, nodes, (1_000, 10), None);
    }
    for (mode, rates) in [(Batch, [18_185.3, 22_941.7, 21_687.5]), (Ports, [3_698.8, 5_040.5, 4_715.5])] {
        add(mode, 100, (10, 1_000), None);
        for (nodes, rate) in [1_000, 5_000, 10_000].into_iter().zip(rates) {
            add(mode, nodes, (10, 1_000), Some((rate, 40.0)));
        }
    }
    for (mode, rates) in [(Spread, [163.6, 31.7, 12.1]), (Affinity, [199.0, 31.3, 13.1]), (Both, [186.6, 29.8, 11.4])] {
        add(mode, 100, (1, 1_000), None);
        for ((nodes, count, times), rate) in
            [(1_000, 1_000, 200.0), (5_000, 400, 300.0), (10_000, 200, 500.0)].into_iter().zip(rates)
        {
            add(mode, nodes, (1, count), Some((rate, times)));
        }
        add(mode, 10_000, (1_000, 10), None);
    }
    for (nodes, count, rate) in [(1_000, 100, (187.6, 200.0)), (5_000, 40, (30.6, 300.0)), (10_000, 20, (12.1, 500.0))]
    {
        add(Spread, nodes, (10, count), Some(rate));
    }
    for mode in [DistinctHosts, NearlyFull, Preemption] {
        for nodes in [100, 1_000, 5_000, 10_000] {
            add(mode, nodes, (10, 100), None);
        }
    }
    rows
}

impl Row {
    fn name(self) -> String {
        format!("{}/{}/{}x{}", self.mode.name(), self.nodes, self.jobs, self.count)
    }

    fn tiny(self) -> Self {
        Self { nodes: self.nodes.min(50), jobs: self.jobs.min(2), count: self.count.min(20), ..self }
    }

    /// What a placement costs, the median, and the nanoseconds of a hold, before and after.
    fn measure(self, repetitions: usize) -> (Cost, f64) {
        if repetitions == 1 {
            return (self.place(), HOLD_THERE);
        }
        let before = hold();
        let costs: Vec<Cost> = (0..repetitions).map(|_| self.place()).collect();
        let seconds = median(costs.iter().map(|cost| cost.seconds).collect());
        (Cost { seconds, ..costs[0] }, f64::midpoint(before, hold()))
    }

    /// Registers the jobs, then processes one evaluation after another.
    fn place(self) -> Cost {
        let config = SchedulerConfig {
            preempt_service: self.mode == Mode::Preemption,
            behaviour: Behaviour::of(Release::V1_1_0),
            ..SchedulerConfig::default()
        };
        let mut world = World { state: State::new(), index: 0, config, looked_at: 0 };
        for id in 0..self.nodes {
            let (id, spec) = (NodeId(id), Arc::new(node(id)));
            world.apply(&Command::RegisterNode { id, spec, status: NodeStatus::Ready });
        }
        self.fill(&mut world);
        let before = world.state.allocs().len();
        for number in 0..self.jobs {
            world.register(self.job(JobId(1 + number)));
        }
        let evals: Vec<Evaluation> =
            world.state.evals().values().filter(|eval| eval.job != JobId(0)).map(|eval| (**eval).clone()).collect();
        world.looked_at = 0;
        let begun = cpu_seconds();
        for eval in evals {
            world.process(eval);
        }
        let elapsed = cpu_seconds() - begun;
        let placed = world.state.allocs().len() - before;
        assert_eq!(placed as u32, self.jobs * self.count, "everything finds its place");
        Cost { seconds: elapsed / placed as f64, nodes: world.looked_at as f64 / placed as f64 }
    }

    /// Most nodes full, with just enough room on the others; or all of them, with what may be pushed out.
    fn fill(self, world: &mut World) {
        let (share, cpu) = match self.mode {
            Mode::NearlyFull => (0.8, 15_950),
            Mode::Preemption => (1.0, 15_950),
            _ => return,
        };
        let mut group = group((f64::from(self.nodes) * share) as u32);
        group.tasks[0].resources.cpu = MegaHertz(cpu);
        world.register(Job { priority: 20, groups: vec![group], ..job(JobId(0)) });
        let eval = world.state.evals().values().next().map(|eval| (**eval).clone());
        world.process(eval.expect("the registration brought one"));
    }

    fn job(self, id: JobId) -> Job {
        let mut group = group(self.count);
        let mut job = job(id);
        match self.mode {
            Mode::Batch => {
                job.kind = JobKind::Batch;
                group.reschedule = None;
            }
            Mode::Ports => {
                let port = |label: &str| PortAsk { label: label.into(), ..PortAsk::default() };
                group.networks = vec![NetworkAsk { ports: vec![port("http"), port("admin")], ..NetworkAsk::default() }];
            }
            Mode::DistinctHosts => job.constraints.push(constraint("", "distinct_hosts", "true")),
            Mode::Preemption => job.priority = 80,
            Mode::Plain | Mode::Spread | Mode::Affinity | Mode::Both | Mode::NearlyFull => {}
        }
        if self.mode.spreads() {
            let target = |(value, percent): (&str, u8)| SpreadTarget { value: value.into(), percent };
            let targets = [("dc1", 50), ("dc2", 30), ("dc3", 20)].into_iter().map(target).collect();
            job.spreads.push(Spread { attribute: "${node.datacenter}".into(), weight: 100, targets });
        }
        if self.mode.attracts() {
            let (left, operator, right) = ("${node.class}".into(), "=".into(), "class-1".into());
            job.affinities.push(Affinity { left, operator, right, weight: 50 });
        }
        Job { groups: vec![group], ..job }
    }

    /// False if a target is missed. `growth` is how many times more nodes and cost than the smallest size.
    fn print(self, cost: Cost, hold: f64, growth: Option<(f64, f64)>) -> bool {
        let shape = format!("{} x {}", self.jobs, self.count);
        let Cost { seconds, nodes } = cost;
        print!("{:16} {:>6} {shape:>13}", self.mode.name(), self.nodes);
        print!(" {:>9.2} {:>12.0} {nodes:>8.1}", seconds * 1e6, 1.0 / seconds);
        let mut met = true;
        if let Some((rate, target)) = self.recorded {
            let here = rate * HOLD_THERE / hold;
            let ratio = 1.0 / (seconds * here);
            met &= ratio >= target;
            print!(" {here:>9.1} {ratio:>8.1}x {target:>6.0}x");
        } else {
            print!(" {:>9} {:>9} {:>7}", "", "", "");
        }
        if let Some((nodes, cost)) = growth {
            print!(" {:>8.2}", math::ln(cost) / math::ln(nodes));
        }
        println!("{}", if met { "" } else { "  MISSED" });
        met
    }
}

/// A server without the control plane.
struct World {
    state: State,
    index: u64,
    config: SchedulerConfig,
    /// Nodes that evaluations have pulled.
    looked_at: u64,
}

impl World {
    fn apply(&mut self, command: &Command) -> Vec<EvalId> {
        self.index += 1;
        self.state.apply(self.index, command).evals.iter().map(|eval| eval.id).collect()
    }

    fn register(&mut self, job: Job) {
        let eval = Some(Box::new(Evaluation::new(&job, Trigger::JobRegister, Time::ZERO)));
        self.apply(&Command::RegisterJob { job: Arc::new(job), eval, time: Time::ZERO });
    }

    fn process(&mut self, eval: Evaluation) {
        let mut process = Process::new(eval, self.state.clone(), self.config.clone(), 1);
        let mut reply = Reply::Start;
        loop {
            let step = process.step(Time::ZERO, reply);
            self.looked_at += process.take_work().nodes_pulled;
            reply = match step {
                Step::CreateEvaluations(evals) => Reply::Created(self.apply(&Command::UpsertEvals(evals))),
                Step::Submit(plan) => {
                    let result = evaluate_plan(&self.state, &plan, &self.config.behaviour, Time::ZERO);
                    let result = Arc::new(result);
                    self.apply(&Command::Plan(Arc::clone(&result)));
                    // Two dynamic ports of one allocation may be the same in the release of the recordings.
                    let snapshot = (!result.is_full_commit(&plan)).then(|| self.state.clone());
                    Reply::Planned { result, snapshot }
                }
                Step::Reblock(eval) | Step::UpdateEvaluation(eval) => {
                    assert_eq!(eval.status, EvalStatus::Complete, "everything finds its place");
                    self.apply(&Command::UpsertEvals(vec![*eval]));
                    Reply::Written
                }
                Step::Done => return,
            };
        }
    }
}

/// 16 000 MHz and 32 768 MiB in one of three datacenters, of one of four node classes.
fn node(id: u32) -> NodeSpec {
    NodeSpec {
        name: format!("node-{id}").into(),
        datacenter: format!("dc{}", 1 + id % 3).into(),
        pool: "default".into(),
        class: format!("class-{}", id % 4).into(),
        zone: ZoneId(0),
        attributes: OrdMap::from([("kernel.name".to_owned(), "linux".to_owned())]),
        meta: OrdMap::new(),
        drivers: vec!["exec".into()],
        capacity: NodeCapacity {
            cpu: MegaHertz(16_000),
            cores: 0,
            memory: Mebibytes(32_768),
            disk: Mebibytes(102_400),
        },
        reserved: NodeReserved::default(),
        networks: vec![NodeNetwork {
            mode: "host".into(),
            device: "eth0".into(),
            ip: "10.0.0.1".into(),
            alias: "default".into(),
            bandwidth: MegabitsPerSecond(1_000),
        }],
        devices: Vec::new(),
        host_volumes: OrdMap::new(),
    }
}

/// 100 MHz, 128 MiB, 10 MiB of disk.
fn group(count: u32) -> TaskGroup {
    let mut task = Task::new("server", "exec");
    task.resources.cpu = MegaHertz(100);
    task.resources.memory = Mebibytes(128);
    let mut group = TaskGroup { count, update: None, tasks: vec![task], ..TaskGroup::new("web") };
    group.disk.size = Mebibytes(10);
    group
}

fn job(id: JobId) -> Job {
    Job {
        id,
        name: format!("job-{}", id.0).into(),
        namespace: "default".into(),
        kind: JobKind::Service,
        priority: 50,
        node_pool: "default".into(),
        datacenters: vec!["dc1".into(), "dc2".into(), "dc3".into()],
        all_at_once: false,
        constraints: vec![constraint("${attr.kernel.name}", "=", "linux")],
        affinities: Vec::new(),
        spreads: Vec::new(),
        groups: Vec::new(),
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

fn constraint(left: &str, operator: &str, right: &str) -> Constraint {
    Constraint { left: left.into(), operator: operator.into(), right: right.into() }
}

/// Nanoseconds per hold of std's heap: 10^5 pending, exponential increments of mean 1 s.
fn hold() -> f64 {
    const PENDING: u32 = 100_000;
    const HOLDS: u32 = 1_000_000;
    let mut bits = 42_u64;
    let mut increment = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        // About exponential, by a polynomial logarithm good to 1e-4.
        let unit = (((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64).to_bits();
        let m = f64::from_bits(unit & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
        let log2 = ((unit >> 52) as i64 - 1_023) as f64 - 2.153_620_7
            + m * (3.047_884_1 + m * (-1.051_875_0 + m * 0.158_248_71));
        (log2 * -0.693_147_18e9).max(0.0) as u64
    };
    let mut heap = BinaryHeap::new();
    let mut seq = 0_u64;
    for payload in 0..PENDING {
        heap.push(Reverse((increment(), seq, payload)));
        seq += 1;
    }
    let mut begun = 0.0;
    for at in 0..HOLDS + 3 * PENDING {
        if at == 3 * PENDING {
            begun = cpu_seconds();
        }
        let Reverse((time, _, payload)) = heap.pop().expect("as many as were put in");
        heap.push(Reverse((time + increment(), seq, payload)));
        seq += 1;
    }
    (cpu_seconds() - begun) * 1e9 / f64::from(HOLDS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this thread if the system tells (Linux), otherwise the wall clock. Yielding brings the account up to
/// date, which is otherwise done a few hundred times a second.
fn cpu_seconds() -> f64 {
    std::thread::yield_now();
    let schedstat = || -> Option<u64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    };
    let since = |then: std::time::SystemTime| then.elapsed().map_or(0.0, |elapsed| elapsed.as_secs_f64());
    schedstat().map_or_else(|| since(std::time::UNIX_EPOCH), |nanos| nanos as f64 / 1e9)
}
