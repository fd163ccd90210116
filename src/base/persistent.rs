//! A persistent ordered map from dense identifiers: a clone is a handle, and writing copies only the path from the root
//! to the item, and only where another handle shares it.
//!
//! A radix tree with packed children: 32 to a branch, 8 to a leaf, because writing one item counts every other one of
//! its leaf once more. Invariants: no node is empty except below a missing root; every leaf has the same depth;
//! iteration is in identifier order.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::Id;

/// A map from identifiers to items that shares its structure with its clones.
pub struct Trie<I, T> {
    root: Option<Arc<Tree<T>>>,
    /// Levels of branches above the leaves.
    height: u32,
    len: usize,
    key: PhantomData<fn(I)>,
}

#[derive(Debug, Clone)]
enum Tree<T> {
    Leaf { mask: u32, items: SmallVec<[T; 1 << LEAF_BITS]> },
    Branch { mask: u32, children: Vec<Arc<Tree<T>>> },
}

/// Bits of an identifier told apart by a branch.
const BITS: u32 = 5;
/// Bits told apart by a leaf.
const LEAF_BITS: u32 = 3;

impl<I: Id, T> Trie<I, T> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { root: None, height: 0, len: 0, key: PhantomData }
    }

    /// How many items there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether two handles are the same version, without looking at the items. False may still mean equal content.
    pub fn same_version(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// The item of this identifier.
    pub fn get(&self, id: I) -> Option<&T> {
        let key = id.index() as u64;
        let mut shift = bits(self.height);
        if key >> shift != 0 {
            return None;
        }
        let mut tree = self.root.as_deref()?;
        loop {
            match tree {
                Tree::Leaf { mask, items } => return place(*mask, last_digit(key)).map(|at| &items[at]),
                Tree::Branch { mask, children } => {
                    shift -= BITS;
                    tree = &children[place(*mask, digit(key, shift))?];
                }
            }
        }
    }

    /// Whether the identifier has an item.
    pub fn contains(&self, id: I) -> bool {
        self.get(id).is_some()
    }

    /// Items in identifier order.
    pub fn iter(&self) -> Iter<'_, I, T> {
        let mut iter = Iter { stack: Vec::with_capacity(self.height as usize + 1), left: self.len, key: PhantomData };
        if let Some(root) = &self.root {
            iter.stack.push(Frame::new(root, 0));
        }
        iter
    }

    /// Items in identifier order, without their identifiers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, item)| item)
    }

    /// Identifiers in order.
    pub fn ids(&self) -> impl Iterator<Item = I> + '_ {
        self.iter().map(|(id, _)| id)
    }
}

impl<I: Id, T: Clone> Trie<I, T> {
    /// The item for writing. Copies the nodes on the way that other handles share.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        // Looking first keeps a miss from copying anything.
        if !self.contains(id) {
            return None;
        }
        let key = id.index() as u64;
        let mut tree = Arc::make_mut(self.root.as_mut()?);
        let mut shift = bits(self.height);
        loop {
            match tree {
                Tree::Leaf { mask, items } => return place(*mask, last_digit(key)).map(|at| &mut items[at]),
                Tree::Branch { mask, children } => {
                    shift -= BITS;
                    tree = Arc::make_mut(&mut children[place(*mask, digit(key, shift))?]);
                }
            }
        }
    }

    /// Sets the item and returns the one it replaces.
    pub fn insert(&mut self, id: I, item: T) -> Option<T> {
        let key = id.index() as u64;
        while key >> bits(self.height) != 0 {
            if let Some(root) = self.root.take() {
                self.root = Some(Arc::new(Tree::Branch { mask: 1, children: vec![root] }));
            }
            self.height += 1;
        }
        let height = self.height;
        let root = self.root.get_or_insert_with(|| Arc::new(Tree::empty(height)));
        let replaced = Arc::make_mut(root).insert(key, height, item);
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the item out.
    pub fn remove(&mut self, id: I) -> Option<T> {
        if !self.contains(id) {
            return None;
        }
        let key = id.index() as u64;
        let root = Arc::make_mut(self.root.as_mut()?);
        let removed = root.remove(key, bits(self.height));
        if root.is_empty() {
            self.root = None;
        }
        self.len -= 1;
        removed
    }
}

impl<T> Tree<T> {
    fn empty(height: u32) -> Self {
        if height == 0 {
            Self::Leaf { mask: 0, items: SmallVec::new() }
        } else {
            Self::Branch { mask: 0, children: Vec::new() }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf { mask, .. } | Self::Branch { mask, .. } => *mask == 0,
        }
    }
}

impl<T: Clone> Tree<T> {
    fn insert(&mut self, key: u64, height: u32, item: T) -> Option<T> {
        match self {
            Self::Leaf { mask, items } => {
                let digit = last_digit(key);
                if let Some(at) = place(*mask, digit) {
                    return Some(std::mem::replace(&mut items[at], item));
                }
                items.insert(rank(*mask, digit), item);
                *mask |= 1 << digit;
                None
            }
            Self::Branch { mask, children } => {
                let digit = digit(key, bits(height - 1));
                let at = rank(*mask, digit);
                if *mask >> digit & 1 == 0 {
                    children.insert(at, Arc::new(Self::empty(height - 1)));
                    *mask |= 1 << digit;
                }
                Arc::make_mut(&mut children[at]).insert(key, height - 1, item)
            }
        }
    }

    /// `bits` of the identifier are told apart here and below.
    fn remove(&mut self, key: u64, bits: u32) -> Option<T> {
        match self {
            Self::Leaf { mask, items } => {
                let digit = last_digit(key);
                let at = place(*mask, digit)?;
                *mask &= !(1 << digit);
                Some(items.remove(at))
            }
            Self::Branch { mask, children } => {
                let digit = digit(key, bits - BITS);
                let at = place(*mask, digit)?;
                let child = Arc::make_mut(&mut children[at]);
                let removed = child.remove(key, bits - BITS);
                if child.is_empty() {
                    children.remove(at);
                    *mask &= !(1 << digit);
                }
                removed
            }
        }
    }
}

impl<I, T> Clone for Trie<I, T> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), height: self.height, len: self.len, key: PhantomData }
    }
}

impl<I: Id, T> Default for Trie<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Id, T: PartialEq> PartialEq for Trie<I, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (self.same_version(other) || self.iter().eq(other.iter()))
    }
}

impl<I: Id, T: Eq> Eq for Trie<I, T> {}

impl<I: Id, T: fmt::Debug> fmt::Debug for Trie<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, I: Id, T> IntoIterator for &'a Trie<I, T> {
    type Item = (I, &'a T);
    type IntoIter = Iter<'a, I, T>;

    fn into_iter(self) -> Iter<'a, I, T> {
        self.iter()
    }
}

/// Walks a [`Trie`] in identifier order.
#[derive(Debug)]
pub struct Iter<'a, I, T> {
    stack: Vec<Frame<'a, T>>,
    left: usize,
    key: PhantomData<fn(I)>,
}

#[derive(Debug)]
struct Frame<'a, T> {
    tree: &'a Tree<T>,
    mask: u32,
    at: usize,
    prefix: u64,
}

impl<'a, T> Frame<'a, T> {
    fn new(tree: &'a Tree<T>, prefix: u64) -> Self {
        let (Tree::Leaf { mask, .. } | Tree::Branch { mask, .. }) = tree;
        Self { tree, mask: *mask, at: 0, prefix }
    }
}

impl<'a, I: Id, T> Iterator for Iter<'a, I, T> {
    type Item = (I, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = self.stack.last_mut()?;
            if frame.mask == 0 {
                self.stack.pop();
                continue;
            }
            let bits = if matches!(frame.tree, Tree::Leaf { .. }) { LEAF_BITS } else { BITS };
            let key = frame.prefix << bits | u64::from(frame.mask.trailing_zeros());
            frame.mask &= frame.mask - 1;
            frame.at += 1;
            match frame.tree {
                Tree::Leaf { items, .. } => {
                    self.left -= 1;
                    return Some((I::from_index(key as usize), &items[frame.at - 1]));
                }
                Tree::Branch { children, .. } => {
                    let child = Frame::new(&children[frame.at - 1], key);
                    self.stack.push(child);
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// How many bits of an identifier are told apart by a tree of this height.
const fn bits(height: u32) -> u32 {
    LEAF_BITS + BITS * height
}

/// The place in a branch, with so many bits told apart below it.
fn digit(key: u64, shift: u32) -> u32 {
    (key >> shift) as u32 & ((1 << BITS) - 1)
}

/// The place in a leaf.
fn last_digit(key: u64) -> u32 {
    key as u32 & ((1 << LEAF_BITS) - 1)
}

/// Items before this digit. Mostly none is missing, and then nothing need be counted.
#[inline]
fn rank(mask: u32, digit: u32) -> usize {
    let below = (1 << digit) - 1;
    if mask & below == below { digit as usize } else { (mask & below).count_ones() as usize }
}

/// The position of this digit among the items, if it has one.
fn place(mask: u32, digit: u32) -> Option<usize> {
    (mask >> digit & 1 == 1).then(|| rank(mask, digit))
}

#[cfg(test)]
mod tests {
    use crate::base::ordered::OrdMap;

    use super::*;
    use crate::base::id::ProcessId;
    use crate::base::rng::Rng;

    #[test]
    fn behaves_like_a_sorted_map_and_old_versions_stay() {
        let mut rng = Rng::stream(7, "trie");
        let (mut trie, mut map) = (Trie::new(), OrdMap::new());
        let mut kept: Vec<(Trie<ProcessId, u64>, OrdMap<ProcessId, u64>)> = Vec::new();
        for step in 0..4_000_u64 {
            let id = ProcessId(rng.below(if step < 2_000 { 300 } else { 3_000_000 }) as u32);
            if rng.chance(0.3) {
                assert_eq!(trie.remove(id), map.remove(&id));
            } else {
                assert_eq!(trie.insert(id, step), map.insert(id, step));
            }
            if let Some(item) = trie.get_mut(id) {
                *item += 1;
                *map.get_mut(&id).unwrap() += 1;
            }
            if step % 500 == 0 {
                kept.push((trie.clone(), map.clone()));
            }
        }
        kept.push((trie, map));
        for (trie, map) in kept {
            assert_eq!(trie.len(), map.len());
            assert!(trie.iter().map(|(id, item)| (id, *item)).eq(map.iter().map(|(id, item)| (*id, *item))));
            assert!(map.keys().all(|id| trie.contains(*id)));
        }
    }

    #[test]
    fn the_largest_identifier_fits() {
        let mut trie = Trie::new();
        trie.insert(ProcessId(u32::MAX), ());
        trie.insert(ProcessId(0), ());
        assert_eq!(trie.ids().collect::<Vec<_>>(), vec![ProcessId(0), ProcessId(u32::MAX)]);
    }
}
