//! Why a selection came out as it did (Nomad `AllocMetric`), recorded for those who ask.
//!
//! Recording changes no choice and no draw; it is off unless [`super::release::SchedulerConfig::explains`] is set,
//! because it makes every selection score what it already knows. Quotas are not modelled, so no node is lost to one.

use std::sync::Arc;

use crate::model::alloc::{Alloc, AllocId};
use crate::model::evaluation::FailedGroup;
use crate::model::node::NodeId;
use crate::protocol::scheduler::rank::{NodeScore, Ranked};
use crate::protocol::scheduler::stack::{SelectOptions, Stack};

/// Best candidates kept of each selection (Nomad `MaxRetainedNodeScores`).
pub const CANDIDATES_KEPT: usize = 5;

/// One pass over the nodes for one allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Name of the job.
    pub job: Arc<str>,
    /// Group of the allocation.
    pub group: Arc<str>,
    /// The number in its name.
    pub name_index: u32,
    /// The attempt at its evaluation, from 1.
    pub attempt: u32,
    /// The allocation it is to replace.
    pub previous: Option<AllocId>,
    /// Whether others could be pushed out for it; tried only after a pass without.
    pub preempts: bool,
    /// Nodes on which an ancestor failed.
    pub penalty_nodes: Vec<NodeId>,
    /// A node that was tried alone first (sticky disks).
    pub preferred: Option<NodeId>,
    /// Nodes it could choose from: ready, and in a datacenter of the job.
    pub nodes: u32,
    /// Candidates after which the search stops; `None` for all.
    pub limit: Option<u32>,
    /// Nodes looked at, and what kept those from being candidates that were none.
    pub record: FailedGroup,
    /// Nodes that could take it.
    pub candidates: u32,
    /// The best of them, best first, equals in the order they were met.
    pub best: Vec<Scored>,
    /// What it came to.
    pub chosen: Option<Chosen>,
}

/// A candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Its place among the candidates in the order they were met, from 1.
    pub met: u32,
    /// Its single scores.
    pub scores: NodeScore,
    /// Their mean.
    pub score: f64,
}

/// The candidate that won.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its node.
    pub node: NodeId,
    /// Mean of its scores.
    pub score: f64,
    /// Allocations that have to go.
    pub preempted: Vec<AllocId>,
}

/// Whom a selection is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The place of the group in its job.
    pub(super) group: usize,
    pub(super) name_index: u32,
    pub(super) previous: Option<&'a Arc<Alloc>>,
}

impl Selection {
    /// What the stack did last.
    pub(super) fn last(
        stack: &Stack<'_>,
        wanted: Wanted<'_>,
        options: SelectOptions<'_>,
        chosen: Option<&Ranked>,
    ) -> Self {
        let met = stack.scores().iter().zip(1..);
        let mut best: Vec<Scored> =
            met.map(|(scores, met)| Scored { met, scores: *scores, score: scores.mean() }).collect();
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        best.truncate(CANDIDATES_KEPT);
        let (nodes, limit) = stack.reach();
        Self {
            job: Arc::clone(&stack.job.name),
            group: Arc::clone(&stack.job.groups[wanted.group].name),
            name_index: wanted.name_index,
            attempt: 1,
            previous: wanted.previous.map(|previous| previous.id),
            preempts: options.preempt,
            penalty_nodes: options.penalty_nodes.to_vec(),
            preferred: options.preferred,
            nodes,
            limit: (limit != u32::MAX).then_some(limit),
            record: stack.failure(wanted.group),
            candidates: stack.scores().len() as u32,
            best,
            chosen: chosen.map(|chosen| Chosen {
                node: chosen.node,
                score: chosen.score,
                preempted: chosen.preempted.clone(),
            }),
        }
    }

    /// Nodes it never came to, because the limit was reached or the choice made before.
    pub fn unseen(&self) -> u32 {
        self.nodes.saturating_sub(self.record.nodes_evaluated)
    }
}
