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
use crate::world::runtime::TaskId;
use crate::world::spec::{
    Action, Among, Count, Degradation, Entry, EntryId, MachineId, MachineRole, NodeDeed, OutageKind, ProcessKind, Side,
    Target,
};

/// What an entry did that its end takes back.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Processes that are dead.
    Killed(Vec<ProcessId>),
    /// Processes that are paused.
    Paused(Vec<ProcessId>),
    /// Tasks that are paused, by the runtime they are in.
    PausedTasks(Vec<(ProcessId, TaskId)>),
    /// Machines and balancers without power.
    Unpowered { machines: Vec<MachineId>, balancers: Vec<usize> },
    /// A rule of the network.
    Cut(RuleId),
    /// Machines with a slow or stalled disk.
    Disk(Vec<MachineId>),
    /// Machines with a slow processor.
    Processor(Vec<MachineId>),
}

impl Standing {
    /// The processes it holds dead.
    fn killed(&self) -> &[ProcessId] {
        match self {
            Self::Killed(processes) => processes,
            _ => &[],
        }
    }
}

/// The targets an entry can have, as its random streams are named.
const TARGET: &str = "target";
const FROM: &str = "from";
const TO: &str = "to";

impl World {
    /// An entry strikes.
    pub(super) fn begin(&mut self, entry: EntryId, witness: &mut dyn Witness) {
        let atlas = Arc::clone(&self.atlas);
        let action = &atlas.spec.timeline[entry].action;
        let machines = self.hit(entry, action);
        let now = self.now();
        let until = atlas.spec.timeline[entry].lasts.map_or(Time::NEVER, |lasts| now + lasts);
        witness.notice(now, &Notice::EntryBegins { entry, machines: machines.as_slice().into() });
        let cause = self.engine.new_cause();
        self.brace(&machines, cause, witness);
        if moves_members(action) {
            self.wake_pools(cause, witness);
        }
        self.standing[entry.index()] = match action {
            Action::ProcessKill(target) => self.kill(&machines, &target.process, cause, witness),
            Action::ProcessPause(Target { process: ProcessKind::Tasks(job), .. }) => {
                Some(self.pause_tasks(&machines, job, cause, witness))
            }
            Action::ProcessPause(target) => {
                let processes = self.processes(&machines, &target.process);
                self.forget_broken_pauses();
                processes.iter().for_each(|&process| {
                    self.engine.pause(process);
                });
                Some(Standing::Paused(processes))
            }
            Action::ProcessRestart(target) => {
                let killed = self.kill(&machines, &target.process, cause, witness);
                if let Some(Standing::Killed(mut processes)) = killed {
                    self.leave_to_others(&mut processes, Standing::killed);
                    self.restart(&processes, cause);
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
            Action::Partition { from, to, symmetric } => Some(self.rule(entry, (from, to), *symmetric, Verdict::Drop)),
            Action::LinkDegrade { from, to, symmetric, change } => {
                Some(self.rule(entry, (from, to), *symmetric, Verdict::Degrade(degrade(*change, until))))
            }
            Action::SlowDisk(_, factor) => {
                for &machine in &machines {
                    if let Some(factor) = factor {
                        self.engine.slow_disk(Self::host(machine), *factor);
                    } else {
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
        self.tell_users();
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
                self.leave_to_others(&mut processes, Standing::killed);
                self.restart(&processes, cause);
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
            Some(Standing::PausedTasks(mut tasks)) => {
                self.leave_to_others(&mut tasks, |standing| match standing {
                    Standing::PausedTasks(tasks) => tasks,
                    _ => &[],
                });
                self.resume_tasks(&tasks, cause, witness);
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
                machines.iter().for_each(|&machine| self.boot(machine, cause, witness));
                for &balancer in &balancers {
                    self.engine.boot_host(self.balancer_hosts[balancer], cause);
                }
            }
            Some(Standing::Cut(rule)) => {
                self.engine.remove_rule(rule);
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
        self.tell_users();
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

    /// A pause ends with what it stopped. What has died since and is back is no longer held by it.
    fn forget_broken_pauses(&mut self) {
        for standing in self.standing.iter_mut().flatten() {
            match standing {
                Standing::Paused(processes) => processes.retain(|process| self.engine.is_paused(*process)),
                Standing::PausedTasks(tasks) => {
                    tasks.retain(|(process, task)| match self.engine.process(*process) {
                        Process::Runtime(runtime) => runtime.is_paused(*task),
                        _ => false,
                    });
                }
                _ => {}
            }
        }
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
            | Action::Nodes { target, .. } => self.choose(entry, target, TARGET),
            Action::ZoneOutage(zone, _) => self.side(entry, &Side::Zone(*zone), TARGET),
            Action::RegionOutage(region, _) => self.side(entry, &Side::Region(*region), TARGET),
            Action::Partition { from, to, .. } | Action::LinkDegrade { from, to, .. } => self.cut_off(entry, from, to),
            Action::RegisterJob { .. } | Action::ScaleJob { .. } | Action::StopJob { .. } | Action::Order { .. } => {
                Vec::new()
            }
        };
        machines.sort_unstable();
        machines.dedup();
        machines
    }

    /// Whom a fault of the links between two sides hits: the machines it aims at, those of both sides if both are
    /// machines, or else the place, `from` before `to`. Where a side is nobody, nothing passes that could suffer.
    fn cut_off(&self, entry: EntryId, from: &Side, to: &Side) -> Vec<MachineId> {
        let mut sides = [(from, FROM), (to, TO)];
        sides.sort_by_key(|(side, _)| match side {
            Side::Machines(_) => 0,
            Side::Region(_) | Side::Zone(_) => 1,
            Side::Rest => 2,
        });
        let [mut first, second] = sides.map(|(side, aim)| self.side(entry, side, aim));
        if first.is_empty() || second.is_empty() && !matches!(sides[1].0, Side::Rest) {
            return Vec::new();
        }
        if let Side::Machines(_) = sides[1].0 {
            first.extend(second);
        }
        first
    }

    fn side(&self, entry: EntryId, side: &Side, aim: &str) -> Vec<MachineId> {
        let all = || self.atlas.spec.machines.iter();
        match side {
            Side::Region(region) => {
                all().map(|(machine, _)| machine).filter(|m| self.atlas.region(*m) == *region).collect()
            }
            Side::Zone(zone) => all().filter(|(_, spec)| spec.zone == *zone).map(|(machine, _)| machine).collect(),
            Side::Machines(target) => self.choose(entry, target, aim),
            Side::Rest => Vec::new(),
        }
    }

    /// The machines a target means now. `aim` says which target of the entry it is.
    fn choose(&self, entry: EntryId, target: &Target, aim: &str) -> Vec<MachineId> {
        let mut candidates = self.candidates(&target.among);
        if let ProcessKind::Tasks(job) = &target.process {
            candidates.retain(|machine| self.runtime_runs(*machine, job));
        }
        if let Count::Random(count) = target.count {
            self.picks(entry, aim).shuffle(&mut candidates);
            candidates.truncate(count as usize);
        }
        candidates
    }

    /// Random picks of an entry come from a stream that is named by what is written, so that other entries shift
    /// nothing: its time and label, and which of equal entries it is.
    fn picks(&self, entry: EntryId, aim: &str) -> Rng {
        let timeline = &self.atlas.spec.timeline;
        let Entry { at, label, .. } = &timeline[entry];
        let is_equal = |(_, other): &(EntryId, &Entry)| other.at == *at && other.label == *label;
        let earlier = timeline.iter().take_while(|(other, _)| *other < entry).filter(is_equal).count();
        Rng::stream(self.atlas.seed, &format!("timeline/{}/{label}/{earlier}/{aim}", at.as_nanos()))
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

    fn restart(&mut self, processes: &[ProcessId], cause: Cause) {
        for &process in processes {
            self.engine.restart(process, cause);
        }
    }

    /// A machine boots. What another entry holds dead stays so.
    fn boot(&mut self, machine: MachineId, cause: Cause, witness: &mut dyn Witness) {
        let held = self.standing.iter().flatten().flat_map(Standing::killed);
        let mut dead: Vec<ProcessId> =
            held.copied().filter(|process| self.atlas.machine(*process) == Some(machine)).collect();
        dead.sort_unstable();
        dead.dedup();
        self.engine.boot_host_without(Self::host(machine), &dead, cause);
        witness.notice(self.now(), &Notice::Power { machine, up: true });
    }

    fn pause_tasks(&mut self, machines: &[MachineId], job: &str, cause: Cause, witness: &mut dyn Witness) -> Standing {
        let runtimes: Vec<ProcessId> =
            machines.iter().filter_map(|machine| self.atlas.processes[*machine].runtime).collect();
        self.forget_broken_pauses();
        let mut paused = Vec::new();
        for process in runtimes {
            let ear = &mut ear!(self, witness);
            let tasks = self.engine.with_cause(process, cause, ear, |process, now, fx| match process {
                Process::Runtime(runtime) => runtime.pause_job(now, job, fx),
                _ => Vec::new(),
            });
            paused.extend(tasks.into_iter().flatten().map(|task| (process, task)));
        }
        Standing::PausedTasks(paused)
    }

    fn resume_tasks(&mut self, tasks: &[(ProcessId, TaskId)], cause: Cause, witness: &mut dyn Witness) {
        for of_runtime in tasks.chunk_by(|(one, _), (other, _)| one == other) {
            let ids: Vec<TaskId> = of_runtime.iter().map(|(_, id)| *id).collect();
            let ear = &mut ear!(self, witness);
            self.engine.with_cause(of_runtime[0].0, cause, ear, |process, now, fx| {
                if let Process::Runtime(runtime) = process {
                    runtime.resume(now, &ids, fx);
                }
            });
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
                Standing::Cut(self.engine.add_rule(Rule::cut(cut, rest)))
            }
        }
    }

    fn rule(&mut self, entry: EntryId, (from, to): (&Side, &Side), symmetric: bool, verdict: Verdict) -> Standing {
        let (near, far) = (self.selector(entry, from, FROM), self.selector(entry, to, TO));
        let (from, to) = match (near, far) {
            (Some(near), Some(far)) => (near, far),
            (Some(near), None) => (near.clone(), Selector::Not(Box::new(near))),
            (None, Some(far)) => (Selector::Not(Box::new(far.clone())), far),
            (None, None) => (Selector::Any, Selector::Any),
        };
        let direction = if symmetric { Direction::BothWays } else { Direction::OneWay };
        Standing::Cut(self.engine.add_rule(Rule { from, to, direction, channel: None, verdict }))
    }

    /// Whether users could not speak to a balancer, or not hear it, under the rules in force.
    fn is_cut_from_users(&self, balancer: usize) -> bool {
        let (ingress, _, node) = self.atlas.balancers[balancer];
        let users = self.atlas.spec.traffic.iter().zip(&self.atlas.sources);
        users
            .filter(|((_, traffic), _)| traffic.ingress == ingress)
            .any(|(_, &source)| !self.engine.lets_through(source, node) || !self.engine.lets_through(node, source))
    }

    /// Whom a side means; `None` for everybody who is not on the other.
    fn selector(&self, entry: EntryId, side: &Side, aim: &str) -> Option<Selector> {
        match side {
            Side::Region(region) => Some(Selector::Region(region.0)),
            Side::Zone(zone) => Some(Selector::Zone(zone.0)),
            Side::Machines(_) => Some(Selector::hosts(
                self.side(entry, side, aim).into_iter().map(|machine| HostId::from_index(machine.index())),
            )),
            Side::Rest => None,
        }
    }

    fn set_speed(&mut self, machines: &[MachineId], factor: f64, witness: &mut dyn Witness) {
        for &machine in machines {
            self.engine.slow_cpu(Self::host(machine), factor);
            let Some(process) = self.atlas.processes[machine].runtime else { continue };
            let ear = &mut ear!(self, witness);
            self.engine.with(process, ear, |process, now, fx| {
                if let Process::Runtime(runtime) = process {
                    runtime.set_speed(now, 1.0 / factor, fx);
                }
            });
            if !self.engine.is_running(process)
                && let Process::Runtime(runtime) = self.engine.process_mut(process)
            {
                runtime.will_run_at(1.0 / factor);
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

    /// The cloud's health checks of the balancers' addresses see what users would, from now on.
    fn tell_users(&mut self) {
        let now = self.now();
        let atlas = Arc::clone(&self.atlas);
        let is_well = |place: usize| self.engine.host_up(self.balancer_hosts[place]) && !self.is_cut_from_users(place);
        let well: Vec<bool> = (0..atlas.balancers.len()).map(is_well).collect();
        for &source in &atlas.sources {
            if let Process::Users(users) = self.engine.process_mut(source) {
                for (&(_, _, balancer), &works) in atlas.balancers.iter().zip(&well) {
                    users.set_in_service(now, balancer, works);
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

fn degrade(change: Degradation, until: Time) -> Degrade {
    Degrade {
        delay: change.delay,
        jitter: change.jitter,
        loss: change.loss.get(),
        until,
        duplicate: change.duplicate.get(),
        reorder: change.reorder.get(),
        bandwidth: change.bandwidth,
        ..Degrade::NONE
    }
}
