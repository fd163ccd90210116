//! Scheduling workers: each fetches an evaluation from the leader, waits for its state, decides, submits, acknowledges
//! (Nomad 1.1.0 `nomad/worker.go`).
//!
//! A worker has at most one call under way. The decision is a resumable computation behind [`Decide`]; what it computes
//! between two calls takes the time the cost model says.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::base::machine::{Fx, Token};
use crate::base::time::{Duration, Time};
use crate::model::evaluation::Evaluation;
use crate::protocol::scheduler::broker::EvalToken;
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::config::{Look, backoff};
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::explain::Selection;
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{EvalsRequest, PlanRequest, Planned, Reply, Request, RpcError};
use crate::protocol::scheduler::plan::Plan;
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::server::{Server, TOKEN_WORKER, Timer};
use crate::protocol::scheduler::state::State;

/// A scheduler at work on one evaluation.
pub trait Decide: Clone + fmt::Debug {
    /// Takes an evaluation and a snapshot. `seed` is the run's; draws depend on it and the evaluation only.
    fn begin(eval: &Arc<Evaluation>, state: State, config: &SchedulerConfig, seed: u64) -> Self;

    /// Goes on until it needs the leader, and says how much work that was.
    fn step(&mut self, now: Time, answer: Answer) -> (Step, Work);

    /// Why it decided as it did in its last step, if that is to be explained.
    fn explanation(&mut self) -> Vec<Selection> {
        Vec::new()
    }
}

/// What a scheduler is told.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once")]
pub enum Answer {
    /// Begin.
    Begin,
    /// The evaluations as written.
    Written(Arc<Vec<Arc<Evaluation>>>),
    /// The plan's outcome, and a newer snapshot if the leader wants one to be used.
    Planned {
        /// The outcome.
        planned: Arc<Planned>,
        /// The snapshot.
        state: Option<State>,
    },
    /// The evaluation waits again.
    Reblocked,
}

/// What a scheduler needs.
#[derive(Debug, Clone)]
pub enum Step {
    /// Write these evaluations.
    Write(Vec<Evaluation>),
    /// Submit this plan.
    Submit(Box<Plan>),
    /// Block this evaluation, which is being worked on, again.
    Reblock(Box<Evaluation>),
    /// Done.
    Done,
    /// Cannot go on: give the evaluation back.
    Failed,
}

/// Work done in a step, for the cost model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Nodes the source handed out.
    pub nodes_pulled: u64,
    /// Nodes scored.
    pub nodes_scored: u64,
}

/// An evaluation a worker holds.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    pub(super) eval: Arc<Evaluation>,
    token: EvalToken,
}

/// Where a worker stands.
#[derive(Debug, Clone)]
pub(super) enum Stage<D> {
    /// Paused, or the process has not started.
    Parked,
    /// Asked the leader for an evaluation.
    Dequeuing,
    /// The leader could not be asked; a timer runs.
    BackingOff,
    /// This server's state has to reach an index first; looked this often since then.
    Lagging { holding: Holding, index: u64, polls: u32, since: Time, resume: Option<(D, Arc<Planned>)> },
    /// Computing; then this step is taken.
    Thinking { holding: Holding, process: D, step: Step },
    /// A call of the scheduler is under way, or waits to be made again.
    Asking { holding: Holding, process: D, request: Request },
    /// Collecting garbage: these entries are still to be asked for.
    Collecting { holding: Holding, left: VecDeque<Command> },
    /// The ack or nack is under way.
    Closing,
}

/// One worker.
#[derive(Debug, Clone)]
pub struct Worker<D> {
    paused: bool,
    /// Calls that failed since one succeeded, acknowledgements left out.
    failures: u32,
    pub(super) stage: Stage<D>,
}

impl<D> Default for Worker<D> {
    /// A worker that does nothing yet.
    fn default() -> Self {
        Self { paused: false, failures: 0, stage: Stage::Parked }
    }
}

impl<D: Decide> Server<D> {
    /// Starts every worker that is not paused.
    pub(super) fn start_workers(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for worker in 0..self.workers.len() {
            let it = &self.workers[worker];
            if !it.paused && matches!(it.stage, Stage::Parked) {
                self.dequeue_for(now, worker as u16, fx);
            }
        }
    }

    /// Pauses three quarters of the workers: leadership leaves them less room. They finish what they have.
    pub(super) fn pause_workers(&mut self) {
        let count = self.workers.len();
        let paused = if count > 1 { 3 * count / 4 } else { 0 };
        self.workers.iter_mut().take(paused).for_each(|worker| worker.paused = true);
    }

    /// Lets all workers work.
    pub(super) fn unpause_workers(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.workers.iter_mut().for_each(|worker| worker.paused = false);
        self.start_workers(now, fx);
    }

    fn dequeue_for(&mut self, now: Time, worker: u16, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        if it.paused {
            it.stage = Stage::Parked;
            return;
        }
        it.stage = Stage::Dequeuing;
        self.route(now, Origin::Worker(worker), Request::Dequeue, fx);
    }

    fn back_off(&mut self, worker: u16, base: Duration, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        let wait = backoff(base, it.failures, BACKOFF_LIMIT);
        fx.arm(Timer::Worker(worker), wait);
        // At the limit it is not counted any further, so that the other kind of wait does not begin too long.
        it.failures += u32::from(wait < BACKOFF_LIMIT);
    }

    /// The answer to the one call a worker has under way.
    pub(super) fn worker_answer(&mut self, now: Time, worker: u16, reply: Reply, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        match std::mem::replace(&mut it.stage, Stage::Parked) {
            Stage::Dequeuing => match reply {
                Reply::Dequeued(body) => {
                    it.failures = 0;
                    let holding = Holding { eval: body.eval.clone(), token: body.token };
                    it.stage = Stage::Lagging { holding, index: body.wait_index, polls: 0, since: now, resume: None };
                    self.worker_look(now, worker, fx);
                }
                Reply::Failed(_) => {
                    it.stage = Stage::BackingOff;
                    self.back_off(worker, BACKOFF_FAST, fx);
                }
                _ => {
                    it.failures = 0;
                    self.dequeue_for(now, worker, fx);
                }
            },
            Stage::Asking { holding, process, request } => {
                self.scheduler_answer(now, worker, (holding, process, request), reply, fx);
            }
            Stage::Collecting { holding, left } => match reply {
                Reply::Failed(_) => self.close(now, worker, &holding, false, fx),
                _ => self.collect_next(now, worker, (holding, left), fx),
            },
            Stage::Closing => self.dequeue_for(now, worker, fx),
            stage @ (Stage::Parked | Stage::BackingOff | Stage::Lagging { .. } | Stage::Thinking { .. }) => {
                it.stage = stage;
            }
        }
    }

    fn scheduler_answer(
        &mut self,
        now: Time,
        worker: u16,
        (holding, process, request): (Holding, D, Request),
        reply: Reply,
        fx: &mut impl Fx<Self>,
    ) {
        let it = &mut self.workers[usize::from(worker)];
        match reply {
            Reply::Failed(RpcError::NoLeader | RpcError::PlanQueueDisabled) => {
                it.stage = Stage::Asking { holding, process, request };
                self.back_off(worker, BACKOFF_SLOW, fx);
                return;
            }
            Reply::Planned(planned) => {
                it.failures = 0;
                if let Some(index) = planned.refresh_index {
                    let resume = Some((process, planned));
                    it.stage = Stage::Lagging { holding, index, polls: 0, since: now, resume };
                    self.worker_look(now, worker, fx);
                } else {
                    self.think(now, worker, holding, process, Answer::Planned { planned, state: None }, fx);
                }
                return;
            }
            Reply::Written { evals, .. } => {
                it.failures = 0;
                self.think(now, worker, holding, process, Answer::Written(evals), fx);
                return;
            }
            Reply::Done { .. } => {
                it.failures = 0;
                self.think(now, worker, holding, process, Answer::Reblocked, fx);
                return;
            }
            Reply::Failed(_)
            | Reply::Beat { .. }
            | Reply::ClientAllocs(_)
            | Reply::Allocs(_)
            | Reply::Alloc { .. }
            | Reply::Operated { .. }
            | Reply::Dequeued(_)
            | Reply::Nothing => {}
        }
        self.close(now, worker, &holding, false, fx);
    }

    /// A worker's timer went off: look at the state again, or call again.
    pub(super) fn worker_timer(&mut self, now: Time, worker: u16, fx: &mut impl Fx<Self>) {
        match &self.workers[usize::from(worker)].stage {
            Stage::BackingOff => self.dequeue_for(now, worker, fx),
            Stage::Lagging { .. } => self.worker_look(now, worker, fx),
            Stage::Asking { request, .. } => {
                let request = request.clone();
                self.route(now, Origin::Worker(worker), request, fx);
            }
            Stage::Parked | Stage::Dequeuing | Stage::Thinking { .. } | Stage::Collecting { .. } | Stage::Closing => {}
        }
    }

    /// Goes on once this server's state has caught up; gives the evaluation back when that takes too long.
    fn worker_look(&mut self, now: Time, worker: u16, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        let Stage::Lagging { holding, index, polls, since, resume } = std::mem::replace(&mut it.stage, Stage::Parked)
        else {
            return;
        };
        match Look::at(self.state.index() >= index, polls, now.since(since), self.config.state_wait) {
            Look::TooLate => self.close(now, worker, &holding, false, fx),
            Look::Again(wait) => {
                fx.arm(Timer::Worker(worker), wait);
                it.stage = Stage::Lagging { holding, index, polls: polls + 1, since, resume };
            }
            Look::CaughtUp if holding.eval.core.is_some() => self.look_for_garbage(now, worker, holding, fx),
            Look::CaughtUp => {
                let state = self.state.clone();
                let (process, answer) = match resume {
                    Some((process, planned)) => (process, Answer::Planned { planned, state: Some(state) }),
                    None => (D::begin(&holding.eval, state, &self.config.scheduler, self.config.seed), Answer::Begin),
                };
                self.think(now, worker, holding, process, answer, fx);
            }
        }
    }

    fn think(
        &mut self,
        now: Time,
        worker: u16,
        holding: Holding,
        mut process: D,
        answer: Answer,
        fx: &mut impl Fx<Self>,
    ) {
        let (step, work) = process.step(now, answer);
        if self.config.scheduler.explains {
            let selections = process.explanation().into();
            fx.emit(Event::Explained { eval: Arc::clone(&holding.eval), selections });
        }
        let costs = &self.config.costs;
        let cost = costs.step + costs.node_pulled * work.nodes_pulled + costs.node_scored * work.nodes_scored;
        self.workers[usize::from(worker)].stage = Stage::Thinking { holding, process, step };
        fx.compute(Token(TOKEN_WORKER | u64::from(worker) << 8), cost);
    }

    /// The computation took its time: the step is taken.
    pub(super) fn worker_done(&mut self, now: Time, worker: u16, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        let stage = std::mem::replace(&mut it.stage, Stage::Parked);
        let (holding, process, step) = match stage {
            Stage::Thinking { holding, process, step } => (holding, process, step),
            Stage::Collecting { holding, left } => return self.collect_next(now, worker, (holding, left), fx),
            Stage::Parked
            | Stage::Dequeuing
            | Stage::BackingOff
            | Stage::Lagging { .. }
            | Stage::Asking { .. }
            | Stage::Closing => {
                it.stage = stage;
                return;
            }
        };
        let (eval, token) = (holding.eval.id, holding.token);
        let request = match step {
            Step::Write(evals) => Request::WriteEvals(EvalsRequest { eval, token, evals }.into()),
            Step::Submit(plan) => Request::SubmitPlan(PlanRequest { plan: *plan, eval, token }.into()),
            Step::Reblock(again) => Request::Reblock(EvalsRequest { eval, token, evals: vec![*again] }.into()),
            Step::Done => return self.close(now, worker, &holding, true, fx),
            Step::Failed => return self.close(now, worker, &holding, false, fx),
        };
        it.stage = Stage::Asking { holding, process, request: request.clone() };
        self.route(now, Origin::Worker(worker), request, fx);
    }

    /// Acknowledges, or gives back. The answer does not matter.
    pub(super) fn close(&mut self, now: Time, worker: u16, holding: &Holding, well: bool, fx: &mut impl Fx<Self>) {
        let it = &mut self.workers[usize::from(worker)];
        it.stage = Stage::Closing;
        let (eval, token) = (holding.eval.id, holding.token);
        let request = if well { Request::Ack { eval, token } } else { Request::Nack { eval, token } };
        self.route(now, Origin::Worker(worker), request, fx);
    }
}

/// First wait after a failed dequeue (Nomad `backoffBaselineFast`).
const BACKOFF_FAST: Duration = Duration::from_millis(20);
/// First wait after a failed call of a scheduler (Nomad `backoffBaselineSlow`).
const BACKOFF_SLOW: Duration = Duration::from_millis(500);
/// Longest wait of both (Nomad `backoffLimit`).
const BACKOFF_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ProcessId;
    use crate::protocol::scheduler::plan::evaluate_plan;
    use crate::protocol::scheduler::story::{Filler, Region};
    use crate::protocol::scheduler::test_support::eval;

    #[test]
    fn a_leader_pauses_three_quarters_of_its_workers_until_it_steps_down() {
        let counts = |region: &Region<Filler>| -> Vec<(usize, usize)> {
            let paused = |server: &Server<Filler>| server.workers.iter().filter(|worker| worker.paused).count();
            let is_parked = |worker: &&Worker<Filler>| matches!(worker.stage, Stage::Parked);
            let parked = |server: &Server<Filler>| server.workers.iter().filter(is_parked).count();
            region.servers.iter().map(|server| (paused(server), parked(server))).collect()
        };
        for (workers, paused) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (8, 6)] {
            let mut region = Region::configured(2, 0, 1, |config| config.workers = workers);
            region.run_for(Duration::from_secs(2));
            assert_eq!(counts(&region), [(paused, paused), (0, 0)], "of {workers}");
            region.elect(1);
            region.run_for(Duration::from_secs(2));
            assert_eq!(counts(&region), [(0, 0), (paused, paused)], "of {workers}");
        }
    }

    #[test]
    fn failures_count_up_to_the_longest_wait_and_are_forgotten_by_successful_calls_but_no_nack() {
        let mut region = Region::<Filler>::new(2, 0, 1);
        let failures = |region: &Region<Filler>| region.servers[1].workers[0].failures;
        region.servers[1].leader_known(None);
        region.run_for(Duration::from_mins(3));
        assert_eq!(failures(&region), 5, "20 ms, 80 ms, 320 ms, 1.28 s, 5.12 s, and then 10 s again and again");
        region.servers[1].leader_known(Some(ProcessId(0)));
        region.run_for(Duration::from_secs(20));
        assert_eq!(failures(&region), 0);
        let holding = || Holding { eval: Arc::new(eval(1, 1, 50)), token: EvalToken(1) };
        region.server(1, |server, now, fx| {
            server.workers[0].failures = 3;
            server.close(now, 0, &holding(), false, fx);
        });
        assert_eq!(failures(&region), 3);
        region.server(1, |server, now, fx| {
            let holding = holding();
            let config = server.config.scheduler.clone();
            let plan = Plan::new(&holding.eval, false, 0);
            let result = Arc::new(evaluate_plan(&server.state, &plan, &config.behaviour, now));
            let process = Filler::begin(&holding.eval, server.state.clone(), &config, 7);
            server.workers[0].stage = Stage::Asking { holding, process, request: Request::Dequeue };
            let planned = Planned { result, refresh_index: Some(u64::MAX), index: 1 };
            server.worker_answer(now, 0, Reply::Planned(planned.into()), fx);
        });
        assert_eq!(failures(&region), 0, "the plan was submitted, though a newer state is wanted");
    }
}
