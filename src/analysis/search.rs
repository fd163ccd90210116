//! The first of many candidates, in order of their price, that holds: by bisection where more of something never does
//! harm, by successive halving where it may.

/// A candidate: its option on every axis. Candidates are sorted from the cheapest.
pub type Choice = Vec<usize>;

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub struct Space<'a> {
    /// From the cheapest.
    pub candidates: &'a [Choice],
    /// Axes on which more never does harm, if only they differ.
    pub ordered: &'a [bool],
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The first candidate that holds.
    pub best: Option<usize>,
    /// Whether nothing was seen that contradicts the order on the axes: less that holds where more does not.
    pub monotone: bool,
}

impl Space<'_> {
    /// Whether a candidate has as much as another or less on every ordered axis, and the same on the others.
    pub(super) fn is_within(&self, less: usize, more: usize) -> bool {
        let axes = self.candidates[less].iter().zip(&self.candidates[more]).zip(self.ordered);
        axes.into_iter().all(|((less, more), ordered)| if *ordered { less <= more } else { less == more })
    }

    /// Candidates that differ by one step less on one ordered axis.
    fn steps_down(&self, from: usize) -> Vec<usize> {
        let mut out = Vec::new();
        for axis in (0..self.ordered.len()).filter(|axis| self.ordered[*axis]) {
            let mut choice = self.candidates[from].clone();
            if choice[axis] > 0 {
                choice[axis] -= 1;
                out.extend(self.candidates[..from].iter().position(|other| *other == choice));
            }
        }
        out
    }

    /// Looks for the first candidate that holds. What fails rules out all that is within it, what holds rules out all
    /// that comes later; the middle of what is left is asked about, or the first of it if no axis is ordered. At the
    /// end the candidates one step below the answer are asked about themselves: one that holds becomes the answer, and
    /// shows that the order on the axes is none.
    pub fn cheapest<E>(&self, mut holds: impl FnMut(usize) -> Result<bool, E>) -> Result<Found, E> {
        let bisects = self.ordered.iter().any(|ordered| *ordered);
        let mut open: Vec<usize> = (0..self.candidates.len()).collect();
        let mut found = Found { best: None, monotone: true };
        while !open.is_empty() {
            let place = if bisects { open.len() / 2 } else { 0 };
            let asked = open[place];
            if holds(asked)? {
                found.best = Some(asked);
                open.truncate(place);
            } else {
                open.retain(|other| !self.is_within(*other, asked));
            }
        }
        while let Some(best) = found.best {
            let mut better = None;
            for below in self.steps_down(best) {
                if holds(below)? {
                    better = Some(below);
                    break;
                }
            }
            match better {
                Some(below) => found = Found { best: Some(below), monotone: false },
                None => break,
            }
        }
        Ok(found)
    }
}

/// Candidates that are halved together.
const BRACKET: usize = 8;

/// The first of these candidates, in the order given, that holds on all `seeds`; no order of merit is assumed.
///
/// Successive halving (Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016), for a question to which the order
/// of prices is known: a bracket of candidates is asked about together on one seed, the half of them that comes first
/// is asked about on twice as many, and so on, until one has held on all. What failed is out; what was set aside while
/// it held comes back when all before it have failed, so that the answer is the one that asking everyone would give.
/// `holds` is told candidates and the number of seeds, from the first.
pub fn halving<E>(
    candidates: &[usize],
    seeds: u64,
    mut holds: impl FnMut(&[usize], u64) -> Result<Vec<bool>, E>,
) -> Result<Option<usize>, E> {
    for bracket in candidates.chunks(BRACKET) {
        // Each with the seeds it is to be asked about next; the last are the first of the candidates.
        let mut aside: Vec<(Vec<usize>, u64)> = vec![(bracket.to_vec(), 1)];
        while let Some((asked, on)) = aside.pop() {
            let on = on.min(seeds);
            let answers = holds(&asked, on)?;
            let mut held: Vec<usize> =
                asked.into_iter().zip(answers).filter(|(_, holds)| *holds).map(|(at, _)| at).collect();
            if on == seeds {
                match held.first() {
                    Some(first) => return Ok(Some(*first)),
                    None => continue,
                }
            }
            let later = held.split_off(held.len().div_ceil(2));
            aside.extend([later, held].into_iter().filter(|some| !some.is_empty()).map(|some| (some, 2 * on)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// Every point of a grid, by the sum of its prices.
    fn grid(sides: &[usize], prices: &[u64]) -> Vec<Choice> {
        let mut all: Vec<Choice> = vec![Vec::new()];
        for side in sides {
            all = all.iter().flat_map(|head| (0..*side).map(|at| [head.as_slice(), &[at]].concat())).collect();
        }
        all.sort_by_key(|choice| choice.iter().zip(prices).map(|(at, price)| *at as u64 * price).sum::<u64>());
        all
    }

    #[test]
    fn one_axis_is_bisected() {
        let candidates = grid(&[100], &[1]);
        for least in [0, 1, 50, 99, 100] {
            let mut asked = 0;
            let found = Space { candidates: &candidates, ordered: &[true] }
                .cheapest(|at| {
                    asked += 1;
                    Ok::<bool, ()>(candidates[at][0] >= least)
                })
                .unwrap();
            assert_eq!(found, Found { best: (least < 100).then_some(least), monotone: true });
            assert!(asked <= 9, "{asked} questions about {least}");
        }
    }

    #[test]
    fn what_is_found_is_what_asking_everyone_finds() {
        for seed in 0..50 {
            let mut rng = Rng::stream(seed, "search");
            let ordered = [true, true, false];
            let prices = [1 + rng.below(9), 1 + rng.below(9), rng.below(9)];
            let candidates = grid(&[9, 7, 3], &prices);
            let needs: Vec<usize> = (0..6).map(|_| rng.below(8) as usize).collect();
            let truth = |at: usize| {
                let choice = &candidates[at];
                let (a, b) = (needs[choice[2]], needs[3 + choice[2]]);
                choice[0] >= a && choice[1] >= b.min(6) && choice[0] + choice[1] > 5
            };
            let mut asked = 0;
            let found = Space { candidates: &candidates, ordered: &ordered }
                .cheapest(|at| {
                    asked += 1;
                    Ok::<bool, ()>(truth(at))
                })
                .unwrap();
            let expected = (0..candidates.len()).find(|at| truth(*at));
            assert_eq!(found, Found { best: expected, monotone: true }, "seed {seed}");
            assert!(asked < candidates.len() / 2, "{asked} of {}", candidates.len());
        }
    }

    #[test]
    fn halving_finds_what_asking_everyone_finds() {
        for seed in 0..200 {
            let mut rng = Rng::stream(seed, "halving");
            let (count, seeds) = (1 + rng.below(40) as usize, 1 + rng.below(20));
            // On how many seeds each holds before it fails; some on all.
            let until: Vec<u64> = (0..count).map(|_| rng.below(seeds + 2)).collect();
            let mut asked: Vec<u64> = vec![0; count];
            let found = halving(&(0..count).collect::<Vec<_>>(), seeds, |some, on| {
                assert!(on <= seeds && some.is_sorted());
                Ok::<_, ()>(
                    some.iter()
                        .map(|&at| {
                            asked[at] = asked[at].max(on);
                            until[at] >= on
                        })
                        .collect(),
                )
            })
            .unwrap();
            let expected = until.iter().position(|until| *until >= seeds);
            assert_eq!(found, expected, "{until:?} of {seeds}");
            // What comes after the answer's bracket is not asked about, and few after the answer on many seeds.
            if let Some(found) = found {
                let end = (found / BRACKET + 1) * BRACKET;
                assert!(asked.iter().skip(end).all(|on| *on == 0), "{asked:?}");
                let dear = asked.iter().skip(found + 1).filter(|on| 2 * **on > seeds && seeds > 8).count();
                assert!(dear <= 1, "{asked:?}: {found} of {seeds}");
            } else {
                assert!(asked.iter().zip(&until).all(|(asked, until)| asked > until), "each was seen to fail");
            }
        }
    }

    #[test]
    fn a_step_down_that_holds_after_all_is_noticed() {
        let candidates = grid(&[8], &[1]);
        let found = Space { candidates: &candidates, ordered: &[true] }
            .cheapest(|at| Ok::<bool, ()>(candidates[at][0] >= 5 || candidates[at][0] == 3))
            .unwrap();
        assert_eq!(found, Found { best: Some(5), monotone: true }, "4 fails, and 3 is not asked about");
        // 4 fails and rules 3 out; 7 holds, 6 fails, and 5 holds all the same.
        let found = Space { candidates: &grid(&[9], &[1]), ordered: &[true] }
            .cheapest(|at| Ok::<bool, ()>(matches!(at, 5 | 7 | 8)))
            .unwrap();
        assert_eq!(found.best, Some(7), "6 was asked about, and ruled 5 out");
        let each = Space { candidates: &candidates, ordered: &[false] };
        let found = each.cheapest(|at| Ok::<bool, ()>(candidates[at][0] == 3)).unwrap();
        assert_eq!(found.best, Some(3), "without an order everyone cheaper is asked");
    }
}
