//! What the tests of this module share: records, and a small world of servers and agents.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::machine::Input;
use crate::base::machine::Machine;
use crate::base::machine::Slot;
use crate::base::machine::Token;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::rng::Draws;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::service::Check;
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog::agent::AgentConfig;
use crate::protocol::catalog::agent::AgentEvent;
use crate::protocol::catalog::agent::AgentTimer;
use crate::protocol::catalog::agent::CatalogAgent;
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::message::CheckDefinition;
use crate::protocol::catalog::message::Request;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::message::ServiceDefinition;
use crate::protocol::catalog::query::Query;
use crate::protocol::catalog::query::Reply;
use crate::protocol::catalog::reconcile::MemberEvent;
use crate::protocol::catalog::reconcile::MemberRole;
use crate::protocol::catalog::reconcile::MemberStatus;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::Command;
use crate::protocol::catalog::record::InstanceId;
use crate::protocol::catalog::record::Registration;
use crate::protocol::catalog::record::ServiceSpec;
use crate::protocol::catalog::server::CatalogServer;
use crate::protocol::catalog::server::ServerConfig;
use crate::protocol::catalog::server::ServerEvent;
use crate::protocol::catalog::server::ServerTimer;

/// The process on the agents' hosts that is probed.
pub(super) const TASK: ProcessId = ProcessId(900);

pub(super) fn check_record(instance: u64, status: CheckStatus) -> CheckRecord {
    CheckRecord { id: CheckId::Service { instance: InstanceId(instance), ordinal: 0 }, status, output: 0 }
}

/// A node with one instance and one check.
pub(super) fn register(node: ProcessId, instance: u64, name: &str, status: CheckStatus) -> Command {
    let spec = ServiceSpec { name: name.into(), address: node, port: 80, tags: [].into() };
    Command::Register(Registration {
        node,
        service: Some((InstanceId(instance), Arc::new(spec))),
        checks: SmallVec::from_iter([check_record(instance, status)]),
    })
}

/// `serfHealth` of a node.
pub(super) fn serf(node: ProcessId, status: CheckStatus) -> Command {
    let check = CheckRecord { id: CheckId::SerfHealth, status, output: status as u32 };
    Command::Register(Registration { node, service: None, checks: SmallVec::from_iter([check]) })
}

pub(super) fn service(id: u64, name: &str, checks: Vec<Check>) -> Arc<ServiceDefinition> {
    let spec = ServiceSpec { name: name.into(), address: TASK, port: 80 + id as u16, tags: [].into() };
    let checks = checks.into_iter().map(|check| CheckDefinition { check, target: TASK, port: 80 + id as u16 });
    Arc::new(ServiceDefinition { id: InstanceId(id), spec: Arc::new(spec), checks: checks.collect() })
}

/// Servers 0, 1, 2, agents from 10 on, a process that is asked by checks, and one that asks ([`ASKER`]). Every message
/// takes 1 ms. Raft is a list: an entry is applied 5 ms after it was proposed, at the followers 50 ms later.
pub(super) struct Story {
    pub(super) now: Time,
    pub(super) servers: OrdMap<ProcessId, CatalogServer>,
    pub(super) agents: OrdMap<ProcessId, CatalogAgent>,
    pub(super) leader: Option<ProcessId>,
    /// Processes that do not run though their host does.
    pub(super) refusing: OrdSet<ProcessId>,
    /// Processes on hosts that are gone.
    pub(super) silent: OrdSet<ProcessId>,
    /// What the probed process answers per port; silence without an entry.
    pub(super) health: OrdMap<u16, (CheckStatus, u32)>,
    pub(super) probes: Vec<Time>,
    /// What was told to whoever asked.
    pub(super) told: Vec<(Time, u64, Result<Arc<Reply>, RpcError>)>,
    pub(super) agent_events: Vec<(Time, AgentEvent)>,
    pub(super) server_events: Vec<(Time, ProcessId, ServerEvent)>,
    pub(super) commits: Vec<(Time, String)>,
    /// Raft commits nothing while this is set.
    pub(super) stalled: bool,
    index: u64,
    count: u64,
    queue: OrdMap<(Time, u64), Happening>,
    timers: OrdMap<(ProcessId, usize), u64>,
}

pub(super) const ASKER: ProcessId = ProcessId(901);

enum Happening {
    Message { from: ProcessId, to: ProcessId, msg: CatalogMsg },
    Refused { at: ProcessId, to: ProcessId },
    Server(ProcessId, ServerTimer, u64),
    Agent(ProcessId, AgentTimer, u64),
    Applied { at: ProcessId, index: u64, request: Option<u64>, command: Arc<Command> },
    Verified { at: ProcessId, request: u64 },
    Done(ProcessId, Token),
}

/// What a machine did in one step.
pub(super) struct Effects<M: Machine> {
    sends: Vec<(ProcessId, M::Msg)>,
    alarms: Vec<(M::Timer, Option<Duration>)>,
    events: Vec<M::Event>,
    writes: Vec<Token>,
}

impl<M: Machine> Effects<M> {
    fn new() -> Self {
        Self { sends: Vec::new(), alarms: Vec::new(), events: Vec::new(), writes: Vec::new() }
    }
}

impl<M: Machine> Fx<M> for Effects<M> {
    fn send(&mut self, to: ProcessId, msg: M::Msg) {
        self.sends.push((to, msg));
    }

    fn arm(&mut self, timer: M::Timer, delay: Duration) {
        self.alarms.push((timer, Some(delay)));
    }

    fn disarm(&mut self, timer: M::Timer) {
        self.alarms.push((timer, None));
    }

    fn write(&mut self, token: Token, _bytes: u32) {
        self.writes.push(token);
    }

    fn compute(&mut self, _token: Token, _cost: Duration) {
        unreachable!("the catalog does not compute");
    }

    fn emit(&mut self, event: M::Event) {
        self.events.push(event);
    }
}

pub(super) fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

impl Story {
    /// Three servers and one agent; server 0 leads, everybody knows everybody.
    pub(super) fn begin(seed: u64) -> Self {
        let mut story = Self::bare(seed);
        story.elect(Some(ProcessId(0)));
        story.run_for(100);
        story.agent(seed, ProcessId(10));
        story.run_for(100);
        story
    }

    /// Three servers that nobody leads, no agent.
    pub(super) fn bare(seed: u64) -> Self {
        let server = |id: u32| {
            let rng = Rng::stream(seed, &format!("server {id}"));
            (ProcessId(id), CatalogServer::new(ProcessId(id), RegionId(0), ServerConfig::default(), rng))
        };
        Self {
            now: Time::ZERO,
            servers: (0..3).map(server).collect(),
            agents: OrdMap::new(),
            leader: None,
            refusing: OrdSet::new(),
            silent: OrdSet::new(),
            health: OrdMap::new(),
            probes: Vec::new(),
            told: Vec::new(),
            agent_events: Vec::new(),
            server_events: Vec::new(),
            commits: Vec::new(),
            stalled: false,
            index: 0,
            count: 0,
            queue: OrdMap::new(),
            timers: OrdMap::new(),
        }
    }

    /// Starts an agent that knows the three servers.
    pub(super) fn agent(&mut self, seed: u64, id: ProcessId) {
        let draws = Draws::new(seed, &format!("agent {id}"));
        self.agents.insert(id, CatalogAgent::new(id, AgentConfig::default(), draws));
        for server in 0..3 {
            self.at_agent(id, |agent, now, fx| agent.server_up(now, ProcessId(server), fx));
        }
        self.at_agent(id, |agent, now, fx| agent.handle(now, Input::Start, fx));
        self.member(id, MemberRole::Client, MemberStatus::Alive);
    }

    /// All servers hear of a member.
    pub(super) fn member(&mut self, node: ProcessId, role: MemberRole, status: MemberStatus) {
        for server in self.servers.keys().copied().collect::<Vec<_>>() {
            self.at_server(server, |server, now, fx| {
                server.member_event(now, MemberEvent { node, role, status }, fx);
            });
        }
    }

    /// Raft changes its mind on who leads.
    pub(super) fn elect(&mut self, leader: Option<ProcessId>) {
        let before = std::mem::replace(&mut self.leader, leader);
        if let Some(before) = before.filter(|before| !self.is_down(*before)) {
            self.at_server(before, CatalogServer::leadership_lost);
        }
        for id in self.servers.keys().copied().collect::<Vec<_>>() {
            self.at_server(id, |server, now, _| {
                server.leader_known(leader);
                if leader.is_some() {
                    server.leader_contact(now);
                }
            });
        }
        if let Some(leader) = leader {
            self.at_server(leader, CatalogServer::leadership_gained);
        }
    }

    /// Runs for so many milliseconds.
    pub(super) fn run_for(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            let happening = entry.remove();
            self.happen(happening);
        }
        self.now = end;
    }

    /// A process on the agent's host says something to it.
    pub(super) fn local(&mut self, agent: ProcessId, msg: CatalogMsg) {
        self.at_agent(agent, |agent, now, fx| agent.handle(now, Input::Message { from: ASKER, msg }, fx));
    }

    /// A query to a server, as an agent would send it.
    pub(super) fn ask_server(&mut self, server: u32, call: u64, query: Query) {
        let msg = CatalogMsg::Call { call, request: Arc::new(Request::Read(query)) };
        self.at_server(ProcessId(server), |server, now, fx| {
            server.handle(now, Input::Message { from: ASKER, msg }, fx);
        });
    }

    /// A write to a server, as an agent would send it.
    pub(super) fn tell_server(&mut self, server: u32, call: u64, command: Command) {
        let msg = CatalogMsg::Call { call, request: Arc::new(Request::Write(Arc::new(command))) };
        self.at_server(ProcessId(server), |server, now, fx| {
            server.handle(now, Input::Message { from: ASKER, msg }, fx);
        });
    }

    /// The answers to one call: when, and with which index or error.
    pub(super) fn answers(&self, call: u64) -> Vec<(Time, Result<u64, RpcError>)> {
        let mine = self.told.iter().filter(|(_, number, _)| *number == call);
        mine.map(|(at, _, result)| (*at, result.as_ref().map(|reply| reply.index).map_err(|error| *error))).collect()
    }

    /// Changes of status at the agents: when, and to what.
    pub(super) fn changes(&self) -> Vec<(Time, CheckStatus)> {
        let change = |(at, event): &(Time, AgentEvent)| match event {
            AgentEvent::CheckChanged { to, .. } => Some((*at, *to)),
            AgentEvent::ServiceReaped { .. } | AgentEvent::Synced { .. } | AgentEvent::SyncFailed { .. } => None,
        };
        self.agent_events.iter().filter_map(change).collect()
    }

    pub(super) fn at_server(
        &mut self,
        id: ProcessId,
        step: impl FnOnce(&mut CatalogServer, Time, &mut Effects<CatalogServer>),
    ) {
        let mut fx = Effects::new();
        step(self.servers.get_mut(&id).unwrap(), self.now, &mut fx);
        for (timer, delay) in fx.alarms {
            let count = self.count();
            self.timers.insert((id, timer.slot()), count);
            if let Some(delay) = delay {
                self.queue.insert((self.now + delay, count), Happening::Server(id, timer, count));
            }
        }
        self.send_all(id, fx.sends);
        for event in fx.events {
            self.raft(id, &event);
            self.server_events.push((self.now, id, event));
        }
    }

    pub(super) fn at_agent(
        &mut self,
        id: ProcessId,
        step: impl FnOnce(&mut CatalogAgent, Time, &mut Effects<CatalogAgent>),
    ) {
        let mut fx = Effects::new();
        step(self.agents.get_mut(&id).unwrap(), self.now, &mut fx);
        for (timer, delay) in fx.alarms {
            let count = self.count();
            self.timers.insert((id, timer.slot()), count);
            if let Some(delay) = delay {
                self.queue.insert((self.now + delay, count), Happening::Agent(id, timer, count));
            }
        }
        for token in fx.writes {
            self.later(5, Happening::Done(id, token));
        }
        self.send_all(id, fx.sends);
        self.agent_events.extend(fx.events.into_iter().map(|event| (self.now, event)));
    }

    fn send_all(&mut self, from: ProcessId, sends: Vec<(ProcessId, CatalogMsg)>) {
        if self.is_down(from) {
            return;
        }
        for (to, msg) in sends {
            if self.refusing.contains(&to) {
                self.later(2, Happening::Refused { at: from, to });
            } else if !self.silent.contains(&to) {
                self.later(1, Happening::Message { from, to, msg });
            }
        }
    }

    fn raft(&mut self, id: ProcessId, event: &ServerEvent) {
        match event {
            ServerEvent::Propose { request, command } => {
                if self.stalled || self.leader != Some(id) {
                    return;
                }
                self.index += 1;
                self.commits.push((self.now, command.to_string()));
                for at in self.servers.keys().copied().collect::<Vec<_>>() {
                    let mine = at == id;
                    let (index, request) = (self.index, mine.then_some(*request));
                    let command = Arc::clone(command);
                    self.later(if mine { 5 } else { 55 }, Happening::Applied { at, index, request, command });
                }
            }
            ServerEvent::VerifyLeader { request } => self.later(2, Happening::Verified { at: id, request: *request }),
            ServerEvent::Established
            | ServerEvent::Applied { .. }
            | ServerEvent::Answered { .. }
            | ServerEvent::Failed { .. }
            | ServerEvent::AutopilotDue
            | ServerEvent::FloodDue
            | ServerEvent::MemberEventDropped { .. } => {}
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Message { from, to, msg } => self.deliver(from, to, msg),
            Happening::Refused { at, to } => self.input(at, Input::Refused { to }),
            Happening::Server(id, timer, count) => {
                if self.timers.get(&(id, timer.slot())) == Some(&count) {
                    self.at_server(id, |server, now, fx| server.handle(now, Input::Fired(timer), fx));
                }
            }
            Happening::Agent(id, timer, count) => {
                if self.timers.get(&(id, timer.slot())) == Some(&count) {
                    self.at_agent(id, |agent, now, fx| agent.handle(now, Input::Fired(timer), fx));
                }
            }
            Happening::Applied { at, index, request, command } => {
                let leads = self.leader == Some(at);
                self.at_server(at, |server, now, fx| {
                    if !leads {
                        server.leader_contact(now);
                    }
                    server.applied(now, index, &command, request, fx);
                });
            }
            Happening::Verified { at, request } => {
                let leads = self.leader == Some(at);
                self.at_server(at, |server, now, fx| server.leader_verified(now, request, leads, fx));
            }
            Happening::Done(id, token) => {
                self.at_agent(id, |agent, now, fx| agent.handle(now, Input::Done(token), fx));
            }
        }
    }

    fn input(&mut self, at: ProcessId, input: Input<CatalogMsg, std::convert::Infallible>) {
        if self.is_down(at) {
            return;
        }
        if self.servers.contains_key(&at) {
            self.at_server(at, |server, now, fx| server.handle(now, infallible(input), fx));
        } else if self.agents.contains_key(&at) {
            self.at_agent(at, |agent, now, fx| agent.handle(now, infallible(input), fx));
        }
    }

    fn deliver(&mut self, from: ProcessId, to: ProcessId, msg: CatalogMsg) {
        if to != TASK && to != ASKER {
            return self.input(to, Input::Message { from, msg });
        }
        match msg {
            CatalogMsg::Probe { check, round, port, .. } => {
                self.probes.push(self.now);
                if let Some((status, output)) = self.health.get(&port).copied() {
                    let msg = CatalogMsg::ProbeReply { check, round, status, output };
                    self.later(1, Happening::Message { from: to, to: from, msg });
                }
            }
            CatalogMsg::Told { ask: number, result } | CatalogMsg::Return { call: number, result } => {
                self.told.push((self.now, number, result));
            }
            other => assert!(matches!(other, CatalogMsg::Unknown(_)), "{other}"),
        }
    }

    fn is_down(&self, id: ProcessId) -> bool {
        self.silent.contains(&id) || self.refusing.contains(&id)
    }

    fn later(&mut self, millis: u64, happening: Happening) {
        let count = self.count();
        self.queue.insert((self.now + Duration::from_millis(millis), count), happening);
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

fn infallible<T>(input: Input<CatalogMsg, std::convert::Infallible>) -> Input<CatalogMsg, T> {
    match input {
        Input::Start => Input::Start,
        Input::Message { from, msg } => Input::Message { from, msg },
        Input::Refused { to } => Input::Refused { to },
        Input::Fired(never) => match never {},
        Input::Done(token) => Input::Done(token),
    }
}
