//! Jobs in the replicated state: versions, children, launches (Nomad `StateStore.UpsertJob`, `FSM.applyUpsertJob`).

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::job::{Job, JobId, JobKind, Launch};
use crate::protocol::scheduler::apply::Writer;
use crate::protocol::scheduler::state::{JOB_VERSIONS_KEPT, JobEntry, NameHash};

impl Writer<'_> {
    pub(super) fn job_entry(&mut self, id: JobId) -> &mut JobEntry {
        if !self.state.jobs.contains(id) {
            self.state.jobs.insert(id, Arc::default());
        }
        Arc::make_mut(self.state.jobs.get_mut(id).expect("just inserted"))
    }

    /// Registers what an operator or the leader asks for, and returns its number: children get theirs here.
    pub(super) fn register(&mut self, job: &Arc<Job>, time: Time) -> JobId {
        let Some(parent) = job.parent() else {
            self.register_job(job);
            if job.active_period().is_some() {
                let entry = self.job_entry(job.id);
                entry.last_launch = entry.last_launch.or(Some(time));
            }
            return job.id;
        };
        let name = NameHash::of(&job.name);
        let same_name = |child: &&JobId| self.state.job(**child).is_some_and(|known| known.name == job.name);
        let namesakes = self.state.jobs.get(parent).and_then(|entry| entry.child_names.get(name));
        let known = namesakes.and_then(|ids| ids.iter().find(same_name)).copied();
        let id = known.unwrap_or_else(|| {
            self.state.next_child += 1;
            JobId(JobId::CHILDREN + self.state.next_child)
        });
        let by_time = self.state.job(parent).is_some_and(|job| matches!(job.launch, Launch::Periodic(_)));
        let entry = self.job_entry(parent);
        if known.is_none() {
            entry.children.insert(id, ());
            let mut namesakes = entry.child_names.remove(name).unwrap_or_default();
            namesakes.push(id);
            entry.child_names.insert(name, namesakes);
        }
        if by_time {
            entry.last_launch = Some(time);
        }
        self.register_job(&Arc::new(Job { id, ..Job::clone(job) }));
        self.applied.child = Some(id);
        id
    }

    pub(super) fn register_job(&mut self, job: &Arc<Job>) {
        let index = self.index;
        let current = self.state.job(job.id).map(Arc::clone);
        let mut fresh = Job::clone(job);
        fresh.modify_index = index;
        fresh.job_modify_index = index;
        fresh.stable = false;
        match &current {
            Some(current) if same_specification(current, job) => return,
            Some(current) => {
                fresh.version = current.version + 1;
                fresh.create_index = current.create_index;
            }
            None => {
                fresh.version = 0;
                fresh.create_index = index;
            }
        }
        self.put_job(Arc::new(fresh));
    }

    /// Forgets a child that is collected as garbage.
    pub(super) fn disown(&mut self, parent: JobId, child: JobId, name: NameHash) {
        let entry = self.job_entry(parent);
        entry.children.remove(child);
        let mut namesakes = entry.child_names.remove(name).unwrap_or_default();
        namesakes.retain(|id| *id != child);
        if !namesakes.is_empty() {
            entry.child_names.insert(name, namesakes);
        }
    }

    fn put_job(&mut self, job: Arc<Job>) {
        let id = job.id;
        let is_system = matches!(job.kind, JobKind::System | JobKind::SysBatch);
        match self.state.system_jobs.binary_search(&id) {
            Err(at) if is_system => Arc::make_mut(&mut self.state.system_jobs).insert(at, id),
            Ok(at) if !is_system => drop(Arc::make_mut(&mut self.state.system_jobs).remove(at)),
            Ok(_) | Err(_) => {}
        }
        let entry = self.job_entry(id);
        entry.versions.insert(0, Arc::clone(&job));
        entry.versions.truncate(JOB_VERSIONS_KEPT);
        entry.job = Some(job);
        entry.collected = false;
        self.state.tables.jobs = self.index;
        self.applied.jobs.push(id);
        self.applied.changed = true;
    }

    pub(super) fn deregister_job(&mut self, id: JobId, purge: bool) {
        let Some(current) = self.state.job(id).map(Arc::clone) else { return };
        if purge {
            if let Ok(at) = self.state.system_jobs.binary_search(&id) {
                Arc::make_mut(&mut self.state.system_jobs).remove(at);
            }
            let entry = self.job_entry(id);
            entry.job = None;
            entry.versions.clear();
            entry.last_launch = None;
            entry.queued = Arc::default();
            self.state.tables.jobs = self.index;
            self.applied.jobs.push(id);
            self.applied.changed = true;
        } else if !current.stop {
            let mut stopped = Job::clone(&current);
            stopped.stop = true;
            stopped.version += 1;
            stopped.modify_index = self.index;
            stopped.job_modify_index = self.index;
            stopped.stable = false;
            self.put_job(Arc::new(stopped));
        }
    }
}

/// Equal but for what registration sets (Nomad `Job.SpecChanged`).
fn same_specification(current: &Job, offered: &Job) -> bool {
    let mut offered = offered.clone();
    offered.version = current.version;
    offered.create_index = current.create_index;
    offered.modify_index = current.modify_index;
    offered.job_modify_index = current.job_modify_index;
    offered.stable = current.stable;
    *current == offered
}
