//! What proxies that see the same catalog would each work out for themselves, worked out once.
//!
//! Every result here is a pure function of its input, so that who asks first, or whether anything is kept at all,
//! changes no answer; a proxy with a workshop of its own behaves the same. Inputs are recognised by identity, the
//! answers of a catalog being shared by all who asked; one that is equal but not the same is worked out again. From one
//! answer to the next only what follows from a changed node or instance is worked out; the rest is put together anew.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::proxy::configuration::{Configuration, Piece};
use crate::protocol::proxy::memo::{Memo, Same, Shelf};
use crate::protocol::proxy::passing::{NodePassing, Passing};
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck, NodeChecks, commands};
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::table::{Table, TableError};
use crate::protocol::proxy::watcher::WatchConfig;

/// How a catalog is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// As the proxy is configured.
    pub config: WatchConfig,
    /// Consul datacenter.
    pub datacenter: Arc<str>,
}

/// The commands of a service's passing instances.
pub type Lines = Arc<[Arc<Piece>]>;

/// A workshop, used by any number of proxies.
#[derive(Clone, Default)]
pub struct Workshop(Arc<Mutex<Bench>>);

type PassingKey = (Same<Reading>, Same<[NodeChecks]>);
type LinesKey = (Same<Reading>, Same<Passing>, Same<[Arc<CatalogEntry>]>);
type ConfigurationKey = Vec<Same<[Arc<Piece>]>>;

#[derive(Default)]
struct Bench {
    readings: Vec<Same<Reading>>,
    nodes: Shelf<Same<Reading>, Same<[HealthCheck]>, Arc<NodePassing>>,
    passing: Memo<PassingKey, Arc<Passing>>,
    /// By service, of all its instances.
    commands: Shelf<(Same<Reading>, Arc<str>), Same<CatalogEntry>, Lines>,
    lines: Memo<LinesKey, Lines>,
    configurations: Memo<ConfigurationKey, Arc<Configuration>>,
    tables: Memo<(Arc<Configuration>, Release), Result<Arc<Table>, TableError>>,
}

impl Workshop {
    /// The one value that stands for this way to read.
    pub fn reading(&self, reading: Reading) -> Same<Reading> {
        let mut bench = self.bench();
        if let Some(known) = bench.readings.iter().find(|known| *known.0 == reading) {
            return known.clone();
        }
        let reading = Same(Arc::new(reading));
        bench.readings.push(reading.clone());
        reading
    }

    /// Whom these checks let pass.
    pub fn passing(&self, reading: &Same<Reading>, checks: &Arc<[NodeChecks]>) -> Same<Passing> {
        let Bench { passing, nodes, .. } = &mut *self.bench();
        let key = (reading.clone(), Same(Arc::clone(checks)));
        Same(passing.get_settled(key, |(reading, checks)| {
            let groups = checks.0.iter().cloned().map(Same);
            let judge = |group: &Same<_>| Arc::new(NodePassing::of(&group.0, &reading.0.config));
            let nodes = nodes.map(reading.clone(), groups, judge);
            Arc::new(Passing::of(nodes.iter().map(|(_, node)| Arc::clone(node)).collect()))
        }))
    }

    /// The commands of those among a service's entries that pass.
    pub fn lines(&self, reading: &Same<Reading>, passing: &Same<Passing>, entries: &Arc<[Arc<CatalogEntry>]>) -> Lines {
        let Some(first) = entries.first() else { return Arc::default() };
        let Bench { lines, commands, .. } = &mut *self.bench();
        let key = (reading.clone(), passing.clone(), Same(Arc::clone(entries)));
        lines.get(key, |(reading, passing, entries)| {
            let subject = (reading.clone(), Arc::clone(&first.service));
            let commands =
                commands.map(subject, entries.0.iter().cloned().map(Same), |entry| read(&entry.0, &reading.0));
            let mut passes = passing.0.judge();
            let of_passing = commands.iter().filter(|(entry, _)| passes(&entry.0));
            of_passing.flat_map(|(_, lines)| lines.iter().cloned()).collect()
        })
    }

    /// The service part of the configuration.
    pub fn configuration(&self, lines: &[Lines]) -> Arc<Configuration> {
        let key: Vec<_> = lines.iter().cloned().map(Same).collect();
        self.bench().configurations.get_settled(key, |lines| {
            let commands = lines.iter().flat_map(|lines| lines.0.iter().cloned()).collect();
            Arc::new(Configuration::of_services(commands))
        })
    }

    /// The table of a configuration.
    pub fn table(&self, configuration: &Arc<Configuration>, release: Release) -> Result<Arc<Table>, TableError> {
        let key = (Arc::clone(configuration), release);
        self.bench().tables.get(key, |(configuration, release)| Table::of(configuration, *release).map(Arc::new))
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        // What a panic left behind is still a list of right answers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(entry: &CatalogEntry, reading: &Reading) -> Lines {
    let Reading { config, datacenter } = reading;
    let commands = commands(entry, &config.tag_prefix, datacenter, config.release);
    commands.into_iter().map(|text| Arc::new(Piece::read(text))).collect()
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workshop")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(shop: &Workshop) -> Same<Reading> {
        shop.reading(Reading { config: WatchConfig::default(), datacenter: "dc1".into() })
    }

    fn check(node: &str, id: &str, status: &str) -> HealthCheck {
        HealthCheck {
            node: node.into(),
            check_id: id.into(),
            status: status.into(),
            service: "a".into(),
            service_id: "a1".into(),
            tags: ["urlprefix-/".into()].into(),
        }
    }

    fn entry(node: &str, port: u32) -> Arc<CatalogEntry> {
        Arc::new(CatalogEntry {
            node: node.into(),
            service_id: "a1".into(),
            service: "a".into(),
            service_address: "10.0.0.1".into(),
            node_address: "".into(),
            port,
            tags: ["urlprefix-/".into()].into(),
        })
    }

    /// The table after these answers.
    fn table(shop: &Workshop, checks: &[NodeChecks], entries: &[Arc<CatalogEntry>]) -> Arc<Table> {
        let reading = reading(shop);
        let passing = shop.passing(&reading, &checks.into());
        let lines = shop.lines(&reading, &passing, &entries.into());
        shop.table(&shop.configuration(&[lines]), Release::V1_7_3).unwrap()
    }

    #[test]
    fn equal_results_of_different_checks_are_one() {
        let shop = Workshop::default();
        let reading = reading(&shop);
        let passing = |checks: &[HealthCheck]| shop.passing(&reading, &[checks.into()].into());
        let before = passing(&[check("n", "c", "passing")]);
        let after = passing(&[check("n", "c", "passing"), check("n", "d", "critical")]);
        assert!(before == after);
        let gone = passing(&[check("n", "c", "critical")]);
        assert!(before != gone);
    }

    #[test]
    fn a_line_is_read_once_and_tables_share_what_it_means() {
        let shop = Workshop::default();
        let up: Vec<NodeChecks> = ["n1", "n2"].iter().map(|node| [check(node, "c", "passing")].into()).collect();
        let down: NodeChecks = [check("n2", "c", "critical")].into();
        let entries = [entry("n1", 1), entry("n2", 2)];
        let both = table(&shop, &up, &entries);
        let one = table(&shop, &[Arc::clone(&up[0]), down], &entries);
        let again = table(&shop, &up, &[Arc::clone(&entries[0]), Arc::clone(&entries[1]), entry("n3", 3)]);
        let targets = |table: &Table| -> Vec<_> { table.routes().flat_map(|route| route.targets.clone()).collect() };
        let (both, one, again) = (targets(&both), targets(&one), targets(&again));
        assert_eq!((both.len(), one.len(), again.len()), (2, 1, 2));
        assert!(one.iter().all(|target| both.iter().any(|known| Arc::ptr_eq(known, target))));
        assert!(both.iter().zip(&again).all(|(a, b)| Arc::ptr_eq(a, b)));
    }

    #[test]
    fn who_asked_before_changes_no_table() {
        let shared = Workshop::default();
        for round in 0..40 {
            let status = |place: u32| if (round * 7 + place * 3) % 5 < 3 { "passing" } else { "critical" };
            let nodes: Vec<String> = (0..6).map(|place| format!("n{}", (place + round) % 8)).collect();
            let checks: Vec<NodeChecks> =
                (0..).zip(&nodes).map(|(place, node)| [check(node, "c", status(place))].into()).collect();
            let entries: Vec<_> = (0..).zip(&nodes).map(|(place, node)| entry(node, place + round % 3)).collect();
            let alone = table(&Workshop::default(), &checks, &entries);
            assert_eq!(table(&shared, &checks, &entries), alone, "round {round}");
        }
    }
}
