//! The world to build: everything a scenario says, with names resolved to numbers and units to types. Plain data; the
//! scenario layer lowers files to it and has validated what it says.

mod orders;

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::time::{Duration, Time};
use crate::base::units::{BitsPerSecond, Mebibytes, MegaHertz, MegabitsPerSecond, Ratio};
use crate::model::job::Job;
use crate::model::node::NodeSpec;
use crate::model::topology::{RegionId, ZoneId};
use crate::protocol::proxy::registry::ChecksRequired;
use crate::protocol::proxy::release::Release as FabioRelease;
use crate::protocol::scheduler::config::{CostModel, GarbageConfig, RejectionConfig};
use crate::protocol::scheduler::release::SchedulerConfig;

pub use crate::protocol::workload::station::Warmup;
pub use orders::*;

crate::id!(
    /// A machine of the specification, in order: servers of each region first, then its clients. The world's hosts have
    /// the same numbers.
    MachineId,
    "m"
);

crate::id!(
    /// A job of the specification; several versions of one job are several entries of the timeline, not of this list.
    JobSpecId,
    "job"
);

crate::id!(
    /// A traffic source.
    TrafficId,
    "t"
);

crate::id!(
    /// An ingress: a balancer in front of the proxies of one job.
    IngressId,
    "i"
);

crate::id!(
    /// An entry of the timeline, in file order.
    EntryId,
    "x"
);

/// A world.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// Name of the scenario.
    pub name: Arc<str>,
    /// Length of the run.
    pub duration: Duration,
    /// Samples before this are dropped.
    pub warmup: Duration,
    /// Regions; each is one Nomad region and one Consul datacenter.
    pub regions: IdVec<RegionId, RegionSpec>,
    /// Zones of all regions.
    pub zones: IdVec<ZoneId, ZoneSpec>,
    /// Machines, servers and clients.
    pub machines: IdVec<MachineId, MachineSpec>,
    /// The network between them.
    pub network: NetworkSpec,
    /// Jobs registered at the start.
    pub jobs: IdVec<JobSpecId, JobSpec>,
    /// How instances of services behave, by service name; a service not listed answers at once.
    pub services: Vec<ServiceSpec>,
    /// How tasks end, fail and come up; the first that fits a task holds. One that nothing fits runs until it is told
    /// to stop; a hook that is no sidecar ends well at once.
    pub behaviours: Vec<BehaviourSpec>,
    /// Balancers and their proxies.
    pub ingress: IdVec<IngressId, IngressSpec>,
    /// Request sources.
    pub traffic: IdVec<TrafficId, TrafficSpec>,
    /// Faults and operator actions, in file order.
    pub timeline: IdVec<EntryId, Entry>,
    /// Releases and options of the products.
    pub options: Options,
}

/// A region.
#[derive(Debug, Clone)]
pub struct RegionSpec {
    /// As `us-east-1`.
    pub name: Arc<str>,
    /// Its zones.
    pub zones: Vec<ZoneId>,
    /// Its Nomad servers, in order of their names.
    pub nomad: Vec<MachineId>,
    /// Its Consul servers; none if it has no Consul at all, and then no Consul agents either.
    pub consul: Vec<MachineId>,
    /// Its client machines.
    pub clients: Vec<MachineId>,
    /// Nomad server that leads first, if the scenario pins it; otherwise it falls as it falls.
    pub first_nomad_leader: Option<MachineId>,
    /// Consul server that leads first, if pinned.
    pub first_consul_leader: Option<MachineId>,
}

impl RegionSpec {
    /// Whether there is Consul: servers, and an agent on every other machine.
    pub fn has_consul(&self) -> bool {
        !self.consul.is_empty()
    }
}

/// A zone.
#[derive(Debug, Clone)]
pub struct ZoneSpec {
    /// As `a`.
    pub name: Arc<str>,
    /// The region it belongs to.
    pub region: RegionId,
}

/// What a machine runs.
#[derive(Debug, Clone)]
pub enum MachineRole {
    /// A Nomad server and a Consul agent.
    NomadServer,
    /// A Consul server.
    ConsulServer,
    /// A Nomad client, a Consul agent and the tasks placed on it.
    Client(Arc<NodeSpec>),
}

/// A machine.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// `us-east-1/nomad-1`, `us-east-1/consul-2`, `us-east-1/private-services-17`. Unique.
    pub name: Arc<str>,
    /// Where it stands.
    pub zone: ZoneId,
    /// What it runs.
    pub role: MachineRole,
    /// Instance type, as `m5.large`.
    pub instance: Arc<str>,
    /// Cores; a Nomad server has as many scheduling workers unless the options say otherwise.
    pub cores: u16,
    /// Clock times cores.
    pub cpu: MegaHertz,
    /// Memory.
    pub memory: Mebibytes,
    /// Network interface.
    pub bandwidth: MegabitsPerSecond,
    /// Disk behaviour.
    pub disk: DiskSpec,
    /// US dollars per million hours, if known.
    pub price_per_million_hours: Option<u64>,
}

/// Latency of a synced write: `shift + lognormal`, moments as given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskSpec {
    /// Fastest possible sync.
    pub shift: Duration,
    /// Mean latency, above `shift`.
    pub mean: Duration,
    /// Standard deviation of the latency.
    pub deviation: Duration,
}

/// Delay of one distance class, one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkSpec {
    /// Median one-way delay.
    pub delay: Duration,
    /// Standard deviation of the logarithm of the delay; zero for none.
    pub jitter_sigma: f64,
    /// Share of packets lost.
    pub loss: Ratio,
}

/// The network.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// Between processes of one machine.
    pub same_host: LinkSpec,
    /// Between machines of one zone.
    pub same_zone: LinkSpec,
    /// Between zones of one region.
    pub same_region: LinkSpec,
    /// Between regions: `pairs[from][to]`, one way; the diagonal is unused.
    pub between_regions: Vec<Vec<LinkSpec>>,
    /// From users to the balancers of the nearest region.
    pub internet: LinkSpec,
}

/// A job and where it is registered.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// In which region.
    pub region: RegionId,
    /// The specification; identifiers and indexes in it are filled in by the world and the servers.
    pub job: Arc<Job>,
    /// When an operator registers it.
    pub at: Time,
}

/// How instances of a service serve requests. A task without services finds its times under its own name.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Name in the catalog.
    pub name: Arc<str>,
    /// Requests served at once by one instance.
    pub concurrency: u32,
    /// Requests that may wait; more are answered 503. `None` is unbounded, as a plain listen loop is.
    pub queue_limit: Option<u32>,
    /// How requests share the instance.
    pub discipline: Discipline,
    /// Work per request.
    pub service_time: ServiceTime,
    /// Time from start of the task until it serves and its checks pass.
    pub start: Duration,
    /// Time to fetch the image when the machine has none of it yet. Default zero: images are cached.
    pub image_pull: Duration,
    /// Time the task takes to exit when told to; a proxy's ends when it has drained.
    pub stop: Duration,
    /// A request that waited this long is answered 503; `None`: it waits. First come, first served only.
    pub queue_timeout: Option<Duration>,
    /// A client that leaves takes its request along.
    pub cancel_propagates: bool,
    /// A cold start, if any.
    pub warmup: Option<Warmup>,
}

/// How some tasks behave. `None` in the first four fits every task.
#[derive(Debug, Clone)]
pub struct BehaviourSpec {
    /// Of this job, or of its children.
    pub job: Option<Arc<str>>,
    /// Of groups of this name.
    pub group: Option<Arc<str>>,
    /// Of this name.
    pub task: Option<Arc<str>>,
    /// With this text in their driver configuration.
    pub image: Option<Arc<str>>,
    /// Time from coming up to a good end; `None`: it does not end by itself.
    pub runs_for: Option<ServiceTime>,
    /// Time from coming up to a failure; with `failing` above zero, this or `runs_for` is there.
    pub fails_after: Option<ServiceTime>,
    /// Share of runs that end in failure.
    pub failing: Ratio,
    /// Whether it ever listens.
    pub healthy: bool,
}

/// Order of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// First come, first served, by `concurrency` workers.
    Fifo,
    /// All at once, sharing `concurrency` units of speed.
    ProcessorSharing,
}

/// Law of the work per request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ServiceTime {
    /// Always the same.
    Deterministic(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Lognormal with these percentiles.
    Lognormal {
        /// Median.
        p50: Duration,
        /// 99th percentile.
        p99: Duration,
    },
    /// Pareto with this shape between two bounds.
    BoundedPareto {
        /// Smallest.
        low: Duration,
        /// Largest.
        high: Duration,
        /// Tail index.
        alpha: f64,
    },
    /// Two exponentials with balanced means.
    Hyperexponential {
        /// Mean.
        mean: Duration,
        /// Squared coefficient of variation, at least 1.
        scv: f64,
    },
}

/// A balancer in front of the proxies of a job.
#[derive(Debug, Clone)]
pub struct IngressSpec {
    /// Region it stands in.
    pub region: RegionId,
    /// The proxies' job, by name; every machine of its datacenters is a target, as of an autoscaling group that is
    /// attached to the balancer.
    pub job: Arc<str>,
    /// How the proxies pick an instance.
    pub strategy: Picker,
    /// How they match paths.
    pub matcher: Matcher,
    /// Which fabio they are.
    pub release: FabioRelease,
    /// fabio `registry.consul.checksRequired`. Default one.
    pub checks_required: ChecksRequired,
    /// fabio `registry.consul.service.status`. Default `passing`.
    pub statuses: Vec<String>,
    /// fabio `proxy.noroutestatus`. Default 404.
    pub no_route_status: u16,
    /// Route commands below `/fabio/config`. Default none.
    pub overrides: Arc<str>,
    /// fabio `proxy.dialtimeout`. Default 30 s.
    pub dial_timeout: Duration,
    /// fabio `proxy.responseheadertimeout`. Default none.
    pub response_header_timeout: Option<Duration>,
    /// fabio `proxy.deregistergraceperiod`. Default zero.
    pub deregister_grace: Duration,
    /// fabio `proxy.shutdownwait`. Default zero.
    pub shutdown_wait: Duration,
    /// The balancer.
    pub balancer: BalancerSpec,
}

/// fabio `proxy.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picker {
    /// Uniformly from the ring. The default.
    Random,
    /// Round robin over the ring.
    RoundRobin,
}

/// fabio `proxy.matcher`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matcher {
    /// Path starts with the route's. The default.
    Prefix,
    /// The same, ignoring case.
    PrefixIgnoringCase,
    /// The route's path is a glob.
    Glob,
}

/// An AWS application load balancer.
#[derive(Debug, Clone)]
pub struct BalancerSpec {
    /// Health check interval. AWS default 30 s; the reference system 15 s.
    pub interval: Duration,
    /// Health check timeout. AWS default 5 s; the reference system 3 s.
    pub timeout: Duration,
    /// Successes before healthy. AWS default 5; the reference system 2.
    pub healthy: u32,
    /// Failures before unhealthy. Default 2.
    pub unhealthy: u32,
    /// Targets of all zones. Default true.
    pub cross_zone: bool,
    /// Least outstanding requests instead of round robin. Default false.
    pub least_outstanding: bool,
    /// Time to live of its DNS answer. 60 s.
    pub dns_ttl: Duration,
}

/// A stream of user requests.
#[derive(Debug, Clone)]
pub struct TrafficSpec {
    /// Unique.
    pub name: Arc<str>,
    /// Where they arrive.
    pub ingress: IngressId,
    /// Host header.
    pub host: Arc<str>,
    /// Path.
    pub path: Arc<str>,
    /// The service whose `urlprefix-` tag matches host and path; `unknown` if none does. For labels only.
    pub service: Arc<str>,
    /// Requests per second over time: from each instant on, the rate; the first entry is at zero.
    pub rates_per_second: Vec<(Time, f64)>,
    /// When it starts; jobs need time to come up.
    pub start: Time,
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// A user gives up after this long.
    pub timeout: Duration,
    /// Tries after the first. Default 0.
    pub retries: u32,
    /// First backoff; it doubles, with full jitter.
    pub backoff: Duration,
    /// Retries in all, as a share of requests; `None`: any number.
    pub retry_budget: Option<Ratio>,
    /// Requests that reuse a warm connection instead of a new handshake.
    pub keep_alive: bool,
}

/// Law of the time between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Open loop, exponential gaps. The default.
    Poisson,
    /// Equal gaps.
    Even,
}

/// One entry of the timeline.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it strikes.
    pub at: Time,
    /// How long it lasts; `None` for ever, or for actions that are over at once.
    pub lasts: Option<Duration>,
    /// Short text for reports: `zone-outage us-east-1/b`.
    pub label: Arc<str>,
    /// Which entry of the scenario's timeline it comes from, from 0: an action in several regions is several entries.
    pub written: usize,
    /// What happens.
    pub action: Action,
    /// Priority of the evaluation that what operators register or stop gets; `None` for the job's.
    pub eval_priority: Option<u8>,
}

/// What happens to the world.
#[derive(Debug, Clone)]
pub enum Action {
    /// Processes die; with a length they are started again at its end, otherwise at once after `restart_delay` if set.
    ProcessKill(Target),
    /// Processes stop and go on at the end.
    ProcessPause(Target),
    /// Processes die and start again at once.
    ProcessRestart(Target),
    /// Machines lose power; with a length they boot at its end.
    NodeCrash(Target),
    /// All machines of a zone lose power, or its network is cut off.
    ZoneOutage(ZoneId, OutageKind),
    /// The same for a region.
    RegionOutage(RegionId, OutageKind),
    /// No packet passes from one side to the other.
    Partition {
        /// One side.
        from: Side,
        /// The other.
        to: Side,
        /// Also back.
        symmetric: bool,
    },
    /// Packets between two sides suffer.
    LinkDegrade {
        /// One side.
        from: Side,
        /// The other.
        to: Side,
        /// Also back.
        symmetric: bool,
        /// How.
        change: Degradation,
    },
    /// Writes of these machines take this many times as long; `None` means they do not finish at all.
    SlowDisk(Target, Option<f64>),
    /// Computation of these machines takes this many times as long.
    SlowCpu(Target, f64),
    /// An operator registers a job or a new version of one.
    RegisterJob {
        /// In which region.
        region: RegionId,
        /// The specification.
        job: Arc<Job>,
    },
    /// An operator changes a count.
    ScaleJob {
        /// In which region.
        region: RegionId,
        /// The job's name.
        job: Arc<str>,
        /// The group; the only one if the job has one.
        group: Arc<str>,
        /// The new count.
        count: u32,
    },
    /// An operator stops a job.
    StopJob {
        /// In which region.
        region: RegionId,
        /// The job's name.
        job: Arc<str>,
        /// The job is forgotten at once.
        purge: bool,
    },
    /// Operators do something else to a region's jobs and servers.
    Order {
        /// In which region.
        region: RegionId,
        /// What.
        order: Order,
    },
    /// Operators do something to the nodes that are there when the entry strikes.
    Nodes {
        /// Client machines.
        target: Target,
        /// What.
        deed: NodeDeed,
    },
}

/// How an outage happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageKind {
    /// Machines are off.
    Power,
    /// Machines run, but nothing passes in or out.
    Network,
}

/// One side of a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// A whole region.
    Region(RegionId),
    /// A zone.
    Zone(ZoneId),
    /// Machines.
    Machines(Target),
    /// Everything not on the other side.
    Rest,
}

impl Action {
    /// Whether nothing passes some links while it lasts.
    pub fn cuts_links(&self) -> bool {
        match self {
            Self::Partition { .. }
            | Self::ZoneOutage(_, OutageKind::Network)
            | Self::RegionOutage(_, OutageKind::Network) => true,
            Self::LinkDegrade { change, .. } => change.loss.get() >= 1.0,
            Self::ZoneOutage(_, OutageKind::Power)
            | Self::RegionOutage(_, OutageKind::Power)
            | Self::ProcessKill(_)
            | Self::ProcessPause(_)
            | Self::ProcessRestart(_)
            | Self::NodeCrash(_)
            | Self::SlowDisk(..)
            | Self::SlowCpu(..)
            | Self::RegisterJob { .. }
            | Self::ScaleJob { .. }
            | Self::StopJob { .. }
            | Self::Order { .. }
            | Self::Nodes { .. } => false,
        }
    }
}

/// How packets suffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degradation {
    /// Added one-way delay.
    pub delay: Duration,
    /// Added random delay, uniform up to this.
    pub jitter: Duration,
    /// Share lost.
    pub loss: Ratio,
    /// Share of datagrams sent twice.
    pub duplicate: Ratio,
    /// Share of datagrams held back by up to `jitter` more.
    pub reorder: Ratio,
    /// Bandwidth left, if limited.
    pub bandwidth: Option<BitsPerSecond>,
}

/// What an entry aims at. Random picks are drawn when it strikes, from the run's seed and what is written: the entry's
/// time and label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Candidates.
    pub among: Among,
    /// Which process of them, for process faults; ignored by machine faults.
    pub process: ProcessKind,
    /// How many.
    pub count: Count,
}

/// Who can be hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// One machine by name.
    Machine(MachineId),
    /// The Nomad leader of a region, whoever it is then.
    NomadLeader(RegionId),
    /// The Consul leader of a region.
    ConsulLeader(RegionId),
    /// Nomad servers of a region that do not lead.
    NomadFollowers(RegionId),
    /// Consul servers of a region that do not lead.
    ConsulFollowers(RegionId),
    /// Nomad servers of a region.
    NomadServers(RegionId),
    /// Consul servers of a region.
    ConsulServers(RegionId),
    /// Client machines of a region, in one zone or datacenter if said.
    Clients {
        /// Region.
        region: RegionId,
        /// Only in this zone.
        zone: Option<ZoneId>,
        /// Only in this Nomad datacenter.
        datacenter: Option<Arc<str>>,
    },
    /// Machines that run an allocation of this job then.
    JobMachines {
        /// Region.
        region: RegionId,
        /// The job's name.
        job: Arc<str>,
    },
}

/// How many of the candidates are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// All.
    All,
    /// So many, picked at random; all if there are fewer.
    Random(u32),
}

/// A process of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessKind {
    /// The one the machine is named for: Nomad server, Consul server, Nomad client.
    Main,
    /// Its Consul agent.
    CatalogAgent,
    /// Its tasks of this job (the whole job's if the target is of another kind): instances and proxies.
    Tasks(Arc<str>),
}

/// Releases and options.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nomad `raft_multiplier`. Default 1.
    pub nomad_raft_multiplier: u32,
    /// Consul `raft_multiplier`. Default 5.
    pub consul_raft_multiplier: u32,
    /// Pre-vote in Raft. Default false for the default releases.
    pub pre_vote: bool,
    /// Scheduling workers per Nomad server; `None`: as many as cores.
    pub workers: Option<u16>,
    /// Nodes of a plan verified side by side; `None`: half the cores, at least one.
    pub plan_checkers: Option<u32>,
    /// Algorithm, preemption and the switches of the release.
    pub scheduler: SchedulerConfig,
    /// Time of a worker for an evaluation (`eval_nack_timeout`). Default 60 s.
    pub nack_timeout: Duration,
    /// Deliveries of an evaluation (`eval_delivery_limit`). Default 3.
    pub delivery_limit: u32,
    /// When nodes that reject plans become ineligible. Default: never.
    pub plan_rejections: Option<RejectionConfig>,
    /// Garbage collection.
    pub garbage: GarbageConfig,
    /// What deciding costs.
    pub costs: CostModel,
    /// Nomad `min_heartbeat_ttl`. Default 10 s.
    pub min_heartbeat_ttl: Duration,
    /// Nomad `max_heartbeats_per_second`. Default 50.
    pub max_heartbeats_per_second: f64,
    /// Nomad `heartbeat_grace`. Default 10 s.
    pub heartbeat_grace: Duration,
    /// Nomad `failover_heartbeat_ttl`. Default 300 s.
    pub failover_heartbeat_ttl: Duration,
}
