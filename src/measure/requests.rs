//! Requests as their users saw them.

use std::sync::Arc;

use crate::base::id::IdVec;
use crate::base::time::{Duration, Time};
use crate::measure::distribution::Distribution;
use crate::measure::metric::{Metrics, Value};
use crate::measure::series::{Counts, Percentiles, Series, bucket};
use crate::protocol::proxy::message::RequestNumber;
use crate::world::event::Outcome;
use crate::world::spec::{TrafficId, WorldSpec};

/// Measures requests.
#[derive(Debug, Clone)]
pub struct RequestRecorder {
    spec: Arc<WorldSpec>,
    sources: IdVec<TrafficId, Source>,
}

#[derive(Debug, Clone)]
struct Source {
    latency: Distribution,
    outcomes: [u64; Outcome::ALL.len()],
    retries: u64,
    /// Good and bad answers, by the second they ended in.
    good: Counts,
    bad: Counts,
    percentiles: Percentiles,
}

/// Width of the buckets of the charts.
pub const WIDTH: Duration = Duration::from_secs(SECONDS as u64);
const SECONDS: usize = 5;
/// What outages are judged by.
const SECOND: Duration = Duration::from_secs(1);

impl RequestRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let source = || Source {
            latency: Distribution::new(),
            outcomes: [0; Outcome::ALL.len()],
            retries: 0,
            good: Counts::new(SECOND),
            bad: Counts::new(SECOND),
            percentiles: Percentiles::new(WIDTH),
        };
        Self { spec: Arc::clone(spec), sources: spec.traffic.ids().map(|_| source()).collect() }
    }

    /// A request is over that was issued at `sent`.
    pub fn ended(&mut self, at: Time, traffic: TrafficId, number: RequestNumber, sent: Time, outcome: Outcome) {
        let source = &mut self.sources[traffic];
        let good = outcome == Outcome::Ok;
        let second = bucket(at, SECOND);
        if good {
            source.good.record(second);
            source.percentiles.record(second / SECONDS, at.since(sent).as_nanos());
        } else {
            source.bad.record(second);
        }
        if sent.since(Time::ZERO) < self.spec.warmup {
            return;
        }
        source.outcomes[outcome as usize] += 1;
        source.retries += u64::from(number.attempt());
        if good {
            source.latency.record(at.since(sent).as_nanos());
        }
    }

    /// Good and bad answers of a source in one second of the run.
    pub fn second(&self, traffic: TrafficId, second: usize) -> (u64, u64) {
        let source = &self.sources[traffic];
        (source.good.get(second), source.bad.get(second))
    }

    /// Writes the metrics and series.
    pub fn finish(self, now: Time, metrics: &mut Metrics, series: &mut Vec<Series>) {
        let buckets = (now.as_nanos() / WIDTH.as_nanos()) as usize;
        for (traffic, source) in self.sources.iter() {
            let spec = &self.spec.traffic[traffic];
            let labels = [("service", &*spec.service), ("traffic", &*spec.name)];
            let total: u64 = Outcome::ALL.iter().map(|o| source.outcomes[*o as usize]).sum();
            metrics.put("request.latency", &labels, Value::Times(source.latency.clone()));
            let part = source.outcomes[Outcome::Ok as usize];
            metrics.put("request.success_ratio", &labels, Value::Share { part, whole: total });
            metrics.put("request.retries", &labels, Value::Total { unit: "retries", count: source.retries });
            metrics.put("request.total", &labels, Value::Total { unit: "requests", count: total });
            for outcome in Outcome::ALL {
                if outcome != Outcome::Ok {
                    let labels = [labels[0], labels[1], ("kind", outcome.name())];
                    let count = source.outcomes[outcome as usize];
                    metrics.put("request.errors", &labels, Value::Total { unit: "requests", count });
                }
            }
            let labels = format!("{{traffic={}}}", spec.name);
            series.push(source.good.rates(&format!("requests.good{labels}"), SECONDS, buckets));
            series.push(source.bad.rates(&format!("requests.failed{labels}"), SECONDS, buckets));
            series.extend(source.percentiles.clone().finish(&format!("request.latency{labels}"), buckets));
        }
    }
}
