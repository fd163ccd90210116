//! The real scheduler behind a worker.

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::evaluation::Evaluation;
use crate::protocol::scheduler::process::{Process, Reply, Step as Wanted};
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::server::Server;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::worker::{Answer, Decide, Step, Work};

/// A Nomad server with Nomad's scheduler.
pub type NomadServer = Server<Process>;

impl Decide for Process {
    fn begin(eval: &Arc<Evaluation>, state: State, config: &SchedulerConfig, seed: u64) -> Self {
        Self::new(Evaluation::clone(eval), state, *config, seed)
    }

    fn step(&mut self, now: Time, answer: Answer) -> (Step, Work) {
        let reply = match answer {
            Answer::Begin => Reply::Start,
            Answer::Written(evals) => Reply::Created(evals.iter().map(|eval| eval.id).collect()),
            Answer::Planned { planned, state } => Reply::Planned { result: planned.result.clone(), snapshot: state },
            Answer::Reblocked => Reply::Written,
        };
        let step = match self.step(now, reply) {
            Wanted::CreateEvaluations(evals) => Step::Write(evals),
            Wanted::UpdateEvaluation(eval) => Step::Write(vec![*eval]),
            Wanted::Submit(plan) => Step::Submit(*plan),
            Wanted::Reblock(eval) => Step::Reblock(eval),
            Wanted::Done => Step::Done,
        };
        let work = self.take_work();
        (step, Work { nodes_pulled: work.nodes_pulled, nodes_scored: work.nodes_scored })
    }
}
