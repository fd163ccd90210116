//! Where a world is calm enough for its routine to be counted.
//!
//! Checks: when an entry of the timeline strikes or ends, every machine is looked at ([`crate::world::checks`]).
//!
//! A pool is calm while everybody whom a member takes for alive runs, no rule may speak of messages among its members,
//! and no member [has anything to say or to find out](Swim::is_calm). It is looked at once a second until it has been
//! calm for some seconds; then its members rest ([`crate::world::member`]), and nobody looks any more. They wake, all
//! of them at that very instant, before an entry of the timeline kills, pauses, cuts off or revives anybody, and as
//! soon as one of them has something to say. That is the one thing here that no message carries: the world hears of it
//! from the member and tells the others between two events. Pools whose links lose packets never rest.
//!
//! [`Swim::is_calm`]: crate::protocol::gossip::swim::Swim::is_calm

use std::mem;

use crate::base::id::{Id, ProcessId};
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::members::State;
use crate::sim::trace::Cause;
use crate::world::atlas::Atlas;
use crate::world::checks::Checks;
use crate::world::event::Pool;
use crate::world::member::{Call, PoolMember};
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::run::{Step, Witness, World, ear};
use crate::world::spec::{LinkSpec, MachineId, RegionSpec};

/// A pool, and how long it has been calm.
#[derive(Debug, Clone)]
pub(super) struct WatchedPool {
    pool: Pool,
    members: Vec<ProcessId>,
    /// Looks in a row that found it calm; `None` while its members rest.
    calm_looks: Option<u32>,
}

/// Time between two looks at a pool that does not rest.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A pool rests once so many looks in a row have found it calm: longer than a rumour is under way, and not long beside
/// the noise that any fault makes.
const CALM_LOOKS: u32 = 5;

/// The pools of a world that may rest.
pub(super) fn watched_pools(atlas: &Atlas) -> Vec<WatchedPool> {
    let spec = &atlas.spec;
    let network = &spec.network;
    let loses = |link: &LinkSpec| link.loss.get() > 0.0;
    if atlas.routine == Routine::Simulated || loses(&network.same_zone) || loses(&network.same_region) {
        return Vec::new();
    }
    let watched = |pool, members| WatchedPool { pool, members, calm_looks: Some(0) };
    let lan = spec.regions.iter().map(|(id, region)| {
        let machines = region.nomad.iter().chain(&region.consul).chain(&region.clients);
        watched(Pool::ConsulLan(id), machines.filter_map(|&machine| atlas.processes[machine].agent).collect())
    });
    let mut pools: Vec<WatchedPool> = lan.collect();
    let rows = network.between_regions.iter().enumerate();
    let mut pairs = rows.flat_map(|(from, row)| row.iter().enumerate().filter(move |(to, _)| *to != from));
    if !pairs.any(|(_, link)| loses(link)) {
        let everywhere = |servers: fn(&RegionSpec) -> &[MachineId]| {
            spec.regions.iter().flat_map(|(_, region)| atlas.mains(servers(region))).collect()
        };
        pools.push(watched(Pool::ConsulWan, everywhere(|region| &region.consul)));
        pools.push(watched(Pool::NomadWan, everywhere(|region| &region.nomad)));
    }
    pools
}

impl World {
    /// Something is about to strike these machines: what is counted on them is carried out from this instant on.
    pub(super) fn brace(&mut self, machines: &[MachineId], cause: Cause, witness: &mut dyn Witness) {
        for &machine in machines {
            self.disturb_checks(machine, cause, witness);
        }
    }

    /// It has struck, or is over: only where something lasts is all carried out.
    pub(super) fn take_stock(&mut self, cause: Cause, witness: &mut dyn Witness) {
        for machine in (0..self.atlas.processes.len()).map(MachineId::from_index) {
            if self.is_disturbed(machine) {
                self.disturb_checks(machine, cause, witness);
            } else if let Some(checks) = self.checks(machine) {
                checks.settle();
            }
        }
    }

    /// Nothing has happened yet.
    pub(super) fn begin_calm(&mut self) {
        for machine in (0..self.atlas.processes.len()).map(MachineId::from_index) {
            if !self.is_disturbed(machine)
                && let Some(checks) = self.checks(machine)
            {
                checks.settle();
            }
        }
    }

    /// Whether something that lasts may change what the checks on a machine are answered, or when.
    fn is_disturbed(&self, machine: MachineId) -> bool {
        let processes = self.atlas.processes[machine];
        let (Some(agent), Some(runtime)) = (processes.agent, processes.runtime) else { return true };
        let pair = [agent, runtime];
        self.atlas.routine == Routine::Simulated
            || self.atlas.spec.network.same_host.loss.get() > 0.0
            || pair.iter().any(|&process| self.engine.is_paused(process))
            || matches!(self.engine.process(runtime), Process::Runtime(runtime) if runtime.has_paused())
            || self.engine.rules_touch(&pair)
    }

    fn disturb_checks(&mut self, machine: MachineId, cause: Cause, witness: &mut dyn Witness) {
        let Some(agent) = self.atlas.processes[machine].agent else { return };
        let Some(checks) = self.checks(machine) else { return };
        checks.disturb();
        // An agent that is paused was woken before, one that is dead has no alarms.
        let ear = &mut ear!(self, witness);
        self.engine.with_cause(agent, cause, ear, |process, now, fx| {
            if let Process::ConsulAgent(agent) = process {
                agent.wake_checks(now, fx);
            }
        });
    }

    /// A look at every pool that does not rest.
    pub(super) fn look(&mut self, at: Time, witness: &mut dyn Witness) {
        for place in 0..self.pools.len() {
            let Some(looks) = self.pools[place].calm_looks else { continue };
            let calm = self.is_calm(&self.pools[place]);
            self.pools[place].calm_looks = match looks + 1 {
                _ if !calm => Some(0),
                CALM_LOOKS => None,
                looks => Some(looks),
            };
            if self.pools[place].calm_looks.is_none() {
                self.tell_members(place, Call::Doze, Cause::START, witness);
            }
        }
        if self.pools.iter().any(|watched| watched.calm_looks.is_some()) {
            self.agenda.insert((at + LOOK_EVERY, Step::Look));
        }
    }

    /// Somebody is about to die, to pause, to come back, or to be out of reach.
    pub(super) fn wake_pools(&mut self, cause: Cause, witness: &mut dyn Witness) {
        for place in 0..self.pools.len() {
            self.wake_pool(place, cause, witness);
        }
    }

    /// Members at rest had something to say.
    pub(super) fn wake_stirred(&mut self, witness: &mut dyn Witness) {
        for pool in mem::take(&mut self.stirred) {
            if let Some(place) = self.pools.iter().position(|watched| watched.pool == pool) {
                self.wake_pool(place, Cause::START, witness);
            }
        }
    }

    fn wake_pool(&mut self, place: usize, cause: Cause, witness: &mut dyn Witness) {
        if self.pools[place].calm_looks.replace(0).is_none() {
            self.tell_members(place, Call::Wake, cause, witness);
            // All pools share one row of looks.
            let looks = self.now().as_nanos() / LOOK_EVERY.as_nanos();
            self.agenda.insert((Time::ZERO + LOOK_EVERY * (looks + 1), Step::Look));
        }
    }

    fn tell_members(&mut self, place: usize, call: Call, cause: Cause, witness: &mut dyn Witness) {
        let WatchedPool { pool, members, .. } = &self.pools[place];
        let ear = &mut ear!(self, witness);
        for &member in members {
            // Who is dead or paused does not rest.
            self.engine.with_cause(member, cause, ear, |process, now, fx| process.tell_member(now, *pool, call, fx));
        }
    }

    fn is_calm(&self, watched: &WatchedPool) -> bool {
        let WatchedPool { pool, members, .. } = watched;
        let runs = |member: ProcessId| self.engine.is_running(member) && !self.engine.is_paused(member);
        let (present, absent): (Vec<ProcessId>, Vec<ProcessId>) = members.iter().partition(|&&member| runs(member));
        let content = |member: &PoolMember| {
            let swim = member.serf().swim();
            let believes_in = |gone: &ProcessId| {
                let entry = swim.directory().member(*gone).map(|gone| swim.entry(gone));
                entry.is_some_and(|entry| matches!(entry.state, State::Alive | State::Suspect))
            };
            swim.is_calm() && !absent.iter().any(believes_in)
        };
        present.iter().all(|&process| self.engine.process(process).member(*pool).is_none_or(content))
            && !self.engine.rules_touch(members)
    }

    fn checks(&mut self, machine: MachineId) -> Option<&mut Checks> {
        match self.engine.process_mut(self.atlas.processes[machine].agent?) {
            Process::ConsulAgent(agent) => Some(agent.checks_mut()),
            _ => None,
        }
    }
}
