//! What comes to requests, each thing at its time: a small queue of the world's own.

use std::collections::VecDeque;

use crate::base::time::Time;
use crate::protocol::proxy::message::RequestNumber;

/// One thing per request at a time, soonest first; at one instant, by the request's number. Things come about as they
/// were added, so that a new one's place is near the end.
#[derive(Debug, Clone)]
pub(super) struct Upcoming<T>(VecDeque<Entry<T>>);

#[derive(Debug, Clone)]
struct Entry<T> {
    at: Time,
    number: RequestNumber,
    what: T,
}

impl<T> Upcoming<T> {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// How many things are to come.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds what comes to this request at `at`.
    #[inline]
    pub(super) fn push(&mut self, at: Time, number: RequestNumber, what: T) {
        let is_earlier = |other: &Entry<T>| other.at < at || other.at == at && other.number < number;
        let place = self.0.iter().rposition(is_earlier).map_or(0, |before| before + 1);
        self.0.insert(place, Entry { at, number, what });
    }

    /// Whether the time of the next has come.
    #[inline]
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.0.front().is_some_and(|entry| entry.at <= now)
    }

    /// Takes the next, if its time has come.
    #[inline]
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, T)> {
        if !self.is_due(now) {
            return None;
        }
        self.0.pop_front().map(|Entry { at, what, .. }| (at, what))
    }
}
