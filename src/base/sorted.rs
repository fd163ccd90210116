//! Short sorted lists whose newest items are at the end and are asked for most: one allocation, few cache lines.

use std::cmp::Ordering;

/// As [`slice::binary_search_by`] on a list without repeats, and the faster the nearer the item is to the end.
pub fn search_back<T>(list: &[T], order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
    let (mut low, mut high, mut step) = (0, list.len(), 1);
    while high > 0 {
        let at = high.saturating_sub(step);
        match order(&list[at]) {
            Ordering::Equal => return Ok(at),
            Ordering::Less => {
                low = at + 1;
                break;
            }
            Ordering::Greater => {
                high = at;
                step *= 2;
            }
        }
    }
    list[low..high].binary_search_by(order).map(|at| low + at).map_err(|at| low + at)
}

/// A set for few items that come mostly in order. Inserting elsewhere than at the end moves what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedSet<T> {
    items: Vec<T>,
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T: Ord> SortedSet<T> {
    /// Puts an item in, unless it is there.
    pub fn insert(&mut self, item: T) {
        if let Err(at) = search_back(&self.items, |known| known.cmp(&item)) {
            self.items.insert(at, item);
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, ascending.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// The greatest item.
    pub fn last(&self) -> Option<&T> {
        self.items.last()
    }

    /// Takes the greatest item out.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop()
    }

    /// Takes all items out. The room they took is kept.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = Self::default();
        items.into_iter().for_each(|item| set.insert(item));
        set
    }
}

/// A map for a few thousand items that come mostly in the order of their keys. Large values are better boxed: putting
/// one in or taking one out elsewhere than at the end moves what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    items: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<K: Ord + Copy, V> SortedMap<K, V> {
    fn place(&self, key: K) -> Result<usize, usize> {
        search_back(&self.items, |(known, _)| known.cmp(&key))
    }

    /// The value of this key.
    pub fn get(&self, key: K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.items[at].1)
    }

    /// The value of this key, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.items[at].1)
    }

    /// Whether the key has a value.
    pub fn contains(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.items[at].1 = value,
            Err(at) => self.items.insert(at, (key, value)),
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.place(key).ok().map(|at| self.items.remove(at).1)
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.items.iter().map(|(key, _)| *key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.items.iter().map(|(_, value)| value)
    }

    /// Keys and values, ascending, to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.items.iter_mut().map(|(key, value)| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn searching_from_the_end_finds_what_binary_search_finds() {
        for len in 0..40_u32 {
            let list: Vec<u32> = (0..len).map(|at| 2 * at + 1).collect();
            for wanted in 0..=2 * len + 1 {
                assert_eq!(search_back(&list, |item| item.cmp(&wanted)), list.binary_search(&wanted), "{wanted}");
            }
        }
    }

    #[test]
    fn they_behave_like_trees() {
        let mut rng = Rng::stream(7, "sorted");
        let (mut map, mut known_map) = (SortedMap::default(), BTreeMap::new());
        let (mut set, mut known_set) = (SortedSet::default(), BTreeSet::new());
        for step in 0..4_000_u64 {
            let key = rng.below(200);
            if rng.chance(0.4) {
                assert_eq!(map.remove(key), known_map.remove(&key));
                assert_eq!(set.pop(), known_set.pop_last());
            } else {
                map.insert(key, step);
                known_map.insert(key, step);
                set.insert(key);
                known_set.insert(key);
            }
            assert_eq!(map.get(key), known_map.get(&key));
            assert_eq!(map.contains(key), known_map.contains_key(&key));
            assert_eq!(set.last(), known_set.last());
            assert_eq!(set.is_empty(), known_set.is_empty());
        }
        if let Some(value) = map.get_mut(3) {
            *value += 1;
        }
        known_map.entry(3).and_modify(|value| *value += 1);
        assert!(map.keys().eq(known_map.keys().copied()) && map.values().eq(known_map.values()));
        assert!(map.iter_mut().eq(known_map.iter_mut().map(|(key, value)| (*key, value))));
        assert!(set.as_slice().iter().eq(&known_set));
        assert_eq!(known_set.iter().rev().copied().collect::<SortedSet<u64>>(), set);
        set.clear();
        assert!(set.is_empty());
    }
}
