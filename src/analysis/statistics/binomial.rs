//! How likely few or many of independent trials succeed, exactly: no approximation, whatever their number.

use crate::base::math;

/// Chance that at most `successes` of `trials` succeed, each with a chance of `share`, in 0..=1.
pub fn at_most(successes: usize, trials: usize, share: f64) -> f64 {
    if successes >= trials || share <= 0.0 {
        return 1.0;
    }
    if share >= 1.0 {
        return 0.0;
    }
    let odds = math::ln(share) - math::ln(1.0 - share);
    // The logarithm of the chance that none succeeds, then of one more each time.
    let mut logarithm = trials as f64 * math::ln(1.0 - share);
    let mut sum = math::exp(logarithm);
    for more in 1..=successes {
        logarithm += math::ln((trials - more + 1) as f64 / more as f64) + odds;
        sum += math::exp(logarithm);
    }
    sum.min(1.0)
}

/// Chance that at least `successes` of `trials` succeed, each with a chance of `share`, in 0..=1.
pub fn at_least(successes: usize, trials: usize, share: f64) -> f64 {
    at_most(trials.saturating_sub(successes), trials, 1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_tables() {
        for (found, expected) in [
            (at_most(0, 10, 0.5), 1.0 / 1_024.0),
            (at_most(1, 10, 0.5), 11.0 / 1_024.0),
            (at_most(10, 10, 0.5), 1.0),
            (at_least(9, 10, 0.9), 0.736_098_930_1),
            (at_least(49, 49, 0.9), 0.005_726_416_897),
            (at_most(3, 20, 0.3), 0.107_086_804_5),
            (at_least(0, 7, 0.3), 1.0),
            (at_most(3, 7, 0.0), 1.0),
            (at_most(3, 7, 1.0), 0.0),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        // Both tails of any result together are all there is.
        for successes in 1..400 {
            let both = at_most(successes - 1, 400, 0.37) + at_least(successes, 400, 0.37);
            assert!((both - 1.0).abs() < 1e-9, "{successes}: {both}");
        }
    }
}
