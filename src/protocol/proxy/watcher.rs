//! fabio's view of the catalog: one blocking query on all checks, then one catalog read per passing service, in turn
//! (fabio `registry/consul` `ServiceMonitor`).
//!
//! A failed health query is repeated after a second and changes nothing. A failed catalog read drops that one service
//! from the next table: its requests find no route until a later round succeeds.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::protocol::proxy::configuration::Configuration;
use crate::protocol::proxy::memo::Same;
use crate::protocol::proxy::passing::Passing;
use crate::protocol::proxy::registry::{CatalogEntry, ChecksRequired, NodeChecks};
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::workshop::{Lines, Reading, Workshop};

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
        /// All checks. No node comes twice; one that did not change may be the same as in the last answer.
        checks: Arc<[NodeChecks]>,
    },
    /// To [`Query::Catalog`].
    Catalog {
        /// Its instances; those that did not change may be the same as in the last answer.
        entries: Arc<[Arc<CatalogEntry>]>,
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
    Configured {
        /// All commands.
        configuration: Arc<Configuration>,
        /// The next query.
        next: Query,
    },
}

/// The state between two answers.
#[derive(Debug, Clone)]
pub struct Watcher {
    workshop: Workshop,
    reading: Same<Reading>,
    index: u64,
    passing: Same<Passing>,
    /// Services still to be read: the last ones of those that pass, in reverse.
    unread: usize,
    lines: Vec<Lines>,
}

impl Watcher {
    /// A watcher that has seen nothing.
    pub fn new(config: WatchConfig, datacenter: Arc<str>, workshop: Workshop) -> Self {
        let reading = workshop.reading(Reading { config, datacenter });
        Self { workshop, reading, index: 0, passing: Same(Arc::default()), unread: 0, lines: Vec::new() }
    }

    /// The health query to ask now.
    pub fn health(&self) -> Query {
        Query::Health { index: self.index }
    }

    /// The health query was answered.
    pub fn on_health(&mut self, index: u64, checks: &Arc<[NodeChecks]>) -> Step {
        self.index = index;
        self.passing = self.workshop.passing(&self.reading, checks);
        self.unread = self.passing.0.services.len();
        self.lines.clear();
        self.next()
    }

    /// The health query failed.
    pub fn on_health_failed(&self) -> Step {
        Step::Wait(self.reading.0.config.retry)
    }

    /// The catalog read was answered.
    pub fn on_catalog(&mut self, entries: &Arc<[Arc<CatalogEntry>]>) -> Step {
        self.lines.push(self.workshop.lines(&self.reading, &self.passing, entries));
        self.on_catalog_failed()
    }

    /// The catalog read failed, which drops the service.
    pub fn on_catalog_failed(&mut self) -> Step {
        self.unread = self.unread.saturating_sub(1);
        self.next()
    }

    fn next(&mut self) -> Step {
        if let Some(last) = self.unread.checked_sub(1) {
            return Step::Ask(Query::Catalog { service: Arc::clone(&self.passing.0.services[last]) });
        }
        let configuration = self.workshop.configuration(&std::mem::take(&mut self.lines));
        Step::Configured { configuration, next: self.health() }
    }
}
