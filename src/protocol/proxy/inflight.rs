//! What a hop keeps per request under way: a recycled slot, its connection, its deadline.
//!
//! Invariants: a slot is found only under the number it was opened with; every open request is on the list of exactly
//! one upstream; the idle connections of an upstream are kept oldest first, but for those that responses on their way
//! will free, which stand where they were added.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::index::{Index, hash_pair};
use crate::base::time::{Duration, Time};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::message::{Exchange, RequestNumber};

/// How long and how many idle connections are kept per upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// An idle connection is closed after this long.
    pub idle: Duration,
    /// Idle connections per upstream.
    pub count_max: u32,
}

/// Where a request's connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// An idle connection was taken: send the request.
    Reused,
    /// There was none: connect first.
    Dial,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the connection.
    Dialing,
    /// Waiting for the response.
    Waiting,
}

const NONE: u32 = u32::MAX;
const FREE: RequestNumber = RequestNumber(u64::MAX);

#[derive(Debug, Clone)]
struct Upstream {
    endpoint: Endpoint,
    head: u32,
    /// Since when; most upstreams of a proxy have one or two.
    idle: SmallVec<[Time; 2]>,
}

#[derive(Debug, Clone)]
struct Entry {
    number: RequestNumber,
    upstream: u32,
    next: u32,
    previous: u32,
    phase: Phase,
}

/// Requests under way to upstreams, with what the hop wants to remember of each.
#[derive(Debug, Clone)]
pub struct InFlight<T> {
    slots: Slots,
    /// By slot.
    data: Vec<T>,
}

impl<T: Copy> InFlight<T> {
    /// None under way.
    pub fn new(keep_alive: KeepAlive) -> Self {
        Self { slots: Slots::new(keep_alive), data: Vec::new() }
    }

    /// Requests under way.
    pub fn len(&self) -> usize {
        self.slots.entries.len() - self.slots.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a request, on the most recently used idle connection if one is fresh enough.
    #[inline]
    pub fn open(&mut self, now: Time, endpoint: Endpoint, number: RequestNumber, data: T) -> (u32, Opening) {
        let (id, opening) = self.slots.open(now, endpoint, number);
        match self.data.get_mut(id as usize) {
            Some(place) => *place = data,
            None => self.data.push(data),
        }
        (id, opening)
    }

    /// The connection stands: returns the upstream to send the request to, unless the request is gone or was sent.
    pub fn accepted(&mut self, exchange: Exchange) -> Option<(Endpoint, T)> {
        let entry = self.slots.entry_mut(exchange)?;
        if entry.phase == Phase::Waiting {
            return None;
        }
        entry.phase = Phase::Waiting;
        let upstream = entry.upstream;
        Some(self.of(upstream, exchange))
    }

    /// Where a request stands, if it is under way.
    #[inline]
    pub fn phase(&self, exchange: Exchange) -> Option<Phase> {
        let entry = self.slots.entries.get(exchange.id as usize)?;
        (entry.number == exchange.number).then_some(entry.phase)
    }

    /// What the hop remembers of a request whose response it waits for.
    #[inline]
    pub fn waiting(&self, exchange: Exchange) -> Option<T> {
        (self.phase(exchange) == Some(Phase::Waiting)).then(|| self.data[exchange.id as usize])
    }

    /// The response came: the connection goes back to the idle ones. `now` may be a little ahead of time, if it is
    /// certain that the response will have come by then.
    #[inline]
    pub fn finish(&mut self, now: Time, exchange: Exchange) -> Option<(Endpoint, T)> {
        let upstream = self.slots.finish(now, exchange)?;
        Some(self.of(upstream, exchange))
    }

    /// The request ends and its connection with it.
    pub fn close(&mut self, exchange: Exchange) -> Option<(Endpoint, T)> {
        let upstream = self.slots.unlink(exchange)?;
        Some(self.of(upstream, exchange))
    }

    /// One connection to an upstream was reset: its idle ones are dead too.
    pub fn reset(&mut self, exchange: Exchange) -> Option<(Endpoint, T)> {
        let upstream = self.slots.unlink(exchange)?;
        self.slots.upstreams[upstream as usize].idle.clear();
        Some(self.of(upstream, exchange))
    }

    /// A process refused: every request under way to it ends, newest first per port, into `failed`.
    pub fn refused(&mut self, process: ProcessId, failed: &mut Vec<T>) {
        let ports = (0..).zip(&self.slots.upstreams).filter(|(_, upstream)| upstream.endpoint.process == process);
        let mut upstreams: Vec<(u32, u32)> = ports.map(|(place, upstream)| (upstream.endpoint.port, place)).collect();
        upstreams.sort_unstable();
        for (_, upstream) in upstreams {
            self.slots.upstreams[upstream as usize].idle.clear();
            while let Some(exchange) = self.slots.first_of(upstream) {
                failed.extend(self.close(exchange).map(|(_, data)| data));
            }
        }
    }

    /// Ends everything under way, into `ended`.
    pub fn drain(&mut self, ended: &mut Vec<T>) {
        for id in 0..u32::try_from(self.data.len()).expect("slots are 32-bit numbers") {
            let exchange = Exchange { id, number: self.slots.entries[id as usize].number };
            if exchange.number != FREE {
                ended.extend(self.close(exchange).map(|(_, data)| data));
            }
        }
    }

    /// Forgets everything, as a process that starts anew.
    pub fn clear(&mut self) {
        *self = Self::new(self.slots.keep_alive);
    }

    #[inline]
    fn of(&self, upstream: u32, exchange: Exchange) -> (Endpoint, T) {
        (self.slots.upstreams[upstream as usize].endpoint, self.data[exchange.id as usize])
    }
}

/// The slots, whatever else is remembered of their requests: one and the same code for every kind of hop.
#[derive(Debug, Clone)]
struct Slots {
    index: Index,
    upstreams: Vec<Upstream>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    keep_alive: KeepAlive,
}

impl Slots {
    fn new(keep_alive: KeepAlive) -> Self {
        Self { index: Index::default(), upstreams: Vec::new(), entries: Vec::new(), free: Vec::new(), keep_alive }
    }

    #[inline(never)]
    fn open(&mut self, now: Time, endpoint: Endpoint, number: RequestNumber) -> (u32, Opening) {
        let upstream = self.upstream(endpoint);
        let state = &mut self.upstreams[upstream as usize];
        // What `finish` was told ahead of time is not idle yet.
        let freshest = state.idle.iter().rposition(|since| *since <= now).map(|at| state.idle.remove(at));
        let opening = match freshest {
            Some(since) if now.since(since) < self.keep_alive.idle => Opening::Reused,
            Some(_) => {
                state.idle.retain(|since| *since > now);
                Opening::Dial
            }
            None => Opening::Dial,
        };
        let phase = if opening == Opening::Reused { Phase::Waiting } else { Phase::Dialing };
        let head = state.head;
        let entry = Entry { number, upstream, next: head, previous: NONE, phase };
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 requests under way")
        };
        if head != NONE {
            self.entries[head as usize].previous = id;
        }
        self.upstreams[upstream as usize].head = id;
        (id, opening)
    }

    /// Ends a request whose connection stays; its upstream.
    #[inline(never)]
    fn finish(&mut self, now: Time, exchange: Exchange) -> Option<u32> {
        let upstream = self.unlink(exchange)?;
        let state = &mut self.upstreams[upstream as usize];
        if state.idle.len() < self.keep_alive.count_max as usize {
            state.idle.push(now);
        }
        Some(upstream)
    }

    /// Ends a request; its upstream.
    fn unlink(&mut self, exchange: Exchange) -> Option<u32> {
        let entry = self.entry_mut(exchange)?;
        entry.number = FREE;
        let (upstream, next, previous) = (entry.upstream, entry.next, entry.previous);
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous == NONE {
            self.upstreams[upstream as usize].head = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        self.free.push(exchange.id);
        Some(upstream)
    }

    fn first_of(&self, upstream: u32) -> Option<Exchange> {
        let id = self.upstreams[upstream as usize].head;
        (id != NONE).then(|| Exchange { id, number: self.entries[id as usize].number })
    }

    #[inline]
    fn entry_mut(&mut self, exchange: Exchange) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(exchange.id as usize)?;
        (entry.number == exchange.number).then_some(entry)
    }

    #[inline]
    fn upstream(&mut self, endpoint: Endpoint) -> u32 {
        let hash = hash_of(endpoint);
        if let Some(known) = self.index.find(hash, |place| self.upstreams[place].endpoint == endpoint) {
            return known;
        }
        self.add_upstream(endpoint, hash)
    }

    #[cold]
    fn add_upstream(&mut self, endpoint: Endpoint, hash: u64) -> u32 {
        let fresh = self.index.push(hash, |place| hash_of(self.upstreams[place].endpoint));
        self.upstreams.push(Upstream { endpoint, head: NONE, idle: SmallVec::new() });
        fresh
    }
}

#[inline]
fn hash_of(endpoint: Endpoint) -> u64 {
    hash_pair(endpoint.process.0, endpoint.port)
}

/// Deadlines of equal length: a queue with one alarm.
#[derive(Debug, Clone, Default)]
pub struct Deadlines {
    queue: VecDeque<(Time, Exchange)>,
    is_armed: bool,
}

impl Deadlines {
    /// Adds a deadline, not earlier than any added before. Returns how long from `now` to set the alarm, if it is not
    /// set. `is_live` tells which requests still wait; the front of the queue is cleaned with it, so that the queue
    /// stays
    /// about as long as there are requests under way.
    pub fn push(
        &mut self,
        now: Time,
        timeout: Duration,
        exchange: Exchange,
        is_live: impl Fn(Exchange) -> bool,
    ) -> Option<Duration> {
        while self.queue.front().is_some_and(|&(_, front)| !is_live(front)) {
            self.queue.pop_front();
        }
        self.queue.push_back((now + timeout, exchange));
        if self.is_armed {
            return None;
        }
        self.is_armed = true;
        Some(timeout)
    }

    /// The next request whose deadline has come; call until `None`.
    pub fn due(&mut self, now: Time, is_live: impl Fn(Exchange) -> bool) -> Option<Exchange> {
        while let Some(&(deadline, exchange)) = self.queue.front() {
            if !is_live(exchange) {
                self.queue.pop_front();
            } else if deadline <= now {
                self.queue.pop_front();
                return Some(exchange);
            } else {
                return None;
            }
        }
        None
    }

    /// The alarm went off and everything due is handled: how long until the next, if any waits.
    pub fn rearm(&mut self, now: Time) -> Option<Duration> {
        let next = self.queue.front().map(|&(deadline, _)| deadline.since(now));
        self.is_armed = next.is_some();
        next
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Finds a hop's own slot by the slot of whoever asked, for cancellations. Peers are few; their slots are dense.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    peers: Vec<(ProcessId, Vec<u32>)>,
}

impl Callers {
    /// Remembers that the caller's slot `theirs` is ours `own`.
    pub fn set(&mut self, caller: ProcessId, theirs: u32, own: u32) {
        let known = self.peers.iter().position(|(peer, _)| *peer == caller);
        let at = known.unwrap_or(self.peers.len());
        if known.is_none() {
            self.peers.push((caller, Vec::new()));
        }
        let slots = &mut self.peers[at].1;
        if slots.len() <= theirs as usize {
            slots.resize(theirs as usize + 1, NONE);
        }
        slots[theirs as usize] = own;
    }

    /// Our slot for the caller's; it may have been recycled since, so check the number.
    pub fn get(&self, caller: ProcessId, theirs: u32) -> Option<u32> {
        let (_, slots) = self.peers.iter().find(|(peer, _)| *peer == caller)?;
        slots.get(theirs as usize).copied().filter(|&own| own != NONE)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.peers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Endpoint = Endpoint { process: ProcessId(7), port: 80 };

    fn number(sequence: u64) -> RequestNumber {
        RequestNumber::new(0, sequence, 0)
    }

    fn in_flight() -> InFlight<u32> {
        InFlight::new(KeepAlive { idle: Duration::from_secs(15), count_max: 2 })
    }

    #[test]
    fn a_connection_is_reused_while_fresh() {
        let mut requests = in_flight();
        let (id, opening) = requests.open(Time::ZERO, END, number(0), 0);
        assert_eq!((id, opening), (0, Opening::Dial));
        let exchange = Exchange { id, number: number(0) };
        assert!(requests.accepted(exchange).is_some());
        assert!(requests.finish(Time::ZERO, exchange).is_some());
        assert!(requests.finish(Time::ZERO, exchange).is_none(), "a second answer is nobody's");
        let later = Time::ZERO + Duration::from_secs(14);
        let (id, opening) = requests.open(later, END, number(1), 0);
        assert_eq!((id, opening), (0, Opening::Reused));
        requests.finish(later, Exchange { id, number: number(1) });
        let (_, opening) = requests.open(later + Duration::from_secs(15), END, number(2), 0);
        assert_eq!(opening, Opening::Dial);
    }

    #[test]
    fn a_refusal_ends_everything_under_way_to_that_process() {
        let mut requests = in_flight();
        let other = Endpoint { process: ProcessId(8), port: 80 };
        for i in 0..3 {
            requests.open(Time::ZERO, END, number(i), i as u32);
        }
        requests.open(Time::ZERO, other, number(3), 3);
        requests.close(Exchange { id: 1, number: number(1) });
        let mut failed = Vec::new();
        requests.refused(ProcessId(7), &mut failed);
        assert_eq!(failed, [2, 0]);
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn equal_deadlines_are_one_queue_with_one_alarm() {
        let mut deadlines = Deadlines::default();
        let exchange = |i: u32| Exchange { id: i, number: number(u64::from(i)) };
        let second = Duration::from_secs(1);
        assert_eq!(deadlines.push(Time::ZERO, second, exchange(0), |_| true), Some(second));
        assert_eq!(deadlines.push(Time::ZERO + second / 2, second, exchange(1), |_| true), None);
        let now = Time::ZERO + second;
        assert_eq!(deadlines.due(now, |_| true), Some(exchange(0)));
        assert_eq!(deadlines.due(now, |_| true), None);
        assert_eq!(deadlines.rearm(now), Some(second / 2));
        assert_eq!(deadlines.due(now + second, |_| false), None);
        assert_eq!(deadlines.rearm(now + second), None);
    }
}
