//! Network, services, ingress and traffic.

use std::sync::Arc;

use super::Lowering;
use super::work::Placed;
use crate::base::id::Id;
use crate::base::id::IdVec;
use crate::base::math;
use crate::base::ordered::OrdSet;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::base::units::Ratio;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::protocol::proxy::registry::ChecksRequired;
use crate::scenario::library::network;
use crate::scenario::schema;
use crate::world::spec::Arrivals;
use crate::world::spec::BalancerSpec;
use crate::world::spec::Discipline;
use crate::world::spec::IngressId;
use crate::world::spec::IngressSpec;
use crate::world::spec::LinkSpec;
use crate::world::spec::Matcher;
use crate::world::spec::NetworkSpec;
use crate::world::spec::Picker;
use crate::world::spec::ServiceSpec;
use crate::world::spec::ServiceTime;
use crate::world::spec::TrafficId;
use crate::world::spec::TrafficSpec;
use crate::world::spec::Warmup;

/// Most that one standard deviation of the logarithm makes of a delay: about 3.
const JITTER_MAX: u64 = 19;

/// What a check can say; the first is what fabio wants to hear.
const STATUSES: [&str; 3] = ["passing", "warning", "critical"];

/// Ingresses with the name traffic refers to.
pub(super) type Ingresses = Vec<(String, IngressSpec)>;

impl Lowering<'_> {
    pub(super) fn network(&mut self) -> NetworkSpec {
        let network = &self.scenario.network;
        let (path, base) = match network {
            schema::Network::Preset(name) => ("network[0]", name),
            schema::Network::Links { base, .. } => ("network.base", base),
        };
        let preset = network::find(base).unwrap_or_else(|| {
            self.unknown(path, "network preset", base, network::PRESETS.iter().map(|preset| preset.name));
            &network::PRESETS[0]
        });
        let mut spec = NetworkSpec {
            same_host: preset.same_host,
            same_zone: preset.same_zone,
            same_region: preset.same_region,
            between_regions: Vec::new(),
            internet: preset.internet,
        };
        let mut pairs: Vec<(RegionId, RegionId, LinkSpec)> = Vec::new();
        if let schema::Network::Links { same_host, same_zone, same_region, between, internet, .. } = network {
            self.link("network.same_host", same_host.as_ref(), &mut spec.same_host);
            self.link("network.same_zone", same_zone.as_ref(), &mut spec.same_zone);
            self.link("network.same_region", same_region.as_ref(), &mut spec.same_region);
            self.link("network.internet", internet.as_ref(), &mut spec.internet);
            for (index, pair) in between.iter().enumerate() {
                let path = format!("network.between[{index}]");
                let from = self.region(&format!("{path}.from"), &pair.from);
                let to = self.region(&format!("{path}.to"), &pair.to);
                let mut link = spec.internet;
                self.link(&format!("{path}.link"), Some(&pair.link), &mut link);
                if let (Some(from), Some(to)) = (from, to) {
                    pairs.push((from, to, link));
                }
            }
        }
        spec.between_regions = self.distances(preset, &pairs);
        spec
    }

    fn distances(&mut self, preset: &network::Preset, pairs: &[(RegionId, RegionId, LinkSpec)]) -> Vec<Vec<LinkSpec>> {
        let names: Vec<Arc<str>> = self.geography.regions.as_slice().iter().map(|region| region.name.clone()).collect();
        let mut unknown: OrdSet<usize> = OrdSet::new();
        let mut rows = Vec::new();
        for (from, from_name) in names.iter().enumerate() {
            let mut row = Vec::new();
            for (to, to_name) in names.iter().enumerate() {
                let given = |a: usize, b: usize| {
                    pairs.iter().rev().find(|(x, y, _)| x.index() == a && y.index() == b).map(|(_, _, link)| *link)
                };
                let link = if from == to || from_name == to_name {
                    Some(preset.same_region)
                } else {
                    given(from, to).or_else(|| given(to, from)).or_else(|| preset.between(from_name, to_name))
                };
                if link.is_none() {
                    let stranger = if network::AWS_REGIONS.contains(&&**from_name) { to } else { from };
                    unknown.insert(stranger);
                }
                row.push(link.unwrap_or(preset.internet));
            }
            rows.push(row);
        }
        for index in unknown {
            let message = format!(
                "the `{}` network does not know how far `{}` is from the other regions",
                preset.name, names[index]
            );
            let hint = crate::scenario::suggest::closest(&names[index], network::AWS_REGIONS).map_or_else(
                || "name the regions as AWS does, or write `network: Links(between: [Between(from: …, to: …, link: Link(delay: …))])`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.error("E004", &format!("regions[{index}].name"), message).hint(hint);
        }
        rows
    }

    fn link(&mut self, path: &str, written: Option<&schema::Link>, link: &mut LinkSpec) {
        let Some(written) = written else { return };
        let delay = self.duration(&format!("{path}.delay"), &written.delay);
        let jitter = self.duration_or(&format!("{path}.jitter"), written.jitter.as_ref(), Duration::ZERO);
        if jitter > delay * JITTER_MAX {
            let message = format!("a jitter of {jitter} is more than {JITTER_MAX} times the delay of {delay}");
            self.error("E015", &format!("{path}.jitter"), message).hint("write less, or a longer `delay`");
        }
        // One standard deviation of the logarithm above the median, which 15.9 % are beyond.
        let share = if delay.is_zero() { 0.0 } else { jitter.as_secs_f64() / delay.as_secs_f64() };
        *link = LinkSpec {
            delay,
            jitter_sigma: math::ln(1.0 + share),
            loss: self.share_or_zero(&format!("{path}.loss"), written.loss.as_ref()),
        };
    }

    pub(super) fn services(&mut self, jobs: &[Placed]) -> Vec<ServiceSpec> {
        let declared: OrdSet<String> =
            jobs.iter().flat_map(|job| job.spec.job.service_names()).map(ToString::to_string).collect();
        let mut out: Vec<ServiceSpec> = Vec::new();
        for (index, written) in self.scenario.services.iter().enumerate() {
            let path = format!("services[{index}]");
            if out.iter().any(|other| *other.name == *written.name) {
                self.error("E005", &format!("{path}.name"), format!("there are two services `{}`", written.name))
                    .hint("put what they say into one of them");
            }
            if !declared.contains(&written.name) {
                let hint = crate::scenario::suggest::hint(&written.name, declared.iter().map(String::as_str));
                let message = format!("no job at the start registers a service `{}`", written.name);
                self.warning("W004", &format!("{path}.name"), message).hint(hint);
            }
            out.push(ServiceSpec {
                name: written.name.as_str().into(),
                concurrency: self.count(&format!("{path}.concurrency"), written.concurrency, 1..=1_000_000),
                queue_limit: written.queue.map(|queue| self.count(&format!("{path}.queue"), queue, 0..=1_000_000_000)),
                discipline: match written.discipline {
                    schema::Discipline::Fifo => Discipline::Fifo,
                    schema::Discipline::ProcessorSharing => Discipline::ProcessorSharing,
                },
                service_time: self.service_time(&format!("{path}.service_time"), &written.service_time),
                start: self.duration_or(&format!("{path}.start"), written.start.as_ref(), Duration::from_millis(568)),
                image_pull: self.duration_or(
                    &format!("{path}.image_pull"),
                    written.image_pull.as_ref(),
                    Duration::ZERO,
                ),
                stop: self.duration_or(&format!("{path}.stop"), written.stop.as_ref(), Duration::ZERO),
                queue_timeout: self.queue_timeout(&format!("{path}.queue_timeout"), written),
                cancel_propagates: written.cancel_propagates,
                warmup: written.warmup.as_ref().map(|warmup| Warmup {
                    factor: self.number(&format!("{path}.warmup.factor"), warmup.factor, 1.0..=1_000.0),
                    decay: self.span_or(&format!("{path}.warmup.decay"), Some(&warmup.decay), Duration::ZERO),
                }),
            });
        }
        out
    }

    fn queue_timeout(&mut self, path: &str, written: &schema::Service) -> Option<Duration> {
        let limit = self.span_or(path, Some(written.queue_timeout.as_ref()?), Duration::ZERO);
        if written.discipline == schema::Discipline::ProcessorSharing {
            self.error("E015", path, "nothing waits where all requests share the instance")
                .hint("leave it out, or serve `Fifo`");
        }
        Some(limit)
    }

    pub(super) fn service_time(&mut self, path: &str, written: &schema::ServiceTime) -> ServiceTime {
        match written {
            schema::ServiceTime::Deterministic(mean) => {
                ServiceTime::Deterministic(self.span_or(&format!("{path}[0]"), Some(mean), Duration::ZERO))
            }
            schema::ServiceTime::Exponential(mean) => {
                ServiceTime::Exponential(self.span_or(&format!("{path}[0]"), Some(mean), Duration::ZERO))
            }
            schema::ServiceTime::Lognormal { p50, p99 } => {
                let p50 = self.span_or(&format!("{path}.p50"), Some(p50), Duration::ZERO);
                let p99 = self.span_or(&format!("{path}.p99"), Some(p99), Duration::ZERO);
                if p99 < p50 {
                    self.error(
                        "E015",
                        &format!("{path}.p99"),
                        format!("the 99th percentile {p99} is below the median {p50}"),
                    )
                    .hint("let `p99` be at least `p50`");
                }
                ServiceTime::Lognormal { p50, p99 }
            }
            schema::ServiceTime::BoundedPareto { low, high, alpha } => {
                let low = self.span_or(&format!("{path}.low"), Some(low), Duration::ZERO);
                let high = self.span_or(&format!("{path}.high"), Some(high), Duration::ZERO);
                if high <= low {
                    self.error(
                        "E015",
                        &format!("{path}.high"),
                        format!("the largest {high} is not above the smallest {low}"),
                    )
                    .hint("let `high` be above `low`");
                }
                let alpha = self.number(&format!("{path}.alpha"), *alpha, 0.01..=100.0);
                ServiceTime::BoundedPareto { low, high, alpha }
            }
            schema::ServiceTime::Hyperexponential { mean, scv } => ServiceTime::Hyperexponential {
                mean: self.span_or(&format!("{path}.mean"), Some(mean), Duration::ZERO),
                scv: self.number(&format!("{path}.scv"), *scv, 1.0..=1_000.0),
            },
        }
    }

    pub(super) fn ingresses(&mut self, jobs: &[Placed]) -> Ingresses {
        let mut out: Ingresses = Vec::new();
        let release = self.fabio_release();
        for (index, written) in self.scenario.ingress.iter().enumerate() {
            let path = format!("ingress[{index}]");
            let name = written.name.clone().unwrap_or_else(|| written.job.clone());
            let region = match &written.region {
                Some(region) => self.region(&format!("{path}.region"), region),
                None => self.geography.regions.ids().next(),
            };
            let Some(region) = region else { continue };
            let place = &self.geography.regions[region];
            if !place.has_consul() {
                let message = format!("`{}` has no Consul to tell proxies whom to pass requests to", place.name);
                self.error("E015", &path, message).hint("give the region Consul servers");
            }
            if out.iter().any(|(other, spec)| *other == name && spec.region == region) {
                self.error("E005", &path, format!("there are two ingresses `{name}` in one region"))
                    .hint("give one of them a `name`");
            }
            let job = jobs.iter().find(|job| *job.spec.job.name == *written.job && job.spec.region == region);
            if let Some(job) = job {
                self.ingress_port(&path, written.port.as_deref(), &job.spec.job);
            } else {
                let here = jobs.iter().filter(|job| job.spec.region == region);
                let known: Vec<Arc<str>> = here.map(|job| job.spec.job.name.clone()).collect();
                self.unknown(&format!("{path}.job"), "job", &written.job, known.iter().map(|name| &**name));
            }
            let spec = IngressSpec {
                region,
                job: written.job.as_str().into(),
                strategy: match written.strategy {
                    schema::Strategy::Random => Picker::Random,
                    schema::Strategy::RoundRobin => Picker::RoundRobin,
                },
                matcher: match written.matcher {
                    schema::Matcher::Prefix => Matcher::Prefix,
                    schema::Matcher::PrefixIgnoringCase => Matcher::PrefixIgnoringCase,
                    schema::Matcher::Glob => Matcher::Glob,
                },
                release,
                checks_required: match written.checks_required {
                    schema::ChecksRequired::One => ChecksRequired::One,
                    schema::ChecksRequired::All => ChecksRequired::All,
                },
                statuses: self.statuses(&format!("{path}.statuses"), written.statuses.as_deref()),
                no_route_status: self.no_route_status(&path, written),
                overrides: written.overrides.as_str().into(),
                dial_timeout: self.span_or(
                    &format!("{path}.dial_timeout"),
                    written.dial_timeout.as_ref(),
                    Duration::from_secs(30),
                ),
                response_header_timeout: written
                    .response_header_timeout
                    .as_ref()
                    .map(|span| self.span_or(&format!("{path}.response_header_timeout"), Some(span), Duration::ZERO)),
                deregister_grace: self.duration_or(
                    &format!("{path}.deregister_grace"),
                    written.deregister_grace.as_ref(),
                    Duration::ZERO,
                ),
                shutdown_wait: self.duration_or(
                    &format!("{path}.shutdown_wait"),
                    written.shutdown_wait.as_ref(),
                    Duration::ZERO,
                ),
                balancer: self.balancer(&format!("{path}.balancer"), &written.balancer),
            };
            out.push((name, spec));
        }
        out
    }

    fn statuses(&mut self, path: &str, written: Option<&[String]>) -> Vec<String> {
        let Some(written) = written else { return vec![STATUSES[0].to_owned()] };
        for (index, status) in written.iter().enumerate().filter(|(_, status)| !STATUSES.contains(&status.as_str())) {
            self.unknown(&format!("{path}[{index}]"), "status of checks", status, STATUSES);
        }
        if written.is_empty() {
            self.error("E015", path, "no instance would ever get a request")
                .hint("name one, as `[\"passing\"]`, or leave it out");
        }
        written.to_vec()
    }

    fn no_route_status(&mut self, path: &str, written: &schema::Ingress) -> u16 {
        let status = self.count(&format!("{path}.no_route_status"), written.no_route_status.unwrap_or(404), 100..=999);
        u16::try_from(status).expect("a status has three digits")
    }

    fn ingress_port(&mut self, path: &str, port: Option<&str>, job: &Job) {
        let Some(port) = port else { return };
        let labels = port_labels(job);
        if !labels.contains(port) {
            self.unknown(
                &format!("{path}.port"),
                &format!("port of `{}` called", job.name),
                port,
                labels.iter().map(String::as_str),
            );
        }
    }

    fn balancer(&mut self, path: &str, written: &schema::Balancer) -> BalancerSpec {
        let schema::Balancer::Alb { interval, timeout, healthy, unhealthy, cross_zone, least_outstanding, dns_ttl } =
            written;
        let interval = self.tick_or(&format!("{path}.interval"), interval.as_ref(), Duration::from_secs(30));
        let timeout = self.span_or(&format!("{path}.timeout"), timeout.as_ref(), Duration::from_secs(5));
        if timeout >= interval {
            self.error("E015", &format!("{path}.timeout"), format!("a check that may take {timeout} every {interval}"))
                .hint("make `timeout` shorter than `interval`");
        }
        BalancerSpec {
            interval,
            timeout,
            healthy: self.count(&format!("{path}.healthy"), healthy.unwrap_or(5), 2..=10),
            unhealthy: self.count(&format!("{path}.unhealthy"), unhealthy.unwrap_or(2), 2..=10),
            cross_zone: cross_zone.unwrap_or(true),
            least_outstanding: least_outstanding.unwrap_or(false),
            dns_ttl: self.tick_or(&format!("{path}.dns_ttl"), dns_ttl.as_ref(), Duration::from_secs(60)),
        }
    }

    pub(super) fn traffic(
        &mut self,
        ingresses: &Ingresses,
        warmup: Duration,
        duration: Duration,
    ) -> IdVec<TrafficId, TrafficSpec> {
        let mut out: IdVec<TrafficId, TrafficSpec> = IdVec::new();
        for (index, written) in self.scenario.traffic.iter().enumerate() {
            let path = format!("traffic[{index}]");
            if out.as_slice().iter().any(|other| *other.name == *written.name) {
                self.error("E005", &format!("{path}.name"), format!("there are two streams `{}`", written.name))
                    .hint("give one of them another name");
            }
            let start = self.duration_or(&format!("{path}.start"), written.start.as_ref(), warmup);
            if start >= duration && !duration.is_zero() {
                self.error(
                    "E007",
                    &format!("{path}.start"),
                    format!("it starts at {start}, the run ends at {duration}"),
                )
                .hint("make `duration` longer, or let it start earlier");
            }
            let rates_per_second = self.rates(&path, written);
            let address = written.to.trim().trim_start_matches("http://").trim_start_matches("https://");
            let (host, rest) = address.split_at(address.find('/').unwrap_or(address.len()));
            if address.is_empty() || address.contains(char::is_whitespace) {
                self.error("E015", &format!("{path}.to"), "a stream goes to a host and a path")
                    .hint("write them without spaces, as `shop.example.com/cart`");
            }
            let ingress = self.traffic_ingress(&path, written, ingresses);
            out.push(TrafficSpec {
                name: written.name.as_str().into(),
                ingress: ingress.unwrap_or(IngressId(0)),
                host: host.into(),
                path: if rest.is_empty() { "/".into() } else { rest.into() },
                service: "unknown".into(),
                rates_per_second,
                start: Time::ZERO + start,
                arrivals: match written.arrivals {
                    schema::Arrivals::Poisson => Arrivals::Poisson,
                    schema::Arrivals::Even => Arrivals::Even,
                },
                timeout: self.span_or(&format!("{path}.timeout"), written.timeout.as_ref(), Duration::from_secs(30)),
                retries: self.count(&format!("{path}.retries"), written.retries, 0..=100),
                backoff: self.duration_or(
                    &format!("{path}.backoff"),
                    written.backoff.as_ref(),
                    Duration::from_millis(100),
                ),
                retry_budget: self.retry_budget(&path, written),
                keep_alive: written.keep_alive,
            });
        }
        out
    }

    fn retry_budget(&mut self, path: &str, written: &schema::Traffic) -> Option<Ratio> {
        let path = format!("{path}.retry_budget");
        let share = self.share_or_zero(&path, Some(written.retry_budget.as_ref()?));
        if written.retries == 0 {
            self.error("E015", &path, "there are no retries that it could bound").hint("say how many `retries`");
        }
        Some(share)
    }

    fn rates(&mut self, path: &str, written: &schema::Traffic) -> Vec<(Time, f64)> {
        let first = self.rate(&format!("{path}.rate"), &written.rate);
        let mut rates = vec![(Time::ZERO, self.number(&format!("{path}.rate"), first, 0.0..=10_000_000.0))];
        for (index, schema::RateFrom(at, rate)) in written.changes.iter().enumerate() {
            let path = format!("{path}.changes[{index}]");
            let at = self.instant_or_zero(&format!("{path}[0]"), Some(at));
            let rate = self.rate(&format!("{path}[1]"), rate);
            if rates.last().is_some_and(|(before, _)| at <= *before) {
                self.error(
                    "E007",
                    &format!("{path}[0]"),
                    "changes of the rate are in order of time, each later than the one before",
                )
                .hint("sort them, and let the first be later than `0s`");
            }
            rates.push((at, self.number(&format!("{path}[1]"), rate, 0.0..=10_000_000.0)));
        }
        rates
    }

    fn traffic_ingress(&mut self, path: &str, written: &schema::Traffic, ingresses: &Ingresses) -> Option<IngressId> {
        let region = match &written.region {
            Some(region) => Some(self.region(&format!("{path}.region"), region)?),
            None => None,
        };
        let fits = |(name, spec): &(String, IngressSpec)| {
            written.ingress.as_ref().is_none_or(|wanted| wanted == name)
                && region.is_none_or(|region| region == spec.region)
        };
        let matching: Vec<usize> = (0..ingresses.len()).filter(|index| fits(&ingresses[*index])).collect();
        match (matching.as_slice(), &written.ingress) {
            ([first], _) => Some(IngressId::from_index(*first)),
            ([first, ..], _) if region.is_some() => Some(IngressId::from_index(*first)),
            ([], Some(name)) => {
                let known: Vec<&str> = ingresses.iter().map(|(name, _)| name.as_str()).collect();
                self.unknown(&format!("{path}.ingress"), "ingress", name, known.iter().copied());
                None
            }
            ([], None) => {
                // An ingress that was itself wrong has been reported already.
                if self.scenario.ingress.len() == ingresses.len() {
                    self.error("E004", path, format!("stream `{}` has no ingress to arrive at", written.name))
                        .hint("write `ingress: [Ingress(job: \"fabio\")]`, with the `region` the stream is for");
                }
                None
            }
            ([_, _, ..], _) => {
                self.error("E015", path, format!("stream `{}` could arrive at several ingresses", written.name))
                    .hint("say which by `ingress:` or `region:`");
                None
            }
        }
    }
}

fn port_labels(job: &Job) -> OrdSet<String> {
    let groups = job.groups.iter().flat_map(|group| &group.networks);
    let tasks = job.groups.iter().flat_map(|group| &group.tasks).flat_map(|task| &task.resources.networks);
    groups.chain(tasks).flat_map(|network| &network.ports).map(|port| port.label.clone()).collect()
}
