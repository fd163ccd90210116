//! Which jobs are evaluated when a node changes (Nomad `createNodeEvals`).

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{Job, JobId};
use crate::model::node::NodeId;
use crate::protocol::scheduler::generic::{may_run_in, takes_from};
use crate::protocol::scheduler::message::Registration;
use crate::protocol::scheduler::server::Server;
use crate::protocol::scheduler::worker::Decide;

impl<D: Decide> Server<D> {
    /// A known node registers as something that other jobs may run on. Its capacity is not looked at: more of it
    /// unblocks what waits.
    pub(super) fn is_changed(&self, body: &Registration) -> bool {
        let (Some(known), new) = (self.state.node(body.node), &body.spec) else { return false };
        let old = &known.node.spec;
        (&old.name, &old.datacenter, &old.class, &old.pool) != (&new.name, &new.datacenter, &new.class, &new.pool)
            || (&old.attributes, &old.meta, &old.drivers) != (&new.attributes, &new.meta, &new.drivers)
            || (&old.host_volumes, &old.devices) != (&new.host_volumes, &new.devices)
    }

    /// One evaluation per job with an allocation on the node, and per system job (Nomad `createNodeEvals`).
    pub(super) fn node_evals(&self, now: Time, node: NodeId) -> Vec<Evaluation> {
        let Some(entry) = self.state.node(node) else { return Vec::new() };
        let mut jobs: Vec<&Arc<Job>> = self.state.allocs_of_node(node).map(|alloc| &alloc.job).collect();
        jobs.sort_by_key(|job| (job.id, job.version));
        jobs.dedup_by_key(|job| job.id);
        let covered: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let (behaviour, here) = (&self.config.scheduler.behaviour, &entry.node.spec);
        for job in self.state.system_jobs().iter().filter_map(|id| self.state.job(*id)) {
            let in_datacenter = !behaviour.node_updates_by_datacenter || may_run_in(job, &here.datacenter, behaviour);
            let reaches = in_datacenter && (!behaviour.node_pools || takes_from(job, &here.pool));
            if reaches && covered.binary_search(&job.id).is_err() {
                jobs.push(job);
            }
        }
        let make = |job: &Arc<Job>| Evaluation { node: Some(node), ..Evaluation::new(job, Trigger::NodeUpdate, now) };
        jobs.into_iter().map(make).collect()
    }
}
