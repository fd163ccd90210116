//! Wilcoxon's signed-rank test of paired differences (Wilcoxon 1945), with zeros ranked and then dropped (Pratt 1959)
//! and equal sizes sharing the mean of their ranks. Exact up to [`EXACT_MAX`] pairs, ties and zeros included: the
//! signs of the given ranks are permuted. Beyond, the normal approximation with the variance of these ranks and a
//! correction for continuity.

use super::bootstrap::normal_distribution;

/// Pairs up to which the test is exact.
pub const EXACT_MAX: usize = 25;

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// Sum of the ranks of positive differences.
    pub positive: f64,
    /// Probability of a sum at least as far from the middle if there is no difference.
    pub p_two_sided: f64,
    /// The smallest probability these differences could have come to: with all of them of one sign.
    pub least: f64,
}

/// Tests whether differences are symmetric about zero. Infinite ones have the highest ranks. `None` of nothing; zeros
/// alone have a probability of one.
pub fn test(differences: &[f64]) -> Option<SignedRank> {
    if differences.is_empty() {
        return None;
    }
    let mut sorted = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the rank is a whole number, shared ranks included.
    let mut ranks: Vec<u64> = Vec::new();
    let mut positive = 0;
    let mut first = 0;
    while first < sorted.len() {
        let size = sorted[first].abs();
        let equal = sorted[first..].iter().take_while(|value| value.abs().total_cmp(&size).is_eq()).count();
        let twice = (2 * first + equal + 1) as u64;
        for value in sorted[first..first + equal].iter().filter(|value| value.abs() > 0.0) {
            ranks.push(twice);
            positive += if *value > 0.0 { twice } else { 0 };
        }
        first += equal;
    }
    let (p_two_sided, least) = match ranks.len() {
        0 => (1.0, 1.0),
        n if n <= EXACT_MAX => (exact(&ranks, positive), smallest_p(n)),
        _ => (normal(&ranks, positive), normal(&ranks, 0)),
    };
    Some(SignedRank { positive: positive as f64 / 2.0, p_two_sided, least })
}

/// The smallest two-sided probability that so many pairs can come to: all differences of one sign.
pub fn smallest_p(pairs: usize) -> f64 {
    libm::ldexp(1.0, 1 - i32::try_from(pairs.max(1)).unwrap_or(i32::MAX))
}

/// Counts the choices of signs by their sum: at most 2^25 of them, so that every count is exact.
fn exact(ranks: &[u64], positive: u64) -> f64 {
    let total: u64 = ranks.iter().sum();
    let mut ways = vec![0_u64; total as usize + 1];
    ways[0] = 1;
    for &rank in ranks {
        for sum in (rank as usize..ways.len()).rev() {
            ways[sum] += ways[sum - rank as usize];
        }
    }
    let smaller = positive.min(total - positive) as usize;
    let tail: u64 = ways[..=smaller].iter().sum();
    (2.0 * tail as f64 * smallest_p(ranks.len() + 1)).min(1.0)
}

fn normal(ranks: &[u64], positive: u64) -> f64 {
    let ranks: Vec<f64> = ranks.iter().map(|&twice| twice as f64 / 2.0).collect();
    let middle = ranks.iter().sum::<f64>() / 2.0;
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    let off = ((positive as f64 / 2.0 - middle).abs() - 0.5).max(0.0);
    (2.0 * normal_distribution(-off / libm::sqrt(variance))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(differences: &[f64]) -> f64 {
        test(differences).unwrap().p_two_sided
    }

    fn near(p: f64, expected: f64) -> bool {
        (p - expected).abs() < 1e-6
    }

    /// Hollander & Wolfe 1973, page 29 (also in R's `wilcox.test`): depression factor of nine patients, V = 40,
    /// two-sided p = 0.03906.
    #[test]
    fn the_depression_scale_of_hollander_and_wolfe() {
        #[expect(clippy::approx_constant, reason = "a measurement")]
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
        let result = test(&differences).unwrap();
        assert!((result.positive - 40.0).abs() < 1e-12 && near(result.p_two_sided, 0.039_062_5), "{result:?}");
    }

    /// Darwin's maize plants (Fisher 1935, The Design of Experiments, chapter 3), differences in eighths of an inch.
    /// The two negative ones have ranks 14 and 10, the positive ones sum up to 96; of the 2^15 choices of signs 676
    /// come to 24 or less.
    #[test]
    fn darwins_maize_with_ties() {
        let eighths = [49., -67., 8., 16., 6., 23., 28., 41., 14., 29., 56., 24., 75., 60., -48.];
        let result = test(&eighths).unwrap();
        assert!((result.positive - 96.0).abs() < 1e-12 && near(result.p_two_sided, 0.041_259_765_6), "{result:?}");
    }

    /// By hand. Zeros take ranks 1 and 2 and are dropped (Pratt): 3, 4, 5 remain, all positive: 2 of 8 choices of
    /// signs. Equal sizes: ranks 1.5, 1.5, 3 with sums 0, 1.5, 1.5, 3, 3, 4.5, 4.5, 6; a sum of 1.5 or less has 3 of 8.
    #[test]
    fn zeros_and_ties_by_hand() {
        assert!(near(p(&[0.0, 0.0, 1.0, 2.0, 3.0]), 0.25));
        assert!(near(p(&[1.0, -1.0, -2.0]), 0.75));
        assert!(near(p(&[1.0, 2.0, f64::INFINITY, 4.0]), 0.125));
        assert!(near(p(&[0.0, 0.0]), 1.0) && test(&[]).is_none());
        let least = |differences: &[f64]| test(differences).unwrap().least;
        assert!(near(least(&[0.0, 0.0, 1.0, -2.0, 3.0]), 0.25) && near(least(&[0.0]), 1.0));
        let many: Vec<f64> = (1..=26).map(f64::from).collect();
        assert!(near(least(&many), p(&many)) && near(least(&many), 8.805e-6));
        assert!(near(smallest_p(10), 2.0 / 1_024.0));
    }

    /// With 26 pairs: R's wilcox.test(1:26 * c(-1, 1, 1), exact = FALSE), up to rounding: V and the formula by hand.
    #[test]
    fn many_pairs_are_approximated() {
        let all: Vec<f64> = (1..=26).map(f64::from).collect();
        // W = 351, mean 175.5, variance 26·27·53/24 = 1550.25: z = (175.5 - 0.5) / 39.373 = 4.4446.
        assert!((p(&all) - 8.805e-6).abs() < 2e-8, "{}", p(&all));
        // Just before and just after the change the two agree to a tenth.
        let some: Vec<f64> = (1..=25).map(|i| f64::from(i) * if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let ranks: Vec<u64> = (1..=25).map(|i| 2 * i).collect();
        let positive = some.iter().filter(|d| **d > 0.0).map(|d| 2 * *d as u64).sum();
        let (exact, normal) = (exact(&ranks, positive), normal(&ranks, positive));
        assert!((exact / normal - 1.0).abs() < 0.1, "{exact} {normal}");
    }
}
