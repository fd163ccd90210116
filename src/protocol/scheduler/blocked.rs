//! Evaluations that wait for capacity.
//!
//! Covers Nomad 1.1.0 `nomad/blocked_evals.go` and `blocked_evals_system.go`: one blocked evaluation per job,
//! unblocking
//! by computed class and by node, missed unblocks, duplicates. Lives in memory, on the leader only; what it releases is
//! returned for the broker. Evaluations of system jobs that name a node are kept one per job and node.
//!
//! Left out: quotas (an Enterprise feature). The buffer of 8096 unblocks between the state machine and the tracker is
//! not modelled: an unblock acts at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::time::{Duration, Time};
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
    captured: BTreeMap<EvalId, Held>,
    escaped: BTreeMap<EvalId, Held>,
    jobs: BTreeMap<(JobId, Option<NodeId>), EvalId>,
    by_node: BTreeMap<NodeId, BTreeSet<EvalId>>,
    unblocked: BTreeMap<u64, Unblock>,
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
        let key = key(&eval);
        if let Some(known) = self.jobs.get(&key).copied()
            && known != eval.id
        {
            let held = self.held(known).expect("the job index names a tracked evaluation");
            if freshness(&held.eval) > freshness(&eval) {
                self.duplicates.push(eval);
                return None;
            }
            let held = self.remove(known).expect("it was just found");
            self.duplicates.push(held.eval);
        }
        self.remove(eval.id);
        if self.missed_unblock(&eval) {
            return Some((eval, token));
        }
        self.jobs.insert(key, eval.id);
        if let (_, Some(node)) = key {
            self.by_node.entry(node).or_default().insert(eval.id);
        }
        let map = if eval.escaped { &mut self.escaped } else { &mut self.captured };
        map.insert(eval.id, Held { eval, token });
        None
    }

    /// A node of this class may have room. `index` is that of the Raft entry, `now` only serves forgetting.
    pub fn unblock(&mut self, now: Time, class: u64, index: u64, out: &mut Vec<Released>) {
        if !self.enabled {
            return;
        }
        self.unblocked.insert(class, Unblock { index, at: now });
        let helped: Vec<EvalId> = self
            .escaped
            .keys()
            .chain(
                self.captured
                    .iter()
                    .filter(|(_, held)| held.eval.class_eligibility.get(&class) != Some(&false))
                    .map(|(id, _)| id),
            )
            .copied()
            .collect();
        self.release(helped, out);
    }

    /// This node may have room again for the system jobs that did not fit on it.
    pub fn unblock_node(&mut self, node: NodeId, out: &mut Vec<Released>) {
        let Some(ids) = self.by_node.get(&node) else { return };
        let ids = ids.iter().copied().collect();
        self.release(ids, out);
    }

    /// Releases evaluations that only gave up because their plans kept being rejected. The leader does so every 60 s.
    pub fn unblock_failed(&mut self, out: &mut Vec<Released>) {
        let ids = self
            .captured
            .iter()
            .chain(&self.escaped)
            .filter(|(_, held)| held.eval.trigger == Trigger::MaxPlanAttempts)
            .map(|(id, _)| *id)
            .collect();
        self.release(ids, out);
    }

    /// The job was placed whole: nothing of it waits any more.
    pub fn untrack(&mut self, job: JobId) {
        let range = (job, None)..=(job, Some(NodeId(u32::MAX)));
        let ids: Vec<EvalId> = self.jobs.range(range).map(|(_, id)| *id).collect();
        for id in ids {
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

    /// Forgets unblockings older than [`PRUNE_THRESHOLD`].
    pub fn prune(&mut self, now: Time) {
        self.unblocked.retain(|_, unblock| now.since(unblock.at) <= PRUNE_THRESHOLD);
    }

    /// How many evaluations wait: all, and those that escaped the classes.
    pub fn len(&self) -> (usize, usize) {
        (self.captured.len() + self.escaped.len(), self.escaped.len())
    }

    fn held(&self, id: EvalId) -> Option<&Held> {
        self.captured.get(&id).or_else(|| self.escaped.get(&id))
    }

    fn remove(&mut self, id: EvalId) -> Option<Held> {
        let held = self.captured.remove(&id).or_else(|| self.escaped.remove(&id))?;
        let key = key(&held.eval);
        self.jobs.remove(&key);
        if let (_, Some(node)) = key
            && let Some(ids) = self.by_node.get_mut(&node)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_node.remove(&node);
            }
        }
        Some(held)
    }

    fn release(&mut self, ids: Vec<EvalId>, out: &mut Vec<Released>) {
        for id in ids {
            let held = self.remove(id).expect("only tracked evaluations are released");
            out.push((held.eval, held.token));
        }
    }

    fn missed_unblock(&self, eval: &Evaluation) -> bool {
        let mut latest = 0;
        for (class, unblock) in &self.unblocked {
            latest = latest.max(unblock.index);
            let possible = eval.class_eligibility.get(class) != Some(&false);
            if possible && eval.snapshot_index < unblock.index {
                return true;
            }
        }
        eval.escaped && eval.snapshot_index < latest
    }
}

#[derive(Debug, Clone)]
struct Held {
    eval: Arc<Evaluation>,
    token: Option<EvalToken>,
}

#[derive(Debug, Clone, Copy)]
struct Unblock {
    index: u64,
    at: Time,
}

fn key(eval: &Evaluation) -> (JobId, Option<NodeId>) {
    let per_node = matches!(eval.kind, JobKind::System | JobKind::SysBatch);
    (eval.job, eval.node.filter(|_| per_node))
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
        b.unblock(Time::ZERO, 7, 100, &mut out);
        assert_eq!(out.iter().map(|(e, _)| e.id.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(b.len(), (1, 0));
    }

    #[test]
    fn an_unblock_after_the_snapshot_is_not_missed_unless_pruned() {
        let mut b = blocked();
        b.unblock(Time::ZERO, 7, 100, &mut Vec::new());
        let mut old = classed(1, 1, 7, true);
        old.snapshot_index = 99;
        assert!(b.block(old.clone().into(), None).is_some());
        let mut not_helped = classed(2, 2, 7, false);
        not_helped.snapshot_index = 99;
        assert!(b.block(not_helped.into(), None).is_none());
        let mut fresh = classed(3, 3, 7, true);
        fresh.snapshot_index = 100;
        assert!(b.block(fresh.into(), None).is_none());
        b.prune(Time::ZERO + Duration::from_mins(16));
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
    fn system_evaluations_wait_per_node() {
        let mut b = blocked();
        for node in [1, 2] {
            let mut e = eval(node, 1, 50);
            e.kind = JobKind::System;
            e.node = Some(NodeId(node));
            b.block(e.into(), None);
        }
        let mut out = Vec::new();
        b.unblock_node(NodeId(2), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].0.id, EvalId(2));
        assert_eq!(b.len(), (1, 0));
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
