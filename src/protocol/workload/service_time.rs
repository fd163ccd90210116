//! How long an instance works on a request, at nominal speed.

use crate::base::math;
use crate::base::rng::Draws;
use crate::base::time::Duration;

/// A law of service times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ServiceTime {
    /// Always the same.
    Deterministic(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Lognormal.
    Lognormal {
        /// Half of the values lie below.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Pareto between two bounds.
    BoundedPareto {
        /// Smallest value, above zero.
        low: Duration,
        /// Largest value, above `low`.
        high: Duration,
        /// Exponent of the tail, above zero.
        alpha: f64,
    },
    /// Two exponentials with balanced means.
    Hyperexponential {
        /// Mean.
        mean: Duration,
        /// Squared coefficient of variation, at least one.
        scv: f64,
    },
}

/// Why a law cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ServiceTimeError {
    /// The 99th percentile must not lie below the median, and neither may be zero.
    #[error("the 99th percentile ({p99}) lies below the median ({p50}), or the median is zero")]
    Percentiles {
        /// Median.
        p50: Duration,
        /// 99th percentile.
        p99: Duration,
    },
    /// Bounds must be positive and in order, the exponent positive.
    #[error("a bounded Pareto law needs 0 < low < high and alpha > 0")]
    Pareto,
    /// Two exponentials vary at least as much as one.
    #[error("a hyperexponential law has a squared coefficient of variation of at least 1, not {0}")]
    Variation(f64),
}

/// The standard normal's 99th percentile.
const Z99: f64 = 2.326_347_874_040_841;

impl ServiceTime {
    /// The lognormal law with this median and 99th percentile.
    pub fn lognormal(p50: Duration, p99: Duration) -> Result<Self, ServiceTimeError> {
        if p50.is_zero() || p99 < p50 {
            return Err(ServiceTimeError::Percentiles { p50, p99 });
        }
        let sigma = math::ln(p99.as_secs_f64() / p50.as_secs_f64()) / Z99;
        Ok(Self::Lognormal { median: p50, sigma })
    }

    /// The Pareto law between two bounds.
    pub fn bounded_pareto(low: Duration, high: Duration, alpha: f64) -> Result<Self, ServiceTimeError> {
        let is_law = !low.is_zero() && low < high && alpha > 0.0 && alpha.is_finite();
        if is_law { Ok(Self::BoundedPareto { low, high, alpha }) } else { Err(ServiceTimeError::Pareto) }
    }

    /// The two-phase law with this mean and squared coefficient of variation.
    pub fn hyperexponential(mean: Duration, scv: f64) -> Result<Self, ServiceTimeError> {
        let is_law = scv >= 1.0 && scv.is_finite();
        if is_law { Ok(Self::Hyperexponential { mean, scv }) } else { Err(ServiceTimeError::Variation(scv)) }
    }

    /// The value of item `number`; lanes `lane` and `lane + 1` are used.
    pub fn sample(self, draws: Draws, number: u64, lane: u64) -> Duration {
        let exponential = |mean: f64| Duration::from_secs_f64(draws.exponential(number, lane, mean));
        match self {
            Self::Deterministic(value) => value,
            Self::Exponential(mean) => exponential(mean.as_secs_f64()),
            Self::Lognormal { median, sigma } => median.mul_f64(math::exp(sigma * draws.normal(number, lane))),
            Self::BoundedPareto { low, high, alpha } => {
                let (low, high) = (low.as_secs_f64(), high.as_secs_f64());
                let cut = 1.0 - math::pow(low / high, alpha);
                let survival = 1.0 - draws.uniform(number, lane) * cut;
                Duration::from_secs_f64((low / math::pow(survival, 1.0 / alpha)).min(high))
            }
            Self::Hyperexponential { mean, scv } => {
                let first = first_share(scv);
                let share = if draws.uniform(number, lane + 1) < first { first } else { 1.0 - first };
                exponential(mean.as_secs_f64() / (2.0 * share))
            }
        }
    }

    /// The mean.
    pub fn mean(self) -> Duration {
        match self {
            Self::Deterministic(mean) | Self::Exponential(mean) | Self::Hyperexponential { mean, .. } => mean,
            Self::Lognormal { median, sigma } => median.mul_f64(math::exp(sigma * sigma / 2.0)),
            Self::BoundedPareto { low, high, alpha } => {
                Duration::from_secs_f64(pareto_moment(low.as_secs_f64(), high.as_secs_f64(), alpha, 1.0))
            }
        }
    }

    /// The squared coefficient of variation: variance over squared mean.
    pub fn scv(self) -> f64 {
        match self {
            Self::Deterministic(_) => 0.0,
            Self::Exponential(_) => 1.0,
            Self::Lognormal { sigma, .. } => math::exp(sigma * sigma) - 1.0,
            Self::BoundedPareto { low, high, alpha } => {
                let moment = |order| pareto_moment(low.as_secs_f64(), high.as_secs_f64(), alpha, order);
                moment(2.0) / (moment(1.0) * moment(1.0)) - 1.0
            }
            Self::Hyperexponential { scv, .. } => scv,
        }
    }
}

/// Probability of the faster of two balanced exponentials.
fn first_share(scv: f64) -> f64 {
    f64::midpoint(1.0, libm::sqrt((scv - 1.0) / (scv + 1.0)))
}

fn pareto_moment(low: f64, high: f64, alpha: f64, order: f64) -> f64 {
    let scale = alpha * math::pow(low, alpha) / (1.0 - math::pow(low / high, alpha));
    let exponent = order - alpha;
    if exponent.abs() < 1e-9 {
        return scale * math::ln(high / low);
    }
    scale * (math::pow(high, exponent) - math::pow(low, exponent)) / exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn samples_have_the_moments_of_their_law() {
        let laws = [
            ServiceTime::Deterministic(SECOND),
            ServiceTime::Exponential(SECOND),
            ServiceTime::lognormal(SECOND, SECOND * 4).unwrap(),
            ServiceTime::bounded_pareto(SECOND, SECOND * 50, 2.5).unwrap(),
            ServiceTime::hyperexponential(SECOND, 4.0).unwrap(),
        ];
        let draws = Draws::new(3, "laws");
        let n = 200_000_u32;
        for law in laws {
            let samples = || (0..u64::from(n)).map(|i| law.sample(draws, i, 0).as_secs_f64());
            let mean = samples().sum::<f64>() / f64::from(n);
            let square = samples().map(|x| x * x).sum::<f64>() / f64::from(n);
            let expected = law.mean().as_secs_f64();
            assert!((mean / expected - 1.0).abs() < 0.01, "{law:?}: mean {mean}, {expected}");
            let scv = square / (mean * mean) - 1.0;
            assert!((scv - law.scv()).abs() < 0.1 * law.scv() + 1e-9, "{law:?}: scv {scv}, {}", law.scv());
        }
    }

    #[test]
    fn percentiles_are_met() {
        let (p50, p99) = (Duration::from_millis(20), Duration::from_millis(120));
        let law = ServiceTime::lognormal(p50, p99).unwrap();
        let draws = Draws::new(4, "percentiles");
        let mut samples: Vec<Duration> = (0..100_000).map(|i| law.sample(draws, i, 0)).collect();
        samples.sort_unstable();
        let near = |index: usize, expected: Duration| {
            (samples[index].as_secs_f64() / expected.as_secs_f64() - 1.0).abs() < 0.03
        };
        assert!(near(50_000, p50) && near(99_000, p99));
        assert!(ServiceTime::lognormal(p99, p50).is_err());
    }
}
