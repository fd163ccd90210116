//! The catalog's state store: a pure function from the replicated log to nodes, instances, checks and their indexes
//! (Consul `agent/consul/state/catalog.go`).
//!
//! Invariants: every instance is listed under its service's name and nowhere else; a name without instances has no
//! entry; every index is at most [`State::index`] and never decreases, save that a name's own index disappears with its
//! last instance.
//!
//! A write that changes nothing moves no index, so it wakes nobody. Nodes and names are behind `Arc`s and copied on
//! write: an answer or a snapshot is a list of handles.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::ordered::Entry;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::Registration;
use crate::protocol::catalog::record::ServiceSpec;

/// A replica of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The last entry applied.
    index: u64,
    nodes: OrdMap<ProcessId, Arc<NodeEntry>>,
    services: OrdMap<Arc<str>, Arc<ServiceEntry>>,
    tables: TableIndexes,
}

/// The greatest index that touched each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableIndexes {
    /// Table `nodes`.
    pub nodes: u64,
    /// Table `services`.
    pub services: u64,
    /// Table `checks`.
    pub checks: u64,
    /// `service_last_extinction`: when some service last lost its last instance; `None` while none has.
    pub extinction: Option<u64>,
}

/// A node of the catalog with everything on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node, named by its Consul agent.
    pub node: ProcessId,
    /// Index of its creation.
    pub create_index: u64,
    /// Checks of the node itself, sorted by id.
    pub checks: SmallVec<[CheckEntry; 1]>,
    /// Service instances, sorted by id.
    pub instances: Vec<InstanceEntry>,
}

/// A service instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    /// Its id on its node.
    pub id: InstanceId,
    /// What it says of itself.
    pub spec: Arc<ServiceSpec>,
    /// Its checks, sorted by id.
    pub checks: SmallVec<[CheckEntry; 2]>,
    /// Index of its creation.
    pub create_index: u64,
    /// Index of the last change of `spec`.
    pub modify_index: u64,
}

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckEntry {
    /// Which one, in which state.
    pub record: CheckRecord,
    /// Index of the last change.
    pub modify_index: u64,
}

/// A name of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceEntry {
    /// `service.<name>`: the last change of an instance, of its checks or of its node's checks.
    pub index: u64,
    /// The instances of this name.
    pub members: OrdSet<(ProcessId, InstanceId)>,
}

/// What blocking queries wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Any check.
    Checks,
    /// Any change of table `services`.
    Services,
    /// One node and what is on it.
    Node(ProcessId),
    /// One name.
    Service(Arc<str>),
    /// The last instance of any name.
    Extinction,
}

/// Something that changed, as observers count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A node appeared.
    NodeAdded(ProcessId),
    /// A node is gone.
    NodeRemoved(ProcessId),
    /// An instance appeared or changed what it says of itself.
    InstanceWritten(ProcessId, InstanceId),
    /// An instance is gone.
    InstanceRemoved(ProcessId, InstanceId),
    /// A check has a new state.
    CheckWritten(ProcessId, CheckId, CheckStatus),
    /// A check is gone, otherwise than with its instance.
    CheckRemoved(ProcessId, CheckId),
}

/// What an entry did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Whose waiters wake. Empty if nothing changed. May name a key twice.
    pub keys: SmallVec<[Key; 4]>,
    /// What happened, in order.
    pub facts: SmallVec<[Fact; 3]>,
}

/// Why an entry was turned down. It took its index all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A check names an instance that is not registered.
    #[error("check {check} names a service that is not registered on {node}")]
    MissingService {
        /// The node.
        node: ProcessId,
        /// The check.
        check: CheckId,
    },
}

impl State {
    /// The last entry applied; zero before the first.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The tables' indexes.
    pub fn tables(&self) -> TableIndexes {
        self.tables
    }

    /// A node, if it is registered.
    pub fn node(&self, node: ProcessId) -> Option<&Arc<NodeEntry>> {
        self.nodes.get(&node)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeEntry>> {
        self.nodes.values()
    }

    /// A name, if it has instances.
    pub fn service(&self, name: &str) -> Option<&ServiceEntry> {
        self.services.get(name).map(Arc::as_ref)
    }

    /// All names that have instances, in order.
    pub fn service_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }
}

/// Applies one entry. `index` is greater than that of the entry before.
///
/// A registration is refused as a whole, in Consul as here, as soon as one of its checks names a missing instance; what
/// was written before that check stays out, since the transaction aborts.
pub fn apply(state: &mut State, index: u64, command: &Command) -> Result<Changes, ApplyError> {
    assert!(index > state.index, "entries are applied in order: {index} after {}", state.index);
    state.index = index;
    let mut changes = Changes::default();
    match command {
        Command::Barrier => {}
        Command::Register(registration) => state.register(index, registration, &mut changes)?,
        Command::DeregisterNode(node) => state.deregister_node(index, *node, &mut changes),
        Command::DeregisterService(node, id) => state.deregister_service(index, *node, *id, &mut changes),
        Command::DeregisterCheck(node, id) => state.deregister_check(index, *node, *id, &mut changes),
    }
    Ok(changes)
}

impl State {
    fn register(&mut self, index: u64, new: &Registration, changes: &mut Changes) -> Result<(), ApplyError> {
        let node = new.node;
        for check in &new.checks {
            let Some(instance) = check.id.instance() else { continue };
            let comes_along = new.service.as_ref().is_some_and(|(id, _)| *id == instance);
            let known = self.nodes.get(&node).is_some_and(|entry| entry.find(instance).is_ok());
            if !comes_along && !known {
                return Err(ApplyError::MissingService { node, check: check.id });
            }
        }
        if let Entry::Vacant(place) = self.nodes.entry(node) {
            place.insert(Arc::new(NodeEntry::new(node, index)));
            self.tables.nodes = index;
            changes.keys.push(Key::Node(node));
            changes.facts.push(Fact::NodeAdded(node));
        }
        if let Some((id, spec)) = &new.service {
            self.write_instance(index, node, *id, spec, changes);
        }
        for check in &new.checks {
            self.write_check(index, node, *check, changes);
        }
        Ok(())
    }

    fn write_instance(
        &mut self,
        index: u64,
        node: ProcessId,
        id: InstanceId,
        spec: &Arc<ServiceSpec>,
        changes: &mut Changes,
    ) {
        let entry = self.nodes.get(&node).expect("the node was registered just before");
        let (place, old) = match entry.find(id) {
            Ok(place) if entry.instances[place].spec == *spec => return,
            Ok(place) => (place, Some(entry.instances[place].spec.name.clone())),
            Err(place) => (place, None),
        };
        let entry = Arc::make_mut(self.nodes.get_mut(&node).expect("the node was found just before"));
        if old.is_some() {
            entry.instances[place].spec = Arc::clone(spec);
            entry.instances[place].modify_index = index;
        } else {
            let instance = InstanceEntry {
                id,
                spec: Arc::clone(spec),
                checks: SmallVec::new(),
                create_index: index,
                modify_index: index,
            };
            entry.instances.insert(place, instance);
        }
        if let Some(old) = old.filter(|old| *old != spec.name) {
            self.leave_name(index, &old, node, id, changes);
        }
        let service = Arc::make_mut(self.services.entry(Arc::clone(&spec.name)).or_default());
        service.members.insert((node, id));
        service.index = index;
        self.tables.services = index;
        changes.keys.extend([Key::Services, Key::Node(node), Key::Service(Arc::clone(&spec.name))]);
        changes.facts.push(Fact::InstanceWritten(node, id));
    }

    fn write_check(&mut self, index: u64, node: ProcessId, record: CheckRecord, changes: &mut Changes) {
        let entry = self.nodes.get(&node).expect("the node was registered just before");
        if entry.check(record.id).is_some_and(|old| old.record == record) {
            return;
        }
        let entry = Arc::make_mut(self.nodes.get_mut(&node).expect("the node was found just before"));
        let check = CheckEntry { record, modify_index: index };
        match record.id.instance() {
            None => upsert(&mut entry.checks, check),
            Some(instance) => {
                let place = entry.find(instance).expect("checks of missing instances were refused");
                upsert(&mut entry.instances[place].checks, check);
            }
        }
        changes.facts.push(Fact::CheckWritten(node, record.id, record.status));
        self.touch_check(index, node, record.id, changes);
    }

    /// A check of an instance moves that instance's name; a check of the node those of all instances on it.
    fn touch_check(&mut self, index: u64, node: ProcessId, id: CheckId, changes: &mut Changes) {
        self.tables.checks = index;
        changes.keys.extend([Key::Checks, Key::Node(node)]);
        let entry = Arc::clone(&self.nodes[&node]);
        for instance in &entry.instances {
            if id.instance().is_none_or(|owner| owner == instance.id) {
                let name = &instance.spec.name;
                let service = self.services.get_mut(name).expect("every instance is listed under its name");
                if service.index != index {
                    Arc::make_mut(service).index = index;
                    changes.keys.push(Key::Service(Arc::clone(name)));
                }
            }
        }
    }

    fn deregister_node(&mut self, index: u64, node: ProcessId, changes: &mut Changes) {
        let Some(entry) = self.nodes.remove(&node) else { return };
        for instance in &entry.instances {
            self.tables.services = index;
            changes.keys.push(Key::Services);
            self.leave_name(index, &instance.spec.name, node, instance.id, changes);
            changes.facts.push(Fact::InstanceRemoved(node, instance.id));
        }
        if !entry.checks.is_empty() || entry.instances.iter().any(|instance| !instance.checks.is_empty()) {
            self.tables.checks = index;
            changes.keys.push(Key::Checks);
        }
        self.tables.nodes = index;
        changes.keys.push(Key::Node(node));
        changes.facts.push(Fact::NodeRemoved(node));
    }

    fn deregister_service(&mut self, index: u64, node: ProcessId, id: InstanceId, changes: &mut Changes) {
        let Some(Ok(place)) = self.nodes.get(&node).map(|entry| entry.find(id)) else { return };
        let entry = Arc::make_mut(self.nodes.get_mut(&node).expect("the node was found just before"));
        let gone = entry.instances.remove(place);
        if !gone.checks.is_empty() {
            self.tables.checks = index;
            changes.keys.push(Key::Checks);
        }
        self.tables.services = index;
        changes.keys.extend([Key::Services, Key::Node(node)]);
        self.leave_name(index, &gone.spec.name, node, id, changes);
        changes.facts.push(Fact::InstanceRemoved(node, id));
    }

    fn deregister_check(&mut self, index: u64, node: ProcessId, id: CheckId, changes: &mut Changes) {
        if self.nodes.get(&node).is_none_or(|entry| entry.check(id).is_none()) {
            return;
        }
        let entry = Arc::make_mut(self.nodes.get_mut(&node).expect("the node was found just before"));
        match id.instance() {
            None => entry.checks.retain(|check| check.record.id != id),
            Some(instance) => {
                let place = entry.find(instance).expect("the check was found just before");
                entry.instances[place].checks.retain(|check| check.record.id != id);
            }
        }
        changes.facts.push(Fact::CheckRemoved(node, id));
        self.touch_check(index, node, id, changes);
    }

    /// Takes an instance out of a name; the name goes with its last instance.
    fn leave_name(&mut self, index: u64, name: &Arc<str>, node: ProcessId, id: InstanceId, changes: &mut Changes) {
        let service = self.services.get_mut(name).expect("every instance is listed under its name");
        let service = Arc::make_mut(service);
        service.members.remove(&(node, id));
        service.index = index;
        changes.keys.push(Key::Service(Arc::clone(name)));
        if service.members.is_empty() {
            self.services.remove(name);
            self.tables.extinction = Some(index);
            changes.keys.push(Key::Extinction);
        }
    }
}

impl NodeEntry {
    fn new(node: ProcessId, index: u64) -> Self {
        Self { node, create_index: index, checks: SmallVec::new(), instances: Vec::new() }
    }

    /// Where an instance is, or would be inserted.
    fn find(&self, id: InstanceId) -> Result<usize, usize> {
        self.instances.binary_search_by_key(&id, |instance| instance.id)
    }

    /// An instance on this node.
    pub fn instance(&self, id: InstanceId) -> Option<&InstanceEntry> {
        self.find(id).ok().map(|place| &self.instances[place])
    }

    /// A check of this node or of an instance on it.
    pub fn check(&self, id: CheckId) -> Option<&CheckEntry> {
        let checks: &[CheckEntry] = match id.instance() {
            None => &self.checks,
            Some(instance) => &self.instance(instance)?.checks,
        };
        checks.iter().find(|check| check.record.id == id)
    }

    /// Every check of this node: its own first, then those of its instances in order.
    pub fn all_checks(&self) -> impl Iterator<Item = &CheckEntry> {
        self.checks.iter().chain(self.instances.iter().flat_map(|instance| instance.checks.iter()))
    }
}

fn upsert<const N: usize>(checks: &mut SmallVec<[CheckEntry; N]>, check: CheckEntry)
where
    [CheckEntry; N]: smallvec::Array<Item = CheckEntry>,
{
    match checks.binary_search_by_key(&check.record.id, |old| old.record.id) {
        Ok(place) => checks[place] = check,
        Err(place) => checks.insert(place, check),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::story::check_record;
    use crate::protocol::catalog::story::register;
    use crate::protocol::catalog::story::serf;

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);

    fn run(commands: &[Command]) -> (State, Changes) {
        let mut state = State::default();
        let mut last = Changes::default();
        for (at, command) in commands.iter().enumerate() {
            last = apply(&mut state, at as u64 + 1, command).unwrap();
        }
        (state, last)
    }

    #[test]
    fn a_write_that_changes_nothing_moves_no_index() {
        let (state, last) = run(&[register(A, 1, "web", CheckStatus::Passing), Command::Barrier]);
        let mut again = state.clone();
        let changes = apply(&mut again, 3, &register(A, 1, "web", CheckStatus::Passing)).unwrap();
        assert_eq!((last, changes), (Changes::default(), Changes::default()));
        assert_eq!(again.tables(), state.tables());
    }

    #[test]
    fn a_check_moves_its_own_name_and_a_node_check_all_names_of_the_node() {
        let web = |status| {
            Command::Register(Registration {
                node: A,
                service: None,
                checks: SmallVec::from_slice(&[check_record(1, status)]),
            })
        };
        let (mut state, _) = run(&[
            register(A, 1, "web", CheckStatus::Passing),
            register(A, 2, "api", CheckStatus::Passing),
            register(B, 3, "db", CheckStatus::Passing),
        ]);
        apply(&mut state, 4, &web(CheckStatus::Critical)).unwrap();
        let index = |state: &State, name: &str| state.service(name).map(|service| service.index);
        assert_eq!([index(&state, "web"), index(&state, "api"), index(&state, "db")], [Some(4), Some(2), Some(3)]);
        let changes = apply(&mut state, 5, &serf(A, CheckStatus::Critical)).unwrap();
        assert_eq!([index(&state, "web"), index(&state, "api"), index(&state, "db")], [Some(5), Some(5), Some(3)]);
        assert_eq!(changes.facts.as_slice(), [Fact::CheckWritten(A, CheckId::SerfHealth, CheckStatus::Critical)]);
    }

    #[test]
    fn the_last_instance_takes_the_name_with_it() {
        let (state, last) = run(&[
            register(A, 1, "web", CheckStatus::Passing),
            register(B, 1, "web", CheckStatus::Passing),
            Command::DeregisterService(A, InstanceId(1)),
        ]);
        assert_eq!(state.service("web").map(|service| service.members.len()), Some(1));
        assert!(!last.keys.contains(&Key::Extinction));
        let mut state = state;
        let changes = apply(&mut state, 4, &Command::DeregisterNode(B)).unwrap();
        assert!(state.service("web").is_none() && changes.keys.contains(&Key::Extinction));
        assert_eq!(state.tables().extinction, Some(4));
        assert!(state.node(A).is_some() && state.node(B).is_none());
    }

    #[test]
    fn a_check_without_its_service_is_refused_and_writes_nothing() {
        let mut state = State::default();
        let orphan = Command::Register(Registration {
            node: A,
            service: None,
            checks: SmallVec::from_slice(&[check_record(9, CheckStatus::Passing)]),
        });
        assert!(matches!(apply(&mut state, 1, &orphan), Err(ApplyError::MissingService { .. })));
        assert!(state.node(A).is_none() && state.index() == 1);
    }

    #[test]
    fn a_renamed_instance_changes_its_name_in_both_places() {
        let (state, last) =
            run(&[register(A, 1, "web", CheckStatus::Passing), register(A, 1, "shop", CheckStatus::Passing)]);
        assert!(state.service("web").is_none() && state.service("shop").is_some());
        assert!(last.keys.contains(&Key::Extinction) && last.keys.contains(&Key::Service("shop".into())));
    }
}
