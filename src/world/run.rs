//! A world in motion: the engine, the timeline, and whoever listens.

use std::sync::Arc;

use crate::base::id::{HostId, Id, ProcessId};
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::sim::engine::{Engine, Livelock, Observer};
use crate::sim::trace::Cause;
use crate::world::atlas::Atlas;
use crate::world::build::{Built, build};
use crate::world::calm::{LOOK_EVERY, WatchedPool, watched_pools};
use crate::world::chronicle::Chronicle;
use crate::world::event::{Event, Notice, Pool};
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::spec::{EntryId, MachineId, WorldSpec};
use crate::world::timeline::Standing;
use crate::world::upcoming::Upcoming;
use crate::world::way_back::Answer;

/// Whoever listens to a world.
pub trait Witness {
    /// Something happened, in the world's words.
    fn notice(&mut self, at: Time, notice: &Notice);

    /// A process said this, in its protocol's words. Told before the notices it amounts to.
    fn event(&mut self, at: Time, process: ProcessId, event: &Event) {
        let _ = (at, process, event);
    }
}

/// A world.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) atlas: Arc<Atlas>,
    pub(super) engine: Engine<Process>,
    pub(super) balancer_hosts: Vec<HostId>,
    pub(super) chronicle: Chronicle,
    pub(super) agenda: OrdSet<(Time, Step)>,
    /// Gossip pools that may rest.
    pub(super) pools: Vec<WatchedPool>,
    /// Pools that have just stirred in their rest.
    pub(super) stirred: Vec<Pool>,
    /// Responses that have just left their instances.
    pub(super) answers: Vec<Answer>,
    /// Ends of requests that are known and yet to be told: who tells them, and how.
    pub(super) ahead: Upcoming<(ProcessId, Event)>,
    /// What to take back when an entry ends.
    pub(super) standing: Vec<Option<Standing>>,
}

/// Something the world does by itself, in this order when several fall on one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Leadership is moved to where the scenario pinned it.
    Pin,
    /// An entry of the timeline ends.
    End(EntryId),
    /// An entry of the timeline strikes.
    Begin(EntryId),
    /// Pools are looked at, whether they are calm.
    Look,
}

/// From when on, and how often, pinned leadership is looked after, until the warm-up ends.
const PIN_FROM: Duration = Duration::from_secs(12);
const PIN_EVERY: Duration = Duration::from_secs(2);

impl World {
    /// A world at time zero.
    pub fn new(spec: &Arc<WorldSpec>, seed: u64) -> Self {
        Self::with(spec, seed, Routine::Counted)
    }

    /// The same, with or without counting what is bound to come out as it does. Only random delays on the way tell the
    /// two apart, so one is the test of the other.
    pub fn with(spec: &Arc<WorldSpec>, seed: u64, routine: Routine) -> Self {
        let mut atlas = Atlas::new(spec, seed);
        atlas.routine = routine;
        Self::of(atlas)
    }

    /// The same world as [`World::new`]'s, whose schedulers also say why they place as they do
    /// ([`Notice::Explained`]).
    pub fn explaining(spec: &Arc<WorldSpec>, seed: u64) -> Self {
        let mut atlas = Atlas::new(spec, seed);
        atlas.explains = true;
        Self::of(atlas)
    }

    fn of(atlas: Atlas) -> Self {
        let atlas = Arc::new(atlas);
        let spec = &atlas.spec;
        let Built { engine, balancer_hosts } = build(&atlas);
        let mut agenda = OrdSet::new();
        for (id, entry) in spec.timeline.iter() {
            // Nobody is there to be struck before the first event.
            agenda.insert((entry.at.max(Time::from_nanos(1)), Step::Begin(id)));
            agenda.extend(entry.lasts.map(|lasts| (entry.at + lasts, Step::End(id))));
        }
        let pins = |region: &crate::world::spec::RegionSpec| {
            region.first_nomad_leader.is_some() || region.first_consul_leader.is_some()
        };
        if spec.regions.iter().any(|(_, region)| pins(region)) {
            agenda.insert((Time::ZERO + PIN_FROM, Step::Pin));
        }
        let standing = spec.timeline.iter().map(|_| None).collect();
        let chronicle = Chronicle::new(&atlas);
        let pools = watched_pools(&atlas);
        if !pools.is_empty() {
            agenda.insert((Time::ZERO + LOOK_EVERY, Step::Look));
        }
        let (stirred, answers, ahead) = (Vec::new(), Vec::new(), Upcoming::new());
        let mut world =
            Self { atlas, engine, balancer_hosts, chronicle, agenda, pools, stirred, answers, ahead, standing };
        world.begin_calm();
        world
    }

    /// The present.
    pub fn now(&self) -> Time {
        self.engine.now()
    }

    /// Events handled so far.
    pub fn events(&self) -> u64 {
        self.engine.events()
    }

    /// Digest of everything so far.
    pub fn digest(&self) -> u64 {
        self.engine.digest()
    }

    /// Who is who in it.
    pub fn atlas(&self) -> &Arc<Atlas> {
        &self.atlas
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine<Process> {
        &self.engine
    }

    /// The engine, to trace it.
    pub fn engine_mut(&mut self) -> &mut Engine<Process> {
        &mut self.engine
    }

    /// Lets time pass until `until`.
    pub fn advance(&mut self, until: Time, witness: &mut dyn Witness) -> Result<(), Livelock> {
        loop {
            let due = self.agenda.first().copied().filter(|(at, _)| *at < until);
            if !self.run_until(due.map_or(until, |(at, _)| at), witness)? {
                continue;
            }
            let Some((at, step)) = due else { return Ok(()) };
            self.agenda.pop_first();
            match step {
                Step::Begin(entry) => self.begin(entry, witness),
                Step::End(entry) => self.end(entry, witness),
                Step::Pin => self.pin(at, witness),
                Step::Look => self.look(at, witness),
            }
        }
    }

    /// Handles what happens before `until`. False if a pool has stirred: it has been woken, and the agenda has changed.
    fn run_until(&mut self, until: Time, witness: &mut dyn Witness) -> Result<bool, Livelock> {
        let strikes = self.next_strike();
        loop {
            let ear = &mut ear!(self, witness);
            let mut goes_on = true;
            while goes_on && ear.stirred.is_empty() && ear.answers.is_empty() {
                goes_on = self.engine.step(until, ear)?;
            }
            self.send_back(strikes, witness);
            if !self.stirred.is_empty() {
                self.wake_stirred(witness);
                return Ok(false);
            }
            if !goes_on {
                let ear = &mut ear!(self, witness);
                self.engine.run_until(until, ear)?;
                ear.catch_up(Time::from_nanos(until.as_nanos().saturating_sub(1)));
                return Ok(true);
            }
        }
    }

    /// Moves leadership to where the scenario wants it to begin.
    fn pin(&mut self, at: Time, witness: &mut dyn Witness) {
        let atlas = Arc::clone(&self.atlas);
        for (_, region) in atlas.spec.regions.iter() {
            for (wanted, servers) in
                [(region.first_nomad_leader, &region.nomad), (region.first_consul_leader, &region.consul)]
            {
                if let (Some(wanted), Some(leader)) = (wanted, self.leader_among(servers))
                    && leader != wanted
                {
                    self.transfer(leader, wanted, witness);
                }
            }
        }
        let next = at + PIN_EVERY;
        if next < Time::ZERO + atlas.spec.warmup {
            self.agenda.insert((next, Step::Pin));
        }
    }

    fn transfer(&mut self, from: MachineId, to: MachineId, witness: &mut dyn Witness) {
        let (from, to) = (self.atlas.processes[from].main, self.atlas.processes[to].main);
        let ear = &mut ear!(self, witness);
        self.engine.with(from, ear, |process, now, fx| match process {
            Process::NomadServer(server) => server.transfer(now, to, fx),
            Process::ConsulServer(server) => server.transfer(now, to, fx),
            _ => false,
        });
    }

    /// The server that leads, of these; the one of the highest term if several think so.
    pub(super) fn leader_among(&self, servers: &[MachineId]) -> Option<MachineId> {
        let term = |machine: MachineId| {
            let process = self.atlas.processes[machine].main;
            if !self.engine.is_running(process) {
                return None;
            }
            match self.engine.process(process) {
                Process::NomadServer(server) => server.leads_term(),
                Process::ConsulServer(server) => server.leads_term(),
                _ => None,
            }
        };
        servers.iter().copied().filter_map(|machine| Some((term(machine)?, machine))).max().map(|(_, machine)| machine)
    }

    /// The host of a machine.
    pub(super) fn host(machine: MachineId) -> HostId {
        HostId::from_index(machine.index())
    }

    /// Requests that have not ended, by source.
    pub fn open_requests(&self) -> usize {
        let open = |source: &ProcessId| match self.engine.process(*source) {
            Process::Users(users) => users.open(),
            _ => 0,
        };
        self.atlas.sources.iter().map(open).sum::<usize>() + self.ahead.len()
    }
}

/// Where two runs of one scenario part ways, as a range of event numbers; `None` if their checkpoints agree.
pub fn first_difference(a: &World, b: &World) -> Option<std::ops::Range<u64>> {
    crate::sim::digest::first_difference(a.engine.checkpoints(), b.engine.checkpoints())
}

/// Carries what processes emit to the chronicle and the witness.
///
/// One type for every witness: what hangs on it is the whole of every protocol, which should be compiled once.
pub(super) struct Ear<'a> {
    pub(super) chronicle: &'a mut Chronicle,
    pub(super) stirred: &'a mut Vec<Pool>,
    pub(super) answers: &'a mut Vec<Answer>,
    pub(super) ahead: &'a mut Upcoming<(ProcessId, Event)>,
    pub(super) witness: &'a mut dyn Witness,
}

/// The ear of a world, while the rest of it is used otherwise.
macro_rules! ear {
    ($world:ident, $witness:ident) => {
        $crate::world::run::Ear {
            chronicle: &mut $world.chronicle,
            stirred: &mut $world.stirred,
            answers: &mut $world.answers,
            ahead: &mut $world.ahead,
            witness: $witness,
        }
    };
}
pub(super) use ear;

impl Ear<'_> {
    /// Tells what was known ahead and has happened by `now`.
    #[inline(never)]
    fn catch_up(&mut self, now: Time) {
        while let Some((at, (process, event))) = self.ahead.pop(now) {
            self.tell(at, process, &event);
        }
    }

    #[inline(never)]
    fn tell(&mut self, at: Time, process: ProcessId, event: &Event) {
        self.witness.event(at, process, event);
        let witness = &mut *self.witness;
        self.chronicle.read(at, process, event, &mut |notice| witness.notice(at, notice));
    }
}

impl Observer<Process> for Ear<'_> {
    fn observe(&mut self, at: Time, process: ProcessId, cause: Cause, event: &Event) {
        match *event {
            Event::Stirred(pool) => return self.stirred.push(pool),
            Event::Answered { to, exchange, status } => {
                return self.answers.push(Answer { from: process, to, exchange, status, cause });
            }
            _ => {}
        }
        if self.ahead.is_due(at) {
            self.catch_up(at);
        }
        self.tell(at, process, event);
    }
}
