//! The parameters of the model and where their values come from: measured by somebody, the product's default,
//! published, or assumed by this project because nobody knows.
//!
//! A value that a scenario writes is *stated*, unless its `sources` say more. What is left out has the value and the
//! origin of this table. Results name the assumed values they rest on; `cossim list parameters` shows the table.
//! Constants of the protocols that no scenario can change are not here; their sources stand beside them in the code.

use std::collections::BTreeMap;

use crate::scenario::locate::Node;
use crate::scenario::locate::Shape;
use crate::scenario::locate::steps;
use crate::scenario::schema::Origin;

/// A parameter and what is known of its default.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its path; `[]` stands for every entry of a list.
    pub path: &'static str,
    /// Its value if it is left out, as it would be written.
    pub default: &'static str,
    /// Where that comes from.
    pub origin: Origin,
    /// The setting, the publication, or why it was assumed.
    pub source: &'static str,
    /// Values that cannot be ruled out, as in `--vary`; empty where the default is a fact about the product.
    pub plausible: &'static str,
}

/// A parameter of one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its path, as in `--set`.
    pub path: String,
    /// Its value, as written or as it would be.
    pub value: String,
    /// Where it comes from; `None` for one that the scenario states without a source.
    pub origin: Option<Origin>,
    /// Which setting or publication; empty for a stated one.
    pub source: &'static str,
    /// Values that cannot be ruled out, as in `--vary`; empty where nothing is known.
    pub plausible: &'static str,
}

impl Origin {
    /// As every output shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::ProductDefault => "product default",
            Self::Literature => "literature",
            Self::Assumed => "assumed",
        }
    }
}

impl Parameter {
    /// Whether its value is assumed.
    pub fn is_assumed(&self) -> bool {
        self.origin == Some(Origin::Assumed)
    }

    /// In a sentence: `an assumed value`.
    pub const fn is_what(&self) -> &'static str {
        match self.origin {
            None => "a value the scenario states",
            Some(Origin::Measured) => "a measured value",
            Some(Origin::ProductDefault) => "a default of the product",
            Some(Origin::Literature) => "a published value",
            Some(Origin::Assumed) => "an assumed value",
        }
    }
}

/// The parameters of a scenario, in the order of the table. `text` is what `tree` was scanned from.
pub fn of(tree: &Node, text: &str, sources: &BTreeMap<String, Origin>) -> Vec<Parameter> {
    let mut out = Vec::new();
    for known in &KNOWN {
        for path in expand(tree, known.path) {
            let written = at(tree, &path).map(|node| &text[node.span.clone()]);
            let stated = sources.get(&path).copied();
            out.push(Parameter {
                value: written.unwrap_or(known.default).trim_matches('"').to_owned(),
                origin: stated.or_else(|| written.is_none().then_some(known.origin)),
                source: if written.is_none() { known.source } else { "" },
                plausible: known.plausible,
                path,
            });
        }
    }
    // What the scenario gives a source but the table does not know.
    for (path, origin) in sources {
        if let Some(node) = at(tree, path).filter(|_| out.iter().all(|parameter| parameter.path != *path)) {
            let value = text[node.span.clone()].trim_matches('"').to_owned();
            out.push(Parameter { path: path.clone(), value, origin: Some(*origin), source: "", plausible: "" });
        }
    }
    out
}

/// Whether a path leads to a value of the scenario or to a parameter it leaves out.
pub fn exists(tree: &Node, path: &str) -> bool {
    at(tree, path).is_some() || KNOWN.iter().any(|known| expand(tree, known.path).iter().any(|other| other == path))
}

/// The table's paths that end in the same word, or a word nearly the same: what somebody who knows the product's name
/// of a setting is looking for. A short word that is nearly the same is another word.
pub fn ending_alike(path: &str) -> Option<&'static str> {
    let last = |path: &str| path.rsplit(['.', ']']).next().unwrap_or("").to_owned();
    let word = last(path);
    let nearest = crate::scenario::suggest::closest(
        &word,
        KNOWN.iter().map(|known| known.path.rsplit('.').next().unwrap_or("")),
    )?;
    let is_near = *nearest == *word || word.len() > SHORT_WORD;
    KNOWN.iter().find(|known| is_near && last(known.path) == nearest).map(|known| known.path)
}

/// Bytes of a word in which one wrong letter makes another word, as `nope` and `node`.
const SHORT_WORD: usize = 6;

fn at<'a>(tree: &'a Node, path: &str) -> Option<&'a Node> {
    let steps = steps(path)?;
    let (node, taken) = tree.follow(&steps);
    (taken == steps.len()).then_some(node)
}

/// Every path a pattern means in a scenario.
fn expand(tree: &Node, pattern: &str) -> Vec<String> {
    let Some((before, after)) = pattern.split_once("[]") else { return vec![pattern.to_owned()] };
    let count = match at(tree, before).map(|node| &node.shape) {
        Some(Shape::List(items)) => items.len(),
        _ => 0,
    };
    (0..count).flat_map(|index| expand(tree, &format!("{before}[{index}]{after}"))).collect()
}

const fn product(path: &'static str, default: &'static str, source: &'static str) -> Known {
    Known { path, default, origin: Origin::ProductDefault, source, plausible: "" }
}

const fn literature(path: &'static str, default: &'static str, source: &'static str, plausible: &'static str) -> Known {
    Known { path, default, origin: Origin::Literature, source, plausible }
}

const fn assumed(path: &'static str, default: &'static str, source: &'static str, plausible: &'static str) -> Known {
    Known { path, default, origin: Origin::Assumed, source, plausible }
}

/// Every parameter.
pub static KNOWN: [Known; 41] = [
    product("options.nomad_raft_multiplier", "1", "Nomad `raft_multiplier`"),
    product("options.consul_raft_multiplier", "5", "Consul `raft_multiplier`"),
    product("options.pre_vote", "false", "the raft library of these releases"),
    product("options.min_heartbeat_ttl", "10s", "Nomad `min_heartbeat_ttl`"),
    product("options.max_heartbeats", "50/s", "Nomad `max_heartbeats_per_second`"),
    product("options.heartbeat_grace", "10s", "Nomad `heartbeat_grace`"),
    product("options.failover_heartbeat_ttl", "5m", "Nomad `failover_heartbeat_ttl`"),
    product("scheduler.nack_timeout", "60s", "Nomad `eval_nack_timeout`"),
    product("scheduler.delivery_limit", "3", "Nomad `eval_delivery_limit`"),
    product("scheduler.garbage.interval", "5m", "Nomad `job_gc_interval`"),
    product("scheduler.garbage.eval", "1h", "Nomad `eval_gc_threshold`"),
    product("scheduler.garbage.batch_eval", "24h", "Nomad `batch_eval_gc_threshold`"),
    product("scheduler.garbage.job", "4h", "Nomad `job_gc_threshold`"),
    product("scheduler.garbage.node", "24h", "Nomad `node_gc_threshold`"),
    product("scheduler.garbage.deployment", "1h", "Nomad `deployment_gc_threshold`"),
    assumed("scheduler.cost.evaluation", "500us", "planning default of this project", "100us..5000us*1.5"),
    assumed("scheduler.cost.node_pulled", "2us", "planning default of this project", "0.5us..10us"),
    assumed("scheduler.cost.node_scored", "20us", "planning default of this project", "5us..100us"),
    assumed("scheduler.cost.plan", "50us", "planning default of this project", "10us..500us"),
    assumed("scheduler.cost.plan_node", "20us", "planning default of this project", "5us..100us"),
    assumed("regions[].nomad.count", "3", "as many as the products recommend at least", ""),
    assumed("regions[].consul.count", "3", "as many as the products recommend at least", ""),
    literature("regions[].nomad.disk", "gp3", "fio of EBS volumes: 3000 IOPS, mean 0.70 ms", "gp2,gp3,nvme"),
    literature("regions[].consul.disk", "gp3", "fio of EBS volumes: 3000 IOPS, mean 0.70 ms", "gp2,gp3,nvme"),
    literature("network", "Preset(\"aws\")", "round trips of cloudping.co, fantoch and others; see the preset", ""),
    assumed("services[].concurrency", "1", "the least an instance can do", "1..16"),
    literature("services[].start", "568ms", "container with a cached image on a cloud SSD", "200ms..10000ms"),
    assumed("services[].image_pull", "0s", "images are baked into the machines", "0s..30s"),
    assumed("services[].stop", "0s", "tasks exit at once when told to", "0s..5s"),
    product("ingress[].no_route_status", "404", "fabio `proxy.noroutestatus`"),
    product("ingress[].dial_timeout", "30s", "fabio `proxy.dialtimeout`"),
    product("ingress[].deregister_grace", "0s", "fabio `proxy.deregistergraceperiod`"),
    product("ingress[].shutdown_wait", "0s", "fabio `proxy.shutdownwait`"),
    product("ingress[].balancer.interval", "30s", "AWS ALB `HealthCheckIntervalSeconds`"),
    product("ingress[].balancer.timeout", "5s", "AWS ALB `HealthCheckTimeoutSeconds`"),
    product("ingress[].balancer.healthy", "5", "AWS ALB `HealthyThresholdCount`"),
    product("ingress[].balancer.unhealthy", "2", "AWS ALB `UnhealthyThresholdCount`"),
    product("ingress[].balancer.dns_ttl", "60s", "time to live of an ALB's DNS answer"),
    assumed("traffic[].timeout", "30s", "a user's patience", "2s..60s"),
    assumed("traffic[].retries", "0", "users that do not try again", "0..3"),
    assumed("traffic[].backoff", "100ms", "first wait of a retry", "50ms..1000ms"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::locate::scan;
    use crate::scenario::vary::Dimension;

    #[test]
    fn what_is_left_out_has_a_source_and_what_is_written_is_stated() {
        let text = r#"Scenario(services: [Service(name: "a", start: "4s"), Service(name: "b")], traffic: [])"#;
        let tree = scan(text).unwrap();
        let sources = BTreeMap::from([("services[1].name".to_owned(), Origin::Measured)]);
        let found = of(&tree, text, &sources);
        let shown = |path: &str| {
            let parameter = found.iter().find(|parameter| parameter.path == path).unwrap();
            (parameter.value.clone(), parameter.origin)
        };
        assert_eq!(shown("services[0].start"), ("4s".to_owned(), None));
        assert_eq!(shown("services[1].start"), ("568ms".to_owned(), Some(Origin::Literature)));
        assert_eq!(shown("services[0].image_pull"), ("0s".to_owned(), Some(Origin::Assumed)));
        assert_eq!(shown("services[1].name"), ("b".to_owned(), Some(Origin::Measured)));
        assert!(found.iter().all(|parameter| !parameter.path.starts_with("traffic")));
        assert!(
            exists(&tree, "services[1].stop") && !exists(&tree, "services[2].stop") && !exists(&tree, "services[0].go")
        );
    }

    #[test]
    fn plausible_values_can_be_varied_and_are_given_for_what_is_assumed() {
        for known in KNOWN.iter().filter(|known| !known.plausible.is_empty()) {
            Dimension::parse(&format!("x={}", known.plausible)).unwrap();
            assert!(matches!(known.origin, Origin::Assumed | Origin::Literature), "{}", known.path);
        }
        assert_eq!(ending_alike("nomad.heartbeat_grace"), Some("options.heartbeat_grace"));
        assert_eq!(ending_alike("nomad.heartbeat_grase"), Some("options.heartbeat_grace"));
        assert_eq!(ending_alike("nomad.wings"), None);
        assert_eq!(ending_alike("options.nope"), None, "it is no slip of `scheduler.garbage.node`");
        assert_eq!(ending_alike("server.node"), Some("scheduler.garbage.node"));
    }
}
