//! Small makers for the tests of this folder.

use crate::base::time::Time;
use crate::model::evaluation::{EvalId, Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind, Launch, Task, TaskGroup};

/// A service job with one group of one task.
pub(crate) fn job(id: u32, priority: u8, count: u32) -> Job {
    let mut group = TaskGroup::new("web");
    group.count = count;
    group.update = None;
    group.tasks.push(Task::new("server", "mock"));
    Job {
        id: JobId(id),
        name: format!("job-{id}").as_str().into(),
        namespace: "default".into(),
        kind: JobKind::Service,
        priority,
        datacenters: vec!["dc1".into()],
        node_pool: "default".into(),
        all_at_once: false,
        constraints: Vec::new(),
        affinities: Vec::new(),
        spreads: Vec::new(),
        groups: vec![group],
        update: None,
        meta: crate::base::ordered::OrdMap::new(),
        launch: Launch::default(),
        stop: false,
        version: 0,
        create_index: 0,
        job_modify_index: 0,
        modify_index: 0,
        stable: false,
    }
}

/// A pending evaluation whose creation index is its number.
pub(crate) fn eval(id: u32, job_id: u32, priority: u8) -> Evaluation {
    let mut eval = Evaluation::new(&job(job_id, priority, 1), Trigger::JobRegister, Time::ZERO);
    eval.id = EvalId(id);
    eval.create_index = u64::from(id);
    eval
}
