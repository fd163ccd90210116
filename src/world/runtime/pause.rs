//! Tasks that are paused (SIGSTOP): they do nothing and are told nothing until they are resumed; then they go on where
//! they were, and find, in order, what came meanwhile.
//!
//! A pause ends with the task it stopped: one that is killed and started again is not paused. The kernel refuses
//! connections to ports the task had not opened, and forgets those that its backlog has no room for. Left out: that it
//! takes up the others for the task. Here they stay unanswered, so that who connects gives up by the time allowed for
//! that instead of the time allowed for an answer.

use std::mem;

use crate::base::machine::{Fx, Input};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::{Duration, Time};
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::proxy::message::HttpMsg;
use crate::world::naming;
use crate::world::process::Process;
use crate::world::runtime::{Doors, Runtime, Step, TaskId};
use crate::world::wire::{Alarm, RuntimeTimer, Wire};

/// The paused tasks of a runtime.
#[derive(Debug, Clone, Default)]
pub(super) struct Pauses {
    tasks: OrdSet<TaskId>,
    /// What would have happened to them, and how long after the pause it will.
    life: Vec<(Duration, TaskId, Step)>,
    /// What came for them.
    held: Vec<Input<Wire, Alarm>>,
    /// How many of those are connections to a port.
    backlog: OrdMap<u32, u32>,
}

impl Pauses {
    pub(super) fn has(&self, task: TaskId) -> bool {
        !self.tasks.is_empty() && self.tasks.contains(&task)
    }

    pub(super) fn hold(&mut self, input: Input<Wire, Alarm>) {
        if let Input::Message { msg: Wire::Http(HttpMsg::Connect { port, .. }), .. } = input {
            let waiting = self.backlog.entry(port).or_insert(0);
            if *waiting == BACKLOG {
                return;
            }
            *waiting += 1;
        }
        self.held.push(input);
    }

    /// Something would happen to a paused task after so long.
    pub(super) fn put_off(&mut self, left: Duration, task: TaskId, step: Step) {
        self.life.push((left, task, step));
    }

    /// A task has ended.
    pub(super) fn forget(&mut self, task: TaskId) {
        if self.tasks.remove(&task) {
            self.life.retain(|(_, of, _)| *of != task);
        }
    }
}

impl Runtime {
    /// Whether tasks are paused.
    #[inline]
    pub fn has_paused(&self) -> bool {
        !self.pauses.tasks.is_empty()
    }

    /// Whether this task is paused.
    pub fn is_paused(&self, task: TaskId) -> bool {
        self.pauses.has(task)
    }

    /// Pauses every task of a job that has been started. Returns them, those that were paused before, too.
    pub fn pause_job(&mut self, now: Time, job: &str, fx: &mut impl Fx<Process>) -> Vec<TaskId> {
        let runs = |id: TaskId| !self.life.iter().any(|(_, other, step)| (*other, *step) == (id, Step::Run));
        let of_job = self.tasks.iter().filter(|(_, task)| naming::is_of(&task.alloc.job.name, job));
        let hit: Vec<TaskId> = of_job.map(|(&id, _)| id).filter(|id| runs(*id)).collect();
        for &id in hit.iter().filter(|id| !self.pauses.has(**id)).collect::<Vec<_>>() {
            self.pauses.tasks.insert(id);
            let put_off = self.life.iter().filter(|(_, other, _)| *other == id);
            self.pauses.life.extend(put_off.map(|&(at, id, step)| (at.since(now), id, step)));
            self.life.retain(|(_, other, _)| *other != id);
            self.set_pace(now, id, 0.0, fx);
        }
        hit
    }

    /// Lets those of these tasks go on that are still there.
    pub fn resume(&mut self, now: Time, tasks: &[TaskId], fx: &mut impl Fx<Process>) {
        for &id in tasks {
            if self.pauses.tasks.remove(&id) {
                let due = self.pauses.life.extract_if(.., |(_, other, _)| *other == id);
                self.life.extend(due.map(|(left, id, step)| (now + left, id, step)));
                self.set_pace(now, id, self.speed, fx);
            }
        }
        self.go_on(now, fx);
        self.live(now, fx);
    }

    /// Takes in what was held for tasks that are no longer paused.
    pub(super) fn go_on(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.pauses.backlog.clear();
        for input in mem::take(&mut self.pauses.held) {
            self.handle(now, input, fx);
        }
    }

    /// Whether an input is for a paused task.
    pub(super) fn is_for_paused(&self, input: &Input<Wire, Alarm>) -> bool {
        match input {
            Input::Message { msg: Wire::Http(msg), .. } => match *msg {
                HttpMsg::Connect { port, .. }
                | HttpMsg::Request { port, .. }
                | HttpMsg::Cancel { port, .. }
                | HttpMsg::Probe { port, .. } => self.is_paused_at(port),
                HttpMsg::Accepted { .. }
                | HttpMsg::Response { .. }
                | HttpMsg::Reset { .. }
                | HttpMsg::ProbeReply { .. }
                | HttpMsg::ProbeRefused { .. } => self.is_proxy_paused(),
            },
            Input::Message { msg: Wire::Catalog(CatalogMsg::Probe { port, .. }), .. } => {
                self.is_paused_at(u32::from(*port))
            }
            Input::Message { msg: Wire::Catalog(_), .. }
            | Input::Refused { .. }
            | Input::Fired(Alarm::Proxy(_))
            | Input::Done(_) => self.is_proxy_paused(),
            Input::Fired(Alarm::Runtime(RuntimeTimer::Station(slot))) => {
                self.stations.port_of(*slot).is_some_and(|port| self.is_paused_at(port))
            }
            Input::Start | Input::Message { .. } | Input::Fired(_) => false,
        }
    }

    fn is_proxy_paused(&self) -> bool {
        self.proxy.is_some() && self.proxy_at_work().is_none()
    }

    /// Whether a paused task listens there.
    fn is_paused_at(&self, port: u32) -> bool {
        match &self.proxy {
            Some(proxy) if proxy.owns(port) => proxy.listens(port) && self.is_proxy_paused(),
            _ => {
                let is_its =
                    |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.ports.iter().any(|p| p.0 == port));
                self.stations.station(port).is_some() && self.pauses.tasks.iter().any(is_its)
            }
        }
    }

    fn set_pace(&mut self, now: Time, id: TaskId, speed: f64, fx: &mut impl Fx<Process>) {
        let ports = self.tasks.get(&id).map(|task| task.ports.clone()).unwrap_or_default();
        for (port, _) in ports {
            self.stations.set_speed(now, port, speed, &mut Doors { fx, facade: &self.facade });
        }
    }
}

/// Connections that wait for a task to take them up, per port (Linux `net.core.somaxconn` since 5.4, which Go uses).
const BACKLOG: u32 = 4096;
