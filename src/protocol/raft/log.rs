//! The log: what is durable on one server, from the last compacted entry on.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::raft::Command;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Index;
use crate::protocol::raft::Internal;
use crate::protocol::raft::Term;

/// What an entry carries.
#[derive(Debug, Clone)]
pub enum Payload<E> {
    /// The first entry of a leader.
    Noop,
    /// Everything before it has been applied when it is passed.
    Barrier,
    /// The configuration in use from here on.
    Configuration(Arc<Configuration>),
    /// A command for the state machine.
    Command(Arc<E>),
}

/// One entry, without its place.
#[derive(Debug, Clone)]
pub struct Entry<E> {
    /// The term in which a leader created it.
    pub term: Term,
    /// Hash of the payload, computed once where the entry is created.
    pub digest: u64,
    /// What it carries.
    pub payload: Payload<E>,
}

impl<E: Command> Entry<E> {
    /// An entry of `term`.
    pub fn new(term: Term, payload: Payload<E>) -> Self {
        let digest = match &payload {
            Payload::Noop => 1,
            Payload::Barrier => 2,
            Payload::Configuration(configuration) => configuration.fingerprint(),
            Payload::Command(command) => command.fingerprint(),
        };
        Self { term, digest, payload }
    }

    /// Size in the log and on the wire, in bytes: the payload and 24 for index, term and type.
    pub fn bytes(&self) -> u32 {
        24 + match &self.payload {
            Payload::Noop | Payload::Barrier => 0,
            Payload::Configuration(configuration) => 40 * configuration.len() as u32,
            Payload::Command(command) => command.bytes(),
        }
    }

    /// Which of its own entries consensus sees here; `None` for a command.
    pub fn internal(&self) -> Option<Internal> {
        match self.payload {
            Payload::Noop => Some(Internal::Noop),
            Payload::Barrier => Some(Internal::Barrier),
            Payload::Configuration(_) => Some(Internal::Configuration),
            Payload::Command(_) => None,
        }
    }
}

/// Mixes two words; one multiplication, so that it can be used for every entry and message.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xE703_7ED1_A0B4_28DB);
    (product as u64) ^ ((product >> 64) as u64) ^ a.rotate_left(23)
}

/// The entries after `base`, the last entry that was compacted away (or the point before the first one).
///
/// Each entry is stored with the hash of the log up to it, so that two logs are equal up to an index exactly if the
/// hashes there are.
#[derive(Debug, Clone)]
pub(super) struct Log<E> {
    base: Index,
    base_term: Term,
    base_hash: u64,
    entries: VecDeque<(Entry<E>, u64)>,
}

impl<E> Default for Log<E> {
    fn default() -> Self {
        Self { base: Index::ZERO, base_term: Term::default(), base_hash: 0, entries: VecDeque::new() }
    }
}

impl<E: Command> Log<E> {
    /// The last index, compacted or not.
    pub(super) fn last(&self) -> Index {
        self.base.plus(self.entries.len() as u64)
    }

    /// The term of the last entry.
    pub(super) fn last_term(&self) -> Term {
        self.entries.back().map_or(self.base_term, |(entry, _)| entry.term)
    }

    /// The last entry that is no longer there.
    pub(super) fn base(&self) -> Index {
        self.base
    }

    /// The entry and the hash of the log up to it, if it is still there.
    pub(super) fn get(&self, index: Index) -> Option<&(Entry<E>, u64)> {
        let offset = index.0.checked_sub(self.base.0 + 1)?;
        self.entries.get(offset as usize)
    }

    /// The term of the entry, if it is there or the last compacted one.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base { Some(self.base_term) } else { self.get(index).map(|(entry, _)| entry.term) }
    }

    /// The hash of the log up to `index`, if the entry is there or the last compacted one.
    pub(super) fn hash_at(&self, index: Index) -> Option<u64> {
        if index == self.base { Some(self.base_hash) } else { self.get(index).map(|(_, hash)| *hash) }
    }

    /// Adds an entry and returns the hash of the log up to it.
    pub(super) fn push(&mut self, entry: Entry<E>) -> u64 {
        let before = self.entries.back().map_or(self.base_hash, |(_, hash)| *hash);
        let hash = mix(before, mix(entry.term.0, entry.digest));
        self.entries.push_back((entry, hash));
        hash
    }

    /// Removes `from` and everything after it.
    pub(super) fn truncate(&mut self, from: Index) {
        assert!(from > self.base, "committed entries are never removed from the tail");
        self.entries.truncate((from.0 - self.base.0 - 1) as usize);
    }

    /// A copy of the entries `from..=to`, both of which must be there.
    pub(super) fn slice(&self, from: Index, to: Index) -> Arc<[Entry<E>]> {
        let start = (from.0 - self.base.0 - 1) as usize;
        let end = (to.0 - self.base.0) as usize;
        self.entries.range(start..end).map(|(entry, _)| entry.clone()).collect()
    }

    /// Forgets everything up to and including `upto`.
    pub(super) fn compact(&mut self, upto: Index) {
        let Some((term, hash)) = self.get(upto).map(|(entry, hash)| (entry.term, *hash)) else { return };
        self.entries.drain(..(upto.0 - self.base.0) as usize);
        (self.base, self.base_term, self.base_hash) = (upto, term, hash);
    }

    /// Replaces the log by one that starts after an image of the state.
    pub(super) fn reset(&mut self, index: Index, term: Term, hash: u64) {
        self.entries.clear();
        (self.base, self.base_term, self.base_hash) = (index, term, hash);
    }

    /// The configurations in the log after `after`, first to last, with their indexes.
    pub(super) fn configurations(&self, after: Index) -> Vec<(Index, Arc<Configuration>)> {
        let places = (self.base.0 + 1..).map(Index).zip(&self.entries).filter(|(index, _)| *index > after);
        let found = places.filter_map(|(index, (entry, _))| match &entry.payload {
            Payload::Configuration(found) => Some((index, Arc::clone(found))),
            Payload::Noop | Payload::Barrier | Payload::Command(_) => None,
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::raft::testing::Word;

    fn log(terms: &[u64]) -> Log<Word> {
        let mut log = Log::default();
        for term in terms {
            log.push(Entry::new(Term(*term), Payload::Noop));
        }
        log
    }

    #[test]
    fn equal_hashes_mean_equal_prefixes() {
        let (a, b) = (log(&[1, 1, 2]), log(&[1, 1, 3]));
        assert_eq!(a.hash_at(Index(2)), b.hash_at(Index(2)));
        assert_ne!(a.hash_at(Index(3)), b.hash_at(Index(3)));
    }

    #[test]
    fn compaction_keeps_the_term_and_hash_of_the_last_forgotten_entry() {
        let mut a = log(&[1, 1, 2, 3]);
        let hash = a.hash_at(Index(3));
        a.compact(Index(3));
        assert_eq!(
            (a.base(), a.last(), a.term_at(Index(3)), a.hash_at(Index(3))),
            (Index(3), Index(4), Some(Term(2)), hash)
        );
        assert_eq!(a.term_at(Index(2)), None);
        assert_eq!(a.slice(Index(4), Index(4)).len(), 1);
        a.truncate(Index(4));
        assert_eq!((a.last(), a.last_term()), (Index(3), Term(2)));
    }
}
