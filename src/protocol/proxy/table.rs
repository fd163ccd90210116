//! The routing table: hosts, their routes by descending path, and the lookup (fabio `route.Table`).
//!
//! A table is built whole from commands or not at all, and never changes afterwards; round-robin counters live with its
//! user. Tables share the targets they have in common. Descending byte order of paths is what makes the longer of two
//! prefixes win.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::base::ordered::{OrdMap, OrdSet};
use crate::protocol::proxy::access::Access;
use crate::protocol::proxy::command::{CommandError, Delete, Weigh};
use crate::protocol::proxy::configuration::{Configuration, Order, Piece};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::glob::{Glob, GlobError};
use crate::protocol::proxy::redirect::{self, Rewrite};
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::target::{Addition, Target, split_source};
use crate::protocol::proxy::url::{Url, UrlError};
use crate::protocol::proxy::weight::Shares;

/// Why a configuration makes no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A line that is no command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A target that is no URL.
    #[error("route: invalid target. {0}")]
    Target(#[from] UrlError),
    /// A path that is no glob.
    #[error("{0}")]
    Path(#[from] GlobError),
    /// `route weight` without a match, up to fabio 1.6.3.
    #[error("route: no target match")]
    NoMatch,
}

/// How far it came with a configuration that makes no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Commands before the one that failed; none are carried out where some line is no command.
    pub carried_out: usize,
    /// What is wrong.
    pub error: TableError,
}

/// Targets that share host and path.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Lower-case host pattern; empty for generic routes, `:port` for TCP.
    pub host: String,
    /// Path prefix or pattern; empty for TCP.
    pub path: String,
    /// In order of configuration; tables share those they have in common.
    pub targets: Vec<Arc<Target>>,
    /// Their shares.
    pub shares: Shares,
    glob: Glob,
    lower_path: String,
}

/// `proxy.matcher`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matcher {
    /// The request path starts with the route's.
    #[default]
    Prefix,
    /// The same, ignoring case.
    InsensitivePrefix,
    /// The whole request path matches the route's as a glob.
    Glob,
}

impl Matcher {
    fn accepts(self, path: &str, route: &Route) -> bool {
        match self {
            Self::Prefix => path.starts_with(&route.path),
            Self::InsensitivePrefix => path.to_lowercase().starts_with(&route.lower_path),
            Self::Glob => route.glob.matches(path),
        }
    }
}

/// How table hosts are matched: `glob.matching.disabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostMatching {
    /// As globs, ignoring case.
    #[default]
    Glob,
    /// Exactly; a request host in upper case never matches.
    Exact,
}

/// What a lookup depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request<'a> {
    /// `Host` header.
    pub host: &'a str,
    /// Decoded path.
    pub path: &'a str,
    /// Encoded path if it differs from the default encoding, else empty.
    pub raw_path: &'a str,
    /// Query.
    pub query: &'a str,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// `X-Forwarded-Proto`.
    pub forwarded_proto: &'a str,
}

/// A route's place: host index, then route index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutePlace {
    host: u32,
    route: u32,
}

/// Hosts in table order, each with its routes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    hosts: Vec<Host>,
    endpoints: Arc<[Endpoint]>,
}

#[derive(Debug, Clone, PartialEq)]
struct Host {
    name: String,
    patterns: [Option<Glob>; 2],
    /// Sum of the route counts of the hosts before it: makes route numbers dense.
    first_route: u32,
    routes: Vec<Route>,
}

impl Table {
    /// Reads and builds.
    pub fn parse(text: &str, release: Release) -> Result<Self, TableError> {
        Self::of(&Configuration::new(vec![Arc::new(Piece::read(text.to_owned()))]), release)
    }

    /// Carries out the commands strictly in order.
    pub fn of(configuration: &Configuration, release: Release) -> Result<Self, TableError> {
        Self::build(configuration, release).map_err(|refusal| refusal.error)
    }

    /// The same; on an error, also where it is.
    pub fn build(configuration: &Configuration, release: Release) -> Result<Self, Refusal> {
        let mut draft = Draft { hosts: OrdMap::new(), added: OrdSet::new(), release };
        let at = |carried_out: usize| move |error| Refusal { carried_out, error };
        let orders = configuration.orders().map_err(|error| at(0)(error.into()))?;
        for (place, order) in orders.enumerate() {
            let done = match order {
                Order::Add(addition) => draft.add(addition),
                Order::Delete(delete) => draft.delete(delete),
                Order::Weigh(weigh) => draft.weigh(weigh),
            };
            done.map_err(at(place))?;
        }
        Ok(draft.finish())
    }

    /// Every listener the table sends requests to, in ascending order.
    pub fn endpoints(&self) -> &Arc<[Endpoint]> {
        &self.endpoints
    }

    /// All routes, hosts in ascending order.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.hosts.iter().flat_map(|host| &host.routes)
    }

    /// How many routes there are.
    pub fn route_count(&self) -> usize {
        self.hosts.iter().map(|host| host.routes.len()).sum()
    }

    /// The route at a place.
    pub fn route(&self, place: RoutePlace) -> &Route {
        &self.hosts[place.host as usize].routes[place.route as usize]
    }

    /// A dense number of the route, for counters.
    pub fn route_number(&self, place: RoutePlace) -> usize {
        (self.hosts[place.host as usize].first_route + place.route) as usize
    }

    /// For each matching host, most specific first and the generic one last, the route that decides for the path. The
    /// first of them takes the request, unless it is a redirect to where the request already is.
    pub fn candidates(&self, request: Request<'_>, matcher: Matcher, hosts: HostMatching) -> Vec<RoutePlace> {
        let mut matching = self.matching_hosts(request, hosts);
        matching.sort_by_cached_key(|&host| std::cmp::Reverse(reverse_host(&self.hosts[host].name)));
        let mut places: Vec<RoutePlace> = Vec::with_capacity(matching.len() + 1);
        for host in matching.into_iter().chain(self.host_named("")) {
            places.extend(self.first_accepting(host, request.path, matcher));
        }
        places
    }

    /// TCP and SNI lookup: by `:port` or server name.
    pub fn candidate_by_host(&self, host: &str) -> Option<RoutePlace> {
        self.host_named(&host.to_lowercase()).and_then(|host| self.first_accepting(host, "/", Matcher::Prefix))
    }

    /// The target for a request. `pick` chooses one of a route's targets by index.
    ///
    /// A redirect to the same scheme, host and path is skipped in favour of what later hosts say; skipped on the last
    /// host it is still the answer.
    pub fn choose<'t>(
        &'t self,
        candidates: &[RoutePlace],
        request: Request<'_>,
        mut pick: impl FnMut(RoutePlace, &Route) -> usize,
    ) -> Option<(RoutePlace, &'t Target)> {
        let (mut chosen, mut is_last_generic) = (None, false);
        for &place in candidates {
            let route = self.route(place);
            let target: &Target = &route.targets[pick(place, route)];
            chosen = Some((place, target));
            is_last_generic = route.host.is_empty();
            if target.redirect_code.is_none() || !loops(target, request) {
                return chosen;
            }
        }
        // Every candidate was a skipped redirect: the generic host, looked at last, has the last word.
        if is_last_generic { chosen } else { None }
    }

    /// The table as commands, with the weights the user gave.
    pub fn canonical(&self) -> Vec<String> {
        self.print(WeightShown::Fixed)
    }

    /// The table as commands, with the shares in force.
    pub fn effective(&self) -> Vec<String> {
        self.print(WeightShown::Effective)
    }

    fn print(&self, shown: WeightShown) -> Vec<String> {
        let named = self.hosts.iter().rev().filter(|host| !host.name.is_empty());
        let generic = self.hosts.iter().filter(|host| host.name.is_empty());
        let mut lines = Vec::new();
        for route in named.chain(generic).flat_map(|host| &host.routes) {
            for (target, &weight) in route.targets.iter().zip(&route.shares.weights) {
                if weight > 0.0 {
                    lines.push(print_target(route, target, weight, shown));
                }
            }
        }
        lines
    }

    fn host_named(&self, name: &str) -> Option<usize> {
        self.hosts.binary_search_by(|host| host.name.as_str().cmp(name)).ok()
    }

    fn first_accepting(&self, host: usize, path: &str, matcher: Matcher) -> Option<RoutePlace> {
        let route = self.hosts[host].routes.iter().position(|route| matcher.accepts(path, route))?;
        Some(RoutePlace { host: index(host), route: index(route) })
    }

    fn matching_hosts(&self, request: Request<'_>, hosts: HostMatching) -> Vec<usize> {
        let exact = strip_default_port(request.host, request.tls);
        let lower = exact.to_lowercase();
        let is_match = |host: &Host| match hosts {
            HostMatching::Glob => {
                host.patterns[usize::from(request.tls)].as_ref().is_some_and(|glob| glob.matches(&lower))
            }
            HostMatching::Exact => strip_default_port(&host.name, request.tls) == exact,
        };
        (0..self.hosts.len()).filter(|&host| is_match(&self.hosts[host])).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WeightShown {
    Fixed,
    Effective,
}

fn print_target(route: &Route, target: &Target, weight: f64, shown: WeightShown) -> String {
    let mut line = format!("route add {} {}{} {}", target.service, route.host, route.path, target.url);
    // Writing to a string cannot fail.
    let _ = match shown {
        WeightShown::Effective => write!(line, " weight {weight:.4}"),
        WeightShown::Fixed if target.fixed_weight > 0.0 => write!(line, " weight {:.4}", target.fixed_weight),
        WeightShown::Fixed => Ok(()),
    };
    if !target.tags.is_empty() {
        let _ = write!(line, " tags {}", quote(&target.tags.join(",")));
    }
    if !target.options.is_empty() {
        let options: Vec<String> = target.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let _ = write!(line, " opts \"{}\"", options.join(" "));
    }
    line
}

/// A text in Go's `%q` form, as far as tags need it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The URL a target redirects this request to.
pub fn redirect_location(target: &Target, request: Request<'_>) -> Url {
    let url = Url {
        host: request.host.to_owned(),
        path: request.path.to_owned(),
        raw_path: request.raw_path.to_owned(),
        query: request.query.to_owned(),
        ..Url::default()
    };
    let rewrite = Rewrite { strip: target.option("strip"), prepend: target.option("prepend") };
    redirect::location(&target.url, rewrite, &url)
}

fn loops(target: &Target, request: Request<'_>) -> bool {
    let to = redirect_location(target, request);
    to.scheme == request.forwarded_proto && to.host == request.host && to.path == request.path
}

fn strip_default_port(host: &str, tls: bool) -> &str {
    host.strip_suffix(if tls { ":443" } else { ":80" }).unwrap_or(host)
}

/// The host with its name reversed and its port, if any, kept at the end: sorts by specificity.
fn reverse_host(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.is_empty() && !name.contains(':') => {
            format!("{}:{port}", name.chars().rev().collect::<String>())
        }
        _ => host.chars().rev().collect(),
    }
}

fn index(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 routes")
}

struct Draft {
    /// By name; the routes of each by path.
    hosts: OrdMap<String, OrdMap<String, Route>>,
    /// Hashes of all targets ever added, each with its route's place: what is not here is no repetition.
    added: OrdSet<u64>,
    release: Release,
}

impl Draft {
    fn add(&mut self, addition: &Addition) -> Result<(), TableError> {
        let Addition { host, path, target, hash } = addition;
        let target = self.fit(target.as_ref().map_err(Clone::clone)?);
        let is_first = self.added.insert(*hash);
        if let Some(route) = self.hosts.get_mut(host).and_then(|routes| routes.get_mut(path)) {
            if is_first || !has_equal(route, &target) {
                route.targets.push(target);
            }
            return Ok(());
        }
        let (glob, lower_path) = (Glob::compile(path)?, path.to_lowercase());
        let (targets, shares) = (vec![target], Shares::default());
        let route = Route { host: host.clone(), path: path.clone(), targets, shares, glob, lower_path };
        self.hosts.entry(host.clone()).or_default().insert(path.clone(), route);
        Ok(())
    }

    /// The target as this release sees it.
    fn fit(&self, target: &Arc<Target>) -> Arc<Target> {
        if self.release.has_access_rules() || target.access.is_open() {
            return Arc::clone(target);
        }
        Arc::new(Target { access: Access::default(), ..Target::clone(target) })
    }

    fn delete(&mut self, delete: &Delete) -> Result<(), TableError> {
        let of_service = |target: &Arc<Target>| target.service == delete.service;
        if !delete.tags.is_empty() {
            for route in self.hosts.values_mut().flat_map(OrdMap::values_mut) {
                route.targets.retain(|target| {
                    !((delete.service.is_empty() || of_service(target)) && has_all(&target.tags, &delete.tags))
                });
            }
        } else if delete.source.is_empty() {
            for route in self.hosts.values_mut().flat_map(OrdMap::values_mut) {
                route.targets.retain(|target| !of_service(target));
            }
        } else {
            let text = if delete.target.is_empty() { None } else { Some(Url::parse(&delete.target)?.to_string()) };
            if let Some(route) = self.find(&delete.source) {
                route
                    .targets
                    .retain(|target| !(of_service(target) && text.as_ref().is_none_or(|text| *text == target.text)));
            }
        }
        for routes in self.hosts.values_mut() {
            routes.retain(|_, route| !route.targets.is_empty());
        }
        self.hosts.retain(|_, routes| !routes.is_empty());
        Ok(())
    }

    fn weigh(&mut self, weigh: &Weigh) -> Result<(), TableError> {
        let is_match = |target: &Arc<Target>| {
            (weigh.service.is_empty() || target.service == weigh.service) && has_all(&target.tags, &weigh.tags)
        };
        let release = self.release;
        let matched: Vec<&mut Arc<Target>> = self
            .find(&weigh.source)
            .map(|route| route.targets.iter_mut().filter(|target| is_match(target)).collect())
            .unwrap_or_default();
        if matched.is_empty() && !release.ignores_unmatched_weight() {
            return Err(TableError::NoMatch);
        }
        let share = weigh.weight / matched.len() as f64;
        for target in matched {
            Arc::make_mut(target).fixed_weight = share;
        }
        Ok(())
    }

    /// The route of a source. Unlike [`Draft::add`] this does not lower-case the host, so that a mixed-case override
    /// silently misses; that is how fabio behaves.
    fn find(&mut self, source: &str) -> Option<&mut Route> {
        let (host, path) = split_source(source);
        self.hosts.get_mut(host)?.get_mut(&path)
    }

    fn finish(self) -> Table {
        let mut first_route = 0;
        let hosts = self.hosts.into_iter().map(|(name, routes)| {
            let mut routes: Vec<Route> = routes.into_values().rev().collect();
            for route in &mut routes {
                let fixed: Vec<f64> = route.targets.iter().map(|target| target.fixed_weight).collect();
                route.shares = Shares::new(&fixed);
            }
            let patterns = [false, true].map(|tls| Glob::compile(strip_default_port(&name, tls)).ok());
            let host = Host { name, patterns, first_route, routes };
            first_route += index(host.routes.len());
            host
        });
        let hosts: Vec<Host> = hosts.collect();
        let targets = hosts.iter().flat_map(|host| &host.routes).flat_map(|route| &route.targets);
        let mut endpoints: Vec<Endpoint> = targets.filter_map(|target| target.endpoint).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        Table { hosts, endpoints: endpoints.into() }
    }
}

/// Whether a route has an equal target, options aside.
fn has_equal(route: &Route, target: &Target) -> bool {
    route.targets.iter().any(|known| {
        known.service == target.service
            && known.text == target.text
            && known.fixed_weight.to_bits() == target.fixed_weight.to_bits()
            && known.tags == target.tags
    })
}

fn has_all(tags: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|tag| tags.contains(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_without_match_fails_the_table_of_old_releases() {
        let text = "route add a /x http://a:1/\nroute weight b /x weight 0.5";
        assert_eq!(Table::parse(text, Release::V1_6_3), Err(TableError::NoMatch));
        assert!(Table::parse(text, Release::V1_7_3).is_ok());
    }

    #[test]
    fn routes_stand_by_descending_path_in_whatever_order_they_come() {
        let text = "route add a h.com/b http://a:1/\nroute add a h.com/ http://a:2/\nroute add a h.com/c http://a:3/\n\
                    route add b h.com/b http://b:1/\nroute del a h.com/c";
        let table = Table::parse(text, Release::V1_7_3).unwrap();
        let routes: Vec<_> = table.routes().map(|route| (route.path.as_str(), route.targets.len())).collect();
        assert_eq!(routes, [("/b", 2), ("/", 1)]);
    }

    #[test]
    fn a_prefix_captures_its_siblings_and_a_catch_all_hides_generic_routes() {
        let text = "route add a /foo http://a:1/\nroute add b h.com/ http://b:1/\nroute add c /only http://c:1/";
        let table = Table::parse(text, Release::V1_7_3).unwrap();
        let service = |host: &str, path: &str| {
            let request = Request { host, path, ..Request::default() };
            let candidates = table.candidates(request, Matcher::Prefix, HostMatching::Glob);
            table.choose(&candidates, request, |_, _| 0).map(|(_, target)| target.service.clone())
        };
        assert_eq!(service("", "/foobar").as_deref(), Some("a"));
        assert_eq!(service("h.com", "/only").as_deref(), Some("b"));
        assert_eq!(service("", "/other"), None);
    }
}
