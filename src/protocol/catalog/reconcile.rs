//! What the leader of the servers writes when Serf says something of a member (Consul `agent/consul/leader.go`,
//! `reconcileMember`). Pure: the state and the member in, at most one log entry out.
//!
//! Raft's membership, which Consul changes in the same place, belongs to Raft's container.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::Registration;
use crate::protocol::catalog::record::ServiceSpec;
use crate::protocol::catalog::registry::State;

/// What Serf says of a member of the LAN pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberEvent {
    /// The member's Consul agent.
    pub node: ProcessId,
    /// Whether it is a server.
    pub role: MemberRole,
    /// How it is.
    pub status: MemberStatus,
}

/// Serf tag `role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// `node`.
    Client,
    /// `consul`.
    Server,
}

/// Serf's word on a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberStatus {
    /// It is there.
    Alive,
    /// It does not answer.
    Failed,
    /// It said goodbye, or was sent away.
    Left,
    /// It was failed or gone for so long (72 h) that Serf forgot it.
    Reaped,
}

/// The entry that brings the catalog in line with a member, or `None` if it is so already. `me` is the leader, which
/// never deregisters itself.
pub fn decide(state: &State, me: ProcessId, member: MemberEvent) -> Option<Command> {
    let known = state.node(member.node);
    let serf = known.and_then(|node| node.check(CheckId::SerfHealth)).map(|check| check.record.status);
    match member.status {
        MemberStatus::Alive => {
            let registered = match member.role {
                MemberRole::Client => true,
                MemberRole::Server => known.is_some_and(|node| node.instance(InstanceId::CONSUL).is_some()),
            };
            let settled = serf == Some(CheckStatus::Passing) && registered;
            (!settled).then(|| serf_health(member, CheckStatus::Passing))
        }
        MemberStatus::Failed => {
            let worth_it = known.is_some() && serf != Some(CheckStatus::Critical);
            worth_it.then(|| serf_health(MemberEvent { role: MemberRole::Client, ..member }, CheckStatus::Critical))
        }
        MemberStatus::Left | MemberStatus::Reaped => {
            (member.node != me && known.is_some()).then_some(Command::DeregisterNode(member.node))
        }
    }
}

/// Registers a node with `serfHealth`, and a server with its service `consul`.
fn serf_health(member: MemberEvent, status: CheckStatus) -> Command {
    let service = match member.role {
        MemberRole::Client => None,
        MemberRole::Server => {
            let spec =
                ServiceSpec { name: "consul".into(), address: member.node, port: RPC_PORT, tags: Arc::default() };
            Some((InstanceId::CONSUL, Arc::new(spec)))
        }
    };
    let check = CheckRecord { id: CheckId::SerfHealth, status, output: status as u32 };
    Command::Register(Registration { node: member.node, service, checks: SmallVec::from_iter([check]) })
}

/// Consul's default port for RPC between agents and servers.
const RPC_PORT: u16 = 8300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::registry::apply;
    use crate::protocol::catalog::story::serf;

    const ME: ProcessId = ProcessId(0);
    const NODE: ProcessId = ProcessId(5);

    fn check(known: Option<CheckStatus>, node: ProcessId, status: MemberStatus, expected: &str) {
        let mut state = State::default();
        if let Some(known) = known {
            apply(&mut state, 1, &serf(node, known)).unwrap();
        }
        let decision = decide(&state, ME, MemberEvent { node, role: MemberRole::Client, status });
        assert_eq!(decision.map(|command| command.to_string()).unwrap_or_default(), expected, "{known:?} {status:?}");
    }

    #[test]
    fn each_row_of_the_table_writes_only_what_is_new() {
        let (passing, critical) = (Some(CheckStatus::Passing), Some(CheckStatus::Critical));
        check(None, NODE, MemberStatus::Alive, "Register p5 serfHealth=Passing");
        check(passing, NODE, MemberStatus::Alive, "");
        check(critical, NODE, MemberStatus::Alive, "Register p5 serfHealth=Passing");
        check(None, NODE, MemberStatus::Failed, "");
        check(passing, NODE, MemberStatus::Failed, "Register p5 serfHealth=Critical");
        check(critical, NODE, MemberStatus::Failed, "");
        for status in [MemberStatus::Left, MemberStatus::Reaped] {
            check(None, NODE, status, "");
            check(passing, NODE, status, "Deregister p5");
            check(critical, NODE, status, "Deregister p5");
            check(passing, ME, status, "");
        }
    }

    #[test]
    fn a_server_also_gets_its_service() {
        let mut state = State::default();
        let server = MemberEvent { node: NODE, role: MemberRole::Server, status: MemberStatus::Alive };
        let command = decide(&state, ME, server).unwrap();
        assert_eq!(command.to_string(), "Register p5 consul=consul serfHealth=Passing");
        apply(&mut state, 1, &command).unwrap();
        assert_eq!(decide(&state, ME, server), None);
    }
}
