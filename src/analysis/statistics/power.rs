//! What a paired comparison could have seen: without it, silence would pass for proof.

use super::signed_rank::{EXACT_MAX, smallest_p};
use super::{deviation, student};

/// Power at which an effect counts as detectable.
const POWER: f64 = 0.8;
/// Efficiency of the signed-rank test against the t test for normal differences, 3/π (Hodges & Lehmann 1956).
const EFFICIENCY: f64 = 3.0 / std::f64::consts::PI;

/// The shift that pairs with differences of this spread would show with a power of 80 % at a two-sided `level`; `None`
/// if no result of so few pairs reaches the level. Normal differences are assumed; heavier tails are seen a little
/// sooner.
pub fn smallest_detectable(differences: &[f64], level: f64) -> Option<f64> {
    let pairs = differences.len();
    if pairs < 2 || (pairs <= EXACT_MAX && smallest_p(pairs) > level) {
        return None;
    }
    let (n, degrees) = (pairs as f64, (pairs - 1) as f64);
    let deviates = student::quantile(1.0 - level / 2.0, degrees) + student::quantile(POWER, degrees);
    Some(deviates * deviation(differences)? / libm::sqrt(n * EFFICIENCY))
}

/// The fewest pairs whose clearest result, all of one sign, reaches a two-sided `level`.
pub fn pairs_needed(level: f64) -> usize {
    (1..64).find(|&pairs| smallest_p(pairs) <= level).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, of ten differences of deviation 1.229995: (2.262157 + 0.883404) × 1.229995 / √(10 × 3/π).
    #[test]
    fn what_ten_pairs_can_see() {
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let smallest = smallest_detectable(&sleep, 0.05).unwrap();
        assert!((smallest - 1.252_03).abs() < 1e-4, "{smallest}");
        assert!(smallest_detectable(&sleep, 0.01).unwrap() > smallest);
    }

    /// Five pairs come to 2/32 at best, six to 2/64.
    #[test]
    fn too_few_pairs_see_nothing() {
        assert_eq!((pairs_needed(0.05), pairs_needed(0.05 / 50.0)), (6, 11));
        assert_eq!(smallest_detectable(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.05), None);
        assert!(smallest_detectable(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.05).is_some());
    }
}
