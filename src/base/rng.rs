//! Random streams, one per cause, each named. The generator is `ChaCha8`; the distributions are ours, by inversion, one
//! draw per value, so that they never change between releases and stay monotone in the draw (common random numbers).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::base::math;
use crate::base::time::Duration;

/// A stream of random numbers that belongs to one cause.
#[derive(Debug, Clone)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream called `name` in the run with this `seed`. Other names, and so other causes, share nothing with it.
    pub fn stream(seed: u64, name: &str) -> Self {
        let low = xxh3_128_with_seed(name.as_bytes(), seed).to_le_bytes();
        let high = xxh3_128_with_seed(name.as_bytes(), !seed).to_le_bytes();
        let mut key = [0; 32];
        key[..16].copy_from_slice(&low);
        key[16..].copy_from_slice(&high);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A stream called `name` of the same cause, which shares nothing with this one and shifts no draw of it.
    pub fn branch(&self, name: &str) -> Self {
        Self::stream(xxh3_64_with_seed(&self.0.get_seed(), 0), name)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform integer in `[0, n)`. Panics if `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        below(self.bits(), n)
    }

    /// Uniform in `[from, to)`; `from` when the interval is empty.
    pub fn span(&mut self, from: Duration, to: Duration) -> Duration {
        let width = to.as_nanos().saturating_sub(from.as_nanos());
        if width == 0 { from } else { from + Duration::from_nanos(self.below(width)) }
    }

    /// Uniform in `[0, limit)`, as `HashiCorp`'s `RandomStagger`; zero when `limit` is.
    pub fn stagger(&mut self, limit: Duration) -> Duration {
        self.span(Duration::ZERO, limit)
    }

    /// Uniform in `[base, 2 * base)`, as `HashiCorp`'s `randomTimeout`.
    pub fn timeout(&mut self, base: Duration) -> Duration {
        self.span(base, base * 2)
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        exponential(self.bits(), mean)
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        normal(self.bits())
    }

    /// Lognormal with this median and standard deviation of the logarithm.
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * math::exp(sigma * self.normal())
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Fisher-Yates as Go's and Nomad's shuffles do it: from the last item down.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }

    /// A uniformly chosen item, or `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }
}

/// Numbered draws: value `lane` of item `number` depends on nothing else, so leaving an item out shifts no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws {
    key: u64,
}

impl Draws {
    /// The draws called `name` in the run with this `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        Self { key: xxh3_64_with_seed(name.as_bytes(), seed ^ 0x9E37_79B9_7F4A_7C15) }
    }

    /// 64 random bits: two rounds of a 64-bit finaliser (Stafford's variant 13) over key, item and lane.
    #[inline]
    pub fn bits(self, number: u64, lane: u64) -> u64 {
        finalise(
            finalise(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.key)
                .wrapping_add(lane.wrapping_mul(0xD1B5_4A32_D192_ED03))
                ^ self.key.rotate_left(32),
        )
    }

    /// Uniform in `[0, 1)`.
    #[inline]
    pub fn uniform(self, number: u64, lane: u64) -> f64 {
        unit(self.bits(number, lane))
    }

    /// Uniform integer in `[0, n)`. Panics if `n` is zero.
    #[inline]
    pub fn below(self, number: u64, lane: u64, n: u64) -> u64 {
        below(self.bits(number, lane), n)
    }

    /// Exponential with this mean.
    #[inline]
    pub fn exponential(self, number: u64, lane: u64, mean: f64) -> f64 {
        exponential(self.bits(number, lane), mean)
    }

    /// Standard normal.
    #[inline]
    pub fn normal(self, number: u64, lane: u64) -> f64 {
        normal(self.bits(number, lane))
    }
}

/// The upper 53 bits as a float in `[0, 1)`.
#[inline]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Multiply-shift reduction of 64 random bits to `[0, n)`; the bias is below n / 2^64.
#[inline]
fn below(bits: u64, n: u64) -> u64 {
    assert!(n > 0, "a uniform draw needs a non-empty range");
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

#[inline]
fn exponential(bits: u64, mean: f64) -> f64 {
    -math::ln(1.0 - unit(bits)) * mean
}

#[inline]
fn normal(bits: u64) -> f64 {
    math::normal_quantile(inner_unit(bits))
}

/// The draw is moved half a step so that neither end is reached.
#[inline]
fn inner_unit(bits: u64) -> f64 {
    unit(bits) + 0.5 / (1_u64 << 53) as f64
}

#[inline]
fn finalise(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_stream_and_its_values_are_pinned() {
        let mut a = Rng::stream(42, "us-east-1/raft");
        let mut b = Rng::stream(42, "us-east-1/raft");
        let mut c = Rng::stream(42, "us-east-1/serf");
        let (x, y, z) = (a.bits(), b.bits(), c.bits());
        assert_eq!(x, y);
        assert_ne!(x, z);
    }

    #[test]
    fn samples_have_the_moments_they_claim() {
        let mut rng = Rng::stream(1, "moments");
        let n = 100_000_i32;
        let mean = (0..n).map(|_| rng.exponential(3.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.05, "{mean}");
        let draws = Draws::new(1, "moments");
        let square = (0..u64::from(n.unsigned_abs())).map(|i| draws.normal(i, 3)).map(|z: f64| z * z).sum::<f64>()
            / f64::from(n);
        assert!((square - 1.0).abs() < 0.02, "{square}");
    }
}
