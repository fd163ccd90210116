//! Evaluations that wait for capacity.
//!
//! Covers Nomad 1.1.0 `nomad/blocked_evals.go` and `blocked_evals_system.go`: one blocked evaluation per job,
//! unblocking by computed class and by node, missed unblocks, duplicates. Lives in memory, on the leader only; what it
//! releases is returned for the broker. Evaluations of system jobs that name a node are listed there, too: one per job
//! and node, also when one for another node has superseded it as the job's (a quirk: it is canceled as a duplicate and
//! released all the same when its node has room).
//!
//! An evaluation that is blocked again with other counts than its job's summary is written, which tracks it, and then
//! tracked once more with its worker's token. Here it stays one evaluation. Nomad, in all releases up to 1.6, takes it
//! for a duplicate of itself and writes it as canceled while it goes on waiting: a new leader does not restore it, and
//! when it is next blocked with nothing changed it is refused, given back, and followed by a new one minutes later.
//! (It meets this less often: its summaries fall with every placement.) So jobs that are placed bit by bit on a full
//! cluster can get their last instances sooner here.
//!
//! Left out: quotas (an Enterprise feature). The buffer of 8096 unblocks between the state machine and the tracker is
//! not modelled: an unblock acts at once.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Duration;
use crate::model::evaluation::{EvalId, Evaluation, Trigger};
use crate::model::job::{JobId, JobKind};
use crate::model::node::NodeId;
use crate::protocol::scheduler::broker::EvalToken;

/// Time after which an unblocking is forgotten for the purpose of missed unblocks. Nomad `pruneThreshold`.
pub const PRUNE_THRESHOLD: Duration = Duration::from_mins(15);
/// Time between two prunings. Nomad `pruneInterval`.
pub const PRUNE_INTERVAL: Duration = Duration::from_mins(5);

/// An evaluation on its way to the broker, with the token of the worker that still holds it, if one does.
pub type Released = (Arc<Evaluation>, Option<EvalToken>);

/// The tracker.
#[derive(Debug, Clone, Default)]
pub struct Blocked {
    enabled: bool,
    /// One of each job at most.
    tracked: OrdMap<EvalId, Held>,
    /// How many of them escaped the classes.
    escaped_count: usize,
    jobs: OrdMap<JobId, EvalId>,
    /// Evaluations of system jobs by job and node, whether or not they are the job's one.
    system: OrdMap<(JobId, NodeId), Held>,
    /// The jobs in `system` by node.
    by_node: OrdMap<NodeId, OrdSet<JobId>>,
    /// Raft index of the last unblocking by class.
    unblocked: OrdMap<u64, u64>,
    duplicates: Vec<Arc<Evaluation>>,
}

impl Blocked {
    /// Turns the tracker on: this server leads.
    pub fn enable(&mut self) {
        self.enabled = true;
    }

    /// Turns the tracker off and forgets everything.
    pub fn disable(&mut self) {
        *self = Self::default();
    }

    /// Takes a blocked evaluation in. Returns it when capacity appeared after the snapshot it was decided on.
    pub fn block(&mut self, eval: Arc<Evaluation>, token: Option<EvalToken>) -> Option<Released> {
        if !self.enabled {
            return None;
        }
        if let Some(known) = self.jobs.get(&eval.job).copied()
            && known != eval.id
        {
            let held = &self.tracked[&known];
            if freshness(&held.eval) > freshness(&eval) {
                self.duplicates.push(eval);
                return None;
            }
            let held = self.supersede(known).expect("it was just found");
            self.duplicates.push(held.eval);
        }
        self.remove(eval.id);
        if self.missed_unblock(&eval) {
            return Some((eval, token));
        }
        self.jobs.insert(eval.job, eval.id);
        let held = Held { eval, token };
        if held.eval.escaped {
            self.escaped_count += 1;
        } else if let Some(key) = key(&held.eval) {
            self.by_node.entry(key.1).or_default().insert(key.0);
            self.system.insert(key, held.clone());
        }
        self.tracked.insert(held.eval.id, held);
        None
    }

    /// A node of this class may have room, by the Raft entry at `index`: releases who escaped the classes, and
    /// everybody else but those who know that the class is of no use to them.
    pub fn unblock(&mut self, class: u64, index: u64, out: &mut Vec<Released>) {
        if self.enabled {
            self.unblocked.insert(class, index);
            self.release(out, |eval| eval.escaped || may_use(eval, class));
        }
    }

    /// This node may have room again for the system jobs that did not fit on it.
    pub fn unblock_node(&mut self, node: NodeId, out: &mut Vec<Released>) {
        for job in self.by_node.remove(&node).unwrap_or_default() {
            let held = self.system.remove(&(job, node)).expect("the node's jobs have an evaluation there");
            self.supersede(held.eval.id);
            out.push((held.eval, held.token));
        }
    }

    /// Releases evaluations that only gave up because their plans kept being rejected. The leader does so every 60 s.
    pub fn unblock_failed(&mut self, out: &mut Vec<Released>) {
        self.release(out, |eval| eval.trigger == Trigger::MaxPlanAttempts);
    }

    /// The job was placed whole: nothing of it waits any more.
    pub fn untrack(&mut self, job: JobId) {
        let range = (job, NodeId(0))..=(job, NodeId(u32::MAX));
        let nodes: Vec<NodeId> = self.system.range(range).map(|((_, node), _)| *node).collect();
        for node in nodes {
            self.unlist((job, node));
        }
        if let Some(id) = self.jobs.get(&job).copied() {
            self.remove(id);
        }
    }

    /// Evaluations superseded by others of their job, to be written as canceled.
    pub fn take_duplicates(&mut self) -> Vec<Arc<Evaluation>> {
        std::mem::take(&mut self.duplicates)
    }

    /// Whether duplicates wait to be canceled.
    pub fn has_duplicates(&self) -> bool {
        !self.duplicates.is_empty()
    }

    /// Forgets unblockings before this Raft index, that of [`PRUNE_THRESHOLD`] ago.
    pub fn prune(&mut self, cutoff: u64) {
        self.unblocked.retain(|_, index| *index >= cutoff);
    }

    /// How many evaluations wait: all, and those that escaped the classes.
    pub fn len(&self) -> (usize, usize) {
        (self.tracked.len(), self.escaped_count)
    }

    /// Takes it out, from its node as well.
    fn remove(&mut self, id: EvalId) -> Option<Held> {
        let held = self.supersede(id)?;
        if let Some(key) = key(&held.eval)
            && self.system.get(&key).is_some_and(|listed| listed.eval.id == id)
        {
            self.unlist(key);
        }
        Some(held)
    }

    /// It is no longer its job's evaluation.
    fn supersede(&mut self, id: EvalId) -> Option<Held> {
        let held = self.tracked.remove(&id)?;
        self.escaped_count -= usize::from(held.eval.escaped);
        self.jobs.remove(&held.eval.job);
        Some(held)
    }

    fn unlist(&mut self, key: (JobId, NodeId)) {
        self.system.remove(&key);
        if let Some(jobs) = self.by_node.get_mut(&key.1) {
            jobs.remove(&key.0);
            if jobs.is_empty() {
                self.by_node.remove(&key.1);
            }
        }
    }

    fn release(&mut self, out: &mut Vec<Released>, is_helped: impl Fn(&Evaluation) -> bool) {
        let helped = self.tracked.values().filter(|held| is_helped(&held.eval));
        let helped: Vec<EvalId> = helped.map(|held| held.eval.id).collect();
        for id in helped {
            let held = self.remove(id).expect("only tracked evaluations are released");
            out.push((held.eval, held.token));
        }
    }

    /// Capacity that would have released it appeared after its snapshot.
    fn missed_unblock(&self, eval: &Evaluation) -> bool {
        let mut later = self.unblocked.iter().filter(|(_, index)| eval.snapshot_index < **index);
        later.any(|(class, _)| eval.escaped || may_use(eval, *class))
    }
}

/// A class that was not looked at is taken for possible.
fn may_use(eval: &Evaluation, class: u64) -> bool {
    eval.class_eligibility.get(&class) != Some(&false)
}

#[derive(Debug, Clone)]
struct Held {
    eval: Arc<Evaluation>,
    token: Option<EvalToken>,
}

/// Where an evaluation of a system job is listed.
fn key(eval: &Evaluation) -> Option<(JobId, NodeId)> {
    let per_node = matches!(eval.kind, JobKind::System | JobKind::SysBatch);
    Some((eval.job, eval.node.filter(|_| per_node)?))
}

fn freshness(eval: &Evaluation) -> u64 {
    eval.create_index.max(eval.snapshot_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::scheduler::test_support::eval;

    fn blocked() -> Blocked {
        let mut blocked = Blocked::default();
        blocked.enable();
        blocked
    }

    fn classed(id: u32, job: u32, class: u64, eligible: bool) -> Evaluation {
        let mut e = eval(id, job, 50);
        e.class_eligibility.insert(class, eligible);
        e
    }

    #[test]
    fn a_class_unblocks_escaped_eligible_and_unknown_but_not_ineligible() {
        let mut b = blocked();
        let mut escaped = eval(1, 1, 50);
        escaped.escaped = true;
        b.block(escaped.into(), None);
        b.block(classed(2, 2, 7, true).into(), None);
        b.block(classed(3, 3, 7, false).into(), None);
        b.block(classed(4, 4, 9, false).into(), None);
        let mut out = Vec::new();
        b.unblock(7, 100, &mut out);
        assert_eq!(out.iter().map(|(e, _)| e.id.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(b.len(), (1, 0));
    }

    #[test]
    fn an_unblock_after_the_snapshot_is_not_missed_unless_pruned() {
        let mut b = blocked();
        b.unblock(7, 100, &mut Vec::new());
        let mut old = classed(1, 1, 7, true);
        old.snapshot_index = 99;
        assert!(b.block(old.clone().into(), None).is_some());
        let mut not_helped = classed(2, 2, 7, false);
        not_helped.snapshot_index = 99;
        assert!(b.block(not_helped.into(), None).is_none());
        let mut fresh = classed(3, 3, 7, true);
        fresh.snapshot_index = 100;
        assert!(b.block(fresh.into(), None).is_none());
        b.prune(100);
        assert!(b.block(old.clone().into(), None).is_some());
        b.prune(101);
        assert!(b.block(old.into(), None).is_none());
    }

    #[test]
    fn the_newer_of_two_evaluations_of_a_job_stays() {
        let mut b = blocked();
        b.block(eval(1, 1, 50).into(), None);
        b.block(eval(2, 1, 50).into(), None);
        assert_eq!(b.take_duplicates()[0].id, EvalId(1));
        let mut older = eval(3, 1, 50);
        older.create_index = 0;
        b.block(older.into(), None);
        assert_eq!(b.take_duplicates()[0].id, EvalId(3));
        b.untrack(JobId(1));
        assert_eq!(b.len(), (0, 0));
    }

    #[test]
    fn a_system_job_has_one_tracked_evaluation_and_one_listed_at_every_full_node() {
        let mut b = blocked();
        for node in [1, 2, 3] {
            let mut e = eval(node, 1, 50);
            e.kind = JobKind::System;
            e.node = Some(NodeId(node));
            b.block(e.into(), None);
        }
        assert_eq!(b.len(), (1, 0));
        assert_eq!(b.take_duplicates().iter().map(|e| e.id.0).collect::<Vec<_>>(), [1, 2]);
        let released = |b: &mut Blocked, node| {
            let mut out = Vec::new();
            b.unblock_node(NodeId(node), &mut out);
            out.iter().map(|(e, _)| e.id.0).collect::<Vec<_>>()
        };
        assert_eq!((released(&mut b, 2), b.len()), (vec![2], (1, 0)), "superseded, and released all the same");
        assert_eq!((released(&mut b, 3), b.len()), (vec![3], (0, 0)));
        b.untrack(JobId(1));
        assert!(released(&mut b, 1).is_empty());
    }

    #[test]
    fn exhausted_plan_attempts_are_retried_by_the_leader() {
        let mut b = blocked();
        let mut failed = eval(1, 1, 50);
        failed.trigger = Trigger::MaxPlanAttempts;
        b.block(failed.into(), None);
        b.block(eval(2, 2, 50).into(), None);
        let mut out = Vec::new();
        b.unblock_failed(&mut out);
        assert_eq!(out.iter().map(|(e, _)| e.id.0).collect::<Vec<_>>(), [1]);
    }
}
