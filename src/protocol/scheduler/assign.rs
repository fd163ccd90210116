//! Choosing ports on a node (Nomad `NetworkIndex.AssignPorts` and the older `AssignNetwork`).
//!
//! Bandwidth is checked only for task networks, as in Nomad. Allocations do not record theirs: a task's counts where
//! its first port is, or on the node's first network if it has none. Node addresses are single addresses, not ranges.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::rng::Rng;
use crate::model::alloc::Alloc;
use crate::model::node::{Node, NodeSpec};
use crate::model::resources::{AssignedPort, NetworkAsk};
use crate::protocol::scheduler::operators::Target;
use crate::protocol::scheduler::ports::PortUse;

/// First dynamic port.
pub const DYNAMIC_FIRST: u16 = 20_000;
/// Last dynamic port; the random draws never reach it.
pub const DYNAMIC_LAST: u16 = 32_000;
/// Random draws per dynamic port before the search.
const RANDOM_TRIES: u32 = 20;

/// Why ports cannot be assigned. `port` is the place in the ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortError {
    /// The node has no address of this host network.
    NoAddress {
        /// Place in the ask.
        port: u16,
    },
    /// The value is no port.
    OutOfRange {
        /// Place in the ask.
        port: u16,
    },
    /// The port is taken.
    Collision {
        /// Place in the ask.
        port: u16,
    },
    /// No dynamic port is left.
    NoDynamicPort,
    /// The node offers too little bandwidth (task networks only).
    Bandwidth,
    /// The node has no network (task networks only).
    NoNetwork,
}

impl PortError {
    /// The text Nomad counts the node's exhaustion under, without its `network: `.
    pub fn describe(self, ask: &NetworkAsk) -> String {
        let of = |port: u16| &ask.ports[port as usize];
        match self {
            Self::NoAddress { port } => {
                let alias = &of(port).host_network;
                let alias = if alias.is_empty() { "default" } else { alias };
                format!("no addresses available for \"{alias}\" network")
            }
            Self::OutOfRange { port } => {
                format!("invalid port {} (out of range)", of(port).fixed.unwrap_or_default())
            }
            Self::Collision { port } => {
                format!("reserved port collision {}={}", of(port).label, of(port).fixed.unwrap_or_default())
            }
            Self::NoDynamicPort => "dynamic port selection failed".into(),
            Self::Bandwidth => "bandwidth exceeded".into(),
            Self::NoNetwork => "no networks available".into(),
        }
    }
}

/// What is asked of a node, with labels ready to share.
#[derive(Debug, Clone)]
pub struct PortsAsk<'a> {
    /// The network block.
    pub ask: &'a NetworkAsk,
    /// Its labels, in order.
    pub labels: Vec<Arc<str>>,
    /// The host networks of its ports, in order: names, or templates that each node fills in.
    networks: Vec<Target<'a>>,
}

/// Dynamic ports of a node's default host network that the node does not reserve; zero without such a network.
pub fn dynamic_ports(spec: &NodeSpec, ports: &PortUse) -> u16 {
    match addresses(spec, "").next() {
        Some(_) => DYNAMIC_LAST - DYNAMIC_FIRST + 1 - ports.reserved_within(DYNAMIC_FIRST, DYNAMIC_LAST),
        None => 0,
    }
}

impl<'a> PortsAsk<'a> {
    /// Reads a network block.
    pub fn new(ask: &'a NetworkAsk) -> Self {
        Self {
            ask,
            labels: ask.ports.iter().map(|port| port.label.as_str().into()).collect(),
            networks: ask.ports.iter().map(|port| Target::parse(&port.host_network)).collect(),
        }
    }

    /// The host network of a port, as the node calls it; `None` if the node cannot fill the template in.
    fn host_network<'n>(&'n self, port: usize, node: &'n Node, id_text: &'n mut String) -> Option<&'n str> {
        let name = self.networks[port].resolve(node.id, &node.spec, id_text);
        name.text.filter(|_| name.found)
    }

    /// Whether the draws decide which ports they are, but not whether there are any: all dynamic, of one host network.
    pub fn is_sure(&self) -> bool {
        let mut networks = self.ask.ports.iter().map(|port| &port.host_network);
        let first = networks.next();
        self.ask.ports.iter().all(|port| port.fixed.is_none()) && networks.all(|other| Some(other) == first)
    }

    /// Of the default host network, if that is the one of [`PortsAsk::is_sure`].
    pub fn is_default(&self) -> bool {
        self.ask.ports.first().is_none_or(|port| matches!(port.host_network.as_str(), "" | "default"))
    }
}

/// Assigns the ports of a group network: fixed ones first, in order, at the first address of their host network only;
/// then dynamic ones, each on its own. Unless `exclusive`, dynamic ports of one ask do not exclude each other (a quirk
/// until 1.5.1).
pub fn assign_group(
    node: &Node,
    ports: &PortUse,
    wanted: &PortsAsk<'_>,
    exclusive: bool,
    rng: &mut Rng,
) -> Result<Vec<AssignedPort>, PortError> {
    let asked = &wanted.ask.ports;
    let spec = &node.spec;
    let mut assigned: Vec<AssignedPort> = Vec::with_capacity(asked.len());
    for (at, port) in asked.iter().enumerate() {
        let Some(value) = port.fixed else { continue };
        let (number, mut id_text) = (at as u16, String::new());
        let network = wanted.host_network(at, node, &mut id_text);
        let address = network.and_then(|network| addresses(spec, network).next());
        let address = address.ok_or(PortError::NoAddress { port: number })?;
        let fixed = u16::try_from(value).map_err(|_| PortError::OutOfRange { port: number })?;
        if !ports.is_free(address, fixed) {
            return Err(PortError::Collision { port: number });
        }
        assigned.push(AssignedPort { label: Arc::clone(&wanted.labels[at]), value, address });
    }
    let fixed = assigned.len();
    for (at, _) in asked.iter().enumerate().filter(|(_, port)| port.fixed.is_none()) {
        let mut error = PortError::NoAddress { port: at as u16 };
        let taken = if exclusive { &assigned[..] } else { &assigned[..fixed] };
        let mut id_text = String::new();
        let network = wanted.host_network(at, node, &mut id_text);
        let chosen = network.into_iter().flat_map(|network| addresses(spec, network)).find_map(|address| {
            error = PortError::NoDynamicPort;
            dynamic_port(ports, address, taken, rng).map(|value| (address, value))
        });
        let (address, value) = chosen.ok_or(error)?;
        assigned.push(AssignedPort { label: Arc::clone(&wanted.labels[at]), value: i64::from(value), address });
    }
    Ok(assigned)
}

/// Assigns the ports of one task network: all at one address, dynamic ones excluding each other. What it takes is added
/// to `busy`.
pub fn assign_task(
    spec: &NodeSpec,
    ports: &PortUse,
    wanted: &PortsAsk<'_>,
    busy: &mut Bandwidth,
    rng: &mut Rng,
) -> Result<Vec<AssignedPort>, PortError> {
    let mut error = PortError::NoNetwork;
    for (at, network) in spec.networks.iter().enumerate() {
        let address = address_of(spec, at);
        if wanted.ask.bandwidth.get() + busy.used(address) > network.bandwidth.get() {
            error = PortError::Bandwidth;
            continue;
        }
        match assign_at(address, ports, wanted, rng) {
            Ok(assigned) => {
                busy.take(address, wanted.ask.bandwidth.get());
                return Ok(assigned);
            }
            Err(why) => error = why,
        }
    }
    Err(error)
}

/// Bandwidth that task networks take of a node, in Mbit/s by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bandwidth {
    used: Vec<u64>,
}

impl Bandwidth {
    /// What these allocations take.
    pub fn of<'a>(allocs: impl IntoIterator<Item = &'a Alloc>) -> Self {
        let mut all = Self::default();
        for alloc in allocs {
            let networks = alloc.task_group().tasks.iter().filter_map(|task| task.resources.networks.first());
            for network in networks.filter(|network| network.bandwidth.get() > 0) {
                let label = network.ports.first().map(|port| &*port.label);
                let port = alloc.ports.iter().find(|port| label == Some(&*port.label));
                all.take(port.map_or(0, |port| port.address), network.bandwidth.get());
            }
        }
        all
    }

    /// What is taken of all addresses.
    pub fn total(&self) -> u64 {
        self.used.iter().sum()
    }

    fn used(&self, address: u8) -> u64 {
        self.used.get(usize::from(address)).copied().unwrap_or(0)
    }

    fn take(&mut self, address: u8, bandwidth: u64) {
        let at = usize::from(address);
        if self.used.len() <= at {
            self.used.resize(at + 1, 0);
        }
        self.used[at] += bandwidth;
    }
}

fn assign_at(
    address: u8,
    ports: &PortUse,
    wanted: &PortsAsk<'_>,
    rng: &mut Rng,
) -> Result<Vec<AssignedPort>, PortError> {
    let mut assigned: Vec<AssignedPort> = Vec::with_capacity(wanted.ask.ports.len());
    for (at, port) in wanted.ask.ports.iter().enumerate() {
        let Some(value) = port.fixed else { continue };
        let number = u16::try_from(value).map_err(|_| PortError::OutOfRange { port: at as u16 })?;
        if !ports.is_free(address, number) {
            return Err(PortError::Collision { port: at as u16 });
        }
        assigned.push(AssignedPort { label: Arc::clone(&wanted.labels[at]), value, address });
    }
    for (at, _) in wanted.ask.ports.iter().enumerate().filter(|(_, port)| port.fixed.is_none()) {
        let value = dynamic_port(ports, address, &assigned, rng).ok_or(PortError::NoDynamicPort)?;
        assigned.push(AssignedPort { label: Arc::clone(&wanted.labels[at]), value: i64::from(value), address });
    }
    Ok(assigned)
}

/// Up to 20 draws below the last port, then a draw among all that are free.
fn dynamic_port(ports: &PortUse, address: u8, taken: &[AssignedPort], rng: &mut Rng) -> Option<u16> {
    let is_free = |port: u16| ports.is_free(address, port) && !taken.iter().any(|other| other.value == i64::from(port));
    for _ in 0..RANDOM_TRIES {
        let port = DYNAMIC_FIRST + rng.below(u64::from(DYNAMIC_LAST - DYNAMIC_FIRST)) as u16;
        if is_free(port) {
            return Some(port);
        }
    }
    let free: SmallVec<[u16; 16]> = (DYNAMIC_FIRST..=DYNAMIC_LAST).filter(|port| is_free(*port)).collect();
    rng.pick(&free).copied()
}

/// Addresses of a host network, by the place of the first network with the same address.
fn addresses<'a>(spec: &'a NodeSpec, alias: &'a str) -> impl Iterator<Item = u8> + 'a {
    let alias = if alias.is_empty() { "default" } else { alias };
    let of_alias = spec.networks.iter().enumerate().filter(move |(_, network)| network.alias == alias);
    of_alias.map(|(at, _)| address_of(spec, at))
}

fn address_of(spec: &NodeSpec, at: usize) -> u8 {
    let ip = &spec.networks[at].ip;
    let first = spec.networks.iter().position(|network| network.ip == *ip).unwrap_or(at);
    u8::try_from(first).expect("a node has at most 256 networks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::MegabitsPerSecond;
    use crate::model::node::{Eligibility, NodeId, NodeNetwork, NodeStatus};
    use crate::model::resources::PortAsk;
    use crate::protocol::scheduler::story_tests::node;

    #[test]
    fn task_networks_share_the_bandwidth_of_the_node() {
        let spec = node(0);
        let ask = NetworkAsk { bandwidth: MegabitsPerSecond(600), ..NetworkAsk::default() };
        let (wanted, mut busy) = (PortsAsk::new(&ask), Bandwidth::default());
        let mut rng = Rng::stream(1, "ports");
        let mut assign = || assign_task(&spec, &PortUse::default(), &wanted, &mut busy, &mut rng);
        assert_eq!(assign(), Ok(Vec::new()));
        assert_eq!(assign(), Err(PortError::Bandwidth), "1200 of 1000 Mbit/s");
        let none = NodeSpec { networks: Vec::new(), ..spec.clone() };
        let error = assign_task(&none, &PortUse::default(), &wanted, &mut Bandwidth::default(), &mut rng);
        assert_eq!(error, Err(PortError::NoNetwork));
    }

    #[test]
    fn a_fixed_port_wants_the_first_address_of_its_host_network_and_a_dynamic_one_takes_any() {
        let mut spec = node(0);
        let second = NodeNetwork { ip: "10.1.0.0".into(), ..spec.networks[0].clone() };
        spec.networks.push(second);
        spec.meta.insert("inside".into(), "default".into());
        let node = Node {
            id: NodeId(0),
            spec: Arc::new(spec),
            computed_class: 0,
            status: NodeStatus::Ready,
            eligibility: Eligibility::Eligible,
            drain: None,
            create_index: 1,
            modify_index: 1,
        };
        let mut ports = PortUse::default();
        ports.add(0, 80);
        (DYNAMIC_FIRST..=DYNAMIC_LAST).for_each(|port| ports.add(0, i64::from(port)));
        let mut rng = Rng::stream(1, "ports");
        let mut assign = |host_network: &str, fixed: Option<i64>| {
            let port = PortAsk { label: "p".into(), host_network: host_network.into(), fixed, ..PortAsk::default() };
            let ask = NetworkAsk { ports: vec![port], ..NetworkAsk::default() };
            let assigned = assign_group(&node, &ports, &PortsAsk::new(&ask), true, &mut rng);
            assigned.map(|ports| ports[0].address).map_err(|error| error.describe(&ask))
        };
        assert_eq!(assign("", Some(80)), Err("reserved port collision p=80".into()), "although the second is free");
        assert_eq!([assign("", Some(81)), assign("", None), assign("${meta.inside}", None)], [Ok(0), Ok(1), Ok(1)]);
        for port in [Some(81), Some(70_000), None] {
            assert_eq!(assign("public", port), Err("no addresses available for \"public\" network".into()));
        }
        assert_eq!(assign("default", Some(70_000)), Err("invalid port 70000 (out of range)".into()));
        assert!(assign("${meta.outside}", None).is_err());
    }
}
