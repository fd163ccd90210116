//! The laws of terms, votes and leaderships.

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::measure::invariant::raft::Fact;
use crate::measure::invariant::raft::Law;
use crate::measure::invariant::raft::Observation;
use crate::measure::invariant::raft::Timing;
use crate::measure::invariant::raft::voters;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::PreVote;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;

/// Election safety (Raft §5.2): at most one leader per term.
#[derive(Debug, Clone, Default)]
pub struct ElectionSafety {
    leaders: OrdMap<Term, ProcessId>,
    tally: Tally,
}

impl Law for ElectionSafety {
    fn name(&self) -> &'static str {
        "raft.election_safety"
    }

    fn see(&mut self, seen: &Observation) {
        if let Fact::Became(State::Leader, term) = seen.fact {
            let leader = *self.leaders.entry(term).or_insert(seen.who);
            self.tally.check(seen.at, leader == seen.who, || {
                format!("{} and {leader} were both elected in term {term}", seen.who)
            });
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// A server's term never goes back, and it votes once per term, restarts included.
#[derive(Debug, Clone, Default)]
pub struct VoteSafety {
    terms: OrdMap<ProcessId, Term>,
    votes: OrdMap<ProcessId, (Term, ProcessId)>,
    tally: Tally,
}

impl Law for VoteSafety {
    fn name(&self) -> &'static str {
        "raft.vote_safety"
    }

    fn see(&mut self, seen: &Observation) {
        let who = seen.who;
        match seen.fact {
            Fact::Term(term) | Fact::Became(_, term) => {
                let before = self.terms.insert(who, term).unwrap_or_default();
                self.tally.check(seen.at, term >= before, || format!("{who} went from term {before} to {term}"));
            }
            Fact::Voted { term, candidate } => {
                let (voted, given) = self.votes.insert(who, (term, candidate)).unwrap_or((Term(0), candidate));
                let once = voted < term || (voted == term && given == candidate);
                self.tally.check(seen.at, once, || {
                    format!("{who} voted for {candidate} in term {term}, and for {given} in term {voted}")
                });
            }
            Fact::Restarted
            | Fact::Stopped
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Committed(_)
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

/// Lease safety (HashiCorp raft `LeaderLeaseTimeout`, Raft §6.4.1 of the thesis): who led has noticed that it has no
/// quorum, and stopped leading, before the followers that left it have elected another.
///
/// It holds because a follower is loyal for a heartbeat timeout after it last answered, and a leader gives up half of
/// that after the answer. So nothing is judged for a heartbeat timeout after a server came back without knowing whom it
/// followed; for a leader that has led for less and may be unknown to those who did not elect it; and for one that
/// hands leadership over itself, or whom nobody relieved, while the word to stand may still be under way.
#[derive(Debug, Clone)]
pub struct LeaseSafety {
    heartbeat: Duration,
    leading: OrdMap<ProcessId, Led>,
    /// Since when every server that runs has run.
    settled: Time,
    excused: Time,
    tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct Led {
    term: Term,
    /// From when on it has stopped leading before another is elected.
    bound_from: Time,
}

impl LeaseSafety {
    /// For a group with this timing.
    pub fn new(timing: Timing) -> Self {
        Self {
            heartbeat: timing.heartbeat,
            leading: OrdMap::new(),
            settled: Time::ZERO,
            excused: Time::ZERO,
            tally: Tally::default(),
        }
    }

    /// Nothing is judged until then.
    pub fn excuse(&mut self, until: Time) {
        self.excused = until;
    }

    fn elected(&mut self, seen: &Observation, term: Term) {
        let (at, who) = (seen.at, seen.who);
        if at < self.excused || at.since(self.settled) < self.heartbeat {
            return;
        }
        let holds_on = |(_, led): &(&ProcessId, &Led)| led.term < term && led.bound_from <= at;
        let other = self.leading.iter().find(holds_on).map(|(other, led)| (*other, led.term));
        self.tally.check(at, other.is_none(), || {
            let (other, led) = other.unwrap_or((who, term));
            format!("{who} was elected in term {term} while {other} still led in term {led}")
        });
    }
}

impl Law for LeaseSafety {
    fn name(&self) -> &'static str {
        "raft.lease_safety"
    }

    fn see(&mut self, seen: &Observation) {
        match seen.fact {
            Fact::Became(State::Leader, term) => {
                self.leading.remove(&seen.who);
                self.elected(seen, term);
                self.leading.insert(seen.who, Led { term, bound_from: seen.at + self.heartbeat });
            }
            Fact::Became(State::Follower | State::Candidate, _) | Fact::Stopped => {
                self.leading.remove(&seen.who);
            }
            Fact::Restarted => {
                self.leading.remove(&seen.who);
                self.settled = seen.at;
            }
            Fact::HandsOver => {
                if let Some(led) = self.leading.get_mut(&seen.who) {
                    led.bound_from = Time::NEVER;
                }
            }
            Fact::KeepsLeading => {
                if let Some(led) = self.leading.get_mut(&seen.who) {
                    led.bound_from = seen.at + self.heartbeat;
                }
            }
            Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Committed(_)
            | Fact::Applied { .. }
            | Fact::Restored { .. }
            | Fact::Configured { .. }
            | Fact::CutOff
            | Fact::Rejoined => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Pre-vote (Raft thesis §9.6): a server that is cut off from all others keeps its term, however often it stands, until
/// it hears them again; and so asking before an election changes nothing.
///
/// What was on its way when it was cut off, or under way to its disk when it stopped, has two heartbeat timeouts to
/// arrive. A server that is the only voter by its own configuration needs nobody.
#[derive(Debug, Clone)]
pub struct PreVoteSafety {
    timing: Timing,
    /// Who is cut off, and from when on its term stays.
    cut: OrdMap<ProcessId, Time>,
    founders: usize,
    /// How many vote by the configuration of each server that ever got another than the founding one.
    voters: OrdMap<ProcessId, usize>,
    excused: Time,
    tally: Tally,
}

impl PreVoteSafety {
    /// For a group founded with this configuration.
    pub fn new(founding: &Configuration, timing: Timing) -> Self {
        Self {
            timing,
            cut: OrdMap::new(),
            founders: voters(founding).count(),
            voters: OrdMap::new(),
            excused: Time::ZERO,
            tally: Tally::default(),
        }
    }

    /// Nothing is judged until then.
    pub fn excuse(&mut self, until: Time) {
        self.excused = until;
    }

    /// Notes that a server that may be cut off stood for election, or `changed` its term or gave its vote.
    fn judge(&mut self, seen: &Observation, changed: bool) {
        let Some(from) = self.cut.get(&seen.who) else { return };
        let others = self.voters.get(&seen.who).copied().unwrap_or(self.founders) > 1;
        if self.timing.pre_vote == PreVote::On && others && seen.at >= self.excused.max(*from) {
            self.tally.check(seen.at, !changed, || format!("{}, cut off, entered a new term", seen.who));
        }
    }
}

impl Law for PreVoteSafety {
    fn name(&self) -> &'static str {
        "raft.pre_vote_safety"
    }

    fn see(&mut self, seen: &Observation) {
        let settled = seen.at + self.timing.heartbeat * 2;
        match &seen.fact {
            Fact::CutOff => {
                self.cut.insert(seen.who, settled);
            }
            Fact::Rejoined => {
                self.cut.remove(&seen.who);
            }
            Fact::Restarted => {
                if let Some(from) = self.cut.get_mut(&seen.who) {
                    *from = settled;
                }
            }
            Fact::Configured { configuration, .. } => {
                self.voters.insert(seen.who, voters(configuration).count());
            }
            Fact::Became(State::Candidate, _) => self.judge(seen, false),
            Fact::Term(_) | Fact::Voted { .. } => self.judge(seen, true),
            Fact::Became(State::Follower | State::Leader, _)
            | Fact::Stopped
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Committed(_)
            | Fact::Applied { .. }
            | Fact::Restored { .. }
            | Fact::HandsOver
            | Fact::KeepsLeading => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
