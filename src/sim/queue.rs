//! The event queue: exact order by (time, rank), nanoseconds over the whole 64-bit range, no comparison for most moves.
//!
//! Three parts. *Buckets*: eleven levels of 64, level `l` told apart by bits `6 l .. 6 l + 6` of the time; a future
//! event
//! waits, unsorted, in the bucket of the highest group of bits in which it differs from `base` (a hierarchical timing
//! wheel; Varghese and Lauck 1987). *Front*: the bucket that is due, sorted once and read off. A bucket with few events
//! is sorted
//! whatever its width, so that sparse events do not sink level by level; a crowded one is spread over the level below
//! (as in a ladder queue; Tang, Goh and Thng 2005). *Late*: what is scheduled before the end of the bucket that is
//! due; the soonest few in a sorted list, the others in a binary heap.
//!
//! Invariants: everything before `edge` is in front or late, everything else in a bucket; `base <= edge`; a bucket's
//! events share all bits of the time above its level with `base`; nothing in the heap is due before the last of the
//! list, which is empty only if the heap is. Keys are unique, so the order in which events entered
//! plays no part. Memory is proportional to the largest number of events pending at once (chunks are recycled).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One pending event: when, in which order among those of the same instant, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// Due, in nanoseconds.
    pub time: u64,
    /// Order among events of one instant, lowest first; unique within the instant.
    pub rank: u64,
    /// What it is, in the caller's encoding.
    pub item: u64,
}

impl Entry {
    /// Sorts as (time, rank).
    pub fn key(&self) -> u128 {
        u128::from(self.time) << 64 | u128::from(self.rank)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed, since the standard heap puts the largest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key()).then(other.item.cmp(&self.item))
    }
}

/// Pending events, earliest first.
#[derive(Debug, Clone)]
pub struct Queue {
    front: Vec<Entry>,
    front_next: usize,
    late: Late,
    base: u64,
    edge: u64,
    levels: u32,
    occupied: [u64; LEVELS],
    buckets: Vec<Bucket>,
    chunks: Chunks,
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            front: Vec::new(),
            front_next: 0,
            late: Late::default(),
            base: 0,
            edge: 0,
            levels: 0,
            occupied: [0; LEVELS],
            buckets: vec![Bucket::EMPTY; LEVELS * SLOTS],
            chunks: Chunks::default(),
        }
    }

    /// How many events wait. Counted when asked for.
    pub fn len(&self) -> usize {
        let later: usize = self.buckets.iter().map(|bucket| bucket.len as usize).sum();
        self.front.len() - self.front_next + self.late.soon.len() + self.late.others.len() + later
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an event. Its time is not before the last one popped.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        if entry.time < self.edge {
            self.late.push(entry.time, entry.rank, entry.item);
        } else {
            self.place(entry);
        }
    }

    /// Takes the earliest event, if it is due before `limit`.
    #[inline]
    pub fn pop_before(&mut self, limit: u64) -> Option<Entry> {
        loop {
            let front = self.front.get(self.front_next);
            let entry = match (front, self.late.first()) {
                (Some(front), Some(late)) if late.key() < front.key() => late,
                (Some(front), _) => {
                    let front = *front;
                    if front.time >= limit {
                        return None;
                    }
                    self.front_next += 1;
                    return Some(front);
                }
                (None, Some(late)) => late,
                (None, None) => {
                    if !self.advance(limit) {
                        return None;
                    }
                    continue;
                }
            };
            if entry.time >= limit {
                return None;
            }
            return self.late.pop();
        }
    }

    #[inline(never)]
    fn place(&mut self, entry: Entry) {
        let level = ((entry.time ^ self.base) | 1).ilog2() / BITS;
        let slot = entry.time >> (BITS * level) & (SLOTS as u64 - 1);
        self.levels |= 1 << level;
        self.occupied[level as usize] |= 1 << slot;
        let bucket = &mut self.buckets[level as usize * SLOTS + slot as usize];
        bucket.len += 1;
        self.chunks.push(&mut bucket.head, &mut bucket.filled, entry);
    }

    /// Makes the next bucket the front, spreading crowded ones first. False if none begins before `limit`.
    fn advance(&mut self, limit: u64) -> bool {
        while self.levels != 0 {
            let level = self.levels.trailing_zeros();
            let slot = u64::from(self.occupied[level as usize].trailing_zeros());
            let shift = BITS * level;
            let start = clear_below(self.base, shift + BITS) | slot << shift;
            if start >= limit {
                return false;
            }
            self.occupied[level as usize] &= !(1 << slot);
            if self.occupied[level as usize] == 0 {
                self.levels &= !(1 << level);
            }
            self.base = start;
            let at = level as usize * SLOTS + slot as usize;
            let bucket = std::mem::replace(&mut self.buckets[at], Bucket::EMPTY);
            let is_crowd = bucket.len > CROWD;
            let differing = if is_crowd { self.chunks.differing(bucket.head, bucket.filled) } else { 0 };
            if !is_crowd || differing == 0 {
                self.fill_front(bucket);
                self.edge = if is_crowd { self.front[0].time + 1 } else { start.saturating_add(1 << shift) };
                return true;
            }
            // What all of them agree on need not be told apart level by level.
            let below = BITS * (differing.ilog2() / BITS + 1);
            self.base = clear_below(self.chunks.entries[bucket.head as usize * CHUNK].time, below).max(start);
            self.edge = self.base;
            self.spread(bucket);
        }
        false
    }

    fn fill_front(&mut self, bucket: Bucket) {
        self.front.clear();
        self.front_next = 0;
        self.chunks.drain_into(bucket.head, bucket.filled, &mut self.front);
        self.front.sort_unstable_by_key(Entry::key);
    }

    fn spread(&mut self, bucket: Bucket) {
        let (mut chunk, mut filled) = (bucket.head, bucket.filled as usize);
        while chunk != NONE {
            let from = chunk as usize * CHUNK;
            for at in from..from + filled {
                let entry = self.chunks.entries[at];
                self.place(entry);
            }
            chunk = self.chunks.release(chunk);
            filled = CHUNK;
        }
    }
}

/// Events that came after the bucket that is due was sorted.
#[derive(Debug, Clone, Default)]
struct Late {
    /// The soonest, latest first.
    soon: Vec<Entry>,
    others: BinaryHeap<Entry>,
}

impl Late {
    #[inline]
    fn first(&self) -> Option<&Entry> {
        self.soon.last()
    }

    fn push(&mut self, time: u64, rank: u64, item: u64) {
        let entry = Entry { time, rank, item };
        if !self.others.is_empty() && self.soon.first().is_some_and(|last| last.key() < entry.key()) {
            return self.defer(entry);
        }
        // Most are due before all but a few: the search begins with the soonest.
        let is_sooner = |at: usize| self.soon[at].key() < entry.key();
        let mut at = self.soon.len();
        while at >= STRIDE && is_sooner(at - STRIDE) {
            at -= STRIDE;
        }
        while at > 0 && is_sooner(at - 1) {
            at -= 1;
        }
        self.soon.insert(at, entry);
        if self.soon.len() > SOON_MAX {
            self.thin();
        }
    }

    #[inline(never)]
    fn defer(&mut self, entry: Entry) {
        self.others.push(entry);
    }

    /// Moves the later half of the list to the heap.
    #[cold]
    fn thin(&mut self) {
        self.others.extend(self.soon.drain(..SOON_MAX / 2));
    }

    #[inline]
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.soon.pop();
        if self.soon.is_empty() && !self.others.is_empty() {
            self.refill();
        }
        entry
    }

    #[cold]
    fn refill(&mut self) {
        let others = &mut self.others;
        self.soon.extend(std::iter::from_fn(|| others.pop()).take(SOON_MAX / 2));
        self.soon.reverse();
    }
}

/// `time` without its lowest `bits`, of which there may be more than 64.
fn clear_below(time: u64, bits: u32) -> u64 {
    time.checked_shr(bits).map_or(0, |high| high << bits)
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// The chunk being filled; the ones after it are full.
    head: u32,
    /// Entries in that chunk.
    filled: u32,
    /// Entries in all.
    len: u32,
}

impl Bucket {
    const EMPTY: Self = Self { head: NONE, filled: CHUNK as u32, len: 0 };
}

/// Fixed pieces of the buckets' lists, recycled.
#[derive(Debug, Clone)]
struct Chunks {
    entries: Vec<Entry>,
    next: Vec<u32>,
    free: u32,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { entries: Vec::new(), next: Vec::new(), free: NONE }
    }
}

impl Chunks {
    #[inline]
    fn push(&mut self, head: &mut u32, filled: &mut u32, entry: Entry) {
        if *filled as usize == CHUNK {
            *head = self.acquire(*head);
            *filled = 0;
        }
        self.entries[*head as usize * CHUNK + *filled as usize] = entry;
        *filled += 1;
    }

    fn acquire(&mut self, next: u32) -> u32 {
        if self.free == NONE {
            let chunk = u32::try_from(self.next.len()).expect("fewer than 2^36 events are pending");
            self.entries.resize(self.entries.len() + CHUNK, Entry::default());
            self.next.push(next);
            return chunk;
        }
        let chunk = self.free;
        self.free = std::mem::replace(&mut self.next[chunk as usize], next);
        chunk
    }

    fn release(&mut self, chunk: u32) -> u32 {
        std::mem::replace(&mut self.next[chunk as usize], std::mem::replace(&mut self.free, chunk))
    }

    /// The bits in which the times of a bucket's entries differ.
    fn differing(&self, head: u32, filled: u32) -> u64 {
        let (mut chunk, mut filled) = (head, filled as usize);
        let first = self.entries[head as usize * CHUNK].time;
        let mut differing = 0;
        while chunk != NONE {
            let from = chunk as usize * CHUNK;
            for entry in &self.entries[from..from + filled] {
                differing |= entry.time ^ first;
            }
            chunk = self.next[chunk as usize];
            filled = CHUNK;
        }
        differing
    }

    fn drain_into(&mut self, head: u32, filled: u32, out: &mut Vec<Entry>) {
        let (mut chunk, mut filled) = (head, filled as usize);
        while chunk != NONE {
            let from = chunk as usize * CHUNK;
            out.extend_from_slice(&self.entries[from..from + filled]);
            chunk = self.release(chunk);
            filled = CHUNK;
        }
    }
}

/// Bits of the time told apart by one level.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// Enough levels for 64 bits.
const LEVELS: usize = 11;
/// A bucket with more events than this is spread over the level below before it is sorted; found by measurement.
const CROWD: u32 = 512;
/// So many late events are kept sorted; found by measurement.
const SOON_MAX: usize = 64;
/// The list is searched in steps of so many first.
const STRIDE: usize = 4;
/// Entries per chunk.
const CHUNK: usize = 16;
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ordered::OrdMap;
    use crate::base::rng::Rng;

    /// Random pushes (many at equal times, some at once, some far away) and pops, against an ordered map.
    #[test]
    fn order_is_that_of_a_sorted_map() {
        for seed in 0..20 {
            let mut rng = Rng::stream(seed, "queue");
            let mut queue = Queue::new();
            let mut expected = OrdMap::new();
            let (mut now, mut serial) = (0_u64, 0_u64);
            for _ in 0..20_000 {
                if rng.chance([0.52, 0.6, 0.8][seed as usize % 3]) {
                    let width = [1, 64, 10_000, 1_000_000_000, 1 << 45][rng.below(5) as usize];
                    let rank = rng.below(1 << 20) << 32 | serial;
                    let entry = Entry { time: now + rng.below(width), rank, item: serial };
                    serial += 1;
                    queue.push(entry);
                    expected.insert(entry.key(), entry.item);
                } else {
                    let limit = if rng.chance(0.1) { now + rng.below(1_000_000) } else { u64::MAX };
                    let next = expected.first_key_value().filter(|(key, _)| ((**key >> 64) as u64) < limit);
                    let next = next.map(|(key, item)| (*key, *item));
                    let popped = queue.pop_before(limit);
                    assert_eq!(popped.map(|e| (e.key(), e.item)), next);
                    if let Some((key, _)) = next {
                        expected.remove(&key);
                        now = (key >> 64) as u64;
                    } else if limit != u64::MAX {
                        now = limit;
                    }
                }
                assert_eq!(queue.len(), expected.len());
            }
        }
    }

    #[test]
    fn a_crowd_at_one_instant_comes_out_by_rank() {
        let mut queue = Queue::new();
        for rank in (0..10_000).rev() {
            queue.push(Entry { time: 5_000_000, rank, item: rank });
        }
        for rank in 0..10_000 {
            assert_eq!(queue.pop_before(u64::MAX).map(|e| e.item), Some(rank));
        }
        assert!(queue.is_empty());
    }
}
