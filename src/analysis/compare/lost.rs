//! What the head has lost: metrics of which it measured nothing or hardly anything, and expectations it no longer has.
//! Nobody looks after those any more, which is worse than a figure that moved.
//!
//! A metric that has data in some seeds by chance has so on both sides, in other seeds. One that the head lost has data
//! in seeds of the base and hardly ever the other way round; whether that may be chance is told by a sign test over the
//! seeds in which one side alone has data, corrected by Holm over all metrics. Metrics that are there in the same seeds
//! are one fact, and are tested once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Exact, Verdict};
use crate::analysis::statistics::holm::{Tested, holm};
use crate::analysis::statistics::signed_rank;
use crate::analysis::summary::{Metric, Run, Summary};
use crate::measure::tolerance::Tolerances;

/// In which pairs a metric has data: in the base's run, in the head's.
type Sides = Vec<(bool, bool)>;

/// Metrics by what is missing of them.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Those that have data on one side only, in any of the seeds, and whether that is the base.
    pub(super) unmatched: Vec<(String, bool)>,
    /// Those of which the head has fewer than half of the seeds that have data in the base, and more than by chance.
    pub(super) rare: Vec<Exact>,
    /// The same of those that the base measured in every seed, if the seeds are too few to tell it from chance.
    pub(super) thinned: Vec<String>,
}

impl Presence {
    /// That of these pairs.
    pub(super) fn of(pairs: &[(&Run, &Run)], tolerances: &Tolerances) -> Self {
        let mut all: BTreeMap<&String, Sides> = BTreeMap::new();
        let none = || vec![(false, false); pairs.len()];
        for (at, (base, head)) in pairs.iter().enumerate() {
            with_data(base).for_each(|key| all.entry(key).or_insert_with(none)[at].0 = true);
            with_data(head).for_each(|key| all.entry(key).or_insert_with(none)[at].1 = true);
        }
        let mut presence = Self::default();
        let (mut both, mut tested) = (Vec::new(), BTreeSet::new());
        for (key, sides) in &all {
            let (base, head) = (sides.iter().any(|(base, _)| *base), sides.iter().any(|(_, head)| *head));
            if base && head {
                both.push((*key, sides));
                tested.extend(sides.iter().any(|(base, head)| base != head).then_some(sides));
            } else {
                presence.unmatched.push(((*key).clone(), base));
            }
        }
        let tests: Vec<Tested> = tested.iter().filter_map(|sides| by_chance(sides)).collect();
        let corrected: BTreeMap<&Sides, f64> = tested.into_iter().zip(holm(&tests, tolerances.level).each).collect();
        for (key, sides) in both {
            let count = |wanted: fn(bool, bool) -> bool| sides.iter().filter(|side| wanted(side.0, side.1)).count();
            let (base, head) = (count(|base, _| base), count(|_, head| head));
            if 2 * count(|base, head| base && head) >= base || head >= base {
                continue;
            }
            if corrected.get(sides).is_some_and(|p| *p < tolerances.level) {
                let of = |seeds: usize| format!("measured in {seeds} of {} seeds", pairs.len());
                let verdict = lost(key, tolerances);
                presence.rare.push(Exact { what: key.clone(), base: of(base), head: of(head), verdict });
            } else if base == pairs.len() && !tolerances.names(key) {
                presence.thinned.push(key.clone());
            }
        }
        presence
    }
}

/// The probability that data are on one side so often by chance, where one side alone has them.
fn by_chance(sides: &Sides) -> Option<Tested> {
    let single = sides.iter().filter(|(base, head)| base != head);
    let signs: Vec<f64> = single.map(|(base, _)| if *base { 1.0 } else { -1.0 }).collect();
    // Ranks that are all alike make it the sign test.
    signed_rank::test(&signs).map(|test| Tested { p: test.p_two_sided, least: test.least })
}

/// What it comes to that a metric is lost: those that the tolerances name may be.
fn lost(key: &str, tolerances: &Tolerances) -> Verdict {
    if tolerances.names(key) { Verdict::Tolerated } else { Verdict::Regression }
}

/// Metrics that something was measured of, be it a wait that had not ended.
fn with_data(run: &Run) -> impl Iterator<Item = &String> {
    let measured = |metric: &Metric| !metric.figures.is_empty() || metric.unended.is_some_and(|unended| unended > 0);
    run.metrics.iter().filter(move |(_, metric)| measured(metric)).map(|(key, _)| key)
}

/// Metrics without data in any of the head's runs, or in hardly any, and expectations it no longer has.
pub(super) fn vanished(base: &Summary, head: &Summary, presence: &Presence, tolerances: &Tolerances) -> Vec<Exact> {
    let metrics = presence.unmatched.iter().filter(|(_, is_base)| *is_base).map(|(key, _)| Exact {
        what: key.clone(),
        base: "measured".to_owned(),
        head: "nothing measured".to_owned(),
        verdict: lost(key, tolerances),
    });
    let gone = base.expectations.iter().filter(|one| head.expectations.iter().all(|two| two.text != one.text));
    let expectations = gone.map(|one| Exact {
        what: one.text.clone(),
        base: one.verdict.clone(),
        head: "not expected".to_owned(),
        verdict: Verdict::Regression,
    });
    metrics.chain(presence.rare.iter().cloned()).chain(expectations).collect()
}
