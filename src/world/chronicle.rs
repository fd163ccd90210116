//! Turns what processes say in their protocols' words into notices, in order, each once.
//!
//! Nomad's servers speak as leaders only, so theirs are said once already. Every Consul server reports every entry it
//! applies; the first report of an entry counts, which is when it was committed for somebody.

use std::sync::Arc;

use crate::base::id::{IdVec, ProcessId};
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired};
use crate::model::evaluation::{EvalId, EvalStatus};
use crate::model::job::JobId;
use crate::model::node::NodeStatus;
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog::agent::AgentEvent;
use crate::protocol::catalog::record::{CheckId, InstanceId};
use crate::protocol::catalog::registry::Fact;
use crate::protocol::catalog::server::ServerEvent;
use crate::protocol::gossip::members::State as MemberState;
use crate::protocol::gossip::{serf, swim};
use crate::protocol::raft;
use crate::protocol::scheduler::event::{Change, Event as NomadEvent};
use crate::world::atlas::Atlas;
use crate::world::event::{Event, Group, Instance, Notice, Pool, System};
use crate::world::naming::alloc_of;
use crate::world::spec::MachineId;

/// Keeps what is needed to say each thing once.
#[derive(Debug, Clone)]
pub struct Chronicle {
    atlas: Arc<Atlas>,
    /// By region: last entry of Nomad's log that was reported, and by whom.
    nomad_index: OrdMap<RegionId, Reported>,
    /// By region: last entry of the catalog that was reported, and by whom.
    catalog_index: OrdMap<RegionId, Reported>,
    /// Checks of instances as committed, by node and instance.
    committed: OrdMap<(ProcessId, InstanceId), Checks>,
    /// Checks of instances as their agents see them.
    local: OrdMap<(MachineId, AllocId), Checks>,
    /// Evaluations in a worker's hands, and since when.
    dequeued: OrdMap<(RegionId, EvalId), Time>,
    /// Desired and client status last told, by instance.
    told: IdVec<RegionId, IdVec<AllocId, Option<(Desired, ClientStatus)>>>,
    queued: OrdMap<(RegionId, JobId, Arc<str>), u32>,
    /// Names of jobs that others launched or that were dispatched; the scenario has none of them.
    children: OrdMap<(RegionId, JobId), Arc<str>>,
}

/// The newest entry that was reported, and the life of a server that reports what it says.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    index: u64,
    by: Option<ProcessId>,
}

impl Reported {
    /// Whether what `process` says of an entry is news: several things come together, from the server that applied it
    /// first; others apply it too, and so does that one when it starts anew.
    pub fn is_news(&mut self, index: u64, process: ProcessId) -> bool {
        if index > self.index {
            *self = Self { index, by: Some(process) };
        }
        index == self.index && self.by == Some(process)
    }

    /// A server starts anew: what it applies again it has told.
    pub fn restarted(&mut self, process: ProcessId) {
        self.by = self.by.filter(|by| *by != process);
    }
}

/// States of the checks of an instance, and the worst that was told.
#[derive(Debug, Clone, Default)]
struct Checks {
    status: OrdMap<CheckId, CheckStatus>,
    told: Option<CheckStatus>,
}

impl Checks {
    fn set(&mut self, check: CheckId, status: CheckStatus) -> Option<CheckStatus> {
        self.status.insert(check, status);
        let worst = self.status.values().copied().max();
        (worst != self.told).then(|| self.told = worst).and(worst)
    }
}

impl Chronicle {
    /// An empty chronicle of this world.
    pub fn new(atlas: &Arc<Atlas>) -> Self {
        Self {
            atlas: Arc::clone(atlas),
            nomad_index: OrdMap::new(),
            catalog_index: OrdMap::new(),
            committed: OrdMap::new(),
            local: OrdMap::new(),
            dequeued: OrdMap::new(),
            told: IdVec::new(),
            queued: OrdMap::new(),
            children: OrdMap::new(),
        }
    }

    /// The notices that an event amounts to, handed to `tell` in order.
    pub fn read(&mut self, at: Time, process: ProcessId, event: &Event, tell: &mut impl FnMut(&Notice)) {
        match event {
            Event::Notice(notice) => tell(notice),
            Event::NomadRaft(event) => self.raft(System::Nomad, process, event, tell),
            Event::CatalogRaft(event) => self.raft(System::Consul, process, event, tell),
            Event::Gossip { pool, event } => self.gossip(*pool, process, event, tell),
            Event::Nomad { region, event } => self.nomad(at, *region, process, event, tell),
            Event::Catalog { region, event } => self.catalog(*region, process, event, tell),
            Event::Agent { machine, event } => self.agent(*machine, event, tell),
            &Event::Ended { traffic, number, sent, outcome } => {
                tell(&Notice::RequestEnded { traffic, number, sent, outcome });
            }
            Event::Started => {
                let all = self.nomad_index.values_mut().chain(self.catalog_index.values_mut());
                all.for_each(|reported| reported.restarted(process));
                if let Some(machine) = self.atlas.machine(process) {
                    tell(&Notice::Process { machine, process, up: true });
                }
            }
            Event::Client { .. }
            | Event::Proxy { .. }
            | Event::Balancer(_)
            | Event::Stirred(_)
            | Event::Answered { .. }
            | Event::Table { .. }
            | Event::Issued { .. } => {}
        }
    }

    fn raft<E: raft::Command>(
        &self,
        system: System,
        process: ProcessId,
        event: &raft::Event<E>,
        tell: &mut impl FnMut(&Notice),
    ) {
        let Some(machine) = self.atlas.machine(process) else { return };
        let group = Group { system, region: self.atlas.region(machine) };
        match event {
            raft::Event::StateChanged { state: raft::State::Candidate, term } => {
                tell(&Notice::ElectionStarted { group, machine, term: term.0 });
            }
            raft::Event::LeadershipGained { term } => tell(&Notice::LeaderElected { group, machine, term: term.0 }),
            raft::Event::LeadershipLost { .. } => tell(&Notice::LeaderLost { group, machine }),
            raft::Event::StateChanged { .. }
            | raft::Event::LeaderChanged { .. }
            | raft::Event::TermChanged { .. }
            | raft::Event::VoteGranted { .. }
            | raft::Event::Appended { .. }
            | raft::Event::Truncated { .. }
            | raft::Event::Committed { .. }
            | raft::Event::Apply { .. }
            | raft::Event::Passed { .. }
            | raft::Event::Restore { .. }
            | raft::Event::Verified { .. }
            | raft::Event::TransferStarted { .. }
            | raft::Event::TransferFailed
            | raft::Event::SnapshotDue
            | raft::Event::SnapshotStored { .. }
            | raft::Event::ConfigurationChanged { .. } => {}
        }
    }

    fn gossip(&self, pool: Pool, process: ProcessId, event: &serf::Event, tell: &mut impl FnMut(&Notice)) {
        let serf::Event::Swim(swim::Event::Changed { address, before, after, .. }) = event else { return };
        let (Some(by), Some(about)) = (self.atlas.machine(process), self.atlas.machine(*address)) else { return };
        match (before, after) {
            (MemberState::Suspect, MemberState::Suspect) => {}
            (_, MemberState::Suspect) => tell(&Notice::Suspected { pool, by, about }),
            (MemberState::Dead, MemberState::Dead) => {}
            (_, MemberState::Dead) => tell(&Notice::MarkedDead { pool, by, about }),
            (MemberState::Dead | MemberState::Left, MemberState::Alive) => {
                tell(&Notice::MarkedAlive { pool, by, about });
            }
            (MemberState::Alive | MemberState::Suspect | MemberState::Absent, MemberState::Alive)
            | (_, MemberState::Left | MemberState::Absent) => {}
        }
    }

    fn nomad(
        &mut self,
        at: Time,
        region: RegionId,
        process: ProcessId,
        event: &NomadEvent,
        tell: &mut impl FnMut(&Notice),
    ) {
        match event {
            NomadEvent::LeaderEstablished { .. } => {
                if let Some(machine) = self.atlas.machine(process) {
                    tell(&Notice::LeaderReady { group: Group { system: System::Nomad, region }, machine });
                }
            }
            NomadEvent::Committed { index, change } => {
                if self.nomad_index.entry(region).or_default().is_news(*index, process) {
                    self.committed(region, change, tell);
                }
            }
            NomadEvent::EvalEnqueued { eval } => tell(&Notice::EvalCreated {
                region,
                eval: eval.id,
                job: eval.job,
                trigger: eval.trigger,
                kind: eval.kind,
                status: eval.status,
            }),
            NomadEvent::EvalDequeued { eval, waited } => {
                self.dequeued.insert((region, eval.id), at);
                let (trigger, created, waited) = (eval.trigger, eval.create_time, *waited);
                tell(&Notice::EvalDequeued { region, eval: eval.id, trigger, created, waited });
            }
            NomadEvent::Explained { eval, selections } => {
                let (eval, selections) = (Arc::clone(eval), Arc::clone(selections));
                tell(&Notice::Explained { region, eval, selections });
            }
            NomadEvent::EvalAcked { eval } => {
                if let Some(since) = self.dequeued.remove(&(region, *eval)) {
                    let took = at.since(since);
                    tell(&Notice::EvalFinished { region, eval: *eval, status: EvalStatus::Complete, took });
                }
            }
            NomadEvent::EvalNacked { eval, .. } => {
                self.dequeued.remove(&(region, *eval));
            }
            NomadEvent::BlockedCount { total, .. } => {
                tell(&Notice::BlockedEvals { region, count: u32::try_from(*total).unwrap_or(u32::MAX) });
            }
            NomadEvent::PlanEvaluated { eval, nodes, rejected, waited } => tell(&Notice::PlanApplied {
                region,
                eval: *eval,
                waited: *waited,
                nodes: u32::try_from(*nodes).unwrap_or(u32::MAX),
                rejected: rejected
                    .iter()
                    .map(|(node, why)| (self.atlas.machine_of_node(region, *node), *why))
                    .collect(),
            }),
            NomadEvent::Propose { .. }
            | NomadEvent::Operated { .. }
            | NomadEvent::LeadershipRevoked
            | NomadEvent::StepDown
            | NomadEvent::AutopilotDue
            | NomadEvent::HeartbeatMissed { .. }
            | NomadEvent::PlanSubmitted { .. }
            | NomadEvent::PlanApplied { .. } => {}
        }
    }

    fn committed(&mut self, region: RegionId, change: &Change, tell: &mut impl FnMut(&Notice)) {
        match change {
            Change::Node { node, before } => {
                let ready = node.status == NodeStatus::Ready;
                if *before != Some(node.status) && node.status != NodeStatus::Initializing {
                    let machine = self.atlas.machine_of_node(region, node.id);
                    tell(&Notice::NodeStatus { region, machine, ready });
                }
            }
            Change::Placed { alloc, requested } => self.placed(region, alloc, *requested, tell),
            Change::Updated { alloc } => {
                self.changed(Instance { region, alloc: alloc.id }, Some(alloc.desired), Some(alloc.client), tell);
            }
            Change::Stopped { stop } => {
                self.changed(Instance { region, alloc: stop.alloc }, Some(Desired::Stop), stop.client, tell);
            }
            Change::Preempted { alloc, .. } => {
                self.changed(Instance { region, alloc: *alloc }, Some(Desired::Evict), None, tell);
            }
            Change::Reported { alloc, status, .. } => {
                self.changed(Instance { region, alloc: *alloc }, None, Some(*status), tell);
            }
            Change::EvalEnded { eval, purged } => {
                let gave_up = eval.status == EvalStatus::Failed && eval.queued.values().any(|count| *count > 0);
                if gave_up || !eval.failed_groups.is_empty() {
                    let child = self.children.get(&(region, eval.job)).cloned();
                    let job = child.unwrap_or_else(|| self.atlas.job_name(region, eval.job));
                    tell(&Notice::Unplaced { region, job, eval: Arc::clone(eval) });
                }
                for (group, &count) in eval.queued.iter().filter(|_| !purged) {
                    self.queued(region, eval.job, group, count, tell);
                }
            }
            Change::Job { id, job: None } => self.purged(region, *id, tell),
            Change::Job { id, job: Some(job) } if job.parent().is_some() => {
                self.children.entry((region, *id)).or_insert_with(|| Arc::clone(&job.name));
            }
            Change::EvalWritten { .. }
            | Change::Job { job: Some(_), .. }
            | Change::Deployment { .. }
            | Change::Switched { .. } => {}
        }
    }

    fn queued(&mut self, region: RegionId, job: JobId, group: &Arc<str>, count: u32, tell: &mut impl FnMut(&Notice)) {
        let before = self.queued.insert((region, job, Arc::clone(group)), count).unwrap_or(0);
        if before != count {
            tell(&Notice::Queued { region, job, group: Arc::clone(group), count });
        }
    }

    /// A purged job wants nothing any more.
    fn purged(&mut self, region: RegionId, job: JobId, tell: &mut impl FnMut(&Notice)) {
        let of_job = self.queued.range((region, job, Arc::from(""))..).map(|(key, _)| key);
        let of_job = of_job.take_while(|key| (key.0, key.1) == (region, job)).cloned();
        for key in of_job.collect::<Vec<_>>() {
            self.queued(region, job, &key.2, 0, tell);
            self.queued.remove(&key);
        }
    }

    fn placed(&mut self, region: RegionId, alloc: &Arc<Alloc>, requested: Time, tell: &mut impl FnMut(&Notice)) {
        let instance = Instance { region, alloc: alloc.id };
        *self.told.get_or_default(region).get_or_default(alloc.id) = Some((alloc.desired, alloc.client));
        let machine = self.atlas.machine_of_node(region, alloc.node);
        tell(&Notice::AllocPlaced { instance, alloc: Arc::clone(alloc), machine, asked_at: requested });
    }

    fn changed(
        &mut self,
        instance: Instance,
        desired: Option<Desired>,
        client: Option<ClientStatus>,
        tell: &mut impl FnMut(&Notice),
    ) {
        let told = self.told.get_or_default(instance.region).get_or_default(instance.alloc);
        let told = told.get_or_insert((Desired::Run, ClientStatus::Pending));
        let now = (desired.unwrap_or(told.0), client.unwrap_or(told.1));
        if *told != now {
            *told = now;
            tell(&Notice::AllocChanged { instance, desired: now.0, client: now.1 });
        }
    }

    fn catalog(&mut self, region: RegionId, process: ProcessId, event: &ServerEvent, tell: &mut impl FnMut(&Notice)) {
        match event {
            ServerEvent::Established => {
                if let Some(machine) = self.atlas.machine(process) {
                    tell(&Notice::LeaderReady { group: Group { system: System::Consul, region }, machine });
                }
            }
            ServerEvent::Applied { index, fact } => {
                if self.catalog_index.entry(region).or_default().is_news(*index, process) {
                    self.fact(region, *fact, tell);
                }
            }
            ServerEvent::Propose { .. }
            | ServerEvent::VerifyLeader { .. }
            | ServerEvent::Answered { .. }
            | ServerEvent::Failed { .. }
            | ServerEvent::AutopilotDue
            | ServerEvent::FloodDue
            | ServerEvent::MemberEventDropped { .. } => {}
        }
    }

    fn fact(&mut self, region: RegionId, fact: Fact, tell: &mut impl FnMut(&Notice)) {
        match fact {
            Fact::CheckWritten(node, CheckId::SerfHealth, status) => {
                if let Some(machine) = self.atlas.machine(node) {
                    tell(&Notice::SerfHealth { region, machine, status });
                }
            }
            Fact::CheckWritten(node, check, status) => {
                let (Some(machine), Some(id)) = (self.atlas.machine(node), check.instance()) else { return };
                let worst = self.committed.entry((node, id)).or_default().set(check, status);
                if let (Some(status), Some(alloc)) = (worst, alloc_of(id)) {
                    let instance = Instance { region, alloc };
                    tell(&Notice::CatalogChanged { instance, machine, status: Some(status) });
                }
            }
            Fact::InstanceRemoved(node, id) => {
                let known = self.committed.remove(&(node, id)).is_some();
                if let (true, Some(machine), Some(alloc)) = (known, self.atlas.machine(node), alloc_of(id)) {
                    tell(&Notice::CatalogChanged { instance: Instance { region, alloc }, machine, status: None });
                }
            }
            Fact::NodeAdded(_) | Fact::NodeRemoved(_) | Fact::InstanceWritten(..) | Fact::CheckRemoved(..) => {}
        }
    }

    fn agent(&mut self, machine: MachineId, event: &AgentEvent, tell: &mut impl FnMut(&Notice)) {
        let AgentEvent::CheckChanged { check, to, .. } = event else { return };
        let Some(alloc) = check.instance().and_then(alloc_of) else { return };
        let checks = self.local.entry((machine, alloc)).or_default();
        if let Some(status) = checks.set(*check, *to) {
            let instance = Instance { region: self.atlas.region(machine), alloc };
            tell(&Notice::InstanceHealth { instance, machine, status });
        }
    }
}
