//! The settings of a fabio process, with the defaults of fabio 1.7.3 (`config/default.go`).

use crate::base::time::Duration;
use crate::protocol::proxy::forward::ProxyConfig;
use crate::protocol::proxy::inflight::KeepAlive;
use crate::protocol::proxy::watcher::WatchConfig;

/// How a fabio process is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabioConfig {
    /// Requests.
    pub proxy: ProxyConfig,
    /// Registry.
    pub watch: WatchConfig,
    /// `proxy.addr`. Default 9999.
    pub proxy_port: u32,
    /// `ui.addr`. Default 9998.
    pub admin_port: u32,
    /// `proxy.dialtimeout`. Default 30 s.
    pub dial_timeout: Duration,
    /// `proxy.responseheadertimeout`. Default none: a hung instance holds its requests.
    pub response_header_timeout: Option<Duration>,
    /// `proxy.idleconntimeout` (15 s) and `proxy.maxconn` (10 000).
    pub keep_alive: KeepAlive,
    /// `registry.retry` at startup. Default 0.5 s.
    pub startup_retry: Duration,
    /// `registry.timeout`: without a Consul agent for this long after the start, fabio exits. Default 10 s.
    pub startup_timeout: Duration,
    /// `registry.consul.register.enabled`. Default true.
    pub registers: bool,
    /// Time between two refreshes of the own TTL check and looks at the own registration. 10 s.
    pub heartbeat: Duration,
    /// Whether `/fabio/config` is watched for overrides. fabio always does; without keys there the watch only adds
    /// queries, so that the default here is false.
    pub watches_overrides: bool,
    /// `proxy.deregistergraceperiod`. Default zero.
    pub deregister_grace: Duration,
    /// `proxy.shutdownwait`. Default zero.
    pub shutdown_wait: Duration,
    /// Nominal processor time to read one command and place its target, an estimate.
    pub build_cost_per_command: Duration,
}

impl Default for FabioConfig {
    fn default() -> Self {
        Self {
            proxy: ProxyConfig::default(),
            watch: WatchConfig::default(),
            proxy_port: 9_999,
            admin_port: 9_998,
            dial_timeout: Duration::from_secs(30),
            response_header_timeout: None,
            keep_alive: KeepAlive { idle: Duration::from_secs(15), count_max: 10_000 },
            startup_retry: Duration::from_millis(500),
            startup_timeout: Duration::from_secs(10),
            registers: true,
            heartbeat: Duration::from_secs(10),
            watches_overrides: false,
            deregister_grace: Duration::ZERO,
            shutdown_wait: Duration::ZERO,
            build_cost_per_command: Duration::from_micros(20),
        }
    }
}
