//! The Nomad client of a machine, and its dealings with the task runtime and the Consul agent beside it.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::time::Time;
use crate::model::alloc::Alloc;
use crate::protocol::catalog::message::{CatalogMsg, CheckDefinition, ServiceDefinition};
use crate::protocol::catalog::query::Answer;
use crate::protocol::catalog::record::ServiceSpec;
use crate::protocol::client::agent::NomadClient;
use crate::protocol::client::event::Event as ClientEvent;
use crate::world::atlas::Atlas;
use crate::world::event::Event;
use crate::world::naming;
use crate::world::process::Process;
use crate::world::registrations::Registrations;
use crate::world::spec::MachineId;
use crate::world::via::{Via, hear_out};
use crate::world::wire::{Alarm, TaskMsg, Wire};

/// A Nomad client.
#[derive(Debug, Clone)]
pub struct ClientProcess {
    machine: MachineId,
    atlas: Arc<Atlas>,
    client: NomadClient,
    events: Vec<ClientEvent>,
    registrations: Registrations,
}

impl ClientProcess {
    /// A client that has not started.
    pub fn new(machine: MachineId, atlas: &Arc<Atlas>, client: NomadClient) -> Self {
        let registrations = Registrations::new(atlas.processes[machine].agent);
        Self { machine, atlas: Arc::clone(atlas), client, events: Vec::new(), registrations }
    }

    /// Reacts to one input.
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        match input {
            Input::Start => {
                self.client.handle(now, Input::Start, &mut via(fx, &mut self.events));
                self.registrations.start(now, fx);
            }
            Input::Message { from, msg: Wire::Nomad(msg) } => {
                self.client.handle(now, Input::Message { from, msg }, &mut via(fx, &mut self.events));
            }
            Input::Message { msg: Wire::Task(msg), .. } => self.task(now, &msg, fx),
            Input::Message { msg: Wire::Catalog(msg), .. } => self.catalog(now, &msg, fx),
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a Nomad client"),
            Input::Refused { to } if self.registrations.refused(to, fx) => {}
            Input::Refused { to } => {
                self.client.handle(now, Input::Refused { to }, &mut via(fx, &mut self.events));
            }
            Input::Fired(Alarm::Client(timer)) => {
                self.client.handle(now, Input::Fired(timer), &mut via(fx, &mut self.events));
            }
            Input::Fired(Alarm::Registrations) => self.registrations.compare(now, fx),
            Input::Fired(alarm) => unreachable!("a Nomad client does not set {alarm:?}"),
            Input::Done(token) => {
                self.client.handle(now, Input::Done(token), &mut via(fx, &mut self.events));
            }
        }
        self.settle(now, fx);
    }

    /// The process died; its allocations and what it registered are on disk.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        self.client.reboot(now, kept);
    }

    fn task(&mut self, now: Time, msg: &TaskMsg, fx: &mut impl Fx<Process>) {
        let fx = &mut via(fx, &mut self.events);
        match *msg {
            TaskMsg::Started { alloc, task } => self.client.task_started(now, alloc, task, fx),
            TaskMsg::Exited { alloc, task, exit } => self.client.task_exited(now, alloc, task, exit, fx),
            TaskMsg::Reattached { alloc, task, alive } => self.client.task_reattached(now, alloc, task, alive, fx),
            TaskMsg::Health { alloc, passing } => self.client.checks_passing(now, alloc, passing, fx),
            TaskMsg::Start { .. }
            | TaskMsg::Stop { .. }
            | TaskMsg::Kill { .. }
            | TaskMsg::Reattach { .. }
            | TaskMsg::PortsChanged => {
                unreachable!("a client is not told `{msg}`")
            }
        }
    }

    fn catalog(&mut self, now: Time, msg: &CatalogMsg, fx: &mut impl Fx<Process>) {
        match msg {
            CatalogMsg::Told { ask, result: Ok(reply) } => {
                if let Answer::Local(has) = &reply.answer {
                    self.registrations.compared(now, *ask, has, fx);
                }
            }
            CatalogMsg::Unknown(check) => {
                if let Some(instance) = check.instance() {
                    self.registrations.unknown(now, instance, fx);
                }
            }
            msg => unreachable!("nobody says `{msg}` to a Nomad client"),
        }
    }

    fn settle(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        hear_out(self, |p| &mut p.events, |p, event| p.on_event(now, event, fx));
    }

    fn on_event(&mut self, now: Time, event: ClientEvent, fx: &mut impl Fx<Process>) {
        match event {
            ClientEvent::StartTask { alloc, task } => self.to_runtime(TaskMsg::Start { alloc, task }, fx),
            ClientEvent::StopTask { alloc, task } => self.to_runtime(TaskMsg::Stop { alloc, task }, fx),
            ClientEvent::KillTask { alloc, task } => self.to_runtime(TaskMsg::Kill { alloc, task }, fx),
            ClientEvent::ReattachTask { alloc, task } => {
                self.to_runtime(TaskMsg::Reattach { alloc: alloc.id, task }, fx);
            }
            ClientEvent::RegisterServices { alloc, task } => self.register(now, &alloc, task, fx),
            ClientEvent::DeregisterServices { alloc, task } => {
                self.registrations.set(now, (alloc, task), Vec::new(), fx);
            }
            ClientEvent::TaskRestarting { .. }
            | ClientEvent::AllocReceived { .. }
            | ClientEvent::AllocStatus { .. }
            | ClientEvent::AllocHealth { .. }
            | ClientEvent::Registered
            | ClientEvent::HeartbeatFailed
            | ClientEvent::HeartbeatRestored
            | ClientEvent::StoppedWhileDisconnected { .. } => {
                fx.emit(Event::Client { machine: self.machine, event });
            }
        }
    }

    fn register(&mut self, now: Time, alloc: &Arc<Alloc>, task: Option<u16>, fx: &mut impl Fx<Process>) {
        let target = self.runtime();
        let mut definitions = Vec::new();
        for (ordinal, owner, service) in naming::services(alloc) {
            if owner != task {
                continue;
            }
            let id = naming::instance_of(alloc.id, ordinal);
            let port = service.port.as_deref().and_then(|label| naming::port(alloc, label)).unwrap_or(0);
            let spec = ServiceSpec {
                name: Arc::clone(&service.name),
                address: target,
                port,
                tags: service.tags.iter().cloned().collect(),
            };
            let checks = service.checks.iter().map(|check| CheckDefinition { check: check.clone(), target, port });
            definitions.push(Arc::new(ServiceDefinition { id, spec: Arc::new(spec), checks: checks.collect() }));
        }
        self.registrations.set(now, (alloc.id, task), definitions, fx);
    }

    fn runtime(&self) -> ProcessId {
        self.atlas.processes[self.machine].runtime.expect("a client machine has a task runtime")
    }

    fn to_runtime(&self, msg: TaskMsg, fx: &mut impl Fx<Process>) {
        fx.send(self.runtime(), Wire::Task(msg));
    }
}

fn via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<ClientEvent>) -> impl Fx<NomadClient> {
    Via { fx, events, wire: Wire::Nomad, alarm: Alarm::Client, lane: 0 }
}
