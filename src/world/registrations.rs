//! What a Nomad client wants to be registered with the Consul agent beside it, kept in line (Nomad
//! `command/agent/consul`, `ServiceClient`).
//!
//! A change is told the agent at once. If the agent is not there, or dies, nobody knows what it still has: the client
//! then asks it for its services, after 1 s, 2 s and so on up to 30 s or at the next change, and tells it the
//! difference; so it does when it starts again itself. The original also compares every 30 s. While the agent has what
//! was wanted that changes nothing, so it is left out here until the agent says that it has removed a service by
//! itself.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::alloc::AllocId;
use crate::protocol::catalog::message::{CatalogMsg, ServiceDefinition};
use crate::protocol::catalog::query::{Query, QueryKind};
use crate::protocol::catalog::record::InstanceId;
use crate::world::naming::alloc_of;
use crate::world::process::Process;
use crate::world::wire::{Alarm, Wire};

/// Whose services: an allocation's group's, or those of one of its tasks.
pub type Owner = (AllocId, Option<u16>);

/// The services of a client's allocations, and what is known of the agent's.
#[derive(Debug, Clone)]
pub struct Registrations {
    /// `None` where there is no Consul; then nothing is registered either.
    agent: Option<ProcessId>,
    wanted: OrdMap<Owner, Vec<Arc<ServiceDefinition>>>,
    /// Whether the agent was ever told anything.
    is_used: bool,
    /// When the agent was last told or asked something.
    spoke: Time,
    /// Attempts in a row that failed.
    failures: u32,
    /// The question whose answer counts.
    asked: u64,
}

impl Registrations {
    /// Of a client beside this agent.
    pub fn new(agent: Option<ProcessId>) -> Self {
        let wanted = OrdMap::new();
        Self { agent, wanted, is_used: false, spoke: Time::ZERO, failures: 0, asked: 0 }
    }

    /// The client starts, for the first time or again.
    pub fn start(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.failures = 0;
        if self.is_used {
            self.compare(now, fx);
        }
    }

    /// These are the services of `owner` from now on.
    pub fn set(&mut self, now: Time, owner: Owner, services: Vec<Arc<ServiceDefinition>>, fx: &mut impl Fx<Process>) {
        let before = self.wanted.remove(&owner).unwrap_or_default();
        if self.failures > 0 {
            // Every change tries to bring all in line.
            let is_change = !before.is_empty() || !services.is_empty();
            self.want(owner, services);
            if is_change {
                self.compare(now, fx);
            }
            return;
        }
        for gone in before.iter().filter(|gone| services.iter().all(|service| service.id != gone.id)) {
            self.tell(now, CatalogMsg::Deregister(gone.id), fx);
        }
        for service in &services {
            self.tell(now, CatalogMsg::Register(Arc::clone(service)), fx);
        }
        self.want(owner, services);
    }

    fn want(&mut self, owner: Owner, services: Vec<Arc<ServiceDefinition>>) {
        if !services.is_empty() {
            self.wanted.insert(owner, services);
        }
    }

    /// The agent refused, or its connection was reset. Returns whether it was the agent.
    pub fn refused(&mut self, by: ProcessId, fx: &mut impl Fx<Process>) -> bool {
        if self.agent != Some(by) {
            return false;
        }
        if self.is_used {
            // What it was asked before is not answered any more.
            self.asked += 1;
            self.failures += 1;
            fx.arm(Alarm::Registrations, (RETRY * u64::from(self.failures)).min(RETRY_MAX));
        }
        true
    }

    /// The agent has removed a service by itself, or never had it.
    pub fn unknown(&mut self, now: Time, instance: InstanceId, fx: &mut impl Fx<Process>) {
        if self.failures == 0 && self.find(instance).is_some() {
            let since = now.since(self.spoke).as_nanos() % PERIOD.as_nanos();
            fx.arm(Alarm::Registrations, PERIOD - Duration::from_nanos(since));
        }
    }

    /// Asks the agent what it has.
    pub fn compare(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.asked += 1;
        let query = Arc::new(Query::new(QueryKind::Local));
        self.tell(now, CatalogMsg::Ask { ask: self.asked, query }, fx);
    }

    /// The agent says what it has.
    pub fn compared(&mut self, now: Time, ask: u64, has: &[InstanceId], fx: &mut impl Fx<Process>) {
        if ask != self.asked {
            return;
        }
        self.failures = 0;
        fx.disarm(Alarm::Registrations);
        let is_gone = |instance: &&InstanceId| alloc_of(**instance).is_some() && self.find(**instance).is_none();
        let gone: Vec<InstanceId> = has.iter().filter(is_gone).copied().collect();
        for instance in gone {
            self.tell(now, CatalogMsg::Deregister(instance), fx);
        }
        let missing: Vec<Arc<ServiceDefinition>> =
            self.wanted.values().flatten().filter(|service| !has.contains(&service.id)).cloned().collect();
        for service in missing {
            self.tell(now, CatalogMsg::Register(service), fx);
        }
    }

    fn find(&self, instance: InstanceId) -> Option<&Arc<ServiceDefinition>> {
        let of_alloc = self.wanted.iter().filter(|((alloc, _), _)| alloc_of(instance) == Some(*alloc));
        of_alloc.flat_map(|(_, services)| services).find(|service| service.id == instance)
    }

    fn tell(&mut self, now: Time, msg: CatalogMsg, fx: &mut impl Fx<Process>) {
        let agent = self.agent.expect("services are registered where there is Consul");
        self.is_used = true;
        self.spoke = now;
        fx.send(agent, Wire::Catalog(msg));
    }
}

/// First wait after a failure (`defaultRetryInterval`); it grows by as much with every further one.
const RETRY: Duration = Duration::from_secs(1);
/// Longest (`defaultMaxRetryInterval`).
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Time between two comparisons while all is well (`defaultPeriodicInterval`).
const PERIOD: Duration = Duration::from_secs(30);
