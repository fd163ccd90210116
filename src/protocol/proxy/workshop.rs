//! What proxies that see the same catalog would each work out for themselves, worked out once.
//!
//! Every result here is a pure function of its input, so that who asks first, or whether anything is kept at all,
//! changes no answer; a proxy with a workshop of its own behaves the same. Inputs are recognised by identity, the
//! answers of a catalog being shared by all who asked; one that is equal but not the same is worked out again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck, HealthFilter, commands, configuration, passing};
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::table::{Table, TableError};
use crate::protocol::proxy::watcher::WatchConfig;

/// A shared value, equal to itself only.
#[derive(Debug)]
pub struct Same<T: ?Sized>(pub Arc<T>);

impl<T: ?Sized> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The latest results by input, oldest first.
#[derive(Debug, Clone)]
pub struct Memo<K, V> {
    kept: VecDeque<(K, V)>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { kept: VecDeque::new() }
    }
}

impl<K: PartialEq, V: Clone> Memo<K, V> {
    /// The result for `key`, made if it is not kept.
    pub fn get(&mut self, key: K, make: impl FnOnce(&K) -> V) -> V {
        if let Some((_, value)) = self.kept.iter().rev().find(|(kept, _)| *kept == key) {
            return value.clone();
        }
        let value = make(&key);
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((key, value.clone()));
        value
    }
}

impl<K: PartialEq, T: PartialEq + ?Sized> Memo<K, Arc<T>> {
    /// As [`Memo::get`], but equal results are the same one, so that what follows from it is found as well.
    pub fn get_settled(&mut self, key: K, make: impl FnOnce(&K) -> Arc<T>) -> Arc<T> {
        let former: SmallVec<[Arc<T>; KEPT_MAX]> = self.kept.iter().rev().map(|(_, kept)| Arc::clone(kept)).collect();
        self.get(key, |key| {
            let fresh = make(key);
            former.into_iter().find(|former| *former == fresh).unwrap_or(fresh)
        })
    }
}

/// Which instances may get traffic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passing {
    /// (node, instance), sorted.
    instances: Vec<(Arc<str>, Arc<str>)>,
    /// Their services, in descending order.
    pub services: Vec<Arc<str>>,
}

impl Passing {
    fn of(checks: &[HealthCheck], config: &WatchConfig) -> Self {
        let statuses: Vec<&str> = config.statuses.iter().map(String::as_str).collect();
        let filter = HealthFilter {
            statuses: &statuses,
            required: config.checks_required,
            prefix: &config.tag_prefix,
            release: config.release,
        };
        let found = passing(checks, filter);
        let mut instances: Vec<_> =
            found.iter().map(|check| (Arc::clone(&check.node), Arc::clone(&check.service_id))).collect();
        instances.sort_unstable();
        instances.dedup();
        let mut services: Vec<_> = found.iter().map(|check| Arc::clone(&check.service)).collect();
        services.sort_unstable_by(|a, b| b.cmp(a));
        services.dedup();
        Self { instances, services }
    }

    fn has(&self, entry: &CatalogEntry) -> bool {
        let wanted = (&*entry.node, &*entry.service_id);
        self.instances.binary_search_by(|(node, id)| (&**node, &**id).cmp(&wanted)).is_ok()
    }
}

/// How a catalog is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// As the proxy is configured.
    pub config: WatchConfig,
    /// Consul datacenter.
    pub datacenter: Arc<str>,
}

/// The commands of a service's passing instances.
pub type Lines = Arc<[String]>;

/// A workshop, used by any number of proxies.
#[derive(Clone, Default)]
pub struct Workshop(Arc<Mutex<Bench>>);

type PassingKey = (Same<Reading>, Same<[HealthCheck]>);
type LinesKey = (Same<Reading>, Same<Passing>, Same<[CatalogEntry]>);

#[derive(Default)]
struct Bench {
    passing: Memo<PassingKey, Arc<Passing>>,
    lines: Memo<LinesKey, Lines>,
    texts: Memo<Vec<Same<[String]>>, Arc<str>>,
    tables: Memo<(Arc<str>, Release), Result<Arc<Table>, TableError>>,
    readings: Vec<Same<Reading>>,
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
    pub fn passing(&self, reading: &Same<Reading>, checks: &Arc<[HealthCheck]>) -> Same<Passing> {
        let key = (reading.clone(), Same(Arc::clone(checks)));
        let make = |(reading, checks): &PassingKey| Arc::new(Passing::of(&checks.0, &reading.0.config));
        Same(self.bench().passing.get_settled(key, make))
    }

    /// The commands of those among the entries that pass.
    pub fn lines(&self, reading: &Same<Reading>, passing: &Same<Passing>, entries: &Arc<[CatalogEntry]>) -> Lines {
        let key = (reading.clone(), passing.clone(), Same(Arc::clone(entries)));
        self.bench().lines.get(key, |(reading, passing, entries)| {
            let Reading { config, datacenter } = &*reading.0;
            let lines = entries.0.iter().filter(|entry| passing.0.has(entry));
            lines.flat_map(|entry| commands(entry, &config.tag_prefix, datacenter, config.release)).collect()
        })
    }

    /// The service part of the configuration.
    pub fn text(&self, lines: &[Lines]) -> Arc<str> {
        let key: Vec<_> = lines.iter().cloned().map(Same).collect();
        self.bench().texts.get_settled(key, |lines| {
            configuration(lines.iter().flat_map(|lines| lines.0.iter().cloned()).collect()).into()
        })
    }

    /// The table of a configuration.
    pub fn table(&self, text: &Arc<str>, release: Release) -> Result<Arc<Table>, TableError> {
        let key = (Arc::clone(text), release);
        self.bench().tables.get(key, |(text, release)| Table::parse(text, *release).map(Arc::new))
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        // What a panic left behind is still a list of right answers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workshop")
    }
}

/// Results of one kind that are kept: proxies lag behind each other by a round trip, in which the catalog changes a
/// few times at most.
const KEPT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_and_forgotten_when_many_followed() {
        let mut memo = Memo::default();
        let mut made = 0;
        for key in [1, 2, 1, 2].into_iter().chain(3..3 + KEPT_MAX).chain([1]) {
            assert_eq!(
                memo.get(key, |key| {
                    made += 1;
                    key * 10
                }),
                key * 10
            );
        }
        assert_eq!(made, 2 + KEPT_MAX + 1);
    }

    #[test]
    fn equal_results_of_different_checks_are_one() {
        let shop = Workshop::default();
        let reading = shop.reading(Reading { config: WatchConfig::default(), datacenter: "dc1".into() });
        let check = |status: &str, id: &str| HealthCheck {
            node: "n".into(),
            check_id: id.into(),
            status: status.into(),
            service: "a".into(),
            service_id: "a1".into(),
            tags: ["urlprefix-/".into()].into(),
        };
        let before: Arc<[HealthCheck]> = [check("passing", "c")].into();
        let after: Arc<[HealthCheck]> = [check("passing", "c"), check("critical", "d")].into();
        assert!(shop.passing(&reading, &before) == shop.passing(&reading, &after));
        let gone: Arc<[HealthCheck]> = [check("critical", "c")].into();
        assert!(shop.passing(&reading, &before) != shop.passing(&reading, &gone));
    }
}
