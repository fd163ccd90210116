//! When an agent brings the catalog in line with what it has (Consul `agent/ae`): everything now and then, what changed
//! at once. Times only; [`crate::protocol::catalog::agent`] carries them out.

use crate::base::rng::Draws;
use crate::base::time::Duration;

/// When agents synchronise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncConfig {
    /// Time between full synchronisations, to which up to as much again, scaled with the cluster, is added.
    /// Default 60 s (`ae_interval`).
    pub interval: Duration,
    /// The same after a failed one. Default 15 s (`retryFailInterval`).
    pub retry: Duration,
    /// A full synchronisation follows within this time when a server joins, scaled with the cluster. Default 3 s
    /// (`serverUpInterval`).
    pub server_up: Duration,
    /// A change of a check's output alone is written after half to one and a half times this. Default 5 min
    /// (`check_update_interval`).
    pub output: Duration,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            retry: Duration::from_secs(15),
            server_up: Duration::from_secs(3),
            output: Duration::from_mins(5),
        }
    }
}

/// By how much random delays grow with the size of the LAN pool: 1 up to 128 members, then one more each time the
/// number doubles (Consul `scaleFactor`).
pub fn scale_factor(lan_members: u32) -> u64 {
    if lan_members <= 128 { 1 } else { u64::from((lan_members - 1).ilog2() + 1 - 7) + 1 }
}

impl SyncConfig {
    /// Until the next full synchronisation. `round` numbers the draws, here and below.
    pub fn next_full(&self, draws: Draws, round: u64, lan_members: u32) -> Duration {
        self.interval + stagger(draws, round, self.interval, lan_members)
    }

    /// Until a failed one is tried again.
    pub fn next_retry(&self, draws: Draws, round: u64, lan_members: u32) -> Duration {
        self.retry + stagger(draws, round, self.retry, lan_members)
    }

    /// Until the one that a new server brings about.
    pub fn after_server_up(&self, draws: Draws, round: u64, lan_members: u32) -> Duration {
        stagger(draws, round, self.server_up, lan_members)
    }

    /// Until a new output is written.
    pub fn defer_output(&self, draws: Draws, round: u64) -> Duration {
        self.output / 2 + self.output.mul_f64(draws.uniform(round, OUTPUT_LANE))
    }
}

fn stagger(draws: Draws, round: u64, limit: Duration, lan_members: u32) -> Duration {
    (limit * scale_factor(lan_members)).mul_f64(draws.uniform(round, STAGGER_LANE))
}

const STAGGER_LANE: u64 = 1;
const OUTPUT_LANE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_grows_by_one_per_doubling() {
        let expected =
            [(1, 1), (128, 1), (129, 2), (256, 2), (257, 3), (512, 3), (513, 4), (1_024, 4), (1_025, 5), (8_192, 7)];
        for (members, factor) in expected {
            assert_eq!(scale_factor(members), factor, "{members}");
        }
    }

    #[test]
    fn delays_stay_in_their_ranges_and_fill_them() {
        let config = SyncConfig::default();
        let draws = Draws::new(1, "anti-entropy");
        let check = |from: u64, to: u64, delay: &dyn Fn(u64) -> Duration| {
            let all: Vec<Duration> = (0..2_000).map(delay).collect();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(Duration::from_secs(from) <= *least && *most < Duration::from_secs(to), "{least} {most}");
            let width = Duration::from_secs(to - from);
            assert!((*most - *least).as_secs_f64() > 0.99 * width.as_secs_f64());
        };
        check(60, 120, &|round| config.next_full(draws, round, 100));
        check(60, 240, &|round| config.next_full(draws, round, 300));
        check(15, 30, &|round| config.next_retry(draws, round, 100));
        check(0, 3, &|round| config.after_server_up(draws, round, 100));
        check(150, 450, &|round| config.defer_output(draws, round));
    }
}
