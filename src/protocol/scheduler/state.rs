//! The servers' replicated state (Nomad `state.StateStore`): tables and indexes that share structure between versions,
//! so that a snapshot is a clone of a few handles.
//!
//! Writing happens in [`super::apply`] only. Invariants: an allocation is in the list of its node and of its job;
//! the use of a node is the sum over its non-terminal allocations; identifiers are dense and never given twice.
//! Left out: access control, variables, volumes of the cluster, and namespaces. A job is known by its name, where Nomad
//! knows it by namespace and name; a world has no two jobs of a name in a region, so the only rule lost is that Nomad
//! evaluates but one of two such jobs when a node that runs both changes.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::ordered::OrdMap;
use crate::base::persistent::Trie;
use crate::base::roll::Roll;
use crate::base::time::Time;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::deployment::{Deployment, DeploymentId};
use crate::model::evaluation::{EvalId, Evaluation};
use crate::model::job::{Job, JobId, JobKind};
use crate::model::node::{Node, NodeId, NodeSpec};
use crate::model::resources::Comparable;
use crate::protocol::scheduler::assign::dynamic_ports;
use crate::protocol::scheduler::command::SchedulerSwitches;
use crate::protocol::scheduler::ports::{PortUse, parse_reserved};

/// Versions of a job that are kept (Nomad `JobTrackedVersions`).
pub const JOB_VERSIONS_KEPT: usize = 6;

/// Raft index of the last change of each table; zero before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableIndexes {
    /// Nodes.
    pub nodes: u64,
    /// Jobs.
    pub jobs: u64,
    /// Evaluations.
    pub evals: u64,
    /// Allocations.
    pub allocs: u64,
    /// Deployments.
    pub deployments: u64,
}

/// Schedulable resources, as signed numbers: a node may reserve more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// MHz.
    pub cpu: i64,
    /// MiB.
    pub memory: i64,
    /// MiB.
    pub disk: i64,
}

impl Amounts {
    /// Of something that can be compared. Quantities beyond 2^62 are not reachable through validation.
    pub fn of(resources: &Comparable) -> Self {
        Self {
            cpu: resources.cpu.get() as i64,
            memory: resources.memory.get() as i64,
            disk: resources.disk.get() as i64,
        }
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, disk: self.disk + other.disk }
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, memory: self.memory - other.memory, disk: self.disk - other.disk }
    }
}

/// A node with what its allocations use.
///
/// The order of the fields is the order in memory: first what a selection asks of every node it looks at, so that it
/// finds all of it in one place of a large state and need not follow `node`; then what a placement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct NodeEntry {
    /// Which node.
    pub(super) id: NodeId,
    /// Dynamic ports of the default host network that the node does not reserve; zero without such a network.
    pub(super) dynamic_ports: u16,
    /// Computed class.
    pub(super) class: u64,
    /// Capacity minus what the node reserves.
    pub available: Amounts,
    /// Sum over its non-terminal allocations.
    pub used: Amounts,
    /// Raft index of the last change by a server to one of its allocations; what its client watches.
    pub allocs_index: u64,
    /// Non-terminal allocations, ascending.
    pub live: Roll<AllocId>,
    /// All allocations, ascending, each with the Raft index of its last change by a server: what its client is told.
    pub allocs: Roll<(AllocId, u64)>,
    /// Ports of its non-terminal allocations and of the node.
    pub ports: PortUse,
    /// Cores of its non-terminal allocations, ascending, with repeats.
    pub cores: Vec<u16>,
    /// Cores tasks may reserve, ascending.
    pub reservable_cores: Arc<[u16]>,
    /// The node.
    pub node: Arc<Node>,
    /// Raft index at which it was last found silent.
    pub silent_index: u64,
    /// Raft index of the first report of its client since then; later ones change nothing and are not noted.
    pub reports_index: u64,
}

impl NodeEntry {
    /// An empty node.
    pub fn new(node: Arc<Node>) -> Self {
        let (available, reservable_cores) = capacity(&node.spec);
        let ports = PortUse::new(parse_reserved(&node.spec.reserved.ports).into());
        Self {
            id: node.id,
            class: node.computed_class,
            dynamic_ports: dynamic_ports(&node.spec, &ports),
            node,
            available,
            reservable_cores: reservable_cores.into(),
            used: Amounts::default(),
            cores: Vec::new(),
            ports,
            live: Roll::new(),
            allocs: Roll::new(),
            allocs_index: 0,
            silent_index: 0,
            reports_index: 0,
        }
    }

    /// Counts a non-terminal allocation in.
    pub(super) fn occupy(&mut self, alloc: &Alloc) {
        self.occupy_as(alloc.id, alloc);
    }

    /// Counts a non-terminal allocation in that will have this number.
    pub(super) fn occupy_as(&mut self, id: AllocId, alloc: &Alloc) {
        if let Err(at) = self.live.search(|known| known.cmp(&id)) {
            self.live.insert(at, id);
            self.used = self.used.plus(Amounts::of(&alloc.resources));
            for core in &alloc.resources.cores {
                let at = self.cores.partition_point(|held| held <= core);
                self.cores.insert(at, *core);
            }
            for port in &alloc.ports {
                self.ports.add(port.address, port.value);
            }
        }
    }

    /// Counts an allocation out, if it was counted in. `alloc` must hold what it held then.
    pub(super) fn vacate(&mut self, alloc: &Alloc) {
        if let Ok(at) = self.live.search(|id| id.cmp(&alloc.id)) {
            self.live.remove(at);
            self.used = self.used.minus(Amounts::of(&alloc.resources));
            for core in &alloc.resources.cores {
                let at = self.cores.partition_point(|held| held < core);
                self.cores.remove(at);
            }
            for port in &alloc.ports {
                self.ports.remove(port.address, port.value);
            }
        }
    }

    /// Whether an allocation is counted in.
    pub(super) fn counts(&self, id: AllocId) -> bool {
        self.live.search(|known| known.cmp(&id)).is_ok()
    }

    /// Lists a new allocation of the node.
    pub(super) fn list(&mut self, alloc: &Alloc) {
        let (Ok(at) | Err(at)) = self.allocs.search(|(id, _)| id.cmp(&alloc.id));
        self.allocs.insert(at, (alloc.id, alloc.alloc_modify_index));
    }

    /// A server changed an allocation. One from before the node was forgotten is not listed, and stays so.
    pub(super) fn relist(&mut self, alloc: &Alloc) {
        if let Ok(at) = self.allocs.search(|(id, _)| id.cmp(&alloc.id)) {
            self.allocs.get_mut(at).1 = alloc.alloc_modify_index;
        }
    }

    /// Forgets an allocation of the node.
    pub(super) fn unlist(&mut self, id: AllocId) {
        if let Ok(at) = self.allocs.search(|(known, _)| known.cmp(&id)) {
            self.allocs.remove(at);
        }
    }
}

/// Capacity minus reservation, and the cores tasks may reserve.
pub fn capacity(spec: &NodeSpec) -> (Amounts, Vec<u16>) {
    let (total, kept) = (&spec.capacity, &spec.reserved);
    let available = Amounts {
        cpu: total.cpu.get() as i64 - kept.cpu.get() as i64,
        memory: total.memory.get() as i64 - kept.memory.get() as i64,
        disk: total.disk.get() as i64 - kept.disk.get() as i64,
    };
    (available, (0..total.cores).filter(|core| !kept.cores.contains(core)).collect())
}

/// A job with what belongs to it. Stays after a purge as long as allocations or evaluations do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobEntry {
    /// The current version; `None` after a purge.
    pub job: Option<Arc<Job>>,
    /// Kept versions, newest first, the current one included.
    pub versions: Vec<Arc<Job>>,
    /// All its allocations, of any incarnation.
    pub allocs: Trie<AllocId, ()>,
    /// Non-terminal allocations.
    pub live_count: u32,
    /// All its evaluations.
    pub evals: Trie<EvalId, ()>,
    /// Evaluations with status blocked, ascending.
    pub blocked: Vec<EvalId>,
    /// Evaluations with status pending, ascending.
    pub pending: Vec<EvalId>,
    /// Evaluations of this version were collected as garbage: with nothing left the job is dead, not pending.
    pub collected: bool,
    /// Raft index of the last change of one of its evaluations.
    pub evals_index: u64,
    /// Its children.
    pub children: Trie<JobId, ()>,
    /// Its children by the hash of their name.
    pub child_names: Trie<NameHash, Vec<JobId>>,
    /// When a periodic job was launched last, or registered.
    pub last_launch: Option<Time>,
    /// Its deployments, ascending.
    pub deployments: Vec<DeploymentId>,
    /// Placements still wanted by group, from the last evaluation that said so (Nomad `JobSummary`); none of a purged
    /// job.
    pub queued: Arc<OrdMap<Arc<str>, u32>>,
}

impl JobEntry {
    /// Whether no more and no less is queued than `wanted` says. A group that no evaluation named has nothing queued,
    /// and of a purged job nothing is kept.
    pub fn has_queued(&self, wanted: &OrdMap<Arc<str>, u32>) -> bool {
        let known = |group: &Arc<str>| self.queued.get(group).copied().unwrap_or(0);
        self.job.is_none() || wanted.iter().all(|(group, count)| known(group) == *count)
    }
}

crate::id!(
    /// A name, by 32 bits of its hash; different names may share one.
    NameHash,
    "name"
);

impl NameHash {
    /// Of this name.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()) as u32)
    }
}

/// Where a job stands (derived, Nomad `getJobStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStatus {
    /// Nothing runs yet.
    Pending,
    /// Some allocation is not terminal, or the job is a system, periodic or parameterized one that is not stopped.
    Running,
    /// Nothing runs and nothing is pending.
    Dead,
}

/// What there ever was. What there never was need not be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Had {
    /// Nodes that were down or disconnected.
    pub(super) silent_nodes: bool,
    /// Allocations whose client status was unknown.
    pub(super) unknown_allocs: bool,
    /// Allocations whose node was not known when they were written, or nodes that were forgotten: a live allocation's
    /// node may not count it.
    pub(super) strays: bool,
}

/// The replicated state after some log entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub(super) index: u64,
    pub(super) tables: TableIndexes,
    pub(super) nodes: Trie<NodeId, Arc<NodeEntry>>,
    pub(super) jobs: Trie<JobId, Arc<JobEntry>>,
    pub(super) evals: Trie<EvalId, Arc<Evaluation>>,
    pub(super) allocs: Trie<AllocId, Arc<Alloc>>,
    pub(super) deployments: Trie<DeploymentId, Arc<Deployment>>,
    pub(super) system_jobs: Arc<Vec<JobId>>,
    pub(super) active_deployments: Arc<Vec<DeploymentId>>,
    pub(super) ready: Arc<OrdMap<Arc<str>, Arc<Vec<NodeId>>>>,
    pub(super) switches: SchedulerSwitches,
    pub(super) has_pools: bool,
    pub(super) had: Had,
    pub(super) next_child: u32,
    pub(super) next_eval: u32,
    pub(super) next_alloc: u32,
    pub(super) next_deployment: u32,
}

impl State {
    /// Before the first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raft index of the last applied entry.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Raft index of the last change by table.
    pub fn tables(&self) -> TableIndexes {
        self.tables
    }

    /// What operators switched.
    pub fn switches(&self) -> SchedulerSwitches {
        self.switches
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<NodeEntry>> {
        self.nodes.get(id)
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> &Trie<NodeId, Arc<NodeEntry>> {
        &self.nodes
    }

    /// Some node was ever in another pool than the default one.
    pub fn has_pools(&self) -> bool {
        self.has_pools
    }

    /// Some node was ever down or disconnected.
    pub fn had_silent_nodes(&self) -> bool {
        self.had.silent_nodes
    }

    /// The client status of some allocation was ever unknown.
    pub fn had_unknown_allocs(&self) -> bool {
        self.had.unknown_allocs
    }

    /// Nodes that may receive allocations, by datacenter, ascending.
    pub fn ready_nodes(&self) -> &OrdMap<Arc<str>, Arc<Vec<NodeId>>> {
        &self.ready
    }

    /// The current version of a job; `None` if it was never registered, or purged.
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs.get(id).and_then(|entry| entry.job.as_ref())
    }

    /// A job with what belongs to it.
    pub fn job_entry(&self, id: JobId) -> Option<&Arc<JobEntry>> {
        self.jobs.get(id)
    }

    /// All jobs, purged ones with remains included, by number.
    pub fn jobs(&self) -> &Trie<JobId, Arc<JobEntry>> {
        &self.jobs
    }

    /// A kept version of a job.
    pub fn job_version(&self, id: JobId, version: u64) -> Option<&Arc<Job>> {
        self.jobs.get(id)?.versions.iter().find(|job| job.version == version)
    }

    /// An evaluation.
    pub fn eval(&self, id: EvalId) -> Option<&Arc<Evaluation>> {
        self.evals.get(id)
    }

    /// All evaluations, by number.
    pub fn evals(&self) -> &Trie<EvalId, Arc<Evaluation>> {
        &self.evals
    }

    /// An allocation.
    pub fn alloc(&self, id: AllocId) -> Option<&Arc<Alloc>> {
        self.allocs.get(id)
    }

    /// All allocations, by number.
    pub fn allocs(&self) -> &Trie<AllocId, Arc<Alloc>> {
        &self.allocs
    }

    /// A deployment.
    pub fn deployment(&self, id: DeploymentId) -> Option<&Arc<Deployment>> {
        self.deployments.get(id)
    }

    /// Deployments that are not failed, successful or cancelled, ascending.
    pub fn active_deployments(&self) -> &[DeploymentId] {
        &self.active_deployments
    }

    /// The newest deployment of a job.
    pub fn latest_deployment(&self, job: JobId) -> Option<&Arc<Deployment>> {
        let ids = &self.jobs.get(job)?.deployments;
        ids.iter().filter_map(|id| self.deployments.get(*id)).max_by_key(|d| (d.create_index, d.id))
    }

    /// Whether a child of the job has an evaluation or allocation that has not ended.
    pub fn has_running_child(&self, job: JobId) -> bool {
        let children = self.jobs.get(job).into_iter().flat_map(|entry| entry.children.ids());
        let mut entries = children.filter_map(|child| self.jobs.get(child));
        entries.any(|entry| entry.live_count > 0 || !entry.pending.is_empty() || !entry.blocked.is_empty())
    }

    /// Registered system and sysbatch jobs, ascending.
    pub fn system_jobs(&self) -> &[JobId] {
        &self.system_jobs
    }

    /// Allocations of a job, terminal ones included, by number.
    pub fn allocs_of_job(&self, job: JobId) -> impl Iterator<Item = &Arc<Alloc>> {
        self.jobs.get(job).into_iter().flat_map(|entry| entry.allocs.ids()).filter_map(|id| self.allocs.get(id))
    }

    /// Allocations of a node, terminal ones included, by number.
    pub fn allocs_of_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Alloc>> {
        let ids = self.nodes.get(node).into_iter().flat_map(|entry| entry.allocs.iter());
        ids.filter_map(|(id, _)| self.allocs.get(*id))
    }

    /// Evaluations of a job, by number.
    pub fn evals_of_job(&self, job: JobId) -> impl Iterator<Item = &Arc<Evaluation>> {
        self.jobs.get(job).into_iter().flat_map(|entry| entry.evals.ids()).filter_map(|id| self.evals.get(id))
    }

    /// Jobs having any allocation on the node, terminal ones included, ascending (Nomad `createNodeEvals`).
    pub fn jobs_on_node(&self, node: NodeId) -> Vec<JobId> {
        let mut jobs: Vec<JobId> = self.allocs_of_node(node).map(|alloc| alloc.job_id).collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Where a job stands; `None` if nothing is known of it.
    pub fn job_status(&self, id: JobId) -> Option<JobStatus> {
        let entry = self.jobs.get(id)?;
        if let Some(job) = &entry.job
            && (job.kind == JobKind::System || job.is_parent())
        {
            return Some(if job.stop { JobStatus::Dead } else { JobStatus::Running });
        }
        Some(if entry.live_count > 0 {
            JobStatus::Running
        } else if !entry.pending.is_empty() || !entry.blocked.is_empty() {
            JobStatus::Pending
        } else if !entry.allocs.is_empty() || !entry.evals.is_empty() || entry.collected {
            JobStatus::Dead
        } else {
            JobStatus::Pending
        })
    }
}
