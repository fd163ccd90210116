//! What comes to requests, each thing at its time: a small queue of the world's own.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::base::time::Time;
use crate::protocol::proxy::message::RequestNumber;

/// One thing per request at a time, soonest first; at one instant, by the request's number.
#[derive(Debug, Clone)]
pub(super) struct Upcoming<T>(BinaryHeap<Entry<T>>);

#[derive(Debug, Clone)]
struct Entry<T> {
    at: Time,
    number: RequestNumber,
    what: T,
}

impl<T> Upcoming<T> {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self(BinaryHeap::new())
    }

    /// How many things are to come.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds what comes to this request at `at`.
    #[inline]
    pub(super) fn push(&mut self, at: Time, number: RequestNumber, what: T) {
        self.0.push(Entry { at, number, what });
    }

    /// Takes the next, if its time has come.
    #[inline]
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, T)> {
        if self.0.peek().is_none_or(|entry| entry.at > now) {
            return None;
        }
        self.0.pop().map(|Entry { at, what, .. }| (at, what))
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (Time, RequestNumber) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// Reversed, since the standard heap puts the largest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}
