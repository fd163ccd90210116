//! Figures over time, in equal buckets, for charts and `series.csv`.

use crate::base::time::{Duration, Time};

/// One figure per bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name, as a metric with labels.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Bucket width.
    pub width: Duration,
    /// Value per bucket from zero on; `None` where there is none (no request, no percentile).
    pub values: Vec<Option<f64>>,
}

/// Counts occurrences per bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    width: Duration,
    counts: Vec<u64>,
}

impl Counts {
    /// Buckets of this width, none yet.
    pub fn new(width: Duration) -> Self {
        Self { width, counts: Vec::new() }
    }

    /// Counts one occurrence in this bucket.
    pub fn record(&mut self, bucket: usize) {
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
    }

    /// The count of a bucket.
    pub fn get(&self, bucket: usize) -> u64 {
        self.counts.get(bucket).copied().unwrap_or(0)
    }

    /// As a rate per second over `buckets` wider buckets, each of which takes `joined` of these together.
    pub fn rates(&self, name: &str, joined: usize, buckets: usize) -> Series {
        let width = self.width * joined as u64;
        let seconds = width.as_secs_f64();
        let count = |bucket: usize| (bucket * joined..(bucket + 1) * joined).map(|b| self.get(b)).sum::<u64>();
        let values = (0..buckets).map(|bucket| Some(count(bucket) as f64 / seconds)).collect();
        Series { name: name.to_owned(), unit: "1/s", width, values }
    }
}

/// Keeps a level's value at the end of each bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    width: Duration,
    value: f64,
    closed: Vec<f64>,
}

impl Levels {
    /// A level that starts at `value`.
    pub fn new(width: Duration, value: f64) -> Self {
        Self { width, value, closed: Vec::new() }
    }

    /// Changes the level.
    pub fn set(&mut self, at: Time, value: f64) {
        self.close(bucket(at, self.width));
        self.value = value;
    }

    /// Adds to the level.
    pub fn add(&mut self, at: Time, change: f64) {
        self.set(at, self.value + change);
    }

    fn close(&mut self, upto: usize) {
        while self.closed.len() < upto {
            self.closed.push(self.value);
        }
    }

    /// The level at the end of each of `buckets` buckets.
    pub fn finish(mut self, name: &str, unit: &'static str, buckets: usize) -> Series {
        self.close(buckets);
        let values = self.closed.into_iter().take(buckets).map(Some).collect();
        Series { name: name.to_owned(), unit, width: self.width, values }
    }
}

/// Percentiles of the samples of each bucket. Samples come in order of time, so only the open bucket is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Percentiles {
    width: Duration,
    open: usize,
    samples: Vec<u64>,
    closed: Vec<[Option<f64>; 3]>,
}

impl Percentiles {
    /// No samples yet.
    pub fn new(width: Duration) -> Self {
        Self { width, open: 0, samples: Vec::new(), closed: Vec::new() }
    }

    /// Adds a sample in nanoseconds to this bucket, the open one or a later one.
    #[inline]
    pub fn record(&mut self, bucket: usize, nanos: u64) {
        if bucket != self.open {
            self.close(bucket);
        }
        self.samples.push(nanos);
    }

    fn close(&mut self, upto: usize) {
        let samples = &mut self.samples;
        let figures = [0.5, 0.9, 0.99].map(|q| {
            let rank = (libm::ceil(q * samples.len() as f64) as usize).max(1);
            (rank <= samples.len()).then(|| *samples.select_nth_unstable(rank - 1).1 as f64 / 1e6)
        });
        self.closed.resize(self.open, [None; 3]);
        self.closed.push(figures);
        self.samples.clear();
        self.open = upto;
    }

    /// p50, p90 and p99 in milliseconds over `buckets` buckets.
    pub fn finish(mut self, name: &str, buckets: usize) -> [Series; 3] {
        let open = self.open;
        self.close(open + 1);
        self.closed.resize(buckets.max(self.closed.len()), [None; 3]);
        let of = |index: usize, statistic: &str| Series {
            name: format!("{name} {statistic}"),
            unit: "ms",
            width: self.width,
            values: self.closed.iter().take(buckets).map(|figures| figures[index]).collect(),
        };
        [of(0, "p50"), of(1, "p90"), of(2, "p99")]
    }
}

/// The bucket an instant falls into.
#[inline]
pub fn bucket(at: Time, width: Duration) -> usize {
    (at.as_nanos() / width.as_nanos().max(1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_keep_counts_levels_and_percentiles() {
        let at = |s| Time::ZERO + Duration::from_secs(s);
        let width = Duration::from_secs(10);
        let mut counts = Counts::new(width / 2);
        let mut levels = Levels::new(width, 1.0);
        let mut percentiles = Percentiles::new(width);
        for s in [3, 4, 25] {
            counts.record(bucket(at(s), width / 2));
            levels.add(at(s), 1.0);
            percentiles.record(bucket(at(s), width), s * 1_000_000);
        }
        assert_eq!(counts.rates("r", 2, 3).values, [Some(0.2), Some(0.0), Some(0.1)]);
        assert_eq!(levels.finish("l", "x", 3).values, [Some(3.0), Some(3.0), Some(4.0)]);
        assert_eq!(percentiles.finish("p", 4)[2].values, [Some(4.0), None, Some(25.0), None]);
    }
}
