//! Who should belong to a cluster of servers, as a gossip pool sees them (Consul's autopilot as Nomad 1.1.0 uses it:
//! `pruneDeadServers`, `promoteStableServers`, `updateClusterHealth`).
//!
//! Pure bookkeeping: whoever leads asks it, and carries out what it says. A server's health is judged by what the
//! leader knows of it; the original asks the server itself.

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::protocol::raft::{Configuration, Index, MembershipChange, Suffrage};

/// Time between two looks at the health of servers (Consul `ServerHealthInterval`).
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// Looks between two rounds of pruning and promoting: 10 s (Consul `Interval`).
pub const LOOKS_PER_ROUND: u32 = 5;
/// Looks between two comparisons of all members with the configuration: 60 s (Nomad `reconcile_interval`).
pub const LOOKS_PER_RECONCILE: u32 = 30;
/// A healthy server has been heard of within this. `last_contact_threshold` is 200 ms by the server's own clock; the
/// leader hears of it later by up to the heartbeat it waits for, which is as long.
const CONTACT_MAX: Duration = Duration::from_millis(400);
/// A healthy server lacks no more entries than this (`max_trailing_logs`).
const TRAILING_MAX: u64 = 250;
/// A server must be healthy for this long before it votes (`server_stabilization_time`).
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// How the pool sees a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Alive.
    Alive,
    /// It does not answer.
    Failed,
    /// It left, or was declared to have left.
    Left,
}

/// How a new server is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It votes at once (Raft protocol 2, Nomad's default before 1.3).
    Voter,
    /// It votes once it has been stable (Raft protocol 3).
    Nonvoter,
}

/// What is to be done about servers that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruning {
    /// To be declared to have left; when the pool has heard of it, [`on_standing`] removes them.
    pub leave: Vec<ProcessId>,
    /// Unknown to the pool: to be removed.
    pub remove: Vec<ProcessId>,
}

/// The change that a server's standing in the pool asks for.
pub fn on_standing(
    configuration: &Configuration,
    server: ProcessId,
    standing: Option<Standing>,
    admission: Admission,
) -> Option<MembershipChange> {
    let known = configuration.contains(server);
    match standing {
        Some(Standing::Alive) if !known => Some(match admission {
            Admission::Voter => MembershipChange::AddVoter(server),
            Admission::Nonvoter => MembershipChange::AddNonvoter(server),
        }),
        Some(Standing::Left) | None if known => Some(MembershipChange::RemoveServer(server)),
        Some(_) | None => None,
    }
}

/// Dead servers to be removed: those that failed, and those the pool does not know. Nothing happens if they are more
/// than a minority of the voters; failed servers without a vote go at once. `min_quorum` is always 0, its default, and
/// keeps nobody.
pub fn prune(configuration: &Configuration, members: &OrdMap<ProcessId, Standing>) -> Pruning {
    let failed = |id: &ProcessId| members.get(id) == Some(&Standing::Failed);
    let servers = configuration.servers();
    let nonvoters = servers.iter().filter(|(_, suffrage)| *suffrage == Suffrage::Nonvoter).map(|(id, _)| *id);
    let mut pruning = Pruning { leave: nonvoters.filter(failed).collect(), remove: Vec::new() };
    let lost: Vec<ProcessId> = members.keys().copied().filter(failed).collect();
    let lost = lost.into_iter().filter(|id| !pruning.leave.contains(id)).collect::<Vec<_>>();
    let stale: Vec<ProcessId> = servers.iter().map(|(id, _)| *id).filter(|id| !members.contains_key(id)).collect();
    if lost.len() + stale.len() <= configuration.voter_count().saturating_sub(1) / 2 {
        pruning.leave.extend(lost);
        pruning.remove = stale;
    }
    pruning
}

/// What a leader remembers of the health of servers.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Since when servers without a vote have been healthy.
    since: OrdMap<ProcessId, Time>,
}

impl Health {
    /// A look at the servers that do not vote. `progress` is what the leader knows of one; `last` its own last entry.
    pub fn look(
        &mut self,
        now: Time,
        configuration: &Configuration,
        last: Index,
        progress: impl Fn(ProcessId) -> Option<(Index, Time)>,
    ) {
        let healthy = |id: ProcessId| {
            let known = progress(id);
            known.is_some_and(|(at, heard)| {
                now.since(heard) <= CONTACT_MAX && last.0.saturating_sub(at.0) <= TRAILING_MAX
            })
        };
        let nonvoters = configuration.servers().iter().filter(|(_, suffrage)| *suffrage == Suffrage::Nonvoter);
        let before = std::mem::take(&mut self.since);
        self.since = nonvoters
            .filter(|(id, _)| healthy(*id))
            .map(|(id, _)| (*id, before.get(id).copied().unwrap_or(now)))
            .collect();
    }

    /// Servers that have been healthy for long enough to vote.
    pub fn promotions(&self, now: Time) -> Vec<MembershipChange> {
        let stable = self.since.iter().filter(|(_, since)| now.since(**since) >= STABLE_AFTER);
        stable.map(|(id, _)| MembershipChange::AddVoter(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(number: u32) -> ProcessId {
        ProcessId(number)
    }

    fn members(list: &[(u32, Standing)]) -> OrdMap<ProcessId, Standing> {
        list.iter().map(|(id, standing)| (p(*id), *standing)).collect()
    }

    #[test]
    fn a_dead_minority_is_removed_and_a_dead_majority_is_not() {
        use Standing::{Alive, Failed};
        let three = Configuration::of_voters(&[p(1), p(2), p(3)]);
        let one = prune(&three, &members(&[(1, Alive), (2, Alive), (3, Failed)]));
        assert_eq!(one, Pruning { leave: vec![p(3)], remove: Vec::new() });
        assert_eq!(prune(&three, &members(&[(1, Alive), (2, Failed), (3, Failed)])), Pruning::default());
        let stale = prune(&three, &members(&[(1, Alive), (2, Alive)]));
        assert_eq!(stale, Pruning { leave: Vec::new(), remove: vec![p(3)] });
        let two = Configuration::of_voters(&[p(1), p(2)]);
        assert_eq!(prune(&two, &members(&[(1, Alive), (2, Failed)])), Pruning::default(), "half is no minority");
        let five = Configuration::of_voters(&[p(1), p(2), p(3), p(4), p(5)]);
        let dead = prune(&five, &members(&[(1, Alive), (2, Alive), (3, Alive), (4, Failed)]));
        assert_eq!(dead, Pruning { leave: vec![p(4)], remove: vec![p(5)] });
    }

    #[test]
    fn a_failed_server_without_a_vote_is_removed_whoever_else_is_dead() {
        use Standing::{Alive, Failed};
        let two = Configuration::of_voters(&[p(1), p(2)]).with(MembershipChange::AddNonvoter(p(3)));
        let pruning = prune(&two, &members(&[(1, Alive), (2, Failed), (3, Failed)]));
        assert_eq!(pruning, Pruning { leave: vec![p(3)], remove: Vec::new() });
    }

    #[test]
    fn membership_follows_the_pool() {
        let two = Configuration::of_voters(&[p(1), p(2)]);
        let change = |id, standing, admission| on_standing(&two, p(id), standing, admission);
        let (voter, nonvoter) = (Admission::Voter, Admission::Nonvoter);
        assert_eq!(change(3, Some(Standing::Alive), voter), Some(MembershipChange::AddVoter(p(3))));
        assert_eq!(change(3, Some(Standing::Alive), nonvoter), Some(MembershipChange::AddNonvoter(p(3))));
        assert_eq!(change(2, Some(Standing::Alive), voter), None);
        assert_eq!(change(2, Some(Standing::Failed), voter), None, "autopilot decides");
        assert_eq!(change(2, Some(Standing::Left), voter), Some(MembershipChange::RemoveServer(p(2))));
        assert_eq!(change(2, None, voter), Some(MembershipChange::RemoveServer(p(2))));
        assert_eq!(change(3, Some(Standing::Left), voter), None);
    }

    #[test]
    fn a_server_votes_after_ten_healthy_seconds() {
        let cluster = Configuration::of_voters(&[p(1)]).with(MembershipChange::AddNonvoter(p(2)));
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut health = Health::default();
        let mut look = |now, index, heard| {
            health.look(at(now), &cluster, Index(1_000), |_| Some((Index(index), at(heard))));
            health.promotions(at(now)).len()
        };
        assert_eq!([look(0, 900, 0), look(8, 1_000, 8), look(10, 1_000, 10)], [0, 0, 1]);
        assert_eq!(look(12, 1_000, 11), 0, "no contact for a second");
        assert_eq!([look(14, 1_000, 14), look(24, 700, 24)], [0, 0], "300 entries behind");
        assert_eq!([look(26, 1_000, 26), look(36, 1_000, 36)], [0, 1]);
    }
}
