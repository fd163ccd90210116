//! `cossim quality`.

use super::Exit;
use super::Quality;
use super::interrupt;
use super::output::Output;
use crate::analysis::batch::Wish;
use crate::analysis::quality::baseline;
use crate::analysis::quality::judge::{Judged, judge};
use crate::analysis::quality::{Scores, SuiteError, Workload, play, workloads};
use crate::analysis::run::RunError;
use crate::report::quality::{scores, verdicts};

pub(super) fn execute(quality: &Quality, output: &mut Output) -> Exit {
    interrupt::listen();
    let suite = match workloads(&quality.folder, &quality.edits) {
        Ok(suite) => suite,
        Err(SuiteError::Wrong { shown }) => {
            output.say(shown.trim_end());
            return Exit::Wrong;
        }
        Err(error) => {
            let hint = match error {
                SuiteError::Twice { .. } => "each needs a `name` of its own, which its baseline is called after",
                SuiteError::Unreadable { .. } | SuiteError::Empty { .. } | SuiteError::Wrong { .. } => {
                    "name a folder of workloads: `cossim quality FOLDER`"
                }
            };
            output.say(&format!("error[E120]: {error}\nhint: {hint}"));
            return Exit::Wrong;
        }
    };
    let renew = format!("write the baselines anew with `cossim quality {} --save`", quality.folder.display());
    // Read before anything is run: a baseline that is missing should not cost a run.
    let names = suite.iter().map(|workload| &*workload.name);
    let before = if quality.save { Ok(Vec::new()) } else { baseline::read_all(&quality.folder, names) };
    let before = match before {
        Ok(before) => before,
        Err(error) => {
            output.say(&format!("error[E121]: {error}\nhint: {renew}"));
            return Exit::Wrong;
        }
    };
    if !quality.save
        && let Ok(Some(orphan)) =
            baseline::without_workload(&quality.folder, suite.iter().map(|workload| &*workload.name))
    {
        let said = format!("error[E121]: no workload belongs to `{}`: nobody would look after it", orphan.display());
        output.say(&format!("{said}\nhint: bring its workload back, or remove the baseline too"));
        return Exit::Wrong;
    }
    let now = match play_all(quality, &suite, output) {
        Ok(now) => now,
        Err(exit) => return exit,
    };
    if quality.save {
        return match now.iter().flat_map(|scores| &scores.broken).next() {
            // What breaks laws is nothing to hold others to.
            Some(law) => {
                output.say(&format!("nothing was written: a law is broken, {law}"));
                Exit::Failed
            }
            None => save(quality, &now, output),
        };
    }
    match judge(&before, &now) {
        Ok(found) => {
            output.data(&verdicts(&found, quality.all));
            if found.iter().any(Judged::is_worse) {
                Exit::Failed
            } else if found.iter().any(Judged::is_undecided) {
                Exit::Undecided
            } else {
                Exit::Fine
            }
        }
        Err(mismatch) => {
            output.say(&format!("error[E121]: {mismatch}\nhint: {renew}"));
            Exit::Wrong
        }
    }
}

fn play_all(quality: &Quality, suite: &[Workload], output: &mut Output) -> Result<Vec<Scores>, Exit> {
    let mut all = Vec::new();
    for (workload, number) in suite.iter().zip(1..) {
        if !quality.quiet {
            output.say(&format!("{number} of {}: {}, {} seeds", suite.len(), workload.name, workload.seeds));
        }
        let wish = |_: &[_]| if interrupt::requested() { Wish::Stop } else { Wish::GoOn };
        match play(workload, quality.threads, wish) {
            Ok(scores) => all.push(scores),
            Err(RunError::Interrupted) => {
                output.say("interrupted: nothing was written");
                return Err(Exit::Interrupted);
            }
            Err(error) => {
                output.say(&format!("cossim broke its own promise: {error}\nplease report this with the workload"));
                return Err(Exit::Broken);
            }
        }
    }
    Ok(all)
}

fn save(quality: &Quality, now: &[Scores], output: &mut Output) -> Exit {
    for scores in now {
        if let Err(error) = baseline::write(&baseline::path(&quality.folder, &scores.workload), scores) {
            output.say(&format!("error[E121]: {error}\nhint: free some space, or make the folder writable"));
            return Exit::Wrong;
        }
    }
    output.data(&scores(now));
    Exit::Fine
}
