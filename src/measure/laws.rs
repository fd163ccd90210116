//! The laws of one run: every observer of [`crate::measure::invariant`], fed with what a world tells.
//!
//! Safety is looked at with every event. Liveness is looked at every [`LOOK_EVERY`], and only promised while no fault
//! *lasts*: a partition, a degraded link, a pause, a slow disk or processor, or a network outage excuses everybody from
//! its beginning to its end. The loss of a machine or a process is a *blow*: it lasts no time, and what is promised
//! counts from it, as long as a majority of the servers concerned is left: of those that vote by the configuration of
//! every server that runs. Autopilot may have taken out others before, and a group of two loses its majority with one.
//!
//! Left out: a fault excuses the whole world, not only those it touches, so a law that is broken far away from a
//! lasting fault is noticed only after its end. For the law of pre-vote, only the outage of a zone's
//! network, and a partition both ways between some machines and all the rest, cut a server off.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::measure::invariant::catalog::CatalogLaws;
use crate::measure::invariant::gossip;
use crate::measure::invariant::gossip::IncarnationNeverGoesBack;
use crate::measure::invariant::gossip::NotDeadForEver;
use crate::measure::invariant::proxy::EndsOnce;
use crate::measure::invariant::proxy::SentWithinTable;
use crate::measure::invariant::raft;
use crate::measure::invariant::raft::Law;
use crate::measure::invariant::scheduler::SchedulerLaws;
use crate::measure::outcome::InvariantResult;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::protocol::catalog::server::ServerEvent;
use crate::protocol::gossip::members::Directory;
use crate::protocol::gossip::serf;
use crate::protocol::proxy::fabio::FabioEvent;
use crate::protocol::raft::Command;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::PreVote;
use crate::protocol::scheduler::broker::BrokerConfig;
use crate::world::atlas::Atlas;
use crate::world::event::Event;
use crate::world::event::Group;
use crate::world::event::Notice;
use crate::world::event::Pool;
use crate::world::event::System;
use crate::world::spec::Action;
use crate::world::spec::EntryId;
use crate::world::spec::MachineId;
use crate::world::spec::MachineRole;
use crate::world::spec::OutageKind;
use crate::world::spec::Side;

/// How often what has to hold after a while is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Until somebody leads, times the group's Raft multiplier: three heartbeat timeouts of up to 2 s, four rounds of
/// elections of up to 2 s.
const LEADER_BOUND: Duration = Duration::from_secs(14);
/// Silence after which a follower looks for a new leader, times the group's Raft multiplier (`HeartbeatTimeout`).
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Until the timing of Raft is sound after whatever lasted has ended: a leader waits 10 s for an answer (longer for one
/// to a large image, which does not hold up heartbeats), which may have been held up for as long, and a follower that
/// gave it is loyal for one heartbeat timeout, of 10 s at most.
const TIMING_GRACE: Duration = Duration::from_secs(20);
/// Until a new leader has committed its first entry: two round trips and the writes, on a busy disk.
const COMMIT_BOUND: Duration = Duration::from_secs(5);
/// Until a live member of a pool in one region is no longer held for dead, at the latest: whom no rumour reached
/// learns it from an exchange of states. Three of them; each member has one every 30 s in pools of up to 32 members,
/// and so much longer for every doubling of that (memberlist `PushPullInterval`, `pushPullScale`).
fn lan_bound(members: usize) -> Duration {
    let doublings = members.div_ceil(32).next_power_of_two().trailing_zeros();
    Duration::from_secs(90) * (1 + u64::from(doublings))
}

/// The same between regions: reconnecting is tried every 30 s with one of the failed members.
const WAN_BOUND: Duration = Duration::from_mins(5);
/// Until a group has its count: half a minute until a node is marked down, the work after it, and one nack timeout.
const COUNT_BOUND: Duration = Duration::from_mins(3);
/// Until an evaluation that is next has ended, besides its deliveries: a change of leaders, and what the workers have
/// in hand.
const EVAL_BOUND: Duration = Duration::from_mins(6);
/// Plans a scheduler submits for one evaluation before it gives up (Nomad `maxServiceScheduleAttempts`).
const ATTEMPTS_MAX: u64 = 5;

/// Watches one run.
#[derive(Debug, Clone)]
pub struct Laws {
    atlas: Arc<Atlas>,
    groups: OrdMap<Group, RaftWatch>,
    pools: OrdMap<Pool, PoolWatch>,
    catalogs: IdVec<RegionId, CatalogWatch>,
    schedulers: IdVec<RegionId, SchedulerWatch>,
    sent: SentWithinTable,
    ends: EndsOnce,
    /// Processes that do not run.
    down: OrdSet<ProcessId>,
    /// Faults that last.
    lasting: u32,
    /// Those of them that make processes or messages late instead of cutting them off.
    delaying: u32,
    /// Servers that an entry cuts off from the rest of their groups.
    cuts: OrdMap<EntryId, Vec<(Group, ProcessId)>>,
    /// When the last blow fell or the last lasting fault ended.
    disturbed: Time,
    look_at: Time,
}

#[derive(Debug, Clone)]
struct RaftWatch {
    laws: raft::Laws,
    liveness: raft::Liveness,
    servers: Vec<ProcessId>,
    /// The newest configuration each of them has.
    configurations: OrdMap<ProcessId, Arc<Configuration>>,
    /// Whether liveness is promised now.
    promised: bool,
}

#[derive(Debug, Clone)]
struct PoolWatch {
    directory: Directory,
    incarnation: IncarnationNeverGoesBack,
    not_dead: NotDeadForEver,
}

#[derive(Debug, Clone)]
struct CatalogWatch {
    laws: CatalogLaws,
    leader: Option<ProcessId>,
}

#[derive(Debug, Clone)]
struct SchedulerWatch {
    laws: SchedulerLaws,
    /// Who serves as leader, and since when.
    leader: Option<(MachineId, Time)>,
}

impl Laws {
    /// The laws of a world at its beginning.
    pub fn new(atlas: &Arc<Atlas>) -> Self {
        let spec = &atlas.spec;
        let mut groups = OrdMap::new();
        let mut pools = OrdMap::new();
        for (region, region_spec) in spec.regions.iter() {
            for (system, servers, multiplier) in [
                (System::Nomad, &region_spec.nomad, spec.options.nomad_raft_multiplier),
                (System::Consul, &region_spec.consul, spec.options.consul_raft_multiplier),
            ]
            .into_iter()
            .filter(|(_, servers, _)| !servers.is_empty())
            {
                let pre_vote = if spec.options.pre_vote { PreVote::On } else { PreVote::Off };
                let watch = RaftWatch::new(atlas.mains(servers), multiplier, pre_vote);
                groups.insert(Group { system, region }, watch);
            }
            let machines = region_spec.nomad.iter().chain(&region_spec.consul).chain(&region_spec.clients);
            let members = machines.filter_map(|&machine| Some((machine, atlas.processes[machine].agent?)));
            let members: Vec<_> = members.collect();
            let bound = lan_bound(members.len());
            pools.insert(Pool::ConsulLan(region), PoolWatch::new(atlas, members.into_iter(), bound));
        }
        let main = |&machine: &MachineId| (machine, atlas.processes[machine].main);
        let consul = spec.regions.iter().flat_map(|(_, region)| region.consul.iter().map(main));
        pools.insert(Pool::ConsulWan, PoolWatch::new(atlas, consul, WAN_BOUND));
        let nomad = spec.regions.iter().flat_map(|(_, region)| region.nomad.iter().map(main));
        pools.insert(Pool::NomadWan, PoolWatch::new(atlas, nomad, WAN_BOUND));
        let catalog = || CatalogWatch { laws: CatalogLaws::new(CatalogLaws::DEFAULT_BOUND), leader: None };
        let evals = eval_bound(atlas);
        let scheduler = || SchedulerWatch { laws: SchedulerLaws::new(evals, COUNT_BOUND), leader: None };
        Self {
            atlas: Arc::clone(atlas),
            groups,
            pools,
            catalogs: spec.regions.ids().map(|_| catalog()).collect(),
            schedulers: spec.regions.ids().map(|_| scheduler()).collect(),
            sent: SentWithinTable::default(),
            ends: EndsOnce::default(),
            down: OrdSet::new(),
            lasting: 0,
            delaying: 0,
            cuts: OrdMap::new(),
            disturbed: Time::ZERO,
            look_at: Time::ZERO + LOOK_EVERY,
        }
    }

    /// A process said this.
    pub fn event(&mut self, at: Time, process: ProcessId, event: &Event) {
        match event {
            Event::NomadRaft(event) => self.raft(at, System::Nomad, process, event),
            Event::CatalogRaft(event) => {
                self.raft(at, System::Consul, process, event);
                self.catalog_raft(process, event);
            }
            Event::Gossip { pool, event: serf::Event::Swim(event) } => {
                let Some(watch) = self.pools.get_mut(pool) else { return };
                let Some(by) = watch.directory.member(process) else { return };
                if let Some(fact) = gossip::Fact::of(by, event) {
                    watch.see(at, fact);
                }
            }
            Event::Nomad { region, event } => self.schedulers[*region].laws.observe(at, process, event),
            Event::Catalog { region, event } => self.catalogs[*region].observe(at, process, event),
            Event::Proxy { event: FabioEvent::Sent { number, target }, .. } => {
                self.sent.sent(at, process, *number, *target);
            }
            Event::Table { targets } => self.sent.applied(process, targets.iter().copied()),
            Event::Started => self.schedulers.iter_mut().for_each(|(_, watch)| watch.laws.restarted(process)),
            Event::Issued { number } => self.ends.issued(at, *number),
            Event::Ended { number, .. } => self.ends.ended(at, *number),
            Event::Notice(_)
            | Event::Gossip { .. }
            | Event::Stirred(_)
            | Event::Answered { .. }
            | Event::Agent { .. }
            | Event::Client { .. }
            | Event::Proxy { .. }
            | Event::Balancer(_) => {}
        }
        if at >= self.look_at {
            self.look(at);
        }
    }

    /// The world said this.
    pub fn notice(&mut self, at: Time, notice: &Notice) {
        match notice {
            Notice::EntryBegins { entry, machines } => self.begins(at, *entry, machines),
            Notice::EntryEnds { entry } if lasts(&self.atlas.spec.timeline[*entry].action) => self.calmer(at, *entry),
            Notice::Power { machine, up: false } => {
                let processes = self.atlas.processes[*machine];
                let mut all = vec![processes.main];
                all.extend(processes.agent.filter(|agent| *agent != processes.main));
                all.extend(processes.runtime);
                for process in all {
                    self.process(at, process, false);
                }
            }
            Notice::Process { process, up, .. } => self.process(at, *process, *up),
            Notice::LeaderReady { group: Group { system: System::Nomad, region }, machine } => {
                self.schedulers[*region].leader = Some((*machine, at));
            }
            Notice::LeaderLost { group: Group { system: System::Nomad, region }, machine } => {
                let leader = &mut self.schedulers[*region].leader;
                *leader = leader.filter(|(led, _)| led != machine);
            }
            _ => {}
        }
    }

    /// The run is over; `open` requests are under way.
    pub fn finish(mut self, at: Time, open: usize) -> Vec<InvariantResult> {
        self.look(at);
        self.ends.finish(at, open as u64);
        let mut results = Results::default();
        for (group, watch) in &self.groups {
            let place = format!("{} of {}", group.system.name(), self.region_name(group.region));
            for law in watch.laws.each() {
                results.add(law.name(), &place, law.tally());
            }
            results.add(watch.liveness.name(), &place, watch.liveness.tally());
        }
        for (pool, watch) in &self.pools {
            let place = match pool {
                Pool::ConsulLan(region) => format!("consul-lan of {}", self.region_name(*region)),
                Pool::ConsulWan => "consul-wan".to_owned(),
                Pool::NomadWan => "nomad".to_owned(),
            };
            results.add("gossip.incarnation_never_goes_back", &place, &watch.incarnation.tally);
            results.add("gossip.not_dead_for_ever", &place, &watch.not_dead.tally);
        }
        for (region, watch) in self.catalogs.iter() {
            for (name, tally) in watch.laws.tallies() {
                results.add(name, self.region_name(region), tally);
            }
        }
        for (region, watch) in self.schedulers.iter() {
            for (name, tally) in watch.laws.tallies() {
                results.add(name, self.region_name(region), tally);
            }
        }
        results.add("proxy.sent_within_table", "a proxy", self.sent.tally());
        results.add("request.ends_once", "users", self.ends.tally());
        results.0
    }

    fn region_name(&self, region: RegionId) -> &str {
        &self.atlas.spec.regions[region].name
    }

    fn raft<E: Command>(&mut self, at: Time, system: System, who: ProcessId, event: &crate::protocol::raft::Event<E>) {
        let Some(fact) = raft::Fact::of(event) else { return };
        let Some(machine) = self.atlas.machine(who) else { return };
        let region = self.atlas.region(machine);
        let Some(watch) = self.groups.get_mut(&Group { system, region }) else { return };
        let is_reconfigured = matches!(fact, raft::Fact::Configured { .. });
        watch.see(at, who, fact);
        if is_reconfigured {
            self.promises(at);
        }
    }

    /// What Raft does to a Consul server's catalog.
    fn catalog_raft<E: Command>(&mut self, server: ProcessId, event: &crate::protocol::raft::Event<E>) {
        use crate::protocol::raft::Event as Told;
        let lost = matches!(event, Told::LeadershipLost { .. });
        if !lost && !matches!(event, Told::Restore { .. }) {
            return;
        }
        let Some(machine) = self.atlas.machine(server) else { return };
        let watch = &mut self.catalogs[self.atlas.region(machine)];
        if lost { watch.deposed(server) } else { watch.laws.restarted(server) }
    }

    fn begins(&mut self, at: Time, entry: EntryId, machines: &[MachineId]) {
        let atlas = Arc::clone(&self.atlas);
        let action = &atlas.spec.timeline[entry].action;
        match action {
            Action::RegisterJob { .. } | Action::ScaleJob { .. } | Action::StopJob { .. } => {}
            action if lasts(action) => {
                self.lasting += 1;
                if delays(action) {
                    self.delaying += 1;
                    self.groups.values_mut().for_each(|watch| watch.laws.excuse(Time::NEVER));
                } else if cuts_from_the_rest(action) {
                    self.cut_off(at, entry, machines);
                }
                for watch in self.pools.values_mut() {
                    watch.see(at, gossip::Fact::FaultBegan);
                }
                self.catalogs.iter_mut().for_each(|(_, watch)| watch.laws.excused());
                self.promises(at);
            }
            _ => self.disturbed = at,
        }
    }

    /// The servers that nothing connects with the others of their groups once these machines are on their own.
    fn cut_off(&mut self, at: Time, entry: EntryId, machines: &[MachineId]) {
        let mut cut = Vec::new();
        for (group, watch) in &mut self.groups {
            let apart = |server: &&ProcessId| self.atlas.machine(**server).is_some_and(|m| machines.contains(&m));
            let (there, here): (Vec<&ProcessId>, Vec<&ProcessId>) = watch.servers.iter().partition(apart);
            let alone = [(&there, &here), (&here, &there)].into_iter().filter(|(a, b)| a.len() == 1 && !b.is_empty());
            cut.extend(alone.map(|(alone, _)| (*group, *alone[0])));
        }
        for (group, server) in &cut {
            if let Some(watch) = self.groups.get_mut(group) {
                watch.see(at, *server, raft::Fact::CutOff);
            }
        }
        self.cuts.insert(entry, cut);
    }

    /// A lasting fault ended.
    fn calmer(&mut self, at: Time, entry: EntryId) {
        self.lasting -= 1;
        self.disturbed = at;
        self.delaying -= u32::from(delays(&self.atlas.spec.timeline[entry].action));
        let sound = if self.delaying > 0 { Time::NEVER } else { at + TIMING_GRACE };
        self.groups.values_mut().for_each(|watch| watch.laws.excuse(sound));
        for (group, server) in self.cuts.remove(&entry).unwrap_or_default() {
            if let Some(watch) = self.groups.get_mut(&group) {
                watch.see(at, server, raft::Fact::Rejoined);
            }
        }
        for watch in self.pools.values_mut() {
            watch.see(at, gossip::Fact::FaultEnded);
        }
        if self.lasting == 0 {
            self.catalogs.iter_mut().for_each(|(_, watch)| watch.laws.bound_again(at));
        }
        self.promises(at);
    }

    /// A process died or was started.
    fn process(&mut self, at: Time, process: ProcessId, up: bool) {
        if !up {
            self.down.insert(process);
        } else if !self.down.remove(&process) {
            // Its first start.
            return;
        }
        self.disturbed = at;
        let Some(machine) = self.atlas.machine(process) else { return };
        let region = self.atlas.region(machine);
        for (pool, watch) in &mut self.pools {
            let is_in = match pool {
                Pool::ConsulLan(of) => *of == region,
                Pool::ConsulWan | Pool::NomadWan => true,
            };
            if let Some(member) = is_in.then(|| watch.directory.member(process)).flatten() {
                watch.see(at, if up { gossip::Fact::Started(member) } else { gossip::Fact::Stopped(member) });
            }
        }
        let system = match self.atlas.spec.machines[machine].role {
            MachineRole::NomadServer => Some(System::Nomad),
            MachineRole::ConsulServer => Some(System::Consul),
            MachineRole::Client(_) => None,
        };
        if let Some(system) = system
            && process == self.atlas.processes[machine].main
            && let Some(watch) = self.groups.get_mut(&Group { system, region })
        {
            watch.see(at, process, if up { raft::Fact::Restarted } else { raft::Fact::Stopped });
        }
        if Some(process) == self.atlas.processes[machine].agent {
            let watch = &mut self.catalogs[region];
            if up {
                watch.laws.node_back(process);
            } else {
                watch.laws.node_died(at, process);
            }
            if matches!(system, Some(System::Consul)) {
                watch.deposed(process);
                watch.laws.restarted(process);
            }
        }
        if Some(process) == self.atlas.processes[machine].runtime {
            self.sent.restarted(process);
        }
        self.promises(at);
    }

    /// Tells the groups whether a majority runs undisturbed.
    fn promises(&mut self, at: Time) {
        for watch in self.groups.values_mut() {
            let promised = self.lasting == 0 && watch.can_elect(&self.down);
            if watch.promised && !promised {
                watch.liveness.fault_began();
            } else if promised && !watch.promised {
                watch.liveness.faults_ended(at);
            }
            watch.promised = promised;
        }
    }

    /// Looks at what has to hold after a while.
    fn look(&mut self, at: Time) {
        self.look_at = at + LOOK_EVERY;
        for watch in self.groups.values_mut() {
            watch.liveness.look(at);
        }
        for watch in self.pools.values_mut() {
            watch.not_dead.check(at);
        }
        for (_, watch) in self.catalogs.iter_mut() {
            watch.laws.finish(at);
        }
        for (_, watch) in self.schedulers.iter_mut() {
            // Until then the new leader takes every node for alive (Nomad `failover_heartbeat_ttl`).
            let grace = self.atlas.spec.options.failover_heartbeat_ttl;
            let calm = watch.leader.map(|(_, since)| self.disturbed.max(since + grace));
            watch.laws.judge(at, calm.filter(|_| self.lasting == 0));
        }
    }
}

impl RaftWatch {
    fn new(servers: Vec<ProcessId>, multiplier: u32, pre_vote: PreVote) -> Self {
        let multiplier = u64::from(multiplier.max(1));
        let mut liveness = raft::Liveness::new(LEADER_BOUND * multiplier, COMMIT_BOUND);
        liveness.faults_ended(Time::ZERO);
        let founding = Arc::new(Configuration::of_voters(&servers));
        let laws = raft::Laws::new(&founding, raft::Timing { heartbeat: HEARTBEAT * multiplier, pre_vote });
        let configurations = servers.iter().map(|server| (*server, Arc::clone(&founding))).collect();
        Self { laws, liveness, servers, configurations, promised: true }
    }

    /// Whether whoever runs sees a majority of voters running.
    fn can_elect(&self, down: &OrdSet<ProcessId>) -> bool {
        let runs = |server: &ProcessId| !down.contains(server);
        let has_majority = |server: &ProcessId| {
            self.configurations.get(server).is_none_or(|configuration| {
                2 * raft::voters(configuration).filter(runs).count() > raft::voters(configuration).count()
            })
        };
        let mut running = self.servers.iter().filter(|server| runs(server)).peekable();
        running.peek().is_some() && running.all(has_majority)
    }

    fn see(&mut self, at: Time, who: ProcessId, fact: raft::Fact) {
        if let raft::Fact::Configured { configuration, .. } = &fact {
            self.configurations.insert(who, Arc::clone(configuration));
        }
        let seen = raft::Observation { at, who, fact };
        self.laws.see(&seen);
        self.liveness.see(&seen);
    }
}

impl PoolWatch {
    fn new(atlas: &Atlas, members: impl Iterator<Item = (MachineId, ProcessId)>, bound: Duration) -> Self {
        let named =
            |(machine, process): (MachineId, ProcessId)| (process, atlas.spec.machines[machine].name.to_string());
        let members: Vec<(ProcessId, String)> = members.map(named).collect();
        let everybody: Vec<ProcessId> = members.iter().map(|(process, _)| *process).collect();
        let directory = Directory::new(members).expect("machines and their names are unique");
        let mut watch =
            Self { directory, incarnation: IncarnationNeverGoesBack::default(), not_dead: NotDeadForEver::new(bound) };
        for process in everybody {
            let member = watch.directory.member(process).expect("everybody is listed");
            watch.see(Time::ZERO, gossip::Fact::Started(member));
        }
        watch
    }

    fn see(&mut self, at: Time, fact: gossip::Fact) {
        let seen = gossip::Observation { at, fact };
        self.incarnation.observe(&seen);
        self.not_dead.observe(&seen);
    }
}

impl CatalogWatch {
    fn observe(&mut self, at: Time, server: ProcessId, event: &ServerEvent) {
        if matches!(event, ServerEvent::Established) && self.leader.replace(server) != Some(server) {
            self.laws.leaderless();
        }
        self.laws.observe(at, server, event);
    }

    /// A server leads no more; a leader that was replaced before it noticed changes nothing.
    fn deposed(&mut self, server: ProcessId) {
        if self.leader == Some(server) {
            self.leader = None;
            self.laws.leaderless();
        }
    }
}

/// Laws by name, in the order they came; those of several places together.
#[derive(Debug, Default)]
struct Results(Vec<InvariantResult>);

impl Results {
    fn add(&mut self, name: &'static str, place: &str, tally: &Tally) {
        let at = self.0.iter().position(|result| result.name == name).unwrap_or_else(|| {
            self.0.push(InvariantResult { name, checks: 0, violations: 0, first: None });
            self.0.len() - 1
        });
        let result = &mut self.0[at];
        result.checks += tally.checks;
        result.violations += tally.violations;
        if let (None, Some((at, text))) = (&result.first, &tally.first) {
            result.first = Some(format!("{place}, at {at}: {text}"));
        }
    }
}

/// How long an evaluation may take once it is next: every delivery may run into the nack timeout and waits before the
/// following one, and a worker may have had the costliest evaluation in hand just before, or has this one for so long.
fn eval_bound(atlas: &Atlas) -> Duration {
    let (options, spec) = (&atlas.spec.options, &atlas.spec);
    let broker = BrokerConfig::default();
    let deliveries = u64::from(options.delivery_limit.max(1));
    let waits = broker.nack_delay_first + broker.nack_delay_next * (deliveries * (deliveries - 1) / 2);
    let wanted = |job: &Job| job.groups.iter().map(|group| u64::from(group.count)).sum::<u64>();
    let placements = spec.jobs.iter().map(|(_, job)| wanted(&job.job)).max().unwrap_or(0).max(1);
    let nodes = spec.regions.iter().map(|(_, region)| region.clients.len() as u64).max().unwrap_or(0);
    let costs = &options.costs;
    let attempt = costs.step + (costs.node_pulled + costs.node_scored) * (nodes * placements);
    EVAL_BOUND + options.nack_timeout * deliveries + waits + attempt * (2 * ATTEMPTS_MAX)
}

/// Whether a fault that lasts makes processes or messages late; the others cut off.
fn delays(action: &Action) -> bool {
    match action {
        Action::Partition { .. } | Action::ZoneOutage(..) | Action::RegionOutage(..) => false,
        action => lasts(action),
    }
}

/// Whether a fault that lasts cuts the machines it strikes off from all others, both ways. One between two sides that
/// leaves out a third, or within a region, cuts nobody off for certain.
fn cuts_from_the_rest(action: &Action) -> bool {
    match action {
        Action::Partition { from, to, symmetric } => {
            *symmetric && [from, to].into_iter().any(|side| matches!(side, Side::Rest))
        }
        action => matches!(action, Action::ZoneOutage(_, OutageKind::Network)),
    }
}

/// Whether an entry of the timeline disturbs for as long as it lasts.
fn lasts(action: &Action) -> bool {
    match action {
        Action::ProcessPause(_)
        | Action::Partition { .. }
        | Action::LinkDegrade { .. }
        | Action::SlowDisk(..)
        | Action::SlowCpu(..) => true,
        Action::ZoneOutage(_, kind) | Action::RegionOutage(_, kind) => *kind == OutageKind::Network,
        Action::ProcessKill(_)
        | Action::ProcessRestart(_)
        | Action::NodeCrash(_)
        | Action::RegisterJob { .. }
        | Action::ScaleJob { .. }
        | Action::StopJob { .. }
        | Action::Order { .. }
        | Action::Nodes { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::raft::Index;

    #[test]
    fn a_leader_is_due_while_a_majority_of_those_that_still_vote_runs() {
        let (a, b, c) = (ProcessId(1), ProcessId(2), ProcessId(3));
        let mut watch = RaftWatch::new(vec![a, b, c], 1, PreVote::On);
        let can_elect = |watch: &RaftWatch, down: &[ProcessId]| watch.can_elect(&down.iter().copied().collect());
        assert!(can_elect(&watch, &[]) && can_elect(&watch, &[b]));
        assert!(!can_elect(&watch, &[a, b]) && !can_elect(&watch, &[a, b, c]));
        let configured = |index, configuration: &Arc<Configuration>| raft::Fact::Configured {
            index: Index(index),
            configuration: Arc::clone(configuration),
        };
        // Autopilot takes the first one out while it is away; it does not hear of it.
        let without = Arc::new(Configuration::of_voters(&[b, c]));
        for who in [b, c] {
            watch.see(Time::ZERO, who, configured(1, &without));
        }
        assert!(can_elect(&watch, &[a]) && can_elect(&watch, &[]));
        assert!(!can_elect(&watch, &[b]), "the last one needs the vote of one that is down");
        watch.see(Time::ZERO, c, configured(2, &Arc::new(Configuration::of_voters(&[a, b, c]))));
        assert!(can_elect(&watch, &[b]), "it was taken in again");
    }
}
