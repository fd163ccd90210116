//! The scenario file as it is written: RON, every unknown field refused, every quantity a text with its unit.
//!
//! These types are the edge. They say what can be written and what the defaults are; [`crate::scenario::lower`] says
//! what it means. `docs/scenario.md` explains each block to its users.

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(#[cfg_attr(test, schemars(regex(pattern = $pattern)))] pub String);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

/// The JSON Schema of a scenario file. A test holds it to the types below, from which it is made.
pub const JSON_SCHEMA: &str = include_str!("../../../docs/schema/scenario.json");

mod ingress;
mod job;
mod plan;
mod seeds;
mod settings;
mod tasks;
mod timeline;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use ingress::*;
pub use job::*;
pub use plan::*;
pub use seeds::*;
pub use settings::*;
pub use tasks::*;
pub use timeline::*;

text!(
    /// A span of time: `"40m"`, `"1h30m"`, `"250 ms"`.
    DurationText,
    r"^\s*([0-9_.]+\s*(ns|us|µs|ms|s|m|min|h|d)\s*)+$"
);
text!(
    /// Memory or disk: `"48 GiB"`, `"512 MiB"`.
    SizeText,
    r"^\s*[0-9_.]+\s*(KiB|MiB|GiB|TiB|kB|MB|GB|TB)\s*$"
);
text!(
    /// Processor capacity: `"500 MHz"`, `"2.5 GHz"`.
    FrequencyText,
    r"^\s*[0-9_.]+\s*(MHz|GHz)\s*$"
);
text!(
    /// Bandwidth: `"750 Mbit/s"`, `"10 Gbit/s"`.
    BandwidthText,
    r"^\s*[0-9_.]+\s*([kMG]bit/s|Mbps|Gbps)\s*$"
);
text!(
    /// Something per time: `"400/s"`, `"9000/min"`.
    RateText,
    r"^\s*[0-9_.]+\s*/(s|min|m|h)\s*$"
);
text!(
    /// A share: `"95%"`.
    ShareText,
    r"^\s*[0-9_.]+\s*%\s*$"
);
text!(
    /// Whom something hits: `"leader of us-east-1"`, `"2 random clients in us-east-1/b"`, `"us-east-1/nomad-1"`.
    /// The grammar is in docs/scenario.md.
    TargetText,
    r".+"
);

/// A scenario: the world, the work, what befalls it, what is expected.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Names the report folder: letters, digits, `-`, `_`.
    pub name: String,
    /// One or two sentences for the report.
    #[serde(default)]
    pub about: String,
    /// How many seeds are run. Default 10.
    #[serde(default)]
    pub seeds: Seeds,
    /// Simulated length, at most 30 days.
    pub duration: DurationText,
    /// Samples before this are dropped. Default 0.
    #[serde(default)]
    pub warmup: Option<DurationText>,
    /// Regions; each is one Nomad region and one Consul datacenter.
    pub regions: Vec<Region>,
    /// Delays between machines. Default `Preset("aws")`.
    #[serde(default)]
    pub network: Network,
    /// Machine types besides the built-in ones.
    #[serde(default)]
    pub instances: Vec<Instance>,
    /// Jobs registered at the start.
    #[serde(default)]
    pub jobs: Vec<JobSource>,
    /// How instances of services behave.
    #[serde(default)]
    pub services: Vec<Service>,
    /// How tasks end, fail and come up; of several that fit a task, the first holds.
    #[serde(default)]
    pub tasks: Vec<Behaviour>,
    /// Balancers and the proxies behind them.
    #[serde(default)]
    pub ingress: Vec<Ingress>,
    /// User requests.
    #[serde(default)]
    pub traffic: Vec<Traffic>,
    /// Faults and operator actions.
    #[serde(default)]
    pub timeline: Vec<At>,
    /// Objectives: `metric{label=value} statistic op value`.
    #[serde(default)]
    pub expect: Vec<String>,
    /// What `cossim plan` looks for.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// What tells runs apart that are reported as cases: `leaders` (which leaders faults hit), or objectives that hold
    /// in some runs. Default `["leaders"]`.
    #[serde(default)]
    pub group_by: Option<Vec<String>>,
    /// What `cossim sweep` and `cossim sensitivity` vary unless their command line says: as in `--vary`.
    #[serde(default)]
    pub vary: Vec<String>,
    /// Where values of this scenario come from, by their path; one that is left out is simply stated.
    #[serde(default)]
    pub sources: BTreeMap<String, Origin>,
    /// Product releases to follow.
    #[serde(default)]
    pub versions: Versions,
    /// How the Nomad servers schedule.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Settings of the servers.
    #[serde(default)]
    pub options: Options,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Origin {
    /// Somebody measured it.
    Measured,
    /// The product does so unless told otherwise.
    ProductDefault,
    /// It was published.
    Literature,
    /// Nobody knows; it seemed plausible.
    Assumed,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// As `us-east-1`. With the `aws` network it must be one of its regions if there are several.
    pub name: String,
    /// Availability zones, as `["a", "b", "c"]`. Needed unless `like` names a region that has them.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// Take what is left out here from this region.
    #[serde(default)]
    pub like: Option<String>,
    /// Nomad servers. Default three `t3.medium`, as the reference system has.
    #[serde(default)]
    pub nomad: Option<Servers>,
    /// Consul servers. Default three `t3.medium`. `Servers(count: 0)` leaves Consul out, agents included.
    #[serde(default)]
    pub consul: Option<Servers>,
    /// Client machines.
    #[serde(default)]
    pub clients: Option<Vec<Clients>>,
}

/// The servers of one product in one region, spread over its zones round robin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// How many. Default 3; an even number tolerates no more failures than the odd one below it.
    #[serde(default = "default_servers")]
    pub count: u64,
    /// Instance type. Default `t3.medium`.
    #[serde(default = "default_server_instance")]
    pub instance: String,
    /// Disk under the Raft log. Default `gp3`.
    #[serde(default = "default_disk")]
    pub disk: String,
    /// Only these zones of the region.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// Where leadership starts: a zone, or a server's name as `nomad-2`. Default: as it falls.
    #[serde(default)]
    pub first_leader: Option<String>,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            count: default_servers(),
            instance: default_server_instance(),
            disk: default_disk(),
            zones: None,
            first_leader: None,
        }
    }
}

const fn default_servers() -> u64 {
    3
}

fn default_server_instance() -> String {
    "t3.medium".to_owned()
}

fn default_disk() -> String {
    "gp3".to_owned()
}

/// Client machines of one kind, spread over the zones round robin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Nomad datacenter.
    pub datacenter: String,
    /// How many.
    pub count: u64,
    /// Instance type.
    pub instance: String,
    /// Machines are called `region/name-1`, …. Default: the datacenter.
    #[serde(default)]
    pub name: Option<String>,
    /// Only these zones of the region.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// Nomad `node_class`.
    #[serde(default)]
    pub class: String,
    /// Nomad `node_pool`, from Nomad 1.6 on. Default `default`.
    #[serde(default)]
    pub pool: Option<String>,
    /// Disk type. Default `gp3`.
    #[serde(default = "default_disk")]
    pub disk: String,
    /// Disk size. Default `50 GiB`.
    #[serde(default = "default_disk_size")]
    pub disk_size: SizeText,
    /// Nomad `client.meta`, besides `zone`.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Attributes besides those a Linux machine on EC2 has, without the leading `attr.`; they win.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Task drivers. Default `["docker", "exec"]`.
    #[serde(default = "default_drivers")]
    pub drivers: Vec<String>,
    /// Nomad `client.reserved`.
    #[serde(default)]
    pub reserved: Reserved,
    /// Nomad `client.host_volume` names; a leading `ro:` makes one read-only.
    #[serde(default)]
    pub host_volumes: Vec<String>,
    /// Devices of each machine, as device plugins find them.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// Equal devices of one machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// `vendor/type/model`, as `nvidia/gpu/A100`.
    pub name: String,
    /// How many. Default 1.
    #[serde(default)]
    pub count: Option<u64>,
    /// Attributes with their units, as `"memory": "40 GiB"`; rules name them `${device.attr.memory}`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

fn default_disk_size() -> SizeText {
    "50 GiB".into()
}

fn default_drivers() -> Vec<String> {
    vec!["docker".to_owned(), "exec".to_owned()]
}

/// Resources a client keeps from the scheduler (Nomad `client.reserved`). Default nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Processor.
    #[serde(default)]
    pub cpu: Option<FrequencyText>,
    /// Memory.
    #[serde(default)]
    pub memory: Option<SizeText>,
    /// Disk.
    #[serde(default)]
    pub disk: Option<SizeText>,
    /// Ports, as `22,8000-8100`.
    #[serde(default)]
    pub ports: String,
}

/// A machine type of your own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its name in `instance:`.
    pub name: String,
    /// Cores.
    pub cores: u64,
    /// Clock of one core.
    pub clock: FrequencyText,
    /// Memory the operating system can use.
    pub memory: SizeText,
    /// Network interface. Default `1 Gbit/s`.
    #[serde(default = "default_bandwidth")]
    pub bandwidth: BandwidthText,
    /// Price, as `"0.096 USD/h"`; plans need it.
    #[serde(default)]
    pub price: Option<PriceText>,
}

fn default_bandwidth() -> BandwidthText {
    "1 Gbit/s".into()
}

/// Delays between machines.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a file's worth of these, read once")]
pub enum Network {
    /// `aws`, `lan` or `ideal`; `cossim list presets` shows their figures.
    Preset(String),
    /// A preset with some of its figures replaced.
    Links {
        /// The preset that supplies what is left out. Default `aws`.
        #[serde(default = "default_network")]
        base: String,
        /// Between processes of one machine.
        #[serde(default)]
        same_host: Option<Link>,
        /// Between machines of one zone.
        #[serde(default)]
        same_zone: Option<Link>,
        /// Between zones of one region.
        #[serde(default)]
        same_region: Option<Link>,
        /// Between two regions, both ways unless the other way is given too.
        #[serde(default)]
        between: Vec<Between>,
        /// From users to balancers.
        #[serde(default)]
        internet: Option<Link>,
    },
}

impl Default for Network {
    fn default() -> Self {
        Self::Preset(default_network())
    }
}

fn default_network() -> String {
    "aws".to_owned()
}

/// One distance class.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Median delay, one way: half the round trip.
    pub delay: DurationText,
    /// By how much more than `delay` one packet in six (16 %) is late, of a lognormal law; at most 19 times `delay`.
    /// Default 0.
    #[serde(default)]
    pub jitter: Option<DurationText>,
    /// Packets lost. Default 0%.
    #[serde(default)]
    pub loss: Option<ShareText>,
}

/// The distance of two regions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// One region.
    pub from: String,
    /// The other.
    pub to: String,
    /// Their distance.
    pub link: Link,
}

/// How instances of a service serve requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name in the catalog.
    pub name: String,
    /// Requests one instance serves at once. Default 1.
    #[serde(default = "default_concurrency")]
    pub concurrency: u64,
    /// Requests that may wait at one instance; more are answered 503. Default: any number.
    #[serde(default)]
    pub queue: Option<u64>,
    /// How requests share the instance. Default `Fifo`.
    #[serde(default)]
    pub discipline: Discipline,
    /// Work per request.
    pub service_time: ServiceTime,
    /// Time from the start of the task until it serves. Default `568ms`, a cached image on a cloud disk.
    #[serde(default)]
    pub start: Option<DurationText>,
    /// Time to fetch the image to a node that has none of it. Default 0, images are baked in.
    #[serde(default)]
    pub image_pull: Option<DurationText>,
    /// Time the task takes to exit when told to. Default 0. A proxy's ends when it has drained.
    #[serde(default)]
    pub stop: Option<DurationText>,
    /// A request that waited this long is answered 503. Default: it waits. With `Fifo` only.
    #[serde(default)]
    pub queue_timeout: Option<DurationText>,
    /// A client that leaves takes its request along. Default false: the instance works on for nobody, as most do.
    #[serde(default)]
    pub cancel_propagates: bool,
    /// Requests take longer at first. Default: they do not.
    #[serde(default)]
    pub warmup: Option<Warmup>,
}

/// A cold start: `factor` times the work when an instance begins to serve, approaching the normal with time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// At the beginning, at least 1.
    pub factor: f64,
    /// After this long, what is above 1 of it has fallen to 37 % (1/e).
    pub decay: DurationText,
}

const fn default_concurrency() -> u64 {
    1
}

/// Order of service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Discipline {
    /// First come, first served.
    #[default]
    Fifo,
    /// All at once, sharing the instance.
    ProcessorSharing,
}

/// Law of the work per request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum ServiceTime {
    /// Always the same.
    Deterministic(DurationText),
    /// Exponential with this mean.
    Exponential(DurationText),
    /// Lognormal with these percentiles.
    Lognormal {
        /// Median.
        p50: DurationText,
        /// 99th percentile.
        p99: DurationText,
    },
    /// Pareto between two bounds.
    BoundedPareto {
        /// Smallest.
        low: DurationText,
        /// Largest.
        high: DurationText,
        /// Tail index, above 0.
        alpha: f64,
    },
    /// Two exponentials with balanced means: more varied than one.
    Hyperexponential {
        /// Mean.
        mean: DurationText,
        /// Variance over squared mean, at least 1.
        scv: f64,
    },
}
