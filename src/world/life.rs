//! How a run of a task goes: whether it comes up, how long it lasts, how it ends.
//!
//! Every run of every task draws for itself, by its allocation, its place in the group and its number on the machine,
//! so that a task more or less elsewhere shifts nothing. Left out: runs that depend on what else happens, as an out of
//! memory kill does.

use crate::base::rng::Draws;
use crate::base::time::Duration;
use crate::model::alloc::Alloc;
use crate::protocol::client::event::Exit;
use crate::world::naming;
use crate::world::runtime::TaskId;
use crate::world::spec::{BehaviourSpec, ServiceTime};
use crate::world::station;

/// One run of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// It listens once it is up.
    pub healthy: bool,
    /// How long after coming up it ends by itself, and how; `None` runs until it is told to stop.
    pub end: Option<(Duration, Exit)>,
}

impl Life {
    /// Of a task that no behaviour fits: a main task or sidecar goes on, any other hook does its work at once.
    pub fn plain(alloc: &Alloc, task: u16) -> Self {
        let task = alloc.task_group().tasks.get(usize::from(task));
        let ends = task.and_then(|task| task.lifecycle).is_some_and(|lifecycle| !lifecycle.sidecar);
        Self { healthy: true, end: ends.then_some((Duration::ZERO, Exit::Success)) }
    }

    /// Run number `run` of a task, from 0.
    pub fn of(behaviour: &BehaviourSpec, draws: Draws, (alloc, task): TaskId, run: u32) -> Self {
        let lane = (u64::from(run) << 20 | u64::from(task)) << 2;
        let fails = draws.uniform(u64::from(alloc.0), lane) < behaviour.failing.get();
        let span = |law: ServiceTime| station::law(law).sample(draws, u64::from(alloc.0), lane + 1);
        let end = if fails {
            behaviour.fails_after.or(behaviour.runs_for).map(|law| (span(law), Exit::Failure))
        } else {
            behaviour.runs_for.map(|law| (span(law), Exit::Success))
        };
        Self { healthy: behaviour.healthy, end }
    }
}

/// The first behaviour that fits a task of an allocation.
pub fn behaviour_of<'a>(behaviours: &'a [BehaviourSpec], alloc: &Alloc, task: u16) -> Option<&'a BehaviourSpec> {
    let group = alloc.task_group();
    let task = group.tasks.get(usize::from(task))?;
    behaviours.iter().find(|behaviour| {
        behaviour.job.as_ref().is_none_or(|job| naming::is_of(&alloc.job.name, job))
            && behaviour.group.as_ref().is_none_or(|name| *name == group.name)
            && behaviour.task.as_ref().is_none_or(|name| *name == task.name)
            && behaviour.image.as_ref().is_none_or(|image| names_image(&task.config, image))
    })
}

/// Whether a task's configuration names this image: as a whole text, so that `web:1` is not `web:10`.
pub fn names_image(config: &str, image: &str) -> bool {
    let quoted: String = image.escape_debug().collect();
    config.contains(&format!("\"{quoted}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Ratio;
    use crate::model::alloc::AllocId;

    fn behaviour(failing: f64) -> BehaviourSpec {
        BehaviourSpec {
            job: None,
            group: None,
            task: None,
            image: None,
            runs_for: Some(ServiceTime::Deterministic(Duration::from_secs(30))),
            fails_after: Some(ServiceTime::Deterministic(Duration::from_secs(5))),
            failing: Ratio::new(failing).unwrap(),
            healthy: true,
        }
    }

    #[test]
    fn as_many_runs_fail_as_are_said_to() {
        let draws = Draws::new(1, "lives");
        let lives = (0..10_000).map(|alloc| Life::of(&behaviour(0.3), draws, (AllocId(alloc), 0), 0));
        let failed = lives.filter(|life| life.end == Some((Duration::from_secs(5), Exit::Failure))).count();
        assert!((2_850..=3_150).contains(&failed), "{failed} of 10000 is not about 30 %");
        let well = Life::of(&behaviour(0.0), draws, (AllocId(1), 0), 0);
        assert_eq!(well.end, Some((Duration::from_secs(30), Exit::Success)));
    }

    #[test]
    fn runs_of_a_task_draw_for_themselves() {
        let draws = Draws::new(1, "lives");
        let ends = |run| Life::of(&behaviour(0.5), draws, (AllocId(7), 0), run).end;
        let first = ends(0);
        assert!((1..50).any(|run| ends(run) != first));
        assert_eq!(ends(0), first);
    }

    #[test]
    fn images_are_whole_texts() {
        assert!(names_image("config{image=\"web:1\";}", "web:1"));
        assert!(!names_image("config{image=\"web:10\";}", "web:1"));
    }
}
