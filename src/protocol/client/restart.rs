//! The restart policy of a task (Nomad 1.1.0 `client/allocrunner/taskrunner/restarts`).

use crate::base::time::{Duration, Time};
use crate::model::job::{Restart, RestartMode};
use crate::protocol::client::event::Exit;

/// What becomes of a task that ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It starts again after this long.
    Restart(Duration),
    /// It is done, and well.
    Done,
    /// It failed.
    Failed,
}

/// Restarts of one task within its current interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restarts {
    count: u32,
    interval_start: Option<Time>,
}

impl Restarts {
    /// Decides on a task that ended. `on_success`: whether a task that ends well starts again too. `jitter` is uniform
    /// in `[0, 1)`.
    pub fn decide(&mut self, now: Time, exit: Exit, policy: &Restart, on_success: bool, jitter: f64) -> Decision {
        let well = exit == Exit::Success && !on_success;
        if policy.attempts == 0 {
            return if well { Decision::Done } else { Decision::Failed };
        }
        let start = *self.interval_start.get_or_insert(now);
        let end = start + policy.interval;
        if now > end {
            self.count = 0;
            self.interval_start = Some(now);
        }
        self.count += 1;
        if exit == Exit::StartError {
            return Decision::Failed;
        }
        if well {
            return Decision::Done;
        }
        if self.count > policy.attempts {
            return match policy.mode {
                RestartMode::Fail => Decision::Failed,
                RestartMode::Delay => Decision::Restart(end.since(now)),
            };
        }
        Decision::Restart(policy.delay + policy.delay.mul_f64(jitter * 0.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn wait(seconds: u64) -> Decision {
        Decision::Restart(Duration::from_secs(seconds))
    }

    #[test]
    fn a_service_task_fails_at_its_third_exit_within_the_interval() {
        let mut r = Restarts::default();
        let mut exit = |now| r.decide(at(now), Exit::Failure, &Restart::SERVICE, true, 0.0);
        assert_eq!([exit(0), exit(20), exit(40)], [wait(15), wait(15), Decision::Failed]);
        assert_eq!(exit(1_801), wait(15), "a new interval");
    }

    #[test]
    fn delay_mode_waits_for_the_end_of_the_interval() {
        let policy = Restart { mode: RestartMode::Delay, attempts: 1, ..Restart::SERVICE };
        let mut r = Restarts::default();
        assert_eq!(r.decide(at(0), Exit::Failure, &policy, true, 0.0), wait(15));
        assert_eq!(r.decide(at(100), Exit::Failure, &policy, true, 0.0), wait(1_700));
    }

    #[test]
    fn success_start_errors_and_jitter() {
        let mut r = Restarts::default();
        assert_eq!(r.decide(at(0), Exit::Success, &Restart::BATCH, false, 0.0), Decision::Done);
        assert_eq!(r.decide(at(0), Exit::StartError, &Restart::BATCH, false, 0.0), Decision::Failed);
        assert_eq!(
            r.decide(at(0), Exit::Success, &Restart::SERVICE, true, 0.5),
            Decision::Failed,
            "the third of two attempts"
        );
        let mut r = Restarts::default();
        let policy = Restart { delay: Duration::from_secs(16), ..Restart::SERVICE };
        assert_eq!(r.decide(at(0), Exit::Success, &policy, true, 0.5), wait(18));
        let never = Restart { attempts: 0, ..Restart::SERVICE };
        assert_eq!(r.decide(at(0), Exit::Success, &never, false, 0.0), Decision::Done);
        assert_eq!(r.decide(at(0), Exit::Success, &never, true, 0.0), Decision::Failed);
    }
}
