//! What the runs of one scenario came to, together.

use std::sync::Arc;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration as HostDuration;

use rayon::prelude::*;

use crate::analysis::across::{Across, across};
use crate::analysis::batch::Wish;
use crate::analysis::judge::Verdict;
use crate::analysis::run::{Progress, RunError, Shared, run};
use crate::analysis::sequential::Stopping;
use crate::analysis::summary::sensitivity::Sensitivity;
use crate::base::ordered::OrdMap;
use crate::measure::metric::Key;
use crate::measure::objective::Window;
use crate::measure::outcome::Outcome;
use crate::scenario::parameters::Parameter;
use crate::world::spec::WorldSpec;

/// The runs of a scenario, in seed order, and what they say together.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// The world that was run.
    pub spec: Arc<WorldSpec>,
    /// Fingerprint of the scenario's files as read, in 16 hex digits.
    pub scenario_digest: String,
    /// What follows `cossim run` to get this scenario again, without the seed; `NAME.ron` unless it is set.
    pub arguments: String,
    /// How the command line chose the seeds, as `--seeds 5`; `None` if the scenario did.
    pub asked_seeds: Option<String>,
    /// The scenario file, as it was named; `NAME.ron` unless it is set.
    pub file: String,
    /// Changes made to it (`--set`), in order.
    pub edits: Vec<String>,
    /// Its text as it was read, without the changes; kept in the report if it is set.
    pub text: Option<String>,
    /// The runs.
    pub runs: Vec<Outcome>,
    /// Metrics over all runs.
    pub across: OrdMap<Key, Across>,
    /// Runs that differ in kind, told apart by what their faults hit or by what the scenario says.
    pub cases: Vec<Case>,
    /// Whether the scenario says what tells the cases apart (`group_by`).
    pub by_scenario: bool,
    /// Every expectation over all runs.
    pub verdicts: Vec<Verdict>,
    /// Why there are so many runs, if the scenario left that open.
    pub stopping: Option<Stopping>,
    /// Parameters whose values are assumed; none unless they are set.
    pub assumed: Vec<Parameter>,
    /// What was found of them, kept in the report if it is set.
    pub sensitivity: Option<Sensitivity>,
}

/// Runs of one kind.
#[derive(Debug, Clone)]
pub struct Case {
    /// As `nomad leader hit`.
    pub name: String,
    /// Positions in `runs`.
    pub members: Vec<usize>,
    /// Metrics over these runs.
    pub across: OrdMap<Key, Across>,
}

/// Which runs make an ensemble.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The world.
    pub spec: Arc<WorldSpec>,
    /// Parts of each run that are also measured on their own.
    pub windows: Vec<Window>,
    /// Its seeds, in order.
    pub seeds: Vec<u64>,
    /// Threads; `None`: one per core.
    pub threads: Option<usize>,
    /// Whether placements carry why they were made ([`crate::measure::placement::Placement::why`]).
    pub explains: bool,
}

/// How often the caller hears how far the runs are.
const TICK: HostDuration = HostDuration::from_millis(100);

/// Runs every seed, several at once, and returns the outcomes in seed order. `tick` is called ten times a second with
/// how
/// far each run is. A panic in a run is passed on.
pub fn run_all(plan: &Plan, mut tick: impl FnMut(&[Progress]) -> Wish) -> Result<Vec<Outcome>, RunError> {
    let progress: Vec<Progress> = plan.seeds.iter().map(|_| Progress::default()).collect();
    let shared = Shared { explains: plan.explains, ..Shared::default() };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads.unwrap_or(0))
        .build()
        .map_err(|error| RunError::Threads { reason: error.to_string() })?;
    let (done, finished) = channel::<()>();
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| {
            // Dropped when this thread ends, however it ends.
            let _done = done;
            pool.install(|| {
                let seeds = plan.seeds.par_iter().zip(&progress);
                seeds
                    .map(|(&seed, progress)| run(&plan.spec, &plan.windows, seed, &shared, progress))
                    .collect::<Vec<_>>()
            })
        });
        while finished.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if tick(&progress) == Wish::Stop {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        tick(&progress);
        match runs.join() {
            Ok(outcomes) => outcomes.into_iter().collect(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl Ensemble {
    /// Folds runs that are in seed order. `verdicts` come from the judge.
    pub fn new(spec: &Arc<WorldSpec>, scenario_digest: String, runs: Vec<Outcome>, verdicts: Vec<Verdict>) -> Self {
        let names = runs.iter().map(Outcome::case).collect();
        let across = across(&runs.iter().collect::<Vec<_>>());
        let (file, cases) = (format!("{}.ron", spec.name), Vec::new());
        let (arguments, edits, text, stopping) = (file.clone(), Vec::new(), None, None);
        let mut ensemble = Self {
            spec: Arc::clone(spec),
            scenario_digest,
            arguments,
            asked_seeds: None,
            file,
            edits,
            text,
            runs,
            across,
            cases,
            by_scenario: false,
            verdicts,
            stopping,
            assumed: Vec::new(),
            sensitivity: None,
        };
        ensemble.tell_apart(names);
        ensemble
    }

    /// Tells runs apart by these names of the scenario's `group_by`, one per run; those without a name are of no case.
    pub fn group(&mut self, names: Vec<String>) {
        self.by_scenario = true;
        self.tell_apart(names);
    }

    fn tell_apart(&mut self, names: Vec<String>) {
        let mut by_case: OrdMap<String, Vec<usize>> = OrdMap::new();
        for (position, name) in names.into_iter().enumerate() {
            by_case.entry(name).or_default().push(position);
        }
        let runs = &self.runs;
        self.cases = by_case
            .into_iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, members)| {
                let chosen: Vec<&Outcome> = members.iter().map(|&member| &runs[member]).collect();
                Case { name, across: across(&chosen), members }
            })
            .collect();
        let several = |case: &Case, key: &Key| case.across.get(key).is_some_and(|across| !across.modes.is_empty());
        for (key, across) in &mut self.across {
            across.explained = self.cases.len() > 1 && !self.cases.iter().any(|case| several(case, key));
        }
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
