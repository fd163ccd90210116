//! Devices of a node: which are free, which fit an ask, and which allocations to push out for them (Nomad
//! `DeviceAccounter`, `deviceAllocator`, `DeviceChecker`, `Preemptor.PreemptForDevice`).
//!
//! What is held is gathered from the node's allocations when a group asks for devices; nothing is kept for the rest.
//! The original walks device groups in the order of a hash map; here they are walked in the node's order.

use std::sync::Arc;

use crate::model::alloc::{Alloc, AllocId};
use crate::model::job::TaskGroup;
use crate::model::node::{NodeDevice, NodeSpec};
use crate::model::resources::{AssignedDevice, DeviceAsk};
use crate::protocol::scheduler::attributes::DeviceRule;
use crate::protocol::scheduler::preempt::is_eligible;

/// Why a node's devices do not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceError {
    /// The node has none.
    None,
    /// None that are free match.
    NoMatch,
}

impl DeviceError {
    /// The text Nomad counts the node's exhaustion under, without its `devices: `.
    pub fn describe(self) -> &'static str {
        match self {
            Self::None => "no devices available",
            Self::NoMatch => "no devices match request",
        }
    }
}

/// A task's ask for devices, read once.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    task: u16,
    ask: &'a DeviceAsk,
    constraints: Vec<DeviceRule<'a>>,
    affinities: Vec<(DeviceRule<'a>, f64)>,
}

impl<'a> Request<'a> {
    /// The asks of a group, task by task.
    pub fn all(group: &'a TaskGroup) -> Vec<Self> {
        let asks = group.tasks.iter().enumerate();
        asks.flat_map(|(task, spec)| spec.resources.devices.iter().map(move |ask| Self::new(task as u16, ask)))
            .collect()
    }

    fn new(task: u16, ask: &'a DeviceAsk) -> Self {
        let constraints = ask.constraints.iter().map(|c| DeviceRule::parse(&c.left, &c.operator, &c.right)).collect();
        let affinities = ask
            .affinities
            .iter()
            .map(|a| (DeviceRule::parse(&a.left, &a.operator, &a.right), f64::from(a.weight)))
            .collect();
        Self { task, ask, constraints, affinities }
    }

    /// Sum of the absolute weights of its affinities.
    pub fn weight(&self) -> f64 {
        self.affinities.iter().map(|(_, weight)| weight.abs()).sum()
    }

    /// The name and all constraints fit.
    fn matches(&self, device: &NodeDevice) -> bool {
        is_of(&self.ask.name, device) && self.constraints.iter().all(|rule| rule.holds(device))
    }

    /// Sum of the weights of the affinities that hold.
    fn matched(&self, device: &NodeDevice) -> f64 {
        self.affinities.iter().filter(|(rule, _)| rule.holds(device)).map(|(_, weight)| weight).sum()
    }
}

/// Whether `type`, `vendor/type` or `vendor/type/name` names the device. A name may contain slashes.
fn is_of(wanted: &str, device: &NodeDevice) -> bool {
    let mut parts = wanted.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(kind), None, _) => kind == device.kind,
        (Some(vendor), Some(kind), name) => {
            vendor == device.vendor && kind == device.kind && name.is_none_or(|name| name == device.name)
        }
        (None, ..) => false,
    }
}

/// Whether a node has what a group asks for, whoever holds it now: asks take the first group that is large enough.
pub fn has_devices(spec: &NodeSpec, requests: &[Request<'_>]) -> bool {
    let mut left: Vec<usize> = spec.devices.iter().map(|device| device.instances.len()).collect();
    requests.iter().all(|request| {
        let wanted = request.ask.count as usize;
        let fits = |at: &usize| left[*at] > 0 && left[*at] >= wanted && request.matches(&spec.devices[*at]);
        let found = (0..left.len()).find(fits);
        found.is_some_and(|at| {
            left[at] -= wanted;
            true
        })
    })
}

/// Devices given to an allocation's task, and the affinity weights they matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The devices.
    pub device: AssignedDevice,
    /// Matched weights.
    pub matched: f64,
}

/// Which device instances of a node are held, and how often.
#[derive(Debug, Clone)]
pub struct DeviceUse<'n> {
    spec: &'n NodeSpec,
    /// Holders by group and instance.
    holders: Vec<Vec<u32>>,
}

impl<'n> DeviceUse<'n> {
    /// Nothing is held.
    pub fn new(spec: &'n NodeSpec) -> Self {
        Self { spec, holders: spec.devices.iter().map(|device| vec![0; device.instances.len()]).collect() }
    }

    /// Takes devices, even if they are taken already. Those the node does not have, or not in health, do not count.
    pub fn add(&mut self, devices: &[AssignedDevice]) {
        self.change(devices, |holders| *holders += 1);
    }

    /// Gives devices back. They must have been taken.
    pub fn remove(&mut self, devices: &[AssignedDevice]) {
        self.change(devices, |holders| *holders -= 1);
    }

    fn change(&mut self, devices: &[AssignedDevice], change: impl Fn(&mut u32)) {
        for held in devices {
            let Some(group) = self.spec.devices.iter().position(|device| device.is_named(&held.group)) else {
                continue;
            };
            for instance in &held.instances {
                if let Some(at) = self.spec.devices[group].instances.iter().position(|own| own == &**instance) {
                    change(&mut self.holders[group][at]);
                }
            }
        }
    }

    /// Some instance has two holders.
    pub fn is_oversubscribed(&self) -> bool {
        self.holders.iter().flatten().any(|holders| *holders > 1)
    }

    fn free(&self, group: usize) -> usize {
        self.holders[group].iter().filter(|holders| **holders == 0).count()
    }

    /// The devices for a request: of the groups with enough free ones that of the highest affinity, the last of equals;
    /// the first free instances of it.
    pub fn assign(&self, request: &Request<'_>) -> Result<Offer, DeviceError> {
        if self.spec.devices.is_empty() {
            return Err(DeviceError::None);
        }
        let wanted = request.ask.count as usize;
        let mut best: Option<(usize, f64)> = None;
        for (at, device) in self.spec.devices.iter().enumerate() {
            if self.free(at) < wanted || !request.matches(device) {
                continue;
            }
            let matched = request.matched(device);
            if best.is_none_or(|(_, score)| matched >= score) {
                best = Some((at, matched));
            }
        }
        let (at, matched) = best.ok_or(DeviceError::NoMatch)?;
        let device = &self.spec.devices[at];
        let free = device.instances.iter().zip(&self.holders[at]).filter(|(_, holders)| **holders == 0);
        let instances = free.take(wanted).map(|(instance, _)| Arc::from(instance.as_str())).collect();
        let device = AssignedDevice { task: request.task, group: device.id().into(), instances };
        Ok(Offer { device, matched })
    }

    /// Allocations to push out for a request, as places in `candidates`; `None` if that cannot help.
    ///
    /// Every matching group of devices is an option: its allocations of least priority until enough would be free. Of
    /// an option those that hold the most are kept until they alone hold enough. The option with the least sum of
    /// distinct priorities is taken.
    pub fn preempt(&self, request: &Request<'_>, candidates: &[&Arc<Alloc>], priority: u8) -> Option<Vec<usize>> {
        let wanted = request.ask.count as usize;
        let mut best: Option<(u32, Vec<usize>)> = None;
        for (at, device) in self.spec.devices.iter().enumerate().filter(|(_, device)| request.matches(device)) {
            let held = |place: usize| -> usize {
                let devices = candidates[place].devices.iter().filter(|held| device.is_named(&held.group));
                devices.map(|held| held.instances.len()).sum()
            };
            let mut order: Vec<usize> = (0..candidates.len())
                .filter(|place| held(*place) > 0 && is_eligible(priority, candidates[*place]))
                .collect();
            order.sort_by_key(|place| candidates[*place].job.priority);
            let mut count = self.free(at);
            let enough = order.iter().position(|place| {
                count += held(*place);
                count >= wanted
            });
            let Some(last) = enough else { continue };
            order.truncate(last + 1);
            order.sort_by_key(|place| std::cmp::Reverse(held(*place)));
            let mut freed = 0;
            order.retain(|place| {
                let needed = freed < wanted;
                freed += if needed { held(*place) } else { 0 };
                needed
            });
            let mut priorities: Vec<u8> = order.iter().map(|place| candidates[*place].job.priority).collect();
            priorities.sort_unstable();
            priorities.dedup();
            let net = priorities.into_iter().map(u32::from).sum();
            if best.as_ref().is_none_or(|(least, _)| net < *least) {
                best = Some((net, order));
            }
        }
        best.map(|(_, order)| order)
    }
}

/// Devices of a group on one node: what is assigned, and who has to go for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fitted {
    /// The devices of all tasks.
    pub devices: Vec<AssignedDevice>,
    /// Matched affinity weights over all affinity weights; `None` without affinities.
    pub score: Option<f64>,
    /// Allocations that have to go.
    pub victims: Vec<AllocId>,
}

/// Assigns devices to every request of a group, pushing others out if there are `candidates` for that.
pub fn fit(
    mut held: DeviceUse<'_>,
    requests: &[Request<'_>],
    candidates: Option<(&[&Arc<Alloc>], u8)>,
) -> Result<Fitted, DeviceError> {
    let mut fitted = Fitted::default();
    let (mut matched, mut weight) = (0.0, 0.0);
    for request in requests {
        let offer = match held.assign(request) {
            Ok(offer) => offer,
            Err(error) => {
                let (others, priority) = candidates.ok_or(error)?;
                let left: Vec<&Arc<Alloc>> =
                    others.iter().filter(|alloc| !fitted.victims.contains(&alloc.id)).copied().collect();
                for place in held.preempt(request, &left, priority).ok_or(error)? {
                    held.remove(&left[place].devices);
                    fitted.victims.push(left[place].id);
                }
                held.assign(request)?
            }
        };
        held.add(std::slice::from_ref(&offer.device));
        matched += offer.matched;
        weight += request.weight();
        fitted.devices.push(offer.device);
    }
    fitted.score = (weight > 0.0).then(|| matched / weight);
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::constraint::{Affinity, Constraint};
    use crate::model::evaluation::EvalId;
    use crate::model::node::NodeId;
    use crate::protocol::scheduler::story::{node_spec, place};
    use crate::protocol::scheduler::test_support::job;

    fn gpus(name: &str, count: usize, memory: &str) -> NodeDevice {
        NodeDevice {
            vendor: "nvidia".into(),
            kind: "gpu".into(),
            name: name.into(),
            instances: (0..count).map(|at| format!("{name}-{at}")).collect(),
            attributes: [("memory".into(), memory.into())].into(),
        }
    }

    fn node(devices: Vec<NodeDevice>) -> NodeSpec {
        NodeSpec { devices, ..NodeSpec::clone(&node_spec(1_000)) }
    }

    fn ask(name: &str, count: u32) -> DeviceAsk {
        DeviceAsk { name: name.into(), count, constraints: Vec::new(), affinities: Vec::new() }
    }

    fn at_least(memory: &str) -> Constraint {
        Constraint { left: "${device.attr.memory}".into(), operator: ">=".into(), right: memory.into() }
    }

    /// A group's asks, one task each, on a node where `taken` instances of its first device group are held.
    fn check(devices: Vec<NodeDevice>, taken: usize, asks: &[DeviceAsk], expected: Result<&[&str], DeviceError>) {
        let node = node(devices);
        let requests: Vec<_> = asks.iter().map(|ask| Request::new(0, ask)).collect();
        let mut held = DeviceUse::new(&node);
        if taken > 0 {
            let instances = node.devices[0].instances[..taken].iter().map(|id| id.as_str().into()).collect();
            held.add(&[AssignedDevice { task: 0, group: node.devices[0].id().into(), instances }]);
        }
        let got = fit(held, &requests, None);
        let got = got.map(|fitted| fitted.devices.iter().flat_map(|d| d.instances.clone()).collect::<Vec<_>>());
        assert_eq!(got, expected.map(|ids| ids.iter().map(|id| Arc::from(*id)).collect()), "{asks:?}");
    }

    #[test]
    fn devices_are_assigned_by_name_count_and_constraint_lowest_first() {
        let two = || vec![gpus("a", 2, "8 GiB"), gpus("b", 4, "16 GiB")];
        check(two(), 0, &[ask("gpu", 4)], Ok(&["b-0", "b-1", "b-2", "b-3"]));
        check(two(), 0, &[ask("nvidia/gpu/a", 2)], Ok(&["a-0", "a-1"]));
        check(two(), 1, &[ask("nvidia/gpu/a", 1)], Ok(&["a-1"]));
        check(two(), 1, &[ask("nvidia/gpu/a", 2)], Err(DeviceError::NoMatch));
        check(two(), 0, &[ask("amd/gpu", 1)], Err(DeviceError::NoMatch));
        check(Vec::new(), 0, &[ask("gpu", 1)], Err(DeviceError::None));
        check(two(), 0, &[ask("nvidia/gpu/a", 1), ask("nvidia/gpu/a", 1)], Ok(&["a-0", "a-1"]));
        let small = DeviceAsk { constraints: vec![at_least("12 GiB")], ..ask("nvidia/gpu/a", 1) };
        check(two(), 0, &[small], Err(DeviceError::NoMatch));
        // No affinity: the last of equals.
        check(two(), 0, &[ask("gpu", 1)], Ok(&["b-0"]));
    }

    #[test]
    fn the_device_group_of_the_highest_affinity_is_taken_and_scored() {
        let prefers = |memory: &str, weight| Affinity {
            left: "${device.attr.memory}".into(),
            operator: "=".into(),
            right: memory.into(),
            weight,
        };
        let wanted = DeviceAsk { affinities: vec![prefers("8 GiB", 75), prefers("1 GiB", 25)], ..ask("gpu", 1) };
        let node = node(vec![gpus("a", 2, "8 GiB"), gpus("b", 2, "16 GiB")]);
        let fitted = fit(DeviceUse::new(&node), &[Request::new(0, &wanted)], None).unwrap();
        assert_eq!(&*fitted.devices[0].group, "nvidia/gpu/a");
        assert_eq!(fitted.score, Some(0.75), "one of two affinities holds");
    }

    #[test]
    fn the_device_checker_counts_what_is_there_not_what_is_free() {
        let node = node(vec![gpus("a", 2, "8 GiB")]);
        for (asks, expected) in [
            (vec![ask("gpu", 2)], true),
            (vec![ask("gpu", 1), ask("gpu", 1)], true),
            (vec![ask("gpu", 2), ask("gpu", 1)], false),
            (vec![ask("fpga", 1)], false),
        ] {
            let requests: Vec<_> = asks.iter().map(|ask| Request::new(0, ask)).collect();
            assert_eq!(has_devices(&node, &requests), expected, "{asks:?}");
        }
    }

    fn holder(id: u32, priority: u8, instances: &[&str]) -> Arc<Alloc> {
        let mut alloc =
            place(&Arc::new(job(id, priority, 1)), NodeId(0), EvalId(0), None, crate::base::time::Time::ZERO);
        alloc.id = AllocId(id);
        let group = format!("nvidia/gpu/{}", &instances[0][..1]);
        let instances = instances.iter().map(|id| Arc::from(*id)).collect();
        alloc.devices = vec![AssignedDevice { task: 0, group: group.into(), instances }];
        Arc::new(alloc)
    }

    #[test]
    fn preemption_for_devices_takes_the_option_of_least_priorities() {
        let node = node(vec![gpus("a", 2, "8 GiB"), gpus("b", 2, "8 GiB")]);
        let allocs =
            [holder(1, 20, &["a-0"]), holder(2, 30, &["a-1"]), holder(3, 40, &["b-0", "b-1"]), holder(4, 45, &["b-0"])];
        let others: Vec<&Arc<Alloc>> = allocs[..3].iter().collect();
        let mut held = DeviceUse::new(&node);
        others.iter().for_each(|alloc| held.add(&alloc.devices));
        let victims = |count, priority| {
            let wanted = ask("gpu", count);
            fit(held.clone(), &[Request::new(0, &wanted)], Some((&others, priority))).map(|fitted| fitted.victims)
        };
        assert_eq!(victims(1, 50), Ok(vec![AllocId(1)]));
        assert_eq!(victims(2, 50), Ok(vec![AllocId(3)]), "40 is less than 20 + 30");
        assert_eq!(victims(2, 40), Ok(vec![AllocId(1), AllocId(2)]), "40 is too close to 40");
        assert_eq!(victims(1, 25), Err(DeviceError::NoMatch));
        held.add(&allocs[3].devices);
        assert!(held.is_oversubscribed());
    }
}
