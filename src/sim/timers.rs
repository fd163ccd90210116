//! Named alarms: a dense table per process. Moving a deadline later costs one store, no queue entry: the queued pop
//! stays, and is queued again at the new deadline when it comes early. Moving it earlier queues a new pop; the old
//! one no longer matches the table and is ignored.

use crate::base::time::Time;
use crate::sim::trace::Cause;

/// One alarm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alarm<T> {
    /// When it goes off; [`Time::NEVER`] when it is not set.
    pub(super) deadline: Time,
    /// When its pop in the queue comes; [`Time::NEVER`] when there is none. Never later than `deadline`.
    pub(super) queued: Time,
    /// The owner's count when it was armed: its place among equal deadlines.
    pub(super) count: u32,
    /// The count the queued pop was queued under.
    pub(super) queued_count: u32,
    pub(super) cause: Cause,
    pub(super) timer: T,
}

/// What a pop from the queue means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pop {
    /// The alarm was set otherwise, or not at all.
    Stale,
    /// It goes off now.
    Due(Cause),
    /// Queue another pop, at that time and under that count.
    Again(Time, u32),
}

/// The alarms of one process.
#[derive(Debug, Clone)]
pub(super) struct Timers<T> {
    alarms: Vec<Alarm<T>>,
}

impl<T: Copy> Timers<T> {
    pub(super) const fn new() -> Self {
        Self { alarms: Vec::new() }
    }

    /// Sets an alarm. True if a pop must be queued at the deadline, under `count`.
    #[inline]
    pub(super) fn arm(&mut self, slot: usize, timer: T, deadline: Time, count: u32, cause: Cause) -> bool {
        if self.alarms.len() <= slot {
            assert!(slot < SLOTS_MAX, "timer slots are dense and small; slot {slot} is not");
            let unset = Alarm { deadline: Time::NEVER, queued: Time::NEVER, count, queued_count: count, cause, timer };
            self.alarms.resize(slot + 1, unset);
        }
        let alarm = &mut self.alarms[slot];
        alarm.deadline = deadline;
        alarm.count = count;
        alarm.cause = cause;
        alarm.timer = timer;
        if alarm.queued <= deadline {
            return false;
        }
        alarm.queued = deadline;
        alarm.queued_count = count;
        true
    }

    #[inline]
    pub(super) fn disarm(&mut self, slot: usize) {
        if let Some(alarm) = self.alarms.get_mut(slot) {
            alarm.deadline = Time::NEVER;
        }
    }

    /// A pop queued for `now` under `count` has come.
    #[inline]
    pub(super) fn pop(&mut self, slot: usize, now: Time, count: u32) -> (Pop, Option<T>) {
        let Some(alarm) = self.alarms.get_mut(slot) else { return (Pop::Stale, None) };
        if alarm.queued != now || alarm.queued_count != count {
            return (Pop::Stale, None);
        }
        if alarm.deadline <= now && alarm.count == count {
            alarm.deadline = Time::NEVER;
            alarm.queued = Time::NEVER;
            return (Pop::Due(alarm.cause), Some(alarm.timer));
        }
        if alarm.deadline == Time::NEVER {
            alarm.queued = Time::NEVER;
            return (Pop::Stale, None);
        }
        alarm.queued = alarm.deadline.max(now);
        alarm.queued_count = alarm.count;
        (Pop::Again(alarm.queued, alarm.count), None)
    }

    /// The owner is paused: the alarm that just went off has not.
    pub(super) fn put_back(&mut self, slot: usize, deadline: Time) {
        self.alarms[slot].deadline = deadline;
    }

    /// The owner goes on: the alarm that was missed goes off now, in the place `count` gives it. True if it is still
    /// set.
    pub(super) fn catch_up(&mut self, slot: usize, now: Time, count: u32) -> bool {
        let Some(alarm) = self.alarms.get_mut(slot) else { return false };
        if alarm.deadline > now || alarm.queued != Time::NEVER {
            return false;
        }
        alarm.queued = now;
        alarm.queued_count = count;
        alarm.count = count;
        true
    }

    /// Forgets every alarm; pops under way find nothing.
    pub(super) fn clear(&mut self) {
        self.alarms.clear();
    }

    /// The alarms that are set, soonest first, for messages about livelock.
    pub(super) fn soonest(&self, count: usize) -> Vec<(Time, T)> {
        let mut set: Vec<_> =
            self.alarms.iter().filter(|a| a.deadline < Time::NEVER).map(|a| (a.deadline, a.timer)).collect();
        set.sort_by_key(|(deadline, _)| *deadline);
        set.truncate(count);
        set
    }
}

/// A queue entry has this much room for a slot.
const SLOTS_MAX: usize = 1 << 31;
