//! Many deadlines behind one timer.

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;

/// Remembers when a timer is set to go off, so that it is set again only to go off earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Alarm {
    at: Option<Time>,
}

impl Alarm {
    /// The timer went off.
    pub(super) fn fired(&mut self) {
        self.at = None;
    }

    /// How long to set the timer for, so that it goes off at `next` at the latest; `None` if it does so anyway.
    pub(super) fn rearm(&mut self, now: Time, next: Option<Time>) -> Option<Duration> {
        let next = next?;
        if self.at.is_some_and(|at| at <= next) {
            return None;
        }
        self.at = Some(next);
        Some(next.since(now))
    }
}

/// Things to go on with later, in the order of their times; equal times in the order in which they came.
#[derive(Debug, Clone)]
pub(super) struct Deadlines<T> {
    items: OrdMap<(Time, u64), T>,
    count: u64,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self { items: OrdMap::new(), count: 0 }
    }
}

impl<T> Deadlines<T> {
    /// Keeps `item` until `at`.
    pub(super) fn add(&mut self, at: Time, item: T) {
        self.items.insert((at, self.count), item);
        self.count += 1;
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Time) -> Option<T> {
        let entry = self.items.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<Time> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }
}
