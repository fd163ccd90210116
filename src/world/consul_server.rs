//! A Consul server process: its Raft, its Serf in the LAN and in the WAN pool, and its catalog.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Token};
use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::catalog::message::RpcError;
use crate::protocol::catalog::reconcile::{MemberEvent, MemberRole, MemberStatus};
use crate::protocol::catalog::registry::State;
use crate::protocol::catalog::server::{CatalogServer, ServerConfig, ServerEvent};
use crate::protocol::gossip::intent::Status;
use crate::protocol::gossip::message::Msg;
use crate::protocol::gossip::serf::{self, Serf};
use crate::protocol::raft::autopilot::{Admission, Standing};
use crate::protocol::raft::{self, Configuration, Index, RaftNode, Term};
use crate::world::atlas::Atlas;
use crate::world::entry::CatalogEntry;
use crate::world::event::{Event, Pool};
use crate::world::member::{Call, Mood, PoolMember};
use crate::world::pilot::{Pilot, standings};
use crate::world::process::Process;
use crate::world::via::{Via, hear_out, unwrap};
use crate::world::wire::{Alarm, Wire};

/// A Consul server.
#[derive(Debug, Clone)]
pub struct ConsulServer {
    region: RegionId,
    atlas: Arc<Atlas>,
    raft: RaftNode<CatalogEntry>,
    lan: PoolMember,
    wan: PoolMember,
    catalog: CatalogServer,
    /// Requests under way in the log, by place.
    proposed: OrdMap<(Term, Index), u64>,
    /// Verifications under way: Raft's ticket and the catalog's request.
    verifying: VecDeque<(u64, u64)>,
    raft_events: Vec<raft::Event<CatalogEntry>>,
    lan_events: Vec<serf::Event>,
    wan_events: Vec<serf::Event>,
    catalog_events: Vec<ServerEvent>,
    pilot: Pilot,
}

/// Raft is the only part that writes.
const RAFT: u64 = 0;

impl ConsulServer {
    /// A server that has not started.
    pub fn new(
        me: ProcessId,
        atlas: &Arc<Atlas>,
        region: RegionId,
        parts: (RaftNode<CatalogEntry>, Serf, Serf),
        rng: Rng,
    ) -> Self {
        let (raft, lan, wan) = parts;
        Self {
            region,
            atlas: Arc::clone(atlas),
            raft,
            lan: PoolMember::new(lan),
            wan: PoolMember::new(wan),
            catalog: CatalogServer::new(me, region, ServerConfig::default(), rng),
            proposed: OrdMap::new(),
            verifying: VecDeque::new(),
            raft_events: Vec::new(),
            lan_events: Vec::new(),
            wan_events: Vec::new(),
            catalog_events: Vec::new(),
            pilot: Pilot::new(Admission::Nonvoter),
        }
    }

    /// The servers of its Raft group, as it knows them.
    pub fn configuration(&self) -> &Configuration {
        self.raft.configuration()
    }

    /// The term it leads, if it does.
    pub fn leads_term(&self) -> Option<Term> {
        self.raft.is_leader().then(|| self.raft.term())
    }

    /// Its replica of the region's catalog.
    pub fn state(&self) -> &State {
        self.catalog.state()
    }

    /// Hands leadership to another server, if this one leads and the other can take it.
    pub fn transfer(&mut self, now: Time, to: ProcessId, fx: &mut impl Fx<Process>) -> bool {
        let done = self.raft.transfer(now, Some(to), &mut raft_via(fx, &mut self.raft_events)).is_ok();
        self.settle(now, fx);
        done
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        match input {
            Input::Start => {
                self.raft.handle(now, Input::Start, &mut raft_via(fx, &mut self.raft_events));
                self.gossip_lan(now, Input::Start, fx);
                self.gossip_wan(now, Input::Start, fx);
                self.catalog.handle(now, Input::Start, &mut catalog_via(fx, &mut self.catalog_events));
                self.tell_members(now, fx);
            }
            Input::Message { from, msg } => self.receive(now, from, msg, fx),
            Input::Refused { to } => {
                self.raft.handle(now, Input::Refused { to }, &mut raft_via(fx, &mut self.raft_events));
                self.gossip_lan(now, Input::Refused { to }, fx);
                self.gossip_wan(now, Input::Refused { to }, fx);
                self.catalog.handle(now, Input::Refused { to }, &mut catalog_via(fx, &mut self.catalog_events));
            }
            Input::Fired(alarm) => self.fired(now, alarm, fx),
            Input::Done(token) => self.done(now, token, fx),
        }
        self.settle(now, fx);
    }

    /// The process died.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        let lost = Kept { lost: kept.lost.iter().map(|&token| unwrap(token).0).collect() };
        self.raft.reboot(now, &lost);
        self.lan.reboot(now, &Kept::default());
        self.wan.reboot(now, &Kept::default());
        self.catalog.reboot(now, &Kept::default());
        self.proposed.clear();
        self.verifying.clear();
        self.pilot.rest();
    }

    /// It as a member of one of its pools.
    pub fn member(&self, pool: Pool) -> &PoolMember {
        if pool == Pool::ConsulWan { &self.wan } else { &self.lan }
    }

    /// One of its pools becomes calm, or no longer is.
    pub fn tell_member(&mut self, now: Time, pool: Pool, call: Call, fx: &mut impl Fx<Process>) {
        if pool == Pool::ConsulWan {
            self.wan.follow(now, call, &mut wan_via(fx, &mut self.wan_events));
        } else {
            self.lan.follow(now, call, &mut lan_via(fx, &mut self.lan_events));
        }
    }

    fn gossip_lan(&mut self, now: Time, input: Input<Msg, serf::Timer>, fx: &mut impl Fx<Process>) {
        if self.lan.handle(now, input, &mut lan_via(fx, &mut self.lan_events)) == Mood::Stirred {
            fx.emit(Event::Stirred(Pool::ConsulLan(self.region)));
        }
    }

    fn gossip_wan(&mut self, now: Time, input: Input<Msg, serf::Timer>, fx: &mut impl Fx<Process>) {
        if self.wan.handle(now, input, &mut wan_via(fx, &mut self.wan_events)) == Mood::Stirred {
            fx.emit(Event::Stirred(Pool::ConsulWan));
        }
    }

    fn receive(&mut self, now: Time, from: ProcessId, msg: Wire, fx: &mut impl Fx<Process>) {
        match msg {
            Wire::CatalogRaft(msg) => {
                self.raft.handle(now, Input::Message { from, msg }, &mut raft_via(fx, &mut self.raft_events));
            }
            Wire::Lan(msg) => {
                self.gossip_lan(now, Input::Message { from, msg }, fx);
            }
            Wire::Wan(msg) => {
                self.gossip_wan(now, Input::Message { from, msg }, fx);
            }
            Wire::Catalog(msg) => {
                self.tell_contact();
                let input = Input::Message { from, msg };
                self.catalog.handle(now, input, &mut catalog_via(fx, &mut self.catalog_events));
            }
            Wire::NomadRaft(_) | Wire::NomadSerf(_) | Wire::Nomad(_) | Wire::Http(_) | Wire::Task(_) => {
                unreachable!("nobody speaks Nomad or HTTP to a Consul server")
            }
        }
    }

    fn fired(&mut self, now: Time, alarm: Alarm, fx: &mut impl Fx<Process>) {
        match alarm {
            Alarm::Raft(timer) => {
                self.raft.handle(now, Input::Fired(timer), &mut raft_via(fx, &mut self.raft_events));
            }
            Alarm::Serf(timer) => self.gossip_lan(now, Input::Fired(timer), fx),
            Alarm::Wan(timer) => self.gossip_wan(now, Input::Fired(timer), fx),
            Alarm::Catalog(timer) => {
                self.tell_contact();
                self.catalog.handle(now, Input::Fired(timer), &mut catalog_via(fx, &mut self.catalog_events));
            }
            Alarm::Agent(_)
            | Alarm::Nomad(_)
            | Alarm::Client(_)
            | Alarm::Registrations
            | Alarm::Runtime(_)
            | Alarm::Proxy(_)
            | Alarm::Balancer(_)
            | Alarm::User(_)
            | Alarm::Operator => unreachable!("a Consul server sets its own alarms only"),
        }
    }

    fn done(&mut self, now: Time, token: Token, fx: &mut impl Fx<Process>) {
        let (token, lane) = unwrap(token);
        assert_eq!(lane, RAFT, "only Raft writes");
        self.raft.handle(now, Input::Done(token), &mut raft_via(fx, &mut self.raft_events));
    }

    /// Lets the parts hear of each other until none has anything more to say.
    fn settle(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.change_members(now, fx);
        while hear_out(self, |p| &mut p.raft_events, |p, event| p.on_raft(now, event, fx))
            || hear_out(self, |p| &mut p.lan_events, |p, event| p.on_lan(now, event, fx))
            || hear_out(self, |p| &mut p.wan_events, |p, event| p.on_wan(event, fx))
            || hear_out(self, |p| &mut p.catalog_events, |p, event| p.on_catalog(now, event, fx))
        {}
    }

    fn on_raft(&mut self, now: Time, event: raft::Event<CatalogEntry>, fx: &mut impl Fx<Process>) {
        if matches!(event, raft::Event::SnapshotDue) {
            let state = self.catalog.state().clone();
            let bytes = u32::try_from(state.node_count()).unwrap_or(u32::MAX).saturating_mul(2_048);
            self.raft.snapshot_taken(state, bytes, &mut raft_via(fx, &mut self.raft_events));
        }
        self.tell_contact();
        self.tell_catalog(now, &event, fx);
        fx.emit(Event::CatalogRaft(event));
    }

    /// Raft says nothing of heartbeats; whoever may answer a stale read asks it when it last heard of the leader.
    fn tell_contact(&mut self) {
        if let Some(contact) = self.raft.last_contact() {
            self.catalog.leader_contact(contact);
        }
    }

    fn tell_catalog(&mut self, now: Time, event: &raft::Event<CatalogEntry>, fx: &mut impl Fx<Process>) {
        let catalog_fx = &mut catalog_via(fx, &mut self.catalog_events);
        match event {
            raft::Event::Apply { index, term, entry, .. } => {
                let request = self.proposed.remove(&(*term, *index));
                self.catalog.applied(now, index.0, &entry.0, request, catalog_fx);
            }
            raft::Event::LeadershipGained { .. } => self.catalog.leadership_gained(now, catalog_fx),
            raft::Event::LeadershipLost { .. } => {
                self.proposed.clear();
                self.verifying.clear();
                self.pilot.rest();
                self.catalog.leadership_lost(now, catalog_fx);
            }
            raft::Event::LeaderChanged { leader } => self.catalog.leader_known(*leader),
            raft::Event::Verified { ticket } => {
                while self.verifying.front().is_some_and(|(waiting, _)| waiting <= ticket) {
                    if let Some((_, request)) = self.verifying.pop_front() {
                        self.catalog.leader_verified(now, request, true, catalog_fx);
                    }
                }
            }
            raft::Event::Restore { snapshot } => self.catalog.restore(now, snapshot.state.clone(), catalog_fx),
            raft::Event::SnapshotDue
            | raft::Event::StateChanged { .. }
            | raft::Event::TermChanged { .. }
            | raft::Event::VoteGranted { .. }
            | raft::Event::Appended { .. }
            | raft::Event::Truncated { .. }
            | raft::Event::Committed { .. }
            | raft::Event::Passed { .. }
            | raft::Event::TransferStarted { .. }
            | raft::Event::TransferFailed
            | raft::Event::SnapshotStored { .. }
            | raft::Event::ConfigurationChanged { .. } => {}
        }
    }

    fn on_lan(&mut self, now: Time, event: serf::Event, fx: &mut impl Fx<Process>) {
        let status = match &event {
            serf::Event::MemberJoin { .. } => Some(MemberStatus::Alive),
            serf::Event::MemberLeave { .. } => Some(MemberStatus::Left),
            serf::Event::MemberFailed { .. } => Some(MemberStatus::Failed),
            serf::Event::MemberReap { .. } => Some(MemberStatus::Reaped),
            serf::Event::MemberUpdate { .. }
            | serf::Event::User(_)
            | serf::Event::Query(_)
            | serf::Event::Answered { .. }
            | serf::Event::QueryDone { .. }
            | serf::Event::JoinDone { .. }
            | serf::Event::LeaveDone { .. }
            | serf::Event::Swim(_) => None,
        };
        if let (Some(status), Some(member)) = (status, subject(&event)) {
            let event = MemberEvent { node: member, role: self.role(member), status };
            self.catalog.member_event(now, event, &mut catalog_via(fx, &mut self.catalog_events));
            if event.role == MemberRole::Server {
                self.follow_members(now, Some(member), fx);
                if status == MemberStatus::Alive {
                    self.flood(now, fx);
                }
            }
        }
        if let Some(event) = Event::gossip(Pool::ConsulLan(self.region), event) {
            fx.emit(event);
        }
    }

    fn on_wan(&mut self, event: serf::Event, fx: &mut impl Fx<Process>) {
        let alive = matches!(event, serf::Event::MemberJoin { .. });
        if let Some(member) = subject(&event)
            && let Some(machine) = self.atlas.machine(member)
        {
            let region = self.atlas.region(machine);
            if region != self.region {
                self.catalog.remote_server(region, member, alive);
            }
        }
        if let Some(event) = Event::gossip(Pool::ConsulWan, event) {
            fx.emit(event);
        }
    }

    fn on_catalog(&mut self, now: Time, event: ServerEvent, fx: &mut impl Fx<Process>) {
        match &event {
            ServerEvent::Propose { request, command } => {
                let entry = CatalogEntry(Arc::clone(command));
                if let Ok(place) = self.raft.propose(now, entry, &mut raft_via(fx, &mut self.raft_events)) {
                    self.proposed.insert(place, *request);
                } else {
                    let catalog_fx = &mut catalog_via(fx, &mut self.catalog_events);
                    self.catalog.propose_failed(now, *request, RpcError::NoLeader, catalog_fx);
                }
            }
            ServerEvent::VerifyLeader { request } => {
                if let Ok(ticket) = self.raft.verify_leader(now, &mut raft_via(fx, &mut self.raft_events)) {
                    self.verifying.push_back((ticket, *request));
                } else {
                    let catalog_fx = &mut catalog_via(fx, &mut self.catalog_events);
                    self.catalog.leader_verified(now, *request, false, catalog_fx);
                }
            }
            ServerEvent::Established => self.follow_members(now, None, fx),
            ServerEvent::AutopilotDue => {
                self.look_at_servers(now, fx);
                return;
            }
            ServerEvent::FloodDue => {
                self.flood(now, fx);
                return;
            }
            ServerEvent::Applied { .. }
            | ServerEvent::Answered { .. }
            | ServerEvent::Failed { .. }
            | ServerEvent::MemberEventDropped { .. } => {}
        }
        fx.emit(Event::Catalog { region: self.region, event });
    }

    /// Servers of this datacenter that are alive in the LAN pool and unknown in the WAN pool are joined there (Consul
    /// `FloodJoins`). One join at a time: what comes meanwhile waits for the next look.
    fn flood(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        let (lan, wan) = (self.lan.serf(), self.wan.serf());
        if wan.is_joining() {
            return;
        }
        let status = |pool: &Serf, server| pool.directory().member(server).and_then(|member| pool.status(member));
        let servers = self.atlas.mains(&self.atlas.spec.regions[self.region].consul);
        let missing = servers
            .into_iter()
            .filter(|&server| status(lan, server) == Some(Status::Alive) && status(wan, server).is_none());
        let missing: Vec<ProcessId> = missing.collect();
        if !missing.is_empty() && self.wan.join(now, &missing, &mut wan_via(fx, &mut self.wan_events)) == Mood::Stirred
        {
            fx.emit(Event::Stirred(Pool::ConsulWan));
        }
    }

    // Autopilot.

    fn standings(&self) -> OrdMap<ProcessId, Standing> {
        standings(self.lan.serf(), |address| self.role(address) == MemberRole::Server)
    }

    /// Raft's servers follow the members of the LAN pool: one of them, or all.
    fn follow_members(&mut self, now: Time, member: Option<ProcessId>, fx: &mut impl Fx<Process>) {
        if self.catalog.is_established() {
            let standings = self.standings();
            self.pilot.follow(&self.raft, &standings, member);
            self.change_members(now, fx);
        }
    }

    /// Who is dead is declared to have left in both pools.
    fn look_at_servers(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        let mut pilot = std::mem::replace(&mut self.pilot, Pilot::new(Admission::Nonvoter));
        let leaving = pilot.look(now, &self.raft, || self.standings());
        self.pilot = pilot;
        for id in leaving {
            if let Some(member) = self.lan.serf().directory().member(id)
                && self.lan.force_leave(now, member, &mut lan_via(fx, &mut self.lan_events)) == Mood::Stirred
            {
                fx.emit(Event::Stirred(Pool::ConsulLan(self.region)));
            }
            if let Some(member) = self.wan.serf().directory().member(id)
                && self.wan.force_leave(now, member, &mut wan_via(fx, &mut self.wan_events)) == Mood::Stirred
            {
                fx.emit(Event::Stirred(Pool::ConsulWan));
            }
        }
        self.change_members(now, fx);
    }

    fn change_members(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.pilot.carry_out(now, &mut self.raft, &mut raft_via(fx, &mut self.raft_events));
    }

    /// Serf starts with its members known; the catalog hears of them once.
    fn tell_members(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        let members: Vec<ProcessId> = self.lan.serf().members().map(|(_, address, _)| address).collect();
        for node in members {
            let event = MemberEvent { node, role: self.role(node), status: MemberStatus::Alive };
            self.catalog.member_event(now, event, &mut catalog_via(fx, &mut self.catalog_events));
        }
        let servers: Vec<ProcessId> = self.wan.serf().members().map(|(_, address, _)| address).collect();
        for server in servers {
            if let Some(machine) = self.atlas.machine(server)
                && self.atlas.region(machine) != self.region
            {
                self.catalog.remote_server(self.atlas.region(machine), server, true);
            }
        }
    }

    fn role(&self, member: ProcessId) -> MemberRole {
        let is_server = self.atlas.machine(member).is_some_and(|machine| {
            matches!(self.atlas.spec.machines[machine].role, crate::world::spec::MachineRole::ConsulServer)
        });
        if is_server { MemberRole::Server } else { MemberRole::Client }
    }
}

/// Whom a membership event is about.
pub(super) fn subject(event: &serf::Event) -> Option<ProcessId> {
    match event {
        serf::Event::MemberJoin { member }
        | serf::Event::MemberLeave { member }
        | serf::Event::MemberFailed { member }
        | serf::Event::MemberReap { member } => Some(*member),
        serf::Event::MemberUpdate { .. }
        | serf::Event::User(_)
        | serf::Event::Query(_)
        | serf::Event::Answered { .. }
        | serf::Event::QueryDone { .. }
        | serf::Event::JoinDone { .. }
        | serf::Event::LeaveDone { .. }
        | serf::Event::Swim(_) => None,
    }
}

fn raft_via<'a>(
    fx: &'a mut impl Fx<Process>,
    events: &'a mut Vec<raft::Event<CatalogEntry>>,
) -> impl Fx<RaftNode<CatalogEntry>> {
    Via { fx, events, wire: Wire::CatalogRaft, alarm: Alarm::Raft, lane: RAFT }
}

/// The effects of a Serf in the LAN pool.
pub(super) fn lan_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<serf::Event>) -> impl Fx<Serf> {
    Via { fx, events, wire: Wire::Lan, alarm: Alarm::Serf, lane: 1 }
}

fn wan_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<serf::Event>) -> impl Fx<Serf> {
    Via { fx, events, wire: Wire::Wan, alarm: Alarm::Wan, lane: 2 }
}

fn catalog_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<ServerEvent>) -> impl Fx<CatalogServer> {
    Via { fx, events, wire: Wire::Catalog, alarm: Alarm::Catalog, lane: 3 }
}
