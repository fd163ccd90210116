//! Who belongs to the cluster, and changing it one server at a time (Raft thesis §4.1, HashiCorp raft
//! `nextConfiguration`).

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::protocol::raft::Index;
use crate::protocol::raft::log::mix;

/// Whether a server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffrage {
    /// Votes, campaigns and counts.
    Voter,
    /// Receives the log only.
    Nonvoter,
}

/// The servers of a cluster, in the order in which they are asked. No server occurs twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    servers: Vec<(ProcessId, Suffrage)>,
}

/// One change of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipChange {
    /// Adds a voter, or promotes a non-voter. It counts at once, caught up or not.
    AddVoter(ProcessId),
    /// Adds a server that only receives the log. A voter stays one.
    AddNonvoter(ProcessId),
    /// Makes a voter a non-voter.
    DemoteVoter(ProcessId),
    /// Takes a server out.
    RemoveServer(ProcessId),
}

/// Why a change was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader changes the configuration.
    #[error("this server is not the leader")]
    NotLeader {
        /// The leader it knows of.
        leader: Option<ProcessId>,
    },
    /// Leadership is being handed over.
    #[error("leadership is being transferred")]
    Transferring,
    /// The previous change, or the leader's first entry, is not committed yet.
    #[error("an earlier configuration is not committed yet")]
    Unstable,
    /// The change would leave nobody to vote.
    #[error("the change would leave no voter")]
    NoVoter,
}

impl Configuration {
    /// A cluster of these voters. Doubles are dropped.
    pub fn of_voters(voters: &[ProcessId]) -> Self {
        let mut configuration = Self::default();
        for voter in voters {
            configuration = configuration.with(MembershipChange::AddVoter(*voter));
        }
        configuration
    }

    /// Its servers.
    pub fn servers(&self) -> &[(ProcessId, Suffrage)] {
        &self.servers
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether nobody belongs to it, as in a server that has yet to be told.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether the server belongs to it.
    pub fn contains(&self, id: ProcessId) -> bool {
        self.servers.iter().any(|(server, _)| *server == id)
    }

    /// Whether the server has a vote.
    pub fn is_voter(&self, id: ProcessId) -> bool {
        self.servers.contains(&(id, Suffrage::Voter))
    }

    /// Those with a vote, in order.
    pub fn voters(&self) -> impl DoubleEndedIterator<Item = ProcessId> {
        self.servers.iter().filter(|(_, suffrage)| *suffrage == Suffrage::Voter).map(|(id, _)| *id)
    }

    /// How many have a vote.
    pub fn voter_count(&self) -> usize {
        self.voters().count()
    }

    /// The configuration after the change.
    pub fn with(&self, change: MembershipChange) -> Self {
        let mut servers = self.servers.clone();
        let place = |servers: &[(ProcessId, Suffrage)], id| servers.iter().position(|(server, _)| *server == id);
        match change {
            MembershipChange::AddVoter(id) => match place(&servers, id) {
                Some(at) => servers[at].1 = Suffrage::Voter,
                None => servers.push((id, Suffrage::Voter)),
            },
            MembershipChange::AddNonvoter(id) => {
                if place(&servers, id).is_none() {
                    servers.push((id, Suffrage::Nonvoter));
                }
            }
            MembershipChange::DemoteVoter(id) => {
                if let Some(at) = place(&servers, id) {
                    servers[at].1 = Suffrage::Nonvoter;
                }
            }
            MembershipChange::RemoveServer(id) => servers.retain(|(server, _)| *server != id),
        }
        Self { servers }
    }

    /// Mixes the content.
    pub(super) fn fingerprint(&self) -> u64 {
        self.servers.iter().fold(3, |sum, (id, suffrage)| mix(sum, u64::from(id.0) << 1 | *suffrage as u64))
    }
}

/// The configuration in use and the last one known to be committed. `latest` is in use from the moment it is appended.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) committed: Arc<Configuration>,
    pub(super) committed_index: Index,
    pub(super) latest: Arc<Configuration>,
    pub(super) latest_index: Index,
}

impl Membership {
    pub(super) fn new(configuration: Arc<Configuration>, index: Index) -> Self {
        Self {
            committed: Arc::clone(&configuration),
            committed_index: index,
            latest: configuration,
            latest_index: index,
        }
    }

    /// Whether no change is under way.
    pub(super) fn is_stable(&self) -> bool {
        self.latest_index == self.committed_index
    }

    /// Takes a configuration that was appended at `index` into use. A leader appends one only when the one before is
    /// committed, so that one is what an uncommitted configuration falls back to.
    pub(super) fn append(&mut self, configuration: Arc<Configuration>, index: Index) {
        (self.committed, self.committed_index) = (Arc::clone(&self.latest), self.latest_index);
        (self.latest, self.latest_index) = (configuration, index);
    }

    /// Entries up to `index` are committed.
    pub(super) fn commit(&mut self, index: Index) {
        if self.latest_index <= index {
            (self.committed, self.committed_index) = (Arc::clone(&self.latest), self.latest_index);
        }
    }

    /// The log was cut at `from`: an uncommitted configuration there falls back to the committed one. Returns whether
    /// one
    /// did.
    pub(super) fn truncate(&mut self, from: Index) -> bool {
        let cut = self.latest_index >= from;
        if cut {
            (self.latest, self.latest_index) = (Arc::clone(&self.committed), self.committed_index);
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_touch_one_server() {
        let p = ProcessId;
        let three = Configuration::of_voters(&[p(1), p(2), p(3), p(2)]);
        assert_eq!((three.len(), three.voter_count()), (3, 3));
        let learner = three.with(MembershipChange::AddNonvoter(p(4)));
        assert_eq!((learner.len(), learner.voter_count(), learner.is_voter(p(4))), (4, 3, false));
        assert!(learner.with(MembershipChange::AddVoter(p(4))).is_voter(p(4)));
        assert!(!three.with(MembershipChange::DemoteVoter(p(1))).is_voter(p(1)));
        assert!(!three.with(MembershipChange::RemoveServer(p(1))).contains(p(1)));
        assert!(three.with(MembershipChange::AddNonvoter(p(1))).is_voter(p(1)));
    }
}
