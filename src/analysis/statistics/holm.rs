//! Holm's correction for testing several hypotheses at once (Holm 1979): the chance of even one false alarm among all
//! stays below the level.
//!
//! An exact test of few pairs cannot come to any probability it likes: of differences in three pairs alone, the
//! clearest has 1/4. A test that could not have been significant whatever it saw cannot raise a false alarm either, and
//! the others need not be corrected for it (Tarone 1990, "A modified Bonferroni method for discrete data"); every step
//! of Holm's procedure leaves such tests out (Hommel and Krummenauer 1998).

/// One test: the probability it came to, and the smallest it could have come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// What it came to.
    pub p: f64,
    /// The smallest that was possible; zero where any is.
    pub least: f64,
}

/// Probabilities corrected for each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// In the order given; one of them is significant if it is at most the level.
    pub each: Vec<f64>,
    /// The number that the smallest probability was multiplied by.
    pub factor: usize,
    /// How many of the tests could have been significant by that.
    pub able: usize,
}

/// Corrects probabilities for how many of them could come to this `level`.
pub fn holm(tests: &[Tested], level: f64) -> Corrected {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_by(|&a, &b| tests[a].p.total_cmp(&tests[b].p));
    let mut leasts: Vec<f64> = tests.iter().map(|test| test.least).collect();
    leasts.sort_by(f64::total_cmp);
    let (factor, able) = correction(&leasts, level);
    let mut each = vec![0.0; tests.len()];
    let mut smallest = 0.0_f64;
    for index in order {
        let (factor, _) = correction(&leasts, level);
        smallest = smallest.max((factor as f64 * tests[index].p).min(1.0));
        each[index] = smallest;
        leasts.remove(leasts.partition_point(|least| least.total_cmp(&tests[index].least).is_lt()));
    }
    Corrected { each, factor, able }
}

/// The smallest number `k`, from 1, such that at most `k` of these ascending probabilities are `level / k` or less; and
/// how many are.
fn correction(leasts: &[f64], level: f64) -> (usize, usize) {
    let able = |factor: usize| leasts.partition_point(|least| *least <= level / factor as f64);
    (1..leasts.len()).map(|factor| (factor, able(factor))).find(|(factor, able)| able <= factor).unwrap_or_else(|| {
        let all = leasts.len().max(1);
        (all, able(all))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(f64, f64)]) -> Corrected {
        holm(&all.iter().map(|&(p, least)| Tested { p, least }).collect::<Vec<_>>(), 0.05)
    }

    fn near(each: &[f64], expected: &[f64]) {
        assert_eq!(each.len(), expected.len());
        for (corrected, expected) in each.iter().zip(expected) {
            assert!((corrected - expected).abs() < 1e-12, "{corrected} {expected}");
        }
    }

    /// By hand: 4 × 0.005, then 3 × 0.01, then 2 × 0.03 and 1 × 0.04, which may not be below the one before.
    #[test]
    fn smaller_probabilities_are_corrected_more() {
        let corrected = of(&[(0.01, 0.0), (0.04, 0.0), (0.03, 0.0), (0.005, 0.0)]);
        near(&corrected.each, &[0.03, 0.06, 0.06, 0.02]);
        assert_eq!((corrected.factor, corrected.able), (4, 4));
        near(&of(&[(0.9, 0.0), (0.8, 0.0)]).each, &[1.0, 1.0]);
        assert!(of(&[]).each.is_empty());
    }

    /// Tarone 1990, by hand: of four tests two cannot come below 0.25 and cost the others nothing.
    #[test]
    fn tests_that_cannot_be_significant_cost_the_others_nothing() {
        let corrected = of(&[(0.02, 0.001), (0.5, 0.25), (0.25, 0.25), (0.03, 0.002)]);
        assert_eq!((corrected.factor, corrected.able), (2, 2));
        // 2 × 0.02, then 1 × 0.03, which may not be below; then the others, of which none can.
        near(&corrected.each, &[0.04, 0.5, 0.25, 0.04]);
    }

    /// Ten pairs come to 2/1024 at best: of 25 such tests the clearest is significant, of 26 none can be.
    #[test]
    fn so_many_tests_of_ten_pairs_cannot_be_significant_together() {
        let least = 2.0 / 1_024.0;
        let clear = |count: usize| of(&vec![(least, least); count]);
        assert_eq!((clear(25).factor, clear(25).able), (25, 25));
        assert!(clear(25).each.iter().all(|p| *p < 0.05));
        assert_eq!((clear(26).factor, clear(26).able), (26, 0));
        assert!(clear(26).each.iter().all(|p| *p > 0.05));
    }

    /// Under the hypothesis, in worlds where most tests are of few pairs, false alarms stay below the level.
    #[test]
    fn false_alarms_stay_below_the_level() {
        let mut rng = crate::base::rng::Rng::stream(1, "test/tarone");
        let mut alarms = 0;
        for _ in 0..4_000 {
            // An exact test of n pairs by sign sums alone: p is one of the multiples of 2^(1-n).
            let mut test = |pairs: i32| {
                let least = libm::ldexp(1.0, 1 - pairs);
                Tested { p: least * (1.0 + (rng.uniform() / least).floor()), least }
            };
            let tests: Vec<Tested> = [8, 8, 9, 10, 3, 3, 4, 2, 5, 12, 2, 1].into_iter().map(&mut test).collect();
            alarms += usize::from(holm(&tests, 0.05).each.iter().any(|p| *p <= 0.05));
        }
        assert!(alarms <= 230, "{alarms} of 4 000, and 200 are expected at most");
    }
}
