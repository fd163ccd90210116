//! What an agent has: the services of its host and their checks, and how they differ from the catalog (Consul
//! `agent/local`).
//!
//! Invariants: the places named by a service hold its checks and nobody else's; what waits to be removed from the
//! catalog is not among what is here.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::machine::Token;
use crate::protocol::catalog::check::LocalCheck;
use crate::protocol::catalog::message::ServiceDefinition;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::Registration;
use crate::protocol::catalog::registry::NodeEntry;

/// Services and checks of one agent.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Sorted by id.
    services: Vec<LocalService>,
    /// Dense: a check's place is the slot of its timer.
    checks: Vec<Option<LocalCheck>>,
    free: Vec<u32>,
    /// Place of `_node_maintenance`, while it is on.
    node_maintenance: Option<u32>,
    removals: Vec<Removal>,
}

#[derive(Debug, Clone)]
struct LocalService {
    definition: Arc<ServiceDefinition>,
    places: SmallVec<[u32; 2]>,
    in_sync: bool,
    /// The write that makes it durable, while it is under way.
    write: Option<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    Service(InstanceId),
    Check(CheckId),
}

impl Local {
    /// Ids of the services, sorted.
    pub fn services(&self) -> impl ExactSizeIterator<Item = InstanceId> {
        self.services.iter().map(|service| service.definition.id)
    }

    /// The check at a place.
    pub fn check(&self, place: u32) -> Option<&LocalCheck> {
        self.checks.get(place as usize)?.as_ref()
    }

    /// The check at a place, for writing.
    pub fn check_mut(&mut self, place: u32) -> Option<&mut LocalCheck> {
        self.checks.get_mut(place as usize)?.as_mut()
    }

    /// All checks with their places.
    pub fn checks(&self) -> impl Iterator<Item = (u32, &LocalCheck)> {
        (0..).zip(&self.checks).filter_map(|(place, check)| Some((place, check.as_ref()?)))
    }

    /// Where a check is.
    pub fn place_of(&self, id: CheckId) -> Option<u32> {
        let places: &[u32] = match id.instance() {
            None => self.node_maintenance.as_slice(),
            Some(instance) => &self.services[self.find(instance).ok()?].places,
        };
        places.iter().copied().find(|place| self.check(*place).is_some_and(|check| check.record.id == id))
    }

    /// Whether a service is here.
    pub fn has(&self, id: InstanceId) -> bool {
        self.find(id).is_ok()
    }

    /// Adds or replaces a service; `write` makes it durable. Checks that were there before keep their state. Returns
    /// the places that were given up and those that are new, or `None` if the service is here just like this.
    pub fn add(&mut self, definition: &Arc<ServiceDefinition>, write: Token) -> Option<Replaced> {
        let found = self.find(definition.id);
        let mut before = None;
        if let Ok(at) = found {
            if self.services[at].definition == *definition {
                return None;
            }
            before = Some(self.services.remove(at));
        }
        let at = found.unwrap_or_else(|at| at);
        let maintenance = self.place_in(before.as_ref(), CheckId::ServiceMaintenance(definition.id));
        let mut old = Vec::new();
        for place in before.iter().flat_map(|service| service.places.iter()) {
            if Some(*place) != maintenance {
                old.extend(self.take(*place).map(|check| (*place, check)));
            }
        }
        let mut places: SmallVec<[u32; 2]> = (0..definition.checks.len() as u16)
            .map(|ordinal| {
                let mut check = LocalCheck::of_service(definition, ordinal);
                if let Some((_, known)) = old.iter().find(|(_, known)| known.record.id == check.record.id) {
                    check.record = known.record;
                    check.critical_since = known.critical_since;
                }
                self.put(check)
            })
            .collect();
        for id in old.iter().map(|(_, check)| check.record.id) {
            if !places.iter().any(|new| self.has_at(*new, id)) {
                self.removals.push(Removal::Check(id));
            }
        }
        self.removals.retain(|removal| *removal != Removal::Service(definition.id));
        let replaced = Replaced { old: old.iter().map(|(place, _)| *place).collect(), new: places.clone() };
        places.extend(maintenance);
        let definition = Arc::clone(definition);
        self.services.insert(at, LocalService { definition, places, in_sync: false, write: Some(write) });
        Some(replaced)
    }

    /// Removes a service, here and, at the next push, in the catalog. Returns the places it gave up; `None` if it is
    /// not here.
    pub fn remove(&mut self, id: InstanceId) -> Option<SmallVec<[u32; 2]>> {
        let service = self.services.remove(self.find(id).ok()?);
        for place in &service.places {
            self.take(*place);
        }
        self.removals.push(Removal::Service(id));
        Some(service.places)
    }

    /// Switches maintenance; false if the instance is not here.
    pub fn maintain(&mut self, instance: Option<InstanceId>, on: bool) -> bool {
        let id = instance.map_or(CheckId::NodeMaintenance, CheckId::ServiceMaintenance);
        let at = match instance.map(|instance| self.find(instance)) {
            Some(Err(_)) => return false,
            Some(Ok(at)) => Some(at),
            None => None,
        };
        match (self.place_of(id), on) {
            (None, true) => {
                let place = self.put(LocalCheck::maintenance(id));
                match at {
                    Some(at) => self.services[at].places.push(place),
                    None => self.node_maintenance = Some(place),
                }
                self.removals.retain(|removal| *removal != Removal::Check(id));
            }
            (Some(place), false) => {
                self.take(place);
                match at {
                    Some(at) => self.services[at].places.retain(|other| *other != place),
                    None => self.node_maintenance = None,
                }
                self.removals.push(Removal::Check(id));
            }
            (Some(_), true) | (None, false) => {}
        }
        true
    }

    /// The next thing the catalog of `node` should be told; it counts as told from here on. Removals first, then
    /// services together with their changed checks, then single checks.
    pub fn next_push(&mut self, node: ProcessId) -> Option<Command> {
        if let Some(removal) = self.removals.pop() {
            return Some(match removal {
                Removal::Service(id) => Command::DeregisterService(node, id),
                Removal::Check(id) => Command::DeregisterCheck(node, id),
            });
        }
        if let Some(service) = self.services.iter_mut().find(|service| !service.in_sync) {
            service.in_sync = true;
            let id = service.definition.id;
            let spec = Arc::clone(&service.definition.spec);
            let changed = service.places.iter().filter_map(|place| {
                let check = self.checks[*place as usize].as_mut()?;
                push_check(check)
            });
            return Some(Command::Register(Registration {
                node,
                service: Some((id, spec)),
                checks: changed.collect(),
            }));
        }
        let check = self.checks.iter_mut().flatten().find_map(push_check)?;
        Some(Command::Register(Registration { node, service: None, checks: SmallVec::from_iter([check]) }))
    }

    /// What `command` said did not arrive: it is to be said again.
    pub fn push_failed(&mut self, command: &Command) {
        match command {
            Command::Barrier | Command::DeregisterNode(_) => {}
            Command::Register(registration) => {
                if let Some(Ok(at)) = registration.service.as_ref().map(|(id, _)| self.find(*id)) {
                    self.services[at].in_sync = false;
                }
                for check in &registration.checks {
                    if let Some(place) = self.place_of(check.id) {
                        self.checks[place as usize].as_mut().expect("the place was found just before").in_sync = false;
                    }
                }
            }
            Command::DeregisterService(_, id) => {
                if !self.has(*id) {
                    self.removals.push(Removal::Service(*id));
                }
            }
            Command::DeregisterCheck(_, id) => {
                if self.place_of(*id).is_none() {
                    self.removals.push(Removal::Check(*id));
                }
            }
        }
    }

    /// Compares with what the catalog has of this node: what is not here is to be removed there, what differs is to be
    /// told again. A check whose output alone differs is left to its deferred write.
    pub fn compare(&mut self, catalog: Option<&NodeEntry>) {
        self.removals.clear();
        for service in &mut self.services {
            let there = catalog.and_then(|node| node.instance(service.definition.id));
            service.in_sync = there.is_some_and(|there| there.spec == service.definition.spec);
        }
        for check in self.checks.iter_mut().flatten() {
            let there = catalog.and_then(|node| node.check(check.record.id));
            check.in_sync = there.is_some_and(|there| there.record.status == check.record.status);
        }
        let Some(node) = catalog else { return };
        for there in node.instances.iter().filter(|there| there.id != InstanceId::CONSUL) {
            if self.has(there.id) {
                for check in &there.checks {
                    if self.place_of(check.record.id).is_none() {
                        self.removals.push(Removal::Check(check.record.id));
                    }
                }
            } else {
                self.removals.push(Removal::Service(there.id));
            }
        }
        for check in node.checks.iter().filter(|check| check.record.id != CheckId::SerfHealth) {
            if self.place_of(check.record.id).is_none() {
                self.removals.push(Removal::Check(check.record.id));
            }
        }
    }

    /// A write is on the disk.
    pub fn written(&mut self, token: Token) {
        for service in self.services.iter_mut().filter(|service| service.write == Some(token)) {
            service.write = None;
        }
    }

    /// After a restart: services whose definition did not reach the disk are gone, all checks begin again, maintenance
    /// stays. Nothing counts as told.
    pub fn reload(&mut self, lost: &[Token]) {
        let services = std::mem::take(&mut self.services);
        let maintained: Vec<CheckId> = self
            .checks()
            .map(|(_, check)| check.record.id)
            .filter(|id| matches!(id, CheckId::NodeMaintenance | CheckId::ServiceMaintenance(_)))
            .collect();
        *self = Self::default();
        for service in services {
            if !service.write.is_some_and(|write| lost.contains(&write)) {
                self.add(&service.definition, Token(0));
            }
        }
        self.services.iter_mut().for_each(|service| service.write = None);
        for id in maintained {
            self.maintain(id.instance(), true);
        }
    }

    fn find(&self, id: InstanceId) -> Result<usize, usize> {
        self.services.binary_search_by_key(&id, |service| service.definition.id)
    }

    fn place_in(&self, service: Option<&LocalService>, id: CheckId) -> Option<u32> {
        service?.places.iter().copied().find(|place| self.has_at(*place, id))
    }

    fn has_at(&self, place: u32, id: CheckId) -> bool {
        self.check(place).is_some_and(|check| check.record.id == id)
    }

    fn put(&mut self, check: LocalCheck) -> u32 {
        if let Some(place) = self.free.pop() {
            self.checks[place as usize] = Some(check);
            return place;
        }
        self.checks.push(Some(check));
        u32::try_from(self.checks.len() - 1).expect("fewer than 2^32 checks on a host")
    }

    fn take(&mut self, place: u32) -> Option<LocalCheck> {
        let check = self.checks[place as usize].take()?;
        self.free.push(place);
        Some(check)
    }
}

/// What adding a service did to the places of checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Places whose alarms must stop; some may be taken again.
    pub old: SmallVec<[u32; 2]>,
    /// Places of the new checks.
    pub new: SmallVec<[u32; 2]>,
}

fn push_check(check: &mut LocalCheck) -> Option<CheckRecord> {
    if check.in_sync {
        return None;
    }
    check.in_sync = true;
    check.defer_until = None;
    Some(check.record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::model::service::Check;
    use crate::model::service::CheckKind;
    use crate::protocol::catalog::registry::State;
    use crate::protocol::catalog::registry::apply;
    use crate::protocol::catalog::story::service;

    const NODE: ProcessId = ProcessId(9);

    fn checks(count: usize) -> Vec<Check> {
        vec![Check::new("alive", CheckKind::Http, Duration::from_secs(10)); count]
    }

    fn pushes(local: &mut Local) -> Vec<String> {
        std::iter::from_fn(|| local.next_push(NODE)).map(|command| command.to_string()).collect()
    }

    #[test]
    fn only_what_changed_is_pushed_and_again_if_it_failed() {
        let mut local = Local::default();
        local.add(&service(1, "web", checks(1)), Token(1)).unwrap();
        assert_eq!(pushes(&mut local), ["Register p9 web=s1 s1/0=Critical"]);
        assert_eq!(local.add(&service(1, "web", checks(1)), Token(2)), None);
        assert!(local.maintain(Some(InstanceId(1)), true) && !local.maintain(Some(InstanceId(2)), true));
        let command = local.next_push(NODE).unwrap();
        assert_eq!(command.to_string(), "Register p9 _service_maintenance:s1=Critical");
        local.push_failed(&command);
        assert_eq!(pushes(&mut local).len(), 1);
        local.maintain(Some(InstanceId(1)), false);
        assert_eq!(pushes(&mut local), ["Deregister p9 _service_maintenance:s1"]);
    }

    #[test]
    fn a_comparison_finds_what_is_missing_different_or_too_much() {
        let mut local = Local::default();
        let mut state = State::default();
        for (at, id) in [1, 2, 3].into_iter().enumerate() {
            local.add(&service(id, "web", checks(1)), Token(id)).unwrap();
            apply(&mut state, at as u64 + 1, &local.next_push(NODE).unwrap()).unwrap();
        }
        local.compare(state.node(NODE).map(Arc::as_ref));
        assert_eq!(pushes(&mut local), [""; 0]);
        let mut fresh = Local::default();
        fresh.add(&service(2, "web", checks(1)), Token(1)).unwrap();
        fresh.add(&service(3, "shop", checks(0)), Token(2)).unwrap();
        fresh.compare(state.node(NODE).map(Arc::as_ref));
        assert_eq!(pushes(&mut fresh), ["Deregister p9 s3/0", "Deregister p9 s1", "Register p9 shop=s3"]);
        fresh.compare(None);
        assert_eq!(pushes(&mut fresh), ["Register p9 web=s2 s2/0=Critical", "Register p9 shop=s3"]);
    }

    #[test]
    fn a_replaced_service_keeps_the_state_of_its_checks() {
        let mut local = Local::default();
        let first = local.add(&service(1, "web", checks(2)), Token(1)).unwrap();
        let place = first.new[0];
        local.check_mut(place).unwrap().record.status = crate::model::service::CheckStatus::Passing;
        pushes(&mut local);
        let replaced = local.add(&service(1, "shop", checks(1)), Token(2)).unwrap();
        assert_eq!(replaced.old, first.new);
        assert_eq!(pushes(&mut local), ["Deregister p9 s1/1", "Register p9 shop=s1 s1/0=Passing"]);
    }

    #[test]
    fn a_restart_keeps_what_reached_the_disk() {
        let mut local = Local::default();
        local.add(&service(1, "web", checks(1)), Token(1)).unwrap();
        local.add(&service(2, "web", checks(1)), Token(2)).unwrap();
        local.maintain(None, true);
        local.written(Token(1));
        local.reload(&[Token(2)]);
        assert_eq!(local.services().collect::<Vec<_>>(), [InstanceId(1)]);
        assert_eq!(pushes(&mut local).len(), 2);
    }
}
