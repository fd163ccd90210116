//! Evaluations a reconciliation puts off: delayed replacements, and the ends of patience with clients (Nomad
//! `createRescheduleLaterEvals`, `createLostLaterEvals`, `createTimeoutLaterEvals`).

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId};
use crate::model::evaluation::{EvalId, Trigger};
use crate::model::job::TaskGroup;
use crate::protocol::scheduler::reconcile::{Followup, PLACEHOLDERS, Reconciler};
use crate::protocol::scheduler::surplus::Set;

/// Delayed replacements closer than this to the first of a batch share its evaluation.
const FOLLOWUP_BATCH: Duration = Duration::from_secs(5);
/// Least time a client is given to stop its tasks when it is cut off.
const KILL_TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// Allocations and when to look at them again.
type Dues<'a> = Vec<(&'a Arc<Alloc>, Time)>;

impl<'a> Reconciler<'a, '_> {
    /// Lost allocations whose clients have not stopped them yet, with the time they will have by the version of the job
    /// they run (Nomad `WaitClientStop`).
    pub(super) fn lost_later(&self, lost: &Set<'a>) -> Vec<(&'a Arc<Alloc>, Time)> {
        let due = |alloc: &&'a Arc<Alloc>| {
            let stop_after = alloc.task_group().stop_after_client_disconnect?;
            let tasks = alloc.task_group().tasks.iter();
            let kill = tasks.map(|task| task.kill_timeout).max().unwrap_or(KILL_TIMEOUT_MIN);
            let since = alloc.lost_at.unwrap_or(self.question.now);
            let until = since + stop_after + kill.max(KILL_TIMEOUT_MIN);
            (until > self.question.now).then_some((*alloc, until))
        };
        lost.iter().filter_map(due).collect()
    }

    /// One evaluation per batch of times close together. What a group got before is replaced (a quirk).
    pub(super) fn create_followups(&mut self, group: &TaskGroup, due: Dues<'a>) -> OrdMap<AllocId, EvalId> {
        if due.is_empty() {
            return OrdMap::new();
        }
        let (followups, by_alloc) = self.batch(due, Trigger::AllocFailure);
        self.answer.followups.insert(Arc::clone(&group.name), followups);
        by_alloc
    }

    /// Ends of patience, which the allocations remember, and replacements until then. They stand beside others.
    pub(super) fn create_timeouts(
        &mut self,
        group: &TaskGroup,
        timeouts: Dues<'a>,
        replacements: Dues<'a>,
    ) -> OrdMap<AllocId, EvalId> {
        let (mut followups, by_alloc) = self.batch(timeouts, Trigger::MaxDisconnectTimeout);
        followups.extend(self.batch(replacements, Trigger::AllocFailure).0);
        if !followups.is_empty() {
            self.answer.timeouts.entry(Arc::clone(&group.name)).or_default().extend(followups);
        }
        by_alloc
    }

    fn batch(&mut self, mut due: Dues<'a>, trigger: Trigger) -> (Vec<Followup>, OrdMap<AllocId, EvalId>) {
        let mut by_alloc = OrdMap::new();
        due.sort_by_key(|(alloc, time)| (*time, alloc.id));
        let mut followups: Vec<Followup> = Vec::new();
        for (alloc, time) in due {
            let shared = followups.last().filter(|last| time.since(last.wait_until) < FOLLOWUP_BATCH);
            let placeholder = shared.map_or(EvalId(PLACEHOLDERS + self.next_placeholder), |shared| shared.placeholder);
            if shared.is_none() {
                self.next_placeholder += 1;
                followups.push(Followup { placeholder, wait_until: time, trigger });
            }
            by_alloc.insert(alloc.id, placeholder);
        }
        (followups, by_alloc)
    }
}
