//! Which instances a DNS answer of an agent names (Consul `agent/dns.go`). The query behind it is an ordinary health
//! query that any server may answer; this is the choice that follows. For whoever builds on the catalog: no process of
//! a world asks by DNS, since fabio watches the catalog itself.
//!
//! Left out: wire sizes (an answer is cut by count, not by bytes, and so not to the 8 addresses that fit without EDNS),
//! answers over TCP and `a_record_limit` (none by default), names with tags and those of RFC 2782, SRV extras,
//! recursors, caching (off by default), times to live (zero by default; `service_ttl` by name), and the second question
//! to the leader when a server is behind it for longer than `max_stale` (ten years by default).

use crate::base::rng::Rng;
use crate::protocol::catalog::health::HealthFilter;
use crate::protocol::catalog::health::ServiceRow;

/// Options of the DNS interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsConfig {
    /// Drop instances with a warning too. Default false (`only_passing`).
    pub only_passing: bool,
    /// Addresses in an answer over UDP. Default 3 (`udp_answer_limit`, without EDNS).
    pub udp_answer_limit: usize,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { only_passing: false, udp_answer_limit: 3 }
    }
}

impl DnsConfig {
    /// The instances named, in the order of the answer: the healthy ones, shuffled, then cut. Empty means `NXDOMAIN`.
    pub fn answer(&self, rows: &[ServiceRow], rng: &mut Rng) -> Vec<ServiceRow> {
        let filter = if self.only_passing { HealthFilter::Passing } else { HealthFilter::NotCritical };
        let mut kept: Vec<&ServiceRow> = rows.iter().filter(|row| filter.keeps(row.status)).collect();
        rng.shuffle(&mut kept);
        kept.into_iter().take(self.udp_answer_limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::id::ProcessId;
    use crate::model::service::CheckStatus;
    use crate::protocol::catalog::record::InstanceId;
    use crate::protocol::catalog::record::ServiceSpec;

    #[test]
    fn healthy_instances_take_turns_at_the_front() {
        let spec = Arc::new(ServiceSpec { name: "web".into(), address: ProcessId(1), port: 80, tags: [].into() });
        let statuses = [CheckStatus::Passing, CheckStatus::Warning, CheckStatus::Critical, CheckStatus::Passing];
        let rows: Vec<ServiceRow> = (0..)
            .zip(statuses)
            .map(|(id, status)| ServiceRow {
                node: ProcessId(1),
                instance: InstanceId(id),
                spec: Arc::clone(&spec),
                status,
            })
            .collect();
        let mut rng = Rng::stream(1, "dns");
        let mut firsts = [0_u32; 4];
        for _ in 0..3_000 {
            let answer = DnsConfig::default().answer(&rows, &mut rng);
            assert_eq!(answer.len(), 3);
            firsts[answer[0].instance.0 as usize] += 1;
        }
        assert!(firsts[2] == 0 && [0, 1, 3].iter().all(|at| firsts[*at].abs_diff(1_000) < 150), "{firsts:?}");
        assert_eq!(DnsConfig { only_passing: true, ..DnsConfig::default() }.answer(&rows, &mut rng).len(), 2);
    }
}
