//! What servers say to each other, and the alarms they set.

use std::fmt;
use std::sync::Arc;

use crate::base::machine::Channel;
use crate::base::machine::Message;
use crate::base::machine::Slot;
use crate::base::time::Duration;
use crate::protocol::raft::Command;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Entry;
use crate::protocol::raft::Index;
use crate::protocol::raft::Term;
use crate::protocol::raft::log::mix;

/// What kind of vote is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteKind {
    /// Would you vote for me? Changes nothing at the one asked.
    Pre,
    /// Vote for me.
    Real,
    /// Vote for me although you know a leader: it handed over to me.
    Transfer,
}

/// The fixed part of `AppendEntries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendHeader {
    /// Number of the request; the answer repeats it.
    pub seq: u32,
    /// The leader's term.
    pub term: Term,
    /// The entry before the first one carried.
    pub prev_index: Index,
    /// Its term.
    pub prev_term: Term,
    /// The leader's commit index.
    pub commit: Index,
}

impl<E: Command> From<AppendHeader> for Msg<E> {
    fn from(header: AppendHeader) -> Self {
        let AppendHeader { seq, term, prev_index, prev_term, commit } = header;
        Self::Append { seq, term, prev_index, prev_term, commit }
    }
}

/// `AppendEntries` with entries.
#[derive(Debug, Clone)]
pub struct AppendEntries<E> {
    /// The fixed part.
    pub header: AppendHeader,
    /// The entries after `prev_index`, at least one.
    pub entries: Arc<[Entry<E>]>,
}

/// An image of the state machine as of an index.
#[derive(Debug, Clone)]
pub struct Snapshot<S> {
    /// The last entry the image contains.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// Hash of the log up to it.
    pub hash: u64,
    /// The configuration as of `index`.
    pub configuration: Arc<Configuration>,
    /// Where that configuration was appended.
    pub configuration_index: Index,
    /// The image.
    pub state: S,
    /// Its size, in bytes.
    pub bytes: u32,
}

/// A message between two servers; all travel on streams.
#[derive(Debug, Clone)]
pub enum Msg<E: Command> {
    /// `AppendEntries` of the heartbeat task: the term only, outside the queue of the main loop.
    Heartbeat {
        /// Number of the request.
        seq: u32,
        /// The leader's term.
        term: Term,
    },
    /// The answer.
    HeartbeatReply {
        /// Number of the request.
        seq: u32,
        /// Term of the answering server.
        term: Term,
        /// Whether it follows the sender of the heartbeat.
        success: bool,
    },
    /// `AppendEntries` of the replication task without entries: an [`AppendHeader`], spelt out to keep messages small.
    Append {
        /// Number of the request; the answer repeats it.
        seq: u32,
        /// The leader's term.
        term: Term,
        /// The entry before the first one the leader would send.
        prev_index: Index,
        /// Its term.
        prev_term: Term,
        /// The leader's commit index.
        commit: Index,
    },
    /// `AppendEntries` with entries.
    AppendEntries(Box<AppendEntries<E>>),
    /// The answer to either.
    AppendReply {
        /// Number of the request.
        seq: u32,
        /// Term of the answering server.
        term: Term,
        /// Its last index when it began with the request.
        last: Index,
        /// Whether the entries are now in its log.
        success: bool,
        /// Whether the sender may try again at once: the logs differed, nothing is broken.
        retry_at_once: bool,
    },
    /// `RequestVote` and its variants.
    RequestVote {
        /// Number of the candidate's round.
        round: u32,
        /// What is asked.
        kind: VoteKind,
        /// The candidate's term, or the one it would start.
        term: Term,
        /// The candidate's last entry.
        last_index: Index,
        /// Its term.
        last_term: Term,
    },
    /// The answer.
    Vote {
        /// Number of the candidate's round.
        round: u32,
        /// Term of the answering server.
        term: Term,
        /// The vote.
        granted: bool,
    },
    /// `TimeoutNow`: start an election, leadership is yours.
    TimeoutNow {
        /// Number of the request.
        seq: u32,
    },
    /// The answer.
    TimeoutNowReply {
        /// Number of the request.
        seq: u32,
    },
    /// `InstallSnapshot`.
    InstallSnapshot {
        /// Number of the request.
        seq: u32,
        /// The leader's term.
        term: Term,
        /// The image.
        snapshot: Arc<Snapshot<E::Snapshot>>,
    },
    /// The answer.
    SnapshotReply {
        /// Number of the request.
        seq: u32,
        /// Term of the answering server.
        term: Term,
        /// Whether the image was installed.
        success: bool,
    },
}

impl<E: Command> Msg<E> {
    /// How long its sender waits for the answer, where most of them come within `timeout`: the longer the larger an
    /// image is.
    #[inline]
    pub fn answer_within(&self, timeout: Duration) -> Duration {
        match self {
            Self::InstallSnapshot { snapshot, .. } => timeout * u64::from((snapshot.bytes / TIMEOUT_SCALE).max(1)),
            _ => timeout,
        }
    }
}

/// Bytes of an image that are worth one timeout (HashiCorp raft `DefaultTimeoutScale`).
const TIMEOUT_SCALE: u32 = 256 * 1_024;

impl<E: Command> Message for Msg<E> {
    fn channel(&self) -> Channel {
        Channel::Stream
    }

    /// Msgpack of the original: header, names and numbers come to about 120 bytes in requests, 40 in answers.
    #[inline]
    fn bytes(&self) -> u32 {
        match self {
            Self::Heartbeat { .. } | Self::Append { .. } | Self::RequestVote { .. } | Self::TimeoutNow { .. } => 120,
            Self::AppendEntries(append) => 120 + append.entries.iter().map(Entry::bytes).sum::<u32>(),
            Self::InstallSnapshot { snapshot, .. } => snapshot.bytes.saturating_add(200),
            Self::HeartbeatReply { .. }
            | Self::AppendReply { .. }
            | Self::Vote { .. }
            | Self::TimeoutNowReply { .. }
            | Self::SnapshotReply { .. } => 40,
        }
    }

    #[inline]
    fn fingerprint(&self) -> u64 {
        let header =
            |h: &AppendHeader| mix(mix(h.term.0, h.commit.0), mix(h.prev_index.0, h.prev_term.0 ^ u64::from(h.seq)));
        match self {
            Self::Heartbeat { seq, term } => mix(1, mix(term.0, u64::from(*seq))),
            Self::HeartbeatReply { seq, term, success } => mix(2 + u64::from(*success), mix(term.0, u64::from(*seq))),
            Self::Append { seq, term, prev_index, prev_term, commit } => {
                let (seq, term, prev_index, prev_term, commit) = (*seq, *term, *prev_index, *prev_term, *commit);
                mix(4, header(&AppendHeader { seq, term, prev_index, prev_term, commit }))
            }
            Self::AppendEntries(append) => {
                append.entries.iter().fold(mix(5, header(&append.header)), |sum, e| mix(sum, e.digest ^ e.term.0))
            }
            Self::AppendReply { seq, term, last, success, retry_at_once } => mix(
                6 + u64::from(*success) + 16 * u64::from(*retry_at_once),
                mix(term.0, last.0 ^ u64::from(*seq) << 32),
            ),
            Self::RequestVote { round, kind, term, last_index, last_term } => {
                mix(8 + *kind as u64, mix(mix(term.0, u64::from(*round)), mix(last_index.0, last_term.0)))
            }
            Self::Vote { round, term, granted } => mix(11 + u64::from(*granted), mix(term.0, u64::from(*round))),
            Self::TimeoutNow { seq } => mix(13, u64::from(*seq)),
            Self::TimeoutNowReply { seq } => mix(14, u64::from(*seq)),
            Self::InstallSnapshot { seq, term, snapshot } => {
                mix(15, mix(mix(term.0, u64::from(*seq)), mix(snapshot.index.0, snapshot.hash)))
            }
            Self::SnapshotReply { seq, term, success } => mix(32 + u64::from(*success), mix(term.0, u64::from(*seq))),
        }
    }
}

impl<E: Command> fmt::Display for Msg<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = |yes: bool| if yes { "ok" } else { "no" };
        match self {
            Self::Heartbeat { term, .. } => write!(f, "Heartbeat term={term}"),
            Self::HeartbeatReply { term, success, .. } => write!(f, "HeartbeatReply term={term} {}", answer(*success)),
            Self::Append { term, prev_index, prev_term, commit, .. } => {
                write!(f, "Append term={term} prev=({prev_index},{prev_term}) commit={commit}")
            }
            Self::AppendEntries(append) => {
                let h = &append.header;
                let count = append.entries.len();
                write!(
                    f,
                    "Append term={} prev=({},{}) entries={count} commit={}",
                    h.term, h.prev_index, h.prev_term, h.commit
                )
            }
            Self::AppendReply { term, last, success, .. } => {
                write!(f, "AppendReply term={term} last={last} {}", answer(*success))
            }
            Self::RequestVote { kind, term, last_index, last_term, .. } => {
                let name = match kind {
                    VoteKind::Pre => "PreVote",
                    VoteKind::Real => "RequestVote",
                    VoteKind::Transfer => "RequestVote(transfer)",
                };
                write!(f, "{name} term={term} last=({last_index},{last_term})")
            }
            Self::Vote { term, granted, .. } => write!(f, "Vote term={term} {}", answer(*granted)),
            Self::TimeoutNow { .. } => f.write_str("TimeoutNow"),
            Self::TimeoutNowReply { .. } => f.write_str("TimeoutNowReply"),
            Self::InstallSnapshot { term, snapshot, .. } => {
                write!(f, "InstallSnapshot term={term} last=({},{})", snapshot.index, snapshot.term)
            }
            Self::SnapshotReply { term, success, .. } => write!(f, "SnapshotReply term={term} {}", answer(*success)),
        }
    }
}

/// The alarms of a server. Those of a peer name its place in this server's peer table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A follower checks whether it heard from a leader. Runs freely; contact does not move it.
    Contact,
    /// A candidate gives up its round.
    Election,
    /// A leader checks its contact with a quorum.
    Lease,
    /// A leadership transfer has taken too long.
    Transfer,
    /// Time to see whether a snapshot is due.
    Snapshot,
    /// The heartbeat task of a peer: next heartbeat, or the end of its back-off.
    Heartbeat(u16),
    /// The replication task of a peer: next idle `AppendEntries`, or the end of its back-off.
    Replicate(u16),
    /// A request to a peer may have been unanswered for too long.
    Due(u16),
}

impl Slot for Timer {
    fn slot(self) -> usize {
        const FIXED: usize = 5;
        const KINDS: usize = 3;
        match self {
            Self::Contact => 0,
            Self::Election => 1,
            Self::Lease => 2,
            Self::Transfer => 3,
            Self::Snapshot => 4,
            Self::Heartbeat(peer) => FIXED + KINDS * usize::from(peer),
            Self::Replicate(peer) => FIXED + KINDS * usize::from(peer) + 1,
            Self::Due(peer) => FIXED + KINDS * usize::from(peer) + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::raft::testing::Word;

    #[test]
    fn a_message_is_small() {
        assert!(size_of::<Msg<Word>>() <= 40, "{}", size_of::<Msg<Word>>());
    }

    #[test]
    fn timers_have_places_of_their_own() {
        let mut slots = vec![Timer::Contact, Timer::Election, Timer::Lease, Timer::Transfer, Timer::Snapshot];
        slots.extend((0..3).flat_map(|p| [Timer::Heartbeat(p), Timer::Replicate(p), Timer::Due(p)]));
        assert!(slots.iter().enumerate().all(|(place, timer)| timer.slot() == place));
    }
}
