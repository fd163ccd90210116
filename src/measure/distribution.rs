//! Samples of one quantity: exact while there are few, log-linear once there are many. Integers only, so that merging
//! is exact and independent of order.

/// A distribution of non-negative integers (nanoseconds, as a rule).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    /// Every sample, until there are more than [`EXACT_MAX`].
    exact: Vec<u64>,
    /// Counts per bucket, once `exact` has been given up.
    buckets: Vec<u64>,
    /// Waits that had not ended with the run; no samples, and in none of the figures here.
    unended: u64,
}

/// Samples kept exactly.
const EXACT_MAX: usize = 4_096;
/// Buckets per power of two; a bucket is at most 0.1 % wide.
const SUB_BITS: u32 = 10;

impl Distribution {
    /// No samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample.
    pub fn record(&mut self, value: u64) {
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
        if self.buckets.is_empty() {
            self.exact.push(value);
            if self.exact.len() > EXACT_MAX {
                self.spill();
            }
        } else {
            self.count_in_bucket(value, 1);
        }
    }

    /// Counts a wait that had not ended with the run.
    pub fn record_unended(&mut self) {
        self.unended += 1;
    }

    /// How many waits had not ended with the run.
    pub fn unended(&self) -> u64 {
        self.unended
    }

    /// Adds all samples of `other`; the result does not depend on the order of merging.
    pub fn merge(&mut self, other: &Self) {
        self.unended += other.unended;
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        if self.buckets.is_empty() && other.buckets.is_empty() && self.exact.len() + other.exact.len() <= EXACT_MAX {
            self.exact.extend_from_slice(&other.exact);
            return;
        }
        if self.buckets.is_empty() {
            self.spill();
        }
        for &value in &other.exact {
            self.count_in_bucket(value, 1);
        }
        for (bucket, &count) in other.buckets.iter().enumerate() {
            if count > 0 {
                self.count_in_bucket(lowest_of(bucket), count);
            }
        }
    }

    /// How many samples.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Arithmetic mean; zero of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// Smallest sample, `None` of none.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest sample.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The smallest sample with at least the share `q` (in 0..=1) of all samples at or below it: exact up to 4 096
    /// samples, to 0.1 % above.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (libm::ceil(q.clamp(0.0, 1.0) * self.count as f64) as u64).clamp(1, self.count);
        if self.buckets.is_empty() {
            let mut sorted = self.exact.clone();
            sorted.sort_unstable();
            return sorted.get(rank as usize - 1).copied();
        }
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let middle = u64::midpoint(lowest_of(bucket), lowest_of(bucket + 1) - 1);
                return Some(middle.clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// The same over samples and waits that had not ended, which are longer than any; `None` if it falls on one of those,
    /// or of nothing. In nanoseconds.
    pub fn quantile_of_all(&self, q: f64) -> Option<f64> {
        let all = (self.count + self.unended) as f64;
        let rank = libm::ceil(q.clamp(0.0, 1.0) * all).max(1.0);
        if self.count == 0 || rank > self.count as f64 {
            return None;
        }
        if self.unended == 0 {
            return self.quantile(q).map(|value| value as f64);
        }
        // Half a rank below, so that rounding cannot reach the next one.
        self.quantile((rank - 0.5) / self.count as f64).map(|value| value as f64)
    }

    /// The samples as ascending (value, count) pairs; a bucket stands at its middle.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let mut pairs: Vec<(u64, u64)> = self.exact.iter().map(|&value| (value, 1)).collect();
        pairs.extend(self.buckets.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(bucket, &count)| {
            let middle = u64::midpoint(lowest_of(bucket), lowest_of(bucket + 1) - 1);
            (middle.clamp(self.min, self.max), count)
        }));
        pairs.sort_unstable();
        pairs
    }

    fn spill(&mut self) {
        self.buckets = vec![0; 1];
        for value in std::mem::take(&mut self.exact) {
            self.count_in_bucket(value, 1);
        }
    }

    fn count_in_bucket(&mut self, value: u64, count: u64) {
        let bucket = bucket_of(value);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += count;
    }
}

/// Values below `2^(SUB_BITS+1)` have a bucket each; above, every power of two has `2^SUB_BITS` buckets.
fn bucket_of(value: u64) -> usize {
    let octave = (value | 1).ilog2().saturating_sub(SUB_BITS);
    ((u64::from(octave) << SUB_BITS) + (value >> octave)) as usize
}

fn lowest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket >> SUB_BITS).saturating_sub(1);
    (bucket - (octave << SUB_BITS)) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_the_integers() {
        for value in (0..20_000).chain([1 << 33, (1 << 40) + 12_345]) {
            let bucket = bucket_of(value);
            assert!(lowest_of(bucket) <= value && value < lowest_of(bucket + 1), "{value}");
        }
    }

    #[test]
    fn few_samples_are_exact_and_many_are_close() {
        let mut few = Distribution::new();
        for value in [5, 1, 9, 7, 3] {
            few.record(value);
        }
        assert_eq!((few.quantile(0.5), few.quantile(1.0), few.min()), (Some(5), Some(9), Some(1)));
        let mut many = Distribution::new();
        for value in 1..=100_000_u64 {
            many.record(value * 1_000);
        }
        let p99 = many.quantile(0.99).expect("has samples") as f64;
        assert!((p99 / 99_000_000.0 - 1.0).abs() < 0.001, "{p99}");
    }

    #[test]
    fn merging_is_the_same_in_any_order() {
        let part = |from: u64, to: u64| {
            let mut d = Distribution::new();
            (from..to).for_each(|v| d.record(v * 37));
            d
        };
        let (a, b, c) = (part(0, 3_000), part(3_000, 9_000), part(9_000, 9_010));
        let mut left = a.clone();
        left.merge(&b);
        left.merge(&c);
        let mut right = c;
        right.merge(&b);
        right.merge(&a);
        assert_eq!(left.quantile(0.5), right.quantile(0.5));
        assert_eq!((left.count(), left.mean().to_bits()), (right.count(), right.mean().to_bits()));
    }
}
