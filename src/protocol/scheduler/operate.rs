//! What operators ask of the leader: jobs registered, scaled, stopped, nodes drained (Nomad 1.1.0 `job_endpoint.go`,
//! `alloc_endpoint.go`, `node_endpoint.go`).

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::model::alloc::{Alloc, ClientStatus, Transition};
use crate::model::evaluation::{CoreJob, Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind};
use crate::model::node::{DrainStrategy, Eligibility, NodeId};
use crate::protocol::scheduler::command::{Command, SchedulerSwitches};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{Reply, RpcError};
use crate::protocol::scheduler::operation::{AllocOf, Operation};
use crate::protocol::scheduler::server::{After, Server};
use crate::protocol::scheduler::worker::Decide;

impl<D: Decide> Server<D> {
    /// Carries out an operator's command, on the leader.
    pub(super) fn operate_here(&mut self, now: Time, origin: Origin, operation: &Operation, fx: &mut impl Fx<Self>) {
        let outcome = match operation {
            Operation::CollectGarbage => {
                self.enqueue_core(now, CoreJob::ForceGc, fx);
                self.reply(now, origin, Reply::Operated { index: self.state.index(), eval: None }, fx);
                return self.settle_leader(now, fx);
            }
            Operation::Dispatch { job, meta, payload_bytes } => {
                let accepted = self.accepts_registrations();
                let command = accepted.and_then(|()| self.dispatching(now, *job, meta, *payload_bytes));
                command.map(|command| (command, After::Dispatched(origin)))
            }
            Operation::EvaluateNode(node) => return self.evaluate_node(now, origin, *node, fx),
            Operation::CancelDrain { node, mark_eligible } => {
                let command = Command::NodeDrain { id: *node, strategy: None, mark_eligible: *mark_eligible };
                let eligibility = if *mark_eligible { Eligibility::Eligible } else { Eligibility::Ineligible };
                self.eligibility_change(origin, *node, eligibility, command)
            }
            Operation::Eligibility { node, eligibility } => {
                let command = Command::NodeEligibility { id: *node, eligibility: *eligibility };
                let drains = self.state.node(*node).is_some_and(|entry| entry.node.drain.is_some());
                if drains && *eligibility == Eligibility::Eligible {
                    Err(RpcError::NodeDraining)
                } else {
                    self.eligibility_change(origin, *node, *eligibility, command)
                }
            }
            Operation::RegisterJob(_)
            | Operation::DeregisterJob { .. }
            | Operation::ScaleJob { .. }
            | Operation::RevertJob { .. }
            | Operation::EvaluateJob(_)
            | Operation::RescheduleFailed(_)
            | Operation::ForceLaunch(_)
            | Operation::PauseBroker(_)
            | Operation::RejectRegistrations(_)
            | Operation::EvalPriority { .. }
            | Operation::StopAlloc(_)
            | Operation::Drain { .. }
            | Operation::Promote { .. }
            | Operation::Pause(_)
            | Operation::Resume(_)
            | Operation::Fail(_)
            | Operation::SetHealth { .. } => {
                self.ordered(now, operation).map(|command| (command, After::Operated(origin)))
            }
        };
        match outcome {
            Ok((command, after)) => {
                self.propose(now, command, after, fx);
            }
            Err(error) => self.reply(now, origin, Reply::Failed(error), fx),
        }
    }

    /// The one entry that does what is asked.
    fn ordered(&self, now: Time, operation: &Operation) -> Result<Command, RpcError> {
        match operation {
            Operation::RegisterJob(job) => self.registration(now, job),
            Operation::DeregisterJob { job, purge } => Ok(self.deregistration(now, *job, *purge)),
            Operation::ScaleJob { job, group, count } => self.scaling(now, *job, group, *count),
            Operation::RevertJob { job, version } => self.reverting(now, *job, *version),
            Operation::PauseBroker(pause_broker) if self.config.scheduler.behaviour.broker_pause => {
                let switches = SchedulerSwitches { pause_broker: *pause_broker, ..self.state.switches() };
                Ok(Command::SchedulerConfig(switches))
            }
            Operation::RejectRegistrations(reject) if self.config.scheduler.behaviour.registration_switch => {
                let switches = SchedulerSwitches { reject_registrations: *reject, ..self.state.switches() };
                Ok(Command::SchedulerConfig(switches))
            }
            Operation::PauseBroker(_) | Operation::RejectRegistrations(_) => Err(RpcError::UnknownSwitch),
            Operation::ForceLaunch(job) => self.forced_launch(now, *job),
            Operation::EvaluateJob(job) => {
                let job = self.evaluated(*job)?;
                Ok(Command::UpsertEvals(vec![Evaluation::new(job, Trigger::JobRegister, now)]))
            }
            Operation::RescheduleFailed(job) => self.forced_rescheduling(now, *job),
            Operation::EvalPriority { priority, of } => {
                if !(1..=100).contains(priority) {
                    return Err(RpcError::PriorityOutOfRange);
                }
                let command = self.ordered(now, of)?;
                let known = self.config.scheduler.behaviour.eval_priority_override;
                Ok(if known { with_priority(command, *priority) } else { command })
            }
            Operation::StopAlloc(alloc) => self.alloc_stop(now, alloc),
            Operation::Drain { node, deadline, ignore_system_jobs } => {
                let deadline = deadline.map(|deadline| now + deadline);
                let strategy = DrainStrategy { deadline, ignore_system_jobs: *ignore_system_jobs, started_at: now };
                self.state.node(*node).ok_or(RpcError::UnknownNode)?;
                Ok(Command::NodeDrain { id: *node, strategy: Some(strategy), mark_eligible: false })
            }
            Operation::Promote { deployment, groups } => self.promotion(now, *deployment, groups),
            Operation::Pause(deployment) => self.pausing(*deployment),
            Operation::Resume(deployment) => self.resuming(now, *deployment),
            Operation::Fail(deployment) => self.failure(now, *deployment),
            Operation::SetHealth { deployment, healthy, unhealthy } => {
                self.health(now, *deployment, healthy, unhealthy)
            }
            Operation::CollectGarbage
            | Operation::Dispatch { .. }
            | Operation::EvaluateNode(_)
            | Operation::CancelDrain { .. }
            | Operation::Eligibility { .. } => {
                unreachable!("these take none, or more than one")
            }
        }
    }

    fn accepts_registrations(&self) -> Result<(), RpcError> {
        if self.state.switches().reject_registrations { Err(RpcError::RegistrationsRejected) } else { Ok(()) }
    }

    fn registration(&self, now: Time, job: &Arc<Job>) -> Result<Command, RpcError> {
        self.accepts_registrations()?;
        if job.kind == JobKind::SysBatch && !self.config.scheduler.behaviour.sysbatch {
            return Err(RpcError::UnsupportedKind);
        }
        let eval = (!job.is_parent()).then(|| Box::new(Evaluation::new(job, Trigger::JobRegister, now)));
        Ok(Command::RegisterJob { job: job.clone(), eval, time: now })
    }

    /// A kept version is registered anew; going to the current one is refused (Nomad `Job.Revert`).
    fn reverting(&self, now: Time, id: JobId, version: Option<u64>) -> Result<Command, RpcError> {
        let current = self.state.job(id).ok_or(RpcError::UnknownJob)?.version;
        let wanted = version.or(current.checked_sub(1)).filter(|wanted| *wanted != current);
        let old = wanted.and_then(|wanted| self.state.job_version(id, wanted)).ok_or(RpcError::UnknownVersion)?;
        self.registration(now, &Arc::new(Job { stop: false, ..Job::clone(old) }))
    }

    /// A job that is evaluated itself.
    fn evaluated(&self, id: JobId) -> Result<&Arc<Job>, RpcError> {
        let job = self.state.job(id).ok_or(RpcError::UnknownJob)?;
        if job.is_parent() { Err(RpcError::NotEvaluated) } else { Ok(job) }
    }

    /// A node that becomes eligible is evaluated once that is written.
    fn eligibility_change(
        &self,
        origin: Origin,
        node: NodeId,
        to: Eligibility,
        command: Command,
    ) -> Result<(Command, After), RpcError> {
        let before = self.state.node(node).ok_or(RpcError::UnknownNode)?.node.eligibility;
        let regained = before == Eligibility::Ineligible && to == Eligibility::Eligible;
        Ok((command, After::Eligibility { node, origin, regained }))
    }

    fn evaluate_node(&mut self, now: Time, origin: Origin, node: NodeId, fx: &mut impl Fx<Self>) {
        let evals = self.node_evals(now, node);
        if self.state.node(node).is_none() {
            self.reply(now, origin, Reply::Failed(RpcError::UnknownNode), fx);
        } else if evals.is_empty() {
            self.reply(now, origin, Reply::Operated { index: self.state.index(), eval: None }, fx);
        } else {
            self.propose(now, Command::UpsertEvals(evals), After::Operated(origin), fx);
        }
    }

    /// Failed allocations of groups that are rescheduled at all, not replaced and not marked before.
    fn forced_rescheduling(&self, now: Time, id: JobId) -> Result<Command, RpcError> {
        let job = self.evaluated(id)?;
        let wish = Transition { force_reschedule: true, ..Transition::default() };
        let is_enabled = |alloc: &Alloc| {
            let policy = job.group(&alloc.task_group().name).and_then(|group| group.reschedule.as_ref());
            policy.is_some_and(|policy| policy.unlimited || policy.attempts > 0)
        };
        let failed = self.state.allocs_of_job(id).filter(|alloc| {
            alloc.client == ClientStatus::Failed
                && alloc.next.is_none()
                && !alloc.transition.force_reschedule
                && is_enabled(alloc)
        });
        let transitions = failed.map(|alloc| (alloc.id, wish)).collect();
        Ok(Command::Transitions { transitions, evals: vec![Evaluation::new(job, Trigger::JobRegister, now)] })
    }

    /// Periodic and parameterized jobs have no evaluation. Otherwise it is of type service whatever the job is, as in
    /// Nomad.
    fn deregistration(&self, now: Time, id: JobId, purge: bool) -> Command {
        let eval = self.state.job(id).filter(|job| !job.is_parent()).map(|job| {
            let mut eval = Evaluation::new(job, Trigger::JobDeregister, now);
            eval.kind = JobKind::Service;
            eval.priority = self.operator_priority(job);
            Box::new(eval)
        });
        Command::DeregisterJob { id, purge, eval }
    }

    fn scaling(&self, now: Time, id: JobId, group: &str, count: u32) -> Result<Command, RpcError> {
        self.accepts_registrations()?;
        let job = self.state.job(id).ok_or(RpcError::UnknownJob)?;
        if self.state.latest_deployment(id).is_some_and(|deployment| deployment.is_active()) {
            return Err(RpcError::DeploymentActive);
        }
        let mut scaled = Job::clone(job);
        let group = scaled.groups.iter_mut().find(|it| &*it.name == group).ok_or(RpcError::UnknownGroup)?;
        group.count = count;
        let mut eval = Evaluation::new(job, Trigger::JobScaling, now);
        eval.priority = self.operator_priority(job);
        // As when it is registered: its children run, not the job itself.
        let eval = (!job.is_parent()).then(|| Box::new(eval));
        Ok(Command::RegisterJob { job: Arc::new(scaled), eval, time: now })
    }

    /// The allocation meant.
    pub(super) fn alloc_meant(&self, which: &AllocOf) -> Result<&Arc<Alloc>, RpcError> {
        let found = match which {
            AllocOf::Number(id) => self.state.alloc(*id),
            AllocOf::Name { job, group, index } => {
                let is = |alloc: &&Arc<Alloc>| alloc.name_index == *index && alloc.task_group().name == *group;
                let to_run = self.state.allocs_of_job(*job).filter(|alloc| !alloc.is_terminal());
                to_run.filter(is).max_by_key(|alloc| alloc.id)
            }
        };
        found.ok_or(RpcError::UnknownAlloc)
    }

    fn alloc_stop(&self, now: Time, which: &AllocOf) -> Result<Command, RpcError> {
        let alloc = self.alloc_meant(which)?;
        let id = alloc.id;
        let wish = Transition { migrate: true, ..Transition::default() };
        let eval = Evaluation::new(&alloc.job, Trigger::AllocStop, now);
        Ok(Command::Transitions { transitions: vec![(id, wish)], evals: vec![eval] })
    }

    /// 50 until 1.1.7, the job's from then on (GH-11426, GH-11429).
    fn operator_priority(&self, job: &Job) -> u8 {
        if self.config.scheduler.behaviour.job_priority_kept { job.priority } else { 50 }
    }
}

/// The same entry with another priority of its evaluation.
fn with_priority(mut command: Command, priority: u8) -> Command {
    if let Command::RegisterJob { eval: Some(eval), .. } | Command::DeregisterJob { eval: Some(eval), .. } =
        &mut command
    {
        eval.priority = priority;
    }
    command
}
