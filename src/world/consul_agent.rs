//! The Consul agent of a machine: its Serf in the LAN pool and its local state. What its checks are bound to be
//! answered is counted: [`crate::world::checks`].

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::rng::Draws;
use crate::base::time::Time;
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog::agent::{AgentConfig, AgentEvent, CatalogAgent};
use crate::protocol::catalog::message::CatalogMsg;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::gossip::message::Msg;
use crate::protocol::gossip::serf::{self, Serf};
use crate::world::atlas::Atlas;
use crate::world::checks::{Alarms, CheckAnswer, Checks};
use crate::world::consul_server::{lan_via, subject};
use crate::world::event::{Event, Pool};
use crate::world::member::{Call, Mood, PoolMember};
use crate::world::naming::alloc_of;
use crate::world::process::Process;
use crate::world::spec::{MachineId, MachineRole};
use crate::world::via::{Via, hear_out, unwrap};
use crate::world::wire::{Alarm, TaskMsg, Wire};

/// A Consul agent.
#[derive(Debug, Clone)]
pub struct ConsulAgent {
    machine: MachineId,
    region: RegionId,
    atlas: Arc<Atlas>,
    lan: PoolMember,
    agent: CatalogAgent,
    checks: Checks,
    lan_events: Vec<serf::Event>,
    agent_events: Vec<AgentEvent>,
}

impl ConsulAgent {
    /// An agent that has not started.
    pub fn new(me: ProcessId, machine: MachineId, atlas: &Arc<Atlas>, lan: Serf, draws: Draws) -> Self {
        Self {
            machine,
            region: atlas.region(machine),
            atlas: Arc::clone(atlas),
            lan: PoolMember::new(lan),
            agent: CatalogAgent::new(me, AgentConfig::default(), draws),
            checks: Checks::new(atlas, machine),
            lan_events: Vec::new(),
            agent_events: Vec::new(),
        }
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        match input {
            Input::Start => {
                self.gossip(now, Input::Start, fx);
                self.agent.handle(now, Input::Start, &mut agent_via(fx, &mut self.agent_events, &mut self.checks));
                self.meet_servers(now, fx);
            }
            Input::Message { from, msg: Wire::Lan(msg) } => {
                self.gossip(now, Input::Message { from, msg }, fx);
            }
            Input::Message { from, msg: Wire::Catalog(msg) } => {
                let answer = CheckAnswer::of(from, &msg);
                let input = Input::Message { from, msg };
                self.agent.handle(now, input, &mut agent_via(fx, &mut self.agent_events, &mut self.checks));
                if let Some(answer) = answer {
                    self.checks.answered(now, answer, &self.agent, &mut plain_via(fx, &mut self.agent_events));
                }
            }
            Input::Message { msg: Wire::Task(TaskMsg::PortsChanged), .. } => {
                let change = self.checks.message_sent(now);
                self.checks.wake(now, change, &mut self.agent, &mut plain_via(fx, &mut self.agent_events));
            }
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a Consul agent"),
            Input::Refused { to } => {
                self.gossip(now, Input::Refused { to }, fx);
                self.agent.handle(
                    now,
                    Input::Refused { to },
                    &mut agent_via(fx, &mut self.agent_events, &mut self.checks),
                );
            }
            Input::Fired(Alarm::Serf(timer)) => {
                self.gossip(now, Input::Fired(timer), fx);
            }
            Input::Fired(Alarm::Agent(timer)) => {
                self.agent.handle(
                    now,
                    Input::Fired(timer),
                    &mut agent_via(fx, &mut self.agent_events, &mut self.checks),
                );
            }
            Input::Fired(alarm) => unreachable!("a Consul agent does not set {alarm:?}"),
            Input::Done(token) => {
                let input = Input::Done(unwrap(token).0);
                self.agent.handle(now, input, &mut agent_via(fx, &mut self.agent_events, &mut self.checks));
            }
        }
        self.settle(now, fx);
    }

    /// The process died.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        self.lan.reboot(now, &Kept::default());
        let lost = kept.lost.iter().map(|&token| unwrap(token).0).collect();
        self.agent.reboot(now, &Kept { lost });
        self.checks.forget();
    }

    /// Its checks, to say whether something disturbs them.
    pub fn checks_mut(&mut self) -> &mut Checks {
        &mut self.checks
    }

    /// What its checks are answered may be something else from now on.
    pub fn wake_checks(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.checks.wake(now, now, &mut self.agent, &mut plain_via(fx, &mut self.agent_events));
    }

    /// It as a member of its pool.
    pub fn member(&self) -> &PoolMember {
        &self.lan
    }

    /// Its pool becomes calm, or no longer is.
    pub fn tell_member(&mut self, now: Time, call: Call, fx: &mut impl Fx<Process>) {
        self.lan.follow(now, call, &mut lan_via(fx, &mut self.lan_events));
    }

    fn gossip(&mut self, now: Time, input: Input<Msg, serf::Timer>, fx: &mut impl Fx<Process>) {
        if self.lan.handle(now, input, &mut lan_via(fx, &mut self.lan_events)) == Mood::Stirred {
            fx.emit(Event::Stirred(Pool::ConsulLan(self.region)));
        }
    }

    fn settle(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        while hear_out(self, |p| &mut p.lan_events, |p, event| p.on_lan(now, event, fx))
            | hear_out(self, |p| &mut p.agent_events, |p, event| p.on_agent(event, fx))
        {}
    }

    fn on_lan(&mut self, now: Time, event: serf::Event, fx: &mut impl Fx<Process>) {
        if let Some(member) = subject(&event) {
            if self.is_server(member) {
                if matches!(event, serf::Event::MemberJoin { .. }) {
                    self.agent.server_up(now, member, &mut agent_via(fx, &mut self.agent_events, &mut self.checks));
                } else {
                    self.agent.server_down(member);
                }
            }
            self.agent.lan_size(u32::try_from(self.lan.serf().member_count()).unwrap_or(u32::MAX));
        }
        if let Some(event) = Event::gossip(Pool::ConsulLan(self.region), event) {
            fx.emit(event);
        }
    }

    /// The client beside the agent waits for the checks of its allocations (Nomad's client polls them every 500 ms;
    /// here it is told at once), and misses a service of theirs that the agent has removed by itself.
    fn on_agent(&mut self, event: AgentEvent, fx: &mut impl Fx<Process>) {
        if let AgentEvent::CheckChanged { check, .. } = &event
            && let Some(alloc) = check.instance().and_then(alloc_of)
            && matches!(self.atlas.spec.machines[self.machine].role, MachineRole::Client(_))
        {
            let passing = self.agent.local().checks().all(|(_, check)| {
                let ours = check.record.id.instance().and_then(alloc_of) == Some(alloc);
                !ours || check.record.status == CheckStatus::Passing
            });
            fx.send(self.atlas.processes[self.machine].main, Wire::Task(TaskMsg::Health { alloc, passing }));
        }
        if let AgentEvent::ServiceReaped { instance } = event
            && alloc_of(instance).is_some()
        {
            let gone = CatalogMsg::Unknown(CheckId::Service { instance, ordinal: 0 });
            fx.send(self.atlas.processes[self.machine].main, Wire::Catalog(gone));
        }
        fx.emit(Event::Agent { machine: self.machine, event });
    }

    /// The server of its datacenter that it asks.
    pub fn server(&self) -> Option<ProcessId> {
        self.agent.server()
    }

    /// Serf starts with its members known; the agent hears of the servers once, and asks them
    /// in an order of its own.
    fn meet_servers(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        let members: Vec<ProcessId> = self.lan.serf().members().map(|(_, address, _)| address).collect();
        self.agent.lan_size(u32::try_from(members.len()).unwrap_or(u32::MAX));
        let servers: Vec<ProcessId> = members.into_iter().filter(|member| self.is_server(*member)).collect();
        for server in servers {
            self.agent.server_up(now, server, &mut agent_via(fx, &mut self.agent_events, &mut self.checks));
        }
        self.agent.shuffle_servers();
    }

    fn is_server(&self, member: ProcessId) -> bool {
        self.atlas
            .machine(member)
            .is_some_and(|machine| matches!(self.atlas.spec.machines[machine].role, MachineRole::ConsulServer))
    }
}

fn agent_via<'a>(
    fx: &'a mut impl Fx<Process>,
    events: &'a mut Vec<AgentEvent>,
    checks: &'a mut Checks,
) -> impl Fx<CatalogAgent> {
    Alarms { fx: plain_via(fx, events), checks }
}

fn plain_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<AgentEvent>) -> impl Fx<CatalogAgent> {
    Via { fx, events, wire: Wire::Catalog, alarm: Alarm::Agent, lane: 0 }
}
