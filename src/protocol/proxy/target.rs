//! A target of a route, and all of adding it to a table that does not depend on the table.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::base::ordered::OrdMap;
use crate::protocol::proxy::access::Access;
use crate::protocol::proxy::command::Add;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::url::{Url, UrlError};

/// One target of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Service it belongs to.
    pub service: String,
    /// Service tags.
    pub tags: Vec<String>,
    /// All options.
    pub options: OrdMap<String, String>,
    /// Where requests go.
    pub url: Url,
    /// The same as text.
    pub text: String,
    /// Weight as configured; zero or less is dynamic.
    pub fixed_weight: f64,
    /// `redirect=` code in 300..=399.
    pub redirect_code: Option<u16>,
    /// Access rules.
    pub access: Access,
    /// The process behind `url`, if its host is the address of one.
    pub endpoint: Option<Endpoint>,
    /// The same, if nothing else about the target decides what becomes of a request: whom most requests are sent to.
    pub plain: Option<Endpoint>,
}

impl Target {
    fn new(add: Add) -> Result<Self, UrlError> {
        let url = Url::parse(&add.target)?;
        let code = add.options.get("redirect").and_then(|code| code.parse::<u16>().ok());
        let mut target = Self {
            text: url.to_string(),
            fixed_weight: if add.weight < 0.0 { 0.0 } else { add.weight },
            redirect_code: code.filter(|code| (300..=399).contains(code)),
            access: Access::parse(&add.options).0,
            endpoint: Endpoint::parse(&url.host),
            plain: None,
            service: add.service,
            tags: add.tags,
            options: add.options,
            url,
        };
        target.plain = target.endpoint.filter(|_| target.is_plain());
        Ok(target)
    }

    fn is_plain(&self) -> bool {
        self.access.is_open() && self.option("auth").is_empty() && self.redirect_code.is_none() && self.speaks_http()
    }

    /// Whether its scheme is one of those that fabio passes requests on to.
    pub fn speaks_http(&self) -> bool {
        matches!(&*self.url.scheme, "http" | "https" | "grpc" | "grpcs")
    }

    /// An option, empty when not given.
    pub fn option(&self, key: &str) -> &str {
        self.options.get(key).map_or("", String::as_str)
    }
}

/// A `route add`, ready to be carried out on any number of tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// Lower-case host pattern of the route.
    pub host: String,
    /// Path of the route.
    pub path: String,
    /// The target, which all tables share.
    pub target: Result<Arc<Target>, UrlError>,
    /// A hash of route and target: what differs in it adds something else.
    pub hash: u64,
}

impl Addition {
    /// Reads source and target.
    pub fn new(add: Add) -> Self {
        let (host, path) = split_source(&add.source);
        let host = host.to_lowercase();
        let target = Target::new(add).map(Arc::new);
        let text = target.as_ref().map_or("", |target| &target.text);
        let hash = [&host, &path]
            .into_iter()
            .fold(xxh3_64(text.as_bytes()), |hash, part| xxh3_64_with_seed(part.as_bytes(), hash));
        Self { host, path, target, hash }
    }
}

/// `:port` is a host without path; a source without slash has the path `/`.
pub(super) fn split_source(source: &str) -> (&str, String) {
    if source.starts_with(':') {
        return (source, String::new());
    }
    match source.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (source, "/".to_owned()),
    }
}
