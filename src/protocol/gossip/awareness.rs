//! Local health awareness (Lifeguard §IV-A, memberlist `awareness.go`): a member that misses answers it should have got
//! suspects itself first, and waits longer before it suspects others.

use crate::base::time::Duration;

/// The health score of the local member: 0 is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awareness {
    score: u32,
    max: u32,
}

impl Awareness {
    /// Healthy; the score stays below `max` (at least 1).
    pub const fn new(max: u32) -> Self {
        Self { score: 0, max: if max == 0 { 1 } else { max } }
    }

    /// Moves the score, within its bounds.
    #[inline]
    pub fn apply(&mut self, delta: i32) {
        self.score = self.score.saturating_add_signed(delta).min(self.max - 1);
    }

    /// The score, in `0..max`.
    pub const fn score(self) -> u32 {
        self.score
    }

    /// A probe interval, stretched by the score.
    pub fn scale(self, interval: Duration) -> Duration {
        interval * u64::from(self.score + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_within_bounds_and_stretches_the_interval() {
        let mut awareness = Awareness::new(8);
        for (delta, score) in [(-1, 0), (3, 3), (-1, 2), (4, 6), (3, 7), (1, 7), (-7, 0)] {
            awareness.apply(delta);
            assert_eq!(awareness.score(), score);
            assert_eq!(awareness.scale(Duration::from_secs(1)), Duration::from_secs(u64::from(score) + 1));
        }
    }
}
