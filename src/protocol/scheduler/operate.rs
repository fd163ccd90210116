//! What operators ask of the leader: jobs registered, scaled, stopped, nodes drained (Nomad 1.1.0 `job_endpoint.go`,
//! `alloc_endpoint.go`, `node_endpoint.go`).

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::model::alloc::{AllocId, Transition};
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind};
use crate::model::node::{DrainStrategy, Eligibility};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{Operation, Reply, RpcError};
use crate::protocol::scheduler::server::{After, Server};
use crate::protocol::scheduler::worker::Decide;

impl<D: Decide> Server<D> {
    /// Carries out an operator's command, on the leader.
    pub(super) fn operate_here(&mut self, now: Time, origin: Origin, operation: &Operation, fx: &mut impl Fx<Self>) {
        let outcome = match operation {
            Operation::RegisterJob(job)
                if job.kind == JobKind::SysBatch && !self.config.scheduler.behaviour.sysbatch =>
            {
                Err(RpcError::UnsupportedKind)
            }
            Operation::RegisterJob(job) => {
                let eval = Some(Box::new(Evaluation::new(job, Trigger::JobRegister, now)));
                Ok((Command::RegisterJob { job: job.clone(), eval }, After::Operated(origin)))
            }
            Operation::DeregisterJob { job, purge } => {
                Ok((self.deregistration(now, *job, *purge), After::Operated(origin)))
            }
            Operation::ScaleJob { job, group, count } => {
                self.scaling(now, *job, group, *count).map(|command| (command, After::Operated(origin)))
            }
            Operation::EvaluateJob(job) => self.state.job(*job).ok_or(RpcError::UnknownJob).map(|job| {
                let eval = Evaluation::new(job, Trigger::JobRegister, now);
                (Command::UpsertEvals(vec![eval]), After::Operated(origin))
            }),
            Operation::StopAlloc(alloc) => {
                self.alloc_stop(now, *alloc).map(|command| (command, After::Operated(origin)))
            }
            Operation::Drain { node, deadline, ignore_system_jobs } => {
                let deadline = deadline.map(|deadline| now + deadline);
                let strategy = DrainStrategy { deadline, ignore_system_jobs: *ignore_system_jobs, started_at: now };
                let command = Command::NodeDrain { id: *node, strategy: Some(strategy), mark_eligible: false };
                let known = self.state.node(*node).ok_or(RpcError::UnknownNode);
                known.map(|_| (command, After::Operated(origin)))
            }
            Operation::Eligibility { node, eligibility } => {
                let before = self.state.node(*node).map(|entry| entry.node.eligibility);
                before.ok_or(RpcError::UnknownNode).map(|before| {
                    let regained = before == Eligibility::Ineligible && *eligibility == Eligibility::Eligible;
                    let command = Command::NodeEligibility { id: *node, eligibility: *eligibility };
                    (command, After::Eligibility { node: *node, origin, regained })
                })
            }
        };
        match outcome {
            Ok((command, after)) => {
                self.propose(now, command, after, fx);
            }
            Err(error) => self.reply(now, origin, Reply::Failed(error), fx),
        }
    }

    /// The evaluation is of type service whatever the job is, as in Nomad.
    fn deregistration(&self, now: Time, id: JobId, purge: bool) -> Command {
        let eval = self.state.job(id).map(|job| {
            let mut eval = Evaluation::new(job, Trigger::JobDeregister, now);
            eval.kind = JobKind::Service;
            eval.priority = self.operator_priority(job);
            Box::new(eval)
        });
        Command::DeregisterJob { id, purge, eval }
    }

    fn scaling(&self, now: Time, id: JobId, group: &str, count: u32) -> Result<Command, RpcError> {
        let job = self.state.job(id).ok_or(RpcError::UnknownJob)?;
        if self.state.latest_deployment(id).is_some_and(|deployment| deployment.is_active()) {
            return Err(RpcError::DeploymentActive);
        }
        let mut scaled = Job::clone(job);
        let group = scaled.groups.iter_mut().find(|it| &*it.name == group).ok_or(RpcError::UnknownGroup)?;
        group.count = count;
        let mut eval = Evaluation::new(job, Trigger::JobScaling, now);
        eval.priority = self.operator_priority(job);
        Ok(Command::RegisterJob { job: Arc::new(scaled), eval: Some(Box::new(eval)) })
    }

    fn alloc_stop(&self, now: Time, id: AllocId) -> Result<Command, RpcError> {
        let alloc = self.state.alloc(id).ok_or(RpcError::UnknownAlloc)?;
        let wish = Transition { migrate: true, ..Transition::default() };
        let eval = Evaluation::new(&alloc.job, Trigger::AllocStop, now);
        Ok(Command::Transitions { transitions: vec![(id, wish)], evals: vec![eval] })
    }

    /// 50 until 1.1.7, the job's from then on (GH-11426, GH-11429).
    fn operator_priority(&self, job: &Job) -> u8 {
        if self.config.scheduler.behaviour.job_priority_kept { job.priority } else { 50 }
    }
}
