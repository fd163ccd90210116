//! A small world of the request path: a client, a balancer node, fabio nodes, hosts with instances and a catalog.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Machine, Slot, Token};
use crate::base::ordered::OrdMap;
use crate::base::rng::{Draws, Rng};
use crate::base::time::{Duration, Time};
use crate::model::topology::ZoneId;
use crate::protocol::proxy::alb::{Alb, AlbConfig, AlbEvent, AlbTimer};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio::{FabioEvent, FabioNode, FabioTimer, HttpRoute};
use crate::protocol::proxy::fabio_config::FabioConfig;
use crate::protocol::proxy::health::HealthState;
use crate::protocol::proxy::message::{Exchange, HttpMsg, RouteId};
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck, NodeChecks};
use crate::protocol::proxy::watcher::{Answer, Query};
use crate::protocol::workload::arrival::{Arrivals, Gaps};
use crate::protocol::workload::client::{Client, ClientConfig, ClientEvent, ClientTimer, Outcome};
use crate::protocol::workload::service_time::ServiceTime;
use crate::protocol::workload::station::StationConfig;
use crate::protocol::workload::stations::{Outlet, Stations};

const CLIENT: ProcessId = ProcessId(0);
pub(super) const ALB: ProcessId = ProcessId(1);
pub(super) const FABIOS: [ProcessId; 2] = [ProcessId(2), ProcessId(3)];
pub(super) const HOSTS: [ProcessId; 2] = [ProcessId(4), ProcessId(5)];
pub(super) const PORT: u32 = 20_000;
const HOP: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reachable {
    Yes,
    /// The process is gone, its host answers.
    Refuses,
    /// The host is gone.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Deliver { from: u32, to: u32, place: usize },
    Refused { at: u32, to: u32 },
    Alarm { process: u32, slot: usize, generation: u64 },
    Built { process: u32, token: u64 },
    Answer { process: u32, ticket: u32, place: usize },
}

pub(super) struct Effects<P: Machine> {
    pub(super) sent: Vec<(ProcessId, P::Msg)>,
    pub(super) alarms: Vec<(P::Timer, Option<Duration>)>,
    pub(super) events: Vec<P::Event>,
    pub(super) built: Vec<Token>,
}

impl<P: Machine> Default for Effects<P> {
    fn default() -> Self {
        Self { sent: Vec::new(), alarms: Vec::new(), events: Vec::new(), built: Vec::new() }
    }
}

impl<P: Machine> Fx<P> for Effects<P> {
    fn send(&mut self, to: ProcessId, msg: P::Msg) {
        self.sent.push((to, msg));
    }
    fn arm(&mut self, timer: P::Timer, delay: Duration) {
        self.alarms.push((timer, Some(delay)));
    }
    fn disarm(&mut self, timer: P::Timer) {
        self.alarms.push((timer, None));
    }
    fn write(&mut self, _: Token, _: u32) {}
    fn compute(&mut self, token: Token, _: Duration) {
        self.built.push(token);
    }
    fn emit(&mut self, event: P::Event) {
        self.events.push(event);
    }
}

#[derive(Default)]
pub(super) struct HostEffects {
    pub(super) sent: Vec<(ProcessId, HttpMsg)>,
    pub(super) alarms: Vec<(u32, Option<Duration>)>,
}

impl Outlet for HostEffects {
    fn send(&mut self, to: ProcessId, msg: HttpMsg) {
        self.sent.push((to, msg));
    }
    fn respond(&mut self, _: u32, to: ProcessId, Exchange { id, number }: Exchange, status: u16) {
        self.sent.push((to, HttpMsg::Response { id, number, status }));
    }
    fn arm(&mut self, slot: u32, delay: Duration) {
        self.alarms.push((slot, Some(delay)));
    }
    fn disarm(&mut self, slot: u32) {
        self.alarms.push((slot, None));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "inputs are handed on, as everywhere")]
fn relabelled<T>(input: Input<HttpMsg, ()>) -> Input<HttpMsg, T> {
    match input {
        Input::Start => Input::Start,
        Input::Message { from, msg } => Input::Message { from, msg },
        Input::Refused { to } => Input::Refused { to },
        Input::Done(token) => Input::Done(token),
        Input::Fired(()) => unreachable!("alarms go another way"),
    }
}

/// An instance as the catalog of the story has it.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) service: &'static str,
    pub(super) host: ProcessId,
    pub(super) port: u32,
    pub(super) tags: Vec<Arc<str>>,
    pub(super) checks: Vec<&'static str>,
}

/// A catalog that answers health queries when it changes.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) index: u64,
    pub(super) instances: Vec<Instance>,
    pub(super) waiting: Vec<(ProcessId, u32, u64)>,
    pub(super) has_leader: bool,
    pub(super) has_no_agent: bool,
    pub(super) reads_fail: bool,
    /// What is below `/fabio/config`; it does not change.
    pub(super) overrides: &'static str,
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    pub(super) count: u64,
    pub(super) messages: Vec<Option<HttpMsg>>,
    pub(super) free: Vec<usize>,
    pub(super) answers: Vec<Answer>,
    pub(super) timers: OrdMap<(u32, usize), u64>,
    pub(super) reachable: OrdMap<ProcessId, Reachable>,
    pub(super) client: Client,
    pub(super) alb: Alb,
    pub(super) fabios: Vec<FabioNode>,
    pub(super) hosts: Vec<Stations>,
    pub(super) catalog: Catalog,
    /// (when it ended, how, how long it took)
    pub(super) ended: Vec<(Time, Outcome, Duration)>,
    pub(super) issued: u64,
    pub(super) exited: u32,
    pub(super) rejected: Vec<String>,
    pub(super) applied: u32,
    pub(super) health: Vec<(Time, Endpoint, HealthState)>,
}

pub(super) fn instance(host: usize, tag: &str, checks: &[&'static str]) -> Instance {
    Instance { service: "shop", host: HOSTS[host], port: PORT, tags: vec![tag.into()], checks: checks.to_vec() }
}

impl World {
    /// Two hosts with an instance each, `fabios` fabio nodes, one balancer node, `rate` requests a second.
    pub(super) fn new(fabios: usize, rate: f64, client: ClientConfig, alb: AlbConfig) -> Self {
        let draws = Draws::new(5, "client");
        let routes: Arc<[HttpRoute]> = Arc::new([HttpRoute { host: "shop.example.com".into(), path: "/".into() }]);
        let node = |i| FabioNode::new(FabioConfig::default(), routes.clone(), Draws::new(i, "fabio"));
        let mut world = Self {
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            count: 0,
            messages: Vec::new(),
            free: Vec::new(),
            answers: Vec::new(),
            timers: OrdMap::new(),
            reachable: OrdMap::new(),
            client: Client::new(client, Arrivals::constant(Gaps::Equal, rate, draws), draws),
            alb: Alb::new(alb, Rng::stream(1, "alb")),
            fabios: (0..fabios as u64).map(node).collect(),
            hosts: (0..2).map(|i| Stations::new(Draws::new(i, "host"))).collect(),
            catalog: Catalog { index: 1, has_leader: true, ..Catalog::default() },
            ended: Vec::new(),
            issued: 0,
            exited: 0,
            rejected: Vec::new(),
            applied: 0,
            health: Vec::new(),
        };
        for host in 0..2 {
            world.start_instance(host);
            world.catalog.instances.push(instance(host, "urlprefix-/", &["passing"]));
        }
        for fabio in 0..fabios {
            world.register(fabio);
            world.fabio(fabio, Input::Start);
        }
        world.alb_input(Input::Start);
        world
    }

    pub(super) fn usual(fabios: usize) -> Self {
        let config = ClientConfig { timeout: Duration::from_secs(100), ..ClientConfig::new(0, RouteId(0)) };
        Self::new(fabios, 10.0, config, AlbConfig::new(ZoneId(0)))
    }

    /// Lets everything settle, then starts the client.
    pub(super) fn with_traffic(mut self) -> Self {
        self.run(60);
        let mut fx = Effects::default();
        self.client.handle(self.now, Input::Start, &mut fx);
        self.carry_client(fx);
        self
    }

    pub(super) fn register(&mut self, fabio: usize) {
        let mut fx = Effects::default();
        self.alb.register(Endpoint { process: FABIOS[fabio], port: 9_999 }, ZoneId(0), &mut fx);
        self.carry_alb(fx);
    }

    pub(super) fn start_instance(&mut self, host: usize) {
        let config = StationConfig::new(8, ServiceTime::Deterministic(Duration::from_millis(20)));
        let mut fx = HostEffects::default();
        self.hosts[host].insert(self.now, PORT, config, &mut fx);
        self.carry_host(host, fx);
    }

    pub(super) fn kill_instance(&mut self, host: usize) {
        let mut fx = HostEffects::default();
        self.hosts[host].remove(PORT, &mut fx);
        self.carry_host(host, fx);
    }

    pub(super) fn set_reachable(&mut self, process: ProcessId, reachable: Reachable) {
        self.reachable.insert(process, reachable);
    }

    /// The agent beside the fabio nodes dies, or is back.
    pub(super) fn set_agent(&mut self, is_there: bool) {
        self.catalog.has_no_agent = !is_there;
        self.catalog.waiting.clear();
        for fabio in 0..if is_there { 0 } else { self.fabios.len() } {
            let mut fx = Effects::default();
            self.fabios[fabio].agent_lost(self.now, &mut fx);
            self.carry_fabio(fabio, fx);
        }
    }

    /// The catalog changes.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Catalog)) {
        change(&mut self.catalog);
        self.catalog.index += 1;
        for (process, ticket, _) in std::mem::take(&mut self.catalog.waiting) {
            self.answer_health(process, ticket, 0);
        }
    }

    pub(super) fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= until) {
            let Reverse((at, _, happening)) = self.queue.pop().expect("just peeked");
            self.now = at;
            self.happen(happening);
        }
        self.now = until;
    }

    pub(super) fn put(&mut self, delay: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((self.now + delay, self.count, happening)));
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { from, to, place } => {
                let msg = self.messages[place].take().expect("delivered once");
                self.free.push(place);
                match self.reachable.get(&ProcessId(to)).copied().unwrap_or(Reachable::Yes) {
                    Reachable::Yes => self.input(to, Input::Message { from: ProcessId(from), msg }),
                    Reachable::Refuses => self.put(HOP, Happening::Refused { at: from, to }),
                    Reachable::Silent => {}
                }
            }
            Happening::Refused { at, to } => self.input(at, Input::Refused { to: ProcessId(to) }),
            Happening::Alarm { process, slot, generation } => {
                if self.timers.get(&(process, slot)) == Some(&generation) {
                    self.alarm(process, slot);
                }
            }
            Happening::Built { process, token } => self.input(process, Input::Done(Token(token))),
            Happening::Answer { process, ticket, place } => {
                let fabio = FABIOS.iter().position(|&fabio| fabio.0 == process).expect("only fabio asks");
                let (mut fx, answer) = (Effects::default(), self.answers[place].clone());
                self.fabios[fabio].answer(self.now, ticket, &answer, &mut fx);
                self.carry_fabio(fabio, fx);
            }
        }
    }

    pub(super) fn input(&mut self, process: u32, input: Input<HttpMsg, ()>) {
        if let Some(host) = HOSTS.iter().position(|host| host.0 == process) {
            if let Input::Message { from, msg } = input {
                let mut fx = HostEffects::default();
                self.hosts[host].message(self.now, from, msg, &mut fx);
                self.carry_host(host, fx);
            }
            return;
        }
        match process {
            0 => self.client_input(relabelled(input)),
            1 => self.alb_input(relabelled(input)),
            fabio => self.fabio(fabio as usize - 2, relabelled(input)),
        }
    }

    pub(super) fn alarm(&mut self, process: u32, slot: usize) {
        match process {
            0 => {
                let timers = [ClientTimer::Arrival, ClientTimer::TimeoutDue, ClientTimer::RetryDue];
                self.client_input(Input::Fired(timers[slot]));
            }
            1 => {
                let target = (slot.max(2) - 2) as u32 / 3;
                let timer = match (slot, (slot.max(2) - 2) % 3) {
                    (0, _) => AlbTimer::DialDue,
                    (1, _) => AlbTimer::IdleDue,
                    (_, 0) => AlbTimer::Probe(target),
                    (_, 1) => AlbTimer::ProbeDue(target),
                    _ => AlbTimer::Deregistered(target),
                };
                self.alb_input(Input::Fired(timer));
            }
            2 | 3 => {
                let timers = [
                    FabioTimer::AgentRetry,
                    FabioTimer::HealthRetry,
                    FabioTimer::OverridesRetry,
                    FabioTimer::Heartbeat,
                    FabioTimer::DialDue,
                    FabioTimer::HeaderDue,
                    FabioTimer::Grace,
                    FabioTimer::Drain,
                ];
                self.fabio(process as usize - 2, Input::Fired(timers[slot]));
            }
            host => {
                let (host, mut fx) = (host as usize - 4, HostEffects::default());
                self.hosts[host].fired(self.now, slot as u32, &mut fx);
                self.carry_host(host, fx);
            }
        }
    }

    pub(super) fn client_input(&mut self, input: Input<HttpMsg, ClientTimer>) {
        let mut fx = Effects::default();
        self.client.handle(self.now, input, &mut fx);
        self.carry_client(fx);
    }

    pub(super) fn alb_input(&mut self, input: Input<HttpMsg, AlbTimer>) {
        let mut fx = Effects::default();
        self.alb.handle(self.now, input, &mut fx);
        self.carry_alb(fx);
    }

    pub(super) fn fabio(&mut self, fabio: usize, input: Input<HttpMsg, FabioTimer>) {
        let mut fx = Effects::default();
        self.fabios[fabio].handle(self.now, input, &mut fx);
        self.carry_fabio(fabio, fx);
    }

    pub(super) fn send_all(&mut self, from: ProcessId, sent: Vec<(ProcessId, HttpMsg)>) {
        if self.reachable.get(&from).copied().unwrap_or(Reachable::Yes) != Reachable::Yes {
            return;
        }
        for (to, msg) in sent {
            let place = self.free.pop().unwrap_or_else(|| {
                self.messages.push(None);
                self.messages.len() - 1
            });
            self.messages[place] = Some(msg);
            self.put(HOP, Happening::Deliver { from: from.0, to: to.0, place });
        }
    }

    pub(super) fn set_alarms(
        &mut self,
        process: ProcessId,
        alarms: impl IntoIterator<Item = (usize, Option<Duration>)>,
    ) {
        for (slot, delay) in alarms {
            let generation = self.timers.entry((process.0, slot)).or_default();
            *generation += 1;
            let generation = *generation;
            if let Some(delay) = delay {
                self.put(delay, Happening::Alarm { process: process.0, slot, generation });
            }
        }
    }

    pub(super) fn carry_client(&mut self, fx: Effects<Client>) {
        self.set_alarms(CLIENT, fx.alarms.into_iter().map(|(timer, delay)| (timer.slot(), delay)));
        self.send_all(CLIENT, fx.sent);
        for event in fx.events {
            match event {
                ClientEvent::Issued { .. } => self.issued += 1,
                ClientEvent::Retried { .. } => {}
                ClientEvent::Ended { outcome, issued, .. } => {
                    self.ended.push((self.now, outcome, self.now.since(issued)));
                }
                ClientEvent::Resolve => self.client.resolved(self.now, &[ALB], Duration::from_secs(60)),
            }
        }
    }

    pub(super) fn carry_alb(&mut self, fx: Effects<Alb>) {
        self.set_alarms(ALB, fx.alarms.into_iter().map(|(timer, delay)| (timer.slot(), delay)));
        self.send_all(ALB, fx.sent);
        for event in fx.events {
            if let AlbEvent::Health { target, state } = event {
                self.health.push((self.now, target, state));
            }
        }
    }

    pub(super) fn carry_host(&mut self, host: usize, fx: HostEffects) {
        self.set_alarms(HOSTS[host], fx.alarms.into_iter().map(|(slot, delay)| (slot as usize, delay)));
        self.send_all(HOSTS[host], fx.sent);
    }

    pub(super) fn carry_fabio(&mut self, fabio: usize, fx: Effects<FabioNode>) {
        let process = FABIOS[fabio];
        self.set_alarms(process, fx.alarms.into_iter().map(|(timer, delay)| (timer.slot(), delay)));
        self.send_all(process, fx.sent);
        for token in fx.built {
            self.put(HOP, Happening::Built { process: process.0, token: token.0 });
        }
        for event in fx.events {
            match event {
                FabioEvent::Ask { ticket, query } => self.ask(process, ticket, query),
                FabioEvent::Rejected { reason } => self.rejected.push(reason.to_string()),
                FabioEvent::Applied { .. } => self.applied += 1,
                FabioEvent::Sent { target, .. } => {
                    let known = self.fabios[fabio].table().endpoints().contains(&target);
                    assert!(known, "{process} sent to {target}, absent from its table");
                }
                FabioEvent::Register(_)
                | FabioEvent::Heartbeat
                | FabioEvent::Deregister
                | FabioEvent::Opened
                | FabioEvent::Answered { .. } => {}
                FabioEvent::Exited => self.exited += 1,
            }
        }
    }

    pub(super) fn ask(&mut self, process: ProcessId, ticket: u32, query: Query) {
        let answer = match query {
            Query::Agent if self.catalog.has_no_agent => Answer::Failed,
            Query::Agent => Answer::Agent { datacenter: "dc1".into() },
            Query::Health { .. } | Query::Catalog { .. } | Query::Manual { .. } if self.catalog.has_no_agent => {
                Answer::Failed
            }
            Query::Health { index } => return self.answer_health(process, ticket, index),
            Query::Manual { index: 1.. } => return,
            _ if !self.catalog.has_leader || self.catalog.reads_fail => Answer::Failed,
            Query::Catalog { service } => {
                let of_service = self.catalog.instances.iter().filter(|instance| *instance.service == *service);
                Answer::Catalog { entries: of_service.map(catalog_entry).map(Arc::new).collect() }
            }
            Query::Manual { .. } => Answer::Manual { index: 1, text: self.catalog.overrides.into() },
        };
        self.answer(process, ticket, answer);
    }

    pub(super) fn answer_health(&mut self, process: ProcessId, ticket: u32, index: u64) {
        if !self.catalog.has_leader {
            return self.answer(process, ticket, Answer::Failed);
        }
        if index == self.catalog.index {
            return self.catalog.waiting.push((process, ticket, index));
        }
        let mut nodes: OrdMap<ProcessId, Vec<HealthCheck>> = OrdMap::new();
        for instance in &self.catalog.instances {
            nodes.entry(instance.host).or_default().extend(health_checks(instance));
        }
        let checks = nodes.into_values().map(NodeChecks::from).collect();
        self.answer(process, ticket, Answer::Health { index: self.catalog.index, checks });
    }

    pub(super) fn answer(&mut self, process: ProcessId, ticket: u32, answer: Answer) {
        self.answers.push(answer);
        let place = self.answers.len() - 1;
        self.put(HOP, Happening::Answer { process: process.0, ticket, place });
    }

    /// Outcomes since the last look, counted, and the longest duration.
    pub(super) fn outcomes(&mut self) -> (OrdMap<Outcome, usize>, Duration) {
        let mut counts = OrdMap::new();
        let longest = self.ended.iter().map(|(_, _, took)| *took).max().unwrap_or_default();
        for (_, outcome, _) in self.ended.drain(..) {
            *counts.entry(outcome).or_default() += 1;
        }
        (counts, longest)
    }
}

fn name(instance: &Instance) -> (Arc<str>, Arc<str>) {
    (instance.host.to_string().into(), format!("{}-{}", instance.service, instance.host).into())
}

fn catalog_entry(instance: &Instance) -> CatalogEntry {
    let (node, service_id) = name(instance);
    CatalogEntry {
        node,
        service_id,
        service: instance.service.into(),
        service_address: "".into(),
        node_address: Endpoint::address(instance.host).into(),
        port: instance.port,
        tags: instance.tags.clone().into(),
    }
}

fn health_checks(instance: &Instance) -> impl Iterator<Item = HealthCheck> {
    let (node, service_id) = name(instance);
    (0..).zip(&instance.checks).map(move |(number, status)| HealthCheck {
        node: node.clone(),
        check_id: format!("check-{number}").into(),
        status: (*status).into(),
        service: instance.service.into(),
        service_id: service_id.clone(),
        tags: instance.tags.clone().into(),
    })
}
