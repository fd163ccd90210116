//! A placement policy, what it is asked and what it answers.
//!
//! A policy decides for service and batch jobs. It is not asked where there is nothing to choose: system jobs (one on
//! every node), updates in place, and replacements that may keep the sticky disk of their predecessor's node. Nodes are
//! offered in Nomad's random order, and only those that can take the allocation: constraints, drivers, volumes, ports,
//! devices and room are looked after. Simulated time is charged for the nodes a policy lets itself be offered, as for
//! those Nomad looks at; what it computes in between is free.

use std::fmt;
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::job::{Job, TaskGroup};
use crate::model::node::{Node, NodeId};
use crate::protocol::scheduler::rank::NodeScore;
use crate::protocol::scheduler::state::{Amounts, State};

/// Decides where allocations go.
///
/// The same ask, offers and draws have to give the same choice; a policy keeps nothing between two calls, because
/// several servers and workers ask it, and not in an order that means anything.
pub trait Policy: fmt::Debug + Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// The node for one more allocation of a group, or `None` to leave it waiting for a change.
    ///
    /// `rng` is the policy's own stream in this attempt at the evaluation; drawing from it shifts no other draw.
    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, rng: &mut Rng) -> Option<Choice>;
}

/// One allocation to place.
pub struct Ask<'a> {
    /// The servers' state as the evaluation sees it: all nodes, jobs and allocations. The plan so far is not in it.
    pub state: &'a State,
    /// The job.
    pub job: &'a Arc<Job>,
    /// The group of the job.
    pub group: &'a TaskGroup,
    /// What the group asks for; whole cores come on top.
    pub needs: Amounts,
    /// Nodes that are ready in the job's datacenters and pool, at least as many as are offered.
    pub nodes: usize,
    /// Offers Nomad would look at: 2 for a batch job, the logarithm of `nodes` for a service (at least 2), more with a
    /// spread or an affinity. Never more than `nodes`.
    pub limit: usize,
    /// Nodes on which a predecessor failed.
    pub failed_on: &'a [NodeId],
    /// Whether less important allocations are pushed out. Asked for only after the same ask without has found nothing,
    /// and if the scheduler's configuration allows it.
    pub preempts: bool,
    pub(in crate::protocol) allocs: &'a dyn Fn() -> Vec<Arc<Alloc>>,
}

impl Ask<'_> {
    /// The job's live allocations as they would be after the plan so far, in all groups. Gathered at each call.
    pub fn allocs(&self) -> Vec<Arc<Alloc>> {
        (self.allocs)()
    }
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, group, needs, nodes, limit, failed_on, preempts, .. } = self;
        write!(f, "Ask {{ {}.{}, {needs:?}, {limit} of {nodes} nodes, ", job.name, group.name)?;
        write!(f, "failed on {failed_on:?}, preempts: {preempts} }}")
    }
}

/// A node that can take the allocation.
#[derive(Debug, Clone)]
pub struct Offer<'a> {
    /// The node, with its zone, class, attributes and capacity.
    pub node: &'a Arc<Node>,
    /// What it can schedule: its capacity minus what it reserves.
    pub available: Amounts,
    /// What its allocations would hold after the plan so far.
    pub used: Amounts,
    /// Allocations of the group there, after the plan so far.
    pub of_group: u32,
    /// Allocations of the job there, after the plan so far.
    pub of_job: u32,
    /// How Nomad scores it; [`NodeScore::mean`] is what Nomad goes by.
    pub scores: NodeScore,
    /// Whom Nomad would push out to make room. Empty unless the ask `preempts`.
    pub victims: Vec<AllocId>,
}

impl Offer<'_> {
    /// What is free there before the allocation.
    pub fn free(&self) -> Amounts {
        self.available.minus(self.used)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// One of the nodes that were offered.
    pub node: NodeId,
    /// Allocations of other jobs on it to push out, instead of those of the offer. Each has to be less important by
    /// [`crate::protocol::scheduler::preempt::PRIORITY_DELTA`] or more, and together they have to make room. `None`:
    /// those of the offer.
    pub victims: Option<Vec<AllocId>>,
}

impl Choice {
    /// This offer, as it was made.
    pub fn of(offer: &Offer<'_>) -> Self {
        Self { node: offer.node.id, victims: None }
    }
}

/// A policy in its place: [`crate::protocol::scheduler::release::SchedulerConfig::policy`].
#[derive(Debug, Clone)]
pub struct Plugged(Arc<dyn Policy>);

impl Plugged {
    /// Plugs a policy in.
    pub fn new(policy: impl Policy + 'static) -> Self {
        Self(Arc::new(policy))
    }

    /// The policy.
    pub fn policy(&self) -> &dyn Policy {
        &*self.0
    }
}

impl PartialEq for Plugged {
    /// The same one, not merely one of the same name.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Plugged {}
