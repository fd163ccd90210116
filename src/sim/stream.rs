//! Streams between pairs of processes, made when the first message passes, kept in one table.
//!
//! The model of TCP. One stream per pair, both directions. It is bound to the lives of its ends: the sender's when it
//! opens it, the receiver's when the first segment arrives. Within a direction, arrivals never overtake. A segment that
//! cannot pass (a rule drops it, or the host is down) waits and is tried again after 200 ms on an established stream,
//! 1 s on one that opens, doubling to 120 s (Linux); when the way is open again, all that waits arrives in order. An
//! established stream gives up after 924.6 s (Linux `tcp_retries2` = 15), an attempt at a connection after the dial
//! timeout of what waits for it ([`Message::dial_patience`], the shortest of them): the sender is told as of a refusal,
//! and what else waits is gone. A message is given up after the patience of its sender, silently, since the caller's
//! own timeout is what its code would see. A segment that reaches a live host without a listening process, or with a
//! later life of it, is refused: the sender is told once, and what else it had under way on that stream is gone. A
//! killed process resets its established streams; a lost host does not: the other side is told once the next life of
//! its peer opens the stream again, at the earliest.
//!
//! Callers have more than one connection: who wants to send while a connection hangs does not wait for it, but takes or
//! dials another one (Go's `http.Transport` and `HashiCorp`'s Raft transport have one exchange to a connection; a
//! session that many calls share is closed by its keep-alive and dialled again). So what is sent while others wait is
//! tried at once, and if it cannot pass, again after the 1 s of a new connection.
//!
//! Left out: congestion control and windows (bulk transfers are as fast as the link), half-closed streams, the round
//! trip that a further connection takes, that what is told of a peer's new life would be told at the next segment or
//! keep-alive on the old connection, up to 30 s later, and that what waited on the one that hung would still wait for
//! its own turn: it arrives with what was sent later, so calls over a shared session are free up to 40 s earlier than
//! in reality.
//!
//! [`Message::dial_patience`]: crate::base::machine::Message::dial_patience

use std::collections::VecDeque;

use crate::base::id::ProcessId;
use crate::base::index::{Index, hash_pair};
use crate::base::time::{Duration, Time};

/// One stream.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// The lower process first.
    pub(super) ends: [ProcessId; 2],
    /// The lives of the ends that the stream belongs to.
    pub(super) lives: [Option<u32>; 2],
    pub(super) state: StreamState,
    /// By sending side.
    pub(super) lanes: [Lane; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamState {
    Closed,
    /// Something was sent, nothing has arrived.
    Opening,
    /// Something has arrived.
    Established,
}

/// One direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// Segments of an earlier generation are ignored on arrival: the sender has been told that they failed.
    pub(super) generation: u32,
    /// Segments sent so far.
    pub(super) sent: u32,
    /// Nothing arrives before this.
    pub(super) arrived: Time,
    /// What waits for the way to open, if anything does.
    pub(super) stalled: Option<Box<Stalled>>,
    /// Retries scheduled so far; tells the latest from older ones.
    pub(super) attempts: u32,
}

/// Segments that could not pass.
#[derive(Debug, Clone)]
pub(super) struct Stalled {
    /// By number.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) timeout: Duration,
    /// When they are tried next.
    pub(super) next: Time,
}

/// A segment that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) number: u32,
    /// In the slab.
    pub(super) place: u32,
    pub(super) since: Time,
}

impl Stream {
    #[inline]
    fn joins(&self, [a, b]: [ProcessId; 2]) -> bool {
        self.ends[0] == a && self.ends[1] == b
    }

    pub(super) fn side_of(&self, process: ProcessId) -> usize {
        usize::from(self.ends[0] != process)
    }
}

/// All streams, found by their ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    list: Vec<Stream>,
    index: Index,
}

impl Streams {
    /// The stream between two processes, and whether it is new.
    #[inline]
    pub(super) fn between(&mut self, a: ProcessId, b: ProcessId) -> (u32, bool) {
        let ends = [a.min(b), a.max(b)];
        let hash = hash_of(ends);
        if let Some(known) = self.index.find(hash, |place| self.list[place].joins(ends)) {
            return (known, false);
        }
        (self.add(ends, hash), true)
    }

    #[cold]
    fn add(&mut self, ends: [ProcessId; 2], hash: u64) -> u32 {
        let fresh = self.index.push(hash, |place| hash_of(self.list[place].ends));
        let lanes = [Lane::default(), Lane::default()];
        self.list.push(Stream { ends, lives: [None, None], state: StreamState::Closed, lanes });
        fresh
    }
}

#[inline]
fn hash_of([a, b]: [ProcessId; 2]) -> u64 {
    hash_pair(a.0, b.0)
}

impl std::ops::Index<u32> for Streams {
    type Output = Stream;

    fn index(&self, index: u32) -> &Stream {
        &self.list[index as usize]
    }
}

impl std::ops::IndexMut<u32> for Streams {
    fn index_mut(&mut self, index: u32) -> &mut Stream {
        &mut self.list[index as usize]
    }
}

/// An established stream whose segments are not acknowledged is given up after this (Linux `tcp_retries2` = 15).
pub(super) const GIVE_UP: Duration = Duration::from_millis(924_600);
/// First retransmission of a segment that opens a connection (RFC 6298, Linux `TCP_TIMEOUT_INIT`).
pub(super) const CONNECT_RETRY: Duration = Duration::from_secs(1);
/// A stream holds this many unsent messages; what a caller sends beyond is lost, as to a caller whose write blocks.
pub(super) const WAITING_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_stream_whoever_speaks_first() {
        let mut streams = Streams::default();
        for a in 0..100 {
            for b in a..100 {
                let (index, new) = streams.between(ProcessId(a), ProcessId(b));
                assert!(new);
                assert_eq!(streams.between(ProcessId(b), ProcessId(a)), (index, false));
            }
        }
        assert_eq!(streams[0].ends, [ProcessId(0), ProcessId(0)]);
    }
}
