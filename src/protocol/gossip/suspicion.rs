//! How long a suspicion lasts (Lifeguard §IV-B, memberlist `suspicion.go`): long at first, shorter with every
//! independent confirmation.

use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;

use smallvec::SmallVec;

use crate::base::math;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::config::Config;
use crate::protocol::gossip::members::Member;

/// The bounds of a suspicion in a pool of a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Lasts this long once confirmed often enough.
    pub min: Duration,
    /// Lasts this long unconfirmed.
    pub max: Duration,
    /// Confirmations that bring it down to `min`; 0 in pools too small to give them.
    pub wanted: u32,
}

impl Bounds {
    /// The bounds in a table of `count` rows, the own one and unpurged dead ones included (memberlist `suspectNode`,
    /// `suspicionTimeout`: the logarithm is cut to thousandths).
    pub fn of(config: &Config, count: usize) -> Self {
        let scale = math::log10(count.max(1) as f64).max(1.0);
        let thousandths = (scale * 1000.0) as u64;
        let min = config.probe_interval * u64::from(config.suspicion_mult) * thousandths / 1000;
        let wanted = config.suspicion_mult.saturating_sub(2);
        let wanted = if count < wanted as usize + 2 { 0 } else { wanted };
        Self { min, max: min * u64::from(config.suspicion_max_mult), wanted }
    }

    /// How long a suspicion with this many confirmations lasts, from its start (`remainingSuspicionTime`).
    pub fn timeout(self, confirmations: u32) -> Duration {
        if self.wanted == 0 {
            return self.min;
        }
        let share = math::ln(f64::from(confirmations) + 1.0) / math::ln(f64::from(self.wanted) + 1.0);
        let (min, max) = (self.min.as_secs_f64(), self.max.as_secs_f64());
        let millis = ((max - share * (max - min)) * 1000.0).max(0.0) as u64;
        if confirmations == 0 { self.max } else { Duration::from_millis(millis).max(self.min) }
    }
}

/// One suspicion under way.
#[derive(Debug, Clone)]
struct Suspicion {
    bounds: Bounds,
    started: Time,
    due: Time,
    /// The accuser that started it, then those who confirmed.
    accusers: SmallVec<[Member; 6]>,
}

/// What came of an accusation against a member that is already suspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Known, or no longer needed.
    Ignored,
    /// New; the suspicion goes on.
    Counted,
    /// New; the suspicion is over at once.
    RanOut,
}

/// All suspicions of one member, by suspect and by deadline.
#[derive(Debug, Clone, Default)]
pub struct Suspicions {
    by_member: OrdMap<Member, Suspicion>,
    by_deadline: OrdSet<(Time, Member)>,
}

impl Suspicions {
    /// Whether the member is under suspicion.
    pub fn contains(&self, suspect: Member) -> bool {
        self.by_member.contains_key(&suspect)
    }

    /// Begins to suspect a member that is not suspected yet.
    pub fn start(&mut self, now: Time, suspect: Member, accuser: Member, bounds: Bounds) {
        let due = now + bounds.timeout(0);
        let accusers = SmallVec::from_slice(&[accuser]);
        let former = self.by_member.insert(suspect, Suspicion { bounds, started: now, due, accusers });
        assert!(former.is_none(), "a suspicion starts once");
        self.by_deadline.insert((due, suspect));
    }

    /// An accusation against a suspect; `None` if it is not suspected.
    pub fn confirm(&mut self, now: Time, suspect: Member, accuser: Member) -> Option<Confirmation> {
        let suspicion = self.by_member.get_mut(&suspect)?;
        let count = suspicion.accusers.len() as u32 - 1;
        if count >= suspicion.bounds.wanted || suspicion.accusers.contains(&accuser) {
            return Some(Confirmation::Ignored);
        }
        suspicion.accusers.push(accuser);
        self.by_deadline.remove(&(suspicion.due, suspect));
        suspicion.due = (suspicion.started + suspicion.bounds.timeout(count + 1)).max(now);
        self.by_deadline.insert((suspicion.due, suspect));
        Some(if suspicion.due <= now { Confirmation::RanOut } else { Confirmation::Counted })
    }

    /// Drops a suspicion, if there is one, and says how often it was confirmed.
    pub fn clear(&mut self, suspect: Member) -> Option<u32> {
        let suspicion = self.by_member.remove(&suspect)?;
        self.by_deadline.remove(&(suspicion.due, suspect));
        Some(suspicion.accusers.len() as u32 - 1)
    }

    /// The first to run out, and when.
    pub fn next(&self) -> Option<(Time, Member)> {
        self.by_deadline.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_the_published_examples() {
        for (config, count, min_ms, wanted) in [
            (Config::lan(), 3, 4_000, 0),
            (Config::lan(), 4, 4_000, 2),
            (Config::lan(), 10, 4_000, 2),
            (Config::lan(), 50, 6_792, 2),
            (Config::lan(), 100, 8_000, 2),
            (Config::wan(), 9, 30_000, 4),
            (Config::wan(), 15, 35_280, 4),
            (Config::wan(), 100, 60_000, 4),
            (Config::local(), 3, 3_000, 1),
        ] {
            let bounds = Bounds::of(&config, count);
            assert_eq!((bounds.min.as_millis(), bounds.wanted), (min_ms, wanted), "{count}");
            assert_eq!(bounds.max, bounds.min * 6);
        }
    }

    #[test]
    fn each_confirmation_shortens_the_wait_logarithmically() {
        let bounds = Bounds::of(&Config::lan(), 10);
        let seconds: Vec<f64> = (0..4).map(|c| bounds.timeout(c).as_secs_f64()).collect();
        assert_eq!(seconds, [24.0, 11.381, 4.0, 4.0]);
        assert_eq!(Bounds { wanted: 0, ..bounds }.timeout(0), bounds.min);
    }

    #[test]
    fn only_distinct_accusers_count_and_a_late_one_ends_it() {
        let (at, s) = (|seconds| Time::ZERO + Duration::from_secs(seconds), Member(9));
        let mut suspicions = Suspicions::default();
        assert_eq!(suspicions.confirm(at(0), s, Member(1)), None);
        suspicions.start(at(0), s, Member(1), Bounds::of(&Config::lan(), 10));
        assert_eq!(suspicions.next(), Some((at(24), s)));
        assert_eq!(suspicions.confirm(at(1), s, Member(1)), Some(Confirmation::Ignored));
        assert_eq!(suspicions.confirm(at(1), s, Member(2)), Some(Confirmation::Counted));
        assert_eq!(suspicions.confirm(at(2), s, Member(2)), Some(Confirmation::Ignored));
        assert_eq!(suspicions.confirm(at(6), s, Member(3)), Some(Confirmation::RanOut));
        assert_eq!(suspicions.clear(s), Some(2));
        assert_eq!(suspicions.next(), None);
    }
}
