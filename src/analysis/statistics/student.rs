//! Student's t distribution: intervals of a mean.

use super::{deviation, mean};
use crate::base::math;

/// The t with P(T <= t) = `p`, `p` in (0, 1), of `degrees` > 0 degrees of freedom; to about 1e-12 of its size.
pub fn quantile(p: f64, degrees: f64) -> f64 {
    if p < 0.5 {
        return -quantile(1.0 - p, degrees);
    }
    let (mut low, mut high) = (0.0, 2.0);
    while distribution(high, degrees) < p && high < 1e300 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if distribution(middle, degrees) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(T <= `t`) of `degrees` > 0 degrees of freedom.
pub fn distribution(t: f64, degrees: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t));
    if t < 0.0 { tail } else { 1.0 - tail }
}

/// Mean of independent values and the half-width of its interval at this `confidence` (as 0.95); `None` of fewer than
/// two.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let (mean, deviation) = (mean(values)?, deviation(values)?);
    let n = values.len() as f64;
    Some((mean, quantile(0.5 + confidence / 2.0, n - 1.0) * deviation / libm::sqrt(n)))
}

/// Where the values of a metric can be: what is counted, timed or weighed is never negative, shares have an upper end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    least: f64,
    most: f64,
}

impl Range {
    /// Of differences, which can be anything.
    pub const ANY: Self = Self { least: f64::NEG_INFINITY, most: f64::INFINITY };

    /// The range of a metric with this unit.
    pub fn of(metric: &str, unit: &str) -> Self {
        let (least, most) = match (metric, unit) {
            ("placement.skew.zone", _) => (1.0, f64::INFINITY),
            ("placement.evenness", _) => (0.0, 1.0),
            (_, "%") => (0.0, 100.0),
            _ => (0.0, f64::INFINITY),
        };
        Self { least, most }
    }
}

/// Fewer values have no interval: with one degree of freedom, t says next to nothing.
const INTERVAL_MIN: usize = 3;

/// The interval of a mean at this `confidence` that keeps to the range of its values; `None` of fewer than three.
///
/// It is Student's interval of the logarithm of the mean, or of the logarithm of its odds where there is an upper end,
/// carried over by the delta method. Where the interval of the mean itself is narrow, it is the same; where values are
/// skewed, as waits are, it covers better. Values outside the range have the plain interval.
pub fn mean_interval_within(values: &[f64], range: Range, confidence: f64) -> Option<(f64, f64)> {
    if values.len() < INTERVAL_MIN {
        return None;
    }
    let (mean, half) = mean_interval(values, confidence)?;
    let Range { least, most } = range;
    let outside = |value: &f64| *value < least || *value > most;
    // Sums of equal values can be off in their last bits.
    let alike = values.iter().all(|value| value.total_cmp(&values[0]).is_eq());
    if alike || least.is_infinite() || values.iter().any(outside) {
        return Some((mean - half, mean + half));
    }
    // Values differ and keep to the range, so their mean is inside.
    let above = mean - least;
    if most.is_infinite() {
        let by = math::exp(half / above);
        return Some((least + above / by, least + above * by));
    }
    let (width, below) = (most - least, most - mean);
    let (odds, by) = (above / below, math::exp(half * width / (above * below)));
    Some((least + width / (1.0 + by / odds), least + width / (1.0 + 1.0 / (odds * by))))
}

/// The regularised incomplete beta function by its continued fraction (Abramowitz & Stegun 26.5.8), evaluated from the
/// left by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let (log, log_rest) = (libm::log(x), libm::log1p(-x));
    let scale = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * log + b * log_rest;
    let guard = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction / before - 1.0).abs() < 1e-16 {
            break;
        }
    }
    libm::exp(scale) * fraction / a
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Range = Range { least: 0.0, most: f64::INFINITY };

    /// Percentage points of Student's t, Fisher & Yates, table III, and its closed forms for one and two degrees.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, degrees, expected) in [
            (0.975, 1.0, 12.706_205),
            (0.975, 2.0, 4.302_653),
            (0.975, 9.0, 2.262_157),
            (0.95, 9.0, 1.833_113),
            (0.995, 30.0, 2.749_996),
            (0.975, 120.0, 1.979_930),
            (0.80, 9.0, 0.883_404),
        ] {
            let t = quantile(p, degrees);
            assert!((t - expected).abs() < 1e-6, "{p} {degrees}: {t}");
            assert!((quantile(1.0 - p, degrees) + t).abs() < 1e-9);
            assert!((distribution(t, degrees) - p).abs() < 1e-12);
        }
    }

    /// Student 1908, "The probable error of a mean", his table of the additional sleep of ten patients by the second
    /// drug over the first: mean 1.58, standard deviation 1.23 (n - 1), t = 4.06.
    #[test]
    fn an_interval_of_a_mean() {
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let (mean, half) = mean_interval(&sleep, 0.95).unwrap();
        assert!((mean - 1.58).abs() < 1e-12, "{mean}");
        // R: t.test(extra ~ group, data = sleep, paired = TRUE): 0.700 to 2.460.
        assert!((mean - half - 0.700_114).abs() < 1e-6 && (mean + half - 2.459_886).abs() < 1e-6, "{half}");
        assert_eq!(mean_interval(&[1.0], 0.95), None);
    }

    /// By hand, of 1, 2 and 6: mean 3, standard error 1.527525, t(2) = 4.302653; half-width 6.572410, so that the plain
    /// interval would begin at -3.57. exp(6.572410 / 3) = 8.944.
    #[test]
    fn an_interval_keeps_to_the_range_of_its_values() {
        let near = |(low, high): (f64, f64), expected: (f64, f64)| {
            assert!((low - expected.0).abs() < 1e-3 && (high - expected.1).abs() < 1e-3, "{low} {high}");
        };
        near(mean_interval_within(&[1.0, 2.0, 6.0], TIME, 0.95).unwrap(), (0.335_5, 26.827_2));
        // Of 99, 100 and 98 percent: half-width 2.484138, odds 99, exp(2.484138 / (99 × 0.01)) = 12.295.
        near(mean_interval_within(&[99.0, 100.0, 98.0], Range::of("x", "%"), 0.95).unwrap(), (88.952_4, 99.917_9));
        assert_eq!(mean_interval_within(&[5.0; 4], TIME, 0.95), Some((5.0, 5.0)));
        assert_eq!(mean_interval_within(&[0.0; 4], TIME, 0.95), Some((0.0, 0.0)));
        assert_eq!(mean_interval_within(&[100.0; 4], Range::of("x", "%"), 0.95), Some((100.0, 100.0)));
        assert_eq!(mean_interval_within(&[1.0, 2.0], TIME, 0.95), None);
        let (low, high) =
            mean_interval_within(&[1.0, 1.3, 1.0], Range::of("placement.skew.zone", "ratio"), 0.95).unwrap();
        assert!(low > 1.0 && high > 1.3, "{low} {high}");
        let (_, high) = mean_interval_within(&[1.0, 0.9, 1.0], Range::of("placement.evenness", "ratio"), 0.95).unwrap();
        assert!(high < 1.0, "{high}");
        let (low, _) = mean_interval_within(&[-1.0, 2.0, 3.0], TIME, 0.95).unwrap();
        assert!(low < -1.0, "a value outside the range has the plain interval: {low}");
    }

    /// How often intervals of so few values hold the true mean, in 4 000 samples each.
    #[test]
    fn intervals_of_skewed_values_cover_better_than_the_plain_ones() {
        let mut rng = crate::base::rng::Rng::stream(1, "test/coverage");
        for (count, least) in [(3, 0.93), (5, 0.915), (10, 0.915)] {
            let (mut plain, mut within) = (0.0, 0.0);
            for _ in 0..4_000 {
                let values: Vec<f64> = (0..count).map(|_| -math::ln(1.0 - rng.uniform())).collect();
                let (mean, half) = mean_interval(&values, 0.95).unwrap();
                let (low, high) = mean_interval_within(&values, TIME, 0.95).unwrap();
                plain += f64::from(u8::from((mean - 1.0).abs() <= half)) / 4_000.0;
                within += f64::from(u8::from(low <= 1.0 && 1.0 <= high)) / 4_000.0;
            }
            assert!(within > least && within > plain + 0.02, "{count} values: {within} against {plain}");
        }
    }

    #[test]
    fn many_degrees_come_close_to_the_normal() {
        // Known to four digits: 31, 60, 120 and 1000 degrees of freedom.
        for (freedom, expected) in [(31.0, 2.0395), (60.0, 2.0003), (120.0, 1.9799), (1_000.0, 1.9623)] {
            assert!((quantile(0.975, freedom) - expected).abs() < 1e-4, "{freedom}: {}", quantile(0.975, freedom));
        }
    }
}
