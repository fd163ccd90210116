//! fabio's view of the catalog: one blocking query on all checks, then one catalog read per passing service, in turn
//! (fabio `registry/consul` `ServiceMonitor`).
//!
//! A failed health query is repeated after a second and changes nothing. A failed catalog read drops that one service
//! from the next table: its requests find no route until a later round succeeds.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::protocol::proxy::registry::{
    CatalogEntry, ChecksRequired, HealthCheck, HealthFilter, commands, configuration, passing,
};
use crate::protocol::proxy::release::Release;

/// How the registry is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig {
    /// `registry.consul.tagprefix`. Default `urlprefix-`.
    pub tag_prefix: String,
    /// `registry.consul.service.status`. Default `passing`.
    pub statuses: Vec<String>,
    /// `registry.consul.checksRequired`. Default one.
    pub checks_required: ChecksRequired,
    /// Wait after a failed health query: 1 s.
    pub retry: Duration,
    /// The release.
    pub release: Release,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            tag_prefix: "urlprefix-".to_owned(),
            statuses: vec!["passing".to_owned()],
            checks_required: ChecksRequired::One,
            retry: Duration::from_secs(1),
            release: Release::default(),
        }
    }
}

/// What is asked of the local Consul agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Is the agent there, and which datacenter is it in?
    Agent,
    /// All checks in any state: blocking, consistent.
    Health {
        /// Answer when the state is newer than this; zero answers at once.
        index: u64,
    },
    /// All instances of a service: at once, consistent.
    Catalog {
        /// Service name.
        service: Arc<str>,
    },
    /// Manual overrides below `/fabio/config`: blocking, consistent.
    Manual {
        /// As for health.
        index: u64,
    },
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::Agent`].
    Agent {
        /// Consul datacenter.
        datacenter: Arc<str>,
    },
    /// To [`Query::Health`].
    Health {
        /// Index to ask from next.
        index: u64,
        /// All checks.
        checks: Arc<[HealthCheck]>,
    },
    /// To [`Query::Catalog`].
    Catalog {
        /// Its instances.
        entries: Arc<[CatalogEntry]>,
    },
    /// To [`Query::Manual`].
    Manual {
        /// Index to ask from next.
        index: u64,
        /// All overrides, in order.
        text: Arc<str>,
    },
    /// No answer: the agent is gone, has no servers, or they have no leader.
    Failed,
}

/// What comes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask this next.
    Ask(Query),
    /// Ask for health again after this long.
    Wait(Duration),
    /// A new service configuration; ask this next.
    Configuration {
        /// Commands, one per line.
        text: String,
        /// The next query.
        next: Query,
    },
}

/// The state between two answers.
#[derive(Debug, Clone)]
pub struct Watcher {
    config: WatchConfig,
    datacenter: Arc<str>,
    index: u64,
    /// (node, instance) of passing instances, sorted.
    passing: Vec<(Arc<str>, Arc<str>)>,
    /// Services still to be read, in descending order.
    unread: Vec<Arc<str>>,
    commands: Vec<String>,
}

impl Watcher {
    /// A watcher that has seen nothing.
    pub fn new(config: WatchConfig, datacenter: Arc<str>) -> Self {
        let (passing, unread, commands) = (Vec::new(), Vec::new(), Vec::new());
        Self { config, datacenter, index: 0, passing, unread, commands }
    }

    /// The health query to ask now.
    pub fn health(&self) -> Query {
        Query::Health { index: self.index }
    }

    /// The health query was answered.
    pub fn on_health(&mut self, index: u64, checks: &[HealthCheck]) -> Step {
        self.index = index;
        let statuses: Vec<&str> = self.config.statuses.iter().map(String::as_str).collect();
        let filter = HealthFilter {
            statuses: &statuses,
            required: self.config.checks_required,
            prefix: &self.config.tag_prefix,
            release: self.config.release,
        };
        let found = passing(checks, filter);
        self.passing = found.iter().map(|check| (check.node.clone(), check.service_id.clone())).collect();
        self.passing.sort_unstable();
        self.passing.dedup();
        self.unread = found.iter().map(|check| check.service.clone()).collect();
        self.unread.sort_unstable_by(|a, b| b.cmp(a));
        self.unread.dedup();
        self.commands.clear();
        self.next()
    }

    /// The health query failed.
    pub fn on_health_failed(&self) -> Step {
        Step::Wait(self.config.retry)
    }

    /// The catalog read was answered; empty when it failed, which drops the service.
    pub fn on_catalog(&mut self, entries: &[CatalogEntry]) -> Step {
        self.unread.pop();
        for entry in entries {
            let is_passing = self
                .passing
                .binary_search_by(|(node, id)| (&**node, &**id).cmp(&(&*entry.node, &*entry.service_id)))
                .is_ok();
            if is_passing {
                let (prefix, release) = (&self.config.tag_prefix, self.config.release);
                self.commands.extend(commands(entry, prefix, &self.datacenter, release));
            }
        }
        self.next()
    }

    fn next(&mut self) -> Step {
        if let Some(service) = self.unread.last() {
            return Step::Ask(Query::Catalog { service: service.clone() });
        }
        let text = configuration(std::mem::take(&mut self.commands));
        Step::Configuration { text, next: self.health() }
    }
}
