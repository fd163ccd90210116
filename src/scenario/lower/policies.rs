//! Policy blocks of jobs written in the scenario: update, migrate, restart, reschedule, periodic, parameterized.

use super::ALLOCATIONS_MAX;
use super::Lowering;
use crate::base::time::Duration;
use crate::model::cron::Cron;
use crate::model::job::DelayFunction;
use crate::model::job::HealthCheck;
use crate::model::job::Launch;
use crate::model::job::Migrate;
use crate::model::job::Parameterized;
use crate::model::job::Payload;
use crate::model::job::Periodic;
use crate::model::job::Reschedule;
use crate::model::job::Restart;
use crate::model::job::RestartMode;
use crate::model::job::Update;
use crate::scenario::import::launch::CRON;
use crate::scenario::import::launch::utc_offset;
use crate::scenario::schema;

impl Lowering<'_> {
    pub(super) fn update(&mut self, path: &str, written: &schema::Update) -> Update {
        let default = Update::default();
        let mut span = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("{path}.{name}"), text.as_ref(), default)
        };
        let min_healthy_time = span("min_healthy_time", &written.min_healthy_time, default.min_healthy_time);
        let healthy_deadline = span("healthy_deadline", &written.healthy_deadline, default.healthy_deadline);
        let progress_deadline = span("progress_deadline", &written.progress_deadline, default.progress_deadline);
        let stagger = span("stagger", &written.stagger, default.stagger);
        let mut count = |name: &str, value: Option<u64>, default: u32| {
            value.map_or(default, |value| self.count(&format!("{path}.{name}"), value, 0..=ALLOCATIONS_MAX))
        };
        Update {
            max_parallel: count("max_parallel", written.max_parallel, default.max_parallel),
            health_check: health_check(written.health_check),
            canary: count("canary", written.canary, default.canary),
            min_healthy_time,
            healthy_deadline,
            progress_deadline,
            auto_revert: written.auto_revert,
            auto_promote: written.auto_promote,
            stagger,
        }
    }

    pub(super) fn migrate(&mut self, path: &str, written: &schema::Migrate) -> Migrate {
        let default = Migrate::default();
        let most =
            written.max_parallel.map(|most| self.count(&format!("{path}.max_parallel"), most, 0..=ALLOCATIONS_MAX));
        let mut span = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("{path}.{name}"), text.as_ref(), default)
        };
        Migrate {
            max_parallel: most.unwrap_or(default.max_parallel),
            health_check: health_check(written.health_check),
            min_healthy_time: span("min_healthy_time", &written.min_healthy_time, default.min_healthy_time),
            healthy_deadline: span("healthy_deadline", &written.healthy_deadline, default.healthy_deadline),
        }
    }

    pub(super) fn restart(&mut self, path: &str, written: &schema::Restart, default: &Restart) -> Restart {
        let attempts =
            written.attempts.map(|attempts| self.count(&format!("{path}.attempts"), attempts, 0..=1_000_000));
        Restart {
            attempts: attempts.unwrap_or(default.attempts),
            interval: self.duration_or(&format!("{path}.interval"), written.interval.as_ref(), default.interval),
            delay: self.duration_or(&format!("{path}.delay"), written.delay.as_ref(), default.delay),
            mode: match written.mode {
                schema::RestartMode::Fail => RestartMode::Fail,
                schema::RestartMode::Delay => RestartMode::Delay,
            },
        }
    }

    /// What is left out is as the default says. The default of service jobs is unlimited, which Nomad refuses beside
    /// attempts: those take `unlimited: false`.
    pub(super) fn reschedule(
        &mut self,
        path: &str,
        written: &schema::Reschedule,
        default: Option<Reschedule>,
    ) -> Reschedule {
        let default = default.unwrap_or(Reschedule::BATCH);
        let attempts =
            written.attempts.map(|attempts| self.count(&format!("{path}.attempts"), attempts, 0..=1_000_000));
        let mut span = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("{path}.{name}"), text.as_ref(), default)
        };
        Reschedule {
            attempts: attempts.unwrap_or(default.attempts),
            interval: span("interval", &written.interval, default.interval),
            delay: span("delay", &written.delay, default.delay),
            delay_function: match written.delay_function {
                None => default.delay_function,
                Some(schema::DelayFunction::Constant) => DelayFunction::Constant,
                Some(schema::DelayFunction::Exponential) => DelayFunction::Exponential,
                Some(schema::DelayFunction::Fibonacci) => DelayFunction::Fibonacci,
            },
            max_delay: span("max_delay", &written.max_delay, default.max_delay),
            unlimited: written.unlimited.unwrap_or(default.unlimited),
        }
    }

    /// What makes a job run.
    pub(super) fn launch(&mut self, path: &str, written: &schema::Job) -> Launch {
        if let (Some(_), Some(_)) = (&written.periodic, &written.parameterized) {
            self.error("E011", &format!("{path}.parameterized"), "a job is periodic or parameterized, not both")
                .hint("leave one of the two out");
        }
        if let Some(periodic) = &written.periodic {
            return self.periodic(&format!("{path}.periodic"), periodic);
        }
        let Some(rules) = &written.parameterized else { return Launch::Registration };
        Launch::Parameterized(Parameterized {
            payload: match rules.payload {
                schema::Payload::Optional => Payload::Optional,
                schema::Payload::Required => Payload::Required,
                schema::Payload::Forbidden => Payload::Forbidden,
            },
            meta_required: rules.meta_required.clone(),
            meta_optional: rules.meta_optional.clone(),
        })
    }

    fn periodic(&mut self, path: &str, written: &schema::Periodic) -> Launch {
        let offset = utc_offset(&written.time_zone);
        if offset.is_none() {
            let message = format!("time zone `{}` is not known", written.time_zone);
            self.error("E004", &format!("{path}.time_zone"), message)
                .hint("known are `UTC` and the fixed zones `Etc/GMT-14` to `Etc/GMT+12`");
        }
        match written.cron.parse::<Cron>() {
            Ok(cron) => Launch::Periodic(Periodic {
                cron,
                utc_offset: offset.unwrap_or(0),
                prohibit_overlap: written.prohibit_overlap,
                enabled: written.enabled,
            }),
            Err(error) => {
                self.error("E011", &format!("{path}.cron"), error.to_string()).hint(CRON);
                Launch::Registration
            }
        }
    }
}

const fn health_check(written: schema::HealthCheck) -> HealthCheck {
    match written {
        schema::HealthCheck::Checks => HealthCheck::Checks,
        schema::HealthCheck::TaskStates => HealthCheck::TaskStates,
        schema::HealthCheck::Manual => HealthCheck::Manual,
    }
}
