//! Settings of memberlist and Serf, with the profiles their users run: LAN, WAN, local, Consul and Nomad.

use std::sync::Arc;

use crate::base::time::Duration;

/// Settings of memberlist. Defaults are those of memberlist 0.6.0 `config.go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Time between two probes, at awareness 0. `ProbeInterval`: 1 s LAN, 5 s WAN, 1 s local.
    pub probe_interval: Duration,
    /// Wait for a direct answer, and a helper's wait before its nack. `ProbeTimeout`: 500 ms LAN, 3 s WAN, 200 ms
    /// local.
    pub probe_timeout: Duration,
    /// Members asked to probe on our behalf. `IndirectChecks`: 3 LAN and WAN, 1 local.
    pub indirect_checks: u32,
    /// Probe intervals that the shortest suspicion lasts, before scaling. `SuspicionMult`: 4 LAN, 6 WAN, 3 local.
    pub suspicion_mult: u32,
    /// The longest suspicion over the shortest. `SuspicionMaxTimeoutMult`: 6.
    pub suspicion_max_mult: u32,
    /// Transmissions of a rumour per decade of pool size. `RetransmitMult`: 4 LAN and WAN, 2 local.
    pub retransmit_mult: u32,
    /// Time between two gossip ticks. `GossipInterval`: 200 ms LAN, 500 ms WAN, 100 ms local.
    pub gossip_interval: Duration,
    /// Members gossiped to per tick. `GossipNodes`: 3 LAN, 4 WAN, 3 local.
    pub gossip_nodes: u32,
    /// How long a dead member is still gossiped to, and kept in the table. `GossipToTheDeadTime`: 30 s, 60 s, 15 s.
    pub gossip_to_the_dead: Duration,
    /// Time between two full state exchanges in a pool of up to 32. `PushPullInterval`: 30 s, 60 s, 15 s.
    pub push_pull_interval: Duration,
    /// Patience with a dial, and with the exchange after it. `TCPTimeout`: 10 s LAN, 30 s WAN, 1 s local.
    pub tcp_timeout: Duration,
    /// One more than the worst awareness score. `AwarenessMaxMultiplier`: 8. With 1, Lifeguard's awareness is off.
    pub awareness_max: u32,
    /// Whether the ping to a suspect tells it that it is one, so that it can refute: Lifeguard's buddy system.
    /// memberlist always does: true.
    pub suspect_pings: bool,
    /// Whether an unanswered probe also pings over TCP. `DisableTcpPings` negated: true.
    pub tcp_pings: bool,
    /// Budget of one packet in bytes. `UDPBufferSize`: 1400.
    pub packet_bytes: u16,
    /// Age after which a dead member's name may come back with another address. `DeadNodeReclaimTime`: off; Consul 30
    /// s.
    pub dead_node_reclaim: Option<Duration>,
    /// Size of a member's tags on the wire, in bytes. None in memberlist itself; about 300 for Consul and Nomad.
    pub meta_bytes: u16,
}

impl Config {
    /// `DefaultLANConfig`.
    pub fn lan() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_checks: 3,
            suspicion_mult: 4,
            suspicion_max_mult: 6,
            retransmit_mult: 4,
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            gossip_to_the_dead: Duration::from_secs(30),
            push_pull_interval: Duration::from_secs(30),
            tcp_timeout: Duration::from_secs(10),
            awareness_max: 8,
            suspect_pings: true,
            tcp_pings: true,
            packet_bytes: 1400,
            dead_node_reclaim: None,
            meta_bytes: 0,
        }
    }

    /// `DefaultWANConfig`.
    pub fn wan() -> Self {
        Self {
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            suspicion_mult: 6,
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 4,
            gossip_to_the_dead: Duration::from_secs(60),
            push_pull_interval: Duration::from_secs(60),
            tcp_timeout: Duration::from_secs(30),
            ..Self::lan()
        }
    }

    /// `DefaultLocalConfig`.
    pub fn local() -> Self {
        Self {
            probe_timeout: Duration::from_millis(200),
            indirect_checks: 1,
            suspicion_mult: 3,
            retransmit_mult: 2,
            gossip_interval: Duration::from_millis(100),
            gossip_to_the_dead: Duration::from_secs(15),
            push_pull_interval: Duration::from_secs(15),
            tcp_timeout: Duration::from_secs(1),
            ..Self::lan()
        }
    }
}

/// Settings of Serf. Defaults are those of Serf 0.10 `config.go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerfConfig {
    /// The membership layer below.
    pub swim: Arc<Config>,
    /// Patience with a broadcast that must leave before we do. `BroadcastTimeout`: 5 s.
    pub broadcast_timeout: Duration,
    /// How long a leaver stays to answer probes after its farewell. `LeavePropagateDelay`: 1 s; Consul 3 s.
    pub leave_propagate_delay: Duration,
    /// Time between two looks for members to forget. `ReapInterval`: 15 s.
    pub reap_interval: Duration,
    /// Time between two attempts to reach a failed member. `ReconnectInterval`: 30 s.
    pub reconnect_interval: Duration,
    /// Age at which a failed member is forgotten. `ReconnectTimeout`: 24 h; Consul and Nomad 72 h.
    pub reconnect_timeout: Duration,
    /// Age at which a member that left is forgotten. `TombstoneTimeout`: 24 h.
    pub tombstone_timeout: Duration,
    /// How long an intent of an unknown member is kept. `RecentIntentTimeout`: 5 min.
    pub recent_intent_timeout: Duration,
    /// Time after which a configured join that reached nobody is tried again. `retry_join`'s interval in Consul and
    /// Nomad: 30 s.
    pub retry_join_interval: Duration,
    /// Slots of the event and of the query window. `EventBuffer`, `QueryBuffer`: 512.
    pub event_buffer: u32,
    /// Query timeout in gossip intervals per decade of pool size. `QueryTimeoutMult`: 16.
    pub query_timeout_mult: u32,
    /// Largest user event, name and payload, in bytes. `UserEventSizeLimit`: 512.
    pub user_event_bytes_max: u32,
    /// Rumours kept per queue when `queue_depth_min` is off. `MaxQueueDepth`: 4096.
    pub queue_depth_max: u32,
    /// When set, a queue keeps the larger of this and twice the members. `MinQueueDepth`: off; Consul 4096.
    pub queue_depth_min: Option<u32>,
    /// Whether network coordinates are kept. `DisableCoordinates` negated: true. Without, acks carry no payload.
    pub coordinates: bool,
    /// Whether the members seen alive survive a restart and are joined again. `SnapshotPath`: off; Consul and Nomad on.
    pub snapshot: bool,
}

impl SerfConfig {
    /// Serf's own defaults over this memberlist profile.
    pub fn over(swim: Config) -> Self {
        Self {
            swim: Arc::new(swim),
            broadcast_timeout: Duration::from_secs(5),
            leave_propagate_delay: Duration::from_secs(1),
            reap_interval: Duration::from_secs(15),
            reconnect_interval: Duration::from_secs(30),
            reconnect_timeout: Duration::from_hours(24),
            tombstone_timeout: Duration::from_hours(24),
            recent_intent_timeout: Duration::from_mins(5),
            retry_join_interval: Duration::from_secs(30),
            event_buffer: 512,
            query_timeout_mult: 16,
            user_event_bytes_max: 512,
            queue_depth_max: 4096,
            queue_depth_min: None,
            coordinates: true,
            snapshot: false,
        }
    }

    /// Serf's default: the LAN profile.
    pub fn lan() -> Self {
        Self::over(Config::lan())
    }

    /// Serf over the WAN profile.
    pub fn wan() -> Self {
        Self::over(Config::wan())
    }

    /// The pool of all agents of one Consul datacenter (Consul 1.8.7 `lib/serf.go`, `agent/consul/config.go`).
    pub fn consul_lan() -> Self {
        Self::consul(&Config::lan())
    }

    /// The pool of the Consul servers of all datacenters: WAN profile, but gossip to three (Consul 1.8.7
    /// `agent/config/default.go`).
    pub fn consul_wan() -> Self {
        Self::consul(&Config { gossip_nodes: 3, ..Config::wan() })
    }

    /// The one pool of the Nomad servers of all regions (Nomad 1.6.5 `nomad/config.go`).
    pub fn nomad() -> Self {
        Self {
            reconnect_timeout: Duration::from_hours(72),
            snapshot: true,
            ..Self::over(Config { meta_bytes: 300, ..Config::wan() })
        }
    }

    fn consul(profile: &Config) -> Self {
        let swim = Config { dead_node_reclaim: Some(Duration::from_secs(30)), meta_bytes: 300, ..profile.clone() };
        Self {
            leave_propagate_delay: Duration::from_secs(3),
            reconnect_timeout: Duration::from_hours(72),
            queue_depth_min: Some(4096),
            snapshot: true,
            ..Self::over(swim)
        }
    }
}
