//! When requests come: an open loop, whatever became of earlier ones.
//!
//! A process is a unit-rate one run on a warped clock: gaps of the unit process (exponential, or all equal to one) are
//! stretched by the rate in force. A change of rate in the middle of a gap changes the rest of that gap only.

use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};

/// Gaps of the unit process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gaps {
    /// Exponential: a Poisson process.
    #[default]
    Exponential,
    /// All equal.
    Equal,
}

/// A rate from an instant on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateStep {
    /// From when.
    pub from: Time,
    /// Requests per second, at least zero.
    pub per_second: f64,
}

/// An arrival process.
#[derive(Debug, Clone)]
pub struct Arrivals {
    gaps: Gaps,
    steps: Vec<RateStep>,
    /// Multiplies the rate: a surge.
    factor: f64,
    draws: Draws,
    sequence: u64,
    /// What is left of the unit gap.
    left: f64,
    at: Time,
}

const LANE_GAP: u64 = 0;

impl Arrivals {
    /// A process whose rate is a step function, zero before its first step. `draws` are the source's.
    pub fn new(gaps: Gaps, mut steps: Vec<RateStep>, draws: Draws) -> Self {
        steps.sort_by_key(|step| step.from);
        let mut arrivals = Self { gaps, steps, factor: 1.0, draws, sequence: 0, left: 0.0, at: Time::ZERO };
        arrivals.left = arrivals.gap();
        arrivals
    }

    /// A process of constant rate.
    pub fn constant(gaps: Gaps, per_second: f64, draws: Draws) -> Self {
        Self::new(gaps, vec![RateStep { from: Time::ZERO, per_second }], draws)
    }

    /// Number of the next arrival.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How long from `now`, not earlier than any before, until the next arrival; `None` if the rate stays zero.
    pub fn wait(&mut self, now: Time) -> Option<Duration> {
        self.pass(now);
        let (mut left, mut from) = (self.left, now);
        loop {
            let (rate, until) = self.piece(from);
            let passing = rate * until.since(from).as_secs_f64();
            if rate > 0.0 && (until == Time::NEVER || left <= passing) {
                return Some((from + Duration::from_secs_f64(left / rate)).since(now));
            }
            if until == Time::NEVER {
                return None;
            }
            left -= passing;
            from = until;
        }
    }

    /// The source starts, or starts again: the next gap begins now.
    pub fn restart(&mut self, now: Time) {
        self.at = now;
        self.left = self.gap();
    }

    /// The arrival happened: returns its number.
    #[inline]
    pub fn take(&mut self, now: Time) -> u64 {
        let number = self.sequence;
        self.sequence += 1;
        self.at = now;
        self.left = self.gap();
        number
    }

    /// Multiplies the configured rate by `factor` from `now` on; ask [`Arrivals::wait`] again.
    pub fn set_factor(&mut self, now: Time, factor: f64) {
        self.pass(now);
        self.factor = if factor.is_finite() { factor.max(0.0) } else { 1.0 };
    }

    fn gap(&self) -> f64 {
        match self.gaps {
            Gaps::Exponential => self.draws.exponential(self.sequence, LANE_GAP, 1.0),
            Gaps::Equal => 1.0,
        }
    }

    /// Uses up the part of the gap that lies before `now`.
    #[inline]
    fn pass(&mut self, now: Time) {
        while self.at < now {
            let (rate, until) = self.piece(self.at);
            let until = until.min(now);
            self.left = (self.left - rate * until.since(self.at).as_secs_f64()).max(0.0);
            self.at = until;
        }
    }

    /// The rate at an instant and until when it holds.
    fn piece(&self, at: Time) -> (f64, Time) {
        let next = self.steps.partition_point(|step| step.from <= at);
        let until = self.steps.get(next).map_or(Time::NEVER, |step| step.from);
        (next.checked_sub(1).map_or(0.0, |step| self.steps[step].per_second * self.factor), until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Time {
        Time::ZERO + Duration::from_secs_f64(s)
    }

    fn times(mut arrivals: Arrivals, count: usize) -> Vec<f64> {
        let mut now = Time::ZERO;
        (0..count)
            .map_while(|_| {
                now += arrivals.wait(now)?;
                arrivals.take(now);
                Some(now.as_secs_f64())
            })
            .collect()
    }

    #[test]
    fn equal_gaps_follow_the_rate() {
        let draws = Draws::new(1, "a");
        assert_eq!(times(Arrivals::constant(Gaps::Equal, 2.0, draws), 3), [0.5, 1.0, 1.5]);
        let steps = [(0.0, 1.0), (1.5, 2.0), (2.5, 0.0)];
        let steps = steps.map(|(from, per_second)| RateStep { from: seconds(from), per_second }).to_vec();
        assert_eq!(times(Arrivals::new(Gaps::Equal, steps, draws), 9), [1.0, 1.75, 2.25]);
        let late = vec![RateStep { from: seconds(3.0), per_second: 1.0 }];
        assert_eq!(times(Arrivals::new(Gaps::Equal, late, draws), 2), [4.0, 5.0]);
        assert!(times(Arrivals::new(Gaps::Equal, Vec::new(), draws), 2).is_empty());
    }

    #[test]
    fn a_surge_stretches_only_what_is_left_of_the_gap() {
        let mut arrivals = Arrivals::constant(Gaps::Equal, 1.0, Draws::new(1, "a"));
        assert_eq!(arrivals.wait(Time::ZERO), Some(Duration::from_secs(1)));
        arrivals.set_factor(seconds(0.5), 2.0);
        assert_eq!(arrivals.wait(seconds(0.5)), Some(Duration::from_millis(250)));
        arrivals.set_factor(seconds(0.5), 0.0);
        assert_eq!(arrivals.wait(seconds(0.5)), None);
    }

    #[test]
    fn a_poisson_process_has_its_rate_and_variance() {
        let times = times(Arrivals::constant(Gaps::Exponential, 100.0, Draws::new(7, "p")), 100_000);
        let (n, end) = (times.len() as f64, times[times.len() - 1]);
        assert!((n / end - 100.0).abs() < 1.0, "{}", n / end);
        let mut counts = vec![0.0; end as usize];
        for time in &times {
            if let Some(count) = counts.get_mut(*time as usize) {
                *count += 1.0;
            }
        }
        let variance = counts.iter().map(|count| (count - 100.0) * (count - 100.0)).sum::<f64>() / counts.len() as f64;
        assert!((variance - 100.0).abs() < 15.0, "{variance}");
    }
}
