//! What is kept of every handled input: its part of the digest, and a line about it if the trace looks.

use crate::base::id::ProcessId;
use crate::base::time::Time;
use crate::sim::digest::Digest;
use crate::sim::trace::Trace;

/// Kinds of inputs, as the digest numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Start,
    Message,
    Refused,
    Fired,
    Done,
}

/// The digest and the trace of a run.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) digest: Digest,
    pub(super) trace: Trace,
}

impl Record {
    pub(super) fn new(seed: u64) -> Self {
        Self { digest: Digest::new(seed), trace: Trace::default() }
    }

    /// A process handles an input; `content` is the input's fingerprint. True if the trace looks: tell it in words.
    #[inline]
    #[must_use]
    pub(super) fn note(&mut self, at: Time, process: ProcessId, kind: Kind, content: u64) -> bool {
        let number = self.digest.events();
        self.digest.feed(at, u64::from(process.0) << 8 | kind as u64, content);
        self.trace.covers(number)
    }

    /// What was noted last, in words.
    pub(super) fn tell(&mut self, at: Time, words: &str) {
        let number = self.digest.events() - 1;
        self.trace.lines.push(format!("#{number} {} ns {words}", at.as_nanos()));
    }
}
