//! What befalls a world: entries of the timeline strike, and are taken back when they end.

use std::sync::Arc;

use crate::base::id::{HostId, Id, ProcessId};
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::model::topology::{RegionId, ZoneId};
use crate::sim::fault::{Degrade, Direction, Rule, RuleId, Selector, Verdict};
use crate::sim::trace::Cause;
use crate::world::event::{Group, Notice, System};
use crate::world::orders;
use crate::world::process::Process;
use crate::world::run::{Witness, World, ear};
use crate::world::spec::{
    Action, Among, Count, Degradation, EntryId, MachineId, MachineRole, NodeDeed, OutageKind, ProcessKind, Side, Target,
};

/// What an entry did that its end takes back.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Processes that are dead.
    Killed(Vec<ProcessId>),
    /// Processes that are paused.
    Paused(Vec<ProcessId>),
    /// Machines and balancers without power.
    Unpowered { machines: Vec<MachineId>, balancers: Vec<usize> },
    /// Rules of the network, and balancers that are cut off.
    Cut { rules: Vec<RuleId>, balancers: Vec<usize> },
    /// Machines with a slow or stalled disk.
    Disk(Vec<MachineId>),
    /// Machines with a slow processor.
    Processor(Vec<MachineId>),
}

impl World {
    /// An entry strikes.
    pub(super) fn begin(&mut self, entry: EntryId, witness: &mut dyn Witness) {
        let atlas = Arc::clone(&self.atlas);
        let action = &atlas.spec.timeline[entry].action;
        let machines = self.hit(entry, action);
        let now = self.now();
        witness.notice(now, &Notice::EntryBegins { entry, machines: machines.as_slice().into() });
        let cause = self.engine.new_cause();
        self.brace(&machines, cause, witness);
        if moves_members(action) {
            self.wake_pools(cause, witness);
        }
        self.standing[entry.index()] = match action {
            Action::ProcessKill(target) => self.kill(&machines, &target.process, cause, witness),
            Action::ProcessPause(target) => {
                let processes = self.processes(&machines, &target.process);
                processes.iter().for_each(|&process| {
                    self.engine.pause(process);
                });
                Some(Standing::Paused(processes))
            }
            Action::ProcessRestart(target) => {
                let killed = self.kill(&machines, &target.process, cause, witness);
                if let Some(Standing::Killed(processes)) = killed {
                    self.restart(&processes, cause, witness);
                }
                None
            }
            Action::NodeCrash(_) => {
                self.unpower(&machines, cause, witness);
                Some(Standing::Unpowered { machines, balancers: Vec::new() })
            }
            Action::ZoneOutage(zone, kind) => {
                let cut = Selector::Zone(zone.0);
                Some(self.outage(machines, self.balancers(|_, z| z == *zone), *kind, cut, cause, witness))
            }
            Action::RegionOutage(region, kind) => {
                let cut = Selector::Region(region.0);
                Some(self.outage(machines, self.balancers(|r, _| r == *region), *kind, cut, cause, witness))
            }
            Action::Partition { from, to, symmetric } => Some(self.rule(entry, from, to, *symmetric, Verdict::Drop)),
            Action::LinkDegrade { from, to, symmetric, change } => {
                Some(self.rule(entry, from, to, *symmetric, Verdict::Degrade(degrade(*change))))
            }
            Action::SlowDisk(_, factor) => {
                for &machine in &machines {
                    if let Some(factor) = factor {
                        self.engine.slow_disk(Self::host(machine), *factor);
                    } else {
                        let lasts = atlas.spec.timeline[entry].lasts;
                        let until = lasts.map_or(Time::NEVER, |lasts| now + lasts);
                        self.engine.stall_disk(Self::host(machine), until);
                    }
                }
                Some(Standing::Disk(machines))
            }
            Action::SlowCpu(_, factor) => {
                self.set_speed(&machines, *factor, witness);
                Some(Standing::Processor(machines))
            }
            // The operators have these in their own plan.
            Action::RegisterJob { .. } | Action::ScaleJob { .. } | Action::StopJob { .. } | Action::Order { .. } => {
                None
            }
            Action::Nodes { deed, .. } => {
                self.ask_operators(&machines, (&atlas.spec.timeline[entry].label, *deed), cause, witness);
                None
            }
        };
        self.take_stock(cause, witness);
    }

    /// An entry is over.
    pub(super) fn end(&mut self, entry: EntryId, witness: &mut dyn Witness) {
        let cause = self.engine.new_cause();
        let now = self.now();
        if moves_members(&Arc::clone(&self.atlas).spec.timeline[entry].action) {
            self.wake_pools(cause, witness);
        }
        match self.standing[entry.index()].take() {
            None => {}
            Some(Standing::Killed(mut processes)) => {
                self.leave_to_others(&mut processes, |standing| match standing {
                    Standing::Killed(processes) => processes,
                    _ => &[],
                });
                self.restart(&processes, cause, witness);
            }
            Some(Standing::Paused(mut processes)) => {
                self.leave_to_others(&mut processes, |standing| match standing {
                    Standing::Paused(processes) => processes,
                    _ => &[],
                });
                for process in processes {
                    self.engine.resume(process);
                }
            }
            Some(Standing::Unpowered { mut machines, mut balancers }) => {
                self.leave_to_others(&mut machines, |standing| match standing {
                    Standing::Unpowered { machines, .. } => machines,
                    _ => &[],
                });
                self.leave_to_others(&mut balancers, |standing| match standing {
                    Standing::Unpowered { balancers, .. } => balancers,
                    _ => &[],
                });
                for &machine in &machines {
                    self.engine.boot_host(Self::host(machine), cause);
                    witness.notice(now, &Notice::Power { machine, up: true });
                }
                for &balancer in &balancers {
                    self.engine.boot_host(self.balancer_hosts[balancer], cause);
                }
                self.tell_users_of_return(balancers);
            }
            Some(Standing::Cut { rules, balancers }) => {
                for rule in rules {
                    self.engine.remove_rule(rule);
                }
                self.tell_users_of_return(balancers);
            }
            Some(Standing::Disk(machines)) => {
                for machine in machines {
                    let factor = self.left_factor(|action, standing| match (action, standing) {
                        (Action::SlowDisk(_, factor), Standing::Disk(slow)) if slow.contains(&machine) => *factor,
                        _ => None,
                    });
                    self.engine.slow_disk(Self::host(machine), factor);
                }
            }
            Some(Standing::Processor(machines)) => {
                for machine in machines {
                    let factor = self.left_factor(|action, standing| match (action, standing) {
                        (Action::SlowCpu(_, factor), Standing::Processor(slow)) if slow.contains(&machine) => {
                            Some(*factor)
                        }
                        _ => None,
                    });
                    self.set_speed(&[machine], factor, witness);
                }
            }
        }
        self.take_stock(cause, witness);
        witness.notice(now, &Notice::EntryEnds { entry });
    }

    /// Drops what another entry holds in the same way: it stays as it is until that one ends, too.
    fn leave_to_others<T: PartialEq>(&self, items: &mut Vec<T>, held: impl Fn(&Standing) -> &[T]) {
        items.retain(|item| !self.standing.iter().flatten().any(|standing| held(standing).contains(item)));
    }

    /// How much slower the last of the entries that still stand makes something; 1 if there is none.
    fn left_factor(&self, factor: impl Fn(&Action, &Standing) -> Option<f64>) -> f64 {
        let entries = self.atlas.spec.timeline.iter().zip(&self.standing);
        let factors = entries.filter_map(|((_, entry), standing)| factor(&entry.action, standing.as_ref()?));
        factors.last().unwrap_or(1.0)
    }

    /// Balancers are back, as far as no other entry keeps them away.
    fn tell_users_of_return(&mut self, mut balancers: Vec<usize>) {
        self.leave_to_others(&mut balancers, |standing| match standing {
            Standing::Unpowered { balancers, .. } | Standing::Cut { balancers, .. } => balancers,
            _ => &[],
        });
        self.tell_users(&balancers, true);
    }

    /// The machines an entry hits now, ascending.
    fn hit(&self, entry: EntryId, action: &Action) -> Vec<MachineId> {
        let mut machines = match action {
            Action::ProcessKill(target)
            | Action::ProcessPause(target)
            | Action::ProcessRestart(target)
            | Action::NodeCrash(target)
            | Action::SlowDisk(target, _)
            | Action::SlowCpu(target, _)
            | Action::Nodes { target, .. } => self.choose(entry, target),
            Action::ZoneOutage(zone, _) => self.side(entry, &Side::Zone(*zone)),
            Action::RegionOutage(region, _) => self.side(entry, &Side::Region(*region)),
            Action::Partition { from, to, .. } | Action::LinkDegrade { from, to, .. } => match from {
                Side::Rest => self.side(entry, to),
                from => self.side(entry, from),
            },
            Action::RegisterJob { .. } | Action::ScaleJob { .. } | Action::StopJob { .. } | Action::Order { .. } => {
                Vec::new()
            }
        };
        machines.sort_unstable();
        machines
    }

    fn side(&self, entry: EntryId, side: &Side) -> Vec<MachineId> {
        let all = || self.atlas.spec.machines.iter();
        match side {
            Side::Region(region) => {
                all().map(|(machine, _)| machine).filter(|m| self.atlas.region(*m) == *region).collect()
            }
            Side::Zone(zone) => all().filter(|(_, spec)| spec.zone == *zone).map(|(machine, _)| machine).collect(),
            Side::Machines(target) => self.choose(entry, target),
            Side::Rest => Vec::new(),
        }
    }

    /// The machines a target means now. Random picks are drawn from the seed and the entry's number.
    fn choose(&self, entry: EntryId, target: &Target) -> Vec<MachineId> {
        let mut candidates = self.candidates(&target.among);
        if let Count::Random(count) = target.count {
            let mut rng = Rng::stream(self.atlas.seed, &format!("timeline/{}", entry.0));
            rng.shuffle(&mut candidates);
            candidates.truncate(count as usize);
        }
        candidates
    }

    fn candidates(&self, among: &Among) -> Vec<MachineId> {
        let regions = &self.atlas.spec.regions;
        let others = |servers: &[MachineId]| {
            let leader = self.leader_among(servers);
            servers.iter().copied().filter(|server| Some(*server) != leader).collect()
        };
        match among {
            Among::Machine(machine) => vec![*machine],
            Among::NomadLeader(region) => self.leader_among(&regions[*region].nomad).into_iter().collect(),
            Among::ConsulLeader(region) => self.leader_among(&regions[*region].consul).into_iter().collect(),
            Among::NomadFollowers(region) => others(&regions[*region].nomad),
            Among::ConsulFollowers(region) => others(&regions[*region].consul),
            Among::NomadServers(region) => regions[*region].nomad.clone(),
            Among::ConsulServers(region) => regions[*region].consul.clone(),
            Among::Clients { region, zone, datacenter } => {
                let fits = |machine: &MachineId| {
                    let spec = &self.atlas.spec.machines[*machine];
                    let MachineRole::Client(node) = &spec.role else { return false };
                    zone.is_none_or(|zone| spec.zone == zone)
                        && datacenter.as_ref().is_none_or(|name| **name == *node.datacenter)
                };
                regions[*region].clients.iter().copied().filter(fits).collect()
            }
            Among::JobMachines { region, job } => {
                let runs = |machine: &MachineId| self.runtime_runs(*machine, job);
                regions[*region].clients.iter().copied().filter(runs).collect()
            }
        }
    }

    fn runtime_runs(&self, machine: MachineId, job: &str) -> bool {
        let runtime = self.atlas.processes[machine].runtime;
        runtime.is_some_and(|process| match self.engine.process(process) {
            Process::Runtime(runtime) => self.engine.is_running(process) && runtime.runs(job),
            _ => false,
        })
    }

    fn processes(&self, machines: &[MachineId], kind: &ProcessKind) -> Vec<ProcessId> {
        let of = |machine: &MachineId| {
            let processes = self.atlas.processes[*machine];
            match kind {
                ProcessKind::Main => Some(processes.main),
                ProcessKind::CatalogAgent => processes.agent,
                ProcessKind::Tasks(_) => processes.runtime,
            }
        };
        machines.iter().filter_map(of).collect()
    }

    fn kill(
        &mut self,
        machines: &[MachineId],
        kind: &ProcessKind,
        cause: Cause,
        witness: &mut dyn Witness,
    ) -> Option<Standing> {
        let processes = self.processes(machines, kind);
        if let ProcessKind::Tasks(job) = kind {
            for &process in &processes {
                let ear = &mut ear!(self, witness);
                self.engine.with_cause(process, cause, ear, |process, now, fx| {
                    if let Process::Runtime(runtime) = process {
                        runtime.kill_job(now, job, fx);
                    }
                });
            }
            // The client starts them again by its own rules.
            return None;
        }
        for (&process, &machine) in processes.iter().zip(machines) {
            self.tell_leader_lost(process, machine, witness);
            if self.engine.kill(process, cause) {
                witness.notice(self.now(), &Notice::Process { machine, process, up: false });
            }
        }
        Some(Standing::Killed(processes))
    }

    fn restart(&mut self, processes: &[ProcessId], cause: Cause, witness: &mut dyn Witness) {
        for &process in processes {
            if self.engine.restart(process, cause)
                && let Some(machine) = self.atlas.machine(process)
            {
                witness.notice(self.now(), &Notice::Process { machine, process, up: true });
            }
        }
    }

    /// Operators do something to these nodes, in order.
    fn ask_operators(
        &mut self,
        machines: &[MachineId],
        (label, deed): (&Arc<str>, NodeDeed),
        cause: Cause,
        witness: &mut dyn Witness,
    ) {
        for &machine in machines {
            let Some(node) = self.atlas.node(machine) else { continue };
            let operator = self.atlas.operators[self.atlas.region(machine)];
            let ear = &mut ear!(self, witness);
            self.engine.with_cause(operator, cause, ear, |process, now, fx| {
                if let Process::Operator(operator) = process {
                    operator.ask(now, Arc::clone(label), orders::deed(deed, node), fx);
                }
            });
        }
    }

    fn unpower(&mut self, machines: &[MachineId], cause: Cause, witness: &mut dyn Witness) {
        let now = self.now();
        for &machine in machines {
            self.tell_leader_lost(self.atlas.processes[machine].main, machine, witness);
            self.engine.crash_host(Self::host(machine), cause);
            witness.notice(now, &Notice::Power { machine, up: false });
        }
    }

    /// A leader that dies says nothing itself.
    fn tell_leader_lost(&self, process: ProcessId, machine: MachineId, witness: &mut dyn Witness) {
        let region = self.atlas.region(machine);
        let system = match self.engine.process(process) {
            Process::NomadServer(server) if server.leads_term().is_some() => System::Nomad,
            Process::ConsulServer(server) if server.leads_term().is_some() => System::Consul,
            _ => return,
        };
        if self.engine.is_running(process) {
            let notice = Notice::LeaderLost { group: Group { system, region }, machine };
            witness.notice(self.now(), &notice);
        }
    }

    fn outage(
        &mut self,
        machines: Vec<MachineId>,
        balancers: Vec<usize>,
        kind: OutageKind,
        cut: Selector,
        cause: Cause,
        witness: &mut dyn Witness,
    ) -> Standing {
        self.tell_users(&balancers, false);
        match kind {
            OutageKind::Power => {
                self.unpower(&machines, cause, witness);
                for &balancer in &balancers {
                    self.engine.crash_host(self.balancer_hosts[balancer], cause);
                }
                Standing::Unpowered { machines, balancers }
            }
            OutageKind::Network => {
                let rest = Selector::Not(Box::new(cut.clone()));
                let rule = self.engine.add_rule(Rule::cut(cut, rest));
                Standing::Cut { rules: vec![rule], balancers }
            }
        }
    }

    fn rule(&mut self, entry: EntryId, from: &Side, to: &Side, symmetric: bool, verdict: Verdict) -> Standing {
        let (near, far) = (self.selector(entry, from), self.selector(entry, to));
        let (from, to) = match (near, far) {
            (Some(near), Some(far)) => (near, far),
            (Some(near), None) => (near.clone(), Selector::Not(Box::new(near))),
            (None, Some(far)) => (Selector::Not(Box::new(far.clone())), far),
            (None, None) => (Selector::Any, Selector::Any),
        };
        let direction = if symmetric { Direction::BothWays } else { Direction::OneWay };
        let rule = self.engine.add_rule(Rule { from, to, direction, channel: None, verdict });
        Standing::Cut { rules: vec![rule], balancers: Vec::new() }
    }

    /// Whom a side means; `None` for everybody who is not on the other.
    fn selector(&self, entry: EntryId, side: &Side) -> Option<Selector> {
        match side {
            Side::Region(region) => Some(Selector::Region(region.0)),
            Side::Zone(zone) => Some(Selector::Zone(zone.0)),
            Side::Machines(_) => Some(Selector::hosts(
                self.side(entry, side).into_iter().map(|machine| HostId::from_index(machine.index())),
            )),
            Side::Rest => None,
        }
    }

    fn set_speed(&mut self, machines: &[MachineId], factor: f64, witness: &mut dyn Witness) {
        for &machine in machines {
            self.engine.slow_cpu(Self::host(machine), factor);
            if let Some(runtime) = self.atlas.processes[machine].runtime {
                let ear = &mut ear!(self, witness);
                self.engine.with(runtime, ear, |process, now, fx| {
                    if let Process::Runtime(runtime) = process {
                        runtime.set_speed(now, 1.0 / factor, fx);
                    }
                });
            }
        }
    }

    /// Balancers by their place in the atlas.
    fn balancers(&self, fits: impl Fn(RegionId, ZoneId) -> bool) -> Vec<usize> {
        let all = self.atlas.balancers.iter().enumerate();
        all.filter(|(_, (ingress, zone, _))| fits(self.atlas.spec.ingress[*ingress].region, *zone))
            .map(|(place, _)| place)
            .collect()
    }

    /// The cloud's health checks of the balancers' addresses see what users would.
    fn tell_users(&mut self, balancers: &[usize], works: bool) {
        let now = self.now();
        for &source in &Arc::clone(&self.atlas).sources {
            if let Process::Users(users) = self.engine.process_mut(source) {
                for &balancer in balancers {
                    users.set_in_service(now, self.atlas.balancers[balancer].2, works);
                }
            }
        }
    }
}

/// Whether it kills, pauses, revives or cuts off members of gossip pools, when it strikes or when it ends.
fn moves_members(action: &Action) -> bool {
    match action {
        Action::ProcessKill(target) | Action::ProcessPause(target) | Action::ProcessRestart(target) => {
            !matches!(target.process, ProcessKind::Tasks(_))
        }
        Action::NodeCrash(_)
        | Action::ZoneOutage(..)
        | Action::RegionOutage(..)
        | Action::Partition { .. }
        | Action::LinkDegrade { .. } => true,
        // Gossip neither writes nor computes.
        Action::SlowDisk(..)
        | Action::SlowCpu(..)
        | Action::RegisterJob { .. }
        | Action::ScaleJob { .. }
        | Action::StopJob { .. }
        | Action::Order { .. }
        | Action::Nodes { .. } => false,
    }
}

fn degrade(change: Degradation) -> Degrade {
    Degrade {
        delay: change.delay,
        jitter: change.jitter,
        loss: change.loss.get(),
        duplicate: change.duplicate.get(),
        reorder: change.reorder.get(),
        bandwidth: change.bandwidth,
        ..Degrade::NONE
    }
}
