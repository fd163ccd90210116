//! Lognormal factors for draws that come by the million: a table instead of a quantile and a power, and integers
//! throughout.

use crate::base::math::{exp, normal_quantile};

/// A lognormal of median one, by its quantiles.
///
/// They are exact at 64 probabilities for each halving of the distance from the nearer end, and interpolated between
/// them; the result is off by less than 4e-5 of it for `sigma` up to one, and 3e-4 up to three. Nearer to an end than
/// 2^-25 it is exact. Factors end at 2^30.
#[derive(Debug, Clone, PartialEq)]
pub struct Lognormal {
    sigma: f64,
    /// Of the lower half and the upper one, from their ends to the median.
    halves: [Vec<u64>; 2],
}

impl Lognormal {
    /// Its factors are multiples of 2^-`POINT`.
    pub const POINT: u32 = 32;

    /// That with this standard deviation of the logarithm.
    pub fn new(sigma: f64) -> Self {
        let tails = (0..KNOTS).map(|knot| f64::from_bits(FIRST_KNOT + (knot << KNOT_SHIFT)));
        let quantiles: Vec<f64> = tails.map(normal_quantile).collect();
        let half = |sigma: f64| quantiles.iter().map(|z| factor(sigma * z)).collect();
        Self { sigma, halves: [half(sigma), half(-sigma)] }
    }

    /// The factor that 64 random bits stand for; the larger they are, the larger it is in the lower half, and the
    /// smaller in the upper.
    #[inline]
    pub fn factor(&self, bits: u64) -> u64 {
        let half = &self.halves[(bits >> 63) as usize];
        // In units of 2^-65.
        let tail = bits << 1 | 1;
        let halvings = tail.leading_zeros();
        if halvings >= HALVINGS {
            return self.exact(bits >> 63 == 1, tail);
        }
        // A one, the number of the knot in this halving, and where between it and the next one.
        let scaled = tail << halvings;
        let knot =
            (HALVINGS - 1 - halvings) << KNOT_BITS | (scaled >> (63 - KNOT_BITS)) as u32 & ((1 << KNOT_BITS) - 1);
        let rest = scaled << (1 + KNOT_BITS) >> 32;
        let (low, high) = (half[knot as usize], half[knot as usize + 1]);
        let step = (i128::from(high as i64 - low as i64) * i128::from(rest)) >> 32;
        low.wrapping_add_signed(step as i64)
    }

    #[cold]
    fn exact(&self, is_upper: bool, tail: u64) -> u64 {
        let z = normal_quantile(tail as f64 * TAIL_UNIT);
        factor(self.sigma * if is_upper { -z } else { z })
    }
}

/// e to the power of `x` as a factor.
fn factor(x: f64) -> u64 {
    libm::rint(exp(x) * (1_u64 << Lognormal::POINT) as f64).min(FACTOR_MAX) as u64
}

/// 2^62, so that differences fit.
const FACTOR_MAX: f64 = (1_u64 << 62) as f64;
/// 2^-65.
const TAIL_UNIT: f64 = 0.5 / (1_u128 << 64) as f64;
/// Halvings of a half that the table covers.
const HALVINGS: u32 = 24;
/// Knots per halving, as a power of two.
const KNOT_BITS: u32 = 6;
/// Knots in all, both ends included.
const KNOTS: u64 = ((HALVINGS as u64) << KNOT_BITS) + 1;
/// A half, halved so often; as a float.
const FIRST_KNOT: u64 = (1_023 - 1 - HALVINGS as u64) << 52;
/// From one knot to the next, as floats.
const KNOT_SHIFT: u32 = 52 - KNOT_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: f64 = (1_u64 << Lognormal::POINT) as f64;

    #[test]
    fn factors_are_close_to_the_exact_ones_and_grow_with_the_probability() {
        for (sigma, scale) in
            [0.3, 0.7, 1.0, 3.0].into_iter().flat_map(|sigma| (1..64).map(move |scale| (sigma, scale)))
        {
            let off_max = if sigma > 1.0 { 3e-4 } else { 4e-5 };
            let lognormal = Lognormal::new(sigma);
            let (mut lower, mut upper) = (0, u64::MAX);
            for tail in (512..1_024_u64).map(|part| part << 54 >> scale) {
                let (below, above) = (lognormal.factor(tail), lognormal.factor(1 << 63 | tail));
                let z = normal_quantile((tail as f64 + 0.5) * 2.0 * TAIL_UNIT);
                for (found, exact) in [(below, exp(sigma * z)), (above, exp(-sigma * z))] {
                    let exact = (exact * ONE).min(FACTOR_MAX);
                    // As far as its last digit goes, which is rounded at the knots and cut off between them.
                    let off = (found as f64 - exact).abs() - 2.0;
                    assert!(off < off_max * exact, "{sigma} {tail} {off}");
                }
                assert!(lower <= below && above <= upper, "{sigma} {tail}");
                (lower, upper) = (below, above);
            }
        }
    }

    #[test]
    fn the_ends_have_factors_too() {
        for (sigma, lowest, highest) in [(0.0, 1.0, 1.0), (0.5, 0.010_279, 97.285), (5.0, 0.0, FACTOR_MAX / ONE)] {
            let factor = |bits| Lognormal::new(sigma).factor(bits) as f64 / ONE;
            let near = |found: f64, expected: f64| (found - expected).abs() <= 1e-4 * expected;
            assert!(near(factor(0), lowest) && near(factor(1 << 63), highest), "{sigma}");
            assert!(near(factor(u64::MAX), 1.0) && near(factor(u64::MAX >> 1), 1.0), "{sigma}");
        }
    }
}
