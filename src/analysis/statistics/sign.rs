//! The exact sign test, one-sided: McNemar's for a yes or no that is asked twice (McNemar 1947). Pairs with the same
//! answer say nothing; of the others as many should have changed one way as the other if nothing is behind it.

/// Ways are scaled down by so many powers of two before they become too many for a number.
const SCALE: i32 = 512;

/// The probability that of so many pairs that changed, this many or more changed one way by chance.
pub fn at_least(one_way: usize, pairs: usize) -> f64 {
    let mut exponent = -i32::try_from(pairs).unwrap_or(i32::MAX);
    let (mut ways, mut sum) = (1.0_f64, 0.0_f64);
    for other_way in 0..=pairs.saturating_sub(one_way) {
        sum += ways;
        // A product of whole numbers first: the quotient is one, too.
        ways = ways * (pairs - other_way) as f64 / (other_way + 1) as f64;
        if ways > libm::ldexp(1.0, SCALE) {
            (ways, sum, exponent) = (libm::ldexp(ways, -SCALE), libm::ldexp(sum, -SCALE), exponent + SCALE);
        }
    }
    libm::ldexp(sum, exponent).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, of the 16 and the 32 ways in which four and five pairs can change.
    #[test]
    fn few_pairs_by_hand() {
        let sixteenths = [16.0, 15.0, 11.0, 5.0, 1.0];
        for (one_way, ways) in sixteenths.iter().enumerate() {
            assert!((at_least(one_way, 4) - ways / 16.0).abs() < 1e-15, "{one_way}");
        }
        assert!((at_least(4, 5) - 6.0 / 32.0).abs() < 1e-15);
        assert!((at_least(0, 0) - 1.0).abs() < 1e-15);
    }

    /// The tails by whole numbers of any size: the sum of `75! / (k! (75 - k)!)` over `2^75`, and the same of 2 000.
    #[test]
    fn many_pairs_are_no_overflow() {
        assert!((at_least(59, 75) / 3.057_078_286_260_75e-7 - 1.0).abs() < 1e-12);
        assert!((at_least(1_095, 2_000) / 1.172_894_853_293_78e-5 - 1.0).abs() < 1e-9);
        assert!((at_least(5_001, 10_001) - 0.5).abs() < 1e-9);
        assert!(at_least(3_000, 3_000) < 1e-300);
    }
}
