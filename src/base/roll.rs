//! A sorted list that mostly grows at its end, and whose clones share all but its newest items.
//!
//! Most of it stands in one part that clones share; the newest items stand apart until there are [`NEWEST`] of them.
//! So a clone costs the same however long the list is, and what a new item costs grows slowly: every [`NEWEST`]th of
//! them copies the shared part, if it is shared. Whoever compares two versions need not look at a part they share.

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::sorted::search_back;

/// A sorted list without repeats; see the module's doc. The order is that of the callers' comparisons.
#[derive(Debug, Clone)]
pub struct Roll<T> {
    older: Option<Arc<Vec<T>>>,
    /// All greater than the older ones.
    newer: SmallVec<[T; NEWEST]>,
}

/// Items that stand apart, at most.
const NEWEST: usize = 8;

impl<T> Roll<T> {
    /// An empty list.
    pub fn new() -> Self {
        Self { older: None, newer: SmallVec::new() }
    }

    /// The part that clones share.
    pub fn older(&self) -> &[T] {
        self.older.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The newest items, greater than those before.
    pub fn newer(&self) -> &[T] {
        &self.newer
    }

    /// Whether the other's older part is this one's, without looking at the items. False may still mean equal content.
    pub fn shares_older(&self, other: &Self) -> bool {
        match (&self.older, &other.older) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.older().len() + self.newer.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.newer.is_empty() && self.older().is_empty()
    }

    /// The items, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.older().iter().chain(&self.newer)
    }

    /// Where an item is, or would be; the faster the nearer to the end.
    pub fn search(&self, order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        let older = self.older();
        match search_back(&self.newer, &order) {
            Err(0) => search_back(older, order),
            Ok(at) => Ok(older.len() + at),
            Err(at) => Err(older.len() + at),
        }
    }
}

impl<T: Clone> Roll<T> {
    /// Puts an item in where [`Self::search`] says it would be.
    pub fn insert(&mut self, at: usize, item: T) {
        let older = self.older().len();
        if at >= older && self.newer.len() < NEWEST {
            self.newer.insert(at - older, item);
            return;
        }
        let newer = std::mem::take(&mut self.newer);
        let list = self.older.get_or_insert_default();
        match Arc::get_mut(list) {
            Some(list) => list.extend(newer),
            None => *list = Arc::new(list.iter().cloned().chain(newer).collect()),
        }
        if at == self.older().len() {
            self.newer.push(item);
        } else {
            self.older_mut().insert(at, item);
        }
    }

    /// Takes an item out.
    pub fn remove(&mut self, at: usize) {
        match at.checked_sub(self.older().len()) {
            Some(at) => self.newer.remove(at),
            None => self.older_mut().remove(at),
        };
    }

    /// An item, to change it without changing its place.
    pub fn get_mut(&mut self, at: usize) -> &mut T {
        match at.checked_sub(self.older().len()) {
            Some(at) => &mut self.newer[at],
            None => &mut self.older_mut()[at],
        }
    }

    fn older_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(self.older.get_or_insert_default())
    }
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: PartialEq> PartialEq for Roll<T> {
    fn eq(&self, other: &Self) -> bool {
        if self.shares_older(other) { self.newer == other.newer } else { self.iter().eq(other.iter()) }
    }
}

impl<T: Eq> Eq for Roll<T> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn it_behaves_like_a_sorted_set_and_old_versions_stay() {
        let mut rng = Rng::stream(7, "roll");
        let (mut roll, mut set) = (Roll::<u64>::new(), BTreeSet::new());
        let mut kept: Vec<(Roll<u64>, BTreeSet<u64>)> = Vec::new();
        for step in 0..4_000_u64 {
            let item = if rng.chance(0.3) { rng.below(step + 1) } else { step };
            match (roll.search(|known| known.cmp(&item)), rng.chance(0.3)) {
                (Ok(at), true) => {
                    assert_eq!(*roll.get_mut(at), item);
                    roll.remove(at);
                    assert!(set.remove(&item));
                }
                (Err(at), false) => {
                    roll.insert(at, item);
                    assert!(set.insert(item));
                }
                (Ok(_), false) => assert!(set.contains(&item)),
                (Err(_), true) => assert!(!set.contains(&item)),
            }
            assert_eq!((roll.len(), roll.is_empty()), (set.len(), set.is_empty()));
            if step % 50 == 0 {
                kept.push((roll.clone(), set.clone()));
            }
        }
        assert!(kept.iter().all(|(roll, set)| roll.iter().eq(set)));
        let built = kept.last().map(|(_, set)| {
            let mut built = Roll::new();
            set.iter().enumerate().for_each(|(at, item)| built.insert(at, *item));
            built
        });
        assert_eq!(built, kept.pop().map(|(roll, _)| roll));
        assert_ne!(built, kept.pop().map(|(roll, _)| roll));
    }

    #[test]
    fn a_new_item_leaves_the_older_ones_shared() {
        let mut roll = Roll::new();
        (0..100).for_each(|item| roll.insert(item, item));
        let before = roll.clone();
        roll.insert(100, 100);
        assert!(before.shares_older(&roll) && roll.older() == &(0..96).collect::<Vec<_>>()[..]);
        assert_eq!((before.newer(), roll.newer()), (&[96, 97, 98, 99][..], &[96, 97, 98, 99, 100][..]));
        *roll.get_mut(0) = 0;
        assert!(!before.shares_older(&roll) && before != roll);
    }
}
