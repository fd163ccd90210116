//! The request path in a small world of its own: clients, a balancer node, fabio, hosts with instances and a catalog.
//! One story per row of the failure semantics (process gone, node silent, established connection, table frozen, …).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot, Token};
use crate::base::rng::{Draws, Rng};
use crate::base::time::{Duration, Time};
use crate::model::topology::ZoneId;
use crate::protocol::proxy::alb::{Alb, AlbConfig, AlbEvent, AlbTimer, Reach};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio::{FabioConfig, FabioEvent, FabioNode, FabioTimer, HttpRoute};
use crate::protocol::proxy::health::HealthState;
use crate::protocol::proxy::message::{HttpMsg, RouteId};
use crate::protocol::proxy::registry::{CatalogEntry, HealthCheck};
use crate::protocol::proxy::watcher::{Answer, Query};
use crate::protocol::workload::arrival::{Arrivals, Gaps};
use crate::protocol::workload::client::{Client, ClientConfig, ClientEvent, ClientTimer, Outcome};
use crate::protocol::workload::service_time::ServiceTime;
use crate::protocol::workload::station::StationConfig;
use crate::protocol::workload::stations::{Behaviour, Outlet, Stations};

const CLIENT: ProcessId = ProcessId(0);
const ALB: ProcessId = ProcessId(1);
const FABIOS: [ProcessId; 2] = [ProcessId(2), ProcessId(3)];
const HOSTS: [ProcessId; 2] = [ProcessId(4), ProcessId(5)];
const PORT: u32 = 20_000;
const HOP: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reachable {
    Yes,
    /// The process is gone, its host answers.
    Refuses,
    /// The host is gone.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Deliver { from: u32, to: u32, place: usize },
    Refused { at: u32, to: u32 },
    Alarm { process: u32, slot: usize, generation: u64 },
    Built { process: u32, token: u64 },
    Answer { process: u32, ticket: u32, place: usize },
}

struct Effects<P: Machine> {
    sent: Vec<(ProcessId, P::Msg)>,
    alarms: Vec<(P::Timer, Option<Duration>)>,
    events: Vec<P::Event>,
    built: Vec<Token>,
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
struct HostEffects {
    sent: Vec<(ProcessId, HttpMsg)>,
    alarms: Vec<(u32, Option<Duration>)>,
}

impl Outlet for HostEffects {
    fn send(&mut self, to: ProcessId, msg: HttpMsg) {
        self.sent.push((to, msg));
    }
    fn arm(&mut self, slot: u32, delay: Duration) {
        self.alarms.push((slot, Some(delay)));
    }
    fn disarm(&mut self, slot: u32) {
        self.alarms.push((slot, None));
    }
}

/// An instance as the catalog of the story has it.
#[derive(Clone)]
struct Instance {
    service: &'static str,
    host: ProcessId,
    port: u32,
    tags: Vec<Arc<str>>,
    checks: Vec<&'static str>,
}

/// A catalog that answers health queries when it changes.
#[derive(Default)]
struct Catalog {
    index: u64,
    instances: Vec<Instance>,
    waiting: Vec<(ProcessId, u32, u64)>,
    has_leader: bool,
    catalog_reads_fail: bool,
}

struct World {
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    count: u64,
    messages: Vec<Option<HttpMsg>>,
    free: Vec<usize>,
    answers: Vec<Answer>,
    alarms: BTreeMap<(u32, usize), u64>,
    reachable: BTreeMap<ProcessId, Reachable>,
    client: Client,
    alb: Alb,
    fabios: Vec<FabioNode>,
    hosts: Vec<Stations>,
    catalog: Catalog,
    /// (when it ended, how, how long it took)
    ended: Vec<(Time, Outcome, Duration)>,
    issued: u64,
    rejected: Vec<String>,
    applied: u32,
    health: Vec<(Time, Endpoint, HealthState)>,
}

fn instance(host: usize, tag: &str, checks: &[&'static str]) -> Instance {
    Instance { service: "shop", host: HOSTS[host], port: PORT, tags: vec![tag.into()], checks: checks.to_vec() }
}

impl World {
    /// Two hosts with an instance each, `fabios` fabio nodes, one balancer node, `rate` requests a second.
    fn new(fabios: usize, rate: f64, client: ClientConfig, alb: AlbConfig) -> Self {
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
            alarms: BTreeMap::new(),
            reachable: BTreeMap::new(),
            client: Client::new(client, Arrivals::constant(Gaps::Equal, rate, draws), draws),
            alb: Alb::new(alb, Rng::stream(1, "alb")),
            fabios: (0..fabios as u64).map(node).collect(),
            hosts: (0..2).map(|i| Stations::new(Draws::new(i, "host"))).collect(),
            catalog: Catalog { index: 1, has_leader: true, ..Catalog::default() },
            ended: Vec::new(),
            issued: 0,
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

    fn usual(fabios: usize) -> Self {
        let config = ClientConfig { timeout: Duration::from_secs(100), ..ClientConfig::new(0, RouteId(0)) };
        Self::new(fabios, 10.0, config, AlbConfig::new(ZoneId(0)))
    }

    /// Lets everything settle, then starts the client.
    fn with_traffic(mut self) -> Self {
        self.run(60);
        let mut fx = Effects::default();
        self.client.handle(self.now, Input::Start, &mut fx);
        self.carry_client(fx);
        self
    }

    fn register(&mut self, fabio: usize) {
        let mut fx = Effects::default();
        self.alb.register(Endpoint { process: FABIOS[fabio], port: 9_999 }, ZoneId(0), &mut fx);
        self.carry_alb(fx);
    }

    fn start_instance(&mut self, host: usize) {
        let config = StationConfig::new(8, ServiceTime::Deterministic(Duration::from_millis(20)));
        let mut fx = HostEffects::default();
        self.hosts[host].insert(self.now, PORT, config, &mut fx);
        self.carry_host(host, fx);
    }

    fn kill_instance(&mut self, host: usize) {
        let mut fx = HostEffects::default();
        self.hosts[host].remove(PORT, &mut fx);
        self.carry_host(host, fx);
    }

    fn set_reachable(&mut self, process: ProcessId, reachable: Reachable) {
        self.reachable.insert(process, reachable);
    }

    /// The catalog changes.
    fn change(&mut self, change: impl FnOnce(&mut Catalog)) {
        change(&mut self.catalog);
        self.catalog.index += 1;
        for (process, ticket, _) in std::mem::take(&mut self.catalog.waiting) {
            self.answer_health(process, ticket, 0);
        }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= until) {
            let Reverse((at, _, happening)) = self.queue.pop().expect("just peeked");
            self.now = at;
            self.happen(happening);
        }
        self.now = until;
    }

    fn put(&mut self, delay: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((self.now + delay, self.count, happening)));
    }

    fn happen(&mut self, happening: Happening) {
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
                if self.alarms.get(&(process, slot)) == Some(&generation) {
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

    fn input(&mut self, process: u32, input: Input<HttpMsg, ()>) {
        if let Some(host) = HOSTS.iter().position(|host| host.0 == process) {
            if let Input::Message { from, msg } = input {
                let mut fx = HostEffects::default();
                self.hosts[host].message(self.now, from, msg, &mut fx);
                self.carry_host(host, fx);
            }
            return;
        }
        macro_rules! relabelled {
            () => {
                match input {
                    Input::Start => Input::Start,
                    Input::Message { from, msg } => Input::Message { from, msg },
                    Input::Refused { to } => Input::Refused { to },
                    Input::Done(token) => Input::Done(token),
                    Input::Fired(()) => unreachable!("alarms go another way"),
                }
            };
        }
        match process {
            0 => self.client_input(relabelled!()),
            1 => self.alb_input(relabelled!()),
            fabio => self.fabio(fabio as usize - 2, relabelled!()),
        }
    }

    fn alarm(&mut self, process: u32, slot: usize) {
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

    fn client_input(&mut self, input: Input<HttpMsg, ClientTimer>) {
        let mut fx = Effects::default();
        self.client.handle(self.now, input, &mut fx);
        self.carry_client(fx);
    }

    fn alb_input(&mut self, input: Input<HttpMsg, AlbTimer>) {
        let mut fx = Effects::default();
        self.alb.handle(self.now, input, &mut fx);
        self.carry_alb(fx);
    }

    fn fabio(&mut self, fabio: usize, input: Input<HttpMsg, FabioTimer>) {
        let mut fx = Effects::default();
        self.fabios[fabio].handle(self.now, input, &mut fx);
        self.carry_fabio(fabio, fx);
    }

    fn send_all(&mut self, from: ProcessId, sent: Vec<(ProcessId, HttpMsg)>) {
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

    fn set_alarms(&mut self, process: ProcessId, alarms: impl IntoIterator<Item = (usize, Option<Duration>)>) {
        for (slot, delay) in alarms {
            let generation = self.alarms.entry((process.0, slot)).or_default();
            *generation += 1;
            let generation = *generation;
            if let Some(delay) = delay {
                self.put(delay, Happening::Alarm { process: process.0, slot, generation });
            }
        }
    }

    fn carry_client(&mut self, fx: Effects<Client>) {
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

    fn carry_alb(&mut self, fx: Effects<Alb>) {
        self.set_alarms(ALB, fx.alarms.into_iter().map(|(timer, delay)| (timer.slot(), delay)));
        self.send_all(ALB, fx.sent);
        for event in fx.events {
            if let AlbEvent::Health { target, state } = event {
                self.health.push((self.now, target, state));
            }
        }
    }

    fn carry_host(&mut self, host: usize, fx: HostEffects) {
        self.set_alarms(HOSTS[host], fx.alarms.into_iter().map(|(slot, delay)| (slot as usize, delay)));
        self.send_all(HOSTS[host], fx.sent);
    }

    fn carry_fabio(&mut self, fabio: usize, fx: Effects<FabioNode>) {
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
                    let known = self.fabios[fabio].endpoints().any(|endpoint| endpoint == target);
                    assert!(known, "{process} sent to {target}, absent from its table");
                }
                FabioEvent::Register(_)
                | FabioEvent::Heartbeat
                | FabioEvent::Deregister
                | FabioEvent::Opened
                | FabioEvent::Answered { .. }
                | FabioEvent::Exited => {}
            }
        }
    }

    fn ask(&mut self, process: ProcessId, ticket: u32, query: Query) {
        let answer = match query {
            Query::Agent => Answer::Agent { datacenter: "dc1".into() },
            Query::Health { index } => return self.answer_health(process, ticket, index),
            _ if !self.catalog.has_leader || self.catalog.catalog_reads_fail => Answer::Failed,
            Query::Catalog { service } => {
                let of_service = self.catalog.instances.iter().filter(|instance| *instance.service == *service);
                Answer::Catalog { entries: of_service.map(catalog_entry).collect() }
            }
            Query::Manual { index } => Answer::Manual { index, text: "".into() },
        };
        self.answer(process, ticket, answer);
    }

    fn answer_health(&mut self, process: ProcessId, ticket: u32, index: u64) {
        if !self.catalog.has_leader {
            return self.answer(process, ticket, Answer::Failed);
        }
        if index == self.catalog.index {
            return self.catalog.waiting.push((process, ticket, index));
        }
        let checks = self.catalog.instances.iter().flat_map(health_checks).collect();
        self.answer(process, ticket, Answer::Health { index: self.catalog.index, checks });
    }

    fn answer(&mut self, process: ProcessId, ticket: u32, answer: Answer) {
        self.answers.push(answer);
        let place = self.answers.len() - 1;
        self.put(HOP, Happening::Answer { process: process.0, ticket, place });
    }

    /// Outcomes since the last look, counted, and the longest duration.
    fn outcomes(&mut self) -> (BTreeMap<Outcome, usize>, Duration) {
        let mut counts = BTreeMap::new();
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

fn only(outcome: Outcome, count: usize) -> BTreeMap<Outcome, usize> {
    BTreeMap::from([(outcome, count)])
}

fn share(counts: &BTreeMap<Outcome, usize>, outcome: Outcome) -> f64 {
    let total: usize = counts.values().sum();
    counts.get(&outcome).copied().unwrap_or(0) as f64 / total as f64
}

#[test]
fn requests_reach_an_instance_and_come_back() {
    let mut world = World::usual(2).with_traffic();
    world.run(100);
    let (counts, longest) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
    // Three hops there and back, three handshakes, and 20 ms of work.
    assert_eq!(longest, Duration::from_millis(12 + 20));
    assert_eq!(world.issued, 1_000);
    assert_eq!(counts[&Outcome::Ok] + world.client.open(), 1_000);
}

#[test]
fn an_instance_that_died_on_a_live_host_is_a_502_at_once_until_the_catalog_says_so() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.outcomes();
    world.kill_instance(0);
    world.run(20);
    let (counts, longest) = world.outcomes();
    let failed = share(&counts, Outcome::Status(502));
    assert!((failed - 0.5).abs() < 0.15 && longest < Duration::from_millis(40), "F6: {counts:?} {longest}");
    world.change(|catalog| catalog.instances[0].checks = vec!["critical"]);
    world.run(1);
    world.outcomes();
    world.run(20);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 200));
}

#[test]
fn an_instance_deregistered_before_it_stops_fails_nothing() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| drop(catalog.instances.remove(0)));
    world.run(5);
    world.hosts[0].set_behaviour(PORT, Behaviour::Closing);
    world.kill_instance(0);
    world.run(20);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok], "F5: shutdown delay covers propagation");
}

#[test]
fn a_silent_host_costs_fabio_its_dial_timeout_and_an_open_connection_the_balancers_patience() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.outcomes();
    world.set_reachable(HOSTS[0], Reachable::Silent);
    world.run(29);
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Ok], "nobody has given up yet");
    world.run(2);
    let (counts, longest) = world.outcomes();
    assert!(counts.contains_key(&Outcome::Status(504)) && longest.as_millis() / 1_000 == 30, "{counts:?} {longest}");
    world.run(40);
    let (_, longest) = world.outcomes();
    assert_eq!(longest.as_millis() / 1_000, 60, "the kept connections had nobody but the balancer to give up");
}

#[test]
fn a_silent_fabio_fails_its_share_for_ten_seconds_each_until_two_checks_failed() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    world.outcomes();
    world.health.clear();
    let lost_at = world.now;
    world.set_reachable(FABIOS[0], Reachable::Silent);
    world.run(60);
    let (at, target, state) = world.health[0];
    assert_eq!((target.process, state), (FABIOS[0], HealthState::Unhealthy));
    let noticed = at.since(lost_at).as_secs_f64();
    assert!((18.0..=33.0).contains(&noticed), "{noticed}");
    let (counts, longest) = world.outcomes();
    let failed = counts[&Outcome::Status(504)] as f64;
    // Half of ten requests a second, but for those that found a kept connection and wait for a minute.
    assert!(failed > 0.45 * 10.0 * noticed - 5.0 && failed <= 0.5 * 10.0 * noticed + 1.0, "{failed} in {noticed} s");
    assert_eq!(longest.as_millis() / 1_000, 10);
}

#[test]
fn a_dead_fabio_process_is_a_502_at_once() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    world.outcomes();
    world.set_reachable(FABIOS[0], Reachable::Refuses);
    world.run(10);
    let (counts, longest) = world.outcomes();
    let failed = share(&counts, Outcome::Status(502));
    assert!((failed - 0.5).abs() < 0.1 && longest < Duration::from_millis(40), "{counts:?} {longest}");
    world.run(40);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100), "two failed checks later it gets nothing");
}

#[test]
fn one_bad_tag_freezes_every_table() {
    let mut world = World::usual(1).with_traffic();
    world.change(|catalog| catalog.instances.push(instance(1, "urlprefix-/x weight=x", &["passing"])));
    world.run(10);
    world.outcomes();
    let applied = world.applied;
    world.kill_instance(0);
    world.change(|catalog| catalog.instances[0].checks = vec!["critical"]);
    world.run(20);
    let (counts, _) = world.outcomes();
    assert!(share(&counts, Outcome::Status(502)) > 0.3, "F1: {counts:?}");
    assert_eq!(world.applied, applied);
    assert!(world.rejected.iter().all(|reason| reason.ends_with("weight value invalid")));
    assert_eq!(world.rejected.len(), 2);
}

#[test]
fn one_passing_check_of_two_is_enough_to_be_sent_requests() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.hosts[0].set_behaviour(PORT, Behaviour::Broken);
    world.change(|catalog| catalog.instances[0].checks = vec!["passing", "critical"]);
    world.outcomes();
    world.run(20);
    let (counts, _) = world.outcomes();
    assert!(share(&counts, Outcome::Status(500)) > 0.3, "F2: {counts:?}");
}

#[test]
fn without_a_catalog_leader_tables_freeze_and_new_proxies_never_open() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| catalog.has_leader = false);
    world.fabios.push(FabioNode::new(FabioConfig::default(), Arc::new([]), Draws::new(9, "fabio")));
    world.fabio(1, Input::Start);
    world.outcomes();
    world.run(30);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 300), "F3: the old table serves");
    assert!(!world.fabios[1].is_listening());
    world.change(|catalog| catalog.has_leader = true);
    world.run(3);
    assert!(world.fabios[1].is_listening());
}

#[test]
fn a_service_whose_catalog_read_fails_vanishes() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.change(|catalog| catalog.catalog_reads_fail = true);
    world.run(1);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Status(404), 100), "F4");
    world.change(|catalog| catalog.catalog_reads_fail = false);
    world.run(1);
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100));
}

#[test]
fn the_balancer_takes_a_fabio_without_table_for_healthy() {
    let mut world = World::usual(1);
    world.catalog.has_leader = false;
    let mut world = world.with_traffic();
    world.run(20);
    assert_eq!(world.alb.health(Endpoint { process: FABIOS[0], port: 9_999 }), Some(HealthState::Healthy), "F8");
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Status(502)]);
}

#[test]
fn a_restarted_fabio_comes_back_empty_and_fills() {
    let mut world = World::usual(1).with_traffic();
    world.run(10);
    world.fabios[0].reboot(world.now, &Kept::default());
    assert!(!world.fabios[0].is_listening());
    world.fabio(0, Input::Start);
    world.run(1);
    assert!(world.fabios[0].is_listening());
    world.outcomes();
    world.run(10);
    assert_eq!(world.outcomes().0, only(Outcome::Ok, 100));
}

#[test]
fn a_zone_of_its_own_without_targets_is_a_503() {
    let config = AlbConfig { reach: Reach::OwnZone, ..AlbConfig::new(ZoneId(1)) };
    let mut world = World::new(1, 10.0, ClientConfig::new(0, RouteId(0)), config).with_traffic();
    world.run(10);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Status(503)]);
}

#[test]
fn with_no_healthy_target_the_balancer_fails_open() {
    let mut config = AlbConfig::new(ZoneId(0));
    config.health.matcher = 204;
    let mut world = World::new(1, 10.0, ClientConfig::new(0, RouteId(0)), config).with_traffic();
    world.run(10);
    assert_eq!(world.alb.healthy_count(), 0);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
}

#[test]
fn a_deregistered_target_gets_nothing_new_and_finishes_what_it_has() {
    let mut world = World::usual(2).with_traffic();
    world.run(10);
    let mut fx = Effects::default();
    world.alb.deregister(Endpoint { process: FABIOS[0], port: 9_999 }, &mut fx);
    world.carry_alb(fx);
    world.run(10);
    assert_eq!(world.outcomes().0.keys().collect::<Vec<_>>(), [&Outcome::Ok]);
    assert_eq!(world.fabios[0].in_flight(), 0);
}

#[test]
fn a_client_that_gives_up_takes_its_request_off_the_proxies() {
    let client = ClientConfig { timeout: Duration::from_millis(500), ..ClientConfig::new(0, RouteId(0)) };
    let mut world = World::new(1, 10.0, client, AlbConfig::new(ZoneId(0))).with_traffic();
    world.run(10);
    for host in 0..2 {
        let mut fx = HostEffects::default();
        world.hosts[host].set_speed(world.now, PORT, 0.0, &mut fx);
        world.carry_host(host, fx);
    }
    world.outcomes();
    world.run(10);
    let (counts, _) = world.outcomes();
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&Outcome::Timeout], "{counts:?}");
    assert!(world.alb.in_flight() <= 6 && world.fabios[0].in_flight() <= 6);
}

/// Bronson et al., HotOS'21: retries keep an overload alive after its trigger is gone, unless their number is bounded.
#[test]
fn retries_make_an_overload_last() {
    use crate::base::units::Ratio;
    use crate::protocol::workload::client::RetryPolicy;
    let goodput_after_outage = |rate: f64, budget: Option<f64>| {
        let retry = RetryPolicy {
            attempts_max: 2,
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(1),
            budget: budget.and_then(Ratio::new),
        };
        let (timeout, retry) = (Duration::from_secs(1), Some(retry));
        let client = ClientConfig { timeout, retry, ..ClientConfig::new(0, RouteId(0)) };
        let mut world = World::new(1, rate, client, AlbConfig::new(ZoneId(0)));
        // One server that works on for clients that left: 300 requests a second.
        world.kill_instance(1);
        world.change(|catalog| catalog.instances.truncate(1));
        let work = Duration::from_nanos(1_000_000_000 / 300);
        let mut fx = HostEffects::default();
        world.hosts[0].insert(world.now, PORT, StationConfig::new(1, ServiceTime::Exponential(work)), &mut fx);
        let mut world = world.with_traffic();
        world.run(20);
        for speed in [0.0, 1.0] {
            let mut fx = HostEffects::default();
            world.hosts[0].set_speed(world.now, PORT, speed, &mut fx);
            world.carry_host(0, fx);
            world.run(if speed > 0.0 { 300 } else { 10 });
        }
        world.outcomes();
        world.run(30);
        share(&world.outcomes().0, Outcome::Ok)
    };
    assert!(goodput_after_outage(280.0, None) < 0.1, "vulnerable: it stays down");
    assert!(goodput_after_outage(140.0, None) > 0.99, "stable: it recovers");
    assert!(goodput_after_outage(260.0, Some(0.1)) > 0.99, "bounded: 260 and a tenth are less than 300");
}

/// 400 requests a second for 40 minutes over four hops; the time it takes is printed, not judged.
#[test]
fn a_million_requests_are_a_matter_of_seconds() {
    if std::env::var_os("COSSIM_SLOW").is_none() {
        return;
    }
    let mut world = World::new(2, 400.0, ClientConfig::new(0, RouteId(0)), AlbConfig::new(ZoneId(0))).with_traffic();
    world.run(40 * 60);
    let (counts, _) = world.outcomes();
    assert!(counts[&Outcome::Ok] > 950_000);
}
