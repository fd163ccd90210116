//! A sweep in shards: `plan`, `run`, `merge`, `emit`.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use super::Stopped;
use super::args::EmitStep;
use super::args::EngineName;
use super::args::Here;
use super::args::MergeStep;
use super::args::PlanStep;
use super::args::RunStep;
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::plan::Checked;
use crate::analysis::sweep::table::Swept;
use crate::cli::Exit;
use crate::cli::interrupt;
use crate::cli::output::Output;
use crate::report::sweep::emit::Job;
use crate::report::sweep::folder::Folder;
use crate::report::sweep::store;
use crate::report::sweep::store::PlanFile;
use crate::report::sweep::store::Store;

pub(super) fn plan(step: &PlanStep, output: &mut Output) -> Result<Exit, Stopped> {
    interrupt::end_at_once();
    PlanFile::has_place_in(&step.out)?;
    let checked = super::planned(&step.space, None, output)?;
    interrupt::listen();
    let plan = PlanFile::of(&checked, step.shards as usize);
    plan.write(&step.out)?;
    output.data(&format!(
        "sweep {}: {} points with {} seeds, {} runs in {} shards\n",
        plan.sweep,
        checked.layout.values.len(),
        checked.plan.seeds.len(),
        plan.runs,
        plan.shards,
    ));
    Ok(Exit::Fine)
}

/// A plan as it was written, checked again.
fn read(folder: &Path, threads: Option<usize>) -> Result<(PlanFile, Checked), Stopped> {
    let file = PlanFile::read(folder)?;
    let unknown = || {
        let hint = "make the plan anew with `cossim sweep plan`".to_owned();
        Stopped::Asked("E102", format!("the plan in `{}` names an unknown design", folder.display()), hint)
    };
    let checked = file.plan().ok_or_else(unknown)?.check(threads)?;
    let again = PlanFile::of(&checked, file.shards);
    if again.sweep != file.sweep {
        return Err(Stopped::Broken(format!("the plan {} comes to {} when it is read again", file.sweep, again.sweep)));
    }
    Ok((file, checked))
}

pub(super) fn run(step: &RunStep, output: &mut Output) -> Result<Exit, Stopped> {
    interrupt::end_at_once();
    let threads = step.threads.map(usize::from);
    let (plan, checked) = read(&step.plan, threads)?;
    interrupt::listen();
    let store = Store::open(&step.out, &plan, &checked)?;
    let shard = (step.shard.index..checked.runs()).step_by(step.shard.count);
    let missing = store.missing(shard.clone())?;
    let go_on = "the same command goes on from there".to_owned();
    super::make(&checked, &store, &missing, threads, step.quiet, go_on, output)?;
    if !step.quiet {
        let all = shard.count();
        let (index, count) = (step.shard.index, step.shard.count);
        output.say(&format!(
            "shard {index}/{count} of sweep {}: {} runs made, {} were there before",
            plan.sweep,
            missing.len(),
            all - missing.len(),
        ));
    }
    Ok(Exit::Fine)
}

pub(super) fn merge(step: &MergeStep, output: &mut Output) -> Result<Exit, Stopped> {
    let mut folders = Vec::new();
    for results in &step.results {
        folders.push(store::only_sweep(results, step.sweep.as_deref())?);
    }
    let (plan, checked) = read(&folders[0], None)?;
    let mut stores = Vec::new();
    for folder in &folders {
        let other = PlanFile::read(folder)?;
        if other.sweep != plan.sweep {
            let message = format!(
                "`{}` holds runs of sweep {}, and `{}` of {}",
                folders[0].display(),
                plan.sweep,
                folder.display(),
                other.sweep
            );
            let hint = "merge shards of one plan; `plan.json` beside the runs says which they are of".to_owned();
            return Err(Stopped::Asked("E102", message, hint));
        }
        let store = store::of_folder(folder, &plan, &checked);
        store.check_strays(checked.runs())?;
        stores.push(store);
    }
    let here = Here { out: step.out.clone(), resume: false, json: step.json, quiet: step.quiet };
    let target = here.target(&checked.name, "sweep");
    let swept = together(checked, &plan, &stores)?;
    let folder = Folder::open(&target)?;
    folder.work(&plan, false)?;
    let findings = Findings::of(&swept);
    folder.write(&swept, &findings)?;
    Ok(super::finish(&swept, &findings, &target, &here, output))
}

/// The runs of several folders; each is taken from the first that has it.
pub(super) fn together(checked: Checked, plan: &PlanFile, stores: &[Store]) -> Result<Swept, Stopped> {
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for run in 0..checked.runs() {
        let mut found = None;
        for store in stores {
            found = store.load(run)?;
            if found.is_some() {
                break;
            }
        }
        match found {
            Some(row) => rows.push(row),
            None => missing.push(run),
        }
    }
    if missing.is_empty() {
        return Ok(Swept { sweep: checked, digest: plan.sweep.clone(), rows });
    }
    Err(holes(&missing, plan))
}

/// Runs that are missing, and the shards that have to be run again.
fn holes(missing: &[usize], plan: &PlanFile) -> Stopped {
    let mut shards: Vec<usize> = missing.iter().map(|run| run % plan.shards).collect();
    shards.sort_unstable();
    shards.dedup();
    let mut named = String::new();
    for (index, shard) in shards.iter().take(SHOWN).enumerate() {
        let _ = write!(named, "{}{shard}/{}", if index == 0 { "" } else { ", " }, plan.shards);
    }
    if shards.len() > SHOWN {
        let _ = write!(named, " and {} more", shards.len() - SHOWN);
    }
    let message = format!("{} of {} runs are missing", missing.len(), plan.runs);
    let hint = format!("run again `cossim sweep run` with `--shard` {named}; runs that are there are not repeated");
    Stopped::Asked("E104", message, hint)
}

/// Shards named in a message.
const SHOWN: usize = 12;

pub(super) fn emit(step: &EmitStep, output: &mut Output) -> Result<Exit, Stopped> {
    let plan = PlanFile::read(&step.plan)?;
    let contained = matches!(step.engine, EngineName::Kubernetes | EngineName::Nomad);
    let named = |there: &Option<String>, contained_at: &str, otherwise: PathBuf| match there {
        Some(there) => there.clone(),
        None if contained => contained_at.to_owned(),
        None => otherwise.to_string_lossy().into_owned(),
    };
    let job = Job {
        name: Job::named(plan.scenario(), &plan.sweep),
        plan: named(&step.plan_there, "/sweep/plan", step.plan.clone()),
        results: named(&step.results_there, "/sweep/results", PathBuf::from("results")),
        shards: step.shards.map_or(plan.shards, |shards| shards as usize),
        program: step.program.clone(),
        image: step.image.clone(),
    };
    output.data(&job.describe(step.engine.engine()));
    Ok(Exit::Fine)
}
