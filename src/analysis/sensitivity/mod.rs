//! Which inputs a result depends on, and how much of its variance comes from each.
//!
//! Screening by elementary effects ([`morris`]) needs few runs and tells the inputs that matter from those that do not;
//! variance-based indices ([`sobol`]) need many and say how much each contributes, alone and together with others.
//! [`tipping`] looks for the value of an input at which an expectation stops to hold. All three see points in the unit
//! cube and one number per point; they know nothing of scenarios.

pub mod morris;
pub mod sobol;
pub mod tipping;

use crate::analysis::statistics;
use crate::base::rng::Rng;

/// Resamples behind an interval.
const RESAMPLES: usize = 1_000;

/// The 2.5 % and 97.5 % points of a statistic over resamples of `units` independent units, each drawn as often as its
/// weight says (percentile bootstrap). `None` with fewer than three units, or if the statistic is undefined too often.
fn bootstrap(name: &str, units: usize, statistic: impl Fn(&[u32]) -> Option<f64>) -> Option<(f64, f64)> {
    if units < 3 {
        return None;
    }
    let weights = statistics::bootstrap::weights(name, units, RESAMPLES);
    let drawn: Vec<f64> = weights.iter().filter_map(|weights| statistic(weights)).collect();
    if drawn.len() < RESAMPLES / 2 {
        return None;
    }
    statistics::bootstrap::percentile(drawn, 0.95)
}

/// `n` points of a Latin hypercube in `dimensions` dimensions: in each of them, one point in each of `n` equal strata
/// (`McKay`, Beckman and Conover 1979).
pub fn latin_hypercube(dimensions: usize, n: usize, seed: u64, name: &str) -> Vec<Vec<f64>> {
    let mut points = vec![vec![0.0; dimensions]; n];
    for dimension in 0..dimensions {
        let mut rng = Rng::stream(seed, &format!("{name}/{dimension}"));
        let mut strata: Vec<usize> = (0..n).collect();
        rng.shuffle(&mut strata);
        for (point, stratum) in points.iter_mut().zip(strata) {
            point[dimension] = (stratum as f64 + rng.uniform()) / n as f64;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stratum_of_every_dimension_holds_one_point() {
        let points = latin_hypercube(3, 20, 7, "test");
        for dimension in 0..3 {
            let mut strata: Vec<usize> = points.iter().map(|point| (point[dimension] * 20.0) as usize).collect();
            strata.sort_unstable();
            assert_eq!(strata, (0..20).collect::<Vec<_>>());
        }
        assert_ne!(points, latin_hypercube(3, 20, 8, "test"));
        assert_eq!(points, latin_hypercube(3, 20, 7, "test"));
    }

    #[test]
    fn intervals_need_units() {
        assert_eq!(bootstrap("x", 2, |_| Some(1.0)), None);
        let mean = |weights: &[u32]| {
            let sum: u32 = weights.iter().enumerate().map(|(value, weight)| value as u32 * weight).sum();
            Some(f64::from(sum) / 100.0)
        };
        // 0 to 99: standard error 28.9 / 10.
        let (low, high) = bootstrap("x", 100, mean).unwrap();
        assert!((low - 43.8).abs() < 1.0 && (high - 55.2).abs() < 1.0, "{low} {high}");
    }
}
