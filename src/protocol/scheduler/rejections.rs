//! Nodes that reject one plan after the other are probably broken: the leader counts, and makes them ineligible (Nomad
//! 1.3.2 `nomad/plan_apply_node_tracker.go`).
//!
//! Nomad keeps a 2Q cache of 50 nodes; here the node whose last rejection is longest ago makes room.

use std::collections::VecDeque;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::node::NodeId;
use crate::protocol::scheduler::config::RejectionConfig;

/// Rejections by node.
#[derive(Debug, Clone, Default)]
pub struct RejectionTracker {
    nodes: OrdMap<NodeId, VecDeque<Time>>,
    /// When the budget for ineligible nodes would be whole again.
    spent_until: Option<Time>,
}

impl RejectionTracker {
    /// A node rejected its part of a plan. Whether it is to be made ineligible.
    pub fn add(&mut self, now: Time, node: NodeId, config: RejectionConfig) -> bool {
        if !self.nodes.contains_key(&node) && self.nodes.len() == NODES_MAX {
            let oldest = self.nodes.iter().min_by_key(|(node, times)| (times.back().copied(), **node));
            if let Some(oldest) = oldest.map(|(node, _)| *node) {
                self.nodes.remove(&oldest);
            }
        }
        let times = self.nodes.entry(node).or_default();
        times.push_back(now);
        while times.front().is_some_and(|first| now.since(*first) > config.window) {
            times.pop_front();
        }
        times.len() >= config.threshold as usize && self.may_spend(now)
    }

    /// A budget of ten nodes that grows by one every six minutes.
    fn may_spend(&mut self, now: Time) -> bool {
        let spent_until = self.spent_until.unwrap_or(now).max(now);
        if spent_until.since(now) > REFILL * (BURST - 1) {
            return false;
        }
        self.spent_until = Some(spent_until + REFILL);
        true
    }
}

/// Nodes tracked at most (Nomad `CacheSize`).
const NODES_MAX: usize = 50;
/// Nodes made ineligible at once (Nomad `BurstSize`).
const BURST: u64 = 10;
/// Time until one more may be (Nomad `RateLimit`: five in 30 min).
const REFILL: Duration = Duration::from_mins(6);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_hundred_rejections_within_five_minutes_are_too_many() {
        let config = RejectionConfig::default();
        let mut tracker = RejectionTracker::default();
        let mut slow = (0..200).map(|n| tracker.add(at(4 * n), NodeId(1), config));
        assert!(slow.all(|bad| !bad), "75 in five minutes");
        let verdicts: Vec<bool> = (0..101).map(|n| tracker.add(at(1_000 + n), NodeId(2), config)).collect();
        assert_eq!(verdicts.iter().position(|bad| *bad), Some(99));
        assert!(verdicts[100], "it goes on until the node takes nothing more");
    }

    #[test]
    fn ten_nodes_at_once_and_one_more_every_six_minutes() {
        let config = RejectionConfig { threshold: 1, ..RejectionConfig::default() };
        let mut tracker = RejectionTracker::default();
        let marked = |tracker: &mut RejectionTracker, from, seconds| {
            (from..from + 20).filter(|node| tracker.add(at(seconds), NodeId(*node), config)).count()
        };
        assert_eq!(marked(&mut tracker, 0, 0), 10);
        assert_eq!(marked(&mut tracker, 20, 359), 0);
        assert_eq!(marked(&mut tracker, 40, 720), 2);
        assert_eq!(tracker.nodes.len(), 50, "the others are forgotten");
    }
}
