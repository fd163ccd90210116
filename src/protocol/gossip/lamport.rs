//! Lamport clocks, as Serf keeps them (`lamport.go`): one for membership, one for events, one for queries.

use std::fmt;

/// A logical time. 0 is before everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LTime(pub u64);

impl LTime {
    /// The time after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The time before this one; 0 stays 0.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for LTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// A clock that runs ahead of every time it hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LamportClock(LTime);

impl LamportClock {
    /// A clock after its first increment, so that the first message has time 1.
    pub const fn started() -> Self {
        Self(LTime(1))
    }

    /// A clock that has heard of this time.
    pub const fn after(heard: LTime) -> Self {
        Self(heard.next())
    }

    /// The current time.
    pub const fn time(self) -> LTime {
        self.0
    }

    /// Moves on by one.
    pub fn increment(&mut self) {
        self.0 = self.0.next();
    }

    /// Hears of a time, and makes sure to be past it.
    pub fn witness(&mut self, heard: LTime) {
        if heard >= self.0 {
            self.0 = heard.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_always_past_what_it_heard() {
        let mut clock = LamportClock::started();
        for (heard, time) in [(0, 1), (1, 2), (1, 2), (41, 42), (7, 42)] {
            clock.witness(LTime(heard));
            assert_eq!(clock.time(), LTime(time), "after hearing {heard}");
        }
        clock.increment();
        assert_eq!(clock.time(), LTime(43));
    }
}
