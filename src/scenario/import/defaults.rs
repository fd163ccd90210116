//! Nomad's defaults by job type (`Job.Canonicalize`, `DefaultUpdateStrategy`, `NewRestartPolicy`,
//! `NewReschedulePolicy`).

use crate::base::ordered::OrdMap;
use crate::model::job::Job;
use crate::model::job::JobId;
use crate::model::job::JobKind;
use crate::model::job::Launch;
use crate::model::job::Migrate;
use crate::model::job::Reschedule;
use crate::model::job::Restart;
use crate::model::job::TaskGroup;
use crate::model::job::Update;
use crate::model::node::POOL_DEFAULT;

/// A job without groups.
pub fn job(name: &str, kind: JobKind) -> Job {
    Job {
        id: JobId(0),
        name: name.into(),
        namespace: "default".into(),
        kind,
        priority: 50,
        datacenters: Vec::new(),
        node_pool: POOL_DEFAULT.into(),
        all_at_once: false,
        constraints: Vec::new(),
        affinities: Vec::new(),
        spreads: Vec::new(),
        groups: Vec::new(),
        update: None,
        meta: OrdMap::new(),
        launch: Launch::default(),
        stop: false,
        version: 0,
        create_index: 0,
        job_modify_index: 0,
        modify_index: 0,
        stable: false,
    }
}

/// A group without tasks.
pub fn group(name: &str, kind: JobKind) -> TaskGroup {
    let mut group = TaskGroup::new(name);
    let service = kind == JobKind::Service;
    group.update = service.then(Update::default);
    group.migrate = service.then(Migrate::default);
    group.restart = restart(kind);
    group.reschedule = reschedule(kind);
    group
}

/// `restart` left out.
const fn restart(kind: JobKind) -> Restart {
    match kind {
        JobKind::Service | JobKind::System => Restart::SERVICE,
        JobKind::Batch | JobKind::SysBatch => Restart::BATCH,
    }
}

/// `reschedule` left out.
pub const fn reschedule(kind: JobKind) -> Option<Reschedule> {
    match kind {
        JobKind::Service => Some(Reschedule::SERVICE),
        JobKind::Batch => Some(Reschedule::BATCH),
        JobKind::System | JobKind::SysBatch => None,
    }
}
