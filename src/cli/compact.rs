//! `cossim compact`.

use super::Capacity;
use super::Exit;
use super::interrupt;
use super::output::Output;
use super::progress::Lines;
use super::run::{Runnable, load};
use crate::analysis::batch::Wish;
use crate::analysis::compact::{Trials, compact};
use crate::analysis::run::RunError;
use crate::report::cell;

pub(super) fn execute(wish: &Capacity, trials: Trials, output: &mut Output) -> Exit {
    interrupt::listen();
    let Some(Runnable { lowered, .. }) = load(&wish.scenario, &wish.edits, output) else { return Exit::Wrong };
    let mut lines = Lines::new(wish.quiet);
    let cells = compact(&lowered.world, trials, wish.threads, &mut |done, all| {
        lines.show(output, || format!("{done} of {all} trials"));
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    lines.finish();
    let cells = match cells {
        Ok(cells) => cells,
        Err(RunError::Interrupted) => {
            output.say("interrupted: there is no answer yet");
            return Exit::Interrupted;
        }
        Err(error) => {
            output.say(&format!("cossim broke its own promise: {error}\nplease report this with the scenario"));
            return Exit::Broken;
        }
    };
    if cells.is_empty() {
        let message = format!("error[E097]: `{}` registers no job at the start", wish.scenario.display());
        output.say(&format!("{message}\nhint: there is nothing to pack; add some to `jobs`"));
        return Exit::Wrong;
    }
    let show = if wish.json { cell::compacted_json } else { cell::compacted_text };
    output.data(&show(&lowered.world, &cells));
    if cells.iter().all(|cell| !cell.needed.is_empty()) { Exit::Fine } else { Exit::Failed }
}
