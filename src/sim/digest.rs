//! The running fingerprint of a run: every handled event feeds XXH3, and checkpoints let two runs be bisected to the
//! first event that differs.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::base::time::Time;

/// The digest after a number of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Events handled so far.
    pub events: u64,
    /// When the last of them happened.
    pub at: Time,
    /// XXH3 over all of them.
    pub digest: u64,
}

/// Hashes events, three words each, in blocks: the block's hash is seeded with the one before.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    chain: u64,
    /// The last of them, which fill no block yet, are the first of `block`.
    events: u64,
    block: Box<[[[u8; 8]; 3]; BLOCK_EVENTS]>,
    checkpoints: Vec<Checkpoint>,
    /// Checkpoints are kept at multiples of this many events; doubles whenever there are too many.
    spacing: u64,
}

impl Digest {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chain: seed,
            events: 0,
            block: Box::new([[[0; 8]; 3]; BLOCK_EVENTS]),
            checkpoints: Vec::new(),
            spacing: BLOCK_EVENTS as u64,
        }
    }

    /// One handled event: `subject` packs process and kind of input, `content` its fingerprint.
    #[inline]
    pub(super) fn feed(&mut self, at: Time, subject: u64, content: u64) {
        self.block[self.events as usize % BLOCK_EVENTS] =
            [at.as_nanos().to_le_bytes(), subject.to_le_bytes(), content.to_le_bytes()];
        self.events += 1;
        if (self.events as usize).is_multiple_of(BLOCK_EVENTS) {
            self.close(at);
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn value(&self) -> u64 {
        let block = &self.block[..self.events as usize % BLOCK_EVENTS];
        xxh3_64_with_seed(block.as_flattened().as_flattened(), self.chain)
    }

    pub(super) fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    #[cold]
    fn close(&mut self, at: Time) {
        self.chain = xxh3_64_with_seed(self.block.as_flattened().as_flattened(), self.chain);
        if self.events.is_multiple_of(self.spacing) {
            self.checkpoints.push(Checkpoint { events: self.events, at, digest: self.value() });
        }
        if self.checkpoints.len() == CHECKPOINTS_MAX {
            self.spacing *= 2;
            let spacing = self.spacing;
            self.checkpoints.retain(|kept| kept.events.is_multiple_of(spacing));
        }
    }
}

/// The first interval of events, as numbers `from..to`, in which two runs differ; `None` if all common checkpoints
/// agree.
pub fn first_difference(a: &[Checkpoint], b: &[Checkpoint]) -> Option<std::ops::Range<u64>> {
    let mut agreed = 0;
    for checkpoint in a {
        let Ok(at) = b.binary_search_by_key(&checkpoint.events, |other| other.events) else { continue };
        if b[at].digest != checkpoint.digest {
            return Some(agreed..checkpoint.events);
        }
        agreed = checkpoint.events;
    }
    None
}

/// Events per block, 2^7: three kilobytes, where XXH3 is at its full speed.
const BLOCK_EVENTS: usize = 128;
/// A run keeps at most this many checkpoints, 2^12; then every other one goes.
const CHECKPOINTS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_interval_is_found_and_checkpoints_are_bounded() {
        let run = |odd: u64| {
            let mut digest = Digest::new(1);
            for event in 0..2_000_000 {
                digest.feed(Time::from_nanos(event), 7, u64::from(event == odd));
            }
            assert!(digest.checkpoints().len() < CHECKPOINTS_MAX);
            digest
        };
        let (a, b) = (run(u64::MAX), run(1_234_567));
        assert_ne!(a.value(), b.value());
        let interval = first_difference(a.checkpoints(), b.checkpoints()).expect("they differ");
        assert!(interval.contains(&1_234_567) && interval.end - interval.start <= 1_024, "{interval:?}");
    }
}
