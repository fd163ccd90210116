//! Which ports of a node are taken (Nomad `NetworkIndex`), and the text form of reserved ports.
//!
//! Invariant: `held` is sorted and has no entry with a count of zero. Bandwidth is not enforced since Nomad 0.12 and is
//! left out.

use std::sync::Arc;

use smallvec::SmallVec;

/// Ports of one node: what the node keeps for itself, shared, and what its live allocations hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortUse {
    /// Reserved by the node on every address: sorted, disjoint, inclusive ranges.
    reserved: Arc<[(u16, u16)]>,
    /// Holder counts by address and port.
    held: SmallVec<[(u32, u16); 4]>,
    /// Ports held more than once, reserved ones included, and values that are no ports.
    collisions: u32,
}

impl PortUse {
    /// A node without allocations.
    pub fn new(reserved: Arc<[(u16, u16)]>) -> Self {
        Self { reserved, held: SmallVec::new(), collisions: 0 }
    }

    /// Takes a port, even if it is taken already.
    pub fn add(&mut self, address: u8, port: i64) {
        let Ok(port) = u16::try_from(port) else {
            self.collisions += 1;
            return;
        };
        self.collisions += u32::from(self.is_reserved(port));
        match self.held.binary_search_by_key(&key(address, port), |held| held.0) {
            Ok(at) => {
                self.held[at].1 += 1;
                self.collisions += 1;
            }
            Err(at) => self.held.insert(at, (key(address, port), 1)),
        }
    }

    /// Gives a port back. It must have been taken.
    pub fn remove(&mut self, address: u8, port: i64) {
        let Ok(port) = u16::try_from(port) else {
            self.collisions -= 1;
            return;
        };
        self.collisions -= u32::from(self.is_reserved(port));
        let at = self
            .held
            .binary_search_by_key(&key(address, port), |held| held.0)
            .expect("a port is given back only by its holder");
        if self.held[at].1 > 1 {
            self.held[at].1 -= 1;
            self.collisions -= 1;
        } else {
            self.held.remove(at);
        }
    }

    /// Neither reserved nor held.
    pub fn is_free(&self, address: u8, port: u16) -> bool {
        !self.is_reserved(port) && self.held.binary_search_by_key(&key(address, port), |held| held.0).is_err()
    }

    /// Some port has two holders, or some value is no port.
    pub fn has_collision(&self) -> bool {
        self.collisions > 0
    }

    /// Whether anything is held or reserved.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.reserved.is_empty()
    }

    /// Ports held, an address and port once however many hold it.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many of these ports, both ends included, the node keeps for itself.
    pub fn reserved_within(&self, first: u16, last: u16) -> u16 {
        let overlaps = self.reserved.iter().map(|range| (range.0.max(first), range.1.min(last)));
        overlaps.filter(|(low, high)| low <= high).map(|(low, high)| high - low + 1).sum()
    }

    /// Reserved by the node itself.
    fn is_reserved(&self, port: u16) -> bool {
        let after = self.reserved.partition_point(|range| range.0 <= port);
        after > 0 && port <= self.reserved[after - 1].1
    }
}

/// Reads `22, 8000-8100`. One malformed item (empty, no number, end before begin) makes the whole text count as empty,
/// as in Nomad. Numbers above 65535 reserve nothing. Sorted, disjoint ranges.
pub fn parse_reserved(text: &str) -> Vec<(u16, u16)> {
    let mut ranges = Vec::new();
    if text.trim().is_empty() {
        return ranges;
    }
    for item in text.split(',') {
        let item = item.trim();
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        let (Some(low), Some(high)) = (number(low), number(high)) else { return Vec::new() };
        if high < low {
            return Vec::new();
        }
        if let Ok(low) = u16::try_from(low) {
            ranges.push((low, u16::try_from(high).unwrap_or(u16::MAX)));
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(low) <= u32::from(last.1) + 1 => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged
}

/// Digits only, as Go's `ParseUint` takes them.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn key(address: u8, port: u16) -> u32 {
    u32::from(address) << 16 | u32::from(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_texts() {
        for (text, ranges) in [
            ("", vec![]),
            ("22,80", vec![(22, 22), (80, 80)]),
            (" 8000-8100 , 22", vec![(22, 22), (8000, 8100)]),
            ("20-10", vec![]),
            ("22,,80", vec![]),
            ("22,8000 - 8100", vec![]),
            ("22-", vec![]),
            ("22-23-24", vec![]),
            ("bad", vec![]),
            ("10-20,15-30", vec![(10, 30)]),
        ] {
            assert_eq!(parse_reserved(text), ranges, "{text}");
        }
    }

    #[test]
    fn collisions_come_and_go_with_their_holders() {
        let mut ports = PortUse::new([(22, 22)].into());
        ports.add(0, 80);
        assert!(!ports.has_collision() && !ports.is_free(0, 80) && ports.is_free(1, 80) && !ports.is_free(0, 22));
        ports.add(0, 80);
        ports.add(0, 22);
        ports.add(0, 70_000);
        for port in [80, 22, 70_000] {
            assert!(ports.has_collision());
            ports.remove(0, port);
        }
        assert!(!ports.has_collision() && !ports.is_free(0, 80));
    }

    #[test]
    fn reserved_ports_are_counted_within_bounds() {
        let ports = PortUse::new(parse_reserved("22, 100-109, 200-299, 65000-70000").into());
        for (first, last, count) in [(0, 99, 1), (100, 109, 10), (105, 204, 10), (110, 199, 0), (250, 250, 1)] {
            assert_eq!(ports.reserved_within(first, last), count, "{first} to {last}");
        }
        assert_eq!(ports.reserved_within(0, u16::MAX), 1 + 10 + 100 + 536);
    }
}
