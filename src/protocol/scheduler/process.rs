//! The decision on one evaluation, as a computation that stops where it needs the leader (Nomad
//! `GenericScheduler.Process`, `SystemScheduler.Process`).
//!
//! Pure: the same snapshot, evaluation, configuration, seed and replies give the same steps.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::model::deployment::DeploymentId;
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, FailedGroup, Trigger};
use crate::model::job::JobKind;
use crate::model::node::NodeId;
use crate::protocol::scheduler::explain::Selection;
use crate::protocol::scheduler::generic::{self, Outcome, Task, resolve_followups};
use crate::protocol::scheduler::plan::{Plan, PlanResult};
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::stack::Work;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::system;

/// What the scheduler asks of the leader.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Write these evaluations; answer with [`Reply::Created`].
    CreateEvaluations(Vec<Evaluation>),
    /// Queue this plan; answer with [`Reply::Planned`].
    Submit(Box<Plan>),
    /// Put the evaluation back among the blocked ones; answer with [`Reply::Written`].
    Reblock(Box<Evaluation>),
    /// Write the evaluation's final status; answer with [`Reply::Written`].
    UpdateEvaluation(Box<Evaluation>),
    /// Acknowledge the evaluation.
    Done,
}

/// What the leader answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Begin.
    Start,
    /// The evaluations got these numbers, in order.
    Created(Vec<EvalId>),
    /// What became of the plan; and a newer state if [`PlanResult::refresh_index`] asked for it.
    Planned {
        /// The result; its deployment should carry its number.
        result: Arc<PlanResult>,
        /// A state at least as new as the refresh index; without one after a partial commit there is no next attempt.
        snapshot: Option<State>,
    },
    /// It is written.
    Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Blocking,
    FollowingUp,
    Submitted,
    GivingUp,
    Closing,
    Finished,
}

/// An evaluation being decided on.
#[derive(Debug, Clone)]
pub struct Process {
    eval: Evaluation,
    /// What the next attempt looks at. An attempt lets go of it, so that whoever applies the plan need not copy what it
    /// changes for a reader who will not look again.
    snapshot: Option<State>,
    config: SchedulerConfig,
    seed: u64,
    phase: Phase,
    /// Attempts without progress.
    attempts: u32,
    /// All attempts; names the random stream.
    attempt_count: u32,
    outcome: Option<Outcome>,
    /// New and updated allocations of the plan submitted last.
    planned: usize,
    /// The job's, as the last attempt found it.
    job_priority: u8,
    failed: OrdMap<Arc<str>, Arc<FailedGroup>>,
    queued: OrdMap<Arc<str>, u32>,
    deployment: Option<DeploymentId>,
    blocked: Option<EvalId>,
    blocked_nodes: Vec<NodeId>,
    next: Option<EvalId>,
    eligibility: (OrdMap<u64, bool>, bool),
    first_index: u64,
    /// Time of the current step.
    now: Time,
    work: Work,
    selections: Vec<Selection>,
}

impl Process {
    /// Prepares to decide. `seed` is the run's; the random stream is named after the evaluation and the attempt.
    pub fn new(eval: Evaluation, snapshot: State, config: SchedulerConfig, seed: u64) -> Self {
        Self {
            first_index: snapshot.index(),
            job_priority: eval.priority,
            eval,
            snapshot: Some(snapshot),
            config,
            seed,
            phase: Phase::Fresh,
            attempts: 0,
            attempt_count: 0,
            outcome: None,
            planned: 0,
            failed: OrdMap::new(),
            queued: OrdMap::new(),
            deployment: None,
            blocked: None,
            blocked_nodes: Vec::new(),
            next: None,
            eligibility: (OrdMap::new(), false),
            now: Time::ZERO,
            work: Work::default(),
            selections: Vec::new(),
        }
    }

    /// The evaluation.
    pub fn eval(&self) -> &Evaluation {
        &self.eval
    }

    /// What it cost since this was last asked.
    pub fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    /// The selections made since this was last asked, if they are to be explained.
    pub fn take_selections(&mut self) -> Vec<Selection> {
        std::mem::take(&mut self.selections)
    }

    /// Plans tried so far.
    pub fn attempt_count(&self) -> u32 {
        self.attempt_count
    }

    /// Goes on after the leader's answer. A reply that does not belong to the last step is answered with
    /// [`Step::Done`], because the computation is over for whoever sends it.
    pub fn step(&mut self, now: Time, reply: Reply) -> Step {
        self.now = now;
        match (self.phase, reply) {
            (Phase::Fresh, Reply::Start) => {
                if self.knows_trigger() {
                    self.attempt()
                } else {
                    self.close(EvalStatus::Failed)
                }
            }
            (Phase::Blocking, Reply::Created(ids)) => {
                self.blocked = ids.first().copied().or(self.blocked);
                self.follow_up()
            }
            (Phase::FollowingUp, Reply::Created(ids)) => {
                self.learn_followups(&ids);
                self.submit()
            }
            (Phase::Submitted, Reply::Planned { result, snapshot }) => self.planned(&result, snapshot),
            (Phase::GivingUp, Reply::Created(ids)) => {
                self.blocked = ids.first().copied().or(self.blocked);
                self.close(EvalStatus::Failed)
            }
            (
                Phase::Fresh
                | Phase::Blocking
                | Phase::FollowingUp
                | Phase::Submitted
                | Phase::GivingUp
                | Phase::Closing
                | Phase::Finished,
                Reply::Start | Reply::Created(_) | Reply::Planned { .. } | Reply::Written,
            ) => {
                self.phase = Phase::Finished;
                Step::Done
            }
        }
    }

    fn is_system(&self) -> bool {
        matches!(self.eval.kind, JobKind::System | JobKind::SysBatch)
    }

    fn knows_trigger(&self) -> bool {
        let foreign =
            matches!(self.eval.trigger, Trigger::MaxPlanAttempts | Trigger::PeriodicJob | Trigger::AllocFailure);
        self.eval.trigger != Trigger::Scheduled && !(self.eval.kind == JobKind::System && foreign)
    }

    fn attempts_max(&self) -> u32 {
        match self.eval.kind {
            JobKind::Service | JobKind::System => 5,
            JobKind::Batch | JobKind::SysBatch => 2,
        }
    }

    fn attempt(&mut self) -> Step {
        let is_over = self.attempts >= self.attempts_max();
        let Some(state) = self.snapshot.take().filter(|_| !is_over) else { return self.give_up() };
        let name = format!("scheduler/{}/{}", self.eval.id, self.attempt_count);
        self.attempt_count += 1;
        let rng = Rng::stream(self.seed, &name);
        let task = Task { state: &state, eval: &self.eval, config: &self.config, now: self.now };
        self.job_priority = state.job(self.eval.job).map_or(self.eval.priority, |job| job.priority);
        let mut outcome = if self.is_system() { system::attempt(task, rng) } else { generic::attempt(task, rng) };
        self.work.add(outcome.work);
        self.selections.append(&mut outcome.selections);
        self.selections.iter_mut().for_each(|selection| selection.attempt = self.attempt_count);
        let failed = std::mem::take(&mut outcome.failed);
        self.failed = failed.into_iter().map(|(group, record)| (group, Arc::new(record))).collect();
        self.queued = std::mem::take(&mut outcome.queued);
        self.deployment = outcome.deployment;
        self.eligibility = (std::mem::take(&mut outcome.class_eligibility), outcome.escaped);
        let blocked = self.blocked_evals(&outcome);
        self.outcome = Some(outcome);
        if blocked.is_empty() {
            return self.follow_up();
        }
        self.phase = Phase::Blocking;
        Step::CreateEvaluations(blocked)
    }

    fn delays(&self, outcome: &Outcome) -> bool {
        !outcome.followups.is_empty() && self.eval.wait_until.is_none()
    }

    /// What must wait for capacity: one evaluation per job, or per full node of a system job; once per evaluation.
    fn blocked_evals(&mut self, outcome: &Outcome) -> Vec<Evaluation> {
        if self.is_system() {
            let fresh: Vec<NodeId> =
                outcome.full_nodes.iter().filter(|node| !self.blocked_nodes.contains(node)).copied().collect();
            self.blocked_nodes.extend(&fresh);
            let of_node = |node| Evaluation { node: Some(node), ..self.blocked_eval(Trigger::QueuedAllocs) };
            return fresh.into_iter().map(of_node).collect();
        }
        let needed = self.eval.status != EvalStatus::Blocked
            && !self.failed.is_empty()
            && self.blocked.is_none()
            && !self.delays(outcome);
        if needed { vec![self.blocked_eval(Trigger::QueuedAllocs)] } else { Vec::new() }
    }

    fn blocked_eval(&self, trigger: Trigger) -> Evaluation {
        Evaluation {
            status: EvalStatus::Blocked,
            class_eligibility: self.eligibility.0.clone(),
            escaped: self.eligibility.1,
            failed_groups: self.failed.clone(),
            snapshot_index: self.first_index,
            ..self.child(trigger)
        }
    }

    /// An evaluation that follows this one.
    fn child(&self, trigger: Trigger) -> Evaluation {
        Evaluation {
            id: EvalId::NEW,
            trigger,
            node: None,
            deployment: None,
            status: EvalStatus::Pending,
            wait: crate::base::time::Duration::ZERO,
            wait_until: None,
            previous: Some(self.eval.id),
            next: None,
            blocked: None,
            failed_groups: OrdMap::new(),
            class_eligibility: OrdMap::new(),
            escaped: false,
            queued: OrdMap::new(),
            snapshot_index: self.first_index,
            create_index: 0,
            modify_index: 0,
            create_time: self.now,
            ..self.eval.clone()
        }
    }

    /// Creates delayed and rolling evaluations, if the plan goes on. Delayed ones have the job's priority; from 1.1.10
    /// and 1.2.4 on they inherit this one's, as rolling ones always did.
    fn follow_up(&mut self) -> Step {
        let outcome = self.outcome.as_ref().expect("an attempt was made");
        if outcome.plan.is_noop() {
            return self.finish();
        }
        let mut evals = Vec::new();
        if self.delays(outcome) {
            for followup in &outcome.followups {
                let child = self.child(followup.trigger);
                let inherits = self.config.behaviour.eval_priority_override;
                let priority = if inherits { child.priority } else { self.job_priority };
                evals.push(Evaluation { wait_until: Some(followup.wait_until), priority, ..child });
            }
        }
        if let Some(wait) = outcome.rolls_on.filter(|_| self.next.is_none()) {
            evals.push(Evaluation { wait, ..self.child(Trigger::RollingUpdate) });
        }
        if evals.is_empty() {
            self.learn_followups(&[]);
            return self.submit();
        }
        self.phase = Phase::FollowingUp;
        Step::CreateEvaluations(evals)
    }

    fn learn_followups(&mut self, ids: &[EvalId]) {
        let outcome = self.outcome.as_mut().expect("an attempt was made");
        if outcome.rolls_on.is_some() {
            self.next = self.next.or(ids.last().copied());
        }
        resolve_followups(&mut outcome.plan, &outcome.followups, ids);
    }

    fn submit(&mut self) -> Step {
        let mut outcome = self.outcome.take().expect("an attempt was made");
        // Plans of later attempts, too, name the state the evaluation was begun with (Nomad `Worker.SubmitPlan`).
        outcome.plan.snapshot_index = self.first_index;
        self.planned = outcome.plan.placements.len() + outcome.plan.updates.len();
        self.phase = Phase::Submitted;
        Step::Submit(Box::new(outcome.plan))
    }

    fn planned(&mut self, result: &PlanResult, snapshot: Option<State>) -> Step {
        for alloc in &result.placements {
            if let Some(queued) = self.queued.get_mut(&alloc.task_group().name) {
                *queued = queued.saturating_sub(1);
            }
        }
        if let Some(deployment) = &result.deployment
            && deployment.id != DeploymentId::NEW
        {
            self.deployment = Some(deployment.id);
        }
        let full = result.placements.len() + result.updates.len() == self.planned;
        if snapshot.is_none() && full {
            return self.finish();
        }
        self.snapshot = snapshot;
        self.attempts = if result.made_progress() { 0 } else { self.attempts + 1 };
        self.attempt()
    }

    /// Too many attempts: service and batch jobs try again later, system jobs wait for the next evaluation.
    fn give_up(&mut self) -> Step {
        if self.is_system() {
            return self.close(EvalStatus::Failed);
        }
        self.phase = Phase::GivingUp;
        Step::CreateEvaluations(vec![self.blocked_eval(Trigger::MaxPlanAttempts)])
    }

    fn finish(&mut self) -> Step {
        if self.eval.status != EvalStatus::Blocked || self.failed.is_empty() || self.is_system() {
            return self.close(EvalStatus::Complete);
        }
        self.phase = Phase::Closing;
        let (class_eligibility, escaped) = self.eligibility.clone();
        Step::Reblock(Box::new(Evaluation { class_eligibility, escaped, ..self.closed(EvalStatus::Blocked) }))
    }

    fn close(&mut self, status: EvalStatus) -> Step {
        self.phase = Phase::Closing;
        Step::UpdateEvaluation(Box::new(self.closed(status)))
    }

    fn closed(&self, status: EvalStatus) -> Evaluation {
        Evaluation {
            status,
            failed_groups: self.failed.clone(),
            queued: self.queued.clone(),
            blocked: self.blocked.or(self.eval.blocked),
            next: self.next.or(self.eval.next),
            deployment: self.deployment.or(self.eval.deployment),
            snapshot_index: self.first_index,
            ..self.eval.clone()
        }
    }
}
