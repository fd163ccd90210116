//! What fabio does with one HTTP request: refuse, redirect or pass on, and with which URL and headers (fabio
//! `HTTPProxy.ServeHTTP`, `addHeaders`).

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::pick::Strategy;
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::table::{HostMatching, Matcher, Request, Route, RoutePlace, Table, redirect_location};
use crate::protocol::proxy::target::Target;
use crate::protocol::proxy::url::{Url, clean};

/// How fabio is configured, as far as a single request is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// `proxy.strategy`. Default `rnd`.
    pub strategy: Strategy,
    /// `proxy.matcher`. Default `prefix`.
    pub matcher: Matcher,
    /// `glob.matching.disabled`. Default false.
    pub hosts: HostMatching,
    /// `proxy.noroutestatus`. Default 404, which also stands for values outside 100..=999.
    pub no_route_status: u16,
    /// Names of the basic-auth schemes that exist (`proxy.auth`). Default none.
    pub auth_schemes: Vec<String>,
    /// The release.
    pub release: Release,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::Random,
            matcher: Matcher::Prefix,
            hosts: HostMatching::Glob,
            no_route_status: 404,
            auth_schemes: Vec::new(),
            release: Release::default(),
        }
    }
}

impl ProxyConfig {
    /// The status of a request that no route takes.
    #[inline]
    pub fn status_without_route(&self) -> u16 {
        if (100..=999).contains(&self.no_route_status) { self.no_route_status } else { 404 }
    }
}

/// One request as fabio sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Path and query as on the request line.
    pub uri: &'a str,
    /// `Host` header.
    pub host: &'a str,
    /// `address:port` of the peer.
    pub remote: &'a str,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Request headers by canonical name.
    pub headers: &'a OrdMap<String, String>,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// fabio answers itself.
    Answer(u16),
    /// fabio redirects.
    Redirect {
        /// 300..=399.
        code: u16,
        /// Where to.
        location: String,
    },
    /// fabio passes the request on.
    Pass(Upstream),
}

/// A request as it is sent to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Full URL.
    pub url: String,
    /// `Host` header.
    pub host: String,
    /// Headers fabio added or changed.
    pub headers: OrdMap<&'static str, String>,
}

/// How talking to a target can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// A network error that is a timeout: dialling took `proxy.dialtimeout`, or no header came in time.
    Timeout,
    /// Any other network error: refused, reset, no such host.
    Network,
    /// The connection ended before the first byte.
    EndOfFile,
    /// The client went away first.
    ClientGone,
    /// Anything else, an unexpected end of the response among it.
    Other,
}

impl UpstreamFailure {
    /// The status fabio answers with.
    pub fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            Self::Network | Self::EndOfFile => 502,
            Self::ClientGone => 499,
            Self::Other => 500,
        }
    }
}

/// Why a request line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed request: {0}")]
pub struct BadRequest(#[from] crate::protocol::proxy::url::UrlError);

/// Decides what happens to a request. `pick` chooses one of a route's targets.
pub fn decide(
    table: &Table,
    config: &ProxyConfig,
    incoming: Incoming<'_>,
    pick: impl FnMut(RoutePlace, &Route) -> usize,
) -> Result<Decision, BadRequest> {
    let mut url = request_url(incoming.uri)?;
    if config.release.normalises_path() {
        url.path = normalise(&url.path);
    }
    let header = |name: &str| incoming.headers.get(name).map_or("", String::as_str);
    let request = Request {
        host: incoming.host,
        path: &url.path,
        raw_path: &url.raw_path,
        query: &url.query,
        tls: incoming.tls,
        forwarded_proto: header("X-Forwarded-Proto"),
    };
    let candidates = table.candidates(request, config.matcher, config.hosts);
    let Some((_, target)) = table.choose(&candidates, request, pick) else {
        return Ok(Decision::Answer(config.status_without_route()));
    };
    if target.access.denies(incoming.remote, header("X-Forwarded-For")) {
        return Ok(Decision::Answer(403));
    }
    // A known scheme asks for credentials, which requests here never carry.
    if !target.option("auth").is_empty() {
        return Ok(Decision::Answer(401));
    }
    if let Some(code) = target.redirect_code {
        return Ok(Decision::Redirect { code, location: redirect_location(target, request).to_string() });
    }
    let host = match target.option("host") {
        "" => incoming.host,
        "dst" => &target.url.host,
        name => name,
    };
    let upstream = Url {
        scheme: target.url.scheme.clone(),
        host: target.url.host.clone(),
        path: rewrite_path(&url.path, target.option("strip"), target.option("prepend")),
        raw_path: url.raw_path.clone(),
        query: join_queries(&target.url.query, &url.query),
        ..Url::default()
    };
    let Some(headers) = added_headers(incoming, host, target.option("strip")) else {
        return Ok(Decision::Answer(500));
    };
    Ok(Decision::Pass(Upstream { url: upstream.to_string(), host: host.to_owned(), headers }))
}

/// The request line's URL. A leading `//` is a path here, not an authority.
fn request_url(uri: &str) -> Result<Url, BadRequest> {
    if uri.starts_with("//") {
        let mut url = Url::parse(&format!("http://h{uri}"))?;
        url.scheme.clear();
        url.host.clear();
        return Ok(url);
    }
    Ok(Url::parse(uri)?)
}

/// fabio 1.7 reads the decoded path as a URL once more and cleans what it finds; a trailing slash stays.
pub fn normalise(path: &str) -> String {
    let path = Url::parse(path).map_or_else(|_| path.to_owned(), |url| url.path);
    let cleaned = clean(&format!("/{path}"));
    if path.ends_with('/') && cleaned != "/" { cleaned + "/" } else { cleaned }
}

fn rewrite_path(path: &str, strip: &str, prepend: &str) -> String {
    let absolute = |path: String| if path.starts_with('/') { path } else { format!("/{path}") };
    let mut path = path.to_owned();
    if !strip.is_empty()
        && let Some(rest) = path.strip_prefix(strip)
    {
        path = absolute(rest.to_owned());
    }
    if prepend.is_empty() { path } else { absolute(format!("{prepend}{path}")) }
}

fn join_queries(target: &str, request: &str) -> String {
    let separator = if target.is_empty() || request.is_empty() { "" } else { "&" };
    format!("{target}{separator}{request}")
}

/// `None` when the remote address is not `host:port`.
fn added_headers(incoming: Incoming<'_>, host: &str, strip: &str) -> Option<OrdMap<&'static str, String>> {
    let given = |name: &str| incoming.headers.get(name).map_or("", String::as_str);
    let or_given = |name: &str, value: &str| if given(name).is_empty() { value } else { given(name) }.to_owned();
    let (remote, _) = incoming.remote.rsplit_once(':')?;
    let remote = remote.trim_start_matches('[').trim_end_matches(']');
    let scheme = scheme(incoming);
    let plain_scheme = match scheme {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    let forwarded_for = match given("X-Forwarded-For") {
        "" => remote.to_owned(),
        earlier => format!("{earlier}, {remote}"),
    };
    let mut headers = OrdMap::from([
        ("X-Real-Ip", or_given("X-Real-Ip", remote)),
        ("X-Forwarded-For", forwarded_for),
        ("X-Forwarded-Proto", or_given("X-Forwarded-Proto", plain_scheme)),
        ("X-Forwarded-Port", or_given("X-Forwarded-Port", local_port(host, incoming.tls))),
        ("X-Forwarded-Host", or_given("X-Forwarded-Host", host)),
        ("Forwarded", or_given("Forwarded", &format!("for={remote}; proto={scheme}")) + "; httpproto=http/1.1"),
    ]);
    if !strip.is_empty() {
        headers.insert("X-Forwarded-Prefix", strip.to_owned());
    }
    Some(headers)
}

/// The protocol a client used: what one of the two forwarding headers says if only one is there, else the connection's.
fn scheme(incoming: Incoming<'_>) -> &str {
    let given = |name: &str| incoming.headers.get(name).map_or("", String::as_str);
    match (given("X-Forwarded-Proto"), given("Forwarded")) {
        (proto, "") if !proto.is_empty() => return proto,
        ("", forwarded) => {
            if let Some((_, proto)) = forwarded.split_once("proto=") {
                return proto.split(';').next().unwrap_or(proto);
            }
        }
        _ => {}
    }
    match (given("Upgrade") == "websocket", incoming.tls) {
        (true, true) => "wss",
        (true, false) => "ws",
        (false, true) => "https",
        (false, false) => "http",
    }
}

fn local_port(host: &str, tls: bool) -> &str {
    match host.split_once(':') {
        Some((name, port)) if !name.is_empty() && !port.is_empty() => port,
        _ if tls => "443",
        _ => "80",
    }
}

/// Where a request of this client goes, or the status with which the target's options refuse it.
#[inline]
pub fn admit(target: &Target, client: ProcessId) -> Result<Endpoint, u16> {
    target.plain.map_or_else(|| admit_by_options(target, client), Ok)
}

#[cold]
fn admit_by_options(target: &Target, client: ProcessId) -> Result<Endpoint, u16> {
    let remote = Endpoint { process: client, port: 0 };
    if !target.access.is_open() && target.access.denies(&remote.to_string(), "") {
        return Err(403);
    }
    if !target.option("auth").is_empty() {
        return Err(401);
    }
    if let Some(code) = target.redirect_code {
        return Err(code);
    }
    if !target.speaks_http() {
        return Err(UpstreamFailure::Other.status());
    }
    // No such host, as far as the world knows.
    target.endpoint.ok_or(UpstreamFailure::Network.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_before_the_lookup() {
        for (path, expected) in
            [("/foo//x", "/foo/x"), ("/foo/./a/", "/foo/a/"), ("/foo/..", "/"), ("//foo", "/"), ("/a%2fb", "/a/b")]
        {
            assert_eq!(normalise(path), expected, "{path}");
        }
    }
}
