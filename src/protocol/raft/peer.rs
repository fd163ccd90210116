//! What a leader knows about one other server: the state of its replication and heartbeat tasks.

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::protocol::raft::Index;

/// Another server, at a place of its own in the peer table that it keeps for good, since timers name it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) id: ProcessId,
    /// Whether it has a vote in the configuration in use.
    pub(super) voter: bool,
    /// Whether the leader replicates to it now.
    pub(super) active: bool,
    pub(super) progress: Progress,
    pub(super) heartbeat: HeartbeatTask,
    /// Whether [`super::Timer::Due`] is set for it.
    pub(super) due_armed: bool,
}

/// One request on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) seq: u32,
    /// Last entry carried; zero if none was.
    pub(super) upto: Index,
    pub(super) due: Time,
}

/// What the replication task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// New entries, or the idle interval.
    Tick,
    /// The end of a back-off, after which it sends.
    Backoff,
    /// The answer to its request; in a pipeline: room for another request.
    Answer,
}

/// The replication task (HashiCorp raft `replicate`).
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// Next entry to send, as far as confirmed.
    pub(super) next: Index,
    /// Next entry to send in the pipeline, ahead of the answers.
    pub(super) send_next: Index,
    /// Last entry known to be stored there.
    pub(super) matched: Index,
    /// Last answer, of either task.
    pub(super) last_contact: Time,
    /// Failures since the last success; scales the back-off.
    pub(super) failures: u32,
    /// Whether requests are sent without waiting for answers.
    pub(super) pipeline: bool,
    pub(super) flights: SmallVec<[Flight; 2]>,
    pub(super) wait: Wait,
    /// There are new entries that the task has not looked at.
    pub(super) triggered: bool,
    /// The task sends up to here before it waits again.
    pub(super) target: Index,
}

/// What the heartbeat task waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beat {
    /// The next heartbeat, or a demand for one.
    Tick,
    /// The end of a back-off.
    Backoff,
    /// The answer.
    Answer {
        /// Number of the request.
        seq: u32,
        /// When patience ends.
        due: Time,
    },
}

/// The heartbeat task (HashiCorp raft `heartbeat`).
#[derive(Debug, Clone)]
pub(super) struct HeartbeatTask {
    pub(super) beat: Beat,
    pub(super) failures: u32,
    /// A heartbeat was demanded while the task was busy.
    pub(super) forced: bool,
    /// Last verification ticket this peer has answered.
    pub(super) verified: u64,
}

impl Peer {
    pub(super) fn new(id: ProcessId) -> Self {
        Self {
            id,
            voter: false,
            active: false,
            progress: Progress::new(Index::ZERO, Time::ZERO),
            heartbeat: HeartbeatTask { beat: Beat::Tick, failures: 0, forced: false, verified: 0 },
            due_armed: false,
        }
    }

    /// The earliest moment at which patience with a request ends.
    pub(super) fn earliest_due(&self) -> Option<Time> {
        let beat = match self.heartbeat.beat {
            Beat::Answer { due, .. } => Some(due),
            Beat::Tick | Beat::Backoff => None,
        };
        self.progress.flights.first().map(|flight| flight.due).into_iter().chain(beat).min()
    }
}

impl Progress {
    /// A task that starts by sending from `next`.
    pub(super) fn new(next: Index, now: Time) -> Self {
        Self {
            next,
            send_next: next,
            matched: Index::ZERO,
            last_contact: now,
            failures: 0,
            pipeline: false,
            flights: SmallVec::new(),
            wait: Wait::Tick,
            triggered: false,
            target: Index::ZERO,
        }
    }
}

/// Pause after `failures` failures in a row: 10 ms, doubled from the third on, at most ten times (10.24 s).
pub(super) fn backoff(failures: u32) -> Duration {
    BACKOFF_BASE * (1 << failures.min(BACKOFF_SCALE_MAX).saturating_sub(2))
}

const BACKOFF_BASE: Duration = Duration::from_millis(10);
const BACKOFF_SCALE_MAX: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_from_the_third_failure_and_is_capped() {
        for (failures, ms) in [(0, 10), (1, 10), (2, 10), (3, 20), (5, 80), (12, 10_240), (99, 10_240)] {
            assert_eq!(backoff(failures), Duration::from_millis(ms), "{failures}");
        }
    }
}
