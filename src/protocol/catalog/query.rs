//! Queries, and blocking ones in particular (Consul `blockingQuery`): run, and if nothing newer than the caller's index
//! is there, wait for a change or for the time to run out.
//!
//! A waiter hangs in one list per key of its query and in one ordered set of deadlines, so that a change costs only
//! those it concerns. The fallback to table-wide waiting beyond 8192 watch channels is left out: it would add wake-ups,
//! never answers.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::catalog::health;
use crate::protocol::catalog::health::CheckList;
use crate::protocol::catalog::health::HealthFilter;
use crate::protocol::catalog::health::ServiceRow;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::mix;
use crate::protocol::catalog::registry::Key;
use crate::protocol::catalog::registry::NodeEntry;
use crate::protocol::catalog::registry::State;

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is asked.
    pub kind: QueryKind,
    /// Who may answer.
    pub mode: Mode,
    /// Blocking: wait while the answer's index is not greater. Zero: answer at once.
    pub index: u64,
    /// How long to wait. Default 300 s, at most 600 s; zero counts as the default.
    pub wait: Duration,
    /// The Consul datacenter asked; `None` for that of the agent.
    pub region: Option<RegionId>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryKind {
    /// `/v1/health/state/any`.
    Checks,
    /// `/v1/catalog/service/:name`.
    Service(Arc<str>),
    /// `/v1/health/service/:name`.
    Health(Arc<str>, HealthFilter),
    /// `Catalog.NodeServices` with `Health.NodeChecks`: everything on one node. Not blocking by name, but by tables.
    Node(ProcessId),
    /// `/v1/catalog/services`: the names.
    Services,
    /// `/v1/agent/services`: what the asked agent itself has; never leaves the host.
    Local,
}

/// How fresh an answer must be (Consul's consistency modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The leader answers, without asking a quorum whether it still leads.
    Default,
    /// The leader answers after a quorum confirmed it.
    Consistent,
    /// Any server answers; if it last heard from the leader longer ago than this, the leader is asked after all.
    Stale(Duration),
}

/// A server's answer. Shared among all who asked the same at the same index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `X-Consul-Index`: at least 1.
    pub index: u64,
    /// `X-Consul-LastContact`: since the server heard from the leader; zero at the leader.
    pub last_contact: Duration,
    /// `X-Consul-KnownLeader`.
    pub known_leader: bool,
    /// The content.
    pub answer: Answer,
}

/// The content of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A write was committed and applied at the leader, at the reply's index.
    Written,
    /// To [`QueryKind::Checks`].
    Checks(Arc<CheckList>),
    /// To [`QueryKind::Service`] and [`QueryKind::Health`].
    Service(Arc<[ServiceRow]>),
    /// To [`QueryKind::Node`]; `None` if it is not registered.
    Node(Option<Arc<NodeEntry>>),
    /// To [`QueryKind::Services`].
    Services(Arc<[Arc<str>]>),
    /// To [`QueryKind::Local`], sorted.
    Local(Arc<[InstanceId]>),
}

impl Query {
    /// A read that does not block, of the agent's own datacenter, at the leader.
    pub fn new(kind: QueryKind) -> Self {
        Self { kind, mode: Mode::Default, index: 0, wait: Duration::ZERO, region: None }
    }

    /// The same read, in this mode.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same read, waiting for something newer than `index`.
    pub fn after(self, index: u64) -> Self {
        Self { index, ..self }
    }

    /// Mixes the content into a digest.
    pub fn fingerprint(&self) -> u64 {
        mix(mix(self.kind.fingerprint(), self.index), self.wait.as_nanos())
    }

    /// How long this query may block: its wait, by default 300 s and at most 600 s, plus up to a sixteenth.
    pub fn patience(&self, rng: &mut Rng) -> Duration {
        let wait = if self.wait.is_zero() { DEFAULT_QUERY_TIME } else { self.wait.min(MAX_QUERY_TIME) };
        wait + rng.stagger(wait / JITTER_FRACTION)
    }
}

impl QueryKind {
    /// A number that differs between kinds, names and filters.
    pub fn fingerprint(&self) -> u64 {
        match self {
            Self::Checks => 1,
            Self::Service(name) => mix(2, text(name)),
            Self::Health(name, filter) => mix(3 + *filter as u64, text(name)),
            Self::Node(node) => mix(7, u64::from(node.0)),
            Self::Services => 8,
            Self::Local => 9,
        }
    }

    /// The index an answer would carry now (Consul `maxIndexForService`, `maxIndexTxn`); at least 1.
    pub fn index(&self, state: &State) -> u64 {
        let tables = state.tables();
        let of_service = |name: &str, fallback: u64| match state.service(name) {
            Some(service) => service.index,
            None => tables.extinction.unwrap_or(fallback),
        };
        let all = tables.nodes.max(tables.services).max(tables.checks);
        let index = match self {
            Self::Checks => tables.checks,
            Self::Service(name) => of_service(name, tables.nodes.max(tables.services)),
            Self::Health(name, _) => of_service(name, all),
            Self::Node(_) | Self::Local => all,
            Self::Services => tables.services,
        };
        index.max(1)
    }

    /// What wakes a waiter. A name without instances also wakes when any other name loses its last one.
    fn keys(&self, state: &State) -> SmallVec<[Key; 2]> {
        match self {
            Self::Checks => SmallVec::from_iter([Key::Checks]),
            Self::Service(name) | Self::Health(name, _) => {
                let mut keys = SmallVec::from_iter([Key::Service(Arc::clone(name))]);
                if state.service(name).is_none() {
                    keys.push(Key::Extinction);
                }
                keys
            }
            Self::Node(node) => SmallVec::from_iter([Key::Node(*node)]),
            Self::Services => SmallVec::from_iter([Key::Services]),
            Self::Local => SmallVec::new(),
        }
    }

    /// The answer of a server; [`QueryKind::Local`] is the agents' own, a server has nothing to say to it.
    pub fn run(&self, state: &State) -> Answer {
        match self {
            Self::Checks => Answer::Checks(Arc::new(CheckList::of(state))),
            Self::Service(name) => Answer::Service(health::instances(state, name, HealthFilter::Any).into()),
            Self::Health(name, filter) => Answer::Service(health::instances(state, name, *filter).into()),
            Self::Node(node) => Answer::Node(state.node(*node).cloned()),
            Self::Services => Answer::Services(state.service_names().cloned().collect()),
            Self::Local => Answer::Local(Arc::new([])),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            QueryKind::Checks => f.write_str("checks")?,
            QueryKind::Service(name) => write!(f, "service {name}")?,
            QueryKind::Health(name, filter) => write!(f, "health {name} {filter:?}")?,
            QueryKind::Node(node) => write!(f, "node {node}")?,
            QueryKind::Services => f.write_str("services")?,
            QueryKind::Local => f.write_str("local")?,
        }
        match self.mode {
            Mode::Default => {}
            Mode::Consistent => f.write_str(" consistent")?,
            Mode::Stale(_) => f.write_str(" stale")?,
        }
        if self.index > 0 { write!(f, " >{}", self.index) } else { Ok(()) }
    }
}

/// Blocked queries of one server. `T` is whatever the server needs to go on with one.
#[derive(Debug, Clone)]
pub struct Waiters<T> {
    waiting: OrdMap<u64, Waiter<T>>,
    by_key: OrdMap<Key, Vec<u64>>,
    deadlines: OrdSet<(Time, u64)>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Waiter<T> {
    deadline: Time,
    keys: SmallVec<[Key; 2]>,
    item: T,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { waiting: OrdMap::new(), by_key: OrdMap::new(), deadlines: OrdSet::new(), next: 0 }
    }
}

impl<T> Waiters<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hangs `item` up until something its query depends on changes, or until `deadline`.
    pub fn add(&mut self, state: &State, kind: &QueryKind, deadline: Time, item: T) {
        let id = self.next;
        self.next += 1;
        let keys = kind.keys(state);
        for key in &keys {
            match self.by_key.get_mut(key) {
                Some(list) => list.push(id),
                None => {
                    self.by_key.insert(key.clone(), vec![id]);
                }
            }
        }
        self.deadlines.insert((deadline, id));
        self.waiting.insert(id, Waiter { deadline, keys, item });
    }

    /// Takes down everyone who waits for one of `keys`, in the order in which they came.
    pub fn wake(&mut self, keys: &[Key]) -> Vec<T> {
        let mut ids: Vec<u64> = keys.iter().filter_map(|key| self.by_key.get(key)).flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| self.take(id)).collect()
    }

    /// Takes down one whose time is up.
    pub fn expired(&mut self, now: Time) -> Option<T> {
        let &(deadline, id) = self.deadlines.first()?;
        (deadline <= now).then(|| self.take(id))
    }

    /// Takes down everybody, in the order in which they came.
    pub fn drain(&mut self) -> Vec<T> {
        self.by_key.clear();
        self.deadlines.clear();
        std::mem::take(&mut self.waiting).into_values().map(|waiter| waiter.item).collect()
    }

    /// When the next one's time is up.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn take(&mut self, id: u64) -> T {
        let waiter = self.waiting.remove(&id).expect("lists name only those who wait");
        self.deadlines.remove(&(waiter.deadline, id));
        for key in &waiter.keys {
            let list = self.by_key.get_mut(key).expect("a waiter hangs in the list of each of its keys");
            list.retain(|other| *other != id);
            if list.is_empty() {
                self.by_key.remove(key);
            }
        }
        waiter.item
    }
}

fn text(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

/// Consul `default_query_time`.
pub const DEFAULT_QUERY_TIME: Duration = Duration::from_secs(300);
/// Consul `max_query_time`.
pub const MAX_QUERY_TIME: Duration = Duration::from_secs(600);
/// Waits and holds are stretched or cut by up to one in this many parts (Consul `JitterFraction`).
pub const JITTER_FRACTION: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::CheckStatus;
    use crate::protocol::catalog::record::Command;
    use crate::protocol::catalog::registry::apply;
    use crate::protocol::catalog::story::register;
    use crate::protocol::catalog::story::serf;

    #[test]
    fn patience_is_the_wait_and_up_to_a_sixteenth_more() {
        let mut rng = Rng::stream(1, "patience");
        for (wait, least) in [(0, 300), (10, 10), (600, 600), (3_600, 600)] {
            let query = Query { wait: Duration::from_secs(wait), ..Query::new(QueryKind::Checks).after(1) };
            for _ in 0..200 {
                let patience = query.patience(&mut rng);
                assert!(Duration::from_secs(least) <= patience);
                assert!(patience < Duration::from_secs(least) + Duration::from_secs(least) / 16);
            }
        }
    }

    #[test]
    fn a_missing_name_carries_the_index_of_the_last_extinction() {
        let node = ProcessId(1);
        let mut state = State::default();
        let kind = QueryKind::Health("gone".into(), HealthFilter::Any);
        assert_eq!(kind.index(&state), 1);
        apply(&mut state, 5, &register(node, 1, "web", CheckStatus::Passing)).unwrap();
        assert_eq!(kind.index(&state), 5, "no extinction yet: the tables' greatest");
        apply(&mut state, 6, &register(node, 2, "api", CheckStatus::Passing)).unwrap();
        apply(&mut state, 7, &Command::DeregisterNode(node)).unwrap();
        apply(&mut state, 8, &serf(node, CheckStatus::Passing)).unwrap();
        assert_eq!(kind.index(&state), 7);
        assert_eq!(kind.keys(&state).as_slice(), [Key::Service("gone".into()), Key::Extinction]);
    }

    #[test]
    fn waiters_wake_by_key_once_and_in_order_or_when_their_time_is_up() {
        let mut state = State::default();
        apply(&mut state, 1, &register(ProcessId(1), 1, "web", CheckStatus::Passing)).unwrap();
        let mut waiters = Waiters::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        waiters.add(&state, &QueryKind::Service("web".into()), at(30), "web");
        waiters.add(&state, &QueryKind::Checks, at(10), "checks");
        waiters.add(&state, &QueryKind::Service("gone".into()), at(20), "gone");
        assert_eq!(waiters.next_deadline(), Some(at(10)));
        assert_eq!(waiters.wake(&[Key::Extinction, Key::Service("gone".into())]), ["gone"]);
        assert_eq!(waiters.wake(&[Key::Services]), [""; 0]);
        assert_eq!(waiters.expired(at(9)), None);
        assert_eq!(waiters.expired(at(10)), Some("checks"));
        assert_eq!(waiters.wake(&[Key::Service("web".into()), Key::Checks]), ["web"]);
        assert!(waiters.is_empty() && waiters.by_key.is_empty() && waiters.next_deadline().is_none());
    }

    /// What a client can tell apart.
    fn content(answer: &Answer) -> String {
        match answer {
            Answer::Checks(list) => {
                let row = |row: health::CheckRow<'_>| format!("{} {} {:?};", row.node, row.id, row.status);
                list.rows().map(row).collect()
            }
            Answer::Node(node) => node.as_ref().map_or_else(String::new, |node| {
                let instances =
                    node.instances.iter().map(|instance| format!("{} {};", instance.id, instance.spec.name));
                let checks = node.all_checks().map(|check| format!("{} {:?};", check.record.id, check.record.status));
                instances.chain(checks).collect()
            }),
            Answer::Service(_) | Answer::Services(_) | Answer::Written | Answer::Local(_) => format!("{answer:?}"),
        }
    }

    #[test]
    fn no_change_of_an_answer_goes_without_its_index_and_its_waiters() {
        let mut rng = Rng::stream(7, "no lost wake-ups");
        let names = ["web", "api", "db"];
        let mut kinds = vec![QueryKind::Checks, QueryKind::Services];
        for name in names {
            kinds.push(QueryKind::Service(name.into()));
            kinds.push(QueryKind::Health(name.into(), HealthFilter::NotCritical));
        }
        kinds.extend((1..=3).map(|node| QueryKind::Node(ProcessId(node))));
        let mut state = State::default();
        let mut differences = 0;
        for index in 1..=4_000 {
            let node = ProcessId(1 + rng.below(3) as u32);
            let status = [CheckStatus::Passing, CheckStatus::Warning, CheckStatus::Critical][rng.below(3) as usize];
            let instance = rng.below(4);
            let command = match rng.below(10) {
                0..5 => register(node, instance, names[rng.below(3) as usize], status),
                5..7 => serf(node, status),
                7 | 8 => Command::DeregisterService(node, InstanceId(instance)),
                _ => Command::DeregisterNode(node),
            };
            let before = state.clone();
            let changes = apply(&mut state, index, &command).unwrap();
            for kind in &kinds {
                assert!(kind.index(&before) <= kind.index(&state), "{kind:?} after {command}");
                if content(&kind.run(&before)) != content(&kind.run(&state)) {
                    differences += 1;
                    assert_eq!(kind.index(&state), index, "{kind:?} after {command}");
                    let woken = kind.keys(&before).iter().any(|key| changes.keys.contains(key));
                    assert!(woken, "{kind:?} sleeps through {command}");
                }
            }
        }
        assert!(differences > 5_000, "{differences}");
    }
}
