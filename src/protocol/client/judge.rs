//! What a runner does about the health of its allocation: when the watch begins, what it is shown, what follows
//! (Nomad 1.1.0 `client/allocrunner/health_hook.go`).

use crate::model::job::Hook;
use crate::protocol::client::event::Event;
use crate::protocol::client::health::{HealthWatch, Verdict};
use crate::protocol::client::runner::{Desk, Runner, TaskState, Wake, hook};

impl Runner {
    /// All checks of its services pass, or not.
    pub fn checks_passing(&mut self, passing: bool, desk: &mut Desk) {
        self.checks_pass = passing;
        if let Some(health) = &mut self.health {
            health.checks_passing(desk.now, passing);
            self.judge_health(desk);
        }
    }

    /// The first hook after the wait for the predecessor; the deadline counts from here.
    pub(super) fn watch_health(&mut self, desk: &mut Desk) {
        self.health_due = None;
        self.health = HealthWatch::new(desk.now, &self.alloc);
        if let Some(health) = &mut self.health {
            health.checks_passing(desk.now, self.checks_pass);
        }
    }

    /// The allocation failed, so it is unhealthy, whoever was to judge.
    pub(super) fn judge_failed(&mut self, desk: &mut Desk) {
        let judged = self.decided.is_some() || self.alloc.health.is_some_and(|health| health.healthy.is_some());
        if self.alloc.deployment.is_some() && !judged {
            self.health = None;
            self.health_due = None;
            self.decided = Some((false, desk.now));
            desk.events.push(Event::AllocHealth { alloc: self.alloc.id, healthy: false });
        }
    }

    pub(super) fn judge_health(&mut self, desk: &mut Desk) {
        let Some(health) = &mut self.health else { return };
        let specs = &self.alloc.task_group().tasks;
        let ended_well = TaskState::Dead { failed: false };
        let mut poststart =
            specs.iter().zip(&self.tasks).filter(|(spec, _)| hook(spec) == Some(Hook::Poststart)).map(|(_, task)| task);
        if !desk.config.poststart_may_end && poststart.any(|task| task.state == ended_well) {
            // Until 1.1.13 and 1.2.7 it counted like any task that is gone (a quirk).
            self.decide_health(false, desk);
            return;
        }
        let mut since = None;
        let all_up = specs.iter().zip(&self.tasks).all(|(spec, task)| match (hook(spec), task.state) {
            (Some(Hook::Poststop), _) => true,
            (_, TaskState::Running(at)) => {
                since = since.max(Some(at));
                true
            }
            (Some(Hook::Prestart | Hook::Poststart), TaskState::Dead { failed }) => !failed,
            _ => false,
        });
        health.tasks_running(desk.now, since.filter(|_| all_up));
        match health.verdict(desk.now) {
            Verdict::Decided(healthy) => self.decide_health(healthy, desk),
            Verdict::Wait(at) => {
                if self.health_due != Some(at) {
                    self.health_due = Some(at);
                    desk.alarms.set(at, self.alloc.id, Wake::Health);
                }
            }
        }
    }

    pub(super) fn decide_health(&mut self, healthy: bool, desk: &mut Desk) {
        if self.health.take().is_some() {
            self.health_due = None;
            self.decided = Some((healthy, desk.now));
            desk.events.push(Event::AllocHealth { alloc: self.alloc.id, healthy });
        }
    }
}
