//! A quantity that holds a value until it changes; its mean is weighted by time.

use crate::base::time::Time;

/// A time-weighted gauge that starts to count at the end of the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    value: f64,
    since: Time,
    from: Time,
    integral: f64,
    min: f64,
    max: f64,
}

impl Gauge {
    /// A gauge at `value` that ignores what happens before `from`.
    pub fn new(value: f64, from: Time) -> Self {
        Self { value, since: Time::ZERO, from, integral: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    /// The value now.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Changes the value.
    pub fn set(&mut self, now: Time, value: f64) {
        self.settle(now);
        self.value = value;
    }

    /// Adds to the value.
    pub fn add(&mut self, now: Time, change: f64) {
        self.set(now, self.value + change);
    }

    /// Accounts for the time up to `now`.
    fn settle(&mut self, now: Time) {
        let span = now.since(self.since.max(self.from));
        if now > self.from && !span.is_zero() {
            self.integral += self.value * span.as_secs_f64();
            self.min = self.min.min(self.value);
            self.max = self.max.max(self.value);
        }
        self.since = now;
    }

    /// Ends the run: final value, mean over the time counted, smallest and largest.
    pub fn finish(mut self, now: Time) -> GaugeSummary {
        self.settle(now);
        let counted = now.since(self.from).as_secs_f64();
        if counted <= 0.0 {
            return GaugeSummary { last: self.value, mean: self.value, min: self.value, max: self.value };
        }
        GaugeSummary {
            last: self.value,
            mean: self.integral / counted,
            min: self.min.min(self.value),
            max: self.max.max(self.value),
        }
    }
}

/// What a gauge did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaugeSummary {
    /// Value at the end.
    pub last: f64,
    /// Mean over time.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;

    #[test]
    fn the_mean_is_weighted_by_time_and_skips_the_warm_up() {
        let at = |s| Time::ZERO + Duration::from_secs(s);
        let mut gauge = Gauge::new(100.0, at(10));
        gauge.set(at(10), 0.0);
        gauge.set(at(15), 4.0);
        let summary = gauge.finish(at(20));
        assert!((summary.mean - 2.0).abs() < 1e-12, "{summary:?}");
        assert!((summary.max - 4.0).abs() < 1e-12 && summary.min.abs() < 1e-12, "{summary:?}");
    }
}
