//! What the runs of one scenario came to, together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analysis::across::{Across, across};
use crate::measure::metric::Key;
use crate::measure::outcome::Outcome;
use crate::world::spec::WorldSpec;

/// The runs of a scenario, in seed order, and what they say together.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// The world that was run.
    pub spec: Arc<WorldSpec>,
    /// Fingerprint of the scenario's files as read, in 16 hex digits.
    pub scenario_digest: String,
    /// The runs.
    pub runs: Vec<Outcome>,
    /// Metrics over all runs.
    pub across: BTreeMap<Key, Across>,
    /// Runs that differ in kind, told apart by what their faults hit.
    pub cases: Vec<Case>,
    /// Every expectation over all runs.
    pub verdicts: Vec<Verdict>,
}

/// Runs of one kind.
#[derive(Debug, Clone)]
pub struct Case {
    /// As `nomad leader hit`.
    pub name: String,
    /// Positions in `runs`.
    pub members: Vec<usize>,
    /// Metrics over these runs.
    pub across: BTreeMap<Key, Across>,
}

/// How an expectation fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// There was nothing to judge.
    NotExercised,
}

impl Judgement {
    /// As in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotExercised => "not exercised",
        }
    }
}

/// An expectation, per run and over all.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// As written.
    pub text: String,
    /// What was observed in each run (with its unit), and how that run fared.
    pub runs: Vec<(String, Judgement)>,
    /// Whether the expectation holds for the ensemble; not exercised counts as held only if it says `if exercised`.
    pub overall: Judgement,
    /// Whether the build fails on it.
    pub met: bool,
}

impl Ensemble {
    /// Folds runs that are in seed order. `verdicts` come from the judge.
    pub fn new(spec: &Arc<WorldSpec>, scenario_digest: String, runs: Vec<Outcome>, verdicts: Vec<Verdict>) -> Self {
        let mut by_case: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (position, run) in runs.iter().enumerate() {
            by_case.entry(run.case()).or_default().push(position);
        }
        let cases = by_case
            .into_iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, members)| {
                let chosen: Vec<&Outcome> = members.iter().map(|&member| &runs[member]).collect();
                Case { name, across: across(&chosen), members }
            })
            .collect();
        let across = across(&runs.iter().collect::<Vec<_>>());
        Self { spec: Arc::clone(spec), scenario_digest, runs, across, cases, verdicts }
    }

    /// Whether every expectation and every law held.
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.met) && self.violations() == 0
    }

    /// Violations of invariants, over all runs.
    pub fn violations(&self) -> u64 {
        self.runs.iter().flat_map(|run| &run.invariants).map(|law| law.violations).sum()
    }
}
