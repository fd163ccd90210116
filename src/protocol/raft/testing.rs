//! A command for tests.

use crate::protocol::raft::Command;

/// A number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Command for Word {
    type Snapshot = u64;

    fn bytes(&self) -> u32 {
        8
    }

    fn fingerprint(&self) -> u64 {
        self.0
    }
}
