//! `cossim remove`.

use super::Capacity;
use super::Exit;
use super::interrupt;
use super::output::Output;
use super::progress::Lines;
use super::run::{Runnable, load};
use crate::analysis::batch::Wish;
use crate::analysis::remove::{Gone, RemoveError, Removed, Stage, remove};
use crate::analysis::run::RunError;
use crate::report::cell;

pub(super) fn execute(wish: &Capacity, gone: &Gone, output: &mut Output) -> Exit {
    let Some(Runnable { lowered, .. }) = load(&wish.scenario, &wish.edits, output) else { return Exit::Wrong };
    interrupt::listen();
    let mut lines = Lines::new(wish.quiet);
    let jobs = lowered.world.jobs.len();
    let removed = remove(&lowered.world, gone, &mut |region, stage| {
        lines.show(output, || {
            let region = lowered.world.regions.iter().nth(region).map_or("", |(_, region)| &*region.name);
            match stage {
                Stage::Placing => format!("{region}: placing {jobs} jobs on all machines"),
                Stage::PlacingAgain => format!("{region}: placing again what ran on the machines that go"),
            }
        });
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    lines.finish();
    let regions = match removed {
        Ok(regions) => regions,
        Err(RemoveError::Unknown(unknown)) => {
            output.say(&format!("error[E097]: {unknown}\nhint: {}", unknown.hint));
            return Exit::Wrong;
        }
        Err(RemoveError::Run(RunError::Interrupted)) => {
            output.say("interrupted: there is no answer yet");
            return Exit::Interrupted;
        }
        Err(RemoveError::Run(error)) => {
            output.say(&format!("cossim broke its own promise: {error}\nplease report this with the scenario"));
            return Exit::Broken;
        }
    };
    let show = if wish.json { cell::removed_json } else { cell::removed_text };
    output.data(&show(&lowered.world, &regions));
    if regions.iter().all(Removed::fits) { Exit::Fine } else { Exit::Failed }
}
