//! The name of a balancer: an address per zone, minus those found dead, slowly.
//!
//! Covered: the answer of the cloud's DNS for a balancer's name and its time to live. Left out: resolvers between the
//! client and the cloud, which may cache longer than they should. A node that dies stays in the answer until its health
//! check noticed (`interval` times `failures`), and then in clients' caches for the time to live.

use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};

/// How a balancer's name behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsConfig {
    /// Time an answer may be cached: 60 s for ELB names.
    pub ttl: Duration,
    /// Time between two checks of a node. Route 53 checks every 30 s, or 10 s.
    pub interval: Duration,
    /// Failures in a row that remove a node. Route 53: 3.
    pub failures: u32,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(60), interval: Duration::from_secs(10), failures: 3 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    node: ProcessId,
    down_since: Option<Time>,
    up_since: Time,
}

/// The records of one name.
#[derive(Debug, Clone)]
pub struct DnsSet {
    config: DnsConfig,
    records: Vec<Record>,
}

impl DnsSet {
    /// A name with these nodes, all in service.
    pub fn new(config: DnsConfig, nodes: &[ProcessId]) -> Self {
        let record = |&node| Record { node, down_since: None, up_since: Time::ZERO };
        Self { config, records: nodes.iter().map(record).collect() }
    }

    /// A node stopped or started working.
    pub fn set_in_service(&mut self, now: Time, node: ProcessId, is_in_service: bool) {
        let delay = self.config.interval * u64::from(self.config.failures);
        for record in self.records.iter_mut().filter(|record| record.node == node) {
            match (is_in_service, record.down_since) {
                (true, Some(since)) => {
                    if now.since(since) >= delay {
                        record.up_since = now + delay;
                    }
                    record.down_since = None;
                }
                (false, None) => record.down_since = Some(now),
                (true, None) | (false, Some(_)) => {}
            }
        }
    }

    /// The answer now, into `answer`. With every node out, all are returned.
    pub fn resolve(&self, now: Time, answer: &mut Vec<ProcessId>) {
        let delay = self.config.interval * u64::from(self.config.failures);
        let is_listed =
            |record: &&Record| record.up_since <= now && record.down_since.is_none_or(|since| now.since(since) < delay);
        answer.clear();
        answer.extend(self.records.iter().filter(is_listed).map(|record| record.node));
        if answer.is_empty() {
            answer.extend(self.records.iter().map(|record| record.node));
        }
    }

    /// How long an answer may be cached.
    pub fn ttl(&self) -> Duration {
        self.config.ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_node_leaves_slowly_and_comes_back_slowly() {
        let (a, b) = (ProcessId(1), ProcessId(2));
        let mut dns = DnsSet::new(DnsConfig::default(), &[a, b]);
        let mut answer = Vec::new();
        let mut check = |dns: &DnsSet, seconds: u64, expected: &[ProcessId]| {
            dns.resolve(Time::ZERO + Duration::from_secs(seconds), &mut answer);
            assert_eq!(answer, expected, "after {seconds} s");
        };
        dns.set_in_service(Time::ZERO, b, false);
        check(&dns, 29, &[a, b]);
        check(&dns, 30, &[a]);
        dns.set_in_service(Time::ZERO + Duration::from_secs(100), b, true);
        check(&dns, 129, &[a]);
        check(&dns, 130, &[a, b]);
        dns.set_in_service(Time::ZERO + Duration::from_secs(200), a, false);
        dns.set_in_service(Time::ZERO + Duration::from_secs(200), b, false);
        check(&dns, 300, &[a, b]);
    }
}
