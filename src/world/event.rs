//! What a world tells its observers: the neutral record of what happened, in the words of the scenario. Metrics, the
//! failover breakdown and the invariants read nothing else.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus, Desired};
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, Trigger};
use crate::model::job::{JobId, JobKind};
use crate::model::service::CheckStatus;
use crate::model::topology::RegionId;
use crate::protocol::catalog;
use crate::protocol::client;
use crate::protocol::gossip;
use crate::protocol::proxy::alb::AlbEvent;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::fabio::FabioEvent;
use crate::protocol::proxy::message::{Exchange, RequestNumber};
use crate::protocol::raft;
use crate::protocol::scheduler;
use crate::protocol::scheduler::explain::Selection;
use crate::protocol::scheduler::message::RpcError;
use crate::protocol::scheduler::plan::Rejection;
use crate::sim::trace::Notable;
use crate::world::entry::{CatalogEntry, NomadEntry};
use crate::world::spec::{EntryId, MachineId, RegionSpec, TrafficId};

/// What a process tells, in its protocol's own words. [`crate::world::chronicle`] turns it into notices; observers of
/// laws may want the words themselves.
#[derive(Debug, Clone)]
pub enum Event {
    /// Already in the world's words.
    Notice(Notice),
    /// From the Raft of a Nomad server.
    NomadRaft(raft::Event<NomadEntry>),
    /// From the Raft of a Consul server.
    CatalogRaft(raft::Event<CatalogEntry>),
    /// From a Serf.
    Gossip {
        /// In which pool.
        pool: Pool,
        /// What.
        event: gossip::serf::Event,
    },
    /// The process runs from now on.
    Started,
    /// A member of a pool that was calm has something to say or to find out: for the world itself, not for observers.
    Stirred(Pool),
    /// An instance answers a proxy: for the world itself, which sends the response on its way.
    Answered {
        /// The proxy's task runtime.
        to: ProcessId,
        /// Its name for the exchange.
        exchange: Exchange,
        /// HTTP status.
        status: u16,
    },
    /// From a Nomad server.
    Nomad {
        /// Of which region.
        region: RegionId,
        /// What.
        event: scheduler::event::Event,
    },
    /// From a Consul server.
    Catalog {
        /// Of which region.
        region: RegionId,
        /// What.
        event: catalog::server::ServerEvent,
    },
    /// From a Consul agent.
    Agent {
        /// Of which machine.
        machine: MachineId,
        /// What.
        event: catalog::agent::AgentEvent,
    },
    /// From a Nomad client.
    Client {
        /// Of which machine.
        machine: MachineId,
        /// What.
        event: client::event::Event,
    },
    /// From a proxy.
    Proxy {
        /// On which machine.
        machine: MachineId,
        /// What.
        event: FabioEvent,
    },
    /// From a balancer.
    Balancer(AlbEvent),
    /// A proxy has a new table in force; told before anything is sent by it.
    Table {
        /// All its targets, in ascending order.
        targets: Arc<[Endpoint]>,
    },
    /// A request of a source begins.
    Issued {
        /// Its first attempt.
        number: RequestNumber,
    },
    /// A request of a source is over.
    Ended {
        /// Of which source.
        traffic: TrafficId,
        /// Its last attempt.
        number: RequestNumber,
        /// When it was issued.
        sent: Time,
        /// How it ended.
        outcome: Outcome,
    },
}

impl Event {
    /// What a Serf says, if observers care: routine answers to probes are left out.
    pub fn gossip(pool: Pool, event: gossip::serf::Event) -> Option<Self> {
        let routine = matches!(
            event,
            gossip::serf::Event::Swim(gossip::swim::Event::Answered { .. } | gossip::swim::Event::ProbeRescued { .. })
        );
        (!routine).then_some(Self::Gossip { pool, event })
    }
}

impl Notable for Event {
    /// The steps of a failover: what the chain of causes from a fault to a good request goes through.
    fn is_milestone(&self) -> bool {
        match self {
            Self::Notice(notice) => matches!(notice, Notice::TaskRunning { .. } | Notice::TableSwapped { .. }),
            Self::NomadRaft(raft::Event::LeadershipGained { .. })
            | Self::CatalogRaft(raft::Event::LeadershipGained { .. }) => true,
            Self::Nomad { event: scheduler::event::Event::HeartbeatMissed { .. }, .. } => true,
            Self::Nomad { event: scheduler::event::Event::Committed { change, .. }, .. } => {
                !matches!(change, scheduler::event::Change::EvalWritten { .. })
            }
            Self::Agent { event, .. } => matches!(event, catalog::agent::AgentEvent::CheckChanged { .. }),
            Self::Gossip { event, .. } => matches!(event, gossip::serf::Event::MemberFailed { .. }),
            Self::Client { event, .. } => matches!(event, client::event::Event::AllocReceived { .. }),
            Self::NomadRaft(_)
            | Self::CatalogRaft(_)
            | Self::Nomad { .. }
            | Self::Catalog { .. }
            | Self::Proxy { .. }
            | Self::Balancer(_)
            | Self::Started
            | Self::Stirred(_)
            | Self::Answered { .. }
            | Self::Table { .. }
            | Self::Issued { .. }
            | Self::Ended { .. } => false,
        }
    }
}

/// A control plane with a Raft group per region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Nomad's servers.
    Nomad,
    /// Consul's servers.
    Consul,
}

impl System {
    /// Those a region has.
    pub fn of(region: &RegionSpec) -> impl Iterator<Item = Self> + use<> {
        [Self::Nomad].into_iter().chain(region.has_consul().then_some(Self::Consul))
    }

    /// As in metric labels: `nomad`, `consul`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nomad => "nomad",
            Self::Consul => "consul",
        }
    }
}

/// A Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Which control plane.
    pub system: System,
    /// Of which region.
    pub region: RegionId,
}

/// A gossip pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Consul's pool of every agent of a region.
    ConsulLan(RegionId),
    /// Consul's pool of the servers of all regions.
    ConsulWan,
    /// Nomad's pool of the servers of all regions.
    NomadWan,
}

/// An instance: an allocation of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Region.
    pub region: RegionId,
    /// Allocation.
    pub alloc: AllocId,
}

/// One service instance as a proxy's table holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutedInstance {
    /// Machine it runs on.
    pub machine: MachineId,
    /// The instance.
    pub instance: Instance,
}

/// How a request ended, as its user saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A good answer.
    Ok,
    /// The user gave up.
    Timeout,
    /// Nothing listened at the balancer's address, or no address was known.
    Refused,
    /// 404 from a proxy without a route.
    NoRoute,
    /// 502: a target refused or reset.
    BadGateway,
    /// 503: no target, or its queue was full.
    Unavailable,
    /// 504: a target did not answer in time.
    GatewayTimeout,
    /// Any other status of 400 and above.
    OtherStatus,
}

impl Outcome {
    /// As in metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::NoRoute => "404",
            Self::BadGateway => "502",
            Self::Unavailable => "503",
            Self::GatewayTimeout => "504",
            Self::OtherStatus => "other",
        }
    }

    /// Every outcome, in label order.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Timeout,
        Self::Refused,
        Self::NoRoute,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::OtherStatus,
    ];
}

/// Something that happened, told in order of time.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An entry of the timeline strikes these machines (none for jobs); of a fault of links, those on the side it aims
    /// at.
    EntryBegins {
        /// Which.
        entry: EntryId,
        /// Whom.
        machines: Arc<[MachineId]>,
    },
    /// It is over.
    EntryEnds {
        /// Which.
        entry: EntryId,
    },
    /// A machine lost power (`up` false) or booted.
    Power {
        /// Which.
        machine: MachineId,
        /// Its new state.
        up: bool,
    },
    /// A process was killed on a machine with power (`up` false), or runs now. Where power comes back, processes start
    /// a little later, and those that a fault holds dead do not.
    Process {
        /// Where.
        machine: MachineId,
        /// Which.
        process: ProcessId,
        /// Its new state.
        up: bool,
    },
    /// A server became candidate (or pre-candidate).
    ElectionStarted {
        /// Group.
        group: Group,
        /// Who.
        machine: MachineId,
        /// Its term.
        term: u64,
    },
    /// A server won.
    LeaderElected {
        /// Group.
        group: Group,
        /// Who.
        machine: MachineId,
        /// In which term.
        term: u64,
    },
    /// It finished the steps of taking over and serves requests.
    LeaderReady {
        /// Group.
        group: Group,
        /// Who.
        machine: MachineId,
    },
    /// It no longer leads: deposed, stepped down or died.
    LeaderLost {
        /// Group.
        group: Group,
        /// Who.
        machine: MachineId,
    },
    /// A member began to suspect another.
    Suspected {
        /// Pool.
        pool: Pool,
        /// Who suspects.
        by: MachineId,
        /// Whom.
        about: MachineId,
    },
    /// A member took another for dead.
    MarkedDead {
        /// Pool.
        pool: Pool,
        /// In whose table.
        by: MachineId,
        /// Who.
        about: MachineId,
    },
    /// A member took another for alive again.
    MarkedAlive {
        /// Pool.
        pool: Pool,
        /// In whose table.
        by: MachineId,
        /// Who.
        about: MachineId,
    },
    /// Nomad's leader missed a node's heartbeats, or heard of it again; at commit.
    NodeStatus {
        /// Region.
        region: RegionId,
        /// Which node.
        machine: MachineId,
        /// Ready, or down.
        ready: bool,
    },
    /// Consul's leader wrote `serfHealth` of a node; at commit.
    SerfHealth {
        /// Region.
        region: RegionId,
        /// Which node.
        machine: MachineId,
        /// Its state.
        status: CheckStatus,
    },
    /// An evaluation was written.
    EvalCreated {
        /// Region.
        region: RegionId,
        /// Which.
        eval: EvalId,
        /// Of which job.
        job: JobId,
        /// Why.
        trigger: Trigger,
        /// Which scheduler.
        kind: JobKind,
        /// Pending or blocked.
        status: EvalStatus,
    },
    /// A worker took an evaluation from the broker.
    EvalDequeued {
        /// Region.
        region: RegionId,
        /// Which.
        eval: EvalId,
        /// Why it existed.
        trigger: Trigger,
        /// When it was created.
        created: Time,
        /// Ready in the broker for this long.
        waited: Duration,
    },
    /// A worker made these selections for it; told by worlds that explain themselves only.
    Explained {
        /// Region.
        region: RegionId,
        /// For which.
        eval: Arc<Evaluation>,
        /// In order.
        selections: Arc<[Selection]>,
    },
    /// An evaluation ended, and groups of its job were left short, or it failed while they still wanted something.
    Unplaced {
        /// Region.
        region: RegionId,
        /// The job's name.
        job: Arc<str>,
        /// The evaluation, as written.
        eval: Arc<Evaluation>,
    },
    /// A worker finished it.
    EvalFinished {
        /// Region.
        region: RegionId,
        /// Which.
        eval: EvalId,
        /// Its final state.
        status: EvalStatus,
        /// From dequeue to acknowledgement.
        took: Duration,
    },
    /// The servers refused what the operators of a region asked for, for good.
    Refused {
        /// Region.
        region: RegionId,
        /// What, as reports call it.
        command: Arc<str>,
        /// Why.
        reason: RpcError,
    },
    /// The applier answered a plan.
    PlanApplied {
        /// Region.
        region: RegionId,
        /// For which evaluation.
        eval: EvalId,
        /// Time in the plan queue.
        waited: Duration,
        /// Nodes in the plan.
        nodes: u32,
        /// Nodes whose part was rejected, and why.
        rejected: Vec<(MachineId, Rejection)>,
    },
    /// Blocked evaluations, whenever their number changes on the leader.
    BlockedEvals {
        /// Region.
        region: RegionId,
        /// How many.
        count: u32,
    },
    /// Placements a job still wants, whenever the number changes (from the last evaluation).
    Queued {
        /// Region.
        region: RegionId,
        /// Job.
        job: JobId,
        /// Group.
        group: Arc<str>,
        /// How many.
        count: u32,
    },
    /// An allocation was written for the first time.
    AllocPlaced {
        /// Which.
        instance: Instance,
        /// As written.
        alloc: Arc<Alloc>,
        /// Where.
        machine: MachineId,
        /// When the evaluation that placed it was created.
        asked_at: Time,
    },
    /// The servers' record of an allocation changed.
    AllocChanged {
        /// Which.
        instance: Instance,
        /// What the servers want.
        desired: Desired,
        /// What the client said.
        client: ClientStatus,
    },
    /// A task of an allocation started on its machine (or exited).
    TaskRunning {
        /// Of which allocation.
        instance: Instance,
        /// Where.
        machine: MachineId,
        /// Started, or exited.
        running: bool,
    },
    /// The local Consul agent's view of an instance's checks changed.
    InstanceHealth {
        /// Which.
        instance: Instance,
        /// Where.
        machine: MachineId,
        /// Worst of its checks.
        status: CheckStatus,
    },
    /// The catalog's record of an instance changed: registered with this state, or gone; at commit on the leader.
    CatalogChanged {
        /// Which.
        instance: Instance,
        /// Where.
        machine: MachineId,
        /// Worst of its checks, `None` once deregistered.
        status: Option<CheckStatus>,
    },
    /// A proxy took a new table into use.
    TableSwapped {
        /// The proxy's machine.
        proxy: MachineId,
        /// Targets the table gained.
        gained: Arc<[RoutedInstance]>,
        /// Targets it lost.
        lost: Arc<[RoutedInstance]>,
    },
    /// An instance gave a good answer; its user has yet to get it.
    RequestServed {
        /// To this attempt.
        number: RequestNumber,
        /// From this instance.
        instance: RoutedInstance,
    },
    /// A request ended, for its user.
    RequestEnded {
        /// Of which source.
        traffic: TrafficId,
        /// Its last attempt.
        number: RequestNumber,
        /// When it was sent.
        sent: Time,
        /// How it ended.
        outcome: Outcome,
    },
}
