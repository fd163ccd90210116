//! The scheduler alone: machines that are simply there, jobs that are simply placed, without servers, clients, time or
//! requests between them. What fits, and what no longer fits when machines are gone.
//!
//! Every placement is made by the scheduler's own code from the scenario's release and configuration, each plan is
//! verified and applied, and pushed-out work is placed again. Evaluations are worked through by priority, then by age,
//! as the broker hands them out. Left out: what needs time. Nothing ends, so the batch jobs of a scenario all stand
//! beside each other; nothing is rolled out in steps or restarted; jobs that run through children have none.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Time;
use crate::model::alloc::AllocId;
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, FailedGroup, Trigger};
use crate::model::job::{Job, JobId};
use crate::model::node::{NodeId, NodeSpec, NodeStatus};
use crate::protocol::scheduler::command::{Applied, Command};
use crate::protocol::scheduler::plan::evaluate_plan;
use crate::protocol::scheduler::process::{Process, Reply, Step};
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::state::State;

/// Work without a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Homeless {
    /// The job's name.
    pub job: Arc<str>,
    /// The group.
    pub group: Arc<str>,
    /// Allocations wanted and not placed.
    pub count: u32,
    /// What kept machines from taking the first of them.
    pub record: Arc<FailedGroup>,
}

/// Machines of one region and the work on them.
#[derive(Debug, Clone)]
pub struct Cell {
    state: State,
    index: u64,
    config: SchedulerConfig,
    seed: u64,
    /// Evaluations to work on: by priority, highest first, then by number.
    pending: OrdMap<(u8, EvalId), Evaluation>,
    homeless: OrdMap<(JobId, Arc<str>), (u32, Arc<FailedGroup>)>,
}

impl Cell {
    /// Machines without work. The seed decides in which order nodes are looked at, as it does in a region.
    pub fn new(config: SchedulerConfig, seed: u64, nodes: impl IntoIterator<Item = (NodeId, Arc<NodeSpec>)>) -> Self {
        let (pending, homeless) = (OrdMap::new(), OrdMap::new());
        let mut cell = Self { state: State::new(), index: 0, config, seed, pending, homeless };
        for (id, spec) in nodes {
            cell.apply(&Command::RegisterNode { id, spec, status: NodeStatus::Ready });
        }
        cell
    }

    /// Registers jobs, numbered in order, and places what they want. `go_on` is asked after every evaluation; false if
    /// it said no, and work is left.
    pub fn place<'a>(&mut self, jobs: impl IntoIterator<Item = &'a Arc<Job>>, go_on: &mut dyn FnMut() -> bool) -> bool {
        for (number, job) in (0..).zip(jobs) {
            let job = Job { id: JobId(number), ..Job::clone(job) };
            let eval = (!job.is_parent()).then(|| Box::new(Evaluation::new(&job, Trigger::JobRegister, Time::ZERO)));
            self.apply(&Command::RegisterJob { job: Arc::new(job), eval, time: Time::ZERO });
        }
        self.work(go_on)
    }

    /// These machines are gone; their work is placed on the others, as far as it fits. `go_on` as in [`Cell::place`].
    pub fn lose(&mut self, nodes: &[NodeId], go_on: &mut dyn FnMut() -> bool) -> bool {
        let mut jobs: OrdMap<JobId, NodeId> = OrdMap::new();
        for &id in nodes {
            for job in self.state.jobs_on_node(id) {
                jobs.entry(job).or_insert(id);
            }
            self.apply(&Command::NodeStatus { id, status: NodeStatus::Down });
        }
        let eval = |(job, node): (JobId, NodeId)| {
            let job = self.state.job(job)?;
            Some(Evaluation { node: Some(node), ..Evaluation::new(job, Trigger::NodeUpdate, Time::ZERO) })
        };
        let evals: Vec<Evaluation> = jobs.into_iter().filter_map(eval).collect();
        self.apply(&Command::UpsertEvals(evals));
        self.work(go_on)
    }

    /// Work without a place, by job in the order of their registration.
    pub fn homeless(&self) -> Vec<Homeless> {
        let mut shown = Vec::new();
        for ((job, group), (count, record)) in &self.homeless {
            let job = self.state.job(*job).map_or_else(|| job.to_string().into(), |job| Arc::clone(&job.name));
            shown.push(Homeless { job, group: Arc::clone(group), count: *count, record: Arc::clone(record) });
        }
        shown
    }

    /// How many allocations have no place.
    pub fn homeless_count(&self) -> u64 {
        self.homeless.values().map(|(count, _)| u64::from(*count)).sum()
    }

    /// Allocations that have a place.
    pub fn live(&self) -> OrdSet<AllocId> {
        self.state.nodes().iter().flat_map(|(_, entry)| entry.live.iter().copied()).collect()
    }

    /// Machines with at least one allocation.
    pub fn used(&self) -> OrdSet<NodeId> {
        self.state.nodes().iter().filter(|(_, entry)| !entry.live.is_empty()).map(|(id, _)| id).collect()
    }

    fn apply(&mut self, command: &Command) -> Applied {
        self.index += 1;
        let applied = self.state.apply(self.index, command);
        // What waits for time to pass, waits for ever here.
        let ready = |eval: &&Arc<Evaluation>| eval.status == EvalStatus::Pending && eval.wait_until.is_none();
        for eval in applied.evals.iter().filter(ready) {
            self.pending.insert((u8::MAX - eval.priority, eval.id), Evaluation::clone(eval));
        }
        applied
    }

    fn work(&mut self, go_on: &mut dyn FnMut() -> bool) -> bool {
        while let Some((_, eval)) = self.pending.pop_first() {
            if !go_on() {
                return false;
            }
            self.process(eval);
        }
        true
    }

    fn process(&mut self, eval: Evaluation) {
        let mut process = Process::new(eval, self.state.clone(), self.config.clone(), self.seed);
        let mut reply = Reply::Start;
        loop {
            reply = match process.step(Time::ZERO, reply) {
                Step::CreateEvaluations(evals) => {
                    let applied = self.apply(&Command::UpsertEvals(evals));
                    Reply::Created(applied.evals.iter().map(|eval| eval.id).collect())
                }
                Step::Submit(plan) => {
                    let result = Arc::new(evaluate_plan(&self.state, &plan, &self.config.behaviour, Time::ZERO));
                    self.apply(&Command::Plan(Arc::clone(&result)));
                    let snapshot = (!result.is_full_commit(&plan)).then(|| self.state.clone());
                    Reply::Planned { result, snapshot }
                }
                Step::Reblock(eval) | Step::UpdateEvaluation(eval) => {
                    self.note(&eval);
                    self.apply(&Command::UpsertEvals(vec![*eval]));
                    Reply::Written
                }
                Step::Done => return,
            };
        }
    }

    /// What an evaluation left without a place.
    fn note(&mut self, eval: &Evaluation) {
        for (group, &count) in &eval.queued {
            let key = (eval.job, Arc::clone(group));
            if count > 0 {
                let record = eval.failed_groups.get(group).cloned().unwrap_or_default();
                self.homeless.insert(key, (count, record));
            } else {
                self.homeless.remove(&key);
            }
        }
    }
}
