//! Why things happened (causes), and what happened in a window of events (trace).
//!
//! A cause is a milestone: an event its protocol declared notable, or a fault or action from outside. Every message,
//! timer, write and computation carries the latest milestone on its chain, so a chain can be walked back from any
//! event. What is not notable is not recorded, so the table grows with milestones, not with events.

use std::ops::Range;

use crate::base::id::ProcessId;
use crate::base::time::Time;

/// An event that can be a cause of others.
pub trait Notable {
    /// Whether the chain of causes should name this event.
    fn is_milestone(&self) -> bool;
}

impl Notable for () {
    fn is_milestone(&self) -> bool {
        false
    }
}

/// Names a milestone: the latest on the chain that led to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause(u32);

impl Cause {
    /// The start of the run: parent of everything that nothing else caused.
    pub const START: Self = Self(0);

    /// Its place in [`Causes`], in order of happening.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milestone {
    /// The one before it on the chain.
    pub parent: Cause,
    /// When it happened.
    pub at: Time,
    /// Where; `None` for the start of the run, faults and actions from outside.
    pub process: Option<ProcessId>,
}

/// All milestones of a run, in order.
#[derive(Debug, Clone)]
pub struct Causes {
    milestones: Vec<Milestone>,
}

impl Default for Causes {
    fn default() -> Self {
        Self { milestones: vec![Milestone { parent: Cause::START, at: Time::ZERO, process: None }] }
    }
}

impl Causes {
    /// Notes a milestone and names it.
    pub(super) fn record(&mut self, milestone: Milestone) -> Cause {
        let cause = Cause(u32::try_from(self.milestones.len()).expect("fewer than 2^32 milestones in a run"));
        self.milestones.push(milestone);
        cause
    }

    /// What is known of a cause.
    pub fn milestone(&self, cause: Cause) -> Milestone {
        self.milestones[cause.index()]
    }

    /// How many there are, the start of the run included.
    pub fn count(&self) -> usize {
        self.milestones.len()
    }

    /// From `cause` back to what started its chain (a fault, an action, or the start of the run), both included.
    pub fn chain(&self, cause: Cause) -> impl Iterator<Item = (Cause, Milestone)> + '_ {
        let mut next = Some(cause);
        std::iter::from_fn(move || {
            let cause = next?;
            let milestone = self.milestone(cause);
            next = (milestone.parent != cause).then_some(milestone.parent);
            Some((cause, milestone))
        })
    }
}

/// Lines of the events whose number lies in a window; empty, and nearly free, unless a window was asked for.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) window: Range<u64>,
    pub(super) lines: Vec<String>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { window: u64::MAX..u64::MAX, lines: Vec::new() }
    }
}

impl Trace {
    #[inline]
    pub(super) fn covers(&self, event: u64) -> bool {
        self.window.start <= event && event < self.window.end
    }
}
