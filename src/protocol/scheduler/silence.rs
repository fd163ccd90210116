//! What the leader makes of a silent node, and of one that returns (Nomad 1.3 `heartbeat.go`, 1.5 `node_endpoint.go`).

use crate::base::time::Time;
use crate::model::alloc::{AllocId, ClientStatus, Desired};
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::scheduler::command::AllocUpdate;
use crate::protocol::scheduler::reconnect::is_expired;
use crate::protocol::scheduler::server::Server;
use crate::protocol::scheduler::worker::Decide;

impl<D: Decide> Server<D> {
    /// Disconnected while some allocation that should run may still return, else down.
    pub(super) fn silent_status(&self, now: Time, node: NodeId) -> NodeStatus {
        let may_return = self.config.scheduler.behaviour.disconnected_clients
            && self.state.allocs_of_node(node).any(|alloc| {
                alloc.task_group().max_client_disconnect.is_some()
                    && alloc.desired == Desired::Run
                    && !alloc.is_client_terminal()
                    && !is_expired(alloc, now)
            });
        if may_return { NodeStatus::Disconnected } else { NodeStatus::Down }
    }

    /// The node was silent, and has not said since what became of its unknown allocations.
    pub(super) fn has_to_report(&self, node: NodeId) -> bool {
        let is_unknown = |id: &AllocId| self.state.alloc(*id).is_some_and(|it| it.client == ClientStatus::Unknown);
        self.config.scheduler.behaviour.ready_after_reports
            && self
                .state
                .node(node)
                .is_some_and(|entry| entry.reports_index < entry.silent_index && entry.live.iter().any(is_unknown))
    }

    /// Silent nodes have to be heard before what they report counts.
    pub(super) fn may_report(&self, updates: &[AllocUpdate]) -> bool {
        let node = |update: &AllocUpdate| self.state.node(self.state.alloc(update.id)?.node);
        let is_silent = |update| {
            node(update).is_some_and(|it| matches!(it.node.status, NodeStatus::Down | NodeStatus::Disconnected))
        };
        let may_be = self.config.scheduler.behaviour.ready_after_reports && self.state.had_silent_nodes();
        !(may_be && updates.iter().any(is_silent))
    }
}
