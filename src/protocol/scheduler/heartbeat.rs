//! Heartbeat timers of client nodes on the leader.
//!
//! Covers Nomad 1.1.0 `nomad/heartbeat.go`. Ten thousand timers are one alarm: a beat moves a deadline in a table, and
//! the heap of deadlines is corrected only when an entry that has moved comes to its top. A beat costs O(1) and no
//! allocation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::id::Id;
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::model::node::NodeId;

/// How heartbeats are timed.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatConfig {
    /// Shortest time to live (`min_heartbeat_ttl`). Default 10 s.
    pub ttl_min: Duration,
    /// Beats per second the leader is willing to take (`max_heartbeats_per_second`). Default 50.
    pub rate_per_second: f64,
    /// Patience beyond the time to live (`heartbeat_grace`). Default 10 s.
    pub grace: Duration,
    /// Deadline given to every node when leadership changes (`failover_heartbeat_ttl`, configurable since 1.1.7).
    /// Default 300 s.
    pub failover_ttl: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            ttl_min: Duration::from_secs(10),
            rate_per_second: 50.0,
            grace: Duration::from_secs(10),
            failover_ttl: Duration::from_secs(300),
        }
    }
}

/// The leader's timers.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    config: HeartbeatConfig,
    deadlines: Deadlines<NodeId>,
    rng: Rng,
}

impl Heartbeats {
    /// No timers yet.
    pub fn new(config: HeartbeatConfig, rng: Rng) -> Self {
        Self { config, deadlines: Deadlines::default(), rng }
    }

    /// A node was heard: sets its timer and returns the time to live it is told.
    #[inline]
    pub fn beat(&mut self, now: Time, node: NodeId) -> Duration {
        let count = self.deadlines.len() as f64;
        let base = self.config.ttl_min.max(Duration::from_secs_f64(count / self.config.rate_per_second));
        let ttl = base + self.rng.stagger(base);
        self.deadlines.set(node, now + ttl + self.config.grace);
        ttl
    }

    /// Sets a node's timer to the failover time to live: leadership began.
    pub fn restore(&mut self, now: Time, node: NodeId) {
        self.deadlines.set(node, now + self.config.failover_ttl);
    }

    /// The node is down: no timer.
    pub fn forget(&mut self, node: NodeId) {
        self.deadlines.clear(node);
    }

    /// Leadership was lost: no timers.
    pub fn stop(&mut self) {
        self.deadlines.clear_all();
    }

    /// How many timers run (`nomad.heartbeat.active`).
    pub fn active(&self) -> usize {
        self.deadlines.len()
    }

    /// When to call [`Self::expired`] next.
    #[inline]
    pub fn next_alarm(&mut self) -> Option<Time> {
        self.deadlines.next_alarm()
    }

    /// A node whose timer ran out; its timer is gone.
    pub fn expired(&mut self, now: Time) -> Option<NodeId> {
        self.deadlines.expired(now)
    }
}

/// A deadline per identifier, with cheap postponement: see the module's doc.
#[derive(Debug, Clone)]
pub struct Deadlines<I> {
    /// By identifier: the deadline, and the deadline under which the heap holds it.
    table: Vec<Entry>,
    heap: BinaryHeap<Reverse<(Time, I)>>,
    active: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    deadline: Option<Time>,
    queued: Option<Time>,
}

impl<I: Id> Default for Deadlines<I> {
    fn default() -> Self {
        Self { table: Vec::new(), heap: BinaryHeap::new(), active: 0 }
    }
}

impl<I: Id> Deadlines<I> {
    /// How many deadlines are set.
    pub fn len(&self) -> usize {
        self.active
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.active == 0
    }

    /// Sets or moves a deadline.
    pub fn set(&mut self, id: I, deadline: Time) {
        if self.table.len() <= id.index() {
            self.table.resize(id.index() + 1, Entry::default());
        }
        let entry = &mut self.table[id.index()];
        self.active += usize::from(entry.deadline.is_none());
        entry.deadline = Some(deadline);
        if entry.queued.is_none_or(|queued| deadline < queued) {
            entry.queued = Some(deadline);
            self.heap.push(Reverse((deadline, id)));
        }
    }

    /// Removes a deadline.
    pub fn clear(&mut self, id: I) {
        if let Some(entry) = self.table.get_mut(id.index()) {
            self.active -= usize::from(entry.deadline.take().is_some());
        }
    }

    /// Removes all deadlines.
    pub fn clear_all(&mut self) {
        self.table.clear();
        self.heap.clear();
        self.active = 0;
    }

    /// The earliest deadline.
    pub fn next_alarm(&mut self) -> Option<Time> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            let entry = &mut self.table[id.index()];
            if entry.queued != Some(at) {
                self.heap.pop();
                continue;
            }
            match entry.deadline {
                Some(deadline) if deadline == at => return Some(at),
                Some(deadline) => {
                    self.heap.pop();
                    entry.queued = Some(deadline);
                    self.heap.push(Reverse((deadline, id)));
                }
                None => {
                    self.heap.pop();
                    entry.queued = None;
                }
            }
        }
        None
    }

    /// An identifier whose deadline has come; its deadline is removed.
    pub fn expired(&mut self, now: Time) -> Option<I> {
        let at = self.next_alarm()?;
        if at > now {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop().expect("the next alarm is at the top");
        self.table[id.index()] = Entry::default();
        self.active -= 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn heartbeats() -> Heartbeats {
        Heartbeats::new(HeartbeatConfig::default(), Rng::stream(1, "heartbeats"))
    }

    #[test]
    fn the_time_to_live_grows_with_the_number_of_nodes() {
        for (nodes, low, high) in [(1, 10, 20), (500, 10, 20), (1_000, 20, 40), (10_000, 200, 400)] {
            let mut h = heartbeats();
            (0..nodes).for_each(|n| h.restore(at(0), NodeId(n)));
            for n in 0..nodes.min(50) {
                let ttl = h.beat(at(0), NodeId(n));
                assert!(Duration::from_secs(low) <= ttl && ttl < Duration::from_secs(high), "{nodes}: {ttl}");
            }
        }
    }

    #[test]
    fn a_silent_node_expires_after_its_time_to_live_and_the_grace() {
        let mut h = heartbeats();
        let ttl = h.beat(at(0), NodeId(3));
        let due = at(10) + ttl;
        assert_eq!(h.next_alarm(), Some(due));
        assert_eq!(h.expired(due - Duration::from_nanos(1)), None);
        assert_eq!(h.expired(due), Some(NodeId(3)));
        assert_eq!((h.expired(due), h.active()), (None, 0));
    }

    #[test]
    fn a_new_leader_waits_300_s_until_the_first_beat_shortens_it() {
        let mut h = heartbeats();
        h.restore(at(0), NodeId(0));
        h.restore(at(0), NodeId(1));
        let ttl = h.beat(at(1), NodeId(1));
        assert_eq!(h.next_alarm(), Some(at(11) + ttl));
        assert_eq!(h.expired(at(299)), Some(NodeId(1)));
        assert_eq!(h.expired(at(299)), None);
        assert_eq!(h.expired(at(300)), Some(NodeId(0)));
    }

    #[test]
    fn beats_do_not_grow_the_heap() {
        let mut h = heartbeats();
        for second in 0..10_000 {
            h.beat(at(second), NodeId((second % 10) as u32));
            h.next_alarm();
        }
        assert!(h.deadlines.heap.len() <= 40, "{}", h.deadlines.heap.len());
    }
}
