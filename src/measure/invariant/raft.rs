//! The laws of Raft (extended paper, figure 3), and those that keep its implementation honest.
//!
//! The observers keep a record of their own: each server's log as it became durable, what was committed and applied,
//! who
//! led and voted. They are fed with [`Observation`]s of one group of servers, in the order things happened. Logs are
//! remembered for the last 32 768 to 65 536 entries per server; what is older is not compared.

mod logs;

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::measure::invariant::raft::logs::Logs;
use crate::measure::invariant::raft::logs::REMEMBERED_MAX;
use crate::protocol::raft::Command;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;

/// Something that happened at one server.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When.
    pub at: Time,
    /// Where.
    pub who: ProcessId,
    /// What.
    pub fact: Fact,
}

/// What happened, as far as the laws are concerned.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The process came back after a crash; what was volatile is gone.
    Restarted,
    /// The process is gone.
    Stopped,
    /// The server is now this.
    Became(State, Term),
    /// A term became durable.
    Term(Term),
    /// A vote became durable.
    Voted {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: ProcessId,
    },
    /// An entry became durable.
    Appended {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// Hash of its content alone.
        digest: u64,
    },
    /// The log was cut from here on.
    Truncated(Index),
    /// The server considers this index committed.
    Committed(Index),
    /// A committed entry reached the state machine, or was passed because consensus made it for itself.
    Applied {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// The server's hash of its log up to it.
        hash: u64,
    },
    /// The state machine was replaced by an image.
    Restored {
        /// The last entry it contains.
        index: Index,
        /// Its term.
        term: Term,
        /// The hash of the log up to it.
        hash: u64,
    },
    /// The configuration in use at this server changed.
    Configured(Arc<Configuration>),
}

impl Fact {
    /// What an event of a server tells; `None` if the laws do not care.
    pub fn of<E: Command>(event: &Event<E>) -> Option<Self> {
        match event {
            Event::StateChanged { state, term } => Some(Self::Became(*state, *term)),
            Event::TermChanged { term } => Some(Self::Term(*term)),
            Event::VoteGranted { term, candidate } => Some(Self::Voted { term: *term, candidate: *candidate }),
            Event::Appended { index, term, digest, .. } => {
                Some(Self::Appended { index: *index, term: *term, digest: *digest })
            }
            Event::Truncated { from } => Some(Self::Truncated(*from)),
            Event::Committed { index } => Some(Self::Committed(*index)),
            Event::Apply { index, term, hash, .. } | Event::Passed { index, term, hash, .. } => {
                Some(Self::Applied { index: *index, term: *term, hash: *hash })
            }
            Event::Restore { snapshot } => {
                Some(Self::Restored { index: snapshot.index, term: snapshot.term, hash: snapshot.hash })
            }
            Event::ConfigurationChanged { configuration } => Some(Self::Configured(Arc::clone(configuration))),
            Event::LeaderChanged { .. }
            | Event::LeadershipGained { .. }
            | Event::LeadershipLost { .. }
            | Event::Verified { .. }
            | Event::TransferFailed
            | Event::SnapshotDue
            | Event::SnapshotStored { .. } => None,
        }
    }
}

/// A law that is checked while the run goes on.
pub trait Law {
    /// Its name in reports: `raft.election_safety`.
    fn name(&self) -> &'static str;
    /// Takes note of what happened.
    fn see(&mut self, seen: &Observation);
    /// What it has found so far.
    fn tally(&self) -> &Tally;
}

/// All laws of one group of servers.
#[derive(Debug, Clone)]
pub struct Laws {
    /// At most one leader per term.
    pub election_safety: ElectionSafety,
    /// A leader only adds to its log.
    pub leader_append_only: LeaderAppendOnly,
    /// Entries with equal index and term have equal histories.
    pub log_matching: LogMatching,
    /// A new leader has everything that was committed before.
    pub leader_completeness: LeaderCompleteness,
    /// All apply the same, in order, without gaps.
    pub state_machine_safety: StateMachineSafety,
    /// What is committed is on a quorum, and stays committed.
    pub commit_safety: CommitSafety,
    /// Terms grow, and one vote per term.
    pub vote_safety: VoteSafety,
}

impl Laws {
    /// The laws for a group founded with this configuration.
    pub fn new(founding: &Configuration) -> Self {
        Self {
            election_safety: ElectionSafety::default(),
            leader_append_only: LeaderAppendOnly::default(),
            log_matching: LogMatching::default(),
            leader_completeness: LeaderCompleteness::default(),
            state_machine_safety: StateMachineSafety::default(),
            commit_safety: CommitSafety::new(founding),
            vote_safety: VoteSafety::default(),
        }
    }

    /// Shows an observation to each law.
    pub fn see(&mut self, seen: &Observation) {
        self.election_safety.see(seen);
        self.leader_append_only.see(seen);
        self.log_matching.see(seen);
        self.leader_completeness.see(seen);
        self.state_machine_safety.see(seen);
        self.commit_safety.see(seen);
        self.vote_safety.see(seen);
    }

    /// Each law, in the order of the paper.
    pub fn each(&self) -> [&dyn Law; 7] {
        [
            &self.election_safety,
            &self.leader_append_only,
            &self.log_matching,
            &self.leader_completeness,
            &self.state_machine_safety,
            &self.commit_safety,
            &self.vote_safety,
        ]
    }
}

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

/// Leader append-only (Raft §5.3): a leader neither overwrites nor removes entries of its log.
#[derive(Debug, Clone, Default)]
pub struct LeaderAppendOnly {
    leading: OrdMap<ProcessId, Term>,
    last: OrdMap<ProcessId, Index>,
    tally: Tally,
}

impl Law for LeaderAppendOnly {
    fn name(&self) -> &'static str {
        "raft.leader_append_only"
    }

    fn see(&mut self, seen: &Observation) {
        let leads = self.leading.get(&seen.who).copied();
        match seen.fact {
            Fact::Became(State::Leader, term) => {
                self.leading.insert(seen.who, term);
            }
            Fact::Became(State::Follower | State::Candidate, _) | Fact::Restarted | Fact::Stopped => {
                self.leading.remove(&seen.who);
            }
            Fact::Appended { index, .. } => {
                let last = self.last.insert(seen.who, index).unwrap_or_default();
                if let Some(term) = leads {
                    self.tally.check(seen.at, index == last.next(), || {
                        format!("{}, leader of term {term}, wrote entry {index} after entry {last}", seen.who)
                    });
                }
            }
            Fact::Truncated(from) => {
                self.last.insert(seen.who, from.previous());
                if let Some(term) = leads {
                    let text = || format!("{}, leader of term {term}, cut its log at {from}", seen.who);
                    self.tally.check(seen.at, false, text);
                }
            }
            Fact::Restored { index, .. } => {
                let last = self.last.entry(seen.who).or_default();
                *last = index.max(*last);
            }
            Fact::Term(_) | Fact::Voted { .. } | Fact::Committed(_) | Fact::Applied { .. } | Fact::Configured(_) => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Log matching (Raft §5.3): entries with the same index and term have the same content and the same history.
#[derive(Debug, Clone, Default)]
pub struct LogMatching {
    logs: Logs,
    known: OrdMap<(Index, Term), u64>,
    tally: Tally,
}

impl Law for LogMatching {
    fn name(&self) -> &'static str {
        "raft.log_matching"
    }

    fn see(&mut self, seen: &Observation) {
        self.logs.see(seen);
        let Fact::Appended { index, term, .. } = seen.fact else { return };
        let Some((_, Some(hash))) = self.logs.at(seen.who, index) else { return };
        let known = *self.known.entry((index, term)).or_insert(hash);
        self.tally.check(seen.at, known == hash, || {
            format!("entry {index} of term {term} at {} differs from another server's, or its history does", seen.who)
        });
        if self.known.len() > REMEMBERED_MAX {
            self.known.pop_first();
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Leader completeness (Raft §5.4): what was committed in earlier terms is in the log of every later leader.
#[derive(Debug, Clone, Default)]
pub struct LeaderCompleteness {
    logs: Logs,
    terms: OrdMap<ProcessId, Term>,
    /// Per term: the highest entry committed while its leader led, with its term and the hash of its history.
    committed: OrdMap<Term, (Index, Term, Option<u64>)>,
    highest: Index,
    tally: Tally,
}

impl Law for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "raft.leader_completeness"
    }

    fn see(&mut self, seen: &Observation) {
        self.logs.see(seen);
        match seen.fact {
            Fact::Term(term) => {
                self.terms.insert(seen.who, term);
            }
            Fact::Committed(index) => {
                let Some((term, hash)) = self.logs.at(seen.who, index) else { return };
                if index > self.highest {
                    self.highest = index;
                    let in_term = self.terms.get(&seen.who).copied().unwrap_or_default();
                    self.committed.insert(in_term, (index, term, hash));
                }
            }
            Fact::Became(State::Leader, term) => {
                let Some((_, (index, of, hash))) = self.committed.range(..term).max_by_key(|(_, entry)| entry.0) else {
                    return;
                };
                let own = self.logs.at(seen.who, *index);
                let same = own.is_some_and(|(own_term, own_hash)| {
                    own_term == *of && (own_hash == *hash || own_hash.is_none() || hash.is_none())
                });
                self.tally.check(seen.at, same, || {
                    format!("{}, leader of term {term}, lacks committed entry {index} of term {of}", seen.who)
                });
            }
            Fact::Restarted
            | Fact::Stopped
            | Fact::Became(State::Follower | State::Candidate, _)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Applied { .. }
            | Fact::Restored { .. }
            | Fact::Configured(_) => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// State-machine safety (Raft §5.4.3): at one index all servers apply the same, and each applies every index in order.
#[derive(Debug, Clone, Default)]
pub struct StateMachineSafety {
    known: OrdMap<Index, (Term, u64)>,
    applied: OrdMap<ProcessId, Index>,
    tally: Tally,
}

impl Law for StateMachineSafety {
    fn name(&self) -> &'static str {
        "raft.state_machine_safety"
    }

    fn see(&mut self, seen: &Observation) {
        match seen.fact {
            Fact::Restarted => {
                self.applied.remove(&seen.who);
            }
            Fact::Applied { index, term, hash } => {
                let before = self.applied.insert(seen.who, index).unwrap_or_default();
                self.tally.check(seen.at, index == before.next(), || {
                    format!("{} applied entry {index} after entry {before}", seen.who)
                });
                self.compare(seen, index, term, hash);
            }
            Fact::Restored { index, term, hash } => {
                self.applied.insert(seen.who, index);
                self.compare(seen, index, term, hash);
            }
            Fact::Stopped
            | Fact::Became(..)
            | Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Committed(_)
            | Fact::Configured(_) => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl StateMachineSafety {
    /// An index older than all that are remembered is not compared.
    fn compare(&mut self, seen: &Observation, index: Index, term: Term, hash: u64) {
        let forgotten = self.known.first_key_value().is_some_and(|(first, _)| index < *first);
        if forgotten && self.known.len() >= REMEMBERED_MAX {
            return;
        }
        let known = *self.known.entry(index).or_insert((term, hash));
        self.tally.check(seen.at, known == (term, hash), || {
            format!("{} applied another entry at {index} than another server did", seen.who)
        });
        if self.known.len() > REMEMBERED_MAX {
            self.known.pop_first();
        }
    }
}

/// The commit index never goes back, never passes the end of the log, and only covers what a quorum has stored.
#[derive(Debug, Clone)]
pub struct CommitSafety {
    logs: Logs,
    commit: OrdMap<ProcessId, Index>,
    configurations: OrdMap<ProcessId, Arc<Configuration>>,
    founding: Arc<Configuration>,
    highest: Index,
    tally: Tally,
}

impl CommitSafety {
    /// For a group founded with this configuration.
    pub fn new(founding: &Configuration) -> Self {
        Self {
            logs: Logs::default(),
            commit: OrdMap::new(),
            configurations: OrdMap::new(),
            founding: Arc::new(founding.clone()),
            highest: Index::ZERO,
            tally: Tally::default(),
        }
    }

    fn committed(&mut self, seen: &Observation, index: Index) {
        let who = seen.who;
        let before = self.commit.insert(who, index).unwrap_or_default();
        self.tally.check(seen.at, index >= before, || format!("{who} moved its commit index from {before} to {index}"));
        let last = self.logs.last(who);
        self.tally.check(seen.at, index.0 <= last, || format!("{who} committed {index}, its log ends at {last}"));
        if index <= self.highest {
            return;
        }
        self.highest = index;
        let configuration = self.configurations.get(&who).unwrap_or(&self.founding);
        let own = self.logs.at(who, index);
        let stored = configuration.voters().filter(|voter| own.is_some() && self.logs.at(*voter, index) == own).count();
        let voters = configuration.voters().count();
        self.tally.check(seen.at, 2 * stored > voters, || {
            format!("{who} committed entry {index}, which {stored} of {voters} voters have stored")
        });
    }
}

impl Law for CommitSafety {
    fn name(&self) -> &'static str {
        "raft.commit_safety"
    }

    fn see(&mut self, seen: &Observation) {
        self.logs.see(seen);
        match &seen.fact {
            Fact::Restarted => {
                self.commit.remove(&seen.who);
            }
            Fact::Committed(index) => self.committed(seen, *index),
            Fact::Restored { index, .. } => {
                let commit = self.commit.entry(seen.who).or_default();
                *commit = (*commit).max(*index);
            }
            Fact::Configured(configuration) => {
                self.configurations.insert(seen.who, Arc::clone(configuration));
            }
            Fact::Stopped
            | Fact::Became(..)
            | Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
            | Fact::Applied { .. } => {}
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
            | Fact::Configured(_) => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Liveness: once faults have ended and a majority is connected, somebody leads within a bound, and what a leader
/// elected
/// since then writes first is committed within another.
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
            | Fact::Configured(_) => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);
    const C: ProcessId = ProcessId(3);

    fn appended(index: u64, term: u64, digest: u64) -> Fact {
        Fact::Appended { index: Index(index), term: Term(term), digest }
    }

    fn applied(index: u64, hash: u64) -> Fact {
        Fact::Applied { index: Index(index), term: Term(1), hash }
    }

    fn leads(term: u64) -> Fact {
        Fact::Became(State::Leader, Term(term))
    }

    /// Shows the story, one millisecond apart, and expects the law to hold until its last line, which breaks it.
    fn breaks(mut law: impl Law, story: Vec<(ProcessId, Fact)>) {
        let count = story.len();
        for (step, (who, fact)) in story.into_iter().enumerate() {
            assert_eq!(law.tally().violations, 0, "{} broke before step {step}", law.name());
            law.see(&Observation { at: Time::from_nanos(step as u64 * 1_000_000), who, fact });
        }
        assert_eq!(law.tally().violations, 1, "{} must notice step {count}", law.name());
        assert!(law.tally().first.is_some());
    }

    #[test]
    fn two_leaders_in_a_term_are_noticed() {
        breaks(ElectionSafety::default(), vec![(A, leads(1)), (B, leads(2)), (A, leads(1)), (B, leads(1))]);
    }

    #[test]
    fn a_leader_that_cuts_or_overwrites_is_noticed() {
        let cut = || Fact::Truncated(Index(1));
        let start = vec![(A, appended(1, 1, 0)), (A, cut()), (A, leads(2)), (A, appended(1, 2, 0))];
        breaks(LeaderAppendOnly::default(), [start.clone(), vec![(A, cut())]].concat());
        breaks(LeaderAppendOnly::default(), [start, vec![(A, appended(1, 2, 1))]].concat());
    }

    #[test]
    fn a_differing_entry_or_history_is_noticed() {
        breaks(LogMatching::default(), vec![(A, appended(1, 1, 7)), (B, appended(1, 1, 8))]);
        let history =
            vec![(A, appended(1, 1, 7)), (A, appended(2, 3, 9)), (B, appended(1, 2, 7)), (B, appended(2, 3, 9))];
        breaks(LogMatching::default(), history);
    }

    #[test]
    fn a_leader_without_a_committed_entry_is_noticed() {
        let story = vec![
            (A, Fact::Term(Term(1))),
            (A, appended(1, 1, 7)),
            (B, appended(1, 1, 7)),
            (A, Fact::Committed(Index(1))),
            (B, leads(2)),
            (C, leads(1)),
            (C, leads(3)),
        ];
        breaks(LeaderCompleteness::default(), story);
    }

    #[test]
    fn applying_something_else_or_leaving_a_gap_is_noticed() {
        breaks(StateMachineSafety::default(), vec![(A, applied(1, 5)), (B, applied(1, 6))]);
        breaks(StateMachineSafety::default(), vec![(A, applied(1, 5)), (A, applied(3, 6))]);
        breaks(
            StateMachineSafety::default(),
            vec![(A, applied(1, 5)), (A, Fact::Restarted), (A, applied(1, 5)), (A, applied(1, 5))],
        );
    }

    #[test]
    fn a_commit_without_a_quorum_or_backwards_is_noticed() {
        let law = || CommitSafety::new(&Configuration::of_voters(&[A, B, C]));
        let commit = |index| Fact::Committed(Index(index));
        breaks(law(), vec![(A, appended(1, 1, 7)), (C, appended(1, 2, 7)), (A, commit(1))]);
        let fine = vec![(A, appended(1, 1, 7)), (A, appended(2, 1, 7)), (B, appended(1, 1, 7)), (B, appended(2, 1, 7))];
        breaks(law(), [fine.clone(), vec![(A, commit(2)), (A, commit(1))]].concat());
        breaks(law(), [fine, vec![(A, commit(2)), (C, commit(2))]].concat());
    }

    #[test]
    fn a_second_vote_or_a_term_that_falls_is_noticed() {
        let vote = |term, candidate| Fact::Voted { term: Term(term), candidate };
        breaks(VoteSafety::default(), vec![(A, vote(1, B)), (A, vote(1, B)), (A, Fact::Restarted), (A, vote(1, C))]);
        breaks(VoteSafety::default(), vec![(A, Fact::Term(Term(3))), (A, Fact::Restarted), (A, Fact::Term(Term(2)))]);
    }

    #[test]
    fn missing_leaders_and_commits_are_noticed() {
        let ms = Duration::from_millis;
        let mut law = Liveness::new(ms(3), ms(2));
        law.faults_ended(Time::ZERO);
        let quiet = |term| (A, Fact::Term(Term(term)));
        breaks(law.clone(), vec![quiet(1), quiet(2), quiet(3), quiet(4), quiet(5)]);
        let led = vec![quiet(1), (A, leads(1)), (A, Fact::Committed(Index(1))), (B, leads(2)), quiet(2), quiet(3)];
        breaks(law.clone(), [led, vec![quiet(4)]].concat());
        law.fault_began();
        law.look(Time::NEVER);
        assert_eq!(law.tally().violations, 0);
    }
}
