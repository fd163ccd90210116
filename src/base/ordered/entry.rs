//! The place of one key, filled or not.

use std::mem;

use super::{OrdMap, Place};

/// The place of a key in a map.
#[derive(Debug)]
pub enum Entry<'a, K, V> {
    /// It has a value.
    Occupied(OccupiedEntry<'a, K, V>),
    /// It has none.
    Vacant(VacantEntry<'a, K, V>),
}

impl<'a, K, V> Entry<'a, K, V> {
    /// The value, set to this one if there was none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value, made if there was none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => entry.insert(make()),
        }
    }

    /// The value, made from the key if there was none.
    pub fn or_insert_with_key(self, make: impl FnOnce(&K) -> V) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = make(&entry.key);
                entry.insert(value)
            }
        }
    }

    /// The value, or the default if there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value, if there is one.
    pub fn and_modify(mut self, change: impl FnOnce(&mut V)) -> Self {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }
}

/// The place of a key that has a value.
#[derive(Debug)]
pub struct OccupiedEntry<'a, K, V> {
    pub(super) map: &'a mut OrdMap<K, V>,
    pub(super) place: Place,
}

impl<'a, K, V> OccupiedEntry<'a, K, V> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.map.leaf(self.place.0)[self.place.1].0
    }

    /// The value.
    pub fn get(&self) -> &V {
        &self.map.leaf(self.place.0)[self.place.1].1
    }

    /// The value, to change it.
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.map.leaf_mut(self.place.0)[self.place.1].1
    }

    /// The value, to change it as long as the map is borrowed.
    pub fn into_mut(self) -> &'a mut V {
        &mut self.map.leaf_mut(self.place.0)[self.place.1].1
    }

    /// Sets the value; returns the one it had.
    pub fn insert(&mut self, value: V) -> V {
        mem::replace(self.get_mut(), value)
    }

    /// Takes the value out.
    pub fn remove(self) -> V {
        self.remove_entry().1
    }

    /// Takes key and value out.
    pub fn remove_entry(self) -> (K, V) {
        self.map.take(self.place)
    }
}

/// The place of a key that has no value.
#[derive(Debug)]
pub struct VacantEntry<'a, K, V> {
    pub(super) map: &'a mut OrdMap<K, V>,
    pub(super) place: Place,
    pub(super) key: K,
}

impl<'a, K, V> VacantEntry<'a, K, V> {
    /// Sets the value.
    pub fn insert(self, value: V) -> &'a mut V {
        let (leaf, at) = self.map.put(self.place, (self.key, value));
        &mut self.map.leaf_mut(leaf)[at].1
    }
}
