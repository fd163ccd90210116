//! What operators ask for in a scenario, in the words of the servers.

use std::sync::Arc;

use crate::model::job::JobId;
use crate::model::node::NodeId;
use crate::protocol::scheduler::operation::{AllocOf, DeploymentOf, Operation};
use crate::world::spec::{GroupOf, NodeDeed, Order};

/// An order; `number` knows the jobs by name.
pub fn operation(order: &Order, number: impl Fn(&str) -> JobId) -> Operation {
    let newest = |job: &Arc<str>| DeploymentOf::Job(number(job));
    let named = |of: &GroupOf, index| AllocOf::Name { job: number(&of.job), group: Arc::clone(&of.group), index };
    match order {
        Order::RevertJob { job, version } => Operation::RevertJob { job: number(job), version: *version },
        Order::EvaluateJob { job, force_reschedule: false } => Operation::EvaluateJob(number(job)),
        Order::EvaluateJob { job, force_reschedule: true } => Operation::RescheduleFailed(number(job)),
        Order::PromoteDeployment { job, groups } => {
            Operation::Promote { deployment: newest(job), groups: groups.clone() }
        }
        Order::PauseDeployment(job) => Operation::Pause(newest(job)),
        Order::ResumeDeployment(job) => Operation::Resume(newest(job)),
        Order::FailDeployment(job) => Operation::Fail(newest(job)),
        Order::ForceLaunch(job) => Operation::ForceLaunch(number(job)),
        Order::Dispatch { job, meta, payload_bytes, .. } => {
            Operation::Dispatch { job: number(job), meta: meta.clone(), payload_bytes: *payload_bytes }
        }
        Order::StopAlloc(of, index) => Operation::StopAlloc(named(of, *index)),
        Order::SetHealth(of, [healthy, unhealthy]) => {
            let named = |index: &u32| named(of, *index);
            Operation::SetHealth {
                deployment: newest(&of.job),
                healthy: healthy.iter().map(named).collect(),
                unhealthy: unhealthy.iter().map(named).collect(),
            }
        }
        Order::CollectGarbage => Operation::CollectGarbage,
        Order::PauseBroker(paused) => Operation::PauseBroker(*paused),
        Order::RejectRegistrations(rejected) => Operation::RejectRegistrations(*rejected),
    }
}

/// A deed, to this node.
pub fn deed(deed: NodeDeed, node: NodeId) -> Operation {
    match deed {
        NodeDeed::Drain { deadline, ignore_system_jobs } => Operation::Drain { node, deadline, ignore_system_jobs },
        NodeDeed::CancelDrain { mark_eligible } => Operation::CancelDrain { node, mark_eligible },
        NodeDeed::Eligibility(eligibility) => Operation::Eligibility { node, eligibility },
        NodeDeed::Evaluate => Operation::EvaluateNode(node),
    }
}
