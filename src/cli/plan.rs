//! `cossim plan`.

use super::Capacity;
use super::Exit;
use super::interrupt;
use super::output::Output;
use super::progress::Lines;
use super::run::say_findings;
use crate::analysis::batch::Wish;
use crate::analysis::plan::{PlanError, plan};
use crate::analysis::run::RunError;
use crate::report::fleet::Account;
use crate::scenario::fleet::Fleets;

pub(super) fn execute(wish: &Capacity, output: &mut Output) -> Exit {
    interrupt::listen();
    let (loaded, fleets) = Fleets::load(&wish.scenario, &wish.edits);
    say_findings(&loaded, output);
    let digest = loaded.digest();
    let Some((lowered, fleets)) = loaded.lowered.zip(fleets) else { return Exit::Wrong };
    let Some(spec) = lowered.plan else {
        let message = format!("error[E097]: `{}` has no plan", wish.scenario.display());
        output.say(&format!("{message}\nhint: add `plan: Plan(vary: […])`, as docs/capacity.md shows"));
        return Exit::Wrong;
    };
    if let Some((path, at)) = fleets.overridden(&wish.edits) {
        let message = format!("error[E100]: `{path}` is both set and chosen by `plan.vary[{at}]`");
        output.say(&format!("{message}\nhint: leave its `--set` out, or set the range of `plan.vary[{at}]`"));
        return Exit::Wrong;
    }
    let mut lines = Lines::new(wish.quiet);
    let planned = plan(&fleets, &spec, wish.threads, &mut |far| {
        lines.show(output, || format!("{} of {} fleets tried, {} runs", far.fleets, far.of, far.runs));
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    lines.finish();
    let planned = match planned {
        Ok(planned) => planned,
        Err(PlanError::Run(RunError::Interrupted)) => {
            output.say("interrupted: there is no answer yet");
            return Exit::Interrupted;
        }
        Err(PlanError::Run(error)) => {
            output.say(&format!("cossim broke its own promise: {error}\nplease report this with the scenario"));
            return Exit::Broken;
        }
        Err(PlanError::Fleet { fleet, findings }) => {
            say_findings(&findings, output);
            output.say(&format!("this is about the fleet: {fleet}"));
            return Exit::Wrong;
        }
    };
    let account = Account { scenario: &lowered.world.name, digest: &digest, spec: &spec, planned: &planned };
    output.data(&if wish.json { account.json() } else { account.text() });
    match planned.best {
        Some(_) if planned.is_open() => Exit::Undecided,
        Some(_) => Exit::Fine,
        None => Exit::Failed,
    }
}
