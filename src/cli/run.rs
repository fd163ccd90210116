//! `cossim run`.

use std::path::PathBuf;
use std::sync::Arc;

use super::Exit;
use super::Run;
use super::Seeds;
use super::interrupt;
use super::output::Output;
use super::place::overlap;
use super::progress::Progress;
use crate::analysis::batch::Wish;
use crate::analysis::ensemble::{Ensemble, Plan, run_all};
use crate::analysis::judge::{cases, judge, windows};
use crate::analysis::replay::{Replay, replay as replay_seed};
use crate::analysis::run::{RunError, Shared};
use crate::analysis::sequential::{next_count, stopping};
use crate::analysis::summary::Summary;
use crate::analysis::summary::sensitivity::{self, Sensitivity};
use crate::measure::outcome::Outcome;
use crate::report::folder::{Folder, FolderError, OTHER_SCENARIO_HINT, SENSITIVITY_HINT};
use crate::report::text::quoted;
use crate::report::{json, text};
use crate::scenario;
use crate::scenario::Loaded;
use crate::scenario::lower::Lowered;
use crate::scenario::parameters::Parameter;

pub(super) fn execute(run: &Run, output: &mut Output) -> Exit {
    interrupt::listen();
    let Some(loaded) = load(&run.scenario, &run.edits, output) else { return Exit::Wrong };
    simulate(run, loaded, output)
}

/// A scenario that can be run.
pub(super) struct Runnable {
    pub(super) lowered: Lowered,
    /// Its fingerprint.
    pub(super) digest: String,
    /// What was read: the scenario and the files it names. Options of the command line are among them.
    pub(super) files: Vec<PathBuf>,
    /// The file as it was read.
    text: Option<String>,
}

/// Loads a scenario and says what is wrong with it; `None` if it cannot be run.
pub(super) fn load(path: &std::path::Path, edits: &[String], output: &mut Output) -> Option<Runnable> {
    let loaded = scenario::load(path, edits);
    say_findings(&loaded, output);
    let (digest, text) = (loaded.digest(), loaded.sources.texts().next().map(str::to_owned));
    let files = loaded.sources.names().map(PathBuf::from).collect();
    loaded.lowered.map(|lowered| Runnable { lowered, digest, files, text })
}

/// Prints all findings and how many there are.
pub(super) fn say_findings(loaded: &Loaded, output: &mut Output) {
    if loaded.findings.is_empty() {
        return;
    }
    output.say(loaded.sources.render(&loaded.findings, super::coloured()).trim_end());
    let errors = loaded.errors();
    let warnings = loaded.findings.len() - errors;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    output.say(&format!("\n{}, {}", plural(errors, "error"), plural(warnings, "warning")));
}

/// Runs every seed and writes the report.
fn simulate(run: &Run, scenario: Runnable, output: &mut Output) -> Exit {
    let Runnable { lowered, digest, text: as_read, .. } = scenario;
    let sensitivity = match run.sensitivity.as_deref().map(|folder| analysed(folder, &digest)).transpose() {
        Ok(sensitivity) => sensitivity,
        Err(message) => {
            output.say(&message);
            return Exit::Wrong;
        }
    };
    let target = run.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(&*lowered.world.name));
    let kept = run.baseline.as_ref().map(|name| run.baselines.join(name));
    if let Some(kept) = kept.as_deref().filter(|kept| overlap(kept, &target)) {
        output.say(&within(kept, &target));
        return Exit::Wrong;
    }
    // Opened before the run starts: a folder that cannot be written should not cost a run.
    let Some(folder) = open(&target, "--out", output) else { return Exit::Wrong };
    let baseline = match kept {
        None => None,
        Some(kept) => match Folder::open_baseline(&kept) {
            Ok((folder, older)) => Some((kept, older, folder)),
            Err(error) => {
                output.say(&unusable(&error, "--save-baseline` or `--baselines"));
                return Exit::Wrong;
            }
        },
    };
    let work = Work { seeds: run.seeds, threads: run.threads, explains: run.explain, quiet: run.quiet };
    let mut ensemble = match ensemble(lowered, digest, work, output) {
        Ok(ensemble) => ensemble,
        Err(exit) => return exit,
    };
    ensemble.arguments = arguments(run);
    ensemble.asked_seeds = run.seeds.option();
    ensemble.file = run.scenario.to_string_lossy().into_owned();
    ensemble.edits.clone_from(&run.edits);
    ensemble.text = as_read;
    ensemble.sensitivity = sensitivity;
    let kept = baseline.map(|(kept, older, folder)| folder.write_baseline(&ensemble).map(|()| (kept, older)));
    let written = folder.write(&ensemble).and_then(|_| kept.transpose());
    let kept = match written {
        Ok(kept) => kept,
        Err(error) => {
            output.say(&format!(
                "error[E091]: {error}\nhint: free some space or choose another folder with `--out` or `--baselines`"
            ));
            return Exit::Wrong;
        }
    };
    if run.json {
        output.data(&json::text(&Summary::new(&ensemble)));
    } else {
        output.data(&text::render(&ensemble));
    }
    if !run.quiet {
        output.say(&format!("report in {}", target.display()));
    }
    // What is lost is said even to those who want to hear nothing.
    match kept {
        Some((kept, Some(older))) => output.say(&format!("baseline in {} replaced: it was {older}", kept.display())),
        Some((kept, None)) if !run.quiet => output.say(&format!("baseline in {}", kept.display())),
        Some(_) | None => {}
    }
    if ensemble.passed() { Exit::Fine } else { Exit::Failed }
}

/// That a baseline and a report would replace each other: each is written as a whole folder.
fn within(baseline: &std::path::Path, report: &std::path::Path) -> String {
    format!(
        "error[E090]: the baseline in `{}` and the report in `{}` would be one folder, or one within the other\nhint: \
         choose another folder with `--out` or `--baselines`",
        baseline.display(),
        report.display()
    )
}

/// The sensitivity analysis in a folder, of the scenario with this digest; or what to say.
fn analysed(folder: &std::path::Path, digest: &str) -> Result<Sensitivity, String> {
    let refused = |error: &dyn std::fmt::Display, hint: &str| format!("error[E098]: {error}\nhint: {hint}");
    let found = sensitivity::in_folder(folder).map_err(|error| refused(&error, SENSITIVITY_HINT))?;
    let apart = |error| refused(&format!("`{}`: {error}", folder.display()), OTHER_SCENARIO_HINT);
    found.check(digest).map_err(apart)?;
    Ok(found)
}

fn open(target: &std::path::Path, option: &str, output: &mut Output) -> Option<Folder> {
    Folder::open(target).inspect_err(|error| output.say(&unusable(error, option))).ok()
}

/// That a folder cannot be used.
fn unusable(error: &FolderError, option: &str) -> String {
    let hint = match error {
        FolderError::NoBaseline { .. } => "choose another name, or move what is there elsewhere".to_owned(),
        FolderError::Baseline { .. } => format!("choose another folder with `{option}`, or remove the baseline first"),
        FolderError::Write { .. } | FolderError::Taken { .. } => {
            format!("choose a folder you can write to with `{option}`")
        }
    };
    format!("error[E090]: {error}\nhint: {hint}")
}

/// How seeds are run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub seeds: Seeds,
    pub threads: Option<usize>,
    pub explains: bool,
    pub quiet: bool,
}

/// Runs the seeds of a scenario, with progress; the exit code if that comes to nothing, which was said.
pub(super) fn ensemble(lowered: Lowered, digest: String, work: Work, output: &mut Output) -> Result<Ensemble, Exit> {
    let Lowered { world, seeds, precision, expectations, group_by, parameters, .. } = lowered;
    let spec = Arc::new(world);
    let facts = group_by.iter().flat_map(|by| &by.facts);
    let mut plan = Plan {
        spec: Arc::clone(&spec),
        windows: windows(expectations.iter().chain(facts)),
        seeds: work.seeds.list(seeds),
        threads: work.threads,
        explains: work.explains,
    };
    let precision = precision.filter(|_| work.seeds == Seeds::Scenario);
    let mut runs = outcomes(&plan, work.quiet, output)?;
    while let Some(count) = precision.and_then(|precision| next_count(precision, &expectations, &runs)) {
        plan.seeds = (runs.len() as u64 + 1..=u64::from(count)).collect();
        runs.extend(outcomes(&plan, work.quiet, output)?);
    }
    let verdicts = judge(&expectations, &runs);
    let stopping = precision.map(|precision| stopping(precision, &expectations, &runs));
    let names = group_by.map(|by| cases(&by, &runs));
    let assumed = parameters.into_iter().filter(Parameter::is_assumed).collect();
    let mut ensemble = Ensemble { stopping, assumed, ..Ensemble::new(&spec, digest, runs, verdicts) };
    if let Some(names) = names {
        ensemble.group(names);
    }
    Ok(ensemble)
}

fn outcomes(plan: &Plan, quiet: bool, output: &mut Output) -> Result<Vec<Outcome>, Exit> {
    let mut progress = Progress::new(&plan.seeds, plan.spec.duration, quiet);
    let outcomes = run_all(plan, |runs| {
        progress.show(runs, output);
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    progress.finish();
    outcomes.map_err(|error| match error {
        RunError::Interrupted => {
            output.say("interrupted: nothing was written");
            Exit::Interrupted
        }
        error => {
            output.say(&format!("cossim broke its own promise: {error}\nplease report this with the scenario"));
            Exit::Broken
        }
    })
}

/// The scenario and its edits, as a shell takes them.
fn arguments(run: &Run) -> String {
    let mut words = vec![quoted(&run.scenario.to_string_lossy())];
    words.extend(run.edits.iter().map(|edit| format!("--set {}", quoted(edit))));
    words.join(" ")
}

/// Runs the first seed twice and compares; `quiet` says nothing if they are the same.
pub(super) fn replay(lowered: &Lowered, quiet: bool, output: &mut Output) -> Exit {
    let spec = Arc::new(lowered.world.clone());
    match replay_seed(&spec, 1, &Shared::default()) {
        Ok(Replay::Same { digest, events }) => {
            if !quiet {
                output.data(&format!("replay  seed 1 twice: {events} events, digest {digest:016x} both times\n"));
            }
            Exit::Fine
        }
        Ok(Replay::Differ { event, first, second }) => {
            output.data(&format!("replay  seed 1 differs at event {event}\n  first   {first}\n  second  {second}\n"));
            Exit::Broken
        }
        Err(error) => {
            output.say(&format!("cossim broke its own promise: {error}"));
            Exit::Broken
        }
    }
}
