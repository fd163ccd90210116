//! Services and checks as a job declares them and Consul runs them.

use std::sync::Arc;

use crate::base::time::Duration;

/// `service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name in the catalog.
    pub name: Arc<str>,
    /// Label of the port it listens on; `None` without a port.
    pub port: Option<Arc<str>>,
    /// Tags, among them `urlprefix-…`.
    pub tags: Vec<Arc<str>>,
    /// Checks.
    pub checks: Vec<Check>,
}

/// What a check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// GET and expect 2xx.
    Http,
    /// Connect.
    Tcp,
    /// gRPC health.
    Grpc,
    /// Run a command.
    Script,
    /// The service reports in time.
    Ttl,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Display name.
    pub name: Arc<str>,
    /// What it does.
    pub kind: CheckKind,
    /// HTTP path; empty otherwise.
    pub path: Arc<str>,
    /// Time between the result of a run and the next; the time to live of a TTL check. At least 1 s.
    pub interval: Duration,
    /// Default 10 s (30 s for scripts).
    pub timeout: Duration,
    /// Consecutive successes before passing. Default 0: at once.
    pub success_before_passing: u32,
    /// Consecutive failures before critical. Default 0: at once.
    pub failures_before_critical: u32,
    /// `initial_status = "passing"`; default critical.
    pub initially_passing: bool,
    /// `deregister_critical_service_after`; at least 1 min.
    pub deregister_after: Option<Duration>,
}

impl Check {
    /// A check with Consul's defaults.
    pub fn new(name: &str, kind: CheckKind, interval: Duration) -> Self {
        let timeout = Duration::from_secs(if kind == CheckKind::Script { 30 } else { 10 });
        Self {
            name: name.into(),
            kind,
            path: "".into(),
            interval,
            timeout,
            success_before_passing: 0,
            failures_before_critical: 0,
            initially_passing: false,
            deregister_after: None,
        }
    }
}

/// State of a check in the catalog. Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// Fine.
    Passing,
    /// Degraded; still served unless asked otherwise.
    Warning,
    /// Failing.
    Critical,
}
