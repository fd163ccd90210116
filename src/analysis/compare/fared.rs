//! How laws and expectations fared on both sides, seed by seed.
//!
//! A law that is violated in a seed in which it was not, or more often, is worse, whatever became of other seeds. An
//! expectation is judged over the seeds of both sides as a run judges it: met is met, be it that nothing exercised it.
//! Where that is the same on both sides, the seeds that meet it tell ([`super::yes_no`]). Two texts are one expectation
//! if they mean the same.

use super::yes_no::{Answers, Chance, Turn};
use super::{Exact, Verdict, listed};
use crate::analysis::judge::{Judgement, over_seeds};
use crate::analysis::summary::{Invariant, Overall, Run, Summary};
use crate::base::ordered::OrdSet;
use crate::measure::objective::{asked_of_seeds, meaning};

/// Laws that fared differently, and those that the head no longer checks.
pub(super) fn laws(pairs: &[(&Run, &Run)]) -> Vec<Exact> {
    let all = pairs.iter().flat_map(|(base, head)| base.invariants.iter().chain(&head.invariants));
    let names: OrdSet<&str> = all.map(|law| law.name.as_str()).collect();
    names.into_iter().filter_map(|name| law(name, pairs)).collect()
}

fn law(name: &str, pairs: &[(&Run, &Run)]) -> Option<Exact> {
    let (base, head): (Vec<_>, Vec<_>) =
        pairs.iter().map(|(base, head)| (watched(base, name), watched(head, name))).unzip();
    let violations =
        |all: &[Option<&Invariant>]| all.iter().map(|law| law.map_or(0, |law| law.violations)).collect::<Vec<u64>>();
    let both: Vec<(u64, u64)> = violations(&base).into_iter().zip(violations(&head)).collect();
    let seeds = pairs.iter().map(|(base, _)| base.seed).zip(&both);
    let worse: Vec<u64> = seeds.filter(|(_, (base, head))| head > base).map(|(seed, _)| seed).collect();
    let is_checked = |law: &&&Invariant| law.checks + law.violations > 0;
    let checked = |all: &[Option<&Invariant>]| all.iter().flatten().filter(is_checked).count();
    // A law that is checked in few seeds may have had nothing to check in others; one that is not listed is gone.
    let is_listed = head.iter().any(Option::is_some);
    let is_sure = checked(&base) == pairs.len() || !is_listed || both.iter().any(|(base, _)| *base > 0);
    let is_gone = checked(&base) > 0 && checked(&head) == 0 && is_sure;
    let verdict = match is_gone {
        _ if !worse.is_empty() => Verdict::Regression,
        true => Verdict::Moved,
        false if both.iter().any(|(base, head)| head < base) => Verdict::Improvement,
        false => return None,
    };
    let told = |all: &[Option<&Invariant>]| {
        let violated = violations(all).into_iter().filter(|violations| *violations > 0);
        match violated.fold((0_u64, 0), |(sum, seeds), violations| (sum + violations, seeds + 1)) {
            _ if checked(all) == 0 => "not checked".to_owned(),
            (0, _) => "no violations".to_owned(),
            (1, _) => format!("1 violation in 1 of {} seeds", all.len()),
            (sum, seeds) => format!("{sum} violations in {seeds} of {} seeds", all.len()),
        }
    };
    let more = if worse.is_empty() { String::new() } else { format!(", more in seeds {}", listed(&worse)) };
    let head = format!("{}{more}", told(&head));
    Some(Exact { what: name.to_owned(), base: told(&base), head, verdict })
}

fn watched<'r>(run: &'r Run, name: &str) -> Option<&'r Invariant> {
    run.invariants.iter().find(|law| law.name == name)
}

/// An expectation that both sides have.
#[derive(Debug)]
pub(super) struct Expected {
    text: String,
    base: Fared,
    head: Fared,
    /// In which pairs it is met.
    pub(super) answers: Answers,
}

/// How an expectation fared over the seeds of both sides.
#[derive(Debug)]
struct Fared {
    judgement: Judgement,
    /// Whether that counts as met.
    is_met: bool,
    /// Each seed; empty if the runs tell nothing of it.
    seeds: Vec<Judgement>,
}

/// The expectations that both sides have. Runs that only one side has are left out of them as of everything.
pub(super) fn expected(base: &Summary, head: &Summary, pairs: &[(&Run, &Run)]) -> Vec<Expected> {
    let both = head.expectations.iter().filter_map(|after| {
        let before = base.expectations.iter().find(|before| is_one(&before.text, &after.text))?;
        let text = after.text.clone();
        let (_, if_exercised) = asked(&text);
        let is_met = |run: &Run, text: &str| {
            let judgement = judgement(run, text)?;
            Some(judgement == Judgement::Pass || judgement == Judgement::NotExercised && if_exercised)
        };
        let both = |base: &Run, head: &Run| is_met(base, &before.text).zip(is_met(head, &after.text));
        Some(Expected {
            base: fared(before, pairs.iter().map(|(base, _)| *base))?,
            head: fared(after, pairs.iter().map(|(_, head)| *head))?,
            answers: Answers(pairs.iter().filter_map(|(base, head)| both(base, head)).collect()),
            text,
        })
    });
    both.collect()
}

/// Whether two texts are the same expectation: they mean the same, or are the same if one of them means nothing.
fn is_one(one: &str, two: &str) -> bool {
    one == two || meaning(one).is_some_and(|one| meaning(two) == Some(one))
}

/// Those of the first side that the second one lacks.
fn without<'s>(own: &'s Summary, other: &Summary) -> impl Iterator<Item = &'s Overall> {
    own.expectations.iter().filter(|one| other.expectations.iter().all(|two| !is_one(&one.text, &two.text)))
}

/// Expectations that only one side has, and whether that is the base.
pub(super) fn unmatched(base: &Summary, head: &Summary) -> Vec<(String, bool)> {
    let gone = without(base, head).map(|one| (one.text.clone(), true));
    gone.chain(without(head, base).map(|one| (one.text.clone(), false))).collect()
}

/// What an expectation asks of the seeds: the share that must hold it, and whether it holds without data.
fn asked(text: &str) -> (f64, bool) {
    asked_of_seeds(text).unwrap_or((1.0, false))
}

fn judgement(run: &Run, text: &str) -> Option<Judgement> {
    run.expectations.iter().find(|one| one.text == text).and_then(|one| Judgement::named(&one.verdict))
}

/// How an expectation fared in these runs; if they tell nothing of it, how it fared over all of its side.
fn fared<'r>(overall: &Overall, runs: impl Iterator<Item = &'r Run>) -> Option<Fared> {
    let seeds: Vec<Judgement> = runs.filter_map(|run| judgement(run, &overall.text)).collect();
    let named = || Some(vec![Judgement::named(&overall.verdict)?]);
    let (judgement, is_met) = match seeds.as_slice() {
        [] => over_seeds(asked(&overall.text), &named()?),
        seeds => over_seeds(asked(&overall.text), seeds),
    };
    Some(Fared { judgement, is_met, seeds })
}

impl Fared {
    /// As in every output: the verdict, and in how many seeds it held.
    fn told(&self) -> String {
        let count = |wanted: Judgement| self.seeds.iter().filter(|judgement| **judgement == wanted).count();
        let (name, all) = (self.judgement.name(), self.seeds.len());
        match (count(Judgement::Pass), count(Judgement::NotExercised)) {
            (_, idle) if idle == all => name.to_owned(),
            (held, 0) => format!("{name}, held in {held} of {all} seeds"),
            (held, idle) => format!("{name}, held in {held} of {all} seeds, not exercised in {idle}"),
        }
    }
}

/// Expectations that fared differently.
pub(super) fn expectations(expected: &[Expected], chance: &Chance<'_>) -> Vec<Exact> {
    let judged = expected.iter().filter_map(|one| {
        let (base, head) = (one.base.told(), one.head.told());
        Some(Exact { what: one.text.clone(), base, head, verdict: verdict(one, chance)? })
    });
    judged.collect()
}

/// What it comes to; `None` if it fared alike.
fn verdict(expected: &Expected, chance: &Chance<'_>) -> Option<Verdict> {
    let Expected { base, head, answers, .. } = expected;
    let is_other = base.judgement != head.judgement;
    match (base.is_met, head.is_met, chance.turn(answers)) {
        (true, false, _) => Some(Verdict::Regression),
        (false, true, _) if head.judgement == Judgement::Pass => Some(Verdict::Improvement),
        // It failed, and nothing exercises it any more: nobody knows whether it would hold.
        (false, true, _) => Some(Verdict::Moved),
        (_, _, Turn::Fewer) => Some(Verdict::Regression),
        (_, _, Turn::More) => Some(Verdict::Improvement),
        (_, _, Turn::Chance) if is_other => Some(Verdict::Moved),
        (_, _, Turn::Chance) => (base.told() != head.told()).then_some(Verdict::NoEvidence),
    }
}

/// Expectations that the head no longer has, with how they fared over the seeds of both sides.
pub(super) fn dropped(base: &Summary, head: &Summary, pairs: &[(&Run, &Run)]) -> Vec<Exact> {
    let told = |one: &Overall| fared(one, pairs.iter().map(|(base, _)| *base)).map(|fared| fared.told());
    let exact = without(base, head).map(|one| Exact {
        what: one.text.clone(),
        base: told(one).unwrap_or_else(|| one.verdict.clone()),
        head: "not expected".to_owned(),
        verdict: Verdict::Regression,
    });
    exact.collect()
}
