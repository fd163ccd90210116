//! Laws, each an observer that looks at the run from outside and shares no code with what it judges.

pub mod catalog;
pub mod gossip;
pub mod raft;
pub mod proxy;
pub mod scheduler;

use crate::base::time::Time;

/// What one law has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was looked at.
    pub checks: u64,
    /// How often it did not hold.
    pub violations: u64,
    /// The first violation: when, and what happened.
    pub first: Option<(Time, String)>,
}

impl Tally {
    /// Notes one look at the law; `explain` is called for the first violation only.
    #[inline]
    pub fn check(&mut self, at: Time, holds: bool, explain: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.violated(at, explain);
        }
    }

    #[cold]
    fn violated(&mut self, at: Time, explain: impl FnOnce() -> String) {
        self.violations += 1;
        if self.first.is_none() {
            self.first = Some((at, explain()));
        }
    }
}
