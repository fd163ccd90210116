//! Releases and settings of the products.

use super::Lowering;
use crate::base::time::Duration;
use crate::scenario::schema;
use crate::world::spec::Options;
use crate::world::spec::SchedulerCost;

impl Lowering<'_> {
    pub(super) fn options(&mut self) -> Options {
        let options = &self.scenario.options;
        let scheduler = &self.scenario.scheduler;
        let multiplier = |this: &mut Self, name: &str, value: Option<u64>, default: u64| {
            this.count(&format!("options.{name}"), value.unwrap_or(default), 1..=10)
        };
        Options {
            nomad_release: self.nomad_release(),
            nomad_raft_multiplier: multiplier(self, "nomad_raft_multiplier", options.nomad_raft_multiplier, 1),
            consul_raft_multiplier: multiplier(self, "consul_raft_multiplier", options.consul_raft_multiplier, 5),
            pre_vote: options.pre_vote,
            workers: scheduler.workers.map(|workers| self.count("scheduler.workers", workers, 1..=1_024) as u16),
            spread_scoring: scheduler.algorithm == schema::Algorithm::Spread,
            scheduler_cost: self.scheduler_cost(&scheduler.cost),
            min_heartbeat_ttl: self.span_or(
                "options.min_heartbeat_ttl",
                options.min_heartbeat_ttl.as_ref(),
                Duration::from_secs(10),
            ),
            max_heartbeats_per_second: self.heartbeats(options.max_heartbeats.as_ref()),
            heartbeat_grace: self.span_or(
                "options.heartbeat_grace",
                options.heartbeat_grace.as_ref(),
                Duration::from_secs(10),
            ),
            failover_heartbeat_ttl: self.span_or(
                "options.failover_heartbeat_ttl",
                options.failover_heartbeat_ttl.as_ref(),
                Duration::from_mins(5),
            ),
        }
    }

    fn heartbeats(&mut self, text: Option<&schema::RateText>) -> f64 {
        let Some(text) = text else { return 50.0 };
        let rate = self.rate("options.max_heartbeats", text);
        self.number("options.max_heartbeats", rate, 0.001..=1e9)
    }

    fn scheduler_cost(&mut self, cost: &schema::Cost) -> SchedulerCost {
        let mut part = |name: &str, text: &Option<schema::DurationText>, default: u64| {
            self.duration_or(&format!("scheduler.cost.{name}"), text.as_ref(), Duration::from_micros(default))
        };
        SchedulerCost {
            evaluation: part("evaluation", &cost.evaluation, 500),
            node_pulled: part("node_pulled", &cost.node_pulled, 2),
            node_scored: part("node_scored", &cost.node_scored, 20),
        }
    }

    /// `1.6.3`, or `1.6` for the last of the series; releases outside what the scheduler models are refused.
    fn nomad_release(&mut self) -> (u8, u8, u8) {
        match self.nomad_release_of_scenario() {
            release if ((1, 1, 0)..(1, 7, 0)).contains(&release) => release,
            _ => {
                let text = &self.scenario.versions.nomad;
                self.error("E015", "versions.nomad", format!("no behaviour of Nomad `{text}` is known"))
                    .hint("known are `1.1.0` to `1.6`; without a third number it is the last of its series");
                (1, 6, u8::MAX)
            }
        }
    }

    /// As written; zeros if it is no release at all.
    pub(super) fn nomad_release_of_scenario(&self) -> (u8, u8, u8) {
        let text = &self.scenario.versions.nomad;
        let numbers: Option<Vec<u8>> = text.trim_start_matches('v').split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([major, minor]) => (*major, *minor, u8::MAX),
            Some([major, minor, patch]) => (*major, *minor, *patch),
            Some(_) | None => (0, 0, 0),
        }
    }
}
