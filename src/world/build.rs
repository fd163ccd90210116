//! Builds the engine of a world: hosts, processes, pools, network, in the order the atlas numbered them.
//!
//! A world starts as one that has been up for a while: gossip pools are full, Raft groups are founded but have no
//! leader
//! yet, clients register within the first seconds.

use std::sync::Arc;

use crate::base::id::{HostId, Id, IdVec, ProcessId};
use crate::base::lognormal::Lognormal;
use crate::base::rng::{Draws, Rng};
use crate::base::time::{Duration, Time};
use crate::model::job::Job;
use crate::model::topology::{RegionId, ZoneId};
use crate::protocol::client::agent::NomadClient;
use crate::protocol::client::config::{ClientConfig, Delay, Delays};
use crate::protocol::gossip::config::SerfConfig;
use crate::protocol::gossip::members::{Directory, Pool};
use crate::protocol::gossip::serf::Serf;
use crate::protocol::proxy::alb::{Alb, AlbConfig, Algorithm, Reach};
use crate::protocol::proxy::dns::{DnsConfig, DnsSet};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio_config::FabioConfig;
use crate::protocol::proxy::health::HealthConfig;
use crate::protocol::proxy::message::RouteId;
use crate::protocol::raft::autopilot::Admission;
use crate::protocol::raft::{self, Configuration, PreVote, RaftNode};
use crate::protocol::scheduler::config::ServerConfig;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::server::Server;
use crate::protocol::workload::arrival::{Arrivals as ArrivalProcess, Gaps, RateStep};
use crate::protocol::workload::client::{Client, ClientConfig as UserConfig, RetryPolicy};
use crate::sim::disk::DiskProfile;
use crate::sim::engine::{Engine, HostSpec};
use crate::sim::network::{Jitter, Link, Network};
use crate::world::atlas::{Atlas, Processes};
use crate::world::balancer::Balancer;
use crate::world::consul_agent::ConsulAgent;
use crate::world::consul_server::ConsulServer;
use crate::world::nomad_client::ClientProcess;
use crate::world::nomad_server::NomadServer;
use crate::world::operator::{Errand, Operator};
use crate::world::orders;
use crate::world::process::Process;
use crate::world::runtime::Runtime;
use crate::world::spec::{
    Action, Arrivals, IngressId, LinkSpec, MachineId, MachineRole, MachineSpec, NetworkSpec, Order, RegionSpec,
    TrafficId,
};
use crate::world::users::Users;

/// The engine of a world, and where things are in it.
#[derive(Debug, Clone)]
pub struct Built {
    /// Everything, started.
    pub engine: Engine<Process>,
    /// Hosts of the balancers, in the order of [`Atlas::balancers`].
    pub balancer_hosts: Vec<HostId>,
}

/// Builds a world.
pub fn build(atlas: &Arc<Atlas>) -> Built {
    let mut builder = Builder {
        atlas,
        engine: Engine::new(atlas.seed, network(&atlas.spec.network, atlas.spec.regions.len())),
        starts: Vec::new(),
        pools: Pools::new(atlas),
    };
    for machine in atlas.spec.machines.ids() {
        builder.machine(machine);
    }
    let balancer_hosts = builder.balancers();
    builder.operators();
    builder.sources();
    assert_eq!(builder.engine.process_count(), atlas.process_count(), "a world is built as its atlas numbered it");
    for (process, at) in builder.starts {
        builder.engine.start(process, at);
    }
    Built { engine: builder.engine, balancer_hosts }
}

/// Gossip pools, each with everybody in it from the start.
struct Pools {
    lan: IdVec<RegionId, Pool>,
    wan: Pool,
    nomad: Pool,
    lan_config: Arc<SerfConfig>,
    wan_config: Arc<SerfConfig>,
    nomad_config: Arc<SerfConfig>,
    /// Whom the configuration of each member names to join: the servers of its pool.
    lan_servers: IdVec<RegionId, Arc<[ProcessId]>>,
    wan_servers: Arc<[ProcessId]>,
    nomad_servers: Arc<[ProcessId]>,
}

impl Pools {
    fn new(atlas: &Atlas) -> Self {
        let spec = &atlas.spec;
        let named = |machines: &mut dyn Iterator<Item = MachineId>, process: fn(Processes) -> Option<ProcessId>| {
            let named = |machine| Some((process(atlas.processes[machine])?, spec.machines[machine].name.to_string()));
            let members: Vec<(ProcessId, String)> = machines.filter_map(named).collect();
            let addresses: Vec<ProcessId> = members.iter().map(|(address, _)| *address).collect();
            let directory = Arc::new(Directory::new(members).expect("machines and their names are unique"));
            Pool::established(directory, addresses, TAGS_BYTES).expect("everybody in the pool is in its directory")
        };
        let agent: fn(Processes) -> Option<ProcessId> = |processes| processes.agent;
        let main: fn(Processes) -> Option<ProcessId> = |processes| Some(processes.main);
        let lan = spec
            .regions
            .iter()
            .map(|(_, region)| {
                let mut all = region.nomad.iter().chain(&region.consul).chain(&region.clients).copied();
                named(&mut all, agent)
            })
            .collect();
        let wan = named(&mut spec.regions.iter().flat_map(|(_, region)| region.consul.iter().copied()), main);
        let nomad = named(&mut spec.regions.iter().flat_map(|(_, region)| region.nomad.iter().copied()), main);
        let everywhere = |servers: fn(&RegionSpec) -> &[MachineId]| {
            spec.regions.iter().flat_map(|(_, region)| atlas.mains(servers(region))).collect::<Arc<[ProcessId]>>()
        };
        Self {
            lan,
            wan,
            nomad,
            lan_servers: spec.regions.iter().map(|(_, region)| atlas.mains(&region.consul).into()).collect(),
            wan_servers: everywhere(|region| &region.consul),
            nomad_servers: everywhere(|region| &region.nomad),
            lan_config: without_coordinates(SerfConfig::consul_lan()),
            wan_config: without_coordinates(SerfConfig::consul_wan()),
            nomad_config: without_coordinates(SerfConfig::nomad()),
        }
    }
}

/// Nothing in a world asks how far apart two members are, so acks carry no coordinates: a probe costs a third less, and
/// only the size of its answer differs.
fn without_coordinates(config: SerfConfig) -> Arc<SerfConfig> {
    Arc::new(SerfConfig { coordinates: false, ..config })
}

/// Size of a member's Serf tags, in bytes, as Consul's and Nomad's come to.
const TAGS_BYTES: u16 = 300;
/// Processes of a machine start within this span, at first and whenever they come back, so that their tickers are not
/// in step. (Assumed: how long a machine takes to boot is the scenario's matter, how far apart its processes come is
/// not.)
const START_SPREAD: Duration = Duration::from_secs(1);
/// Nomad clients start after their servers, within this span.
const CLIENT_SPREAD: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(6));

struct Builder<'a> {
    atlas: &'a Arc<Atlas>,
    engine: Engine<Process>,
    starts: Vec<(ProcessId, Time)>,
    pools: Pools,
}

impl Builder<'_> {
    fn machine(&mut self, machine: MachineId) {
        let spec = &self.atlas.spec.machines[machine];
        let disk = DiskProfile::fitted(spec.disk.shift, spec.disk.mean, spec.disk.deviation);
        let host = self.engine.add_host(HostSpec {
            zone: spec.zone.0,
            region: self.atlas.region(machine).0,
            disk,
            egress: Some(spec.bandwidth.into()),
        });
        assert_eq!(host.index(), machine.index(), "hosts have the numbers of their machines");
        let name = spec.name.to_string();
        match &spec.role {
            MachineRole::NomadServer => {
                let server = self.nomad_server(machine, spec);
                self.add(host, &format!("{name}/nomad"), Process::NomadServer(Box::new(server)), START_SPREAD);
                self.agent(host, machine, &name);
            }
            MachineRole::ConsulServer => {
                let server = self.consul_server(machine, &name);
                self.add(host, &format!("{name}/consul"), Process::ConsulServer(Box::new(server)), START_SPREAD);
            }
            MachineRole::Client(_) => {
                let client = self.client(machine, spec);
                let start = self.phase(&format!("{name}/nomad"), CLIENT_SPREAD);
                let process = Process::NomadClient(Box::new(client));
                let process = self.engine.add_process(host, &format!("{name}/nomad"), process);
                self.engine.spread_boots(process, START_SPREAD);
                self.starts.push((process, start));
                self.agent(host, machine, &name);
                let draws = Draws::new(self.atlas.seed, &format!("{name}/tasks"));
                let runtime = Runtime::new(machine, self.atlas, draws);
                self.add(host, &format!("{name}/tasks"), Process::Runtime(Box::new(runtime)), Duration::ZERO);
            }
        }
    }

    fn add(&mut self, host: HostId, name: &str, process: Process, spread: Duration) -> ProcessId {
        let start = self.phase(name, (Duration::ZERO, spread));
        let process = self.engine.add_process(host, name, process);
        self.engine.spread_boots(process, spread);
        self.starts.push((process, start));
        process
    }

    /// When a process starts: drawn from its own name.
    fn phase(&self, name: &str, (from, to): (Duration, Duration)) -> Time {
        Time::ZERO + Rng::stream(self.atlas.seed, &format!("{name}/start")).span(from, to)
    }

    fn agent(&mut self, host: HostId, machine: MachineId, name: &str) {
        let Some(me) = self.atlas.processes[machine].agent else { return };
        let lan = self.lan(self.atlas.region(machine), me, name);
        let draws = Draws::new(self.atlas.seed, &format!("{name}/agent"));
        let agent = ConsulAgent::new(me, machine, self.atlas, lan, draws);
        self.add(host, &format!("{name}/consul"), Process::ConsulAgent(Box::new(agent)), START_SPREAD);
    }

    fn serf(&self, pool: &Pool, config: &Arc<SerfConfig>, me: ProcessId, name: &str, kind: &str) -> Serf {
        Serf::new(Arc::clone(config), pool, me, (self.atlas.seed, &format!("{name}/{kind}")))
            .expect("every agent is in the directory of its pool")
    }

    fn lan(&self, region: RegionId, me: ProcessId, name: &str) -> Serf {
        let serf = self.serf(&self.pools.lan[region], &self.pools.lan_config, me, name, "lan");
        serf.configured_with(&self.pools.lan_servers[region])
    }

    fn nomad_server(&self, machine: MachineId, spec: &MachineSpec) -> NomadServer {
        let (seed, region) = (self.atlas.seed, self.atlas.region(machine));
        let options = &self.atlas.spec.options;
        let me = self.atlas.processes[machine].main;
        let voters = self.atlas.mains(&self.atlas.spec.regions[region].nomad);
        let mut timing = raft::Config::nomad(options.nomad_raft_multiplier);
        timing.pre_vote = if options.pre_vote { PreVote::On } else { PreVote::Off };
        let rng = Rng::stream(seed, &format!("{}/nomad/raft", spec.name));
        let raft = RaftNode::new(me, Configuration::of_voters(&voters), timing, rng);
        let serf = self.serf(&self.pools.nomad, &self.pools.nomad_config, me, &spec.name, "nomad");
        let serf = serf.configured_with(&self.pools.nomad_servers);
        let workers = options.workers.unwrap_or(spec.cores).max(1);
        let mut config = ServerConfig::new(me, region, workers, seed);
        config.scheduler = options.scheduler.clone();
        config.plan_checkers = options.plan_checkers.unwrap_or(u32::from(spec.cores / 2)).max(1);
        config.broker.nack_timeout = options.nack_timeout;
        config.broker.delivery_limit = options.delivery_limit;
        config.plan_rejections = options.plan_rejections;
        config.garbage = options.garbage;
        config.costs = options.costs;
        config.scheduler.explains = self.atlas.explains;
        config.heartbeat.ttl_min = options.min_heartbeat_ttl;
        config.heartbeat.rate_per_second = options.max_heartbeats_per_second;
        config.heartbeat.grace = options.heartbeat_grace;
        config.heartbeat.failover_ttl = options.failover_heartbeat_ttl;
        let stable_first = config.scheduler.behaviour.servers_vote_when_stable;
        let admission = if stable_first { Admission::Nonvoter } else { Admission::Voter };
        let server = Server::new(config, &format!("{}/nomad", spec.name));
        NomadServer::new(self.atlas, region, raft, serf, server, admission)
    }

    fn consul_server(&self, machine: MachineId, name: &str) -> ConsulServer {
        let (seed, region) = (self.atlas.seed, self.atlas.region(machine));
        let me = self.atlas.processes[machine].main;
        let voters = self.atlas.mains(&self.atlas.spec.regions[region].consul);
        let options = &self.atlas.spec.options;
        let mut timing = raft::Config::consul(options.consul_raft_multiplier);
        timing.pre_vote = if options.pre_vote { PreVote::On } else { PreVote::Off };
        let rng = Rng::stream(seed, &format!("{name}/consul/raft"));
        let raft = RaftNode::new(me, Configuration::of_voters(&voters), timing, rng);
        let lan = self.lan(region, me, name);
        let wan = self.serf(&self.pools.wan, &self.pools.wan_config, me, name, "wan");
        let wan = wan.configured_with(&self.pools.wan_servers);
        let rng = Rng::stream(seed, &format!("{name}/consul/catalog"));
        ConsulServer::new(me, self.atlas, region, (raft, lan, wan), rng)
    }

    fn client(&self, machine: MachineId, spec: &MachineSpec) -> ClientProcess {
        let region = self.atlas.region(machine);
        let MachineRole::Client(node_spec) = &spec.role else { unreachable!("called for clients only") };
        let node = self.atlas.node(machine).expect("every client is a node");
        let servers = self.atlas.mains(&self.atlas.spec.regions[region].nomad);
        let delays = Delays {
            setup: Delay::constant(Duration::from_millis(10)),
            // The runtime fetches images, since they are known by service.
            pull: Delay::constant(Duration::ZERO),
            start: Delay { median: CONTAINER_START, sigma: CONTAINER_START_SIGMA },
            draws: Draws::new(self.atlas.seed, &format!("{}/driver", spec.name)),
        };
        let mut config = ClientConfig::new(node, Arc::clone(node_spec), servers, delays);
        let behaviour = &self.atlas.spec.options.scheduler.behaviour;
        config.push_routine = behaviour.client_update_ticks;
        config.poststart_may_end = behaviour.poststart_may_end;
        let rng = Rng::stream(self.atlas.seed, &format!("{}/nomad/client", spec.name));
        ClientProcess::new(machine, self.atlas, NomadClient::new(config, rng))
    }

    fn balancers(&mut self) -> Vec<HostId> {
        let atlas = Arc::clone(self.atlas);
        let mut hosts = Vec::new();
        for &(ingress, zone, process) in &atlas.balancers {
            let spec = &atlas.spec.ingress[ingress];
            let host = self.engine.add_host(HostSpec {
                zone: zone.0,
                region: spec.region.0,
                disk: DiskProfile::INSTANT,
                egress: None,
            });
            let balancer = &spec.balancer;
            let mut config = AlbConfig::new(zone);
            config.algorithm =
                if balancer.least_outstanding { Algorithm::LeastOutstanding } else { Algorithm::RoundRobin };
            config.reach = if balancer.cross_zone { Reach::CrossZone } else { Reach::OwnZone };
            config.health = HealthConfig {
                interval: balancer.interval,
                timeout: balancer.timeout,
                healthy_threshold: balancer.healthy,
                unhealthy_threshold: balancer.unhealthy,
                ..HealthConfig::fabio()
            };
            let zone_name = &atlas.spec.zones[zone].name;
            let name = format!("{}/{zone_name}/balancer-{}", atlas.spec.regions[spec.region].name, ingress.0);
            let rng = Rng::stream(atlas.seed, &name);
            let balancer = Balancer::new(Alb::new(config, rng), self.targets(ingress));
            let added = self.add(host, &name, Process::Balancer(Box::new(balancer)), Duration::ZERO);
            assert_eq!(added, process, "balancers are built as the atlas numbered them");
            hosts.push(host);
        }
        hosts
    }

    /// The machines on which the proxies' job may run, as an autoscaling group attached to the balancer.
    fn targets(&self, ingress: IngressId) -> Vec<(Endpoint, ZoneId)> {
        let spec = &self.atlas.spec;
        let ingress = &spec.ingress[ingress];
        let datacenters: Vec<&str> = jobs(self.atlas, ingress.region)
            .filter(|job| *job.name == *ingress.job)
            .flat_map(|job| job.datacenters.iter().map(|name| &**name))
            .collect();
        let port = FabioConfig::default().proxy_port;
        spec.regions[ingress.region]
            .clients
            .iter()
            .filter_map(|&machine| {
                let MachineRole::Client(node) = &spec.machines[machine].role else { return None };
                let runtime = self.atlas.processes[machine].runtime?;
                datacenters
                    .contains(&&*node.datacenter)
                    .then_some((Endpoint { process: runtime, port }, spec.machines[machine].zone))
            })
            .collect()
    }

    fn operators(&mut self) {
        let atlas = Arc::clone(self.atlas);
        let host = self.outside();
        for region in atlas.spec.regions.ids() {
            let servers = atlas.mains(&atlas.spec.regions[region].nomad);
            let operator = Operator::new(region, servers, schedule(&atlas, region));
            let name = format!("{}/operator", atlas.spec.regions[region].name);
            let added = self.add(host, &name, Process::Operator(Box::new(operator)), Duration::ZERO);
            assert_eq!(added, atlas.operators[region], "operators are built as the atlas numbered them");
        }
    }

    fn sources(&mut self) {
        let host = self.outside();
        let atlas = Arc::clone(self.atlas);
        for traffic in atlas.spec.traffic.ids() {
            let users = self.users(traffic);
            let name = format!("traffic/{}", atlas.spec.traffic[traffic].name);
            self.add(host, &name, Process::Users(Box::new(users)), Duration::ZERO);
        }
    }

    fn users(&self, traffic: TrafficId) -> Users {
        let spec = &self.atlas.spec.traffic[traffic];
        let number = u16::try_from(traffic.0).expect("fewer than 4096 sources, as the scenario was checked");
        let mut config = UserConfig::new(number, RouteId(traffic.0));
        config.timeout = spec.timeout;
        config.retry = (spec.retries > 0).then(|| RetryPolicy {
            attempts_max: u8::try_from(spec.retries + 1).unwrap_or(u8::MAX),
            backoff: spec.backoff,
            backoff_max: Duration::from_secs(20),
            budget: spec.retry_budget,
        });
        if !spec.keep_alive {
            config.keep_alive.count_max = 0;
        }
        let steps = steps(&spec.rates_per_second, spec.start);
        let gaps = match spec.arrivals {
            Arrivals::Poisson => Gaps::Exponential,
            Arrivals::Even => Gaps::Equal,
        };
        let draws = Draws::new(self.atlas.seed, &format!("traffic/{}", spec.name));
        let client = Client::new(config, ArrivalProcess::new(gaps, steps, draws), draws);
        let nodes: Vec<ProcessId> = self
            .atlas
            .balancers
            .iter()
            .filter(|(ingress, ..)| *ingress == spec.ingress)
            .map(|&(.., process)| process)
            .collect();
        let dns = DnsConfig { ttl: self.atlas.spec.ingress[spec.ingress].balancer.dns_ttl, ..DnsConfig::default() };
        Users::new(traffic, client, DnsSet::new(dns, &nodes))
    }

    /// A host on the internet: in a region of its own, as far from every zone as users are.
    fn outside(&mut self) -> HostId {
        let region = u32::try_from(self.atlas.spec.regions.len()).expect("few regions");
        let zone = u32::try_from(self.atlas.spec.zones.len()).expect("few zones");
        self.engine.add_host(HostSpec { zone, region, disk: DiskProfile::INSTANT, egress: None })
    }
}

/// Median time from telling the driver to start a task to the task running: a container from a cached image on a cloud
/// SSD takes 568 ms, nearly independent of its size.
const CONTAINER_START: Duration = Duration::from_millis(568);
/// Spread of container starts around their median; published runs vary by about a tenth.
const CONTAINER_START_SIGMA: f64 = 0.15;

/// Every job a scenario registers in a region, at the start or later.
pub fn jobs(atlas: &Atlas, region: RegionId) -> impl Iterator<Item = &Arc<Job>> {
    let first = atlas.spec.jobs.iter().filter(move |(_, job)| job.region == region).map(|(_, job)| &job.job);
    let later = atlas.spec.timeline.iter().filter_map(move |(_, entry)| match &entry.action {
        Action::RegisterJob { region: place, job } if *place == region => Some(job),
        _ => None,
    });
    first.chain(later)
}

/// What the operators of a region do, by time.
fn schedule(atlas: &Atlas, region: RegionId) -> Vec<Errand> {
    let number = |name: &str| atlas.job(region, name).expect("the scenario names every job it acts on");
    let register = |job: &Arc<Job>| {
        let mut job = Job::clone(job);
        job.id = number(&job.name);
        Operation::RegisterJob(Arc::new(job))
    };
    let first = atlas.spec.jobs.iter().filter(|(_, job)| job.region == region);
    let mut plan: Vec<Errand> = first
        .map(|(_, job)| Errand {
            due: job.at.max(Time::ZERO + FIRST_JOB),
            label: format!("register {}", job.job.name).into(),
            operation: Arc::new(register(&job.job)),
        })
        .collect();
    for (_, entry) in atlas.spec.timeline.iter() {
        let mut times = 1;
        let mut operation = match &entry.action {
            Action::RegisterJob { region: place, job } if *place == region => register(job),
            Action::ScaleJob { region: place, job, group, count } if *place == region => {
                Operation::ScaleJob { job: number(job), group: Arc::clone(group), count: *count }
            }
            Action::StopJob { region: place, job, purge } if *place == region => {
                Operation::DeregisterJob { job: number(job), purge: *purge }
            }
            Action::Order { region: place, order } if *place == region => {
                times = if let Order::Dispatch { count, .. } = order { *count } else { 1 };
                orders::operation(order, number)
            }
            _ => continue,
        };
        if let Some(priority) = entry.eval_priority {
            operation = Operation::EvalPriority { priority, of: Arc::new(operation) };
        }
        let (label, operation) = (Arc::clone(&entry.label), Arc::new(operation));
        let errand = Errand { due: entry.at.max(Time::ZERO + FIRST_JOB), label, operation };
        plan.extend((0..times).map(|_| errand.clone()));
    }
    plan.sort_by_key(|errand| errand.due);
    plan
}

/// Jobs are registered, and acted on, once leaders have been elected and clients are there; what the scenario asks for
/// before that waits, the jobs of the start first.
pub(super) const FIRST_JOB: Duration = Duration::from_secs(25);

/// Nothing before `start`, then the rates.
fn steps(rates: &[(Time, f64)], start: Time) -> Vec<RateStep> {
    let at_start = rates.iter().rev().find(|(from, _)| *from <= start).map_or(0.0, |&(_, rate)| rate);
    let mut steps = vec![RateStep { from: start, per_second: at_start }];
    let later = rates.iter().filter(|(from, _)| *from > start);
    steps.extend(later.map(|&(from, per_second)| RateStep { from, per_second }));
    steps
}

/// The engine's network; the last region is the internet.
fn network(spec: &NetworkSpec, regions: usize) -> Network {
    let mut spreads = Spreads::default();
    let outside = spreads.link(spec.internet);
    let mut between = |from: usize, to: usize| {
        let pair = if from == regions || to == regions { None } else { spec.between_regions.get(from)?.get(to) };
        pair.map(|pair| spreads.link(*pair))
    };
    let mut row = |from| (0..=regions).map(|to| between(from, to).unwrap_or_else(|| outside.clone())).collect();
    Network {
        regions: (0..=regions).map(&mut row).collect(),
        same_host: spreads.link(spec.same_host),
        same_zone: spreads.link(spec.same_zone),
        same_region: spreads.link(spec.same_region),
        elsewhere: outside,
    }
}

/// Those that links share, by their sigma.
#[derive(Default)]
struct Spreads(Vec<(f64, Arc<Lognormal>)>);

impl Spreads {
    fn link(&mut self, spec: LinkSpec) -> Link {
        let (base, jitter) = if spec.jitter_sigma > 0.0 {
            (Duration::ZERO, Some(Jitter { median: spec.delay, spread: self.of(spec.jitter_sigma) }))
        } else {
            (spec.delay, None)
        };
        Link { base, jitter, loss: spec.loss.get() }
    }

    fn of(&mut self, sigma: f64) -> Arc<Lognormal> {
        if let Some((_, known)) = self.0.iter().find(|(known, _)| known.to_bits() == sigma.to_bits()) {
            return Arc::clone(known);
        }
        let spread = Arc::new(Lognormal::new(sigma));
        self.0.push((sigma, Arc::clone(&spread)));
        spread
    }
}
