//! The queue of rumours waiting to be passed on (memberlist `TransmitLimitedQueue`): fewest transmissions first, then
//! larger, then newer; each rumour leaves after a number of transmissions that grows with the logarithm of the pool.

use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::base::ordered::OrdMap;
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
    /// What waits, by number of transmissions so far; each tier in order of precedence.
    tiers: Vec<Vec<Entry>>,
    rumours: Vec<Waiting>,
    free: Vec<u32>,
    /// Where the rumour about a member is, for those that replace each other.
    named: OrdMap<Member, u32>,
    count: u32,
}

/// A rumour within its tier: larger before smaller, then newer before older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    bytes: Reverse<u32>,
    id: Reverse<u32>,
    /// Its place in `rumours`.
    place: u32,
}

#[derive(Debug, Clone)]
struct Waiting {
    tier: u32,
    entry: Entry,
    rumour: Rumour,
    name: Option<Member>,
    ticket: Option<Ticket>,
}

impl Broadcasts {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rumours wait.
    pub fn len(&self) -> usize {
        self.rumours.len() - self.free.len()
    }

    /// Queues a rumour that replaces the waiting one about the same member, whose ticket (if any) is returned: it will
    /// not be transmitted any more.
    pub fn push_named(&mut self, name: Member, rumour: Rumour, ticket: Option<Ticket>) -> Option<Ticket> {
        let former = self.named.get(&name).copied();
        let ticket_of_former = former.and_then(|place| {
            self.unqueue(place);
            self.forget(place)
        });
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
        let place = self.free.pop().unwrap_or(u32::try_from(self.rumours.len()).expect("fewer than 2^32 rumours wait"));
        let entry = Entry { bytes: Reverse(rumour.bytes()), id: Reverse(self.count), place };
        let waiting = Waiting { tier: 0, entry, rumour, name, ticket };
        match self.rumours.get_mut(place as usize) {
            Some(free) => *free = waiting,
            None => self.rumours.push(waiting),
        }
        let fresh = self.tier(0);
        fresh.insert(fresh.partition_point(|other| *other < entry), entry);
        place
    }

    fn tier(&mut self, tier: usize) -> &mut Vec<Entry> {
        if self.tiers.len() <= tier {
            self.tiers.resize(tier + 1, Vec::new());
        }
        &mut self.tiers[tier]
    }

    /// Takes a rumour out of its tier.
    fn unqueue(&mut self, place: u32) {
        let Waiting { tier, entry, .. } = self.rumours[place as usize];
        let tier = &mut self.tiers[tier as usize];
        tier.remove(tier.binary_search(&entry).expect("what waits is in its tier"));
    }

    /// Drops a rumour that is in no tier any more; its ticket is returned.
    fn forget(&mut self, place: u32) -> Option<Ticket> {
        self.free.push(place);
        let Waiting { name, ticket, .. } = self.rumours[place as usize];
        if let Some(name) = name {
            self.named.remove(&name);
        }
        ticket
    }

    /// Drops the most transmitted rumours until `max` are left (`Prune`).
    pub fn prune(&mut self, max: usize) {
        for tier in (0..self.tiers.len()).rev() {
            while self.len() > max
                && let Some(entry) = self.tiers[tier].pop()
            {
                self.forget(entry.place);
            }
        }
    }

    /// Takes what fits into `packet`, tier by tier of transmissions, larger ones first, and counts one transmission
    /// each. `overhead` bytes are charged per rumour.
    pub fn take(&mut self, limit: u32, overhead: u32, packet: &mut Packet) {
        packet.rumours.reserve(self.len().min((packet.free / SMALL) as usize));
        let mut sent: SmallVec<[Entry; 64]> = SmallVec::new();
        // Where in `sent` those of each tier end; they join the next tier when all is taken, so that nothing is taken
        // twice.
        let mut ends: SmallVec<[(usize, usize); 16]> = SmallVec::new();
        for at in 0..self.tiers.len() {
            let (tier, rumours) = (&mut self.tiers[at], &self.rumours);
            let mut from = 0;
            while let Some(free) = packet.free.checked_sub(overhead).filter(|free| *free > 0) {
                // In a packet with much room the first one fits, and no other need be looked at.
                if tier.get(from).is_some_and(|first| first.bytes.0 > free) {
                    from += tier[from..].partition_point(|entry| entry.bytes.0 > free);
                }
                let mut to = from;
                while let Some(entry) = tier.get(to)
                    && packet.free.checked_sub(overhead).is_some_and(|free| free > 0 && entry.bytes.0 <= free)
                {
                    packet.free -= overhead + entry.bytes.0;
                    packet.rumours.push(rumours[entry.place as usize].rumour.clone());
                    to += 1;
                }
                if from == to {
                    break;
                }
                sent.extend_from_slice(&tier[from..to]);
                tier.drain(from..to);
            }
            ends.push((at, sent.len()));
            if packet.free <= overhead {
                break;
            }
        }
        let mut from = 0;
        for (tier, to) in ends {
            if tier as u32 + 1 < limit {
                self.join(tier + 1, &sent[from..to]);
            } else {
                let spent = sent[from..to].iter().filter_map(|entry| self.forget(entry.place));
                packet.spent.extend(spent);
            }
            from = to;
        }
    }

    /// Puts rumours into a tier that have come from the one before.
    fn join(&mut self, tier: usize, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        for entry in entries {
            self.rumours[entry.place as usize].tier = tier as u32;
        }
        let tier = self.tier(tier);
        // Two sorted runs are merged from their ends, within the longer one.
        let mut kept = tier.len();
        tier.extend_from_slice(entries);
        let mut coming = entries.len();
        while let Some(last) = coming.checked_sub(1) {
            match kept.checked_sub(1) {
                Some(before) if tier[before] > entries[last] => {
                    tier[before + coming] = tier[before];
                    kept = before;
                }
                _ => {
                    tier[kept + last] = entries[last];
                    coming = last;
                }
            }
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

/// Few rumours are smaller than this, overhead included: room for that many is made at once.
const SMALL: u32 = 32;

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
