//! What is bound to happen once nothing is in the way.

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::measure::invariant::raft::Fact;
use crate::measure::invariant::raft::Law;
use crate::measure::invariant::raft::Observation;
use crate::protocol::raft::State;

/// Liveness: once faults have ended and a majority is connected, somebody leads within a bound, and what a leader
/// elected since then writes first is committed within another.
#[derive(Debug, Clone)]
pub struct Liveness {
    leader_bound: Duration,
    commit_bound: Duration,
    leading: OrdMap<ProcessId, Time>,
    healthy: Option<Time>,
    /// Since when a leader is due, and since when a commit is.
    leader_due: Option<Time>,
    commit_due: Option<Time>,
    tally: Tally,
}

impl Liveness {
    /// `leader_bound`: generously three heartbeat timeouts and four rounds of twice the election timeout, plus what the
    /// network and the disk take. `commit_bound`: two round trips and the writes.
    pub fn new(leader_bound: Duration, commit_bound: Duration) -> Self {
        Self {
            leader_bound,
            commit_bound,
            leading: OrdMap::new(),
            healthy: None,
            leader_due: None,
            commit_due: None,
            tally: Tally::default(),
        }
    }

    /// A fault begins: nothing is promised.
    pub fn fault_began(&mut self) {
        (self.healthy, self.leader_due, self.commit_due) = (None, None, None);
    }

    /// The last fault ended.
    pub fn faults_ended(&mut self, at: Time) {
        self.healthy = Some(at);
        self.leader_due = self.leading.is_empty().then_some(at + self.leader_bound);
    }

    /// Looks whether something is overdue; called with every observation, and to be called at the end of the run.
    pub fn look(&mut self, at: Time) {
        if self.leader_due.is_some_and(|due| due < at) {
            let bound = self.leader_bound;
            self.tally.check(at, false, || format!("nobody leads {bound} after the last fault"));
            self.leader_due = None;
        }
        if self.commit_due.is_some_and(|due| due < at) {
            let bound = self.commit_bound;
            self.tally.check(at, false, || format!("nothing was committed within {bound} of an election"));
            self.commit_due = None;
        }
    }
}

impl Law for Liveness {
    fn name(&self) -> &'static str {
        "raft.liveness"
    }

    fn see(&mut self, seen: &Observation) {
        self.look(seen.at);
        match seen.fact {
            Fact::Became(State::Leader, _) => {
                self.leading.insert(seen.who, seen.at);
                if self.leader_due.take().is_some() {
                    self.tally.check(seen.at, true, String::new);
                }
                if self.healthy.is_some() {
                    self.commit_due = Some(seen.at + self.commit_bound);
                }
            }
            Fact::Became(State::Follower | State::Candidate, _) | Fact::Stopped | Fact::Restarted => {
                let led = self.leading.remove(&seen.who).is_some();
                if led && self.leading.is_empty() && self.healthy.is_some() {
                    self.leader_due = Some(seen.at + self.leader_bound);
                    self.commit_due = None;
                }
            }
            Fact::Committed(_) => {
                if self.commit_due.take().is_some() {
                    self.tally.check(seen.at, true, String::new);
                }
            }
            Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Applied { .. }
            | Fact::Restored { .. }
            | Fact::Configured { .. }
            | Fact::HandsOver
            | Fact::KeepsLeading
            | Fact::CutOff
            | Fact::Rejoined => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
