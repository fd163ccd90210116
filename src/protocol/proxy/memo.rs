//! Results kept by the identity of what they were made of.
//!
//! What is kept is bounded, and only saves work: a result that was forgotten is made again, and is equal.

use std::collections::VecDeque;
use std::sync::Arc;

/// A shared value, equal to itself only.
#[derive(Debug)]
pub struct Same<T: ?Sized>(pub Arc<T>);

impl<T: ?Sized> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The latest results by input, oldest first.
#[derive(Debug, Clone)]
pub struct Memo<K, V> {
    kept: VecDeque<(K, V)>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { kept: VecDeque::new() }
    }
}

impl<K: PartialEq, V: Clone> Memo<K, V> {
    /// The result for `key`, made if it is not kept.
    pub fn get(&mut self, key: K, make: impl FnOnce(&K) -> V) -> V {
        self.get_from(key, |key, _| make(key))
    }

    /// As [`Memo::get`], told what is kept.
    fn get_from(&mut self, key: K, make: impl FnOnce(&K, &VecDeque<(K, V)>) -> V) -> V {
        if let Some((_, value)) = self.kept.iter().rev().find(|(kept, _)| *kept == key) {
            return value.clone();
        }
        let value = make(&key, &self.kept);
        if self.kept.len() == RESULTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((key, value.clone()));
        value
    }
}

impl<K: PartialEq, T: PartialEq + ?Sized> Memo<K, Arc<T>> {
    /// As [`Memo::get`], but equal results are the same one, so that what follows from it is found as well.
    pub fn get_settled(&mut self, key: K, make: impl FnOnce(&K) -> Arc<T>) -> Arc<T> {
        self.get_from(key, |key, kept| {
            let fresh = make(key);
            let former = kept.iter().rev().map(|(_, former)| former).find(|former| **former == fresh);
            former.map_or(fresh, Arc::clone)
        })
    }
}

/// What followed from each item of the latest lists, one list per subject, the longest unused first.
#[derive(Debug, Clone)]
pub struct Shelf<S, K, V> {
    lists: VecDeque<(S, Vec<(K, V)>)>,
}

impl<S, K, V> Default for Shelf<S, K, V> {
    fn default() -> Self {
        Self { lists: VecDeque::new() }
    }
}

impl<S: PartialEq, K: PartialEq, V: Clone> Shelf<S, K, V> {
    /// The items of a list with the result for each, made for those that the last list on this subject did not have.
    pub fn map(&mut self, subject: S, items: impl Iterator<Item = K>, mut make: impl FnMut(&K) -> V) -> &[(K, V)] {
        let former = match self.lists.iter().position(|(known, _)| *known == subject) {
            Some(place) => self.lists.remove(place),
            None if self.lists.len() == LISTS_MAX => {
                self.lists.pop_front();
                None
            }
            None => None,
        };
        let former = former.map_or_else(Vec::new, |(_, list)| list);
        let mut bookmark = Bookmark::default();
        let list = items
            .map(|item| {
                let known = bookmark.find(&former, |(known, _)| *known == item);
                let value = known.map_or_else(|| make(&item), |(_, value)| value.clone());
                (item, value)
            })
            .collect();
        self.lists.push_back((subject, list));
        self.lists.back().map_or(&[], |(_, list)| list)
    }
}

/// A place in a list that is searched for one thing after the other, mostly in the order of the list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bookmark(usize);

impl Bookmark {
    /// The first match from this place on, or else before it; there the next search begins.
    pub fn find<'a, T>(&mut self, list: &'a [T], is_match: impl Fn(&T) -> bool) -> Option<&'a T> {
        let (before, after) = list.split_at(self.0.min(list.len()));
        let ahead = after.iter().position(&is_match).map(|place| before.len() + place);
        self.0 = ahead.or_else(|| before.iter().position(is_match))?;
        list.get(self.0)
    }
}

/// Results of one kind that are kept: proxies lag behind each other by a round trip, in which the catalog changes a
/// few times at most.
const RESULTS_MAX: usize = 16;

/// Lists of one kind that are kept. There is one per region and service with routes; with more of them than this, each
/// is made anew.
const LISTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_and_forgotten_when_many_followed() {
        let mut memo = Memo::default();
        let mut made = 0;
        for key in [1, 2, 1, 2].into_iter().chain(3..3 + RESULTS_MAX).chain([1]) {
            assert_eq!(
                memo.get(key, |key| {
                    made += 1;
                    key * 10
                }),
                key * 10
            );
        }
        assert_eq!(made, 2 + RESULTS_MAX + 1);
    }

    #[test]
    fn only_what_the_last_list_did_not_have_is_made() {
        let mut shelf = Shelf::default();
        let mut check = |subject: char, items: &[u32], expected: &[u32]| {
            let mut made = Vec::new();
            let results = shelf.map(subject, items.iter().copied(), |item| {
                made.push(*item);
                item * 10
            });
            assert!(results.iter().map(|(item, _)| item).eq(items));
            assert!(results.iter().all(|(item, value)| *value == item * 10));
            assert_eq!(made, expected, "{subject} {items:?}");
        };
        check('a', &[1, 2, 3, 4], &[1, 2, 3, 4]);
        check('b', &[1], &[1]);
        check('a', &[1, 2, 3, 4], &[]);
        check('a', &[1, 5, 3, 4], &[5]);
        check('a', &[0, 1, 3], &[0]);
        check('a', &[3, 1, 0, 4], &[4]);
        check('a', &[], &[]);
        check('a', &[3], &[3]);
        check('b', &[1], &[]);
    }

    #[test]
    fn a_shelf_keeps_the_last_list_of_a_bounded_number_of_subjects() {
        let mut shelf = Shelf::default();
        for subject in 0..3 * LISTS_MAX {
            for round in 0..3 {
                shelf.map(subject, [round, round + 1].into_iter(), |item| *item);
            }
        }
        assert_eq!(shelf.lists.len(), LISTS_MAX);
        assert!(shelf.lists.iter().all(|(_, list)| list.len() == 2));
    }
}
