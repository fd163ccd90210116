//! The servers' own work: the leader puts core evaluations into its broker, and whichever worker gets one asks the
//! leader to write what it found (Nomad 1.1.0 `schedulePeriodic`, `CoreScheduler`).
//!
//! Core evaluations are never written and nobody is told of them. Nomad does write those that end without having been
//! carried out: as failed at the delivery limit, and from 1.3.8 and 1.4.3 on as canceled when a newer one of their
//! kind takes their place. Here they are only forgotten: the log is shorter by such an entry, and nothing else depends
//! on it, because the next look follows at the interval anyway. What a look costs is taken as one step, however large
//! the state is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::machine::{Fx, Token};
use crate::base::time::Time;
use crate::model::evaluation::{CoreJob, EvalId, Evaluation};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::garbage::{Cutoffs, collect};
use crate::protocol::scheduler::message::Request;
use crate::protocol::scheduler::server::{Server, TOKEN_WORKER, Timer};
use crate::protocol::scheduler::worker::{Decide, Holding, Stage};

/// What the leader starts at every interval.
const REGULAR: [CoreJob; 4] = [CoreJob::EvalGc, CoreJob::NodeGc, CoreJob::JobGc, CoreJob::DeploymentGc];

impl<D: Decide> Server<D> {
    /// The interval is over.
    pub(super) fn start_core_jobs(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for core in REGULAR {
            self.enqueue_core(now, core, fx);
        }
        self.settle_leader(now, fx);
        fx.arm(Timer::Garbage, self.config.garbage.interval);
    }

    /// Straight into the broker, without an entry in the log.
    pub(super) fn enqueue_core(&mut self, now: Time, core: CoreJob, fx: &mut impl Fx<Self>) {
        self.core_evals = self.core_evals.wrapping_add(1);
        let eval = Evaluation::core(EvalId::core(self.core_evals), core, self.state.index(), now);
        self.enqueue(now, Arc::new(eval), None, fx);
    }

    /// A worker looks for garbage in its state.
    pub(super) fn look_for_garbage(&mut self, now: Time, worker: u16, holding: Holding, fx: &mut impl Fx<Self>) {
        let by_version = self.config.scheduler.behaviour.batch_evals_kept;
        let core = holding.eval.core.expect("the worker was given a core evaluation");
        let cutoffs = match core {
            CoreJob::ForceGc => Cutoffs::FORCED,
            CoreJob::EvalGc | CoreJob::NodeGc | CoreJob::JobGc | CoreJob::DeploymentGc => {
                Cutoffs::aged(&self.times, now, &self.config.garbage, by_version)
            }
        };
        let left: VecDeque<Command> = collect(&self.state, core, now, cutoffs, by_version).into();
        self.workers[usize::from(worker)].stage = Stage::Collecting { holding, left };
        fx.compute(Token(TOKEN_WORKER | u64::from(worker) << 8), self.config.costs.step);
    }

    /// Asks the leader for the next entry, or is done.
    pub(super) fn collect_next(
        &mut self,
        now: Time,
        worker: u16,
        (holding, mut left): (Holding, VecDeque<Command>),
        fx: &mut impl Fx<Self>,
    ) {
        let Some(command) = left.pop_front() else { return self.close(now, worker, &holding, true, fx) };
        self.workers[usize::from(worker)].stage = Stage::Collecting { holding, left };
        self.route(now, Origin::Worker(worker), Request::Reap(Arc::new(command)), fx);
    }
}
