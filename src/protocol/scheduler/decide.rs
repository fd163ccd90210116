//! The scheduler as a worker runs it: the worker's words for what the pure computation asks and is told.

use std::sync::Arc;

use crate::base::time::Time;
use crate::model::evaluation::Evaluation;
use crate::protocol::scheduler::explain::Selection;
use crate::protocol::scheduler::process::{Process, Reply, Step as Asks};
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::worker::{Answer, Decide, Step, Work};

/// A decision under way.
#[derive(Debug, Clone)]
pub struct Decision {
    process: Process,
    /// Evaluations written are its own final status, not new ones.
    closing: bool,
}

impl Decide for Decision {
    fn begin(eval: &Arc<Evaluation>, state: State, config: &SchedulerConfig, seed: u64) -> Self {
        Self { process: Process::new(Evaluation::clone(eval), state, config.clone(), seed), closing: false }
    }

    fn step(&mut self, now: Time, answer: Answer) -> (Step, Work) {
        let reply = match answer {
            Answer::Begin => Reply::Start,
            Answer::Written(evals) if !self.closing => Reply::Created(evals.iter().map(|eval| eval.id).collect()),
            Answer::Written(_) | Answer::Reblocked => Reply::Written,
            Answer::Planned { planned, state } => {
                Reply::Planned { result: Arc::clone(&planned.result), snapshot: state }
            }
        };
        let asks = self.process.step(now, reply);
        self.closing = matches!(asks, Asks::UpdateEvaluation(_));
        let step = match asks {
            Asks::CreateEvaluations(evals) => Step::Write(evals),
            Asks::Submit(plan) => Step::Submit(plan),
            Asks::Reblock(eval) => Step::Reblock(eval),
            Asks::UpdateEvaluation(eval) => Step::Write(vec![*eval]),
            Asks::Done => Step::Done,
        };
        let work = self.process.take_work();
        (step, Work { nodes_pulled: work.nodes_pulled, nodes_scored: work.nodes_scored })
    }

    fn explanation(&mut self) -> Vec<Selection> {
        self.process.take_selections()
    }
}
