//! How long a synced write takes.
//!
//! Shifted lognormal, fitted by mean and 99th percentile, or mean and standard deviation, to published fio runs of one
//! 4 KiB write and `fdatasync` at a time. Writes of one process are serial (a Raft log or `BoltDB` file has one
//! writer);
//! processes of one host do not queue behind each other, which flatters a host whose volume is near its limit. What is
//! in a write plays no part, but its size does, at `bytes_per_second`.

use crate::base::math;
use crate::base::rng::Draws;
use crate::base::time::Duration;

/// The latency of a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskProfile {
    /// No write is faster than this.
    pub shift: Duration,
    /// Median of what comes on top.
    pub median: Duration,
    /// Standard deviation of the logarithm of what comes on top. Zero: every write takes `shift + median`.
    pub sigma: f64,
    /// Sequential throughput in bytes per second; zero means the size of a write costs nothing.
    pub bytes_per_second: u64,
}

impl DiskProfile {
    /// AWS gp2, 900 IOPS: fsync of at least 476 us, mean 1.42 ms, p99 2.67 ms; 128 MiB/s for small volumes.
    pub const GP2: Self = Self {
        shift: Duration::from_micros(476),
        median: Duration::from_nanos(872_700),
        sigma: 0.396,
        bytes_per_second: 128 << 20,
    };
    /// AWS gp3: fsync of at least 327 us, mean 0.70 ms, standard deviation 0.24 ms; 125 MiB/s baseline.
    pub const GP3: Self = Self {
        shift: Duration::from_micros(327),
        median: Duration::from_nanos(313_700),
        sigma: 0.589,
        bytes_per_second: 125 << 20,
    };
    /// Every write is safe at once.
    pub const INSTANT: Self = Self::fixed(Duration::ZERO);

    /// Every write takes this long.
    pub const fn fixed(latency: Duration) -> Self {
        Self { shift: latency, median: Duration::ZERO, sigma: 0.0, bytes_per_second: 0 }
    }

    /// A profile from the least, mean and standard deviation of measured latencies.
    pub fn fitted(least: Duration, mean: Duration, deviation: Duration) -> Self {
        let excess = mean.saturating_sub(least).as_secs_f64();
        if excess <= 0.0 {
            return Self::fixed(least);
        }
        let ratio = deviation.as_secs_f64() / excess;
        let variance = math::ln(1.0 + ratio * ratio);
        Self {
            shift: least,
            median: Duration::from_secs_f64(excess * math::exp(-variance / 2.0)),
            sigma: libm::sqrt(variance),
            bytes_per_second: 0,
        }
    }

    /// The time write `number` of a process takes on an undisturbed volume.
    pub(super) fn latency(&self, draws: Draws, number: u64, bytes: u32) -> Duration {
        let transfer = match self.bytes_per_second {
            0 => Duration::ZERO,
            rate => Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / rate),
        };
        let excess = if self.sigma > 0.0 {
            self.median.mul_f64(math::exp(self.sigma * draws.normal(number, 0)))
        } else {
            self.median
        };
        self.shift + excess + transfer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(profile: DiskProfile, mean_ms: f64, p99_ms: f64) {
        let draws = Draws::new(3, "disk");
        let mut sample: Vec<_> = (0..100_000).map(|i| profile.latency(draws, i, 0)).collect();
        sample.sort_unstable();
        let mean = sample.iter().map(|d| d.as_millis_f64()).sum::<f64>() / sample.len() as f64;
        let p99 = sample[sample.len() * 99 / 100].as_millis_f64();
        assert!((mean / mean_ms - 1.0).abs() < 0.02, "mean {mean}");
        assert!((p99 / p99_ms - 1.0).abs() < 0.03, "p99 {p99}");
    }

    #[test]
    fn presets_have_the_published_mean_and_tail() {
        check(DiskProfile::GP2, 1.42, 2.67);
        check(DiskProfile::GP3, 0.70, 1.56);
        let micros = Duration::from_micros;
        check(DiskProfile::fitted(micros(327), micros(700), micros(240)), 0.70, 1.56);
    }
}
