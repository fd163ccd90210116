//! Statistics of runs: what seeds allow to say, and what not.
//!
//! The run of one seed is the independent unit; samples within a run are correlated and are never resampled on their
//! own. Everything is deterministic: resampling has its own named random stream, functions come from `base::math` and
//! `libm`, sums are taken in the order of the data.

pub mod binomial;
pub mod student;
pub mod bootstrap;
pub mod signed_rank;
pub mod sign;
pub mod holm;
pub mod modes;
pub mod shift;
pub mod power;

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation of a sample (divisor n - 1); `None` of fewer than two. That of equal values is nothing, whatever
/// their mean rounds to.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    if values.windows(2).all(|pair| pair[0].total_cmp(&pair[1]).is_eq()) {
        return Some(0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some(libm::sqrt(squares / (values.len() - 1) as f64))
}

/// Median: the middle value, or the mean of the two middle ones; `None` of nothing. Infinite values have their place in
/// the order.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (*sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted[sorted.len() / 2]);
    let middle = if low.total_cmp(&high).is_eq() { low } else { low / 2.0 + high / 2.0 };
    // As many without end one way as the other: the middle is neither.
    Some(if middle.is_nan() { 0.0 } else { middle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simplest_figures() {
        let near = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-12);
        assert!(near(mean(&[1.0, 2.0, 6.0]), 3.0));
        assert!(near(deviation(&[1.0, 2.0, 6.0]), libm::sqrt(7.0)));
        assert!(near(median(&[6.0, 1.0, 2.0]), 2.0) && near(median(&[4.0, 1.0, 2.0, 9.0]), 3.0));
        assert!(median(&[1.0, f64::INFINITY, f64::INFINITY]).is_some_and(f64::is_infinite));
        assert_eq!((mean(&[]), median(&[]), deviation(&[1.0])), (None, None, None));
        assert_eq!(deviation(&[0.1; 30]).map(f64::to_bits), Some(0));
    }
}
