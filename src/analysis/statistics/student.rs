//! Student's t distribution: intervals of a mean.

use super::{deviation, mean};

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

    #[test]
    fn many_degrees_come_close_to_the_normal() {
        // Known to four digits: 31, 60, 120 and 1000 degrees of freedom.
        for (freedom, expected) in [(31.0, 2.0395), (60.0, 2.0003), (120.0, 1.9799), (1_000.0, 1.9623)] {
            assert!((quantile(0.975, freedom) - expected).abs() < 1e-4, "{freedom}: {}", quantile(0.975, freedom));
        }
    }
}
