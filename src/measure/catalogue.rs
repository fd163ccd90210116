//! Every metric there is: name, unit, kind, labels and which way it gets worse. `cossim list metrics`, docs/metrics.md
//! and the check of expectations read this table; nothing reports a metric that is not in it.

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Percent, 0..=100.
    Percent,
    /// One quantity over another of its kind.
    Ratio,
    /// Processor, in MHz.
    Megahertz,
    /// Memory or disk, in MiB.
    Mebibytes,
    /// Allocations.
    Allocs,
    /// Evaluations.
    Evals,
    /// Node parts of plans.
    Nodes,
    /// Requests.
    Requests,
    /// Tries after the first.
    Retries,
    /// Elections won.
    Elections,
    /// Raft terms.
    Term,
    /// Members taken for dead, counted per observer.
    Declarations,
    /// What operators asked for.
    Commands,
}

impl Unit {
    /// As in `summary.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Percent => "%",
            Self::Ratio => "ratio",
            Self::Megahertz => "MHz",
            Self::Mebibytes => "MiB",
            Self::Allocs => "allocs",
            Self::Evals => "evals",
            Self::Nodes => "nodes",
            Self::Requests => "requests",
            Self::Retries => "retries",
            Self::Elections => "elections",
            Self::Term => "term",
            Self::Declarations => "declarations",
            Self::Commands => "commands",
        }
    }
}

/// What a metric is made of, and so which statistics it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Samples of time: `count`, `min`, `mean`, `p50` … `max`.
    Times,
    /// A level over time: `final`, `mean`, `min`, `max`.
    Level,
    /// A count per run: `total`.
    Total,
    /// A count out of another: `value`.
    Share,
}

impl Kind {
    /// As in `cossim list metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Times => "times",
            Self::Level => "level",
            Self::Total => "total",
            Self::Share => "share",
        }
    }
}

/// Which way a metric gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More is worse.
    More,
    /// Less is worse.
    Less,
    /// It says what is, not how good it is.
    Neither,
}

impl Worse {
    /// As in `cossim list metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::Neither => "neither",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Dotted name.
    pub name: &'static str,
    /// Unit.
    pub unit: Unit,
    /// Kind.
    pub kind: Kind,
    /// Labels it carries, sorted.
    pub labels: &'static [&'static str],
    /// Which way it gets worse.
    pub worse: Worse,
    /// What it is.
    pub about: &'static str,
    /// The product's own metric it corresponds to; empty if there is none.
    pub product: &'static str,
}

/// A metric by name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The metric of a key: of its name, which labels in braces may follow.
pub fn of_key(key: &str) -> Option<&'static Metric> {
    find(key.split_once('{').map_or(key, |(name, _)| name))
}

const fn metric(
    name: &'static str,
    unit: Unit,
    kind: Kind,
    labels: &'static [&'static str],
    worse: Worse,
    about: &'static str,
    product: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels, worse, about, product }
}

const REGION: &[&str] = &["region"];
const CLASS: &[&str] = &["class", "dimension", "region"];
const DIMENSION: &[&str] = &["dimension", "region"];
const ATTRIBUTE: &[&str] = &["attribute", "region"];
const END: &[&str] = &["end", "region"];
const PRIORITY: &[&str] = &["priority", "region"];
const EVAL: &[&str] = &["region", "trigger"];
const GROUP: &[&str] = &["region", "system"];
const TRAFFIC: &[&str] = &["service", "traffic"];
const ERROR: &[&str] = &["kind", "service", "traffic"];
const POOL: &[&str] = &["pool"];

/// All metrics, in report order.
#[rustfmt::skip]
pub static METRICS: &[Metric] = &[
    metric("placement.queued", Unit::Allocs, Kind::Level, REGION, Worse::More, "placements jobs still want, after their last evaluation", "Nomad nomad.job_summary.queued"),
    metric("placement.blocked", Unit::Evals, Kind::Level, REGION, Worse::More, "evaluations that wait for capacity, on the leader", "Nomad nomad.blocked_evals.total_blocked"),
    metric("placement.latency", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "from the creation of the evaluation that placed an allocation to the commit that wrote it", "none; about nomad.broker.wait_time (1.8) plus nomad.worker.invoke_scheduler.*"),
    metric("placement.start_latency", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "from that commit to the first task running", "none; the task event Started"),
    metric("placement.utilization.cpu", Unit::Percent, Kind::Level, REGION, Worse::Neither, "processor held by live allocations, of what all client nodes can schedule", "client.allocated.cpu / (allocated + unallocated)"),
    metric("placement.utilization.memory", Unit::Percent, Kind::Level, REGION, Worse::Neither, "the same for memory", "client.allocated.memory"),
    metric("placement.utilization.disk", Unit::Percent, Kind::Level, REGION, Worse::Neither, "the same for disk", "client.allocated.disk"),
    metric("placement.class_utilization", Unit::Percent, Kind::Level, CLASS, Worse::Neither, "one dimension held by live allocations, of what the nodes of a node class can schedule; none are the nodes without one", "client.allocated.* by node_class"),
    metric("placement.largest_fit.cpu", Unit::Megahertz, Kind::Level, REGION, Worse::Less, "largest free processor of one ready node whose memory and disk are not exhausted: the largest group that still fits", ""),
    metric("placement.largest_fit.memory", Unit::Mebibytes, Kind::Level, REGION, Worse::Less, "the same for memory", ""),
    metric("placement.largest_fit.disk", Unit::Mebibytes, Kind::Level, REGION, Worse::Less, "the same for disk", ""),
    metric("placement.stranded", Unit::Percent, Kind::Level, DIMENSION, Worse::More, "one dimension free on ready nodes where another one is exhausted, of what all client nodes can schedule", ""),
    metric("placement.fragmentation", Unit::Percent, Kind::Level, DIMENSION, Worse::More, "one dimension free on ready nodes, weighted by the share of instances that do not fit there, of what is free on all of them", ""),
    metric("placement.skew.zone", Unit::Ratio, Kind::Level, REGION, Worse::More, "allocations in the fullest zone over the mean of the zones with client machines; 1 is even", ""),
    metric("placement.evenness", Unit::Ratio, Kind::Level, ATTRIBUTE, Worse::Less, "how evenly groups stand over the values of an attribute; 1 is as even as can be, 0 all on one", ""),
    metric("placement.anti_affinity_violations", Unit::Allocs, Kind::Level, REGION, Worse::More, "allocations of service and batch jobs that share their node with an older one of their group", ""),
    metric("placement.churn", Unit::Allocs, Kind::Total, END, Worse::More, "allocations that gave back what they held: complete, evicted, failed, lost, stopped", "nomad.job_summary.{complete,failed,lost}; client.allocs.{complete,failed}"),
    metric("placement.replaced", Unit::Allocs, Kind::Total, REGION, Worse::More, "allocations placed instead of an earlier one", ""),
    metric("placement.preemptions", Unit::Allocs, Kind::Total, PRIORITY, Worse::More, "allocations pushed out, by the priority of their job", ""),
    metric("placement.time_to_running", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "from the registration, scaling or launch of a service or batch job to the first task of the first allocation of a name since then running", ""),
    metric("eval.wait", Unit::Milliseconds, Kind::Times, EVAL, Worse::More, "ready in the broker until a worker took it", "nomad.broker.wait_time (1.8)"),
    metric("eval.age", Unit::Milliseconds, Kind::Times, EVAL, Worse::More, "from its creation until a worker took it: delays and, if it was blocked, the wait for capacity included", ""),
    metric("eval.time", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "from dequeue to acknowledgement", "nomad.worker.wait_for_index plus invoke_scheduler.*, which contains submit_plan"),
    metric("plan.wait", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "in the plan queue", "none; contained in nomad.plan.submit"),
    metric("plan.rejected", Unit::Nodes, Kind::Total, REGION, Worse::More, "node parts of plans the applier refused", "nomad.plan.node_rejected"),
    metric("plan.rejection_ratio", Unit::Percent, Kind::Share, REGION, Worse::More, "those, of all node parts", ""),
    metric("plan.conflict_ratio", Unit::Percent, Kind::Share, REGION, Worse::More, "plans of which some node refused its part, of all plans", ""),
    metric("request.latency", Unit::Milliseconds, Kind::Times, TRAFFIC, Worse::More, "from the user's sending to a good answer, retries included", "ALB TargetResponseTime plus the network; k6 http_req_duration"),
    metric("request.success_ratio", Unit::Percent, Kind::Share, TRAFFIC, Worse::Less, "good answers, of all requests that ended", "k6 http_req_failed, inverted"),
    metric("request.errors", Unit::Requests, Kind::Total, ERROR, Worse::More, "requests that ended otherwise: timeout, refused, 404, 502, 503, 504, other", "ALB HTTPCode_ELB_5XX_Count by code"),
    metric("request.retries", Unit::Retries, Kind::Total, TRAFFIC, Worse::More, "tries after the first", ""),
    metric("request.total", Unit::Requests, Kind::Total, TRAFFIC, Worse::Neither, "requests sent after the warm-up that ended before the run did", "k6 http_reqs"),
    metric("failover.leader", Unit::Milliseconds, Kind::Times, GROUP, Worse::More, "until another server was elected, for groups whose leader was hit (nomad, consul)", "raft.state.leader events"),
    metric("failover.detect", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "until the allocation's node was marked down", "none; the count of nomad.heartbeat.invalidate is that of the nodes marked down"),
    metric("failover.replace", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "until the allocation that replaces it was written", ""),
    metric("failover.healthy", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "until that one's checks passed", ""),
    metric("failover.route", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "until a proxy had it in its table", "fabio route log"),
    metric("failover.service_outage", Unit::Milliseconds, Kind::Times, TRAFFIC, Worse::More, "seconds in which fewer than 95 % of the requests that ended did so well", ""),
    metric("failover.request_gap", Unit::Milliseconds, Kind::Times, TRAFFIC, Worse::More, "longest time between two good answers", ""),
    metric("operators.refused", Unit::Commands, Kind::Total, REGION, Worse::More, "what operators asked for and the servers refused after the warm-up", ""),
    metric("raft.elections", Unit::Elections, Kind::Total, GROUP, Worse::More, "elections won", "raft.state.leader"),
    metric("raft.term", Unit::Term, Kind::Level, GROUP, Worse::Neither, "term of the last leader", "raft.term"),
    metric("gossip.detect_first", Unit::Milliseconds, Kind::Times, POOL, Worse::More, "from a member's loss to the first that took it for dead", "serf.member.failed, first"),
    metric("gossip.detect_all", Unit::Milliseconds, Kind::Times, POOL, Worse::More, "to the last live member that did", "serf.member.failed, last"),
    metric("gossip.false_positives", Unit::Declarations, Kind::Total, POOL, Worse::More, "live, reachable members taken for dead, counted per observer", "serf.member.flap"),
    metric("consul.propagation", Unit::Milliseconds, Kind::Times, REGION, Worse::More, "from a change of an instance in the catalog to a proxy's table following it", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_labels_sorted() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..index].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(metric.labels.is_sorted(), "{}", metric.name);
        }
    }

    /// `name{label,…}`, kind and unit, what it is.
    fn row(metric: &Metric) -> String {
        let (kind, unit) = (metric.kind.name(), metric.unit.name());
        format!("| `{}{{{}}}` | {kind}, {unit} | {} |", metric.name, metric.labels.join(","), metric.about)
    }

    #[test]
    fn the_manual_says_which_way_is_not_more() {
        let manual = include_str!("../../docs/metrics.md");
        for (way, intro) in [(Worse::Less, "Of these less is worse: "), (Worse::Neither, "These say only what is: ")] {
            let (_, rest) = manual.split_once(intro).expect("the manual lists them");
            let list = rest.split(".\n").next().unwrap_or_default();
            let named: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
            let known: Vec<&str> = METRICS.iter().filter(|metric| metric.worse == way).map(|m| m.name).collect();
            assert_eq!(named, known);
        }
    }

    #[test]
    fn the_manual_lists_the_same_metrics_in_the_same_order() {
        let manual = include_str!("../../docs/metrics.md");
        let listed: Vec<String> = manual
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let mut cells = line.split(" | ");
                let (key, kind, about) = (cells.next(), cells.next(), cells.next());
                let about = about.expect("a row of the manual has four cells").replace('`', "");
                format!("{} | {} | {about} |", key.expect("a first cell"), kind.expect("a second cell"))
            })
            .collect();
        assert_eq!(listed, METRICS.iter().map(row).collect::<Vec<_>>());
    }
}
