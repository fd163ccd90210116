//! The laws of logs: what is in them, what is committed, what is applied.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::measure::invariant::Tally;
use crate::measure::invariant::raft::Fact;
use crate::measure::invariant::raft::Law;
use crate::measure::invariant::raft::Observation;
use crate::measure::invariant::raft::logs::Logs;
use crate::measure::invariant::raft::logs::REMEMBERED_MAX;
use crate::measure::invariant::raft::voters;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Index;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;

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
            Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Committed(_)
            | Fact::Applied { .. }
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

/// The commit index never goes back, never passes the end of the log, and only covers what a quorum has stored; nothing
/// beyond it is applied.
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
        let has_stored = |voter: &ProcessId| own.is_some() && self.logs.at(*voter, index) == own;
        let stored = voters(configuration).filter(has_stored).count();
        let voters = voters(configuration).count();
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
            Fact::Applied { index, .. } => {
                let commit = self.commit.get(&seen.who).copied().unwrap_or_default();
                self.tally.check(seen.at, *index <= commit, || {
                    format!("{} applied entry {index}, it had committed up to {commit}", seen.who)
                });
            }
            Fact::Configured { configuration, .. } => {
                self.configurations.insert(seen.who, Arc::clone(configuration));
            }
            Fact::Stopped
            | Fact::Became(..)
            | Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Appended { .. }
            | Fact::Truncated(_)
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
