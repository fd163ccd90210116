//! `cossim remove`.

use super::Capacity;
use super::Exit;
use super::output::Output;
use super::run::{Runnable, load};
use crate::analysis::remove::{Gone, Removed, remove};
use crate::report::cell;

pub(super) fn execute(wish: &Capacity, gone: &Gone, output: &mut Output) -> Exit {
    let Some(Runnable { lowered, .. }) = load(&wish.scenario, &wish.edits, output) else { return Exit::Wrong };
    let regions = match remove(&lowered.world, gone) {
        Ok(regions) => regions,
        Err(unknown) => {
            output.say(&format!("error[E097]: {unknown}\nhint: {}", unknown.hint));
            return Exit::Wrong;
        }
    };
    let show = if wish.json { cell::removed_json } else { cell::removed_text };
    output.data(&show(&lowered.world, &regions));
    if regions.iter().all(Removed::fits) { Exit::Fine } else { Exit::Failed }
}
