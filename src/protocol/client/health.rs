//! When an allocation counts as healthy (Nomad 1.1.0 `client/allochealth`): tasks have been running, and checks
//! passing,
//! for long enough without a break.

use crate::base::time::{Duration, Time};
use crate::model::alloc::Alloc;
use crate::model::job::{HealthCheck, JobKind, Migrate};

/// Interval at which Nomad looks at checks.
const CHECK_POLL: Duration = Duration::from_millis(500);

/// What the watch concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet; look again then.
    Wait(Time),
    /// Decided.
    Decided(bool),
}

/// The watch over one allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthWatch {
    start: Time,
    min_healthy: Duration,
    deadline: Time,
    checks_count: bool,
    /// The last start of tasks that should run, while all of them do.
    tasks_started: Option<Time>,
    /// Since when that has been seen.
    tasks_since: Option<Time>,
    /// Since when all checks have been seen passing.
    checks_since: Option<Time>,
}

impl HealthWatch {
    /// Starts watching, unless the allocation is not of a service, is watched by hand, or is decided already.
    pub fn new(now: Time, alloc: &Alloc) -> Option<Self> {
        if alloc.job.kind != JobKind::Service || alloc.health.is_some_and(|health| health.healthy.is_some()) {
            return None;
        }
        let group = alloc.task_group();
        let rule = match (alloc.deployment, &group.update) {
            (Some(_), Some(update)) => Migrate {
                max_parallel: update.max_parallel,
                health_check: update.health_check,
                min_healthy_time: update.min_healthy_time,
                healthy_deadline: update.healthy_deadline,
            },
            (Some(_) | None, _) => group.migrate.clone().unwrap_or_default(),
        };
        if rule.health_check == HealthCheck::Manual {
            return None;
        }
        let mut services = group.services.iter().chain(group.tasks.iter().flat_map(|task| &task.services));
        let checks_count = rule.health_check == HealthCheck::Checks && services.any(|s| !s.checks.is_empty());
        Some(Self {
            start: now,
            min_healthy: rule.min_healthy_time,
            deadline: now + rule.healthy_deadline,
            checks_count,
            tasks_started: None,
            tasks_since: None,
            checks_since: None,
        })
    }

    /// All tasks that should run do, the last of them since `started`; `None` when one does not. The time counts from
    /// when that is news: of tasks that ran before the watch, from its start.
    pub fn tasks_running(&mut self, now: Time, started: Option<Time>) {
        if self.tasks_started != started {
            self.tasks_started = started;
            self.tasks_since = started.map(|_| now);
        }
    }

    /// All checks pass from now on, or one does not any more. Seen at the next poll.
    pub fn checks_passing(&mut self, now: Time, passing: bool) {
        let polls = now.since(self.start).as_nanos().div_ceil(CHECK_POLL.as_nanos());
        match (passing, self.checks_since) {
            (true, None) => self.checks_since = Some(self.start + CHECK_POLL * polls),
            (true, Some(_)) => {}
            (false, _) => self.checks_since = None,
        }
    }

    /// What to conclude at `now`.
    pub fn verdict(&self, now: Time) -> Verdict {
        let checks = if self.checks_count { self.checks_since } else { Some(self.start) };
        let healthy_at = self.tasks_since.zip(checks).map(|(tasks, checks)| tasks.max(checks) + self.min_healthy);
        match healthy_at {
            Some(at) if at <= now && at <= self.deadline => Verdict::Decided(true),
            _ if now >= self.deadline => Verdict::Decided(false),
            Some(at) => Verdict::Wait(at.min(self.deadline)),
            None => Verdict::Wait(self.deadline),
        }
    }
}
