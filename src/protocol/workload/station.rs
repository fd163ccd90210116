//! One instance as a queueing station: G/G/c/K with first-come-first-served or processor sharing.
//!
//! Work is measured on a virtual clock that runs at the rate at which each request in service progresses, so that a
//! change of speed or of sharing touches no request: each finishes when the virtual clock reaches its mark. With first
//! come, first served, at nominal speed, the clock counts whole nanoseconds and is exact.
//!
//! Not a machine: whoever hosts it asks when it is due and calls it then.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use crate::base::id::ProcessId;
use crate::base::math;
use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::protocol::proxy::message::Exchange;
use crate::protocol::workload::service_time::ServiceTime;

/// Who is served next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discipline {
    /// Up to `concurrency` at full speed, the others wait in order.
    #[default]
    FirstComeFirstServed,
    /// All at once; more than `concurrency` share what it gives.
    ProcessorSharing,
}

/// A cold start: service takes `factor` times as long at first and approaches normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warmup {
    /// At the start, at least one.
    pub factor: f64,
    /// Time constant of the decay.
    pub decay: Duration,
}

/// What an instance can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StationConfig {
    /// Requests served at full speed at once, at least one.
    pub concurrency: u32,
    /// Order of service.
    pub discipline: Discipline,
    /// Requests that may wait (or, sharing, exceed `concurrency`); more are rejected. `None`: any number.
    pub queue_max: Option<u32>,
    /// A request that waited this long is rejected. `None`: it waits. First come, first served only.
    pub queue_timeout: Option<Duration>,
    /// Whether a client that leaves takes its request along. Servers usually work on: wasted work is what keeps an
    /// overload alive. Default false.
    pub cancels: bool,
    /// Work per request.
    pub service_time: ServiceTime,
    /// Cold start, if any.
    pub warmup: Option<Warmup>,
}

impl StationConfig {
    /// First come, first served, without limits.
    pub fn new(concurrency: u32, service_time: ServiceTime) -> Self {
        Self {
            concurrency: concurrency.max(1),
            discipline: Discipline::FirstComeFirstServed,
            queue_max: None,
            queue_timeout: None,
            cancels: false,
            service_time,
            warmup: None,
        }
    }
}

/// A request at a station: who asked, and the asker's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    /// Who waits for the response.
    pub from: ProcessId,
    /// Its name there.
    pub exchange: Exchange,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// In service.
    Started,
    /// Waiting.
    Queued,
    /// Turned away: 503.
    Rejected,
}

/// How a request left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Served.
    Served,
    /// It waited too long: 503.
    TimedOut,
}

#[derive(Debug, Clone, Copy)]
struct Serving {
    /// Reading of the virtual clock at which it is done, in nanoseconds.
    mark: f64,
    order: u64,
    job: Job,
}

impl Ord for Serving {
    /// The earliest mark is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other.mark.total_cmp(&self.mark).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Serving {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Serving {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Serving {}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Time,
    work: Duration,
    job: Job,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Station {
    config: StationConfig,
    started: Time,
    /// 1 is nominal; 0 hangs.
    speed: f64,
    /// Virtual clock, in nanoseconds, as of `updated`.
    clock: f64,
    updated: Time,
    due: Option<Time>,
    serving: BinaryHeap<Serving>,
    queue: VecDeque<Waiting>,
    order: u64,
    /// Jobs here and jobs whose client left while they waited; kept only when clients take requests along.
    present: OrdSet<Job>,
    left: OrdSet<Job>,
}

impl Station {
    /// An idle instance that starts at `now`.
    pub fn new(now: Time, config: StationConfig) -> Self {
        Self {
            config,
            started: now,
            speed: 1.0,
            clock: 0.0,
            updated: now,
            due: None,
            serving: BinaryHeap::new(),
            queue: VecDeque::new(),
            order: 0,
            present: OrdSet::new(),
            left: OrdSet::new(),
        }
    }

    /// What it can do.
    pub fn config(&self) -> &StationConfig {
        &self.config
    }

    /// Requests in service.
    pub fn serving(&self) -> usize {
        self.serving.len()
    }

    /// Requests waiting.
    pub fn waiting(&self) -> usize {
        self.queue.len() - self.left.len()
    }

    /// When to call [`Station::advance`] next, if ever.
    pub fn due(&self) -> Option<Time> {
        let timeout = self.config.queue_timeout.and_then(|limit| self.queue.front().map(|front| front.since + limit));
        match (self.due, timeout) {
            (Some(due), Some(timeout)) => Some(due.min(timeout)),
            (due, timeout) => due.or(timeout),
        }
    }

    /// A request arrives that needs this much work at nominal speed. Call [`Station::advance`] first.
    pub fn offer(&mut self, now: Time, job: Job, work: Duration) -> Admission {
        let limit = self.config.concurrency as usize;
        let work = self.warmed(now, work);
        let is_full = self.serving.len() >= limit;
        let beyond = match self.config.discipline {
            Discipline::FirstComeFirstServed => self.waiting(),
            Discipline::ProcessorSharing => self.serving.len().saturating_sub(limit),
        };
        if is_full && self.config.queue_max.is_some_and(|max| beyond >= max as usize) {
            return Admission::Rejected;
        }
        if self.config.cancels {
            self.present.insert(job);
        }
        self.pass(now);
        let waits = is_full && self.config.discipline == Discipline::FirstComeFirstServed;
        if waits {
            self.queue.push_back(Waiting { since: now, work, job });
            return Admission::Queued;
        }
        self.serve(job, work);
        self.plan();
        Admission::Started
    }

    /// Lets everything happen that is due by `now`; who left, and how, is appended to `departed`.
    pub fn advance(&mut self, now: Time, departed: &mut Vec<(Job, Departure)>) {
        while let Some(due) = self.due.filter(|&due| due <= now) {
            self.expire(due, departed);
            // The clock is set to the mark rather than computed, so that rounding cannot miss it.
            let done = self.serving.pop().expect("a due time belongs to a request in service");
            (self.clock, self.updated) = (done.mark, due.max(self.updated));
            self.present.remove(&done.job);
            departed.push((done.job, Departure::Served));
            self.pull();
            self.plan();
        }
        self.expire(now, departed);
    }

    /// The client of a request left. Only matters if the station `cancels`. Returns whether a request was dropped.
    pub fn cancel(&mut self, now: Time, job: Job) -> bool {
        if !self.present.remove(&job) {
            return false;
        }
        self.pass(now);
        let before = self.serving.len();
        self.serving.retain(|serving| serving.job != job);
        if self.serving.len() == before {
            self.left.insert(job);
        } else {
            self.pull();
            self.plan();
        }
        true
    }

    /// Changes the speed: 1 is nominal, 0 hangs.
    pub fn set_speed(&mut self, now: Time, speed: f64) {
        self.pass(now);
        self.speed = if speed.is_finite() { speed.max(0.0) } else { 1.0 };
        self.plan();
    }

    /// The instance dies: who was here is appended to `lost`, in service first.
    pub fn kill(&mut self, lost: &mut Vec<Job>) {
        let mut serving = std::mem::take(&mut self.serving).into_vec();
        serving.sort_unstable_by_key(|serving| serving.order);
        lost.extend(serving.iter().map(|serving| serving.job));
        let left = std::mem::take(&mut self.left);
        lost.extend(self.queue.drain(..).map(|waiting| waiting.job).filter(|job| !left.contains(job)));
        self.present.clear();
        self.due = None;
    }

    fn warmed(&self, now: Time, work: Duration) -> Duration {
        self.config.warmup.map_or(work, |warmup| {
            let age = now.since(self.started).as_secs_f64() / warmup.decay.as_secs_f64().max(1e-9);
            work.mul_f64(1.0 + (warmup.factor - 1.0) * math::exp(-age))
        })
    }

    fn serve(&mut self, job: Job, work: Duration) {
        if self.serving.is_empty() {
            // Restarting the clock in every busy period keeps it exact.
            self.clock = 0.0;
        }
        self.order += 1;
        self.serving.push(Serving { mark: self.clock + work.as_nanos() as f64, order: self.order, job });
    }

    /// Takes waiting requests into service.
    #[inline]
    fn pull(&mut self) {
        while self.serving.len() < self.config.concurrency as usize {
            let Some(next) = self.queue.pop_front() else { return };
            if !self.left.remove(&next.job) {
                self.serve(next.job, next.work);
            }
        }
    }

    /// Rejects requests that have waited too long by `now`.
    fn expire(&mut self, now: Time, departed: &mut Vec<(Job, Departure)>) {
        let Some(limit) = self.config.queue_timeout else { return };
        while let Some(front) = self.queue.front().filter(|front| front.since + limit <= now) {
            let job = front.job;
            self.queue.pop_front();
            self.present.remove(&job);
            if !self.left.remove(&job) {
                departed.push((job, Departure::TimedOut));
            }
        }
    }

    fn rate(&self) -> f64 {
        let sharing = match self.config.discipline {
            Discipline::FirstComeFirstServed => 1.0,
            Discipline::ProcessorSharing => {
                (f64::from(self.config.concurrency) / self.serving.len().max(1) as f64).min(1.0)
            }
        };
        self.speed * sharing
    }

    /// Moves the virtual clock to `now`.
    fn pass(&mut self, now: Time) {
        self.clock += self.rate() * now.since(self.updated).as_nanos() as f64;
        self.updated = now.max(self.updated);
    }

    /// Computes when the first request in service is done, from the clock as of `updated`.
    fn plan(&mut self) {
        let rate = self.rate();
        self.due = self.serving.peek().filter(|_| rate > 0.0).map(|first| {
            let nanos = libm::ceil(((first.mark - self.clock) / rate).max(0.0));
            self.updated + Duration::from_nanos(nanos as u64)
        });
    }
}

#[cfg(test)]
#[path = "queueing_tests.rs"]
mod tests;
