//! The task runtime of a client machine: what a driver starts, kept apart from the client so that tasks survive it.
//!
//! A task listens on its ports once its service has come up; requests and health checks are answered from then on. A
//! task of a job that is an ingress's proxy runs the proxy itself, which ends it: with failure when it gives up by
//! itself, well when it was told to stop and has drained. A machine runs one proxy; another that starts beside it finds
//! its addresses taken (that of its pages, if not that of its requests) and exits with failure.
//!
//! Left out:
//!
//! - The processor the tasks take from each other; a slow processor slows all of them alike.
//! - Where images come from: fetching one takes its time and never fails, so that the loss of a zone's way out (its NAT
//!   gateway) stops no task from starting.
//! - Instances that listen and yet are ill. A check is passed by whoever listens; instances that fail their checks
//!   while they serve, answer every request with an error or let no new connection in
//!   ([`Behaviour`](crate::protocol::workload::stations::Behaviour)) exist in the protocol and in no scenario. Versions
//!   that are bad in one of these ways do more harm than one that never listens: a proxy may go on sending to them.

mod pause;

use std::mem;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId};
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::client::event::Exit;
use crate::protocol::proxy::message::{Exchange, HttpMsg};
use crate::protocol::workload::stations::{Outlet, Stations};
use crate::world::atlas::Atlas;
use crate::world::checks;
use crate::world::event::{Event, Instance, Notice, RoutedInstance};
use crate::world::life::{self, Life};
use crate::world::naming;
use crate::world::process::Process;
use crate::world::proxy::Proxy;
use crate::world::runtime::pause::Pauses;
use crate::world::spec::{IngressSpec, MachineId, ServiceSpec};
use crate::world::station::station_config;
use crate::world::via::unwrap;
use crate::world::wire::{Alarm, RuntimeTimer, TaskMsg, Wire};

/// One task.
pub type TaskId = (AllocId, u16);

/// The task runtime of a machine.
#[derive(Debug, Clone)]
pub struct Runtime {
    machine: MachineId,
    atlas: Arc<Atlas>,
    tasks: OrdMap<TaskId, Task>,
    stations: Stations,
    facade: Facade,
    proxy: Option<Proxy>,
    /// The last ticket of the proxies that are over.
    ticket: u32,
    /// What happens to tasks next.
    life: OrdSet<(Time, TaskId, Step)>,
    pauses: Pauses,
    /// Images the machine has, by job and task.
    images: OrdSet<(Arc<str>, u16)>,
    /// 1 is nominal.
    speed: f64,
    draws: Draws,
    /// How runs of tasks go.
    lives: Draws,
    /// How many runs of a task there were, of those whose runs differ.
    runs: OrdMap<TaskId, u32>,
}

/// A running task.
#[derive(Debug, Clone)]
struct Task {
    alloc: Arc<Alloc>,
    /// Ports it listens on once up, with the behaviour of what listens there.
    ports: Vec<(u32, Option<usize>)>,
    /// It listens once it is up.
    healthy: bool,
    /// It was told to end and takes its time.
    ending: bool,
}

/// Who answers behind the ports of the machine.
#[derive(Debug, Clone)]
struct Facade {
    region: RegionId,
    machine: MachineId,
    instances: Vec<(u32, AllocId)>,
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Its image is there: it runs.
    Run,
    /// It begins to listen.
    Up,
    /// It has done its work.
    Finish,
    /// It fails by itself.
    Fail,
    /// It ends because it was told to.
    End,
}

impl Runtime {
    /// A runtime without tasks.
    pub fn new(machine: MachineId, atlas: &Arc<Atlas>, draws: Draws) -> Self {
        let lives = Draws::new(atlas.seed, &format!("{}/lives", atlas.spec.machines[machine].name));
        Self {
            machine,
            atlas: Arc::clone(atlas),
            tasks: OrdMap::new(),
            stations: Stations::new(draws),
            facade: Facade { region: atlas.region(machine), machine, instances: Vec::new() },
            proxy: None,
            ticket: 0,
            life: OrdSet::new(),
            pauses: Pauses::default(),
            images: OrdSet::new(),
            speed: 1.0,
            draws,
            lives,
            runs: OrdMap::new(),
        }
    }

    /// The proxy that runs here and is not paused, if one does.
    pub fn proxy_at_work(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| !self.pauses.has(task_of(proxy)))
    }

    /// A response was passed on to its user past the proxy that runs here: see [`Proxy::passed_on`].
    #[inline]
    pub fn passed_on(&mut self, at: Time, exchange: Exchange) {
        if let Some(proxy) = &mut self.proxy {
            proxy.passed_on(at, exchange);
        }
    }

    /// Whether a task of this job, or of a child of it, runs here.
    pub fn runs(&self, job: &str) -> bool {
        self.tasks.values().any(|task| naming::is_of(&task.alloc.job.name, job))
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        if self.has_paused() && self.is_for_paused(&input) {
            return self.pauses.hold(input);
        }
        match input {
            Input::Start => {}
            Input::Message { from, msg: Wire::Http(msg) } => self.http(now, from, msg, fx),
            Input::Message { msg: Wire::Task(msg), .. } => {
                self.task(now, msg, fx);
                self.live(now, fx);
            }
            Input::Message { from, msg: Wire::Catalog(msg) } => self.catalog(now, from, &msg, fx),
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a task runtime"),
            Input::Refused { to } => self.with_proxy(fx, |proxy, fx| proxy.refused(now, to, fx)),
            Input::Fired(Alarm::Runtime(RuntimeTimer::Life)) => self.live(now, fx),
            Input::Fired(Alarm::Runtime(RuntimeTimer::Station(slot))) => {
                self.stations.fired(now, slot, &mut Doors { fx, facade: &self.facade });
            }
            Input::Fired(Alarm::Proxy(timer)) => {
                self.with_proxy(fx, |proxy, fx| proxy.handle(now, Input::Fired(timer), fx));
            }
            Input::Fired(alarm) => unreachable!("a task runtime does not set {alarm:?}"),
            Input::Done(token) => {
                self.with_proxy(fx, |proxy, fx| proxy.handle(now, Input::Done(unwrap(token).0), fx));
            }
        }
    }

    /// The machine lost power: every task is gone.
    pub fn reboot(&mut self, _now: Time, _kept: &Kept) {
        let (images, runs) = (mem::take(&mut self.images), mem::take(&mut self.runs));
        *self = Self { images, runs, speed: self.speed, ..Self::new(self.machine, &self.atlas, self.draws) };
    }

    /// The speed once it runs.
    pub fn will_run_at(&mut self, speed: f64) {
        self.speed = speed;
    }

    /// Kills every task of a job (SIGKILL from outside), as a fault does. Returns how many there were.
    pub fn kill_job(&mut self, now: Time, job: &str, fx: &mut impl Fx<Process>) -> usize {
        let hit: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| naming::is_of(&task.alloc.job.name, job)).map(|(&id, _)| id).collect();
        for &id in &hit {
            self.end(id, Exit::Failure, fx);
        }
        self.go_on(now, fx);
        self.live(now, fx);
        hit.len()
    }

    /// Every instance serves at this speed from now on; 1 is nominal.
    pub fn set_speed(&mut self, now: Time, speed: f64, fx: &mut impl Fx<Process>) {
        self.speed = speed;
        let going = self.tasks.iter().filter(|(id, _)| !self.pauses.has(**id));
        let ports: Vec<u32> = going.flat_map(|(_, task)| task.ports.iter().map(|&(port, _)| port)).collect();
        for port in ports {
            self.stations.set_speed(now, port, speed, &mut Doors { fx, facade: &self.facade });
        }
    }

    fn http(&mut self, now: Time, from: ProcessId, msg: HttpMsg, fx: &mut impl Fx<Process>) {
        let port = match msg {
            HttpMsg::Connect { port, .. }
            | HttpMsg::Request { port, .. }
            | HttpMsg::Cancel { port, .. }
            | HttpMsg::Probe { port, .. } => Some(port),
            HttpMsg::Accepted { .. }
            | HttpMsg::Response { .. }
            | HttpMsg::Reset { .. }
            | HttpMsg::ProbeReply { .. }
            | HttpMsg::ProbeRefused { .. } => None,
        };
        match &self.proxy {
            // Answers are the proxy's; it alone asks others.
            Some(proxy) if port.is_none_or(|port| proxy.owns(port)) => {
                self.with_proxy(fx, |proxy, fx| proxy.handle(now, Input::Message { from, msg }, fx));
            }
            _ => self.stations.message(now, from, msg, &mut Doors { fx, facade: &self.facade }),
        }
    }

    fn task(&mut self, now: Time, msg: TaskMsg, fx: &mut impl Fx<Process>) {
        match msg {
            TaskMsg::Start { alloc, task } => self.start(now, &alloc, task),
            TaskMsg::Stop { alloc, task } => self.stop(now, (alloc, task), fx),
            TaskMsg::Kill { alloc, task } => {
                self.end((alloc, task), Exit::Failure, fx);
                self.go_on(now, fx);
            }
            TaskMsg::Reattach { alloc, task } => {
                let alive = self.tasks.contains_key(&(alloc, task));
                self.tell(TaskMsg::Reattached { alloc, task, alive }, fx);
            }
            TaskMsg::Started { .. }
            | TaskMsg::Exited { .. }
            | TaskMsg::Reattached { .. }
            | TaskMsg::PortsChanged
            | TaskMsg::Health { .. } => {
                unreachable!("a runtime is not told `{msg}`")
            }
        }
    }

    fn start(&mut self, now: Time, alloc: &Arc<Alloc>, task: u16) {
        let id = (alloc.id, task);
        let ports: Vec<(u32, Option<usize>)> =
            naming::listeners(alloc, task).map(|(service, port)| (u32::from(port), self.service(service))).collect();
        let behaviour = ports.iter().find_map(|&(_, service)| service).or_else(|| {
            let name = alloc.task_group().tasks.get(usize::from(task)).map(|task| &*task.name);
            name.and_then(|name| self.service(name))
        });
        let behaviour: Option<&ServiceSpec> = behaviour.map(|index| &self.atlas.spec.services[index]);
        let image = (Arc::clone(&alloc.job.name), task);
        let pull = behaviour.filter(|_| self.images.insert(image)).map_or(Duration::ZERO, |service| service.image_pull);
        let runs = now + pull;
        let up = behaviour.map_or(runs, |service| runs + service.start);
        let life = self.life_of(alloc, id);
        self.life.insert((runs, id, Step::Run));
        self.life.insert((up, id, Step::Up));
        self.life.extend(life.end.map(|(span, exit)| {
            let step = if exit == Exit::Success { Step::Finish } else { Step::Fail };
            (up + span, id, step)
        }));
        self.tasks.insert(id, Task { alloc: Arc::clone(alloc), ports, healthy: life.healthy, ending: false });
    }

    /// How this run of a task goes.
    fn life_of(&mut self, alloc: &Alloc, id: TaskId) -> Life {
        let Some(behaviour) = life::behaviour_of(&self.atlas.spec.behaviours, alloc, id.1) else {
            return Life::plain(alloc, id.1);
        };
        let run = self.runs.entry(id).or_insert(0);
        let life = Life::of(behaviour, self.lives, id, *run);
        *run += 1;
        life
    }

    /// The image is there and the task runs.
    fn run(&mut self, now: Time, id: TaskId, fx: &mut impl Fx<Process>) {
        let Some(alloc) = self.tasks.get(&id).map(|task| Arc::clone(&task.alloc)) else { return };
        let atlas = Arc::clone(&self.atlas);
        let region = atlas.region(self.machine);
        let is_its = |ingress: &&IngressSpec| id.1 == 0 && ingress.region == region && *ingress.job == *alloc.job.name;
        let ours = atlas.spec.ingress.as_slice().iter().find(is_its);
        let is_taken = self.proxy.is_some();
        if let Some(ingress) = ours.filter(|_| !is_taken) {
            let mut proxy = Proxy::new(self.machine, &atlas, alloc.id, ingress, self.ticket);
            proxy.handle(now, Input::Start, fx);
            self.proxy = Some(proxy);
            checks::ports_changed(&atlas, self.machine, fx);
        }
        self.tell(TaskMsg::Started { alloc: id.0, task: id.1 }, fx);
        self.notice(id.0, true, fx);
        if ours.is_some() && is_taken {
            self.end(id, Exit::Failure, fx);
        }
    }

    fn stop(&mut self, now: Time, id: TaskId, fx: &mut impl Fx<Process>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            // It is gone already; whoever asks hears so.
            return self.tell(TaskMsg::Exited { alloc: id.0, task: id.1, exit: Exit::Success }, fx);
        };
        if mem::replace(&mut task.ending, true) {
            return;
        }
        let service = task.ports.iter().find_map(|&(_, service)| service);
        let takes = service.map(|index| self.atlas.spec.services[index].stop).unwrap_or_default();
        let takes = if self.is_proxys(id) { Duration::ZERO } else { takes };
        if self.pauses.has(id) {
            return self.pauses.put_off(takes, id, Step::End);
        }
        self.life.insert((now + takes, id, Step::End));
    }

    fn end(&mut self, id: TaskId, exit: Exit, fx: &mut impl Fx<Process>) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.life.retain(|(_, other, _)| *other != id);
        self.pauses.forget(id);
        let mut closed = false;
        for (port, _) in task.ports {
            self.facade.instances.retain(|(other, _)| *other != port);
            closed |= self.stations.remove(port, &mut Doors { fx, facade: &self.facade });
        }
        if let Some(proxy) = self.proxy.take_if(|proxy| task_of(proxy) == id) {
            self.ticket = proxy.die(fx);
            closed = true;
        }
        if closed {
            checks::ports_changed(&self.atlas, self.machine, fx);
        }
        self.tell(TaskMsg::Exited { alloc: id.0, task: id.1, exit }, fx);
        self.notice(id.0, false, fx);
    }

    /// Carries out what is due and sets the alarm for what comes next.
    fn live(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        while let Some(&(at, id, step)) = self.life.first() {
            if at > now {
                fx.arm(Alarm::Runtime(RuntimeTimer::Life), at.since(now));
                return;
            }
            self.life.pop_first();
            match step {
                Step::Run => self.run(now, id, fx),
                Step::Up => self.listen(now, id, fx),
                Step::End if self.is_proxys(id) => self.with_proxy(fx, Proxy::shutdown),
                Step::Finish | Step::End => self.end(id, Exit::Success, fx),
                Step::Fail => self.end(id, Exit::Failure, fx),
            }
        }
    }

    fn listen(&mut self, now: Time, id: TaskId, fx: &mut impl Fx<Process>) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.healthy) else { return };
        for (port, service) in task.ports.clone() {
            let config = station_config(service.map(|index| &self.atlas.spec.services[index]));
            self.facade.instances.retain(|(other, _)| *other != port);
            self.facade.instances.push((port, id.0));
            self.stations.insert(now, port, config, &mut Doors { fx, facade: &self.facade });
            if self.speed < 1.0 {
                self.stations.set_speed(now, port, self.speed, &mut Doors { fx, facade: &self.facade });
            }
        }
        checks::ports_changed(&self.atlas, self.machine, fx);
    }

    /// Whoever changes what a probe is answered here also says so: [`checks::ports_changed`].
    fn catalog(&mut self, now: Time, from: ProcessId, msg: &CatalogMsg, fx: &mut impl Fx<Process>) {
        if let CatalogMsg::Probe { check, round, port, .. } = *msg {
            let port = u32::from(port);
            let well =
                self.stations.station(port).is_some() || self.proxy.as_ref().is_some_and(|proxy| proxy.listens(port));
            let status = if well { CheckStatus::Passing } else { CheckStatus::Critical };
            fx.send(from, Wire::Catalog(CatalogMsg::ProbeReply { check, round, status, output: u32::from(well) }));
        } else {
            self.with_proxy(fx, |proxy, fx| proxy.told(now, msg, fx));
        }
    }

    /// Whatever the proxy does may be its last: a task whose process has exited is over, well only if it was told to.
    #[inline]
    fn with_proxy<F: Fx<Process>>(&mut self, fx: &mut F, act: impl FnOnce(&mut Proxy, &mut F)) {
        let Some(proxy) = &mut self.proxy else { return };
        act(proxy, fx);
        if proxy.has_exited() {
            let id = task_of(proxy);
            let is_told = self.tasks.get(&id).is_some_and(|task| task.ending);
            self.end(id, if is_told { Exit::Success } else { Exit::Failure }, fx);
        }
    }

    fn is_proxys(&self, id: TaskId) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| task_of(proxy) == id)
    }

    fn service(&self, name: &str) -> Option<usize> {
        self.atlas.spec.services.iter().position(|service| &*service.name == name)
    }

    fn tell(&self, msg: TaskMsg, fx: &mut impl Fx<Process>) {
        fx.send(self.atlas.processes[self.machine].main, Wire::Task(msg));
    }

    fn notice(&self, alloc: AllocId, running: bool, fx: &mut impl Fx<Process>) {
        let instance = Instance { region: self.atlas.region(self.machine), alloc };
        fx.emit(Event::Notice(Notice::TaskRunning { instance, machine: self.machine, running }));
    }
}

/// The task that runs a proxy.
fn task_of(proxy: &Proxy) -> TaskId {
    (proxy.alloc(), 0)
}

/// The effects of the stations.
struct Doors<'a, F> {
    fx: &'a mut F,
    facade: &'a Facade,
}

impl<F: Fx<Process>> Outlet for Doors<'_, F> {
    #[inline]
    fn send(&mut self, to: ProcessId, msg: HttpMsg) {
        self.fx.send(to, Wire::Http(msg));
    }

    #[inline]
    fn respond(&mut self, port: u32, to: ProcessId, exchange: Exchange, status: u16) {
        let Facade { region, machine, ref instances } = *self.facade;
        if status == 200
            && let Some(&(_, alloc)) = instances.iter().find(|(other, _)| *other == port)
        {
            let instance = RoutedInstance { machine, instance: Instance { region, alloc } };
            self.fx.emit(Event::Notice(Notice::RequestServed { number: exchange.number, instance }));
        }
        self.fx.emit(Event::Answered { to, exchange, status });
    }

    #[inline]
    fn arm(&mut self, slot: u32, delay: Duration) {
        self.fx.arm(Alarm::Runtime(RuntimeTimer::Station(slot)), delay);
    }

    #[inline]
    fn disarm(&mut self, slot: u32) {
        self.fx.disarm(Alarm::Runtime(RuntimeTimer::Station(slot)));
    }
}
