//! The periodic dispatcher of the leader: launches children of jobs by the clock (Nomad 1.1.0 `nomad/periodic.go`).
//!
//! The log keeps when a job was launched last, so that a new leader notices the launch nobody made.

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{Job, JobId, Launch, Periodic};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::message::RpcError;
use crate::protocol::scheduler::server::{After, Server, Timer};
use crate::protocol::scheduler::worker::Decide;

/// Jobs by their next launch; it holds something on the leader only.
#[derive(Debug, Clone, Default)]
pub struct Launches {
    next: OrdMap<JobId, Time>,
    due: OrdSet<(Time, JobId)>,
}

impl Launches {
    /// Sets or forgets a job's next launch.
    fn set(&mut self, job: JobId, next: Option<Time>) {
        if let Some(known) = self.next.remove(&job) {
            self.due.remove(&(known, job));
        }
        if let Some(next) = next {
            self.next.insert(job, next);
            self.due.insert((next, job));
        }
    }
}

impl<D: Decide> Server<D> {
    /// Leadership begins: launches that were due while nobody led are made up for, once each.
    pub(super) fn restore_launches(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let active = self.state.jobs().values().filter_map(|entry| {
            let job = entry.job.as_ref().filter(|job| job.active_period().is_some())?;
            Some((Arc::clone(job), entry.last_launch))
        });
        let checks = self.config.scheduler.behaviour.catch_up_checks_overlap;
        for (job, last) in active.collect::<Vec<_>>() {
            self.follow(now, &job);
            let Some(period) = job.active_period() else { continue };
            let missed = last.and_then(|last| self.next_launch(period, last)).is_some_and(|next| next < now);
            let overlaps = || checks && period.prohibit_overlap && self.state.has_running_child(job.id);
            if missed && !overlaps() {
                self.launch(now, &job, fx);
            }
        }
        self.arm_launch(now, fx);
    }

    /// A committed entry may concern periodic jobs.
    pub(super) fn launches_applied(&mut self, now: Time, command: &Command, fx: &mut impl Fx<Self>) {
        let changed: Vec<JobId> = match command {
            Command::RegisterJob { job, .. }
            | Command::DeploymentStatus { job: Some(job), .. }
            | Command::AllocHealth { job: Some(job), .. } => vec![job.id],
            Command::DeregisterJob { id, .. } => vec![*id],
            Command::Reap { jobs, .. } => jobs.clone(),
            Command::Noop
            | Command::SchedulerConfig(_)
            | Command::RegisterNode { .. }
            | Command::DeregisterNodes(_)
            | Command::NodeStatus { .. }
            | Command::NodeEligibility { .. }
            | Command::NodeDrain { .. }
            | Command::UpsertEvals(_)
            | Command::Plan(_)
            | Command::ClientUpdate { .. }
            | Command::Transitions { .. }
            | Command::DeploymentStatus { job: None, .. }
            | Command::AllocHealth { job: None, .. }
            | Command::PromoteDeployment { .. } => return,
        };
        for id in changed {
            match self.state.job(id).cloned() {
                Some(job) => self.follow(now, &job),
                None => self.launches.set(id, None),
            }
        }
        self.arm_launch(now, fx);
    }

    /// Tracks a job's next launch from now on, or no longer.
    fn follow(&mut self, now: Time, job: &Job) {
        let next = job.active_period().and_then(|period| self.next_launch(period, now));
        self.launches.set(job.id, next);
    }

    fn arm_launch(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        match self.launches.due.first() {
            Some((at, _)) => fx.arm(Timer::Launch, at.since(now)),
            None => fx.disarm(Timer::Launch),
        }
    }

    /// It is time for at least one job.
    pub(super) fn launches_due(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some((_, id)) = self.launches.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(job) = self.state.job(id).cloned() else {
                self.launches.set(id, None);
                continue;
            };
            self.follow(now, &job);
            let Some(period) = job.active_period() else { continue };
            if !(period.prohibit_overlap && self.state.has_running_child(id)) {
                self.launch(now, &job, fx);
            }
        }
        self.arm_launch(now, fx);
    }

    fn launch(&mut self, now: Time, job: &Arc<Job>, fx: &mut impl Fx<Self>) {
        let command = self.launching(now, job);
        self.propose(now, command, After::Nothing, fx);
    }

    /// `<job>/periodic-<unix time>`, with its evaluation.
    fn launching(&self, now: Time, job: &Arc<Job>) -> Command {
        let name = format!("{}/periodic-{}", job.name, self.unix(now));
        let child = child(job, &name, Launch::Child { parent: job.id, payload_bytes: 0 });
        let eval = Some(Box::new(Evaluation::new(&child, Trigger::PeriodicJob, now)));
        Command::RegisterJob { job: Arc::new(child), eval, time: now }
    }

    /// An operator's launch, whatever runs.
    pub(super) fn forced_launch(&self, now: Time, id: JobId) -> Result<Command, RpcError> {
        let job = self.state.job(id).ok_or(RpcError::UnknownJob)?;
        match &job.launch {
            Launch::Periodic(_) if job.active_period().is_some() => Ok(self.launching(now, job)),
            Launch::Periodic(_) => Err(RpcError::NotTracked),
            Launch::Registration | Launch::Parameterized(_) | Launch::Child { .. } => Err(RpcError::NotPeriodic),
        }
    }

    fn next_launch(&self, period: &Periodic, after: Time) -> Option<Time> {
        let next = period.cron.next(self.unix(after) + period.utc_offset)? - period.utc_offset;
        let seconds = u64::try_from(next - self.config.clock_start).ok()?;
        Some(Time::ZERO + Duration::from_secs(seconds))
    }

    /// Wall-clock time in whole seconds.
    pub(super) fn unix(&self, now: Time) -> i64 {
        self.config.clock_start + (now.as_nanos() / 1_000_000_000) as i64
    }
}

/// A child of a job, not yet numbered.
pub(super) fn child(job: &Job, name: &str, launch: Launch) -> Job {
    Job { id: JobId::NEW, name: name.into(), launch, ..job.clone() }
}
