//! What queries answer with, and the filters of the health interface (Consul `Health.ServiceNodes`,
//! `Catalog.ServiceNodes`, `Health.ChecksInState`). Pure views of a [`State`]; they hold handles, not copies.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::ServiceSpec;
use crate::protocol::catalog::registry::CheckEntry;
use crate::protocol::catalog::registry::NodeEntry;
use crate::protocol::catalog::registry::State;

/// All checks in any state, by node. Two lists share the entry of a node that did not change between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckList {
    /// Nodes that have checks, in order.
    pub nodes: Vec<Arc<NodeEntry>>,
}

/// One check of a [`CheckList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRow<'a> {
    /// The node.
    pub node: ProcessId,
    /// The instance and what it says of itself; `None` for a check of the node.
    pub service: Option<(InstanceId, &'a Arc<ServiceSpec>)>,
    /// Which check.
    pub id: CheckId,
    /// Its state.
    pub status: CheckStatus,
}

/// One instance of a service, with the worst of its own checks and its node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// The node.
    pub node: ProcessId,
    /// The instance's id on that node.
    pub instance: InstanceId,
    /// What it says of itself.
    pub spec: Arc<ServiceSpec>,
    /// The worst state among its checks and its node's; passing without checks.
    pub status: CheckStatus,
}

/// Which instances a health query keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthFilter {
    /// All of them.
    Any,
    /// Those without a critical check (the DNS interface's default).
    NotCritical,
    /// Those whose checks all pass (`?passing`, `only_passing`).
    Passing,
}

impl HealthFilter {
    /// Whether an instance in this state is kept.
    pub fn keeps(self, status: CheckStatus) -> bool {
        match self {
            Self::Any => true,
            Self::NotCritical => status < CheckStatus::Critical,
            Self::Passing => status == CheckStatus::Passing,
        }
    }
}

impl CheckList {
    /// The checks of `state`.
    pub fn of(state: &State) -> Self {
        Self { nodes: state.nodes().filter(|node| node.all_checks().next().is_some()).cloned().collect() }
    }

    /// The rows, by node.
    pub fn rows(&self) -> impl Iterator<Item = CheckRow<'_>> {
        self.nodes.iter().flat_map(|node| rows(node))
    }
}

/// The rows of one node, its own checks first.
pub fn rows(node: &NodeEntry) -> impl Iterator<Item = CheckRow<'_>> {
    let own = node.checks.iter().map(|check| row(node.node, None, check));
    let of_instances = node.instances.iter().flat_map(|instance| {
        instance.checks.iter().map(|check| row(node.node, Some((instance.id, &instance.spec)), check))
    });
    own.chain(of_instances)
}

/// The instances of a service that pass the filter, by node, then id; none for an unknown name.
pub fn instances(state: &State, name: &str, filter: HealthFilter) -> Vec<ServiceRow> {
    let Some(service) = state.service(name) else { return Vec::new() };
    let rows = service.members.iter().map(|(node, id)| {
        let entry = state.node(*node).expect("a name lists only registered nodes");
        let instance = entry.instance(*id).expect("a name lists only registered instances");
        let status = worst(entry.checks.iter().chain(&instance.checks));
        ServiceRow { node: *node, instance: *id, spec: Arc::clone(&instance.spec), status }
    });
    rows.filter(|row| filter.keeps(row.status)).collect()
}

/// The worst state of some checks; passing of none.
pub fn worst<'a>(checks: impl Iterator<Item = &'a CheckEntry>) -> CheckStatus {
    checks.map(|check| check.record.status).max().unwrap_or(CheckStatus::Passing)
}

fn row<'a>(node: ProcessId, service: Option<(InstanceId, &'a Arc<ServiceSpec>)>, check: &CheckEntry) -> CheckRow<'a> {
    CheckRow { node, service, id: check.record.id, status: check.record.status }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::registry::apply;
    use crate::protocol::catalog::story::register;
    use crate::protocol::catalog::story::serf;

    #[test]
    fn a_critical_node_takes_its_instances_with_it() {
        let (a, b) = (ProcessId(1), ProcessId(2));
        let mut state = State::default();
        let commands = [
            register(a, 1, "web", CheckStatus::Passing),
            register(a, 2, "web", CheckStatus::Critical),
            register(b, 1, "web", CheckStatus::Warning),
            serf(b, CheckStatus::Passing),
        ];
        for (at, command) in commands.iter().enumerate() {
            apply(&mut state, at as u64 + 1, command).unwrap();
        }
        let ids = |state: &State, filter| {
            instances(state, "web", filter).iter().map(|row| (row.node, row.instance.0)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&state, HealthFilter::Any), [(a, 1), (a, 2), (b, 1)]);
        assert_eq!(ids(&state, HealthFilter::NotCritical), [(a, 1), (b, 1)]);
        assert_eq!(ids(&state, HealthFilter::Passing), [(a, 1)]);
        apply(&mut state, 5, &serf(b, CheckStatus::Critical)).unwrap();
        assert_eq!(ids(&state, HealthFilter::NotCritical), [(a, 1)]);
        let rows = CheckList::of(&state);
        assert_eq!(rows.rows().count(), 4);
        assert_eq!(rows.rows().filter(|row| row.service.is_none()).count(), 1);
    }
}
