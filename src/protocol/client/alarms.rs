//! When the runners of a client wake up.

use std::cmp::Reverse;

use crate::base::sorted::SortedSet;
use crate::base::time::Time;
use crate::model::alloc::AllocId;
use crate::protocol::client::runner::Wake;

/// Wake-ups of all runners, each once: by time, then allocation, then reason.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    /// The soonest last, so that taking it out moves nothing.
    waits: SortedSet<Reverse<(Time, AllocId, Wake)>>,
}

impl Alarms {
    /// Wakes this allocation's runner at that time, for this.
    pub fn set(&mut self, at: Time, alloc: AllocId, wake: Wake) {
        self.waits.insert(Reverse((at, alloc, wake)));
    }

    /// When the soonest is due.
    pub fn next(&self) -> Option<Time> {
        self.waits.last().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the soonest out, if its time has come.
    pub fn take_due(&mut self, now: Time) -> Option<(Time, AllocId, Wake)> {
        if self.next()? <= now { self.waits.pop().map(|Reverse(alarm)| alarm) } else { None }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.waits.clear();
    }
}
