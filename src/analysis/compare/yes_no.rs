//! What a seed answers with yes or no, in the base and in the head: whether a metric was measured, whether a wait
//! ended, whether an expectation was met.
//!
//! Seeds with the same answer on both sides say nothing of a change. Of the others, so many may have changed the same
//! way by chance; the exact sign test tells ([`crate::analysis::statistics::sign`]), for fewer and for more of them,
//! corrected by Holm over everything that is answered so. What is answered alike in every seed is one fact, and is
//! tested once.

use crate::analysis::statistics::holm::{Tested, holm};
use crate::analysis::statistics::sign;
use crate::base::ordered::{OrdMap, OrdSet};

/// The answers of the base's run and of the head's, by pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answers(pub(super) Vec<(bool, bool)>);

/// What became of the seeds that answer yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Fewer do, and not by chance.
    Fewer,
    /// More do, and not by chance.
    More,
    /// As many do, or it may be chance.
    Chance,
}

impl Answers {
    /// How many seeds there are.
    pub(super) fn seeds(&self) -> usize {
        self.0.len()
    }

    /// Seeds whose run in the base says yes.
    pub(super) fn base(&self) -> usize {
        self.count(|base, _| base)
    }

    /// The same of the head.
    pub(super) fn head(&self) -> usize {
        self.count(|_, head| head)
    }

    fn count(&self, wanted: fn(bool, bool) -> bool) -> usize {
        self.0.iter().filter(|(base, head)| wanted(*base, *head)).count()
    }

    /// Seeds that changed from yes to no, and from no to yes.
    pub(super) fn changed(&self) -> (usize, usize) {
        (self.count(|base, head| base && !head), self.count(|base, head| !base && head))
    }
}

/// How likely all changes are by chance, one for the other.
#[derive(Debug)]
pub(super) struct Chance<'a> {
    fewer: OrdMap<&'a Answers, f64>,
    more: OrdMap<&'a Answers, f64>,
    /// Chance of even one false alarm either way.
    pub(super) level: f64,
}

impl<'a> Chance<'a> {
    /// Of these answers, at this chance of even one false alarm either way.
    pub(super) fn of(all: impl Iterator<Item = &'a Answers>, level: f64) -> Self {
        let tested: OrdSet<&Answers> = all.filter(|answers| answers.changed() != (0, 0)).collect();
        let corrected = |one_way: fn((usize, usize)) -> usize| {
            let test = |answers: &&Answers| {
                let (fewer, more) = answers.changed();
                let pairs = fewer + more;
                Tested { p: sign::at_least(one_way((fewer, more)), pairs), least: sign::at_least(pairs, pairs) }
            };
            let tests: Vec<Tested> = tested.iter().map(test).collect();
            tested.iter().copied().zip(holm(&tests, level).each).collect()
        };
        Self { fewer: corrected(|(fewer, _)| fewer), more: corrected(|(_, more)| more), level }
    }

    /// What became of these, which must be among those.
    pub(super) fn turn(&self, answers: &Answers) -> Turn {
        let is_sure = |p: Option<&f64>| p.is_some_and(|p| *p < self.level);
        match answers {
            _ if is_sure(self.fewer.get(answers)) => Turn::Fewer,
            _ if is_sure(self.more.get(answers)) => Turn::More,
            _ => Turn::Chance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(fewer: usize, more: usize) -> Answers {
        Answers([vec![(true, false); fewer], vec![(false, true); more], vec![(true, true); 3]].concat())
    }

    /// Five seeds one way are 1/32, four are 1/16; one the other way makes eight of nine of it, 10/512.
    #[test]
    fn seeds_that_changed_one_way_tell() {
        let turn = |answers: &Answers| Chance::of([answers].into_iter(), 0.05).turn(answers);
        assert_eq!([turn(&answers(5, 0)), turn(&answers(0, 5))], [Turn::Fewer, Turn::More]);
        assert_eq!([turn(&answers(4, 0)), turn(&answers(7, 3)), turn(&answers(0, 0))], [Turn::Chance; 3]);
        assert_eq!(turn(&answers(8, 1)), Turn::Fewer);
        assert_eq!((answers(8, 1).base(), answers(8, 1).head(), answers(8, 1).seeds()), (11, 4, 12));
    }

    /// Two of five seeds each are 1/32 and too many for one level together; one twice is one.
    #[test]
    fn several_are_corrected_for_each_other_and_the_same_is_one() {
        let (one, two) = (answers(5, 0), Answers([answers(5, 0).0, vec![(false, false)]].concat()));
        assert_eq!(Chance::of([&one, &two].into_iter(), 0.05).turn(&one), Turn::Chance);
        assert_eq!(Chance::of([&one, &one].into_iter(), 0.05).turn(&one), Turn::Fewer);
    }
}
