//! From the catalog to routes: which instances pass, and the commands their tags stand for (fabio `registry/consul`).

use std::sync::Arc;

use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::table::quote;

/// A health check as the catalog lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Node name.
    pub node: Arc<str>,
    /// Check identifier.
    pub check_id: Arc<str>,
    /// `passing`, `warning`, `critical`, or something newer.
    pub status: Arc<str>,
    /// Service the check belongs to; empty for node checks.
    pub service: Arc<str>,
    /// Its instance; empty for node checks.
    pub service_id: Arc<str>,
    /// The instance's tags.
    pub tags: Arc<[Arc<str>]>,
}

/// All checks of one node: its own, and those of the instances on it.
pub type NodeChecks = Arc<[HealthCheck]>;

/// `registry.consul.checksRequired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksRequired {
    /// One passing check is enough.
    #[default]
    One,
    /// Every check must pass.
    All,
}

/// Which checks make an instance eligible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthFilter<'a> {
    /// Accepted statuses (`registry.consul.service.status`). Default `passing` only: a warning gets no traffic.
    pub statuses: &'a [&'a str],
    /// `registry.consul.checksRequired`. Default one.
    pub required: ChecksRequired,
    /// `registry.consul.tagprefix`. Default `urlprefix-`.
    pub prefix: &'a str,
    /// The release.
    pub release: Release,
}

/// The checks of instances that may get traffic, one entry per check.
pub fn passing<'a>(checks: &'a [HealthCheck], filter: HealthFilter<'_>) -> Vec<&'a HealthCheck> {
    // Sorted references make each instance's checks and each node's checks a range, instead of a scan per check.
    let mut by_instance: Vec<&HealthCheck> = checks.iter().filter(|check| is_kept(check, filter)).collect();
    by_instance.sort_by(|a, b| (&a.node, &a.service_id).cmp(&(&b.node, &b.service_id)));
    let is_passing = |check: &HealthCheck| {
        let from = by_instance.partition_point(|c| (&c.node, &c.service_id) < (&check.node, &check.service_id));
        let own = by_instance[from..].iter().take_while(|c| c.node == check.node && c.service_id == check.service_id);
        let (total, ok) =
            own.fold((0, 0), |(total, ok), c| (total + 1, ok + u32::from(filter.statuses.contains(&&*c.status))));
        ok > 0 && (filter.required == ChecksRequired::One || ok == total) && !is_withdrawn(check, &by_instance)
    };
    checks
        .iter()
        .filter(|check| is_service_check(check, filter.release) && is_kept(check, filter) && is_passing(check))
        .collect()
}

/// Since 1.6.4 the checks of services without a routing tag are not looked at.
fn is_kept(check: &HealthCheck, filter: HealthFilter<'_>) -> bool {
    !filter.release.filters_untagged_checks()
        || check.service_id.is_empty()
        || check.tags.iter().any(|tag| tag.trim().starts_with(filter.prefix))
}

fn is_service_check(check: &HealthCheck, release: Release) -> bool {
    const MAINTENANCE: &str = "_service_maintenance:";
    let is_maintenance = if release.mistakes_maintenance_for_service() {
        MAINTENANCE.starts_with(&*check.check_id)
    } else {
        check.check_id.starts_with(MAINTENANCE)
    };
    !check.service_id.is_empty()
        && &*check.check_id != "serfHealth"
        && &*check.check_id != "_node_maintenance"
        && !is_maintenance
}

/// The node is down or in maintenance, or the instance is in maintenance.
fn is_withdrawn(check: &HealthCheck, by_instance: &[&HealthCheck]) -> bool {
    let from = by_instance.partition_point(|c| c.node < check.node);
    by_instance[from..].iter().take_while(|c| c.node == check.node).any(|c| {
        let is_critical = &*c.status == "critical";
        match &*c.check_id {
            "serfHealth" => is_critical,
            "_node_maintenance" => true,
            other => {
                is_critical && other.strip_prefix("_service_maintenance:").is_some_and(|id| id == &*check.service_id)
            }
        }
    })
}

/// An instance as the catalog lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Node name.
    pub node: Arc<str>,
    /// Instance identifier.
    pub service_id: Arc<str>,
    /// Service name.
    pub service: Arc<str>,
    /// Address of the service; empty to use the node's.
    pub service_address: Arc<str>,
    /// Address of the node.
    pub node_address: Arc<str>,
    /// Port of the service.
    pub port: u32,
    /// Tags.
    pub tags: Arc<[Arc<str>]>,
}

/// The `route add` lines of one instance, one per routing tag.
pub fn commands(entry: &CatalogEntry, prefix: &str, datacenter: &str, release: Release) -> Vec<String> {
    let trimmed = entry.tags.iter().map(|tag| if release.trims_tags() { tag.trim() } else { tag });
    let (routing, service): (Vec<&str>, Vec<&str>) = trimmed.partition(|tag| tag.starts_with(prefix));
    let tags = service.join(",");
    let address = if entry.service_address.is_empty() { &entry.node_address } else { &entry.service_address };
    let address =
        if address.contains(':') { format!("[{address}]:{}", entry.port) } else { format!("{address}:{}", entry.port) };
    routing
        .into_iter()
        .map(|tag| {
            let (route, options) = parse_tag(tag.strip_prefix(prefix).unwrap_or(tag), datacenter);
            command(&entry.service, &route, &address, &tags, options)
        })
        .collect()
}

fn command(service: &str, route: &str, address: &str, tags: &str, options: &str) -> String {
    let mut target = format!("http://{address}/");
    let (mut weight, mut kept) = ("", Vec::new());
    for word in options.split_whitespace() {
        match word.split_once('=') {
            Some(("proto", scheme @ ("tcp" | "https" | "grpc" | "grpcs"))) => target = format!("{scheme}://{address}"),
            Some(("weight", value)) => weight = value,
            Some(("redirect", value)) => {
                // Anything but exactly one comma is logged and ignored.
                if let Some((code, url)) = value.split_once(',').filter(|(_, url)| !url.contains(',')) {
                    url.clone_into(&mut target);
                    kept.push(format!("redirect={code}"));
                }
            }
            _ => kept.push(word.to_owned()),
        }
    }
    let part = |name: &str, text: String| if text.is_empty() { text } else { format!(" {name} {text}") };
    let quoted = |text: &str| if text.is_empty() { String::new() } else { quote(text) };
    let (weight, tags) = (part("weight", weight.to_owned()), part("tags", quoted(tags)));
    let options = part("opts", quoted(&kept.join(" ")));
    format!("route add {service} {route} {target}{weight}{tags}{options}")
}

/// Splits what follows the prefix into the route and its options. Hosts are lower-cased, paths are not.
fn parse_tag<'a>(text: &'a str, datacenter: &str) -> (String, &'a str) {
    let text = text.trim();
    let (route, options) = text.split_once(' ').unwrap_or((text, ""));
    match route.split_once('/') {
        Some((host, path)) if !route.starts_with(':') => {
            (format!("{}/{}", expand(host, datacenter).to_lowercase(), expand(path, datacenter)), options)
        }
        _ => (route.to_owned(), options),
    }
}

/// Replaces `$DC` and `${DC}` as Go's `os.Expand`; other names vanish.
fn expand(text: &str, datacenter: &str) -> String {
    let value = |name: &str| if name == "DC" { datacenter } else { "" };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        if after.is_empty() {
            break;
        }
        out.push_str(&rest[..at]);
        if let Some(braced) = after.strip_prefix('{') {
            if let Some((name, tail)) = braced.split_once('}') {
                out.push_str(value(name));
                rest = tail;
            } else {
                // An unclosed brace is eaten.
                rest = braced;
            }
            continue;
        }
        let first = after.chars().next().unwrap_or(' ');
        let length = if matches!(first, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9') {
            1
        } else {
            after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len())
        };
        if length == 0 {
            // No name follows: the dollar stays.
            out.push('$');
        } else {
            out.push_str(value(&after[..length]));
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_expanded() {
        for (text, expected) in
            [("$DC.x", "dc1.x"), ("${DC}x", "dc1x"), ("$NOPE.x", ".x"), ("a$", "a$"), ("$.x", "$.x"), ("${x", "x")]
        {
            assert_eq!(expand(text, "dc1"), expected, "{text}");
        }
    }

    #[test]
    fn the_old_release_counts_maintenance_as_a_check() {
        let check = |id: &str, status: &str| HealthCheck {
            node: "n".into(),
            check_id: id.into(),
            status: status.into(),
            service: "a".into(),
            service_id: "a1".into(),
            tags: ["urlprefix-/".into()].into(),
        };
        let checks = [check("_service_maintenance:a1", "passing"), check("c", "passing")];
        let count = |release| {
            let (statuses, required, prefix) = (&["passing"][..], ChecksRequired::One, "urlprefix-");
            passing(&checks, HealthFilter { statuses, required, prefix, release }).len()
        };
        assert_eq!((count(Release::V1_5_10), count(Release::V1_7_3)), (2, 1));
    }
}
