//! Consensus as HashiCorp raft 1.7.3 does it, for Nomad's and Consul's servers.
//!
//! Covered: elections with pre-vote and leader stickiness, the free-running contact timer of followers, leader lease,
//! heartbeats apart from replication, one-request and pipelined replication with their back-offs, group commit, commit
//! by counting entries of the current term only (Raft §5.4.2), barriers, verified leadership for consistent reads,
//! leadership transfer, single-server membership changes (`AddVoter`, `AddNonvoter`, `DemoteVoter`, `RemoveServer`),
//! snapshots with log compaction and `InstallSnapshot`. Terms, votes and entries are written through
//! [`Fx::write`](crate::base::machine::Fx::write), and the main loop waits for the disk as the original's does, while
//! heartbeats and the replication tasks go on.
//!
//! Invariants: memory never runs ahead of the disk (term, vote and log change when their write is done); at most one
//! main-loop operation is under way; events are emitted in the order things happened; entries are applied in log order,
//! each once between two restarts.
//!
//! Left out: user-initiated restore, protocol versions below 3, and the time a snapshot needs on the wire beyond what
//! the network charges for its bytes. An installed snapshot is in force as soon as it is durable: restoring the state
//! machine takes no time and holds up nothing (the original's main loop waits for it), so a follower that was far
//! behind is back sooner. Changes of the configuration cannot name the one they start from (`prevIndex`). Settings stay
//! as they are during a run (the original reloads some, and `followerNotifyCh` then wakes followers), and one
//! [`PreVote`] holds for all servers: a mix of releases, in which a server that knows no pre-vote counts as one that
//! grants it, is not modelled, so elections during an upgrade across 1.7.0 are like those of either side. The paper's
//! timer, drawn again with every contact, is not offered: figure 16 of the paper is not reproduced, and downtimes here
//! are those of the free-running timer.
//!
//! Connections are the network's business: what a dial costs, and whether bytes written during a partition arrive after
//! it heals, is decided there. A heartbeat that has to change the term waits for the disk when the main loop does (the
//! original persists the term concurrently); this could lengthen an election by one write. A follower commits up to the
//! last entry it compared with the leader (Raft §5.3), not up to its last entry; the two differ only if messages
//! overtake each other on a stream.

mod append;
pub mod autopilot;
mod config;
mod election;
mod lead;
mod log;
mod membership;
mod message;
mod node;
#[cfg(test)]
mod paper_tests;
mod peer;
mod quorum;
mod replicate;
mod snapshot;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod transcripts;

use std::fmt;
use std::sync::Arc;

use crate::base::id::ProcessId;

pub use config::Config;
pub use config::ConfigError;
pub use config::PreVote;
pub use log::Entry;
pub use log::Payload;
pub use membership::ChangeError;
pub use membership::Configuration;
pub use membership::MembershipChange;
pub use membership::Suffrage;
pub use message::AppendEntries;
pub use message::AppendHeader;
pub use message::Msg;
pub use message::Snapshot;
pub use message::Timer;
pub use message::VoteKind;
pub use node::RaftNode;

/// An election term. Zero before the first election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// The place of an entry in the log. The first entry has index 1; zero means "before the log".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Index(pub u64);

impl Term {
    /// The term after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The index after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index `count` places further.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the replicated state machine is made of: the command in a log entry, and the image of its state.
pub trait Command: Clone + fmt::Debug {
    /// The state after some prefix of the log. Cheap to clone: a handle on shared structure.
    type Snapshot: Clone + fmt::Debug;

    /// Size of the command in the log and on the wire, in bytes.
    fn bytes(&self) -> u32;

    /// Mixes the content; commands that differ in meaning should differ here.
    fn fingerprint(&self) -> u64;
}

/// What a server currently is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes, or whether asking would help.
    Candidate,
    /// Replicates its log to the others.
    Leader,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// An entry that consensus appends for itself; the state machine does not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Internal {
    /// The first entry of a leader (Raft §8).
    Noop,
    /// Asked for by [`RaftNode::barrier`].
    Barrier,
    /// A new configuration.
    Configuration,
}

/// What happened, for the container and for observers, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event<E: Command> {
    /// The server changed its state; `term` is its term at that moment.
    StateChanged {
        /// What it is now.
        state: State,
        /// Its term.
        term: Term,
    },
    /// The server learnt of a leader, or lost sight of it.
    LeaderChanged {
        /// The leader it believes in.
        leader: Option<ProcessId>,
    },
    /// A term became durable.
    TermChanged {
        /// The new term.
        term: Term,
    },
    /// A vote became durable, before anybody hears of it. A candidate votes for itself.
    VoteGranted {
        /// The term of the vote.
        term: Term,
        /// Who got it.
        candidate: ProcessId,
    },
    /// An entry became durable in the log of this server.
    Appended {
        /// Its place.
        index: Index,
        /// The term in which a leader created it.
        term: Term,
        /// Hash of this entry's content alone.
        digest: u64,
        /// Hash of the log up to and including it.
        hash: u64,
    },
    /// The log was cut: `from` and everything after it is gone.
    Truncated {
        /// First index removed.
        from: Index,
    },
    /// The server knows that entries up to `index` are committed.
    Committed {
        /// Its commit index.
        index: Index,
    },
    /// A committed command is due at the state machine. Commands come in log order.
    Apply {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// Hash of the log up to and including it.
        hash: u64,
        /// The command.
        entry: Arc<E>,
    },
    /// A committed entry that consensus made for itself was passed. A barrier is over when this is reported.
    Passed {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// Hash of the log up to and including it.
        hash: u64,
        /// What it was.
        kind: Internal,
    },
    /// The state machine is to be replaced by this image.
    Restore {
        /// The image.
        snapshot: Arc<Snapshot<E::Snapshot>>,
    },
    /// The server won the election of `term`.
    LeadershipGained {
        /// Its term.
        term: Term,
    },
    /// The server led and no longer does. Whatever was proposed and is not yet applied may or may not be committed
    /// later;
    /// proposals not yet written, verifications and a transfer under way have failed.
    LeadershipLost {
        /// The term in which it led.
        term: Term,
    },
    /// A quorum still followed this leader after [`RaftNode::verify_leader`] returned this ticket.
    Verified {
        /// The ticket.
        ticket: u64,
    },
    /// This leader hands its leadership to another server: [`Event::LeadershipLost`] or [`Event::TransferFailed`]
    /// follows.
    TransferStarted {
        /// To whom.
        target: ProcessId,
    },
    /// A transfer of leadership did not happen within the election timeout; proposals are accepted again.
    TransferFailed,
    /// The log has grown past the snapshot threshold: the container should call [`RaftNode::snapshot_taken`] with an
    /// image
    /// of its state as of the last entry it applied.
    SnapshotDue,
    /// An image of the state up to `index` is durable and the log before it has been shortened.
    SnapshotStored {
        /// Last index the image contains.
        index: Index,
    },
    /// The configuration in use changed (at append, as HashiCorp raft does it).
    ConfigurationChanged {
        /// Where it was appended; zero if it is the one the cluster was founded with.
        index: Index,
        /// The configuration now in use.
        configuration: Arc<Configuration>,
    },
}

/// Why a command to a server was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Only the leader takes proposals.
    #[error("this server is not the leader")]
    NotLeader {
        /// The leader it knows of.
        leader: Option<ProcessId>,
    },
    /// HashiCorp raft `ErrLeadershipTransferInProgress`.
    #[error("leadership is being transferred")]
    Transferring,
}

/// Why leadership was not transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Only the leader can hand over.
    #[error("this server is not the leader")]
    NotLeader {
        /// The leader it knows of.
        leader: Option<ProcessId>,
    },
    /// One transfer at a time.
    #[error("leadership is already being transferred")]
    Transferring,
    /// There is no other voter, or the one named is none.
    #[error("no other voter to transfer leadership to")]
    NoTarget,
}
