//! Releases and settings of the products.

use super::Lowering;
use crate::base::time::Duration;
use crate::protocol::proxy::release::Release as FabioRelease;
use crate::protocol::scheduler::config::CostModel;
use crate::protocol::scheduler::config::GarbageConfig;
use crate::protocol::scheduler::config::RejectionConfig;
use crate::protocol::scheduler::release::Algorithm;
use crate::protocol::scheduler::release::Behaviour;
use crate::protocol::scheduler::release::Release;
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::release::SpreadLimit;
use crate::scenario::schema;
use crate::world::spec::Options;

impl Lowering<'_> {
    pub(super) fn options(&mut self) -> Options {
        let options = &self.scenario.options;
        let scheduler = &self.scenario.scheduler;
        let multiplier = |this: &mut Self, name: &str, value: Option<u64>, default: u64| {
            this.count(&format!("options.{name}"), value.unwrap_or(default), 1..=10)
        };
        Options {
            nomad_raft_multiplier: multiplier(self, "nomad_raft_multiplier", options.nomad_raft_multiplier, 1),
            consul_raft_multiplier: multiplier(self, "consul_raft_multiplier", options.consul_raft_multiplier, 5),
            pre_vote: options.pre_vote,
            workers: scheduler.workers.map(|workers| self.count("scheduler.workers", workers, 1..=1_024) as u16),
            plan_checkers: scheduler.plan_checkers.map(|count| self.count("scheduler.plan_checkers", count, 1..=64)),
            scheduler: self.scheduling(scheduler),
            nack_timeout: self.tick_or(
                "scheduler.nack_timeout",
                scheduler.nack_timeout.as_ref(),
                Duration::from_secs(60),
            ),
            delivery_limit: self.count("scheduler.delivery_limit", scheduler.delivery_limit.unwrap_or(3), 1..=1_000),
            plan_rejections: scheduler.plan_rejections.as_ref().map(|written| self.plan_rejections(written)),
            garbage: self.garbage(&scheduler.garbage),
            costs: self.costs(&scheduler.cost),
            min_heartbeat_ttl: self.tick_or(
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

    fn scheduling(&mut self, written: &schema::Scheduler) -> SchedulerConfig {
        let mut behaviour = Behaviour::of(self.nomad_release());
        match written.spread_candidates {
            None => {}
            Some(schema::Candidates::All) => behaviour.spread_limit = SpreadLimit::All,
            Some(schema::Candidates::AtMost(most)) => {
                let most = self.count("scheduler.spread_candidates[0]", most, 1..=1_000_000);
                behaviour.spread_limit = SpreadLimit::AtMost(most);
            }
        }
        SchedulerConfig {
            algorithm: match written.algorithm {
                schema::Algorithm::BinPack => Algorithm::Binpack,
                schema::Algorithm::Spread => Algorithm::Spread,
            },
            preempt_service: written.preemption.service,
            preempt_batch: written.preemption.batch,
            preempt_system: written.preemption.system.unwrap_or(true),
            preempt_sysbatch: written.preemption.sysbatch,
            behaviour,
            // Matters of the run, not of the scenario.
            explains: false,
            policy: None,
        }
    }

    fn plan_rejections(&mut self, written: &schema::PlanRejections) -> RejectionConfig {
        let default = RejectionConfig::default();
        let known = self.nomad_release_of_scenario() >= (1, 3, 2);
        self.needs_release("scheduler.plan_rejections", "Nomad counts rejected plans from 1.3.2 on", known);
        let path = "scheduler.plan_rejections.threshold";
        let threshold = written.threshold.map(|threshold| self.count(path, threshold, 1..=1_000_000));
        RejectionConfig {
            threshold: threshold.unwrap_or(default.threshold),
            window: self.span_or("scheduler.plan_rejections.window", written.window.as_ref(), default.window),
        }
    }

    fn garbage(&mut self, written: &schema::Garbage) -> GarbageConfig {
        let default = GarbageConfig::default();
        let interval = self.tick_or("scheduler.garbage.interval", written.interval.as_ref(), default.interval);
        let mut age = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("scheduler.garbage.{name}"), text.as_ref(), default)
        };
        GarbageConfig {
            interval,
            eval: age("eval", &written.eval, default.eval),
            batch_eval: age("batch_eval", &written.batch_eval, default.batch_eval),
            job: age("job", &written.job, default.job),
            node: age("node", &written.node, default.node),
            deployment: age("deployment", &written.deployment, default.deployment),
        }
    }

    fn costs(&mut self, cost: &schema::Cost) -> CostModel {
        let default = CostModel::default();
        let mut part = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("scheduler.cost.{name}"), text.as_ref(), default)
        };
        CostModel {
            step: part("evaluation", &cost.evaluation, EVALUATION_STEP),
            node_pulled: part("node_pulled", &cost.node_pulled, default.node_pulled),
            node_scored: part("node_scored", &cost.node_scored, default.node_scored),
            plan: part("plan", &cost.plan, default.plan),
            plan_node: part("plan_node", &cost.plan_node, default.plan_node),
        }
    }

    /// `1.6.3`, or `1.6` for the last of the series; releases outside what the scheduler models are refused.
    pub(super) fn nomad_release(&mut self) -> Release {
        let text = self.scenario.versions.nomad.trim_start_matches('v');
        text.parse().unwrap_or_else(|_| {
            let text = &self.scenario.versions.nomad;
            self.error("E015", "versions.nomad", format!("no behaviour of Nomad `{text}` is known"))
                .hint("known are `1.1.0` to `1.6.15`; without a third number it is the last of its series");
            Release::V1_6
        })
    }

    /// The release of fabio, named in full.
    pub(super) fn fabio_release(&mut self) -> FabioRelease {
        match self.scenario.versions.fabio.trim_start_matches('v') {
            "1.5.10" => FabioRelease::V1_5_10,
            "1.6.3" => FabioRelease::V1_6_3,
            "1.7.3" => FabioRelease::V1_7_3,
            text => {
                self.error("E015", "versions.fabio", format!("no behaviour of fabio `{text}` is known"))
                    .hint("known are `1.5.10`, `1.6.3` and `1.7.3`");
                FabioRelease::default()
            }
        }
    }

    /// What is written needs a later release than the scenario follows, unless that one `knows` it.
    pub(super) fn needs_release(&mut self, path: &str, message: &str, knows: bool) {
        if !knows {
            self.error("E015", path, message).hint("leave it out, or follow a later release in `versions`");
        }
    }

    pub(super) fn needs_node_pools(&mut self, path: &str) {
        let knows = self.nomad_release_of_scenario() >= (1, 6, 0);
        self.needs_release(path, "Nomad has node pools from 1.6 on", knows);
    }

    /// As written; later than all of them if it is no release at all.
    pub(super) fn nomad_release_of_scenario(&self) -> (u16, u16, u16) {
        let text = &self.scenario.versions.nomad;
        let numbers: Option<Vec<u16>> = text.trim_start_matches('v').split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([major, minor]) => (*major, *minor, u16::MAX),
            Some([major, minor, patch]) => (*major, *minor, *patch),
            // An error of its own; nothing else is wrong with what such a release does not know.
            Some(_) | None => (u16::MAX, 0, 0),
        }
    }
}

/// What a step of an evaluation costs unless the scenario says otherwise.
const EVALUATION_STEP: Duration = Duration::from_micros(500);
