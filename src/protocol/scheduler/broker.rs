//! The evaluation broker: which evaluation goes to which worker, one per job at a time, delivered at least once.
//!
//! Covers Nomad 1.1.0 `nomad/eval_broker.go`: ready queues per scheduler type, per-job serialisation, nack timers with
//! pause and resume, delayed evaluations, the delivery limit and requeueing of evaluations blocked again while
//! outstanding. Lives in memory, on the leader only, and knows neither Raft nor RPC; waiting workers are kept by the
//! server.
//!
//! Invariants: an evaluation is in exactly one of ready, pending, waiting, outstanding; at most one evaluation of a job
//! is ready, waiting after a nack, or outstanding.
//!
//! Left out: the scheduler version check, which changes no placement.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::job::{JobId, JobKind};

/// Proof of one delivery: who acknowledges an evaluation must show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvalToken(pub u64);

/// How the broker behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Time a worker has before its evaluation is delivered again (`eval_nack_timeout`). Default 60 s.
    pub nack_timeout: Duration,
    /// Deliveries after which a nacked evaluation fails (`eval_delivery_limit`). Default 3.
    pub delivery_limit: u32,
    /// Wait after the first nack (`eval_nack_initial_reenqueue_delay`). Default 1 s.
    pub nack_delay_first: Duration,
    /// Wait after nack n > 1, times n - 1 (`eval_nack_subsequent_reenqueue_delay`). Default 20 s.
    pub nack_delay_next: Duration,
    /// Types are compared by the last slot of each heap instead of its root, as Nomad does. Default true.
    pub peek_last_slot: bool,
    /// After an ack only one pending evaluation of the job is kept, the one written last of those with the highest
    /// priority; the others are canceled (Nomad 1.3.8 and 1.4.3). Default false.
    pub newest_only: bool,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            nack_timeout: Duration::from_secs(60),
            delivery_limit: 3,
            nack_delay_first: Duration::from_secs(1),
            nack_delay_next: Duration::from_secs(20),
            peek_last_slot: true,
            newest_only: false,
        }
    }
}

/// Why an acknowledgement or a timer reset was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The evaluation is not with any worker.
    #[error("evaluation is not outstanding")]
    NotOutstanding,
    /// It is with another worker by now.
    #[error("evaluation token does not match")]
    TokenMismatch,
}

/// How many evaluations are where (`nomad.broker.*` gauges).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrokerStats {
    /// Ready for a worker, failed ones included.
    pub ready: usize,
    /// With a worker.
    pub unacked: usize,
    /// Behind another evaluation of their job (`total_blocked`, since 1.5 `total_pending`).
    pub pending: usize,
    /// Waiting for a time.
    pub waiting: usize,
}

/// An evaluation handed to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What to look at.
    pub eval: Arc<Evaluation>,
    /// To be shown with the ack or nack.
    pub token: EvalToken,
}

/// What [`Broker::expire`] did with one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// Its wait was over; it is ready or pending now.
    Waited(EvalId),
    /// Its worker did not answer in time.
    Nacked(EvalId),
}

/// The broker.
#[derive(Debug, Clone)]
pub struct Broker {
    config: BrokerConfig,
    enabled: bool,
    /// Deliveries so far of every known evaluation.
    deliveries: OrdMap<EvalId, u32>,
    /// The one evaluation of each job that is not pending.
    job_slot: OrdMap<JobId, EvalId>,
    pending: OrdMap<JobId, EvalHeap>,
    ready: [EvalHeap; QUEUES],
    outstanding: OrdMap<EvalId, Outstanding>,
    requeue: OrdMap<EvalToken, Arc<Evaluation>>,
    waiting: OrdMap<EvalId, Arc<Evaluation>>,
    alarms: OrdSet<(Time, EvalId, Alarm)>,
    cancelable: Vec<Arc<Evaluation>>,
    ready_since: OrdMap<EvalId, Time>,
    rng: Rng,
}

impl Broker {
    /// A broker that is off. `rng` breaks ties between scheduler types and makes tokens.
    pub fn new(config: BrokerConfig, rng: Rng) -> Self {
        Self {
            config,
            enabled: false,
            deliveries: OrdMap::new(),
            job_slot: OrdMap::new(),
            pending: OrdMap::new(),
            ready: Default::default(),
            outstanding: OrdMap::new(),
            requeue: OrdMap::new(),
            waiting: OrdMap::new(),
            alarms: OrdSet::new(),
            cancelable: Vec::new(),
            ready_since: OrdMap::new(),
            rng,
        }
    }

    /// Turns the broker on: this server leads.
    pub fn enable(&mut self) {
        self.enabled = true;
    }

    /// Turns the broker off and forgets everything.
    pub fn disable(&mut self) {
        self.enabled = false;
        self.deliveries.clear();
        self.job_slot.clear();
        self.pending.clear();
        self.ready = Default::default();
        self.outstanding.clear();
        self.requeue.clear();
        self.waiting.clear();
        self.alarms.clear();
        self.cancelable.clear();
        self.ready_since.clear();
    }

    /// Whether the broker is on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Takes an evaluation in. `token` is given when a worker blocks again an evaluation that it still holds: then it
    /// comes back after the ack. Returns whether the broker did not know the evaluation before.
    pub fn enqueue(&mut self, now: Time, eval: Arc<Evaluation>, token: Option<EvalToken>) -> bool {
        if !self.enabled {
            return false;
        }
        if self.deliveries.contains_key(&eval.id) {
            let held = self.outstanding.get(&eval.id).map(|held| held.token);
            if let Some(token) = token
                && held == Some(token)
            {
                self.requeue.insert(token, eval);
            }
            return false;
        }
        self.deliveries.insert(eval.id, 0);
        if !eval.wait.is_zero() {
            self.wait(now + eval.wait, eval);
        } else if let Some(until) = eval.wait_until.filter(|until| *until > now) {
            self.wait(until, eval);
        } else {
            let queue = queue_of(&eval);
            self.enqueue_ready(now, eval, queue);
        }
        true
    }

    /// Hands out the most urgent evaluation of these kinds, or a core evaluation, if there is one.
    pub fn dequeue(&mut self, now: Time, kinds: &[JobKind]) -> Option<Delivery> {
        let queue = self.choose_queue(kinds)?;
        Some(self.deliver(now, queue))
    }

    /// Hands out an evaluation that reached the delivery limit.
    pub fn dequeue_failed(&mut self, now: Time) -> Option<Delivery> {
        (!self.ready[FAILED].is_empty()).then(|| self.deliver(now, FAILED))
    }

    /// The worker is done with it. The job's next evaluation becomes ready.
    pub fn ack(&mut self, now: Time, id: EvalId, token: EvalToken) -> Result<(), BrokerError> {
        let held = self.check(id, token)?;
        let job = held.eval.job;
        self.release(id);
        self.deliveries.remove(&id);
        self.job_slot.remove(&job);
        self.promote_pending(now, job);
        if let Some(again) = self.requeue.remove(&token) {
            self.enqueue(now, again, None);
        }
        Ok(())
    }

    /// The worker gives it back: it is delivered again later, or fails.
    pub fn nack(&mut self, now: Time, id: EvalId, token: EvalToken) -> Result<(), BrokerError> {
        self.check(id, token)?;
        self.take_back(now, id);
        Ok(())
    }

    /// Checks the token and gives the worker a full nack timeout again (Eval.Update, Create, Reblock).
    pub fn reset_nack(&mut self, now: Time, id: EvalId, token: EvalToken) -> Result<(), BrokerError> {
        self.check(id, token)?;
        let due = now + self.config.nack_timeout;
        self.set_nack(id, Some(due));
        Ok(())
    }

    /// Checks the token and stops the nack timer while a plan waits in the queue.
    pub fn pause_nack(&mut self, id: EvalId, token: EvalToken) -> Result<(), BrokerError> {
        self.check(id, token)?;
        self.set_nack(id, None);
        Ok(())
    }

    /// The token under which an evaluation is with a worker.
    pub fn outstanding(&self, id: EvalId) -> Option<EvalToken> {
        self.outstanding.get(&id).map(|held| held.token)
    }

    /// When an evaluation became ready; `None` when it never was.
    pub fn ready_since(&self, id: EvalId) -> Option<Time> {
        self.ready_since.get(&id).copied()
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_alarm(&self) -> Option<Time> {
        self.alarms.first().map(|(at, _, _)| *at)
    }

    /// Lets waits and nack timers that are due run out; says what happened to one evaluation, `None` when nothing is
    /// due.
    pub fn expire(&mut self, now: Time) -> Option<Expired> {
        let (at, id, alarm) = *self.alarms.first()?;
        if at > now {
            return None;
        }
        match alarm {
            Alarm::Nack => {
                self.take_back(now, id);
                Some(Expired::Nacked(id))
            }
            Alarm::Wait => {
                self.alarms.remove(&(at, id, alarm));
                let eval = self.waiting.remove(&id).expect("a wait alarm belongs to a waiting evaluation");
                let queue = queue_of(&eval);
                self.enqueue_ready(now, eval, queue);
                Some(Expired::Waited(id))
            }
        }
    }

    /// Evaluations superseded by newer ones of their job, to be written as canceled.
    pub fn take_cancelable(&mut self) -> Vec<Arc<Evaluation>> {
        std::mem::take(&mut self.cancelable)
    }

    /// How many evaluations are where.
    pub fn stats(&self) -> BrokerStats {
        BrokerStats {
            ready: self.ready.iter().map(EvalHeap::len).sum(),
            unacked: self.outstanding.len(),
            pending: self.pending.values().map(EvalHeap::len).sum(),
            waiting: self.waiting.len(),
        }
    }

    fn wait(&mut self, until: Time, eval: Arc<Evaluation>) {
        self.alarms.insert((until, eval.id, Alarm::Wait));
        self.waiting.insert(eval.id, eval);
    }

    fn enqueue_ready(&mut self, now: Time, eval: Arc<Evaluation>, queue: usize) {
        let slot = *self.job_slot.entry(eval.job).or_insert(eval.id);
        if slot == eval.id {
            self.ready_since.insert(eval.id, now);
            self.ready[queue].push(eval);
        } else {
            self.pending.entry(eval.job).or_default().push(eval);
        }
    }

    fn promote_pending(&mut self, now: Time, job: JobId) {
        let Some(heap) = self.pending.get_mut(&job) else { return };
        let next = if self.config.newest_only { heap.pop_newest() } else { heap.pop() };
        let next = next.expect("a pending heap is never kept empty");
        if self.config.newest_only {
            for stale in heap.items.drain(..) {
                self.deliveries.remove(&stale.id);
                if stale.core.is_none() {
                    self.cancelable.push(stale);
                }
            }
        }
        if heap.is_empty() {
            self.pending.remove(&job);
        }
        let queue = queue_of(&next);
        self.enqueue_ready(now, next, queue);
    }

    fn choose_queue(&mut self, kinds: &[JobKind]) -> Option<usize> {
        let mut best = 0;
        let mut tied = [0; QUEUES];
        let mut count = 0;
        for queue in 0..FAILED {
            let heap = &self.ready[queue];
            let wanted = queue == CORE || kinds.iter().any(|kind| queue_of_kind(*kind) == queue);
            let peeked = if self.config.peek_last_slot { heap.items.last() } else { heap.items.first() };
            let Some(peeked) = peeked.filter(|_| wanted) else { continue };
            if count == 0 || peeked.priority > best {
                best = peeked.priority;
                count = 0;
            }
            if peeked.priority == best {
                tied[count] = queue;
                count += 1;
            }
        }
        match count {
            0 => None,
            1 => Some(tied[0]),
            _ => Some(tied[self.rng.below(count as u64) as usize]),
        }
    }

    fn deliver(&mut self, now: Time, queue: usize) -> Delivery {
        let eval = self.ready[queue].pop().expect("the caller saw an evaluation in this queue");
        let token = EvalToken(self.rng.bits());
        *self.deliveries.entry(eval.id).or_insert(0) += 1;
        self.outstanding.insert(eval.id, Outstanding { eval: eval.clone(), token, nack_at: None });
        self.set_nack(eval.id, Some(now + self.config.nack_timeout));
        Delivery { eval, token }
    }

    fn check(&self, id: EvalId, token: EvalToken) -> Result<&Outstanding, BrokerError> {
        let held = self.outstanding.get(&id).ok_or(BrokerError::NotOutstanding)?;
        if held.token == token { Ok(held) } else { Err(BrokerError::TokenMismatch) }
    }

    fn set_nack(&mut self, id: EvalId, due: Option<Time>) {
        let held = self.outstanding.get_mut(&id).expect("only outstanding evaluations have a nack timer");
        if let Some(old) = held.nack_at.take() {
            self.alarms.remove(&(old, id, Alarm::Nack));
        }
        if let Some(due) = due {
            held.nack_at = Some(due);
            self.alarms.insert((due, id, Alarm::Nack));
        }
    }

    /// Ends an outstanding delivery.
    fn release(&mut self, id: EvalId) -> Outstanding {
        self.set_nack(id, None);
        self.ready_since.remove(&id);
        self.outstanding.remove(&id).expect("the caller checked that it is outstanding")
    }

    fn take_back(&mut self, now: Time, id: EvalId) {
        let held = self.release(id);
        self.requeue.remove(&held.token);
        let deliveries = self.deliveries.get(&id).copied().unwrap_or(0);
        if deliveries >= self.config.delivery_limit {
            self.enqueue_ready(now, held.eval, FAILED);
            return;
        }
        let delay = match deliveries {
            0 => Duration::ZERO,
            1 => self.config.nack_delay_first,
            n => self.config.nack_delay_next * u64::from(n - 1),
        };
        if delay.is_zero() {
            let queue = queue_of(&held.eval);
            self.enqueue_ready(now, held.eval, queue);
        } else {
            self.wait(now + delay, held.eval);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Nack,
    Wait,
}

#[derive(Debug, Clone)]
struct Outstanding {
    eval: Arc<Evaluation>,
    token: EvalToken,
    /// `None` while the timer is paused.
    nack_at: Option<Time>,
}

/// Go's `container/heap` over `evaluations`: the comparison is no strict weak order when jobs repeat, and the last slot
/// matters, so the array layout is part of the behaviour.
#[derive(Debug, Clone, Default)]
struct EvalHeap {
    items: Vec<Arc<Evaluation>>,
}

impl EvalHeap {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn push(&mut self, eval: Arc<Evaluation>) {
        self.items.push(eval);
        let mut child = self.items.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !served_first(&self.items[child], &self.items[parent]) {
                break;
            }
            self.items.swap(child, parent);
            child = parent;
        }
    }

    fn pop(&mut self) -> Option<Arc<Evaluation>> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= last {
                break;
            }
            let right = left + 1;
            let child = if right < last && served_first(&self.items[right], &self.items[left]) { right } else { left };
            if !served_first(&self.items[child], &self.items[parent]) {
                break;
            }
            self.items.swap(child, parent);
            parent = child;
        }
        self.items.pop()
    }

    /// The one written last of those with the highest priority (Nomad `PendingEvaluations.MarkForCancel`).
    fn pop_newest(&mut self) -> Option<Arc<Evaluation>> {
        let freshness = |eval: &Evaluation| (eval.priority, eval.modify_index, eval.id);
        let newest = (0..self.items.len()).max_by_key(|at| freshness(&self.items[*at]))?;
        Some(self.items.swap_remove(newest))
    }
}

/// Higher priority first among different jobs; otherwise by creation, so that a job's evaluations stay in order.
fn served_first(a: &Evaluation, b: &Evaluation) -> bool {
    if a.job != b.job && a.priority != b.priority { a.priority > b.priority } else { a.create_index < b.create_index }
}

fn queue_of(eval: &Evaluation) -> usize {
    if eval.core.is_some() { CORE } else { queue_of_kind(eval.kind) }
}

fn queue_of_kind(kind: JobKind) -> usize {
    match kind {
        JobKind::Batch => 0,
        JobKind::Service => 1,
        JobKind::SysBatch => 2,
        JobKind::System => 3,
    }
}

const CORE: usize = 4;
const FAILED: usize = 5;
const QUEUES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evaluation::CoreJob;
    use crate::protocol::scheduler::test_support::eval;

    const ALL: [JobKind; 4] = [JobKind::Service, JobKind::Batch, JobKind::System, JobKind::SysBatch];

    fn broker() -> Broker {
        let mut broker = Broker::new(BrokerConfig::default(), Rng::stream(1, "broker"));
        broker.enable();
        broker
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn higher_priority_is_served_first_and_one_job_stays_in_order() {
        let mut b = broker();
        b.enqueue(at(0), eval(1, 1, 50).into(), None);
        b.enqueue(at(0), eval(2, 2, 80).into(), None);
        b.enqueue(at(0), eval(3, 1, 90).into(), None);
        let first = b.dequeue(at(0), &ALL).unwrap();
        let second = b.dequeue(at(0), &ALL).unwrap();
        assert_eq!((first.eval.id, second.eval.id), (EvalId(2), EvalId(1)));
        assert!(b.dequeue(at(0), &ALL).is_none(), "evaluation 3 waits behind 1");
        b.ack(at(1), EvalId(1), second.token).unwrap();
        assert_eq!(b.dequeue(at(1), &ALL).unwrap().eval.id, EvalId(3));
    }

    #[test]
    fn nacks_wait_1_s_then_20_s_then_fail() {
        let mut b = broker();
        b.enqueue(at(0), eval(1, 1, 50).into(), None);
        let mut now = at(0);
        for wait in [1, 20] {
            let d = b.dequeue(now, &ALL).unwrap();
            b.nack(now, d.eval.id, d.token).unwrap();
            assert_eq!(b.next_alarm(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            assert_eq!(b.expire(now), Some(Expired::Waited(EvalId(1))));
        }
        let d = b.dequeue(now, &ALL).unwrap();
        b.nack(now, d.eval.id, d.token).unwrap();
        assert!(b.dequeue(now, &ALL).is_none());
        assert_eq!(b.dequeue_failed(now).unwrap().eval.id, EvalId(1));
    }

    #[test]
    fn an_unanswered_delivery_comes_back_and_its_token_is_void() {
        let mut b = broker();
        b.enqueue(at(0), eval(1, 1, 50).into(), None);
        let d = b.dequeue(at(0), &ALL).unwrap();
        b.reset_nack(at(30), d.eval.id, d.token).unwrap();
        assert_eq!(b.expire(at(60)), None);
        assert_eq!(b.expire(at(90)), Some(Expired::Nacked(EvalId(1))));
        assert_eq!(b.ack(at(90), EvalId(1), d.token), Err(BrokerError::NotOutstanding));
        b.expire(at(91));
        let again = b.dequeue(at(91), &ALL).unwrap();
        assert_eq!(b.ack(at(91), EvalId(1), d.token), Err(BrokerError::TokenMismatch));
        b.pause_nack(EvalId(1), again.token).unwrap();
        assert_eq!(b.next_alarm(), None, "paused while a plan waits");
    }

    #[test]
    fn reblocking_an_outstanding_evaluation_requeues_it_after_the_ack_only() {
        let mut b = broker();
        b.enqueue(at(0), eval(1, 1, 50).into(), None);
        let d = b.dequeue(at(0), &ALL).unwrap();
        assert!(!b.enqueue(at(1), eval(1, 1, 50).into(), Some(d.token)));
        b.ack(at(2), EvalId(1), d.token).unwrap();
        let d = b.dequeue(at(2), &ALL).unwrap();
        b.enqueue(at(3), eval(1, 1, 50).into(), Some(d.token));
        b.nack(at(3), EvalId(1), d.token).unwrap();
        b.expire(at(10));
        let d = b.dequeue(at(10), &ALL).unwrap();
        b.ack(at(10), EvalId(1), d.token).unwrap();
        assert_eq!(b.stats(), BrokerStats::default(), "a nack drops the requeue");
    }

    #[test]
    fn delayed_evaluations_become_ready_at_their_time() {
        let mut b = broker();
        let mut delayed = eval(1, 1, 50);
        delayed.wait_until = Some(at(30));
        let mut followup = eval(2, 2, 50);
        followup.wait = Duration::from_secs(5);
        b.enqueue(at(0), delayed.into(), None);
        b.enqueue(at(0), followup.into(), None);
        assert!(b.dequeue(at(0), &ALL).is_none());
        assert_eq!(b.next_alarm(), Some(at(5)));
        assert_eq!(b.expire(at(5)), Some(Expired::Waited(EvalId(2))));
        assert_eq!(b.expire(at(5)), None);
        assert_eq!(b.expire(at(30)), Some(Expired::Waited(EvalId(1))));
    }

    #[test]
    fn types_are_compared_by_the_last_heap_slot_when_faithful() {
        let run = |peek_last_slot| {
            let mut b =
                Broker::new(BrokerConfig { peek_last_slot, ..BrokerConfig::default() }, Rng::stream(1, "broker"));
            b.enable();
            b.enqueue(at(0), eval(1, 1, 90).into(), None);
            b.enqueue(at(0), eval(2, 2, 10).into(), None);
            let mut batch = eval(3, 3, 50);
            batch.kind = JobKind::Batch;
            b.enqueue(at(0), batch.into(), None);
            b.dequeue(at(0), &ALL).unwrap().eval.id
        };
        assert_eq!(run(false), EvalId(1));
        assert_eq!(run(true), EvalId(3), "priority 90 hides behind 10");
    }

    #[test]
    fn since_1_4_3_only_the_newest_pending_evaluation_of_a_job_runs() {
        let mut b =
            Broker::new(BrokerConfig { newest_only: true, ..BrokerConfig::default() }, Rng::stream(1, "broker"));
        b.enable();
        for id in 1..=4 {
            b.enqueue(at(0), eval(id, 1, 50).into(), None);
        }
        let d = b.dequeue(at(0), &ALL).unwrap();
        b.ack(at(0), d.eval.id, d.token).unwrap();
        assert_eq!(b.dequeue(at(0), &ALL).unwrap().eval.id, EvalId(4));
        assert_eq!(b.take_cancelable().len(), 2);
    }

    #[test]
    fn of_a_job_s_pending_evaluations_the_most_urgent_runs_and_then_the_one_written_last() {
        let mut b =
            Broker::new(BrokerConfig { newest_only: true, ..BrokerConfig::default() }, Rng::stream(1, "broker"));
        b.enable();
        for (id, priority, modify_index) in [(1, 50, 1), (2, 60, 9), (3, 60, 3), (4, 50, 10)] {
            b.enqueue(at(0), Evaluation { modify_index, ..eval(id, 1, priority) }.into(), None);
        }
        let d = b.dequeue(at(0), &ALL).unwrap();
        b.ack(at(0), d.eval.id, d.token).unwrap();
        assert_eq!(b.dequeue(at(0), &ALL).unwrap().eval.id, EvalId(2));
    }

    #[test]
    fn superseded_core_evaluations_are_forgotten_without_being_canceled() {
        let mut b =
            Broker::new(BrokerConfig { newest_only: true, ..BrokerConfig::default() }, Rng::stream(1, "broker"));
        b.enable();
        for count in 0..4 {
            b.enqueue(at(0), Evaluation::core(EvalId::core(count), CoreJob::EvalGc, 1, at(0)).into(), None);
        }
        let d = b.dequeue(at(0), &ALL).unwrap();
        b.ack(at(0), d.eval.id, d.token).unwrap();
        assert_eq!((b.take_cancelable().len(), b.stats().ready, b.stats().pending), (0, 1, 0));
    }
}
