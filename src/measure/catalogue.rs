//! Every metric there is: name, unit, kind and labels. `cossim list metrics`, docs/metrics.md and the check of
//! expectations read this table; nothing reports a metric that is not in it.

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// A share in 0..=1, shown in percent.
    Share,
    /// Allocations.
    Allocs,
    /// Evaluations.
    Evals,
    /// Plain numbers: elections, terms, errors.
    Count,
    /// Per second.
    PerSecond,
    /// US dollars per hour.
    DollarsPerHour,
}

impl Unit {
    /// As in `summary.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Share => "share",
            Self::Allocs => "allocs",
            Self::Evals => "evals",
            Self::Count => "count",
            Self::PerSecond => "per_s",
            Self::DollarsPerHour => "usd_per_h",
        }
    }
}

/// What a metric is made of, and so which statistics it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Samples: `count`, `min`, `mean`, `p50` … `max`.
    Samples,
    /// A level over time: `final`, `min`, `mean`, `max`.
    Level,
    /// One number per run: `total`, or the share of two totals.
    Total,
}

impl Kind {
    /// As in `cossim list metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Level => "level",
            Self::Total => "total",
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
    /// Labels it may carry, sorted.
    pub labels: &'static [&'static str],
    /// What it is.
    pub about: &'static str,
    /// The product's own metric it corresponds to; empty if there is none.
    pub product: &'static str,
}

/// A metric by name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn metric(
    name: &'static str,
    unit: Unit,
    kind: Kind,
    labels: &'static [&'static str],
    about: &'static str,
    product: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels, about, product }
}

const REGION: &[&str] = &["region"];
const JOB: &[&str] = &["job", "region"];
const GROUP: &[&str] = &["region", "system"];
const FAULT: &[&str] = &["fault", "region"];
const FAULT_SYSTEM: &[&str] = &["fault", "region", "system"];
const POOL: &[&str] = &["pool", "region"];
const TRAFFIC: &[&str] = &["service", "traffic"];

/// All metrics, in report order.
#[rustfmt::skip]
pub static METRICS: &[Metric] = &[
    metric("placement.queued", Unit::Allocs, Kind::Level, JOB, "instances wanted and not placed, by the last evaluation", "nomad.nomad.job_summary.queued"),
    metric("placement.blocked", Unit::Evals, Kind::Level, REGION, "blocked evaluations", "nomad.nomad.blocked_evals.total_blocked"),
    metric("placement.latency", Unit::Milliseconds, Kind::Samples, JOB, "from the creation of the evaluation that placed an allocation to its commit", ""),
    metric("placement.start_latency", Unit::Milliseconds, Kind::Samples, JOB, "from the commit of an allocation to its first task running", ""),
    metric("placement.utilization.cpu", Unit::Share, Kind::Level, REGION, "processor asked for by live allocations, of all ready nodes", "nomad.client.allocated.cpu"),
    metric("placement.utilization.memory", Unit::Share, Kind::Level, REGION, "memory asked for by live allocations, of all ready nodes", "nomad.client.allocated.memory"),
    metric("placement.skew.zone", Unit::Share, Kind::Level, JOB, "most loaded zone's share of a job's live allocations above an even share", ""),
    metric("placement.preemptions", Unit::Count, Kind::Total, REGION, "allocations evicted for more important ones", ""),
    metric("placement.churn", Unit::Count, Kind::Total, JOB, "allocations placed after the first of their name", ""),
    metric("eval.wait", Unit::Milliseconds, Kind::Samples, &["region", "trigger"], "ready in the broker until a worker took it", "nomad.nomad.broker.eval_waiting"),
    metric("eval.time", Unit::Milliseconds, Kind::Samples, &["region", "trigger"], "from dequeue to acknowledgement", "nomad.nomad.worker.invoke_scheduler"),
    metric("plan.wait", Unit::Milliseconds, Kind::Samples, REGION, "in the plan queue", "nomad.nomad.plan.queue_depth"),
    metric("plan.rejected", Unit::Count, Kind::Total, REGION, "nodes of plans that the applier rejected", "nomad.nomad.plan.node_rejected"),
    metric("plan.rejection_ratio", Unit::Share, Kind::Total, REGION, "nodes rejected, of all nodes of plans", ""),
    metric("request.latency", Unit::Milliseconds, Kind::Samples, TRAFFIC, "from the first try to the good answer, as the user saw it", "fabio.requests"),
    metric("request.success_ratio", Unit::Share, Kind::Total, TRAFFIC, "requests with a good answer, of all that ended", ""),
    metric("request.errors", Unit::Count, Kind::Total, &["outcome", "service", "traffic"], "requests that ended otherwise, by how", "fabio.http.status"),
    metric("request.retries", Unit::Count, Kind::Total, TRAFFIC, "tries after the first", ""),
    metric("request.rate", Unit::PerSecond, Kind::Total, TRAFFIC, "requests that ended, per second", ""),
    metric("failover.leader", Unit::Milliseconds, Kind::Samples, FAULT_SYSTEM, "from the loss of a leader to a new one that serves", "nomad.raft.state.leader"),
    metric("failover.detect", Unit::Milliseconds, Kind::Samples, FAULT_SYSTEM, "from the fault to the leader's record of a lost node", ""),
    metric("failover.replace", Unit::Milliseconds, Kind::Samples, FAULT, "from the fault to the commit of a replacement", ""),
    metric("failover.healthy", Unit::Milliseconds, Kind::Samples, FAULT, "from the fault to the replacement's passing checks", ""),
    metric("failover.route", Unit::Milliseconds, Kind::Samples, FAULT, "from the fault to the replacement in every proxy's table", ""),
    metric("failover.service_outage", Unit::Milliseconds, Kind::Samples, &["fault", "service"], "from the fault to the last moment a service had no healthy instance", ""),
    metric("failover.request_gap", Unit::Milliseconds, Kind::Samples, &["fault", "traffic"], "longest time without a good answer after the fault", ""),
    metric("raft.elections", Unit::Count, Kind::Total, GROUP, "elections started", "consul.raft.state.candidate"),
    metric("raft.term", Unit::Count, Kind::Level, GROUP, "term of the leader", ""),
    metric("gossip.detect_first", Unit::Milliseconds, Kind::Samples, POOL, "from a crash to the first member that takes it for dead", "consul.serf.member.failed"),
    metric("gossip.detect_all", Unit::Milliseconds, Kind::Samples, POOL, "from a crash to the last live member that takes it for dead", ""),
    metric("gossip.false_positives", Unit::Count, Kind::Total, POOL, "live, reachable members taken for dead", ""),
    metric("consul.propagation", Unit::Milliseconds, Kind::Samples, REGION, "from a change of health on a machine to the catalog's record of it", ""),
    metric("cost.hourly", Unit::DollarsPerHour, Kind::Total, REGION, "machines at their on-demand price", ""),
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
}
