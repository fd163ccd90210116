//! `cossim sweep`: the same scenario at many points, in this process or in shards that need no talking.
//!
//! Both ways are one: a plan, runs that are kept as they end, a merge. A sweep in one process plans, makes all runs and
//! merges; shards make some of the runs each, wherever they are. That is why the bytes are the same.

pub mod args;
mod progress;
mod shards;

use std::path::Path;
use std::path::PathBuf;

use super::Exit;
use super::Seeds;
use super::interrupt;
use super::output::Output;
use crate::analysis::batch::Wish;
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::plan::Checked;
use crate::analysis::sweep::plan::Plan;
use crate::analysis::sweep::plan::PlanError;
use crate::analysis::sweep::table::Swept;
use crate::analysis::sweep::work;
use crate::analysis::sweep::work::WorkError;
use crate::report::sweep::folder::Folder;
use crate::report::sweep::folder::FolderError;
use crate::report::sweep::folder::summary;
use crate::report::sweep::json::SweepSummary;
use crate::report::sweep::store::PlanFile;
use crate::report::sweep::store::Store;
use crate::report::sweep::store::StoreError;
use crate::report::sweep::text;
use crate::scenario::Loaded;
use crate::scenario::locate::lies_within;
use crate::scenario::lower::Lowered;
use crate::scenario::parse;
use args::DesignName;
use args::Here;
use args::Space;
use args::Step;
use args::Sweep;
use progress::Progress;

pub(super) fn execute(sweep: &Sweep, output: &mut Output) -> Exit {
    let result = match &sweep.step {
        Some(Step::Plan(step)) => shards::plan(step, output),
        Some(Step::Run(step)) => shards::run(step, output),
        Some(Step::Merge(step)) => shards::merge(step, output),
        Some(Step::Emit(step)) => shards::emit(step, output),
        None => whole(sweep, output),
    };
    result.unwrap_or_else(|stopped| stopped.say(output))
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It was said already.
    Said(Exit),
    /// A folder or file.
    Folder(FolderError),
    /// Anything else that is wrong with what was asked: code, message, way out.
    Asked(&'static str, String, String),
    /// The plan.
    Plan(Box<PlanError>),
    /// Ctrl-C: runs that were made and are kept, runs that are left, and how to go on.
    Interrupted(usize, usize, String),
    /// A promise of our own.
    Broken(String),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Folder(error.into())
    }
}

impl From<FolderError> for Stopped {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<PlanError> for Stopped {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl Stopped {
    pub(super) fn say(self, output: &mut Output) -> Exit {
        let mut error = |code: &str, message: String, hint: String| {
            output.say(&format!("error[{code}]: {message}\nhint: {hint}"));
            Exit::Wrong
        };
        match self {
            Self::Said(exit) => exit,
            Self::Folder(cause) => error("E102", cause.to_string(), cause.hint()),
            Self::Asked(code, message, hint) => error(code, message, hint),
            Self::Plan(cause) => plan_error(*cause, output),
            Self::Interrupted(kept, left, how) => {
                output.say(&format!("interrupted: {kept} runs were made and are kept, {left} are left; {how}"));
                Exit::Interrupted
            }
            Self::Broken(cause) => {
                output.say(&format!("cossim broke its own promise: {cause}\nplease report this with the scenario"));
                Exit::Broken
            }
        }
    }
}

fn plan_error(error: PlanError, output: &mut Output) -> Exit {
    match error {
        PlanError::Vary(loaded) => super::run::say_findings(&loaded, output),
        PlanError::Scenario { point, loaded } => {
            super::run::say_findings(&loaded, output);
            if let Some((point, count)) = point {
                output.say(&format!("at point {} of {count}; nothing was run", point + 1));
            }
        }
        PlanError::Design(error) => output.say(&format!("error[E101]: {error}\nhint: {}", error.hint())),
        PlanError::Measure { text, reason, hint } => {
            let hint = hint.unwrap_or_else(|| "`cossim list metrics` shows all".to_owned());
            output.say(&format!("error[E103]: `--metric '{text}'` is not understood: {reason}\nhint: {hint}"));
        }
        PlanError::Unlike { point } => output.say(&format!(
            "error[E103]: point {} expects something else to be measured than point 1\n\
             hint: vary what is simulated, not what is measured",
            point + 1
        )),
    }
    Exit::Wrong
}

/// The plan of what was asked, with every point checked.
pub(super) fn planned(space: &Space, design: Option<Design>, output: &mut Output) -> Result<Checked, Stopped> {
    let loaded = crate::scenario::load(&space.scenario, &space.set);
    let Loaded { lowered: Some(lowered), .. } = &loaded else {
        super::run::say_findings(&loaded, output);
        return Err(Stopped::Said(Exit::Wrong));
    };
    super::run::say_findings(&loaded, output);
    let vary = if space.vary.is_empty() { lowered.vary.clone() } else { space.vary.clone() };
    if let Some(both) = set_and_varied(&space.set, &vary) {
        let message = format!("`{both}` is both set and varied");
        return Err(Stopped::Asked("E100", message, "leave its `--set` out, or do not vary it".to_owned()));
    }
    let given = design.is_some();
    let design = match design {
        Some(design) => design,
        None => chosen(space, vary.len())?,
    };
    let text = parse::read_text(&space.scenario)
        .map_err(|reason| Stopped::Asked("E001", reason, "the file went away".to_owned()))?;
    // The second stage of an analysis comes with its design, and has said so with the first.
    if !(given && matches!(design, Design::Sobol { .. })) {
        fixed_seeds(lowered, space.seeds()).iter().for_each(|note| output.say(note));
    }
    let plan = Plan {
        file: space.scenario.to_string_lossy().into_owned(),
        text,
        files: crate::base::ordered::OrdMap::new(),
        edits: space.set.clone(),
        vary,
        design,
        design_seed: space.design_seed,
        seeds: space.seeds().list(lowered.seeds),
        measures: space.metric.clone(),
    };
    Ok(plan.gather(space.threads())?)
}

/// The path of an edit that has no effect, because the same value is varied, or one that it is a part of.
fn set_and_varied<'a>(edits: &'a [String], vary: &[String]) -> Option<&'a str> {
    let path = |text: &'a str| text.split_once('=').map_or(text, |(path, _)| path).trim();
    let is_varied = |edited: &&str| {
        vary.iter().filter_map(|varied| varied.split_once('=')).any(|(outer, _)| lies_within(edited, outer.trim()))
    };
    edits.iter().map(|edit| path(edit)).find(is_varied)
}

/// That `seeds: Auto(…)` does not hold here, where every point runs the same seeds; `None` if it is not asked for.
fn fixed_seeds(lowered: &Lowered, seeds: Seeds) -> Option<String> {
    lowered.precision.filter(|_| seeds == Seeds::Scenario)?;
    Some(format!(
        "note: `seeds: Auto(…)` is for `cossim run`; every point runs the same {} seeds, or as many as `--seeds N` says",
        lowered.seeds
    ))
}

/// The design that was typed, with its defaults for so many dimensions.
fn chosen(space: &Space, dimensions: usize) -> Result<Design, Stopped> {
    let samples = |default: usize| space.samples.map_or(default, |samples| samples as usize);
    match (space.design, space.samples) {
        (DesignName::Grid | DesignName::List, Some(_)) => Err(Stopped::Asked(
            "E101",
            format!("a {} has as many points as its values make, and takes no `--samples`", space.design.name()),
            "leave it out, or sample with `--design lhs`, `morris` or `sobol`".to_owned(),
        )),
        (DesignName::Grid | DesignName::List, None) if space.design_seed != 0 => Err(Stopped::Asked(
            "E101",
            format!("nothing is drawn for a {}, and it takes no `--design-seed`", space.design.name()),
            "leave it out, or sample with `--design lhs`, `morris` or `sobol`".to_owned(),
        )),
        (DesignName::Grid, None) => Ok(Design::Grid),
        (DesignName::List, None) => Ok(Design::List),
        // Loeppky, Sacks and Welch 2009: ten points per dimension.
        (DesignName::Lhs, _) => Ok(Design::Latin { points: samples(10 * dimensions) }),
        (DesignName::Morris, _) => Ok(Design::Morris { trajectories: samples(TRAJECTORIES) }),
        (DesignName::Sobol, _) => Ok(Design::Sobol { rows: samples(ROWS) }),
    }
}

/// Trajectories of a screening: Saltelli and others 2004, chapter 4, recommend four to ten.
pub(super) const TRAJECTORIES: usize = 10;
/// Rows of the sample matrices; intervals say whether they were enough.
pub(super) const ROWS: usize = 64;

/// A sweep in this process.
fn whole(sweep: &Sweep, output: &mut Output) -> Result<Exit, Stopped> {
    interrupt::end_at_once();
    let Some(space) = &sweep.space else {
        let hint = "for example `cossim sweep FILE --vary 'options.heartbeat_grace=10s,30s'`".to_owned();
        return Err(Stopped::Asked("E001", "a scenario file is missing".to_owned(), hint));
    };
    let checked = planned(space, None, output)?;
    let target = sweep.here.target(&checked.name, "sweep");
    if sweep.here.resume {
        match Folder::open(&target)?.check_left(&PlanFile::of(&checked, 1)) {
            Err(FolderError::Complete { path }) => return complete(&path, &sweep.here, output),
            left => left?,
        }
    }
    let (swept, findings, folder) = carry_out(checked, &target, &sweep.here, space.threads(), output)?;
    folder.done()?;
    Ok(finish(&swept, &findings, &target, &sweep.here, output))
}

/// There is nothing to go on with: says where the result is, which `--json` prints.
fn complete(target: &Path, here: &Here, output: &mut Output) -> Result<Exit, Stopped> {
    if here.json {
        output.data(&summary(target)?);
    }
    output.say(&format!("nothing is left to be run: the result is in {}", target.display()));
    Ok(Exit::Fine)
}

/// Runs what is missing in the working area of a folder, merges it, and writes the result there. The working area stays
/// until the folder is told that it is [`Folder::done`].
pub(super) fn carry_out(
    checked: Checked,
    target: &Path,
    here: &Here,
    threads: Option<usize>,
    output: &mut Output,
) -> Result<(Swept, Findings, Folder), Stopped> {
    interrupt::listen();
    let folder = Folder::open(target)?;
    let plan = PlanFile::of(&checked, 1);
    let work = folder.work(&plan, here.resume)?;
    let store = Store::open(&work, &plan, &checked)?;
    let missing = store.missing(0..checked.runs())?;
    let go_on = "the same command with `--resume` goes on from there".to_owned();
    make(&checked, &store, &missing, threads, here.quiet, go_on, output)?;
    let swept = shards::together(checked, &plan, std::slice::from_ref(&store))?;
    let findings = Findings::of(&swept);
    folder.write(&swept, &findings)?;
    Ok((swept, findings, folder))
}

/// Makes these runs and keeps each.
fn make(
    checked: &Checked,
    store: &Store,
    missing: &[usize],
    threads: Option<usize>,
    quiet: bool,
    how: String,
    output: &mut Output,
) -> Result<(), Stopped> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut progress = Progress::new(checked, missing, quiet);
    let keep = |run: usize, row: &work::Row| store.keep(run, row).map_err(|error| error.to_string());
    let result = work::make(checked, missing, threads, &keep, |far| {
        progress.show(far, output);
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    progress.finish();
    result.map_err(|error| match error {
        WorkError::Run(crate::analysis::run::RunError::Interrupted) => {
            let left = store.missing(missing.iter().copied()).map_or(missing.len(), |left| left.len());
            Stopped::Interrupted(missing.len() - left, left, how)
        }
        WorkError::Keep(reason) => {
            Stopped::Asked("E102", reason, format!("free some space; what was run so far is kept, and {how}"))
        }
        WorkError::Run(error) => Stopped::Broken(error.to_string()),
    })
}

/// Prints the result and says how it ends.
fn finish(swept: &Swept, findings: &Findings, target: &Path, here: &Here, output: &mut Output) -> Exit {
    if here.json {
        output.data(&SweepSummary::new(swept, findings).text());
    } else {
        output.data(&text::render(swept, findings));
    }
    if !here.quiet {
        output.say(&format!("result in {}", target.display()));
    }
    if swept.violations() == 0 { Exit::Fine } else { Exit::Failed }
}

impl Here {
    /// The folder of the result, by default one of `reports`.
    pub(super) fn target(&self, scenario: &str, what: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(format!("{scenario}-{what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_of_what_is_varied_is_found_however_it_is_written() {
        let of = |edit: &str, varied: &str| set_and_varied(&[edit.to_owned()], &[varied.to_owned()]).map(str::to_owned);
        assert_eq!(of("a[00].n=4", "a[0].n=5,7").as_deref(), Some("a[00].n"));
        assert_eq!(of("a[0].n=4", "a[0]=A(n: 1),A(n: 2)").as_deref(), Some("a[0].n"));
        assert_eq!(of("a[0]=A(n: 1)", "a[0].n=5,7"), None, "its other parts hold");
        assert_eq!(of("a[1].n=4", "a[0].n=5,7"), None);
    }

    #[test]
    fn a_design_that_draws_nothing_takes_no_seed() {
        #[derive(clap::Parser)]
        struct Typed {
            #[command(flatten)]
            space: Space,
        }
        let typed = |arguments: &[&str]| {
            let line = ["sweep", "x.ron"].iter().chain(arguments);
            chosen(&<Typed as clap::Parser>::try_parse_from(line).expect("it parses").space, 2)
        };
        for design in ["grid", "list"] {
            let refused = typed(&["--design", design, "--design-seed", "3"]);
            assert!(
                matches!(&refused, Err(Stopped::Asked("E101", message, _)) if message.contains("no `--design-seed`"))
            );
            assert!(typed(&["--design", design]).is_ok());
        }
        assert!(typed(&["--design", "lhs", "--design-seed", "3"]).is_ok());
    }

    #[test]
    fn that_seeds_are_fixed_is_said_where_the_scenario_leaves_them_open() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/node-crash.ron");
        let load = |seeds: &str| crate::scenario::load(&file, &[format!("seeds={seeds}")]).lowered.expect("it loads");
        let open = load("Auto(half_width: \"5%\", max: 200)");
        let note = fixed_seeds(&open, Seeds::Scenario).expect("ten seeds are not what was asked for");
        assert!(note.contains("the same 10 seeds") && note.contains("--seeds N"), "{note}");
        assert_eq!(fixed_seeds(&open, Seeds::First(4)), None);
        assert_eq!(fixed_seeds(&load("4"), Seeds::Scenario), None);
    }
}
