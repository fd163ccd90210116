//! How tasks behave.

use std::sync::Arc;

use super::Lowering;
use crate::base::units::Ratio;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::scenario::schema;
use crate::world::life;
use crate::world::naming;
use crate::world::spec::BehaviourSpec;

impl Lowering<'_> {
    /// `jobs` are all versions of all jobs, those the timeline registers included.
    pub(super) fn behaviours(&mut self, jobs: &[(RegionId, Arc<Job>)]) -> Vec<BehaviourSpec> {
        let mut out = Vec::new();
        for (index, written) in self.scenario.tasks.iter().enumerate() {
            let path = format!("tasks[{index}]");
            let behaviour = self.behaviour(&path, written);
            if !jobs.iter().any(|(_, job)| fits(&behaviour, job)) {
                let message = "no task of any job fits this";
                let names: Vec<&str> = jobs.iter().map(|(_, job)| &*job.name).collect();
                let hint = match &written.job {
                    Some(job) if !names.contains(&job.as_str()) => crate::scenario::suggest::hint(job, names),
                    _ => "compare `job`, `group`, `task` and `image` with the jobs of the scenario".to_owned(),
                };
                self.warning("W005", &path, message).hint(hint);
            }
            out.push(behaviour);
        }
        out
    }

    fn behaviour(&mut self, path: &str, written: &schema::Behaviour) -> BehaviourSpec {
        let mut law = |name: &str, law: &Option<schema::ServiceTime>| {
            law.as_ref().map(|law| self.service_time(&format!("{path}.{name}"), law))
        };
        let runs_for = law("runs_for", &written.runs_for);
        let fails_after = law("fails_after", &written.fails_after);
        let failing = match &written.failing {
            Some(share) => self.share_or_zero(&format!("{path}.failing"), Some(share)),
            None if fails_after.is_some() => Ratio::ONE,
            None => Ratio::ZERO,
        };
        if failing.get() > 0.0 && runs_for.is_none() && fails_after.is_none() {
            self.error("E015", &format!("{path}.failing"), "runs are said to fail, but not when")
                .hint("add `fails_after`, or `runs_for`");
        }
        let name = |name: &Option<String>| name.as_deref().map(Arc::from);
        BehaviourSpec {
            job: name(&written.job),
            group: name(&written.group),
            task: name(&written.task),
            image: name(&written.image),
            runs_for,
            fails_after,
            failing,
            healthy: written.healthy,
        }
    }
}

fn fits(behaviour: &BehaviourSpec, job: &Job) -> bool {
    let is = |wanted: &Option<Arc<str>>, name: &str| wanted.as_ref().is_none_or(|wanted| **wanted == *name);
    behaviour.job.as_ref().is_none_or(|wanted| naming::is_of(&job.name, wanted))
        && job.groups.iter().filter(|group| is(&behaviour.group, &group.name)).any(|group| {
            group
                .tasks
                .iter()
                .filter(|task| is(&behaviour.task, &task.name))
                .any(|task| behaviour.image.as_ref().is_none_or(|image| life::names_image(&task.config, image)))
        })
}
