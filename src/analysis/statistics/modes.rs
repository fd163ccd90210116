//! Several modes: a distribution whose mean or median is a value that hardly occurs should not be summed up by one.
//!
//! Samples fall apart in one of two ways. Groups stand apart if every gap between them is more than twice as wide as
//! the widest of them, and a tenth of the value above it: groups of equal samples have no width, and would stand apart
//! by the rounding of their last digit. And, of thirty samples or more, the density is estimated with a normal kernel
//! (Silverman 1986, equation 3.31: 0.9 min(deviation, quartile range / 1.34) n^-1/5), and a peak is a mode if the
//! valley beside it is at most 0.6 times as high as the lower of its two peaks, and its middle is a tenth off. Either
//! way a mode has a tenth of the samples, and three of them at least. Times are looked at by their logarithm, so that a
//! long tail makes no modes. The rule is meant to be right when it speaks: fewer than ten samples have one mode, and so
//! do two humps that overlap.

use crate::base::math::{exp, ln, pow};

/// A mode: the samples between two valleys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Smallest sample in it.
    pub low: f64,
    /// Its median sample.
    pub middle: f64,
    /// Largest sample in it.
    pub high: f64,
    /// Share of all samples, 0..=1.
    pub share: f64,
}

/// How samples are spread out before they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As they are.
    Linear,
    /// By their logarithm; for samples that are never negative. Those of zero stand at the smallest other one.
    Logarithmic,
}

/// The modes of finite samples given as ascending (value, count) pairs, in ascending order, `most` of them: one if
/// there are not clearly several, none of nothing.
pub fn modes(samples: &[(f64, u64)], scale: Scale, most: usize) -> Vec<Mode> {
    let total: u64 = samples.iter().map(|&(_, count)| count).sum();
    let spread = spread(samples, scale);
    let points = Points { samples, spread: &spread, total };
    let mut cuts = if total < SAMPLES_MIN { Vec::new() } else { gaps(points, most.min(GROUPS_MAX)) };
    if cuts.is_empty() && total >= DENSITY_MIN {
        cuts = valleys(&spread, total, most);
    }
    // Peaks whose middles are as good as equal are one.
    loop {
        let modes = points.split(&cuts);
        match modes.windows(2).position(|pair| !is_apart(pair[0].middle, pair[1].middle)) {
            Some(at) if at < cuts.len() => drop(cuts.remove(at)),
            _ => return modes,
        }
    }
}

/// Samples, and where they stand when they are looked at.
#[derive(Clone, Copy)]
struct Points<'a> {
    samples: &'a [(f64, u64)],
    spread: &'a [(f64, u64)],
    total: u64,
}

impl Points<'_> {
    /// The samples between these cuts.
    fn split(self, cuts: &[f64]) -> Vec<Mode> {
        let mut modes = Vec::new();
        let mut from = 0;
        for &cut in cuts.iter().chain([&f64::INFINITY]) {
            let to = self.spread.partition_point(|&(at, _)| at < cut).max(from);
            modes.extend(mode(&self.samples[from..to], self.total));
            from = to;
        }
        modes
    }
}

/// Whether two ascending values differ by what can be called a difference.
fn is_apart(low: f64, high: f64) -> bool {
    high - low >= APART_MIN * low.abs().max(high.abs())
}

const SAMPLES_MIN: u64 = 10;
/// Samples from which on a density is estimated.
const DENSITY_MIN: u64 = 30;
/// Width of a gap over that of the widest group, more than.
const GAP_MIN: f64 = 2.0;
/// Width of the narrowest gap over that of the widest, at least: beside a wide gap a small one says little.
const ALIKE_MIN: f64 = 0.25;
/// Groups that are told apart by gaps, at most.
const GROUPS_MAX: usize = 4;
/// Width of a gap over the larger of the two values beside it, at least.
const APART_MIN: f64 = 0.1;
/// Share of the samples that a mode has at least, and how many.
const SHARE_MIN: f64 = 0.1;
const MODE_MIN: u64 = 3;
/// Height of a valley over that of the lower of its peaks, at most.
const VALLEY_MAX: f64 = 0.6;
/// Points at which the density is estimated.
const GRID: usize = 512;

fn spread(samples: &[(f64, u64)], scale: Scale) -> Vec<(f64, u64)> {
    let least = samples.iter().map(|&(value, _)| value).find(|value| *value > 0.0).unwrap_or(1.0);
    let place = |value: f64| match scale {
        Scale::Linear => value,
        Scale::Logarithmic => ln(value.max(least)),
    };
    samples.iter().map(|&(value, count)| (place(value), count)).collect()
}

fn mode(samples: &[(f64, u64)], total: u64) -> Option<Mode> {
    let (&(low, _), &(high, _)) = (samples.first()?, samples.last()?);
    let count: u64 = samples.iter().map(|&(_, count)| count).sum();
    Some(Mode { low, middle: quantile(samples, count, 0.5), high, share: count as f64 / total as f64 })
}

/// The smallest value with at least the share `q` of the counts at or below it.
fn quantile(samples: &[(f64, u64)], total: u64, q: f64) -> f64 {
    let rank = (libm::ceil(q * total as f64) as u64).max(1);
    let mut seen = 0;
    let found = samples.iter().find(|&&(_, count)| {
        seen += count;
        seen >= rank
    });
    found.or(samples.last()).map_or(0.0, |&(value, _)| value)
}

/// Whether so many of all samples can be a mode.
fn is_enough(count: u64, total: u64) -> bool {
    count >= MODE_MIN && count as f64 >= SHARE_MIN * total as f64
}

/// The middles of the gaps between groups that stand apart, as many groups as do.
fn gaps(points: Points<'_>, most: usize) -> Vec<f64> {
    let Points { samples, spread: points, total } = points;
    let mut widest: Vec<usize> = (1..points.len()).collect();
    let gap = |at: usize| points[at].0 - points[at - 1].0;
    widest.sort_by(|&a, &b| gap(b).total_cmp(&gap(a)).then(a.cmp(&b)));
    for groups in (2..=most.min(points.len())).rev() {
        let mut starts = widest[..groups - 1].to_vec();
        starts.sort_unstable();
        let narrowest = starts.iter().map(|&at| gap(at)).fold(f64::INFINITY, f64::min);
        let are_apart = starts.iter().all(|&at| is_apart(samples[at - 1].0, samples[at].0));
        if !are_apart || ALIKE_MIN * gap(widest[0]) > narrowest {
            continue;
        }
        let ends = starts.iter().copied().chain([points.len()]);
        let group = [0].into_iter().chain(starts.iter().copied()).zip(ends);
        let stands = |(from, to): (usize, usize)| {
            let count = points[from..to].iter().map(|&(_, count)| count).sum();
            GAP_MIN * (points[to - 1].0 - points[from].0) < narrowest && is_enough(count, total)
        };
        if group.into_iter().all(stands) {
            return starts.into_iter().map(|at| points[at].0 - gap(at) / 2.0).collect();
        }
    }
    Vec::new()
}

/// Where the distribution falls apart: the lowest point between each two neighbouring modes, `most` of them.
fn valleys(points: &[(f64, u64)], total: u64, most: usize) -> Vec<f64> {
    let Some((density, low, step)) = density(points, total) else { return Vec::new() };
    let height = |at: usize| density[at];
    let mut peaks: Vec<usize> = (0..GRID)
        .filter(|&at| (at == 0 || height(at - 1) < height(at)) && (at + 1 == GRID || height(at + 1) <= height(at)))
        .collect();
    let place = |at: usize| low + step * at as f64;
    let lowest = |a: usize, b: usize| (a..=b).min_by(|&x, &y| height(x).total_cmp(&height(y))).unwrap_or(a);
    // Peaks that are no modes of their own go, the least first, until every one that is left is.
    loop {
        let cuts: Vec<f64> = peaks.windows(2).map(|pair| place(lowest(pair[0], pair[1]))).collect();
        let count = |from: f64, to: f64| -> u64 {
            points.iter().filter(|&&(at, _)| from <= at && at < to).map(|&(_, count)| count).sum()
        };
        let is_mode = |index: usize| {
            let from = if index == 0 { f64::NEG_INFINITY } else { cuts[index - 1] };
            let to = cuts.get(index).copied().unwrap_or(f64::INFINITY);
            let deep = |left: usize| {
                let (a, b) = (peaks[left], peaks[left + 1]);
                height(lowest(a, b)) <= VALLEY_MAX * height(a).min(height(b))
            };
            // A shallow valley costs the lower of its peaks its place.
            let stands =
                |left: usize, own: usize, other: usize| deep(left) || height(peaks[own]) > height(peaks[other]);
            is_enough(count(from, to), total)
                && (index == 0 || stands(index - 1, index, index - 1))
                && (index + 1 == peaks.len() || stands(index, index, index + 1))
        };
        let weakest = (0..peaks.len())
            .filter(|&index| peaks.len() > 1 && (peaks.len() > most || !is_mode(index)))
            .min_by(|&a, &b| height(peaks[a]).total_cmp(&height(peaks[b])));
        match weakest {
            Some(index) => drop(peaks.remove(index)),
            None => return cuts,
        }
    }
}

/// The density on an even grid, where it begins, and its step; `None` if all samples are equal.
fn density(points: &[(f64, u64)], total: u64) -> Option<(Vec<f64>, f64, f64)> {
    let n = total as f64;
    let (first, last) = (points.first()?.0, points.last()?.0);
    let mean = points.iter().map(|&(at, count)| at * count as f64).sum::<f64>() / n;
    let squares: f64 = points.iter().map(|&(at, count)| (at - mean) * (at - mean) * count as f64).sum();
    let deviation = libm::sqrt(squares / (n - 1.0));
    let range = (quantile(points, total, 0.75) - quantile(points, total, 0.25)) / 1.34;
    let spread = if range > 0.0 { deviation.min(range) } else { deviation };
    let width = 0.9 * spread * pow(n, -0.2);
    let low = first - 3.0 * width;
    let step = (last + 3.0 * width - low) / (GRID - 1) as f64;
    if width <= 0.0 || step <= 0.0 || !step.is_finite() {
        return None;
    }
    // Samples are counted by grid point; the kernel depends on the distance alone. No narrower than the grid sees.
    let mut bins = vec![0.0; GRID];
    for &(at, count) in points {
        bins[(libm::rint((at - low) / step) as usize).min(GRID - 1)] += count as f64;
    }
    let width = width.max(step);
    let kernel: Vec<f64> = (0..GRID)
        .map(|off| off as f64 * step / width)
        .take_while(|off| *off < 6.0)
        .map(|off| exp(-0.5 * off * off))
        .collect();
    let mut density = vec![0.0; GRID];
    for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        for (off, weight) in kernel.iter().enumerate() {
            if bin + off < GRID {
                density[bin + off] += count * weight;
            }
            if 0 < off && off <= bin {
                density[bin - off] += count * weight;
            }
        }
    }
    Some((density, low, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn of(values: &[f64]) -> Vec<(f64, u64)> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.into_iter().map(|value| (value, 1)).collect()
    }

    /// Waiting times between eruptions of Old Faithful, in minutes, by their frequency (Azzalini & Bowman 1990, the 272
    /// of R's `faithful`, by five-minute classes): two modes, near 55 and 80 minutes.
    #[test]
    fn old_faithful_has_two_modes() {
        let classes = [4, 22, 33, 24, 14, 10, 27, 54, 55, 23, 5, 1];
        let samples: Vec<(f64, u64)> = (0..).map(|i| 42.5 + 5.0 * f64::from(i)).zip(classes).collect();
        let found = modes(&samples, Scale::Linear, 9);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[0].middle - 52.5).abs() < 5.1 && (found[1].middle - 80.0).abs() < 5.1, "{found:?}");
        assert!((found[0].share + found[1].share - 1.0).abs() < 1e-12);
    }

    /// A heartbeat that runs out, or a leader lost as well: seconds of the one kind, minutes of the other.
    #[test]
    fn two_kinds_of_failover_are_two_modes_and_one_stray_is_none() {
        let mut times: Vec<f64> = (0..6).map(|i| 19.0 + f64::from(i)).collect();
        times.extend((0..4).map(|i| 301.0 + f64::from(i)));
        let found = modes(&of(&times), Scale::Logarithmic, 9);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[0].share - 0.6).abs() < 1e-12 && (found[1].low - 301.0).abs() < 1e-12);
        times.truncate(6);
        times.extend([20.5, 21.5, 22.5, 303.0]);
        assert_eq!(modes(&of(&times), Scale::Logarithmic, 9).len(), 1);
    }

    /// One hump, of several shapes and sizes of sample: a false alarm is rare.
    #[test]
    fn one_hump_is_seldom_taken_for_two() {
        let mut rng = Rng::stream(7, "modes");
        for (n, most) in [(10, 6), (30, 10), (1_000, 4)] {
            let trials = 200;
            let mut alarms = [0; 4];
            for _ in 0..trials {
                let mut draw = |law: usize| match law {
                    0 => rng.normal(),
                    1 => rng.uniform(),
                    2 => rng.exponential(1.0),
                    _ => rng.lognormal(20.0, 0.7),
                };
                for (law, alarms) in alarms.iter_mut().enumerate() {
                    let values: Vec<f64> = (0..n).map(|_| draw(law)).collect();
                    let scale = if law < 2 { Scale::Linear } else { Scale::Logarithmic };
                    *alarms += usize::from(modes(&of(&values), scale, 9).len() > 1);
                }
            }
            assert!(alarms.iter().all(|alarms| *alarms <= most), "{n} samples: {alarms:?} of {trials}");
        }
    }

    #[test]
    fn nothing_has_no_mode_and_equal_samples_have_one() {
        assert!(modes(&[], Scale::Linear, 9).is_empty());
        assert_eq!(modes(&[(3.0, 50)], Scale::Linear, 9).len(), 1);
        assert_eq!(modes(&[(0.0, 50)], Scale::Logarithmic, 9).len(), 1);
        let two = modes(&[(1.0, 50), (9.0, 50)], Scale::Linear, 9);
        assert!(two.len() == 2 && (two[1].middle - 9.0).abs() < 1e-12, "{two:?}");
    }

    /// Ties have no width, so that any gap is wider; and rounding, two counts or two stray runs make no kinds.
    #[test]
    fn what_is_as_good_as_equal_is_one_mode() {
        let noise = [10.752_688_2, 10.752_688_200_000_002];
        let count = |samples: &[(f64, u64)]| modes(samples, Scale::Linear, 9).len();
        assert_eq!(count(&[(noise[0], 6), (noise[1], 6)]), 1);
        assert_eq!(count(&[(noise[0], 60), (noise[1], 60)]), 1);
        assert_eq!(count(&[(10.0, 6), (10.9, 6)]), 1);
        assert_eq!(count(&[(10.0, 6), (11.5, 6)]), 2);
        assert_eq!(count(&[(10.0, 8), (99.0, 2)]), 1, "two runs of ten");
        // Two humps of hundreds of samples, a twentieth apart.
        let humps: Vec<(f64, u64)> = (0..40)
            .map(|i| (if i < 20 { 100.0 + 0.01 * f64::from(i) } else { 105.0 + 0.01 * f64::from(i) }, 9))
            .collect();
        assert_eq!(modes(&humps, Scale::Logarithmic, 9).len(), 1);
    }

    /// Of more than may be, the clearest are left.
    #[test]
    fn there_are_no_more_modes_than_may_be() {
        let three: Vec<f64> =
            [1.0, 20.0, 400.0].iter().flat_map(|at| (0..20).map(move |i| at * (1.0 + 0.01 * f64::from(i)))).collect();
        let count = |most| modes(&of(&three), Scale::Logarithmic, most).len();
        assert_eq!((count(9), count(1)), (3, 1));
        assert!(count(2) <= 2);
    }
}
