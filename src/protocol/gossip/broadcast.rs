//! The queue of rumours waiting to be passed on (memberlist `TransmitLimitedQueue`): fewest transmissions first, then
//! larger, then newer; each rumour leaves after a number of transmissions that grows with the logarithm of the pool.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::message::{COMPOUND_OVERHEAD, Rumour};

/// Marks a rumour whose last transmission somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The leave intent, which goes out before the goodbye.
    LeaveIntent,
    /// The goodbye itself.
    Goodbye,
}

/// How often a rumour is transmitted in a pool of this many members: `mult * ceil(log10(members + 1))`.
pub fn transmit_limit(mult: u32, members: usize) -> u32 {
    let mut decades = 0;
    let mut reach = 1;
    while reach < members + 1 {
        reach *= 10;
        decades += 1;
    }
    mult * decades
}

/// The queue.
#[derive(Debug, Clone, Default)]
pub struct Broadcasts {
    /// The queue itself: places in `rumours`.
    waiting: BTreeMap<Key, u32>,
    rumours: Vec<Waiting>,
    free: Vec<u32>,
    /// Where the rumour about a member is, for those that replace each other.
    named: BTreeMap<Member, u32>,
    count: u32,
}

/// Place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    transmits: u32,
    bytes: Reverse<u32>,
    id: Reverse<u32>,
}

#[derive(Debug, Clone)]
struct Waiting {
    key: Key,
    rumour: Rumour,
    name: Option<Member>,
    ticket: Option<Ticket>,
}

impl Broadcasts {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many rumours wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Queues a rumour that replaces the waiting one about the same member, whose ticket (if any) is returned: it will
    /// not be transmitted any more.
    pub fn push_named(&mut self, name: Member, rumour: Rumour, ticket: Option<Ticket>) -> Option<Ticket> {
        let former = self.named.get(&name).map(|&place| self.rumours[place as usize].key);
        let ticket_of_former = former.and_then(|key| self.remove(key));
        let place = self.insert(rumour, Some(name), ticket);
        self.named.insert(name, place);
        ticket_of_former
    }

    /// Queues a rumour that replaces nothing.
    pub fn push(&mut self, rumour: Rumour, ticket: Option<Ticket>) {
        self.insert(rumour, None, ticket);
    }

    fn insert(&mut self, rumour: Rumour, name: Option<Member>, ticket: Option<Ticket>) -> u32 {
        self.count = self.count.wrapping_add(1);
        let key = Key { transmits: 0, bytes: Reverse(rumour.bytes()), id: Reverse(self.count) };
        let waiting = Waiting { key, rumour, name, ticket };
        let place = if let Some(place) = self.free.pop() {
            self.rumours[place as usize] = waiting;
            place
        } else {
            self.rumours.push(waiting);
            u32::try_from(self.rumours.len() - 1).expect("fewer than 2^32 rumours wait")
        };
        self.waiting.insert(key, place);
        place
    }

    /// Drops a rumour; its ticket is returned.
    fn remove(&mut self, key: Key) -> Option<Ticket> {
        let place = self.waiting.remove(&key)?;
        self.free.push(place);
        let Waiting { name, ticket, .. } = self.rumours[place as usize];
        if let Some(name) = name {
            self.named.remove(&name);
        }
        ticket
    }

    /// Drops the most transmitted rumours until `max` are left (`Prune`).
    pub fn prune(&mut self, max: usize) {
        while self.waiting.len() > max {
            let (&key, _) = self.waiting.last_key_value().expect("more than `max` wait");
            self.remove(key);
        }
    }

    /// Takes what fits into `packet`, tier by tier of transmissions, larger ones first, and counts one transmission
    /// each. `overhead` bytes are charged per rumour.
    pub fn take(&mut self, limit: u32, overhead: u32, packet: &mut Packet) {
        let Some((&Key { transmits: mut tier, .. }, _)) = self.waiting.first_key_value() else { return };
        let mut again: SmallVec<[(Key, u32); 32]> = SmallVec::new();
        while let Some(free) = packet.free.checked_sub(overhead).filter(|&free| free > 0) {
            let from = Key { transmits: tier, bytes: Reverse(free), id: Reverse(u32::MAX) };
            let Some((&key, &place)) = self.waiting.range(from..).next() else { break };
            if key.transmits > tier {
                tier = key.transmits;
                continue;
            }
            packet.free -= overhead + key.bytes.0;
            packet.rumours.push(self.rumours[place as usize].rumour.clone());
            if key.transmits + 1 >= limit {
                packet.spent.extend(self.remove(key));
            } else {
                self.waiting.remove(&key);
                again.push((Key { transmits: key.transmits + 1, ..key }, place));
            }
        }
        for (key, place) in again {
            self.rumours[place as usize].key = key;
            self.waiting.insert(key, place);
        }
    }
}

/// Room in one packet, filled from several queues.
#[derive(Debug)]
pub struct Packet {
    /// Bytes left.
    pub free: u32,
    /// What is in it.
    pub rumours: Vec<Rumour>,
    /// Tickets of rumours that went out for the last time.
    pub spent: Vec<Ticket>,
}

impl Packet {
    /// An empty packet with room for this many bytes.
    pub const fn new(free: u32) -> Self {
        Self { free, rumours: Vec::new(), spent: Vec::new() }
    }
}

/// What a user rumour costs besides itself: memberlist's message type byte and the compound overhead.
pub(super) const USER_OVERHEAD: u32 = COMPOUND_OVERHEAD + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::gossip::lamport::LTime;

    fn dead(member: u32) -> Rumour {
        Rumour::Dead { member: Member(member), incarnation: 1, from: Member(0) }
    }

    fn intent(member: u32) -> Rumour {
        Rumour::JoinIntent { member: Member(member), ltime: LTime(1) }
    }

    fn take(queue: &mut Broadcasts, limit: u32, bytes: u32) -> String {
        let mut packet = Packet::new(bytes);
        queue.take(limit, COMPOUND_OVERHEAD, &mut packet);
        packet.rumours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_limit_grows_by_decades() {
        for (members, limit) in [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (999, 12), (1000, 16)] {
            assert_eq!(transmit_limit(4, members), limit, "{members}");
        }
    }

    #[test]
    fn fresh_before_stale_large_before_small_new_before_old() {
        let mut queue = Broadcasts::default();
        queue.push(intent(1), None);
        queue.push_named(Member(2), dead(2), None);
        queue.push_named(Member(3), dead(3), None);
        assert_eq!(take(&mut queue, 3, 1000), "dead(m3 inc=1 by=m0) dead(m2 inc=1 by=m0) joins(m1 L1)");
        queue.push(intent(4), None);
        assert_eq!(take(&mut queue, 3, 70), "joins(m4 L1)");
        assert_eq!(take(&mut queue, 3, 70), "dead(m3 inc=1 by=m0)");
        assert_eq!(take(&mut queue, 3, 61), "dead(m2 inc=1 by=m0)");
    }

    #[test]
    fn a_rumour_replaces_the_one_about_the_same_member_and_leaves_when_its_budget_is_spent() {
        let mut queue = Broadcasts::default();
        assert_eq!(queue.push_named(Member(2), dead(2), Some(Ticket::Goodbye)), None);
        assert_eq!(queue.push_named(Member(2), dead(2), Some(Ticket::LeaveIntent)), Some(Ticket::Goodbye));
        assert_eq!(queue.len(), 1);
        assert_eq!(take(&mut queue, 2, 1000), "dead(m2 inc=1 by=m0)");
        let mut packet = Packet::new(1000);
        queue.take(2, COMPOUND_OVERHEAD, &mut packet);
        assert_eq!(packet.spent, [Ticket::LeaveIntent]);
        assert!(queue.is_empty());
        assert!(queue.named.is_empty());
    }

    #[test]
    fn pruning_drops_the_most_transmitted() {
        let mut queue = Broadcasts::default();
        queue.push(intent(1), None);
        take(&mut queue, 9, 1000);
        queue.push(intent(2), None);
        queue.prune(1);
        assert_eq!(take(&mut queue, 9, 1000), "joins(m2 L1)");
    }
}
