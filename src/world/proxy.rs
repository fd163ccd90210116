//! A fabio as a task: its machine, and the translation between its questions and the local Consul agent's answers.
//!
//! Of fabio's settings a scenario reaches those of [`IngressSpec`]. Out of its reach, with fabio's defaults: exact host
//! names (`glob.matching.disabled`), `proxy.auth`, the tag prefix, ports, `proxy.maxconn`, `proxy.idleconntimeout` and
//! `registry.timeout`. What a scenario says is below `/fabio/config` is there from the start, and nothing changes it.

use std::mem;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Machine};
use crate::base::ordered::OrdMap;
use crate::base::rng::Draws;
use crate::base::time::Time;
use crate::model::alloc::AllocId;
use crate::model::service::{Check, CheckKind, CheckStatus};
use crate::protocol::catalog::health::ServiceRow;
use crate::protocol::catalog::message::{CatalogMsg, CheckDefinition, ServiceDefinition};
use crate::protocol::catalog::query::{Answer as CatalogAnswer, Mode, Query as CatalogQuery, QueryKind, Reply};
use crate::protocol::catalog::record::{CheckId, InstanceId, ServiceSpec};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio::{FabioEvent, FabioNode, FabioTimer, HttpRoute};
use crate::protocol::proxy::fabio_config::{FabioConfig, Registration};
use crate::protocol::proxy::message::{Exchange, HttpMsg};
use crate::protocol::proxy::pick::Strategy;
use crate::protocol::proxy::table::Matcher as PathMatcher;
use crate::protocol::proxy::watcher::{Answer, Query};
use crate::world::atlas::Atlas;
use crate::world::checks;
use crate::world::event::{Event, Notice, RoutedInstance};
use crate::world::naming::{PROXY, instance_of};
use crate::world::process::Process;
use crate::world::residents::{Residents, only};
use crate::world::spec::{IngressSpec, MachineId, Matcher, Picker};
use crate::world::via::{Via, hear_out};
use crate::world::wire::{Alarm, Wire};

/// A fabio and its dealings with the agent.
#[derive(Debug, Clone)]
pub struct Proxy {
    machine: MachineId,
    alloc: AllocId,
    atlas: Arc<Atlas>,
    config: FabioConfig,
    /// What is below `/fabio/config`.
    overrides: Arc<str>,
    node: FabioNode,
    events: Vec<FabioEvent>,
    /// The last catalog answers, by service.
    listings: OrdMap<Arc<str>, Arc<[ServiceRow]>>,
    /// Whose endpoints they named.
    residents: Residents,
    /// Targets of the table in force, sorted.
    targets: Vec<RoutedInstance>,
}

impl Proxy {
    /// A fabio that has not started. `ticket` is the last one that a fabio gave on this machine.
    pub fn new(machine: MachineId, atlas: &Arc<Atlas>, alloc: AllocId, ingress: &IngressSpec, ticket: u32) -> Self {
        let mut config = FabioConfig::default();
        config.proxy.strategy = match ingress.strategy {
            Picker::Random => Strategy::Random,
            Picker::RoundRobin => Strategy::RoundRobin,
        };
        config.proxy.matcher = match ingress.matcher {
            Matcher::Prefix => PathMatcher::Prefix,
            Matcher::PrefixIgnoringCase => PathMatcher::InsensitivePrefix,
            Matcher::Glob => PathMatcher::Glob,
        };
        config.proxy.release = ingress.release;
        config.proxy.no_route_status = ingress.no_route_status;
        config.watch.release = ingress.release;
        config.watch.checks_required = ingress.checks_required;
        config.watch.statuses.clone_from(&ingress.statuses);
        config.dial_timeout = ingress.dial_timeout;
        config.response_header_timeout = ingress.response_header_timeout;
        config.deregister_grace = ingress.deregister_grace;
        config.shutdown_wait = ingress.shutdown_wait;
        let name = &atlas.spec.machines[machine].name;
        let draws = Draws::new(atlas.seed, &format!("{name}/fabio/{alloc}"));
        let node = FabioNode::new(config.clone(), routes(atlas), draws)
            .with_workshop(atlas.desk.workshop.clone())
            .asking_after(ticket);
        Self {
            machine,
            alloc,
            atlas: Arc::clone(atlas),
            config,
            overrides: Arc::clone(&ingress.overrides),
            node,
            events: Vec::new(),
            listings: OrdMap::new(),
            residents: Residents::default(),
            targets: Vec::new(),
        }
    }

    /// The allocation it runs as.
    pub fn alloc(&self) -> AllocId {
        self.alloc
    }

    /// Whether a port is one of its listeners'.
    pub fn owns(&self, port: u32) -> bool {
        port == self.config.proxy_port || port == self.config.admin_port
    }

    /// As [`FabioNode::listens`].
    pub fn listens(&self, port: u32) -> bool {
        self.node.listens(port)
    }

    /// As [`FabioNode::has_exited`]: its task is over.
    #[inline]
    pub fn has_exited(&self) -> bool {
        self.node.has_exited()
    }

    /// As [`FabioNode::passes_on`].
    #[inline]
    pub fn passes_on(&self, exchange: Exchange) -> Option<(ProcessId, Exchange)> {
        self.node.passes_on(exchange)
    }

    /// As [`FabioNode::passed_on`].
    pub fn passed_on(&mut self, at: Time, exchange: Exchange) {
        self.node.passed_on(at, exchange);
    }

    /// Reacts to one input.
    pub fn handle(&mut self, now: Time, input: Input<HttpMsg, FabioTimer>, fx: &mut impl Fx<Process>) {
        self.node.handle(now, input, &mut via(fx, &mut self.events));
        self.settle(fx);
    }

    /// A process refused, or its connection was reset.
    pub fn refused(&mut self, now: Time, by: ProcessId, fx: &mut impl Fx<Process>) {
        if self.atlas.processes[self.machine].agent == Some(by) {
            self.node.agent_lost(now, &mut via(fx, &mut self.events));
            self.settle(fx);
        } else {
            self.handle(now, Input::Refused { to: by }, fx);
        }
    }

    /// The process is told to end, and has when it [says so](Proxy::has_exited).
    pub fn shutdown(&mut self, fx: &mut impl Fx<Process>) {
        self.node.shutdown(&mut via(fx, &mut self.events));
        self.settle(fx);
    }

    /// The process is over: its connections are reset. Returns the last ticket it gave.
    pub fn die(mut self, fx: &mut impl Fx<Process>) -> u32 {
        self.node.die(&mut via(fx, &mut self.events));
        fx.emit(Event::Table { targets: Arc::from([]) });
        let lost: Arc<[RoutedInstance]> = mem::take(&mut self.targets).into();
        if !lost.is_empty() {
            let swap = Notice::TableSwapped { proxy: self.machine, gained: Arc::from([]), lost };
            fx.emit(Event::Notice(swap));
        }
        self.node.last_ticket()
    }

    /// The agent speaks.
    pub fn told(&mut self, now: Time, msg: &CatalogMsg, fx: &mut impl Fx<Process>) {
        match msg {
            CatalogMsg::Told { ask, result } => {
                let (ticket, kind) = (*ask as u32, ask >> 32);
                let answer = match result {
                    Ok(reply) => self.translate(kind, reply),
                    Err(_) => Answer::Failed,
                };
                self.node.answer(now, ticket, &answer, &mut via(fx, &mut self.events));
            }
            CatalogMsg::Unknown(_) => self.node.registration_lost(&mut via(fx, &mut self.events)),
            CatalogMsg::Call { .. }
            | CatalogMsg::Return { .. }
            | CatalogMsg::Ping
            | CatalogMsg::Pong
            | CatalogMsg::Register(_)
            | CatalogMsg::Deregister(_)
            | CatalogMsg::Ttl { .. }
            | CatalogMsg::Maintenance { .. }
            | CatalogMsg::Ask { .. }
            | CatalogMsg::Probe { .. }
            | CatalogMsg::ProbeReply { .. } => {}
        }
        self.settle(fx);
    }

    fn settle(&mut self, fx: &mut impl Fx<Process>) {
        hear_out(self, |p| &mut p.events, |p, event| p.on_event(event, fx));
    }

    #[inline]
    fn on_event(&mut self, event: FabioEvent, fx: &mut impl Fx<Process>) {
        let own = instance_of(self.alloc, PROXY);
        match event {
            FabioEvent::Ask { ticket, query } => self.ask(ticket, query, fx),
            FabioEvent::Register(registration) => {
                let definition = self.definition(own, registration);
                self.to_agent(CatalogMsg::Register(Arc::new(definition)), fx);
            }
            FabioEvent::Heartbeat => {
                let check = CheckId::Service { instance: own, ordinal: 1 };
                self.to_agent(CatalogMsg::Ttl { check, status: CheckStatus::Passing, output: 0 }, fx);
            }
            FabioEvent::Deregister => self.to_agent(CatalogMsg::Deregister(own), fx),
            FabioEvent::Applied { .. } => self.swapped(fx),
            FabioEvent::Answered { .. } => {}
            FabioEvent::Opened => {
                checks::ports_changed(&self.atlas, self.machine, fx);
                fx.emit(Event::Proxy { machine: self.machine, event });
            }
            FabioEvent::Sent { .. } | FabioEvent::Rejected { .. } | FabioEvent::Exited => {
                fx.emit(Event::Proxy { machine: self.machine, event });
            }
        }
    }

    /// What is asked, as the agent understands it; the upper half of the number says which kind the answer is to.
    fn ask(&self, ticket: u32, query: Query, fx: &mut impl Fx<Process>) {
        let (kind, query) = match query {
            Query::Agent => (AGENT, CatalogQuery::new(QueryKind::Local)),
            Query::Health { index } => {
                (HEALTH, CatalogQuery::new(QueryKind::Checks).mode(Mode::Consistent).after(index))
            }
            Query::Catalog { service } => {
                (CATALOG, CatalogQuery::new(QueryKind::Service(service)).mode(Mode::Consistent))
            }
            // There is no key-value store: the scenario says what is in it. The question takes the way of another
            // consistent read; once answered it stays open, as a blocking query without news does.
            Query::Manual { index: 0 } => (MANUAL, CatalogQuery::new(QueryKind::Services).mode(Mode::Consistent)),
            Query::Manual { .. } => return,
        };
        let ask = kind << 32 | u64::from(ticket);
        self.to_agent(CatalogMsg::Ask { ask, query: Arc::new(query) }, fx);
    }

    fn translate(&mut self, kind: u64, reply: &Reply) -> Answer {
        match (&reply.answer, kind) {
            (CatalogAnswer::Local(_), AGENT) => {
                let region = self.atlas.region(self.machine);
                Answer::Agent { datacenter: Arc::clone(&self.atlas.spec.regions[region].name) }
            }
            (CatalogAnswer::Checks(list), HEALTH) => {
                Answer::Health { index: reply.index, checks: self.atlas.desk.checks(&self.atlas, list) }
            }
            (CatalogAnswer::Service(rows), CATALOG) => {
                let listing = self.atlas.desk.listing(&self.atlas, rows);
                self.learn(rows, &listing.instances);
                Answer::Catalog { entries: Arc::clone(&listing.entries) }
            }
            (CatalogAnswer::Services(_), MANUAL) => Answer::Manual { index: 1, text: Arc::clone(&self.overrides) },
            (
                CatalogAnswer::Written
                | CatalogAnswer::Checks(_)
                | CatalogAnswer::Service(_)
                | CatalogAnswer::Node(_)
                | CatalogAnswer::Services(_)
                | CatalogAnswer::Local(_),
                _,
            ) => Answer::Failed,
        }
    }

    /// Remembers who stands behind the endpoints of an answer, if it is news.
    fn learn(&mut self, rows: &Arc<[ServiceRow]>, instances: &[(Endpoint, RoutedInstance)]) {
        let Some(first) = rows.first() else { return };
        match self.listings.get_mut(&first.spec.name) {
            Some(known) if Arc::ptr_eq(known, rows) => return,
            Some(known) => *known = Arc::clone(rows),
            None => drop(self.listings.insert(Arc::clone(&first.spec.name), Arc::clone(rows))),
        }
        self.residents.learn(instances);
    }

    fn definition(&self, id: InstanceId, registration: Registration) -> ServiceDefinition {
        let runtime = self.atlas.processes[self.machine].runtime.expect("tasks run on machines with a runtime");
        let port = u16::try_from(registration.port).expect("a port fits in 16 bits");
        let mut http = Check::new("fabio health", CheckKind::Http, registration.interval);
        http.timeout = registration.timeout;
        http.deregister_after = Some(registration.deregister_after);
        let mut ttl = Check::new("fabio ttl", CheckKind::Ttl, registration.ttl);
        ttl.deregister_after = Some(registration.deregister_after);
        let check = |check| CheckDefinition { check, target: runtime, port };
        let spec = ServiceSpec { name: "fabio".into(), address: runtime, port, tags: Arc::default() };
        ServiceDefinition { id, spec: Arc::new(spec), checks: vec![check(http), check(ttl)] }
    }

    /// Compares the table in force with the one before.
    fn swapped(&mut self, fx: &mut impl Fx<Process>) {
        let endpoints = self.node.table().endpoints();
        fx.emit(Event::Table { targets: Arc::clone(endpoints) });
        let targets = self.residents.of(endpoints);
        let (gained, lost) = (only(&targets, &self.targets), only(&self.targets, &targets));
        self.targets = targets;
        let swap = Notice::TableSwapped { proxy: self.machine, gained, lost };
        fx.emit(Event::Notice(swap));
    }

    fn to_agent(&self, msg: CatalogMsg, fx: &mut impl Fx<Process>) {
        let agent = self.atlas.processes[self.machine].agent.expect("proxies run where there is Consul");
        fx.send(agent, Wire::Catalog(msg));
    }
}

const AGENT: u64 = 1;
const HEALTH: u64 = 2;
const CATALOG: u64 = 3;
const MANUAL: u64 = 4;

/// What users ask for, by source.
pub fn routes(atlas: &Atlas) -> Arc<[HttpRoute]> {
    atlas
        .spec
        .traffic
        .iter()
        .map(|(_, traffic)| HttpRoute { host: traffic.host.to_string(), path: traffic.path.to_string() })
        .collect()
}

fn via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<FabioEvent>) -> impl Fx<FabioNode> {
    Via { fx, events, wire: Wire::Http, alarm: Alarm::Proxy, lane: 0 }
}
