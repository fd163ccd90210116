//! Walking a map from either end.

use std::{slice, vec};

use super::OrdMap;

/// Keys and values of a map, ascending: what is left of one leaf, whole leaves, what is left of another.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    pub(super) front: slice::Iter<'a, (K, V)>,
    pub(super) leaves: slice::Iter<'a, Vec<(K, V)>>,
    pub(super) back: slice::Iter<'a, (K, V)>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), leaves: self.leaves.clone(), back: self.back.clone() }
    }
}

/// The same, to change the values.
#[derive(Debug)]
pub struct IterMut<'a, K, V> {
    pub(super) front: slice::IterMut<'a, (K, V)>,
    pub(super) leaves: slice::IterMut<'a, Vec<(K, V)>>,
    pub(super) back: slice::IterMut<'a, (K, V)>,
}

/// The items of a map that is no more, ascending.
#[derive(Debug)]
pub struct IntoIter<K, V> {
    pub(super) front: vec::IntoIter<(K, V)>,
    pub(super) leaves: vec::IntoIter<Vec<(K, V)>>,
    pub(super) back: vec::IntoIter<(K, V)>,
}

/// Walks leaves from one end: what is left there, then leaf after leaf, then what is left at the other end.
macro_rules! walk {
    ($next:ident from $near:ident to $far:ident, $open:ident, |$item:ident| $shown:expr) => {
        fn $next(&mut self) -> Option<Self::Item> {
            loop {
                if let Some($item) = self.$near.$next() {
                    return Some($shown);
                }
                match self.leaves.$next() {
                    Some(leaf) => self.$near = leaf.$open(),
                    None => return self.$far.$next().map(|$item| $shown),
                }
            }
        }
    };
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    walk!(next from front to back, iter, |item| (&item.0, &item.1));

    /// At least what is in leaves already begun, so that short lists are collected in one piece.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let begun = self.front.len() + self.back.len();
        (begun + self.leaves.as_slice().first().map_or(0, Vec::len), None)
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    walk!(next_back from back to front, iter, |item| (&item.0, &item.1));
}

impl<'a, K, V> Iterator for IterMut<'a, K, V> {
    type Item = (&'a K, &'a mut V);

    walk!(next from front to back, iter_mut, |item| (&item.0, &mut item.1));
}

impl<K, V> DoubleEndedIterator for IterMut<'_, K, V> {
    walk!(next_back from back to front, iter_mut, |item| (&item.0, &mut item.1));
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    walk!(next from front to back, into_iter, |item| item);

    fn size_hint(&self) -> (usize, Option<usize>) {
        let begun = self.front.len() + self.back.len();
        (begun + self.leaves.as_slice().first().map_or(0, Vec::len), None)
    }
}

impl<K, V> DoubleEndedIterator for IntoIter<K, V> {
    walk!(next_back from back to front, into_iter, |item| item);
}

impl<K, V> IntoIterator for OrdMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter { front: self.first.into_iter(), leaves: self.rest.into_iter(), back: Vec::new().into_iter() }
    }
}

impl<'a, K, V> IntoIterator for &'a OrdMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut OrdMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> IterMut<'a, K, V> {
        self.iter_mut()
    }
}

/// The keys of a map, or the items of a set, ascending.
#[derive(Debug)]
pub struct Keys<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K, V> Clone for Keys<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The values of a map in the order of their keys.
#[derive(Debug)]
pub struct Values<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K, V> Clone for Values<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The same, to change them.
#[derive(Debug)]
pub struct ValuesMut<'a, K, V>(pub(super) IterMut<'a, K, V>);

macro_rules! halves {
    ($name:ident, $item:ty, $half:tt) => {
        impl<'a, K, V> Iterator for $name<'a, K, V> {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next().map(|item| item.$half)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<K, V> DoubleEndedIterator for $name<'_, K, V> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back().map(|item| item.$half)
            }
        }
    };
}

halves!(Keys, &'a K, 0);
halves!(Values, &'a V, 1);
halves!(ValuesMut, &'a mut V, 1);
