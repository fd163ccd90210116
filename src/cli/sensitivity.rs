//! `cossim sensitivity`: a screening of everything that is varied, then variance-based indices of what matters.

use std::path::Path;

use serde_json::json;

use super::Exit;
use super::interrupt;
use super::output::Output;
use super::sweep::Stopped;
use super::sweep::args::DesignName;
use super::sweep::args::Here;
use super::sweep::args::Sensitivity as Asked;
use super::sweep::args::Space;
use super::sweep::carry_out;
use super::sweep::planned;
use crate::analysis::summary::sensitivity::{FILE, Sensitivity};
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::plan::Checked;
use crate::analysis::sweep::table::Swept;
use crate::report::sweep::folder::FolderError;
use crate::report::sweep::json::SweepSummary;
use crate::report::sweep::store::{StoreError, write_whole};
use crate::report::sweep::text;
use crate::scenario;
use crate::scenario::parameters::Parameter;
use crate::scenario::vary;

pub(super) fn execute(asked: &Asked, output: &mut Output) -> Exit {
    interrupt::end_at_once();
    both(asked, output).unwrap_or_else(|stopped| stopped.say(output))
}

/// Removes the result of an older analysis: until this one is complete, there is none.
fn give_up_older(target: &Path) -> Result<(), Stopped> {
    let path = target.join(FILE);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    let ours = serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|value| ["cossim", "scenario_digest"].iter().all(|key| value.get(key).is_some()));
    if !ours {
        return Err(FolderError::Taken(path).into());
    }
    std::fs::remove_file(&path).map_err(|cause| StoreError::File { verb: "write", path, cause }.into())
}

type Stage = (Swept, Findings);

fn both(asked: &Asked, output: &mut Output) -> Result<Exit, Stopped> {
    let design = Design::Morris { trajectories: asked.trajectories as usize };
    let checked = screening(asked, design, output)?;
    let target = asked.here.target(&checked.name, "sensitivity");
    interrupt::listen();
    give_up_older(&target)?;
    let digest = scenario::load(&asked.scenario, &asked.set).digest();
    let threads = asked.threads.map(usize::from);
    let (screened, findings, folder) = carry_out(checked, &target.join("screening"), &asked.here, threads, output)?;
    let matter = findings.that_matter();
    let indices = if matter.is_empty() {
        output.say(if findings.screenings.iter().any(|screening| !screening.lucky().is_empty()) {
            "nothing that was varied is seen to matter: what differs may be luck, which more seeds tell (`--seeds`)"
        } else {
            "nothing that was varied matters: there is no variance to share out"
        });
        None
    } else {
        let vary = matter.iter().map(|&dimension| screened.sweep.plan.vary[dimension].clone()).collect();
        let space = space(asked, vary);
        let checked = planned(&space, Some(Design::Sobol { rows: asked.rows as usize }), output)?;
        let (swept, findings, folder) = carry_out(checked, &target.join("indices"), &asked.here, threads, output)?;
        folder.done()?;
        Some((swept, findings))
    };
    let found =
        Sensitivity::new(digest, (&screened, &findings), indices.as_ref().map(|(swept, findings)| (swept, findings)));
    write_whole(&target.join(FILE), found.text().as_bytes())?;
    // Only now: until the second stage is complete, the runs of the first are what `--resume` goes on from.
    folder.done()?;
    Ok(show(&(screened, findings), indices.as_ref(), &target, &asked.here, output))
}

/// The screening's plan; without anything to vary, what the scenario assumes is varied.
fn screening(asked: &Asked, design: Design, output: &mut Output) -> Result<Checked, Stopped> {
    if !asked.vary.is_empty() {
        return planned(&space(asked, asked.vary.clone()), Some(design), output);
    }
    let loaded = scenario::load(&asked.scenario, &asked.set);
    let vary = match &loaded.lowered {
        Some(lowered) if !lowered.vary.is_empty() => lowered.vary.clone(),
        Some(lowered) => lowered.parameters.iter().filter_map(plausible).collect(),
        // What is wrong is said when it is planned.
        None => Vec::new(),
    };
    planned(&space(asked, vary), Some(design), output)
}

/// What cannot be ruled out of an assumed value: what the table says, or from half of it to twice of it.
fn plausible(parameter: &Parameter) -> Option<String> {
    if !parameter.is_assumed() {
        return None;
    }
    if !parameter.plausible.is_empty() {
        return Some(format!("{}={}", parameter.path, parameter.plausible));
    }
    vary::around(&parameter.value, 2.0).map(|range| format!("{}={range}", parameter.path))
}

fn space(asked: &Asked, vary: Vec<String>) -> Space {
    Space {
        scenario: asked.scenario.clone(),
        vary,
        design: DesignName::Morris,
        samples: None,
        design_seed: asked.design_seed,
        metric: asked.metric.clone(),
        seed: None,
        seeds: asked.seeds,
        set: asked.set.clone(),
        threads: asked.threads,
    }
}

fn show(screened: &Stage, indices: Option<&Stage>, target: &Path, here: &Here, output: &mut Output) -> Exit {
    let stages = [("screening", Some(screened)), ("indices", indices)];
    if here.json {
        let summary = |stage: &Stage| SweepSummary::new(&stage.0, &stage.1);
        let value = json!({ "schema": 1, "screening": summary(screened), "indices": indices.map(summary) });
        let text = serde_json::to_string_pretty(&value).expect("summaries are plain JSON");
        output.data(&format!("{text}\n"));
    } else {
        let texts = stages.iter().filter_map(|(_, stage)| *stage).map(|(swept, findings)| text::brief(swept, findings));
        output.data(&texts.collect::<Vec<_>>().join("\n"));
    }
    if !here.quiet {
        output.say(&format!("results in {}; `cossim run --sensitivity` takes that folder", target.display()));
    }
    let violations: u64 = stages.iter().filter_map(|(_, stage)| *stage).map(|(swept, _)| swept.violations()).sum();
    if violations == 0 { Exit::Fine } else { Exit::Failed }
}
