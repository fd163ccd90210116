//! The member table: who is known, in which state, at which incarnation.
//!
//! A pool has a directory of everybody who may ever be in it, so a table is dense, and its unchanged parts are shared
//! between the agents of a pool: an agent of an established pool of 1 000 costs a few hundred pointers, not 1 000
//! entries.

use std::fmt;
use std::sync::Arc;

use crate::base::id::Id;
use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::Time;

crate::id!(
    /// A member of a pool: a node name. Its address may change when the name is reclaimed.
    Member,
    "m"
);

/// Everybody who may ever be in a pool.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    names: Vec<Box<str>>,
    homes: Vec<ProcessId>,
    by_address: Vec<(ProcessId, Member)>,
}

/// A directory cannot be made, or does not have somebody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// One address, two entries.
    #[error("address `{0}` is listed twice in a gossip pool")]
    Twice(ProcessId),
    /// An agent was made for an address that is not listed.
    #[error("address `{0}` is not in the directory of its gossip pool")]
    Unlisted(ProcessId),
}

impl Directory {
    /// Lists addresses with node names. Addresses that share a name are one member (a machine and its replacement).
    pub fn new(entries: impl IntoIterator<Item = (ProcessId, String)>) -> Result<Self, DirectoryError> {
        let mut sorted: Vec<_> = entries.into_iter().collect();
        sorted.sort();
        let mut directory = Self::default();
        let mut known = OrdMap::new();
        for (address, name) in sorted {
            if directory.by_address.last().is_some_and(|&(last, _)| last == address) {
                return Err(DirectoryError::Twice(address));
            }
            let member = *known.entry(name.clone()).or_insert_with(|| {
                directory.names.push(name.into_boxed_str());
                directory.homes.push(address);
                Member::from_index(directory.names.len() - 1)
            });
            directory.by_address.push((address, member));
        }
        Ok(directory)
    }

    /// The member that has this address.
    pub fn member(&self, address: ProcessId) -> Option<Member> {
        let place = self.by_address.binary_search_by_key(&address, |&(listed, _)| listed).ok()?;
        Some(self.by_address[place].1)
    }

    /// The node name.
    pub fn name(&self, member: Member) -> &str {
        &self.names[member.index()]
    }

    /// The member's first address.
    pub fn home(&self, member: Member) -> ProcessId {
        self.homes[member.index()]
    }

    /// How many members there can be.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All members, in order.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<> {
        (0..self.names.len()).map(Member::from_index)
    }
}

/// What a member table says of a member (memberlist `NodeStateType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// Never heard of, or forgotten.
    #[default]
    Absent,
    /// Answers, as far as we know.
    Alive,
    /// Somebody got no answer; it may still refute.
    Suspect,
    /// Its suspicion ran out.
    Dead,
    /// It said goodbye.
    Left,
}

impl State {
    /// Whether the member is out of the pool (memberlist `DeadOrLeft`).
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Dead | Self::Left)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent",
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
        })
    }
}

/// A member's tags: which version of them, and how large they are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Meta {
    /// Counts the changes, from 0. What the tags say is the container's matter.
    pub version: u16,
    /// Size in bytes.
    pub bytes: u16,
}

/// One row of a member table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When `state` last changed.
    pub changed: Time,
    /// Where the member is reached.
    pub address: ProcessId,
    /// The member's own count of its lives and refutations, from 1.
    pub incarnation: u32,
    /// Its tags.
    pub meta: Meta,
    /// What is thought of it.
    pub state: State,
}

impl Default for Entry {
    fn default() -> Self {
        Self { changed: Time::ZERO, address: ProcessId(0), incarnation: 0, meta: Meta::default(), state: State::Absent }
    }
}

/// A dense table by member, in chunks that clones share until one of them writes.
#[derive(Debug, Clone)]
pub struct Table<T> {
    chunks: Vec<Arc<[T; CHUNK]>>,
}

impl<T: Copy + Default> Table<T> {
    /// A table of defaults for this many members.
    pub fn new(count: usize) -> Self {
        let blank = Arc::new([T::default(); CHUNK]);
        Self { chunks: vec![blank; count.div_ceil(CHUNK)] }
    }

    /// The row of a member. Panics if the member is not of this pool.
    pub fn get(&self, member: Member) -> &T {
        &self.chunks[member.index() / CHUNK][member.index() % CHUNK]
    }

    /// The row of a member, for writing.
    pub fn get_mut(&mut self, member: Member) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[member.index() / CHUNK])[member.index() % CHUNK]
    }
}

/// Rows that are copied together when one of them changes.
const CHUNK: usize = 32;

/// A pool before any of its agents runs: its directory, and who is in it from the start.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Everybody who may ever be in it.
    pub directory: Arc<Directory>,
    pub(super) initial: Arc<[Member]>,
    pub(super) table: Table<Entry>,
}

impl Pool {
    /// A pool nobody is in yet; its agents start alone and join each other.
    pub fn empty(directory: Arc<Directory>) -> Self {
        let table = Table::new(directory.len());
        Self { directory, initial: Arc::new([]), table }
    }

    /// A pool that has been up for a while: each of `initial` knows all the others as alive. `meta_bytes` is the size
    /// of a member's tags.
    pub fn established(
        directory: Arc<Directory>,
        initial: impl IntoIterator<Item = ProcessId>,
        meta_bytes: u16,
    ) -> Result<Self, DirectoryError> {
        let mut pool = Self::empty(directory);
        let mut members = Vec::new();
        for address in initial {
            let member = pool.directory.member(address).ok_or(DirectoryError::Unlisted(address))?;
            let entry = pool.table.get_mut(member);
            if entry.state == State::Alive {
                return Err(DirectoryError::Twice(address));
            }
            let meta = Meta { version: 0, bytes: meta_bytes };
            *entry = Entry { changed: Time::ZERO, address, incarnation: 1, meta, state: State::Alive };
            members.push(member);
        }
        pool.initial = members.into();
        Ok(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_share_a_name_are_one_member() {
        let entries = [(7, "b"), (3, "a"), (9, "a")].map(|(p, name)| (ProcessId(p), name.to_owned()));
        let directory = Directory::new(entries).unwrap();
        assert_eq!(directory.len(), 2);
        assert_eq!(directory.member(ProcessId(3)), directory.member(ProcessId(9)));
        assert_eq!(directory.name(directory.member(ProcessId(7)).unwrap()), "b");
        assert_eq!(directory.member(ProcessId(4)), None);
        let twice = [(3, "a"), (3, "b")].map(|(p, name)| (ProcessId(p), name.to_owned()));
        assert_eq!(Directory::new(twice).unwrap_err(), DirectoryError::Twice(ProcessId(3)));
    }

    #[test]
    fn tables_share_what_they_did_not_write() {
        assert!(size_of::<Entry>() <= 24);
        let base = Table::<Entry>::new(100);
        let mut mine = base.clone();
        mine.get_mut(Member(70)).incarnation = 5;
        assert_eq!(base.get(Member(70)).incarnation, 0);
        assert!(Arc::ptr_eq(&base.chunks[0], &mine.chunks[0]));
        assert!(!Arc::ptr_eq(&base.chunks[2], &mine.chunks[2]));
    }
}
