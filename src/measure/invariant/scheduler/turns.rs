//! Turns of evaluations: none is with two workers at once, and none is lost.
//!
//! An evaluation may wait for its turn as long as others go before it. It is lost when it could have been worked on,
//! has not ended, and nothing that goes before it was handed out for the bound.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::base::ordered::Entry;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::measure::invariant::Tally;
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::job::{JobId, JobKind};

/// The evaluations of a region.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) one_worker: Tally,
    pub(super) no_eval_lost: Tally,
    bound: Duration,
    outstanding: OrdSet<EvalId>,
    /// Evaluations that have not ended, and since when they could have been worked on.
    open: OrdMap<EvalId, (Arc<Evaluation>, Time)>,
    /// Jobs with open evaluations: how many, and when one was handed out last.
    jobs: OrdMap<JobId, (u32, Time)>,
    /// When something was handed out last, by type of scheduler.
    handed: OrdMap<JobKind, HandedOut>,
}

/// When evaluations of one type were handed out last, by their order. Who comes later in it was handed out longer ago:
/// what came before is all that anybody asks for.
#[derive(Debug, Clone, Default)]
struct HandedOut(OrdMap<Order, Time>);

/// Higher priority first, then older ones.
type Order = (Reverse<u8>, u64);

impl Turns {
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            one_worker: Tally::default(),
            no_eval_lost: Tally::default(),
            bound,
            outstanding: OrdSet::new(),
            open: OrdMap::new(),
            jobs: OrdMap::new(),
            handed: OrdMap::new(),
        }
    }

    /// Another leader: whoever had an evaluation has it no more.
    pub(super) fn leader_changed(&mut self) {
        self.outstanding.clear();
    }

    /// An evaluation was written to be worked on, or has reached the broker: it is open from the first of these on, so
    /// that one that never gets to the broker is missed as well.
    pub(super) fn enqueued(&mut self, at: Time, eval: &Arc<Evaluation>) {
        let due = eval.wait_until.unwrap_or(at).max(at) + eval.wait;
        if let Entry::Vacant(place) = self.open.entry(eval.id) {
            place.insert((Arc::clone(eval), due));
            self.jobs.entry(eval.job).or_default().0 += 1;
        }
    }

    pub(super) fn dequeued(&mut self, at: Time, eval: &Evaluation) {
        let id = eval.id;
        let alone = self.outstanding.insert(id);
        self.one_worker.check(at, alone, || format!("{id} was handed out while another worker had it"));
        self.handed.entry(eval.kind).or_default().note(order(eval), at);
        if let Some((_, handed)) = self.jobs.get_mut(&eval.job) {
            *handed = at;
        }
    }

    /// A worker gave it back, or kept it for too long.
    pub(super) fn returned(&mut self, eval: EvalId) {
        self.outstanding.remove(&eval);
    }

    /// It was written in a terminal status, or its worker is done with it.
    pub(super) fn ended(&mut self, at: Time, id: EvalId) {
        let Some((eval, _)) = self.open.remove(&id) else { return };
        self.no_eval_lost.check(at, true, String::new);
        if let Some((count, _)) = self.jobs.get_mut(&eval.job) {
            *count -= 1;
            if *count == 0 {
                self.jobs.remove(&eval.job);
            }
        }
    }

    /// Whether some evaluation of the job has not ended.
    pub(super) fn has_open(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Judges every open evaluation; nothing counts from before `calm_since`.
    pub(super) fn judge(&mut self, at: Time, calm_since: Time) {
        for (id, (eval, due)) in &self.open {
            let of_its_job = self.jobs.get(&eval.job).map_or(Time::ZERO, |(_, handed)| *handed);
            let ahead = self.handed.iter().map(|(kind, handed)| {
                if *kind == eval.kind { handed.up_to(order(eval)) } else { handed.up_to((Reverse(0), u64::MAX)) }
            });
            let since = ahead.fold((*due).max(calm_since).max(of_its_job), Time::max);
            let in_time = at.since(since) <= self.bound;
            self.no_eval_lost.check(at, in_time, || format!("{id} was ready, and next, at {since} and has not ended"));
        }
    }
}

impl HandedOut {
    /// Who comes later and was handed out before is of no interest any more.
    fn note(&mut self, order: Order, at: Time) {
        drop(self.0.split_off(&order));
        self.0.insert(order, at);
    }

    /// When something in front of `order`, or there, was handed out last.
    fn up_to(&self, order: Order) -> Time {
        self.0.range(..=order).next_back().map_or(Time::ZERO, |(_, at)| *at)
    }
}

fn order(eval: &Evaluation) -> Order {
    (Reverse(eval.priority), eval.create_index)
}
