//! The plan applier: one plan at a time is verified on the leader, while the one before is being committed
//! (Nomad 1.1.0 `nomad/plan_apply.go`).
//!
//! The next plan is verified on a snapshot that foresees the previous result, and not verified again
//! once the previous one is committed. At most one plan is in the log's hands.
//!
//! Left out: the deadlock of releases before 1.3.2 (GH-13407). It takes a leader whose own state is more than 5 s
//! behind an entry it has seen committed, and here the leader learns of the commit by applying it.

use std::sync::Arc;

use crate::base::machine::{Fx, Token};
use crate::base::time::Time;
use crate::model::node::NodeId;
use crate::protocol::scheduler::command::{Applied, Command};
use crate::protocol::scheduler::config::Look;
use crate::protocol::scheduler::event::{Event, Proposal};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{PlanRequest, Planned, Reply, RpcError};
use crate::protocol::scheduler::plan::{PlanResult, Rejection, evaluate_plan};
use crate::protocol::scheduler::queue::PlanQueue;
use crate::protocol::scheduler::rejections::RejectionTracker;
use crate::protocol::scheduler::server::{After, Server, TOKEN_APPLIER, Timer};
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::worker::Decide;

/// A plan on its way through the leader.
#[derive(Debug, Clone)]
pub struct QueuedPlan {
    origin: Origin,
    request: Arc<PlanRequest>,
    since: Time,
}

/// A result in the log's hands.
#[derive(Debug, Clone)]
struct Inflight {
    proposal: Proposal,
    plan: QueuedPlan,
    result: Arc<PlanResult>,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    #[default]
    Idle,
    /// The leader's own state lags behind the plan's: look again, having looked this often since then.
    Lagging {
        plan: QueuedPlan,
        polls: u32,
        since: Time,
    },
    Verifying {
        plan: QueuedPlan,
        result: PlanResult,
    },
    /// Verified; the plan before is not committed yet.
    Verified {
        plan: QueuedPlan,
        result: PlanResult,
    },
}

/// Queue and applier of the leader; off by default.
#[derive(Debug, Clone, Default)]
pub struct Applier {
    pub(super) queue: PlanQueue<QueuedPlan>,
    stage: Stage,
    inflight: Option<Inflight>,
    previous_index: u64,
    snapshot: Option<State>,
    /// Outlives leaderships, not the process.
    rejections: RejectionTracker,
    /// Tells computations of this leadership from earlier ones.
    epoch: u64,
}

impl Applier {
    /// Leadership begins.
    pub fn enable(&mut self) {
        self.queue.enable();
        self.epoch += 1;
    }

    /// The process died.
    pub fn crash(&mut self) {
        let epoch = self.epoch + 1;
        *self = Self { epoch, ..Self::default() };
    }

    /// Leadership is over: returns those who wait for an answer.
    pub fn disable(&mut self) -> Vec<Origin> {
        let mut plans = self.queue.disable();
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => {}
            Stage::Lagging { plan, .. } | Stage::Verifying { plan, .. } | Stage::Verified { plan, .. } => {
                plans.push(plan);
            }
        }
        plans.extend(self.inflight.take().map(|inflight| inflight.plan));
        self.snapshot = None;
        self.previous_index = 0;
        self.epoch += 1;
        plans.into_iter().map(|plan| plan.origin).collect()
    }
}

impl<D: Decide> Server<D> {
    /// Plan.Submit on the leader.
    pub(super) fn submit_plan(&mut self, now: Time, origin: Origin, request: Arc<PlanRequest>, fx: &mut impl Fx<Self>) {
        if let Err(error) = self.broker.pause_nack(request.eval, request.token) {
            self.reply(now, origin, Reply::Failed(error.into()), fx);
            return;
        }
        let (eval, priority) = (request.eval, request.plan.priority);
        match self.applier.queue.push(priority, QueuedPlan { origin, request, since: now }) {
            Ok(()) => {
                fx.emit(Event::PlanSubmitted { eval, depth: self.applier.queue.len() });
                self.apply_next(now, fx);
            }
            Err(plan) => self.answer_plan(now, &plan, Reply::Failed(RpcError::PlanQueueDisabled), fx),
        }
    }

    /// Takes the next plan if the applier is free.
    fn apply_next(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while matches!(self.applier.stage, Stage::Idle)
            && let Some(plan) = self.applier.queue.pop()
        {
            self.verify(now, plan, 0, now, fx);
        }
    }

    /// Verifies a plan on a fresh enough state, or waits for one.
    fn verify(&mut self, now: Time, plan: QueuedPlan, polls: u32, since: Time, fx: &mut impl Fx<Self>) {
        let applier = &mut self.applier;
        let wanted = applier.previous_index.max(plan.request.plan.snapshot_index);
        if applier.inflight.is_none() || applier.snapshot.as_ref().is_some_and(|state| state.index() < wanted) {
            applier.snapshot = None;
        }
        if applier.snapshot.is_none() {
            match Look::at(self.state.index() >= wanted, polls, now.since(since), self.config.state_wait) {
                Look::CaughtUp => {}
                Look::Again(wait) => {
                    fx.arm(Timer::Applier, wait);
                    applier.stage = Stage::Lagging { plan, polls: polls + 1, since };
                    return;
                }
                Look::TooLate => {
                    applier.stage = Stage::Idle;
                    self.answer_plan(now, &plan, Reply::Failed(RpcError::StateTimeout), fx);
                    return;
                }
            }
            applier.snapshot = Some(self.state.clone());
        }
        let state = applier.snapshot.as_ref().expect("it was just taken");
        let body = &plan.request.plan;
        let mut result = evaluate_plan(state, body, &self.config.scheduler.behaviour, now);
        let tracks = self.config.scheduler.behaviour.plan_rejections_tracked;
        if let Some(config) = self.config.plan_rejections.filter(|_| tracks) {
            let bad = |(node, _): &(NodeId, Rejection)| applier.rejections.add(now, *node, config).then_some(*node);
            result.ineligible = result.rejected.iter().filter_map(bad).collect();
        }
        let nodes = body.nodes().len();
        fx.emit(Event::PlanEvaluated {
            eval: body.eval,
            nodes,
            rejected: result.rejected.clone(),
            waited: now.since(plan.since),
        });
        let rounds = (nodes as u64).div_ceil(u64::from(self.config.plan_checkers));
        let cost = self.config.costs.plan + self.config.costs.plan_node * rounds;
        applier.stage = Stage::Verifying { plan, result };
        fx.compute(Token(TOKEN_APPLIER | applier.epoch << 8), cost);
    }

    /// The state may have caught up.
    pub(super) fn applier_poll(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        match std::mem::replace(&mut self.applier.stage, Stage::Idle) {
            Stage::Lagging { plan, polls, since } => {
                self.verify(now, plan, polls, since, fx);
                self.apply_next(now, fx);
            }
            stage @ (Stage::Idle | Stage::Verifying { .. } | Stage::Verified { .. }) => self.applier.stage = stage,
        }
    }

    /// The verification took its time.
    pub(super) fn applier_done(&mut self, now: Time, token: Token, fx: &mut impl Fx<Self>) {
        if token.0 >> 8 != self.applier.epoch {
            return;
        }
        let Stage::Verifying { plan, result } = std::mem::replace(&mut self.applier.stage, Stage::Idle) else { return };
        if result.is_noop() {
            let refresh_index = (result.refresh_index > 0).then_some(result.refresh_index);
            let planned = Planned { result: Arc::new(result), refresh_index, index: 0 };
            self.answer_plan(now, &plan, Reply::Planned(planned.into()), fx);
        } else if self.applier.inflight.is_some() {
            self.applier.stage = Stage::Verified { plan, result };
        } else {
            self.commit(now, plan, result, fx);
        }
        self.apply_next(now, fx);
    }

    fn commit(&mut self, now: Time, plan: QueuedPlan, result: PlanResult, fx: &mut impl Fx<Self>) {
        let result = Arc::new(result);
        let command = Command::Plan(result.clone());
        let snapshot = self.applier.snapshot.get_or_insert_with(|| self.state.clone());
        let index = self.state.index().max(snapshot.index()) + 1;
        snapshot.foresee(index, &result);
        let proposal = self.propose(now, command, After::Plan, fx);
        self.applier.inflight = Some(Inflight { proposal, plan, result });
    }

    /// The log took the plan, at this index, or did not.
    pub(super) fn plan_committed(
        &mut self,
        now: Time,
        proposal: Proposal,
        applied: Option<&Applied>,
        fx: &mut impl Fx<Self>,
    ) {
        let Some(inflight) = self.applier.inflight.take_if(|inflight| inflight.proposal == proposal) else { return };
        let index = applied.map_or(0, |applied| applied.index);
        self.applier.previous_index = self.applier.previous_index.max(index);
        self.applier.snapshot = None;
        let reply = match applied {
            Some(applied) => {
                fx.emit(Event::PlanApplied { eval: inflight.result.eval, index });
                let refresh = inflight.result.refresh_index;
                let refresh_index = (refresh > 0).then_some(refresh.max(index));
                let mut result = PlanResult::clone(&inflight.result);
                result.alloc_index = index;
                result.refresh_index = refresh_index.unwrap_or(0);
                if let (Some(deployment), Some(id)) = (&mut result.deployment, applied.deployment) {
                    deployment.id = id;
                }
                Reply::Planned(Planned { result: Arc::new(result), refresh_index, index }.into())
            }
            None => Reply::Failed(RpcError::NotCommitted),
        };
        self.answer_plan(now, &inflight.plan, reply, fx);
        match std::mem::replace(&mut self.applier.stage, Stage::Idle) {
            Stage::Verified { plan, result } => {
                self.commit(now, plan, result, fx);
                self.apply_next(now, fx);
            }
            stage @ (Stage::Idle | Stage::Lagging { .. } | Stage::Verifying { .. }) => self.applier.stage = stage,
        }
    }

    /// The worker's nack timer runs again, in full.
    fn answer_plan(&mut self, now: Time, plan: &QueuedPlan, reply: Reply, fx: &mut impl Fx<Self>) {
        if self.broker.reset_nack(now, plan.request.eval, plan.request.token).is_ok() {
            self.arm_broker(now, fx);
        }
        self.reply(now, plan.origin, reply, fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::protocol::scheduler::broker::EvalToken;
    use crate::protocol::scheduler::event::OperatorTag;
    use crate::protocol::scheduler::plan::Plan;
    use crate::protocol::scheduler::story::{Filler, Region};
    use crate::protocol::scheduler::test_support::eval;

    #[test]
    fn a_plan_is_given_up_when_its_time_is_over_even_if_the_state_has_caught_up_by_then() {
        let is_verified = |waited: Duration| {
            let mut region = Region::<Filler>::new(1, 0, 1);
            region.run_for(Duration::from_secs(10));
            region.server(0, |server, now, fx| {
                let eval = eval(1, 1, 50);
                let plan = Plan::new(&eval, false, server.state.index());
                let request = Arc::new(PlanRequest { plan, eval: eval.id, token: EvalToken(1) });
                let plan = QueuedPlan { origin: Origin::Operator(OperatorTag(1)), request, since: now };
                let since = Time::ZERO + now.since(Time::ZERO).saturating_sub(waited);
                server.applier.stage = Stage::Lagging { plan, polls: 7, since };
                server.applier_poll(now, fx);
            });
            matches!(region.servers[0].applier.stage, Stage::Verifying { .. })
        };
        assert_eq!([4_999, 5_000].map(|waited| is_verified(Duration::from_millis(waited))), [true, false]);
    }
}
