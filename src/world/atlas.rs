//! Who is who: machines of the specification, hosts and processes of the engine, nodes and jobs of the protocols.
//! Everything here is fixed when a world is built, so every process can hold it.

use std::sync::Arc;

use crate::base::id::{IdVec, ProcessId};
use crate::base::ordered::OrdMap;
use crate::model::job::JobId;
use crate::model::node::NodeId;
use crate::model::service::CheckStatus;
use crate::model::topology::{RegionId, ZoneId};
use crate::protocol::proxy::endpoint::Endpoint;
use crate::world::desk::Desk;
use crate::world::replicas::Replicas;
use crate::world::routine::Routine;
use crate::world::spec::{Action, IngressId, JobSpec, MachineId, MachineRole, MachineSpec, WorldSpec};

/// The processes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processes {
    /// Nomad server, Consul server or Nomad client.
    pub main: ProcessId,
    /// The Consul agent, unless the region has no Consul; on a Consul server the server itself.
    pub agent: Option<ProcessId>,
    /// The task runtime, on clients.
    pub runtime: Option<ProcessId>,
}

impl Processes {
    /// Those of every machine of a world, numbered from 0 in the order it is built.
    pub fn of_machines(spec: &WorldSpec) -> IdVec<MachineId, Self> {
        let mut next = 0;
        let mut number = || {
            next += 1;
            ProcessId(next - 1)
        };
        let of_machine = |machine: &MachineSpec| {
            let has_consul = spec.regions[spec.zones[machine.zone].region].has_consul();
            let main = number();
            let (agent, runtime) = match machine.role {
                MachineRole::ConsulServer => (Some(main), None),
                MachineRole::NomadServer => (has_consul.then(&mut number), None),
                MachineRole::Client(_) => (has_consul.then(&mut number), Some(number())),
            };
            Self { main, agent, runtime }
        };
        spec.machines.as_slice().iter().map(of_machine).collect()
    }

    /// The one with the highest number.
    fn last(&self) -> ProcessId {
        self.runtime.or(self.agent).unwrap_or(self.main)
    }
}

/// The fixed directory of a world.
#[derive(Debug, Clone)]
pub struct Atlas {
    /// The specification.
    pub spec: Arc<WorldSpec>,
    /// The seed of the run.
    pub seed: u64,
    /// Whether routine is carried out or counted.
    pub routine: Routine,
    /// Whether workers say why they placed as they did; changes nothing else.
    pub explains: bool,
    /// Texts that Consul's answers are full of.
    pub words: Words,
    /// What proxies share; all worlds of an atlas share it too, since it changes no result.
    pub desk: Arc<Desk>,
    /// What the Nomad servers of a region need not do each; worlds of one atlas share it, since it changes no result.
    pub replicas: Arc<Replicas>,
    /// Processes by machine.
    pub processes: IdVec<MachineId, Processes>,
    /// Balancer nodes: one per ingress and zone of its region.
    pub balancers: Vec<(IngressId, ZoneId, ProcessId)>,
    /// The operator of each region.
    pub operators: IdVec<RegionId, ProcessId>,
    /// One per traffic source.
    pub sources: Vec<ProcessId>,
    machines: IdVec<ProcessId, Option<MachineId>>,
    nodes: IdVec<MachineId, Option<NodeId>>,
    jobs: IdVec<RegionId, OrdMap<Arc<str>, JobId>>,
    addresses: IdVec<ProcessId, Arc<str>>,
}

/// Texts that Consul's answers are full of, made once.
#[derive(Debug, Clone)]
pub struct Words {
    /// `serfHealth`.
    pub serf_health: Arc<str>,
    /// `_node_maintenance`.
    pub node_maintenance: Arc<str>,
    /// Stands for the checks of services, whose names nobody reads.
    pub service_check: Arc<str>,
    /// What a check of a node has for a service.
    pub nothing: Arc<str>,
    /// And for its tags.
    pub no_tags: Arc<[Arc<str>]>,
    status: [Arc<str>; 3],
}

impl Words {
    fn new() -> Self {
        Self {
            serf_health: "serfHealth".into(),
            node_maintenance: "_node_maintenance".into(),
            service_check: "service".into(),
            nothing: "".into(),
            no_tags: Arc::default(),
            status: ["passing".into(), "warning".into(), "critical".into()],
        }
    }

    /// A check's state as Consul spells it.
    pub fn status(&self, status: CheckStatus) -> &Arc<str> {
        match status {
            CheckStatus::Passing => &self.status[0],
            CheckStatus::Warning => &self.status[1],
            CheckStatus::Critical => &self.status[2],
        }
    }
}

impl Atlas {
    /// Numbers everything in the order a world is built: the processes of each machine in turn, then balancers,
    /// operators and sources.
    pub fn new(spec: &Arc<WorldSpec>, seed: u64) -> Self {
        let mut machines: IdVec<ProcessId, Option<MachineId>> = IdVec::new();
        let mut nodes: IdVec<MachineId, Option<NodeId>> = spec.machines.ids().map(|_| None).collect();
        let processes = Processes::of_machines(spec);
        for (machine, of_machine) in processes.iter() {
            while machines.next_id() <= of_machine.last() {
                machines.push(Some(machine));
            }
        }
        for (_, region) in spec.regions.iter() {
            for (number, &machine) in region.clients.iter().enumerate() {
                nodes[machine] = Some(NodeId(u32::try_from(number).expect("fewer than 2^32 clients")));
            }
        }
        let mut balancers = Vec::new();
        for (ingress, ingress_spec) in spec.ingress.iter() {
            for &zone in &spec.regions[ingress_spec.region].zones {
                balancers.push((ingress, zone, machines.push(None)));
            }
        }
        let operators = spec.regions.ids().map(|_| machines.push(None)).collect();
        let sources = spec.traffic.ids().map(|_| machines.push(None)).collect();
        let jobs = number_jobs(spec);
        let addresses = machines.ids().map(|process| Endpoint::address(process).into()).collect();
        Self {
            spec: Arc::clone(spec),
            seed,
            routine: Routine::Counted,
            explains: false,
            words: Words::new(),
            desk: Arc::default(),
            replicas: Arc::new(Replicas::new(spec)),
            processes,
            balancers,
            operators,
            sources,
            machines,
            nodes,
            jobs,
            addresses,
        }
    }

    /// The machine a process belongs to; balancers, operators and sources have none.
    pub fn machine(&self, process: ProcessId) -> Option<MachineId> {
        self.machines.get(process).copied().flatten()
    }

    /// The Nomad node of a client machine.
    pub fn node(&self, machine: MachineId) -> Option<NodeId> {
        self.nodes[machine]
    }

    /// The client machine of a Nomad node.
    pub fn machine_of_node(&self, region: RegionId, node: NodeId) -> MachineId {
        self.spec.regions[region].clients[node.0 as usize]
    }

    /// The region of a machine.
    pub fn region(&self, machine: MachineId) -> RegionId {
        self.spec.zones[self.spec.machines[machine].zone].region
    }

    /// The number of a job, which depends on the scenario alone.
    pub fn job(&self, region: RegionId, name: &str) -> Option<JobId> {
        self.jobs[region].get(name).copied()
    }

    /// The name of a job; children of jobs have none in the scenario, and get their number instead.
    pub fn job_name(&self, region: RegionId, job: JobId) -> Arc<str> {
        let known = self.jobs[region].iter().find(|(_, number)| **number == job);
        known.map_or_else(|| job.to_string().into(), |(name, _)| Arc::clone(name))
    }

    /// Main processes of these machines.
    pub fn mains(&self, machines: &[MachineId]) -> Vec<ProcessId> {
        machines.iter().map(|&machine| self.processes[machine].main).collect()
    }

    /// The address of a process, as the catalog carries it.
    pub fn address(&self, process: ProcessId) -> Arc<str> {
        self.addresses.get(process).map_or_else(|| Endpoint::address(process).into(), Arc::clone)
    }

    /// How many processes there are.
    pub fn process_count(&self) -> usize {
        self.machines.len()
    }
}

/// Numbers jobs by region in the order the scenario names them first.
fn number_jobs(spec: &WorldSpec) -> IdVec<RegionId, OrdMap<Arc<str>, JobId>> {
    let mut jobs: IdVec<RegionId, OrdMap<Arc<str>, JobId>> = spec.regions.ids().map(|_| OrdMap::new()).collect();
    let mut number = |region: RegionId, name: &Arc<str>| {
        let next = JobId(u32::try_from(jobs[region].len()).expect("fewer than 2^32 jobs"));
        jobs[region].entry(Arc::clone(name)).or_insert(next);
    };
    for (_, JobSpec { region, job, .. }) in spec.jobs.iter() {
        number(*region, &job.name);
    }
    for (_, entry) in spec.timeline.iter() {
        if let Action::RegisterJob { region, job } = &entry.action {
            number(*region, &job.name);
        }
    }
    jobs
}
