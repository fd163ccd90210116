//! One check as its agent runs it (Consul `agent/checks`): when it runs, and how results become a status.
//!
//! HTTP, TCP, gRPC and script checks look alike here: a probe, its answer, or none in time. They first run after a
//! random part of the interval, and then one interval after each result. A TTL check runs nothing; it fails when nobody
//! reports in time.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::rng::Draws;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::service::CheckKind;
use crate::model::service::CheckStatus;
use crate::protocol::catalog::message::CheckDefinition;
use crate::protocol::catalog::message::ServiceDefinition;
use crate::protocol::catalog::record::CheckId;
use crate::protocol::catalog::record::CheckRecord;
use crate::protocol::catalog::record::mix;

/// A check of an agent.
#[derive(Debug, Clone)]
pub struct LocalCheck {
    /// Its state, as the catalog should have it.
    pub record: CheckRecord,
    /// Whether the catalog is believed to have it.
    pub in_sync: bool,
    /// When a changed output is written at the latest.
    pub defer_until: Option<Time>,
    /// Since when it has been critical, by results; the initial state does not count.
    pub critical_since: Option<Time>,
    runner: Runner,
    /// Runs so far; answers to earlier ones are void.
    round: u32,
    successes: u32,
    failures: u32,
}

#[derive(Debug, Clone)]
enum Runner {
    /// Maintenance: always critical.
    Fixed,
    /// Waits for reports.
    Ttl(Arc<ServiceDefinition>, u16),
    /// Asks.
    Probe(Arc<ServiceDefinition>, u16, Awaiting),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    NextRun,
    Answer,
}

/// What a check does when its alarm goes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarmed {
    /// It asks the process `target`, and gives it `timeout`.
    Ask {
        /// Whom.
        target: ProcessId,
        /// On which port.
        port: u16,
        /// How.
        kind: CheckKind,
        /// The run.
        round: u32,
        /// Patience.
        timeout: Duration,
    },
    /// There was no answer in time, or no report within the time to live.
    Failed,
}

/// What a result did to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing to tell anybody.
    None,
    /// Only the output changed.
    Output,
    /// The status changed.
    Status {
        /// It was this before.
        from: CheckStatus,
    },
}

impl LocalCheck {
    /// The check at place `ordinal` of a service.
    pub fn of_service(service: &Arc<ServiceDefinition>, ordinal: u16) -> Self {
        let check = &service.checks[usize::from(ordinal)].check;
        let status = if check.initially_passing { CheckStatus::Passing } else { CheckStatus::Critical };
        let runner = match check.kind {
            CheckKind::Ttl => Runner::Ttl(Arc::clone(service), ordinal),
            CheckKind::Http | CheckKind::Tcp | CheckKind::Grpc | CheckKind::Script => {
                Runner::Probe(Arc::clone(service), ordinal, Awaiting::NextRun)
            }
        };
        Self::new(CheckId::Service { instance: service.id, ordinal }, status, runner)
    }

    /// The check that switches maintenance on: critical for as long as it is there.
    pub fn maintenance(id: CheckId) -> Self {
        Self::new(id, CheckStatus::Critical, Runner::Fixed)
    }

    fn new(id: CheckId, status: CheckStatus, runner: Runner) -> Self {
        Self {
            record: CheckRecord { id, status, output: 0 },
            in_sync: false,
            defer_until: None,
            critical_since: None,
            runner,
            round: 0,
            successes: 0,
            failures: 0,
        }
    }

    fn definition(&self) -> Option<&CheckDefinition> {
        match &self.runner {
            Runner::Fixed => None,
            Runner::Ttl(service, ordinal) | Runner::Probe(service, ordinal, _) => {
                Some(&service.checks[usize::from(*ordinal)])
            }
        }
    }

    /// The process that is asked and has not answered yet.
    pub fn asked(&self) -> Option<ProcessId> {
        match &self.runner {
            Runner::Probe(service, ordinal, Awaiting::Answer) => Some(service.checks[usize::from(*ordinal)].target),
            Runner::Probe(_, _, Awaiting::NextRun) | Runner::Ttl(..) | Runner::Fixed => None,
        }
    }

    /// Whether it fails unless somebody reports.
    pub fn is_ttl(&self) -> bool {
        matches!(self.runner, Runner::Ttl(..))
    }

    /// `deregister_critical_service_after`, at least 1 min.
    pub fn deregister_after(&self) -> Option<Duration> {
        let after = self.definition()?.check.deregister_after?;
        Some(after.max(MIN_DEREGISTER_AFTER))
    }

    /// The service's name; `None` for maintenance.
    pub fn service_name(&self) -> Option<&Arc<str>> {
        match &self.runner {
            Runner::Fixed => None,
            Runner::Ttl(service, _) | Runner::Probe(service, _, _) => Some(&service.spec.name),
        }
    }

    /// When its alarm goes off first: a random part of the interval, or the time to live; `None` without alarm.
    /// `registration` tells the registrations of one service apart.
    pub fn first_alarm(&self, draws: Draws, registration: u64) -> Option<Duration> {
        match &self.runner {
            Runner::Fixed => None,
            Runner::Ttl(..) => self.interval(),
            Runner::Probe(..) => {
                let part = draws.uniform(mix(self.record.id.number(), registration), FIRST_RUN_LANE);
                self.interval().map(|interval| interval.mul_f64(part))
            }
        }
    }

    /// Time between a result and the next run, at least 1 s; the time to live of a TTL check.
    pub fn interval(&self) -> Option<Duration> {
        let check = &self.definition()?.check;
        Some(if check.kind == CheckKind::Ttl { check.interval } else { check.interval.max(MIN_INTERVAL) })
    }

    /// The alarm went off.
    pub fn alarmed(&mut self) -> Alarmed {
        let Runner::Probe(service, ordinal, awaiting) = &mut self.runner else { return Alarmed::Failed };
        match awaiting {
            Awaiting::NextRun => {
                *awaiting = Awaiting::Answer;
                self.round = self.round.wrapping_add(1);
                let CheckDefinition { check, target, port } = &service.checks[usize::from(*ordinal)];
                let (target, port, kind, round) = (*target, *port, check.kind, self.round);
                Alarmed::Ask { target, port, kind, round, timeout: check.timeout }
            }
            Awaiting::Answer => {
                *awaiting = Awaiting::NextRun;
                Alarmed::Failed
            }
        }
    }

    /// Whether an answer belongs to the run under way; that run is then over.
    pub fn answered(&mut self, round: u32) -> bool {
        match &mut self.runner {
            Runner::Probe(_, _, awaiting) if *awaiting == Awaiting::Answer && round == self.round => {
                *awaiting = Awaiting::NextRun;
                true
            }
            Runner::Probe(..) | Runner::Ttl(..) | Runner::Fixed => false,
        }
    }

    /// The run under way failed because nobody listens.
    pub fn refused(&mut self) {
        if let Runner::Probe(_, _, awaiting) = &mut self.runner {
            *awaiting = Awaiting::NextRun;
        }
    }

    /// Takes a result into account. A status is applied once as many results in a row as configured agree on it
    /// (`success_before_passing`, `failures_before_critical`); a TTL report at once.
    pub fn result(&mut self, now: Time, status: CheckStatus, output: u32) -> Effect {
        if !self.is_ttl() && !self.threshold_reached(status) {
            return Effect::None;
        }
        match status {
            CheckStatus::Critical => _ = self.critical_since.get_or_insert(now),
            CheckStatus::Passing | CheckStatus::Warning => self.critical_since = None,
        }
        let from = std::mem::replace(&mut self.record.status, status);
        let output_changed = std::mem::replace(&mut self.record.output, output) != output;
        match (from != status, output_changed) {
            (true, _) => Effect::Status { from },
            (false, true) => Effect::Output,
            (false, false) => Effect::None,
        }
    }

    /// Whether this answer was the last and is in force, so that another like it would change nothing but counts.
    pub fn is_settled_on(&self, status: CheckStatus, output: u32) -> bool {
        let (before_passing, before_critical) = self.thresholds();
        let (in_a_row, wanted) = match status {
            CheckStatus::Passing | CheckStatus::Warning => (self.successes, before_passing),
            CheckStatus::Critical => (self.failures, before_critical),
        };
        matches!(self.runner, Runner::Probe(_, _, Awaiting::NextRun))
            && (self.record.status, self.record.output) == (status, output)
            && in_a_row >= wanted.max(1)
    }

    /// Another `times` runs had the answer on which the check [is settled](Self::is_settled_on).
    pub fn answered_as_before(&mut self, times: u32) {
        self.round = self.round.wrapping_add(times);
        let in_a_row = if self.successes > 0 { &mut self.successes } else { &mut self.failures };
        *in_a_row = in_a_row.saturating_add(times);
    }

    /// `success_before_passing` and `failures_before_critical`.
    fn thresholds(&self) -> (u32, u32) {
        self.definition().map_or((0, 0), |definition| {
            (definition.check.success_before_passing, definition.check.failures_before_critical)
        })
    }

    fn threshold_reached(&mut self, status: CheckStatus) -> bool {
        let (before_passing, before_critical) = self.thresholds();
        match status {
            CheckStatus::Passing | CheckStatus::Warning => {
                self.successes = self.successes.saturating_add(1);
                self.failures = 0;
                self.successes >= before_passing
            }
            CheckStatus::Critical => {
                self.failures = self.failures.saturating_add(1);
                self.successes = 0;
                self.failures >= before_critical
            }
        }
    }
}

/// The shortest interval between two runs (Consul `MinInterval`).
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest `deregister_critical_service_after` (`check_deregister_interval_min`).
pub const MIN_DEREGISTER_AFTER: Duration = Duration::from_mins(1);
const FIRST_RUN_LANE: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Check;
    use crate::protocol::catalog::story::service;

    const NOW: Time = Time::ZERO;

    fn probe(change: impl FnOnce(&mut Check)) -> LocalCheck {
        let mut check = Check::new("alive", CheckKind::Http, Duration::from_secs(10));
        change(&mut check);
        LocalCheck::of_service(&service(1, "web", vec![check]), 0)
    }

    #[test]
    fn thresholds_count_results_in_a_row() {
        let mut check = probe(|check| {
            check.success_before_passing = 2;
            check.failures_before_critical = 3;
        });
        let script = "+ + - - + - - - - + - + w";
        let mut seen = String::new();
        for result in script.split(' ') {
            let status = match result {
                "+" => CheckStatus::Passing,
                "w" => CheckStatus::Warning,
                _ => CheckStatus::Critical,
            };
            check.result(NOW, status, 0);
            seen.push(match check.record.status {
                CheckStatus::Passing => 'P',
                CheckStatus::Warning => 'W',
                CheckStatus::Critical => 'C',
            });
        }
        assert_eq!(seen, "CPPPPPPCCCCCW");
    }

    #[test]
    fn the_first_run_is_spread_over_the_interval_and_bounds_are_kept() {
        let check = probe(|check| {
            check.interval = Duration::from_millis(200);
            check.deregister_after = Some(Duration::from_secs(5));
        });
        assert_eq!(check.interval(), Some(Duration::from_secs(1)));
        assert_eq!(check.deregister_after(), Some(Duration::from_mins(1)));
        let draws = Draws::new(1, "first");
        let firsts: Vec<Duration> = (0..1_000).filter_map(|n| check.first_alarm(draws, n)).collect();
        assert!(firsts.iter().all(|first| *first < Duration::from_secs(1)));
        let mean = firsts.iter().map(|first| first.as_secs_f64()).sum::<f64>() / 1_000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn a_settled_check_may_be_told_of_answers_instead_of_asking() {
        for (status, thresholds) in [(CheckStatus::Passing, (2, 0)), (CheckStatus::Critical, (0, 3))] {
            let mut asked = probe(|check| (check.success_before_passing, check.failures_before_critical) = thresholds);
            let mut ask = |times: u32| {
                for _ in 0..times {
                    let Alarmed::Ask { round, .. } = asked.alarmed() else { panic!("it asks") };
                    assert!(!asked.is_settled_on(status, 7) && asked.answered(round));
                    asked.result(NOW, status, 7);
                }
                asked.clone()
            };
            let early = ask(1);
            assert!(!early.is_settled_on(status, 7));
            let mut told = ask(2);
            assert!(told.is_settled_on(status, 7) && !told.is_settled_on(status, 8));
            told.answered_as_before(5);
            assert_eq!(format!("{told:?}"), format!("{:?}", ask(5)));
        }
    }

    #[test]
    fn a_late_answer_is_void() {
        let mut check = probe(|_| {});
        assert!(matches!(check.alarmed(), Alarmed::Ask { round: 1, .. }));
        assert_eq!(check.alarmed(), Alarmed::Failed);
        assert!(!check.answered(1));
        assert!(matches!(check.alarmed(), Alarmed::Ask { round: 2, .. }));
        assert!(!check.answered(1) && check.answered(2) && !check.answered(2));
    }
}
