//! Balancers, proxies and the requests that come in through them.

use serde::Deserialize;

use super::DurationText;
use super::RateText;
use super::ShareText;

/// A balancer in front of the proxies of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// The proxies' job.
    pub job: String,
    /// How traffic refers to it. Default: the job's name.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it stands. Default the first region.
    #[serde(default)]
    pub region: Option<String>,
    /// Label of the port that receives requests; must be one of the job's.
    #[serde(default)]
    pub port: Option<String>,
    /// fabio `proxy.strategy`. Default `Random`, as in fabio.
    #[serde(default)]
    pub strategy: Strategy,
    /// fabio `proxy.matcher`. Default `Prefix`, as in fabio.
    #[serde(default)]
    pub matcher: Matcher,
    /// fabio `registry.consul.checksRequired`. Default `One`, as in fabio.
    #[serde(default)]
    pub checks_required: ChecksRequired,
    /// fabio `registry.consul.service.status`: what the checks of an instance may say for it to get requests. Default
    /// `["passing"]`, as in fabio.
    #[serde(default)]
    pub statuses: Option<Vec<String>>,
    /// fabio `proxy.noroutestatus`, 100 to 999. Default 404.
    #[serde(default)]
    pub no_route_status: Option<u64>,
    /// Route commands below `/fabio/config` in Consul's key-value store, which come after the services' own:
    /// `"route weight web shop.example.com/ weight 0.1 tags \"canary\""`. Default none.
    #[serde(default)]
    pub overrides: String,
    /// fabio `proxy.dialtimeout`. Default `30s`.
    #[serde(default)]
    pub dial_timeout: Option<DurationText>,
    /// fabio `proxy.responseheadertimeout`. Default: it waits.
    #[serde(default)]
    pub response_header_timeout: Option<DurationText>,
    /// fabio `proxy.deregistergraceperiod`: time between a proxy's farewell to Consul and its last new request. Default
    /// 0.
    #[serde(default)]
    pub deregister_grace: Option<DurationText>,
    /// fabio `proxy.shutdownwait`: time a proxy that ends has for its last requests. Default 0.
    #[serde(default)]
    pub shutdown_wait: Option<DurationText>,
    /// What stands before the proxies. Default `Alb()`.
    #[serde(default)]
    pub balancer: Balancer,
}

/// How proxies pick an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Strategy {
    /// `rnd`
    #[default]
    Random,
    /// `rr`
    RoundRobin,
}

/// How proxies match paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Matcher {
    /// `prefix`
    #[default]
    Prefix,
    /// `iprefix`
    PrefixIgnoringCase,
    /// `glob`
    Glob,
}

/// Which checks of an instance must pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ChecksRequired {
    /// One is enough.
    #[default]
    One,
    /// Every one.
    All,
}

/// What stands before the proxies.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum Balancer {
    /// An AWS application load balancer.
    Alb {
        /// Health check interval. Default `30s`.
        #[serde(default)]
        interval: Option<DurationText>,
        /// Health check timeout. Default `5s`.
        #[serde(default)]
        timeout: Option<DurationText>,
        /// Successes before healthy, 2 to 10. Default 5.
        #[serde(default)]
        healthy: Option<u64>,
        /// Failures before unhealthy, 2 to 10. Default 2.
        #[serde(default)]
        unhealthy: Option<u64>,
        /// Targets of all zones. Default true.
        #[serde(default)]
        cross_zone: Option<bool>,
        /// Least outstanding requests instead of round robin. Default false.
        #[serde(default)]
        least_outstanding: Option<bool>,
        /// Time to live of its DNS answer. Default `60s`.
        #[serde(default)]
        dns_ttl: Option<DurationText>,
    },
}

impl Default for Balancer {
    fn default() -> Self {
        Self::Alb {
            interval: None,
            timeout: None,
            healthy: None,
            unhealthy: None,
            cross_zone: None,
            least_outstanding: None,
            dns_ttl: None,
        }
    }
}

/// A stream of user requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Unique.
    pub name: String,
    /// Host and path, as `shop.example.com/cart`.
    pub to: String,
    /// Requests per time.
    pub rate: RateText,
    /// Other rates from later instants on.
    #[serde(default)]
    pub changes: Vec<RateFrom>,
    /// The ingress it arrives at. Default: the only one, or the first in `region`.
    #[serde(default)]
    pub ingress: Option<String>,
    /// The region it arrives in.
    #[serde(default)]
    pub region: Option<String>,
    /// When it starts. Default: at the end of the warm-up.
    #[serde(default)]
    pub start: Option<DurationText>,
    /// How arrivals are spaced. Default `Poisson`.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// A user gives up after this long. Default `30s`.
    #[serde(default)]
    pub timeout: Option<DurationText>,
    /// Tries after the first. Default 0.
    #[serde(default)]
    pub retries: u64,
    /// First backoff between tries; it doubles, with full jitter. Default `100ms`.
    #[serde(default)]
    pub backoff: Option<DurationText>,
    /// Retries in all, as a share of the requests: `"10%"`. Default: any number.
    #[serde(default)]
    pub retry_budget: Option<ShareText>,
    /// Requests reuse a warm connection. Default true.
    #[serde(default = "default_keep_alive")]
    pub keep_alive: bool,
}

const fn default_keep_alive() -> bool {
    true
}

/// `From("10m", "800/s")`: the rate from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename = "From")]
pub struct RateFrom(pub DurationText, pub RateText);

/// Law of the time between requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Arrivals {
    /// Exponential gaps.
    #[default]
    Poisson,
    /// Equal gaps.
    Even,
}
