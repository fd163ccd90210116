//! The durable logs of a group of servers, kept from what they tell.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::measure::invariant::raft::Fact;
use crate::measure::invariant::raft::Observation;
use crate::protocol::raft::Index;
use crate::protocol::raft::Term;

/// The durable logs of all servers, as told.
#[derive(Debug, Clone, Default)]
pub(super) struct Logs(OrdMap<ProcessId, History>);

/// One server's log: term and hash of the history up to each entry after `base`. A history that begins with an image
/// nobody else remembers is unknown, and is not compared.
#[derive(Debug, Clone, Default)]
struct History {
    base: u64,
    base_entry: (Term, Option<u64>),
    entries: VecDeque<(Term, Option<u64>)>,
}

impl History {
    fn last(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    fn at(&self, index: Index) -> Option<(Term, Option<u64>)> {
        if index.0 == self.base {
            return Some(self.base_entry);
        }
        self.entries.get(index.0.checked_sub(self.base + 1)? as usize).copied()
    }
}

impl Logs {
    pub(super) fn see(&mut self, seen: &Observation) {
        match &seen.fact {
            Fact::Appended { index, term, digest } => self.append(seen.who, *index, *term, *digest),
            Fact::Truncated(from) => {
                let log = self.0.entry(seen.who).or_default();
                log.entries.truncate(from.0.saturating_sub(log.base + 1) as usize);
            }
            Fact::Restored { index, term, .. } => self.restore(seen.who, *index, *term),
            Fact::Restarted
            | Fact::Stopped
            | Fact::Became(..)
            | Fact::Term(_)
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

    fn append(&mut self, who: ProcessId, index: Index, term: Term, digest: u64) {
        let log = self.0.entry(who).or_default();
        if log.base == 0 && log.entries.is_empty() {
            log.base_entry = (Term(0), Some(0));
        }
        log.entries.truncate(index.0.saturating_sub(log.base + 1) as usize);
        let before = log.entries.back().map_or(log.base_entry.1, |entry| entry.1);
        let hash = before.map(|before| {
            let mut words = [0; 24];
            words[..8].copy_from_slice(&before.to_le_bytes());
            words[8..16].copy_from_slice(&term.0.to_le_bytes());
            words[16..].copy_from_slice(&digest.to_le_bytes());
            xxh3_64(&words)
        });
        log.entries.push_back((term, hash));
        if log.entries.len() > REMEMBERED_MAX {
            let dropped = REMEMBERED_MAX / 2;
            log.base_entry = log.entries[dropped - 1];
            log.base += dropped as u64;
            log.entries.drain(..dropped);
        }
    }

    /// An image that is part of the log already changes nothing; another one replaces the log.
    fn restore(&mut self, who: ProcessId, index: Index, term: Term) {
        if self.at(who, index).is_some_and(|(own, _)| own == term) {
            return;
        }
        let known = self.0.values().filter_map(|log| log.at(index)).find(|entry| entry.0 == term);
        let base_entry = known.unwrap_or((term, None));
        self.0.insert(who, History { base: index.0, base_entry, entries: VecDeque::new() });
    }

    pub(super) fn at(&self, who: ProcessId, index: Index) -> Option<(Term, Option<u64>)> {
        self.0.get(&who)?.at(index)
    }

    pub(super) fn last(&self, who: ProcessId) -> u64 {
        self.0.get(&who).map_or(0, History::last)
    }
}

/// Entries remembered per server.
pub(super) const REMEMBERED_MAX: usize = 65_536;
