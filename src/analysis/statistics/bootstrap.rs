//! The bootstrap over independent units (Efron & Tibshirani 1993, "An Introduction to the Bootstrap"): percentile
//! intervals, and BCa intervals, corrected for bias and for how the spread changes with the figure (chapter 14).

use crate::base::math::normal_quantile;
use crate::base::rng::Rng;

/// Resamples behind an interval of a figure across seeds.
pub const RESAMPLES: usize = 2_000;

/// For each resample, how often each unit was drawn; none for fewer than two units. `name` names the random stream, so
/// that equal data have equal intervals whatever else is computed.
pub fn weights(name: &str, units: usize, resamples: usize) -> Vec<Vec<u32>> {
    each_weights(name, units, resamples).collect()
}

/// The same, one resample after the other: many units need no memory for all.
pub fn each_weights(name: &str, units: usize, resamples: usize) -> impl Iterator<Item = Vec<u32>> {
    let mut rng = Rng::stream(0, &format!("bootstrap/{name}"));
    let resamples = if units < 2 { 0 } else { resamples };
    (0..resamples).map(move |_| {
        let mut weights = vec![0; units];
        for _ in 0..units {
            weights[rng.below(units as u64) as usize] += 1;
        }
        weights
    })
}

/// The percentile interval of the figures of resamples at this `confidence` (as 0.95); `None` without any.
pub fn percentile(mut drawn: Vec<f64>, confidence: f64) -> Option<(f64, f64)> {
    drawn.sort_by(f64::total_cmp);
    let tail = 0.5 - confidence / 2.0;
    Some((at(&drawn, tail)?, at(&drawn, 1.0 - tail)?))
}

/// The BCa interval of a `figure`, of the figures of resamples (`drawn`) and of the figure without each unit in turn
/// (`without`); `None` without resamples. Equation 14.9.
pub fn bca(figure: f64, mut drawn: Vec<f64>, without: &[f64], confidence: f64) -> Option<(f64, f64)> {
    drawn.sort_by(f64::total_cmp);
    let bias = bias(figure, &drawn)?;
    let acceleration = acceleration(without);
    let tail = |p: f64| {
        let z = bias + normal_quantile(p);
        normal_distribution(bias + z / (1.0 - acceleration * z))
    };
    let outside = 0.5 - confidence / 2.0;
    Some((at(&drawn, tail(outside))?, at(&drawn, tail(1.0 - outside))?))
}

/// How far the figure is from the middle of the resampled ones, in normal deviates (equation 14.14). Figures equal to
/// it count half: medians take few values.
fn bias(figure: f64, sorted: &[f64]) -> Option<f64> {
    if sorted.is_empty() {
        return None;
    }
    let below = sorted.partition_point(|drawn| drawn.total_cmp(&figure).is_lt());
    let not_above = sorted.partition_point(|drawn| drawn.total_cmp(&figure).is_le());
    let n = sorted.len() as f64;
    let share = (below + not_above) as f64 / (2.0 * n);
    Some(normal_quantile(share.clamp(0.5 / n, 1.0 - 0.5 / n)))
}

/// How the standard error changes with the figure, from leaving out each unit in turn (equation 14.15); zero where that
/// changes nothing or cannot be told.
fn acceleration(without: &[f64]) -> f64 {
    let Some(mean) = super::mean(without) else { return 0.0 };
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in without {
        let off = mean - value;
        squares += off * off;
        cubes += off * off * off;
    }
    let acceleration = cubes / (6.0 * squares * libm::sqrt(squares));
    if acceleration.is_finite() { acceleration } else { 0.0 }
}

/// P(Z <= `z`) of the standard normal.
pub fn normal_distribution(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

fn at(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(libm::rint(share.clamp(0.0, 1.0) * last as f64) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Efron & Tibshirani 1993, table 14.1: the spatial test, column A, and its plug-in variance.
    const SPATIAL: [f64; 26] = [
        48., 36., 20., 29., 42., 42., 20., 42., 22., 41., 45., 14., 6., 0., 33., 28., 34., 4., 32., 24., 47., 41., 24.,
        26., 30., 41.,
    ];

    fn variance(weights: &[u32]) -> f64 {
        let n = f64::from(weights.iter().sum::<u32>());
        let mean = SPATIAL.iter().zip(weights).map(|(a, w)| a * f64::from(*w)).sum::<f64>() / n;
        SPATIAL.iter().zip(weights).map(|(a, w)| (a - mean) * (a - mean) * f64::from(*w)).sum::<f64>() / n
    }

    fn without() -> Vec<f64> {
        (0..SPATIAL.len()).map(|out| variance(&std::array::from_fn::<u32, 26, _>(|i| u32::from(i != out)))).collect()
    }

    /// Table 14.2, 90 % intervals: percentile (100.8, 233.9), BCa (115.8, 259.6); and its text: acceleration 0.061,
    /// bias 0.146. Resamples are random, so the ends are compared within a few percent.
    #[test]
    fn intervals_are_those_of_the_book() {
        let figure = variance(&[1; 26]);
        assert!((figure - 171.5).abs() < 0.05, "{figure}");
        let drawn: Vec<f64> = weights("book", 26, 4_000).iter().map(|weights| variance(weights)).collect();
        let close = |(low, high): (f64, f64), expected: (f64, f64)| {
            assert!((low / expected.0 - 1.0).abs() < 0.04 && (high / expected.1 - 1.0).abs() < 0.04, "{low} {high}");
        };
        close(percentile(drawn.clone(), 0.9).unwrap(), (100.8, 233.9));
        close(bca(figure, drawn.clone(), &without(), 0.9).unwrap(), (115.8, 259.6));
        assert!((acceleration(&without()) - 0.061).abs() < 0.001, "{}", acceleration(&without()));
        let mut sorted = drawn;
        sorted.sort_by(f64::total_cmp);
        assert!((bias(figure, &sorted).unwrap() - 0.146).abs() < 0.04, "{:?}", bias(figure, &sorted));
    }

    #[test]
    fn one_unit_has_no_interval_and_equal_units_have_a_point() {
        assert!(weights("x", 1, 10).is_empty());
        assert_eq!(percentile(Vec::new(), 0.95), None);
        assert_eq!(bca(3.0, vec![3.0; 50], &[3.0; 4], 0.95), Some((3.0, 3.0)));
    }

    #[test]
    fn the_same_name_draws_the_same() {
        assert_eq!(weights("a", 5, 20), weights("a", 5, 20));
        assert_ne!(weights("a", 5, 20), weights("b", 5, 20));
        assert!(weights("a", 5, 20).iter().all(|weights| weights.iter().sum::<u32>() == 5));
    }
}
