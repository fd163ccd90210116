//! A Nomad server process: its Raft, its Serf in the pool of all servers, and everything a server does with them.
//!
//! Left out: graceful leave (a leader that removes itself from Raft, Serf's leave, the wait of up to 5 s to be out of
//! the configuration). No action of a scenario makes a server leave; those it has end or cut off a server without a
//! word.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::gossip::intent::Status;
use crate::protocol::gossip::message::Msg;
use crate::protocol::gossip::serf::{self, Serf};
use crate::protocol::raft::autopilot::{Admission, Standing};
use crate::protocol::raft::{self, Configuration, Index, RaftNode, Term};
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::{Event as NomadEvent, Proposal};
use crate::protocol::scheduler::server::Server;
use crate::protocol::scheduler::state::State;
use crate::world::atlas::Atlas;
use crate::world::consul_server::subject;
use crate::world::entry::NomadEntry;
use crate::world::event::{Event, Pool};
use crate::world::member::{Call, Mood, PoolMember};
use crate::world::pilot::{Pilot, standings};
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::via::{Via, hear_out, unwrap};
use crate::world::wire::{Alarm, Wire};

/// A Nomad server.
#[derive(Debug, Clone)]
pub struct NomadServer {
    region: RegionId,
    atlas: Arc<Atlas>,
    raft: RaftNode<NomadEntry>,
    serf: PoolMember,
    server: Server<Decision>,
    /// Entries under way in the log, by place.
    proposed: OrdMap<(Term, Index), Proposal>,
    raft_events: Vec<raft::Event<NomadEntry>>,
    serf_events: Vec<serf::Event>,
    server_events: Vec<NomadEvent>,
    pilot: Pilot,
}

/// Raft writes; the server computes.
const RAFT: u64 = 0;
const SERVER: u64 = 3;

impl NomadServer {
    /// A server that has not started.
    pub fn new(
        atlas: &Arc<Atlas>,
        region: RegionId,
        raft: RaftNode<NomadEntry>,
        serf: Serf,
        server: Server<Decision>,
        admission: Admission,
    ) -> Self {
        Self {
            region,
            atlas: Arc::clone(atlas),
            raft,
            serf: PoolMember::new(serf),
            server,
            proposed: OrdMap::new(),
            raft_events: Vec::new(),
            serf_events: Vec::new(),
            server_events: Vec::new(),
            pilot: Pilot::new(admission),
        }
    }

    /// The term it leads, if it does.
    pub fn leads_term(&self) -> Option<Term> {
        self.raft.is_leader().then(|| self.raft.term())
    }

    /// The servers of its Raft group, as it knows them.
    pub fn configuration(&self) -> &Configuration {
        self.raft.configuration()
    }

    /// Its replica of the region's state.
    pub fn state(&self) -> &State {
        self.server.state()
    }

    /// Hands leadership to another server, if this one leads and the other can take it.
    pub fn transfer(&mut self, now: Time, to: ProcessId, fx: &mut impl Fx<Process>) -> bool {
        let done = self.raft.transfer(now, Some(to), &mut raft_via(fx, &mut self.raft_events)).is_ok();
        self.settle(now, fx);
        done
    }

    /// Reacts to one input.
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        match input {
            Input::Start => {
                self.raft.handle(now, Input::Start, &mut raft_via(fx, &mut self.raft_events));
                self.gossip(now, Input::Start, fx);
                self.server.handle(now, Input::Start, &mut server_via(fx, &mut self.server_events));
                self.meet_peers();
            }
            Input::Message { from, msg: Wire::NomadRaft(msg) } => {
                self.raft.handle(now, Input::Message { from, msg }, &mut raft_via(fx, &mut self.raft_events));
            }
            Input::Message { from, msg: Wire::NomadSerf(msg) } => {
                self.gossip(now, Input::Message { from, msg }, fx);
            }
            Input::Message { from, msg: Wire::Nomad(msg) } => {
                self.server.handle(now, Input::Message { from, msg }, &mut server_via(fx, &mut self.server_events));
            }
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to a Nomad server"),
            Input::Refused { to } => {
                self.raft.handle(now, Input::Refused { to }, &mut raft_via(fx, &mut self.raft_events));
                self.gossip(now, Input::Refused { to }, fx);
                self.server.handle(now, Input::Refused { to }, &mut server_via(fx, &mut self.server_events));
            }
            Input::Fired(Alarm::Raft(timer)) => {
                self.raft.handle(now, Input::Fired(timer), &mut raft_via(fx, &mut self.raft_events));
            }
            Input::Fired(Alarm::Serf(timer)) => {
                self.gossip(now, Input::Fired(timer), fx);
            }
            Input::Fired(Alarm::Nomad(timer)) => {
                self.server.handle(now, Input::Fired(timer), &mut server_via(fx, &mut self.server_events));
            }
            Input::Fired(alarm) => unreachable!("a Nomad server does not set {alarm:?}"),
            Input::Done(token) => match unwrap(token) {
                (token, RAFT) => {
                    self.raft.handle(now, Input::Done(token), &mut raft_via(fx, &mut self.raft_events));
                }
                (token, _) => {
                    self.server.handle(now, Input::Done(token), &mut server_via(fx, &mut self.server_events));
                }
            },
        }
        self.settle(now, fx);
    }

    /// The process died.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        let lost = Kept { lost: kept.lost.iter().map(|&token| unwrap(token).0).collect() };
        self.raft.reboot(now, &lost);
        self.serf.reboot(now, &Kept::default());
        self.server.reboot(now, &Kept::default());
        self.proposed.clear();
        self.pilot.rest();
    }

    /// It as a member of its pool.
    pub fn member(&self) -> &PoolMember {
        &self.serf
    }

    /// Its pool becomes calm, or no longer is.
    pub fn tell_member(&mut self, now: Time, call: Call, fx: &mut impl Fx<Process>) {
        self.serf.follow(now, call, &mut serf_via(fx, &mut self.serf_events));
    }

    fn gossip(&mut self, now: Time, input: Input<Msg, serf::Timer>, fx: &mut impl Fx<Process>) {
        if self.serf.handle(now, input, &mut serf_via(fx, &mut self.serf_events)) == Mood::Stirred {
            fx.emit(Event::Stirred(Pool::NomadWan));
        }
    }

    /// Lets the parts hear of each other until none has anything more to say.
    fn settle(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.change_members(now, fx);
        while hear_out(self, |p| &mut p.raft_events, |p, event| p.on_raft(now, event, fx))
            || hear_out(self, |p| &mut p.serf_events, |p, event| p.on_serf(now, event, fx))
            || hear_out(self, |p| &mut p.server_events, |p, event| p.on_server(now, event, fx))
        {}
    }

    fn on_raft(&mut self, now: Time, event: raft::Event<NomadEntry>, fx: &mut impl Fx<Process>) {
        if matches!(event, raft::Event::SnapshotDue) {
            let state = self.server.state().clone();
            let bytes = u32::try_from(state.index()).unwrap_or(u32::MAX).saturating_mul(64);
            self.raft.snapshot_taken(state, bytes, &mut raft_via(fx, &mut self.raft_events));
        }
        self.tell_server(now, &event, fx);
        fx.emit(Event::NomadRaft(event));
    }

    fn tell_server(&mut self, now: Time, event: &raft::Event<NomadEntry>, fx: &mut impl Fx<Process>) {
        let server_fx = &mut server_via(fx, &mut self.server_events);
        match event {
            raft::Event::Apply { index, term, hash, entry } => {
                let proposal = self.proposed.remove(&(*term, *index));
                let command = &entry.0;
                let replicas = (self.atlas.routine == Routine::Counted).then_some(&self.atlas.replicas);
                if let Some((state, applied)) = replicas.and_then(|it| it.find(self.region, *hash, command)) {
                    self.server.adopt(now, proposal, command, state, &applied, server_fx);
                } else {
                    let applied = self.server.applied(now, index.0, proposal, command, server_fx);
                    if let Some(replicas) = replicas {
                        replicas.keep(self.region, *hash, command, self.server.state(), applied);
                    }
                }
            }
            raft::Event::LeadershipGained { .. } => self.server.leadership_gained(now, server_fx),
            raft::Event::LeadershipLost { .. } => {
                self.proposed.clear();
                self.pilot.rest();
                self.server.leadership_lost(now, server_fx);
            }
            raft::Event::LeaderChanged { leader } => self.server.leader_known(*leader),
            raft::Event::Restore { snapshot } => self.server.install(now, snapshot.state.clone(), server_fx),
            raft::Event::SnapshotDue
            | raft::Event::StateChanged { .. }
            | raft::Event::TermChanged { .. }
            | raft::Event::VoteGranted { .. }
            | raft::Event::Appended { .. }
            | raft::Event::Truncated { .. }
            | raft::Event::Committed { .. }
            | raft::Event::Passed { .. }
            | raft::Event::Verified { .. }
            | raft::Event::TransferStarted { .. }
            | raft::Event::TransferFailed
            | raft::Event::SnapshotStored { .. }
            | raft::Event::ConfigurationChanged { .. } => {}
        }
    }

    fn on_serf(&mut self, now: Time, event: serf::Event, fx: &mut impl Fx<Process>) {
        if let Some(member) = subject(&event) {
            self.meet_peers();
            self.reconcile(now, Some(member), fx);
        }
        if let Some(event) = Event::gossip(Pool::NomadWan, event) {
            fx.emit(event);
        }
    }

    fn on_server(&mut self, now: Time, event: NomadEvent, fx: &mut impl Fx<Process>) {
        if event == NomadEvent::AutopilotDue {
            self.look_at_servers(now, fx);
        } else if let NomadEvent::Propose { proposal, command } = event {
            let entry = NomadEntry(command);
            let place = self.raft.propose(now, entry, &mut raft_via(fx, &mut self.raft_events));
            match place {
                Ok(place) => {
                    self.proposed.insert(place, proposal);
                }
                Err(_) => {
                    self.server.propose_failed(now, proposal, &mut server_via(fx, &mut self.server_events));
                }
            }
        } else {
            if matches!(event, NomadEvent::LeaderEstablished { .. }) {
                self.reconcile(now, None, fx);
            }
            if event == NomadEvent::StepDown {
                // Nobody to hand over to: the leader stays, and tries again.
                let _ = self.raft.transfer(now, None, &mut raft_via(fx, &mut self.raft_events));
            }
            fx.emit(Event::Nomad { region: self.region, event });
        }
    }

    // Autopilot.

    fn standings(&self) -> OrdMap<ProcessId, Standing> {
        let here = |machine| self.atlas.region(machine) == self.region;
        standings(self.serf.serf(), |address| self.atlas.machine(address).is_some_and(here))
    }

    /// Raft's servers follow Serf's members: one of them, or all.
    fn reconcile(&mut self, now: Time, member: Option<ProcessId>, fx: &mut impl Fx<Process>) {
        if self.server.is_ready() {
            let standings = self.standings();
            self.pilot.follow(&self.raft, &standings, member);
            self.change_members(now, fx);
        }
    }

    fn look_at_servers(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        let mut pilot = std::mem::replace(&mut self.pilot, Pilot::new(Admission::Voter));
        let leaving = pilot.look(now, &self.raft, || self.standings());
        self.pilot = pilot;
        for id in leaving {
            let Some(member) = self.serf.serf().directory().member(id) else { continue };
            if self.serf.force_leave(now, member, &mut serf_via(fx, &mut self.serf_events)) == Mood::Stirred {
                fx.emit(Event::Stirred(Pool::NomadWan));
            }
        }
        self.change_members(now, fx);
    }

    fn change_members(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        self.pilot.carry_out(now, &mut self.raft, &mut raft_via(fx, &mut self.raft_events));
    }

    /// The servers Serf takes for alive, by region (Nomad 1.6.5 drops failed ones from its tables).
    fn meet_peers(&mut self) {
        let mut peers: OrdMap<RegionId, Vec<ProcessId>> = OrdMap::new();
        for (_, address, status) in self.serf.serf().members() {
            if status == Status::Alive
                && let Some(machine) = self.atlas.machine(address)
            {
                peers.entry(self.atlas.region(machine)).or_default().push(address);
            }
        }
        peers.values_mut().for_each(|servers| servers.sort_unstable());
        self.server.peers_changed(peers);
    }
}

fn raft_via<'a>(
    fx: &'a mut impl Fx<Process>,
    events: &'a mut Vec<raft::Event<NomadEntry>>,
) -> impl Fx<RaftNode<NomadEntry>> {
    Via { fx, events, wire: Wire::NomadRaft, alarm: Alarm::Raft, lane: RAFT }
}

fn serf_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<serf::Event>) -> impl Fx<Serf> {
    Via { fx, events, wire: Wire::NomadSerf, alarm: Alarm::Serf, lane: 1 }
}

fn server_via<'a>(fx: &'a mut impl Fx<Process>, events: &'a mut Vec<NomadEvent>) -> impl Fx<Server<Decision>> {
    Via { fx, events, wire: Wire::Nomad, alarm: Alarm::Nomad, lane: SERVER }
}
