//! The quality of placements over a suite of workloads, seed by seed, against what it was before.
//!
//! A workload is a scenario file; its figures are those of the metrics in [`TELLING`], one value per seed. The same
//! seed gives the same arrivals, durations and faults to both schedulers, so figures are compared in pairs.

pub mod baseline;
pub mod judge;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analysis::batch::Wish;
use crate::analysis::ensemble::{Plan, run_all};
use crate::analysis::run::{Progress, RunError};
use crate::base::ordered::OrdSet;
use crate::measure::catalogue;
use crate::measure::metric::{Key, Value};
use crate::measure::outcome::Outcome;
use crate::measure::tolerance::compared;
use crate::scenario;
use crate::world::spec::WorldSpec;

/// The metrics that tell good placements from bad ones, and a label's value that does not: evenness over zones counts
/// only where a job asks for it by a `spread`. How full machines are is no merit of its own, and how long deciding
/// takes is measured on another scale. Of each metric the statistics are taken that are compared
/// ([`crate::measure::tolerance::compared`]).
pub static TELLING: &[(&str, Option<(&str, &str)>)] = &[
    ("placement.queued", None),
    ("placement.time_to_running", None),
    ("placement.largest_fit.cpu", None),
    ("placement.largest_fit.memory", None),
    ("placement.stranded", Some(("dimension", "disk"))),
    ("placement.fragmentation", Some(("dimension", "disk"))),
    ("placement.evenness", Some(("attribute", "zone"))),
    ("placement.anti_affinity_violations", None),
    ("placement.preemptions", None),
    ("placement.replaced", None),
    ("plan.rejected", None),
];

/// A workload, ready to run.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The name of its scenario.
    pub name: String,
    /// Its world. A policy goes to `options.scheduler.policy`.
    pub world: WorldSpec,
    /// Seeds it is run with, from 1.
    pub seeds: u32,
    /// Fingerprint of its files without edits, in 16 hex digits.
    pub digest: String,
}

/// Why there are no workloads.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The folder cannot be read.
    #[error("cannot read the folder `{}`: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It has no scenario.
    #[error("no workloads in `{}`: they are scenario files, `*.ron`", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Two have one name, and so one baseline.
    #[error("two workloads in `{}` are called `{name}`", path.display())]
    Twice {
        /// The folder.
        path: PathBuf,
        /// Their name.
        name: String,
    },
    /// A scenario has mistakes, shown as `cossim check` does.
    #[error("{shown}")]
    Wrong {
        /// The findings.
        shown: String,
    },
}

/// The workloads of a folder, by file name; `edits` are arguments of `--set` to each.
pub fn workloads(folder: &Path, edits: &[String]) -> Result<Vec<Workload>, SuiteError> {
    let unreadable = |cause| SuiteError::Unreadable { path: folder.to_owned(), cause };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "ron") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(SuiteError::Empty { path: folder.to_owned() });
    }
    let suite: Vec<Workload> = files.iter().map(|file| workload(file, edits)).collect::<Result<_, _>>()?;
    let mut names = OrdSet::new();
    match suite.iter().find(|workload| !names.insert(&workload.name)) {
        Some(workload) => Err(SuiteError::Twice { path: folder.to_owned(), name: workload.name.clone() }),
        None => Ok(suite),
    }
}

fn workload(file: &Path, edits: &[String]) -> Result<Workload, SuiteError> {
    let digest = scenario::load(file, &[]).digest();
    let loaded = scenario::load(file, edits);
    let shown = || SuiteError::Wrong { shown: loaded.sources.render(&loaded.findings, false) };
    let lowered = loaded.lowered.as_ref().ok_or_else(shown)?;
    let (world, seeds) = (lowered.world.clone(), lowered.seeds);
    Ok(Workload { name: world.name.to_string(), world, seeds, digest })
}

/// One figure of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Metric with labels: `placement.queued{region=r}`.
    pub metric: String,
    /// Which of its statistics.
    pub statistic: String,
    /// Its unit.
    pub unit: String,
    /// By seed, to seven digits; `None` without data, infinite if it falls on a wait that had not ended with the run.
    pub values: Vec<Option<f64>>,
}

/// What a workload came to under one scheduler.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The workload.
    pub workload: String,
    /// Its fingerprint.
    pub digest: String,
    /// Its seeds, in order.
    pub seeds: Vec<u64>,
    /// Its figures, by metric and statistic.
    pub figures: Vec<Figure>,
    /// Laws that were broken, and how, with the seed; no part of a baseline.
    pub broken: Vec<String>,
}

/// Runs a workload; `tick` hears ten times a second how far it is. Threads: `None` is one per core.
pub fn play(
    workload: &Workload,
    threads: Option<usize>,
    tick: impl FnMut(&[Progress]) -> Wish,
) -> Result<Scores, RunError> {
    let seeds: Vec<u64> = (1..=u64::from(workload.seeds)).collect();
    let spec = Arc::new(workload.world.clone());
    let plan = Plan { spec, windows: Vec::new(), seeds: seeds.clone(), threads, explains: false };
    let runs = run_all(&plan, tick)?;
    let (workload, digest) = (workload.name.clone(), workload.digest.clone());
    Ok(Scores { workload, digest, seeds, figures: figures(&runs), broken: broken(&runs) })
}

/// Every law that a run broke.
fn broken(runs: &[Outcome]) -> Vec<String> {
    let of_run = |run: &Outcome| {
        let laws = run.invariants.iter().filter(|law| law.violations > 0);
        let told = laws.map(|law| {
            let first = law.first.as_deref().unwrap_or("no details");
            format!("{} in seed {}, {} times, first: {first}", law.name, run.seed, law.violations)
        });
        told.collect::<Vec<String>>()
    };
    runs.iter().flat_map(of_run).collect()
}

/// The figures of all metrics that tell.
fn figures(runs: &[Outcome]) -> Vec<Figure> {
    let keys: OrdSet<&Key> = runs.iter().flat_map(|run| run.metrics.0.keys()).filter(|key| tells(key)).collect();
    let of_key = |key: &Key| {
        let statistics = catalogue::find(&key.name).map_or(&[][..], |metric| compared(metric.kind));
        let unit = runs.iter().find_map(|run| run.metrics.0.get(key)).map_or("", Value::unit);
        let figure = |statistic: &&str| Figure {
            metric: key.to_string(),
            statistic: (*statistic).to_owned(),
            unit: unit.to_owned(),
            values: runs.iter().map(|run| value(run.metrics.0.get(key)?, statistic)).collect(),
        };
        statistics.iter().map(figure).collect::<Vec<_>>()
    };
    keys.into_iter().flat_map(of_key).collect()
}

fn tells(key: &Key) -> bool {
    let is_excepted = |except: &Option<(&str, &str)>| {
        except.is_some_and(|(label, value)| key.labels.get(label).is_some_and(|own| own == value))
    };
    TELLING.iter().any(|(metric, except)| *metric == key.name && !is_excepted(except))
}

fn value(value: &Value, statistic: &str) -> Option<f64> {
    let figure = value.figures().into_iter().find(|(name, _)| *name == statistic).map(|(_, figure)| rounded(figure));
    figure.or(value.unended().map(|_| f64::INFINITY))
}

/// To seven significant digits, so that baselines are short.
fn rounded(value: f64) -> f64 {
    format!("{value:.6e}").parse().expect("a number that was written can be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::outcome::InvariantResult;

    #[test]
    fn laws_that_runs_broke_are_told_with_their_seed() {
        let law = |violations, first: Option<&str>| InvariantResult {
            name: "scheduler.capacity",
            checks: 9,
            violations,
            first: first.map(str::to_owned),
        };
        let run = |seed, law| Outcome { invariants: vec![law], ..Outcome::empty(seed) };
        let told = broken(&[run(1, law(0, None)), run(2, law(3, Some("node n1 at 5 s")))]);
        assert_eq!(told, ["scheduler.capacity in seed 2, 3 times, first: node n1 at 5 s"]);
    }
}
