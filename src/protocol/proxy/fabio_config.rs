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
    /// Whether `/fabio/config` is watched for overrides. Default true: fabio always does. Without keys there the first
    /// answer, though empty, already makes a first table, so that the proxy listener opens and says 404 while the
    /// services are still being read.
    pub watches_overrides: bool,
    /// `proxy.deregistergraceperiod`. Default zero.
    pub deregister_grace: Duration,
    /// `proxy.shutdownwait`. Default zero.
    pub shutdown_wait: Duration,
    /// Nominal processor time to read one command and place its target, an estimate.
    pub build_cost_per_command: Duration,
}

/// fabio's own registration with Consul.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Port of the HTTP check `/health`, and of the service.
    pub port: u32,
    /// Interval of the HTTP check: 1 s.
    pub interval: Duration,
    /// Its timeout: 3 s.
    pub timeout: Duration,
    /// Time to live of the second check: 15 s.
    pub ttl: Duration,
    /// `deregister_critical_service_after`: 60 s.
    pub deregister_after: Duration,
}

impl FabioConfig {
    /// What it registers.
    pub fn registration(&self) -> Registration {
        Registration {
            port: self.admin_port,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            ttl: Duration::from_secs(15),
            deregister_after: Duration::from_secs(60),
        }
    }
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
            watches_overrides: true,
            deregister_grace: Duration::ZERO,
            shutdown_wait: Duration::ZERO,
            build_cost_per_command: Duration::from_micros(20),
        }
    }
}
