//! Nomad's way through the candidates (`LimitIterator`, `MaxScoreIterator`): the best of the first few good ones.

/// Candidates with a score this low are set aside.
const SKIP_THRESHOLD: f64 = 0.0;
/// Most candidates set aside in one search.
pub const SKIP_MAX: usize = 3;

/// The best of the first `limit` candidates, the first of equals. Up to [`SKIP_MAX`] poor ones (score 0 or less) are
/// set aside, and looked at when `next` has no more. `limit` bounds how many are compared, not how many are asked for.
pub fn best<T>(limit: usize, mut next: impl FnMut() -> Option<T>, score: impl Fn(&T) -> f64) -> Option<T> {
    let mut best: Option<T> = None;
    let mut skipped: Vec<Option<T>> = Vec::new();
    let mut taken_back = 0;
    let mut seen = 0;
    while seen < limit {
        let mut option = next().or_else(|| take_back(&mut skipped, &mut taken_back));
        if option.is_none() {
            break;
        }
        while skipped.len() < SKIP_MAX
            && let Some(poor) = option.take_if(|option| score(option) <= SKIP_THRESHOLD)
        {
            skipped.push(Some(poor));
            option = next();
        }
        seen += 1;
        let Some(option) = option.or_else(|| take_back(&mut skipped, &mut taken_back)) else { break };
        if best.as_ref().is_none_or(|best| score(&option) > score(best)) {
            best = Some(option);
        }
    }
    best
}

/// The next candidate that was set aside, for when the stream has dried up.
fn take_back<T>(skipped: &mut [Option<T>], taken_back: &mut usize) -> Option<T> {
    let option = skipped.get_mut(*taken_back)?.take();
    *taken_back += 1;
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: usize, scores: &[f64], expected: Option<f64>, asked: usize) {
        let mut left = scores.iter().copied();
        assert_eq!(best(limit, || left.next(), |score| *score), expected, "{limit} of {scores:?}");
        assert_eq!(scores.len() - left.count(), asked, "{limit} of {scores:?}");
    }

    #[test]
    fn the_best_of_the_first_good_ones_wins() {
        check(2, &[0.4, 0.5, 0.9], Some(0.5), 2);
        check(0, &[0.4], None, 0);
        check(5, &[], None, 0);
    }

    #[test]
    fn poor_ones_are_set_aside_and_come_back_last() {
        check(2, &[-0.4, 0.1, -0.2, 0.3, 0.9], Some(0.3), 4);
        check(2, &[-0.4, -0.3, -0.2, -0.1, 0.9], Some(0.9), 5);
        check(2, &[-0.4, -0.3, -0.2], Some(-0.3), 3);
        check(4, &[-0.4, -0.3, -0.2], Some(-0.2), 3);
    }
}
