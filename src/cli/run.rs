//! `cossim run`.

use std::path::PathBuf;
use std::sync::Arc;

use super::Exit;
use super::Run;
use super::interrupt;
use super::output::Output;
use super::progress::Progress;
use crate::analysis::ensemble::{Ensemble, Plan, Wish, run_all};
use crate::analysis::judge::{judge, windows};
use crate::analysis::replay::{Replay, replay as replay_seed};
use crate::analysis::run::{RunError, Shared};
use crate::analysis::summary::Summary;
use crate::report::folder::Folder;
use crate::report::{json, text};
use crate::scenario;
use crate::scenario::Loaded;
use crate::scenario::lower::Lowered;

pub(super) fn execute(run: &Run, output: &mut Output) -> Exit {
    interrupt::listen();
    let Some((lowered, digest)) = load(&run.scenario, &run.edits, output) else { return Exit::Wrong };
    simulate(run, lowered, digest, output)
}

/// Loads a scenario and says what is wrong with it; `None` if it cannot be run. Also its fingerprint.
pub(super) fn load(path: &std::path::Path, edits: &[String], output: &mut Output) -> Option<(Lowered, String)> {
    let loaded = scenario::load(path, edits);
    say_findings(&loaded, output);
    let digest = loaded.digest();
    loaded.lowered.map(|lowered| (lowered, digest))
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
fn simulate(run: &Run, lowered: Lowered, digest: String, output: &mut Output) -> Exit {
    let Lowered { world, seeds, expectations, .. } = lowered;
    let target = run.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(&*world.name));
    // Opened before the run starts: a folder that cannot be written should not cost a run.
    let folder = match Folder::open(&target) {
        Ok(folder) => folder,
        Err(error) => {
            output.say(&format!("error[E090]: {error}\nhint: choose a folder you can write to with `--out`"));
            return Exit::Wrong;
        }
    };
    let spec = Arc::new(world);
    let plan = Plan {
        spec: Arc::clone(&spec),
        windows: windows(&expectations),
        seeds: run.seeds.list(seeds),
        threads: run.threads,
        explains: run.explain,
    };
    let mut progress = Progress::new(&plan.seeds, spec.duration, run.quiet);
    let outcomes = run_all(&plan, |runs| {
        progress.show(runs, output);
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    progress.finish();
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(RunError::Interrupted) => {
            output.say("interrupted: nothing was written");
            return Exit::Interrupted;
        }
        Err(error) => {
            output.say(&format!("cossim broke its own promise: {error}\nplease report this with the scenario"));
            return Exit::Broken;
        }
    };
    let verdicts = judge(&expectations, &outcomes);
    let mut ensemble = Ensemble::new(&spec, digest, outcomes, verdicts);
    ensemble.arguments = arguments(run);
    ensemble.file = run.scenario.to_string_lossy().into_owned();
    ensemble.edits.clone_from(&run.edits);
    if let Err(error) = folder.write(&ensemble) {
        output.say(&format!("error[E091]: {error}\nhint: free some space or choose another folder with `--out`"));
        return Exit::Wrong;
    }
    if run.json {
        output.data(&json::text(&Summary::new(&ensemble)));
    } else {
        output.data(&text::render(&ensemble));
    }
    if !run.quiet {
        output.say(&format!("report in {}", target.display()));
    }
    if ensemble.passed() { Exit::Fine } else { Exit::Failed }
}

/// The scenario and its edits, as a shell takes them.
fn arguments(run: &Run) -> String {
    let mut words = vec![quoted(&run.scenario.to_string_lossy())];
    words.extend(run.edits.iter().map(|edit| format!("--set {}", quoted(edit))));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-=:,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Runs the first seed twice and compares.
pub(super) fn replay(lowered: &Lowered, output: &mut Output) -> Exit {
    let spec = Arc::new(lowered.world.clone());
    match replay_seed(&spec, 1, &Shared::default()) {
        Ok(Replay::Same { digest, events }) => {
            output.data(&format!("replay  seed 1 twice: {events} events, digest {digest:016x} both times\n"));
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
