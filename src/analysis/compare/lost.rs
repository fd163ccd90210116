//! What the head has lost: metrics of which it measured nothing, or in fewer seeds than by chance. Nobody looks after
//! those any more, which is worse than a figure that moved.
//!
//! A metric that has data in some seeds by chance has so on both sides, in other seeds. One that has data in every seed
//! of the base and in none of the head's is lost, however few they are; otherwise the seeds that changed tell
//! ([`super::yes_no`]).

use super::figures::figure;
use super::yes_no::{Answers, Chance, Turn};
use super::{Exact, Limit, Verdict};
use crate::analysis::summary::{Metric, Run};
use crate::base::ordered::OrdMap;
use crate::measure::catalogue;
use crate::measure::tolerance::Tolerances;

/// What became of the metrics that one side measured in more seeds than the other.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Those that the head has in fewer or in more seeds than the base; not those that are in all of its seeds and in
    /// none of the base's.
    pub(super) exact: Vec<Exact>,
    /// Those that one side has in every seed and the other in none, and whether that is the base.
    pub(super) unmatched: Vec<(String, bool)>,
    /// Those that the base has in every seed and the head in fewer than half of them, if the seeds are too few to tell
    /// that from chance.
    pub(super) thinned: Vec<String>,
}

/// In which pairs each metric has data, for those that have any.
pub(super) fn presence<'r>(pairs: &[(&'r Run, &'r Run)]) -> OrdMap<&'r String, Answers> {
    let mut all: OrdMap<&String, Answers> = OrdMap::new();
    let none = || Answers(vec![(false, false); pairs.len()]);
    for (at, (base, head)) in pairs.iter().enumerate() {
        with_data(base).for_each(|key| all.entry(key).or_insert_with(none).0[at].0 = true);
        with_data(head).for_each(|key| all.entry(key).or_insert_with(none).0[at].1 = true);
    }
    all
}

/// Metrics that something was measured of, be it a wait that had not ended.
fn with_data(run: &Run) -> impl Iterator<Item = &String> {
    let measured = |metric: &Metric| !metric.figures.is_empty() || metric.unended.is_some_and(|unended| unended > 0);
    run.metrics.iter().filter(move |(_, metric)| measured(metric)).map(|(key, _)| key)
}

/// Statistics that one side has in every seed and the other in none, of metrics that both have; and whether that is the
/// base. No run writes such a result, but somebody may have.
fn statistics(pairs: &[(&Run, &Run)], key: &str, tolerances: &Tolerances) -> Vec<(String, bool)> {
    let Some(known) = catalogue::of_key(key) else { return Vec::new() };
    let names = tolerances.statistics(key, known.kind).into_iter();
    let compared = names.filter(|name| tolerances.limit(key, name) != Limit::Ignored);
    let of_one_side = compared.filter_map(|name| {
        let has = |run: &Run| run.metrics.get(key).is_some_and(|metric| figure(metric, name).is_some());
        let (base, head): (Vec<bool>, Vec<bool>) = pairs.iter().map(|(base, head)| (has(base), has(head))).unzip();
        let count = |side: &[bool]| side.iter().filter(|has| **has).count();
        let found = match (count(&base), count(&head)) {
            (of_base, 0) if of_base == pairs.len() => true,
            (0, of_head) if of_head == pairs.len() => false,
            _ => return None,
        };
        Some((format!("{key} {name}"), found))
    });
    of_one_side.collect()
}

/// What became of these metrics. Those that are ignored may vanish.
pub(super) fn judge(
    presence: &OrdMap<&String, Answers>,
    pairs: &[(&Run, &Run)],
    chance: &Chance<'_>,
    tolerances: &Tolerances,
) -> Lost {
    let mut lost = Lost::default();
    let of = |count: usize| format!("measured in {count} of {} seeds", pairs.len());
    for (key, _) in presence.iter().filter(|(_, answers)| answers.base() > 0 && answers.head() > 0) {
        for (what, is_lost) in statistics(pairs, key, tolerances) {
            lost.unmatched.push((what.clone(), is_lost));
            let (base, head, verdict) = (of(pairs.len()), of(0), Verdict::Regression);
            lost.exact.extend(is_lost.then_some(Exact { what, base, head, verdict }));
        }
    }
    for (key, answers) in presence {
        let (base, head, seeds) = (answers.base(), answers.head(), answers.seeds());
        let (is_lost, is_gained) = ((base, head) == (seeds, 0), (base, head) == (0, seeds));
        let is_ignored = tolerances.ignores(key);
        if (is_lost || is_gained) && !is_ignored {
            lost.unmatched.push(((*key).clone(), is_lost));
        }
        let verdict = match chance.turn(answers) {
            _ if is_lost && is_ignored => Verdict::Tolerated,
            _ if is_lost => Verdict::Regression,
            _ if is_ignored || is_gained || base == head => continue,
            Turn::Fewer => Verdict::Regression,
            Turn::More => Verdict::Moved,
            Turn::Chance => Verdict::NoEvidence,
        };
        if verdict == Verdict::NoEvidence && base == seeds && 2 * head < base {
            lost.thinned.push((*key).clone());
        }
        lost.exact.push(Exact { what: (*key).clone(), base: of(base), head: of(head), verdict });
    }
    lost
}
