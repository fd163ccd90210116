//! What operators do to deployments: promote, pause, resume, fail, say what is healthy (Nomad 1.1.0
//! `deployment_endpoint.go`, `deploymentwatcher`).
//!
//! Left out: unblocking, which only multi-region deployments need.

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::alloc::AllocId;
use crate::model::deployment::{Deployment, DeploymentStatus};
use crate::protocol::scheduler::command::{Command, DeploymentUpdate};
use crate::protocol::scheduler::message::RpcError;
use crate::protocol::scheduler::operation::{AllocOf, DeploymentOf};
use crate::protocol::scheduler::server::Server;
use crate::protocol::scheduler::worker::Decide;

impl<D: Decide> Server<D> {
    /// The deployment meant, if it has not ended.
    fn meant(&self, which: DeploymentOf) -> Result<&Arc<Deployment>, RpcError> {
        let deployment = match which {
            DeploymentOf::Number(id) => self.state.deployment(id),
            DeploymentOf::Job(job) => self.state.latest_deployment(job),
        };
        let deployment = deployment.ok_or(RpcError::UnknownDeployment)?;
        if deployment.is_active() { Ok(deployment) } else { Err(RpcError::DeploymentTerminal) }
    }

    /// Whether the canaries are healthy enough is found out when the entry is applied.
    pub(super) fn promotion(&self, now: Time, which: DeploymentOf, groups: &[Arc<str>]) -> Result<Command, RpcError> {
        let deployment = self.meant(which)?;
        let eval = self.rollout_eval(now, deployment.job, deployment.id).map(Box::new);
        Ok(Command::PromoteDeployment { id: deployment.id, groups: groups.to_vec(), eval, time: now })
    }

    /// Needs no evaluation: nothing is to be done until it is resumed.
    pub(super) fn pausing(&self, which: DeploymentOf) -> Result<Command, RpcError> {
        let update = DeploymentUpdate { id: self.meant(which)?.id, status: DeploymentStatus::Paused };
        Ok(Command::DeploymentStatus { update, eval: None, job: None })
    }

    pub(super) fn resuming(&self, now: Time, which: DeploymentOf) -> Result<Command, RpcError> {
        let deployment = self.meant(which)?;
        let update = DeploymentUpdate { id: deployment.id, status: DeploymentStatus::Running };
        let eval = self.rollout_eval(now, deployment.job, deployment.id).map(Box::new);
        Ok(Command::DeploymentStatus { update, eval, job: None })
    }

    /// Goes back to the stable version if any group asks for it.
    pub(super) fn failure(&self, now: Time, which: DeploymentOf) -> Result<Command, RpcError> {
        let deployment = self.meant(which)?;
        let revert = deployment.groups.values().any(|group| group.auto_revert);
        Ok(self.failing(now, deployment, revert))
    }

    /// An unhealthy allocation fails the deployment, and reverts it if the allocation's group asks for it.
    pub(super) fn health(
        &self,
        now: Time,
        which: DeploymentOf,
        healthy: &[AllocOf],
        unhealthy: &[AllocOf],
    ) -> Result<Command, RpcError> {
        let deployment = self.meant(which)?;
        let numbers = |all: &[AllocOf]| -> Result<Vec<AllocId>, RpcError> {
            let number = |alloc: &AllocOf| match alloc {
                // Whether it is one of the deployment's is found out when the entry is applied.
                AllocOf::Number(id) => Ok(*id),
                AllocOf::Name { .. } => Ok(self.alloc_meant(alloc)?.id),
            };
            all.iter().map(number).collect()
        };
        let (healthy, unhealthy) = (numbers(healthy)?, numbers(unhealthy)?);
        let failed = DeploymentUpdate { id: deployment.id, status: DeploymentStatus::Failed };
        let reverts = |id: &AllocId| {
            let group = self.state.alloc(*id).and_then(|alloc| deployment.groups.get(&alloc.task_group().name));
            group.is_some_and(|group| group.auto_revert)
        };
        let revert = unhealthy.iter().any(reverts);
        Ok(Command::AllocHealth {
            id: deployment.id,
            update: (!unhealthy.is_empty()).then_some(failed),
            healthy,
            unhealthy,
            job: if revert { self.stable_version(deployment.job) } else { None },
            eval: self.rollout_eval(now, deployment.job, deployment.id).map(Box::new),
            time: now,
        })
    }
}
