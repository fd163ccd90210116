//! Settings of one server, and what Nomad and Consul make of the library's defaults.

use crate::base::time::Duration;

/// Whether candidates ask first if an election would succeed (Raft thesis §9.6; HashiCorp raft since 1.7.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreVote {
    /// HashiCorp raft 1.7 and later.
    On,
    /// Earlier releases, or `PreVoteDisabled`.
    Off,
}

/// Settings of one server. HashiCorp raft demands `heartbeat <= election` and `lease <= heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Silence after which a follower looks for a new leader; a tenth of it paces heartbeats. Default 1 s.
    pub heartbeat: Duration,
    /// A candidate's patience, and the limit of a leadership transfer. Default 1 s.
    pub election: Duration,
    /// How long a leader may lack contact with a quorum. Default 500 ms.
    pub lease: Duration,
    /// Pace of `AppendEntries` to an idle peer. Default 50 ms.
    pub commit: Duration,
    /// Entries per request, and per write of the leader, in 1..=1024. Default 64.
    pub append_entries_max: u32,
    /// Whether candidates pre-vote. Default on.
    pub pre_vote: PreVote,
    /// Requests to one peer that may be unanswered (`MaxRPCsInFlight`); below 2 turns pipelining off. Default 2.
    pub pipeline_depth: u32,
    /// Patience with one request (transport `Timeout`); with an image, once for every 256 KiB of it. Default 10 s.
    pub rpc_timeout: Duration,
    /// Pace of the check whether a snapshot is due. Default 120 s.
    pub snapshot_interval: Duration,
    /// Entries since the last snapshot that make one due. Default 8192.
    pub snapshot_threshold: u64,
    /// Entries kept behind a snapshot. Default 10240.
    pub trailing_logs: u64,
}

/// Why settings do not work together (HashiCorp raft `ValidateConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Heartbeat and election timeout are at least 5 ms, the lease as well.
    #[error("`{name}` is `{value}`, at least 5 milliseconds are needed")]
    TooShort {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: Duration,
    },
    /// The commit timeout is at least 1 ms.
    #[error("the commit timeout is `{0}`, at least 1 millisecond is needed")]
    CommitTooShort(Duration),
    /// A leader gives up before its followers do.
    #[error("the lease `{lease}` is longer than the heartbeat timeout `{heartbeat}`")]
    LeaseTooLong {
        /// The lease.
        lease: Duration,
        /// The heartbeat timeout.
        heartbeat: Duration,
    },
    /// A candidate is at least as patient as a follower.
    #[error("the election timeout `{election}` is shorter than the heartbeat timeout `{heartbeat}`")]
    ElectionTooShort {
        /// The election timeout.
        election: Duration,
        /// The heartbeat timeout.
        heartbeat: Duration,
    },
    /// Batches have 1 to 1024 entries.
    #[error("`{0}` entries per request, 1 to 1024 are possible")]
    Batch(u32),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(1_000),
            election: Duration::from_millis(1_000),
            lease: Duration::from_millis(500),
            commit: Duration::from_millis(50),
            append_entries_max: 64,
            pre_vote: PreVote::On,
            pipeline_depth: 2,
            rpc_timeout: Duration::from_secs(10),
            snapshot_interval: Duration::from_secs(120),
            snapshot_threshold: 8_192,
            trailing_logs: 10_240,
        }
    }
}

impl Config {
    /// Nomad's servers: `raft_multiplier` (default 1, at most 10, 0 means 1) scales all four timeouts.
    pub fn nomad(multiplier: u32) -> Self {
        let factor = u64::from(multiplier.clamp(1, 10));
        let scaled = Self::scaled(factor);
        Self { commit: scaled.commit * factor, ..scaled }
    }

    /// Consul's servers: `raft_multiplier` (default 5, at most 10, 0 means 5) scales all timeouts but the commit one.
    pub fn consul(multiplier: u32) -> Self {
        let factor = if multiplier == 0 { 5 } else { u64::from(multiplier.min(10)) };
        Self { snapshot_interval: Duration::from_secs(30), snapshot_threshold: 16_384, ..Self::scaled(factor) }
    }

    /// Whether the settings work together.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (heartbeat, election, lease) = (self.heartbeat, self.election, self.lease);
        for (name, value) in [("heartbeat", heartbeat), ("election", election), ("lease", lease)] {
            if value < Duration::from_millis(5) {
                return Err(ConfigError::TooShort { name, value });
            }
        }
        if self.commit < Duration::from_millis(1) {
            return Err(ConfigError::CommitTooShort(self.commit));
        }
        if lease > heartbeat {
            return Err(ConfigError::LeaseTooLong { lease, heartbeat });
        }
        if election < heartbeat {
            return Err(ConfigError::ElectionTooShort { election, heartbeat });
        }
        if !(1..=1_024).contains(&self.append_entries_max) {
            return Err(ConfigError::Batch(self.append_entries_max));
        }
        Ok(())
    }

    fn scaled(factor: u64) -> Self {
        let base = Self::default();
        Self {
            heartbeat: base.heartbeat * factor,
            election: base.election * factor,
            lease: base.lease * factor,
            ..base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nomad_scales_the_commit_timeout_and_consul_does_not() {
        let ms = Duration::from_millis;
        let nomad = Config::nomad(5);
        let consul = Config::consul(5);
        assert_eq!((nomad.heartbeat, nomad.lease, nomad.commit), (ms(5_000), ms(2_500), ms(250)));
        assert_eq!((consul.heartbeat, consul.lease, consul.commit), (ms(5_000), ms(2_500), ms(50)));
        assert_eq!((nomad.check(), consul.check()), (Ok(()), Ok(())));
        assert_eq!(Config::nomad(0), Config::nomad(1));
        assert_eq!(Config::consul(0), Config::consul(5));
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let ms = Duration::from_millis;
        let check = |config: Config, expected: &str| assert_eq!(config.check().unwrap_err().to_string(), expected);
        let lease = Config { lease: ms(1_001), ..Config::default() };
        check(lease, "the lease `1.001 s` is longer than the heartbeat timeout `1 s`");
        let batch = Config { append_entries_max: 0, ..Config::default() };
        check(batch, "`0` entries per request, 1 to 1024 are possible");
        let short = Config { heartbeat: ms(4), ..Config::default() };
        check(short, "`heartbeat` is `4 ms`, at least 5 milliseconds are needed");
    }
}
