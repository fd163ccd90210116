//! The value of an input at which a yes turns into a no, if there is one: the cut that separates the points that hold
//! from those that do not with the fewest exceptions (a decision stump).

/// A cut between two neighbouring values of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// The largest value below the cut.
    pub below: f64,
    /// The smallest value above it.
    pub above: f64,
    /// Whether what was asked holds below the cut, and not above it; the other way round if false.
    pub holds_below: bool,
    /// Points on the side where they belong.
    pub agree: usize,
    /// All points.
    pub points: usize,
}

/// A cut must put this share of the points on their side; less is no answer that flips at a value.
const AGREE_MIN: f64 = 0.9;

/// The best cut through points (value of the input, whether it holds). `None` if all agree, or if no cut explains at
/// least nine points of ten, and half of what always answering the same leaves unexplained.
pub fn cut(points: &[(f64, bool)]) -> Option<Cut> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = sorted.len();
    let yes = sorted.iter().filter(|(_, holds)| *holds).count();
    if yes == 0 || yes == all {
        return None;
    }
    let mut best: Option<Cut> = None;
    let mut yes_below = 0;
    for (index, pair) in sorted.windows(2).enumerate() {
        yes_below += usize::from(pair[0].1);
        if pair[0].0.total_cmp(&pair[1].0).is_eq() {
            continue;
        }
        let below = index + 1;
        let straight = yes_below + (all - below) - (yes - yes_below);
        for (holds_below, agree) in [(true, straight), (false, all - straight)] {
            if best.is_none_or(|best| best.agree < agree) {
                best = Some(Cut { below: pair[0].0, above: pair[1].0, holds_below, agree, points: all });
            }
        }
    }
    let unexplained = all - yes.max(all - yes);
    best.filter(|cut| cut.agree as f64 >= AGREE_MIN * all as f64 && 2 * (all - cut.agree) <= unexplained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_decides_is_found() {
        let points: Vec<(f64, bool)> = (1..=20).map(|x| (f64::from(x), x <= 13)).collect();
        let found = cut(&points).unwrap();
        assert_eq!((found.below, found.above, found.holds_below, found.agree), (13.0, 14.0, true, 20));
        let points: Vec<(f64, bool)> = (1..=20).map(|x| (f64::from(x), x > 5 && x != 9)).collect();
        let found = cut(&points).unwrap();
        assert_eq!((found.below, found.above, found.holds_below, found.agree), (5.0, 6.0, false, 19));
    }

    #[test]
    fn there_is_none_where_the_value_does_not_decide() {
        assert_eq!(cut(&[(1.0, true), (2.0, true)]), None);
        assert_eq!(cut(&[(1.0, true), (1.0, false)]), None);
        assert_eq!(cut(&(1..=20).map(|x| (f64::from(x), x % 2 == 0)).collect::<Vec<_>>()), None);
        // Nearly always yes: a cut that only repeats that explains nothing.
        assert_eq!(cut(&(1..=20).map(|x| (f64::from(x), x != 10)).collect::<Vec<_>>()), None);
        assert_eq!(cut(&[]), None);
    }
}
