//! A tiny region for story tests: servers with an instant log, clients, a network with one delay, a scheduler that
//! fills nodes in turn.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot, Token};
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::rng::{Draws, Rng};
use crate::base::time::{Duration, Time};
use crate::base::units::{Mebibytes, MegaHertz};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired, Transition};
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use crate::model::job::Job;
use crate::model::node::{NodeCapacity, NodeId, NodeReserved, NodeSpec, NodeStatus};
use crate::model::resources::Comparable;
use crate::model::topology::{RegionId, ZoneId};
use crate::protocol::client::agent::{NomadClient, Timer as ClientTimer};
use crate::protocol::client::config::{ClientConfig, Delay, Delays};
use crate::protocol::client::event::{Event as ClientEvent, Exit};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::config::ServerConfig;
use crate::protocol::scheduler::event::{Event, OperatorTag};
use crate::protocol::scheduler::message::{Message, Reply};
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::plan::{Plan, Stop, StopReason};
use crate::protocol::scheduler::release::{Behaviour, Release, SchedulerConfig};
use crate::protocol::scheduler::server::{Server, Timer as ServerTimer};
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::worker::{Answer, Decide, Step, Work};

/// Places what a job's first group lacks on ready nodes in turn, one per node and pass; stops what is on down nodes or
/// of a stopped job. What does not fit waits in a blocked evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Filler {
    eval: Arc<Evaluation>,
    state: State,
    stage: u8,
    unplaced: u32,
}

impl Decide for Filler {
    fn begin(eval: &Arc<Evaluation>, state: State, _config: &SchedulerConfig, _seed: u64) -> Self {
        Self { eval: eval.clone(), state, stage: 0, unplaced: 0 }
    }

    fn step(&mut self, now: Time, answer: Answer) -> (Step, Work) {
        if let Answer::Planned { planned, state } = answer {
            if planned.refresh_index.is_some() {
                self.state = state.expect("a refresh brings a state");
                self.stage = 0;
            }
        } else if matches!(answer, Answer::Reblocked) {
            return (Step::Done, Work::default());
        }
        self.stage += 1;
        let step = match self.stage {
            1 => {
                let plan = self.plan(now);
                if plan.is_noop() { self.close() } else { Step::Submit(Box::new(plan)) }
            }
            2 => self.close(),
            _ => Step::Done,
        };
        (step, Work { nodes_pulled: 2, nodes_scored: 2 })
    }
}

impl Filler {
    fn close(&mut self) -> Step {
        self.stage = 2;
        if self.unplaced > 0 && self.eval.status == EvalStatus::Blocked {
            let mut again = Evaluation::clone(&self.eval);
            again.snapshot_index = self.state.index();
            return Step::Reblock(Box::new(again));
        }
        let mut done = Evaluation::clone(&self.eval);
        done.status = EvalStatus::Complete;
        let mut evals = vec![done];
        if self.unplaced > 0 {
            evals[0].failed_groups.insert("web".into(), Arc::default());
            let mut blocked = Evaluation::clone(&self.eval);
            blocked.id = EvalId::NEW;
            blocked.status = EvalStatus::Blocked;
            blocked.trigger = Trigger::QueuedAllocs;
            blocked.snapshot_index = self.state.index();
            evals.push(blocked);
        }
        Step::Write(evals)
    }

    fn plan(&mut self, now: Time) -> Plan {
        let mut plan = Plan::new(&self.eval, false, self.state.index());
        self.unplaced = 0;
        let Some(job) = self.state.job(self.eval.job).cloned() else { return plan };
        let mut missing = if job.stop { 0 } else { job.groups[0].count };
        let mut lost = Vec::new();
        for alloc in self.state.allocs_of_job(job.id).filter(|alloc| !alloc.is_terminal()) {
            let node = &self.state.node(alloc.node).expect("its node").node;
            let reason = if node.status == NodeStatus::Down {
                lost.push(alloc.id);
                Some((StopReason::Lost, Some(ClientStatus::Lost)))
            } else if missing == 0 {
                Some((StopReason::NotNeeded, None))
            } else if alloc.transition.migrate {
                lost.push(alloc.id);
                Some((StopReason::Migrating, None))
            } else {
                missing -= 1;
                None
            };
            if let Some((reason, client)) = reason {
                plan.stops.push(Stop { alloc: alloc.id, node: alloc.node, client, followup: None, reason });
            }
        }
        let mut asked: OrdMap<NodeId, u64> = OrdMap::new();
        while missing > 0 {
            let mut placed = false;
            for entry in self.state.nodes().values().filter(|entry| entry.node.is_ready()) {
                let taken = asked.entry(entry.node.id).or_default();
                let free = entry.available.memory - entry.used.memory - (*taken * 300) as i64;
                if missing > 0 && free >= 300 {
                    *taken += 1;
                    missing -= 1;
                    placed = true;
                    plan.placements.push(Arc::new(place(&job, entry.node.id, self.eval.id, lost.pop(), now)));
                }
            }
            if !placed {
                break;
            }
        }
        self.unplaced = missing;
        plan
    }
}

pub(crate) fn place(job: &Arc<Job>, node: NodeId, eval: EvalId, previous: Option<AllocId>, now: Time) -> Alloc {
    Alloc {
        id: AllocId::NEW,
        job_id: job.id,
        job: job.clone(),
        group: 0,
        name_index: 0,
        node,
        eval,
        deployment: None,
        desired: Desired::Run,
        client: ClientStatus::Pending,
        transition: Transition::default(),
        health: None,
        resources: Comparable { cpu: MegaHertz(100), memory: Mebibytes(300), disk: Mebibytes(0), cores: Vec::new() },
        ports: Vec::new(),
        devices: Vec::new(),
        previous,
        next: None,
        followup_eval: None,
        preempted: Vec::new(),
        preempted_by: None,
        reschedules: Vec::new(),
        finished_at: None,
        task_failed: false,
        lost_at: None,
        disconnected_at: None,
        score_nanos: 0,
        create_time: now,
        modify_time: now,
        create_index: 0,
        modify_index: 0,
        alloc_modify_index: 0,
    }
}

pub(crate) fn node_spec(memory: u64) -> Arc<NodeSpec> {
    Arc::new(NodeSpec {
        name: "node".into(),
        datacenter: "dc1".into(),
        class: "".into(),
        pool: "default".into(),
        zone: ZoneId(0),
        attributes: OrdMap::new(),
        meta: OrdMap::new(),
        drivers: vec!["mock".into()],
        capacity: NodeCapacity { cpu: MegaHertz(4_000), cores: 4, memory: Mebibytes(memory), disk: Mebibytes(10_000) },
        reserved: NodeReserved::default(),
        networks: Vec::new(),
        devices: Vec::new(),
        host_volumes: OrdMap::new(),
    })
}

enum Item {
    Message(ProcessId, ProcessId, Message),
    Refused(ProcessId, ProcessId),
    ServerTimer(usize, ServerTimer),
    ClientTimer(usize, ClientTimer),
    Done(usize, Token),
    Apply(usize, u64),
    Exit(usize, AllocId, u16, Exit),
    Started(usize, AllocId, u16),
    Reattached(usize, AllocId, u16),
}

/// Collects the effects of one input.
pub(crate) struct Effects<M: Machine> {
    sends: Vec<(ProcessId, M::Msg)>,
    timers: Vec<(M::Timer, Option<Duration>)>,
    computes: Vec<(Token, Duration)>,
    events: Vec<M::Event>,
}

impl<M: Machine> Effects<M> {
    fn new() -> Self {
        Self { sends: Vec::new(), timers: Vec::new(), computes: Vec::new(), events: Vec::new() }
    }
}

impl<M: Machine> Fx<M> for Effects<M> {
    fn send(&mut self, to: ProcessId, msg: M::Msg) {
        self.sends.push((to, msg));
    }
    fn arm(&mut self, timer: M::Timer, delay: Duration) {
        self.timers.push((timer, Some(delay)));
    }
    fn disarm(&mut self, timer: M::Timer) {
        self.timers.push((timer, None));
    }
    fn write(&mut self, _token: Token, _bytes: u32) {}
    fn compute(&mut self, token: Token, cost: Duration) {
        self.computes.push((token, cost));
    }
    fn emit(&mut self, event: M::Event) {
        self.events.push(event);
    }
}

/// The region.
pub(crate) struct Region<D: Decide> {
    pub(crate) now: Time,
    pub(crate) servers: Vec<Server<D>>,
    pub(crate) clients: Vec<NomadClient>,
    pub(crate) leader: Option<usize>,
    /// Everything that happened, oldest first.
    pub(crate) told: Vec<(Time, Event)>,
    /// Who told it.
    pub(crate) tellers: Vec<ProcessId>,
    pub(crate) client_told: Vec<(Time, usize, ClientEvent)>,
    pub(crate) messages: u64,
    /// Processes that answer nothing; their host is gone.
    pub(crate) dead: OrdSet<usize>,
    /// Processes that live and whose messages wait, both ways, until [`Self::heal`].
    pub(crate) cut: OrdSet<usize>,
    /// Servers whose logs grow and whose states stand still, until [`Self::catch_up`].
    pub(crate) stalled: OrdSet<usize>,
    held: Vec<Item>,
    /// Dead processes whose host answers for them.
    pub(crate) refusing: OrdSet<usize>,
    /// Tasks with this configuration exit as soon as they start.
    pub(crate) bad_image: Option<String>,
    /// How long a task takes to end when asked.
    pub(crate) stop_time: Duration,
    log: Vec<Arc<Command>>,
    pending: OrdMap<(usize, u64), crate::protocol::scheduler::event::Proposal>,
    queue: OrdMap<(Time, u64), Item>,
    timers: OrdMap<(usize, usize), (Time, u64)>,
    sequence: u64,
}

const DELAY: Duration = Duration::from_millis(1);
/// Followers apply an entry this much later than the leader.
const FOLLOWER_LAG: Duration = Duration::from_millis(30);

impl<D: Decide> Region<D> {
    /// `servers` servers and `clients` clients with room for `room` allocations each; server 0 leads. Release 1.1.0.
    pub(crate) fn new(servers: usize, clients: usize, room: u64) -> Self {
        Self::configured(servers, clients, room, |_| ())
    }

    /// As [`Self::new`], of another release.
    pub(crate) fn of(release: &str, servers: usize, clients: usize, room: u64) -> Self {
        let behaviour = Behaviour::of(release.parse().unwrap());
        Self::configured(servers, clients, room, |config| config.scheduler.behaviour = behaviour)
    }

    /// As [`Self::new`], with other settings of the servers.
    pub(crate) fn configured(servers: usize, clients: usize, room: u64, configure: impl Fn(&mut ServerConfig)) -> Self {
        let ids: Vec<ProcessId> = (0..servers as u32).map(ProcessId).collect();
        let mut region = Self {
            now: Time::ZERO,
            servers: Vec::new(),
            clients: Vec::new(),
            leader: None,
            told: Vec::new(),
            tellers: Vec::new(),
            client_told: Vec::new(),
            messages: 0,
            dead: OrdSet::new(),
            cut: OrdSet::new(),
            stalled: OrdSet::new(),
            held: Vec::new(),
            refusing: OrdSet::new(),
            bad_image: None,
            stop_time: Duration::from_secs(1),
            log: Vec::new(),
            pending: OrdMap::new(),
            queue: OrdMap::new(),
            timers: OrdMap::new(),
            sequence: 0,
        };
        let mut behaviour = Behaviour::of(Release::V1_1_0);
        for id in &ids {
            let mut config = ServerConfig::new(*id, RegionId(0), 4, 7);
            config.scheduler.behaviour = Behaviour::of(Release::V1_1_0);
            configure(&mut config);
            behaviour = config.scheduler.behaviour;
            let mut server = Server::new(config, &format!("s{id}"));
            server.peers_changed([(RegionId(0), ids.clone())].into());
            region.servers.push(server);
        }
        let delays = Delays {
            setup: Delay::constant(Duration::from_millis(20)),
            pull: Delay::constant(Duration::from_secs(2)),
            start: Delay::constant(Duration::from_millis(100)),
            draws: Draws::new(7, "starts"),
        };
        for n in 0..clients as u32 {
            let mut config = ClientConfig::new(NodeId(n), node_spec(300 * room), ids.clone(), delays);
            config.push_routine = behaviour.client_update_ticks;
            config.poststart_may_end = behaviour.poststart_may_end;
            region.clients.push(NomadClient::new(config, Rng::stream(7, &format!("client {n}"))));
        }
        for server in 0..servers {
            region.server(server, |s, now, fx| s.handle(now, Input::Start, fx));
        }
        region.elect(0);
        for client in 0..clients {
            region.client(client, |c, now, fx| c.handle(now, Input::Start, fx));
        }
        region
    }

    /// Makes a server the leader.
    pub(crate) fn elect(&mut self, leader: usize) {
        if let Some(old) = self.leader.replace(leader).filter(|old| *old != leader && !self.dead.contains(old)) {
            self.server(old, Server::leadership_lost);
        }
        for server in (0..self.servers.len()).filter(|server| !self.dead.contains(server)).collect::<Vec<_>>() {
            self.servers[server].leader_known(Some(ProcessId(leader as u32)));
        }
        self.server(leader, Server::leadership_gained);
    }

    /// The process's host disappears.
    pub(crate) fn kill(&mut self, process: usize) {
        self.dead.insert(process);
        self.timers.retain(|(owner, _), _| *owner != process);
    }

    /// Nobody is cut off any more; what was on its way arrives.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        for item in std::mem::take(&mut self.held) {
            self.put(self.now + DELAY, item);
        }
    }

    /// A server applies what it has not applied yet.
    pub(crate) fn catch_up(&mut self, server: usize) {
        self.stalled.remove(&server);
        for item in std::mem::take(&mut self.held) {
            self.put(self.now, item);
        }
    }

    /// A client's process dies and comes back at once; its tasks live on, or not.
    pub(crate) fn restart_client(&mut self, client: usize) {
        let process = self.servers.len() + client;
        self.timers.retain(|(owner, _), _| *owner != process);
        self.clients[client].reboot(self.now, &Kept::default());
        self.client(client, |c, now, fx| c.handle(now, Input::Start, fx));
    }

    /// A client's host is not what it was.
    pub(crate) fn fingerprint(&mut self, client: usize, spec: NodeSpec) {
        self.client(client, |c, now, fx| c.fingerprinted(now, Arc::new(spec), fx));
    }

    pub(crate) fn operate(&mut self, server: usize, operation: Operation) {
        let operation = Arc::new(operation);
        self.server(server, |s, now, fx| s.operate(now, OperatorTag(0), RegionId(0), operation, fx));
    }

    pub(crate) fn answers(&self) -> Vec<Reply> {
        let answer = |event: &Event| if let Event::Operated { reply, .. } = event { Some(reply.clone()) } else { None };
        self.told.iter().filter_map(|(_, event)| answer(event)).collect()
    }

    /// When something happened first at or after `from`.
    pub(crate) fn first(&self, from: Time, wanted: impl Fn(&Event) -> bool) -> Option<Time> {
        self.told.iter().find(|(at, event)| *at >= from && wanted(event)).map(|(at, _)| *at)
    }

    /// The leader's view of how many allocations are in this client status and desired to run.
    pub(crate) fn count(&self, status: ClientStatus) -> usize {
        let state = self.servers[self.leader.expect("a leader")].state();
        state.allocs().values().filter(|a| a.client == status && a.desired == Desired::Run).count()
    }

    pub(crate) fn exit(&mut self, client: usize, alloc: AllocId, exit: Exit) {
        self.client(client, |c, now, fx| c.task_exited(now, alloc, 0, exit, fx));
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, sequence), item) = entry.remove_entry();
            self.now = at;
            self.carry_out(sequence, item);
        }
        self.now = until;
    }

    fn carry_out(&mut self, sequence: u64, item: Item) {
        let clients_from = self.servers.len();
        match item {
            Item::Message(from, to, msg) => {
                let to_index = to.0 as usize;
                if self.cut.contains(&to_index) || self.cut.contains(&(from.0 as usize)) {
                    self.held.push(Item::Message(from, to, msg));
                    return;
                }
                if self.refusing.contains(&to_index) {
                    self.put(self.now + DELAY, Item::Refused(from, to));
                }
                if self.dead.contains(&to_index) {
                    return;
                }
                self.messages += 1;
                if to_index < clients_from {
                    self.server(to_index, |s, now, fx| s.handle(now, Input::Message { from, msg }, fx));
                } else {
                    self.client(to_index - clients_from, |c, now, fx| {
                        c.handle(now, Input::Message { from, msg }, fx);
                    });
                }
            }
            Item::Refused(at, to) => {
                let at = at.0 as usize;
                if at < clients_from {
                    self.server(at, |s, now, fx| s.handle(now, Input::Refused { to }, fx));
                } else {
                    self.client(at - clients_from, |c, now, fx| c.handle(now, Input::Refused { to }, fx));
                }
            }
            Item::ServerTimer(server, timer) => {
                if self.timer_is_due(server, timer.slot(), sequence) {
                    self.server(server, |s, now, fx| s.handle(now, Input::Fired(timer), fx));
                }
            }
            Item::ClientTimer(client, timer) => {
                if self.timer_is_due(clients_from + client, timer.slot(), sequence) {
                    self.client(client, |c, now, fx| c.handle(now, Input::Fired(timer), fx));
                }
            }
            Item::Done(server, token) => {
                if !self.dead.contains(&server) {
                    self.server(server, |s, now, fx| s.handle(now, Input::Done(token), fx));
                }
            }
            Item::Apply(server, index) => {
                if self.stalled.contains(&server) {
                    self.held.push(Item::Apply(server, index));
                } else if !self.dead.contains(&server) {
                    let command = self.log[index as usize - 1].clone();
                    let proposal = self.pending.remove(&(server, index));
                    self.server(server, |s, now, fx| drop(s.applied(now, index, proposal, &command, fx)));
                }
            }
            Item::Exit(client, alloc, task, exit) => {
                if !self.dead.contains(&(clients_from + client)) {
                    self.client(client, |c, now, fx| c.task_exited(now, alloc, task, exit, fx));
                }
            }
            Item::Started(client, alloc, task) => {
                self.client(client, |c, now, fx| c.task_started(now, alloc, task, fx));
            }
            Item::Reattached(client, alloc, task) => {
                self.client(client, |c, now, fx| c.task_reattached(now, alloc, task, true, fx));
            }
        }
    }

    fn timer_is_due(&mut self, process: usize, slot: usize, sequence: u64) -> bool {
        self.timers.remove_if(&(process, slot), sequence)
    }

    fn put(&mut self, at: Time, item: Item) -> u64 {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), item);
        self.sequence
    }

    fn arm(&mut self, process: usize, slot: usize, delay: Option<Duration>, item: Item) {
        self.timers.remove(&(process, slot));
        if let Some(delay) = delay {
            let at = self.now + delay;
            let sequence = self.put(at, item);
            self.timers.insert((process, slot), (at, sequence));
        }
    }

    fn post(&mut self, from: usize, sends: Vec<(ProcessId, Message)>) {
        for (to, msg) in sends {
            self.put(self.now + DELAY, Item::Message(ProcessId(from as u32), to, msg));
        }
    }

    /// Something is done to a server.
    pub(crate) fn server(&mut self, server: usize, act: impl FnOnce(&mut Server<D>, Time, &mut Effects<Server<D>>)) {
        let mut fx = Effects::new();
        act(&mut self.servers[server], self.now, &mut fx);
        self.post(server, fx.sends);
        for (timer, delay) in fx.timers {
            self.arm(server, timer.slot(), delay, Item::ServerTimer(server, timer));
        }
        for (token, cost) in fx.computes {
            self.put(self.now + cost, Item::Done(server, token));
        }
        for event in fx.events {
            if let Event::Propose { proposal, command } = &event {
                self.log.push(command.clone());
                let index = self.log.len() as u64;
                self.pending.insert((server, index), *proposal);
                for replica in 0..self.servers.len() {
                    let lag = if Some(replica) == self.leader { Duration::ZERO } else { FOLLOWER_LAG };
                    self.put(self.now + DELAY * 2 + lag, Item::Apply(replica, index));
                }
            }
            self.told.push((self.now, event));
            self.tellers.push(ProcessId(server as u32));
        }
    }

    fn client(&mut self, client: usize, act: impl FnOnce(&mut NomadClient, Time, &mut Effects<NomadClient>)) {
        let process = self.servers.len() + client;
        let mut fx = Effects::new();
        act(&mut self.clients[client], self.now, &mut fx);
        self.post(process, fx.sends);
        for (timer, delay) in fx.timers {
            self.arm(process, timer.slot(), delay, Item::ClientTimer(client, timer));
        }
        for event in fx.events {
            self.client_told.push((self.now, client, event.clone()));
            match event {
                ClientEvent::StartTask { alloc, task } => {
                    self.put(self.now, Item::Started(client, alloc.id, task));
                    if self.bad_image.as_ref() == Some(&alloc.task_group().tasks[usize::from(task)].config) {
                        self.put(self.now + DELAY, Item::Exit(client, alloc.id, task, Exit::Failure));
                    }
                }
                ClientEvent::ReattachTask { alloc, task } => {
                    self.put(self.now, Item::Reattached(client, alloc.id, task));
                }
                ClientEvent::StopTask { alloc, task } => {
                    self.put(self.now + self.stop_time, Item::Exit(client, alloc, task, Exit::Success));
                }
                ClientEvent::KillTask { alloc, task } => {
                    self.put(self.now, Item::Exit(client, alloc, task, Exit::Failure));
                }
                _ => {}
            }
        }
    }
}

trait RemoveIf {
    fn remove_if(&mut self, key: &(usize, usize), sequence: u64) -> bool;
}

impl RemoveIf for OrdMap<(usize, usize), (Time, u64)> {
    /// Removes the timer if it is still the one of this number.
    fn remove_if(&mut self, key: &(usize, usize), sequence: u64) -> bool {
        let due = self.get(key).is_some_and(|(_, armed)| *armed == sequence);
        if due {
            self.remove(key);
        }
        due
    }
}
