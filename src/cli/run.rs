//! `cossim run`.

use super::Exit;
use super::Run;
use super::interrupt;
use super::output::Output;
use crate::scenario;
use crate::scenario::Loaded;
use crate::scenario::lower::Lowered;

pub(super) fn execute(run: &Run, output: &mut Output) -> Exit {
    interrupt::listen();
    let Some(lowered) = load(&run.scenario, &run.edits, output) else { return Exit::Wrong };
    simulate(run, &lowered, output)
}

/// Loads a scenario and says what is wrong with it; `None` if it cannot be run.
pub(super) fn load(path: &std::path::Path, edits: &[String], output: &mut Output) -> Option<Lowered> {
    let loaded = scenario::load(path, edits);
    say_findings(&loaded, output);
    loaded.lowered
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
fn simulate(run: &Run, lowered: &Lowered, output: &mut Output) -> Exit {
    let seeds = run.seeds.list(lowered.seeds);
    output.say(&format!("`{}` is fine; this build has no engine to run its {} seeds", lowered.world.name, seeds.len()));
    Exit::Broken
}

/// Runs the first seed twice and compares.
pub(super) fn replay(lowered: &Lowered, output: &mut Output) -> Exit {
    output.say(&format!("this build has no engine to replay `{}`", lowered.world.name));
    Exit::Broken
}
