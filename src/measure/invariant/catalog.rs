//! The laws of the catalog: indexes never go back, and a dead node's instances do not stay in the answers.
//!
//! One [`CatalogLaws`] watches the servers of one Consul datacenter. It is fed with what they tell
//! ([`CatalogLaws::observe`]) and with the truth about hosts, which no server knows, and keeps a view of the catalog of
//! its own, made of the changes that the servers report.

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::registry::Fact;
use crate::protocol::catalog::server::ServerEvent;

/// The observer of one datacenter's catalog.
#[derive(Debug, Clone)]
pub struct CatalogLaws {
    bound: Duration,
    index_monotonic: Tally,
    no_dead_node_served: Tally,
    /// Last entry applied, by server, since its last start.
    applied: OrdMap<ProcessId, u64>,
    /// Last index answered by a server to a client, by what was asked.
    answered: OrdMap<(ProcessId, ProcessId, u64), u64>,
    /// The entry whose changes are in the view, and the server that told of it first.
    seen: (u64, Option<ProcessId>),
    view: OrdMap<ProcessId, NodeView>,
    dead: OrdMap<ProcessId, Death>,
    /// Since when a leader has been established without a break.
    established: Option<Time>,
    /// Faults that last keep members apart: nothing is due.
    is_excused: bool,
    /// When they last ended.
    bound_since: Time,
}

/// The checks of a node and of its instances.
#[derive(Debug, Clone, Default)]
struct NodeView {
    own: OrdMap<CheckId, CheckStatus>,
    instances: OrdMap<InstanceId, OrdMap<CheckId, CheckStatus>>,
}

#[derive(Debug, Clone, Copy)]
struct Death {
    since: Time,
    /// The bound has passed and the node was gone from the answers then.
    judged: bool,
}

impl CatalogLaws {
    /// How long a dead node may stay passing by default: detection by gossip (half a minute even when many die at
    /// once), and one more reconciliation if its event was dropped.
    pub const DEFAULT_BOUND: Duration = Duration::from_secs(90);

    /// An observer that allows a dead node to stay passing for `bound`, counted from its death or, if later, from when
    /// a leader was established.
    pub fn new(bound: Duration) -> Self {
        Self {
            bound,
            index_monotonic: Tally::default(),
            no_dead_node_served: Tally::default(),
            applied: OrdMap::new(),
            answered: OrdMap::new(),
            seen: (0, None),
            view: OrdMap::new(),
            dead: OrdMap::new(),
            established: None,
            is_excused: false,
            bound_since: Time::ZERO,
        }
    }

    /// The laws by name.
    pub fn tallies(&self) -> [(&'static str, &Tally); 2] {
        [("catalog.index_monotonic", &self.index_monotonic), ("catalog.no_dead_node_served", &self.no_dead_node_served)]
    }

    /// A server told something.
    pub fn observe(&mut self, at: Time, server: ProcessId, event: &ServerEvent) {
        match event {
            ServerEvent::Established => _ = self.established.get_or_insert(at),
            ServerEvent::Applied { index, fact } => self.apply(at, server, *index, *fact),
            ServerEvent::Answered { to, topic, index, .. } => {
                let last = self.answered.entry((server, *to, *topic)).or_default();
                let (before, index) = (*last, *index);
                *last = before.max(index);
                self.index_monotonic.check(at, before <= index && index > 0, || {
                    format!("{server} answered {to} with index {index} after {before}")
                });
            }
            ServerEvent::Propose { .. }
            | ServerEvent::VerifyLeader { .. }
            | ServerEvent::Failed { .. }
            | ServerEvent::AutopilotDue
            | ServerEvent::FloodDue
            | ServerEvent::MemberEventDropped { .. } => {}
        }
        self.judge(at);
    }

    /// A server lost its memory, or took over a snapshot: it may go back to what it had on its disk.
    pub fn restarted(&mut self, server: ProcessId) {
        self.applied.remove(&server);
        self.answered.retain(|(of, _, _), _| *of != server);
    }

    /// Nobody leads any more; what is due waits until somebody does.
    pub fn leaderless(&mut self) {
        self.established = None;
    }

    /// A fault that lasts begins: detection is not promised.
    pub fn excused(&mut self) {
        self.is_excused = true;
    }

    /// The last such fault ended; what is due counts from here.
    pub fn bound_again(&mut self, at: Time) {
        (self.is_excused, self.bound_since) = (false, at);
    }

    /// A node's host went down, or became unreachable for all servers.
    pub fn node_died(&mut self, at: Time, node: ProcessId) {
        self.dead.insert(node, Death { since: at, judged: false });
    }

    /// It is back.
    pub fn node_back(&mut self, node: ProcessId) {
        self.dead.remove(&node);
    }

    /// Looks at what is due at the end of a run.
    pub fn finish(&mut self, at: Time) {
        self.judge(at);
    }

    fn apply(&mut self, at: Time, server: ProcessId, index: u64, fact: Fact) {
        // One entry may change several things, and tells of each.
        let before = self.applied.insert(server, index).unwrap_or(0);
        self.index_monotonic.check(at, before <= index, || format!("{server} applied entry {index} after {before}"));
        if self.seen.0 < index {
            self.seen = (index, Some(server));
        }
        if self.seen == (index, Some(server)) {
            self.note(fact);
            let node = node_of(fact);
            if !self.is_excused && self.dead.get(&node).is_some_and(|death| death.judged) {
                let passing = self.is_served(node);
                self.no_dead_node_served.check(at, !passing, || format!("{node} is dead and became passing again"));
            }
        }
    }

    fn note(&mut self, fact: Fact) {
        match fact {
            Fact::NodeAdded(node) => _ = self.view.entry(node).or_default(),
            Fact::NodeRemoved(node) => _ = self.view.remove(&node),
            Fact::InstanceWritten(node, id) => {
                self.view.entry(node).or_default().instances.entry(id).or_default();
            }
            Fact::InstanceRemoved(node, id) => {
                self.view.entry(node).or_default().instances.remove(&id);
            }
            Fact::CheckWritten(node, id, status) => {
                self.view.entry(node).or_default().checks(id).insert(id, status);
            }
            Fact::CheckRemoved(node, id) => {
                self.view.entry(node).or_default().checks(id).remove(&id);
            }
        }
    }

    /// Whether some instance of a node is in the answers as passing.
    fn is_served(&self, node: ProcessId) -> bool {
        let healthy =
            |checks: &OrdMap<CheckId, CheckStatus>| checks.values().all(|status| *status != CheckStatus::Critical);
        self.view.get(&node).is_some_and(|view| healthy(&view.own) && view.instances.values().any(healthy))
    }

    /// Looks once at each dead node whose time is up.
    fn judge(&mut self, at: Time) {
        let Some(established) = self.established.filter(|_| !self.is_excused) else { return };
        let from = established.max(self.bound_since);
        let due = |death: &Death| !death.judged && death.since.max(from) + self.bound <= at;
        if !self.dead.values().any(due) {
            return;
        }
        let nodes: Vec<ProcessId> = self.dead.iter().filter(|(_, death)| due(death)).map(|(node, _)| *node).collect();
        for node in nodes {
            let passing = self.is_served(node);
            let bound = self.bound;
            self.no_dead_node_served.check(at, !passing, || format!("{node} is dead and still passing after {bound}"));
            if let Some(death) = self.dead.get_mut(&node) {
                death.judged = true;
            }
        }
    }
}

impl NodeView {
    fn checks(&mut self, id: CheckId) -> &mut OrdMap<CheckId, CheckStatus> {
        match id.instance() {
            None => &mut self.own,
            Some(instance) => self.instances.entry(instance).or_default(),
        }
    }
}

fn node_of(fact: Fact) -> ProcessId {
    match fact {
        Fact::NodeAdded(node)
        | Fact::NodeRemoved(node)
        | Fact::InstanceWritten(node, _)
        | Fact::InstanceRemoved(node, _)
        | Fact::CheckWritten(node, _, _)
        | Fact::CheckRemoved(node, _) => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ProcessId = ProcessId(1);
    const NODE: ProcessId = ProcessId(9);
    const CLIENT: ProcessId = ProcessId(20);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn violations(laws: &CatalogLaws) -> [u64; 2] {
        laws.tallies().map(|(_, tally)| tally.violations)
    }

    fn applied(index: u64, fact: Fact) -> ServerEvent {
        ServerEvent::Applied { index, fact }
    }

    fn answered(topic: u64, index: u64) -> ServerEvent {
        ServerEvent::Answered { to: CLIENT, call: 0, topic, index, blocked: false }
    }

    /// A datacenter with one passing instance on one node.
    fn running() -> CatalogLaws {
        let mut laws = CatalogLaws::new(Duration::from_secs(30));
        laws.observe(at(0), SERVER, &ServerEvent::Established);
        for fact in [
            Fact::NodeAdded(NODE),
            Fact::InstanceWritten(NODE, InstanceId(1)),
            Fact::CheckWritten(NODE, CheckId::SerfHealth, CheckStatus::Passing),
        ] {
            laws.observe(at(1), SERVER, &applied(2, fact));
        }
        laws
    }

    #[test]
    fn an_index_that_goes_back_is_a_violation_unless_the_server_restarted() {
        let mut laws = running();
        for (topic, index) in [(1, 5), (1, 5), (2, 3), (1, 6)] {
            laws.observe(at(2), SERVER, &answered(topic, index));
        }
        laws.observe(at(2), ProcessId(2), &answered(1, 4));
        assert_eq!(violations(&laws), [0, 0]);
        laws.observe(at(3), SERVER, &answered(1, 5));
        laws.observe(at(3), SERVER, &applied(1, Fact::NodeAdded(CLIENT)));
        assert_eq!(violations(&laws), [2, 0]);
        laws.restarted(SERVER);
        laws.observe(at(4), SERVER, &answered(1, 2));
        laws.observe(at(4), SERVER, &applied(1, Fact::NodeAdded(CLIENT)));
        assert_eq!(violations(&laws), [2, 0]);
    }

    #[test]
    fn a_dead_node_must_be_gone_from_the_answers_within_the_bound() {
        let mut laws = running();
        laws.node_died(at(10), NODE);
        laws.observe(at(39), SERVER, &answered(1, 5));
        assert_eq!(violations(&laws), [0, 0]);
        laws.finish(at(40));
        laws.finish(at(50));
        assert_eq!(violations(&laws), [0, 1], "looked at once");

        let mut laws = running();
        laws.node_died(at(10), NODE);
        laws.observe(at(20), SERVER, &applied(3, Fact::CheckWritten(NODE, CheckId::SerfHealth, CheckStatus::Critical)));
        laws.finish(at(100));
        assert_eq!(violations(&laws), [0, 0]);
        laws.observe(at(101), SERVER, &applied(4, Fact::CheckWritten(NODE, CheckId::SerfHealth, CheckStatus::Passing)));
        assert_eq!(violations(&laws), [0, 1], "and it must not come back");
    }

    #[test]
    fn nothing_is_due_without_a_leader_and_a_node_that_came_back_is_forgiven() {
        let mut laws = running();
        laws.node_died(at(10), NODE);
        laws.leaderless();
        laws.finish(at(100));
        laws.observe(at(110), ProcessId(2), &ServerEvent::Established);
        laws.finish(at(139));
        laws.node_back(NODE);
        laws.finish(at(200));
        assert_eq!(violations(&laws), [0, 0]);
    }
}
