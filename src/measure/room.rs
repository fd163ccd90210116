//! How full the client machines of a region are, and how usable what is left of them is.
//!
//! A dimension of a machine is *exhausted* when less of it is free than the least that any group of the region's
//! service and batch jobs asks for, whoever that group is. Groups are those of the scenario, those it registers later
//! included; whole cores asked for count as nothing until they are placed. Constraints, ports and drains are left out:
//! a machine counts while its node is ready.
//!
//! Every change costs what one machine costs, times at most [`ASKS_MAX`] distinct asks; nothing walks over machines.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::model::job::{Job, JobKind};
use crate::model::node::NodeSpec;
use crate::model::resources::Comparable;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::fit::ask;
use crate::world::spec::{Action, MachineId, MachineRole, WorldSpec};

/// Processor in MHz, memory and disk in MiB.
type Amounts = [i64; 3];

/// The dimensions, in the order of [`Amounts`]: metric labels, and the units of their amounts.
const DIMENSIONS: [(&str, &str); 3] = [("cpu", "MHz"), ("memory", "MiB"), ("disk", "MiB")];
const UTILIZATION: [&str; 3] =
    ["placement.utilization.cpu", "placement.utilization.memory", "placement.utilization.disk"];
const LARGEST_FIT: [&str; 3] =
    ["placement.largest_fit.cpu", "placement.largest_fit.memory", "placement.largest_fit.disk"];

/// Distinct asks that fragmentation is judged by: those with the most instances.
const ASKS_MAX: usize = 16;

/// The client machines of one region.
#[derive(Debug, Clone)]
pub(super) struct Room {
    machines: OrdMap<MachineId, Machine>,
    asks: Vec<Ask>,
    instances: i64,
    least: Amounts,
    total: Amounts,
    held: Amounts,
    /// Sums over the machines whose nodes are ready.
    free: Amounts,
    stranded: Amounts,
    /// Free amounts times the instances that do not fit there.
    unfit: [i128; 3],
    /// Free amounts of machines where no other dimension is exhausted, and how many machines have so much.
    fitting: [OrdMap<i64, u32>; 3],
    classes: Vec<Class>,
    gauges: Gauges,
}

#[derive(Debug, Clone)]
struct Machine {
    free: Amounts,
    ready: bool,
    class: usize,
}

/// What some groups ask for, and how many instances they want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ask {
    amounts: Amounts,
    instances: i64,
}

#[derive(Debug, Clone)]
struct Class {
    name: Arc<str>,
    total: Amounts,
    held: Amounts,
    utilization: [Gauge; 3],
}

#[derive(Debug, Clone)]
struct Gauges {
    utilization: [Gauge; 3],
    stranded: [Gauge; 3],
    fragmentation: [Gauge; 3],
    largest_fit: [Gauge; 3],
}

impl Room {
    /// The machines of a region, empty and not ready.
    pub(super) fn new(spec: &WorldSpec, region: RegionId) -> Self {
        let machines = spec.regions[region].clients.iter().filter_map(|&machine| match &spec.machines[machine].role {
            MachineRole::Client(node) => Some((machine, &**node)),
            MachineRole::NomadServer | MachineRole::ConsulServer => None,
        });
        Self::with(machines, asks(spec, region), Time::ZERO + spec.warmup)
    }

    /// These machines, judged by these distinct asks; levels count from then on.
    fn with<'a>(machines: impl Iterator<Item = (MachineId, &'a NodeSpec)>, asks: Vec<Ask>, from: Time) -> Self {
        let gauges = || std::array::from_fn(|_| Gauge::new(0.0, from));
        let least = std::array::from_fn(|d| asks.iter().map(|ask| ask.amounts[d]).min().unwrap_or(0));
        let asks = commonest(asks);
        let mut room = Self {
            machines: OrdMap::new(),
            instances: asks.iter().map(|ask| ask.instances).sum(),
            asks,
            least,
            total: [0; 3],
            held: [0; 3],
            free: [0; 3],
            stranded: [0; 3],
            unfit: [0; 3],
            fitting: Default::default(),
            classes: Vec::new(),
            gauges: Gauges {
                utilization: gauges(),
                stranded: gauges(),
                fragmentation: gauges(),
                largest_fit: gauges(),
            },
        };
        for (machine, node) in machines {
            room.add(machine, node, gauges);
        }
        room
    }

    fn add(&mut self, machine: MachineId, node: &NodeSpec, gauges: impl Fn() -> [Gauge; 3]) {
        let free = schedulable(node);
        let name = class_label(node);
        let class = self.classes.iter().position(|class| class.name == name).unwrap_or_else(|| {
            self.classes.push(Class { name, total: [0; 3], held: [0; 3], utilization: gauges() });
            self.classes.len() - 1
        });
        for (d, free) in free.into_iter().enumerate() {
            self.total[d] += free;
            self.classes[class].total[d] += free;
        }
        self.machines.insert(machine, Machine { free, ready: false, class });
    }

    /// An allocation takes (`sign` 1) or gives back (-1) what it holds of a machine.
    pub(super) fn hold(&mut self, at: Time, machine: MachineId, resources: &Comparable, sign: i64) {
        let Some(before) = self.machines.get(&machine).cloned() else { return };
        let amounts = amounts(resources);
        let class = &mut self.classes[before.class];
        for (d, amount) in amounts.into_iter().enumerate() {
            self.held[d] += sign * amount;
            class.held[d] += sign * amount;
            class.utilization[d].set(at, percent(class.held[d] as f64, class.total[d] as f64));
            self.gauges.utilization[d].set(at, percent(self.held[d] as f64, self.total[d] as f64));
        }
        let free = std::array::from_fn(|d| before.free[d] - sign * amounts[d]);
        self.change(at, machine, &Machine { free, ..before });
    }

    /// A machine's node became ready, or no longer is.
    pub(super) fn ready(&mut self, at: Time, machine: MachineId, ready: bool) {
        let Some(before) = self.machines.get(&machine).cloned() else { return };
        if before.ready != ready {
            self.change(at, machine, &Machine { ready, ..before });
        }
    }

    fn change(&mut self, at: Time, machine: MachineId, after: &Machine) {
        let before = self.machines.insert(machine, after.clone()).expect("only known machines change");
        self.count(&before, -1);
        self.count(after, 1);
        for d in 0..3 {
            self.gauges.stranded[d].set(at, percent(self.stranded[d] as f64, self.total[d] as f64));
            let chances = self.free[d] as f64 * self.instances as f64;
            self.gauges.fragmentation[d].set(at, percent(self.unfit[d] as f64, chances));
            let largest = self.fitting[d].last_key_value().map_or(0, |(free, _)| *free);
            self.gauges.largest_fit[d].set(at, largest as f64);
        }
    }

    /// Counts what is left of a machine in (`sign` 1) or out (-1).
    fn count(&mut self, machine: &Machine, sign: i64) {
        if !machine.ready {
            return;
        }
        let free = machine.free.map(|free| free.max(0));
        let fits = |ask: &Ask| (0..3).all(|d| ask.amounts[d] <= free[d]);
        let unfit: i64 = self.asks.iter().filter(|ask| !fits(ask)).map(|ask| ask.instances).sum();
        let exhausted: [bool; 3] = std::array::from_fn(|d| free[d] < self.least[d]);
        for (d, free) in free.into_iter().enumerate() {
            self.free[d] += sign * free;
            self.unfit[d] += i128::from(sign * free) * i128::from(unfit);
            if (0..3).any(|other| other != d && exhausted[other]) {
                self.stranded[d] += sign * free;
            } else {
                let machines = self.fitting[d].entry(free).or_default();
                *machines = machines.checked_add_signed(sign as i32).expect("what is counted out was counted in");
                if *machines == 0 {
                    self.fitting[d].remove(&free);
                }
            }
        }
    }

    /// Writes the metrics.
    pub(super) fn finish(self, now: Time, region: &str, metrics: &mut Metrics) {
        let level = |unit, gauge: &Gauge| Value::Level { unit, summary: gauge.clone().finish(now) };
        for (d, (dimension, unit)) in DIMENSIONS.into_iter().enumerate() {
            let labels = [("region", region)];
            metrics.put(UTILIZATION[d], &labels, level("%", &self.gauges.utilization[d]));
            metrics.put(LARGEST_FIT[d], &labels, level(unit, &self.gauges.largest_fit[d]));
            let labels = [("dimension", dimension), ("region", region)];
            metrics.put("placement.stranded", &labels, level("%", &self.gauges.stranded[d]));
            metrics.put("placement.fragmentation", &labels, level("%", &self.gauges.fragmentation[d]));
            for class in &self.classes {
                let labels = [("class", &*class.name), ("dimension", dimension), ("region", region)];
                metrics.put("placement.class_utilization", &labels, level("%", &class.utilization[d]));
            }
        }
    }
}

/// A node's class as in metric labels.
pub(super) fn class_label(node: &NodeSpec) -> Arc<str> {
    if node.class.is_empty() { Arc::from("none") } else { Arc::clone(&node.class) }
}

/// Dimensions as in metric labels.
pub(super) fn dimensions() -> impl Iterator<Item = &'static str> {
    DIMENSIONS.into_iter().map(|(label, _)| label)
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

fn amounts(resources: &Comparable) -> Amounts {
    [resources.cpu.get() as i64, resources.memory.get() as i64, resources.disk.get() as i64]
}

/// What a node offers to the scheduler.
fn schedulable(node: &NodeSpec) -> Amounts {
    let (capacity, reserved) = (&node.capacity, &node.reserved);
    [
        capacity.cpu.saturating_sub(reserved.cpu).get() as i64,
        capacity.memory.saturating_sub(reserved.memory).get() as i64,
        capacity.disk.saturating_sub(reserved.disk).get() as i64,
    ]
}

/// Distinct asks of the region's service and batch jobs, by amounts.
fn asks(spec: &WorldSpec, region: RegionId) -> Vec<Ask> {
    let mut instances: OrdMap<Amounts, i64> = OrdMap::new();
    let mut add = |job: &Job| {
        if matches!(job.kind, JobKind::Service | JobKind::Batch) {
            for group in &job.groups {
                let wanted = ask(group).amounts;
                *instances.entry([wanted.cpu, wanted.memory, wanted.disk]).or_default() += i64::from(group.count);
            }
        }
    };
    spec.jobs.iter().filter(|(_, job)| job.region == region).for_each(|(_, job)| add(&job.job));
    for (_, entry) in spec.timeline.iter() {
        match &entry.action {
            Action::RegisterJob { region: of, job } if *of == region => add(job),
            _ => {}
        }
    }
    instances.into_iter().map(|(amounts, instances)| Ask { amounts, instances: instances.max(1) }).collect()
}

/// The asks with the most instances; smaller ones first among equals.
fn commonest(mut asks: Vec<Ask>) -> Vec<Ask> {
    asks.sort_by_key(|ask| (std::cmp::Reverse(ask.instances), ask.amounts));
    asks.truncate(ASKS_MAX);
    asks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::base::units::{Mebibytes, MegaHertz};
    use crate::measure::metric::Key;
    use crate::model::node::{NodeCapacity, NodeReserved};
    use crate::model::topology::ZoneId;

    fn holds(cpu: u64, memory: u64, disk: u64) -> Comparable {
        let (cpu, memory, disk) = (MegaHertz(cpu), Mebibytes(memory), Mebibytes(disk));
        Comparable { cpu, memory, disk, cores: Vec::new() }
    }

    /// 1 000 MHz, 1 000 MiB of memory and of disk can be scheduled.
    fn node(class: &str) -> NodeSpec {
        let (cpu, memory) = (MegaHertz(1_100), Mebibytes(1_000));
        NodeSpec {
            name: "n".into(),
            datacenter: "dc1".into(),
            pool: "default".into(),
            class: class.into(),
            zone: ZoneId(0),
            attributes: OrdMap::new(),
            meta: OrdMap::new(),
            drivers: Vec::new(),
            capacity: NodeCapacity { cpu, cores: 1, memory, disk: memory },
            reserved: NodeReserved {
                cpu: MegaHertz(100),
                memory: Mebibytes(0),
                disk: Mebibytes(0),
                cores: Vec::new(),
                ports: String::new(),
            },
            networks: Vec::new(),
            devices: Vec::new(),
            host_volumes: OrdMap::new(),
        }
    }

    /// Two machines; three instances ask for 100 MHz, 200 MiB and 10 MiB of disk, one for 500, 100 and 10.
    fn room() -> Room {
        let (small, large) = ([100, 200, 10], [500, 100, 10]);
        let asks = vec![Ask { amounts: small, instances: 3 }, Ask { amounts: large, instances: 1 }];
        let nodes = [node("big"), node("")];
        let machines = nodes.iter().zip(0..).map(|(node, machine)| (MachineId(machine), node));
        Room::with(machines, asks, Time::ZERO)
    }

    /// The final value of a level.
    fn last(room: &Room, key: &str) -> f64 {
        let mut metrics = Metrics::default();
        room.clone().finish(Time::ZERO + Duration::from_secs(10), "eu", &mut metrics);
        let found = metrics.0.iter().find(|(of, _): &(&Key, _)| of.to_string() == key);
        match found.unwrap_or_else(|| panic!("no metric {key}")).1 {
            Value::Level { summary, .. } => summary.last,
            other => panic!("{other:?} is no level"),
        }
    }

    fn check(room: &Room, expected: &[(&str, f64)]) {
        for (key, value) in expected {
            let found = last(room, key);
            assert!((found - value).abs() < 1e-9, "{key}: {found} instead of {value}");
        }
    }

    #[test]
    fn utilisation_is_what_is_held_of_what_can_be_scheduled() {
        let mut room = room();
        room.hold(Time::ZERO, MachineId(0), &holds(500, 250, 100), 1);
        room.hold(Time::ZERO, MachineId(1), &holds(100, 50, 0), 1);
        check(
            &room,
            &[
                ("placement.utilization.cpu{region=eu}", 30.0),
                ("placement.utilization.memory{region=eu}", 15.0),
                ("placement.utilization.disk{region=eu}", 5.0),
                ("placement.class_utilization{class=big,dimension=cpu,region=eu}", 50.0),
                ("placement.class_utilization{class=none,dimension=memory,region=eu}", 5.0),
                ("placement.class_utilization{class=big,dimension=disk,region=eu}", 10.0),
            ],
        );
        room.hold(Time::ZERO, MachineId(0), &holds(500, 250, 100), -1);
        check(&room, &[("placement.utilization.cpu{region=eu}", 5.0)]);
    }

    #[test]
    fn capacity_is_stranded_where_another_dimension_is_exhausted() {
        let mut room = room();
        room.ready(Time::ZERO, MachineId(0), true);
        room.ready(Time::ZERO, MachineId(1), true);
        // 50 MHz are left of the first machine, less than anybody asks for: its 600 MiB of 2 000 are of no use.
        room.hold(Time::ZERO, MachineId(0), &holds(950, 400, 0), 1);
        check(
            &room,
            &[
                ("placement.stranded{dimension=cpu,region=eu}", 0.0),
                ("placement.stranded{dimension=memory,region=eu}", 30.0),
                ("placement.stranded{dimension=disk,region=eu}", 50.0),
                // The second machine is empty.
                ("placement.largest_fit.memory{region=eu}", 1_000.0),
            ],
        );
        // A machine that is down offers nothing.
        room.ready(Time::ZERO, MachineId(1), false);
        check(
            &room,
            &[
                ("placement.largest_fit.memory{region=eu}", 0.0),
                ("placement.largest_fit.cpu{region=eu}", 50.0),
                ("placement.stranded{dimension=memory,region=eu}", 30.0),
            ],
        );
    }

    #[test]
    fn free_capacity_is_fragmented_where_what_is_usually_asked_does_not_fit() {
        let mut room = room();
        room.ready(Time::ZERO, MachineId(0), true);
        room.ready(Time::ZERO, MachineId(1), true);
        check(&room, &[("placement.fragmentation{dimension=cpu,region=eu}", 0.0)]);
        // 400 MHz and 900 MiB are left: one instance of four does not fit there.
        room.hold(Time::ZERO, MachineId(0), &holds(600, 100, 0), 1);
        check(
            &room,
            &[
                ("placement.fragmentation{dimension=cpu,region=eu}", 100.0 * (400.0 / 4.0) / 1_400.0),
                ("placement.fragmentation{dimension=memory,region=eu}", 100.0 * (900.0 / 4.0) / 1_900.0),
                ("placement.largest_fit.cpu{region=eu}", 1_000.0),
            ],
        );
    }

    #[test]
    fn the_commonest_asks_are_kept() {
        let ask = |cpu, instances| Ask { amounts: [cpu, 1, 1], instances };
        let kept = commonest((0..40).map(|number| ask(number, if number == 30 { 9 } else { 1 })).collect());
        assert_eq!((kept.len(), kept[0], kept[1]), (ASKS_MAX, ask(30, 9), ask(0, 1)));
    }
}
