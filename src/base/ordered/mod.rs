//! Ordered maps and sets whose code is short: sorted leaves in a list.
//!
//! They answer as the standard library's trees do, which compile to ten times as much for every pair of types, and a
//! simulator has hundreds of pairs. A key is found by two binary searches; putting one in moves at most a leaf and,
//! once in half a leaf, the list of leaves, so that leaves are the longer the more of them there are. A few items are
//! one contiguous piece of memory, keys that come in ascending order fill their leaves, and the greatest are found
//! soonest. Where a million large items come in any order, sort them first.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::mem;
use std::ops::{Bound, Index, RangeBounds};

pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use set::OrdSet;
pub use walk::{IntoIter, Iter, IterMut, Keys, Values, ValuesMut};

mod entry;
mod set;
mod walk;

/// A map in the order of its keys.
///
/// No leaf is empty but the first one of an empty map, and keys ascend strictly within leaves and from leaf to leaf.
#[derive(Clone)]
pub struct OrdMap<K, V> {
    first: Vec<(K, V)>,
    rest: Vec<Vec<(K, V)>>,
    len: usize,
}

/// Where an item is, or would be: its leaf, and its place there.
type Place = (usize, usize);

impl<K, V> OrdMap<K, V> {
    /// Items of a leaf, at most, in a map of few leaves: so many that moving half of them takes no longer than finding
    /// them.
    const LEAF: usize = if size_of::<(K, V)>() > 64 { 16 } else { 64 };

    /// An empty map.
    pub const fn new() -> Self {
        Self { first: Vec::new(), rest: Vec::new(), len: 0 }
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes all items out.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn leaf(&self, leaf: usize) -> &Vec<(K, V)> {
        if leaf == 0 { &self.first } else { &self.rest[leaf - 1] }
    }

    fn leaf_mut(&mut self, leaf: usize) -> &mut Vec<(K, V)> {
        if leaf == 0 { &mut self.first } else { &mut self.rest[leaf - 1] }
    }

    /// The place of the last item of a map that is not empty.
    fn end(&self) -> Place {
        (self.rest.len(), self.leaf(self.rest.len()).len().saturating_sub(1))
    }

    /// Keys and values, ascending.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { front: self.first.iter(), leaves: self.rest.iter(), back: [].iter() }
    }

    /// Keys and values, ascending, to change the values.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut { front: self.first.iter_mut(), leaves: self.rest.iter_mut(), back: [].iter_mut() }
    }

    /// The keys, ascending.
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }

    /// The values in the order of their keys, to change them.
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V> {
        ValuesMut(self.iter_mut())
    }

    /// The keys, ascending, and no values.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.into_iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys, and no keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// The least key and its value.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.first.first().map(|(key, value)| (key, value))
    }

    /// The greatest key and its value.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.leaf(self.rest.len()).last().map(|(key, value)| (key, value))
    }

    /// Takes the least key and its value out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (self.len > 0).then(|| self.take((0, 0)))
    }

    /// Takes the greatest key and its value out.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        (self.len > 0).then(|| self.take(self.end()))
    }

    /// Takes out what does not satisfy `keep`, asked in ascending order.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.first.retain_mut(|(key, value)| keep(key, value));
        self.rest.retain_mut(|leaf| {
            leaf.retain_mut(|(key, value)| keep(key, value));
            !leaf.is_empty()
        });
        self.fill_first();
        self.len = self.first.len() + self.rest.iter().map(Vec::len).sum::<usize>();
    }

    fn fill_first(&mut self) {
        if self.first.is_empty() && !self.rest.is_empty() {
            self.first = self.rest.remove(0);
        }
    }

    fn take(&mut self, (leaf, at): Place) -> (K, V) {
        let items = self.leaf_mut(leaf);
        let item = items.remove(at);
        let left = items.len();
        self.len -= 1;
        if left == 0 && leaf > 0 {
            self.rest.remove(leaf - 1);
        } else if left < Self::LEAF / 4 && self.rest.get(leaf).is_some_and(|next| left + next.len() <= Self::LEAF / 2) {
            let next = self.rest.remove(leaf);
            self.leaf_mut(leaf).extend(next);
        }
        self.fill_first();
        item
    }

    /// Puts an item where it belongs; returns where it is then.
    fn put(&mut self, (mut leaf, mut at): Place, item: (K, V)) -> Place {
        self.len += 1;
        let full = self.leaf(leaf).len();
        // Moving the list of leaves, once in half a leaf, and moving half a leaf then cost about the same.
        if full >= Self::LEAF.max(self.rest.len() / 16) {
            // Nothing is left behind half empty by keys that ascend.
            let is_end = at == full && leaf == self.rest.len();
            let stay = if is_end { full } else { full / 2 };
            let moved = self.leaf_mut(leaf).split_off(stay);
            self.rest.insert(leaf, moved);
            if is_end || at > stay {
                (leaf, at) = (leaf + 1, at - stay);
            }
        }
        self.leaf_mut(leaf).insert(at, item);
        (leaf, at)
    }
}

impl<K: Ord, V> OrdMap<K, V> {
    /// The place of the first key that does not satisfy `is_before`, which all keys below some bound do.
    fn place(&self, is_before: impl Fn(&K) -> bool) -> Place {
        let leaf = match self.rest.last() {
            None => 0,
            Some(last) if is_before(&last[0].0) => self.rest.len(),
            Some(_) => self.rest.partition_point(|leaf| is_before(&leaf[0].0)),
        };
        (leaf, self.leaf(leaf).partition_point(|(key, _)| is_before(key)))
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        let leaf = match self.rest.last() {
            None => 0,
            Some(last) if last[0].0.borrow() <= key => self.rest.len(),
            Some(_) => self.rest.partition_point(|leaf| leaf[0].0.borrow() <= key),
        };
        let items = self.leaf(leaf);
        let at = items.partition_point(|(known, _)| known.borrow() < key);
        match items.get(at) {
            Some((known, _)) if known.borrow() == key => Ok((leaf, at)),
            _ => Err((leaf, at)),
        }
    }

    /// The value of this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (leaf, at) = self.find(key).ok()?;
        Some(&self.leaf(leaf)[at].1)
    }

    /// The value of this key, to change it.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (leaf, at) = self.find(key).ok()?;
        Some(&mut self.leaf_mut(leaf)[at].1)
    }

    /// The key that equals this one, and its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (leaf, at) = self.find(key).ok()?;
        let (key, value) = &self.leaf(leaf)[at];
        Some((key, value))
    }

    /// Whether the key has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((leaf, at)) => Some(mem::replace(&mut self.leaf_mut(leaf)[at].1, value)),
            Err(place) => {
                self.put(place, (key, value));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Takes a key and its value out.
    pub fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        Some(self.take(place))
    }

    /// The place of a key, filled or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        match self.find(&key) {
            Ok(place) => Entry::Occupied(OccupiedEntry { map: self, place }),
            Err(place) => Entry::Vacant(VacantEntry { map: self, place, key }),
        }
    }

    /// The place of the least key.
    pub fn first_entry(&mut self) -> Option<OccupiedEntry<'_, K, V>> {
        (self.len > 0).then_some(OccupiedEntry { map: self, place: (0, 0) })
    }

    /// The place of the greatest key.
    pub fn last_entry(&mut self) -> Option<OccupiedEntry<'_, K, V>> {
        let place = self.end();
        (self.len > 0).then_some(OccupiedEntry { map: self, place })
    }

    /// From the first item within the bounds to the one after the last of them.
    fn between<Q: Ord + ?Sized>(&self, range: &impl RangeBounds<Q>) -> (Place, Place)
    where
        K: Borrow<Q>,
    {
        let from = match range.start_bound() {
            Bound::Unbounded => (0, 0),
            Bound::Included(start) => self.place(|key| key.borrow() < start),
            Bound::Excluded(start) => self.place(|key| key.borrow() <= start),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => (self.rest.len(), self.leaf(self.rest.len()).len()),
            Bound::Included(end) => self.place(|key| key.borrow() <= end),
            Bound::Excluded(end) => self.place(|key| key.borrow() < end),
        };
        (from, to.max(from))
    }

    /// Keys and values within the bounds, ascending. None where the bounds are the wrong way round.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let ((first, from), (last, to)) = self.between(&range);
        if first == last {
            return Iter { front: self.leaf(first)[from..to].iter(), leaves: [].iter(), back: [].iter() };
        }
        Iter {
            front: self.leaf(first)[from..].iter(),
            leaves: self.rest[first..last - 1].iter(),
            back: self.leaf(last)[..to].iter(),
        }
    }

    /// The same, to change the values.
    pub fn range_mut<Q: Ord + ?Sized>(&mut self, range: impl RangeBounds<Q>) -> IterMut<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let ((first, from), (last, to)) = self.between(&range);
        let (front, rest) = if first == 0 {
            (&mut self.first, &mut self.rest[..])
        } else {
            self.rest[first - 1..].split_first_mut().expect("the place of an item is in a leaf")
        };
        if first == last {
            return IterMut { front: front[from..to].iter_mut(), leaves: [].iter_mut(), back: [].iter_mut() };
        }
        let (leaves, back) = rest.split_at_mut(last - first - 1);
        IterMut { front: front[from..].iter_mut(), leaves: leaves.iter_mut(), back: back[0][..to].iter_mut() }
    }

    /// Takes everything from this key on out.
    pub fn split_off<Q: Ord + ?Sized>(&mut self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        let (leaf, at) = self.place(|known| known.borrow() < key);
        let rest = self.rest.split_off(leaf);
        let first = self.leaf_mut(leaf).split_off(at);
        let len = first.len() + rest.iter().map(Vec::len).sum::<usize>();
        self.len -= len;
        let mut off = Self { first, rest, len };
        off.fill_first();
        off
    }

    /// Moves all items of `other` here; where both have a key, its value is the one that counts.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(mem::take(other));
    }
}

impl<K, V> Default for OrdMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrdMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for OrdMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<K: Eq, V: Eq> Eq for OrdMap<K, V> {}

impl<K: PartialOrd, V: PartialOrd> PartialOrd for OrdMap<K, V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.iter().partial_cmp(other)
    }
}

impl<K: Ord, V: Ord> Ord for OrdMap<K, V> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other)
    }
}

impl<K: Borrow<Q> + Ord, Q: Ord + ?Sized, V> Index<&Q> for OrdMap<K, V> {
    type Output = V;

    /// The value of a key that has one.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key has a value")
    }
}

impl<K: Ord, V> Extend<(K, V)> for OrdMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for OrdMap<K, V> {
    /// Where a key comes again, its last value counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = Self::new();
        map.extend(items);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for OrdMap<K, V> {
    fn from(items: [(K, V); N]) -> Self {
        items.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::base::rng::Rng;

    fn check(map: &OrdMap<u64, u64>) {
        assert!(map.rest.iter().all(|leaf| !leaf.is_empty() && leaf.len() <= OrdMap::<u64, u64>::LEAF));
        assert!(!map.first.is_empty() || map.rest.is_empty());
        assert_eq!(map.len, map.first.len() + map.rest.iter().map(Vec::len).sum::<usize>());
    }

    /// Some thousand random changes and questions, against the standard library's tree.
    #[test]
    fn they_answer_as_trees_do() {
        for seed in 0..6 {
            let mut rng = Rng::stream(seed, "ordered");
            let (mut map, mut known) = (OrdMap::new(), BTreeMap::new());
            let keys = [3, 70, 2_000][seed as usize % 3];
            for step in 0..6_000 {
                let key = rng.below(keys);
                match rng.below(if step < 3_000 { 9 } else { 12 }) {
                    0..5 => assert_eq!(map.insert(key, step), known.insert(key, step)),
                    5 => *map.entry(key).or_insert(7) += *known.entry(key).and_modify(|v| *v += 0).or_insert(7),
                    6 => {
                        map.entry(key).and_modify(|v| *v += 1).or_default();
                        known.entry(key).and_modify(|v| *v += 1).or_default();
                    }
                    7 => {
                        let (from, to) = (key, key + rng.below(300));
                        assert!(map.range(from..to).eq(known.range(from..to)));
                        assert!(map.range(..=to).rev().eq(known.range(..=to).rev()));
                        assert!(map.range((Bound::Excluded(from), Bound::Unbounded)).eq(known.range(from + 1..)));
                        map.range_mut(from..to).for_each(|(_, v)| *v += 1);
                        known.range_mut(from..to).for_each(|(_, v)| *v += 1);
                    }
                    8 => assert_eq!(map.remove(&key), known.remove(&key)),
                    9 => assert_eq!(map.pop_first(), known.pop_first()),
                    10 => assert_eq!(map.pop_last(), known.pop_last()),
                    _ if step % 40 == 0 => {
                        map.retain(|k, _| k % 3 > 0);
                        known.retain(|k, _| k % 3 > 0);
                    }
                    _ if step % 41 == 0 => {
                        let (mut off, known_off) = (map.split_off(&key), known.split_off(&key));
                        check(&off);
                        assert!(off.iter().eq(&known_off));
                        map.append(&mut off);
                        known.extend(known_off);
                    }
                    _ => assert_eq!(map.remove_entry(&key), known.remove_entry(&key)),
                }
                // What `or_insert` adds differs in how it was counted; both are made the same.
                known.insert(key, step);
                map.insert(key, step);
                check(&map);
                assert_eq!((map.len(), map.get(&key)), (known.len(), known.get(&key)));
                assert_eq!(map.first_key_value(), known.first_key_value());
                assert_eq!(map.last_key_value(), known.last_key_value());
            }
            assert!(map.iter().eq(&known) && map.iter().rev().eq(known.iter().rev()));
            assert!(map.keys().eq(known.keys()) && map.values().eq(known.values()));
            assert_eq!(format!("{map:?}"), format!("{known:?}"));
            assert_eq!(map.iter().collect::<OrdMap<_, _>>().len(), map.len());
            assert!(map.clone().into_iter().rev().eq(known.clone().into_iter().rev()));
            let set: OrdSet<u64> = map.into_keys().collect();
            let known: BTreeSet<u64> = known.into_keys().collect();
            assert!(set.iter().eq(&known) && set.range(5..).eq(known.range(5..)));
            assert_eq!(format!("{set:?}"), format!("{known:?}"));
        }
    }

    /// Leaves of large items are short, and grow with their number.
    #[test]
    fn many_large_items_in_any_order() {
        let mut rng = Rng::stream(7, "ordered/large");
        let (mut map, mut known) = (OrdMap::new(), BTreeMap::new());
        for step in 0..30_000_u64 {
            let key = rng.below(1 << 20);
            assert_eq!(map.insert(key, [step; 10]), known.insert(key, [step; 10]));
            if step % 3 == 0 {
                let from = rng.below(1 << 20);
                let found = known.range(from..).next().map(|(key, _)| *key);
                assert_eq!(map.range(from..).next().map(|(key, _)| *key), found);
                assert_eq!(found.and_then(|key| map.remove(&key)), found.and_then(|key| known.remove(&key)));
            }
        }
        assert!(map.rest.iter().any(|leaf| leaf.len() > OrdMap::<u64, [u64; 10]>::LEAF));
        let (mut ours, mut theirs) = (map.iter(), known.iter());
        for step in 0..=known.len() {
            let from_end = step % 3 == 0;
            let next = if from_end { theirs.next_back() } else { theirs.next() };
            assert_eq!(if from_end { ours.next_back() } else { ours.next() }, next);
        }
    }

    #[test]
    fn keys_that_come_in_order_fill_their_leaves() {
        let map: OrdMap<u32, ()> = (0..1_000).map(|key| (key, ())).collect();
        assert_eq!(1 + map.rest.len(), 1_000_usize.div_ceil(OrdMap::<u32, ()>::LEAF));
    }

    #[test]
    fn sets_compare_by_their_items() {
        let odd = OrdSet::from([5, 1, 3, 1]);
        let mut all: OrdSet<u32> = (0..6).collect();
        assert_eq!((odd.len(), odd.first(), odd.last()), (3, Some(&1), Some(&5)));
        assert!(odd.is_subset(&all) && !odd.is_disjoint(&all) && odd > all);
        assert!(all.difference(&odd).eq(&[0, 2, 4]));
        assert_eq!((all.remove(&0), all.remove(&0), all.take(&4)), (true, false, Some(4)));
        all.retain(|item| item % 2 > 0);
        assert_eq!(all, odd);
        assert!(!all.insert(3) && all.insert(4));
        assert!(all.into_iter().eq([1, 3, 4, 5]));
    }
}
