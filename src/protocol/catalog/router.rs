//! Which server an agent asks (Consul `agent/router`): always the first of its list. A server that fails goes to the
//! end; now and then the list is shuffled, so that agents spread over servers that came back.

use crate::base::id::ProcessId;
use crate::base::rng::Draws;
use crate::base::time::Duration;

/// An agent's list of the servers of its datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerList {
    servers: Vec<ProcessId>,
}

impl ServerList {
    /// The server to ask.
    pub fn first(&self) -> Option<ProcessId> {
        self.servers.first().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// A server joined; false if it was listed already.
    pub fn add(&mut self, server: ProcessId) -> bool {
        let new = !self.servers.contains(&server);
        if new {
            self.servers.push(server);
        }
        new
    }

    /// A server failed or left, says Serf.
    pub fn remove(&mut self, server: ProcessId) {
        self.servers.retain(|other| *other != server);
    }

    /// A call to the first server failed: it goes to the end. A server that is no longer first stays where it is.
    pub fn failed(&mut self, server: ProcessId) {
        if self.first() == Some(server) {
            self.servers.rotate_left(1);
        }
    }

    /// Shuffles; `round` numbers the draws.
    pub fn shuffle(&mut self, draws: Draws, round: u64) {
        for i in (1..self.servers.len()).rev() {
            let j = draws.below(round, SHUFFLE_LANE + i as u64, i as u64 + 1) as usize;
            self.servers.swap(i, j);
        }
    }

    /// Time until the next shuffle: 120 s to 180 s, and longer where so many agents would move more than 64 connections
    /// per server and second (Consul `clientRPCMinReuseDuration`, `newRebalanceConnsPerSecPerServer`).
    pub fn rebalance_interval(&self, draws: Draws, round: u64, lan_members: u32) -> Duration {
        let jitter = draws.uniform(round, REBALANCE_LANE);
        let least = MIN_REUSE + (MIN_REUSE / 2).mul_f64(jitter);
        let connections_per_second = 64.0 * self.servers.len().max(1) as f64;
        least.max(Duration::from_secs_f64(f64::from(lan_members) / connections_per_second))
    }
}

const MIN_REUSE: Duration = Duration::from_secs(120);
const REBALANCE_LANE: u64 = 0x100;
const SHUFFLE_LANE: u64 = 0x200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_server_goes_to_the_end_once() {
        let mut list = ServerList::default();
        for server in 1..=3 {
            assert!(list.add(ProcessId(server)));
        }
        assert!(!list.add(ProcessId(2)));
        list.failed(ProcessId(1));
        list.failed(ProcessId(1));
        assert_eq!(list.servers, [ProcessId(2), ProcessId(3), ProcessId(1)]);
        list.remove(ProcessId(2));
        assert_eq!(list.first(), Some(ProcessId(3)));
    }

    #[test]
    fn large_clusters_rebalance_more_slowly() {
        let mut list = ServerList::default();
        for server in 0..3 {
            list.add(ProcessId(server));
        }
        let draws = Draws::new(1, "router");
        for round in 0..200 {
            let small = list.rebalance_interval(draws, round, 1_000);
            assert!(Duration::from_secs(120) <= small && small < Duration::from_secs(180));
        }
        assert_eq!(list.rebalance_interval(draws, 0, 192_000), Duration::from_secs(1_000));
    }
}
